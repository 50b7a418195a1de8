//! Components that are alike, and one of them as a node is to run it.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{Budget, ComponentConfig, ComponentId, StorageQuota};
use isorun_messaging::{MailboxLimits, Restart};
use isorun_runtime::Link;

/// A component whose links hold, from which any number can be made; clones are the same.
///
/// All that are made of it are compiled and linked once. Made by [`Actors::kind`](super::Actors::kind).
#[derive(Clone)]
pub struct ActorKind {
    pub(super) bytes: Bytes,
    pub(super) links: Arc<[Link]>,
    pub(super) budget: Budget,
    pub(super) storage: Option<StorageQuota>,
}

impl std::fmt::Debug for ActorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bytes, links, budget, storage } = self;
        let (bytes, links) = (bytes.len(), links.len());
        f.debug_struct("ActorKind")
            .field("bytes", &bytes)
            .field("links", &links)
            .field("budget", budget)
            .field("storage", storage)
            .finish()
    }
}

/// A component as a node is to run it; given to [`Actors::add`](super::Actors::add).
#[derive(Debug, Clone)]
pub struct Actor {
    pub(super) id: ComponentId,
    pub(super) kind: ActorKind,
    pub(super) config: ComponentConfig,
    pub(super) mailbox: MailboxLimits,
    pub(super) restart: Restart,
    pub(super) supervisor: Option<String>,
}

impl Actor {
    /// A component of that kind, restarted always by the node's own supervisor, which counts it by itself.
    #[must_use]
    pub fn new(id: ComponentId, kind: &ActorKind) -> Self {
        let (config, mailbox) = (ComponentConfig::default(), MailboxLimits::default());
        Self { id, kind: kind.clone(), config, mailbox, restart: Restart::Permanent, supervisor: None }
    }

    /// Tells it something when it starts: a name and a value, after those before.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.settings.push((name.into(), value.into()));
        self
    }

    /// How much may wait in its mailbox.
    #[must_use]
    pub fn mailbox(mut self, limits: MailboxLimits) -> Self {
        self.mailbox = limits;
        self
    }

    /// Whether it is started again when it ends by itself.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Who starts it again: a supervisor by the name that [`Actors::supervisor`](super::Actors::supervisor) gave it.
    #[must_use]
    pub fn under(mut self, supervisor: impl Into<String>) -> Self {
        self.supervisor = Some(supervisor.into());
        self
    }
}
