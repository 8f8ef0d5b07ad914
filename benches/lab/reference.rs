//! The reference writer: the same end state from prepared files, by `ip -batch`, `ovs-vsctl`, `vtysh -f` and
//! `ovs-ofctl --bundle`. It knows everything beforehand and checks nothing: no agent that looks can be much faster.

use std::{
    fmt::Write,
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use crate::common::{
    cloud::{Cloud, FIRST_VNI, Family, On, gateway4, gateway6},
    time,
};

/// OpenFlow's number of the patch port of br-ex.
const PATCH: u32 = 1;
const AS: u32 = 64999;
const VTEP: &str = "100.65.0.1";
/// The last step.
const LOCALS: &str = "IPv6 local routes";
/// The folder of the files.
const FOLDER: &str = "/run/lab/reference";

/// The files, in the order in which they are written.
pub struct Reference {
    steps: Vec<Step>,
}

struct Step {
    what: &'static str,
    program: &'static str,
    arguments: Vec<String>,
}

impl Reference {
    /// Prepares all files.
    pub fn prepare(cloud: Cloud) -> Self {
        fs::create_dir_all(FOLDER).expect("a folder");
        match cloud.on {
            On::Tenants => Self::for_tenants(cloud),
            On::Provider => Self::for_plain_routes(cloud),
        }
    }

    fn for_plain_routes(cloud: Cloud) -> Self {
        let all = |of: &dyn Fn(&mut String, u32, u32)| {
            let vms = (0..cloud.tenants).flat_map(|tenant| (0..cloud.vms).map(move |vm| (tenant, vm)));
            vms.fold(String::new(), |mut text, (tenant, vm)| {
                of(&mut text, tenant, vm);
                text
            })
        };
        let links = file("links", PLAIN_LINKS.to_owned());
        let frr = file("frr", plain_frr());
        let ways = |family: &str| all(&|text, tenant, vm| plain_ways(text, cloud, family, tenant, vm));
        let (ways4, ways6) = (file("ways4", ways("-4")), file("ways6", ways("-6")));
        let flows = all(&|text, tenant, vm| plain_flows(text, cloud, tenant, vm));
        let flows = file("flows", format!("{PLAIN_FLOWS}{flows}"));
        let addresses = file("addresses", all(&|text, tenant, vm| plain_addresses(text, cloud, tenant, vm)));
        let steps = vec![
            step("links", "ip", &["-batch", &links]),
            step("FRR", "vtysh", &["-f", &frr]),
            step("rules, routes and neighbours", "ip", &["-4", "-batch", &ways4]),
            step("those of IPv6", "ip", &["-6", "-batch", &ways6]),
            step("flows", "ovs-ofctl", &["-O", "OpenFlow13", "--bundle", "add-flows", "br-ex", &flows]),
            step("addresses", "ip", &["-batch", &addresses]),
        ];
        Self { steps }
    }

    fn for_tenants(cloud: Cloud) -> Self {
        let all = |of: &dyn Fn(&mut String, u32)| {
            (0..cloud.tenants).fold(String::new(), |mut text, tenant| {
                of(&mut text, tenant);
                text
            })
        };
        let links = file("links", all(&links));
        let frr = file("frr", all(&frr));
        let ways = file("ways", all(&|text, tenant| ways(text, cloud, tenant)));
        let flows = file("flows", all(&|text, tenant| flows(text, cloud, tenant)));
        let addresses = file("addresses", all(&|text, tenant| addresses(text, cloud, tenant)));
        let locals = file("locals", all(&|text, tenant| locals(text, cloud, tenant)));
        let ports = (0..cloud.tenants).flat_map(|tenant| {
            let (vni, number) = (FIRST_VNI + tenant, ofport(tenant));
            format!(
                "-- add-port br-ex veth-ovs-{vni} -- set interface veth-ovs-{vni} ofport_request={number} \
                 -- set port veth-ovs-{vni} external_ids:bgp-agent={vni}"
            )
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
        });
        let steps = vec![
            step("links", "ip", &["-batch", &links]),
            Step { what: "ports of br-ex", program: "ovs-vsctl", arguments: ports.collect() },
            step("FRR", "vtysh", &["-f", &frr]),
            step("routes and neighbours", "ip", &["-batch", &ways]),
            step("flows", "ovs-ofctl", &["-O", "OpenFlow13", "--bundle", "add-flows", "br-ex", &flows]),
            step("addresses", "ip", &["-batch", &addresses]),
            step(LOCALS, "ip", &["-force", "-batch", &locals]),
        ];
        Self { steps }
    }

    /// Writes all; gives how long each step took.
    pub fn write(&self) -> Vec<(&'static str, Duration)> {
        let run = |step: &Step| {
            let mut command = Command::new(step.program);
            command.args(&step.arguments).stdin(Stdio::null()).stdout(Stdio::null());
            if step.what == LOCALS {
                command.stderr(Stdio::null());
            }
            let (took, status) = time(|| command.status().expect("the lab has all programs"));
            // The kernel makes IPv6 local routes in its own time; one that comes later stays, and is no failure here.
            assert!(status.success() || step.what == LOCALS, "{}: {status}", step.what);
            println!("        {:<24} {took:.1?}", step.what);
            (step.what, took)
        };
        self.steps.iter().map(run).collect()
    }
}

fn file(name: &str, text: String) -> String {
    let path = format!("{FOLDER}/{name}");
    fs::write(&path, text).expect("a file");
    path
}

fn step(what: &'static str, program: &'static str, arguments: &[&str]) -> Step {
    Step { what, program, arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect() }
}

const PLAIN_LINKS: &str = "link add bgp-vrf type vrf table 10\nlink set bgp-vrf addrgenmode none up\n\
    link add bgp-nic type dummy\nlink set bgp-nic master bgp-vrf addrgenmode none up\n";

/// What leaves goes to the bridge, and who asks for an address that is not here is answered; any MAC does as the bridge's.
const PLAIN_FLOWS: &str = "cookie=0x3e7,priority=900,ip,in_port=1,actions=set_field:02:00:00:00:00:01->eth_dst,NORMAL\n\
    cookie=0x3e7,priority=900,ipv6,in_port=1,actions=set_field:02:00:00:00:00:01->eth_dst,NORMAL\n\
    cookie=0x3e7,priority=901,icmp6,in_port=1,icmp_type=135,icmp_code=0,actions=NORMAL\n\
    cookie=0x3e7,priority=901,icmp6,in_port=1,icmp_type=136,icmp_code=0,actions=NORMAL\n\
    cookie=0x3e7,priority=903,arp,in_port=1,arp_spa=0.0.0.0,arp_op=1,actions=NORMAL\n\
    cookie=0x3e7,priority=902,arp,in_port=1,arp_op=1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],\
    set_field:02:00:00:00:00:01->eth_src,set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],\
    set_field:02:00:00:00:00:01->arp_sha,move:NXM_OF_ARP_TPA[]->NXM_NX_REG0[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],\
    move:NXM_NX_REG0[]->NXM_OF_ARP_SPA[],IN_PORT\n\
    cookie=0x3e7,priority=902,icmp6,in_port=1,icmp_type=135,icmp_code=0,\
    actions=set_field:02:00:00:00:00:01->eth_dst,controller(id=998)\n";

/// The routing table of br-ex.
const TABLE: u32 = 1_000_000;

fn plain_frr() -> String {
    let family = |name| {
        format!(
            "router bgp {AS} vrf bgp-vrf\n bgp router-id {VTEP}\n address-family {name} unicast\n  redistribute connected\n \
             exit-address-family\nexit\nrouter bgp {AS}\n address-family {name} unicast\n  import vrf bgp-vrf\n \
             exit-address-family\nexit\n"
        )
    };
    family("ipv4") + &family("ipv6")
}

fn plain_hosts(cloud: Cloud, tenant: u32, vm: u32) -> impl Iterator<Item = (&'static str, String, u8)> {
    let four = v4(cloud).then(|| ("-4", cloud.vm4(tenant, vm).to_string(), 32));
    let six = v6(cloud).then(|| ("-6", cloud.vm6(tenant, vm).to_string(), 128));
    four.into_iter().chain(six)
}

fn plain_ways(text: &mut String, cloud: Cloud, family: &str, tenant: u32, vm: u32) {
    let mac = cloud.vm_mac(tenant, vm);
    for (_, ip, length) in plain_hosts(cloud, tenant, vm).filter(|(of, ..)| *of == family) {
        let _ = write!(
            text,
            "rule add to {ip}/{length} lookup {TABLE} priority 32000\n\
             route add {ip}/{length} dev br-ex table {TABLE} proto 182\n\
             neigh add {ip} lladdr {mac} dev br-ex nud permanent\n"
        );
    }
}

fn plain_flows(text: &mut String, cloud: Cloud, tenant: u32, vm: u32) {
    for (family, ip, _) in plain_hosts(cloud, tenant, vm) {
        let question = match family {
            "-4" => format!("arp,in_port={PATCH},arp_op=1,arp_tpa={ip}"),
            _ => format!("icmp6,in_port={PATCH},icmp_type=135,icmp_code=0,nd_target={ip}"),
        };
        let _ = writeln!(text, "cookie=0x3e7,priority=903,{question},actions=NORMAL");
    }
}

fn plain_addresses(text: &mut String, cloud: Cloud, tenant: u32, vm: u32) {
    for (_, ip, length) in plain_hosts(cloud, tenant, vm) {
        let _ = writeln!(text, "address add {ip}/{length} dev bgp-nic");
    }
}

fn ofport(tenant: u32) -> u32 {
    1000 + tenant
}

fn gateway_mac(tenant: u32) -> String {
    let [_, b, c, d] = tenant.to_be_bytes();
    format!("fa:16:01:{b:02x}:{c:02x}:{d:02x}")
}

fn attach_mac(tenant: u32) -> String {
    let [_, b, c, d] = tenant.to_be_bytes();
    format!("02:00:00:{b:02x}:{c:02x}:{d:02x}")
}

fn v4(cloud: Cloud) -> bool {
    cloud.family != Family::V6
}

fn v6(cloud: Cloud) -> bool {
    cloud.family != Family::V4
}

fn links(text: &mut String, tenant: u32) {
    let (vni, mac) = (FIRST_VNI + tenant, attach_mac(tenant));
    let _ = write!(
        text,
        "link add vrf-{vni} type vrf table {vni}\n\
         link set vrf-{vni} addrgenmode none up\n\
         link add br-{vni} type bridge stp_state 0\n\
         link set br-{vni} master vrf-{vni} addrgenmode none up\n\
         link add vxlan-{vni} type vxlan id {vni} dstport 4789 local {VTEP} nolearning\n\
         link set vxlan-{vni} master br-{vni} addrgenmode none up\n\
         link add lo-{vni} type dummy\n\
         link set lo-{vni} master vrf-{vni} addrgenmode none up\n\
         link add veth-vrf-{vni} address {mac} type veth peer name veth-ovs-{vni}\n\
         link set veth-vrf-{vni} master vrf-{vni} addrgenmode none up\n\
         link set veth-ovs-{vni} addrgenmode none up\n"
    );
}

fn frr(text: &mut String, tenant: u32) {
    let vni = FIRST_VNI + tenant;
    let _ = write!(
        text,
        "vrf vrf-{vni}\n vni {vni}\nexit-vrf\n\
         router bgp {AS} vrf vrf-{vni}\n bgp router-id {VTEP}\n\
         \x20address-family ipv4 unicast\n  redistribute connected\n exit-address-family\n\
         \x20address-family ipv6 unicast\n  redistribute connected\n exit-address-family\n\
         \x20address-family l2vpn evpn\n  advertise ipv4 unicast\n  advertise ipv6 unicast\n exit-address-family\n\
         exit\n"
    );
}

fn ways(text: &mut String, cloud: Cloud, tenant: u32) {
    let (vni, mac) = (FIRST_VNI + tenant, gateway_mac(tenant));
    let _ = write!(
        text,
        "route add unreachable default table {vni} metric 4278198272 proto 182\n\
         route add unreachable ::/0 table {vni} metric 4278198272 proto 182\n"
    );
    if v4(cloud) {
        let gateway = gateway4(tenant);
        let _ = write!(
            text,
            "route add {gateway} dev veth-vrf-{vni} table {vni} proto 182\n\
             route add 10.0.0.0/8 via {gateway} dev veth-vrf-{vni} table {vni} proto 182\n\
             neigh add {gateway} lladdr {mac} dev veth-vrf-{vni} nud permanent\n"
        );
    }
    if v6(cloud) {
        let gateway = gateway6(tenant);
        let _ = write!(
            text,
            "route add {gateway} dev veth-vrf-{vni} table {vni} proto 182\n\
             route add 2001:db8:1::/64 via {gateway} dev veth-vrf-{vni} table {vni} proto 182\n\
             neigh add {gateway} lladdr {mac} dev veth-vrf-{vni} nud permanent\n"
        );
    }
}

fn flows(text: &mut String, cloud: Cloud, tenant: u32) {
    let (router, answer, port) = (gateway_mac(tenant), attach_mac(tenant), ofport(tenant));
    let mut flow = |rest: String| {
        let _ = writeln!(text, "cookie=0x3e6,{rest}");
    };
    let redirect = |family: &str, source: &str| {
        format!(
            "priority=1000,{family},in_port={PATCH},dl_src={router},{source},actions=set_field:{answer}->eth_dst,output:{port}"
        )
    };
    if v4(cloud) {
        let gateway = gateway4(tenant);
        flow(redirect("ip", "nw_src=10.0.0.0/8"));
        flow(redirect("ip", &format!("nw_src={gateway}")));
        flow(format!(
            "priority=1002,arp,in_port={PATCH},dl_src={router},arp_tpa={gateway},arp_op=1,actions=NORMAL"
        ));
    }
    if v6(cloud) {
        flow(redirect("ipv6", "ipv6_src=2001:db8:1::/64"));
        flow(redirect("ipv6", &format!("ipv6_src={}", gateway6(tenant))));
    }
    flow(format!(
        "priority=1001,arp,in_port={PATCH},dl_src={router},arp_op=1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],\
         set_field:{answer}->eth_src,set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],\
         set_field:{answer}->arp_sha,move:NXM_OF_ARP_TPA[]->NXM_NX_REG0[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],\
         move:NXM_NX_REG0[]->NXM_OF_ARP_SPA[],IN_PORT"
    ));
    flow(format!(
        "priority=1001,icmp6,in_port={PATCH},dl_src={router},icmp_type=135,icmp_code=0,\
         actions=set_field:{answer}->eth_dst,controller(id=998)"
    ));
    flow(format!("priority=1000,in_port={port},dl_dst={router},actions=output:{PATCH}"));
    flow(format!("priority=900,in_port={port},actions=drop"));
    flow(format!("priority=899,in_port={PATCH},dl_src={router},dl_dst={answer},actions=drop"));
}

fn addresses(text: &mut String, cloud: Cloud, tenant: u32) {
    let vni = FIRST_VNI + tenant;
    let mut v4_address = |ip: String| {
        let _ =
            writeln!(text, "address add {ip}/32 dev lo-{vni}\nroute del local {ip} dev lo-{vni} table {vni}");
    };
    if v4(cloud) {
        v4_address(gateway4(tenant));
        (0..cloud.vms).for_each(|vm| v4_address(cloud.vm4(tenant, vm).to_string()));
    }
    for ip in all_v6(cloud, tenant) {
        let _ = writeln!(text, "address add {ip}/128 dev lo-{vni} noprefixroute nodad");
    }
}

fn locals(text: &mut String, cloud: Cloud, tenant: u32) {
    let vni = FIRST_VNI + tenant;
    for ip in all_v6(cloud, tenant) {
        let _ = writeln!(text, "route del local {ip} dev lo-{vni} table {vni}");
    }
}

fn all_v6(cloud: Cloud, tenant: u32) -> Vec<String> {
    if !v6(cloud) {
        return Vec::new();
    }
    let vms = (0..cloud.vms).map(|vm| cloud.vm6(tenant, vm).to_string());
    std::iter::once(gateway6(tenant)).chain(vms).collect()
}
