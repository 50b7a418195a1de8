//! The encoder: a strict state machine that writes one value.

mod rows;

use alloc::vec::Vec;

use self::rows::OpenRows;
use crate::decoder::{COUNT_BYTES, Decoder, HEAD_BYTES};
use crate::error::{EncodeError, Place};
use crate::limits::Limits;
use crate::nest::{Nest, Slot};
use crate::scan::{NAN32, NAN64};
use crate::tag::Tag;
use crate::typed::{Pack, pack_item};

/// Writes one value item by item.
///
/// Lengths are patched in when a container ends, so nothing is measured beforehand. Whatever would not be a value is
/// refused when it is written: a second item at the root, a list of other than as many items as announced, an end
/// without its begin. A refused write leaves the encoder as it was.
///
/// A wrapper ([`some`](Self::some), [`variant`](Self::variant), [`result_ok`](Self::result_ok),
/// [`result_err`](Self::result_err)) holds exactly one item and ends with it.
///
/// # Errors
/// Every writing method fails with [`EncodeError::NoRoom`] if the innermost container has all its items,
/// [`EncodeError::TooLarge`] and [`EncodeError::TooDeep`] past a limit, and [`EncodeError::NotInRow`] while rows are
/// open and want something else.
///
/// ```
/// use neopack::{EncodeError, Encoder};
///
/// let mut enc = Encoder::new();
/// enc.list_begin(2)?;
/// enc.str("a")?;
/// assert_eq!(enc.list_end().unwrap_err().to_string(), "expected 1 items more in the list, found its end");
/// enc.str("b")?;
/// enc.list_end()?;
/// let bytes = enc.finish()?;
/// # assert_eq!(bytes.len(), 9 + 2 * 6);
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    out: Vec<u8>,
    /// Where in `out` the value starts.
    base: usize,
    nest: Nest,
    rows: Option<OpenRows>,
    limits: Limits,
}

macro_rules! scalars {
    ($($(#[$doc:meta])* $name:ident($arg:ident: $type:ty) = $tag:ident [$($byte:ident)*];)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`Encoder`] says.
            #[inline]
            pub fn $name(&mut self, $arg: $type) -> Result<(), EncodeError> {
                let [$($byte),*] = $arg.to_le_bytes();
                self.scalar(Tag::$tag, [Tag::$tag as u8, $($byte),*])
            }
        )+
    };
}

impl Encoder {
    /// An encoder with a buffer of its own and the format's own limits.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// An encoder with a buffer of its own and lower limits.
    #[inline]
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self::from_vec_with_limits(Vec::new(), limits)
    }

    /// An encoder that appends to `out`, so that a buffer is used again or a header stands before the value.
    ///
    /// What stands in `out` stays there and counts toward no limit.
    ///
    /// ```
    /// let mut enc = neopack::Encoder::from_vec(b"head".to_vec());
    /// enc.bool(true)?;
    /// assert_eq!(enc.finish()?, b"head\x01\x01");
    /// # Ok::<(), neopack::EncodeError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn from_vec(out: Vec<u8>) -> Self {
        Self::from_vec_with_limits(out, Limits::new())
    }

    /// [`from_vec`](Self::from_vec) with lower limits.
    #[inline]
    #[must_use]
    pub fn from_vec_with_limits(out: Vec<u8>, limits: Limits) -> Self {
        let base = out.len();
        Self { out, base, nest: Nest::new(limits, 0), rows: None, limits }
    }

    scalars! {
        /// Writes an unsigned integer of 8 bits.
        u8(value: u8) = U8 [a];
        /// Writes an unsigned integer of 16 bits.
        u16(value: u16) = U16 [a b];
        /// Writes an unsigned integer of 32 bits.
        u32(value: u32) = U32 [a b c d];
        /// Writes an unsigned integer of 64 bits.
        u64(value: u64) = U64 [a b c d e f g h];
        /// Writes a signed integer of 8 bits.
        s8(value: i8) = S8 [a];
        /// Writes a signed integer of 16 bits.
        s16(value: i16) = S16 [a b];
        /// Writes a signed integer of 32 bits.
        s32(value: i32) = S32 [a b c d];
        /// Writes a signed integer of 64 bits.
        s64(value: i64) = S64 [a b c d e f g h];
        /// Writes an enum's case index.
        enum_(index: u32) = Enum [a b c d];
        /// Writes a bit set.
        flags(bits: u32) = Flags [a b c d];
        /// Writes a resource handle.
        handle(id: u64) = Handle [a b c d e f g h];
        /// Writes the id of a channel.
        channel(id: u64) = Channel [a b c d e f g h];
    }

    /// Writes a bool.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn bool(&mut self, value: bool) -> Result<(), EncodeError> {
        self.scalar(Tag::Bool, [Tag::Bool as u8, u8::from(value)])
    }

    /// Writes a float of 32 bits; every NaN becomes the canonical one.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn f32(&mut self, value: f32) -> Result<(), EncodeError> {
        let bits = if value.is_nan() { NAN32 } else { value.to_bits() };
        let [a, b, c, d] = bits.to_le_bytes();
        self.scalar(Tag::F32, [Tag::F32 as u8, a, b, c, d])
    }

    /// Writes a float of 64 bits; every NaN becomes the canonical one.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn f64(&mut self, value: f64) -> Result<(), EncodeError> {
        let bits = if value.is_nan() { NAN64 } else { value.to_bits() };
        let [a, b, c, d, e, f, g, h] = bits.to_le_bytes();
        self.scalar(Tag::F64, [Tag::F64 as u8, a, b, c, d, e, f, g, h])
    }

    /// Writes a char.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn char(&mut self, value: char) -> Result<(), EncodeError> {
        let [a, b, c, d] = u32::from(value).to_le_bytes();
        self.scalar(Tag::Char, [Tag::Char as u8, a, b, c, d])
    }

    /// Writes a string.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn str(&mut self, value: &str) -> Result<(), EncodeError> {
        self.blob(Tag::Str, value.as_bytes())
    }

    /// Writes bytes, which is how a list of u8 travels.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        self.blob(Tag::Bytes, value)
    }

    /// Writes Unit: a whole value, or what a case, an ok or an err holds that carries nothing.
    ///
    /// # Errors
    /// [`EncodeError::MisplacedUnit`], and as [`Encoder`] says.
    #[inline]
    pub fn unit(&mut self) -> Result<(), EncodeError> {
        self.room(Tag::Unit, 1)?;
        if !self.nest.admits_unit() {
            return Err(EncodeError::MisplacedUnit);
        }
        self.out.push(Tag::Unit as u8);
        self.nest.complete();
        Ok(())
    }

    /// Writes an absent value.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn none(&mut self) -> Result<(), EncodeError> {
        self.scalar(Tag::None, [Tag::None as u8])
    }

    /// Opens a present value: the next item is what it holds.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn some(&mut self) -> Result<(), EncodeError> {
        self.wrap(Tag::Some, Slot::Some, [Tag::Some as u8])
    }

    /// Opens a success: the next item, or [`unit`](Self::unit), is what it holds.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn result_ok(&mut self) -> Result<(), EncodeError> {
        self.wrap(Tag::ResultOk, Slot::Choice, [Tag::ResultOk as u8])
    }

    /// Opens a failure: the next item, or [`unit`](Self::unit), is what it holds.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn result_err(&mut self) -> Result<(), EncodeError> {
        self.wrap(Tag::ResultErr, Slot::Choice, [Tag::ResultErr as u8])
    }

    /// Opens a variant's case: the next item, or [`unit`](Self::unit), is what it carries.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn variant(&mut self, index: u32) -> Result<(), EncodeError> {
        let [a, b, c, d] = index.to_le_bytes();
        self.wrap(Tag::Variant, Slot::Choice, [Tag::Variant as u8, a, b, c, d])
    }

    /// Opens a list of exactly `count` items.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn list_begin(&mut self, count: u32) -> Result<(), EncodeError> {
        self.counted_begin(Tag::List, Place::List, count, 1)
    }

    /// Ends a list.
    ///
    /// # Errors
    /// [`EncodeError::TooFew`], [`EncodeError::Awaiting`] or [`EncodeError::WrongEnd`].
    #[inline]
    pub fn list_end(&mut self) -> Result<(), EncodeError> {
        self.end(Place::List)
    }

    /// Opens a struct; its items follow by position.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn struct_begin(&mut self) -> Result<(), EncodeError> {
        self.room(Tag::Struct, HEAD_BYTES)?;
        // The size limit bounds the items of a struct; it has no count to run out of.
        self.open(Place::Struct, u32::MAX)?;
        self.out.extend_from_slice(&[Tag::Struct as u8, 0, 0, 0, 0]);
        Ok(())
    }

    /// Ends a struct.
    ///
    /// # Errors
    /// [`EncodeError::Awaiting`] or [`EncodeError::WrongEnd`].
    #[inline]
    pub fn struct_end(&mut self) -> Result<(), EncodeError> {
        self.end(Place::Struct)
    }

    /// Opens a map of exactly `count` pairs: a key, its value, the next key, ...
    ///
    /// Pairs stand in the order they are written; neopack neither sorts them nor looks for doubles.
    ///
    /// # Errors
    /// As [`Encoder`] says.
    #[inline]
    pub fn map_begin(&mut self, count: u32) -> Result<(), EncodeError> {
        self.counted_begin(Tag::Map, Place::Map, count, 2)
    }

    /// Ends a map.
    ///
    /// # Errors
    /// [`EncodeError::TooFew`], [`EncodeError::Awaiting`] or [`EncodeError::WrongEnd`].
    #[inline]
    pub fn map_end(&mut self) -> Result<(), EncodeError> {
        self.end(Place::Map)
    }

    /// Writes an item that is encoded already, after checking that it is one.
    ///
    /// ```
    /// let mut enc = neopack::Encoder::new();
    /// enc.some()?;
    /// enc.raw(&[0x02, 7])?;
    /// assert_eq!(enc.finish()?, [0x19, 0x02, 7]);
    /// # Ok::<(), neopack::EncodeError>(())
    /// ```
    ///
    /// # Errors
    /// [`EncodeError::BadItem`], [`EncodeError::MisplacedUnit`], and as [`Encoder`] says.
    pub fn raw(&mut self, item: &[u8]) -> Result<(), EncodeError> {
        let first = item.first().copied().and_then(Tag::from_byte).unwrap_or(Tag::Unit);
        self.room(first, item.len())?;
        let limits = self.limits.depth_max(self.nest.depth_left());
        let mut decoder = Decoder::with_limits(item, limits);
        decoder.skip().and_then(|()| decoder.finish()).map_err(EncodeError::BadItem)?;
        if first == Tag::Unit && !self.nest.admits_unit() {
            return Err(EncodeError::MisplacedUnit);
        }
        self.out.extend_from_slice(item);
        self.nest.complete();
        Ok(())
    }

    /// Writes a value as the next item.
    ///
    /// ```
    /// let mut enc = neopack::Encoder::new();
    /// enc.some()?;
    /// enc.pack(&7_u8)?;
    /// assert_eq!(enc.finish()?, [0x19, 0x02, 7]);
    /// # Ok::<(), neopack::EncodeError>(())
    /// ```
    ///
    /// # Errors
    /// [`EncodeError::MisplacedUnit`], and as [`Encoder`] says.
    #[inline]
    pub fn pack<T: Pack + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let start = self.out.len();
        pack_item(value, &mut self.out, self.base, self.limits, self.nest.depth_left() as u8)?;
        let first = self.out.get(start).copied().and_then(Tag::from_byte).unwrap_or(Tag::Unit);
        let refusal = match self.room(first, 0) {
            Err(refusal) => refusal,
            Ok(()) if first == Tag::Unit && !self.nest.admits_unit() => EncodeError::MisplacedUnit,
            Ok(()) => {
                self.nest.complete();
                return Ok(());
            }
        };
        self.out.truncate(start);
        Err(refusal)
    }

    /// Whether the value is complete, so that [`finish`](Self::finish) will succeed.
    #[inline]
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.nest.top.place == Place::Root && self.nest.top.left == 0
    }

    /// Bytes of the value written so far.
    #[inline]
    #[must_use]
    pub fn written(&self) -> usize {
        self.out.len() - self.base
    }

    /// The buffer, with the complete value appended to what stood in it.
    ///
    /// # Errors
    /// [`EncodeError::Unfinished`]; the buffer is gone then, so [`abandon`](Self::abandon) where it is to be kept.
    #[inline]
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        if !self.is_complete() {
            let inside = if self.rows.is_some() { Place::Rows } else { self.nest.top.place };
            return Err(EncodeError::Unfinished { inside });
        }
        Ok(self.out)
    }

    /// The buffer as it was given, without the value, to be used again.
    #[must_use]
    pub fn abandon(mut self) -> Vec<u8> {
        self.out.truncate(self.base);
        self.out
    }

    #[inline]
    fn scalar<const N: usize>(&mut self, tag: Tag, item: [u8; N]) -> Result<(), EncodeError> {
        if self.rows.is_some() {
            return self.row_item(tag, item);
        }
        self.room(tag, N)?;
        self.out.extend_from_slice(&item);
        self.nest.complete();
        Ok(())
    }

    /// A scalar in a row; it takes the item by value, so that elsewhere that can stay in a register.
    #[inline(never)]
    fn row_item<const N: usize>(&mut self, tag: Tag, item: [u8; N]) -> Result<(), EncodeError> {
        self.row_scalar(tag, item.get(1..).unwrap_or_default())
    }

    #[inline]
    fn blob(&mut self, tag: Tag, body: &[u8]) -> Result<(), EncodeError> {
        self.room(tag, body.len().saturating_add(HEAD_BYTES))?;
        // The size limit is below what a u32 holds.
        let [a, b, c, d] = (body.len() as u32).to_le_bytes();
        self.out.reserve(HEAD_BYTES + body.len());
        self.out.extend_from_slice(&[tag as u8, a, b, c, d]);
        self.out.extend_from_slice(body);
        self.nest.complete();
        Ok(())
    }

    #[inline]
    fn wrap<const N: usize>(&mut self, tag: Tag, slot: Slot, front: [u8; N]) -> Result<(), EncodeError> {
        self.room(tag, N)?;
        if !self.nest.wrap(slot) {
            return Err(self.too_deep());
        }
        self.out.extend_from_slice(&front);
        Ok(())
    }

    #[inline]
    fn counted_begin(&mut self, tag: Tag, place: Place, count: u32, items_each: u32) -> Result<(), EncodeError> {
        self.room(tag, HEAD_BYTES + COUNT_BYTES)?;
        // Every item takes a byte or more, so a count past the size limit can be refused at once.
        let items = u64::from(count) * u64::from(items_each);
        let least = items + (HEAD_BYTES + COUNT_BYTES + self.written()) as u64;
        if least > u64::from(self.limits.bytes()) {
            return Err(self.too_large(least));
        }
        self.open(place, items as u32)?;
        let [a, b, c, d] = count.to_le_bytes();
        self.out.extend_from_slice(&[tag as u8, 0, 0, 0, 0, a, b, c, d]);
        Ok(())
    }

    /// Opens a container whose tag will stand at the end of what is written.
    #[inline]
    fn open(&mut self, place: Place, left: u32) -> Result<(), EncodeError> {
        let length_at = self.written() as u32 + 1;
        if self.nest.open(place, left, length_at) { Ok(()) } else { Err(self.too_deep()) }
    }

    #[inline]
    fn end(&mut self, place: Place) -> Result<(), EncodeError> {
        let top = self.nest.top;
        let is_complete = top.left == 0 || place == Place::Struct;
        if top.place != place || self.nest.slot != Slot::Plain || self.rows.is_some() || !is_complete {
            return Err(self.refuse_end(place));
        }
        self.patch_length(top.mark);
        self.nest.close();
        Ok(())
    }

    /// Writes how many bytes follow the length that stands at `length_at`.
    #[inline]
    fn patch_length(&mut self, length_at: u32) {
        let len = self.written() as u32 - length_at - LENGTH_BYTES as u32;
        let field = self.out.get_mut(self.base + length_at as usize..).and_then(<[u8]>::first_chunk_mut);
        if let Some(field) = field {
            *field = len.to_le_bytes();
        }
    }

    /// Checks that an item may stand here and that `bytes` more are within the limit.
    #[inline]
    fn room(&self, tag: Tag, bytes: usize) -> Result<(), EncodeError> {
        let size = self.written().saturating_add(bytes);
        if self.nest.top.left == 0 || self.rows.is_some() || size > self.limits.bytes() as usize {
            return Err(self.refuse(tag, size));
        }
        Ok(())
    }

    #[cold]
    fn refuse(&self, found: Tag, size: usize) -> EncodeError {
        if let Some(rows) = &self.rows {
            return EncodeError::NotInRow { expected: self.next_leaf(rows), found };
        }
        if self.nest.top.left == 0 {
            return EncodeError::NoRoom { inside: self.nest.top.place, found };
        }
        self.too_large(size as u64)
    }

    #[cold]
    fn refuse_end(&self, expected: Place) -> EncodeError {
        let top = self.nest.top;
        let found = if self.rows.is_some() { Place::Rows } else { top.place };
        if found != expected {
            return EncodeError::WrongEnd { expected, found };
        }
        match self.nest.slot {
            Slot::Some | Slot::Choice => EncodeError::Awaiting { inside: top.place },
            Slot::Plain => EncodeError::TooFew { inside: top.place, missing: top.left.into() },
        }
    }

    #[cold]
    fn too_deep(&self) -> EncodeError {
        EncodeError::TooDeep { limit: self.nest.depth_max() }
    }

    #[cold]
    fn too_large(&self, found: u64) -> EncodeError {
        EncodeError::TooLarge { limit: self.limits.bytes(), found }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes of a length.
const LENGTH_BYTES: usize = 4;
