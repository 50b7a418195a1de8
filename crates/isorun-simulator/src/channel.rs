//! The network between two ends: whole frames, in order, and what can become of them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use isorun_core::Failure;
use neorpc::{BindingId, Connection, Frame, RequestId};

use crate::application::{CallId, ServeId};

/// One connection. End 0 opened it.
pub(crate) struct Channel {
    pub(crate) ends: [End; 2],
    /// Pipe `s` carries what end `s` sends.
    pub(crate) pipes: [Pipe; 2],
    /// Least time that a frame takes, in microseconds.
    pub(crate) delay_us: u64,
    /// Something happened to it that may end it, so that calls over it may become unknown.
    pub(crate) faulted: bool,
    /// Features that neither end lists, as if one were of an earlier release.
    pub(crate) lacks: Vec<&'static str>,
}

impl Channel {
    /// What an end of an earlier release would have said instead.
    pub(crate) fn without_what_it_lacks(&self, hello: Bytes) -> Bytes {
        match Frame::decode(&hello) {
            Ok(Frame::Hello(mut said)) if !self.lacks.is_empty() => {
                said.features.retain(|feature| !self.lacks.contains(&feature.as_str()));
                Frame::Hello(said).encode().unwrap_or(hello)
            }
            Ok(_) | Err(_) => hello,
        }
    }
}

/// One direction.
#[derive(Default)]
pub(crate) struct Pipe {
    /// When each frame arrives; they never overtake one another.
    pub(crate) frames: VecDeque<(u64, Bytes)>,
    pub(crate) bytes: usize,
    /// Its first frame, the hello, was put in.
    pub(crate) begun: bool,
    /// When the last frame that was put in arrives.
    pub(crate) last: u64,
    /// What has not arrived never will, and what is put in neither.
    pub(crate) lost: bool,
    /// The sender closed it: the receiver is told then, once all frames are read.
    pub(crate) closed: Option<u64>,
}

impl Pipe {
    /// Whether the channel would take a frame of that size.
    pub(crate) fn has_room(&self, size: usize, room_bytes: usize) -> bool {
        self.frames.is_empty() || self.bytes + size <= room_bytes
    }

    pub(crate) fn put(&mut self, arrives: u64, frame: Bytes) {
        self.last = self.last.max(arrives);
        self.bytes += frame.len();
        let arrives = if self.lost { u64::MAX } else { self.last };
        self.frames.push_back((arrives, frame));
    }

    /// The next frame, if it is there by `now`.
    pub(crate) fn take(&mut self, now: u64) -> Option<Bytes> {
        if self.frames.front().is_some_and(|(arrives, _)| *arrives <= now) {
            let (_, frame) = self.frames.pop_front()?;
            self.bytes -= frame.len();
            return Some(frame);
        }
        None
    }

    /// Whether the receiver has read all that there will be.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        !self.lost && self.frames.is_empty() && self.closed.is_some_and(|closed| closed <= now)
    }

    /// Holds what is under way up until `until`.
    pub(crate) fn stall(&mut self, now: u64, until: u64) {
        if self.lost {
            return;
        }
        for (arrives, _) in &mut self.frames {
            if *arrives > now {
                *arrives = (*arrives).max(until);
            }
        }
        self.closed = self.closed.map(|closed| if closed > now { closed.max(until) } else { closed });
        self.last = self.last.max(until);
    }

    /// Loses all but the first `kept` of the frames that have not arrived, and whatever comes.
    pub(crate) fn lose(&mut self, now: u64, kept: usize) {
        self.lost = true;
        for (arrives, _) in self.frames.iter_mut().filter(|(arrives, _)| *arrives > now).skip(kept) {
            *arrives = u64::MAX;
        }
    }
}

/// How far an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    /// It has drained; what the other end still says is read and dropped.
    Lingering,
    Gone,
}

/// One end, with the shell around its connection.
pub(crate) struct End {
    pub(crate) host: usize,
    pub(crate) connection: Connection,
    /// Frames that were handed out and that the channel has not taken.
    pub(crate) queue: VecDeque<Bytes>,
    pub(crate) stage: Stage,
    /// Both said hello.
    pub(crate) open: bool,
    /// This end said that it goes.
    pub(crate) leaving: bool,
    /// For when the connection's timer is set, in microseconds.
    pub(crate) armed: Option<u64>,
    /// Its shell will look at it.
    pub(crate) driving: bool,
    /// It reads nothing before that.
    pub(crate) slow_until: u64,
    /// Requests that this host has under way here.
    pub(crate) waits: BTreeMap<RequestId, Wait>,
    /// Instances that this host has bound here.
    pub(crate) bound: BTreeMap<String, Binding>,
    /// Requests of the other end that are not answered.
    pub(crate) asked: BTreeMap<RequestId, Asked>,
    /// What the other end has bound here.
    pub(crate) offered: BTreeMap<BindingId, String>,
}

/// What a request of this end is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wait {
    Bind { instance: String },
    Call(CallId),
}

/// How far a binding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Binding {
    /// These calls wait for it.
    Asked {
        id: RequestId,
        waiting: Vec<CallId>,
    },
    Bound(BindingId),
}

/// A request of the other end.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Bind { instance: String, result: Result<(), Failure> },
    Describe { result: Result<Bytes, Failure> },
    Call(ServeId),
}

impl End {
    pub(crate) fn new(host: usize, connection: Connection) -> Self {
        Self {
            host,
            connection,
            queue: VecDeque::new(),
            stage: Stage::Running,
            open: false,
            leaving: false,
            armed: None,
            driving: false,
            slow_until: 0,
            waits: BTreeMap::new(),
            bound: BTreeMap::new(),
            asked: BTreeMap::new(),
            offered: BTreeMap::new(),
        }
    }

    /// Whether new requests may be made here.
    pub(crate) fn is_usable(&self) -> bool {
        let sound = self.stage == Stage::Running && self.open && !self.leaving;
        sound && !self.connection.is_closed() && !self.connection.peer_leaves()
    }
}
