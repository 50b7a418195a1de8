//! Several calls at once in one store: what each may still spend, and on whose behalf a guest calls out.
//!
//! Fuel is the store's, and the engine doesn't say which call burned it. So a store has as much as all its calls in flight
//! may burn together, what is burned is counted to them in equal parts, and a call that ends leaves the others no more
//! than they brought. A call may thus burn what another brought, and none can burn what nobody brought. What calls spend
//! further down is known exactly, for the engine does say which call a guest calls out for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use isorun_core::{Budget, CallContext, Fault, InstanceUid, Trace};
use wasmtime::component::GuestTaskId;
use wasmtime::{AsContextMut, Store, StoreContextMut};

use super::{Allowance, HostState, begin, charge, settle};

/// The calls that a store serves at once.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    calls: BTreeMap<GuestTaskId, Flight>,
    /// Fuel that has been counted to each call that was there all the time.
    burned_each: u64,
    /// What each call brings.
    fuel_each: u64,
}

/// One call of several in a store.
#[derive(Debug)]
pub(crate) struct Flight {
    /// The instances that wait for it, and this one.
    pub(crate) chain: Arc<[InstanceUid]>,
    pub(crate) trace: Trace,
    /// When its time in this store is up, and calls on its behalf must be answered.
    pub(crate) wall_until: Instant,
    /// What this store and all below it may burn for it.
    pub(crate) tree_limit: u64,
    pub(crate) below_spent: u64,
    /// `burned_each` when it began.
    burned_before: u64,
}

impl Flight {
    pub(crate) fn new(uid: InstanceUid, cx: &CallContext, wall_until: Instant, tree_limit: u64) -> Self {
        let chain = cx.chain.iter().copied().chain([uid]).collect();
        Self { chain, trace: cx.trace, wall_until, tree_limit, below_spent: 0, burned_before: 0 }
    }
}

impl Flights {
    fn spent(&self, flight: &Flight) -> u64 {
        let own = (self.burned_each - flight.burned_before).min(self.fuel_each);
        own.saturating_add(flight.below_spent)
    }

    fn tree_left(&self, flight: &Flight) -> u64 {
        flight.tree_limit.saturating_sub(self.spent(flight))
    }
}

/// Who called out of a store; `None` is the store's own account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payer(Option<GuestTaskId>);

/// Makes a store ready for calls at once; it has no fuel before the first of them.
///
/// What a guest does after it has answered is nobody's call any more: it goes to an account of the store's own.
pub(crate) fn begin_shared(
    store: &mut Store<HostState>,
    uid: InstanceUid,
    budget: &Budget,
    wall_until: Instant,
) -> wasmtime::Result<()> {
    let allowance = Allowance { own: budget.fuel, tree: budget.fuel_tree, deadline: wall_until };
    begin(store, uid, &CallContext::until(wall_until), allowance)?;
    store.set_fuel(0)?;
    let state = store.data_mut();
    state.call.mark = 0;
    state.flights = Some(Flights { fuel_each: budget.fuel.min(budget.fuel_tree), ..Flights::default() });
    Ok(())
}

/// Lets a call begin in a store that serves several.
pub(crate) fn enter(
    store: &mut StoreContextMut<'_, HostState>,
    task: GuestTaskId,
    mut flight: Flight,
) -> wasmtime::Result<()> {
    share(store)?;
    let HostState { call, flights, .. } = store.data_mut();
    let Some(flights) = flights else { return Ok(()) };
    flight.burned_before = flights.burned_each;
    flights.calls.insert(task, flight);
    call.mark = call.mark.saturating_add(flights.fuel_each);
    let fuel = call.mark;
    keep_time(store.data_mut());
    store.set_fuel(fuel)
}

/// Lets a call of several end: what it spent.
pub(crate) fn leave(store: &mut StoreContextMut<'_, HostState>, task: GuestTaskId) -> wasmtime::Result<u64> {
    share(store)?;
    let HostState { call, flights, .. } = store.data_mut();
    let Some(flights) = flights else { return Ok(0) };
    let Some(flight) = flights.calls.remove(&task) else { return Ok(0) };
    let spent = flights.spent(&flight);
    // The last one leaves its fuel, for the few steps that the guest has yet to make.
    let brought = flights.fuel_each.saturating_mul(flights.calls.len().max(1) as u64);
    call.mark = call.mark.min(brought);
    let fuel = call.mark;
    keep_time(store.data_mut());
    store.set_fuel(fuel)?;
    Ok(spent)
}

/// What a call in a store that is lost has spent, as of the last look.
pub(crate) fn spent(store: &mut Store<HostState>, task: GuestTaskId) -> u64 {
    let _ = share(&mut store.as_context_mut());
    let flights = store.data().flights.as_ref();
    flights.and_then(|flights| Some(flights.spent(flights.calls.get(&task)?))).unwrap_or(0)
}

/// What a call out of a store takes with it, and who pays for it.
pub(crate) fn depart(
    store: &mut StoreContextMut<'_, HostState>,
    deadline: Instant,
) -> wasmtime::Result<(Payer, CallContext)> {
    let payer = match store.data().flights {
        Some(_) => store.async_call_stack()?.last(),
        None => None,
    };
    share(store)?;
    let HostState { call, flights, .. } = store.data();
    let flight = flights.as_ref().zip(payer).and_then(|(flights, task)| Some((flights, flights.calls.get(&task)?)));
    Ok(match flight {
        Some((flights, flight)) => {
            let fuel = Some(flights.tree_left(flight));
            let deadline = deadline.min(flight.wall_until);
            (Payer(payer), CallContext { deadline, fuel, chain: flight.chain.clone(), trace: flight.trace })
        }
        None => {
            let deadline = deadline.min(call.deadline);
            let fuel = Some(call.tree_left());
            (Payer(None), CallContext { deadline, fuel, chain: call.chain.clone(), trace: call.trace })
        }
    })
}

/// Charges what a call out of a store has spent.
///
/// # Errors
/// [`Fault::OutOfFuel`] once whoever pays has nothing left.
pub(crate) fn arrive(store: &mut StoreContextMut<'_, HostState>, payer: Payer, below: u64) -> wasmtime::Result<()> {
    share(store)?;
    let HostState { call, flights, .. } = store.data_mut();
    let Some(flights) = flights else { return charge(store, below) };
    let flight = payer.0.and_then(|task| flights.calls.get_mut(&task));
    let left = match flight {
        Some(flight) => {
            flight.below_spent = flight.below_spent.saturating_add(below);
            let limit = flight.tree_limit;
            let own = (flights.burned_each - flight.burned_before).min(flights.fuel_each);
            limit.saturating_sub(own.saturating_add(flight.below_spent))
        }
        None => {
            call.below_spent = call.below_spent.saturating_add(below);
            call.tree_left()
        }
    };
    let limit = call.fuel_limit();
    if left == 0 { Err(Fault::OutOfFuel { limit }.into()) } else { Ok(()) }
}

/// Brings the accounts up to date.
fn share(store: &mut StoreContextMut<'_, HostState>) -> wasmtime::Result<()> {
    let before = store.data().call.mark;
    settle(store)?;
    let HostState { call, flights, .. } = store.data_mut();
    if let Some(flights) = flights {
        let burned = before.saturating_sub(call.mark);
        let each = burned.div_ceil(flights.calls.len().max(1) as u64);
        flights.burned_each = flights.burned_each.saturating_add(each);
        // On the store's own account is what it burns for nobody.
        if !flights.calls.is_empty() {
            call.own_spent = call.own_spent.saturating_sub(burned);
        }
    }
    Ok(())
}

/// The store's clock is that of the call whose time is up first.
fn keep_time(state: &mut HostState) {
    let Some(flights) = &state.flights else { return };
    if let Some(first) = flights.calls.values().map(|flight| flight.wall_until).min() {
        state.call.wall_until = first;
        state.call.deadline = first;
    }
}
