//! Rows of OVN_Southbound (ovn-sb(5)).

use std::net::{IpAddr, SocketAddr};

use serde::Deserializer;
use uuid::Uuid;

use crate::ovsdb::{
    row::{Row, skip},
    value::{Column, Pairs, Read, Strings},
};

/// The key of `external_ids` under which Neutron says which addresses a port has, each with the length of its subnet.
pub const CIDRS: &str = "neutron:cidrs";

/// A row of Port_Binding: about 300 bytes of memory for a usual port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortBinding {
    /// The name, the one of the logical port in the Northbound database.
    pub logical_port: Box<str>,
    /// Column `type`: empty for a VM, `patch`, `chassisredirect`, `localnet`, `virtual`, ..
    pub kind: Box<str>,
    /// The switch or router that it is on.
    pub datapath: Uuid,
    /// Where it is bound.
    pub chassis: Option<Uuid>,
    /// Each `MAC [IP[/LEN]..]`, `unknown` or `dynamic`.
    pub mac: Strings,
    /// Only `distributed-port`, `peer`, `chassis-redirect-port`, `network_name`, `dynamic-routing` and
    /// `dynamic-routing-vrf-name`.
    pub options: Pairs,
    /// Only `neutron_bgpvpn:*`, `neutron:cidrs` and the address scopes of its subnet pools.
    pub external_ids: Pairs,
    /// VLAN of a localnet port.
    pub tag: Option<u16>,
    /// Each `MAC IP.. [is_chassis_resident(..)]`.
    pub nat_addresses: Strings,
}

impl Row for PortBinding {
    const TABLE: &'static str = "Port_Binding";
    const COLUMNS: &'static [&'static str] =
        &["logical_port", "type", "datapath", "chassis", "mac", "options", "external_ids", "tag"];
    const OPTIONAL: &'static [&'static str] = &["nat_addresses"];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "logical_port" => self.logical_port.read(value, how),
            "type" => self.kind.read(value, how),
            "datapath" => self.datapath.read(value, how),
            "chassis" => self.chassis.read(value, how),
            "mac" => self.mac.read(value, how),
            "options" => self.options.read_kept(value, how, is_option),
            "external_ids" => self.external_ids.read_kept(value, how, is_external_id),
            "tag" => self.tag.read(value, how),
            "nat_addresses" => self.nat_addresses.read(value, how),
            _ => skip(value),
        }
    }
}

fn is_option(key: &str) -> bool {
    matches!(
        key,
        "distributed-port"
            | "peer"
            | "chassis-redirect-port"
            | "network_name"
            | "dynamic-routing"
            | "dynamic-routing-vrf-name"
    )
}

fn is_external_id(key: &str) -> bool {
    key.starts_with("neutron_bgpvpn:")
        || matches!(key, CIDRS | "neutron:subnet_pool_addr_scope4" | "neutron:subnet_pool_addr_scope6")
}

/// A row of Chassis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chassis {
    /// The `system-id` of its Open_vSwitch row.
    pub name: Box<str>,
}

impl Row for Chassis {
    const TABLE: &'static str = "Chassis";
    const COLUMNS: &'static [&'static str] = &["name"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            _ => skip(value),
        }
    }
}

/// A row of Load_Balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoadBalancer {
    /// The name.
    pub name: Box<str>,
    /// Each `IP[:PORT]`, `[IPv6]:PORT` or `IPv6`, with what is behind.
    pub vips: Pairs,
    /// The switches that it is attached to, where they make no group.
    pub datapaths: Vec<Uuid>,
    /// The group of the switches, as OVN before 23.09 tells it, or a newer one to older chassis.
    pub datapath_group: Option<Uuid>,
    /// The group of the switches.
    pub ls_datapath_group: Option<Uuid>,
    /// The group of the routers; OVN before 23.09 tells of none.
    pub lr_datapath_group: Option<Uuid>,
}

impl LoadBalancer {
    /// The addresses that it answers for.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.vips.iter().filter_map(|(vip, _)| {
            let with_port = || vip.parse::<SocketAddr>().map(|socket| socket.ip());
            vip.parse().or_else(|_| with_port()).ok()
        })
    }

    /// Whether it says which routers it is on.
    pub fn names_routers(&self) -> bool {
        self.lr_datapath_group.is_some()
    }

    /// Whether it says which switches it is on and could not say of routers: where it could, none means that it is on none.
    pub fn names_switches_alone(&self) -> bool {
        self.lr_datapath_group.is_none() && self.ls_datapath_group.is_none()
    }

    /// The group that says where its addresses may be offered.
    pub fn group(&self) -> Option<Uuid> {
        self.lr_datapath_group.or(self.datapath_group.filter(|_| self.names_switches_alone()))
    }
}

impl Row for LoadBalancer {
    const TABLE: &'static str = "Load_Balancer";
    const COLUMNS: &'static [&'static str] = &["name", "vips"];
    const OPTIONAL: &'static [&'static str] =
        &["datapaths", "datapath_group", "ls_datapath_group", "lr_datapath_group"];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            "vips" => self.vips.read(value, how),
            "datapaths" => self.datapaths.read(value, how),
            "datapath_group" => self.datapath_group.read(value, how),
            "ls_datapath_group" => self.ls_datapath_group.read(value, how),
            "lr_datapath_group" => self.lr_datapath_group.read(value, how),
            _ => skip(value),
        }
    }
}

/// A row of Logical_DP_Group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DatapathGroup {
    /// The switches and routers in it.
    pub datapaths: Vec<Uuid>,
}

impl Row for DatapathGroup {
    const TABLE: &'static str = "Logical_DP_Group";
    const COLUMNS: &'static [&'static str] = &["datapaths"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "datapaths" => self.datapaths.read(value, how),
            _ => skip(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vip_is_an_address_with_or_without_a_port() {
        let vips =
            ["172.24.4.9:80", "172.24.4.10", "[2001:db8::9]:80", "2001:db8::10", "x", "172.24.4.9:99999"];
        let vips: Pairs = vips.iter().map(|vip| ((*vip).into(), "".into())).collect();
        let balancer = LoadBalancer { vips, ..LoadBalancer::default() };
        let mut read: Vec<String> = balancer.addresses().map(|address| address.to_string()).collect();
        read.sort();
        assert_eq!(read, ["172.24.4.10", "172.24.4.9", "2001:db8::10", "2001:db8::9"]);
    }
}
