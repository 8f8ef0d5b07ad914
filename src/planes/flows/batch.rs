//! One batch of operations on its way to the switch: what was sent under which transaction id, and how each ended. Pure.
//!
//! Flow mods go in bundles: OVS publishes its classifier once per bundle instead of once per flow. On two busy CPUs OVS
//! 3.1 takes 30,000 flows of `ovs-ofctl add-flows` in 1.1 to 1.8 s with `--bundle` and in 8.6 to 20 s without. One
//! operation alone needs no bundle. A flow mod that cannot be read or makes no sense is refused when it is added, and
//! the rest of the bundle stands. One that is refused at the commit makes
//! OVS undo the whole bundle (ofproto/ofproto.c, `do_bundle_commit`): then the same operations go again one by one, with
//! a barrier behind them, so that each ends on its own.

use std::ops::Range;

use ofproto::{BundleAdd, BundleControl, ErrorMessage, Message, bundle_flags, bundle_type};

use super::{encode, object::FlowsObject, outbox::Outbox};
use crate::planes::{Operation, Outcome};

/// How many operations go in one bundle. OVS carries out a bundle in one go and does nothing else meanwhile; for this
/// many that is some 30 ms.
const WINDOW: usize = 2000;

/// All messages of a bundle have the same flags. OVS undoes a failed bundle with or without `ATOMIC`.
const FLAGS: u16 = bundle_flags::ATOMIC | bundle_flags::ORDERED;

/// Operations on their way.
pub struct Batch {
    id: u64,
    operations: Vec<Operation<FlowsObject>>,
    /// As far as they are known.
    outcomes: Vec<Option<Outcome>>,
    /// The operations that are not yet acknowledged, of which those in `sent` were sent.
    window: Range<usize>,
    /// Which operations were sent, in the order of their transaction ids, ...
    sent: Vec<usize>,
    /// ... and the id of the first of these.
    first_xid: u32,
    /// The transaction id of the message whose answer acknowledges them: a commit, or a barrier.
    last_xid: u32,
    /// They were sent in a bundle.
    bundled: bool,
}

impl Batch {
    /// A batch of which nothing was sent yet.
    pub fn new(id: u64, operations: Vec<Operation<FlowsObject>>) -> Self {
        let outcomes = vec![None; operations.len()];
        let sent = Vec::new();
        Self { id, operations, outcomes, window: 0..0, sent, first_xid: 0, last_xid: 0, bundled: false }
    }

    /// Sends the next operations; false if there are none left.
    pub fn send_next(&mut self, out: &mut Outbox) -> bool {
        let end = self.operations.len().min(self.window.end + WINDOW);
        self.window = self.window.end..end;
        if self.window.is_empty() {
            return false;
        }
        self.bundled = self.window.len() > 1;
        self.send_window(out);
        true
    }

    /// Takes an answer that says that all is done up to a message: true if this batch waits for that one.
    pub fn acknowledged(&mut self, xid: u32) -> bool {
        if xid != self.last_xid {
            return false;
        }
        for outcome in &mut self.outcomes[self.window.clone()] {
            outcome.get_or_insert(Outcome::Done);
        }
        true
    }

    /// Takes an error: false if it is not about a message of this batch. Sends again what a bundle failed to do.
    pub fn refused(&mut self, xid: u32, error: &ErrorMessage, out: &mut Outbox) -> bool {
        if let Some(index) = self.sent.get(xid.wrapping_sub(self.first_xid) as usize) {
            self.outcomes[*index] = Some(Outcome::Failed(format!("OVS refuses the flow: {error}")));
            return true;
        }
        let is_commit = self.bundled && xid == self.last_xid;
        if is_commit {
            self.bundled = false;
            self.send_window(out);
        }
        is_commit
    }

    /// The id of the batch, and one outcome per operation: `Unknown` where none was told.
    pub fn into_results(self) -> (u64, Vec<Outcome>) {
        let outcomes = self.outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Unknown));
        (self.id, outcomes.collect())
    }

    /// Sends those operations of the window that have no outcome yet.
    fn send_window(&mut self, out: &mut Outbox) {
        let bundle = out.next_xid();
        if self.bundled {
            out.put(control(bundle, bundle_type::OPEN_REQUEST));
        }
        self.sent.clear();
        self.first_xid = out.next_xid();
        for index in self.window.clone() {
            if self.outcomes[index].is_some() {
                continue;
            }
            match put_operation(&self.operations[index], self.bundled.then_some(bundle), out) {
                Ok(()) => self.sent.push(index),
                Err(why) => self.outcomes[index] = Some(Outcome::Failed(why)),
            }
        }
        self.last_xid = match self.bundled {
            true => out.put(control(bundle, bundle_type::COMMIT_REQUEST)),
            false => out.put(Message::BarrierRequest),
        };
    }
}

/// Writes one operation, into a bundle if one is given, as exactly one message; or tells why it cannot.
fn put_operation(
    operation: &Operation<FlowsObject>,
    bundle: Option<u32>,
    out: &mut Outbox,
) -> Result<(), String> {
    let FlowsObject::Flow(flow) = &operation.object else {
        return Err("ports of a bridge are not made by OpenFlow".to_owned());
    };
    let flow_mod = encode::flow_mod(operation.verb, &flow.rule)
        .ok_or_else(|| "a flow of unknown purpose can only be removed".to_owned())?;
    let message = match bundle {
        Some(bundle) => Message::BundleAdd(BundleAdd { bundle, flags: FLAGS, flow_mod }),
        None => Message::FlowMod(flow_mod),
    };
    out.try_put(message).map(|_| ()).map_err(|error| error.to_string())
}

fn control(bundle: u32, kind: u16) -> Message {
    Message::BundleControl(BundleControl { bundle, kind, flags: FLAGS })
}
