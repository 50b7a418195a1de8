//! Finding out that nobody listens.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

/// How often nobody is asked, in milliseconds.
const ASK_MS: u64 = 500;

/// What is sent: no packet of QUIC, so that a server that is there throws it away.
const NOTHING: [u8; 1] = [0];

/// Ready once the system says that nobody listens at `address`; never, where it doesn't.
///
/// A machine answers a datagram for a port that nobody has with an ICMP message, and the system tells whoever has a
/// socket connected to that port. quinn's sockets are connected to nothing, so that without this opening a channel to a
/// server that was stopped would wait for as long as one to a machine that was.
pub(crate) async fn nobody_at(address: SocketAddr) {
    if ask(address).await.is_err() {
        // No socket, no route, an answer of another kind: the handshake itself will show.
        std::future::pending::<()>().await;
    }
}

async fn ask(address: SocketAddr) -> io::Result<()> {
    let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(address).await?;
    loop {
        let answer = async {
            socket.send(&NOTHING).await?;
            socket.recv(&mut [0; 1]).await
        };
        match tokio::time::timeout(Duration::from_millis(ASK_MS), answer).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
            Ok(Err(error)) => return Err(error),
            // Somebody answers, who is nobody that answers nothing: let the handshake find out.
            Ok(Ok(_)) => return Err(io::ErrorKind::InvalidData.into()),
            Err(_) => {}
        }
    }
}
