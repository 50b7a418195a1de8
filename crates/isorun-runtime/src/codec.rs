//! The interpreted codec: `Val` to neopack and back, in lockstep with the ledger.
//!
//! What travels is positional: names stand in the ledger and in the function's
//! hash, and cases, enums and flags go by their index. The functions here
//! recurse over *types*, whose nesting linking has bounded by
//! [`neopack::DEPTH_MAX`], never over what a peer claims.

mod call;

use std::collections::HashMap;
use std::fmt;

use isorun_ledger::{Case, Field, TypeDef, TypeId, TypeRegistry};
use neopack::{DecodeError, Decoder, EncodeError, Encoder};
use wasmtime::component::Val;

pub use self::call::{VAL_BYTES_MAX, pack_args, unpack_args, unpack_results};

/// Why a value could not be packed or unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError {
    /// Where in the value: fields as `.name`, items as `[3]`, cases as `.some`; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub fault: CodecFault,
}

/// What is wrong at one place of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecFault {
    /// The value is not of its type.
    #[error("{found} where {wanted} belongs")]
    Type {
        /// The type, as WIT.
        wanted: String,
        /// What stands there.
        found: &'static str,
    },
    /// The value is of its type's kind, but not one of its values.
    #[error("{found}, where {wanted} belongs")]
    Value {
        /// What may stand there.
        wanted: String,
        /// What stands there.
        found: String,
    },
    /// The list is in the other of the two list forms, or its rows have another shape.
    #[error("a list packed in another form than its type's")]
    ListForm,
    /// Unpacked, the values would take more of the host's memory than one call may.
    #[error("unpacked, the values take over {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A type that no link carries.
    #[error("{wit} is not carried by links")]
    NotCarried {
        /// The type, as WIT.
        wit: String,
    },
    /// The bytes are not neopack.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The value is over one of neopack's limits.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.trim_start_matches('.') {
            "" => write!(f, "{}", self.fault),
            path => write!(f, "{path}: {}", self.fault),
        }
    }
}

impl std::error::Error for CodecError {}

impl<F: Into<CodecFault>> From<F> for CodecError {
    fn from(fault: F) -> Self {
        Self { path: String::new(), fault: fault.into() }
    }
}

impl CodecError {
    fn below(mut self, step: impl fmt::Display) -> Self {
        self.path.insert_str(0, &step.to_string());
        self
    }
}

type Coded<T> = Result<T, CodecError>;

/// Packs the values of `items` as one struct: a call's arguments, or its results.
///
/// # Errors
/// A value that is not of its type, or more than neopack takes.
pub fn encode_vals<'a>(types: &TypeRegistry, items: impl IntoIterator<Item = (TypeId, &'a Val)>) -> Coded<Vec<u8>> {
    let mut enc = Encoder::new();
    let mut names = Names::default();
    enc.struct_begin()?;
    for (place, (ty, val)) in items.into_iter().enumerate() {
        encode(types, ty, val, &mut enc, &mut names).map_err(|e| e.below(format_args!("[{place}]")))?;
    }
    enc.struct_end()?;
    Ok(enc.finish()?)
}

/// Unpacks one struct of exactly the values that `items` says.
///
/// `bytes_max` bounds what the values may take in the host's memory.
///
/// # Errors
/// Bytes that are not the packed form of values of these types.
pub fn decode_vals(
    types: &TypeRegistry,
    items: impl IntoIterator<Item = TypeId>,
    packed: &[u8],
    bytes_max: u64,
) -> Coded<Vec<Val>> {
    let mut dec = Decoder::new(packed);
    let mut room = Room { limit: bytes_max, left: bytes_max };
    let mut vals = Vec::new();
    dec.struct_begin()?;
    for (place, ty) in items.into_iter().enumerate() {
        vals.push(decode(types, ty, &mut dec, &mut room).map_err(|e| e.below(format_args!("[{place}]")))?);
    }
    dec.struct_end()?;
    dec.finish()?;
    Ok(vals)
}

/// Packs one value.
///
/// # Errors
/// A value that is not of type `ty`, or more than neopack takes.
pub fn encode_val(types: &TypeRegistry, ty: TypeId, val: &Val, enc: &mut Encoder) -> Coded<()> {
    encode(types, ty, val, enc, &mut Names::default())
}

fn encode<'t>(types: &'t TypeRegistry, ty: TypeId, val: &Val, enc: &mut Encoder, names: &mut Names<'t>) -> Coded<()> {
    let def = types.def(ty);
    match (def, val) {
        (TypeDef::Bool, Val::Bool(v)) => enc.bool(*v)?,
        (TypeDef::U8, Val::U8(v)) => enc.u8(*v)?,
        (TypeDef::U16, Val::U16(v)) => enc.u16(*v)?,
        (TypeDef::U32, Val::U32(v)) => enc.u32(*v)?,
        (TypeDef::U64, Val::U64(v)) => enc.u64(*v)?,
        (TypeDef::S8, Val::S8(v)) => enc.s8(*v)?,
        (TypeDef::S16, Val::S16(v)) => enc.s16(*v)?,
        (TypeDef::S32, Val::S32(v)) => enc.s32(*v)?,
        (TypeDef::S64, Val::S64(v)) => enc.s64(*v)?,
        (TypeDef::F32, Val::Float32(v)) => enc.f32(*v)?,
        (TypeDef::F64, Val::Float64(v)) => enc.f64(*v)?,
        (TypeDef::Char, Val::Char(v)) => enc.char(*v)?,
        (TypeDef::String, Val::String(v)) => enc.str(v)?,
        (TypeDef::List(item), Val::List(vals)) => encode_list(types, *item, vals, enc, names)?,
        (TypeDef::FixedList(item, count), Val::FixedLengthList(vals)) => {
            fixed(vals.len(), *count)?;
            encode_list(types, *item, vals, enc, names)?;
        }
        (TypeDef::Map(key, value), Val::Map(pairs)) => {
            enc.map_begin(count(pairs.len())?)?;
            for (place, (k, v)) in pairs.iter().enumerate() {
                encode(types, *key, k, enc, names).map_err(|e| e.below(format_args!("[{place}].key")))?;
                encode(types, *value, v, enc, names).map_err(|e| e.below(format_args!("[{place}].value")))?;
            }
            enc.map_end()?;
        }
        (TypeDef::Record(fields), Val::Record(vals)) => {
            same_fields(fields, vals)?;
            enc.struct_begin()?;
            for (field, (_, val)) in fields.iter().zip(vals) {
                encode(types, field.ty, val, enc, names).map_err(|e| e.below(format_args!(".{}", field.name)))?;
            }
            enc.struct_end()?;
        }
        (TypeDef::Tuple(items), Val::Tuple(vals)) => {
            same_length(items.len(), vals.len())?;
            enc.struct_begin()?;
            for (place, (item, val)) in items.iter().zip(vals).enumerate() {
                encode(types, *item, val, enc, names).map_err(|e| e.below(format_args!(".{place}")))?;
            }
            enc.struct_end()?;
        }
        (TypeDef::Variant(cases), Val::Variant(name, payload)) => {
            let index = names.case(ty, cases, name)?;
            let case = indexed(cases, index, "case")?;
            enc.variant(index)?;
            encode_payload(types, case.ty, payload.as_deref(), enc, names)
                .map_err(|e| e.below(format_args!(".{name}")))?;
        }
        (TypeDef::Enum(cases), Val::Enum(name)) => enc.enum_(names.of(ty, cases, name)?)?,
        (TypeDef::Option(item), Val::Option(val)) => match val {
            None => enc.none()?,
            Some(val) => {
                enc.some()?;
                encode(types, *item, val, enc, names).map_err(|e| e.below(".some"))?;
            }
        },
        (TypeDef::Result { ok, err }, Val::Result(val)) => match val {
            Ok(val) => {
                enc.result_ok()?;
                encode_payload(types, *ok, val.as_deref(), enc, names).map_err(|e| e.below(".ok"))?;
            }
            Err(val) => {
                enc.result_err()?;
                encode_payload(types, *err, val.as_deref(), enc, names).map_err(|e| e.below(".err"))?;
            }
        },
        (TypeDef::Flags(labels), Val::Flags(set)) => enc.flags(bits(labels, set)?)?,
        (TypeDef::Own(_) | TypeDef::Borrow(_) | TypeDef::Stream(_) | TypeDef::Future(_) | TypeDef::ErrorContext, _) => {
            return Err(CodecFault::NotCarried { wit: types.wit(ty).to_string() }.into());
        }
        _ => return Err(CodecFault::Type { wanted: types.wit(ty).to_string(), found: kind(val) }.into()),
    }
    Ok(())
}

/// Unpacks one value; `bytes_max` bounds what it may take in the host's memory.
///
/// # Errors
/// Bytes that are not the packed form of a value of type `ty`.
pub fn decode_val(types: &TypeRegistry, ty: TypeId, dec: &mut Decoder<'_>, bytes_max: u64) -> Coded<Val> {
    decode(types, ty, dec, &mut Room { limit: bytes_max, left: bytes_max })
}

/// What unpacked values may still take of the host's memory.
///
/// A packed byte can become over 80 bytes of `Val`, so the packed size alone is no bound.
struct Room {
    limit: u64,
    left: u64,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Coded<()> {
        match self.left.checked_sub(bytes as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(CodecFault::TooLarge { limit: self.limit }.into()),
        }
    }

    /// Names are the type's, and may be long; a value has its own copy of each.
    fn take_name(&mut self, name: &str) -> Coded<()> {
        self.take(name.len() + ALLOCATION_BYTES)
    }

    fn take_fields(&mut self, fields: &[Field]) -> Coded<()> {
        fields.iter().try_for_each(|field| self.take(FIELD_BYTES + field.name.len()))
    }

    fn take_many(&mut self, count: usize, each: usize) -> Coded<()> {
        self.take(count.saturating_mul(each))
    }
}

/// What a value takes beside its own place: the allocation behind a name or a box.
const ALLOCATION_BYTES: usize = 32;
const VAL_BYTES: usize = size_of::<Val>();
const FIELD_BYTES: usize = size_of::<(String, Val)>() + ALLOCATION_BYTES;

fn decode(types: &TypeRegistry, ty: TypeId, dec: &mut Decoder<'_>, room: &mut Room) -> Coded<Val> {
    Ok(match types.def(ty) {
        TypeDef::Bool => Val::Bool(dec.bool()?),
        TypeDef::U8 => Val::U8(dec.u8()?),
        TypeDef::U16 => Val::U16(dec.u16()?),
        TypeDef::U32 => Val::U32(dec.u32()?),
        TypeDef::U64 => Val::U64(dec.u64()?),
        TypeDef::S8 => Val::S8(dec.s8()?),
        TypeDef::S16 => Val::S16(dec.s16()?),
        TypeDef::S32 => Val::S32(dec.s32()?),
        TypeDef::S64 => Val::S64(dec.s64()?),
        TypeDef::F32 => Val::Float32(dec.f32()?),
        TypeDef::F64 => Val::Float64(dec.f64()?),
        TypeDef::Char => Val::Char(dec.char()?),
        TypeDef::String => {
            let text = dec.str()?;
            room.take(text.len() + ALLOCATION_BYTES)?;
            Val::String(text.to_owned())
        }
        TypeDef::List(item) => Val::List(decode_list(types, *item, None, dec, room)?),
        TypeDef::FixedList(item, count) => Val::FixedLengthList(decode_list(types, *item, Some(*count), dec, room)?),
        TypeDef::Map(key, value) => {
            let count = dec.map_begin()?;
            let mut pairs = Vec::new();
            for place in 0..count {
                room.take_many(2, VAL_BYTES)?;
                let k = decode(types, *key, dec, room).map_err(|e| e.below(format_args!("[{place}].key")))?;
                let v = decode(types, *value, dec, room).map_err(|e| e.below(format_args!("[{place}].value")))?;
                pairs.push((k, v));
            }
            dec.map_end()?;
            Val::Map(pairs)
        }
        TypeDef::Record(fields) => {
            room.take_fields(fields)?;
            dec.struct_begin()?;
            let mut vals = Vec::with_capacity(fields.len());
            for field in fields {
                let val = decode(types, field.ty, dec, room).map_err(|e| e.below(format_args!(".{}", field.name)))?;
                vals.push((field.name.clone(), val));
            }
            dec.struct_end()?;
            Val::Record(vals)
        }
        TypeDef::Tuple(items) => {
            room.take_many(items.len(), VAL_BYTES)?;
            dec.struct_begin()?;
            let mut vals = Vec::with_capacity(items.len());
            for (place, item) in items.iter().enumerate() {
                vals.push(decode(types, *item, dec, room).map_err(|e| e.below(format_args!(".{place}")))?);
            }
            dec.struct_end()?;
            Val::Tuple(vals)
        }
        TypeDef::Variant(cases) => {
            let index = dec.variant()?;
            let case = indexed(cases, index, "case")?;
            room.take_name(&case.name)?;
            let payload =
                decode_payload(types, case.ty, dec, room).map_err(|e| e.below(format_args!(".{}", case.name)))?;
            Val::Variant(case.name.clone(), payload)
        }
        TypeDef::Enum(names) => {
            let name = indexed(names, dec.enum_()?, "case")?;
            room.take_name(name)?;
            Val::Enum(name.clone())
        }
        TypeDef::Option(item) => Val::Option(if dec.option()? {
            room.take(VAL_BYTES)?;
            Some(Box::new(decode(types, *item, dec, room).map_err(|e| e.below(".some"))?))
        } else {
            None
        }),
        TypeDef::Result { ok, err } => Val::Result(if dec.result()? {
            Ok(decode_payload(types, *ok, dec, room).map_err(|e| e.below(".ok"))?)
        } else {
            Err(decode_payload(types, *err, dec, room).map_err(|e| e.below(".err"))?)
        }),
        TypeDef::Flags(names) => {
            let set = dec.flags()?;
            Val::Flags(named(names, set, room)?)
        }
        _ => return Err(CodecFault::NotCarried { wit: types.wit(ty).to_string() }.into()),
    })
}

fn encode_payload<'t>(
    types: &'t TypeRegistry,
    ty: Option<TypeId>,
    val: Option<&Val>,
    enc: &mut Encoder,
    names: &mut Names<'t>,
) -> Coded<()> {
    match (ty, val) {
        (None, None) => Ok(enc.unit()?),
        (Some(ty), Some(val)) => encode(types, ty, val, enc, names),
        (None, Some(val)) => Err(CodecFault::Type { wanted: "nothing".into(), found: kind(val) }.into()),
        (Some(ty), None) => Err(CodecFault::Type { wanted: types.wit(ty).to_string(), found: "nothing" }.into()),
    }
}

fn decode_payload(
    types: &TypeRegistry,
    ty: Option<TypeId>,
    dec: &mut Decoder<'_>,
    room: &mut Room,
) -> Coded<Option<Box<Val>>> {
    let Some(ty) = ty else {
        dec.unit()?;
        return Ok(None);
    };
    room.take(VAL_BYTES)?;
    Ok(Some(Box::new(decode(types, ty, dec, room)?)))
}

/// The three forms of a list: bytes, packed rows, one item after another.
fn encode_list<'t>(
    types: &'t TypeRegistry,
    item: TypeId,
    vals: &[Val],
    enc: &mut Encoder,
    names: &mut Names<'t>,
) -> Coded<()> {
    let at = |place: usize| move |e: CodecError| e.below(format_args!("[{place}]"));
    if matches!(types.def(item), TypeDef::U8) {
        let mut bytes = Vec::with_capacity(vals.len());
        for (place, val) in vals.iter().enumerate() {
            push_row(types, item, val, &mut bytes, names).map_err(at(place))?;
        }
        enc.bytes(&bytes)?;
    } else if let Some(shape) = types.row_shape(item) {
        let shape = shape.as_shape();
        let mut rows = Vec::with_capacity(vals.len().saturating_mul(shape.width() as usize));
        for (place, val) in vals.iter().enumerate() {
            push_row(types, item, val, &mut rows, names).map_err(at(place))?;
        }
        enc.rows(&shape, count(vals.len())?, &rows)?;
    } else {
        enc.list_begin(count(vals.len())?)?;
        for (place, val) in vals.iter().enumerate() {
            encode(types, item, val, enc, names).map_err(at(place))?;
        }
        enc.list_end()?;
    }
    Ok(())
}

fn decode_list(
    types: &TypeRegistry,
    item: TypeId,
    length: Option<u32>,
    dec: &mut Decoder<'_>,
    room: &mut Room,
) -> Coded<Vec<Val>> {
    let check = |found: usize| length.map_or(Ok(()), |length| fixed(found, length));
    if matches!(types.def(item), TypeDef::U8) {
        let bytes = dec.bytes()?;
        check(bytes.len())?;
        room.take_many(bytes.len(), VAL_BYTES)?;
        return Ok(bytes.iter().map(|byte| Val::U8(*byte)).collect());
    }
    if let Some(shape) = types.row_shape(item) {
        let rows = dec.rows()?;
        if rows.shape() != shape.as_shape() {
            return Err(CodecFault::ListForm.into());
        }
        check(rows.count() as usize)?;
        room.take_many(rows.count() as usize, VAL_BYTES)?;
        let mut vals = Vec::with_capacity(rows.count() as usize);
        for (place, mut row) in rows.iter().enumerate() {
            vals.push(take_row(types, item, &mut row, room).map_err(|e| e.below(format_args!("[{place}]")))?);
        }
        return Ok(vals);
    }
    let count = dec.list_begin()?;
    check(count as usize)?;
    let mut vals = Vec::new();
    for place in 0..count {
        room.take(VAL_BYTES)?;
        vals.push(decode(types, item, dec, room).map_err(|e| e.below(format_args!("[{place}]")))?);
    }
    dec.list_end()?;
    Ok(vals)
}

/// Appends a value of fixed width to a row.
fn push_row<'t>(types: &'t TypeRegistry, ty: TypeId, val: &Val, row: &mut Vec<u8>, names: &mut Names<'t>) -> Coded<()> {
    match (types.def(ty), val) {
        (TypeDef::Bool, Val::Bool(v)) => row.push(u8::from(*v)),
        (TypeDef::U8, Val::U8(v)) => row.push(*v),
        (TypeDef::U16, Val::U16(v)) => row.extend(v.to_le_bytes()),
        (TypeDef::U32, Val::U32(v)) => row.extend(v.to_le_bytes()),
        (TypeDef::U64, Val::U64(v)) => row.extend(v.to_le_bytes()),
        (TypeDef::S8, Val::S8(v)) => row.extend(v.to_le_bytes()),
        (TypeDef::S16, Val::S16(v)) => row.extend(v.to_le_bytes()),
        (TypeDef::S32, Val::S32(v)) => row.extend(v.to_le_bytes()),
        (TypeDef::S64, Val::S64(v)) => row.extend(v.to_le_bytes()),
        (TypeDef::F32, Val::Float32(v)) => row.extend(if v.is_nan() { NAN_32 } else { v.to_bits() }.to_le_bytes()),
        (TypeDef::F64, Val::Float64(v)) => row.extend(if v.is_nan() { NAN_64 } else { v.to_bits() }.to_le_bytes()),
        (TypeDef::Char, Val::Char(v)) => row.extend(u32::from(*v).to_le_bytes()),
        (TypeDef::Enum(cases), Val::Enum(name)) => {
            let index = names.of(ty, cases, name)?.to_le_bytes();
            row.extend(&index[..enum_width(cases.len())]);
        }
        (TypeDef::Flags(labels), Val::Flags(set)) => {
            let set = bits(labels, set)?.to_le_bytes();
            row.extend(&set[..flags_width(labels.len())]);
        }
        (TypeDef::Record(fields), Val::Record(vals)) => {
            same_fields(fields, vals)?;
            for (field, (_, val)) in fields.iter().zip(vals) {
                push_row(types, field.ty, val, row, names).map_err(|e| e.below(format_args!(".{}", field.name)))?;
            }
        }
        (TypeDef::Tuple(items), Val::Tuple(vals)) => {
            same_length(items.len(), vals.len())?;
            for (place, (item, val)) in items.iter().zip(vals).enumerate() {
                push_row(types, *item, val, row, names).map_err(|e| e.below(format_args!(".{place}")))?;
            }
        }
        _ => return Err(CodecFault::Type { wanted: types.wit(ty).to_string(), found: kind(val) }.into()),
    }
    Ok(())
}

/// Takes a value of fixed width from the front of a row, whose bools, chars and NaNs neopack has checked.
fn take_row(types: &TypeRegistry, ty: TypeId, row: &mut &[u8], room: &mut Room) -> Coded<Val> {
    fn take<const N: usize>(row: &mut &[u8]) -> Coded<[u8; N]> {
        let (head, tail) = row.split_first_chunk::<N>().ok_or(CodecFault::ListForm)?;
        *row = tail;
        Ok(*head)
    }
    fn index(row: &mut &[u8], width: usize) -> Coded<u32> {
        Ok(match width {
            1 => u32::from(u8::from_le_bytes(take(row)?)),
            2 => u32::from(u16::from_le_bytes(take(row)?)),
            _ => u32::from_le_bytes(take(row)?),
        })
    }
    Ok(match types.def(ty) {
        TypeDef::Bool => Val::Bool(take::<1>(row)? == [1]),
        TypeDef::U8 => Val::U8(u8::from_le_bytes(take(row)?)),
        TypeDef::U16 => Val::U16(u16::from_le_bytes(take(row)?)),
        TypeDef::U32 => Val::U32(u32::from_le_bytes(take(row)?)),
        TypeDef::U64 => Val::U64(u64::from_le_bytes(take(row)?)),
        TypeDef::S8 => Val::S8(i8::from_le_bytes(take(row)?)),
        TypeDef::S16 => Val::S16(i16::from_le_bytes(take(row)?)),
        TypeDef::S32 => Val::S32(i32::from_le_bytes(take(row)?)),
        TypeDef::S64 => Val::S64(i64::from_le_bytes(take(row)?)),
        TypeDef::F32 => Val::Float32(f32::from_le_bytes(take(row)?)),
        TypeDef::F64 => Val::Float64(f64::from_le_bytes(take(row)?)),
        TypeDef::Char => {
            let scalar = u32::from_le_bytes(take(row)?);
            Val::Char(char::from_u32(scalar).ok_or(CodecFault::ListForm)?)
        }
        TypeDef::Enum(names) => {
            let name = indexed(names, index(row, enum_width(names.len()))?, "case")?;
            room.take_name(name)?;
            Val::Enum(name.clone())
        }
        TypeDef::Flags(names) => {
            let set = index(row, flags_width(names.len()))?;
            Val::Flags(named(names, set, room)?)
        }
        TypeDef::Record(fields) => {
            room.take_fields(fields)?;
            let mut vals = Vec::with_capacity(fields.len());
            for field in fields {
                let val = take_row(types, field.ty, row, room).map_err(|e| e.below(format_args!(".{}", field.name)))?;
                vals.push((field.name.clone(), val));
            }
            Val::Record(vals)
        }
        TypeDef::Tuple(items) => {
            room.take_many(items.len(), VAL_BYTES)?;
            let mut vals = Vec::with_capacity(items.len());
            for (place, item) in items.iter().enumerate() {
                vals.push(take_row(types, *item, row, room).map_err(|e| e.below(format_args!(".{place}")))?);
            }
            Val::Tuple(vals)
        }
        _ => return Err(CodecFault::ListForm.into()),
    })
}

/// The one NaN of 32 bits that travels.
pub(crate) const NAN_32: u32 = 0x7fc0_0000;
/// The one NaN of 64 bits that travels.
pub(crate) const NAN_64: u64 = 0x7ff8_0000_0000_0000;

fn enum_width(cases: usize) -> usize {
    neopack::Width::for_cases(u32::try_from(cases).unwrap_or(u32::MAX)).bytes() as usize
}

fn flags_width(flags: usize) -> usize {
    neopack::Width::for_flags(u32::try_from(flags).unwrap_or(u32::MAX)).bytes() as usize
}

fn count(length: usize) -> Coded<u32> {
    u32::try_from(length).map_err(|_| CodecFault::TooLarge { limit: u32::MAX.into() }.into())
}

fn fixed(found: usize, length: u32) -> Coded<()> {
    if found == length as usize {
        return Ok(());
    }
    Err(CodecFault::Value { wanted: format!("a list of {length}"), found: format!("a list of {found}") }.into())
}

fn same_length(wanted: usize, found: usize) -> Coded<()> {
    if found == wanted {
        return Ok(());
    }
    Err(CodecFault::Value { wanted: format!("{wanted} items"), found: format!("{found} items") }.into())
}

fn same_fields(fields: &[Field], vals: &[(String, Val)]) -> Coded<()> {
    same_length(fields.len(), vals.len())?;
    for (field, (name, _)) in fields.iter().zip(vals) {
        if field.name != *name {
            return Err(CodecFault::Value {
                wanted: format!("field `{}`", field.name),
                found: format!("field `{name}`"),
            }
            .into());
        }
    }
    Ok(())
}

/// Finds the numbers of cases by their names.
///
/// A type may have 10,000 cases and a list a million of its values, so that
/// looking through the names for each would keep a thread for minutes: a type
/// that is met often gets a table.
#[derive(Default)]
struct Names<'t> {
    met: HashMap<TypeId, Met<'t>>,
}

/// A type with many names, and how often it was met.
enum Met<'t> {
    Times(u32),
    Table(HashMap<&'t str, u32>),
}

/// Names that are looked through one by one, however often.
const NAMES_FEW: usize = 16;
/// Times that a type with more is looked through before it gets a table.
const TIMES_FEW: u32 = 8;

impl<'t> Names<'t> {
    fn of(&mut self, ty: TypeId, names: &'t [String], name: &str) -> Coded<u32> {
        self.find(ty, names, String::as_str, name)
    }

    fn case(&mut self, ty: TypeId, cases: &'t [Case], name: &str) -> Coded<u32> {
        self.find(ty, cases, |case| &case.name, name)
    }

    fn find<T>(&mut self, ty: TypeId, items: &'t [T], of: fn(&'t T) -> &'t str, name: &str) -> Coded<u32> {
        let found = if items.len() <= NAMES_FEW {
            items.iter().position(|item| of(item) == name).and_then(|at| u32::try_from(at).ok())
        } else {
            let met = self.met.entry(ty).or_insert(Met::Times(0));
            if let Met::Times(times) = met {
                *times += 1;
                if *times > TIMES_FEW {
                    *met = Met::Table(items.iter().map(of).zip(0..).collect());
                }
            }
            match met {
                Met::Table(table) => table.get(name).copied(),
                Met::Times(_) => items.iter().position(|item| of(item) == name).and_then(|at| u32::try_from(at).ok()),
            }
        };
        found.ok_or_else(|| unknown("case", name))
    }
}

fn indexed<'t, T>(known: &'t [T], index: u32, what: &str) -> Coded<&'t T> {
    known.get(index as usize).ok_or_else(|| {
        CodecFault::Value { wanted: format!("one of {} {what}s", known.len()), found: format!("{what} number {index}") }
            .into()
    })
}

/// The bit set of those names.
fn bits(names: &[String], set: &[String]) -> Coded<u32> {
    let mut bits = 0u32;
    for name in set {
        let at = names.iter().position(|known| known == name).ok_or_else(|| unknown("flag", name))?;
        bits |= 1u32.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).ok_or_else(|| unknown("flag", name))?;
    }
    Ok(bits)
}

/// The names of a bit set, in their order.
fn named(names: &[String], set: u32, room: &mut Room) -> Coded<Vec<String>> {
    let known = if names.len() >= 32 { u32::MAX } else { (1u32 << names.len()) - 1 };
    if set & !known != 0 {
        let found = format!("flags {set:#b}");
        return Err(CodecFault::Value { wanted: format!("{} flags", names.len()), found }.into());
    }
    let mut found = Vec::with_capacity(set.count_ones() as usize);
    for (_, name) in names.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0) {
        room.take_name(name)?;
        found.push(name.clone());
    }
    Ok(found)
}

fn unknown(what: &str, name: &str) -> CodecError {
    CodecFault::Value { wanted: format!("a {what} of the type"), found: format!("{what} `{name}`") }.into()
}

/// What a value is, in a word.
fn kind(val: &Val) -> &'static str {
    match val {
        Val::Bool(_) => "bool",
        Val::S8(_) => "s8",
        Val::U8(_) => "u8",
        Val::S16(_) => "s16",
        Val::U16(_) => "u16",
        Val::S32(_) => "s32",
        Val::U32(_) => "u32",
        Val::S64(_) => "s64",
        Val::U64(_) => "u64",
        Val::Float32(_) => "f32",
        Val::Float64(_) => "f64",
        Val::Char(_) => "char",
        Val::String(_) => "string",
        Val::List(_) => "a list",
        Val::Map(_) => "a map",
        Val::Record(_) => "a record",
        Val::Tuple(_) => "a tuple",
        Val::Variant(..) => "a variant",
        Val::Enum(_) => "an enum",
        Val::Option(_) => "an option",
        Val::Result(_) => "a result",
        Val::Flags(_) => "flags",
        Val::Resource(_) => "a resource",
        Val::Future(_) => "a future",
        Val::Stream(_) => "a stream",
        Val::ErrorContext(_) => "an error-context",
        Val::FixedLengthList(_) => "a fixed-length list",
    }
}
