//! How a server ends: what runs is finished, what is new is refused.
#![cfg(unix)]

mod common;

use std::net::TcpStream;

use common::{Folder, Running, isorun};

/// A call that has come to a server and waits there for another server, which is stopped.
struct Waiting {
    call: Running,
    server: Running,
    address: String,
    upstream: Running,
    _folder: Folder,
}

impl Waiting {
    fn start(drain: &str) -> Self {
        let folder = Folder::new();
        let (counter, app) = (folder.wat("counter"), folder.wat("counter-app"));
        let upstream = Running::start(&["serve", &counter, "--listen", "tcp://127.0.0.1:0"]);
        let link = format!("*={}/counter", upstream.address());
        let args = ["serve", &app, "--as", "app", "--link", &link, "--listen", "tcp://127.0.0.1:0"];
        let args = [&args[..], &["--timeout", "1m", "--drain", drain]].concat();
        let server = Running::start_with(&args, |command| {
            command.env("ISORUN_LOG", "info,isorun_rpc=debug");
        });
        let address = server.address();
        let main = folder.file("main.wasm", wat::parse_str(MAIN).unwrap());
        let link = format!("add={address}/app");
        // Both ways are known to work, and compiled, before anything is stopped.
        let args = ["run", &main, "--link", &link, "--timeout", "1m", "--invoke", "run(3)"];
        isorun(&args).check(0, "3\n", &[]);
        server.err_line("serving a call");
        upstream.signal("-STOP");
        let call = Running::start(&args);
        server.err_line("serving a call");
        Self { call, server, address, upstream, _folder: folder }
    }
}

#[test]
fn a_signal_lets_the_running_call_finish_and_refuses_what_is_new() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let Waiting { call, server, address, upstream, _folder } = Waiting::start("1m");
        server.signal(signal);
        server.err_line("finishing what runs");
        assert!(TcpStream::connect(address.strip_prefix("tcp://").unwrap()).is_err());
        upstream.signal("-CONT");
        call.end().check(0, "6\n", &[]);
        let done = server.end();
        assert_eq!((done.code, done.out.as_str()), (Some(0), ""), "{done:?}");
    }
}

/// `nohup` stays what it is: who goes home leaves the server running.
#[cfg(target_os = "linux")]
#[test]
fn a_server_that_was_started_to_outlive_its_terminal_does() {
    let folder = Folder::new();
    let script = format!(
        "trap '' HUP && exec {} serve {} --as it --listen tcp://127.0.0.1:0",
        env!("CARGO_BIN_EXE_isorun"),
        folder.wat("trap")
    );
    let server = Running::of(std::process::Command::new("sh").args(["-c", &script]));
    let place = format!("{}/it", server.address());
    server.signal("-HUP");
    isorun(&["call", &place, "fine()"]).check(0, "7\n", &[]);
    server.signal("-TERM");
    server.end().check(0, "", &[]);
}

#[test]
fn a_second_signal_ends_a_server_at_once() {
    let Waiting { call, server, upstream: _upstream, .. } = Waiting::start("1m");
    server.signal("-TERM");
    server.err_line("finishing what runs");
    server.signal("-TERM");
    server.end().check(143, "", &["terminated"]);
    call.end().check(134, "", &["may have run"]);
}

#[test]
fn calls_that_run_longer_than_the_limit_are_cut_and_told_of() {
    let Waiting { call, server, upstream: _upstream, .. } = Waiting::start("50ms");
    server.signal("-TERM");
    server.end().check(1, "", &["cut off after 50 ms", "--drain"]);
    call.end().check(134, "", &["may have run"]);
}

#[test]
fn a_server_without_calls_ends_at_once() {
    let folder = Folder::new();
    let server = Running::start(&["serve", &folder.wat("counter"), "--listen", "tcp://127.0.0.1:0", "--drain", "1h"]);
    let address = server.address();
    // Connected, and silent.
    let _silent = TcpStream::connect(address.strip_prefix("tcp://").unwrap()).unwrap();
    server.signal("-TERM");
    server.end().check(0, "", &[]);
    let bad = ["serve", "x.wasm", "--listen", "tcp://127.0.0.1:0", "--drain", "soon"];
    isorun(&bad).check(2, "", &["`soon` is no time"]);
}

/// Imports a function at the root and calls it.
const MAIN: &str = r#"(component
    (import "add" (func $add (param "n" u32) (result u64)))
    (core func $add (canon lower (func $add)))
    (core module $M (import "" "add" (func $add (param i32) (result i64)))
      (func (export "run") (param i32) (result i64) (call $add (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "add" (func $add))))))
    (func (export "run") (param "n" u32) (result u64) (canon lift (core func $m "run"))))"#;
