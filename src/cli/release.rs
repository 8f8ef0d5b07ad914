//! `bgp-agent release`: the operator's word that a mass withdrawal which the brake holds is meant.

use std::process::ExitCode;

use super::client;
use crate::{config::Config, control::Request};

/// Releases; exit status 0, also when nothing was held, and 3 when there was no agent to tell.
pub fn run(config: &Config) -> ExitCode {
    match client::ask(&config.control_socket, &Request::Release) {
        Ok(answer) => {
            println!("{}", words(&answer));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bgp-agent: {error}");
            ExitCode::from(3)
        }
    }
}

fn words(answer: &serde_json::Value) -> String {
    match answer["released"].as_u64() {
        Some(0) => "nothing was held".to_owned(),
        Some(prefixes) => format!("released: {prefixes} prefixes are withdrawn"),
        None => format!("the agent says: {answer}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_released_is_said() {
        assert_eq!(words(&serde_json::json!({ "released": 0 })), "nothing was held");
        assert!(words(&serde_json::json!({ "released": 150 })).contains("150 prefixes"));
        assert!(words(&serde_json::json!({ "drain": "no" })).contains("drain"));
    }
}
