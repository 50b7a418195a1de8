//! Why bytes are no value, and why a value cannot be written.

use core::fmt;

use crate::shape::{Leaf, ShapeError};
use crate::tag::Tag;

/// Something that holds items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// The whole value: exactly one item.
    Root,
    /// A list, which holds as many items as its count says.
    List,
    /// A struct, which holds the items that its length has room for.
    Struct,
    /// A map, which holds twice as many items as its count says.
    Map,
    /// Packed rows.
    Rows,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "value",
            Self::List => "list",
            Self::Struct => "struct",
            Self::Map => "map",
            Self::Rows => "rows",
        })
    }
}

/// What a reader asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Want {
    /// Any item.
    Item,
    /// An item with this tag.
    One(Tag),
    /// None or Some.
    Option,
    /// ResultOk or ResultErr.
    Result,
}

impl Want {
    pub(crate) const fn admits(self, tag: Tag) -> bool {
        match self {
            Self::Item => true,
            Self::One(one) => one as u8 == tag as u8,
            Self::Option => matches!(tag, Tag::None | Tag::Some),
            Self::Result => matches!(tag, Tag::ResultOk | Tag::ResultErr),
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item => f.write_str("an item"),
            Self::One(tag) => tag.fmt(f),
            Self::Option => f.write_str("None or Some"),
            Self::Result => f.write_str("ResultOk or ResultErr"),
        }
    }
}

/// Why a decoder refused; every offset counts bytes from the start of its input.
///
/// Only [`WrongTag`](Self::WrongTag), [`NoItem`](Self::NoItem), [`Unread`](Self::Unread), [`WrongEnd`](Self::WrongEnd)
/// and [`Unfinished`](Self::Unfinished), and of the refusals of an [`Unpack`](crate::Unpack) alone
/// [`BadCase`](Self::BadCase), [`BadRow`](Self::BadRow), [`WrongShape`](Self::WrongShape),
/// [`WrongItems`](Self::WrongItems) and [`DoubleKey`](Self::DoubleKey), can mean that the reader took sound bytes for
/// another type. After all others the bytes are no value at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input, or the container around the item, ends inside the item.
    Truncated {
        /// Where the item starts.
        offset: usize,
        /// What was being read.
        expected: Want,
        /// Bytes that the item takes, as far as can be told.
        needed: usize,
        /// Bytes that are there.
        held: usize,
    },
    /// An item stands there, of another kind.
    WrongTag {
        /// Where the item starts.
        offset: usize,
        /// What was asked for.
        expected: Want,
        /// What stands there.
        found: Tag,
    },
    /// The byte is no tag.
    UnknownTag {
        /// Where the byte stands.
        offset: usize,
        /// What was asked for.
        expected: Want,
        /// The byte.
        found: u8,
    },
    /// The container has no further item.
    NoItem {
        /// Where the container's last item ended.
        offset: usize,
        /// What was asked for.
        expected: Want,
        /// The container.
        inside: Place,
    },
    /// Unit stands where it means nothing: only a whole value, or what Variant, ResultOk or ResultErr hold, may be Unit.
    MisplacedUnit {
        /// Where Unit stands.
        offset: usize,
    },
    /// A container claims more items than its bytes can hold, or its bytes ended before its count.
    WrongCount {
        /// Where the count stands, or where the container ended.
        offset: usize,
        /// The container.
        inside: Place,
        /// Items (of a map: keys and values) that were still to come.
        expected: u64,
        /// Items that there can be at most.
        found: u64,
    },
    /// The rows of a packed list take another number of bytes than its length leaves them.
    WrongLength {
        /// Where the rows start.
        offset: usize,
        /// Count times width.
        expected: u64,
        /// Bytes that the length leaves.
        found: u64,
    },
    /// A container was ended before its last item was read.
    Unread {
        /// Where the next item starts.
        offset: usize,
        /// The container.
        inside: Place,
        /// Bytes of it that were not read.
        bytes: usize,
    },
    /// Bytes follow the last item of a container, or the value.
    Trailing {
        /// Where they start.
        offset: usize,
        /// The container.
        inside: Place,
        /// How many they are.
        bytes: usize,
    },
    /// Another container than the innermost was ended.
    WrongEnd {
        /// Where the decoder stands.
        offset: usize,
        /// What was ended.
        expected: Place,
        /// What is open there.
        found: Place,
    },
    /// The input was finished, or a container ended, with an item still to read.
    Unfinished {
        /// Where the decoder stands.
        offset: usize,
        /// The innermost open container.
        inside: Place,
    },
    /// A bool that is neither 0 nor 1.
    BadBool {
        /// Where the byte stands.
        offset: usize,
        /// The byte.
        found: u8,
    },
    /// A char that is no Unicode scalar value.
    BadChar {
        /// Where its four bytes start.
        offset: usize,
        /// What they say.
        found: u32,
    },
    /// A NaN in another than its one form.
    BadNan {
        /// Where its bytes start.
        offset: usize,
        /// Its bits; of an f32 the lower half.
        found: u64,
    },
    /// A string that is not UTF-8.
    BadText {
        /// Where the first byte stands that is not.
        offset: usize,
        /// The byte.
        found: u8,
    },
    /// The shape of packed rows is none.
    BadShape {
        /// Where the shape starts.
        offset: usize,
        /// What is wrong, and where in the shape.
        error: ShapeError,
    },
    /// A case index past the type's last case.
    BadCase {
        /// Where the index stands.
        offset: usize,
        /// How many cases the type has.
        cases: u32,
        /// The index.
        found: u32,
    },
    /// A row with a case index past its type's last case.
    BadRow {
        /// Where the row starts.
        offset: usize,
    },
    /// Rows of another shape than the type's.
    WrongShape {
        /// Where the shape starts.
        offset: usize,
    },
    /// A list of another length than the type's.
    WrongItems {
        /// Where the list starts.
        offset: usize,
        /// Items that the type has.
        expected: u32,
        /// Items of the list.
        found: usize,
    },
    /// A key that the map has already, where the type holds each once.
    DoubleKey {
        /// Where the key starts.
        offset: usize,
    },
    /// Nesting passed the limit in force.
    TooDeep {
        /// Where the container starts that is one too many.
        offset: usize,
        /// Most containers around an item.
        limit: usize,
    },
    /// The input is larger than the limit in force.
    TooLarge {
        /// Most bytes in a value.
        limit: u32,
        /// The input's size in bytes.
        found: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { offset, expected, needed, held } => {
                write!(f, "expected {expected} at byte {offset}, {needed} bytes or more, found {held}")
            }
            Self::WrongTag { offset, expected, found } => {
                write!(f, "expected {expected} at byte {offset}, found {found}")
            }
            Self::UnknownTag { offset, expected, found } => {
                write!(f, "expected {expected} at byte {offset}, found unknown tag 0x{found:02x}")
            }
            Self::NoItem { offset, expected, inside } => {
                write!(f, "expected {expected} at byte {offset}, found the end of the {inside}")
            }
            Self::MisplacedUnit { offset } => {
                write!(f, "expected an item other than Unit at byte {offset}, found Unit")
            }
            Self::WrongCount { offset, inside, expected, found } => {
                write!(f, "expected {expected} items in the {inside} at byte {offset}, found room for {found}")
            }
            Self::WrongLength { offset, expected, found } => {
                write!(f, "expected {expected} bytes of rows at byte {offset}, found {found}")
            }
            Self::Unread { offset, inside, bytes } | Self::Trailing { offset, inside, bytes } => {
                write!(f, "expected the end of the {inside} at byte {offset}, found {bytes} bytes more")
            }
            Self::WrongEnd { offset, expected, found } => {
                write!(f, "expected an open {expected} to end at byte {offset}, found an open {found}")
            }
            Self::Unfinished { offset, inside } => {
                write!(f, "expected the {inside} to be read to its end at byte {offset}, found it unfinished")
            }
            Self::BadBool { offset, found } => {
                write!(f, "expected a bool of 0 or 1 at byte {offset}, found {found}")
            }
            Self::BadChar { offset, found } => {
                write!(f, "expected a Unicode scalar value at byte {offset}, found 0x{found:x}")
            }
            Self::BadNan { offset, found } => {
                write!(f, "expected the canonical NaN at byte {offset}, found 0x{found:x}")
            }
            Self::BadText { offset, found } => {
                write!(f, "expected UTF-8 at byte {offset}, found 0x{found:02x}")
            }
            Self::BadShape { offset, error } => {
                write!(f, "{} at byte {}", error.fault, offset + error.at)
            }
            Self::BadCase { offset, cases, found } => {
                write!(f, "expected one of {cases} cases at byte {offset}, found index {found}")
            }
            Self::BadRow { offset } => {
                write!(f, "expected a row of the type's own cases at byte {offset}, found another index")
            }
            Self::WrongShape { offset } => {
                write!(f, "expected the shape of the type's rows at byte {offset}, found another")
            }
            Self::WrongItems { offset, expected, found } => {
                write!(f, "expected a list of {expected} items at byte {offset}, found {found}")
            }
            Self::DoubleKey { offset } => {
                write!(f, "expected a key that the map does not have at byte {offset}, found it again")
            }
            Self::TooDeep { offset, limit } => {
                write!(f, "expected at most {limit} nested containers, found one more at byte {offset}")
            }
            Self::TooLarge { limit, found } => {
                write!(f, "expected a value of at most {limit} bytes, found {found}")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why an encoder refused; the encoder is as it was before.
///
/// [`TooDeep`](Self::TooDeep) and [`TooLarge`](Self::TooLarge) say something of the value; all others are mistakes of
/// the code that drives the encoder, or of the bytes it passed to [`raw`](crate::Encoder::raw) or
/// [`rows`](crate::Encoder::rows).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The container has all its items, or the value is complete.
    NoRoom {
        /// The container.
        inside: Place,
        /// What was to be written.
        found: Tag,
    },
    /// Unit where it means nothing: only a whole value, or what Variant, ResultOk or ResultErr hold, may be Unit.
    MisplacedUnit,
    /// Another container than the innermost was ended.
    WrongEnd {
        /// What was ended.
        expected: Place,
        /// What is open.
        found: Place,
    },
    /// A container was ended before it had all its items.
    TooFew {
        /// The container.
        inside: Place,
        /// Items (of a map: keys and values) that are missing.
        missing: u64,
    },
    /// A container was ended while a Some, Variant, ResultOk or ResultErr in it waits for its item.
    Awaiting {
        /// The container.
        inside: Place,
    },
    /// The value was finished before it was complete.
    Unfinished {
        /// The innermost open container.
        inside: Place,
    },
    /// An item that cannot stand in rows, or not at this place of a row.
    NotInRow {
        /// What the shape has here; `None` past the last row.
        expected: Option<Leaf>,
        /// What was to be written.
        found: Tag,
    },
    /// A case index or bit set wider than the row's shape says.
    TooWide {
        /// What the shape has here.
        expected: Leaf,
        /// The index or bits.
        found: u32,
    },
    /// Bytes that are not whole rows, or other than as many rows as are wanted.
    WrongLength {
        /// Bytes wanted.
        expected: u64,
        /// Bytes given.
        found: u64,
    },
    /// Bytes that are no rows of the shape; offsets count from the first byte given.
    BadRows(DecodeError),
    /// Bytes that are no item; offsets count from the first byte given.
    BadItem(DecodeError),
    /// Nesting passed the limit in force.
    TooDeep {
        /// Most containers around an item.
        limit: usize,
    },
    /// The value passed the limit in force.
    TooLarge {
        /// Most bytes in a value.
        limit: u32,
        /// Bytes that the value would have come to, at least.
        found: u64,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoRoom { inside, found } => write!(f, "expected the end of the {inside}, found {found}"),
            Self::MisplacedUnit => f.write_str("expected an item other than Unit, found Unit"),
            Self::WrongEnd { expected, found } => {
                write!(f, "expected an open {expected} to end, found an open {found}")
            }
            Self::TooFew { inside, missing } => {
                write!(f, "expected {missing} items more in the {inside}, found its end")
            }
            Self::Awaiting { inside } => {
                write!(f, "expected what the last wrapper in the {inside} holds, found the end of the {inside}")
            }
            Self::Unfinished { inside } => write!(f, "expected the {inside} to be complete, found it unfinished"),
            Self::NotInRow { expected: Some(leaf), found } => {
                write!(f, "expected {} in the row, found {found}", leaf.tag())
            }
            Self::NotInRow { expected: None, found } => write!(f, "expected the end of the rows, found {found}"),
            Self::TooWide { expected, found } => {
                write!(f, "expected {} of {} bytes in the row, found {found}", expected.tag(), expected.width())
            }
            Self::WrongLength { expected, found } => write!(f, "expected {expected} bytes of rows, found {found}"),
            Self::BadRows(error) => write!(f, "in the rows given: {error}"),
            Self::BadItem(error) => write!(f, "in the item given: {error}"),
            Self::TooDeep { limit } => write!(f, "expected at most {limit} nested containers, found one more"),
            Self::TooLarge { limit, found } => {
                write!(f, "expected a value of at most {limit} bytes, found {found} or more")
            }
        }
    }
}

impl core::error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::BadRows(error) | Self::BadItem(error) => Some(error),
            Self::NoRoom { .. }
            | Self::MisplacedUnit
            | Self::WrongEnd { .. }
            | Self::TooFew { .. }
            | Self::Awaiting { .. }
            | Self::Unfinished { .. }
            | Self::NotInRow { .. }
            | Self::TooWide { .. }
            | Self::WrongLength { .. }
            | Self::TooDeep { .. }
            | Self::TooLarge { .. } => None,
        }
    }
}
