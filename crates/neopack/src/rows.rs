//! Packed rows, as a decoder hands them out.

use core::slice::ChunksExact;

use crate::shape::Shape;

/// A list of fixed-width items, borrowed from the input.
///
/// What neopack can check has been checked: bools are 0 or 1, chars are scalar values, NaNs are canonical. Whether an
/// enum's index or a flag exists is for whoever knows the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows<'a> {
    pub(crate) shape: Shape<'a>,
    pub(crate) count: u32,
    pub(crate) bytes: &'a [u8],
    pub(crate) offset: usize,
}

impl<'a> Rows<'a> {
    /// What one row looks like.
    #[inline]
    #[must_use]
    pub const fn shape(&self) -> Shape<'a> {
        self.shape
    }

    /// How many rows there are.
    #[inline]
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of one row.
    #[inline]
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.shape.width()
    }

    /// All rows, one after another without padding: `count * width` bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where in the decoder's input the first row starts.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The bytes of one row, `None` past the last.
    #[inline]
    #[must_use]
    pub fn row(&self, index: u32) -> Option<&'a [u8]> {
        let width = self.width() as usize;
        let start = (index as usize).checked_mul(width)?;
        self.bytes.get(start..)?.get(..width)
    }

    /// The rows in order.
    ///
    /// ```
    /// use neopack::{Decoder, Encoder, Leaf, ShapeBuf};
    ///
    /// let shape = ShapeBuf::builder().leaf(Leaf::U16).finish()?;
    /// let mut enc = Encoder::new();
    /// enc.rows(&shape.as_shape(), 2, &[1, 0, 2, 0])?;
    /// let bytes = enc.finish()?;
    ///
    /// let rows = Decoder::new(&bytes).rows()?;
    /// assert_eq!(rows.shape(), shape.as_shape());
    /// let numbers: Vec<u16> = rows.iter().filter_map(|row| row.first_chunk()).map(|b| u16::from_le_bytes(*b)).collect();
    /// assert_eq!(numbers, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn iter(&self) -> ChunksExact<'a, u8> {
        // A width is never 0: a shape has at least one leaf.
        self.bytes.chunks_exact((self.width() as usize).max(1))
    }
}

impl<'a> IntoIterator for Rows<'a> {
    type Item = &'a [u8];
    type IntoIter = ChunksExact<'a, u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &Rows<'a> {
    type Item = &'a [u8];
    type IntoIter = ChunksExact<'a, u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
