//! Lists and maps, as they are written.

use alloc::collections::BTreeMap;

use crate::decoder::{COUNT_BYTES, HEAD_BYTES};
use crate::error::EncodeError;
use crate::shape::Shape;
use crate::tag::Tag;
use crate::typed::Pack;
use crate::typed::form::{Form, put};
use crate::typed::row::{ListForm, Row, Shaped, larger};
use crate::typed::writer::{Part, Writer};

/// A list: Bytes, Rows or List, as the type of its items says.
#[derive(Debug)]
pub struct List<'s, T>(pub &'s [T]);

/// A map, in the order of its keys.
#[derive(Debug)]
pub struct Map<'s, K, V>(pub &'s BTreeMap<K, V>);

/// Bytes of a head and a count.
const COUNTED_BYTES: usize = HEAD_BYTES + COUNT_BYTES;

impl<'s, T: Pack + 's> List<'s, T> {
    const ITEM: &'static Row = &<T::Form<'s> as Shaped>::ROW;
    const SHAPE: Shape<'static> = Self::ITEM.shape();
    const WIDTH: usize = Self::ITEM.width();
    const HEAD: usize = match Self::ITEM.list() {
        ListForm::Bytes => HEAD_BYTES,
        ListForm::Rows => COUNTED_BYTES + Self::ITEM.len(),
        ListForm::Items => COUNTED_BYTES,
    };

    /// A number past a u32 is past the size limit, and the value is dropped.
    #[inline(always)]
    fn count(&self) -> u32 {
        self.0.len() as u32
    }

    #[inline(always)]
    fn rows(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if let Some(bytes) = T::as_bytes(self.0)
            && const { matches!(Self::ITEM.list(), ListForm::Bytes) }
        {
            return writer.append(bytes);
        }
        let bytes = self.0.len().saturating_mul(Self::WIDTH);
        // A width is never 0, as a row has a leaf.
        let chunks = writer.grow(bytes)?.chunks_exact_mut(const { larger(Self::WIDTH, 1) });
        for (item, chunk) in self.0.iter().zip(chunks) {
            item.form().row(chunk);
        }
        Ok(())
    }

    #[inline(always)]
    fn items(&self, writer: &mut Writer<'_>, depth: u8) -> Result<(), EncodeError> {
        const { assert!(!<T::Form<'s> as Part>::UNIT, "`()` is Unit, which is no item of a list") }
        for item in self.0 {
            writer.write(&item.form(), depth)?;
        }
        Ok(())
    }
}

impl<'s, T: Pack + 's> Shaped for List<'s, T> {
    const ROW: Row = Row::NONE;
}

impl<'s, T: Pack + 's> Part for List<'s, T> {
    const FRONT: usize = Self::HEAD;

    #[inline(always)]
    fn front(&self, chunk: &mut [u8]) {
        match const { Self::ITEM.list() } {
            ListForm::Bytes => put(chunk, head(Tag::Bytes, self.count())),
            ListForm::Rows => {
                let shape = Self::SHAPE.bytes();
                let rows = self.count().wrapping_mul(Self::WIDTH as u32);
                put(chunk, head(Tag::Rows, rows.wrapping_add((shape.len() + COUNT_BYTES) as u32)));
                let rest = chunk.get_mut(HEAD_BYTES..).unwrap_or_default();
                if let Some((to, rest)) = rest.split_at_mut_checked(shape.len()) {
                    to.iter_mut().zip(shape).for_each(|(to, from)| *to = *from);
                    put(rest, self.count().to_le_bytes());
                }
            }
            ListForm::Items => put(chunk, counted(Tag::List, self.count())),
        }
    }

    #[inline(always)]
    fn tail(&self, writer: &mut Writer<'_>, at: usize, depth: u8) -> Result<(), EncodeError> {
        match const { Self::ITEM.list() } {
            ListForm::Bytes => self.rows(writer),
            ListForm::Rows => {
                if usize::from(depth) <= Self::SHAPE.nesting() {
                    return Err(writer.too_deep());
                }
                self.rows(writer)
            }
            ListForm::Items => {
                self.items(writer, writer.deeper(depth)?)?;
                writer.patch_length(at);
                Ok(())
            }
        }
    }
}

impl<'s, T: Pack + 's> Form for List<'s, T> {}

impl<'s, K: Pack + 's, V: Pack + 's> Shaped for Map<'s, K, V> {
    const ROW: Row = Row::NONE;
}

impl<'s, K: Pack + 's, V: Pack + 's> Part for Map<'s, K, V> {
    const FRONT: usize = COUNTED_BYTES;

    #[inline(always)]
    fn front(&self, chunk: &mut [u8]) {
        put(chunk, counted(Tag::Map, self.0.len() as u32));
    }

    #[inline]
    fn tail(&self, writer: &mut Writer<'_>, at: usize, depth: u8) -> Result<(), EncodeError> {
        const { assert!(!<K::Form<'s> as Part>::UNIT, "`()` is Unit, which is no key of a map") }
        const { assert!(!<V::Form<'s> as Part>::UNIT, "`()` is Unit, which is no value of a map") }
        let inside = writer.deeper(depth)?;
        for (key, value) in self.0 {
            writer.write(&key.form(), inside)?;
            writer.write(&value.form(), inside)?;
        }
        writer.patch_length(at);
        Ok(())
    }
}

impl<'s, K: Pack + 's, V: Pack + 's> Form for Map<'s, K, V> {}

#[inline(always)]
fn head(tag: Tag, len: u32) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = len.to_le_bytes();
    [tag as u8, a, b, c, d]
}

#[inline(always)]
fn counted(tag: Tag, count: u32) -> [u8; COUNTED_BYTES] {
    let [a, b, c, d] = count.to_le_bytes();
    [tag as u8, 0, 0, 0, 0, a, b, c, d]
}
