//! OXM fields (7.2.3): what a match compares and an action sets, and the headers that name them.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::{
    MacAddr, Masked, Value,
    wire::{DecodeError, Reader},
};

/// `OFPXMC_OPENFLOW_BASIC`: the class of the fields that OpenFlow itself defines.
const BASIC: u16 = 0x8000;
/// `OFPXMC_EXPERIMENTER`: a class whose headers are followed by four bytes that name the experimenter.
const EXPERIMENTER: u16 = 0xffff;

/// The four bytes that name a field: class, field, whether a mask follows, length of what follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header(pub u32);

impl Header {
    /// Nicira's register 0, 32 bits that live while one packet is handled.
    pub const REG0: Self = Self::new(1, 0, 4);
    /// [`Header::ETH_DST`] by its older name, that of Nicira's extension: Open vSwitch names the fields of
    /// [`crate::Action::Move`] and [`crate::Action::Load`] so, whatever it was told.
    pub const NXM_ETH_DST: Self = Self::new(0, 1, 6);
    /// [`Header::ETH_SRC`] by its older name.
    pub const NXM_ETH_SRC: Self = Self::new(0, 2, 6);
    /// [`Header::ARP_SPA`] by its older name.
    pub const NXM_ARP_SPA: Self = Self::new(0, 16, 4);
    /// [`Header::ARP_TPA`] by its older name.
    pub const NXM_ARP_TPA: Self = Self::new(0, 17, 4);
    /// [`Header::ARP_SHA`] by its older name.
    pub const NXM_ARP_SHA: Self = Self::new(1, 17, 6);
    /// [`Header::ARP_THA`] by its older name.
    pub const NXM_ARP_THA: Self = Self::new(1, 18, 6);

    /// The header of a field without mask; `length` is that of its value, in bytes.
    pub const fn new(class: u16, field: u8, length: u8) -> Self {
        Self((class as u32) << 16 | (field as u32) << 9 | length as u32)
    }

    /// The class: who defines the field.
    pub fn class(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The field's number in its class, 0 to 127.
    pub fn field(self) -> u8 {
        (self.0 >> 9) as u8 & 0x7f
    }

    /// Whether the value is followed by a mask.
    pub fn has_mask(self) -> bool {
        self.0 & 0x100 != 0
    }

    /// The bytes that follow the header: value, mask, and an experimenter's number.
    pub fn length(self) -> usize {
        usize::from(self.0 as u8)
    }

    /// Whether four bytes with the experimenter's number follow.
    pub(crate) fn is_experimenter(self) -> bool {
        self.class() == EXPERIMENTER
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({:#010x})", self.0)
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident, $header:ident, $make:ident: $type:ty = $number:literal, $text:literal;)*) => {
        /// A field of OpenFlow's own class that this crate knows, with its value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Field {
            $($(#[$doc])* $name(Masked<$type>),)*
        }

        impl Header {
            $($(#[$doc])* pub const $header: Self =
                Self::new(BASIC, $number, size_of::<<$type as Value>::Bytes>() as u8);)*
        }

        impl Field {
            $($(#[$doc])* pub fn $make(value: impl Into<Masked<$type>>) -> Self {
                Self::$name(value.into())
            })*

            /// The header without mask bit.
            pub fn header(&self) -> Header {
                match self {
                    $(Self::$name(_) => Header::$header,)*
                }
            }

            /// Whether no bit counts: any value fits.
            pub fn is_any(&self) -> bool {
                match self {
                    $(Self::$name(value) => value.is_any(),)*
                }
            }

            /// Writes header, value and, unless all bits count, mask.
            pub(crate) fn write(&self, put: impl FnMut(&[u8])) {
                match self {
                    $(Self::$name(value) => write(Header::$header, value, put),)*
                }
            }

            /// Reads what follows the header: None if the field is not known.
            pub(crate) fn read(header: Header, body: Reader<'_>) -> Result<Option<Self>, DecodeError> {
                if header.class() != BASIC {
                    return Ok(None);
                }
                Ok(Some(match header.field() {
                    $($number => Self::$name(read(header, body, $text)?),)*
                    _ => return Ok(None),
                }))
            }
        }

        impl Header {
            /// The field's name in ovs-ofctl's actions, if it is one that this crate knows.
            pub fn name(self) -> Option<&'static str> {
                match self.field() {
                    _ if self.class() != BASIC => None,
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }

        /// The length of the value of a known field, in bytes.
        #[inline]
        pub(crate) fn width_of(header: Header) -> Option<usize> {
            const WIDTHS: [u8; 128] = {
                let mut widths = [0; 128];
                $(widths[$number] = size_of::<<$type as Value>::Bytes>() as u8;)*
                widths
            };
            let width = WIDTHS.get(usize::from(header.field())).copied().unwrap_or_default();
            (header.class() == BASIC && width != 0).then_some(width.into())
        }
    };
}

fields! {
    /// The port that the packet came in by.
    InPort, IN_PORT, in_port: u32 = 0, "in_port";
    /// The Ethernet destination.
    EthDst, ETH_DST, eth_dst: MacAddr = 3, "eth_dst";
    /// The Ethernet source.
    EthSrc, ETH_SRC, eth_src: MacAddr = 4, "eth_src";
    /// The type of what follows VLAN tags.
    EthType, ETH_TYPE, eth_type: u16 = 5, "eth_type";
    /// The VLAN: 0 without a tag, else 0x1000 and the 12 bits of the identifier (`OFPVID_PRESENT`).
    VlanVid, VLAN_VID, vlan_vid: u16 = 6, "vlan_vid";
    /// The protocol or last next header of IP.
    IpProto, IP_PROTO, ip_proto: u8 = 10, "ip_proto";
    /// The IPv4 source.
    Ipv4Src, IPV4_SRC, ipv4_src: Ipv4Addr = 11, "ip_src";
    /// The IPv4 destination.
    Ipv4Dst, IPV4_DST, ipv4_dst: Ipv4Addr = 12, "ip_dst";
    /// What an ARP packet wants: 1 request, 2 reply.
    ArpOp, ARP_OP, arp_op: u16 = 21, "arp_op";
    /// The sender's IPv4 address in ARP.
    ArpSpa, ARP_SPA, arp_spa: Ipv4Addr = 22, "arp_spa";
    /// The target's IPv4 address in ARP.
    ArpTpa, ARP_TPA, arp_tpa: Ipv4Addr = 23, "arp_tpa";
    /// The sender's Ethernet address in ARP.
    ArpSha, ARP_SHA, arp_sha: MacAddr = 24, "arp_sha";
    /// The target's Ethernet address in ARP.
    ArpTha, ARP_THA, arp_tha: MacAddr = 25, "arp_tha";
    /// The IPv6 source.
    Ipv6Src, IPV6_SRC, ipv6_src: Ipv6Addr = 26, "ipv6_src";
    /// The IPv6 destination.
    Ipv6Dst, IPV6_DST, ipv6_dst: Ipv6Addr = 27, "ipv6_dst";
    /// The type of an ICMPv6 message.
    Icmpv6Type, ICMPV6_TYPE, icmpv6_type: u8 = 29, "icmpv6_type";
    /// The code of an ICMPv6 message.
    Icmpv6Code, ICMPV6_CODE, icmpv6_code: u8 = 30, "icmpv6_code";
    /// The target of a neighbour solicitation or advertisement.
    NdTarget, ND_TARGET, nd_target: Ipv6Addr = 31, "nd_target";
    /// The source link-layer address of a neighbour solicitation.
    NdSll, ND_SLL, nd_sll: MacAddr = 32, "nd_sll";
    /// The target link-layer address of a neighbour advertisement.
    NdTll, ND_TLL, nd_tll: MacAddr = 33, "nd_tll";
}

/// Set in a VLAN number where there is a tag (`OFPVID_PRESENT`).
const OFPVID_PRESENT: u16 = 0x1000;

impl Field {
    /// Any VLAN tag.
    pub fn any_vlan() -> Self {
        Self::VlanVid(Masked::new(OFPVID_PRESENT, OFPVID_PRESENT))
    }

    /// The VLAN tag of this number, 0 to 4095.
    pub fn vlan(tag: u16) -> Self {
        Self::vlan_vid(OFPVID_PRESENT | tag)
    }

    /// The number of the VLAN tag that this names exactly; None: another field, no tag, or any of several.
    pub fn vlan_tag(&self) -> Option<u16> {
        match self {
            Self::VlanVid(vid) if vid.is_exact() && vid.value() & OFPVID_PRESENT != 0 => {
                Some(vid.value() & !OFPVID_PRESENT)
            }
            _ => None,
        }
    }
}

#[inline]
fn write<T: Value>(header: Header, value: &Masked<T>, mut put: impl FnMut(&[u8])) {
    if value.is_exact() {
        put(&header.0.to_be_bytes());
        put(value.value().to_wire().as_ref());
        return;
    }
    // The length doubles, and the bit between length and field number says why.
    put(&((header.0 + header.length() as u32) | 0x100).to_be_bytes());
    put(value.value().to_wire().as_ref());
    put(value.mask().to_wire().as_ref());
}

fn read<T: Value>(
    header: Header,
    mut body: Reader<'_>,
    what: &'static str,
) -> Result<Masked<T>, DecodeError> {
    let wrong = DecodeError::Length(what, header.length() as u16);
    let mut value = || -> Result<T, DecodeError> {
        let mut bytes = T::Bytes::default();
        let length = bytes.as_ref().len();
        bytes.as_mut().copy_from_slice(body.bytes(length).map_err(|_| wrong)?);
        Ok(T::from_wire(bytes))
    };
    let field = if header.has_mask() { Masked::new(value()?, value()?) } else { Masked::exact(value()?) };
    body.finish().map_err(|_| wrong)?;
    Ok(field)
}
