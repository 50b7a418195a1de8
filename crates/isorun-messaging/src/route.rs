//! Messages to components of other nodes: one ordered worker for each route.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use isorun_core::{ComponentMessage, ComponentPattern, Delivery, Failure, MessagingError, RequestOutcome};
use tokio::time::{Instant, timeout, timeout_at};

use crate::dead_letters::{DeadLetterReason, message_bytes};
use crate::envelope::{Envelope, ReplyTo, failed, not_delivered};
use crate::losses::{Losses, Tally};
use crate::mailbox::{Full, Mailbox};
use crate::requests::REQUESTS_MAX;
use crate::shared::Shared;

/// Most messages that leave together.
pub const BATCH_MESSAGES_MAX: usize = 128;
/// Once so many bytes are in a batch, no more go with it.
pub const BATCH_BYTES: usize = 1 << 20;
/// Most requests of one route whose outcome is not known.
///
/// Those that are given up make room at once. One component has [`REQUESTS_MAX`](crate::REQUESTS_MAX) of them at most, and
/// besides what it has given up that has not left yet, which the outbox bounds: alone it can't use up a route.
pub const ROUTE_REQUESTS_MAX: usize = 16_384;

// With an outbox of the usual size and a batch under way, one component has less than a quarter.
const _: () = assert!(4 * (REQUESTS_MAX + 1_024 + BATCH_MESSAGES_MAX) < ROUTE_REQUESTS_MAX);

/// Where messages go whose recipient is not here.
pub(crate) struct Route {
    pub(crate) pattern: ComponentPattern,
    shared: Arc<Shared>,
    to: Arc<dyn Delivery>,
    pub(crate) outbox: Mailbox<Outgoing>,
    /// Requests whose outcome is not known.
    open: Arc<AtomicUsize>,
    losses: Losses,
}

/// A message on its way to another node, and its part of what may be open.
#[derive(Debug)]
pub(crate) struct Outgoing {
    envelope: Envelope,
    open: Option<Open>,
}

/// One of the requests of a route that may be open.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Route {
    pub(crate) fn new(pattern: ComponentPattern, to: Arc<dyn Delivery>, shared: Arc<Shared>) -> Self {
        let outbox = Mailbox::new(shared.options.outbox);
        let losses = Losses::new(pattern.to_string());
        Self { pattern, shared, to, outbox, open: Arc::default(), losses }
    }

    /// Puts a message into the outbox; `make` is called only where there is room.
    pub(crate) fn push(
        &self,
        bytes: usize,
        is_request: bool,
        make: impl FnOnce() -> Envelope,
    ) -> Result<(), MessagingError> {
        let open = if is_request { Some(self.claim()?) } else { None };
        self.outbox.push(bytes, || Outgoing { envelope: make(), open }).map_err(|full| match full {
            Full::NoRoom => MessagingError::QueueFull,
            Full::Closed => not_delivered(false, "the route has been taken away"),
        })
    }

    fn claim(&self) -> Result<Open, MessagingError> {
        if self.open.fetch_add(1, Relaxed) >= ROUTE_REQUESTS_MAX {
            self.open.fetch_sub(1, Relaxed);
            return Err(MessagingError::QueueFull);
        }
        Ok(Open(Arc::clone(&self.open)))
    }

    /// Takes the route away: what has not left does not leave.
    pub(crate) fn close(&self) {
        let (mut tally, why) = (Tally::default(), "the route has been taken away");
        for Outgoing { envelope, .. } in self.outbox.close() {
            tally.lost(DeadLetterReason::NotSent, envelope.message.correlation_id.is_some(), why);
            bury(&self.shared, envelope, DeadLetterReason::NotSent, why);
        }
        self.losses.note(tally);
    }

    /// Delivers what is in the outbox, in its order, until the route is closed.
    pub(crate) async fn work(self: Arc<Self>) {
        while let Some(first) = self.next().await {
            let batch = self.batch(first);
            if !batch.messages.is_empty() {
                self.deliver(batch).await;
            }
        }
        self.losses.tell_all();
    }

    /// The next message; meanwhile the losses that are due are told.
    async fn next(&self) -> Option<Outgoing> {
        loop {
            let next = poll_fn(|cx| self.outbox.poll_pop(cx));
            match self.losses.tell_due() {
                None => return next.await,
                Some(due) => {
                    if let Ok(next) = timeout_at(due, next).await {
                        return next;
                    }
                }
            }
        }
    }

    /// What leaves together: what is there now, within the bounds.
    fn batch(&self, first: Outgoing) -> Batch {
        let mut batch = Batch::default();
        let (mut next, mut bytes) = (Some(first), 0);
        while let Some(Outgoing { mut envelope, open }) = next.take() {
            let (now, _) = self.shared.clock.now();
            if envelope.deadline.is_some_and(|deadline| deadline <= now) {
                bury(&self.shared, envelope, DeadLetterReason::Expired, "its time was over");
            } else {
                bytes += message_bytes(&envelope.message);
                envelope.reply.begin();
                let Envelope { mut message, reply, deadline } = envelope;
                // Only what is left of its time counts there.
                message.timeout_ms = deadline.map(|at| crate::clock::millis(at - now).max(1));
                batch.stubs.push(Stub { outline: outline(&message), reply, deadline, open });
                batch.messages.push(message);
            }
            if batch.messages.len() < BATCH_MESSAGES_MAX && bytes < BATCH_BYTES {
                next = self.outbox.try_pop();
            }
        }
        batch
    }

    async fn deliver(&self, Batch { messages, stubs }: Batch) {
        let time = Duration::from_millis(self.shared.options.deliver_ms);
        let results = match timeout(time, self.to.deliver(messages)).await {
            Ok(results) => results,
            Err(_) => Err(Failure::Unknown { cause: "the other node did not say in time what became of it".into() }),
        };
        let mut tally = Tally::default();
        match results {
            Ok(results) => {
                let missing = || Err(not_delivered(true, "the other node did not say what became of it"));
                let results = results.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
                for (stub, result) in stubs.into_iter().zip(results) {
                    self.delivered(stub, result.unwrap_or_else(missing), &mut tally);
                }
            }
            Err(failure) => {
                let may_have_arrived = may_have_arrived(&failure);
                for stub in stubs {
                    let lost = Err(not_delivered(may_have_arrived, failure.to_string()));
                    self.delivered(stub, lost, &mut tally);
                }
            }
        }
        self.losses.note(tally);
    }

    fn delivered(
        &self,
        Stub { outline, mut reply, deadline, open }: Stub,
        result: Result<(), MessagingError>,
        tally: &mut Tally,
    ) {
        match result {
            Ok(()) => {
                tally.arrived();
                if let (true, Some(id), Some(deadline)) = (reply.is_wanted(), outline.correlation_id, deadline) {
                    let to = Arc::clone(&self.to);
                    tokio::spawn(async move {
                        let _open = open;
                        let outcome = tokio::select! {
                            biased;
                            () = reply.is_given_up() => None,
                            outcome = timeout_at(deadline, to.outcome(id, deadline.into_std())) => Some(outcome),
                        };
                        match outcome {
                            Some(Ok(Ok(outcome))) => reply.answer(outcome),
                            // Whoever waits keeps the time too, or does not wait any more.
                            None | Some(Err(_) | Ok(Err(Failure::Deadline { .. }))) => reply.expire(),
                            // It was delivered.
                            Some(Ok(Err(failure))) => reply.answer(failed(true, failure.to_string())),
                        }
                    });
                }
            }
            Err(error) => {
                let reason = match &error {
                    MessagingError::DeliveryFailed { may_have_arrived: true, .. } => DeadLetterReason::Unknown,
                    MessagingError::DeliveryFailed { may_have_arrived: false, .. } => DeadLetterReason::NotSent,
                    _ => DeadLetterReason::Refused,
                };
                let (why, (_, now_ms)) = (why(&error), self.shared.clock.now());
                tally.lost(reason, outline.correlation_id.is_some(), &why);
                self.shared.dead_letters.bury(&outline, reason, &why, now_ms);
                reply.answer(RequestOutcome::Failed(error));
            }
        }
    }
}

#[derive(Default)]
struct Batch {
    messages: Vec<ComponentMessage>,
    stubs: Vec<Stub>,
}

/// What is kept of a message that has left.
struct Stub {
    /// The message, its payload included, which is shared.
    outline: ComponentMessage,
    reply: ReplyTo,
    deadline: Option<Instant>,
    open: Option<Open>,
}

fn outline(message: &ComponentMessage) -> ComponentMessage {
    message.clone()
}

fn bury(shared: &Shared, Envelope { message, reply, .. }: Envelope, reason: DeadLetterReason, why: &str) {
    let (_, now_ms) = shared.clock.now();
    shared.dead_letters.bury(&message, reason, why, now_ms);
    match reason {
        DeadLetterReason::Expired => reply.expire(),
        _ => reply.fail(why),
    }
}

/// What happened, without what its reason says already.
fn why(error: &MessagingError) -> Cow<'_, str> {
    match error {
        MessagingError::DeliveryFailed { reason, .. } => reason.into(),
        error => error.to_string().into(),
    }
}

/// Whether what failed like that may have been done all the same.
fn may_have_arrived(failure: &Failure) -> bool {
    match failure {
        Failure::NotSent { .. } | Failure::Refused(_) => false,
        Failure::Unknown { .. } | Failure::Failed(_) | Failure::Deadline { .. } | Failure::Cancelled => true,
        // What is not known yet is not known to be safe.
        _ => true,
    }
}
