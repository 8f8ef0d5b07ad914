//! Words to systemd (sd_notify(3)): ready, reloading, ending, and that the loop is alive. Without NOTIFY_SOCKET, as in a
//! terminal, nothing is said.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net::SocketAddr, net::UnixDatagram},
    },
    time::Duration,
};

/// The way to systemd, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
}

impl Notifier {
    /// From NOTIFY_SOCKET in the environment.
    pub fn from_environment() -> Self {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self::default();
        };
        match connect(&address) {
            Ok(socket) => Self { socket: Some(socket) },
            Err(error) => {
                tracing::warn!(%error, "NOTIFY_SOCKET {}", address.to_string_lossy());
                Self::default()
            }
        }
    }

    /// Whether anybody hears it: composing words can be spared else.
    pub fn listens(&self) -> bool {
        self.socket.is_some()
    }

    /// Says this, a `KEY=value` per line. A systemd that does not read is not waited for.
    pub fn say(&self, words: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(words.as_bytes());
        }
    }
}

/// A path, or an abstract name behind `@`.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How often systemd wants to hear that the loop is alive: half of WATCHDOG_USEC, if that is set and meant for us.
pub fn watchdog_period() -> Option<Duration> {
    let variable = |name| std::env::var(name).ok();
    let meant = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
    let microseconds: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (meant && microseconds > 0).then(|| Duration::from_micros(microseconds / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("@bgp-agent-test-{}", std::process::id());
        let bound = [
            (UnixDatagram::bind(&path).unwrap(), path.as_os_str()),
            (
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name.as_bytes()[1..]).unwrap())
                    .unwrap(),
                OsStr::new(&name),
            ),
        ];
        for (socket, address) in bound {
            Notifier { socket: Some(connect(address).unwrap()) }.say("READY=1\nSTATUS=well");
            let mut heard = [0; 64];
            let length = socket.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1\nSTATUS=well");
        }
        Notifier::default().say("READY=1");
    }
}
