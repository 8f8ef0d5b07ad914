//! Routers whose routes OVN itself hands to the fabric (`dynamic-routing`, since OVN 25.03), which are left alone.
//!
//! northd copies the router's options to each of its cr-lrps (`ovn_port_update_sbrec` in northd/northd.c). The
//! ovn-controller that holds such a port writes what Advertised_Route lists, with routing protocol 84, into a table of its
//! own: that of a VRF that the operator or ovn-controller itself makes (controller/route.c, controller/route-exchange.c).

use super::names;
use crate::{
    model::{IfName, Vni},
    ovsdb::tables::PortBinding,
};

/// Whether OVN advertises the routes of this cr-lrp's router.
pub fn is_on(redirect: &PortBinding) -> bool {
    // As OVN reads a boolean (`smap_get_bool` in lib/smap.c of OVS).
    redirect.options.get("dynamic-routing").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Why an annotation of this cr-lrp's router is not followed; None: OVN does not advertise its routes.
pub fn conflict(redirect: &PortBinding) -> Option<String> {
    is_on(redirect).then(|| {
        "OVN itself advertises the routes of this router (its options:dynamic-routing is true), and the agent leaves them \
         alone: remove that option or the annotation"
            .to_owned()
    })
}

/// The VNI whose VRF has the name that OVN uses for this router's routes, whoever makes that VRF.
pub fn vrf(redirect: &PortBinding) -> Option<Vni> {
    let name = redirect.options.get("dynamic-routing-vrf-name").filter(|_| is_on(redirect))?;
    let name: IfName = name.parse().ok()?;
    names::vni_of(&name).filter(|vni| names::vrf(*vni) == name)
}

/// Why a VNI is put aside whose VRF's name is used by the router of this gateway.
pub fn taken(vni: Vni, gateway: &str) -> String {
    format!(
        "OVN keeps the routes of another router in a VRF {} (dynamic-routing-vrf-name of the router of {gateway}): give \
         that one another name, or choose another VNI",
        names::vrf(vni)
    )
}
