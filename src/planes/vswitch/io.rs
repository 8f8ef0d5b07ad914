//! The task of the vswitch plane: carries commands, events and reports between the reconciler, [`Session`] and the database
//! client, which owns the socket. It decides nothing.

use tokio::sync::mpsc;

use super::{
    object::{VswitchKey, VswitchObject},
    session::Session,
};
use crate::{
    ovsdb::{
        self, ClientCommand, ClientEvent, Remotes,
        monitor::{TableMonitor, Where},
        session::Config,
        tables::{Bridge, Interface, OpenVSwitch, Port},
    },
    planes::{Command, Report},
};

/// How many messages may wait between this task and the client.
const CHANNEL: usize = 16;

/// What the plane connects to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The local database, usually `unix:/run/openvswitch/db.sock`.
    pub connection: Remotes,
}

/// Keeps the ports of the local database and reports them, until `commands` or `reports` is closed.
pub async fn run(
    options: Options,
    commands: mpsc::Receiver<Command<VswitchObject>>,
    reports: mpsc::Sender<Report<VswitchObject, VswitchKey>>,
) {
    let (to_client, client_commands) = mpsc::channel(CHANNEL);
    let (client_events, from_client) = mpsc::channel(CHANNEL);
    let monitor = vec![
        TableMonitor::of::<OpenVSwitch>(Where::All),
        TableMonitor::of::<Bridge>(Where::All),
        TableMonitor::of::<Port>(Where::All),
        TableMonitor::of::<Interface>(Where::All),
    ];
    let client = ovsdb::io::Options {
        remotes: options.connection,
        shuffle: false,
        tls: None,
        session: Config::new("Open_vSwitch", monitor),
    };
    tokio::select! {
        () = ovsdb::io::run(client, client_commands, client_events) => {}
        () = converse(commands, reports, to_client, from_client) => {}
    }
}

async fn converse(
    mut commands: mpsc::Receiver<Command<VswitchObject>>,
    reports: mpsc::Sender<Report<VswitchObject, VswitchKey>>,
    to_client: mpsc::Sender<ClientCommand>,
    mut from_client: mpsc::Receiver<ClientEvent>,
) {
    let mut session = Session::default();
    loop {
        while let Some(command) = session.poll_command() {
            // The client takes commands at any time, so this cannot wait for ever.
            if to_client.send(command).await.is_err() {
                return;
            }
        }
        let has_report = session.has_report();
        tokio::select! {
            permit = reports.clone().reserve_owned(), if has_report => {
                let (Ok(permit), Some(report)) = (permit, session.poll_report()) else { return };
                permit.send(report);
            }
            () = reports.closed() => return,
            command = commands.recv() => match command {
                Some(command) => session.command(command),
                None => return,
            },
            event = from_client.recv(), if !has_report => match event {
                Some(event) => session.event(event),
                None => return,
            },
        }
    }
}
