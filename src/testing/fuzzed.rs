//! What the fuzz targets call, one file each; and every file of their corpora once, as plain tests.

pub mod netlink;
pub mod openflow;
pub mod ovsdb;
pub mod vty;

#[cfg(test)]
mod tests {
    use std::{fs, panic, path::Path};

    /// Replays the corpus of a target; a file that it does not bear is named.
    fn replay(target: &str, takes: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut files = 0;
        for file in fs::read_dir(&corpus).unwrap() {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            assert!(panic::catch_unwind(|| takes(&bytes)).is_ok(), "{}", path.display());
            files += 1;
        }
        assert!(files > 0, "{} is empty", corpus.display());
    }

    #[test]
    fn the_corpora_are_borne() {
        replay("netlink", super::netlink::takes);
        replay("openflow", super::openflow::takes);
        replay("ovsdb", super::ovsdb::takes);
        replay("vty", super::vty::takes);
        replay("converge", crate::testing::converge::converges);
    }
}
