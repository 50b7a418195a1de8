//! TLS over TCP: the same frames, between ends that have proven who they are.

mod address;
mod authenticate;
mod channel;
mod listener;
mod transport;

pub use address::{TlsAddress, TlsAddressError};
pub use listener::{HANDSHAKE_MS_MAX, HANDSHAKES_MAX, TlsListenError, TlsTransportListener};
pub use transport::TlsTransport;
