//! `bgp-agent bgpvpn`: associates routers and networks with a BGP VPN, and shows what is.
//!
//! Exit status 0 when it is so, 1 when it is refused or fails, 2 for a wrong command line, 3 when `--wait` came to no end.

use std::{
    net::IpAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};

use crate::{
    bgpvpn::{
        Role, Values, advertised,
        northbound::{Northbound, Written},
        plan::{self, Plan, Refusal, Target},
        view,
    },
    config::Config,
    model::{Asn, RouteTarget, Vni},
    ovsdb::Remotes,
};

/// How often a plan is made anew when somebody else wrote in between.
const TRIES: usize = 10;

/// Between two looks at what is advertised.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Exit status for a wait that came to no end.
const NOT_IN_TIME: u8 = 3;

/// Options of all commands.
#[derive(Debug, Args)]
pub struct BgpvpnArgs {
    /// Remotes of the Northbound database, comma-separated, instead of ovn_nb_connection.
    #[arg(long, global = true, value_name = "REMOTES")]
    nb: Option<Remotes>,
    #[command(subcommand)]
    command: BgpvpnCommand,
}

#[derive(Debug, Subcommand)]
enum BgpvpnCommand {
    /// Annotate a router or network: gateways advertise it from then on.
    Associate {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        values: ValueArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Take the annotation off a router or network.
    Disassociate {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Show all routers with an association.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the ports of a router, or of the routers of a network.
    Show {
        #[command(flatten)]
        target: TargetArgs,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// Router, by its name or UUID in Neutron or OVN.
    #[arg(long)]
    router: Option<String>,
    /// Network, by its name or UUID in Neutron or OVN.
    #[arg(long)]
    network: Option<String>,
}

#[derive(Debug, Args)]
struct ValueArgs {
    /// VXLAN network identifier.
    #[arg(long)]
    vni: Vni,
    /// AS of the VRF's BGP instance; else the agents' bgp_AS holds.
    #[arg(long = "as", value_name = "AS")]
    asn: Option<Asn>,
    /// Route target for import and export; may be repeated. Without any, FRR's own holds.
    #[arg(long = "rt", value_name = "RT", value_parser = route_target)]
    both: Vec<RouteTarget>,
    /// Route target for import.
    #[arg(long = "import", value_name = "RT", value_parser = route_target)]
    import: Vec<RouteTarget>,
    /// Route target for export.
    #[arg(long = "export", value_name = "RT", value_parser = route_target)]
    export: Vec<RouteTarget>,
    /// Route distinguisher; else FRR's own holds.
    #[arg(long, value_name = "RD", value_parser = route_target)]
    rd: Option<RouteTarget>,
}

#[derive(Debug, Args)]
struct WaitArgs {
    /// Wait until the bgpd of this node has the gateway's routes, or has them no more: its own, or another gateway's.
    #[arg(long)]
    wait: bool,
    /// Seconds to wait at most.
    #[arg(long, default_value_t = 60.0, requires = "wait")]
    timeout: f64,
}

fn route_target(text: &str) -> Result<RouteTarget, String> {
    match text.parse::<RouteTarget>() {
        Ok(target) if target.is_of_as_0() => Err("AS 0 may not be used".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

impl TargetArgs {
    fn target(self) -> Target {
        match (self.router, self.network) {
            (Some(router), _) => Target::Router(router),
            (None, network) => Target::Network(network.unwrap_or_default()),
        }
    }
}

/// Does what the command line says. Where no agent is configured its AS is not known.
pub fn run(config: &Config, is_configured: bool, args: BgpvpnArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("no runtime: {error}")),
    };
    let agents_as = is_configured.then_some(config.bgp_as);
    runtime.block_on(command(config, agents_as, args)).unwrap_or_else(|error| failed(&*error))
}

fn failed(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("bgp-agent: {why}");
    ExitCode::FAILURE
}

/// Whatever went wrong, in words.
type Failure = Box<dyn std::fmt::Display>;

fn failure<E: std::fmt::Display + 'static>(error: E) -> Failure {
    Box::new(error)
}

async fn command(config: &Config, agents_as: Option<Asn>, args: BgpvpnArgs) -> Result<ExitCode, Failure> {
    let remotes = match args.nb {
        Some(remotes) => remotes,
        None => config.nb_connection.parse().map_err(failure)?,
    };
    let mut northbound = Northbound::open(remotes, config.nb_tls.clone()).await.map_err(failure)?;
    match args.command {
        BgpvpnCommand::Associate { target, values, wait } => {
            let ValueArgs { vni, asn, both, import, export, rd } = values;
            let values = Values { vni, asn, both, import, export, rd };
            associate(config, agents_as, &mut northbound, &target.target(), &values, &wait).await
        }
        BgpvpnCommand::Disassociate { target, wait } => {
            disassociate(config, &mut northbound, &target.target(), &wait).await
        }
        BgpvpnCommand::List { json } => {
            let routers = view::list(&northbound.topology());
            print!("{}", if json { as_json(&routers)? } else { view::table(&routers) });
            Ok(ExitCode::SUCCESS)
        }
        BgpvpnCommand::Show { target, json } => show(&northbound, &target.target(), json),
    }
}

fn as_json(routers: &[view::RouterView]) -> Result<String, Failure> {
    Ok(serde_json::to_string(routers).map_err(failure)? + "\n")
}

fn show(northbound: &Northbound, target: &Target, json: bool) -> Result<ExitCode, Failure> {
    let topology = northbound.topology();
    let routers = plan::routers(&topology, target).map_err(failure)?;
    let routers: Vec<_> = routers.into_iter().map(|router| view::view(&topology, router)).collect();
    match json {
        true => print!("{}", as_json(&routers)?),
        false => routers.iter().for_each(|router| print!("{}", view::details(router))),
    }
    Ok(ExitCode::SUCCESS)
}

async fn associate(
    config: &Config,
    agents_as: Option<Asn>,
    northbound: &mut Northbound,
    target: &Target,
    values: &Values,
    wait: &WaitArgs,
) -> Result<ExitCode, Failure> {
    for _ in 0..TRIES {
        let topology = northbound.topology();
        let plan = plan::associate(&topology, target, values, agents_as).map_err(failure)?;
        if northbound.write(&plan).await.map_err(failure)? == Written::Done {
            report(&plan, "annotated", "annotated already");
            return waited(config, &plan, wait, Until::Advertised).await;
        }
    }
    Err(failure("somebody else keeps changing these ports: nothing was written"))
}

async fn disassociate(
    config: &Config,
    northbound: &mut Northbound,
    target: &Target,
    wait: &WaitArgs,
) -> Result<ExitCode, Failure> {
    for _ in 0..TRIES {
        let topology = northbound.topology();
        let plan = plan::disassociate(&topology, target).map_err(failure::<Refusal>)?;
        if northbound.write(&plan).await.map_err(failure)? == Written::Done {
            report(&plan, "not annotated any more", "not annotated");
            return waited(config, &plan, wait, Until::Withdrawn).await;
        }
    }
    Err(failure("somebody else keeps changing these ports: nothing was written"))
}

fn report(plan: &Plan<'_>, changed: &str, standing: &str) {
    let ports = plan.writes.iter().map(|write| (write.port, changed));
    for (port, state) in ports.chain(plan.standing.iter().map(|port| (*port, standing))) {
        let role = if port.role == Role::Gateway { "gateway" } else { "interface" };
        println!("{role} port {}: {state}", port.name);
    }
    for note in &plan.notes {
        eprintln!("note: {note}");
    }
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// All addresses of the plan's gateways are advertised.
    Advertised,
    /// None of them is.
    Withdrawn,
}

/// Asks bgpd until it is so for all of the plan's VNIs.
async fn waited(
    config: &Config,
    plan: &Plan<'_>,
    wait: &WaitArgs,
    until: Until,
) -> Result<ExitCode, Failure> {
    if !wait.wait {
        return Ok(ExitCode::SUCCESS);
    }
    let gateways: Vec<IpAddr> =
        plan.gateways.iter().flat_map(|port| &port.addresses).map(ipnet::IpNet::addr).collect();
    let patience = Duration::try_from_secs_f64(wait.timeout).unwrap_or(Duration::MAX / 4);
    let began = Instant::now();
    for &vni in &plan.vnis {
        loop {
            let seen = advertised::addresses(&config.frr_socket_dir, vni).await.map_err(failure)?;
            if gateways.iter().all(|address| seen.contains(address) == (until == Until::Advertised)) {
                break;
            }
            if began.elapsed() >= patience {
                let seen: Vec<String> = seen.iter().map(ToString::to_string).collect();
                eprintln!("bgp-agent: not in time: VNI {vni} is advertised with [{}]", seen.join(" "));
                return Ok(ExitCode::from(NOT_IN_TIME));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}
