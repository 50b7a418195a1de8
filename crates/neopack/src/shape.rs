//! The shape of a row: what one item of a packed list looks like.

use alloc::vec::Vec;
use core::fmt;

use crate::limits::DEPTH_MAX;
use crate::tag::Tag;

/// Most nodes in a shape, leaves and groups together.
///
/// It bounds what is read before the first row, and 256 scalars is a wider record than anyone passes by value.
pub const SHAPE_NODES_MAX: usize = 256;

/// Most groups inside one another; Rows itself takes one more level of [`DEPTH_MAX`].
pub const SHAPE_NESTING_MAX: usize = DEPTH_MAX - 1;

/// Bytes that an enum's index or a flag set takes in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// One byte.
    One,
    /// Two bytes.
    Two,
    /// Four bytes.
    Four,
}

impl Width {
    /// The width that an enum of so many cases has in memory: the smallest that tells them apart.
    #[must_use]
    pub const fn for_cases(cases: u32) -> Self {
        match cases {
            0..=0x100 => Self::One,
            0x101..=0x1_0000 => Self::Two,
            _ => Self::Four,
        }
    }

    /// The width that a set of so many flags has in memory.
    #[must_use]
    pub const fn for_flags(flags: u32) -> Self {
        match flags {
            0..=8 => Self::One,
            9..=16 => Self::Two,
            _ => Self::Four,
        }
    }

    /// The width in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            _ => None,
        }
    }
}

/// One scalar of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the tag of the same name")]
pub enum Leaf {
    Bool,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F32,
    F64,
    Char,
    /// A case index.
    Enum(Width),
    /// A bit set.
    Flags(Width),
}

impl Leaf {
    /// Bytes of the leaf in a row.
    #[inline]
    #[must_use]
    pub const fn width(self) -> u32 {
        match self {
            Self::Bool | Self::U8 | Self::S8 => 1,
            Self::U16 | Self::S16 => 2,
            Self::U32 | Self::S32 | Self::F32 | Self::Char => 4,
            Self::U64 | Self::S64 | Self::F64 => 8,
            Self::Enum(width) | Self::Flags(width) => width.bytes(),
        }
    }

    /// The tag that the same scalar has outside a row.
    #[inline]
    #[must_use]
    pub const fn tag(self) -> Tag {
        match self {
            Self::Bool => Tag::Bool,
            Self::U8 => Tag::U8,
            Self::U16 => Tag::U16,
            Self::U32 => Tag::U32,
            Self::U64 => Tag::U64,
            Self::S8 => Tag::S8,
            Self::S16 => Tag::S16,
            Self::S32 => Tag::S32,
            Self::S64 => Tag::S64,
            Self::F32 => Tag::F32,
            Self::F64 => Tag::F64,
            Self::Char => Tag::Char,
            Self::Enum(_) => Tag::Enum,
            Self::Flags(_) => Tag::Flags,
        }
    }

    /// Whether some bytes of the leaf's width are no value of it.
    pub(crate) const fn is_checked(self) -> bool {
        matches!(self, Self::Bool | Self::Char | Self::F32 | Self::F64)
    }
}

/// What is wrong with the bytes of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeFault {
    /// The shape goes on and the bytes do not.
    Truncated,
    /// No leaf or group starts with that byte.
    UnknownNode {
        /// The byte.
        found: u8,
    },
    /// An enum or flags leaf of a width that is not 1, 2 or 4.
    BadWidth {
        /// The width.
        found: u8,
    },
    /// A group of no fields.
    EmptyGroup,
    /// More than [`SHAPE_NODES_MAX`] nodes.
    TooManyNodes,
    /// Groups nested deeper than the limit in force.
    TooDeep {
        /// The limit, in groups.
        limit: usize,
    },
    /// One U8 alone: such a list is Bytes.
    LoneU8,
    /// Bytes follow the shape's end.
    Trailing,
}

/// A shape that is none, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeError {
    /// Offset in the shape's bytes.
    pub at: usize,
    /// What is wrong there.
    pub fault: ShapeFault,
}

impl fmt::Display for ShapeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("expected the rest of a shape, found its end"),
            Self::UnknownNode { found } => write!(f, "expected a leaf or a group of a shape, found 0x{found:02x}"),
            Self::BadWidth { found } => write!(f, "expected a width of 1, 2 or 4, found {found}"),
            Self::EmptyGroup => f.write_str("expected a group of one field or more, found none"),
            Self::TooManyNodes => write!(f, "expected at most {SHAPE_NODES_MAX} nodes in a shape, found more"),
            Self::TooDeep { limit } => write!(f, "expected at most {limit} nested groups, found more"),
            Self::LoneU8 => f.write_str("expected any shape but a lone U8, which is Bytes, found U8"),
            Self::Trailing => f.write_str("expected the end of the shape, found more bytes"),
        }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of the shape", self.fault, self.at)
    }
}

impl core::error::Error for ShapeError {}

/// A validated row shape, borrowed.
///
/// Two shapes are equal if their bytes are.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    bytes: &'a [u8],
    measure: Measure,
}

/// What is known of a shape once it has been walked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    width: u32,
    nesting: u8,
    checked: bool,
}

impl Measure {
    pub(crate) const fn new(width: u32, nesting: u8, checked: bool) -> Self {
        Self { width, nesting, checked }
    }

    /// The shape again, from the bytes that were walked.
    pub(crate) const fn shape(self, bytes: &[u8]) -> Shape<'_> {
        Shape { bytes, measure: self }
    }
}

impl<'a> Shape<'a> {
    /// Reads a shape that takes up all of `bytes`.
    ///
    /// # Errors
    /// [`ShapeError`] with the first fault.
    pub fn new(bytes: &'a [u8]) -> Result<Self, ShapeError> {
        let shape = Self::read(bytes, SHAPE_NESTING_MAX)?;
        if shape.bytes.len() < bytes.len() {
            return Err(ShapeError { at: shape.bytes.len(), fault: ShapeFault::Trailing });
        }
        Ok(shape)
    }

    /// Reads the shape at the front of `bytes`.
    pub(crate) fn read(bytes: &'a [u8], nesting_max: usize) -> Result<Self, ShapeError> {
        let mut width = 0;
        let mut checked = false;
        let mut nesting = 0_u8;
        let mut nodes = 0;
        let mut at = 0;
        // How many fields the groups around the present node still want; `open` of them are in use.
        let mut wanted = [0_u16; SHAPE_NESTING_MAX];
        let mut open = 0_usize;
        loop {
            let refuse = |fault| Err(ShapeError { at, fault });
            if nodes == SHAPE_NODES_MAX {
                return refuse(ShapeFault::TooManyNodes);
            }
            nodes += 1;
            let rest = bytes.get(at..).unwrap_or_default();
            match node(rest) {
                Err(fault) => return refuse(fault),
                Ok(Node::Group(0)) => return refuse(ShapeFault::EmptyGroup),
                Ok(Node::Group(fields)) => {
                    let Some(slot) = wanted.get_mut(open).filter(|_| open < nesting_max) else {
                        return refuse(ShapeFault::TooDeep { limit: nesting_max.min(SHAPE_NESTING_MAX) });
                    };
                    *slot = fields;
                    open += 1;
                    nesting = nesting.max(open as u8);
                    at += GROUP_BYTES;
                    continue;
                }
                Ok(Node::Leaf(Leaf::U8)) if open == 0 => return refuse(ShapeFault::LoneU8),
                Ok(Node::Leaf(leaf)) => {
                    width += leaf.width();
                    checked |= leaf.is_checked();
                    at += leaf_bytes(leaf);
                }
            }
            // The leaf was the last field of as many groups as have no other to come.
            while let Some(slot) = open.checked_sub(1).and_then(|last| wanted.get_mut(last)) {
                *slot -= 1;
                if *slot > 0 {
                    break;
                }
                open -= 1;
            }
            if open == 0 {
                let bytes = bytes.get(..at).unwrap_or_default();
                return Ok(Self { bytes, measure: Measure { width, nesting, checked } });
            }
        }
    }

    /// The shape's bytes, as they stand in Rows.
    #[inline]
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of one row; never 0.
    #[inline]
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.measure.width
    }

    /// Groups inside one another at the deepest.
    #[inline]
    #[must_use]
    pub const fn nesting(&self) -> usize {
        self.measure.nesting as usize
    }

    /// The scalars of a row in order, each with its offset in the row.
    #[must_use]
    pub const fn leaves(&self) -> Leaves<'a> {
        Leaves { rest: self.bytes, offset: 0 }
    }

    pub(crate) const fn measure(&self) -> Measure {
        self.measure
    }

    /// Whether rows of this shape must be looked at: not so for integers, enums and flags alone.
    pub(crate) const fn is_checked(&self) -> bool {
        self.measure.checked
    }
}

impl PartialEq for Shape<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Shape<'_> {}

/// The leaves of a [`Shape`], each with its offset in the row; see [`Shape::leaves`].
#[derive(Debug, Clone)]
pub struct Leaves<'a> {
    rest: &'a [u8],
    offset: u32,
}

impl Iterator for Leaves<'_> {
    type Item = (Leaf, u32);

    fn next(&mut self) -> Option<(Leaf, u32)> {
        loop {
            match node(self.rest).ok()? {
                Node::Group(_) => self.rest = self.rest.get(GROUP_BYTES..)?,
                Node::Leaf(leaf) => {
                    self.rest = self.rest.get(leaf_bytes(leaf)..)?;
                    let offset = self.offset;
                    self.offset += leaf.width();
                    return Some((leaf, offset));
                }
            }
        }
    }
}

/// A validated row shape, owned.
///
/// ```
/// use neopack::{Leaf, ShapeBuf};
///
/// // record { id: u64, at: tuple<f32, f32> }
/// let shape = ShapeBuf::builder().group(2).leaf(Leaf::U64).group(2).leaf(Leaf::F32).leaf(Leaf::F32).finish()?;
/// assert_eq!(shape.as_shape().width(), 16);
/// let offsets: Vec<u32> = shape.as_shape().leaves().map(|(_, offset)| offset).collect();
/// assert_eq!(offsets, [0, 8, 12]);
/// # Ok::<(), neopack::ShapeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ShapeBuf {
    bytes: Vec<u8>,
    measure: Measure,
}

impl ShapeBuf {
    /// Starts a shape, written in preorder.
    #[must_use]
    pub const fn builder() -> ShapeBuilder {
        ShapeBuilder { bytes: Vec::new(), nodes: 0 }
    }

    /// The shape, borrowed.
    #[inline]
    #[must_use]
    pub fn as_shape(&self) -> Shape<'_> {
        Shape { bytes: &self.bytes, measure: self.measure }
    }
}

impl From<Shape<'_>> for ShapeBuf {
    fn from(shape: Shape<'_>) -> Self {
        Self { bytes: shape.bytes.to_vec(), measure: shape.measure }
    }
}

impl PartialEq for ShapeBuf {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ShapeBuf {}

/// Writes a [`ShapeBuf`] node by node; see [`ShapeBuf::builder`].
#[derive(Debug, Clone)]
pub struct ShapeBuilder {
    bytes: Vec<u8>,
    nodes: usize,
}

impl ShapeBuilder {
    /// Adds a group; the next `fields` shapes are its fields.
    #[must_use]
    pub fn group(mut self, fields: u16) -> Self {
        if self.has_room() {
            self.bytes.push(Tag::Struct as u8);
            self.bytes.extend_from_slice(&fields.to_le_bytes());
        }
        self
    }

    /// Adds a leaf.
    #[must_use]
    pub fn leaf(mut self, leaf: Leaf) -> Self {
        if self.has_room() {
            self.bytes.push(leaf.tag() as u8);
            if let Leaf::Enum(width) | Leaf::Flags(width) = leaf {
                self.bytes.push(width.bytes() as u8);
            }
        }
        self
    }

    /// The shape, if it is one.
    ///
    /// # Errors
    /// [`ShapeError`]: too few nodes or too many, too deep, an empty group, or a lone U8.
    pub fn finish(self) -> Result<ShapeBuf, ShapeError> {
        let measure = Shape::new(&self.bytes)?.measure;
        Ok(ShapeBuf { bytes: self.bytes, measure })
    }

    /// One node past the limit is kept, so that [`finish`](Self::finish) finds it; the rest would only take memory.
    fn has_room(&mut self) -> bool {
        self.nodes += 1;
        self.nodes <= SHAPE_NODES_MAX + 1
    }
}

/// One node of a shape.
pub(crate) enum Node {
    Leaf(Leaf),
    Group(u16),
}

/// The node at the front of `bytes`.
#[inline]
pub(crate) fn node(bytes: &[u8]) -> Result<Node, ShapeFault> {
    let (&first, rest) = bytes.split_first().ok_or(ShapeFault::Truncated)?;
    let width = || {
        let &found = rest.first().ok_or(ShapeFault::Truncated)?;
        Width::from_byte(found).ok_or(ShapeFault::BadWidth { found })
    };
    let unknown = ShapeFault::UnknownNode { found: first };
    let leaf = match Tag::from_byte(first).ok_or(unknown)? {
        Tag::Bool => Leaf::Bool,
        Tag::U8 => Leaf::U8,
        Tag::U16 => Leaf::U16,
        Tag::U32 => Leaf::U32,
        Tag::U64 => Leaf::U64,
        Tag::S8 => Leaf::S8,
        Tag::S16 => Leaf::S16,
        Tag::S32 => Leaf::S32,
        Tag::S64 => Leaf::S64,
        Tag::F32 => Leaf::F32,
        Tag::F64 => Leaf::F64,
        Tag::Char => Leaf::Char,
        Tag::Enum => Leaf::Enum(width()?),
        Tag::Flags => Leaf::Flags(width()?),
        Tag::Struct => {
            let fields = rest.first_chunk::<2>().ok_or(ShapeFault::Truncated)?;
            return Ok(Node::Group(u16::from_le_bytes(*fields)));
        }
        Tag::Unit
        | Tag::Str
        | Tag::Bytes
        | Tag::List
        | Tag::Rows
        | Tag::Map
        | Tag::Variant
        | Tag::None
        | Tag::Some
        | Tag::ResultOk
        | Tag::ResultErr
        | Tag::Handle
        | Tag::Channel => return Err(unknown),
    };
    Ok(Node::Leaf(leaf))
}

/// Bytes of a leaf in a shape.
pub(crate) const fn leaf_bytes(leaf: Leaf) -> usize {
    if matches!(leaf, Leaf::Enum(_) | Leaf::Flags(_)) { 2 } else { 1 }
}

/// Bytes of a group's head in a shape.
pub(crate) const GROUP_BYTES: usize = 3;
