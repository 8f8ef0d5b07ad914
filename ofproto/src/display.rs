//! Flows as text, in the style of `ovs-ofctl dump-flows`, for logs and `status`; ovs-ofctl reads it too.

use std::fmt::{self, Display, Formatter};

use crate::{
    Action, Field, FlowStats, Header, Instructions, Masked, Match, NO_BUFFER, Oxm, Span, Unknown, Value,
    reserved_port,
};

impl Display for Match {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let protocol = Protocol::of(self);
        let mut separator = "";
        if let Some(name) = protocol.name() {
            f.write_str(name)?;
            separator = ",";
        }
        for oxm in self.fields().filter(|oxm| !protocol.says(oxm)) {
            f.write_str(separator)?;
            separator = ",";
            match oxm {
                Oxm::Known(field) => write_field(f, &field)?,
                Oxm::Unknown(header, body) => write!(f, "{header}=0x{}", Hex(body))?,
            }
        }
        Ok(())
    }
}

/// The fields that ovs-ofctl writes as one word.
#[derive(Default)]
struct Protocol {
    eth_type: Option<u16>,
    ip_proto: Option<u8>,
}

impl Protocol {
    fn of(matches: &Match) -> Self {
        let mut protocol = Self::default();
        for oxm in matches.fields() {
            match oxm {
                Oxm::Known(Field::EthType(value)) if value.is_exact() => {
                    protocol.eth_type = Some(value.value());
                }
                Oxm::Known(Field::IpProto(value)) if value.is_exact() => {
                    protocol.ip_proto = Some(value.value());
                }
                _ => {}
            }
        }
        protocol
    }

    fn name(&self) -> Option<&'static str> {
        Some(match (self.eth_type?, self.ip_proto) {
            (0x0800, Some(1)) => "icmp",
            (0x0800, Some(6)) => "tcp",
            (0x0800, Some(17)) => "udp",
            (0x0800, _) => "ip",
            (0x0806, _) => "arp",
            (0x86dd, Some(6)) => "tcp6",
            (0x86dd, Some(17)) => "udp6",
            (0x86dd, Some(58)) => "icmp6",
            (0x86dd, _) => "ipv6",
            _ => return None,
        })
    }

    /// Whether the word says all about this field.
    fn says(&self, oxm: &Oxm<'_>) -> bool {
        match oxm {
            Oxm::Known(Field::EthType(_)) => self.name().is_some(),
            Oxm::Known(Field::IpProto(_)) => !matches!(self.name(), None | Some("ip" | "arp" | "ipv6")),
            _ => false,
        }
    }
}

fn write_field(f: &mut Formatter<'_>, field: &Field) -> fmt::Result {
    match field {
        Field::InPort(value) => write_masked(f, "in_port", value),
        Field::EthDst(value) => write_masked(f, "dl_dst", value),
        Field::EthSrc(value) => write_masked(f, "dl_src", value),
        Field::EthType(value) => write_hex(f, "dl_type", value),
        Field::VlanVid(value) => match field.vlan_tag() {
            Some(tag) => write!(f, "dl_vlan={tag}"),
            None => write_hex(f, "vlan_vid", value),
        },
        Field::IpProto(value) => write_masked(f, "nw_proto", value),
        Field::Ipv4Src(value) => write_prefix(f, "nw_src", value),
        Field::Ipv4Dst(value) => write_prefix(f, "nw_dst", value),
        Field::ArpOp(value) => write_masked(f, "arp_op", value),
        Field::ArpSpa(value) => write_prefix(f, "arp_spa", value),
        Field::ArpTpa(value) => write_prefix(f, "arp_tpa", value),
        Field::ArpSha(value) => write_masked(f, "arp_sha", value),
        Field::ArpTha(value) => write_masked(f, "arp_tha", value),
        Field::Ipv6Src(value) => write_prefix(f, "ipv6_src", value),
        Field::Ipv6Dst(value) => write_prefix(f, "ipv6_dst", value),
        Field::Icmpv6Type(value) => write_masked(f, "icmp_type", value),
        Field::Icmpv6Code(value) => write_masked(f, "icmp_code", value),
        Field::NdTarget(value) => write_prefix(f, "nd_target", value),
        Field::NdSll(value) => write_masked(f, "nd_sll", value),
        Field::NdTll(value) => write_masked(f, "nd_tll", value),
    }
}

fn write_masked<T: Value + Display>(f: &mut Formatter<'_>, name: &str, value: &Masked<T>) -> fmt::Result {
    write!(f, "{name}={}", value.value())?;
    if value.is_exact() { Ok(()) } else { write!(f, "/{}", value.mask()) }
}

fn write_prefix<T: Value + Display>(f: &mut Formatter<'_>, name: &str, value: &Masked<T>) -> fmt::Result {
    match value.prefix_length() {
        Some(length) if !value.is_exact() => write!(f, "{name}={}/{length}", value.value()),
        _ => write_masked(f, name, value),
    }
}

fn write_hex(f: &mut Formatter<'_>, name: &str, value: &Masked<u16>) -> fmt::Result {
    write!(f, "{name}={:#06x}", value.value())?;
    if value.is_exact() { Ok(()) } else { write!(f, "/{:#06x}", value.mask()) }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output { port: reserved_port::IN_PORT, .. } => f.write_str("IN_PORT"),
            Self::Output { port: reserved_port::NORMAL, .. } => f.write_str("NORMAL"),
            Self::Output { port: reserved_port::LOCAL, .. } => f.write_str("LOCAL"),
            Self::Output { port: reserved_port::CONTROLLER, max_len } => write!(f, "CONTROLLER:{max_len}"),
            Self::Output { port, .. } => write!(f, "output:{port}"),
            Self::SetField(field) => write_set_field(f, field),
            Self::PushVlan(ethertype) => write!(f, "push_vlan:{ethertype:#06x}"),
            Self::PopVlan => f.write_str("pop_vlan"),
            Self::Move { from, to, bits } => {
                write!(f, "move:{}->{}", Bits(from, *bits), Bits(to, *bits))
            }
            Self::Load { to, bits, value } => write!(f, "load:{value:#x}->{}", Bits(to, (*bits).into())),
            Self::Controller { max_len: NO_BUFFER, id, .. } => write!(f, "controller(id={id})"),
            Self::Controller { max_len, id, .. } => write!(f, "controller(max_len={max_len},id={id})"),
            Self::Unknown(unknown) => write!(f, "{unknown}"),
        }
    }
}

fn write_set_field(f: &mut Formatter<'_>, field: &Field) -> fmt::Result {
    let mut bytes = Vec::new();
    field.write(|part| bytes.extend_from_slice(part));
    let header = field.header();
    match field {
        Field::EthDst(mac)
        | Field::EthSrc(mac)
        | Field::ArpSha(mac)
        | Field::ArpTha(mac)
        | Field::NdSll(mac)
        | Field::NdTll(mac) => write!(f, "set_field:{}->{header}", mac.value()),
        Field::Ipv4Src(ip) | Field::Ipv4Dst(ip) | Field::ArpSpa(ip) | Field::ArpTpa(ip) => {
            write!(f, "set_field:{}->{header}", ip.value())
        }
        Field::Ipv6Src(ip) | Field::Ipv6Dst(ip) | Field::NdTarget(ip) => {
            write!(f, "set_field:{}->{header}", ip.value())
        }
        _ => write!(f, "set_field:0x{}->{header}", Hex(bytes.get(4..).unwrap_or_default())),
    }
}

/// Some bits of a field; nothing is said of them when they are all of it.
struct Bits<'a>(&'a Span, u16);

impl Display for Bits<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(Span { field, offset }, bits) = *self;
        if *offset == 0 && usize::from(bits) == 8 * field.length() {
            return write!(f, "{field}");
        }
        let field = field.to_string();
        let field = field.trim_end_matches("[]");
        write!(f, "{field}[{offset}..{}]", u32::from(*offset) + u32::from(bits).saturating_sub(1))
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Display for Unknown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "unknown({}:{})", self.kind, Hex(&self.body))
    }
}

impl Display for Instructions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut item = |f: &mut Formatter<'_>, item: &dyn Display| {
            write!(f, "{separator}{item}")?;
            separator = ",";
            Ok(())
        };
        self.apply.iter().try_for_each(|action| item(f, action))?;
        self.unknown.iter().try_for_each(|unknown| item(f, unknown))?;
        if let Some(table) = self.goto_table {
            item(f, &format_args!("goto_table:{table}"))?;
        }
        if *self == Self::default() { f.write_str("drop") } else { Ok(()) }
    }
}

impl Display for FlowStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "cookie={:#x}, table={}, priority={}", self.cookie, self.table, self.priority)?;
        if self.matches != Match::new() {
            write!(f, ",{}", self.matches)?;
        }
        write!(f, " actions={}", self.instructions)
    }
}

impl Display for Header {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name() {
            return f.write_str(name);
        }
        let name = match *self {
            Self::NXM_ETH_DST => "NXM_OF_ETH_DST[]",
            Self::NXM_ETH_SRC => "NXM_OF_ETH_SRC[]",
            Self::NXM_ARP_SPA => "NXM_OF_ARP_SPA[]",
            Self::NXM_ARP_TPA => "NXM_OF_ARP_TPA[]",
            Self::NXM_ARP_SHA => "NXM_NX_ARP_SHA[]",
            Self::NXM_ARP_THA => "NXM_NX_ARP_THA[]",
            Self::REG0 => "NXM_NX_REG0[]",
            _ => return write!(f, "oxm({:#06x}:{})", self.class(), self.field()),
        };
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MacAddr;

    const MAC: MacAddr = MacAddr([0xfa, 0x16, 0x3e, 0, 0, 0x10]);

    #[test]
    fn matches_read_like_those_of_ovs_ofctl() {
        let subnet = Masked::prefix([20, 0, 0, 0].into(), 24);
        let redirect = Match::new()
            .with(Field::ipv4_src(subnet))
            .with(Field::eth_type(0x0800))
            .with(Field::eth_src(MAC))
            .with(Field::in_port(3));
        assert_eq!(redirect.to_string(), "ip,in_port=3,dl_src=fa:16:3e:00:00:10,nw_src=20.0.0.0/24");
        let solicitation = Match::new()
            .with(Field::eth_type(0x86dd))
            .with(Field::ip_proto(58))
            .with(Field::icmpv6_type(135))
            .with(Field::any_vlan());
        assert_eq!(solicitation.to_string(), "icmp6,vlan_vid=0x1000/0x1000,icmp_type=135");
    }

    #[test]
    fn actions_read_like_those_of_ovs_ofctl() {
        let actions = vec![
            Action::PopVlan,
            Action::SetField(Field::eth_dst(MAC)),
            Action::copy(Header::NXM_ARP_SPA, Header::REG0),
            Action::Controller { max_len: NO_BUFFER, id: 998, reason: 1 },
            Action::output(reserved_port::IN_PORT),
        ];
        let text = "pop_vlan,set_field:fa:16:3e:00:00:10->eth_dst,move:NXM_OF_ARP_SPA[]->NXM_NX_REG0[],\
                    controller(id=998),IN_PORT";
        assert_eq!(Instructions::apply(actions).to_string(), text);
        assert_eq!(Instructions::default().to_string(), "drop");
    }
}
