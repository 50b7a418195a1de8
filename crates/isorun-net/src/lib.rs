//! What isorun transports over a network share: [`HostPort`], and channels over any stream of bytes.
//!
//! A frame travels as its length, a little-endian `u32`, and its bytes. Writes
//! are gathered, what left the queue is exactly what may have been sent, and a
//! length is refused before a byte of the frame is read or a byte of memory is
//! set aside for it. [`StreamChannel`] is all of that over whatever reads and
//! writes bytes in order: isorun's own transports over sockets use it, and one
//! over a serial line or a pipe may too.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::future::poll_fn;
//!
//! use bytes::Bytes;
//! use isorun_core::{Channel, PeerIdentity};
//! use isorun_net::StreamChannel;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (near, far) = tokio::io::duplex(1 << 10);
//! let peer = PeerIdentity::Anonymous { address: "pipe:1".into() };
//! let (mut near, mut far) = (StreamChannel::new(near, peer.clone()), StreamChannel::new(far, peer));
//!
//! let mut queue = VecDeque::from([Bytes::from_static(b"hello")]);
//! poll_fn(|cx| near.poll_send(cx, &mut queue)).await?;
//! let frame = poll_fn(|cx| far.poll_recv(cx)).await?;
//! assert_eq!(frame.as_deref(), Some(b"hello".as_slice()));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod channel;
mod host_port;
mod reader;
mod server_address;
mod writer;

pub use channel::StreamChannel;
pub use host_port::{HostPort, HostPortError};
pub use server_address::{ServerAddress, ServerAddressError};
