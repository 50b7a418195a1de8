//! What an instance still gets done when it is asked for five times as much as it can do.
//!
//! `cargo run --release -p benches --bin overload [SECONDS]`: a singleton with its default queue is served over TCP. Its
//! peak is taken with a few callers that each wait for their answer; then calls come at one to five times that rate,
//! whatever becomes of those before them, each with a deadline of 100 ms. Goodput is what is answered in time.
#![allow(clippy::print_stdout, reason = "it has a table to show")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use isorun::{CallOptions, Failure, RemoteHandle, Runtime, TcpTransport, TcpTransportListener, Val};

/// What every call has, in milliseconds.
const DEADLINE_MS: u64 = 100;

/// What one call should take, in microseconds: with the 64 that may wait, more than the deadline.
const CALL_US: u64 = 4_000;

/// Callers at once while the peak is looked for: enough that the instance never waits for one.
const CALLERS: usize = 4;

/// How often calls are sent that are due, in milliseconds.
const TICK_MS: u64 = 1;

/// Turns of a measurement: so often its peak is taken anew.
const TURNS: u32 = 8;

const ADD: &str = "test:counter/counter#slow-add";

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Served,
    Refused,
    Late,
    Other,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(4), |text| text.parse())?;
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (address, _served) = server.block_on(serve())?;
    let client = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    client.block_on(measure(&address, Duration::from_secs(seconds)))
}

async fn serve() -> Result<(String, isorun::InstanceHandle), Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wat/counter.wat");
    let counter = runtime.builder(&runtime.load(wat::parse_file(text)?)?).register_as("counter").instantiate().await?;
    let listener = TcpTransportListener::bind("127.0.0.1:0").await?;
    let address = listener.local_address().to_string();
    tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
    Ok((address, counter))
}

async fn measure(address: &str, span: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let remote = runtime.remote_instance(Arc::new(TcpTransport::new(address)?), "counter");
    let spins = spins(&remote).await?;
    let first = peak(&remote, spins, span).await;
    println!("peak: {first:.0} calls/s, {:.1} ms each; deadline {DEADLINE_MS} ms", 1e3 / first);
    println!(
        "| load | offered/s | served/s | peak beside it | of peak | refused/s | late/s | other | served p50, p99 | refused p50, p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for load in 1..=5_u32 {
        // In turns, so that whatever else the machine does is in both.
        let (mut calls, mut beside) = (Vec::new(), 0.0);
        for _ in 0..TURNS {
            beside += peak(&remote, spins, span / TURNS).await / f64::from(TURNS);
            calls.extend(offer(&remote, spins, first * f64::from(load), span / TURNS).await);
        }
        let of = |wanted: Outcome| calls.iter().filter(move |(outcome, _)| *outcome == wanted);
        let rate = |wanted| of(wanted).count() as f64 / span.as_secs_f64();
        println!(
            "| {load} x | {:.0} | {:.0} | {beside:.0} | {:.0}% | {:.0} | {:.0} | {} | {} | {} |",
            calls.len() as f64 / span.as_secs_f64(),
            rate(Outcome::Served),
            100.0 * rate(Outcome::Served) / beside,
            rate(Outcome::Refused),
            rate(Outcome::Late),
            of(Outcome::Other).count(),
            percentiles(of(Outcome::Served)),
            percentiles(of(Outcome::Refused)),
        );
    }
    Ok(())
}

/// How often the guest goes round for one call to take what it should.
async fn spins(remote: &RemoteHandle) -> Result<u64, Box<dyn std::error::Error>> {
    let mut spins = 100_000;
    loop {
        // The least of some: the first call opens the connection.
        let mut took = u64::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            remote.exec(ADD, &[Val::U32(1), Val::U64(spins)], CallOptions { deadline_ms: 10_000 }).await?;
            took = took.min(started.elapsed().as_micros() as u64);
        }
        if took >= CALL_US {
            return Ok((spins * CALL_US / took).max(1));
        }
        spins *= 2;
    }
}

async fn call(remote: &RemoteHandle, spins: u64) -> (Outcome, Duration) {
    let started = Instant::now();
    let options = CallOptions { deadline_ms: DEADLINE_MS };
    let outcome = match remote.exec(ADD, &[Val::U32(1), Val::U64(spins)], options).await {
        Ok(_) => Outcome::Served,
        Err(error) => match *error.failure {
            Failure::Refused(_) => Outcome::Refused,
            Failure::Deadline { .. } => Outcome::Late,
            _ => Outcome::Other,
        },
    };
    (outcome, started.elapsed())
}

async fn peak(remote: &RemoteHandle, spins: u64, span: Duration) -> f64 {
    let until = Instant::now() + span;
    let callers = (0..CALLERS).map(|_| async {
        let mut served = 0_u32;
        while Instant::now() < until {
            served += u32::from(call(remote, spins).await.0 == Outcome::Served);
        }
        served
    });
    f64::from(join_all(callers).await.iter().sum::<u32>()) / span.as_secs_f64()
}

/// Calls at a rate, and not at that of the answers.
async fn offer(remote: &RemoteHandle, spins: u64, rate: f64, span: Duration) -> Vec<(Outcome, Duration)> {
    let remote = Arc::new(remote.clone());
    let (started, mut sent) = (Instant::now(), 0_u64);
    let mut calls = tokio::task::JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(TICK_MS));
    while started.elapsed() < span {
        tick.tick().await;
        let due = (started.elapsed().as_secs_f64() * rate) as u64;
        for _ in sent..due {
            let remote = Arc::clone(&remote);
            calls.spawn(async move { call(&remote, spins).await });
        }
        sent = due;
    }
    calls.join_all().await
}

fn percentiles<'a>(calls: impl Iterator<Item = &'a (Outcome, Duration)>) -> String {
    let mut took: Vec<Duration> = calls.map(|(_, took)| *took).collect();
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).map_or(0.0, Duration::as_secs_f64) * 1e3;
    format!("{:.1}, {:.1} ms", at(50), at(99))
}
