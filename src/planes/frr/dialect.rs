//! Which daemon of this FRR owns `vrf X` and `vni N`, and what it wants around them.
//!
//! Found by trying, never by version: `vrf` alone is 'Command incomplete' to the daemon that has the command and 'Unknown
//! command' to the others, and changes nothing in either.

use super::{
    line::Line,
    session::{Reply, Status},
};

/// A daemon of FRR, which has a vty socket of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Daemon {
    /// The routing manager: owns VRFs and L3VNIs.
    Zebra,
    /// Since FRR 9: owns the configuration of those daemons that were moved to it; VRFs since FRR 10.
    Mgmtd,
    /// BGP.
    Bgpd,
}

impl Daemon {
    /// Its program's name; with `.vty` behind it, its socket's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zebra => "zebra",
            Self::Mgmtd => "mgmtd",
            Self::Bgpd => "bgpd",
        }
    }
}

/// What is said to find out whether a daemon takes VRF blocks.
pub const PROBE: [Line; 4] = [Line::Enable, Line::Configure, Line::VrfProbe, Line::End];

/// Whether the daemon that gave these replies to [`PROBE`] takes VRF blocks; `Err` where it cannot be told now.
pub fn takes_vrf(replies: &[Reply]) -> Result<bool, String> {
    let of = |line: Line| replies.iter().find(|reply| reply.line == line);
    if let Some(refused) = of(Line::Configure).filter(|reply| !reply.accepted()) {
        return Err(format!("its configuration is locked: {}", words(&refused.text)));
    }
    match of(Line::VrfProbe).map(|reply| reply.status) {
        Some(Status::UNKNOWN) => Ok(false),
        Some(Status::INCOMPLETE) => Ok(true),
        Some(Status(other)) => Err(format!("it answers `vrf` with the unexpected status {other}")),
        None => Err("it does not answer `vrf`".into()),
    }
}

/// How lines become configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Each line by itself, at once: zebra up to FRR 9, and bgpd.
    Each,
    /// All together or none, under locks: mgmtd. A plain `configure terminal` would commit each line by itself and
    /// swallow what was sent behind it.
    Together,
}

impl Commit {
    /// What opens a configuration.
    pub fn opening(self) -> &'static [Line] {
        match self {
            Self::Each => &[Line::Configure],
            Self::Together => &[Line::ConfigureLocked, Line::GatherStart],
        }
    }

    /// What ends it. A refused commit stays in mgmtd's candidate, where it would spoil the next one, whosever that is.
    pub fn closing(self) -> &'static [Line] {
        match self {
            Self::Each => &[Line::End],
            Self::Together => &[Line::GatherEnd, Line::Abort, Line::End],
        }
    }

    /// What keeps the lines of two operations apart. A refused `router bgp` leaves the vty where it was: without this its
    /// other lines would fall into the instance before, and an `exit` would leave the configuration for all that follow.
    pub fn between(self) -> &'static [Line] {
        match self {
            Self::Each => &[Line::End, Line::Configure],
            Self::Together => &[],
        }
    }
}

/// FRR's text on one line, without its decoration.
pub fn words(text: &str) -> String {
    let kept = text.split_whitespace().filter(|word| *word != "%");
    let joined = kept.collect::<Vec<_>>().join(" ");
    joined.trim_start_matches("Configuration failed.").trim().to_owned()
}

/// The L3VNI for which bgpd refused to let an instance go, in its words (bgpd/bgp_vty.c, `no_router_bgp`).
///
/// It refuses until zebra has told it that the L3VNI is gone. It does not understand that while the VRF has no device: then
/// it clings to the L3VNI until the VRF has one again and zebra says it once more (`bgp_evpn_local_l3vni_del` in
/// bgpd/bgp_evpn.c looks the instance up by the device).
pub fn held_l3vni(refusal: &str) -> Option<u32> {
    let (_, rest) = refusal.split_once("unconfigure l3vni ")?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(line: Line, text: &str, status: u8) -> Reply {
        Reply { line, text: text.into(), status: Status(status) }
    }

    #[test]
    fn the_owner_of_vrfs_is_found_by_an_incomplete_line() {
        let configured = reply(Line::Configure, "", 0);
        let answer = |text, status| [configured.clone(), reply(Line::VrfProbe, text, status)];
        assert_eq!(takes_vrf(&answer("% Command incomplete.\n", 4)), Ok(true));
        assert_eq!(takes_vrf(&answer("% [ZEBRA] Unknown command: vrf\n", 2)), Ok(false));
        assert!(takes_vrf(&answer("", 0)).is_err());
        assert!(takes_vrf(&[]).is_err());
    }

    #[test]
    fn a_locked_configuration_is_not_taken_for_a_missing_command() {
        let locked = reply(Line::Configure, "VTY configuration is locked by other VTY\n", 1);
        let replies = [locked, reply(Line::VrfProbe, "% Unknown command: vrf\n", 2)];
        let why = takes_vrf(&replies).unwrap_err();
        assert_eq!(why, "its configuration is locked: VTY configuration is locked by other VTY");
    }

    #[test]
    fn words_of_frr_fit_into_a_sentence() {
        let text = "% Configuration failed.\n\nError type: validation\nError description: no\n\n";
        assert_eq!(words(text), "Error type: validation Error description: no");
        assert_eq!(words("% Please unconfigure l3vni 1001\n"), "Please unconfigure l3vni 1001");
        assert_eq!(words("% Configuration failed.\n"), "");
        assert_eq!(held_l3vni("bgpd refused 'no router bgp 1': Please unconfigure l3vni 1001"), Some(1001));
        assert_eq!(held_l3vni("Please unconfigure l3vni one"), None);
    }
}
