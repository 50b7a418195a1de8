//! Two machines under any operations, and a model of what each end may believe.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{CallFailed, Failure, Fault, Reply};
use neorpc::{
    BindingId, ChunkFrame, CreditFrame, Event, Frame, Payload, PeerLimits, ReplyInChunksFrame, RequestId,
    WINDOW_BYTES_MIN,
};

use crate::pair::{Pair, want};

/// What is done next, and at which end; `Damage` changes a byte of the frame that arrives next.
#[derive(Debug, Clone)]
pub enum Op {
    Bind { end: usize },
    Unbind { end: usize, which: usize },
    Describe { end: usize },
    Call { end: usize, which: usize, ms: u64 },
    Cancel { end: usize, which: usize },
    Answer { end: usize, which: usize, ok: bool },
    HandOut { end: usize, frames: usize },
    Take { end: usize, frames: usize },
    Deliver { end: usize },
    Advance { ms: u64 },
    GoAway { end: usize },
    Garbage { end: usize, bytes: Vec<u8> },
    Damage { end: usize, at: usize, flip: u8 },
    Lose { end: usize },
}

/// Frames that are well formed and rarely welcome.
pub fn rarely_welcome(kind: u8, id: u8) -> Vec<u8> {
    let (number, of) =
        (RequestId(u64::from(id % 8)), if id.is_multiple_of(2) { Payload::Arguments } else { Payload::Results });
    let frame = match kind % 9 {
        0 => Frame::Cancel(RequestId(u64::from(id % 8))),
        1 => Frame::Unbind(BindingId(u32::from(id % 4))),
        2 => Frame::Ping(u64::from(id)),
        3 => Frame::Pong(u64::from(id % 4)),
        4 => Frame::GoingAway(RequestId(u64::from(id % 8))),
        5 => Frame::Chunk(ChunkFrame { id: number, of, data: Bytes::from_static(&[1; 8]) }),
        6 => Frame::Credit(CreditFrame { to: (id > 8).then_some((RequestId(1 + number.0), of)), bytes: 9, frames: 1 }),
        7 => Frame::ReplyInChunks(ReplyInChunksFrame { id: number, fuel_used: 1, results_bytes: u64::from(id) }),
        _ => {
            let reply = Reply { results: Bytes::new(), fuel_used: 0 };
            Frame::Reply(neorpc::ReplyFrame { id: RequestId(u64::from(id % 8)), reply })
        }
    };
    frame.encode().unwrap().to_vec()
}

/// What one end believes.
#[derive(Default)]
struct Model {
    /// Requests accepted and not yet ended, with the mark that a call carries.
    open: HashMap<RequestId, Option<u64>>,
    bindings: Vec<BindingId>,
    /// Requests of the other end that wait for an answer.
    serving: Vec<(RequestId, Asked)>,
    /// Marks of the calls that came.
    came: HashSet<u64>,
    /// Marks of the calls that ended as not sent.
    not_sent: HashSet<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Bind,
    Describe,
    Call,
}

/// Calls with this much time have large arguments.
const LARGE: u64 = 7;

/// A mark, again and again where it is to be large.
fn payload(mark: u64, ms: u64) -> Bytes {
    let times = if ms.is_multiple_of(LARGE) { 16_000 + 10_000 * (mark as usize % 4) } else { 1 };
    Bytes::from(mark.to_le_bytes().repeat(times))
}

/// The mark of a payload that is whole.
fn mark_of(payload: &[u8]) -> Option<u64> {
    let (first, _) = payload.split_first_chunk::<8>()?;
    payload.as_chunks::<8>().0.iter().all(|mark| mark == first).then(|| u64::from_le_bytes(*first))
}

pub struct World {
    pub pair: Pair,
    models: [Model; 2],
    marks: u64,
    /// A frame arrived that the other end never sent, and that means something: what a model concludes from what the
    /// other end believes holds no more.
    lied: bool,
}

impl World {
    pub fn new() -> Self {
        // The smallest windows, so that large payloads have to wait for credit.
        let mut pair = Pair::open_with([PeerLimits { window_bytes: WINDOW_BYTES_MIN, ..PeerLimits::default() }; 2]);
        let mut models: [Model; 2] = Default::default();
        for (end, model) in models.iter_mut().enumerate() {
            model.bindings.push(pair.bind(end));
        }
        Self { pair, models, marks: 0, lied: false }
    }

    /// Two ends that have not said hello yet.
    pub fn silent() -> Self {
        Self { pair: Pair::silent([PeerLimits::default(); 2]), models: Default::default(), marks: 0, lied: false }
    }

    pub fn apply(&mut self, op: &Op) {
        let now = self.pair.now;
        let soon = now + Duration::from_millis(30);
        match *op {
            Op::Bind { end } => {
                if let Ok(id) = self.pair.ends[end].connection.bind(now, "kv", &want(2), soon) {
                    self.models[end].open.insert(id, None);
                }
            }
            Op::Describe { end } => {
                if let Ok(id) = self.pair.ends[end].connection.describe(now, "kv", soon) {
                    self.models[end].open.insert(id, None);
                }
            }
            Op::Unbind { end, which } => {
                let bindings = &mut self.models[end].bindings;
                if !bindings.is_empty() {
                    let binding = bindings.swap_remove(which % bindings.len());
                    self.pair.ends[end].connection.unbind(binding);
                }
            }
            Op::Call { end, which, ms } => {
                let bindings = &self.models[end].bindings;
                if !bindings.is_empty() {
                    let binding = bindings[which % bindings.len()];
                    self.marks += 1;
                    let args = payload(self.marks, ms);
                    if let Ok(id) = self.pair.call(end, binding, ms, args) {
                        assert!(self.models[end].open.insert(id, Some(self.marks)).is_none());
                    }
                }
            }
            Op::Cancel { end, which } => {
                let mut ids: Vec<_> = self.models[end].open.keys().copied().collect();
                ids.sort_unstable();
                if !ids.is_empty() {
                    let id = ids[which % ids.len()];
                    // Its event may be waiting already; then it ended that way.
                    if self.pair.ends[end].connection.cancel(id) {
                        self.models[end].open.remove(&id);
                    }
                }
            }
            Op::Answer { end, which, ok } => {
                let serving = &mut self.models[end].serving;
                if !serving.is_empty() {
                    let (id, asked) = serving.swap_remove(which % serving.len());
                    self.answer(end, id, asked, ok);
                }
            }
            Op::HandOut { end, frames } => self.pair.hand_out(end, frames),
            Op::Take { end, frames } => self.pair.take(end, frames),
            Op::Deliver { end } => drop(self.pair.deliver(end)),
            Op::Advance { ms } => self.pair.advance(ms),
            Op::GoAway { end } => self.pair.ends[end].connection.go_away(),
            Op::Garbage { end, ref bytes } => {
                let frame = Bytes::copy_from_slice(bytes);
                self.lied |= matches!(
                    Frame::decode(&frame),
                    Ok(Frame::GoingAway(_)
                        | Frame::Call(_)
                        | Frame::CallInChunks(_)
                        | Frame::Chunk(_)
                        | Frame::Bound(_)
                        | Frame::Failure(_))
                );
                if self.pair.ends[end].connection.handle_frame(now, frame).is_err() {
                    self.pair.ends[end].handed.clear();
                }
            }
            Op::Damage { end, at, flip } => {
                if let Some(frame) = self.pair.ends[end].arriving.front_mut() {
                    let mut bytes = frame.to_vec();
                    let at = at % bytes.len();
                    bytes[at] ^= flip;
                    *frame = bytes.into();
                    self.lied |= Frame::decode(frame).is_ok();
                }
            }
            Op::Lose { end } => {
                self.pair.ends[end].connection.connection_lost("lost");
                self.pair.ends[end].handed.clear();
            }
        }
        self.drain(0);
        self.drain(1);
    }

    fn answer(&mut self, end: usize, id: RequestId, asked: Asked, ok: bool) {
        let connection = &mut self.pair.ends[end].connection;
        let bug = || Failure::from(Fault::Bug { detail: "test".to_owned() });
        match asked {
            Asked::Bind => _ = connection.answer_bind(id, if ok { Ok(()) } else { Err(bug()) }),
            Asked::Describe => _ = connection.answer_describe(id, if ok { Ok(Bytes::new()) } else { Err(bug()) }),
            Asked::Call => {
                let results = if id.0.is_multiple_of(3) { payload(id.0, LARGE) } else { Bytes::new() };
                let reply = Reply { results, fuel_used: 1 };
                let _ = connection.answer_call(id, if ok { Ok(reply) } else { Err(bug().into()) });
            }
        }
    }

    fn drain(&mut self, end: usize) {
        let model = &mut self.models[end];
        while let Some(event) = self.pair.ends[end].connection.poll_event() {
            match event {
                Event::Bound { id, result } => {
                    assert!(model.open.remove(&id).is_some(), "{id} ended twice");
                    model.bindings.extend(result.map(|table| table.binding));
                }
                Event::Described { id, .. } => assert!(model.open.remove(&id).is_some(), "{id} ended twice"),
                Event::Returned { id, result } => {
                    let mark = model.open.remove(&id).flatten().expect("a call ends once");
                    if let Ok(reply) = &result {
                        assert!(reply.results.is_empty() || mark_of(&reply.results).is_some() || self.lied);
                    }
                    if let Err(CallFailed { failure: Failure::NotSent { .. }, .. }) = result {
                        model.not_sent.insert(mark);
                    }
                }
                Event::IncomingBind { id, .. } => model.serving.push((id, Asked::Bind)),
                Event::IncomingDescribe { id, .. } => model.serving.push((id, Asked::Describe)),
                Event::IncomingCall { id, args, .. } => {
                    match mark_of(&args) {
                        Some(mark) => {
                            let first = model.came.insert(mark);
                            assert!(first || self.lied, "a call came twice");
                        }
                        None => assert!(self.lied, "a call came that was never made"),
                    }
                    model.serving.push((id, Asked::Call));
                }
                Event::IncomingSelfContained(_) => model.serving.push((RequestId::NONE, Asked::Call)),
                Event::IncomingCancelled { id } => {
                    assert!(model.serving.iter().any(|(serving, _)| *serving == id), "{id} was not there");
                    model.serving.retain(|(serving, _)| *serving != id);
                }
                _ => {}
            }
        }
    }

    /// Answers and delivers everything, then lets every deadline pass.
    pub fn finish(&mut self) {
        // Large payloads go back and forth for their credit.
        for _ in 0..60 {
            for end in 0..2 {
                for (id, asked) in std::mem::take(&mut self.models[end].serving) {
                    self.answer(end, id, asked, true);
                }
                self.pair.hand_out(end, usize::MAX);
                self.pair.take(end, usize::MAX);
                while !self.pair.ends[1 - end].arriving.is_empty() {
                    let _ = self.pair.deliver(1 - end);
                }
                self.drain(0);
                self.drain(1);
            }
        }
        self.pair.advance(60_000);
        self.drain(0);
        self.drain(1);
    }

    pub fn check_ended(&self) {
        for (end, model) in self.models.iter().enumerate() {
            assert!(model.open.is_empty(), "{:?} never ended at {end}", model.open);
            assert_eq!(self.pair.ends[end].connection.in_flight(), 0);
            let came = &self.models[1 - end].came;
            assert!(self.lied || model.not_sent.is_disjoint(came), "a call came that was not sent");
        }
    }
}
