//! What attracts traffic: an address that BGP takes from the kernel, in one of two shapes. On a VNI's dummy (`expose =
//! dummy`), or as a host route in the VRF's table by the router's gateway (`expose = routes`), which the kernel takes in
//! constant time however many there are. A VRF that is itself a port of the bridge has no device for such routes, and
//! keeps its dummy. Pure: of the tenant and the configuration alone, never of facts that may be unknown for a while.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
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
        Object::Kernel(KernelObject::Address(address)) => Some(address.ip),
        Object::Kernel(KernelObject::Route(route)) => route.exposes().then(|| route.prefix.addr()),
        _ => None,
    }
}

/// The same, by the key alone.
pub fn attracting(key: &Key) -> Option<IpAddr> {
    match key {
        Key::Kernel(KernelKey::Address(_, ip, _)) => Some(*ip),
        Key::Kernel(KernelKey::Route(_, prefix, EXPOSING_METRIC)) => Some(prefix.addr()),
        _ => None,
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
