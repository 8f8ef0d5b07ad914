//! Wiring only: sessions, reconciler, control socket, web server and signals in one loop on one runtime. Decides nothing
//! itself.

mod answers;
pub mod cleanup;
mod database;
pub mod drain;
mod northbound;
mod pretend;
pub mod python;
pub mod rehearsal;
mod sessions;
mod southbound;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval_at, sleep_until, timeout},
};

use self::{drain::Course, northbound::Northbound, sessions::Sessions, southbound::Southbound};
use crate::{
    config::Config,
    control,
    lock::{Lock, LockError},
    ovsdb::{ClientEvent, Remotes, remotes::RemoteError},
    planes::{Command, Operation, Report},
    reconcile::{
        MassWithdrawLimit, Reconciler, UnderlayStatus,
        object::{Key, Object, PlaneId},
    },
    telemetry::{
        http, logs,
        systemd::{Notifier, watchdog_period},
    },
};

/// How many events may wait for the loop, and how many it takes in before it acts on them.
const QUEUE: usize = 4096;

/// How long sessions may take to finish what is under way when the agent ends: routes that are away for a second are to be back.
const PATIENCE: Duration = Duration::from_millis(3500);

/// How often systemd is told how things are, where no watchdog wants it more often.
const TELL_SYSTEMD: Duration = Duration::from_secs(10);

/// The id of the first command that adopts: far beyond what the reconciler counts to.
const ADOPTION: u64 = u64::MAX / 2;

/// What the loop hears.
pub enum Event {
    /// A plane reports.
    Plane(PlaneId, Report<Object, Key>),
    /// The Southbound's session reports.
    Southbound(ClientEvent),
    /// The Northbound's session reports.
    Northbound(ClientEvent),
}

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one runs, or the state directory cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A database's remotes are no remotes: the option, and what it says.
    #[error("{0} = {1:?}: {2}")]
    Remotes(&'static str, String, RemoteError),
    /// The control socket cannot be made.
    #[error("control_socket {0}: {1}")]
    Control(std::path::PathBuf, std::io::Error),
    /// Signals cannot be waited for.
    #[error("signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Runs until SIGTERM or SIGINT, and leaves the dataplane as it is then. SIGHUP reads the configuration at `path` again.
pub async fn run(config: Config, path: &Path) -> Result<(), StartError> {
    let _lock = Lock::take(&config.state_dir)?;
    let (wanted, mut questions) = mpsc::channel(QUEUE);
    control::serve(&config.control_socket, wanted.clone())
        .map_err(|error| StartError::Control(config.control_socket.clone(), error))?;
    if let Some(address) = config.metrics_listen
        && let Err(error) = http::serve(address, wanted).await
    {
        // Tenants are worth more than numbers about them.
        tracing::error!(%address, %error, "metrics_listen: no metrics and no page");
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut agent, mut heard) = Agent::start(config, Use::Keep, Wish::Southbound)?;
    let mut course = Course::resume(&agent.config.state_dir, &mut agent.reconciler);
    let mut reread = every(agent.config.reconcile_interval);
    let systemd = Notifier::from_environment();
    let mut alive = every(watchdog_period().unwrap_or(TELL_SYSTEMD).min(TELL_SYSTEMD));
    // The service runs from here on, whether its peers are there or not: a start that waited for the Southbound would be
    // killed after TimeoutStartSec, again and again, and hold up what is ordered after it. Whether all that is wished
    // stands is another question, which `/readyz` and `bgp-agent wait` answer.
    systemd.say("READY=1");
    tracing::info!("started");
    agent.reconciler.warn(python::beside_us());
    loop {
        let retry = agent.reconciler.next_timeout().into_iter().chain(course.due()).min();
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                systemd.say("RELOADING=1");
                agent.reload(path);
                reread = every(agent.config.reconcile_interval);
                systemd.say("READY=1");
            }
            _ = alive.tick(), if systemd.listens() => systemd.say(&format!("WATCHDOG=1\nSTATUS={}", agent.one_line())),
            _ = reread.tick() => agent.look_around(),
            () = wait_until(retry) => {}
            Some(event) = heard.recv() => agent.hear(event),
            Some(asked) = questions.recv() => {
                let _ = asked.answer.send(answers::answer(&mut agent.reconciler, &mut course, &asked.request));
            }
        }
        for _ in 0..QUEUE {
            let Ok(event) = heard.try_recv() else { break };
            agent.hear(event);
        }
        course.go_on(Instant::now(), &mut agent.reconciler);
        for (plane, command) in agent.decide() {
            agent.write(plane, command);
        }
    }
    systemd.say("STOPPING=1");
    tracing::info!("ending; the dataplane stays as it is");
    drop(heard);
    let _ = timeout(PATIENCE, agent.sessions.end()).await;
    Ok(())
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// What the sessions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To keep what is wished.
    Keep,
    /// To read alone.
    Look,
}

/// Where the wish comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// From the Southbound.
    Southbound,
    /// From nowhere: nothing is wished, so that all that is ours goes.
    Nothing,
    /// From nowhere, and what the Python agent left is ours, too.
    NothingOfPythons,
}

struct Agent {
    config: Config,
    sessions: Sessions,
    /// None: nothing is wished.
    southbound: Option<Southbound>,
    /// None: it is not asked.
    northbound: Option<Northbound>,
    reconciler: Reconciler,
}

impl Agent {
    /// Starts the sessions; what they say is to be heard.
    fn start(
        mut config: Config,
        purpose: Use,
        wish: Wish,
    ) -> Result<(Self, mpsc::Receiver<Event>), StartError> {
        let remotes: Remotes = config.ovsdb_connection.parse().map_err(|error| {
            StartError::Remotes("ovsdb_connection", config.ovsdb_connection.clone(), error)
        })?;
        let (events, heard) = mpsc::channel(QUEUE);
        if wish != Wish::Southbound {
            // Who asks for all of it to go means it.
            config.mass_withdraw.limit = MassWithdrawLimit::Prefixes(usize::MAX);
        }
        let sessions = Sessions::start(&config, remotes, events.clone(), purpose);
        let northbound = (wish == Wish::Southbound && config.asks_northbound())
            .then(|| Northbound::start(&config, events.clone()))
            .transpose()
            .map_err(|error| StartError::Remotes("ovn_nb_connection", config.nb_connection.clone(), error))?;
        let southbound = (wish == Wish::Southbound).then(|| Southbound::new(&config, events));
        let mut reconciler = Reconciler::new(config.clone());
        if wish != Wish::Southbound {
            reconciler.wish_nothing();
        }
        let agent = Self { config, sessions, southbound, northbound, reconciler };
        Ok((agent, heard))
    }

    /// What tells nothing by itself is looked at from time to time.
    fn look_around(&mut self) {
        self.reconciler.warn(python::beside_us());
        self.reconciler.read_all();
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Plane(plane, report) => self.reconciler.report(plane, report, Instant::now()),
            Event::Northbound(event) => {
                if let Some(northbound) = &mut self.northbound {
                    northbound.event(event, &mut self.reconciler);
                }
            }
            Event::Southbound(event) => {
                if let Some(southbound) = &mut self.southbound {
                    southbound.event(event, &mut self.reconciler);
                }
            }
        }
    }

    /// Takes in all that was heard, and gives what is to be done.
    fn decide(&mut self) -> Vec<(PlaneId, Command<Object>)> {
        self.reconciler.update_intent();
        if let Some(southbound) = &mut self.southbound {
            southbound.follow(&mut self.reconciler);
        }
        self.sessions.follow(&self.reconciler.flow_bridges());
        self.reconciler.poll(Instant::now())
    }

    /// What marks that which the Python agent left, so that it counts as ours. The commands have ids that the reconciler
    /// never uses: it learns of them by what the planes tell.
    fn adopt_leftovers(&mut self) -> Vec<(PlaneId, Command<Object>)> {
        let mut by_plane: BTreeMap<PlaneId, Vec<Operation<Object>>> = BTreeMap::new();
        for vni in self.reconciler.python_leftovers() {
            for (plane, operation) in self.reconciler.adoption(vni) {
                by_plane.entry(plane).or_default().push(operation);
            }
        }
        let command = |(id, (plane, operations))| (plane, Command::Apply { id, operations });
        (ADOPTION..).zip(by_plane).map(command).collect()
    }

    fn write(&mut self, plane: PlaneId, command: Command<Object>) {
        if let Some(lost) = self.sessions.send(plane, command) {
            self.reconciler.report(plane, lost, Instant::now());
        }
    }

    /// Reads the configuration again. What is wrong in it leaves everything as it is.
    fn reload(&mut self, path: &Path) {
        let loaded = match Config::load(path) {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!(%error, "the configuration is not read again");
                return;
            }
        };
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let (config, later) = self.config.reloaded(loaded.config);
        for option in later {
            tracing::warn!("{option} has changed: that needs a restart");
        }
        tracing::info!("the configuration is read again");
        logs::set_debug(config.debug);
        if let Some(southbound) = &mut self.southbound {
            southbound.reconfigure(&config);
        }
        if let Some(northbound) = &mut self.northbound {
            northbound.reconfigure(&config);
        }
        self.reconciler.reconfigure(&config);
        self.config = config;
    }

    /// How things are, for `systemctl status`.
    fn one_line(&self) -> String {
        let status = self.reconciler.status(Instant::now());
        let plain = status.underlay.iter().flat_map(|underlay| &underlay.networks);
        let prefixes: usize = status.tenants.iter().map(|tenant| tenant.prefixes.kernel).sum::<usize>()
            + plain.map(|network| network.prefixes.kernel).sum::<usize>();
        let waiting = status.tenants.iter().filter(|tenant| tenant.state != "ok").count()
            + status.underlay.iter().flat_map(UnderlayStatus::waiting).count();
        let down = status.sessions.iter().filter(|(_, session)| session.state != "up");
        let down: Vec<&str> = down.map(|(name, _)| name.as_str()).collect();
        let all = match &status.underlay {
            Some(underlay) => {
                let networks = underlay.networks.len();
                format!("{} tenants, {networks} provider networks, {prefixes} prefixes", status.tenants.len())
            }
            None => format!("{} tenants, {prefixes} prefixes", status.tenants.len()),
        };
        match (waiting, &*down) {
            (0, []) => format!("{all}; all stands"),
            (_, []) => format!("{all}; {waiting} of these do not stand (bgp-agent status --problems)"),
            _ => format!("{all}; no session: {}", down.join(", ")),
        }
    }
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
