//! What comes in from other nodes.

use std::sync::{Arc, Weak};
use std::time::Instant;

use isorun_core::{
    BoxFuture, ComponentMessage, CorrelationId, Delivery, Failure, MessagingError, PeerIdentity,
    REQUEST_TIMEOUT_MS_MAX, Refusal, RequestOutcome,
};

use crate::cell::deadline_in;
use crate::dead_letters::message_bytes;
use crate::envelope::{Address, Envelope, ReplyTo};
use crate::system::Inner;

/// Most messages that another node delivers at once.
pub const DELIVERED_MAX: usize = 1_024;

/// The mailboxes here, as one peer reaches them.
pub(crate) struct Incoming {
    pub(crate) system: Weak<Inner>,
    pub(crate) peer: PeerIdentity,
}

impl Delivery for Incoming {
    fn deliver(
        &self,
        messages: Vec<ComponentMessage>,
    ) -> BoxFuture<'_, Result<Vec<Result<(), MessagingError>>, Failure>> {
        Box::pin(async move {
            let system = self.system.upgrade().ok_or_else(gone)?;
            if messages.len() > DELIVERED_MAX {
                let (what, limit) = ("messages delivered at once".into(), DELIVERED_MAX as u64);
                return Err(Refusal::Overloaded { what, limit }.into());
            }
            Ok(messages.into_iter().map(|message| system.take_in(message, &self.peer)).collect())
        })
    }

    fn outcome(&self, id: CorrelationId, until: Instant) -> BoxFuture<'_, Result<RequestOutcome, Failure>> {
        Box::pin(async move {
            let held = Arc::clone(&self.system.upgrade().ok_or_else(gone)?.held);
            held.fetch(id, &self.peer, until.into()).await
        })
    }
}

fn gone() -> Failure {
    let text = "the components of this node have been taken away".into();
    Refusal::Other { kind: "gone".into(), text }.into()
}

impl Inner {
    /// Puts a message of another node into its mailbox.
    fn take_in(&self, message: ComponentMessage, peer: &PeerIdentity) -> Result<(), MessagingError> {
        self.counted(self.check_incoming(&message, peer))?;
        let Some(cell) = self.cell(&message.recipient) else {
            // What comes from one node does not go on to another.
            return self.counted(Err(MessagingError::TargetNotFound { id: message.recipient.to_string() }));
        };
        let bytes = message_bytes(&message);
        let Some(id) = message.correlation_id else {
            let reply = ReplyTo::nobody();
            return cell.push(bytes, || Envelope { message, reply, deadline: None });
        };
        let deadline = deadline_in(message.timeout_ms.unwrap_or_default());
        self.held.open(id, peer, deadline)?;
        let held = Arc::clone(&self.held);
        let reply = || ReplyTo::to(Address::Held(held, id));
        cell.push(bytes, || Envelope { message, reply: reply(), deadline: Some(deadline) })
            .inspect_err(|_| self.held.take_back(id))
    }

    fn check_incoming(&self, message: &ComponentMessage, peer: &PeerIdentity) -> Result<(), MessagingError> {
        let invalid = |reason: String| Err(MessagingError::InvalidMessage { reason });
        message.payload.check()?;
        for id in [&message.sender, &message.recipient] {
            if !id.is_plain() {
                return invalid(format!("`{}` is not the id of a component", id.as_str().escape_debug()));
            }
        }
        let timeout_is_right = match (message.correlation_id, message.timeout_ms) {
            (Some(_), Some(ms)) => (1..=REQUEST_TIMEOUT_MS_MAX).contains(&ms),
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !timeout_is_right {
            return invalid(format!("a request waits for 1 to {REQUEST_TIMEOUT_MS_MAX} ms"));
        }
        match &self.shared.options.grants {
            Some(grants) if !grants.lets_deliver(peer, &message.recipient) => {
                self.denied(&grants.may_deliver(peer, &message.recipient))?;
            }
            Some(_) | None => {}
        }
        // Only now: whoever may deliver nothing does not hear either who is here.
        if self.cell(&message.sender).is_some() {
            return invalid(format!(
                "`{}` is a component of this node, and does not send from another",
                message.sender
            ));
        }
        Ok(())
    }
}
