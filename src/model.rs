//! The words of the domain as types: each is parsed once, at the border, and then known to be good.
//!
//! Annotations are written by tenants and operators. Whatever passes here is a number, an address or a name of known
//! shape; no other text of theirs travels further.

use std::{fmt, str::FromStr};

pub use ipnet::IpNet as Prefix;
pub use ofproto::MacAddr;

/// Why a text is not the value it should be; its words are shown to the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// A VXLAN network identifier, 1 to 16777215 (RFC 7348: 24 bits; 0 is never a tenant's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

impl Vni {
    /// The largest one: 2^24 - 1.
    pub const MAX: u32 = 0xff_ffff;

    /// The VNI of this number, if it is one.
    pub fn new(number: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// The number itself.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Vni {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        digits(text).and_then(Self::new).ok_or_else(|| {
            ParseError(format!("{} is not a VNI: a number from 1 to {}", shown(text), Self::MAX))
        })
    }
}

/// What a link of ours is for, as its alias says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// The tenant of this VNI.
    Vni(Vni),
    /// The plain routes of the BGP mode.
    Underlay,
}

impl Mark {
    /// The VNI, where it is one's.
    pub fn vni(self) -> Option<Vni> {
        match self {
            Self::Vni(vni) => Some(vni),
            Self::Underlay => None,
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vni(vni) => vni.fmt(f),
            Self::Underlay => f.write_str("underlay"),
        }
    }
}

impl FromStr for Mark {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "underlay" { Ok(Self::Underlay) } else { text.parse().map(Self::Vni) }
    }
}

impl From<Vni> for Mark {
    fn from(vni: Vni) -> Self {
        Self::Vni(vni)
    }
}

/// An autonomous system number, 1 to 4294967295 (RFC 6793).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(u32);

impl Asn {
    /// The AS of this number, if it is one.
    pub fn new(number: u32) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }

    /// The number itself.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Asn {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        digits(text)
            .and_then(Self::new)
            .ok_or_else(|| ParseError(format!("{} is not an AS number: 1 to {}", shown(text), u32::MAX)))
    }
}

/// A name that the kernel takes for a network interface: 1 to 15 bytes (IFNAMSIZ - 1), no `/`, no white space, not
/// `.` or `..` (`dev_valid_name` in net/core/dev.c), and here printable ASCII only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName {
    length: u8,
    bytes: [u8; Self::MAX],
}

impl IfName {
    /// The longest name, in bytes.
    pub const MAX: usize = 15;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl FromStr for IfName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fits = (1..=Self::MAX).contains(&text.len());
        let allowed = text.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':');
        if !fits || !allowed || text == "." || text == ".." {
            let rule = "1 to 15 printable characters without '/', ':' or space";
            return Err(ParseError(format!("{} is not an interface name: {rule}", shown(text))));
        }
        let mut bytes = [0; Self::MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { length: text.len() as u8, bytes })
    }
}

/// An OpenFlow port number of a bridge (`ofp_port_t`), as PORT_DESC and PORT_STATUS tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfPort(pub u32);

impl fmt::Display for OfPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A route target or route distinguisher in one of its three shapes (RFC 4360 section 3, RFC 5668, RFC 4364 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteTarget {
    /// `ASN:nn` with a 2-byte AS and a 4-byte number.
    As2(u16, u32),
    /// `ASN:nn` with a 4-byte AS and a 2-byte number.
    As4(u32, u16),
    /// `IP:nn` with a 2-byte number.
    Ip(std::net::Ipv4Addr, u16),
}

impl RouteTarget {
    /// The target that FRR gives an L3VNI for which none is configured: the AS's lower 16 bits and the VNI (`form_auto_rt`
    /// in bgpd/bgp_evpn.c).
    pub fn derived(asn: Asn, vni: u32) -> Self {
        Self::As2((asn.get() & 0xffff) as u16, vni)
    }

    /// Whether it names AS 0, which nobody may use (RFC 7607).
    pub fn is_of_as_0(&self) -> bool {
        matches!(self, Self::As2(0, _))
    }
}

impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::As2(asn, number) => write!(f, "{asn}:{number}"),
            Self::As4(asn, number) => write!(f, "{asn}:{number}"),
            Self::Ip(address, number) => write!(f, "{address}:{number}"),
        }
    }
}

impl FromStr for RouteTarget {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_route_target(text).ok_or_else(|| {
            let rule = "ASN:nn or IP:nn (nn up to 4294967295 behind a 2-byte AS, else up to 65535)";
            ParseError(format!("{} is not a route target: {rule}", shown(text)))
        })
    }
}

fn parse_route_target(text: &str) -> Option<RouteTarget> {
    let (head, number) = text.split_once(':')?;
    if let Ok(address) = head.parse() {
        return Some(RouteTarget::Ip(address, digits(number)?.try_into().ok()?));
    }
    match u16::try_from(digits(head)?) {
        Ok(asn) => Some(RouteTarget::As2(asn, digits(number)?)),
        Err(_) => Some(RouteTarget::As4(digits(head)?, digits(number)?.try_into().ok()?)),
    }
}

/// A plain decimal number: digits alone, no sign, no space, so that `+1` and `1\n` are not taken.
fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A refused text as an error may show it: quoted, control characters escaped, cut after 40 characters.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(40).collect();
    let more = if cut.len() < text.len() { ".." } else { "" };
    format!("{cut:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vni_has_24_bits_and_is_not_zero() {
        assert_eq!("1".parse::<Vni>().unwrap().get(), 1);
        assert_eq!("16777215".parse::<Vni>().unwrap().get(), Vni::MAX);
        for bad in ["", "0", "16777216", "-1", "+1", " 1", "1 ", "1001\nno router bgp", "0x3e9", "1e3", "١"]
        {
            assert!(bad.parse::<Vni>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn asn_has_32_bits_and_is_not_zero() {
        assert_eq!("4294967295".parse::<Asn>().unwrap().get(), u32::MAX);
        for bad in ["0", "4294967296", "1.1", "64999 vrf x"] {
            assert!(bad.parse::<Asn>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn interface_names_are_what_the_kernel_takes() {
        assert_eq!("veth-vrf-999999".parse::<IfName>().unwrap().to_string(), "veth-vrf-999999");
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "veth-vrf-1000000", "ü", "a\0"] {
            assert!(bad.parse::<IfName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn route_targets_have_three_shapes() {
        assert_eq!("65000:4294967295".parse(), Ok(RouteTarget::As2(65000, u32::MAX)));
        assert_eq!("4200000000:65535".parse(), Ok(RouteTarget::As4(4_200_000_000, 65535)));
        assert_eq!("192.0.2.1:5".parse(), Ok(RouteTarget::Ip([192, 0, 2, 1].into(), 5)));
        for bad in ["", "1", "1:", ":1", "65536:65536", "192.0.2.1:65536", "1:2:3", "65000:1\n"] {
            assert!(bad.parse::<RouteTarget>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn errors_show_what_was_refused_without_its_control_characters() {
        let error = "1001\nno router bgp 64999".parse::<Vni>().unwrap_err().to_string();
        assert!(error.contains(r#""1001\nno router bgp 64999""#), "{error}");
    }
}
