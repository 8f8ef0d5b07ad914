//! Actions (7.2.5): what is done with a packet, OpenFlow's own and those of Nicira that the agent uses.

use smallvec::SmallVec;

use crate::{
    Field, Header,
    wire::{DecodeError, Reader, Unknown, pad, set_length},
};

/// `OFPCML_NO_BUFFER`: the controller gets the whole packet.
pub const NO_BUFFER: u16 = 0xffff;

/// Nicira's number as an experimenter.
pub(crate) const NICIRA: u32 = 0x2320;

const OUTPUT: u16 = 0;
const PUSH_VLAN: u16 = 17;
const POP_VLAN: u16 = 18;
const SET_FIELD: u16 = 25;
const EXPERIMENTER: u16 = 0xffff;
const NX_MOVE: u16 = 6;
const NX_LOAD: u16 = 7;
const NX_CONTROLLER: u16 = 20;

/// What is done with a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sends the packet out.
    Output {
        /// The port, or one of [`crate::reserved_port`].
        port: u32,
        /// How many bytes the controller gets, if the port is the controller.
        max_len: u16,
    },
    /// Sets a field. OpenFlow 1.3 takes no mask here.
    SetField(Field),
    /// Puts a VLAN tag of this Ethernet type before the packet's others.
    PushVlan(u16),
    /// Takes the outermost VLAN tag away.
    PopVlan,
    /// Copies bits of one field to another (`struct nx_action_reg_move`).
    Move {
        /// From here.
        from: Span,
        /// To here.
        to: Span,
        /// How many bits.
        bits: u16,
    },
    /// Sets bits of a field (`struct nx_action_reg_load`).
    Load {
        /// The field and the first bit.
        to: Span,
        /// How many bits, 1 to 64.
        bits: u8,
        /// Their value.
        value: u64,
    },
    /// Sends the packet to the controllers of this id (`struct nx_action_controller`).
    Controller {
        /// How many bytes of it.
        max_len: u16,
        /// The id that the controller gave itself.
        id: u16,
        /// Why, as the packet-in will say: one of [`crate::packet_in_reason`].
        reason: u8,
    },
    /// Any other action.
    Unknown(Unknown),
}

/// Where bits begin in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The field.
    pub field: Header,
    /// The first bit, counted from the lowest.
    pub offset: u16,
}

impl Action {
    /// Sends the packet out by `port`.
    pub fn output(port: u32) -> Self {
        Self::Output { port, max_len: 0 }
    }

    /// Copies all bits of one field to another of the same length.
    pub fn copy(from: Header, to: Header) -> Self {
        let bits = 8 * from.length() as u16;
        Self::Move { from: Span { field: from, offset: 0 }, to: Span { field: to, offset: 0 }, bits }
    }

    pub(crate) fn read_all(mut reader: Reader<'_>) -> Result<SmallVec<[Self; 2]>, DecodeError> {
        // Most actions are 16 bytes long.
        let mut actions = SmallVec::with_capacity(reader.left().div_ceil(16));
        while !reader.is_empty() {
            let (kind, body) = reader.tlv("action")?;
            actions.push(Self::read(kind, body)?);
        }
        Ok(actions)
    }

    fn read(kind: u16, body: Reader<'_>) -> Result<Self, DecodeError> {
        let mut reader = body;
        let action = match kind {
            OUTPUT => {
                let (port, max_len) = (reader.u32()?, reader.u16()?);
                reader.skip(6)?;
                Self::Output { port, max_len }
            }
            SET_FIELD => return read_set_field(body),
            PUSH_VLAN => {
                let ethertype = reader.u16()?;
                reader.skip(2)?;
                Self::PushVlan(ethertype)
            }
            POP_VLAN => {
                reader.skip(4)?;
                Self::PopVlan
            }
            EXPERIMENTER if reader.u32()? == NICIRA => return read_nicira(reader, body),
            _ => return Ok(Self::Unknown(Unknown::read(kind, body))),
        };
        reader.finish()?;
        Ok(action)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Output { port, max_len } => {
                out.extend_from_slice(&[0, OUTPUT as u8, 0, 16]);
                out.extend_from_slice(&port.to_be_bytes());
                out.extend_from_slice(&max_len.to_be_bytes());
                out.extend_from_slice(&[0; 6]);
            }
            Self::SetField(field) => {
                let start = out.len();
                out.extend_from_slice(&[0, SET_FIELD as u8, 0, 0]);
                field.write(|part| out.extend_from_slice(part));
                pad(out, start);
                set_length(out, start, start + 2);
            }
            Self::PushVlan(ethertype) => {
                let [high, low] = ethertype.to_be_bytes();
                out.extend_from_slice(&[0, PUSH_VLAN as u8, 0, 8, high, low, 0, 0]);
            }
            Self::PopVlan => out.extend_from_slice(&[0, POP_VLAN as u8, 0, 8, 0, 0, 0, 0]),
            Self::Move { from, to, bits } => {
                write_nicira_head(out, NX_MOVE, 24);
                for number in [*bits, from.offset, to.offset] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                out.extend_from_slice(&from.field.0.to_be_bytes());
                out.extend_from_slice(&to.field.0.to_be_bytes());
            }
            Self::Load { to, bits, value } => {
                write_nicira_head(out, NX_LOAD, 24);
                let place = to.offset << 6 | u16::from(bits.wrapping_sub(1) & 0x3f);
                out.extend_from_slice(&place.to_be_bytes());
                out.extend_from_slice(&to.field.0.to_be_bytes());
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Controller { max_len, id, reason } => {
                write_nicira_head(out, NX_CONTROLLER, 16);
                out.extend_from_slice(&max_len.to_be_bytes());
                out.extend_from_slice(&id.to_be_bytes());
                out.extend_from_slice(&[*reason, 0]);
            }
            Self::Unknown(unknown) => unknown.write(out),
        }
    }
}

fn read_set_field(body: Reader<'_>) -> Result<Action, DecodeError> {
    let mut reader = body;
    let header = Header(reader.u32()?);
    let value = reader.part(header.length(), "set_field action")?;
    if reader.left() >= 8 {
        return Err(DecodeError::Trailing("set_field action"));
    }
    match Field::read(header, value)? {
        Some(field) => Ok(Action::SetField(field)),
        None => Ok(Action::Unknown(Unknown::read(SET_FIELD, body))),
    }
}

/// `reader` stands behind the experimenter's number, `body` before it.
fn read_nicira(mut reader: Reader<'_>, body: Reader<'_>) -> Result<Action, DecodeError> {
    let action = match (reader.u16()?, body.left() + 4) {
        (NX_MOVE, 24) => {
            let (bits, from_offset, to_offset) = (reader.u16()?, reader.u16()?, reader.u16()?);
            let from = Span { field: Header(reader.u32()?), offset: from_offset };
            let to = Span { field: Header(reader.u32()?), offset: to_offset };
            Action::Move { from, to, bits }
        }
        (NX_LOAD, 24) => {
            let place = reader.u16()?;
            let to = Span { field: Header(reader.u32()?), offset: place >> 6 };
            Action::Load { to, bits: (place & 0x3f) as u8 + 1, value: reader.u64()? }
        }
        (NX_CONTROLLER, 16) => {
            let (max_len, id, reason) = (reader.u16()?, reader.u16()?, reader.u8()?);
            reader.skip(1)?;
            Action::Controller { max_len, id, reason }
        }
        _ => return Ok(Action::Unknown(Unknown::read(EXPERIMENTER, body))),
    };
    reader.finish()?;
    Ok(action)
}

fn write_nicira_head(out: &mut Vec<u8>, subtype: u16, length: u8) {
    out.extend_from_slice(&[0xff, 0xff, 0, length]);
    out.extend_from_slice(&NICIRA.to_be_bytes());
    out.extend_from_slice(&subtype.to_be_bytes());
}
