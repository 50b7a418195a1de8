//! What hostile peers cost a server, and the honest client that it serves beside them: a row for each probe.
//!
//! `cargo run --release -p isorun-rpc --example hostile [WORDS]` runs those whose names contain the words. The p99 of the
//! honest client, who makes a call every millisecond or so, is that of three seconds before the probe, and of the probe,
//! which is repeated for as long. Peer, client and server share the machine's cores.
#![allow(clippy::print_stdout, reason = "it has a table to show")]

#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/hostile/honest.rs"]
mod honest;
#[cfg(target_os = "linux")]
#[path = "../tests/hostile/house.rs"]
mod house;
#[cfg(target_os = "linux")]
#[path = "../tests/hostile/probes.rs"]
mod probes;
#[cfg(target_os = "linux")]
#[path = "../tests/hostile/wire.rs"]
mod wire;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: it reads a server's memory from /proc, which only Linux has");
}

#[cfg(target_os = "linux")]
fn main() {
    house::serve_if_child();
    let words = std::env::args().nth(1).unwrap_or_default();
    println!("| probe | promise | memory | p99 before | p99 during | refusals logged |");
    println!("|---|---|---|---|---|---|");
    for probe in probes::PROBES.iter().filter(|probe| probe.name.contains(&words)) {
        measure::row(probe);
    }
}

#[cfg(target_os = "linux")]
mod measure {
    use std::time::{Duration, Instant};

    use super::honest::{Call, Honest};
    use super::house::Server;
    use super::probes::Probe;

    /// How long the honest client is watched, before the probe and during it.
    const WATCHED: Duration = Duration::from_secs(3);

    /// Calls of the honest client that the first and the second figure stand on at the least.
    const CALLS_MIN: u64 = 1_000;

    const TIMES: usize = 1_000_000;

    pub fn row(probe: &Probe) {
        let server = Server::start(&[]);
        let honest = Honest::start(&server.address, Duration::from_micros(500));
        let quiet = Instant::now();
        while quiet.elapsed() < WATCHED {
            honest.goes_on(CALLS_MIN);
        }
        server.forget_peak();
        let before = server.resident_bytes();
        let begun = Instant::now();
        let mut held = Vec::new();
        while begun.elapsed() < WATCHED {
            // What the last round left open goes first: a thousand connections are the probe, and not three.
            held.clear();
            held = (probe.attack)(&server.address, TIMES);
            if !held.is_empty() {
                honest.goes_on(CALLS_MIN);
            }
        }
        let ended = Instant::now();
        let calls = honest.stop();
        let growth = server.peak_bytes().saturating_sub(before);
        drop(held);
        let log = server.stop();
        let panics = if log.iter().any(|line| line.contains("panicked")) { ", PANICKED" } else { "" };
        let lines = log.iter().filter(|line| line.contains("refused")).count();
        println!(
            "| {} | {} | {:.1} MiB{panics} | {} us | {} us | {lines} lines |",
            probe.name,
            probe.promise,
            growth as f64 / f64::from(1 << 20),
            p99(calls.iter().filter(|call| call.started >= quiet && call.started < begun)),
            p99(calls.iter().filter(|call| call.started >= begun && call.started < ended)),
        );
    }

    fn p99<'a>(calls: impl Iterator<Item = &'a Call>) -> u128 {
        let mut took: Vec<Duration> = calls.map(|call| call.took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).map_or(0, Duration::as_micros)
    }
}
