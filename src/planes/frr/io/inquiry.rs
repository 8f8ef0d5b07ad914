//! What bgpd is still to be asked about prefixes, one question at a time, so that commands come in between, and with pauses:
//! bgpd does nothing else while it shows a table.

use std::{
    collections::{BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use tokio::time::Instant;

use super::peer::{Lost, Peer};
use crate::{
    model::{Asn, IfName},
    planes::frr::{
        decode, dialect,
        line::{Family, Line},
        question::{Answer, COUNT_AT_MOST, Held, Question, Sight, ToCount},
    },
};

/// Counting takes no more than this part of bgpd's time: the pause after a count, in multiples of what it took.
const PAUSE: u32 = 9;

/// Between two looks for a prefix that is waited for: at least this, and this part of the time that it is waited for.
const SIGHT_EVERY: Duration = Duration::from_millis(2);
const SIGHT_PART: u32 = 8;
/// How long a prefix is waited for.
const SIGHT_PATIENCE: Duration = Duration::from_secs(60);

/// Of how many instances zebra is told the routes with one look at the configuration.
const TELL_AT_ONCE: usize = 16;

/// Questions that have no answer yet.
#[derive(Debug, Default)]
pub struct Inquiry {
    /// VRFs whose own prefixes are to be told.
    originated: Vec<IfName>,
    counts: VecDeque<ToCount>,
    next_count: Option<Instant>,
    sight: Option<Sighting>,
    /// Instances of which zebra is to be told all routes.
    to_tell: BTreeSet<(Asn, IfName)>,
}

#[derive(Debug)]
struct Sighting {
    what: Sight,
    since: Instant,
    next: Instant,
}

impl Inquiry {
    /// Takes a question in the place of the last one of its kind; what zebra is to be told beside what it was to be told.
    pub fn take(&mut self, question: Question) {
        match question {
            Question::Originated(vrfs) => self.originated = vrfs,
            Question::Count(vrfs) => self.counts = vrfs.into(),
            Question::TellZebra(mut instances) => self.to_tell.append(&mut instances),
            Question::Sight(what) => {
                let since = Instant::now();
                self.sight = Some(Sighting { what, since, next: since });
            }
        }
    }

    /// There is nothing to ask.
    pub fn is_done(&self) -> bool {
        let asks = !self.originated.is_empty() || !self.counts.is_empty() || self.sight.is_some();
        !asks && self.to_tell.is_empty()
    }

    /// When there is something to ask.
    pub fn due(&self) -> Instant {
        let now = Instant::now();
        let count = (!self.counts.is_empty()).then(|| self.next_count.unwrap_or(now));
        let survey = (!self.originated.is_empty() || !self.to_tell.is_empty()).then_some(now);
        let sight = self.sight.as_ref().map(|sight| sight.next);
        survey.into_iter().chain(count).chain(sight).min().unwrap_or(now)
    }

    /// Asks for what is due, of that the most urgent: what is seen only now, what may be lost, what is counted.
    pub async fn go_on(&mut self, bgpd: &mut Peer) -> Result<Option<Answer>, Lost> {
        let now = Instant::now();
        if let Some(sighting) = self.sight.take_if(|sight| sight.next <= now) {
            return self.look_for(sighting, bgpd).await;
        }
        if let Some(vrf) = self.originated.pop() {
            return Ok(Some(Answer::Originated { vrf, hosts: originated(bgpd, vrf).await? }));
        }
        if !self.to_tell.is_empty() {
            let rest = self.to_tell.iter().nth(TELL_AT_ONCE).copied();
            let rest = rest.map(|first| self.to_tell.split_off(&first)).unwrap_or_default();
            tell_zebra(bgpd, std::mem::replace(&mut self.to_tell, rest)).await?;
            return Ok(None);
        }
        if self.next_count.is_some_and(|next| next > now) {
            return Ok(None);
        }
        let Some(vrf) = self.counts.pop_front() else { return Ok(None) };
        let answer = count(bgpd, vrf).await?;
        let end = Instant::now();
        self.next_count = Some(end + (end - now) * PAUSE);
        Ok(Some(answer))
    }

    async fn look_for(&mut self, sighting: Sighting, bgpd: &mut Peer) -> Result<Option<Answer>, Lost> {
        let Sighting { what, since, .. } = sighting;
        let seen = is_there(bgpd, what).await?;
        let now = Instant::now();
        let waited = now - since;
        if seen || waited >= SIGHT_PATIENCE {
            return Ok(Some(Answer::Sighted { what, seen }));
        }
        let next = now + SIGHT_EVERY.max(waited / SIGHT_PART);
        self.sight = Some(Sighting { what, since, next });
        Ok(None)
    }
}

/// Tells zebra all routes of these instances again. Not where that would make an instance, or end a setting of the operator's.
async fn tell_zebra(bgpd: &mut Peer, instances: BTreeSet<(Asn, IfName)>) -> Result<(), Lost> {
    let [running] = ask(bgpd, [Line::ShowRunning]).await?;
    for (asn, vrf) in instances {
        match weighs_bandwidth(&running, vrf) {
            Some(false) => {}
            Some(true) => {
                tracing::warn!(%vrf, "it has `bgp bestpath bandwidth`: to tell zebra its routes again is left to you");
                continue;
            }
            None => {
                tracing::warn!(%vrf, "it has no BGP instance whose routes zebra could be told again");
                continue;
            }
        }
        let lines = [Line::Configure, Line::RouterBgp(asn, vrf), Line::NoBestpathBandwidth, Line::End];
        if let Some(refused) = bgpd.ask(&lines).await?.iter().find(|reply| !reply.accepted()) {
            tracing::warn!(%vrf, "bgpd refused '{}': {}", refused.line, dialect::words(&refused.text));
        }
    }
    Ok(())
}

/// Whether the instance of a VRF has `bgp bestpath bandwidth`, by the running configuration; None: it is not there.
fn weighs_bandwidth(running: &str, vrf: IfName) -> Option<bool> {
    let is_its_head = |line: &str| {
        let name = line.strip_prefix("router bgp ").and_then(|rest| rest.split_once(" vrf "));
        name.is_some_and(|(_, name)| name.split(' ').next() == Some(vrf.as_str()))
    };
    let mut lines = running.lines();
    lines.find(|line| is_its_head(line))?;
    let mut settings = lines.take_while(|line| line.starts_with(' '));
    Some(settings.any(|line| line.trim_start().starts_with("bgp bestpath bandwidth")))
}

async fn is_there(bgpd: &mut Peer, what: Sight) -> Result<bool, Lost> {
    if what.vni.is_none() {
        let [text] = ask(bgpd, [Line::ShowHost(what.vrf, what.host)]).await?;
        return Ok(decode::is_originated(&text));
    }
    let [text] = ask(bgpd, [Line::ShowHostRoutes(what.host)]).await?;
    Ok(decode::type5(&text, what.vni).is_some_and(|hosts| hosts.contains(&what.host)))
}

/// The host prefixes that the instance of a VRF originates; None: bgpd does not say, as where there is no instance.
async fn originated(bgpd: &mut Peer, vrf: IfName) -> Result<Option<BTreeSet<IpAddr>>, Lost> {
    let tables = ask(bgpd, [Family::Ipv4, Family::Ipv6].map(|family| Line::ShowTable(vrf, family))).await?;
    let mut all = BTreeSet::new();
    for text in &tables {
        let Some(hosts) = decode::originated(text) else { return Ok(None) };
        all.extend(hosts);
    }
    Ok(Some(all))
}

async fn count(bgpd: &mut Peer, ToCount { vrf, vni, known }: ToCount) -> Result<Answer, Lost> {
    let statistics = [Family::Ipv4, Family::Ipv6].map(|family| Line::ShowStatistics(vrf, family));
    let totals = ask(bgpd, statistics).await?;
    let total: Option<usize> = totals.iter().map(|text| decode::total(text)).sum();
    let held = match total {
        Some(total) if total <= COUNT_AT_MOST && known != Some(total) => held(bgpd, vrf, vni).await?,
        _ => None,
    };
    Ok(Answer::Counted { vrf, total, held })
}

async fn held(bgpd: &mut Peer, vrf: IfName, vni: Option<u32>) -> Result<Option<Held>, Lost> {
    let Some(in_table) = originated(bgpd, vrf).await? else { return Ok(None) };
    let type5 = match vni {
        Some(vni) => type5(bgpd, vni).await?,
        None => BTreeSet::new(),
    };
    Ok(Some(Held { bgpd: in_table, type5 }))
}

/// The hosts of which this node originates type-5 routes under the VNI's route distinguisher; none where it has none.
async fn type5(bgpd: &mut Peer, vni: u32) -> Result<BTreeSet<IpAddr>, Lost> {
    let [shown] = ask(bgpd, [Line::ShowBgpVni(vni)]).await?;
    let Some(rd) = decode::rd(&shown) else { return Ok(BTreeSet::new()) };
    let [routes] = ask(bgpd, [Line::ShowRoutesOf(rd)]).await?;
    Ok(decode::type5(&routes, Some(vni)).unwrap_or_default())
}

async fn ask<const N: usize>(bgpd: &mut Peer, lines: [Line; N]) -> Result<[String; N], Lost> {
    let texts: Vec<String> = bgpd.ask(&lines).await?.into_iter().map(|reply| reply.text).collect();
    texts.try_into().map_err(|_| bgpd.lost_for("a reply is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instances_own_setting_is_found_and_no_others() {
        let running = "router bgp 1\n bgp bestpath bandwidth ignore\nexit\n!\nrouter bgp 1 vrf a\n bgp router-id 1.1.1.1\n !\n \
                       address-family ipv4 unicast\n exit-address-family\nexit\n!\nrouter bgp 1 vrf b\n bgp bestpath \
                       bandwidth skip-missing\nexit\n!\nend\n";
        let weighs = |vrf: &str| weighs_bandwidth(running, vrf.parse().unwrap());
        assert_eq!((weighs("a"), weighs("b")), (Some(false), Some(true)));
        assert_eq!(weighs("c"), None, "it would be made");
    }

    #[test]
    fn an_as_in_dots_and_a_notation_do_not_hide_an_instance() {
        let running = "router bgp 1.1 vrf a as-notation dot\n bgp router-id 1.1.1.1\nexit\n";
        assert_eq!(weighs_bandwidth(running, "a".parse().unwrap()), Some(false));
    }
}
