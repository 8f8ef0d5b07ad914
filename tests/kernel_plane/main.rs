//! The kernel plane against the kernel itself, with iproute2 as the other party: each test in a network namespace of
//! its own. Needs root, `unshare` and `ip`.
//!
//! The tests marked `ignored` need the vrf and dummy modules; `lab/kernel-plane.sh` runs all of them in the guest.
#![allow(clippy::disallowed_types)] // the tests play the operator, who does start programs

mod stage;
mod vni;
mod zebra;

use std::fs;

use bgp_agent::{
    model::{Mark, Vni},
    planes::{
        Command, Outcome,
        kernel::{Options, object::*},
    },
};
use tokio::time::timeout;

use stage::*;

#[test]
fn a_tree_is_made_in_one_batch_and_taken_away() {
    isolated("a_tree_is_made_in_one_batch_and_taken_away", || async {
        let mut plane = Plane::start().await;
        let tree = small_tree();
        plane.done(tree.clone()).await;
        stands(&plane, &tree);

        let shown = run("ip -d link show vxlan-1001");
        for word in [
            "vxlan id 1001 local 100.65.0.1 ",
            "dstport 4789 nolearning",
            "master br-1001",
            "alias bgp-agent 1001",
            "UP",
        ] {
            assert!(shown.contains(word), "{word}: {shown}");
        }
        assert!(run("ip -d link show br-1001").contains("stp_state 0"));
        for (name, value) in [("forwarding", "1"), ("rp_filter", "0")] {
            let path = format!("/proc/sys/net/ipv4/conf/veth-vrf-1001/{name}");
            assert_eq!(fs::read_to_string(path).unwrap().trim(), value, "{name}");
        }
        assert_eq!(run("ip -6 addr show dev veth-vrf-1001"), "", "no address appears by itself");
        let routes = run("ip route show table 1001");
        for line in [
            "172.24.4.146 dev veth-vrf-1001 proto 182 scope link",
            "20.0.0.0/24 via 172.24.4.146 dev veth-vrf-1001 proto 182",
            "unreachable default proto 182 metric 4278198272",
        ] {
            assert!(routes.contains(line), "{line}: {routes}");
        }
        let neighbours = run("ip neigh show dev veth-vrf-1001");
        assert!(neighbours.contains("172.24.4.146 lladdr fa:16:3e:7f:59:7f PERMANENT"), "{neighbours}");

        plane.done(tree.clone()).await; // what is there already is as good
        stands(&plane, &tree);
        assert_eq!(plane.wholes, 1, "all this was told by changes");

        plane.done(reversed(&tree)).await;
        for operation in &tree {
            assert!(!plane.view.contains_key(&operation.object.key()), "{operation:?} is still seen");
        }
        assert_eq!(run("ip route show table 1001") + &run("ip -6 route show table 1001"), "");
        plane.done(reversed(&tree)).await; // what is gone already is as good
    });
}

#[test]
fn what_stands_at_the_start_is_read() {
    isolated("what_stands_at_the_start_is_read", || async {
        let tree = small_tree();
        let mut first = Plane::start().await;
        first.done(tree.clone()).await;
        let second = Plane::start().await;
        stands(&second, &tree);
        assert_eq!(first.view, second.view);
    });
}

#[test]
fn a_link_is_changed_in_place() {
    isolated("a_link_is_changed_in_place", || async {
        let mut plane = Plane::start().await;
        plane.done(small_tree()).await;
        let changed = [
            inside("br-1001", link("vxlan-1001", vxlan("100.65.0.2"))),
            inside("br-1001", Link { mtu: Some(1300), ..link("veth-ovs-1001", veth("veth-vrf-1001")) }),
            Link {
                up: false,
                mac: Some("02:00:00:00:00:01".parse().unwrap()),
                ..link("veth-vrf-1001", veth("veth-ovs-1001"))
            },
        ];
        let index = index_of("vxlan-1001");
        let operations: Vec<_> = changed.map(update).into();
        plane.done(operations.clone()).await;
        stands(&plane, &operations);
        assert_eq!(index_of("vxlan-1001"), index);

        // No master wished: who enslaves it is not ours to change.
        plane.done(vec![update(link("vxlan-1001", vxlan("100.65.0.3")))]).await;
        stands(&plane, &[update(inside("br-1001", link("vxlan-1001", vxlan("100.65.0.3"))))]);

        let why = plane.failed(update(link("vxlan-1001", vxlan("2001:db8::1")))).await;
        assert!(why.contains("update link vxlan-1001: change its kind's settings: "), "{why}");
        assert!(why.contains("address family"), "the kernel's own words: {why}");
    });
}

#[test]
fn what_is_not_ours_is_left_alone() {
    isolated("what_is_not_ours_is_left_alone", || async {
        run("ip link add br-1001 type veth peer name other");
        run("ip link add vxlan-1001 type vxlan id 1001 dstport 4789 local 100.65.0.1");
        run("ip link set other up");
        run("ip route add 10.1.0.0/24 dev other table 1001");
        run("ip route add 10.2.0.0/24 dev other table 1001 scope link proto static");
        run("ip link set br-1001 up");
        let mut plane = Plane::start().await;

        let why = plane.failed(create(link("br-1001", LinkKind::Bridge))).await;
        assert!(why.contains("foreign link"), "{why}");
        let why = plane.failed(remove(link("br-1001", LinkKind::Bridge))).await;
        assert!(why.contains("alias"), "{why}");
        run("ip link set br-1001 alias bgp-agent-1001");
        let why = plane.failed(remove(link("br-1001", LinkKind::Bridge))).await;
        assert!(why.contains("alias"), "{why}");

        let adopted = link("vxlan-1001", vxlan("100.65.0.1"));
        plane.done(vec![create(adopted.clone())]).await;
        stands(&plane, &[create(adopted.clone())]);
        assert!(run("ip -d link show vxlan-1001").contains("nolearning"));
        let why = plane.failed(create(Link { owner: Vni::new(7).map(Mark::Vni), ..adopted })).await;
        assert!(why.contains("alias of 1001"), "{why}");

        let why = plane.failed(create(route(1001, "10.1.0.0/24", 0, via("10.2.0.1", "other")))).await;
        assert!(why.contains("foreign route in table 1001: dev other, protocol 3"), "{why}");
        plane.done(vec![create(route(1001, "10.2.0.0/24", 0, on("other")))]).await;
        assert!(run("ip route show table 1001").contains("10.2.0.0/24 dev other proto 182"));
        plane.done(vec![remove(route(1001, "10.1.0.0/24", 0, on("other")))]).await;
        assert!(run("ip route show table 1001").contains("10.1.0.0/24"));
        let update_of_foreign = update(route(1001, "10.1.0.0/24", 0, NextHop::Unreachable));
        assert!(plane.failed(update_of_foreign).await.contains("foreign route"));

        run("ip -6 route add 2001:db8::/64 dev other table 1001 metric 1024");
        plane.done(vec![create(route(1001, "2001:db8::/64", 1024, on("other")))]).await;
        assert!(run("ip -6 route show table 1001").contains("proto 182"));
    });
}

#[test]
fn rules_are_made_beside_others_seen_as_they_come_and_go_and_taken_over_where_they_do_the_same() {
    isolated(
        "rules_are_made_beside_others_seen_as_they_come_and_go_and_taken_over_where_they_do_the_same",
        || async {
            run("ip rule add to 10.0.0.1 lookup 201 pref 32000 proto static");
            run("ip rule add to 10.0.0.1 lookup 201 pref 900");
            run("ip rule add to 10.0.0.1 lookup 202 pref 32000");
            run("ip rule add to 10.0.0.1 iif lo lookup 201 pref 32000");
            run("ip rule add to 10.0.0.0/24 lookup 201 pref 32000");
            let others = "32000:\tfrom all to 10.0.0.1 lookup 202\n32000:\tfrom all to 10.0.0.1 iif lo lookup 201\n\
                      32000:\tfrom all to 10.0.0.0/24 lookup 201\n";
            let shown = || {
                let all = run("ip rule") + &run("ip -6 rule");
                let of_tests = |line: &&str| line.contains(" to ") || line.contains("proto 182");
                all.lines().filter(of_tests).map(|line| line.trim_end().to_owned() + "\n").collect::<String>()
            };
            let mut plane = Plane::start().await;
            let rule = |to: &str| Rule { to: to.parse().unwrap(), table: 201, priority: 32_000 };
            let rules = [rule("10.0.0.1/32"), rule("2001:db8::1/128"), rule("2001:db8:1::/64")];
            plane.done(rules.iter().cloned().map(create).collect()).await;
            let ours = "32000:\tfrom all to 10.0.0.1 lookup 201 proto 182\n";
            assert!(shown().contains(&format!("{others}{ours}")), "{}", shown());
            plane.done(rules.iter().cloned().map(create).collect()).await; // what is there already is as good
            assert_eq!(shown().lines().count(), 6, "{}", shown());
            for rule in &rules {
                assert!(plane.has(rule.clone()));
            }
            run("ip rule del to 10.0.0.1 lookup 201 pref 32000 proto 182");
            plane.until("that our rule is gone", |plane| plane.lacks(rules[0].clone())).await;
            run("ip rule add to 10.0.0.1 lookup 201 pref 32000 proto 182");
            plane.until("that it is back", |plane| plane.has(rules[0].clone())).await;
            plane.done(rules.iter().cloned().map(remove).collect()).await;
            plane.done(rules.iter().cloned().map(remove).collect()).await;
            assert_eq!(shown(), others);
        },
    );
}

#[test]
fn neighbours_on_others_devices_are_marked_and_known_again() {
    isolated("neighbours_on_others_devices_are_marked_and_known_again", || async {
        run("ip link add br-ex type bridge");
        run("ip link set br-ex up");
        run("ip neigh add 10.0.0.1 lladdr fa:16:3e:00:00:01 nud permanent dev br-ex");
        let mut plane = Plane::start().await;
        let marked = |ip: &str| Neighbour { marked: true, ..neighbour("br-ex", ip, "fa:16:3e:00:00:01") };
        let all = [marked("10.0.0.1"), marked("2001:db8::1")];
        plane.done(all.iter().cloned().map(create).collect()).await;
        assert_eq!(run("ip neigh").matches("proto 182").count(), 2);
        let fresh = Plane::start().await;
        assert!(all.iter().all(|neighbour| fresh.has(neighbour.clone())));
        plane.done(all.iter().cloned().map(remove).collect()).await;
        assert!(!run("ip neigh").contains("PERMANENT"));
    });
}

#[test]
fn what_others_do_is_seen() {
    isolated("what_others_do_is_seen", || async {
        let mut plane = Plane::start().await;
        plane.done(small_tree()).await;

        run("ip addr add 192.0.2.1/24 dev veth-ovs-1001");
        let address = Address { length: 24, ..host("veth-ovs-1001", "192.0.2.1") };
        plane.until("the address", |plane| plane.has(address.clone())).await;
        run("ip link set veth-ovs-1001 down");
        run("ip link set veth-ovs-1001 name renamed");
        let moved = Address { dev: dev("renamed"), ..address.clone() };
        plane.until("the renamed link's address", |plane| plane.has(moved.clone())).await;
        assert!(plane.link("veth-ovs-1001").is_none() && plane.lacks(address));
        let other_end = plane.link("veth-vrf-1001").map(|link| link.kind.clone());
        assert_eq!(other_end, Some(veth("renamed")));

        let ours = route(1001, "20.0.0.0/24", 0, via("172.24.4.146", "veth-vrf-1001"));
        assert!(plane.has(ours.clone()));
        run("ip route replace 20.0.0.0/24 via 172.24.4.146 dev veth-vrf-1001 table 1001 proto static");
        plane.until("the foreign route in place of ours", |plane| plane.lacks(ours.clone())).await;
        run("ip neigh replace 172.24.4.146 lladdr fa:16:3e:00:00:01 dev veth-vrf-1001 nud permanent");
        let changed = neighbour("veth-vrf-1001", "172.24.4.146", "fa:16:3e:00:00:01");
        plane.until("the changed neighbour", |plane| plane.has(changed.clone())).await;
        let why = plane.failed(remove(neighbour("veth-vrf-1001", "172.24.4.146", "fa:16:3e:7f:59:7f"))).await;
        assert!(why.contains("fa:16:3e:00:00:01"), "{why}");

        for value in [1, 0] {
            run(&format!(
                "sysctl -qw net.ipv4.conf.br-1001.forwarding={value} net.ipv4.conf.br-1001.rp_filter={value}"
            ));
            let is_told = |plane: &Plane| {
                let settings = plane.link("br-1001").map(|link| link.settings).unwrap_or_default();
                settings.ipv4_forwarding == (value == 1) && settings.no_rp_filter == (value == 0)
            };
            plane.until("the changed settings", is_told).await;
        }

        let plain = |plane: &Plane, name: &str| plane.link(name).is_some_and(|link| link.settings.plain);
        assert!(plain(&plane, "br-1001") && plain(&plane, "vxlan-1001"));
        run("ip link set br-1001 type bridge stp_state 1");
        run("ip link set vxlan-1001 type vxlan learning");
        let neither = |plane: &Plane| !plain(plane, "br-1001") && !plain(plane, "vxlan-1001");
        plane.until("STP and learning", neither).await;
        let bridge = update(link("br-1001", LinkKind::Bridge));
        plane.done(vec![bridge, update(inside("br-1001", link("vxlan-1001", vxlan("100.65.0.1"))))]).await;
        assert!(plain(&plane, "br-1001") && plain(&plane, "vxlan-1001"));

        run("ip link del vxlan-1001");
        plane.until("the VXLAN device gone", |plane| plane.link("vxlan-1001").is_none()).await;
        run("ip link set br-1001 up"); // br-1001 is as before
        assert!(plane.link("br-1001").is_some());
        assert_eq!(plane.wholes, 1, "all this was told by changes");
    });
}

/// The kernel does not tell of IPv4 routes that go with their link.
#[test]
fn routes_that_vanish_in_silence_are_missed() {
    isolated("routes_that_vanish_in_silence_are_missed", || async {
        let mut plane = Plane::start().await;
        let tree = small_tree();
        let on_the_link = |object: &KernelObject| matches!(object, KernelObject::Route(route) if route.next_hop != NextHop::Unreachable);
        plane.done(tree.clone()).await;
        assert_eq!(plane.count(on_the_link), 4);

        run("ip link set veth-vrf-1001 down");
        plane.until("the routes gone with the link down", |plane| plane.count(on_the_link) == 0).await;
        run("ip link set veth-vrf-1001 up");
        plane.done(tree.clone()).await;
        assert_eq!(plane.count(on_the_link), 4);

        run("ip addr add 192.0.2.1/32 dev veth-vrf-1001");
        run("ip addr del 192.0.2.1/32 dev veth-vrf-1001");
        let ipv4 = |object: &KernelObject| matches!(object, KernelObject::Route(route) if route.prefix.addr().is_ipv4() && on_the_link(object));
        plane.until("the routes gone with the last address", |plane| plane.count(ipv4) == 0).await;
        plane.done(tree.clone()).await;
        assert_eq!(plane.count(on_the_link), 4);

        run("ip link del veth-ovs-1001");
        plane.until("the routes gone with the link", |plane| plane.count(on_the_link) == 0).await;
        assert!(plane.has(route(1001, "0.0.0.0/0", 4_278_198_272, NextHop::Unreachable)));
        assert_eq!(plane.count(|object| matches!(object, KernelObject::Neighbour(_))), 0);
        assert!(plane.link("veth-vrf-1001").is_none());
    });
}

#[test]
fn each_operation_of_a_large_batch_has_its_own_outcome() {
    isolated("each_operation_of_a_large_batch_has_its_own_outcome", || async {
        let mut plane = Plane::start().await;
        plane.done(small_tree()).await;
        let numbers = 0..20_000u32;
        let operations: Vec<_> = numbers
            .clone()
            .map(|n| {
                let prefix = format!("10.{}.{}.0/30", n / 256, n % 256);
                let gateway = if n % 2 == 0 { "172.24.4.146" } else { "203.0.113.1" };
                create(route(1001, &prefix, 0, via(gateway, "veth-vrf-1001")))
            })
            .collect();
        let outcomes = plane.apply(operations.clone()).await;
        for (n, outcome) in numbers.zip(outcomes) {
            match outcome {
                Outcome::Done => assert_eq!(n % 2, 0),
                Outcome::Failed(why) => {
                    assert_eq!(n % 2, 1);
                    assert!(why.contains("Nexthop has invalid gateway (Network is unreachable)"), "{why}");
                    assert!(why.contains("in table 1001"), "{why}");
                }
                Outcome::Unknown => panic!("operation {n} is unknown"),
            }
        }
        let seen = |object: &KernelObject| matches!(object, KernelObject::Route(route) if route.prefix.prefix_len() == 30);
        assert_eq!(plane.count(seen), 10_000, "the view is complete when the results come");
        assert_eq!(plane.wholes, 1);
    });
}

#[test]
fn lost_notifications_lead_to_a_new_whole() {
    isolated("lost_notifications_lead_to_a_new_whole", || async {
        run("ip link add one type veth peer name two");
        run("ip link set one up");
        let mut plane = Plane::with(Options { listen_buffer: 4096 }).await;
        let lines = (0..3_000).map(|n| {
            format!("route add 10.{}.{}.0/24 dev one proto 182 scope link table 1001\n", n / 256, n % 256)
        });
        ip_batch(&lines.collect::<String>()); // nobody listens meanwhile: this is the only thread
        let all = |object: &KernelObject| matches!(object, KernelObject::Route(_));
        plane.until("all routes", |plane| plane.count(all) == 3_000).await;
        assert!(plane.wholes > 1);
    });
}

#[test]
fn reading_again_is_answered_and_commands_outlive_nothing() {
    isolated("reading_again_is_answered_and_commands_outlive_nothing", || async {
        let mut plane = Plane::start().await;
        plane.commands.send(Command::Read).await.unwrap();
        plane.until("a second view", |plane| plane.wholes == 2).await;
        let Plane { commands, mut reports, .. } = plane;
        drop(commands);
        let end = timeout(PATIENCE, async { while reports.recv().await.is_some() {} }).await;
        assert!(end.is_ok(), "the plane ends when nobody commands it any more");
    });
}

/// What the listening socket's filter leaves out cannot overrun it, however small its buffer is.
#[test]
fn routes_that_tell_nothing_new_are_not_heard() {
    isolated("routes_that_tell_nothing_new_are_not_heard", || async {
        ip_batch("link add one up type veth peer name two\nlink set two up\n");
        let mut plane = Plane::with(Options { listen_buffer: 4096 }).await;
        let prefix = |net, n| format!("{net}.{}.{}.0/24", n / 256, n % 256);
        let foreign = (0..5_000).map(|n| format!("route add {} dev one proto zebra\n", prefix(10, n)));
        ip_batch(&foreign.collect::<String>());
        let ours: Vec<_> = (0..5_000).map(|n| create(route(254, &prefix(11, n), 0, on("one")))).collect();
        plane.done(ours.clone()).await;
        stands(&plane, &ours);
        plane.done(reversed(&ours)).await;
        assert_eq!(plane.count(|object| matches!(object, KernelObject::Route(_))), 0);
        assert_eq!(run("ip route show proto 182"), "");
        assert_eq!(plane.wholes, 1, "nothing overran");
    });
}

#[test]
fn foreign_routes_that_replace_each_other_pass_by() {
    isolated("foreign_routes_that_replace_each_other_pass_by", || async {
        ip_batch("link add one up type veth peer name two\nlink set two up\n");
        let mut plane = Plane::start().await;
        let lines = (0..5_000).map(|n| {
            let prefix = format!("10.{}.{}.0/24", n / 256, n % 256);
            format!("route add {prefix} dev one proto zebra\nroute replace {prefix} dev one proto zebra\n")
        });
        ip_batch(&lines.collect::<String>());
        plane.done(vec![create(route(254, "192.0.2.0/24", 0, on("one")))]).await;
        assert_eq!(plane.count(|object| matches!(object, KernelObject::Route(_))), 1);
        assert_eq!(plane.wholes, 1);
    });
}
