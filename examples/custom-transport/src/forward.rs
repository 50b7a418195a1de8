//! Frames passed on, from one channel to another and back.

use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use custom_transport::stdio;
use isorun_core::{Channel, Transport, TransportError};
use isorun_transport_tcp::UnixTransport;

/// Joins stdin and stdout with what listens on the Unix socket at `path`, until both ways have ended.
///
/// Whoever started this process is greeted only once the socket is reached.
pub async fn to_socket(path: &str) -> Result<(), Box<dyn Error>> {
    let mut there = UnixTransport::new(path)?.open().await?;
    let mut here = stdio().await?;
    let (mut out, mut back) = (Way::default(), Way::default());
    poll_fn(|cx| {
        let out = out.poll(cx, &mut here, there.as_mut())?;
        let back = back.poll(cx, there.as_mut(), &mut here)?;
        if out.is_ready() && back.is_ready() { Poll::Ready(Ok::<_, TransportError>(())) } else { Poll::Pending }
    })
    .await?;
    Ok(())
}

/// One direction: it holds one frame at most, so that whoever sends waits for whoever receives.
#[derive(Default)]
struct Way {
    frame: VecDeque<Bytes>,
    ended: bool,
}

impl Way {
    /// Ready once `from` has ended and `to` is closed.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut dyn Channel,
        to: &mut dyn Channel,
    ) -> Poll<Result<(), TransportError>> {
        while !self.ended {
            ready!(to.poll_send(cx, &mut self.frame))?;
            match ready!(from.poll_recv(cx))? {
                Some(frame) => self.frame.push_back(frame),
                None => self.ended = true,
            }
        }
        to.poll_close(cx)
    }
}
