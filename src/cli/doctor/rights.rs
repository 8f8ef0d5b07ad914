//! The rights of the user that the agent runs as: the service's, where there is one, whoever asks here.

use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::{Findings, root::Root};
use crate::config::Config;

/// The number of CAP_NET_ADMIN (include/uapi/linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// Where systemd looks for the unit, the first that has it counts (systemd.unit(5)).
const UNITS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// What a unit says of its process, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Service {
    user: String,
    capabilities: BTreeSet<String>,
}

/// Looks at the rights.
pub fn examine(config: &Config, root: &Root, findings: &mut Findings) {
    findings.about("host");
    match service(root) {
        Some(service) if service.user != "root" => of_service(&service, config, root, findings),
        _ => of_this_process(findings),
    }
    state_directory(config, findings);
}

fn of_this_process(findings: &mut Findings) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok()).unwrap_or_default();
    match capabilities & 1 << CAP_NET_ADMIN {
        0 => findings
            .fail("this user has no CAP_NET_ADMIN", "run this as root, or as the agent's service does"),
        _ => findings.ok("CAP_NET_ADMIN is there"),
    }
}

/// The installed service; None: there is none. Lines of drop-ins come after the unit's, and an empty list begins anew.
fn service(root: &Root) -> Option<Service> {
    let unit = UNITS.iter().find_map(|directory| root.text(format!("{directory}/bgp-agent.service")))?;
    let drop_ins: Vec<String> =
        UNITS.iter().rev().map(|directory| format!("{directory}/bgp-agent.service.d")).collect();
    let drop_ins: Vec<&str> = drop_ins.iter().map(String::as_str).collect();
    let text = unit + "\n" + &root.texts_in(&drop_ins, "conf");
    let mut service = Service { user: "root".to_owned(), ..Service::default() };
    for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
        match (key.trim(), value.trim()) {
            ("User", user) => {
                service.user = if user.is_empty() { "root".to_owned() } else { user.to_owned() }
            }
            ("AmbientCapabilities", "") => service.capabilities.clear(),
            ("AmbientCapabilities", names) => {
                service.capabilities.extend(names.split_ascii_whitespace().map(str::to_owned));
            }
            _ => {}
        }
    }
    Some(service)
}

fn of_service(service: &Service, config: &Config, root: &Root, findings: &mut Findings) {
    let user = &service.user;
    match service.capabilities.contains("CAP_NET_ADMIN") {
        true => findings.ok(format!("the service runs as {user} with CAP_NET_ADMIN")),
        false => findings.fail(
            format!("the service runs as {user} without CAP_NET_ADMIN"),
            "AmbientCapabilities=CAP_NET_ADMIN in its unit, as the package's has it",
        ),
    }
    let Some(identity) = Identity::of(user, root) else {
        findings.fail(
            format!("there is no user {user}, as whom the service runs"),
            "install the package anew, or useradd --system",
        );
        return;
    };
    if service.capabilities.contains("CAP_DAC_OVERRIDE") {
        findings.ok(format!("{user} may open every socket here (CAP_DAC_OVERRIDE)"));
        return;
    }
    let frr =
        ["zebra", "bgpd", "mgmtd"].map(|daemon| config.frr_socket_dir.join(daemon).with_extension("vty"));
    let ovsdb = config.ovsdb_connection.split(',').filter_map(|remote| remote.trim().strip_prefix("unix:"));
    let sockets = frr.iter().map(|path| (path.as_path(), "usermod --append --groups frrvty"));
    let sockets =
        sockets.chain(ovsdb.map(|path| (Path::new(path), "put it into the group of OVS's sockets:")));
    for (path, remedy) in sockets {
        // One that is not there is another check's.
        let Ok(metadata) = fs::metadata(root.path(path)) else { continue };
        match identity.may_write(&metadata) {
            true => findings.ok(format!("{user} may write to {}", path.display())),
            false => findings.fail(
                format!("{user}, as whom the service runs, may not write to {}", path.display()),
                format!("{remedy} {user}, then restart the service"),
            ),
        }
    }
}

/// A user with all of its groups, as /etc/passwd and /etc/group have them.
#[derive(Debug)]
struct Identity {
    uid: u32,
    gids: BTreeSet<u32>,
}

impl Identity {
    fn of(user: &str, root: &Root) -> Option<Self> {
        let passwd = root.text("/etc/passwd")?;
        let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let own = fields.into_iter().find(|fields| fields.first() == Some(&user))?;
        let number = |fields: &[&str], at: usize| fields.get(at)?.parse::<u32>().ok();
        let mut gids = BTreeSet::from([number(&own, 3)?]);
        for line in root.text("/etc/group").unwrap_or_default().lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let is_member = fields.get(3).is_some_and(|members| members.split(',').any(|name| name == user));
            gids.extend(number(&fields, 2).filter(|_| is_member));
        }
        Some(Self { uid: number(&own, 2)?, gids })
    }

    /// As the kernel decides it without capabilities: the first class that fits.
    fn may_write(&self, metadata: &Metadata) -> bool {
        let class = match () {
            () if metadata.uid() == self.uid => 0o200,
            () if self.gids.contains(&metadata.gid()) => 0o020,
            () => 0o002,
        };
        metadata.mode() & class != 0
    }
}

fn state_directory(config: &Config, findings: &mut Findings) {
    let directory = &config.state_dir;
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => findings.ok(format!("{} is there", directory.display())),
        Ok(_) => findings.fail(format!("{} is no directory", directory.display()), "set state_dir"),
        Err(error) => findings.warn(
            format!("{}: {error}", directory.display()),
            "the agent makes it at its start, where it may; or set state_dir",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::cli::doctor::tests::lines;

    const UNIT: &str = include_str!("../../../packaging/bgp-agent.service");

    /// A host with these files, and a zebra.vty of this mode that is the test's own user's and group's.
    fn host(files: &[(&str, &str)], mode: u32) -> (tempfile::TempDir, Root, Metadata) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        for (path, text) in files.iter().copied().chain([("/run/frr/zebra.vty", "")]) {
            fs::create_dir_all(root.path(path).parent().unwrap()).unwrap();
            fs::write(root.path(path), text).unwrap();
        }
        let socket = root.path("/run/frr/zebra.vty");
        fs::set_permissions(&socket, fs::Permissions::from_mode(mode)).unwrap();
        let metadata = fs::metadata(socket).unwrap();
        (dir, root, metadata)
    }

    fn found(unit: &str, more: &[(&str, &str)], mode: u32, is_member: bool) -> Vec<String> {
        let (_dir, _, metadata) = host(&[], mode);
        // Another user than the socket's owner, in its group or not.
        let passwd = format!(
            "root:x:0:0::/:/bin/sh\nbgp-agent:x:{}:{}::/:/bin/false\n",
            metadata.uid() + 1,
            metadata.gid() + 1
        );
        let group = format!("frrvty:x:{}:frr,{}\n", metadata.gid(), if is_member { "bgp-agent" } else { "" });
        let files = [
            ("/lib/systemd/system/bgp-agent.service", unit),
            ("/etc/passwd", passwd.as_str()),
            ("/etc/group", group.as_str()),
        ];
        let (_dir, root, _) = host(&[&files[..], more].concat(), mode);
        let mut findings = Findings::default();
        of_service(&service(&root).unwrap(), &Config::default(), &root, &mut findings);
        lines(&findings)
    }

    #[test]
    fn the_packages_service_may_all_that_the_agent_does() {
        let found = found(UNIT, &[], 0o600, false);
        assert_eq!(found[0], "Ok the service runs as bgp-agent with CAP_NET_ADMIN");
        assert!(found.len() == 2 && found[1].contains("CAP_DAC_OVERRIDE"), "{found:?}");
    }

    #[test]
    fn without_override_the_user_has_to_be_in_the_sockets_group() {
        let narrow = "[Service]\nAmbientCapabilities=\nAmbientCapabilities=CAP_NET_ADMIN\n";
        let drop_in = [("/etc/systemd/system/bgp-agent.service.d/own.conf", narrow)];
        for (mode, is_member, line) in [
            (0o770, true, "Ok bgp-agent may write to /run/frr/zebra.vty"),
            (0o770, false, "Fail bgp-agent, as whom the service runs, may not write to /run/frr/zebra.vty"),
            (0o700, true, "Fail bgp-agent, as whom the service runs, may not write to /run/frr/zebra.vty"),
        ] {
            assert_eq!(found(UNIT, &drop_in, mode, is_member)[1..], [line], "{mode:o} {is_member}");
        }
    }

    #[test]
    fn a_service_without_rights_or_user_fails() {
        let found = found("[Service]\nUser=nobody-here\n", &[], 0o770, true);
        assert_eq!(
            found,
            [
                "Fail the service runs as nobody-here without CAP_NET_ADMIN",
                "Fail there is no user nobody-here, as whom the service runs"
            ]
        );
    }
}
