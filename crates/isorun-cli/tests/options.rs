//! Options that all commands have, and `--on-failure`.

mod common;

use common::{Folder, Running, isorun, prebuilt};

#[test]
fn a_folder_is_gone_to_before_anything_is_read() {
    let folder = Folder::new();
    folder.wat("trap");
    let dir = folder.path().to_str().unwrap();
    isorun(&["-C", dir, "run", "trap.wasm", "--invoke", "fine"]).check(0, "7\n", &[]);
    isorun(&["run", "-C", dir, "trap.wasm", "--invoke", "fine"]).check(0, "7\n", &[]);
    isorun(&["-C", "no/such", "run", "trap.wasm"]).check(2, "", &["-C: cannot go to `no/such`"]);
}

#[test]
fn results_are_json_where_that_is_asked_for() {
    let folder = Folder::new();
    let run = |call: &str| isorun(&["run", &folder.wat("trap"), "-o", "json", "--invoke", call]);
    run("fine").check(0, "{\"ok\":{\"value\":7,\"wave\":\"7\"}}\n", &[]);
    let app = prebuilt("kv-app");
    let kv = ["run", &app, "--link", "demo:kv/store=system:kv", "--output=json", "--invoke", "run(40)"];
    isorun(&kv).check(
        1,
        "{\"ok\":{\"value\":{\"err\":\"`denied` was not denied\"},\"wave\":\"err(\\\"`denied` was not denied\\\")\"}}\n",
        &[],
    );
    // A command writes what it has to say itself.
    isorun(&["run", &folder.wat("cli-ok"), "-o", "json"]).check(0, "", &[]);
}

#[test]
fn errors_are_one_line_of_json_on_standard_error() {
    let folder = Folder::new();
    let json = |args: &[&str], code: i32, kind: &str| {
        let done = isorun(&[args, &["-o", "json"]].concat());
        done.check(code, "", &[&format!("{{\"error\":{{\"kind\":\"{kind}\",\"text\":\"")]);
        assert!(done.err.ends_with("}}\n") && done.err.lines().count() == 1, "{done:?}");
    };
    let (app, trap, spin) = (prebuilt("kv-app"), folder.wat("trap"), folder.wat("spin"));
    json(&["run", &app, "--invoke", "run(1)"], 3, "link");
    json(&["run", &app, "--invoke", "rum(1)"], 2, "usage");
    json(&["run", &app, "--frobnicate"], 2, "usage");
    json(&["run", &trap, "--invoke", "run"], 134, "trap");
    json(&["run", &spin, "--invoke", "run", "--timeout", "50ms"], 124, "deadline");
    json(&["run", &spin, "--invoke", "run", "--fuel", "1000000"], 1, "out-of-fuel");
    json(&["run", &folder.wat("hog"), "--invoke", "run"], 1, "out-of-memory");
    json(&["run", "no/such.wasm"], 1, "load");
    json(&["run", &folder.file("text.wasm", "(component)")], 1, "load");
}

#[test]
fn serve_says_where_it_listens_as_json_too() {
    let folder = Folder::new();
    let trap = folder.wat("trap");
    let server = Running::start(&["serve", &trap, "-o", "json", "--as", "it", "--listen", "tcp://127.0.0.1:0"]);
    let line = server.out_line();
    assert!(
        line.starts_with(r#"{"ok":{"instance":"it","listening":"tcp://127.0.0.1:"#) && line.ends_with("\"}}"),
        "{line}"
    );
}

#[test]
fn the_log_level_goes_before_the_variable() {
    let folder = Folder::new();
    let trap = folder.wat("trap");
    let logged = Running::start_with(&["run", &trap, "--log-level", "info", "--invoke", "fine"], |command| {
        command.env("ISORUN_LOG", "error");
    });
    logged.end().check(0, "7\n", &["INFO", "calling"]);
    isorun(&["run", &trap, "--log-level", "loud", "--invoke", "fine"]).check(2, "", &["debug"]);
}

#[test]
fn what_a_guest_gets_for_a_failed_call_is_chosen_for_a_link() {
    let app = prebuilt("kv-app");
    let run = |args: &[&str]| isorun(&[&["run", &app, "--invoke", "run(1)"], args].concat());
    let link = ["--link", "demo:kv/store=tcp://127.0.0.1:1/kv"];
    run(&[&link[..], &["--on-failure", "demo:kv/store"]].concat()).check(2, "", &["IFACE=trap"]);
    run(&[&link[..], &["--on-failure", "demo:kv/store=panic"]].concat()).check(2, "", &["case:NAME"]);
    run(&[&link[..], &["--on-failure", "demo:kv/stroe=trap"]].concat()).check(
        2,
        "",
        &["no --link is for `demo:kv/stroe`; there are: demo:kv/store"],
    );
    run(&["--on-failure", "demo:kv/store=trap"]).check(2, "", &["there are: none"]);
    run(&["--link", "*=system:kv", "--on-failure", "*=trap"]).check(2, "", &["this process's own code"]);
    // The store's error type has no `string`, and no such case.
    let local = format!("demo:kv/store=local:{}", prebuilt("kv-provider"));
    let has = |policy: &str| isorun(&["check", &app, "--link", &local, "--on-failure", policy]);
    has("demo:kv/store@0.1.0=text").check(3, "", &["no function of `demo:kv/store@0.1.0` has room for `text`"]);
    has("demo:kv/store=case:no-such").check(3, "", &["case:no-such"]);
    has("demo:kv/store=case:denied").check_starts(0, "demo:kv/store@0.1.0");
}

#[test]
fn a_guest_lives_on_with_the_case_it_gets_for_its_provider_that_went() {
    // The provider has no time: each call of it fails, and the app sees the case.
    let server = Running::start(&[
        "serve",
        &prebuilt("kv-provider"),
        "--as",
        "kv",
        "--listen",
        "tcp://127.0.0.1:0",
        "--fuel",
        "1000",
    ]);
    let link = format!("demo:kv/store={}/kv", server.address());
    let run = |policy: &str| {
        isorun(&["run", &prebuilt("kv-app"), "--link", &link, "--on-failure", policy, "--invoke", "run(1)"])
    };
    run("demo:kv/store=trap").check(134, "", &["demo:kv/store@0.1.0#"]);
    let lived = run("demo:kv/store=case:denied");
    assert!(lived.code == Some(1) && lived.out.starts_with("err(") && lived.err.is_empty(), "{lived:?}");
}

#[test]
fn each_shell_gets_a_script() {
    for (shell, words) in [("bash", "_isorun()"), ("zsh", "#compdef isorun"), ("fish", "complete -c isorun")] {
        let done = isorun(&["completion", shell]);
        assert!(done.code == Some(0) && done.out.contains(words) && done.err.is_empty(), "{shell}: {done:?}");
    }
    isorun(&["completion", "csh"]).check(2, "", &["bash"]);
}
