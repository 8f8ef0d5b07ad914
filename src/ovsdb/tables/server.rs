//! Rows of _Server, the database in which ovsdb-server tells about itself (ovsdb-server(5)).

use serde::Deserializer;

use crate::ovsdb::{
    row::{Row, skip},
    value::{Column, Read},
};

/// A row of Database: one database that this server serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Database {
    /// The database.
    pub name: Box<str>,
    /// Whether the server has its cluster (or, as a relay, its source). A server alone always has.
    pub connected: bool,
}

impl Row for Database {
    const TABLE: &'static str = "Database";
    const COLUMNS: &'static [&'static str] = &["name", "connected"];
    const OPTIONAL: &'static [&'static str] = &[];

    fn read<'de, D: Deserializer<'de>>(&mut self, column: &str, value: D, how: Read) -> Result<(), D::Error> {
        match column {
            "name" => self.name.read(value, how),
            "connected" => self.connected.read(value, how),
            _ => skip(value),
        }
    }
}
