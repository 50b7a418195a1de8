//! Components as an engine loads, names and calls them.

use bytes::Bytes;

use crate::BoxFuture;

/// Names one instance of a component: `namespace/name/instance`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId {
    /// Who made it.
    pub namespace: String,
    /// What it is.
    pub name: String,
    /// Which one.
    pub instance: String,
}

impl ComponentId {
    /// The id of that namespace, name and instance.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, instance: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into(), instance: instance.into() }
    }

    /// `namespace/name/instance`.
    ///
    /// ```
    /// let id = isorun_core::ComponentId::new("demo", "kv", "0");
    /// assert_eq!(id.to_string_id(), "demo/kv/0");
    /// ```
    #[must_use]
    pub fn to_string_id(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.name, self.instance)
    }
}

impl std::fmt::Display for ComponentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.instance)
    }
}

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

/// The bytes of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessagePayload(pub Bytes);

/// A message from one component to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentMessage {
    /// Who sent it.
    pub sender: ComponentId,
    /// Whom it is for.
    pub recipient: ComponentId,
    /// What it says.
    pub payload: MessagePayload,
}

/// What an engine can say went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WasmError {
    /// The bytes are not a component that this engine takes.
    #[error("invalid component: {reason}")]
    InvalidComponent {
        /// What is wrong with them, and what to do about it.
        reason: String,
    },
    /// The component could not be instantiated.
    #[error("cannot instantiate: {reason}")]
    InstantiationFailed {
        /// What is missing or was refused.
        reason: String,
    },
    /// No such component.
    #[error("component not found: {id}")]
    ComponentNotFound {
        /// The id that was asked for.
        id: String,
    },
    /// The component ran and failed.
    #[error("runtime error: {reason}")]
    RuntimeError {
        /// How.
        reason: String,
    },
}

/// Loads components and passes them messages.
pub trait RuntimeEngine: Send + Sync {
    /// Compiles and holds a component under `id`.
    ///
    /// # Errors
    /// [`WasmError::InvalidComponent`] before anything is compiled where the bytes already show it.
    fn load_component<'a>(
        &'a self,
        id: &'a ComponentId,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<ComponentHandle, WasmError>>;

    /// Lets a component go; what runs of it runs on.
    ///
    /// # Errors
    /// [`WasmError::ComponentNotFound`].
    fn unload_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>>;

    /// Hands a message to a component; the answer, if it gives one.
    ///
    /// # Errors
    /// [`WasmError::RuntimeError`] where the component traps or has no such function.
    fn call_handle_message<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a ComponentMessage,
    ) -> BoxFuture<'a, Result<Option<MessagePayload>, WasmError>>;

    /// Hands a component the answer to a message that it sent.
    ///
    /// # Errors
    /// As [`call_handle_message`](Self::call_handle_message).
    fn call_handle_callback<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a ComponentMessage,
    ) -> BoxFuture<'a, Result<(), WasmError>>;
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
    /// [`WasmError::InvalidComponent`], which tells a core module from garbage.
    fn validate(&self, bytes: &[u8]) -> Result<(), WasmError>;
}
