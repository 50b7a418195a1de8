//! `#[derive(Pack, Unpack)]` for neopack, whose feature `derive` re-exports both.
//!
//! The bytes are those of the WIT type that the Rust type is like:
//!
//! | Rust | WIT | item |
//! |---|---|---|
//! | struct, tuple struct | record, tuple | Struct of the fields in their order |
//! | enum whose variants carry nothing | enum | Enum of the variant's place |
//! | other enum | variant | Variant of the variant's place, then what it carries |
//!
//! A variant that carries nothing holds Unit, one of a single unnamed field holds that field, any other holds a Struct. A
//! discriminant (`Red = 5`) is not sent: the place is.
//!
//! A struct whose fields are all of a fixed width is of a fixed width itself, so a list of it is Rows.
//!
//! ```
//! use neopack::{Pack, Unpack};
//!
//! #[derive(Pack, Unpack, Debug, PartialEq)]
//! struct Point {
//!     x: f64,
//!     y: f64,
//! }
//!
//! #[derive(Pack, Unpack, Debug, PartialEq)]
//! enum Shape<'a> {
//!     Dot(Point),
//!     Path { name: &'a str, points: Vec<Point> },
//!     Nothing,
//! }
//!
//! let shape = Shape::Path { name: "edge", points: vec![Point { x: 0.5, y: 1.0 }] };
//! let bytes = neopack::pack(&shape)?;
//! assert_eq!(neopack::unpack::<Shape<'_>>(&bytes)?, shape);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Attributes
//!
//! - `#[neopack(transparent)]`, on a struct of one field: it is packed as that field, without a Struct around it.
//! - `#[neopack(crate = path::to::neopack)]`, on a struct or enum: where neopack is, if not at `::neopack`.
//!
//! # Limits
//!
//! Every type parameter must be [`Pack`] or [`Unpack`] itself, so it can't stand in a `PhantomData` alone. The type of a
//! field must be as public as the struct, because the struct's form names it.
//!
//! [`Pack`]: https://docs.rs/neopack/latest/neopack/trait.Pack.html
//! [`Unpack`]: https://docs.rs/neopack/latest/neopack/trait.Unpack.html
#![forbid(unsafe_code)]

mod input;
mod pack;
mod tree;
mod unpack;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::input::Input;

/// Derives `neopack::Pack`.
#[proc_macro_derive(Pack, attributes(neopack))]
pub fn derive_pack(tokens: TokenStream) -> TokenStream {
    let input = parse_macro_input!(tokens as DeriveInput);
    Input::parse(input).map(|input| pack::expand(&input)).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Derives `neopack::Unpack`.
#[proc_macro_derive(Unpack, attributes(neopack))]
pub fn derive_unpack(tokens: TokenStream) -> TokenStream {
    let input = parse_macro_input!(tokens as DeriveInput);
    Input::parse(input).map(|input| unpack::expand(&input)).unwrap_or_else(|error| error.to_compile_error()).into()
}
