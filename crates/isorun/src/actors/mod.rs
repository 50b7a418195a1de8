//! Components that live and exchange messages.

pub(crate) mod delivery;
mod logs;
mod node;
pub(crate) mod status;
pub(crate) mod types;
mod wire;

use std::time::{SystemTime, UNIX_EPOCH};

pub use delivery::{DELIVER_MS_MAX, OUTCOMES_WAITING_MAX, RemoteDelivery};
pub use logs::{LOG_LINES_MAX, LOG_WAIT_MS_MAX, LogEntry, LogLimits, LogPage, LogQuery};
pub use node::{REMOTE_COMPONENTS_MAX, RemoteNode};
pub use status::{COMPONENTS_PAGE_MAX, ComponentStatus};
pub use types::{COMPONENTS_INTERFACE, DELIVERY_INTERFACE};
pub use wire::DELIVERY_MESSAGES_MAX;

/// Milliseconds since 1970; 0 before.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
