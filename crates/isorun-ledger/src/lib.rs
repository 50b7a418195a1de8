//! The type tree of WebAssembly component interfaces: hash, comparison, packing, printing.
//!
//! A [`Ledger`] says what a component imports and exports, down to the last
//! type. It is a value: it prints as WIT, it [packs](Ledger::pack) into bytes
//! for a peer, and [`compatible`] tells where two sides disagree, path by path.
//!
//! All types live in one table, the [`TypeRegistry`], each after what it is made
//! of and each once. So everything here is a loop over a table: nothing recurses,
//! and types that share their parts never blow up. Ledgers come from strangers,
//! so whatever can grow has a limit, and no bytes make this crate panic.
//!
//! ```
//! use std::sync::Arc;
//! use isorun_ledger::{Function, Interface, Ledger, Param, RegistryBuilder, TypeDef};
//!
//! let mut builder = RegistryBuilder::new();
//! let text = builder.intern(TypeDef::String, None)?;
//! let maybe = builder.intern(TypeDef::Option(text), None)?;
//! let types = Arc::new(builder.finish());
//!
//! let mut store = Interface::new(Some("demo:kv/store@0.1.0".into()));
//! let params = vec![Param { name: "key".into(), ty: text }];
//! store.functions.push(Function::new(&types, "get", params, Some(maybe), false)?);
//! let ledger = Ledger::new(types, vec![store], Vec::new())?;
//!
//! assert!(ledger.to_string().contains("get: func(key: string) -> option<string>;"));
//! assert_eq!(Ledger::unpack(&ledger.pack())?, ledger);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod diff;
mod ledger;
mod name;
mod obstacle;
mod pack;
mod print;
mod registry;
mod shape;
#[cfg(feature = "testing")]
pub mod testing;
mod types;
mod wit;

pub use diff::{DIFFERENCE_LINES_MAX, Difference, Mismatch, Side, compatible};
pub use ledger::{
    FUNCTIONS_MAX, Function, INTERFACES_BYTES_MAX, INTERFACES_MAX, Interface, Ledger, NamedType, PARAMS_MAX, Param,
};
pub use name::{InterfaceName, NameError, names_match, nearest};
pub use obstacle::{Obstacle, Reason};
pub use pack::UnpackError;
pub use registry::{
    FIELDS_MAX, FLAGS_MAX, LedgerError, NAME_BYTES_MAX, RegistryBuilder, TYPES_BYTES_MAX, TYPES_MAX, TypeRegistry,
};
pub use types::{Case, Field, TypeDef, TypeId, TypeName};
