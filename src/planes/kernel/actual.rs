//! What the kernel has, kept by ifindex so that it survives renames, and told by name.
//!
//! Owns the mirror: events go in, and `flush` says what became of each object they touched. Since every change is told
//! as the object's state at that moment, a burst of events about one object is one change, and no passing state is seen.
//!
//! The kernel is silent about some ends: IPv4 routes of a link that goes down, away, into or out of a VRF, or loses its
//! last IPv4 address (`fib_disable_ip` in net/ipv4/fib_frontend.c, `fib_flush` sends nothing). The tables concerned are
//! noted in `stale`; they are to be read again before `flush`.

mod rules;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use self::rules::Rules;
use super::{
    decode::{Event, Hop, Ipv4Settings, LinkFacts, LocalRoute, RouteKey},
    object::*,
};
use crate::{
    model::{IfName, MacAddr, Prefix},
    planes::Change,
};

/// The mirror.
#[derive(Debug, Default)]
pub struct Actual {
    devices: HashMap<u32, Device>,
    names: HashMap<IfName, u32>,
    /// By table, since tables are read again one by one.
    tables: HashMap<u32, HashMap<(Prefix, u32), Hop>>,
    stale: BTreeSet<u32>,
    /// Neighbours on bridges of ours: those of others that are there, and those that were and are not.
    passing: BTreeSet<(u32, IpAddr)>,
    lost: BTreeSet<(u32, IpAddr)>,
    rules: Rules,
    touched: Vec<KernelKey>,
    noted: HashSet<KernelKey>,
}

/// What hangs on one ifindex. The link itself may be unknown for a moment: dumps and notifications overlap.
#[derive(Debug, Default)]
struct Device {
    link: Option<LinkFacts>,
    addresses: HashSet<(IpAddr, u8)>,
    /// With whether they are marked as ours.
    neighbours: HashMap<IpAddr, (MacAddr, bool)>,
    locals: HashSet<LocalRoute>,
    /// Routes to the prefixes of IPv6 host addresses.
    prefix_routes: HashSet<LocalRoute>,
    /// By table, how many routes of ours lead here.
    routes: HashMap<u32, usize>,
    /// Links that have this one as their master or as their other end.
    followers: HashSet<u32>,
}

impl Actual {
    /// The mirror to be filled anew. What is lost is in no dump: who was there counts as lost until he is found.
    pub fn fresh(&self) -> Self {
        Self { lost: self.lost.union(&self.passing).copied().collect(), ..Self::default() }
    }

    /// Everything was read: neighbours of bridges that have gone are missed by nobody.
    pub fn settle(&mut self) {
        let mut lost = std::mem::take(&mut self.lost);
        lost.retain(|(index, _)| self.is_our_bridge(*index));
        self.lost = lost;
    }

    /// The index of the link of this name, and the link.
    pub fn link(&self, name: IfName) -> Option<(u32, Link)> {
        let index = *self.names.get(&name)?;
        Some((index, self.link_of(index)?))
    }

    /// The index of the link of this name.
    pub fn index(&self, name: IfName) -> Option<u32> {
        self.names.get(&name).copied()
    }

    /// Whether a link has this index.
    pub fn has_index(&self, index: u32) -> bool {
        self.devices.contains_key(&index)
    }

    /// Where the route of our protocol leads, if it is there.
    pub fn hop(&self, (table, prefix, metric): RouteKey) -> Option<Hop> {
        self.tables.get(&table)?.get(&(prefix, metric)).copied()
    }

    /// The Ethernet address of a permanent neighbour.
    pub fn neighbour(&self, index: u32, ip: IpAddr) -> Option<MacAddr> {
        self.devices.get(&index)?.neighbours.get(&ip).map(|(mac, _)| *mac)
    }

    /// The neighbours on bridges of ours that were there once and are not: which link and address.
    pub fn lost_neighbours(&self) -> &BTreeSet<(u32, IpAddr)> {
        &self.lost
    }

    /// A neighbour that is lost is missed by nobody.
    pub fn forget_neighbour(&mut self, neighbour: (u32, IpAddr)) {
        self.lost.remove(&neighbour);
    }

    /// The name of the link of this index, and the table of the VRF that it is in.
    pub fn place(&self, index: u32) -> Option<(IfName, u32)> {
        Some((self.facts(index)?.name, self.vrf_table(index)?))
    }

    /// Rules of others that do the same as this one: priority and protocol.
    pub fn rule_twins(&self, rule: &Rule) -> impl Iterator<Item = (u32, u8)> {
        self.rules.twins(rule)
    }

    /// The links in the same VRF as this one that have this host address: index and name.
    pub fn holders(&self, index: u32, ip: IpAddr) -> Vec<(u32, IfName)> {
        let master = self.facts(index).and_then(|facts| facts.master);
        let siblings = master.and_then(|master| self.devices.get(&master)).map(|device| &device.followers);
        let length = if ip.is_ipv4() { 32 } else { 128 };
        let has_it = |sibling: &&u32| {
            self.devices.get(sibling).is_some_and(|device| device.addresses.contains(&(ip, length)))
        };
        let named = |sibling: &u32| Some((*sibling, self.facts(*sibling)?.name));
        siblings.into_iter().flatten().filter(has_it).filter_map(named).collect()
    }

    /// Where a route leads, by name; None where its link is not there.
    pub fn next_hop(&self, hop: Hop) -> Option<NextHop> {
        Some(match hop {
            Hop::Link(index) => NextHop::Link(self.facts(index)?.name),
            Hop::Via(gateway, index) => NextHop::Via(gateway, self.facts(index)?.name),
            Hop::Unreachable => NextHop::Unreachable,
            Hop::Other => NextHop::Other,
        })
    }

    /// Takes in what a notification told.
    ///
    /// Routes of our protocol are ours alone, and what we do to them ourselves is not heard: when one is told of, someone
    /// else had a hand in it, perhaps at the same moment as we, so the table is read again instead.
    pub fn hear(&mut self, event: Event) {
        match event {
            Event::Route((table, ..), ..) => _ = self.stale.insert(table),
            Event::RouteGone(key) if self.hop(key).is_some() => _ = self.stale.insert(key.0),
            Event::RouteGone(_) => {}
            event => self.apply(event),
        }
    }

    /// Whether there are tables to be read again.
    pub fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Takes in what is so: a part of a dump, or what the kernel acknowledged.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Link(index, facts) => self.put_link(index, *facts),
            Event::LinkGone(index) => self.drop_device(index),
            Event::Ipv4(index, settings) => self.set_ipv4(index, settings),
            Event::Address(index, ip, length) => {
                self.devices.entry(index).or_default().addresses.insert((ip, length));
                self.touch_address(index, ip, length);
            }
            Event::AddressGone(index, ip, length) => self.drop_address(index, ip, length),
            Event::Route(key, hop, _) => self.put_route(key, hop),
            Event::RouteGone(key) => self.drop_route(key),
            Event::Local(index, route) => {
                self.devices.entry(index).or_default().locals.insert(route);
                self.touch_host(index, route.1);
            }
            Event::LocalGone(index, route) => {
                if self.devices.get_mut(&index).is_some_and(|device| device.locals.remove(&route)) {
                    self.touch_host(index, route.1);
                }
            }
            Event::PrefixRoute(index, route) => {
                self.devices.entry(index).or_default().prefix_routes.insert(route);
                self.touch_host(index, route.1);
            }
            Event::PrefixRouteGone(index, route) => {
                if self.devices.get_mut(&index).is_some_and(|device| device.prefix_routes.remove(&route)) {
                    self.touch_host(index, route.1);
                }
            }
            Event::Neighbour(index, ip, mac, marked) => {
                self.lost.remove(&(index, ip));
                self.devices.entry(index).or_default().neighbours.insert(ip, (mac, marked));
                self.touch_neighbour(index, ip);
            }
            Event::NeighbourPassing(index, ip) => {
                self.lost.remove(&(index, ip));
                if !ip.is_multicast() && self.is_our_bridge(index) {
                    self.passing.insert((index, ip));
                }
                self.drop_neighbour(index, ip);
            }
            Event::NeighbourGone(index, ip) => {
                self.passing.remove(&(index, ip));
                if !ip.is_multicast() && self.is_our_bridge(index) {
                    self.lost.insert((index, ip));
                }
                self.drop_neighbour(index, ip);
            }
            Event::Rule(rule, protocol) => {
                self.rules.put(&rule, protocol);
                self.touch(KernelObject::Rule(rule).key());
            }
            Event::RuleGone(rule, protocol) => {
                self.rules.remove(&rule, protocol);
                self.touch(KernelObject::Rule(rule).key());
            }
        }
    }

    /// The tables that have to be read again; they are not stale any more after this.
    pub fn take_stale(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.stale)
    }

    /// Puts what was read of one table (our routes and the kernel's to addresses) in place of what was known of it.
    pub fn replace_table(&mut self, table: u32, read: Vec<Event>) {
        let known: Vec<_> = self.tables.get(&table).into_iter().flatten().map(|(key, _)| *key).collect();
        for (prefix, metric) in known {
            self.drop_route((table, prefix, metric));
        }
        let mut locals = Vec::new();
        for (index, device) in &mut self.devices {
            locals.extend(device.locals.extract_if(|local| local.0 == table).map(|local| (*index, local.1)));
            let prefixes = device.prefix_routes.extract_if(|route| route.0 == table);
            locals.extend(prefixes.map(|route| (*index, route.1)));
        }
        for (index, ip) in locals {
            self.touch_host(index, ip);
        }
        for event in read {
            self.apply(event);
        }
    }

    /// What became of everything touched since the last time, in the order in which it was touched first.
    pub fn flush(&mut self) -> Vec<Change<KernelObject, KernelKey>> {
        self.noted.clear();
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().map(|key| self.object(key).map_or(Change::Absent(key), Change::Present)).collect()
    }

    /// Everything. What was touched so far counts as told by it.
    pub fn whole(&mut self) -> Vec<KernelObject> {
        self.noted.clear();
        self.touched.clear();
        let links = self.names.values().filter_map(|index| self.link_of(*index)).map(KernelObject::Link);
        let mut objects: Vec<_> = links.collect();
        for (index, device) in &self.devices {
            let Some(dev) = self.facts(*index).map(|facts| facts.name) else { continue };
            let addresses =
                device.addresses.iter().map(|&(ip, length)| self.address_of(*index, dev, ip, length));
            objects.extend(addresses.map(KernelObject::Address));
            let neighbours = device.neighbours.iter();
            let neighbours = neighbours.map(|(&ip, &(mac, marked))| Neighbour { dev, ip, mac, marked });
            objects.extend(neighbours.map(KernelObject::Neighbour));
        }
        for (&table, routes) in &self.tables {
            let routes = routes.iter().filter_map(|(&(prefix, metric), hop)| {
                Some(Route { table, prefix, metric, next_hop: self.next_hop(*hop)? })
            });
            objects.extend(routes.map(KernelObject::Route));
        }
        objects.extend(self.rules.ours().map(KernelObject::Rule));
        objects
    }

    fn is_our_bridge(&self, index: u32) -> bool {
        self.facts(index).is_some_and(|facts| facts.owner.is_some() && facts.kind == LinkKind::Bridge)
    }

    fn facts(&self, index: u32) -> Option<&LinkFacts> {
        self.devices.get(&index)?.link.as_ref()
    }

    fn object(&self, key: KernelKey) -> Option<KernelObject> {
        match key {
            KernelKey::Link(name) => self.link(name).map(|(_, link)| KernelObject::Link(link)),
            KernelKey::Address(dev, ip, length) => {
                let index = self.index(dev)?;
                self.devices.get(&index)?.addresses.get(&(ip, length))?;
                Some(KernelObject::Address(self.address_of(index, dev, ip, length)))
            }
            KernelKey::Route(table, prefix, metric) => {
                let hop = self.hop((table, prefix, metric))?;
                Some(KernelObject::Route(Route { table, prefix, metric, next_hop: self.next_hop(hop)? }))
            }
            KernelKey::Neighbour(dev, ip) => {
                let (mac, marked) = *self.devices.get(&self.index(dev)?)?.neighbours.get(&ip)?;
                Some(KernelObject::Neighbour(Neighbour { dev, ip, mac, marked }))
            }
            KernelKey::Rule(to, table, priority) => {
                let rule = Rule { to, table, priority };
                self.rules.has_ours(&rule).then_some(KernelObject::Rule(rule))
            }
        }
    }

    fn link_of(&self, index: u32) -> Option<Link> {
        let facts = self.facts(index)?;
        let name_of = |index| self.facts(index).map(|facts| facts.name);
        let kind = match &facts.kind {
            LinkKind::Veth { .. } if facts.elsewhere => LinkKind::Veth { peer: Some(facts.name) },
            LinkKind::Veth { .. } => LinkKind::Veth { peer: facts.peer.and_then(name_of) },
            LinkKind::Vlan { tag, .. } => LinkKind::Vlan { of: facts.peer.and_then(name_of), tag: *tag },
            other => other.clone(),
        };
        Some(Link {
            name: facts.name,
            kind,
            master: facts.master.and_then(name_of),
            up: facts.up,
            mtu: Some(facts.mtu),
            owner: facts.owner,
            settings: facts.settings,
            mac: facts.mac,
        })
    }

    /// The kernel's routes to an address count on dummies in a VRF only: there they swallow traffic, elsewhere they are as
    /// they should be.
    fn address_of(&self, index: u32, dev: IfName, ip: IpAddr, length: u8) -> Address {
        let dummy = self.facts(index).is_some_and(|facts| facts.kind == LinkKind::Dummy);
        let table = if dummy { self.vrf_table(index) } else { None };
        let device = self.devices.get(&index);
        let local_route = table.zip(device).is_some_and(|(table, device)| {
            device.locals.contains(&(table, ip)) || device.prefix_routes.contains(&(table, ip))
        });
        Address { dev, ip, length, local_route }
    }

    fn vrf_table(&self, index: u32) -> Option<u32> {
        let master = self.facts(index)?.master?;
        match self.facts(master)?.kind {
            LinkKind::Vrf { table } => Some(table),
            _ => None,
        }
    }

    fn set_ipv4(&mut self, index: u32, told: Ipv4Settings) {
        let Some(mut facts) = self.devices.get(&index).and_then(|device| device.link.clone()) else {
            return;
        };
        let settings = &mut facts.settings;
        settings.ipv4_forwarding = told.forwarding.unwrap_or(settings.ipv4_forwarding);
        settings.no_rp_filter = told.no_rp_filter.unwrap_or(settings.no_rp_filter);
        self.put_link(index, facts);
    }

    fn put_link(&mut self, index: u32, facts: LinkFacts) {
        let old = self.devices.entry(index).or_default().link.clone();
        if old.as_ref() == Some(&facts) {
            return;
        }
        if let Some(other) = self.names.get(&facts.name).copied().filter(|other| *other != index) {
            self.lose_name(other);
        }
        let moved = old.as_ref().is_some_and(|old| old.master != facts.master);
        if moved || old.as_ref().is_some_and(|old| old.up && !facts.up) {
            self.mark_stale(index);
        }
        self.follow(index, old.as_ref(), Some(&facts));
        // A VLAN names its lower link so, too, which may be one end of a pair.
        let is_end = matches!(facts.kind, LinkKind::Veth { .. });
        let (name, peer) = (facts.name, facts.peer.filter(|_| is_end));
        self.devices.entry(index).or_default().link = Some(facts);
        match old.map(|old| old.name) {
            Some(old) if old == name => self.touch(KernelKey::Link(name)),
            old => self.rename(index, old, name),
        }
        if moved {
            self.touch_addresses(index);
        }
        if let Some(peer) = peer {
            self.join(index, peer);
        }
    }

    /// Another link has this one's name now. The kernel has each name once, so this one has another, which is yet to be
    /// told; until then nothing of it can be named.
    fn lose_name(&mut self, index: u32) {
        let Some(old) = self.devices.get_mut(&index).and_then(|device| device.link.take()) else { return };
        self.follow(index, Some(&old), None);
        self.touch_all(index, old.name);
        self.names.remove(&old.name);
    }

    fn follow(&mut self, index: u32, old: Option<&LinkFacts>, new: Option<&LinkFacts>) {
        for leader in old.into_iter().flat_map(LinkFacts::leaders) {
            if let Some(leader) = self.devices.get_mut(&leader) {
                leader.followers.remove(&index);
            }
        }
        for leader in new.into_iter().flat_map(LinkFacts::leaders) {
            self.devices.entry(leader).or_default().followers.insert(index);
        }
    }

    /// The first end of a veth pair is told before it has another end, and not told again: it learns of it here.
    fn join(&mut self, index: u32, peer: u32) {
        let other = self.devices.get_mut(&peer).and_then(|device| device.link.as_mut());
        let Some(other) = other.filter(|other| other.kind == LinkKind::Veth { peer: None }) else { return };
        if other.peer.replace(index) != Some(index) {
            let name = other.name;
            self.devices.entry(index).or_default().followers.insert(peer);
            self.touch(KernelKey::Link(name));
        }
    }

    fn rename(&mut self, index: u32, old: Option<IfName>, name: IfName) {
        if let Some(old) = old {
            self.touch_all(index, old);
            // Another link may have taken the name in the meantime: two links that swap names.
            if self.names.get(&old) == Some(&index) {
                self.names.remove(&old);
            }
        }
        self.names.insert(name, index);
        self.touch_all(index, name);
    }

    fn drop_device(&mut self, index: u32) {
        self.mark_stale(index);
        self.lost.retain(|(of, _)| *of != index);
        self.passing.retain(|(of, _)| *of != index);
        let Some(old) = self.devices.get_mut(&index).and_then(|device| device.link.take()) else {
            self.devices.remove(&index);
            return;
        };
        self.follow(index, Some(&old), None);
        self.touch_all(index, old.name);
        if self.names.get(&old.name) == Some(&index) {
            self.names.remove(&old.name);
        }
        self.devices.remove(&index);
    }

    /// Notes the link as `name`, all that hangs on it, and all that names it.
    fn touch_all(&mut self, index: u32, name: IfName) {
        self.touch(KernelKey::Link(name));
        let Some(device) = self.devices.get(&index) else { return };
        let links = device.followers.iter().filter_map(|follower| self.facts(*follower));
        let mut keys: Vec<_> = links.map(|facts| KernelKey::Link(facts.name)).collect();
        keys.extend(device.addresses.iter().map(|&(ip, length)| KernelKey::Address(name, ip, length)));
        keys.extend(device.neighbours.keys().map(|ip| KernelKey::Neighbour(name, *ip)));
        for table in device.routes.keys() {
            let routes = self.tables.get(table).into_iter().flatten();
            let here = routes.filter(|(_, hop)| hop.index() == Some(index));
            keys.extend(here.map(|(&(prefix, metric), _)| KernelKey::Route(*table, prefix, metric)));
        }
        for key in keys {
            self.touch(key);
        }
    }

    fn touch(&mut self, key: KernelKey) {
        if self.noted.insert(key) {
            self.touched.push(key);
        }
    }

    fn touch_address(&mut self, index: u32, ip: IpAddr, length: u8) {
        if let Some(dev) = self.facts(index).map(|facts| facts.name) {
            self.touch(KernelKey::Address(dev, ip, length));
        }
    }

    fn touch_host(&mut self, index: u32, ip: IpAddr) {
        let length = Prefix::from(ip).prefix_len();
        if self.devices.get(&index).is_some_and(|device| device.addresses.contains(&(ip, length))) {
            self.touch_address(index, ip, length);
        }
    }

    fn touch_addresses(&mut self, index: u32) {
        let addresses: Vec<_> =
            self.devices.get(&index).into_iter().flat_map(|d| &d.addresses).copied().collect();
        for (ip, length) in addresses {
            self.touch_address(index, ip, length);
        }
    }

    fn touch_neighbour(&mut self, index: u32, ip: IpAddr) {
        if let Some(dev) = self.facts(index).map(|facts| facts.name) {
            self.touch(KernelKey::Neighbour(dev, ip));
        }
    }

    fn drop_neighbour(&mut self, index: u32, ip: IpAddr) {
        if self.devices.get_mut(&index).is_some_and(|device| device.neighbours.remove(&ip).is_some()) {
            self.touch_neighbour(index, ip);
        }
    }

    fn drop_address(&mut self, index: u32, ip: IpAddr, length: u8) {
        let Some(device) = self.devices.get_mut(&index) else { return };
        if !device.addresses.remove(&(ip, length)) {
            return;
        }
        if ip.is_ipv4() && !device.routes.is_empty() && !device.addresses.iter().any(|(ip, _)| ip.is_ipv4()) {
            self.stale.extend(device.routes.keys());
        }
        self.touch_address(index, ip, length);
    }

    fn put_route(&mut self, key: RouteKey, hop: Hop) {
        let (table, prefix, metric) = key;
        let old = self.tables.entry(table).or_default().insert((prefix, metric), hop);
        self.uncount(table, old);
        if let Some(index) = hop.index() {
            *self.devices.entry(index).or_default().routes.entry(table).or_default() += 1;
        }
        self.touch(KernelKey::Route(table, prefix, metric));
    }

    fn drop_route(&mut self, (table, prefix, metric): RouteKey) {
        let Some(routes) = self.tables.get_mut(&table) else { return };
        let Some(old) = routes.remove(&(prefix, metric)) else { return };
        if routes.is_empty() {
            self.tables.remove(&table);
        }
        self.uncount(table, Some(old));
        self.touch(KernelKey::Route(table, prefix, metric));
    }

    fn uncount(&mut self, table: u32, hop: Option<Hop>) {
        let Some(device) = hop.and_then(Hop::index).and_then(|index| self.devices.get_mut(&index)) else {
            return;
        };
        if let Some(count) = device.routes.get_mut(&table) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                device.routes.remove(&table);
            }
        }
    }

    fn mark_stale(&mut self, index: u32) {
        let Some(device) = self.devices.get(&index) else { return };
        self.stale.extend(device.routes.keys());
        self.stale.extend(device.locals.iter().chain(&device.prefix_routes).map(|route| route.0));
    }
}

impl LinkFacts {
    /// The links whose names this one's description holds.
    fn leaders(&self) -> impl Iterator<Item = u32> {
        self.master.into_iter().chain(self.peer)
    }
}

impl Hop {
    /// The link that it leads to.
    pub fn index(self) -> Option<u32> {
        match self {
            Self::Link(index) | Self::Via(_, index) => Some(index),
            Self::Unreachable | Self::Other => None,
        }
    }
}
