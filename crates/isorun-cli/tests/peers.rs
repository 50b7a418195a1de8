//! `call` and `inspect` of what is served, and of files.

mod common;

use common::{Done, Folder, Running, isorun, prebuilt};

/// A served guest, and its place.
fn served(file: &str, args: &[&str]) -> (Running, String) {
    let server = Running::start(&[&["serve", file, "--as", "it", "--listen", "tcp://127.0.0.1:0"], args].concat());
    let place = format!("{}/it", server.address());
    (server, place)
}

fn call(place: &str, call: &str, args: &[&str]) -> Done {
    isorun(&[&["call", place, call], args].concat())
}

#[test]
fn what_is_served_is_called_without_its_component() {
    let (_server, place) = served(&prebuilt("kv-provider"), &[]);
    let put = "demo:kv/store#put({key: \"k\", value: [1, 2], tags: [\"t\"], version: 0})";
    call(&place, put, &[]).check(0, "ok(1)\n", &[]);
    call(&place, "demo:kv/store@0.1.0#get(\"k\")", &[]).check(
        0,
        "ok(some({key: \"k\", value: [1, 2], tags: [\"t\"], version: 1}))\n",
        &[],
    );
    call(&place, "demo:kv/store#get(\"k\")", &["-o", "json"]).check(
        0,
        concat!(
            r#"{"ok":{"value":{"ok":{"key":"k","tags":["t"],"value":[1,2],"version":1}},"#,
            r#""wave":"ok(some({key: \"k\", value: [1, 2], tags: [\"t\"], version: 1}))"}}"#,
            "\n"
        ),
        &[],
    );
}

#[test]
fn a_call_that_the_peer_does_not_offer_is_2() {
    let (_server, place) = served(&prebuilt("kv-provider"), &[]);
    let signature = "demo:kv/store@0.1.0#get(key: string)";
    call(&place, "demo:kv/store#gat(\"k\")", &[]).check(2, "", &["did you mean `demo:kv/store#get`?", signature]);
    let meant = "no exported function `get` (did you mean `demo:kv/store#get`?)";
    call(&place, "get(\"k\")", &[]).check(2, "", &[meant, signature]);
    call(&place, "frobnicate()", &[]).check(2, "", &["no exported function `frobnicate`; there are:"]);
    call(&place, "demo:kv/store#get()", &[]).check(2, "", &["expected 1 argument, found 0"]);
    call(&place, "demo:kv/store#get(1)", &[]).check(2, "", &["expected string", signature]);
    call(&place, "(1)", &[]).check(2, "", &["is no call"]);
    call("kv.wasm", "get(1)", &[]).check(2, "", &["`isorun run kv.wasm --invoke CALL`"]);
    call("127.0.0.1:7000/kv", "get(1)", &[]).check(2, "", &["tcp://HOST:PORT/NAME"]);
    call("tcp://127.0.0.1:7000", "get(1)", &[]).check(2, "", &["names no instance"]);
}

#[test]
fn an_err_result_is_1_a_trap_134_and_a_peer_or_instance_that_is_not_there_1() {
    let folder = Folder::new();
    let (_server, place) = served(&folder.wat("trap"), &[]);
    call(&place, "fine()", &[]).check(0, "7\n", &[]);
    call(&place, "run()", &[]).check(134, "", &["instance `it`", "unreachable"]);
    call(&place, "run()", &["-o", "json"]).check(134, "", &[r#"{"error":{"kind":"trap","text":""#]);
    let other = place.replace("/it", "/other");
    call(&other, "fine()", &[]).check(1, "", &["what it offers", "no such instance: `other`"]);
    call(&other, "fine()", &["-o", "json"]).check(1, "", &[r#""kind":"refused""#]);
    let host = place.strip_suffix("it").unwrap();
    let (bare, slash) = (isorun(&["inspect", host.trim_end_matches('/')]), isorun(&["inspect", host]));
    assert_eq!((bare.code, &bare.out), (Some(0), &slash.out), "{slash:?}");
    let nobody = call("tcp://127.0.0.1:1/it", "fine()", &[]);
    nobody.check(1, "", &["cannot ask tcp://127.0.0.1:1/it what it offers: not sent", "isorun serve"]);
}

#[test]
fn time_that_runs_out_there_is_124() {
    let (_server, place) = served(&Folder::new().wat("spin"), &[]);
    call(&place, "run()", &["--timeout", "300ms"]).check(124, "", &["--timeout"]);
}

#[test]
fn a_peer_that_says_nothing_is_124() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("tcp://{}/it", silent.local_addr().unwrap());
    call(&place, "run()", &["--timeout", "200ms"]).check(124, "", &["does not say within 200 ms"]);
    isorun(&["inspect", &place, "--timeout", "200ms"]).check(124, "", &["does not say within 200 ms"]);
}

#[test]
fn a_peer_that_answers_something_else_is_not_said_to_be_away() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("tcp://{}/it", listener.local_addr().unwrap());
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let done = call(&place, "run()", &[]);
    answers.join().unwrap();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.err.contains("cannot ask") && !done.err.contains("is anything served there?"), "{done:?}");
}

#[test]
fn a_pool_serves_with_its_number_of_stores() {
    let folder = Folder::new();
    let (_server, place) = served(&folder.wat("counter"), &["--policy", "pool=1"]);
    for expected in ["5\n", "10\n"] {
        call(&place, "test:counter/counter#add(5)", &[]).check(0, expected, &[]);
    }
    for policy in ["pool=0", "pool=1025", "pool", "pool=x", "both"] {
        let args = ["serve", &folder.wat("counter"), "--listen", "tcp://127.0.0.1:0", "--policy", policy];
        isorun(&args).check(2, "", &["pool="]);
    }
}

#[test]
fn all_pages_of_a_hosts_list_are_shown() {
    let folder = Folder::new();
    let counter = std::fs::read(folder.wat("counter")).unwrap();
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let count = isorun::REFLECT_PAGE_MAX + 1;
    let place = tokio.block_on(async {
        let runtime = isorun::Runtime::new().unwrap();
        let counter = runtime.builder(&runtime.load(counter).unwrap()).instantiate().await.unwrap();
        for n in 0..count {
            runtime.register_instance(&format!("i{n:03}"), &counter).unwrap();
        }
        let listener = isorun::TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
        let place = listener.local_address().to_string();
        tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
        place
    });
    let done = isorun(&["inspect", &place]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let names: Vec<_> = done.out.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let expected: Vec<_> = (0..count).map(|n| format!("i{n:03}")).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_file_and_what_is_served_of_it_have_the_same_exports() {
    let provider = prebuilt("kv-provider");
    let (_server, place) = served(&provider, &[]);
    let (file, peer) = (isorun(&["inspect", &provider]), isorun(&["inspect", &place]));
    assert_eq!((file.code, peer.code), (Some(0), Some(0)), "{file:?} {peer:?}");
    let interface = |done: &Done| done.out[done.out.find("interface store").unwrap()..].to_owned();
    assert!(peer.out.contains("export demo:kv/store@0.1.0;") && !peer.out.contains("import"), "{peer:?}");
    assert!(interface(&file).contains(interface(&peer).trim_end_matches(['}', '\n'])), "{file:?} {peer:?}");
    isorun(&["inspect", &place, "-o", "json"]).check_starts(0, r#"{"ok":{"exports":[{"functions":[{"async":false,"#);
    isorun(&["inspect", "no/such.wasm"]).check(1, "", &["no such file"]);
    isorun(&["inspect", "http://127.0.0.1/it"]).check(2, "", &["tcp://HOST:PORT/NAME"]);
}
