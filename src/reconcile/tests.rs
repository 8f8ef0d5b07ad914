//! The reconciler against peers that have the real ones' side effects: order, ownership, faults, and convergence.

mod braking;
mod drift;
mod events;
mod exposing;
mod foreign;
mod hops;
mod hostile;
mod hung;
mod leftovers;
mod plain;
mod reload;
mod rig;
mod survey;
mod turns;
mod vteps;

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use self::events::{Event, event};
pub(super) use self::rig::{Rig, is_flow_removed};
use super::*;
use crate::{
    model::OfPort,
    planes::{
        Verb,
        flows::object::{BridgePort, Flow, FlowRule, FlowsKey, FlowsObject},
        frr::object::{FrrKey, FrrObject, VrfVni},
        kernel::object::{KernelKey, KernelObject, LinkKind},
        vswitch::object::{PortName, VswitchKey, VswitchObject},
    },
    testing::{
        peers::{FIRST_PORT, Peers, reconciler},
        rows::{Cloud, Step, step},
    },
};

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn link(text: &str) -> KernelKey {
    KernelKey::Link(name(text))
}

fn address(dev: &str, ip: &str) -> KernelKey {
    let ip: std::net::IpAddr = ip.parse().unwrap();
    KernelKey::Address(name(dev), ip, if ip.is_ipv4() { 32 } else { 128 })
}

#[test]
fn the_seeds_tenant_stands_and_a_second_pass_writes_nothing() {
    let mut rig = Rig::new(Cloud::seed());
    assert!(rig.run() > 20);
    for device in ["vrf-1001", "br-1001", "vxlan-1001", "lo-1001", "veth-vrf-1001", "veth-ovs-1001"] {
        assert!(rig.has(link(device)), "{device}");
    }
    for ip in ["172.24.4.146", "2001:db8:ffff::1", "20.0.0.10", "2001:db8:1::10"] {
        assert!(rig.has(address("lo-1001", ip)), "{ip}");
    }
    let redirects = rig.peers.objects.values().filter(|object| {
        matches!(object, Object::Flows(FlowsObject::Flow(flow)) if matches!(flow.rule, FlowRule::Redirect { .. }))
    });
    assert_eq!(redirects.count(), 4);
    let status = rig.status();
    assert!(status.converged && status.ready, "{status:?}");
    assert_eq!(status.revision, status.watermark);
    rig.reconciler.read_all();
    assert_eq!(rig.run(), 0);
    rig.restart();
    assert_eq!(rig.run(), 0, "a restart adopts all: {:?}", rig.peers.journal.last());
}

#[test]
fn another_vni_in_our_vrf_block_is_somebody_elses_until_ours_stood_there() {
    let block = |vni| FrrObject::Vrf(VrfVni { vrf: name("vrf-1001"), vni: Some(vni), up: false });
    let mut rig = Rig::new(Cloud::seed());
    rig.peers.put(block(555));
    for restarts in 0..2 {
        rig.run();
        let reasons = format!("{:?}", rig.status().tenants);
        assert!(reasons.contains("vni 555 from somebody else"), "after {restarts} restarts: {reasons}");
        assert_eq!(rig.peers.objects.get(&block(0).key().into()), Some(&block(555).into()));
        rig.restart();
    }
    rig.peers.take(&block(0).key().into());
    rig.run();
    assert!(rig.status().converged);
    rig.peers.put(block(555));
    rig.run();
    assert!(rig.status().converged, "what stood as ours is mended: {:?}", rig.status().tenants);
}

#[test]
fn what_attracts_traffic_comes_last_and_goes_first() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let is_address =
        |(_, object): &(Verb, Object)| matches!(object, Object::Kernel(KernelObject::Address(_)));
    let first_address = rig.peers.journal.iter().position(is_address).unwrap();
    assert!(rig.peers.journal[first_address..].iter().all(is_address), "{:#?}", rig.peers.journal);
    assert!(matches!(rig.peers.journal[0].1, Object::Ledger(_)));
    rig.peers.journal.clear();
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    assert_eq!(rig.ours(), BTreeSet::new());
    let ranks: Vec<_> = rig
        .peers
        .journal
        .iter()
        .map(|(_, object)| match object {
            Object::Frr(FrrObject::Vrf(vrf)) if vrf.vni.is_none() => "vrf",
            Object::Frr(FrrObject::Bgp(_)) => "bgp",
            Object::Kernel(KernelObject::Address(_)) => "address",
            Object::Kernel(KernelObject::Link(_)) => "link",
            Object::Kernel(_) => "way",
            Object::Flows(_) => "flow",
            Object::Vswitch(_) => "port",
            Object::Ledger(_) => "ledger",
            Object::Frr(_) => "vni",
        })
        .collect();
    let mut order = ranks.clone();
    order.dedup();
    assert_eq!(order, ["address", "flow", "way", "vrf", "bgp", "port", "link", "vrf", "ledger"]);
}

#[test]
fn one_bind_is_one_operation_and_so_is_one_unbind() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.cloud.workload("vm2", "net", Some("cmp1"), &["fa:16:3e:00:00:20 20.0.0.20"]);
    assert_eq!(rig.run(), 1);
    assert!(rig.has(address("lo-1001", "20.0.0.20")));
    rig.cloud.remove("vm2");
    assert_eq!(rig.run(), 1);
    assert!(!rig.has(address("lo-1001", "20.0.0.20")));
}

/// The kernel adds an IPv6 address's local route by itself and late: between our request and its acknowledgement.
#[test]
fn a_local_route_that_comes_while_its_address_is_made_is_removed() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.peers.late_local_routes = true;
    rig.cloud.workload("vm2", "net", Some("cmp1"), &["fa:16:3e:00:00:20 2001:db8:1::20"]);
    assert_eq!(rig.run(), 2, "the address, and the removal of its local route");
    let address = rig.peers.objects.get(&address("lo-1001", "2001:db8:1::20").into());
    assert!(matches!(address, Some(Object::Kernel(KernelObject::Address(address))) if !address.local_route));
}

#[test]
fn what_left_while_the_agent_was_down_is_removed_at_its_start() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.restart();
    rig.run();
    assert_eq!(rig.ours(), BTreeSet::new());
}

#[test]
fn nothing_is_removed_before_every_peer_was_read() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.reconciler = reconciler();
    rig.reconciler.replica_mut().replace(rig.cloud.rows().into_iter().collect(), rig.cloud.chassis());
    rig.reconciler.southbound_whole();
    for plane in [PlaneId::Ledger, PlaneId::Vswitch, PlaneId::Kernel] {
        let objects =
            rig.peers.objects.values().filter(|object| object.key().plane() == plane).cloned().collect();
        rig.reconciler.report(plane, Report::Whole(objects), rig.now);
    }
    rig.peers.journal.clear();
    rig.peers.run(&mut rig.reconciler, &mut rig.now);
    let only_addresses =
        rig.peers.journal.iter().all(|(_, o)| matches!(o, Object::Kernel(KernelObject::Address(_))));
    assert!(only_addresses && rig.has(link("vrf-1001")) && rig.has(Key::Ledger(Vni::new(1001).unwrap())));
}

#[test]
fn a_ledger_that_could_not_be_read_is_read_again_and_one_that_was_is_not() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let reads = |rig: &mut Rig| {
        rig.reconciler.read_all();
        let commands = rig.reconciler.poll(rig.now);
        commands.iter().any(|(plane, _)| *plane == PlaneId::Ledger)
    };
    assert!(!reads(&mut rig));
    rig.reconciler.report(PlaneId::Ledger, Report::Down("damaged".to_owned()), rig.now);
    assert!(reads(&mut rig));
}

/// What was read before the operation would be taken for what became of it.
#[test]
fn a_plane_that_is_being_read_is_not_written_to() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.cloud.workload("vm2", "net", Some("cmp1"), &["fa:16:3e:00:00:20 20.0.0.20"]);
    rig.reconciler.replica_mut().replace(rig.cloud.rows().into_iter().collect(), rig.cloud.chassis());
    rig.reconciler.read_all();
    let commands = rig.reconciler.poll(rig.now);
    assert!(commands.iter().all(|(_, command)| matches!(command, Command::Read)), "{commands:?}");
    let kernel = rig.peers.objects.values().filter(|object| object.key().plane() == PlaneId::Kernel);
    rig.reconciler.report(PlaneId::Kernel, Report::Whole(kernel.cloned().collect()), rig.now);
    assert_eq!(rig.run(), 1);
    assert!(rig.status().converged);
}

#[test]
fn before_the_southbound_was_read_nothing_is_written() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    rig.reconciler = reconciler();
    rig.peers.connect(&mut rig.reconciler, rig.now);
    assert_eq!(rig.peers.run(&mut rig.reconciler, &mut rig.now), 0);
    rig.reconciler.southbound_down("refused".to_owned());
    assert_eq!(rig.peers.run(&mut rig.reconciler, &mut rig.now), 0);
}

#[test]
fn a_refused_operation_is_tried_again_and_harms_no_other_tenant() {
    let mut rig = Rig::new(two_tenants());
    rig.peers.refuse.insert(link("br-1001").into());
    rig.run();
    let status = rig.status();
    let states: Vec<_> = status.tenants.iter().map(|tenant| (tenant.vni, tenant.state)).collect();
    assert_eq!(states, [(1001, "refused"), (1002, "ok")]);
    assert!(!status.converged);
    let (changes, _) = status.latency.total();
    rig.cloud.workload("vm-c", "net-b", Some("cmp1"), &["fa:16:3e:00:bb:11 20.0.0.11"]);
    rig.run();
    assert_eq!(rig.status().latency.total().0, changes + 1, "what is held hides nothing of the others");
    rig.peers.refuse.clear();
    rig.now += Duration::from_secs(60);
    rig.run();
    assert!(rig.status().converged);
}

/// A VM that comes and goes again before the kernel has refused its address.
#[test]
fn what_was_refused_but_is_wished_no_more_is_no_trouble() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let commands = |rig: &mut Rig| {
        rig.reconciler.replica_mut().replace(rig.cloud.rows().into_iter().collect(), rig.cloud.chassis());
        rig.reconciler.poll(rig.now)
    };
    rig.cloud.workload("vm2", "net", Some("cmp1"), &["fa:16:3e:00:00:20 20.0.0.20"]);
    let sent = commands(&mut rig);
    let [(PlaneId::Kernel, Command::Apply { id, .. })] = &sent[..] else { panic!("{sent:?}") };
    rig.cloud.remove("vm2");
    assert!(commands(&mut rig).is_empty(), "its operation is under way");
    let outcomes = vec![crate::planes::Outcome::Failed("refused by the test".to_owned())];
    rig.reconciler.report(PlaneId::Kernel, Report::Results { id: *id, outcomes }, rig.now);
    assert!(rig.status().converged, "{:?}", rig.status());
}

/// bgpd dies of a line of one tenant's, and does so each time that it is asked.
#[test]
fn what_a_peer_dies_of_is_tried_ever_more_slowly_and_harms_no_other_tenant() {
    let mut rig = Rig::new(two_tenants());
    rig.peers.die_of = Some("frr router bgp 64999 vrf vrf-1001".to_owned());
    for _ in 0..600 {
        rig.run();
        rig.now += Duration::from_millis(100);
    }
    assert!((5..12).contains(&rig.peers.deaths), "{} deaths in a minute", rig.peers.deaths);
    let status = rig.status();
    let states: Vec<_> = status.tenants.iter().map(|tenant| (tenant.vni, tenant.state)).collect();
    assert_eq!(states, [(1001, "refused"), (1002, "ok")]);
    assert!(status.tenants[0].reasons[0].contains("the answer was lost"), "{status:?}");
    let deaths = rig.peers.deaths;
    rig.cloud.workload("vm-c", "net-b", Some("cmp1"), &["fa:16:3e:00:bb:11 20.0.0.11"]);
    rig.run();
    assert!(rig.has(address("lo-1002", "20.0.0.11")) && rig.peers.deaths == deaths);
    // What is mended is tried at once.
    rig.peers.die_of = None;
    for port in ["gw", "sub"] {
        rig.cloud.annotate(port, &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:rt", "64999:7")]);
    }
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
}

fn two_tenants() -> Cloud {
    let mut cloud = Cloud::seed();
    let spec = crate::testing::rows::GatewaySpec::second();
    cloud.gateway(&crate::testing::rows::GatewaySpec { mac: "fa:16:3e:00:bb:01 172.24.4.147/24", ..spec });
    cloud.subnet("gw-b", "sub-b", "net-b", "fa:16:3e:00:bb:02 20.0.0.1/24");
    cloud.annotate("gw-b", &[("neutron_bgpvpn:vni", "1002")]);
    cloud.annotate("sub-b", &[("neutron_bgpvpn:vni", "1002")]);
    cloud.workload("vm-b", "net-b", Some("cmp1"), &["fa:16:3e:00:bb:10 20.0.0.10"]);
    cloud
}

#[test]
fn what_a_router_says_itself_is_dropped_only_where_it_is_redirected() {
    use crate::config::NextHopProxy;
    for (proxy, drops) in [
        (NextHopProxy::Auto, 1),
        (NextHopProxy::Only(vec!["172.24.4.1".parse().unwrap()]), 0),
        (NextHopProxy::Never, 0),
    ] {
        let rig = &mut Rig::with(Cloud::seed(), Config { next_hop_proxy: proxy, ..Config::default() });
        rig.run();
        let is_stray = |object: &&Object| {
            matches!(object, Object::Flows(FlowsObject::Flow(Flow { rule: FlowRule::Stray { .. }, .. })))
        };
        assert_eq!(rig.peers.objects.values().filter(is_stray).count(), drops);
    }
}

#[test]
fn a_changed_as_takes_the_old_instance_down_first() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    for port in ["gw", "sub"] {
        rig.cloud.annotate(port, &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:as", "65001")]);
    }
    rig.run();
    let bgp = rig.peers.objects.get(&FrrKey::Bgp(name("vrf-1001")).into());
    assert!(matches!(bgp, Some(Object::Frr(FrrObject::Bgp(bgp))) if bgp.asn.get() == 65001), "{bgp:?}");
    assert!(rig.status().converged, "{:?}", rig.status());
    assert!(rig.has(address("lo-1001", "20.0.0.10")));
}

/// bgpd forgets all when it restarts, and makes an instance with its own AS for an L3VNI that is up.
#[test]
fn after_a_restart_of_bgpd_an_instance_with_another_as_comes_back() {
    let mut cloud = Cloud::seed();
    for port in ["gw", "sub"] {
        cloud.annotate(port, &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:as", "65001")]);
    }
    let mut rig = Rig::new(cloud);
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    rig.peers.take(&FrrKey::Bgp(name("vrf-1001")).into());
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    assert!(rig.has(FrrKey::Bgp(name("vrf-1001"))));
}

#[test]
fn a_changed_vni_leaves_nothing_of_the_old_one() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    for port in ["gw", "sub"] {
        rig.cloud.annotate(port, &[("neutron_bgpvpn:vni", "2002")]);
    }
    rig.run();
    let left: Vec<_> = rig.ours().into_iter().filter(|object| object.contains("1001")).collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(rig.status().converged);
}

#[test]
fn a_port_that_gets_another_number_gets_its_flows_anew() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let before = rig.ours().len();
    rig.peers.take(&VswitchKey::Port(PortName::new("patch-provnet-to-br-int")).into());
    rig.run();
    rig.peers.patch_port("provnet", "br-ex");
    rig.run();
    assert_eq!(rig.ours().len(), before, "the flows of the old number are gone");
    assert!(rig.status().converged);
}

/// `ovs-vsctl del-br` while flows are on their way, and the bridge is made again with the same numbers.
#[test]
fn flows_under_way_to_a_bridge_that_goes_are_written_when_it_is_back() {
    let mut rig = Rig::new(Cloud::seed());
    rig.peers.goes_meanwhile = Some("br-ex");
    rig.run();
    assert!(rig.peers.goes_meanwhile.is_none() && rig.status().tenants[0].state == "held");
    let bridge = PlaneId::Flows(name("br-ex"));
    rig.reconciler.report(bridge, Report::Whole(Vec::new()), rig.now);
    assert!(!rig.reconciler.readings().contains_key(&SessionId::Plane(bridge)), "its session's last words");
    rig.peers.last_port = FIRST_PORT;
    rig.peers.bridge("br-ex");
    for localnet in ["provnet", "provnet-0", "provnet-1"] {
        rig.peers.patch_port(localnet, "br-ex");
    }
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    let flows = rig.peers.objects.values().filter(|o| matches!(o, Object::Flows(FlowsObject::Flow(_))));
    assert_eq!(flows.count(), 10);
}

#[test]
fn drift_is_repaired() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let whole = rig.ours();
    let keys: Vec<Key> =
        rig.peers.objects.keys().filter(|key| !Peers::new().objects.contains_key(key)).cloned().collect();
    for key in keys.into_iter().filter(|key| !matches!(key, Key::Ledger(_) | Key::Flows(FlowsKey::Port(..))))
    {
        rig.peers.take(&key);
        rig.run();
        assert!(rig.status().converged, "{key:?}: {:?}", rig.status());
        assert_eq!(rig.ours().len(), whole.len(), "{key:?}");
    }
}

#[test]
fn a_vlan_provider_network_is_reached_by_an_internal_port() {
    let mut cloud = Cloud::seed();
    cloud.localnet("provnet", "prov", "physnet1", Some(100));
    let mut rig = Rig::new(cloud);
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    assert!(rig.has(VswitchKey::Port(name("vlan-1001").into())) && !rig.has(link("veth-vrf-1001")));
    rig.cloud.localnet("provnet", "prov", "physnet1", None);
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    assert!(!rig.has(VswitchKey::Port(name("vlan-1001").into())) && rig.has(link("veth-vrf-1001")));
}

/// A VRF can be a port of one bridge alone.
#[test]
fn of_two_provider_bridges_the_second_is_tied_by_a_veth_pair() {
    let mut cloud = Cloud::seed();
    cloud.localnet("provnet-0", "prov-b", "physnet2", None);
    let mac = "fa:16:3e:00:bb:01 172.24.5.147/24";
    let spec = crate::testing::rows::GatewaySpec::second();
    cloud.gateway(&crate::testing::rows::GatewaySpec { mac, provider: "prov-b", ..spec });
    cloud.annotate("gw-b", &[("neutron_bgpvpn:vni", "1001")]);
    let mut rig = Rig::with(cloud, Config { attach: crate::config::Attach::Vrf, ..Config::default() });
    rig.peers.no_patch_port("provnet-0");
    rig.peers.bridge("br-two");
    rig.peers.patch_port("provnet-0", "br-two");
    rig.peers.set("ovn-bridge-mappings", Some("physnet1:br-ex,physnet2:br-two".to_owned()));
    for (bridge, port) in [("br-ex", 100), ("br-two", 200)] {
        let mac = crate::model::MacAddr([2, 0, 0, 0, 1, 1]);
        let own = BridgePort { bridge: name(bridge), name: bridge.into(), port: OfPort(port), mac };
        rig.peers.put(FlowsObject::Port(own));
        rig.peers.foreign_link(bridge, LinkKind::Other("openvswitch".to_owned()));
    }
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    let port_on =
        |rig: &Rig, port: &str| match rig.peers.objects.get(&VswitchKey::Port(PortName::new(port)).into()) {
            Some(Object::Vswitch(VswitchObject::Port(port))) => port.bridge.to_string(),
            other => panic!("{port}: {other:?}"),
        };
    assert_eq!((port_on(&rig, "vrf-1001"), port_on(&rig, "vo-1001.1")), ("br-ex".into(), "br-two".into()));
    assert_eq!(rig.status().tenants[0].attach, ["vrf to physnet1", "veth to physnet2"]);
    rig.reconciler.read_all();
    assert_eq!(rig.run(), 0);
}

#[test]
fn a_node_that_has_lost_its_name_stays_who_it_was() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let chassis = rig.cloud.chassis();
    let run = |rig: &mut Rig, name: Option<&str>, chassis: &std::collections::HashMap<_, Box<str>>| {
        rig.peers.set("system-id", name.map(str::to_owned));
        rig.peers.run(&mut rig.reconciler, &mut rig.now);
        rig.reconciler.replica_mut().replace(rig.cloud.rows().into_iter().collect(), chassis.clone());
        let written = rig.peers.run(&mut rig.reconciler, &mut rig.now);
        assert_eq!((written, rig.peers.objects.values().filter(|o| is_prefix(o)).count()), (0, 4));
        rig.status().warning.unwrap_or_default()
    };
    let is_warned = run(&mut rig, None, &chassis);
    assert!(is_warned.contains("system-id is gone"), "{is_warned}");
    assert_eq!(run(&mut rig, Some("gw1"), &chassis), "");
    // The Southbound is asked for the row of the new name alone.
    let is_warned = run(&mut rig, Some("gw9"), &Default::default());
    assert!(is_warned.contains("no Chassis named gw9"), "{is_warned}");
    let renamed =
        chassis.into_iter().map(|(uuid, name)| (uuid, if &*name == "gw1" { "gw9".into() } else { name }));
    assert_eq!(run(&mut rig, Some("gw9"), &renamed.collect()), "");
    rig.peers.set("system-id", Some("gw2".to_owned()));
    rig.run();
    assert_eq!(rig.ours(), BTreeSet::new(), "another chassis, whose row is there");
}

fn is_prefix(object: &Object) -> bool {
    matches!(object, Object::Kernel(KernelObject::Address(address)) if address.dev.as_str() == "lo-1001")
}

fn mapped_to_two_bridges(cloud: Cloud) -> Rig {
    let mut rig = Rig::new(cloud);
    rig.peers.bridge("br-two");
    rig.peers.set("ovn-bridge-mappings", Some("physnet1:br-ex,physnet2:br-two".to_owned()));
    rig
}

#[test]
fn a_bridge_that_leads_nowhere_is_no_business_of_ours_and_another_tenants_is_no_hindrance() {
    let mut rig = mapped_to_two_bridges(Cloud::seed());
    rig.peers.mute = Some("br-two");
    rig.peers.bridge("br-odd");
    rig.run();
    assert_eq!(rig.reconciler.flow_bridges(), BTreeSet::from([name("br-ex"), name("br-two")]));
    rig.cloud.move_gateway("cr-lrp-gw", "gw2");
    rig.run();
    let left: Vec<_> = rig.ours().into_iter().filter(|object| object.contains("1001")).collect();
    assert_eq!(left, Vec::<String>::new(), "it has nothing on br-two");
    rig.peers.set("ovn-bridge-mappings", None);
    rig.run();
    assert!(!rig.reconciler.flow_bridges().contains(&name("br-two")));
    assert!(rig.status().converged, "{:?}", rig.status());
}

/// The flows of ours that are there when a bridge leads to no provider network any more still go.
#[test]
fn a_bridge_that_is_mapped_no_more_is_left_when_its_flows_are_gone() {
    let mut rig = mapped_to_two_bridges(Cloud::seed());
    let guard = Flow { bridge: name("br-two"), rule: FlowRule::Guard { in_port: OfPort(7) } };
    let guard: Object = FlowsObject::Flow(guard).into();
    rig.peers.put(guard.clone());
    rig.peers.refuse.insert(guard.key());
    rig.run();
    rig.peers.set("ovn-bridge-mappings", Some("physnet1:br-ex".to_owned()));
    rig.run();
    assert!(rig.has(guard.key()) && rig.reconciler.flow_bridges().contains(&name("br-two")));
    rig.peers.refuse.clear();
    rig.now += Duration::from_secs(60);
    rig.run();
    assert!(!rig.has(guard.key()));
    rig.peers.foreign_port("eth1", "br-ex");
    rig.run();
    assert_eq!(rig.reconciler.flow_bridges(), BTreeSet::from([name("br-ex")]));
}

#[test]
fn a_flow_that_is_nobodys_stays_only_where_a_tenant_that_waits_may_need_it() {
    let guard = Flow { bridge: name("br-ex"), rule: FlowRule::Guard { in_port: OfPort(77) } };
    let guard: Object = FlowsObject::Flow(guard).into();
    let mut rig = Rig::new(two_tenants());
    rig.cloud.localnet("provnet-0", "prov-b", "physnet2", None);
    let mac = "fa:16:3e:00:bb:01 172.24.4.147/24";
    let spec = crate::testing::rows::GatewaySpec::second();
    rig.cloud.gateway(&crate::testing::rows::GatewaySpec { mac, provider: "prov-b", ..spec });
    rig.run();
    let waits = |rig: &Rig, vni| {
        rig.status().tenants.iter().any(|tenant| tenant.vni == vni && tenant.state == "held")
    };
    assert!(waits(&rig, 1002) && !waits(&rig, 1001), "physnet2 is not mapped: {:?}", rig.status());
    rig.peers.put(guard.clone());
    rig.run();
    assert!(!rig.has(guard.key()), "1002 has nothing on br-ex");
    rig.peers.no_patch_port("provnet");
    rig.peers.put(guard.clone());
    rig.run();
    assert!(waits(&rig, 1001) && rig.has(guard.key()));
    rig.peers.patch_port("provnet", "br-ex");
    rig.run();
    assert!(!waits(&rig, 1001) && !rig.has(guard.key()), "{:?}", rig.status());
    // A node that comes from the Python agent: its flows serve until a tenant's own can be made.
    let mut rig = Rig::new(Cloud::seed());
    rig.peers.no_patch_port("provnet");
    rig.peers.put(guard.clone());
    rig.run();
    assert!(waits(&rig, 1001) && rig.has(guard.key()));
}

/// Somebody takes a tenant's port away while its physical network is on no bridge: an agent that comes then cannot know whose
/// the flows are. They lead to a port that is not there, and go; the rest stays.
#[test]
fn flows_without_their_port_are_nobodys_for_an_agent_that_comes_anew() {
    let mut rig = Rig::new(Cloud::seed());
    rig.run();
    let whole = rig.ours();
    rig.peers.set("ovn-bridge-mappings", None);
    rig.peers.take(&VswitchKey::Port(PortName::new("veth-ovs-1001")).into());
    rig.run();
    rig.restart();
    rig.run();
    let gone: Vec<_> = rig.peers.batches.last().into_iter().flatten().collect();
    assert!(!gone.is_empty() && gone.iter().all(|(verb, object)| is_flow_removed(*verb, object)), "{gone:?}");
    rig.peers.set("ovn-bridge-mappings", Some("physnet1:br-ex".to_owned()));
    rig.run();
    assert!(rig.status().converged);
    assert_eq!(rig.ours().len(), whole.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::testing::cases(200), ..ProptestConfig::default() })]

    /// After any events in any grouping, with faults between them, all that is open has a reason, a second pass writes
    /// nothing, and neither does an agent that comes anew to the same world: the increments have led to what a
    /// computation from scratch wants.
    #[test]
    fn any_history_ends_in_a_state_that_a_second_pass_leaves_alone(
        events in proptest::collection::vec((event(), any::<bool>()), 1..40),
        by_routes: bool,
    ) {
        let mut rig = Rig::new(Cloud::empty());
        rig.expose(by_routes);
        for (event, alone) in events {
            rig.suffer(event);
            if alone {
                rig.run();
            }
        }
        let status = rig.rests()?;
        for tenant in &status.tenants {
            let is_said = !tenant.reasons.is_empty() || status.warning.is_some();
            prop_assert!(tenant.state == "ok" || is_said, "{:?}", status);
        }
    }
}
