//! A channel over a stream of bytes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use isorun_core::{Channel, PeerIdentity, TransportError};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::reader::FrameReader;
use crate::writer::FrameWriter;

/// Frames over anything that reads and writes bytes.
///
/// Shutting `S` down for writing is taken for the end of its bytes: the other
/// end sees the end of the frames once it has read them.
pub struct StreamChannel<S> {
    stream: S,
    reader: FrameReader,
    writer: FrameWriter,
    peer: PeerIdentity,
}

impl<S> StreamChannel<S> {
    /// A channel over `stream`, with whoever is at its other end.
    ///
    /// Nothing may have been read from it that belongs to a frame.
    pub fn new(stream: S, peer: PeerIdentity) -> Self {
        Self { stream, reader: FrameReader::default(), writer: FrameWriter::default(), peer }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Channel for StreamChannel<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Bytes>) -> Poll<Result<(), TransportError>> {
        self.writer.poll_send(cx, Pin::new(&mut self.stream), queue)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        self.reader.poll_frame(cx, Pin::new(&mut self.stream))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.writer.poll_close(cx, Pin::new(&mut self.stream))
    }

    fn peer(&self) -> &PeerIdentity {
        &self.peer
    }
}
