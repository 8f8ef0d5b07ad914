//! The page in a real browser: a thousand tenants, one of them in trouble, on a desk and on a phone. Screenshots are left in
//! target/page/ to be looked at. Needs `chromium-headless-shell`; run by `make test-page`.

#![allow(clippy::disallowed_types)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bgp_agent::{
    control::{Answer, Asked, Request},
    reconcile::{Drain, Hops, PrefixStatus, ProblemStatus, SessionStatus, Status, TenantStatus, ZebraStatus},
    telemetry::{histogram::Histogram, http},
};
use tokio::sync::mpsc;

const TENANTS: u32 = 1000;

fn tenant(vni: u32) -> TenantStatus {
    let broken = vni == 1007;
    let reasons = vec!["zebra does not have the L3VNI of vrf-1007 up yet <b>&</b>".to_owned()];
    TenantStatus {
        vni,
        asn: Some(64999),
        gateways: vec![format!("cr-lrp-5bc97046-6483-4e5a-98db-{vni:012}")],
        attach: vec!["veth to physnet1".to_owned()],
        state: if broken { "held" } else { "ok" },
        reasons: if broken { reasons } else { Vec::new() },
        more_reasons: 0,
        prefixes: Hops { desired: 100, kernel: if broken { 0 } else { 100 } },
        wished: 120,
        open: if broken { 100 } else { 0 },
        changed_seconds_ago: Some(125.0),
    }
}

fn status() -> Status {
    let session = |state, reason: Option<&str>| SessionStatus {
        state,
        for_seconds: 7500.0,
        reconnects: 1,
        reason: reason.map(str::to_owned),
    };
    let sessions = BTreeMap::from([
        ("kernel".to_owned(), session("up", None)),
        ("frr".to_owned(), session("down", Some("bgpd: the connection was closed"))),
    ]);
    let problem = ProblemStatus { port: "lrp-x".to_owned(), vni: None, reason: "no VNI".to_owned() };
    Status {
        version: "0",
        node: Some("gw1".to_owned()),
        sessions,
        revision: 5,
        watermark: 4,
        lag_seconds: 3.0,
        converged: false,
        ready: true,
        drain: Drain::No,
        brake: None,
        warning: None,
        tenants: (0..TENANTS).map(|n| tenant(1001 + n)).collect(),
        problems: vec![problem],
        problems_total: 1,
        zebra: ZebraStatus { backlog_bytes: 0, lost: 0, told_again: 0, waits: 0, stuck: false },
        operations: BTreeMap::new(),
        latency: Histogram::default(),
    }
}

async fn answer(mut questions: mpsc::Receiver<Asked>) {
    while let Some(Asked { request, answer }) = questions.recv().await {
        let prefix = |vni| PrefixStatus {
            vni,
            address: [20, 0, 0, 10].into(),
            of: "vm",
            state: "kernel",
            reason: None,
        };
        let _ = answer.send(match request {
            Request::Status => Answer::Status(Box::new(status())),
            _ => Answer::Prefixes { prefixes: vec![prefix(1001)] },
        });
    }
}

/// The page served by the agent's own server, on a free port.
fn served() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (ready, is_ready) = std::sync::mpsc::channel();
    // It serves until the test's process ends.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (questions, asked) = mpsc::channel(16);
            http::serve(([127, 0, 0, 1], port).into(), questions).await.unwrap();
            ready.send(()).unwrap();
            answer(asked).await;
        });
    });
    is_ready.recv().unwrap();
    format!("http://127.0.0.1:{port}/")
}

fn browser(arguments: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium-headless-shell")
        .args(["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=6000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .output()
        .expect("chromium-headless-shell is needed: apt-get install chromium-headless-shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pictures() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
#[ignore = "needs a browser: make test-page"]
fn a_thousand_tenants_are_shown_and_nothing_of_theirs_is_markup() {
    let url = served();
    let dom = browser(&["--dump-dom", &url]);
    assert_eq!(dom.matches("<tr class=\"tenant\"").count(), TENANTS as usize);
    for part in ["Not everything wished stands", "on gw1", "bgpd: the connection was closed", "lrp-x: no VNI"]
    {
        assert!(dom.contains(part), "{part}");
    }
    assert!(dom.contains("up yet &lt;b&gt;&amp;&lt;/b&gt;"), "a reason is text");
}

#[test]
#[ignore = "needs a browser: make test-page"]
fn it_fits_a_desk_and_a_phone() {
    let url = served();
    for (name, size) in [("desk", "1200,900"), ("phone", "390,844")] {
        let picture = pictures().join(format!("{name}.png"));
        let _ = std::fs::remove_file(&picture);
        browser(&[&format!("--screenshot={}", picture.display()), &format!("--window-size={size}"), &url]);
        let bytes = std::fs::metadata(&picture).unwrap().len();
        assert!(bytes > 10_000, "{name}: a picture of {bytes} bytes shows nothing");
    }
}

#[test]
#[ignore = "needs a browser: make test-page"]
fn it_answers_a_real_client_with_its_length() {
    use std::io::{Read, Write};
    let url = served();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let status: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(status["tenants"].as_array().unwrap().len(), TENANTS as usize);
}
