//! Messages of a real Open vSwitch (fixtures/openflow): what they mean, and that encoding gives the same bytes again.

use std::path::Path;

use ofproto::{
    Action, Field, FlowCommand, FlowEvent, FlowMonitorRequest, FlowUpdate, Frame, Header, Masked, Match,
    Message, MultipartReply, MultipartRequest, NO_BUFFER, PortChange, bundle_type, reserved_port,
};

const ROUTER: &str = "fa:16:3e:7f:59:7f";
const ANSWER: &str = "aa:bb:cc:dd:ee:ff";

/// The messages of a file, in order.
fn messages(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/openflow").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| bytes(line.trim_start_matches(['<', '>', ' ']))).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn decoded(name: &str) -> Vec<Message> {
    messages(name).iter().map(|bytes| Frame::decode(bytes).unwrap().message).collect()
}

fn flows(name: &str) -> Vec<ofproto::FlowStats> {
    let replies = decoded(name).into_iter().filter_map(|message| match message {
        Message::MultipartReply(MultipartReply::Flows { flows, .. }) => Some(flows),
        _ => None,
    });
    replies.flatten().collect()
}

#[test]
fn encoding_gives_the_same_bytes() {
    // In unknown.txt OVS has a register among OpenFlow's own fields, so that order differs.
    let files = "show dump bundle bundle_refused refused monitor packet_out flow_monitor";
    for name in files.split(' ') {
        for wire in messages(&format!("{name}.txt")) {
            let mut again = Vec::new();
            Frame::decode(&wire).unwrap().encode(&mut again).unwrap();
            assert_eq!(again, wire, "{name}");
        }
    }
}

#[test]
fn hello_of_ovs_speaks_for_older_versions_too() {
    let hello = Frame::decode(&messages("show.txt")[1]).unwrap();
    let Message::Hello(versions) = hello.message else { panic!("{hello:?}") };
    assert_eq!(hello.version, 6);
    assert!(versions.speaks(4, hello.version) && !versions.speaks(7, hello.version));
    let Message::Hello(asked) = decoded("show.txt").remove(0) else { panic!() };
    assert!(asked.speaks(4, 4) && !asked.speaks(1, 4));
}

#[test]
fn ports_have_number_name_and_mac() {
    let Some(Message::MultipartReply(MultipartReply::Ports { more: false, ports })) =
        decoded("show.txt").pop()
    else {
        panic!()
    };
    let told: Vec<_> = ports.iter().map(|port| (port.number, port.name(), port.mac.to_string())).collect();
    assert_eq!(
        told,
        [
            (reserved_port::LOCAL, "br0".into(), "ee:e3:a2:00:d3:42".to_owned()),
            (1, "p1".into(), "aa:55:aa:55:00:02".to_owned()),
            (2, "p2".into(), "aa:55:aa:55:00:01".to_owned()),
        ]
    );
    let changes = decoded("monitor.txt").into_iter().filter_map(|message| match message {
        Message::PortStatus(status) => {
            Some((status.change, status.port.number, status.port.name().into_owned()))
        }
        _ => None,
    });
    let port = |change| (change, 7, "p7".to_owned());
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [port(PortChange::Added), port(PortChange::Modified), port(PortChange::Deleted)]
    );
}

#[test]
fn flows_are_known_in_all_their_parts() {
    let flows = flows("dump.txt");
    let [solicitations, arp, redirect, normal] = &flows[..] else { panic!("{flows:#?}") };
    let (router, answer): (ofproto::MacAddr, ofproto::MacAddr) =
        (ROUTER.parse().unwrap(), ANSWER.parse().unwrap());
    let from_router = Match::new().with(Field::in_port(1)).with(Field::eth_src(router));

    let target: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
    let matches = from_router.clone().with(Field::eth_type(0x86dd)).with(Field::ip_proto(58));
    let matches =
        matches.with(Field::icmpv6_type(135)).with(Field::icmpv6_code(0)).with(Field::nd_target(target));
    assert_eq!((solicitations.cookie, solicitations.table, solicitations.priority), (0x3e6, 0, 1001));
    assert_eq!(solicitations.matches, matches);
    let controller = Action::Controller { max_len: NO_BUFFER, id: 998, reason: 1 };
    assert_eq!(solicitations.instructions.apply[..], [Action::SetField(Field::eth_dst(answer)), controller]);

    assert_eq!(arp.matches, from_router.clone().with(Field::eth_type(0x0806)).with(Field::arp_op(1)));
    let copy = Action::copy;
    assert_eq!(
        arp.instructions.apply[..],
        [
            copy(Header::NXM_ETH_SRC, Header::NXM_ETH_DST),
            Action::SetField(Field::eth_src(answer)),
            Action::SetField(Field::arp_op(2)),
            copy(Header::NXM_ARP_SHA, Header::NXM_ARP_THA),
            Action::SetField(Field::arp_sha(answer)),
            copy(Header::NXM_ARP_TPA, Header::REG0),
            copy(Header::NXM_ARP_SPA, Header::NXM_ARP_TPA),
            copy(Header::REG0, Header::NXM_ARP_SPA),
            Action::output(reserved_port::IN_PORT),
        ]
    );

    let subnet = Masked::prefix(std::net::Ipv4Addr::new(20, 0, 0, 0), 24);
    let matches =
        from_router.with(Field::eth_type(0x0800)).with(Field::any_vlan()).with(Field::ipv4_src(subnet));
    assert_eq!(redirect.matches, matches);
    let actions = [Action::PopVlan, Action::SetField(Field::eth_dst(answer)), Action::output(2)];
    assert_eq!(redirect.instructions.apply[..], actions);
    assert_eq!((normal.cookie, normal.priority, &normal.matches), (0, 0, &Match::new()));
}

#[test]
fn what_is_not_known_is_kept() {
    for flow in flows("unknown.txt") {
        let message =
            Message::MultipartReply(MultipartReply::Flows { more: false, flows: vec![flow.clone()] });
        let mut wire = Vec::new();
        message.clone().encode(1, &mut wire).unwrap();
        assert_eq!(Frame::decode(&wire).unwrap().message, message);
    }
    let texts: Vec<String> = flows("unknown.txt").iter().map(ToString::to_string).collect();
    assert_eq!(
        texts[0],
        "cookie=0x3e6, table=7, priority=6,ip,oxm(0x0001:3)=0x00000007,oxm(0x0001:29)=0x40 actions=drop"
    );
    assert!(
        texts[1].starts_with("cookie=0x3e6, table=7, priority=5,tcp6,oxm(0x8000:14)=0x1000f000,"),
        "{}",
        texts[1]
    );
    assert!(
        texts[1].contains("actions=load:0x5->oxm(0x0001:1)[0..3],push_vlan:0x8100,set_field:"),
        "{}",
        texts[1]
    );
    assert!(texts[1].ends_with(",goto_table:9"), "{}", texts[1]);
}

#[test]
fn bundles_are_opened_filled_and_committed() {
    let all = decoded("bundle.txt");
    let kinds: Vec<u16> = all
        .iter()
        .filter_map(|message| match message {
            Message::BundleControl(control) => Some(control.kind),
            _ => None,
        })
        .collect();
    use bundle_type::{COMMIT_REPLY, COMMIT_REQUEST, OPEN_REPLY, OPEN_REQUEST};
    assert_eq!(kinds, [OPEN_REQUEST, OPEN_REPLY, COMMIT_REQUEST, COMMIT_REPLY]);
    let commands: Vec<FlowCommand> = all
        .iter()
        .filter_map(|message| match message {
            Message::BundleAdd(add) => Some(add.flow_mod.command),
            _ => None,
        })
        .collect();
    assert_eq!(commands, [FlowCommand::Add, FlowCommand::DeleteStrict]);
}

#[test]
fn errors_have_the_names_of_ovs_and_the_refused_message() {
    let errors = |name| -> Vec<(u32, String, Vec<u8>)> {
        let frames = messages(name).into_iter().map(|wire| Frame::decode(&wire).unwrap());
        let errors = frames.filter_map(|frame| match frame.message {
            Message::Error(error) => Some((frame.xid, error.to_string(), error.data)),
            _ => None,
        });
        errors.collect()
    };
    let plain = errors("refused.txt");
    assert_eq!((plain[0].0, &plain[0].1[..]), (6, "OFPFMFC_TABLE_FULL"));
    assert!(matches!(Frame::decode(&plain[0].2).unwrap().message, Message::FlowMod(_)));
    let bundled: Vec<String> = errors("bundle_refused.txt").into_iter().map(|error| error.1).collect();
    assert_eq!(bundled, ["OFPFMFC_TABLE_FULL", "OFPBFC_MSG_FAILED"]);
}

#[test]
fn packets_come_with_their_port() {
    let packet = decoded("monitor.txt").into_iter().find_map(|message| match message {
        Message::PacketIn(packet) => Some(packet),
        _ => None,
    });
    let packet = packet.unwrap();
    assert_eq!(packet.matches, Match::new().with(Field::in_port(2)));
    assert_eq!((packet.reason, packet.data.len()), (1, usize::from(packet.total_length)));
    assert_eq!(packet.data[12..16], [0x81, 0, 0, 5]);
}

#[test]
fn changed_flows_are_told() {
    let decoded = decoded("flow_monitor.txt");
    let Message::MultipartRequest(MultipartRequest::FlowMonitor(asked)) = &decoded[0] else {
        panic!("{decoded:?}")
    };
    assert_eq!(*asked, FlowMonitorRequest { flags: 0x3e, ..FlowMonitorRequest::changes_by_others(0) });
    let updates = decoded.into_iter().filter_map(|message| match message {
        Message::MultipartReply(MultipartReply::FlowUpdates { updates, .. }) => Some(updates),
        _ => None,
    });
    let told: Vec<_> = updates
        .flatten()
        .map(|update| match update {
            FlowUpdate::Full(flow) => {
                (flow.event, flow.cookie, flow.instructions.apply.len(), flow.idle_timeout)
            }
            FlowUpdate::Own(xid) => panic!("not its own: {xid}"),
        })
        .collect();
    let expected = [
        (FlowEvent::Added, 0x3e6, 2, 0),
        (FlowEvent::Modified, 0x3e6, 0, 0),
        // One that takes another's place is told as added.
        (FlowEvent::Added, 7, 0, 60),
        (FlowEvent::Deleted, 7, 0, 60),
    ];
    assert_eq!(told, expected);
}
