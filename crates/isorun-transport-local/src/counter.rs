//! How many frames an end has sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the frames that one end has sent, over all its channels.
///
/// A clone counts the same frames, so that it can be kept when the end itself is
/// given away to a link or to a server.
#[derive(Debug, Clone, Default)]
pub struct FrameCounter(Arc<AtomicU64>);

impl FrameCounter {
    /// Frames sent so far.
    #[must_use]
    pub fn frames_sent(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
