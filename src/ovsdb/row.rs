//! A row in a frame and how it becomes a typed one: column by column, straight from the bytes. Replicas of whole tables.
//! It knows no particular table.

use std::{collections::HashMap, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use uuid::Uuid;

use super::value::{Read, decode::Text};

/// A typed row: the columns that the agent wants of one table.
///
/// A column that the server leaves out has its default, which is also what [`Default`] must give: a server omits
/// defaults, and an older schema may lack a column.
pub trait Row: Default + Clone {
    /// The table.
    const TABLE: &'static str;
    /// Columns without which the agent cannot work.
    const COLUMNS: &'static [&'static str];
    /// Columns that are asked for only where the server's schema has them.
    const OPTIONAL: &'static [&'static str];

    /// Take in the value of one of these columns; any other one is skipped.
    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error>;

    /// The row that an `initial` or `insert` tells.
    fn from_row(raw: &RawRow<'_>) -> Result<Self, RowError> {
        let mut row = Self::default();
        raw.read_into(&mut row, Read::Whole)?;
        Ok(row)
    }

    /// Take over the difference that a `modify` tells. After an error the row may hold some columns of it.
    fn apply(&mut self, difference: &RawRow<'_>) -> Result<(), RowError> {
        difference.read_into(self, Read::Difference)
    }
}

/// Skips the value of a column that a [`Row`] does not want.
pub(super) fn skip<'de, D: Deserializer<'de>>(value: D) -> Result<(), D::Error> {
    value.deserialize_ignored_any(IgnoredAny).map(drop)
}

/// One row cannot be read; the others of its frame can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {uuid} of {table}, column {column}: {reason}")]
pub struct RowError {
    /// The table.
    pub table: &'static str,
    /// The row.
    pub uuid: Uuid,
    /// The column, or a word for the whole row.
    pub column: Box<str>,
    /// What is wrong with it.
    pub reason: String,
    /// It is no JSON: what came with it is of no use either.
    pub malformed: bool,
}

/// The columns of a row as they are in the frame: one JSON object, empty for a deleted row.
#[derive(Clone, Copy, Debug)]
pub struct RawRow<'a> {
    uuid: Uuid,
    json: &'a str,
}

impl<'a> RawRow<'a> {
    /// The row `uuid` with these columns.
    pub fn new(uuid: Uuid, json: &'a str) -> Self {
        Self { uuid, json }
    }

    fn read_into<R: Row>(&self, row: &mut R, how: Read) -> Result<(), RowError> {
        let mut column = None;
        let mut json = serde_json::Deserializer::from_str(self.json);
        let read = json.deserialize_map(Columns { row, how, column: &mut column }).and_then(|()| json.end());
        read.map_err(|error| RowError {
            table: R::TABLE,
            uuid: self.uuid,
            column: column.unwrap_or_else(|| "(all)".into()),
            reason: error.to_string(),
            malformed: !error.is_data(),
        })
    }
}

/// Reads the columns of a row, and leaves the name of the one that could not be read.
struct Columns<'r, R> {
    row: &'r mut R,
    how: Read,
    column: &'r mut Option<Box<str>>,
}

impl<'de, R: Row> Visitor<'de> for Columns<'_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let seed = OneColumn { row: &mut *self.row, name: &name.0, how: self.how };
            if let Err(error) = map.next_value_seed(seed) {
                *self.column = Some(name.0.chars().take(64).collect::<String>().into());
                return Err(error);
            }
        }
        Ok(())
    }
}

struct OneColumn<'r, R> {
    row: &'r mut R,
    name: &'r str,
    how: Read,
}

impl<'de, R: Row> DeserializeSeed<'de> for OneColumn<'_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        self.row.read(self.name, value, self.how)
    }
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was there when the monitor began.
    Initial,
    /// It is new, or matches the conditions now.
    Insert,
    /// Some columns differ.
    Modify,
    /// It is gone, or does not match the conditions any more.
    Delete,
}

/// One row's change as a frame tells it.
#[derive(Clone, Copy, Debug)]
pub struct RawChange<'a> {
    /// The table.
    pub table: &'a str,
    /// The row.
    pub uuid: Uuid,
    /// What happened.
    pub kind: Kind,
    /// All columns but defaults (`Initial`, `Insert`), the differences (`Modify`) or nothing (`Delete`).
    pub row: RawRow<'a>,
}

/// A replica of one table, or of the rows that match its conditions.
#[derive(Clone, Debug)]
pub struct Replica<R>(HashMap<Uuid, R>);

impl<R> Default for Replica<R> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<R> FromIterator<(Uuid, R)> for Replica<R> {
    fn from_iter<I: IntoIterator<Item = (Uuid, R)>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

/// Why a change was not taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// The row cannot be read. A new one is left out, a known one stays as it was.
    #[error(transparent)]
    Row(RowError),
    /// The row is no JSON: nothing of what the server told may be taken over, and it must be read anew.
    #[error(transparent)]
    Malformed(RowError),
    /// A difference of a row that was never told: the replica is not what the server believes, and must be read anew.
    #[error("row {1} of {0} changed, but was never seen")]
    Unknown(&'static str, Uuid),
}

impl From<RowError> for ReplicaError {
    fn from(error: RowError) -> Self {
        if error.malformed { Self::Malformed(error) } else { Self::Row(error) }
    }
}

impl<R: Row> Replica<R> {
    /// Take over a change of a row of this table; gives the row as it was before, if it was there.
    pub fn apply(&mut self, change: &RawChange<'_>) -> Result<Option<R>, ReplicaError> {
        match change.kind {
            Kind::Delete => Ok(self.0.remove(&change.uuid)),
            // A resumed session may tell a known row as inserted (after its conditions changed, say): the newer holds.
            Kind::Initial | Kind::Insert => Ok(self.0.insert(change.uuid, R::from_row(&change.row)?)),
            Kind::Modify => {
                let row = self.0.get_mut(&change.uuid);
                let row = row.ok_or(ReplicaError::Unknown(R::TABLE, change.uuid))?;
                let mut changed = row.clone();
                changed.apply(&change.row)?;
                Ok(Some(std::mem::replace(row, changed)))
            }
        }
    }

    /// The row.
    pub fn get(&self, uuid: &Uuid) -> Option<&R> {
        self.0.get(uuid)
    }

    /// All rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Uuid, &R)> {
        self.0.iter()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forget all rows.
    pub fn clear(&mut self) {
        self.0 = HashMap::new();
    }
}
