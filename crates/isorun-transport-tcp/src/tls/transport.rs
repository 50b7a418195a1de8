//! Opens channels.

use std::io;

use isorun_core::{BoxFuture, Channel, Transport, TransportError};
use isorun_tls::Credentials;

use super::authenticate;
use super::channel::channel;
use super::{TlsAddress, TlsAddressError};
use crate::transport::{connect, open_in_time};

/// Opens channels to one TLS address.
///
/// A channel is there once both ends have verified each other: where the server
/// refuses this end's certificate, opening fails and says so. A clone opens
/// channels to the same address with the same credentials, as they are by then.
#[derive(Debug, Clone)]
pub struct TlsTransport {
    address: TlsAddress,
    credentials: Credentials,
}

impl TlsTransport {
    /// A transport to `tls://HOST:PORT`; nothing is looked up or opened yet.
    ///
    /// # Errors
    /// [`TlsAddressError`] where the address is none.
    pub fn new(address: &str, credentials: Credentials) -> Result<Self, TlsAddressError> {
        Ok(Self::to(address.parse()?, credentials))
    }

    /// [`new`](Self::new) for an address that is parsed already.
    #[must_use]
    pub fn to(address: TlsAddress, credentials: Credentials) -> Self {
        Self { address, credentials }
    }

    /// The address that channels are opened to.
    #[must_use]
    pub fn address(&self) -> &TlsAddress {
        &self.address
    }
}

impl Transport for TlsTransport {
    fn place(&self) -> String {
        self.address.to_string()
    }

    /// Opens a connection and authenticates both ends; needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`], with the address and the cause, where nobody answers within
    /// [`CONNECT_MS_MAX`](crate::CONNECT_MS_MAX), or one of the ends refuses the other.
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        Box::pin(open_in_time(&self.address, async {
            let stream = connect(self.address.tcp()).await?;
            let (stream, peer) =
                authenticate::connect(stream, &self.address, &self.credentials).await.map_err(io::Error::other)?;
            Ok(channel(stream, peer))
        }))
    }
}
