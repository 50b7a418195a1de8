//! What people read, word for word: helps, errors, types, the demo's table.

mod common;

use std::process::Command;

use common::{Done, Folder, Running, isorun, prebuilt};

/// The guests under the names that people would give them.
fn folder() -> Folder {
    let folder = Folder::new();
    let guests =
        [("app", "kv-app"), ("kv", "kv-provider"), ("files", "fs-app"), ("rle", "rle"), ("pointers", "rle-pointers")];
    for (name, guest) in guests {
        folder.file(&format!("{name}.wasm"), std::fs::read(prebuilt(guest)).unwrap());
    }
    for guest in ["trap", "spin", "hog", "counter", "counter-app", "wasi-clocks", "panics"] {
        folder.wat(guest);
    }
    folder.file("text.wasm", "(component)");
    folder.file("core.wasm", b"\0asm\x01\0\0\0");
    folder.file("picture.wasm", b"\x89PNG\r\n\x1a\n");
    folder.file("empty.wasm", b"");
    folder.file("in.bin", b"aaa\n\xff\n");
    folder.file("other.wasm", wat::parse_str(OTHER).unwrap());
    folder
}

/// Wants the counter with other types.
const OTHER: &str = r#"(component
    (import "test:counter/counter@0.1.0" (instance
        (export "add" (func (param "n" u64) (result u64)))
        (export "gone" (func)))))"#;

fn run(folder: &Folder, line: &str) -> Done {
    let mut command = Command::new("sh");
    let script = format!("exec {} {line}", env!("CARGO_BIN_EXE_isorun"));
    Running::of(command.args(["-c", &script]).current_dir(folder.path())).end()
}

/// A command line, its exit code and all that is read of it.
fn told(folder: &Folder, line: &str) -> String {
    let done = run(folder, line);
    format!("$ isorun {line}\n{}{}[{}]\n\n", done.out, done.err, done.code.unwrap())
}

#[test]
fn helps() {
    insta::assert_snapshot!("help", isorun(&["--help"]).out);
    insta::assert_snapshot!("help-short", isorun(&["-h"]).out);
    for command in [
        "run",
        "serve",
        "call",
        "pipe",
        "inspect",
        "check",
        "compile",
        "up",
        "ps",
        "logs",
        "send",
        "ask",
        "demo",
        "completion",
    ] {
        insta::assert_snapshot!(format!("help-{command}"), isorun(&[command, "--help"]).out);
    }
}

#[cfg(unix)]
#[test]
fn errors() {
    let folder = folder();
    let lines = [
        // What is wrong with a command line.
        "frobnicate",
        "run app.wasm --link demo:kv/store",
        "run app.wasm --link demo:kv/store=kv.wasm",
        "run app.wasm --link demo:kv/store=system:log",
        "run app.wasm --timeout 5",
        "run app.wasm --on-failure demo:kv/store=panic",
        "serve kv.wasm --listen tcp://127.0.0.1:0 --policy pool=0",
        "serve kv.wasm --listen tcp://0.0.0.0:7000",
        "call kv 'get(\"k\")'",
        "run app.wasm",
        "run app.wasm --invoke 'rum(40)'",
        "run app.wasm --invoke 'run(-1)'",
        "run app.wasm --invoke 'run()'",
        "run kv.wasm --invoke 'get(\"k\")'",
        "call kv.wasm 'get(\"k\")'",
        "run files.wasm --dir .::/data --dir ..::/data/ --invoke 'run(\"list\", \"/data\", \"\")'",
        // What is no component.
        "run no-such.wasm",
        "run text.wasm",
        "run core.wasm",
        "run picture.wasm",
        "run empty.wasm",
        // What is not linked, or does not hold.
        "run app.wasm --invoke 'run(40)'",
        "run app.wasm --link demo:kv/stroe=system:kv --invoke 'run(40)'",
        "run app.wasm --link '*=local:counter.wasm' --invoke 'run(40)'",
        "run app.wasm --link '*=local:app.wasm' --invoke 'run(40)'",
        "run app.wasm --link '*=local:kv.wasm' --on-failure '*=text' --invoke 'run(40)'",
        "run wasi-clocks.wasm --invoke 'run()'",
        "run app.wasm --link '*=local:wasi-clocks.wasm' --invoke 'run(40)'",
        "run app.wasm --link '*=local:no-such.wasm' --invoke 'run(40)'",
        "check other.wasm --link '*=local:counter.wasm'",
        "check other.wasm --link demo:kv/store=system:kv",
        // What goes wrong in a call.
        "run trap.wasm --invoke 'run()'",
        "run spin.wasm --timeout 50ms --invoke 'run()'",
        "run spin.wasm --fuel 1_000_000 --invoke 'run()'",
        "run hog.wasm --invoke 'run()'",
        "run panics.wasm --invoke 'run()'",
        "run trap.wasm -o json --invoke 'run()'",
        "-o json run app.wasm --invoke 'rum(40)'",
        // What is no node, or does not process its input.
        "pipe app.wasm",
        "pipe core.wasm",
        "pipe no-such.wasm",
        "pipe rle.wasm --function encode",
        "pipe rle.wasm --chunk 1TB",
        "pipe rle.wasm --lines --frames",
        "pipe rle.wasm pointers.wasm --lines --explain < in.bin",
        "pipe rle.wasm --fuel 1 < in.bin",
    ];
    let text: String = lines.iter().map(|line| told(&folder, line)).collect();
    insta::assert_snapshot!(text);
}

#[cfg(unix)]
#[test]
fn results() {
    let folder = folder();
    let lines = [
        "inspect app.wasm",
        "inspect kv.wasm -o json",
        "inspect counter.wasm",
        "inspect app.wasm --plan",
        "inspect counter.wasm --plan -o json",
        "check app.wasm --link demo:kv=local:kv.wasm",
        "check counter-app.wasm --link test:counter/counter=local:counter.wasm -o json",
        "run app.wasm --link '*=local:kv.wasm' --invoke 'run(40)'",
        "run app.wasm --link '*=local:kv.wasm' -o json --invoke 'run(40)'",
    ];
    let text: String = lines.iter().map(|line| told(&folder, line)).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn the_demos_table() {
    let done = isorun(&["demo"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    insta::assert_snapshot!(redacted(&done.out));
}

/// The demo without what is never the same: times, the port, and how wide that makes the columns.
fn redacted(table: &str) -> String {
    let build = "This build is not optimised";
    let mut text = String::new();
    for line in table.lines().filter(|line| !line.starts_with(build)) {
        let words: Vec<_> = line.split_whitespace().collect();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let is_time = word.parse::<f64>().is_ok()
                && words.get(at + 1).is_some_and(|unit| unit.starts_with("us") || unit.starts_with("ms"));
            text += match word.strip_prefix("tcp://127.0.0.1:") {
                _ if is_time => "TIME",
                Some(_) => "tcp://127.0.0.1:PORT",
                None => word,
            };
            at += if is_time { 2 } else { 1 };
            text += if at < words.len() { " " } else { "" };
        }
        text += "\n";
    }
    text
}
