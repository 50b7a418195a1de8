//! Accepts channels.

use std::fmt;
use std::io;
use std::task::{Context, Poll};

use isorun_core::{Channel, Listener, TransportError};
use isorun_tls::Credentials;
use quinn::Endpoint;
use tokio::sync::mpsc::{self, Receiver};

use crate::accept::Acceptor;
use crate::{QUIC_CONNECT_MS_MAX, QuicAddress, QuicAddressError, config};

/// How long whoever connects may take to prove who they are, in milliseconds.
///
/// Two round trips, and the first packet lost twice.
pub const HANDSHAKE_MS_MAX: u64 = 5_000;

const _: () = assert!(HANDSHAKE_MS_MAX < QUIC_CONNECT_MS_MAX, "who waits to be let in must outlast who lets in");

/// Channels that wait to be taken; those beyond wait in their places.
const WAITING_MAX: usize = 16;

/// Accepts channels at one QUIC address, from peers that have proven who they are.
///
/// Handshakes go on in tasks of their own, so that one who is slow holds up
/// nobody, and there are no more of them than
/// [`HANDSHAKES_MAX`](crate::HANDSHAKES_MAX). One that fails is a line in the log
/// ([`HandshakeLog`](isorun_tls::HandshakeLog)) and never an error of the listener.
///
/// Dropped, it accepts no more, and tells whoever comes so. Channels that it has
/// accepted go on, through its socket: the port is free when the last one has ended.
pub struct QuicTransportListener {
    accepted: Receiver<Box<dyn Channel>>,
    address: QuicAddress,
}

/// Why there is nothing listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuicListenError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] QuicAddressError),
    /// The address has a name, which is for those who connect.
    #[error("`{address}` has a name: listening takes the certificate's own names")]
    Named {
        /// The address.
        address: QuicAddress,
    },
    /// The system won't have anybody listen there.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address.
        address: QuicAddress,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

impl QuicTransportListener {
    /// Listens on `quic://HOST:PORT`; port 0 takes a free one. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`QuicListenError`] where the address is none, or taken, or not this machine's.
    pub async fn bind(address: &str, credentials: Credentials) -> Result<Self, QuicListenError> {
        Self::bind_address(&address.parse()?, credentials).await
    }

    /// [`bind`](Self::bind) for an address that is parsed already.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_address(address: &QuicAddress, credentials: Credentials) -> Result<Self, QuicListenError> {
        if address.is_named() {
            return Err(QuicListenError::Named { address: address.clone() });
        }
        let bound = async {
            let generation = credentials.generation();
            let config = config::server(&credentials).map_err(io::Error::other)?;
            let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
            for socket in address.host_port().resolve().await? {
                outcome = Endpoint::server(config.clone(), socket);
                if outcome.is_ok() {
                    break;
                }
            }
            let endpoint = outcome?;
            let address = endpoint.local_addr()?.into();
            let (hand_on, accepted) = mpsc::channel(WAITING_MAX);
            tokio::spawn(Acceptor { endpoint, credentials, config: (generation, config) }.run(hand_on));
            Ok(Self { accepted, address })
        };
        bound.await.map_err(|cause| QuicListenError::Bind { address: address.clone(), cause })
    }

    /// The address that is listened on, its port never 0.
    #[must_use]
    pub fn local_address(&self) -> &QuicAddress {
        &self.address
    }
}

impl Listener for QuicTransportListener {
    /// # Errors
    /// [`TransportError::Closed`] once the socket is lost.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Channel>, TransportError>> {
        self.accepted.poll_recv(cx).map(|channel| channel.ok_or(TransportError::Closed))
    }

    fn address(&self) -> String {
        self.address.to_string()
    }
}

impl fmt::Debug for QuicTransportListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicTransportListener").field("address", &self.address).finish_non_exhaustive()
    }
}
