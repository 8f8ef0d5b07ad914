//! Whole messages (7.1): the header, and where in a stream one ends.

use bytes::{Bytes, BytesMut};

use crate::{
    Message,
    wire::{DecodeError, Reader, TooLong, set_length},
};

/// The length of the header, in bytes; no message is shorter.
const HEADER: usize = 8;

/// A message with its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The wire version: [`Frame::VERSION`], but any in a hello, an error or an echo, which may come before both sides
    /// agreed on one.
    pub version: u8,
    /// The transaction id: an answer has that of its request.
    pub xid: u32,
    /// The message.
    pub message: Message,
}

impl Frame {
    /// The wire version of OpenFlow 1.3.
    pub const VERSION: u8 = 4;

    /// Writes the message behind what `out` holds.
    ///
    /// # Errors
    /// If it is too long; then `out` is as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let start = out.len();
        Self::write_header(self.message.kind(), self.xid, out, |out| self.message.write_body(self.xid, out));
        let length = out.len() - start;
        if length > usize::from(u16::MAX) {
            out.truncate(start);
            return Err(TooLong(length));
        }
        if let Some(version) = out.get_mut(start) {
            *version = self.version;
        }
        Ok(())
    }

    /// Reads one whole message, as [`next_frame`] gives it.
    ///
    /// # Errors
    /// If it is not one of OpenFlow 1.3, or has more or less in it than it says.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, "message");
        let (version, kind, length) = (reader.u8()?, reader.u8()?, reader.u16()?);
        let xid = reader.u32()?;
        if usize::from(length) != bytes.len() {
            return Err(DecodeError::Length("message", length));
        }
        let message = Message::read(kind, xid, reader)?;
        let any_version = matches!(
            message,
            Message::Hello(_) | Message::Error(_) | Message::EchoRequest(_) | Message::EchoReply(_)
        );
        if version != Self::VERSION && !any_version {
            return Err(DecodeError::Version(version));
        }
        Ok(Self { version, xid, message })
    }

    /// Writes a header for OpenFlow 1.3 and what `body` writes.
    pub(crate) fn write_header(kind: u8, xid: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(&[Self::VERSION, kind, 0, 0]);
        out.extend_from_slice(&xid.to_be_bytes());
        body(out);
        set_length(out, start, start + 2);
    }
}

/// Takes the next whole message from the front of what was received; None if it has not all come yet. Never more than
/// 65535 bytes have to be waited for.
///
/// # Errors
/// If the stream has no message there; nothing after that can be read.
pub fn next_frame(received: &mut BytesMut) -> Result<Option<Bytes>, DecodeError> {
    let Some(&[_, _, high, low]) = received.first_chunk() else { return Ok(None) };
    let length = u16::from_be_bytes([high, low]);
    if usize::from(length) < HEADER {
        return Err(DecodeError::Length("message", length));
    }
    if received.len() < length.into() {
        return Ok(None);
    }
    Ok(Some(received.split_to(length.into()).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_out_of_the_stream() {
        let mut stream = BytesMut::from(&[4, 20, 0, 8, 0, 0, 0, 1, 4, 2, 0, 9, 0, 0, 0][..]);
        assert_eq!(next_frame(&mut stream).unwrap().unwrap()[..], [4, 20, 0, 8, 0, 0, 0, 1]);
        assert_eq!(next_frame(&mut stream), Ok(None));
        stream.extend_from_slice(&[2, 0xaa]);
        let echo = next_frame(&mut stream).unwrap().unwrap();
        let message = Message::EchoRequest(vec![0xaa]);
        assert_eq!(Frame::decode(&echo), Ok(Frame { version: 4, xid: 2, message }));
        assert_eq!(next_frame(&mut stream), Ok(None));
    }

    #[test]
    fn a_length_below_the_header_ends_the_stream() {
        let mut stream = BytesMut::from(&[4, 20, 0, 7, 0, 0, 0, 1][..]);
        assert_eq!(next_frame(&mut stream), Err(DecodeError::Length("message", 7)));
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let mut out = vec![1];
        let error = Message::EchoRequest(vec![0; 65528]).encode(1, &mut out);
        assert_eq!((error, out), (Err(TooLong(65536)), vec![1]));
    }

    #[test]
    fn only_greetings_may_have_another_version() {
        assert_eq!(Frame::decode(&[6, 0, 0, 8, 0, 0, 0, 1]).unwrap().version, 6);
        assert_eq!(Frame::decode(&[6, 20, 0, 8, 0, 0, 0, 1]), Err(DecodeError::Version(6)));
    }
}
