//! Requests of the other end.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use isorun_core::{CallContext, CallFailed, Failure, Fault, FunctionIndex, Refusal, Reply};

use super::arrivals::Begun;
use super::event::{Event, ProtocolError};
use super::outbox::Waiting;
use super::{Connection, Leaving, Serving, State, overloaded};
use crate::bind::{BindFrame, BoundFrame, DescribeFrame, DescribedFrame, Description, FunctionTable};
use crate::call::{CallFrame, Companions, FailureFrame, ReplyFrame, SelfContainedCall};
use crate::chunk::{CallInChunksFrame, Payload};
use crate::frame::{Frame, Kind};
use crate::id::{BindingId, RequestId};
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_BYTES_SOFT, ARGS_BYTES_MAX};

impl Connection {
    /// Answers a bind. The number of the new binding; `None` where it was refused, or nobody waits for it any more.
    pub fn answer_bind(&mut self, id: RequestId, result: Result<(), Failure>) -> Option<BindingId> {
        let Some(Serving::Bind { functions }) = self.serving.get(&id) else { return None };
        let functions = *functions;
        self.serving.remove(&id);
        match result {
            Ok(()) => {
                let binding = BindingId(self.next_binding);
                self.next_binding += 1;
                self.bindings.insert(binding, functions);
                self.put_bound(id, Ok(FunctionTable { binding, functions }));
                Some(binding)
            }
            Err(failure) => {
                self.put_bound(id, Err(failure));
                None
            }
        }
    }

    /// Answers a describe; returns whether anybody still waits for it.
    pub fn answer_describe(&mut self, id: RequestId, result: Result<impl Into<Description>, Failure>) -> bool {
        let Some(Serving::Describe) = self.serving.get(&id) else { return false };
        self.serving.remove(&id);
        self.put_described(id, result.map(Into::into));
        true
    }

    /// Answers a call; returns whether anybody still waits for it.
    ///
    /// Results over what a value may be, or a frame where the other end takes no chunks, become [`Fault::BadResults`],
    /// naming limit and size.
    pub fn answer_call(&mut self, id: RequestId, result: Result<Reply, CallFailed>) -> bool {
        let Some(Serving::Call { args_bytes }) = self.serving.get(&id) else { return false };
        self.args_bytes -= args_bytes;
        self.serving.remove(&id);
        match result {
            Ok(reply) => self.put_reply(ReplyFrame { id, reply }),
            Err(failed) => self.put_failure(id, failed),
        }
        if matches!(self.state, State::Once) {
            self.vigil.clear();
            self.state = State::Closed { cause: "the one call of this connection was answered".to_owned() };
        }
        true
    }

    pub(super) fn incoming_bind(&mut self, bind: BindFrame) -> Result<(), ProtocolError> {
        let BindFrame { id, instance, want } = bind;
        self.count_up(id)?;
        if self.is_past_last(id) {
            return Ok(());
        }
        let binds = self.serving.values().filter(|serving| matches!(serving, Serving::Bind { .. })).count();
        let bindings_max = self.limits.bindings_max;
        let held = self.bindings.len() + self.given_back.len();
        let refusal = if held + binds >= bindings_max as usize || self.next_binding == u32::MAX {
            Some(overloaded("bindings of a connection", u64::from(bindings_max)))
        } else {
            self.room(0).err()
        };
        if let Some(refusal) = refusal {
            self.events.push_back(Event::Refused { id, failure: refusal.clone() });
            self.put_bound(id, Err(refusal));
            return Ok(());
        }
        let functions = u32::try_from(want.functions.len()).unwrap_or(u32::MAX);
        self.serving.insert(id, Serving::Bind { functions });
        self.events.push_back(Event::IncomingBind { id, instance, want });
        Ok(())
    }

    pub(super) fn incoming_unbind(&mut self, binding: BindingId) -> Result<(), ProtocolError> {
        if binding.0 >= self.next_binding {
            return Err(ProtocolError::NeverBound { binding });
        }
        #[cfg(planted)]
        if crate::planted::has(crate::planted::Fault::UnbindIgnored) {
            return Ok(());
        }
        // Given back twice means no more than once.
        if self.bindings.remove(&binding).is_some() {
            self.given_back.push(binding);
            self.let_go();
        }
        Ok(())
    }

    /// Tells of the bindings that were given back, but for those through which a call is still arriving: it was made before.
    fn let_go(&mut self) {
        let Self { given_back, arrivals, events, .. } = self;
        given_back.retain(|binding| {
            let stays = arrivals.come_for(*binding);
            if !stays {
                events.push_back(Event::Unbound { binding: *binding });
            }
            stays
        });
    }

    pub(super) fn incoming_describe(&mut self, describe: DescribeFrame) -> Result<(), ProtocolError> {
        let DescribeFrame { id, instance } = describe;
        self.count_up(id)?;
        if self.is_past_last(id) {
            return Ok(());
        }
        if let Err(refusal) = self.room(0) {
            self.events.push_back(Event::Refused { id, failure: refusal.clone() });
            self.put_described(id, Err(refusal));
            return Ok(());
        }
        self.serving.insert(id, Serving::Describe);
        self.events.push_back(Event::IncomingDescribe { id, instance });
        Ok(())
    }

    pub(super) fn incoming_call(&mut self, now: Instant, call: CallFrame) -> Result<(), ProtocolError> {
        let CallFrame { id, binding, function, with, args } = call;
        self.count_up(id)?;
        if self.is_past_last(id) {
            return Ok(());
        }
        if let Err(failure) = self.can_serve(binding, function, &with, args.len()) {
            self.events.push_back(Event::Refused { id, failure: failure.clone() });
            self.put_failure(id, failure.into());
            return Ok(());
        }
        self.last_chain = Arc::clone(&with.chain);
        self.args_bytes += args.len();
        self.serving.insert(id, Serving::Call { args_bytes: args.len() });
        self.events.push_back(Event::IncomingCall { id, binding, function, cx: with.context(now), args });
        Ok(())
    }

    /// A call whose arguments are still to come.
    pub(super) fn incoming_call_in_chunks(
        &mut self,
        now: Instant,
        call: CallInChunksFrame,
    ) -> Result<(), ProtocolError> {
        let CallInChunksFrame { id, binding, function, with, args_bytes } = call;
        self.count_up(id)?;
        if args_bytes == 0 {
            return Err(ProtocolError::PayloadSize { id, size: 0, max: u64::from(neopack::VALUE_BYTES_MAX) });
        }
        if self.is_past_last(id) {
            return Ok(());
        }
        let max = neopack::VALUE_BYTES_MAX;
        let size = usize::try_from(args_bytes).unwrap_or(usize::MAX);
        let checked = if args_bytes > u64::from(max) {
            Err(bad_arguments(format!("{args_bytes} bytes of arguments, the limit is {max}")))
        } else {
            self.can_serve(binding, function, &with, size)
        };
        if let Err(failure) = checked {
            self.events.push_back(Event::Refused { id, failure: failure.clone() });
            self.put_failure(id, failure.into());
            return Ok(());
        }
        self.last_chain = Arc::clone(&with.chain);
        self.args_bytes += size;
        self.serving.insert(id, Serving::Arriving { args_bytes: size, since: now });
        let begun = Begun::Call { binding, function, cx: with.context(now) };
        self.arrivals.begin((id, Payload::Arguments), begun, size);
        Ok(())
    }

    /// The arguments of a call have arrived.
    pub(super) fn arrived(
        &mut self,
        id: RequestId,
        binding: BindingId,
        function: FunctionIndex,
        cx: CallContext,
        args: Bytes,
    ) {
        if let Some(serving) = self.serving.get_mut(&id) {
            *serving = Serving::Call { args_bytes: args.len() };
            self.events.push_back(Event::IncomingCall { id, binding, function, cx, args });
        }
        self.let_go();
    }

    /// The time of a call is over before its arguments arrived.
    pub(super) fn never_arrived(&mut self, id: RequestId, now: Instant) {
        self.give_up_arrival((id, Payload::Arguments));
        if let Some(Serving::Arriving { args_bytes, since }) = self.serving.remove(&id) {
            self.args_bytes -= args_bytes;
            let waited = now.saturating_duration_since(since).as_millis();
            let waited_ms = u64::try_from(waited).unwrap_or(u64::MAX);
            self.put_failure(id, Failure::Deadline { waited_ms }.into());
        }
        self.let_go();
    }

    /// Whether a call can be taken.
    fn can_serve(
        &self,
        binding: BindingId,
        function: FunctionIndex,
        with: &Companions,
        args_bytes: usize,
    ) -> Result<(), Failure> {
        match self.bindings.get(&binding) {
            None => Err(bad_arguments(format!("binding {binding} is not there"))),
            Some(functions) if function.0 >= *functions => {
                Err(bad_arguments(format!("function {} of binding {binding}, which has {functions}", function.0)))
            }
            Some(_) if with.deadline_ms == 0 => Err(Failure::Deadline { waited_ms: 0 }),
            Some(_) => self.room(args_bytes),
        }
    }

    pub(super) fn serve_once(&mut self, call: SelfContainedCall) {
        self.args_bytes += call.args.len();
        self.serving.insert(RequestId::NONE, Serving::Call { args_bytes: call.args.len() });
        self.events.push_back(Event::IncomingSelfContained(call));
    }

    pub(super) fn incoming_cancel(&mut self, id: RequestId) -> Result<(), ProtocolError> {
        if id == RequestId::NONE || id > self.last_incoming {
            return Err(ProtocolError::NeverIssued { found: Kind::Cancel, id });
        }
        // It may have been answered while the cancel was on its way.
        match self.serving.remove(&id) {
            None => {
                self.outbox.withdraw_reply(id);
                self.streams.remove((id, Payload::Results));
                return Ok(());
            }
            Some(Serving::Arriving { args_bytes, .. }) => {
                self.args_bytes -= args_bytes;
                self.give_up_arrival((id, Payload::Arguments));
                self.let_go();
                return Ok(());
            }
            #[cfg(planted)]
            Some(Serving::Call { .. }) if crate::planted::has(crate::planted::Fault::ArgsStayCounted) => {}
            Some(Serving::Call { args_bytes }) => self.args_bytes -= args_bytes,
            Some(Serving::Bind { .. } | Serving::Describe) => {}
        }
        self.events.push_back(Event::IncomingCancelled { id });
        Ok(())
    }

    fn count_up(&mut self, id: RequestId) -> Result<(), ProtocolError> {
        if id <= self.last_incoming {
            return Err(ProtocolError::IdNotGrowing { id, last: self.last_incoming });
        }
        self.last_incoming = id;
        Ok(())
    }

    /// Whether one request more, with as many bytes of arguments, can be served.
    fn room(&self, args_bytes: usize) -> Result<(), Failure> {
        if matches!(self.leaving, Leaving::Refusing) {
            return Err(overloaded("requests on a connection that ends", 0));
        }
        let calls_max = self.limits.calls_max;
        if self.serving.len() >= calls_max as usize {
            return Err(overloaded("requests in flight on a connection", u64::from(calls_max)));
        }
        if self.args_bytes + args_bytes > ARGS_BYTES_MAX {
            return Err(overloaded("bytes of arguments in flight on a connection", ARGS_BYTES_MAX as u64));
        }
        if self.answer_bytes() > ANSWER_BYTES_SOFT {
            return Err(overloaded("bytes of answers waiting on a connection", ANSWER_BYTES_SOFT as u64));
        }
        Ok(())
    }

    fn put_reply(&mut self, frame: ReplyFrame) {
        let (size, max) = (frame.encoded_len(), self.frame_bytes_max());
        let (results, value_max) = (frame.reply.results.len(), neopack::VALUE_BYTES_MAX as usize);
        let waiting = self.answer_bytes();
        let chunks = self.in_chunks(size, results);
        let detail = if chunks && results > value_max {
            format!("{results} bytes of results, the limit is {value_max}")
        } else if !chunks && size > max {
            format!("a reply frame of {size} bytes, the limit is {max}")
        } else if waiting + size > ANSWER_BYTES_MAX {
            format!("{waiting} bytes of answers wait to be sent, the limit is {ANSWER_BYTES_MAX}")
        } else if chunks {
            return self.outbox.push(Waiting::Reply(frame));
        } else {
            #[cfg(planted)]
            if crate::planted::has(crate::planted::Fault::AnsweredTwice)
                && let Ok(bytes) = self.block.reply(&frame)
            {
                self.outbox.push_frame(bytes);
            }
            match self.block.reply(&frame) {
                Ok(bytes) => return self.outbox.push_frame(bytes),
                Err(error) => error.to_string(),
            }
        };
        let failure = Fault::BadResults { detail }.into();
        self.put_failure(frame.id, CallFailed { failure, fuel_used: frame.reply.fuel_used });
    }

    fn put_failure(&mut self, id: RequestId, failed: CallFailed) {
        let fuel_used = failed.fuel_used;
        self.put_with_failure(failed.failure, |failure| {
            Frame::Failure(FailureFrame { id, failed: CallFailed { failure, fuel_used } })
        });
    }

    fn put_bound(&mut self, id: RequestId, result: Result<FunctionTable, Failure>) {
        match result {
            Ok(table) => self.put(&Frame::Bound(BoundFrame { id, result: Ok(table) })),
            Err(failure) => {
                self.put_with_failure(failure, |failure| Frame::Bound(BoundFrame { id, result: Err(failure) }))
            }
        }
    }

    fn put_described(&mut self, id: RequestId, result: Result<Description, Failure>) {
        let failed = |failure| Frame::Described(DescribedFrame { id, result: Err(failure) });
        let failure = match result {
            Ok(description) => {
                let max = self.frame_bytes_max();
                let size = description.ledger.len();
                match Frame::Described(DescribedFrame { id, result: Ok(description) }).encode() {
                    Ok(bytes) if bytes.len() <= max => return self.outbox.push_frame(bytes),
                    Ok(_) | Err(_) => {
                        let detail = format!("a ledger of {size} bytes, the limit of a frame is {max}");
                        Fault::BadResults { detail }.into()
                    }
                }
            }
            Err(failure) => failure,
        };
        self.put_with_failure(failure, failed);
    }

    /// Sends a failure in its frame, without its ledger where that does not fit.
    fn put_with_failure(&mut self, failure: Failure, frame: impl Fn(Failure) -> Frame) {
        let max = self.frame_bytes_max();
        let whole = frame(failure.clone());
        match (whole.encode(), failure) {
            (Ok(bytes), _) if bytes.len() <= max => self.outbox.push_frame(bytes),
            (_, Failure::Refused(Refusal::Incompatible { detail, ledger: _ })) => {
                self.put(&frame(Refusal::Incompatible { detail, ledger: Bytes::new() }.into()));
            }
            (_, _) => self.put(&whole),
        }
    }

    /// Sends an answer that fits every frame.
    fn put(&mut self, frame: &Frame) {
        match frame.encode() {
            Ok(bytes) => self.outbox.push_frame(bytes),
            // An answer that can't be given must not leave its asker waiting for ever.
            Err(error) => self.connection_lost(&error.to_string()),
        }
    }
}

fn bad_arguments(detail: String) -> Failure {
    Refusal::BadArguments { detail }.into()
}
