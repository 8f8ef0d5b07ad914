//! How far prefixes have come, as bgpd tells it: of either dialect.

use std::net::IpAddr;

use bgp_agent::{
    model::IfName,
    planes::frr::question::{Answer, Held, Question, Sight, ToCount},
};

use crate::harness::{Frr, PATIENCE, Plane};

/// Prefixes of the default instance are counted and waited for.
pub async fn prefixes(frr: &Frr, plane: &mut Plane) {
    let (vrf, unknown): (IfName, IfName) = ("default".parse().unwrap(), "vrf-1001".parse().unwrap());
    let network = |no: &str, prefix: &str| {
        let lines = [
            "configure terminal",
            "router bgp 64999",
            "no bgp network import-check",
            "address-family ipv4 unicast",
        ];
        let network = format!("{no}network {prefix}");
        assert_eq!(frr.operator("bgpd", &[&lines[..], &[&network]].concat()).1, 0);
    };
    network("", "20.0.0.10/32");
    network("", "20.0.1.0/24");
    let host = |last| IpAddr::from([20, 0, 0, last]);
    let counted = |total, hosts: &[u8]| {
        let bgpd = hosts.iter().map(|last| host(*last)).collect();
        Answer::Counted { vrf, total: Some(total), held: Some(Held { bgpd, ..Held::default() }) }
    };
    let to_count = |vrf, known| ToCount { vrf, vni: None, known };
    // bgpd takes `network` into its table a moment later.
    let end = std::time::Instant::now() + PATIENCE;
    while plane.ask(Question::Count(vec![to_count(vrf, None)]), 1).await != [counted(2, &[10])] {
        assert!(std::time::Instant::now() < end);
    }
    // One that has as many prefixes as before is not listed; one that is not there says so.
    let asked = vec![to_count(vrf, Some(2)), to_count(unknown, None), to_count(vrf, Some(1))];
    let said = [
        Answer::Counted { vrf, total: Some(2), held: None },
        Answer::Counted { vrf: unknown, total: None, held: None },
        counted(2, &[10]),
    ];
    assert_eq!(plane.ask(Question::Count(asked), 3).await, said);

    let what = |last| Sight { vrf, host: host(last), vni: None };
    let seen = |last| Answer::Sighted { what: what(last), seen: true };
    assert_eq!(plane.ask(Question::Sight(what(10)), 1).await, [seen(10)]);
    let waited = plane.ask(Question::Sight(what(11)), 1);
    let comes = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        network("", "20.0.0.11/32");
    };
    assert_eq!(tokio::join!(waited, comes).0, [seen(11)]);
    // A type-5 route it is not.
    network("no ", "20.0.0.11/32");
    let as_type5 = Sight { vni: Some(1001), ..what(10) };
    let never =
        tokio::time::timeout(std::time::Duration::from_millis(300), plane.ask(Question::Sight(as_type5), 1));
    assert!(never.await.is_err());
}
