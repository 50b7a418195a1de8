//! `serve`, `run`, `call` and `inspect` by way of a real NATS server.
#![cfg(unix)]

mod common;
#[path = "../../isorun-transport-nats/tests/server/mod.rs"]
mod server;

use common::{Folder, Running, isorun, prebuilt};
use server::NatsServer;

fn serve(nats: &NatsServer, name: &str) -> Running {
    let provider = Running::start(&["serve", &prebuilt("kv-provider"), "--as", name, "--listen", &nats.url()]);
    assert_eq!(provider.address(), nats.url());
    provider
}

/// The ids of those who serve something, as soon as there are so many.
fn providers(nats: &NatsServer, count: usize) -> Vec<serde_json::Value> {
    for _ in 0..50 {
        let listed = isorun(&["inspect", &nats.url(), "-o", "json"]);
        // As long as there are none it says so.
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let listed: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
        let all = listed["ok"].as_array().unwrap().clone();
        if all.len() == count {
            return all;
        }
    }
    panic!("not {count} providers in the end");
}

#[test]
fn what_is_served_is_listed_called_and_linked_to() {
    if server::is_left_out() {
        return;
    }
    let nats = NatsServer::start();
    let nobody = isorun(&["call", &format!("{}/kv", nats.url()), "demo:kv/store#get(\"k\")"]);
    let inspect = format!("`isorun inspect {}`", nats.url());
    nobody.check(1, "", &["not sent", "nobody serves that name", &inspect]);
    let no_file = isorun(&["call", &format!("{}/kv?creds=no/such", nats.url()), "demo:kv/store#get(\"k\")"]);
    no_file.check(1, "", &["no/such"]);
    assert!(!no_file.err.contains("does a NATS server run") && !no_file.err.contains("isorun serve"), "{no_file:?}");
    let _provider = serve(&nats, "kv");
    let place = format!("{}/kv", nats.url());
    isorun(&["call", &place, "demo:kv/store#get(\"k\")"]).check(0, "ok(none)\n", &[]);
    isorun(&["run", &prebuilt("kv-app"), "--link", &format!("*={place}"), "--invoke", "run(40)"]).check(
        0,
        "ok(820)\n",
        &[],
    );
    isorun(&["inspect", &place]).check_starts(0, "package ");
    let text = isorun(&["inspect", &nats.url()]);
    assert!(text.out.starts_with("NAME  ID") && text.out.contains("demo:kv/store@0.1.0"), "{text:?}");
    let all = providers(&nats, 1);
    assert_eq!((&all[0]["name"], &all[0]["errors"]), (&"kv".into(), &0.into()));
    assert_eq!(all[0]["interfaces"], serde_json::json!(["demo:kv/store@0.1.0"]));
    // One connection for each command that came there.
    assert_eq!(all[0]["requests"], 3);
}

#[test]
fn calls_go_on_when_one_of_two_providers_is_killed() {
    if server::is_left_out() {
        return;
    }
    let nats = NatsServer::start();
    let (one, _other) = (serve(&nats, "kv"), serve(&nats, "kv"));
    providers(&nats, 2);
    let place = format!("{}/kv", nats.url());
    // An app that calls for whoever calls it, over a connection that it keeps.
    let app = Running::start(&[
        "serve",
        &prebuilt("kv-app"),
        "--listen",
        "tcp://127.0.0.1:0",
        "--link",
        &format!("*={place}"),
    ]);
    let app = format!("{}/kv-app", app.address());
    isorun(&["call", &app, "run(40)"]).check(0, "ok(820)\n", &[]);
    drop(one);
    providers(&nats, 1);
    for _ in 0..3 {
        let again = isorun(&["call", &app, "run(40)"]);
        assert_eq!((again.code, again.out.as_str()), (Some(0), "ok(820)\n"), "{again:?}");
    }
}

/// A provider that computes for ever, and somebody who waits for it.
fn busy(nats: &NatsServer, folder: &Folder) -> (Running, Running) {
    let provider = Running::start_with(
        &["serve", &folder.wat("spin"), "--as", "it", "--listen", &nats.url(), "--timeout", "1m", "--fuel", FUEL],
        |command| {
            command.env("ISORUN_LOG", "info,isorun_rpc=debug");
        },
    );
    provider.address();
    let place = format!("{}/it", nats.url());
    let call = Running::start(&["call", &place, "run()", "--timeout", "1m"]);
    provider.err_line("serving a call");
    (provider, call)
}

const FUEL: &str = "1_000_000_000_000";

#[test]
fn a_provider_that_is_killed_under_a_call_leaves_it_unknown_long_before_its_deadline() {
    if server::is_left_out() {
        return;
    }
    let (nats, folder) = (NatsServer::start(), Folder::new());
    let (provider, call) = busy(&nats, &folder);
    drop(provider);
    call.end().check(1, "", &["unknown: connection lost: the other end is no longer there", "may have run"]);
}

#[test]
fn a_server_that_is_killed_under_a_call_leaves_it_unknown_and_the_next_one_works() {
    if server::is_left_out() {
        return;
    }
    let (mut nats, folder) = (NatsServer::start(), Folder::new());
    let (_provider, call) = busy(&nats, &folder);
    let kept = serve(&nats, "kv");
    nats.kill();
    call.end().check(1, "", &["unknown: connection lost: the connection to the NATS server went", "may have run"]);
    nats.start_again();
    // Both come back by themselves.
    providers(&nats, 2);
    isorun(&["call", &format!("{}/kv", nats.url()), "demo:kv/store#get(\"k\")"]).check(0, "ok(none)\n", &[]);
    drop(kept);
}

#[test]
fn a_provider_that_is_told_to_end_finishes_what_runs_and_gets_nothing_new() {
    if server::is_left_out() {
        return;
    }
    let nats = NatsServer::start();
    let (one, _other) = (serve(&nats, "kv"), serve(&nats, "kv"));
    providers(&nats, 2);
    one.signal("-TERM");
    let place = format!("{}/kv", nats.url());
    for _ in 0..5 {
        isorun(&["call", &place, "demo:kv/store#get(\"k\")"]).check(0, "ok(none)\n", &[]);
    }
    let done = one.end();
    assert_eq!(done.code, Some(0), "{done:?}");
    providers(&nats, 1);
}

#[test]
fn a_server_elsewhere_without_encryption_is_not_listened_on_unasked() {
    let refused = isorun(&["serve", &prebuilt("kv-provider"), "--listen", "nats://192.0.2.1"]);
    refused.check(2, "", &["will not listen on nats://192.0.2.1:4222", "--insecure"]);
}

#[test]
fn a_server_that_is_not_there_or_wants_a_password_is_an_error_without_the_password() {
    if server::is_left_out() {
        return;
    }
    let folder = Folder::new();
    let nats = NatsServer::configured("authorization { user: me, password: right-one }");
    let file = |password: &str| folder.file(password, format!("user=me\npassword={password}\n"));
    let wrong = format!("{}/?creds={}", nats.url(), file("hunter2"));
    let refused = isorun(&["serve", &prebuilt("kv-provider"), "--listen", &wrong]);
    assert!(refused.code == Some(1) && refused.err.contains("authorization violation"), "{refused:?}");
    let provider = Running::start(&[
        "serve",
        &prebuilt("kv-provider"),
        "--as",
        "kv",
        "--listen",
        &format!("{}?creds={}", nats.url(), file("right-one")),
    ]);
    provider.out_line();
    let place = format!("{}/kv?creds={}", nats.url(), file("right-one"));
    isorun(&["call", &place, "demo:kv/store#get(\"k\")"]).check(0, "ok(none)\n", &[]);
    let gone = isorun(&["inspect", "nats://127.0.0.1:1"]);
    gone.check(1, "", &["cannot reach nats://127.0.0.1:1"]);
}
