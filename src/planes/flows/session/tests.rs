//! The dialogue in virtual time: the other side is played by these tests.

use bytes::BytesMut;
use ofproto::{FlowStats, Match, Port, reserved_port};

use super::*;
use crate::{
    model::OfPort,
    planes::{
        Operation, Outcome, Verb,
        flows::{
            encode,
            object::{COOKIE, Cookies, FlowRule},
        },
    },
};

const COOKIES: Cookies = Cookies { evpn: true, underlay: false };

struct Peer {
    session: Session,
    now: Instant,
}

impl Peer {
    fn new() -> Self {
        let now = Instant::now();
        Self { session: Session::new("br-ex".parse().unwrap(), COOKIES, true, now), now }
    }

    /// A session that has read everything: a port, and no flow.
    fn ready() -> Self {
        let mut peer = Self::new();
        peer.says(0, Message::Hello(Hello::only(4))).unwrap();
        let asked = peer.hears();
        let [.., (ports, _), (flows, _)] = &asked[..] else { panic!("{asked:?}") };
        peer.says(*ports, ports_reply()).unwrap();
        peer.says(*flows, flows_reply(vec![])).unwrap();
        assert!(matches!(peer.session.next_report(), Some(Report::Whole(whole)) if whole.len() == 1));
        peer
    }

    fn says(&mut self, xid: u32, message: Message) -> Result<(), Broken> {
        let mut wire = Vec::new();
        message.encode(xid, &mut wire).unwrap();
        self.session.receive(&mut BytesMut::from(&wire[..]), self.now)
    }

    fn hears(&mut self) -> Vec<(u32, Message)> {
        let mut bytes = BytesMut::from(&self.session.take_output()[..]);
        let frames = std::iter::from_fn(|| next_frame(&mut bytes).unwrap());
        frames.map(|bytes| Frame::decode(&bytes).unwrap()).map(|frame| (frame.xid, frame.message)).collect()
    }

    fn waits(&mut self, time: Duration) -> Result<(), Broken> {
        self.now += time;
        self.session.elapse(self.now)
    }

    fn is_told(&mut self, id: u64, rules: &[FlowRule]) {
        let bridge = self.session.bridge;
        let flow = |rule: &FlowRule| FlowsObject::Flow(Flow { bridge, rule: rule.clone() });
        let operations =
            rules.iter().map(|rule| Operation { verb: Verb::Create, object: flow(rule) }).collect();
        self.session.command(FlowsCommand::Apply { id, operations }, self.now);
    }
}

fn ports_reply() -> Message {
    Message::MultipartReply(MultipartReply::Ports { more: false, ports: vec![port("patch")] })
}

fn port(name: &str) -> Port {
    let mut raw_name = [0; 16];
    raw_name[..name.len()].copy_from_slice(name.as_bytes());
    let mac = ofproto::MacAddr([2, 0, 0, 0, 0, 1]);
    Port { number: 1, mac, raw_name, config: 0, state: 0, features: [0; 6] }
}

fn flows_reply(flows: Vec<FlowStats>) -> Message {
    Message::MultipartReply(MultipartReply::Flows { more: false, flows })
}

fn rules(count: u8) -> Vec<FlowRule> {
    let rule = |last| FlowRule::Redirect {
        in_port: OfPort(1),
        router: ofproto::MacAddr([2, 0, 0, 0, 0, 1]),
        subnet: format!("10.0.0.{last}/32").parse().unwrap(),
        vlan: false,
        to: ofproto::MacAddr([2, 0, 0, 0, 0, 2]),
        output: OfPort(2),
    };
    (0..count).map(rule).collect()
}

fn refusal() -> Message {
    Message::Error(ErrorMessage { kind: 5, code: 1, experimenter: None, data: vec![] })
}

#[test]
fn it_asks_for_its_own_packets_and_for_all_ports_and_flows() {
    let mut peer = Peer::new();
    assert_eq!(peer.hears(), [(1, Message::Hello(Hello::only(4)))]);
    // As OVS does: a hello of 1.5 without bitmap.
    let hello = [6, 0, 0, 8, 0, 0, 0, 1];
    peer.session.receive(&mut BytesMut::from(&hello[..]), peer.now).unwrap();
    let asked: Vec<Message> = peer.hears().into_iter().map(|(_, message)| message).collect();
    let flows = MultipartRequest::Flows(FlowStatsRequest::all());
    let monitor = FlowMonitorRequest::changes_by_others(1);
    assert_eq!(
        asked,
        [
            Message::SetConfig(SwitchConfig { flags: 0, miss_send_len: 0xffff }),
            Message::SetAsync(AsyncConfig { packet_in: [2; 2], port_status: [7; 2], flow_removed: [0; 2] }),
            Message::SetControllerId(0x3e6),
            Message::MultipartRequest(MultipartRequest::FlowMonitor(monitor)),
            Message::MultipartRequest(MultipartRequest::Ports),
            Message::MultipartRequest(flows),
        ]
    );
}

#[test]
fn a_peer_without_our_version_is_left() {
    let error = Peer::new().says(0, Message::Hello(Hello { versions: Some(1 << 1 | 1 << 6) })).unwrap_err();
    assert!(error.to_string().contains("does not speak OpenFlow 1.3"), "{error}");
}

#[test]
fn the_view_has_ports_as_they_are_when_it_is_complete() {
    let mut peer = Peer::new();
    peer.says(0, Message::Hello(Hello::only(4))).unwrap();
    let asked = peer.hears();
    let [.., (ports, _), (flows, _)] = &asked[..] else { panic!("{asked:?}") };
    let status = |change, name| Message::PortStatus(PortStatus { change, port: port(name) });
    peer.says(0, status(PortChange::Added, "early")).unwrap();
    peer.says(*ports, ports_reply()).unwrap();
    peer.says(0, status(PortChange::Added, "late")).unwrap();
    peer.says(0, status(PortChange::Deleted, "patch")).unwrap();
    peer.says(*flows, flows_reply(vec![])).unwrap();
    let Some(Report::Whole(whole)) = peer.session.next_report() else { panic!("no whole") };
    let names: Vec<_> = whole.iter().map(FlowsObject::key).collect();
    assert_eq!(names, [FlowsKey::Port(peer.session.bridge, "late".into())]);
}

#[test]
fn a_view_in_parts_is_told_at_its_end() {
    let mut peer = Peer::ready();
    peer.session.command(FlowsCommand::Read, peer.now);
    peer.session.command(FlowsCommand::Read, peer.now);
    let asked = peer.hears();
    let [(ports, _), (flows, _)] = &asked[..] else { panic!("{asked:?}") };
    peer.says(*ports, ports_reply()).unwrap();
    let rules_told = rules(2);
    let parts = rules_told.iter().map(encode::identity).zip([true, false]).map(|(identity, more)| {
        let flow = FlowStats {
            table: 0,
            seconds: 0,
            nanoseconds: 0,
            priority: identity.priority,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: 0,
            cookie: COOKIE,
            packets: 0,
            bytes: 0,
            matches: identity.matches,
            instructions: encode::instructions(&rules(1)[0]).unwrap(),
        };
        Message::MultipartReply(MultipartReply::Flows { more, flows: vec![flow] })
    });
    for part in parts {
        assert!(!peer.session.has_reports());
        peer.says(*flows, part).unwrap();
    }
    let Some(Report::Whole(whole)) = peer.session.next_report() else { panic!("no whole") };
    let bridge = peer.session.bridge;
    let expected = rules(2).into_iter().map(|rule| FlowsObject::Flow(Flow { bridge, rule }));
    assert_eq!(whole[1..], expected.collect::<Vec<_>>());
    assert_eq!(peer.hears().len(), 2, "the second command reads again");
}

#[test]
fn silence_is_probed_and_then_ends_it() {
    let mut peer = Peer::ready();
    assert_eq!(peer.session.deadline(), peer.now + QUIET);
    peer.waits(QUIET).unwrap();
    let heard = peer.hears();
    let [(xid, Message::EchoRequest(_))] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(peer.session.deadline(), peer.now + (SILENT - QUIET));
    peer.says(*xid, Message::EchoReply(vec![])).unwrap();
    peer.waits(SILENT - Duration::from_millis(1)).unwrap();
    assert!(matches!(peer.waits(Duration::from_millis(1)), Err(Broken::Silent)));
}

#[test]
fn an_answer_that_never_comes_ends_it() {
    let mut peer = Peer::ready();
    peer.is_told(1, &rules(1));
    for _ in 0..5 {
        peer.waits(Duration::from_secs(10)).unwrap();
        peer.says(9, Message::EchoReply(vec![])).unwrap();
    }
    assert!(matches!(peer.waits(Duration::from_secs(10)), Err(Broken::Stuck(_))));
}

#[test]
fn echo_requests_are_answered_with_their_bytes() {
    let mut peer = Peer::ready();
    peer.says(77, Message::EchoRequest(vec![1, 2, 3])).unwrap();
    assert_eq!(peer.hears(), [(77, Message::EchoReply(vec![1, 2, 3]))]);
}

#[test]
fn a_failed_bundle_is_sent_again_without_what_failed() {
    let mut peer = Peer::ready();
    peer.is_told(1, &rules(3));
    let sent = peer.hears();
    let [_, (first, _), (second, _), (third, _), (commit, _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!([*second, *third], [first + 1, first + 2]);
    peer.says(*second, refusal()).unwrap();
    peer.says(*commit, refusal()).unwrap();
    let again = peer.hears();
    let [(xid, Message::FlowMod(_)), (other, Message::FlowMod(_)), (barrier, Message::BarrierRequest)] =
        &again[..]
    else {
        panic!("{again:?}")
    };
    assert_eq!(*other, xid + 1);
    peer.says(*other, refusal()).unwrap();
    assert!(!peer.session.has_reports(), "nothing is told before the barrier's reply");
    peer.says(*barrier, Message::BarrierReply).unwrap();
    let Some(Report::Results { id: 1, outcomes }) = peer.session.next_report() else { panic!("no results") };
    let failed = Outcome::Failed("OVS refuses the flow: OFPFMFC_TABLE_FULL".to_owned());
    assert_eq!(outcomes, [Outcome::Done, failed.clone(), failed]);
}

#[test]
fn ports_and_unknown_rules_are_not_made() {
    let mut peer = Peer::ready();
    let bridge = peer.session.bridge;
    let unknown = FlowRule::Unknown { cookie: COOKIE, table: 1, priority: 2, matches: Match::new().into() };
    let objects = [
        FlowsObject::Port(decode::port(bridge, &port("patch"))),
        FlowsObject::Flow(Flow { bridge, rule: unknown }),
        FlowsObject::Flow(Flow { bridge, rule: rules(1).remove(0) }),
    ];
    let operations = objects.map(|object| Operation { verb: Verb::Create, object }).to_vec();
    peer.session.command(FlowsCommand::Apply { id: 1, operations }, peer.now);
    let (commit, _) = peer.hears().pop().unwrap();
    peer.says(commit, Message::BundleControl(ofproto::BundleControl { bundle: 1, kind: 5, flags: 3 }))
        .unwrap();
    let Some(Report::Results { outcomes, .. }) = peer.session.next_report() else { panic!("no results") };
    assert!(matches!(&outcomes[..], [Outcome::Failed(_), Outcome::Failed(_), Outcome::Done]), "{outcomes:?}");
}

#[test]
fn at_its_end_nobody_knows_what_was_done() {
    let mut peer = Peer::ready();
    peer.is_told(1, &rules(2));
    peer.is_told(2, &rules(1));
    let ends: Vec<_> = peer.session.end().collect();
    let told = ends.iter().map(|report| match report {
        Report::Results { id, outcomes } => (*id, outcomes.clone()),
        other => panic!("{other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [(1, vec![Outcome::Unknown; 2]), (2, vec![Outcome::Unknown])]);
}

#[test]
fn packets_of_other_flows_are_not_answered() {
    let mut peer = Peer::ready();
    let packet = PacketIn {
        buffer_id: u32::MAX,
        total_length: 14,
        reason: packet_in_reason::ACTION,
        table: 0,
        cookie: 0,
        matches: Match::new().with(ofproto::Field::in_port(reserved_port::LOCAL)),
        data: vec![0; 14],
    };
    peer.says(0, Message::PacketIn(packet)).unwrap();
    assert_eq!(peer.hears(), []);
}

/// All that the bridge says to a session that reads everything, as bytes, and the session before it.
fn a_whole_reading() -> (Peer, Vec<u8>) {
    let mut peer = Peer::new();
    peer.says(0, Message::Hello(Hello::only(4))).unwrap();
    let asked = peer.hears();
    let [.., (ports, _), (flows, _)] = &asked[..] else { panic!("{asked:?}") };
    let mut wire = Vec::new();
    ports_reply().encode(*ports, &mut wire).unwrap();
    for more in [true, false] {
        let part = MultipartReply::Flows { more, flows: vec![] };
        Message::MultipartReply(part).encode(*flows, &mut wire).unwrap();
    }
    (peer, wire)
}

/// Cut anywhere, damaged anywhere, or with one message twice: never a whole view of less than everything.
#[test]
fn a_reading_with_faults_is_no_whole_view() {
    let (_, wire) = a_whole_reading();
    for cut in 0..wire.len() {
        let (mut peer, wire) = a_whole_reading();
        let _ = peer.session.receive(&mut BytesMut::from(&wire[..cut]), peer.now);
        assert!(peer.session.next_report().is_none(), "cut at {cut}");
        assert!(peer.session.end().next().is_none(), "cut at {cut}, and closed");
    }
    for at in 0..wire.len() {
        let (mut peer, mut wire) = a_whole_reading();
        wire[at] ^= 0x55;
        let _ = peer.session.receive(&mut BytesMut::from(&wire[..]), peer.now);
        while let Some(report) = peer.session.next_report() {
            let Report::Whole(whole) = report else { panic!("damaged at {at}: {report:?}") };
            assert_eq!(whole.len(), 1, "damaged at {at}");
        }
    }
    let (mut peer, wire) = a_whole_reading();
    let twice = [&wire[..], &wire[..]].concat();
    peer.session.receive(&mut BytesMut::from(&twice[..]), peer.now).unwrap();
    assert!(matches!(peer.session.next_report(), Some(Report::Whole(whole)) if whole.len() == 1));
    assert!(peer.session.next_report().is_none(), "what was said twice is one view");
}

#[test]
fn flows_by_others_are_told_once_the_flows_were_read() {
    let update = |cookie| {
        let flow = ofproto::ChangedFlow {
            event: ofproto::FlowEvent::Added,
            reason: 0,
            priority: 5,
            idle_timeout: 0,
            hard_timeout: 0,
            table: 0,
            cookie,
            matches: Match::new(),
            instructions: Default::default(),
        };
        let updates = vec![FlowUpdate::Full(flow.into()), FlowUpdate::Own(9)];
        Message::MultipartReply(MultipartReply::FlowUpdates { more: false, updates })
    };
    let mut peer = Peer::ready();
    peer.says(0, update(7)).unwrap();
    assert!(peer.session.next_report().is_none(), "nobody's business");
    peer.says(0, update(COOKIE)).unwrap();
    assert!(matches!(peer.session.next_report(), Some(Report::Changed(changes)) if changes.len() == 1));
    peer.hears();
    peer.says(0, Message::FlowMonitorResumed).unwrap();
    assert!(peer.hears().len() == 2, "all is read again");
    peer.says(0, update(COOKIE)).unwrap();
    assert!(peer.session.next_report().is_none(), "the answer that is to come knows of it");
}
