//! The rest of WASI: inert, granted by name, or not there.

mod common;

use common::{call, fault, link_error, prebuilt, start, text};
use isorun_core::Fault;
use isorun_runtime::LinkError;
use isorun_runtime::wasmtime::component::Val;
use isorun_security::WasiFeature;
use isorun_system::{RANDOM_BYTES_MAX, Wasi, how_to_grant, wasi_links};

/// The imports that keep it from being linked with nothing granted.
async fn missing(wasm: impl AsRef<[u8]>) -> Vec<String> {
    match link_error(wasm, &wasi_links(Wasi::inert(), [])).await {
        LinkError::Missing { missing, .. } => missing.into_iter().filter_map(|missing| missing.interface).collect(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn clocks_are_a_link_error_until_granted() {
    let imports = missing(text("wasi-clocks")).await;
    assert_eq!(imports, ["wasi:clocks/monotonic-clock@0.2.12"]);
    assert_eq!(how_to_grant(&imports[0]).unwrap(), "grant it with `--wasi clocks`");

    let app = start(text("wasi-clocks"), &wasi_links(Wasi::inert().clocks(), [])).await;
    let [Val::U64(first)] = call(&app, "run", &[]).await[..] else { panic!() };
    let [Val::U64(second)] = call(&app, "run", &[]).await[..] else { panic!() };
    assert!(first <= second);
}

#[tokio::test]
async fn random_numbers_are_a_link_error_until_granted() {
    let imports = missing(text("wasi-random")).await;
    assert_eq!(imports, ["wasi:random/random@0.2.12"]);
    assert_eq!(how_to_grant(&imports[0]).unwrap(), "grant it with `--wasi random`");

    let app = start(text("wasi-random"), &wasi_links(Wasi::inert().random(), [])).await;
    assert_ne!(call(&app, "run", &[]).await, call(&app, "run", &[]).await);
}

/// Asks for a socket: 0 if it is refused with `access-denied`, 1 for another error, 2 if it gets one.
const ASKS_FOR_A_SOCKET: &str = r#"(component
    (import "wasi:sockets/network@0.2.0" (instance $network
        (export "network" (type (sub resource)))
        (type $code' (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
            "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
            "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused" "connection-reset"
            "connection-aborted" "datagram-too-large" "name-unresolvable" "temporary-resolver-failure"
            "permanent-resolver-failure"))
        (export "error-code" (type (eq $code')))
        (type $family' (enum "ipv4" "ipv6"))
        (export "ip-address-family" (type (eq $family')))))
    (alias export $network "error-code" (type $code))
    (alias export $network "ip-address-family" (type $family))
    (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type (sub resource)))))
    (alias export $tcp "tcp-socket" (type $socket))
    (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
        (alias outer 1 $code (type $code'))
        (export "error-code" (type $code (eq $code')))
        (alias outer 1 $family (type $family'))
        (export "ip-address-family" (type $family (eq $family')))
        (alias outer 1 $socket (type $socket'))
        (export "tcp-socket" (type $socket (eq $socket')))
        (export "create-tcp-socket"
            (func (param "address-family" $family) (result (result (own $socket) (error $code)))))))
    (core module $L (memory (export "memory") 1))
    (core instance $l (instantiate $L))
    (core func $create' (canon lower (func $create "create-tcp-socket") (memory (core memory $l "memory"))))
    (core module $M
        (import "l" "memory" (memory 1))
        (import "h" "create" (func $create (param i32 i32)))
        (func (export "run") (result i32)
            (call $create (i32.const 0) (i32.const 64))
            (if (i32.eqz (i32.load8_u (i32.const 64))) (then (return (i32.const 2))))
            (i32.ne (i32.load8_u (i32.const 68)) (i32.const 1))))
    (core instance $m (instantiate $M
        (with "l" (instance $l)) (with "h" (instance (export "create" (func $create'))))))
    (func (export "run") (result u32) (canon lift (core func $m "run"))))"#;

#[tokio::test]
async fn sockets_are_there_and_all_are_refused_whatever_is_granted() {
    let everything = WasiFeature::ALL.into_iter().fold(Wasi::inert(), Wasi::grant);
    for wasi in [Wasi::inert(), everything] {
        let app = start(ASKS_FOR_A_SOCKET, &wasi_links(wasi, [])).await;
        assert_eq!(call(&app, "run", &[]).await, [Val::U32(0)]);
    }
}

#[test]
fn what_nothing_grants_is_said() {
    assert_eq!(how_to_grant("wasi:sockets/tcp-create-socket@0.3.0").unwrap(), "sockets are not offered to guests");
    assert_eq!(how_to_grant("wasi:http/types@0.2.0").unwrap(), "`wasi:http` is not offered to guests");
}

#[tokio::test]
async fn a_type_of_an_ungranted_interface_needs_no_grant() {
    let app = start(text("wasi-types"), &wasi_links(Wasi::inert(), [])).await;
    assert_eq!(call(&app, "run", &[]).await, [Val::U32(7)]);
    start(prebuilt("fs-app"), &wasi_links(Wasi::inert(), [])).await;
}

const EXIT: &str = r#"(component
    (import "wasi:cli/exit@0.2.6" (instance $exit
        (export "exit" (func (param "status" (result))))
        (export "exit-with-code" (func (param "status-code" u8)))))
    (core func $exit (canon lower (func $exit "exit")))
    (core func $code (canon lower (func $exit "exit-with-code")))
    (core module $M
        (import "cli" "exit" (func $exit (param i32)))
        (import "cli" "code" (func $code (param i32)))
        (func (export "exit") (param i32) (call $exit (local.get 0)))
        (func (export "code") (param i32) (call $code (local.get 0))))
    (core instance $m (instantiate $M
        (with "cli" (instance (export "exit" (func $exit)) (export "code" (func $code))))))
    (func (export "exit") (param "status" (result)) (canon lift (core func $m "exit")))
    (func (export "code") (param "status-code" u8) (canon lift (core func $m "code"))))"#;

#[tokio::test]
async fn a_guest_that_exits_ends_its_call_with_its_code() {
    let app = start(EXIT, &wasi_links(Wasi::inert(), [])).await;
    for (status, code) in [(Ok(None), 0), (Err(None), 1)] {
        assert_eq!(fault(&app, "exit", &[Val::Result(status)]).await, Fault::Exited { code });
    }
    for code in [0, 42, 255] {
        assert_eq!(fault(&app, "code", &[Val::U8(code)]).await, Fault::Exited { code: code.into() });
    }
}

const ENVIRONMENT: &str = r#"(component
    (import "wasi:cli/environment@0.2.0" (instance $environment
        (export "get-environment" (func (result (list (tuple string string)))))
        (export "get-arguments" (func (result (list string))))
        (export "initial-cwd" (func (result (option string))))))
    (core module $Memory (memory (export "memory") 16)
        (global $at (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.get $at)
            (global.set $at (i32.and (i32.add (i32.add (global.get $at) (local.get 3)) (i32.const 7)) (i32.const -8)))))
    (core instance $memory (instantiate $Memory))
    (core func $variables (canon lower (func $environment "get-environment")
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (core func $arguments (canon lower (func $environment "get-arguments")
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (core func $cwd (canon lower (func $environment "initial-cwd")
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (core module $M
        (import "cli" "variables" (func $variables (param i32)))
        (import "cli" "arguments" (func $arguments (param i32)))
        (import "cli" "cwd" (func $cwd (param i32)))
        (func (export "variables") (result i32) (call $variables (i32.const 16)) (i32.const 16))
        (func (export "arguments") (result i32) (call $arguments (i32.const 16)) (i32.const 16))
        (func (export "cwd") (result i32) (call $cwd (i32.const 16)) (i32.const 16)))
    (core instance $m (instantiate $M (with "cli" (instance
        (export "variables" (func $variables)) (export "arguments" (func $arguments)) (export "cwd" (func $cwd))))))
    (func (export "variables") (result (list (tuple string string)))
        (canon lift (core func $m "variables") (memory (core memory $memory "memory"))))
    (func (export "arguments") (result (list string))
        (canon lift (core func $m "arguments") (memory (core memory $memory "memory"))))
    (func (export "cwd") (result (option string))
        (canon lift (core func $m "cwd") (memory (core memory $memory "memory")))))"#;

#[tokio::test]
async fn a_guest_sees_no_argument_no_variable_and_no_folder_of_this_process() {
    let app = start(ENVIRONMENT, &wasi_links(Wasi::inert(), [])).await;
    for function in ["variables", "arguments"] {
        assert_eq!(call(&app, function, &[]).await, [Val::List(vec![])]);
    }
    assert_eq!(call(&app, "cwd", &[]).await, [Val::Option(None)]);
}

#[tokio::test]
async fn a_guest_sees_the_arguments_and_variables_that_are_named() {
    let text = |text: &str| Val::String(text.into());
    let wasi = Wasi::inert().arguments(["app", "-v"]).environment([("LANG", "C"), ("TZ", "UTC")]);
    let app = start(ENVIRONMENT, &wasi_links(wasi, [])).await;
    assert_eq!(call(&app, "arguments", &[]).await, [Val::List(vec![text("app"), text("-v")])]);
    let variable = |name, value| Val::Tuple(vec![text(name), text(value)]);
    let variables = vec![variable("LANG", "C"), variable("TZ", "UTC")];
    assert_eq!(call(&app, "variables", &[]).await, [Val::List(variables)]);
}

/// Writes 5 bytes to stdout and reads from stdin: each function's result's discriminant, and the error's.
const STREAMS: &str = r#"(component
    (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
    (alias export $errors "error" (type $error))
    (import "wasi:io/streams@0.2.0" (instance $streams
        (export "input-stream" (type $in (sub resource)))
        (export "output-stream" (type $out (sub resource)))
        (alias outer 1 $error (type $outer))
        (export "error" (type $e (eq $outer)))
        (type $se (variant (case "last-operation-failed" (own $e)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $se)))
        (export "[method]input-stream.blocking-read" (func
            (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $stream-error)))))
        (export "[method]output-stream.blocking-write-and-flush" (func
            (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
    (alias export $streams "input-stream" (type $in))
    (alias export $streams "output-stream" (type $out))
    (import "wasi:cli/stdin@0.2.0" (instance $stdin
        (alias outer 1 $in (type $outer))
        (export "input-stream" (type $in (eq $outer)))
        (export "get-stdin" (func (result (own $in))))))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
        (alias outer 1 $out (type $outer))
        (export "output-stream" (type $out (eq $outer)))
        (export "get-stdout" (func (result (own $out))))))
    (core module $Memory (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
    (core instance $memory (instantiate $Memory))
    (core func $stdin (canon lower (func $stdin "get-stdin")))
    (core func $stdout (canon lower (func $stdout "get-stdout")))
    (core func $read (canon lower (func $streams "[method]input-stream.blocking-read")
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
        (memory (core memory $memory "memory"))))
    (core module $M
        (import "io" "memory" (memory 1))
        (import "io" "stdin" (func $stdin (result i32)))
        (import "io" "stdout" (func $stdout (result i32)))
        (import "io" "read" (func $read (param i32 i64 i32)))
        (import "io" "write" (func $write (param i32 i32 i32 i32)))
        (func (export "read") (result i32)
            (call $read (call $stdin) (i64.const 100) (i32.const 16))
            (i32.add (i32.mul (i32.load8_u (i32.const 16)) (i32.const 10)) (i32.load8_u (i32.const 20))))
        (func (export "write") (result i32)
            (call $write (call $stdout) (i32.const 0) (i32.const 5) (i32.const 16))
            (i32.load8_u (i32.const 16))))
    (core instance $m (instantiate $M (with "io" (instance
        (export "memory" (memory $memory "memory"))
        (export "stdin" (func $stdin)) (export "stdout" (func $stdout))
        (export "read" (func $read)) (export "write" (func $write))))))
    (func (export "read") (result u32) (canon lift (core func $m "read")))
    (func (export "write") (result u32) (canon lift (core func $m "write"))))"#;

#[tokio::test]
async fn ungranted_output_goes_nowhere_and_ungranted_input_is_closed() {
    let app = start(STREAMS, &wasi_links(Wasi::inert(), [])).await;
    assert_eq!(call(&app, "write", &[]).await, [Val::U32(0)], "ok");
    assert_eq!(call(&app, "read", &[]).await, [Val::U32(11)], "err, closed");
}

const GREEDY: &str = r#"(component
    (import "wasi:random/random@0.2.0" (instance $random
        (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
    (core module $Memory (memory (export "memory") 64)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
    (core instance $memory (instantiate $Memory))
    (core func $draw (canon lower (func $random "get-random-bytes")
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (core module $M
        (import "m" "memory" (memory 1))
        (import "m" "draw" (func $draw (param i64 i32)))
        (func (export "draw") (param i64) (result i32)
            (call $draw (local.get 0) (i32.const 16)) (i32.load (i32.const 20))))
    (core instance $m (instantiate $M (with "m" (instance
        (export "memory" (memory $memory "memory")) (export "draw" (func $draw))))))
    (func (export "draw") (param "len" u64) (result u32) (canon lift (core func $m "draw"))))"#;

#[tokio::test]
async fn random_bytes_are_drawn_up_to_the_limit() {
    let app = start(GREEDY, &wasi_links(Wasi::inert().random(), [])).await;
    assert_eq!(call(&app, "draw", &[Val::U64(RANDOM_BYTES_MAX)]).await, [Val::U32(1 << 20)]);
    for len in [RANDOM_BYTES_MAX + 1, u64::MAX] {
        assert!(matches!(fault(&app, "draw", &[Val::U64(len)]).await, Fault::Trapped { .. }), "{len}");
    }
}
