//! `bgp-agent status`: what the running agent says of its sessions, tenants and problems, whole or filtered.

mod hops;

use std::{io::Write, process::ExitCode, thread::sleep, time::Duration};

use clap::Args;
use serde_json::Value;

use super::{
    client,
    text::{columns, duration, word},
};
use crate::{config::Config, control::Request};

/// What is to be shown, and how.
#[derive(Debug, Args)]
pub struct Options {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Only this VNI; may be given several times.
    #[arg(long, value_name = "VNI")]
    vni: Vec<u32>,
    /// Only tenants with a router gateway whose name holds this text.
    #[arg(long, value_name = "TEXT")]
    router: Option<String>,
    /// Only tenants in this state.
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    state: Option<String>,
    /// Only what is not well: sessions, tenants, those too of which BGP lacks prefixes, and what is put aside.
    #[arg(long)]
    problems: bool,
    /// Ask bgpd now how many of the shown tenants' prefixes it has, and has as EVPN type-5 routes, however many there are.
    #[arg(long)]
    hops: bool,
    /// Show it again and again, every so many seconds; not more often than twice a second.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    watch: Option<f64>,
}

/// The states of a tenant (`TenantStatus::state`).
const STATES: [&str; 6] = ["ok", "pending", "leaving", "held", "refused", "conflict"];

/// The pause between two looks where none is given that can be meant, and the shortest: a status costs the agent's loop
/// some milliseconds.
const USUAL_PAUSE: Duration = Duration::from_secs(2);
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// Exit status where no agent answers.
const NO_AGENT: u8 = 3;

/// Shows the status; exit status 0 when there was an agent to ask, else 3. Whether all stands is `wait`'s to say.
pub fn run(config: &Config, options: &Options) -> ExitCode {
    loop {
        let shown = show(config, options);
        let Some(period) = options.watch else { return shown };
        let _ = std::io::stdout().flush();
        sleep(pause(period));
    }
}

/// The pause between two looks: what was asked for, if it is a number of seconds and not a flood of questions.
fn pause(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(USUAL_PAUSE).max(SHORTEST_PAUSE)
}

fn show(config: &Config, options: &Options) -> ExitCode {
    let mut status = match client::ask(&config.control_socket, &Request::Status) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("bgp-agent: {error}");
            return ExitCode::from(NO_AGENT);
        }
    };
    filter(&mut status, options);
    if options.hops
        && let Err(error) = hops::add(&mut status, config)
    {
        eprintln!("bgp-agent: no hops beyond the kernel: {error}");
    }
    let text = if options.json { format!("{status}\n") } else { readable(&status) };
    // Home and clear to the end (ECMA-48), as `watch` does.
    print!("{}{text}", if options.watch.is_some() && !options.json { "\u{1b}[H\u{1b}[2J" } else { "" });
    ExitCode::SUCCESS
}

/// Leaves what was asked for.
fn filter(status: &mut Value, options: &Options) {
    let wanted_vni = |vni: &Value| options.vni.is_empty() || options.vni.iter().any(|wanted| vni == wanted);
    let has_router = |tenant: &Value| {
        let Some(text) = &options.router else { return true };
        let mut gateways = tenant["gateways"].as_array().into_iter().flatten();
        gateways.any(|gateway| gateway.as_str().is_some_and(|name| name.contains(text.as_str())))
    };
    if let Some(tenants) = status["tenants"].as_array_mut() {
        tenants.retain(|tenant| {
            wanted_vni(&tenant["vni"])
                && has_router(tenant)
                && options.state.as_ref().is_none_or(|state| tenant["state"] == **state)
                && !(options.problems && is_well(tenant))
        });
    }
    // By pointer: an index that is to be written to would make what is not there.
    if let Some(networks) = status.pointer_mut("/underlay/networks").and_then(Value::as_array_mut) {
        networks.retain(|network| {
            options.vni.is_empty()
                && options.state.as_ref().is_none_or(|state| network["state"] == **state)
                && !(options.problems && is_well(network))
        });
    }
    if let Some(problems) = status["problems"].as_array_mut() {
        problems.retain(|problem| wanted_vni(&problem["vni"]));
    }
    if options.problems
        && let Some(sessions) = status["sessions"].as_object_mut()
    {
        sessions.retain(|_, session| session["state"] != "up" || session["unanswered_seconds"].is_number());
    }
}

/// A tenant or provider network stands, and BGP has all that the kernel has, as far as that was counted.
fn is_well(of: &Value) -> bool {
    let prefixes = &of["prefixes"];
    let kernel = prefixes["kernel"].as_u64();
    let lacks = |hop: &str| prefixes[hop].as_u64().is_some_and(|count| Some(count) < kernel);
    of["state"] == "ok" && !lacks("bgpd") && !lacks("type5")
}

/// The status as an operator reads it.
fn readable(status: &Value) -> String {
    let mut lines = vec![headline(status), String::new()];
    if status["drain"].as_str().is_some_and(|drain| drain != "no") {
        let drain = word(&status["drain"]);
        lines.extend([format!("DRAINED  {drain}; `bgp-agent undrain` takes it back"), String::new()]);
    }
    if status["warning"].is_string() {
        lines.extend([format!("WARNING  {}", word(&status["warning"])), String::new()]);
    }
    lines.extend(brake(status));
    lines.extend(sessions(status));
    lines.extend(tenants(status));
    lines.extend(networks(status));
    lines.extend(problems(status));
    lines.join("\n") + "\n"
}

fn headline(status: &Value) -> String {
    let state = match (&status["converged"], status["lag_seconds"].as_f64()) {
        (Value::Bool(true), _) => "everything wished stands".to_owned(),
        (_, Some(lag)) if lag > 0.0 => {
            format!("not everything wished stands, the oldest change for {}", duration(lag))
        }
        _ => "not everything wished stands".to_owned(),
    };
    let (revision, watermark) = (&status["revision"], &status["watermark"]);
    let (version, node) = (word(&status["version"]), word(&status["node"]));
    format!("bgp-agent {version} on {node}: {state} (revision {revision}, watermark {watermark})")
}

fn brake(status: &Value) -> Vec<String> {
    let Some(brake) = status["brake"].as_object() else { return Vec::new() };
    let left = match brake["seconds_left"].as_u64() {
        Some(seconds) => format!("withdrawn in {seconds} s"),
        None => "held until then".to_owned(),
    };
    let (held, advertised) = (&brake["held_prefixes"], &brake["advertised"]);
    let why = match brake.get("no_chassis").and_then(Value::as_bool) {
        Some(true) => "the Southbound has no Chassis of this node, nor a row that says why they are gone",
        _ => "they have no rows in the Southbound since it was read anew",
    };
    vec![
        format!("BRAKE  {held} of {advertised} advertised prefixes stay advertised, though {why}."),
        format!("       `bgp-agent release` withdraws them; otherwise {left}"),
        String::new(),
    ]
}

fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn sessions(status: &Value) -> Vec<String> {
    let mut rows = vec![heads(&["SESSION", "STATE", "SINCE", "RECONNECTS", "REASON"])];
    for (name, session) in status["sessions"].as_object().into_iter().flatten() {
        rows.push(vec![
            name.clone(),
            word(&session["state"]),
            duration(session["for_seconds"].as_f64().unwrap_or_default()),
            word(&session["reconnects"]),
            session_reason(session),
        ]);
    }
    section(rows, &[])
}

fn session_reason(session: &Value) -> String {
    match session["unanswered_seconds"].as_f64() {
        Some(seconds) => format!("has not answered for {}", duration(seconds)),
        None => word(&session["reason"]),
    }
}

/// A table with an empty line behind it, each row followed by its notes; nothing where there are no rows.
fn section(rows: Vec<Vec<String>>, notes: &[Vec<String>]) -> Vec<String> {
    if rows.len() == 1 {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for (at, line) in columns(&rows).into_iter().enumerate() {
        lines.push(line);
        let of_row = at.checked_sub(1).and_then(|at| notes.get(at));
        lines.extend(of_row.into_iter().flatten().map(|note| format!("    {note}")));
    }
    lines.push(String::new());
    lines
}

fn tenants(status: &Value) -> Vec<String> {
    let all: &[Value] = status["tenants"].as_array().map_or(&[], |tenants| tenants);
    let mut rows = vec![heads(&[
        "VNI", "STATE", "AS", "PREFIXES", "KERNEL", "BGPD", "TYPE-5", "COUNTED", "OPEN", "LAG", "CHANGED",
        "ATTACH", "ROUTERS",
    ])];
    let mut notes = Vec::new();
    for tenant in all {
        let prefixes = &tenant["prefixes"];
        let mut row = vec![word(&tenant["vni"]), word(&tenant["state"]), word(&tenant["as"])];
        row.extend(["desired", "kernel", "bgpd", "type5"].map(|hop| count(&prefixes[hop])));
        row.extend([
            ago(&prefixes["counted_seconds_ago"]),
            format!("{} of {}", tenant["open"], tenant["wished"]),
            lag(tenant),
            ago(&tenant["changed_seconds_ago"]),
            list(&tenant["attach"]),
            list(&tenant["gateways"]),
        ]);
        rows.push(row);
        notes.push(reasons(tenant));
    }
    section(rows, &notes)
}

/// A number, or that it is not known.
fn count(number: &Value) -> String {
    number.as_u64().map_or("-".to_owned(), |number| number.to_string())
}

fn ago(seconds: &Value) -> String {
    seconds.as_f64().map_or("-".to_owned(), |seconds| format!("{} ago", duration(seconds)))
}

fn lag(tenant: &Value) -> String {
    let seconds = tenant["lag_seconds"].as_f64().filter(|seconds| *seconds > 0.0);
    seconds.map_or("-".to_owned(), duration)
}

fn reasons(of: &Value) -> Vec<String> {
    let mut reasons: Vec<String> = of["reasons"].as_array().into_iter().flatten().map(word).collect();
    if let Some(more) = of["more_reasons"].as_u64() {
        reasons.push(format!("and {more} more reasons"));
    }
    reasons
}

/// The BGP mode: its VRF, and a line for each provider network.
fn networks(status: &Value) -> Vec<String> {
    let underlay = &status["underlay"];
    if !underlay.is_object() {
        return Vec::new();
    }
    let (vrf, table, nic) = (word(&underlay["vrf"]), &underlay["table"], word(&underlay["nic"]));
    let state = word(&underlay["state"]);
    let mut lines = vec![format!(
        "PLAIN ROUTES  {state}: {nic} in {vrf}, table {table}, imported by FRR's default instance"
    )];
    lines.extend(reasons(underlay).into_iter().map(|reason| format!("    {reason}")));
    lines.push(String::new());
    let mut rows = vec![heads(&[
        "NETWORK", "VLAN", "STATE", "PREFIXES", "KERNEL", "BGPD", "COUNTED", "OPEN", "BRIDGE", "TABLE",
    ])];
    let mut notes = Vec::new();
    for network in underlay["networks"].as_array().into_iter().flatten() {
        let prefixes = &network["prefixes"];
        rows.push(vec![
            word(&network["network"]),
            word(&network["tag"]),
            word(&network["state"]),
            word(&prefixes["desired"]),
            word(&prefixes["kernel"]),
            count(&prefixes["bgpd"]),
            ago(&prefixes["counted_seconds_ago"]),
            format!("{} of {}", network["open"], network["wished"]),
            word(&network["bridge"]),
            word(&network["table"]),
        ]);
        notes.push(reasons(network));
    }
    lines.extend(section(rows, &notes));
    lines
}

fn list(value: &Value) -> String {
    value.as_array().into_iter().flatten().map(word).collect::<Vec<_>>().join(", ")
}

fn problems(status: &Value) -> Vec<String> {
    let all: &[Value] = status["problems"].as_array().map_or(&[], |problems| problems);
    if all.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["PUT ASIDE".to_owned()];
    lines.extend(
        all.iter().map(|problem| format!("{}: {}", word(&problem["port"]), word(&problem["reason"]))),
    );
    let total = status["problems_total"].as_u64().unwrap_or_default();
    if total > 1000 {
        lines.push(format!("{total} in all"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Value {
        serde_json::json!({
            "version": "0.1.0", "node": "gw1", "lag_seconds": 12.0,
            "sessions": {
                "kernel": {"state": "up", "for_seconds": 3.0, "reconnects": 0, "unanswered_seconds": 3.2},
                "zebra": {"state": "up", "for_seconds": 3.0, "reconnects": 0},
                "frr": {"state": "down", "for_seconds": 100.0, "reconnects": 2, "reason": "zebra: refused"},
            },
            "tenants": [
                {"vni": 1001, "as": 64999, "state": "held", "reasons": ["why\u{1b}[2J"], "wished": 20, "open": 3, "lag_seconds": 42.0,
                 "prefixes": {"desired": 4, "kernel": 1}, "gateways": ["cr-lrp-a"], "attach": ["veth to physnet1"],
                 "changed_seconds_ago": 75.0},
                {"vni": 1002, "as": 64999, "state": "ok", "reasons": [], "wished": 20, "open": 0,
                 "prefixes": {"desired": 4, "kernel": 4, "bgpd": 4, "type5": 4, "counted_seconds_ago": 12.0},
                 "gateways": ["cr-lrp-b"], "attach": [],
                 "changed_seconds_ago": null},
            ],
            "underlay": {"vrf": "bgp-vrf", "table": 10, "nic": "bgp-nic", "state": "ok", "reasons": [], "open": 0, "networks": [
                {"network": "physnet1", "tag": 100, "bridge": "br-ex", "table": 201, "state": "held", "reasons": ["no port"],
                 "prefixes": {"desired": 7, "kernel": 5}, "wished": 30, "open": 9},
            ]},
            "warning": "a Python ovn-bgp-agent runs",
            "brake": {"held_prefixes": 150, "advertised": 200, "limit": 100, "seconds_left": 599},
            "problems": [{"port": "lrp", "reason": "no", "vni": 1002}], "problems_total": 1,
            "converged": false, "revision": 2, "watermark": 1,
        })
    }

    fn options() -> Options {
        let (vni, router, state) = (Vec::new(), None, None);
        Options { json: false, vni, router, state, problems: false, hops: false, watch: None }
    }

    #[test]
    fn an_operator_can_read_it_and_nothing_reaches_the_terminal_raw() {
        let text = readable(&status());
        for part in [
            "zebra: refused",
            "1m40s",
            "1001  held",
            "3 of 20  42s",
            "bgp-nic in bgp-vrf",
            "physnet1  100   held   7         5       -     -        9 of 30  br-ex   201",
            "4         4       4     4       12s ago  0 of 20",
            "has not answered for 3.2s",
            "no port",
            "1m15s ago",
            "why\\u{1b}[2J",
            "lrp: no",
            "revision 2",
            "for 12s",
            "150 of 200",
            "a Python ovn-bgp-agent runs",
            "in 599 s",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_state_that_no_tenant_has_is_refused_and_no_flood_of_questions_is_asked() {
        use clap::Parser as _;
        let parse = |arguments: &[&str]| {
            crate::cli::Cli::try_parse_from([&["bgp-agent", "status"], arguments].concat())
        };
        assert!(parse(&["--state", "held"]).is_ok());
        assert!(parse(&["--state", "hold"]).unwrap_err().to_string().contains("pending, leaving, held"));
        let pauses = [0.0, -1.0, f64::NAN, 0.7].map(|seconds| pause(seconds).as_millis());
        assert_eq!(pauses, [500, 2000, 2000, 700]);
    }

    #[test]
    fn a_mode_that_is_off_is_not_shown() {
        let mut status = status();
        status["underlay"] = Value::Null;
        filter(&mut status, &options());
        assert!(!readable(&status).contains("PLAIN ROUTES"), "{}", readable(&status));
    }

    #[test]
    fn filters_leave_what_was_asked_for() {
        let vnis = |options: &Options| {
            let mut status = status();
            filter(&mut status, options);
            let tenants = status["tenants"].as_array().unwrap().iter();
            let sessions = status["sessions"].as_object().unwrap().len();
            (tenants.map(|tenant| tenant["vni"].as_u64().unwrap()).collect::<Vec<_>>(), sessions)
        };
        assert_eq!(vnis(&options()), (vec![1001, 1002], 3));
        assert_eq!(vnis(&Options { vni: vec![1002], ..options() }), (vec![1002], 3));
        assert_eq!(vnis(&Options { router: Some("lrp-b".to_owned()), ..options() }), (vec![1002], 3));
        assert_eq!(vnis(&Options { state: Some("ok".to_owned()), ..options() }), (vec![1002], 3));
        assert_eq!(
            vnis(&Options { problems: true, ..options() }),
            (vec![1001], 2),
            "kernel hangs, frr is down"
        );
    }

    #[test]
    fn a_tenant_of_which_bgp_lacks_prefixes_is_not_well() {
        let with = |hops: &str| {
            let prefixes: Value = serde_json::from_str(hops).unwrap();
            is_well(&serde_json::json!({"state": "ok", "prefixes": prefixes}))
        };
        assert!(with(r#"{"desired": 4, "kernel": 4}"#), "not counted");
        assert!(with(r#"{"desired": 4, "kernel": 4, "bgpd": 4, "type5": 4}"#));
        assert!(with(r#"{"desired": 3, "kernel": 3, "bgpd": 4, "type5": 4}"#), "counted before one went");
        assert!(!with(r#"{"desired": 4, "kernel": 4, "bgpd": 3, "type5": 3}"#));
        assert!(!with(r#"{"desired": 4, "kernel": 4, "bgpd": 4, "type5": 0}"#));
    }
}
