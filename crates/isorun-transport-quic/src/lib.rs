//! isorun transports over QUIC.
//!
//! Both ends show a certificate, and not one byte of a frame is read before the
//! other end's is verified ([`Credentials`]). A channel is one connection with
//! one stream in both directions, which the accepting end opens with a byte of
//! welcome. Frames travel on it as over TCP: a little-endian `u32` length, and the
//! bytes.
//!
//! A transport has one UDP socket (one for each family of addresses that its host
//! has), which all its channels use, those that are opened after others were
//! lost too. A listener has one for all it accepts. A connection outlives a
//! change of the client's address, as a laptop's that moves to another network
//! or one that a router maps anew. It is given up where the other end has been
//! silent for [`IDLE_MS_MAX`], so that whatever protocol is above decides first.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use isorun_tls::issue::{Authority, NodeRequest};
//! # use isorun_tls::Credentials;
//! # let folder = tempfile::tempdir()?;
//! # let authority = Authority::new("example", 30)?;
//! # let issue = |name: &str| -> Result<Credentials, Box<dyn std::error::Error>> {
//! #     let node = NodeRequest::new(name.parse()?).dns("localhost");
//! #     Ok(Credentials::open(authority.issue(&node)?.write(folder.path(), false)?)?)
//! # };
//! # let (of_kv, of_app) = (issue("kv-1")?, issue("app-1")?);
//! use std::collections::VecDeque;
//! use std::future::poll_fn;
//!
//! use bytes::Bytes;
//! use isorun_core::{Channel, Listener, Transport};
//! use isorun_transport_quic::{QuicTransport, QuicTransportListener};
//!
//! let mut listener = QuicTransportListener::bind("quic://localhost:0", of_kv).await?;
//! let port = listener.local_address().port();
//! let transport = QuicTransport::new(&format!("quic://localhost:{port}"), of_app)?;
//! let (near, far) = tokio::join!(transport.open(), poll_fn(|cx| listener.poll_accept(cx)));
//! let (mut near, mut far) = (near?, far?);
//! assert_eq!((near.peer().to_string(), far.peer().to_string()), ("kv-1".into(), "app-1".into()));
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
mod config;
mod listener;
mod nobody;
mod places;
mod stream;
mod transport;
mod words;

pub use address::{QuicAddress, QuicAddressError};
pub use config::{IDLE_MS_MAX, KEEP_ALIVE_MS, WINDOW_BYTES};
/// What both ends prove who they are with.
pub use isorun_tls::Credentials;
pub use listener::{HANDSHAKE_MS_MAX, QuicListenError, QuicTransportListener};
pub use places::{HANDSHAKES_MAX, HANDSHAKES_OF_ONE_MAX, HANDSHAKES_UNPROVEN_MAX};
pub use transport::{QUIC_CONNECT_MS_MAX, QuicTransport};
