//! An isorun transport between two ends of one process.
//!
//! [`LocalChannelTransport::pair`] makes two ends; each is a
//! [`Transport`](isorun_core::Transport) that opens channels to the other and a
//! [`Listener`](isorun_core::Listener) that accepts those the other opens.
//! Frames are handed over, not copied. Nothing here needs an executor's timer or
//! a socket, so that a remote link can be tested without either.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::future::poll_fn;
//!
//! use bytes::Bytes;
//! use isorun_core::{Listener, Transport, TransportError};
//! use isorun_transport_local::LocalChannelTransport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), TransportError> {
//! let (a, mut b) = LocalChannelTransport::pair();
//! let mut near = a.open().await?;
//! let mut far = poll_fn(|cx| b.poll_accept(cx)).await?;
//!
//! let mut queue = VecDeque::from([Bytes::from_static(b"hello")]);
//! poll_fn(|cx| near.poll_send(cx, &mut queue)).await?;
//! let frame = poll_fn(|cx| far.poll_recv(cx)).await?;
//! assert_eq!(frame.as_deref(), Some(b"hello".as_slice()));
//! assert_eq!(a.frames_sent(), 1);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod channel;
mod counter;
mod transport;

pub use channel::FRAMES_MAX;
pub use counter::FrameCounter;
pub use transport::{BACKLOG_MAX, LocalChannelTransport, LocalListener, LocalOpener};
