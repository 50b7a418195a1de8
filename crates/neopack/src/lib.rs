//! A self-describing, canonical, bounded binary encoding: tag, length, value.
//!
//! `docs/spec/neopack.md` is the format; this crate is one strict [`Encoder`] and one strict [`Decoder`] for it.
//! Three properties hold for every input, however hostile:
//!
//! - **Canonical.** One value has exactly one encoding, so bytes can be compared and hashed. The encoder writes nothing
//!   else, and the decoder refuses everything else.
//! - **Bounded.** Depth and size have named limits ([`DEPTH_MAX`], [`VALUE_BYTES_MAX`]) that [`Limits`] can only lower.
//!   Nothing is allocated by a length that was told; the decoder allocates nothing at all and never recurses.
//! - **Exact.** A refusal names the offset, what was expected there and what stood there. A failed read leaves the
//!   decoder where it was, a refused write leaves the encoder as it was.
//!
//! ```
//! use neopack::{Decoder, Encoder};
//!
//! let mut enc = Encoder::new();
//! enc.struct_begin()?;
//! enc.str("apples")?;
//! enc.some()?;
//! enc.u32(3)?;
//! enc.struct_end()?;
//! let bytes = enc.finish()?;
//!
//! let mut dec = Decoder::new(&bytes);
//! dec.struct_begin()?;
//! assert_eq!(dec.str()?, "apples");
//! if dec.option()? {
//!     assert_eq!(dec.u32()?, 3);
//! }
//! dec.struct_end()?;
//! dec.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Values by their type
//!
//! [`pack`] and [`unpack`] take whole values of any type that is [`Pack`] and [`Unpack`], and so do [`Encoder::pack`] and
//! [`Decoder::unpack`] for one item among others. The bytes are the same as those written by hand. With the feature
//! `derive` there are derives of both traits. They are the fast way: the type says what may come where, so nothing has to
//! be kept of where one stands, and the heads and numbers of a struct are written and checked together.
//!
//! ```
//! let bytes = neopack::pack(&("apples", Some(3_u32)))?;
//! let (name, count): (&str, Option<u32>) = neopack::unpack(&bytes)?;
//! assert_eq!((name, count), ("apples", Some(3)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

extern crate alloc;

mod decoder;
mod encoder;
mod error;
mod limits;
mod nest;
mod rows;
mod scan;
mod shape;
mod tag;
mod typed;

pub use decoder::{Decoder, validate};
pub use encoder::Encoder;
pub use error::{DecodeError, EncodeError, Place, Want};
pub use limits::{DEPTH_MAX, Limits, VALUE_BYTES_MAX};
#[cfg(feature = "derive")]
pub use neopack_derive::{Pack, Unpack};
pub use rows::Rows;
pub use shape::{
    Leaf, Leaves, SHAPE_NESTING_MAX, SHAPE_NODES_MAX, Shape, ShapeBuf, ShapeBuilder, ShapeError, ShapeFault, Width,
};
pub use tag::Tag;
pub use typed::{Fields, Item, Pack, Unpack, form, pack, pack_into, unpack};
