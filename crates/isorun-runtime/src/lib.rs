//! The Wasmtime engine of isorun: it loads components, links their imports and
//! serves calls into them, each within its budget.
//!
//! Whatever stands behind an import is a [`Callee`](isorun_core::Callee) or a
//! [`SystemComponent`]; this crate never learns of networks.
#![deny(unsafe_code)]

mod cause;
pub mod codec;
mod component;
mod engine;
mod instance;
mod interpreted;
pub mod introspect;
mod limiter;
mod link;
mod linker;
mod loader;
mod manager;
pub mod prescan;
mod store;
mod stub;
mod system;
#[cfg(feature = "testing")]
pub mod testing;

pub use cause::{GuestExit, LinkFailure};
pub use component::{LoadError, LoadedComponent};
pub use engine::{COMPILES_MAX, EPOCH_MS, WasmtimeEngine};
pub use instance::{
    AT_ONCE_MAX, CallError, CallOptions, Instance, InstanceOptions, QUEUE_MAX, QUEUE_MS, Serving, StartError,
};
pub use limiter::WasmResourceLimiter;
pub use link::{Link, LinkError, LinkTarget, Missing, Offer, Resolved, Selector, resolve};
pub use linker::{LinkedComponent, link, problems};
pub use loader::{FileComponentLoader, InMemoryComponentLoader};
pub use manager::{StoreManager, apply_limits, register_host_functions};
pub use store::{HostState, IsorunCtx};
pub use stub::{CalleeLink, OnFailure, UnknownPolicy};
pub use system::SystemComponent;
/// The engine beneath, in the version that this crate is built with.
pub use wasmtime;
