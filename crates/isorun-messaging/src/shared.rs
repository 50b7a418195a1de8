//! What all components of one system have in common.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use isorun_core::RuntimeEngine;

use crate::clock::Clock;
use crate::dead_letters::DeadLetterOffice;
use crate::options::ActorSystemOptions;
use crate::stats::Retired;
use crate::sync::Mutex;

pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn RuntimeEngine>,
    pub(crate) options: ActorSystemOptions,
    pub(crate) clock: Clock,
    pub(crate) dead_letters: DeadLetterOffice,
    /// What components have counted that are not there any more.
    pub(crate) retired: Mutex<Retired>,
    pub(crate) refused: Refused,
}

/// Messages that were refused before any mailbox was asked.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) not_found: AtomicU64,
    pub(crate) invalid: AtomicU64,
    pub(crate) denied: AtomicU64,
}
