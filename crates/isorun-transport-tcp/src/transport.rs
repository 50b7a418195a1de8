//! Opens channels.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use isorun_core::{BoxFuture, Channel, PeerIdentity, Transport, TransportError};
use isorun_net::StreamChannel;
use tokio::net::TcpStream;

use crate::{AddressError, TcpAddress};

/// How long opening a channel may take, looking up the name included, in milliseconds.
///
/// Long enough for a lost first packet to be sent again three times; the system
/// by itself may try for two minutes.
pub const CONNECT_MS_MAX: u64 = 10_000;

/// Opens channels to one TCP address.
///
/// A clone opens channels to the same address.
#[derive(Debug, Clone)]
pub struct TcpTransport {
    address: TcpAddress,
}

impl TcpTransport {
    /// A transport to `tcp://HOST:PORT`; nothing is looked up or opened yet.
    ///
    /// # Errors
    /// [`AddressError`] where the address is none.
    pub fn new(address: &str) -> Result<Self, AddressError> {
        Ok(Self { address: address.parse()? })
    }

    /// The address that channels are opened to.
    #[must_use]
    pub fn address(&self) -> &TcpAddress {
        &self.address
    }
}

impl From<TcpAddress> for TcpTransport {
    fn from(address: TcpAddress) -> Self {
        Self { address }
    }
}

impl Transport for TcpTransport {
    fn place(&self) -> String {
        self.address.to_string()
    }

    /// Opens a connection; needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`], with the address and the cause, where nobody answers within [`CONNECT_MS_MAX`].
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        Box::pin(open_in_time(&self.address, async {
            let stream = connect(&self.address).await?;
            let peer = PeerIdentity::Anonymous { address: self.address.to_string() };
            Ok(Box::new(StreamChannel::new(stream, peer)) as Box<dyn Channel>)
        }))
    }
}

/// Waits for a channel to `address` for [`CONNECT_MS_MAX`].
pub(crate) async fn open_in_time(
    address: &impl Display,
    channel: impl Future<Output = io::Result<Box<dyn Channel>>>,
) -> Result<Box<dyn Channel>, TransportError> {
    let cause = match tokio::time::timeout(Duration::from_millis(CONNECT_MS_MAX), channel).await {
        Ok(Ok(channel)) => return Ok(channel),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {CONNECT_MS_MAX} ms"),
    };
    Err(TransportError::Unreachable { address: address.to_string(), cause })
}

/// Tries each address behind the name in turn.
pub(crate) async fn connect(address: &TcpAddress) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address.resolve().await?.as_slice()).await?;
    // Where nobody listens on a port that the system gives out, it may give us that very port,
    // and TCP then connects us with ourselves.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    // Frames are gathered before they are written: waiting for more would only add to every call.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_does_not_wait_for_more_to_send() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().into();
        assert!(connect(&address).await.unwrap().nodelay().unwrap());
    }
}
