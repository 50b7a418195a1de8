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
            let here = &self.buffer[HEADER_BYTES..];
            let mut bytes = Vec::with_capacity(size.min(READ_BYTES + 2 * here.len()));
            bytes.extend_from_slice(here);
            self.large = Some(LargeFrame { bytes, size });
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    /// Gives its chunks one a read, and says `Pending` between them.
    struct Chunks {
        chunks: VecDeque<Vec<u8>>,
        given: usize,
        waits: bool,
    }

    impl Chunks {
        fn new(bytes: &[u8], sizes: &[usize]) -> Self {
            let (mut rest, mut chunks) = (bytes, VecDeque::new());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at((*size).min(rest.len()));
                chunks.push_back(chunk.to_vec());
                rest = after;
            }
            Self { chunks, given: 0, waits: false }
        }
    }

    impl AsyncRead for Chunks {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.waits = !self.waits;
            if self.waits {
                return Poll::Pending;
            }
            if let Some(mut chunk) = self.chunks.pop_front() {
                let rest = chunk.split_off(chunk.len().min(buf.remaining()));
                buf.put_slice(&chunk);
                self.given += chunk.len();
                if !rest.is_empty() {
                    self.chunks.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    /// All frames of a stream and how it ended, while memory is watched.
    fn read(mut stream: Chunks, keep: bool) -> (Vec<Bytes>, Option<TransportError>) {
        let (mut reader, mut frames) = (FrameReader::default(), Vec::new());
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        loop {
            let polled = reader.poll_frame(cx, Pin::new(&mut stream));
            // Twice what is here at most, beside the one buffer and the first piece of a large frame.
            assert!(reader.held_bytes() <= 2 * READ_BYTES + 2 * stream.given, "{} bytes", reader.held_bytes());
            assert!(reader.held_bytes() <= READ_BYTES + FRAME_BYTES_MAX, "{} bytes", reader.held_bytes());
            match polled {
                Poll::Pending => {}
                // A copy frees the buffer for the next read; otherwise it stays in use.
                Poll::Ready(Ok(Some(frame))) => frames.push(if keep { frame } else { Bytes::copy_from_slice(&frame) }),
                Poll::Ready(Ok(None)) => return (frames, None),
                Poll::Ready(Err(error)) => return (frames, Some(error)),
            }
        }
    }

    fn wire(frames: &[Bytes]) -> Vec<u8> {
        let sized = |frame: &Bytes| [&(frame.len() as u32).to_le_bytes(), frame.as_ref()].concat();
        frames.iter().flat_map(sized).collect()
    }

    fn a_size() -> impl Strategy<Value = usize> {
        prop_oneof![8 => 1..200_usize, 2 => READ_BYTES - 20..READ_BYTES + 20, 1 => 1..5 * READ_BYTES]
    }

    fn some_frames() -> impl Strategy<Value = Vec<Bytes>> {
        let frame = (a_size(), any::<u8>()).prop_map(|(size, byte)| Bytes::from(vec![byte; size]));
        proptest::collection::vec(frame, 0..40)
    }

    proptest! {
        #[test]
        fn frames_come_whole_however_the_bytes_are_cut(
            frames in some_frames(),
            sizes in proptest::collection::vec(prop_oneof![1..20_usize, 1..3 * READ_BYTES], 1..8),
            keep in any::<bool>(),
        ) {
            let (found, error) = read(Chunks::new(&wire(&frames), &sizes), keep);
            prop_assert!(found == frames && error.is_none());
        }

        #[test]
        fn a_stream_cut_anywhere_gives_its_whole_frames_and_then_says_so(
            frames in some_frames(),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = wire(&frames);
            let cut = cut.index(bytes.len() + 1);
            let (found, error) = read(Chunks::new(&bytes[..cut], &[1_000]), true);
            prop_assert!(frames.starts_with(&found));
            let whole = wire(&found).len() == cut;
            prop_assert_eq!(error.is_none(), whole);
            let lost = matches!(error, Some(TransportError::Lost { .. }));
            prop_assert!(whole || lost);
        }

        #[test]
        fn any_bytes_end_as_frames_or_as_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (found, error) = read(Chunks::new(&bytes, &[7]), true);
            prop_assert!(bytes.starts_with(&wire(&found)));
            prop_assert_eq!(error.is_none(), wire(&found) == bytes);
        }
    }

    #[test]
    fn a_claim_of_the_largest_frame_takes_no_memory_before_its_bytes_are_here() {
        let mut bytes = (FRAME_BYTES_MAX as u32).to_le_bytes().to_vec();
        bytes.push(1);
        let (mut reader, mut stream) = (FrameReader::default(), Chunks::new(&bytes, &[5]));
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(reader.poll_frame(cx, Pin::new(&mut stream)).is_pending());
        assert!(reader.poll_frame(cx, Pin::new(&mut stream)).is_pending());
        assert!(reader.large.is_some() && reader.held_bytes() <= 2 * READ_BYTES + 2, "{}", reader.held_bytes());
    }

    #[test]
    fn a_stream_that_ended_stays_ended_and_one_that_broke_stays_broken() {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        for (bytes, expected) in [
            (vec![], Ok(None)),
            (vec![0; 4], Err(TransportError::FrameSize { size: 0, max: FRAME_BYTES_MAX })),
            (vec![255; 4], Err(TransportError::FrameSize { size: u32::MAX as usize, max: FRAME_BYTES_MAX })),
        ] {
            let (mut reader, mut stream) = (FrameReader::default(), Chunks::new(&bytes, &[4]));
            assert!(reader.poll_frame(cx, Pin::new(&mut stream)).is_pending());
            for _ in 0..3 {
                assert_eq!(reader.poll_frame(cx, Pin::new(&mut stream)), Poll::Ready(expected.clone()));
            }
        }
    }

    #[test]
    fn a_large_frame_is_not_copied_when_it_is_whole() {
        let bytes = wire(&[Bytes::from(vec![1; 10 * READ_BYTES]), Bytes::from_static(b"next")]);
        let (found, error) = read(Chunks::new(&bytes, &[READ_BYTES]), true);
        assert_eq!((found.len(), error), (2, None));
        let vec: Vec<u8> = found[0].clone().into();
        assert_eq!(vec.capacity(), vec.len());
    }
}
