//! A session with one of OVN's databases, started as a task whose events come into the loop.

use tokio::sync::mpsc;

use super::Event;
use crate::ovsdb::{
    ClientCommand, ClientEvent,
    io::{self, Options},
};

/// How many commands, and how many events, may wait.
const QUEUE: usize = 64;

/// Starts it; gives where its commands go. What it says comes as `event`s.
pub fn start(
    options: Options,
    events: mpsc::Sender<Event>,
    event: fn(ClientEvent) -> Event,
) -> mpsc::Sender<ClientCommand> {
    let (commands, commands_in) = mpsc::channel(QUEUE);
    let (out, mut heard) = mpsc::channel(QUEUE);
    tokio::spawn(io::run(options, commands_in, out));
    tokio::spawn(async move {
        while let Some(said) = heard.recv().await {
            if events.send(event(said)).await.is_err() {
                return;
            }
        }
    });
    commands
}
