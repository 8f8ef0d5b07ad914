//! Errors (7.5.4): what the switch refused, and why.

use std::fmt;

use crate::{
    action::NICIRA,
    error_names,
    message::ONF,
    wire::{DecodeError, Reader},
};

/// `OFPET_EXPERIMENTER`: the code is an experimenter's, whose number follows.
const EXPERIMENTER: u16 = 0xffff;

/// The switch refused a message, namely the one whose transaction id this one has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMessage {
    /// `OFPET_*`: what kind of request it was, or 0xffff for an experimenter's error.
    pub kind: u16,
    /// Why, by kind, or by experimenter.
    pub code: u16,
    /// Whose error it is, if it is an experimenter's.
    pub experimenter: Option<u32>,
    /// The refused message, at least its first 64 bytes; of a failed hello a text.
    pub data: Vec<u8>,
}

impl ErrorMessage {
    /// The error's name as Open vSwitch writes it, if it is known.
    pub fn name(&self) -> Option<&'static str> {
        match self.experimenter {
            None => error_names::standard(self.kind, self.code),
            Some(ONF) => error_names::onf(self.code),
            Some(NICIRA) => error_names::nicira(self.code),
            Some(_) => None,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&self.code.to_be_bytes());
        if let Some(experimenter) = self.experimenter {
            out.extend_from_slice(&experimenter.to_be_bytes());
        }
        out.extend_from_slice(&self.data);
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (kind, code) = (reader.u16()?, reader.u16()?);
        let experimenter = if kind == EXPERIMENTER { Some(reader.u32()?) } else { None };
        Ok(Self { kind, code, experimenter, data: reader.rest().to_vec() })
    }
}

impl fmt::Display for ErrorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name() {
            return f.write_str(name);
        }
        match (self.experimenter, error_names::kind(self.kind)) {
            (Some(experimenter), _) => write!(f, "error {} of experimenter {experimenter:#x}", self.code),
            (None, Some(kind)) => write!(f, "{kind} code {}", self.code),
            (None, None) => write!(f, "error type {} code {}", self.kind, self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: u16, code: u16, experimenter: Option<u32>) -> String {
        ErrorMessage { kind, code, experimenter, data: Vec::new() }.to_string()
    }

    #[test]
    fn names_are_those_of_open_vswitch() {
        assert_eq!(error(2, 10, None), "OFPBAC_MATCH_INCONSISTENT");
        assert_eq!(error(0xffff, 2313, Some(ONF)), "OFPBFC_MSG_FAILED");
        assert_eq!(error(0xffff, 13, Some(NICIRA)), "NXFMFC_BAD_TABLE_ID");
    }

    #[test]
    fn errors_without_a_name_show_their_numbers() {
        assert_eq!(error(5, 99, None), "OFPET_FLOW_MOD_FAILED code 99");
        assert_eq!(error(77, 1, None), "error type 77 code 1");
        assert_eq!(error(0xffff, 1, Some(0xabc)), "error 1 of experimenter 0xabc");
    }
}
