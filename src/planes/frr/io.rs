//! The task that owns the vty sockets: connects, serves commands, looks for changes, and connects again.
//!
//! Owns time: intervals, backoff, and what is told when. Never decides what should exist.
//!
//! FRR tells nothing by itself, so what changes is found by looking: L3VNIs that are waited for at a quick pace, everything
//! else at a slow one. A daemon that restarts closes its socket, which is noticed at once.

mod batch;
mod inquiry;
mod peer;
mod peers;
#[cfg(test)]
mod replay;

use std::{collections::BTreeMap, convert::Infallible, path::PathBuf, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

pub(crate) use self::peer::Peer;
use self::{inquiry::Inquiry, peer::Lost, peers::Peers};
use super::{
    actual::View,
    object::{FrrKey, FrrObject},
    question::Daemons,
};
use crate::planes::{Change, Command, Operation, Outcome, Report};

/// Between two looks at everything. Reading 1,000 VRFs with their BGP instances costs FRR about 20 ms.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at L3VNIs that are waited for: from the first, doubling, to the second. zebra needs 2 to 100 ms from
/// the last device to Up.
const WATCH: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// Between two tries to connect: from the first, doubling, to the second. A try at a local socket costs next to nothing,
/// and FRR is to be as wished soon after its return.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Where FRR is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of `zebra.vty`, `bgpd.vty` and `mgmtd.vty`: FRR's `--vty_socket`, usually /run/frr.
    pub socket_dir: PathBuf,
    /// L3VNIs are kept: what keeps EVPN switched off is said.
    pub evpn: bool,
    /// Another MED and other export targets are given to routes as they stand, instead of their being away for a moment: see
    /// [`super::encode::quiet`].
    pub attributes_in_place: bool,
}

/// Keeps the sessions with FRR until the reconciler's side of a channel is closed, and then ends after the batch at hand.
///
/// Wait for that end instead of dropping the future: a session that is cut during a commit leaves its lock in mgmtd for
/// ever [FRR 10.7.1], and nobody can configure until mgmtd is restarted.
pub async fn run(
    options: Options,
    commands: mpsc::Receiver<Command<FrrObject>>,
    reports: mpsc::Sender<Report<FrrObject, FrrKey>>,
) {
    let mut plane = Plane { options, commands, reports, daemons: Daemons::new() };
    // The only error that comes up to here is that nobody listens any more.
    let _ = plane.live().await;
}

/// The reconciler has gone.
struct Closed;

/// Why serving ended.
enum Ended {
    Closed,
    Lost(Lost),
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<Lost> for Ended {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

struct Plane {
    options: Options,
    commands: mpsc::Receiver<Command<FrrObject>>,
    reports: mpsc::Sender<Report<FrrObject, FrrKey>>,
    /// As last told.
    daemons: Daemons,
}

impl Plane {
    async fn live(&mut self) -> Result<(), Closed> {
        let mut retry = RETRY.0;
        let mut told = None;
        loop {
            let mut daemons = self.daemons.clone();
            let opened = Peers::open(&self.options.socket_dir, &mut daemons).await;
            if let Err(lost) = &opened {
                daemons.insert(lost.daemon(), Some(lost.why().to_owned()));
            }
            self.tell(daemons).await?;
            let lost = match opened {
                Ok((peers, view)) => {
                    (retry, told) = (RETRY.0, None);
                    self.serve(peers, view).await?
                }
                Err(lost) => lost,
            };
            let mut daemons = self.daemons.clone();
            daemons.insert(lost.daemon(), Some(lost.why().to_owned()));
            self.tell(daemons).await?;
            let reason = lost.to_string();
            if told.as_ref() != Some(&reason) {
                tracing::warn!("the session with FRR is down: {reason}");
                self.report(Report::Down(reason.clone())).await?;
                told = Some(reason.clone());
            }
            self.pause(retry.mul_f64(0.75 + fastrand::f64() / 2.0), &reason).await?;
            retry = (retry * 2).min(RETRY.1);
        }
    }

    /// Tells which daemons can be spoken with, if that has changed.
    async fn tell(&mut self, daemons: Daemons) -> Result<(), Closed> {
        if daemons == self.daemons {
            return Ok(());
        }
        self.daemons.clone_from(&daemons);
        self.report(Report::Daemons(daemons)).await
    }

    /// Waits before the next try; what is asked meanwhile is answered, since nobody may wait for FRR.
    async fn pause(&mut self, time: Duration, reason: &str) -> Result<(), Closed> {
        let until = Instant::now() + time;
        loop {
            let command = tokio::select! {
                () = sleep_until(until) => return Ok(()),
                command = self.commands.recv() => command.ok_or(Closed)?,
            };
            match command {
                Command::Apply { id, operations } => self.unknown(id, &operations).await?,
                Command::Read => self.report(Report::Down(reason.to_owned())).await?,
                Command::Ask(_) => {}
            }
        }
    }

    /// Serves until a daemon is lost.
    async fn serve(&mut self, mut peers: Peers, view: View) -> Result<Lost, Closed> {
        match self.serve_with(&mut peers, view).await {
            Ok(never) => match never {},
            Err(Ended::Lost(lost)) => Ok(lost),
            Err(Ended::Closed) => Err(Closed),
        }
    }

    async fn serve_with(&mut self, peers: &mut Peers, view: View) -> Result<Infallible, Ended> {
        tracing::info!("the session with FRR is up; VRFs are {}'s", peers.vrf_owner());
        self.report(Report::Whole(view.objects())).await?;
        let mut seen = Seen::new(view, self.options.evpn);
        let mut inquiry = Inquiry::default();
        loop {
            tokio::select! {
                lost = peers.lost() => return Err(lost.into()),
                command = self.commands.recv() => match command.ok_or(Closed)? {
                    Command::Read => {
                        let newer = peers.look().await?;
                        seen.take(newer);
                        self.report(Report::Whole(seen.view.objects())).await?;
                    }
                    // The agent ends: what is not begun is left to the next one.
                    Command::Apply { .. } if self.commands.is_closed() => return Err(Ended::Closed),
                    Command::Apply { id, operations } => self.apply(peers, &mut seen, id, &operations).await?,
                    Command::Ask(question) => inquiry.take(question),
                },
                () = sleep_until(seen.next_look) => {
                    let newer = peers.look().await?;
                    self.changed(seen.take(newer)).await?;
                }
                () = sleep_until(inquiry.due()), if !inquiry.is_done() => {
                    if let Some(answer) = inquiry.go_on(peers.bgpd()).await? {
                        self.report(Report::Bgp(answer)).await?;
                    }
                }
                () = sleep_until(seen.next_watch), if seen.watches() => {
                    let up = peers.l3vnis(&seen.view.waiting()).await?;
                    self.changed(seen.watched(&up)).await?;
                }
            }
        }
    }

    async fn apply(
        &mut self,
        peers: &mut Peers,
        seen: &mut Seen,
        id: u64,
        operations: &[Operation<FrrObject>],
    ) -> Result<(), Ended> {
        match batch::apply(peers, operations, self.options.attributes_in_place).await {
            Ok((newer, outcomes)) => {
                self.changed(seen.take(newer)).await?;
                seen.watch_soon();
                Ok(self.report(Report::Results { id, outcomes }).await?)
            }
            Err(lost) => {
                self.unknown(id, operations).await?;
                Err(lost.into())
            }
        }
    }

    async fn unknown(&self, id: u64, operations: &[Operation<FrrObject>]) -> Result<(), Closed> {
        let outcomes = vec![Outcome::Unknown; operations.len()];
        self.report(Report::Results { id, outcomes }).await
    }

    async fn changed(&self, changes: Vec<Change<FrrObject, FrrKey>>) -> Result<(), Closed> {
        if changes.is_empty() {
            return Ok(());
        }
        self.report(Report::Changed(changes)).await
    }

    async fn report(&self, report: Report<FrrObject, FrrKey>) -> Result<(), Closed> {
        self.reports.send(report).await.map_err(|_| Closed)
    }
}

/// What was last told, and when to look again.
struct Seen {
    /// EVPN is wanted.
    evpn: bool,
    view: View,
    next_look: Instant,
    next_watch: Instant,
    watch: Duration,
}

impl Seen {
    fn new(view: View, evpn: bool) -> Self {
        let now = Instant::now();
        let (next_look, next_watch) = (now + LOOK_EVERY, now + WATCH.0);
        let seen = Self { evpn, view, next_look, next_watch, watch: WATCH.0 };
        seen.warn();
        seen
    }

    /// Takes a complete newer view; gives what changed.
    fn take(&mut self, newer: View) -> Vec<Change<FrrObject, FrrKey>> {
        self.next_look = Instant::now() + LOOK_EVERY;
        let changes = self.view.changes(&newer);
        let evpn = std::mem::replace(&mut self.view, newer).base.evpn;
        if evpn != self.view.base.evpn {
            self.warn();
            self.watch_soon();
        }
        changes
    }

    /// Takes the state of some L3VNIs; gives what came up.
    fn watched(&mut self, up: &BTreeMap<u32, bool>) -> Vec<Change<FrrObject, FrrKey>> {
        self.watch = (self.watch * 2).min(WATCH.1);
        self.next_watch = Instant::now() + self.watch;
        self.view.raise(up)
    }

    /// There is something to wait for, and it can come.
    fn watches(&self) -> bool {
        self.view.base.evpn && !self.view.waiting().is_empty()
    }

    fn watch_soon(&mut self) {
        self.watch = WATCH.0;
        self.next_watch = Instant::now() + WATCH.0;
    }

    fn warn(&self) {
        if self.evpn && !self.view.base.evpn {
            tracing::warn!(
                "FRR's default `router bgp` has no `advertise-all-vni` in address-family l2vpn evpn: \
                 EVPN is off and no L3VNI will come up"
            );
        }
    }
}
