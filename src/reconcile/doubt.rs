//! A VRF of which bgpd does not have what stands, as counted: by which hosts it differs, whether that changes by itself, and
//! what has to be let be. Pure: time is passed in.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::retry;

/// The pause after the first count, and the longest before the VRF is counted again.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(64);

/// How often hosts are looked at before they are let be.
const MOST_LOOKS: u32 = 8;

/// The doubt.
#[derive(Debug)]
pub struct Doubt {
    /// The hosts that bgpd lacks, or has too much, by every count since the first of these.
    hosts: BTreeSet<IpAddr>,
    /// How many of those counts were some time apart.
    times: u32,
    /// Counts before this say nothing new.
    next: Instant,
    /// It is to be counted again then.
    waits: bool,
    /// Hosts that there is nothing to be done about, as far as can be told.
    accepted: BTreeSet<IpAddr>,
}

impl Doubt {
    /// Of nothing yet.
    pub fn new(now: Instant) -> Self {
        Self { hosts: BTreeSet::new(), times: 0, next: now, waits: false, accepted: BTreeSet::new() }
    }

    /// By these hosts bgpd differs now. Gives whether they have to be looked at: it does not change by itself.
    pub fn counted(&mut self, differing: &BTreeSet<IpAddr>, now: Instant) -> bool {
        self.accepted.retain(|host| differing.contains(host));
        let open: BTreeSet<IpAddr> = differing.difference(&self.accepted).copied().collect();
        self.hosts.retain(|host| open.contains(host));
        self.waits = !open.is_empty();
        if open.is_empty() {
            return false;
        }
        if self.hosts.is_empty() {
            (self.hosts, self.times, self.next) = (open, 0, now);
        }
        if self.next > now {
            return false;
        }
        self.times += 1;
        self.next = now + retry::doubled(FIRST, self.times, LONGEST);
        if self.times > MOST_LOOKS {
            self.accepted.append(&mut self.hosts);
            return false;
        }
        self.times > 1
    }

    /// A look found nothing to be told: of the hosts in doubt these are others', and the rest is as it should be by now.
    pub fn accept(&mut self, theirs: &BTreeSet<IpAddr>) {
        self.accepted.extend(self.hosts.intersection(theirs));
        self.hosts.clear();
    }

    /// Whether this host is let be.
    pub fn lets_be(&self, host: IpAddr) -> bool {
        self.accepted.contains(&host)
    }

    /// When the VRF is to be counted again.
    pub fn due(&self) -> Option<Instant> {
        self.waits.then_some(self.next)
    }

    /// It is being counted.
    pub fn asked(&mut self) {
        self.waits = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts<const N: usize>(last: [u8; N]) -> BTreeSet<IpAddr> {
        last.into_iter().map(|last| IpAddr::from([20, 0, 0, last])).collect()
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn what_differs_twice_is_looked_at_whatever_else_comes_and_goes() {
        let start = Instant::now();
        let mut doubt = Doubt::new(start);
        assert!(!doubt.counted(&hosts([1, 2]), start));
        assert_eq!(doubt.due(), Some(at(start, 1)));
        assert!(!doubt.counted(&hosts([1, 2, 3]), start), "too soon to say");
        assert!(doubt.counted(&hosts([1, 4]), at(start, 1)), "1 was there all the time");
        assert!(!doubt.counted(&hosts([5]), at(start, 9)), "another one");
        assert!(doubt.counted(&hosts([5]), at(start, 10)));
        assert!(!doubt.counted(&hosts([]), at(start, 20)));
        assert_eq!(doubt.due(), None);
    }

    #[test]
    fn what_looks_do_not_help_is_let_be_and_nothing_else() {
        let start = Instant::now();
        let mut doubt = Doubt::new(start);
        let looks = (0..1000).filter(|seconds| doubt.counted(&hosts([1]), at(start, *seconds))).count();
        assert_eq!((looks, doubt.due()), (7, None));
        assert!(doubt.lets_be(IpAddr::from([20, 0, 0, 1])));
        assert!(!doubt.counted(&hosts([1, 2]), at(start, 1000)));
        assert!(doubt.counted(&hosts([1, 2]), at(start, 1500)), "one more");
        assert!(!doubt.counted(&hosts([3]), at(start, 2000)));
        assert!(doubt.counted(&hosts([3]), at(start, 2500)), "as many as once, but another one");
    }

    #[test]
    fn what_a_look_found_right_is_let_be_until_it_goes() {
        let start = Instant::now();
        let mut doubt = Doubt::new(start);
        doubt.counted(&hosts([1, 2]), start);
        doubt.accept(&hosts([1, 9]));
        assert!(!doubt.counted(&hosts([1]), at(start, 500)) && doubt.due().is_none());
        assert!(!doubt.counted(&hosts([1, 2]), at(start, 510)));
        assert!(doubt.counted(&hosts([1, 2]), at(start, 520)), "that one was there at the look");
        doubt.counted(&hosts([]), at(start, 600));
        assert!(!doubt.counted(&hosts([1]), at(start, 700)));
        assert!(doubt.counted(&hosts([1]), at(start, 800)), "it has come anew");
    }
}
