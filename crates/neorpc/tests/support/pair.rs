//! Two connections and the wires between them, moved by hand.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{BindRequest, CallContext, Failure, FunctionIndex};
use neorpc::{BindingId, Connection, Event, Frame, PeerLimits, ProtocolError, RequestId};

/// One end, what was handed out of it and not taken, and what is on the wire to it.
pub struct End {
    pub connection: Connection,
    pub handed: VecDeque<Bytes>,
    pub arriving: VecDeque<Bytes>,
}

pub struct Pair {
    pub now: Instant,
    pub ends: [End; 2],
}

impl Pair {
    /// Two ends that have not said hello.
    pub fn silent(limits: [PeerLimits; 2]) -> Self {
        let now = Instant::now();
        let end = |connection| End { connection, handed: VecDeque::new(), arriving: VecDeque::new() };
        let ends = [end(Connection::connect(now, limits[0])), end(Connection::accept(now, limits[1]))];
        Self { now, ends }
    }

    /// Two ends that are open.
    pub fn open() -> Self {
        Self::open_with([PeerLimits::default(); 2])
    }

    /// Two ends that are open, and think of each other as of the first release, which knew no chunks.
    pub fn open_whole(limits: [PeerLimits; 2]) -> Self {
        let mut pair = Self::silent(limits);
        for end in 0..2 {
            pair.hand_out(end, 1);
            pair.take(end, 1);
            for frame in &mut pair.ends[1 - end].arriving {
                let Ok(Frame::Hello(mut hello)) = Frame::decode(frame) else { panic!("no hello") };
                hello.features.retain(|feature| feature != neorpc::FEATURE_CHUNKS);
                *frame = Frame::Hello(hello).encode().unwrap();
            }
            pair.deliver(1 - end).unwrap();
        }
        for end in 0..2 {
            assert!(matches!(pair.event(end), Some(Event::Open(_))));
        }
        pair
    }

    pub fn open_with(limits: [PeerLimits; 2]) -> Self {
        let mut pair = Self::silent(limits);
        pair.flow();
        for end in 0..2 {
            assert!(matches!(pair.event(end), Some(Event::Open(_))));
        }
        pair
    }

    /// Two ends, the second of which serves a binding of two functions.
    pub fn bound() -> (Self, BindingId) {
        let mut pair = Self::open();
        let binding = pair.bind(0);
        (pair, binding)
    }

    pub fn open_bound(limits: [PeerLimits; 2]) -> (Self, BindingId) {
        let mut pair = Self::open_with(limits);
        let binding = pair.bind(0);
        (pair, binding)
    }

    pub fn bind(&mut self, end: usize) -> BindingId {
        let deadline = self.now + Duration::from_secs(60);
        let id = self.ends[end].connection.bind(self.now, "kv", &want(2), deadline).unwrap();
        self.flow();
        match self.event(1 - end) {
            Some(Event::IncomingBind { id: there, .. }) => {
                assert_eq!(there, id);
                self.ends[1 - end].connection.answer_bind(there, Ok(())).unwrap();
            }
            other => panic!("{other:?}"),
        }
        self.flow();
        match self.event(end) {
            Some(Event::Bound { result: Ok(table), .. }) => table.binding,
            other => panic!("{other:?}"),
        }
    }

    pub fn call(&mut self, end: usize, binding: BindingId, ms: u64, args: Bytes) -> Result<RequestId, Failure> {
        let cx = CallContext::until(self.now + Duration::from_millis(ms));
        self.ends[end].connection.call(self.now, binding, FunctionIndex(0), &cx, args)
    }

    pub fn event(&mut self, end: usize) -> Option<Event> {
        self.ends[end].connection.poll_event()
    }

    /// Hands out up to `frames` frames without taking them.
    pub fn hand_out(&mut self, end: usize, frames: usize) {
        let end = &mut self.ends[end];
        for _ in 0..frames {
            let Some(frame) = end.connection.poll_transmit(self.now) else { break };
            end.handed.push_back(frame);
        }
    }

    /// Has the channel take up to `frames` frames of those handed out.
    pub fn take(&mut self, end: usize, frames: usize) {
        let frames = frames.min(self.ends[end].handed.len());
        for _ in 0..frames {
            let frame = self.ends[end].handed.pop_front().unwrap();
            self.ends[1 - end].arriving.push_back(frame);
        }
        self.ends[end].connection.taken(frames);
    }

    /// Has one frame arrive.
    pub fn deliver(&mut self, end: usize) -> Result<(), ProtocolError> {
        let Some(frame) = self.ends[end].arriving.pop_front() else { return Ok(()) };
        let handled = self.ends[end].connection.handle_frame(self.now, frame);
        if handled.is_err() {
            self.ends[end].handed.clear();
        }
        handled
    }

    /// Moves everything that can move.
    pub fn flow(&mut self) {
        while self.flow_once().unwrap() {}
    }

    fn flow_once(&mut self) -> Result<bool, ProtocolError> {
        let mut moved = false;
        for end in 0..2 {
            self.hand_out(end, usize::MAX);
            self.take(end, usize::MAX);
            while !self.ends[1 - end].arriving.is_empty() {
                self.deliver(1 - end)?;
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Has a frame arrive that the other end never sent.
    pub fn inject(&mut self, end: usize, frame: Frame) -> Result<(), ProtocolError> {
        self.ends[end].connection.handle_frame(self.now, frame.encode().unwrap())
    }

    pub fn advance(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        for end in &mut self.ends {
            let _ = end.connection.handle_timeout(self.now);
        }
    }
}

pub fn want(functions: usize) -> BindRequest {
    BindRequest { interface: None, functions: (0..functions).map(|i| (format!("f{i}"), [0; 32])).collect() }
}
