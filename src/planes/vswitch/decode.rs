//! The rows of the local Open_vSwitch database as objects, and what an update changes about them. What it costs depends on
//! the rows that changed, not on how many there are. It sends nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::object::{OvsBridge, OvsPort, OvsSettings, PortName, VswitchKey, VswitchObject};
use crate::{
    model::{OfPort, Vni},
    ovsdb::{
        row::{RawChange, Replica, ReplicaError, Row},
        tables::{Bridge, Interface, OpenVSwitch, Port},
        updates::Updates,
    },
    planes::Change,
};

/// The key of `external_ids` that marks a port as ours; its value is the VNI.
pub const MARK: &str = "bgp-agent";

/// The key of `external_ids` by which ovn-controller names the localnet port that a patch port stands for.
const LOCALNET: &str = "ovn-localnet-port";

/// The database as it is, and the objects that it was shown as.
#[derive(Debug, Default)]
pub struct View {
    switches: Replica<OpenVSwitch>,
    bridges: Replica<Bridge>,
    ports: Replica<Port>,
    interfaces: Replica<Interface>,
    bridge_of_port: HashMap<Uuid, Uuid>,
    port_of_interface: HashMap<Uuid, Uuid>,
    row_of_port: HashMap<PortName, Uuid>,
    shown: HashMap<Shown, VswitchObject>,
}

/// The row that an object was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Shown {
    Settings,
    Bridge(Uuid),
    Port(Uuid),
}

/// The database changed what it never told: it must be read anew.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Inconsistent(ReplicaError);

impl View {
    /// Takes an update over; gives what changed about the objects. A row that cannot be read is logged and left out.
    pub fn take(
        &mut self,
        updates: &Updates,
    ) -> Result<Vec<Change<VswitchObject, VswitchKey>>, Inconsistent> {
        if updates.reload() {
            *self = Self::default();
        }
        let mut dirty = BTreeSet::new();
        for change in updates.iter() {
            match self.take_row(&change, &mut dirty) {
                Ok(()) => {}
                Err(ReplicaError::Row(error)) => tracing::warn!("Open_vSwitch: {error}"),
                Err(unknown) => return Err(Inconsistent(unknown)),
            }
        }
        if updates.reload() {
            dirty.insert(Shown::Settings);
        }
        Ok(self.show(dirty))
    }

    /// All objects.
    pub fn objects(&self) -> Vec<VswitchObject> {
        self.shown.values().cloned().collect()
    }

    /// A port and its row.
    pub fn port(&self, name: &PortName) -> Option<(Uuid, &OvsPort)> {
        let row = *self.row_of_port.get(name)?;
        match self.shown.get(&Shown::Port(row))? {
            VswitchObject::Port(port) => Some((row, port)),
            _ => None,
        }
    }

    /// How many interfaces this port row has: more than one makes a bond.
    pub fn interfaces(&self, port: &Uuid) -> usize {
        self.ports.get(port).map_or(0, |port| port.interfaces.len())
    }

    fn take_row(&mut self, change: &RawChange<'_>, dirty: &mut BTreeSet<Shown>) -> Result<(), ReplicaError> {
        let uuid = change.uuid;
        match change.table {
            OpenVSwitch::TABLE => {
                self.switches.apply(change)?;
                dirty.insert(Shown::Settings);
            }
            Bridge::TABLE => {
                let before = self.bridges.apply(change)?;
                let now = self.bridges.get(&uuid);
                let (before, now) = (before.as_ref().map(|row| &*row.ports), now.map(|row| &*row.ports));
                let changed = relink(&mut self.bridge_of_port, uuid, before, now);
                dirty.insert(Shown::Bridge(uuid));
                dirty.extend(changed.into_iter().map(Shown::Port));
            }
            Port::TABLE => {
                let before = self.ports.apply(change)?;
                self.index_port(uuid, before);
                dirty.insert(Shown::Port(uuid));
            }
            Interface::TABLE => {
                self.interfaces.apply(change)?;
                // The link may come later in the same update, but then the port is dirty by itself.
                dirty.extend(self.port_of_interface.get(&uuid).copied().map(Shown::Port));
            }
            _ => {}
        }
        Ok(())
    }

    fn index_port(&mut self, uuid: Uuid, before: Option<Port>) {
        let now = self.ports.get(&uuid);
        let interfaces = now.map(|row| &*row.interfaces);
        relink(&mut self.port_of_interface, uuid, before.as_ref().map(|row| &*row.interfaces), interfaces);
        if let Some(before) = before.map(|row| PortName::new(&row.name))
            && self.row_of_port.get(&before) == Some(&uuid)
        {
            self.row_of_port.remove(&before);
        }
        if let Some(now) = now {
            self.row_of_port.insert(PortName::new(&now.name), uuid);
        }
    }

    /// Makes the objects of these rows anew.
    fn show(&mut self, dirty: BTreeSet<Shown>) -> Vec<Change<VswitchObject, VswitchKey>> {
        let mut gone = BTreeSet::new();
        let mut present = BTreeMap::new();
        for row in dirty {
            let now = self.object(row);
            let before = self.shown.get(&row);
            if before == now.as_ref() {
                continue;
            }
            gone.extend(before.map(VswitchObject::key));
            match now {
                Some(object) => {
                    present.insert(object.key(), object.clone());
                    self.shown.insert(row, object);
                }
                None => drop(self.shown.remove(&row)),
            }
        }
        // A name may have gone with one row and come back with another.
        let gone = gone.into_iter().filter(|key| !present.contains_key(key));
        let mut changes: Vec<_> = gone.map(Change::Absent).collect();
        changes.extend(present.into_values().map(Change::Present));
        changes
    }

    fn object(&self, row: Shown) -> Option<VswitchObject> {
        match row {
            Shown::Settings => Some(VswitchObject::Settings(self.settings())),
            Shown::Bridge(uuid) => self.bridge(&uuid).map(VswitchObject::Bridge),
            Shown::Port(uuid) => self.ovs_port(&uuid).map(VswitchObject::Port),
        }
    }

    fn settings(&self) -> OvsSettings {
        let Some((_, switch)) = self.switches.iter().next() else { return OvsSettings::default() };
        let value = |key| switch.external_ids.get(key).map(Into::into);
        OvsSettings {
            system_id: value("system-id"),
            ovn_remote: value("ovn-remote"),
            ovn_remote_probe_interval: value("ovn-remote-probe-interval"),
            bridge_mappings: value("ovn-bridge-mappings"),
            encap_ip: value("ovn-encap-ip"),
            integration_bridge: value("ovn-bridge"),
        }
    }

    fn bridge(&self, uuid: &Uuid) -> Option<OvsBridge> {
        let row = self.bridges.get(uuid)?;
        Some(OvsBridge { name: row.name.parse().ok()?, datapath_type: row.datapath_type.clone() })
    }

    fn ovs_port(&self, uuid: &Uuid) -> Option<OvsPort> {
        let row = self.ports.get(uuid)?;
        let bridge = self.bridges.get(self.bridge_of_port.get(uuid)?)?;
        let interface = match &*row.interfaces {
            [one] => self.interfaces.get(one),
            _ => None,
        };
        let kind = interface.map_or("", |interface| &*interface.kind);
        Some(OvsPort {
            bridge: bridge.name.parse().ok()?,
            name: PortName::new(&row.name),
            internal: kind == "internal",
            tag: row.tag,
            owner: row.external_ids.get(MARK).and_then(|vni| vni.parse::<Vni>().ok()),
            localnet: row.external_ids.get(LOCALNET).map(Into::into),
            patch: kind == "patch",
            ofport: interface.and_then(|interface| interface.ofport).and_then(of_port),
            error: interface.and_then(trouble),
        })
    }
}

/// The database has port numbers of 16 bits, where 65534 is the bridge's own port; OpenFlow since 1.1 has the reserved ones
/// at the end of 32 bits (`ofputil_port_to_ofp11` and OFPP11_OFFSET in OVS).
fn of_port(number: i64) -> Option<OfPort> {
    let number = u16::try_from(number).ok()?;
    let reserved = if number >= 0xff00 { 0xffff_0000 } else { 0 };
    Some(OfPort(reserved | u32::from(number)))
}

/// Why an interface does not work: ovs-vswitchd says it in `error`, older ones only by the number -1.
fn trouble(interface: &Interface) -> Option<Box<str>> {
    let silent = || (interface.ofport == Some(-1)).then(|| "ovs-vswitchd could not open the device".into());
    interface.error.clone().or_else(silent)
}

/// Keeps an index from members to their owner; gives the members that came or went. Both lists are sorted.
fn relink(
    owner_of: &mut HashMap<Uuid, Uuid>,
    owner: Uuid,
    before: Option<&[Uuid]>,
    now: Option<&[Uuid]>,
) -> Vec<Uuid> {
    let (before, now) = (before.unwrap_or_default(), now.unwrap_or_default());
    let gone: Vec<Uuid> =
        before.iter().filter(|member| now.binary_search(member).is_err()).copied().collect();
    let new: Vec<Uuid> = now.iter().filter(|member| before.binary_search(member).is_err()).copied().collect();
    for member in &gone {
        // Another owner may have taken it over earlier in the same update.
        if owner_of.get(member) == Some(&owner) {
            owner_of.remove(member);
        }
    }
    owner_of.extend(new.iter().map(|member| (*member, owner)));
    gone.into_iter().chain(new).collect()
}
