//! How long calls of an instance usually take, and so whether it makes sense to wait for it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Calls that must have ended before their time says anything about the next.
const CALLS_MIN: u32 = 8;

/// How many calls the average looks back on.
const WEIGHT: u64 = 8;

/// A moving average. Threads that note at once may lose one of the two: it is an estimate either way.
#[derive(Default)]
pub(super) struct Usual {
    nanos: AtomicU64,
    calls: AtomicU32,
}

impl Usual {
    pub(super) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / WEIGHT;
        let before = self.nanos.load(Ordering::Relaxed);
        let calls = self.calls.load(Ordering::Relaxed);
        let after = if calls == 0 { took * WEIGHT } else { (before - before / WEIGHT).saturating_add(took) };
        self.nanos.store(after, Ordering::Relaxed);
        self.calls.store(calls.saturating_add(1), Ordering::Relaxed);
    }

    /// What a call takes; `None` while too few were seen.
    pub(super) fn call(&self) -> Option<Duration> {
        (self.calls.load(Ordering::Relaxed) >= CALLS_MIN)
            .then(|| Duration::from_nanos(self.nanos.load(Ordering::Relaxed)))
    }

    /// How long a call waits that has `ahead` others before it in the queue to `places`, which are all taken.
    pub(super) fn wait(&self, ahead: usize, places: usize) -> Option<Duration> {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let places = u32::try_from(places.max(1)).unwrap_or(u32::MAX);
        // Those that run are half done, as far as anybody knows.
        self.call().map(|call| (call.saturating_mul(ahead) + call / 2) / places)
    }
}

/// What is to be reckoned with where an average alone would be right half of the time: a quarter more.
///
/// A call that is refused before it waits costs nobody anything; one that waited, and has too little time left, had its
/// caller wait for nothing.
pub(super) fn with_margin(usual: Duration) -> Duration {
    usual.saturating_add(usual / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_calls_say_nothing_and_many_say_what_one_takes() {
        let usual = Usual::default();
        for _ in 0..CALLS_MIN {
            assert_eq!((usual.call(), usual.wait(9, 1)), (None, None));
            usual.note(Duration::from_millis(8));
        }
        assert_eq!(usual.call(), Some(Duration::from_millis(8)));
        assert_eq!(usual.wait(0, 1), Some(Duration::from_millis(4)));
        assert_eq!(usual.wait(9, 1), Some(Duration::from_millis(76)));
        assert_eq!(usual.wait(9, 4), Some(Duration::from_millis(19)));
    }

    #[test]
    fn the_average_follows_the_calls() {
        let usual = Usual::default();
        for ms in [[800; 10], [8; 10]].as_flattened() {
            usual.note(Duration::from_millis(*ms));
        }
        let mixed = usual.call().unwrap();
        assert!(mixed > Duration::from_millis(100) && mixed < Duration::from_millis(400), "{mixed:?}");
        for _ in 0..100 {
            usual.note(Duration::from_millis(8));
        }
        let settled = usual.call().unwrap();
        assert!(settled < Duration::from_millis(9), "{settled:?}");
    }
}
