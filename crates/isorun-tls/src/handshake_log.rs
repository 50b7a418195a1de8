//! What is said of handshakes that fail.

use std::fmt::Display;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::name::Shown;

/// Most lines about failed handshakes in [`LOG_WINDOW_MS`].
pub const LOG_LINES_MAX: u32 = 20;

/// The time that [`LOG_LINES_MAX`] is for, in milliseconds.
pub const LOG_WINDOW_MS: u64 = 10_000;

/// Says why handshakes failed, one line each, and no more lines than somebody can read.
///
/// Whoever reaches a port can make handshakes fail, so past [`LOG_LINES_MAX`] in
/// [`LOG_WINDOW_MS`] they are counted alone; the first line of the next window
/// says how many were left out.
#[derive(Debug, Default)]
pub struct HandshakeLog {
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl HandshakeLog {
    /// Nothing was said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Warns that whoever connected from `peer` was refused, and why.
    pub fn refused(&self, peer: &dyn Display, reason: &dyn Display) {
        let Some(left_out) = self.window.lock().admits(Instant::now()) else { return };
        let (peer, reason) = (peer.to_string(), reason.to_string());
        let (peer, reason) = (Shown(&peer), Shown(&reason));
        if left_out == 0 {
            tracing::warn!(%peer, %reason, "a connection was refused before it was authenticated");
        } else {
            tracing::warn!(%peer, %reason, left_out, "a connection was refused before it was authenticated, as others were");
        }
    }
}

impl Window {
    /// Whether a line may be written, and how many were not since the last one.
    fn admits(&mut self, now: Instant) -> Option<u64> {
        let length = Duration::from_millis(LOG_WINDOW_MS);
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= length) {
            (self.began, self.lines) = (Some(now), 0);
        }
        if self.lines == LOG_LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_limit_lines_are_counted_and_the_next_window_says_how_many() {
        let (mut window, start) = (Window::default(), Instant::now());
        for _ in 0..LOG_LINES_MAX {
            assert_eq!(window.admits(start), Some(0));
        }
        let last = start + Duration::from_millis(LOG_WINDOW_MS - 1);
        for _ in 0..1_000 {
            assert_eq!(window.admits(last), None);
        }
        let next = start + Duration::from_millis(LOG_WINDOW_MS);
        assert_eq!(window.admits(next), Some(1_000));
        assert_eq!(window.admits(next), Some(0));
    }
}
