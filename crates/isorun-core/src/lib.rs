//! The traits and plain data that every isorun crate speaks.
//!
//! No engine, no executor, no socket, no algorithm: what stands here is what two
//! crates must agree on.
#![forbid(unsafe_code)]

mod budget;
mod call;
mod engine;
mod failure;
mod transport;

use std::future::Future;
use std::pin::Pin;

pub use budget::{Budget, ResourceLimits};
pub use call::{
    BindRequest, Bound, CHAIN_MAX, CallContext, CallFailed, Callee, DEADLINE_MS_DEFAULT, Directory, FunctionIndex,
    InstanceUid, Reply, Trace,
};
pub use engine::{
    ComponentHandle, ComponentId, ComponentLoader, ComponentMessage, MessagePayload, RuntimeEngine, WasmError,
};
pub use failure::{Failure, Fault, Refusal};
pub use transport::{Channel, FRAME_BYTES_MAX, Listener, PeerIdentity, Transport, TransportError};

/// A future on the heap, as object-safe traits need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
