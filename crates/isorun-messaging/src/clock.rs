//! What time it is, for a deadline and for people, with one look at the clock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The clock of the wall is looked at again after this time, in milliseconds: it may be set.
const WALL_MS_MAX: u64 = 1_000;

/// Both clocks.
#[derive(Debug)]
pub(crate) struct Clock {
    base: Instant,
    /// What the wall's clock showed at `base`, in milliseconds since 1970, as of the last look.
    wall_at_base_ms: AtomicU64,
    /// When that was, in milliseconds after `base`.
    looked_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { base: Instant::now(), wall_at_base_ms: AtomicU64::new(wall_ms()), looked_ms: AtomicU64::new(0) }
    }

    /// Now, and the same in milliseconds since 1970.
    pub(crate) fn now(&self) -> (Instant, u64) {
        let now = Instant::now();
        let elapsed_ms = millis(now.saturating_duration_since(self.base));
        if elapsed_ms.saturating_sub(self.looked_ms.load(Relaxed)) > WALL_MS_MAX {
            self.looked_ms.store(elapsed_ms, Relaxed);
            self.wall_at_base_ms.store(wall_ms().saturating_sub(elapsed_ms), Relaxed);
        }
        (now, self.wall_at_base_ms.load(Relaxed).saturating_add(elapsed_ms))
    }
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Whole milliseconds.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
