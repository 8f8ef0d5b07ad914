//! The changes that a monitor tells: `<table-updates2>` of its first reply, of `update2` and of `update3` (ovsdb-server(7)
//! 4.1.14 to 4.1.16), found in the frame and left there. It keeps no rows.

use std::{collections::HashSet, fmt, ops::Range};

use serde::{Deserialize, de::Error};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    ProtocolError,
    frame::Frame,
    row::{Kind, RawChange, RawRow},
    value::decode::{Text, parse_uuid},
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

/// The changes that one message tells. They are one step: between them the database has no state. Rows are JSON, but for those
/// of a [`Origin::Reload`], which may be very many: whether they are is seen when they are made typed.
#[derive(Clone, Debug)]
pub struct Updates {
    /// Where they come from.
    pub origin: Origin,
    frame: Frame,
    tables: Vec<Box<str>>,
    changes: Vec<Span>,
}

/// One change: which table, and where in the frame its row is.
#[derive(Clone, Debug)]
struct Span {
    table: usize,
    uuid: Uuid,
    kind: Kind,
    place: Range<usize>,
}

impl Updates {
    /// Finds the changes in a `<table-updates2>` of this frame.
    pub(super) fn parse(frame: &Frame, updates: &str, origin: Origin) -> Result<Self, ProtocolError> {
        let (mut found, mut cursor) = (Self::none(frame, origin), Cursor::new(frame, updates));
        found.tables(&mut cursor)?;
        cursor.end()?;
        Ok(found)
    }

    /// These changes as a server would tell them.
    #[cfg(test)]
    pub fn told(updates: &impl fmt::Display, origin: Origin) -> Self {
        let mut framer = super::frame::Framer::default();
        let message = format!(r#"{{"params":["data","{}",{updates}]}}"#, Uuid::nil());
        framer.buffer().extend_from_slice(message.as_bytes());
        let frame = framer.next_frame().unwrap().unwrap();
        let (_, params) = frame.members().next().unwrap();
        Self::parse_told::<Text<'_>>(&frame, params, |_| origin).unwrap().2
    }

    /// Reads `[first, transaction, <table-updates2>]`, the shape of a monitor's first reply and of `update3`, in one go:
    /// these may be large. Gives the first element, by which is known where the changes come from, the transaction, and the
    /// changes.
    pub(super) fn parse_told<'f, T: Deserialize<'f>>(
        frame: &'f Frame,
        told: &'f str,
        origin: impl Fn(&T) -> Origin,
    ) -> Result<(T, Uuid, Self), ProtocolError> {
        let mut cursor = Cursor::new(frame, told);
        cursor.pass(b'[')?;
        let first = cursor.value()?;
        let mut found = Self::none(frame, origin(&first));
        if found.reload() {
            cursor.rows = frame.rows();
        }
        cursor.pass(b',')?;
        let Text(transaction) = cursor.value()?;
        let transaction =
            parse_uuid(&transaction).ok_or_else(|| malformed("it names a transaction that is no uuid"))?;
        cursor.pass(b',')?;
        found.tables(&mut cursor)?;
        cursor.pass(b']')?;
        cursor.end()?;
        Ok((first, transaction, found))
    }

    /// `{table: {uuid: {kind: row}}}`
    fn tables(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ProtocolError> {
        let mut names = HashSet::new();
        cursor.members(|cursor, name| {
            self.tables.push((&*name.0).into());
            if !names.insert(name) {
                return Err(malformed("a table is there twice"));
            }
            cursor.members(|cursor, name| {
                let uuid = parse_uuid(&name.0).ok_or_else(|| malformed("a row's key is no uuid"))?;
                self.change(cursor, uuid)
            })
        })
    }

    /// `{kind: row}`
    fn change(&mut self, cursor: &mut Cursor<'_>, uuid: Uuid) -> Result<(), ProtocolError> {
        let (before, table) = (self.changes.len(), self.tables.len().saturating_sub(1));
        cursor.members(|cursor, word| {
            let kind = match &*word.0 {
                "initial" => Kind::Initial,
                "insert" => Kind::Insert,
                "modify" => Kind::Modify,
                "delete" => Kind::Delete,
                _ => return Err(malformed("a change that is not initial, insert, modify or delete")),
            };
            if self.changes.len() != before {
                return Err(malformed("a row with two changes"));
            }
            self.changes.push(Span { table, uuid, kind, place: cursor.row()? });
            Ok(())
        })?;
        match self.changes.len() == before {
            true => Err(malformed("a row without a change")),
            false => Ok(()),
        }
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
        let text = self.frame.text();
        self.changes.iter().map(move |change| RawChange {
            table: &self.tables[change.table],
            uuid: change.uuid,
            kind: change.kind,
            row: RawRow::new(change.uuid, &text[change.place.clone()]),
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

fn malformed(why: impl fmt::Display) -> ProtocolError {
    ProtocolError(format!("an update is malformed: {why}"))
}

/// Reads a part of a frame piece by piece.
struct Cursor<'f> {
    frame: &'f Frame,
    text: &'f str,
    at: usize,
    /// Rows that are passed over in one step, by what the framer has noted, so that their bytes are parsed once.
    rows: &'f [Range<usize>],
    /// Where in the frame the text begins.
    begin: usize,
}

impl<'f> Cursor<'f> {
    fn new(frame: &'f Frame, text: &'f str) -> Self {
        let begin = frame.place_of(text).map_or(0, |place| place.start);
        Self { frame, text, at: 0, rows: &[], begin }
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    /// Goes behind this byte, if it is what comes next.
    fn passes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn pass(&mut self, byte: u8) -> Result<(), ProtocolError> {
        match self.passes(byte) {
            true => Ok(()),
            false => {
                let at = self.begin + self.at;
                Err(malformed(format!("no {:?} at byte {at} of the message", char::from(byte))))
            }
        }
    }

    /// The next value.
    fn value<T: Deserialize<'f>>(&mut self) -> Result<T, ProtocolError> {
        let mut values = serde_json::Deserializer::from_str(&self.text[self.at..]).into_iter();
        let value = values.next().unwrap_or_else(|| Err(serde_json::Error::custom("a value is missing")));
        self.at += values.byte_offset();
        value.map_err(malformed)
    }

    /// Where in the frame the next value is.
    fn row(&mut self) -> Result<Range<usize>, ProtocolError> {
        self.skip_space();
        let at = self.begin + self.at;
        while let [passed, rest @ ..] = self.rows
            && passed.start < at
        {
            self.rows = rest;
        }
        if let [row, ..] = self.rows
            && row.start == at
        {
            self.at += row.len();
            return Ok(row.clone());
        }
        let row = self.value::<&RawValue>()?;
        self.frame.place_of(row.get()).ok_or_else(|| malformed("a row is not where it was told"))
    }

    /// The members of the object that comes next; `each` reads the value.
    fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'f>) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        self.pass(b'{')?;
        if self.passes(b'}') {
            return Ok(());
        }
        loop {
            let name = self.value()?;
            self.pass(b':')?;
            each(self, name)?;
            if self.passes(b'}') {
                return Ok(());
            }
            self.pass(b',')?;
        }
    }

    /// Nothing is left.
    fn end(&mut self) -> Result<(), ProtocolError> {
        self.skip_space();
        match self.at == self.text.len() {
            true => Ok(()),
            false => Err(malformed("it goes on behind its changes")),
        }
    }
}
