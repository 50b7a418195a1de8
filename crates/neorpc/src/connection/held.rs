//! What a connection holds.

use super::Connection;

/// What one end of a connection holds at a moment, for metrics and for tests that look for leaks.
///
/// Where nothing is under way either way and the channel has taken all that there was to send, everything is zero but
/// `bindings`, which stay until they are given back or the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Held {
    /// Requests of this end that have no answer yet.
    pub in_flight: usize,
    /// Requests of the other end that this end has not answered yet.
    pub in_service: usize,
    /// Bindings that this end serves.
    pub bindings: usize,
    /// Bytes of arguments of the calls in service.
    pub args_bytes: usize,
    /// Frames that wait to be sent, or were handed out and not taken; a payload in chunks counts as one.
    pub queue_frames: usize,
    /// The bytes of those frames.
    pub queue_bytes: usize,
    /// Those of the requests in service whose arguments are still to come.
    pub arriving: usize,
    /// Deadlines that are watched; a few of requests that have ended may be among them while others are in flight.
    pub timers: usize,
}

impl Connection {
    /// What this end holds now.
    #[must_use]
    pub fn held(&self) -> Held {
        Held {
            in_flight: self.pending.len(),
            in_service: self.serving.len(),
            bindings: self.bindings.len(),
            args_bytes: self.args_bytes,
            queue_frames: self.waiting_frames(),
            queue_bytes: self.waiting_bytes(),
            arriving: self.arrivals.calls(),
            timers: self.deadlines.len(),
        }
    }
}
