//! One batch of operations: read what stands, say the difference, read it back, judge each operation by that.
//!
//! VRF blocks are written before BGP instances: bgpd lets an instance go only after `no vni`, and `no vrf` waits for
//! nothing of bgpd's. What the default instance imports comes behind the instances, in the order of the batch: bgpd makes an
//! instance of its own for a VRF that is imported and has none.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    peer::{Lost, Peer},
    peers::Peers,
};
use crate::planes::{
    Operation, Outcome, Verb,
    frr::{
        actual::View,
        dialect::{self, Commit},
        encode,
        line::Line,
        object::{FrrObject, VrfVni},
        session::Reply,
    },
};

/// How many objects go into one configuration. mgmtd's commit is quadratic: 0.2 s for 200 VRFs, 11 s for 2,000 [FRR 10.3].
const AT_ONCE: usize = 200;
/// How long a locked configuration is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// How long bgpd may need to hear from zebra that an L3VNI is gone; 10 ms as a rule.
const RELEASE_PATIENCE: Duration = Duration::from_secs(3);
/// How long routes are away before they come back with another rd or MED, or other targets: long enough for a withdrawal to
/// reach the zebra of who imports them, short for who waits.
const QUIET: Duration = Duration::from_secs(1);
/// When zebra is made to say that once more.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// bgpd's words for another AS (bgpd/bgp_vty.c, BGP_ERR_INSTANCE_MISMATCH).
const OTHER_AS: &str = "already running";

/// An operation on its way.
struct Step<'a> {
    operation: &'a Operation<FrrObject>,
    lines: Vec<Line>,
    /// Why it will not stand, as far as is known.
    refusal: Option<String>,
}

/// Carries out a batch; gives what stands afterwards and one outcome per operation. `attributes_in_place`: see
/// [`encode::quiet`].
pub async fn apply(
    peers: &mut Peers,
    operations: &[Operation<FrrObject>],
    attributes_in_place: bool,
) -> Result<(View, Vec<Outcome>), Lost> {
    let (mut expected, restoring) = hush(peers, operations, attributes_in_place).await?;
    let all = restoring.iter().chain(operations);
    let mut steps: Vec<_> = all.map(|operation| plan(operation, &mut expected)).collect();
    write_all(peers, &mut steps).await?;
    let seen = read_back(peers, &mut steps).await?;
    let outcomes = steps.into_iter().skip(restoring.len()).map(|step| judge(step, &seen)).collect();
    Ok((seen, outcomes))
}

/// Lets routes be away for a moment where these operations need it; gives what stands then, and what brings back the VNIs
/// that went for it.
async fn hush(
    peers: &mut Peers,
    operations: &[Operation<FrrObject>],
    attributes_in_place: bool,
) -> Result<(View, Vec<Operation<FrrObject>>), Lost> {
    let seen = peers.look().await?;
    let quiet: Vec<_> = operations
        .iter()
        .flat_map(|operation| encode::quiet(operation, &seen, attributes_in_place))
        .collect();
    if quiet.is_empty() {
        return Ok((seen, Vec::new()));
    }
    let mut expected = seen.clone();
    let mut steps: Vec<_> = quiet.iter().map(|operation| plan(operation, &mut expected)).collect();
    write_all(peers, &mut steps).await?;
    // Also when the agent is to end: what comes back too soon is lost for good.
    sleep(QUIET).await;
    let blocks = quiet.iter().filter_map(|operation| match &operation.object {
        FrrObject::Vrf(block) => seen.vrfs.get(&block.vrf),
        _ => None,
    });
    let restored =
        blocks.map(|block| Operation { verb: Verb::Update, object: FrrObject::Vrf(block.clone()) });
    let restored = restored.collect();
    Ok((peers.look().await?, restored))
}

async fn write_all(peers: &mut Peers, steps: &mut [Step<'_>]) -> Result<(), Lost> {
    let (peer, commit) = peers.vrf_writer();
    write(peer, commit, select(steps, |object| matches!(object, FrrObject::Vrf(_)))).await?;
    let (peer, commit) = peers.bgp_writer();
    write(peer, commit, select(steps, |object| !matches!(object, FrrObject::Vrf(_)))).await
}

fn plan<'a>(operation: &'a Operation<FrrObject>, expected: &mut View) -> Step<'a> {
    match encode::lines(operation, expected) {
        Ok(lines) => {
            expected.assume(operation);
            Step { operation, lines, refusal: None }
        }
        Err(why) => Step { operation, lines: Vec::new(), refusal: Some(why) },
    }
}

fn select<'s, 'a>(steps: &'s mut [Step<'a>], of: fn(&FrrObject) -> bool) -> Vec<&'s mut Step<'a>> {
    steps.iter_mut().filter(|step| !step.lines.is_empty() && of(&step.operation.object)).collect()
}

/// What FRR shows decides; what it said on the way is the reason.
fn judge(step: Step<'_>, seen: &View) -> Outcome {
    if seen.holds(step.operation) {
        if let Some(refusal) = step.refusal {
            tracing::debug!("as wished in the end, although {refusal}");
        }
        return Outcome::Done;
    }
    let unsaid = || "FRR took every line, but its running configuration does not show the result".to_owned();
    Outcome::Failed(step.refusal.unwrap_or_else(unsaid))
}

/// How one configuration ended.
enum Configured {
    /// Its lines were taken or refused one by one.
    Taken,
    /// The commit was refused: nothing of it stands.
    Spoiled(String),
    /// It was not even begun.
    Locked(String),
}

/// Writes these steps to one daemon and notes for each what was refused.
async fn write(peer: &mut Peer, commit: Commit, mut steps: Vec<&mut Step<'_>>) -> Result<(), Lost> {
    for some in steps.chunks_mut(AT_ONCE) {
        match configure(peer, commit, some).await? {
            Configured::Taken => {}
            Configured::Spoiled(_) if some.len() > 1 => write_singly(peer, commit, some).await?,
            Configured::Spoiled(why) | Configured::Locked(why) => refuse(some, &why),
        }
    }
    Ok(())
}

/// One bad step spoils a common commit: each alone, so that only the bad one fails.
async fn write_singly(peer: &mut Peer, commit: Commit, steps: &mut [&mut Step<'_>]) -> Result<(), Lost> {
    for step in steps.chunks_mut(1) {
        match configure(peer, commit, step).await? {
            Configured::Taken => {}
            Configured::Spoiled(why) | Configured::Locked(why) => refuse(step, &why),
        }
    }
    Ok(())
}

fn refuse(steps: &mut [&mut Step<'_>], why: &str) {
    for step in steps {
        step.refusal.get_or_insert_with(|| why.to_owned());
    }
}

/// One configuration, from opening to closing.
async fn configure(peer: &mut Peer, commit: Commit, steps: &mut [&mut Step<'_>]) -> Result<Configured, Lost> {
    if let Some(why) = open(peer, commit).await? {
        return Ok(Configured::Locked(why));
    }
    let (owners, lines): (Vec<_>, Vec<_>) = script(commit, steps).into_iter().unzip();
    for (owner, reply) in owners.into_iter().zip(peer.ask(&lines).await?) {
        if !reply.accepted() {
            refuse(&mut steps[owner..=owner], &refusal(peer, &reply));
        }
    }
    let closing = peer.ask(commit.closing()).await?;
    let refused = closing.iter().find(|reply| reply.line == Line::GatherEnd && !reply.accepted());
    Ok(refused.map_or(Configured::Taken, |reply| Configured::Spoiled(refusal(peer, reply))))
}

/// The lines of all steps, each with the index of its step.
fn script(commit: Commit, steps: &[&mut Step<'_>]) -> Vec<(usize, Line)> {
    let mut all = Vec::new();
    for (owner, step) in steps.iter().enumerate() {
        let between = if owner == 0 { &[] } else { commit.between() };
        all.extend(between.iter().chain(&step.lines).map(|line| (owner, *line)));
    }
    all
}

/// Opens a configuration, waiting for who has it locked. Gives why it could not be.
async fn open(peer: &mut Peer, commit: Commit) -> Result<Option<String>, Lost> {
    let mut waits = Waits::until(LOCK_PATIENCE);
    loop {
        let replies = peer.ask(commit.opening()).await?;
        let Some(refused) = replies.iter().find(|reply| !reply.accepted()) else { return Ok(None) };
        let why = refusal(peer, refused);
        peer.ask(&[Line::End]).await?;
        if !waits.next().await {
            let cause = "somebody else is configuring FRR, or a session that was cut during a commit left its lock \
                         (FRR 10.7; then restart mgmtd)";
            return Ok(Some(format!("{why}; {cause}")));
        }
    }
}

/// Reads what stands. What bgpd refused only because it has not yet heard that the L3VNI is gone is tried again; for one that
/// did not understand it, see [`dialect::held_l3vni`].
async fn read_back(peers: &mut Peers, steps: &mut [Step<'_>]) -> Result<View, Lost> {
    let mut waits = Waits::until(RELEASE_PATIENCE);
    let mut say_again = Some(Instant::now() + SAID_AGAIN_AFTER);
    loop {
        let seen = peers.look().await?;
        let mut held: Vec<_> = steps.iter_mut().filter(|step| held_l3vni(step, &seen).is_some()).collect();
        if held.is_empty() || !waits.next().await {
            return Ok(seen);
        }
        if say_again.take_if(|due| Instant::now() >= *due).is_some() {
            let blocks: Vec<_> = held.iter().filter_map(|step| held_l3vni(step, &seen)).collect();
            come_and_go(peers, &blocks, seen).await?;
        }
        held.iter_mut().for_each(|step| step.refusal = None);
        let (bgpd, commit) = peers.bgp_writer();
        write(bgpd, commit, held).await?;
    }
}

/// The L3VNI for which this was refused, if it is configured no longer.
fn held_l3vni(step: &Step<'_>, seen: &View) -> Option<VrfVni> {
    let FrrObject::Bgp(instance) = &step.operation.object else { return None };
    let released = seen.vrfs.get(&instance.vrf).is_none_or(|block| block.vni.is_none());
    let vni = step.refusal.as_deref().and_then(dialect::held_l3vni);
    let is_held = step.operation.verb == Verb::Remove && released && vni.is_some();
    is_held.then_some(VrfVni { vrf: instance.vrf, vni, up: false })
}

/// L3VNIs are configured and go again, each in a configuration of its own: so zebra tells bgpd once more that they are gone.
async fn come_and_go(peers: &mut Peers, blocks: &[VrfVni], mut seen: View) -> Result<(), Lost> {
    let gone = |block: &VrfVni| VrfVni { vni: None, ..block.clone() };
    for blocks in [blocks.to_vec(), blocks.iter().map(gone).collect()] {
        let update = |block| Operation { verb: Verb::Update, object: FrrObject::Vrf(block) };
        let operations: Vec<_> = blocks.into_iter().map(update).collect();
        let mut steps: Vec<_> = operations.iter().map(|operation| plan(operation, &mut seen)).collect();
        write_all(peers, &mut steps).await?;
    }
    Ok(())
}

fn refusal(peer: &Peer, reply: &Reply) -> String {
    let text = dialect::words(&reply.text);
    let text = if text.is_empty() { format!("status {} without a word", reply.status.0) } else { text };
    let daemon = peer.daemon().name();
    let (what, hint) = match reply.line {
        Line::GatherEnd => ("the commit".to_owned(), ""),
        Line::RouterBgp(..) if text.contains(OTHER_AS) => (
            format!("'{}'", reply.line),
            "; where none is shown for the VRF, it is the one that bgpd makes by itself, with the AS of its default \
             instance, as soon as an L3VNI is up: another AS must be configured before `vni`",
        ),
        line => (format!("'{line}'"), ""),
    };
    format!("{daemon} refused {what}: {text}{hint}")
}

/// Growing waits, 10 ms doubling to 320 ms, up to an end.
struct Waits {
    end: Instant,
    next: Duration,
}

impl Waits {
    fn until(patience: Duration) -> Self {
        Self { end: Instant::now() + patience, next: Duration::from_millis(10) }
    }

    /// Waits; false when the end has come.
    async fn next(&mut self) -> bool {
        if Instant::now() >= self.end {
            return false;
        }
        sleep(self.next).await;
        self.next = (self.next * 2).min(Duration::from_millis(320));
        true
    }
}
