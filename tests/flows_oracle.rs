//! What the flows plane writes, as `ovs-ofctl ofp-print` reads it. Needs openvswitch-switch installed; no daemon.

#![allow(clippy::disallowed_types)]

use std::process::Command;

use bgp_agent::{
    model::{MacAddr, OfPort},
    planes::{
        Verb,
        flows::{encode, object::FlowRule},
    },
};
use ofproto::{BundleAdd, Message};

const ROUTER: MacAddr = MacAddr([0xfa, 0x16, 0x3e, 0x7f, 0x59, 0x7f]);
const ATTACH: MacAddr = MacAddr([0x1e, 0x8b, 0xac, 0x5d, 0x98, 0x4a]);

fn printed(message: Message) -> String {
    let mut wire = Vec::new();
    message.encode(7, &mut wire).unwrap();
    let hex: String = wire.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = Command::new("ovs-ofctl").args(["ofp-print", &hex]).output();
    let output = output.expect("ovs-ofctl cannot be run: install openvswitch-switch");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn flow_mod(verb: Verb, rule: &FlowRule) -> String {
    let text = printed(Message::FlowMod(encode::flow_mod(verb, rule).unwrap()));
    text.strip_prefix("OFPT_FLOW_MOD (OF1.3) (xid=0x7): ").expect(&text).to_owned()
}

fn redirect(subnet: &str, vlan: bool) -> FlowRule {
    let subnet = subnet.parse().unwrap();
    FlowRule::Redirect { in_port: OfPort(1), router: ROUTER, subnet, vlan, to: ATTACH, output: OfPort(2) }
}

#[test]
fn redirects_read_as_the_python_agent_writes_them() {
    let actions = "actions=set_field:1e:8b:ac:5d:98:4a->eth_dst,output:2";
    for (subnet, vlan, head, matches, pop) in [
        ("20.0.0.0/24", false, "ip,in_port=1,", ",nw_src=20.0.0.0/24", ""),
        ("20.0.0.7/32", false, "ip,in_port=1,", ",nw_src=20.0.0.7", ""),
        ("0.0.0.0/0", false, "ip,in_port=1,", "", ""),
        ("2001:db8:1::/64", false, "ipv6,in_port=1,", ",ipv6_src=2001:db8:1::/64", ""),
        ("::/0", true, "ipv6,in_port=1,vlan_tci=0x1000/0x1000,", "", "pop_vlan,"),
        ("20.0.0.0/24", true, "ip,in_port=1,vlan_tci=0x1000/0x1000,", ",nw_src=20.0.0.0/24", "pop_vlan,"),
    ] {
        let actions = actions.replace("actions=", &format!("actions={pop}"));
        assert_eq!(
            flow_mod(Verb::Create, &redirect(subnet, vlan)),
            format!("ADD priority=1000,{head}dl_src=fa:16:3e:7f:59:7f{matches} cookie:0x3e6 {actions}")
        );
    }
}

#[test]
fn answers_are_made_for_the_router_alone() {
    let target = Some([172, 24, 4, 1].into());
    let arp = FlowRule::ArpReply { in_port: OfPort(1), router: ROUTER, target, answer: ATTACH };
    assert_eq!(
        flow_mod(Verb::Create, &arp),
        "ADD priority=1001,arp,in_port=1,dl_src=fa:16:3e:7f:59:7f,arp_tpa=172.24.4.1,arp_op=1 cookie:0x3e6 \
         actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:1e:8b:ac:5d:98:4a->eth_src,set_field:2->arp_op,\
         move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],set_field:1e:8b:ac:5d:98:4a->arp_sha,\
         move:NXM_OF_ARP_TPA[]->NXM_NX_REG0[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],\
         move:NXM_NX_REG0[]->NXM_OF_ARP_SPA[],IN_PORT"
    );
    let own = FlowRule::OwnArp { in_port: OfPort(1), router: ROUTER, address: [172, 24, 4, 146].into() };
    assert_eq!(
        flow_mod(Verb::Create, &own),
        "ADD priority=1002,arp,in_port=1,dl_src=fa:16:3e:7f:59:7f,arp_tpa=172.24.4.146,arp_op=1 cookie:0x3e6 \
         actions=NORMAL"
    );
    let nd = FlowRule::NdReply { in_port: OfPort(1), router: ROUTER, target: None, answer: ATTACH };
    assert_eq!(
        flow_mod(Verb::Create, &nd),
        "ADD priority=1001,icmp6,in_port=1,dl_src=fa:16:3e:7f:59:7f,icmp_type=135,icmp_code=0 cookie:0x3e6 \
         actions=set_field:1e:8b:ac:5d:98:4a->eth_dst,controller(id=998)"
    );
}

#[test]
fn what_a_vrf_sends_goes_to_its_router_or_nowhere() {
    let inject = |vlan| FlowRule::Inject { in_port: OfPort(2), router: ROUTER, vlan, output: OfPort(1) };
    let head = "ADD priority=1000,in_port=2,dl_dst=fa:16:3e:7f:59:7f cookie:0x3e6";
    assert_eq!(flow_mod(Verb::Create, &inject(None)), format!("{head} actions=output:1"));
    assert_eq!(
        flow_mod(Verb::Create, &inject(Some(42))),
        format!("{head} actions=push_vlan:0x8100,set_field:4138->vlan_vid,output:1")
    );
    let guard = FlowRule::Guard { in_port: OfPort(2) };
    assert_eq!(flow_mod(Verb::Create, &guard), "ADD priority=900,in_port=2 cookie:0x3e6 actions=drop");
    let stray = FlowRule::Stray { in_port: OfPort(1), router: ROUTER, to: ATTACH };
    assert_eq!(
        flow_mod(Verb::Create, &stray),
        "ADD priority=899,in_port=1,dl_src=fa:16:3e:7f:59:7f,dl_dst=1e:8b:ac:5d:98:4a cookie:0x3e6 actions=drop"
    );
}

#[test]
fn removals_are_strict_and_ask_for_our_cookie() {
    assert_eq!(
        flow_mod(Verb::Remove, &redirect("20.0.0.0/24", false)),
        "DEL_STRICT priority=1000,ip,in_port=1,dl_src=fa:16:3e:7f:59:7f,nw_src=20.0.0.0/24 \
         cookie:0x3e6/0x7fffffffffffffff actions=drop"
    );
}

#[test]
fn bundles_are_read() {
    let flow_mod = encode::flow_mod(Verb::Create, &redirect("20.0.0.0/24", false)).unwrap();
    let text = printed(Message::BundleAdd(BundleAdd { bundle: 5, flags: 3, flow_mod }));
    assert!(text.starts_with("ONFT_BUNDLE_ADD_MESSAGE (OF1.3) (xid=0x7):"), "{text}");
    assert!(text.contains("bundle_id=0x5 flags=atomic ordered"), "{text}");
    assert!(text.contains("OFPT_FLOW_MOD (OF1.3) (xid=0x7): ADD priority=1000,ip,"), "{text}");
}
