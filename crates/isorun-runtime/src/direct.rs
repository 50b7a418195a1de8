//! Both ends of a call through the direct codec: a guest's memory to wire bytes and back, with no value in between.
//!
//! It takes the two places that the interpreted codec takes: an import's stub in the linker, and a call of an export.

mod abi;
mod buffer;
mod check;
mod concurrent;
mod describe;
mod lift;
mod lower;
mod plan;
#[cfg(test)]
mod pure;
#[cfg(test)]
mod tests;
mod text;

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{Failure, Fault};
use neopack::VALUE_BYTES_MAX;
use wasmtime::component::{Func, LinkerInstance, TypedFunc};
use wasmtime::{AsContext, Store};

pub(crate) use self::abi::Brought;
use self::abi::{Arguments, FLAT_PARAMS_MAX, FLAT_RESULTS_MAX, Given, Import, Outcome, Returned};
pub(crate) use self::buffer::Packed;
pub(crate) use self::concurrent::{Begun, ConcurrentFunc};
pub use self::describe::{CodecPlan, NoPlan, PlanSide};
use self::lift::TooLarge;
pub(crate) use self::plan::Plan;
use crate::HostState;
use crate::interpreted::Ended;
use crate::stub::Stub;

/// Puts the stub of one imported function into the linker.
pub(crate) fn define(linker: &mut LinkerInstance<'_, HostState>, stub: Stub) -> wasmtime::Result<()> {
    let params = Plan::new(&stub.types, stub.function.params.iter().map(|param| param.ty))?;
    let results = Plan::new(&stub.types, stub.function.result)?;
    let widths = (flat(&params, FLAT_PARAMS_MAX), flat(&results, FLAT_RESULTS_MAX));
    let is_async = stub.function.is_async;
    let import = Arc::new(Import { stub, results });
    macro_rules! define {
        ($($n:literal)*) => {
            match widths {
                $(
                    ($n, 0) if is_async => concurrent::define::<$n, 0>(linker, import),
                    ($n, _) if is_async => concurrent::define::<$n, 1>(linker, import),
                    ($n, 0) => define_n::<$n, 0>(linker, import),
                    ($n, _) => define_n::<$n, 1>(linker, import),
                )*
                (n, _) => wasmtime::bail!("bug: {n} core values are more than {FLAT_PARAMS_MAX}"),
            }
        };
    }
    define!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}

/// Core values that are passed: as many as there are, or a pointer.
fn flat(plan: &Plan, max: usize) -> usize {
    let flat = plan.layout().2 as usize;
    if flat > max { 1 } else { flat }
}

fn define_n<const N: usize, const M: usize>(
    linker: &mut LinkerInstance<'_, HostState>,
    import: Arc<Import>,
) -> wasmtime::Result<()> {
    let name = import.stub.function.name.clone();
    linker.func_wrap_async(&name, move |mut store, Arguments(args): Arguments<N>| {
        let import = import.clone();
        let args = match args {
            Ok(args) => args,
            Err(TooLarge) => {
                let cause = format!("the arguments can't be packed: {}", too_large());
                let brought = Brought::Told(Err(Failure::NotSent { cause }));
                return Box::new(ready(Ok(Outcome::<M> { brought, import })));
            }
        };
        match import.stub.call_now(&mut store, &args) {
            Some(Ok(brought)) => Box::new(ready(Ok(Outcome::<M> { brought, import }))),
            Some(Err(error)) => Box::new(ready(Err(error))),
            None => {
                let args = args.freeze();
                Box::new(async move {
                    let brought = Brought::Told(import.stub.call(&mut store, args).await?);
                    Ok(Outcome::<M> { brought, import })
                })
            }
        }
    })
}

fn too_large() -> String {
    format!("a value over {VALUE_BYTES_MAX} bytes, the most that travels in one call: split it over several")
}

/// An export as the direct codec calls it.
#[derive(Clone)]
pub(crate) struct DirectFunc {
    func: TypedFunc<Given<'static>, Returned>,
    params: Arc<Plan>,
}

impl DirectFunc {
    /// The function, if its types have plans.
    pub(crate) fn new(store: impl AsContext, func: Func) -> wasmtime::Result<Self> {
        let (func, [params, _]) = abi::found(|| func.typed::<Given<'static>, Returned>(store))?;
        Ok(Self { func, params })
    }

    /// Whether `packed` is what the function takes.
    pub(crate) fn takes(&self, packed: &[u8]) -> bool {
        self.params.check(packed).is_ok()
    }

    /// Calls it with arguments that it takes, on the stack of whoever calls.
    pub(crate) fn call_now(&self, store: &mut Store<HostState>, packed: &[u8]) -> Result<Packed, Ended> {
        let func: TypedFunc<Given<'_>, Returned> = self.func;
        returned(func.call(&mut *store, Given { packed, plan: &self.params }), store)
    }

    /// Calls it with arguments that it takes.
    pub(crate) async fn call(&self, store: &mut Store<HostState>, packed: &[u8]) -> Result<Bytes, Ended> {
        let func: TypedFunc<Given<'_>, Returned> = self.func;
        let called = func.call_async(&mut *store, Given { packed, plan: &self.params }).await;
        returned(called, store).map(Packed::freeze)
    }
}

fn returned(called: wasmtime::Result<Returned>, store: &mut Store<HostState>) -> Result<Packed, Ended> {
    match called {
        Ok(Returned(Ok(packed))) => Ok(packed),
        Ok(Returned(Err(TooLarge))) => Err(Ended::After(Fault::BadResults { detail: too_large() })),
        Err(error) => Err(Ended::inside(&error, store)),
    }
}
