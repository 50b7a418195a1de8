//! A measured process: it serves or calls, and answers the conductor's lines until its stdin ends.
//!
//! This file is part of `benches/wrpc` too, which has another engine: both are measured by the same code.

use std::io::{BufRead, Write, stdin, stdout};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;

/// What a measured process can fail with: it prints it and ends.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Threads that run tasks, in each process.
pub const WORKERS: usize = 2;
/// Callers that call at once in the second measurement.
pub const CALLERS: usize = 64;

/// The word before the address that a serving process listens at.
pub const LISTENING: &str = "listening";
/// The word of a calling process that is connected.
pub const READY: &str = "ready";

/// One who calls one of the functions, again and again, and looks at every answer.
pub trait Caller: Send + 'static {
    /// Calls `calls` times, one after the other.
    ///
    /// # Errors
    /// A call that fails, or an answer that is wrong.
    fn run(&mut self, calls: u32) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The callers of one process.
pub struct Callers<C> {
    /// The one that calls alone, in the first measurement.
    pub one: C,
    /// The [`CALLERS`] of the second.
    pub all: Vec<C>,
}

/// Serves, says where, and answers lines until stdin ends; `start` also gives what to keep meanwhile.
///
/// # Errors
/// What keeps it from serving.
pub fn callee<K>(start: impl Future<Output = Result<(String, K), Error>>) -> Result<(), Error> {
    let tokio = tokio()?;
    let (address, kept) = tokio.block_on(start)?;
    say(&format!("{LISTENING} {address}"))?;
    for line in stdin().lock().lines() {
        match line?.as_str() {
            "usage" => say(&usage()?)?,
            other => return Err(format!("a serving process knows no `{other}`").into()),
        }
    }
    tokio.shutdown_background();
    drop(kept);
    Ok(())
}

/// Connects, and runs the batches that it is told to until stdin ends.
///
/// # Errors
/// What keeps it from connecting, and the first call that fails.
pub fn caller<C: Caller>(connect: impl Future<Output = Result<Callers<C>, Error>>) -> Result<(), Error> {
    let tokio = tokio()?;
    let Callers { one, mut all } = tokio.block_on(connect)?;
    let mut one = vec![one];
    let commands = commands();
    say(READY)?;
    while let Ok(line) = commands.recv() {
        match line.split_once(' ') {
            None if line == "usage" => say(&usage()?)?,
            Some(("one", calls)) => one = batch(&tokio, one, calls.parse()?)?,
            Some(("all", calls)) => all = batch(&tokio, all, calls.parse()?)?,
            None | Some(_) => return Err(format!("a calling process knows no `{line}`").into()),
        }
    }
    Ok(())
}

/// Lets each of the callers call so often, and says how long it took until the last was done.
fn batch<C: Caller>(tokio: &Runtime, callers: Vec<C>, calls: u32) -> Result<Vec<C>, Error> {
    let (callers, elapsed) = tokio.block_on(run(callers, calls))?;
    say(&format!("ran {}", elapsed.as_nanos()))?;
    Ok(callers)
}

async fn run<C: Caller>(callers: Vec<C>, calls: u32) -> Result<(Vec<C>, Duration), Error> {
    let gate = Arc::new(Barrier::new(callers.len() + 1));
    let start = |mut caller: C| {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            gate.wait().await;
            caller.run(calls).await?;
            Ok::<_, Error>(caller)
        })
    };
    let tasks: Vec<_> = callers.into_iter().map(start).collect();
    gate.wait().await;
    let started = Instant::now();
    let mut back = Vec::with_capacity(tasks.len());
    for task in tasks {
        back.push(task.await??);
    }
    Ok((back, started.elapsed()))
}

fn tokio() -> Result<Runtime, Error> {
    Ok(Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?)
}

/// Commands that may wait: the conductor waits for the answer to each.
const COMMANDS_MAX: usize = 16;

/// Lines from a thread of their own, so that the end of the conductor is noticed in the middle of a batch.
fn commands() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(COMMANDS_MAX);
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
        std::process::exit(0);
    });
    receiver
}

fn say(line: &str) -> Result<(), Error> {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

/// The CPU time of this process so far in nanoseconds, and the most memory it ever had in KiB; `-` where the system
/// doesn't tell.
fn usage() -> Result<String, Error> {
    let shown = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    Ok(format!("usage {} {}", shown(cpu_ns()), shown(peak_kib())))
}

#[cfg(unix)]
fn cpu_ns() -> Option<u64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(u64::try_from(time.tv_sec).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec).ok()?)
}

#[cfg(not(unix))]
fn cpu_ns() -> Option<u64> {
    None
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
