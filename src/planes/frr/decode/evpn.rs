//! The L3VNIs that zebra has, from `show evpn vni [detail|N] json`, or from the same without `json`.
//!
//! An L3VNI stands in the list as soon as `vni N` is configured in a VRF and EVPN is on; only the detailed form has its
//! state, which is Up when VRF, VXLAN device and bridge all are (`is_l3vni_oper_up`, zebra/zebra_vxlan_private.h). With EVPN
//! off, 8.4 answers with nothing at all and 10 with an empty list.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One element of the list. The VRF is not read: it is called `vrf` in 8.4, `tenantVrf` in 10, and the number is unique.
#[derive(Deserialize)]
struct Shown {
    vni: Option<u32>,
    #[serde(rename = "type")]
    kind: Option<String>,
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Detail(Vec<Shown>),
    One(Shown),
}

/// Which L3VNIs zebra has, by number, and whether each is Up.
pub fn l3vnis(text: &str) -> BTreeMap<u32, bool> {
    match serde_json::from_str(text) {
        Ok(Answer::Detail(list)) => list.into_iter().filter_map(l3vni).collect(),
        Ok(Answer::One(one)) => l3vni(one).into_iter().collect(),
        Err(_) => plain(text),
    }
}

fn l3vni(shown: Shown) -> Option<(u32, bool)> {
    let level3 = shown.kind.as_deref() == Some("L3");
    shown.vni.filter(|_| level3).map(|vni| (vni, shown.state.as_deref() == Some("Up")))
}

/// The form without JSON: `VNI: N`, then indented `Type: L3` and `State: Up` among others.
fn plain(text: &str) -> BTreeMap<u32, bool> {
    let mut found = BTreeMap::new();
    let (mut vni, mut level3) = (None, false);
    for line in text.lines() {
        match line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("VNI", number)) => (vni, level3) = (number.parse().ok(), false),
            Some(("Type", kind)) => level3 = kind == "L3",
            Some(("State", state)) if level3 => found.extend(vni.map(|vni| (vni, state == "Up"))),
            _ => {}
        }
    }
    found
}
