//! Hello (7.5.1): which versions each side speaks.

use crate::wire::{DecodeError, Reader};

const VERSION_BITMAP: u16 = 1;

/// The first message of each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The versions, one bit for each wire version below 32; None if the peer sent no bitmap and so speaks the version
    /// of the message's header and all before it.
    pub versions: Option<u32>,
}

impl Hello {
    /// Only this wire version.
    pub fn only(version: u8) -> Self {
        Self { versions: 1_u32.checked_shl(version.into()) }
    }

    /// Whether its sender speaks this wire version; `header` is the version in the hello's own header.
    pub fn speaks(&self, version: u8, header: u8) -> bool {
        match self.versions {
            Some(versions) => versions.checked_shr(version.into()).is_some_and(|bits| bits & 1 == 1),
            None => version <= header,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Some(versions) = self.versions else { return };
        out.extend_from_slice(&[0, VERSION_BITMAP as u8, 0, 8]);
        out.extend_from_slice(&versions.to_be_bytes());
    }

    /// Elements of other kinds are passed over, as 7.5.1 asks for.
    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "hello element";
        let mut hello = Self::default();
        while !reader.is_empty() {
            let (kind, length) = (reader.u16()?, reader.u16()?);
            let body = length.checked_sub(4).ok_or(DecodeError::Length(WHAT, length))?;
            let mut body = reader.part(body.into(), WHAT)?;
            if kind == VERSION_BITMAP {
                // The first word has versions 0 to 31, and there are no others yet.
                hello.versions = Some(body.u32()?);
            }
            let padding = usize::from(length).next_multiple_of(8) - usize::from(length);
            reader.skip(padding.min(reader.left()))?;
        }
        Ok(hello)
    }
}
