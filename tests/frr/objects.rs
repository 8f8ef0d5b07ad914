//! Objects of the FRR plane in few words.

use bgp_agent::{
    model::{Asn, IfName, RouteTarget},
    planes::frr::object::{BgpSettings, BgpVrf, FrrObject, Sources, VrfVni},
};

/// vrf-N
pub fn name(number: u32) -> IfName {
    format!("vrf-{number}").parse().unwrap()
}

/// The block of vrf-N, with N as its VNI, not up.
pub fn vrf(number: u32) -> FrrObject {
    vrf_with(number, Some(number))
}

/// The block of vrf-N.
pub fn vrf_with(number: u32, vni: Option<u32>) -> FrrObject {
    FrrObject::Vrf(VrfVni { vrf: name(number), vni, up: false })
}

/// The block of vrf-N, with N as its VNI, up.
pub fn vrf_up(number: u32) -> FrrObject {
    FrrObject::Vrf(VrfVni { vrf: name(number), vni: Some(number), up: true })
}

/// The instance of vrf-N as it is wished.
pub fn bgp(asn: u32, number: u32, targets: &[&str]) -> FrrObject {
    let targets = || targets.iter().map(|target| target.parse::<RouteTarget>().unwrap()).collect();
    let settings = BgpSettings {
        rd: Some(format!("10.0.0.1:{number}").parse().unwrap()),
        import: targets(),
        export: targets(),
        ..BgpSettings::advertising(Sources::wished(true, false))
    };
    bgp_with(asn, number, settings)
}

/// The instance of vrf-N.
pub fn bgp_with(asn: u32, number: u32, settings: BgpSettings) -> FrrObject {
    FrrObject::Bgp(BgpVrf { vrf: name(number), asn: Asn::new(asn).unwrap(), settings })
}
