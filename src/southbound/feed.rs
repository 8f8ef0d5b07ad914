//! Between the Southbound's session and the replica: updates into rows, subjects into monitor conditions.
//!
//! Pure. A row that cannot be read is left out with a word in the log; the others of its update are not harmed.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use uuid::Uuid;

use super::{Balancers, Replica, Subject};
use crate::ovsdb::{
    monitor::{Condition, TableMonitor, Where},
    row::{Kind, RawChange, Row, RowError},
    tables::{Chassis, DatapathGroup, LoadBalancer, PortBinding},
    updates::Updates,
};

/// The replica is not what the server believes: everything has to be read anew.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Diverged {
    /// A difference of a row that was never told.
    #[error("row {0} of {1} changed, but was never seen")]
    Unknown(Uuid, Box<str>),
    /// A row that is no JSON.
    #[error(transparent)]
    Malformed(RowError),
}

/// What to monitor before anything is known: all gateways, all localnets, this chassis.
pub fn monitors(chassis: Option<&str>) -> Vec<TableMonitor> {
    let [(_, ports), (_, chassis), (_, balancers), (_, groups)] = conditions(chassis, std::iter::empty());
    vec![
        TableMonitor::of::<PortBinding>(ports),
        TableMonitor::of::<Chassis>(chassis),
        TableMonitor::of::<LoadBalancer>(balancers),
        TableMonitor::of::<DatapathGroup>(groups),
    ]
}

/// The rows wanted: all gateways and localnets of the cloud (few, and what tells of a new one), this chassis, and what
/// the subjects name. Clauses are alternatives.
pub fn conditions<'a>(
    chassis: Option<&str>,
    subjects: impl Iterator<Item = Cow<'a, Subject>>,
) -> [(&'static str, Where); 4] {
    let mut ports = vec![Condition::equal("type", "chassisredirect"), Condition::equal("type", "localnet")];
    let (mut names, mut datapaths) = (BTreeSet::new(), BTreeSet::new());
    let (mut balancers, mut groups) = (Where::Any(Vec::new()), Vec::new());
    for subject in subjects {
        match &*subject {
            Subject::Port(name) => drop(names.insert(name.clone())),
            Subject::Patches(datapath) | Subject::Workloads(datapath) => drop(datapaths.insert(*datapath)),
            Subject::OnChassis(chassis) => ports.push(Condition::equal("chassis", *chassis)),
            Subject::Nat => ports.push(Condition::not_empty("nat_addresses")),
            Subject::Balancers => balancers = Where::All,
            Subject::Group(group) => groups.push(Condition::equal("_uuid", *group)),
            Subject::Localnets(_) => {}
        }
    }
    ports.extend(names.iter().map(|name| Condition::equal("logical_port", &**name)));
    ports.extend(datapaths.into_iter().map(|datapath| Condition::equal("datapath", datapath)));
    let chassis = chassis.map(|name| Condition::equal("name", name)).into_iter().collect();
    [
        (PortBinding::TABLE, Where::Any(ports)),
        (Chassis::TABLE, Where::Any(chassis)),
        (LoadBalancer::TABLE, balancers),
        (DatapathGroup::TABLE, Where::Any(groups)),
    ]
}

/// Takes an update into the replica, or nothing of it where the two do not fit.
pub fn apply(replica: &mut Replica, updates: &Updates) -> Result<(), Diverged> {
    if updates.reload() {
        return reload(replica, updates);
    }
    let unknown = |change: &RawChange<'_>| {
        change.kind == Kind::Modify
            && match change.table {
                PortBinding::TABLE => replica.get(&change.uuid).is_none() && !replica.is_aside(&change.uuid),
                table => Balancers::holds(table) && !replica.balancers.knows(table, &change.uuid),
            }
    };
    if let Some(change) = updates.iter().find(unknown) {
        return Err(Diverged::Unknown(change.uuid, change.table.into()));
    }
    for change in updates.iter() {
        match change.table {
            PortBinding::TABLE => apply_port(replica, &change),
            Chassis::TABLE => apply_chassis(replica, &change),
            table if Balancers::holds(table) => replica.balancers.apply(&change),
            _ => {}
        }
    }
    Ok(())
}

fn reload(replica: &mut Replica, updates: &Updates) -> Result<(), Diverged> {
    let mut ports = HashMap::new();
    let mut chassis = HashMap::new();
    let (mut aside, mut balancers) = (Vec::new(), Vec::new());
    for change in updates.iter() {
        match change.table {
            PortBinding::TABLE => match json_row(&change)? {
                Some(row) => drop(ports.insert(change.uuid, row)),
                None => aside.push(change.uuid),
            },
            Chassis::TABLE => {
                chassis.extend(json_row::<Chassis>(&change)?.map(|row| (change.uuid, row.name)));
            }
            table if Balancers::holds(table) => {
                Balancers::is_json(&change).map_err(Diverged::Malformed)?;
                balancers.push(change);
            }
            _ => {}
        }
    }
    replica.balancers.clear();
    balancers.iter().for_each(|change| replica.balancers.apply(change));
    replica.replace(ports, chassis);
    aside.into_iter().for_each(|uuid| replica.set_aside(uuid));
    Ok(())
}

/// The row; None: it is put aside.
fn json_row<R: Row>(change: &RawChange<'_>) -> Result<Option<R>, Diverged> {
    match R::from_row(&change.row) {
        Ok(row) => Ok(Some(row)),
        Err(error) if error.malformed => Err(Diverged::Malformed(error)),
        Err(error) => {
            tracing::warn!(%error, "a Southbound row is put aside");
            Ok(None)
        }
    }
}

/// The same of changes of a live session, whose rows are JSON.
fn row<R: Row>(change: &RawChange<'_>) -> Option<R> {
    json_row(change).ok().flatten()
}

fn apply_port(replica: &mut Replica, change: &RawChange<'_>) {
    match change.kind {
        Kind::Delete => drop(replica.remove_port(change.uuid)),
        Kind::Initial | Kind::Insert => match row(change) {
            Some(row) => replica.put_port(change.uuid, row),
            None => replica.set_aside(change.uuid),
        },
        Kind::Modify if replica.is_aside(&change.uuid) => {}
        Kind::Modify => {
            let Some(mut changed) = replica.get(&change.uuid).cloned() else { return };
            match changed.apply(&change.row) {
                Ok(()) => replica.put_port(change.uuid, changed),
                Err(error) => {
                    tracing::warn!(%error, "a Southbound row is put aside");
                    replica.set_aside(change.uuid);
                }
            }
        }
    }
}

fn apply_chassis(replica: &mut Replica, change: &RawChange<'_>) {
    match change.kind {
        Kind::Delete => replica.remove_chassis(change.uuid),
        // Only the name is asked for, and it is set whole in a difference too.
        _ => drop(row::<Chassis>(change).map(|row| replica.put_chassis(change.uuid, row.name))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ovsdb::updates::Origin;

    #[test]
    fn of_a_first_view_with_a_row_that_is_no_json_nothing_is_taken_in() {
        let mut replica = Replica::default();
        replica.put_port(
            Uuid::from_u128(1),
            PortBinding { logical_port: "vm".into(), ..PortBinding::default() },
        );
        let uuid = Uuid::from_u128(2);
        for (table, column) in [("Port_Binding", "tag"), ("Chassis", "name"), ("Load_Balancer", "vips")] {
            let row = |value| format!(r#"{{"x":"{}","{column}":{value}}}"#, "x".repeat(100));
            let view = |value| format!(r#"{{"{table}":{{"{uuid}":{{"initial":{}}}}}}}"#, row(value));
            let told = Updates::told(&view(""), Origin::Reload);
            let refused = apply(&mut replica, &told).unwrap_err();
            assert!(matches!(&refused, Diverged::Malformed(error) if &*error.column == column), "{refused}");
            assert!(replica.port("vm").is_some(), "{table}");
        }
        let of_another_type = format!(r#"{{"Port_Binding":{{"{uuid}":{{"initial":{{"tag":"x"}}}}}}}}"#);
        assert_eq!(apply(&mut replica, &Updates::told(&of_another_type, Origin::Reload)), Ok(()));
        assert!(replica.port("vm").is_none() && replica.is_aside(&uuid));
    }

    #[test]
    fn of_an_update_that_does_not_fit_nothing_is_taken_in() {
        let mut replica = Replica::default();
        let (known, unknown) = (Uuid::from_u128(1), Uuid::from_u128(2));
        replica.put_port(known, PortBinding { logical_port: "vm".into(), ..PortBinding::default() });
        let gone = json!({"delete": null});
        let changed = json!({"modify": {"tag": 7}});
        let update = json!({"Port_Binding": {known.to_string(): gone, unknown.to_string(): changed}});
        let told = Updates::told(&update, Origin::Live);
        assert_eq!(apply(&mut replica, &told), Err(Diverged::Unknown(unknown, "Port_Binding".into())));
        assert!(replica.port("vm").is_some());
        let fits = Updates::told(&json!({"Port_Binding": {known.to_string(): gone}}), Origin::Live);
        assert_eq!(apply(&mut replica, &fits), Ok(()));
        assert!(replica.is_empty());
    }
}
