//! What the vswitch plane keeps: ports of the provider bridges.

use std::fmt;

use crate::model::{IfName, OfPort, Vni};

/// The name of a port. A port of ours has an interface's name; patch ports have longer ones
/// (`patch-provnet-UUID-to-br-int`), which OpenFlow shows cut to 15 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortName(Box<str>);

impl PortName {
    /// A name that the database has.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as an interface's name, if it can be one.
    pub fn interface(&self) -> Option<IfName> {
        self.0.parse().ok()
    }
}

impl From<IfName> for PortName {
    fn from(name: IfName) -> Self {
        Self(name.as_str().into())
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A port of an OVS bridge with its one interface of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OvsPort {
    /// The bridge that it is on.
    pub bridge: IfName,
    /// Its name, and its interface's.
    pub name: PortName,
    /// Whether its interface is of type `internal` (OVS makes the device) rather than a device that exists.
    pub internal: bool,
    /// Access VLAN.
    pub tag: Option<u16>,
    /// Whose it is, by `external_ids:bgp-agent`; None: not ours.
    pub owner: Option<Vni>,
    /// The logical port of the localnet that this patch port stands for (`external_ids:ovn-localnet-port`).
    pub localnet: Option<Box<str>>,
    /// A patch port.
    pub patch: bool,
    /// The OpenFlow port that ovs-vswitchd gave it; None until then. Never written.
    pub ofport: Option<OfPort>,
    /// Why ovs-vswitchd could not make it work, in its words. Never written.
    pub error: Option<Box<str>>,
}

impl OvsPort {
    /// A port of ours as it should be, on a device that exists.
    pub fn wished(bridge: IfName, name: IfName, owner: Vni) -> Self {
        let (tag, localnet, ofport, error) = (None, None, None, None);
        let name = name.into();
        Self { bridge, name, internal: false, tag, owner: Some(owner), localnet, patch: false, ofport, error }
    }

    /// Whether all that can be wished for is as in `wish`.
    pub fn meets(&self, wish: &Self) -> bool {
        let written = |port: &Self| (port.bridge, port.internal, port.tag, port.owner);
        self.name == wish.name && written(self) == written(wish)
    }
}

/// A bridge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OvsBridge {
    /// Its name; its internal port and OpenFlow socket have the same.
    pub name: IfName,
    /// Its `datapath_type`: empty or `system` is the kernel's, `netdev` the userspace one.
    pub datapath_type: Box<str>,
}

/// What this node's Open_vSwitch row says to OVN and to us; None where the key is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OvsSettings {
    /// `external_ids:system-id`: the chassis name.
    pub system_id: Option<Box<str>>,
    /// `external_ids:ovn-remote`: the Southbound's remotes, comma-separated.
    pub ovn_remote: Option<Box<str>>,
    /// `external_ids:ovn-remote-probe-interval`: how long it may be silent before it is probed, in milliseconds; 0: for ever.
    pub ovn_remote_probe_interval: Option<Box<str>>,
    /// `external_ids:ovn-bridge-mappings`: physical network to bridge, comma-separated pairs.
    pub bridge_mappings: Option<Box<str>>,
    /// `external_ids:ovn-encap-ip`.
    pub encap_ip: Option<Box<str>>,
    /// `external_ids:ovn-bridge`.
    pub integration_bridge: Option<Box<str>>,
}

/// Any object of the vswitch plane. Only ports of ours are ever written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VswitchObject {
    /// A port of any bridge.
    Port(OvsPort),
    /// A bridge.
    Bridge(OvsBridge),
    /// The settings.
    Settings(OvsSettings),
}

/// What names an object of the vswitch plane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VswitchKey {
    /// A port by name: OVS names are unique over all bridges.
    Port(PortName),
    /// A bridge by name.
    Bridge(IfName),
    /// The settings.
    Settings,
}

impl VswitchObject {
    /// What names this object.
    pub fn key(&self) -> VswitchKey {
        match self {
            Self::Port(port) => VswitchKey::Port(port.name.clone()),
            Self::Bridge(bridge) => VswitchKey::Bridge(bridge.name),
            Self::Settings(_) => VswitchKey::Settings,
        }
    }
}

impl fmt::Display for VswitchObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => {
                write!(f, "port {} on {}", port.name, port.bridge)?;
                port.tag.map_or(Ok(()), |tag| write!(f, " tag {tag}"))?;
                port.owner.map_or(Ok(()), |owner| write!(f, " of {owner}"))
            }
            Self::Bridge(bridge) => write!(f, "bridge {}", bridge.name),
            Self::Settings(_) => f.write_str("settings of Open_vSwitch"),
        }
    }
}
