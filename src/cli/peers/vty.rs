//! Questions to FRR's daemons over their vty sockets. `show` commands alone: made of our words, numbers and addresses.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

/// How long a daemon may take. bgpd shows 100,000 routes in about a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// What stands behind each reply's text: three NULs, then the status (lib/vty.c, `vtysh_read`).
const END: [u8; 3] = [0; 3];

/// A connected daemon.
#[derive(Debug)]
pub struct Vty {
    daemon: &'static str,
    stream: UnixStream,
}

impl Vty {
    /// Connects to the daemon's socket in FRR's run directory.
    ///
    /// # Errors
    /// It does not run, or may not be asked; in words.
    pub fn open(directory: &Path, daemon: &'static str) -> Result<Self, String> {
        let path = directory.join(daemon).with_extension("vty");
        let likely = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "it does not run",
            io::ErrorKind::PermissionDenied => "run this as root, or as a member of the group frrvty",
            _ => "is this FRR's vty socket?",
        };
        let failed = |error: io::Error| format!("{daemon}: {}: {error} ({})", path.display(), likely(&error));
        let stream = UnixStream::connect(&path).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let mut vty = Self { daemon, stream };
        vty.show("enable")?;
        Ok(vty)
    }

    /// What the daemon answers to this command.
    ///
    /// # Errors
    /// It refuses, or the connection is gone.
    pub fn show(&mut self, command: &str) -> Result<String, String> {
        let daemon = self.daemon;
        let failed = |error: io::Error| format!("{daemon}: `{command}`: {error}");
        self.stream.write_all(&[command.as_bytes(), &[0]].concat()).map_err(failed)?;
        let mut reply = Vec::new();
        let mut block = vec![0; 64 << 10];
        loop {
            // The text holds no NUL, so that the first one begins the end.
            let text = reply.iter().position(|byte| *byte == 0);
            if let Some(status) = text.and_then(|text| reply.get(text + END.len())) {
                let status = *status;
                reply.truncate(text.unwrap_or_default());
                let text = String::from_utf8_lossy(&reply).into_owned();
                return match status {
                    // CMD_WARNING (lib/command.h): a `show` that finds nothing ends so, too.
                    0 | 1 => Ok(text),
                    other => Err(format!("{daemon} refuses `{command}` (status {other}): {}", text.trim())),
                };
            }
            match self.stream.read(&mut block).map_err(failed)? {
                0 => return Err(format!("{daemon}: `{command}`: the connection was closed")),
                length => reply.extend_from_slice(block.get(..length).unwrap_or_default()),
            }
        }
    }

    /// The same for a command that answers in JSON; one that says nothing, or that in words, has nothing to show.
    ///
    /// # Errors
    /// As `show`.
    pub fn json(&mut self, command: &str) -> Result<Value, String> {
        let text = self.show(command)?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn replies_are_taken_apart_however_they_arrive() {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("bgpd.vty")).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut block = [0; 100];
            for reply in [&b"\0\0\0\0"[..], b"{\"a\":1}\n\0\0\0\0", b"% Unknown command\n\0\0\0\x02"] {
                assert!(stream.read(&mut block).unwrap() > 0);
                for byte in reply {
                    stream.write_all(&[*byte]).unwrap();
                }
            }
        });
        let mut vty = Vty::open(dir.path(), "bgpd").unwrap();
        assert_eq!(vty.json("show a json").unwrap()["a"], 1);
        assert!(vty.show("show b").unwrap_err().contains("Unknown command"));
        daemon.join().unwrap();
        assert!(Vty::open(dir.path(), "zebra").unwrap_err().contains("does not run"));
    }
}
