//! Load balancers on routers whose gateway is here: which of their addresses are offered.
//!
//! Neutron keeps them out of `nat_addresses` (`exclude-lb-vips-from-garp`), so they are read from their own rows. An address on
//! the gateway's provider network is offered there; one on a tenant's subnet like a VM's. Any other is nobody's to reach this
//! way.

use std::net::IpAddr;

use uuid::Uuid;

use super::{Claims, Exposure, Intent, Kind, Source, Way, router::Router};
use crate::{
    model::Prefix,
    ovsdb::tables::LoadBalancer,
    southbound::{Balancers, Replica, Subject},
};

impl Intent {
    /// What a load balancer offers here.
    pub(super) fn balancer(&mut self, replica: &Replica, uuid: &Uuid, subjects: &mut bool) -> Claims {
        let balancers = replica.balancers();
        let row = balancers.get(uuid);
        *subjects |= self.refer(*uuid, row.and_then(LoadBalancer::group));
        let Some(row) = row else { return Claims::new() };
        // Where it is now has been asked for and is on its way: until then it stays where it was.
        if !balancers.is_whole(row) {
            return self.sources.get(&Source::Balancer(*uuid)).cloned().unwrap_or_default();
        }
        // A router that is met by several of its networks claims the same.
        let routers = self.routers_of(balancers, row);
        let pairs = routers.flat_map(|router| row.addresses().map(move |address| (router, address)));
        pairs.filter_map(|(router, address)| self.vip(row, router, address)).collect()
    }

    /// The routers here that a load balancer is on. Where its row can't name routers they are those of its switches: whoever
    /// attaches it to a network attaches it to the router there, too.
    fn routers_of<'a>(
        &'a self,
        balancers: &'a Balancers,
        row: &'a LoadBalancer,
    ) -> impl Iterator<Item = &'a Router> {
        balancers.places(row).flat_map(move |datapath| {
            let names = self.placed.get(&datapath).into_iter().flatten();
            let routers = names.filter_map(|name| self.resolved.get(name)?.router.as_ref());
            routers.filter(move |router| row.names_routers() == (router.datapath == datapath))
        })
    }

    fn vip(&self, row: &LoadBalancer, router: &Router, address: IpAddr) -> Option<(Prefix, Exposure)> {
        if router.is_evpns && router.addresses().any(|own| own == address) {
            return None;
        }
        let (network, way) = if router.networks.iter().any(|network| network.contains(&address)) {
            (router.network, Way::Direct(Some(router.mac)))
        } else {
            let offered = router.behind.iter().filter_map(|datapath| self.by_datapath.get(datapath));
            let subnet = offered.flatten().find(|subnet| subnet.contains(&address))?;
            let (network, subnet) = self.subnets.get(subnet).filter(|_| !self.options.by_subnet)?;
            // The way to that subnet may be another router's, which knows nothing of this load balancer.
            router.addresses().find(|own| *own == subnet.via)?;
            (*network, Way::Subnet(subnet.via, subnet.prefix))
        };
        let exposure = Exposure { kind: Kind::Balancer, port: row.name.clone(), network, way };
        Some((Prefix::from(address), exposure))
    }

    /// A load balancer refers to this group of datapaths; true where others are to be asked for than before.
    fn refer(&mut self, balancer: Uuid, group: Option<Uuid>) -> bool {
        let old = match group {
            Some(group) => self.refers.insert(balancer, group),
            None => self.refers.remove(&balancer),
        };
        if old == group {
            return false;
        }
        let mut changed = old.is_some_and(|old| super::remove_from(&mut self.groups, &old, &balancer));
        if let Some(group) = group {
            let users = self.groups.entry(group).or_default();
            changed |= users.is_empty();
            users.insert(balancer);
        }
        changed
    }

    /// What the Southbound is to be asked for, for the load balancers' sake.
    pub(super) fn balancer_subjects(&self) -> impl Iterator<Item = Subject> {
        let groups = self.groups.keys().map(|group| Subject::Group(*group));
        groups.chain([Subject::Balancers])
    }
}
