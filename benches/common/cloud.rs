//! A Southbound of any size, as northd and the chassis' ovn-controllers write it for Neutron: so many tenants with a router,
//! a network and so many VMs each. The same rows as JSON, as typed rows, and as operations of a transaction.

use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_agent::ovsdb::{
    row::{RawRow, Row},
    tables::PortBinding,
    transact::{Columns, Operation},
    value::Value,
};
use uuid::Uuid;

/// The name of the provider network's localnet port.
pub const LOCALNET: &str = "provnet";
/// The VNI of the first tenant.
pub const FIRST_VNI: u32 = 1001;

/// How many more VMs a tenant may come to have.
pub const SPARE: u32 = 1024;

/// Which addresses VMs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Both.
    Both,
}

impl Family {
    fn v4(self) -> bool {
        self != Self::V6
    }

    fn v6(self) -> bool {
        self != Self::V4
    }

    /// How many addresses a VM has.
    pub fn addresses(self) -> u32 {
        u32::from(self.v4()) + u32::from(self.v6())
    }
}

/// Where VMs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// On their tenants' networks, behind the gateway that is looked at, for EVPN.
    Tenants,
    /// On the provider network and this chassis, for plain routes.
    Provider,
}

/// How large the cloud is.
#[derive(Clone, Copy, Debug)]
pub struct Cloud {
    /// Tenants, each with a VNI, a router and a network; at most 4096.
    pub tenants: u32,
    /// VMs of each; at most 16 million.
    pub vms: u32,
    /// Their addresses.
    pub family: Family,
    /// Where they are.
    pub on: On,
}

/// A datapath: the provider network, or a tenant's router or network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Datapath {
    /// The provider network.
    Provider,
    /// The router of a tenant.
    Router(u32),
    /// The network of a tenant.
    Network(u32),
}

/// A chassis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chassis {
    /// The gateway that is looked at.
    Gateway,
    /// Another gateway.
    OtherGateway,
    /// Where VMs live.
    Compute,
}

impl Chassis {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::OtherGateway, Self::Compute];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gw1",
            Self::OtherGateway => "gw2",
            Self::Compute => "compute1",
        }
    }

    /// The address of its tunnels.
    pub fn address(self) -> &'static str {
        match self {
            Self::Gateway => "100.65.0.1",
            Self::OtherGateway => "100.65.0.2",
            Self::Compute => "100.65.0.11",
        }
    }
}

/// A row of Port_Binding.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub datapath: Datapath,
    /// Where it is bound.
    pub chassis: Option<Chassis>,
    kind: &'static str,
    key: u32,
    mac: String,
    options: Vec<(&'static str, String)>,
    external_ids: Vec<(&'static str, String)>,
}

impl Cloud {
    /// How many VMs there are.
    pub fn all_vms(self) -> u32 {
        self.tenants * self.vms
    }

    /// All datapaths.
    pub fn datapaths(self) -> impl Iterator<Item = Datapath> {
        let of = |tenant| [Datapath::Router(tenant), Datapath::Network(tenant)];
        std::iter::once(Datapath::Provider).chain((0..self.tenants).flat_map(of))
    }

    /// The provider network's port.
    pub fn localnet(self) -> Port {
        let options = vec![("network_name", "physnet1".to_owned())];
        Port { options, ..port(LOCALNET, "localnet", Datapath::Provider, 1, "unknown") }
    }

    /// A tenant's ports but for its VMs: gateway and subnet, each with its peer.
    pub fn router(self, tenant: u32) -> Vec<Port> {
        let vni = (FIRST_VNI + tenant).to_string();
        let annotated = |owner: &str| {
            vec![("neutron:device_owner", owner.to_owned()), ("neutron_bgpvpn:vni", vni.clone())]
        };
        let (gateway, subnet) = (gateway_name(tenant), format!("sub-{tenant}"));
        let (lrp, redirect, inner) =
            (format!("lrp-{gateway}"), redirect_name(tenant), format!("lrp-{subnet}"));
        let outside = self.mac(0x01, tenant, gateway4(tenant) + "/12", gateway6(tenant) + "/64");
        let inside = self.mac(0x02, tenant, "10.0.0.1/8".to_owned(), "2001:db8:1::1/64".to_owned());
        let (router, network) = (Datapath::Router(tenant), Datapath::Network(tenant));
        vec![
            Port {
                chassis: Some(Chassis::Gateway),
                options: vec![("distributed-port", lrp.clone())],
                ..port(&redirect, "chassisredirect", router, 1, &outside)
            },
            Port {
                options: vec![("peer", gateway.clone()), ("chassis-redirect-port", redirect.clone())],
                ..port(&lrp, "patch", router, 2, &outside)
            },
            Port {
                options: vec![("peer", lrp)],
                external_ids: annotated("network:router_gateway"),
                ..port(&gateway, "patch", Datapath::Provider, 2 + tenant, "router")
            },
            Port { options: vec![("peer", subnet.clone())], ..port(&inner, "patch", router, 3, &inside) },
            Port {
                options: vec![("peer", inner)],
                external_ids: annotated("network:router_interface"),
                ..port(&subnet, "patch", network, 1, "router")
            },
        ]
    }

    /// Where VMs are bound when this gateway is to advertise them.
    pub fn home(self) -> Chassis {
        match self.on {
            On::Tenants => Chassis::Compute,
            On::Provider => Chassis::Gateway,
        }
    }

    /// The network and the tunnel key of a VM: one of its tenant's, which are dealt out in turn where all share one.
    fn place(self, tenant: u32, vm: u32) -> (Datapath, u32) {
        match self.on {
            On::Provider if tenant < self.tenants => (Datapath::Provider, 2 + vm * self.tenants + tenant),
            _ => (Datapath::Network(tenant), 2 + vm),
        }
    }

    /// A VM's Ethernet address.
    pub fn vm_mac(self, tenant: u32, vm: u32) -> String {
        let number = if self.on == On::Provider { self.place(tenant, vm).1 } else { vm };
        let [_, b, c, d] = number.to_be_bytes();
        format!("fa:16:03:{b:02x}:{c:02x}:{d:02x}")
    }

    /// A tenant's VM, with all that Neutron notes of it.
    pub fn vm(self, tenant: u32, vm: u32, chassis: Option<Chassis>) -> Port {
        let mac = self.with_addresses(
            &self.vm_mac(tenant, vm),
            self.vm4(tenant, vm).to_string(),
            self.vm6(tenant, vm).to_string(),
        );
        let (network, key) = self.place(tenant, vm);
        let id = |part: u32| format!("{part:08x}-0000-4000-8000-{tenant:06x}{vm:06x}");
        let notes = [
            ("neutron:cidrs", format!("{}/8", self.vm4(tenant, vm))),
            ("neutron:device_id", id(1)),
            ("neutron:device_owner", "compute:nova".to_owned()),
            ("neutron:host_id", Chassis::Compute.name().to_owned()),
            ("neutron:network_name", format!("neutron-{}", id(2))),
            ("neutron:port_capabilities", String::new()),
            ("neutron:port_name", format!("vm-{vm}")),
            ("neutron:project_id", format!("{tenant:032x}")),
            ("neutron:revision_number", "4".to_owned()),
            ("neutron:security_group_ids", id(3)),
        ];
        Port {
            chassis,
            options: vec![("requested-chassis", Chassis::Compute.name().to_owned())],
            external_ids: notes.into(),
            ..port(&vm_name(tenant, vm), "", network, key, &mac)
        }
    }

    /// Every port of the cloud, with its VMs bound.
    pub fn ports(self) -> impl Iterator<Item = Port> {
        let vms = move |tenant| (0..self.vms).map(move |vm| self.vm(tenant, vm, Some(self.home())));
        let routers = move |tenant| if self.on == On::Tenants { self.router(tenant) } else { Vec::new() };
        let of = move |tenant| routers(tenant).into_iter().chain(vms(tenant));
        std::iter::once(self.localnet()).chain((0..self.tenants).flat_map(of))
    }

    /// A VM's IPv4 address: no two VMs of the cloud have the same, so that a list of prefixes tells whose are missing.
    pub fn vm4(self, tenant: u32, vm: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x0a00_0100 + tenant * (self.vms + SPARE) + vm)
    }

    /// A VM's IPv6 address.
    pub fn vm6(self, tenant: u32, vm: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(0x2001_0db8_0001 << 80 | u128::from(self.vm4(tenant, vm).to_bits()))
    }

    fn mac(self, kind: u8, number: u32, v4: String, v6: String) -> String {
        let [_, b, c, d] = number.to_be_bytes();
        self.with_addresses(&format!("fa:16:{kind:02x}:{b:02x}:{c:02x}:{d:02x}"), v4, v6)
    }

    fn with_addresses(self, mac: &str, v4: String, v6: String) -> String {
        let v4 = self.family.v4().then_some(v4);
        let v6 = self.family.v6().then_some(v6);
        let addresses: Vec<String> = v4.into_iter().chain(v6).collect();
        format!("{mac} {}", addresses.join(" "))
    }
}

/// The name of a tenant's port on the provider network.
pub fn gateway_name(tenant: u32) -> String {
    format!("gw-{tenant}")
}

/// The name of a tenant's cr-lrp.
pub fn redirect_name(tenant: u32) -> String {
    format!("cr-lrp-{}", gateway_name(tenant))
}

/// The name of a VM's port.
pub fn vm_name(tenant: u32, vm: u32) -> String {
    format!("vm-{tenant}-{vm}")
}

/// A gateway's IPv4 address.
pub fn gateway4(tenant: u32) -> String {
    format!("172.{}.{}.2", 16 + (tenant >> 8), tenant & 255)
}

/// A gateway's IPv6 address.
pub fn gateway6(tenant: u32) -> String {
    format!("2001:db8:ffff::{:x}", 2 + tenant)
}

fn port(name: &str, kind: &'static str, datapath: Datapath, key: u32, mac: &str) -> Port {
    let (name, mac) = (name.to_owned(), mac.to_owned());
    Port { name, kind, datapath, key, mac, chassis: None, options: Vec::new(), external_ids: Vec::new() }
}

fn map(pairs: &[(&'static str, String)]) -> Value {
    pairs.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

impl Port {
    /// Its columns; `datapath` and `chassis` give the rows that these names stand for.
    pub fn columns(
        &self,
        datapath: impl Fn(Datapath) -> Value,
        chassis: impl Fn(Chassis) -> Value,
    ) -> Columns {
        let mut columns = vec![
            ("logical_port", self.name.as_str().into()),
            ("type", self.kind.into()),
            ("datapath", datapath(self.datapath)),
            ("tunnel_key", i64::from(self.key).into()),
            ("mac", self.mac.as_str().into()),
            ("options", map(&self.options)),
            ("external_ids", map(&self.external_ids)),
        ];
        if let Some(at) = self.chassis {
            columns.extend([("chassis", chassis(at)), ("up", true.into())]);
        }
        columns
    }

    /// The operation that makes it.
    pub fn insert(
        &self,
        datapath: impl Fn(Datapath) -> Value,
        chassis: impl Fn(Chassis) -> Value,
    ) -> Operation {
        Operation::Insert { table: "Port_Binding", name: None, row: self.columns(datapath, chassis) }
    }

    /// Its row as a monitor tells it, only the columns that the agent asks for.
    pub fn json(&self) -> String {
        let asked = [PortBinding::COLUMNS, PortBinding::OPTIONAL].concat();
        let mut columns =
            self.columns(|datapath| datapath_uuid(datapath).into(), |at| chassis_uuid(at).into());
        columns.retain(|(column, _)| asked.contains(column));
        let pairs = columns.iter().map(|(column, value)| (*column, value));
        let pairs: std::collections::BTreeMap<_, _> = pairs.collect();
        serde_json::to_string(&pairs).expect("text")
    }

    /// The typed row.
    pub fn row(&self) -> PortBinding {
        PortBinding::from_row(&RawRow::new(Uuid::nil(), &self.json())).expect("a row as a server tells it")
    }
}

/// The uuid of a chassis, where no database gives it one.
pub fn chassis_uuid(chassis: Chassis) -> Uuid {
    Uuid::from_u128(1 << 96 | chassis as u128)
}

/// The uuid of a datapath, where no database gives it one.
pub fn datapath_uuid(datapath: Datapath) -> Uuid {
    Uuid::from_u128(match datapath {
        Datapath::Provider => 2 << 96,
        Datapath::Router(tenant) => 3 << 96 | u128::from(tenant),
        Datapath::Network(tenant) => 4 << 96 | u128::from(tenant),
    })
}

/// The uuid of the port of this number, where no database gives it one: as unordered as real ones are.
pub fn port_uuid(number: u32) -> Uuid {
    let number = u128::from(number) + 1;
    Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// VMs beyond those of a cloud of one tenant, bound or not: uuids and rows.
pub fn newcomers(cloud: Cloud, count: u32, bound: bool) -> Vec<(Uuid, PortBinding)> {
    let chassis = bound.then_some(cloud.home());
    (0..count).map(|n| (port_uuid(u32::MAX - n), cloud.vm(0, cloud.vms + n, chassis).row())).collect()
}
