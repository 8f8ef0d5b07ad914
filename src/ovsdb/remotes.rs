//! Where a database is served: a comma-separated list as `ovn-remote` and OVS's tools take it. It connects nowhere.

use std::{fmt, path::PathBuf, str::FromStr};

/// The port of a TCP or TLS remote that names none (IANA's `ovsdb`, RFC 7047 section 7).
pub const DEFAULT_PORT: u16 = 6640;

/// One address of a database server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Remote {
    /// `unix:PATH`
    Unix(PathBuf),
    /// `tcp:HOST[:PORT]`
    Tcp(Host, u16),
    /// `ssl:HOST[:PORT]`
    Ssl(Host, u16),
}

/// A host name or address, IPv6 without brackets.
pub type Host = Box<str>;

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
            Self::Tcp(host, port) => ("tcp", host, port),
            Self::Ssl(host, port) => ("ssl", host, port),
        };
        match host.contains(':') {
            true => write!(f, "{scheme}:[{host}]:{port}"),
            false => write!(f, "{scheme}:{host}:{port}"),
        }
    }
}

/// The servers of one database, at least one; any of them will do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remotes(Vec<Remote>);

impl Remotes {
    /// The remotes in the order of the list.
    pub fn as_slice(&self) -> &[Remote] {
        &self.0
    }
}

impl fmt::Display for Remotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, remote) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{remote}")?;
        }
        Ok(())
    }
}

/// Why a text is no list of remotes, with the piece that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{piece:?} is not where a database can be reached: {reason}")]
pub struct RemoteError {
    piece: String,
    reason: &'static str,
}

impl FromStr for Remotes {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<Self, RemoteError> {
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        let remotes = pieces.map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if remotes.is_empty() {
            return Err(RemoteError { piece: text.into(), reason: "the list is empty" });
        }
        Ok(Self(remotes))
    }
}

impl FromStr for Remote {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<Self, RemoteError> {
        parse(text).map_err(|reason| RemoteError { piece: text.into(), reason })
    }
}

fn parse(text: &str) -> Result<Remote, &'static str> {
    match text.split_once(':') {
        Some(("unix", "")) => Err("the path of the socket is missing"),
        Some(("unix", path)) => Ok(Remote::Unix(path.into())),
        Some(("tcp", rest)) => host_and_port(rest).map(|(host, port)| Remote::Tcp(host, port)),
        Some(("ssl", rest)) => host_and_port(rest).map(|(host, port)| Remote::Ssl(host, port)),
        Some(("punix" | "ptcp" | "pssl", _)) => {
            Err("this is where a server listens; a client's remote begins with unix:, tcp: or ssl:")
        }
        _ => Err("a remote is unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT]"),
    }
}

fn host_and_port(text: &str) -> Result<(Host, u16), &'static str> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or("the ']' behind an IPv6 address is missing")?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err("the host is missing or not one");
    }
    if rest.is_empty() {
        return Ok((host.into(), DEFAULT_PORT));
    }
    let number = rest.strip_prefix(':').filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
    match number.and_then(|number| number.parse().ok()) {
        None | Some(0) => Err("the port is not a number from 1 to 65535 (IPv6 addresses stand in [ ])"),
        Some(port) => Ok((host.into(), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_have_three_schemes() {
        let text = "unix:/run/ovn/ovnsb_db.sock, tcp:192.0.2.1:6642,ssl:[2001:db8::1]:6642,tcp:sb.example,";
        let remotes: Remotes = text.parse().unwrap();
        assert_eq!(
            remotes.as_slice(),
            [
                Remote::Unix("/run/ovn/ovnsb_db.sock".into()),
                Remote::Tcp("192.0.2.1".into(), 6642),
                Remote::Ssl("2001:db8::1".into(), 6642),
                Remote::Tcp("sb.example".into(), DEFAULT_PORT),
            ]
        );
        assert_eq!(remotes.to_string().parse(), Ok(remotes));
    }

    #[test]
    fn errors_name_the_piece_and_the_rule() {
        let cases = [
            ("", "the list is empty"),
            ("tcp:192.0.2.1:6642,ptcp:6642", "\"ptcp:6642\""),
            ("192.0.2.1:6642", "tcp:HOST[:PORT]"),
            ("tcp:2001:db8::1:6642", "IPv6 addresses stand in [ ]"),
            ("tcp:[2001:db8::1", "the ']'"),
            ("tcp::6642", "the host is missing"),
            ("tcp:a:0", "1 to 65535"),
            ("tcp:a:+1", "1 to 65535"),
            ("unix:", "the path"),
        ];
        for (text, words) in cases {
            let error = text.parse::<Remotes>().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
