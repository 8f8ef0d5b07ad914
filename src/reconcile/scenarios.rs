//! Runs fixtures/scenarios/*.txt: recorded inputs with the exact operations that must follow. The format is described in
//! the README beside them. With BLESS=1 the expectations are rewritten from what happens, to be read before a commit.

use std::{fmt::Write as _, fs, path::Path};

use super::tests::Rig;
use crate::{
    config::{Modes, Underlay},
    planes::{Verb, kernel::object::LinkKind},
    reconcile::{UnderlayStatus, object::Key},
    testing::rows::{Cloud, GatewaySpec},
};

/// Carries out one `>` line.
pub(super) fn command(rig: &mut Rig, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let pairs = |words: &[&str]| -> Vec<(String, String)> {
        let pair = |word: &&str| {
            word.split_once('=').map(|(key, value)| (key.to_owned(), value.replace("\\n", "\n")))
        };
        words.iter().filter_map(pair).collect()
    };
    match &words[..] {
        ["driver", words @ ..] => {
            let has = |word| words.contains(&word);
            rig.config.modes = Modes { evpn: has("evpn"), underlay: has("bgp") };
            rig.config.underlay =
                Underlay { all_tenants: has("tenants"), by_subnet: has("by-subnet"), ..Underlay::default() };
            rig.restart();
        }
        ["seed"] => rig.cloud = Cloud::seed(),
        ["localnet", name, provider, network, tag @ ..] => {
            rig.cloud.localnet(name, provider, network, tag.first().map(|tag| tag.parse().unwrap()));
        }
        ["gateway", name, router, provider, chassis, mac @ ..] => rig.cloud.gateway(&GatewaySpec {
            name,
            router,
            mac: &mac.join(" "),
            chassis: Some(*chassis).filter(|chassis| *chassis != "-"),
            provider,
        }),
        ["subnet", gateway, name, network, mac @ ..] => {
            rig.cloud.subnet(gateway, name, network, &mac.join(" "))
        }
        ["annotate", port, annotation @ ..] => {
            let keyed: Vec<_> = pairs(annotation)
                .into_iter()
                .map(|(key, value)| (format!("neutron_bgpvpn:{key}"), value))
                .collect();
            let borrowed: Vec<_> = keyed.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            rig.cloud.annotate(port, &borrowed);
        }
        ["vm", name, network, chassis, mac @ ..] => {
            let chassis = Some(*chassis).filter(|chassis| *chassis != "-");
            rig.cloud.workload(name, network, chassis, &elements(&mac.join(" ")));
        }
        ["nat", port, entries @ ..] => rig.cloud.nat(port, &elements(&entries.join(" "))),
        ["balancer", name, "router" | "switch", _] => rig.cloud.remove_balancer(name),
        ["balancer", name, "router", router, vips @ ..] => rig.cloud.balancer(name, vips, &[router], &[]),
        ["balancer", name, "switch", switch, vips @ ..] => rig.cloud.balancer(name, vips, &[], &[switch]),
        ["kind", port, kind] => rig.cloud.kind(port, kind),
        ["move", gateway, chassis] => rig.cloud.move_gateway(gateway, chassis),
        ["remove", port] => rig.cloud.remove(port),
        ["settings", settings @ ..] => {
            for (key, value) in pairs(settings) {
                rig.peers.set(&key, Some(value).filter(|value| !value.is_empty()));
            }
        }
        ["bridge", name] => rig.peers.bridge(name),
        ["no-bridge", name] => rig.peers.no_bridge(name),
        ["patch", localnet, bridge] => rig.peers.patch_port(localnet, bridge),
        ["no-patch", localnet] => rig.peers.no_patch_port(localnet),
        ["foreign-port", name, bridge] => rig.peers.foreign_port(name, bridge),
        ["foreign-link", name, kind] => rig.peers.foreign_link(name, link_kind(kind)),
        ["renumber", name] => rig.peers.renumber(name),
        ["new-mac", name] => rig.peers.change_mac(name),
        ["take", ..] => take(rig, line.trim_start_matches("take ")),
        ["refuse", ..] => refuse(rig, line.trim_start_matches("refuse ")),
        ["allow"] => {
            rig.peers.refuse_like = None;
            rig.now += std::time::Duration::from_secs(60);
        }
        ["restart"] => rig.restart(),
        ["read-all"] => rig.reconciler.read_all(),
        _ => panic!("not a command: {line}"),
    }
}

/// The elements of a set, between commas.
fn elements(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty()).collect()
}

fn link_kind(word: &str) -> LinkKind {
    match word.split_once(':') {
        Some(("vrf", table)) => LinkKind::Vrf { table: table.parse().unwrap() },
        None if word == "bridge" => LinkKind::Bridge,
        None if word == "dummy" => LinkKind::Dummy,
        _ => LinkKind::Other(word.to_owned()),
    }
}

/// The key of what stands and reads like this.
fn standing(rig: &Rig, text: &str) -> Key {
    let found = rig.peers.objects.iter().find(|(_, object)| object.to_string().starts_with(text));
    found.unwrap_or_else(|| panic!("nothing stands like {text:?}")).0.clone()
}

fn take(rig: &mut Rig, text: &str) {
    let key = standing(rig, text);
    rig.peers.take(&key);
}

fn refuse(rig: &mut Rig, text: &str) {
    rig.peers.refuse_like = Some(text.to_owned());
}

/// What was done since the last call, a line per operation; those of one batch in the order of their text.
fn done(rig: &mut Rig) -> String {
    let mut text = String::new();
    for mut batch in std::mem::take(&mut rig.peers.batches) {
        batch.sort_by_key(|(verb, object)| (*verb != Verb::Remove, object.to_string()));
        for (verb, object) in batch {
            let sign = match verb {
                Verb::Create => '+',
                Verb::Update => '~',
                Verb::Remove => '-',
            };
            let _ = writeln!(text, "{sign} {object}");
        }
    }
    text
}

/// What is said about what does not stand.
fn said(rig: &Rig) -> String {
    let status = rig.reconciler.status(rig.now);
    let mut lines: Vec<String> =
        status.problems.iter().map(|problem| format!("! {}: {}", problem.port, problem.reason)).collect();
    for tenant in &status.tenants {
        lines.extend(
            tenant.reasons.iter().map(|reason| format!("! VNI {} {}: {reason}", tenant.vni, tenant.state)),
        );
    }
    lines.extend(
        status.underlay.iter().flat_map(UnderlayStatus::waiting).map(|waiting| format!("! {waiting}")),
    );
    lines.sort();
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The scenario with what really happens in place of what is expected.
fn replay(text: &str) -> String {
    let mut rig = Rig::new(Cloud::empty());
    let mut replayed = String::new();
    let mut commands = 0;
    let mut before = String::new();
    let finish = |rig: &mut Rig, replayed: &mut String, before: &mut String| {
        rig.peers.batches.clear();
        rig.run();
        replayed.push_str(&done(rig));
        let now = said(rig);
        if now != *before {
            replayed.push_str(if now.is_empty() { "! nothing to say any more\n" } else { &now });
            *before = now;
        }
        rig.reconciler.read_all();
        rig.peers.batches.clear();
        rig.run();
        assert_eq!(done(rig), "", "a second pass writes nothing");
    };
    for line in text.lines() {
        if commands > 0 && !line.starts_with('>') {
            finish(&mut rig, &mut replayed, &mut before);
            commands = 0;
        }
        if let Some(line) = line.strip_prefix("> ") {
            command(&mut rig, line);
            commands += 1;
        }
        if !line.starts_with(['+', '-', '~', '!']) {
            replayed.push_str(line);
            replayed.push('\n');
        }
    }
    if commands > 0 {
        finish(&mut rig, &mut replayed, &mut before);
    }
    replayed
}

#[test]
fn every_recorded_scenario_leads_to_the_recorded_operations() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let recorded = fs::read_to_string(&file).unwrap();
        let replayed = replay(&recorded);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&file, &replayed).unwrap();
            continue;
        }
        for (at, (recorded, replayed)) in recorded.lines().zip(replayed.lines()).enumerate() {
            assert_eq!(recorded, replayed, "{}:{}", file.display(), at + 1);
        }
        assert_eq!(recorded.lines().count(), replayed.lines().count(), "{}", file.display());
    }
}
