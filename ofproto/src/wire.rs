//! Reading and writing of bytes in network order: a reader that never reads past its part, and length fields.

/// Why bytes are not an OpenFlow message. The text names the part; it is never allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The part ends before what it must hold.
    #[error("{0} is cut short")]
    Short(&'static str),
    /// The part holds more than it should.
    #[error("{0} has bytes left over at its end")]
    Trailing(&'static str),
    /// A length field says what cannot be.
    #[error("{0} says that it is {1} bytes long, which it cannot be")]
    Length(&'static str, u16),
    /// Another version than 1.3 where 1.3 was agreed.
    #[error("the peer speaks OpenFlow wire version {0:#04x}, where 0x04 (OpenFlow 1.3) was agreed")]
    Version(u8),
    /// A field or an instruction that may be there once is there again.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// A value that the part cannot have.
    #[error("{0} has the unknown value {1}")]
    Value(&'static str, u32),
}

/// The message does not fit into the 65535 bytes that OpenFlow's length field can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message would be {0} bytes long; OpenFlow allows 65535")]
pub struct TooLong(pub usize);

/// A part that this crate does not know: its type and all that follows its length field, for writing it back as it
/// was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unknown {
    /// The type field.
    pub kind: u16,
    /// What follows type and length, padding included: 4 bytes short of a multiple of 8.
    pub body: Box<[u8]>,
}

/// Bytes still to be read of one part of a message. A part must be read to its end: see [`Reader::finish`].
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which errors will call `what`.
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Short(self.what))?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `length` bytes.
    #[inline]
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Short(self.what))?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `length` bytes as a part of its own.
    #[inline]
    pub fn part(&mut self, length: usize, what: &'static str) -> Result<Reader<'a>, DecodeError> {
        Ok(Reader::new(self.bytes(length)?, what))
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Passes over padding.
    #[inline]
    pub fn skip(&mut self, length: usize) -> Result<(), DecodeError> {
        self.bytes(length).map(|_| ())
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The end of the part: nothing may be left.
    #[inline]
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.what)) }
    }

    /// The next type, length and value, where the length counts its own four bytes too and is a multiple of 8.
    #[inline]
    pub fn tlv(&mut self, what: &'static str) -> Result<(u16, Reader<'a>), DecodeError> {
        let kind = self.u16()?;
        let length = self.u16()?;
        if length < 8 || length % 8 != 0 {
            return Err(DecodeError::Length(what, length));
        }
        Ok((kind, self.part(usize::from(length) - 4, what)?))
    }
}

/// The parts of something of a fixed size, one behind the other.
#[inline]
pub(crate) fn joined<const N: usize, const P: usize>(parts: [&[u8]; P]) -> [u8; N] {
    let mut all = [0; N];
    let mut rest = &mut all[..];
    for part in parts {
        let (place, behind) = std::mem::take(&mut rest).split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = behind;
    }
    all
}

/// Writes zeros until what was written since `start` is a multiple of 8 bytes.
pub(crate) fn pad(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    out.resize(start + length.next_multiple_of(8), 0);
}

/// Sets the two bytes at `at`, which were written as a place for it, to the bytes written since `start`.
///
/// A length of more than 65535 is cut here: then the whole message is too long as well, which [`crate::Frame::encode`]
/// refuses.
pub(crate) fn set_length(out: &mut [u8], start: usize, at: usize) {
    let length = (out.len() - start) as u16;
    if let Some(place) = out.get_mut(at..).and_then(|tail| tail.first_chunk_mut()) {
        *place = length.to_be_bytes();
    }
}

impl Unknown {
    pub(crate) fn read(kind: u16, reader: Reader<'_>) -> Self {
        Self { kind, body: reader.rest().into() }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.body);
        pad(out, start);
        set_length(out, start, start + 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_stays_inside_its_part() {
        let bytes = [0, 1, 0, 16, 5, 6, 7, 8];
        let mut reader = Reader::new(&bytes, "test");
        assert_eq!(reader.tlv("inner").err(), Some(DecodeError::Short("test")));
        let mut reader = Reader::new(&bytes, "test");
        assert_eq!(reader.part(2, "inner").unwrap().u32(), Err(DecodeError::Short("inner")));
        assert_eq!(reader.u16(), Ok(16));
        assert_eq!(reader.finish(), Err(DecodeError::Trailing("test")));
    }

    #[test]
    fn lengths_of_parts_are_multiples_of_eight() {
        for bad in [0, 4, 7, 12] {
            let bytes = [0, 0, 0, bad, 0, 0, 0, 0, 0, 0, 0, 0];
            let error = Reader::new(&bytes, "test").tlv("action").err();
            assert_eq!(error, Some(DecodeError::Length("action", bad.into())));
        }
    }
}
