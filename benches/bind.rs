//! What one bind costs with 1,000, 10,000 and 100,000 ports held, in intent alone and up to the operation for the kernel:
//! it must not grow with them.
//!
//! `cargo bench --bench bind` prints nanoseconds per bind or unbind, the least of several rounds in which all sizes take
//! turns.

mod common;

use bgp_agent::ovsdb::tables::PortBinding;
use common::{
    Table,
    cloud::{Cloud, Family, On, newcomers},
    node::Node,
    time,
    wish::Wish,
};
use uuid::Uuid;

const ROUNDS: usize = 31;
const BINDS: u32 = 1000;
const PORTS: [u32; 3] = [1_000, 10_000, 100_000];

/// One large network, so that what grows with a tenant would show.
fn cloud(ports: u32) -> Cloud {
    Cloud { tenants: 1, vms: ports, family: Family::V4, on: On::Tenants }
}

/// Nanoseconds per bind or unbind in one round.
fn round(cloud: Cloud, bound: bool, mut change: impl FnMut(Uuid, PortBinding)) -> f64 {
    let rows = newcomers(cloud, BINDS, bound);
    let (took, ()) = time(|| rows.into_iter().for_each(|(uuid, row)| change(uuid, row)));
    took.as_nanos() as f64 / f64::from(BINDS)
}

fn main() {
    let clouds = PORTS.map(cloud);
    let mut wishes = clouds.map(Wish::new);
    let mut nodes = clouds.map(Node::standing);
    let mut least = [[f64::INFINITY; 2]; 3];
    for turn in 0..ROUNDS {
        let bound = turn % 2 == 0;
        for at in 0..clouds.len() {
            let intent = round(clouds[at], bound, |uuid, row| wishes[at].change(uuid, row));
            let all = round(clouds[at], bound, |uuid, row| nodes[at].change(uuid, row));
            least[at] = [least[at][0].min(intent), least[at][1].min(all)];
        }
    }
    let table = Table::begin("One bind or unbind");
    for (what, way) in [("replica and intent", 0), ("replica, intent, diff, and the answer", 1)] {
        for (at, ports) in PORTS.iter().enumerate() {
            let ratio = least[at][way] / least[0][way];
            let measured = format!("{:.0} ns, {ratio:.2} x", least[at][way]);
            table.line(&format!("{what}, {ports} ports"), measured, "1.2 x", ratio <= 1.2);
        }
    }
}
