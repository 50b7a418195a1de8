//! Frames into bytes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use isorun_core::{FRAME_BYTES_MAX, TransportError};
use tokio::io::AsyncWrite;

/// Bytes before each frame: its length, a little-endian `u32`.
pub(crate) const HEADER_BYTES: usize = 4;

/// Frames that one system call is given at most.
///
/// Two slices each, well under the 1,024 that POSIX systems take at once.
const GATHER_FRAMES_MAX: usize = 64;

/// Bytes up to which what one system call takes is copied together first.
///
/// For the system many small pieces cost more than one, and this much costs less to copy than a call does by itself.
const FLAT_BYTES_MAX: usize = 8 << 10;

const _: () = assert!(FRAME_BYTES_MAX <= u32::MAX as usize, "a length must fit its header");

/// Writes frames to a stream, many at once, and copies none but small ones.
///
/// Frames are written from where they stand in the queue: one leaves the queue
/// when its first byte has been accepted, so that what was taken is exactly what
/// may have been sent.
#[derive(Default)]
pub(crate) struct FrameWriter {
    /// The frame whose first bytes are written and whose last are not.
    begun: Option<Begun>,
    /// Where small frames are put together; empty between two writes.
    flat: Vec<u8>,
    /// Whether something was written that the stream may still hold.
    unflushed: bool,
    /// What ended the sending, given again to whoever asks again.
    failed: Option<TransportError>,
    stage: Stage,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    Closing,
    Closed,
}

impl FrameWriter {
    /// Ready once `queue` is empty and all that was taken is handed over.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: Pin<&mut impl AsyncWrite>,
        queue: &mut VecDeque<Bytes>,
    ) -> Poll<Result<(), TransportError>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if self.stage != Stage::Open && !queue.is_empty() {
            return self.fail(TransportError::Closed);
        }
        while self.begun.is_some() || !queue.is_empty() {
            if let (None, Some(size)) = (&self.begun, queue.front().map(Bytes::len).filter(|size| !is_carried(*size))) {
                return self.fail(TransportError::FrameSize { size, max: FRAME_BYTES_MAX });
            }
            if let Err(error) = ready!(self.poll_write(cx, stream.as_mut(), queue)) {
                return self.fail(error);
            }
        }
        // A socket holds nothing back, but what encrypts does.
        if self.unflushed {
            if let Err(error) = ready!(stream.poll_flush(cx)) {
                return self.fail(lost(&error));
            }
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once the frame that was begun is written and the stream is closed for writing.
    pub(crate) fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: Pin<&mut impl AsyncWrite>,
    ) -> Poll<Result<(), TransportError>> {
        if let Some(error @ TransportError::Lost { .. }) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if self.stage == Stage::Closed {
            return Poll::Ready(Ok(()));
        }
        self.stage = Stage::Closing;
        while self.begun.is_some() {
            if let Err(error) = ready!(self.poll_write(cx, stream.as_mut(), &mut VecDeque::new())) {
                return self.fail(error);
            }
        }
        match ready!(stream.poll_shutdown(cx)) {
            Ok(()) => {
                self.stage = Stage::Closed;
                Poll::Ready(Ok(()))
            }
            Err(error) => self.fail(lost(&error)),
        }
    }

    /// Writes once, as much as the stream takes of what was begun and of the frames in `queue`.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        stream: Pin<&mut impl AsyncWrite>,
        queue: &mut VecDeque<Bytes>,
    ) -> Poll<Result<(), TransportError>> {
        let written = if self.flatten(queue) {
            let written = stream.poll_write(cx, &self.flat);
            self.flat.clear();
            written
        } else {
            self.poll_write_pieces(cx, stream, queue)
        };
        match ready!(written) {
            Ok(0) => Poll::Ready(Err(lost(&io::ErrorKind::WriteZero.into()))),
            Ok(written) => {
                self.unflushed = true;
                self.take_written(queue, written);
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(lost(&error))),
        }
    }

    /// Puts all that can be written next into one piece, if it is little; otherwise there is none.
    fn flatten(&mut self, queue: &VecDeque<Bytes>) -> bool {
        let carried = || queue.iter().take_while(|frame| is_carried(frame.len())).take(GATHER_FRAMES_MAX);
        let begun = self.begun.as_ref().map_or(0, Begun::left);
        let fits = |bytes: usize, frame: &Bytes| {
            Some(bytes + HEADER_BYTES + frame.len()).filter(|bytes| *bytes <= FLAT_BYTES_MAX)
        };
        if begun > FLAT_BYTES_MAX || carried().try_fold(begun, fits).is_none() {
            return false;
        }
        for rest in self.begun.iter().flat_map(Begun::rest) {
            self.flat.extend_from_slice(rest);
        }
        for frame in carried() {
            self.flat.extend_from_slice(&header_of(frame));
            self.flat.extend_from_slice(frame);
        }
        true
    }

    /// Writes from where the frames stand.
    fn poll_write_pieces(
        &self,
        cx: &mut Context<'_>,
        stream: Pin<&mut impl AsyncWrite>,
        queue: &VecDeque<Bytes>,
    ) -> Poll<io::Result<usize>> {
        let carried = || queue.iter().take_while(|frame| is_carried(frame.len())).take(GATHER_FRAMES_MAX);
        let mut headers = [[0; HEADER_BYTES]; GATHER_FRAMES_MAX];
        for (header, frame) in headers.iter_mut().zip(carried()) {
            *header = header_of(frame);
        }
        let begun = self.begun.iter().flat_map(Begun::rest);
        let whole = headers.iter().zip(carried()).flat_map(|(header, frame)| [header.as_slice(), frame]);
        let mut slices = [IoSlice::new(&[]); 2 * (GATHER_FRAMES_MAX + 1)];
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(begun.chain(whole)) {
            *slice = IoSlice::new(bytes);
            filled += 1;
        }
        stream.poll_write_vectored(cx, &slices[..filled])
    }

    /// Takes from `queue` the frames that the `written` bytes belong to.
    fn take_written(&mut self, queue: &mut VecDeque<Bytes>, mut written: usize) {
        while written > 0 {
            let Some(mut begun) = self.begun.take().or_else(|| queue.pop_front().map(Begun::new)) else { return };
            let step = written.min(begun.left());
            begun.written += step;
            written -= step;
            if begun.left() > 0 {
                self.begun = Some(begun);
            }
        }
    }

    fn fail(&mut self, error: TransportError) -> Poll<Result<(), TransportError>> {
        self.failed = Some(error.clone());
        Poll::Ready(Err(error))
    }
}

/// A frame on its way.
struct Begun {
    header: [u8; HEADER_BYTES],
    frame: Bytes,
    /// Bytes written, of the header and then of the frame.
    written: usize,
}

impl Begun {
    fn new(frame: Bytes) -> Self {
        Self { header: header_of(&frame), frame, written: 0 }
    }

    fn left(&self) -> usize {
        HEADER_BYTES + self.frame.len() - self.written
    }

    /// What is still to be written.
    fn rest(&self) -> [&[u8]; 2] {
        let of_header = self.written.min(HEADER_BYTES);
        [&self.header[of_header..], &self.frame[self.written - of_header..]]
    }
}

fn is_carried(size: usize) -> bool {
    (1..=FRAME_BYTES_MAX).contains(&size)
}

fn header_of(frame: &Bytes) -> [u8; HEADER_BYTES] {
    // Never cut short: `is_carried` came first, and the assertion above holds.
    (frame.len() as u32).to_le_bytes()
}

fn lost(error: &io::Error) -> TransportError {
    TransportError::Lost { cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes so many bytes a write, none meaning `Pending`, and keeps them.
    struct Sink {
        takes: Vec<usize>,
        writes: usize,
        found: Vec<u8>,
        shut: bool,
    }

    impl Sink {
        fn new(takes: Vec<usize>) -> Self {
            Self { takes, writes: 0, found: Vec::new(), shut: false }
        }
    }

    impl AsyncWrite for Sink {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            assert!(!self.shut, "written after the end");
            let takes = self.takes[self.writes % self.takes.len()];
            self.writes += 1;
            if takes == 0 {
                return Poll::Pending;
            }
            let before = self.found.len();
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(takes).collect();
            self.found.extend(bytes);
            Poll::Ready(Ok(self.found.len() - before))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.shut = true;
            Poll::Ready(Ok(()))
        }
    }

    fn wire<'a>(frames: impl IntoIterator<Item = &'a Bytes>) -> Vec<u8> {
        frames.into_iter().flat_map(|frame| [&header_of(frame), frame.as_ref()].concat()).collect()
    }

    fn some_frames() -> impl Strategy<Value = VecDeque<Bytes>> {
        let frame = (1..40_usize, any::<u8>()).prop_map(|(size, byte)| Bytes::from(vec![byte; size]));
        proptest::collection::vec_deque(frame, 0..200)
    }

    fn some_takes() -> impl Strategy<Value = Vec<usize>> {
        // One that takes something, or nothing would ever be written.
        proptest::collection::vec(prop_oneof![Just(0), 1..10_usize, 1..5_000_usize], 0..6)
            .prop_map(|takes| [takes, vec![3]].concat())
    }

    proptest! {
        #[test]
        fn at_every_moment_what_was_taken_is_what_may_have_been_sent(frames in some_frames(), takes in some_takes()) {
            let (mut writer, mut sink, mut queue) = (FrameWriter::default(), Sink::new(takes), frames.clone());
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            while writer.poll_send(cx, Pin::new(&mut sink), &mut queue).is_pending() {
                let taken = wire(frames.iter().take(frames.len() - queue.len()));
                prop_assert!(taken.starts_with(&sink.found));
                let unwritten = taken.len() - sink.found.len();
                let last = frames.iter().take(frames.len() - queue.len()).last().map_or(0, Bytes::len);
                prop_assert!(unwritten == 0 || unwritten < HEADER_BYTES + last, "a frame was taken and nothing of it written");
            }
            prop_assert!(queue.is_empty() && sink.found == wire(&frames));
        }

        #[test]
        fn closing_at_any_moment_writes_what_was_taken_and_no_more(
            frames in some_frames(),
            takes in some_takes(),
            polls in 0..20_usize,
        ) {
            let (mut writer, mut sink, mut queue) = (FrameWriter::default(), Sink::new(takes), frames.clone());
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            for _ in 0..polls {
                let _ = writer.poll_send(cx, Pin::new(&mut sink), &mut queue);
            }
            while writer.poll_close(cx, Pin::new(&mut sink)).is_pending() {}
            prop_assert!(sink.shut);
            prop_assert_eq!(sink.found, wire(frames.iter().take(frames.len() - queue.len())));
        }
    }

    #[test]
    fn a_queue_is_written_at_once_up_to_the_limit_of_frames() {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        for (frames, writes) in [(1, 1), (GATHER_FRAMES_MAX, 1), (GATHER_FRAMES_MAX + 1, 2)] {
            let (mut writer, mut sink) = (FrameWriter::default(), Sink::new(vec![usize::MAX]));
            let mut queue = VecDeque::from(vec![Bytes::from_static(b"call"); frames]);
            assert_eq!(writer.poll_send(cx, Pin::new(&mut sink), &mut queue), Poll::Ready(Ok(())));
            assert_eq!(sink.writes, writes, "{frames} frames");
        }
    }

    #[test]
    fn a_stream_that_takes_nothing_is_lost_and_stays_lost() {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let mut writer = FrameWriter::default();
        let mut queue = VecDeque::from([Bytes::from_static(b"call")]);
        let first = writer.poll_send(cx, Pin::new(&mut Nothing), &mut queue);
        assert!(matches!(first, Poll::Ready(Err(TransportError::Lost { .. }))));
        assert_eq!(queue.len(), 1, "nothing of it was written");
        let mut sink = Sink::new(vec![usize::MAX]);
        assert_eq!(writer.poll_send(cx, Pin::new(&mut sink), &mut queue), first);
        assert_eq!(writer.poll_close(cx, Pin::new(&mut sink)), first);
        assert!(sink.found.is_empty());
    }

    /// Takes no bytes, and says so.
    struct Nothing;

    impl AsyncWrite for Nothing {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
