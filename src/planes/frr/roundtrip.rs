//! What is said is what is read: from any settings of an instance to any others, the lines said, kept as bgpd keeps them and
//! shown as it shows them, are read as the wish.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    actual::View,
    decode, encode,
    line::Line,
    object::{BgpSettings, BgpVrf, FrrObject, Sources, VrfVni},
};
use crate::{
    model::{Asn, IfName, RouteTarget},
    planes::{Operation, Verb},
};

/// A configuration as FRR keeps it: each block has its lines once, `no` takes one away, and a line with other arguments takes
/// the place of the one before.
#[derive(Default)]
struct Running {
    blocks: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    block: String,
    family: String,
}

impl Running {
    fn hear(&mut self, line: &Line) {
        let text = line.to_string();
        match line {
            Line::Vrf(_) | Line::RouterBgp(..) | Line::RouteMap(_) => {
                self.blocks.entry(text.clone()).or_default();
                (self.block, self.family) = (text, String::new());
            }
            Line::NoRouteMap(map) => drop(self.blocks.remove(&Line::RouteMap(*map).to_string())),
            Line::NoVrf(_) | Line::NoRouterBgp(..) => drop(self.blocks.remove(&text[3..])),
            Line::ExitVrf | Line::ExitMap => self.block.clear(),
            Line::Family(_) => self.family = text,
            Line::ExitFamily => self.family.clear(),
            _ => self.keep(&text),
        }
    }

    fn keep(&mut self, text: &str) {
        let block = self.blocks.get_mut(&self.block).expect("a line belongs to a block that was opened");
        let lines = block.entry(self.family.clone()).or_default();
        if let Some(gone) = text.strip_prefix("no ") {
            let more = [" metric", " route-map"].map(|word| format!("{gone}{word}"));
            lines.retain(|line| line != gone && !more.iter().any(|more| line.starts_with(more)));
            return;
        }
        for source in ["redistribute connected", "redistribute kernel"] {
            if text.starts_with(source) {
                lines.retain(|line| !line.starts_with(source));
            }
        }
        if text.starts_with("rd ") {
            lines.retain(|line| !line.starts_with("rd "));
        }
        lines.insert(text.to_owned());
    }

    fn show(&self) -> String {
        let mut text = "!\n".to_owned();
        for (block, families) in &self.blocks {
            text += &format!("{block}\n");
            for (family, lines) in families.iter().filter(|(_, lines)| !lines.is_empty()) {
                let is_family = !family.is_empty();
                text += &format!("{}{family}\n", if is_family { " !\n " } else { "" });
                lines.iter().for_each(|line| text += &format!("  {line}\n"));
                text += if is_family { " exit-address-family\n" } else { "" };
            }
            text += if block.starts_with("vrf") { "exit-vrf\n!\n" } else { "exit\n!\n" };
        }
        text
    }
}

fn targets() -> impl Strategy<Value = BTreeSet<RouteTarget>> {
    proptest::collection::btree_set(target(), 0..4)
}

/// Among them the one that bgpd derives for AS 64999 and VNI 1001.
fn target() -> impl Strategy<Value = RouteTarget> {
    prop_oneof![
        Just(RouteTarget::As2(64_999, 1001)),
        (1..=u16::MAX, any::<u32>()).prop_map(|(asn, number)| RouteTarget::As2(asn, number)),
        (0x1_0000..=u32::MAX, any::<u16>()).prop_map(|(asn, number)| RouteTarget::As4(asn, number)),
        (any::<[u8; 4]>(), any::<u16>())
            .prop_map(|(address, number)| RouteTarget::Ip(address.into(), number)),
    ]
}

fn settings() -> impl Strategy<Value = BgpSettings> {
    let sources = || any::<[bool; 2]>().prop_map(|[connected, kernel]| Sources::wished(connected, kernel));
    let sources = (sources(), sources());
    (any::<[bool; 3]>(), sources, proptest::option::of(target()), targets(), targets()).prop_map(
        |([drained, advertise_ipv4, advertise_ipv6], (ipv4, ipv6), rd, import, export)| BgpSettings {
            router_id: Some([10, 0, 0, 1].into()),
            redistribute_ipv4: ipv4,
            redistribute_ipv6: ipv6,
            less_preferred: drained && (ipv4 != Sources::default() || ipv6 != Sources::default()),
            advertise_ipv4,
            advertise_ipv6,
            rd,
            import,
            export,
        },
    )
}

fn vrf() -> IfName {
    "vrf-1001".parse().unwrap()
}

/// What is said to come to this, seen from what the daemon shows, and what it shows then.
fn told(running: &mut Running, object: FrrObject) -> String {
    let operation = Operation { verb: Verb::Update, object };
    let lines = encode::lines(&operation, &view(&running.show())).unwrap();
    lines.iter().for_each(|line| running.hear(line));
    running.show()
}

fn view(text: &str) -> View {
    let (vrfs, read) = (decode::vrf_blocks(text), decode::bgp(text));
    let vrfs = vrfs.into_iter().map(|(vrf, vni)| (vrf, VrfVni { vrf, vni, up: true })).collect();
    View { vrfs, bgp: read.vrfs, base: read.base, leaks: read.leaks, maps: read.maps }
}

proptest! {
    #[test]
    fn from_any_settings_to_any_others(
        history in proptest::collection::vec(settings(), 1..4),
        asn in 1..=u32::MAX,
        vni in 1..0x100_0000_u32,
    ) {
        let (mut running, asn) = (Running::default(), Asn::new(asn).unwrap());
        told(&mut running, FrrObject::Vrf(VrfVni { vrf: vrf(), vni: Some(vni), up: true }));
        for settings in history {
            let instance = BgpVrf { vrf: vrf(), asn, settings };
            let text = told(&mut running, FrrObject::Bgp(instance.clone()));
            let seen = view(&text);
            prop_assert_eq!(seen.bgp.get(&vrf()), Some(&instance), "{}", text);
            prop_assert_eq!(seen.vrfs.get(&vrf()).and_then(|block| block.vni), Some(vni), "{}", text);
        }
    }

    #[test]
    fn from_any_vni_to_any_other(
        first in 1..0x100_0000_u32,
        then in proptest::collection::vec(proptest::option::of(1..0x100_0000_u32), 0..5),
    ) {
        let mut running = Running::default();
        for vni in std::iter::once(Some(first)).chain(then) {
            let text = told(&mut running, FrrObject::Vrf(VrfVni { vrf: vrf(), vni, up: true }));
            prop_assert_eq!(view(&text).vrfs.get(&vrf()).map(|block| block.vni), Some(vni), "{}", text);
        }
    }
}
