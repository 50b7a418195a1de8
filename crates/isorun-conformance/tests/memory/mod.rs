//! A transport in memory that keeps every rule, but for the one fault it is given.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use isorun_conformance::{Channel, Endpoint, Listener, Transport};
use isorun_core::{BoxFuture, FRAME_BYTES_MAX, PeerIdentity, TransportError};
use parking_lot::Mutex;

/// What is wrong with a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// A frame overtakes the one before it.
    Reorders,
    /// Every seventh frame comes twice.
    Repeats,
    /// A frame of over 4,096 bytes comes as two.
    SplitsFrames,
    /// A small frame is joined with the one before it.
    JoinsFrames,
    /// The last byte of a large frame is another.
    ChangesABit,
    /// Frames of any size are carried.
    IgnoresLimits,
    /// The largest frame is one byte less than it should be.
    SmallerLimit,
    /// A frame that is refused leaves the queue.
    TakesWhatItRefuses,
    /// After an error it goes on as if there had been none.
    ForgetsErrors,
    /// Closing discards the last frame that was not yet received.
    DropsTheLastFrameOnClose,
    /// Closing twice is an error.
    ClosesOnlyOnce,
    /// Closing is not seen at the other end.
    NeverEnds,
    /// Frames are taken after closing.
    TakesAfterClosing,
    /// Closing one way closes the other too.
    ClosesBothWays,
    /// Half-close by the end that was accepted is not seen until the other closes.
    HalfClosesOneSideOnly,
    /// Sending to an end that was dropped succeeds.
    NeverFails,
    /// Dropping with frames on their way delivers the first half of the next one.
    CutsAFrameOnDrop,
    /// Nobody ever waits.
    NoBackPressure,
    /// A frame is lost where the sender has to wait.
    LosesWhenFull,
    /// Nothing is received while sending waits.
    OneWayAtATime,
    /// Whoever waits to receive isn't woken by a frame.
    NeverWakesReceivers,
    /// Whoever waits to accept isn't woken.
    NeverWakesListeners,
    /// All channels are one.
    MixesChannels,
    /// The peer is another one after a frame came.
    ChangesPeer,
    /// The peer has no name.
    NamelessPeer,
    /// A call gives back its own request.
    EchoesCalls,
    /// A call that is not answered is lost.
    LosesCalls,
    /// Opening succeeds though nobody listens.
    OpensToNobody,
    /// The listener's address is a bare word.
    NoAddress,
}

/// Frames one way.
#[derive(Default)]
struct Way {
    frames: VecDeque<Bytes>,
    /// No more frames come.
    closed: bool,
    /// Nobody receives any more.
    abandoned: bool,
    count: usize,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

type SharedWay = Arc<Mutex<Way>>;

const FRAMES_MAX: usize = 4;

impl Way {
    fn push(&mut self, frame: Bytes, fault: Fault) {
        self.count += 1;
        match fault {
            Fault::Reorders if !self.frames.is_empty() => self.frames.insert(self.frames.len() - 1, frame),
            Fault::Repeats if self.count.is_multiple_of(7) => self.frames.extend([frame.clone(), frame]),
            Fault::SplitsFrames if frame.len() > 4_096 => {
                self.frames.extend([frame.slice(..4_096), frame.slice(4_096..)]);
            }
            Fault::JoinsFrames if frame.len() < 100 && !self.frames.is_empty() => {
                let before = self.frames.pop_back().unwrap();
                self.frames.push_back([before, frame].concat().into());
            }
            Fault::ChangesABit if frame.len() > 4_096 => {
                let mut changed = BytesMut::from(&frame[..frame.len() - 1]);
                changed.put_u8(!frame[frame.len() - 1]);
                self.frames.push_back(changed.freeze());
            }
            _ => self.frames.push_back(frame),
        }
        if fault != Fault::NeverWakesReceivers {
            self.wake();
        }
    }

    fn wake(&mut self) {
        self.receiver.take().into_iter().chain(self.sender.take()).for_each(Waker::wake);
    }
}

struct MemoryChannel {
    fault: Fault,
    out: SharedWay,
    back: SharedWay,
    opened: bool,
    closed: bool,
    blocked: bool,
    next: Option<Bytes>,
    failed: Option<TransportError>,
    peer: PeerIdentity,
}

impl MemoryChannel {
    fn refuse(&mut self, error: TransportError) -> Poll<Result<(), TransportError>> {
        if self.fault != Fault::ForgetsErrors {
            self.failed = Some(error.clone());
        }
        Poll::Ready(Err(error))
    }

    fn is_carried(&self, size: usize) -> bool {
        let max = if self.fault == Fault::SmallerLimit { FRAME_BYTES_MAX - 1 } else { FRAME_BYTES_MAX };
        self.fault == Fault::IgnoresLimits || (1..=max).contains(&size)
    }
}

impl Channel for MemoryChannel {
    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Bytes>) -> Poll<Result<(), TransportError>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        let fault = self.fault;
        while let Some(size) = queue.front().map(Bytes::len) {
            if self.closed && fault != Fault::TakesAfterClosing {
                return self.refuse(TransportError::Closed);
            }
            if !self.is_carried(size) {
                if fault == Fault::TakesWhatItRefuses {
                    queue.pop_front();
                }
                return self.refuse(TransportError::FrameSize { size, max: FRAME_BYTES_MAX });
            }
            let out = self.out.clone();
            let mut out = out.lock();
            if out.abandoned && fault == Fault::NeverFails {
                queue.clear();
                break;
            }
            if out.abandoned {
                return self.refuse(TransportError::Closed);
            }
            self.blocked = out.frames.len() >= FRAMES_MAX && fault != Fault::NoBackPressure;
            if self.blocked {
                if fault == Fault::LosesWhenFull && self.next.is_none() {
                    self.next = queue.pop_front();
                }
                self.next = self.next.take().or_else(|| queue.front().cloned());
                out.sender = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.next = None;
            out.push(queue.pop_front().unwrap(), fault);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        let mut back = self.back.lock();
        if self.closed && self.fault == Fault::ClosesBothWays {
            return Poll::Ready(Ok(None));
        }
        let waits = self.fault == Fault::OneWayAtATime && self.blocked;
        if let Some(frame) = back.frames.pop_front().filter(|_| !waits) {
            back.wake();
            if self.fault == Fault::ChangesPeer {
                self.peer = PeerIdentity::Anonymous { address: "somebody else".into() };
            }
            return Poll::Ready(Ok(Some(frame)));
        }
        if back.closed && !waits {
            return Poll::Ready(Ok(None));
        }
        back.receiver = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if std::mem::replace(&mut self.closed, true) && self.fault == Fault::ClosesOnlyOnce {
            return Poll::Ready(Err(TransportError::Closed));
        }
        let mut out = self.out.lock();
        match self.fault {
            Fault::NeverEnds => return Poll::Ready(Ok(())),
            Fault::HalfClosesOneSideOnly if !self.opened && !self.back.lock().closed => return Poll::Ready(Ok(())),
            Fault::DropsTheLastFrameOnClose => drop(out.frames.pop_back()),
            _ => {}
        }
        out.closed = true;
        out.wake();
        Poll::Ready(Ok(()))
    }

    fn peer(&self) -> &PeerIdentity {
        &self.peer
    }
}

impl Drop for MemoryChannel {
    fn drop(&mut self) {
        let mut out = self.out.lock();
        if let (Fault::CutsAFrameOnDrop, Some(next)) = (self.fault, self.next.take()) {
            out.frames.push_back(next.slice(..next.len() / 2));
        }
        out.closed = true;
        out.wake();
        drop(out);
        let mut back = self.back.lock();
        back.abandoned = true;
        back.frames.clear();
        back.wake();
    }
}

/// Channels that were opened and not yet accepted.
#[derive(Default)]
struct Backlog {
    channels: VecDeque<MemoryChannel>,
    gone: bool,
    waker: Option<Waker>,
    only: Option<(SharedWay, SharedWay)>,
}

struct MemoryTransport(Fault, Arc<Mutex<Backlog>>);

struct MemoryListener(Fault, Arc<Mutex<Backlog>>);

impl Transport for MemoryTransport {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        let mut backlog = self.1.lock();
        if backlog.gone && self.0 != Fault::OpensToNobody {
            let error = TransportError::Unreachable { address: "memory:".into(), cause: "nobody listens".into() };
            return Box::pin(async { Err(error) });
        }
        let mut ways = (SharedWay::default(), SharedWay::default());
        if self.0 == Fault::MixesChannels {
            ways = backlog.only.get_or_insert(ways).clone();
        }
        let channel = |out: &SharedWay, back: &SharedWay, opened| MemoryChannel {
            fault: self.0,
            out: out.clone(),
            back: back.clone(),
            opened,
            closed: false,
            blocked: false,
            next: None,
            failed: None,
            peer: match self.0 {
                Fault::NamelessPeer => PeerIdentity::Anonymous { address: String::new() },
                _ => PeerIdentity::SameProcess,
            },
        };
        backlog.channels.push_back(channel(&ways.1, &ways.0, false));
        if self.0 != Fault::NeverWakesListeners {
            backlog.waker.take().into_iter().for_each(Waker::wake);
        }
        let near: Box<dyn Channel> = Box::new(channel(&ways.0, &ways.1, true));
        Box::pin(async { Ok(near) })
    }

    fn call(&self, payload: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>> {
        Box::pin(async move {
            let mut channel = self.open().await?;
            let mut queue = VecDeque::from([payload.clone()]);
            std::future::poll_fn(|cx| channel.poll_send(cx, &mut queue)).await?;
            let reply = std::future::poll_fn(|cx| channel.poll_recv(cx)).await?;
            match (self.0, reply) {
                (Fault::EchoesCalls, _) => Ok(payload),
                (Fault::LosesCalls, None) => Err(TransportError::Lost { cause: "no answer".into() }),
                (_, reply) => reply.ok_or(TransportError::Closed),
            }
        })
    }
}

impl Listener for MemoryListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Channel>, TransportError>> {
        let mut backlog = self.1.lock();
        match backlog.channels.pop_front() {
            Some(channel) => Poll::Ready(Ok(Box::new(channel))),
            None => {
                backlog.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn address(&self) -> String {
        if self.0 == Fault::NoAddress { "memory".into() } else { "memory:".into() }
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        let mut backlog = self.1.lock();
        backlog.gone = true;
        let channels = std::mem::take(&mut backlog.channels);
        drop((backlog, channels));
    }
}

/// A fresh transport with `fault`, and its listener.
pub fn endpoint(fault: Fault) -> Endpoint {
    let backlog = Arc::<Mutex<Backlog>>::default();
    Endpoint::new(MemoryTransport(fault, backlog.clone()), MemoryListener(fault, backlog))
}
