//! Intent of the EVPN mode: from Southbound rows to the tenants and addresses that this node should offer.
//!
//! Pure: no I/O, no clock. Incremental: a changed row leads to what looked at it, and only that is computed again; the
//! result is always equal to a computation from scratch. What cannot be served is put aside as a `Problem`.

pub mod annotation;
pub mod bgp;
mod conflict;
mod dynamic_routing;
mod evidence;
mod gateway;
mod limit;
pub mod names;
pub mod port;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use uuid::Uuid;

pub use conflict::{reserved, same_family};
pub use evidence::{Evidence, Unbound};
pub use gateway::{Gateway, Localnet, Subnet};
pub use limit::{Excess, Scope};
use limit::{Limited, Shift};

use crate::{
    ledger::Ledger,
    model::{Asn, MacAddr, Prefix, RouteTarget, Vni},
    southbound::{Replica, Subject, Touched, remove_from},
};

/// The longest text of others that is shown, in characters.
const LONGEST_TEXT: usize = 300;

/// A text that may quote what stands in the database: what a terminal or a log would take for more than text is escaped,
/// and what is longer than anyone reads is cut.
pub fn shown(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let shown: String = text.chars().take(LONGEST_TEXT).map(escape).collect();
    if text.chars().nth(LONGEST_TEXT).is_some() { shown + ".." } else { shown }
}

/// Something that is not served, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The logical port that it is about.
    pub port: Box<str>,
    /// The VNI, where one is known.
    pub vni: Option<Vni>,
    /// Why, in an operator's words.
    pub reason: String,
}

impl Problem {
    pub(crate) fn new(port: &str, vni: Option<Vni>, reason: String) -> Self {
        Self { port: shown(port).into(), vni, reason: shown(&reason) }
    }
}

/// What one VNI is on this node: everything but its VMs' addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The VNI.
    pub vni: Vni,
    /// The AS of its BGP instance.
    pub asn: Asn,
    /// Route distinguisher; None: FRR's own.
    pub rd: Option<RouteTarget>,
    /// Route targets to import; empty: FRR's own.
    pub import: BTreeSet<RouteTarget>,
    /// Route targets to export; empty: FRR's own.
    pub export: BTreeSet<RouteTarget>,
    /// The router gateways that share it; never empty.
    pub gateways: Vec<TenantGateway>,
    /// Its subnets, one per prefix.
    pub subnets: Vec<TenantSubnet>,
}

/// A router gateway of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantGateway {
    /// The cr-lrp's logical port.
    pub name: Box<str>,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its provider network.
    pub localnet: Localnet,
}

/// A subnet of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSubnet {
    /// The router port that it is behind.
    pub router_port: Box<str>,
    /// The tenant network's datapath.
    pub datapath: Uuid,
    /// Its prefix.
    pub prefix: Prefix,
    /// The gateways that lead to it, as indexes; the first one is routed to, all may send from it.
    pub gateways: Vec<usize>,
}

/// What changed in the intent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Tenants that came, went or changed.
    pub tenants: BTreeSet<Vni>,
    /// VM addresses that came or went.
    pub addresses: BTreeSet<(Vni, IpAddr)>,
    /// Whether the subjects looked at have changed.
    pub subjects: bool,
}

/// How many VM addresses are advertised at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one VNI.
    pub per_vni: usize,
    /// Of the node; the EVPN mode's addresses and the BGP mode's are counted apart.
    pub per_node: usize,
}

impl Limits {
    /// No limit.
    pub const NONE: Self = Self { per_vni: usize::MAX, per_node: usize::MAX };
}

#[derive(Debug, Default)]
struct Merged {
    tenant: Option<Tenant>,
    problems: Vec<Problem>,
}

/// The incremental computation with what it has computed.
#[derive(Debug)]
pub struct Intent {
    default_as: Asn,
    limits: Limits,
    chassis_name: Option<Box<str>>,
    chassis: Option<Uuid>,
    /// The name is another one than that of `chassis`, and its row was not seen yet.
    renamed: bool,
    /// The physical networks that this node is on, and whether they have changed since the last `update`.
    networks: BTreeSet<Box<str>>,
    remapped: bool,
    resolved: HashMap<Box<str>, gateway::Resolved>,
    watchers: BTreeMap<Subject, BTreeSet<Box<str>>>,
    by_vni: BTreeMap<Vni, BTreeSet<Box<str>>>,
    /// Gateways of routers for which OVN uses a VRF that has the name of a VNI's.
    ovn_vrfs: BTreeMap<Vni, BTreeSet<Box<str>>>,
    merged: BTreeMap<Vni, Merged>,
    exposures: BTreeMap<Uuid, BTreeSet<(Vni, Prefix)>>,
    /// What a workload port claims, and its addresses that no subnet holds.
    workloads: HashMap<Uuid, Box<[(Vni, IpAddr)]>>,
    strays: BTreeMap<Uuid, Box<[IpAddr]>>,
    /// How many ports have an address.
    claims: HashMap<(Vni, IpAddr), u32>,
    /// Of a VNI's addresses, those within its limit; of these, those within the node's.
    per_vni: BTreeMap<Vni, Limited<IpAddr>>,
    on_node: Limited<(Vni, IpAddr)>,
    /// The limits that something is beyond.
    beyond: BTreeSet<Scope>,
}

impl Intent {
    /// An intent that knows nothing yet. `default_as` is the AS of tenants whose annotations name none.
    pub fn new(default_as: Asn, limits: Limits) -> Self {
        Self {
            default_as,
            limits,
            chassis_name: None,
            chassis: None,
            renamed: false,
            networks: BTreeSet::new(),
            remapped: false,
            resolved: HashMap::new(),
            watchers: BTreeMap::new(),
            by_vni: BTreeMap::new(),
            ovn_vrfs: BTreeMap::new(),
            merged: BTreeMap::new(),
            exposures: BTreeMap::new(),
            workloads: HashMap::new(),
            strays: BTreeMap::new(),
            claims: HashMap::new(),
            per_vni: BTreeMap::new(),
            on_node: Limited::new(limits.per_node),
            beyond: BTreeSet::new(),
        }
    }

    /// The limits are these now; gives the addresses that count by them and did not, or did and do not any more.
    pub fn set_limits(&mut self, limits: Limits) -> Vec<(Vni, IpAddr)> {
        if self.limits == limits {
            return Vec::new();
        }
        let before: BTreeSet<_> = self.addresses().collect();
        self.limits = limits;
        self.per_vni.clear();
        self.beyond.clear();
        self.on_node = Limited::new(limits.per_node);
        let claims: Vec<_> = self.claims.keys().copied().collect();
        let mut delta = Delta::default();
        claims.into_iter().for_each(|claim| self.claimed(claim, &mut delta));
        let after: BTreeSet<_> = self.addresses().collect();
        before.symmetric_difference(&after).copied().collect()
    }

    /// The chassis name of this node (system-id) is now this; the next `update` that has its row follows.
    pub fn set_chassis(&mut self, name: &str) {
        if self.chassis_name.as_deref() != Some(name) {
            self.chassis_name = Some(name.into());
            self.renamed = true;
        }
    }

    /// This node is on these physical networks now; the next `update` follows.
    pub fn set_networks<'a>(&mut self, networks: impl Iterator<Item = &'a Box<str>> + Clone) {
        if !self.networks.iter().eq(networks.clone()) {
            self.networks = networks.cloned().collect();
            self.remapped = true;
        }
    }

    /// The chassis name of this node, as it was set last.
    pub fn chassis_name(&self) -> Option<&str> {
        self.chassis_name.as_deref()
    }

    /// Whether the row of this node's chassis was seen.
    pub fn knows_chassis(&self) -> bool {
        self.chassis.is_some()
    }

    /// The name was changed, and until its row is there this node counts as who it was.
    pub fn is_being_renamed(&self) -> bool {
        self.renamed && self.chassis.is_some()
    }

    /// Takes in what was touched in the replica, and for which VNIs the ledger has changed, since the last call.
    pub fn update(
        &mut self,
        replica: &Replica,
        touched: &Touched,
        ledger: &Ledger,
        ledger_changed: BTreeSet<Vni>,
    ) -> Delta {
        let mut delta = Delta::default();
        let mut gateways = touched.gateways.clone();
        for subject in &touched.subjects {
            gateways.extend(self.watchers.get(subject).into_iter().flatten().cloned());
        }
        let named = self.chassis_name.as_deref().and_then(|name| replica.chassis_named(name));
        self.renamed &= named.is_none();
        let chassis = if self.renamed { self.chassis } else { named };
        let remapped = std::mem::take(&mut self.remapped);
        if chassis != self.chassis || remapped {
            self.chassis = chassis;
            gateways.extend(replica.gateway_names().map(Into::into));
            gateways.extend(self.resolved.keys().cloned());
        }
        let mut vnis = ledger_changed;
        for name in gateways {
            self.resolve(replica, &name, &mut vnis, &mut delta);
        }
        let mut workloads: HashSet<Uuid> = touched.workloads.iter().map(|(uuid, _)| *uuid).collect();
        for vni in vnis {
            for datapath in self.merge(vni, ledger, &mut delta) {
                workloads.extend(replica.workloads_of(datapath));
            }
        }
        for uuid in workloads {
            self.claim(replica, uuid, &mut delta);
        }
        delta
    }

    /// The tenant of a VNI.
    pub fn tenant(&self, vni: Vni) -> Option<&Tenant> {
        self.merged.get(&vni)?.tenant.as_ref()
    }

    /// All tenants, by VNI.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.merged.values().filter_map(|merged| merged.tenant.as_ref())
    }

    /// Whether a VM of this VNI has this address.
    pub fn wishes(&self, vni: Vni, address: IpAddr) -> bool {
        self.on_node.counts(&(vni, address))
    }

    /// All VM addresses.
    pub fn addresses(&self) -> impl Iterator<Item = (Vni, IpAddr)> {
        self.on_node.counting().copied()
    }

    /// The VM addresses of a VNI in order, from the first behind `after`.
    pub fn addresses_of(&self, vni: Vni, after: Option<IpAddr>) -> impl Iterator<Item = IpAddr> {
        let held = self.per_vni.get(&vni).into_iter();
        held.flat_map(move |held| held.counting_after(after))
            .copied()
            .filter(move |address| self.wishes(vni, *address))
    }

    /// What is beyond the limits.
    pub fn excesses(&self) -> impl Iterator<Item = Excess> {
        self.beyond.iter().map(|scope| Excess { scope: *scope, count: self.excess(*scope) })
    }

    fn excess(&self, scope: Scope) -> usize {
        match scope {
            Scope::Vni(vni) => self.per_vni.get(&vni).map_or(0, Limited::excess),
            Scope::Node => self.on_node.excess(),
            Scope::Plain => 0,
        }
    }

    /// All that is put aside, but for strays among the VMs (`strays`).
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let gateways = self.resolved.values().flat_map(|resolved| &resolved.problems);
        gateways.chain(self.merged.values().flat_map(|merged| &merged.problems))
    }

    /// Workload ports with addresses outside every subnet of their router.
    pub fn strays(&self) -> impl Iterator<Item = (Uuid, &[IpAddr])> {
        self.strays.iter().map(|(uuid, addresses)| (*uuid, &**addresses))
    }

    /// All that was looked at: what the Southbound is to be asked for.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.watchers.keys()
    }

    fn resolve(&mut self, replica: &Replica, name: &str, vnis: &mut BTreeSet<Vni>, delta: &mut Delta) {
        let new = match self.chassis {
            Some(chassis) => gateway::resolve(replica, name, chassis, &self.networks),
            None => gateway::Resolved::default(),
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
        let vni = |gateway: &Gateway| gateway.annotation.vni;
        if old.gateway != new.gateway {
            let (before, after) = (old.gateway.as_ref().map(vni), new.gateway.as_ref().map(vni));
            vnis.extend(before.into_iter().chain(after));
            if let Some(before) = before.filter(|_| before != after) {
                remove_from(&mut self.by_vni, &before, name);
            }
            if let Some(after) = after {
                self.by_vni.entry(after).or_default().insert(name.into());
            }
        }
        if old.ovn_vrf != new.ovn_vrf {
            vnis.extend(old.ovn_vrf.into_iter().chain(new.ovn_vrf));
            if let Some(before) = old.ovn_vrf {
                remove_from(&mut self.ovn_vrfs, &before, name);
            }
            if let Some(after) = new.ovn_vrf {
                self.ovn_vrfs.entry(after).or_default().insert(name.into());
            }
        }
        let says = new.gateway.is_some() || new.ovn_vrf.is_some() || !new.problems.is_empty();
        if says || !new.seen.is_empty() {
            self.resolved.insert(name.into(), new);
        }
    }

    /// Merges a VNI's gateways again; gives the datapaths whose exposure changed.
    fn merge(&mut self, vni: Vni, ledger: &Ledger, delta: &mut Delta) -> BTreeSet<Uuid> {
        let names = self.by_vni.get(&vni).into_iter().flatten();
        let gateways: Vec<&Gateway> =
            names.filter_map(|name| self.resolved.get(name)?.gateway.as_ref()).collect();
        let (tenant, problems) = match self.ovn_vrfs.get(&vni).and_then(BTreeSet::first) {
            Some(other) => (None, conflict::all_aside(vni, &gateways, &dynamic_routing::taken(vni, other))),
            None => conflict::merge(vni, &gateways, self.default_as, ledger.get(vni)),
        };
        let old = self.merged.remove(&vni).unwrap_or_default();
        let (before, after) = (exposed(old.tenant.as_ref()), exposed(tenant.as_ref()));
        for (datapath, prefix) in before.difference(&after) {
            remove_from(&mut self.exposures, datapath, &(vni, *prefix));
        }
        for (datapath, prefix) in after.difference(&before) {
            self.exposures.entry(*datapath).or_default().insert((vni, *prefix));
        }
        if old.tenant != tenant {
            delta.tenants.insert(vni);
        }
        if tenant.is_some() || !problems.is_empty() {
            self.merged.insert(vni, Merged { tenant, problems });
        }
        before.symmetric_difference(&after).map(|(datapath, _)| *datapath).collect()
    }

    fn claim(&mut self, replica: &Replica, uuid: Uuid, delta: &mut Delta) {
        let (claims, strays) = self.workload(replica, uuid);
        match strays.is_empty() {
            true => self.strays.remove(&uuid),
            false => self.strays.insert(uuid, strays.into()),
        };
        // What stays is claimed before it is let go, so that it never goes in between.
        for &claim in &claims {
            let ports = self.claims.entry(claim).or_default();
            *ports += 1;
            if *ports == 1 {
                self.claimed(claim, delta);
            }
        }
        let old = match claims.is_empty() {
            true => self.workloads.remove(&uuid),
            false => self.workloads.insert(uuid, claims.into()),
        };
        for claim in old.unwrap_or_default() {
            let Some(ports) = self.claims.get_mut(&claim) else { continue };
            *ports -= 1;
            if *ports == 0 {
                self.claims.remove(&claim);
                self.released(claim, delta);
            }
        }
    }

    fn claimed(&mut self, (vni, address): (Vni, IpAddr), delta: &mut Delta) {
        let limit = self.limits.per_vni;
        let shift = self.per_vni.entry(vni).or_insert_with(|| Limited::new(limit)).insert(address);
        self.shift(vni, shift, delta);
    }

    fn released(&mut self, (vni, address): (Vni, IpAddr), delta: &mut Delta) {
        let Some(held) = self.per_vni.get_mut(&vni) else { return };
        let shift = held.remove(address);
        if held.is_empty() {
            self.per_vni.remove(&vni);
        }
        self.shift(vni, shift, delta);
    }

    /// What a VNI's limit lets in and out goes on to the node's. All that is beyond a limit comes and goes here.
    fn shift(&mut self, vni: Vni, shift: Shift<IpAddr>, delta: &mut Delta) {
        if let Some(left) = shift.left {
            let Shift { entered, left } = self.on_node.remove((vni, left));
            delta.addresses.extend(entered.into_iter().chain(left));
        }
        if let Some(come) = shift.entered {
            let Shift { entered, left } = self.on_node.insert((vni, come));
            delta.addresses.extend(entered.into_iter().chain(left));
        }
        for scope in [Scope::Vni(vni), Scope::Node] {
            match self.excess(scope) {
                0 => self.beyond.remove(&scope),
                _ => self.beyond.insert(scope),
            };
        }
    }

    /// The claims of a workload port, and the addresses that are in no subnet.
    fn workload(&self, replica: &Replica, uuid: Uuid) -> (Vec<(Vni, IpAddr)>, Vec<IpAddr>) {
        let (mut claims, mut strays) = Default::default();
        let Some(row) = replica.get(&uuid).filter(|row| row.chassis.is_some()) else {
            return (claims, strays);
        };
        let Some(exposures) = self.exposures.get(&row.datapath) else {
            return (claims, strays);
        };
        for (_, address) in port::workload(row) {
            let inside = exposures.iter().filter(|(_, prefix)| prefix.contains(&address));
            let before = claims.len();
            claims.extend(inside.map(|(vni, _)| (*vni, address)));
            if claims.len() == before {
                strays.push(address);
            }
        }
        claims.sort_unstable();
        claims.dedup();
        (claims, strays)
    }
}

fn exposed(tenant: Option<&Tenant>) -> BTreeSet<(Uuid, Prefix)> {
    let subnets = tenant.into_iter().flat_map(|tenant| &tenant.subnets);
    subnets.map(|subnet| (subnet.datapath, subnet.prefix)).collect()
}
