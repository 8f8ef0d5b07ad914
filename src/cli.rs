//! The command line: which command with which configuration. Errors go to stderr with the exit status of their kind.

mod bgpvpn;
mod cleanup;
mod client;
mod doctor;
mod drain;
mod explain;
mod peers;
mod plan;
mod release;
mod run;
mod runtime;
mod status;
mod text;
mod wait;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::Config;

/// Where the configuration is when no option says otherwise.
const DEFAULT_CONFIG: &str = "/etc/bgp-agent/bgp-agent.conf";

/// Exit status for a wrong command line or configuration.
const WRONG_USE: u8 = 2;

/// OVN BGP agent: offers annotated OpenStack tenant networks to the fabric through BGP EVPN/VXLAN.
#[derive(Debug, Parser)]
#[command(name = "bgp-agent", version, about)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "config_dir")]
    config_file: Option<PathBuf>,
    /// Directory whose *.conf files are read in the order of their names; or a file.
    #[arg(long, global = true, value_name = "PATH")]
    config_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<CliCommand>,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run the agent in the foreground (what happens without a command, too).
    Run,
    /// Show sessions, tenants and problems of the running agent.
    Status(status::Options),
    /// Show what a start would do here, and write nothing; exit status 0: nothing to do, 2: changes, 1: not all is known.
    Plan(plan::Options),
    /// Walk from a VM's or gateway's address through OVN, the kernel, OVS and FRR to its type-5 route, as the peers really
    /// have it, and name the first link that fails; exit status 1: one does.
    Explain(explain::Options),
    /// Tell whether this node is fit for the agent, and what to do where it is not; exit status 1: something fails.
    Doctor(doctor::Options),
    /// Make this node's prefixes less preferred, and withdraw them after a while; it can be undone at any time.
    Drain(drain::Options),
    /// Advertise as ever again.
    Undrain,
    /// Let go of what the brake holds: withdraw prefixes that the Southbound had no rows of when it was read anew.
    Release,
    /// Associate routers and networks with BGP VPNs in OVN's Northbound database, and show what is.
    Bgpvpn(bgpvpn::BgpvpnArgs),
    /// Remove all that is the agent's from this node, and nothing else; no agent may run.
    Cleanup(cleanup::Options),
    /// Wait until everything wished stands; exit status 1 when that takes longer than the timeout.
    Wait {
        /// Seconds.
        #[arg(long, default_value_t = 30.0)]
        timeout: f64,
    },
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error),
    };
    let named = cli.config_file.or(cli.config_dir);
    // What only writes to OVN may run where no agent is configured.
    let needless = named.is_none() && matches!(cli.command, Some(CliCommand::Bgpvpn(_)));
    let path = named.unwrap_or_else(|| DEFAULT_CONFIG.into());
    let is_configured = !needless || path.exists();
    let loaded = match is_configured {
        true => Config::load(&path),
        false => Config::from_entries(&[]),
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("bgp-agent: {error}");
            return wrong_use(matches!(cli.command, Some(CliCommand::Plan(_))));
        }
    };
    match cli.command.unwrap_or(CliCommand::Run) {
        CliCommand::Run => run::run(loaded, &path),
        CliCommand::Status(options) => status::run(&loaded.config, &options),
        CliCommand::Plan(options) => plan::run(loaded.config, &options),
        CliCommand::Explain(options) => explain::run(&loaded.config, &options),
        CliCommand::Doctor(options) => doctor::run(&loaded.config, &options),
        CliCommand::Drain(options) => drain::drain(&loaded.config, &options),
        CliCommand::Undrain => drain::undrain(&loaded.config),
        CliCommand::Release => release::run(&loaded.config),
        CliCommand::Bgpvpn(args) => bgpvpn::run(&loaded.config, is_configured, args),
        CliCommand::Cleanup(options) => cleanup::run(&loaded.config, &options),
        CliCommand::Wait { timeout } => wait::run(&loaded.config, timeout),
    }
}

/// Shows what is wrong with the command line, or the help or version that it asks for.
fn not_parsed(error: &clap::Error) -> ExitCode {
    // Where it cannot be shown nobody can be told that.
    let _ = error.print();
    match error.use_stderr() {
        true => wrong_use(names_plan(std::env::args_os().skip(1))),
        false => ExitCode::SUCCESS,
    }
}

/// A plan's 2 says that there are changes, which nobody knows here.
fn wrong_use(is_plan: bool) -> ExitCode {
    if is_plan { ExitCode::FAILURE } else { ExitCode::from(WRONG_USE) }
}

/// Whether a command line that cannot be parsed is a plan's: by its first word that is a command.
fn names_plan(mut words: impl Iterator<Item = OsString>) -> bool {
    let cli = Cli::command();
    words.find(|word| cli.find_subcommand(word).is_some()).is_some_and(|word| word == "plan")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_known_by_its_line_though_that_is_wrong() {
        let names_plan = |line: &str| names_plan(line.split(' ').map(OsString::from));
        for line in ["plan --bogus", "--bogus plan", "--config-file x plan --timeout", "plan --config-dir"] {
            assert!(names_plan(line), "{line}");
        }
        for line in ["status --bogus", "explain plan --bogus", "bgpvpn associate --router plan", "--plan", ""]
        {
            assert!(!names_plan(line), "{line}");
        }
    }
}
