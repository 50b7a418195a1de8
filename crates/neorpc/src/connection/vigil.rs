//! Signs of life: when the other end was heard last, and what it is asked where it is silent.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::event::ProtocolError;
use crate::frame::{Frame, Kind};
use crate::limits::{PING_IDLE_MS, PONG_MS};

/// What one end knows of the other's life; of either kind at most one frame waits in here.
pub(super) struct Vigil {
    heard: Instant,
    /// Until when something must be heard: a ping was asked for.
    until: Option<Instant>,
    /// The number of our last ping, from 1.
    last: u64,
    /// Our last ping waits to be handed out.
    ping: bool,
    /// Their last ping, while its answer waits to be handed out.
    pong: Option<u64>,
}

impl Vigil {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: now, until: None, last: 0, ping: false, pong: None }
    }

    /// Notes a frame of the other end: whatever it says, it lives.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.until = None;
        self.ping = false;
    }

    /// A ping came; an answer that still waits gives way to the new one.
    pub(super) fn asked(&mut self, number: u64) {
        self.pong = Some(number);
    }

    /// A pong came; that it came is all that counts.
    pub(super) fn answered(&self, number: u64) -> Result<(), ProtocolError> {
        if number == 0 || number > self.last {
            return Err(ProtocolError::NeverPinged { found: Kind::Pong, number });
        }
        Ok(())
    }

    /// When [`pass`](Self::pass) is due.
    pub(super) fn due(&self) -> Instant {
        self.until.unwrap_or_else(|| after(self.heard, PING_IDLE_MS))
    }

    /// Asks for a sign of life where none came for long, or gives up.
    pub(super) fn pass(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if now < self.due() {
            return Ok(());
        }
        if self.until.is_some() {
            return Err(ProtocolError::Silent { waited_ms: PONG_MS });
        }
        self.last += 1;
        self.ping = true;
        self.until = Some(after(now, PONG_MS));
        Ok(())
    }

    /// The frame that goes before all others, if there is one.
    pub(super) fn transmit(&mut self) -> Option<Bytes> {
        let frame = match self.pong.take() {
            Some(number) => Frame::Pong(number),
            None if std::mem::take(&mut self.ping) => Frame::Ping(self.last),
            None => return None,
        };
        // One number: this can't fail, and an end that gets no pong says so by itself.
        frame.encode().ok()
    }

    /// Forgets what waits in here.
    pub(super) fn clear(&mut self) {
        self.ping = false;
        self.pong = None;
    }
}

fn after(start: Instant, ms: u64) -> Instant {
    start.checked_add(Duration::from_millis(ms)).unwrap_or(start)
}
