//! Answers to IPv6 neighbour solicitations (RFC 4861): from the packet that a flow sent us to the packet we send back.
//!
//! Keeps nothing: the flow wrote the MAC to answer with into the packet's Ethernet destination, where a solicitation
//! had only a multicast address. So an answer never depends on what we remember, nor on what a restart forgot.

use std::net::Ipv6Addr;

use ofproto::{Action, Field, FlowMod, Oxm, PacketIn, PacketOut, packet_in_reason, reserved_port};

use super::object::{COOKIE, UNDERLAY_COOKIE};

const IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Router, solicited, override: RFC 4861, 4.4.
const FLAGS: u8 = 0b1110_0000;
/// Neighbour discovery stays on the link: what was forwarded has less (RFC 4861, 7.1.1).
const HOP_LIMIT: u8 = 255;
/// The option with the target's Ethernet address, and its length in units of 8 bytes (RFC 4861, 4.6.1).
const TARGET_ADDRESS: [u8; 2] = [2, 1];

/// The packet that answers a solicitation which one of our flows sent; None if it is nothing to answer.
pub fn answer(packet: &PacketIn) -> Option<PacketOut> {
    if ![COOKIE, UNDERLAY_COOKIE].contains(&packet.cookie) || packet.reason != packet_in_reason::ACTION {
        return None;
    }
    let in_port = packet.matches.fields().find_map(|oxm| match oxm {
        Oxm::Known(Field::InPort(port)) => Some(port.value()),
        _ => None,
    })?;
    Some(PacketOut {
        buffer_id: FlowMod::NO_PACKET,
        in_port: reserved_port::CONTROLLER,
        actions: vec![Action::output(in_port)],
        data: Solicitation::parse(&packet.data)?.advertisement(),
    })
}

struct Solicitation<'a> {
    /// The MAC to answer with: see the head of this module.
    answer: [u8; 6],
    asker: [u8; 6],
    /// VLAN tag, if there is one.
    tag: &'a [u8],
    source: Ipv6Addr,
    target: Ipv6Addr,
}

impl<'a> Solicitation<'a> {
    /// The checksum is not looked at: a datapath may hand packets up before hardware filled it in. That it is a
    /// solicitation of the router, and its code, the flow has checked; the type is checked again since it is cheap.
    fn parse(frame: &'a [u8]) -> Option<Self> {
        let (answer, rest) = frame.split_first_chunk()?;
        let (asker, rest) = rest.split_first_chunk()?;
        let tag_length = if matches!(rest, [0x81, 0x00, ..] | [0x88, 0xa8, ..]) { 4 } else { 0 };
        let (tag, rest) = rest.split_at_checked(tag_length)?;
        let packet = rest.strip_prefix(&IPV6)?;
        let (&[_, _, _, _, _, _, ICMPV6, HOP_LIMIT], packet) = packet.split_first_chunk()? else {
            return None;
        };
        let (source, packet) = address(packet)?;
        let (_, packet) = address(packet)?;
        let (&[SOLICITATION, 0, _, _, _, _, _, _], packet) = packet.split_first_chunk()? else { return None };
        let (target, _) = address(packet)?;
        // A source of `::` asks whether an address is free (RFC 4862, 5.4): it is not for us to say that it is not.
        let is_question = !source.is_unspecified() && !source.is_multicast() && !target.is_multicast();
        is_question.then_some(Self { answer: *answer, asker: *asker, tag, source, target })
    }

    fn advertisement(&self) -> Vec<u8> {
        let (target, source) = (self.target.octets(), self.source.octets());
        let head = [ADVERTISEMENT, 0, 0, 0, FLAGS, 0, 0, 0];
        let mut icmp = [&head[..], &target, &TARGET_ADDRESS, &self.answer].concat();
        let sum = checksum(&target, &source, &icmp);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        let ip = [0x60, 0, 0, 0, 0, icmp.len() as u8, ICMPV6, HOP_LIMIT];
        [&self.asker[..], &self.answer, self.tag, &IPV6, &ip, &target, &source, &icmp].concat()
    }
}

fn address(bytes: &[u8]) -> Option<(Ipv6Addr, &[u8])> {
    let (address, rest) = bytes.split_first_chunk::<16>()?;
    Some((Ipv6Addr::from(*address), rest))
}

/// The checksum of an ICMPv6 message whose own checksum is zero (RFC 4443, 2.3; RFC 8200, 8.1), of even length.
fn checksum(source: &[u8; 16], destination: &[u8; 16], message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let words = [&source[..], destination, &length, &[0, 0, 0, ICMPV6], message].concat();
    let sum: u32 = words.chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    // Twice: adding the carry may carry again.
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use ofproto::Match;

    use super::*;

    /// As it comes from the flow: a router asks for 2001:db8:ffff::fffe, to be answered with 1e:8b:ac:5d:98:4a.
    fn solicitation() -> Vec<u8> {
        let mut frame =
            vec![0x1e, 0x8b, 0xac, 0x5d, 0x98, 0x4a, 0xfa, 0x16, 0x3e, 0x7f, 0x59, 0x7f, 0x86, 0xdd];
        frame.extend([0x60, 0, 0, 0, 0, 32, ICMPV6, HOP_LIMIT]);
        for address in ["2001:db8:ffff::1", "ff02::1:ff00:fffe"] {
            frame.extend(address.parse::<Ipv6Addr>().unwrap().octets());
        }
        frame.extend([SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
        frame.extend("2001:db8:ffff::fffe".parse::<Ipv6Addr>().unwrap().octets());
        frame.extend([1, 1, 0xfa, 0x16, 0x3e, 0x7f, 0x59, 0x7f]);
        frame
    }

    fn packet(data: Vec<u8>) -> PacketIn {
        PacketIn {
            buffer_id: FlowMod::NO_PACKET,
            total_length: data.len() as u16,
            reason: packet_in_reason::ACTION,
            table: 0,
            cookie: COOKIE,
            matches: Match::new().with(Field::in_port(7)),
            data,
        }
    }

    #[test]
    fn the_answer_goes_back_by_the_port_and_its_checksum_is_right() {
        let answer = answer(&packet(solicitation())).unwrap();
        assert_eq!(answer.actions, [Action::output(7)]);
        let (addresses, icmp) = answer.data[22..].split_at(32);
        let (source, destination) = addresses.split_at(16);
        // Over a message with its checksum in place the sum is zero.
        assert_eq!(checksum(source.try_into().unwrap(), destination.try_into().unwrap(), icmp), 0);
        assert_eq!(icmp[24..], [2, 1, 0x1e, 0x8b, 0xac, 0x5d, 0x98, 0x4a]);
    }

    #[test]
    fn what_is_cut_short_or_came_from_afar_is_not_answered() {
        let whole = solicitation();
        let needed = whole.len() - 8;
        for length in 0..needed {
            assert_eq!(answer(&packet(whole[..length].to_vec())), None, "{length} bytes");
        }
        assert!(answer(&packet(whole[..needed].to_vec())).is_some());
        for (at, byte) in [(12, 0x08), (20, 6), (21, 254), (22, 0xff), (54, 136), (55, 1), (62, 0xff)] {
            let mut other = whole.clone();
            other[at] = byte;
            assert_eq!(answer(&packet(other)), None, "byte {at} is {byte}");
        }
    }
}
