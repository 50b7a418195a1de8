//! Values by their Rust type: [`Pack`], [`Unpack`] and what they are made of.

pub mod form;
mod impls;
mod item;
mod list;
mod row;
mod writer;

use alloc::vec::Vec;

use self::form::Form;
pub(crate) use self::item::Cursor;
pub use self::item::{Fields, Item};
use self::row::RowPart;
use self::writer::Writer;
use crate::error::{DecodeError, EncodeError, Place};
use crate::limits::Limits;
use crate::nest::Slot;

/// A type whose values can be packed.
///
/// Implemented for the scalars, text, options, results, lists, tuples, arrays, maps in the order of their keys, and by
/// `#[derive(Pack)]` (feature `derive`) for structs and enums. A `Vec<u8>` is Bytes; a list of scalars, of enums without
/// payload, and of structs and tuples of nothing else is Rows; other lists are List: as the specification says of WIT's
/// types, so the bytes are those of any other implementation.
///
/// ```
/// use neopack::Pack;
/// use neopack::form::Record;
/// # use neopack::form::Both;
///
/// /// A record of one field in WIT.
/// struct Reading {
///     celsius: f32,
/// }
///
/// impl Pack for Reading {
///     type Form<'s> = Record<f32>;
///
///     fn form(&self) -> Record<f32> {
///         Record(self.celsius)
///     }
/// }
///
/// assert_eq!(neopack::pack(&Reading { celsius: 1.5 })?, [0x14, 5, 0, 0, 0, 0x0a, 0, 0, 0xc0, 0x3f]);
/// # Ok::<(), neopack::EncodeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be packed",
    note = "`#[derive(neopack::Pack)]` makes a type of one's own so; `usize`, `isize` and the 128-bit integers are no \
            types of WIT"
)]
pub trait Pack {
    /// What the value is packed as: exactly one item.
    type Form<'s>: Form
    where
        Self: 's;

    /// The value as its form; called for every value once, so it should copy no more than references.
    fn form(&self) -> Self::Form<'_>;

    /// The list as it is, of a type that is a byte.
    #[doc(hidden)]
    #[inline(always)]
    fn as_bytes(_items: &[Self]) -> Option<&[u8]>
    where
        Self: Sized,
    {
        None
    }
}

/// A type whose values can be made of packed ones, perhaps borrowing from the input.
///
/// Implemented for the types that [`Pack`] is, with `&str` and `&[u8]` borrowed.
///
/// ```
/// use neopack::form::{NoRow, Record};
/// use neopack::{DecodeError, Item, Unpack};
///
/// #[derive(Debug, PartialEq)]
/// struct Label<'a>(&'a str);
///
/// impl<'a> Unpack<'a> for Label<'a> {
///     type Row = NoRow;
///
///     fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
///         item.record(|fields| Ok(Self(fields.field()?)))
///     }
///
///     fn from_row(_: NoRow) -> Option<Self> {
///         None
///     }
/// }
///
/// let bytes = neopack::pack(&("apples",))?;
/// assert_eq!(neopack::unpack::<Label<'_>>(&bytes)?, Label("apples"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be unpacked",
    note = "`#[derive(neopack::Unpack)]` makes a type of one's own so; `usize`, `isize` and the 128-bit integers are no \
            types of WIT"
)]
pub trait Unpack<'a>: Sized {
    /// What the value is in a row, or [`NoRow`](form::NoRow).
    type Row: RowPart;

    /// Reads the value from the item that it is.
    ///
    /// # Errors
    /// As [`Item`] says.
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError>;

    /// The value of a row; `None` if it is none, as a case that the type does not have.
    fn from_row(row: Self::Row) -> Option<Self>;

    /// The list, of a type that is a byte.
    #[doc(hidden)]
    #[inline(always)]
    fn from_bytes(_bytes: &[u8]) -> Option<Vec<Self>> {
        None
    }
}

/// Packs a value into a buffer of its own.
///
/// ```
/// assert_eq!(neopack::pack(&(7_u8, "a"))?, [0x14, 8, 0, 0, 0, 0x02, 7, 0x10, 1, 0, 0, 0, b'a']);
/// # Ok::<(), neopack::EncodeError>(())
/// ```
///
/// # Errors
/// [`EncodeError::TooLarge`], [`EncodeError::TooDeep`].
#[inline]
pub fn pack<T: Pack + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    pack_into(value, &mut out)?;
    Ok(out)
}

/// Packs a value behind what stands in `out`, which is as it was if that fails.
///
/// With a buffer that is used again and large enough, nothing is allocated.
///
/// # Errors
/// [`EncodeError::TooLarge`], [`EncodeError::TooDeep`].
#[inline]
pub fn pack_into<T: Pack + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let base = out.len();
    pack_item(value, out, base, Limits::new(), Limits::new().depth() as u8)
}

/// Packs a value that belongs to what starts at `base`, with `depth` levels of containers to go.
#[inline(always)]
pub(crate) fn pack_item<T: Pack + ?Sized>(
    value: &T,
    out: &mut Vec<u8>,
    base: usize,
    limits: Limits,
    depth: u8,
) -> Result<(), EncodeError> {
    let start = out.len();
    let mut writer = Writer::new(out, base, limits);
    let result = match writer.write(&value.form(), depth) {
        Ok(()) => writer.finish(),
        Err(error) => Err(error),
    };
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Makes a value of exactly `bytes`.
///
/// ```
/// let bytes = neopack::pack(&vec![Some("a"), None])?;
/// assert_eq!(neopack::unpack::<Vec<Option<&str>>>(&bytes)?, [Some("a"), None]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`DecodeError`] with the first fault.
#[inline]
pub fn unpack<'a, T: Unpack<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let limits = Limits::new();
    if bytes.len() > limits.bytes() as usize {
        return Err(DecodeError::TooLarge { limit: limits.bytes(), found: bytes.len() });
    }
    let mut cursor = Cursor::new(bytes, bytes.len(), Place::Root, limits);
    let value = cursor.one(Slot::Plain, limits.depth() as u8)?;
    match cursor.left() {
        0 => Ok(value),
        left => Err(DecodeError::Trailing { offset: cursor.offset(), inside: Place::Root, bytes: left }),
    }
}
