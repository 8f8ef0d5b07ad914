//! The Southbound's session: which remotes, which rows, and when what was asked for is there as a whole.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Event, database};
use crate::{
    config::Config,
    ovsdb::{ClientCommand, ClientEvent, Remotes, io::Options, session},
    reconcile::Reconciler,
    southbound::feed,
};

/// The session, once its remotes are known.
pub struct Southbound {
    config: Config,
    events: mpsc::Sender<Event>,
    commands: Option<mpsc::Sender<ClientCommand>>,
    remotes: Option<String>,
    /// The `ovn-remote-probe-interval` that the session was told; None, as it begins: there is none.
    probe_interval: Option<Box<str>>,
    chassis: Option<String>,
    sent: u64,
    applied: u64,
    loaded: bool,
    /// The replica is not what the server believes: nothing more is taken in until everything comes anew.
    diverged: bool,
    /// Everything is to be asked for anew, and the session was not told yet.
    resync_due: bool,
    /// The remotes are none: what the session tells is that of those before.
    unusable: bool,
    /// What is wanted has changed, and the session was not told yet.
    unasked: bool,
    waits_for: Option<&'static str>,
}

impl Southbound {
    /// A session that is not started yet.
    pub fn new(config: &Config, events: mpsc::Sender<Event>) -> Self {
        Self {
            config: config.clone(),
            events,
            commands: None,
            remotes: None,
            probe_interval: None,
            chassis: None,
            sent: 0,
            applied: 0,
            loaded: false,
            diverged: false,
            resync_due: false,
            unusable: false,
            unasked: false,
            waits_for: None,
        }
    }

    /// Options have changed; where the Southbound is may be one of them.
    pub fn reconfigure(&mut self, config: &Config) {
        self.config = config.clone();
    }

    /// Follows this node's settings and what the intent looks at.
    pub fn follow(&mut self, reconciler: &mut Reconciler) {
        if !reconciler.knows_node() {
            return;
        }
        let settings = reconciler.node().settings();
        let remotes =
            self.config.sb_connection.clone().or_else(|| settings.ovn_remote.as_deref().map(str::to_owned));
        // A name that is gone leaves this node who it was.
        let chassis = settings.system_id.as_deref().map(str::to_owned).or_else(|| self.chassis.clone());
        let (Some(remotes), true) = (remotes.clone(), chassis.is_some()) else {
            let missing = match remotes {
                None => {
                    "external_ids:ovn-remote is not set in Open_vSwitch, nor ovn_sb_connection in the configuration"
                }
                Some(_) => "external_ids:system-id is not set in Open_vSwitch",
            };
            self.wait_for(missing, reconciler);
            return;
        };
        self.waits_for = None;
        if self.remotes.as_ref() != Some(&remotes) {
            self.connect(remotes, reconciler);
        }
        let interval = &reconciler.node().settings().ovn_remote_probe_interval;
        if self.probe_interval != *interval
            && self.tell(ClientCommand::SetProbeInterval(probe_interval(interval.as_deref())))
        {
            self.probe_interval.clone_from(interval);
        }
        self.unasked |= reconciler.subjects_changed() || self.chassis != chassis;
        self.chassis = chassis;
        if self.resync_due {
            self.resync_due = !self.tell(ClientCommand::Resync);
        }
        if self.unasked {
            self.unasked = !self.ask(reconciler);
        }
        if self.loaded && !self.unusable && !self.unasked && self.applied == self.sent {
            reconciler.southbound_whole();
        }
    }

    fn wait_for(&mut self, missing: &'static str, reconciler: &mut Reconciler) {
        if self.waits_for != Some(missing) && !self.loaded {
            tracing::warn!("waiting: {missing}");
            reconciler.southbound_down(missing.to_owned());
            self.waits_for = Some(missing);
        }
    }

    fn connect(&mut self, text: String, reconciler: &mut Reconciler) {
        let remotes: Remotes = match text.parse() {
            Ok(remotes) => remotes,
            Err(error) => {
                tracing::error!(%error, remotes = text, "the Southbound's remotes are unusable");
                let of = if self.config.sb_connection.is_some() { "ovn_sb_connection" } else { "ovn-remote" };
                reconciler.southbound_down(format!("{of} is unusable: {error}"));
                (self.remotes, self.unusable) = (Some(text), true);
                return;
            }
        };
        self.unusable = false;
        tracing::info!(remotes = text, "Southbound");
        self.remotes = Some(text);
        // Where the session's own remote is none of them any more it says itself that it is down.
        if self.commands.is_some() {
            if !self.tell(ClientCommand::SetRemotes(remotes)) {
                // It is told when it is looked at next.
                self.remotes = None;
            }
            return;
        }
        let session = session::Config::new("OVN_Southbound", feed::monitors(self.chassis.as_deref()));
        let options = Options { remotes, shuffle: true, tls: Some(self.config.tls.clone()), session };
        self.commands = Some(database::start(options, self.events.clone(), Event::Southbound));
    }

    /// Asks for the rows that are wanted now; false where the session takes no command, and it is to be asked again.
    fn ask(&mut self, reconciler: &Reconciler) -> bool {
        let conditions = feed::conditions(self.chassis.as_deref(), reconciler.subjects());
        let serial = self.sent + 1;
        let command = ClientCommand::SetConditions(conditions.into(), serial);
        let taken = self.tell(command);
        if taken {
            self.sent = serial;
        }
        taken
    }

    /// Hands the session a command, if it takes one now.
    fn tell(&self, command: ClientCommand) -> bool {
        self.commands.as_ref().is_some_and(|commands| commands.try_send(command).is_ok())
    }

    /// Takes in what the session says.
    pub fn event(&mut self, event: ClientEvent, reconciler: &mut Reconciler) {
        match event {
            ClientEvent::Down(reason) => {
                tracing::warn!(reason, "Southbound is away; what stands is kept");
                self.loaded = false;
                reconciler.southbound_down(reason);
            }
            ClientEvent::Up { absent } => {
                for (table, column) in absent {
                    tracing::debug!(table, column, "the Southbound's schema lacks a column");
                }
            }
            ClientEvent::Updates(updates) => {
                tracing::debug!(rows = updates.len(), origin = ?updates.origin, "Southbound rows");
                self.diverged &= !updates.reload();
                if self.diverged {
                    return;
                }
                match feed::apply(reconciler.replica_mut(), &updates) {
                    Ok(()) => self.loaded = true,
                    Err(error) => {
                        tracing::error!(%error, "the Southbound is read anew");
                        (self.loaded, self.diverged) = (false, true);
                        reconciler.southbound_down(format!("it is read anew: {error}"));
                        self.resync_due = true;
                    }
                }
            }
            ClientEvent::ConditionsApplied { serial } => self.applied = serial,
            ClientEvent::TransactReply { .. } => {}
        }
    }
}

/// What `ovn-remote-probe-interval` means by ovn-controller(8): milliseconds, where 0 is for ever and less than a second is
/// one. What is no number is as if it were not set.
fn probe_interval(text: Option<&str>) -> Option<Duration> {
    let Some(text) = text else { return Some(session::Config::PROBE_INTERVAL) };
    match text.parse() {
        Ok(0) => None,
        Ok(milliseconds) => Some(Duration::from_millis(milliseconds).max(Duration::from_secs(1))),
        Err(error) => {
            tracing::warn!(%error, value = text, "external_ids:ovn-remote-probe-interval in Open_vSwitch is no number");
            Some(session::Config::PROBE_INTERVAL)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        ovsdb::updates::{Origin, Updates},
        planes::{
            Report,
            vswitch::object::{OvsSettings, VswitchObject},
        },
        reconcile::{Reading, SessionId, object::PlaneId},
    };

    fn node(reconciler: &mut Reconciler, remote: &str) {
        let settings = OvsSettings {
            system_id: Some("gw1".into()),
            ovn_remote: Some(remote.into()),
            ..OvsSettings::default()
        };
        let whole = Report::Whole(vec![VswitchObject::Settings(settings).into()]);
        reconciler.report(PlaneId::Vswitch, whole, std::time::Instant::now());
    }

    fn hear(
        southbound: &mut Southbound,
        reconciler: &mut Reconciler,
        update: &serde_json::Value,
        origin: Origin,
    ) {
        southbound.event(ClientEvent::Updates(Updates::told(update, origin)), reconciler);
        southbound.applied = southbound.sent;
        southbound.follow(reconciler);
    }

    /// A session whose replica has one localnet, under this uuid.
    fn read_once(uuid: &str) -> (Southbound, Reconciler) {
        let (config, (events, _)) = (Config::default(), mpsc::channel(1));
        let (mut southbound, mut reconciler) = (Southbound::new(&config, events), Reconciler::new(config));
        node(&mut reconciler, "unix:/nonexistent/sb.sock");
        southbound.follow(&mut reconciler);
        let row = json!({"logical_port": "provnet", "type": "localnet", "datapath": ["uuid", uuid]});
        let all = json!({"Port_Binding": {uuid: {"initial": row}}});
        hear(&mut southbound, &mut reconciler, &all, Origin::Reload);
        assert_eq!(reconciler.readings()[&SessionId::Southbound], Reading::Whole);
        (southbound, reconciler)
    }

    #[tokio::test]
    async fn after_a_divergence_nothing_is_taken_in_until_everything_is_read_anew() {
        let (known, unknown) =
            ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002");
        let (mut southbound, mut reconciler) = read_once(known);
        let gone = json!({"Port_Binding": {known: {"delete": null}}});
        let strange = json!({"Port_Binding": {unknown: {"modify": {"tag": 7}}}});
        for update in [&strange, &gone] {
            hear(&mut southbound, &mut reconciler, update, Origin::Live);
            assert!(matches!(reconciler.readings()[&SessionId::Southbound], Reading::Down(_)));
            assert!(reconciler.replica().port("provnet").is_some());
        }
        hear(&mut southbound, &mut reconciler, &json!({}), Origin::Reload);
        assert_eq!(reconciler.readings()[&SessionId::Southbound], Reading::Whole);
        assert!(reconciler.replica().port("provnet").is_none());
    }

    #[tokio::test]
    async fn unusable_remotes_are_said_as_long_as_they_are_there() {
        let (mut southbound, mut reconciler) = read_once("00000000-0000-0000-0000-000000000001");
        node(&mut reconciler, "nonsense");
        for _ in 0..2 {
            southbound.follow(&mut reconciler);
            let reading = &reconciler.readings()[&SessionId::Southbound];
            assert!(matches!(reading, Reading::Down(why) if why.contains("ovn-remote")), "{reading:?}");
        }
        node(&mut reconciler, "unix:/nonexistent/sb.sock");
        southbound.follow(&mut reconciler);
        assert_eq!(reconciler.readings()[&SessionId::Southbound], Reading::Whole);
    }

    #[tokio::test]
    async fn how_long_the_server_may_be_silent_is_what_ovn_controller_is_told() {
        let (mut southbound, mut reconciler) = read_once("00000000-0000-0000-0000-000000000001");
        let (commands, mut session) = mpsc::channel(1);
        southbound.commands = Some(commands);
        for (text, interval) in [
            (Some("60000"), Some(Duration::from_secs(60))),
            (Some("7"), Some(Duration::from_secs(1))),
            (Some("0"), None),
            (Some("a minute"), Some(Duration::from_secs(5))),
            (Some("0"), None),
            (None, Some(Duration::from_secs(5))),
        ] {
            let settings = OvsSettings {
                ovn_remote_probe_interval: text.map(Into::into),
                ..reconciler.node().settings().clone()
            };
            let whole = Report::Whole(vec![VswitchObject::Settings(settings).into()]);
            reconciler.report(PlaneId::Vswitch, whole, std::time::Instant::now());
            // A session that takes no command now is told later.
            southbound.tell(ClientCommand::Resync);
            southbound.follow(&mut reconciler);
            assert!(matches!(session.try_recv(), Ok(ClientCommand::Resync)));
            for _ in 0..2 {
                southbound.follow(&mut reconciler);
            }
            let told = session.try_recv();
            assert!(
                matches!(told, Ok(ClientCommand::SetProbeInterval(told)) if told == interval),
                "{told:?}"
            );
            assert!(session.try_recv().is_err(), "it is told once");
        }
    }
}
