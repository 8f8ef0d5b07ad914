//! What is written is what our own reading and an independent reader (netlink-packet-route) understand.

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, InfoKind, InfoVeth, InfoVxlan, LinkAttribute, LinkInfo},
    route::{RouteAddress, RouteAttribute, RouteFlags, RouteProtocol, RouteScope, RouteType},
};
use proptest::prelude::*;

use super::*;
use crate::{
    model::{MacAddr, Mark, Vni},
    planes::kernel::{
        decode::{self, Event, Hop, LinkFacts},
        wire::{Message, attributes, messages},
    },
};

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

/// A VRF and a dummy in it, with indexes 1 and 2.
fn scenery() -> Actual {
    let mut actual = Actual::default();
    let vrf = LinkFacts {
        kind: LinkKind::Vrf { table: 1001 },
        owner: Vni::new(1001).map(Mark::Vni),
        ..LinkFacts::new(name("vrf-1001"))
    };
    let dummy = LinkFacts { kind: LinkKind::Dummy, master: Some(1), ..LinkFacts::new(name("lo-1001")) };
    actual.apply(Event::Link(1, Box::new(vrf)));
    actual.apply(Event::Link(2, Box::new(dummy)));
    actual
}

/// The bytes of these operations on that scenery; the kernel's words for why not.
fn encoded(operations: &[Operation<KernelObject>]) -> Result<Vec<u8>, String> {
    let (actual, mut indexes, mut out) = (scenery(), Indexes(Indexes::RANGE.start), Requests::new(1));
    let mut made = HashMap::new();
    for (at, each) in operations.iter().enumerate() {
        let mut scene = Scene { actual: &actual, made: &mut made, indexes: &mut indexes };
        operation(at, each, &mut scene, &mut out)?;
    }
    Ok(out.take_bytes())
}

fn create(object: impl Into<KernelObject>) -> Operation<KernelObject> {
    Operation { verb: Verb::Create, object: object.into() }
}

fn remove(object: impl Into<KernelObject>) -> Operation<KernelObject> {
    Operation { verb: Verb::Remove, object: object.into() }
}

fn plain(text: &str, kind: LinkKind) -> Link {
    let settings = Settings::default();
    Link {
        name: name(text),
        kind,
        master: None,
        up: true,
        mtu: None,
        owner: Vni::new(1001).map(Mark::Vni),
        settings,
        mac: None,
    }
}

fn each(bytes: &[u8]) -> Vec<Message<'_>> {
    messages(bytes).map(Result::unwrap).collect()
}

fn understood(bytes: &[u8]) -> Vec<RouteNetlinkMessage> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).unwrap();
        rest = &rest[message.header.length.next_multiple_of(4) as usize..];
        let NetlinkPayload::InnerMessage(inner) = message.payload else { panic!("{:?}", message.payload) };
        all.push(inner);
    }
    all
}

fn kind_of(message: &RouteNetlinkMessage) -> (Option<InfoKind>, Option<InfoData>) {
    let RouteNetlinkMessage::NewLink(link) = message else { panic!("{message:?}") };
    let info = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(info) => Some(info.clone()),
        _ => None,
    });
    let (mut kind, mut data) = (None, None);
    for part in info.into_iter().flatten() {
        match part {
            LinkInfo::Kind(found) => kind = Some(found),
            LinkInfo::Data(found) => data = Some(found),
            _ => {}
        }
    }
    (kind, data)
}

#[test]
fn another_reader_understands_new_links() {
    let local = IpAddr::from([100, 65, 0, 1]);
    let bytes =
        encoded(&[create(plain("vxlan-1001", LinkKind::Vxlan { id: 1001, port: 4789, local }))]).unwrap();
    let (kind, data) = kind_of(&understood(&bytes)[0]);
    assert_eq!(kind, Some(InfoKind::Vxlan));
    let Some(InfoData::Vxlan(data)) = data else { panic!("{data:?}") };
    for wanted in [InfoVxlan::Id(1001), InfoVxlan::Port(4789), InfoVxlan::Learning(false)] {
        assert!(data.contains(&wanted), "{wanted:?} in {data:?}");
    }

    let bytes = encoded(&[create(plain("veth-a", LinkKind::Veth { peer: Some(name("veth-b")) }))]).unwrap();
    let (kind, data) = kind_of(&understood(&bytes)[0]);
    assert_eq!(kind, Some(InfoKind::Veth));
    let Some(InfoData::Veth(InfoVeth::Peer(peer))) = data else { panic!("{data:?}") };
    assert_eq!(peer.header.index, Indexes::RANGE.start + 2);
    assert_eq!(peer.attributes, [LinkAttribute::IfName("veth-b".to_owned())]);
}

#[test]
fn another_reader_understands_routes() {
    let next_hop = NextHop::Via([172, 24, 4, 146].into(), name("lo-1001"));
    let route = Route { table: 16_777_215, prefix: "20.0.0.0/24".parse().unwrap(), metric: 5, next_hop };
    let bytes = encoded(&[create(route.clone()), remove(route)]).unwrap();
    let understood = understood(&bytes);
    let [RouteNetlinkMessage::NewRoute(new), RouteNetlinkMessage::DelRoute(gone)] = &understood[..] else {
        panic!("{understood:?}")
    };
    for (message, scope) in [(new, RouteScope::Universe), (gone, RouteScope::NoWhere)] {
        assert_eq!(message.header.protocol, RouteProtocol::Other(ROUTE_PROTOCOL));
        assert_eq!((message.header.scope, message.header.kind), (scope, RouteType::Unicast));
        assert_eq!(message.header.destination_prefix_length, 24);
        for wanted in [
            RouteAttribute::Table(16_777_215),
            RouteAttribute::Priority(5),
            RouteAttribute::Oif(2),
            RouteAttribute::Destination(RouteAddress::Inet([20, 0, 0, 0].into())),
            RouteAttribute::Gateway(RouteAddress::Inet([172, 24, 4, 146].into())),
        ] {
            assert!(message.attributes.contains(&wanted), "{wanted:?} in {message:?}");
        }
    }
}

/// zebra looks for no route to a gateway that is on-link; a subnet's gateway has a route of ours.
#[test]
fn a_route_that_exposes_an_address_has_its_gateway_on_link() {
    for (metric, gateway, on_link) in [
        (EXPOSING_METRIC, "172.24.4.146", true),
        (EXPOSING_METRIC, "2001:db8::1", true),
        (0, "172.24.4.146", false),
    ] {
        let next_hop = NextHop::Via(gateway.parse().unwrap(), name("lo-1001"));
        let host: std::net::IpAddr =
            if gateway.contains(':') { "2001:db8::2" } else { "20.0.0.2" }.parse().unwrap();
        let bytes = encoded(&[create(Route { table: 1001, prefix: host.into(), metric, next_hop })]).unwrap();
        let [RouteNetlinkMessage::NewRoute(new)] = &understood(&bytes)[..] else { panic!() };
        assert_eq!(new.header.flags.contains(RouteFlags::Onlink), on_link, "{gateway} metric {metric}");
    }
}

#[test]
fn a_tree_of_links_names_indexes_that_it_chose_itself() {
    let vrf = plain("vrf-7", LinkKind::Vrf { table: 7 });
    let bridge = Link { master: Some(name("vrf-7")), ..plain("br-7", LinkKind::Bridge) };
    let dummy = Link { master: Some(name("vrf-7")), ..plain("lo-7", LinkKind::Dummy) };
    let address = Address::host(name("lo-7"), [10, 0, 0, 1].into());
    let bytes = encoded(&[create(vrf), create(bridge), create(dummy), create(address)]).unwrap();
    let events: Vec<_> = each(&bytes).iter().filter(|m| m.kind == RTM_NEWLINK).map(decode::event).collect();
    let first = Indexes::RANGE.start + 1;
    for (at, (event, master)) in events.iter().zip([None, Some(first), Some(first)]).enumerate() {
        let Ok(Some(Event::Link(index, facts))) = event else { panic!("{event:?}") };
        assert_eq!((*index, facts.master), (first + at as u32, master));
        assert!(!facts.up, "it is brought up only when it is marked and set");
    }
    let all = each(&bytes);
    let [.., address, local_route] = &all[..] else { panic!("{all:?}") };
    assert_eq!(decode::event(address), Ok(Some(Event::Address(first + 2, [10, 0, 0, 1].into(), 32))));
    let local = Event::LocalGone(first + 2, (7, [10, 0, 0, 1].into()));
    assert_eq!(decode::event(local_route), Ok(Some(local)), "by the table of the VRF made just before");
}

/// zebra since FRR 10.0 does not take an address for a connected prefix that has IFA_F_NOPREFIXROUTE (0x200).
#[test]
fn an_ipv6_address_is_one_that_zebra_connects() {
    let address = Address::host(name("lo-1001"), "2001:db8::1".parse().unwrap());
    let bytes = encoded(&[create(address)]).unwrap();
    let flags = attributes(&each(&bytes)[0].payload[8..]).flatten().find(|(kind, _)| *kind == IFA_FLAGS);
    assert_eq!(flags.unwrap().1, IFA_F_NODAD.to_ne_bytes());
}

#[test]
fn what_cannot_be_is_refused_with_words_and_nothing_sent() {
    let nowhere = Address::host(name("lo-9"), [10, 0, 0, 1].into());
    assert!(encoded(&[create(nowhere.clone())]).unwrap_err().contains("no link lo-9"));
    assert_eq!(encoded(&[remove(nowhere)]), Ok(Vec::new()), "gone with its link");
    let unmarked = plain("lo-1001", LinkKind::Dummy);
    assert!(encoded(&[remove(unmarked)]).unwrap_err().contains("alias"));
    let other_table = plain("vrf-1001", LinkKind::Vrf { table: 1 });
    assert!(encoded(&[create(other_table)]).unwrap_err().contains("foreign link"));
    let of_another =
        Link { owner: Vni::new(7).map(Mark::Vni), ..plain("vrf-1001", LinkKind::Vrf { table: 1001 }) };
    assert!(encoded(&[create(of_another)]).unwrap_err().contains("alias of 1001"));
    let vlan = plain("br-ex.7", LinkKind::Vlan { of: Some(name("br-ex")), tag: 7 });
    assert!(encoded(&[create(vlan)]).unwrap_err().contains("no link br-ex"));
    let internal = plain("vlan-7", LinkKind::Other("openvswitch".to_owned()));
    assert!(encoded(&[create(internal)]).unwrap_err().contains("openvswitch"));
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    (any_ip(), any::<u8>()).prop_map(|(ip, length)| {
        let longest = Prefix::from(ip).prefix_len();
        Prefix::new(ip, length % (longest + 1)).unwrap().trunc()
    })
}

fn any_next_hop() -> impl Strategy<Value = NextHop> {
    let dev = name("lo-1001");
    prop_oneof![
        Just(NextHop::Link(dev)),
        any_ip().prop_map(move |gateway| NextHop::Via(gateway, dev)),
        Just(NextHop::Unreachable),
    ]
}

/// What the messages of an update or a creation of this rule tell, where these stand: to, table, priority, protocol.
fn told(rule: &Rule, standing: &[(&str, u32, u32, u8)]) -> Vec<Event> {
    let (mut actual, mut indexes, mut out) = (scenery(), Indexes(Indexes::RANGE.start), Requests::new(1));
    for (to, table, priority, protocol) in standing {
        let rule = Rule { to: to.parse().unwrap(), table: *table, priority: *priority };
        actual.apply(Event::Rule(rule, *protocol));
    }
    let mut scene = Scene { actual: &actual, made: &mut HashMap::new(), indexes: &mut indexes };
    operation(0, &create(rule.clone()), &mut scene, &mut out).unwrap();
    let bytes = out.take_bytes();
    each(&bytes).iter().map(|message| decode::event(message).unwrap().unwrap()).collect()
}

#[test]
fn a_rule_takes_the_place_of_those_that_do_the_same_and_of_no_other() {
    let rule = Rule { to: "10.0.0.1/32".parse().unwrap(), table: 201, priority: 32_000 };
    let others = [
        ("10.0.0.1/32", 202, 32_000, 4),
        ("10.0.0.0/24", 201, 32_000, 4),
        ("10.0.0.1/32", 201, 32_000, ROUTE_PROTOCOL),
    ];
    assert_eq!(told(&rule, &others), [Event::Rule(rule.clone(), ROUTE_PROTOCOL)]);
    let twins = [("10.0.0.1/32", 201, 32_000, 4), ("10.0.0.1/32", 201, 999, 0)];
    let gone = |priority, protocol| Event::RuleGone(Rule { priority, ..rule.clone() }, protocol);
    let mut all = told(&rule, &twins);
    assert_eq!(all.remove(0), Event::Rule(rule.clone(), ROUTE_PROTOCOL), "ours is there first");
    all.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(all, [gone(32_000, 4), gone(999, 0)]);
}

#[test]
fn a_rule_with_another_selector_is_nobodys_here() {
    let rule = Rule { to: "10.0.0.1/32".parse().unwrap(), table: 201, priority: 32_000 };
    let bytes = encoded(&[create(rule.clone())]).unwrap();
    let read = |bytes: &[u8]| decode::event(&each(bytes)[0]).unwrap();
    assert_eq!(read(&bytes), Some(Event::Rule(rule, ROUTE_PROTOCOL)));
    // The header's source length, type of service, action (unreachable) and flags (inverted).
    for (at, value) in [(18, 24), (19, 4), (23, 7), (24, 2)] {
        let mut other = bytes.clone();
        other[at] = value;
        assert_eq!(read(&other), None, "byte {at}");
    }
}

proptest! {
    #[test]
    fn rules_are_read_as_written(to in any_prefix(), table in 1u32.., priority in 1u32..) {
        let rule = Rule { to, table, priority };
        let bytes = encoded(&[create(rule.clone()), remove(rule.clone())]).unwrap();
        let events: Vec<_> = each(&bytes).iter().map(|message| decode::event(message).unwrap().unwrap()).collect();
        prop_assert_eq!(events, [Event::Rule(rule.clone(), ROUTE_PROTOCOL), Event::RuleGone(rule, ROUTE_PROTOCOL)]);
    }

    #[test]
    fn routes_are_read_as_written(
        prefix in any_prefix(), table in 1u32.., metric: u32, next_hop in any_next_hop(),
    ) {
        let hop = match next_hop {
            NextHop::Link(_) => Hop::Link(2),
            NextHop::Via(gateway, _) => Hop::Via(gateway, 2),
            _ => Hop::Unreachable,
        };
        let bytes = encoded(&[create(Route { table, prefix, metric, next_hop })]).unwrap();
        let event = decode::event(&each(&bytes)[0]);
        prop_assert_eq!(event, Ok(Some(Event::Route((table, prefix, metric), hop, ROUTE_PROTOCOL))));
    }

    #[test]
    fn addresses_and_neighbours_are_read_as_written(ip in any_ip(), mac: [u8; 6], marked: bool) {
        let (dev, mac) = (name("lo-1001"), MacAddr(mac));
        let bytes = encoded(&[create(Address::host(dev, ip)), create(Neighbour { dev, ip, mac, marked })]).unwrap();
        let all = each(&bytes);
        let length = Prefix::from(ip).prefix_len();
        prop_assert_eq!(decode::event(&all[0]), Ok(Some(Event::Address(2, ip, length))));
        prop_assert_eq!(decode::event(&all[1]), Ok(Some(Event::LocalGone(2, (1001, ip)))));
        if ip.is_ipv6() {
            prop_assert_eq!(decode::event(&all[2]), Ok(Some(Event::PrefixRouteGone(2, (1001, ip)))));
        }
        prop_assert_eq!(decode::event(all.last().unwrap()), Ok(Some(Event::Neighbour(2, ip, mac, marked))));
    }

    #[test]
    fn links_are_read_as_written(
        kind in any_kind(), owner in any_owner(), up: bool, enslaved: bool, mtu in proptest::option::of(68..65_536_u32),
    ) {
        let has_plain_settings = matches!(kind, LinkKind::Bridge | LinkKind::Vxlan { .. });
        let link = Link { kind, owner: Some(owner), up, mtu, master: enslaved.then(|| name("vrf-1001")), ..plain("x", LinkKind::Dummy) };
        let bytes = encoded(&[create(link.clone())]).unwrap();
        let facts: Vec<LinkFacts> = each(&bytes).iter().filter_map(facts_of).collect();
        let made = &facts[0];
        let kind = match link.kind {
            // Of another link is told by index.
            LinkKind::Vlan { tag, .. } => LinkKind::Vlan { of: None, tag },
            LinkKind::Veth { .. } => LinkKind::Veth { peer: None },
            kind => kind,
        };
        prop_assert_eq!((made.name, &made.kind, made.master), (link.name, &kind, enslaved.then_some(1)));
        prop_assert_eq!(made.settings.plain, has_plain_settings);
        prop_assert_eq!(made.mtu, link.mtu.unwrap_or(0));
        prop_assert!(facts.iter().any(|facts| facts.owner == Some(owner)));
        prop_assert_eq!(facts.last().unwrap().up, up);
    }
}

/// What a request says of a link, read like a notification: with the name, which a change need not have.
fn facts_of(message: &Message<'_>) -> Option<LinkFacts> {
    let (head, attributes) = message.payload.split_at(16);
    let mut named = Writer::default();
    named.fixed(head);
    named.text(IFLA_IFNAME, "x");
    let body = [named.bytes(), attributes].concat();
    match decode::event(&Message { kind: RTM_NEWLINK, payload: &body, ..*message }).unwrap() {
        Some(Event::Link(_, facts)) => Some(*facts),
        _ => None,
    }
}

fn any_owner() -> impl Strategy<Value = Mark> {
    prop_oneof![(1..0x100_0000_u32).prop_map(|vni| Mark::Vni(Vni::new(vni).unwrap())), Just(Mark::Underlay),]
}

fn any_kind() -> impl Strategy<Value = LinkKind> {
    prop_oneof![
        any::<u32>().prop_map(|table| LinkKind::Vrf { table }),
        Just(LinkKind::Bridge),
        Just(LinkKind::Dummy),
        (0..0x100_0000_u32, any::<u16>(), any_ip()).prop_map(|(id, port, local)| LinkKind::Vxlan {
            id,
            port,
            local
        }),
        (0..4096_u16).prop_map(|tag| LinkKind::Vlan { of: Some(name("lo-1001")), tag }),
        Just(LinkKind::Veth { peer: Some(name("y")) }),
    ]
}
