//! One batch of operations as a dialogue: what to send next, and what the answers make of each operation.
//!
//! Owns outcomes. It does no I/O and no waiting: `fill`, send, `absorb`, and so on until `fill` has no more; then a look
//! at what stands in the way of routes (`clashes`, `resolve`), and one more round for those that may be taken over.
//! Routes go into the mirror from here, by their acknowledgement: what we do to them is not heard (see `io::listening`).
//!
//! Only the last message of a send asks for an acknowledgement. The kernel carries out the messages of one send in order
//! and tells each error under its own sequence number (`netlink_rcv_skb`), so that silence before the last
//! acknowledgement means success, and its absence means that nothing is known.

use std::collections::HashMap;

use rustix::io::Errno;

use super::{
    actual::Actual,
    decode::{self, Event, Hop, RouteKey},
    dump::{Question, Which, errno_words},
    encode::{self, Indexes, Requests, Scene, Step},
    object::*,
    uapi::{AF_INET, AF_INET6},
    wire::{Malformed, messages},
    zebra,
};
use crate::{
    model::IfName,
    planes::{Operation, Outcome, Verb},
};

/// How many bytes one send holds: well below the default send buffer (212,992).
pub const SEND_BYTES: usize = 128 * 1024;

/// A batch on its way.
#[derive(Debug)]
pub struct Batch {
    operations: Vec<Operation<KernelObject>>,
    /// `Done` until something else is heard.
    outcomes: Vec<Outcome>,
    next: usize,
    made: HashMap<IfName, Option<(u32, Link)>>,
    clashes: Vec<usize>,
    /// How many messages one send may hold.
    most: usize,
}

/// How many messages one operation takes at most, with some to spare: a send ends with a whole operation.
const MESSAGES: usize = 16;

impl Batch {
    /// A batch of which nothing was sent. `room`: to how many messages of one send there is room for an answer each.
    pub fn new(operations: Vec<Operation<KernelObject>>, room: usize) -> Self {
        let outcomes = vec![Outcome::Done; operations.len()];
        let most = room.saturating_sub(MESSAGES).max(1);
        Self { operations, outcomes, next: 0, made: HashMap::new(), clashes: Vec::new(), most }
    }

    /// What is to be sent next, from this sequence number on, where zebra has so many bytes of `room` (one operation is
    /// sent however little that is, and one that needs no message takes none of it); None: nothing is left. It may be asked
    /// for before the answers to what went before are there.
    pub fn fill(
        &mut self,
        actual: &Actual,
        indexes: &mut Indexes,
        sequence: u32,
        room: usize,
    ) -> Option<Requests> {
        let mut out = Requests::new(sequence);
        let mut scene = Scene { actual, made: &mut self.made, indexes };
        while let Some(operation) = self.operations.get(self.next)
            && out.size() < SEND_BYTES
            && out.steps().len() < self.most
            && (out.weight == 0 || out.weight + zebra::weight(operation) <= room)
        {
            if self.outcomes[self.next] != Outcome::Done {
                self.next += 1;
                continue;
            }
            let before = out.steps().len();
            if let Err(why) = encode::operation(self.next, operation, &mut scene, &mut out) {
                self.outcomes[self.next] = failed(operation, &why);
            }
            if out.steps().len() > before {
                out.weight += zebra::weight(operation);
            }
            self.next += 1;
        }
        out.closed()
    }

    /// Whether all was sent or needs not be.
    pub fn is_sent(&self) -> bool {
        self.next == self.operations.len()
    }

    /// The VRFs that are to be removed: which operation, and the table.
    pub fn leaving_vrfs(&self) -> Vec<(usize, u32)> {
        let vrf = |(at, operation): (usize, &Operation<KernelObject>)| match &operation.object {
            KernelObject::Link(Link { kind: LinkKind::Vrf { table }, .. })
                if operation.verb == Verb::Remove =>
            {
                Some((at, *table))
            }
            _ => None,
        };
        self.operations.iter().enumerate().filter_map(vrf).collect()
    }

    /// An operation is not to be sent, for this reason.
    pub fn refuse(&mut self, at: usize, why: &str) {
        self.outcomes[at] = failed(&self.operations[at], why);
    }

    /// Takes in the answers to what was sent, and notes in `actual` what they say of routes.
    pub fn absorb(&mut self, sent: &Requests, answers: &[u8], actual: &mut Actual) {
        match self.read_answers(sent, answers) {
            Ok(true) => self.note_routes(sent, actual),
            Ok(false) | Err(Malformed(_)) => self.lost(sent),
        }
    }

    fn note_routes(&self, sent: &Requests, actual: &mut Actual) {
        for step in sent.steps().iter().filter(|step| self.outcomes[step.operation] == Outcome::Done) {
            let Operation { verb, object: KernelObject::Route(route) } = &self.operations[step.operation]
            else {
                continue;
            };
            let key = (route.table, route.prefix, route.metric);
            let Some(hop) = self.hop(&route.next_hop, actual) else { continue };
            if *verb != Verb::Remove {
                actual.apply(Event::Route(key, hop, ROUTE_PROTOCOL));
            } else if actual.hop(key) == Some(hop) {
                actual.apply(Event::RouteGone(key));
            }
        }
    }

    fn hop(&self, next_hop: &NextHop, actual: &Actual) -> Option<Hop> {
        let index = |name| match self.made.get(name) {
            Some(made) => made.as_ref().map(|made| made.0),
            None => actual.index(*name),
        };
        Some(match next_hop {
            NextHop::Link(name) => Hop::Link(index(name)?),
            NextHop::Via(gateway, name) => Hop::Via(*gateway, index(name)?),
            NextHop::Unreachable => Hop::Unreachable,
            NextHop::Other => Hop::Other,
        })
    }

    /// The answers to what was sent did not arrive.
    pub fn lost(&mut self, sent: &Requests) {
        for step in sent.steps() {
            let outcome = &mut self.outcomes[step.operation];
            if *outcome == Outcome::Done {
                *outcome = Outcome::Unknown;
            }
        }
    }

    /// The tables to look at before `resolve`: routes stand there where a new one should be.
    pub fn clashes(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        for route in self.clashes.iter().filter_map(|at| self.route(*at)) {
            let family = if route.prefix.addr().is_ipv4() { AF_INET } else { AF_INET6 };
            let question = Question::Routes { family, table: Some(route.table), which: Which::Any };
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
        questions
    }

    /// Decides on each clash by what stands: a route that is the same but for its protocol is taken over, as is one of
    /// ours; any other is foreign. Gives what is to be sent for that; None: nothing.
    pub fn resolve(
        &mut self,
        standing: &[Event],
        actual: &Actual,
        indexes: &mut Indexes,
        sequence: u32,
    ) -> Option<Requests> {
        let mut out = Requests::new(sequence);
        let standing = by_key(standing, actual);
        let scene = Scene { actual, made: &mut self.made, indexes };
        for at in std::mem::take(&mut self.clashes) {
            let operation = &self.operations[at];
            let KernelObject::Route(route) = &operation.object else { continue };
            let key = (route.table, route.prefix, route.metric);
            let there = standing.get(&key).map(Vec::as_slice).unwrap_or_default();
            let foreign = there
                .iter()
                .find(|(hop, protocol)| *protocol != ROUTE_PROTOCOL && hop.as_ref() != Some(&route.next_hop));
            let decided = match foreign {
                Some((hop, protocol)) => Err(foreign_words(route.table, hop.as_ref(), *protocol)),
                None => encode::replace_route(
                    Step { operation: at, doing: "take it over", fine: &[] },
                    route,
                    &scene,
                    &mut out,
                ),
            };
            self.outcomes[at] = decided.map_or_else(|why| failed(operation, &why), |()| Outcome::Done);
        }
        out.closed()
    }

    /// Whether nobody knows how some of what was sent ended.
    pub fn is_in_doubt(&self) -> bool {
        self.outcomes.contains(&Outcome::Unknown)
    }

    /// How each operation ended; unknown where it was never sent.
    pub fn outcomes(mut self) -> Vec<Outcome> {
        self.outcomes[self.next..].fill(Outcome::Unknown);
        self.outcomes
    }

    /// Whether all there is to know was answered.
    fn read_answers(&mut self, sent: &Requests, answers: &[u8]) -> Result<bool, Malformed> {
        let mut complete = false;
        for message in messages(answers) {
            let message = message?;
            let (Some(step), Some(answer)) = (sent.step(message.sequence), decode::answer(&message)?) else {
                continue;
            };
            complete |= message.sequence == sent.last();
            self.judge(step, answer);
        }
        Ok(complete)
    }

    fn judge(&mut self, step: Step, answer: decode::Answer) {
        let at = step.operation;
        let is = |errno: &Errno| errno.raw_os_error() == answer.errno;
        // The first error of an operation tells most: what follows is often its consequence.
        if answer.errno == 0 || step.fine.iter().any(is) || self.outcomes[at] != Outcome::Done {
            return;
        }
        if is(&Errno::EXIST) && self.route(at).is_some() {
            self.clashes.push(at);
            self.outcomes[at] = Outcome::Unknown; // until it is looked at
            return;
        }
        let doing = if step.doing.is_empty() { String::new() } else { format!("{}: ", step.doing) };
        let errno = errno_words(answer.errno);
        let words = match answer.words {
            Some(words) => format!("{doing}{words} ({errno})"),
            None => format!("{doing}{errno}"),
        };
        self.outcomes[at] = failed(&self.operations[at], &words);
    }

    fn route(&self, at: usize) -> Option<&Route> {
        match &self.operations.get(at)?.object {
            KernelObject::Route(route) => Some(route),
            _ => None,
        }
    }
}

/// What stands under each key: usually one route. A next hop whose link has no name here is none.
type Standing = HashMap<RouteKey, Vec<(Option<NextHop>, u8)>>;

fn by_key(events: &[Event], actual: &Actual) -> Standing {
    let mut standing = Standing::new();
    for event in events {
        if let Event::Route(key, hop, protocol) = event {
            standing.entry(*key).or_default().push((actual.next_hop(*hop), *protocol));
        }
    }
    standing
}

fn foreign_words(table: u32, hop: Option<&NextHop>, protocol: u8) -> String {
    let hop = match hop {
        Some(NextHop::Link(dev)) => format!("dev {dev}"),
        Some(NextHop::Via(gateway, dev)) => format!("via {gateway} dev {dev}"),
        Some(NextHop::Unreachable) => "unreachable".to_owned(),
        Some(NextHop::Other) | None => "leading elsewhere".to_owned(),
    };
    format!("foreign route in table {table}: {hop}, protocol {protocol}; remove it if it is not needed")
}

fn failed(operation: &Operation<KernelObject>, why: &str) -> Outcome {
    let verb = match operation.verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Remove => "remove",
    };
    Outcome::Failed(format!("{verb} {}: {why}", operation.object.key()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planes::kernel::{decode::LinkFacts, uapi::*, wire::Writer};

    /// Room for the answers to all that a send can hold.
    const ROOM: usize = 8192;

    /// A link named `one` with index 1.
    fn scenery() -> Actual {
        let mut actual = Actual::default();
        actual.apply(Event::Link(1, Box::new(LinkFacts::new(name()))));
        actual
    }

    fn name() -> IfName {
        "one".parse().unwrap()
    }

    fn route(third: u8) -> Route {
        let prefix = format!("10.0.{third}.0/24").parse().unwrap();
        Route { table: 1001, prefix, metric: 0, next_hop: NextHop::Link(name()) }
    }

    fn key(third: u8) -> RouteKey {
        (1001, route(third).prefix, 0)
    }

    fn creates(count: u8) -> Batch {
        let operation = |third| Operation { verb: Verb::Create, object: route(third).into() };
        Batch::new((0..count).map(operation).collect(), ROOM)
    }

    fn fill(batch: &mut Batch, actual: &Actual) -> Requests {
        batch.fill(actual, &mut Indexes::default(), 10, usize::MAX).unwrap()
    }

    /// Answers as the kernel gives them: sequence number, error number, words.
    fn answers(list: &[(u32, i32, &str)]) -> Vec<u8> {
        let mut w = Writer::default();
        for (sequence, errno, words) in list {
            w.message(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, *sequence, |w| {
                w.fixed(&(-errno).to_ne_bytes());
                w.fixed(&[0; 16]);
                if !words.is_empty() {
                    w.text(NLMSGERR_ATTR_MSG, words);
                }
            });
        }
        w.take_bytes()
    }

    #[test]
    fn silence_before_the_last_acknowledgement_is_success() {
        let (mut batch, mut actual) = (creates(3), scenery());
        let sent = fill(&mut batch, &actual);
        let refused = (11, Errno::NETUNREACH.raw_os_error(), "Nexthop has invalid gateway");
        batch.absorb(&sent, &answers(&[refused, (12, 0, "")]), &mut actual);
        let why = "create route 10.0.1.0/24 metric 0 in table 1001: Nexthop has invalid gateway (Network is unreachable)";
        assert_eq!(batch.outcomes(), [Outcome::Done, Outcome::Failed(why.to_owned()), Outcome::Done]);
        assert_eq!([0, 1, 2].map(|third| actual.hop(key(third)).is_some()), [true, false, true]);
    }

    #[test]
    fn without_the_last_acknowledgement_nothing_is_known() {
        let (mut batch, mut actual) = (creates(2), scenery());
        let sent = fill(&mut batch, &actual);
        batch.absorb(&sent, &answers(&[(10, Errno::PERM.raw_os_error(), ""), (99, 0, "")]), &mut actual);
        let why = "create route 10.0.0.0/24 metric 0 in table 1001: Operation not permitted";
        assert_eq!(batch.outcomes(), [Outcome::Failed(why.to_owned()), Outcome::Unknown]);
        assert_eq!(actual.hop(key(1)), None);
    }

    #[test]
    fn what_is_gone_already_is_as_good_as_removed() {
        let mut actual = scenery();
        let operations = vec![
            Operation { verb: Verb::Remove, object: route(0).into() },
            Operation { verb: Verb::Remove, object: Address::host(name(), [10, 0, 0, 1].into()).into() },
        ];
        let mut batch = Batch::new(operations, ROOM);
        let sent = fill(&mut batch, &actual);
        let (no_route, no_address) = (Errno::SRCH.raw_os_error(), Errno::ADDRNOTAVAIL.raw_os_error());
        batch.absorb(&sent, &answers(&[(10, no_route, ""), (11, no_address, "")]), &mut actual);
        assert_eq!(batch.outcomes(), [Outcome::Done, Outcome::Done]);
    }

    #[test]
    fn a_route_in_the_way_is_taken_over_if_it_is_the_same() {
        let (mut batch, mut actual) = (creates(3), scenery());
        let sent = fill(&mut batch, &actual);
        let exists = Errno::EXIST.raw_os_error();
        batch.absorb(&sent, &answers(&[(10, exists, ""), (11, exists, ""), (12, exists, "")]), &mut actual);
        let table = Question::Routes { family: AF_INET, table: Some(1001), which: Which::Any };
        assert_eq!(batch.clashes(), [table]);

        let standing = [
            Event::Route(key(0), Hop::Link(1), 4), // the same, made by an operator
            Event::Route(key(1), Hop::Unreachable, 4), // another
            Event::Route(key(2), Hop::Unreachable, ROUTE_PROTOCOL), // ours of old
        ];
        let sent = batch.resolve(&standing, &actual, &mut Indexes::default(), 20).unwrap();
        assert_eq!(sent.steps().len(), 2);
        batch.absorb(&sent, &answers(&[(21, 0, "")]), &mut actual);
        let outcomes = batch.outcomes();
        let Outcome::Failed(why) = &outcomes[1] else { panic!("{outcomes:?}") };
        assert!(why.contains("foreign route in table 1001: unreachable, protocol 4"), "{why}");
        assert_eq!((&outcomes[0], &outcomes[2]), (&Outcome::Done, &Outcome::Done));
        assert_eq!([0, 1, 2].map(|third| actual.hop(key(third)).is_some()), [true, false, true]);
    }

    #[test]
    fn clashes_that_nobody_looked_at_stay_unknown() {
        let (mut batch, mut actual) = (creates(1), scenery());
        let sent = fill(&mut batch, &actual);
        batch.absorb(&sent, &answers(&[(10, Errno::EXIST.raw_os_error(), "")]), &mut actual);
        assert_eq!(batch.outcomes(), [Outcome::Unknown]);
    }

    #[test]
    fn what_was_never_sent_is_unknown() {
        let batch = creates(2);
        assert!(!batch.is_in_doubt());
        assert_eq!(batch.outcomes(), [Outcome::Unknown, Outcome::Unknown]);
    }

    /// The second end of a veth pair goes with the first, and its removal needs no message.
    #[test]
    fn what_needs_no_message_does_not_end_a_batch() {
        let mut actual = scenery();
        let gone = Link {
            name: "gone".parse().unwrap(),
            kind: LinkKind::Veth { peer: None },
            master: None,
            up: true,
            mtu: None,
            owner: None,
            settings: Settings::default(),
            mac: None,
        };
        let mut operations = vec![Operation { verb: Verb::Remove, object: gone.into() }; 3];
        operations.push(Operation { verb: Verb::Create, object: route(0).into() });
        let mut batch = Batch::new(operations, ROOM);
        let sent = batch.fill(&actual, &mut Indexes::default(), 10, 1).expect("the route is left");
        assert!(batch.is_sent());
        batch.absorb(&sent, &answers(&[(10, 0, "")]), &mut actual);
        assert_eq!(batch.outcomes(), vec![Outcome::Done; 4]);
    }

    #[test]
    fn a_large_batch_is_sent_in_parts_that_a_socket_takes() {
        let actual = scenery();
        let operation = |n: u32| {
            let prefix = format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255).parse().unwrap();
            Operation { verb: Verb::Create, object: Route { prefix, ..route(0) }.into() }
        };
        for room in [ROOM, 400] {
            let mut batch = Batch::new((0..10_000).map(operation).collect(), room);
            let (mut sequence, mut total) = (1, 0);
            while let Some(mut sent) = batch.fill(&actual, &mut Indexes::default(), sequence, usize::MAX) {
                (sequence, total) = (sent.next(), total + sent.steps().len());
                assert!(sent.take_bytes().len() < SEND_BYTES + 1024);
                assert!(sent.steps().len() <= room, "an answer to each has room");
            }
            assert_eq!((sequence, total), (10_001, 10_000));
        }
    }
}
