//! What a supervisor is told: how it restarts, how often, and how patient it is.

use std::fmt;
use std::time::Duration;

/// Which children are restarted when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// That one alone: children that don't depend on each other.
    #[default]
    OneForOne,
    /// All: children that can't go on without each other.
    OneForAll,
    /// That one and those after it: children that depend on the ones before.
    RestForOne,
}

impl Strategy {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::OneForOne, Self::OneForAll, Self::RestForOne];

    /// Its name, as a manifest writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneForOne => "one-for-one",
            Self::OneForAll => "one-for-all",
            Self::RestForOne => "rest-for-one",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No strategy, or no kind of restart, has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is none of {names}", .name.escape_debug())]
pub struct UnknownName {
    /// The name.
    pub name: String,
    /// The names that there are.
    pub names: String,
}

fn named<T: Copy>(all: &[T], name_of: impl Fn(T) -> &'static str, name: &str) -> Result<T, UnknownName> {
    let found = all.iter().copied().find(|one| name_of(*one) == name);
    found.ok_or_else(|| UnknownName {
        name: name.to_owned(),
        names: all.iter().map(|one| name_of(*one)).collect::<Vec<_>>().join(", "),
    })
}

impl std::str::FromStr for Strategy {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        named(&Self::ALL, Self::name, name)
    }
}

/// Whether a child is started again when it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Restart {
    /// Always, however it ended.
    #[default]
    Permanent,
    /// Unless it ended as it should, with [`Exit::Normal`](crate::Exit::Normal).
    Transient,
    /// Never, not even where the strategy restarts its neighbours.
    Temporary,
}

impl Restart {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Permanent, Self::Transient, Self::Temporary];

    /// Its name, as a manifest writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Temporary => "temporary",
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Restart {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        named(&Self::ALL, Self::name, name)
    }
}

/// Most restarts that a supervisor counts; a larger [`SupervisorOptions::restarts_max`] is taken for this many.
pub const RESTARTS_MAX: u32 = 1_000;
/// Most children of one supervisor.
///
/// They start one after the other, and may all be restarted at once: more belong into a tree.
pub const CHILDREN_MAX: usize = 16_384;

/// Longest wait that a supervisor is set to, in milliseconds: a day. Longer ones are taken for this one.
pub const WAIT_MS_MAX: u64 = 86_400_000;

/// How a supervisor restarts its children.
///
/// ```
/// use isorun_messaging::{Strategy, SupervisorOptions};
///
/// let options = SupervisorOptions { strategy: Strategy::RestForOne, ..SupervisorOptions::default() };
/// assert_eq!((options.restarts_max, options.window_ms), (3, 60_000));
/// assert_eq!((options.backoff_ms, options.backoff_ms_max), (100, 30_000));
/// assert_eq!(options.graceful_ms, 5_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupervisorOptions {
    /// Which children are restarted when one fails.
    pub strategy: Strategy,
    /// Most restarts within [`window_ms`](Self::window_ms); at one more failure the supervisor gives up.
    ///
    /// However many children the strategy restarts for one failure, it counts as one. At most [`RESTARTS_MAX`].
    pub restarts_max: u32,
    /// The time in which restarts are counted, in milliseconds. At 0 none is, and it never gives up.
    pub window_ms: u64,
    /// How long a child waits for its first restart, in milliseconds. Each failure in a row doubles it.
    pub backoff_ms: u64,
    /// The longest wait for a restart, in milliseconds.
    pub backoff_ms_max: u64,
    /// How long a child has to run for its next failure to be the first in a row again, in milliseconds.
    pub steady_ms: u64,
    /// How long a child may take to stop before it is taken away, in milliseconds. A supervisor among them has no limit but
    /// those of its own children.
    pub graceful_ms: u64,
    /// How long a child may take to start, in milliseconds; then it is taken away, and has failed. Not for supervisors, as
    /// above.
    pub start_ms: u64,
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            restarts_max: 3,
            window_ms: 60_000,
            backoff_ms: 100,
            backoff_ms_max: 30_000,
            steady_ms: 10_000,
            graceful_ms: 5_000,
            start_ms: 60_000,
        }
    }
}

impl SupervisorOptions {
    /// Within the limits of this crate.
    pub(crate) fn bounded(self) -> Self {
        Self {
            restarts_max: self.restarts_max.min(RESTARTS_MAX),
            backoff_ms_max: self.backoff_ms_max.min(WAIT_MS_MAX),
            graceful_ms: self.graceful_ms.min(WAIT_MS_MAX),
            start_ms: self.start_ms.min(WAIT_MS_MAX),
            ..self
        }
    }

    /// How long a child waits that has failed `in_a_row` times before this one.
    pub(crate) fn backoff(&self, in_a_row: u32) -> Duration {
        let factor = 1_u64.checked_shl(in_a_row).unwrap_or(u64::MAX);
        Duration::from_millis(self.backoff_ms.saturating_mul(factor).min(self.backoff_ms_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_never_overflows() {
        let options = SupervisorOptions::default();
        let waits = [0, 1, 2, 8, 9, 63, 64, u32::MAX].map(|n| options.backoff(n).as_millis());
        assert_eq!(waits, [100, 200, 400, 25_600, 30_000, 30_000, 30_000, 30_000]);
        let none = SupervisorOptions { backoff_ms: 0, ..options };
        assert_eq!(none.backoff(u32::MAX), Duration::ZERO);
    }

    #[test]
    fn names_are_read_back_and_others_are_told_what_there_is() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        for restart in Restart::ALL {
            assert_eq!(restart.to_string().parse(), Ok(restart));
        }
        let error = "always\n".parse::<Restart>().unwrap_err();
        assert_eq!(error.to_string(), "`always\\n` is none of permanent, transient, temporary");
    }
}
