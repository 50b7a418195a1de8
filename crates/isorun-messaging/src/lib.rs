//! Components that live and exchange messages: mailboxes, requests and their answers, supervision.
//!
//! No engine and no socket: what runs components is a [`RuntimeEngine`](isorun_core::RuntimeEngine), and what reaches other
//! nodes is a [`Delivery`](isorun_core::Delivery).
#![forbid(unsafe_code)]

mod cell;
mod clock;
mod component_ref;
mod dead_letters;
mod envelope;
mod held;
mod ids;
mod incoming;
mod lifecycle;
mod losses;
mod mailbox;
#[cfg(test)]
mod mailbox_model;
mod options;
mod requests;
mod route;
mod shared;
mod stats;
mod supervisor;
mod sync;
mod system;
mod task;

pub use component_ref::{ComponentRef, HEALTH_MS_MAX};
pub use dead_letters::{DEAD_LETTERS_KEPT, DeadLetter, DeadLetterReason, DeadLetters, WHY_CHARS_MAX};
pub use incoming::DELIVERED_MAX;
pub use isorun_core::ComponentPattern;
pub use lifecycle::{Child, Exit, LifecycleState};
pub use losses::LOSS_LINES_MS;
pub use mailbox::{MailboxLimits, Queued};
pub use options::{ActorSystemOptions, ComponentSpec};
pub use requests::REQUESTS_MAX;
pub use route::{BATCH_BYTES, BATCH_MESSAGES_MAX, ROUTE_REQUESTS_MAX};
pub use stats::MessagingStats;
pub use supervisor::{
    AddChildError, CHILDREN_MAX, ChildStatus, EVENTS_KEPT, RESTARTS_MAX, Restart, Strategy, Supervisor,
    SupervisorEvent, SupervisorOptions, UnknownName, WAIT_MS_MAX,
};
pub use system::{ActorSystem, AddError, ROUTES_MAX, TooManyRoutes};
