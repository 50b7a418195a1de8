//! The type tree of WebAssembly component interfaces: hash, comparison, packing, printing
#![forbid(unsafe_code)]

mod ledger;
mod name;
mod obstacle;
mod registry;
mod shape;
mod types;
mod wit;

pub use ledger::{
    FUNCTIONS_MAX, Function, INTERFACE_NAME_BYTES_MAX, INTERFACES_MAX, Interface, Ledger, NamedType, PARAMS_MAX, Param,
};
pub use name::{InterfaceName, NameError, names_match, nearest};
pub use obstacle::{Obstacle, Reason};
pub use registry::{
    CHILDREN_MAX, FIELDS_MAX, FLAGS_MAX, LedgerError, NAME_BYTES_MAX, REGISTRY_NAME_BYTES_MAX, RegistryBuilder,
    TYPES_MAX, TypeRegistry,
};
pub use types::{Case, Field, TypeDef, TypeId, TypeName};
