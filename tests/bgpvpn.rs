//! `bgp-agent bgpvpn` against a real ovsdb-server with OVN's Northbound schema, as an operator calls it.
#![allow(clippy::disallowed_types)]

mod ovsdb_server;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Command, Output},
};

use ovsdb_server::{Server, free_port, path, pki::Pki, run};

const SCHEMA: &str = "/usr/share/ovn/ovn-nb.ovsschema";

/// A Northbound with a router of Neutron's, its gateway and two networks.
struct Cloud {
    server: Server,
    nb: String,
}

impl Cloud {
    fn new() -> Self {
        let port = free_port();
        Self::behind(format!("tcp:127.0.0.1:{port}"), &[format!("--remote=ptcp:{port}:127.0.0.1")])
    }

    fn behind(nb: String, listen: &[String]) -> Self {
        let cloud = Self { server: Server::standalone(SCHEMA, listen), nb };
        cloud.nbctl("ls-add neutron-ext -- ls-add neutron-net1 -- ls-add neutron-net2");
        cloud.nbctl("set logical_switch neutron-net1 external_ids:neutron\\:network_name=blue");
        cloud.nbctl(
            "lr-add neutron-r1 -- set logical_router neutron-r1 external_ids:neutron\\:router_name=edge",
        );
        cloud.nbctl("lrp-add neutron-r1 lrp-gw fa:16:3e:00:00:01 172.24.4.146/24");
        cloud.nbctl("lrp-set-gateway-chassis lrp-gw gw1");
        cloud.nbctl("lrp-add neutron-r1 lrp-if1 fa:16:3e:00:00:02 20.0.1.1/24");
        cloud.nbctl("lrp-add neutron-r1 lrp-if2 fa:16:3e:00:00:03 20.0.2.1/24");
        for (switch, port) in [("ext", "gw"), ("net1", "if1"), ("net2", "if2")] {
            cloud.nbctl(&format!("lsp-add neutron-{switch} {port} -- lsp-set-type {port} router"));
            cloud.nbctl(&format!("lsp-set-options {port} router-port=lrp-{port}"));
            cloud.nbctl(&format!("set logical_switch_port {port} external_ids:neutron\\:revision_number=3"));
        }
        cloud
    }

    fn nbctl(&self, words: &str) -> String {
        let db = format!("--db={}", self.server.remote());
        run("ovn-nbctl", &[&[&*db], &*words.split(' ').collect::<Vec<_>>()].concat())
    }

    fn bgpvpn(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bgp-agent"));
        command.args(["bgpvpn", "--nb", &self.nb]).args(words.split(' ')).output().unwrap()
    }

    fn says(&self, words: &str) -> String {
        let output = self.bgpvpn(words);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words}: {err}");
        out.into_owned()
    }

    fn refuses(&self, words: &str) -> String {
        let output = self.bgpvpn(words);
        assert_eq!(output.status.code(), Some(1), "{words}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// What a port carries, without what Neutron wrote.
    fn annotation(&self, port: &str) -> String {
        self.nbctl(&format!("get logical_switch_port {port} external_ids"))
            .replace("\"neutron:revision_number\"=\"3\"", "")
            .replace("neutron_bgpvpn:", "")
            .replace(['{', '}', ' ', '"', '\\', '\n'], "")
            .trim_start_matches(',')
            .to_owned()
    }

    fn annotations(&self) -> [String; 3] {
        ["gw", "if1", "if2"].map(|port| self.annotation(port))
    }
}

/// A way to the server, by one connection at a time, that breaks when the first change is to be written: when the server has
/// done it, or before it has heard of it.
fn breaking(socket: PathBuf, is_done: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = format!("tcp:{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut breaks = Some(is_done);
        for client in listener.incoming() {
            carry(client.unwrap(), UnixStream::connect(&socket).unwrap(), &mut breaks);
        }
    });
    remote
}

fn carry(mut client: TcpStream, mut server: UnixStream, breaks: &mut Option<bool>) {
    let (mut answers, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let answering = std::thread::spawn(move || std::io::copy(&mut answers, &mut to_client));
    let (mut said, mut block) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = client.read(&mut block) {
        said.extend_from_slice(&block[..length]);
        let is_change = String::from_utf8_lossy(&said).contains("\"mutate\"");
        let Some(is_done) = breaks.take_if(|_| is_change) else {
            server.write_all(&block[..length]).unwrap();
            continue;
        };
        client.shutdown(Shutdown::Both).unwrap();
        if is_done {
            server.write_all(&block[..length]).unwrap();
            // The answer ends this: nobody is there to take it.
            answering.join().unwrap().unwrap_err();
            return;
        }
    }
    server.shutdown(Shutdown::Both).unwrap();
    let _ = answering.join().unwrap();
}

#[test]
fn an_answer_that_was_lost_with_its_connection_is_looked_for_in_the_rows() {
    for (is_done, says) in [(true, "annotated already"), (false, "annotated")] {
        let mut cloud = Cloud::new();
        cloud.nb = breaking(cloud.server.socket(), is_done);
        let said = cloud.says("associate --router edge --vni 1001");
        assert_eq!(said.lines().filter(|line| line.ends_with(&format!(": {says}"))).count(), 3, "{said}");
        assert_eq!(cloud.annotations(), ["vni=1001"; 3]);
    }
}

#[test]
fn a_router_comes_changes_and_goes_without_leftovers() {
    let cloud = Cloud::new();
    cloud
        .says("associate --router edge --vni 1001 --as 65001 --rt 65001:1 --import 192.0.2.1:9 --rd 65001:5");
    let all = "as=65001,it=[192.0.2.1:9],rd=[65001:5],rt=[65001:1],vni=1001";
    assert_eq!(cloud.annotations(), [all; 3]);
    let again = cloud.says(
        "associate --router neutron-r1 --vni 1001 --as 65001 --rt 65001:1 --import 192.0.2.1:9 --rd 65001:5",
    );
    assert_eq!(again.matches("annotated already").count(), 3, "{again}");

    cloud.says("associate --router r1 --vni 1001");
    assert_eq!(cloud.annotations(), ["vni=1001"; 3]);
    cloud.says("disassociate --router edge");
    assert_eq!(cloud.annotations(), [""; 3]);
    assert!(cloud.says("disassociate --router edge").contains("not annotated"));
}

#[test]
fn networks_come_and_go_one_by_one() {
    let cloud = Cloud::new();
    cloud.says("associate --network blue --vni 1001");
    assert_eq!(cloud.annotations(), ["vni=1001", "vni=1001", ""]);
    let uuid = cloud.nbctl("--bare --columns=_uuid find logical_switch name=neutron-net2");
    cloud.says(&format!("associate --network {} --vni 1001", uuid.trim()));
    cloud.says("disassociate --network blue");
    assert_eq!(cloud.annotations(), ["vni=1001", "", "vni=1001"]);
    cloud.says("disassociate --network net2");
    assert_eq!(cloud.annotations(), [""; 3]);
}

#[test]
fn what_cannot_be_is_said_and_nothing_is_written() {
    let cloud = Cloud::new();
    assert!(cloud.refuses("associate --router nobody --vni 1001").contains("no router is called \"nobody\""));
    cloud.says("associate --network blue --vni 1001");
    assert!(cloud.refuses("associate --router edge --vni 1002").contains("has VNI 1001 already"));
    assert_eq!(cloud.annotations(), ["vni=1001", "vni=1001", ""]);
    for wrong in [
        "--vni 0",
        "--vni 16777216",
        "--vni 7 --rt 0:1",
        "--vni 7 --rt 64999",
        "--vni 7 --as 0",
        "--vni 7 --network x",
    ] {
        let output = cloud.bgpvpn(&format!("associate --router edge {wrong}"));
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
    let mut nowhere = Cloud::new();
    nowhere.nb = "unix:/nonexistent".to_owned();
    assert!(nowhere.refuses("list").contains("is ovn_nb_connection, or --nb, right?"));
}

#[test]
fn list_and_show_tell_what_is_annotated_and_what_is_wrong_with_it() {
    let cloud = Cloud::new();
    assert_eq!(cloud.says("list"), "");
    cloud.says("associate --network blue --vni 1001 --as 65001");
    assert_eq!(cloud.says("list"), "VNI 1001, AS 65001, router edge (neutron-r1): blue (neutron-net1)\n");
    cloud.nbctl("set logical_switch_port if2 external_ids:neutron_bgpvpn\\:vni=1002");
    assert!(cloud.says("list").contains("(problems at 1 of its ports: see show)"));
    let shown = cloud.says("show --router edge");
    for line in [
        "  gateway   gw 172.24.4.146/24 on neutron-ext: annotated\n",
        "  interface if2 20.0.2.1/24 on neutron-net2: annotated; VNI 1002, but the router's gateway has VNI 1001\n",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let json: serde_json::Value = serde_json::from_str(&cloud.says("show --network blue --json")).unwrap();
    assert_eq!((&json[0]["vni"], &json[0]["as"]), (&1001.into(), &65001.into()));
    assert_eq!(json[0]["ports"].as_array().unwrap().len(), 3);
}

#[test]
fn over_tls_the_keys_of_the_configuration_are_used() {
    let (pki, port) = (Pki::new(), free_port());
    let cloud = Cloud::behind(format!("ssl:127.0.0.1:{port}"), &pki.server_options(port));
    let directory = tempfile::tempdir().unwrap();
    let bgpvpn = |client: &str, ca: &str, words: &str| {
        let file = directory.path().join("bgp-agent.conf");
        let [key, certificate, ca] = [pki.key(client), pki.certificate(client), pki.servers_ca(ca)];
        let keys = format!(
            "ovn_nb_private_key={}\novn_nb_certificate={}\novn_nb_ca_cert={}",
            path(&key),
            path(&certificate),
            path(&ca)
        );
        std::fs::write(&file, format!("[ovn]\novn_nb_connection={}\n{keys}\n", cloud.nb)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bgp-agent"));
        command.args(["--config-file", path(&file), "bgpvpn"]).args(words.split(' ')).output().unwrap()
    };
    let associate = "associate --router edge --vni 1001";
    for (client, ca, why) in [
        ("stranger", "pki", "the server refuses our certificate"),
        ("client", "other", "not signed by the given CA"),
    ] {
        let output = bgpvpn(client, ca, associate);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(cloud.annotations(), [""; 3]);
    let output = bgpvpn("client", "pki", associate);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(cloud.annotations(), ["vni=1001"; 3]);
}
