//! `bgp-agent wait`: until everything wished stands.

use std::{
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use super::client;
use crate::{config::Config, control::Request};

/// How soon the agent is asked again, and how soon at last: the pause is doubled, since each question costs its loop time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// Waits; exit status 0 when it stands, 1 when the timeout (seconds) passes first, with what was missing.
pub fn run(config: &Config, timeout: f64) -> ExitCode {
    let deadline = Instant::now() + Duration::try_from_secs_f64(timeout).unwrap_or(Duration::MAX / 4);
    let mut pause = FIRST_PAUSE;
    loop {
        let answer = client::ask(&config.control_socket, &Request::Summary);
        if answer.as_ref().is_ok_and(|status| status["converged"] == true) {
            return ExitCode::SUCCESS;
        }
        if Instant::now() >= deadline {
            match answer {
                Ok(status) => eprintln!("bgp-agent: not everything wished stands: {status}"),
                Err(error) => eprintln!("bgp-agent: {error}"),
            }
            return ExitCode::FAILURE;
        }
        sleep(pause);
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}
