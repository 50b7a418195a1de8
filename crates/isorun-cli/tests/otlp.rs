//! Traces that leave for a collector, with feature `otlp`.
#![cfg(feature = "otlp")]

mod common;

use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use common::{Folder, Running, isorun};

/// Requests that may have come before the test looks; none is answered, so there are few.
const REQUESTS_MAX: usize = 1_000;

/// Waits for a client of HTTP/2 to send all of these words, and answers nothing.
///
/// The spans are in the body of the first request, as protocol buffers: names and texts are there in plain.
fn collector() -> (String, impl FnOnce(&[&str])) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sent, received) = sync_channel(REQUESTS_MAX);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sent) = (stream.unwrap(), sent.clone());
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if sent.send(bytes[..count].to_vec()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let wait = move |words: &[&str]| {
        let mut all = Vec::new();
        let has = |all: &[u8], words: &str| all.windows(words.len()).any(|window| window == words.as_bytes());
        while !words.iter().all(|words| has(&all, words)) {
            let bytes = received.recv_timeout(Duration::from_secs(60));
            all.extend(bytes.unwrap_or_else(|_| panic!("only {}", String::from_utf8_lossy(&all))));
        }
    };
    (url, wait)
}

#[test]
fn spans_reach_the_collector_before_the_command_ends() {
    let folder = Folder::new();
    let counter = folder.wat("counter");
    let (url, wait) = collector();
    let app = folder.wat("counter-app");
    let link = format!("*=local:{counter}");
    let run = Running::start_with(&["run", &app, "--link", &link, "--invoke", "add(1)"], |command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).env("OTEL_SERVICE_NAME", "the-app");
    });
    wait(&["PRI * HTTP/2.0", "the-app", "test:counter/counter@0.1.0", "fuel_used", "results"]);
    // A collector that never answers holds nobody up for long, and fails nothing.
    let done = run.end();
    assert_eq!((done.code, done.out.as_str()), (Some(0), "1\n"), "{done:?}");
}

#[test]
fn what_is_no_exporter_is_a_usage_error_and_none_is_none() {
    let folder = Folder::new();
    let counter = folder.wat("counter");
    let run = |variables: &[(&str, &str)]| {
        let args = ["run", &counter, "--invoke", "test:counter/counter#get()"];
        Running::start_with(&args, |command| drop(command.envs(variables.iter().copied()))).end()
    };
    run(&[("OTEL_TRACES_EXPORTER", "zipkin")]).check(2, "", &["OTEL_TRACES_EXPORTER", "zipkin", "otlp"]);
    let nowhere = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    run(&[nowhere, ("OTEL_TRACES_EXPORTER", "none")]).check(0, "0\n", &[]);
    run(&[nowhere, ("OTEL_SDK_DISABLED", "true")]).check(0, "0\n", &[]);
    isorun(&["run", &counter, "--invoke", "test:counter/counter#get()"]).check(0, "0\n", &[]);
}
