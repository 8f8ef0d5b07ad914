//! Operations on ports as steps of an OVSDB transaction, each with the words for its failure. It sends nothing, and it
//! writes nothing but ports.
//!
//! What the view shows decides what is to be done; `Require` steps make the server refuse it if that is not so any more.

use uuid::Uuid;

use super::{
    decode::{MARK, View},
    object::{OvsPort, VswitchObject},
};
use crate::{
    model::Vni,
    ovsdb::{
        monitor::Condition,
        row::Row,
        tables::{Bridge, Interface, Port},
        transact::{self, Mutation},
        value::Value,
    },
    planes::{Operation, Outcome, Verb},
};

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to send.
    pub operation: transact::Operation,
    /// What it means if this step fails, where the server's words do not tell.
    pub meaning: Option<String>,
}

/// The steps of an operation, or how it ended without any. `number` makes names unique in the transaction.
pub fn steps(view: &View, operation: &Operation<VswitchObject>, number: usize) -> Result<Vec<Step>, Outcome> {
    let VswitchObject::Port(port) = &operation.object else {
        return Err(failed(format!(
            "{:?} is not written by the agent, only ports are",
            operation.object.key()
        )));
    };
    match operation.verb {
        Verb::Create => create(view, port, number),
        Verb::Update => update(view, port),
        Verb::Remove => remove(view, port),
    }
}

fn create(view: &View, port: &OvsPort, number: usize) -> Result<Vec<Step>, Outcome> {
    let OvsPort { bridge, name, .. } = port;
    if let Some((_, there)) = view.port(name) {
        return Err(match there.meets(port) {
            true => Outcome::Done,
            false => failed(format!("port {name} is on bridge {} already, but differs", there.bridge)),
        });
    }
    if name.interface().is_none() {
        return Err(failed(format!("{name} is not a name for an interface")));
    }
    let text = |text: &str| Value::from(text);
    let kind = if port.internal { "internal" } else { "" };
    let (interface_row, port_row) = (format!("interface{number}"), format!("port{number}"));
    let (interface_row, port_row) = (interface_row.into_boxed_str(), port_row.into_boxed_str());
    let no_bridge = format!("bridge {bridge} is not in Open_vSwitch: was it renamed, or not made yet?");
    Ok(vec![
        require(Bridge::TABLE, Condition::equal("name", bridge.as_str()), Some(bridge.as_str()), no_bridge),
        require(
            Port::TABLE,
            Condition::equal("name", name.as_str()),
            None,
            format!("somebody else made a port {name} at the same time"),
        ),
        plain(transact::Operation::Insert {
            table: Interface::TABLE,
            name: Some(interface_row.clone()),
            row: vec![("name", text(name.as_str())), ("type", text(kind))],
        }),
        plain(transact::Operation::Insert {
            table: Port::TABLE,
            name: Some(port_row.clone()),
            row: vec![
                ("name", text(name.as_str())),
                ("interfaces", Value::Named(interface_row)),
                ("tag", tag(port)),
                ("external_ids", port.owner.map_or(Value::Map(vec![]), mark)),
            ],
        }),
        plain(transact::Operation::Mutate {
            table: Bridge::TABLE,
            conditions: vec![Condition::equal("name", bridge.as_str())],
            mutations: vec![Mutation::Insert("ports", Value::Named(port_row))],
        }),
    ])
}

fn update(view: &View, port: &OvsPort) -> Result<Vec<Step>, Outcome> {
    let name = &port.name;
    let (row, there) = view.port(name).ok_or_else(|| failed(gone(port)))?;
    if there.meets(port) {
        return Err(Outcome::Done);
    }
    if there.bridge != port.bridge {
        return Err(failed(format!("port {name} is on bridge {}, not on {}", there.bridge, port.bridge)));
    }
    if there.patch || view.interfaces(&row) != 1 {
        return Err(failed(format!(
            "port {name} is a patch port or a bond, none that the agent could have made"
        )));
    }
    let mut mutations = vec![Mutation::Delete("external_ids", Value::Set(vec![MARK.into()]))];
    mutations.extend(port.owner.map(|vni| Mutation::Insert("external_ids", mark(vni))));
    let this = || vec![Condition::equal("_uuid", row)];
    let mut steps = vec![
        require(Port::TABLE, Condition::equal("_uuid", row), Some(name.as_str()), gone(port)),
        plain(transact::Operation::Update {
            table: Port::TABLE,
            conditions: this(),
            row: vec![("tag", tag(port))],
        }),
        plain(transact::Operation::Mutate { table: Port::TABLE, conditions: this(), mutations }),
    ];
    if there.internal != port.internal {
        let kind = if port.internal { "internal" } else { "" };
        steps.push(plain(transact::Operation::Update {
            table: Interface::TABLE,
            conditions: vec![Condition::equal("name", name.as_str())],
            row: vec![("type", kind.into())],
        }));
    }
    Ok(steps)
}

fn remove(view: &View, port: &OvsPort) -> Result<Vec<Step>, Outcome> {
    let name = &port.name;
    let (row, there) = view.port(name).ok_or(Outcome::Done)?;
    let not_ours =
        || failed(format!("port {name} is not removed: its external_ids:{MARK} is not what it was"));
    let owner = there.owner.filter(|owner| Some(*owner) == port.owner).ok_or_else(not_ours)?;
    Ok(vec![
        Step {
            operation: transact::Operation::Require {
                table: Port::TABLE,
                conditions: marked(row, owner),
                columns: vec!["name"],
                rows: vec![vec![("name", name.as_str().into())]],
            },
            meaning: Some(format!("port {name} is not removed: it lost its external_ids:{MARK}, or is gone")),
        },
        // The rows of the port and its interface go with the last that refers to them.
        plain(transact::Operation::Mutate {
            table: Bridge::TABLE,
            conditions: vec![Condition::includes("ports", row)],
            mutations: vec![Mutation::Delete("ports", row.into())],
        }),
    ])
}

fn marked(row: Uuid, owner: Vni) -> Vec<Condition> {
    vec![Condition::equal("_uuid", row), Condition::includes("external_ids", mark(owner))]
}

/// The row of this name, or none, must be what matches.
fn require(table: &'static str, condition: Condition, name: Option<&str>, meaning: String) -> Step {
    let operation = transact::Operation::Require {
        table,
        conditions: vec![condition],
        columns: vec!["name"],
        rows: name.into_iter().map(|name| vec![("name", name.into())]).collect(),
    };
    Step { operation, meaning: Some(meaning) }
}

fn plain(operation: transact::Operation) -> Step {
    Step { operation, meaning: None }
}

fn tag(port: &OvsPort) -> Value {
    port.tag.map(i64::from).into()
}

fn mark(owner: Vni) -> Value {
    [(MARK, &*owner.to_string())].into_iter().collect()
}

fn gone(port: &OvsPort) -> String {
    format!("port {} is no longer in Open_vSwitch", port.name)
}

fn failed(reason: String) -> Outcome {
    Outcome::Failed(reason)
}
