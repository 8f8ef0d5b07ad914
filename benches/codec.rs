//! What one flow costs to encode (as a bundle sends it) and to decode (from a reply full of flows), for each rule of ours.
//!
//! `cargo bench --bench codec`

mod common;

use common::{
    Table,
    flows::{bundle_adds, cases, decode_all, encode_all, flow_replies},
    time,
};
use ofproto::FlowMod;

const ROUNDS: usize = 51;
const FLOWS: u32 = 2000;

/// Nanoseconds per flow, the least of all rounds.
fn least(mut round: impl FnMut()) -> f64 {
    let once = |_| time(&mut round).0.as_nanos() as f64 / f64::from(FLOWS);
    (0..ROUNDS).map(once).fold(f64::INFINITY, f64::min)
}

fn encoding(flows: &[FlowMod]) -> f64 {
    let frames = bundle_adds(flows);
    let mut out = Vec::with_capacity(512 * flows.len());
    least(|| encode_all(&frames, &mut out))
}

fn decoding(flows: &[FlowMod]) -> f64 {
    let replies = flow_replies(flows);
    least(|| decode_all(&replies))
}

fn main() {
    let table = Table::begin("OpenFlow codec, one flow");
    for (name, flows) in &cases(FLOWS) {
        // The target is for flows of a match and two actions; what has nine is shown beside.
        let line = |what: &str, nanoseconds: f64| match name.starts_with("ARP") {
            true => table.note(&format!("{what}, {name}"), format!("{nanoseconds:.0} ns")),
            false => {
                let measured = format!("{nanoseconds:.0} ns");
                table.line(&format!("{what}, {name}"), measured, "60 ns", nanoseconds <= 60.0);
            }
        };
        line("flow-mod encode", encoding(flows));
        line("flow-stats decode", decoding(flows));
    }
}
