//! The one stream of a connection, as a stream of bytes both ways.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use isorun_core::Channel;
use isorun_net::StreamChannel;
use isorun_tls::{IdentityError, peer_of};
use quinn::{Connection, RecvStream, SendStream, StoppedError, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::words::{DROPPED, of_finish, of_read, of_write};

/// What the end that accepts a connection sends ahead of all frames, once it has verified the other end.
///
/// With TLS 1.3 the end that connects is done before the other one has looked at its certificate. It waits for this byte,
/// so that whoever is refused hears why when it opens a channel. And the stream comes with it: QUIC shows one to the other
/// end only once there is something on it.
pub(crate) const WELCOME: [u8; 1] = [1];

type Finished = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send>>;

/// A connection's stream; dropping it closes the connection.
pub(crate) struct QuicStream {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    /// Ready once all was acknowledged that was sent before the end.
    finished: Option<Finished>,
}

impl QuicStream {
    /// The channel over a stream whose [`WELCOME`] was sent, or read.
    ///
    /// # Errors
    /// [`IdentityError`] where the other end has proven no name.
    pub(crate) fn channel(
        connection: Connection,
        (send, recv): (SendStream, RecvStream),
    ) -> Result<Box<dyn Channel>, IdentityError> {
        let shown = connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
        let peer = peer_of(shown.as_ref().map(|chain| chain.as_slice()))?;
        Ok(Box::new(StreamChannel::new(Self { connection, send, recv, finished: None }, peer)))
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.recv.poll_read_buf(cx, buf).map_err(of_read)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.send).poll_write(cx, bytes).map_err(of_write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            match self.as_mut().poll_write(cx, slice) {
                Poll::Ready(Ok(step)) => {
                    written += step;
                    if step < slice.len() {
                        break;
                    }
                }
                // What was taken before counts; the next write meets the same.
                _ if written > 0 => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// quinn sends what it has taken by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the stream, and waits until all of it has arrived: the connection may then be dropped.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { send, finished, .. } = &mut *self;
        let waits = finished.get_or_insert_with(|| {
            // It has ended already: then there is nothing to end.
            let _ = send.finish();
            Box::pin(send.stopped())
        });
        let outcome = ready!(waits.as_mut().poll(cx));
        // A future that was ready is not polled again, and whoever asks again asks anew.
        *finished = None;
        Poll::Ready(of_finish(outcome))
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        self.connection.close(DROPPED, b"");
    }
}
