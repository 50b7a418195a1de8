//! Components that live and exchange messages: mailboxes, requests and their answers, supervision.
//!
//! No engine and no socket: what runs components is a [`RuntimeEngine`](isorun_core::RuntimeEngine), and what reaches other
//! nodes is a [`Delivery`](isorun_core::Delivery).
#![forbid(unsafe_code)]

mod lifecycle;

pub use lifecycle::{Child, Exit, LifecycleState};
