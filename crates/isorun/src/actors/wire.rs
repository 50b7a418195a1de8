//! Messages, and what becomes of them, as they travel between hosts.
//!
//! Packed as the types of [`types`](super::types) say, which a test compares; so that whoever knows those types alone can
//! speak to a host as well.

use std::borrow::Cow;

use bytes::Bytes;
use isorun_core::{
    COMPONENT_NAME_BYTES_MAX, ComponentId, ComponentMessage, CorrelationId, MessagePayload, MessagingError,
    RequestOutcome,
};
use neopack::{Pack, Unpack};

/// Most messages of one delivery.
pub const DELIVERY_MESSAGES_MAX: usize = 1_024;

/// Bytes of a delivery, with about what its messages take beside their payloads, beyond which another one begins.
///
/// Below what frames carry; a message that is as large as may be fits into one with room to spare.
pub(super) const DELIVERY_BYTES_MAX: usize = 2 << 20;

/// Once so many bytes of outcomes are in an answer, no more go with it: the rest waits for the next call.
pub(super) const OUTCOMES_BYTES: usize = DELIVERY_BYTES_MAX / 4;

/// What a message takes beside its payload: three ids, a correlation id, numbers and tags.
const MESSAGE_BYTES: usize = 3 * (3 * COMPONENT_NAME_BYTES_MAX + 2) + 128;

const _: () =
    assert!(isorun_core::MESSAGE_BYTES_MAX + isorun_core::CONTENT_TYPE_BYTES_MAX + MESSAGE_BYTES <= DELIVERY_BYTES_MAX);

/// Longest reason that is kept of what another host says, in bytes; the rest is cut.
const REASON_BYTES_MAX: usize = 1 << 10;

/// About what a message takes in a delivery, in bytes.
pub(super) fn size(message: &ComponentMessage) -> usize {
    let content_type = message.payload.content_type.as_ref().map_or(0, |text| text.len());
    message.payload.data.len() + content_type + MESSAGE_BYTES
}

/// About what an outcome takes in an answer, in bytes, a reason included.
pub(super) fn outcome_size(outcome: &RequestOutcome) -> usize {
    let text = |text: &str| text.len();
    let bytes = match outcome {
        RequestOutcome::Replied(payload) => payload.data.len() + payload.content_type.as_deref().map_or(0, text),
        RequestOutcome::Refused { reason } => reason.len(),
        _ => REASON_BYTES_MAX,
    };
    bytes + OUTCOME_BYTES
}

/// What an outcome takes beside its texts: its id, and tags.
const OUTCOME_BYTES: usize = 128;

#[derive(Pack, Unpack)]
pub(super) struct Payload<'a> {
    data: &'a [u8],
    content_type: Option<&'a str>,
}

#[derive(Pack, Unpack)]
pub(super) struct Message<'a> {
    sender: &'a str,
    recipient: &'a str,
    payload: Payload<'a>,
    correlation_id: Option<Cow<'a, str>>,
    reply_to: Option<&'a str>,
    timestamp_ms: u64,
    timeout_ms: Option<u64>,
}

#[derive(Pack, Unpack)]
pub(super) struct DeliveryFailure<'a> {
    may_have_arrived: bool,
    reason: Cow<'a, str>,
}

#[derive(Pack, Unpack)]
pub(super) enum Error<'a> {
    DeliveryFailed(DeliveryFailure<'a>),
    CorrelationTimeout,
    InvalidMessage(Cow<'a, str>),
    QueueFull,
    TargetNotFound(&'a str),
}

#[derive(Pack, Unpack)]
pub(super) enum Outcome<'a> {
    Replied(Payload<'a>),
    NoReply,
    Refused(&'a str),
    Failed(Error<'a>),
}

impl<'a> From<&'a MessagePayload> for Payload<'a> {
    fn from(payload: &'a MessagePayload) -> Self {
        Self { data: &payload.data, content_type: payload.content_type.as_deref() }
    }
}

impl From<Payload<'_>> for MessagePayload {
    /// A copy, so that a few bytes don't keep those of a whole delivery.
    fn from(payload: Payload<'_>) -> Self {
        Self { data: Bytes::copy_from_slice(payload.data), content_type: payload.content_type.map(Into::into) }
    }
}

impl<'a> From<&'a ComponentMessage> for Message<'a> {
    fn from(message: &'a ComponentMessage) -> Self {
        Self {
            sender: message.sender.as_str(),
            recipient: message.recipient.as_str(),
            payload: (&message.payload).into(),
            correlation_id: message.correlation_id.map(|id| id.to_string().into()),
            reply_to: message.reply_to.as_ref().map(ComponentId::as_str),
            timestamp_ms: message.timestamp_ms,
            timeout_ms: message.timeout_ms,
        }
    }
}

impl Message<'_> {
    /// The message, if it is one that may be.
    pub(super) fn checked(self) -> Result<ComponentMessage, MessagingError> {
        let invalid = |reason: String| MessagingError::InvalidMessage { reason };
        let id = |text: &str| ComponentId::parse(text).map_err(|error| invalid(error.to_string()));
        let correlation_id = match self.correlation_id {
            Some(text) => {
                Some(correlation_id(&text).ok_or_else(|| invalid("a correlation id that is no UUID".into()))?)
            }
            None => None,
        };
        let message = ComponentMessage {
            sender: id(self.sender)?,
            recipient: id(self.recipient)?,
            payload: self.payload.into(),
            correlation_id,
            reply_to: self.reply_to.map(id).transpose()?,
            timestamp_ms: self.timestamp_ms,
            timeout_ms: self.timeout_ms,
        };
        message.payload.check()?;
        Ok(message)
    }
}

/// Reads a correlation id that came from elsewhere.
pub(super) fn correlation_id(text: &str) -> Option<CorrelationId> {
    CorrelationId::parse(text)
}

impl<'a> From<&'a MessagingError> for Error<'a> {
    fn from(error: &'a MessagingError) -> Self {
        match error {
            MessagingError::DeliveryFailed { may_have_arrived, reason } => {
                let (may_have_arrived, reason) = (*may_have_arrived, reason.as_str().into());
                Self::DeliveryFailed(DeliveryFailure { may_have_arrived, reason })
            }
            MessagingError::CorrelationTimeout => Self::CorrelationTimeout,
            MessagingError::InvalidMessage { reason } => Self::InvalidMessage(reason.as_str().into()),
            MessagingError::QueueFull => Self::QueueFull,
            MessagingError::TargetNotFound { id } => Self::TargetNotFound(id),
            // What this version has no case for says in words what it is.
            other => Self::DeliveryFailed(DeliveryFailure { may_have_arrived: true, reason: other.to_string().into() }),
        }
    }
}

impl From<Error<'_>> for MessagingError {
    fn from(error: Error<'_>) -> Self {
        match error {
            Error::DeliveryFailed(DeliveryFailure { may_have_arrived, reason }) => {
                Self::DeliveryFailed { may_have_arrived, reason: cut(&reason) }
            }
            Error::CorrelationTimeout => Self::CorrelationTimeout,
            Error::InvalidMessage(reason) => Self::InvalidMessage { reason: cut(&reason) },
            Error::QueueFull => Self::QueueFull,
            Error::TargetNotFound(id) => Self::TargetNotFound { id: cut(id) },
        }
    }
}

impl<'a> From<&'a RequestOutcome> for Outcome<'a> {
    fn from(outcome: &'a RequestOutcome) -> Self {
        match outcome {
            RequestOutcome::Replied(payload) => Self::Replied(payload.into()),
            RequestOutcome::NoReply => Self::NoReply,
            RequestOutcome::Refused { reason } => Self::Refused(reason),
            RequestOutcome::Failed(error) => Self::Failed(error.into()),
            other => {
                let reason = format!("it ended in a way that has no name here: {other:?}").into();
                Self::Failed(Error::DeliveryFailed(DeliveryFailure { may_have_arrived: true, reason }))
            }
        }
    }
}

impl Outcome<'_> {
    /// The outcome, if it is one that may be.
    pub(super) fn checked(self) -> Result<RequestOutcome, MessagingError> {
        Ok(match self {
            Self::Replied(payload) => {
                let payload = MessagePayload::from(payload);
                payload.check()?;
                RequestOutcome::Replied(payload)
            }
            Self::NoReply => RequestOutcome::NoReply,
            Self::Refused(reason) => RequestOutcome::Refused { reason: cut(reason) },
            Self::Failed(error) => RequestOutcome::Failed(error.into()),
        })
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(REASON_BYTES_MAX)].to_owned()
}
