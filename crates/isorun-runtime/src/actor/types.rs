//! What passes between the host and a component that lives, as `isorun:actor` has it.
//!
//! Typed, so that the engine lowers from what the host holds and lifts into what it keeps: a payload is copied once, as a whole.

use bytes::Bytes;
use isorun_core::{
    CallbackMessage, ComponentHealth, ComponentMessage, ComponentMetadata, CorrelationId, HealthStatus, MessagePayload,
    MessagingError, RequestOutcome, WasmError,
};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::said;

/// The texts of two correlation ids at most: no allocation for what is always 36 bytes.
#[derive(Clone, Copy)]
pub(super) struct IdText([u8; 36]);

impl IdText {
    pub(super) fn new(id: CorrelationId) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in id.0.into_iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        // Digits and dashes.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(super) struct PayloadIn<'a> {
    data: &'a [u8],
    #[component(name = "content-type")]
    content_type: Option<&'a str>,
}

impl<'a> PayloadIn<'a> {
    fn new(payload: &'a MessagePayload) -> Self {
        Self { data: &payload.data, content_type: payload.content_type.as_deref() }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(super) struct MessageIn<'a> {
    sender: &'a str,
    payload: PayloadIn<'a>,
    #[component(name = "correlation-id")]
    correlation_id: Option<&'a str>,
    #[component(name = "reply-to")]
    reply_to: Option<&'a str>,
    #[component(name = "timestamp-ms")]
    timestamp_ms: u64,
}

impl<'a> MessageIn<'a> {
    pub(super) fn new(message: &'a ComponentMessage, correlation_id: Option<&'a IdText>) -> Self {
        Self {
            sender: message.sender.as_str(),
            payload: PayloadIn::new(&message.payload),
            correlation_id: correlation_id.map(IdText::as_str),
            reply_to: message.reply_to.as_ref().map(|id| id.as_str()),
            timestamp_ms: message.timestamp_ms,
        }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(super) struct DeliveryFailureIn<'a> {
    #[component(name = "may-have-arrived")]
    may_have_arrived: bool,
    reason: &'a str,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(variant)]
pub(super) enum MessagingErrorIn<'a> {
    #[component(name = "delivery-failed")]
    DeliveryFailed(DeliveryFailureIn<'a>),
    #[component(name = "correlation-timeout")]
    CorrelationTimeout,
    #[component(name = "invalid-message")]
    InvalidMessage(&'a str),
    #[component(name = "queue-full")]
    QueueFull,
    #[component(name = "target-not-found")]
    TargetNotFound(&'a str),
}

impl<'a> MessagingErrorIn<'a> {
    fn new(error: &'a MessagingError) -> Self {
        let failed = |reason, may_have_arrived| Self::DeliveryFailed(DeliveryFailureIn { may_have_arrived, reason });
        match error {
            MessagingError::DeliveryFailed { may_have_arrived, reason } => failed(reason.as_str(), *may_have_arrived),
            MessagingError::CorrelationTimeout => Self::CorrelationTimeout,
            MessagingError::InvalidMessage { reason } => Self::InvalidMessage(reason),
            MessagingError::QueueFull => Self::QueueFull,
            MessagingError::TargetNotFound { id } => Self::TargetNotFound(id),
            // One of a later version, which these interfaces have no case for.
            _ => failed("for a reason that this version has no word for", true),
        }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(variant)]
pub(super) enum OutcomeIn<'a> {
    #[component(name = "replied")]
    Replied(PayloadIn<'a>),
    #[component(name = "no-reply")]
    NoReply,
    #[component(name = "refused")]
    Refused(&'a str),
    #[component(name = "failed")]
    Failed(MessagingErrorIn<'a>),
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(super) struct CallbackIn<'a> {
    #[component(name = "correlation-id")]
    correlation_id: &'a str,
    target: &'a str,
    outcome: OutcomeIn<'a>,
    #[component(name = "timestamp-ms")]
    timestamp_ms: u64,
}

impl<'a> CallbackIn<'a> {
    pub(super) fn new(message: &'a CallbackMessage, correlation_id: &'a IdText) -> Self {
        let outcome = match &message.outcome {
            RequestOutcome::Replied(payload) => OutcomeIn::Replied(PayloadIn::new(payload)),
            RequestOutcome::NoReply => OutcomeIn::NoReply,
            RequestOutcome::Refused { reason } => OutcomeIn::Refused(reason),
            RequestOutcome::Failed(error) => OutcomeIn::Failed(MessagingErrorIn::new(error)),
            // One of a later version: what there is of it is that no answer came.
            _ => OutcomeIn::Failed(MessagingErrorIn::CorrelationTimeout),
        };
        Self {
            correlation_id: correlation_id.as_str(),
            target: message.target.as_str(),
            outcome,
            timestamp_ms: message.timestamp_ms,
        }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(super) struct ConfigIn<'a> {
    pub(super) id: &'a str,
    pub(super) settings: &'a [(String, String)],
    pub(super) restarts: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct PayloadOut {
    data: Vec<u8>,
    #[component(name = "content-type")]
    content_type: Option<String>,
}

impl From<PayloadOut> for MessagePayload {
    fn from(out: PayloadOut) -> Self {
        Self { data: Bytes::from(out.data), content_type: out.content_type.map(Into::into) }
    }
}

/// Why a component did not do what it was asked.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum ErrorOut {
    #[component(name = "rejected")]
    Rejected(String),
    #[component(name = "failed")]
    Failed(String),
}

impl From<ErrorOut> for WasmError {
    fn from(error: ErrorOut) -> Self {
        match error {
            ErrorOut::Rejected(reason) => Self::Rejected { reason: said(&reason) },
            ErrorOut::Failed(reason) => Self::GaveUp { reason: said(&reason) },
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct MetadataOut {
    name: String,
    version: String,
    description: String,
    properties: Vec<(String, String)>,
}

impl From<MetadataOut> for ComponentMetadata {
    fn from(out: MetadataOut) -> Self {
        let properties = out.properties.iter().take(super::PROPERTIES_MAX);
        Self {
            name: said(&out.name),
            version: said(&out.version),
            description: said(&out.description),
            properties: properties.map(|(name, value)| (said(name), said(value))).collect(),
        }
    }
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes it of a number")]
pub(super) enum HealthOut {
    #[component(name = "healthy")]
    Healthy,
    #[component(name = "degraded")]
    Degraded,
    #[component(name = "unhealthy")]
    Unhealthy,
    #[component(name = "unknown")]
    Unknown,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct HealthReportOut {
    status: HealthOut,
    reason: Option<String>,
}

impl From<HealthReportOut> for ComponentHealth {
    fn from(out: HealthReportOut) -> Self {
        let status = match out.status {
            HealthOut::Healthy => HealthStatus::Healthy,
            HealthOut::Degraded => HealthStatus::Degraded,
            HealthOut::Unhealthy => HealthStatus::Unhealthy,
            HealthOut::Unknown => HealthStatus::Unknown,
        };
        Self { status, reason: out.reason.as_deref().map(said) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_text_that_everybody_gives_it() {
        for bytes in [[0; 16], [0xff; 16], *b"0123456789abcdef"] {
            let id = CorrelationId(bytes);
            assert_eq!(IdText::new(id).as_str(), id.to_string());
        }
    }
}
