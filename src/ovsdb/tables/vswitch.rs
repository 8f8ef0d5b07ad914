//! Rows of Open_vSwitch (ovs-vswitchd.conf.db(5)).

use serde::Deserializer;
use uuid::Uuid;

use crate::ovsdb::{
    row::{Row, skip},
    value::{Column, Pairs, Read},
};

/// The one row of Open_vSwitch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OpenVSwitch {
    /// All of them: what OVN is told about this node.
    pub external_ids: Pairs,
}

impl Row for OpenVSwitch {
    const TABLE: &'static str = "Open_vSwitch";
    const COLUMNS: &'static [&'static str] = &["external_ids"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "external_ids" => self.external_ids.read(value, how),
            _ => skip(value),
        }
    }
}

/// A row of Bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bridge {
    /// The name.
    pub name: Box<str>,
    /// Its ports.
    pub ports: Vec<Uuid>,
    /// Empty or `system` for the kernel's datapath, `netdev` for the userspace one.
    pub datapath_type: Box<str>,
}

impl Row for Bridge {
    const TABLE: &'static str = "Bridge";
    const COLUMNS: &'static [&'static str] = &["name", "ports", "datapath_type"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            "ports" => self.ports.read(value, how),
            "datapath_type" => self.datapath_type.read(value, how),
            _ => skip(value),
        }
    }
}

/// A row of Port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Port {
    /// The name.
    pub name: Box<str>,
    /// Its interfaces: one, or more for a bond.
    pub interfaces: Vec<Uuid>,
    /// Access VLAN.
    pub tag: Option<u16>,
    /// Only `bgp-agent` and `ovn-localnet-port`.
    pub external_ids: Pairs,
}

impl Row for Port {
    const TABLE: &'static str = "Port";
    const COLUMNS: &'static [&'static str] = &["name", "interfaces", "tag", "external_ids"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            "interfaces" => self.interfaces.read(value, how),
            "tag" => self.tag.read(value, how),
            "external_ids" => self
                .external_ids
                .read_kept(value, how, |key| matches!(key, "bgp-agent" | "ovn-localnet-port")),
            _ => skip(value),
        }
    }
}

/// A row of Interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interface {
    /// The name.
    pub name: Box<str>,
    /// Column `type`: empty or `system` for a device that exists, `internal`, `patch`, ..
    pub kind: Box<str>,
    /// The OpenFlow port number that ovs-vswitchd gave it; -1 where it could not be opened.
    pub ofport: Option<i64>,
    /// Why ovs-vswitchd could not make it.
    pub error: Option<Box<str>>,
}

impl Row for Interface {
    const TABLE: &'static str = "Interface";
    const COLUMNS: &'static [&'static str] = &["name", "type", "ofport"];
    const OPTIONAL: &'static [&'static str] = &["error"];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            "type" => self.kind.read(value, how),
            "ofport" => self.ofport.read(value, how),
            "error" => self.error.read(value, how),
            _ => skip(value),
        }
    }
}
