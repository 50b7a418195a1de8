//! A transport of one's own: frames over the stdin and stdout of a child process.
//!
//! [`ChildTransport`] starts a program for each channel, and that program takes its own stdin and
//! stdout as one, by [`stdio`]. `tests/conformance.rs` runs isorun's suite on it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use isorun_core::{BoxFuture, Channel, FRAME_BYTES_MAX, PeerIdentity, Transport, TransportError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Stdin, Stdout};
use tokio::process::{Child, Command};

/// What a child says first: it is there and speaks this. One that fails says something else, or nothing.
const GREETING: u64 = u64::from_be_bytes(*b"isorun1\n");

/// Opens each channel to a child process of its own, a program and its arguments.
pub struct ChildTransport(pub Vec<String>);

impl ChildTransport {
    async fn start(&self) -> io::Result<Box<dyn Channel>> {
        let (program, arguments) = self.0.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let (mut stdout, stdin) = child.stdout.take().zip(child.stdin.take()).ok_or(io::ErrorKind::BrokenPipe)?;
        if stdout.read_u64().await.ok() != Some(GREETING) {
            return Err(io::Error::other("the child could not start, or does not speak isorun"));
        }
        Ok(Box::new(PipeChannel::new(stdout, stdin, self.place(), Some(child))))
    }
}

impl Transport for ChildTransport {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        let unreachable = |e: io::Error| TransportError::Unreachable { address: self.place(), cause: e.to_string() };
        Box::pin(async move { self.start().await.map_err(unreachable) })
    }

    fn place(&self) -> String {
        format!("exec:{}", self.0.join(" "))
    }
}

/// The child's end: its own stdin and stdout, to which it prints nothing else.
pub async fn stdio() -> Result<PipeChannel<Stdin, Stdout>, TransportError> {
    let mut channel = PipeChannel::new(tokio::io::stdin(), tokio::io::stdout(), "stdio:".into(), None);
    channel.outbox.extend_from_slice(&GREETING.to_be_bytes());
    std::future::poll_fn(|cx| channel.poll_flush(cx)).await.map(|()| channel)
}

/// Frames over anything that reads and anything that writes: a length, a little-endian `u32`, and the bytes.
/// A length of 0 is the end of one way: a process can't close its stdout, and a child that died is no end.
pub struct PipeChannel<R, W> {
    reader: R,
    inbox: BytesMut,
    ended: Option<Result<Option<Bytes>, TransportError>>,
    writer: W,
    outbox: BytesMut, // taken, and not yet written
    closed: bool,
    failed: Option<TransportError>,
    peer: PeerIdentity,
    _child: Option<Child>,
}

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> PipeChannel<R, W> {
    /// A channel with somebody at `address`; a `child` that is killed on drop ends with the channel.
    pub fn new(reader: R, writer: W, address: String, child: Option<Child>) -> Self {
        let (inbox, outbox, peer) = (BytesMut::new(), BytesMut::new(), PeerIdentity::Anonymous { address });
        Self { reader, inbox, ended: None, writer, outbox, closed: false, failed: None, peer, _child: child }
    }

    /// Ready once all that was taken is handed to the system.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        while !self.outbox.is_empty() {
            match ready!(Pin::new(&mut self.writer).poll_write(cx, &self.outbox)) {
                Ok(0) => return self.fail(lost("it takes no more")),
                Ok(written) => self.outbox.advance(written),
                Err(error) => return self.fail(lost(error)),
            }
        }
        let flushed = ready!(Pin::new(&mut self.writer).poll_flush(cx));
        flushed.map_or_else(|error| self.fail(lost(error)), |()| Poll::Ready(Ok(())))
    }

    fn fail(&mut self, error: TransportError) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Err(self.failed.insert(error).clone()))
    }
}

fn lost(cause: impl ToString) -> TransportError {
    TransportError::Lost { cause: cause.to_string() }
}

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Channel for PipeChannel<R, W> {
    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Bytes>) -> Poll<Result<(), TransportError>> {
        while self.failed.is_none() {
            ready!(self.poll_flush(cx))?;
            match queue.front().map(Bytes::len) {
                None => return Poll::Ready(Ok(())),
                Some(_) if self.closed => return self.fail(TransportError::Closed),
                Some(size @ 1..=FRAME_BYTES_MAX) => self.outbox.extend_from_slice(&(size as u32).to_le_bytes()),
                Some(size) => return self.fail(TransportError::FrameSize { size, max: FRAME_BYTES_MAX }),
            }
            self.outbox.extend(queue.pop_front());
        }
        Poll::Ready(self.failed.clone().map_or(Ok(()), Err))
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        if let Some(end) = &self.ended {
            return Poll::Ready(end.clone());
        }
        let mut chunk = [0; 16 << 10]; // memory follows what arrives, and never what a length claims
        let end = loop {
            match self.inbox.first_chunk().map(|header| u32::from_le_bytes(*header) as usize) {
                Some(size @ 1..=FRAME_BYTES_MAX) if size <= self.inbox.len() - 4 => {
                    self.inbox.advance(4);
                    return Poll::Ready(Ok(Some(self.inbox.split_to(size).freeze())));
                }
                None | Some(1..=FRAME_BYTES_MAX) => {}
                Some(0) => break Ok(None),
                Some(size) => break Err(TransportError::FrameSize { size, max: FRAME_BYTES_MAX }),
            }
            let mut read = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut self.reader).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => self.inbox.extend_from_slice(read.filled()),
                Ok(()) => break Err(lost("it ended without saying so")),
                Err(error) => break Err(lost(error)),
            }
        };
        Poll::Ready(self.ended.insert(end).clone())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if !std::mem::replace(&mut self.closed, true) {
            self.outbox.extend_from_slice(&[0; 4]);
        }
        self.poll_flush(cx)
    }

    fn peer(&self) -> &PeerIdentity {
        &self.peer
    }
}
