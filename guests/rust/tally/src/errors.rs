//! Errors as text, the same in every language.

use crate::isorun::actor::storage::StorageError;
use crate::isorun::actor::types::{DeliveryFailure, MessagingError};

pub fn messaging(error: MessagingError) -> String {
    match error {
        MessagingError::DeliveryFailed(DeliveryFailure { may_have_arrived: true, reason }) => {
            format!("delivery-failed, may have arrived: {reason}")
        }
        MessagingError::DeliveryFailed(DeliveryFailure { may_have_arrived: false, reason }) => {
            format!("delivery-failed: {reason}")
        }
        MessagingError::CorrelationTimeout => "correlation-timeout".to_owned(),
        MessagingError::InvalidMessage(reason) => format!("invalid-message: {reason}"),
        MessagingError::QueueFull => "queue-full".to_owned(),
        MessagingError::TargetNotFound(id) => format!("target-not-found: {id}"),
    }
}

pub fn storage(error: StorageError) -> String {
    match error {
        StorageError::QuotaExceeded(_) => "quota-exceeded".to_owned(),
        StorageError::InvalidKey(reason) => format!("invalid-key: {reason}"),
        StorageError::ValueTooLarge(bytes) => format!("value-too-large: {bytes}"),
        StorageError::Unavailable(reason) => format!("unavailable: {reason}"),
        StorageError::Unknown(reason) => format!("unknown: {reason}"),
    }
}
