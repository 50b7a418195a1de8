//! Components as an engine loads, starts and calls them.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;

use crate::{
    BoxFuture, CallbackMessage, ComponentConfig, ComponentHealth, ComponentId, ComponentMessage, ComponentMetadata,
    ComponentUsage, MessagePayload,
};

/// A component that an engine holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ComponentHandle {
    id: ComponentId,
    handle_id: u64,
}

impl ComponentHandle {
    /// The handle of that number for `id`.
    #[must_use]
    pub fn new(id: ComponentId, handle_id: u64) -> Self {
        Self { id, handle_id }
    }

    /// Which component.
    #[must_use]
    pub fn id(&self) -> &ComponentId {
        &self.id
    }

    /// The engine's own number for it; not used twice.
    #[must_use]
    pub fn handle_id(&self) -> u64 {
        self.handle_id
    }
}

/// What lies beneath an error.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// What an engine can say went wrong. Two are equal if they say the same.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WasmError {
    /// The bytes are not a component that this engine takes.
    #[error("invalid component: {reason}")]
    InvalidComponent {
        /// What is wrong with them, and what to do about it.
        reason: String,
        /// What found it.
        #[source]
        cause: Option<Cause>,
    },
    /// The component could not be instantiated; it has no store.
    #[error("cannot instantiate: {reason}")]
    InstantiationFailed {
        /// What is missing or was refused.
        reason: String,
        /// What refused it.
        #[source]
        cause: Option<Cause>,
    },
    /// No such component.
    #[error("component not found: {id}")]
    ComponentNotFound {
        /// The id that was asked for.
        id: String,
    },
    /// The component is loaded and has no store: it was not started, was stopped, or has failed.
    #[error("component `{id}` does not run")]
    NotRunning {
        /// The component's id.
        id: String,
    },
    /// The component did what it was asked and says that it can't: it goes on.
    #[error("the component refused: {reason}")]
    Rejected {
        /// In the component's own words.
        reason: String,
    },
    /// The component says that it can't go on.
    #[error("the component gave up: {reason}")]
    GaveUp {
        /// In the component's own words.
        reason: String,
    },
    /// The component ran and failed: a trap, a budget. Its store is gone.
    #[error("runtime error: {reason}")]
    RuntimeError {
        /// How.
        reason: String,
        /// What the engine says.
        #[source]
        cause: Option<Cause>,
    },
}

impl WasmError {
    /// An invalid component, without what found it.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self::InvalidComponent { reason: reason.into(), cause: None }
    }

    /// A failed instantiation, without what refused it.
    pub fn instantiation(reason: impl Into<String>) -> Self {
        Self::InstantiationFailed { reason: reason.into(), cause: None }
    }

    /// A failure while running, without what lies beneath.
    pub fn runtime(reason: impl Into<String>) -> Self {
        Self::RuntimeError { reason: reason.into(), cause: None }
    }

    /// The error, caused by that one.
    #[must_use]
    pub fn caused_by(mut self, error: impl Error + Send + Sync + 'static) -> Self {
        match &mut self {
            Self::InvalidComponent { cause, .. }
            | Self::InstantiationFailed { cause, .. }
            | Self::RuntimeError { cause, .. } => *cause = Some(Arc::new(error)),
            Self::ComponentNotFound { .. } | Self::NotRunning { .. } | Self::Rejected { .. } | Self::GaveUp { .. } => {}
        }
        self
    }

    /// Whether the component can take no further call until it is started again.
    #[must_use]
    pub fn ends_the_component(&self) -> bool {
        match self {
            Self::Rejected { .. } => false,
            Self::InvalidComponent { .. }
            | Self::InstantiationFailed { .. }
            | Self::ComponentNotFound { .. }
            | Self::NotRunning { .. }
            | Self::GaveUp { .. }
            | Self::RuntimeError { .. } => true,
        }
    }
}

impl PartialEq for WasmError {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.to_string() == other.to_string()
    }
}

impl Eq for WasmError {}

/// Loads components, keeps a store for each that was started, and passes them messages.
///
/// Calls into one component go one after the other; calls into different ones never wait for each other.
pub trait RuntimeEngine: Send + Sync {
    /// Checks, links and compiles a component, and holds it under `id`. It has no store yet.
    ///
    /// # Errors
    /// [`WasmError::InvalidComponent`] before anything is compiled where the bytes already show it;
    /// [`WasmError::InstantiationFailed`] where its imports are not all linked.
    fn load_component<'a>(
        &'a self,
        id: &'a ComponentId,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<ComponentHandle, WasmError>>;

    /// Lets a component go; a call that is under way in it ends as it ends.
    ///
    /// # Errors
    /// [`WasmError::ComponentNotFound`].
    fn unload_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>>;

    /// Gives a component a fresh store, in place of any that it had, and calls its `initialize`.
    ///
    /// # Errors
    /// [`WasmError`]; then it has no store.
    fn start_component<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        config: &'a ComponentConfig,
    ) -> BoxFuture<'a, Result<(), WasmError>>;

    /// Hands a message to a component; the answer, if it gives one.
    ///
    /// Dropping the future gives the call up, and the component's store with it.
    ///
    /// # Errors
    /// [`WasmError::Rejected`] after which it goes on; any other, after which it has no store.
    fn call_handle_message<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a ComponentMessage,
    ) -> BoxFuture<'a, Result<Option<MessagePayload>, WasmError>>;

    /// Tells a component how a request of its own ended.
    ///
    /// # Errors
    /// As [`call_handle_message`](Self::call_handle_message).
    fn call_handle_callback<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a CallbackMessage,
    ) -> BoxFuture<'a, Result<(), WasmError>>;

    /// Asks a component what it is.
    ///
    /// # Errors
    /// As [`call_handle_message`](Self::call_handle_message).
    fn call_metadata<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentMetadata, WasmError>>;

    /// Asks a component how it is.
    ///
    /// # Errors
    /// As [`call_handle_message`](Self::call_handle_message).
    fn call_health<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentHealth, WasmError>>;

    /// Calls a component's `shutdown`; its store stays until [`stop_component`](Self::stop_component).
    ///
    /// # Errors
    /// As [`call_handle_message`](Self::call_handle_message).
    fn call_shutdown<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>>;

    /// Takes a component's store away. A call that is under way ends first: drop its future to end it now.
    ///
    /// # Errors
    /// [`WasmError::ComponentNotFound`].
    fn stop_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>>;

    /// What a component holds, as of the end of its last call; `None` for one that is not loaded.
    fn usage(&self, handle: &ComponentHandle) -> Option<ComponentUsage>;
}

/// Finds a component's bytes.
pub trait ComponentLoader: Send + Sync {
    /// The bytes of that component.
    ///
    /// # Errors
    /// [`WasmError::ComponentNotFound`].
    fn load_bytes<'a>(&'a self, id: &'a ComponentId) -> BoxFuture<'a, Result<Bytes, WasmError>>;

    /// Says whether the bytes are a component, by looking at them alone.
    ///
    /// # Errors
    /// [`WasmError::InvalidComponent`], which tells a core module from garbage and says what to do about either.
    fn validate(&self, bytes: &[u8]) -> Result<(), WasmError>;
}
