//! Messages between components, and who carries them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::{BoxFuture, ComponentId, ComponentMetadata, Failure};

/// Largest payload of a message, in bytes.
///
/// What is larger belongs into a call or a store: a mailbox holds many.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Longest content type of a payload, in bytes.
pub const CONTENT_TYPE_BYTES_MAX: usize = 256;
/// Longest time that a request may wait for its answer, in milliseconds: an hour.
pub const REQUEST_TIMEOUT_MS_MAX: u64 = 3_600_000;
/// Most targets of one broadcast.
pub const BROADCAST_TARGETS_MAX: usize = 1_024;

/// The bytes of a message, and what they are.
///
/// ```
/// use isorun_core::MessagePayload;
///
/// let payload = MessagePayload::from("hello").content_type("text/plain");
/// assert_eq!(&payload.data[..], b"hello");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessagePayload {
    /// At most [`MESSAGE_BYTES_MAX`] of them.
    pub data: Bytes,
    /// A media type, if the sender named one; at most [`CONTENT_TYPE_BYTES_MAX`] bytes.
    pub content_type: Option<Arc<str>>,
}

impl MessagePayload {
    /// A payload of those bytes, of no named type.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), content_type: None }
    }

    /// The payload, as one of that media type.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<Arc<str>>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Whether it is within its limits.
    ///
    /// # Errors
    /// [`MessagingError::InvalidMessage`], which names the limit and the size.
    pub fn check(&self) -> Result<(), MessagingError> {
        let (bytes, type_bytes) = (self.data.len(), self.content_type.as_ref().map_or(0, |text| text.len()));
        let reason = if bytes > MESSAGE_BYTES_MAX {
            format!("a payload of {bytes} bytes, {MESSAGE_BYTES_MAX} are allowed")
        } else if type_bytes > CONTENT_TYPE_BYTES_MAX {
            format!("a content type of {type_bytes} bytes, {CONTENT_TYPE_BYTES_MAX} are allowed")
        } else {
            return Ok(());
        };
        Err(MessagingError::InvalidMessage { reason })
    }
}

impl From<&'static str> for MessagePayload {
    fn from(text: &'static str) -> Self {
        Self::new(text)
    }
}

impl From<Bytes> for MessagePayload {
    fn from(data: Bytes) -> Self {
        Self::new(data)
    }
}

impl From<Vec<u8>> for MessagePayload {
    fn from(data: Vec<u8>) -> Self {
        Self::new(data)
    }
}

/// Ties an answer to its request: a UUID.
///
/// ```
/// use isorun_core::CorrelationId;
///
/// let id = CorrelationId::from_random([0xab; 16]);
/// assert_eq!(id.to_string(), "abababab-abab-4bab-abab-abababababab");
/// assert_eq!(CorrelationId::parse(&id.to_string()), Some(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CorrelationId(pub [u8; 16]);

impl CorrelationId {
    /// A UUID of version 4, of bytes that nobody can guess.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// Reads the usual text: 32 hexadecimal digits with dashes after the 8th, 12th, 16th and 20th.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let is_dash = |at: &usize| matches!(at, 8 | 13 | 18 | 23);
        if text.len() != 36 || !(0..36).filter(is_dash).all(|at| text[at] == b'-') {
            return None;
        }
        let mut bytes = [0; 16];
        for (nibble, at) in (0..36).filter(|at| !is_dash(at)).enumerate() {
            let digit = char::from(text[at]).to_digit(16)? as u8;
            bytes[nibble / 2] = (bytes[nibble / 2] << 4) | digit;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = u128::from_be_bytes(self.0);
        let part = |shift: u32, digits: u32| (n >> shift) & ((1 << (4 * digits)) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 8),
            part(80, 4),
            part(64, 4),
            part(48, 4),
            part(0, 12)
        )
    }
}

impl std::fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CorrelationId({self})")
    }
}

/// A message from one component to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentMessage {
    /// Who sent it.
    pub sender: ComponentId,
    /// Whom it is for.
    pub recipient: ComponentId,
    /// What it says.
    pub payload: MessagePayload,
    /// Which request it is, if it is one.
    pub correlation_id: Option<CorrelationId>,
    /// Who gets the answer, if somebody does; of a request, its sender.
    pub reply_to: Option<ComponentId>,
    /// When it was sent, in milliseconds since 1970 by the sender's clock.
    pub timestamp_ms: u64,
    /// How long a request waits for its answer, in milliseconds.
    pub timeout_ms: Option<u64>,
}

impl ComponentMessage {
    /// A message that wants no answer, sent at the beginning of 1970.
    pub fn new(sender: ComponentId, recipient: ComponentId, payload: impl Into<MessagePayload>) -> Self {
        Self {
            sender,
            recipient,
            payload: payload.into(),
            correlation_id: None,
            reply_to: None,
            timestamp_ms: 0,
            timeout_ms: None,
        }
    }
}

/// Why a message was not delivered, or a request not answered; grouped by what the sender may do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessagingError {
    /// It did not arrive, or nobody knows whether it did.
    #[error("delivery failed{}: {reason}", if *.may_have_arrived { ", and it may have arrived" } else { "" })]
    DeliveryFailed {
        /// Whether it may have been handled all the same; if not, it is safe to send it again.
        may_have_arrived: bool,
        /// What happened.
        reason: String,
    },
    /// No answer came in time; the request may have been handled.
    #[error("no answer came in time")]
    CorrelationTimeout,
    /// It is not one that can be sent: too large, an id that is none, not permitted.
    #[error("invalid message: {reason}")]
    InvalidMessage {
        /// What is wrong with it.
        reason: String,
    },
    /// The target's mailbox is full, or as many requests are open as may be: later there may be room.
    #[error("the queue is full")]
    QueueFull,
    /// There is no such component here, and no route to it.
    #[error("there is no component `{id}`")]
    TargetNotFound {
        /// The target, as it was named.
        id: String,
    },
}

/// How a request ended. It ends once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// With this answer.
    Replied(MessagePayload),
    /// It was handled, and there is no answer.
    NoReply,
    /// The target handled it and gave this error.
    Refused {
        /// The target's own words.
        reason: String,
    },
    /// Without anything from the target.
    Failed(MessagingError),
}

/// What a component is told of a request that it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackMessage {
    /// Which request.
    pub correlation_id: CorrelationId,
    /// Whom it was sent to.
    pub target: ComponentId,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// When that was, in milliseconds since 1970.
    pub timestamp_ms: u64,
}

/// What a component can do with messages: whoever runs components gives it to their host functions.
///
/// Nothing here waits: what can't be taken now is refused now.
pub trait Messenger: Send + Sync {
    /// Sends a message that wants no answer. `Ok` is that it was taken, not that it was handled.
    ///
    /// # Errors
    /// [`MessagingError`]; it was not delivered.
    fn send(&self, from: &ComponentId, to: &ComponentId, payload: MessagePayload) -> Result<(), MessagingError>;

    /// Sends a message whose outcome comes to the sender as a [`CallbackMessage`], exactly once.
    ///
    /// # Errors
    /// [`MessagingError`]; it was not delivered, and no callback comes.
    fn request(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: MessagePayload,
        timeout_ms: u64,
    ) -> Result<CorrelationId, MessagingError>;

    /// Gives up a request: no callback comes for it. Whether it was still open; it may be handled all the same.
    fn cancel_request(&self, from: &ComponentId, id: CorrelationId) -> bool;

    /// Sends one payload to many; how each went, in their order. None waits for another.
    fn broadcast(
        &self,
        from: &ComponentId,
        to: &[ComponentId],
        payload: MessagePayload,
    ) -> Vec<Result<(), MessagingError>>;

    /// The components that there are here, in the order of their ids.
    fn components(&self) -> Vec<ComponentId>;

    /// What a component here says of itself, once it has been asked.
    fn metadata(&self, id: &ComponentId) -> Option<ComponentMetadata>;
}

/// The mailboxes of one node, as another one reaches them.
pub trait Delivery: Send + Sync {
    /// Puts messages into their mailboxes, in their order; how each went.
    ///
    /// # Errors
    /// A [`Failure`] for all of them, which says whether they may have been delivered.
    fn deliver(
        &self,
        messages: Vec<ComponentMessage>,
    ) -> BoxFuture<'_, Result<Vec<Result<(), MessagingError>>, Failure>>;

    /// Waits for the outcome of a request that was delivered. It is given once.
    ///
    /// # Errors
    /// A [`Failure`] where it can't be had: the request may have been handled.
    fn outcome(&self, id: CorrelationId, until: Instant) -> BoxFuture<'_, Result<RequestOutcome, Failure>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_checked_at_its_limits() {
        let of = |bytes: usize, type_bytes: usize| {
            MessagePayload::new(vec![0; bytes]).content_type("t".repeat(type_bytes)).check()
        };
        assert_eq!(of(MESSAGE_BYTES_MAX, CONTENT_TYPE_BYTES_MAX), Ok(()));
        for (bytes, type_bytes) in [(MESSAGE_BYTES_MAX + 1, 0), (0, CONTENT_TYPE_BYTES_MAX + 1)] {
            assert!(matches!(of(bytes, type_bytes), Err(MessagingError::InvalidMessage { .. })));
        }
    }

    #[test]
    fn a_correlation_id_is_read_back_and_other_texts_are_not() {
        let id = CorrelationId::from_random(*b"0123456789abcdef");
        assert_eq!(CorrelationId::parse(&id.to_string()), Some(id));
        let text = id.to_string();
        for bad in ["", &text[1..], &format!("{text}0"), &text.replace('-', "0"), &text.replacen('3', "g", 1)] {
            assert_eq!(CorrelationId::parse(bad), None, "{bad}");
        }
    }
}
