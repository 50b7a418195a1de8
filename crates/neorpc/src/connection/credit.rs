//! What may be under way to an end before it allows more.

use crate::limits::{WINDOW_BYTES_MAX, WINDOW_FRAMES};

/// Room for chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Credit {
    pub(super) bytes: usize,
    pub(super) frames: u32,
}

impl Credit {
    /// What a whole connection starts with.
    pub(super) const fn connection(window_bytes: usize) -> Self {
        Self { bytes: window_bytes, frames: WINDOW_FRAMES }
    }

    /// What one payload starts with: no one of them takes the connection for itself.
    pub(super) const fn payload(window_bytes: usize) -> Self {
        Self { bytes: window_bytes / 2, frames: WINDOW_FRAMES / 2 }
    }

    /// Takes room for one chunk; `false` where there is none, and then nothing is taken.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        match (self.bytes.checked_sub(bytes), self.frames.checked_sub(1)) {
            (Some(bytes), Some(frames)) => {
                *self = Self { bytes, frames };
                true
            }
            (_, _) => false,
        }
    }

    /// Whether [`take`](Self::take) would.
    pub(super) fn has(self, bytes: usize) -> bool {
        self.bytes >= bytes && self.frames > 0
    }

    /// Adds room that was given back. `false` for more than anybody can have taken.
    pub(super) fn give(&mut self, bytes: u64, frames: u32) -> bool {
        let bytes = usize::try_from(bytes).ok().and_then(|bytes| self.bytes.checked_add(bytes));
        let frames = self.frames.checked_add(frames);
        match (bytes, frames) {
            (Some(bytes), Some(frames)) if bytes <= WINDOW_BYTES_MAX && frames <= WINDOW_FRAMES => {
                *self = Self { bytes, frames };
                true
            }
            (_, _) => false,
        }
    }
}

/// The receiving end of a window: what may still come, and what came since that was last made good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    whole: Credit,
    left: Credit,
}

impl Window {
    pub(super) fn new(whole: Credit) -> Self {
        Self { whole, left: whole }
    }

    /// Notes a chunk that came; `false` where it might not.
    pub(super) fn came(&mut self, bytes: usize) -> bool {
        self.left.take(bytes)
    }

    /// What may still come, in bytes.
    pub(super) fn left_bytes(&self) -> usize {
        self.left.bytes
    }

    /// What to give back: all that was used, once that is half of the window.
    pub(super) fn give_back(&mut self) -> Option<Credit> {
        let used = Credit { bytes: self.whole.bytes - self.left.bytes, frames: self.whole.frames - self.left.frames };
        if used.bytes < self.whole.bytes / 2 && used.frames < self.whole.frames / 2 {
            return None;
        }
        self.left = self.whole;
        Some(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_made_good_when_half_of_it_is_used() {
        let mut window = Window::new(Credit { bytes: 100, frames: 10 });
        assert!(window.came(49));
        assert_eq!(window.give_back(), None);
        assert!(window.came(1));
        assert_eq!(window.give_back(), Some(Credit { bytes: 50, frames: 2 }));
        assert!((0..10).all(|_| window.came(1)), "all of it is there again");
        assert!(!window.came(1), "an eleventh chunk");
        assert_eq!(window.give_back(), Some(Credit { bytes: 10, frames: 10 }));
        assert!(!window.came(101), "a byte too many");
        assert!(window.came(100));
    }

    #[test]
    fn credit_beyond_the_largest_window_is_refused_and_changes_nothing() {
        let mut credit = Credit::connection(WINDOW_BYTES_MAX);
        assert!(!credit.give(1, 0));
        assert!(!credit.give(0, 1));
        assert!(!credit.give(u64::MAX, 0));
        assert!(!credit.give(0, u32::MAX));
        assert!(credit.take(1));
        assert!(credit.give(1, 1));
        assert_eq!(credit, Credit::connection(WINDOW_BYTES_MAX));
    }
}
