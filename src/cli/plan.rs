//! `bgp-agent plan`: what a start would do here, as exact operations, and nothing is written.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use serde_json::json;

use super::{runtime::block_on, text::plain};
use crate::{
    agent::{
        Wish,
        rehearsal::{Rehearsed, Step, rehearse},
    },
    config::Config,
    reconcile::TenantStatus,
};

/// How it is to be shown.
#[derive(Debug, Args)]
pub struct Options {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// How long the peers may take to tell what they have, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0)]
    timeout: f64,
}

/// Exit status where something would be changed.
const CHANGES: u8 = 2;

/// Shows the plan; exit status 0: there is nothing to do, 2: there is, 1: it cannot be told as a whole.
pub fn run(config: Config, options: &Options) -> ExitCode {
    let patience = Duration::try_from_secs_f64(options.timeout).unwrap_or(Duration::from_secs(15));
    let rehearsed = match block_on(rehearse(config, Wish::Southbound, patience)) {
        Ok(Ok(rehearsed)) => rehearsed,
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    };
    if options.json {
        println!("{}", machine_readable(&rehearsed));
    } else {
        print!("{}", readable(&rehearsed));
    }
    match (&*rehearsed.unread, &*rehearsed.steps) {
        ([], []) => ExitCode::SUCCESS,
        ([], _) => ExitCode::from(CHANGES),
        _ => ExitCode::FAILURE,
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("bgp-agent: {error}");
    ExitCode::FAILURE
}

fn machine_readable(rehearsed: &Rehearsed) -> serde_json::Value {
    json!({
        "complete": rehearsed.unread.is_empty(),
        "unread": rehearsed.unread,
        "operations": rehearsed.steps,
        "problems": rehearsed.status.problems,
        "waiting": waiting(rehearsed),
    })
}

/// Tenants that would not stand after it, with why. One that seems to leave because not all was read is none of them.
fn waiting(rehearsed: &Rehearsed) -> Vec<String> {
    let tenants = rehearsed.status.tenants.iter().filter(|tenant| tenant.state != "ok");
    let seems = |tenant: &TenantStatus| tenant.state == "leaving" && tenant.reasons.is_empty();
    tenants
        .filter(|tenant| rehearsed.unread.is_empty() || !seems(tenant))
        .map(|tenant| format!("VNI {} {}: {}", tenant.vni, tenant.state, plain(&tenant.reasons.join("; "))))
        .collect()
}

/// The operations in their order, a line each.
pub fn listed(steps: &[Step]) -> String {
    let sign = |step: &Step| match step.verb {
        "create" => '+',
        "update" => '~',
        _ => '-',
    };
    steps.iter().map(|step| format!("{} {:<14} {}\n", sign(step), step.plane, plain(&step.object))).collect()
}

fn readable(rehearsed: &Rehearsed) -> String {
    let mut text = listed(&rehearsed.steps);
    for waiting in waiting(rehearsed) {
        text += &format!("! {waiting}\n");
    }
    for problem in &rehearsed.status.problems {
        text += &format!("! put aside: {}: {}\n", plain(&problem.port), plain(&problem.reason));
    }
    for unread in &rehearsed.unread {
        text += &format!("? not read: {}\n", plain(unread));
    }
    let of = |verb| rehearsed.steps.iter().filter(|step| step.verb == verb).count();
    let tenants = rehearsed.status.tenants.len();
    text + &match (&*rehearsed.unread, rehearsed.steps.len()) {
        ([], 0) => format!("{tenants} tenants, nothing to do\n"),
        ([], _) => format!(
            "{tenants} tenants: {} to create, {} to update, {} to remove; nothing was written\n",
            of("create"),
            of("update"),
            of("remove")
        ),
        _ => "this is not the whole plan: not everything could be read\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        reconcile::ProblemStatus,
        testing::{peers::reconciler, status::whole_status},
    };

    #[test]
    fn a_tenant_of_which_nothing_could_be_read_is_not_said_to_leave() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let plan = |reasons: &[&str], unread: &[&str]| {
            let mut status = whole_status();
            (status.tenants[0].state, status.tenants[0].reasons) = ("leaving", words(reasons));
            waiting(&Rehearsed { steps: Vec::new(), unread: words(unread), status })
        };
        assert_eq!(plan(&[], &["southbound: not connected yet"]), [""; 0]);
        assert_eq!(plan(&["the brake"], &["southbound"]), ["VNI 1001 leaving: the brake"]);
        assert_eq!(plan(&[], &[]), ["VNI 1001 leaving: "]);
    }

    #[test]
    fn nothing_reaches_the_terminal_raw() {
        let raw = |what: &str| format!("{what}\u{1b}[2J");
        let mut status = reconciler().status(std::time::Instant::now());
        status.problems = vec![ProblemStatus { port: raw("port"), vni: None, reason: raw("reason") }];
        let step = Step { plane: "kernel".to_owned(), verb: "create", object: raw("object") };
        let text = readable(&Rehearsed { steps: vec![step], unread: vec![raw("unread")], status });
        for part in ["port", "reason", "object", "unread"] {
            assert!(text.contains(&format!("{part}\\u{{1b}}[2J")), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
