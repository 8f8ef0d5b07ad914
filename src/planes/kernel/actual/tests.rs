use super::*;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn put(actual: &mut Actual, index: u32, facts: LinkFacts) {
    actual.hear(Event::Link(index, Box::new(facts)));
}

fn up(text: &str) -> LinkFacts {
    LinkFacts { up: true, ..LinkFacts::new(name(text)) }
}

fn vrf() -> LinkFacts {
    LinkFacts { kind: LinkKind::Vrf { table: 7 }, ..up("vrf-7") }
}

fn dummy() -> LinkFacts {
    LinkFacts { kind: LinkKind::Dummy, master: Some(1), ..up("lo-7") }
}

fn route() -> RouteKey {
    (7, "10.0.0.0/24".parse().unwrap(), 0)
}

/// A VRF (1) with a dummy in it (2), told already.
fn scenery() -> Actual {
    let mut actual = Actual::default();
    put(&mut actual, 1, vrf());
    put(&mut actual, 2, dummy());
    actual.flush();
    actual
}

fn keys(changes: &[Change<KernelObject, KernelKey>]) -> (Vec<KernelKey>, Vec<KernelKey>) {
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Present(object) => present.push(object.key()),
            Change::Absent(key) => absent.push(*key),
        }
    }
    present.sort_unstable();
    absent.sort_unstable();
    (present, absent)
}

#[test]
fn a_burst_about_one_object_is_one_change() {
    let mut actual = scenery();
    let (address, local) = (ip("10.0.0.1"), (7, ip("10.0.0.1")));
    actual.hear(Event::Address(2, address, 32));
    actual.hear(Event::Local(2, local));
    actual.hear(Event::LocalGone(2, local));
    assert_eq!(actual.flush(), [Change::Present(Address::host(name("lo-7"), address).into())]);
    actual.hear(Event::Local(2, local));
    let seen = Address { local_route: true, ..Address::host(name("lo-7"), address) };
    assert_eq!(actual.flush(), [Change::Present(seen.into())]);
    put(&mut actual, 2, dummy()); // the same again, as after a change of counters
    assert_eq!(actual.flush(), []);
}

#[test]
fn a_local_route_counts_where_it_swallows_traffic() {
    let mut actual = scenery();
    put(&mut actual, 3, LinkFacts { kind: LinkKind::Veth { peer: None }, master: Some(1), ..up("veth") });
    for index in [2, 3] {
        actual.hear(Event::Address(index, ip("10.0.0.1"), 32));
        actual.hear(Event::Local(index, (7, ip("10.0.0.1"))));
    }
    let local = actual.flush().into_iter().filter_map(|change| match change {
        Change::Present(KernelObject::Address(address)) => Some((address.dev, address.local_route)),
        _ => None,
    });
    assert_eq!(local.collect::<Vec<_>>(), [(name("lo-7"), true), (name("veth"), false)]);
}

/// Each of the two is enough, and one may be told to have gone while the other stays.
#[test]
fn the_route_to_an_ipv6_addresss_prefix_swallows_traffic_too() {
    let mut actual = scenery();
    let (address, route) = (ip("2001:db8::1"), (7, ip("2001:db8::1")));
    let mut swallows = |event| {
        actual.hear(event);
        let object = actual.whole().into_iter().find_map(|object| match object {
            KernelObject::Address(address) => Some(address.local_route),
            _ => None,
        });
        object.unwrap()
    };
    assert!(!swallows(Event::Address(2, address, 128)));
    assert!(swallows(Event::PrefixRoute(2, route)));
    assert!(swallows(Event::Local(2, route)));
    assert!(swallows(Event::LocalGone(2, route)));
    assert!(!swallows(Event::PrefixRouteGone(2, route)));
    swallows(Event::PrefixRoute(2, route));
    actual.replace_table(7, Vec::new());
    assert!(
        !actual.is_stale()
            && matches!(&actual.flush()[..], [.., Change::Present(KernelObject::Address(seen))] if !seen.local_route)
    );
}

#[test]
fn a_rename_takes_along_what_hangs_on_the_link() {
    let mut actual = scenery();
    let (host, mac) = (ip("10.0.0.1"), MacAddr([2; 6]));
    actual.hear(Event::Address(1, host, 32));
    actual.hear(Event::Neighbour(1, host, mac, false));
    actual.apply(Event::Route(route(), Hop::Link(1), 182));
    actual.flush();
    put(&mut actual, 1, LinkFacts { name: name("other"), ..vrf() });
    let (present, absent) = keys(&actual.flush());
    let on = |dev| [KernelKey::Link(dev), KernelKey::Address(dev, host, 32), KernelKey::Neighbour(dev, host)];
    assert_eq!(absent, on(name("vrf-7")));
    let (table, prefix, metric) = route();
    let mut moved = on(name("other")).to_vec();
    moved.extend([KernelKey::Link(name("lo-7")), KernelKey::Route(table, prefix, metric)]);
    moved.sort_unstable();
    assert_eq!(present, moved, "its slave names it too");
    assert_eq!(actual.link(name("lo-7")).unwrap().1.master, Some(name("other")));
}

#[test]
fn two_links_may_swap_their_names() {
    let mut actual = Actual::default();
    for (index, text) in [(1, "a1"), (2, "b1"), (1, "tmp"), (2, "a1"), (1, "b1")] {
        put(&mut actual, index, up(text));
    }
    assert_eq!((actual.index(name("a1")), actual.index(name("b1"))), (Some(2), Some(1)));
    assert_eq!(actual.index(name("tmp")), None);
    // Told the other way round, the second takes the name before the first has let it go.
    put(&mut actual, 1, up("a1"));
    put(&mut actual, 2, up("b1"));
    assert_eq!((actual.index(name("a1")), actual.index(name("b1"))), (Some(1), Some(2)));
}

#[test]
fn a_link_that_goes_leaves_nothing() {
    let mut actual = scenery();
    actual.hear(Event::Address(2, ip("10.0.0.1"), 32));
    actual.apply(Event::Route(route(), Hop::Link(2), 182));
    actual.flush();
    actual.hear(Event::LinkGone(2));
    assert_eq!(actual.take_stale(), [7].into());
    actual.replace_table(7, Vec::new());
    let (present, absent) = keys(&actual.flush());
    assert_eq!((present.len(), absent.len()), (0, 3));
    assert_eq!(actual.whole().len(), 1, "the VRF");
}

#[test]
fn tables_are_stale_when_routes_may_have_gone_in_silence() {
    let known = |mut actual: Actual| {
        actual.apply(Event::Route(route(), Hop::Link(2), 182));
        actual.hear(Event::Address(2, ip("10.0.0.1"), 32));
        assert!(!actual.is_stale());
        actual
    };
    let mut silent = known(scenery());
    put(&mut silent, 2, LinkFacts { up: false, ..dummy() });
    assert_eq!(silent.take_stale(), [7].into(), "down");
    let mut silent = known(scenery());
    put(&mut silent, 2, LinkFacts { master: None, ..dummy() });
    assert_eq!(silent.take_stale(), [7].into(), "out of the VRF");
    let mut silent = known(scenery());
    silent.hear(Event::AddressGone(2, ip("10.0.0.1"), 32));
    assert_eq!(silent.take_stale(), [7].into(), "without its last IPv4 address");
    let mut heard = known(scenery());
    heard.hear(Event::RouteGone(route()));
    assert_eq!(heard.take_stale(), [7].into(), "somebody else was at it");
    let mut heard = known(scenery());
    heard.hear(Event::RouteGone((7, "10.9.0.0/24".parse().unwrap(), 0)));
    assert!(!heard.is_stale(), "foreign routes that replace foreign ones");
}

#[test]
fn a_table_read_again_tells_what_came_and_went() {
    let mut actual = scenery();
    let other = (7, "10.1.0.0/24".parse().unwrap(), 0);
    actual.apply(Event::Route(route(), Hop::Link(2), 182));
    actual.flush();
    actual.replace_table(7, vec![Event::Route(other, Hop::Unreachable, 182)]);
    let (present, absent) = keys(&actual.flush());
    assert_eq!(present, [KernelKey::Route(other.0, other.1, other.2)]);
    assert_eq!(absent, [KernelKey::Route(7, route().1, 0)]);
}

#[test]
fn the_first_end_of_a_pair_learns_of_the_other() {
    let mut actual = Actual::default();
    let end = |text, peer| LinkFacts { kind: LinkKind::Veth { peer: None }, peer, ..up(text) };
    put(&mut actual, 1, end("a1", None));
    put(&mut actual, 2, end("b1", Some(1)));
    let peer_of = |actual: &Actual, text| actual.link(name(text)).unwrap().1.kind;
    assert_eq!(peer_of(&actual, "a1"), LinkKind::Veth { peer: Some(name("b1")) });
    assert_eq!(peer_of(&actual, "b1"), LinkKind::Veth { peer: Some(name("a1")) });
    // Somebody's VLAN on one of them is no end of it.
    let kind = LinkKind::Vlan { of: None, tag: 5 };
    put(&mut actual, 3, LinkFacts { kind, peer: Some(1), ..up("a1.5") });
    assert_eq!(peer_of(&actual, "a1"), LinkKind::Veth { peer: Some(name("b1")) });
}

#[test]
fn an_end_whose_other_is_elsewhere_is_no_end_of_a_pair_here() {
    let mut actual = Actual::default();
    let alone = LinkFacts { kind: LinkKind::Veth { peer: None }, elsewhere: true, ..up("a1") };
    put(&mut actual, 1, alone);
    assert_eq!(actual.link(name("a1")).unwrap().1.kind, LinkKind::Veth { peer: Some(name("a1")) });
}

#[test]
fn a_name_that_another_link_has_taken_is_told_of_that_one_alone() {
    let mut actual = Actual::default();
    put(&mut actual, 1, up("a1"));
    actual.hear(Event::Address(1, ip("10.0.0.1"), 32));
    actual.flush();
    put(&mut actual, 2, up("a1"));
    let address = |dev| KernelKey::Address(name(dev), ip("10.0.0.1"), 32);
    assert_eq!(keys(&actual.flush()), (vec![KernelKey::Link(name("a1"))], vec![address("a1")]));
    assert_eq!(actual.whole().len(), 1);
    put(&mut actual, 1, up("b1"));
    assert_eq!(keys(&actual.flush()), (vec![KernelKey::Link(name("b1")), address("b1")], vec![]));
}
