//! How the command ends, one code after the other, and that help lists them all.

mod common;

use common::{Folder, Running, isorun, prebuilt};

#[test]
fn a_guest_that_returns_is_0_and_its_err_is_1() {
    let folder = Folder::new();
    isorun(&["run", &folder.wat("cli-ok")]).check(0, "", &[]);
    isorun(&["run", &folder.wat("cli-err")]).check(1, "", &[]);
    let app = prebuilt("kv-app");
    isorun(&["run", &app, "--link", "demo:kv/store=system:kv", "--invoke", "run(40)"]).check(
        1,
        "err(\"`denied` was not denied\")\n",
        &[],
    );
}

#[test]
fn a_guests_own_code_is_the_commands() {
    isorun(&["run", &Folder::new().wat("exit")]).check(7, "", &[]);
}

#[test]
fn a_command_line_that_is_wrong_is_2() {
    let app = prebuilt("kv-app");
    let run = |args: &[&str]| isorun(&[&["run", &app], args].concat());
    run(&["--link", "demo:kv/store"]).check(2, "", &["has no `=`", "IFACE=PLACE", "system:kv"]);
    run(&["--link", "=system:kv"]).check(2, "", &["names no import"]);
    run(&["--link", "demo:kv/store=kv.wasm"]).check(2, "", &["no place", "local:FILE.wasm", "tcp://HOST:PORT/NAME"]);
    run(&["--link", "demo:kv/store=tcp://127.0.0.1:7000"]).check(2, "", &["names no instance"]);
    run(&["--link", "*=tcp://127.0.0.1:1/kv,"]).check(2, "", &["comma without a place"]);
    let two = "tcp://127.0.0.1:1/kv,tcp://127.0.0.1:2/kv";
    isorun(&["call", two, "run()"]).check(2, "", &["takes one place", "are 2"]);
    isorun(&["inspect", two]).check(2, "", &["one place", "are 2"]);
    run(&["--timeout", "5"]).check(2, "", &["like `5s`"]);
    run(&["--memory", "64MB"]).check(2, "", &["64MiB"]);
    run(&["--fuel", "lots"]).check(2, "", &["amount of fuel"]);
    run(&["--dir", "data"]).check(2, "", &["HOST::GUEST"]);
    run(&["--env", "NAME"]).check(2, "", &["NAME=VALUE"]);
    run(&["--wasi", "clock"]).check(2, "", &["no WASI feature `clock`", "clocks"]);
    run(&["--wasi", "environment", "--invoke", "run(1)"]).check(2, "", &["--env NAME=VALUE"]);
    run(&["--frobnicate"]).check(2, "", &["--frobnicate"]);
    isorun::<&str>(&[]).check(2, "", &["Usage: isorun"]);
    isorun(&["serve", &app]).check(2, "", &["--listen"]);
    isorun(&["serve", &app, "--listen", "127.0.0.1"]).check(2, "", &["no valid port"]);
    let listen = |address: &str| isorun(&["serve", &app, "--listen", address]);
    let named =
        |name: &str| isorun(&["serve", &app, "--listen", "tcp://127.0.0.1:0", "--link", "*=system:kv", "--as", name]);
    named("isorun").check(2, "", &["the host's own", "`--as NAME`"]);
    named("a b").check(2, "", &["no instance name", "`--as NAME`"]);
    let kinds = ["no kind of address", "tcp://", "tls://", "quic://", "nats://", "nats+tls://"];
    listen("udp://127.0.0.1:0").check(2, "", &kinds);
    listen("foo://127.0.0.1:0").check(2, "", &kinds);
    listen("tcp://127.0.0.1:0/kv").check(2, "", &["`tcp://127.0.0.1:0`", "`--as kv`"]);
    listen("tls://127.0.0.1:0/kv?name=a").check(2, "", &["`tls://127.0.0.1:0`", "`--as kv`"]);
    listen("nats://127.0.0.1/kv").check(2, "", &["`nats://127.0.0.1`", "`--as kv`"]);
    listen("nats://10.0.0.1").check(2, "", &["`nats+tls://10.0.0.1:4222`", "`--insecure`"]);
}

/// An error is kept in logs and shown to whoever helps.
#[test]
fn passwords_in_addresses_are_refused_and_not_printed_again() {
    let app = prebuilt("kv-app");
    for place in [
        "nats://user:hunter2@127.0.0.1:1/kv",
        "nats+tls://hunter2@127.0.0.1:1/kv",
        "nats://127.0.0.1:1/kv?token=hunter2",
        "tcp://user:hunter2@127.0.0.1:1/kv",
        "tls://user:hunter2@127.0.0.1:1/kv",
        "quic://127.0.0.1:1/kv?password=hunter2",
        "http://user:hunter2@127.0.0.1:1/kv",
        "tcp://127.0.0.1:1/kv,tcp://user:hunter2@127.0.0.1:1/kv",
    ] {
        for json in [&[][..], &["-o", "json"]] {
            let link = format!("*={place}");
            for args in [
                &["call", place, "run()"][..],
                &["inspect", place],
                &["serve", &app, "--listen", place],
                &["run", &app, "--invoke", "run(1)", "--link", &link],
            ] {
                let done = isorun(&[args, json].concat());
                assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{done:?}");
                assert!(!done.err.contains("hunter2") && done.err.contains("***"), "{done:?}");
                let says_why = done.err.contains("no user and no password");
                assert!(says_why || place.contains([',', '?']) || place.starts_with("http"), "{done:?}");
            }
        }
    }
}

#[test]
fn a_call_that_the_component_does_not_offer_is_2() {
    let app = prebuilt("kv-app");
    let invoke = |call: &str| isorun(&["run", &app, "--link", "*=system:kv", "--invoke", call]);
    let signature = "run(n: u32) -> result<u64, string>";
    invoke("rum(40)").check(2, "", &["no exported function `rum` (did you mean `run`?)", signature]);
    invoke("run(\"a\")").check(2, "", &["u32", signature]);
    invoke("run(-1)").check(2, "", &["u32", signature]);
    invoke("run").check(2, "", &["1 argument", signature]);
    invoke("run(1, 2)").check(2, "", &[signature]);
    invoke("run(1").check(2, "", &["--invoke"]);
    invoke("(1)").check(2, "", &["--invoke"]);
    isorun(&["run", &app]).check(2, "", &["no command", "wasi:cli/run", signature, "--invoke"]);
}

#[test]
fn an_import_that_nobody_linked_or_a_link_that_does_not_hold_is_3() {
    let folder = Folder::new();
    let app = prebuilt("kv-app");
    let run = |args: &[&str]| isorun(&[&["run", &app, "--invoke", "run(1)"], args].concat());
    run(&[]).check(
        3,
        "",
        &["not linked", "demo:kv/store@0.1.0", "`--link demo:kv/store@0.1.0=system:kv`", "local:FILE"],
    );
    run(&["--link", "demo:kv/stroe=system:kv"]).check(3, "", &["did you mean `demo:kv/store@0.1.0`?"]);
    run(&["--link", "demo:kv/store=tcp://127.0.0.1:1/kv"]).check(3, "", &["cannot reach", "isorun serve"]);
    for (place, words) in [
        ("nats://127.0.0.1:1/kv", "does a NATS server run at 127.0.0.1:1?"),
        ("unix:///no/such.sock#kv", "--listen unix:///PATH"),
    ] {
        run(&["--link", &format!("*={place}")]).check(3, "", &[words]);
        isorun(&["call", place, "run()"]).check(1, "", &[words]);
    }
    isorun(&["inspect", "nats://127.0.0.1:1"]).check(1, "", &["does a NATS server run at 127.0.0.1:1?"]);
    let local = |file: &str| run(&["--link", &format!("demo:kv/store=local:{file}")]);
    local(&folder.wat("counter")).check(3, "", &["no such function", "demo:kv/store@0.1.0#get"]);
    // A component with imports of its own has no place beside the app; one with inert WASI has.
    local(&app).check(3, "", &["--link demo:kv/store=local:", "not linked", "isorun serve"]);
    let clocks = local(&folder.wat("wasi-clocks"));
    clocks.check(3, "", &["wasi:clocks/monotonic-clock", "isorun serve", "--wasi clocks`"]);
    assert!(!clocks.err.contains("grant it with"), "nothing grants it here: {clocks:?}");
    local("no/such.wasm").check(3, "", &["--link demo:kv/store=local:no/such.wasm", "no such file"]);
    local(&folder.file("text.wasm", "(component)")).check(3, "", &["cannot load", "WebAssembly text"]);
    isorun(&["check", &app, "--link", "*=local:no/such.wasm"]).check(3, "", &["--link *=", "no such file"]);
    local(&prebuilt("fs-app")).check(3, "", &["instance `fs-app`", "it offers: run"]);
    let clocks = folder.wat("wasi-clocks");
    isorun(&["run", &clocks, "--invoke", "run()"]).check(3, "", &["grant it with `--wasi clocks`"]);
}

#[test]
fn a_component_that_cannot_be_loaded_is_1() {
    let folder = Folder::new();
    isorun(&["run", "no/such.wasm"]).check(1, "", &["cannot read `no/such.wasm`: no such file"]);
    isorun(&["run", &folder.file("text.wasm", "(component)")]).check(1, "", &["text.wasm", "WebAssembly text"]);
    isorun(&["run", &folder.file("core.wasm", b"\0asm\x01\0\0\0")]).check(1, "", &["core.wasm", "core module"]);
    isorun(&["run", folder.path().to_str().unwrap()]).check(1, "", &["cannot read", "this is a folder"]);
    isorun(&["run", "/dev/zero"]).check(1, "", &["cannot read `/dev/zero`: this is a device, and no regular file"]);
    let pipe = folder.path().join("pipe.wasm");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    isorun(&["run", pipe.to_str().unwrap()]).check(1, "", &["cannot read", "this is a pipe"]);
}

#[test]
fn time_that_runs_out_is_124() {
    let folder = Folder::new();
    let spin = folder.wat("spin");
    isorun(&["run", &spin, "--timeout", "50ms", "--invoke", "run"]).check(124, "", &[" ms", "--timeout"]);
    isorun(&["run", &folder.wat("spin-at-start"), "--timeout", "50ms", "--invoke", "run"]).check(
        124,
        "",
        &["does not start", " ms", "--timeout"],
    );
    // In a provider: it is the caller's time that runs out. How long it waited is near the limit, and not to the millisecond.
    let (app, link) = (folder.wat("counter-app"), format!("*=local:{}", folder.wat("counter")));
    let call = "slow-add(1, 1000000000000)";
    isorun(&["run", &app, "--link", &link, "--timeout", "100ms", "--invoke", call]).check(
        124,
        "",
        &[" ms", "--timeout"],
    );
}

#[test]
fn a_trap_is_134() {
    let folder = Folder::new();
    let trap = folder.wat("trap");
    isorun(&["run", &trap, "--invoke", "run"]).check(134, "", &["trap", "unreachable", "instance `trap`"]);
    isorun(&["run", &trap, "--invoke", "divide"]).check(134, "", &["divide by zero"]);
    isorun(&["run", &trap, "--invoke", "fine"]).check(0, "7\n", &[]);
}

#[test]
fn fuel_and_memory_that_run_out_are_1_and_say_what_gives_more() {
    let folder = Folder::new();
    let spin = folder.wat("spin");
    isorun(&["run", &spin, "--fuel", "1_000_000", "--invoke", "run"]).check(
        1,
        "",
        &["out of fuel: limit 1000000", "--fuel"],
    );
    isorun(&["run", &folder.wat("hog"), "--invoke", "run"]).check(
        1,
        "",
        &["out of memory: 1073741824 bytes wanted, limit 67108864", "--memory"],
    );
    isorun(&["run", &folder.wat("hog"), "--memory", "1GiB", "--invoke", "run"]).check(0, "", &[]);
}

#[test]
fn a_local_provider_is_paid_for_from_the_apps_fuel() {
    let folder = Folder::new();
    let (app, link) = (folder.wat("counter-app"), format!("*=local:{}", folder.wat("counter")));
    let run = |fuel: &str, call: &str| isorun(&["run", &app, "--link", &link, "--fuel", fuel, "--invoke", call]);
    run("1_000_000", "add(2)").check(0, "2\n", &[]);
    run("1_000_000", "slow-add(2, 1000)").check(0, "2\n", &[]);
    // Half of it at most is the provider's.
    run("1_000_000", "slow-add(2, 1000000)").check(134, "", &["out of fuel: limit 500000"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_is_130_and_ends_the_run_at_once() {
    let folder = Folder::new();
    let spin = folder.wat("spin");
    for (signal, code, text) in [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")] {
        let args = ["run", &spin, "--timeout", "1h", "--invoke", "run"];
        let running = Running::start_with(&args, |command| {
            command.env("ISORUN_LOG", "info");
        });
        running.err_line("calling");
        running.signal(signal);
        running.end().check(code, "", &[text]);
    }
}

#[test]
fn help_lists_every_code_and_goes_to_standard_output() {
    for args in [&["--help"][..], &["help"], &["run", "--help"], &["serve", "--help"]] {
        let done = isorun(args);
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{args:?}");
        for line in ["Examples:", "    0  ", "    1  ", "    2  ", "    3  ", "  124  ", "  130  ", "  134  "] {
            assert!(done.out.contains(&format!("\n{line}")), "{args:?}: `{line}`");
        }
        assert!(done.out.contains("ISORUN_LOG") && done.out.contains("NO_COLOR"), "{args:?}");
        assert!(!done.out.contains('\x1b'), "{args:?}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let app = prebuilt("kv-app");
    let args = ["run", &app, "--link", "*=system:kv?deny=denied&absent-is-error=missing", "--invoke", "run(40)"];
    let done = Running::start_with(&args, |command| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer);
    });
    done.end().check(0, "", &[]);
}

#[test]
fn a_log_filter_that_is_none_is_told_of() {
    let done = Running::start_with(&["demo"], |command| {
        command.env("ISORUN_LOG", "a=b=c");
    });
    done.end().check(2, "", &["ISORUN_LOG"]);
}
