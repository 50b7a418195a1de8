//! The command `side-by-side`, with rounds so short that its figures say nothing: what it writes, and how it fails.
// Elsewhere there is no `/proc` to read memory from, nor a socket file.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// All that need no build of their own.
const SYSTEMS: &[&str] =
    &["floor-tcp", "isorun-tcp", "isorun-unix", "isorun-local", "isorun-fused", "tonic", "tarpc", "host-func"];
const FIELDS: &[&str] = &[
    "sequential_us",
    "sequential_us_least",
    "sequential_us_greatest",
    "cpu_us",
    "calls_per_s_64",
    "calls_per_s_64_least",
    "calls_per_s_64_greatest",
    "cpu_us_64",
    "peak_mib",
    "caller_peak_mib",
];

fn side_by_side(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_side-by-side")).args(words).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Measures as shortly as can be, and gives the rows and what was printed.
fn measured(folder: &Path, words: &[&str]) -> (Vec<Value>, String) {
    let file = folder.join("rows.json");
    let short = ["--rounds", "1", "--seconds", "0.001", "--json", file.to_str().unwrap()];
    let output = side_by_side(&[words, &short].concat());
    // A wrong answer ends its caller, and the run fails.
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    (rows, text(&output.stdout))
}

/// Every system answers that case rightly, and its row has every field.
fn check(case: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (rows, table) = measured(folder.path(), &["--only", &SYSTEMS.join(","), "--cases", case]);
    let systems: Vec<_> = rows.iter().map(|row| row["system"].as_str().unwrap()).collect();
    assert_eq!(systems, SYSTEMS);
    for row in &rows {
        for field in FIELDS {
            assert!(row[field].as_f64().is_some_and(|number| number > 0.0), "{field} in {row}");
        }
        let one_process = ["isorun-local", "isorun-fused", "host-func"].contains(&row["system"].as_str().unwrap());
        assert_eq!(row["callee_peak_mib"].is_null(), one_process, "{row}");
        assert_eq!((&row["case"], &row["rounds"]), (&case.into(), &1.into()));
    }
    for name in SYSTEMS.iter().chain([&case]) {
        assert!(table.lines().any(|line| line.starts_with(name)), "{name} is missing in\n{table}");
    }
}

mod every_system {
    #[test]
    fn adds() {
        super::check("add");
    }

    #[test]
    fn echoes_text() {
        super::check("echo-string");
    }

    #[test]
    fn echoes_bytes() {
        super::check("echo-bytes");
    }

    #[test]
    fn sums_records() {
        super::check("sum");
    }

    #[test]
    fn gets_a_value() {
        super::check("get");
    }
}

#[test]
fn systems_and_cases_are_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, table) =
        measured(folder.path(), &["--only", "floor-tcp,isorun", "--without", "isorun-unix", "--cases", "add"]);
    let systems: Vec<_> = rows.iter().map(|row| row["system"].as_str().unwrap()).collect();
    assert_eq!(systems, ["floor-tcp", "isorun-tcp", "isorun-local", "isorun-fused"]);
    assert!(!table.contains("echo-string"), "{table}");
}

#[test]
fn what_cannot_be_measured_is_said_before_anything_runs() {
    for (words, said) in [
        (["--only", "grpc"], "there is floor-tcp, isorun-tcp"),
        (["--cases", "sub"], "there is add, echo-string"),
        (["--rounds", "0"], "1..=1000"),
        (["--seconds", "-1"], "above 0 and up to 60"),
        (["--json", "/nowhere/rows.json"], "`/nowhere/rows.json` can't be written"),
    ] {
        let output = side_by_side(&words);
        assert!(!output.status.success());
        assert!(output.stdout.is_empty());
        assert!(text(&output.stderr).contains(said), "{words:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_process_that_serves_ends_when_its_stdin_does() {
    // Both find their stdin at its end once they have started; that they end is what is tested.
    for system in ["floor-tcp", "isorun-unix", "tonic"] {
        let output = side_by_side(&["callee", system]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let line = text(&output.stdout);
        let address = line.trim_end().strip_prefix("listening ").unwrap_or_else(|| panic!("{system} says `{line}`"));
        assert!(!Path::new(address).exists(), "the socket is left over");
    }
    let output = side_by_side(&["caller", "host-func", "add"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_process_that_calls_ends_when_its_stdin_does_in_the_middle_of_a_batch() {
    let mut caller = Command::new(env!("CARGO_BIN_EXE_side-by-side"))
        .args(["caller", "host-func", "add"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It is ready before its input ends, or it would end without a word.
    let mut said = BufReader::new(caller.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    // Minutes of calls, which nobody waits for.
    caller.stdin.take().unwrap().write_all(b"one 4000000000\n").unwrap();
    assert!(caller.wait().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn a_caller_that_finds_nobody_says_so() {
    let output = side_by_side(&["caller", "tarpc", "add", "127.0.0.1:1"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).starts_with("side-by-side: "), "{}", text(&output.stderr));
}
