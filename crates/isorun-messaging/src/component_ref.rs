//! A component, as those refer to it who run it.

use std::sync::Arc;
use std::time::Duration;

use isorun_core::{BoxFuture, ComponentHealth, ComponentId, ComponentMetadata, ComponentUsage};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cell::{Cell, unknown_health};
use crate::mailbox::Queued;
use crate::{Child, Exit, LifecycleState};

/// How long a component may take to say how it is, what it has in hand included, in milliseconds.
pub const HEALTH_MS_MAX: u64 = 5_000;

/// A component of an [`ActorSystem`](crate::ActorSystem). Cloning gives another reference to the same.
#[derive(Clone)]
pub struct ComponentRef {
    pub(crate) cell: Arc<Cell>,
}

impl ComponentRef {
    /// What it is called.
    #[must_use]
    pub fn id(&self) -> &ComponentId {
        self.cell.id()
    }

    /// Where in its life it is.
    #[must_use]
    pub fn state(&self) -> LifecycleState {
        self.cell.state()
    }

    /// Where in its life it is, to be followed.
    ///
    /// A state that does not last may be missed.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LifecycleState> {
        self.cell.watch()
    }

    /// How often it was started again.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.cell.restarts()
    }

    /// What waits in its mailbox.
    #[must_use]
    pub fn queued(&self) -> Queued {
        self.cell.mailbox.queued()
    }

    /// What it holds and has done, as of the end of its last call.
    #[must_use]
    pub fn usage(&self) -> Option<ComponentUsage> {
        self.cell.shared.engine.usage(&self.cell.handle)
    }

    /// What it says of itself; `None` before it was started.
    #[must_use]
    pub fn metadata(&self) -> Option<ComponentMetadata> {
        self.cell.metadata.get().cloned()
    }

    /// Asks it how it is, after what it has in hand and before what waits.
    ///
    /// Unknown, with a reason, where it does not run, or says nothing within [`HEALTH_MS_MAX`].
    pub async fn health(&self) -> ComponentHealth {
        let Some(answer) = self.cell.ask_health() else {
            return unknown_health("it does not run, or has been asked too often");
        };
        match timeout(Duration::from_millis(HEALTH_MS_MAX), answer).await {
            Ok(Ok(health)) => health,
            Ok(Err(_)) => unknown_health("it stopped before it answered"),
            Err(_) => unknown_health("it did not answer in time"),
        }
    }
}

impl std::fmt::Debug for ComponentRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComponentRef").field("id", self.id()).field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Child for ComponentRef {
    fn start(&self) -> BoxFuture<'_, Result<(), Exit>> {
        Box::pin(self.cell.start())
    }

    fn stop(&self, graceful_ms: u64) -> BoxFuture<'_, ()> {
        Box::pin(self.cell.stop(graceful_ms))
    }

    fn exited(&self) -> BoxFuture<'_, Exit> {
        Box::pin(self.cell.exited())
    }

    fn abandon(&self) {
        self.cell.abandon();
    }
}
