//! What one bind costs in replica and intent, with 1,000, 10,000 and 100,000 ports held: it must not grow with them.
//!
//! `cargo bench --bench bind` prints nanoseconds per bind (the median of several rounds) and the ratio to the smallest size.

use std::{collections::BTreeSet, time::Instant};

use bgp_agent::{
    intent::{Intent, Limits},
    ledger::Ledger,
    model::Asn,
    ovsdb::{tables::PortBinding, value::Pairs},
    southbound::Replica,
};
use uuid::Uuid;

const ROUNDS: usize = 31;
const BINDS: usize = 1000;
const CHASSIS: Uuid = Uuid::from_u128(1);
const NETWORK: Uuid = Uuid::from_u128(2);
const ROUTER: Uuid = Uuid::from_u128(3);
const PROVIDER: Uuid = Uuid::from_u128(4);

fn pairs(list: &[(&str, &str)]) -> Pairs {
    list.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn patch(name: &str, datapath: Uuid, mac: &str, options: &[(&str, &str)]) -> PortBinding {
    PortBinding {
        logical_port: name.into(),
        kind: "patch".into(),
        datapath,
        mac: vec![mac.into()],
        options: pairs(options),
        external_ids: pairs(&[("neutron_bgpvpn:vni", "1001")]),
        ..PortBinding::default()
    }
}

/// One router on this chassis with one large network.
fn router() -> Vec<PortBinding> {
    let redirect = PortBinding {
        logical_port: "cr-lrp-gw".into(),
        kind: "chassisredirect".into(),
        datapath: ROUTER,
        chassis: Some(CHASSIS),
        mac: vec!["fa:16:3e:7f:59:7f 172.24.4.146/24".into()],
        options: pairs(&[("distributed-port", "lrp-gw")]),
        ..PortBinding::default()
    };
    let localnet = PortBinding {
        logical_port: "provnet".into(),
        kind: "localnet".into(),
        datapath: PROVIDER,
        options: pairs(&[("network_name", "physnet1")]),
        ..PortBinding::default()
    };
    let gateway = [("peer", "gw"), ("chassis-redirect-port", "cr-lrp-gw")];
    vec![
        redirect,
        localnet,
        patch("lrp-gw", ROUTER, "fa:16:3e:7f:59:7f 172.24.4.146/24", &gateway),
        patch("gw", PROVIDER, "router", &[("peer", "lrp-gw")]),
        patch("lrp-net", ROUTER, "fa:16:3e:8d:c4:51 10.0.0.1/8", &[("peer", "net")]),
        patch("net", NETWORK, "router", &[("peer", "lrp-net")]),
    ]
}

fn vm(number: u32, bound: bool) -> PortBinding {
    let [_, b, c, d] = number.to_be_bytes();
    PortBinding {
        logical_port: format!("vm-{number}").into(),
        datapath: NETWORK,
        chassis: bound.then_some(CHASSIS),
        mac: vec![format!("fa:16:3e:{b:02x}:{c:02x}:{d:02x} 10.{b}.{c}.{d}").into()],
        ..PortBinding::default()
    }
}

fn uuid(number: u32) -> Uuid {
    Uuid::from_u128(1 << 64 | u128::from(number))
}

/// Nanoseconds per bind with so many ports held.
fn cost(ports: u32) -> f64 {
    let mut replica = Replica::default();
    let ledger = Ledger::default();
    replica.put_chassis(CHASSIS, "gw1".into());
    for (at, row) in router().into_iter().enumerate() {
        replica.put_port(Uuid::from_u128(100 + at as u128), row);
    }
    for number in 10..ports + 10 {
        replica.put_port(uuid(number), vm(number, true));
    }
    let mut intent = Intent::new(Asn::new(64999).expect("an AS"), Limits::NONE);
    intent.set_chassis("gw1");
    let touched = replica.take_touched();
    intent.update(&replica, &touched, &ledger, BTreeSet::new());
    assert_eq!(intent.addresses().count(), ports as usize);

    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let rows: Vec<_> =
                (0..BINDS as u32).map(|n| ports + 10 + n).map(|n| (uuid(n), vm(n, round % 2 == 0))).collect();
            let begin = Instant::now();
            for (uuid, row) in rows {
                replica.put_port(uuid, row);
                let touched = replica.take_touched();
                let delta = intent.update(&replica, &touched, &ledger, BTreeSet::new());
                assert_eq!(delta.addresses.len(), 1);
            }
            begin.elapsed().as_nanos() as f64 / BINDS as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    let costs: Vec<(u32, f64)> = [1_000, 10_000, 100_000].map(|ports| (ports, cost(ports))).into();
    for (ports, nanoseconds) in &costs {
        println!(
            "{ports:>7} ports: {nanoseconds:>7.0} ns per bind or unbind, {:.2} x",
            nanoseconds / costs[0].1
        );
    }
}
