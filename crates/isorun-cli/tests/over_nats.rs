//! `serve`, `run`, `call` and `inspect` by way of a real NATS server.

mod common;
#[path = "../../isorun-transport-nats/tests/server/mod.rs"]
mod server;

use common::{Running, isorun, prebuilt};
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
        assert_eq!((listed.code, listed.err.as_str()), (Some(0), ""));
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
    let nats = NatsServer::start();
    let nobody = isorun(&["call", &format!("{}/kv", nats.url()), "demo:kv/store#get(\"k\")"]);
    nobody.check(1, "", &["not sent", "nobody serves that name"]);
    let _provider = serve(&nats, "kv");
    let place = format!("{}/kv", nats.url());
    isorun(&["call", &place, "demo:kv/store#get(\"k\")"]).check(0, "ok(none)\n", &[]);
    isorun(&["run", &prebuilt("kv-app"), "--link", &format!("*={place}"), "--invoke", "run(40)"]).check(0, "ok(820)\n", &[]);
    isorun(&["inspect", &place]).check_starts(0, "");
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
    let nats = NatsServer::start();
    let (one, _other) = (serve(&nats, "kv"), serve(&nats, "kv"));
    providers(&nats, 2);
    let place = format!("{}/kv", nats.url());
    // An app that calls for whoever calls it, over a connection that it keeps.
    let app = Running::start(&["serve", &prebuilt("kv-app"), "--listen", "tcp://127.0.0.1:0", "--link", &format!("*={place}")]);
    let app = format!("{}/kv-app", app.address());
    let _ = &app;
    isorun(&["call", &app, "run(40)"]).check(0, "ok(820)\n", &[]);
    drop(one);
    providers(&nats, 1);
    for _ in 0..3 {
        let again = isorun(&["call", &app, "run(40)"]);
        assert_eq!((again.code, again.out.as_str()), (Some(0), "ok(820)\n"), "{again:?}");
    }
}

#[test]
fn a_server_elsewhere_without_encryption_is_not_listened_on_unasked() {
    let refused = isorun(&["serve", &prebuilt("kv-provider"), "--listen", "nats://192.0.2.1"]);
    refused.check(2, "", &["will not listen on nats://192.0.2.1:4222", "--insecure"]);
}

#[test]
fn a_server_that_is_not_there_or_wants_a_password_is_an_error_without_the_password() {
    let folder = common::Folder::new();
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
