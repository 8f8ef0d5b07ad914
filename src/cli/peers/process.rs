//! Processes of this node, as /proc tells of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A process.
#[derive(Debug)]
pub struct Process {
    directory: PathBuf,
}

/// Clock ticks per second, as /proc shows times: USER_HZ is 100 on every architecture that Debian has.
const TICKS: f64 = 100.0;

impl Process {
    /// The processes of this program name (as in `comm`, 15 bytes of it), in a `/proc`.
    pub fn named(proc: &Path, name: &str) -> Vec<Self> {
        let short: String = name.chars().take(15).collect();
        let entries = fs::read_dir(proc).into_iter().flatten().flatten();
        let directories = entries.map(|entry| entry.path());
        let is_it =
            |path: &PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == short);
        directories.filter(is_it).map(|directory| Self { directory }).collect()
    }

    /// How long after the boot it was started, in seconds (proc(5), field 22 of stat; the name may hold spaces).
    pub fn started(&self) -> Option<f64> {
        let stat = fs::read_to_string(self.directory.join("stat")).ok()?;
        let fields = stat.rsplit_once(')')?.1;
        let ticks: f64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(ticks / TICKS)
    }

    /// How many of its threads have names that begin so.
    pub fn threads(&self, prefix: &str) -> usize {
        let entries = fs::read_dir(self.directory.join("task")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok());
        names.filter(|name| name.starts_with(prefix)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_with_its_start() {
        let own = Process { directory: "/proc/self".into() };
        assert!(own.started().unwrap() > 0.0 && own.threads("") > 0);
    }
}
