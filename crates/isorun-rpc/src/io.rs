//! The channel of one connection, for whoever has its turn: the connection's driver, or a caller who leads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use isorun_core::{Channel, TransportError};
use parking_lot::MutexGuard;

use crate::peer::{Core, Shared, now};
use crate::router::{self, After, Place};

/// Bytes handed to the channel at once: enough to fill a system's buffer, little enough that a call which is given up
/// while it waits mostly never leaves.
const QUEUE_BYTES: usize = 256 << 10;

/// Frames handed to the channel at once.
const QUEUE_FRAMES: usize = 256;

/// Frames taken in before others get their turn.
pub(crate) const FRAMES_AT_ONCE: usize = 64;

pub(crate) struct Io {
    /// `None` once the driver has gone.
    pub(crate) channel: Option<Box<dyn Channel>>,
    pub(crate) queue: VecDeque<Bytes>,
    /// The channel holds something that it has not handed to the system.
    pub(crate) flushing: bool,
    /// The connection's bell.
    waker: Waker,
    after: After,
}

/// How a turn at the channel ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing can be done before the bell rings.
    Idle,
    /// More may have come.
    More,
    /// The connection has ended.
    Ended,
}

impl Io {
    pub(crate) fn new(channel: Box<dyn Channel>, waker: Waker) -> Self {
        Self { channel: Some(channel), queue: VecDeque::new(), flushing: false, waker, after: After::default() }
    }

    /// Takes in what came.
    pub(crate) fn receive(&mut self, shared: &Arc<Shared>, place: &mut Place<'_, '_>) -> Turn {
        for _ in 0..FRAMES_AT_ONCE {
            let frame = match self.poll_recv() {
                Poll::Pending => return Turn::Idle,
                Poll::Ready(Ok(Some(frame))) => frame,
                Poll::Ready(Ok(None)) => return self.lost(shared, place, "the other end closed the connection"),
                Poll::Ready(Err(error)) => return self.broke(shared, place, &error),
            };
            shared.meter.received(frame.len());
            let mut core = shared.core.lock();
            let handled = core.connection.handle_frame(now(), frame);
            router::act_locked(shared, core, place, &mut self.after);
            if let Err(error) = handled {
                shared.refusals.connection(&shared.identity, &error);
                return Turn::Ended;
            }
        }
        Turn::More
    }

    /// Sends what waits; `Idle` also where the channel is full.
    pub(crate) fn transmit(&mut self, shared: &Arc<Shared>, place: &mut Place<'_, '_>) -> Turn {
        loop {
            let filled = {
                let core = shared.core.lock();
                if core.connection.is_closed() {
                    router::act_locked(shared, core, place, &mut self.after);
                    return Turn::Ended;
                }
                self.fill(shared, core, place)
            };
            if self.queue.is_empty() && !self.flushing {
                return Turn::Idle;
            }
            let before = self.queue.len();
            let sent = self.poll_send();
            let taken = before.saturating_sub(self.queue.len());
            shared.core.lock().connection.taken(taken);
            match sent {
                Poll::Ready(Ok(())) => {
                    self.flushing = false;
                    if filled == Turn::Idle {
                        // It was all that there was: whoever said more since has woken the driver.
                        return Turn::Idle;
                    }
                }
                Poll::Ready(Err(error)) => return self.broke(shared, place, &error),
                Poll::Pending => {
                    self.flushing = true;
                    if taken == 0 {
                        return Turn::Idle;
                    }
                    // What was taken made room in the queue.
                }
            }
        }
    }

    /// Puts into the channel's queue what fits; `More` where that may not be all.
    pub(crate) fn fill(
        &mut self,
        shared: &Arc<Shared>,
        mut core: MutexGuard<'_, Core>,
        place: &mut Place<'_, '_>,
    ) -> Turn {
        let mut bytes: usize = self.queue.iter().map(Bytes::len).sum();
        let now = now();
        while bytes < QUEUE_BYTES
            && self.queue.len() < QUEUE_FRAMES
            && let Some(frame) = core.connection.poll_transmit(now)
        {
            bytes += frame.len();
            shared.meter.sent(frame.len());
            self.queue.push_back(frame);
        }
        // Handing a frame out may have found its deadline over.
        router::act_locked(shared, core, place, &mut self.after);
        if bytes < QUEUE_BYTES && self.queue.len() < QUEUE_FRAMES { Turn::Idle } else { Turn::More }
    }

    fn broke(&mut self, shared: &Arc<Shared>, place: &mut Place<'_, '_>, error: &TransportError) -> Turn {
        shared.refusals.channel(&shared.identity, error);
        self.lost(shared, place, &error.to_string())
    }

    fn lost(&mut self, shared: &Arc<Shared>, place: &mut Place<'_, '_>, cause: &str) -> Turn {
        tracing::debug!(peer = %shared.identity, cause, "the connection went");
        let mut core = shared.core.lock();
        core.connection.connection_lost(cause);
        router::act_locked(shared, core, place, &mut self.after);
        Turn::Ended
    }

    fn poll_recv(&mut self) -> Poll<Result<Option<Bytes>, TransportError>> {
        match &mut self.channel {
            Some(channel) => channel.poll_recv(&mut Context::from_waker(&self.waker)),
            None => Poll::Ready(Ok(None)),
        }
    }

    fn poll_send(&mut self) -> Poll<Result<(), TransportError>> {
        match &mut self.channel {
            Some(channel) => channel.poll_send(&mut Context::from_waker(&self.waker), &mut self.queue),
            None => Poll::Ready(Err(TransportError::Closed)),
        }
    }
}
