//! One measurement of one system: first one caller, then 64 at once.

use std::path::Path;
use std::time::Duration;

use benches::Function;

use crate::child::{CALLERS, Error};
use crate::process::{Pair, Who};
use crate::system::System;

/// What one round says of one system and case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Of one caller's calls, one after the other.
    pub one: Batch,
    /// Of 64 callers' calls.
    pub all: Batch,
    /// The most memory that the calling process had, in KiB.
    pub caller_kib: Option<u64>,
    /// And the serving one, where there is one.
    pub callee_kib: Option<u64>,
}

/// A number of calls, and what they took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batch {
    pub calls: f64,
    pub seconds: f64,
    /// Over both processes.
    pub cpu_ns: Option<u64>,
}

impl Batch {
    /// Microseconds that passed for each call.
    pub fn us(&self) -> f64 {
        self.seconds * 1e6 / self.calls
    }

    /// Calls in a second.
    pub fn rate(&self) -> f64 {
        self.calls / self.seconds
    }

    /// Microseconds of CPU time for each call.
    pub fn cpu_us(&self) -> Option<f64> {
        self.cpu_ns.map(|ns| ns as f64 / 1e3 / self.calls)
    }
}

/// Starts the processes of a system and measures it, for about `seconds` each time.
pub fn sample(system: System, case: Function, seconds: f64, prepared: &Path) -> Result<Sample, Error> {
    let mut pair = Pair::start(system, case, prepared)?;
    let one = batch(&mut pair, Who::One, seconds)?;
    let all = batch(&mut pair, Who::All, seconds)?;
    let (caller, callee) = pair.usage()?;
    Ok(Sample { one, all, caller_kib: caller.peak_kib, callee_kib: callee.and_then(|usage| usage.peak_kib) })
}

/// Warms up, then makes batches that are longer each time, until one takes at least half of what is wanted.
fn batch(pair: &mut Pair, who: Who, seconds: f64) -> Result<Batch, Error> {
    let callers = match who {
        Who::One => 1.0,
        Who::All => CALLERS as f64,
    };
    pair.run(who, 1)?;
    let mut calls = 1;
    loop {
        let before = pair.cpu_ns()?;
        let elapsed = pair.run(who, calls)?;
        let after = pair.cpu_ns()?;
        if elapsed.as_secs_f64() >= seconds / 2.0 || calls == CALLS_MAX {
            let cpu_ns = after.zip(before).map(|(after, before)| after.saturating_sub(before));
            return Ok(Batch { calls: f64::from(calls) * callers, seconds: elapsed.as_secs_f64(), cpu_ns });
        }
        calls = next(calls, elapsed, seconds);
    }
}

/// As many calls as should take `seconds`, going by what fewer took: a hundred times as many at most, since the first
/// few say little.
fn next(calls: u32, elapsed: Duration, seconds: f64) -> u32 {
    let growth = (seconds / elapsed.as_secs_f64().max(1e-9)).clamp(2.0, 100.0);
    ((f64::from(calls) * growth) as u32).min(CALLS_MAX)
}

/// Most calls of one caller in a batch.
const CALLS_MAX: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_until_they_last() {
        assert_eq!(next(10, Duration::from_millis(1), 0.05), 500);
        assert_eq!(next(10, Duration::from_millis(1), 10.0), 1_000, "at most a hundred times");
        assert_eq!(next(10, Duration::from_secs(1), 1.5), 20, "at least twice");
        assert_eq!(next(CALLS_MAX / 2, Duration::ZERO, 1.0), CALLS_MAX);
        assert_eq!(next(1, Duration::ZERO, 1.0), 100);
    }

    #[test]
    fn figures_are_for_each_call() {
        let batch = Batch { calls: 200.0, seconds: 0.01, cpu_ns: Some(4_000_000) };
        assert_eq!((batch.us(), batch.rate(), batch.cpu_us()), (50.0, 20_000.0, Some(20.0)));
    }
}
