//! The course of a drain: less preferred now, withdrawn after a while, and remembered over restarts in state_dir/drain.
//! Decides nothing about prefixes; that is the reconciler's.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::reconcile::{Drain, Reconciler};

/// The course.
#[derive(Debug)]
pub struct Course {
    path: PathBuf,
    /// When the prefixes are to be withdrawn.
    withdraw: Option<Instant>,
}

/// Where a drain is remembered.
pub fn memory(state_dir: &Path) -> PathBuf {
    state_dir.join("drain")
}

/// Forgets a drain, if one is remembered there.
///
/// # Errors
/// The file cannot be removed.
pub fn forget(memory: &Path) -> io::Result<()> {
    match fs::remove_file(memory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Course {
    /// Takes up what was begun before a restart: a drain that had not withdrawn yet stays less preferred, since nobody
    /// knows how long the agent was away; and so does one of which cannot be read how far it was.
    pub fn resume(state_dir: &Path, reconciler: &mut Reconciler) -> Self {
        let path = memory(state_dir);
        match fs::read_to_string(&path).as_deref().map(str::trim) {
            Ok("withdrawn") => reconciler.set_drain(Drain::Withdrawn),
            Ok(_) => reconciler.set_drain(Drain::LessPreferred),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(%error, "{}: it cannot be read whether this node is drained: its prefixes are less preferred \
                                 until `bgp-agent undrain`", path.display());
                reconciler.set_drain(Drain::LessPreferred);
            }
        }
        Self { path, withdraw: None }
    }

    /// Drains from now on, and withdraws after `patience`; None: never.
    ///
    /// # Errors
    /// It cannot be remembered; then nothing is done.
    pub fn drain(&mut self, patience: Option<Duration>, reconciler: &mut Reconciler) -> io::Result<()> {
        if reconciler.drain() != Drain::Withdrawn {
            fs::write(&self.path, "less-preferred\n")?;
            reconciler.set_drain(Drain::LessPreferred);
        }
        self.withdraw = patience.map(|patience| Instant::now() + patience);
        Ok(())
    }

    /// Drains no more.
    ///
    /// # Errors
    /// It cannot be forgotten; then nothing is done.
    pub fn undrain(&mut self, reconciler: &mut Reconciler) -> io::Result<()> {
        forget(&self.path)?;
        self.withdraw = None;
        reconciler.set_drain(Drain::No);
        Ok(())
    }

    /// When `go_on` is due.
    pub fn due(&self) -> Option<Instant> {
        self.withdraw
    }

    /// Withdraws, if that is due.
    pub fn go_on(&mut self, now: Instant, reconciler: &mut Reconciler) {
        if self.withdraw.take_if(|at| *at <= now).is_none() {
            return;
        }
        if let Err(error) = fs::write(&self.path, "withdrawn\n") {
            tracing::error!(%error, "{}: after a restart the prefixes come back, less preferred", self.path.display());
        }
        reconciler.set_drain(Drain::Withdrawn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::peers::reconciler;

    #[test]
    fn a_drain_outlives_a_restart_until_it_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = reconciler();
        let mut course = Course::resume(dir.path(), &mut first);
        assert_eq!(first.drain(), Drain::No);
        course.drain(Some(Duration::ZERO), &mut first).unwrap();
        assert_eq!(first.drain(), Drain::LessPreferred);
        let mut second = reconciler();
        Course::resume(dir.path(), &mut second);
        assert_eq!(second.drain(), Drain::LessPreferred);
        course.go_on(Instant::now(), &mut first);
        assert_eq!(first.drain(), Drain::Withdrawn);
        let mut third = reconciler();
        let mut course = Course::resume(dir.path(), &mut third);
        assert_eq!(third.drain(), Drain::Withdrawn);
        course.undrain(&mut third).unwrap();
        let mut fourth = reconciler();
        Course::resume(dir.path(), &mut fourth);
        assert_eq!((third.drain(), fourth.drain()), (Drain::No, Drain::No));
    }

    #[test]
    fn a_drain_that_cannot_be_read_is_none_that_never_was() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(memory(dir.path()), b"\xff").unwrap();
        let mut reconciler = reconciler();
        Course::resume(dir.path(), &mut reconciler);
        assert_eq!(reconciler.drain(), Drain::LessPreferred);
    }
}
