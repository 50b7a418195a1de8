//! Components without an engine: what they do costs next to nothing, so that what is left is messaging.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use isorun_core::{
    BoxFuture, CallbackMessage, ComponentConfig, ComponentHandle, ComponentHealth, ComponentId, ComponentMessage,
    ComponentMetadata, ComponentUsage, HealthStatus, MessagePayload, Messenger, RuntimeEngine, WasmError,
};

/// What a component does, in place of a guest.
pub trait Puppet: Send + Sync {
    /// A message has come.
    fn message(&self, messenger: &dyn Messenger, message: &ComponentMessage) -> Option<MessagePayload>;

    /// A request has ended.
    fn callback(&self, _messenger: &dyn Messenger, _message: &CallbackMessage) {}
}

/// An engine of puppets, known from the beginning.
pub struct Puppets {
    all: Vec<Arc<dyn Puppet>>,
    by_id: HashMap<ComponentId, u64>,
    messenger: OnceLock<Weak<dyn Messenger>>,
}

impl Puppets {
    /// An engine that has those.
    #[must_use]
    pub fn new(all: Vec<(ComponentId, Arc<dyn Puppet>)>) -> Arc<Self> {
        let by_id = (0..).zip(&all).map(|(at, (id, _))| (id.clone(), at)).collect();
        let all = all.into_iter().map(|(_, puppet)| puppet).collect();
        Arc::new(Self { all, by_id, messenger: OnceLock::new() })
    }

    /// Gives them what they send with; the first one stays.
    pub fn set_messenger(&self, messenger: Weak<dyn Messenger>) {
        self.messenger.get_or_init(|| messenger);
    }

    fn call<T>(
        &self,
        handle: &ComponentHandle,
        call: impl FnOnce(&dyn Puppet, &dyn Messenger) -> T,
    ) -> Result<T, WasmError> {
        let messenger = self.messenger.get().and_then(Weak::upgrade);
        let at = usize::try_from(handle.handle_id()).unwrap_or(usize::MAX);
        match (self.all.get(at), messenger) {
            (Some(puppet), Some(messenger)) => Ok(call(&**puppet, &*messenger)),
            (None, _) | (_, None) => Err(WasmError::NotRunning { id: handle.id().to_string() }),
        }
    }
}

impl RuntimeEngine for Puppets {
    fn load_component<'a>(
        &'a self,
        id: &'a ComponentId,
        _bytes: Bytes,
    ) -> BoxFuture<'a, Result<ComponentHandle, WasmError>> {
        let handle = self.by_id.get(id).map(|at| ComponentHandle::new(id.clone(), *at));
        Box::pin(ready(handle.ok_or_else(|| WasmError::ComponentNotFound { id: id.to_string() })))
    }

    fn unload_component<'a>(&'a self, _handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(ready(Ok(())))
    }

    fn start_component<'a>(
        &'a self,
        _handle: &'a ComponentHandle,
        _config: &'a ComponentConfig,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(ready(Ok(())))
    }

    fn call_handle_message<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a ComponentMessage,
    ) -> BoxFuture<'a, Result<Option<MessagePayload>, WasmError>> {
        Box::pin(ready(self.call(handle, |puppet, messenger| puppet.message(messenger, message))))
    }

    fn call_handle_callback<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a CallbackMessage,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(ready(self.call(handle, |puppet, messenger| puppet.callback(messenger, message))))
    }

    fn call_metadata<'a>(
        &'a self,
        _handle: &'a ComponentHandle,
    ) -> BoxFuture<'a, Result<ComponentMetadata, WasmError>> {
        Box::pin(ready(Ok(ComponentMetadata::default())))
    }

    fn call_health<'a>(&'a self, _handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentHealth, WasmError>> {
        Box::pin(ready(Ok(ComponentHealth { status: HealthStatus::Healthy, reason: None })))
    }

    fn call_shutdown<'a>(&'a self, _handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(ready(Ok(())))
    }

    fn stop_component<'a>(&'a self, _handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(ready(Ok(())))
    }

    fn usage(&self, _handle: &ComponentHandle) -> Option<ComponentUsage> {
        None
    }
}
