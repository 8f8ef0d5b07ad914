//! The status as Prometheus reads it (text format 0.0.4). Names and labels are listed in docs/metrics.md.

use std::fmt::Write;

use super::histogram::Histogram;
use crate::reconcile::{Hops, NetworkStatus, Status};

/// Everything, as text.
pub fn text(status: &Status) -> String {
    let mut page = Page::default();
    page.family("build_info", "gauge", "The version of the agent.");
    page.sample("build_info", &[("version", status.version)], 1.0);
    page.single("ready", "gauge", "1: all that was wished at the start was applied once.", status.ready);
    page.single(
        "converged",
        "gauge",
        "1: every session is up and everything wished stands.",
        status.converged,
    );
    page.single("revision", "counter", "Changes of the wish.", status.revision);
    page.single("watermark", "gauge", "The last revision that stands as a whole.", status.watermark);
    let lag = "How long the oldest change that does not stand yet has been waiting.";
    page.single("lag_seconds", "gauge", lag, status.lag_seconds);
    sessions(&mut page, status);
    tenants(&mut page, status);
    networks(&mut page, status);
    let drained = "1: prefixes are less preferred, 2: withdrawn, by bgp-agent drain.";
    page.single("drained", "gauge", drained, status.drain as u64);
    let held = status.brake.as_ref().map_or(0, |brake| brake.held_prefixes);
    page.single("brake_held_prefixes", "gauge", "Prefixes that the brake on mass withdrawals holds.", held);
    page.single("problems", "gauge", "Ports and addresses put aside.", status.problems_total);
    let zebra = &status.zebra;
    let bytes = "Bytes of zebra's fuller netlink receive buffer that are taken.";
    page.single("zebra_backlog_bytes", "gauge", bytes, zebra.backlog_bytes);
    page.single("zebra_stuck", "gauge", "1: zebra reads nothing of what the kernel tells it.", zebra.stuck);
    page.single("zebra_waits_total", "counter", "Writes that waited until zebra had read.", zebra.waits);
    page.single(
        "zebra_lost_total",
        "counter",
        "Notifications of the kernel that zebra has lost.",
        zebra.lost,
    );
    let told_again = "Objects that the kernel was made to tell zebra again.";
    page.single("zebra_told_again_total", "counter", told_again, zebra.told_again);
    let forgotten = "VTEPs that BGP's routes lead by and that zebra had no neighbour for.";
    page.single("zebra_forgotten_vteps_total", "counter", forgotten, zebra.vteps_forgotten);
    page.family("operations_total", "counter", "Operations by plane and result.");
    for (plane, results) in &status.operations {
        for (result, count) in results {
            page.sample("operations_total", &[("plane", plane), ("result", result)], *count as f64);
        }
    }
    let latency = "From the Southbound's row to the kernel's last acknowledgement, per change.";
    page.histogram("event_to_kernel_seconds", latency, &status.latency);
    let latency = "From the Southbound's row until bgpd has the prefix, of those that were followed.";
    page.histogram("event_to_bgp_seconds", latency, &status.latency_to_bgp);
    page.text
}

fn sessions(page: &mut Page, status: &Status) {
    page.family("session_up", "gauge", "1: the session is up and its peer was read whole.");
    for (name, session) in &status.sessions {
        page.sample("session_up", &[("session", name)], f64::from(session.state == "up"));
    }
    page.family("session_state_seconds", "gauge", "How long the session is in its state.");
    for (name, session) in &status.sessions {
        let labels = [("session", name.as_str()), ("state", session.state)];
        page.sample("session_state_seconds", &labels, session.for_seconds);
    }
    page.family(
        "session_unanswered_seconds",
        "gauge",
        "How long the oldest question to it has had no answer.",
    );
    for (name, session) in &status.sessions {
        let waited = session.unanswered_seconds.unwrap_or_default();
        page.sample("session_unanswered_seconds", &[("session", name)], waited);
    }
    page.family("session_reconnects_total", "counter", "How often the session came up again.");
    for (name, session) in &status.sessions {
        page.sample("session_reconnects_total", &[("session", name)], session.reconnects as f64);
    }
}

fn tenants(page: &mut Page, status: &Status) {
    const STATES: [&str; 6] = ["ok", "pending", "leaving", "held", "refused", "conflict"];
    page.family("tenants", "gauge", "VNIs by state.");
    for state in STATES {
        let count = status.tenants.iter().filter(|tenant| tenant.state == state).count();
        page.sample("tenants", &[("state", state)], count as f64);
    }
    let help = "Addresses by hop: to be advertised, acknowledged by the kernel, in bgpd, as type-5 routes.";
    page.family("prefixes", "gauge", help);
    for tenant in &status.tenants {
        let vni = tenant.vni.to_string();
        for (hop, count) in hops(&tenant.prefixes) {
            page.sample("prefixes", &[("vni", &vni), ("hop", hop)], count as f64);
        }
    }
    page.family("prefixes_counted_seconds", "gauge", "How long ago bgpd was asked for the last two hops.");
    for tenant in &status.tenants {
        if let Some(seconds) = tenant.prefixes.counted_seconds_ago {
            page.sample("prefixes_counted_seconds", &[("vni", &tenant.vni.to_string())], seconds);
        }
    }
    page.family("open_objects", "gauge", "Objects that are not as wished yet (the queue), by VNI.");
    for tenant in &status.tenants {
        page.sample("open_objects", &[("vni", &tenant.vni.to_string())], tenant.open.into());
    }
}

/// The hops that are known, with their counts.
fn hops(prefixes: &Hops) -> impl Iterator<Item = (&'static str, usize)> {
    let known = [("desired", Some(prefixes.desired)), ("kernel", Some(prefixes.kernel))];
    let asked = [("bgpd", prefixes.bgpd), ("type5", prefixes.type5)];
    known.into_iter().chain(asked).filter_map(|(hop, count)| Some((hop, count?)))
}

fn networks(page: &mut Page, status: &Status) {
    let networks = || status.underlay.iter().flat_map(|underlay| &underlay.networks);
    let tag = |network: &NetworkStatus| network.tag.map(|tag| tag.to_string()).unwrap_or_default();
    page.family(
        "network_ok",
        "gauge",
        "1: all of a provider network stands that is advertised as plain routes.",
    );
    for network in networks() {
        let labels = [("network", network.network.as_str()), ("tag", &tag(network))];
        page.sample("network_ok", &labels, f64::from(network.state == "ok"));
    }
    let help =
        "Plain routes of a provider network by hop: to be advertised, acknowledged by the kernel, in bgpd.";
    page.family("network_prefixes", "gauge", help);
    for network in networks() {
        for (hop, count) in hops(&network.prefixes) {
            let labels = [("network", network.network.as_str()), ("tag", &tag(network)), ("hop", hop)];
            page.sample("network_prefixes", &labels, count as f64);
        }
    }
    page.family("network_open_objects", "gauge", "Objects of a provider network that are not as wished yet.");
    for network in networks() {
        let labels = [("network", network.network.as_str()), ("tag", &tag(network))];
        page.sample("network_open_objects", &labels, network.open.into());
    }
}

/// A value of a metric.
trait Value {
    fn value(self) -> f64;
}

impl Value for bool {
    fn value(self) -> f64 {
        self.into()
    }
}

impl Value for u64 {
    fn value(self) -> f64 {
        self as f64
    }
}

impl Value for usize {
    fn value(self) -> f64 {
        self as f64
    }
}

impl Value for f64 {
    fn value(self) -> f64 {
        self
    }
}

/// The text as far as it is written.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.text, "# HELP bgp_agent_{name} {help}\n# TYPE bgp_agent_{name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "bgp_agent_{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Value) {
        self.family(name, kind, help);
        self.sample(name, &[], value.value());
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let (total, seconds) = histogram.total();
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.buckets() {
            self.sample(&bucket, &[("le", &bound.to_string())], count as f64);
        }
        self.sample(&bucket, &[("le", "+Inf")], total as f64);
        self.sample(&format!("{name}_sum"), &[], seconds);
        self.sample(&format!("{name}_count"), &[], total as f64);
    }
}

/// A label's value: names of sessions are ours but for a bridge's, which an operator chose.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::testing::peers::reconciler;

    #[test]
    fn every_line_is_a_comment_or_a_sample_of_a_declared_family() {
        let mut status = reconciler().status(Instant::now());
        status.latency.observe(Duration::from_millis(30));
        let text = text(&status);
        let mut families = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                families.push(rest.split(' ').next().unwrap().to_owned());
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let name = name.split('{').next().unwrap();
                assert!(families.iter().any(|family| name.starts_with(family.as_str())), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(text.contains("bgp_agent_session_up{session=\"southbound\"} 0\n"), "{text}");
        assert!(text.contains("bgp_agent_event_to_kernel_seconds_bucket{le=\"0.05\"} 1\n"), "{text}");
    }

    /// Names as they stand in a text, without the ends that a histogram's samples have.
    fn named(text: &str) -> std::collections::BTreeSet<String> {
        let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
        let begins = text.match_indices("bgp_agent_").map(|(at, _)| &text[at..]);
        let words = begins.map(|rest| rest.split(|c| !is_word(c)).next().unwrap_or_default());
        words
            .map(|word| {
                ["_bucket", "_sum", "_count"].iter().fold(word, |w, end| w.trim_end_matches(end)).to_owned()
            })
            .collect()
    }

    #[test]
    fn documents_dashboard_and_rules_name_what_there_is() {
        let there = named(&text(&reconciler().status(Instant::now())));
        assert_eq!(named(include_str!("../../docs/metrics.md")), there);
        for used in [
            include_str!("../../contrib/grafana-dashboard.json"),
            include_str!("../../contrib/prometheus-alerts.yml"),
        ] {
            let unknown: Vec<_> = named(used).difference(&there).cloned().collect();
            assert!(unknown.is_empty(), "{unknown:?}");
        }
    }

    #[test]
    fn the_dashboard_is_json_and_each_of_its_panels_asks_for_something() {
        let dashboard: serde_json::Value =
            serde_json::from_str(include_str!("../../contrib/grafana-dashboard.json")).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let shown = panels.iter().filter(|panel| panel["type"] != "row");
        for panel in shown.clone() {
            let targets = panel["targets"].as_array().unwrap_or_else(|| panic!("{panel} asks for nothing"));
            let asks = |target: &serde_json::Value| {
                target["expr"].as_str().is_some_and(|expr| expr.contains("bgp_agent_"))
            };
            assert!(!targets.is_empty() && targets.iter().all(asks), "{panel}");
        }
        assert!(shown.count() >= 5);
    }

    #[test]
    fn labels_cannot_break_out() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
