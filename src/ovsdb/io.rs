//! The task that owns the socket of a database session: connects to the remotes in turn, carries bytes between the socket
//! and [`Session`], and events and commands between the session and the channels. It decides nothing about messages.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    io,
    time::{Duration, Instant},
};

use bytes::Buf;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::mpsc,
    time::{sleep_until, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    ClientCommand, ClientEvent, ProtocolError, Remote, Remotes,
    session::{Config, Session},
    tls::{self, TlsOptions},
};

/// How long a remote has to accept a connection, which its kernel does however busy its process is.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long its process has for the TLS handshake behind that: a busy server lets wait, and OVS's own clients come to wait
/// as long (RECONNECT_DEFAULT_MAX_BACKOFF in lib/reconnect.h).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);

/// The pause after all remotes failed: from, and doubling up to, these (RECONNECT_DEFAULT_MIN_BACKOFF and _MAX_BACKOFF
/// in lib/reconnect.h). Up to a quarter is taken off by chance, so that nodes do not come all at once.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

/// How many bytes are read at once at least.
const READ_SIZE: usize = 64 << 10;

/// With so many bytes still to be sent, nothing more is read: a server that only asks cannot fill our memory.
const MAX_UNSENT: usize = 1 << 20;

/// What a client connects to, and for what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub remotes: Remotes,
    /// Take the remotes in an order of chance, as OVS's clients do to spread over the members of a cluster; else in
    /// theirs.
    pub shuffle: bool,
    /// For `ssl:` remotes.
    pub tls: Option<TlsOptions>,
    /// For what.
    pub session: Config,
}

/// Keeps a session with the database until `commands` or `events` is closed.
pub async fn run(
    options: Options,
    commands: mpsc::Receiver<ClientCommand>,
    events: mpsc::Sender<ClientEvent>,
) {
    let Options { remotes, shuffle, tls, session } = options;
    let rotation = Rotation::new(&remotes, shuffle);
    let mut client = Client { session: Session::new(session), rotation, shuffle, tls, commands, events };
    client.run().await;
}

struct Client {
    session: Session,
    rotation: Rotation,
    shuffle: bool,
    tls: Option<TlsOptions>,
    commands: mpsc::Receiver<ClientCommand>,
    events: mpsc::Sender<ClientEvent>,
}

/// Why a connection, or what leads to one, has ended.
#[derive(Debug)]
enum Stop {
    /// The other end of a channel is gone: so is our work.
    Closed,
    /// Other remotes are to be used.
    Retarget,
    /// The remote is of no use, for this reason.
    Lost(String),
}

impl Client {
    async fn run(&mut self) {
        let mut backoff = BACKOFF.0;
        let mut failed: Vec<String> = Vec::new();
        let mut silent = 0;
        loop {
            let began = now();
            let remote = self.rotation.current().clone();
            let stop = self.attempt(&remote).await;
            let was_up = self.session.is_up();
            self.session.disconnected();
            silent = if self.session.was_silent() { silent + 1 } else { 0 };
            if silent >= self.rotation.len() {
                self.session.have_patience();
                silent = 0;
            }
            match stop {
                Stop::Closed => return,
                Stop::Retarget => {
                    backoff = BACKOFF.0;
                    failed.clear();
                    continue;
                }
                Stop::Lost(reason) => {
                    let reason = format!("{remote}: {reason}");
                    // A server that ends each session at once has failed, though it was up.
                    let served = was_up && now() - began > backoff;
                    if was_up {
                        self.session.down(reason.clone());
                    }
                    match served {
                        true => {
                            backoff = BACKOFF.0;
                            failed.clear();
                        }
                        false => failed.push(reason),
                    }
                }
            }
            self.rotation.advance();
            if failed.len() < self.rotation.len() {
                continue;
            }
            self.session.down(std::mem::take(&mut failed).join("; "));
            let pause = tokio::time::sleep(backoff.mul_f32(1.0 - 0.25 * fastrand::f32()));
            backoff = (2 * backoff).min(BACKOFF.1);
            if let Err(Stop::Closed) = self.meanwhile(pause).await {
                return;
            }
        }
    }

    /// One connection, from connect to its end.
    async fn attempt(&mut self, remote: &Remote) -> Stop {
        let connecting = connect(remote.clone(), self.tls.clone());
        let stream = match self.meanwhile(connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(reason)) => return Stop::Lost(reason),
            Err(stop) => return stop,
        };
        self.session.connected(now());
        let Err(stop) = self.converse(stream).await;
        stop
    }

    /// Waits for `work`, while events and commands go on.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::pin!(work);
        loop {
            let has_event = self.session.has_event();
            tokio::select! {
                done = &mut work => return Ok(done),
                permit = self.events.clone().reserve_owned(), if has_event => deliver(permit, &mut self.session)?,
                () = self.events.closed() => return Err(Stop::Closed),
                command = self.commands.recv() => self.command(command)?,
            }
        }
    }

    /// Carries bytes, events and commands for as long as the connection is good.
    async fn converse(&mut self, stream: Box<dyn Stream>) -> Result<Infallible, Stop> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut flushed = true;
        loop {
            let has_event = self.session.has_event();
            let deadline = self.session.deadline().filter(|_| !has_event);
            let (input, output) = self.session.buffers();
            // Who does not take our events, or our bytes, is not listened to until he does.
            let listening = !has_event && output.len() < MAX_UNSENT;
            let sending = !output.is_empty() || !flushed;
            input.reserve(if listening { READ_SIZE } else { 0 });
            tokio::select! {
                permit = self.events.clone().reserve_owned(), if has_event => {
                    deliver(permit, &mut self.session)?;
                    self.session.heard(now());
                }
                () = self.events.closed() => return Err(Stop::Closed),
                command = self.commands.recv() => self.command(command)?,
                read = reader.read_buf(input), if listening => {
                    if read.map_err(broken)? == 0 {
                        return Err(Stop::Lost("the server has closed the connection".into()));
                    }
                    self.session.received(now()).map_err(lost)?;
                }
                sent = send(&mut writer, output), if sending => {
                    let sent = sent.map_err(broken)?;
                    flushed = sent == 0;
                    self.session.buffers().1.advance(sent);
                }
                () = at(deadline), if deadline.is_some() => self.session.tick(now()).map_err(lost)?,
            }
        }
    }

    fn command(&mut self, command: Option<ClientCommand>) -> Result<(), Stop> {
        match command.ok_or(Stop::Closed)? {
            ClientCommand::SetConditions(wishes, serial) => self.session.set_conditions(wishes, serial),
            ClientCommand::Transact { id, operations } => self.session.transact(id, &operations),
            ClientCommand::Resync => {
                self.session.forget();
                if self.session.is_up() {
                    return Err(Stop::Lost("all rows are to be read anew".into()));
                }
            }
            ClientCommand::SetRemotes(remotes) => return self.retarget(&remotes),
            ClientCommand::SetProbeInterval(interval) => self.session.set_probe_interval(interval, now()),
        }
        Ok(())
    }

    fn retarget(&mut self, remotes: &Remotes) -> Result<(), Stop> {
        let current = self.rotation.current().clone();
        self.rotation = Rotation::new(remotes, self.shuffle);
        if self.session.is_up() {
            if self.rotation.turn_to(&current) {
                return Ok(());
            }
            self.session.down(format!("{current}: other remotes are to be used"));
        }
        Err(Stop::Retarget)
    }
}

fn deliver(
    permit: Result<mpsc::OwnedPermit<ClientEvent>, mpsc::error::SendError<()>>,
    session: &mut Session,
) -> Result<(), Stop> {
    let permit = permit.map_err(|_| Stop::Closed)?;
    if let Some(event) = session.poll_event() {
        permit.send(event);
    }
    Ok(())
}

fn lost(error: ProtocolError) -> Stop {
    Stop::Lost(error.to_string())
}

fn broken(error: io::Error) -> Stop {
    Stop::Lost(format!("{error}{}", tls::hint(&error)))
}

/// Sends some of these bytes, and gives how many; without any, sends what a TLS layer still holds.
async fn send(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    match writer.write(bytes).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        sent => Ok(sent),
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A connection of any kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn connect(remote: Remote, tls: Option<TlsOptions>) -> Result<Box<dyn Stream>, String> {
    match &remote {
        Remote::Unix(path) => {
            let connecting = UnixStream::connect(path);
            let stream = within(CONNECT_TIMEOUT, "connection", connecting).await?;
            Ok(Box::new(stream.map_err(|error| error.to_string())?))
        }
        Remote::Tcp(host, port) => Ok(Box::new(connect_tcp(host, *port).await?)),
        Remote::Ssl(host, port) => {
            let options =
                tls.ok_or("a private key, a certificate and a CA certificate are needed for ssl:")?;
            let config = tls::client_config(&options).map_err(|error| error.to_string())?;
            let name = ServerName::try_from(host.to_string()).map_err(|error| error.to_string())?;
            let stream = connect_tcp(host, *port).await?;
            let handshake = TlsConnector::from(config).connect(name, stream);
            let stream = within(HANDSHAKE_TIMEOUT, "TLS handshake", handshake).await?;
            let stream = stream.map_err(|error| format!("TLS: {error}{}", tls::hint(&error)))?;
            Ok(Box::new(stream))
        }
    }
}

async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> Result<T, String> {
    timeout(limit, work).await.map_err(|_| format!("no {what} within {} s", limit.as_secs()))
}

async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, String> {
    let connecting = TcpStream::connect((host, port));
    let stream =
        within(CONNECT_TIMEOUT, "connection", connecting).await?.map_err(|error| error.to_string())?;
    // Messages are small and each is waited for.
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// The remotes in the order in which they are tried, and whose turn it is.
#[derive(Debug)]
struct Rotation {
    remotes: VecDeque<Remote>,
}

impl Rotation {
    fn new(remotes: &Remotes, shuffle: bool) -> Self {
        let mut remotes = remotes.as_slice().to_vec();
        if shuffle {
            fastrand::shuffle(&mut remotes);
        }
        Self { remotes: remotes.into() }
    }

    fn current(&self) -> &Remote {
        &self.remotes[0]
    }

    fn advance(&mut self) {
        self.remotes.rotate_left(1);
    }

    fn len(&self) -> usize {
        self.remotes.len()
    }

    /// Make it this one's turn, if it is among them.
    fn turn_to(&mut self, remote: &Remote) -> bool {
        let at = self.remotes.iter().position(|other| other == remote);
        self.remotes.rotate_left(at.unwrap_or(0));
        at.is_some()
    }
}
