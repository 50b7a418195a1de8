//! Calls between isorun hosts, over any [`Transport`](isorun_core::Transport).
//!
//! A [`Peer`] is one connection: both ends serve what their [`Directory`](isorun_core::Directory) knows, and call. A
//! [`Link`] opens it when it is needed and again when it went; a [`RemoteInstance`] is an instance at the other end, to be
//! called like one here. [`serve`] answers all who connect, and [`serve_until`] ends without losing a
//! call.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//!
//! use bytes::Bytes;
//! use isorun_core::{BindRequest, CallContext, Callee, FunctionIndex};
//! # use isorun_core::{Bound, BoxFuture, CallFailed, Directory, Failure, PeerIdentity, Reply};
//! use isorun_rpc::{Link, PeerOptions, ServeOptions, serve};
//! use isorun_transport_local::LocalChannelTransport;
//!
//! # /// Every instance, and all its functions, which give back what they are given.
//! # struct Echo;
//! # impl Directory for Echo {
//! #     fn find(&self, _instance: &str, _caller: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
//! #         Ok(Arc::new(Echo))
//! #     }
//! # }
//! # impl Callee for Echo {
//! #     fn bind<'a>(&'a self, _want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
//! #         Box::pin(async { Ok(Arc::new(Echo) as Arc<dyn Bound>) })
//! #     }
//! #     fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
//! #         Box::pin(async { Ok(Bytes::from_static(b"ledger")) })
//! #     }
//! # }
//! # impl Bound for Echo {
//! #     fn call<'a>(
//! #         &'a self,
//! #         _function: FunctionIndex,
//! #         _cx: &'a CallContext,
//! #         args: Bytes,
//! #     ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
//! #         Box::pin(async move { Ok(Reply { results: args, fuel_used: 0 }) })
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // There: a directory, `Echo`, whose instances give back what they are given.
//! let (near, far) = LocalChannelTransport::pair();
//! tokio::spawn(serve(Box::new(far), Arc::new(Echo), ServeOptions::default()));
//!
//! // Here: bound once, called as often as one likes.
//! let echo = Link::new(Arc::new(near), PeerOptions::default()).instance("echo");
//! let functions = vec![("say".to_owned(), [0; 32])];
//! let bound = echo.bind(&BindRequest { interface: None, functions }).await?;
//! let cx = CallContext::until(Instant::now() + Duration::from_secs(30));
//! let reply = bound.call(FunctionIndex(0), &cx, Bytes::from_static(b"hello")).await?;
//! assert_eq!(&reply.results[..], b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! The protocol is [`neorpc`]; this crate adds tasks, time and channels, on tokio.
#![forbid(unsafe_code)]

mod bell;
mod driver;
mod group;
mod io;
mod link;
mod observe;
mod once;
mod options;
mod peer;
mod refusals;
mod remote;
mod renew;
mod router;
mod server;

pub use group::{Balance, IDEMPOTENT_ATTEMPTS, OTHERS_MS, PlaceStatus, RemoteGroup};
pub use link::{Link, PeerPool};
pub use neorpc::PeerLimits;
pub use neorpc::places::PLACES_MAX;
pub use neorpc::retry::ATTEMPTS_MAX;
pub use once::{CallTarget, call_once, handle_incoming_rpc};
pub use options::{BIND_MS_MAX, CLOSE_MS_MAX, CONNECT_MS_MAX, CONNECTIONS_MAX, DRAIN_MS, PeerOptions, ServeOptions};
pub use peer::Peer;
pub use remote::RemoteInstance;
pub use server::{accept, serve, serve_until};
