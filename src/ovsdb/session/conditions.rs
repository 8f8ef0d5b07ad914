//! Which rows are wanted and which ones the server believes are wanted, so that a change is sent once and its end is
//! known, through reconnects too. It sends nothing itself.
//!
//! The rule of a reconnect is that of lib/ovsdb-cs.c: the server can only tell what changed since a transaction under the
//! conditions that the replica was made with. So these go first, and new ones follow; where the answer to a change was
//! lost, nobody knows what the replica was made with, and all is read anew.

use crate::ovsdb::monitor::{TableMonitor, Where};

/// The conditions of every monitored table.
#[derive(Debug)]
pub(super) struct Conditions {
    tables: Vec<Table>,
    /// The newest wish.
    wanted: u64,
    /// The wish that the server has carried out.
    applied: u64,
    /// The wish that was sent and not yet answered.
    sent: Option<u64>,
}

#[derive(Debug)]
struct Table {
    name: &'static str,
    wanted: Where,
    /// What the server was told last.
    told: Where,
}

impl Conditions {
    pub(super) fn new(monitors: &[TableMonitor]) -> Self {
        let table = |monitor: &TableMonitor| Table {
            name: monitor.table,
            wanted: monitor.rows.clone(),
            told: monitor.rows.clone(),
        };
        Self { tables: monitors.iter().map(table).collect(), wanted: 0, applied: 0, sent: None }
    }

    /// A new wish for some tables; gives those that are not monitored at all.
    pub(super) fn want(&mut self, wishes: Vec<(&'static str, Where)>, serial: u64) -> Vec<&'static str> {
        self.wanted = serial;
        let mut strange = Vec::new();
        for (name, rows) in wishes {
            match self.tables.iter_mut().find(|table| table.name == name) {
                Some(table) => table.wanted = rows,
                None => strange.push(name),
            }
        }
        strange
    }

    /// Before a monitor request: whether the replica may be continued. The request must carry [`Conditions::told`].
    pub(super) fn resume(&mut self, possible: bool) -> bool {
        let resumes = possible && self.sent.is_none();
        if !resumes {
            self.tell();
        }
        resumes
    }

    /// What the server was told of each table, in the order of the monitors.
    pub(super) fn told(&self) -> impl Iterator<Item = &Where> {
        self.tables.iter().map(|table| &table.told)
    }

    /// The server has answered to what it was told: gives the wish that is now carried out, if it was none of before.
    pub(super) fn answered(&mut self) -> Option<u64> {
        let serial = self.sent.take()?;
        (serial != self.applied).then(|| self.applied = serial).map(|()| serial)
    }

    /// What to do about the newest wish in a live session.
    pub(super) fn next(&mut self) -> Next<'_> {
        if self.sent.is_some() || self.wanted == self.applied {
            return Next::Nothing;
        }
        let changed: Vec<usize> =
            (0..self.tables.len()).filter(|&at| self.tables[at].told != self.tables[at].wanted).collect();
        self.tell();
        if changed.is_empty() {
            return self.answered().map_or(Next::Nothing, Next::Applied);
        }
        Next::Send(changed.into_iter().map(|at| (self.tables[at].name, &self.tables[at].told)).collect())
    }

    fn tell(&mut self) {
        for table in &mut self.tables {
            table.told.clone_from(&table.wanted);
        }
        self.sent = Some(self.wanted);
    }
}

/// What to do about a wish.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Nothing,
    /// The server has these conditions already.
    Applied(u64),
    /// Tell the server the new conditions of these tables.
    Send(Vec<(&'static str, &'a Where)>),
}
