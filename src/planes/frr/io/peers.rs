//! The daemons of one FRR together: which of them owns what, and reading all that they have.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
};

use super::peer::{Lost, Peer};
use crate::{
    model::IfName,
    planes::frr::{
        actual::{Texts, View},
        decode,
        dialect::{self, Commit, Daemon},
        line::{Family, Line},
    },
};

/// Up to how many L3VNIs are asked for one by one: 0.02 ms each, where the whole list costs 5 ms with 1,000.
const ASK_SINGLY: usize = 100;

/// What every running configuration begins with; a daemon that does not say it has not really answered.
const RUNNING_MARK: &str = "frr version";

/// The sessions with all daemons that are needed.
#[derive(Debug)]
pub struct Peers {
    zebra: Peer,
    /// Only where it owns the VRF blocks.
    mgmtd: Option<Peer>,
    bgpd: Peer,
}

impl Peers {
    /// Connects to all, finds out who owns the VRF blocks, and reads everything.
    pub async fn open(directory: &Path) -> Result<(Self, View), Lost> {
        let mut zebra = Peer::connect(directory, Daemon::Zebra).await?;
        let mgmtd = if takes_vrf(&mut zebra).await? { None } else { Some(open_mgmtd(directory).await?) };
        let mut bgpd = Peer::connect(directory, Daemon::Bgpd).await?;
        bgpd.ask(&[Line::Enable]).await?;
        let mut peers = Self { zebra, mgmtd, bgpd };
        let view = peers.look().await?;
        Ok((peers, view))
    }

    /// The name of the daemon that owns the VRF blocks.
    pub fn vrf_owner(&self) -> &'static str {
        self.mgmtd.as_ref().unwrap_or(&self.zebra).daemon().name()
    }

    /// The daemon that owns the VRF blocks, and how it takes configuration.
    pub fn vrf_writer(&mut self) -> (&mut Peer, Commit) {
        match &mut self.mgmtd {
            Some(mgmtd) => (mgmtd, Commit::Together),
            None => (&mut self.zebra, Commit::Each),
        }
    }

    /// The daemon that owns the BGP instances, and how it takes configuration.
    pub fn bgp_writer(&mut self) -> (&mut Peer, Commit) {
        (&mut self.bgpd, Commit::Each)
    }

    /// Reads everything.
    pub async fn look(&mut self) -> Result<View, Lost> {
        use Line::{ShowL3Vnis, ShowRunning, ShowVrf};
        let Self { zebra, mgmtd, bgpd } = self;
        let ([vrf_running, vrf_list, l3vnis], [bgp_running]) = match mgmtd {
            Some(mgmtd) => {
                let vrfs = show(mgmtd, [ShowRunning]);
                let ([running], [l3vnis], bgp) =
                    tokio::try_join!(vrfs, show(zebra, [ShowL3Vnis]), show(bgpd, [ShowRunning]))?;
                ([running, String::new(), l3vnis], bgp)
            }
            None => {
                let vrfs = show(zebra, [ShowRunning, ShowVrf, ShowL3Vnis]);
                tokio::try_join!(vrfs, show(bgpd, [ShowRunning]))?
            }
        };
        whole(mgmtd.as_ref().unwrap_or(zebra), &vrf_running)?;
        whole(bgpd, &bgp_running)?;
        Ok(View::read(Texts {
            vrf_running: &vrf_running,
            vrf_list: &vrf_list,
            bgp_running: &bgp_running,
            l3vnis: &l3vnis,
        }))
    }

    /// Which of these L3VNIs zebra has, and whether each is up.
    pub async fn l3vnis(&mut self, vnis: &[u32]) -> Result<BTreeMap<u32, bool>, Lost> {
        if vnis.len() > ASK_SINGLY {
            let [text] = show(&mut self.zebra, [Line::ShowL3Vnis]).await?;
            return Ok(decode::l3vnis(&text));
        }
        let lines: Vec<_> = vnis.iter().copied().map(Line::ShowL3Vni).collect();
        let replies = self.zebra.ask(&lines).await?;
        Ok(replies.iter().flat_map(|reply| decode::l3vnis(&reply.text)).collect())
    }

    /// The host prefixes that the instance of a VRF originates; None: bgpd does not say, as where there is no instance.
    pub async fn originated(&mut self, vrf: IfName) -> Result<Option<BTreeSet<IpAddr>>, Lost> {
        let tables = [Family::Ipv4, Family::Ipv6].map(|family| Line::ShowTable(vrf, family));
        let replies = self.bgpd.ask(&tables).await?;
        let mut all = BTreeSet::new();
        for reply in &replies {
            let Some(hosts) = decode::originated(&reply.text) else { return Ok(None) };
            all.extend(hosts);
        }
        Ok(Some(all))
    }

    /// Waits until any of them goes away.
    pub async fn lost(&self) -> Lost {
        let mgmtd = async {
            match &self.mgmtd {
                Some(mgmtd) => mgmtd.lost().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            lost = self.zebra.lost() => lost,
            lost = self.bgpd.lost() => lost,
            lost = mgmtd => lost,
        }
    }
}

async fn takes_vrf(peer: &mut Peer) -> Result<bool, Lost> {
    let replies = peer.ask(&dialect::PROBE).await?;
    dialect::takes_vrf(&replies).map_err(|why| peer.lost_for(why))
}

async fn open_mgmtd(directory: &Path) -> Result<Peer, Lost> {
    let mut mgmtd = Peer::connect(directory, Daemon::Mgmtd).await?;
    if !takes_vrf(&mut mgmtd).await? {
        return Err(mgmtd.lost_for("neither zebra nor mgmtd knows `vrf`; this version of FRR is not known"));
    }
    Ok(mgmtd)
}

/// The texts that answer these lines. A refused `show` says nothing about what exists, so it is no answer.
async fn show<const N: usize>(peer: &mut Peer, lines: [Line; N]) -> Result<[String; N], Lost> {
    let replies = peer.ask(&lines).await?;
    if let Some(refused) = replies.iter().find(|reply| !reply.accepted()) {
        let why = format!("it refused `{}`: {}", refused.line, dialect::words(&refused.text));
        return Err(peer.lost_for(why));
    }
    let texts: Vec<_> = replies.into_iter().map(|reply| reply.text).collect();
    texts.try_into().map_err(|_| peer.lost_for("a reply is missing"))
}

fn whole(peer: &Peer, running: &str) -> Result<(), Lost> {
    if running.contains(RUNNING_MARK) {
        return Ok(());
    }
    Err(peer.lost_for(format!("its running configuration does not say `{RUNNING_MARK}`; it may be starting")))
}
