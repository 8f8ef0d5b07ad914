//! The page in a real browser: a thousand tenants, one of them in trouble, on a desk and on a phone, searched, filtered and
//! followed. Screenshots are left in target/page/ to be looked at. Needs `chromium-headless-shell`; run by `make test-page`.

#![allow(clippy::disallowed_types)]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bgp_agent::{
    control::{Answer, Asked, Request},
    reconcile::{
        BrakeStatus, Drain, Hops, NetworkStatus, PrefixStatus, ProblemStatus, SessionStatus, Status,
        TenantStatus, UnderlayStatus, ZebraStatus,
    },
    telemetry::{histogram::Histogram, http},
};
use tokio::sync::mpsc;

const TENANTS: u32 = 1000;

/// An address that the loop has no answer to.
const UNANSWERED: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

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
        prefixes: Hops {
            desired: 100,
            kernel: if broken { 0 } else { 100 },
            bgpd: (!broken).then_some(100),
            type5: (!broken).then_some(99),
            counted_seconds_ago: (!broken).then_some(12.0),
        },
        wished: 120,
        open: if broken { 100 } else { 0 },
        watermark: if broken { 4 } else { 5 },
        lag_seconds: if broken { 3.0 } else { 0.0 },
        changed_seconds_ago: Some(125.0),
    }
}

fn underlay() -> UnderlayStatus {
    let network = NetworkStatus {
        network: "physnet2".to_owned(),
        tag: Some(100),
        bridge: Some("br-ex".to_owned()),
        table: Some(201),
        state: "held",
        reasons: vec!["no port <i>".to_owned()],
        more_reasons: 0,
        prefixes: Hops { desired: 7, kernel: 5, bgpd: Some(4), ..Hops::default() },
        wished: 30,
        open: 9,
    };
    let (vrf, nic) = ("bgp-vrf".to_owned(), "bgp-nic".to_owned());
    UnderlayStatus { vrf, table: 10, nic, state: "ok", reasons: Vec::new(), open: 0, networks: vec![network] }
}

fn status() -> Status {
    let session = |state, reason: Option<&str>| SessionStatus {
        state,
        for_seconds: 7500.0,
        reconnects: 1,
        reason: reason.map(str::to_owned),
        unanswered_seconds: None,
    };
    let sessions = BTreeMap::from([
        ("kernel".to_owned(), SessionStatus { unanswered_seconds: Some(3.5), ..session("up", None) }),
        ("zebra".to_owned(), session("up", None)),
        ("bgpd".to_owned(), session("down", Some("the connection was closed"))),
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
        drain: Drain::LessPreferred,
        brake: Some(BrakeStatus {
            held_prefixes: 150,
            advertised: 200,
            limit: 100,
            no_chassis: false,
            until: None,
        }),
        warning: Some("a Python ovn-bgp-agent runs on this node too <b>".to_owned()),
        tenants: (0..TENANTS).map(|n| tenant(1001 + n)).collect(),
        underlay: Some(underlay()),
        problems: vec![problem],
        problems_total: 1,
        zebra: ZebraStatus {
            backlog_bytes: 0,
            lost: 0,
            told_again: 0,
            waits: 0,
            stuck: false,
            vteps_forgotten: 0,
        },
        operations: BTreeMap::new(),
        latency: Histogram::default(),
        latency_to_bgp: Histogram::default(),
    }
}

/// Each status has the next revision.
async fn answer(mut questions: mpsc::Receiver<Asked>) {
    let mut revision = 5;
    while let Some(Asked { request, answer }) = questions.recv().await {
        let prefix = |vni| PrefixStatus {
            vni: Some(vni),
            address: [20, 0, 0, 10].into(),
            of: "vm",
            state: "kernel",
            reason: None,
        };
        let _ = answer.send(match request {
            Request::Status => {
                revision += 1;
                Answer::Status(Box::new(Status { revision, ..status() }))
            }
            Request::Find { address } if address == UNANSWERED => {
                Answer::Error { error: "the agent's loop does not answer".to_owned() }
            }
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

/// The same page with a script behind its own that acts as a person would: what it gives is found as JSON in `#result`.
/// Everything but the page is the agent's server's.
fn acted(script: &str) -> String {
    let agent = served().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let page = include_str!("../src/telemetry/page.html");
    let act = format!(
        "<pre id=result></pre><script>(async () => {{\n\
         const until = async what => {{ while (!what()) await new Promise(go => setTimeout(go, 20)); }};\n\
         const rows = () => [...document.querySelectorAll('tr.tenant')].filter(row => row.offsetParent).length;\n\
         await until(() => rows() > 0);\n{script}\n\
         }})().catch(String).then(result => {{ $('result').textContent = 'RESULT' + JSON.stringify(result) + 'END'; }})\n\
         </script>"
    );
    let page = page.replace("</body>", &format!("{act}</body>"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (agent, page) = (agent.clone(), page.clone());
            std::thread::spawn(move || pass_on(stream.unwrap(), &agent, &page));
        }
    });
    url
}

fn pass_on(mut client: TcpStream, agent: &str, page: &str) {
    let (mut request, mut block) = (Vec::new(), [0; 4096]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut block) {
            Ok(length @ 1..) => request.extend_from_slice(&block[..length]),
            _ => return,
        }
    }
    if request.starts_with(b"GET / ") {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n";
        let _ = write!(client, "{head}Content-Length: {}\r\n\r\n{page}", page.len());
        return;
    }
    let mut server = TcpStream::connect(agent).unwrap();
    server.write_all(&request).unwrap();
    let _ = std::io::copy(&mut server, &mut client);
}

/// What the script gives in a window of this size.
fn result(script: &str, size: &str) -> serde_json::Value {
    let dom = browser(&["--dump-dom", &format!("--window-size={size}"), &acted(script)]);
    let found = dom.split_once("<pre id=\"result\">RESULT").and_then(|(_, rest)| rest.split_once("END"));
    let (json, _) = found.unwrap_or_else(|| panic!("the script did not end: {}", &dom[dom.len() - 2000..]));
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&json).unwrap()
}

const DESK: &str = "1200,900";
const PHONE: &str = "390,844";

fn browser(arguments: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium-headless-shell")
        .args(["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=30000"])
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
    for part in [
        ">100</span></td><td data-name=\"Type-5\"><span class=\"held\">99</span><small class=\"reasons\">asked 12 s ago",
        "kernel <span class=\"ok\">up</span> 2 h 5 min, came back 1 times<small class=\"held\">has not answered for 3 s",
        "physnet2 VLAN 100 <span class=\"held\">held</span> 7 to be advertised, 5 in the kernel, 4 in bgpd<small>no port &lt;i&gt;",
    ] {
        assert!(dom.contains(part), "{part}");
    }
    for part in [
        "This node is drained: its prefixes are advertised less preferred",
        "The brake holds 150 of 200 advertised prefixes",
        "a Python ovn-bgp-agent runs on this node too &lt;b&gt;",
    ] {
        assert!(dom.contains(part), "{part}");
    }
}

#[test]
#[ignore = "needs a browser: make test-page"]
fn an_address_is_found_and_tenants_are_filtered() {
    let script = "
        const found = [];
        $('address').value = '20.0.0.10'; $('search').requestSubmit();
        await until(() => $('found').children.length);
        found.push($('found').textContent);
        for (const [text, only] of [['1007', ''], ['', '!ok'], ['', 'ok'], ['1007', 'ok'], ['', '']]) {
          $('filter').value = text; $('filter').dispatchEvent(new Event('input'));
          $('only').value = only; $('only').dispatchEvent(new Event('change'));
          found.push(rows(), $('count').textContent);
        }
        return found;";
    let expected = serde_json::json!([
        "VNI 1001: 20.0.0.10 in the kernel",
        1,
        "1 of 1000",
        1,
        "1 of 1000",
        999,
        "999 of 1000",
        0,
        "0 of 1000",
        1000,
        "1000"
    ]);
    assert_eq!(result(script, DESK), expected);
}

#[test]
#[ignore = "needs a browser: make test-page"]
fn what_keeps_an_address_from_being_found_is_said() {
    let script = "
        const found = async address => {
          $('found').replaceChildren();
          $('address').value = address; $('search').requestSubmit();
          await until(() => $('found').children.length);
          return $('found').textContent;
        };
        const said = [await found('router'), await found('192.0.2.9')];
        window.fetch = async () => { throw new TypeError('Failed to fetch'); };
        said.push(await found('20.0.0.10'));
        window.fetch = (path, { signal }) => new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)));
        said.push(await found('20.0.0.10'));
        return said;";
    let expected = serde_json::json!([
        "That is no address.",
        "It cannot be looked up: the agent's loop does not answer.",
        "It cannot be looked up: the agent cannot be reached.",
        "It cannot be looked up: the agent does not answer.",
    ]);
    assert_eq!(result(script, DESK), expected);
}

#[test]
#[ignore = "needs a browser: make test-page"]
fn the_banner_says_why_the_brake_holds() {
    let script = "
        const banner = no_chassis => {
          showBanner({ drain: 'no', brake: { held_prefixes: 150, advertised: 200, no_chassis, seconds_left: null } });
          return $('banner').textContent;
        };
        return [banner(false), banner(true)];";
    let expected = serde_json::json!([
        "The brake holds 150 of 200 advertised prefixes, of which the Southbound has no rows since it was read anew. \
         `bgp-agent release` withdraws them at once.",
        "The brake holds 150 of 200 advertised prefixes: the Southbound has no Chassis of this node, nor a row that says why they \
         are gone. `bgp-agent release` withdraws them at once.",
    ]);
    assert_eq!(result(script, DESK), expected);
}

#[test]
#[ignore = "needs a browser: make test-page"]
fn it_is_live_and_says_how_old_it_is_where_nobody_answers() {
    let script = "
        const revision = () => Number(/revision (\\d+)/.exec($('state').textContent)[1]);
        const first = revision();
        await until(() => revision() > first);
        // A server that takes the question and says nothing: only the page's own patience ends that.
        window.fetch = (path, { signal }) => new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)));
        await until(() => $('state').className === 'down');
        return [$('state').textContent.replace(/\\d+ s/, 'N s'), document.title];";
    let expected =
        serde_json::json!(["The agent does not answer; what is shown is N s old.", "(!) bgp-agent gw1"]);
    assert_eq!(result(script, DESK), expected);
}

#[test]
#[ignore = "needs a browser: make test-page"]
fn nothing_is_wider_than_a_phone() {
    let script = "
        document.querySelector('tr.tenant').click();
        await until(() => document.querySelector('td.prefixes li'));
        const page = document.documentElement, state = document.querySelector('td[data-name=State] > span');
        // A word of one line, however long the reason beside it.
        const word = document.createRange();
        word.selectNodeContents(state);
        return [window.innerWidth, page.scrollWidth <= window.innerWidth, word.getClientRects().length];";
    assert_eq!(result(script, PHONE), serde_json::json!([390, true, 1]));
}

#[test]
#[ignore = "needs a browser: make test-page"]
fn it_fits_a_desk_and_a_phone() {
    let url = served();
    for (name, size) in [("desk", DESK), ("phone", PHONE)] {
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
    let url = served();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let status: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(status["tenants"].as_array().unwrap().len(), TENANTS as usize);
}
