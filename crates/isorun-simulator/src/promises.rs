//! What must hold after every step.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use isorun_core::{CallContext, CallFailed, Failure, Reply};
use neorpc::{ChunkFrame, Frame, Kind, Payload, RequestId};

use crate::application::CallId;
use crate::world::EndAt;

/// A promise that was broken, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) String);

impl Violation {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

/// A request on the wire: the end that asks, and the number it gave.
pub(crate) type AttemptAt = (EndAt, RequestId);

/// One time that a call was made.
#[derive(Debug)]
struct Attempt {
    call: CallId,
    args: Bytes,
    /// In microseconds since the start.
    deadline: u64,
    /// When its frame was handed out.
    handed: Option<u64>,
    /// How it came to its end, or that nobody waits for it any more.
    ended: Option<Ended>,
    executions: u32,
    answer: Option<Result<Reply, CallFailed>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    GivenUp,
    /// It did not run.
    DidNotRun,
    MayHaveRun,
}

/// What was seen of one end's frames.
#[derive(Debug, Default)]
struct Seen {
    last_id: u64,
    answered: BTreeSet<RequestId>,
    cancelled: BTreeSet<RequestId>,
}

/// What was promised of each call, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    first: Option<Violation>,
    /// Calls that have no outcome, by deadline.
    waiting: BTreeSet<(u64, CallId)>,
    attempts: BTreeMap<AttemptAt, Attempt>,
    seen: BTreeMap<EndAt, Seen>,
    /// How often each call ran, and whether it may run more than once.
    runs: BTreeMap<CallId, (u32, bool)>,
    /// How each call ended, for those that have.
    outcomes: BTreeMap<CallId, Ended>,
}

impl Promises {
    /// Notes that a promise was broken; the first one counts.
    pub(crate) fn broken(&mut self, text: String) {
        self.first.get_or_insert(Violation(text));
    }

    pub(crate) fn kept(&mut self) -> Result<(), Violation> {
        self.first.take().map_or(Ok(()), Err)
    }

    /// The clock goes on to `now`.
    pub(crate) fn time_passes(&mut self, now: u64) {
        if let Some((deadline, call)) = self.waiting.first()
            && *deadline < now
        {
            self.broken(format!("call {} has no outcome after its deadline at {deadline} us", call.0));
        }
    }

    /// A call was made, within one that has time until `within`.
    pub(crate) fn called(&mut self, call: CallId, deadline: u64, within: Option<u64>, idempotent: bool) {
        if let Some(within) = within.filter(|within| *within < deadline) {
            self.broken(format!("call {} has {} us more than the one it is made for", call.0, deadline - within));
        }
        self.waiting.insert((deadline, call));
        self.runs.insert(call, (0, idempotent));
    }

    /// A call came to its end at `now`.
    pub(crate) fn outcome(&mut self, call: CallId, deadline: u64, now: u64, result: &Result<Reply, CallFailed>) {
        if !self.waiting.remove(&(deadline, call)) {
            self.broken(format!("call {} has a second outcome, or one after it was cancelled", call.0));
        }
        if now > deadline {
            self.broken(format!("call {} has its outcome {} us after its deadline", call.0, now - deadline));
        }
        if let Err(CallFailed { failure: Failure::Deadline { .. }, .. }) = result
            && now + 1000 < deadline
        {
            self.broken(format!("call {} ran out of time {} us before its deadline", call.0, deadline - now));
        }
        let ended = ended(result);
        let (runs, _) = self.runs.get(&call).copied().unwrap_or_default();
        match (ended, result) {
            (Ended::DidNotRun, Err(failed)) if runs > 0 => {
                self.broken(format!("call {} ran {runs} times, and its outcome is: {failed}", call.0));
            }
            (_, Ok(_)) if runs == 0 => self.broken(format!("call {} has results and never ran", call.0)),
            (_, _) => {}
        }
        self.outcomes.insert(call, ended);
    }

    /// Nobody waits for a call any more.
    pub(crate) fn given_up(&mut self, call: CallId, deadline: u64) {
        self.waiting.remove(&(deadline, call));
    }

    /// A call was made on a connection.
    pub(crate) fn asked(&mut self, at: AttemptAt, call: CallId, deadline: u64, args: &Bytes) {
        let args = args.clone();
        let attempt = Attempt { call, args, deadline, handed: None, ended: None, executions: 0, answer: None };
        if self.attempts.insert(at, attempt).is_some() {
            self.broken(format!("request {} was given out twice", at.1));
        }
    }

    /// A frame of that end was handed out at `now`.
    pub(crate) fn handed(&mut self, end: EndAt, now: u64, frame: &Bytes) -> Option<Frame> {
        let frame = match Frame::decode(frame) {
            Ok(frame) => frame,
            Err(error) => {
                self.broken(format!("a frame was handed out that is none: {error}"));
                return None;
            }
        };
        match &frame {
            Frame::Call(call) => {
                self.grows(end, call.id);
                self.call_handed((end, call.id), now, call.with.deadline_ms);
            }
            Frame::CallInChunks(call) => {
                self.grows(end, call.id);
                self.call_handed((end, call.id), now, call.with.deadline_ms);
            }
            Frame::Chunk(chunk) => self.chunk_handed(end, chunk),
            Frame::ReplyInChunks(reply) => self.answers(end, Kind::ReplyInChunks, reply.id),
            Frame::Bind(bind) => self.grows(end, bind.id),
            Frame::Describe(describe) => self.grows(end, describe.id),
            Frame::Reply(reply) => self.answers(end, Kind::Reply, reply.id),
            Frame::Failure(failure) => self.answers(end, Kind::Failure, failure.id),
            Frame::Bound(bound) => self.answers(end, Kind::Bound, bound.id),
            Frame::Described(described) => self.answers(end, Kind::Described, described.id),
            Frame::Cancel(id) => {
                let seen = self.seen.entry(end).or_default();
                if id.0 > seen.last_id || !seen.cancelled.insert(*id) {
                    self.broken(format!("a cancel of request {id} was sent, which was not sent or cancelled before"));
                }
            }
            _ => {}
        }
        Some(frame)
    }

    fn grows(&mut self, end: EndAt, id: RequestId) {
        let seen = self.seen.entry(end).or_default();
        if id.0 <= seen.last_id {
            self.broken(format!("request {id} was sent twice, or after a later one"));
        } else {
            seen.last_id = id.0;
        }
    }

    fn answers(&mut self, end: EndAt, kind: Kind, id: RequestId) {
        if id == RequestId::NONE {
            return;
        }
        if !self.seen.entry(end).or_default().answered.insert(id) {
            self.broken(format!("request {id} was answered twice, the second time with a {kind}"));
        }
    }

    fn call_handed(&mut self, at: AttemptAt, now: u64, ms: u64) {
        let Some(attempt) = self.attempts.get_mut(&at) else {
            return self.broken(format!("a call {} was sent that nobody made", at.1));
        };
        let (call, deadline, ended) = (attempt.call, attempt.deadline, attempt.ended);
        attempt.handed = Some(now);
        if ended.is_some() {
            self.broken(format!("call {} was sent after its end", call.0));
        } else if ms.saturating_mul(1000) > deadline.saturating_sub(now) {
            let left = deadline.saturating_sub(now);
            self.broken(format!("call {} was sent with {ms} ms and has {left} us left", call.0));
        }
    }

    fn chunk_handed(&mut self, end: EndAt, chunk: &ChunkFrame) {
        let ended = match chunk.of {
            Payload::Arguments => {
                let attempt = self.attempts.get_mut(&(end, chunk.id));
                attempt.is_none_or(|attempt| attempt.handed.is_none() || attempt.ended.is_some())
            }
            Payload::Results => self.seen.get(&end).is_none_or(|seen| !seen.answered.contains(&chunk.id)),
        };
        if ended {
            self.broken(format!("a chunk of the {:?} of request {} was sent, which had ended", chunk.of, chunk.id));
        }
    }

    /// A call came in at `now`; the one that was made.
    pub(crate) fn arrived(
        &mut self,
        at: AttemptAt,
        left_us: u64,
        cx: &CallContext,
        made: impl FnOnce(CallId) -> CallContext,
        args: &Bytes,
    ) -> Option<CallId> {
        let Some(attempt) = self.attempts.get(&at) else {
            self.broken(format!("a call {} came that nobody made", at.1));
            return None;
        };
        let call = attempt.call;
        let had = attempt.handed.map_or(0, |handed| attempt.deadline.saturating_sub(handed));
        if attempt.args != *args {
            self.broken(format!("call {} came with arguments of another", call.0));
        } else if left_us > had {
            self.broken(format!("call {} left with {had} us and came with {left_us} us", call.0));
        }
        let made = made(call);
        if made.chain != cx.chain || made.trace != cx.trace || made.fuel != cx.fuel {
            self.broken(format!("call {} came with the chain, trace or fuel of another", call.0));
        }
        Some(call)
    }

    /// The function of a call begins to run.
    pub(crate) fn began(&mut self, at: AttemptAt) {
        let Some(attempt) = self.attempts.get_mut(&at) else { return };
        attempt.executions += 1;
        let (call, again, ended) = (attempt.call, attempt.executions > 1, attempt.ended);
        let (runs, idempotent) = self.runs.entry(call).or_default();
        *runs += 1;
        let (runs, idempotent) = (*runs, *idempotent);
        if again || (runs > 1 && !idempotent) {
            self.broken(format!("call {} ran {runs} times", call.0));
        }
        if ended == Some(Ended::DidNotRun) || self.outcomes.get(&call) == Some(&Ended::DidNotRun) {
            self.broken(format!("call {} ran after its outcome said that it did not", call.0));
        }
    }

    /// A call that came in was answered.
    pub(crate) fn answered(&mut self, at: AttemptAt, result: &Result<Reply, CallFailed>) {
        let Some(attempt) = self.attempts.get_mut(&at) else { return };
        let (call, executions) = (attempt.call, attempt.executions);
        attempt.answer = Some(result.clone());
        if executions > 0 && ended(result) == Ended::DidNotRun {
            self.broken(format!("the application refused call {} after it began", call.0));
        }
    }

    /// A connection says how a call ended.
    pub(crate) fn attempt_ended(&mut self, at: AttemptAt, result: &Result<Reply, CallFailed>) {
        let Some(attempt) = self.attempts.get_mut(&at) else {
            return self.broken(format!("a call {} ended that nobody made", at.1));
        };
        let (call, executions) = (attempt.call, attempt.executions);
        let again = attempt.ended.replace(ended(result)).is_some();
        let same = match (result, &attempt.answer) {
            (Ok(reply), Some(Ok(given))) => reply == given,
            (Ok(_), _) => false,
            (Err(_), _) => true,
        };
        if again {
            self.broken(format!("call {} ended twice, or after it was cancelled", call.0));
        } else if !same {
            self.broken(format!("call {} has results that were not given for it", call.0));
        } else if let Err(failed) = result
            && executions > 0
            && ended(result) == Ended::DidNotRun
        {
            self.broken(format!("call {} ran, and its connection says: {failed}", call.0));
        }
    }

    pub(crate) fn attempt_given_up(&mut self, at: AttemptAt) {
        if let Some(attempt) = self.attempts.get_mut(&at) {
            attempt.ended = Some(Ended::GivenUp);
        }
    }
}

fn ended(result: &Result<Reply, CallFailed>) -> Ended {
    match result {
        Err(CallFailed { failure: Failure::NotSent { .. } | Failure::Refused(_), .. }) => Ended::DidNotRun,
        Ok(_) | Err(_) => Ended::MayHaveRun,
    }
}
