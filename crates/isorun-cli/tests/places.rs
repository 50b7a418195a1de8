//! One component, three places: `run` with `--link`, and `serve`.

mod common;

use common::{Folder, Running, isorun, prebuilt};

fn run_app(link: &str) -> common::Done {
    isorun(&["run", &prebuilt("kv-app"), "--link", link, "--invoke", "run(40)"])
}

fn serve(args: &[&str]) -> Running {
    Running::start(&[&["serve"], args, &["--listen", "tcp://127.0.0.1:0"]].concat())
}

#[test]
fn the_host_serves_the_import() {
    run_app("demo:kv/store=system:kv?deny=denied&absent-is-error=missing").check(0, "ok(820)\n", &[]);
    run_app("demo:kv=system:kv?deny=denied&absent-is-error=missing").check(0, "ok(820)\n", &[]);
}

#[test]
fn another_component_of_the_process_serves_the_import() {
    for import in ["demo:kv/store", "demo:kv/store@0.1.0", "demo:kv/store@0.1.7", "*"] {
        run_app(&format!("{import}=local:{}", prebuilt("kv-provider"))).check(0, "ok(820)\n", &[]);
    }
}

#[test]
fn a_component_of_another_process_serves_the_import_and_so_does_the_next() {
    let server = serve(&[&prebuilt("kv-provider"), "--as", "kv"]);
    let place = format!("demo:kv/store={}/kv", server.address());
    for _ in 0..2 {
        run_app(&place).check(0, "ok(820)\n", &[]);
    }
}

#[test]
fn an_instance_is_served_under_its_files_name_unless_it_is_given_one() {
    let folder = Folder::new();
    let file = folder.file("my store.v1.wasm", std::fs::read(prebuilt("kv-provider")).unwrap());
    let server = serve(&[&file]);
    let address = server.address();
    run_app(&format!("*={address}/my-store.v1")).check(0, "ok(820)\n", &[]);
    run_app(&format!("*={address}/kv")).check(3, "", &["no such instance: `kv`"]);
}

#[test]
fn a_served_component_may_have_links_of_its_own() {
    let folder = Folder::new();
    let counter = serve(&[&folder.wat("counter")]);
    let link = format!("test:counter/counter={}/counter", counter.address());
    let middle = serve(&[&folder.wat("counter-app"), "--link", &link, "--as", "middle"]);
    let middle = middle.address();
    // The middle one offers its functions at the root: one link is for one of them.
    let app = folder.file("add-app.wasm", wat::parse_str(ADD_APP).unwrap());
    let link = format!("add={middle}/middle");
    for expected in ["3\n", "6\n"] {
        isorun(&["run", &app, "--link", &link, "--invoke", "run(3)"]).check(0, expected, &[]);
    }
    let link = format!("test:counter/counter={middle}/middle");
    isorun(&["run", &folder.wat("counter-app"), "--link", &link, "--invoke", "get()"]).check(
        3,
        "",
        &["no such function: `test:counter/counter@0.1.0#add` in instance `middle`", "it offers: add, get, slow-add"],
    );
}

/// Imports a function at the root and calls it.
const ADD_APP: &str = r#"(component
    (import "add" (func $add (param "n" u32) (result u64)))
    (core func $add (canon lower (func $add)))
    (core module $M (import "" "add" (func $add (param i32) (result i64)))
      (func (export "run") (param i32) (result i64) (call $add (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "add" (func $add))))))
    (func (export "run") (param "n" u32) (result u64) (canon lift (core func $m "run"))))"#;

#[test]
fn a_singleton_keeps_its_state_between_callers_and_per_call_keeps_none() {
    let folder = Folder::new();
    let (counter, app) = (folder.wat("counter"), folder.wat("counter-app"));
    for (policy, expected) in [("singleton", ["5\n", "10\n"]), ("per-call", ["5\n", "5\n"])] {
        let server = serve(&[&counter, "--policy", policy]);
        let link = format!("*={}/counter", server.address());
        for expected in expected {
            isorun(&["run", &app, "--link", &link, "--invoke", "add(5)"]).check(0, expected, &[]);
        }
    }
}

#[test]
fn two_links_to_one_file_share_one_instance() {
    let folder = Folder::new();
    let two = folder.file("two.wasm", wat::parse_str(TWO_COUNTERS).unwrap());
    let both = folder.file("both.wasm", wat::parse_str(BOTH_COUNTERS).unwrap());
    let other = folder.file("other.wasm", wat::parse_str(BOTH_COUNTERS).unwrap());
    let run = |b: &str| {
        let (a, b) = (format!("test:two/a=local:{both}"), format!("test:two/b=local:{b}"));
        isorun(&["run", &two, "--link", &a, "--link", &b, "--invoke", "run"])
    };
    run(&both).check(0, "2\n", &[]);
    // The same file by another path.
    run(&format!("{}/./both.wasm", folder.path().display())).check(0, "2\n", &[]);
    run(&other).check(0, "1\n", &[]);
}

/// Calls `next` of two interfaces once each; the second's answer.
const TWO_COUNTERS: &str = r#"(component
    (import "test:two/a" (instance $a (export "next" (func (result u32)))))
    (import "test:two/b" (instance $b (export "next" (func (result u32)))))
    (core func $a (canon lower (func $a "next")))
    (core func $b (canon lower (func $b "next")))
    (core module $M (import "" "a" (func $a (result i32))) (import "" "b" (func $b (result i32)))
      (func (export "run") (result i32) (drop (call $a)) (call $b)))
    (core instance $m (instantiate $M (with "" (instance (export "a" (func $a)) (export "b" (func $b))))))
    (func (export "run") (result u32) (canon lift (core func $m "run"))))"#;

/// Both interfaces, with one number behind them.
const BOTH_COUNTERS: &str = r#"(component
    (core module $M (global $n (mut i32) (i32.const 0))
      (func (export "next") (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))
    (core instance $m (instantiate $M))
    (func $next (result u32) (canon lift (core func $m "next")))
    (instance $i (export "next" (func $next)))
    (export "test:two/a" (instance $i))
    (export "test:two/b" (instance $i)))"#;

#[test]
fn values_go_in_and_come_out_as_wave() {
    let folder = Folder::new();
    let (app, link) = (folder.wat("types-app"), format!("*=local:{}", folder.wat("types-provider")));
    for (call, expected) in [
        (r#"echo-string("grüezi \u{1f600}")"#, "\"grüezi 😀\"\n"),
        ("echo-list-u32([1, 2, 3])", "[1, 2, 3]\n"),
        ("echo-option-option(some(some(none)))", "some(some(none))\n"),
        ("echo-tuple((true, 7, \"x\", 0.5))", "(true, 7, \"x\", 0.5)\n"),
        ("nothing", ""),
        ("nothing()", ""),
    ] {
        isorun(&["run", &app, "--link", &link, "--invoke", call]).check(0, expected, &[]);
    }
    // An `err` is a result like any other, and says so in the code.
    isorun(&["run", &app, "--link", &link, "--invoke", "echo-result(err(\"why\"))"]).check(1, "err(\"why\")\n", &[]);
}

#[test]
fn functions_of_an_interface_are_called_with_or_without_its_version() {
    let provider = prebuilt("kv-provider");
    for call in
        ["demo:kv/store#get(\"nope\")", "demo:kv/store@0.1.0#get(\"nope\")", "demo:kv/store@0.1.9#get(\"nope\")"]
    {
        isorun(&["run", &provider, "--invoke", call]).check(0, "ok(none)\n", &[]);
    }
    isorun(&["run", &provider, "--invoke", "demo:kv/store#get(\"denied\")"]).check(1, "err(denied)\n", &[]);
}

#[cfg(unix)]
#[test]
fn a_server_ends_well_on_either_signal() {
    for signal in ["-INT", "-TERM"] {
        let server = serve(&[&prebuilt("kv-provider")]);
        server.address();
        server.signal(signal);
        server.end().check(0, "", &[]);
    }
}

#[test]
fn only_this_machine_is_served_unless_the_operator_says_otherwise() {
    let provider = prebuilt("kv-provider");
    for listen in ["tcp://0.0.0.0:0", "tcp://[::]:0"] {
        isorun(&["serve", &provider, "--listen", listen]).check(
            2,
            "",
            &["will not listen on", "`--insecure` grants it"],
        );
    }
    let server = Running::start(&["serve", &provider, "--listen", "tcp://0.0.0.0:0", "--insecure"]);
    let address = server.address();
    let port = address.strip_prefix("tcp://0.0.0.0:").unwrap();
    run_app(&format!("*=tcp://127.0.0.1:{port}/kv-provider")).check(0, "ok(820)\n", &[]);
}

#[test]
fn a_server_that_cannot_start_says_why_and_does_not_listen() {
    let provider = prebuilt("kv-provider");
    let server = serve(&[&provider]);
    let taken = server.address();
    isorun(&["serve", &provider, "--listen", &taken]).check(1, "", &["cannot listen on", &taken]);
    isorun(&["serve", &provider, "--listen", "tcp://127.0.0.1:0", "--as", "a/b"]).check(
        2,
        "",
        &["`a/b` is no instance name"],
    );
    isorun(&["serve", &prebuilt("kv-app"), "--listen", "tcp://127.0.0.1:0"]).check(3, "", &["demo:kv/store@0.1.0"]);
    let gone = "demo:kv/store=tcp://127.0.0.1:1/kv";
    let args = ["serve", &prebuilt("kv-app"), "--listen", "tcp://127.0.0.1:0", "--link", gone];
    isorun(&args).check(3, "", &["cannot reach tcp://127.0.0.1:1", "isorun serve"]);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_serves_as_a_port_does() {
    let folder = Folder::new();
    let address = format!("unix://{}", folder.path().join("kv.sock").display());
    let server = Running::start(&["serve", &prebuilt("kv-provider"), "--as", "kv", "--listen", &address]);
    assert_eq!(server.address(), address);
    let place = format!("{address}#kv");
    run_app(&format!("demo:kv/store={place}")).check(0, "ok(820)\n", &[]);
    isorun(&["call", &place, "demo:kv/store#clear()"]).check(0, "", &[]);
    isorun(&["call", &place, "demo:kv/store#scan(\"\")"]).check(0, "[]\n", &[]);
    isorun(&["inspect", &place]).check_starts(0, "package root:component;");
    let table = "NAME  SERVES AS  GENERATION  IN FLIGHT  EXPORTS\nkv    singleton  1           0          demo:kv/store@0.1.0\n";
    isorun(&["inspect", &address]).check(0, table, &[]);
    isorun(&["inspect", &format!("{address}#")]).check(0, table, &[]);
    isorun(&["inspect", &address, "-o", "json"])
        .check_starts(0, r#"{"ok":[{"exports":["demo:kv/store@0.1.0"],"fused":[],"generation":1"#);
    server.signal("-TERM");
    server.end().check(0, "", &[]);
    isorun(&["inspect", &place]).check(1, "", &[&format!("cannot ask {place} what it offers"), "isorun serve"]);
    isorun(&["inspect", &address]).check(1, "", &["cannot ask"]);
    isorun(&["call", &address, "f()"]).check(2, "", &["names no instance"]);
}

#[test]
fn async_functions_are_inspected_called_and_linked_as_others_are() {
    let folder = Folder::new();
    let (values, app) = (folder.wat("flow-values"), folder.wat("flow-values-app"));
    let shown = isorun(&["inspect", &values]);
    assert!(shown.code == Some(0) && shown.out.contains("nothing: async func()"), "{shown:?}");
    let server = serve(&[&values, "--as", "values"]);
    let there = format!("{}/values", server.address());
    isorun(&["call", &there, "five(200, 2, 0.5, \"drei\")"]).check(0, "(200, 2, 0.5, \"drei\")\n", &[]);
    for place in [format!("*=local:{values}"), format!("*={there}")] {
        let run = |call: &str| isorun(&["run", &app, "--link", &place, "--invoke", call]);
        run("five(200, 2, 0.5, \"drei\")").check(0, "(200, 2, 0.5, \"drei\")\n", &[]);
        run("nothing()").check(0, "", &[]);
    }
}
