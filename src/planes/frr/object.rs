//! What the FRR plane keeps: `vrf X` blocks, their `vni`, and `router bgp AS vrf X` instances.

use std::{collections::BTreeSet, fmt, net::Ipv4Addr};

use crate::model::{Asn, IfName, RouteTarget};

/// The `vni N` line of a `vrf X` block, with what zebra makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VrfVni {
    /// The VRF.
    pub vrf: IfName,
    /// The VNI; as seen: None for a `vrf X` block without one.
    pub vni: Option<u32>,
    /// zebra has the L3VNI up (`show evpn vni`). As wished: true. What is as wished but for this comes by itself, once
    /// the kernel's devices are there.
    pub up: bool,
}

/// A BGP instance of a VRF.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BgpVrf {
    /// The VRF.
    pub vrf: IfName,
    /// Its AS.
    pub asn: Asn,
    /// What it says.
    pub settings: BgpSettings,
}

/// The MED of a tenant's prefixes while this node is drained: the worst but one (RFC 4271, 5.1.4: the lower wins).
pub const DRAIN_METRIC: u32 = u32::MAX - 1;

/// The route-maps through which the kernel's routes come into our instances, as ever and while this node is drained: only
/// those of [`EXPOSING_METRIC`](crate::planes::kernel::object::EXPOSING_METRIC) pass. Their names are the mark that they
/// are ours. Both are there as long as one instance names one of them, and bgpd lets nothing pass through one that is not
/// (`route_map_apply` in lib/routemap.c).
pub const ROUTE_MAPS: [RouteMap; 2] = [RouteMap::Routes, RouteMap::Drained];

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteMap {
    /// `bgp-agent-routes`: with MED 0, as connected prefixes have it.
    Routes,
    /// `bgp-agent-drained`: with [`DRAIN_METRIC`].
    Drained,
}

impl RouteMap {
    /// That of an instance whose prefixes are less preferred, or are not.
    pub fn of(less_preferred: bool) -> Self {
        if less_preferred { Self::Drained } else { Self::Routes }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Routes => "bgp-agent-routes",
            Self::Drained => "bgp-agent-drained",
        }
    }

    /// The MED that it sets.
    pub fn med(self) -> u32 {
        match self {
            Self::Routes => 0,
            Self::Drained => DRAIN_METRIC,
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        ROUTE_MAPS.into_iter().find(|map| map.name() == name)
    }
}

impl fmt::Display for RouteMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A `redistribute connected` line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Connected {
    /// There is none.
    #[default]
    No,
    /// As we say it.
    Ours,
    /// With words of an operator's (`route-map X`): it is there, and it is his.
    Refined,
}

/// A `redistribute kernel` line that names a route-map of ours. One that names none is an operator's, and is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// There is none.
    #[default]
    No,
    /// As we say it.
    Ours,
    /// A route-map of ours is not there, or is not as we made it.
    Broken,
}

/// Where the prefixes of one family in an instance come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sources {
    /// Addresses on the VRF's devices.
    pub connected: Connected,
    /// Routes in the VRF's table.
    pub kernel: Kernel,
}

impl Sources {
    /// From addresses, from routes, or from both.
    pub fn wished(connected: bool, kernel: bool) -> Self {
        Self {
            connected: if connected { Connected::Ours } else { Connected::No },
            kernel: if kernel { Kernel::Ours } else { Kernel::No },
        }
    }

    /// Whether these are what is wished. A line that an operator has refined is neither made anew nor taken away.
    fn meet(&self, wish: &Self) -> bool {
        (self.connected == wish.connected || self.connected == Connected::Refined)
            && self.kernel == wish.kernel
    }
}

/// What a BGP instance of ours says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BgpSettings {
    /// `bgp router-id`. Without it zebra takes the highest address of the VRF (zebra/router-id.c), as a rule a VM's: with
    /// each bind of a higher one the route distinguisher changes and every route of the VRF is announced anew.
    pub router_id: Option<Ipv4Addr>,
    /// `redistribute` in address-family ipv4 unicast.
    pub redistribute_ipv4: Sources,
    /// `redistribute` in address-family ipv6 unicast.
    pub redistribute_ipv6: Sources,
    /// All that with MED [`DRAIN_METRIC`]: what is redistributed is less preferred than the same from anywhere else.
    pub less_preferred: bool,
    /// `advertise ipv4 unicast` in address-family l2vpn evpn.
    pub advertise_ipv4: bool,
    /// `advertise ipv6 unicast` in address-family l2vpn evpn.
    pub advertise_ipv6: bool,
    /// `rd`; None: FRR's own.
    pub rd: Option<RouteTarget>,
    /// `route-target import`; empty: FRR's own.
    pub import: BTreeSet<RouteTarget>,
    /// `route-target export`; empty: FRR's own.
    pub export: BTreeSet<RouteTarget>,
}

/// The default BGP instance, `router bgp AS` without a VRF. Seen only: it is the operator's, and there is always exactly
/// one of these in a whole view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BgpBase {
    /// Its AS; None: there is no default instance, so nothing can be advertised.
    pub asn: Option<Asn>,
    /// `bgp router-id`, where it is written.
    pub router_id: Option<Ipv4Addr>,
    /// `advertise-all-vni` is there. Without it zebra keeps EVPN switched off and no L3VNI is ever up.
    pub evpn: bool,
}

/// What the default BGP instance takes over from that of a VRF: `import vrf X`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leak {
    /// The VRF.
    pub vrf: IfName,
    /// In address-family ipv4 unicast.
    pub ipv4: bool,
    /// In address-family ipv6 unicast.
    pub ipv6: bool,
}

/// Our route-maps, where they are there and no instance names them any more: what is left of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnusedMaps;

/// Any object of the FRR plane. As seen, the plane reports every VRF block, every BGP instance of a VRF, the default
/// instance, and what that one imports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FrrObject {
    /// A VRF block and its VNI.
    Vrf(VrfVni),
    /// A BGP instance.
    Bgp(BgpVrf),
    /// What the default instance imports from a VRF.
    Leak(Leak),
    /// Our route-maps without a use; never wished.
    Maps(UnusedMaps),
    /// The default BGP instance; never part of an operation.
    Base(BgpBase),
}

/// What names an object of the FRR plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrrKey {
    /// A VRF block by VRF.
    Vrf(IfName),
    /// A BGP instance by VRF.
    Bgp(IfName),
    /// What the default instance imports by VRF.
    Leak(IfName),
    /// Our route-maps without a use.
    Maps,
    /// The default BGP instance.
    Base,
}

impl FrrObject {
    /// What names this object.
    pub fn key(&self) -> FrrKey {
        match self {
            Self::Vrf(vrf) => FrrKey::Vrf(vrf.vrf),
            Self::Bgp(bgp) => FrrKey::Bgp(bgp.vrf),
            Self::Leak(leak) => FrrKey::Leak(leak.vrf),
            Self::Maps(_) => FrrKey::Maps,
            Self::Base(_) => FrrKey::Base,
        }
    }
}

impl BgpVrf {
    /// Whether this is what is wished.
    pub fn meets(&self, wish: &Self) -> bool {
        self.asn == wish.asn && self.settings.meet(&wish.beside(self).settings)
    }

    /// The wish beside what stands. Where none is wished the rd `VTEP:VNI` stays, which the Python agent gives: without it
    /// every route of the VRF would be away for a moment.
    pub fn beside(&self, standing: &Self) -> Self {
        let own = |rd: &RouteTarget| match rd {
            RouteTarget::Ip(vtep, vni) => {
                self.settings.router_id == Some(*vtep) && self.vrf.as_str().ends_with(&format!("-{vni}"))
            }
            _ => false,
        };
        let rd = self.settings.rd.or(standing.settings.rd.filter(own));
        Self { settings: BgpSettings { rd, ..self.settings.clone() }, ..*self }
    }
}

impl BgpSettings {
    /// What takes in the prefixes of both families from these, and nothing else.
    pub fn redistributing(sources: Sources) -> Self {
        Self { redistribute_ipv4: sources, redistribute_ipv6: sources, ..Self::default() }
    }

    /// The same, and both families are advertised as type-5 routes: a tenant's, with FRR's own rd and route targets.
    pub fn advertising(sources: Sources) -> Self {
        Self { advertise_ipv4: true, advertise_ipv6: true, ..Self::redistributing(sources) }
    }

    /// Whether a line of it names a route-map of ours.
    pub fn uses_maps(&self) -> bool {
        [self.redistribute_ipv4, self.redistribute_ipv6].iter().any(|sources| sources.kernel != Kernel::No)
    }

    /// Whether these are what is wished. Any router id will do: one that an operator has given is as steady as ours.
    pub fn meet(&self, wish: &Self) -> bool {
        let steady = wish.router_id.is_none() || self.router_id.is_some();
        let (ipv4, ipv6) = (wish.redistribute_ipv4, wish.redistribute_ipv6);
        let sources = self.redistribute_ipv4.meet(&ipv4) && self.redistribute_ipv6.meet(&ipv6);
        let own = Self {
            router_id: wish.router_id,
            redistribute_ipv4: ipv4,
            redistribute_ipv6: ipv6,
            ..self.clone()
        };
        steady && sources && own == *wish
    }
}

impl fmt::Display for BgpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.redistribute_ipv4.connected != Connected::No, "redistribute-ipv4"),
            (self.redistribute_ipv6.connected != Connected::No, "redistribute-ipv6"),
            (self.redistribute_ipv4.kernel != Kernel::No, "redistribute-routes-ipv4"),
            (self.redistribute_ipv6.kernel != Kernel::No, "redistribute-routes-ipv6"),
            (self.less_preferred, "less-preferred"),
            (self.advertise_ipv4, "advertise-ipv4"),
            (self.advertise_ipv6, "advertise-ipv6"),
        ];
        let words: Vec<&str> = flags.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
        f.write_str(&words.join(" "))?;
        self.router_id.map_or(Ok(()), |id| write!(f, " router-id {id}"))?;
        self.rd.map_or(Ok(()), |rd| write!(f, " rd {rd}"))?;
        self.import.iter().try_for_each(|target| write!(f, " import {target}"))?;
        self.export.iter().try_for_each(|target| write!(f, " export {target}"))
    }
}

impl fmt::Display for FrrObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vrf(VrfVni { vrf, vni: Some(vni), .. }) => write!(f, "frr vrf {vrf} vni {vni}"),
            Self::Vrf(VrfVni { vrf, vni: None, .. }) => write!(f, "frr vrf {vrf} no vni"),
            Self::Bgp(bgp) => write!(f, "frr router bgp {} vrf {}: {}", bgp.asn, bgp.vrf, bgp.settings),
            Self::Leak(Leak { vrf, ipv4, ipv6 }) => {
                write!(f, "frr import vrf {vrf}:")?;
                let families = [(ipv4, " ipv4"), (ipv6, " ipv6")];
                families.iter().filter(|(on, _)| **on).try_for_each(|(_, word)| f.write_str(word))
            }
            Self::Maps(_) => {
                write!(f, "frr route-map {} and {} without a use", RouteMap::Routes, RouteMap::Drained)
            }
            Self::Base(_) => f.write_str("frr default router bgp"),
        }
    }
}
