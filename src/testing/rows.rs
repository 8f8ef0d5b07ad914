//! A small cloud as Southbound rows, written the way northd and ovn-controller write them.

use std::collections::BTreeMap;

#[cfg(test)]
use proptest::prelude::*;
use uuid::Uuid;

use crate::{
    ledger::Ledger,
    ovsdb::{
        tables::{DatapathGroup, LoadBalancer, LogicalRouter, LogicalRouterPort, Nat, PortBinding},
        value::Pairs,
    },
    southbound::{Replica, Sort, Subject, sort},
};

/// Rows and the ledger beside them.
pub struct Cloud {
    /// The replica that holds the rows.
    pub replica: Replica,
    /// The ledger.
    pub ledger: Ledger,
    held: BTreeMap<String, (Uuid, PortBinding)>,
    balancers: BTreeMap<String, (LoadBalancer, Vec<Uuid>)>,
    /// What the Northbound tells that routers translate, by gateway.
    translated: BTreeMap<String, Vec<String>>,
}

/// A router with its gateway port.
pub struct GatewaySpec<'a> {
    /// Name of the gateway port; `lrp-` and `cr-lrp-` are put before it.
    pub name: &'a str,
    /// The router.
    pub router: &'a str,
    /// `MAC IP/len ..`.
    pub mac: &'a str,
    /// Where it lives.
    pub chassis: Option<&'a str>,
    /// The provider network.
    pub provider: &'a str,
}

impl GatewaySpec<'_> {
    /// A second router on the same provider network.
    pub fn second() -> GatewaySpec<'static> {
        GatewaySpec { name: "gw-b", router: "router-b", mac: "", chassis: Some("gw1"), provider: "prov" }
    }
}

/// A uuid that stands for a name.
pub fn uuid_of(name: &str) -> Uuid {
    let mut bytes = [0u8; 16];
    for (at, byte) in name.bytes().enumerate() {
        bytes[at % 16] = bytes[at % 16].wrapping_mul(31).wrapping_add(byte).wrapping_add(at as u8);
    }
    Uuid::from_bytes(bytes)
}

/// As `southbound::feed::conditions` asks for ports.
fn is_asked(row: &PortBinding, subjects: &[Subject]) -> bool {
    let by = |subject: &Subject| match subject {
        Subject::Port(name) => row.logical_port == *name,
        Subject::Patches(datapath) | Subject::Workloads(datapath) => row.datapath == *datapath,
        Subject::OnChassis(chassis) => row.chassis == Some(*chassis),
        Subject::Nat => !row.nat_addresses.is_empty(),
        Subject::Localnets(_) | Subject::Balancers | Subject::Group(_) => false,
    };
    matches!(sort(row), Sort::ChassisRedirect | Sort::Localnet) || subjects.iter().any(by)
}

fn pairs(list: &[(&str, &str)]) -> Pairs {
    list.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

impl Cloud {
    /// Three chassis and nothing else.
    pub fn empty() -> Self {
        let mut replica = Replica::default();
        for chassis in ["gw1", "gw2", "cmp1"] {
            replica.put_chassis(uuid_of(chassis), chassis.into());
        }
        Self {
            replica,
            ledger: Ledger::default(),
            held: BTreeMap::new(),
            balancers: BTreeMap::new(),
            translated: BTreeMap::new(),
        }
    }

    /// The blog's example: one router, one subnet of both families, one VM.
    pub fn seed() -> Self {
        let mut cloud = Self::empty();
        cloud.localnet("provnet", "prov", "physnet1", None);
        let mac = "fa:16:3e:7f:59:7f 172.24.4.146/24 2001:db8:ffff::1/64";
        cloud.gateway(&GatewaySpec {
            name: "gw",
            router: "router",
            mac,
            chassis: Some("gw1"),
            provider: "prov",
        });
        cloud.subnet("gw", "sub", "net", "fa:16:3e:8d:c4:51 20.0.0.1/24 2001:db8:1::1/64");
        cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:as", "64999")]);
        cloud.annotate("sub", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:as", "64999")]);
        cloud.workload("vm", "net", Some("cmp1"), &["fa:16:3e:00:00:10 20.0.0.10 2001:db8:1::10"]);
        cloud
    }

    fn put(&mut self, row: PortBinding) {
        let uuid = uuid_of(&row.logical_port);
        self.held.insert(row.logical_port.to_string(), (uuid, row.clone()));
        self.replica.put_port(uuid, row);
    }

    fn edit(&mut self, name: &str, change: impl FnOnce(&mut PortBinding)) {
        if let Some((_, row)) = self.held.get(name) {
            let mut row = row.clone();
            change(&mut row);
            self.put(row);
        }
    }

    /// All rows.
    pub fn rows(&self) -> Vec<(Uuid, PortBinding)> {
        self.held.values().cloned().collect()
    }

    /// All chassis.
    pub fn chassis(&self) -> std::collections::HashMap<Uuid, Box<str>> {
        ["gw1", "gw2", "cmp1"].iter().map(|name| (uuid_of(name), (*name).into())).collect()
    }

    /// Every row counts as touched.
    pub fn touch_all(&mut self) {
        for (uuid, row) in self.rows() {
            self.replica.put_port(uuid, row);
        }
        tell_balancers(&self.balancers, &mut self.replica);
    }

    /// A replica gets everything anew.
    pub fn tell(&self, replica: &mut Replica) {
        self.tell_some(replica, |_| true);
    }

    /// Likewise, but only what is asked for by these subjects, as the server's conditions have it.
    pub fn tell_asked(&self, replica: &mut Replica, subjects: &[Subject]) {
        self.tell_some(replica, |row| is_asked(row, subjects));
    }

    fn tell_some(&self, replica: &mut Replica, is_told: impl Fn(&PortBinding) -> bool) {
        let rows = self.rows().into_iter().filter(|(_, row)| is_told(row));
        replica.replace(rows.collect(), self.chassis());
        replica.balancers_mut().clear();
        tell_balancers(&self.balancers, replica);
        tell_translations(&self.translated, replica);
    }

    /// The conditions have changed: rows come and go by them. Gives whether any did.
    pub fn follow(&self, replica: &mut Replica, subjects: &[Subject]) -> bool {
        let mut moved = false;
        for (uuid, row) in self.rows() {
            match (is_asked(&row, subjects), replica.get(&uuid).is_some()) {
                (true, false) => replica.put_port(uuid, row),
                (false, true) => drop(replica.remove_port(uuid)),
                _ => continue,
            }
            moved = true;
        }
        moved
    }

    /// The Northbound tells that the router of this gateway translates these networks; None: it tells of no such router.
    pub fn translate(&mut self, gateway: &str, networks: Option<&[&str]>) {
        let networks = networks.map(|all| all.iter().map(|text| (*text).to_owned()).collect());
        match networks {
            Some(networks) => drop(self.translated.insert(gateway.to_owned(), networks)),
            None => drop(self.translated.remove(gateway)),
        }
        tell_translations(&self.translated, &mut self.replica);
    }

    /// A load balancer on these routers, or, as an older OVN tells it, on these switches.
    pub fn balancer(&mut self, name: &str, vips: &[&str], routers: &[&str], switches: &[&str]) {
        let row = LoadBalancer {
            name: name.into(),
            vips: vips.iter().map(|vip| ((*vip).into(), "20.0.0.10:80".into())).collect(),
            datapaths: switches.iter().map(|name| uuid_of(name)).collect(),
            lr_datapath_group: (!routers.is_empty()).then(|| uuid_of(&format!("group of {name}"))),
            ..LoadBalancer::default()
        };
        let members = routers.iter().map(|name| uuid_of(name)).collect();
        self.balancers.insert(name.to_owned(), (row, members));
        let told = self.balancers.iter().filter(|(other, _)| *other == name);
        tell_balancers(told, &mut self.replica);
    }

    /// A load balancer goes.
    pub fn remove_balancer(&mut self, name: &str) {
        self.balancers.remove(name);
        self.replica.balancers_mut().put(uuid_of(name), None);
    }

    /// A provider network's localnet port.
    pub fn localnet(&mut self, name: &str, provider: &str, network: &str, tag: Option<u16>) {
        self.put(PortBinding {
            logical_port: name.into(),
            kind: "localnet".into(),
            datapath: uuid_of(provider),
            options: pairs(&[("network_name", network)]),
            tag,
            ..PortBinding::default()
        });
    }

    /// A router's gateway port with its peer and its cr-lrp.
    pub fn gateway(&mut self, spec: &GatewaySpec<'_>) {
        let (router_port, redirect) = (format!("lrp-{}", spec.name), format!("cr-lrp-{}", spec.name));
        let options = [("peer", spec.name), ("chassis-redirect-port", redirect.as_str())];
        self.patch(&router_port, spec.router, &options, &[spec.mac]);
        self.patch(spec.name, spec.provider, &[("peer", router_port.as_str())], &["router"]);
        self.put(PortBinding {
            logical_port: redirect.as_str().into(),
            kind: "chassisredirect".into(),
            datapath: uuid_of(spec.router),
            chassis: spec.chassis.map(uuid_of),
            mac: [spec.mac].iter().collect(),
            options: pairs(&[("distributed-port", router_port.as_str())]),
            ..PortBinding::default()
        });
    }

    /// A router's port towards a tenant network, with its peer there.
    pub fn subnet(&mut self, gateway: &str, name: &str, network: &str, mac: &str) {
        let Some((_, gateway)) = self.held.get(&format!("lrp-{gateway}")) else {
            return;
        };
        let router = gateway.datapath;
        let router_port = format!("lrp-{name}");
        self.patch(&router_port, "", &[("peer", name)], &[mac]);
        self.edit(&router_port, |row| row.datapath = router);
        self.patch(name, network, &[("peer", router_port.as_str())], &["router"]);
    }

    fn patch(&mut self, name: &str, datapath: &str, options: &[(&str, &str)], mac: &[&str]) {
        let external_ids = self.held.get(name).map(|(_, row)| row.external_ids.clone()).unwrap_or_default();
        let nat_addresses = self.held.get(name).map(|(_, row)| row.nat_addresses.clone()).unwrap_or_default();
        self.put(PortBinding {
            logical_port: name.into(),
            kind: "patch".into(),
            datapath: uuid_of(datapath),
            mac: mac.iter().collect(),
            options: pairs(options),
            external_ids,
            nat_addresses,
            ..PortBinding::default()
        });
    }

    /// A VM's port.
    pub fn workload(&mut self, name: &str, network: &str, chassis: Option<&str>, mac: &[&str]) {
        self.put(PortBinding {
            logical_port: name.into(),
            datapath: uuid_of(network),
            chassis: chassis.map(uuid_of),
            mac: mac.iter().collect(),
            ..PortBinding::default()
        });
    }

    /// The `nat_addresses` of a port are these.
    pub fn nat(&mut self, name: &str, entries: &[&str]) {
        self.edit(name, |row| row.nat_addresses = entries.iter().collect());
    }

    /// The external_ids of a port are these.
    pub fn annotate(&mut self, name: &str, annotation: &[(&str, &str)]) {
        self.edit(name, |row| row.external_ids = pairs(annotation));
    }

    /// The type of a port is this.
    pub fn kind(&mut self, name: &str, kind: &str) {
        self.edit(name, |row| row.kind = kind.into());
    }

    /// A cr-lrp's chassis is another one, in one update.
    pub fn move_gateway(&mut self, name: &str, chassis: &str) {
        self.edit(name, |row| row.chassis = Some(uuid_of(chassis)));
    }

    /// OVN advertises the routes of a cr-lrp's router, out of a VRF of this name where one is given.
    pub fn dynamic_routing(&mut self, name: &str, vrf: Option<&str>) {
        self.edit(name, |row| {
            let own = row.options.get("distributed-port").unwrap_or_default().to_owned();
            let mut options = vec![("distributed-port", own.as_str()), ("dynamic-routing", "true")];
            options.extend(vrf.map(|vrf| ("dynamic-routing-vrf-name", vrf)));
            row.options = pairs(&options);
        });
    }

    /// A port goes.
    pub fn remove(&mut self, name: &str) {
        if let Some((uuid, _)) = self.held.remove(name) {
            self.replica.remove_port(uuid);
        }
    }

    /// Carries out a generated step.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Localnet { provider, network, tag } => {
                let (name, network) = (format!("provnet-{provider}"), format!("physnet{network}"));
                self.localnet(&name, &format!("prov-{provider}"), &network, tag.then_some(100));
            }
            Step::Gateway { name, router, chassis, provider, address } => {
                let mac = format!("fa:16:3e:00:00:0{name} 172.24.4.{address}/24 2001:db8:ffff::{address}/64");
                let chassis = ["gw1", "gw2", "none"][usize::from(*chassis)];
                self.gateway(&GatewaySpec {
                    name: &format!("gw-{name}"),
                    router: &format!("router-{router}"),
                    mac: &mac,
                    chassis: Some(chassis).filter(|chassis| *chassis != "none"),
                    provider: &format!("prov-{provider}"),
                });
            }
            Step::Subnet { gateway, name, network, third } => {
                let mac = format!("fa:16:3e:01:00:0{name} 20.0.{third}.1/23 2001:db8:{third}::1/64");
                self.subnet(
                    &format!("gw-{gateway}"),
                    &format!("sub-{name}"),
                    &format!("net-{network}"),
                    &mac,
                );
            }
            Step::Annotate { subnet, name, vni, asn } => {
                let port = if *subnet { format!("sub-{name}") } else { format!("gw-{name}") };
                let vni = ["", "1001", "1002", "x"][usize::from(*vni)];
                let mut annotation = Vec::new();
                if !vni.is_empty() {
                    annotation.push(("neutron_bgpvpn:vni", vni));
                }
                if *asn > 0 {
                    annotation.push(("neutron_bgpvpn:as", ["65001", "65002"][usize::from(*asn - 1)]));
                }
                self.annotate(&port, &annotation);
            }
            Step::Workload { name, network, bound, third, last } => {
                let mac = format!("fa:16:3e:02:00:0{name} 20.0.{third}.{last} 2001:db8:{third}::{last}");
                let network = format!("net-{network}");
                self.workload(&format!("vm-{name}"), &network, bound.then_some("cmp1"), &[&mac]);
            }
            Step::DynamicRouting { name, vrf } => {
                let vrf = [None, Some("vrf-1001"), Some("vrf-1002"), Some("ovnvrf1")][usize::from(*vrf)];
                self.dynamic_routing(&format!("cr-lrp-gw-{name}"), vrf);
            }
            Step::Remove(kind, name) => {
                let prefix = ["provnet-", "cr-lrp-gw-", "lrp-gw-", "gw-", "lrp-sub-", "sub-", "vm-", "pvm-"]
                    [usize::from(*kind)];
                self.remove(&format!("{prefix}{name}"));
            }
            Step::ProviderPort { name, provider, chassis, last } => {
                let mac = format!("fa:16:3e:03:00:0{name} 172.24.4.{last} 2001:db8:ffff::{last}");
                let chassis = ["gw1", "gw2", "none"][usize::from(*chassis)];
                let chassis = Some(chassis).filter(|chassis| *chassis != "none");
                self.workload(&format!("pvm-{name}"), &format!("prov-{provider}"), chassis, &[&mac]);
            }
            Step::Nat { gateway, central, distributed } => {
                let there = |last: &u8, port: String| {
                    let mac =
                        format!("fa:16:3e:04:00:0{last} 172.24.4.{last} is_chassis_resident(\"{port}\")");
                    Some(mac).filter(|_| *last > 0)
                };
                let central = there(central, format!("cr-lrp-gw-{gateway}"));
                let distributed = there(distributed, format!("vm-{gateway}"));
                let entries: Vec<String> = central.into_iter().chain(distributed).collect();
                self.nat(&format!("gw-{gateway}"), &entries.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Step::Balancer { name, router, by_switch, last } => {
                let (router, network) = (format!("router-{router}"), format!("net-{router}"));
                let (routers, switches): (&[&str], &[&str]) =
                    if *by_switch { (&[], &[&network]) } else { (&[&router], &[]) };
                let vips = [format!("172.24.4.{last}:80"), format!("[2001:db8:{last}::{last}]:80")];
                let vips: Vec<&str> = vips.iter().map(String::as_str).collect();
                self.balancer(&format!("lb-{name}"), &vips, routers, switches);
            }
            Step::Translate { gateway, networks } => {
                let all: [Option<&[&str]>; 4] =
                    [None, Some(&[]), Some(&["20.0.0.0/23"]), Some(&["20.0.0.0/22", "198.51.100.7"])];
                self.translate(&format!("gw-{gateway}"), all[usize::from(*networks)]);
            }
            Step::NoBalancer(name) => self.remove_balancer(&format!("lb-{name}")),
            Step::HereWorkload(name) => {
                self.edit(&format!("vm-{name}"), |row| row.chassis = Some(uuid_of("gw1")));
            }
        }
    }
}

/// A generated change of the cloud; small numbers, so that names meet.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Step {
    Localnet { provider: u8, network: u8, tag: bool },
    Gateway { name: u8, router: u8, chassis: u8, provider: u8, address: u8 },
    Subnet { gateway: u8, name: u8, network: u8, third: u8 },
    Annotate { subnet: bool, name: u8, vni: u8, asn: u8 },
    Workload { name: u8, network: u8, bound: bool, third: u8, last: u8 },
    DynamicRouting { name: u8, vrf: u8 },
    Remove(u8, u8),
    ProviderPort { name: u8, provider: u8, chassis: u8, last: u8 },
    Nat { gateway: u8, central: u8, distributed: u8 },
    Balancer { name: u8, router: u8, by_switch: bool, last: u8 },
    NoBalancer(u8),
    HereWorkload(u8),
    Translate { gateway: u8, networks: u8 },
}

fn tell_balancers<'a>(
    held: impl IntoIterator<Item = (&'a String, &'a (LoadBalancer, Vec<Uuid>))>,
    replica: &mut Replica,
) {
    let replica = replica.balancers_mut();
    for (name, (row, members)) in held {
        replica.put(uuid_of(name), Some(row.clone()));
        if let Some(group) = row.lr_datapath_group {
            replica.put_group(group, DatapathGroup { datapaths: members.clone() });
        }
    }
}

fn tell_translations(translated: &BTreeMap<String, Vec<String>>, replica: &mut Replica) {
    let (mut routers, mut ports, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for (gateway, networks) in translated {
        let (router, port) = (uuid_of(&format!("of {gateway}")), uuid_of(&format!("port {gateway}")));
        ports.push((port, LogicalRouterPort { name: format!("lrp-{gateway}").into(), ..Default::default() }));
        let mut nat = Vec::new();
        for network in networks {
            let rule = uuid_of(&format!("{network} of {gateway}"));
            rules.push((rule, Nat { kind: "snat".into(), logical_ip: network.as_str().into() }));
            nat.push(rule);
        }
        routers.push((router, LogicalRouter { ports: vec![port], nat, ..Default::default() }));
    }
    let translations = replica.translations_mut();
    translations.replace(
        routers.into_iter().collect(),
        ports.into_iter().collect(),
        rules.into_iter().collect(),
    );
}

/// Any step.
#[cfg(test)]
pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..2u8, 1..3u8, any::<bool>()).prop_map(|(provider, network, tag)| {
            Step::Localnet { provider, network, tag }
        }),
        3 => (0..3u8, 0..2u8, 0..3u8, 0..2u8, 1..4u8).prop_map(|(name, router, chassis, provider, address)| {
            Step::Gateway { name, router, chassis, provider, address }
        }),
        3 => (0..3u8, 0..3u8, 0..2u8, 0..3u8).prop_map(|(gateway, name, network, third)| {
            Step::Subnet { gateway, name, network, third }
        }),
        5 => (any::<bool>(), 0..3u8, 0..4u8, 0..3u8).prop_map(|(subnet, name, vni, asn)| {
            Step::Annotate { subnet, name, vni, asn }
        }),
        4 => (0..4u8, 0..2u8, any::<bool>(), 0..3u8, 1..4u8).prop_map(|(name, network, bound, third, last)| {
            Step::Workload { name, network, bound, third, last }
        }),
        1 => (0..3u8, 0..4u8).prop_map(|(name, vrf)| Step::DynamicRouting { name, vrf }),
        2 => (0..7u8, 0..3u8).prop_map(|(kind, name)| Step::Remove(kind, name)),
    ]
}

/// Any step, and those that matter to the BGP mode alone.
#[cfg(test)]
pub fn plain_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => step(),
        4 => (0..3u8, 0..2u8, 0..3u8, 1..6u8).prop_map(|(name, provider, chassis, last)| {
            Step::ProviderPort { name, provider, chassis, last }
        }),
        3 => (0..3u8, 0..7u8, 0..7u8).prop_map(|(gateway, central, distributed)| {
            Step::Nat { gateway, central, distributed }
        }),
        2 => (0..2u8, 0..2u8, any::<bool>(), 1..6u8).prop_map(|(name, router, by_switch, last)| {
            Step::Balancer { name, router, by_switch, last }
        }),
        1 => (0..2u8).prop_map(Step::NoBalancer),
        1 => (0..4u8).prop_map(Step::HereWorkload),
        2 => (0..3u8, 0..4u8).prop_map(|(gateway, networks)| Step::Translate { gateway, networks }),
        1 => (0..3u8).prop_map(|name| Step::Remove(7, name)),
    ]
}
