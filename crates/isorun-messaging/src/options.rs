//! What an embedder may set.

use bytes::Bytes;
use isorun_core::{ComponentConfig, ComponentId};
use isorun_security::Grants;

use crate::mailbox::MailboxLimits;

/// How a system of components treats them all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorSystemOptions {
    /// Who may send to whom, and what other nodes may deliver; with `None`, everybody may, and every peer.
    pub grants: Option<Grants>,
    /// Most components there are at once.
    pub components_max: usize,
    /// What waits to leave for one route.
    pub outbox: MailboxLimits,
    /// Longest time that a batch may take to another node before it is given up, in milliseconds.
    pub deliver_ms: u64,
    /// Most requests of other nodes whose outcome has not been fetched.
    ///
    /// One peer has a quarter of that at most, and all that are not authenticated are one; what comes from this very process
    /// has as much as a peer, besides. An outcome that is there waits 20 s to be fetched, and up to 10 s more.
    pub held_max: usize,
    /// Most bytes of answers, and of words in their place, that wait to be fetched by other nodes, shared out in the same
    /// way. An answer that is larger than a quarter never fits.
    pub held_bytes_max: usize,
    /// How long a component that is removed may take to stop, in milliseconds.
    pub graceful_ms: u64,
}

impl Default for ActorSystemOptions {
    /// No grants asked, 100,000 components, outboxes of 1,024 messages and 16 MiB, 30 s for a batch, 8,192 requests of
    /// other nodes with 64 MiB of answers, and 5 s to stop.
    fn default() -> Self {
        Self {
            grants: None,
            components_max: 100_000,
            outbox: MailboxLimits::default(),
            deliver_ms: 30_000,
            held_max: 8_192,
            held_bytes_max: 64 << 20,
            graceful_ms: 5_000,
        }
    }
}

impl ActorSystemOptions {
    /// The same, with those grants asked.
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = Some(grants);
        self
    }

    /// The same, for at most so many components.
    #[must_use]
    pub fn components_max(mut self, components_max: usize) -> Self {
        self.components_max = components_max;
        self
    }

    /// The same, with outboxes of that size.
    #[must_use]
    pub fn outbox(mut self, outbox: MailboxLimits) -> Self {
        self.outbox = outbox;
        self
    }

    /// The same, with so many milliseconds for a batch to another node.
    #[must_use]
    pub fn deliver_ms(mut self, deliver_ms: u64) -> Self {
        self.deliver_ms = deliver_ms;
        self
    }

    /// The same, holding at most so many requests of other nodes, and so many bytes of answers to them.
    #[must_use]
    pub fn held(mut self, held_max: usize, held_bytes_max: usize) -> Self {
        (self.held_max, self.held_bytes_max) = (held_max, held_bytes_max);
        self
    }

    /// The same, with so many milliseconds to stop for a component that is removed.
    #[must_use]
    pub fn graceful_ms(mut self, graceful_ms: u64) -> Self {
        self.graceful_ms = graceful_ms;
        self
    }
}

/// A component to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentSpec {
    /// What it is called; nothing else here is called that.
    pub id: ComponentId,
    /// The component.
    pub bytes: Bytes,
    /// What it is started with; how often it was started before is counted.
    pub config: ComponentConfig,
    /// How much its mailbox holds.
    pub mailbox: MailboxLimits,
}

impl ComponentSpec {
    /// A component of those bytes, with no settings and a mailbox of the usual size.
    pub fn new(id: ComponentId, bytes: impl Into<Bytes>) -> Self {
        Self { id, bytes: bytes.into(), config: ComponentConfig::default(), mailbox: MailboxLimits::default() }
    }
}
