//! Reading the status must not stall the loop: what it costs grows with the tenants, not with their addresses, and one VNI or
//! one address is looked at for no more than the whole. Ratios of one run; with --nocapture it says the times.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use bgp_agent::{
    config::Config,
    model::Vni,
    ovsdb::{tables::PortBinding, value::Pairs},
    planes::{
        Report,
        vswitch::object::{OvsSettings, VswitchObject},
    },
    reconcile::{Reconciler, object::PlaneId},
};
use uuid::Uuid;

const TENANTS: u32 = 1000;
const VMS: u32 = 100;
const CHASSIS: Uuid = Uuid::from_u128(1);
const PROVIDER: Uuid = Uuid::from_u128(2);

fn pairs(list: &[(&str, &str)]) -> Pairs {
    list.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn port(name: &str, kind: &str, datapath: Uuid, mac: &str) -> PortBinding {
    let (logical_port, kind, mac) = (name.into(), kind.into(), [mac].iter().collect());
    PortBinding { logical_port, kind, datapath, mac, ..PortBinding::default() }
}

/// One router with a gateway on this chassis and a network of so many VMs.
fn tenant(n: u32, vms: u32) -> Vec<PortBinding> {
    let vni = (1001 + n).to_string();
    let annotated = || pairs(&[("neutron_bgpvpn:vni", &vni)]);
    let (router, network) =
        (Uuid::from_u128(1000 + 2 * u128::from(n)), Uuid::from_u128(1001 + 2 * u128::from(n)));
    let gateway = format!("fa:16:3e:00:00:01 172.{}.{}.2/24", 16 + n / 256, n % 256);
    let name = |prefix: &str| format!("{prefix}{n}");
    let mut rows = vec![
        PortBinding {
            chassis: Some(CHASSIS),
            options: pairs(&[("distributed-port", &name("lrp-g"))]),
            ..port(&name("cr-lrp-g"), "chassisredirect", router, &gateway)
        },
        PortBinding {
            options: pairs(&[("peer", &name("g")), ("chassis-redirect-port", &name("cr-lrp-g"))]),
            ..port(&name("lrp-g"), "patch", router, &gateway)
        },
        PortBinding {
            options: pairs(&[("peer", &name("lrp-g"))]),
            external_ids: annotated(),
            ..port(&name("g"), "patch", PROVIDER, "router")
        },
        PortBinding {
            options: pairs(&[("peer", &name("s"))]),
            ..port(&name("lrp-s"), "patch", router, "fa:16:3e:00:00:02 10.0.0.1/16")
        },
        PortBinding {
            options: pairs(&[("peer", &name("lrp-s"))]),
            external_ids: annotated(),
            ..port(&name("s"), "patch", network, "router")
        },
    ];
    rows.extend((0..vms).map(|vm| PortBinding {
        chassis: Some(CHASSIS),
        ..port(&format!("vm-{n}-{vm}"), "", network, &format!("fa:16:3e:00:01:00 10.0.1.{vm}"))
    }));
    rows
}

fn reconciler(vms: u32) -> Reconciler {
    let mut reconciler = Reconciler::new(Config::default());
    let now = Instant::now();
    let settings = OvsSettings { system_id: Some("gw1".into()), ..OvsSettings::default() };
    reconciler.report(PlaneId::Ledger, Report::Whole(Vec::new()), now);
    reconciler.report(PlaneId::Vswitch, Report::Whole(vec![VswitchObject::Settings(settings).into()]), now);
    let replica = reconciler.replica_mut();
    replica.put_chassis(CHASSIS, "gw1".into());
    let localnet = PortBinding {
        options: pairs(&[("network_name", "physnet1")]),
        ..port("provnet", "localnet", PROVIDER, "unknown")
    };
    let rows = (0..TENANTS).flat_map(|n| tenant(n, vms)).chain([localnet]);
    for (at, row) in rows.enumerate() {
        replica.put_port(Uuid::from_u128((1 << 64) + at as u128), row);
    }
    reconciler.southbound_whole();
    reconciler.poll(now);
    reconciler
}

/// The shortest of some tries: the machine may be busy with something else.
fn shortest(mut work: impl FnMut()) -> Duration {
    let once = |_| {
        let begin = Instant::now();
        work();
        begin.elapsed()
    };
    (0..5).map(once).min().unwrap()
}

#[test]
fn the_status_costs_by_tenants_and_not_by_their_addresses() {
    let (few, many) = (reconciler(1), reconciler(VMS));
    let status = many.status(Instant::now());
    let prefixes: usize = status.tenants.iter().map(|tenant| tenant.prefixes.desired).sum();
    assert_eq!((status.tenants.len(), prefixes), (TENANTS as usize, (TENANTS * (VMS + 1)) as usize));
    let of_few = shortest(|| drop(few.status(Instant::now())));
    let of_many = shortest(|| drop(many.status(Instant::now())));
    let vni = Vni::new(1500).unwrap();
    let address = IpAddr::from(Ipv4Addr::new(10, 0, 1, 7));
    assert_eq!(many.prefixes(vni, None, 1000).len(), VMS as usize + 1);
    assert_eq!(many.find(address).len(), TENANTS as usize);
    let of_one = shortest(|| {
        many.prefixes(vni, None, 1000);
        many.find(address);
    });
    println!(
        "status of {TENANTS} tenants with 1 VM each: {of_few:?}, with {VMS}: {of_many:?}; one VNI and one address: {of_one:?}"
    );
    assert!(of_many < 8 * of_few, "100 times the addresses: {of_many:?} for {of_few:?}");
    assert!(of_one < 4 * of_many, "{of_one:?} for {of_many:?}");
}
