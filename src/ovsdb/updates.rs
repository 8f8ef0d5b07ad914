//! The changes that a monitor tells: `<table-updates2>` of its first reply, of `update2` and of `update3` (ovsdb-server(7)
//! 4.1.14 to 4.1.16), found in the frame and left there. It keeps no rows.

use std::{collections::HashSet, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    ProtocolError,
    frame::Frame,
    row::{Kind, RawChange, RawRow},
    value::decode::{Text, next, parse_uuid},
};

/// Where changes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The first reply of a connection, with all rows: what was known before is void.
    Reload,
    /// The first reply of a connection, with what changed since the one before: what was known stays.
    Resume,
    /// What changed since, in a live session.
    Live,
}

/// The changes that one message tells, all checked for form. They are one step: between them the database has no state.
#[derive(Clone, Debug)]
pub struct Updates {
    /// Where they come from.
    pub origin: Origin,
    frame: Frame,
    tables: Vec<Box<str>>,
    changes: Vec<Span>,
}

/// One change: which table, and where in the frame its row is.
#[derive(Clone, Copy, Debug)]
struct Span {
    table: usize,
    uuid: Uuid,
    kind: Kind,
    start: usize,
    end: usize,
}

impl Updates {
    /// Finds the changes in a `<table-updates2>` of this frame.
    pub(super) fn parse(frame: &Frame, updates: &RawValue, origin: Origin) -> Result<Self, ProtocolError> {
        let mut found = Self::none(frame, origin);
        let mut json = serde_json::Deserializer::from_str(updates.get());
        let read = Tables(&mut found).deserialize(&mut json).and_then(|()| json.end());
        read.map_err(malformed)?;
        Ok(found)
    }

    /// These changes as a server would tell them.
    #[cfg(test)]
    pub fn told(updates: &serde_json::Value, origin: Origin) -> Self {
        let mut framer = super::frame::Framer::default();
        framer.buffer().extend_from_slice(updates.to_string().as_bytes());
        let frame = framer.next_frame().unwrap().unwrap();
        Self::parse(&frame, serde_json::from_slice(frame.bytes()).unwrap(), origin).unwrap()
    }

    /// Reads `[first, transaction, <table-updates2>]`, the shape of a monitor's first reply and of `update3`, in one go:
    /// these may be large. Gives the first element, the transaction, and the changes, as of a live session.
    pub(super) fn parse_told<'f, T: Deserialize<'f>>(
        frame: &Frame,
        told: &'f RawValue,
    ) -> Result<(T, Uuid, Self), ProtocolError> {
        let mut found = Self::none(frame, Origin::Live);
        let mut json = serde_json::Deserializer::from_str(told.get());
        let read = Told(&mut found, PhantomData::<T>).deserialize(&mut json);
        let (first, transaction) = read.and_then(|read| json.end().map(|()| read)).map_err(malformed)?;
        let transaction = parse_uuid(&transaction.0)
            .ok_or_else(|| ProtocolError("an update names a transaction that is no uuid".into()))?;
        Ok((first, transaction, found))
    }

    fn none(frame: &Frame, origin: Origin) -> Self {
        Self { origin, frame: frame.clone(), tables: Vec::new(), changes: Vec::new() }
    }

    /// Whether the replica must be replaced by this.
    pub fn reload(&self) -> bool {
        self.origin == Origin::Reload
    }

    /// The changes in the order of the message, by table.
    pub fn iter(&self) -> impl Iterator<Item = RawChange<'_>> {
        self.changes.iter().map(|change| RawChange {
            table: &self.tables[change.table],
            uuid: change.uuid,
            kind: change.kind,
            row: RawRow::new(change.uuid, &self.frame.bytes()[change.start..change.end]),
        })
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

fn malformed(error: serde_json::Error) -> ProtocolError {
    ProtocolError(format!("an update is malformed: {error}"))
}

/// `[first, transaction, {table: {uuid: {kind: row}}}]`
struct Told<'u, T>(&'u mut Updates, PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Told<'_, T> {
    type Value = (T, Text<'de>);

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Told<'_, T> {
    type Value = (T, Text<'de>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of three: the monitor or whether it resumes, a transaction, and changes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let first = next(&mut seq, "the monitor, or whether it resumes,")?;
        let transaction = next(&mut seq, "the transaction")?;
        seq.next_element_seed(Tables(self.0))?.ok_or_else(|| A::Error::custom("the changes are missing"))?;
        match seq.next_element::<IgnoredAny>()? {
            Some(_) => Err(A::Error::custom("an update with more than its changes")),
            None => Ok((first, transaction)),
        }
    }
}

/// `{table: {uuid: {kind: row}}}`
struct Tables<'u>(&'u mut Updates);

/// `{uuid: {kind: row}}`
struct Rows<'u>(&'u mut Updates);

/// `{kind: row}`
struct OneRow<'u>(&'u mut Updates, Uuid);

macro_rules! from_map {
    ($seed:ident) => {
        impl<'de> DeserializeSeed<'de> for $seed<'_> {
            type Value = ();

            fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_map(self)
            }
        }
    };
}

from_map!(Tables);
from_map!(Rows);
from_map!(OneRow);

impl<'de> Visitor<'de> for Tables<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tables")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<Text<'de>>()? {
            self.0.tables.push((&*name.0).into());
            if !names.insert(name) {
                return Err(A::Error::custom("a table is there twice"));
            }
            map.next_value_seed(Rows(self.0))?;
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of rows")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let uuid = parse_uuid(&name.0).ok_or_else(|| A::Error::custom("a row's key is no uuid"))?;
            map.next_value_seed(OneRow(self.0, uuid))?;
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for OneRow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of initial, insert, modify or delete")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(updates, uuid) = self;
        let Some((word, row)) = map.next_entry::<Text<'de>, &'de RawValue>()? else {
            return Err(A::Error::custom("a row without a change"));
        };
        let kind = match &*word.0 {
            "initial" => Kind::Initial,
            "insert" => Kind::Insert,
            "modify" => Kind::Modify,
            "delete" => Kind::Delete,
            _ => return Err(A::Error::custom("a change that is not initial, insert, modify or delete")),
        };
        let text = row.get().as_bytes();
        let start = (text.as_ptr() as usize).saturating_sub(updates.frame.bytes().as_ptr() as usize);
        let table = updates.tables.len().saturating_sub(1);
        updates.changes.push(Span { table, uuid, kind, start, end: start + text.len() });
        match map.next_key::<IgnoredAny>()? {
            Some(_) => Err(A::Error::custom("a row with two changes")),
            None => Ok(()),
        }
    }
}
