//! One connection: a state machine without a socket, a clock or a task.

mod arrivals;
mod block;
mod credit;
mod deadlines;
mod event;
mod held;
mod incoming;
mod outbox;
mod outgoing;
mod streams;
mod vigil;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{CallFailed, Failure, InstanceUid, Refusal, Reply};

use self::arrivals::{Arrivals, Begun, Trouble};
use self::block::Block;
use self::deadlines::Deadlines;
pub use self::event::{Event, ProtocolError};
pub use self::held::Held;
use self::outbox::{Outbox, Waiting};
use self::outgoing::{Pending, Stage};
use self::streams::{Key, Streams};
use self::vigil::Vigil;
use crate::call::{CallFrame, FailureFrame, ReplyFrame, ms_until};
use crate::chunk::{CallInChunksFrame, ChunkFrame, CreditFrame, Payload, ReplyInChunksFrame};
use crate::frame::{Frame, FrameError, Kind};
use crate::hello::{FEATURE_CHUNKS, FEATURE_GOING_AWAY, FEATURE_PING, Hello, PeerLimits};
use crate::id::{BindingId, RequestId};
use crate::limits::{FRAME_BYTES_MAX, HELLO_MS_MAX, QUEUE_FRAMES_MAX, VERSION};

/// One end of a connection; both ends may serve and call.
///
/// The shell around it feeds [`handle_frame`](Self::handle_frame) and [`handle_timeout`](Self::handle_timeout), sends
/// what [`poll_transmit`](Self::poll_transmit) hands out, reports with [`taken`](Self::taken) how many of those frames
/// the channel took, and acts on [`poll_event`](Self::poll_event). A call counts as *not sent* until its frame is
/// taken, and as *unknown* from then until its answer.
///
/// ```
/// use std::time::Instant;
/// use neorpc::{Connection, Event, PeerLimits};
///
/// let now = Instant::now();
/// let mut here = Connection::connect(now, PeerLimits::default());
/// let mut there = Connection::accept(now, PeerLimits::default());
/// let hello = here.poll_transmit(now).unwrap();
/// there.handle_frame(now, hello).unwrap();
/// here.taken(1);
/// assert!(matches!(there.poll_event(), Some(Event::Open(_))));
/// ```
pub struct Connection {
    state: State,
    limits: PeerLimits,
    /// What the other end's hello lists beyond the version.
    agreed: Agreed,
    vigil: Vigil,
    leaving: Leaving,
    /// The other end said going-away.
    peer_leaves: bool,
    outbox: Outbox,
    block: Block,
    /// Payloads that leave in chunks.
    streams: Streams,
    /// Payloads that come in chunks.
    arrivals: Arrivals,
    events: VecDeque<Event>,
    /// The number of the next request of ours.
    next: u64,
    pending: HashMap<RequestId, Pending>,
    deadlines: Deadlines,
    /// The highest number of theirs.
    last_incoming: RequestId,
    /// The chain of their last call.
    last_chain: Arc<[InstanceUid]>,
    serving: HashMap<RequestId, Serving>,
    args_bytes: usize,
    /// How many functions each binding that we serve has.
    bindings: HashMap<BindingId, u32>,
    /// Those that were given back while arguments for them were still coming.
    given_back: Vec<BindingId>,
    next_binding: u32,
}

enum State {
    /// We said hello first and wait for the answer.
    Greeted { until: Instant },
    /// We accepted, and wait for a hello or a self-contained call.
    Listening { until: Instant },
    /// Both said hello.
    Open { peer: PeerLimits },
    /// We serve the one call of a peer that keeps no connection.
    Once,
    /// Nothing is taken in any more; a last frame may still go out.
    Closed { cause: String },
}

#[derive(Clone, Copy, Default)]
struct Agreed {
    chunks: bool,
    ping: bool,
    going_away: bool,
}

/// How far this end is in leaving.
#[derive(Clone, Copy)]
enum Leaving {
    Not,
    /// It said going-away: requests above the last one it took are no more looked at.
    Said {
        last: RequestId,
    },
    /// The other end would not understand it: each new request is refused.
    Refusing,
}

/// A request of the other end that we have not answered.
enum Serving {
    Bind {
        functions: u32,
    },
    Describe,
    Call {
        args_bytes: usize,
    },
    /// Its arguments are still to come.
    Arriving {
        args_bytes: usize,
        since: Instant,
    },
}

impl Connection {
    /// The end that opened the channel: it says hello first.
    #[must_use]
    pub fn connect(now: Instant, limits: PeerLimits) -> Self {
        let mut connection = Self::new(now, State::Greeted { until: hello_until(now) }, limits);
        connection.say_hello();
        connection
    }

    /// The end that accepted the channel: it answers a hello, or a self-contained call.
    #[must_use]
    pub fn accept(now: Instant, limits: PeerLimits) -> Self {
        Self::new(now, State::Listening { until: hello_until(now) }, limits)
    }

    fn new(now: Instant, state: State, limits: PeerLimits) -> Self {
        Self {
            state,
            limits: limits.clamped(),
            agreed: Agreed::default(),
            vigil: Vigil::new(now),
            leaving: Leaving::Not,
            peer_leaves: false,
            outbox: Outbox::default(),
            block: Block::default(),
            streams: Streams::default(),
            arrivals: Arrivals::default(),
            events: VecDeque::new(),
            next: 1,
            pending: HashMap::new(),
            deadlines: Deadlines::default(),
            last_incoming: RequestId::NONE,
            last_chain: Arc::new([]),
            serving: HashMap::new(),
            args_bytes: 0,
            bindings: HashMap::new(),
            given_back: Vec::new(),
            next_binding: 0,
        }
    }

    /// Takes one frame of the other end, which came at `now`.
    ///
    /// # Errors
    /// [`ProtocolError`]: the connection has ended, as with [`connection_lost`](Self::connection_lost). Drop the frames
    /// that were handed out and not taken, send what [`poll_transmit`](Self::poll_transmit) still has, and close.
    pub fn handle_frame(&mut self, now: Instant, frame: Bytes) -> Result<(), ProtocolError> {
        let handled = self.dispatch(now, &frame);
        if let Err(error) = &handled {
            self.abort(error);
        }
        handled
    }

    fn dispatch(&mut self, now: Instant, bytes: &Bytes) -> Result<(), ProtocolError> {
        if matches!(self.state, State::Closed { .. }) {
            return Ok(());
        }
        if bytes.len() > self.limits.frame_bytes_max {
            return Err(ProtocolError::FrameTooLarge { size: bytes.len(), max: self.limits.frame_bytes_max });
        }
        if self.waiting_frames() > QUEUE_FRAMES_MAX {
            return Err(ProtocolError::NotReading { frames: self.waiting_frames() });
        }
        let frame = Frame::decode_after(bytes, Some(&self.last_chain))?;
        self.vigil.hear(now);
        match &self.state {
            State::Greeted { .. } => match frame {
                Frame::Hello(hello) => self.opened(&hello),
                other => Err(ProtocolError::HelloExpected { found: other.kind() }),
            },
            State::Listening { .. } => match frame {
                Frame::Hello(hello) => {
                    // Said even to another version, so that the other end can tell what is wrong.
                    self.say_hello();
                    self.opened(&hello)
                }
                Frame::SelfContained(call) => {
                    self.state = State::Once;
                    self.serve_once(call);
                    Ok(())
                }
                other => Err(ProtocolError::HelloExpected { found: other.kind() }),
            },
            State::Open { .. } => self.dispatch_open(now, frame),
            State::Once => Err(ProtocolError::OutOfPlace { found: frame.kind() }),
            State::Closed { .. } => Ok(()),
        }
    }

    fn dispatch_open(&mut self, now: Instant, frame: Frame) -> Result<(), ProtocolError> {
        match frame {
            Frame::Bound(bound) => self.bound(bound),
            Frame::Described(described) => self.described(described),
            Frame::Reply(reply) => self.returned(Kind::Reply, reply.id, Ok(reply.reply)),
            Frame::Failure(FailureFrame { id: RequestId::NONE, failed }) => {
                Err(ProtocolError::Farewell(failed.failure))
            }
            Frame::Failure(failure) => self.returned(Kind::Failure, failure.id, Err(failure.failed)),
            Frame::Bind(bind) => self.incoming_bind(bind),
            Frame::Unbind(binding) => self.incoming_unbind(binding),
            Frame::Describe(describe) => self.incoming_describe(describe),
            Frame::Call(call) => self.incoming_call(now, call),
            Frame::Cancel(id) => self.incoming_cancel(id),
            Frame::Ping(_) | Frame::Pong(_) if !self.agreed.ping => {
                Err(ProtocolError::NotAnnounced { found: frame.kind() })
            }
            Frame::Ping(number) => {
                self.vigil.asked(number);
                Ok(())
            }
            Frame::Pong(number) => self.vigil.answered(number),
            Frame::GoingAway(last) => self.peer_goes(last),
            Frame::CallInChunks(_) | Frame::ReplyInChunks(_) | Frame::Chunk(_) | Frame::Credit(_)
                if !self.agreed.chunks =>
            {
                Err(ProtocolError::NotAnnounced { found: frame.kind() })
            }
            Frame::CallInChunks(call) => self.incoming_call_in_chunks(now, call),
            Frame::ReplyInChunks(reply) => self.returns(&reply),
            Frame::Chunk(chunk) => self.chunk(&chunk),
            Frame::Credit(credit) => self.credit(&credit),
            Frame::Hello(_) | Frame::SelfContained(_) => Err(ProtocolError::OutOfPlace { found: frame.kind() }),
        }
    }

    /// Hands out the next frame to send, in order.
    ///
    /// Hand out little at a time: what is still in here when its deadline passes or its caller gives up never goes out.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if let Some(bytes) = self.vigil.transmit() {
            self.outbox.handed(bytes.len(), None);
            return Some(bytes);
        }
        loop {
            // Small frames go first, but not for ever.
            if self.streams.is_due()
                && let Some(bytes) = self.next_chunk()
            {
                return Some(bytes);
            }
            let Some(waiting) = self.outbox.pop() else { return self.next_chunk() };
            let (bytes, request) = match waiting {
                Waiting::Frame { bytes, request } => (bytes, request),
                Waiting::Call { mut call, deadline, chunks } => {
                    #[cfg(planted)]
                    let issued_ms = call.with.deadline_ms;
                    call.with.deadline_ms = ms_until(deadline, now);
                    #[cfg(planted)]
                    if crate::planted::has(crate::planted::Fault::WaitNotCounted) {
                        call.with.deadline_ms = issued_ms;
                    }
                    if call.with.deadline_ms == 0 {
                        self.expire(call.id, now);
                        continue;
                    }
                    let id = call.id;
                    let encoded = if chunks { self.begin_call(call) } else { self.block.call(&call) };
                    match encoded {
                        // A call in chunks is sent when its last chunk is.
                        Ok(bytes) if chunks => {
                            if let Some(pending) = self.pending.get_mut(&id) {
                                pending.stage = Stage::Handed;
                            }
                            (bytes, None)
                        }
                        Ok(bytes) => (bytes, Some(id)),
                        Err(error) => {
                            self.resolve(id, Failure::NotSent { cause: error.to_string() });
                            continue;
                        }
                    }
                }
                Waiting::Reply(reply) => match self.begin_reply(reply) {
                    Ok(bytes) => (bytes, None),
                    Err(error) => {
                        self.connection_lost(&error.to_string());
                        return None;
                    }
                },
            };
            if let Some(pending) = request.and_then(|id| self.pending.get_mut(&id)) {
                pending.stage = Stage::Handed;
            }
            self.streams.passed_by(bytes.len());
            self.outbox.handed(bytes.len(), request);
            return Some(bytes);
        }
    }

    /// Announces a call's arguments, which follow.
    fn begin_call(&mut self, call: CallFrame) -> Result<Bytes, FrameError> {
        let CallFrame { id, binding, function, with, args } = call;
        let args_bytes = args.len() as u64;
        let bytes = Frame::CallInChunks(CallInChunksFrame { id, binding, function, with, args_bytes }).encode()?;
        self.streams.begin((id, Payload::Arguments), args);
        Ok(bytes)
    }

    /// Announces a call's results, which follow.
    fn begin_reply(&mut self, frame: ReplyFrame) -> Result<Bytes, FrameError> {
        let ReplyFrame { id, reply: Reply { results, fuel_used } } = frame;
        let results_bytes = results.len() as u64;
        let bytes = Frame::ReplyInChunks(ReplyInChunksFrame { id, fuel_used, results_bytes }).encode()?;
        self.streams.begin((id, Payload::Results), results);
        Ok(bytes)
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        let (chunk, last) = self.streams.next()?;
        let request = (last && chunk.of == Payload::Arguments).then_some(chunk.id);
        match Frame::encode_chunk(&chunk) {
            Ok(bytes) => {
                self.outbox.handed(bytes.len(), request);
                Some(bytes)
            }
            // A chunk fits every frame; should it not, the other end must not wait for it.
            Err(error) => {
                self.connection_lost(&error.to_string());
                None
            }
        }
    }

    /// A part of a payload came.
    fn chunk(&mut self, chunk: &ChunkFrame) -> Result<(), ProtocolError> {
        let (id, found) = (chunk.id, Kind::Chunk);
        match chunk.of {
            Payload::Arguments if id == RequestId::NONE || id > self.last_incoming => {
                return Err(ProtocolError::NeverIssued { found, id });
            }
            Payload::Results => drop(self.asked(found, id)?),
            Payload::Arguments => {}
        }
        let mut give = Vec::new();
        let whole = self.arrivals.take(chunk, &mut give).map_err(|trouble| match trouble {
            Trouble::OverCredit => ProtocolError::OverCredit { id },
            Trouble::Overrun { size } => ProtocolError::Overrun { id, size },
        })?;
        self.give(give);
        match whole {
            None => Ok(()),
            Some((Begun::Call { binding, function, cx }, args)) => {
                self.arrived(id, binding, function, cx, args);
                Ok(())
            }
            Some((Begun::Reply { fuel_used }, results)) => self.returned(found, id, Ok(Reply { results, fuel_used })),
        }
    }

    /// More may be sent in chunks.
    fn credit(&mut self, credit: &CreditFrame) -> Result<(), ProtocolError> {
        let CreditFrame { to, bytes, frames } = *credit;
        let fits = match to {
            None => self.streams.credit(bytes, frames),
            Some(key) => self.streams.credit_one(key, bytes, frames),
        };
        if fits { Ok(()) } else { Err(ProtocolError::CreditOverflow) }
    }

    fn give(&mut self, credits: Vec<CreditFrame>) {
        for credit in credits {
            // Numbers of our own: this can't fail.
            if let Ok(frame) = Frame::Credit(credit).encode() {
                self.outbox.push_frame(frame);
            }
        }
    }

    fn give_up_arrival(&mut self, key: Key) {
        let mut give = Vec::new();
        self.arrivals.give_up(key, &mut give);
        self.give(give);
    }

    /// Bytes that wait to be sent.
    fn waiting_bytes(&self) -> usize {
        self.outbox.bytes() + self.streams.bytes()
    }

    /// Those of them that are answers.
    fn answer_bytes(&self) -> usize {
        self.outbox.answer_bytes() + self.streams.results_bytes()
    }

    /// Frames that wait to be sent; a payload in chunks counts as one.
    fn waiting_frames(&self) -> usize {
        self.outbox.frames() + self.streams.count()
    }

    /// Notes that the channel took `frames` more of the frames handed out, oldest first.
    ///
    /// Report this after every attempt to send, before the next frame is handled and before the connection is given up:
    /// it is what tells *unknown* from *not sent*.
    pub fn taken(&mut self, frames: usize) {
        for _ in 0..frames {
            #[cfg(planted)]
            if crate::planted::has(crate::planted::Fault::TakenIgnored) {
                self.outbox.taken();
                continue;
            }
            if let Some(pending) = self.outbox.taken().and_then(|id| self.pending.get_mut(&id)) {
                pending.stage = Stage::Sent;
            }
        }
    }

    /// The next thing that the shell should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Greeted { until } | State::Listening { until } => Some(until),
            State::Open { .. } => {
                let deadline = self.deadlines.first().map(|(deadline, _)| deadline);
                let vigil = self.agreed.ping.then(|| self.vigil.due());
                deadline.into_iter().chain(vigil).chain(self.arrivals.due()).min()
            }
            State::Once | State::Closed { .. } => None,
        }
    }

    /// Ends what is over at `now`: calls past their deadline, the wait for a hello or for a sign of life; asks for one
    /// where the other end has long been silent.
    ///
    /// # Errors
    /// [`ProtocolError::NoHello`] and [`ProtocolError::Silent`], after which the connection has ended.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        match self.state {
            State::Greeted { until } | State::Listening { until } if until <= now => {
                let error = ProtocolError::NoHello { waited_ms: HELLO_MS_MAX };
                self.abort(&error);
                Err(error)
            }
            State::Open { .. } => {
                while let Some((deadline, id)) = self.deadlines.first()
                    && deadline <= now
                {
                    self.expire(id, now);
                }
                while let Some(id) = self.arrivals.overdue(now) {
                    self.never_arrived(id, now);
                }
                let alive = if self.agreed.ping { self.vigil.pass(now) } else { Ok(()) };
                if let Err(error) = &alive {
                    self.abort(error);
                }
                alive
            }
            State::Greeted { .. } | State::Listening { .. } | State::Once | State::Closed { .. } => Ok(()),
        }
    }

    /// Ends the connection because the channel did: every request that was taken resolves as *unknown*, every other as
    /// *not sent*, and binds and describes as *not sent* always, since they run nothing.
    pub fn connection_lost(&mut self, cause: &str) {
        self.close(cause, None);
    }

    /// Takes no request more: says so to the other end, and serves on what it took.
    ///
    /// The connection is the shell's to end, once [`is_drained`](Self::is_drained). Before both said hello there is
    /// nothing to serve, and it ends at once.
    pub fn go_away(&mut self) {
        match self.state {
            State::Greeted { .. } | State::Listening { .. } => self.close("this end is going away", None),
            State::Open { .. } if matches!(self.leaving, Leaving::Not) => {
                let last = self.last_incoming;
                #[cfg(planted)]
                if crate::planted::has(crate::planted::Fault::AwayDropsAccepted) {
                    self.serving.clear();
                }
                self.leaving = match Frame::GoingAway(last).encode() {
                    Ok(frame) if self.agreed.going_away => {
                        self.outbox.push_frame(frame);
                        Leaving::Said { last }
                    }
                    Ok(_) | Err(_) => Leaving::Refusing,
                };
            }
            State::Open { .. } | State::Once | State::Closed { .. } => {}
        }
    }

    /// Whether this end is going away and nothing is under way any more, either way, nor waits to be sent.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let leaves = matches!(self.leaving, Leaving::Said { .. } | Leaving::Refusing);
        leaves && self.serving.is_empty() && self.pending.is_empty() && self.waiting_frames() == 0
    }

    /// Whether the other end is going away: it takes no request any more.
    #[must_use]
    pub fn peer_leaves(&self) -> bool {
        self.peer_leaves
    }

    /// Whether a request came after this end said that it takes none: the other end knows that it was not served.
    fn is_past_last(&self, id: RequestId) -> bool {
        #[cfg(planted)]
        if crate::planted::has(crate::planted::Fault::AwayServesMore) {
            return false;
        }
        match self.leaving {
            Leaving::Said { last } => id > last,
            Leaving::Not | Leaving::Refusing => false,
        }
    }

    /// Whether the connection has ended; events and a last frame may still be waiting.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Why the connection has ended, if it has.
    #[must_use]
    pub fn closed_cause(&self) -> Option<&str> {
        match &self.state {
            State::Closed { cause } => Some(cause),
            State::Greeted { .. } | State::Listening { .. } | State::Open { .. } | State::Once => None,
        }
    }

    /// Frames that were handed out, were not taken, and should still be sent: none once the connection was lost or
    /// aborted.
    #[must_use]
    pub fn untaken(&self) -> usize {
        self.outbox.untaken()
    }

    /// Requests of this end that have no answer yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Requests of the other end that this end has not answered yet.
    #[must_use]
    pub fn in_service(&self) -> usize {
        self.serving.len()
    }

    fn say_hello(&mut self) {
        // Numbers and features of our own: this can't fail, and a connection without a hello ends by its timeout.
        if let Ok(hello) = Frame::Hello(Hello::new(self.limits)).encode() {
            self.outbox.push_frame(hello);
        }
    }

    fn opened(&mut self, hello: &Hello) -> Result<(), ProtocolError> {
        if hello.version != VERSION {
            return Err(ProtocolError::Version { ours: VERSION, theirs: hello.version });
        }
        let peer = hello.limits.clamped();
        self.agreed = Agreed {
            chunks: hello.has(FEATURE_CHUNKS),
            ping: hello.has(FEATURE_PING),
            going_away: hello.has(FEATURE_GOING_AWAY),
        };
        if self.agreed.chunks {
            self.streams.open(peer.window_bytes, peer.frame_bytes_max);
            self.arrivals.open(self.limits.window_bytes);
        }
        self.state = State::Open { peer };
        self.events.push_back(Event::Open(peer));
        Ok(())
    }

    /// Ends the connection for the other end's fault, and tells it where that helps.
    fn abort(&mut self, error: &ProtocolError) {
        let farewell = match (&self.state, error) {
            // It closed first, or reads nothing anyway.
            (_, ProtocolError::Farewell(_) | ProtocolError::NotReading { .. } | ProtocolError::Silent { .. }) => None,
            (State::Open { .. } | State::Once, _) => {
                let text = error.to_string();
                let failure = Failure::Refused(Refusal::Other { kind: "protocol".to_owned(), text });
                let failed = CallFailed { failure, fuel_used: 0 };
                Frame::Failure(FailureFrame { id: RequestId::NONE, failed }).encode().ok()
            }
            // Our own hello says all that there is to say.
            (State::Listening { .. }, ProtocolError::Version { .. }) => {
                Frame::Hello(Hello::new(self.limits)).encode().ok()
            }
            (State::Greeted { .. } | State::Listening { .. } | State::Closed { .. }, _) => None,
        };
        self.close(&error.to_string(), farewell);
    }

    fn close(&mut self, cause: &str, farewell: Option<Bytes>) {
        if self.is_closed() {
            return;
        }
        self.state = State::Closed { cause: cause.to_owned() };
        self.outbox.clear();
        self.streams.clear();
        self.arrivals.clear();
        self.vigil.clear();
        if let Some(farewell) = farewell {
            self.outbox.push_frame(farewell);
        }
        self.serving.clear();
        self.bindings.clear();
        self.given_back.clear();
        self.args_bytes = 0;
        let mut ids: Vec<RequestId> = self.pending.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.lose(id, cause);
        }
    }

    /// The largest frame that may be sent.
    fn frame_bytes_max(&self) -> usize {
        match &self.state {
            State::Open { peer } => peer.frame_bytes_max,
            State::Greeted { .. } | State::Listening { .. } | State::Once | State::Closed { .. } => FRAME_BYTES_MAX,
        }
    }
}

fn hello_until(now: Instant) -> Instant {
    now.checked_add(Duration::from_millis(HELLO_MS_MAX)).unwrap_or(now)
}

fn overloaded(what: &str, limit: u64) -> Failure {
    Refusal::Overloaded { what: what.to_owned(), limit }.into()
}
