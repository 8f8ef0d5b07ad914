//! What the Python reference agent gets wrong, each a test named after it, in the words of recorded scenarios.

use super::{object::Object, scenarios::command, tests::Rig};
use crate::{
    intent::names,
    model::Vni,
    planes::kernel::{
        decode::{self, Event},
        object::{Address, KernelObject, ROUTE_PROTOCOL},
        uapi::{RTA_DST, RTA_OIF, RTM_NEWROUTE},
        wire::{self, Writer},
    },
    southbound::feed,
    testing::rows::Cloud,
};

/// A node after these commands, a line each; a `then` lets everything follow from what came before it.
fn after(lines: &str) -> Rig {
    let mut rig = Rig::new(Cloud::empty());
    go_on(&mut rig, lines);
    rig
}

fn go_on(rig: &mut Rig, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line {
            "then" => drop(rig.run()),
            line => command(rig, line),
        }
    }
    rig.run();
}

/// How many things stand whose text begins so.
fn count(rig: &Rig, text: &str) -> usize {
    rig.peers.objects.values().filter(|object| object.to_string().starts_with(text)).count()
}

#[track_caller]
fn stands(rig: &Rig, text: &str) {
    assert_eq!(count(rig, text), 1, "{text}");
}

#[track_caller]
fn nothing_stands_of(rig: &Rig, vni: u32) {
    let vni = Vni::new(vni).unwrap();
    let left: Vec<String> = rig
        .peers
        .objects
        .values()
        .filter(|object| match object {
            Object::Ledger(entry) => entry.vni == vni,
            object => object.to_string().contains(&format!("-{vni}")),
        })
        .map(ToString::to_string)
        .collect();
    assert_eq!(left, [""; 0]);
}

#[track_caller]
fn converges(rig: &mut Rig) {
    let status = rig.reconciler.status(rig.now);
    assert!(status.converged, "{status:?}");
    rig.reconciler.read_all();
    assert_eq!(rig.run(), 0, "a second pass writes nothing");
}

#[track_caller]
fn says(rig: &Rig, words: &str) {
    let status = rig.reconciler.status(rig.now);
    let problems = status.problems.iter().map(|problem| problem.reason.as_str());
    let reasons = status.tenants.iter().flat_map(|tenant| tenant.reasons.iter().map(String::as_str));
    assert!(problems.chain(reasons).any(|reason| reason.contains(words)), "{status:?}");
}

#[test]
fn a01_failover_in_one_update_is_seen_on_both_nodes() {
    let mut rig = after("seed\n then\n move cr-lrp-gw gw2");
    nothing_stands_of(&rig, 1001);
    go_on(&mut rig, "move cr-lrp-gw gw1");
    stands(&rig, "address 20.0.0.10/32");
    converges(&mut rig);
}

#[test]
fn a02_an_as_added_after_the_vni_takes_effect() {
    let mut rig =
        after("seed\n annotate gw vni=1001\n annotate sub vni=1001\n then\n annotate gw vni=1001 as=65010");
    stands(&rig, "frr router bgp 65010 vrf vrf-1001");
    assert_eq!(count(&rig, "frr router bgp 64999 vrf vrf-1001"), 0);
    converges(&mut rig);
}

#[test]
fn a03_vlan_provider_networks_work() {
    let mut rig = after("seed\n localnet provnet prov physnet1 100");
    stands(&rig, "port vlan-1001 on br-ex tag 100");
    stands(&rig, "flow on br-ex: redirect 20.0.0.0/24 of fa:16:3e:7f:59:7f from port 12 untagged");
    converges(&mut rig);
}

#[test]
fn a04_the_local_route_of_an_ipv6_address_is_removed_also_when_it_comes_late() {
    let mut rig = Rig::new(Cloud::seed());
    rig.peers.late_local_routes = true;
    rig.run();
    let kept: Vec<_> = rig
        .peers
        .objects
        .values()
        .filter(|object| {
            matches!(object, Object::Kernel(KernelObject::Address(Address { local_route: true, .. })))
        })
        .collect();
    assert!(kept.is_empty(), "{kept:?}");
    stands(&rig, "address 2001:db8:1::10/128");
    converges(&mut rig);
}

#[test]
fn a05_neighbour_discovery_is_answered_for_the_routers_next_hop() {
    let rig = after("seed");
    stands(&rig, "flow on br-ex: answer ND of fa:16:3e:7f:59:7f from port 12 for any address");
}

#[test]
fn a06_the_patch_port_is_that_of_the_gateways_own_network() {
    let mut rig = after(
        "seed
         localnet other prov-other physnet1 7
         patch other br-ex
         then
         no-patch other",
    );
    assert_eq!(count(&rig, "flow on br-ex: redirect 20.0.0.0/24 of fa:16:3e:7f:59:7f from port 12 "), 1);
    converges(&mut rig);
}

#[test]
fn a07_a_changed_vni_as_address_or_mac_leaves_nothing_of_the_old() {
    let mut rig = after("seed\n then\n annotate gw vni=2002 as=65010\n annotate sub vni=2002 as=65010");
    nothing_stands_of(&rig, 1001);
    stands(&rig, "frr router bgp 65010 vrf vrf-2002");
    go_on(&mut rig, "gateway gw router prov gw1 fa:16:3e:00:00:01 172.24.4.200/24");
    assert_eq!(count(&rig, "address 172.24.4.146/32"), 0);
    stands(&rig, "neighbour 172.24.4.200 fa:16:3e:00:00:01");
    let old_mac = |object: &&Object| object.to_string().contains("fa:16:3e:7f:59:7f");
    assert_eq!(rig.peers.objects.values().filter(old_mac).count(), 0);
}

#[test]
fn a08_of_two_routers_with_one_vni_one_leaves_and_the_other_stands() {
    let mut rig = after(
        "seed
         gateway gwb router-b prov gw1 fa:16:3e:00:bb:01 172.24.4.148/24
         subnet gwb subb netb fa:16:3e:00:bb:02 30.0.0.1/24
         annotate gwb vni=1001 as=64999
         annotate subb vni=1001 as=64999
         vm vmb netb cmp1 fa:16:3e:00:bb:10 30.0.0.10
         then
         move cr-lrp-gw gw2",
    );
    stands(&rig, "address 30.0.0.10/32");
    stands(&rig, "link vrf-1001");
    assert_eq!(count(&rig, "address 20.0.0.10/32"), 0);
    converges(&mut rig);
}

#[test]
fn a09_foreign_devices_with_names_like_ours_are_left_alone() {
    let mut rig = after(
        "foreign-link br-docker0 bridge
         foreign-link br-1 bridge
         foreign-link vxlan-x dummy
         foreign-link lo-y dummy
         foreign-link vrf-mgmt vrf:500
         seed
         then
         remove cr-lrp-gw",
    );
    nothing_stands_of(&rig, 1001);
    for link in ["br-docker0", "br-1", "vxlan-x", "lo-y", "vrf-mgmt"] {
        stands(&rig, &format!("link {link} "));
    }
    converges(&mut rig);
}

#[test]
fn a10_only_routes_of_our_own_protocol_are_ever_ours_to_remove() {
    for (protocol, ours) in [(ROUTE_PROTOCOL, true), (2, false), (3, false), (4, false), (186, false)] {
        let mut writer = Writer::default();
        writer.message(RTM_NEWROUTE, 0, 0, |w| {
            // struct rtmsg: 198.51.100.0/24 in table 200, by that protocol, on a link, unicast.
            w.fixed(&[2, 24, 0, 0, 200, protocol, 253, 1, 0, 0, 0, 0]);
            w.ip(RTA_DST, [198, 51, 100, 0].into());
            w.number(RTA_OIF, 7);
        });
        let message = wire::messages(writer.bytes()).next().unwrap().unwrap();
        let event = decode::event(&message).unwrap();
        assert_eq!(matches!(event, Some(Event::Route(..))), ours, "protocol {protocol}: {event:?}");
    }
}

#[test]
fn a11_stale_addresses_go_also_when_none_is_expected() {
    let rig = after(
        "seed
         then
         gateway gw router prov gw1 fa:16:3e:7f:59:7f
         remove vm",
    );
    assert_eq!(count(&rig, "address "), 0);
}

#[test]
fn a12_events_after_a_gateway_left_are_no_trouble() {
    let mut rig = after(
        "seed
         then
         remove cr-lrp-gw
         then
         vm vm net - fa:16:3e:00:00:10 20.0.0.10
         then
         remove vm
         then
         remove sub
         then
         remove lrp-gw",
    );
    nothing_stands_of(&rig, 1001);
    converges(&mut rig);
}

#[test]
fn a13_a_subnet_with_another_vni_is_put_aside_by_event_and_by_a_fresh_start_alike() {
    let mut rig = after("seed\n then\n annotate sub vni=2002");
    let by_event = format!("{:?}", rig.reconciler.status(rig.now).problems);
    says(&rig, "annotated with VNI 2002, but its router's gateway with VNI 1001");
    rig.restart();
    rig.run();
    assert_eq!(format!("{:?}", rig.reconciler.status(rig.now).problems), by_event);
    assert_eq!(count(&rig, "address 20.0.0.10/32"), 0);
}

#[test]
fn a14_a_vni_of_seven_digits_and_more_fits_in_every_name() {
    let mut rig = after("seed\n annotate gw vni=16777215\n annotate sub vni=16777215");
    stands(&rig, "link vrf-16777215 ");
    stands(&rig, "address 20.0.0.10/32");
    converges(&mut rig);
}

#[test]
fn a15_without_a_vtep_address_it_waits_and_says_so() {
    let mut rig = after("seed\n settings ovn-encap-ip=");
    says(&rig, "no VTEP address");
    assert_eq!(count(&rig, "link vxlan-1001"), 0);
    go_on(&mut rig, "settings ovn-encap-ip=100.65.0.1");
    stands(&rig, "link vxlan-1001");
    converges(&mut rig);
}

#[test]
fn a16_every_prefix_of_a_router_port_is_used() {
    let rig = after(
        "seed
         subnet gw sub net fa:16:3e:8d:c4:51 20.0.0.1/24 20.0.1.1/24 2001:db8:1::1/64
         annotate sub vni=1001
         vm vm net cmp1 fa:16:3e:00:00:10 20.0.0.10 20.0.1.10",
    );
    stands(&rig, "route 20.0.0.0/24 via 172.24.4.146");
    stands(&rig, "route 20.0.1.0/24 via 172.24.4.146");
    stands(&rig, "address 20.0.1.10/32");
}

#[test]
fn a17_a_subnet_that_comes_before_its_gateway_is_served_when_that_comes() {
    let mut rig = after(
        "localnet provnet prov physnet1
         subnet gw sub net fa:16:3e:8d:c4:51 20.0.0.1/24
         annotate sub vni=1001
         vm vm net cmp1 fa:16:3e:00:00:10 20.0.0.10
         then
         gateway gw router prov gw1 fa:16:3e:7f:59:7f 172.24.4.146/24
         subnet gw sub net fa:16:3e:8d:c4:51 20.0.0.1/24
         annotate sub vni=1001
         annotate gw vni=1001",
    );
    stands(&rig, "address 20.0.0.10/32");
    converges(&mut rig);
}

#[test]
fn a18_what_frr_refuses_is_seen_said_and_tried_again() {
    let mut rig = after("refuse frr router bgp\n seed");
    says(&rig, "refused by the test");
    assert_eq!(count(&rig, "address "), 0, "nothing attracts traffic before FRR is ready");
    go_on(&mut rig, "allow");
    stands(&rig, "address 20.0.0.10/32");
    converges(&mut rig);
}

#[test]
fn a19_forwarding_is_on_and_rp_filter_off_on_what_routes() {
    let rig = after("seed");
    let vni = Vni::new(1001).unwrap();
    for name in [names::vrf(vni), names::bridge(vni), names::veth(vni, 0).0] {
        let routes = rig.peers.objects.values().any(|object| {
            matches!(object, Object::Kernel(KernelObject::Link(link))
                if link.name == name && link.settings.ipv4_forwarding && link.settings.no_rp_filter)
        });
        assert!(routes, "{name}");
    }
}

#[test]
fn a20_a_bind_elsewhere_in_the_cloud_is_neither_asked_for_nor_looked_at() {
    let mut rig = after("seed");
    let wanted = format!("{:?}", feed::conditions(Some("gw1"), rig.reconciler.subjects()));
    let elsewhere = crate::testing::rows::uuid_of("another-network");
    assert!(!wanted.contains(&elsewhere.to_string()), "{wanted}");
    assert!(wanted.contains(&crate::testing::rows::uuid_of("net").to_string()), "{wanted}");
    let before = rig.reconciler.status(rig.now).revision;
    go_on(&mut rig, "vm stranger another-network cmp1 fa:16:3e:00:00:99 20.0.0.99");
    assert_eq!(rig.reconciler.status(rig.now).revision, before);
    assert_eq!(count(&rig, "address 20.0.0.99/32"), 0);
}
