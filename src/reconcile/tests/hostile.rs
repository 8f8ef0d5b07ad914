//! Rows made to do harm: every text of a tenant's or an operator's that the agent looks at is, in turn, everything that a
//! text should not be. The neighbour tenant is served, what is put aside has a short reason, and of the text itself nothing
//! is in any operation.

use super::*;
use crate::{ovsdb::tables::PortBinding, testing::rows::GatewaySpec};

/// What no number, address, name or list should look like.
fn texts() -> Vec<String> {
    let plain = [
        "",
        " ",
        "\0",
        "1001\0",
        "\u{0}1001",
        "1001\n",
        "1001\nno router bgp 64999",
        "1001\r\n!",
        "\"",
        "'1001'",
        "\\",
        "1001 ",
        " 1001",
        "+1001",
        "-1",
        "0",
        "00",
        "0x3e9",
        "1e3",
        "1001.0",
        "NaN",
        "inf",
        "16777216",
        "4294967296",
        "99999999999999999999999999",
        "-99999999999999999999",
        "１００１",
        "١٠٠١",
        "\u{202e}1001",
        "\u{feff}1001",
        "\u{7f}",
        "\x1b[2J",
        "..",
        "../../etc/passwd",
        "/dev/null",
        "a/b",
        "%s%n%x",
        "$(reboot)",
        "`reboot`",
        "; reboot",
        "| reboot",
        "1001,1002",
        "[1001]",
        "{\"a\":1}",
        "null",
        "true",
        "[]",
        "[[]]",
        "[\"1:1\"",
        "[\"1:1\",1]",
        "<vni>",
        "☃",
        "end\nconfigure terminal\nno router bgp",
    ];
    let long =
        ["9".repeat(4000), "x".repeat(100_000), "[".repeat(50_000), "[\"".repeat(20_000), "\n".repeat(5_000)];
    plain.iter().map(|text| (*text).to_owned()).chain(long).collect()
}

/// Every place where a text of others is looked at: sets it in the first tenant's rows.
const PLACES: [fn(&mut Cloud, &str); 13] = [
    |cloud, text| cloud.annotate("gw", &[("neutron_bgpvpn:vni", text)]),
    |cloud, text| cloud.annotate("sub", &[("neutron_bgpvpn:vni", text)]),
    |cloud, text| cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:as", text)]),
    |cloud, text| cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:rt", text)]),
    |cloud, text| cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:it", text)]),
    |cloud, text| cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:et", text)]),
    |cloud, text| cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:rd", text)]),
    |cloud, text| cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001"), ("neutron_bgpvpn:type", text)]),
    |cloud, text| cloud.annotate("gw", &[("neutron_bgpvpn:vni", "1001"), (text, text)]),
    |cloud, text| cloud.workload("vm", "net", Some("cmp1"), &[text]),
    |cloud, text| cloud.workload(text, "net", Some("cmp1"), &["fa:16:3e:00:00:66 203.0.113.9"]),
    |cloud, text| cloud.localnet("provnet", "prov", text, None),
    |cloud, text| {
        let spec =
            GatewaySpec { name: "gw", router: "router", mac: text, chassis: Some("gw1"), provider: "prov" };
        cloud.gateway(&spec);
    },
];

/// What may surround a text: nothing, a list of one, an address in front of it.
const WRAPS: [fn(&str) -> String; 3] = [
    |text| text.to_owned(),
    |text| serde_json::json!([text]).to_string(),
    |text| format!("fa:16:3e:00:00:66 {text}"),
];

/// The seed's tenant, and a second one, on a provider network of its own, that nobody attacks.
fn cloud() -> Cloud {
    let mut cloud = two_tenants();
    cloud.localnet("provnet-0", "prov-b", "physnet1", None);
    let mac = "fa:16:3e:00:bb:01 172.24.4.147/24";
    cloud.gateway(&GatewaySpec { mac, provider: "prov-b", ..GatewaySpec::second() });
    cloud
}

fn rig() -> Rig {
    let mut rig = Rig::new(cloud());
    rig.run();
    rig.peers.journal.clear();
    rig
}

fn is_harmless(rig: &mut Rig, what: &str) {
    for (_, object) in rig.peers.journal.drain(..) {
        let said = object.to_string();
        let plain = |c: char| c.is_ascii_alphanumeric() || " .:/-_,".contains(c);
        assert!(said.chars().all(plain) && said.len() < 500, "{what}: {said:?}");
        assert!(
            !["reboot", "passwd", "configure", "x1b"].iter().any(|word| said.contains(word)),
            "{what}: {said}"
        );
    }
    let status = rig.status();
    let neighbour = status.tenants.iter().find(|tenant| tenant.vni == 1002);
    assert!(neighbour.is_some_and(|tenant| tenant.state == "ok"), "{what}: {status:?}");
    let problems = status.problems.iter().flat_map(|problem| [&problem.reason, &problem.port]);
    let of_tenants = status.tenants.iter();
    let of_tenants =
        of_tenants.flat_map(|tenant| tenant.reasons.iter().chain(&tenant.gateways).chain(&tenant.attach));
    for reason in problems.chain(of_tenants) {
        assert!(reason.len() < 1000 && !reason.contains(char::is_control), "{what}: {reason:?}");
    }
}

#[test]
fn no_text_of_others_does_harm() {
    let mut rig = rig();
    let mut variants = 0;
    for place in PLACES {
        for wrap in WRAPS {
            for text in texts() {
                let text = wrap(&text);
                place(&mut rig.cloud, &text);
                rig.run();
                is_harmless(&mut rig, &text.chars().take(60).collect::<String>());
                variants += 1;
            }
        }
        rig.cloud = cloud();
        rig.run();
        assert!(rig.status().converged, "{:?}", rig.status());
        rig.peers.journal.clear();
    }
    assert!(variants >= 1000, "{variants}");
}

#[test]
fn ten_megabytes_of_external_ids_are_not_said_again() {
    let mut rig = rig();
    let huge = "7".repeat(10 << 20);
    for keys in [["neutron_bgpvpn:vni", "x"], ["x", "y"]] {
        rig.cloud.annotate("gw", &keys.map(|key| (key, &*huge)));
        rig.run();
        is_harmless(&mut rig, "10 MB");
        assert!(serde_json::to_string(&rig.status()).unwrap().len() < 10_000);
    }
}

/// References that lead in circles, to themselves, to ports of another sort, or out of the database.
#[test]
fn references_may_lead_anywhere() {
    let names = ["gw", "lrp-gw", "cr-lrp-gw", "sub", "lrp-sub", "provnet", "vm", "nobody", ""];
    let mut rig = rig();
    for from in ["gw", "lrp-gw", "cr-lrp-gw", "sub", "lrp-sub"] {
        for to in names {
            for option in ["peer", "distributed-port", "chassis-redirect-port"] {
                let rows = rig.cloud.rows().into_iter().map(|(uuid, row)| match *row.logical_port == *from {
                    true => (
                        uuid,
                        PortBinding { options: [(option.into(), to.into())].into_iter().collect(), ..row },
                    ),
                    false => (uuid, row),
                });
                let rows = rows.collect();
                rig.reconciler.replica_mut().replace(rows, rig.cloud.chassis());
                rig.peers.run(&mut rig.reconciler, &mut rig.now);
                is_harmless(&mut rig, &format!("{from} {option} {to}"));
            }
        }
    }
}
