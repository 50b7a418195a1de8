//! `isorun demo`.

mod common;

use common::{Running, isorun};

#[test]
fn the_demo_answers_the_same_in_three_places() {
    let done = isorun(&["demo"]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    let lines: Vec<_> = done.out.lines().collect();
    assert!(lines[0].starts_with("place ") && lines[0].contains("run(40)") && lines[0].ends_with("get"), "{done:?}");
    for (line, place) in lines[1..4].iter().zip(["system", "local", "remote"]) {
        assert!(line.starts_with(place) && line.contains("  ok(820)  ") && line.ends_with('s'), "{line}");
    }
    assert!(lines[3].contains("tcp://127.0.0.1:"), "{done:?}");
    assert!(done.out.contains("median of 1000 calls"), "{done:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_demo_leaves_no_process_behind() {
    let running = Running::start_with(&["demo"], |command| {
        command.env("ISORUN_LOG", "info");
    });
    running.err_line("serving");
    running.signal("-INT");
    // Both write to one pipe, and its end is awaited within a limit: so both have ended. Its port tells nothing, since
    // another process may have it by now.
    let done = running.end();
    assert!(matches!(done.code, Some(0 | 130)), "{done:?}");
}
