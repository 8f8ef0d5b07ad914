//! What a server's schema has, as far as it matters: the names of tables and columns (RFC 7047 section 3.2). It knows no
//! types.

use std::collections::HashMap;

use serde::{Deserialize, de::IgnoredAny};

use super::{ProtocolError, monitor::TableMonitor, value::decode::Text};

/// What a schema has, as far as it matters: names of tables and columns.
#[derive(Debug, Deserialize)]
pub(super) struct Schema<'a> {
    #[serde(borrow)]
    tables: HashMap<Text<'a>, TableSchema<'a>>,
}

#[derive(Debug, Deserialize)]
struct TableSchema<'a> {
    #[serde(borrow)]
    columns: HashMap<Text<'a>, IgnoredAny>,
}

impl Schema<'_> {
    /// The columns of a monitored table that the server has, and the optional ones that it lacks.
    pub(super) fn columns(
        &self,
        monitor: &TableMonitor,
    ) -> Result<(Vec<&'static str>, Vec<&'static str>), ProtocolError> {
        let table = self.tables.get(monitor.table).ok_or_else(|| {
            ProtocolError(format!("the database has no table {}: is it the right one?", monitor.table))
        })?;
        let has = |column: &&&'static str| table.columns.contains_key(**column);
        if let Some(lacking) = monitor.columns.iter().find(|column| !has(column)) {
            let table = monitor.table;
            return Err(ProtocolError(format!(
                "table {table} has no column {lacking}: its schema is too old or new"
            )));
        }
        let (present, absent): (Vec<_>, Vec<_>) = monitor.optional.iter().partition(has);
        Ok((monitor.columns.iter().copied().chain(present).collect(), absent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ovsdb::monitor::Where;

    fn monitor(table: &'static str, columns: &'static [&'static str]) -> TableMonitor {
        TableMonitor { table, columns, optional: &["up", "no_such"], rows: Where::All }
    }

    #[test]
    fn a_real_schema_tells_which_columns_there_are() {
        let text = include_str!("../../fixtures/ovsdb/get-schema.json");
        let reply: HashMap<&str, &serde_json::value::RawValue> = serde_json::from_str(text).unwrap();
        let schema: Schema<'_> = serde_json::from_str(reply["result"].get()).unwrap();
        let both = schema.columns(&monitor("Port_Binding", &["mac"])).unwrap();
        assert_eq!(both, (vec!["mac", "up"], vec!["no_such"]));
        let error = schema.columns(&monitor("Port_Binding", &["macs"])).unwrap_err().to_string();
        assert!(error.contains("table Port_Binding has no column macs"), "{error}");
        let error = schema.columns(&monitor("Bridge", &[])).unwrap_err().to_string();
        assert!(error.contains("no table Bridge"), "{error}");
    }
}
