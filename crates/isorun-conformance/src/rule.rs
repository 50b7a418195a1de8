//! The rules, and what is said of a broken one.

use std::fmt;

/// What a case holds a transport to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Frames arrive in the order they were sent, each once.
    Order,
    /// A frame arrives whole and unchanged, and as one.
    WholeFrames,
    /// Frames of 1 byte to `FRAME_BYTES_MAX` are carried; any other is refused, stays in the queue, and nothing of it is sent.
    FrameSize,
    /// Closing delivers all that was taken and then the end, and can be repeated; after it nothing is taken.
    Close,
    /// One way closed leaves the other open.
    HalfClose,
    /// A dropped end is noticed at the other, which never gets part of a frame, or one that was not taken.
    Dropped,
    /// A sender waits for a receiver that does not read, and loses nothing by it.
    BackPressure,
    /// Whoever is told to wait is woken: sending and receiving each keep a waker.
    Wakers,
    /// Channels that are open at once keep their frames apart.
    ManyAtOnce,
    /// A channel says who is at its other end, and goes on saying the same.
    PeerIdentity,
    /// A call sends one frame and gives back the one that answers it.
    Call,
    /// A listener has an address, and a transport whose listener is gone reaches nobody.
    Reach,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "order: frames arrive in the order they were sent, each once",
            Self::WholeFrames => "whole frames: a frame arrives whole and unchanged, and as one",
            Self::FrameSize => {
                "frame size: frames of 1 byte to the largest size are carried, any other is refused unsent"
            }
            Self::Close => "close: closing delivers all that was taken and then the end",
            Self::HalfClose => "half-close: one way closed leaves the other open",
            Self::Dropped => "dropped: a dropped end is noticed, and never leaves part of a frame",
            Self::BackPressure => {
                "back-pressure: a sender waits for a receiver that does not read, and nothing is lost"
            }
            Self::Wakers => "wakers: whoever is told to wait is woken",
            Self::ManyAtOnce => "many at once: channels keep their frames apart",
            Self::PeerIdentity => "peer identity: a channel says who is at its other end, and stays with it",
            Self::Call => "call: one frame is sent, and the one that answers it is given back",
            Self::Reach => "reach: a listener has an address, and one that is gone is not reached",
        })
    }
}

/// A case that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("broken rule: {rule}\n  case: {case}\n  found: {found}")]
#[non_exhaustive]
pub struct Broken {
    /// The rule that the transport broke.
    pub rule: Rule,
    /// The case that shows it: the name of its function.
    pub case: &'static str,
    /// What the transport did instead.
    pub found: String,
}
