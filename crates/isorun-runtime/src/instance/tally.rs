//! What an instance has done so far, in numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use isorun_core::{CallFailed, Failure};

/// How many calls an instance has had, how they ended, and what there is of them now.
///
/// All count from the instance's start, over all of its stores; links of this process, the host's own calls and peers
/// alike.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct InstanceCounts {
    /// Calls that brought results.
    pub results: u64,
    /// Calls that did not, by the [group](Failure::group) of their failures; *cancelled* those that were given up.
    pub failures: BTreeMap<&'static str, u64>,
    /// The same calls by the [kind](Failure::kind) of their failures.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Units of fuel that they spent, with all that they called.
    pub fuel_used: u64,
    /// How many stores it has had.
    pub generation: u64,
    /// Calls that run now.
    pub in_flight: usize,
    /// Calls that wait for their turn now.
    pub waiting: usize,
}

/// Counts the calls of one instance.
#[derive(Default)]
pub(super) struct Tally {
    results: AtomicU64,
    fuel_used: AtomicU64,
    /// By group and kind; a few of each, and only calls that failed come here.
    failures: parking_lot::Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Tally {
    /// Notes a call that brought results.
    pub(super) fn returned(&self, fuel_used: u64) {
        self.results.fetch_add(1, Ordering::Relaxed);
        self.fuel_used.fetch_add(fuel_used, Ordering::Relaxed);
    }

    /// Notes a call that failed.
    pub(super) fn failed(&self, failed: &CallFailed) {
        self.fuel_used.fetch_add(failed.fuel_used, Ordering::Relaxed);
        self.count(&failed.failure);
    }

    /// A call that is counted as cancelled, unless it is [told](Counting::told) how it ended.
    pub(super) fn begin(&self) -> Counting<'_> {
        Counting { tally: self, is_told: false }
    }

    pub(super) fn counts(&self) -> InstanceCounts {
        let mut counts = InstanceCounts {
            results: self.results.load(Ordering::Relaxed),
            fuel_used: self.fuel_used.load(Ordering::Relaxed),
            ..InstanceCounts::default()
        };
        for ((group, kind), count) in &*self.failures.lock() {
            *counts.failures.entry(*group).or_default() += count;
            *counts.kinds.entry(*kind).or_default() += count;
        }
        counts
    }

    fn count(&self, failure: &Failure) {
        *self.failures.lock().entry((failure.group(), failure.kind())).or_default() += 1;
    }
}

/// A call on the long way.
pub(super) struct Counting<'a> {
    tally: &'a Tally,
    is_told: bool,
}

impl Counting<'_> {
    /// Notes how the call ended, and what it cost.
    pub(super) fn told(mut self, ended: Result<u64, &CallFailed>) {
        self.is_told = true;
        match ended {
            Ok(fuel_used) => self.tally.returned(fuel_used),
            Err(failed) => self.tally.failed(failed),
        }
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.tally.count(&Failure::Cancelled);
        }
    }
}
