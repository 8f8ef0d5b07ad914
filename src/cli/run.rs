//! `bgp-agent run`: the agent itself, in the foreground.

use std::{path::Path, process::ExitCode};

use super::runtime::block_on;
use crate::{agent, config::Loaded, telemetry};

/// Runs the agent on one thread until a signal ends it. `path` is where the configuration came from.
pub fn run(loaded: Loaded, path: &Path) -> ExitCode {
    telemetry::logs::start(loaded.config.debug, loaded.config.log_format);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    let ended = match block_on(agent::run(loaded.config, path)) {
        Ok(ended) => ended,
        Err(error) => {
            eprintln!("bgp-agent: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bgp-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
