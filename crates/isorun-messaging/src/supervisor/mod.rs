//! Starts what fails again, and says so where that does not help.
//!
//! `options.rs` is what a supervisor is told, `machine.rs` what it decides (`census.rs` counts for it), `life.rs` how one
//! child is started and taken away, `shell.rs` the task around them.

mod census;
mod life;
mod machine;
mod options;
mod shell;
mod status;

pub use options::{CHILDREN_MAX, RESTARTS_MAX, Restart, Strategy, SupervisorOptions, UnknownName, WAIT_MS_MAX};
pub use shell::{AddChildError, EVENTS_KEPT, Supervisor};
pub use status::{ChildStatus, SupervisorEvent};
