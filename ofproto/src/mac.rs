//! Ethernet addresses.

use std::{fmt, str::FromStr};

/// A 48-bit Ethernet address, in network order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

/// Not six pairs of hexadecimal digits with colons between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ethernet address (expected six pairs of hexadecimal digits, as in fa:16:3e:00:00:10)")]
pub struct ParseMacError;

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            *byte = parts.next().and_then(parse_pair).ok_or(ParseMacError)?;
        }
        parts.next().is_none().then_some(Self(bytes)).ok_or(ParseMacError)
    }
}

/// Exactly two hexadecimal digits: `from_str_radix` alone would take a sign or a single digit.
fn parse_pair(pair: &str) -> Option<u8> {
    if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(pair, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_usual_form() {
        let mac: MacAddr = "fa:16:3E:00:00:10".parse().unwrap();
        assert_eq!(mac, MacAddr([0xfa, 0x16, 0x3e, 0, 0, 0x10]));
        assert_eq!(mac.to_string(), "fa:16:3e:00:00:10");
    }

    #[test]
    fn refuses_everything_else() {
        for bad in
            ["", "fa:16:3e:00:00", "fa:16:3e:00:00:10:11", "fa:16:3e:0:00:10", "+a:16:3e:00:00:10", "router"]
        {
            assert_eq!(bad.parse::<MacAddr>(), Err(ParseMacError), "{bad}");
        }
    }
}
