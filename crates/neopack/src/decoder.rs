//! The decoder: a strict pull reader that borrows from its input.

use core::str;

use crate::error::{DecodeError, Place, Want};
use crate::limits::Limits;
use crate::nest::{Nest, Slot};
use crate::rows::Rows;
use crate::scan::{self, Nan};
use crate::shape::Shape;
use crate::tag::Tag;
use crate::typed::{Cursor, Unpack};

/// Checks that `bytes` are exactly one value within the format's own limits.
///
/// Reads every byte once, allocates nothing, never recurses.
///
/// ```
/// assert!(neopack::validate(&[0x01, 0x01]).is_ok());
/// let refusal = neopack::validate(&[0x01, 0x02]).unwrap_err();
/// assert_eq!(refusal.to_string(), "expected a bool of 0 or 1 at byte 1, found 2");
/// ```
///
/// # Errors
/// [`DecodeError`] with the first fault.
pub fn validate(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut decoder = Decoder::new(bytes);
    decoder.skip()?;
    decoder.finish()
}

/// Reads one value item by item.
///
/// Nothing is copied and nothing allocated: strings, bytes and rows borrow from the input. Every method either moves
/// past what it read or fails and leaves the decoder where it was, so another method may be tried. The decoder never
/// moves past a byte that it has not checked.
///
/// # Errors
/// Every reading method fails with a [`DecodeError`]: [`WrongTag`](DecodeError::WrongTag) if another item stands there,
/// [`NoItem`](DecodeError::NoItem) after the last item of a container, and what the bytes themselves deserve.
///
/// ```
/// use neopack::{DecodeError, Decoder};
///
/// let mut dec = Decoder::new(&[0x04, 1, 0, 0, 0]);
/// assert_eq!(dec.str().unwrap_err().to_string(), "expected Str at byte 0, found U32");
/// assert_eq!(dec.u32()?, 1);
/// dec.finish()?;
/// # Ok::<(), DecodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    input: &'a [u8],
    pos: usize,
    nest: Nest,
    limits: Limits,
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $tag:ident;)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`Decoder`] says.
            #[inline]
            pub fn $name(&mut self) -> Result<$type, DecodeError> {
                let bytes = self.fixed(Tag::$tag)?;
                self.advance(1 + bytes.len());
                Ok(<$type>::from_le_bytes(bytes))
            }
        )+
    };
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `input`, with the format's own limits.
    #[inline]
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self::with_limits(input, Limits::new())
    }

    /// A decoder at the start of `input`, with lower limits.
    ///
    /// If the input is larger than `limits` allows, every read fails with [`DecodeError::TooLarge`].
    #[inline]
    #[must_use]
    pub fn with_limits(input: &'a [u8], limits: Limits) -> Self {
        let end = u32::try_from(input.len()).ok().filter(|&len| len <= limits.bytes());
        let mut nest = Nest::new(limits, end.unwrap_or_default());
        if end.is_none() {
            // Nothing can be read; `refuse` sees why.
            nest.top.left = 0;
        }
        Self { input, pos: 0, nest, limits }
    }

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
        /// Reads an enum's case index; whether there is such a case is for the caller to check.
        enum_: u32 = Enum;
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
    /// [`DecodeError::BadBool`], and as [`Decoder`] says.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        let [byte] = self.fixed(Tag::Bool)?;
        if byte > 1 {
            return Err(DecodeError::BadBool { offset: self.pos + 1, found: byte });
        }
        self.advance(2);
        Ok(byte == 1)
    }

    /// Reads a float of 32 bits.
    ///
    /// # Errors
    /// [`DecodeError::BadNan`], and as [`Decoder`] says.
    #[inline]
    pub fn f32(&mut self) -> Result<f32, DecodeError> {
        let bits = u32::from_le_bytes(self.fixed(Tag::F32)?);
        if !scan::is_canonical32(bits) {
            return Err(DecodeError::BadNan { offset: self.pos + 1, found: bits.into() });
        }
        self.advance(5);
        Ok(f32::from_bits(bits))
    }

    /// Reads a float of 64 bits.
    ///
    /// # Errors
    /// [`DecodeError::BadNan`], and as [`Decoder`] says.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        let bits = u64::from_le_bytes(self.fixed(Tag::F64)?);
        if !scan::is_canonical64(bits) {
            return Err(DecodeError::BadNan { offset: self.pos + 1, found: bits });
        }
        self.advance(9);
        Ok(f64::from_bits(bits))
    }

    /// Reads a char.
    ///
    /// # Errors
    /// [`DecodeError::BadChar`], and as [`Decoder`] says.
    #[inline]
    pub fn char(&mut self) -> Result<char, DecodeError> {
        let found = u32::from_le_bytes(self.fixed(Tag::Char)?);
        let char = char::from_u32(found).ok_or(DecodeError::BadChar { offset: self.pos + 1, found })?;
        self.advance(5);
        Ok(char)
    }

    /// Reads a string, borrowed from the input.
    ///
    /// # Errors
    /// [`DecodeError::BadText`], and as [`Decoder`] says.
    #[inline]
    pub fn str(&mut self) -> Result<&'a str, DecodeError> {
        let body = self.body(Tag::Str)?;
        let text = str::from_utf8(body).map_err(|error| bad_text(self.pos + HEAD_BYTES, body, error))?;
        self.advance(HEAD_BYTES + body.len());
        Ok(text)
    }

    /// Reads bytes, borrowed from the input.
    ///
    /// # Errors
    /// As [`Decoder`] says.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let body = self.body(Tag::Bytes)?;
        self.advance(HEAD_BYTES + body.len());
        Ok(body)
    }

    /// Reads Unit.
    ///
    /// # Errors
    /// [`DecodeError::MisplacedUnit`], and as [`Decoder`] says.
    #[inline]
    pub fn unit(&mut self) -> Result<(), DecodeError> {
        let [] = self.fixed(Tag::Unit)?;
        if !self.nest.admits_unit() {
            return Err(DecodeError::MisplacedUnit { offset: self.pos });
        }
        self.advance(1);
        Ok(())
    }

    /// Reads None or the front of Some: on true, the item that it holds is next.
    ///
    /// # Errors
    /// [`DecodeError::TooDeep`], and as [`Decoder`] says.
    #[inline]
    pub fn option(&mut self) -> Result<bool, DecodeError> {
        if self.head(Tag::Some).is_some() {
            self.wrap(Slot::Some, 1)?;
            Ok(true)
        } else if self.head(Tag::None).is_some() {
            self.advance(1);
            Ok(false)
        } else {
            Err(self.refuse(Want::Option, 1))
        }
    }

    /// Reads the front of ResultOk, then true, or of ResultErr, then false: the item that it holds, or Unit, is next.
    ///
    /// # Errors
    /// [`DecodeError::TooDeep`], and as [`Decoder`] says.
    #[inline]
    pub fn result(&mut self) -> Result<bool, DecodeError> {
        let is_ok = self.head(Tag::ResultOk).is_some();
        if !is_ok && self.head(Tag::ResultErr).is_none() {
            return Err(self.refuse(Want::Result, 1));
        }
        self.wrap(Slot::Choice, 1)?;
        Ok(is_ok)
    }

    /// Reads the front of a variant, its case index: the item that the case carries, or Unit, is next.
    ///
    /// Whether there is such a case is for the caller to check.
    ///
    /// # Errors
    /// [`DecodeError::TooDeep`], and as [`Decoder`] says.
    #[inline]
    pub fn variant(&mut self) -> Result<u32, DecodeError> {
        let index = self.fixed(Tag::Variant)?;
        self.wrap(Slot::Choice, 1 + index.len())?;
        Ok(u32::from_le_bytes(index))
    }

    /// Enters a list and returns how many items it has.
    ///
    /// The count is never more than there are bytes; still, reserve by what you hold rather than by it.
    ///
    /// # Errors
    /// [`DecodeError::WrongCount`], [`DecodeError::TooDeep`], and as [`Decoder`] says.
    #[inline]
    pub fn list_begin(&mut self) -> Result<u32, DecodeError> {
        self.counted_begin(Tag::List, Place::List, 1)
    }

    /// Leaves a list after its last item.
    ///
    /// # Errors
    /// [`DecodeError::Unread`] or [`DecodeError::Unfinished`] before that, [`DecodeError::WrongEnd`] if no list is the
    /// innermost container, [`DecodeError::Trailing`] or [`DecodeError::WrongCount`] if length and count disagree.
    #[inline]
    pub fn list_end(&mut self) -> Result<(), DecodeError> {
        self.end(Place::List)
    }

    /// Enters a struct; its items are read by position.
    ///
    /// # Errors
    /// [`DecodeError::TooDeep`], and as [`Decoder`] says.
    #[inline]
    pub fn struct_begin(&mut self) -> Result<(), DecodeError> {
        let body = self.body(Tag::Struct)?;
        let start = self.pos + HEAD_BYTES;
        // Every item takes a byte or more, so the length bounds the number of items.
        self.enter(Place::Struct, body.len() as u32, start, start + body.len())
    }

    /// Leaves a struct after its last item.
    ///
    /// # Errors
    /// [`DecodeError::Unread`] or [`DecodeError::Unfinished`] before that, [`DecodeError::WrongEnd`] if no struct is the
    /// innermost container.
    #[inline]
    pub fn struct_end(&mut self) -> Result<(), DecodeError> {
        self.end(Place::Struct)
    }

    /// Enters a map and returns how many pairs it has; each is a key and then a value.
    ///
    /// # Errors
    /// [`DecodeError::WrongCount`], [`DecodeError::TooDeep`], and as [`Decoder`] says.
    #[inline]
    pub fn map_begin(&mut self) -> Result<u32, DecodeError> {
        self.counted_begin(Tag::Map, Place::Map, 2)
    }

    /// Leaves a map after its last value.
    ///
    /// # Errors
    /// [`DecodeError::Unread`] or [`DecodeError::Unfinished`] before that, [`DecodeError::WrongEnd`] if no map is the
    /// innermost container, [`DecodeError::Trailing`] or [`DecodeError::WrongCount`] if length and count disagree.
    #[inline]
    pub fn map_end(&mut self) -> Result<(), DecodeError> {
        self.end(Place::Map)
    }

    /// Reads packed rows, borrowed from the input and checked as [`Rows`] says.
    ///
    /// # Errors
    /// [`DecodeError::BadShape`], [`DecodeError::WrongLength`], [`DecodeError::TooDeep`], a bad bool, char or NaN in a
    /// row, and as [`Decoder`] says.
    pub fn rows(&mut self) -> Result<Rows<'a>, DecodeError> {
        let body = self.body(Tag::Rows)?;
        let start = self.pos + HEAD_BYTES;
        let rows = read_rows(body, start, self.nest.depth_left(), self.nest.depth_max())?;
        self.advance(HEAD_BYTES + body.len());
        Ok(rows)
    }

    /// Reads the next item as a value of its type.
    ///
    /// ```
    /// let mut dec = neopack::Decoder::new(&[0x19, 0x02, 7]);
    /// assert_eq!(dec.unpack::<Option<u8>>()?, Some(7));
    /// dec.finish()?;
    /// # Ok::<(), neopack::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// What the type's [`Unpack`] says, and as [`Decoder`] says.
    #[inline]
    pub fn unpack<T: Unpack<'a>>(&mut self) -> Result<T, DecodeError> {
        let end = self.end_of_top();
        let rest = match self.input.get(self.pos..end) {
            Some(rest) if self.nest.top.left > 0 => rest,
            Some(_) | None => return Err(self.refuse_absent(Want::Item)),
        };
        let mut cursor = Cursor::new(rest, end, self.nest.top.place, self.limits);
        let value = cursor.one(self.nest.slot, self.nest.depth_left() as u8)?;
        self.advance(rest.len() - cursor.left());
        Ok(value)
    }

    /// The tag of the next item, which stays the next.
    ///
    /// # Errors
    /// [`DecodeError::UnknownTag`], or as [`Decoder`] says if there is no next item.
    #[inline]
    pub fn peek(&self) -> Result<Tag, DecodeError> {
        self.tag(Want::Item)
    }

    /// Moves past one whole item of any kind, checking all of it.
    ///
    /// # Errors
    /// Whatever reading the item would fail with; the decoder is then where it was before.
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        let pos = self.pos;
        let point = self.nest.point();
        self.skip_item().inspect_err(|_| {
            self.pos = pos;
            // Only what was opened since was closed, so the frames below are untouched.
            self.nest.return_to(point);
        })
    }

    /// Whether the innermost container has no further item; at the root, whether the value has been read.
    #[inline]
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.nest.slot == Slot::Plain && (self.nest.top.left == 0 || self.pos >= self.end_of_top())
    }

    /// Bytes read so far.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.pos
    }

    /// Checks that the value has been read and that nothing follows.
    ///
    /// # Errors
    /// [`DecodeError::Unfinished`] if the value or a container in it has not been read to its end,
    /// [`DecodeError::Trailing`] if bytes follow.
    #[inline]
    pub fn finish(self) -> Result<(), DecodeError> {
        let (offset, top) = (self.pos, self.nest.top);
        if self.is_oversize() {
            return Err(self.refuse_absent(Want::Item));
        }
        if top.place != Place::Root || top.left > 0 {
            return Err(DecodeError::Unfinished { offset, inside: top.place });
        }
        match self.input.len() - offset {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { offset, inside: Place::Root, bytes }),
        }
    }

    #[inline]
    fn end_of_top(&self) -> usize {
        self.nest.top.mark as usize
    }

    /// What follows the tag up to the container's end, if the next item has that tag.
    #[inline]
    fn head(&self, tag: Tag) -> Option<&'a [u8]> {
        if self.nest.top.left == 0 {
            return None;
        }
        let (&first, rest) = self.input.get(self.pos..self.end_of_top())?.split_first()?;
        (first == tag as u8).then_some(rest)
    }

    /// The `N` bytes after the tag.
    #[inline]
    fn fixed<const N: usize>(&self, tag: Tag) -> Result<[u8; N], DecodeError> {
        match self.head(tag).and_then(|rest| rest.first_chunk::<N>()) {
            Some(bytes) => Ok(*bytes),
            None => Err(self.refuse(Want::One(tag), 1 + N)),
        }
    }

    /// The bytes that the length after the tag speaks of.
    #[inline]
    fn body(&self, tag: Tag) -> Result<&'a [u8], DecodeError> {
        let len = u32::from_le_bytes(self.fixed(tag)?) as usize;
        let start = self.pos + HEAD_BYTES;
        match self.input.get(start..self.end_of_top()).and_then(|rest| rest.get(..len)) {
            Some(body) => Ok(body),
            None => Err(self.refuse(Want::One(tag), HEAD_BYTES.saturating_add(len))),
        }
    }

    /// Moves past an item of `bytes` bytes.
    #[inline]
    fn advance(&mut self, bytes: usize) {
        self.pos += bytes;
        self.nest.complete();
    }

    /// Moves past the front of a wrapper.
    #[inline]
    fn wrap(&mut self, slot: Slot, bytes: usize) -> Result<(), DecodeError> {
        if !self.nest.wrap(slot) {
            return Err(self.too_deep());
        }
        self.pos += bytes;
        Ok(())
    }

    #[inline]
    fn enter(&mut self, place: Place, left: u32, start: usize, end: usize) -> Result<(), DecodeError> {
        if !self.nest.open(place, left, end as u32) {
            return Err(self.too_deep());
        }
        self.pos = start;
        Ok(())
    }

    #[inline]
    fn counted_begin(&mut self, tag: Tag, place: Place, items_each: u32) -> Result<u32, DecodeError> {
        let body = self.body(tag)?;
        let count_at = self.pos + HEAD_BYTES;
        let Some((count, items)) = body.split_first_chunk::<COUNT_BYTES>() else {
            return Err(short_count(tag, count_at, HEAD_BYTES, body.len()));
        };
        let count = u32::from_le_bytes(*count);
        // Every item takes a byte or more, so there are no more items than bytes.
        let found = items.len() as u64;
        let expected = u64::from(count) * u64::from(items_each);
        if expected > found {
            return Err(DecodeError::WrongCount { offset: count_at, inside: place, expected, found });
        }
        self.enter(place, count * items_each, count_at + COUNT_BYTES, count_at + body.len())?;
        Ok(count)
    }

    #[inline]
    fn end(&mut self, place: Place) -> Result<(), DecodeError> {
        let top = self.nest.top;
        // A struct has no count, so only its length says where it ends.
        let is_complete = top.left == 0 || place == Place::Struct;
        if top.place != place || self.nest.slot != Slot::Plain || self.pos != self.end_of_top() || !is_complete {
            return Err(self.refuse_end(place));
        }
        self.nest.close();
        Ok(())
    }

    fn skip_item(&mut self) -> Result<(), DecodeError> {
        let floor = self.nest.held();
        loop {
            self.step()?;
            while self.at_end() && self.nest.held() > floor {
                self.end(self.nest.top.place)?;
            }
            if self.nest.held() == floor && self.nest.slot == Slot::Plain {
                return Ok(());
            }
        }
    }

    /// Reads a whole item, or the front of one that holds others.
    fn step(&mut self) -> Result<(), DecodeError> {
        match self.tag(Want::Item)? {
            Tag::Unit => self.unit(),
            Tag::Bool => self.bool().map(drop),
            Tag::U8 => self.u8().map(drop),
            Tag::U16 => self.u16().map(drop),
            Tag::U32 => self.u32().map(drop),
            Tag::U64 => self.u64().map(drop),
            Tag::S8 => self.s8().map(drop),
            Tag::S16 => self.s16().map(drop),
            Tag::S32 => self.s32().map(drop),
            Tag::S64 => self.s64().map(drop),
            Tag::F32 => self.f32().map(drop),
            Tag::F64 => self.f64().map(drop),
            Tag::Char => self.char().map(drop),
            Tag::Str => self.str().map(drop),
            Tag::Bytes => self.bytes().map(drop),
            Tag::List => self.list_begin().map(drop),
            Tag::Rows => self.rows().map(drop),
            Tag::Struct => self.struct_begin(),
            Tag::Map => self.map_begin().map(drop),
            Tag::Variant => self.variant().map(drop),
            Tag::Enum => self.enum_().map(drop),
            Tag::None | Tag::Some => self.option().map(drop),
            Tag::ResultOk | Tag::ResultErr => self.result().map(drop),
            Tag::Flags => self.flags().map(drop),
            Tag::Handle => self.handle().map(drop),
            Tag::Channel => self.channel().map(drop),
        }
    }

    /// The tag of the next item, or why there is none.
    #[inline]
    fn tag(&self, expected: Want) -> Result<Tag, DecodeError> {
        let byte = self.input.get(self.pos..self.end_of_top()).and_then(<[u8]>::first);
        match byte {
            Some(&found) if self.nest.top.left > 0 => {
                Tag::from_byte(found).ok_or(DecodeError::UnknownTag { offset: self.pos, expected, found })
            }
            Some(_) | None => Err(self.refuse_absent(expected)),
        }
    }

    fn is_oversize(&self) -> bool {
        self.input.len() > self.limits.bytes() as usize
    }

    /// Why there is no item.
    #[cold]
    fn refuse_absent(&self, expected: Want) -> DecodeError {
        let offset = self.pos;
        let top = self.nest.top;
        if self.is_oversize() {
            return DecodeError::TooLarge { limit: self.limits.bytes(), found: self.input.len() };
        }
        let is_complete = top.left == 0 || top.place == Place::Struct;
        if is_complete && self.nest.slot == Slot::Plain {
            return DecodeError::NoItem { offset, expected, inside: top.place };
        }
        // An item is owed, and the container has no byte for it.
        DecodeError::Truncated { offset, expected, needed: 1, held: 0 }
    }

    /// Why an item that takes `needed` bytes could not be read.
    #[cold]
    fn refuse(&self, expected: Want, needed: usize) -> DecodeError {
        match self.tag(expected) {
            Err(error) => error,
            Ok(found) if !expected.admits(found) => DecodeError::WrongTag { offset: self.pos, expected, found },
            Ok(_) => {
                let held = self.end_of_top().saturating_sub(self.pos);
                DecodeError::Truncated { offset: self.pos, expected, needed, held }
            }
        }
    }

    /// Why the innermost container could not be ended.
    #[cold]
    fn refuse_end(&self, expected: Place) -> DecodeError {
        let (offset, top) = (self.pos, self.nest.top);
        let bytes = self.end_of_top().saturating_sub(offset);
        if top.place != expected {
            return DecodeError::WrongEnd { offset, expected, found: top.place };
        }
        if self.nest.slot != Slot::Plain {
            return DecodeError::Unfinished { offset, inside: expected };
        }
        match (top.left, bytes) {
            (0, bytes) => DecodeError::Trailing { offset, inside: expected, bytes },
            (left, 0) => DecodeError::WrongCount { offset, inside: expected, expected: left.into(), found: 0 },
            (_, bytes) => DecodeError::Unread { offset, inside: expected, bytes },
        }
    }

    #[cold]
    fn too_deep(&self) -> DecodeError {
        DecodeError::TooDeep { offset: self.pos, limit: self.nest.depth_max() }
    }
}

/// Reads the body of Rows, which starts at `start`, where an item may use `depth` levels of containers.
pub(crate) fn read_rows(body: &[u8], start: usize, depth: usize, depth_max: usize) -> Result<Rows<'_>, DecodeError> {
    let Some(groups_max) = depth.checked_sub(1) else {
        return Err(DecodeError::TooDeep { offset: start - HEAD_BYTES, limit: depth_max });
    };
    let shape = Shape::read(body, groups_max).map_err(|error| DecodeError::BadShape { offset: start, error })?;
    let rest = body.get(shape.bytes().len()..).unwrap_or_default();
    let count_at = start + shape.bytes().len();
    let Some((count, bytes)) = rest.split_first_chunk::<COUNT_BYTES>() else {
        return Err(short_count(Tag::Rows, count_at, HEAD_BYTES + shape.bytes().len(), rest.len()));
    };
    let count = u32::from_le_bytes(*count);
    let offset = count_at + COUNT_BYTES;
    let expected = u64::from(count) * u64::from(shape.width());
    if expected != bytes.len() as u64 {
        return Err(DecodeError::WrongLength { offset, expected, found: bytes.len() as u64 });
    }
    scan::check(&shape, bytes, offset, Nan::Refuse)?;
    Ok(Rows { shape, count, bytes, offset })
}

/// A length that does not even leave room for the count, which stands `head` bytes into the item.
#[cold]
pub(crate) fn short_count(tag: Tag, count_at: usize, head: usize, held: usize) -> DecodeError {
    DecodeError::Truncated {
        offset: count_at - head,
        expected: Want::One(tag),
        needed: head + COUNT_BYTES,
        held: head + held,
    }
}

/// The first byte of a string, which starts at `start`, that is not UTF-8.
#[cold]
pub(crate) fn bad_text(start: usize, body: &[u8], error: str::Utf8Error) -> DecodeError {
    let at = error.valid_up_to();
    DecodeError::BadText { offset: start + at, found: body.get(at).copied().unwrap_or_default() }
}

/// Bytes of a tag and a length.
pub(crate) const HEAD_BYTES: usize = 5;

/// Bytes of a count.
pub(crate) const COUNT_BYTES: usize = 4;
