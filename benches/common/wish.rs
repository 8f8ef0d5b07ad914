//! Replica and intent alone: from rows to what should exist.

use std::collections::BTreeSet;

use bgp_agent::{
    intent::{Intent, Limits},
    ledger::Ledger,
    model::Asn,
    ovsdb::tables::PortBinding,
    southbound::Replica,
};
use uuid::Uuid;

use super::cloud::{Chassis, Cloud, chassis_uuid, port_uuid};

/// Replica and intent.
pub struct Wish {
    replica: Replica,
    intent: Intent,
    ledger: Ledger,
}

impl Wish {
    /// All of a cloud's ports, bound.
    pub fn new(cloud: Cloud) -> Self {
        let mut replica = Replica::default();
        replica.put_chassis(chassis_uuid(Chassis::Gateway), Chassis::Gateway.name().into());
        for (number, port) in (0..).zip(cloud.ports()) {
            replica.put_port(port_uuid(number), port.row());
        }
        let ledger = Ledger::default();
        let mut intent = Intent::new(Asn::new(64999).expect("an AS"), Limits::NONE);
        intent.set_chassis(Chassis::Gateway.name());
        let touched = replica.take_touched();
        intent.update(&replica, &touched, &ledger, BTreeSet::new());
        assert_eq!(intent.addresses().count(), cloud.vms as usize);
        Self { replica, intent, ledger }
    }

    /// One change of one VM's row.
    pub fn change(&mut self, uuid: Uuid, row: PortBinding) {
        self.replica.put_port(uuid, row);
        let touched = self.replica.take_touched();
        let delta = self.intent.update(&self.replica, &touched, &self.ledger, BTreeSet::new());
        assert_eq!(delta.addresses.len(), 1);
    }
}
