//! The Wasmtime engine of isorun: it loads components, links their imports and
//! serves calls into them, each within its budget.
//!
//! Whatever stands behind an import is a [`Callee`](isorun_core::Callee) or a
//! [`SystemComponent`]; this crate never learns of networks.
//!
//! ```
//! use isorun_core::Budget;
//! use isorun_runtime::wasmtime::component::Val;
//! use isorun_runtime::{CallOptions, Instance, InstanceOptions, LoadedComponent, Serving, WasmtimeEngine, link};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let wat = r#"(component
//!     (core module $M (func (export "add") (param i32 i32) (result i32)
//!         (i32.add (local.get 0) (local.get 1))))
//!     (core instance $m (instantiate $M))
//!     (func (export "add") (param "a" u32) (param "b" u32) (result u32)
//!         (canon lift (core func $m "add"))))"#;
//! let engine = WasmtimeEngine::new()?;
//! let component = LoadedComponent::parse(&engine, wat::parse_str(wat)?)?;
//! // It imports nothing, so nothing is linked.
//! let linked = link(&component, &[], &[]).await?;
//! let budget = Budget { max_memory_bytes: 1 << 20, ..Budget::default() };
//! let options = InstanceOptions { name: "adder".into(), serving: Serving::SINGLETON, budget };
//! let adder = Instance::start(linked, options).await?;
//! let sum = adder.exec("add", &[Val::U32(2), Val::U32(3)], CallOptions::default()).await?;
//! assert_eq!(sum, [Val::U32(5)]);
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod actor;
mod cause;
pub mod codec;
mod compiled;
mod component;
mod direct;
mod engine;
mod fuse;
mod instance;
mod interpreted;
pub mod introspect;
mod limiter;
mod link;
mod linker;
mod loader;
mod manager;
mod observe;
pub mod prescan;
mod read;
mod store;
mod stub;
mod system;
#[cfg(feature = "testing")]
pub mod testing;

pub use actor::{COMPONENT_TEXT_BYTES_MAX, ComponentSetup, LIFECYCLE, NoLifecycle, PROPERTIES_MAX, lives};
pub use cause::{GuestExit, LinkFailure};
pub use compiled::{CACHE_BYTES_MAX, CACHE_ENTRY_BYTES_MAX, CacheError, CompiledCache};
pub use component::{LoadError, LoadedComponent};
pub use direct::{CodecPlan, NoPlan, PlanSide};
pub use engine::{
    COMPILES_MAX, Codec, CompileCounts, EPOCH_MS, EngineOptions, POOLED_MEMORY_BYTES_MAX, WasmtimeEngine,
};
pub use fuse::{FusedLink, fuse};
pub use instance::{
    AT_ONCE_MAX, CONCURRENT_MAX, CallError, CallOptions, Instance, InstanceCounts, InstanceOptions, QUEUE_MAX,
    QUEUE_MS, Serving, StartError,
};
pub use limiter::WasmResourceLimiter;
pub use link::{Link, LinkError, LinkTarget, Missing, Offer, Resolved, Selector, resolve};
pub use linker::{LinkedComponent, link, problems};
pub use loader::{FileComponentLoader, InMemoryComponentLoader};
pub use manager::{StoreManager, apply_limits, register_host_functions};
pub use observe::{CallSpan, Called};
pub use read::{ReadError, read_component};
pub use store::{HostState, IsorunCtx};
pub use stub::{CALLS_OUT_BYTES_MAX, CALLS_OUT_MAX, CalleeLink, OnFailure, UnknownPolicy};
pub use system::SystemComponent;
/// The engine beneath, in the version that this crate is built with.
pub use wasmtime;
