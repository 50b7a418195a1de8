//! Which types are rows, told at compile time.

use crate::limits::DEPTH_MAX;
use crate::shape::{GROUP_BYTES, Leaf, Measure, SHAPE_NESTING_MAX, SHAPE_NODES_MAX, Shape};
use crate::tag::Tag;

/// The shape of a type's rows, or that it has none.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    exists: bool,
    bytes: [u8; ROW_BYTES_MAX],
    len: usize,
    nodes: usize,
    width: usize,
    nesting: usize,
    checked: bool,
}

/// Bytes of the longest shape: all of its nodes are groups.
const ROW_BYTES_MAX: usize = SHAPE_NODES_MAX * GROUP_BYTES;
const _: () = assert!(SHAPE_NESTING_MAX < DEPTH_MAX);

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time, where a wrong index is a compile error")]
impl Row {
    /// The row of no fields, which others are added to.
    pub(super) const EMPTY: Self =
        Self { exists: true, bytes: [0; ROW_BYTES_MAX], len: 0, nodes: 0, width: 0, nesting: 0, checked: false };

    /// Not of a fixed width.
    pub(super) const NONE: Self = Self { exists: false, ..Self::EMPTY };

    pub(super) const fn leaf(leaf: Leaf) -> Self {
        let mut row = Self::EMPTY;
        row.bytes[0] = leaf.tag() as u8;
        row.len = 1;
        if let Leaf::Enum(width) | Leaf::Flags(width) = leaf {
            row.bytes[1] = width.bytes() as u8;
            row.len = 2;
        }
        row.nodes = 1;
        row.width = leaf.width() as usize;
        row.checked = leaf.is_checked();
        row
    }

    /// These fields and then those.
    pub(super) const fn then(mut self, next: &Self) -> Self {
        if !self.exists || !next.exists || self.nodes + next.nodes > SHAPE_NODES_MAX {
            return Self::NONE;
        }
        let mut at = 0;
        while at < next.len {
            self.bytes[self.len + at] = next.bytes[at];
            at += 1;
        }
        self.len += next.len;
        self.nodes += next.nodes;
        self.width += next.width;
        self.checked |= next.checked;
        if next.nesting > self.nesting {
            self.nesting = next.nesting;
        }
        self
    }

    /// The record of so many fields.
    pub(super) const fn group(&self, fields: usize) -> Self {
        // More fields than a u16 holds are more nodes than there may be.
        if !self.exists || fields == 0 || self.nodes >= SHAPE_NODES_MAX || self.nesting >= SHAPE_NESTING_MAX {
            return Self::NONE;
        }
        let [low, high] = (fields as u16).to_le_bytes();
        let mut row = Self::EMPTY;
        row.bytes[0] = Tag::Struct as u8;
        row.bytes[1] = low;
        row.bytes[2] = high;
        row.len = GROUP_BYTES;
        row.nodes = 1;
        let mut row = row.then(self);
        row.nesting = self.nesting + 1;
        row
    }

    /// How a list of such items travels.
    pub(super) const fn list(&self) -> ListForm {
        if !self.exists {
            return ListForm::Items;
        }
        if self.len == 1 && self.bytes[0] == Tag::U8 as u8 { ListForm::Bytes } else { ListForm::Rows }
    }

    /// Bytes of one row.
    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// Bytes of the shape.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The shape; of a row that does not exist it means nothing.
    pub(super) const fn shape(&self) -> Shape<'_> {
        let bytes = self.bytes.split_at(self.len).0;
        Measure::new(self.width as u32, self.nesting as u8, self.checked).shape(bytes)
    }
}

pub(super) const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// The three forms of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListForm {
    Bytes,
    Rows,
    Items,
}

/// What the parts of a row and of an item have in common.
pub trait Shaped {
    /// What it is in a row; of several fields, one after another.
    const ROW: Row;
    /// How many fields it is.
    const FIELDS: usize = 1;
}

/// A part of a row that can be taken from its bytes.
pub trait RowPart: Shaped + Sized {
    /// Takes the part from as many bytes as its width; `None` if they are no value of it.
    fn take(bytes: &[u8]) -> Option<Self>;
}

/// The row of types that are not of a fixed width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRow;

impl Shaped for NoRow {
    const ROW: Row = Row::NONE;
}

impl RowPart for NoRow {
    fn take(_: &[u8]) -> Option<Self> {
        None
    }
}
