//! Random sequences of operations on two connected machines.

#[path = "support/pair.rs"]
mod pair;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{CallFailed, Failure, Fault, Reply};
use neorpc::{BindingId, Event, RequestId};
use pair::{Pair, want};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
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
    Lose { end: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let end = || 0..2_usize;
    prop_oneof![
        3 => end().prop_map(|end| Op::Bind { end }),
        1 => (end(), any::<usize>()).prop_map(|(end, which)| Op::Unbind { end, which }),
        1 => end().prop_map(|end| Op::Describe { end }),
        20 => (end(), any::<usize>(), 1..50_u64).prop_map(|(end, which, ms)| Op::Call { end, which, ms }),
        4 => (end(), any::<usize>()).prop_map(|(end, which)| Op::Cancel { end, which }),
        20 => (end(), any::<usize>(), any::<bool>()).prop_map(|(end, which, ok)| Op::Answer { end, which, ok }),
        20 => (end(), 1..5_usize).prop_map(|(end, frames)| Op::HandOut { end, frames }),
        20 => (end(), 1..5_usize).prop_map(|(end, frames)| Op::Take { end, frames }),
        30 => end().prop_map(|end| Op::Deliver { end }),
        4 => (1..20_u64).prop_map(|ms| Op::Advance { ms }),
        1 => end().prop_map(|end| Op::GoAway { end }),
    ]
}

fn hostile_op() -> impl Strategy<Value = Op> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), any::<u8>()).prop_map(|(kind, id)| rarely_welcome(kind, id)),
    ];
    prop_oneof![
        100 => op(),
        1 => (0..2_usize, bytes).prop_map(|(end, bytes)| Op::Garbage { end, bytes }),
        1 => (0..2_usize).prop_map(|end| Op::Lose { end }),
        2 => (1_000..15_000_u64).prop_map(|ms| Op::Advance { ms }),
    ]
}

/// Frames that are well formed and rarely welcome.
fn rarely_welcome(kind: u8, id: u8) -> Vec<u8> {
    let frame = match kind % 6 {
        0 => neorpc::Frame::Cancel(RequestId(u64::from(id % 8))),
        1 => neorpc::Frame::Unbind(BindingId(u32::from(id % 4))),
        2 => neorpc::Frame::Ping(u64::from(id)),
        3 => neorpc::Frame::Pong(u64::from(id % 4)),
        4 => neorpc::Frame::GoingAway(RequestId(u64::from(id % 8))),
        _ => {
            let reply = Reply { results: Bytes::new(), fuel_used: 0 };
            neorpc::Frame::Reply(neorpc::ReplyFrame { id: RequestId(u64::from(id % 8)), reply })
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

struct World {
    pair: Pair,
    models: [Model; 2],
    marks: u64,
    /// An end was told that the other goes away, which it never said: what that leaves out may have come all the same.
    lied: bool,
}

impl World {
    fn new() -> Self {
        let mut pair = Pair::open();
        let mut models: [Model; 2] = Default::default();
        for (end, model) in models.iter_mut().enumerate() {
            model.bindings.push(pair.bind(end));
        }
        Self { pair, models, marks: 0, lied: false }
    }

    fn apply(&mut self, op: &Op) {
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
                self.lied |= matches!(neorpc::Frame::decode(&frame), Ok(neorpc::Frame::GoingAway(_)));
                if self.pair.ends[end].connection.handle_frame(now, frame).is_err() {
                    self.pair.ends[end].handed.clear();
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
                    let mark = u64::from_le_bytes(args[..].try_into().unwrap());
                    assert!(model.came.insert(mark), "a call came twice");
                    model.serving.push((id, Asked::Call));
                }
                Event::IncomingCancelled { id } => {
                    assert!(model.serving.iter().any(|(serving, _)| *serving == id), "{id} was not there");
                    model.serving.retain(|(serving, _)| *serving != id);
                }
                _ => {}
            }
        }
    }

    /// Answers and delivers everything, then lets every deadline pass.
    fn finish(&mut self) {
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

    fn check_ended(&self) {
        for (end, model) in self.models.iter().enumerate() {
            assert!(model.open.is_empty(), "{:?} never ended at {end}", model.open);
            assert_eq!(self.pair.ends[end].connection.in_flight(), 0);
            let came = &self.models[1 - end].came;
            assert!(self.lied || model.not_sent.is_disjoint(came), "a call came that was not sent");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn two_sound_ends_never_close_and_every_request_ends_once(ops in prop::collection::vec(op(), 0..300)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.finish();
        world.check_ended();
        for end in &world.pair.ends {
            assert_eq!(end.connection.closed_cause(), None);
            assert_eq!(end.connection.in_service(), 0);
        }
    }

    #[test]
    fn whatever_comes_in_every_request_ends_once(ops in prop::collection::vec(hostile_op(), 0..300)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.finish();
        world.check_ended();
    }
}
