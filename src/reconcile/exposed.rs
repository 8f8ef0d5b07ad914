//! What attracts traffic: an address that BGP takes from the kernel, in one of two shapes. On a VNI's dummy (`expose =
//! dummy`), or as a host route in the VRF's table by the router's gateway (`expose = routes`), which the kernel takes in
//! constant time however many there are. A VRF that is itself a port of the bridge has no device for such routes, and
//! keeps its dummy. Which shape it is depends on the tenant and the configuration alone, never on facts that may be unknown
//! for a while.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    Reconciler,
    core::Core,
    frame,
    object::{Key, Object},
};
use crate::{
    config::{Attach, Config, Expose},
    intent::{Tenant, names, same_family},
    model::{IfName, Prefix, Vni},
    planes::kernel::object::{Address, EXPOSING_METRIC, KernelKey, KernelObject, NextHop, Route},
};

/// The address by which an object attracts traffic; None: it does not.
pub fn attracts(object: &Object) -> Option<IpAddr> {
    match object {
        Object::Kernel(object) => attracting(&object.key()),
        _ => None,
    }
}

/// The address that an object attracts traffic for as a host; None: it does not, or attracts that of a whole subnet.
pub fn host(object: &Object) -> Option<IpAddr> {
    let is_subnet = matches!(object, Object::Kernel(KernelObject::Address(address))
        if *address != Address::host(address.dev, address.ip));
    attracts(object).filter(|_| !is_subnet)
}

/// As [`attracts`], by the key alone.
pub fn attracting(key: &KernelKey) -> Option<IpAddr> {
    match key {
        KernelKey::Address(_, ip, _) => Some(*ip),
        KernelKey::Route(_, prefix, EXPOSING_METRIC) => Some(prefix.addr()),
        _ => None,
    }
}

impl Core {
    /// The address that attracts traffic by this key, with the VRF that it does so in.
    pub(super) fn attracted(&self, key: &KernelKey) -> Option<(IfName, IpAddr)> {
        let ip = attracting(key)?;
        let vrf = match *key {
            KernelKey::Address(dev, ..) => self.master_of(dev)?,
            KernelKey::Route(table, ..) => names::vrf(Vni::new(table)?),
            _ => return None,
        };
        Some((vrf, ip))
    }

    fn master_of(&self, dev: IfName) -> Option<IfName> {
        match self.actual(&KernelKey::Link(dev).into()) {
            Some(Object::Kernel(KernelObject::Link(link))) => link.master,
            _ => None,
        }
    }
}

impl Reconciler {
    /// The object by which an address of a VNI, or of the BGP mode, attracts traffic.
    pub(super) fn exposed_of(&self, vni: Option<Vni>, ip: IpAddr) -> Object {
        match vni {
            Some(vni) => self.exposed(vni, ip),
            None => KernelObject::Address(Address::host(self.config.underlay.nic, ip)).into(),
        }
    }

    /// That of a VNI.
    pub(super) fn exposed(&self, vni: Vni, ip: IpAddr) -> Object {
        self.ways_of(vni).object(vni, ip)
    }

    /// The routes by which a VNI's addresses are exposed.
    pub(super) fn ways_of(&self, vni: Vni) -> &Ways {
        self.ways.get(&vni).unwrap_or(&NONE)
    }

    /// How a VNI's addresses are exposed may have changed: what was wished in another shape is wished no more.
    pub(super) fn update_ways(&mut self, vni: Vni) {
        let ways = self.intent.tenant(vni).map(|tenant| Ways::of(tenant, &self.config)).unwrap_or_default();
        if *self.ways_of(vni) == ways {
            return;
        }
        let is_wished = self.core.tally(vni.into()).objects > 0;
        let addresses: Vec<_> = self.intent.addresses_of(vni, None).filter(|_| is_wished).collect();
        let before: Vec<Key> = addresses.iter().map(|ip| self.exposed(vni, *ip).key()).collect();
        match ways.is_empty() {
            true => self.ways.remove(&vni),
            false => self.ways.insert(vni, ways),
        };
        for (ip, before) in addresses.into_iter().zip(before) {
            if before != self.exposed(vni, ip).key() {
                self.core.unwish(before, vni.into());
            }
            self.update_address(vni, ip);
        }
    }
}

/// The routes by which a tenant's addresses are exposed; empty where they are on its dummy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// The device that leads to each gateway's address.
    gateways: BTreeMap<IpAddr, IfName>,
    /// By its subnet, where a VM's address leads. No two subnets of a tenant overlap.
    subnets: BTreeMap<Prefix, (IpAddr, IfName)>,
}

/// Those of who has dummies alone.
static NONE: Ways = Ways { gateways: BTreeMap::new(), subnets: BTreeMap::new() };

impl Ways {
    /// Those of a tenant.
    pub fn of(tenant: &Tenant, config: &Config) -> Self {
        let mut ways = Self::default();
        if config.expose == Expose::Dummy {
            return ways;
        }
        let localnets = tenant.localnets();
        let device = |gateway: usize| {
            let localnet = &tenant.gateways.get(gateway)?.localnet;
            let n = localnets.iter().position(|one| *one == localnet).unwrap_or_default();
            match frame::attach_of(localnet, &localnets, config) {
                _ if localnet.tag.is_some() => Some(names::vlan(tenant.vni, n)),
                Attach::Veth => Some(names::veth(tenant.vni, n).0),
                Attach::Vrf => None,
            }
        };
        for (index, gateway) in tenant.gateways.iter().enumerate() {
            ways.gateways.extend(gateway.addresses.iter().filter_map(|ip| Some((*ip, device(index)?))));
        }
        for subnet in &tenant.subnets {
            let Some(&first) = subnet.gateways.first() else { continue };
            let addresses = tenant.gateways.get(first).map(|gateway| gateway.addresses.as_slice());
            let by = addresses.unwrap_or_default().iter().find(|ip| same_family(ip, &subnet.prefix));
            ways.subnets.extend(by.copied().zip(device(first)).map(|way| (subnet.prefix, way)));
        }
        ways
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.gateways.is_empty() && self.subnets.is_empty()
    }

    /// Whether this gateway's address is exposed as a route.
    pub fn leads_to(&self, gateway: IpAddr) -> bool {
        self.gateways.contains_key(&gateway)
    }

    /// The object by which an address of the VNI attracts traffic.
    pub fn object(&self, vni: Vni, ip: IpAddr) -> Object {
        let Some(next_hop) = self.next_hop(ip) else {
            return KernelObject::Address(Address::host(names::dummy(vni), ip)).into();
        };
        let (table, metric) = (vni.get(), EXPOSING_METRIC);
        KernelObject::Route(Route { table, prefix: ip.into(), metric, next_hop }).into()
    }

    fn next_hop(&self, ip: IpAddr) -> Option<NextHop> {
        if let Some(device) = self.gateways.get(&ip) {
            return Some(NextHop::Link(*device));
        }
        // The last prefix that does not begin behind the address is the only one that may hold it.
        let (subnet, (gateway, device)) = self.subnets.range(..=Prefix::from(ip)).next_back()?;
        subnet.contains(&ip).then_some(NextHop::Via(*gateway, *device))
    }
}
