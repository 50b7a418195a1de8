//! The poll functions of a transport as futures, and frames to send.
//!
//! For a transport's own tests: what it does beyond the rules.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use bytes::{BufMut, Bytes, BytesMut};
use isorun_core::{Channel, Listener, TransportError};

use crate::Endpoint;

/// How often whoever waits is polled again before it counts as waiting for the other end.
pub(crate) const CHANCES: usize = 200;

/// Opens a channel and accepts it: the end that opened, and the one accepted.
///
/// # Errors
/// What the transport or the listener says.
pub async fn connect(endpoint: &mut Endpoint) -> Result<(Box<dyn Channel>, Box<dyn Channel>), TransportError> {
    tokio::try_join!(endpoint.transport.open(), accept(endpoint.listener.as_mut()))
}

/// The next channel.
///
/// # Errors
/// What the listener says.
pub async fn accept(listener: &mut dyn Listener) -> Result<Box<dyn Channel>, TransportError> {
    poll_fn(|cx| listener.poll_accept(cx)).await
}

/// Sends all of `queue`.
///
/// # Errors
/// What the channel says; the frames it did not take are still in `queue`.
pub async fn send(channel: &mut dyn Channel, queue: &mut VecDeque<Bytes>) -> Result<(), TransportError> {
    poll_fn(|cx| channel.poll_send(cx, queue)).await
}

/// The next frame; `None` at the end.
///
/// # Errors
/// What the channel says.
pub async fn recv(channel: &mut dyn Channel) -> Result<Option<Bytes>, TransportError> {
    poll_fn(|cx| channel.poll_recv(cx)).await
}

/// Frames up to the end, and the error that ended them, if any.
pub async fn recv_all(channel: &mut dyn Channel) -> (VecDeque<Bytes>, Option<TransportError>) {
    let mut frames = VecDeque::new();
    loop {
        match recv(channel).await {
            Ok(Some(frame)) => frames.push_back(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// Closes the sending side.
///
/// # Errors
/// What the channel says.
pub async fn close(channel: &mut dyn Channel) -> Result<(), TransportError> {
    poll_fn(|cx| channel.poll_close(cx)).await
}

/// Sends all of `frames` and closes the sending side.
///
/// # Errors
/// What the channel says.
pub async fn send_and_close(channel: &mut dyn Channel, mut frames: VecDeque<Bytes>) -> Result<(), TransportError> {
    send(channel, &mut frames).await?;
    close(channel).await
}

/// Sends until the channel takes no more, though it is given every chance to; the frames it took.
///
/// What it took last may still be on its way out: it waits for the other end to read.
///
/// # Errors
/// A channel that takes all of `queue`, or fails, instead of waiting.
pub async fn send_until_full(channel: &mut dyn Channel, queue: &mut VecDeque<Bytes>) -> Result<usize, String> {
    let before = queue.len();
    for _ in 0..CHANCES {
        match poll_fn(|cx| Poll::Ready(channel.poll_send(cx, queue))).await {
            Poll::Pending => tokio::task::yield_now().await,
            Poll::Ready(Ok(())) => {
                return Err(format!("{before} frames were sent to a receiver that does not read"));
            }
            Poll::Ready(Err(error)) => return Err(format!("sending to a receiver that does not read: {error}")),
        }
    }
    Ok(before - queue.len())
}

/// A frame of `size` bytes that differs from its neighbours, from its first byte to its last.
#[must_use]
pub fn frame(index: usize, size: usize) -> Bytes {
    let mut frame = BytesMut::with_capacity(size);
    frame.extend_from_slice(&(index as u64).to_be_bytes()[8 - size.min(8)..]);
    frame.put_bytes(index as u8, size - frame.len());
    frame.freeze()
}

/// Frames one after the other, `count` of them, each of `size(index)` bytes.
pub fn frames(count: usize, size: impl Fn(usize) -> usize) -> VecDeque<Bytes> {
    (0..count).map(|index| frame(index, size(index))).collect()
}
