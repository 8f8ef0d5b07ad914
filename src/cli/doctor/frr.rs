//! FRR: its daemons, its version, the operator's default BGP instance, its neighbours, and zebra's netlink buffer.

use std::{fmt, net::IpAddr};

use serde_json::Value;

use super::Findings;
use crate::{
    cli::peers::vty::Vty,
    config::{Config, Modes},
    model::IfName,
    planes::frr::decode,
};

/// The smallest netlink receive buffer of zebra that bears bursts: FRR's own packages start it with 90 MB. With the
/// default a burst of 20,000 routes was seen to lose a third of them, silently.
const ENOUGH_BUFFER: u64 = 32 << 20;

/// The first version whose VRFs and VNIs belong to mgmtd.
const WITH_MGMTD: u32 = 10;

/// Whom the type-5 routes are told to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// By its address.
    At(IpAddr),
    /// Unnumbered, by the interface that it is behind.
    On(String),
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::On(interface) => interface.fmt(f),
        }
    }
}

/// Looks at FRR; gives the EVPN neighbours.
pub fn examine(config: &Config, findings: &mut Findings) -> Vec<Neighbour> {
    findings.about("frr");
    let zebra = open(config, "zebra", findings);
    let bgpd = open(config, "bgpd", findings);
    if let Some(mut zebra) = zebra {
        match examine_zebra(&mut zebra, findings) {
            Ok(major) if major >= Some(WITH_MGMTD) => mgmtd(config, findings),
            Ok(_) => {}
            Err(error) => findings.fail(error, "see zebra's log"),
        }
    }
    let Some(mut bgpd) = bgpd else { return Vec::new() };
    examine_bgpd(&mut bgpd, config.modes, findings).unwrap_or_else(|error| {
        findings.fail(error, "see bgpd's log");
        Vec::new()
    })
}

fn open(config: &Config, daemon: &'static str, findings: &mut Findings) -> Option<Vty> {
    match Vty::open(&config.frr_socket_dir, daemon) {
        Ok(vty) => Some(vty),
        Err(error) => {
            findings.fail(
                error,
                format!("set {daemon}=yes in /etc/frr/daemons and start frr, or set frr_socket_dir"),
            );
            None
        }
    }
}

/// It has to answer: a VRF gets its VNI there.
fn mgmtd(config: &Config, findings: &mut Findings) {
    let answer = open(config, "mgmtd", findings).map(|mut mgmtd| mgmtd.show("show running-config"));
    match answer {
        Some(Ok(_)) => findings.ok("mgmtd answers, where VRFs get their VNI"),
        Some(Err(error)) => findings.fail(error, "see mgmtd's log"),
        None => {}
    }
}

/// Gives its major version, where it tells it.
fn examine_zebra(zebra: &mut Vty, findings: &mut Findings) -> Result<Option<u32>, String> {
    let version = zebra.show("show version")?;
    let line = version.lines().next().unwrap_or_default().trim();
    let major = line.split_ascii_whitespace().nth(1).and_then(major);
    match major {
        Some(..8) => findings
            .warn(line, "the agent is tested with FRR 8.4 and 10; older ones may lack lines that it needs"),
        _ => findings.ok(line),
    }
    // FRR 10 moved it: `show zebra` has it under the same words.
    let shown = zebra.show("show zebra")?;
    let remedy = "zebra_options=\"... -s 90000000\" in /etc/frr/daemons, then restart frr";
    match buffer(&shown) {
        Some(bytes) if bytes >= ENOUGH_BUFFER => {
            findings.ok(format!("zebra's netlink buffer has {bytes} bytes"))
        }
        Some(bytes) => findings
            .warn(format!("zebra's netlink buffer has {bytes} bytes: it loses bursts, silently"), remedy),
        None => findings.warn("zebra does not tell how large its netlink buffer is", remedy),
    }
    Ok(major)
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn buffer(shown: &str) -> Option<u64> {
    let line = shown.lines().find(|line| line.trim().starts_with("Kernel socket buffer size"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

fn examine_bgpd(bgpd: &mut Vty, modes: Modes, findings: &mut Findings) -> Result<Vec<Neighbour>, String> {
    let decode::Bgp { base, .. } = decode::bgp(&bgpd.show("show running-config")?);
    let Some(asn) = base.asn else {
        findings.fail(
            "bgpd has no default instance",
            "vtysh -c 'configure terminal' -c 'router bgp AS', with the fabric's neighbours in it",
        );
        return Ok(Vec::new());
    };
    findings.ok(format!("the default BGP instance has AS {asn}"));
    if modes.underlay {
        plain_neighbours(bgpd, findings)?;
    }
    if !modes.evpn {
        return Ok(Vec::new());
    }
    match base.evpn {
        true => findings.ok("advertise-all-vni is set"),
        false => findings.fail(
            "advertise-all-vni is not set: zebra keeps EVPN switched off, and no L3VNI comes up",
            format!("in router bgp {asn}, address-family l2vpn evpn: advertise-all-vni"),
        ),
    }
    let summary = bgpd.json("show bgp l2vpn evpn summary json")?;
    Ok(neighbours(&summary, findings))
}

/// Whether anybody is told plain routes, of each family.
fn plain_neighbours(bgpd: &mut Vty, findings: &mut Findings) -> Result<(), String> {
    for family in ["ipv4", "ipv6"] {
        let summary = bgpd.json(&format!("show bgp {family} unicast summary json"))?;
        let peers = summary["peers"].as_object().into_iter().flatten();
        let up: Vec<&str> =
            peers.filter(|(_, peer)| peer["state"] == "Established").map(|(name, _)| name.as_str()).collect();
        match up.is_empty() {
            false => findings.ok(format!("{family} unicast is told to {}", up.join(", "))),
            true => findings.warn(
                format!("no neighbour of {family} unicast is established: its plain routes are told to nobody"),
                format!("in address-family {family} unicast: neighbor ADDRESS activate; vtysh -c 'show bgp summary'"),
            ),
        }
    }
    Ok(())
}

fn neighbours(summary: &Value, findings: &mut Findings) -> Vec<Neighbour> {
    let peers: Vec<_> = summary["peers"].as_object().into_iter().flatten().collect();
    if peers.is_empty() {
        findings.fail(
            "no neighbour is activated for EVPN: nothing is told to the fabric",
            "in address-family l2vpn evpn: neighbor ADDRESS activate",
        );
    }
    for (name, peer) in &peers {
        match peer["state"].as_str() {
            Some("Established") => {
                findings.ok(format!("EVPN neighbour {name} is established, {} prefixes sent", peer["pfxSnt"]))
            }
            state => findings.fail(
                format!("EVPN neighbour {name} is {}", state.unwrap_or("in no state")),
                format!("vtysh -c 'show bgp neighbors {name}' names the last error; is it reachable?"),
            ),
        }
        if lacks_policy(peer) {
            findings.fail(
                format!("EVPN neighbour {name} is of another AS and has no policy: bgpd drops every route from it or to it"),
                format!("a route-map in and out for {name} in address-family l2vpn evpn, or: no bgp ebgp-requires-policy"),
            );
        }
    }
    let neighbour =
        |name: &String| name.parse().map_or_else(|_| interface(name), |at| Some(Neighbour::At(at)));
    peers.into_iter().filter_map(|(name, _)| neighbour(name)).collect()
}

fn interface(name: &str) -> Option<Neighbour> {
    name.parse::<IfName>().ok().map(|name| Neighbour::On(name.to_string()))
}

/// Since FRR 7.4 that is so by default, except with `frr defaults datacenter` (RFC 8212; `bgp ebgp-requires-policy`).
fn lacks_policy(peer: &Value) -> bool {
    peer["peerState"] == "Policy"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Level;

    /// A daemon that answers one command after the other, each with status 0.
    fn daemon(directory: &std::path::Path, name: &str, answers: &'static [&'static str]) {
        use std::{
            io::{Read, Write},
            os::unix::net::UnixListener,
        };
        let listener = UnixListener::bind(directory.join(name)).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                assert!(stream.read(&mut [0; 100]).unwrap() > 0);
                stream.write_all(&[answer.as_bytes(), &[0; 4]].concat()).unwrap();
            }
        });
    }

    #[test]
    fn mgmtd_is_asked_for_from_frr_10_on() {
        const SHOWN: &str = " Kernel socket buffer size      90000000 \n";
        for (version, with_mgmtd, failed) in [
            (["", "FRRouting 8.4.4 (gw1) on Linux(6.1).\n", SHOWN], false, &[][..]),
            (["", "FRRouting 10.3 (gw1) on Linux(6.1).\n", SHOWN], true, &[]),
            (["", "FRRouting 10.3 (gw1) on Linux(6.1).\n", SHOWN], false, &["mgmtd"]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            daemon(dir.path(), "zebra.vty", Box::leak(Box::new(version)));
            if with_mgmtd {
                daemon(dir.path(), "mgmtd.vty", &["", "vrf a\n vni 1\nexit-vrf\n"]);
            }
            let config = Config { frr_socket_dir: dir.path().to_owned(), ..Config::default() };
            let mut findings = Findings::default();
            examine(&config, &mut findings);
            // There is no bgpd here.
            let fails = findings.all.iter().filter(|finding| finding.level == Level::Fail);
            let names: Vec<_> = fails.map(|finding| finding.seen.split(':').next().unwrap()).collect();
            assert_eq!(names, [&["bgpd"][..], failed].concat(), "{version:?}");
        }
    }

    #[test]
    fn the_buffer_is_read_from_what_zebra_shows() {
        // From zebra 8.4.4.
        let shown = " EVPN                           On                      \n Kernel socket buffer size      4194304                 \n";
        assert_eq!(buffer(shown), Some(4_194_304));
        assert_eq!(buffer(""), None);
    }

    #[test]
    fn a_neighbour_that_is_not_established_fails() {
        let summary = serde_json::json!({"peers": {
            "100.65.0.9": {"state": "Established", "pfxSnt": 4},
            "100.65.0.8": {"state": "Active", "pfxSnt": 0},
            "swp1": {"state": "Established", "pfxSnt": 4},
        }});
        let mut findings = Findings::default();
        let found: Vec<_> = neighbours(&summary, &mut findings).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["100.65.0.8", "100.65.0.9", "swp1"]);
        let levels: Vec<_> = findings.all.iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Fail, Level::Ok, Level::Ok]);
        assert!(neighbours(&Value::Null, &mut findings).is_empty());
        assert_eq!(findings.all[3].level, Level::Fail);
    }

    #[test]
    fn a_neighbour_of_another_as_without_a_policy_fails() {
        for summary in [
            include_str!("../../../fixtures/frr/8.4/evpn-summary.json"),
            include_str!("../../../fixtures/frr/10.3/evpn-summary.json"),
            include_str!("../../../fixtures/frr/10.7/evpn-summary.json"),
        ] {
            let mut findings = Findings::default();
            neighbours(&serde_json::from_str(summary).unwrap(), &mut findings);
            let said = findings.all.iter().filter(|finding| finding.seen.contains("has no policy"));
            let said: Vec<_> = said.map(|finding| (finding.level, &finding.seen[..29])).collect();
            assert_eq!(said, [(Level::Fail, "EVPN neighbour 100.65.0.9 is ")]);
        }
    }
}
