//! What accepting from any kind of socket has in common.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use isorun_core::TransportError;
use tokio::time::Sleep;

/// How long accepting pauses after the system ran out of something, in milliseconds.
///
/// Without a pause a server short of file descriptors would spin on the error
/// instead of finishing what it serves, which is what frees them.
const ACCEPT_PAUSE_MS: u64 = 100;

/// Accepts one stream after the other, with a pause where the system is short of something.
#[derive(Default)]
pub(crate) struct Accepting {
    /// Accepting goes on once this has passed.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Accepting {
    /// What `with` makes of the next stream that `accept` gives.
    pub(crate) fn poll<S, T>(
        &mut self,
        cx: &mut Context<'_>,
        accept: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<S>>,
        with: impl FnOnce(S) -> io::Result<T>,
    ) -> Poll<Result<T, TransportError>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let accepted = ready!(accept(cx));
        if accepted.as_ref().is_err_and(|error| !is_of_one_connection(error)) {
            self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS))));
        }
        let made = accepted.and_then(with);
        Poll::Ready(made.map_err(|error| TransportError::Lost { cause: format!("not accepted: {error}") }))
    }
}

/// Whether the connection failed, rather than the system that would accept it.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
