//! The short way into a neighbour: on the caller's own stack, without a future, a timer or a frame.
//!
//! It is taken into a leaf only, a component that imports no functions. Calls that nest this way share one native stack,
//! and a chain of them would let guests use it up and end the process; a leaf can't go on to a next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use isorun_core::{CHAIN_MAX, CallContext, CallFailed, Failure, Fault, FunctionIndex, Reply};

use wasmtime::{AsContextMut, PoolConcurrencyLimitError, Store};

use super::{BoundInstance, Callable, Counted, Live, Serving, Shared};
use crate::direct::{DirectFunc, Packed};
use crate::interpreted::Ended;
use crate::linker::LinkedComponent;
use crate::store::{begin_leaf, new_store, settle};
use crate::{HostState, cause};

/// A neighbour's functions, for a caller that would not wait.
pub(crate) struct ShortWay {
    shared: Arc<Shared>,
    table: Vec<usize>,
}

/// Results and the fuel they cost, or a failure; `None` where the long way has to be taken.
type Brought = Option<Result<(Packed, u64), CallFailed>>;

fn bug(error: &wasmtime::Error) -> CallFailed {
    Failure::from(Fault::Bug { detail: format!("{error:#}") }).into()
}

/// Whether an instance may be called on its caller's stack.
pub(super) struct Quick(AtomicBool);

impl Quick {
    pub(super) fn new(is_leaf: bool) -> Self {
        Self(AtomicBool::new(is_leaf))
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A call kept its caller's thread for long: from now on all go the way that lets others run.
    fn no_more(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl ShortWay {
    /// The short way to what was bound, where there may be one.
    pub(super) fn to(bound: &BoundInstance) -> Option<Self> {
        let may = bound.shared.quick.is() && !matches!(bound.shared.serving, Serving::Pool { .. });
        may.then(|| Self { shared: bound.shared.clone(), table: bound.table.clone() })
    }

    /// Makes a call that can be made at once, for a caller that has until `deadline` and so much fuel.
    ///
    /// The arguments were packed by this process from the same types. `None` where the call has to wait, or might: then
    /// nothing has happened.
    pub(crate) fn call(
        &self,
        function: FunctionIndex,
        now: Instant,
        deadline: Instant,
        fuel: u64,
        args: &[u8],
    ) -> Brought {
        let at = *self.table.get(function.0 as usize)?;
        self.shared.call_now(at, now, deadline, fuel, args)
    }
}

impl Shared {
    /// As [`ShortWay::call`], for arguments that anybody packed and a context that anybody sent.
    pub(super) fn serve_now(&self, at: usize, cx: &CallContext, args: &[u8]) -> Option<Result<Reply, CallFailed>> {
        let Serving::Singleton { .. } = self.serving else { return None };
        if cx.chain.len() >= CHAIN_MAX || cx.chain.contains(&self.uid) || !self.live_takes(at, args) {
            // Whoever takes the long way is told what is wrong.
            return None;
        }
        let fuel = cx.fuel.unwrap_or(self.budget.fuel_tree);
        let brought = self.call_now(at, Instant::now(), cx.deadline, fuel, args)?;
        Some(brought.map(|(results, fuel_used)| Reply { results: results.freeze(), fuel_used }))
    }

    fn live_takes(&self, at: usize, args: &[u8]) -> bool {
        let Ok(slot) = self.live.try_lock() else { return false };
        let func = slot.as_ref().and_then(|live| live.funcs.get(at)?.as_ref());
        matches!(func, Some(Callable::Direct(func)) if func.takes(args))
    }

    fn call_now(&self, at: usize, now: Instant, deadline: Instant, fuel: u64, args: &[u8]) -> Brought {
        let wall_until = now + self.wall;
        let held = match self.serving {
            Serving::Singleton { .. } => fuel >= self.fuel_needed(),
            // It gets what its caller has.
            Serving::PerCall { .. } | Serving::Pool { .. } => true,
        };
        if !self.quick.is() || !held || wall_until > deadline {
            return None;
        }
        match self.serving {
            Serving::Singleton { .. } => self.call_singleton(at, wall_until, fuel, args),
            Serving::PerCall { .. } => self.call_fresh(at, wall_until, fuel, args),
            Serving::Pool { .. } => None,
        }
    }

    fn call_singleton(&self, at: usize, wall_until: Instant, fuel: u64, args: &[u8]) -> Brought {
        let mut slot = self.live.try_lock().ok()?;
        let Live { store, funcs, .. } = slot.as_mut()?;
        let Some(Some(Callable::Direct(func))) = funcs.get(at) else { return None };
        if let Err(error) = begin_leaf(store, wall_until, self.budget.fuel, fuel) {
            *slot = None;
            return Some(Err(bug(&error)));
        }
        let ended = func.call_now(store, args);
        let is_lost = matches!(ended, Err(Ended::Inside(..)));
        let ended = self.account(store, ended);
        if is_lost {
            *slot = None;
            if let Err(failed) = &ended {
                self.told_lost(&failed.failure);
            }
        }
        Some(ended)
    }

    /// A whole call in a store of its own, its start included.
    fn call_fresh(&self, at: usize, wall_until: Instant, fuel: u64, args: &[u8]) -> Brought {
        let _permit = self.at_once.try_acquire().ok()?;
        let _running = Counted::up_to(&self.in_flight, usize::MAX);
        let LinkedComponent { component, pre, systems } = &self.linked;
        let store = new_store(component.engine().engine(), self.name.clone(), &self.budget, systems);
        let mut store = match store {
            Ok(store) => store,
            Err(error) => return Some(Err(bug(&error))),
        };
        if let Err(error) = begin_leaf(&mut store, wall_until, self.budget.fuel, fuel) {
            return Some(Err(bug(&error)));
        }
        let instance = match pre.instantiate(&mut store) {
            Ok(instance) => instance,
            // Whoever takes the long way is told what there is too much of.
            Err(error) if error.is::<PoolConcurrencyLimitError>() => return None,
            Err(error) => {
                let fault = cause::start_fault(&error, store.data_mut());
                return Some(self.account(&mut store, Err(Ended::Inside(fault, None))));
            }
        };
        self.generation.fetch_add(1, Ordering::Relaxed);
        let func = instance.get_func(&mut store, self.exports[at].index)?;
        let func = match DirectFunc::new(&store, func) {
            Ok(func) => func,
            Err(error) => return Some(Err(bug(&error))),
        };
        let ended = func.call_now(&mut store, args);
        Some(self.account(&mut store, ended))
    }

    /// How a call ended, with what it spent.
    fn account(&self, store: &mut Store<HostState>, ended: Result<Packed, Ended>) -> Result<(Packed, u64), CallFailed> {
        let fuel_used = match settle(&mut store.as_context_mut()) {
            Ok(()) => store.data().call.spent(),
            Err(_) => 0,
        };
        if store.data().call.was_long() {
            self.quick.no_more();
        }
        let failure = match ended {
            Ok(results) => return Ok((results, fuel_used)),
            Err(Ended::Before(failure)) => failure,
            Err(Ended::After(fault) | Ended::Inside(fault, _)) => fault.into(),
        };
        Err(CallFailed { failure, fuel_used })
    }
}
