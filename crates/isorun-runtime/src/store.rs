//! One store: what a guest's host functions share, and what its call may still spend.

pub(crate) mod flights;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isorun_core::{Budget, CallContext, Fault, InstanceUid, Trace};
use wasmtime::{AsContextMut, Engine, Store, StoreContextMut, UpdateDeadline};

use self::flights::Flights;
use crate::engine::{EPOCH_MS, ticks};
use crate::limiter::WasmResourceLimiter;
use crate::stub::Out;
use crate::system::SystemComponent;

/// What host functions find in a store: typed state of each host component, the limits, the call under way.
///
/// ```
/// # use isorun_runtime::HostState;
/// struct Hits(u64);
/// fn on_call(state: &mut HostState) -> u64 {
///     let hits = state.extension_or_insert_with(|| Hits(0));
///     hits.0 += 1;
///     hits.0
/// }
/// ```
pub struct HostState {
    instance: Arc<str>,
    limiter: WasmResourceLimiter,
    extensions: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    pub(crate) call: Underway,
    /// The calls under way where there are several.
    pub(crate) flights: Option<Flights>,
    /// Calls out of here that the guest does not wait for one by one.
    pub(crate) out: Arc<Out>,
}

/// [`HostState`], by the name that an embedder's host components know it.
pub type IsorunCtx = HostState;

impl HostState {
    pub(crate) fn new(instance: Arc<str>, budget: Budget) -> Self {
        let call = Underway::idle(&budget);
        let (limiter, extensions) = (WasmResourceLimiter::new(budget), HashMap::new());
        Self { instance, limiter, extensions, call, flights: None, out: Arc::default() }
    }

    /// The name of the instance whose store this is.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The limits, and what has been handed out of them.
    #[must_use]
    pub fn limiter(&self) -> &WasmResourceLimiter {
        &self.limiter
    }

    /// Changes the limits; what is handed out already stays.
    pub(crate) fn limit(&mut self, budget: Budget) {
        self.call = Underway::idle(&budget);
        self.limiter.set_budget(budget);
    }

    pub(crate) fn limiter_mut(&mut self) -> &mut WasmResourceLimiter {
        &mut self.limiter
    }

    /// Puts a host component's state into this store; the state of that type that it replaces, if any.
    pub fn insert_extension<T: Any + Send + Sync>(&mut self, state: T) -> Option<T> {
        let old = self.extensions.insert(TypeId::of::<T>(), Box::new(state))?;
        old.downcast().ok().map(|old| *old)
    }

    /// The state of that type.
    #[must_use]
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.extensions.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// The state of that type, to change.
    #[must_use]
    pub fn extension_mut<T: Any + Send + Sync>(&mut self) -> Option<&mut T> {
        self.extensions.get_mut(&TypeId::of::<T>())?.downcast_mut()
    }

    /// The state of that type, made first where there is none.
    pub fn extension_or_insert_with<T: Any + Send + Sync>(&mut self, make: impl FnOnce() -> T) -> &mut T {
        let slot = self.extensions.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(make()));
        // The slot's key is T's id, and only a T is ever put under it.
        slot.downcast_mut().expect("an extension stands under its own type's id")
    }
}

/// The call that a store is working on.
#[derive(Debug)]
pub(crate) struct Underway {
    /// The instances that wait for calls made from here: those above, and this one.
    pub(crate) chain: Arc<[InstanceUid]>,
    /// When calls made from here must be answered.
    pub(crate) deadline: Instant,
    pub(crate) trace: Trace,
    wall_until: Instant,
    wall_ms: u64,
    /// What the clock said at its tick of that number.
    clock: (u64, Instant),
    /// What this store may burn in this call.
    own_limit: u64,
    /// What this store and all below it may burn in this call.
    tree_limit: u64,
    own_spent: u64,
    below_spent: u64,
    /// The store's fuel when it was last looked at.
    mark: u64,
    in_place: InPlace,
}

/// Whether a call keeps its caller's thread until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InPlace {
    No,
    Yes,
    /// It does, and the clock has ticked so often meanwhile.
    Ticked(u32),
}

/// Ticks after which a call in place was long, whatever it did: 100 ms. It may copy memory, which takes hardly any fuel.
const TICKS_LONG: u32 = 20;
/// Fuel that makes a call long within which the clock has ticked. With less, it was its thread that was made to wait.
const FUEL_LONG: u64 = 4_000_000;

/// How much a call may spend where it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) own: u64,
    pub(crate) tree: u64,
    pub(crate) deadline: Instant,
}

impl Underway {
    fn idle(budget: &Budget) -> Self {
        let now = Instant::now();
        Self {
            chain: Arc::from([]),
            deadline: now,
            trace: Trace::default(),
            wall_until: now + Duration::from_millis(budget.wall_ms),
            wall_ms: budget.wall_ms,
            clock: (ticks(), now),
            own_limit: budget.fuel,
            tree_limit: budget.fuel_tree,
            own_spent: 0,
            below_spent: 0,
            mark: 0,
            in_place: InPlace::No,
        }
    }

    /// What was spent in all, as of the last look.
    pub(crate) fn spent(&self) -> u64 {
        self.own_spent.saturating_add(self.below_spent)
    }

    /// What the tree still has, as of the last look.
    pub(crate) fn tree_left(&self) -> u64 {
        self.tree_limit.saturating_sub(self.spent())
    }

    /// The limit that a store without fuel has met.
    pub(crate) fn fuel_limit(&self) -> u64 {
        self.own_limit.min(self.tree_limit)
    }

    /// The time as of the clock's last tick, or later: a look at the clock costs a short call a tenth.
    pub(crate) fn lately(&mut self) -> Instant {
        let tick = ticks();
        if self.clock.0 != tick {
            self.clock = (tick, Instant::now());
        }
        self.clock.1
    }

    pub(crate) fn wall_until(&self) -> Instant {
        self.wall_until
    }

    /// Whether the call kept its caller's thread for longer than it should, as of the last look.
    pub(crate) fn was_long(&self) -> bool {
        match self.in_place {
            InPlace::No | InPlace::Yes => false,
            InPlace::Ticked(ticks) => ticks >= TICKS_LONG || self.own_spent >= FUEL_LONG,
        }
    }

    pub(crate) fn out_of_time(&self) -> Fault {
        Fault::OutOfTime { limit_ms: self.wall_ms }
    }
}

/// A store for one instance, with every limit of its budget set.
pub(crate) fn new_store(
    engine: &Engine,
    instance: Arc<str>,
    budget: &Budget,
    components: &[Arc<dyn SystemComponent>],
) -> wasmtime::Result<Store<HostState>> {
    let mut store = Store::new(engine, HostState::new(instance, budget.clone()));
    for component in components {
        component.configure(store.data_mut())?;
    }
    store.limiter(|state| state.limiter_mut());
    store.set_hostcall_fuel(usize::try_from(budget.hostcall_fuel).unwrap_or(usize::MAX));
    store.set_max_component_handles(budget.max_handles as usize);
    store.epoch_deadline_callback(|mut cx| {
        let call = &mut cx.data_mut().call;
        let now = Instant::now();
        if call.in_place == InPlace::Yes {
            // It began without a look at the clock, and before the tick before this one.
            call.wall_until = now + Duration::from_millis(call.wall_ms.saturating_sub(EPOCH_MS));
        }
        if now >= call.wall_until {
            return Err(call.out_of_time().into());
        }
        match call.in_place {
            InPlace::No => {}
            InPlace::Yes => {
                call.in_place = InPlace::Ticked(1);
                return Ok(UpdateDeadline::Continue(1));
            }
            InPlace::Ticked(ticks) => {
                call.in_place = InPlace::Ticked(ticks.saturating_add(1));
                return Ok(UpdateDeadline::Continue(1));
            }
        }
        // Tokio's own yield lets timers and sockets have their turn; a plain wake-up would go before them, 60 times over.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    Ok(store)
}

/// Makes a store ready for one call.
pub(crate) fn begin(
    store: &mut Store<HostState>,
    uid: InstanceUid,
    cx: &CallContext,
    allowance: Allowance,
) -> wasmtime::Result<()> {
    let own = allowance.own.min(allowance.tree);
    store.set_fuel(own)?;
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    state.limiter.take_refused();
    let wall_ms = state.limiter.budget().wall_ms;
    let clock = (ticks(), Instant::now());
    let wall_until = clock.1 + Duration::from_millis(wall_ms);
    let chain = cx.chain.iter().copied().chain([uid]).collect();
    state.call = Underway {
        chain,
        deadline: allowance.deadline.min(wall_until),
        trace: cx.trace,
        wall_until,
        wall_ms,
        clock,
        own_limit: allowance.own,
        tree_limit: allowance.tree,
        own_spent: 0,
        below_spent: 0,
        mark: own,
        in_place: InPlace::No,
    };
    Ok(())
}

/// Makes a store ready for a call that begins a tree: nobody called this one, and nobody's deadline is shorter.
///
/// The clock is looked at only where it has ticked since the store last did; a call has up to a tick more for that.
pub(crate) fn begin_first(
    store: &mut Store<HostState>,
    chain: &Arc<[InstanceUid]>,
    budget: &Budget,
) -> wasmtime::Result<()> {
    let own = budget.fuel.min(budget.fuel_tree);
    store.set_fuel(own)?;
    store.set_epoch_deadline(1);
    let HostState { limiter, call, .. } = store.data_mut();
    limiter.take_refused();
    if !Arc::ptr_eq(&call.chain, chain) {
        call.chain = chain.clone();
    }
    call.wall_until = call.lately() + Duration::from_millis(budget.wall_ms.saturating_add(EPOCH_MS));
    call.deadline = call.wall_until;
    call.own_spent = 0;
    call.below_spent = 0;
    call.mark = own;
    Ok(())
}

/// Makes a store ready for one call that is made on its caller's stack, and makes no calls of its own.
pub(crate) fn begin_leaf(store: &mut Store<HostState>, own_limit: u64, tree_limit: u64) -> wasmtime::Result<()> {
    let own = own_limit.min(tree_limit);
    store.set_fuel(own)?;
    // The first tick may come at once.
    store.set_epoch_deadline(2);
    let HostState { limiter, call, .. } = store.data_mut();
    limiter.take_refused();
    // Nobody asks for the chain, the deadline or the trace of a call that goes no further; its time begins with the first
    // tick that it sees.
    call.own_limit = own_limit;
    call.tree_limit = tree_limit;
    call.own_spent = 0;
    call.below_spent = 0;
    call.mark = own;
    call.in_place = InPlace::Yes;
    Ok(())
}

/// Brings the account of what was spent up to date.
pub(crate) fn settle(store: &mut StoreContextMut<'_, HostState>) -> wasmtime::Result<()> {
    let left = store.get_fuel()?;
    let call = &mut store.data_mut().call;
    call.own_spent = call.own_spent.saturating_add(call.mark.saturating_sub(left));
    call.mark = left;
    Ok(())
}

/// Charges what a call from here spent below, and leaves the guest no more than its tree has.
///
/// # Errors
/// [`Fault::OutOfFuel`] once the tree has nothing left: the engine would let the guest run on to its next loop.
pub(crate) fn charge(store: &mut StoreContextMut<'_, HostState>, below: u64) -> wasmtime::Result<()> {
    let call = &mut store.data_mut().call;
    call.below_spent = call.below_spent.saturating_add(below);
    let left = call.mark.min(call.tree_left());
    let limit = call.fuel_limit();
    if left < call.mark {
        call.mark = left;
        store.as_context_mut().set_fuel(left)?;
    }
    if left == 0 { Err(Fault::OutOfFuel { limit }.into()) } else { Ok(()) }
}
