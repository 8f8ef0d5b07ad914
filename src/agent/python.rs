//! A Python ovn-bgp-agent that runs beside us: it is noticed and said, never touched.
//!
//! Looks at /proc alone. What runs in a container with processes of its own is not seen from within another.

use std::{fs, path::Path};

/// The processes that look like a Python ovn-bgp-agent, as a line for an operator; None: none is seen.
pub fn beside_us() -> Option<String> {
    agents_in(Path::new("/proc"))
}

fn agents_in(proc: &Path) -> Option<String> {
    let entries = fs::read_dir(proc).ok()?.flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            // A process may end meanwhile, or not be ours to look at.
            fs::read(proc.join(pid.to_string()).join("cmdline")).is_ok_and(|line| is_python_agent(&line))
        })
        .collect();
    pids.sort_unstable();
    let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
    (!pids.is_empty()).then(|| {
        format!(
            "a Python ovn-bgp-agent runs on this node too (pid {}): both change the same devices, flows and FRR; stop one",
            list.join(", ")
        )
    })
}

/// Its command is the console script `ovn-bgp-agent`, run by an interpreter or by itself (setup.cfg of ovn-bgp-agent);
/// arguments are ended by NUL (proc(5)).
fn is_python_agent(command_line: &[u8]) -> bool {
    let names = command_line.split(|byte| *byte == 0).take(2);
    let last = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
    names.filter_map(last).any(|name| name == b"ovn-bgp-agent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_agent_is_known_by_its_command() {
        for line in [
            "/usr/bin/python3\0/usr/bin/ovn-bgp-agent\0--config-dir\0/etc\0",
            "ovn-bgp-agent\0",
            "/opt/bin/ovn-bgp-agent\0",
        ] {
            assert!(is_python_agent(line.as_bytes()), "{line:?}");
        }
        for line in
            ["", "/usr/bin/bgp-agent\0run\0", "vi\0x\0/etc/ovn-bgp-agent\0", "less\0ovn-bgp-agent.log\0"]
        {
            assert!(!is_python_agent(line.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn it_is_said_with_its_pid_and_what_cannot_be_read_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        for (pid, line) in
            [("17", "bgp-agent\0"), ("23", "python3\0/usr/bin/ovn-bgp-agent\0"), ("self", "ovn-bgp-agent\0")]
        {
            fs::create_dir(dir.path().join(pid)).unwrap();
            fs::write(dir.path().join(pid).join("cmdline"), line).unwrap();
        }
        fs::create_dir(dir.path().join("99")).unwrap();
        let said = agents_in(dir.path()).unwrap();
        assert!(said.contains("(pid 23)"), "{said}");
        fs::remove_dir_all(dir.path().join("23")).unwrap();
        assert_eq!(agents_in(dir.path()), None);
        assert_eq!(agents_in(&dir.path().join("nowhere")), None, "/proc may not be readable");
    }
}
