//! The daemons of one FRR together: which of them owns what, and reading all that they have.

use std::{collections::BTreeMap, path::Path};

use super::peer::{Lost, Peer};
use crate::planes::frr::{
    actual::{Texts, View},
    decode,
    dialect::{self, Commit, Daemon},
    line::Line,
    question::Daemons,
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
    /// Connects to all, finds out who owns the VRF blocks, and reads everything. What can be spoken with goes into
    /// `daemons`, whether all of it can or not.
    pub async fn open(directory: &Path, daemons: &mut Daemons) -> Result<(Self, View), Lost> {
        let (zebra, bgpd) = tokio::join!(open_zebra(directory), open_bgpd(directory));
        let mgmtd = match &zebra {
            Ok((_, true)) => None,
            Ok((_, false)) => Some(open_mgmtd(directory).await),
            // Whether it is needed is not known now.
            Err(_) if daemons.contains_key(Daemon::Mgmtd.name()) => Some(open_mgmtd(directory).await),
            Err(_) => None,
        };
        let told = [
            (Daemon::Zebra, Some(zebra.as_ref().err())),
            (Daemon::Mgmtd, mgmtd.as_ref().map(|mgmtd| mgmtd.as_ref().err())),
            (Daemon::Bgpd, Some(bgpd.as_ref().err())),
        ];
        let told = told.into_iter().filter_map(|(daemon, lost)| Some((daemon.name(), lost?)));
        *daemons = told.map(|(name, lost)| (name, lost.map(|lost| lost.why().to_owned()))).collect();
        let mut peers = Self { zebra: zebra?.0, mgmtd: mgmtd.transpose()?, bgpd: bgpd? };
        let view = peers.look().await?;
        Ok((peers, view))
    }

    /// bgpd, to be asked about prefixes.
    pub fn bgpd(&mut self) -> &mut Peer {
        &mut self.bgpd
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

/// zebra, and whether it owns the VRF blocks.
async fn open_zebra(directory: &Path) -> Result<(Peer, bool), Lost> {
    let mut zebra = Peer::connect(directory, Daemon::Zebra).await?;
    let owns = takes_vrf(&mut zebra).await?;
    Ok((zebra, owns))
}

async fn open_bgpd(directory: &Path) -> Result<Peer, Lost> {
    let mut bgpd = Peer::connect(directory, Daemon::Bgpd).await?;
    bgpd.ask(&[Line::Enable]).await?;
    Ok(bgpd)
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
