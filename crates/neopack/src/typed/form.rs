//! What values are packed as: each form is exactly one item by construction.
//!
//! A [`Pack`] says what its value is as a tree of these, and only this module turns the tree into bytes. So nothing that
//! an implementation does can make bytes that are no value, and the encoder's checks of order and count are not needed.
//!
//! Forms are written in two steps. The *front* is as many bytes as the type says, so that fields of fixed widths and the
//! heads around them take one look at the buffer's room together; the *tail* is the rest.

use crate::error::EncodeError;
use crate::scan::{NAN32, NAN64};
use crate::shape::{Leaf, Width};
use crate::tag::Tag;
use crate::typed::Pack;
pub use crate::typed::list::{List, Map};
pub use crate::typed::row::NoRow;
use crate::typed::row::larger;
use crate::typed::row::{Row, RowPart, Shaped};
use crate::typed::writer::{Part, Writer};

/// Exactly one item; sealed.
#[diagnostic::on_unimplemented(message = "`{Self}` is no form: the forms are those of `neopack::form`")]
pub trait Form: Part {}

/// A struct of the fields in `P`: [`End`], one form, or a tree of [`Both`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<P>(pub P);

/// Some fields and then some others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Both<A, B>(pub A, pub B);

/// No fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End;

/// A case of a variant: its index and what it carries, which may be `()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case<F>(pub u32, pub F);

/// One of two forms; more are a tree of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The one.
    Left(A),
    /// The other.
    Right(B),
}

/// A case index of an enum that has `CASES` cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enum<const CASES: u32>(pub u32);

/// A set of `FLAGS` flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags<const FLAGS: u32>(pub u32);

/// A resource handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle(pub u64);

/// The id of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel(pub u64);

/// The form of a value behind a pointer, which lets types contain themselves.
#[derive(Debug)]
pub struct Nested<'s, T: ?Sized>(pub &'s T);

/// Writes `N` bytes at the front of a chunk that has room for them.
#[inline(always)]
pub(super) fn put<const N: usize>(chunk: &mut [u8], bytes: [u8; N]) {
    if let Some(front) = chunk.first_chunk_mut() {
        *front = bytes;
    }
}

/// Writes a tag and a number.
#[inline(always)]
fn put_tagged<const N: usize>(chunk: &mut [u8], tag: Tag, bytes: [u8; N]) {
    if let Some((first, rest)) = chunk.split_first_mut() {
        *first = tag as u8;
        put(rest, bytes);
    }
}

macro_rules! scalars {
    ($($type:ty = $leaf:ident $width:literal, |$value:ident| $bytes:expr, |$raw:ident| $taken:expr;)+) => {
        $(
            impl Shaped for $type {
                const ROW: Row = Row::leaf(Leaf::$leaf);
            }

            impl Part for $type {
                const FRONT: usize = 1 + $width;
                const FIXED: bool = true;

                #[inline(always)]
                fn front(&self, chunk: &mut [u8]) {
                    let $value = *self;
                    put_tagged::<$width>(chunk, Tag::$leaf, $bytes);
                }

                #[inline(always)]
                fn row(&self, chunk: &mut [u8]) {
                    let $value = *self;
                    put::<$width>(chunk, $bytes);
                }
            }

            impl Form for $type {}

            impl RowPart for $type {
                #[inline(always)]
                fn take(bytes: &[u8]) -> Option<Self> {
                    let $raw = *bytes.first_chunk::<$width>()?;
                    $taken
                }
            }
        )+
    };
}

scalars! {
    bool = Bool 1, |value| [u8::from(value)], |raw| if raw[0] < 2 { Some(raw[0] == 1) } else { None };
    u8 = U8 1, |value| value.to_le_bytes(), |raw| Some(Self::from_le_bytes(raw));
    u16 = U16 2, |value| value.to_le_bytes(), |raw| Some(Self::from_le_bytes(raw));
    u32 = U32 4, |value| value.to_le_bytes(), |raw| Some(Self::from_le_bytes(raw));
    u64 = U64 8, |value| value.to_le_bytes(), |raw| Some(Self::from_le_bytes(raw));
    i8 = S8 1, |value| value.to_le_bytes(), |raw| Some(Self::from_le_bytes(raw));
    i16 = S16 2, |value| value.to_le_bytes(), |raw| Some(Self::from_le_bytes(raw));
    i32 = S32 4, |value| value.to_le_bytes(), |raw| Some(Self::from_le_bytes(raw));
    i64 = S64 8, |value| value.to_le_bytes(), |raw| Some(Self::from_le_bytes(raw));
    char = Char 4, |value| u32::from(value).to_le_bytes(), |raw| Self::from_u32(u32::from_le_bytes(raw));
    f32 = F32 4, |value| (if value.is_nan() { NAN32 } else { value.to_bits() }).to_le_bytes(), |raw| {
        let bits = u32::from_le_bytes(raw);
        crate::scan::is_canonical32(bits).then_some(Self::from_bits(bits))
    };
    f64 = F64 8, |value| (if value.is_nan() { NAN64 } else { value.to_bits() }).to_le_bytes(), |raw| {
        let bits = u64::from_le_bytes(raw);
        crate::scan::is_canonical64(bits).then_some(Self::from_bits(bits))
    };
}

/// Enums and flags: four bytes as an item, fewer in a row.
macro_rules! narrow {
    ($($name:ident = $tag:ident by $width:ident;)+) => {
        $(
            impl<const COUNT: u32> Shaped for $name<COUNT> {
                const ROW: Row = Row::leaf(Leaf::$tag(Width::$width(COUNT)));
            }

            impl<const COUNT: u32> Part for $name<COUNT> {
                const FRONT: usize = 5;
                const FIXED: bool = true;

                #[inline(always)]
                fn front(&self, chunk: &mut [u8]) {
                    put_tagged(chunk, Tag::$tag, self.0.to_le_bytes());
                }

                #[inline(always)]
                fn row(&self, chunk: &mut [u8]) {
                    match Width::$width(COUNT) {
                        Width::One => put(chunk, (self.0 as u8).to_le_bytes()),
                        Width::Two => put(chunk, (self.0 as u16).to_le_bytes()),
                        Width::Four => put(chunk, self.0.to_le_bytes()),
                    }
                }
            }

            impl<const COUNT: u32> Form for $name<COUNT> {}

            impl<const COUNT: u32> RowPart for $name<COUNT> {
                #[inline(always)]
                fn take(bytes: &[u8]) -> Option<Self> {
                    Some(Self(match Width::$width(COUNT) {
                        Width::One => u32::from(*bytes.first()?),
                        Width::Two => u32::from(u16::from_le_bytes(*bytes.first_chunk()?)),
                        Width::Four => u32::from_le_bytes(*bytes.first_chunk()?),
                    }))
                }
            }
        )+
    };
}

narrow! {
    Enum = Enum by for_cases;
    Flags = Flags by for_flags;
}

macro_rules! ids {
    ($($name:ident)+) => {
        $(
            impl Shaped for $name {
                const ROW: Row = Row::NONE;
            }

            impl Part for $name {
                const FRONT: usize = 9;
                const FIXED: bool = true;

                #[inline(always)]
                fn front(&self, chunk: &mut [u8]) {
                    put_tagged(chunk, Tag::$name, self.0.to_le_bytes());
                }
            }

            impl Form for $name {}
        )+
    };
}

ids!(Handle Channel);

impl Shaped for () {
    const ROW: Row = Row::NONE;
}

impl Part for () {
    const FRONT: usize = 1;
    const FIXED: bool = true;
    const UNIT: bool = true;

    #[inline(always)]
    fn front(&self, chunk: &mut [u8]) {
        put(chunk, [Tag::Unit as u8]);
    }
}

impl Form for () {}

macro_rules! blobs {
    ($($type:ty = $tag:ident;)+) => {
        $(
            impl Shaped for $type {
                const ROW: Row = Row::NONE;
            }

            impl Part for $type {
                const FRONT: usize = 5;

                #[inline(always)]
                fn front(&self, chunk: &mut [u8]) {
                    // A length past a u32 is past the size limit, and the value is dropped.
                    put_tagged(chunk, Tag::$tag, (self.len() as u32).to_le_bytes());
                }

                #[inline(always)]
                fn tail(&self, writer: &mut Writer<'_>, _: usize, _: u8) -> Result<(), EncodeError> {
                    writer.append(self.as_ref())
                }
            }

            impl Form for $type {}
        )+
    };
}

blobs! {
    &str = Str;
    &[u8] = Bytes;
}

impl Shaped for End {
    const ROW: Row = Row::EMPTY;
    const FIELDS: usize = 0;
}

impl Part for End {
    const FRONT: usize = 0;
    const FIXED: bool = true;

    #[inline(always)]
    fn front(&self, _: &mut [u8]) {}
}

impl RowPart for End {
    #[inline(always)]
    fn take(_: &[u8]) -> Option<Self> {
        Some(Self)
    }
}

impl<A: Shaped, B: Shaped> Shaped for Both<A, B> {
    const ROW: Row = A::ROW.then(&B::ROW);
    const FIELDS: usize = A::FIELDS + B::FIELDS;
}

impl<A: Part, B: Part> Part for Both<A, B> {
    // Where the first fields have a tail, the second ones start behind it.
    const FRONT: usize = if A::FIXED { A::FRONT + B::FRONT } else { A::FRONT };
    const FIXED: bool = A::FIXED && B::FIXED;
    const UNIT: bool = A::UNIT || B::UNIT;

    #[inline(always)]
    fn front(&self, chunk: &mut [u8]) {
        if let Some((first, second)) = chunk.split_at_mut_checked(A::FRONT) {
            self.0.front(first);
            if A::FIXED {
                self.1.front(second);
            }
        }
    }

    #[inline(always)]
    fn tail(&self, writer: &mut Writer<'_>, at: usize, depth: u8) -> Result<(), EncodeError> {
        self.0.tail(writer, at, depth)?;
        if A::FIXED { self.1.tail(writer, at + A::FRONT, depth) } else { writer.write(&self.1, depth) }
    }

    #[inline(always)]
    fn row(&self, chunk: &mut [u8]) {
        if let Some((first, second)) = chunk.split_at_mut_checked(A::ROW.width()) {
            self.0.row(first);
            self.1.row(second);
        }
    }
}

impl<A: RowPart, B: RowPart> RowPart for Both<A, B> {
    #[inline(always)]
    fn take(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(const { A::ROW.width() })?;
        Some(Self(A::take(first)?, B::take(second)?))
    }
}

impl<P: Shaped> Shaped for Record<P> {
    const ROW: Row = P::ROW.group(P::FIELDS);
}

impl<P: Part> Part for Record<P> {
    const FRONT: usize = 5 + P::FRONT;
    const FIXED: bool = P::FIXED;

    #[inline(always)]
    fn front(&self, chunk: &mut [u8]) {
        const { assert!(!P::UNIT, "`()` is Unit, which is no field: Unit stands alone or in a case, an ok or an err") }
        // Without a tail this is the length; with one the right length is patched in behind it.
        let fixed = const { P::FRONT as u32 };
        put_tagged(chunk, Tag::Struct, fixed.to_le_bytes());
        if let Some((_, fields)) = chunk.split_at_mut_checked(5) {
            self.0.front(fields);
        }
    }

    #[inline(always)]
    fn tail(&self, writer: &mut Writer<'_>, at: usize, depth: u8) -> Result<(), EncodeError> {
        let inside = writer.deeper(depth)?;
        self.0.tail(writer, at + 5, inside)?;
        if !P::FIXED {
            writer.patch_length(at);
        }
        Ok(())
    }

    #[inline(always)]
    fn row(&self, chunk: &mut [u8]) {
        self.0.row(chunk);
    }
}

impl<P: Part> Form for Record<P> {}

impl<P: RowPart> RowPart for Record<P> {
    #[inline(always)]
    fn take(bytes: &[u8]) -> Option<Self> {
        P::take(bytes).map(Self)
    }
}

impl<F> Shaped for Option<F> {
    const ROW: Row = Row::NONE;
}

impl<F: Form> Part for Option<F> {
    const FRONT: usize = 1 + F::FRONT;

    #[inline(always)]
    fn front(&self, chunk: &mut [u8]) {
        const { assert!(!F::UNIT, "`()` is Unit, which Some never holds: Unit stands alone or in a case, an ok or an err") }
        let Some((tag, inner)) = chunk.split_first_mut() else { return };
        match self {
            None => *tag = Tag::None as u8,
            Some(form) => {
                *tag = Tag::Some as u8;
                form.front(inner);
            }
        }
    }

    #[inline(always)]
    fn tail(&self, writer: &mut Writer<'_>, at: usize, depth: u8) -> Result<(), EncodeError> {
        match self {
            None => writer.cut::<1>(at, Self::FRONT),
            Some(form) => form.tail(writer, at + 1, writer.deeper(depth)?)?,
        }
        Ok(())
    }
}

impl<F: Form> Form for Option<F> {}

impl<A, B> Shaped for Result<A, B> {
    const ROW: Row = Row::NONE;
}

impl<A: Form, B: Form> Part for Result<A, B> {
    const FRONT: usize = 1 + larger(A::FRONT, B::FRONT);

    #[inline(always)]
    fn front(&self, chunk: &mut [u8]) {
        let Some((tag, inner)) = chunk.split_first_mut() else { return };
        match self {
            Ok(form) => {
                *tag = Tag::ResultOk as u8;
                form.front(front_of::<A>(inner));
            }
            Err(form) => {
                *tag = Tag::ResultErr as u8;
                form.front(front_of::<B>(inner));
            }
        }
    }

    #[inline(always)]
    fn tail(&self, writer: &mut Writer<'_>, at: usize, depth: u8) -> Result<(), EncodeError> {
        let inside = writer.deeper(depth)?;
        match self {
            Ok(form) => {
                writer.cut_to(at + 1 + A::FRONT, A::FRONT < B::FRONT);
                form.tail(writer, at + 1, inside)
            }
            Err(form) => {
                writer.cut_to(at + 1 + B::FRONT, B::FRONT < A::FRONT);
                form.tail(writer, at + 1, inside)
            }
        }
    }
}

/// What of a chunk is one of several parts' that share it.
#[inline(always)]
fn front_of<F: Part>(chunk: &mut [u8]) -> &mut [u8] {
    chunk.get_mut(..F::FRONT).unwrap_or_default()
}

impl<A: Form, B: Form> Form for Result<A, B> {}

impl<F> Shaped for Case<F> {
    const ROW: Row = Row::NONE;
}

impl<F: Form> Part for Case<F> {
    const FRONT: usize = 5 + F::FRONT;
    const FIXED: bool = F::FIXED;

    #[inline(always)]
    fn front(&self, chunk: &mut [u8]) {
        put_tagged(chunk, Tag::Variant, self.0.to_le_bytes());
        if let Some((_, payload)) = chunk.split_at_mut_checked(5) {
            self.1.front(payload);
        }
    }

    #[inline(always)]
    fn tail(&self, writer: &mut Writer<'_>, at: usize, depth: u8) -> Result<(), EncodeError> {
        let inside = writer.deeper(depth)?;
        self.1.tail(writer, at + 5, inside)
    }
}

impl<F: Form> Form for Case<F> {}

impl<A, B> Shaped for Either<A, B> {
    const ROW: Row = Row::NONE;
}

impl<A: Form, B: Form> Part for Either<A, B> {
    const FRONT: usize = larger(A::FRONT, B::FRONT);
    const UNIT: bool = A::UNIT || B::UNIT;

    #[inline(always)]
    fn front(&self, chunk: &mut [u8]) {
        match self {
            Self::Left(form) => form.front(front_of::<A>(chunk)),
            Self::Right(form) => form.front(front_of::<B>(chunk)),
        }
    }

    #[inline(always)]
    fn tail(&self, writer: &mut Writer<'_>, at: usize, depth: u8) -> Result<(), EncodeError> {
        match self {
            Self::Left(form) => {
                writer.cut_to(at + A::FRONT, A::FRONT < B::FRONT);
                form.tail(writer, at, depth)
            }
            Self::Right(form) => {
                writer.cut_to(at + B::FRONT, B::FRONT < A::FRONT);
                form.tail(writer, at, depth)
            }
        }
    }
}

impl<A: Form, B: Form> Form for Either<A, B> {}

impl<T: ?Sized> Clone for Nested<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Nested<'_, T> {}

impl<'s, T: Pack + ?Sized> Shaped for Nested<'s, T> {
    const ROW: Row = <T::Form<'s> as Shaped>::ROW;
}

impl<'s, T: Pack + ?Sized> Part for Nested<'s, T> {
    const FRONT: usize = 0;
    const UNIT: bool = <T::Form<'s> as Part>::UNIT;

    #[inline(always)]
    fn front(&self, _: &mut [u8]) {}

    #[inline]
    fn tail(&self, writer: &mut Writer<'_>, _: usize, depth: u8) -> Result<(), EncodeError> {
        writer.write(&self.0.form(), depth)
    }

    #[inline(always)]
    fn row(&self, chunk: &mut [u8]) {
        self.0.form().row(chunk);
    }
}

impl<T: Pack + ?Sized> Form for Nested<'_, T> {}
