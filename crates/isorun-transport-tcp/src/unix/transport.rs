//! Opens channels.

use std::io;
use std::path::Path;
use std::time::Duration;

use isorun_core::{BoxFuture, Channel, Transport, TransportError};
use tokio::net::UnixStream;

use super::{UnixAddress, UnixAddressError};
use crate::transport::open_in_time;

/// How often a listener that has no room is asked again, in milliseconds.
const ROOM_POLL_MS: u64 = 10;

/// Opens channels to one Unix socket.
///
/// A clone opens channels to the same socket. Who answers is told as
/// [`PeerIdentity::Anonymous`](isorun_core::PeerIdentity::Anonymous) with the
/// address `unix:uid=UID,pid=PID`: of the process that listened.
#[derive(Debug, Clone)]
pub struct UnixTransport {
    address: UnixAddress,
}

impl UnixTransport {
    /// A transport to the socket file at `path`; nothing is opened yet, and the file need not be there.
    ///
    /// # Errors
    /// [`UnixAddressError`] where no socket can have that path.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, UnixAddressError> {
        Ok(Self { address: UnixAddress::new(path)? })
    }

    /// The address that channels are opened to.
    #[must_use]
    pub fn address(&self) -> &UnixAddress {
        &self.address
    }
}

impl From<UnixAddress> for UnixTransport {
    fn from(address: UnixAddress) -> Self {
        Self { address }
    }
}

impl Transport for UnixTransport {
    fn place(&self) -> String {
        self.address.to_string()
    }

    /// Opens a connection; needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`], with the address and the cause, where
    /// nobody answers, or nobody has room within [`CONNECT_MS_MAX`](crate::CONNECT_MS_MAX).
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        Box::pin(open_in_time(&self.address, async { super::channel(connect(&self.address).await?) }))
    }
}

async fn connect(address: &UnixAddress) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(address.path()).await {
            // A full backlog: unlike TCP the system does not wait for room, and says nothing when there is some.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(Duration::from_millis(ROOM_POLL_MS)).await;
            }
            connected => return connected,
        }
    }
}
