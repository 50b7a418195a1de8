//! One link, several servers: processes of their own, over TCP, some of them killed or restarted under load.
//!
//! What a server ran is counted by one that is never killed: the `middle` of each call passes it on to the `counter`.
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Folder, Running, isorun};
use isorun::{Balance, CallOptions, Failure, InstanceHandle, RemoteGroup, Runtime, Serving, TcpTransport, Val};
use tokio::time::timeout;

/// What any wait ends in.
const LIMIT: Duration = Duration::from_secs(60);

fn block_on<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { timeout(4 * LIMIT, test).await.unwrap() })
}

/// Servers of one component, at addresses that they keep.
struct Servers {
    folder: Folder,
    args: Vec<String>,
    addresses: Vec<String>,
    running: Vec<Option<Running>>,
}

impl Servers {
    fn start(count: usize, file: &str, options: &[&str]) -> Self {
        let folder = Folder::new();
        let mut args = vec!["serve".to_owned(), folder.wat(file), "--as".into(), "it".into()];
        args.extend(options.iter().map(|option| (*option).to_owned()));
        let mut servers = Self { folder, args, addresses: Vec::new(), running: Vec::new() };
        for at in 0..count {
            servers.addresses.push("tcp://127.0.0.1:0".into());
            servers.running.push(None);
            servers.restart(at);
        }
        servers
    }

    fn restart(&mut self, at: usize) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).chain(["--listen", &self.addresses[at]]).collect();
        let running = Running::start_with(&args, |command| {
            command.env("ISORUN_LOG", "info,isorun_rpc=debug");
        });
        self.addresses[at] = running.address();
        self.running[at] = Some(running);
    }

    fn kill(&mut self, at: usize) {
        let running = self.running[at].take().unwrap();
        running.signal("-KILL");
        running.end();
    }

    /// Ends it as a signal does, and says how that went.
    fn end(&mut self, at: usize) -> Option<i32> {
        let running = self.running[at].take().unwrap();
        running.signal("-TERM");
        running.end().code
    }

    fn group(&self, runtime: &Runtime, balance: Balance) -> RemoteGroup {
        let places = self.addresses.iter().map(|address| (Arc::new(TcpTransport::new(address).unwrap()), "it"));
        runtime.remote_group(places, balance)
    }

    /// As `--link` takes them.
    fn places(&self) -> String {
        self.addresses.iter().map(|address| format!("{address}/it")).collect::<Vec<_>>().join(",")
    }
}

/// A counter, and servers that pass each call on to it.
struct Counted {
    counter: Servers,
    middles: Servers,
}

impl Counted {
    fn start(middles: usize) -> Self {
        let counter = Servers::start(1, "counter", &[]);
        let link = format!("*={}", counter.places());
        let middles = Servers::start(middles, "counter-app", &["--policy", "per-call", "--link", &link]);
        Self { counter, middles }
    }

    /// How often a call ran.
    fn ran(&self) -> u64 {
        let shown = isorun(&["call", &self.counter.places(), "test:counter/counter#get()"]);
        shown.out.trim_end().parse().unwrap_or_else(|_| panic!("{shown:?}"))
    }
}

/// Imports a function at the root and calls it.
const MAIN: &str = r#"(component
    (import "add" (func $add (param "n" u32) (result u64)))
    (core func $add (canon lower (func $add)))
    (core module $M (import "" "add" (func $add (param i32) (result i64)))
      (func (export "run") (param i32) (result i64) (call $add (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "add" (func $add))))))
    (func (export "run") (param "n" u32) (result u64) (canon lift (core func $m "run"))))"#;

fn wasm(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}

/// Callers that call until they are told to stop.
struct Load {
    app: InstanceHandle,
    tally: Arc<Tally>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    done: AtomicU64,
    failures: std::sync::Mutex<Vec<Failure>>,
}

impl Load {
    fn start(app: &InstanceHandle, callers: usize) -> Self {
        let tally = Arc::new(Tally::default());
        let call = |_| tokio::spawn(call_on(app.clone(), tally.clone()));
        Self { app: app.clone(), tasks: (0..callers).map(call).collect(), tally }
    }

    fn done(&self) -> u64 {
        self.tally.done.load(Ordering::Relaxed)
    }

    /// Waits until so many calls more have results.
    async fn more(&self, calls: u64) {
        let target = self.done() + calls;
        let reached = async {
            while self.done() < target {
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, reached).await.unwrap();
    }

    /// Results and failures of all calls.
    async fn end(self) -> (u64, Vec<Failure>) {
        self.tally.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            timeout(LIMIT, task).await.expect("a call without an outcome").unwrap();
        }
        assert_eq!(self.app.in_flight(), 0);
        let failures = std::mem::take(&mut *self.tally.failures.lock().unwrap());
        (self.tally.done.load(Ordering::Relaxed), failures)
    }
}

async fn call_on(app: InstanceHandle, tally: Arc<Tally>) {
    while !tally.stop.load(Ordering::Relaxed) {
        match app.exec_with("run", &[Val::U32(1)], CallOptions { deadline_ms: 20_000 }).await {
            Ok(_) => {
                tally.done.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let link = error.link.as_ref().unwrap_or_else(|| panic!("{error}"));
                tally.failures.lock().unwrap().push(link.failure.clone());
            }
        }
    }
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < LIMIT, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An app that is linked to the group, with a store of its own for each call.
async fn app(runtime: &Runtime, group: &RemoteGroup, idempotent: bool) -> InstanceHandle {
    let component = runtime.load(wasm(MAIN)).unwrap();
    let builder = runtime.builder(&component).link_remote_group("add", group);
    let builder = if idempotent { builder.idempotent() } else { builder };
    builder.serving(Serving::PER_CALL).instantiate().await.unwrap()
}

fn kinds(failures: &[Failure]) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for failure in failures {
        let kind = match failure {
            Failure::NotSent { .. } => "not sent",
            Failure::Unknown { .. } => "unknown",
            _ => panic!("{failure}"),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

const CALLERS: usize = 8;

#[test]
fn one_of_three_is_killed_under_load_and_comes_back_and_no_call_runs_twice() {
    for idempotent in [false, true] {
        let mut counted = Counted::start(3);
        block_on(async {
            let runtime = Runtime::new().unwrap();
            let group = counted.middles.group(&runtime, Balance::AsServed);
            let app = app(&runtime, &group, idempotent).await;
            let load = Load::start(&app, CALLERS);
            load.more(200).await;
            // Each has its share.
            for server in counted.middles.running.iter().flatten() {
                server.err_line("serving a call");
            }
            counted.middles.kill(1);
            load.more(200).await;
            assert!(!group.places()[1].is_up, "{group:?}");
            counted.middles.restart(1);
            let back = group.clone();
            until("the killed one is back", move || back.places()[1].is_up).await;
            load.more(200).await;
            counted.middles.running[1].as_ref().unwrap().err_line("serving a call");
            let (done, failures) = load.end().await;
            let (ran, unknown) = (counted.ran(), failures.len() as u64);
            assert!(group.places().iter().all(|place| place.in_flight == 0), "{group:?}");
            if idempotent {
                assert_eq!(failures, [], "of {done}");
                assert!((done..=done + CALLERS as u64).contains(&ran), "{done} results, {ran} ran");
            } else {
                // What was at the killed one may have run; all else ran once.
                assert!(
                    kinds(&failures).keys().all(|kind| *kind == "unknown") && unknown <= CALLERS as u64,
                    "{failures:?}"
                );
                assert!((done..=done + unknown).contains(&ran), "{done} results, {unknown} unknown, {ran} ran");
            }
        });
    }
}

#[test]
fn calls_to_what_keeps_state_stay_at_one_place_until_it_is_gone() {
    let mut servers = Servers::start(2, "counter", &[]);
    block_on(async {
        let runtime = Runtime::new().unwrap();
        let group = servers.group(&runtime, Balance::AsServed);
        let component = runtime.load(std::fs::read(servers.folder.wat("counter-app")).unwrap()).unwrap();
        let app = runtime.builder(&component).link_remote_group("*", &group).instantiate().await.unwrap();
        let add = async || app.exec("add", &[Val::U32(1)]).await.map(|mut results| results.remove(0));
        for n in 1..=10 {
            assert_eq!(add().await.unwrap(), Val::U64(n));
        }
        assert_eq!(group.moves(), 0);
        let home = group.places().iter().position(|place| place.is_home).unwrap();
        servers.kill(home);
        // The first call may find the connection gone or lose it; the link goes on at the other, and stays there.
        let mut next = add().await;
        if next.is_err() {
            let app = runtime.builder(&component).link_remote_group("*", &group).instantiate().await.unwrap();
            next = app.exec("add", &[Val::U32(1)]).await.map(|mut results| results.remove(0));
        }
        assert_eq!(next.unwrap(), Val::U64(1), "the state of another place");
        assert_eq!(group.moves(), 1);
        servers.restart(home);
        let app = runtime.builder(&component).link_remote_group("*", &group).instantiate().await.unwrap();
        for n in 2..=5 {
            assert_eq!(app.exec("add", &[Val::U32(1)]).await.unwrap(), [Val::U64(n)]);
        }
        assert_eq!(group.moves(), 1, "{group:?}");
    });
}

#[test]
fn a_restart_of_each_under_load_loses_no_call() {
    let mut counted = Counted::start(2);
    block_on(async {
        let runtime = Runtime::new().unwrap();
        let group = counted.middles.group(&runtime, Balance::AsServed);
        let app = app(&runtime, &group, false).await;
        let load = Load::start(&app, CALLERS);
        load.more(50).await;
        for round in 0..6 {
            let at = round % 2;
            assert_eq!(counted.middles.end(at), Some(0));
            load.more(20).await;
            counted.middles.restart(at);
            let back = group.clone();
            until("the restarted one is back", move || back.places()[at].is_up).await;
            load.more(20).await;
        }
        let (done, failures) = load.end().await;
        assert_eq!(failures, [], "of {done}");
        assert_eq!(counted.ran(), done);
    });
}

#[test]
fn a_restart_of_the_only_one_under_load_loses_no_call_but_those_reported_as_not_sent() {
    let mut counted = Counted::start(1);
    block_on(async {
        let runtime = Runtime::new().unwrap();
        let group = counted.middles.group(&runtime, Balance::AsServed);
        let app = app(&runtime, &group, false).await;
        let load = Load::start(&app, CALLERS);
        load.more(50).await;
        for _ in 0..4 {
            assert_eq!(counted.middles.end(0), Some(0));
            counted.middles.restart(0);
            load.more(50).await;
        }
        let (done, failures) = load.end().await;
        assert!(kinds(&failures).keys().all(|kind| *kind == "not sent"), "{failures:?}");
        assert_eq!(counted.ran(), done);
    });
}

#[test]
fn with_all_places_down_a_call_names_each_and_why() {
    let mut counted = Counted::start(2);
    block_on(async {
        let runtime = Runtime::new().unwrap();
        let group = counted.middles.group(&runtime, Balance::AsServed);
        let app = app(&runtime, &group, false).await;
        counted.middles.kill(0);
        counted.middles.kill(1);
        // One call may be lost with each connection.
        let mut last = None;
        for _ in 0..4 {
            let error = app.exec("run", &[Val::U32(1)]).await.unwrap_err();
            last = error.link.map(|link| link.failure.clone());
        }
        let Some(Failure::NotSent { cause }) = last else { panic!("{last:?}") };
        for address in &counted.middles.addresses {
            assert!(cause.contains(&format!("at it at {address} (not sent: cannot reach")), "{cause}");
        }
        assert!(cause.starts_with("tried "), "{cause}");
    });
    let app = counted.middles.folder.file("main.wasm", wasm(MAIN));
    let run = ["run", &app, "--link", &format!("add={}", counted.middles.places()), "--invoke", "run(1)"];
    let [first, second] = [0, 1].map(|at| format!("{}: not sent: cannot reach", counted.middles.addresses[at]));
    isorun(&run).check(3, "", &[&first, &second]);
}

#[test]
fn a_place_with_other_types_is_left_out_and_named_with_the_difference() {
    let good = Servers::start(1, "counter", &["--policy", "per-call"]);
    let folder = Folder::new();
    let other = folder.file("other.wasm", wasm(OTHER));
    let other = Running::start(&["serve", &other, "--as", "it", "--listen", "tcp://127.0.0.1:0"]);
    let other = format!("{}/it", other.address());
    let app = folder.wat("counter-app");
    let link = format!("test:counter/counter={},{other}", good.places());
    let ran = isorun(&["run", &app, "--link", &link, "--invoke", "add(5)"]);
    assert_eq!((ran.code, &*ran.out), (Some(0), "5\n"), "{ran:?}");
    let address = other.strip_suffix("/it").unwrap();
    for words in [address, "add", "u32 here, u64 there"] {
        assert!(ran.err.contains(words), "{words}: {ran:?}");
    }
    // Who asks whether all is well is told of each place.
    isorun(&["check", &app, "--link", &link]).check(3, "", &[address, "u32 here, u64 there"]);
    // Nothing is left without the good one.
    let link = format!("test:counter/counter={other},tcp://127.0.0.1:1/it");
    isorun(&["run", &app, "--link", &link, "--invoke", "add(5)"]).check(3, "", &["u32 here, u64 there"]);
}

/// The counter's interface with another parameter.
const OTHER: &str = r#"(component
    (core module $M
      (func (export "add") (param i64) (result i64) (local.get 0))
      (func (export "get") (result i64) (i64.const 0))
      (func (export "slow-add") (param i32 i64) (result i64) (local.get 1)))
    (core instance $m (instantiate $M))
    (func $add (param "n" u64) (result u64) (canon lift (core func $m "add")))
    (func $get (result u64) (canon lift (core func $m "get")))
    (func $slow (param "n" u32) (param "spins" u64) (result u64) (canon lift (core func $m "slow-add")))
    (instance $counter (export "add" (func $add)) (export "get" (func $get)) (export "slow-add" (func $slow)))
    (export "test:counter/counter@0.1.0" (instance $counter)))"#;

#[test]
fn a_host_shows_its_links_to_several_places_and_that_one_moved() {
    let mut counters = Servers::start(2, "counter", &[]);
    let link = format!("*={}", counters.places());
    let app = Servers::start(1, "counter-app", &["--link", &link]);
    let add = || isorun(&["call", &app.places(), "add(1)"]);
    add().check(0, "1\n", &[]);
    let shown = isorun(&["inspect", &app.addresses[0]]);
    assert!(shown.code == Some(0) && shown.out.contains("* (2 of 2 up)"), "{shown:?}");
    // One of them is where the calls go. The first call may find that the connection went with the answer.
    for at in 0..2 {
        counters.kill(at);
        let reached = (0..3).any(|_| add().code == Some(0));
        assert!(reached, "{at}");
        counters.restart(at);
    }
    let shown = isorun(&["inspect", &app.addresses[0]]);
    assert!(shown.code == Some(0) && shown.out.contains(" up, moved "), "{shown:?}");
    let shown = isorun(&["inspect", &app.addresses[0], "-o", "json"]);
    assert!(shown.out.contains(r#""links":[{"imports":"*","instance":"it","moves":"#), "{shown:?}");
}
