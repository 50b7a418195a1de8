//! Hostile peers: raw sockets against a server that serves an honest client at the same time.
//!
//! `cargo run --release -p isorun-rpc --example hostile` does the same with more of it, and measures.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the measurement uses the times that it notes")]
mod honest;
mod house;
mod probes;
mod wire;

use std::time::Duration;

use honest::Honest;
use house::Server;
use probes::{HONEST, PROBES};

/// What one probe may make the server hold, in bytes.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// How often the probes do what they do many times: a tenth of what the measurement does.
const TIMES: usize = 100_000;

/// Lines of its log that one probe may cause: a few for each reason and second.
const LINES_MAX: usize = 2_000;

#[test]
fn serves() {
    house::serve_if_child();
}

#[allow(clippy::print_stdout, reason = "the figures of a run, for whoever looks")]
fn check(name: &str) {
    let probe = PROBES.iter().chain([&HONEST]).find(|probe| probe.name == name).expect("a probe of that name");
    let server = Server::start(&["--exact", "serves", "--nocapture"]);
    let honest = Honest::start(&server.address, Duration::from_millis(1));
    server.forget_peak();
    let before = server.resident_bytes();
    let held = (probe.attack)(&server.address, TIMES);
    honest.stop();
    let growth = server.peak_bytes().saturating_sub(before);
    drop(held);
    let log = server.stop();
    let said = log.join("\n");
    assert!(growth < GROWTH_BYTES_MAX, "{name}: the server grew by {} KiB", growth >> 10);
    assert!(!said.contains("panicked"), "{name}: {said}");
    assert!(said.contains(probe.logged), "{name}: nothing of `{}` in {said}", probe.logged);
    assert!(log.len() < LINES_MAX, "{name}: {} lines, the last {:?}", log.len(), log.last());
    println!("{name}: {}: {} KiB, {} lines", probe.promise, growth >> 10, log.len());
}

#[test]
fn calls_as_fast_as_they_can_be_made_harm_nobody() {
    check(HONEST.name);
}

macro_rules! probes {
    ($($test:ident: $name:literal,)+) => {
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )+

        #[test]
        fn every_probe_is_a_test() {
            assert_eq!([$($name),+], *PROBES.iter().map(|probe| probe.name).collect::<Vec<_>>());
        }
    };
}

probes! {
    a_length_that_no_frame_has_closes_its_connection: "lengths up to 2^64 - 1",
    a_length_inside_a_frame_is_not_believed: "lengths inside a frame",
    a_stream_that_ends_anywhere_harms_nobody: "truncated frames",
    a_frame_without_end_is_cut_off: "endless frames",
    an_unknown_tag_or_kind_closes_its_connection: "unknown tags and frame kinds",
    an_answer_to_what_was_never_asked_closes_its_connection: "replies to ids never issued",
    a_request_whose_number_was_used_closes_its_connection: "reused ids",
    empty_frames_close_their_connection: "10^6 empty frames",
    calls_that_are_cancelled_at_once_leave_nothing: "10^6 call + cancel pairs",
    a_thousand_slow_writers_cost_themselves_alone: "1,000 slow writers",
    half_an_argument_holds_what_arrived: "half an argument held open",
    chunks_that_break_their_word_hold_nothing: "chunks that break their word",
    answers_that_nobody_reads_are_bounded: "replies never read",
    sixteen_mib_are_taken_or_refused: "16 MiB of bytes",
    arguments_of_other_types_are_refused: "arguments of other types",
    a_second_hello_closes_its_connection: "hello floods",
    a_thousand_mute_connections_cost_themselves_alone: "1,000 connections without a word",
    binds_are_bounded: "bind floods",
    binds_of_what_is_not_there_are_refused: "binds of what is not there",
    pings_are_answered_one_at_a_time: "ping floods",
    a_second_going_away_closes_its_connection: "going-away floods",
}
