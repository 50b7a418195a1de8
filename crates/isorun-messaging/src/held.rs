//! Requests of other nodes, whose outcome they come to fetch.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use isorun_core::{CorrelationId, Failure, MessagingError, PeerIdentity, Refusal, RequestOutcome};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::envelope::{outcome_bytes, without_room};
use crate::sync::Mutex;

/// How long an outcome is kept beyond the request's own time, for whoever fetches it over a network.
const FETCH_MS: u64 = 5_000;
/// How long an outcome that is there is kept at most: whoever asked fetches it while the request is handled, as soon as the
/// batch that it came in has been answered. It takes up to [`SWEEP_MS`] more to let it go.
const KEPT_MS: u64 = 20_000;
/// While something is held, all of it is looked at so often.
const SWEEP_MS: u64 = 10_000;
/// One peer may have the total's part of that.
const SHARES: usize = 4;

/// Outcomes that wait to be fetched, bounded in number, bytes and time: for each peer, and for all together.
///
/// What comes from this very process has a share of its own, which no peer can use up.
#[derive(Debug)]
pub(crate) struct Held {
    total: Share,
    each: Share,
    state: Mutex<State>,
}

/// Who has a share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    SameProcess,
    /// All who are not authenticated: they may come from another address the next time. Of those, the id of a request, which
    /// nobody can guess, tells whose it is.
    Unknown,
    Named(Arc<str>),
}

impl From<&PeerIdentity> for Holder {
    fn from(peer: &PeerIdentity) -> Self {
        match peer {
            PeerIdentity::SameProcess => Self::SameProcess,
            PeerIdentity::Authenticated { name } => Self::Named(name.as_str().into()),
            // Anonymous ones, and whatever kinds may come that this does not know.
            _ => Self::Unknown,
        }
    }
}

/// So many requests, and so many bytes of answers to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Share {
    requests: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    /// By ids that others chose: its hasher is the one that withstands that.
    table: HashMap<CorrelationId, Request>,
    /// What each has of it that has anything.
    shares: HashMap<Holder, Share>,
    /// What all other nodes have of it.
    total: Share,
    /// Whether a task lets go what nobody fetches.
    is_swept: bool,
}

#[derive(Debug)]
struct Request {
    from: Holder,
    until: Instant,
    outcome: Option<RequestOutcome>,
    bytes: usize,
    /// Who fetches it, and how often somebody has begun to: only the last is served.
    waker: Option<Waker>,
    fetches: u64,
}

impl Held {
    pub(crate) fn new(requests_max: usize, bytes_max: usize) -> Self {
        let total = Share { requests: requests_max, bytes: bytes_max };
        let each = Share { requests: (requests_max / SHARES).max(1), bytes: bytes_max / SHARES };
        Self { total, each, state: Mutex::new(State::default()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().table.len()
    }

    /// Makes room for the outcome of a request.
    pub(crate) fn open(
        self: &Arc<Self>,
        id: CorrelationId,
        from: &PeerIdentity,
        deadline: Instant,
    ) -> Result<(), MessagingError> {
        let from = Holder::from(from);
        let mut state = self.state.lock();
        if self.room(&state, &from).requests == 0 {
            return Err(MessagingError::QueueFull);
        }
        let Entry::Vacant(entry) = state.table.entry(id) else {
            return Err(MessagingError::InvalidMessage { reason: format!("request {id} is there already") });
        };
        let until = deadline + Duration::from_millis(FETCH_MS);
        entry.insert(Request { from: from.clone(), until, outcome: None, bytes: 0, waker: None, fetches: 0 });
        state.count(&from, |share| share.requests += 1);
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
        let Some(from) = state.table.get(&id).map(|request| request.from.clone()) else { return };
        let room = self.room(&state, &from).bytes;
        let Some(request) = state.table.get_mut(&id).filter(|request| request.outcome.is_none()) else { return };
        let bytes = outcome_bytes(&outcome);
        if bytes <= room {
            request.outcome = Some(outcome);
            request.bytes = bytes;
        } else {
            request.outcome = Some(without_room(outcome));
        }
        request.until = request.until.min(Instant::now() + Duration::from_millis(KEPT_MS));
        let (bytes, waker) = (request.bytes, request.waker.take());
        state.count(&from, |share| share.bytes += bytes);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What may be added still of what is that peer's.
    fn room(&self, state: &State, from: &Holder) -> Share {
        let left = |max: Share, used: Share| Share {
            requests: max.requests.saturating_sub(used.requests),
            bytes: max.bytes.saturating_sub(used.bytes),
        };
        let own = left(self.each, state.shares.get(from).copied().unwrap_or_default());
        if *from == Holder::SameProcess {
            return own;
        }
        let all = left(self.total, state.total);
        Share { requests: own.requests.min(all.requests), bytes: own.bytes.min(all.bytes) }
    }

    /// Waits for an outcome, which is given once, to whoever asks last.
    pub(crate) async fn fetch(
        &self,
        id: CorrelationId,
        from: &PeerIdentity,
        until: Instant,
    ) -> Result<RequestOutcome, Failure> {
        let (started, from) = (Instant::now(), Holder::from(from));
        let mut own = None;
        let outcome = poll_fn(|cx| {
            let mut state = self.state.lock();
            let Some(request) = state.table.get_mut(&id).filter(|request| request.from == from) else {
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
            // Nor only when the first is over: outcomes that have come since are kept for a shorter time.
            let in_ms = |ms| Instant::now() + Duration::from_millis(ms);
            sleep_until(next.clamp(in_ms(FETCH_MS / 5), in_ms(SWEEP_MS))).await;
        }
    }
}

impl State {
    /// Changes what somebody has, and the total with it.
    fn count(&mut self, from: &Holder, change: impl Fn(&mut Share)) {
        let share = self.shares.entry(from.clone()).or_default();
        change(share);
        if *share == Share::default() {
            self.shares.remove(from);
        }
        if *from != Holder::SameProcess {
            change(&mut self.total);
        }
    }

    fn remove(&mut self, id: CorrelationId) {
        if let Some(request) = self.table.remove(&id) {
            self.count(&request.from, |share| {
                share.requests -= 1;
                share.bytes -= request.bytes;
            });
            if let Some(waker) = request.waker {
                waker.wake();
            }
        }
    }
}

fn no_such_request(id: CorrelationId) -> Failure {
    Failure::Refused(Refusal::Other { kind: "no-such-request".into(), text: format!("there is no request {id}") })
}
