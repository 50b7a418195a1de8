//! Frames on their way out, and which of them the channel has taken.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::call::{CallFrame, ReplyFrame};
use crate::id::RequestId;

/// What waits to be handed out.
pub(super) enum Waiting {
    /// A frame that is ready; with the request that it asks, if it asks one.
    Frame { bytes: Bytes, request: Option<RequestId> },
    /// A call, written when it is handed out: what is left of its time shrinks while it waits.
    Call { call: CallFrame, deadline: Instant, chunks: bool },
    /// Results, of which nothing but the announcement is written then.
    Reply(ReplyFrame),
}

impl Waiting {
    fn size(&self) -> usize {
        match self {
            Self::Frame { bytes, .. } => bytes.len(),
            Self::Call { call, .. } => call.encoded_len(),
            Self::Reply(reply) => reply.encoded_len(),
        }
    }

    fn request(&self) -> Option<RequestId> {
        match self {
            Self::Frame { request, .. } => *request,
            Self::Call { call, .. } => Some(call.id),
            Self::Reply(_) => None,
        }
    }
}

/// A frame that was handed out and not yet taken.
struct Handed {
    size: usize,
    request: Option<RequestId>,
}

/// The queue of one connection.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
    handed: VecDeque<Handed>,
    bytes: usize,
    /// Results in chunks that wait to be announced.
    replies: usize,
    /// Those of `bytes` that are no request of this end.
    answer_bytes: usize,
}

impl Outbox {
    /// Bytes that wait or were handed out and not taken.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of all but this end's own requests that wait or were handed out and not taken.
    pub(super) fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }

    /// Frames that wait or were handed out and not taken.
    pub(super) fn frames(&self) -> usize {
        self.waiting.len() + self.handed.len()
    }

    /// Frames that were handed out and not taken.
    pub(super) fn untaken(&self) -> usize {
        self.handed.len()
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.add(waiting.size(), waiting.request());
        self.replies += usize::from(matches!(waiting, Waiting::Reply(_)));
        self.waiting.push_back(waiting);
    }

    pub(super) fn push_frame(&mut self, bytes: Bytes) {
        self.push(Waiting::Frame { bytes, request: None });
    }

    /// The next one to hand out; [`handed`](Self::handed) must follow if it is.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.subtract(waiting.size(), waiting.request());
        self.replies -= usize::from(matches!(waiting, Waiting::Reply(_)));
        Some(waiting)
    }

    pub(super) fn handed(&mut self, size: usize, request: Option<RequestId>) {
        self.add(size, request);
        self.handed.push_back(Handed { size, request });
    }

    /// Takes back a request that was not handed out.
    pub(super) fn withdraw(&mut self, request: RequestId) {
        if let Some(place) = self.waiting.iter().position(|waiting| waiting.request() == Some(request))
            && let Some(waiting) = self.waiting.remove(place)
        {
            #[cfg(planted)]
            if crate::planted::has(crate::planted::Fault::BytesStayCounted) {
                return;
            }
            self.subtract(waiting.size(), waiting.request());
        }
    }

    /// Takes back results in chunks that were not announced; their request was given up.
    pub(super) fn withdraw_reply(&mut self, answered: RequestId) {
        if self.replies == 0 {
            return;
        }
        let is_it = |waiting: &Waiting| matches!(waiting, Waiting::Reply(reply) if reply.id == answered);
        if let Some(place) = self.waiting.iter().position(is_it)
            && let Some(waiting) = self.waiting.remove(place)
        {
            self.subtract(waiting.size(), None);
            self.replies -= 1;
        }
    }

    /// Notes that the channel took the oldest frame; the request that it asked, if it asked one.
    pub(super) fn taken(&mut self) -> Option<RequestId> {
        let handed = self.handed.pop_front()?;
        self.subtract(handed.size, handed.request);
        handed.request
    }

    fn add(&mut self, size: usize, request: Option<RequestId>) {
        self.bytes += size;
        self.answer_bytes += if request.is_none() { size } else { 0 };
    }

    fn subtract(&mut self, size: usize, request: Option<RequestId>) {
        self.bytes -= size;
        self.answer_bytes -= if request.is_none() { size } else { 0 };
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
