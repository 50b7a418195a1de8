//! Host components for isorun: a WASI directory, the rest of WASI, a key-value store, a log, and what components that
//! live send messages with.
//!
//! Each is a [`SystemComponent`](isorun_runtime::SystemComponent) that an
//! operator links by name; what nobody links, a guest doesn't have.
//!
//! # A host component of your own
//!
//! `install` defines typed functions, `configure` puts the state that they need
//! into each store, where they find it by its type:
//!
//! ```
//! use std::sync::Arc;
//!
//! use isorun_runtime::wasmtime::{self, StoreContextMut, component::{Linker, Val}};
//! use isorun_runtime::{
//!     CallOptions, HostState, Instance, InstanceOptions, Link, LinkTarget, LoadedComponent, Selector, Serving,
//!     SystemComponent, WasmtimeEngine, link,
//! };
//!
//! /// Counts in steps; each store has a count of its own.
//! struct Counter { step: u32 }
//! struct Count { at: u32, step: u32 }
//!
//! impl SystemComponent for Counter {
//!     fn interfaces(&self) -> Vec<String> {
//!         vec!["demo:count/counter@0.1.0".into()]
//!     }
//!
//!     fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
//!         let mut counter = linker.instance("demo:count/counter@0.1.0")?;
//!         counter.func_wrap("next", |mut cx: StoreContextMut<'_, HostState>, (): ()| {
//!             let count = cx.data_mut().extension_mut::<Count>().expect("configure put it there");
//!             count.at += count.step;
//!             Ok((count.at,))
//!         })
//!     }
//!
//!     fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
//!         state.insert_extension(Count { at: 0, step: self.step });
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let wat = r#"(component
//!     (import "demo:count/counter@0.1.0" (instance $counter (export "next" (func (result u32)))))
//!     (core func $next (canon lower (func $counter "next")))
//!     (core module $M (import "counter" "next" (func $next (result i32)))
//!         (func (export "twice") (result i32) (drop (call $next)) (call $next)))
//!     (core instance $m (instantiate $M (with "counter" (instance (export "next" (func $next))))))
//!     (func (export "twice") (result u32) (canon lift (core func $m "twice"))))"#;
//! let engine = WasmtimeEngine::new()?;
//! let component = LoadedComponent::parse(&engine, wat::parse_str(wat)?)?;
//! let links = [Link {
//!     selector: Selector::parse("demo:count/counter"),
//!     target: LinkTarget::System(Arc::new(Counter { step: 5 })),
//! }];
//! let linked = link(&component, &links, &[]).await?;
//! let options = InstanceOptions { name: "app".into(), serving: Serving::SINGLETON, budget: Default::default() };
//! let app = Instance::start(linked, options).await?;
//! assert_eq!(app.exec("twice", &[], CallOptions::default()).await?, [Val::U32(10)]);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod actor;
mod dir;
mod interfaces;
mod kv;
mod log;
mod sockets;
mod state;
mod wasi;

pub use actor::{ActorMessaging, ActorServices, ActorStorage, COMPONENTS_LISTED_MAX};
pub use dir::{WasiDir, WasiDirError};
pub use kv::{BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES, Entry, InMemoryKv, KvError};
pub use log::{
    LOG_FIELDS_MAX, LOG_INSTANCE_BYTES_PER_SECOND_MAX, LOG_INSTANCE_LINES_PER_SECOND_MAX,
    LOG_INSTANCE_LINES_PER_SECOND_OWN, LOG_INSTANCES_MAX, LOG_LATECOMERS_MAX, LOG_LINE_BYTES_MAX,
    LOG_LINES_PER_SECOND_MAX, LOG_SEATS_MAX, LogField, LogLevel, LogLine, Logger,
};
pub use state::RANDOM_BYTES_MAX;
pub use wasi::{Wasi, how_to_grant, wasi_links};
