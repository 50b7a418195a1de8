//! `check`: what `run` would say of links, all of it, and nothing runs.

mod common;

use common::{Done, Folder, Running, isorun, prebuilt};

fn check(app: &str, args: &[&str]) -> Done {
    isorun(&[&["check", app], args].concat())
}

#[test]
fn links_that_hold_are_listed_with_where_they_go() {
    let app = prebuilt("kv-app");
    let served = Running::start(&["serve", &prebuilt("kv-provider"), "--as", "kv", "--listen", "tcp://127.0.0.1:0"]);
    let places =
        ["system:kv".to_owned(), format!("local:{}", prebuilt("kv-provider")), format!("{}/kv", served.address())];
    for place in &places {
        let done = check(&app, &["--link", &format!("demo:kv={place}")]);
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
        let line = done.out.lines().find(|line| line.starts_with("demo:kv/store@0.1.0 ")).unwrap();
        assert!(line.ends_with(place) && done.out.ends_with("all links hold\n"), "{done:?}");
        let json = check(&app, &["--link", &format!("*={place}"), "-o", "json"]);
        let row = format!(r#"{{"import":"demo:kv/store@0.1.0","place":"{place}"}}"#);
        assert!(
            json.code == Some(0) && json.out.starts_with(r#"{"ok":{"links":["#) && json.out.contains(&row),
            "{json:?}"
        );
    }
}

/// Wants two interfaces: the counter's with other types, and one that nobody has.
const APP: &str = r#"(component
    (import "test:other/thing" (instance (export "do" (func))))
    (import "test:counter/counter@0.1.0" (instance
        (export "add" (func (param "n" u64) (result u64)))
        (export "gone" (func)))))"#;

#[test]
fn every_difference_is_told_and_the_code_is_3() {
    let folder = Folder::new();
    let app = folder.file("app.wasm", wat::parse_str(APP).unwrap());
    let link = format!("test:counter/counter=local:{}", folder.wat("counter"));
    let all = ["2 links do not hold", "test:other/thing", "counter.add.n: u64 here, u32 there", "counter.gone"];
    check(&app, &["--link", &link]).check(3, "", &all);
    check(&app, &["--link", &link, "--link", "demo:kv/store=system:kv"]).check(
        3,
        "",
        &["3 links do not hold", "does not import `demo:kv/store`", "u64 here, u32 there"],
    );
    check(&app, &["--link", &link, "-o", "json"]).check(3, "", &[r#"{"error":{"kind":"link","text":"2 links"#]);
}

#[test]
fn a_peer_that_is_away_or_silent_is_a_link_that_does_not_hold() {
    let app = prebuilt("kv-app");
    check(&app, &["--link", "*=tcp://127.0.0.1:1/kv"]).check(3, "", &["cannot reach", "isorun serve"]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let link = format!("*=tcp://{}/kv", silent.local_addr().unwrap());
    check(&app, &["--link", &link, "--timeout", "200ms"]).check(3, "", &["in time"]);
}

#[test]
fn nothing_runs_neither_the_app_nor_a_local_provider() {
    let folder = Folder::new();
    let spin = folder.wat("spin-at-start");
    check(&spin, &[]).check(0, "all links hold\n", &[]);
    let link = format!("*=local:{spin}");
    check(&folder.wat("counter-app"), &["--link", &link]).check(3, "", &["no such function"]);
}

#[test]
fn a_local_providers_own_imports_are_told_of() {
    let folder = Folder::new();
    let link = format!("demo:kv/store=local:{}", prebuilt("kv-app"));
    check(&prebuilt("kv-app"), &["--link", &link]).check(
        3,
        "",
        &["2 links do not hold", "--link demo:kv/store=local:", "gets no links", "isorun serve"],
    );
    check(&prebuilt("kv-app"), &["--link", "*=local:no.wasm"]).check(3, "", &["cannot read `no.wasm`"]);
    check(&folder.wat("wasi-clocks"), &[]).check(3, "", &["--wasi clocks"]);
    check(&folder.wat("wasi-clocks"), &["--wasi", "clocks"]).check_starts(0, "wasi:");
}
