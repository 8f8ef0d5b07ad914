//! A resynchronisation on which nothing differs: every peer tells all it has, of 100,000 objects and more, and nothing is
//! written.
//!
//! `cargo bench --bench resync`

mod common;

use std::time::Duration;

use common::{
    Table,
    cloud::{Cloud, Family, On},
    node::Node,
    shown, time,
};

const CLOUD: Cloud = Cloud { tenants: 100, vms: 1000, family: Family::V4, on: On::Tenants };
const ROUNDS: usize = 5;
const TARGET: Duration = Duration::from_secs(1);

fn main() {
    let mut node = Node::standing(CLOUD);
    assert!(node.has_all_addresses(CLOUD));
    let objects = node.objects().count();
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let reports = node.whole_reports();
        let (took, commands) = time(|| node.resynchronise(reports));
        assert!(commands.is_empty(), "a resynchronisation writes: {commands:?}");
        least = least.min(took);
    }
    let table = Table::begin("No-op resynchronisation");
    table.line(&format!("{objects} objects told again, 0 written"), shown(least), "1 s", least <= TARGET);
}
