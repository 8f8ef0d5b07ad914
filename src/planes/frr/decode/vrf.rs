//! `vrf X` blocks, from the running configuration of the daemon that owns them and from zebra's `show vrf`.
//!
//! What a block looks like depends on the FRR [seen on 8.4.4 and 10.3]:
//! - zebra up to FRR 9 writes a block only when there is something in it. An empty one shows in `show vrf` alone, as
//!   `vrf X inactive (configured)` or `vrf X id 5 table 1001 (configured)`.
//! - mgmtd since FRR 10 writes every block, empty or not; bgpd then writes empty ones of its own, which say nothing.
//!
//! What the kernel's device does to it [the same on 8.4.4, 10.3 and 10.7.1]:
//! - A device that goes leaves the block, its VNI and the BGP instance configured, and the L3VNI Down. When it comes again
//!   (with bridge and VXLAN device) the L3VNI is Up within 10 to 100 ms, without a line from anybody.
//! - `no vrf X` is refused while the device is there. Once it is gone it removes the block with the VNI inside.
//! - `no vni N` turns the VNI into an L2VNI of `show evpn vni` for as long as its VXLAN device is there.

use std::collections::BTreeMap;

use super::statements;
use crate::model::IfName;

/// The `vrf X` blocks of a running configuration with the number of their `vni` line.
pub fn vrf_blocks(text: &str) -> BTreeMap<IfName, Option<u32>> {
    let mut blocks: BTreeMap<IfName, Option<u32>> = BTreeMap::new();
    let mut current = None;
    for words in statements(text) {
        match words[..] {
            ["vrf", name] => {
                current = own_name(name);
                blocks.extend(current.map(|vrf| (vrf, None)));
            }
            ["vni", number, ..] => {
                blocks.extend(current.map(|vrf| (vrf, number.parse().ok())));
            }
            ["exit-vrf" | "exit" | "end", ..] | ["router" | "interface", ..] => current = None,
            _ => {}
        }
    }
    blocks
}

/// The VRFs that `show vrf` calls configured, so that a `vrf X` block stands for them.
pub fn vrf_list(text: &str) -> impl Iterator<Item = IfName> {
    statements(text).filter_map(|words| match words[..] {
        ["vrf", name, .., "(configured)"] => own_name(name),
        _ => None,
    })
}

/// The name of a VRF that can be a device; the default VRF is not ours to touch.
fn own_name(name: &str) -> Option<IfName> {
    name.parse().ok().filter(|_| name != "default")
}
