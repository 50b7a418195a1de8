//! How deep and how large a value may be.

/// Most containers around an item, wrappers included.
///
/// List, Rows, Struct, Map, Variant, Some, ResultOk and ResultErr count one each, and so does each group in a row's
/// shape. 64 is deeper than any interface anyone writes by hand, and the decoder's whole stack for it fits in 800 bytes.
pub const DEPTH_MAX: usize = 64;

/// Most bytes in one encoded value.
///
/// A `list<u8>` of 16 MiB fits with room to spare, and a peer can't make anybody hold more than this for one value.
pub const VALUE_BYTES_MAX: u32 = 20 << 20;

// The stack keeps depths in a byte, and positions in 32 bits with room to add a few.
const _: () = assert!(DEPTH_MAX < u8::MAX as usize);
const _: () = assert!(VALUE_BYTES_MAX < u32::MAX / 4);

/// Limits for one encoder or decoder; they can be lowered, never raised.
///
/// ```
/// use neopack::{Decoder, Limits};
///
/// let limits = Limits::new().depth_max(4).bytes_max(1 << 10);
/// assert!(Decoder::with_limits(&[0x02, 7], limits).u8().is_ok());
/// // Above the constants nothing changes.
/// assert_eq!(Limits::new().depth_max(1_000), Limits::new());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    depth_max: u8,
    bytes_max: u32,
}

impl Limits {
    /// The limits of the format itself: [`DEPTH_MAX`] and [`VALUE_BYTES_MAX`].
    #[must_use]
    pub const fn new() -> Self {
        Self { depth_max: DEPTH_MAX as u8, bytes_max: VALUE_BYTES_MAX }
    }

    /// Lowers the depth to `containers`; a number above the present limit changes nothing.
    ///
    /// With 0, only items that contain no other are left.
    #[must_use]
    pub const fn depth_max(mut self, containers: usize) -> Self {
        if containers < self.depth_max as usize {
            self.depth_max = containers as u8;
        }
        self
    }

    /// Lowers the size of a value to `bytes`; a number above the present limit changes nothing.
    #[must_use]
    pub const fn bytes_max(mut self, bytes: u32) -> Self {
        if bytes < self.bytes_max {
            self.bytes_max = bytes;
        }
        self
    }

    /// Most containers around an item.
    #[must_use]
    pub const fn depth(self) -> usize {
        self.depth_max as usize
    }

    /// Most bytes in a value.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.bytes_max
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
