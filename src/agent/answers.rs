//! What the loop answers to those who ask: from the reconciler, at the cost of what is told.

use std::time::{Duration, Instant};

use super::drain::Course;
use crate::{
    control::{Answer, MAX_PREFIXES, Request},
    model::Vni,
    reconcile::Reconciler,
};

/// The answer to one question.
pub fn answer(reconciler: &mut Reconciler, course: &mut Course, request: &Request) -> Answer {
    match request {
        Request::Status => Answer::Status(Box::new(reconciler.status(Instant::now()))),
        Request::Summary => Answer::Summary(reconciler.summary(Instant::now())),
        Request::Prefixes { vni, after } => match Vni::new(*vni) {
            Some(vni) => Answer::Prefixes { prefixes: reconciler.prefixes(vni, *after, MAX_PREFIXES) },
            None => Answer::Error { error: format!("{vni} is no VNI: 1 to {}", Vni::MAX) },
        },
        Request::Find { address } => Answer::Prefixes { prefixes: reconciler.find(*address) },
        Request::Release => Answer::Released { released: reconciler.release() },
        Request::Drain { withdraw_after } => {
            let patience = withdraw_after.map(|seconds| Duration::from_secs(seconds.into()));
            drained(course.drain(patience, reconciler), reconciler)
        }
        Request::Undrain => drained(course.undrain(reconciler), reconciler),
    }
}

fn drained(done: std::io::Result<()>, reconciler: &Reconciler) -> Answer {
    match done {
        Ok(()) => Answer::Drain { drain: reconciler.drain() },
        Err(error) => Answer::Error { error: format!("state_dir: {error}") },
    }
}
