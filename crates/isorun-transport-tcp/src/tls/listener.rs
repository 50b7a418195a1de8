//! Accepts channels from peers that have proven who they are.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use isorun_core::{Channel, Listener, TransportError};
use isorun_tls::{Credentials, HandshakeLog};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::authenticate;
use super::channel::channel;
use super::{TlsAddress, TlsAddressError};
use crate::TcpAddress;
use crate::accept::Accepting;
use crate::transport::CONNECT_MS_MAX;

/// How long a peer may take to prove who it is, in milliseconds.
///
/// Two round trips, and the first packet lost twice.
pub const HANDSHAKE_MS_MAX: u64 = 5_000;

/// Most handshakes under way at once; what connects past that is closed at once.
///
/// What a peer can have one of them hold is bounded by TLS at 64 KiB and some,
/// so that all of them together take less than 32 MiB.
pub const HANDSHAKES_MAX: usize = 256;

const _: () = assert!(HANDSHAKE_MS_MAX < CONNECT_MS_MAX, "who waits to be let in must outlast who lets in");

/// Accepts channels at one TLS address, once their peers are authenticated.
///
/// Handshakes go on side by side and each for itself, [`HANDSHAKES_MAX`] at once
/// and [`HANDSHAKE_MS_MAX`] each, so that a peer that is slow or silent holds up
/// nobody. One that fails is logged, with the address it came from and the
/// reason, and is not heard of otherwise.
pub struct TlsTransportListener {
    listener: TcpListener,
    address: TlsAddress,
    credentials: Credentials,
    accepting: Accepting,
    /// Aborted when this is dropped.
    handshakes: JoinSet<Option<Box<dyn Channel>>>,
    log: Arc<HandshakeLog>,
}

/// Why there is nothing listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsListenError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] TlsAddressError),
    /// The address has a name, which is for those who connect.
    #[error("`{address}` has a name: listening takes the certificate's own names")]
    Named {
        /// The address.
        address: TlsAddress,
    },
    /// The system won't have anybody listen there.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address.
        address: TlsAddress,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

impl TlsTransportListener {
    /// Listens on `tls://HOST:PORT`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`TlsListenError`] where the address is none, or taken, or not this machine's.
    pub async fn bind(address: &str, credentials: Credentials) -> Result<Self, TlsListenError> {
        Self::bind_address(&address.parse()?, credentials).await
    }

    /// [`bind`](Self::bind) for an address that is parsed already.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_address(address: &TlsAddress, credentials: Credentials) -> Result<Self, TlsListenError> {
        if address.is_named() {
            return Err(TlsListenError::Named { address: address.clone() });
        }
        let unbound = |cause| TlsListenError::Bind { address: address.clone(), cause };
        let addresses = address.tcp().resolve().await.map_err(unbound)?;
        let listener = TcpListener::bind(addresses.as_slice()).await.map_err(unbound)?;
        let bound = TcpAddress::from(listener.local_addr().map_err(unbound)?);
        let address = TlsAddress::new(bound)?;
        let (accepting, handshakes, log) = (Accepting::default(), JoinSet::new(), Arc::new(HandshakeLog::new()));
        Ok(Self { listener, address, credentials, accepting, handshakes, log })
    }

    /// The address that is listened on, its port never 0.
    #[must_use]
    pub fn local_address(&self) -> &TlsAddress {
        &self.address
    }

    /// A channel whose handshake is over, if there is one; those that failed are forgotten.
    fn poll_authenticated(&mut self, cx: &mut Context<'_>) -> Poll<Box<dyn Channel>> {
        while let Some(ended) = ready!(self.handshakes.poll_join_next(cx)) {
            if let Ok(Some(channel)) = ended {
                return Poll::Ready(channel);
            }
        }
        Poll::Pending
    }

    fn begin(&mut self, stream: TcpStream, from: SocketAddr) {
        let log = self.log.clone();
        if self.handshakes.len() >= HANDSHAKES_MAX {
            log.refused(&from, &format_args!("{HANDSHAKES_MAX} others are being authenticated"));
            return;
        }
        let credentials = self.credentials.clone();
        self.handshakes.spawn(async move {
            match authenticated(stream, &credentials).await {
                Ok(channel) => Some(channel),
                Err(reason) => {
                    log.refused(&from, &reason);
                    None
                }
            }
        });
    }
}

async fn authenticated(stream: TcpStream, credentials: &Credentials) -> Result<Box<dyn Channel>, String> {
    let handshake = authenticate::accept(stream, credentials);
    match tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS_MAX), handshake).await {
        Ok(Ok((stream, peer))) => Ok(channel(stream, peer)),
        Ok(Err(refused)) => Err(refused.to_string()),
        Err(_) => Err(format!("it took longer than {HANDSHAKE_MS_MAX} ms to prove who it is")),
    }
}

impl Listener for TlsTransportListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Channel>, TransportError>> {
        loop {
            if let Poll::Ready(channel) = self.poll_authenticated(cx) {
                return Poll::Ready(Ok(channel));
            }
            let Self { listener, accepting, .. } = self;
            match ready!(accepting.poll(cx, |cx| listener.poll_accept(cx), Ok)) {
                Ok((stream, from)) => self.begin(stream, from),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn address(&self) -> String {
        self.address.to_string()
    }
}

impl fmt::Debug for TlsTransportListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransportListener").field("address", &self.address).finish_non_exhaustive()
    }
}
