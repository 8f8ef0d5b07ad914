//! The file system that is looked at: this host's, or one of a test's making.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Its root.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// This host's.
    pub fn of_host() -> Self {
        Self("/".into())
    }

    /// A test's.
    #[cfg(test)]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where a path of the host's is.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A file's text; None where it cannot be read.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    /// A setting under /proc/sys.
    pub fn sysctl(&self, path: &str) -> Option<String> {
        Some(self.text(Path::new("/proc/sys").join(path))?.trim().to_owned())
    }

    /// The texts of the files in these directories whose names end so, in the order of directories and names.
    pub fn texts_in(&self, directories: &[&str], ending: &str) -> String {
        directories.iter().map(|directory| self.texts_of(directory, ending)).collect()
    }

    fn texts_of(&self, directory: &str, ending: &str) -> String {
        let entries = fs::read_dir(self.path(directory)).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
        paths.sort();
        paths.iter().map(|path| fs::read_to_string(path).unwrap_or_default() + "\n").collect()
    }
}
