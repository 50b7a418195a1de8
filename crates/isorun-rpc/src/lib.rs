//! Calls between isorun hosts, over any [`Transport`](isorun_core::Transport).
//!
//! A [`Peer`] is one connection: both ends serve what their [`Directory`](isorun_core::Directory) knows, and call. A
//! [`Link`] opens it when it is needed and again when it went; a [`RemoteInstance`] is an instance at the other end, to be
//! called like one here. [`serve`] answers all who connect, and [`serve_until`] ends without losing a
//! call.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//!
//! use bytes::Bytes;
//! use isorun_core::{BindRequest, CallContext, Callee, Failure, FunctionIndex, Transport};
//! use isorun_rpc::{Link, PeerOptions};
//!
//! # async fn example(transport: Arc<dyn Transport>, hash: [u8; 32], args: Bytes) -> Result<Bytes, Failure> {
//! let store = Link::new(transport, PeerOptions::default()).instance("kv");
//! let interface = Some("demo:kv/store@0.1.0".to_owned());
//! let bound = store.bind(&BindRequest { interface, functions: vec![("get".to_owned(), hash)] }).await?;
//! let cx = CallContext::until(Instant::now() + Duration::from_secs(30));
//! let reply = bound.call(FunctionIndex(0), &cx, args).await.map_err(|failed| failed.failure)?;
//! # Ok(reply.results)
//! # }
//! ```
//!
//! The protocol is [`neorpc`]; this crate adds tasks, time and channels, on tokio.
#![forbid(unsafe_code)]

mod driver;
mod link;
mod once;
mod options;
mod peer;
mod remote;
mod renew;
mod router;
mod server;

pub use link::{Link, PeerPool};
pub use neorpc::PeerLimits;
pub use once::{CallTarget, call_once, handle_incoming_rpc};
pub use options::{BIND_MS_MAX, CLOSE_MS_MAX, CONNECT_MS_MAX, CONNECTIONS_MAX, DRAIN_MS, PeerOptions, ServeOptions};
pub use peer::Peer;
pub use remote::RemoteInstance;
pub use server::{accept, serve, serve_until};
