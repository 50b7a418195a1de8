//! What a node's functions take and give, and the packed bytes of it.

use bytes::Bytes;
use isorun_ledger::{Function, TypeDef, TypeId, TypeRegistry};
use neopack::{DecodeError, Decoder, EncodeError, Encoder};

/// What stands at one place of a signature that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// `list<u8>`
    Bytes,
    /// `u32` or `u64`: an address, an offset or a length.
    Int,
}

/// What stands at one place of a signature that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bytes,
    U32,
    U64,
}

/// A value that is passed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg<'a> {
    Bytes(&'a [u8]),
    Int(u64),
}

/// A value that came back, within the packed results.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Got<'a> {
    Nothing,
    Bytes(&'a [u8]),
    Int(u64),
    /// The guest's own error.
    Refused(&'a str),
}

/// The types of a function that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    params: Vec<Kind>,
    ok: Option<Kind>,
    /// Whether the result is a `result`, and if so whether its error is a string; nothing otherwise.
    error: Option<bool>,
}

/// A value that does not fit the function's type: an integer that is too large for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooWide;

impl Signature {
    /// The function's signature, where it is of the form that is looked for: with `result` or without.
    pub(crate) fn of(types: &TypeRegistry, function: &Function, params: &[Want], ok: Option<Want>) -> Option<Self> {
        if function.params.len() != params.len() {
            return None;
        }
        let found = function.params.iter().zip(params).map(|(param, want)| kind(types, param.ty, *want));
        let found: Option<Vec<Kind>> = found.collect();
        let plain = function.result.map(|ty| types.def(ty));
        let (result, error) = match plain {
            Some(TypeDef::Result { ok, err: None }) => (*ok, Some(false)),
            Some(TypeDef::Result { ok, err: Some(err) }) if *types.def(*err) == TypeDef::String => (*ok, Some(true)),
            Some(TypeDef::Result { .. }) => return None,
            Some(_) | None => (function.result, None),
        };
        let ok = match (ok, result) {
            (Some(want), Some(ty)) => Some(kind(types, ty, want)?),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some(Self { params: found?, ok, error })
    }

    /// Packs a call's arguments, which are as many and of the kinds that were looked for.
    pub(crate) fn pack(&self, args: &[Arg<'_>]) -> Result<Bytes, TooWide> {
        let room: usize = args.iter().map(|arg| if let Arg::Bytes(bytes) = arg { bytes.len() } else { 0 }).sum();
        let mut enc = Encoder::from_vec(Vec::with_capacity(room + HEAD_BYTES * (args.len() + 2)));
        let packed = || -> Result<Option<Vec<u8>>, EncodeError> {
            enc.struct_begin()?;
            for (kind, arg) in self.params.iter().zip(args) {
                match (kind, arg) {
                    (Kind::Bytes, Arg::Bytes(bytes)) => enc.bytes(bytes)?,
                    (Kind::U64, Arg::Int(int)) => enc.u64(*int)?,
                    (Kind::U32, Arg::Int(int)) => match u32::try_from(*int) {
                        Ok(int) => enc.u32(int)?,
                        Err(_) => return Ok(None),
                    },
                    (Kind::Bytes, Arg::Int(_)) | (Kind::U32 | Kind::U64, Arg::Bytes(_)) => return Ok(None),
                }
            }
            enc.struct_end()?;
            Ok(Some(enc.finish()?))
        };
        packed().ok().flatten().map(Bytes::from).ok_or(TooWide)
    }

    /// Reads a call's results.
    pub(crate) fn unpack<'a>(&self, results: &'a [u8]) -> Result<Got<'a>, DecodeError> {
        let mut dec = Decoder::new(results);
        dec.struct_begin()?;
        let is_ok = match self.error {
            Some(_) => dec.result()?,
            None => true,
        };
        let got = match (is_ok, self.ok, self.error) {
            (true, Some(Kind::Bytes), _) => Got::Bytes(dec.bytes()?),
            (true, Some(Kind::U32), _) => Got::Int(dec.u32()?.into()),
            (true, Some(Kind::U64), _) => Got::Int(dec.u64()?),
            (true, None, None) => Got::Nothing,
            (true, None, Some(_)) => {
                dec.unit()?;
                Got::Nothing
            }
            (false, _, Some(true)) => Got::Refused(dec.str()?),
            (false, _, Some(false) | None) => {
                dec.unit()?;
                Got::Refused("")
            }
        };
        dec.struct_end()?;
        dec.finish()?;
        Ok(got)
    }
}

/// Bytes of a packed item beside its own: tag and length, or tag and integer.
const HEAD_BYTES: usize = 9;

/// Packed bytes beside the list itself that travel with one list of bytes.
pub(crate) const PACKED_BESIDE_BYTES: usize = 64;

fn kind(types: &TypeRegistry, ty: TypeId, want: Want) -> Option<Kind> {
    match (want, types.def(ty)) {
        (Want::Bytes, TypeDef::List(item)) if *types.def(*item) == TypeDef::U8 => Some(Kind::Bytes),
        (Want::Int, TypeDef::U32) => Some(Kind::U32),
        (Want::Int, TypeDef::U64) => Some(Kind::U64),
        _ => None,
    }
}

/// Whether the function takes or gives a stream itself.
pub(crate) fn has_stream(types: &TypeRegistry, function: &Function) -> bool {
    let is_stream = |ty: TypeId| matches!(types.def(ty), TypeDef::Stream(_));
    let result = function.result.is_some_and(|ty| match types.def(ty) {
        TypeDef::Result { ok, .. } => ok.is_some_and(is_stream),
        TypeDef::Tuple(items) => items.iter().copied().any(is_stream),
        _ => is_stream(ty),
    });
    result || function.params.iter().any(|param| is_stream(param.ty))
}

/// The function's type as WIT has it: `func(input: list<u8>) -> list<u8>`.
pub(crate) fn wit(types: &TypeRegistry, function: &Function) -> String {
    let params = function.params.iter().map(|param| format!("{}: {}", param.name, types.wit(param.ty)));
    let result = function.result.map(|ty| format!(" -> {}", types.wit(ty))).unwrap_or_default();
    let is_async = if function.is_async { "async " } else { "" };
    format!("{is_async}func({}){result}", params.collect::<Vec<_>>().join(", "))
}
