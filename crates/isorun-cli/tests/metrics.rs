//! What `serve --metrics` says of itself over HTTP.
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use common::{Folder, Running, isorun};

/// A component that is served and watched.
struct Watched {
    server: Running,
    place: String,
    /// `IP:PORT`.
    metrics: String,
    _folder: Folder,
}

impl Watched {
    fn start(guest: &str, more: &[&str]) -> Self {
        let folder = Folder::new();
        let guest = folder.wat(guest);
        let args = ["serve", &guest, "--as", "it", "--listen", "tcp://127.0.0.1:0", "--metrics", "127.0.0.1:0"];
        let server = Running::start_with(&[&args[..], more].concat(), |command| {
            command.env("ISORUN_LOG", "info,isorun_rpc=debug");
        });
        let place = format!("{}/it", server.address());
        let line = server.out_line();
        let metrics = line.strip_prefix("metrics http://").and_then(|url| url.strip_suffix("/metrics"));
        let metrics = metrics.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { server, place, metrics, _folder: folder }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.metrics).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// What is answered to those bytes.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Status and body.
    fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// One number of /metrics, which must be there.
    fn number(&self, series: &str) -> f64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    }

    fn call(&self, call: &str) -> i32 {
        isorun(&["call", &self.place, call]).code.unwrap()
    }
}

#[test]
fn health_readiness_and_numbers_are_answered_and_nothing_else() {
    let watched = Watched::start("counter", &[]);
    assert_eq!(watched.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(watched.get("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(watched.get("/metrics?all").0, 200);
    for path in ["/", "/metric", "/metrics/", "//metrics", "/healthz%20", "/../metrics"] {
        assert_eq!(watched.get(path).0, 404, "{path}");
    }
    for method in ["POST", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let answer = watched.ask(&format!("{method} /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET"), "{method}: {answer}");
    }
    // One request on each connection.
    let twice = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2);
    assert_eq!(watched.ask(&twice).matches("HTTP/1.1").count(), 1);
}

#[test]
fn calls_are_counted_by_how_they_ended() {
    let watched = Watched::start("trap", &[]);
    for _ in 0..3 {
        assert_eq!(watched.call("fine()"), 0);
    }
    assert_ne!(watched.call("run()"), 0);
    assert_ne!(watched.call("divide()"), 0);
    let served = |outcome: &str| {
        watched.number(&format!("isorun_calls_total{{direction=\"in\",instance=\"it\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!([served("results"), served("failed"), served("refused")], [3.0, 2.0, 0.0]);
    let instance = |outcome: &str| {
        watched.number(&format!("isorun_instance_calls_total{{instance=\"it\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!([instance("results"), instance("failed")], [3.0, 2.0]);
    let number = |series: &str| watched.number(series);
    assert_eq!(number("isorun_instance_failures_total{instance=\"it\",kind=\"trapped\"}"), 2.0);
    assert_eq!(number("isorun_call_failures_total{direction=\"in\",instance=\"it\",kind=\"trapped\"}"), 2.0);
    assert_eq!(number("isorun_call_seconds_count{direction=\"in\",instance=\"it\"}"), 5.0);
    assert_eq!(number("isorun_call_seconds_bucket{direction=\"in\",instance=\"it\",le=\"+Inf\"}"), 5.0);
    assert_eq!(number("isorun_calls_in_flight{direction=\"in\",instance=\"it\"}"), 0.0);
    // A store at first, and one more after each trap that another call followed.
    assert_eq!(number("isorun_instance_generation{instance=\"it\"}"), 2.0);
    assert!(number("isorun_instance_fuel_total{instance=\"it\"}") > 0.0);
    assert_eq!(number("isorun_connections_opened_total{side=\"accepted\"}"), 5.0);
    assert!(number("isorun_connection_received_bytes_total{link=\"accepted\"}") > 100.0);
    assert!(number("isorun_connection_sent_bytes_total{link=\"accepted\"}") > 100.0);
}

#[test]
fn what_peers_ask_for_makes_no_series() {
    let watched = Watched::start("counter", &[]);
    assert_eq!(watched.call("test:counter/counter#get()"), 0);
    let series = |watched: &Watched| watched.get("/metrics").1.lines().filter(|line| !line.is_empty()).count();
    let place = watched.place.clone();
    let ask_in_vain = |n: u32| {
        let elsewhere = place.replace("/it", &format!("/nobody-{n}"));
        assert_ne!(isorun(&["call", &elsewhere, "run()"]).code, Some(0));
        assert_ne!(isorun(&["call", &place, &format!("nothing-{n}()")]).code, Some(0));
    };
    // That somebody was refused, and why, is a number of its own.
    ask_in_vain(0);
    let before = series(&watched);
    (1..20).for_each(ask_in_vain);
    let (_, text) = watched.get("/metrics");
    assert!(!text.contains("nobody") && !text.contains("nothing"), "{text}");
    assert_eq!(series(&watched), before);
}

#[test]
fn whoever_is_slow_keeps_nobody_out() {
    let watched = Watched::start("counter", &[]);
    // More than are held at once; each is in the middle of its request.
    let slow: Vec<_> = (0..100)
        .map(|n| {
            let mut stream = watched.connect();
            let head = ["", "G", "GET /metrics HTTP/1.1\r\n", "GET /metrics HTTP/1.1\r\nHost: "][n % 4];
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(watched.get("/readyz").0, 200);
    }
    // The first of them have had to go.
    let mut first = &slow[0];
    assert!(matches!(first.read(&mut [0; 16]), Ok(0) | Err(_)));
    drop(slow);
    // A head that is too long, one of too many lines, and one that is none.
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
    for request in [&long, &many, "\0\0\0\0\r\n\r\n"] {
        let mut stream = watched.connect();
        // It may be closed before all of it is written.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(watched.get("/readyz").0, 200);
}

#[test]
fn a_server_that_drains_is_not_ready_and_still_healthy() {
    let folder = Folder::new();
    let upstream = Running::start(&["serve", &folder.wat("counter"), "--listen", "tcp://127.0.0.1:0"]);
    let link = format!("*={}/counter", upstream.address());
    let watched = Watched::start("counter-app", &["--link", &link, "--drain", "1m", "--timeout", "1m"]);
    upstream.signal("-STOP");
    let call = Running::start(&["call", &watched.place, "add(1)", "--timeout", "1m"]);
    watched.server.err_line("serving a call");
    assert_eq!(watched.number("isorun_calls_in_flight{direction=\"in\",instance=\"it\"}"), 1.0);
    watched.server.signal("-TERM");
    watched.server.err_line("finishing what runs");
    assert_eq!(watched.get("/readyz"), (503, "draining\n".to_owned()));
    assert_eq!(watched.get("/healthz").0, 200);
    assert_eq!(watched.get("/metrics").0, 200);
    upstream.signal("-CONT");
    call.end().check(0, "1\n", &[]);
    assert_eq!(watched.server.end().code, Some(0));
}

#[test]
fn numbers_stay_on_this_machine_unless_told_otherwise() {
    let folder = Folder::new();
    let counter = folder.wat("counter");
    let serve = ["serve", &counter, "--listen", "tcp://127.0.0.1:0"];
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9100"] {
        let done = isorun(&[&serve[..], &["--metrics", address]].concat());
        done.check(2, "", &["--metrics: will not listen on", "--insecure"]);
    }
    isorun(&[&serve[..], &["--metrics", "example.com:9100"]].concat()).check(2, "", &["IP:PORT"]);
    let server = Running::start(&[&serve[..], &["--metrics", "0.0.0.0:0", "--insecure", "-o", "json"]].concat());
    let line = server.out_line();
    assert!(line.contains("\"metrics\":\"http://0.0.0.0:"), "{line}");
}
