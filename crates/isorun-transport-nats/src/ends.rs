//! What the two halves of a channel's end share: the one that is polled, and the task that hears the other end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use async_nats::message::OutboundMessage;
use async_nats::{Client, Subject};
use bytes::{Bytes, BytesMut};
use futures_util::Sink;
use isorun_core::{FRAME_BYTES_MAX, TransportError};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::note::{DATA_HEADER_BYTES, Note, Window};
use crate::server::{SUBSCRIPTION_MESSAGES_MAX, server_lost};

/// Messages of frames that an end takes before the other has to wait for it to read.
pub const WINDOW_MESSAGES: u32 = 256;

/// Bytes of frames that an end takes before the other has to wait for it to read.
///
/// Raising it raises the worst case held per channel, which is this and one frame.
pub const WINDOW_BYTES: u64 = 2 << 20;

/// How long ago the other end may have been heard when a frame is begun, in milliseconds; otherwise it is asked first.
///
/// A frame for one that died is thus mostly still in the queue, where it was *not sent*, at the price of a round trip after
/// a time of silence.
pub const FRESH_MS: u64 = 100;

/// Most bytes of a frame in one message, whatever more the server allows: what is large gives way to what is small.
pub(crate) const PART_BYTES_MAX: usize = 128 << 10;

/// What this end takes.
pub(crate) const WINDOW: Window = Window { messages: WINDOW_MESSAGES, bytes: WINDOW_BYTES };

// What a window allows and what tells of it fit the subscription, so that an honest end never overruns it.
const _: () = assert!((WINDOW_MESSAGES as usize) * 2 < SUBSCRIPTION_MESSAGES_MAX);
// A part fits into half a window, so that one is on its way while another is read.
const _: () = assert!((PART_BYTES_MAX as u64) * 2 <= WINDOW_BYTES);

/// Both halves' state, and what wakes the task.
pub(crate) struct Ends {
    state: Mutex<State>,
    /// The task has something to say.
    pub(crate) work: Notify,
}

/// Where messages go.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The other end's subject.
    pub(crate) to: Subject,
    /// This end's, to which the server says that nobody is there.
    pub(crate) back: Subject,
    /// Most bytes of a frame in one message.
    pub(crate) part_bytes: usize,
}

pub(crate) struct State {
    // What goes out.
    sent: u64,
    sent_bytes: u64,
    taken: u64,
    taken_bytes: u64,
    window: Window,
    sender: Waker,
    // What comes in.
    inbound: VecDeque<Part>,
    received: u64,
    received_bytes: u64,
    given: u64,
    given_bytes: u64,
    told: u64,
    told_bytes: u64,
    receiver: Waker,
    /// The other end sends no more.
    finished: bool,
    /// The other end is no more.
    gone: bool,
    /// What ended the channel for both ways.
    fault: Option<TransportError>,
    /// The polled half is no more.
    pub(crate) dropped: bool,
    // Whether the other end is there.
    /// Begins no frame unless it is.
    asks: bool,
    heard: Instant,
    /// It is to be asked.
    ask: bool,
    /// It was, and has not been heard since.
    asked: bool,
    /// It answered: the next frame may be begun, however late this end gets to it.
    answered: bool,
    /// It asked.
    owes: bool,
}

/// A frame, or a part of one.
struct Part {
    goes_on: bool,
    bytes: Bytes,
}

impl Ends {
    /// The halves of the end that opened: what the other end takes is `window`, and `sent` bytes of a frame went out with the
    /// request.
    pub(crate) fn opened(window: Window, sent: usize) -> Arc<Self> {
        let ends = Self::new(window, true);
        if sent > 0 {
            let mut state = ends.lock();
            (state.sent, state.sent_bytes) = (1, sent as u64);
        }
        ends
    }

    /// The halves of the end that was asked: `first` is a frame that came with the request.
    ///
    /// Its status goes out at once, so that one who asked and is gone again takes no place.
    pub(crate) fn accepted(window: Window, first: Bytes) -> Arc<Self> {
        let ends = Self::new(window, false);
        {
            let mut state = ends.lock();
            state.owes = true;
            if !first.is_empty() {
                state.data(0, false, first);
            }
        }
        ends.work.notify_one();
        ends
    }

    fn new(window: Window, asks: bool) -> Arc<Self> {
        let state = State {
            sent: 0,
            sent_bytes: 0,
            taken: 0,
            taken_bytes: 0,
            window,
            sender: Waker::noop().clone(),
            inbound: VecDeque::new(),
            received: 0,
            received_bytes: 0,
            given: 0,
            given_bytes: 0,
            told: 0,
            told_bytes: 0,
            receiver: Waker::noop().clone(),
            finished: false,
            gone: false,
            fault: None,
            dropped: false,
            asks,
            heard: Instant::now(),
            ask: false,
            asked: false,
            answered: false,
            owes: false,
        };
        Arc::new(Self { state: Mutex::new(state), work: Notify::new() })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a message of the other end.
    pub(crate) fn hear(&mut self, note: Result<Note, &'static str>) {
        if self.fault.is_some() {
            return;
        }
        self.heard = Instant::now();
        if std::mem::take(&mut self.asked) {
            self.answered = true;
            self.sender.wake_by_ref();
        }
        match note {
            Ok(Note::Data { number, goes_on, bytes }) => self.data(number, goes_on, bytes),
            Ok(Note::Status { asks, sent, taken, taken_bytes }) => {
                self.owes |= asks;
                self.count(sent);
                let honest = (self.taken..=self.sent).contains(&taken)
                    && (self.taken_bytes..=self.sent_bytes).contains(&taken_bytes);
                if !honest {
                    self.fail(lost("the other end counts what was never sent"));
                } else if (taken, taken_bytes) != (self.taken, self.taken_bytes) {
                    (self.taken, self.taken_bytes) = (taken, taken_bytes);
                    self.sender.wake_by_ref();
                }
            }
            Ok(Note::Fin { sent }) => {
                self.count(sent);
                self.finished = self.fault.is_none();
            }
            Ok(Note::Gone { sent }) => {
                if !self.finished {
                    self.count(sent);
                }
                if self.fault.is_none() {
                    (self.finished, self.gone) = (true, true);
                }
                self.sender.wake_by_ref();
            }
            Ok(Note::Open { .. } | Note::Accept { .. }) => self.fail(lost("the other end opened it twice")),
            Err(problem) => self.fail(lost(problem)),
        }
        if self.finished {
            self.receiver.wake_by_ref();
        }
    }

    fn data(&mut self, number: u64, goes_on: bool, bytes: Bytes) {
        let size = bytes.len() as u64;
        let held = (self.received - self.given, self.received_bytes - self.given_bytes);
        if self.finished {
            self.fail(lost("a frame came after the last"));
        } else if number != self.received {
            self.fail(missing(self.received, number));
        } else if held.0 >= u64::from(WINDOW_MESSAGES) || held.1 + size > WINDOW_BYTES {
            self.fail(lost("the other end sends more than it may"));
        } else {
            self.received += 1;
            self.received_bytes += size;
            self.inbound.push_back(Part { goes_on, bytes });
            self.receiver.wake_by_ref();
        }
    }

    /// The other end has sent so many messages of frames: all came, or some never will.
    fn count(&mut self, sent: u64) {
        if sent != self.received {
            self.fail(missing(self.received, sent));
        }
    }

    /// Ends the channel, both ways, unless it has ended.
    pub(crate) fn fail(&mut self, fault: TransportError) {
        if !self.gone {
            self.fault.get_or_insert(fault);
        }
        self.sender.wake_by_ref();
        self.receiver.wake_by_ref();
    }

    /// Whether nothing can come or go any more.
    pub(crate) fn is_over(&self) -> bool {
        self.fault.is_some() || self.gone
    }

    /// Whether the other end should know how far this one is: it asked or is asked, or enough was read.
    pub(crate) fn is_owed_status(&self) -> bool {
        let (messages, bytes) = (self.given - self.told, self.given_bytes - self.told_bytes);
        self.owes || self.ask || messages >= u64::from(WINDOW_MESSAGES / 4) || bytes >= WINDOW_BYTES / 4
    }

    /// Whether the other end was heard just now; where not, it is asked, and whoever sends is woken by its answer.
    fn is_fresh(&mut self, work: &Notify) -> bool {
        if !self.asks || self.answered || self.heard.elapsed() < Duration::from_millis(FRESH_MS) {
            return true;
        }
        if !self.asked {
            (self.ask, self.asked) = (true, true);
            work.notify_one();
        }
        false
    }

    /// How far this end is.
    pub(crate) fn status(&mut self) -> Note {
        (self.told, self.told_bytes) = (self.given, self.given_bytes);
        self.owes = false;
        Note::Status {
            asks: std::mem::take(&mut self.ask),
            sent: self.sent,
            taken: self.given,
            taken_bytes: self.given_bytes,
        }
    }

    /// The last word.
    pub(crate) fn gone(&self) -> Note {
        Note::Gone { sent: self.sent }
    }

    /// Why nothing can be sent, if so.
    fn cannot_send(&self) -> Option<TransportError> {
        self.fault.clone().or_else(|| self.gone.then_some(TransportError::Closed))
    }

    /// The same; whoever hears that it can be sent is woken when it no longer can.
    pub(crate) fn cannot_send_or_wake(&mut self, cx: &Context<'_>) -> Option<TransportError> {
        self.sender.clone_from(cx.waker());
        self.cannot_send()
    }

    fn may_send(&self, bytes: usize) -> bool {
        let (messages, on_the_way) = (self.sent - self.taken, self.sent_bytes - self.taken_bytes);
        messages < u64::from(self.window.messages)
            && on_the_way.checked_add(bytes as u64).is_some_and(|bytes| bytes <= self.window.bytes)
    }
}

fn lost(cause: &str) -> TransportError {
    TransportError::Lost { cause: cause.to_owned() }
}

fn missing(due: u64, number: u64) -> TransportError {
    TransportError::Lost { cause: format!("of its messages {due} should have come, and {number} did") }
}

/// Sends frames, in parts where they are large.
#[derive(Default)]
pub(crate) struct Sender {
    /// What is left of a frame that was begun.
    rest: Bytes,
    /// What ended the sending, given again to whoever asks again.
    failed: Option<TransportError>,
    finished: bool,
}

impl Sender {
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        ends: &Ends,
        (client, route): (&mut Client, &Route),
        queue: &mut VecDeque<Bytes>,
    ) -> Poll<Result<(), TransportError>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        loop {
            if self.rest.is_empty() {
                let Some(frame) = queue.front() else { return Poll::Ready(Ok(())) };
                if self.finished {
                    return Poll::Ready(self.fail(TransportError::Closed));
                }
                if frame.is_empty() || frame.len() > FRAME_BYTES_MAX {
                    let size = frame.len();
                    return Poll::Ready(self.fail(TransportError::FrameSize { size, max: FRAME_BYTES_MAX }));
                }
                let frame = frame.clone();
                ready!(self.poll_part(cx, ends, client, route, &frame))?;
                // Its first part has left, and not before.
                let _ = queue.pop_front();
            } else {
                let rest = self.rest.clone();
                ready!(self.poll_part(cx, ends, client, route, &rest))?;
            }
        }
    }

    /// Finishes the frame that was begun, and says that there are no more; `Ready` once the connection has it.
    pub(crate) fn poll_finish(
        &mut self,
        cx: &mut Context<'_>,
        ends: &Ends,
        client: &mut Client,
        route: &Route,
    ) -> Poll<Result<(), TransportError>> {
        while !self.rest.is_empty() {
            let rest = self.rest.clone();
            ready!(self.poll_part(cx, ends, client, route, &rest))?;
        }
        if !self.finished {
            // Woken where the channel ends before the connection takes it.
            ends.lock().sender.clone_from(cx.waker());
            let fin = |state: &mut State| Note::Fin { sent: state.sent };
            if let Err(error) = ready!(poll_say(cx, ends, client, route, fin)) {
                return Poll::Ready(self.fail(error));
            }
            self.finished = true;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Sends the next part of `frame`; what is left of it then is `rest`.
    fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
        ends: &Ends,
        client: &mut Client,
        route: &Route,
        frame: &Bytes,
    ) -> Poll<Result<(), TransportError>> {
        let size = frame.len().min(route.part_bytes);
        {
            // Asked before the connection is: whoever waits to be allowed takes no place in its queue.
            let mut state = ends.lock();
            state.sender.clone_from(cx.waker());
            let begun = !self.rest.is_empty();
            if state.cannot_send().is_none() && !(state.may_send(size) && (begun || state.is_fresh(&ends.work))) {
                return Poll::Pending;
            }
        }
        let part = |state: &mut State| {
            let number = state.sent;
            state.answered = false;
            state.sent += 1;
            state.sent_bytes += size as u64;
            Note::Data { number, goes_on: size < frame.len(), bytes: frame.slice(..size) }
        };
        match ready!(poll_say(cx, ends, client, route, part)) {
            Ok(()) => self.rest = frame.slice(size..),
            Err(error) => return Poll::Ready(self.fail(error)),
        }
        Poll::Ready(Ok(()))
    }

    fn fail(&mut self, error: TransportError) -> Result<(), TransportError> {
        self.failed = Some(error.clone());
        Err(error)
    }
}

/// Gives the connection one message, made while nobody else says anything on the channel.
pub(crate) fn poll_say(
    cx: &mut Context<'_>,
    ends: &Ends,
    client: &mut Client,
    route: &Route,
    make: impl FnOnce(&mut State) -> Note,
) -> Poll<Result<(), TransportError>> {
    let mut client = Pin::new(client);
    if let Some(error) = ends.lock().cannot_send() {
        return Poll::Ready(Err(error));
    }
    if ready!(client.as_mut().poll_ready(cx)).is_err() {
        return Poll::Ready(Err(server_lost()));
    }
    // What is counted as sent goes before what tells of it: both are given away under the lock.
    let mut state = ends.lock();
    if let Some(error) = state.cannot_send() {
        return Poll::Ready(Err(error));
    }
    let payload = make(&mut state).encode();
    let (subject, reply) = (route.to.clone(), Some(route.back.clone()));
    let message = OutboundMessage { subject, reply, payload, headers: None };
    Poll::Ready(client.start_send(message).map_err(|_| server_lost()))
}

/// Puts frames together.
#[derive(Default)]
pub(crate) struct Receiver {
    begun: BytesMut,
    /// What ended the receiving, given again to whoever asks again.
    failed: Option<TransportError>,
}

impl Receiver {
    pub(crate) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        ends: &Ends,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        let mut state = ends.lock();
        while let Some(Part { goes_on, bytes }) = state.inbound.pop_front() {
            state.given += 1;
            state.given_bytes += bytes.len() as u64;
            if state.is_owed_status() {
                ends.work.notify_one();
            }
            let size = self.begun.len() + bytes.len();
            if size > FRAME_BYTES_MAX || bytes.is_empty() {
                let error = TransportError::FrameSize { size, max: FRAME_BYTES_MAX };
                state.fail(error.clone());
                return self.fail(error);
            }
            if !goes_on && self.begun.is_empty() {
                return Poll::Ready(Ok(Some(bytes)));
            }
            self.begun.extend_from_slice(&bytes);
            if !goes_on {
                return Poll::Ready(Ok(Some(std::mem::take(&mut self.begun).freeze())));
            }
        }
        if state.finished {
            let cut_short = !self.begun.is_empty();
            return if cut_short {
                self.fail(lost("it ended in the middle of a frame"))
            } else {
                Poll::Ready(Ok(None))
            };
        }
        if let Some(error) = state.fault.clone() {
            return self.fail(error);
        }
        state.receiver.clone_from(cx.waker());
        Poll::Pending
    }

    fn fail(&mut self, error: TransportError) -> Poll<Result<Option<Bytes>, TransportError>> {
        self.begun = BytesMut::new();
        self.failed = Some(error.clone());
        Poll::Ready(Err(error))
    }
}

/// Most bytes of a frame in a message, where the server takes messages of `max_payload` bytes.
pub(crate) fn part_bytes(max_payload: usize) -> usize {
    max_payload.saturating_sub(DATA_HEADER_BYTES).clamp(1, PART_BYTES_MAX)
}
