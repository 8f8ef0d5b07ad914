//! Every line that this plane can say to FRR, as a type: what is not written here cannot be said.
//!
//! Owns the spelling of lines. A line is made of numbers, addresses and checked names alone, so neither a newline nor a
//! NUL nor a second command can come into one. Never decides which lines to send.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use super::object::RouteMap;
use crate::{
    model::{Asn, IfName, Prefix, RouteTarget},
    planes::kernel::object::EXPOSING_METRIC,
};

/// One line for a vty, without its ending NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// `enable`
    Enable,
    /// `configure terminal`
    Configure,
    /// `configure terminal file-lock`: with the locks that one commit of many lines needs (mgmtd).
    ConfigureLocked,
    /// `XFRR_start_configuration`: what follows is gathered (lib/vty.c, as vtysh sends it).
    GatherStart,
    /// `XFRR_end_configuration`: what was gathered is committed.
    GatherEnd,
    /// `mgmt commit abort`: what is gathered or was refused is forgotten (mgmtd).
    Abort,
    /// `end`: back to the enable node from anywhere; gives up locks.
    End,
    /// `show running-config`
    ShowRunning,
    /// `show vrf`
    ShowVrf,
    /// `show evpn vni detail json`
    ShowL3Vnis,
    /// `show evpn vni N json`
    ShowL3Vni(u32),
    /// `show bgp l2vpn evpn route detail type prefix json`
    ShowPrefixRoutes,
    /// `show bgp vrf X F json`
    ShowTable(IfName, Family),
    /// `show bgp vrf X F statistics json`: how many prefixes there are, for a fiftieth of what showing them costs bgpd. Never of
    /// `vrf all`: bgpd 10.3 dies of it.
    ShowStatistics(IfName, Family),
    /// `show bgp vrf X F A/32 json`
    ShowHost(IfName, IpAddr),
    /// `show bgp l2vpn evpn A/32 json`: the type-5 routes of one host, of every route distinguisher.
    ShowHostRoutes(IpAddr),
    /// `show bgp l2vpn evpn vni N json`
    ShowBgpVni(u32),
    /// `show bgp l2vpn evpn route rd RD type prefix json`
    ShowRoutesOf(RouteTarget),
    /// `vrf` alone: incomplete where VRFs are configured, unknown elsewhere, and without effect in both.
    VrfProbe,
    /// `vrf X`
    Vrf(IfName),
    /// `no vrf X`
    NoVrf(IfName),
    /// `vni N`
    Vni(u32),
    /// `no vni N`
    NoVni(u32),
    /// `exit-vrf`
    ExitVrf,
    /// `router bgp AS vrf X`
    RouterBgp(Asn, IfName),
    /// `no router bgp AS vrf X`
    NoRouterBgp(Asn, IfName),
    /// `router bgp AS`: the default instance.
    DefaultBgp(Asn),
    /// `import vrf X` in the default instance, or its `no`.
    ImportVrf(IfName, bool),
    /// `no bgp bestpath bandwidth`: where nothing of it is configured it changes nothing, but that bgpd tells zebra all routes
    /// of the instance again (`no_bgp_bestpath_bw` in bgpd/bgp_vty.c of FRR 8.4 to 10.7).
    NoBestpathBandwidth,
    /// `bgp router-id A.B.C.D`
    RouterId(Ipv4Addr),
    /// `address-family F`
    Family(Family),
    /// `exit-address-family`
    ExitFamily,
    /// `redistribute connected`, or its `no`.
    Redistribute(bool),
    /// `redistribute connected metric N`: in place, without a withdrawal.
    RedistributeMetric(u32),
    /// `redistribute kernel route-map X`: another route-map takes its place without a withdrawal.
    RedistributeKernel(RouteMap),
    /// `no redistribute kernel`
    NoRedistributeKernel,
    /// `route-map X permit 10`
    RouteMap(RouteMap),
    /// `match metric N` in it: that of the routes that expose addresses.
    MatchExposed,
    /// `set metric N` in it.
    SetMed(u32),
    /// `exit`, out of it.
    ExitMap,
    /// `no route-map X`. Never of one that a line of an instance names: see `encode::whole_maps`.
    NoRouteMap(RouteMap),
    /// `no route-map X permit N`: that entry goes, whatever its action; the map stays, even without any.
    NoRouteMapEntry(RouteMap, u16),
    /// `advertise ipv4 unicast` or `advertise ipv6 unicast`, or its `no`.
    Advertise(Family, bool),
    /// `rd RD`, or its `no`.
    Rd(RouteTarget, bool),
    /// `route-target import|export RT`, or its `no`.
    Target(Direction, RouteTarget, bool),
}

/// An address family of a BGP instance in which we have lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `ipv4 unicast`
    Ipv4,
    /// `ipv6 unicast`
    Ipv6,
    /// `l2vpn evpn`
    Evpn,
}

/// What a route target is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Routes that carry it are taken in.
    Import,
    /// Routes that leave carry it.
    Export,
}

impl Line {
    /// What one of our route-maps is made of, as it is said and as it is shown.
    pub fn of_map(map: RouteMap) -> [Self; 3] {
        [Self::RouteMap(map), Self::MatchExposed, Self::SetMed(map.med())]
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enable => f.write_str("enable"),
            Self::Configure => f.write_str("configure terminal"),
            Self::ConfigureLocked => f.write_str("configure terminal file-lock"),
            Self::GatherStart => f.write_str("XFRR_start_configuration"),
            Self::GatherEnd => f.write_str("XFRR_end_configuration"),
            Self::Abort => f.write_str("mgmt commit abort"),
            Self::End => f.write_str("end"),
            Self::ShowRunning => f.write_str("show running-config"),
            Self::ShowVrf => f.write_str("show vrf"),
            Self::ShowL3Vnis => f.write_str("show evpn vni detail json"),
            Self::ShowL3Vni(vni) => write!(f, "show evpn vni {vni} json"),
            Self::ShowPrefixRoutes => f.write_str("show bgp l2vpn evpn route detail type prefix json"),
            Self::ShowTable(vrf, family) => write!(f, "show bgp vrf {vrf} {family} json"),
            Self::ShowStatistics(vrf, family) => write!(f, "show bgp vrf {vrf} {family} statistics json"),
            Self::ShowHost(vrf, host) => {
                let family = if host.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
                write!(f, "show bgp vrf {vrf} {family} {} json", Prefix::from(*host))
            }
            Self::ShowHostRoutes(host) => write!(f, "show bgp l2vpn evpn {} json", Prefix::from(*host)),
            Self::ShowBgpVni(vni) => write!(f, "show bgp l2vpn evpn vni {vni} json"),
            Self::ShowRoutesOf(rd) => write!(f, "show bgp l2vpn evpn route rd {rd} type prefix json"),
            Self::VrfProbe => f.write_str("vrf"),
            Self::Vrf(vrf) => write!(f, "vrf {vrf}"),
            Self::NoVrf(vrf) => write!(f, "no vrf {vrf}"),
            Self::Vni(vni) => write!(f, "vni {vni}"),
            Self::NoVni(vni) => write!(f, "no vni {vni}"),
            Self::ExitVrf => f.write_str("exit-vrf"),
            Self::RouterBgp(asn, vrf) => write!(f, "router bgp {asn} vrf {vrf}"),
            Self::NoRouterBgp(asn, vrf) => write!(f, "no router bgp {asn} vrf {vrf}"),
            Self::DefaultBgp(asn) => write!(f, "router bgp {asn}"),
            Self::ImportVrf(vrf, on) => write!(f, "{}import vrf {vrf}", no(*on)),
            Self::NoBestpathBandwidth => f.write_str("no bgp bestpath bandwidth"),
            Self::RouterId(id) => write!(f, "bgp router-id {id}"),
            Self::Family(family) => write!(f, "address-family {family}"),
            Self::ExitFamily => f.write_str("exit-address-family"),
            Self::RedistributeMetric(metric) => write!(f, "redistribute connected metric {metric}"),
            Self::Redistribute(on) => write!(f, "{}redistribute connected", no(*on)),
            Self::RedistributeKernel(map) => write!(f, "redistribute kernel route-map {map}"),
            Self::NoRedistributeKernel => f.write_str("no redistribute kernel"),
            Self::RouteMap(map) => write!(f, "route-map {map} permit 10"),
            Self::MatchExposed => write!(f, "match metric {EXPOSING_METRIC}"),
            Self::SetMed(med) => write!(f, "set metric {med}"),
            Self::ExitMap => f.write_str("exit"),
            Self::NoRouteMap(map) => write!(f, "no route-map {map}"),
            Self::NoRouteMapEntry(map, number) => write!(f, "no route-map {map} permit {number}"),
            Self::Advertise(family, on) => write!(f, "{}advertise {family}", no(*on)),
            Self::Rd(rd, on) => write!(f, "{}rd {rd}", no(*on)),
            Self::Target(direction, target, on) => write!(f, "{}route-target {direction} {target}", no(*on)),
        }
    }
}

/// The word before a line that takes something away.
fn no(on: bool) -> &'static str {
    if on { "" } else { "no " }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4 unicast",
            Self::Ipv6 => "ipv6 unicast",
            Self::Evpn => "l2vpn evpn",
        })
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Import => "import",
            Self::Export => "export",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn targets() -> impl Strategy<Value = RouteTarget> {
        prop_oneof![
            any::<(u16, u32)>().prop_map(|(asn, number)| RouteTarget::As2(asn, number)),
            any::<(u32, u16)>().prop_map(|(asn, number)| RouteTarget::As4(asn, number)),
            any::<([u8; 4], u16)>().prop_map(|(address, number)| RouteTarget::Ip(address.into(), number)),
        ]
    }

    proptest! {
        /// Whatever comes from outside as a name is refused or is one word of one line.
        #[test]
        fn one_line_is_one_line(
            text in any::<String>(), asn in 1..=u32::MAX, vni: u32, target in targets(), host: IpAddr, on: bool
        ) {
            let vrf: IfName = text.parse().unwrap_or("vrf-1001".parse().unwrap());
            let asn = Asn::new(asn).unwrap();
            let lines = [
                Line::Vrf(vrf),
                Line::NoVrf(vrf),
                Line::Vni(vni),
                Line::RouterBgp(asn, vrf),
                Line::NoRouterBgp(asn, vrf),
                Line::DefaultBgp(asn),
                Line::ImportVrf(vrf, on),
                Line::Rd(target, on),
                Line::Target(Direction::Import, target, on),
                Line::ShowStatistics(vrf, Family::Ipv6),
                Line::ShowHost(vrf, host),
                Line::ShowHostRoutes(host),
                Line::ShowBgpVni(vni),
                Line::ShowRoutesOf(target),
            ];
            for line in lines {
                let said = line.to_string();
                prop_assert!(said.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{:?}", said);
            }
        }
    }
}
