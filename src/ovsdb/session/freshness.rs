//! Whether a member of a cluster is behind what another one has told before, as lib/ovsdb-cs.c decides it: by the index of
//! its log in _Server. Pure; time is passed in.
//!
//! The index of a busy cluster changes with every transaction of anybody, so it is not monitored but asked for: at each
//! connect, and after changes that reach us.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::ovsdb::{ProtocolError, rpc::parse};

/// So long only a server with what was seen is good enough. Then the newer data is taken to be lost, as when a cluster is
/// made anew from a backup.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was seen of a cluster.
#[derive(Debug, Default)]
pub struct Freshness {
    seen: Option<Place>,
    /// Since when only older servers have been found.
    behind_since: Option<Instant>,
    /// A question is under way.
    asked: bool,
    /// There was a change since it was asked.
    again: bool,
}

/// A place in a cluster's log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    cluster: String,
    index: u64,
}

impl Freshness {
    /// A change has reached us: the place is to be asked for anew, where there is a cluster.
    pub fn changed(&mut self) {
        self.again = self.seen.is_some();
    }

    /// What is to be asked now, as the parameters of a `transact`: None while an answer is due, or nothing has changed.
    pub fn question(&mut self, database: &str) -> Option<impl Serialize + use<>> {
        if self.asked || !self.again {
            return None;
        }
        Some(self.first_question(database))
    }

    /// The same for a new connection.
    pub fn first_question(&mut self, database: &str) -> impl Serialize + use<> {
        (self.asked, self.again) = (true, false);
        let rows = json!([["name", "==", database]]);
        json!(["_Server", {"op": "select", "table": "Database", "where": rows, "columns": ["index", "cid"]}])
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// The server is behind.
    pub fn answered(&mut self, result: &str, now: Instant) -> Result<(), ProtocolError> {
        self.asked = false;
        let place = Place::read(&parse("place in its cluster's log", result)?);
        if let (Some(seen), Some(place)) = (&self.seen, &place)
            && seen.cluster == place.cluster
            && place.index < seen.index
        {
            let since = *self.behind_since.get_or_insert(now);
            if now < since + PATIENCE {
                let (index, known) = (place.index, seen.index);
                return Err(ProtocolError(format!(
                    "the server is behind: its cluster's log is at {index}, and was seen at {known} before"
                )));
            }
            tracing::warn!(
                seen = seen.index,
                index = place.index,
                "no server of the cluster has had what was seen for {} s: it is taken to be lost",
                PATIENCE.as_secs()
            );
        }
        (self.seen, self.behind_since) = (place, None);
        Ok(())
    }
}

impl Place {
    /// None: a server alone, or one of before OVS 2.9.
    fn read(result: &Value) -> Option<Self> {
        let row = &result[0]["rows"][0];
        Some(Self { cluster: row["cid"][1].as_str()?.to_owned(), index: row["index"].as_u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cluster: &str, index: u64) -> String {
        json!([{"rows": [{"cid": ["uuid", cluster], "index": index}]}]).to_string()
    }

    fn alone() -> String {
        json!([{"rows": [{"cid": ["set", []], "index": ["set", []]}]}]).to_string()
    }

    #[test]
    fn an_older_server_is_left_until_nothing_newer_can_be_hoped_for() {
        let (mut freshness, start) = (Freshness::default(), Instant::now());
        freshness.answered(&row("a", 7), start).unwrap();
        freshness.answered(&row("a", 7), start).unwrap();
        let error = freshness.answered(&row("a", 6), start).unwrap_err();
        assert!(error.to_string().contains("at 6, and was seen at 7"), "{error}");
        freshness.answered(&row("a", 9), start + PATIENCE / 2).unwrap();
        freshness.answered(&row("a", 8), start + PATIENCE).unwrap_err();
        freshness.answered(&row("a", 8), start + PATIENCE * 2).unwrap();
        freshness.answered(&row("a", 8), start + PATIENCE * 2).unwrap();
    }

    #[test]
    fn another_cluster_and_a_server_alone_have_a_count_of_their_own() {
        let (mut freshness, now) = (Freshness::default(), Instant::now());
        freshness.answered(&row("a", 7), now).unwrap();
        freshness.answered(&row("b", 1), now).unwrap();
        freshness.answered(&alone(), now).unwrap();
        freshness.changed();
        assert!(freshness.question("x").is_none(), "a server alone is not asked again");
    }

    #[test]
    fn the_last_change_is_always_followed_by_a_question() {
        let (mut freshness, now) = (Freshness::default(), Instant::now());
        freshness.answered(&row("a", 1), now).unwrap();
        assert!(freshness.question("x").is_none(), "nothing has changed");
        freshness.changed();
        assert!(freshness.question("x").is_some());
        freshness.changed();
        assert!(freshness.question("x").is_none(), "the answer is due");
        freshness.answered(&row("a", 2), now).unwrap();
        assert!(freshness.question("x").is_some(), "for the second change");
        freshness.answered(&row("a", 3), now).unwrap();
        assert!(freshness.question("x").is_none());
    }
}
