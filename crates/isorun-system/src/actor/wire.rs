//! The types of `isorun:actor/types`, as they cross between a guest and the host.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{
    CONTENT_TYPE_BYTES_MAX, ComponentId, ComponentMetadata, MESSAGE_BYTES_MAX, MessagePayload, MessagingError,
};
use isorun_runtime::HostState;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower, WasmList, WasmStr};

pub(super) type Cx<'a> = StoreContextMut<'a, HostState>;

/// Why a host function ends early: with an error that the guest is given, or with the guest.
pub(super) enum Stop {
    Refused(MessagingError),
    Trap(wasmtime::Error),
}

impl From<MessagingError> for Stop {
    fn from(error: MessagingError) -> Self {
        Self::Refused(error)
    }
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

/// What the guest gets.
pub(super) fn answer<T>(outcome: Result<T, Stop>) -> wasmtime::Result<Result<T, Refusal>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Refused(error)) => Ok(Err(error.into())),
        Err(Stop::Trap(error)) => Err(error),
    }
}

pub(super) fn invalid(reason: impl Into<String>) -> MessagingError {
    MessagingError::InvalidMessage { reason: reason.into() }
}

/// The component that the text names.
pub(super) fn read_id(cx: &Cx<'_>, text: &WasmStr) -> Result<ComponentId, Stop> {
    Ok(ComponentId::parse(&text.to_str(cx)?).map_err(|e| invalid(e.to_string()))?)
}

/// A payload that still lies in the guest's memory.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Payload {
    data: WasmList<u8>,
    #[component(name = "content-type")]
    content_type: Option<WasmStr>,
}

impl Payload {
    /// Copies it out of the guest, once it is known to be within its limits.
    ///
    /// How long a text is, the engine says only with the text itself, which its own limit for a host call bounds.
    pub(super) fn read(&self, cx: &Cx<'_>) -> Result<MessagePayload, Stop> {
        let bytes = self.data.len();
        if bytes > MESSAGE_BYTES_MAX {
            return Err(invalid(format!("a payload of {bytes} bytes, {MESSAGE_BYTES_MAX} are allowed")).into());
        }
        let content_type = match &self.content_type {
            Some(text) => Some(text.to_str(cx)?),
            None => None,
        };
        let bytes = content_type.as_ref().map_or(0, |text| text.len());
        if bytes > CONTENT_TYPE_BYTES_MAX {
            let reason = format!("a content type of {bytes} bytes, {CONTENT_TYPE_BYTES_MAX} are allowed");
            return Err(invalid(reason).into());
        }
        let data = Bytes::copy_from_slice(self.data.as_le_slice(cx));
        Ok(MessagePayload { data, content_type: content_type.map(Arc::from) })
    }
}

/// `messaging-error`
#[derive(Clone, ComponentType, Lower)]
#[component(variant)]
pub(super) enum Refusal {
    #[component(name = "delivery-failed")]
    DeliveryFailed(DeliveryFailure),
    #[component(name = "correlation-timeout")]
    CorrelationTimeout,
    #[component(name = "invalid-message")]
    InvalidMessage(Arc<str>),
    #[component(name = "queue-full")]
    QueueFull,
    #[component(name = "target-not-found")]
    TargetNotFound(Arc<str>),
}

/// `delivery-failure`
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub(super) struct DeliveryFailure {
    #[component(name = "may-have-arrived")]
    may_have_arrived: bool,
    reason: Arc<str>,
}

impl From<MessagingError> for Refusal {
    fn from(error: MessagingError) -> Self {
        match error {
            MessagingError::DeliveryFailed { may_have_arrived, reason } => {
                Self::DeliveryFailed(DeliveryFailure { may_have_arrived, reason: reason.into() })
            }
            MessagingError::CorrelationTimeout => Self::CorrelationTimeout,
            MessagingError::InvalidMessage { reason } => Self::InvalidMessage(reason.into()),
            MessagingError::QueueFull => Self::QueueFull,
            MessagingError::TargetNotFound { id } => Self::TargetNotFound(id.into()),
            // One that came later says at least that nobody promises anything.
            error => Self::DeliveryFailed(DeliveryFailure { may_have_arrived: true, reason: error.to_string().into() }),
        }
    }
}

/// `component-metadata`
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Metadata {
    name: String,
    version: String,
    description: String,
    properties: Vec<(String, String)>,
}

impl From<ComponentMetadata> for Metadata {
    fn from(metadata: ComponentMetadata) -> Self {
        let ComponentMetadata { name, version, description, properties } = metadata;
        Self { name, version, description, properties }
    }
}
