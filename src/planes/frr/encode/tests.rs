//! What is said for one operation, line by line.

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
        rd: rd.map(|rd| rd.parse().unwrap()),
        import: list(),
        export: list(),
        ..BgpSettings::advertising(Sources::wished(true, false))
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
    assert_eq!(words.iter().filter(|line| *line == "redistribute connected metric 4294967294").count(), 2);
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
    assert!(!words.iter().any(|said| said.starts_with("no ") || said.starts_with("route-map")), "{words:?}");
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
fn a_changed_route_map_gets_new_entries_and_is_never_deleted() {
    let mut view = seeing(&[by_routes(false)]);
    view.maps.seen.insert(RouteMap::Routes, Seen::Altered([5, 10].into()));
    let FrrObject::Bgp(bgp) = by_routes(false) else { unreachable!() };
    let mut seen = bgp.clone();
    seen.settings.redistribute_ipv4.kernel = Kernel::Broken;
    seen.settings.redistribute_ipv6.kernel = Kernel::Broken;
    assert!(!seen.settings.meet(&bgp.settings));
    view.bgp.insert(bgp.vrf, seen);
    let update = Operation { verb: Verb::Update, object: FrrObject::Bgp(bgp) };
    let words: Vec<String> = lines(&update, &view).unwrap().iter().map(Line::to_string).collect();
    let expected = [
        "no route-map bgp-agent-routes permit 5",
        "no route-map bgp-agent-routes permit 10",
        "route-map bgp-agent-routes permit 10",
    ];
    assert_eq!(words[..3], expected);
    assert!(!words.iter().any(|line| line.contains("bgp-agent-drained")), "that one is whole: {words:?}");
    assert!(words.contains(&"redistribute kernel route-map bgp-agent-routes".to_owned()), "{words:?}");
}

#[test]
fn a_missing_route_map_is_made_when_no_instance_names_it_any_more() {
    let FrrObject::Bgp(first) = by_routes(true) else { unreachable!() };
    let second = BgpVrf { vrf: "vrf-1002".parse().unwrap(), ..first.clone() };
    let third = instance(64999, wished(None, &[]));
    let FrrObject::Bgp(third) = third else { unreachable!() };
    let third = BgpVrf { vrf: "vrf-1003".parse().unwrap(), ..third };
    let mut view = seeing(&[&first, &second, &third].map(|bgp| FrrObject::Bgp(bgp.clone())));
    view.maps.seen.remove(&RouteMap::Drained);
    for instance in view.bgp.values_mut().filter(|instance| instance.settings.uses_maps()) {
        instance.settings.redistribute_ipv4.kernel = Kernel::Broken;
        instance.settings.redistribute_ipv6.kernel = Kernel::Broken;
    }
    let mut said = Vec::new();
    for wish in [first, second] {
        let update = Operation { verb: Verb::Update, object: FrrObject::Bgp(wish) };
        said.push(lines(&update, &view).unwrap().iter().map(Line::to_string).collect::<Vec<_>>());
        view.assume(&update);
        assert!(view.holds(&update));
    }
    let made = said[0].iter().position(|line| line == "route-map bgp-agent-drained permit 10").unwrap();
    let (before, after) = said[0].split_at(made);
    for vrf in ["vrf-1001", "vrf-1002"] {
        assert!(before.contains(&format!("router bgp 64999 vrf {vrf}")), "{before:?}");
    }
    assert!(!before.contains(&"router bgp 64999 vrf vrf-1003".to_owned()), "it names none: {before:?}");
    assert_eq!(before.iter().filter(|line| *line == "no redistribute kernel").count(), 4);
    let named = |said: &[String]| {
        said.iter().filter(|line| *line == "redistribute kernel route-map bgp-agent-drained").count()
    };
    assert_eq!((named(before), named(after), named(&said[1])), (0, 2, 2));
    assert!(!said[1].iter().any(|line| line.starts_with("route-map")), "{said:?}");
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
fn the_rd_of_the_python_agent_stays_where_none_is_wished() {
    let wish = BgpSettings { router_id: Some([10, 0, 0, 1].into()), ..wished(None, &[]) };
    let with = |rd: &str| BgpSettings { rd: rd.parse().ok(), ..wish.clone() };
    let stays = |standing: BgpSettings| {
        let (wish, standing) = (instance(64999, wish.clone()), instance(64999, standing));
        let update = Operation { verb: Verb::Update, object: wish };
        let seen = seeing(std::slice::from_ref(&standing));
        let says_nothing = lines(&update, &seen).unwrap().is_empty();
        assert_eq!(super::quiet(&update, &seen, false).is_empty(), says_nothing);
        says_nothing
    };
    assert!(stays(with("10.0.0.1:1001")));
    assert!(!stays(with("10.0.0.1:1002")) && !stays(with("10.0.0.2:1001")) && !stays(with("64999:1001")));
    let adopted =
        BgpSettings { router_id: None, redistribute_ipv6: Sources::default(), ..with("10.0.0.1:1001") };
    let words = said(Verb::Update, instance(64999, wish.clone()), &[instance(64999, adopted.clone())]);
    assert!(!words.iter().any(|line| line.contains("rd ")), "{words:?}");
    let other = BgpSettings { rd: "64999:5".parse().ok(), ..wish.clone() };
    let words = said(Verb::Update, instance(64999, other), &[instance(64999, adopted)]);
    assert!(words.contains(&"rd 64999:5".to_owned()), "{words:?}");
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
    let alone = ["route-target import 0:0", "route-target import 64999:1001", "no route-target import 0:0"];
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
        let operations = quiet(&Operation { verb, object: instance(64999, wish) }, &seeing(standing), false);
        let lines = operations.into_iter().flat_map(|quiet| said(quiet.verb, quiet.object, standing));
        lines.collect::<Vec<_>>().join(" ")
    };
    let evpn = |lines: &str| {
        format!("router bgp 64999 vrf vrf-1001 address-family l2vpn evpn {lines} exit-address-family")
    };
    let withdrawn = evpn("no advertise ipv4 unicast no advertise ipv6 unicast");
    assert_eq!(quiet(Verb::Update, wished(Some("64999:5"), &["64999:1"]), &standing), withdrawn);
    let drained = BgpSettings { less_preferred: true, ..wished(None, &["64999:1"]) };
    assert_eq!(quiet(Verb::Update, drained.clone(), &standing), withdrawn);
    let drain = Operation { verb: Verb::Update, object: instance(64999, drained) };
    assert_eq!(super::quiet(&drain, &seeing(&standing), true), []);
    let import_gone = evpn("route-target import 0:0 no route-target import 64999:1");
    let import = BgpSettings { import: BTreeSet::new(), ..wished(None, &["64999:1"]) };
    assert_eq!(quiet(Verb::Update, import, &standing), import_gone);

    let export = BgpSettings { export: BTreeSet::new(), ..wished(None, &["64999:1"]) };
    assert_eq!(quiet(Verb::Update, export, &standing), withdrawn);
    assert_eq!(quiet(Verb::Update, wished(None, &["64999:1"]), &standing), "");
    assert_eq!(quiet(Verb::Remove, BgpSettings::default(), &standing), "");
    let by_itself = [block(Some(1001)), instance(64999, wished(None, &[]))];
    let said = BgpSettings { export: BTreeSet::from(["64999:1001".parse().unwrap()]), ..wished(None, &[]) };
    assert_eq!(quiet(Verb::Update, said, &by_itself), "", "it is what bgpd derives anyway");

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
