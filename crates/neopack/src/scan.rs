//! Looks through rows for bytes that are no value of their leaf.
//!
//! The scans go leaf by leaf, so each has one test in its loop; every byte is looked at once at most. They don't stop at
//! the first fault, which lets the compiler use wide registers; only when there is one does a second pass find it.

use crate::error::DecodeError;
use crate::shape::{Leaf, Shape};

/// What f32 NaN is on the wire.
pub(crate) const NAN32: u32 = 0x7fc0_0000;
/// What f64 NaN is on the wire.
pub(crate) const NAN64: u64 = 0x7ff8_0000_0000_0000;

#[inline]
pub(crate) const fn is_canonical32(bits: u32) -> bool {
    bits & 0x7fff_ffff <= 0x7f80_0000 || bits == NAN32
}

#[inline]
pub(crate) const fn is_canonical64(bits: u64) -> bool {
    bits & 0x7fff_ffff_ffff_ffff <= 0x7ff0_0000_0000_0000 || bits == NAN64
}

/// The same as `char::from_u32(value).is_some()`, without a branch.
#[inline]
const fn is_scalar_value(value: u32) -> bool {
    (value ^ 0xd800).wrapping_sub(0x800) < 0x11_0000 - 0x800
}

/// What to do about a NaN that is not canonical.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nan {
    Refuse,
    /// It will be [made canonical](canonicalise).
    Admit,
}

/// Checks whole rows; offsets in a refusal start from `base`.
#[inline]
pub(crate) fn check(shape: &Shape<'_>, rows: &[u8], base: usize, nan: Nan) -> Result<(), DecodeError> {
    if shape.is_checked() && !rows.is_empty() { check_leaves(shape, rows, base, nan) } else { Ok(()) }
}

fn check_leaves(shape: &Shape<'_>, rows: &[u8], base: usize, nan: Nan) -> Result<(), DecodeError> {
    let width = shape.width() as usize;
    for (leaf, offset) in shape.leaves() {
        let at = offset as usize;
        match leaf {
            Leaf::Bool => {
                if let Some((at, [found])) = find(rows, width, at, |[byte]| byte <= 1) {
                    return Err(DecodeError::BadBool { offset: base + at, found });
                }
            }
            Leaf::Char => {
                if let Some((at, found)) = find(rows, width, at, |bytes| is_scalar_value(u32::from_le_bytes(bytes))) {
                    return Err(DecodeError::BadChar { offset: base + at, found: u32::from_le_bytes(found) });
                }
            }
            Leaf::F32 if nan == Nan::Refuse => {
                if let Some((at, found)) = find(rows, width, at, |bytes| is_canonical32(u32::from_le_bytes(bytes))) {
                    return Err(DecodeError::BadNan { offset: base + at, found: u32::from_le_bytes(found).into() });
                }
            }
            Leaf::F64 if nan == Nan::Refuse => {
                if let Some((at, found)) = find(rows, width, at, |bytes| is_canonical64(u64::from_le_bytes(bytes))) {
                    return Err(DecodeError::BadNan { offset: base + at, found: u64::from_le_bytes(found) });
                }
            }
            Leaf::F32
            | Leaf::F64
            | Leaf::U8
            | Leaf::U16
            | Leaf::U32
            | Leaf::U64
            | Leaf::S8
            | Leaf::S16
            | Leaf::S32
            | Leaf::S64
            | Leaf::Enum(_)
            | Leaf::Flags(_) => {}
        }
    }
    Ok(())
}

/// Gives every NaN in whole rows its one form.
#[inline]
pub(crate) fn canonicalise(shape: &Shape<'_>, rows: &mut [u8]) {
    if !shape.is_checked() || rows.is_empty() {
        return;
    }
    let width = shape.width() as usize;
    for (leaf, offset) in shape.leaves() {
        match leaf {
            Leaf::F32 => mend(rows, width, offset as usize, |bytes| {
                if is_canonical32(u32::from_le_bytes(bytes)) { bytes } else { NAN32.to_le_bytes() }
            }),
            Leaf::F64 => mend(rows, width, offset as usize, |bytes| {
                if is_canonical64(u64::from_le_bytes(bytes)) { bytes } else { NAN64.to_le_bytes() }
            }),
            Leaf::Bool
            | Leaf::Char
            | Leaf::U8
            | Leaf::U16
            | Leaf::U32
            | Leaf::U64
            | Leaf::S8
            | Leaf::S16
            | Leaf::S32
            | Leaf::S64
            | Leaf::Enum(_)
            | Leaf::Flags(_) => {}
        }
    }
}

/// The first field of `N` bytes at `at` in a row that is not good, with its offset.
#[inline]
fn find<const N: usize>(
    rows: &[u8],
    width: usize,
    at: usize,
    good: impl Fn([u8; N]) -> bool,
) -> Option<(usize, [u8; N])> {
    if width == N {
        let (fields, _) = rows.as_chunks::<N>();
        if fields.iter().fold(true, |all, field| all & good(*field)) {
            return None;
        }
        return fields.iter().position(|field| !good(*field)).and_then(|row| Some((row * N, *fields.get(row)?)));
    }
    let field = |row: &[u8]| row.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied();
    for (index, row) in rows.chunks_exact(width).enumerate() {
        if let Some(bytes) = field(row)
            && !good(bytes)
        {
            return Some((index * width + at, bytes));
        }
    }
    None
}

/// Puts every field of `N` bytes at `at` in a row through `mended`.
#[inline]
fn mend<const N: usize>(rows: &mut [u8], width: usize, at: usize, mended: impl Fn([u8; N]) -> [u8; N]) {
    if width == N {
        let (fields, _) = rows.as_chunks_mut::<N>();
        for field in fields {
            *field = mended(*field);
        }
        return;
    }
    for row in rows.chunks_exact_mut(width) {
        if let Some(field) = row.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
            *field = mended(*field);
        }
    }
}
