//! Fixed pieces of work whose instructions callgrind counts: `benches/check` compares them with what is committed.
//!
//! `counts` prints the names of the pieces; `counts NAME` does one of them, once.

mod common;

use std::hint::black_box;

use common::{
    cloud::{Cloud, Family, On, newcomers},
    flows::{bundle_adds, cases, decode_all, encode_all, flow_replies},
    node::Node,
    reply::Server,
    wish::Wish,
};

const FLOWS: u32 = 1000;
const BINDS: u32 = 200;
const CLOUD: Cloud = Cloud { tenants: 1, vms: 2000, family: Family::V4, on: On::Tenants };

/// What is inside of this is counted, and nothing else: `benches/check` knows it by its name.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn encode() {
    let frames = bundle_adds(&cases(FLOWS)[0].1);
    let mut out = Vec::with_capacity(1 << 20);
    measured(|| encode_all(&frames, &mut out));
}

fn decode() {
    let replies = flow_replies(&cases(FLOWS)[0].1);
    measured(|| decode_all(&replies));
}

fn ovsdb() {
    let server = Server::new(CLOUD);
    let session = server.greeted();
    measured(|| server.decode(session));
}

fn bind_intent() {
    let mut wish = Wish::new(CLOUD);
    let rows = newcomers(CLOUD, BINDS, true);
    measured(|| rows.into_iter().for_each(|(uuid, row)| wish.change(uuid, row)));
}

fn bind_diff() {
    let mut node = Node::standing(CLOUD);
    let rows = newcomers(CLOUD, BINDS, true);
    measured(|| rows.into_iter().for_each(|(uuid, row)| node.change(uuid, row)));
}

fn resync() {
    let mut node = Node::standing(CLOUD);
    let reports = node.whole_reports();
    measured(|| assert!(node.resynchronise(reports).is_empty()));
}

const PIECES: [(&str, fn()); 6] = [
    ("flow-mod-encode", encode),
    ("flow-stats-decode", decode),
    ("ovsdb-reply-decode", ovsdb),
    ("bind-intent", bind_intent),
    ("bind-intent-and-diff", bind_diff),
    ("no-op-resync", resync),
];

fn main() {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    for (name, piece) in PIECES {
        match &wanted {
            None => println!("{name}"),
            Some(wanted) if wanted == name => piece(),
            Some(_) => {}
        }
    }
}
