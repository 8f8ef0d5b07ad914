//! `bgp-agent doctor`: whether this node is fit for the agent, a line per check, and what to do about what is not. It
//! reads, and changes nothing.

mod fabric;
mod frr;
mod host;
mod kernel;
pub mod ovs;
mod rights;
mod root;
mod underlay;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::text::plain;
use crate::config::Config;

/// How it is to be shown.
#[derive(Debug, Args)]
pub struct Options {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// How well a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It may hurt, or hurts only some.
    Warn,
    /// With this, tenants do not work.
    Fail,
}

/// What was found out about one thing.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// How well it is.
    pub level: Level,
    /// What it is about.
    pub area: &'static str,
    /// What was seen.
    pub seen: String,
    /// What to do about it; empty: nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// The findings as they come.
#[derive(Debug, Default)]
pub struct Findings {
    area: &'static str,
    all: Vec<Finding>,
}

impl Findings {
    /// What follows is about this.
    pub fn about(&mut self, area: &'static str) {
        self.area = area;
    }

    /// As it should be.
    pub fn ok(&mut self, seen: impl Into<String>) {
        self.add(Level::Ok, seen.into(), String::new());
    }

    /// It may hurt.
    pub fn warn(&mut self, seen: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Warn, seen.into(), remedy.into());
    }

    /// It does not work so.
    pub fn fail(&mut self, seen: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Fail, seen.into(), remedy.into());
    }

    fn add(&mut self, level: Level, seen: String, remedy: String) {
        self.all.push(Finding { level, area: self.area, seen, remedy });
    }
}

/// Looks at everything; exit status 0: nothing fails (there may be warnings), 1: something does.
pub fn run(config: &Config, options: &Options) -> ExitCode {
    let root = root::Root::of_host();
    let mut findings = Findings::default();
    kernel::examine(&root, config, &mut findings);
    let node = ovs::examine(config, &mut findings);
    let neighbours = frr::examine(config, &mut findings);
    if config.modes.evpn {
        fabric::examine(config, &root, &node, &neighbours, &mut findings);
    }
    if config.modes.underlay {
        underlay::examine(config, &node.bridges, &mut findings);
    }
    rights::examine(config, &root, &mut findings);
    host::examine(&root, &mut findings);
    let all = findings.all;
    if options.json {
        println!("{}", serde_json::json!(all));
    } else {
        print!("{}", readable(&all));
    }
    match all.iter().any(|finding| finding.level == Level::Fail) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn readable(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { level, area, seen, remedy } in findings {
        let level = match level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        text += &format!("{level}  {area:<8} {}\n", plain(seen));
        if !remedy.is_empty() {
            text += &format!("{:15}-> {}\n", "", plain(remedy));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    text + &format!(
        "{} ok, {} warnings, {} failures\n",
        count(Level::Ok),
        count(Level::Warn),
        count(Level::Fail)
    )
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// What was found, as `LEVEL seen`.
    pub fn lines(findings: &Findings) -> Vec<String> {
        findings.all.iter().map(|finding| format!("{:?} {}", finding.level, finding.seen)).collect()
    }

    #[test]
    fn each_line_says_what_and_what_to_do() {
        let mut findings = Findings::default();
        findings.about("kernel");
        findings.ok("vrf");
        findings.fail("no vxlan\u{1b}", "modprobe vxlan");
        let text = readable(&findings.all);
        assert!(text.contains("ok    kernel   vrf\n"), "{text}");
        assert!(
            text.contains("FAIL  kernel   no vxlan\\u{1b}\n               -> modprobe vxlan\n"),
            "{text}"
        );
        assert!(text.ends_with("1 ok, 0 warnings, 1 failures\n"), "{text}");
    }
}
