//! Unix sockets: the same frames between processes of one machine.

mod address;
mod listener;
mod socket_file;
mod transport;

pub use address::{UNIX_PATH_BYTES_MAX, UnixAddress, UnixAddressError};
pub use listener::{UnixListenError, UnixTransportListener};
pub use transport::UnixTransport;

use std::io;

use isorun_core::{Channel, PeerIdentity};
use isorun_net::StreamChannel;
use tokio::net::UnixStream;

/// A channel to whoever the system says is at the other end of `stream`.
fn channel(stream: UnixStream) -> io::Result<Box<dyn Channel>> {
    let peer = stream.peer_cred()?;
    let mut address = format!("unix:uid={}", peer.uid());
    if let Some(pid) = peer.pid() {
        address.push_str(&format!(",pid={pid}"));
    }
    Ok(Box::new(StreamChannel::new(stream, PeerIdentity::Anonymous { address })))
}
