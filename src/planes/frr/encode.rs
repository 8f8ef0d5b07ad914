//! Objects to lines: what to say, seen from what stands, so that the wish holds.
//!
//! Owns the order of lines within one object. Only the difference is said, and what we do not know is left alone. Never
//! talks to a daemon; which locks and commits are put around the lines is the dialect's business.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::{
    actual::View,
    decode::Seen,
    line::{Direction, Family, Line},
    object::{
        BgpSettings, BgpVrf, Connected, DRAIN_METRIC, FrrObject, Kernel, Leak, ROUTE_MAPS, RouteMap, Sources,
        VrfVni,
    },
};
use crate::{
    model::RouteTarget,
    planes::{Operation, Verb},
};

/// A route target or distinguisher that nobody has: AS 0 must not be used (RFC 7607).
const PLACEHOLDER: RouteTarget = RouteTarget::As2(0, 0);

/// What must stand for a moment before an instance gets another rd, MED, or other targets: nothing advertised, or nothing
/// imported. Empty where the operation can be carried out at once.
///
/// Both take routes away and bring the same prefixes back; to the mind of who imports them, another MED and other export
/// targets do so, too. zebra forgets the next hop of such a prefix, its neighbour and its MAC, when it hears of both in one
/// burst: the new route's next hop is added as soon as it is read, the old one's removed later
/// (`zebra_rib_queue_evpn_route_add` and `_del` in zebra/zapi_msg.c and zebra_rib.c of FRR 8.4; mended in 8.4.5, 8.5.3 and
/// 9.0.1). With another rd, MED or export target that happens to all who import our routes; `attributes_in_place`: none of
/// them has such a zebra.
///
/// After `no rd` bgpd goes on with the old one, although it does not show it (`evpn_unconfigure_vrf_rd` in
/// bgpd/bgp_evpn_vty.c up to FRR 10.5, which derives one while the old one still counts as configured), until the L3VNI comes
/// anew: so its VNI goes for that moment, too.
pub fn quiet(
    operation: &Operation<FrrObject>,
    seen: &View,
    attributes_in_place: bool,
) -> Vec<Operation<FrrObject>> {
    let FrrObject::Bgp(wish) = &operation.object else { return Vec::new() };
    let standing = seen.bgp.get(&wish.vrf).filter(|standing| standing.asn == wish.asn);
    let Some(standing) = standing.filter(|_| operation.verb != Verb::Remove) else { return Vec::new() };
    let wish = wish.beside(standing);
    let mut settings = standing.settings.clone();
    let derived: BTreeSet<RouteTarget> = derived_target(&wish, seen).into_iter().collect();
    let exported = |settings: &BgpSettings| match settings.export.is_empty() {
        true => derived.clone(),
        false => settings.export.clone(),
    };
    let other_attributes = settings.less_preferred != wish.settings.less_preferred
        || exported(&settings) != exported(&wish.settings);
    if settings.rd != wish.settings.rd || (other_attributes && !attributes_in_place) {
        (settings.advertise_ipv4, settings.advertise_ipv6) = (false, false);
    }
    if settings.import != wish.settings.import {
        settings.import = BTreeSet::from([PLACEHOLDER]);
    }
    let mut vni = None;
    if wish.settings.rd.is_none() && settings.rd.take().is_some() {
        let block = seen.vrfs.get(&wish.vrf).filter(|block| block.vni.is_some());
        vni = block.map(|block| FrrObject::Vrf(VrfVni { vni: None, ..block.clone() }));
    }
    let instance = BgpVrf { settings, ..standing.clone() };
    let instance = (instance != *standing).then_some(FrrObject::Bgp(instance));
    vni.into_iter().chain(instance).map(|object| Operation { verb: Verb::Update, object }).collect()
}

/// The lines of one operation; empty where what was asked stands already. `Err` says why it must not be said at all.
pub fn lines(operation: &Operation<FrrObject>, seen: &View) -> Result<Vec<Line>, String> {
    if seen.holds(operation) {
        return Ok(Vec::new());
    }
    match (operation.verb, &operation.object) {
        (Verb::Remove, FrrObject::Vrf(block)) => Ok(vec![Line::NoVrf(block.vrf)]),
        (Verb::Remove, FrrObject::Bgp(instance)) => remove_bgp(instance, seen),
        (Verb::Remove, FrrObject::Leak(leak)) => {
            write_leak(&Leak { ipv4: false, ipv6: false, ..leak.clone() }, seen)
        }
        (Verb::Remove, FrrObject::Maps(_)) => {
            Ok(seen.maps.seen.keys().map(|map| Line::NoRouteMap(*map)).collect())
        }
        (_, FrrObject::Maps(_)) => Err("route-maps come with the instances that name them".into()),
        (verb, FrrObject::Vrf(wish)) => write_vrf(verb, wish, seen),
        (_, FrrObject::Leak(wish)) => write_leak(wish, seen),
        (_, FrrObject::Bgp(wish)) => write_bgp(wish, seen),
        (_, FrrObject::Base(_)) => Err("the default BGP instance is the operator's".into()),
    }
}

/// An old VNI goes first: zebra up to FRR 9 refuses to replace one. `no vni N` must name the one that is there: since
/// FRR 10 it removes whatever VNI the block has.
fn write_vrf(verb: Verb, wish: &VrfVni, seen: &View) -> Result<Vec<Line>, String> {
    let old = seen.vrfs.get(&wish.vrf).and_then(|block| block.vni);
    if let (Verb::Create, Some(old)) = (verb, old) {
        return Err(format!("vrf {} has `vni {old}` by now, from somebody else", wish.vrf));
    }
    let lines =
        [Some(Line::Vrf(wish.vrf)), old.map(Line::NoVni), wish.vni.map(Line::Vni), Some(Line::ExitVrf)];
    Ok(lines.into_iter().flatten().collect())
}

fn remove_bgp(instance: &BgpVrf, seen: &View) -> Result<Vec<Line>, String> {
    same_as(instance, seen)?;
    Ok(vec![Line::NoRouterBgp(instance.asn, instance.vrf)])
}

fn write_bgp(wish: &BgpVrf, seen: &View) -> Result<Vec<Line>, String> {
    same_as(wish, seen)?;
    let wish = &seen.beside_standing(wish);
    let (stands, mut old) = (seen.bgp.contains_key(&wish.vrf), seen.settings(wish.vrf));
    let mut lines = Vec::new();
    if wish.settings.uses_maps() && !seen.maps.are_whole() {
        lines = whole_maps(seen);
        seen.maps.let_go(&mut old);
    }
    lines.push(Line::RouterBgp(wish.asn, wish.vrf));
    lines.extend(wish.settings.router_id.filter(|_| old.router_id.is_none()).map(Line::RouterId));
    let drains = (old.less_preferred, wish.settings.less_preferred);
    let families = [
        (Family::Ipv4, redistribute(old.redistribute_ipv4, wish.settings.redistribute_ipv4, drains)),
        (Family::Ipv6, redistribute(old.redistribute_ipv6, wish.settings.redistribute_ipv6, drains)),
        (Family::Evpn, evpn(stands, &old, &wish.settings, derived_target(wish, seen))),
    ];
    for (family, inner) in families.into_iter().filter(|(_, inner)| !inner.is_empty()) {
        lines.push(Line::Family(family));
        lines.extend(inner);
        lines.push(Line::ExitFamily);
    }
    Ok(lines)
}

/// The default instance is the operator's: of it we say one line in each family, and never make it.
fn write_leak(wish: &Leak, seen: &View) -> Result<Vec<Line>, String> {
    let asn = seen.base.asn.ok_or("FRR has no default BGP instance (router bgp AS) that could import")?;
    let vrf = wish.vrf;
    let old = seen.leaks.get(&vrf).cloned().unwrap_or(Leak { vrf, ipv4: false, ipv6: false });
    let families = [(Family::Ipv4, old.ipv4, wish.ipv4), (Family::Ipv6, old.ipv6, wish.ipv6)];
    let mut lines = vec![Line::DefaultBgp(asn)];
    for (family, _, on) in families.into_iter().filter(|(_, old, wish)| old != wish) {
        lines.extend([Line::Family(family), Line::ImportVrf(vrf, on), Line::ExitFamily]);
    }
    Ok(lines)
}

/// bgpd cannot change the AS of an instance, and one of another AS is not the one that was asked for.
fn same_as(instance: &BgpVrf, seen: &View) -> Result<(), String> {
    match seen.bgp.get(&instance.vrf) {
        Some(standing) if standing.asn != instance.asn => Err(format!(
            "bgpd runs AS {} for vrf {}, not AS {}; FRR cannot change it in place",
            standing.asn, instance.vrf, instance.asn
        )),
        _ => Ok(()),
    }
}

/// Our maps as they are to be. They come before the lines that name them: bgpd looks at a changed map only seconds later
/// (`bgp route-map delay-timer`).
///
/// For as long bgpd holds on to a map that was named when it was deleted. Where one of that name is made meanwhile, it frees
/// the old one, and every instance that names it goes on with the freed memory (`route_map_add` in lib/routemap.c,
/// `bgp_redistribute_unset` in bgpd/bgp_zebra.c of FRR 8.4 to 10.3), until it dies of it or the seconds are over. So we never
/// delete a map that is named, and make a missing one only when no instance of a VRF names it.
fn whole_maps(seen: &View) -> Vec<Line> {
    let orphans = seen.bgp.values().filter(|instance| seen.maps.lack_one_of(&instance.settings));
    let mut lines: Vec<Line> = orphans.flat_map(forget_maps).collect();
    for map in ROUTE_MAPS {
        let entries = match seen.maps.seen.get(&map) {
            Some(Seen::Whole) => continue,
            Some(Seen::Altered(entries)) => entries.clone(),
            None => BTreeSet::new(),
        };
        lines.extend(entries.into_iter().map(|number| Line::NoRouteMapEntry(map, number)));
        lines.extend(Line::of_map(map).into_iter().chain([Line::ExitMap]));
    }
    lines
}

/// An instance takes in nothing through our maps any more.
fn forget_maps(instance: &BgpVrf) -> Vec<Line> {
    let BgpSettings { redistribute_ipv4, redistribute_ipv6, .. } = instance.settings;
    let families = [(Family::Ipv4, redistribute_ipv4), (Family::Ipv6, redistribute_ipv6)];
    let naming = families.into_iter().filter(|(_, sources)| sources.kernel != Kernel::No);
    let lines =
        naming.flat_map(|(family, _)| [Line::Family(family), Line::NoRedistributeKernel, Line::ExitFamily]);
    std::iter::once(Line::RouterBgp(instance.asn, instance.vrf)).chain(lines).collect()
}

/// One family's lines, of an instance that was less preferred or not, and is to be or not. What is new comes before what is
/// old goes.
fn redistribute(stands: Sources, wished: Sources, drains: (bool, bool)) -> Vec<Line> {
    let kernel = match (stands.kernel, wished.kernel) {
        (Kernel::No, Kernel::No) => None,
        (_, Kernel::No) => Some(Line::NoRedistributeKernel),
        (Kernel::Ours, _) if drains.0 == drains.1 => None,
        _ => Some(Line::RedistributeKernel(RouteMap::of(drains.1))),
    };
    let connected = connected(stands.connected, wished.connected, drains);
    let mut lines: Vec<Line> = kernel.into_iter().chain(connected).collect();
    lines.sort_by_key(|line| matches!(line, Line::Redistribute(false) | Line::NoRedistributeKernel));
    lines
}

/// A metric that is to change is said whether the line is there already or not: bgpd takes it over in place. Back to none at
/// all would withdraw every prefix for a moment, and 0 is the same.
fn connected(stands: Connected, wished: Connected, drains: (bool, bool)) -> Option<Line> {
    if wished == Connected::No {
        return (stands == Connected::Ours).then_some(Line::Redistribute(false));
    }
    let is_there = stands != Connected::No;
    match drains {
        (was, true) if !was || !is_there => Some(Line::RedistributeMetric(DRAIN_METRIC)),
        (true, false) if is_there => Some(Line::RedistributeMetric(0)),
        _ => (!is_there).then_some(Line::Redistribute(true)),
    }
}

/// What is advertised comes last, so that the first routes leave with the right targets.
fn evpn(stands: bool, old: &BgpSettings, wish: &BgpSettings, derived: Option<RouteTarget>) -> Vec<Line> {
    let mut lines = rd(stands, old.rd, wish.rd);
    lines.extend(targets(Direction::Import, &old.import, &wish.import, derived));
    lines.extend(targets(Direction::Export, &old.export, &wish.export, derived));
    let advertised = [
        (Family::Ipv4, old.advertise_ipv4, wish.advertise_ipv4),
        (Family::Ipv6, old.advertise_ipv6, wish.advertise_ipv6),
    ];
    let changed = advertised.into_iter().filter(|(_, old, wish)| old != wish);
    lines.extend(changed.map(|(family, _, wish)| Line::Advertise(family, wish)));
    lines
}

/// After `no rd` bgpd up to FRR 10.5 goes on with the old one (see `quiet`), and says nothing when it is told just that again
/// (`bgp_evpn_vrf_rd_matches_existing`): so an instance that shows none is told another one first.
fn rd(stands: bool, old: Option<RouteTarget>, wish: Option<RouteTarget>) -> Vec<Line> {
    match (old, wish) {
        _ if old == wish => Vec::new(),
        (None, Some(rd)) if stands => vec![Line::Rd(PLACEHOLDER, true), Line::Rd(rd, true)],
        (_, Some(rd)) => vec![Line::Rd(rd, true)],
        (old, None) => old.map(|rd| Line::Rd(rd, false)).into_iter().collect(),
    }
}

/// The target that bgpd derives for this VRF's L3VNI while none is configured.
fn derived_target(wish: &BgpVrf, seen: &View) -> Option<RouteTarget> {
    let vni = seen.vrfs.get(&wish.vrf)?.vni?;
    Some(RouteTarget::derived(wish.asn, vni))
}

/// The lines that lead from the old targets to the wished ones.
///
/// bgpd ignores without a word a configured target equal to the derived one as long as it holds that one (up to FRR
/// 10.3), and drops the derived one with the first other. So the derived one comes after the others, old ones go after
/// new ones have come, and where it is wished alone, another is there for the moment.
fn targets(
    direction: Direction,
    old: &BTreeSet<RouteTarget>,
    wish: &BTreeSet<RouteTarget>,
    derived: Option<RouteTarget>,
) -> Vec<Line> {
    let mut added: Vec<_> = wish.difference(old).copied().collect();
    added.sort_by_key(|target| Some(*target) == derived);
    let mut removed: Vec<_> = old.difference(wish).copied().collect();
    if old.is_empty() && derived.is_some_and(|derived| added == [derived]) {
        added.insert(0, PLACEHOLDER);
        removed.push(PLACEHOLDER);
    }
    let added = added.into_iter().map(|target| Line::Target(direction, target, true));
    added.chain(removed.into_iter().map(|target| Line::Target(direction, target, false))).collect()
}
