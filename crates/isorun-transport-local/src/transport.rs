//! The two ends, what opens channels and what accepts them.

use std::fmt;
use std::task::{Context, Poll};

use isorun_core::{BoxFuture, Channel, Listener, Transport, TransportError};
use tokio::sync::mpsc;

use crate::FrameCounter;
use crate::channel::LocalChannel;

/// Channels that an end has opened and the other has not yet accepted.
///
/// With so many waiting, [`open`](Transport::open) waits until one is accepted.
/// Raising it raises what an end that never accepts can be made to hold.
pub const BACKLOG_MAX: usize = 64;

/// One end of a pair within this process: both a [`Transport`] and a [`Listener`].
///
/// Each end opens channels to the other and accepts those that the other opens.
/// Where one end does only one of the two, give it away whole; where it does both,
/// [`split`](Self::split) it.
///
/// ```
/// use std::sync::Arc;
///
/// use isorun_core::{Listener, Transport};
/// use isorun_transport_local::LocalChannelTransport;
///
/// let (a, b) = LocalChannelTransport::pair();
/// let frames = a.counter();
/// let to_a_link: Arc<dyn Transport> = Arc::new(a);
/// let to_a_server: Box<dyn Listener> = Box::new(b);
/// assert_eq!(frames.frames_sent(), 0);
/// ```
pub struct LocalChannelTransport {
    opener: LocalOpener,
    listener: LocalListener,
}

impl LocalChannelTransport {
    /// Two ends, connected with each other.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let (to_b, from_a) = mpsc::channel(BACKLOG_MAX);
        let (to_a, from_b) = mpsc::channel(BACKLOG_MAX);
        let (a, b) = (FrameCounter::default(), FrameCounter::default());
        (
            Self {
                opener: LocalOpener { channels: to_b, near: a.clone(), far: b.clone() },
                listener: LocalListener { channels: from_b },
            },
            Self {
                opener: LocalOpener { channels: to_a, near: b, far: a },
                listener: LocalListener { channels: from_a },
            },
        )
    }

    /// The two halves, each with a life of its own.
    #[must_use]
    pub fn split(self) -> (LocalOpener, LocalListener) {
        (self.opener, self.listener)
    }

    /// Frames this end has sent so far, on channels it opened and on channels it accepted.
    #[must_use]
    pub fn frames_sent(&self) -> u64 {
        self.opener.near.frames_sent()
    }

    /// A handle on [`frames_sent`](Self::frames_sent) that outlives giving this end away.
    #[must_use]
    pub fn counter(&self) -> FrameCounter {
        self.opener.near.clone()
    }
}

impl Transport for LocalChannelTransport {
    fn place(&self) -> String {
        self.opener.place()
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        self.opener.open()
    }
}

impl Listener for LocalChannelTransport {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Channel>, TransportError>> {
        self.listener.poll_accept(cx)
    }

    fn address(&self) -> String {
        self.listener.address()
    }
}

impl fmt::Debug for LocalChannelTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalChannelTransport").field("frames_sent", &self.frames_sent()).finish_non_exhaustive()
    }
}

/// The half of an end that opens channels to the other end; clones open to the same end.
#[derive(Clone)]
pub struct LocalOpener {
    channels: mpsc::Sender<LocalChannel>,
    near: FrameCounter,
    far: FrameCounter,
}

impl Transport for LocalOpener {
    fn place(&self) -> String {
        "the other end of a channel in this process".into()
    }

    /// Opens a channel, as soon as fewer than [`BACKLOG_MAX`] wait to be accepted.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`] once the other end's listener is gone.
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        Box::pin(async move {
            let Ok(place) = self.channels.reserve().await else {
                return Err(TransportError::Unreachable {
                    address: ADDRESS.to_owned(),
                    cause: "the other end no longer accepts".to_owned(),
                });
            };
            let (near, far) = LocalChannel::pair(self.near.clone(), self.far.clone());
            place.send(far);
            Ok(Box::new(near) as Box<dyn Channel>)
        })
    }
}

impl fmt::Debug for LocalOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalOpener").field("frames_sent", &self.near.frames_sent()).finish_non_exhaustive()
    }
}

/// The half of an end that accepts the channels that the other end opens.
///
/// Dropping it closes the channels that were not accepted.
pub struct LocalListener {
    channels: mpsc::Receiver<LocalChannel>,
}

impl Listener for LocalListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Channel>, TransportError>> {
        self.channels
            .poll_recv(cx)
            .map(|channel| channel.map(|channel| Box::new(channel) as Box<dyn Channel>).ok_or(TransportError::Closed))
    }

    /// Always `local:`, which names the kind: nobody outside the pair can reach it.
    fn address(&self) -> String {
        ADDRESS.to_owned()
    }
}

impl fmt::Debug for LocalListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalListener").finish_non_exhaustive()
    }
}

const ADDRESS: &str = "local:";
