//! A call's arguments and results, as the ends of a call pack and unpack them.

use bytes::Bytes;
use isorun_core::{Failure, Fault, Refusal};
use isorun_ledger::{Function, TypeRegistry};
use wasmtime::component::Val;

use super::{CodecError, CodecFault, decode_vals, encode_vals};

/// What the unpacked values of one call may take of the host's memory, in bytes.
///
/// A packed byte becomes some 32 bytes of `Val`, so a list of bytes as large as a value may be takes about this.
pub const VAL_BYTES_MAX: u64 = 128 << 20;

/// Packs a call's arguments.
///
/// # Errors
/// [`Refusal::BadArguments`], with the parameter's name, if they are not what the function takes.
pub fn pack_args(types: &TypeRegistry, function: &Function, vals: &[Val]) -> Result<Bytes, Failure> {
    let refuse = |detail: String| Err(Failure::from(Refusal::BadArguments { detail }));
    let wanted = function.params.len();
    if vals.len() != wanted {
        return refuse(format!("`{}` takes {wanted} arguments, {} given", function.name, vals.len()));
    }
    match encode_vals(types, function.params.iter().map(|param| param.ty).zip(vals)) {
        Ok(packed) => Ok(packed.into()),
        Err(error) => refuse(named(function, error)),
    }
}

/// Unpacks a call's arguments, which may take [`VAL_BYTES_MAX`].
///
/// # Errors
/// [`Refusal::BadArguments`], with the parameter's name, if the bytes are not what the function takes.
pub fn unpack_args(types: &TypeRegistry, function: &Function, packed: &[u8]) -> Result<Vec<Val>, Failure> {
    decode_vals(types, function.params.iter().map(|param| param.ty), packed, VAL_BYTES_MAX)
        .map_err(|error| Refusal::BadArguments { detail: named(function, error) }.into())
}

/// Unpacks a call's results, which may take [`VAL_BYTES_MAX`].
///
/// # Errors
/// [`Fault::BadResults`] if the bytes are not what the function returns.
pub fn unpack_results(types: &TypeRegistry, function: &Function, packed: &[u8]) -> Result<Vec<Val>, Failure> {
    decode_vals(types, function.result, packed, VAL_BYTES_MAX)
        .map_err(|error| Fault::BadResults { detail: error.to_string() }.into())
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
