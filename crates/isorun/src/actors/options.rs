//! What an embedder may choose for all components of a node.

use std::path::Path;
use std::sync::Arc;

use isorun_core::Storage;
use isorun_messaging::SupervisorOptions;
use isorun_security::Grants;
use isorun_storage::{MemoryStorage, OpenError, RedbStorage};

use super::logs::LogLimits;

/// What all components of a node share.
#[derive(Clone)]
pub struct ActorsOptions {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) grants: Option<Grants>,
    pub(super) log: LogLimits,
    pub(super) root: SupervisorOptions,
}

impl ActorsOptions {
    /// Storage that is gone with the process, messages from everybody to everybody, and the defaults for the rest.
    #[must_use]
    pub fn new() -> Self {
        let (storage, log, root) = (Arc::new(MemoryStorage::new()), LogLimits::default(), SupervisorOptions::default());
        Self { storage, grants: None, log, root }
    }

    /// Keeps in `file` what components store, so that it is there after any end of the process; makes the file if need be.
    ///
    /// # Errors
    /// [`OpenError`]: it can't be opened, or another process has it.
    pub fn storage_file(self, file: impl AsRef<Path>) -> Result<Self, OpenError> {
        Ok(self.storage(RedbStorage::open(file.as_ref())?))
    }

    /// Keeps what components store in a storage of one's own, or that of several nodes.
    #[must_use]
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Arc::new(storage);
        self
    }

    /// Lets components send messages, and takes them from other nodes, only where `grants` allow it.
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = Some(grants);
        self
    }

    /// How much is kept of what components log.
    #[must_use]
    pub fn log(mut self, limits: LogLimits) -> Self {
        self.log = limits;
        self
    }

    /// How the node's own supervisor restarts what has no other.
    ///
    /// Each component that it has is counted by itself, and stays stopped alone when it fails more often than that; for
    /// supervisors, and with a strategy that restarts components together, all are counted together, and the node ends.
    #[must_use]
    pub fn supervisor(mut self, options: SupervisorOptions) -> Self {
        self.root = options;
        self
    }
}

impl Default for ActorsOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ActorsOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { grants, log, root, .. } = self;
        f.debug_struct("ActorsOptions")
            .field("grants", grants)
            .field("log", log)
            .field("root", root)
            .finish_non_exhaustive()
    }
}
