//! Rows of OVN_Northbound (ovn-nb(5)), as far as routers, their ports and their networks go.

use serde::Deserializer;
use uuid::Uuid;

use crate::ovsdb::{
    row::{Row, skip},
    value::{Column, Pairs, Read},
};

/// A row of Logical_Router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogicalRouter {
    /// The name; Neutron's is `neutron-UUID`.
    pub name: Box<str>,
    /// Its ports.
    pub ports: Vec<Uuid>,
    /// Its NAT rules.
    pub nat: Vec<Uuid>,
    /// Only `neutron:router_name`.
    pub external_ids: Pairs,
}

impl Row for LogicalRouter {
    const TABLE: &'static str = "Logical_Router";
    const COLUMNS: &'static [&'static str] = &["name", "ports", "nat", "external_ids"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            "ports" => self.ports.read(value, how),
            "nat" => self.nat.read(value, how),
            "external_ids" => self.external_ids.read_kept(value, how, |key| key == "neutron:router_name"),
            _ => skip(value),
        }
    }
}

/// A row of Logical_Router_Port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogicalRouterPort {
    /// The name; Neutron's is `lrp-PORT`.
    pub name: Box<str>,
    /// Each `ADDRESS/LENGTH`.
    pub networks: Vec<Box<str>>,
    /// Where it may live as a gateway; empty for a distributed port.
    pub gateway_chassis: Vec<Uuid>,
    /// The newer way to say the same.
    pub ha_chassis_group: Option<Uuid>,
}

impl Row for LogicalRouterPort {
    const TABLE: &'static str = "Logical_Router_Port";
    const COLUMNS: &'static [&'static str] = &["name", "networks", "gateway_chassis"];
    const OPTIONAL: &'static [&'static str] = &["ha_chassis_group"];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            "networks" => self.networks.read(value, how),
            "gateway_chassis" => self.gateway_chassis.read(value, how),
            "ha_chassis_group" => self.ha_chassis_group.read(value, how),
            _ => skip(value),
        }
    }
}

/// A row of Logical_Switch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogicalSwitch {
    /// The name; Neutron's is `neutron-UUID`.
    pub name: Box<str>,
    /// Its ports.
    pub ports: Vec<Uuid>,
    /// Only `neutron:network_name`.
    pub external_ids: Pairs,
}

impl Row for LogicalSwitch {
    const TABLE: &'static str = "Logical_Switch";
    const COLUMNS: &'static [&'static str] = &["name", "ports", "external_ids"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            "ports" => self.ports.read(value, how),
            "external_ids" => self.external_ids.read_kept(value, how, |key| key == "neutron:network_name"),
            _ => skip(value),
        }
    }
}

/// A row of Logical_Switch_Port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogicalSwitchPort {
    /// The name; Neutron's is the port's UUID.
    pub name: Box<str>,
    /// Only `router-port`.
    pub options: Pairs,
    /// All of them.
    pub external_ids: Pairs,
}

impl Row for LogicalSwitchPort {
    const TABLE: &'static str = "Logical_Switch_Port";
    const COLUMNS: &'static [&'static str] = &["name", "options", "external_ids"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            "options" => self.options.read_kept(value, how, |key| key == "router-port"),
            "external_ids" => self.external_ids.read(value, how),
            _ => skip(value),
        }
    }
}

/// A row of NAT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Nat {
    /// Column `type`: `snat`, `dnat` or `dnat_and_snat`.
    pub kind: Box<str>,
    /// The address or network inside.
    pub logical_ip: Box<str>,
}

impl Row for Nat {
    const TABLE: &'static str = "NAT";
    const COLUMNS: &'static [&'static str] = &["type", "logical_ip"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "type" => self.kind.read(value, how),
            "logical_ip" => self.logical_ip.read(value, how),
            _ => skip(value),
        }
    }
}
