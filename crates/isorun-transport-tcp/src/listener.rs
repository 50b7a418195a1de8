//! Accepts channels.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use isorun_core::{Channel, Listener, PeerIdentity, TransportError};
use isorun_net::StreamChannel;
use tokio::net::{TcpListener, TcpStream};

use crate::accept::Accepting;
use crate::{AddressError, TcpAddress};

/// Accepts channels at one TCP address.
pub struct TcpTransportListener {
    listener: TcpListener,
    address: TcpAddress,
    accepting: Accepting,
}

/// Why there is nothing listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The system won't have anybody listen there.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address.
        address: TcpAddress,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

impl TcpTransportListener {
    /// Listens on `HOST:PORT`, with or without `tcp://`; port 0 takes a free one.
    ///
    /// Any host is taken here: whether this machine alone should reach it is for
    /// the caller to decide, by [`TcpAddress::is_loopback`].
    ///
    /// # Errors
    /// [`ListenError`] where the address is none, or taken, or not this machine's.
    pub async fn bind(address: &str) -> Result<Self, ListenError> {
        Self::bind_address(&address.parse()?).await
    }

    /// [`bind`](Self::bind) for an address that is parsed already.
    ///
    /// # Errors
    /// [`ListenError::Bind`] where the address is taken, or not this machine's.
    pub async fn bind_address(address: &TcpAddress) -> Result<Self, ListenError> {
        let bound = async {
            let listener = TcpListener::bind(address.resolve().await?.as_slice()).await?;
            let address = listener.local_addr()?.into();
            Ok(Self { listener, address, accepting: Accepting::default() })
        };
        bound.await.map_err(|cause| ListenError::Bind { address: address.clone(), cause })
    }

    /// The address that is listened on, its port never 0.
    #[must_use]
    pub fn local_address(&self) -> &TcpAddress {
        &self.address
    }
}

impl Listener for TcpTransportListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Channel>, TransportError>> {
        let Self { listener, accepting, .. } = self;
        accepting.poll(cx, |cx| listener.poll_accept(cx), |(stream, from)| channel(stream, from))
    }

    fn address(&self) -> String {
        self.address.to_string()
    }
}

impl fmt::Debug for TcpTransportListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpTransportListener").field("address", &self.address).finish_non_exhaustive()
    }
}

fn channel(stream: TcpStream, from: SocketAddr) -> io::Result<Box<dyn Channel>> {
    stream.set_nodelay(true)?;
    let peer = PeerIdentity::Anonymous { address: TcpAddress::from(from).to_string() };
    Ok(Box::new(StreamChannel::new(stream, peer)))
}
