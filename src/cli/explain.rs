//! `bgp-agent explain ADDRESS|PORT|ROUTER`: the chain from OVN's rows to the type-5 route, or to the plain route of the BGP
//! mode, link by link, as the peers really have it; the first link that fails is named with a likely cause and a remedy. It asks the peers, not the agent's
//! wish, and changes nothing.

mod fabric;
mod node;
mod plain;
mod rows;
mod southbound;

use std::{collections::BTreeSet, net::IpAddr, process::ExitCode};

use clap::Args;
use serde::Serialize;

use super::text::plain as shown;
use crate::{
    config::Config,
    model::{MacAddr, Prefix, RouteTarget, Vni},
};

/// What is to be explained, and how.
#[derive(Debug, Args)]
pub struct Options {
    /// An address of a VM or gateway, a logical port (Neutron's UUID), or a router (its name or UUID).
    #[arg(value_name = "ADDRESS|PORT|ROUTER")]
    subject: String,
    /// Only in this VNI: tenants may have the same addresses.
    #[arg(long, value_name = "VNI")]
    vni: Option<u32>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// One link of the chain.
#[derive(Debug, Serialize)]
pub struct Link {
    /// Which.
    pub link: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was seen.
    pub seen: String,
    /// What is likely the cause and what to do, where it does not hold.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// The chain of one address.
#[derive(Debug, Default, Serialize)]
pub struct Chain {
    /// What it is about.
    pub about: String,
    /// The VNI that it is annotated with, as far as the chain came to an annotation.
    #[serde(skip)]
    pub vni: Option<Vni>,
    /// The links in their order.
    pub links: Vec<Link>,
}

impl Chain {
    fn holds(&mut self, link: &'static str, seen: impl Into<String>) {
        self.links.push(Link { link, ok: true, seen: seen.into(), remedy: String::new() });
    }

    fn fails(&mut self, link: &'static str, seen: impl Into<String>, remedy: impl Into<String>) {
        self.links.push(Link { link, ok: false, seen: seen.into(), remedy: remedy.into() });
    }

    /// Whether it is known to be in another VNI than the one that is asked for.
    fn is_of_another(&self, wanted: Option<u32>) -> bool {
        wanted.zip(self.vni).is_some_and(|(wanted, vni)| wanted != vni.get())
    }

    fn broken(&self) -> Option<&Link> {
        self.links.iter().find(|link| !link.ok)
    }
}

/// What the Southbound says should be, from which the rest of the chain is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The VNI that it is annotated with.
    pub vni: Vni,
    /// The address.
    pub address: IpAddr,
    /// The subnet that it is in; None: it is a gateway's own.
    pub subnet: Option<Prefix>,
    /// The router gateway's Ethernet address.
    pub mac: MacAddr,
    /// The router gateway's own addresses.
    pub gateway: Vec<IpAddr>,
    /// The provider network's localnet port.
    pub localnet: String,
    /// Its physical network.
    pub network: String,
    /// The logical ports on the way: what is put aside of them concerns it.
    pub ports: Vec<String>,
    /// The route targets that it is to be exported with.
    pub export: BTreeSet<RouteTarget>,
}

/// Explains; exit status 0: every link of every chain holds, 1: one does not, 3: there is nothing to explain.
pub fn run(config: &Config, options: &Options) -> ExitCode {
    let chains = match explain(config, options) {
        Ok(chains) => chains,
        Err(error) => {
            eprintln!("bgp-agent: {error}");
            return ExitCode::from(3);
        }
    };
    if options.json {
        println!("{}", serde_json::json!(chains));
    } else {
        chains.iter().for_each(|chain| print!("{}", readable(chain)));
    }
    match chains.iter().all(|chain| chain.broken().is_none()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn explain(config: &Config, options: &Options) -> Result<Vec<Chain>, String> {
    let rows = rows::Rows::read(config)?;
    let found = southbound::find(&rows, &options.subject);
    let modes = config.modes;
    let routes = if modes.underlay { plain::find(&rows, &options.subject) } else { Vec::new() };
    let balancers = if modes.underlay { plain::find_balancers(&rows, &options.subject) } else { Vec::new() };
    if found.is_empty() && routes.is_empty() && balancers.is_empty() {
        let subject = shown(&options.subject);
        return Err(format!("the Southbound has no address, port or router {subject}"));
    }
    let mut chains = Vec::new();
    if options.vni.is_none() {
        chains.extend(routes.into_iter().map(|(port, address)| plain::explain(config, &rows, port, address)));
        let of = |(balancer, address)| plain::explain_balancer(config, &rows, balancer, address);
        chains.extend(balancers.into_iter().map(of));
    }
    let is_evpns = |port: &rows::Port| modes.evpn && !(modes.underlay && plain::is_on_provider(&rows, port));
    for (port, address) in found.into_iter().filter(|(port, _)| is_evpns(port)) {
        let mut chain = Chain { about: format!("{address} of {}", port.name), ..Chain::default() };
        let target = southbound::walk(config, &rows, port, address, &mut chain);
        if chain.is_of_another(options.vni) {
            continue;
        }
        if let Some(target) = target {
            chain.about += &format!(" in VNI {}", target.vni);
            southbound::agent(config, &target, &mut chain);
            let router_mac = node::examine(config, &rows, &target, &mut chain);
            fabric::examine(config, &target, router_mac, &mut chain);
        }
        chains.push(chain);
    }
    if chains.is_empty() { Err("nothing of that name is in this VNI".to_owned()) } else { Ok(chains) }
}

fn readable(chain: &Chain) -> String {
    let mut text = format!("{}\n", shown(&chain.about));
    for Link { link, ok, seen, remedy } in &chain.links {
        text += &format!("  {}  {link:<12} {}\n", if *ok { "ok  " } else { "FAIL" }, shown(seen));
        if !remedy.is_empty() {
            text += &format!("{:21}-> {}\n", "", shown(remedy));
        }
    }
    text + &match chain.broken() {
        Some(link) => format!("  The first link that fails is {}: {}\n", link.link, shown(&link.seen)),
        None => "  Every link holds: it is advertised.\n".to_owned(),
    }
}

#[cfg(test)]
impl Default for Target {
    fn default() -> Self {
        Self {
            vni: "1001".parse().expect("a VNI"),
            address: [20, 0, 0, 10].into(),
            subnet: None,
            mac: MacAddr::default(),
            gateway: Vec::new(),
            localnet: String::new(),
            network: String::new(),
            ports: Vec::new(),
            export: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_link_that_fails_is_named() {
        let mut chain = Chain { about: "20.0.0.10".to_owned(), ..Chain::default() };
        chain.holds("port", "bound");
        chain.fails("annotation", "none", "annotate it");
        chain.fails("device", "none", "");
        let text = readable(&chain);
        assert!(text.contains("  FAIL  annotation   none\n                     -> annotate it\n"), "{text}");
        assert!(text.ends_with("The first link that fails is annotation: none\n"), "{text}");
    }
}
