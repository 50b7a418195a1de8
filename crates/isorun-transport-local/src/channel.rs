//! One channel: a bounded queue of frames each way.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use isorun_core::{Channel, FRAME_BYTES_MAX, PeerIdentity, TransportError};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::FrameCounter;

/// Frames that one direction of a channel holds before its sender waits.
///
/// Enough that a burst of small calls needs no switch of tasks. Raising it raises
/// the worst case held per direction, `FRAMES_MAX * FRAME_BYTES_MAX`.
pub const FRAMES_MAX: usize = 64;

/// One end of a channel within the process.
pub(crate) struct LocalChannel {
    sender: Sender,
    receiver: mpsc::Receiver<Bytes>,
}

impl LocalChannel {
    /// Two connected ends; each counter counts what its end sends.
    pub(crate) fn pair(near: FrameCounter, far: FrameCounter) -> (Self, Self) {
        let (near_out, far_in) = mpsc::channel(FRAMES_MAX);
        let (far_out, near_in) = mpsc::channel(FRAMES_MAX);
        (
            Self { sender: Sender::new(near_out, near), receiver: near_in },
            Self { sender: Sender::new(far_out, far), receiver: far_in },
        )
    }
}

impl Channel for LocalChannel {
    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Bytes>) -> Poll<Result<(), TransportError>> {
        self.sender.poll_send(cx, queue)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        self.receiver.poll_recv(cx).map(Ok)
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.sender.frames.close();
        Poll::Ready(Ok(()))
    }

    fn peer(&self) -> &PeerIdentity {
        &PeerIdentity::SameProcess
    }
}

/// The sending side.
struct Sender {
    frames: PollSender<Bytes>,
    /// What ended the sending, given again to whoever asks again.
    failed: Option<TransportError>,
    counter: FrameCounter,
}

impl Sender {
    fn new(frames: mpsc::Sender<Bytes>, counter: FrameCounter) -> Self {
        Self { frames: PollSender::new(frames), failed: None, counter }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Bytes>) -> Poll<Result<(), TransportError>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        while let Some(frame) = queue.front() {
            if frame.is_empty() || frame.len() > FRAME_BYTES_MAX {
                return self.fail(TransportError::FrameSize { size: frame.len(), max: FRAME_BYTES_MAX });
            }
            // Closed here or there, it is the same to the one who sends.
            if ready!(self.frames.poll_reserve(cx)).is_err() {
                return self.fail(TransportError::Closed);
            }
            // There is room: only now is the frame taken.
            if let Some(frame) = queue.pop_front()
                && self.frames.send_item(frame).is_err()
            {
                return self.fail(TransportError::Closed);
            }
            self.counter.add_one();
        }
        Poll::Ready(Ok(()))
    }

    fn fail(&mut self, error: TransportError) -> Poll<Result<(), TransportError>> {
        self.failed = Some(error.clone());
        Poll::Ready(Err(error))
    }
}
