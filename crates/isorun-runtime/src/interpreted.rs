//! Both ends of a call through the interpreted codec.
//!
//! Linking and instances reach a codec by two functions only: one that puts an
//! import's stub into the linker, and one that calls an export with packed
//! arguments. The direct codec takes the same two places.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{Failure, Fault, Refusal};
use isorun_ledger::{Function, TypeRegistry};
use wasmtime::Store;
use wasmtime::component::{Func, LinkerInstance, Val};

use crate::codec::{CodecError, CodecFault, decode_vals, encode_vals};
use crate::stub::Stub;
use crate::{HostState, LinkFailure, cause};

/// Puts the stub of one imported function into the linker.
pub(crate) fn define(linker: &mut LinkerInstance<'_, HostState>, stub: Arc<Stub>) -> wasmtime::Result<()> {
    let name = stub.function.name.clone();
    linker.func_new_async(&name, move |mut store, _, params, results| {
        let stub = stub.clone();
        Box::new(async move {
            let bytes_max = store.data().limiter().budget().hostcall_fuel;
            let tys = stub.function.params.iter().map(|param| param.ty);
            let outcome = match encode_vals(&stub.types, tys.zip(params)) {
                Ok(args) => stub.call(&mut store, args.into()).await?,
                Err(error) => Err(not_sent(&error)),
            };
            let decode = |packed: &[u8]| decode_vals(&stub.types, stub.function.result, packed, bytes_max);
            let decoded = outcome.and_then(|packed| {
                decode(&packed).map_err(|error| Fault::BadResults { detail: error.to_string() }.into())
            });
            let vals = match decoded {
                Ok(vals) => vals,
                Err(failure) => decode(&stub.failed(&failure)?)?,
            };
            for (slot, val) in results.iter_mut().zip(vals) {
                *slot = val;
            }
            Ok(())
        })
    })
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

/// Unpacks a call's arguments.
pub(crate) fn arguments(
    types: &TypeRegistry,
    function: &Function,
    packed: &[u8],
    bytes_max: u64,
) -> Result<Vec<Val>, Failure> {
    decode_vals(types, function.params.iter().map(|param| param.ty), packed, bytes_max)
        .map_err(|error| Refusal::BadArguments { detail: named(function, error) }.into())
}

/// Packs a call's results.
pub(crate) fn results(types: &TypeRegistry, function: &Function, vals: &[Val]) -> Result<Bytes, Ended> {
    encode_vals(types, function.result.into_iter().zip(vals))
        .map(Bytes::from)
        .map_err(|error| Ended::After(Fault::BadResults { detail: error.to_string() }))
}

/// Checks that `vals` are what the function takes.
pub(crate) fn check(types: &TypeRegistry, function: &Function, vals: &[Val]) -> Result<(), Failure> {
    let refuse = |detail: String| Err(Failure::from(Refusal::BadArguments { detail }));
    let wanted = function.params.len();
    if vals.len() != wanted {
        return refuse(format!("`{}` takes {wanted} arguments, {} given", function.name, vals.len()));
    }
    match encode_vals(types, function.params.iter().map(|param| param.ty).zip(vals)) {
        Ok(_) => Ok(()),
        Err(error) => refuse(named(function, error)),
    }
}

/// The error with the parameter's name in place of its number.
fn named(function: &Function, mut error: CodecError) -> String {
    if let CodecFault::Decode(_) = &error.fault
        && error.path.is_empty()
    {
        return error.to_string();
    }
    if let Some((number, rest)) = error.path.strip_prefix('[').and_then(|path| path.split_once(']'))
        && let Some(param) = number.parse::<usize>().ok().and_then(|at| function.params.get(at))
    {
        error.path = format!("{}{rest}", param.name);
    }
    error.to_string()
}

/// Calls an export with arguments that have been checked.
pub(crate) async fn call(
    store: &mut Store<HostState>,
    func: Func,
    args: &[Val],
    results: usize,
) -> Result<Vec<Val>, Ended> {
    let mut vals = vec![Val::Bool(false); results];
    match func.call_async(&mut *store, args, &mut vals).await {
        Ok(()) => Ok(vals),
        Err(error) => {
            let link = error.downcast_ref::<LinkFailure>().cloned().map(Box::new);
            Err(Ended::Inside(cause::fault(&error, store.data_mut()), link))
        }
    }
}
