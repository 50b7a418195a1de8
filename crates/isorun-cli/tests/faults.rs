//! A peer that is killed, a system that runs short, peers that mean harm: the real binary with real guests.
//!
//! `cargo xtask faults` has those that need privileges: networks that are cut, lose and delay, and a full disk.
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Folder, Running, isorun};

/// Computes for as long as the server lets it.
const SLOW: &str = "test:counter/counter#slow-add(1, 100000000000)";

const SERVE: [&str; 3] = ["serve", "--listen", "tcp://127.0.0.1:0"];

fn serve(folder: &Folder) -> Running {
    Running::start(&[&SERVE[..], &[&folder.wat("counter")]].concat())
}

/// `HOST:PORT` of an address.
fn place(address: &str) -> &str {
    address.strip_prefix("tcp://").unwrap()
}

fn raw(address: &str) -> TcpStream {
    let stream = TcpStream::connect(place(address)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Adds one, and checks the total.
#[track_caller]
fn add(address: &str, total: u64) {
    let place = format!("{address}/counter");
    isorun(&["call", &place, "test:counter/counter#add(1)", "--timeout", "1m"]).check(0, &format!("{total}\n"), &[]);
}

#[test]
fn a_peer_that_is_killed_under_load_leaves_its_callers_with_an_outcome_each() {
    let folder = Folder::new();
    let server = serve(&folder);
    let address = server.address();
    add(&address, 1);
    let place = format!("{address}/counter");
    // Four that compute for longer than the test is patient, and one after the other behind them.
    let calls: Vec<_> = (0..4).map(|_| Running::start(&["call", &place, SLOW, "--timeout", "1m"])).collect();
    // One that was answered came after them, or is refused as busy; either way the server is at it.
    isorun(&["call", &place, SLOW, "--timeout", "300ms"]);
    let killed = Instant::now();
    server.signal("-KILL");
    for call in calls {
        let done = call.end();
        assert!(matches!(done.code, Some(1 | 134)), "{done:?}");
        let told = ["may have run", "not sent", "refused", "failed there"];
        assert!(told.iter().any(|words| done.err.contains(words)), "{done:?}");
    }
    assert!(killed.elapsed() < Duration::from_secs(50), "they waited for their own deadline");

    // At the same address, with nothing of its state.
    let again = Running::start(&["serve", &folder.wat("counter"), "--listen", &address]);
    assert_eq!(again.address(), address);
    add(&address, 1);
}

#[test]
fn a_server_that_ran_out_of_files_serves_on_once_it_has_some_again() {
    let folder = Folder::new();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 40 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_isorun")]);
    limited.args(SERVE).arg(folder.wat("counter"));
    let server = Running::of(&mut limited);
    let address = server.address();
    add(&address, 1);
    let hoard: Vec<_> = (0..100).map(|_| raw(&address)).collect();
    server.err_line("not accepted");
    drop(hoard);
    add(&address, 2);
}

#[test]
fn hostile_peers_neither_stop_a_server_nor_its_honest_caller() {
    let folder = Folder::new();
    let server = serve(&folder);
    let address = server.address();
    add(&address, 1);

    // Lengths that no frame has, and text of another protocol.
    for bytes in [&[255; 8][..], &[0; 4], b"GET / HTTP/1.1\r\n\r\n", &[1, 0, 0, 0, 99]] {
        let mut raw = raw(&address);
        raw.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        let _ = raw.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
    add(&address, 2);

    // 16 MiB that are no frames, in frames of the largest size.
    let mut junk = raw(&address);
    for _ in 0..4 {
        let frame = [&(4_u32 << 20).to_le_bytes()[..], &vec![7; 4 << 20]].concat();
        if junk.write_all(&frame).is_err() {
            break;
        }
    }
    add(&address, 3);

    // Some hundred that say nothing, or stall within a frame.
    let stalled: Vec<_> = (0..300)
        .map(|i| {
            let mut raw = raw(&address);
            raw.write_all(&[0, 0, 16, 0, 1, 2, 3][..i % 8 % 7]).unwrap();
            raw
        })
        .collect();
    add(&address, 4);
    drop(stalled);

    server.signal("-TERM");
    let done = server.end();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!done.err.contains("panicked"), "{done:?}");
    for reason in ["frame size", "malformed frame"] {
        assert!(done.err.contains(reason), "`{reason}` is missing in:\n{}", done.err);
    }
}
