//! Channels of whole frames by way of a NATS server, and the discovery that comes with it.
//!
//! Providers announce the name that they serve through the NATS services API, so that any NATS tool lists them, and any
//! number of them may serve one name. A consumer asks for a channel; the server gives the request to one of those who
//! serve the name, and from then on both ends write to a subject that only they know. NATS itself may lose a message, so
//! those of a channel are numbered: one that is missing ends the channel, and never goes unnoticed.
//!
//! ```no_run
//! use std::collections::VecDeque;
//! use std::future::poll_fn;
//!
//! use bytes::Bytes;
//! use isorun_core::{Listener, Transport};
//! use isorun_transport_nats::{NatsTransport, NatsTransportListener};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut listener = NatsTransportListener::bind("nats://127.0.0.1:4222/kv").await?;
//! let transport = NatsTransport::new(&listener.address())?;
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
//!
//! Whoever may subscribe to everything at the server reads all that passes, and whoever may publish anything can disturb
//! it: where not all of its users are trusted alike, the server's own permissions keep them apart.
#![forbid(unsafe_code)]

mod address;
mod channel;
mod connection;
mod discover;
mod ends;
mod listener;
mod note;
mod options;
mod server;
mod transport;

pub use address::{NAME_BYTES_MAX, NatsAddress, NatsAddressError, NatsServer, PORT_DEFAULT};
pub use channel::STATUS_MS;
pub use connection::{NatsConnectError, NatsConnection};
pub use discover::{PROVIDERS_MAX, Provider, discover};
pub use ends::{FRESH_MS, WINDOW_BYTES, WINDOW_MESSAGES};
pub use listener::{Announcement, BACKLOG_MAX, NatsListenError, NatsTransportListener};
pub use options::{CredentialsError, NatsOptions};
pub use server::CONNECT_MS_MAX;
pub use transport::{NatsTransport, OPEN_MS_MAX};
