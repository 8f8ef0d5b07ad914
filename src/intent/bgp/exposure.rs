//! What is offered: a destination's kind, whose it is, and the way to it.

use std::net::IpAddr;

use uuid::Uuid;

use crate::model::{MacAddr, Prefix};

/// What an address is of; of two claims the lesser kind counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A router's gateway port on this chassis.
    Gateway,
    /// A port on a provider network, bound to this chassis.
    Port,
    /// A floating IP, or another one of NAT's, answered for by a router on this chassis.
    Nat,
    /// A load balancer's on such a router.
    Balancer,
    /// A tenant's subnet behind a gateway on this chassis.
    Subnet,
    /// An address on such a subnet.
    Tenant,
}

impl Kind {
    /// The word for it in the status.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Port => "port",
            Self::Nat => "floating IP",
            Self::Balancer => "load balancer",
            Self::Subnet => "subnet",
            Self::Tenant => "tenant",
        }
    }
}

/// Which way leads to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// The provider network itself: whoever has this MAC takes it; None: who answers ARP or ND.
    Direct(Option<MacAddr>),
    /// A router's gateway address on the provider network; the second is the router's address on the subnet where the subnet
    /// is advertised as such.
    Router(IpAddr, Option<IpAddr>),
    /// The subnet that it is on, behind this gateway address.
    Subnet(IpAddr, Prefix),
}

/// A destination that is offered, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exposure {
    /// What it is.
    pub kind: Kind,
    /// The logical port that it is of.
    pub port: Box<str>,
    /// The provider network's datapath.
    pub network: Uuid,
    /// The way to it.
    pub way: Way,
}

impl Exposure {
    /// Whether a node's limit is for it: not for what others stand on, a gateway's own address and a subnet that is there for the
    /// ways to its addresses alone.
    pub fn is_limited(&self) -> bool {
        self.kind != Kind::Gateway && !matches!(self.way, Way::Router(_, None))
    }
}
