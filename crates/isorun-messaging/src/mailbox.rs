//! A bounded queue between many senders and one receiver, which outlives its receiver.
//!
//! All that is shared is behind one lock of `crate::sync`, so that `loom/` can build this file with locks of its own.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

/// How much a mailbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Most messages in it; at least 1 whatever is given.
    pub messages: usize,
    /// Most bytes of payloads and content types in it. One message that is larger by itself finds no room, ever.
    pub bytes: usize,
}

impl Default for MailboxLimits {
    /// 1,024 messages, 16 MiB.
    fn default() -> Self {
        Self { messages: 1_024, bytes: 16 << 20 }
    }
}

/// What a mailbox holds at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queued {
    /// Messages that wait.
    pub messages: usize,
    /// Bytes of their payloads and content types.
    pub bytes: usize,
}

/// Why something could not be put into a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// There is no room now.
    NoRoom,
    /// Nobody will take anything out of it.
    Closed,
}

/// A bounded queue. Dropping the receiving future loses nothing.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    limits: MailboxLimits,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<Slot<T>>,
    bounded: Queued,
    /// Of what is in the queue beyond the bound of messages.
    beyond_bytes: usize,
    accepted: u64,
    refused: u64,
    is_open: bool,
    /// The receiver's, while it waits.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Slot<T> {
    item: T,
    bytes: usize,
    is_bounded: bool,
}

/// A queue that has grown past this many gives its memory back once it is empty.
const KEPT_SLOTS: usize = 32;

impl<T> Mailbox<T> {
    /// An empty one. It takes no memory until something is put in.
    pub(crate) fn new(limits: MailboxLimits) -> Self {
        let limits = MailboxLimits { messages: limits.messages.max(1), ..limits };
        let state = State {
            queue: VecDeque::new(),
            bounded: Queued::default(),
            beyond_bytes: 0,
            accepted: 0,
            refused: 0,
            is_open: true,
            waker: None,
        };
        Self { limits, state: Mutex::new(state) }
    }

    /// Puts in what `make` makes, which is called only where there is room for `bytes` of it.
    pub(crate) fn push(&self, bytes: usize, make: impl FnOnce() -> T) -> Result<(), Full> {
        let mut state = self.state.lock();
        if !state.is_open {
            return Err(Full::Closed);
        }
        if state.bounded.messages >= self.limits.messages || bytes > self.limits.bytes - state.bounded.bytes {
            state.refused += 1;
            return Err(Full::NoRoom);
        }
        state.bounded.messages += 1;
        state.bounded.bytes += bytes;
        state.accepted += 1;
        state.queue.push_back(Slot { item: make(), bytes, is_bounded: true });
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Puts in what `make` makes, however many there are: somebody else bounds them. `make` is told whether there is room
    /// for `bytes` of it, of as many more as the mailbox may hold; where there is none, what it makes must hold a few words at most.
    ///
    /// Whether the mailbox is open; if not, `make` is not called.
    pub(crate) fn push_beyond(&self, bytes: usize, make: impl FnOnce(bool) -> T) -> bool {
        let mut state = self.state.lock();
        if !state.is_open {
            return false;
        }
        let fits = bytes <= self.limits.bytes - state.beyond_bytes;
        let bytes = if fits { bytes } else { 0 };
        state.beyond_bytes += bytes;
        state.queue.push_back(Slot { item: make(fits), bytes, is_bounded: false });
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// What is next, if something is there.
    pub(crate) fn try_pop(&self) -> Option<T> {
        self.state.lock().pop()
    }

    /// What is next; `None` once the mailbox is closed and empty. Only the receiver calls this.
    pub(crate) fn poll_pop(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        let mut state = self.state.lock();
        if let Some(item) = state.pop() {
            return Poll::Ready(Some(item));
        }
        if !state.is_open {
            return Poll::Ready(None);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Lets nothing in any more, and gives back what is there.
    pub(crate) fn close(&self) -> impl Iterator<Item = T> + use<T> {
        let mut state = self.state.lock();
        state.is_open = false;
        state.bounded = Queued::default();
        state.beyond_bytes = 0;
        let (queue, waker) = (std::mem::take(&mut state.queue), state.waker.take());
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        queue.into_iter().map(|slot| slot.item)
    }

    /// Lets things in again.
    pub(crate) fn open(&self) {
        self.state.lock().is_open = true;
    }

    /// What is in it, of what is bounded.
    pub(crate) fn queued(&self) -> Queued {
        self.state.lock().bounded
    }

    /// How many it took, of what is bounded, and how many found no room.
    pub(crate) fn accepted_and_refused(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.accepted, state.refused)
    }
}

impl<T> State<T> {
    fn pop(&mut self) -> Option<T> {
        let Slot { item, bytes, is_bounded } = self.queue.pop_front()?;
        if is_bounded {
            self.bounded.messages -= 1;
            self.bounded.bytes -= bytes;
        } else {
            self.beyond_bytes -= bytes;
        }
        if self.queue.is_empty() && self.queue.capacity() > KEPT_SLOTS {
            self.queue = VecDeque::new();
        }
        Some(item)
    }
}
