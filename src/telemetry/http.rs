//! The web server: metrics, health and the page, read-only. Speaks just enough HTTP/1.1 (RFC 9112) for Prometheus and a
//! browser: one GET or HEAD per connection, no body taken, every answer with the length of
//! its body.
//!
//! It owns sockets and paths; what is answered comes from the loop by the same questions as the control socket's.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::metrics;
use crate::control::{self, Answer, Questions, Request};

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 8 << 10;

/// How long a client may take to send its request, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the page is; it loads nothing from elsewhere.
const PAGE: &str = include_str!("page.html");

/// An answer.
struct Response {
    status: &'static str,
    kind: &'static str,
    body: String,
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Listens on this address.
pub async fn serve(address: SocketAddr, questions: Questions) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let opened = !address.ip().is_loopback();
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let questions = questions.clone();
                    tokio::spawn(
                        async move { timeout(PATIENCE, converse(stream, opened, &questions)).await },
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "metrics_listen");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(())
}

async fn converse(mut stream: TcpStream, opened: bool, questions: &Questions) -> io::Result<()> {
    let asked = head(&mut stream).await?;
    let is_head = asked.as_ref().is_some_and(|head| head.starts_with("HEAD "));
    let response = match asked {
        Some(head) => respond(&head, opened, questions).await,
        None => plain("431 Request Header Fields Too Large", "the request's head is too long\n"),
    };
    let Response { status, kind, body } = response;
    // The page's own script and style, and nothing from elsewhere; nobody may frame it.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  img-src data:; frame-ancestors 'none'";
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: {policy}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    // To HEAD all is said but the body (RFC 9110, 9.3.2).
    if !is_head {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

/// The request line and headers, as far as they are needed; None: too long.
async fn head(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut read = Vec::new();
    let mut block = [0; 2048];
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = stream.read(&mut block).await?;
        if length == 0 {
            break;
        }
        read.extend_from_slice(block.get(..length).unwrap_or_default());
        if read.len() > MAX_HEAD {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&read).into_owned()))
}

/// `opened`: an operator has opened the server to others than this host.
async fn respond(head: &str, opened: bool, questions: &Questions) -> Response {
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !words.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        return plain("400 Bad Request", "this is not HTTP/1.1\n");
    }
    if method != "GET" && method != "HEAD" {
        return plain("405 Method Not Allowed", "nothing can be changed here\n");
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // A page elsewhere must not read this one by a name of its own that leads here (DNS rebinding). Prometheus and load
    // balancers come by the name that they are configured with, to what holds no tenant's names.
    let for_machines = opened && matches!(path, "/metrics" | "/healthz" | "/readyz");
    if !for_machines && !host_is_address(head) {
        return plain("421 Misdirected Request", "ask by address, or as localhost\n");
    }
    match path {
        "/" => Response { status: "200 OK", kind: "text/html; charset=utf-8", body: PAGE.to_owned() },
        "/metrics" => metrics(questions).await,
        "/healthz" => health(questions, |_| true).await,
        "/readyz" => health(questions, |ready| ready).await,
        "/status.json" => json(questions, Request::Status).await,
        "/prefixes.json" => match value(query, "vni").and_then(|vni| vni.parse().ok()) {
            Some(vni) => {
                let after = value(query, "after").and_then(|after| after.parse().ok());
                json(questions, Request::Prefixes { vni, after }).await
            }
            None => plain("400 Bad Request", "wanted: ?vni=NUMBER\n"),
        },
        "/find.json" => match value(query, "address").and_then(|address| address.parse().ok()) {
            Some(address) => json(questions, Request::Find { address }).await,
            None => plain("400 Bad Request", "wanted: ?address=ADDRESS\n"),
        },
        _ => plain("404 Not Found", "there are /, /metrics, /healthz, /readyz, /status.json\n"),
    }
}

fn host_is_address(head: &str) -> bool {
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim().to_owned())
    };
    let Some(host) = head.lines().skip(1).find_map(header) else { return true };
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok()
}

/// The value of a key in a query; `%3A` alone is decoded, which is what a browser makes of IPv6's colons.
fn value(query: &str, key: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.filter(|(name, _)| *name == key).map(|(_, value)| value).next()?;
    Some(found.replace("%3A", ":").replace("%3a", ":"))
}

fn plain(status: &'static str, body: &str) -> Response {
    Response { status, kind: TEXT, body: body.to_owned() }
}

async fn json(questions: &Questions, request: Request) -> Response {
    let answer = control::ask(questions, request).await;
    let status = match answer {
        Answer::Error { .. } => "503 Service Unavailable",
        _ => "200 OK",
    };
    Response { status, kind: JSON, body: control::json(answer).await }
}

async fn metrics(questions: &Questions) -> Response {
    match control::ask(questions, Request::Status).await {
        Answer::Status(status) => Response {
            status: "200 OK",
            kind: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics::text(&status),
        },
        _ => plain("503 Service Unavailable", "the agent's loop does not answer\n"),
    }
}

async fn health(questions: &Questions, is_well: impl Fn(bool) -> bool) -> Response {
    match control::ask(questions, Request::Summary).await {
        Answer::Summary(summary) if is_well(summary.ready) => plain("200 OK", "ok\n"),
        Answer::Summary(summary) => {
            let why = summary.down.into_iter().chain(summary.waiting).collect::<Vec<_>>().join("\n");
            plain("503 Service Unavailable", &format!("not ready: not all was applied yet\n{why}\n"))
        }
        _ => plain("503 Service Unavailable", "the agent's loop does not answer\n"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    async fn asked(head: &str) -> Response {
        asked_of(false, head).await
    }

    async fn asked_of(opened: bool, head: &str) -> Response {
        let (questions, asked) = mpsc::channel(1);
        drop(asked);
        respond(head, opened, &questions).await
    }

    #[tokio::test]
    async fn machines_may_come_by_any_name_where_the_server_was_opened() {
        for (opened, path, status) in [
            (true, "/healthz", "503"),
            (true, "/readyz", "503"),
            (true, "/metrics", "503"),
            (true, "/", "421"),
            (true, "/status.json", "421"),
            (false, "/healthz", "421"),
            (false, "/metrics", "421"),
        ] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: gw1.example:9644\r\n");
            assert!(asked_of(opened, &head).await.status.starts_with(status), "{opened} {path}");
        }
    }

    #[tokio::test]
    async fn only_reading_is_possible_and_only_known_paths() {
        for (head, status) in [
            ("GET / HTTP/1.1\r\n", "200"),
            ("POST / HTTP/1.1\r\n", "405"),
            ("GET /../etc/passwd HTTP/1.1\r\n", "404"),
            ("GET /\r\n", "400"),
            ("GET /healthz HTTP/1.1\r\n", "503"),
            ("GET /prefixes.json?vni=x HTTP/1.1\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: evil.example\r\n", "421"),
            ("GET / HTTP/1.1\r\nhost: [::1]:9644\r\n", "200"),
        ] {
            assert!(asked(head).await.status.starts_with(status), "{head}");
        }
    }

    /// What goes over the wire for this request.
    async fn answered(request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        converse(stream, false, &mpsc::channel(1).0).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn head_is_answered_as_get_but_for_the_body() {
        for path in ["/", "/healthz", "/nothing"] {
            let get = answered(&format!("GET {path} HTTP/1.1\r\n\r\n")).await;
            let head = answered(&format!("HEAD {path} HTTP/1.1\r\n\r\n")).await;
            let (head_of_get, body) = get.split_once("\r\n\r\n").unwrap();
            assert!(head_of_get.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{get}");
            assert_eq!(head, format!("{head_of_get}\r\n\r\n"));
        }
    }

    #[test]
    fn values_of_a_query() {
        assert_eq!(value("vni=1&after=2001%3Adb8%3A%3A1", "after").as_deref(), Some("2001:db8::1"));
        assert_eq!(value("vni=1", "after"), None);
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://"));
    }
}
