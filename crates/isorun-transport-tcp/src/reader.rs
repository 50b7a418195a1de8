//! Bytes into frames.
//!
//! tokio-util's `LengthDelimitedCodec` would do, but for one thing: it reserves
//! what a length claims before the bytes are there, so that four bytes from a
//! stranger cost 4 MiB. Here memory follows the bytes that arrived.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use isorun_core::{FRAME_BYTES_MAX, TransportError};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use crate::writer::HEADER_BYTES;

/// Size of the buffer that one read fills with as many frames as there are, in bytes.
///
/// Small frames are slices of it, so this is also the most that a small frame
/// keeps alive. An idle connection has one such buffer.
pub(crate) const READ_BYTES: usize = 32 << 10;

/// Least room for which a read is worth its system call, in bytes.
const ROOM_BYTES_MIN: usize = 4 << 10;

const _: () = assert!(HEADER_BYTES < ROOM_BYTES_MIN && ROOM_BYTES_MIN < READ_BYTES);

/// Cuts a stream of bytes into frames.
#[derive(Default)]
pub(crate) struct FrameReader {
    /// What was read and not yet cut: never more than [`READ_BYTES`].
    buffer: BytesMut,
    /// A frame too large for the buffer, as far as it has arrived.
    large: Option<LargeFrame>,
    ended: Option<Ended>,
}

/// How the stream ended; given again to whoever asks again.
#[derive(Clone)]
enum Ended {
    Whole,
    Broken(TransportError),
}

impl FrameReader {
    /// The next frame; `None` once the stream has ended between two frames.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: Pin<&mut impl AsyncRead>,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        loop {
            match &self.ended {
                None => {}
                Some(Ended::Whole) => return Poll::Ready(Ok(None)),
                Some(Ended::Broken(error)) => return Poll::Ready(Err(error.clone())),
            }
            match self.cut() {
                Ok(Some(frame)) => return Poll::Ready(Ok(Some(frame))),
                Ok(None) => {
                    let read = ready!(self.poll_fill(cx, stream.as_mut()));
                    self.ended = self.end_of(read);
                }
                Err(error) => self.ended = Some(Ended::Broken(error)),
            }
        }
    }

    /// Cuts the next frame off what is here already, if it is whole.
    fn cut(&mut self) -> Result<Option<Bytes>, TransportError> {
        if let Some(large) = self.large.take_if(|large| large.bytes.len() == large.size) {
            return Ok(Some(large.bytes.into()));
        }
        if self.large.is_some() {
            return Ok(None);
        }
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let claimed = u32::from_le_bytes(*header);
        let size = usize::try_from(claimed).unwrap_or(usize::MAX);
        if size == 0 || size > FRAME_BYTES_MAX {
            return Err(TransportError::FrameSize { size, max: FRAME_BYTES_MAX });
        }
        if HEADER_BYTES + size > READ_BYTES {
            // All that is in the buffer belongs to it, and it is not all there.
            self.large = Some(LargeFrame { bytes: self.buffer[HEADER_BYTES..].to_vec(), size });
            self.buffer.clear();
            return Ok(None);
        }
        if self.buffer.len() < HEADER_BYTES + size {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        Ok(Some(self.buffer.split_to(size).freeze()))
    }

    /// Reads once, into whichever buffer waits for bytes.
    fn poll_fill(&mut self, cx: &mut Context<'_>, stream: Pin<&mut impl AsyncRead>) -> Poll<io::Result<usize>> {
        match &mut self.large {
            Some(large) => large.poll_fill(cx, stream),
            None => {
                make_room(&mut self.buffer);
                let room = self.buffer.capacity() - self.buffer.len();
                poll_read_buf(stream, cx, &mut (&mut self.buffer).limit(room))
            }
        }
    }

    fn end_of(&self, read: io::Result<usize>) -> Option<Ended> {
        match read {
            Ok(0) if self.large.is_none() && self.buffer.is_empty() => Some(Ended::Whole),
            Ok(0) => {
                Some(Ended::Broken(TransportError::Lost { cause: "it ended in the middle of a frame".to_owned() }))
            }
            Ok(_) => None,
            Err(error) => Some(Ended::Broken(TransportError::Lost { cause: error.to_string() })),
        }
    }

    /// Memory held for bytes not yet given away.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.buffer.capacity() + self.large.as_ref().map_or(0, |large| large.bytes.capacity())
    }
}

/// Room for a read, in [`READ_BYTES`] at most.
fn make_room(buffer: &mut BytesMut) {
    if buffer.capacity() - buffer.len() >= ROOM_BYTES_MIN || buffer.try_reclaim(READ_BYTES - buffer.len()) {
        return;
    }
    // Frames cut from it are alive: they keep it, and what is not yet cut moves on. `reserve`
    // would do the same, but may double the size instead.
    let mut fresh = BytesMut::with_capacity(READ_BYTES);
    fresh.extend_from_slice(buffer);
    *buffer = fresh;
}

/// A frame that gets a buffer of its own, so that it is not copied once more when it is whole.
struct LargeFrame {
    bytes: Vec<u8>,
    size: usize,
}

impl LargeFrame {
    fn poll_fill(&mut self, cx: &mut Context<'_>, stream: Pin<&mut impl AsyncRead>) -> Poll<io::Result<usize>> {
        let here = self.bytes.len();
        if self.bytes.capacity() == here {
            // At most as much again as arrived, and never past the frame's end.
            self.bytes.reserve_exact((self.size - here).min(here.max(READ_BYTES)));
        }
        // The allocator may have given more: what follows the frame is not for this buffer.
        let room = self.bytes.capacity().min(self.size) - here;
        poll_read_buf(stream, cx, &mut (&mut self.bytes).limit(room))
    }
}
