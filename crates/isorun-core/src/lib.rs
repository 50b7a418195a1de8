//! The traits and plain data that every isorun crate speaks.
//!
//! No engine, no executor, no socket, no algorithm: what stands here is what two
//! crates must agree on.
//!
//! A [`Callee`] is whatever can be called, and its [`Bound`] one interface of it;
//! values are bytes by then:
//!
//! ```
//! use std::task::{Context, Poll, Waker};
//! use std::time::{Duration, Instant};
//!
//! use bytes::Bytes;
//! use isorun_core::{Bound, BoxFuture, CallContext, CallFailed, FunctionIndex, Refusal, Reply};
//!
//! /// One function, which gives back what it is given.
//! struct Echo;
//!
//! impl Bound for Echo {
//!     fn call<'a>(
//!         &'a self,
//!         function: FunctionIndex,
//!         _cx: &'a CallContext,
//!         args: Bytes,
//!     ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
//!         Box::pin(async move {
//!             if function == FunctionIndex(0) {
//!                 return Ok(Reply { results: args, fuel_used: 0 });
//!             }
//!             let (instance, function) = ("echo".to_owned(), function.0.to_string());
//!             Err(CallFailed::from(Refusal::NoSuchFunction { instance, function }))
//!         })
//!     }
//! }
//!
//! let cx = CallContext::until(Instant::now() + Duration::from_secs(1));
//! let mut call = Echo.call(FunctionIndex(0), &cx, Bytes::from_static(b"hello"));
//! let Poll::Ready(Ok(reply)) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
//!     panic!("it waits for nothing");
//! };
//! assert_eq!(&reply.results[..], b"hello");
//! ```
#![forbid(unsafe_code)]

mod budget;
mod call;
mod component;
mod engine;
mod failure;
mod message;
mod storage;
mod text;
mod trace;
mod transport;

use std::future::Future;
use std::pin::Pin;

pub use budget::{Budget, ResourceLimits};
pub use call::{
    BindRequest, Bound, CHAIN_MAX, CallContext, CallFailed, Callee, DEADLINE_MS_DEFAULT, Directory, FunctionIndex,
    InstanceUid, Reply,
};
pub use component::{
    COMPONENT_NAME_BYTES_MAX, ComponentConfig, ComponentHealth, ComponentId, ComponentIdError, ComponentMetadata,
    ComponentPattern, ComponentPatternError, ComponentUsage, HealthStatus,
};
pub use engine::{Cause, ComponentHandle, ComponentLoader, RuntimeEngine, WasmError};
pub use failure::{Failure, Fault, Refusal};
pub use message::{
    BROADCAST_TARGETS_MAX, CONTENT_TYPE_BYTES_MAX, CallbackMessage, ComponentMessage, CorrelationId, Delivery,
    MESSAGE_BYTES_MAX, MessagePayload, MessagingError, Messenger, REQUEST_TIMEOUT_MS_MAX, RequestOutcome,
};
pub use storage::{
    STORAGE_KEY_BYTES_MAX, STORAGE_LIST_MAX, STORAGE_VALUE_BYTES_MAX, Storage, StorageError, StorageQuota,
    StorageUsage, check_storage_key,
};
pub use text::moves_cursor;
pub use trace::{Trace, Tracer, set_tracer, tracer};
pub use transport::{Channel, FRAME_BYTES_MAX, Listener, PeerIdentity, Transport, TransportError};

/// A future on the heap, as object-safe traits need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
