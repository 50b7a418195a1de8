//! The task of one connection: moves frames between the channel and the state machine, where no caller does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::io::{FRAMES_AT_ONCE, Turn};
use crate::options::CLOSE_MS_MAX;
use crate::peer::{Shared, now};
use crate::router::{self, After, Place};

/// Requests under way, either way, from which on frames wait until all who were woken have had their turn: so the frames
/// of many leave in one write.
const CROWD: usize = 4;

/// How long a channel may have something that the caller who leads has not looked at, in milliseconds.
///
/// A leader that is woken and not polled holds up all others for so long.
const LEAD_MS: u64 = 10;

pub(crate) struct Driver {
    shared: Arc<Shared>,
    timer: Pin<Box<Sleep>>,
    /// When the timer goes off, if it is set.
    armed: Option<Instant>,
    /// When the one who leads is looked after.
    watch: Option<Instant>,
    /// All who were woken before have had their turn.
    gave_way: bool,
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
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let timer = Box::pin(sleep_until(Instant::now()));
        Self { shared, timer, armed: None, watch: None, gave_way: false, stage: Stage::Running, lingers: false }
    }

    /// Goes on until nothing can be done; `Ready` once the connection has ended, with the reason.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.shared);
        shared.bell.drive(cx.waker());
        {
            let mut core = shared.core.lock();
            if core.released {
                core.connection.connection_lost("this end closed the connection");
                return Poll::Ready(());
            }
            // Whoever has something to say while this runs is heard at its end.
            core.driver = None;
            core.called = false;
            let crowd = core.connection.in_flight() + core.connection.in_service();
            if crowd >= CROWD && !self.gave_way && !shared.bell.rang() {
                self.gave_way = true;
                drop(core);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        self.gave_way = false;
        let mut io = shared.io.lock();
        shared.bell.heard();
        // Before anything is sent, so that answers leave together with what they set off.
        let received = io.receive(&shared, &mut Place::Driver(cx));
        if received == Turn::Ended || self.poll_timer(cx).is_ready() {
            return Poll::Ready(());
        }
        if io.transmit(&shared, &mut Place::Driver(cx)) == Turn::Ended {
            return Poll::Ready(());
        }
        let mut core = shared.core.lock();
        if io.queue.is_empty() && !io.flushing && core.connection.is_drained() {
            core.connection.connection_lost("this end went away");
            self.lingers = true;
            return Poll::Ready(());
        }
        core.driver = Some(cx.waker().clone());
        if received == Turn::More || core.called {
            core.wake();
        }
        Poll::Pending
    }

    /// Lets deadlines pass; `Ready` once the connection has ended.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = {
                let mut core = self.shared.core.lock();
                let now = Instant::now();
                if self.watch.is_none_or(|watch| watch <= now) {
                    core.watched = core.leader.is_some() || std::mem::take(&mut core.led);
                    self.watch = core.watched.then(|| now + Duration::from_millis(LEAD_MS));
                }
                let due = core.connection.poll_timeout().map(Instant::from_std).into_iter().chain(self.watch).min();
                // A timer that goes off too early is cheaper than one that is set anew for every call.
                if let Some(due) = due
                    && self.armed.is_none_or(|armed| due < armed)
                {
                    self.timer.as_mut().reset(due);
                    self.armed = Some(due);
                }
                core.armed = self.armed.map(Instant::into_std);
                due
            };
            if due.is_none() || self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
            let mut core = self.shared.core.lock();
            let handled = core.connection.handle_timeout(now());
            router::act_locked(&self.shared, core, &mut Place::Driver(cx), &mut After::default());
            if let Err(error) = handled {
                self.shared.refusals.connection(&self.shared.identity, &error);
                return Poll::Ready(());
            }
        }
    }

    /// Tells everybody, and keeps what may still be sent: a farewell, or the answer to a self-contained call.
    fn ended(&mut self, cx: &mut Context<'_>) {
        let place = &mut Place::Driver(cx);
        router::act(&self.shared, place);
        router::end(&self.shared);
        let mut io = self.shared.io.lock();
        if self.shared.core.lock().connection.untaken() == 0 {
            // What was handed out has been reported as not sent.
            io.queue.clear();
        }
        io.fill(&self.shared, self.shared.core.lock(), place);
        self.timer.as_mut().reset(Instant::now() + Duration::from_millis(CLOSE_MS_MAX));
        self.stage = Stage::Closing;
    }

    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut io = self.shared.io.lock();
        let io = &mut *io;
        let Some(channel) = &mut io.channel else { return Poll::Ready(()) };
        if !io.queue.is_empty() || io.flushing {
            match ready!(channel.poll_send(cx, &mut io.queue)) {
                Ok(()) => io.flushing = false,
                Err(_) => return Poll::Ready(()),
            }
        }
        let closed = ready!(channel.poll_close(cx));
        if self.lingers && closed.is_ok() {
            self.stage = Stage::Lingering;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn poll_lingering(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut io = self.shared.io.lock();
        let Some(channel) = &mut io.channel else { return Poll::Ready(()) };
        for _ in 0..FRAMES_AT_ONCE {
            match ready!(channel.poll_recv(cx)) {
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
                driver.ended(cx);
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
        router::act(&self.shared, &mut Place::Caller(None));
        router::end(&self.shared);
        let channel = self.shared.io.lock().channel.take();
        drop(channel);
    }
}
