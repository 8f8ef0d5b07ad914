//! The parts of the wish: what is built, held and taken down by itself, so that the trouble of one is not another's.
//!
//! A part stands on its parent: it is built when all of that stands, and gone before anything of that goes.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use uuid::Uuid;

use crate::model::{Prefix, Vni};

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A tenant of the EVPN mode.
    Vni(Vni),
    /// What the BGP mode has once: the VRF with its dummy, and FRR's side.
    Base,
    /// A provider network, by its datapath: what leads out of and into it.
    Network(Uuid),
    /// An address on that provider network, or one that a router there answers for.
    Host(Uuid, IpAddr),
    /// A tenant's subnet behind the router that has the address.
    Subnet(Uuid, IpAddr, Prefix),
    /// An address in that subnet.
    Behind(Uuid, IpAddr, Prefix, IpAddr),
}

impl Part {
    /// What it stands on.
    pub fn parent(self) -> Option<Self> {
        match self {
            Self::Vni(_) | Self::Base => None,
            Self::Network(_) => Some(Self::Base),
            Self::Host(network, _) => Some(Self::Network(network)),
            Self::Subnet(network, router, _) => Some(Self::Host(network, router)),
            Self::Behind(network, router, subnet, _) => Some(Self::Subnet(network, router, subnet)),
        }
    }

    /// Of each sort of part that can stand on this one, the first in order: those that do follow it without a gap.
    pub fn first_above(self) -> Vec<Self> {
        let (ip, prefix) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), Prefix::V4(ipnet::Ipv4Net::default()));
        match self {
            Self::Vni(_) | Self::Behind(..) => Vec::new(),
            Self::Base => vec![Self::Network(Uuid::nil())],
            Self::Network(network) => vec![
                Self::Host(network, ip),
                Self::Subnet(network, ip, prefix),
                Self::Behind(network, ip, prefix, ip),
            ],
            Self::Host(network, router) => {
                vec![Self::Subnet(network, router, prefix), Self::Behind(network, router, prefix, ip)]
            }
            Self::Subnet(network, router, subnet) => vec![Self::Behind(network, router, subnet, ip)],
        }
    }

    /// All that it stands on, the nearest first.
    pub fn ancestors(self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), |part| part.parent())
    }

    /// The part under which it is counted for an operator: a tenant, the BGP mode's base, or a provider network.
    pub fn counted(self) -> Self {
        match self {
            Self::Vni(_) | Self::Base | Self::Network(_) => self,
            Self::Host(network, _) | Self::Subnet(network, ..) | Self::Behind(network, ..) => {
                Self::Network(network)
            }
        }
    }

    /// The VNI, where it is a tenant of the EVPN mode.
    pub fn vni(self) -> Option<Vni> {
        match self {
            Self::Vni(vni) => Some(vni),
            _ => None,
        }
    }
}

impl From<Vni> for Part {
    fn from(vni: Vni) -> Self {
        Self::Vni(vni)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vni(vni) => write!(f, "VNI {vni}"),
            Self::Base => f.write_str("the BGP mode's VRF"),
            Self::Network(network) => write!(f, "provider network {network}"),
            Self::Host(_, address) | Self::Behind(.., address) => write!(f, "address {address}"),
            Self::Subnet(.., subnet) => write!(f, "subnet {subnet}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_stands_on_a_part_follows_its_firsts_without_a_gap() {
        let networks = [1, 2].map(Uuid::from_u128);
        let ips: [IpAddr; 3] = ["10.0.0.1", "10.0.0.2", "2001:db8::1"].map(|ip| ip.parse().unwrap());
        let subnets: [Prefix; 2] = ["20.0.0.0/24", "2001:db8:1::/64"].map(|subnet| subnet.parse().unwrap());
        let mut parts = BTreeSet::from([Part::Vni(Vni::new(7).unwrap()), Part::Base]);
        for network in networks {
            parts.insert(Part::Network(network));
            for router in ips {
                parts.insert(Part::Host(network, router));
                for subnet in subnets {
                    parts.insert(Part::Subnet(network, router, subnet));
                    parts.extend(ips.map(|ip| Part::Behind(network, router, subnet, ip)));
                }
            }
        }
        for part in &parts {
            let above = |one: &&Part| one.ancestors().any(|one| one == *part);
            let firsts = part.first_above().into_iter();
            let found: BTreeSet<_> =
                firsts.flat_map(|first| parts.range(first..).take_while(above)).collect();
            assert_eq!(found, parts.iter().filter(above).collect(), "{part:?}");
        }
    }
}
