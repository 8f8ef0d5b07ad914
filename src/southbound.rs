//! The replica of the Southbound rows that matter to this node, and what a changed row may touch.
//!
//! Pure: no I/O, no clock. Holds rows and indexes, decides nothing about them. Whoever computes from it names what it
//! looked at as `Subject`s; those same subjects are what the Southbound is asked for (conditional monitoring), so the
//! node holds what it looks at and no more.

mod balancers;
pub mod feed;
mod names;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use uuid::Uuid;

pub use balancers::Balancers;
use names::Names;

use crate::{northbound::Translations, ovsdb::tables::PortBinding};

/// Something that a computation looked at, whether it was there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The port of this name.
    Port(Box<str>),
    /// The router or peer ports (type `patch` and the like) of this datapath.
    Patches(Uuid),
    /// The localnet ports of this datapath.
    Localnets(Uuid),
    /// The ports of this datapath that stand for workloads (type empty or `virtual`).
    Workloads(Uuid),
    /// The ports that are bound to this chassis.
    OnChassis(Uuid),
    /// The ports with `nat_addresses`.
    Nat,
    /// The load balancers.
    Balancers,
    /// The datapath group of this uuid.
    Group(Uuid),
}

/// The sorts of Port_Binding that the agent tells apart (OVN's `type` column, lib/ovn-util.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A VM's port, or a `virtual` one.
    Workload,
    /// A router's port or its peer on a switch.
    Patch,
    /// A distributed router port's place on a chassis: cr-lrp.
    ChassisRedirect,
    /// The way out to a physical network.
    Localnet,
    /// Anything else.
    Other,
}

/// The sort of this row.
pub fn sort(row: &PortBinding) -> Sort {
    match &*row.kind {
        "" | "virtual" => Sort::Workload,
        "patch" | "l3gateway" => Sort::Patch,
        "chassisredirect" => Sort::ChassisRedirect,
        "localnet" => Sort::Localnet,
        _ => Sort::Other,
    }
}

/// What changed since it was last asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Subjects whose rows came, went or changed.
    pub subjects: HashSet<Subject>,
    /// Gateways (chassisredirect rows) that came, went or changed.
    pub gateways: BTreeSet<Box<str>>,
    /// Workload rows that came, went or changed, with the datapaths they are or were on.
    pub workloads: HashSet<(Uuid, Uuid)>,
    /// Load balancers that came, went or changed, or are attached elsewhere.
    pub balancers: BTreeSet<Uuid>,
    /// The node's chassis row came, went or changed.
    pub chassis: bool,
    /// The server gave everything anew: what is not there now may have gone for no reason.
    pub anew: bool,
}

impl Touched {
    /// Nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The rows and their indexes.
#[derive(Debug, Default)]
pub struct Replica {
    ports: HashMap<Uuid, PortBinding>,
    by_name: Names,
    patches: HashMap<Uuid, BTreeSet<Uuid>>,
    localnets: HashMap<Uuid, BTreeSet<Uuid>>,
    workloads: HashMap<Uuid, HashSet<Uuid>>,
    gateways: BTreeMap<Box<str>, Uuid>,
    chassis: HashMap<Uuid, Box<str>>,
    /// Ports whose rows cannot be read; what changes in them cannot be taken in either.
    aside: HashSet<Uuid>,
    /// Ports that are bound nowhere, and whose rows took the place of others that were bound, when everything was given anew.
    unclaimed: HashSet<Uuid>,
    balancers: Balancers,
    translations: Translations,
    touched: Touched,
}

impl Replica {
    /// A port came or changed: the row as it is now.
    pub fn put_port(&mut self, uuid: Uuid, row: PortBinding) {
        self.remove_port(uuid);
        self.index(uuid, &row);
        self.ports.insert(uuid, row);
        self.by_name.put(uuid, &self.ports);
    }

    /// A port's row cannot be read: it counts as not there, until it comes whole again.
    pub fn set_aside(&mut self, uuid: Uuid) {
        self.remove_port(uuid);
        self.aside.insert(uuid);
    }

    /// Whether a port's row could not be read.
    pub fn is_aside(&self, uuid: &Uuid) -> bool {
        self.aside.contains(uuid)
    }

    /// A port went.
    pub fn remove_port(&mut self, uuid: Uuid) -> Option<PortBinding> {
        self.aside.remove(&uuid);
        let row = self.ports.remove(&uuid)?;
        self.touch(uuid, &row);
        self.by_name.remove(&row.logical_port, uuid);
        match sort(&row) {
            Sort::Patch => {
                drop_from(&mut self.patches, row.datapath, |set| set.remove(&uuid), BTreeSet::is_empty)
            }
            Sort::Localnet => {
                drop_from(&mut self.localnets, row.datapath, |set| set.remove(&uuid), BTreeSet::is_empty)
            }
            Sort::Workload => {
                drop_from(&mut self.workloads, row.datapath, |set| set.remove(&uuid), HashSet::is_empty)
            }
            Sort::ChassisRedirect => {
                if self.gateways.get(&row.logical_port) == Some(&uuid) {
                    self.gateways.remove(&row.logical_port);
                }
            }
            Sort::Other => {}
        }
        Some(row)
    }

    fn index(&mut self, uuid: Uuid, row: &PortBinding) {
        self.touch(uuid, row);
        match sort(row) {
            Sort::Patch => drop(self.patches.entry(row.datapath).or_default().insert(uuid)),
            Sort::Localnet => drop(self.localnets.entry(row.datapath).or_default().insert(uuid)),
            Sort::Workload => drop(self.workloads.entry(row.datapath).or_default().insert(uuid)),
            Sort::ChassisRedirect => drop(self.gateways.insert(row.logical_port.clone(), uuid)),
            Sort::Other => {}
        }
    }

    fn touch(&mut self, uuid: Uuid, row: &PortBinding) {
        let touched = &mut self.touched;
        match sort(row) {
            Sort::Workload => drop(touched.workloads.insert((uuid, row.datapath))),
            Sort::ChassisRedirect => drop(touched.gateways.insert(row.logical_port.clone())),
            Sort::Patch => drop(touched.subjects.insert(Subject::Patches(row.datapath))),
            Sort::Localnet => drop(touched.subjects.insert(Subject::Localnets(row.datapath))),
            Sort::Other => {}
        }
        if sort(row) != Sort::Workload {
            touched.subjects.insert(Subject::Port(row.logical_port.clone()));
        }
    }

    /// The server gave everything anew: these rows and no others stand. Only what differs counts as touched.
    pub fn replace(&mut self, ports: HashMap<Uuid, PortBinding>, chassis: HashMap<Uuid, Box<str>>) {
        self.aside.clear();
        self.unclaimed = ports
            .iter()
            .filter(|(uuid, row)| self.was_bound_before(uuid, row))
            .map(|(uuid, _)| *uuid)
            .collect();
        let gone: Vec<Uuid> = self.ports.keys().filter(|uuid| !ports.contains_key(uuid)).copied().collect();
        for uuid in gone {
            self.remove_port(uuid);
        }
        for (uuid, row) in ports {
            if self.ports.get(&uuid) != Some(&row) {
                self.put_port(uuid, row);
            }
        }
        self.touched.chassis |= self.chassis != chassis;
        self.chassis = chassis;
        self.touched.anew = true;
    }

    /// Whether this new row is not bound and stands for one of another uuid that was: a database made anew is filled by
    /// northd first, and by who binds after.
    fn was_bound_before(&self, uuid: &Uuid, row: &PortBinding) -> bool {
        let before = self.by_name.get(&row.logical_port, &self.ports);
        let other = before.filter(|(before, _)| *before != uuid);
        row.chassis.is_none() && other.is_some_and(|(_, before)| before.chassis.is_some())
    }

    /// Whether a port's row was made anew when everything was given anew, and nobody had bound it yet.
    pub fn is_unclaimed(&self, name: &str) -> bool {
        self.by_name.get(name, &self.ports).is_some_and(|(uuid, _)| self.unclaimed.contains(uuid))
    }

    /// A chassis came or changed.
    pub fn put_chassis(&mut self, uuid: Uuid, name: Box<str>) {
        self.touched.chassis = true;
        self.chassis.insert(uuid, name);
    }

    /// A chassis went.
    pub fn remove_chassis(&mut self, uuid: Uuid) {
        self.touched.chassis |= self.chassis.remove(&uuid).is_some();
    }

    /// What changed since this was last called.
    pub fn take_touched(&mut self) -> Touched {
        let routers = self.translations.take_touched().into_iter().map(Subject::Port);
        self.touched.subjects.extend(routers);
        Touched { balancers: self.balancers.take_touched(), ..std::mem::take(&mut self.touched) }
    }

    /// What the Northbound tells of the routers: it is beside the rows, since it comes and goes with another session.
    pub fn translations(&self) -> &Translations {
        &self.translations
    }

    /// The same, to be brought up to date.
    pub fn translations_mut(&mut self) -> &mut Translations {
        &mut self.translations
    }

    /// The load balancers.
    pub fn balancers(&self) -> &Balancers {
        &self.balancers
    }

    /// The load balancers, to be changed.
    #[cfg(any(test, fuzzing))]
    pub fn balancers_mut(&mut self) -> &mut Balancers {
        &mut self.balancers
    }

    /// The row of this uuid.
    pub fn get(&self, uuid: &Uuid) -> Option<&PortBinding> {
        self.ports.get(uuid)
    }

    /// The port of this name.
    pub fn port(&self, name: &str) -> Option<&PortBinding> {
        self.by_name.get(name, &self.ports).map(|(_, row)| row)
    }

    /// All gateways' names, in order.
    pub fn gateway_names(&self) -> impl Iterator<Item = &str> {
        self.gateways.keys().map(|name| &**name)
    }

    /// The router and peer ports of a datapath.
    pub fn patches_of(&self, datapath: Uuid) -> impl Iterator<Item = &PortBinding> {
        self.rows(self.patches.get(&datapath).into_iter().flatten())
    }

    /// The localnet ports of a datapath.
    pub fn localnets_of(&self, datapath: Uuid) -> impl Iterator<Item = &PortBinding> {
        self.rows(self.localnets.get(&datapath).into_iter().flatten())
    }

    /// The uuids of the workload ports of a datapath.
    pub fn workloads_of(&self, datapath: Uuid) -> impl Iterator<Item = Uuid> + '_ {
        self.workloads.get(&datapath).into_iter().flatten().copied()
    }

    /// The chassis of this name.
    pub fn chassis_named(&self, name: &str) -> Option<Uuid> {
        self.chassis.iter().find(|(_, held)| ***held == *name).map(|(uuid, _)| *uuid)
    }

    /// The datapaths that have a localnet port: the provider networks.
    pub fn localnet_datapaths(&self) -> impl Iterator<Item = Uuid> {
        self.localnets.keys().copied()
    }

    /// All port rows.
    pub fn rows_by_uuid(&self) -> impl Iterator<Item = (&Uuid, &PortBinding)> {
        self.ports.iter()
    }

    /// How many port rows are held.
    pub fn len(&self) -> usize {
        self.ports.len()
    }

    /// Whether no port row is held.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    fn rows<'a>(&'a self, uuids: impl Iterator<Item = &'a Uuid>) -> impl Iterator<Item = &'a PortBinding> {
        uuids.filter_map(|uuid| self.ports.get(uuid))
    }
}

/// Takes an item off a set of a map, and the set with its last item; true where it was the last.
pub(crate) fn remove_from<K, T, Q>(map: &mut BTreeMap<K, BTreeSet<T>>, key: &K, item: &Q) -> bool
where
    K: Ord,
    T: Ord + Borrow<Q>,
    Q: Ord + ?Sized,
{
    let Some(set) = map.get_mut(key) else {
        return false;
    };
    set.remove(item);
    set.is_empty() && map.remove(key).is_some()
}

fn drop_from<S>(
    map: &mut HashMap<Uuid, S>,
    datapath: Uuid,
    remove: impl Fn(&mut S) -> bool,
    empty: impl Fn(&S) -> bool,
) {
    if let Some(set) = map.get_mut(&datapath) {
        remove(set);
        if empty(set) {
            map.remove(&datapath);
        }
    }
}
