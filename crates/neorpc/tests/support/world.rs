//! Two machines under any operations, and a model of what each end may believe.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{CallFailed, Failure, Fault, Reply};
use neorpc::{BindingId, Event, Frame, PeerLimits, RequestId};

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
    let frame = match kind % 6 {
        0 => Frame::Cancel(RequestId(u64::from(id % 8))),
        1 => Frame::Unbind(BindingId(u32::from(id % 4))),
        2 => Frame::Ping(u64::from(id)),
        3 => Frame::Pong(u64::from(id % 4)),
        4 => Frame::GoingAway(RequestId(u64::from(id % 8))),
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
        let mut pair = Pair::open();
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
                    let args = Bytes::copy_from_slice(&self.marks.to_le_bytes());
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
                    Ok(Frame::GoingAway(_) | Frame::Call(_) | Frame::Bound(_) | Frame::Failure(_))
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
                let reply = Reply { results: Bytes::new(), fuel_used: 1 };
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
                    if let Err(CallFailed { failure: Failure::NotSent { .. }, .. }) = result {
                        model.not_sent.insert(mark);
                    }
                }
                Event::IncomingBind { id, .. } => model.serving.push((id, Asked::Bind)),
                Event::IncomingDescribe { id, .. } => model.serving.push((id, Asked::Describe)),
                Event::IncomingCall { id, args, .. } => {
                    match args[..].try_into() {
                        Ok(mark) => {
                            let first = model.came.insert(u64::from_le_bytes(mark));
                            assert!(first || self.lied, "a call came twice");
                        }
                        Err(_) => assert!(self.lied, "a call came that was never made"),
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
        for _ in 0..4 {
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
