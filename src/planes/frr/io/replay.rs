//! The plane against dialogues captured from real daemons: it must say the same lines in the same order.

use std::{collections::VecDeque, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use super::{Options, run};
use crate::planes::{
    Change, Command, Operation, Outcome, Report, Verb,
    frr::{
        object::{BgpBase, BgpSettings, BgpVrf, FrrKey, FrrObject, Sources, VrfVni},
        question::Daemons,
    },
};

const PATIENCE: Duration = Duration::from_secs(10);

/// One line of a captured dialogue with its answer.
struct Turn {
    line: String,
    answer: Vec<u8>,
}

/// `> line`, the text of the answer, `< status`.
fn turns(transcript: &str) -> VecDeque<Turn> {
    let mut turns: VecDeque<Turn> = VecDeque::new();
    for line in transcript.lines() {
        if let Some(said) = line.strip_prefix("> ") {
            turns.push_back(Turn { line: said.to_owned(), answer: Vec::new() });
        } else if let Some(status) = line.strip_prefix("< ") {
            turns.back_mut().unwrap().answer.extend([0, 0, 0, status.parse().unwrap()]);
        } else {
            turns.back_mut().unwrap().answer.extend(format!("{line}\n").bytes());
        }
    }
    turns
}

/// A daemon that knows one dialogue. Ends when it is at its end; then the plane has said all of it.
fn daemon(directory: &Path, name: &'static str, transcript: &str) -> JoinHandle<()> {
    let listener = UnixListener::bind(directory.join(format!("{name}.vty"))).unwrap();
    let mut turns = turns(transcript);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while let Some(turn) = turns.pop_front() {
            let said = next_line(&mut stream, &mut heard).await;
            assert_eq!(said, turn.line, "to {name}");
            assert!(name != "mgmtd" || heard.is_empty(), "mgmtd drops what stands behind a line");
            stream.write_all(&turn.answer).await.unwrap();
        }
        // Open until the plane is done, so that it does not see this daemon go.
        stream.read_to_end(&mut heard).await.unwrap();
        assert!(heard.is_empty(), "more was said to {name}: {:?}", String::from_utf8_lossy(&heard));
    })
}

async fn next_line(stream: &mut UnixStream, heard: &mut Vec<u8>) -> String {
    loop {
        if let Some(end) = heard.iter().position(|byte| *byte == 0) {
            let rest = heard.split_off(end + 1);
            let line = std::mem::replace(heard, rest);
            return String::from_utf8(line[..end].to_vec()).unwrap();
        }
        assert_ne!(stream.read_buf(heard).await.unwrap(), 0, "the plane left in the middle");
    }
}

struct Side {
    commands: mpsc::Sender<Command<FrrObject>>,
    reports: mpsc::Receiver<Report<FrrObject, FrrKey>>,
    daemons: Daemons,
}

impl Side {
    /// The next report but those of daemons, the last of which is kept.
    async fn report(&mut self) -> Report<FrrObject, FrrKey> {
        loop {
            let report = timeout(PATIENCE, self.reports.recv()).await.expect("a report in time");
            match report.expect("the plane lives") {
                Report::Daemons(daemons) => self.daemons = daemons,
                report => return report,
            }
        }
    }

    async fn changes(&mut self) -> Vec<Change<FrrObject, FrrKey>> {
        match self.report().await {
            Report::Changed(changes) => changes,
            other => panic!("unexpected {other:?}"),
        }
    }

    async fn send(&mut self, operations: &[(Verb, &FrrObject)]) {
        let one = |(verb, object): &(Verb, &FrrObject)| Operation { verb: *verb, object: (*object).clone() };
        let operations = operations.iter().map(one).collect();
        self.commands.send(Command::Apply { id: 7, operations }).await.unwrap();
    }

    async fn outcomes(&mut self) -> Vec<Outcome> {
        match self.report().await {
            Report::Results { id: 7, outcomes } => outcomes,
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn block(vni: Option<u32>, up: bool) -> FrrObject {
    FrrObject::Vrf(VrfVni { vrf: "vrf-1001".parse().unwrap(), vni, up })
}

fn instance() -> FrrObject {
    let target = || ["64999:1001".parse().unwrap()].into();
    let settings = BgpSettings {
        rd: Some("10.0.0.1:5".parse().unwrap()),
        import: target(),
        export: target(),
        ..BgpSettings::advertising(Sources::wished(true, false))
    };
    FrrObject::Bgp(BgpVrf { vrf: "vrf-1001".parse().unwrap(), asn: "64999".parse().unwrap(), settings })
}

fn base() -> FrrObject {
    let asn = Some("64999".parse().unwrap());
    FrrObject::Base(BgpBase { asn, router_id: Some([10, 0, 0, 1].into()), evpn: true })
}

/// The life of one VNI, as captured with its kernel devices coming and going in between.
async fn one_life(transcripts: &[(&'static str, &str)], vrf_refusal: &str) {
    let directory = tempfile::tempdir().unwrap();
    let daemons: Vec<_> =
        transcripts.iter().map(|(name, transcript)| daemon(directory.path(), name, transcript)).collect();
    let (commands, inbox) = mpsc::channel(8);
    let (outbox, reports) = mpsc::channel(8);
    let options = Options { socket_dir: directory.path().to_owned(), evpn: true, attributes_in_place: false };
    let plane = tokio::spawn(run(options, inbox, outbox));
    let mut side = Side { commands, reports, daemons: Daemons::new() };

    let Report::Whole(objects) = side.report().await else { panic!("no whole view first") };
    assert_eq!(objects, [base()]);

    side.send(&[(Verb::Create, &block(Some(1001), true))]).await;
    assert_eq!(side.changes().await, [Change::Present(block(Some(1001), false))]);
    assert_eq!(side.outcomes().await, [Outcome::Done]);
    assert_eq!(side.changes().await, [Change::Present(block(Some(1001), true))]);

    side.send(&[(Verb::Create, &instance())]).await;
    assert_eq!(side.changes().await, [Change::Present(instance())]);
    assert_eq!(side.outcomes().await, [Outcome::Done]);

    side.send(&[(Verb::Remove, &instance()), (Verb::Remove, &block(Some(1001), true))]).await;
    let held = "bgpd refused 'no router bgp 64999 vrf vrf-1001': Please unconfigure l3vni 1001";
    assert_eq!(side.outcomes().await, [held, vrf_refusal].map(|why| Outcome::Failed(why.to_owned())));

    side.send(&[(Verb::Update, &block(None, true)), (Verb::Remove, &instance())]).await;
    let gone = Change::Absent(FrrKey::Bgp("vrf-1001".parse().unwrap()));
    assert_eq!(side.changes().await, [Change::Present(block(None, false)), gone]);
    assert_eq!(side.outcomes().await, [Outcome::Done, Outcome::Done]);

    side.send(&[(Verb::Remove, &block(None, false))]).await;
    assert_eq!(side.changes().await, [Change::Absent(FrrKey::Vrf("vrf-1001".parse().unwrap()))]);
    assert_eq!(side.outcomes().await, [Outcome::Done]);

    drop(side);
    plane.await.unwrap();
    for daemon in daemons {
        daemon.await.unwrap();
    }
}

/// The transcripts in the folder of this FRR.
macro_rules! captured {
    ($folder:literal, $($daemon:literal),+) => {
        &[$(($daemon, include_str!(concat!("../../../../fixtures/frr/", $folder, "/", $daemon, ".txt")))),+]
    };
}

#[tokio::test]
async fn one_vni_lives_and_goes_with_frr_8() {
    let refusal = "zebra refused 'no vrf vrf-1001': Only inactive VRFs can be deleted";
    one_life(captured!("8.4", "zebra", "bgpd"), refusal).await;
}

#[tokio::test]
async fn one_vni_lives_and_goes_with_frr_10_3() {
    let refusal = "mgmtd refused the commit: Only inactive VRFs can be deleted";
    one_life(captured!("10.3", "mgmtd", "zebra", "bgpd"), refusal).await;
}

#[tokio::test]
async fn one_vni_lives_and_goes_with_frr_10_7() {
    let refusal = "mgmtd refused the commit: commit failed session-id 1002 on Unknown-FD-12 req-id 9 source-ds: \
                   candidate target-ds: running validate-only: 0: reason: 'Failed to create cfgdata: Only inactive \
                   VRFs can be deleted'";
    one_life(captured!("10.7", "mgmtd", "zebra", "bgpd"), refusal).await;
}

/// What stands from the last `from` before `anchor` up to `to` behind it: (where it begins, the text).
fn part<'a>(transcript: &'a str, anchor: &str, from: &str, to: &str) -> (usize, &'a str) {
    let anchor = transcript.rfind(anchor).unwrap();
    let begin = transcript[..anchor].rfind(from).unwrap();
    let end = anchor + transcript[anchor..].find(to).unwrap();
    (begin, &transcript[begin..end])
}

#[tokio::test]
async fn an_instance_is_asked_to_go_again_while_bgpd_holds_its_l3vni() {
    let transcripts: &[(&'static str, &str)] = captured!("8.4", "zebra", "bgpd");
    let (zebra, bgpd) = (transcripts[0].1, transcripts[1].1);
    // bgpd refuses once more, as it does when it is asked before zebra has told it; so everything is looked at twice.
    let (again, _) = part(bgpd, "> no router bgp", "> configure", "> end");
    let (_, refused) = part(bgpd, "% Please unconfigure", "> configure", "> show");
    let (_, unchanged) = part(bgpd, "exit-address-family\nexit\n!", "> show running-config", "> ");
    let bgpd = [&bgpd[..again], refused, unchanged, &bgpd[again..]].concat();
    let (begin, released) = part(zebra, "> no vni", "> vrf", "> show");
    let look = begin + released.len();
    let (_, seen) = part(&zebra[look..], "\"type\":\"L2\"", "> show running-config", "> ");
    let zebra = [&zebra[..look], seen, &zebra[look..]].concat();

    let refusal = "zebra refused 'no vrf vrf-1001': Only inactive VRFs can be deleted";
    one_life(&[("zebra", &zebra), ("bgpd", &bgpd)], refusal).await;
}

#[tokio::test]
async fn a_daemon_that_goes_in_the_middle_leaves_outcomes_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let transcripts: &[(&'static str, &str)] = captured!("8.4", "zebra", "bgpd");
    let (zebra, bgpd) = (transcripts[0].1, transcripts[1].1);
    // zebra is gone once its configuration has been opened for the first operation.
    let cut = zebra.match_indices("> configure terminal").nth(1).unwrap().0;
    let _zebra = {
        let listener = UnixListener::bind(directory.path().join("zebra.vty")).unwrap();
        let mut turns = turns(&zebra[..cut]);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while let Some(turn) = turns.pop_front() {
                assert_eq!(next_line(&mut stream, &mut heard).await, turn.line);
                stream.write_all(&turn.answer).await.unwrap();
            }
        })
    };
    let _bgpd = daemon(directory.path(), "bgpd", bgpd);
    let (commands, inbox) = mpsc::channel(8);
    let (outbox, reports) = mpsc::channel(8);
    tokio::spawn(run(
        Options { socket_dir: directory.path().to_owned(), evpn: true, attributes_in_place: false },
        inbox,
        outbox,
    ));
    let mut side = Side { commands, reports, daemons: Daemons::new() };
    assert!(matches!(side.report().await, Report::Whole(_)));
    side.send(&[(Verb::Create, &block(Some(1001), true))]).await;
    assert_eq!(side.outcomes().await, [Outcome::Unknown]);
    let Report::Down(why) = side.report().await else { panic!("no word about zebra") };
    assert!(why.starts_with("zebra: the connection was closed"), "{why}");
    assert_eq!(side.daemons.get("bgpd"), Some(&None));
    let told = side.daemons.get("zebra").cloned().flatten();
    assert!(told.is_some_and(|why| why.starts_with("the connection was closed")), "{:?}", side.daemons);
}
