//! Flow mods (7.3.4.1) and flow statistics (7.3.5.2).

use crate::{
    Instructions, Match,
    port::reserved_port,
    wire::{DecodeError, Reader, joined, set_length},
};

/// What a flow mod does (`enum ofp_flow_mod_command`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FlowCommand {
    /// Adds the flow; one of the same table, priority and match is replaced.
    #[default]
    Add = 0,
    /// Changes the instructions of all flows that the match covers.
    Modify = 1,
    /// Changes the instructions of the flow of this match and priority.
    ModifyStrict = 2,
    /// Removes all flows that the match covers.
    Delete = 3,
    /// Removes the flow of this match and priority.
    DeleteStrict = 4,
}

impl FlowCommand {
    fn read(number: u8) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::Add,
            1 => Self::Modify,
            2 => Self::ModifyStrict,
            3 => Self::Delete,
            4 => Self::DeleteStrict,
            _ => return Err(DecodeError::Value("flow mod command", number.into())),
        })
    }
}

/// Adds, changes or removes flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMod {
    /// What to do.
    pub command: FlowCommand,
    /// The cookie of a new flow.
    pub cookie: u64,
    /// Which bits of `cookie` a flow must have to be changed or removed.
    pub cookie_mask: u64,
    /// The table; 255 for all when removing.
    pub table: u8,
    /// Larger goes first.
    pub priority: u16,
    /// Goes after so many seconds without a packet; 0: never.
    pub idle_timeout: u16,
    /// Goes after so many seconds; 0: never.
    pub hard_timeout: u16,
    /// A packet kept by the switch to send through; [`FlowMod::NO_PACKET`] for none.
    pub buffer_id: u32,
    /// Removes only flows that send to this port; [`reserved_port::ANY`] for all.
    pub out_port: u32,
    /// Removes only flows that send to this group; [`reserved_port::ANY`] for all.
    pub out_group: u32,
    /// `OFPFF_*`.
    pub flags: u16,
    /// What its packets look like.
    pub matches: Match,
    /// What to do with them.
    pub instructions: Instructions,
}

impl FlowMod {
    /// `OFP_NO_BUFFER`.
    pub const NO_PACKET: u32 = 0xffff_ffff;
}

impl Default for FlowMod {
    /// Adds a flow of priority 0 to table 0 that matches everything and drops it.
    fn default() -> Self {
        Self {
            command: FlowCommand::Add,
            cookie: 0,
            cookie_mask: 0,
            table: 0,
            priority: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            buffer_id: Self::NO_PACKET,
            out_port: reserved_port::ANY,
            out_group: reserved_port::ANY,
            flags: 0,
            matches: Match::new(),
            instructions: Instructions::default(),
        }
    }
}

impl FlowMod {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        // All at once: each piece for itself would ask for room.
        let head: [u8; 40] = joined([
            &self.cookie.to_be_bytes(),
            &self.cookie_mask.to_be_bytes(),
            &[self.table, self.command as u8],
            &self.idle_timeout.to_be_bytes(),
            &self.hard_timeout.to_be_bytes(),
            &self.priority.to_be_bytes(),
            &self.buffer_id.to_be_bytes(),
            &self.out_port.to_be_bytes(),
            &self.out_group.to_be_bytes(),
            &self.flags.to_be_bytes(),
            &[0; 2],
        ]);
        out.extend_from_slice(&head);
        self.matches.write(out);
        self.instructions.write(out);
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (cookie, cookie_mask) = (reader.u64()?, reader.u64()?);
        let (table, command) = (reader.u8()?, FlowCommand::read(reader.u8()?)?);
        let (idle_timeout, hard_timeout, priority) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let (buffer_id, out_port, out_group) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let flags = reader.u16()?;
        reader.skip(2)?;
        let matches = Match::read(&mut reader)?;
        let instructions = Instructions::read(reader)?;
        Ok(Self {
            command,
            cookie,
            cookie_mask,
            table,
            priority,
            idle_timeout,
            hard_timeout,
            buffer_id,
            out_port,
            out_group,
            flags,
            matches,
            instructions,
        })
    }
}

/// Asks for flows (`OFPMP_FLOW`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStatsRequest {
    /// The table; 255 for all.
    pub table: u8,
    /// Only flows that send to this port; [`reserved_port::ANY`] for all.
    pub out_port: u32,
    /// Only flows that send to this group; [`reserved_port::ANY`] for all.
    pub out_group: u32,
    /// Only flows with this cookie, ...
    pub cookie: u64,
    /// ... in these bits.
    pub cookie_mask: u64,
    /// Only flows that this match covers.
    pub matches: Match,
}

impl FlowStatsRequest {
    /// All flows of all tables.
    pub fn all() -> Self {
        Self {
            table: 255,
            out_port: reserved_port::ANY,
            out_group: reserved_port::ANY,
            cookie: 0,
            cookie_mask: 0,
            matches: Match::new(),
        }
    }

    /// All flows of all tables with exactly this cookie.
    pub fn by_cookie(cookie: u64) -> Self {
        Self { cookie, cookie_mask: u64::MAX, ..Self::all() }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.table, 0, 0, 0]);
        out.extend_from_slice(&self.out_port.to_be_bytes());
        out.extend_from_slice(&self.out_group.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.cookie.to_be_bytes());
        out.extend_from_slice(&self.cookie_mask.to_be_bytes());
        self.matches.write(out);
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let table = reader.u8()?;
        reader.skip(3)?;
        let (out_port, out_group) = (reader.u32()?, reader.u32()?);
        reader.skip(4)?;
        let (cookie, cookie_mask) = (reader.u64()?, reader.u64()?);
        let matches = Match::read(&mut reader)?;
        reader.finish()?;
        Ok(Self { table, out_port, out_group, cookie, cookie_mask, matches })
    }
}

/// A flow as the switch has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStats {
    /// Its table.
    pub table: u8,
    /// How long it is there: whole seconds ...
    pub seconds: u32,
    /// ... and nanoseconds.
    pub nanoseconds: u32,
    /// Larger goes first.
    pub priority: u16,
    /// Goes after so many seconds without a packet; 0: never.
    pub idle_timeout: u16,
    /// Goes after so many seconds; 0: never.
    pub hard_timeout: u16,
    /// `OFPFF_*`.
    pub flags: u16,
    /// What its maker wrote on it.
    pub cookie: u64,
    /// How many packets it had.
    pub packets: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// What its packets look like.
    pub matches: Match,
    /// What is done with them.
    pub instructions: Instructions,
}

impl FlowStats {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0, 0, self.table, 0]);
        out.extend_from_slice(&self.seconds.to_be_bytes());
        out.extend_from_slice(&self.nanoseconds.to_be_bytes());
        for number in [self.priority, self.idle_timeout, self.hard_timeout, self.flags] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&[0; 4]);
        for number in [self.cookie, self.packets, self.bytes] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        self.matches.write(out);
        self.instructions.write(out);
        set_length(out, start, start);
    }

    /// Reads one entry of a reply, and leaves `entries` behind it.
    pub(crate) fn read(entries: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "flow statistics entry";
        let length = entries.u16()?;
        let rest = length.checked_sub(2).ok_or(DecodeError::Length(WHAT, length))?;
        let mut reader = entries.part(rest.into(), WHAT)?;
        // Of a part whose length is known, the compiler checks nothing more.
        let mut head = reader.part(46, WHAT)?;
        let table = head.u8()?;
        head.skip(1)?;
        let (seconds, nanoseconds) = (head.u32()?, head.u32()?);
        let (priority, idle_timeout) = (head.u16()?, head.u16()?);
        let (hard_timeout, flags) = (head.u16()?, head.u16()?);
        head.skip(4)?;
        let (cookie, packets, bytes) = (head.u64()?, head.u64()?, head.u64()?);
        let matches = Match::read(&mut reader)?;
        let instructions = Instructions::read(reader)?;
        Ok(Self {
            table,
            seconds,
            nanoseconds,
            priority,
            idle_timeout,
            hard_timeout,
            flags,
            cookie,
            packets,
            bytes,
            matches,
            instructions,
        })
    }
}
