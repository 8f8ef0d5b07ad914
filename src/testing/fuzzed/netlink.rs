//! Whatever bytes come from a netlink socket: nothing panics, and what is told of the mirror is what it holds.

use crate::planes::{
    Change, Operation, Verb,
    kernel::{
        actual::Actual,
        decode::{answer, any_route, event, ways},
        dump::Question,
        encode::Indexes,
        object::{KernelObject, NextHop, Route},
        session::Batch,
        wire::messages,
    },
};

/// Takes these bytes.
///
/// # Panics
/// If it does not hold.
pub fn takes(bytes: &[u8]) {
    let mut actual = Actual::default();
    let mut heard = false;
    for message in messages(bytes).flatten() {
        if let Ok(Some(event)) = event(&message) {
            // Dumps first, notifications after, as it is in life.
            heard |= message.sequence == 0;
            if heard { actual.hear(event) } else { actual.apply(event) }
        }
        let _ = (any_route(&message), ways(&message), answer(&message));
    }
    for table in actual.take_stale() {
        actual.replace_table(table, Vec::new());
    }
    let (told, whole) = (actual.flush(), actual.whole());
    for change in told {
        match change {
            Change::Present(object) => assert!(whole.contains(&object)),
            Change::Absent(key) => assert!(whole.iter().all(|object| object.key() != key)),
        }
    }
    for question in Question::everything() {
        let _ = question.read(7, bytes);
    }
    let route = Route {
        table: 1001,
        prefix: "10.0.0.0/8".parse().expect("a prefix"),
        metric: 0,
        next_hop: NextHop::Unreachable,
    };
    let operation = Operation { verb: Verb::Create, object: KernelObject::Route(route) };
    let mut batch = Batch::new(vec![operation], usize::MAX);
    if let Some(sent) = batch.fill(&actual, &mut Indexes::default(), 7, usize::MAX) {
        batch.absorb(&sent, bytes, &mut actual);
    }
    assert_eq!(batch.outcomes().len(), 1);
}
