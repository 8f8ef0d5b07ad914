//! Goldens of fixtures/frr, and texts that no FRR would write.

use std::collections::{BTreeMap, BTreeSet};

use super::{Bgp, asn, bgp, l3vnis, vrf_blocks, vrf_list};
use crate::{
    model::{Asn, IfName, RouteTarget},
    planes::frr::object::{BgpBase, BgpSettings, Connected, Kernel, Leak, Sources},
};

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn targets(list: &[&str]) -> BTreeSet<RouteTarget> {
    list.iter().map(|target| target.parse().unwrap()).collect()
}

/// What the operator's instance of vrf-1001 says, in both captures but for what only newer FRR takes.
fn operators_settings() -> BgpSettings {
    let refined = Sources { connected: Connected::Refined, kernel: Kernel::No };
    BgpSettings {
        router_id: Some([10, 9, 9, 9].into()),
        redistribute_ipv4: refined,
        redistribute_ipv6: refined,
        less_preferred: false,
        advertise_ipv4: true,
        advertise_ipv6: true,
        rd: Some("10.0.0.1:5".parse().unwrap()),
        import: targets(&["64999:1001", "4200000000:7", "10.0.0.9:9"]),
        export: targets(&["64999:1001"]),
    }
}

#[test]
fn bgpd_8_with_lines_of_an_operator() {
    let Bgp { base, vrfs, .. } = bgp(include_str!("../../../../fixtures/frr/8.4/bgpd-running.txt"));
    let asn = Some("64999".parse().unwrap());
    assert_eq!(base, BgpBase { asn, router_id: Some([10, 0, 0, 1].into()), evpn: true });
    assert_eq!(vrfs[&name("vrf-1001")].settings, operators_settings());
    let others: Vec<_> = vrfs.values().map(|bgp| (bgp.vrf.to_string(), bgp.asn.get())).collect();
    let known = [("vrf-1001", 64999), ("vrf-1002", 4_200_000_001), ("vrf-1003", 65004)];
    assert_eq!(others, known.map(|(vrf, asn)| (vrf.to_owned(), asn)));
    assert_eq!(vrfs[&name("vrf-1002")].settings, BgpSettings::default());
}

#[test]
fn bgpd_10_with_lines_of_an_operator() {
    let Bgp { base, vrfs, .. } = bgp(include_str!("../../../../fixtures/frr/10.7/bgpd-running.txt"));
    assert!(base.evpn, "the L2VNI's lines do not end the default instance");
    assert_eq!(vrfs[&name("vrf-1001")].settings, operators_settings(), "*:9 is foreign");
    let others: Vec<_> = vrfs.values().map(|bgp| (bgp.vrf.to_string(), bgp.asn.get())).collect();
    let known = [
        ("vrf-1001", 64999),
        ("vrf-1002", 4_200_000_001),
        ("vrf-1003", 65003),
        ("vrf-1004", 65546),
        ("vrf-1005", 65546),
    ];
    assert_eq!(others, known.map(|(vrf, asn)| (vrf.to_owned(), asn)));
}

#[test]
fn what_the_default_instance_imports_is_told_by_vrf_and_family() {
    let text = "router bgp 64999\n !\n address-family ipv4 unicast\n  import vrf bgp-vrf\n  import vrf other\n \
                import vrf route-map FROM\n exit-address-family\n !\n address-family ipv6 unicast\n  import vrf bgp-vrf\n \
                exit-address-family\nexit\n!\nrouter bgp 64999 vrf other\n address-family ipv4 unicast\n  import vrf x\n \
                exit-address-family\nexit\n";
    let leak = |vrf: &str, ipv6| (name(vrf), Leak { vrf: name(vrf), ipv4: true, ipv6 });
    assert_eq!(bgp(text).leaks, BTreeMap::from([leak("bgp-vrf", true), leak("other", false)]));
}

/// The agent was killed while it drained, say.
#[test]
fn an_instance_that_is_drained_by_half_lacks_the_other_half() {
    let text = |ipv6: &str| {
        format!(
            "router bgp 64999 vrf vrf-1\n address-family ipv4 unicast\n  redistribute connected metric 4294967294\n \
             exit-address-family\n address-family ipv6 unicast\n  redistribute connected{ipv6}\n exit-address-family\nexit\n"
        )
    };
    let settings = |ipv6| bgp(&text(ipv6)).vrfs.remove(&name("vrf-1")).unwrap().settings;
    let (half, whole) = (settings(""), settings(" metric 4294967294"));
    assert!(half.less_preferred && whole.less_preferred);
    assert_eq!([half.redistribute_ipv4, whole.redistribute_ipv6], [Sources::wished(true, false); 2]);
    assert_eq!(half.redistribute_ipv6, Sources::default());
    let refined = settings(" route-map THEIRS");
    assert_eq!(
        refined.redistribute_ipv6.connected,
        Connected::Refined,
        "an operator's line is no half of ours"
    );
}

/// Written before the address families (`bgp_config_write` in bgpd/bgp_vty.c).
#[test]
fn a_block_inside_an_instance_does_not_end_it() {
    let text = "router bgp 64999\n bgp router-id 10.0.0.1\n !\n segment-routing srv6\n  locator MAIN\n exit\n !\n \
                address-family ipv4 unicast\n  import vrf bgp-vrf\n exit-address-family\n !\n \
                address-family l2vpn evpn\n  advertise-all-vni\n exit-address-family\nexit\n!\nadvertise-all-vni\n";
    let seen = bgp(text);
    assert!(seen.base.evpn && seen.leaks.contains_key(&name("bgp-vrf")), "{seen:?}");
}

#[test]
fn vrf_blocks_end_where_frr_ends_them() {
    let indented =
        "frr version 8.4.4\nvrf vrf-1\n vni 1\n ip route 10.0.0.0/8 blackhole\nexit-vrf\n!\nvni 5\n";
    let flat = "vrf vrf-1\nvni 1 prefix-routes-only\nexit-vrf\n!\nvrf vrf-2\nexit-vrf\n!\n";
    assert_eq!(vrf_blocks(indented), BTreeMap::from([(name("vrf-1"), Some(1))]));
    assert_eq!(vrf_blocks(flat), BTreeMap::from([(name("vrf-1"), Some(1)), (name("vrf-2"), None)]));
}

#[test]
fn vrfs_that_are_not_devices_are_foreign() {
    let text = "vrf default\n vni 7\nexit-vrf\nvrf a-name-of-more-than-15\n vni 8\nexit-vrf\nvrf ok\n vni 9\nexit-vrf\n";
    assert_eq!(vrf_blocks(text), BTreeMap::from([(name("ok"), Some(9))]));
}

#[test]
fn show_vrf_tells_which_blocks_exist() {
    let text = "vrf vrf-1 inactive (configured)\nvrf vrf-2 id 2 table 1001 (configured)\nvrf vrf-3 id 3 table 1003\n";
    assert_eq!(vrf_list(text).collect::<Vec<_>>(), [name("vrf-1"), name("vrf-2")]);
}

#[test]
fn l3vnis_are_read_in_every_form() {
    let plain = "VNI: 1001\n  Type: L3\n  Tenant VRF: vrf-1001\n  State: Up\n  VNI Filter: none\n\n\
                 VNI: 77\n Type: L2\n State: Up\n\nVNI: 1002\n  Type: L3\n  State: Down\n";
    assert_eq!(l3vnis(plain), BTreeMap::from([(1001, true), (1002, false)]));
    let single = r#"{"vni":1001,"type":"L3","state":"Up","tenantVrf":"vrf-1001"}"#;
    assert_eq!(l3vnis(single), BTreeMap::from([(1001, true)]));
    let list =
        r#"[{"vni":5,"type":"L2","vrf":"vrf-1001"},{"vni":1001,"type":"L3","state":"Down","vrf":"Unknown"}]"#;
    assert_eq!(l3vnis(list), BTreeMap::from([(1001, false)]));
}

#[test]
fn an_l3vni_that_is_not_there_is_not_up() {
    for text in
        ["", "{}", "[]", "{\n}\n", "% VNI 1001 does not exist\n", "[1]", r#"[{"vni":-1,"type":"L3"}]"#, "nul"]
    {
        assert_eq!(l3vnis(text), BTreeMap::new(), "{text:?}");
    }
}

#[test]
fn cut_and_doubled_configurations_are_read_as_far_as_they_go() {
    let whole = include_str!("../../../../fixtures/frr/10.7/bgpd-running.txt");
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        bgp(&whole[..end]);
        vrf_blocks(&whole[..end]);
    }
    assert_eq!(bgp(&whole.repeat(2)), bgp(whole));
}

#[test]
fn as_numbers_are_read_in_both_notations() {
    assert_eq!(asn("4200000000"), Asn::new(4_200_000_000));
    assert_eq!(asn("1.10"), Asn::new(65546));
    assert_eq!(asn("0.0"), None);
    assert_eq!(asn("65536.1"), None);
}
