//! Objects to lines: what to say, seen from what stands, so that the wish holds.
//!
//! Owns the order of lines within one object. Only the difference is said, and what we do not know is left alone. Never
//! talks to a daemon; which locks and commits are put around the lines is the dialect's business.

use std::collections::BTreeSet;

use super::{
    actual::View,
    decode::Maps,
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

/// What must stand for a moment before an instance gets another rd or other import targets: nothing advertised, or nothing
/// imported. Empty where the operation can be carried out at once.
///
/// Both take routes away and bring the same prefixes back. zebra forgets the next hop of such a prefix, its neighbour and its
/// MAC, when it hears of both in one burst: the new route's next hop is added as soon as it is read, the old one's removed
/// later (`zebra_rib_queue_evpn_route_add` and `_del` in zebra/zapi_msg.c and zebra_rib.c of FRR 8.4). With another rd that
/// happens to all who import our routes.
///
/// After `no rd` bgpd goes on with the old one, although it does not show it (`evpn_unconfigure_vrf_rd` in
/// bgpd/bgp_evpn_vty.c up to FRR 10.5, which derives one while the old one still counts as configured), until the L3VNI comes
/// anew: so its VNI goes for that moment, too.
pub fn quiet(operation: &Operation<FrrObject>, seen: &View) -> Vec<Operation<FrrObject>> {
    let FrrObject::Bgp(wish) = &operation.object else { return Vec::new() };
    let standing = seen.bgp.get(&wish.vrf).filter(|standing| standing.asn == wish.asn);
    let Some(standing) = standing.filter(|_| operation.verb != Verb::Remove) else { return Vec::new() };
    let mut settings = standing.settings.clone();
    if settings.rd != wish.settings.rd {
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
    let (stands, old) = (seen.bgp.contains_key(&wish.vrf), seen.settings(wish.vrf));
    let mut lines = if wish.settings.uses_maps() { missing_maps(&seen.maps) } else { Vec::new() };
    lines.push(Line::RouterBgp(wish.asn, wish.vrf));
    lines.extend(wish.settings.router_id.filter(|_| old.router_id.is_none()).map(Line::RouterId));
    let families = [
        (
            Family::Ipv4,
            redistribute(old.redistribute_ipv4, wish.settings.redistribute_ipv4, &old, &wish.settings),
        ),
        (
            Family::Ipv6,
            redistribute(old.redistribute_ipv6, wish.settings.redistribute_ipv6, &old, &wish.settings),
        ),
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

/// The maps come before the lines that name them: bgpd looks at a changed map only seconds later (`bgp route-map
/// delay-timer`).
fn missing_maps(seen: &Maps) -> Vec<Line> {
    let missing = ROUTE_MAPS.into_iter().filter(|map| seen.seen.get(map) != Some(&true));
    let lines = missing.flat_map(|map| {
        let changed = seen.seen.contains_key(&map).then_some(Line::NoRouteMap(map));
        changed.into_iter().chain(map_body(map)).chain([Line::ExitMap])
    });
    lines.collect()
}

/// What one of our route-maps is made of.
pub fn map_body(map: RouteMap) -> [Line; 3] {
    [Line::RouteMap(map), Line::MatchExposed, Line::SetMed(map.med())]
}

/// One family's lines. What is new comes before what is old goes.
fn redistribute(stands: Sources, wished: Sources, old: &BgpSettings, wish: &BgpSettings) -> Vec<Line> {
    let kernel = match (stands.kernel, wished.kernel) {
        (Kernel::No, Kernel::No) => None,
        (_, Kernel::No) => Some(Line::NoRedistributeKernel),
        (Kernel::Ours, _) if old.less_preferred == wish.less_preferred => None,
        _ => Some(Line::RedistributeKernel(RouteMap::of(wish.less_preferred))),
    };
    let connected = connected(stands.connected, wished.connected, old, wish);
    let mut lines: Vec<Line> = kernel.into_iter().chain(connected).collect();
    lines.sort_by_key(|line| matches!(line, Line::Redistribute(false) | Line::NoRedistributeKernel));
    lines
}

/// A metric that is to change is said whether the line is there already or not: bgpd takes it over in place. Back to none at
/// all would withdraw every prefix for a moment, and 0 is the same.
fn connected(stands: Connected, wished: Connected, old: &BgpSettings, wish: &BgpSettings) -> Option<Line> {
    if wished == Connected::No {
        return (stands == Connected::Ours).then_some(Line::Redistribute(false));
    }
    let is_there = stands != Connected::No;
    match (old.less_preferred, wish.less_preferred) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::IfName,
        planes::frr::object::{BgpBase, UnusedMaps},
    };

    const VRF: &str = "vrf-1001";

    fn name() -> IfName {
        VRF.parse().unwrap()
    }

    fn block(vni: Option<u32>) -> FrrObject {
        FrrObject::Vrf(VrfVni { vrf: name(), vni, up: true })
    }

    fn instance(asn: u32, settings: BgpSettings) -> FrrObject {
        FrrObject::Bgp(BgpVrf { vrf: name(), asn: asn.to_string().parse().unwrap(), settings })
    }

    fn wished(rd: Option<&str>, targets: &[&str]) -> BgpSettings {
        let list = || targets.iter().map(|target| target.parse().unwrap()).collect();
        BgpSettings {
            router_id: None,
            redistribute_ipv4: Sources::wished(true, false),
            redistribute_ipv6: Sources::wished(true, false),
            less_preferred: false,
            advertise_ipv4: true,
            advertise_ipv6: true,
            rd: rd.map(|rd| rd.parse().unwrap()),
            import: list(),
            export: list(),
        }
    }

    fn seeing(objects: &[FrrObject]) -> View {
        let mut view = View::default();
        for object in objects {
            view.assume(&Operation { verb: Verb::Create, object: object.clone() });
            if let FrrObject::Base(base) = object {
                view.base = base.clone();
            }
        }
        view
    }

    fn said(verb: Verb, object: FrrObject, seen: &[FrrObject]) -> Vec<String> {
        let lines = lines(&Operation { verb, object }, &seeing(seen)).unwrap();
        lines.iter().map(Line::to_string).collect()
    }

    #[test]
    fn less_preferred_and_back_is_said_in_place() {
        let wish = |less_preferred| instance(64999, BgpSettings { less_preferred, ..wished(None, &[]) });
        let words = said(Verb::Update, wish(true), &[wish(false)]);
        assert_eq!(
            words.iter().filter(|line| *line == "redistribute connected metric 4294967294").count(),
            2
        );
        let words = said(Verb::Update, wish(false), &[wish(true)]);
        assert_eq!(words.iter().filter(|line| *line == "redistribute connected metric 0").count(), 2);
        assert!(!words.iter().any(|line| line.starts_with("no ")), "{words:?}");
    }

    fn by_routes(less_preferred: bool) -> FrrObject {
        let routes = Sources::wished(false, true);
        let shape = BgpSettings { redistribute_ipv4: routes, redistribute_ipv6: routes, ..wished(None, &[]) };
        instance(64999, BgpSettings { less_preferred, ..shape })
    }

    #[test]
    fn route_maps_come_before_the_first_that_names_them_and_go_behind_the_last() {
        let words = said(Verb::Create, by_routes(false), &[]);
        let expected = [
            "route-map bgp-agent-routes permit 10",
            "match metric 182",
            "set metric 0",
            "exit",
            "route-map bgp-agent-drained permit 10",
            "match metric 182",
            "set metric 4294967294",
            "exit",
            "router bgp 64999 vrf vrf-1001",
            "address-family ipv4 unicast",
            "redistribute kernel route-map bgp-agent-routes",
        ];
        assert_eq!(words[..expected.len()], expected);
        let mut view = seeing(&[by_routes(false)]);
        let remove = |object| Operation { verb: Verb::Remove, object };
        let maps = remove(FrrObject::Maps(UnusedMaps));
        assert!(view.holds(&maps), "an instance names them");
        view.assume(&remove(by_routes(false)));
        assert!(view.objects().contains(&maps.object));
        let gone: Vec<String> = lines(&maps, &view).unwrap().iter().map(Line::to_string).collect();
        assert_eq!(gone, ["no route-map bgp-agent-routes", "no route-map bgp-agent-drained"]);
        view.assume(&maps);
        assert!(view.holds(&maps) && !view.objects().contains(&maps.object));
    }

    #[test]
    fn of_routes_less_preferred_is_another_route_map_in_place() {
        let words = said(Verb::Update, by_routes(true), &[by_routes(false)]);
        let line = "redistribute kernel route-map bgp-agent-drained";
        assert_eq!(words.iter().filter(|said| *said == line).count(), 2);
        assert!(
            !words.iter().any(|said| said.starts_with("no ") || said.starts_with("route-map")),
            "{words:?}"
        );
    }

    #[test]
    fn one_shape_takes_the_place_of_the_other() {
        let dummy = instance(64999, wished(None, &[]));
        for (from, to, come, go) in [
            (
                &dummy,
                by_routes(false),
                "redistribute kernel route-map bgp-agent-routes",
                "no redistribute connected",
            ),
            (&by_routes(false), dummy.clone(), "redistribute connected", "no redistribute kernel"),
        ] {
            let words = said(Verb::Update, to, std::slice::from_ref(from));
            let at = |line| words.iter().position(|said| said == line).unwrap();
            assert_eq!(at(go), at(come) + 1, "{words:?}");
        }
    }

    #[test]
    fn a_changed_route_map_is_made_anew_and_named_again() {
        let mut view = seeing(&[by_routes(false)]);
        view.maps.seen.insert(RouteMap::Routes, false);
        let FrrObject::Bgp(bgp) = by_routes(false) else { unreachable!() };
        let mut seen = bgp.clone();
        seen.settings.redistribute_ipv4.kernel = Kernel::Broken;
        seen.settings.redistribute_ipv6.kernel = Kernel::Broken;
        assert!(!seen.settings.meet(&bgp.settings));
        view.bgp.insert(bgp.vrf, seen);
        let update = Operation { verb: Verb::Update, object: FrrObject::Bgp(bgp) };
        let words: Vec<String> = lines(&update, &view).unwrap().iter().map(Line::to_string).collect();
        assert_eq!(words[..2], ["no route-map bgp-agent-routes", "route-map bgp-agent-routes permit 10"]);
        assert!(!words.iter().any(|line| line.contains("bgp-agent-drained")), "that one is whole: {words:?}");
        assert!(words.contains(&"redistribute kernel route-map bgp-agent-routes".to_owned()), "{words:?}");
    }

    #[test]
    fn what_an_operator_has_refined_stays_with_routes() {
        let FrrObject::Bgp(mut theirs) = by_routes(false) else { unreachable!() };
        let wish = theirs.settings.clone();
        theirs.settings.redistribute_ipv4.connected = Connected::Refined;
        assert!(theirs.settings.meet(&wish));
        theirs.settings.redistribute_ipv4.connected = Connected::Ours;
        assert!(!theirs.settings.meet(&wish));
    }

    #[test]
    fn a_line_that_comes_back_while_less_preferred_is_so_too() {
        let standing =
            BgpSettings { less_preferred: true, redistribute_ipv6: Sources::default(), ..wished(None, &[]) };
        let wish = BgpSettings { redistribute_ipv6: Sources::wished(true, false), ..standing.clone() };
        let words = said(Verb::Update, instance(64999, wish), &[instance(64999, standing)]);
        assert_eq!(words[1..3], ["address-family ipv6 unicast", "redistribute connected metric 4294967294"]);
    }

    #[test]
    fn a_router_id_is_given_where_there_is_none() {
        let id = |last: u8| Some([10, 0, 0, last].into());
        let wish = BgpSettings { router_id: id(1), ..wished(None, &[]) };
        let theirs = BgpSettings { router_id: id(9), ..wished(None, &[]) };
        assert!(!wished(None, &[]).meet(&wish) && wish.meet(&wish) && theirs.meet(&wish));
        let create = Operation { verb: Verb::Create, object: instance(64999, wish.clone()) };
        let said = lines(&create, &View::default()).unwrap();
        assert_eq!(said[1].to_string(), "bgp router-id 10.0.0.1");
        let update = Operation { verb: Verb::Update, object: instance(64999, wish) };
        let said = lines(&update, &seeing(&[instance(64999, theirs)])).unwrap();
        assert!(!said.iter().any(|line| matches!(line, Line::RouterId(_))), "{said:?}");
    }

    #[test]
    fn a_new_vrf_with_its_vni() {
        let lines = ["vrf vrf-1001", "vni 1001", "exit-vrf"];
        assert_eq!(said(Verb::Create, block(Some(1001)), &[]), lines);
        assert_eq!(said(Verb::Create, block(Some(1001)), &[block(None)]), lines);
    }

    #[test]
    fn an_old_vni_goes_by_its_number() {
        let lines = ["vrf vrf-1001", "no vni 7", "vni 1001", "exit-vrf"];
        assert_eq!(said(Verb::Update, block(Some(1001)), &[block(Some(7))]), lines);
        let lines = ["vrf vrf-1001", "no vni 7", "exit-vrf"];
        assert_eq!(said(Verb::Update, block(None), &[block(Some(7))]), lines);
    }

    #[test]
    fn what_stands_is_not_said_again() {
        let standing = [block(Some(1001)), instance(64999, wished(None, &["64999:1"]))];
        for object in &standing {
            assert!(said(Verb::Create, object.clone(), &standing).is_empty());
            assert!(said(Verb::Remove, object.clone(), &[]).is_empty());
        }
    }

    #[test]
    fn a_new_instance_is_the_whole_template() {
        let lines = [
            "router bgp 64999 vrf vrf-1001",
            "address-family ipv4 unicast",
            "redistribute connected",
            "exit-address-family",
            "address-family ipv6 unicast",
            "redistribute connected",
            "exit-address-family",
            "address-family l2vpn evpn",
            "rd 10.0.0.1:5",
            "route-target import 64999:1001",
            "route-target export 64999:1001",
            "advertise ipv4 unicast",
            "advertise ipv6 unicast",
            "exit-address-family",
        ];
        let wish = instance(64999, wished(Some("10.0.0.1:5"), &["64999:1001"]));
        assert_eq!(said(Verb::Create, wish, &[]), lines);
    }

    #[test]
    fn a_changed_instance_is_the_difference() {
        let seen = instance(64999, wished(Some("10.0.0.1:5"), &["64999:1", "64999:2"]));
        let lines = [
            "router bgp 64999 vrf vrf-1001",
            "address-family l2vpn evpn",
            "no rd 10.0.0.1:5",
            "route-target import 64999:3",
            "no route-target import 64999:1",
            "route-target export 64999:3",
            "no route-target export 64999:1",
            "exit-address-family",
        ];
        let wish = instance(64999, wished(None, &["64999:2", "64999:3"]));
        assert_eq!(said(Verb::Update, wish, &[seen]), lines);
    }

    fn imports(old: &[&str], wish: &[&str]) -> Vec<String> {
        let seen = [block(Some(1001)), instance(64999, wished(None, old))];
        let lines = said(Verb::Update, instance(64999, wished(None, wish)), &seen);
        lines.into_iter().filter(|line| line.contains("import")).collect()
    }

    #[test]
    fn the_target_that_bgpd_derives_is_made_to_be_configured() {
        let alone =
            ["route-target import 0:0", "route-target import 64999:1001", "no route-target import 0:0"];
        assert_eq!(imports(&[], &["64999:1001"]), alone);
        let last = ["route-target import 65000:1", "route-target import 64999:1001"];
        assert_eq!(imports(&[], &["64999:1001", "65000:1"]), last);
        let replacing = ["route-target import 64999:1001", "no route-target import 64999:1"];
        assert_eq!(imports(&["64999:1"], &["64999:1001"]), replacing);
    }

    #[test]
    fn the_default_instance_is_told_only_what_it_lacks() {
        let leak = |ipv4, ipv6| FrrObject::Leak(Leak { vrf: name(), ipv4, ipv6 });
        let base = FrrObject::Base(BgpBase { asn: "64512".parse().ok(), ..BgpBase::default() });
        let lines = |verb, standing: &[FrrObject]| said(verb, leak(true, true), standing);
        let (open, close) = (["router bgp 64512", "address-family ipv6 unicast"], "exit-address-family");
        let half = [base.clone(), leak(true, false)];
        assert_eq!(lines(Verb::Update, &half), [open[0], open[1], "import vrf vrf-1001", close]);
        let whole = [base, leak(false, true)];
        assert_eq!(lines(Verb::Remove, &whole), [open[0], open[1], "no import vrf vrf-1001", close]);
        let operation = Operation { verb: Verb::Create, object: leak(true, true) };
        assert!(super::lines(&operation, &View::default()).unwrap_err().contains("no default BGP instance"));
    }

    #[test]
    fn routes_are_away_for_a_moment_before_they_come_back_otherwise() {
        let standing = [block(Some(1001)), instance(64999, wished(None, &["64999:1"]))];
        let quiet = |verb, wish: BgpSettings, standing: &[FrrObject]| {
            let operations = quiet(&Operation { verb, object: instance(64999, wish) }, &seeing(standing));
            let lines = operations.into_iter().flat_map(|quiet| said(quiet.verb, quiet.object, standing));
            lines.collect::<Vec<_>>().join(" ")
        };
        let evpn = |lines: &str| {
            format!("router bgp 64999 vrf vrf-1001 address-family l2vpn evpn {lines} exit-address-family")
        };
        let withdrawn = evpn("no advertise ipv4 unicast no advertise ipv6 unicast");
        assert_eq!(quiet(Verb::Update, wished(Some("64999:5"), &["64999:1"]), &standing), withdrawn);
        let import_gone = evpn("route-target import 0:0 no route-target import 64999:1");
        let import = BgpSettings { import: BTreeSet::new(), ..wished(None, &["64999:1"]) };
        assert_eq!(quiet(Verb::Update, import, &standing), import_gone);

        let export = BgpSettings { export: BTreeSet::new(), ..wished(None, &["64999:1"]) };
        for (verb, wish) in [(Verb::Update, export), (Verb::Remove, BgpSettings::default())] {
            assert_eq!(quiet(verb, wish, &standing), "");
        }

        let with_rd = [block(Some(1001)), instance(64999, wished(Some("64999:5"), &["64999:1"]))];
        let rd_gone = evpn("no rd 64999:5 no advertise ipv4 unicast no advertise ipv6 unicast");
        let rd_gone = format!("vrf vrf-1001 no vni 1001 exit-vrf {rd_gone}");
        assert_eq!(quiet(Verb::Update, wished(None, &["64999:1"]), &with_rd), rd_gone);
    }

    #[test]
    fn another_as_is_not_touched() {
        let seen = seeing(&[instance(65005, BgpSettings::default())]);
        for verb in [Verb::Create, Verb::Update, Verb::Remove] {
            let operation = Operation { verb, object: instance(64999, BgpSettings::default()) };
            assert!(lines(&operation, &seen).unwrap_err().contains("AS 65005"));
        }
    }
}
