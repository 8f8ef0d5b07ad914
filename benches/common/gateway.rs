//! A gateway's way from a Southbound to its wish: the agent's own client and reconciler, asking as the agent asks.

use std::path::Path;

use bgp_agent::{
    ovsdb::{ClientCommand, ClientEvent, io, session},
    southbound::feed,
};
use tokio::sync::mpsc;

use super::{cloud::Chassis, node::Node};

/// Connects to the Southbound at this socket, and goes on until all that is asked for is there and wished; nothing is
/// written yet. Gives the node.
pub async fn read_southbound(socket: &Path, mut node: Node) -> Node {
    let chassis = Some(Chassis::Gateway.name());
    // A server on a busy machine may need longer for 100,000 rows than a peer may be silent.
    let session = session::Config {
        probe_interval: None,
        ..session::Config::new("OVN_Southbound", feed::monitors(chassis))
    };
    let remotes = format!("unix:{}", socket.display()).parse().expect("a remote");
    let options = io::Options { remotes, shuffle: false, tls: None, session };
    let (commands, taken) = mpsc::channel(8);
    let (told, mut events) = mpsc::channel(8);
    tokio::spawn(io::run(options, taken, told));
    let (mut asked, mut applied) = (0, 0);
    while asked == 0 || applied < asked {
        match events.recv().await.expect("the client runs") {
            ClientEvent::Updates(updates) => {
                feed::apply(node.reconciler.replica_mut(), &updates).expect("rows as they were told");
            }
            ClientEvent::ConditionsApplied { serial } => applied = serial,
            ClientEvent::Down(reason) => panic!("{reason}"),
            ClientEvent::Up { .. } | ClientEvent::TransactReply { .. } => {}
        }
        node.reconciler.update_intent();
        if node.reconciler.subjects_changed() {
            asked += 1;
            let conditions = feed::conditions(chassis, node.reconciler.subjects());
            commands
                .send(ClientCommand::SetConditions(conditions.into(), asked))
                .await
                .expect("the client runs");
        }
    }
    node.reconciler.southbound_whole();
    node
}
