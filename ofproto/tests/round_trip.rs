//! Whatever can be said can be read back, and no bytes make the decoder stumble.

use std::net::{Ipv4Addr, Ipv6Addr};

use ofproto::{
    Action, AsyncConfig, BundleAdd, BundleControl, ChangedFlow, ErrorMessage, Features, Field, FlowCommand,
    FlowEvent, FlowMod, FlowMonitorRequest, FlowStats, FlowStatsRequest, FlowUpdate, Frame, Header, Hello,
    Instructions, MacAddr, Masked, Match, Message, MultipartReply, MultipartRequest, PacketIn, PacketOut,
    Port, PortChange, PortStatus, Span, SwitchConfig, Unknown, Value,
};
use proptest::{collection::vec, option, prelude::*};

fn masked<T: Value + std::fmt::Debug>(
    any: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Masked<T>> {
    prop_oneof![
        any.clone().prop_map(Masked::exact),
        (any.clone(), any).prop_map(|(value, mask)| Masked::new(value, mask))
    ]
}

fn field() -> impl Strategy<Value = Field> {
    let mac = || masked(any::<[u8; 6]>().prop_map(MacAddr));
    let ip = || masked(any::<[u8; 4]>().prop_map(Ipv4Addr::from));
    let ip6 = || masked(any::<[u8; 16]>().prop_map(Ipv6Addr::from));
    prop_oneof![
        masked(any::<u32>()).prop_map(Field::InPort),
        mac().prop_map(Field::EthDst),
        mac().prop_map(Field::EthSrc),
        masked(any::<u16>()).prop_map(Field::EthType),
        masked(any::<u16>()).prop_map(Field::VlanVid),
        masked(any::<u8>()).prop_map(Field::IpProto),
        ip().prop_map(Field::Ipv4Src),
        ip().prop_map(Field::Ipv4Dst),
        masked(any::<u16>()).prop_map(Field::ArpOp),
        ip().prop_map(Field::ArpSpa),
        ip().prop_map(Field::ArpTpa),
        mac().prop_map(Field::ArpSha),
        mac().prop_map(Field::ArpTha),
        ip6().prop_map(Field::Ipv6Src),
        ip6().prop_map(Field::Ipv6Dst),
        masked(any::<u8>()).prop_map(Field::Icmpv6Type),
        masked(any::<u8>()).prop_map(Field::Icmpv6Code),
        ip6().prop_map(Field::NdTarget),
        mac().prop_map(Field::NdSll),
        mac().prop_map(Field::NdTll),
    ]
}

fn matches() -> impl Strategy<Value = Match> {
    vec(field(), 0..8).prop_map(|fields| fields.into_iter().fold(Match::new(), Match::with))
}

fn unknown(kind: impl Strategy<Value = u16>) -> impl Strategy<Value = Unknown> {
    (kind, vec(any::<[u8; 8]>(), 0..4)).prop_map(|(kind, rest)| {
        let body = [&[1, 2, 3, 4][..], rest.as_flattened()].concat().into();
        Unknown { kind, body }
    })
}

fn span() -> impl Strategy<Value = Span> {
    (any::<u32>(), 0_u16..1024).prop_map(|(field, offset)| Span { field: Header(field), offset })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (any::<u32>(), any::<u16>()).prop_map(|(port, max_len)| Action::Output { port, max_len }),
        field().prop_map(Action::SetField),
        any::<u16>().prop_map(Action::PushVlan),
        Just(Action::PopVlan),
        (span(), span(), any::<u16>()).prop_map(|(from, to, bits)| Action::Move { from, to, bits }),
        (span(), 1_u8..=64, any::<u64>()).prop_map(|(to, bits, value)| Action::Load { to, bits, value }),
        (any::<u16>(), any::<u16>(), any::<u8>()).prop_map(|(max_len, id, reason)| Action::Controller {
            max_len,
            id,
            reason
        }),
        unknown(Just(21)).prop_map(Action::Unknown),
    ]
}

fn instructions() -> impl Strategy<Value = Instructions> {
    let parts = (
        vec(action(), 0..6),
        option::of(any::<u8>()),
        option::of(unknown(Just(2))),
        option::of(unknown(Just(6))),
    );
    parts.prop_map(|(apply, goto_table, metadata, meter)| Instructions {
        apply: apply.into(),
        goto_table,
        unknown: metadata.into_iter().chain(meter).collect(),
    })
}

fn flow_mod() -> impl Strategy<Value = FlowMod> {
    use FlowCommand::{Add, Delete, DeleteStrict, Modify, ModifyStrict};
    let command = proptest::sample::select(vec![Add, Modify, ModifyStrict, Delete, DeleteStrict]);
    (command, any::<[u64; 2]>(), any::<u8>(), any::<[u16; 4]>(), any::<[u32; 3]>(), matches(), instructions())
        .prop_map(|(command, cookies, table, shorts, longs, matches, instructions)| FlowMod {
            command,
            cookie: cookies[0],
            cookie_mask: cookies[1],
            table,
            priority: shorts[0],
            idle_timeout: shorts[1],
            hard_timeout: shorts[2],
            flags: shorts[3],
            buffer_id: longs[0],
            out_port: longs[1],
            out_group: longs[2],
            matches,
            instructions,
        })
}

fn flow_stats() -> impl Strategy<Value = FlowStats> {
    (any::<[u64; 3]>(), any::<u8>(), any::<[u16; 4]>(), any::<[u32; 2]>(), matches(), instructions())
        .prop_map(|(numbers, table, shorts, times, matches, instructions)| FlowStats {
            table,
            seconds: times[0],
            nanoseconds: times[1],
            priority: shorts[0],
            idle_timeout: shorts[1],
            hard_timeout: shorts[2],
            flags: shorts[3],
            cookie: numbers[0],
            packets: numbers[1],
            bytes: numbers[2],
            matches,
            instructions,
        })
}

fn flow_update() -> impl Strategy<Value = FlowUpdate> {
    let event = proptest::sample::select(vec![FlowEvent::Added, FlowEvent::Deleted, FlowEvent::Modified]);
    let full = (event, any::<[u16; 4]>(), any::<u8>(), any::<u64>(), matches(), instructions()).prop_map(
        |(event, shorts, table, cookie, matches, instructions)| {
            let [reason, priority, idle_timeout, hard_timeout] = shorts;
            let flow = ChangedFlow {
                event,
                reason,
                priority,
                idle_timeout,
                hard_timeout,
                table,
                cookie,
                matches,
                instructions,
            };
            FlowUpdate::Full(flow.into())
        },
    );
    prop_oneof![any::<u32>().prop_map(FlowUpdate::Own), full]
}

fn port() -> impl Strategy<Value = Port> {
    (any::<u32>(), any::<[u8; 6]>(), any::<[u8; 16]>(), any::<[u32; 8]>()).prop_map(
        |(number, mac, raw_name, [config, state, features @ ..])| Port {
            number,
            mac: MacAddr(mac),
            raw_name,
            config,
            state,
            features,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let data = || vec(any::<u8>(), 0..100);
    let change = proptest::sample::select(vec![PortChange::Added, PortChange::Deleted, PortChange::Modified]);
    prop_oneof![
        option::of(any::<u32>()).prop_map(|versions| Message::Hello(Hello { versions })),
        (0_u16..0xffff, any::<u16>(), data()).prop_map(|(kind, code, data)| {
            Message::Error(ErrorMessage { kind, code, experimenter: None, data })
        }),
        (any::<u16>(), any::<u32>(), data()).prop_map(|(code, experimenter, data)| {
            Message::Error(ErrorMessage { kind: 0xffff, code, experimenter: Some(experimenter), data })
        }),
        data().prop_map(Message::EchoRequest),
        data().prop_map(Message::EchoReply),
        Just(Message::FeaturesRequest),
        any::<(u64, [u32; 3], u8, u8)>().prop_map(|(datapath_id, numbers, tables, auxiliary_id)| {
            let [buffers, capabilities, reserved] = numbers;
            Message::FeaturesReply(Features {
                datapath_id,
                buffers,
                tables,
                auxiliary_id,
                capabilities,
                reserved,
            })
        }),
        any::<[u16; 2]>()
            .prop_map(|[flags, miss_send_len]| Message::SetConfig(SwitchConfig { flags, miss_send_len })),
        (any::<(u32, u16, u8, u8, u64)>(), matches(), data()).prop_map(|(numbers, matches, data)| {
            let (buffer_id, total_length, reason, table, cookie) = numbers;
            Message::PacketIn(PacketIn { buffer_id, total_length, reason, table, cookie, matches, data })
        }),
        (change, port()).prop_map(|(change, port)| Message::PortStatus(PortStatus { change, port })),
        (any::<[u32; 2]>(), vec(action(), 0..4), data()).prop_map(|([buffer_id, in_port], actions, data)| {
            Message::PacketOut(PacketOut { buffer_id, in_port, actions, data })
        }),
        flow_mod().prop_map(Message::FlowMod),
        Just(Message::MultipartRequest(MultipartRequest::Ports)),
        (any::<u8>(), any::<[u32; 2]>(), any::<[u64; 2]>(), matches()).prop_map(
            |(table, ports, cookies, matches)| {
                let [out_port, out_group] = ports;
                let [cookie, cookie_mask] = cookies;
                let request = FlowStatsRequest { table, out_port, out_group, cookie, cookie_mask, matches };
                Message::MultipartRequest(MultipartRequest::Flows(request))
            }
        ),
        (any::<(u32, u16, u32, u8)>(), matches()).prop_map(|((id, flags, out_port, table), matches)| {
            let request = FlowMonitorRequest { id, flags, out_port, table, matches };
            Message::MultipartRequest(MultipartRequest::FlowMonitor(request))
        }),
        (14_u16.., any::<u16>(), data()).prop_map(|(kind, flags, body)| {
            Message::MultipartRequest(MultipartRequest::Unknown { kind, flags, body })
        }),
        (any::<bool>(), vec(flow_stats(), 0..4))
            .prop_map(|(more, flows)| Message::MultipartReply(MultipartReply::Flows { more, flows })),
        (any::<bool>(), vec(port(), 0..4))
            .prop_map(|(more, ports)| Message::MultipartReply(MultipartReply::Ports { more, ports })),
        (14_u16.., any::<u16>(), data()).prop_map(|(kind, flags, body)| {
            Message::MultipartReply(MultipartReply::Unknown { kind, flags, body })
        }),
        (any::<bool>(), vec(flow_update(), 0..4)).prop_map(|(more, updates)| Message::MultipartReply(
            MultipartReply::FlowUpdates { more, updates }
        )),
        Just(Message::FlowMonitorResumed),
        Just(Message::BarrierRequest),
        Just(Message::BarrierReply),
        any::<[[u32; 2]; 3]>().prop_map(|[packet_in, port_status, flow_removed]| {
            Message::SetAsync(AsyncConfig { packet_in, port_status, flow_removed })
        }),
        any::<(u32, u16, u16)>().prop_map(|(bundle, kind, flags)| Message::BundleControl(BundleControl {
            bundle,
            kind,
            flags
        })),
        (any::<u32>(), any::<u16>(), flow_mod())
            .prop_map(|(bundle, flags, flow_mod)| Message::BundleAdd(BundleAdd { bundle, flags, flow_mod })),
        any::<u16>().prop_map(Message::SetControllerId),
        (30_u8.., data()).prop_map(|(kind, body)| Message::Unknown { kind, body }),
    ]
}

/// Decodes, encodes, and decodes again what can be decoded.
fn check(bytes: &[u8]) {
    let Ok(frame) = Frame::decode(bytes) else { return };
    let mut wire = Vec::new();
    frame.encode(&mut wire).unwrap();
    assert_eq!(Frame::decode(&wire).unwrap(), frame);
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(message in message(), xid: u32) {
        let mut wire = Vec::new();
        message.clone().encode(xid, &mut wire).unwrap();
        prop_assert_eq!(Frame::decode(&wire), Ok(Frame { version: Frame::VERSION, xid, message }));
    }

    #[test]
    fn matches_are_equal_whatever_the_order(fields in vec(field(), 0..8)) {
        // The last one of a kind counts, so each kind may be there once.
        let mut once: Vec<Field> = Vec::new();
        for field in fields {
            if once.iter().all(|other| other.header() != field.header()) {
                once.push(field);
            }
        }
        let forwards = once.iter().copied().fold(Match::new(), Match::with);
        let backwards = once.iter().rev().copied().fold(Match::new(), Match::with);
        prop_assert_eq!(forwards, backwards);
    }

    #[test]
    fn no_bytes_make_it_stumble(mut bytes in vec(any::<u8>(), 0..200), kind in 0_u8..30) {
        if let [version, message, high, low, ..] = &mut bytes[..] {
            (*version, *message, *high) = (4, kind, 0);
            *low = 0;
        }
        let length = (bytes.len() as u16).to_be_bytes();
        if let Some(place) = bytes.get_mut(2..4) {
            place.copy_from_slice(&length);
        }
        check(&bytes);
    }

    #[test]
    fn no_damage_makes_it_stumble(message in message(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut wire = Vec::new();
        message.encode(1, &mut wire).unwrap();
        for (at, byte) in damage {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        check(&wire);
    }

    #[test]
    fn no_cut_message_is_whole(message in message(), at: prop::sample::Index) {
        let mut wire = Vec::new();
        message.encode(1, &mut wire).unwrap();
        wire.truncate(at.index(wire.len()));
        prop_assert!(Frame::decode(&wire).is_err());
    }
}
