//! What is offered as plain routes, from rows as northd and ovn-controller write them.

use proptest::prelude::*;

use super::*;
use crate::{
    intent::Unbound,
    ovsdb::tables::DatapathGroup,
    southbound::feed,
    testing::rows::{Cloud, GatewaySpec, uuid_of},
};

fn options() -> Underlay {
    Underlay::default()
}

fn computed_with(cloud: &mut Cloud, options: &Underlay) -> Intent {
    cloud.touch_all();
    let mut intent = Intent::new(options, usize::MAX, false);
    follow(&mut intent, cloud);
    intent
}

/// Takes in what was touched.
fn follow(intent: &mut Intent, cloud: &mut Cloud) -> Delta {
    let touched = cloud.replica.take_touched();
    intent.update(&cloud.replica, &touched, Some("gw1"))
}

fn computed(cloud: &mut Cloud) -> Intent {
    computed_with(cloud, &options())
}

/// What is offered, a text each: destination, kind, and the way.
fn offered(intent: &Intent) -> Vec<String> {
    let way = |exposure: &Exposure| match exposure.way {
        Way::Direct(Some(mac)) => format!("at {mac}"),
        Way::Direct(None) => "direct".to_owned(),
        Way::Router(router, None) => format!("by {router}"),
        Way::Router(router, Some(own)) => format!("by {router} as {own}"),
        Way::Subnet(_, subnet) => format!("in {subnet}"),
    };
    let all = intent.exposures();
    all.map(|(to, exposure)| format!("{to} {} {}", exposure.kind.word(), way(exposure))).collect()
}

/// A provider network with a router, its gateway on gw1, and a tenant network behind it.
fn cloud() -> Cloud {
    Cloud::seed()
}

const GATEWAY: [&str; 2] =
    ["172.24.4.146/32 gateway at fa:16:3e:7f:59:7f", "2001:db8:ffff::1/128 gateway at fa:16:3e:7f:59:7f"];

#[test]
fn a_gateway_port_is_offered_where_it_is_and_its_tenants_are_not() {
    assert_eq!(offered(&computed(&mut cloud())), GATEWAY);
    let mut cloud = cloud();
    cloud.move_gateway("cr-lrp-gw", "gw2");
    assert_eq!(offered(&computed(&mut cloud)), [""; 0]);
}

#[test]
fn ports_of_provider_networks_are_offered_where_they_are_bound() {
    let mut cloud = Cloud::empty();
    cloud.localnet("provnet", "prov", "physnet1", None);
    cloud.workload("here", "prov", Some("gw1"), &["fa:16:3e:00:00:01 172.24.4.5 2001:db8:ffff::5"]);
    cloud.workload("there", "prov", Some("gw2"), &["fa:16:3e:00:00:02 172.24.4.6"]);
    cloud.workload("nowhere", "prov", None, &["fa:16:3e:00:00:03 172.24.4.7"]);
    cloud.workload("vip", "prov", Some("gw1"), &["fa:16:3e:00:00:04 172.24.4.8"]);
    cloud.kind("vip", "virtual");
    cloud.workload("without", "prov", Some("gw1"), &["unknown"]);
    cloud.workload("quiet", "prov", Some("gw1"), &["unknown"]);
    cloud.annotate("quiet", &[("neutron:cidrs", "172.24.4.9/24")]);
    cloud.workload("tenant", "net", Some("gw1"), &["fa:16:3e:00:00:05 20.0.0.5"]);
    let intent = computed(&mut cloud);
    let expected = [
        "172.24.4.5/32 port at fa:16:3e:00:00:01",
        "172.24.4.8/32 port direct",
        "172.24.4.9/32 port direct",
        "2001:db8:ffff::5/128 port at fa:16:3e:00:00:01",
    ];
    assert_eq!(offered(&intent), expected);
    assert_eq!(intent.networks().collect::<Vec<_>>(), [uuid_of("prov")]);
}

#[test]
fn floating_ips_are_offered_where_who_answers_for_them_is() {
    let mut cloud = cloud();
    let central = "fa:16:3e:7f:59:7f 172.24.4.146 172.24.4.200 is_chassis_resident(\"cr-lrp-gw\")";
    let distributed = "fa:16:3e:aa:00:01 172.24.4.201 is_chassis_resident(\"vm\")";
    cloud.nat("gw", &[central, distributed]);
    let with = |more: &[&str]| {
        let mut all: Vec<String> = GATEWAY.iter().chain(more).map(|line| (*line).to_owned()).collect();
        all.sort();
        all
    };
    let sorted = |intent: &Intent| {
        let mut all = offered(intent);
        all.sort();
        all
    };
    let mut intent = computed(&mut cloud);
    let central = "172.24.4.200/32 floating IP at fa:16:3e:7f:59:7f";
    assert_eq!(sorted(&intent), with(&[central]), "the VM is on cmp1");
    assert_eq!(intent.problems().count(), 0, "the gateway's own address is no quarrel");
    cloud.workload("vm", "net", Some("gw1"), &["fa:16:3e:00:00:10 20.0.0.10"]);
    follow(&mut intent, &mut cloud);
    let distributed = "172.24.4.201/32 floating IP at fa:16:3e:aa:00:01";
    assert_eq!(sorted(&intent), with(&[central, distributed]));
    cloud.nat("gw", &[]);
    follow(&mut intent, &mut cloud);
    assert_eq!(sorted(&intent), with(&[]), "released");
    cloud.remove("vm");
    cloud.nat("gw", &["fa:16:3e:aa:00:01 172.24.4.201 is_chassis_resident(\"vm\")"]);
    follow(&mut intent, &mut cloud);
    assert_eq!(sorted(&intent), with(&[]), "its port went before its row");
}

#[test]
fn load_balancers_are_offered_by_the_node_with_their_routers_gateway() {
    let vips =
        ["172.24.4.9:80", "172.24.4.9:443", "[2001:db8:ffff::9]:80", "20.0.0.99:80", "198.51.100.1:80"];
    let on_provider = [
        "172.24.4.9/32 load balancer at fa:16:3e:7f:59:7f",
        "2001:db8:ffff::9/128 load balancer at fa:16:3e:7f:59:7f",
    ];
    let balancers = |intent: &Intent| {
        let all = offered(intent);
        all.into_iter().filter(|line| line.contains("load balancer")).collect::<Vec<_>>()
    };
    for (routers, switches) in [(&["router"][..], &[][..]), (&[], &["net"])] {
        let mut cloud = cloud();
        cloud.balancer("lb", &vips, routers, switches);
        let mut intent = computed(&mut cloud);
        assert_eq!(balancers(&intent), on_provider);
        assert_eq!(intent.problems().count(), 0);
        let with_tenants = computed_with(&mut cloud, &Underlay { all_tenants: true, ..options() });
        assert_eq!(balancers(&with_tenants)[0], "20.0.0.99/32 load balancer in 20.0.0.0/24");
        cloud.move_gateway("cr-lrp-gw", "gw2");
        follow(&mut intent, &mut cloud);
        assert_eq!(offered(&intent), [""; 0]);
        cloud.move_gateway("cr-lrp-gw", "gw1");
        cloud.remove_balancer("lb");
        follow(&mut intent, &mut cloud);
        assert_eq!(offered(&intent), GATEWAY);
        cloud.balancer("lb", &vips, &["another"], &[]);
        follow(&mut intent, &mut cloud);
        assert_eq!(offered(&intent), GATEWAY, "another router's");
    }
}

#[test]
fn a_balancer_stays_where_it_was_while_its_new_group_is_on_its_way() {
    let mut cloud = cloud();
    cloud.balancer("lb", &["172.24.4.9:80"], &["router"], &[]);
    let mut intent = computed(&mut cloud);
    let lb = uuid_of("lb");
    let mut row = cloud.replica.balancers().get(&lb).unwrap().clone();
    row.lr_datapath_group = Some(uuid_of("another group"));
    cloud.replica.balancers_mut().put(lb, Some(row));
    let delta = follow(&mut intent, &mut cloud);
    assert!(delta.subjects && delta.exposures.is_empty(), "{delta:?}");
    cloud.replica.balancers_mut().put_group(uuid_of("another group"), DatapathGroup::default());
    assert_eq!(follow(&mut intent, &mut cloud).exposures.len(), 1, "it is on no router any more");
}

#[test]
fn an_address_on_a_tenants_subnet_comes_and_goes_with_the_subnet_and_by_that_routers_gateway_alone() {
    let options = Underlay { all_tenants: true, ..options() };
    let mut cloud = cloud();
    let mac = "fa:16:3e:00:bb:01 172.24.4.147/24";
    cloud.gateway(&GatewaySpec { name: "gx", mac, ..GatewaySpec::second() });
    cloud.subnet("gx", "sub-b", "net-b", "fa:16:3e:00:bb:02 20.0.0.2/24");
    cloud.balancer("lb", &["20.0.0.99:80"], &["router-b"], &[]);
    let mut intent = computed_with(&mut cloud, &options);
    let vip = |intent: &Intent| offered(intent).into_iter().find(|line| line.starts_with("20.0.0.99/32"));
    assert_eq!(vip(&intent), None, "another router's subnet of this prefix is offered");
    cloud.move_gateway("cr-lrp-gw", "gw2");
    follow(&mut intent, &mut cloud);
    assert_eq!(vip(&intent).as_deref(), Some("20.0.0.99/32 load balancer in 20.0.0.0/24"));
    cloud.move_gateway("cr-lrp-gw", "gw1");
    follow(&mut intent, &mut cloud);
    assert_eq!(vip(&intent), None);
    // The same network behind both: the way is by the first one's gateway, which has no such load balancer.
    cloud.subnet("gx", "sub-b", "net", "fa:16:3e:00:bb:02 20.0.0.2/24");
    follow(&mut intent, &mut cloud);
    assert_eq!(vip(&intent), None);
    cloud.balancer("lb", &["20.0.0.99:80"], &["router"], &[]);
    follow(&mut intent, &mut cloud);
    assert!(vip(&intent).is_some());
}

#[test]
fn a_gateway_elsewhere_says_why_its_load_balancers_are_not_offered_and_one_that_is_gone_does_not() {
    let vip = "172.24.4.9".parse().unwrap();
    let explains = |change: fn(&mut Cloud)| {
        let mut cloud = cloud();
        cloud.balancer("lb", &["172.24.4.9:80"], &["router"], &[]);
        let mut intent = computed(&mut cloud);
        change(&mut cloud);
        follow(&mut intent, &mut cloud);
        Evidence::new(&intent, &cloud.replica, Unbound::LetGo).explains(vip)
    };
    assert!(explains(|_| {}), "it is offered");
    assert!(explains(|cloud| cloud.move_gateway("cr-lrp-gw", "gw2")));
    assert!(!explains(|cloud| cloud.remove("cr-lrp-gw")));
    assert!(!explains(|cloud| cloud.remove_balancer("lb")));
}

#[test]
fn the_balancers_and_their_groups_are_asked_for() {
    let mut cloud = cloud();
    cloud.balancer("lb", &["172.24.4.9:80"], &["router"], &[]);
    let mut intent = computed(&mut cloud);
    let group = Subject::Group(uuid_of("group of lb"));
    assert!(intent.subjects().any(|subject| subject == Subject::Balancers));
    assert!(intent.subjects().any(|subject| subject == group));
    cloud.remove_balancer("lb");
    assert!(follow(&mut intent, &mut cloud).subjects);
    assert!(!intent.subjects().any(|subject| subject == group));
}

#[test]
fn tenants_networks_are_offered_by_the_node_with_the_gateway() {
    let all = Underlay { all_tenants: true, ..options() };
    let subnets = ["20.0.0.0/24 subnet by 172.24.4.146", "2001:db8:1::/64 subnet by 2001:db8:ffff::1"];
    let hosts = ["20.0.0.10/32 tenant in 20.0.0.0/24", "2001:db8:1::10/128 tenant in 2001:db8:1::/64"];
    let tenants = |options: &Underlay, cloud: &mut Cloud| {
        let intent = computed_with(cloud, options);
        let lines: Vec<String> =
            offered(&intent).into_iter().filter(|line| !GATEWAY.contains(&line.as_str())).collect();
        lines
    };
    assert_eq!(tenants(&all, &mut cloud()), [subnets[0], hosts[0], subnets[1], hosts[1]]);
    let global = Underlay { global_tenants: true, ..options() };
    assert_eq!(tenants(&global, &mut cloud()), [subnets[1], hosts[1]]);
    let by_subnet = Underlay { by_subnet: true, ..all.clone() };
    let as_subnets = [
        "20.0.0.0/24 subnet by 172.24.4.146 as 20.0.0.1",
        "2001:db8:1::/64 subnet by 2001:db8:ffff::1 as 2001:db8:1::1",
    ];
    assert_eq!(tenants(&by_subnet, &mut cloud()), as_subnets);

    let scoped = Underlay { scopes: ["mine".into()].into(), ..all };
    assert_eq!(tenants(&scoped, &mut cloud()), [""; 0]);
    let mut cloud = cloud();
    cloud.annotate(
        "sub",
        &[("neutron:subnet_pool_addr_scope4", "mine"), ("neutron:subnet_pool_addr_scope6", "x")],
    );
    assert_eq!(tenants(&scoped, &mut cloud), [subnets[0], hosts[0]]);
}

#[test]
fn tenants_networks_that_their_router_translates_are_not_offered_where_that_is_asked() {
    let options = Underlay { all_tenants: true, without_snat: true, ..options() };
    let tenants = |intent: &Intent| {
        let lines = offered(intent).into_iter().filter(|line| !GATEWAY.contains(&line.as_str()));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut cloud = cloud();
    let mut intent = computed_with(&mut cloud, &options);
    assert_eq!(tenants(&intent), [""; 0], "the Northbound has not told of the router");
    cloud.translate("gw", Some(&["20.0.0.0/24"]));
    follow(&mut intent, &mut cloud);
    assert_eq!(tenants(&intent), ["2001:db8:1::/64", "2001:db8:1::10/128"]);
    let mut evidence = Evidence::new(&intent, &cloud.replica, Unbound::LetGo);
    assert!(evidence.explains("20.0.0.10".parse().unwrap()));
    cloud.translate("gw", Some(&["20.0.1.0/24"]));
    follow(&mut intent, &mut cloud);
    assert_eq!(tenants(&intent).len(), 4, "{:?}", tenants(&intent));
    cloud.translate("gw", None);
    follow(&mut intent, &mut cloud);
    assert_eq!(tenants(&intent), [""; 0]);
}

#[test]
fn overlapping_subnets_and_addresses_claimed_twice_are_put_aside_with_the_winners_name() {
    let mut cloud = cloud();
    let spec = GatewaySpec::second();
    cloud.gateway(&GatewaySpec { mac: "fa:16:3e:00:bb:01 172.24.4.147/24", ..spec });
    cloud.subnet("gw-b", "sub-b", "net-b", "fa:16:3e:00:bb:02 20.0.0.129/25");
    cloud.workload("vm-b", "net-b", Some("cmp1"), &["fa:16:3e:00:bb:10 20.0.0.130"]);
    cloud.localnet("provnet-2", "prov-2", "physnet2", None);
    cloud.workload("twin", "prov-2", Some("gw1"), &["fa:16:3e:00:00:99 172.24.4.146"]);
    let intent = computed_with(&mut cloud, &Underlay { all_tenants: true, ..options() });
    let lines = offered(&intent);
    assert!(lines.contains(&GATEWAY[0].to_owned()), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.contains("20.0.0.130") || line.contains("20.0.0.128")),
        "{lines:?}"
    );
    let said: Vec<String> =
        intent.problems().map(|problem| format!("{}: {}", problem.port, problem.reason)).collect();
    let expected = [
        "lrp-sub-b: 20.0.0.128/25 overlaps with 20.0.0.0/24 of lrp-sub, which is offered",
        "twin: 172.24.4.146/32 is offered for cr-lrp-gw, which has it too",
    ];
    assert_eq!(said, expected);
}

#[test]
fn beside_the_evpn_mode_annotated_routers_are_left_to_it_but_for_floating_ips() {
    let mut cloud = cloud();
    cloud.nat("gw", &["fa:16:3e:7f:59:7f 172.24.4.146 172.24.4.200 is_chassis_resident(\"cr-lrp-gw\")"]);
    let options = Underlay { all_tenants: true, ..options() };
    cloud.touch_all();
    let mut intent = Intent::new(&options, usize::MAX, true);
    follow(&mut intent, &mut cloud);
    let nat = "172.24.4.200/32 floating IP at fa:16:3e:7f:59:7f";
    assert_eq!(offered(&intent), [nat]);
    cloud.balancer("lb", &["172.24.4.9:80", "172.24.4.146:80", "20.0.0.99:80"], &["router"], &[]);
    follow(&mut intent, &mut cloud);
    assert_eq!(offered(&intent), ["172.24.4.9/32 load balancer at fa:16:3e:7f:59:7f", nat]);
    cloud.remove_balancer("lb");
    cloud.annotate("gw", &[]);
    follow(&mut intent, &mut cloud);
    assert_eq!(offered(&intent).len(), 7, "{:?}", offered(&intent));
}

#[test]
fn beyond_the_limit_the_largest_addresses_are_put_aside_and_come_back() {
    let mut cloud = cloud();
    cloud.touch_all();
    let options = Underlay { all_tenants: true, ..options() };
    cloud.workload("vm-2", "net", Some("cmp1"), &["fa:16:3e:00:00:11 20.0.0.11 2001:db8:1::11"]);
    let mut intent = Intent::new(&options, 3, false);
    follow(&mut intent, &mut cloud);
    let destinations = |intent: &Intent| intent.exposures().map(|(to, _)| to.to_string()).collect::<Vec<_>>();
    // What others stand on is not limited: the gateway's addresses, and the ways to the tenants' subnets.
    let stood_on = ["20.0.0.0/24", "172.24.4.146/32", "2001:db8:1::/64", "2001:db8:ffff::1/128"];
    let with = |more: &[&str]| {
        let mut all: Vec<Prefix> = stood_on.iter().chain(more).map(|to| to.parse().unwrap()).collect();
        all.sort();
        all.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(destinations(&intent), with(&["20.0.0.10/32", "20.0.0.11/32", "2001:db8:1::10/128"]));
    assert!(intent.excess().unwrap().to_string().starts_with("1 addresses are put aside: max_prefixes"));
    cloud.remove("vm");
    follow(&mut intent, &mut cloud);
    assert_eq!(destinations(&intent), with(&["20.0.0.11/32", "2001:db8:1::11/128"]));
    assert_eq!(intent.excess(), None);
    let delta = intent.set_limit(1);
    assert_eq!(destinations(&intent), with(&["20.0.0.11/32"]));
    assert_eq!(delta.exposures.len(), 1, "{delta:?}");
}

#[test]
fn the_southbound_is_asked_for_ports_of_this_chassis_and_for_rows_with_nat() {
    let mut cloud = cloud();
    let mut intent = computed(&mut cloud);
    let wanted = |intent: &Intent| {
        let subjects = intent.subjects().map(std::borrow::Cow::Owned);
        format!("{:?}", feed::conditions(Some("gw1"), subjects))
    };
    let asked = wanted(&intent);
    assert!(asked.contains(&uuid_of("gw1").to_string()) && asked.contains("nat_addresses"), "{asked}");
    assert!(!asked.contains(&uuid_of("net").to_string()), "no tenant network: {asked}");
    assert!(
        !asked.contains(&uuid_of("prov").to_string()),
        "nor others' ports of a provider network: {asked}"
    );
    let (lost, none) = ([[192, 0, 2, 1].into()].into(), BTreeSet::new());
    assert!(intent.look_for(&cloud.replica, &lost));
    assert!(wanted(&intent).contains(&uuid_of("prov").to_string()));
    assert!(intent.look_for(&cloud.replica, &none) && !intent.look_for(&cloud.replica, &none));
}

/// Destinations, reasons, subjects and provider networks.
type Said = (Vec<(Prefix, Exposure)>, BTreeSet<String>, BTreeSet<Subject>, Vec<Uuid>);

/// Everything that an intent says, in a comparable form.
fn said(intent: &Intent) -> Said {
    let problems = intent.problems().map(|problem| format!("{}: {}", problem.port, problem.reason));
    (
        intent.exposures().map(|(to, exposure)| (*to, exposure.clone())).collect(),
        problems.collect(),
        intent.subjects().collect(),
        intent.networks().collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::testing::cases(300), ..ProptestConfig::default() })]

    #[test]
    fn increment_equals_recompute(steps in proptest::collection::vec(crate::testing::rows::plain_step(), 1..60),
                                  grouping in 1usize..6, limit in prop_oneof![0usize..6, Just(usize::MAX)],
                                  [by_subnet, tenants, without_snat, evpn]: [bool; 4]) {
        let options = Underlay { all_tenants: tenants, by_subnet, without_snat, ..options() };
        let mut cloud = Cloud::empty();
        let mut intent = Intent::new(&options, limit, evpn);
        for group in steps.chunks(grouping) {
            for step in group {
                cloud.apply(step);
            }
            let before = said(&intent);
            let delta = follow(&mut intent, &mut cloud);
            let now = said(&intent);
            cloud.touch_all();
            let mut scratch = Intent::new(&options, limit, evpn);
            follow(&mut scratch, &mut cloud);
            prop_assert_eq!(&now, &said(&scratch));
            // The delta names all that changed.
            for (to, _) in before.0.iter().filter(|one| !now.0.contains(one)).chain(now.0.iter().filter(|one| !before.0.contains(one))) {
                prop_assert!(delta.exposures.contains(to), "{}", to);
            }
            for network in before.3.iter().filter(|one| !now.3.contains(one)).chain(now.3.iter().filter(|one| !before.3.contains(one))) {
                prop_assert!(delta.networks.contains(network));
            }
            prop_assert!(delta.subjects || before.2 == now.2);
        }
    }
}
