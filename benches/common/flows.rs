//! Flows of ours, in the messages by which they go to a bridge and come back from it.

use std::{
    hint::black_box,
    net::{Ipv4Addr, Ipv6Addr},
};

use bgp_agent::{
    model::{MacAddr, OfPort, Prefix},
    planes::{
        Verb,
        flows::{encode, object::FlowRule},
    },
};
use ofproto::{BundleAdd, FlowMod, FlowStats, Frame, Message, MultipartReply};

/// Flows in one reply; OVS fills up to 64 KiB.
const PER_REPLY: usize = 200;

/// So many flows of each kind.
pub fn cases(count: u32) -> [(&'static str, Vec<FlowMod>); 4] {
    let (in_port, output) = (OfPort(1), OfPort(7));
    let mac = |n: u32| MacAddr([0xfa, 0x16, 0x3e, (n >> 16) as u8, (n >> 8) as u8, n as u8]);
    let (answer, to) = (mac(0xffff), mac(0xfffe));
    let v4 = |n: u32| Prefix::new(Ipv4Addr::from_bits(0x0a00_0000 | n << 8).into(), 24).expect("a prefix");
    let v6 = |n: u32| {
        Prefix::new(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n) << 64).into(), 64)
            .expect("a prefix")
    };
    let redirect =
        |n, subnet| FlowRule::Redirect { in_port, router: mac(n), subnet, vlan: false, to, output };
    let rules = |of: &dyn Fn(u32) -> FlowRule| -> Vec<FlowMod> {
        (0..count).map(|n| encode::flow_mod(Verb::Create, &of(n)).expect("a rule of ours")).collect()
    };
    [
        ("redirect IPv4", rules(&|n| redirect(n, v4(n)))),
        ("redirect IPv6", rules(&|n| redirect(n, v6(n)))),
        ("inject", rules(&|n| FlowRule::Inject { in_port, router: mac(n), vlan: None, output })),
        (
            "ARP answer (9 actions)",
            rules(&|n| FlowRule::ArpReply { in_port, router: mac(n), target: None, answer }),
        ),
    ]
}

/// The messages that add these flows to a bundle.
pub fn bundle_adds(flows: &[FlowMod]) -> Vec<Frame> {
    let add = |flow_mod: &FlowMod| BundleAdd { bundle: 1, flags: 3, flow_mod: flow_mod.clone() };
    let frame = |(xid, flow)| Frame { version: Frame::VERSION, xid, message: Message::BundleAdd(add(flow)) };
    (0..).zip(flows).map(frame).collect()
}

/// Writes all of them into the emptied `out`.
pub fn encode_all(frames: &[Frame], out: &mut Vec<u8>) {
    out.clear();
    frames.iter().for_each(|frame| frame.encode(out).expect("a short message"));
    black_box(out);
}

/// The bytes of the replies by which a bridge tells these flows.
pub fn flow_replies(flows: &[FlowMod]) -> Vec<Vec<u8>> {
    let stats = |flow: &FlowMod| FlowStats {
        table: flow.table,
        seconds: 12,
        nanoseconds: 345,
        priority: flow.priority,
        idle_timeout: 0,
        hard_timeout: 0,
        flags: 0,
        cookie: flow.cookie,
        packets: 0,
        bytes: 0,
        matches: flow.matches.clone(),
        instructions: flow.instructions.clone(),
    };
    let reply = |flows: &[FlowMod]| {
        let flows = flows.iter().map(stats).collect();
        let mut bytes = Vec::new();
        let reply = Message::MultipartReply(MultipartReply::Flows { more: true, flows });
        reply.encode(1, &mut bytes).expect("a reply of less than 64 KiB");
        bytes
    };
    flows.chunks(PER_REPLY).map(reply).collect()
}

/// Reads all of them.
pub fn decode_all(replies: &[Vec<u8>]) {
    for reply in replies {
        black_box(Frame::decode(reply).expect("what was encoded"));
    }
}
