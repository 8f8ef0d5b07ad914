//! One whole VNI, where vrf and dummy exist.

use bgp_agent::planes::{Command, Operation, kernel::object::*};
use tokio::time::Instant;

use crate::stage::*;

/// All links, routes, neighbours and addresses of one VNI, advertised last.
fn whole_tree() -> Vec<Operation<KernelObject>> {
    let mut tree = vec![
        create(link("vrf-1001", LinkKind::Vrf { table: 1001 })),
        create(inside("vrf-1001", link("br-1001", LinkKind::Bridge))),
        create(inside("br-1001", link("vxlan-1001", vxlan("100.65.0.1")))),
        create(inside("vrf-1001", link("lo-1001", LinkKind::Dummy))),
        create(inside("vrf-1001", link("veth-vrf-1001", veth("veth-ovs-1001")))),
        create(link("veth-ovs-1001", veth("veth-vrf-1001"))),
    ];
    tree.extend(small_tree().into_iter().skip(4));
    tree.push(create(host("lo-1001", "172.24.4.146")));
    tree.push(create(host("lo-1001", "20.0.0.10")));
    tree.push(create(host("lo-1001", "2001:db8:1::10")));
    tree
}

/// The kernel's routes to addresses, which swallow traffic.
fn local_routes() -> String {
    let prefixes = run("ip -6 route show table 1001 dev lo-1001 proto kernel type unicast");
    run("ip route show table 1001 type local") + &run("ip -6 route show table 1001 type local") + &prefixes
}

/// Does what the reconciler does: asks a local route away wherever one is seen, until none is left.
async fn settle(plane: &mut Plane, wished: &[Address]) {
    let end = Instant::now() + PATIENCE;
    while !(wished.iter().all(|address| plane.has(address.clone())) && local_routes().is_empty()) {
        assert!(Instant::now() < end, "local routes remain: {} {:#?}", local_routes(), plane.view);
        let swallowing =
            plane.view.values().filter(|o| matches!(o, KernelObject::Address(a) if a.local_route));
        let updates: Vec<_> = swallowing.cloned().map(update).collect();
        if updates.is_empty() {
            plane.next().await;
        } else {
            plane.done(updates).await;
        }
    }
}

#[test]
#[ignore = "needs the vrf and dummy modules: lab/kernel-plane.sh"]
fn a_whole_vni_is_made_and_taken_away() {
    isolated("vni::a_whole_vni_is_made_and_taken_away", || async {
        let mut plane = Plane::start().await;
        let tree = whole_tree();
        plane.done(tree.clone()).await;
        let addresses = ["172.24.4.146", "20.0.0.10", "2001:db8:1::10"].map(|ip| host("lo-1001", ip));
        settle(&mut plane, &addresses).await;
        stands(&plane, &tree);
        let routes = run("ip -6 route show table 1001");
        assert!(!routes.contains("2001:db8:1::10"), "the address brings no prefix route: {routes}");

        plane.done(tree.clone()).await;
        settle(&mut plane, &addresses).await;
        stands(&plane, &tree);
        let again = Plane::start().await;
        stands(&again, &tree);

        plane.done(reversed(&tree)).await;
        for operation in &tree {
            assert!(!plane.view.contains_key(&operation.object.key()), "{operation:?} is still seen");
        }
        assert_eq!(run("ip route show table 1001") + &run("ip -6 route show table 1001"), "");
    });
}

#[test]
#[ignore = "needs the vrf and dummy modules: lab/kernel-plane.sh"]
fn local_routes_that_come_back_are_seen_and_asked_away() {
    isolated("vni::local_routes_that_come_back_are_seen_and_asked_away", || async {
        let mut plane = Plane::start().await;
        plane.done(whole_tree()).await;
        let ipv4 = ["172.24.4.146", "20.0.0.10"].map(|ip| host("lo-1001", ip));
        let back = ipv4.clone().map(|address| Address { local_route: true, ..address });

        // Into the VRF again: the kernel takes the link down and up, and puts the local routes back.
        run("ip link set lo-1001 nomaster");
        plane
            .until("the dummy outside", |plane| plane.link("lo-1001").is_some_and(|l| l.master.is_none()))
            .await;
        assert!(ipv4.iter().all(|address| plane.has(address.clone())));
        run("ip link set lo-1001 master vrf-1001");
        plane.until("the local routes", |plane| back.iter().all(|address| plane.has(address.clone()))).await;
        settle(&mut plane, &ipv4).await;

        let lost = host("lo-1001", "2001:db8:1::10");
        plane.until("IPv6 gone with the cycle", |plane| plane.lacks(lost.clone())).await;
        plane.done(vec![create(lost.clone())]).await;
        settle(&mut plane, &[lost]).await;
    });
}

#[test]
#[ignore = "needs the vrf and dummy modules: lab/kernel-plane.sh"]
fn a_vrf_deleted_by_others_takes_its_routes_along() {
    isolated("vni::a_vrf_deleted_by_others_takes_its_routes_along", || async {
        let mut plane = Plane::start().await;
        let tree = whole_tree();
        plane.done(tree.clone()).await;
        run("ip link del vrf-1001");
        let routes = |object: &KernelObject| matches!(object, KernelObject::Route(_));
        plane
            .until("only the routes that need no link", |plane| {
                plane.link("vrf-1001").is_none() && plane.count(routes) == 2
            })
            .await;
        let left = run("ip route show table 1001") + &run("ip -6 route show table 1001");
        let ours = left.lines().filter(|line| line.contains("proto 182")).count();
        assert_eq!(ours, 2, "{left}");
        assert!(plane.link("lo-1001").is_some_and(|link| link.master.is_none()));

        // The dummy's addresses survived, and with the new VRF their local routes come back: the gateway's stands where
        // its own route should be until it is asked away.
        let addresses = ["172.24.4.146", "20.0.0.10", "2001:db8:1::10"].map(|ip| host("lo-1001", ip));
        plane.apply(tree.clone()).await;
        settle(&mut plane, &addresses).await;
        plane.done(tree.clone()).await;
        settle(&mut plane, &addresses).await;
        stands(&plane, &tree);
    });
}

#[test]
#[ignore = "needs the vrf and dummy modules: lab/kernel-plane.sh"]
fn a_gateway_gets_its_route_where_its_address_has_its_local_route_back() {
    isolated("vni::a_gateway_gets_its_route_where_its_address_has_its_local_route_back", || async {
        let mut plane = Plane::start().await;
        let gateway = host("lo-1001", "172.24.4.146");
        let tree = whole_tree();
        plane.done(tree.clone()).await;
        settle(&mut plane, std::slice::from_ref(&gateway)).await;
        // As after the VRF has come anew.
        run("ip route del 172.24.4.146 table 1001");
        run("ip route add local 172.24.4.146 dev lo-1001 table 1001 proto kernel scope host");
        let back = |seen: &KernelObject| matches!(seen, KernelObject::Address(address) if address.local_route && address.ip == gateway.ip);
        plane.until("its local route", |plane| plane.view.values().any(back)).await;

        plane.done(vec![create(route(1001, "172.24.4.146/32", 0, on("veth-vrf-1001")))]).await;
        settle(&mut plane, std::slice::from_ref(&gateway)).await;
        stands(&plane, &tree);
        let routes = run("ip route show table 1001");
        assert!(!routes.contains("local 172.24.4.146"), "{routes}");
    });
}

#[test]
#[ignore = "needs the vrf and dummy modules: lab/kernel-plane.sh"]
fn an_ipv6_subnet_gets_its_route_where_its_gateways_address_stands_already() {
    isolated("vni::an_ipv6_subnet_gets_its_route_where_its_gateways_address_stands_already", || async {
        let mut plane = Plane::start().await;
        let gateway = host("lo-1001", "2001:db8:ffff::1");
        let mut tree = whole_tree();
        tree.push(create(gateway.clone()));
        plane.done(tree.clone()).await;
        settle(&mut plane, std::slice::from_ref(&gateway)).await;

        let late = route(1001, "2001:db8:2::/64", 1024, via("2001:db8:ffff::1", "veth-vrf-1001"));
        plane.done(vec![create(late.clone())]).await;
        settle(&mut plane, std::slice::from_ref(&gateway)).await;
        tree.push(create(late));
        stands(&plane, &tree);
        let addresses = run("ip -6 address show dev lo-1001");
        assert!(addresses.contains("2001:db8:ffff::1/128"), "{addresses}");
    });
}

#[test]
#[ignore = "needs the vrf and dummy modules: lab/kernel-plane.sh"]
fn vteps_that_routes_lead_by_and_that_have_no_neighbour_are_told() {
    isolated("vni::vteps_that_routes_lead_by_and_that_have_no_neighbour_are_told", || async {
        let mut plane = Plane::start().await;
        plane.done(whole_tree()).await;
        let [several, left, single, mapped] = ["100.65.0.7", "100.65.0.8", "100.65.0.9", "::ffff:100.65.0.9"];
        let comes = |vtep: &str| {
            run(&format!("ip neigh add {vtep} lladdr 02:00:00:00:00:09 dev br-1001 nud noarp extern_learn"));
        };
        let goes = |vtep: &str| {
            run(&format!("ip neigh del {vtep} dev br-1001"));
        };
        [several, left, single, mapped].into_iter().for_each(comes);
        for line in [
            // As zebra has them: with next hop objects.
            "ip nexthop add id 8 via 100.65.0.8 dev br-1001 onlink",
            "ip nexthop add id 9 via 100.65.0.9 dev br-1001 onlink",
            "ip route add 10.8.0.0/24 nhid 8 table 1001 proto bgp",
            "ip route add 10.9.0.0/24 nhid 9 table 1001 proto bgp",
            "ip route add 10.7.0.0/24 table 1001 proto bgp nexthop via 100.65.0.7 dev br-1001 onlink \
             nexthop via 100.65.0.9 dev br-1001 onlink",
            "ip -6 route add 2001:db8:9::/64 via ::ffff:100.65.0.9 dev br-1001 onlink table 1001 proto bgp",
        ] {
            run(line);
        }
        run("ip route del 10.8.0.0/24 table 1001");
        [left, several, single, mapped].into_iter().for_each(goes);
        let told = |plane: &Plane, vteps: &[&str]| {
            let vteps = vteps.iter().map(|vtep| (dev("br-1001"), vtep.parse().unwrap()));
            plane.forgotten == vteps.collect()
        };
        plane.until("those that routes lead by", |plane| told(plane, &[several, single, mapped])).await;
        comes(single);
        plane.until("the others", |plane| told(plane, &[several, mapped])).await;
        plane.commands.send(Command::Read).await.unwrap();
        run("ip route del 10.7.0.0/24 table 1001");
        plane.until("it has left by now", |plane| told(plane, &[mapped])).await;
        assert!(plane.wholes > 1, "a full reading does not forget it");
        comes(mapped);
        plane.until("none", |plane| told(plane, &[])).await;
    });
}
