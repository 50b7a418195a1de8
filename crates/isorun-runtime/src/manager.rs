//! A store at hand, its limits, and what its host functions are.

use std::sync::Arc;

use isorun_core::{Budget, ResourceLimits, WasmError};
use wasmtime::Store;
use wasmtime::component::Linker;

use crate::instance::CONCURRENT_HANDLES;
use crate::store::new_store;
use crate::{HostState, LinkedComponent, SystemComponent, WasmtimeEngine};

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

    /// Makes a store for that component, in the engine that runs it; one that was there is dropped.
    pub(crate) fn initialize_for(
        &mut self,
        linked: &LinkedComponent,
        name: Arc<str>,
        budget: &Budget,
    ) -> Result<(), WasmError> {
        let LinkedComponent { component, systems, .. } = linked;
        let failed = |error: wasmtime::Error| WasmError::instantiation(format!("component `{name}`: {error:#}"));
        self.store = None;
        let mut store = new_store(component.beneath(), name.clone(), budget, systems).map_err(failed)?;
        if component.is_concurrent() {
            store.set_max_component_handles((budget.max_handles as usize).saturating_add(CONCURRENT_HANDLES));
        }
        self.store = Some(store);
        Ok(())
    }

    /// Drops the store, if there is one.
    pub(crate) fn discard(&mut self) {
        self.store = None;
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
