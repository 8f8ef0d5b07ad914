//! Being told of changed flows: the ONF's flow monitor for OpenFlow 1.3 (EXT-187), as in Open vSwitch's
//! include/openflow/openflow-1.3.h and lib/ofp-monitor.c.

use crate::{
    Instructions, Match, reserved_port,
    wire::{DecodeError, Reader, set_length},
};

/// `ONFST_FLOW_MONITOR`.
pub(crate) const SUBTYPE: u32 = 1870;

/// `ONFFME_ABBREV`.
const ABBREVIATED: u16 = 3;

/// What is to be told, in [`FlowMonitorRequest::flags`] (`ONFFMF_*`).
pub mod flow_monitor_flags {
    /// The flows that are there.
    pub const INITIAL: u16 = 1;
    /// Flows that come.
    pub const ADD: u16 = 1 << 1;
    /// Flows that go.
    pub const DELETE: u16 = 1 << 2;
    /// Flows that change.
    pub const MODIFY: u16 = 1 << 3;
    /// What a flow does, too.
    pub const ACTIONS: u16 = 1 << 4;
    /// Changes over this connection, too, which else are told by their transaction id alone.
    pub const OWN: u16 = 1 << 5;
}

/// Asks to be told of changed flows from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMonitorRequest {
    /// A number for this monitor.
    pub id: u32,
    /// See [`flow_monitor_flags`].
    pub flags: u16,
    /// Only flows that send to this port; [`reserved_port::ANY`] for all.
    pub out_port: u32,
    /// The table; 255 for all.
    pub table: u8,
    /// Only flows that this match covers.
    pub matches: Match,
}

/// How a flow changed (`ONFFME_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEvent {
    /// It came, or is there.
    Added = 0,
    /// It went.
    Deleted = 1,
    /// It changed.
    Modified = 2,
}

/// A changed flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowUpdate {
    /// With what it is.
    Full(Box<ChangedFlow>),
    /// By a request over this connection with this transaction id.
    Own(u32),
}

/// A flow that changed, as it is now, or as it was when it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFlow {
    /// How.
    pub event: FlowEvent,
    /// `OFPRR_*`, for a flow that went.
    pub reason: u16,
    /// Larger goes first.
    pub priority: u16,
    /// Goes after so many seconds without a packet; 0: never.
    pub idle_timeout: u16,
    /// Goes after so many seconds; 0: never.
    pub hard_timeout: u16,
    /// Its table.
    pub table: u8,
    /// What its maker wrote on it.
    pub cookie: u64,
    /// What its packets look like.
    pub matches: Match,
    /// What is done with them, if that was asked for.
    pub instructions: Instructions,
}

impl FlowMonitorRequest {
    /// All that others do to any flow, with what it does.
    pub fn changes_by_others(id: u32) -> Self {
        use flow_monitor_flags::*;
        Self {
            id,
            flags: ADD | DELETE | MODIFY | ACTIONS,
            out_port: reserved_port::ANY,
            table: 255,
            matches: Match::new(),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&self.flags.to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.out_port.to_be_bytes());
        out.extend_from_slice(&[self.table, 0, 0, 0]);
        write_match(&self.matches, length_at, out);
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (id, flags) = (reader.u32()?, reader.u16()?);
        reader.skip(2)?;
        let (out_port, table) = (reader.u32()?, reader.u8()?);
        reader.skip(3)?;
        let matches = Match::read(&mut reader)?;
        reader.finish()?;
        Ok(Self { id, flags, out_port, table, matches })
    }
}

/// Writes a match, and its length without padding at a place before it.
fn write_match(matches: &Match, length_at: usize, out: &mut Vec<u8>) {
    let start = out.len();
    matches.write(out);
    let length = out.get(start + 2..start + 4).map(<[u8]>::to_vec).unwrap_or_default();
    if let Some(place) = out.get_mut(length_at..length_at + 2) {
        place.copy_from_slice(&length);
    }
}

impl FlowEvent {
    fn read(event: u16) -> Result<Self, DecodeError> {
        match event {
            0 => Ok(Self::Added),
            1 => Ok(Self::Deleted),
            2 => Ok(Self::Modified),
            _ => Err(DecodeError::Value("event of a flow update", event.into())),
        }
    }
}

impl FlowUpdate {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 2]);
        match self {
            Self::Own(xid) => {
                out.extend_from_slice(&ABBREVIATED.to_be_bytes());
                out.extend_from_slice(&xid.to_be_bytes());
            }
            Self::Full(flow) => flow.write(out),
        }
        set_length(out, start, start);
    }

    /// Reads one entry of a reply, and leaves `entries` behind it.
    pub(crate) fn read(entries: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "flow update";
        let length = entries.u16()?;
        let rest = length.checked_sub(2).ok_or(DecodeError::Length(WHAT, length))?;
        let mut reader = entries.part(rest.into(), WHAT)?;
        let event = reader.u16()?;
        if event == ABBREVIATED {
            let xid = reader.u32()?;
            reader.finish()?;
            return Ok(Self::Own(xid));
        }
        ChangedFlow::read(FlowEvent::read(event)?, reader).map(|flow| Self::Full(Box::new(flow)))
    }
}

impl ChangedFlow {
    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.event as u16, self.reason, self.priority, self.idle_timeout, self.hard_timeout] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        let length_at = out.len();
        out.extend_from_slice(&[0, 0, self.table, 0]);
        out.extend_from_slice(&self.cookie.to_be_bytes());
        write_match(&self.matches, length_at, out);
        self.instructions.write(out);
    }

    fn read(event: FlowEvent, mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (reason, priority) = (reader.u16()?, reader.u16()?);
        let (idle_timeout, hard_timeout) = (reader.u16()?, reader.u16()?);
        reader.skip(2)?;
        let table = reader.u8()?;
        reader.skip(1)?;
        let cookie = reader.u64()?;
        let matches = Match::read(&mut reader)?;
        let instructions = Instructions::read(reader)?;
        Ok(Self { event, reason, priority, idle_timeout, hard_timeout, table, cookie, matches, instructions })
    }
}
