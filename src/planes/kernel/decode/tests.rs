//! Against what the kernel really answered (fixtures/netlink), and against whatever else may come.

use proptest::prelude::*;

use super::*;
use crate::{
    model::Vni,
    planes::{
        Change,
        kernel::{
            actual::Actual,
            dump::{Question, Unread, Which},
            object::*,
        },
    },
};

/// The sequence number of all requests in capture.py.
const SEQUENCE: u32 = 7;

macro_rules! captured {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/netlink/", $name, ".bin"))
    };
}

fn dumps() -> [(Question, &'static [u8]); 7] {
    let routes = |family, which| Question::Routes { family, table: None, which };
    [
        (Question::Links, captured!("links")),
        (Question::Addresses, captured!("addresses")),
        (Question::Neighbours, captured!("neighbours")),
        (routes(AF_INET, Which::Ours), captured!("routes4-ours")),
        (routes(AF_INET, Which::Local), captured!("routes4-local")),
        (routes(AF_INET6, Which::Ours), captured!("routes6-ours")),
        (routes(AF_INET6, Which::Local), captured!("routes6-local")),
    ]
}

fn whole() -> Actual {
    let mut actual = Actual::default();
    for (question, bytes) in dumps() {
        question.read(SEQUENCE, bytes).unwrap().into_iter().for_each(|event| actual.apply(event));
    }
    actual
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn link(actual: &Actual, text: &str) -> Link {
    actual.link(name(text)).unwrap().1
}

#[test]
fn the_links_of_a_vni() {
    let actual = whole();
    let vxlan = LinkKind::Vxlan { id: 1001, port: 4789, local: [100, 65, 0, 1].into() };
    for (text, kind, master) in [
        ("vrf-1001", LinkKind::Vrf { table: 1001 }, None),
        ("br-1001", LinkKind::Bridge, Some("vrf-1001")),
        ("vxlan-1001", vxlan, Some("br-1001")),
        ("lo-1001", LinkKind::Dummy, Some("vrf-1001")),
        ("veth-vrf-1001", LinkKind::Veth { peer: Some(name("veth-ovs-1001")) }, Some("vrf-1001")),
        ("veth-ovs-1001", LinkKind::Veth { peer: Some(name("veth-vrf-1001")) }, None),
    ] {
        let link = link(&actual, text);
        assert_eq!(link.kind, kind);
        assert_eq!(link.master, master.map(name), "{text}");
        assert_eq!(link.owner, Vni::new(1001).map(Mark::Vni), "{text}");
        assert!(link.up, "{text}");
        assert_eq!(link.settings.no_ipv6_autogen, text != "vrf-1001", "{text}");
        assert_eq!(link.mac.map(|mac| mac.0[..5] == [2, 0, 0, 0, 0]), Some(true), "{text}");
    }
    let lo = link(&actual, "lo");
    assert_eq!((lo.kind, lo.owner, lo.up), (LinkKind::Other(String::new()), None, false));
    let local = "2001:db8::1".parse().unwrap();
    assert_eq!(link(&actual, "vx6").kind, LinkKind::Vxlan { id: 7, port: 4790, local });
}

#[test]
fn what_hangs_on_them() {
    let mut actual = whole();
    let objects = actual.whole();
    let host =
        |ip: &str| Address { local_route: true, ..Address::host(name("lo-1001"), ip.parse().unwrap()) };
    let route = |prefix: &str, metric, next_hop| Route {
        table: 1001,
        prefix: prefix.parse().unwrap(),
        metric,
        next_hop,
    };
    let veth = name("veth-vrf-1001");
    let via = |ip: &str| NextHop::Via(ip.parse().unwrap(), veth);
    let neighbour = |ip: &str| Neighbour {
        dev: veth,
        ip: ip.parse().unwrap(),
        mac: "fa:16:3e:7f:59:7f".parse().unwrap(),
        marked: false,
    };
    let peer =
        Address { dev: name("veth-ovs-1001"), ip: [192, 0, 2, 1].into(), length: 31, local_route: false };
    let wanted = [
        host("172.24.4.146").into(),
        host("20.0.0.10").into(),
        host("2001:db8:1::10").into(),
        KernelObject::from(peer),
        route("172.24.4.146/32", 0, NextHop::Link(veth)).into(),
        route("20.0.0.0/24", 0, via("172.24.4.146")).into(),
        route("0.0.0.0/0", 4_278_198_272, NextHop::Unreachable).into(),
        route("2001:db8:ffff::1/128", 1024, NextHop::Link(veth)).into(),
        route("2001:db8:1::/64", 1024, via("2001:db8:ffff::1")).into(),
        route("::/0", 4_278_198_272, NextHop::Unreachable).into(),
        neighbour("172.24.4.146").into(),
        neighbour("2001:db8:ffff::1").into(),
    ];
    for object in &wanted {
        assert!(objects.contains(object), "{object:?} is missing in {objects:#?}");
    }
    let count = |wanted: fn(&KernelObject) -> bool| objects.iter().filter(|object| wanted(object)).count();
    assert_eq!(count(|object| matches!(object, KernelObject::Route(_))), 6);
    assert_eq!(count(|object| matches!(object, KernelObject::Neighbour(_))), 2, "permanent ones only");
}

#[test]
fn a_part_of_an_answer_is_no_answer() {
    for (question, bytes) in dumps() {
        for cut in [bytes.len() - 20, bytes.len() - 1, 16] {
            assert!(question.read(SEQUENCE, &bytes[..cut]).is_err(), "{question:?} cut to {cut}");
        }
        let mut interrupted = bytes.to_vec();
        interrupted[6] |= NLM_F_DUMP_INTR as u8;
        assert_eq!(question.read(SEQUENCE, &interrupted), Err(Unread::Interrupted), "{question:?}");
        assert_eq!(question.read(SEQUENCE + 1, bytes), Err(Unread::Endless), "another question's answer");
    }
}

#[test]
fn a_refusal_has_the_kernels_words() {
    let message = wire::messages(captured!("refused-route")).next().unwrap().unwrap();
    let words = Some("Nexthop has invalid gateway".to_owned());
    assert_eq!(answer(&message), Ok(Some(Answer { errno: 101, words })));
}

#[test]
fn an_alias_is_ours_only_as_we_write_it() {
    for mark in [Mark::Vni(Vni::new(1001).unwrap()), Mark::Underlay] {
        assert_eq!(owner(&alias(mark)), Some(mark));
    }
    for text in [
        "",
        "bgp-agent",
        "bgp-agent 01001",
        "bgp-agent 1001 ",
        "bgp-agent 0",
        "my bgp-agent 1001",
        "bgp-agent Underlay",
    ] {
        assert_eq!(owner(text), None, "{text}");
    }
}

/// The captured messages, with some of their bytes changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<_> = dumps().iter().map(|dump| dump.1).chain([&captured!("refused-route")[..]]).collect();
    let damage = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    (prop::sample::select(all), damage).prop_map(|(bytes, damage)| {
        let mut bytes = bytes.to_vec();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn damaged_messages_do_no_harm(bytes in damaged()) {
        let mut actual = whole();
        for message in wire::messages(&bytes).flatten() {
            if let Ok(Some(event)) = event(&message) {
                actual.hear(event);
            }
            let _ = (any_route(&message), ways(&message), answer(&message));
        }
        let (told, whole) = (actual.flush(), actual.whole());
        let agrees = told.iter().all(|change| match change {
            Change::Present(object) => whole.contains(object),
            Change::Absent(key) => whole.iter().all(|object| object.key() != *key),
        });
        prop_assert!(agrees, "what is told and what is there differ");
        for question in Question::everything() {
            let _ = question.read(SEQUENCE, &bytes);
        }
    }
}

/// A route of BGP's, IPv4 in table 7, with these attributes behind its destination.
fn bgp_route(more: &[u8]) -> Result<Vec<Event>, Malformed> {
    let mut payload = vec![AF_INET, 24, 0, 0, 7, RTPROT_BGP, 0, RTN_UNICAST, 0, 0, 0, 0];
    payload.extend([8, 0, RTA_DST as u8, 0, 10, 99, 0, 0]);
    payload.extend(more);
    ways(&Message { kind: RTM_NEWROUTE, flags: 0, sequence: 1, payload: &payload })
}

fn gateways(told: Vec<Event>) -> Vec<(String, u32)> {
    let gateway = |event| match event {
        Event::Route(_, Hop::Via(gateway, index), RTPROT_BGP) => (gateway.to_string(), index),
        other => panic!("{other:?}"),
    };
    told.into_iter().map(gateway).collect()
}

#[test]
fn the_gateways_of_a_route_are_read_from_wherever_they_stand() {
    let single = [8, 0, RTA_GATEWAY as u8, 0, 100, 65, 0, 9, 8, 0, RTA_OIF as u8, 0, 5, 0, 0, 0];
    let object = [8, 0, RTA_NH_ID as u8, 0, 1, 0, 0, 0];
    assert_eq!(gateways(bgp_route(&single).unwrap()), [("100.65.0.9".to_owned(), 5)]);
    assert_eq!(gateways(bgp_route(&[&object[..], &single].concat()).unwrap()).len(), 1);
    assert_eq!(bgp_route(&object), Ok(Vec::new()), "the kernel does not name it");

    let hop =
        |last: u8, index: u8| [16, 0, 0, 0, index, 0, 0, 0, 8, 0, RTA_GATEWAY as u8, 0, 100, 65, 0, last];
    let plain = [8, 0, 0, 0, 6, 0, 0, 0];
    let several = [&hop(8, 5)[..], &plain, &hop(9, 7)].concat();
    let multipath = |hops: &[u8]| [&[4 + hops.len() as u8, 0, RTA_MULTIPATH as u8, 0], hops].concat();
    let expected = [("100.65.0.8".to_owned(), 5), ("100.65.0.9".to_owned(), 7)];
    assert_eq!(gateways(bgp_route(&multipath(&several)).unwrap()), expected);
    for length in [0, 7, 17] {
        let mut broken = several.clone();
        broken[0] = length;
        let told = bgp_route(&multipath(&broken));
        assert!(told.is_err() || length == 17, "{length}: {told:?}");
    }
    assert!(bgp_route(&multipath(&several[..7])).is_err());
}
