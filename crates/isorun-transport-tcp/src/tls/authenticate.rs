//! What comes before the first frame, at both ends.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use isorun_core::PeerIdentity;
use isorun_tls::{ALPN, Credentials, IdentityError, peer_of, refusal};
use rustls::{CommonState, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::TlsAddress;

/// What the end that accepted says once it has verified the other one.
///
/// With TLS 1.3 the end that connects is done before the other end has looked at
/// its certificate. It waits for this byte, so that whoever is refused hears why
/// when it opens a channel, and nothing it sends is lost with the refusal.
const WELCOME: u8 = 1;

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{}", said(.0))]
    Handshake(io::Error),
    #[error("it does not say that it speaks isorun/1")]
    Protocol,
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("it ended the connection before it let this end in")]
    Unwelcome,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Handshake(error)
    }
}

/// The accepting end's part.
pub(super) async fn accept(
    stream: TcpStream,
    credentials: &Credentials,
) -> Result<(TlsStream<TcpStream>, PeerIdentity), Refused> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(credentials.server_config(ALPN)).accept(stream).await?;
    let peer = proven(stream.get_ref().1)?;
    let mut stream = TlsStream::from(stream);
    let written = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, &[WELCOME])).await?;
    poll_fn(|cx| Pin::new(&mut stream).poll_flush(cx)).await?;
    if written == 1 { Ok((stream, peer)) } else { Err(Refused::Unwelcome) }
}

/// The connecting end's part.
pub(super) async fn connect(
    stream: TcpStream,
    address: &TlsAddress,
    credentials: &Credentials,
) -> Result<(TlsStream<TcpStream>, PeerIdentity), Refused> {
    let connector = TlsConnector::from(credentials.client_config(ALPN));
    let stream = connector.connect(address.server(), stream).await?;
    let peer = proven(stream.get_ref().1)?;
    let mut stream = TlsStream::from(stream);
    let mut welcome = [0];
    let mut buffer = ReadBuf::new(&mut welcome);
    poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut buffer)).await?;
    if buffer.filled() == [WELCOME] { Ok((stream, peer)) } else { Err(Refused::Unwelcome) }
}

/// Who the other end has proven to be, by a handshake that is over.
fn proven(connection: &CommonState) -> Result<PeerIdentity, Refused> {
    if connection.alpn_protocol() != Some(ALPN) {
        return Err(Refused::Protocol);
    }
    Ok(peer_of(connection.peer_certificates())?)
}

/// What went wrong, in words that say which end refuses which.
fn said(error: &io::Error) -> String {
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ended the connection in the middle of the handshake".into(),
            _ => error.to_string(),
        };
    };
    refusal(error)
}
