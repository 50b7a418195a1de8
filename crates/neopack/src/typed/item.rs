//! One item to be read by its type, without the decoder's stack: the calls are the stack, as deep as the type.

use alloc::vec::Vec;
use core::str;

use crate::decoder::{COUNT_BYTES, HEAD_BYTES, bad_text, read_rows};
use crate::error::{DecodeError, Place, Want};
use crate::limits::Limits;
use crate::nest::Slot;
use crate::rows::Rows;
use crate::scan;
use crate::shape::Shape;
use crate::tag::Tag;
use crate::typed::Unpack;
use crate::typed::row::{ListForm, Row, RowPart, Shaped, larger};

/// What is left to read of one container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// Where in the input the container ends.
    end: usize,
    place: Place,
    limits: Limits,
}

impl<'a> Cursor<'a> {
    #[inline(always)]
    pub(crate) fn new(rest: &'a [u8], end: usize, place: Place, limits: Limits) -> Self {
        Self { rest, end, place, limits }
    }

    #[inline(always)]
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline(always)]
    pub(crate) fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    #[inline(always)]
    fn inner(&self, rest: &'a [u8], end: usize, place: Place) -> Self {
        Self { rest, end, place, limits: self.limits }
    }

    /// Reads one item; a type that reads none would leave what holds it without its item.
    #[inline(always)]
    pub(crate) fn one<T: Unpack<'a>>(&mut self, slot: Slot, depth: u8) -> Result<T, DecodeError> {
        let before = self.rest.len();
        let value = T::unpack(Item { cursor: self, slot, depth })?;
        if self.rest.len() == before { Err(self.unfinished()) } else { Ok(value) }
    }

    #[inline(always)]
    fn one_with<T>(
        &mut self,
        slot: Slot,
        depth: u8,
        read: impl FnOnce(Item<'_, 'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let before = self.rest.len();
        let value = read(Item { cursor: self, slot, depth })?;
        if self.rest.len() == before { Err(self.unfinished()) } else { Ok(value) }
    }

    /// Why an item that takes `needed` bytes could not be read.
    #[cold]
    #[inline(never)]
    fn refuse(self, slot: Slot, expected: Want, needed: usize) -> DecodeError {
        let (offset, held) = (self.offset(), self.rest.len());
        let Some(&found) = self.rest.first() else {
            if self.place == Place::Struct && slot == Slot::Plain {
                return DecodeError::NoItem { offset, expected, inside: self.place };
            }
            return DecodeError::Truncated { offset, expected, needed: 1, held };
        };
        match Tag::from_byte(found) {
            None => DecodeError::UnknownTag { offset, expected, found },
            Some(found) if !expected.admits(found) => DecodeError::WrongTag { offset, expected, found },
            Some(_) => DecodeError::Truncated { offset, expected, needed, held },
        }
    }

    #[cold]
    fn too_deep(self) -> DecodeError {
        DecodeError::TooDeep { offset: self.offset(), limit: self.limits.depth() }
    }

    #[cold]
    fn unfinished(self) -> DecodeError {
        DecodeError::Unfinished { offset: self.offset(), inside: self.place }
    }

    #[cold]
    fn unread(self) -> DecodeError {
        DecodeError::Unread { offset: self.offset(), inside: self.place, bytes: self.rest.len() }
    }

    #[cold]
    fn trailing(self) -> DecodeError {
        DecodeError::Trailing { offset: self.offset(), inside: self.place, bytes: self.rest.len() }
    }
}

/// One item that is to be read; every method takes it and reads it whole.
///
/// # Errors
/// What a [`Decoder`](crate::Decoder) says of the same bytes where they are no value or of another kind.
#[derive(Debug)]
pub struct Item<'r, 'a> {
    cursor: &'r mut Cursor<'a>,
    slot: Slot,
    depth: u8,
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $tag:ident;)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`Item`] says.
            #[inline(always)]
            pub fn $name(self) -> Result<$type, DecodeError> {
                Ok(<$type>::from_le_bytes(self.fixed(Tag::$tag)?))
            }
        )+
    };
}

impl<'a> Item<'_, 'a> {
    numbers! {
        /// Reads an unsigned integer of 8 bits.
        u8: u8 = U8;
        /// Reads an unsigned integer of 16 bits.
        u16: u16 = U16;
        /// Reads an unsigned integer of 32 bits.
        u32: u32 = U32;
        /// Reads an unsigned integer of 64 bits.
        u64: u64 = U64;
        /// Reads a signed integer of 8 bits.
        s8: i8 = S8;
        /// Reads a signed integer of 16 bits.
        s16: i16 = S16;
        /// Reads a signed integer of 32 bits.
        s32: i32 = S32;
        /// Reads a signed integer of 64 bits.
        s64: i64 = S64;
        /// Reads a bit set; whether all bits have a meaning is for the caller to check.
        flags: u32 = Flags;
        /// Reads a resource handle, which means something only on its connection.
        handle: u64 = Handle;
        /// Reads the id of a channel.
        channel: u64 = Channel;
    }

    /// Reads a bool.
    ///
    /// # Errors
    /// [`DecodeError::BadBool`], and as [`Item`] says.
    #[inline(always)]
    pub fn bool(self) -> Result<bool, DecodeError> {
        let offset = self.cursor.offset() + 1;
        match self.fixed(Tag::Bool)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(DecodeError::BadBool { offset, found }),
        }
    }

    /// Reads a float of 32 bits.
    ///
    /// # Errors
    /// [`DecodeError::BadNan`], and as [`Item`] says.
    #[inline(always)]
    pub fn f32(self) -> Result<f32, DecodeError> {
        let offset = self.cursor.offset() + 1;
        let bits = u32::from_le_bytes(self.fixed(Tag::F32)?);
        if !scan::is_canonical32(bits) {
            return Err(DecodeError::BadNan { offset, found: bits.into() });
        }
        Ok(f32::from_bits(bits))
    }

    /// Reads a float of 64 bits.
    ///
    /// # Errors
    /// [`DecodeError::BadNan`], and as [`Item`] says.
    #[inline(always)]
    pub fn f64(self) -> Result<f64, DecodeError> {
        let offset = self.cursor.offset() + 1;
        let bits = u64::from_le_bytes(self.fixed(Tag::F64)?);
        if !scan::is_canonical64(bits) {
            return Err(DecodeError::BadNan { offset, found: bits });
        }
        Ok(f64::from_bits(bits))
    }

    /// Reads a char.
    ///
    /// # Errors
    /// [`DecodeError::BadChar`], and as [`Item`] says.
    #[inline(always)]
    pub fn char(self) -> Result<char, DecodeError> {
        let offset = self.cursor.offset() + 1;
        let found = u32::from_le_bytes(self.fixed(Tag::Char)?);
        char::from_u32(found).ok_or(DecodeError::BadChar { offset, found })
    }

    /// Reads a string, borrowed from the input.
    ///
    /// # Errors
    /// [`DecodeError::BadText`], and as [`Item`] says.
    #[inline(always)]
    pub fn str(self) -> Result<&'a str, DecodeError> {
        let (body, rest) = self.body(Tag::Str)?;
        match str::from_utf8(body) {
            Ok(text) => {
                self.cursor.rest = rest;
                Ok(text)
            }
            Err(error) => Err(bad_text(self.cursor.offset() + HEAD_BYTES, body, error)),
        }
    }

    /// Reads bytes, borrowed from the input.
    ///
    /// # Errors
    /// As [`Item`] says.
    #[inline(always)]
    pub fn bytes(self) -> Result<&'a [u8], DecodeError> {
        let (body, rest) = self.body(Tag::Bytes)?;
        self.cursor.rest = rest;
        Ok(body)
    }

    /// Reads Unit.
    ///
    /// # Errors
    /// [`DecodeError::MisplacedUnit`], and as [`Item`] says.
    #[inline(always)]
    pub fn unit(self) -> Result<(), DecodeError> {
        let is_admitted = match self.slot {
            Slot::Choice => true,
            Slot::Plain => self.cursor.place == Place::Root,
            Slot::Some => false,
        };
        let offset = self.cursor.offset();
        let [] = self.fixed(Tag::Unit)?;
        if is_admitted { Ok(()) } else { Err(DecodeError::MisplacedUnit { offset }) }
    }

    /// Reads an option.
    ///
    /// # Errors
    /// As [`Item`] says.
    #[inline(always)]
    pub fn option<T: Unpack<'a>>(self) -> Result<Option<T>, DecodeError> {
        match self.cursor.rest.split_first() {
            Some((&tag, rest)) if tag == Tag::Some as u8 => {
                let depth = self.deeper()?;
                self.cursor.rest = rest;
                self.cursor.one(Slot::Some, depth).map(Some)
            }
            Some((&tag, rest)) if tag == Tag::None as u8 => {
                self.cursor.rest = rest;
                Ok(None)
            }
            _ => Err(self.cursor.refuse(self.slot, Want::Option, 1)),
        }
    }

    /// Reads a result; `()` stands for a side that carries nothing.
    ///
    /// # Errors
    /// As [`Item`] says.
    #[inline(always)]
    pub fn result<T: Unpack<'a>, E: Unpack<'a>>(self) -> Result<Result<T, E>, DecodeError> {
        let (is_ok, rest) = match self.cursor.rest.split_first() {
            Some((&tag, rest)) if tag == Tag::ResultOk as u8 => (true, rest),
            Some((&tag, rest)) if tag == Tag::ResultErr as u8 => (false, rest),
            _ => return Err(self.cursor.refuse(self.slot, Want::Result, 1)),
        };
        let depth = self.deeper()?;
        self.cursor.rest = rest;
        if is_ok { self.cursor.one(Slot::Choice, depth).map(Ok) } else { self.cursor.one(Slot::Choice, depth).map(Err) }
    }

    /// Reads the case of an enum that has so many.
    ///
    /// # Errors
    /// [`DecodeError::BadCase`], and as [`Item`] says.
    #[inline(always)]
    pub fn enum_(self, cases: u32) -> Result<u32, DecodeError> {
        let offset = self.cursor.offset() + 1;
        let found = u32::from_le_bytes(self.fixed(Tag::Enum)?);
        if found < cases { Ok(found) } else { Err(DecodeError::BadCase { offset, cases, found }) }
    }

    /// Reads a variant that has so many cases: `payload` gets the case's index and reads what it carries, if only Unit.
    ///
    /// # Errors
    /// [`DecodeError::BadCase`], and as [`Item`] says.
    #[inline(always)]
    pub fn variant<T>(
        self,
        cases: u32,
        payload: impl FnOnce(u32, Item<'_, 'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let (index, rest) = self.front(Tag::Variant)?;
        let depth = self.deeper()?;
        let index = u32::from_le_bytes(index);
        if index >= cases {
            return Err(DecodeError::BadCase { offset: self.cursor.offset() + 1, cases, found: index });
        }
        self.cursor.rest = rest;
        self.cursor.one_with(Slot::Choice, depth, |item| payload(index, item))
    }

    /// Reads a struct: `read` reads its fields in their order, all of them.
    ///
    /// # Errors
    /// [`DecodeError::Unread`] if it leaves any, and as [`Item`] says.
    #[inline(always)]
    pub fn record<T>(self, read: impl FnOnce(&mut Fields<'a>) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
        let (body, rest) = self.body(Tag::Struct)?;
        let depth = self.deeper()?;
        let cursor = self.cursor.inner(body, self.cursor.end - rest.len(), Place::Struct);
        let mut fields = Fields { cursor, depth };
        let value = read(&mut fields)?;
        if !fields.cursor.rest.is_empty() {
            return Err(fields.cursor.unread());
        }
        self.cursor.rest = rest;
        Ok(value)
    }

    /// Reads a list in the form that the type of its items has.
    ///
    /// What is reserved at once is at most twice the bytes that the list holds, and for a list that is no Rows nothing.
    ///
    /// # Errors
    /// [`DecodeError::WrongShape`], [`DecodeError::BadRow`], and as [`Item`] says.
    #[inline(always)]
    pub fn list<T: Unpack<'a>>(self) -> Result<Vec<T>, DecodeError> {
        self.list_of(None)
    }

    /// Reads a list of exactly so many items.
    ///
    /// # Errors
    /// [`DecodeError::WrongItems`], and as [`list`](Self::list) says.
    #[inline(always)]
    pub fn list_exactly<T: Unpack<'a>>(self, items: u32) -> Result<Vec<T>, DecodeError> {
        self.list_of(Some(items))
    }

    #[inline(always)]
    fn list_of<T: Unpack<'a>>(self, exactly: Option<u32>) -> Result<Vec<T>, DecodeError> {
        let offset = self.cursor.offset();
        let exact = |found: usize| match exactly {
            Some(expected) if expected as usize != found => Err(DecodeError::WrongItems { offset, expected, found }),
            Some(_) | None => Ok(()),
        };
        match const { <T::Row as Shaped>::ROW.list() } {
            ListForm::Bytes => {
                let bytes = self.bytes()?;
                exact(bytes.len())?;
                if let Some(items) = T::from_bytes(bytes) {
                    return Ok(items);
                }
                take_rows(bytes, offset + HEAD_BYTES, RowType::<T::Row>::ROW)
            }
            ListForm::Rows => {
                let rows = self.rows(RowType::<T::Row>::SHAPE)?;
                exact(rows.count() as usize)?;
                take_rows(rows.bytes(), rows.offset(), RowType::<T::Row>::ROW)
            }
            ListForm::Items => self.items(exact),
        }
    }

    #[inline(always)]
    fn items<T: Unpack<'a>>(self, exact: impl Fn(usize) -> Result<(), DecodeError>) -> Result<Vec<T>, DecodeError> {
        let (count, mut cursor, depth, rest) = self.counted(Tag::List, Place::List, 1)?;
        exact(count as usize)?;
        // It grows with what has been read, so a count that is no more than a claim costs nothing.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(cursor.one(Slot::Plain, depth)?);
        }
        if !cursor.rest.is_empty() {
            return Err(cursor.trailing());
        }
        self.cursor.rest = rest;
        Ok(items)
    }

    /// Reads a map, handing each pair to `pair` as it comes.
    ///
    /// # Errors
    /// [`DecodeError::DoubleKey`] if `pair` returns false, and as [`Item`] says.
    #[inline(always)]
    pub fn map<K: Unpack<'a>, V: Unpack<'a>>(self, mut pair: impl FnMut(K, V) -> bool) -> Result<(), DecodeError> {
        let (count, mut cursor, depth, rest) = self.counted(Tag::Map, Place::Map, 2)?;
        for _ in 0..count {
            let offset = cursor.offset();
            let (key, value) = (cursor.one(Slot::Plain, depth)?, cursor.one(Slot::Plain, depth)?);
            if !pair(key, value) {
                return Err(DecodeError::DoubleKey { offset });
            }
        }
        if !cursor.rest.is_empty() {
            return Err(cursor.trailing());
        }
        self.cursor.rest = rest;
        Ok(())
    }

    /// Where in the input the item starts.
    #[inline]
    #[must_use]
    pub fn offset(&self) -> usize {
        self.cursor.offset()
    }

    /// Reads any value.
    ///
    /// # Errors
    /// As [`Item`] says.
    #[inline(always)]
    pub fn value<T: Unpack<'a>>(self) -> Result<T, DecodeError> {
        T::unpack(self)
    }

    /// Reads rows of that shape, without looking into them.
    #[inline(always)]
    fn rows(self, shape: Shape<'static>) -> Result<Rows<'a>, DecodeError> {
        let (body, rest) = self.body(Tag::Rows)?;
        let start = self.cursor.offset() + HEAD_BYTES;
        let found = body.strip_prefix(shape.bytes()).and_then(|rest| rest.split_first_chunk::<COUNT_BYTES>());
        if let Some((count, bytes)) = found {
            let count = u32::from_le_bytes(*count);
            let fits = u64::from(count) * u64::from(shape.width()) == bytes.len() as u64;
            if fits && usize::from(self.depth) > shape.nesting() {
                self.cursor.rest = rest;
                let offset = start + shape.bytes().len() + COUNT_BYTES;
                return Ok(Rows { shape, count, bytes, offset });
            }
        }
        Err(refuse_rows(body, start, self.depth, self.cursor.limits))
    }

    /// What a list or a map is: its count, its items, and what follows it.
    #[inline(always)]
    fn counted(&self, tag: Tag, inside: Place, each: u32) -> Result<(u32, Cursor<'a>, u8, &'a [u8]), DecodeError> {
        let (body, rest) = self.body(tag)?;
        let start = self.cursor.offset();
        let Some((count, items)) = body.split_first_chunk::<COUNT_BYTES>() else {
            let (needed, held) = (HEAD_BYTES + COUNT_BYTES, HEAD_BYTES + body.len());
            return Err(DecodeError::Truncated { offset: start, expected: Want::One(tag), needed, held });
        };
        let count = u32::from_le_bytes(*count);
        let (expected, found) = (u64::from(count) * u64::from(each), items.len() as u64);
        if expected > found {
            return Err(DecodeError::WrongCount { offset: start + HEAD_BYTES, inside, expected, found });
        }
        let depth = self.deeper()?;
        Ok((count, self.cursor.inner(items, self.cursor.end - rest.len(), inside), depth, rest))
    }

    /// The bytes that the length after the tag speaks of, and what follows them.
    #[inline(always)]
    fn body(&self, tag: Tag) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
        let (len, rest) = self.front(tag)?;
        let len = u32::from_le_bytes(len) as usize;
        rest.split_at_checked(len)
            .ok_or_else(|| self.cursor.refuse(self.slot, Want::One(tag), HEAD_BYTES.saturating_add(len)))
    }

    /// The `N` bytes after the tag, and what follows them.
    #[inline(always)]
    fn front<const N: usize>(&self, tag: Tag) -> Result<([u8; N], &'a [u8]), DecodeError> {
        if let Some((&first, rest)) = self.cursor.rest.split_first()
            && let Some((bytes, rest)) = rest.split_first_chunk::<N>()
            && first == tag as u8
        {
            return Ok((*bytes, rest));
        }
        Err(self.cursor.refuse(self.slot, Want::One(tag), 1 + N))
    }

    #[inline(always)]
    fn fixed<const N: usize>(self, tag: Tag) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.front(tag)?;
        self.cursor.rest = rest;
        Ok(bytes)
    }

    #[inline(always)]
    fn deeper(&self) -> Result<u8, DecodeError> {
        self.depth.checked_sub(1).ok_or_else(|| self.cursor.too_deep())
    }
}

/// The fields of a struct, which are read in their order.
#[derive(Debug)]
pub struct Fields<'a> {
    cursor: Cursor<'a>,
    depth: u8,
}

impl<'a> Fields<'a> {
    /// Reads the next field.
    ///
    /// # Errors
    /// [`DecodeError::NoItem`] after the last, and as [`Item`] says.
    #[inline(always)]
    pub fn field<T: Unpack<'a>>(&mut self) -> Result<T, DecodeError> {
        self.cursor.one(Slot::Plain, self.depth)
    }
}

/// The row of a type, where a reference to it can live.
struct RowType<R>(R);

impl<R: RowPart> RowType<R> {
    const ROW: &'static Row = &R::ROW;
    const SHAPE: Shape<'static> = Self::ROW.shape();
}

/// Makes values of rows that are whole.
#[inline(always)]
fn take_rows<'a, T: Unpack<'a>>(bytes: &'a [u8], offset: usize, row: &'static Row) -> Result<Vec<T>, DecodeError> {
    let width = const { if T::Row::ROW.width() == 0 { 1 } else { T::Row::ROW.width() } };
    let rows = bytes.chunks_exact(width);
    // As many as there are rows, which all stand in the input, within twice their bytes.
    let mut items = Vec::with_capacity(rows.len().min(bytes.len() * 2 / const { larger(size_of::<T>(), 1) }));
    for taken in rows {
        match T::Row::take(taken).and_then(T::from_row) {
            Some(item) => items.push(item),
            None => return Err(refuse_row(bytes, items.len(), offset, row)),
        }
    }
    Ok(items)
}

/// Why a row is none of its type: bytes that are no value of a leaf, or else an index that is none of its cases.
#[cold]
#[inline(never)]
fn refuse_row(rows: &[u8], index: usize, offset: usize, row: &'static Row) -> DecodeError {
    let shape = row.shape();
    match scan::check(&shape, rows, offset, scan::Nan::Refuse) {
        Err(error) => error,
        Ok(()) => DecodeError::BadRow { offset: offset + index * shape.width() as usize },
    }
}

/// Why rows are not of the shape that was wanted.
#[cold]
#[inline(never)]
fn refuse_rows(body: &[u8], start: usize, depth: u8, limits: Limits) -> DecodeError {
    match read_rows(body, start, usize::from(depth), limits.depth()) {
        Err(error) => error,
        Ok(_) => DecodeError::WrongShape { offset: start },
    }
}
