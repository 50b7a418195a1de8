//! Which children stand where, kept up to date, so that no decision has to look through all of them.

use std::collections::BTreeSet;
use std::time::Instant;

use super::machine::{ChildKey, SlotState};

/// The children of a supervisor by their states.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    created: BTreeSet<ChildKey>,
    waiting: BTreeSet<ChildKey>,
    /// Those that wait, the earliest first.
    times: BTreeSet<(Instant, ChildKey)>,
    up: BTreeSet<ChildKey>,
    /// Those that are up, and are not to be.
    doomed: BTreeSet<ChildKey>,
    starting: usize,
    /// Those of them that start for the first time.
    first_starts: usize,
    stopping: usize,
}

impl Census {
    /// Counts a child in.
    pub(super) fn enter(&mut self, key: ChildKey, state: SlotState, is_doomed: bool) {
        match state {
            SlotState::Created => drop(self.created.insert(key)),
            SlotState::Starting { again } => {
                self.up.insert(key);
                self.starting += 1;
                self.first_starts += usize::from(!again);
            }
            SlotState::Running { .. } => drop(self.up.insert(key)),
            SlotState::Stopping => self.stopping += 1,
            SlotState::Waiting { not_before } => {
                self.waiting.insert(key);
                self.times.insert((not_before, key));
            }
            SlotState::Ended => {}
        }
        if is_doomed && state.is_up() {
            self.doomed.insert(key);
        }
    }

    /// Counts a child out, as it was counted in.
    pub(super) fn leave(&mut self, key: ChildKey, state: SlotState) {
        match state {
            SlotState::Created => drop(self.created.remove(&key)),
            SlotState::Starting { again } => {
                self.up.remove(&key);
                self.starting -= 1;
                self.first_starts -= usize::from(!again);
            }
            SlotState::Running { .. } => drop(self.up.remove(&key)),
            SlotState::Stopping => self.stopping -= 1,
            SlotState::Waiting { not_before } => {
                self.waiting.remove(&key);
                self.times.remove(&(not_before, key));
            }
            SlotState::Ended => {}
        }
        self.doomed.remove(&key);
    }

    /// Whether every child runs, or has ended as it may.
    pub(super) fn is_settled(&self) -> bool {
        self.created.is_empty() && self.waiting.is_empty() && self.starting == 0 && self.stopping == 0
    }

    /// Whether something was begun with any child that has not ended.
    pub(super) fn is_busy(&self) -> bool {
        !self.up.is_empty() || self.stopping > 0
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping > 0
    }

    pub(super) fn is_starting(&self) -> bool {
        self.starting > 0
    }

    pub(super) fn is_starting_first(&self) -> bool {
        self.first_starts > 0
    }

    /// The last that is up.
    pub(super) fn last_up(&self) -> Option<ChildKey> {
        self.up.last().copied()
    }

    /// The last that is up and is not to be.
    pub(super) fn last_doomed(&self) -> Option<ChildKey> {
        self.doomed.last().copied()
    }

    /// The first that was never started.
    pub(super) fn first_created(&self) -> Option<ChildKey> {
        self.created.first().copied()
    }

    /// The first that is to be started, now or later.
    pub(super) fn first_down(&self) -> Option<ChildKey> {
        self.created.first().into_iter().chain(self.waiting.first()).min().copied()
    }

    /// The one whose time came first, if it has come.
    pub(super) fn first_due(&self, now: Instant) -> Option<ChildKey> {
        self.times.first().filter(|(not_before, _)| *not_before <= now).map(|(_, key)| *key)
    }

    /// The next time that comes.
    pub(super) fn next_time(&self, now: Instant) -> Option<Instant> {
        self.times.range((now, ChildKey::LAST)..).map(|(not_before, _)| *not_before).find(|time| *time > now)
    }
}
