//! What a connection holds.

use super::{Connection, Serving};

/// What one end of a connection holds at a moment, for metrics and for tests that look for leaks.
///
/// Where nothing is under way either way and the channel has taken all that there was to send, everything is zero but
/// `bindings`, which stay until they are given back or the connection ends, and what chunks may be sent and come. What the
/// one end may send is then what may come to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Held {
    /// Requests of this end that have no answer yet.
    pub in_flight: usize,
    /// Requests of the other end that this end has not answered yet, those that are arriving included.
    pub in_service: usize,
    /// Calls of the other end whose arguments have not arrived.
    pub calls_arriving: usize,
    /// Bindings that this end serves.
    pub bindings: usize,
    /// Bytes of arguments of the calls in service.
    pub args_bytes: usize,
    /// Frames that wait to be sent, or were handed out and not taken; a payload in chunks counts as one.
    pub queue_frames: usize,
    /// Bytes that wait to be sent, or were handed out and not taken.
    pub queue_bytes: usize,
    /// Those of the requests in service whose arguments are still to come.
    pub arriving: usize,
    /// Deadlines that are watched; a few of requests that have ended may be among them while others are in flight.
    pub timers: usize,
    /// Bytes that may be sent in chunks, on the whole connection, before the other end allows more.
    pub credit_bytes: usize,
    /// Bytes that may come in chunks before this end allows more.
    pub window_bytes: usize,
}

impl Connection {
    /// What this end holds now.
    #[must_use]
    pub fn held(&self) -> Held {
        let calls_arriving = self.serving.values().filter(|serving| matches!(serving, Serving::Arriving { .. })).count();
        Held {
            in_flight: self.pending.len(),
            in_service: self.serving.len(),
            calls_arriving,
            bindings: self.bindings.len(),
            args_bytes: self.args_bytes,
            queue_frames: self.waiting_frames(),
            queue_bytes: self.waiting_bytes(),
            arriving: self.arrivals.len(),
            timers: self.deadlines.len() + self.arrivals.timers(),
            credit_bytes: self.streams.credit_bytes(),
            window_bytes: self.arrivals.window_bytes(),
        }
    }
}
