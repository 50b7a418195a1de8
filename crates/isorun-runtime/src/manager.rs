//! The engine under the names that core gives it: loading by id, a store at hand, limits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use isorun_core::{
    BoxFuture, Budget, CallbackMessage, ComponentConfig, ComponentHandle, ComponentHealth, ComponentId,
    ComponentMessage, ComponentMetadata, ComponentUsage, HealthStatus, MessagePayload, ResourceLimits, RuntimeEngine,
    WasmError,
};
use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use crate::prescan::prescan;
use crate::store::new_store;
use crate::{HostState, SystemComponent, WasmtimeEngine};

/// Components that an engine holds by their handles.
#[derive(Default)]
pub(crate) struct Held {
    next: AtomicU64,
    components: Mutex<HashMap<u64, (ComponentId, Component)>>,
}

impl RuntimeEngine for WasmtimeEngine {
    fn load_component<'a>(
        &'a self,
        id: &'a ComponentId,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<ComponentHandle, WasmError>> {
        Box::pin(async move {
            prescan(&bytes).map_err(|error| WasmError::invalid(error.to_string()).caused_by(error))?;
            let component = self.compile(self.engine().clone(), bytes).await;
            let component = component.map_err(|error| WasmError::invalid(error.to_string()).caused_by(error))?;
            let handle_id = self.held().next.fetch_add(1, Ordering::Relaxed);
            self.held().components.lock().insert(handle_id, (id.clone(), component));
            Ok(ComponentHandle::new(id.clone(), handle_id))
        })
    }

    fn unload_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        let mut held = self.held().components.lock();
        let is_held = held.get(&handle.handle_id()).is_some_and(|(id, _)| id == handle.id());
        let removed = if is_held { held.remove(&handle.handle_id()) } else { None };
        // A component is large, and others need not wait for its end.
        drop(held);
        let removed = removed.map(drop).ok_or_else(|| not_held(handle));
        Box::pin(std::future::ready(removed))
    }

    /// No component takes messages yet: that comes with the actors.
    fn call_handle_message<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        _: &'a ComponentMessage,
    ) -> BoxFuture<'a, Result<Option<MessagePayload>, WasmError>> {
        Box::pin(std::future::ready(self.no_messages(handle).map(|()| None)))
    }

    /// No component takes messages yet: that comes with the actors.
    fn call_handle_callback<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        _: &'a CallbackMessage,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(std::future::ready(self.no_messages(handle)))
    }

    fn start_component<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        _: &'a ComponentConfig,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(std::future::ready(self.no_messages(handle)))
    }

    fn call_metadata<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentMetadata, WasmError>> {
        Box::pin(std::future::ready(self.no_messages(handle).map(|()| ComponentMetadata::default())))
    }

    fn call_health<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentHealth, WasmError>> {
        let unknown = ComponentHealth { status: HealthStatus::Unknown, reason: None };
        Box::pin(std::future::ready(self.no_messages(handle).map(|()| unknown)))
    }

    fn call_shutdown<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(std::future::ready(self.no_messages(handle)))
    }

    fn stop_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(std::future::ready(self.component(handle).map(drop)))
    }

    fn usage(&self, handle: &ComponentHandle) -> Option<ComponentUsage> {
        self.component(handle).ok().map(|_| ComponentUsage::default())
    }
}

impl WasmtimeEngine {
    /// The compiled component behind a handle.
    ///
    /// # Errors
    /// [`WasmError::ComponentNotFound`] once it is unloaded, and for a handle whose number is another component's.
    pub fn component(&self, handle: &ComponentHandle) -> Result<Component, WasmError> {
        let held = self.held().components.lock();
        let found = held.get(&handle.handle_id()).filter(|(id, _)| id == handle.id());
        found.map(|(_, component)| component.clone()).ok_or_else(|| not_held(handle))
    }

    fn no_messages(&self, handle: &ComponentHandle) -> Result<(), WasmError> {
        self.component(handle)?;
        Err(WasmError::runtime(format!("`{}` exports no function that takes messages", handle.id())))
    }
}

fn not_held(handle: &ComponentHandle) -> WasmError {
    WasmError::ComponentNotFound { id: handle.id().to_string_id() }
}

/// One store, made when it is wanted.
pub struct StoreManager {
    engine: WasmtimeEngine,
    store: Option<Store<HostState>>,
}

impl StoreManager {
    /// A manager without a store yet.
    #[must_use]
    pub fn new(engine: &WasmtimeEngine) -> Self {
        Self { engine: engine.clone(), store: None }
    }

    /// Makes the store, with every limit of `budget` set and each host component's state in it; a store that was there is dropped.
    ///
    /// # Errors
    /// [`WasmError::InstantiationFailed`] where a host component's state can't be made.
    pub fn initialize(
        &mut self,
        name: &str,
        budget: &Budget,
        components: &[Arc<dyn SystemComponent>],
    ) -> Result<(), WasmError> {
        let failed = |error: wasmtime::Error| WasmError::instantiation(format!("{error:#}"));
        let mut store = new_store(self.engine.engine(), name.into(), budget, components).map_err(failed)?;
        store.set_fuel(budget.fuel).map_err(failed)?;
        store.set_epoch_deadline(1);
        self.store = Some(store);
        Ok(())
    }

    /// The store.
    ///
    /// # Errors
    /// [`WasmError::RuntimeError`] before [`initialize`](Self::initialize).
    pub fn store(&self) -> Result<&Store<HostState>, WasmError> {
        self.store.as_ref().ok_or_else(uninitialized)
    }

    /// The store, to call into.
    ///
    /// # Errors
    /// [`WasmError::RuntimeError`] before [`initialize`](Self::initialize).
    pub fn store_mut(&mut self) -> Result<&mut Store<HostState>, WasmError> {
        self.store.as_mut().ok_or_else(uninitialized)
    }
}

impl std::fmt::Debug for StoreManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreManager").field("initialized", &self.store.is_some()).finish_non_exhaustive()
    }
}

fn uninitialized() -> WasmError {
    WasmError::runtime("the store is not initialized")
}

/// Sets a store's limits anew: memory for what it will ask for, fuel and time from now.
///
/// # Errors
/// [`WasmError::RuntimeError`] where the engine counts no fuel.
pub fn apply_limits(store: &mut Store<HostState>, limits: ResourceLimits) -> Result<(), WasmError> {
    let budget = Budget::from(limits);
    store.set_fuel(budget.fuel).map_err(|error| WasmError::runtime(format!("{error:#}")))?;
    store.set_epoch_deadline(1);
    store.data_mut().limit(budget);
    Ok(())
}

/// Puts every host component's functions into a linker.
///
/// # Errors
/// [`WasmError::InstantiationFailed`] with what the linker refuses.
pub fn register_host_functions(
    linker: &mut Linker<HostState>,
    components: &[Arc<dyn SystemComponent>],
) -> Result<(), WasmError> {
    let failed = |error: wasmtime::Error| WasmError::instantiation(format!("{error:#}"));
    components.iter().try_for_each(|component| component.install(linker).map_err(failed))
}
