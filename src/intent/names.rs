//! The names of a VNI's devices: the blog's, as long as they fit into the kernel's 15 bytes.

use crate::model::{IfName, Vni};

/// `vrf-V`.
pub fn vrf(vni: Vni) -> IfName {
    name(format_args!("vrf-{vni}"))
}

/// `br-V`.
pub fn bridge(vni: Vni) -> IfName {
    name(format_args!("br-{vni}"))
}

/// `vxlan-V`.
pub fn vxlan(vni: Vni) -> IfName {
    name(format_args!("vxlan-{vni}"))
}

/// `lo-V`, the dummy that holds the advertised addresses.
pub fn dummy(vni: Vni) -> IfName {
    name(format_args!("lo-{vni}"))
}

/// The two ends of the `n`th veth pair, VRF's first: `veth-vrf-V` and `veth-ovs-V` for the first where the VNI has at
/// most six digits, else `vv-V.n` and `vo-V.n`.
pub fn veth(vni: Vni, n: usize) -> (IfName, IfName) {
    if n == 0 && vni.get() <= 999_999 {
        return (name(format_args!("veth-vrf-{vni}")), name(format_args!("veth-ovs-{vni}")));
    }
    (name(format_args!("vv-{vni}.{n}")), name(format_args!("vo-{vni}.{n}")))
}

/// The `n`th OVS internal port on a VLAN provider network: `vlan-V` for the first, else `vl-V.n`.
pub fn vlan(vni: Vni, n: usize) -> IfName {
    if n == 0 { name(format_args!("vlan-{vni}")) } else { name(format_args!("vl-{vni}.{n}")) }
}

/// The VLAN device on a provider bridge, by the Python agent's name: `br-ex.100`, of the bridge's name as much as fits.
pub fn vlan_of(bridge: IfName, tag: u16) -> IfName {
    let longest = IfName::MAX - ".4094".len();
    let bridge = bridge.as_str();
    name(format_args!("{}.{tag}", &bridge[..bridge.len().min(longest)]))
}

/// The VNI that a name of ours ends in: `vrf-1001` is 1001's. Says nothing of who made the device.
pub fn vni_of(name: &IfName) -> Option<Vni> {
    let (prefix, rest) = name.as_str().rsplit_once('-')?;
    let number = match prefix {
        "vrf" | "br" | "vxlan" | "veth-vrf" | "veth-ovs" => rest,
        "lo" | "vv" | "vo" | "vlan" | "vl" => rest.split('.').next()?,
        _ => return None,
    };
    number.parse().ok()
}

/// Whether a device has the name of a VNI's dummy. Asked of every address, so it makes no name to compare with.
pub fn is_dummy(name: &IfName) -> bool {
    let number =
        name.as_str().strip_prefix("lo-").filter(|number| number.starts_with(|c| matches!(c, '1'..='9')));
    number.is_some_and(|number| number.parse::<Vni>().is_ok())
}

/// All of ours are made of a short prefix, at most eight digits and at most a small index: they always fit.
fn name(text: std::fmt::Arguments<'_>) -> IfName {
    let text = text.to_string();
    match text.parse() {
        Ok(name) => name,
        Err(error) => unreachable!("device name {text}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_at_the_limits() {
        for number in [1, 999_999, 1_000_000, Vni::MAX] {
            let vni = Vni::new(number).unwrap();
            let (inner, outer) = veth(vni, 0);
            let (inner9, outer9) = veth(vni, 99);
            let all = [
                vrf(vni),
                bridge(vni),
                vxlan(vni),
                dummy(vni),
                inner,
                outer,
                inner9,
                outer9,
                vlan(vni, 0),
                vlan(vni, 99),
            ];
            for name in all {
                assert_eq!(vni_of(&name), Some(vni), "{name}");
            }
        }
    }

    #[test]
    fn a_dummy_is_known_by_its_name() {
        for name in ["lo-1001", "lo-16777215"] {
            assert!(is_dummy(&name.parse().unwrap()), "{name}");
        }
        for name in ["lo", "lo-", "lo-0", "lo-01001", "lo-+1001", "lo-1001.1", "lo-16777216", "vrf-1001"] {
            assert!(!is_dummy(&name.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn the_seeds_names() {
        let vni = Vni::new(1001).unwrap();
        let (inner, outer) = veth(vni, 0);
        let names =
            [vrf(vni), bridge(vni), vxlan(vni), dummy(vni), inner, outer].map(|name| name.to_string());
        assert_eq!(names, ["vrf-1001", "br-1001", "vxlan-1001", "lo-1001", "veth-vrf-1001", "veth-ovs-1001"]);
        assert_eq!(veth(Vni::new(1_000_000).unwrap(), 0).0.as_str(), "vv-1000000.0");
    }

    #[test]
    fn a_bridges_vlan_has_the_python_agents_name() {
        for (bridge, name) in [("br-ex", "br-ex.100"), ("br-provider-two", "br-provide.100")] {
            assert_eq!(vlan_of(bridge.parse().unwrap(), 100).as_str(), name);
        }
        assert_eq!(vni_of(&vlan_of("br-1001".parse().unwrap(), 4094)), None);
    }

    #[test]
    fn other_names_are_nobodys() {
        for other in ["eth0", "br-docker0", "vrf-mgmt", "lo", "vxlan-x", "br-0"] {
            assert_eq!(vni_of(&other.parse().unwrap()), None, "{other}");
        }
    }
}
