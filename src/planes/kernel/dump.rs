//! Questions to the kernel that are answered by a dump, and the reading of the answers.
//!
//! Owns what is asked and when an answer counts. With NETLINK_GET_STRICT_CHK the kernel filters by what the request's
//! header sets, protocol and type of a route included (`ip_valid_fib_dump_req` in net/ipv4/fib_frontend.c), so a full
//! table of the internet in `main` costs the kernel a walk and us nothing. Local routes are asked for by their type and
//! protocol in all tables at once for the same reason: one walk, instead of a question per VRF.

use super::{
    decode::{self, Event},
    object::ROUTE_PROTOCOL,
    uapi::*,
    wire::{Malformed, Writer, messages},
};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// All links.
    Links,
    /// All addresses.
    Addresses,
    /// Routes.
    Routes {
        /// AF_INET or AF_INET6.
        family: u8,
        /// This table alone.
        table: Option<u32>,
        /// Which of them.
        which: Which,
    },
    /// All neighbours.
    Neighbours,
    /// All rules of this family.
    Rules(u8),
}

/// Which routes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those of our protocol.
    Ours,
    /// The kernel's local ones.
    Local,
    /// The kernel's to the prefixes of addresses.
    Prefix,
    /// BGP's, by the gateways that they lead by.
    Bgp,
    /// Any, as they stand.
    Any,
}

impl Question {
    /// All that the plane knows is asked by these, in this order.
    pub fn everything() -> impl Iterator<Item = Self> {
        let rules = [Self::Rules(AF_INET), Self::Rules(AF_INET6)];
        let first = [Self::Links, Self::Addresses, Self::Neighbours].into_iter();
        first.chain(Self::tables(None)).chain(rules)
    }

    /// What the plane knows of one table, or of all.
    pub fn tables(table: Option<u32>) -> impl Iterator<Item = Self> {
        let both = [AF_INET, AF_INET6].into_iter().flat_map(move |family| {
            [Which::Ours, Which::Local].map(|which| Self::Routes { family, table, which })
        });
        // A host address of IPv4 has none (`fib_add_ifaddr` in net/ipv4/fib_frontend.c).
        both.chain([Self::Routes { family: AF_INET6, table, which: Which::Prefix }])
    }

    /// Writes the request.
    pub fn write(self, sequence: u32, w: &mut Writer) {
        let (kind, flags) = match self {
            Self::Links => (RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP),
            Self::Addresses => (RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP),
            Self::Routes { .. } => (RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP),
            Self::Neighbours => (RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP),
            Self::Rules(_) => (RTM_GETRULE, NLM_F_REQUEST | NLM_F_DUMP),
        };
        w.message(kind, flags, sequence, |w| match self {
            Self::Links => {
                w.fixed(&[0; 16]);
                w.number(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
            }
            Self::Addresses => w.fixed(&[0; 8]),
            Self::Neighbours => w.fixed(&[0; 12]),
            Self::Rules(family) => w.fixed(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Self::Routes { family, table, which } => {
                let (protocol, kind) = match which {
                    Which::Ours => (ROUTE_PROTOCOL, RTN_UNSPEC),
                    Which::Local => (RTPROT_KERNEL, RTN_LOCAL),
                    Which::Prefix => (RTPROT_KERNEL, RTN_UNICAST),
                    Which::Bgp => (RTPROT_BGP, RTN_UNICAST),
                    Which::Any => (RTPROT_UNSPEC, RTN_UNSPEC),
                };
                w.fixed(&[family, 0, 0, 0, 0, protocol, 0, kind, 0, 0, 0, 0]);
                if let Some(table) = table {
                    w.number(RTA_TABLE, table);
                }
            }
        });
    }

    /// Reads the answer, `bytes` being all datagrams up to the one that ended it.
    ///
    /// # Errors
    ///
    /// Why it does not count: then nothing of it may be used.
    pub fn read(self, sequence: u32, bytes: &[u8]) -> Result<Vec<Event>, Unread> {
        let mut events = Vec::new();
        for message in messages(bytes) {
            let message = message?;
            if message.sequence != sequence {
                continue;
            }
            if message.flags & NLM_F_DUMP_INTR != 0 && message.kind != NLMSG_ERROR {
                return Err(Unread::Interrupted);
            }
            if let Some(answer) = decode::answer(&message)? {
                return self.ended(answer.errno, answer.words).map(|()| events);
            }
            match self {
                Self::Routes { which: Which::Any, .. } => events.extend(decode::any_route(&message)?),
                Self::Routes { which: Which::Bgp, .. } => events.extend(decode::ways(&message)?),
                _ => events.extend(decode::event(&message)?),
            }
        }
        Err(Unread::Endless)
    }

    /// A table that nothing was ever put into does not exist, which is as good as empty.
    fn ended(self, errno: i32, words: Option<String>) -> Result<(), Unread> {
        let no_table = errno == rustix::io::Errno::NOENT.raw_os_error();
        match self {
            _ if errno == 0 => Ok(()),
            Self::Routes { table: Some(_), .. } if no_table => Ok(()),
            // A kernel with ipv6.disable=1 has no rules of it (`fib_nl_dumprule` in net/core/fib_rules.c).
            Self::Rules(AF_INET6) if errno == rustix::io::Errno::AFNOSUPPORT.raw_os_error() => Ok(()),
            _ => Err(Unread::Refused(words.unwrap_or_else(|| errno_words(errno)))),
        }
    }
}

/// Why the answer to a question does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// What was asked for changed meanwhile: some of it may be missing. Ask again.
    #[error("it changed all the time while it was read")]
    Interrupted,
    /// The kernel does not answer this.
    #[error("the kernel refuses it: {0}")]
    Refused(String),
    /// The answer breaks off.
    #[error("the answer has no end")]
    Endless,
    /// The answer cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The C library's words for an error number.
pub fn errno_words(errno: i32) -> String {
    let words = std::io::Error::from_raw_os_error(errno).to_string();
    words.split(" (os error").next().unwrap_or_default().to_owned()
}
