//! What a user implements to bring a transport of their own.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::BoxFuture;

/// Largest frame that any transport carries, in bytes.
///
/// 4 MiB is what gRPC peers accept by default. Raising it raises the worst case
/// held per connection.
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// Who is at the other end, as far as the transport can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerIdentity {
    /// This very process.
    SameProcess,
    /// Somebody the transport did not authenticate, at this address.
    Anonymous {
        /// The address, as the transport writes it.
        address: String,
    },
    /// Somebody the transport authenticated.
    Authenticated {
        /// The name that was proven.
        name: String,
    },
}

impl std::fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SameProcess => f.write_str("this process"),
            Self::Anonymous { address } => f.write_str(address),
            Self::Authenticated { name } => f.write_str(name),
        }
    }
}

/// What a transport can say went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Nobody answered at that address.
    #[error("cannot reach {address}: {cause}")]
    Unreachable {
        /// The address.
        address: String,
        /// What the system says.
        cause: String,
    },
    /// The connection broke.
    #[error("connection lost: {cause}")]
    Lost {
        /// What the system says.
        cause: String,
    },
    /// The channel was closed, by either end.
    #[error("connection closed")]
    Closed,
    /// A frame over [`FRAME_BYTES_MAX`], or an empty one.
    #[error("frame of {size} bytes, 1 to {max} are carried")]
    FrameSize {
        /// The frame's size, in bytes.
        size: usize,
        /// The largest, in bytes.
        max: usize,
    },
}

/// Opens channels to one address.
pub trait Transport: Send + Sync {
    /// Opens a channel.
    ///
    /// May wait for the other end to have room for it: whoever can't wait long
    /// puts a deadline on it, and dropping the future gives it up.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`] where nobody answers.
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>>;

    /// Where channels go, as messages name it: an URL where there is one.
    fn place(&self) -> String {
        "a remote host".into()
    }

    /// One self-contained request and its reply, for transports that keep no connection.
    ///
    /// Unless overridden: open, send, one reply, close.
    ///
    /// # Errors
    /// [`TransportError::Closed`] where the other end closes instead of answering.
    fn call(&self, payload: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>> {
        Box::pin(async move {
            let mut channel = self.open().await?;
            let mut queue = VecDeque::from([payload]);
            std::future::poll_fn(|cx| channel.poll_send(cx, &mut queue)).await?;
            let reply = std::future::poll_fn(|cx| channel.poll_recv(cx)).await?;
            let reply = reply.ok_or(TransportError::Closed)?;
            // The reply is here: an end that is slow to close can't take it back.
            drop(channel);
            Ok(reply)
        })
    }
}

/// Whole frames, in order, both ways.
///
/// A frame has 1 to [`FRAME_BYTES_MAX`] bytes; any other size is
/// [`TransportError::FrameSize`], before anything of it is sent or stored.
///
/// The two directions are independent: one may be closed or broken while the
/// other goes on. Whichever method answers `Pending` has arranged for the task
/// to be woken; sending (with closing) and receiving each keep a waker of their
/// own. Dropping a channel closes it both ways, and what the system still holds
/// may then be lost: who needs it to arrive awaits
/// [`poll_close`](Channel::poll_close) and the other end's `None` first.
pub trait Channel: Send {
    /// Takes frames from the front of `queue` and sends them.
    ///
    /// A frame that was taken may have been sent; one still in `queue` was not.
    /// Ready once `queue` is empty and all that was taken is handed to the system.
    /// A frame of a wrong size stays in `queue`; those before it are sent first.
    ///
    /// # Errors
    /// [`TransportError::Closed`] or [`TransportError::Lost`] where the other end
    /// is gone, as soon as the transport knows; [`TransportError::Closed`] for a
    /// frame given after [`poll_close`](Channel::poll_close). After an error the
    /// channel takes no more frames and gives that error again.
    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Bytes>) -> Poll<Result<(), TransportError>>;

    /// The next frame; `None`, from then on, once the other end has closed and all its frames were given.
    ///
    /// # Errors
    /// [`TransportError::Lost`] where the connection broke, in the middle of a
    /// frame included; [`TransportError::FrameSize`] where the other end announces
    /// a frame that is not carried. After an error the channel receives no more
    /// and gives that error again.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>>;

    /// Sends what is buffered and closes this end's sending side; calling it again is harmless.
    ///
    /// Receiving goes on: the other end may still have frames to send.
    ///
    /// # Errors
    /// Whatever kept the last bytes from leaving.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Who is at the other end.
    fn peer(&self) -> &PeerIdentity;
}

/// Accepts channels at one address.
pub trait Listener: Send {
    /// The next channel.
    ///
    /// # Errors
    /// [`TransportError::Closed`] once no more can come; any other error is that of one channel, and the next may succeed.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Channel>, TransportError>>;

    /// Where this listens, as an URL that reaches it.
    fn address(&self) -> String;
}
