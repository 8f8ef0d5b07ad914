//! The kernel: whether it has the kinds of devices that a tenant is made of, and the host-wide settings, which are the
//! operator's.

use std::{fs, path::Path};

use super::Findings;

/// The modules of a tenant's devices, each with what needs it.
const MODULES: [(&str, &str); 5] = [
    ("vrf", "every tenant's routing table"),
    ("vxlan", "the way to the fabric"),
    ("dummy", "the addresses that BGP advertises"),
    ("bridge", "the VXLAN device's place in the VRF"),
    ("veth", "the way to the provider bridge"),
];

/// Looks at the kernel.
pub fn examine(findings: &mut Findings) {
    findings.about("kernel");
    let release = sysctl("kernel/osrelease").unwrap_or_default();
    for (module, purpose) in MODULES {
        match has_module(module, &release) {
            true => findings.ok(format!("{module} is there")),
            false => findings.fail(
                format!("this kernel ({release}) has no {module}: {purpose}"),
                format!(
                    "boot a kernel with it (Debian's has), or install its modules; try `modprobe {module}`"
                ),
            ),
        }
    }
    settings(findings);
}

/// Loaded, built in, or there to be loaded.
fn has_module(module: &str, release: &str) -> bool {
    let modules = Path::new("/lib/modules").join(release);
    let listed = |list: &str| {
        let text = fs::read_to_string(modules.join(list)).unwrap_or_default();
        text.lines().any(|line| is_module(line, module))
    };
    Path::new("/sys/module").join(module).exists() || listed("modules.builtin") || listed("modules.dep")
}

/// A line as `kernel/drivers/net/vrf.ko.xz: kernel/...` names this module.
fn is_module(line: &str, module: &str) -> bool {
    let path = line.split(':').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split('.').next().is_some_and(|name| name == module) && file.contains(".ko")
}

/// A setting under /proc/sys.
pub fn sysctl(path: &str) -> Option<String> {
    Some(fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?.trim().to_owned())
}

fn settings(findings: &mut Findings) {
    for (path, loss) in [
        ("net/ipv4/ip_forward", "no IPv4 packet goes from a tenant to the fabric or back"),
        ("net/ipv6/conf/all/forwarding", "no IPv6 packet goes from a tenant to the fabric or back"),
    ] {
        let name = path.replace('/', ".");
        match sysctl(path).as_deref() {
            Some("1") => findings.ok(format!("{name} = 1")),
            None => findings.warn(format!("{name} is not there"), "without this family it is not needed"),
            Some(value) => findings.fail(format!("{name} = {value}: {loss}"), format!("sysctl -w {name}=1")),
        }
    }
    // The larger of `all` and the device's counts (Documentation/networking/ip-sysctl.rst): with 0 in `all` the agent's
    // own devices, which it sets to 0, take tenants' packets by any way.
    match sysctl("net/ipv4/conf/all/rp_filter").as_deref() {
        Some("1") => findings.fail(
            "net.ipv4.conf.all.rp_filter = 1 (strict) overrules the agent's 0 on its devices",
            "sysctl -w net.ipv4.conf.all.rp_filter=0, or 2 where asymmetric routes are to be checked loosely",
        ),
        Some("2") => findings.ok("net.ipv4.conf.all.rp_filter = 2 (loose)"),
        _ => findings.ok("net.ipv4.conf.all.rp_filter = 0"),
    }
    for protocol in ["tcp", "udp", "raw"] {
        let path = format!("net/ipv4/{protocol}_l3mdev_accept");
        let name = path.replace('/', ".");
        match (protocol, sysctl(&path).as_deref()) {
            // raw has 1 from the kernel on, which ping in a VRF needs.
            ("raw", _) | (_, Some("0") | None) => findings.ok(format!("{name} keeps host and tenants apart")),
            _ => findings.warn(
                format!("{name} = 1: services that listen on every address of this host answer tenants, too"),
                format!("sysctl -w {name}=0, unless this is what you want"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_known_by_their_file() {
        assert!(is_module("kernel/drivers/net/vrf.ko: kernel/x.ko", "vrf"));
        assert!(is_module("kernel/drivers/net/vxlan/vxlan.ko.xz:", "vxlan"));
        assert!(!is_module("kernel/drivers/net/not-vrf.ko:", "vrf"));
        assert!(!is_module("kernel/net/a.ko: kernel/drivers/net/vrf.ko", "vrf"));
    }
}
