//! BGP instances, from bgpd's running configuration: the default one with what it imports, and those of VRFs with the lines
//! we know.

use std::collections::BTreeMap;

use super::{Maps, asn, maps, statements};
use crate::{
    model::{IfName, RouteTarget},
    planes::frr::{
        line::Family,
        object::{BgpBase, BgpSettings, BgpVrf, Connected, DRAIN_METRIC, Kernel, Leak, RouteMap, Sources},
    },
};

/// Where a line of the configuration stands.
#[derive(Clone, Copy, Default)]
enum Instance {
    /// Outside of BGP, or in an instance that no VRF of ours can have (a view, a long name).
    #[default]
    Foreign,
    /// `router bgp AS`
    Default,
    /// `router bgp AS vrf X`
    Vrf(IfName),
}

/// What a running configuration says of BGP.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Bgp {
    /// The default instance.
    pub base: BgpBase,
    /// Every instance of a VRF by its name.
    pub vrfs: BTreeMap<IfName, BgpVrf>,
    /// What the default instance imports, by VRF.
    pub leaks: BTreeMap<IfName, Leak>,
    /// Our route-maps.
    pub maps: Maps,
}

/// Reads it.
pub fn bgp(text: &str) -> Bgp {
    let mut reader = Reader::default();
    for words in statements(text) {
        reader.statement(&words);
    }
    let (mut seen, full) = (reader.seen, reader.full);
    for (vrf, family) in full {
        let instance = seen.vrfs.get_mut(&vrf).filter(|instance| instance.settings.less_preferred);
        if let Some(settings) = instance.map(|instance| &mut instance.settings) {
            *sources(settings, family) = Sources::default();
        }
    }
    seen.maps = maps(text);
    if !seen.maps.are_whole() {
        let settings = seen.vrfs.values_mut().map(|instance| &mut instance.settings);
        let sources =
            settings.flat_map(|settings| [&mut settings.redistribute_ipv4, &mut settings.redistribute_ipv6]);
        sources
            .filter(|source| source.kernel == Kernel::Ours)
            .for_each(|source| source.kernel = Kernel::Broken);
    }
    seen
}

#[derive(Default)]
struct Reader {
    seen: Bgp,
    at: Instance,
    family: Option<Family>,
    /// Families that are not less preferred. Where the other one is, it is so by half, as by a drain that broke off: then what
    /// this one has counts as missing, to be said anew.
    full: Vec<(IfName, Family)>,
    /// Inside `vni N` .. `exit-vni` of address-family l2vpn evpn, whose rd and route targets belong to an L2VNI.
    l2vni: bool,
}

impl Reader {
    fn statement(&mut self, words: &[&str]) {
        match *words {
            ["router", "bgp", number, ref rest @ ..] => self.open(number, rest),
            ["router" | "vrf" | "interface", ..] | ["exit" | "end"] => self.leave(Instance::Foreign),
            ["address-family", ref family @ ..] => {
                self.family = named(family);
                self.l2vni = false;
            }
            ["exit-address-family"] => self.family = None,
            ["vni", _] if matches!(self.family, Some(Family::Evpn)) => self.l2vni = true,
            ["exit-vni"] => self.l2vni = false,
            _ if self.l2vni => {}
            _ => self.setting(words),
        }
    }

    fn leave(&mut self, to: Instance) {
        (self.at, self.family, self.l2vni) = (to, None, false);
    }

    /// `router bgp AS [vrf X | view X] [as-notation ...]`
    fn open(&mut self, number: &str, rest: &[&str]) {
        self.leave(Instance::Foreign);
        let Some(asn) = asn(number) else { return };
        match *rest {
            [] | ["as-notation", ..] => {
                self.at = Instance::Default;
                self.seen.base.asn = Some(asn);
            }
            ["vrf", name, ..] => {
                let Ok(vrf) = name.parse() else { return };
                self.at = Instance::Vrf(vrf);
                self.seen.vrfs.entry(vrf).or_insert(BgpVrf { vrf, asn, settings: BgpSettings::default() });
            }
            _ => {}
        }
    }

    fn setting(&mut self, words: &[&str]) {
        match self.at {
            Instance::Foreign => {}
            Instance::Default => base_setting(&mut self.seen, self.family, words),
            Instance::Vrf(vrf) => {
                let Some(instance) = self.seen.vrfs.get_mut(&vrf) else { return };
                if let Some(family) = vrf_setting(&mut instance.settings, self.family, words) {
                    self.full.push((vrf, family));
                }
            }
        }
    }
}

fn named(family: &[&str]) -> Option<Family> {
    match *family {
        ["ipv4", "unicast"] => Some(Family::Ipv4),
        ["ipv6", "unicast"] => Some(Family::Ipv6),
        ["l2vpn", "evpn"] => Some(Family::Evpn),
        _ => None,
    }
}

fn base_setting(seen: &mut Bgp, family: Option<Family>, words: &[&str]) {
    match (family, words) {
        (None, ["bgp", "router-id", address]) => seen.base.router_id = address.parse().ok(),
        (Some(Family::Evpn), ["advertise-all-vni"]) => seen.base.evpn = true,
        // `import vrf route-map NAME` names no VRF, but says which of all imported routes are taken.
        (Some(family), ["import", "vrf", name]) => {
            let Ok(vrf) = name.parse() else { return };
            let leak = seen.leaks.entry(vrf).or_insert(Leak { vrf, ipv4: false, ipv6: false });
            leak.ipv4 |= matches!(family, Family::Ipv4);
            leak.ipv6 |= matches!(family, Family::Ipv6);
        }
        _ => {}
    }
}

/// A line with more words than ours (`redistribute connected route-map X`) is the operator's refinement of it and counts as
/// being there: ours in its place would undo the refinement. Gives the family of which something is redistributed as ever.
fn vrf_setting(settings: &mut BgpSettings, family: Option<Family>, words: &[&str]) -> Option<Family> {
    match (family, words) {
        (None, ["bgp", "router-id", address]) => settings.router_id = address.parse().ok(),
        (Some(family @ (Family::Ipv4 | Family::Ipv6)), ["redistribute", source, rest @ ..]) => {
            let drained = redistribute(sources(settings, family), source, rest);
            settings.less_preferred |= drained == Some(true);
            return (drained == Some(false)).then_some(family);
        }
        (Some(Family::Evpn), ["advertise", "ipv4", "unicast", ..]) => settings.advertise_ipv4 = true,
        (Some(Family::Evpn), ["advertise", "ipv6", "unicast", ..]) => settings.advertise_ipv6 = true,
        (Some(Family::Evpn), ["rd", rd]) => settings.rd = rd.parse().ok(),
        (Some(Family::Evpn), ["route-target", direction, list @ ..]) => targets(settings, direction, list),
        _ => {}
    }
    None
}

fn sources(settings: &mut BgpSettings, family: Family) -> &mut Sources {
    match family {
        Family::Ipv6 => &mut settings.redistribute_ipv6,
        Family::Ipv4 | Family::Evpn => &mut settings.redistribute_ipv4,
    }
}

/// Takes in a `redistribute` line; gives whether what it redistributes is less preferred, where the line is ours.
fn redistribute(sources: &mut Sources, source: &str, rest: &[&str]) -> Option<bool> {
    match (source, rest) {
        ("connected", _) => {
            let is_ours = match rest {
                [] => true,
                ["metric", metric] => [Ok(0), Ok(DRAIN_METRIC)].contains(&metric.parse()),
                _ => false,
            };
            sources.connected = if is_ours { Connected::Ours } else { Connected::Refined };
            let drained = has_drain_metric(rest);
            (is_ours || drained).then_some(drained)
        }
        ("kernel", ["route-map", name]) => {
            let map = RouteMap::named(name);
            sources.kernel = map.map_or(Kernel::No, |_| Kernel::Ours);
            map.map(|map| map == RouteMap::Drained)
        }
        _ => None,
    }
}

fn has_drain_metric(words: &[&str]) -> bool {
    let is_it = |pair: &[&str]| pair[0] == "metric" && pair[1].parse() == Ok(DRAIN_METRIC);
    words.windows(2).any(is_it)
}

/// Targets that are none of the three shapes (`*:N`, which newer FRR takes) are foreign.
fn targets(settings: &mut BgpSettings, direction: &str, list: &[&str]) {
    let list = || list.iter().filter_map(|target| target.parse::<RouteTarget>().ok());
    if matches!(direction, "import" | "both") {
        settings.import.extend(list());
    }
    if matches!(direction, "export" | "both") {
        settings.export.extend(list());
    }
}
