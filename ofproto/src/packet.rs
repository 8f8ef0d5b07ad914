//! Packets between switch and controller: packet-in (7.4.1) and packet-out (7.3.6).

use crate::{
    Action, Match,
    wire::{DecodeError, Reader},
};

/// Why a packet came (`enum ofp_packet_in_reason`).
pub mod packet_in_reason {
    /// No flow matched.
    pub const NO_MATCH: u8 = 0;
    /// A flow's action sent it.
    pub const ACTION: u8 = 1;
    /// Its TTL was not valid.
    pub const INVALID_TTL: u8 = 2;
}

/// A packet that the switch sends to the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketIn {
    /// Where the switch keeps it; [`crate::FlowMod::NO_PACKET`]: nowhere.
    pub buffer_id: u32,
    /// Its full length in bytes, of which `data` may be the beginning.
    pub total_length: u16,
    /// One of [`packet_in_reason`].
    pub reason: u8,
    /// The table of the flow that sent it.
    pub table: u8,
    /// The cookie of the flow that sent it.
    pub cookie: u64,
    /// What is known of it beside its bytes, `in_port` above all.
    pub matches: Match,
    /// The packet, from its Ethernet header on.
    pub data: Vec<u8>,
}

impl PacketIn {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buffer_id.to_be_bytes());
        out.extend_from_slice(&self.total_length.to_be_bytes());
        out.extend_from_slice(&[self.reason, self.table]);
        out.extend_from_slice(&self.cookie.to_be_bytes());
        self.matches.write(out);
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.data);
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (buffer_id, total_length) = (reader.u32()?, reader.u16()?);
        let (reason, table, cookie) = (reader.u8()?, reader.u8()?, reader.u64()?);
        let matches = Match::read(&mut reader)?;
        reader.skip(2)?;
        let data = reader.rest().to_vec();
        Ok(Self { buffer_id, total_length, reason, table, cookie, matches, data })
    }
}

/// A packet that the controller sends by the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOut {
    /// A packet that the switch keeps; [`crate::FlowMod::NO_PACKET`]: the one in `data`.
    pub buffer_id: u32,
    /// The port that it is to have come by, or [`crate::reserved_port::CONTROLLER`].
    pub in_port: u32,
    /// What to do with it.
    pub actions: Vec<Action>,
    /// The packet, from its Ethernet header on.
    pub data: Vec<u8>,
}

impl PacketOut {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buffer_id.to_be_bytes());
        out.extend_from_slice(&self.in_port.to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0; 8]);
        let start = out.len();
        self.actions.iter().for_each(|action| action.write(out));
        crate::wire::set_length(out, start, length_at);
        out.extend_from_slice(&self.data);
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (buffer_id, in_port, length) = (reader.u32()?, reader.u32()?, reader.u16()?);
        reader.skip(6)?;
        let actions = Action::read_all(reader.part(length.into(), "packet-out's actions")?)?.into_vec();
        let data = reader.rest().to_vec();
        Ok(Self { buffer_id, in_port, actions, data })
    }
}
