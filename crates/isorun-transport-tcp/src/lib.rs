//! isorun transports over TCP and over Unix sockets.
//!
//! A frame travels as its length, a little-endian `u32`, and its bytes. Writes
//! are gathered, `TCP_NODELAY` is set, and a length is refused before a byte of
//! the frame is read or a byte of memory is set aside for it. Over TCP alone
//! whoever reaches the port is [anonymous](isorun_core::PeerIdentity::Anonymous),
//! which is why a server asks [`TcpAddress::is_loopback`] first.
//!
//! With the feature `tls`, `TlsTransport` and `TlsTransportListener` carry the same
//! frames within TLS at `tls://HOST:PORT`. Both ends show a certificate, and no
//! frame is looked at before both are verified: whoever a channel leads to is
//! [authenticated](isorun_core::PeerIdentity::Authenticated).
//!
//! Between processes of one machine, and where there are Unix sockets,
//! `UnixTransport` and `UnixTransportListener` carry the same frames at
//! `unix:///PATH`. The socket file is its owner's alone, and a peer is told by
//! the user and process that the system says it is.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::future::poll_fn;
//!
//! use bytes::Bytes;
//! use isorun_core::{Listener, Transport};
//! use isorun_transport_tcp::{TcpTransport, TcpTransportListener};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await?;
//! let transport = TcpTransport::new(&listener.address())?;
//! let mut near = transport.open().await?;
//! let mut far = poll_fn(|cx| listener.poll_accept(cx)).await?;
//!
//! let mut queue = VecDeque::from([Bytes::from_static(b"hello")]);
//! poll_fn(|cx| near.poll_send(cx, &mut queue)).await?;
//! let frame = poll_fn(|cx| far.poll_recv(cx)).await?;
//! assert_eq!(frame.as_deref(), Some(b"hello".as_slice()));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod accept;
mod address;
mod listener;
#[cfg(feature = "tls")]
mod tls;
mod transport;
#[cfg(unix)]
mod unix;

pub use address::{AddressError, TcpAddress};
pub use listener::{ListenError, TcpTransportListener};
#[cfg(feature = "tls")]
pub use tls::{
    HANDSHAKE_MS_MAX, HANDSHAKES_MAX, TlsAddress, TlsAddressError, TlsListenError, TlsTransport, TlsTransportListener,
};
pub use transport::{CONNECT_MS_MAX, TcpTransport};
#[cfg(unix)]
pub use unix::{
    UNIX_PATH_BYTES_MAX, UnixAddress, UnixAddressError, UnixListenError, UnixTransport, UnixTransportListener,
};
