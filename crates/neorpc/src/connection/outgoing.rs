//! Requests of this end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{BindRequest, CHAIN_MAX, CallContext, CallFailed, Failure, FunctionIndex, Refusal, Reply};

use super::arrivals::Begun;
use super::event::{Event, ProtocolError};
use super::outbox::Waiting;
use super::{Connection, State, overloaded};
use crate::bind::{BindFrame, BoundFrame, DescribeFrame, DescribedFrame};
use crate::call::{CallFrame, Companions};
use crate::chunk::{Payload, ReplyInChunksFrame};
use crate::frame::{Frame, Kind};
use crate::hello::PeerLimits;
use crate::id::{BindingId, RequestId};
use crate::limits::{CALLS_MAX, DEADLINE_MS_MAX, QUEUE_BYTES_SOFT, WHOLE_BYTES_MAX};

/// A request of ours that has no answer.
pub(super) struct Pending {
    pub(super) asked: Asked,
    pub(super) stage: Stage,
    started: Instant,
}

#[derive(Clone, Copy)]
pub(super) enum Asked {
    Bind { functions: u32 },
    Describe,
    Call,
}

/// How far a request's frame has come.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// Still in here.
    Queued,
    /// Handed out; it counts as not sent.
    Handed,
    /// Taken by the channel, and all chunks with it: it may have arrived.
    Sent,
}

impl Connection {
    /// Asks for a binding; [`Event::Bound`] answers.
    ///
    /// # Errors
    /// [`Failure::NotSent`] before both said hello, after the end or a going-away, and for a request that no frame holds;
    /// [`Refusal::Overloaded`] where too much is under way.
    pub fn bind(
        &mut self,
        now: Instant,
        instance: &str,
        want: &BindRequest,
        deadline: Instant,
    ) -> Result<RequestId, Failure> {
        let id = RequestId(self.next);
        let frame = Frame::Bind(BindFrame { id, instance: instance.to_owned(), want: want.clone() });
        let functions = u32::try_from(want.functions.len()).unwrap_or(u32::MAX);
        self.ask(now, &frame, Asked::Bind { functions }, deadline)
    }

    /// Gives a binding back: nothing may call through it afterwards.
    pub fn unbind(&mut self, binding: BindingId) {
        if matches!(self.state, State::Open { .. })
            && let Ok(frame) = Frame::Unbind(binding).encode()
        {
            self.outbox.push_frame(frame);
        }
    }

    /// Asks for an instance's ledger; [`Event::Described`] answers.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn describe(&mut self, now: Instant, instance: &str, deadline: Instant) -> Result<RequestId, Failure> {
        let id = RequestId(self.next);
        let frame = Frame::Describe(DescribeFrame { id, instance: instance.to_owned() });
        self.ask(now, &frame, Asked::Describe, deadline)
    }

    /// Calls a function; [`Event::Returned`] answers, at the deadline at the latest.
    ///
    /// # Errors
    /// [`Failure::NotSent`] before both said hello, after the end or a going-away, and for arguments over what a value
    /// may be, or a frame where the other end takes no chunks, naming limit and size; [`Failure::Deadline`] where less than a millisecond is left; [`Refusal::Overloaded`] where
    /// too much is under way, and [`Refusal::ChainTooLong`].
    pub fn call(
        &mut self,
        now: Instant,
        binding: BindingId,
        function: FunctionIndex,
        cx: &CallContext,
        args: Bytes,
    ) -> Result<RequestId, Failure> {
        let peer = self.admit()?;
        if cx.chain.len() > CHAIN_MAX {
            return Err(Refusal::ChainTooLong { limit: CHAIN_MAX as u64 }.into());
        }
        let with = Companions::of(cx, now);
        if with.deadline_ms == 0 {
            return Err(Failure::Deadline { waited_ms: 0 });
        }
        let call = CallFrame { id: RequestId(self.next), binding, function, with, args };
        let chunks = self.in_chunks(call.encoded_len(), call.args.len());
        match chunks {
            true => fits("value", call.args.len(), neopack::VALUE_BYTES_MAX as usize)?,
            false => fits("call frame", call.encoded_len(), peer.frame_bytes_max)?,
        }
        let deadline = capped(cx.deadline, now);
        let id = self.issue(now, Asked::Call, deadline);
        self.outbox.push(Waiting::Call { call, deadline, chunks });
        Ok(id)
    }

    /// Gives a request up: no event will come for it. Returns whether it was still under way.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let Some(pending) = self.forget(id) else { return false };
        self.withdraw(id, pending.stage);
        true
    }

    /// Whether a frame goes out in chunks.
    pub(super) fn in_chunks(&self, frame_bytes: usize, payload_bytes: usize) -> bool {
        let whole = payload_bytes <= WHOLE_BYTES_MAX && frame_bytes <= self.frame_bytes_max();
        self.agreed.chunks && !whole && payload_bytes > 0
    }

    fn ask(&mut self, now: Instant, frame: &Frame, asked: Asked, deadline: Instant) -> Result<RequestId, Failure> {
        let peer = self.admit()?;
        let bytes = frame.encode().map_err(|error| Failure::NotSent { cause: error.to_string() })?;
        fits(&format!("{} frame", frame.kind()), bytes.len(), peer.frame_bytes_max)?;
        let id = self.issue(now, asked, capped(deadline, now));
        self.outbox.push(Waiting::Frame { bytes, request: Some(id) });
        Ok(id)
    }

    /// Whether there is room for one request more.
    fn admit(&self) -> Result<PeerLimits, Failure> {
        let peer = match &self.state {
            State::Open { .. } if self.peer_leaves => {
                return Err(Failure::NotSent { cause: "the other end is going away".to_owned() });
            }
            State::Open { peer, .. } => *peer,
            State::Greeted { .. } | State::Listening { .. } | State::Once => {
                return Err(Failure::NotSent { cause: "the peer has not said hello".to_owned() });
            }
            State::Closed { cause } => return Err(Failure::NotSent { cause: cause.clone() }),
        };
        let calls_max = peer.calls_max.min(CALLS_MAX);
        if self.pending.len() >= calls_max as usize {
            return Err(overloaded("requests in flight on a connection", u64::from(calls_max)));
        }
        if self.waiting_bytes() > QUEUE_BYTES_SOFT {
            return Err(overloaded("bytes waiting to be sent on a connection", QUEUE_BYTES_SOFT as u64));
        }
        let frames_max = 2 * CALLS_MAX as usize;
        if self.waiting_frames() >= frames_max {
            return Err(overloaded("frames waiting to be sent on a connection", frames_max as u64));
        }
        Ok(peer)
    }

    fn issue(&mut self, now: Instant, asked: Asked, deadline: Instant) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        #[cfg(planted)]
        let deadline = if crate::planted::has(crate::planted::Fault::LateDeadline) {
            deadline + Duration::from_millis(20)
        } else {
            deadline
        };
        self.deadlines.insert(deadline, id);
        self.pending.insert(id, Pending { asked, stage: Stage::Queued, started: now });
        id
    }

    /// The request that `id` names; `None` for one that ended without this answer.
    pub(super) fn asked(&self, found: Kind, id: RequestId) -> Result<Option<Asked>, ProtocolError> {
        if id == RequestId::NONE || id.0 >= self.next {
            return Err(ProtocolError::NeverIssued { found, id });
        }
        match self.pending.get(&id) {
            None => Ok(None),
            Some(Pending { stage: Stage::Queued, .. }) => Err(ProtocolError::NeverIssued { found, id }),
            Some(Pending { stage: Stage::Handed | Stage::Sent, asked, .. }) => Ok(Some(*asked)),
        }
    }

    pub(super) fn bound(&mut self, frame: BoundFrame) -> Result<(), ProtocolError> {
        let BoundFrame { id, result } = frame;
        match (self.asked(Kind::Bound, id)?, &result) {
            (None, Ok(table)) => {
                // Nobody waits for it any more, and the other end holds it.
                self.unbind(table.binding);
                Ok(())
            }
            (None, Err(_)) => Ok(()),
            (Some(Asked::Bind { functions }), Ok(table)) if table.functions != functions => {
                Err(ProtocolError::WrongTable { id, wanted: functions, found: table.functions })
            }
            (Some(Asked::Bind { .. }), _) => {
                self.forget(id);
                self.events.push_back(Event::Bound { id, result });
                Ok(())
            }
            (Some(Asked::Describe | Asked::Call), _) => Err(ProtocolError::WrongAnswer { found: Kind::Bound, id }),
        }
    }

    pub(super) fn described(&mut self, frame: DescribedFrame) -> Result<(), ProtocolError> {
        let DescribedFrame { id, result } = frame;
        match self.asked(Kind::Described, id)? {
            None => Ok(()),
            Some(Asked::Describe) => {
                self.forget(id);
                self.events.push_back(Event::Described { id, result });
                Ok(())
            }
            Some(Asked::Bind { .. } | Asked::Call) => Err(ProtocolError::WrongAnswer { found: Kind::Described, id }),
        }
    }

    pub(super) fn returned(
        &mut self,
        found: Kind,
        id: RequestId,
        result: Result<Reply, CallFailed>,
    ) -> Result<(), ProtocolError> {
        match self.asked(found, id)? {
            None => Ok(()),
            Some(Asked::Call) => {
                #[cfg(planted)]
                let id = self.planted_oldest().unwrap_or(id);
                self.forget(id);
                self.events.push_back(Event::Returned { id, result });
                Ok(())
            }
            Some(Asked::Bind { .. } | Asked::Describe) => Err(ProtocolError::WrongAnswer { found, id }),
        }
    }

    /// Results come in chunks.
    pub(super) fn returns(&mut self, frame: &ReplyInChunksFrame) -> Result<(), ProtocolError> {
        let ReplyInChunksFrame { id, fuel_used, results_bytes } = *frame;
        let found = Kind::ReplyInChunks;
        match self.asked(found, id)? {
            None => return Ok(()),
            Some(Asked::Call) => {}
            Some(Asked::Bind { .. } | Asked::Describe) => return Err(ProtocolError::WrongAnswer { found, id }),
        }
        let max = u64::from(neopack::VALUE_BYTES_MAX);
        let size = usize::try_from(results_bytes).unwrap_or(usize::MAX);
        if results_bytes == 0 || results_bytes > max {
            return Err(ProtocolError::PayloadSize { id, size: results_bytes, max });
        }
        if !self.arrivals.begin((id, Payload::Results), Begun::Reply { fuel_used }, size) {
            return Err(ProtocolError::Twice { found });
        }
        Ok(())
    }

    /// Ends a request whose time is over.
    pub(super) fn expire(&mut self, id: RequestId, now: Instant) {
        let Some(pending) = self.forget(id) else { return };
        self.withdraw(id, pending.stage);
        #[cfg(planted)]
        if crate::planted::has(crate::planted::Fault::ExpiredStays) {
            self.pending.insert(id, Pending { asked: pending.asked, stage: pending.stage, started: now });
        }
        let waited = now.saturating_duration_since(pending.started).as_millis();
        let waited_ms = u64::try_from(waited).unwrap_or(u64::MAX);
        self.report(id, pending.asked, Failure::Deadline { waited_ms });
    }

    /// Ends a request because the connection ended.
    pub(super) fn lose(&mut self, id: RequestId, cause: &str) {
        let Some(pending) = self.forget(id) else { return };
        let cause = cause.to_owned();
        let failure = match (pending.asked, pending.stage) {
            (Asked::Call, Stage::Sent) => Failure::Unknown { cause },
            (Asked::Call, Stage::Queued | Stage::Handed) | (Asked::Bind { .. } | Asked::Describe, _) => {
                Failure::NotSent { cause }
            }
        };
        self.report(id, pending.asked, failure);
    }

    pub(super) fn resolve(&mut self, id: RequestId, failure: Failure) {
        if let Some(pending) = self.forget(id) {
            self.report(id, pending.asked, failure);
        }
    }

    /// The other end takes no request above `last`.
    pub(super) fn peer_goes(&mut self, last: RequestId) -> Result<(), ProtocolError> {
        let found = Kind::GoingAway;
        if !self.agreed.going_away {
            return Err(ProtocolError::NotAnnounced { found });
        }
        if self.peer_leaves {
            return Err(ProtocolError::Twice { found });
        }
        let never_sent = |(id, pending): (&RequestId, &Pending)| *id <= last && matches!(pending.stage, Stage::Queued);
        if last.0 >= self.next || self.pending.iter().any(never_sent) {
            return Err(ProtocolError::NeverIssued { found, id: last });
        }
        self.peer_leaves = true;
        let mut left: Vec<RequestId> = self.pending.keys().copied().filter(|id| *id > last).collect();
        left.sort_unstable();
        for id in left {
            self.outbox.withdraw(id);
            self.resolve(id, Failure::NotSent { cause: "the other end is going away".to_owned() });
        }
        self.events.push_back(Event::GoingAway);
        Ok(())
    }

    fn report(&mut self, id: RequestId, asked: Asked, failure: Failure) {
        self.events.push_back(match asked {
            Asked::Bind { .. } => Event::Bound { id, result: Err(failure) },
            Asked::Describe => Event::Described { id, result: Err(failure) },
            Asked::Call => Event::Returned { id, result: Err(failure.into()) },
        });
    }

    #[cfg(planted)]
    fn planted_oldest(&self) -> Option<RequestId> {
        let calls = self.pending.iter().filter(|(_, pending)| matches!(pending.asked, Asked::Call));
        let oldest = calls.map(|(id, _)| *id).min();
        oldest.filter(|_| crate::planted::has(crate::planted::Fault::ReplyToOldest))
    }

    fn forget(&mut self, id: RequestId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.deadlines.settle(&self.pending);
        self.streams.remove((id, Payload::Arguments));
        self.give_up_arrival((id, Payload::Results));
        Some(pending)
    }

    /// Takes a request's frame back, or tells the other end to stop.
    fn withdraw(&mut self, id: RequestId, stage: Stage) {
        #[cfg(planted)]
        if crate::planted::has(crate::planted::Fault::CancelNotWithdrawn) {
            return;
        }
        match stage {
            Stage::Queued => self.outbox.withdraw(id),
            Stage::Handed | Stage::Sent => {
                if let Ok(frame) = Frame::Cancel(id).encode() {
                    self.outbox.push_frame(frame);
                }
            }
        }
    }
}

fn fits(what: &str, size: usize, max: usize) -> Result<(), Failure> {
    if size > max {
        return Err(Failure::NotSent { cause: format!("a {what} of {size} bytes, the limit is {max}") });
    }
    Ok(())
}

/// Nothing waits longer than a day.
fn capped(deadline: Instant, now: Instant) -> Instant {
    now.checked_add(Duration::from_millis(DEADLINE_MS_MAX)).map_or(deadline, |latest| deadline.min(latest))
}
