//! The kernel: whether it has the kinds of devices that a tenant is made of, and the host-wide settings, which are the
//! operator's.

use std::path::Path;

use super::{Findings, root::Root};
use crate::config::{Attach, Config, Expose};

/// The module of both modes' devices, with what needs it.
const MODULES: [(&str, &str); 1] = [("vrf", "every tenant's routing table")];

/// That of addresses on a dummy, as both modes have them unless tenants' are exposed as routes.
const DUMMY_MODULE: (&str, &str) = ("dummy", "the addresses that BGP advertises");

/// Those of a tenant's devices alone.
const EVPN_MODULES: [(&str, &str); 3] = [
    ("vxlan", "the way to the fabric"),
    ("bridge", "the VXLAN device's place in the VRF"),
    ("veth", "the way to the provider bridge"),
];

/// That of the BGP mode alone.
const UNDERLAY_MODULES: [(&str, &str); 1] = [("8021q", "provider networks in a VLAN")];

/// Looks at the kernel.
pub fn examine(root: &Root, config: &Config, findings: &mut Findings) {
    let modes = config.modes;
    findings.about("kernel");
    let release = root.sysctl("kernel/osrelease").unwrap_or_default();
    let evpn = EVPN_MODULES.into_iter().filter(|_| modes.evpn);
    let underlay = UNDERLAY_MODULES.into_iter().filter(|_| modes.underlay);
    let needs_dummy = modes.underlay || config.expose == Expose::Dummy || config.attach == Attach::Vrf;
    let dummy = needs_dummy.then_some(DUMMY_MODULE);
    for (module, purpose) in MODULES.into_iter().chain(dummy).chain(evpn).chain(underlay) {
        match has_module(root, module, &release) {
            true => findings.ok(format!("{module} is there")),
            false => findings.fail(
                format!("this kernel ({release}) has no {module}: {purpose}"),
                format!(
                    "boot a kernel with it (Debian's has), or install its modules; try `modprobe {module}`"
                ),
            ),
        }
    }
    settings(root, findings);
}

/// Loaded, built in, or there to be loaded.
fn has_module(root: &Root, module: &str, release: &str) -> bool {
    let modules = Path::new("/lib/modules").join(release);
    let listed = |list: &str| {
        let text = root.text(modules.join(list)).unwrap_or_default();
        text.lines().any(|line| is_module(line, module))
    };
    root.path(Path::new("/sys/module").join(module)).exists()
        || listed("modules.builtin")
        || listed("modules.dep")
}

/// A line as `kernel/drivers/net/vrf.ko.xz: kernel/...` names this module.
fn is_module(line: &str, module: &str) -> bool {
    let path = line.split(':').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split('.').next().is_some_and(|name| name == module) && file.contains(".ko")
}

fn settings(root: &Root, findings: &mut Findings) {
    for (path, loss) in [
        ("net/ipv4/ip_forward", "no IPv4 packet goes from a tenant to the fabric or back"),
        ("net/ipv6/conf/all/forwarding", "no IPv6 packet goes from a tenant to the fabric or back"),
    ] {
        let name = path.replace('/', ".");
        match root.sysctl(path).as_deref() {
            Some("1") => findings.ok(format!("{name} = 1")),
            None => findings.warn(format!("{name} is not there"), "without this family it is not needed"),
            Some(value) => findings.fail(format!("{name} = {value}: {loss}"), format!("sysctl -w {name}=1")),
        }
    }
    // The larger of `all` and the device's counts (Documentation/networking/ip-sysctl.rst): with 0 in `all` the agent's
    // own devices, which it sets to 0, take tenants' packets by any way.
    match root.sysctl("net/ipv4/conf/all/rp_filter").as_deref() {
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
        match (protocol, root.sysctl(&path).as_deref()) {
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

    use crate::cli::doctor::tests::lines;

    /// A host with these files.
    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        for (path, text) in files {
            let path = root.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        (dir, root)
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let mut findings = Findings::default();
        let (_dir, root) = host(files);
        examine(&root, &Config::default(), &mut findings);
        lines(&findings)
    }

    const FIT: [(&str, &str); 11] = [
        ("/proc/sys/kernel/osrelease", "6.1.0-56-amd64\n"),
        (
            "/lib/modules/6.1.0-56-amd64/modules.dep",
            "kernel/drivers/net/vrf.ko:\nkernel/drivers/net/vxlan/vxlan.ko: x\n",
        ),
        (
            "/lib/modules/6.1.0-56-amd64/modules.builtin",
            "kernel/net/bridge/bridge.ko\nkernel/drivers/net/veth.ko\n",
        ),
        ("/sys/module/dummy/refcnt", "0\n"),
        ("/proc/sys/net/ipv4/ip_forward", "1\n"),
        ("/proc/sys/net/ipv6/conf/all/forwarding", "1\n"),
        ("/proc/sys/net/ipv4/conf/all/rp_filter", "0\n"),
        ("/proc/sys/net/ipv4/tcp_l3mdev_accept", "0\n"),
        ("/proc/sys/net/ipv4/udp_l3mdev_accept", "0\n"),
        ("/proc/sys/net/ipv4/raw_l3mdev_accept", "1\n"),
        ("/etc/hostname", "gw1\n"),
    ];

    #[test]
    fn a_fit_kernel_has_no_line_but_ok_and_each_fault_has_its_own() {
        let well = found(&FIT);
        assert!(well.len() == 11 && well.iter().all(|line| line.starts_with("Ok ")), "{well:#?}");
        for (path, text, line) in [
            (
                "/lib/modules/6.1.0-56-amd64/modules.dep",
                "kernel/drivers/net/vxlan/vxlan.ko:\n",
                "Fail this kernel (6.1.0-56-amd64) has no vrf",
            ),
            ("/proc/sys/net/ipv4/ip_forward", "0\n", "Fail net.ipv4.ip_forward = 0"),
            ("/proc/sys/net/ipv6/conf/all/forwarding", "0\n", "Fail net.ipv6.conf.all.forwarding = 0"),
            ("/proc/sys/net/ipv4/conf/all/rp_filter", "1\n", "Fail net.ipv4.conf.all.rp_filter = 1 (strict)"),
            ("/proc/sys/net/ipv4/tcp_l3mdev_accept", "1\n", "Warn net.ipv4.tcp_l3mdev_accept = 1"),
            ("/proc/sys/net/ipv4/udp_l3mdev_accept", "1\n", "Warn net.ipv4.udp_l3mdev_accept = 1"),
        ] {
            let mut files = FIT.to_vec();
            files.iter_mut().filter(|file| file.0 == path).for_each(|file| file.1 = text);
            let not_ok: Vec<_> = found(&files).into_iter().filter(|line| !line.starts_with("Ok ")).collect();
            assert!(not_ok.len() == 1 && not_ok[0].starts_with(line), "{path}: {not_ok:#?}");
        }
    }

    #[test]
    fn modules_are_known_by_their_file() {
        assert!(is_module("kernel/drivers/net/vrf.ko: kernel/x.ko", "vrf"));
        assert!(is_module("kernel/drivers/net/vxlan/vxlan.ko.xz:", "vxlan"));
        assert!(!is_module("kernel/drivers/net/not-vrf.ko:", "vrf"));
        assert!(!is_module("kernel/net/a.ko: kernel/drivers/net/vrf.ko", "vrf"));
    }
}
