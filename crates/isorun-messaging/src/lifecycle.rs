//! The states of something that lives, and how it ends.

use isorun_core::BoxFuture;

/// Where in its life something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LifecycleState {
    /// Known, and never started.
    Created,
    /// It is being started, or waits to be started again.
    Starting,
    /// It takes messages.
    Running,
    /// It has been told to stop.
    Stopping,
    /// It does nothing any more, unless somebody starts it.
    Stopped,
}

impl std::fmt::Display for LifecycleState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        })
    }
}

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// As it should: it was told to stop, and did.
    Normal,
    /// It trapped, ran out of its budget, gave up, or could not be started.
    Failed {
        /// What happened.
        reason: String,
    },
    /// It did not stop in time, and was taken away.
    Killed,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Normal => f.write_str("stopped"),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
            Self::Killed => f.write_str("killed"),
        }
    }
}

/// What a supervisor starts, stops and hears of: a component, or a supervisor of its own.
pub trait Child: Send + Sync {
    /// Starts it, afresh. Once this gives `Ok` it runs, until [`exited`](Self::exited) says otherwise.
    ///
    /// # Errors
    /// How it ended before it ran.
    fn start(&self) -> BoxFuture<'_, Result<(), Exit>>;

    /// Tells it to stop, and takes it away where it has not after `graceful_ms` milliseconds; 0 is at once.
    ///
    /// Does nothing to one that does not run. It may come while the child is being started, whose start then says what came
    /// of it; and, with 0, after a start that was given up, to take away what is left of that.
    fn stop(&self, graceful_ms: u64) -> BoxFuture<'_, ()>;

    /// Waits until it ends, by itself or because it was told to. Ready at once where it does not run.
    fn exited(&self) -> BoxFuture<'_, Exit>;

    /// Whether it starts and stops children of its own, each of which has a time for that.
    ///
    /// A supervisor above sets no limit to how long it takes to start, and none to its stop but for one that all have.
    fn is_supervisor(&self) -> bool {
        false
    }

    /// Says that nobody will start it again: what waits for it is let go. Does nothing to one that runs.
    ///
    /// A start all the same begins anew.
    fn abandon(&self) {}
}
