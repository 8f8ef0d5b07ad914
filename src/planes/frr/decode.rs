//! What FRR shows, as objects: running configurations, the list of VRFs, and the state of L3VNIs.
//!
//! Owns the reading of text. Tolerant: a line, a name or a number that is not known is left out, as foreign; nothing here
//! fails or panics on any text. Never asks for anything.

mod bgp;
mod evpn;
mod maps;
mod originated;
#[cfg(test)]
mod tests;
mod vrf;

pub use bgp::{Bgp, bgp};
pub use evpn::l3vnis;
pub use maps::{Maps, Seen, maps};
pub use originated::{OWN_WEIGHT, is_originated, originated, rd, total, type5};
pub use vrf::{vrf_blocks, vrf_list};

use crate::model::Asn;

/// A line of a running configuration without its indentation, and None for what says nothing.
///
/// Depth is not taken from the indentation: FRR 10.0 writes `vni` at column 0 within its block. A `!` means nothing either:
/// it stands inside blocks as well as between them.
fn statements(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| !ends_inner_block(line));
    lines.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>()).filter(|words| {
        let comment = words.first().is_none_or(|word| word.starts_with(['!', '#']));
        !comment
    })
}

/// bgpd ends blocks inside an instance by an `exit` as it ends the instance itself, but for the blank in front of it
/// (`segment-routing srv6` in bgpd/bgp_vty.c, `bmp targets` in bgpd/bgp_bmp.c). Nothing in them is read.
fn ends_inner_block(line: &str) -> bool {
    line.starts_with(' ') && line.trim() == "exit"
}

/// An AS number as FRR writes it: plain, or `HIGH.LOW` where `as-notation dot` is set (RFC 5396).
fn asn(text: &str) -> Option<Asn> {
    let Some((high, low)) = text.split_once('.') else { return text.parse().ok() };
    let (high, low): (u16, u16) = (high.parse().ok()?, low.parse().ok()?);
    Asn::new(u32::from(high) << 16 | u32::from(low))
}
