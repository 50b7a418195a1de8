//! The short way into a neighbour: on the caller's own stack, without a future, a timer or a frame.
//!
//! It is taken into a leaf only, a component that imports no functions. Calls that nest this way share one native stack,
//! and a chain of them would let guests use it up and end the process; a leaf can't go on to a next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use isorun_core::{CallFailed, Failure, Fault, FunctionIndex};

use super::{BoundInstance, Callable, Live, Serving, Shared};
use crate::direct::Packed;
use crate::interpreted::Ended;
use crate::store::{begin_leaf, settle};
use wasmtime::AsContextMut;

/// A neighbour's functions, for a caller that would not wait.
pub(crate) struct ShortWay {
    shared: Arc<Shared>,
    table: Vec<usize>,
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
        let may = bound.shared.quick.is() && matches!(bound.shared.serving, Serving::Singleton { .. });
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
    ) -> Option<Result<(Packed, u64), CallFailed>> {
        let at = *self.table.get(function.0 as usize)?;
        self.shared.call_now(at, now, deadline, fuel, args)
    }
}

impl Shared {
    fn call_now(
        &self,
        at: usize,
        now: Instant,
        deadline: Instant,
        fuel: u64,
        args: &[u8],
    ) -> Option<Result<(Packed, u64), CallFailed>> {
        let wall_until = now + self.wall;
        if !self.quick.is() || fuel < self.fuel_needed() || wall_until > deadline {
            return None;
        }
        let mut slot = self.live.try_lock().ok()?;
        let Live { store, funcs, .. } = slot.as_mut()?;
        let Some(Some(Callable::Direct(func))) = funcs.get(at) else { return None };
        if let Err(error) = begin_leaf(store, wall_until, self.budget.fuel, fuel) {
            *slot = None;
            return Some(Err(Failure::from(Fault::Bug { detail: format!("{error:#}") }).into()));
        }
        let ended = func.call_now(store, args);
        let fuel_used = match settle(&mut store.as_context_mut()) {
            Ok(()) => store.data().call.spent(),
            Err(_) => 0,
        };
        if store.data().call.was_long() {
            self.quick.no_more();
        }
        Some(match ended {
            Ok(results) => Ok((results, fuel_used)),
            Err(Ended::Before(failure)) => Err(CallFailed { failure, fuel_used }),
            Err(Ended::After(fault)) => Err(CallFailed { failure: fault.into(), fuel_used }),
            Err(Ended::Inside(fault, _)) => {
                *slot = None;
                let failure = Failure::from(fault);
                self.told_lost(&failure);
                Err(CallFailed { failure, fuel_used })
            }
        })
    }
}
