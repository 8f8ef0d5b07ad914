//! What the BGP mode is told by configuration, with the Python agent's names and defaults; and the file that names routing
//! tables, which is only read.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use crate::model::IfName;

/// Which modes are on (`driver`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Tenants' networks by EVPN.
    pub evpn: bool,
    /// Addresses as plain BGP routes.
    pub underlay: bool,
}

/// Which tenants' networks are advertised as plain routes, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TenantNetworks {
    /// None.
    #[default]
    None,
    /// Global IPv6 addresses (`expose_ipv6_gua_tenant_networks`).
    Global,
    /// All (`expose_tenant_networks`).
    All,
}

/// Options of the BGP mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Underlay {
    /// The VRF whose addresses FRR takes over into its default instance (`bgp_vrf`).
    pub vrf: IfName,
    /// That VRF's routing table (`bgp_vrf_table_id`).
    pub table: u32,
    /// The dummy in it that holds the addresses (`bgp_nic`).
    pub nic: IfName,
    /// The router id of its BGP instance, where it is given (`bgp_router_id`).
    pub router_id: Option<Ipv4Addr>,
    /// `expose_tenant_networks`.
    pub all_tenants: bool,
    /// `expose_ipv6_gua_tenant_networks`.
    pub global_tenants: bool,
    /// Tenants' networks are advertised as subnets, not host by host (`advertisement_method_tenant_networks`).
    pub by_subnet: bool,
    /// Tenants' networks that their router translates to an address of its own are not advertised
    /// (`require_snat_disabled_for_tenant_networks`).
    pub without_snat: bool,
    /// Only tenants' networks of these address scopes are advertised; empty: of all (`address_scopes`).
    pub scopes: BTreeSet<Box<str>>,
    /// Where routing tables are named, read at the start and at each reload (`rt_tables`).
    pub rt_tables: PathBuf,
    /// The tables that carry the name of an interface there: those of provider bridges are used for them.
    pub tables: BTreeMap<IfName, u32>,
}

impl Default for Underlay {
    fn default() -> Self {
        Self {
            vrf: "bgp-vrf".parse().expect("bgp-vrf is a name"),
            table: 10,
            nic: "bgp-nic".parse().expect("bgp-nic is a name"),
            router_id: None,
            all_tenants: false,
            global_tenants: false,
            by_subnet: false,
            without_snat: false,
            scopes: BTreeSet::new(),
            rt_tables: "/etc/iproute2/rt_tables".into(),
            tables: BTreeMap::new(),
        }
    }
}

impl Underlay {
    /// Which tenants' networks are advertised.
    pub fn tenant_networks(&self) -> TenantNetworks {
        match (self.all_tenants, self.global_tenants) {
            (true, _) => TenantNetworks::All,
            (_, true) => TenantNetworks::Global,
            (false, false) => TenantNetworks::None,
        }
    }

    /// Whether it matters which networks routers translate: only the Northbound tells.
    pub fn asks_northbound(&self) -> bool {
        self.without_snat && self.tenant_networks() != TenantNetworks::None
    }

    /// The routing table of a provider bridge: the one of its name in `rt_tables`, where the Python agent writes it, else one
    /// made of the name, which is the same on every node and at every start, and larger than any VNI, so that no VRF of
    /// a tenant can have it.
    pub fn table_of(&self, bridge: IfName) -> u32 {
        self.tables.get(&bridge).copied().unwrap_or_else(|| 0x4000_0000 | fingerprint(bridge) >> 2)
    }
}

/// FNV-1a (RFC 9923) of a name.
fn fingerprint(name: IfName) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.as_str().bytes().fold(0x811c_9dc5, step)
}

/// The tables named in a file of iproute2 (`NUMBER NAME`, `#` for comments) whose name an interface can have. A file that is
/// not there names none.
///
/// # Errors
/// It cannot be read.
pub fn read_tables(path: &Path) -> io::Result<BTreeMap<IfName, u32>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(named_table).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

fn named_table(line: &str) -> Option<(IfName, u32)> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let (number, name) = (words.next()?, words.next()?);
    let table = match number.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((name.parse().ok()?, table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridges_table_is_the_one_of_its_name_else_one_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rt_tables");
        assert_eq!(read_tables(&path).unwrap(), BTreeMap::new());
        std::fs::write(
            &path,
            "# names\n255\tlocal\n0 unspec\n201 br-ex # by hand\n0xca br-two\nx br-three\n7\n",
        )
        .unwrap();
        let underlay = Underlay { tables: read_tables(&path).unwrap(), ..Underlay::default() };
        let table = |bridge: &str| underlay.table_of(bridge.parse().unwrap());
        assert_eq!((table("br-ex"), table("br-two")), (201, 202));
        let [three, four] = ["br-three", "br-four"].map(table);
        assert!(three > crate::model::Vni::MAX && four > crate::model::Vni::MAX && three != four);
    }
}
