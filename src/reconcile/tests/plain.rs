//! The BGP mode: plain routes of provider networks, alone and beside the EVPN mode.

use super::*;
use crate::{
    config::{Modes, NextHopProxy, Underlay as Options},
    model::Mark,
    planes::{
        frr::object::BgpBase,
        kernel::object::{Address, Link, Neighbour},
    },
    reconcile::MassWithdrawLimit,
    testing::rows::{GatewaySpec, plain_step},
};

const PORT: &str = "fa:16:3e:01:00:32 172.24.4.50 2001:db8:ffff::50";

fn config(evpn: bool) -> Config {
    Config { modes: Modes { evpn, underlay: true }, ..Config::default() }
}

/// A provider network with a VM on this node, and no tenant.
pub(super) fn provider() -> Cloud {
    let mut cloud = Cloud::empty();
    cloud.localnet("provnet", "prov", "physnet1", None);
    cloud.workload("pvm", "prov", Some("gw1"), &[PORT]);
    cloud
}

pub(super) fn plain(cloud: Cloud) -> Rig {
    let mut rig = Rig::with(cloud, config(false));
    rig.run();
    rig
}

fn texts(rig: &Rig) -> Vec<String> {
    let fresh = Peers::new();
    let ours = rig.peers.objects.iter().filter(|(key, _)| !fresh.objects.contains_key(key));
    let mut texts: Vec<String> = ours.map(|(_, object)| object.to_string()).collect();
    texts.sort();
    texts
}

#[track_caller]
fn converges(rig: &mut Rig) {
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    rig.reconciler.read_all();
    assert_eq!(rig.run(), 0, "a second pass writes {:?}", rig.peers.journal.last());
    let before = rig.ours();
    rig.restart();
    assert_eq!(rig.run(), 0, "a restart writes {:?}", rig.peers.journal.last());
    assert_eq!(rig.ours(), before);
}

#[test]
fn a_port_on_a_provider_network_gets_what_leads_to_it_and_back() {
    let mut rig = plain(provider());
    let mac = "02:00:00:00:87:50";
    let table = rig.config.underlay.table_of(name("br-ex"));
    let expected = [
        "address 172.24.4.50/32 on bgp-nic".to_owned(),
        "address 2001:db8:ffff::50/128 on bgp-nic".to_owned(),
        format!("flow on br-ex: answer ARP from port 12 for any address with {mac}"),
        format!("flow on br-ex: answer ND from port 12 for any address with {mac}"),
        "flow on br-ex: let ARP probes from port 12 pass".to_owned(),
        "flow on br-ex: let neighbour advertisements from port 12 pass".to_owned(),
        "flow on br-ex: let neighbour solicitations from port 12 pass".to_owned(),
        "flow on br-ex: let questions from port 12 for 172.24.4.50 pass".to_owned(),
        "flow on br-ex: let questions from port 12 for 2001:db8:ffff::50 pass".to_owned(),
        format!("flow on br-ex: route IPv4 from port 12 by {mac}"),
        format!("flow on br-ex: route IPv6 from port 12 by {mac}"),
        "frr import vrf bgp-vrf: ipv4 ipv6".to_owned(),
        "frr router bgp 64999 vrf bgp-vrf: redistribute-ipv4 redistribute-ipv6 router-id 100.65.0.1"
            .to_owned(),
        "link bgp-nic dummy in bgp-vrf of underlay".to_owned(),
        "link bgp-vrf vrf table 10 of underlay".to_owned(),
        "neighbour 172.24.4.50 fa:16:3e:01:00:32 on br-ex".to_owned(),
        "neighbour 2001:db8:ffff::50 fa:16:3e:01:00:32 on br-ex".to_owned(),
        format!("route 172.24.4.50/32 dev br-ex table {table}"),
        format!("route 2001:db8:ffff::50/128 dev br-ex table {table}"),
        format!("rule 32000 to 172.24.4.50/32 table {table}"),
        format!("rule 32000 to 2001:db8:ffff::50/128 table {table}"),
    ];
    assert_eq!(texts(&rig), expected);
    converges(&mut rig);
}

#[test]
fn the_way_is_there_before_the_address_and_goes_after_it() {
    let mut rig = plain(provider());
    let is_address = |object: &Object| matches!(object, Object::Kernel(KernelObject::Address(_)));
    let first = rig.peers.journal.iter().position(|(_, object)| is_address(object)).unwrap();
    assert!(rig.peers.journal[first..].iter().all(|(_, object)| is_address(object)));
    rig.peers.journal.clear();
    rig.cloud.remove("pvm");
    rig.run();
    let last = rig.peers.journal.iter().rposition(|(_, object)| is_address(object)).unwrap();
    assert!(
        rig.peers.journal[..=last].iter().all(|(_, object)| is_address(object)),
        "{:?}",
        rig.peers.journal
    );
    let left = texts(&rig);
    assert_eq!(left.len(), 4, "what the mode has once stays: {left:?}");
    converges(&mut rig);
}

#[test]
fn a_bind_costs_what_it_needs() {
    let mut rig = plain(provider());
    rig.cloud.workload("pvm2", "prov", Some("gw1"), &["fa:16:3e:01:00:33 172.24.4.51"]);
    assert_eq!(rig.run(), 5, "rule, route, neighbour, flow, address");
    rig.cloud.workload("pvm2", "prov", Some("gw2"), &["fa:16:3e:01:00:33 172.24.4.51"]);
    assert_eq!(rig.run(), 5);
    converges(&mut rig);
}

#[test]
fn a_vlan_has_a_device_on_the_bridge_and_its_number_may_change() {
    let mut cloud = provider();
    cloud.localnet("provnet", "prov", "physnet1", Some(100));
    let mut rig = plain(cloud);
    assert!(rig.has(link("br-ex.100")));
    let by = |rig: &Rig, device: &str| {
        texts(rig).iter().filter(|text| text.contains(&format!(" {device}"))).count()
    };
    assert_eq!(by(&rig, "br-ex.100"), 5, "the device, two routes, two neighbours: {:?}", texts(&rig));
    converges(&mut rig);
    rig.cloud.localnet("provnet", "prov", "physnet1", Some(101));
    rig.run();
    assert_eq!((by(&rig, "br-ex.100"), by(&rig, "br-ex.101")), (0, 5), "{:?}", texts(&rig));
    converges(&mut rig);
}

#[test]
fn drift_is_repaired_and_a_rule_of_somebody_else_is_left_alone() {
    let mut rig = plain(provider());
    let whole = rig.ours();
    let fresh = Peers::new();
    let keys: Vec<Key> =
        rig.peers.objects.keys().filter(|key| !fresh.objects.contains_key(*key)).cloned().collect();
    for key in keys {
        rig.peers.take(&key);
        rig.run();
        assert!(rig.status().converged, "{key:?}: {:?}", rig.status());
        assert_eq!(rig.ours(), whole, "{key:?}");
    }
}

#[test]
fn one_destinations_trouble_is_its_own() {
    let mut rig = Rig::with(provider(), config(false));
    rig.peers.refuse_like = Some("route 172.24.4.50/32".to_owned());
    rig.run();
    let status = rig.status();
    let networks = &status.underlay.as_ref().unwrap().networks;
    assert_eq!((networks[0].state, networks[0].prefixes.kernel), ("refused", 1), "{status:?}");
    assert!(!rig.has(address("bgp-nic", "172.24.4.50")) && rig.has(address("bgp-nic", "2001:db8:ffff::50")));
    rig.peers.refuse_like = None;
    rig.now += Duration::from_secs(60);
    converges(&mut rig);
}

#[test]
fn nothing_attracts_traffic_before_the_way_out_is_known() {
    let mut rig = Rig::with(provider(), config(false));
    rig.peers.no_patch_port("provnet");
    rig.run();
    let status = rig.status();
    let network = &status.underlay.as_ref().unwrap().networks[0];
    assert!(
        network.state == "held" && network.reasons[0].contains("patch port of \"provnet\""),
        "{status:?}"
    );
    assert!(!texts(&rig).iter().any(|text| text.starts_with("address")), "{:?}", texts(&rig));
    rig.peers.patch_port("provnet", "br-ex");
    converges(&mut rig);
    rig.peers.no_patch_port("provnet");
    rig.run();
    assert!(rig.has(address("bgp-nic", "172.24.4.50")), "what stands is kept while its patch port is away");
    rig.peers.put(FrrObject::Base(BgpBase::default()));
    rig.cloud.workload("pvm2", "prov", Some("gw1"), &["fa:16:3e:01:00:33 172.24.4.51"]);
    rig.run();
    assert!(rig.status().underlay.unwrap().reasons[0].contains("no default BGP instance"));
    assert!(!rig.has(address("bgp-nic", "172.24.4.51")));
}

#[test]
fn next_hops_are_answered_as_configured() {
    let answers = |rig: &Rig| texts(rig).iter().filter(|text| text.contains("answer")).count();
    let mut rig = plain(provider());
    rig.peers.foreign_port("eth1", "br-ex");
    rig.run();
    assert_eq!(answers(&rig), 0, "a real gateway may be there");
    converges(&mut rig);
    let only = NextHopProxy::Only(vec!["172.24.4.1".parse().unwrap()]);
    let mut rig = Rig::with(provider(), Config { next_hop_proxy: only, ..config(false) });
    converges(&mut rig);
    assert_eq!(answers(&rig), 1, "{:?}", texts(&rig));
}

/// Where the first operation on an object that reads like this stands in the journal.
fn place_of(rig: &Rig, text: &str) -> usize {
    let journal: Vec<String> = rig.peers.journal.iter().map(|(_, object)| object.to_string()).collect();
    let place = journal.iter().position(|line| line.starts_with(text));
    place.unwrap_or_else(|| panic!("{text}: {journal:#?}"))
}

#[test]
fn a_tenants_subnet_and_its_hosts_stand_on_their_gateway() {
    let options = Options { all_tenants: true, ..Options::default() };
    let mut rig = Rig::with(Cloud::seed(), Config { underlay: options, ..config(false) });
    rig.run();
    let at = |text: &str| place_of(&rig, text);
    assert!(at("route 172.24.4.146/32 dev br-ex") < at("route 20.0.0.0/24 via 172.24.4.146 dev br-ex"));
    assert!(at("rule 32000 to 20.0.0.0/24") < at("address 20.0.0.10/32"));
    converges(&mut rig);
    rig.peers.journal.clear();
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    let at = |text: &str| place_of(&rig, text);
    assert!(at("address 20.0.0.10/32") < at("rule 32000 to 20.0.0.0/24"));
    assert!(at("route 20.0.0.0/24") < at("route 172.24.4.146/32"));
    assert_eq!(texts(&rig).len(), 4, "{:?}", texts(&rig));
    converges(&mut rig);
}

#[test]
fn subnets_may_be_advertised_as_such() {
    let options = Options { all_tenants: true, by_subnet: true, ..Options::default() };
    let mut rig = Rig::with(Cloud::seed(), Config { underlay: options, ..config(false) });
    converges(&mut rig);
    let addresses: Vec<String> = texts(&rig).into_iter().filter(|text| text.starts_with("address")).collect();
    let expected = [
        "address 172.24.4.146/32 on bgp-nic",
        "address 20.0.0.1/24 on bgp-nic",
        "address 2001:db8:1::1/64 on bgp-nic",
        "address 2001:db8:ffff::1/128 on bgp-nic",
    ];
    assert_eq!(addresses, expected);
}

#[test]
fn both_modes_stand_side_by_side_and_each_goes_alone() {
    let mut cloud = Cloud::seed();
    cloud.workload("pvm", "prov", Some("gw1"), &[PORT]);
    let mut rig = Rig::with(cloud, config(true));
    converges(&mut rig);
    for (dev, ip) in [("lo-1001", "20.0.0.10"), ("bgp-nic", "172.24.4.50"), ("lo-1001", "172.24.4.146")] {
        assert!(rig.has(address(dev, ip)), "{dev} {ip}");
    }
    assert!(!rig.has(address("bgp-nic", "172.24.4.146")), "an annotated router is the EVPN mode's");
    rig.cloud.annotate("gw", &[]);
    rig.cloud.annotate("sub", &[]);
    converges(&mut rig);
    assert!(!rig.has(link("vrf-1001")) && rig.has(address("bgp-nic", "172.24.4.146")));
    rig.cloud = Cloud::seed();
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    converges(&mut rig);
    assert_eq!(texts(&rig).len(), 4, "{:?}", texts(&rig));
}

#[test]
fn a_vni_cannot_have_a_table_of_the_bgp_mode() {
    let mut cloud = Cloud::seed();
    for port in ["gw", "sub"] {
        cloud.annotate(port, &[("neutron_bgpvpn:vni", "201")]);
    }
    let options = Options { tables: [(name("br-ex"), 201)].into(), ..Options::default() };
    let mut rig = Rig::with(cloud, Config { underlay: options, ..config(true) });
    rig.run();
    let status = rig.status();
    assert!(status.tenants[0].reasons[0].contains("which is br-ex's by"), "{status:?}");
    assert!(!rig.has(link("vrf-201")));
}

/// By its number, the table could be a VNI's.
#[test]
fn routes_in_a_table_that_has_a_name_stay_as_long_as_what_they_are_for() {
    let options = Options { tables: [(name("br-ex"), 201)].into(), ..Options::default() };
    let mut rig = Rig::with(provider(), Config { underlay: options, ..config(false) });
    rig.run();
    let before = rig.ours();
    rig.peers.set("ovn-bridge-mappings", None);
    rig.restart();
    rig.run();
    assert_eq!(rig.ours(), before);
    assert!(rig.status().tenants.is_empty(), "{:?}", rig.status());
    rig.peers.set("ovn-bridge-mappings", Some("physnet1:br-ex".to_owned()));
    rig.cloud.remove("pvm");
    converges(&mut rig);
    assert!(!texts(&rig).iter().any(|text| text.starts_with("route")), "{:?}", texts(&rig));
}

#[test]
fn nothing_is_due_before_the_southbound_was_read() {
    let mut rig = plain(provider());
    rig.reconciler = Reconciler::new(rig.config.clone());
    rig.peers.connect(&mut rig.reconciler, rig.now);
    let late = rig.now + Duration::from_secs(60);
    rig.reconciler.poll(late);
    assert!(rig.reconciler.next_timeout().is_none_or(|due| due > late));
}

#[test]
fn a_table_that_is_anothers_is_said_and_not_used() {
    for (table, whose) in [(254, "the kernel's"), (10, "that of bgp-vrf"), (500, "that of the VRF vrf-mgmt")]
    {
        let options = Options { tables: [(name("br-ex"), table)].into(), ..Options::default() };
        let mut rig = Rig::with(provider(), Config { underlay: options, ..config(false) });
        rig.peers.foreign_link("vrf-mgmt", LinkKind::Vrf { table: 500 });
        rig.run();
        let status = rig.status();
        let network = &status.underlay.as_ref().unwrap().networks[0];
        assert!(network.reasons.iter().any(|reason| reason.contains(whose)), "{table}: {status:?}");
        assert!(!texts(&rig).iter().any(|text| text.starts_with("rule")));
    }
}

#[test]
fn what_the_python_agent_left_is_taken_over_and_what_is_no_more_goes() {
    let mut rig = Rig::with(provider(), config(false));
    let unmarked = |name: IfName, kind, master| {
        let mac = Some(Default::default());
        Link { name, kind, master, up: true, mtu: None, owner: None, settings: Default::default(), mac }
    };
    rig.peers.put(KernelObject::Link(unmarked(name("bgp-vrf"), LinkKind::Vrf { table: 10 }, None)));
    rig.peers.put(KernelObject::Link(unmarked(name("bgp-nic"), LinkKind::Dummy, Some(name("bgp-vrf")))));
    for ip in ["172.24.4.50", "172.24.4.99"] {
        rig.peers.put(KernelObject::Address(Address::host(name("bgp-nic"), ip.parse().unwrap())));
    }
    rig.run();
    assert!(!rig.has(address("bgp-nic", "172.24.4.99")), "as soon as the device is adopted");
    converges(&mut rig);
    let marked = rig.peers.objects.get(&link("bgp-nic").into());
    assert!(
        matches!(marked, Some(Object::Kernel(KernelObject::Link(link))) if link.owner == Some(Mark::Underlay))
    );
    assert!(rig.has(address("bgp-nic", "172.24.4.50")) && !rig.has(address("bgp-nic", "172.24.4.99")));
}

#[test]
fn somebody_elses_devices_of_these_names_are_a_conflict() {
    let mut rig = Rig::with(provider(), config(false));
    rig.peers.foreign_link("bgp-nic", LinkKind::Bridge);
    rig.run();
    let status = rig.status();
    assert_eq!(status.underlay.as_ref().unwrap().state, "conflict", "{status:?}");
    assert!(!texts(&rig).iter().any(|text| text.starts_with("address")));
    rig.peers.put(KernelObject::Neighbour(Neighbour {
        dev: name("br-ex"),
        ip: "172.24.4.77".parse().unwrap(),
        mac: Default::default(),
        marked: false,
    }));
    rig.peers.take(&link("bgp-nic").into());
    converges(&mut rig);
    assert!(texts(&rig).iter().any(|text| text.starts_with("neighbour 172.24.4.77")), "an operator's stays");
}

#[test]
fn an_operators_neighbour_is_not_replaced() {
    let mut rig = Rig::with(provider(), config(false));
    let (dev, ip, mac) =
        (name("br-ex"), "172.24.4.50".parse().unwrap(), "02:00:00:00:00:09".parse().unwrap());
    let theirs = KernelObject::Neighbour(Neighbour { dev, ip, mac, marked: false });
    rig.peers.put(theirs.clone());
    rig.run();
    let status = rig.status();
    let network = &status.underlay.as_ref().unwrap().networks[0];
    assert!(network.state == "conflict" && network.reasons[0].contains("172.24.4.50"), "{status:?}");
    assert!(!rig.has(address("bgp-nic", "172.24.4.50")) && rig.has(address("bgp-nic", "2001:db8:ffff::50")));
    rig.cloud.remove("pvm");
    rig.run();
    assert_eq!(rig.peers.objects.get(&theirs.key().into()), Some(&theirs.into()));
}

#[test]
fn a_drain_and_its_end() {
    let mut rig = plain(provider());
    let whole = rig.ours();
    rig.reconciler.set_drain(Drain::Withdrawn);
    rig.run();
    assert!(!texts(&rig).iter().any(|text| text.starts_with("address")));
    assert!(texts(&rig).iter().any(|text| text.contains("less-preferred")) && rig.status().converged);
    rig.reconciler.set_drain(Drain::No);
    rig.run();
    assert_eq!(rig.ours(), whole);
}

/// A subnet gets another address of the router while its provider network waits: the old one goes when that is reached.
#[test]
fn an_address_that_a_subnet_had_while_its_network_waited_is_not_left_behind() {
    let options = Options { all_tenants: true, by_subnet: true, ..Options::default() };
    let mut rig = Rig::with(Cloud::empty(), Config { underlay: options, ..config(false) });
    rig.cloud.localnet("provnet", "prov", "physnet2", None);
    // The second gateway is the one that is offered, by its name.
    for (gateway, ip, subnet) in
        [("b", "172.24.4.2/24", "20.0.1.1/23"), ("a", "172.24.4.1/24", "20.0.0.1/23")]
    {
        let (mac, own) = (format!("fa:16:3e:00:00:01 {ip}"), format!("fa:16:3e:00:00:02 {subnet}"));
        let spec = GatewaySpec { name: gateway, mac: &mac, ..GatewaySpec::second() };
        rig.cloud.gateway(&GatewaySpec { provider: "prov", ..spec });
        rig.cloud.subnet(gateway, "sub", "net", &own);
        rig.run();
    }
    rig.cloud.localnet("provnet", "prov", "physnet1", None);
    converges(&mut rig);
    let on_nic: Vec<String> =
        texts(&rig).into_iter().filter(|text| text.contains("/23 on bgp-nic")).collect();
    assert_eq!(on_nic, ["address 20.0.0.1/23 on bgp-nic"]);
}

/// The same prefix is another subnet's while its provider network waits.
#[test]
fn a_prefix_that_another_subnet_takes_over_is_advertised_by_its_address_alone() {
    let options = Options { all_tenants: true, by_subnet: true, ..Options::default() };
    let mut rig = Rig::with(Cloud::empty(), Config { underlay: options, ..config(false) });
    rig.cloud.localnet("provnet", "prov", "physnet1", None);
    let mac = "fa:16:3e:00:00:01 172.24.4.2/24";
    rig.cloud.gateway(&GatewaySpec { mac, ..GatewaySpec::second() });
    rig.cloud.subnet("gw-b", "sub", "net", "fa:16:3e:00:00:02 20.0.1.1/23");
    rig.run();
    assert!(texts(&rig).contains(&"address 20.0.1.1/23 on bgp-nic".to_owned()), "{:?}", texts(&rig));
    rig.cloud.localnet("provnet", "prov", "physnet2", None);
    rig.cloud.subnet("gw-b", "sub", "net", "fa:16:3e:00:00:02 20.0.0.1/23");
    rig.run();
    assert!(!texts(&rig).contains(&"address 20.0.1.1/23 on bgp-nic".to_owned()), "{:?}", texts(&rig));
}

/// Two ports have one address, each on a provider network of its own; the second network is not mapped on this node.
#[test]
fn an_address_that_is_left_to_a_network_that_waits_is_not_offered_any_more() {
    let mut cloud = provider();
    cloud.localnet("provnet-1", "prov-1", "physnet2", None);
    cloud.workload("the other", "prov-1", Some("gw1"), &["fa:16:3e:01:00:33 172.24.4.50"]);
    let mut rig = plain(cloud);
    assert!(rig.has(address("bgp-nic", "172.24.4.50")));
    rig.cloud.workload("pvm", "prov", Some("gw1"), &["fa:16:3e:01:00:32 172.24.4.51"]);
    rig.run();
    assert!(rig.has(address("bgp-nic", "172.24.4.51")));
    assert!(!texts(&rig).iter().any(|text| text.contains("172.24.4.50")), "{:?}", texts(&rig));
    rig.peers.set("ovn-bridge-mappings", Some("physnet1:br-ex,physnet2:br-ex".to_owned()));
    rig.run();
    assert!(rig.has(address("bgp-nic", "172.24.4.50")));
}

#[test]
fn a_vlan_that_two_provider_networks_share_stands_until_both_have_left() {
    let ports = [("0", "prov-0", "172.24.4.51"), ("1", "prov-1", "172.24.4.52")];
    for (first, second) in [(0, 1), (1, 0)] {
        let mut cloud = Cloud::empty();
        for (port, network, ip) in ports {
            cloud.localnet(&format!("provnet-{port}"), network, "physnet1", Some(100));
            cloud.workload(port, network, Some("gw1"), &[&format!("fa:16:3e:01:00:33 {ip}")]);
        }
        let mut rig = plain(cloud);
        rig.cloud.workload(ports[first].0, ports[first].1, Some("gw2"), &[]);
        rig.run();
        assert!(
            rig.has(link("br-ex.100")) && rig.has(address("bgp-nic", ports[second].2)),
            "{:?}",
            texts(&rig)
        );
        rig.cloud.workload(ports[second].0, ports[second].1, Some("gw2"), &[]);
        rig.run();
        assert!(!rig.has(link("br-ex.100")), "{:?}", texts(&rig));
    }
}

#[test]
fn two_bridges_whose_vlan_devices_would_have_one_name_are_no_bridge_of_each_other() {
    let mut cloud = Cloud::empty();
    for at in ["1", "2"] {
        cloud.localnet(&format!("provnet-{at}"), &format!("prov-{at}"), &format!("physnet{at}"), Some(100));
        let mac = format!("fa:16:3e:01:00:33 172.24.{at}.9");
        cloud.workload(at, &format!("prov-{at}"), Some("gw1"), &[&mac]);
    }
    let mut rig = Rig::with(cloud, config(false));
    for at in ["1", "2"] {
        rig.peers.bridge(&format!("br-provider{at}"));
        rig.peers.patch_port(&format!("provnet-{at}"), &format!("br-provider{at}"));
    }
    rig.peers.set("ovn-bridge-mappings", Some("physnet1:br-provider1,physnet2:br-provider2".to_owned()));
    rig.run();
    let offered = |rig: &Rig| ["1", "2"].map(|at| offers(rig, &format!("172.24.{at}.9")));
    let first = offered(&rig);
    assert!(first == [true, false] || first == [false, true], "{first:?}");
    let status = rig.status();
    let said =
        |network: &crate::reconcile::NetworkStatus| network.reasons.iter().any(|why| why.contains("VLAN"));
    assert!(status.underlay.unwrap().networks.iter().any(said));
    rig.cloud.remove(if first[0] { "1" } else { "2" });
    rig.run();
    assert_eq!(offered(&rig), [!first[0], !first[1]], "{:?}", rig.status());
}

#[test]
fn nothing_is_left_when_nothing_is_wished() {
    let mut cloud = Cloud::seed();
    cloud.workload("pvm", "prov", Some("gw1"), &[PORT]);
    let mut rig = Rig::with(cloud, config(true));
    rig.run();
    rig.reconciler = Reconciler::new(rig.config.clone());
    rig.reconciler.wish_nothing();
    // FRR may be the first to answer: what of it is ours shows when the VRF is seen.
    let planes = [PlaneId::Frr, PlaneId::Vswitch, PlaneId::Ledger, PlaneId::Kernel];
    rig.peers.connect_in_turn(planes, &mut rig.reconciler, rig.now);
    rig.peers.run(&mut rig.reconciler, &mut rig.now);
    assert_eq!(texts(&rig), [""; 0]);
    assert!(rig.status().underlay.is_none() && rig.status().tenants.is_empty());
}

#[test]
fn a_southbound_without_rows_is_not_followed_at_once() {
    let mut cloud = Cloud::empty();
    cloud.localnet("provnet", "prov", "physnet1", None);
    for at in 0..200 {
        cloud.workload(
            &format!("pvm-{at}"),
            "prov",
            Some("gw1"),
            &[&format!("fa:16:3e:01:00:32 172.24.5.{at}")],
        );
    }
    let mut rig = plain(cloud);
    let rows = std::mem::replace(&mut rig.cloud, Cloud::empty());
    rig.run();
    let status = rig.status();
    assert_eq!(status.brake.as_ref().map(|brake| brake.held_prefixes), Some(200), "{:?}", status.brake);
    let asked = format!("{:?}", crate::southbound::feed::conditions(Some("gw1"), rig.reconciler.subjects()));
    rig.cloud = rows;
    rig.run();
    assert!(rig.status().brake.is_none() && rig.status().converged);
    assert!(!asked.contains("datapath"), "no provider network is known: {asked}");

    // All moved away while nobody looked: their rows, once asked for, say so.
    for at in 0..200 {
        rig.cloud.workload(
            &format!("pvm-{at}"),
            "prov",
            Some("gw2"),
            &[&format!("fa:16:3e:01:00:32 172.24.5.{at}")],
        );
    }
    rig.run();
    assert!(rig.status().brake.is_none() && rig.status().converged, "{:?}", rig.status().brake);
    assert!(!rig.has(address("bgp-nic", "172.24.5.7")));
}

/// Their gateway has moved while the agent was away: the server's rows of them are asked for until they say so.
#[test]
fn tenants_addresses_whose_gateway_has_moved_meanwhile_are_not_held() {
    for by_subnet in [false, true] {
        let options = Options { all_tenants: true, by_subnet, ..Options::default() };
        let mut config = Config { underlay: options, ..config(false) };
        config.mass_withdraw.limit = MassWithdrawLimit::Prefixes(1);
        let mut rig = Rig::with(Cloud::seed(), config);
        rig.run();
        assert!(offers(&rig, if by_subnet { "20.0.0.1" } else { "20.0.0.10" }), "{:?}", texts(&rig));
        rig.cloud.move_gateway("cr-lrp-gw", "gw2");
        rig.restart();
        rig.run();
        assert!(rig.status().brake.is_none(), "{:?}", rig.status().brake);
        assert!(!texts(&rig).iter().any(|text| text.starts_with("address")), "{:?}", texts(&rig));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::testing::cases(100), ..ProptestConfig::default() })]

    /// As for the EVPN mode, and beside it.
    #[test]
    fn any_history_of_both_modes_ends_in_a_state_that_a_second_pass_leaves_alone(
        events in proptest::collection::vec((prop_oneof![3 => plain_step().prop_map(Event::Cloud), 2 => event()], any::<bool>()), 1..40),
        evpn: bool, all_tenants: bool, by_subnet: bool,
    ) {
        let underlay = Options { all_tenants, by_subnet, ..Options::default() };
        let mut rig = Rig::with(Cloud::empty(), Config { underlay, ..config(evpn) });
        for (event, alone) in events {
            rig.suffer(event);
            if alone {
                rig.run();
            }
        }
        let status = rig.rests()?;
        let networks = status.underlay.iter().flat_map(|underlay| &underlay.networks);
        for (state, reasons) in networks.map(|network| (network.state, &network.reasons)) {
            prop_assert!(state == "ok" || !reasons.is_empty(), "{:?}", status);
        }
    }
}

/// A tenant's network whose router the Northbound has told of, and translates nothing.
fn beside_northbound(evpn: bool) -> Rig {
    let underlay = Options { all_tenants: true, without_snat: true, ..Options::default() };
    let mut cloud = Cloud::seed();
    cloud.translate("gw", Some(&[]));
    cloud.workload("pvm", "prov", Some("gw1"), &[PORT]);
    let mut rig = Rig::with(cloud, Config { underlay, ..config(evpn) });
    rig.run();
    rig
}

/// An agent that comes anew, while the Northbound does not answer.
fn restart_without_northbound(rig: &mut Rig) {
    rig.cloud.translate("gw", None);
    rig.reads_northbound = false;
    rig.restart();
}

/// The Northbound answers after all.
fn read_northbound(rig: &mut Rig, translated: &[&str]) {
    rig.cloud.translate("gw", Some(translated));
    rig.tell();
    rig.reconciler.northbound_whole();
    rig.run();
}

fn offers(rig: &Rig, address: &str) -> bool {
    texts(rig).iter().any(|text| text.starts_with(&format!("address {address}/")))
}

#[test]
fn until_the_northbound_was_read_nothing_of_the_bgp_mode_goes() {
    for translated in [&[][..], &["20.0.0.0/24"]] {
        let mut rig = beside_northbound(false);
        assert!(offers(&rig, "20.0.0.10") && offers(&rig, "172.24.4.50"));
        let before = rig.ours();
        restart_without_northbound(&mut rig);
        rig.cloud.remove("pvm");
        rig.run();
        assert_eq!(rig.ours(), before);
        let status = rig.status();
        assert!(!status.converged && status.sessions["northbound"].state != "up", "{status:?}");
        read_northbound(&mut rig, translated);
        assert_eq!(offers(&rig, "20.0.0.10"), translated.is_empty());
        assert!(offers(&rig, "2001:db8:1::10") && !offers(&rig, "172.24.4.50"));
        rig.reads_northbound = true;
        converges(&mut rig);
    }
}

#[test]
fn what_the_northbound_has_said_holds_while_it_is_away() {
    let mut rig = beside_northbound(false);
    rig.reconciler.northbound_down("gone".to_owned());
    rig.cloud.remove("pvm");
    rig.cloud.workload("vm-2", "net", Some("cmp1"), &["fa:16:3e:00:00:11 20.0.0.11"]);
    rig.run();
    assert!(!offers(&rig, "172.24.4.50") && offers(&rig, "20.0.0.10") && offers(&rig, "20.0.0.11"));
    assert!(!rig.status().converged);
    rig.reconciler.northbound_whole();
    assert!(rig.status().converged, "{:?}", rig.status());
}

#[test]
fn a_northbound_that_comes_back_empty_withdraws_nothing() {
    let mut rig = beside_northbound(false);
    rig.config.mass_withdraw.limit = MassWithdrawLimit::Prefixes(1);
    rig.reconciler.reconfigure(&rig.config);
    rig.reconciler.northbound_down("gone".to_owned());
    rig.cloud.translate("gw", None);
    rig.tell();
    rig.reconciler.northbound_whole();
    rig.run();
    assert!(offers(&rig, "20.0.0.10") && offers(&rig, "2001:db8:1::10"));
    assert_eq!(rig.status().brake.expect("the brake is on").held_prefixes, 2);
    read_northbound(&mut rig, &[]);
    assert!(offers(&rig, "20.0.0.10"));
    converges(&mut rig);
}

#[test]
fn tenants_of_the_evpn_mode_do_not_wait_for_the_northbound() {
    let mut rig = beside_northbound(true);
    assert!(rig.has(link("vrf-1001")));
    restart_without_northbound(&mut rig);
    rig.run();
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    assert!(!rig.has(link("vrf-1001")) && offers(&rig, "172.24.4.50"), "{:?}", rig.status());
}
