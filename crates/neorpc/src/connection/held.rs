//! What a connection holds.

use super::Connection;

/// What one end of a connection holds at a moment, for metrics and for tests that look for leaks.
///
/// Where nothing is under way either way and the channel has taken all that there was to send, everything is zero but
/// `bindings`, which stay until they are given back or the connection ends, and what chunks may be sent and may come. What
/// the one end may send is then what may come to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Held {
    /// Requests of this end that have no answer yet.
    pub in_flight: usize,
    /// Requests of the other end that this end has not answered yet.
    pub in_service: usize,
    /// Those of the requests in service whose arguments are still to come.
    pub arriving: usize,
    /// Bindings that this end serves.
    pub bindings: usize,
    /// Bytes of arguments of the calls in service.
    pub args_bytes: usize,
    /// Payloads, arguments and results, that come in chunks and are not whole.
    pub payloads: usize,
    /// Frames that wait to be sent, or were handed out and not taken; a payload in chunks counts as one.
    pub queue_frames: usize,
    /// Bytes that wait to be sent, or were handed out and not taken.
    pub queue_bytes: usize,
    /// Deadlines that are watched; a few of requests that have ended may be among them while others are in flight.
    pub timers: usize,
    /// Bytes of chunks that may be sent before the other end allows more.
    pub credit_bytes: usize,
    /// Bytes of chunks that may come before this end allows more.
    pub window_bytes: usize,
}

impl Connection {
    /// What this end holds now.
    #[must_use]
    pub fn held(&self) -> Held {
        Held {
            in_flight: self.pending.len(),
            in_service: self.serving.len(),
            arriving: self.arrivals.calls(),
            bindings: self.bindings.len() + self.given_back.len(),
            args_bytes: self.args_bytes,
            payloads: self.arrivals.len(),
            queue_frames: self.waiting_frames(),
            queue_bytes: self.waiting_bytes(),
            timers: self.deadlines.len() + self.arrivals.calls(),
            credit_bytes: self.streams.credit_bytes(),
            window_bytes: self.arrivals.window_bytes(),
        }
    }
}
