//! Large changes: they go to the kernel in parts, and the VNIs take turns.

use super::*;
use crate::{
    planes::{Operation, Outcome},
    testing::rows::GatewaySpec,
};

type Batch = (PlaneId, u64, Vec<Operation<Object>>);

/// What one round sends.
fn polled(rig: &mut Rig) -> Vec<Batch> {
    let batch = |(plane, command)| match command {
        Command::Apply { id, operations } => Some((plane, id, operations)),
        _ => None,
    };
    rig.reconciler.poll(rig.now).into_iter().filter_map(batch).collect()
}

fn to_kernel(batches: &[Batch]) -> impl Iterator<Item = &Vec<Operation<Object>>> {
    batches.iter().filter(|(plane, ..)| *plane == PlaneId::Kernel).map(|(.., operations)| operations)
}

/// The peers do all of it.
fn answer(rig: &mut Rig, batches: Vec<Batch>) {
    for (plane, id, operations) in batches {
        operations.iter().for_each(|operation| rig.peers.carry_out(operation));
        let outcomes = vec![Outcome::Done; operations.len()];
        rig.reconciler.report(plane, Report::Results { id, outcomes }, rig.now);
    }
}

/// However much there is to write for one tenant: it goes in parts, and the change of another one takes its turn.
#[test]
fn a_large_change_of_one_tenant_does_not_hold_up_another() {
    let mut rig = Rig::new(two_tenants());
    rig.run();
    for n in 0..10_000 {
        let mac = format!("fa:16:3e:00:00:20 2001:db8:1::{n:x}:1");
        rig.cloud.workload(&format!("many-{n}"), "net", Some("cmp1"), &[&mac]);
    }
    rig.tell();
    let first = polled(&mut rig);
    let sizes: Vec<usize> = to_kernel(&first).map(|operations| operations.len()).collect();
    assert!((1..=2).contains(&sizes.len()) && sizes.iter().all(|size| *size <= 2048), "{sizes:?}");
    rig.cloud.workload("vm-b2", "net-b", Some("cmp1"), &["fa:16:3e:00:bb:11 20.0.0.11"]);
    rig.tell();
    answer(&mut rig, first);
    assert!(
        rig.status().tenants[0].prefixes.kernel < 5000,
        "what stands is told while the rest is under way"
    );
    let own = address("lo-1002", "20.0.0.11");
    let next = polled(&mut rig);
    assert!(to_kernel(&next).flatten().any(|one| one.object.key() == own.into()));
    answer(&mut rig, next);
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    assert_eq!(rig.status().tenants[0].prefixes.kernel, 10_004);
}

#[test]
fn who_found_no_room_for_his_prefixes_comes_first_the_next_time() {
    let mut cloud = Cloud::seed();
    for n in 2..=80 {
        let [gateway, subnet, network] = ["gw", "sub", "net"].map(|what| format!("{what}-{n}"));
        let mac = format!("fa:16:3e:00:cc:{n:02x} 172.24.5.{n}/24 2001:db8:ffff::{n:x}/64");
        let spec = GatewaySpec { name: &gateway, router: &gateway, mac: &mac, ..GatewaySpec::second() };
        cloud.gateway(&spec);
        cloud.subnet(&gateway, &subnet, &network, &format!("fa:16:3e:00:dd:{n:02x} 2001:db8:1::1/64"));
        let vni = (1000 + n).to_string();
        for port in [&gateway, &subnet] {
            cloud.annotate(port, &[("neutron_bgpvpn:vni", &*vni)]);
        }
    }
    let mut rig = Rig::new(cloud);
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
    for n in 1..=80 {
        let network = if n == 1 { "net".to_owned() } else { format!("net-{n}") };
        for vm in 2..202 {
            let mac = format!("fa:16:3e:00:00:20 2001:db8:1::{vm:x}");
            rig.cloud.workload(&format!("vm-{n}-{vm}"), &network, Some("cmp1"), &[&mac]);
        }
    }
    rig.tell();
    let mut served = BTreeSet::new();
    for _ in 0..2 {
        let batches = polled(&mut rig);
        served.extend(to_kernel(&batches).flatten().filter_map(|operation| match &operation.object {
            Object::Kernel(KernelObject::Address(address)) => Some(address.dev),
            _ => None,
        }));
        answer(&mut rig, batches);
    }
    assert_eq!(served.len(), 80);
    rig.run();
    assert!(rig.status().converged, "{:?}", rig.status());
}
