//! Both ends of a call through the interpreted codec.
//!
//! Linking and instances reach a codec by two functions only: one that puts an
//! import's stub into the linker, and one that calls an export with packed
//! arguments. The direct codec takes the same two places.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{Failure, Fault, Refusal};
use isorun_ledger::{Function, TypeRegistry};
use wasmtime::component::{Accessor, Func, LinkerInstance, Val};

use wasmtime::{AsContextMut, Store};

use crate::codec::{CodecError, encode_vals, unpack_args, unpack_results};
use crate::direct::Begun;
use crate::stub::Stub;
use crate::{HostState, LinkFailure, cause};

/// Puts the stub of one imported function into the linker.
pub(crate) fn define(linker: &mut LinkerInstance<'_, HostState>, stub: Arc<Stub>) -> wasmtime::Result<()> {
    let name = stub.function.name.clone();
    if stub.function.is_async {
        return linker.func_new_concurrent(&name, move |accessor, _, params, results| {
            let stub = stub.clone();
            Box::pin(async move {
                let outcome = match pack(&stub, params) {
                    Ok(args) => stub.call_concurrent(accessor, args).await?,
                    Err(failure) => Err(failure),
                };
                unpack(&stub, outcome, results)
            })
        });
    }
    linker.func_new_async(&name, move |mut store, _, params, results| {
        let stub = stub.clone();
        Box::new(async move {
            let outcome = match pack(&stub, params) {
                Ok(args) => stub.call(&mut store, args).await?,
                Err(failure) => Err(failure),
            };
            unpack(&stub, outcome, results)
        })
    })
}

fn pack(stub: &Stub, params: &[Val]) -> Result<Bytes, Failure> {
    let tys = stub.function.params.iter().map(|param| param.ty);
    encode_vals(&stub.types, tys.zip(params)).map(Bytes::from).map_err(|error| not_sent(&error))
}

/// What the guest gets: results, an error value of its own type, or its end.
fn unpack(stub: &Stub, outcome: Result<Bytes, Failure>, results: &mut [Val]) -> wasmtime::Result<()> {
    let unpack = |packed: &[u8]| unpack_results(&stub.types, &stub.function, packed);
    let vals = match outcome.and_then(|packed| unpack(&packed)) {
        Ok(vals) => vals,
        Err(failure) => unpack(&stub.failed(&failure)?).map_err(|failure| stub.link_failure(failure))?,
    };
    for (slot, val) in results.iter_mut().zip(vals) {
        *slot = val;
    }
    Ok(())
}

fn not_sent(error: &CodecError) -> Failure {
    Failure::NotSent { cause: format!("the arguments can't be packed: {error}") }
}

/// How a call into a guest ended short of its results.
pub(crate) enum Ended {
    /// Before the guest was entered.
    Before(Failure),
    /// Inside: its store is lost. If a call of its own failed that it could not do without, that one too.
    Inside(Fault, Option<Box<LinkFailure>>),
    /// After it returned; its store is as good as before.
    After(Fault),
}

impl Ended {
    /// What the engine's `error` says of the guest in `store`.
    pub(crate) fn inside(error: &wasmtime::Error, store: &mut Store<HostState>) -> Self {
        let link = error.downcast_ref::<LinkFailure>().cloned().map(Box::new);
        Self::Inside(cause::fault(error, store.data_mut()), link)
    }
}

/// What is wrong with arguments that the direct codec refused, which has no words.
pub(crate) fn refused(types: &TypeRegistry, function: &Function, packed: &[u8]) -> Failure {
    let detail = "they are not of the function's types".into();
    unpack_args(types, function, packed).err().unwrap_or_else(|| Refusal::BadArguments { detail }.into())
}

/// What is wrong with results that the direct codec refused.
pub(crate) fn refused_results(types: &TypeRegistry, function: &Function, packed: &[u8]) -> Failure {
    let detail = "they are not of the function's types".into();
    unpack_results(types, function, packed).err().unwrap_or_else(|| Fault::BadResults { detail }.into())
}

/// Calls an export with packed arguments.
pub(crate) async fn call(
    store: &mut Store<HostState>,
    func: Func,
    types: &TypeRegistry,
    function: &Function,
    packed: &[u8],
) -> Result<Bytes, Ended> {
    let args = unpack_args(types, function, packed).map_err(Ended::Before)?;
    let mut vals = vec![Val::Bool(false); usize::from(function.result.is_some())];
    if let Err(error) = func.call_async(&mut *store, &args, &mut vals).await {
        return Err(Ended::inside(&error, store));
    }
    encode_vals(types, function.result.into_iter().zip(&vals))
        .map(Bytes::from)
        .map_err(|error| Ended::After(Fault::BadResults { detail: error.to_string() }))
}

/// Calls an export with packed arguments, beside other calls.
///
/// The outer error is that of a store which is lost; the inner one is the call's own.
pub(crate) async fn call_concurrent(
    accessor: &Accessor<HostState>,
    func: Func,
    types: &TypeRegistry,
    function: &Function,
    packed: &[u8],
    begun: Begun<'_>,
) -> wasmtime::Result<Result<Bytes, Ended>> {
    let args = match unpack_args(types, function, packed) {
        Ok(args) => args,
        Err(failure) => return Ok(Err(Ended::Before(failure))),
    };
    let mut vals = vec![Val::Bool(false); usize::from(function.result.is_some())];
    let call = accessor.with(|mut access| -> wasmtime::Result<_> {
        let store = &mut access.as_context_mut();
        let call = func.start_call_concurrent(store.as_context_mut(), &args, &mut vals)?;
        begun(store, call.task())?;
        Ok(call)
    })?;
    func.finish_call_concurrent(accessor, call).await?;
    let packed = encode_vals(types, function.result.into_iter().zip(&vals));
    Ok(packed.map(Bytes::from).map_err(|error| Ended::After(Fault::BadResults { detail: error.to_string() })))
}
