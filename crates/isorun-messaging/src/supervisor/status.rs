//! What a supervisor shows of its children, and what it tells while it works.

use std::sync::Arc;
use std::time::Duration;

use super::options::Restart;
use crate::{Exit, LifecycleState};

/// A child of a supervisor, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildStatus {
    /// Its name within the supervisor.
    pub name: Arc<str>,
    /// Whether it is started again.
    pub restart: Restart,
    /// Where in its life it is; one that waits to be started again is starting.
    pub state: LifecycleState,
    /// How often it was started again.
    pub restarts: u32,
    /// How its last life ended, if one did.
    pub last_exit: Option<Exit>,
    /// In what time it is started again, at the earliest, if it waits for that.
    pub starts_in: Option<Duration>,
}

/// What happens under a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupervisorEvent {
    /// A child is being started.
    Starting {
        /// Its name.
        child: Arc<str>,
        /// How often it was started again before, this time included.
        restarts: u32,
    },
    /// A child runs.
    Started {
        /// Its name.
        child: Arc<str>,
    },
    /// A child is told to stop.
    Stopping {
        /// Its name.
        child: Arc<str>,
    },
    /// A child has ended, or could not be started.
    Ended {
        /// Its name.
        child: Arc<str>,
        /// How.
        exit: Exit,
        /// In what time it is started again, at the earliest; `None` if not.
        again_in: Option<Duration>,
    },
    /// All children are down, and this is how the supervisor ended.
    Over {
        /// [`Exit::Normal`] where it was told to stop, and [`Exit::Failed`] where it gave up.
        exit: Exit,
    },
}
