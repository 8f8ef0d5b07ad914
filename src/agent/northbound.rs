//! The Northbound's session, where it is asked for: what was read last is kept while it is away.

use tokio::sync::mpsc;

use super::{Event, database};
use crate::{
    config::Config,
    northbound::monitors,
    ovsdb::{ClientCommand, ClientEvent, io::Options, remotes::RemoteError, session},
    reconcile::Reconciler,
};

/// The session.
pub struct Northbound {
    remotes: String,
    commands: mpsc::Sender<ClientCommand>,
    /// The rows are not what the server believes: nothing more is taken in until everything comes anew.
    diverged: bool,
    /// Everything is to be asked for anew, and the session was not told yet.
    resync_due: bool,
}

impl Northbound {
    /// Starts the session; what it says comes as events.
    ///
    /// # Errors
    /// `ovn_nb_connection` is no list of remotes.
    pub fn start(config: &Config, events: mpsc::Sender<Event>) -> Result<Self, RemoteError> {
        let remotes = config.nb_connection.parse()?;
        let session = session::Config::new("OVN_Northbound", monitors());
        let options = Options { remotes, shuffle: true, tls: Some(config.nb_tls.clone()), session };
        let commands = database::start(options, events, Event::Northbound);
        Ok(Self { remotes: config.nb_connection.clone(), commands, diverged: false, resync_due: false })
    }

    /// Where it is may have changed.
    pub fn reconfigure(&mut self, config: &Config) {
        if self.remotes == config.nb_connection {
            return;
        }
        let remotes = match config.nb_connection.parse() {
            Ok(remotes) => remotes,
            Err(error) => {
                tracing::error!(%error, "ovn_nb_connection is unusable; the one before stays");
                return;
            }
        };
        match self.commands.try_send(ClientCommand::SetRemotes(remotes)) {
            Ok(()) => self.remotes.clone_from(&config.nb_connection),
            Err(_) => tracing::error!("ovn_nb_connection: the session takes nothing in now; reload again"),
        }
    }

    /// Takes in what the session says.
    pub fn event(&mut self, event: ClientEvent, reconciler: &mut Reconciler) {
        match event {
            ClientEvent::Down(reason) => {
                tracing::warn!(reason, "Northbound is away; what it said last holds");
                reconciler.northbound_down(reason);
            }
            ClientEvent::Updates(updates) => {
                self.diverged &= !updates.reload();
                if self.diverged {
                    return;
                }
                match reconciler.replica_mut().translations_mut().apply(&updates) {
                    Ok(()) => reconciler.northbound_whole(),
                    Err(error) => {
                        tracing::error!(%error, "the Northbound is read anew");
                        (self.diverged, self.resync_due) = (true, true);
                        reconciler.northbound_down(format!("it is read anew: {error}"));
                    }
                }
            }
            ClientEvent::Up { .. }
            | ClientEvent::ConditionsApplied { .. }
            | ClientEvent::TransactReply { .. } => {}
        }
        if self.resync_due {
            self.resync_due = self.commands.try_send(ClientCommand::Resync).is_err();
        }
    }
}
