//! Components that live and exchange messages: mailboxes, requests and their answers, supervision.
//!
//! No engine and no socket: what runs components is a [`RuntimeEngine`](isorun_core::RuntimeEngine), and what reaches other
//! nodes is a [`Delivery`](isorun_core::Delivery).
#![forbid(unsafe_code)]

mod lifecycle;
mod supervisor;

pub use lifecycle::{Child, Exit, LifecycleState};
pub use supervisor::{
    AddChildError, CHILDREN_MAX, ChildStatus, EVENTS_KEPT, RESTARTS_MAX, Restart, Strategy, Supervisor,
    SupervisorEvent, SupervisorOptions, UnknownName, WAIT_MS_MAX,
};
