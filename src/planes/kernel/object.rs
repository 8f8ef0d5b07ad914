//! What the kernel plane keeps: links, addresses, routes, neighbours, rules, named as an operator names them (no ifindex).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::model::{IfName, MacAddr, Mark, Prefix};

/// The routing protocol number that marks our routes, rules and neighbours on devices of others: free in iproute2's rt_protos and in FRR's lib/zebra (186 to 198)
/// and in OVN (84).
pub const ROUTE_PROTOCOL: u8 = 182;

/// The metric of the host routes by which addresses are exposed, and of no other route of ours: by it FRR's route-map lets
/// these pass. zebra takes the upper byte of a kernel route's metric for its distance, of which 0 is preferred to every
/// protocol's (`netlink_route_change_read_unicast_internal` in zebra/rt_netlink.c), and of several it tells the lowest
/// metric's alone: so what leads to a gateway beside this has a larger one.
pub const EXPOSING_METRIC: u32 = 182;

/// The kind of a link with what defines it; two links of one name and different kind cannot be made equal in place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// A VRF of this routing table.
    Vrf {
        /// Table id.
        table: u32,
    },
    /// A bridge.
    Bridge,
    /// A VXLAN device.
    Vxlan {
        /// The VNI.
        id: u32,
        /// UDP destination port.
        port: u16,
        /// The VTEP address.
        local: IpAddr,
    },
    /// A dummy.
    Dummy,
    /// A VLAN of another link.
    Vlan {
        /// The other link; as seen: None where it is in another namespace.
        of: Option<IfName>,
        /// The VLAN's number.
        tag: u16,
    },
    /// One end of a veth pair; made together with the other end, which is a link object of its own.
    Veth {
        /// Name of the other end; as seen: None where it is not known yet, and this end's own name where the other is in
        /// another namespace.
        peer: Option<IfName>,
    },
    /// Anything else, by the kernel's word for it (empty: a plain device). Never wished.
    Other(String),
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Its name.
    pub name: IfName,
    /// What it is.
    pub kind: LinkKind,
    /// The bridge or VRF that it is enslaved to; as wished: None leaves that as it is.
    pub master: Option<IfName>,
    /// Administratively up.
    pub up: bool,
    /// MTU in bytes; as wished: None leaves it as the kernel makes it.
    pub mtu: Option<u32>,
    /// Whose it is, by its alias `bgp-agent VNI` or `bgp-agent underlay`; None: not ours.
    pub owner: Option<Mark>,
    /// Per-device settings.
    pub settings: Settings,
    /// Ethernet address; as wished: None takes what the kernel gives.
    pub mac: Option<MacAddr>,
}

/// Per-device settings that the agent keeps on devices of its own, all carried by the link messages.
/// As wished: false leaves the setting as the kernel has it. As seen: false is what the kernel says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settings {
    /// IPv6 `addr_gen_mode` is none: no link-local address appears by itself.
    pub no_ipv6_autogen: bool,
    /// IPv4 `forwarding` of the device.
    pub ipv4_forwarding: bool,
    /// IPv4 `rp_filter` of the device is 0 (the larger of this and `all.rp_filter` counts).
    pub no_rp_filter: bool,
    /// A bridge has no STP and gives its ports no VLAN, a VXLAN device does not learn; no setting of other kinds.
    pub plain: bool,
}

/// An address on a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The link.
    pub dev: IfName,
    /// The address.
    pub ip: IpAddr,
    /// Prefix length; that of a host, but for subnets that are advertised as such.
    pub length: u8,
    /// The kernel holds a `local` route for it, or for IPv6 one to its prefix. Never wished on a dummy in a VRF: it would
    /// swallow the tenant's traffic. As seen: told of dummies in a VRF alone, false of all others.
    pub local_route: bool,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// On the link (scope link for IPv4).
    Link(IfName),
    /// By a gateway on a link.
    Via(IpAddr, IfName),
    /// Nowhere: ICMP unreachable.
    Unreachable,
    /// Anything else (several next hops, blackhole, ..): somebody else's work under our protocol number. Never wished.
    Other,
}

/// A unicast or unreachable route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Routing table.
    pub table: u32,
    /// Destination.
    pub prefix: Prefix,
    /// Metric; 0 for IPv4's default (IPv6 shows 1024 where none was given, so wishes for IPv6 always name it).
    pub metric: u32,
    /// Where it leads.
    pub next_hop: NextHop,
}

/// A permanent neighbour entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Neighbour {
    /// The link.
    pub dev: IfName,
    /// The neighbour's address.
    pub ip: IpAddr,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// It carries our routing protocol number: wished on devices that are not ours.
    pub marked: bool,
}

/// A rule of the routing policy database that sends what goes to a destination to a table, and has no other selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The destination.
    pub to: Prefix,
    /// The table that it is looked up in.
    pub table: u32,
    /// Its place among the rules: the smaller, the sooner.
    pub priority: u32,
}

/// Any object of the kernel plane. As seen, the plane reports: every link (foreign ones too: they may clash); every
/// address (VTEP addresses are looked for among them); routes and rules of our protocol; permanent neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KernelObject {
    /// A link.
    Link(Link),
    /// An address.
    Address(Address),
    /// A route.
    Route(Route),
    /// A neighbour.
    Neighbour(Neighbour),
    /// A rule.
    Rule(Rule),
}

/// What names an object of the kernel plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelKey {
    /// A link by name.
    Link(IfName),
    /// An address by link, address and prefix length.
    Address(IfName, IpAddr, u8),
    /// A route by table, destination and metric.
    Route(u32, Prefix, u32),
    /// A neighbour by link and address.
    Neighbour(IfName, IpAddr),
    /// A rule by destination, table and priority.
    Rule(Prefix, u32, u32),
}

impl fmt::Display for KernelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(name) => write!(f, "link {name}"),
            Self::Address(dev, ip, length) => write!(f, "address {ip}/{length} on {dev}"),
            Self::Route(table, prefix, metric) => {
                write!(f, "route {prefix} metric {metric} in table {table}")
            }
            Self::Neighbour(dev, ip) => write!(f, "neighbour {ip} on {dev}"),
            Self::Rule(to, table, priority) => write!(f, "rule {priority} to {to} table {table}"),
        }
    }
}

impl KernelObject {
    /// What names this object.
    pub fn key(&self) -> KernelKey {
        match self {
            Self::Link(link) => KernelKey::Link(link.name),
            Self::Address(address) => KernelKey::Address(address.dev, address.ip, address.length),
            Self::Route(route) => KernelKey::Route(route.table, route.prefix, route.metric),
            Self::Neighbour(neighbour) => KernelKey::Neighbour(neighbour.dev, neighbour.ip),
            Self::Rule(rule) => KernelKey::Rule(rule.to, rule.table, rule.priority),
        }
    }
}

impl Address {
    /// The address as a host address on `dev`, without a local route.
    pub fn host(dev: IfName, ip: IpAddr) -> Self {
        let length = match ip {
            IpAddr::V4(_) => Ipv4Addr::BITS as u8,
            IpAddr::V6(_) => Ipv6Addr::BITS as u8,
        };
        Self { dev, ip, length, local_route: false }
    }
}

impl Route {
    /// Whether it attracts traffic: FRR advertises it.
    pub fn exposes(&self) -> bool {
        self.metric == EXPOSING_METRIC
    }

    /// A route to an address on this device that is like no other of ours or, in all likelihood, of others, and of the smallest
    /// metric: it comes and goes for those who listen.
    pub fn passing(table: u32, ip: IpAddr, device: IfName) -> Self {
        Self { table, prefix: ip.into(), metric: 0, next_hop: NextHop::Via(ip, device) }
    }

    /// Whether it is such a one.
    pub fn is_passing(&self) -> bool {
        matches!(self.next_hop, NextHop::Via(gateway, _) if Prefix::from(gateway) == self.prefix)
            && self.metric == 0
    }
}

impl From<Link> for KernelObject {
    fn from(link: Link) -> Self {
        Self::Link(link)
    }
}

impl From<Address> for KernelObject {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl From<Route> for KernelObject {
    fn from(route: Route) -> Self {
        Self::Route(route)
    }
}

impl From<Neighbour> for KernelObject {
    fn from(neighbour: Neighbour) -> Self {
        Self::Neighbour(neighbour)
    }
}

impl From<Rule> for KernelObject {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vrf { table } => write!(f, "vrf table {table}"),
            Self::Bridge => f.write_str("bridge"),
            Self::Vxlan { id, port, local } => write!(f, "vxlan id {id} port {port} local {local}"),
            Self::Dummy => f.write_str("dummy"),
            Self::Vlan { of: Some(of), tag } => write!(f, "vlan {tag} of {of}"),
            Self::Vlan { of: None, tag } => write!(f, "vlan {tag}"),
            Self::Veth { peer: Some(peer) } => write!(f, "veth peer {peer}"),
            Self::Veth { peer: None } => f.write_str("veth"),
            Self::Other(kind) => write!(f, "{}", if kind.is_empty() { "device" } else { kind }),
        }
    }
}

impl fmt::Display for KernelObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => {
                write!(f, "link {} {}", link.name, link.kind)?;
                link.master.map_or(Ok(()), |master| write!(f, " in {master}"))?;
                link.owner.map_or(Ok(()), |owner| write!(f, " of {owner}"))
            }
            Self::Address(address) => {
                write!(f, "address {}/{} on {}", address.ip, address.length, address.dev)
            }
            Self::Route(route) => {
                match &route.next_hop {
                    NextHop::Link(dev) => write!(f, "route {} dev {dev}", route.prefix)?,
                    NextHop::Via(ip, dev) => write!(f, "route {} via {ip} dev {dev}", route.prefix)?,
                    NextHop::Unreachable => write!(f, "route unreachable {}", route.prefix)?,
                    NextHop::Other => write!(f, "route {} of another sort", route.prefix)?,
                }
                write!(f, " table {}", route.table)?;
                if route.exposes() { f.write_str(" exposed") } else { Ok(()) }
            }
            Self::Neighbour(neighbour) => {
                write!(f, "neighbour {} {} on {}", neighbour.ip, neighbour.mac, neighbour.dev)
            }
            Self::Rule(rule) => write!(f, "{}", KernelKey::Rule(rule.to, rule.table, rule.priority)),
        }
    }
}
