//! The task of one connection: moves frames between the channel and the state machine.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use isorun_core::Channel;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::options::CLOSE_MS_MAX;
use crate::peer::{Shared, now};
use crate::router;

/// Bytes handed to the channel at once: enough to fill a system's buffer, little enough that a call which is given up
/// while it waits mostly never leaves.
const QUEUE_BYTES: usize = 256 << 10;

/// Frames handed to the channel at once.
const QUEUE_FRAMES: usize = 256;

/// Frames taken in before others get their turn.
const FRAMES_AT_ONCE: usize = 64;

pub(crate) struct Driver {
    channel: Box<dyn Channel>,
    shared: Arc<Shared>,
    queue: VecDeque<Bytes>,
    /// The channel holds something that it has not handed to the system.
    flushing: bool,
    timer: Pin<Box<Sleep>>,
    /// When the timer goes off, if it is set.
    armed: Option<Instant>,
    stage: Stage,
    /// This end went away: what the other end still sends is read, so that the last answers are not lost with it.
    lingers: bool,
}

enum Stage {
    Running,
    /// The connection has ended; its last frames leave.
    Closing,
    /// They left; the other end's last are read and dropped.
    Lingering,
}

impl Driver {
    pub(crate) fn new(channel: Box<dyn Channel>, shared: Arc<Shared>) -> Self {
        let timer = Box::pin(sleep_until(Instant::now()));
        Self {
            channel,
            shared,
            queue: VecDeque::new(),
            flushing: false,
            timer,
            armed: None,
            stage: Stage::Running,
            lingers: false,
        }
    }

    /// Goes on until nothing can be done; `Ready` once the connection has ended, with the reason.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut core = self.shared.core.lock();
            if core.released {
                core.connection.connection_lost("this end closed the connection");
                return Poll::Ready(());
            }
            match &core.driver {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                Some(_) | None => core.driver = Some(cx.waker().clone()),
            }
        }
        // Before anything is sent, so that answers leave together with what they set off.
        if self.poll_receive(cx).is_ready() || self.poll_timer(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_transmit(cx)
    }

    /// Takes in what came; `Ready` once the connection has ended.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..FRAMES_AT_ONCE {
            let frame = match self.channel.poll_recv(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(frame))) => frame,
                Poll::Ready(Ok(None)) => return self.lost("the other end closed the connection"),
                Poll::Ready(Err(error)) => return self.lost(&error.to_string()),
            };
            let mut core = self.shared.core.lock();
            let handled = core.connection.handle_frame(now(), frame);
            drop(core);
            router::act(&self.shared);
            if let Err(error) = handled {
                tracing::debug!(peer = %self.shared.identity, %error, "closing the connection");
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Lets deadlines pass; `Ready` once the connection has ended.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.shared.core.lock().connection.poll_timeout().map(Instant::from_std);
            let Some(due) = due else { return Poll::Pending };
            // A timer that goes off too early is cheaper than one that is set anew for every call.
            if self.armed.is_none_or(|armed| due < armed) {
                self.timer.as_mut().reset(due);
                self.armed = Some(due);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
            let handled = self.shared.core.lock().connection.handle_timeout(now());
            router::act(&self.shared);
            if let Err(error) = handled {
                tracing::debug!(peer = %self.shared.identity, %error, "closing the connection");
                return Poll::Ready(());
            }
        }
    }

    /// Sends what waits; `Ready` once the connection has ended.
    fn poll_transmit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.fill();
            // Handing a frame out may have found its deadline over.
            router::act(&self.shared);
            if self.shared.core.lock().connection.is_closed() {
                return Poll::Ready(());
            }
            if self.queue.is_empty() && !self.flushing {
                let mut core = self.shared.core.lock();
                if !core.connection.is_drained() {
                    return Poll::Pending;
                }
                core.connection.connection_lost("this end went away");
                self.lingers = true;
                return Poll::Ready(());
            }
            let before = self.queue.len();
            let sent = self.channel.poll_send(cx, &mut self.queue);
            let taken = before.saturating_sub(self.queue.len());
            self.shared.core.lock().connection.taken(taken);
            match sent {
                Poll::Ready(Ok(())) => self.flushing = false,
                Poll::Ready(Err(error)) => return self.lost(&error.to_string()),
                Poll::Pending => {
                    self.flushing = true;
                    if taken == 0 {
                        return Poll::Pending;
                    }
                    // What was taken made room in the queue.
                }
            }
        }
    }

    /// Puts into the channel's queue what fits.
    fn fill(&mut self) {
        let mut bytes: usize = self.queue.iter().map(Bytes::len).sum();
        let mut core = self.shared.core.lock();
        while bytes < QUEUE_BYTES
            && self.queue.len() < QUEUE_FRAMES
            && let Some(frame) = core.connection.poll_transmit(now())
        {
            bytes += frame.len();
            self.queue.push_back(frame);
        }
    }

    fn lost(&mut self, cause: &str) -> Poll<()> {
        tracing::debug!(peer = %self.shared.identity, cause, "the connection went");
        self.shared.core.lock().connection.connection_lost(cause);
        Poll::Ready(())
    }

    /// Tells everybody, and keeps what may still be sent: a farewell, or the answer to a self-contained call.
    fn ended(&mut self) {
        router::act(&self.shared);
        router::end(&self.shared);
        if self.shared.core.lock().connection.untaken() == 0 {
            // What was handed out has been reported as not sent.
            self.queue.clear();
        }
        self.fill();
        self.timer.as_mut().reset(Instant::now() + Duration::from_millis(CLOSE_MS_MAX));
        self.stage = Stage::Closing;
    }

    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.queue.is_empty() || self.flushing {
            match ready!(self.channel.poll_send(cx, &mut self.queue)) {
                Ok(()) => self.flushing = false,
                Err(_) => return Poll::Ready(()),
            }
        }
        let closed = ready!(self.channel.poll_close(cx));
        if self.lingers && closed.is_ok() {
            self.stage = Stage::Lingering;
            return self.poll_lingering(cx);
        }
        Poll::Ready(())
    }

    fn poll_lingering(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        for _ in 0..FRAMES_AT_ONCE {
            match ready!(self.channel.poll_recv(cx)) {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        match driver.stage {
            Stage::Running => {
                ready!(driver.poll_running(cx));
                driver.ended();
                driver.poll_closing(cx)
            }
            Stage::Closing => driver.poll_closing(cx),
            Stage::Lingering => driver.poll_lingering(cx),
        }
    }
}

impl Drop for Driver {
    /// The task may be dropped with its runtime: whoever waits elsewhere must know.
    fn drop(&mut self) {
        self.shared.core.lock().connection.connection_lost("this end stopped");
        router::act(&self.shared);
        router::end(&self.shared);
    }
}
