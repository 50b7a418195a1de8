//! A message on its way, and who hears how it ended.

use std::future::pending;
use std::sync::Arc;

use isorun_core::{CallbackMessage, ComponentMessage, CorrelationId, MessagePayload, MessagingError, RequestOutcome};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::cell::Cell;
use crate::dead_letters::payload_bytes;
use crate::held::Held;

/// What is in the mailbox of a component.
#[derive(Debug)]
pub(crate) enum Item {
    /// A message for it.
    Message(Envelope),
    /// How a request of its own ended.
    Callback(CallbackMessage),
}

/// A message, and who hears how it ended.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) message: ComponentMessage,
    pub(crate) reply: ReplyTo,
    /// Of a request: when its time is over.
    pub(crate) deadline: Option<Instant>,
}

/// Who hears how a request ended, once: where it is dropped, that it failed.
#[derive(Debug)]
pub(crate) struct ReplyTo {
    address: Option<Address>,
    may_have_arrived: bool,
}

#[derive(Debug)]
pub(crate) enum Address {
    /// A component here.
    Cell(Arc<Cell>, CorrelationId),
    /// Somebody who waits.
    Ask(oneshot::Sender<RequestOutcome>),
    /// Another node, which will ask for it.
    Held(Arc<Held>, CorrelationId),
}

impl ReplyTo {
    pub(crate) fn nobody() -> Self {
        Self { address: None, may_have_arrived: false }
    }

    pub(crate) fn to(address: Address) -> Self {
        Self { address: Some(address), may_have_arrived: false }
    }

    /// From here on it may have been handled.
    pub(crate) fn begin(&mut self) {
        self.may_have_arrived = true;
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.address.is_some()
    }

    /// Ready once the outcome is not wanted any more: the request was given up, or its time is over.
    pub(crate) async fn is_given_up(&mut self) {
        match &mut self.address {
            Some(Address::Cell(cell, id)) => {
                let over = cell.requests.lock().watch(*id);
                if let Some(over) = over {
                    // Its other end is dropped, and says nothing.
                    drop(over.await);
                }
            }
            Some(Address::Ask(asker)) => asker.closed().await,
            // A peer says nothing of it, and what is nobody's was never wanted.
            Some(Address::Held(..)) | None => pending().await,
        }
    }

    pub(crate) fn answer(mut self, outcome: RequestOutcome) {
        if let Some(address) = self.address.take() {
            address.deliver(outcome);
        }
    }

    /// Answers that it was not delivered, or may have been, as far as it has come.
    pub(crate) fn fail(self, reason: impl Into<String>) {
        if self.is_wanted() {
            let outcome = failed(self.may_have_arrived, reason);
            self.answer(outcome);
        }
    }

    /// Its time is over before it was handled. Whoever waits here keeps the time too; another node asks.
    pub(crate) fn expire(mut self) {
        match self.address.take() {
            Some(Address::Held(held, id)) => {
                held.complete(id, RequestOutcome::Failed(MessagingError::CorrelationTimeout));
            }
            Some(Address::Cell(..) | Address::Ask(_)) | None => {}
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if let Some(address) = self.address.take() {
            address.deliver(failed(self.may_have_arrived, "it was let go"));
        }
    }
}

impl Address {
    fn deliver(self, outcome: RequestOutcome) {
        match self {
            Self::Cell(cell, id) => cell.complete(id, outcome),
            // Whoever asked may have gone.
            Self::Ask(asker) => drop(asker.send(outcome)),
            Self::Held(held, id) => held.complete(id, outcome),
        }
    }
}

/// That it was not delivered, or nobody knows.
pub(crate) fn failed(may_have_arrived: bool, reason: impl Into<String>) -> RequestOutcome {
    RequestOutcome::Failed(not_delivered(may_have_arrived, reason))
}

/// That it was not delivered, or nobody knows.
pub(crate) fn not_delivered(may_have_arrived: bool, reason: impl Into<String>) -> MessagingError {
    MessagingError::DeliveryFailed { may_have_arrived, reason: cut(reason.into()) }
}

/// What an outcome counts for, in bytes: its payload, or its text.
pub(crate) fn outcome_bytes(outcome: &RequestOutcome) -> usize {
    match outcome {
        RequestOutcome::Replied(payload) => payload_bytes(payload),
        RequestOutcome::Refused { reason: text }
        | RequestOutcome::Failed(
            MessagingError::DeliveryFailed { reason: text, .. }
            | MessagingError::InvalidMessage { reason: text }
            | MessagingError::TargetNotFound { id: text },
        ) => text.len(),
        // The others say nothing.
        _ => 0,
    }
}

/// What is said in place of an outcome that there is no room for: the same, as far as a few words can.
pub(crate) fn without_room(outcome: RequestOutcome) -> RequestOutcome {
    let words = || "there is no room for what it says".to_owned();
    match outcome {
        RequestOutcome::Refused { .. } => RequestOutcome::Refused { reason: words() },
        RequestOutcome::Failed(error) => RequestOutcome::Failed(match error {
            MessagingError::DeliveryFailed { may_have_arrived, .. } => not_delivered(may_have_arrived, words()),
            MessagingError::InvalidMessage { .. } => MessagingError::InvalidMessage { reason: words() },
            MessagingError::TargetNotFound { .. } => MessagingError::TargetNotFound { id: String::new() },
            _ => not_delivered(true, words()),
        }),
        _ => failed(true, "there is no room for the answer"),
    }
}

/// Longest text of an error that is passed on, in bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// The text, cut where it is long.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > REASON_BYTES_MAX {
        text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
        text.push_str("...");
    }
    text
}

/// How a request ended whose target answered that.
pub(crate) fn answered(answer: Option<MessagePayload>) -> RequestOutcome {
    match answer {
        None => RequestOutcome::NoReply,
        Some(payload) => match payload.check() {
            Ok(()) => RequestOutcome::Replied(payload),
            Err(error) => RequestOutcome::Failed(error),
        },
    }
}
