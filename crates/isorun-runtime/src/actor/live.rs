//! One component that is loaded: its store, once it is started, and the calls into it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Instant;

use isorun_core::{
    Budget, ComponentConfig, ComponentId, ComponentUsage, Fault, InstanceUid, MessagePayload, WasmError,
};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep_until;
use wasmtime::component::{Component, ComponentNamedList, Lift, Lower, TypedFunc};
use wasmtime::{AsContextMut, PoolConcurrencyLimitError, Store};

use super::lifecycle::Exports;
use super::shared::SharedComponent;
use super::types::ConfigIn;
use crate::interpreted::Ended;
use crate::store::{begin_first, settle};
use crate::{HostState, LinkedComponent, StoreManager, cause};

/// A component that is loaded.
pub(super) struct LiveComponent {
    id: ComponentId,
    name: Arc<str>,
    component: LinkedComponent,
    shared: Arc<SharedComponent>,
    budget: Budget,
    /// Itself: calls out of it go no further round than back to it.
    chain: Arc<[InstanceUid]>,
    /// Held by a call until it ends.
    slot: Mutex<Slot>,
    is_unloaded: AtomicBool,
    memory_bytes: AtomicU64,
    fuel: AtomicU64,
    calls: AtomicU64,
}

/// A place for a store.
struct Slot {
    manager: StoreManager,
    /// Of a component that runs.
    exports: Option<Exports>,
}

impl LiveComponent {
    pub(super) fn new(id: ComponentId, shared: Arc<SharedComponent>, budget: Budget) -> Result<Self, WasmError> {
        let component = shared.component()?.clone();
        let slot = Slot { manager: StoreManager::new(component.component().engine()), exports: None };
        Ok(Self {
            name: id.as_str().into(),
            id,
            component,
            shared,
            budget,
            chain: Arc::from([InstanceUid(crate::instance::random_uid())]),
            slot: Mutex::new(slot),
            is_unloaded: AtomicBool::new(false),
            memory_bytes: AtomicU64::new(0),
            fuel: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        })
    }

    pub(super) fn id(&self) -> &ComponentId {
        &self.id
    }

    pub(super) fn compiled(&self) -> &Component {
        self.component.pre.component()
    }

    pub(super) fn usage(&self) -> ComponentUsage {
        let mut usage = ComponentUsage::default();
        usage.memory_bytes = self.memory_bytes.load(Ordering::Relaxed);
        usage.fuel = self.fuel.load(Ordering::Relaxed);
        usage.calls = self.calls.load(Ordering::Relaxed);
        usage
    }

    /// Takes no further calls, also from those that wait already.
    pub(super) fn unload(&self) {
        self.is_unloaded.store(true, Ordering::Release);
    }

    /// The store's place, once no call is in it.
    async fn slot(&self) -> Result<MutexGuard<'_, Slot>, WasmError> {
        let slot = match self.slot.try_lock() {
            Ok(slot) => slot,
            Err(_) => self.slot.lock().await,
        };
        if self.is_unloaded.load(Ordering::Acquire) { Err(super::not_found(&self.id)) } else { Ok(slot) }
    }

    /// Takes the store away.
    pub(super) async fn stop(&self) -> Result<(), WasmError> {
        let mut slot = self.slot().await?;
        self.discard(&mut slot);
        Ok(())
    }

    fn discard(&self, slot: &mut Slot) {
        slot.exports = None;
        slot.manager.discard();
        self.memory_bytes.store(0, Ordering::Relaxed);
    }

    /// Makes a fresh store, instantiates the component in it and calls its `initialize`.
    pub(super) async fn start(&self, config: &ComponentConfig) -> Result<(), WasmError> {
        let mut slot = self.slot().await?;
        self.discard(&mut slot);
        let mut entered = Entered { live: self, slot: &mut slot, is_whole: false };
        let exports = entered.instantiate().await?;
        entered.account();
        let config = ConfigIn::new(self.id.as_str(), config);
        let (initialized,) = entered.call("initialize", exports.initialize, (&config,)).await?;
        match initialized.map_err(WasmError::from) {
            Ok(()) => {
                entered.slot.exports = Some(exports);
                entered.is_whole = true;
                Ok(())
            }
            // It has not begun, so there is nothing that could go on.
            Err(WasmError::Rejected { reason }) => Err(WasmError::GaveUp { reason }),
            Err(error) => Err(error),
        }
    }

    /// Calls an export of the component; what `read` makes of the result decides whether it goes on.
    pub(super) async fn call<P, R, T>(
        &self,
        function: &'static str,
        pick: impl FnOnce(&Exports) -> TypedFunc<P, R>,
        params: P,
        read: impl FnOnce(R) -> Result<T, WasmError>,
    ) -> Result<T, WasmError>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let mut slot = self.slot().await?;
        let Some(exports) = &slot.exports else { return Err(WasmError::NotRunning { id: self.id.to_string_id() }) };
        let func = pick(exports);
        let mut entered = Entered { live: self, slot: &mut slot, is_whole: false };
        let returned = entered.call(function, func, params).await?;
        let read = read(returned);
        entered.is_whole = read.as_ref().err().is_none_or(|error| !error.ends_the_component());
        read
    }
}

/// A store that guest code runs in. Unless it is found whole, it is gone when this ends, however it does.
struct Entered<'a> {
    live: &'a LiveComponent,
    slot: &'a mut Slot,
    is_whole: bool,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.account();
        if !self.is_whole {
            self.live.discard(self.slot);
        }
    }
}

impl Entered<'_> {
    /// Makes the store ready for one call.
    fn begin(&mut self) -> Result<&mut Store<HostState>, Ended> {
        let LiveComponent { budget, chain, .. } = self.live;
        let bug = |detail: String| Ended::Inside(Fault::Bug { detail }, None);
        let store = self.slot.manager.store_mut().map_err(|error| bug(error.to_string()))?;
        begin_first(store, chain, budget).map_err(|error| bug(format!("{error:#}")))?;
        Ok(store)
    }

    async fn instantiate(&mut self) -> Result<Exports, WasmError> {
        let live = self.live;
        let LiveComponent { name, component, budget, .. } = live;
        let places = live.shared.lifecycle()?;
        self.slot.manager.initialize_for(component, name.clone(), budget)?;
        let refused = |fault: Fault| WasmError::instantiation(fault.to_string()).caused_by(fault);
        let store = self.begin().map_err(|ended| not_returned("instantiate", ended))?;
        let wall_until = store.data().call.wall_until();
        let started = within(wall_until, pin!(component.pre.instantiate_async(&mut *store))).await;
        match started {
            Some(Ok(instance)) => Exports::new(store, &instance, places),
            Some(Err(error)) if error.is::<PoolConcurrencyLimitError>() => {
                let limit = component.component().engine().options().pooled_stores.unwrap_or_default();
                let why = format!("overloaded: stores at once in this engine are limited to {limit}");
                Err(WasmError::instantiation(why))
            }
            Some(Err(error)) => Err(refused(cause::start_fault(&error, store.data_mut()))),
            None => Err(refused(store.data().call.out_of_time())),
        }
    }

    /// Calls a function; everything of the store's account is settled when this is dropped.
    async fn call<P, R>(&mut self, function: &str, func: TypedFunc<P, R>, params: P) -> Result<R, WasmError>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let live = self.live;
        add(&live.calls, 1);
        let store = self.begin().map_err(|ended| not_returned(function, ended))?;
        let wall_until = store.data().call.wall_until();
        let called = within(wall_until, pin!(func.call_async(&mut *store, params))).await;
        let ended = match called {
            Some(Ok(returned)) => return Ok(returned),
            Some(Err(error)) => Ended::inside(&error, store),
            None => Ended::Inside(store.data().call.out_of_time(), None),
        };
        Err(not_returned(function, ended))
    }

    /// Notes what was spent in the call that has ended, and what the component holds now.
    fn account(&mut self) {
        if let Ok(store) = self.slot.manager.store_mut() {
            // Only a store that was never made ready has no account.
            let spent = settle(&mut store.as_context_mut()).map_or(0, |()| store.data().call.spent());
            let memory_bytes = store.data().limiter().memory_bytes();
            add(&self.live.fuel, spent);
            self.live.memory_bytes.store(memory_bytes, Ordering::Relaxed);
        }
    }
}

/// Counts what only who holds the component's lock counts: others read it, and nobody else writes.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).saturating_add(more), Ordering::Relaxed);
}

/// What a future comes to before that time; `None` where it does not.
///
/// Most calls end when they are first polled, and those need no timer.
async fn within<F: Future>(until: Instant, mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut timer = pin!(None);
    poll_fn(move |cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if timer.is_none() {
            timer.set(Some(sleep_until(until.into())));
        }
        match timer.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// An answer within its limits.
///
/// # Errors
/// [`WasmError::RuntimeError`] that names the limit and the size.
pub(super) fn checked(payload: MessagePayload) -> Result<MessagePayload, WasmError> {
    match payload.check() {
        Ok(()) => Ok(payload),
        Err(error) => Err(failed("handle-message", &format!("the answer is too large: {error}")).caused_by(error)),
    }
}

fn failed(function: &str, how: &dyn std::fmt::Display) -> WasmError {
    WasmError::runtime(format!("`{function}`: {how}"))
}

/// What becomes of a call that did not return.
fn not_returned(function: &str, ended: Ended) -> WasmError {
    match ended {
        Ended::Inside(fault, Some(link)) => failed(function, &fault).caused_by(*link),
        Ended::Inside(fault, None) | Ended::After(fault) => failed(function, &fault).caused_by(fault),
        Ended::Before(failure) => failed(function, &failure).caused_by(failure),
    }
}
