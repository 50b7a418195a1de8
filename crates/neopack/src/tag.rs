//! The tag byte that opens every item.

use core::fmt;

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $byte:literal,)+) => {
        /// What kind of item follows: the first byte of every item.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Tag {
            $($(#[$doc])* $name = $byte,)+
        }

        impl Tag {
            /// Every tag there is, in the order of their bytes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The tag with that byte, if there is one.
            ///
            /// ```
            /// assert_eq!(neopack::Tag::from_byte(0x04), Some(neopack::Tag::U32));
            /// assert_eq!(neopack::Tag::from_byte(0xff), None);
            /// ```
            #[inline]
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The tag's name, as the specification and every refusal spell it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

tags! {
    /// Nothing: the payload of a case, an ok or an err that carries none; also a whole value.
    Unit = 0x00,
    /// One byte, 0 or 1.
    Bool = 0x01,
    /// An unsigned integer of 8 bits.
    U8 = 0x02,
    /// An unsigned integer of 16 bits.
    U16 = 0x03,
    /// An unsigned integer of 32 bits.
    U32 = 0x04,
    /// An unsigned integer of 64 bits.
    U64 = 0x05,
    /// A signed integer of 8 bits.
    S8 = 0x06,
    /// A signed integer of 16 bits.
    S16 = 0x07,
    /// A signed integer of 32 bits.
    S32 = 0x08,
    /// A signed integer of 64 bits.
    S64 = 0x09,
    /// A float of 32 bits; NaN only as `0x7fc00000`.
    F32 = 0x0a,
    /// A float of 64 bits; NaN only as `0x7ff8000000000000`.
    F64 = 0x0b,
    /// A Unicode scalar value, as a u32.
    Char = 0x0c,
    /// Length and UTF-8.
    Str = 0x10,
    /// Length and bytes: a list of U8.
    Bytes = 0x11,
    /// Length, count and as many items.
    List = 0x12,
    /// A list of fixed-width items: length, the shape of one, count, rows without padding.
    Rows = 0x13,
    /// Length and items by position.
    Struct = 0x14,
    /// Length, count and as many pairs of key and value.
    Map = 0x15,
    /// Case index and exactly one item, Unit where the case carries nothing.
    Variant = 0x16,
    /// Case index.
    Enum = 0x17,
    /// An absent value.
    None = 0x18,
    /// A present value: exactly one item, which is not Unit.
    Some = 0x19,
    /// A success: exactly one item, Unit where it carries nothing.
    ResultOk = 0x1a,
    /// A failure: exactly one item, Unit where it carries nothing.
    ResultErr = 0x1b,
    /// A set of up to 32 bits.
    Flags = 0x1c,
    /// A resource handle, which means something only on its connection.
    Handle = 0x1d,
    /// The id of a channel for a stream's or a future's elements.
    Channel = 0x1e,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
