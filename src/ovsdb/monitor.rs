//! What is asked to be replicated: columns and conditions per table, for `monitor_cond_since` and `monitor_cond_change`
//! (ovsdb-server(7) 4.1.12 to 4.1.15). What comes back is read by `updates`.

use serde::{Serialize, Serializer};

use super::{row::Row, value::Value};

/// How a condition compares (RFC 7047 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Function {
    /// The column is the value.
    #[serde(rename = "==")]
    Equal,
    /// The column is not the value.
    #[serde(rename = "!=")]
    NotEqual,
    /// The column holds all elements of the value.
    #[serde(rename = "includes")]
    Includes,
    /// The column holds no element of the value.
    #[serde(rename = "excludes")]
    Excludes,
}

/// A clause that a row may match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The column; `_uuid` is the row itself.
    pub column: &'static str,
    /// How it is compared.
    pub function: Function,
    /// With what.
    pub value: Value,
}

impl Condition {
    /// The column is the value. Where all clauses of a table are such, the server looks them up by hash, so that thousands of them
    /// are cheap (`ovsdb_condition_optimize` in OVS's ovsdb/condition.c).
    pub fn equal(column: &'static str, value: impl Into<Value>) -> Self {
        Self { column, function: Function::Equal, value: value.into() }
    }

    /// The column, a set, holds something.
    pub fn not_empty(column: &'static str) -> Self {
        Self { column, function: Function::NotEqual, value: Value::Set(Vec::new()) }
    }

    /// The column holds all elements of the value.
    pub fn includes(column: &'static str, value: impl Into<Value>) -> Self {
        Self { column, function: Function::Includes, value: value.into() }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.column, self.function, &self.value).serialize(serializer)
    }
}

/// Which rows of a table are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Where {
    /// All.
    All,
    /// Those that match at least one of these; no condition: no row.
    Any(Vec<Condition>),
}

impl Serialize for Where {
    /// An empty array would mean all rows to the server, so 'none' is said in words.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => [true].serialize(serializer),
            Self::Any(conditions) if conditions.is_empty() => [false].serialize(serializer),
            Self::Any(conditions) => conditions.serialize(serializer),
        }
    }
}

/// A table to replicate.
#[derive(Clone, Debug)]
pub struct TableMonitor {
    /// Its name.
    pub table: &'static str,
    /// Columns without which the session is of no use.
    pub columns: &'static [&'static str],
    /// Columns that are left out where the server's schema does not have them.
    pub optional: &'static [&'static str],
    /// Which rows.
    pub rows: Where,
}

impl TableMonitor {
    /// The columns that `R` takes, of these rows.
    pub fn of<R: Row>(rows: Where) -> Self {
        Self { table: R::TABLE, columns: R::COLUMNS, optional: R::OPTIONAL, rows }
    }
}

/// One table in the parameters of a monitor request.
#[derive(Debug, Serialize)]
pub(super) struct TableRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) columns: Option<&'a [&'static str]>,
    #[serde(rename = "where")]
    pub(super) rows: &'a Where,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_condition_means_no_row() {
        let text = |rows: Where| serde_json::to_string(&rows).unwrap();
        assert_eq!(text(Where::All), "[true]");
        assert_eq!(text(Where::Any(vec![])), "[false]");
        let two = vec![Condition::equal("type", "patch"), Condition::includes("tag", 7)];
        assert_eq!(text(Where::Any(two)), r#"[["type","==","patch"],["tag","includes",7]]"#);
    }
}
