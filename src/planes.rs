//! The four planes that the agent keeps equal to the wish, and the one language in which the reconciler speaks to them.
//!
//! A plane owns its session with one peer and nothing else: it carries out operations in the order given, says for each
//! how it ended, and reports what the peer really has. It never decides what should exist.
//!
//! Every plane has the same files: `object` (what it keeps), `encode` and `decode` (objects to and from the peer's
//! format, pure), `session` (the dialogue as a state machine without I/O), `io` (the task that owns the socket).

pub mod flows;
pub mod frr;
pub mod kernel;
pub mod vswitch;

use std::{collections::BTreeSet, net::IpAddr};

use self::frr::question::{Answer, Daemons, Question};
use crate::model::IfName;

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The peer acknowledged it.
    Done,
    /// The peer refused it, for this reason (in the peer's words, with ours before them where they help).
    Failed(String),
    /// Nobody knows: the answer was lost. The plane reports a new `Whole` before anything else is decided.
    Unknown,
}

/// What is to be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// It is not there yet. An equal one that is there after all is as good.
    Create,
    /// It is there and differs: make it as given, in place where the peer can.
    Update,
    /// Take it away; that it is gone already is as good.
    Remove,
}

/// One thing to do in one plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<O> {
    /// What to do.
    pub verb: Verb,
    /// The object as it should be (`Create`, `Update`) or as it was last seen (`Remove`).
    pub object: O,
}

/// What the reconciler tells a plane.
#[derive(Clone, Debug)]
pub enum Command<O> {
    /// Carry these out, in this order where they depend on each other, as few writes as the peer takes. Answered by one
    /// `Report::Results` with the same id, also when the session is down (all `Unknown`).
    Apply {
        /// Names the batch in the answer.
        id: u64,
        /// What to do.
        operations: Vec<Operation<O>>,
    },
    /// Read everything again; answered by `Report::Whole`, or by `Report::Down` when that failed.
    Read,
    /// A question about BGP, which FRR's plane alone answers.
    Ask(Question),
}

/// What a plane tells the reconciler. `S` is an object as the peer has it.
#[derive(Clone, Debug)]
pub enum Report<S, K> {
    /// The session is not there, for this reason. What was known stays the best guess; nothing may be removed on it.
    Down(String),
    /// The complete view, read since the last (re)connect; what it does not hold does not exist.
    Whole(Vec<S>),
    /// What changed since, in order.
    Changed(Vec<Change<S, K>>),
    /// The end of a batch: one outcome per operation, in its order.
    Results {
        /// As given in the command.
        id: u64,
        /// One per operation.
        outcomes: Vec<Outcome>,
    },
    /// How zebra keeps up with what the kernel tells it, when that has changed (the kernel plane alone).
    Backlog(Backlog),
    /// All VTEPs by which BGP's routes lead, on which bridge, and of which zebra has put no neighbour there, when that has
    /// changed (the kernel plane alone).
    Forgotten(BTreeSet<(IfName, IpAddr)>),
    /// An answer about BGP (FRR's plane alone).
    Bgp(Answer),
    /// Which daemons can be spoken with, when that has changed (FRR's plane alone).
    Daemons(Daemons),
}

/// How zebra keeps up with the kernel's notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Bytes of its receive buffer that are taken.
    pub bytes: usize,
    /// Notifications that it has lost since the agent started; of those before, whether there were any.
    pub lost: u64,
    /// How often a write waited for it since the agent started.
    pub waits: u64,
    /// It has not read anything for a while, so that writes do not wait for it.
    pub stuck: bool,
}

/// One change of what a peer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<S, K> {
    /// It is there, like this.
    Present(S),
    /// It is not there any more.
    Absent(K),
}

impl<S, K> Report<S, K> {
    /// The same report in other terms.
    pub fn map<S2: From<S>, K2: From<K>>(self) -> Report<S2, K2> {
        match self {
            Self::Down(reason) => Report::Down(reason),
            Self::Whole(objects) => Report::Whole(objects.into_iter().map(Into::into).collect()),
            Self::Changed(changes) => Report::Changed(changes.into_iter().map(Change::map).collect()),
            Self::Results { id, outcomes } => Report::Results { id, outcomes },
            Self::Backlog(backlog) => Report::Backlog(backlog),
            Self::Forgotten(vteps) => Report::Forgotten(vteps),
            Self::Bgp(answer) => Report::Bgp(answer),
            Self::Daemons(daemons) => Report::Daemons(daemons),
        }
    }
}

impl<S, K> Change<S, K> {
    /// The same change in other terms.
    pub fn map<S2: From<S>, K2: From<K>>(self) -> Change<S2, K2> {
        match self {
            Self::Present(object) => Change::Present(object.into()),
            Self::Absent(key) => Change::Absent(key.into()),
        }
    }
}

impl<O> Command<O> {
    /// The same command in other terms; an object that has none there is an error.
    pub fn try_map<P: TryFrom<O>>(self) -> Result<Command<P>, P::Error> {
        Ok(match self {
            Self::Read => Command::Read,
            Self::Ask(question) => Command::Ask(question),
            Self::Apply { id, operations } => {
                let other = |Operation { verb, object }: Operation<O>| {
                    Ok(Operation { verb, object: object.try_into()? })
                };
                Command::Apply {
                    id,
                    operations: operations.into_iter().map(other).collect::<Result<_, P::Error>>()?,
                }
            }
        })
    }
}
