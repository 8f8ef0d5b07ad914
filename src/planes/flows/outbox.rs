//! Messages that wait to be sent to the switch, each with its own transaction id. Pure.

use ofproto::{Message, TooLong};

/// Where messages to the switch are written.
#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    last_xid: u32,
}

impl Outbox {
    /// Writes a message of a length that is known to fit, and tells its transaction id: one more than that of the
    /// message before.
    pub fn put(&mut self, message: Message) -> u32 {
        self.try_put(message).unwrap_or(self.last_xid)
    }

    /// Writes a message, and tells its transaction id.
    ///
    /// # Errors
    /// If it is too long for OpenFlow; then nothing is written and no id is used.
    pub fn try_put(&mut self, message: Message) -> Result<u32, TooLong> {
        let xid = self.next_xid();
        message.encode(xid, &mut self.bytes)?;
        self.last_xid = xid;
        Ok(xid)
    }

    /// Writes an answer, which has the transaction id of its request.
    pub fn answer(&mut self, xid: u32, message: Message) -> Result<(), TooLong> {
        message.encode(xid, &mut self.bytes)
    }

    /// The transaction id of the next message.
    pub fn next_xid(&self) -> u32 {
        self.last_xid.wrapping_add(1)
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes all that waits.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
