//! The runtime of those commands that open the agent's own sessions.

use std::{future::Future, io};

/// Runs this to its end on one thread, and does not wait for what is left behind.
pub fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // What a blocking task still writes is not waited for longer than an operator would.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    Ok(done)
}
