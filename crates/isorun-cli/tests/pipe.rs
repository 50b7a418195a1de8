//! `isorun pipe`: bytes in are bytes out, in every shape, in chains and in pieces; and what is said where they are not.

mod common;

use std::io::{Read, Write};
use std::process::Command;

use common::{Folder, Piped, Running, fed, isorun, prebuilt, within};

/// Run-length encoding, as `guests/wit/rle.wit` says.
fn rle(input: &[u8]) -> Vec<u8> {
    let runs = input.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255));
    runs.flat_map(|run| [run.len() as u8, run[0]]).collect()
}

/// Bytes with runs of all lengths, and without 0xff.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i / (1 + i % 7) % 251) as u8).collect()
}

#[test]
fn bytes_in_are_bytes_out_in_each_shape() {
    let folder = Folder::new();
    let wat = folder.wat("rle");
    let unrle = prebuilt("unrle");
    for node in [prebuilt("rle"), wat, prebuilt("rle-helpers"), prebuilt("rle-pointers")] {
        for input in [&b""[..], b"a", b"aaab\n\0\0", &bytes(1 << 20)] {
            fed(&["pipe", &node], input).check(0, &rle(input), &[]);
        }
        fed(&["pipe", &node, &unrle], bytes(1000)).check(0, &bytes(1000), &[]);
        let refused = fed(&["pipe", &node], [0xff, 1]);
        refused.check(1, b"", &[&format!("error: `{node}`: `process` says: cannot encode 0xff\n")]);
    }
}

#[test]
fn a_chain_may_have_a_node_twice() {
    let (rle_wasm, unrle) = (prebuilt("rle"), prebuilt("unrle"));
    let input = bytes(10_000);
    fed(&["pipe", &rle_wasm, &rle_wasm], input.clone()).check(0, &rle(&rle(&input)), &[]);
    fed(&["pipe", &rle_wasm, &rle_wasm, &unrle, &unrle], input.clone()).check(0, &input, &[]);
}

#[test]
fn chunks_are_calls_and_stay_in_order() {
    let (rle_wasm, unrle) = (prebuilt("rle"), prebuilt("unrle"));
    let input = bytes(300_000);
    let chunks: Vec<u8> = input.chunks(1000).flat_map(rle).collect();
    fed(&["pipe", &rle_wasm, "--chunk", "1000"], input.clone()).check(0, &chunks, &[]);
    fed(&["pipe", &rle_wasm, &unrle, "--chunk", "999"], input.clone()).check(0, &input, &[]);
    // Where nothing comes, nothing is called, and nothing goes wrong.
    let folder = Folder::new();
    fed(&["pipe", &folder.wat("nodes"), "--function", "trap", "--chunk", "1"], b"").check(0, b"", &[]);
    fed(&["pipe", &rle_wasm, "--chunk", "1MiB"], b"").check(0, b"", &[]);
}

#[test]
fn lines_come_without_their_newline_and_leave_with_it() {
    let rle_wasm = prebuilt("rle");
    let out = b"\x03a\n\n\x01b\x01\r\n\x02c".to_vec();
    fed(&["pipe", &rle_wasm, "--lines"], b"aaa\n\nb\r\ncc").check(0, &out, &[]);
    fed(&["pipe", &rle_wasm, "--lines"], b"\n").check(0, b"\n", &[]);
    let input = bytes(100_000);
    fed(&["pipe", &rle_wasm, &prebuilt("unrle"), "--lines"], input.clone()).check(0, &input, &[]);
}

#[test]
fn frames_have_their_length_before_them() {
    let rle_wasm = prebuilt("rle");
    let (input, out) = (b"\x03\0\0\0aaa\0\0\0\0\x01\0\0\0b", b"\x02\0\0\0\x03a\0\0\0\0\x02\0\0\0\x01b");
    fed(&["pipe", &rle_wasm, "--frames"], input).check(0, out, &[]);
    let cut = fed(&["pipe", &rle_wasm, "--frames"], &input[..12]);
    // What came before it has been written.
    cut.check(1, &out[..10], &["frame 3, from byte 11 of standard input, is cut off after 1 of the 4 bytes"]);
    fed(&["pipe", &rle_wasm, "--frames"], [0xff; 8]).check(1, b"", &["is said to have 4294967295 bytes"]);
}

/// Writes while it reads, line by line, as a person or a program at the other end does.
#[test]
fn what_a_line_becomes_is_there_before_the_next_line() {
    let mut piped = Piped::start(&["pipe", &prebuilt("rle"), &prebuilt("unrle"), "--lines"]);
    let (mut stdin, mut stdout) = (piped.stdin.take().unwrap(), piped.stdout.take().unwrap());
    within(move || {
        for line in ["one\n", "\n", "another\n"] {
            stdin.write_all(line.as_bytes()).unwrap();
            let mut answer = vec![0; line.len()];
            stdout.read_exact(&mut answer).unwrap();
            assert_eq!(answer, line.as_bytes());
        }
    });
    assert_eq!(piped.end(), (Some(0), String::new()));
}

/// 64 MiB in, 64 MiB out, and no more memory at the end than a few pieces take.
#[cfg(target_os = "linux")]
#[test]
fn a_long_stream_takes_the_memory_of_its_pieces() {
    const MIB: usize = 1 << 20;
    let mut piped = Piped::start(&["pipe", &prebuilt("rle"), &prebuilt("unrle"), "--chunk", "1MiB"]);
    let id = piped.id();
    // What comes out is what goes in, so one that writes and one that reads need not speak to each other.
    let (mut stdin, mut stdout) = (piped.stdin.take().unwrap(), piped.stdout.take().unwrap());
    let (go, wait) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let chunk = bytes(MIB);
        stdin.write_all(&chunk).unwrap();
        wait.recv().unwrap();
        (1..64).for_each(|_| stdin.write_all(&chunk).unwrap());
        // Standard input stays open until the process has been looked at.
        let _ = wait.recv();
    });
    let (early, late) = within(move || {
        let (chunk, mut got) = (bytes(MIB), vec![0; MIB]);
        let mut next = || {
            stdout.read_exact(&mut got).unwrap();
            assert!(got == chunk);
        };
        next();
        let early = memory_peak_bytes(id);
        go.send(()).unwrap();
        (1..64).for_each(|_| next());
        (early, memory_peak_bytes(id))
    });
    assert_eq!(piped.end(), (Some(0), String::new()));
    assert!(late < early + 32 * MIB, "{early} bytes after one piece, {late} after 64");
}

/// The most that the process has had in memory so far.
#[cfg(target_os = "linux")]
fn memory_peak_bytes(id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn whoever_reads_may_go() {
    for cut in [&["--lines"][..], &["--chunk", "64KiB"]] {
        let mut piped = Piped::start(&[&["pipe", &prebuilt("rle")], cut].concat());
        let (mut stdin, mut stdout) = (piped.stdin.take().unwrap(), piped.stdout.take().unwrap());
        within(move || {
            let lines = b"some words\n".repeat(10_000);
            stdin.write_all(&lines).unwrap();
            stdout.read_exact(&mut [0; 10]).unwrap();
            drop(stdout);
            // For ever, if need be.
            while stdin.write_all(&lines).is_ok() {}
        });
        assert_eq!(piped.end(), (Some(0), String::new()), "{cut:?}");
    }
}

#[test]
fn more_than_a_node_takes_is_to_be_cut() {
    const MOST: usize = (20 << 20) - 64;
    let folder = Folder::new();
    let nodes = folder.wat("nodes");
    let same = ["pipe", &nodes, "--function", "same"];
    fed(&same, vec![0; MOST]).check(0, &vec![0; MOST], &[]);
    fed(&same, vec![0; MOST + 1]).check(
        1,
        b"",
        &["more than a node takes at once, 20 MiB less 64 bytes", "`--chunk 1MiB`"],
    );
    fed(&[&same[..], &["--chunk", &MOST.to_string()]].concat(), vec![0; MOST + 1]).check(0, &vec![0; MOST + 1], &[]);
    let line = [vec![b'a'; MOST + 1], b"\n".to_vec()].concat();
    fed(&[&same[..], &["--lines"]].concat(), line).check(
        1,
        b"",
        &["line 1, from byte 0 of standard input, has more than a node takes at once, 20 MiB less 64 bytes"],
    );
    for size in ["0", "20971457", "20MiB", "21MiB"] {
        let words = ["--chunk", "a piece has 1 byte to 20 MiB less 64 bytes (20971456 bytes)", size];
        isorun(&["pipe", &prebuilt("rle"), "--chunk", size]).check(2, "", &words);
    }
    for size in ["1MB", "all"] {
        isorun(&["pipe", &prebuilt("rle"), "--chunk", size]).check(2, "", &["--chunk"]);
    }
    isorun(&["pipe", &prebuilt("rle"), "--chunk", "1", "--lines"]).check(2, "", &["cannot be used with"]);
}

/// What was closed from the start is no reader that has gone.
#[cfg(unix)]
#[test]
fn a_closed_output_is_a_failure_and_one_to_throw_away_is_not() {
    let run = |to: &str| {
        let line = format!("echo aab | \"$0\" pipe \"$1\" {to}");
        let mut shell = Command::new("sh");
        Running::of(shell.args(["-c", &line, env!("CARGO_BIN_EXE_isorun"), &prebuilt("rle")])).end()
    };
    run(">&-").check(1, "", &["error: standard output is closed", "`> FILE`", "`> /dev/null`"]);
    run("> /dev/null").check(0, "", &[]);
    #[cfg(target_os = "linux")]
    run("> /dev/full").check(1, "", &["cannot write to standard output"]);
}

#[cfg(unix)]
#[test]
fn a_node_is_a_file_and_nothing_that_is_read_once() {
    let stdin = fed(&["pipe", "/dev/stdin"], std::fs::read(prebuilt("rle")).unwrap());
    stdin.check(
        1,
        b"",
        &["cannot read `/dev/stdin`: this is a pipe", "a node is a regular file: write it to one first"],
    );
    fed(&["pipe", "/dev/null"], b"").check(1, b"", &["this is a device", "`COMMAND > node.wasm`"]);
    let folder = Folder::new();
    let err = fed(&["pipe", folder.path().to_str().unwrap()], b"").err;
    assert!(err.contains("this is a folder") && !err.contains("COMMAND"), "{err}");
}

#[test]
fn a_failure_says_which_node_it_was_and_which_piece() {
    let folder = Folder::new();
    let (nodes, rle_wasm) = (folder.wat("nodes"), prebuilt("rle"));
    let failed = fed(&["pipe", &rle_wasm, &prebuilt("unrle"), "--chunk", "2"], b"aabb\xffcdd");
    let node = format!("error: node 1 of 2, `{rle_wasm}`, chunk 3 (from byte 4 of standard input): `process` says: ");
    failed.check(1, b"aabb", &[&node, "cannot encode 0xff"]);
    let failed = fed(&["pipe", &rle_wasm, &prebuilt("unrle"), "--lines"], b"aa\n\xff\n");
    failed.check(1, b"aa\n", &["line 2 (from byte 3 of standard input)"]);

    let second = |function: &str, more: &[&str]| {
        let args = ["pipe", &nodes, &nodes, "--function", "same", "--function", function];
        fed(&[&args, more].concat(), b"in")
    };
    second("same", &[]).check(0, b"in", &[]);
    // The guest's own words can't pass for isorun's, nor reach the terminal.
    second("refuse", &[]).check(1, b"", &["node 2 of 2", "`refuse` says: no:\\n\\u{1b}[2Jnot this\n"]);
    second("trap", &[]).check(134, b"", &["node 2 of 2", "`trap` trapped", "unreachable"]);
    let late = ["node 2 of 2", "`spin` has used up its time, 100 ms\n", "--timeout TIME"];
    second("spin", &["--timeout", "100ms"]).check(124, b"", &late);
    let fuel = ["node 2 of 2", "`spin` has used up its fuel, 1000000 units\n", "--fuel N"];
    second("spin", &["--fuel", "1_000_000"]).check(1, b"", &fuel);
    let memory = ["node 2 of 2", "`grow` wants ", "iB of memory, and has 1 MiB\n", "--memory SIZE"];
    second("grow", &["--memory", "1MiB"]).check(1, b"", &memory);
    let json = second("refuse", &["-o", "json"]);
    json.check(1, b"", &["{\"error\":{\"kind\":\"guest\",\"text\":\"node 2 of 2, "]);
    assert_eq!(json.err.lines().count(), 1);
}

#[test]
fn a_node_remembers_unless_it_is_fresh() {
    let folder = Folder::new();
    let nodes = folder.wat("nodes");
    let count = ["pipe", &nodes, "--function", "count", "--chunk", "1"];
    fed(&count, b"abc").check(0, &[1, 2, 3], &[]);
    fed(&[&count[..], &["--fresh"]].concat(), b"abc").check(0, &[1, 1, 1], &[]);
}

#[test]
fn the_function_is_process_unless_another_is_named() {
    let folder = Folder::new();
    let nodes = folder.wat("nodes");
    let named = |names: &[&str]| {
        let names = names.iter().flat_map(|name| ["--function", *name]);
        fed(&["pipe", &nodes, &nodes, &nodes].into_iter().chain(names).collect::<Vec<_>>(), b"in")
    };
    named(&[]).check(2, b"", &["is no processing node", "`process` is missing", "refuse: func(input: list<u8>)"]);
    named(&["same"]).check(0, b"in", &[]);
    named(&["same", "test:nodes/more#same", "count"]).check(0, &[1], &[]);
    named(&["same", "same"]).check(2, b"", &["2 are named for 3 nodes"]);
    named(&["smae"]).check(2, b"", &["exports no `smae`", "same", "--function NAME"]);
    fed(&["pipe", &prebuilt("kv-app"), "--function", "run"], b"").check(2, b"", &["run: func(n: u32)"]);
}

#[test]
fn what_is_chosen_is_explained() {
    let explain = |node: &str| fed(&["pipe", &prebuilt(node), "--explain"], b"a");
    explain("rle").check(0, b"\x01a", &["rle.wasm: typed (process): `process` takes and gives bytes\n"]);
    explain("rle-helpers").check(0, b"\x01a", &["helpers (process, write-input, read-output)"]);
    explain("rle-pointers").check(0, b"\x01a", &["pointers (process, allocate, deallocate)"]);
    let json = fed(&["pipe", &prebuilt("rle"), "--explain", "-o", "json"], b"a");
    json.check(0, b"\x01a", &["\"functions\":[\"process\"]", "\"shape\":\"typed\"", "\"number\":1"]);
}

#[test]
fn what_is_no_component_is_refused_before_anything_is_read() {
    let folder = Folder::new();
    let refused = |file: &str, code: i32, words: &[&str]| {
        // Standard input stays open: nobody reads it.
        let mut piped = Piped::start(&["pipe", &prebuilt("rle"), file]);
        let stdin = piped.stdin.take();
        let (ended, err) = piped.end();
        drop(stdin);
        assert_eq!(ended, Some(code), "{err}");
        for words in words {
            assert!(err.contains(words), "`{words}` is missing in:\n{err}");
        }
    };
    refused("no/such.wasm", 1, &["cannot read `no/such.wasm`"]);
    refused(&folder.file("picture.wasm", b"\x89PNG\r\n\x1a\n"), 1, &["picture.wasm is no WebAssembly"]);
    refused(&folder.file("text.wasm", "(component)"), 1, &["wasm-tools parse"]);
    refused(&folder.file("cut.wasm", b"\0asm\x0d\0\x01\0\x01"), 1, &["cut.wasm"]);
    refused(
        &folder.file("core.wasm", b"\0asm\x01\0\0\0"),
        1,
        &["is a core module", "wasm-tools component new", "--componentize"],
    );
    isorun(&["pipe"]).check(2, "", &["NODE.wasm"]);
}

/// The command in the README of `examples/pipeline`, word for word.
#[cfg(unix)]
#[test]
fn the_example_runs_by_the_command_too() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pipeline");
    let readme = std::fs::read_to_string(format!("{folder}/README.md")).unwrap();
    let line = readme.lines().find(|line| line.contains("| isorun pipe ")).unwrap();
    let line = line.replace("| isorun ", concat!("| ", env!("CARGO_BIN_EXE_isorun"), " "));
    let done = Running::of(Command::new("sh").args(["-c", &line]).current_dir(folder)).end();
    done.check(0, "HMMMMMMM, THE SEAAAAAA!\n", &[]);
    assert!(readme.contains(done.out.trim_end()));
}

#[test]
fn a_core_module_is_a_node_once_it_is_wrapped() {
    let folder = Folder::new();
    let (core, rle_wasm) = (folder.wat("core"), prebuilt("rle"));
    fed(&["pipe", &core], b"aab").check(1, b"", &["is a core module, not a component", "`--componentize`"]);
    fed(&["pipe", &core, "--componentize"], b"aab").check(0, b"aab", &[]);
    // What is a component already stays as it is.
    fed(&["pipe", &rle_wasm, &core, "--componentize"], b"aab").check(0, &rle(b"aab"), &[]);
    let other = folder.file("other.wasm", wat::parse_str("(module (func (export \"run\")))").unwrap());
    fed(&["pipe", &other, "--componentize"], b"").check(1, b"", &["can't be made a component", "it exports run"]);
    let logs = r#"(module (import "env" "log" (func)) (memory (export "memory") 1) (func (export "process")))"#;
    let logs = folder.file("logs.wasm", wat::parse_str(logs).unwrap());
    let words =
        ["logs.wasm can't be made a component: it imports `log` of `env` (a function), and what is wrapped can"];
    fed(&["pipe", &logs, "--componentize"], b"").check(1, b"", &words);
}

#[test]
fn what_a_node_imports_is_granted() {
    let folder = Folder::new();
    let random = wat::parse_str(RANDOM).unwrap();
    let random = folder.file("random.wasm", random);
    fed(&["pipe", &random], b"").check(3, b"", &["wasi:random/random@0.2.12", "grant it with `--wasi random`"]);
    fed(&["pipe", &random, "--wasi", "random"], b"same").check(0, b"same", &[]);
    let clock = RANDOM.replace("random/random", "clocks/monotonic-clock").replace("get-random-u64", "now");
    let clock = folder.file("clock.wasm", wat::parse_str(clock).unwrap());
    fed(&["pipe", &clock, "--wasi", "random"], b"").check(3, b"", &["grant it with `--wasi clocks`"]);
    fed(&["pipe", &clock, &clock, "--wasi", "clocks", "--lines"], b"a\nb").check(0, b"a\nb", &[]);
    // What a guest prints must not get among the bytes.
    fed(&["pipe", &random, "--wasi", "random,stdio"], b"").check(2, b"", &["--wasi stdio"]);
}

/// Draws a number, and gives its input back.
const RANDOM: &str = r#"(component
    (import "wasi:random/random@0.2.12" (instance $random (export "get-random-u64" (func (result u64)))))
    (core func $draw (canon lower (func $random "get-random-u64")))
    (core module $M
        (import "random" "draw" (func $draw (result i64)))
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))
        (func (export "process") (param i32 i32) (result i32)
            (drop (call $draw))
            (i32.store (i32.const 16) (local.get 0))
            (i32.store (i32.const 20) (local.get 1))
            (i32.const 16)))
    (core instance $m (instantiate $M (with "random" (instance (export "draw" (func $draw))))))
    (func (export "process") (param "input" (list u8)) (result (list u8))
        (canon lift (core func $m "process") (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))"#;
