//! What the flows plane keeps: flows of ours on provider bridges; and what it tells of their ports.

use std::{fmt, net::IpAddr};

use super::{decode, encode::Identity};
use crate::model::{IfName, MacAddr, OfPort, Prefix};

/// The cookie of every flow of ours in EVPN mode; the Python agent's EVPN mode uses the same, so its flows are adopted.
pub const COOKIE: u64 = 0x3e6;

/// The same for the BGP mode.
pub const UNDERLAY_COOKIE: u64 = 0x3e7;

/// Which of the two cookies are ours: that of a mode that is not on is somebody else's, as the Python agent's in that mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookies {
    /// [`COOKIE`].
    pub evpn: bool,
    /// [`UNDERLAY_COOKIE`].
    pub underlay: bool,
}

impl Cookies {
    /// Whether flows with this cookie are ours.
    pub fn hold(self, cookie: u64) -> bool {
        self.evpn && cookie == COOKIE || self.underlay && cookie == UNDERLAY_COOKIE
    }
}

/// What a flow is for, with all that it matches on and does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FlowRule {
    /// A tenant's packets, coming from OVN's router: to the VRF. Priority 1000.
    /// Match: ip or ipv6, in_port, eth_src, (ipv4|ipv6)_src = subnet, any VLAN tag where `vlan` is set; actions: pop the
    /// VLAN where `vlan` is set, set eth_dst, output.
    Redirect {
        /// The localnet's patch port.
        in_port: OfPort,
        /// The router gateway's MAC.
        router: MacAddr,
        /// The tenant's subnet, its host bits zero.
        subnet: Prefix,
        /// The packets carry a VLAN tag that has to go.
        vlan: bool,
        /// The attach device's MAC.
        to: MacAddr,
        /// The attach device's port.
        output: OfPort,
    },
    /// ARP requests of OVN's router are answered with `answer`, in the VLAN they came by. Priority 1001.
    ArpReply {
        /// The localnet's patch port.
        in_port: OfPort,
        /// The router gateway's MAC.
        router: MacAddr,
        /// Only this target; None: every target.
        target: Option<std::net::Ipv4Addr>,
        /// The MAC to answer with.
        answer: MacAddr,
    },
    /// ARP requests of OVN's router for its own address, by which it announces itself, are not answered: it would learn
    /// that somebody else has it. Priority 1002, before the answers.
    OwnArp {
        /// The localnet's patch port.
        in_port: OfPort,
        /// The router gateway's MAC.
        router: MacAddr,
        /// Its address.
        address: std::net::Ipv4Addr,
    },
    /// IPv6 neighbour solicitations of OVN's router come to our OpenFlow connection, which answers them with `answer`
    /// by a packet-out, in the VLAN they came by. Priority 1001.
    NdReply {
        /// The localnet's patch port.
        in_port: OfPort,
        /// The router gateway's MAC.
        router: MacAddr,
        /// Only this target; None: every target.
        target: Option<std::net::Ipv6Addr>,
        /// The MAC to answer with.
        answer: MacAddr,
    },
    /// A tenant's packets, coming from its VRF: to OVN's router, and not by the bridge's MAC learning, which forgets the
    /// router's MAC (what the router sends to the VRF passes by it) and would flood the provider network. Priority 1000.
    /// Match: in_port, eth_dst; actions: push the VLAN tag where there is one, output.
    Inject {
        /// The attach device's port.
        in_port: OfPort,
        /// The router gateway's MAC.
        router: MacAddr,
        /// The provider network's VLAN tag.
        vlan: Option<u16>,
        /// The localnet's patch port.
        output: OfPort,
    },
    /// Whatever else a VRF sends is dropped: the provider network's other hosts are none of its own. Priority 900.
    Guard {
        /// The attach device's port.
        in_port: OfPort,
    },
    /// Whatever else OVN's router sends to the VRF, from subnets that are not offered, is dropped: the bridge has not learned
    /// where the attach device's MAC is and would flood the provider network with it, and the VRF would take it. Priority 899,
    /// behind [`Self::Outgoing`].
    Stray {
        /// The localnet's patch port.
        in_port: OfPort,
        /// The router gateway's MAC.
        router: MacAddr,
        /// The attach device's MAC.
        to: MacAddr,
    },
    /// What leaves OVN by a provider network: to the bridge itself, so that the kernel routes it. Priority 900.
    /// Match: ip or ipv6, in_port; actions: set eth_dst, NORMAL.
    Outgoing {
        /// The localnet's patch port.
        in_port: OfPort,
        /// IPv6.
        ipv6: bool,
        /// The bridge's MAC.
        to: MacAddr,
    },
    /// IPv6 neighbour discovery that leaves OVN and is not answered passes as it is: it is no packet to be routed. Priority
    /// 901, before those.
    Discovery {
        /// The localnet's patch port.
        in_port: OfPort,
        /// Advertisements; else solicitations.
        advertised: bool,
    },
    /// ARP requests, or IPv6 neighbour solicitations, from whoever in OVN are answered with `answer`, as [`Self::ArpReply`] and
    /// [`Self::NdReply`] are. Priority 902.
    AnyReply {
        /// The localnet's patch port.
        in_port: OfPort,
        /// Solicitations.
        ipv6: bool,
        /// Only this target; None: every target.
        target: Option<IpAddr>,
        /// The bridge's MAC.
        answer: MacAddr,
    },
    /// An address that is behind this patch port itself is not answered for: who has it asks whether it is free, and
    /// announces itself. Priority 903, before the answers.
    Behind {
        /// The localnet's patch port.
        in_port: OfPort,
        /// The address.
        address: IpAddr,
    },
    /// Nor is a host that asks by ARP whether an address is free (RFC 5227, 1.1: its own is 0.0.0.0): it would take the answer
    /// for somebody else's who has it. Priority 903.
    Probe {
        /// The localnet's patch port.
        in_port: OfPort,
    },
    /// A flow with our cookie that is none of the above, as seen; never wished. Where only its actions (or timeouts) are
    /// none of ours, its key is that of the rule with this match, so that it counts as that rule, to be mended.
    Unknown {
        /// Which of our cookies it has.
        cookie: u64,
        /// The flow's table.
        table: u8,
        /// The flow's priority.
        priority: u16,
        /// Its match, encoded.
        matches: Box<ofproto::Match>,
    },
    /// Somebody else's flow, with another cookie, in the place (table, priority, match) of a rule of ours: its key is that
    /// rule's. As seen; never wished.
    Foreign {
        /// Its cookie.
        cookie: u64,
        /// Its table.
        table: u8,
        /// Its priority.
        priority: u16,
        /// Its match, encoded.
        matches: Box<ofproto::Match>,
    },
}

/// A flow on a bridge: one with our cookie, or one in the place of such.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The bridge.
    pub bridge: IfName,
    /// What it is for.
    pub rule: FlowRule,
}

/// A port as the bridge's OpenFlow connection tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BridgePort {
    /// The bridge.
    pub bridge: IfName,
    /// The port's name.
    pub name: Box<str>,
    /// Its number.
    pub port: OfPort,
    /// Its Ethernet address.
    pub mac: MacAddr,
}

/// Any object of the flows plane. Only flows are ever written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FlowsObject {
    /// A flow.
    Flow(Flow),
    /// A port.
    Port(BridgePort),
}

/// What names an object of the flows plane: what OpenFlow takes for the identity of a flow (table, priority, match).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FlowsKey {
    /// A redirect by bridge, port, MAC, subnet, and whether it is for tagged packets.
    Redirect(IfName, OfPort, MacAddr, Prefix, bool),
    /// An ARP or ND answer by bridge, port, MAC, whether it is IPv6, target.
    Reply(IfName, OfPort, MacAddr, bool, Option<IpAddr>),
    /// A router's own address by bridge, port, MAC, address.
    OwnArp(IfName, OfPort, MacAddr, std::net::Ipv4Addr),
    /// An injection by bridge, port, MAC.
    Inject(IfName, OfPort, MacAddr),
    /// A guard by bridge and port.
    Guard(IfName, OfPort),
    /// What is sent to the VRF and not offered by bridge, port, MAC, the VRF's MAC.
    Stray(IfName, OfPort, MacAddr, MacAddr),
    /// Neighbour discovery that passes by bridge, port, whether it is advertisements.
    Discovery(IfName, OfPort, bool),
    /// ARP probes by bridge and port.
    Probe(IfName, OfPort),
    /// Outgoing packets by bridge, port, whether they are IPv6.
    Outgoing(IfName, OfPort, bool),
    /// An answer for whoever asks by bridge, port, whether it is IPv6, target.
    AnyReply(IfName, OfPort, bool, Option<IpAddr>),
    /// An address that is not answered for by bridge, port, address.
    Behind(IfName, OfPort, IpAddr),
    /// Any other flow with our cookie.
    Unknown(IfName, u8, u16, Box<ofproto::Match>),
    /// A port by bridge and name.
    Port(IfName, Box<str>),
}

impl FlowsObject {
    /// What names this object.
    pub fn key(&self) -> FlowsKey {
        match self {
            Self::Port(port) => FlowsKey::Port(port.bridge, port.name.clone()),
            Self::Flow(flow) => flow.key(),
        }
    }
}

impl Flow {
    /// What names this flow.
    pub fn key(&self) -> FlowsKey {
        let bridge = self.bridge;
        match &self.rule {
            FlowRule::Redirect { in_port, router, subnet, vlan, .. } => {
                FlowsKey::Redirect(bridge, *in_port, *router, *subnet, *vlan)
            }
            FlowRule::ArpReply { in_port, router, target, .. } => {
                FlowsKey::Reply(bridge, *in_port, *router, false, target.map(IpAddr::V4))
            }
            FlowRule::NdReply { in_port, router, target, .. } => {
                FlowsKey::Reply(bridge, *in_port, *router, true, target.map(IpAddr::V6))
            }
            FlowRule::OwnArp { in_port, router, address } => {
                FlowsKey::OwnArp(bridge, *in_port, *router, *address)
            }
            FlowRule::Inject { in_port, router, .. } => FlowsKey::Inject(bridge, *in_port, *router),
            FlowRule::Guard { in_port } => FlowsKey::Guard(bridge, *in_port),
            FlowRule::Stray { in_port, router, to } => FlowsKey::Stray(bridge, *in_port, *router, *to),
            FlowRule::Discovery { in_port, advertised } => FlowsKey::Discovery(bridge, *in_port, *advertised),
            FlowRule::Probe { in_port } => FlowsKey::Probe(bridge, *in_port),
            FlowRule::Outgoing { in_port, ipv6, .. } => FlowsKey::Outgoing(bridge, *in_port, *ipv6),
            FlowRule::AnyReply { in_port, ipv6, target, .. } => {
                FlowsKey::AnyReply(bridge, *in_port, *ipv6, *target)
            }
            FlowRule::Behind { in_port, address } => FlowsKey::Behind(bridge, *in_port, *address),
            FlowRule::Unknown { table, priority, matches, .. }
            | FlowRule::Foreign { table, priority, matches, .. } => {
                let identity = Identity { table: *table, priority: *priority, matches: (**matches).clone() };
                match decode::rule_matching(&identity) {
                    Some(rule) => Flow { bridge, rule }.key(),
                    None => FlowsKey::Unknown(bridge, *table, *priority, matches.clone()),
                }
            }
        }
    }
}

impl FlowRule {
    /// The cookie of its flow.
    pub fn cookie(&self) -> u64 {
        match self {
            Self::Outgoing { .. }
            | Self::Discovery { .. }
            | Self::AnyReply { .. }
            | Self::Behind { .. }
            | Self::Probe { .. } => UNDERLAY_COOKIE,
            Self::Unknown { cookie, .. } | Self::Foreign { cookie, .. } => *cookie,
            _ => COOKIE,
        }
    }
}

impl fmt::Display for FlowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target =
            |target: Option<IpAddr>| target.map_or("any address".to_owned(), |target| target.to_string());
        match self {
            Self::Redirect { in_port, router, subnet, vlan, to, output } => {
                let vlan = if *vlan { " untagged" } else { "" };
                write!(f, "redirect {subnet} of {router} from port {in_port}{vlan} to {to} port {output}")
            }
            Self::ArpReply { in_port, router, target: asked, answer } => {
                let asked = target(asked.map(IpAddr::V4));
                write!(f, "answer ARP of {router} from port {in_port} for {asked} with {answer}")
            }
            Self::NdReply { in_port, router, target: asked, answer } => {
                let asked = target(asked.map(IpAddr::V6));
                write!(f, "answer ND of {router} from port {in_port} for {asked} with {answer}")
            }
            Self::OwnArp { in_port, router, address } => {
                write!(f, "let ARP of {router} from port {in_port} for its own {address} pass")
            }
            Self::Inject { in_port, router, vlan, output } => {
                let vlan = vlan.map_or_else(String::new, |tag| format!(" in VLAN {tag}"));
                write!(f, "inject from port {in_port} to {router}{vlan} port {output}")
            }
            Self::Guard { in_port } => write!(f, "drop the rest from port {in_port}"),
            Self::Stray { in_port, router, to } => {
                write!(f, "drop the rest of {router} from port {in_port} to {to}")
            }
            Self::Discovery { in_port, advertised } => {
                let what = if *advertised { "advertisements" } else { "solicitations" };
                write!(f, "let neighbour {what} from port {in_port} pass")
            }
            Self::Probe { in_port } => write!(f, "let ARP probes from port {in_port} pass"),
            Self::Outgoing { in_port, ipv6, to } => {
                let family = if *ipv6 { "IPv6" } else { "IPv4" };
                write!(f, "route {family} from port {in_port} by {to}")
            }
            Self::AnyReply { in_port, ipv6, target: asked, answer } => {
                let (what, asked) = (if *ipv6 { "ND" } else { "ARP" }, target(*asked));
                write!(f, "answer {what} from port {in_port} for {asked} with {answer}")
            }
            Self::Behind { in_port, address } => {
                write!(f, "let questions from port {in_port} for {address} pass")
            }
            Self::Unknown { table, priority, .. } => write!(f, "unknown, table {table} priority {priority}"),
            Self::Foreign { cookie, table, priority, .. } => {
                write!(f, "somebody else's with cookie {cookie:#x}, table {table} priority {priority}")
            }
        }
    }
}

impl fmt::Display for FlowsObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flow(flow) => write!(f, "flow on {}: {}", flow.bridge, flow.rule),
            Self::Port(port) => write!(f, "OpenFlow port {} {} on {}", port.port, port.name, port.bridge),
        }
    }
}
