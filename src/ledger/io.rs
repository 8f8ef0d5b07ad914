//! The task that owns the ledger's file, spoken to like a plane: entries are its objects, VNIs their keys.

use std::path::Path;

use tokio::sync::mpsc;

use super::{Entry, Ledger, LedgerFile};
use crate::{
    model::Vni,
    planes::{Command, Operation, Outcome, Report, Verb},
};

/// Serves the ledger of this directory until `commands` is closed. A ledger that cannot be read is `Down` with the
/// reason, and is tried again at each `Read`: without it nothing may be decided.
pub async fn run(
    state_dir: &Path,
    mut commands: mpsc::Receiver<Command<Entry>>,
    reports: mpsc::Sender<Report<Entry, Vni>>,
) {
    let path = state_dir.join(super::FILE_NAME);
    let file = LedgerFile::new(path.clone());
    let mut ledger = Ledger::default();
    let mut command = Some(Command::Read);
    while let Some(next) = command {
        let report = match next {
            Command::Ask(_) => {
                command = commands.recv().await;
                continue;
            }
            Command::Read => match file.read() {
                Ok(read) => {
                    ledger = read;
                    Report::Whole(ledger.entries().cloned().collect())
                }
                Err(error) => Report::Down(format!("{}: {error}", path.display())),
            },
            Command::Apply { id, operations } => {
                let wished = applied(&ledger, &operations);
                // Written off the loop: an fsync may take long.
                let (writer, copy) = (file.clone(), wished.clone());
                let written = tokio::task::spawn_blocking(move || writer.write(&copy)).await;
                let outcome = match written {
                    Ok(Ok(())) => {
                        ledger = wished;
                        Outcome::Done
                    }
                    Ok(Err(error)) => Outcome::Failed(format!("{}: {error}", path.display())),
                    Err(_) => Outcome::Unknown,
                };
                Report::Results { id, outcomes: vec![outcome; operations.len()] }
            }
        };
        if reports.send(report).await.is_err() {
            return;
        }
        command = commands.recv().await;
    }
}

fn applied(ledger: &Ledger, operations: &[Operation<Entry>]) -> Ledger {
    let mut wished = ledger.clone();
    for Operation { verb, object } in operations {
        match verb {
            Verb::Create | Verb::Update => wished.put(object.clone()),
            Verb::Remove => wished.remove(object.vni),
        }
    }
    wished
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ledger_that_is_repaired_is_read_when_it_is_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let (commands, commands_in) = mpsc::channel(4);
        let (reports, mut reports_out) = mpsc::channel(4);
        let (state_dir, path) = (dir.path().to_owned(), dir.path().join(super::super::FILE_NAME));
        std::fs::write(&path, "{").unwrap();
        tokio::spawn(async move { run(&state_dir, commands_in, reports).await });
        let Some(Report::Down(why)) = reports_out.recv().await else { panic!("a damaged ledger was read") };
        assert!(why.contains("ledger.json"), "{why}");
        std::fs::write(&path, r#"[{"vni":1001,"as":64999,"gateways":[]}]"#).unwrap();
        commands.send(Command::Read).await.unwrap();
        assert!(matches!(reports_out.recv().await, Some(Report::Whole(entries)) if entries.len() == 1));
    }

    /// A full or broken disk: each write fails with the file's name, and is tried again when it is asked for again.
    #[tokio::test]
    async fn what_cannot_be_written_is_said_and_can_be_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        let (commands, commands_in) = mpsc::channel(4);
        let (reports, mut reports_out) = mpsc::channel(4);
        let path = state_dir.clone();
        tokio::spawn(async move { run(&path, commands_in, reports).await });
        assert!(matches!(reports_out.recv().await, Some(Report::Whole(entries)) if entries.is_empty()));

        let entry = Entry {
            vni: Vni::new(1001).unwrap(),
            asn: "64999".parse().unwrap(),
            gateways: Vec::new(),
            left: false,
        };
        let operation = Operation { verb: Verb::Create, object: entry.clone() };
        std::fs::write(&state_dir, "a file where the directory should be").unwrap();
        for id in 0..2 {
            commands.send(Command::Apply { id, operations: vec![operation.clone()] }).await.unwrap();
            let Some(Report::Results { outcomes, .. }) = reports_out.recv().await else {
                panic!("no results")
            };
            let [outcome] = &outcomes[..] else { panic!("{outcomes:?}") };
            let is_done = *outcome == Outcome::Done;
            assert!(
                is_done || matches!(outcome, Outcome::Failed(why) if why.contains("ledger.json")),
                "{outcome:?}"
            );
            assert_eq!(is_done, id == 1);
            let _ = std::fs::remove_file(&state_dir);
        }
        commands.send(Command::Read).await.unwrap();
        assert!(matches!(reports_out.recv().await, Some(Report::Whole(entries)) if entries == [entry]));
    }
}
