//! `bgp-agent drain` and `undrain`: this node's prefixes less preferred, then withdrawn, and back.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::Args;
use serde_json::Value;

use super::{client, text::plain};
use crate::{config::Config, control::Request};

/// How far, and how fast.
#[derive(Debug, Args)]
pub struct Options {
    /// Withdraw after so many seconds; the fabric has turned to other nodes by then, if there are any.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u32,
    /// Only make them less preferred, and withdraw nothing.
    #[arg(long, conflicts_with = "wait")]
    keep: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Drains; exit status 0: it has begun, 1: it was not wanted, 3: there is no agent to tell.
pub fn drain(config: &Config, options: &Options) -> ExitCode {
    let status = match client::ask(&config.control_socket, &Request::Status) {
        Ok(status) => status,
        Err(error) => return no_agent(&error.to_string()),
    };
    let gateways = gateways(&status);
    print!("{}{}", advice(&gateways, options.keep), braked(&status));
    if !gateways.is_empty() && !options.keep && !options.yes && !confirmed() {
        println!("nothing was changed");
        return ExitCode::FAILURE;
    }
    let withdraw_after = (!options.keep).then_some(options.wait);
    tell(config, &Request::Drain { withdraw_after })
}

/// Drains no more; exit status as `drain`.
pub fn undrain(config: &Config) -> ExitCode {
    tell(config, &Request::Undrain)
}

fn tell(config: &Config, request: &Request) -> ExitCode {
    match client::ask(&config.control_socket, request) {
        Ok(answer) => match answer["drain"].as_str() {
            Some("no") => {
                println!("not drained: prefixes are advertised as ever");
                ExitCode::SUCCESS
            }
            Some(drain) => {
                println!("drained: {drain}; bgp-agent undrain takes it back");
                ExitCode::SUCCESS
            }
            None => no_agent("no answer"),
        },
        Err(error) => no_agent(&error.to_string()),
    }
}

fn no_agent(error: &str) -> ExitCode {
    eprintln!("bgp-agent: {}", plain(error));
    ExitCode::from(3)
}

/// The router gateways that OVN has on this node.
fn gateways(status: &Value) -> Vec<String> {
    let tenants = status["tenants"].as_array().into_iter().flatten();
    let gateways = tenants.flat_map(|tenant| tenant["gateways"].as_array().into_iter().flatten());
    gateways.filter_map(|gateway| gateway.as_str().map(plain)).collect()
}

/// What a drain can do alone, and what it cannot.
fn advice(gateways: &[String], keep: bool) -> String {
    if gateways.is_empty() {
        return "OVN has no annotated gateway on this node: a drain hurts nobody. Gateways that come are advertised less \
                preferred, or not at all.\n"
            .to_owned();
    }
    let mut text = format!(
        "OVN has {} annotated gateways on this node. Only the node that holds a gateway advertises its tenant, so no other \
         node takes over by this alone: move them in OVN first, for each\n",
        gateways.len()
    );
    for gateway in gateways.iter().take(10) {
        let port = gateway.trim_start_matches("cr-");
        text += &format!("  ovn-nbctl lrp-set-gateway-chassis {port} OTHER_CHASSIS 100\n");
    }
    text + match keep {
        true => {
            "Less preferred alone is what you want before that: the other node's routes win as soon as they are there.\n"
        }
        false => "Tenants whose gateway is still here are cut off from the fabric once they are withdrawn.\n",
    }
}

/// A drain goes by what OVN has, and does not touch what is held because OVN does not have it any more.
fn braked(status: &Value) -> String {
    match status["brake"]["held_prefixes"].as_u64() {
        Some(held) => format!(
            "The brake holds {held} prefixes: they stay advertised as they are, drained or not, until `bgp-agent release`.\n"
        ),
        None => String::new(),
    }
}

fn confirmed() -> bool {
    if !io::stdin().is_terminal() {
        eprintln!("bgp-agent: there is no terminal to ask on; give --yes if this is what you want");
        return false;
    }
    print!("Withdraw them all the same? [y/N] ");
    let mut answer = String::new();
    let asked = io::stdout().flush().and_then(|()| io::stdin().read_line(&mut answer));
    asked.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_moved_first_is_named() {
        let status = serde_json::json!({"tenants": [{"gateways": ["cr-lrp-a"]}, {"gateways": []}]});
        let gateways = gateways(&status);
        assert!(advice(&gateways, false).contains("lrp-set-gateway-chassis lrp-a "));
        assert!(advice(&[], false).contains("hurts nobody"));
        assert_eq!(braked(&status), "");
        assert!(braked(&serde_json::json!({"brake": {"held_prefixes": 7}})).contains("holds 7 prefixes"));
    }
}
