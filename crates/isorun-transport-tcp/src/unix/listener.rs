//! Accepts channels.

use std::fmt;
use std::io;
use std::path::Path;
use std::task::{Context, Poll};

use isorun_core::{Channel, Listener, TransportError};
use tokio::net::UnixListener;

use super::socket_file::SocketFile;
use super::{UnixAddress, UnixAddressError};
use crate::accept::Accepting;

/// Accepts channels at one Unix socket.
///
/// The socket file is there for as long as this is, and only its owner may
/// connect (permissions 0600, from the moment it exists and whatever the umask).
/// Who connected is told as [`PeerIdentity::Anonymous`] with the address
/// `unix:uid=UID,pid=PID`: the system vouches for both, and neither is a name
/// that grants are given to.
///
/// [`PeerIdentity::Anonymous`]: isorun_core::PeerIdentity::Anonymous
pub struct UnixTransportListener {
    // Dropped in this order: the file goes first, so that nobody finds one that refuses.
    _file: SocketFile,
    listener: UnixListener,
    address: UnixAddress,
    accepting: Accepting,
}

/// Why there is nothing listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnixListenError {
    /// The path is no address.
    #[error(transparent)]
    Address(#[from] UnixAddressError),
    /// Somebody listens there already.
    #[error("cannot listen on {address}: another process listens there")]
    Taken {
        /// The address.
        address: UnixAddress,
    },
    /// There is a file that is no socket; it was left alone.
    #[error("cannot listen on {address}: there is a file, and it is not a socket")]
    NotASocket {
        /// The address.
        address: UnixAddress,
    },
    /// The system won't have anybody listen there.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address.
        address: UnixAddress,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

impl UnixTransportListener {
    /// Listens on a socket file at `path`, which is made.
    ///
    /// A socket file that is there already is replaced if nobody listens on it,
    /// as one is that a killed process left behind. Waits up to a second for
    /// another process that is doing the same in that folder.
    ///
    /// # Errors
    /// [`UnixListenError::Taken`] where somebody listens there; other
    /// [`UnixListenError`]s where the path is no address, is another kind of
    /// file, or can't be made.
    pub async fn bind(path: impl AsRef<Path>) -> Result<Self, UnixListenError> {
        Self::bind_address(&UnixAddress::new(path)?).await
    }

    /// [`bind`](Self::bind) for an address that is parsed already.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_address(address: &UnixAddress) -> Result<Self, UnixListenError> {
        let (listener, file) = SocketFile::listen(address).await?;
        Ok(Self { _file: file, listener, address: address.clone(), accepting: Accepting::default() })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_address(&self) -> &UnixAddress {
        &self.address
    }
}

impl Listener for UnixTransportListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Channel>, TransportError>> {
        let Self { listener, accepting, .. } = self;
        accepting.poll(cx, |cx| listener.poll_accept(cx), |(stream, _)| super::channel(stream))
    }

    fn address(&self) -> String {
        self.address.to_string()
    }
}

impl fmt::Debug for UnixTransportListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixTransportListener").field("address", &self.address).finish_non_exhaustive()
    }
}
