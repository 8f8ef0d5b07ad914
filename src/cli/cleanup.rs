//! `bgp-agent cleanup`: removes all that is the agent's from this node, in the agent's own order, and nothing else.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use super::{plan::listed, runtime::block_on, text::plain};
use crate::{
    agent::{
        Wish,
        cleanup::remove_all,
        drain,
        rehearsal::{Rehearsed, rehearse},
    },
    config::Config,
};

/// What is to be removed, and how.
#[derive(Debug, Args)]
pub struct Options {
    /// Also what the Python ovn-bgp-agent left: devices, ports and FRR lines of VRFs with its whole structure.
    #[arg(long)]
    python_agent: bool,
    /// Only show what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// How long peers may take to say what they have, and how long nothing may go on.
const PATIENCE: Duration = Duration::from_secs(20);

/// Removes; exit status 0: nothing of it is left, 1: something is, and it was said why.
pub fn run(config: &Config, options: &Options) -> ExitCode {
    match clean(config, options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bgp-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn clean(config: &Config, options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let wish = if options.python_agent { Wish::NothingOfPythons } else { Wish::Nothing };
    let rehearsed = block_on(rehearse(config.clone(), wish, PATIENCE))??;
    print!("{}", listed(&rehearsed.steps));
    for unread in &rehearsed.unread {
        println!("? not read: {}", plain(unread));
    }
    let memory = drain::memory(&config.state_dir);
    let drained = memory.exists();
    if drained {
        println!("- {:<14} that this node is drained ({})", "state", memory.display());
    }
    if rehearsed.steps.is_empty() && rehearsed.unread.is_empty() && !drained {
        println!("nothing of bgp-agent's is on this node");
        return Ok(true);
    }
    if options.dry_run {
        println!("{} operations; nothing was written", rehearsed.steps.len());
        return Ok(rehearsed.unread.is_empty());
    }
    if !options.yes && !confirmed(&rehearsed)? {
        println!("nothing was written");
        return Ok(false);
    }
    let total = rehearsed.steps.len();
    let mut sent = 0;
    let cleaned = block_on(remove_all(config.clone(), wish, PATIENCE, |operation| {
        sent += 1;
        println!("[{sent}/{}] {}", total.max(sent), plain(operation));
    }))??;
    for left in &cleaned.left {
        println!("left: {}", plain(left));
    }
    println!("{} operations done", cleaned.done);
    if drained && !memory.exists() {
        println!("this node counts as drained no more");
    }
    Ok(cleaned.left.is_empty())
}

/// Asks on the terminal; without one there is nobody to say yes.
fn confirmed(rehearsed: &Rehearsed) -> std::io::Result<bool> {
    if !std::io::stdin().is_terminal() {
        eprintln!("bgp-agent: there is no terminal to ask on; give --yes if this is what you want");
        return Ok(false);
    }
    print!("Do these {} operations, which take the tenants off the fabric? [y/N] ", rehearsed.steps.len());
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
