//! Processing nodes: components that turn bytes into bytes, in any guest language.
//!
//! A [`WasmProcessorFactory`] looks at what a component exports and picks one of three [shapes](NodeShape), from a plain
//! `process: func(list<u8>) -> result<list<u8>, string>` to functions that pass pointers into the component's own memory.
//! What it builds, a [`WitNodeExecutor`], takes bytes and gives bytes, whatever the shape.
//!
//! ```
//! use isorun_nodes::{LoadedModule, NodeShape, ProcessingNodeExecutor, WasmArtifact, WasmProcessorFactory};
//! use isorun_runtime::WasmtimeEngine;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Gives its input back: the list's address and length are the result's, 8 bytes further down.
//! let wat = r#"(component
//!     (core module $M
//!         (memory (export "memory") 1)
//!         (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16))
//!         (func (export "process") (param i32 i32) (result i32)
//!             (i32.store (i32.const 0) (local.get 0))
//!             (i32.store (i32.const 4) (local.get 1))
//!             (i32.const 0)))
//!     (core instance $m (instantiate $M))
//!     (func (export "process") (param "input" (list u8)) (result (list u8))
//!         (canon lift (core func $m "process") (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))"#;
//! let artifact = WasmArtifact::new(wat::parse_str(wat)?, "echo.wasm");
//! let module = LoadedModule::load(&WasmtimeEngine::new()?, &artifact)?;
//!
//! let factory = WasmProcessorFactory::new();
//! let choice = factory.choose(&module)?;
//! assert_eq!((choice.shape, choice.functions[0].as_str()), (NodeShape::Typed, "process"));
//!
//! let node = factory.build(&module).await?;
//! assert_eq!(node.execute(b"some bytes").await?, b"some bytes");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod artifact;
mod componentize;
mod error;
mod executor;
mod factory;
mod helpers;
mod live;
mod memory;
mod module;
mod pointers;
mod shape;
mod signature;

pub use artifact::{ArtifactKind, WasmArtifact};
pub use error::{AccessFault, ComponentExecutionError, MemoryRange, ShapeLack};
pub use executor::{
    INPUT_BYTES_MAX, NodeOptions, NodeState, OUTPUT_BYTES_MAX, ProcessingNodeExecutor, WitNodeExecutor,
};
pub use factory::WasmProcessorFactory;
pub use module::LoadedModule;
pub use shape::{Choice, NodeShape};
