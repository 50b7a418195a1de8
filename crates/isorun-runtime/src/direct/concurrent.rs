//! Functions of components that use `async`: several calls under way at once, out of a guest and into one.
//!
//! Parameters and results lie as elsewhere, but for two things. An import that is lowered `async` takes no more than four
//! core values and gives its results through memory; the engine sees to both, for `Arguments` and `Outcome` do with
//! either place. An export that is lifted `async` returns up to 16 core values, and must be met with exactly as many.

use std::mem::MaybeUninit;
use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{BoxFuture, Failure, Fault};
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::{
    Accessor, ComponentNamedList, ComponentType, Func, GuestTaskId, Lift, LinkerInstance, Lower, TypedFunc,
};
use wasmtime::{AsContext, AsContextMut, Result, Store, StoreContextMut, ValRaw};

use super::abi::{self, Arguments, FLAT_PARAMS_MAX, Given, Import, Outcome, Source};
use super::lift::TooLarge;
use super::{Brought, Packed, Plan, too_large};
use crate::HostState;
use crate::interpreted::Ended;

/// Puts the stub of an `async` function into the linker.
pub(super) fn define<const N: usize, const M: usize>(
    linker: &mut LinkerInstance<'_, HostState>,
    import: Arc<Import>,
) -> Result<()> {
    let name = import.stub.function.name.clone();
    linker.func_wrap_concurrent(&name, move |accessor, Arguments(args): Arguments<N>| {
        let import = import.clone();
        Box::pin(async move {
            let told = match args {
                Ok(args) => import.stub.call_concurrent(accessor, args.freeze()).await?,
                Err(TooLarge) => {
                    let cause = format!("the arguments can't be packed: {}", too_large());
                    Err(Failure::NotSent { cause })
                }
            };
            Ok(Outcome::<M> { brought: Brought::Told(told), import })
        })
    })
}

/// An export of a component that uses `async`, as the direct codec calls it.
#[derive(Clone)]
pub(crate) struct ConcurrentFunc {
    func: Arc<dyn Export>,
    params: Arc<Plan>,
}

/// What a call is told of when it has begun: the store, and the engine's name for it.
pub(crate) type Begun<'a> = Box<dyn FnOnce(&mut StoreContextMut<'_, HostState>, GuestTaskId) -> Result<()> + Send + 'a>;

type Lifted = std::result::Result<Packed, TooLarge>;

/// An export, whatever the number of core values that it returns.
trait Export: Send + Sync {
    fn call<'a>(&'a self, store: &'a mut Store<HostState>, given: Owned) -> BoxFuture<'a, Result<Lifted>>;

    fn call_concurrent<'a>(
        &'a self,
        accessor: &'a Accessor<HostState>,
        given: Owned,
        begun: Begun<'a>,
    ) -> BoxFuture<'a, Result<Lifted>>;
}

impl<const N: usize> Export for TypedFunc<Owned, Gathered<N>> {
    fn call<'a>(&'a self, store: &'a mut Store<HostState>, given: Owned) -> BoxFuture<'a, Result<Lifted>> {
        Box::pin(async move { Ok(self.call_async(store, given).await?.0) })
    }

    fn call_concurrent<'a>(
        &'a self,
        accessor: &'a Accessor<HostState>,
        given: Owned,
        begun: Begun<'a>,
    ) -> BoxFuture<'a, Result<Lifted>> {
        Box::pin(async move {
            let call = accessor.with(|mut access| -> Result<_> {
                let store = &mut access.as_context_mut();
                let call = self.start_call_concurrent(store.as_context_mut(), given)?;
                begun(store, call.task())?;
                Ok(call)
            })?;
            Ok(self.finish_call_concurrent(accessor, call).await?.0)
        })
    }
}

impl ConcurrentFunc {
    /// The function, if its types have plans.
    pub(crate) fn new(store: impl AsContext, func: Func) -> Result<Self> {
        let store = store.as_context();
        let (_, [_, results]) = abi::found(|| func.typed::<Owned, Gathered<ANY>>(&store))?;
        let width = super::flat(&results, FLAT_PARAMS_MAX);
        macro_rules! typed {
            ($($n:literal)*) => {
                match width {
                    $($n => Self::with::<$n>(&store, func),)*
                    n => wasmtime::bail!("bug: {n} core values are more than {FLAT_PARAMS_MAX}"),
                }
            };
        }
        typed!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    }

    fn with<const N: usize>(store: impl AsContext, func: Func) -> Result<Self> {
        let (func, [params, _]) = abi::found(|| func.typed::<Owned, Gathered<N>>(store))?;
        Ok(Self { func: Arc::new(func), params })
    }

    /// Whether `packed` is what the function takes.
    pub(crate) fn takes(&self, packed: &[u8]) -> bool {
        self.params.check(packed).is_ok()
    }

    fn given(&self, packed: Bytes) -> Owned {
        Owned { packed, plan: self.params.clone() }
    }

    /// Calls it with arguments that it takes, in a store that serves nobody else.
    pub(crate) async fn call(&self, store: &mut Store<HostState>, args: Bytes) -> std::result::Result<Bytes, Ended> {
        match self.func.call(&mut *store, self.given(args)).await {
            Ok(lifted) => packed(lifted),
            Err(error) => Err(Ended::inside(&error, store)),
        }
    }

    /// Calls it with arguments that it takes, beside other calls.
    ///
    /// The outer error is that of a store which is lost; the inner one is the call's own.
    pub(crate) async fn call_concurrent(
        &self,
        accessor: &Accessor<HostState>,
        args: Bytes,
        begun: Begun<'_>,
    ) -> Result<std::result::Result<Bytes, Ended>> {
        Ok(packed(self.func.call_concurrent(accessor, self.given(args), begun).await?))
    }
}

fn packed(lifted: Lifted) -> std::result::Result<Bytes, Ended> {
    match lifted {
        Ok(packed) => Ok(packed.freeze()),
        Err(TooLarge) => Err(Ended::After(Fault::BadResults { detail: too_large() })),
    }
}

/// Checked arguments on their way to an export, for as long as that takes.
struct Owned {
    packed: Bytes,
    plan: Arc<Plan>,
}

// SAFETY: as for `Given`, which does it all.
#[allow(unsafe_code)]
unsafe impl ComponentType for Owned {
    type Lower = <Given<'static> as ComponentType>::Lower;
    const ABI: CanonicalAbiInfo = Given::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        Given::typecheck(ty, types)
    }
}

// SAFETY: it stands for a function's whole list of parameters, which is what the engine passes as `ty`.
#[allow(unsafe_code)]
unsafe impl ComponentNamedList for Owned {}

// SAFETY: as for `Given`, which does it all.
#[allow(unsafe_code)]
unsafe impl Lower for Owned {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        Given { packed: &self.packed, plan: &self.plan }.linear_lower_to_flat(cx, ty, dst)
    }

    fn linear_lower_to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, at: usize) -> Result<()> {
        Given { packed: &self.packed, plan: &self.plan }.linear_lower_to_memory(cx, ty, at)
    }
}

/// What an export returned, packed; `N` is the number of core values that an export lifted `async` returns it in.
struct Gathered<const N: usize>(Lifted);

/// A number of core values of no function, to look a function up by.
const ANY: usize = FLAT_PARAMS_MAX + 1;

// SAFETY: as for `Returned`, with as many core values as an export lifted `async` returns: `typecheck` refuses any other
// number. The engine takes a lifting that is not `async` and returns more than one for one through memory, and reads no
// more of it than its address: `ABI` says that it takes no room. `ANY` is not called.
#[allow(unsafe_code)]
unsafe impl<const N: usize> ComponentType for Gathered<N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        abi::see(ty, types, |plan| if N == ANY { Ok(()) } else { abi::fits(plan, N, FLAT_PARAMS_MAX) })
    }
}

// SAFETY: it stands for a function's whole list of results, which is what the engine passes as `ty`.
#[allow(unsafe_code)]
unsafe impl<const N: usize> ComponentNamedList for Gathered<N> {}

// SAFETY: lifting only reads, through bounds-checked slices of the memory that the engine shows.
#[allow(unsafe_code)]
unsafe impl<const N: usize> Lift for Gathered<N> {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw; N]) -> Result<Self> {
        abi::lift(cx, ty, Source::FlatOrPointer(src, FLAT_PARAMS_MAX)).map(Self)
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        // As for `Arguments`: of the place, the engine shows nothing but the address.
        let at = (bytes.as_ptr() as usize).wrapping_sub(cx.memory().as_ptr() as usize);
        abi::lift(cx, ty, Source::Memory(at)).map(Self)
    }
}
