//! Transactions: operations to send (RFC 7047 section 5.2) and what became of them. It sends nothing itself.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

use super::{
    ProtocolError,
    monitor::Condition,
    rpc::{parse, shortened},
    value::{
        Value,
        decode::{Text, parse_uuid},
    },
};

/// Columns and their values.
pub type Columns = Vec<(&'static str, Value)>;

/// One operation. All conditions must hold for a row to be meant; an empty list means every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new row.
    Insert {
        /// Where.
        table: &'static str,
        /// A name for it in this transaction, for [`Value::Named`]: a letter, then letters, digits and `_`.
        name: Option<Box<str>>,
        /// Its columns; others get their defaults.
        row: Columns,
    },
    /// Columns get new values.
    Update {
        /// Where.
        table: &'static str,
        /// Which rows.
        conditions: Vec<Condition>,
        /// The new values.
        row: Columns,
    },
    /// Parts of columns change.
    Mutate {
        /// Where.
        table: &'static str,
        /// Which rows.
        conditions: Vec<Condition>,
        /// How, one after the other.
        mutations: Vec<Mutation>,
    },
    /// Rows go.
    Delete {
        /// Where.
        table: &'static str,
        /// Which rows.
        conditions: Vec<Condition>,
    },
    /// The transaction fails unless the columns of the rows that match are exactly these rows.
    Require {
        /// Where.
        table: &'static str,
        /// Which rows.
        conditions: Vec<Condition>,
        /// What is compared.
        columns: Vec<&'static str>,
        /// What must be there, in any order.
        rows: Vec<Columns>,
    },
    /// Words for the log of the database.
    Comment(String),
}

/// A change of a set or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Add elements that are not there; a key of a map that is there keeps its value.
    Insert(&'static str, Value),
    /// Remove elements; a set in a column of maps removes the keys.
    Delete(&'static str, Value),
}

impl Serialize for Mutation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Insert(column, value) => (column, "insert", value).serialize(serializer),
            Self::Delete(column, value) => (column, "delete", value).serialize(serializer),
        }
    }
}

struct AsObject<'a>(&'a Columns);

impl Serialize for AsObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(column, value)| (column, value)))
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let op = match self {
            Self::Insert { .. } => "insert",
            Self::Update { .. } => "update",
            Self::Mutate { .. } => "mutate",
            Self::Delete { .. } => "delete",
            Self::Require { .. } => "wait",
            Self::Comment(_) => "comment",
        };
        map.serialize_entry("op", op)?;
        match self {
            Self::Insert { table, name, row } => {
                map.serialize_entry("table", table)?;
                map.serialize_entry("row", &AsObject(row))?;
                if let Some(name) = name {
                    map.serialize_entry("uuid-name", name)?;
                }
            }
            Self::Update { table, conditions, row } => {
                map.serialize_entry("table", table)?;
                map.serialize_entry("where", conditions)?;
                map.serialize_entry("row", &AsObject(row))?;
            }
            Self::Mutate { table, conditions, mutations } => {
                map.serialize_entry("table", table)?;
                map.serialize_entry("where", conditions)?;
                map.serialize_entry("mutations", mutations)?;
            }
            Self::Delete { table, conditions } => {
                map.serialize_entry("table", table)?;
                map.serialize_entry("where", conditions)?;
            }
            Self::Require { table, conditions, columns, rows } => {
                map.serialize_entry("table", table)?;
                map.serialize_entry("where", conditions)?;
                map.serialize_entry("columns", columns)?;
                map.serialize_entry("until", "==")?;
                map.serialize_entry("rows", &rows.iter().map(AsObject).collect::<Vec<_>>())?;
                map.serialize_entry("timeout", &0)?;
            }
            Self::Comment(words) => map.serialize_entry("comment", words)?,
        }
        map.end()
    }
}

/// The parameters of a `transact`: the database, then the operations.
pub(super) struct Params<'a> {
    pub(super) database: &'a str,
    pub(super) operations: &'a [Operation],
}

impl Serialize for Params<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut seq = serializer.serialize_seq(Some(1 + self.operations.len()))?;
        seq.serialize_element(self.database)?;
        self.operations.iter().try_for_each(|operation| seq.serialize_element(operation))?;
        seq.end()
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is committed: one result per operation.
    Committed(Vec<OperationResult>),
    /// Nothing of it was done.
    Refused(Refusal),
    /// The connection was not there or was lost before the answer: nobody knows.
    Unknown,
}

/// What an operation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationResult {
    /// The row that an insert made.
    pub uuid: Option<Uuid>,
    /// How many rows an update, mutate or delete met.
    pub count: Option<u64>,
}

/// Why a transaction was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Refusal {
    /// The operation that failed, counted from 0; None where all went well until the commit, or before the first.
    pub operation: Option<usize>,
    /// The error's name as RFC 7047 has it: `constraint violation`, `referential integrity violation`, `timed out`
    /// (a [`Operation::Require`] that does not hold), ..
    pub error: Box<str>,
    /// Name and details in one line.
    pub words: String,
}

#[derive(Deserialize)]
struct RawResult<'a> {
    #[serde(borrow)]
    uuid: Option<(Text<'a>, Text<'a>)>,
    count: Option<u64>,
    #[serde(borrow)]
    error: Option<Text<'a>>,
    #[serde(borrow)]
    details: Option<Text<'a>>,
}

impl Answer {
    /// Reads the result of a `transact` of so many operations.
    pub(super) fn parse(result: &str, operations: usize) -> Result<Self, ProtocolError> {
        let raw: Vec<Option<RawResult<'_>>> = parse("answer to a transaction", result)?;
        if let Some((at, error, details)) = raw.iter().enumerate().find_map(failed) {
            let words = details.map_or_else(|| error.to_owned(), |details| format!("{error}: {details}"));
            return Ok(Self::Refused(Refusal {
                operation: (at < operations).then_some(at),
                error: shortened(error).into(),
                words: shortened(&words),
            }));
        }
        let results: Option<Vec<_>> = raw.into_iter().map(|result| result.as_ref().and_then(done)).collect();
        match results {
            Some(results) if results.len() == operations => Ok(Self::Committed(results)),
            _ => Err(ProtocolError(format!("the answer to a transaction has not {operations} results"))),
        }
    }

    /// The answer to a `transact` that was refused as a whole, for these reasons.
    pub(super) fn error(words: String) -> Self {
        Self::Refused(Refusal { operation: None, error: words.as_str().into(), words })
    }
}

fn failed<'r>((at, result): (usize, &'r Option<RawResult<'_>>)) -> Option<(usize, &'r str, Option<&'r str>)> {
    let result = result.as_ref()?;
    Some((at, &result.error.as_ref()?.0, result.details.as_ref().map(|details| &*details.0)))
}

fn done(result: &RawResult<'_>) -> Option<OperationResult> {
    let uuid = match &result.uuid {
        Some((tag, uuid)) if tag.0 == "uuid" => Some(parse_uuid(&uuid.0)?),
        Some(_) => return None,
        None => None,
    };
    Some(OperationResult { uuid, count: result.count })
}
