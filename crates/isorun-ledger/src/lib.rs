//! The type tree of WebAssembly component interfaces: hash, comparison, packing, printing
#![forbid(unsafe_code)]

mod diff;
mod ledger;
mod name;
mod obstacle;
mod pack;
mod print;
mod registry;
mod shape;
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
