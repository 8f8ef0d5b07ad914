//! Intent of the BGP mode: from Southbound rows to the addresses that this node should offer as plain routes.
//!
//! Pure: no I/O, no clock. Every row that offers something is a source, with what it claims; a changed row leads to its
//! source and to those that looked at it, and only these are computed again. The result is always equal to a computation
//! from scratch. Of several claims to one destination the least by kind and name counts; the others are put aside, and so is what
//! is beyond the node's limit.

mod balancer;
mod evidence;
mod exposure;
pub mod nat;
mod router;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use uuid::Uuid;

pub use evidence::Evidence;
pub use exposure::{Exposure, Kind, Way};

use self::router::{Resolved, RouterSubnet};
use super::{
    Excess, Problem, Scope, annotation,
    gateway::localnet_of,
    limit::{Limited, Shift},
    port, remove_from,
};
use crate::{
    config::{TenantNetworks, Underlay},
    model::{MacAddr, Prefix},
    ovsdb::tables::PortBinding,
    southbound::{Replica, Sort, Subject, Touched, sort},
};

/// What changed in the intent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Destinations that came, went or changed.
    pub exposures: BTreeSet<Prefix>,
    /// Provider networks that came, went or changed.
    pub networks: BTreeSet<Uuid>,
    /// What the Southbound is to be asked for has changed.
    pub subjects: bool,
}

/// A row that offers something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Source {
    /// A workload's.
    Workload(Uuid),
    /// A switch port's with `nat_addresses`, by name.
    Nat(Box<str>),
    /// A cr-lrp, by name.
    Gateway(Box<str>),
    /// A load balancer.
    Balancer(Uuid),
}

type Claims = BTreeSet<(Prefix, Exposure)>;

/// The incremental computation with what it has computed.
#[derive(Debug)]
pub struct Intent {
    tenants: TenantNetworks,
    options: Underlay,
    /// Routers with an annotation are the EVPN mode's: what they say goes to their VRF.
    beside_evpn: bool,
    name: Option<Box<str>>,
    chassis: Option<Uuid>,
    /// The name is another one than that of `chassis`, and its row was not seen yet.
    renamed: bool,
    /// Gateways on this chassis, and who looks at what.
    resolved: BTreeMap<Box<str>, Resolved>,
    watchers: BTreeMap<Subject, BTreeSet<Box<str>>>,
    /// The gateways of the routers here, by the router's datapath and those of the networks behind it.
    placed: BTreeMap<Uuid, BTreeSet<Box<str>>>,
    /// Tenants' subnets that are offered, and why others are not.
    subnets: BTreeMap<Prefix, (Uuid, RouterSubnet)>,
    by_datapath: BTreeMap<Uuid, BTreeSet<Prefix>>,
    overlaps: Vec<Problem>,
    sources: HashMap<Source, Claims>,
    claims: BTreeMap<Prefix, BTreeSet<Exposure>>,
    contested: BTreeSet<Prefix>,
    /// Destinations that the limit is for; those within it are offered.
    on_node: Limited<Prefix>,
    /// How many destinations count on each provider network.
    used: BTreeMap<Uuid, usize>,
    /// Under which name a workload's row was seen last: where it is bound says where what names it is offered.
    names: HashMap<Uuid, Box<str>>,
    /// The rows with `nat_addresses` that name a port, or whose peer it is.
    residents: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// The ports that such a row names, and its peer.
    named: HashMap<Box<str>, BTreeSet<Box<str>>>,
    /// The groups of datapaths that load balancers refer to, and by which.
    refers: HashMap<Uuid, Uuid>,
    groups: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// What is asked for beside what is offered: see [`Intent::look_for`].
    searched: BTreeSet<Subject>,
}

/// What is to be computed again.
#[derive(Debug, Default)]
struct Work {
    gateways: BTreeSet<Box<str>>,
    nats: BTreeSet<Box<str>>,
    balancers: BTreeSet<Uuid>,
    workloads: HashSet<Uuid>,
}

impl Intent {
    /// An intent that knows nothing yet and offers so many addresses at most. `beside_evpn`: the EVPN mode is on, too.
    pub fn new(options: &Underlay, limit: usize, beside_evpn: bool) -> Self {
        Self {
            tenants: options.tenant_networks(),
            options: options.clone(),
            beside_evpn,
            name: None,
            chassis: None,
            renamed: false,
            resolved: BTreeMap::new(),
            watchers: BTreeMap::new(),
            placed: BTreeMap::new(),
            subnets: BTreeMap::new(),
            by_datapath: BTreeMap::new(),
            overlaps: Vec::new(),
            sources: HashMap::new(),
            claims: BTreeMap::new(),
            contested: BTreeSet::new(),
            on_node: Limited::new(limit),
            used: BTreeMap::new(),
            names: HashMap::new(),
            residents: BTreeMap::new(),
            named: HashMap::new(),
            refers: HashMap::new(),
            groups: BTreeMap::new(),
            searched: BTreeSet::new(),
        }
    }

    /// Whether the row of this node's chassis was seen.
    pub fn knows_chassis(&self) -> bool {
        self.chassis.is_some()
    }

    /// Takes in what was touched in the replica since the last call; the node has this chassis name (system-id). One that has
    /// lost its name, or whose new one has no row yet, is still who it was.
    pub fn update(&mut self, replica: &Replica, touched: &Touched, name: Option<&str>) -> Delta {
        let mut delta = Delta::default();
        if name.is_some() && self.name.as_deref() != name {
            self.name = name.map(Into::into);
            self.renamed = true;
        }
        let named = self.name.as_deref().and_then(|name| replica.chassis_named(name));
        self.renamed &= named.is_none();
        let chassis = if self.renamed { self.chassis } else { named };
        let mut work = self.touched(replica, touched, &mut delta);
        if chassis != self.chassis {
            self.chassis = chassis;
            delta.subjects = true;
            self.all(replica, &mut work);
        }
        let mut moved = false;
        for name in std::mem::take(&mut work.gateways) {
            let before = self.places(&name);
            moved |= self.resolve(replica, &name, &mut delta);
            for datapath in before.union(&self.places(&name)) {
                work.balancers.extend(replica.balancers().on(*datapath));
            }
            self.touch_residents(&name, &mut work);
            self.claim(replica, Source::Gateway(name), &mut delta);
        }
        if moved {
            for datapath in self.admit(&mut delta) {
                work.workloads.extend(replica.workloads_of(datapath));
                // Those on a router there have addresses in its subnets, too.
                for gateway in self.placed.get(&datapath).into_iter().flatten() {
                    let places = self.places(gateway).into_iter();
                    work.balancers.extend(places.flat_map(|place| replica.balancers().on(place)));
                }
            }
        }
        for uuid in work.balancers {
            self.claim(replica, Source::Balancer(uuid), &mut delta);
        }
        for uuid in work.workloads {
            self.claim(replica, Source::Workload(uuid), &mut delta);
        }
        for name in work.nats {
            self.claim(replica, Source::Nat(name), &mut delta);
        }
        delta
    }

    /// So many addresses are offered at most from now on.
    pub fn set_limit(&mut self, limit: usize) -> Delta {
        let before: Vec<_> = self.claims.keys().map(|to| (*to, self.exposure(to).cloned())).collect();
        self.on_node = Limited::new(limit);
        let limited =
            self.claims.iter().filter(|(_, claims)| claims.first().is_some_and(Exposure::is_limited));
        for (to, _) in limited {
            self.on_node.insert(*to);
        }
        let mut delta = Delta::default();
        before.into_iter().for_each(|(to, before)| self.compare(to, before, &mut delta));
        delta
    }

    /// What counts for a destination, if that is within the limit.
    pub fn exposure(&self, to: &Prefix) -> Option<&Exposure> {
        let first = self.claims.get(to)?.first()?;
        Some(first).filter(|first| !first.is_limited() || self.on_node.counts(to))
    }

    /// All that is offered, by destination.
    pub fn exposures(&self) -> impl Iterator<Item = (&Prefix, &Exposure)> {
        self.claims.keys().filter_map(|to| Some((to, self.exposure(to)?)))
    }

    /// What is beyond the limit.
    pub fn excess(&self) -> Option<Excess> {
        let count = self.on_node.excess();
        (count > 0).then_some(Excess { scope: Scope::Plain, count })
    }

    /// The provider networks that something is offered on.
    pub fn networks(&self) -> impl Iterator<Item = Uuid> {
        self.used.keys().copied()
    }

    /// Whether something is offered on this provider network.
    pub fn uses(&self, network: Uuid) -> bool {
        self.used.contains_key(&network)
    }

    /// All that is put aside.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        let contested = self.contested.iter().filter_map(|to| {
            let mut claims = self.claims.get(to)?.iter();
            let first = claims.next()?;
            let others = claims.filter(|other| (other.network, other.way) != (first.network, first.way));
            Some(others.map(move |other| {
                Problem::new(
                    &other.port,
                    None,
                    format!("{to} is offered for {}, which has it too", first.port),
                )
            }))
        });
        let gateways = self.resolved.values().flat_map(|resolved| &resolved.problems);
        gateways.chain(&self.overlaps).cloned().chain(contested.flatten())
    }

    /// All that the Southbound is to be asked for.
    pub fn subjects(&self) -> impl Iterator<Item = Subject> {
        let bound = self.chassis.map(Subject::OnChassis);
        let searched = self.searched.iter().cloned();
        let always = bound.into_iter().chain([Subject::Nat]);
        always.chain(self.balancer_subjects()).chain(searched).chain(self.watchers.keys().cloned())
    }

    /// What is bound elsewhere is not asked for, unless it has to be known what became of these addresses. True where that
    /// changes something.
    pub fn look_for(&mut self, replica: &Replica, lost: &BTreeSet<IpAddr>) -> bool {
        let wanted = evidence::wanted(self, replica, lost);
        let changes = self.searched != wanted;
        self.searched = wanted;
        changes
    }

    fn touched(&self, replica: &Replica, touched: &Touched, delta: &mut Delta) -> Work {
        let (gateways, balancers) = (touched.gateways.clone(), touched.balancers.clone());
        let mut work = Work { gateways, balancers, ..Work::default() };
        for subject in &touched.subjects {
            work.gateways.extend(self.watchers.get(subject).into_iter().flatten().cloned());
            match subject {
                Subject::Localnets(datapath) => {
                    delta.networks.extend(Some(*datapath).filter(|datapath| self.uses(*datapath)));
                    work.workloads.extend(replica.workloads_of(*datapath));
                    let rows = replica.patches_of(*datapath).filter(|row| !row.nat_addresses.is_empty());
                    work.nats.extend(rows.map(|row| row.logical_port.clone()));
                }
                Subject::Port(name) => {
                    self.touch_residents(name, &mut work);
                    let has = replica.port(name).is_some_and(|row| !row.nat_addresses.is_empty());
                    work.nats.extend(Some(name.clone()).filter(|_| has || self.names_ports(name)));
                }
                _ => {}
            }
        }
        for (uuid, _) in &touched.workloads {
            work.workloads.insert(*uuid);
            let now = replica.get(uuid).map(|row| &row.logical_port);
            for name in self.names.get(uuid).into_iter().chain(now) {
                self.touch_residents(name, &mut work);
            }
        }
        work
    }

    /// The datapaths of a gateway's router here.
    fn places(&self, gateway: &str) -> BTreeSet<Uuid> {
        self.resolved.get(gateway).map(Resolved::places).unwrap_or_default()
    }

    fn names_ports(&self, name: &str) -> bool {
        self.named.contains_key(name) || self.sources.contains_key(&Source::Nat(name.into()))
    }

    fn touch_residents(&self, port: &str, work: &mut Work) {
        work.nats.extend(self.residents.get(port).into_iter().flatten().cloned());
    }

    /// Everything: the node is another chassis now.
    fn all(&self, replica: &Replica, work: &mut Work) {
        work.gateways.extend(replica.gateway_names().map(Into::into));
        work.gateways.extend(self.resolved.keys().cloned());
        for (uuid, row) in replica.rows_by_uuid() {
            if !row.nat_addresses.is_empty() {
                work.nats.insert(row.logical_port.clone());
            }
            work.workloads.insert(*uuid);
        }
        for source in self.sources.keys() {
            match source {
                Source::Workload(uuid) => drop(work.workloads.insert(*uuid)),
                Source::Nat(name) => drop(work.nats.insert(name.clone())),
                // Load balancers follow their routers.
                Source::Gateway(_) | Source::Balancer(_) => {}
            }
        }
    }

    /// Resolves a gateway again; true where its subnets have changed.
    fn resolve(&mut self, replica: &Replica, name: &str, delta: &mut Delta) -> bool {
        let new = match self.chassis {
            Some(chassis) => router::resolve(replica, name, chassis, self),
            None => Resolved::default(),
        };
        let old = self.resolved.remove(name).unwrap_or_default();
        for gone in old.seen.difference(&new.seen) {
            delta.subjects |= remove_from(&mut self.watchers, gone, name);
        }
        for come in new.seen.difference(&old.seen) {
            let watchers = self.watchers.entry(come.clone()).or_default();
            delta.subjects |= watchers.is_empty();
            watchers.insert(name.into());
        }
        for gone in old.places().difference(&new.places()) {
            remove_from(&mut self.placed, gone, name);
        }
        for come in new.places() {
            self.placed.entry(come).or_default().insert(name.into());
        }
        let moved = old.subnets() != new.subnets();
        if new != Resolved::default() {
            self.resolved.insert(name.into(), new);
        }
        moved
    }

    /// Decides anew which tenants' subnets are offered: of those that overlap the one of the gateway with the smallest name.
    /// Gives the datapaths on which that has changed.
    fn admit(&mut self, delta: &mut Delta) -> BTreeSet<Uuid> {
        let mut admitted: BTreeMap<Prefix, (Uuid, RouterSubnet)> = BTreeMap::new();
        self.overlaps.clear();
        for router in self.resolved.values().filter_map(|resolved| resolved.router.as_ref()) {
            for subnet in &router.subnets {
                let meets =
                    |other: &&Prefix| other.contains(&subnet.prefix) || subnet.prefix.contains(*other);
                match admitted.keys().find(meets).and_then(|other| admitted.get(other)) {
                    Some((_, other))
                        if other.router_port == subnet.router_port && other.prefix == subnet.prefix => {}
                    Some((_, other)) => {
                        let why = format!(
                            "{} overlaps with {} of {}, which is offered",
                            subnet.prefix, other.prefix, other.router_port
                        );
                        self.overlaps.push(Problem::new(&subnet.router_port, None, why));
                    }
                    None => drop(admitted.insert(subnet.prefix, (router.network, subnet.clone()))),
                }
            }
        }
        let before = std::mem::replace(&mut self.subnets, admitted);
        let mut datapaths = BTreeSet::new();
        let all: BTreeSet<Prefix> = before.keys().chain(self.subnets.keys()).copied().collect();
        for prefix in all {
            let (old, new) = (before.get(&prefix), self.subnets.get(&prefix).cloned());
            if old == new.as_ref() {
                continue;
            }
            if let Some((_, old)) = old {
                remove_from(&mut self.by_datapath, &old.datapath, &prefix);
                datapaths.insert(old.datapath);
            }
            if let Some((_, new)) = &new {
                self.by_datapath.entry(new.datapath).or_default().insert(prefix);
                datapaths.insert(new.datapath);
            }
            let claim = |(network, subnet): &(Uuid, RouterSubnet)| Exposure {
                kind: Kind::Subnet,
                port: subnet.router_port.clone(),
                network: *network,
                way: Way::Router(subnet.via, self.options.by_subnet.then_some(subnet.address)),
            };
            let (old, new) = (old.map(claim), new.as_ref().map(claim));
            if let Some(new) = new.clone() {
                self.take_claim((prefix, new), delta);
            }
            if let Some(old) = old.filter(|old| Some(old) != new.as_ref()) {
                self.drop_claim((prefix, old), delta);
            }
        }
        datapaths
    }

    /// Computes the claims of a source again.
    fn claim(&mut self, replica: &Replica, source: Source, delta: &mut Delta) {
        let new = match &source {
            Source::Workload(uuid) => self.workload(replica, uuid),
            Source::Nat(name) => self.nat(replica, name),
            Source::Gateway(name) => self.resolved.get(name).map(Resolved::claims).unwrap_or_default(),
            Source::Balancer(uuid) => self.balancer(replica, uuid, &mut delta.subjects),
        };
        let old = match new.is_empty() {
            true => self.sources.remove(&source),
            false => self.sources.insert(source, new.clone()),
        };
        let old = old.unwrap_or_default();
        // What stays is not let go in between.
        new.difference(&old).cloned().for_each(|claim| self.take_claim(claim, delta));
        old.difference(&new).cloned().for_each(|claim| self.drop_claim(claim, delta));
    }

    fn take_claim(&mut self, (to, claim): (Prefix, Exposure), delta: &mut Delta) {
        let before = self.exposure(&to).cloned();
        self.claims.entry(to).or_default().insert(claim);
        self.judge(to, before, delta);
    }

    fn drop_claim(&mut self, (to, claim): (Prefix, Exposure), delta: &mut Delta) {
        let before = self.exposure(&to).cloned();
        remove_from(&mut self.claims, &to, &claim);
        self.judge(to, before, delta);
    }

    /// The claims to a destination have changed: whether they are contested, and what of that is within the limit.
    fn judge(&mut self, to: Prefix, before: Option<Exposure>, delta: &mut Delta) {
        let claims = self.claims.get(&to);
        let is_limited = claims.and_then(BTreeSet::first).is_some_and(Exposure::is_limited);
        match claims.is_some_and(|claims| claims.len() > 1) {
            true => self.contested.insert(to),
            false => self.contested.remove(&to),
        };
        let Shift { entered, left } =
            if is_limited { self.on_node.insert(to) } else { self.on_node.remove(to) };
        self.compare(to, before, delta);
        // Another one may have taken its place, or given it up.
        for other in entered.into_iter().filter(|other| *other != to) {
            self.compare(other, None, delta);
        }
        for other in left.into_iter().filter(|other| *other != to) {
            let before = self.claims.get(&other).and_then(BTreeSet::first).cloned();
            self.compare(other, before, delta);
        }
    }

    fn compare(&mut self, to: Prefix, before: Option<Exposure>, delta: &mut Delta) {
        let after = self.exposure(&to).cloned();
        if before == after {
            return;
        }
        delta.exposures.insert(to);
        if let Some(after) = after {
            let users = self.used.entry(after.network).or_default();
            *users += 1;
            if *users == 1 {
                delta.networks.insert(after.network);
            }
        }
        if let Some(before) = before
            && let Some(users) = self.used.get_mut(&before.network)
        {
            *users -= 1;
            if *users == 0 {
                self.used.remove(&before.network);
                delta.networks.insert(before.network);
            }
        }
    }

    fn workload(&mut self, replica: &Replica, uuid: &Uuid) -> Claims {
        let row = replica.get(uuid).filter(|row| sort(row) == Sort::Workload);
        match row {
            Some(row) => drop(self.names.insert(*uuid, row.logical_port.clone())),
            None => drop(self.names.remove(uuid)),
        }
        let Some(row) = row.filter(|row| row.chassis.is_some()) else { return Claims::new() };
        match localnet_of(replica, row.datapath) {
            Some(_) if row.chassis != self.chassis => Claims::new(),
            Some(_) => on_provider_network(row),
            None => self.on_tenant_network(row),
        }
    }

    fn on_tenant_network(&self, row: &PortBinding) -> Claims {
        let Some(subnets) = self.by_datapath.get(&row.datapath).filter(|_| !self.options.by_subnet) else {
            return Claims::new();
        };
        let mut claims = Claims::new();
        for (_, address) in port::workload(row) {
            let inside = subnets.iter().find(|subnet| subnet.contains(&address));
            let Some((network, subnet)) = inside.and_then(|subnet| self.subnets.get(subnet)) else {
                continue;
            };
            let way = Way::Subnet(subnet.via, subnet.prefix);
            let (kind, port) = (Kind::Tenant, row.logical_port.clone());
            claims.insert((Prefix::from(address), Exposure { kind, port, network: *network, way }));
        }
        claims
    }

    fn nat(&mut self, replica: &Replica, name: &str) -> Claims {
        let row = replica.port(name);
        let entries: Vec<_> = row.iter().flat_map(|row| nat::entries(&row.nat_addresses)).collect();
        let peer = row.and_then(|row| row.options.get("peer")).filter(|_| !entries.is_empty());
        let ports = entries.iter().filter_map(|entry| entry.resident).chain(peer);
        self.name_ports(name, ports.map(Into::into).collect());
        let Some(row) = row.filter(|row| localnet_of(replica, row.datapath).is_some()) else {
            return Claims::new();
        };
        let is_here = |resident: Option<&str>| {
            let bound = resident.map_or(row.chassis, |port| replica.port(port).and_then(|port| port.chassis));
            bound.is_some() && bound == self.chassis
        };
        let evpns = if self.leaves(row) { router::addresses(replica, row) } else { Vec::new() };
        let here = entries.iter().filter(|entry| is_here(entry.resident));
        let claim = |address: &IpAddr, mac| {
            let (kind, port, way) = (Kind::Nat, row.logical_port.clone(), Way::Direct(Some(mac)));
            (Prefix::from(*address), Exposure { kind, port, network: row.datapath, way })
        };
        let addresses = |entry: &nat::Entry<'_>| {
            let mac = entry.mac;
            let own = entry.addresses.iter().filter(|address| !evpns.contains(address));
            own.map(|address| claim(address, mac)).collect::<Vec<_>>()
        };
        here.flat_map(addresses).collect()
    }
}

impl Intent {
    /// A gateway's port on the provider network is annotated for the EVPN mode, and that is on: of that router only floating
    /// IPs and load balancers on the provider network are plain routes.
    fn leaves(&self, switch_port: &PortBinding) -> bool {
        self.beside_evpn && annotation::read(&switch_port.external_ids) != Ok(None)
    }

    /// A row with `nat_addresses` names these ports, or has them for a peer.
    fn name_ports(&mut self, row: &str, ports: BTreeSet<Box<str>>) {
        let old = match ports.is_empty() {
            true => self.named.remove(row),
            false => self.named.insert(row.into(), ports.clone()),
        };
        for gone in old.unwrap_or_default().difference(&ports) {
            remove_from(&mut self.residents, gone, row);
        }
        for port in ports {
            self.residents.entry(port).or_default().insert(row.into());
        }
    }
}

/// A VM's address is at the MAC that stands before it. A virtual port's is at the MAC of whoever has it now.
fn on_provider_network(row: &PortBinding) -> Claims {
    let claim = |(mac, address): (Option<MacAddr>, IpAddr)| {
        let (kind, port) = (Kind::Port, row.logical_port.clone());
        let way = Way::Direct(mac.filter(|_| row.kind.is_empty()));
        (Prefix::from(address), Exposure { kind, port, network: row.datapath, way })
    };
    port::workload(row).map(claim).collect()
}
