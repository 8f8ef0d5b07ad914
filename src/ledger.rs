//! The ledger: which VNIs this node holds, written before anything of them is made, and which it held, from when all of it
//! is gone.
//!
//! It is what survives a crash where the peers keep no mark: FRR's stanzas carry none, and they may come back long after
//! their VNI has left, from a file that FRR had saved before. One JSON file in state_dir,
//! replaced as a whole (write, fsync, rename, fsync of the directory).

pub mod io;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Error, ErrorKind, Result, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::model::{Asn, Vni};

/// What is held for a VNI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The VNI.
    pub vni: Vni,
    /// The AS of its BGP instance.
    pub asn: Asn,
    /// The logical ports of the gateways that hold it, in order.
    pub gateways: Vec<Box<str>>,
    /// It is held no more.
    pub left: bool,
}

/// All that is or was held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: BTreeMap<Vni, Entry>,
}

impl Ledger {
    /// What is held for a VNI.
    pub fn get(&self, vni: Vni) -> Option<&Entry> {
        self.entries.get(&vni).filter(|entry| !entry.left)
    }

    /// The AS with which a VNI was held that has left.
    pub fn left(&self, vni: Vni) -> Option<Asn> {
        self.entries.get(&vni).filter(|entry| entry.left).map(|entry| entry.asn)
    }

    /// Everything that is or was held, by VNI.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Holds this, instead of what was held for its VNI.
    pub fn put(&mut self, entry: Entry) {
        self.entries.insert(entry.vni, entry);
    }

    /// Holds nothing for this VNI any more.
    pub fn remove(&mut self, vni: Vni) {
        if let Some(entry) = self.entries.get_mut(&vni) {
            (entry.left, entry.gateways) = (true, Vec::new());
        }
    }
}

/// An entry as it stands in the file.
#[derive(Deserialize, Serialize)]
struct Line {
    vni: u32,
    #[serde(rename = "as")]
    asn: u32,
    gateways: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
}

/// The file of a ledger.
#[derive(Clone, Debug)]
pub struct LedgerFile {
    path: PathBuf,
}

/// The file's name in the state directory.
const FILE_NAME: &str = "ledger.json";

impl LedgerFile {
    /// The ledger at this path.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads it; empty where there is no file yet. An unreadable ledger is an error, never an empty one: with an empty
    /// one the agent would forget what it left in FRR.
    pub fn read(&self) -> Result<Ledger> {
        let text = match fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ledger::default()),
            read => read?,
        };
        let damaged = |what: String| Error::new(ErrorKind::InvalidData, what);
        let lines: Vec<Line> = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let mut ledger = Ledger::default();
        for Line { vni, asn, gateways, left } in lines {
            match (Vni::new(vni), Asn::new(asn)) {
                (Some(vni), Some(asn)) => ledger.put(Entry { vni, asn, gateways, left }),
                _ => return Err(damaged(format!("VNI {vni} with AS {asn} is no entry"))),
            }
        }
        Ok(ledger)
    }

    /// Writes it, safely on disk when this returns.
    pub fn write(&self, ledger: &Ledger) -> Result<()> {
        let line = |entry: &Entry| Line {
            vni: entry.vni.get(),
            asn: entry.asn.get(),
            gateways: entry.gateways.clone(),
            left: entry.left,
        };
        let lines: Vec<Line> = ledger.entries().map(line).collect();
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&lines)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(dir.path().join("state").join(FILE_NAME));
        assert_eq!(file.read().unwrap(), Ledger::default());
        let mut ledger = Ledger::default();
        ledger.put(Entry {
            vni: Vni::new(1001).unwrap(),
            asn: Asn::new(64999).unwrap(),
            gateways: vec!["cr-lrp-\"x".into()],
            left: false,
        });
        file.write(&ledger).unwrap();
        assert_eq!(file.read().unwrap(), ledger);
        let vni = Vni::new(1001).unwrap();
        ledger.remove(vni);
        file.write(&ledger).unwrap();
        assert_eq!(file.read().unwrap(), ledger);
        assert_eq!((ledger.get(vni), ledger.left(vni)), (None, Asn::new(64999)));
    }

    #[test]
    fn a_damaged_ledger_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(dir.path().join(FILE_NAME));
        for damaged in ["", "{", r#"[{"vni":0,"as":1,"gateways":[]}]"#] {
            fs::write(&file.path, damaged).unwrap();
            assert_eq!(file.read().unwrap_err().kind(), ErrorKind::InvalidData, "{damaged}");
        }
    }
}
