//! Requests of other nodes, whose outcome they come to fetch.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use isorun_core::{CorrelationId, Failure, MessagingError, PeerIdentity, Refusal, RequestOutcome};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::dead_letters::payload_bytes;
use crate::envelope::failed;
use crate::sync::Mutex;

/// How long an outcome is kept beyond the request's own time, for whoever fetches it over a network.
const FETCH_MS: u64 = 5_000;

/// Outcomes that wait to be fetched, bounded in number, bytes and time.
#[derive(Debug)]
pub(crate) struct Held {
    requests_max: usize,
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By ids that others chose: its hasher is the one that withstands that.
    table: HashMap<CorrelationId, Request>,
    /// Of all answers in it.
    bytes: usize,
    /// Whether a task lets go what nobody fetches.
    is_swept: bool,
}

#[derive(Debug)]
struct Request {
    from: PeerIdentity,
    until: Instant,
    outcome: Option<RequestOutcome>,
    bytes: usize,
    /// Who fetches it, and how often somebody has begun to: only the last is served.
    waker: Option<Waker>,
    fetches: u64,
}

impl Held {
    pub(crate) fn new(requests_max: usize, bytes_max: usize) -> Self {
        Self { requests_max, bytes_max, state: Mutex::new(State::default()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().table.len()
    }

    /// Makes room for the outcome of a request.
    pub(crate) fn open(
        self: &Arc<Self>,
        id: CorrelationId,
        from: PeerIdentity,
        deadline: Instant,
    ) -> Result<(), MessagingError> {
        let mut state = self.state.lock();
        if state.table.len() >= self.requests_max {
            return Err(MessagingError::QueueFull);
        }
        let Entry::Vacant(entry) = state.table.entry(id) else {
            return Err(MessagingError::InvalidMessage { reason: format!("request {id} is there already") });
        };
        let until = deadline + Duration::from_millis(FETCH_MS);
        entry.insert(Request { from, until, outcome: None, bytes: 0, waker: None, fetches: 0 });
        if !std::mem::replace(&mut state.is_swept, true) {
            tokio::spawn(Arc::clone(self).sweep());
        }
        Ok(())
    }

    /// Takes back one that could not be delivered.
    pub(crate) fn take_back(&self, id: CorrelationId) {
        self.state.lock().remove(id);
    }

    pub(crate) fn complete(&self, id: CorrelationId, outcome: RequestOutcome) {
        let mut state = self.state.lock();
        let room = self.bytes_max - state.bytes;
        let Some(request) = state.table.get_mut(&id).filter(|request| request.outcome.is_none()) else { return };
        let bytes = if let RequestOutcome::Replied(payload) = &outcome { payload_bytes(payload) } else { 0 };
        if bytes <= room {
            request.outcome = Some(outcome);
            request.bytes = bytes;
        } else {
            request.outcome = Some(failed(true, "too many answers wait to be fetched"));
        }
        let (bytes, waker) = (request.bytes, request.waker.take());
        state.bytes += bytes;
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for an outcome, which is given once, to whoever asks last.
    pub(crate) async fn fetch(
        &self,
        id: CorrelationId,
        from: &PeerIdentity,
        until: Instant,
    ) -> Result<RequestOutcome, Failure> {
        let started = Instant::now();
        let mut own = None;
        let outcome = poll_fn(|cx| {
            let mut state = self.state.lock();
            let Some(request) = state.table.get_mut(&id).filter(|request| is_same(&request.from, from)) else {
                return Poll::Ready(Err(no_such_request(id)));
            };
            if own.is_none() {
                request.fetches += 1;
                own = Some(request.fetches);
                if let Some(other) = request.waker.take() {
                    other.wake();
                }
            } else if own != Some(request.fetches) {
                return Poll::Ready(Err(Failure::Unknown { cause: "its outcome is fetched by another call".into() }));
            }
            if let Some(outcome) = request.outcome.take() {
                state.remove(id);
                return Poll::Ready(Ok(outcome));
            }
            request.waker = Some(cx.waker().clone());
            Poll::Pending
        });
        timeout_at(until, outcome)
            .await
            .unwrap_or_else(|_| Err(Failure::Deadline { waited_ms: crate::clock::millis(started.elapsed()) }))
    }

    /// Lets go what nobody has fetched in time, until nothing is held.
    async fn sweep(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let now = Instant::now();
                let over: Vec<_> = state.table.iter().filter(|(_, it)| it.until <= now).map(|(id, _)| *id).collect();
                for id in over {
                    state.remove(id);
                }
                let next = state.table.values().map(|request| request.until).min();
                state.is_swept = next.is_some();
                next
            };
            let Some(next) = next else { return };
            // Not for each by itself: looking at all of them takes its time.
            sleep_until(next.max(Instant::now() + Duration::from_millis(FETCH_MS / 5))).await;
        }
    }
}

impl State {
    fn remove(&mut self, id: CorrelationId) {
        if let Some(request) = self.table.remove(&id) {
            self.bytes -= request.bytes;
            if let Some(waker) = request.waker {
                waker.wake();
            }
        }
    }
}

/// Whether it is the same peer. One that is not authenticated may come from another address the next time: of those, the id,
/// which nobody can guess, tells who it is.
fn is_same(one: &PeerIdentity, other: &PeerIdentity) -> bool {
    match (one, other) {
        (PeerIdentity::Anonymous { .. }, PeerIdentity::Anonymous { .. }) => true,
        _ => one == other,
    }
}

fn no_such_request(id: CorrelationId) -> Failure {
    Failure::Refused(Refusal::Other { kind: "no-such-request".into(), text: format!("there is no request {id}") })
}
