//! What hostile peers cost a server, and the honest client that it serves beside them: a row for each probe.
//!
//! `cargo run --release -p isorun-rpc --example hostile [WORDS]` runs those whose names contain the words. The p99 of the
//! honest client, who makes a call every millisecond or so, is taken in turns without and with the probe, a second each at
//! the least. Peer, client and server share the machine's cores: the first row, a second honest client that calls as fast
//! as it can, shows what that alone costs.
#![allow(clippy::print_stdout, reason = "it has a table to show")]

#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/hostile/honest.rs"]
mod honest;
#[cfg(target_os = "linux")]
#[path = "../tests/hostile/house.rs"]
mod house;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "the tests use more of it")]
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
    println!("| probe | promise | memory | p99 without | p99 with | refusals logged |");
    println!("|---|---|---|---|---|---|");
    for probe in std::iter::once(&probes::HONEST).chain(probes::PROBES).filter(|probe| probe.name.contains(&words)) {
        measure::row(probe);
    }
}

#[cfg(target_os = "linux")]
mod measure {
    use std::ops::Range;
    use std::time::{Duration, Instant};

    use super::honest::{Call, Honest};
    use super::house::Server;
    use super::probes::Probe;

    /// How long the honest client is watched in one turn, at the least.
    const WATCHED: Duration = Duration::from_secs(1);

    /// Turns without the probe, and as many with it.
    const TURNS: usize = 3;

    /// Calls of the honest client beside connections that are held open.
    const CALLS_MIN: u64 = 500;

    const TIMES: usize = 1_000_000;

    pub fn row(probe: &Probe) {
        let server = Server::start(&[]);
        let honest = Honest::start(&server.address, Duration::from_micros(500));
        server.forget_peak();
        let before = server.resident_bytes();
        let (mut quiet, mut probed) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let begun = Instant::now();
            while begun.elapsed() < WATCHED {
                honest.goes_on(CALLS_MIN);
            }
            quiet.push(begun..Instant::now());
            let begun = Instant::now();
            while begun.elapsed() < WATCHED {
                let held = (probe.attack)(&server.address, TIMES);
                if !held.is_empty() {
                    honest.goes_on(CALLS_MIN);
                }
            }
            probed.push(begun..Instant::now());
        }
        let calls = honest.stop();
        let growth = server.peak_bytes().saturating_sub(before);
        let log = server.stop();
        let panics = if log.iter().any(|line| line.contains("panicked")) { ", PANICKED" } else { "" };
        let lines = log.iter().filter(|line| line.contains("refused")).count();
        println!(
            "| {} | {} | {:.1} MiB{panics} | {} us | {} us | {lines} lines |",
            probe.name,
            probe.promise,
            growth as f64 / f64::from(1 << 20),
            p99(&calls, &quiet),
            p99(&calls, &probed),
        );
    }

    fn p99(calls: &[Call], turns: &[Range<Instant>]) -> u128 {
        let within = calls.iter().filter(|call| turns.iter().any(|turn| turn.contains(&call.started)));
        let mut took: Vec<Duration> = within.map(|call| call.took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).map_or(0, Duration::as_micros)
    }
}
