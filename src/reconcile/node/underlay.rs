//! What the BGP mode wants to know of this node, beyond what the EVPN mode does.

use super::Node;
use crate::{
    config::Config,
    model::{IfName, Vni},
};

impl Node {
    /// The bridges of physical networks, as ovn-bridge-mappings has them.
    pub fn provider_bridges(&self) -> impl Iterator<Item = IfName> {
        self.mappings.values().copied()
    }

    /// The BGP mode has the routing table of this VNI.
    pub fn underlay_trouble(&self, vni: Vni, config: &Config) -> Option<String> {
        let options = Some(&config.underlay).filter(|_| config.modes.underlay)?;
        let needs = format!("VNI {vni} would need routing table {vni}, which is");
        if options.table == vni.get() {
            return Some(format!("{needs} {}'s (bgp_vrf_table_id)", options.vrf));
        }
        let bridge = self.provider_bridges().find(|bridge| options.table_of(*bridge) == vni.get())?;
        Some(format!("{needs} {bridge}'s by {}", options.rt_tables.display()))
    }

    /// A VRF that has this routing table.
    pub fn vrf_of(&self, table: u32) -> Option<IfName> {
        self.vrfs.get(&table)?.first().copied()
    }

    /// Somebody else's VRF has the routing table of this one.
    pub fn vrf_trouble(&self, vrf: IfName, table: u32) -> Option<String> {
        let other = self.vrfs.get(&table)?.iter().find(|other| **other != vrf)?;
        Some(format!(
            "{other}, another VRF, has routing table {table}, which {vrf} needs: choose another bgp_vrf_table_id"
        ))
    }

    /// What keeps FRR from taking over addresses into its default instance, as far as it was read.
    pub fn default_instance_trouble(&self) -> Option<String> {
        let base = self.bgp.as_ref()?;
        let missing =
            "FRR has no default BGP instance (router bgp AS), which the addresses are advertised by";
        base.asn.is_none().then(|| missing.to_owned())
    }
}
