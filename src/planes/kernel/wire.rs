//! Netlink framing: messages and attributes to bytes and back.
//!
//! Owns lengths and padding, and nothing of what a message says. Reading never panics and never allocates; numbers are
//! in the machine's byte order, as the kernel has them (`include/uapi/linux/netlink.h`).

use std::net::IpAddr;

use super::uapi::{NLA_F_NESTED, NLA_TYPE_MASK, NLM_F_ACK};

/// Length of `struct nlmsghdr`, in bytes.
pub const HEADER: usize = 16;
/// Messages and attributes start at multiples of this (NLMSG_ALIGNTO, NLA_ALIGNTO).
const ALIGN: usize = 4;
/// Length of `struct nlattr`, in bytes.
const ATTRIBUTE_HEADER: usize = 4;

/// Bytes that are not what the kernel's headers say they should be; the word names the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed netlink message: {0} is cut short or has an impossible length")]
pub struct Malformed(pub &'static str);

/// One message as read: its header's fields and what follows the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: 0 in notifications that no request caused.
    pub sequence: u32,
    /// What follows the header, without padding.
    pub payload: &'a [u8],
}

/// The messages of one or several datagrams put together.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = take_message(&mut rest);
        if message.is_none() {
            rest = &[];
        }
        Some(message.ok_or(Malformed("a message")))
    })
}

fn take_message<'a>(rest: &mut &'a [u8]) -> Option<Message<'a>> {
    let length = number(rest, 0)? as usize;
    let payload = rest.get(HEADER..length)?;
    let message =
        Message { kind: half(rest, 4)?, flags: half(rest, 6)?, sequence: number(rest, 8)?, payload };
    *rest = rest.get(padded(length)..).unwrap_or_default();
    Some(message)
}

/// The attributes in `bytes`: type (without its flag bits) and value.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let attribute = take_attribute(&mut rest);
        if attribute.is_none() {
            rest = &[];
        }
        Some(attribute.ok_or(Malformed("an attribute")))
    })
}

fn take_attribute<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let length = usize::from(half(rest, 0)?);
    let value = rest.get(ATTRIBUTE_HEADER..length)?;
    let kind = half(rest, 2)? & NLA_TYPE_MASK;
    *rest = rest.get(padded(length)..).unwrap_or_default();
    Some((kind, value))
}

/// The 16-bit number at `at`.
pub fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

/// The 32-bit number at `at`.
pub fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

/// An address of 4 or 16 bytes.
pub fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|b| IpAddr::from(*b)),
        16 => bytes.first_chunk::<16>().map(|b| IpAddr::from(*b)),
        _ => None,
    }
}

/// Text up to its NUL, where it is UTF-8.
pub fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(bytes.get(..end)?).ok()
}

const fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGN)
}

/// Writes messages one behind the other into one buffer.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    last: usize,
}

impl Writer {
    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written; it is given away.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        self.last = 0;
        std::mem::take(&mut self.bytes)
    }

    /// Writes a message whose body `fill` writes.
    pub fn message(&mut self, kind: u16, flags: u16, sequence: u32, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.last = start;
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]); // port id: the kernel knows the socket
        fill(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Asks for an acknowledgement of the message written last.
    pub fn acknowledge_last(&mut self) {
        if let Some(flag) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            let flags = u16::from_ne_bytes([flag[0], flag[1]]) | NLM_F_ACK;
            flag.copy_from_slice(&flags.to_ne_bytes());
        }
    }

    /// Writes bytes of a fixed header; `bytes` must be a multiple of 4 long.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = (ATTRIBUTE_HEADER + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(padded(self.bytes.len()), 0);
    }

    /// Writes an attribute that holds a 32-bit number.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// Writes an attribute that holds an address.
    pub fn ip(&mut self, kind: u16, value: IpAddr) {
        match value {
            IpAddr::V4(v4) => self.attribute(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attribute(kind, &v6.octets()),
        }
    }

    /// Writes an attribute that holds text; the kernel needs no NUL behind it (NLA_STRING).
    pub fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, value.as_bytes());
    }

    /// Writes an attribute whose inside `fill` writes, marked as nested (strict kernels refuse it without the mark).
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.attribute(kind | NLA_F_NESTED, &[]);
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut writer = Writer::default();
        writer.message(16, 5, 7, |w| {
            w.fixed(&[1, 2, 3, 4]);
            w.text(3, "abc");
            w.nested(18, |w| {
                w.attribute(1, &[9, 9, 9]);
                w.number(2, 0x0102_0304);
            });
        });
        writer.message(17, 1, 8, |_| {});
        writer.acknowledge_last();
        let read: Vec<_> = messages(writer.bytes()).map(Result::unwrap).collect();
        let [first, second] = read[..] else { panic!("{read:?}") };
        assert_eq!((first.kind, first.flags, first.sequence), (16, 5, 7));
        assert_eq!((second.kind, second.flags, second.sequence, second.payload), (17, 5, 8, &[][..]));
        let outer: Vec<_> = attributes(&first.payload[4..]).map(Result::unwrap).collect();
        assert_eq!(outer[0], (3, &b"abc"[..]));
        assert_eq!(outer[1].0, 18);
        let inner: Vec<_> = attributes(outer[1].1).map(Result::unwrap).collect();
        assert_eq!(inner, [(1, &[9, 9, 9][..]), (2, &0x0102_0304u32.to_ne_bytes()[..])]);
    }

    #[test]
    fn impossible_lengths_end_the_reading() {
        for bad in [&[0u8; 16][..], &[15, 0, 0, 0], &[1], &[255; 40]] {
            assert!(messages(bad).last().unwrap().is_err(), "{bad:?}");
        }
        for bad in [&[0u8; 4][..], &[3, 0, 1, 0], &[1], &[9, 0, 1, 0, 1, 1, 1, 1]] {
            assert!(attributes(bad).last().unwrap().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes).flatten() {
                let _ = attributes(message.payload).count();
            }
        }
    }
}
