//! Calls between isorun hosts, over any [`Transport`](isorun_core::Transport).
//!
//! A [`Peer`] is one connection: both ends serve what their [`Directory`](isorun_core::Directory) knows, and call. A
//! [`Link`] opens it when it is needed and again when it went; a [`RemoteInstance`] is an instance at the other end, to be
//! called like one here. [`serve`] answers all who connect.
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
pub use options::{BIND_MS_MAX, CLOSE_MS_MAX, CONNECT_MS_MAX, CONNECTIONS_MAX, PeerOptions, ServeOptions};
pub use peer::Peer;
pub use remote::RemoteInstance;
pub use server::{accept, serve};
