//! The intent over plain rows: the seed's example, every kind of problem, and increment equal to recompute.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::testing::rows::{Cloud, GatewaySpec};

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

fn vni(number: u32) -> Vni {
    Vni::new(number).unwrap()
}

/// An intent that has seen all of the cloud from chassis gw1.
fn computed(cloud: &mut Cloud) -> Intent {
    let mut intent = Intent::new(asn(64999), Limits { per_vni: 3, per_node: 5 });
    intent.set_chassis("gw1");
    let touched = cloud.replica.take_touched();
    intent.update(&cloud.replica, &touched, &cloud.ledger, BTreeSet::new());
    intent
}

fn reasons(intent: &Intent) -> Vec<String> {
    intent.problems().map(|problem| format!("{}: {}", problem.port, problem.reason)).collect()
}

fn addresses(intent: &Intent) -> BTreeSet<String> {
    intent.addresses().map(|(vni, ip)| format!("{vni} {ip}")).collect()
}

fn set<const N: usize>(items: [&str; N]) -> BTreeSet<String> {
    items.map(str::to_owned).into()
}

#[test]
fn the_seeds_tenant() {
    let mut cloud = Cloud::seed();
    let intent = computed(&mut cloud);
    let tenant = intent.tenant(vni(1001)).unwrap();
    assert_eq!(tenant.asn, asn(64999));
    assert_eq!(tenant.gateways[0].mac.to_string(), "fa:16:3e:7f:59:7f");
    let prefixes: Vec<_> = tenant.subnets.iter().map(|subnet| subnet.prefix.to_string()).collect();
    assert_eq!(prefixes, ["20.0.0.0/24", "2001:db8:1::/64"]);
    assert_eq!(addresses(&intent), set(["1001 20.0.0.10", "1001 2001:db8:1::10"]));
    assert_eq!(reasons(&intent), Vec::<String>::new());
}

/// A provider network of several segments has a localnet for each; this node is on one of them.
#[test]
fn of_several_localnets_the_one_that_is_mapped_here_is_taken() {
    let mut cloud = Cloud::seed();
    cloud.localnet("a-provnet", "prov", "physnet9", None);
    let mut intent = computed(&mut cloud);
    let port = |intent: &Intent| intent.tenant(vni(1001)).unwrap().gateways[0].localnet.port.to_string();
    assert_eq!(port(&intent), "a-provnet", "none is mapped: the first by name");
    for (network, localnet) in [("physnet1", "provnet"), ("physnet9", "a-provnet"), ("other", "a-provnet")] {
        intent.set_networks([&network.into()].into_iter());
        let touched = cloud.replica.take_touched();
        intent.update(&cloud.replica, &touched, &cloud.ledger, BTreeSet::new());
        assert_eq!(port(&intent), localnet, "{network} is mapped");
    }
}

#[test]
fn a_gateway_elsewhere_is_nothing_to_us() {
    let mut cloud = Cloud::seed();
    cloud.move_gateway("cr-lrp-gw", "gw2");
    let intent = computed(&mut cloud);
    assert_eq!((intent.tenants().count(), intent.addresses().count()), (0, 0));
}

#[test]
fn failover_in_one_update_takes_and_gives() {
    let mut cloud = Cloud::seed();
    let mut intent = computed(&mut cloud);
    for (chassis, tenants) in [("gw2", 0), ("gw1", 1), ("gw2", 0)] {
        cloud.move_gateway("cr-lrp-gw", chassis);
        let touched = cloud.replica.take_touched();
        let delta = intent.update(&cloud.replica, &touched, &cloud.ledger, BTreeSet::new());
        assert_eq!(intent.tenants().count(), tenants);
        assert_eq!(delta.tenants, BTreeSet::from([vni(1001)]));
        assert_eq!(delta.addresses.len(), 2);
    }
}

#[test]
fn an_annotation_that_is_no_number_is_put_aside_with_a_reason() {
    for bad in ["abc", "0", "16777216", "1001\nno router bgp 64999"] {
        let mut cloud = Cloud::seed();
        cloud.annotate("gw", &[("neutron_bgpvpn:vni", bad)]);
        let intent = computed(&mut cloud);
        assert_eq!(intent.tenants().count(), 0);
        let reasons = reasons(&intent);
        assert!(reasons.iter().any(|reason| reason.contains("neutron_bgpvpn:vni")), "{reasons:?}");
        assert!(!reasons.iter().any(|reason| reason.contains('\n')), "{reasons:?}");
    }
}

#[test]
fn hostile_port_names_are_shown_escaped() {
    let mut cloud = Cloud::empty();
    cloud.localnet("provnet", "prov", "physnet1", None);
    let name = "gw\n\u{1b}[2J";
    cloud.gateway(&GatewaySpec { name, mac: "router", ..GatewaySpec::second() });
    cloud.annotate(name, &[("neutron_bgpvpn:vni", "1001")]);
    let intent = computed(&mut cloud);
    let reasons = reasons(&intent);
    assert!(reasons.len() == 1 && !reasons[0].contains(char::is_control), "{reasons:?}");
}

#[test]
fn the_as_is_the_gateways_else_the_subnets_else_the_configured_one() {
    let mut cloud = Cloud::seed();
    cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001")]);
    cloud.annotate("sub", &[("neutron_bgpvpn:vni", "1001")]);
    assert_eq!(computed(&mut cloud).tenant(vni(1001)).unwrap().asn, asn(64999));
    cloud.annotate("sub", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:as", "65001")]);
    assert_eq!(computed(&mut cloud).tenant(vni(1001)).unwrap().asn, asn(65001));
    cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:as", "65002")]);
    let intent = computed(&mut cloud);
    assert_eq!(intent.tenant(vni(1001)).unwrap().asn, asn(65002));
    assert_eq!(intent.tenant(vni(1001)).unwrap().subnets.len(), 0);
    assert!(reasons(&intent)[0].contains("AS 65001"), "{:?}", reasons(&intent));
}

#[test]
fn a_subnet_with_another_vni_is_refused_and_one_without_is_not_exposed() {
    let mut cloud = Cloud::seed();
    cloud.annotate("sub", &[("neutron_bgpvpn:vni", "1002")]);
    let intent = computed(&mut cloud);
    assert_eq!(intent.tenant(vni(1001)).unwrap().subnets.len(), 0);
    assert!(reasons(&intent)[0].contains("VNI 1002"), "{:?}", reasons(&intent));
    cloud.annotate("sub", &[]);
    let intent = computed(&mut cloud);
    assert_eq!((reasons(&intent).len(), intent.addresses().count()), (0, 0));
}

#[test]
fn a_subnet_whose_gateway_is_not_annotated_says_so() {
    let mut cloud = Cloud::seed();
    cloud.annotate("gw", &[]);
    let intent = computed(&mut cloud);
    assert_eq!(intent.tenants().count(), 0);
    assert!(reasons(&intent)[0].contains("annotate the gateway port too"), "{:?}", reasons(&intent));
}

#[test]
fn workloads_count_when_they_are_bound_and_inside_a_subnet() {
    let mut cloud = Cloud::seed();
    cloud.workload("unbound", "net", None, &["fa:16:3e:00:00:11 20.0.0.11"]);
    cloud.workload("stray", "net", Some("cmp1"), &["fa:16:3e:00:00:12 192.0.2.12"]);
    cloud.workload("unknown", "net", Some("cmp1"), &["unknown"]);
    cloud.workload("quiet", "net", Some("cmp1"), &["unknown"]);
    cloud.annotate("quiet", &[("neutron:cidrs", "20.0.0.14/24")]);
    cloud.workload("twice", "net", Some("cmp1"), &["fa:16:3e:00:00:13 20.0.0.10"]);
    let mut intent = computed(&mut cloud);
    assert_eq!(addresses(&intent), set(["1001 20.0.0.10", "1001 20.0.0.14", "1001 2001:db8:1::10"]));
    assert_eq!(intent.strays().count(), 1);
    cloud.remove("vm");
    let touched = cloud.replica.take_touched();
    intent.update(&cloud.replica, &touched, &cloud.ledger, BTreeSet::new());
    let left = set(["1001 20.0.0.10", "1001 20.0.0.14"]);
    assert_eq!(addresses(&intent), left, "the other port still has it");
}

#[test]
fn two_routers_share_a_vni_and_the_one_that_leaves_takes_only_its_own() {
    let mut cloud = Cloud::seed();
    cloud.gateway(&GatewaySpec {
        name: "gw-b",
        mac: "fa:16:3e:00:bb:01 172.24.4.147/24",
        ..GatewaySpec::second()
    });
    cloud.subnet("gw-b", "sub-b", "net-b", "fa:16:3e:00:bb:02 30.0.0.1/24");
    cloud.annotate("gw-b", &[("neutron_bgpvpn:vni", "1001")]);
    cloud.annotate("sub-b", &[("neutron_bgpvpn:vni", "1001")]);
    cloud.workload("vm-b", "net-b", Some("cmp1"), &["fa:16:3e:00:bb:10 30.0.0.10"]);
    let mut intent = computed(&mut cloud);
    assert_eq!(intent.tenant(vni(1001)).unwrap().gateways.len(), 2);
    cloud.move_gateway("cr-lrp-gw", "gw2");
    let touched = cloud.replica.take_touched();
    intent.update(&cloud.replica, &touched, &cloud.ledger, BTreeSet::new());
    assert_eq!(intent.tenant(vni(1001)).unwrap().gateways.len(), 1);
    assert_eq!(addresses(&intent), set(["1001 30.0.0.10"]));
}

/// The VRF of routers that share a VNI has the targets of all; the rd is one router's.
#[test]
fn routers_of_one_vni_share_their_route_targets_and_the_first_ones_rd() {
    let mut cloud = Cloud::seed();
    cloud.gateway(&GatewaySpec {
        name: "gw-b",
        mac: "fa:16:3e:00:bb:01 172.24.4.147/24",
        ..GatewaySpec::second()
    });
    let vni_of = ("neutron_bgpvpn:vni", "1001");
    let shared = |cloud: &mut Cloud| {
        cloud.touch_all();
        let intent = computed(cloud);
        let tenant = intent.tenant(vni(1001)).unwrap();
        let texts = |targets: &BTreeSet<RouteTarget>| {
            targets.iter().map(RouteTarget::to_string).collect::<Vec<_>>().join(" ")
        };
        let rd = tenant.rd.map(|rd| rd.to_string()).unwrap_or_default();
        (texts(&tenant.import), texts(&tenant.export), rd, reasons(&intent))
    };
    let is =
        |import: &str, export: &str, rd: &str| (import.to_owned(), export.to_owned(), rd.to_owned(), vec![]);

    cloud.annotate("gw", &[vni_of, ("neutron_bgpvpn:it", "64999:1"), ("neutron_bgpvpn:rd", "64999:5")]);
    cloud.annotate("gw-b", &[vni_of, ("neutron_bgpvpn:it", "64999:2")]);
    assert_eq!(shared(&mut cloud), is("64999:1 64999:2", "", "64999:5"));
    // One that names none keeps what FRR would derive for it alone.
    cloud.annotate("gw-b", &[vni_of, ("neutron_bgpvpn:et", "64999:3")]);
    assert_eq!(shared(&mut cloud), is("64999:1 64999:1001", "64999:3 64999:1001", "64999:5"));

    cloud.annotate("gw-b", &[vni_of, ("neutron_bgpvpn:rd", "64999:6")]);
    let (.., rd, problems) = shared(&mut cloud);
    assert_eq!(rd, "64999:5");
    assert_eq!(problems, ["cr-lrp-gw-b: its rd 64999:6 is not used: VNI 1001 has 64999:5 of another router"]);
    // Another AS is no part of the VRF, and neither are its targets.
    cloud.annotate("gw-b", &[vni_of, ("neutron_bgpvpn:as", "65001"), ("neutron_bgpvpn:rt", "65001:1")]);
    assert_eq!(shared(&mut cloud).0, "64999:1");
}

#[test]
fn who_holds_the_vni_by_the_ledger_keeps_its_as_among_newcomers_the_smallest_name() {
    let mut cloud = Cloud::seed();
    cloud.gateway(&GatewaySpec {
        name: "aa",
        mac: "fa:16:3e:00:bb:01 172.24.4.147/24",
        ..GatewaySpec::second()
    });
    cloud.annotate("aa", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:as", "65001")]);
    let intent = computed(&mut cloud);
    assert_eq!(intent.tenant(vni(1001)).unwrap().asn, asn(65001));
    assert!(reasons(&intent)[0].starts_with("cr-lrp-gw: ") && reasons(&intent)[0].contains("cr-lrp-aa"));
    let gateways = vec!["cr-lrp-gw".into()];
    cloud.ledger.put(crate::ledger::Entry { vni: vni(1001), asn: asn(64999), gateways, left: false });
    cloud.touch_all();
    let intent = computed(&mut cloud);
    assert_eq!(intent.tenant(vni(1001)).unwrap().asn, asn(64999));
    assert!(reasons(&intent)[0].starts_with("cr-lrp-aa: "), "{:?}", reasons(&intent));
    // Both hold it, and then the first by name is given another AS.
    let gateways = vec!["cr-lrp-aa".into(), "cr-lrp-gw".into()];
    cloud.ledger.put(crate::ledger::Entry { vni: vni(1001), asn: asn(64999), gateways, left: false });
    cloud.touch_all();
    let intent = computed(&mut cloud);
    assert_eq!(intent.tenant(vni(1001)).unwrap().asn, asn(64999));
    assert!(reasons(&intent)[0].starts_with("cr-lrp-aa: "), "{:?}", reasons(&intent));
}

#[test]
fn overlapping_subnets_in_a_vni_and_subnets_without_a_next_hop_are_put_aside() {
    let mut cloud = Cloud::seed();
    cloud.gateway(&GatewaySpec {
        name: "gw-b",
        mac: "fa:16:3e:00:bb:01 172.24.4.147/24",
        ..GatewaySpec::second()
    });
    cloud.subnet("gw-b", "sub-b", "net-b", "fa:16:3e:00:bb:02 20.0.0.129/25 2001:db8:b::1/64 30.0.0.1/24");
    cloud.annotate("gw-b", &[("neutron_bgpvpn:vni", "1001")]);
    cloud.annotate("sub-b", &[("neutron_bgpvpn:vni", "1001")]);
    let intent = computed(&mut cloud);
    let prefixes: Vec<_> =
        intent.tenant(vni(1001)).unwrap().subnets.iter().map(|subnet| subnet.prefix.to_string()).collect();
    assert_eq!(prefixes, ["20.0.0.0/24", "2001:db8:1::/64", "30.0.0.0/24"]);
    let reasons = reasons(&intent).join("\n");
    assert!(reasons.contains("20.0.0.128/25 overlaps with 20.0.0.0/24 of lrp-sub"), "{reasons}");
    assert!(reasons.contains("2001:db8:b::/64 is not advertised"), "{reasons}");
}

#[test]
fn beyond_the_limit_the_largest_addresses_are_put_aside_and_come_back() {
    let mut cloud = Cloud::seed();
    cloud.workload("vm2", "net", Some("cmp1"), &["fa:16:3e:00:00:20 20.0.0.1 20.0.0.2"]);
    let mut intent = computed(&mut cloud);
    assert_eq!(addresses(&intent), set(["1001 20.0.0.1", "1001 20.0.0.2", "1001 20.0.0.10"]));
    assert!(
        intent
            .excesses()
            .next()
            .unwrap()
            .to_string()
            .contains("1 addresses are put aside: max_prefixes_per_vni")
    );
    cloud.remove("vm2");
    let touched = cloud.replica.take_touched();
    intent.update(&cloud.replica, &touched, &cloud.ledger, BTreeSet::new());
    assert_eq!(addresses(&intent), set(["1001 20.0.0.10", "1001 2001:db8:1::10"]));
}

#[test]
fn the_kernels_own_tables_are_no_vnis() {
    for number in ["253", "254", "255"] {
        let mut cloud = Cloud::seed();
        cloud.annotate("gw", &[("neutron_bgpvpn:vni", number)]);
        let intent = computed(&mut cloud);
        assert_eq!(intent.tenants().count(), 0);
        assert!(reasons(&intent).iter().any(|reason| reason.contains("routing table")));
    }
}

#[test]
fn a_router_that_ovn_advertises_is_not_ours_to_advertise() {
    let mut cloud = Cloud::seed();
    cloud.dynamic_routing("cr-lrp-gw", Some("ovnvrf3"));
    let mut intent = computed(&mut cloud);
    assert_eq!((intent.tenants().count(), intent.addresses().count()), (0, 0));
    let said = reasons(&intent);
    assert!(said.len() == 1 && said[0].starts_with("cr-lrp-gw: OVN itself advertises"), "{said:?}");
    // Without an annotation there is nothing to say; without the option there is nothing in the way.
    cloud.annotate("gw", &[]);
    cloud.annotate("sub", &[]);
    assert_eq!(reasons(&computed(&mut cloud)), Vec::<String>::new());
    let back = Cloud::seed();
    cloud.replica.replace(back.rows().into_iter().collect(), back.chassis());
    let touched = cloud.replica.take_touched();
    intent.update(&cloud.replica, &touched, &cloud.ledger, BTreeSet::new());
    assert_eq!(addresses(&intent), set(["1001 20.0.0.10", "1001 2001:db8:1::10"]));
}

/// ovn-controller may make a VRF of that name, with nothing on it that tells it from one of an earlier run of ours.
#[test]
fn a_vni_whose_vrf_has_the_name_of_one_of_ovns_is_put_aside() {
    let mut cloud = Cloud::seed();
    let mac = "fa:16:3e:00:bb:01 172.24.4.147/24";
    cloud.gateway(&GatewaySpec { mac, ..GatewaySpec::second() });
    for name in ["vrf-1001", "vrf-01001", "vrf-1002", "br-1001"] {
        cloud.dynamic_routing("cr-lrp-gw-b", Some(name));
        let intent = computed(&mut cloud);
        assert_eq!(intent.tenants().count(), usize::from(name != "vrf-1001"), "{name}");
        let said = reasons(&intent);
        assert_eq!(said.is_empty(), name != "vrf-1001", "{said:?}");
        assert!(said.iter().all(|said| said.contains("in a VRF vrf-1001 (") && said.contains("cr-lrp-gw-b")));
        cloud.touch_all();
    }
    // What another chassis holds makes no VRF here.
    cloud.dynamic_routing("cr-lrp-gw-b", Some("vrf-1001"));
    cloud.move_gateway("cr-lrp-gw-b", "gw2");
    cloud.touch_all();
    assert_eq!(computed(&mut cloud).tenants().count(), 1);
}

#[test]
fn rows_may_arrive_in_any_order() {
    let all = Cloud::seed();
    let rows: Vec<(Uuid, _)> = all.rows();
    for rotation in 0..rows.len() {
        let mut cloud = Cloud::empty();
        let mut intent = Intent::new(asn(64999), Limits { per_vni: 3, per_node: 5 });
        intent.set_chassis("gw1");
        for at in 0..rows.len() {
            let (uuid, row) = rows[(at + rotation) % rows.len()].clone();
            cloud.replica.put_port(uuid, row);
            let touched = cloud.replica.take_touched();
            intent.update(&cloud.replica, &touched, &cloud.ledger, BTreeSet::new());
        }
        assert_eq!(addresses(&intent), set(["1001 20.0.0.10", "1001 2001:db8:1::10"]), "rotation {rotation}");
    }
}

/// Tenants, addresses, reasons and subjects.
type Said = (Vec<Tenant>, BTreeSet<(Vni, IpAddr)>, BTreeSet<String>, BTreeSet<Subject>);

/// Everything that an intent says, in a comparable form.
fn said(intent: &Intent) -> Said {
    let problems = reasons(intent).into_iter().collect();
    (
        intent.tenants().cloned().collect(),
        intent.addresses().collect(),
        problems,
        intent.subjects().cloned().collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::testing::cases(300), ..ProptestConfig::default() })]

    #[test]
    fn increment_equals_recompute(steps in proptest::collection::vec(crate::testing::rows::step(), 1..60),
                                  grouping in 1usize..6) {
        let mut cloud = Cloud::empty();
        let mut intent = Intent::new(asn(64999), Limits { per_vni: 3, per_node: 5 });
        intent.set_chassis("gw1");
        for group in steps.chunks(grouping) {
            for step in group {
                cloud.apply(step);
            }
            let touched = cloud.replica.take_touched();
            let before = said(&intent);
            let delta = intent.update(&cloud.replica, &touched, &cloud.ledger, BTreeSet::new());
            cloud.touch_all();
            let scratch = computed(&mut cloud);
            prop_assert_eq!(said(&intent), said(&scratch));
            // The delta names all that changed.
            for changed in before.1.symmetric_difference(&said(&intent).1) {
                prop_assert!(delta.addresses.contains(changed));
            }
            prop_assert!(delta.subjects || before.3 == said(&intent).3);
        }
    }
}
