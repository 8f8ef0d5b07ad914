//! Instructions (7.2.4): what a flow does with its packets.

use smallvec::SmallVec;

use crate::{
    Action,
    wire::{DecodeError, Reader, Unknown, set_length},
};

const GOTO_TABLE: u16 = 1;
const APPLY_ACTIONS: u16 = 4;

/// What a flow does with its packets: a set with at most one instruction of each type (5.9), so their order does not
/// matter. To apply no action is the same as to say nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Instructions {
    /// Done at once, in this order.
    pub apply: SmallVec<[Action; 2]>,
    /// The table that goes on with the packet.
    pub goto_table: Option<u8>,
    /// All others, in the order of their types.
    pub unknown: Vec<Unknown>,
}

impl Instructions {
    /// Does these actions at once.
    pub fn apply(actions: impl IntoIterator<Item = Action>) -> Self {
        Self { apply: actions.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        const TWICE: DecodeError = DecodeError::Twice("instruction");
        let mut all = Self::default();
        let mut applies = false;
        while !reader.is_empty() {
            let (kind, mut body) = reader.tlv("instruction")?;
            match kind {
                APPLY_ACTIONS if applies => return Err(TWICE),
                APPLY_ACTIONS => {
                    applies = true;
                    body.skip(4)?;
                    all.apply = Action::read_all(body)?;
                }
                GOTO_TABLE if all.goto_table.is_some() => return Err(TWICE),
                GOTO_TABLE => {
                    all.goto_table = Some(body.u8()?);
                    body.skip(3)?;
                    body.finish()?;
                }
                _ => all.unknown.push(Unknown::read(kind, body)),
            }
        }
        all.unknown.sort_by_key(|unknown| unknown.kind);
        Ok(all)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if let Some(table) = self.goto_table {
            out.extend_from_slice(&[0, GOTO_TABLE as u8, 0, 8, table, 0, 0, 0]);
        }
        if !self.apply.is_empty() {
            let start = out.len();
            out.extend_from_slice(&[0, APPLY_ACTIONS as u8, 0, 0, 0, 0, 0, 0]);
            self.apply.iter().for_each(|action| action.write(out));
            set_length(out, start, start + 2);
        }
        self.unknown.iter().for_each(|unknown| unknown.write(out));
    }
}
