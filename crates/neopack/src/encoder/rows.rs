//! Packed rows, whole or scalar by scalar.

use super::Encoder;
use crate::decoder::{COUNT_BYTES, HEAD_BYTES};
use crate::error::{EncodeError, Place};
use crate::scan::{self, Nan};
use crate::shape::{GROUP_BYTES, Leaf, Measure, Node, Shape, leaf_bytes, node};
use crate::tag::Tag;

/// Rows that have begun; their shape is read back from the buffer, where it stands already.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenRows {
    /// Where in the buffer the shape starts.
    shape: usize,
    /// Where it ends.
    shape_end: usize,
    /// The node of it that the next scalar belongs to.
    next: usize,
    /// Rows that are not complete.
    left: u32,
    /// What is known of the shape.
    measure: Measure,
}

impl OpenRows {
    /// The next leaf, and where in the buffer its node ends; `None` past the last row.
    #[inline]
    fn next_leaf(&self, buffer: &[u8]) -> Option<(Leaf, usize)> {
        if self.left == 0 {
            return None;
        }
        let mut at = self.next;
        loop {
            match node(buffer.get(at..self.shape_end)?).ok()? {
                Node::Group(_) => at += GROUP_BYTES,
                Node::Leaf(leaf) => return Some((leaf, at + leaf_bytes(leaf))),
            }
        }
    }
}

impl Encoder {
    /// Writes `count` rows at once, copying `rows` as a whole.
    ///
    /// Bools and chars are checked, and NaNs made canonical; case indexes and bit sets are the caller's business.
    ///
    /// # Errors
    /// [`EncodeError::WrongLength`] unless `rows` are `count * width` bytes, [`EncodeError::BadRows`], and as
    /// [`Encoder`] says.
    pub fn rows(&mut self, shape: &Shape<'_>, count: u32, rows: &[u8]) -> Result<(), EncodeError> {
        let expected = u64::from(count) * u64::from(shape.width());
        self.rows_fit(shape, expected)?;
        if rows.len() as u64 != expected {
            return Err(EncodeError::WrongLength { expected, found: rows.len() as u64 });
        }
        scan::check(shape, rows, 0, Nan::Admit).map_err(EncodeError::BadRows)?;
        self.out.reserve(HEAD_BYTES + shape.bytes().len() + COUNT_BYTES + rows.len());
        self.rows_head(shape, count, rows.len());
        let start = self.out.len();
        self.out.extend_from_slice(rows);
        scan::canonicalise(shape, self.out.get_mut(start..).unwrap_or_default());
        self.nest.complete();
        Ok(())
    }

    /// Opens `count` rows, which follow as [`row_bytes`](Self::row_bytes) or scalar by scalar, leaf after leaf, with the
    /// ordinary methods; a scalar takes no tag here.
    ///
    /// ```
    /// use neopack::{Encoder, Leaf, ShapeBuf};
    ///
    /// let shape = ShapeBuf::builder().group(2).leaf(Leaf::U8).leaf(Leaf::Bool).finish()?;
    /// let mut enc = Encoder::new();
    /// enc.rows_begin(&shape.as_shape(), 2)?;
    /// enc.u8(7)?;
    /// enc.bool(true)?;
    /// enc.row_bytes(&[8, 0])?;
    /// enc.rows_end()?;
    /// assert_eq!(enc.finish()?, [0x13, 13, 0, 0, 0, 0x14, 2, 0, 0x02, 0x01, 2, 0, 0, 0, 7, 1, 8, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Encoder`] says; the size limit is checked here for all rows.
    pub fn rows_begin(&mut self, shape: &Shape<'_>, count: u32) -> Result<(), EncodeError> {
        let bytes = u64::from(count) * u64::from(shape.width());
        self.rows_fit(shape, bytes)?;
        // `rows_fit` has bounded the bytes by the size limit.
        self.rows_head(shape, count, bytes as usize);
        let shape_end = self.out.len() - COUNT_BYTES;
        let start = shape_end - shape.bytes().len();
        self.rows = Some(OpenRows { shape: start, shape_end, next: start, left: count, measure: shape.measure() });
        Ok(())
    }

    /// Appends whole rows to those that are open, treated as [`rows`](Self::rows) does.
    ///
    /// # Errors
    /// [`EncodeError::WrongEnd`] if no rows are open, [`EncodeError::NotInRow`] inside a row,
    /// [`EncodeError::WrongLength`] unless `rows` are whole rows and no more than are to come, [`EncodeError::BadRows`].
    pub fn row_bytes(&mut self, rows: &[u8]) -> Result<(), EncodeError> {
        let open = self.open_rows()?;
        if open.next != open.shape {
            return Err(EncodeError::NotInRow { expected: self.next_leaf(&open), found: Tag::Rows });
        }
        let shape = open.measure.shape(self.out.get(open.shape..open.shape_end).unwrap_or_default());
        // A shape has a leaf, so a row is 1 byte wide at least.
        let width = (shape.width() as usize).max(1);
        let count = rows.len() / width;
        if !rows.len().is_multiple_of(width) || count as u64 > u64::from(open.left) {
            let expected = u64::from(open.left) * u64::from(shape.width());
            return Err(EncodeError::WrongLength { expected, found: rows.len() as u64 });
        }
        scan::check(&shape, rows, 0, Nan::Admit).map_err(EncodeError::BadRows)?;
        let start = self.out.len();
        self.out.extend_from_slice(rows);
        let (before, copied) = self.out.split_at_mut(start);
        let shape = open.measure.shape(before.get(open.shape..open.shape_end).unwrap_or_default());
        scan::canonicalise(&shape, copied);
        self.rows = Some(OpenRows { left: open.left - count as u32, ..open });
        Ok(())
    }

    /// Ends the rows.
    ///
    /// # Errors
    /// [`EncodeError::TooFew`] rows, [`EncodeError::WrongEnd`] if none are open.
    pub fn rows_end(&mut self) -> Result<(), EncodeError> {
        let open = self.open_rows()?;
        // A row that has begun still counts as left.
        if open.left > 0 {
            return Err(EncodeError::TooFew { inside: Place::Rows, missing: open.left.into() });
        }
        self.rows = None;
        self.nest.complete();
        Ok(())
    }

    /// Appends one scalar, given without its tag, to the row that is open.
    pub(super) fn row_scalar(&mut self, found: Tag, payload: &[u8]) -> Result<(), EncodeError> {
        let Some(open) = &mut self.rows else {
            return Err(EncodeError::WrongEnd { expected: Place::Rows, found: self.nest.top.place });
        };
        let (leaf, after) = open.next_leaf(&self.out).ok_or(EncodeError::NotInRow { expected: None, found })?;
        if leaf.tag() != found {
            return Err(EncodeError::NotInRow { expected: Some(leaf), found });
        }
        // Only a case index or a bit set is ever narrower in a row than outside.
        let (kept, dropped) = payload.split_at_checked(leaf.width() as usize).unwrap_or((payload, &[]));
        if dropped.iter().any(|&byte| byte != 0) {
            let found = payload.first_chunk().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
            return Err(EncodeError::TooWide { expected: leaf, found });
        }
        self.out.extend_from_slice(kept);
        open.next = after;
        if after == open.shape_end {
            open.next = open.shape;
            open.left -= 1;
        }
        Ok(())
    }

    /// What the row that is open has next; `None` past the last row.
    pub(super) fn next_leaf(&self, open: &OpenRows) -> Option<Leaf> {
        open.next_leaf(&self.out).map(|(leaf, _)| leaf)
    }

    fn open_rows(&self) -> Result<OpenRows, EncodeError> {
        self.rows.ok_or(EncodeError::WrongEnd { expected: Place::Rows, found: self.nest.top.place })
    }

    /// Checks that rows of so many bytes may stand here.
    fn rows_fit(&self, shape: &Shape<'_>, bytes: u64) -> Result<(), EncodeError> {
        let head = HEAD_BYTES + shape.bytes().len() + COUNT_BYTES;
        // A number past usize is past every limit.
        self.room(Tag::Rows, usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(head))?;
        if self.nest.depth_left() <= shape.nesting() {
            return Err(self.too_deep());
        }
        Ok(())
    }

    /// Writes all but the rows, which will be `bytes` bytes.
    fn rows_head(&mut self, shape: &Shape<'_>, count: u32, bytes: usize) {
        let len = shape.bytes().len() + COUNT_BYTES + bytes;
        self.out.push(Tag::Rows as u8);
        self.out.extend_from_slice(&(len as u32).to_le_bytes());
        self.out.extend_from_slice(shape.bytes());
        self.out.extend_from_slice(&count.to_le_bytes());
    }
}
