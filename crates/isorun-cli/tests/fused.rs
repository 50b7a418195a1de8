//! `--link IFACE=fused:FILE.wasm`: one component of several.

mod common;

use common::{Done, Folder, Running, isorun, prebuilt};

fn run_app(args: &[&str]) -> Done {
    isorun(&[&["run", &prebuilt("kv-app"), "--invoke", "run(40)"], args].concat())
}

#[test]
fn a_component_that_is_fused_serves_the_import() {
    for import in ["demo:kv/store", "demo:kv/store@0.1.0", "demo:kv/store@0.1.7", "demo:kv", "*"] {
        run_app(&["--link", &format!("{import}=fused:{}", prebuilt("kv-provider"))]).check(0, "ok(820)\n", &[]);
    }
}

#[test]
fn check_says_what_becomes_one_and_what_it_imports_from_elsewhere() {
    let folder = Folder::new();
    let app = folder.file("app.wasm", wat::parse_str(NEXT_APP).unwrap());
    let middle = folder.file("middle.wasm", wat::parse_str(MIDDLE).unwrap());
    let counter = folder.wat("counter");
    let next = format!("test:next/next=fused:{middle}");
    let check = |args: &[&str]| isorun(&[&["check", &app, "--link", &next], args].concat());

    let link = format!("test:counter/counter=local:{counter}");
    let out = format!(
        "test:next/next              fused:{middle}\ntest:counter/counter@0.1.0  local:{counter}\n\
         one component, with one store, one budget and one fate, of this and middle\nall links hold\n"
    );
    check(&["--link", &link]).check(0, &out, &[]);
    let json = check(&["--link", &link, "-o", "json"]);
    assert!(json.code == Some(0) && json.out.contains(r#""fused":["middle"]"#), "{json:?}");

    let chain = format!("test:counter/counter=fused:{counter}");
    let done = check(&["--link", &chain]);
    assert!(done.code == Some(0) && done.out.contains("of this and middle, counter\n"), "{done:?}");
    for (link, expected) in [(&link, "1\n"), (&chain, "1\n")] {
        isorun(&["run", &app, "--link", &next, "--link", link, "--invoke", "run"]).check(0, expected, &[]);
    }
    check(&[]).check(3, "", &["not linked", "test:counter/counter@0.1.0", "--link test:counter/counter@0.1.0=PLACE"]);
    let cycle = format!("test:counter/counter=fused:{app}");
    check(&["--link", &cycle]).check(3, "", &["it offers: run"]);
}

/// Imports `next` and calls it.
const NEXT_APP: &str = r#"(component
    (import "test:next/next" (instance $i (export "next" (func (result u64)))))
    (core func $next (canon lower (func $i "next")))
    (core module $M (import "" "next" (func $next (result i64))) (func (export "run") (result i64) (call $next)))
    (core instance $m (instantiate $M (with "" (instance (export "next" (func $next))))))
    (func (export "run") (result u64) (canon lift (core func $m "run"))))"#;

/// Exports `next`, which counts, by a counter that it imports.
const MIDDLE: &str = r#"(component
    (import "test:counter/counter@0.1.0" (instance $c (export "add" (func (param "n" u32) (result u64)))))
    (core func $add (canon lower (func $c "add")))
    (core module $M (import "" "add" (func $add (param i32) (result i64)))
      (func (export "next") (result i64) (call $add (i32.const 1))))
    (core instance $m (instantiate $M (with "" (instance (export "add" (func $add))))))
    (func $next (result u64) (canon lift (core func $m "next")))
    (instance $i (export "next" (func $next)))
    (export "test:next/next" (instance $i)))"#;

#[test]
fn what_does_not_fit_is_a_link_error_and_what_makes_no_sense_is_told() {
    let folder = Folder::new();
    run_app(&["--link", "*=fused:no.wasm"]).check(3, "", &["--link *=fused:no.wasm", "no such file"]);
    run_app(&["--link", "*=fused:"]).check(2, "", &["names no file"]);
    let link = format!("demo:kv/store=fused:{}", folder.wat("counter"));
    run_app(&["--link", &link]).check(3, "", &["fused component `counter`", "it offers: test:counter/counter@0.1.0"]);
    let other = folder.file(
        "other.wasm",
        wat::parse_str(
            r#"(component (core module $M (func (export "f") (param i64) (result i64) (local.get 0)))
                (core instance $m (instantiate $M))
                (func $add (param "n" u64) (result u64) (canon lift (core func $m "f")))
                (instance $i (export "add" (func $add)))
                (export "test:counter/counter@0.1.0" (instance $i)))"#,
        )
        .unwrap(),
    );
    let counter = folder.wat("counter-app");
    let link = format!("test:counter/counter=fused:{other}");
    isorun(&["run", &counter, "--link", &link, "--invoke", "add(1)"]).check(
        3,
        "",
        &["is not the same in fused component `other`", "counter.add.n: u32 here, u64 there", "counter.get"],
    );
    let link = format!("demo:kv/store=fused:{}", prebuilt("kv-provider"));
    run_app(&["--link", &link, "--on-failure", "demo:kv/store=text"]).check(2, "", &["ends with what is fused to it"]);
}

#[test]
fn a_host_says_of_an_instance_what_is_fused_to_it() {
    let folder = Folder::new();
    let link = format!("*=fused:{}", folder.wat("counter"));
    let app = folder.wat("counter-app");
    let served = Running::start(&["serve", &app, "--as", "app", "--link", &link, "--listen", "tcp://127.0.0.1:0"]);
    let address = served.address();
    for total in ["5\n", "10\n"] {
        isorun(&["call", &format!("{address}/app"), "add(5)"]).check(0, total, &[]);
    }
    let done = isorun(&["inspect", &address]);
    assert!(done.code == Some(0) && done.out.contains("FUSED") && done.out.contains("counter"), "{done:?}");
    let json = isorun(&["inspect", &address, "-o", "json"]);
    assert!(json.code == Some(0) && json.out.contains(r#""fused":["counter"]"#), "{json:?}");
}
