//! What a supervisor decides: events and an `Instant` in, decisions out. No clock, no task, no lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::census::Census;
use super::options::{Restart, Strategy, SupervisorOptions};
use crate::{Exit, LifecycleState};

/// Names a child within its supervisor. Later ones are larger, and one is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChildKey(u64);

impl ChildKey {
    /// Larger than any that is given.
    pub(super) const LAST: Self = Self(u64::MAX);
}

/// What is heard of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChildEvent {
    /// It was started, and runs.
    Started,
    /// It was not: this is what came of it.
    StartFailed(Exit),
    /// It ran, or was being stopped, and has ended.
    Exited(Exit),
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Start this child; [`ChildEvent::Started`] or [`ChildEvent::StartFailed`] follows.
    Start(ChildKey),
    /// Stop this child, which runs or is being started; its end follows.
    Stop(ChildKey),
    /// No child runs any more, and this is how the supervisor ends.
    End(Exit),
}

/// An event that can't be: nothing was changed by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} while {state}")]
pub(crate) struct OutOfOrder {
    event: String,
    state: String,
}

/// The children of a supervisor, in the order in which they start, and what becomes of them.
///
/// `C` is whatever the caller keeps with each of them.
#[derive(Debug)]
pub(crate) struct Machine<C> {
    options: SupervisorOptions,
    phase: Phase,
    slots: Vec<Slot<C>>,
    /// The same slots by their states: what changes one of them does it by way of [`Self::change`].
    census: Census,
    /// When restarts were decided, the oldest first; at most `restarts_max` of them.
    restarts: VecDeque<Instant>,
    keys_given: u64,
    /// What was due by then has been decided.
    polled_at: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing was started yet.
    Created,
    /// Children run, or are on their way to it.
    Running,
    /// All children are being stopped, in reverse order; this is why.
    Stopping { exit: Exit },
    /// None runs, and whoever is to hear of it has not yet.
    Over,
    /// None runs, and none will.
    Stopped,
}

/// A child.
#[derive(Debug)]
pub(crate) struct Slot<C> {
    pub(crate) key: ChildKey,
    pub(crate) name: Arc<str>,
    pub(crate) child: C,
    pub(crate) restart: Restart,
    pub(crate) state: SlotState,
    /// How often it was started again.
    pub(crate) restarts: u32,
    pub(crate) last_exit: Option<Exit>,
    /// It failed more often than it may, and stays down for that. Never so of one that is counted with the others.
    pub(crate) gave_up: bool,
    /// Its own restarts, as those of all are kept, where it is counted alone.
    alone: Option<VecDeque<Instant>>,
    fate: Fate,
    /// Its failures in a row, without a steady time between them.
    failures: u32,
}

/// Where a child stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// Not started yet; its turn comes.
    Created,
    /// Being started, for the first time or again.
    Starting { again: bool },
    /// It runs.
    Running { since: Instant },
    /// It was told to stop.
    Stopping,
    /// It is down, and started again at that time or when its turn comes after it.
    Waiting { not_before: Instant },
    /// It is down, and stays so unless a neighbour's failure brings it back.
    Ended,
}

/// What is to become of a child that is up, other than that it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Stay,
    /// It is stopped for the failure of a neighbour, and started again at that time.
    Again { not_before: Instant },
    /// It is stopped and forgotten.
    Leave,
}

impl SlotState {
    /// Whether it can be told to stop.
    pub(crate) fn is_up(self) -> bool {
        match self {
            Self::Starting { .. } | Self::Running { .. } => true,
            Self::Created | Self::Stopping | Self::Waiting { .. } | Self::Ended => false,
        }
    }

    /// Whether something was begun with it that has not ended.
    pub(crate) fn is_busy(self) -> bool {
        self.is_up() || self == Self::Stopping
    }

    pub(crate) fn lifecycle(self) -> LifecycleState {
        match self {
            Self::Created => LifecycleState::Created,
            Self::Starting { .. } | Self::Waiting { .. } => LifecycleState::Starting,
            Self::Running { .. } => LifecycleState::Running,
            Self::Stopping => LifecycleState::Stopping,
            Self::Ended => LifecycleState::Stopped,
        }
    }
}

impl<C> Machine<C> {
    pub(crate) fn new(options: SupervisorOptions) -> Self {
        Self {
            options: options.bounded(),
            phase: Phase::Created,
            slots: Vec::new(),
            census: Census::default(),
            restarts: VecDeque::new(),
            keys_given: 0,
            polled_at: None,
        }
    }

    pub(crate) fn options(&self) -> &SupervisorOptions {
        &self.options
    }

    /// The children, in the order in which they start.
    pub(crate) fn slots(&self) -> &[Slot<C>] {
        &self.slots
    }

    pub(crate) fn slot(&self, key: ChildKey) -> Option<&Slot<C>> {
        self.position(key).map(|at| &self.slots[at])
    }

    fn position(&self, key: ChildKey) -> Option<usize> {
        self.slots.binary_search_by_key(&key, |slot| slot.key).ok()
    }

    /// Whether every child runs, or has ended as it may.
    pub(crate) fn is_settled(&self) -> bool {
        self.census.is_settled()
    }

    /// Whether all children are being stopped, for whatever reason.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    /// Adds a child after all others; it is started when its turn comes.
    pub(crate) fn add(&mut self, name: Arc<str>, child: C, restart: Restart) -> ChildKey {
        let key = ChildKey(self.keys_given);
        self.keys_given += 1;
        self.slots.push(Slot {
            key,
            name,
            child,
            restart,
            state: SlotState::Created,
            restarts: 0,
            last_exit: None,
            gave_up: false,
            alone: None,
            fate: Fate::Stay,
            failures: 0,
        });
        self.census.enter(key, SlotState::Created, false);
        key
    }

    /// As [`Self::add`], of a child whose restarts are counted by themselves, as if it had a supervisor of its own.
    ///
    /// Where the strategy restarts children together, they are counted together as well.
    pub(crate) fn add_alone(&mut self, name: Arc<str>, child: C, restart: Restart) -> ChildKey {
        let key = self.add(name, child, restart);
        if let (Strategy::OneForOne, Some(slot)) = (self.options.strategy, self.slots.last_mut()) {
            slot.alone = Some(VecDeque::new());
        }
        key
    }

    /// Forgets a child, once it is down; does nothing where there is none.
    pub(crate) fn remove(&mut self, key: ChildKey) {
        let Some(at) = self.position(key) else { return };
        if self.slots[at].state.is_busy() {
            self.change(at, |slot| slot.fate = Fate::Leave);
        } else {
            self.drop_slot(at);
        }
    }

    fn drop_slot(&mut self, at: usize) {
        let slot = self.slots.remove(at);
        self.census.leave(slot.key, slot.state);
    }

    /// Changes a child's state, its fate, or both.
    fn change<T>(&mut self, at: usize, change: impl FnOnce(&mut Slot<C>) -> T) -> T {
        let slot = &mut self.slots[at];
        self.census.leave(slot.key, slot.state);
        let changed = change(slot);
        self.census.enter(slot.key, slot.state, slot.fate != Fate::Stay);
        changed
    }

    /// Begins, or begins anew: as if no child had ever run.
    ///
    /// # Errors
    /// [`OutOfOrder`] where it has begun and not ended.
    pub(crate) fn start(&mut self) -> Result<(), OutOfOrder> {
        match self.phase {
            Phase::Created | Phase::Stopped => {}
            Phase::Running | Phase::Stopping { .. } | Phase::Over => {
                return Err(OutOfOrder { event: "start".into(), state: format!("{:?}", self.phase) });
            }
        }
        self.phase = Phase::Running;
        self.restarts.clear();
        for at in 0..self.slots.len() {
            self.change(at, |slot| {
                (slot.state, slot.fate, slot.failures) = (SlotState::Created, Fate::Stay, 0);
                slot.gave_up = false;
                slot.alone.iter_mut().for_each(VecDeque::clear);
            });
        }
        Ok(())
    }

    /// Stops all children, and then ends. Does nothing where that is under way already, or nothing was started.
    pub(crate) fn stop(&mut self) {
        match self.phase {
            Phase::Running => self.stop_all(Exit::Normal),
            // Why it gives up is not forgotten for being told to stop as well.
            Phase::Created | Phase::Stopping { .. } | Phase::Over | Phase::Stopped => {}
        }
    }

    /// Its end was told to all; now it may start anew.
    pub(crate) fn finish(&mut self) {
        match self.phase {
            Phase::Over => self.phase = Phase::Stopped,
            Phase::Created | Phase::Running | Phase::Stopping { .. } | Phase::Stopped => {}
        }
    }

    /// Takes what is heard of a child.
    ///
    /// # Errors
    /// [`OutOfOrder`] for what can't be heard of a child in its state.
    pub(crate) fn handle(&mut self, key: ChildKey, event: ChildEvent, now: Instant) -> Result<(), OutOfOrder> {
        let Some(at) = self.position(key) else {
            return Err(OutOfOrder { event: format!("{event:?}"), state: "unknown".into() });
        };
        let state = self.slots[at].state;
        match (state, event) {
            (SlotState::Starting { .. }, ChildEvent::Started) => {
                self.change(at, |slot| slot.state = SlotState::Running { since: now });
            }
            // It had started before it heard that it should stop: its end still follows.
            (SlotState::Stopping, ChildEvent::Started) => {}
            (SlotState::Starting { .. }, ChildEvent::StartFailed(exit)) => self.came_down(at, exit, true, now),
            (SlotState::Running { since }, ChildEvent::Exited(exit)) => {
                if now.saturating_duration_since(since) >= Duration::from_millis(self.options.steady_ms) {
                    self.slots[at].failures = 0;
                }
                self.came_down(at, exit, false, now);
            }
            // However it ended, it was to end, and counts as no failure.
            (SlotState::Stopping, ChildEvent::Exited(exit) | ChildEvent::StartFailed(exit)) => {
                self.came_down(at, exit, false, now);
            }
            (SlotState::Starting { .. }, event @ ChildEvent::Exited(_))
            | (SlotState::Running { .. }, event @ (ChildEvent::Started | ChildEvent::StartFailed(_)))
            | (SlotState::Created | SlotState::Waiting { .. } | SlotState::Ended, event) => {
                return Err(OutOfOrder { event: format!("{event:?}"), state: format!("{state:?}") });
            }
        }
        Ok(())
    }

    /// The next thing to be done, if there is one now. Asked until there is none.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Decision> {
        self.polled_at = Some(now);
        match &self.phase {
            Phase::Created | Phase::Over | Phase::Stopped => None,
            Phase::Running => self.poll_stop(false).or_else(|| self.poll_start(now)),
            Phase::Stopping { exit } => {
                let end = Decision::End(exit.clone());
                if let Some(stop) = self.poll_stop(true) {
                    return Some(stop);
                }
                if self.census.is_busy() {
                    return None;
                }
                self.phase = Phase::Over;
                Some(end)
            }
        }
    }

    /// When to poll again, if nothing is heard before.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        // What was due at the last poll and was not started waits for its turn, which comes with an event. What has come due
        // since then counts, although its time is over.
        self.census.next_time(self.polled_at?)
    }

    /// One child at a time, the last that is up first.
    fn poll_stop(&mut self, all: bool) -> Option<Decision> {
        if self.census.is_stopping() {
            return None;
        }
        let key = if all { self.census.last_up() } else { self.census.last_doomed() }?;
        let at = self.position(key)?;
        self.change(at, |slot| slot.state = SlotState::Stopping);
        Some(Decision::Stop(key))
    }

    fn poll_start(&mut self, now: Instant) -> Option<Decision> {
        let key = match self.options.strategy {
            Strategy::OneForOne => self.next_alone(now),
            Strategy::OneForAll | Strategy::RestForOne => self.next_in_order(now),
        }?;
        let at = self.position(key)?;
        self.change(at, |slot| {
            let again = slot.state != SlotState::Created;
            slot.restarts = slot.restarts.saturating_add(u32::from(again));
            slot.state = SlotState::Starting { again };
        });
        Some(Decision::Start(key))
    }

    /// Restarts wait for nobody; first starts are one after the other.
    fn next_alone(&self, now: Instant) -> Option<ChildKey> {
        let first = || self.census.first_created().filter(|_| !self.census.is_starting_first());
        self.census.first_due(now).or_else(first)
    }

    /// One at a time and in order, once nobody is being stopped; who is to be was told so before this is asked.
    fn next_in_order(&self, now: Instant) -> Option<ChildKey> {
        if self.census.is_starting() || self.census.is_stopping() {
            return None;
        }
        let first = self.slot(self.census.first_down()?)?;
        let is_due = match first.state {
            SlotState::Waiting { not_before } => not_before <= now,
            SlotState::Created
            | SlotState::Starting { .. }
            | SlotState::Running { .. }
            | SlotState::Stopping
            | SlotState::Ended => true,
        };
        is_due.then_some(first.key)
    }

    /// Decides what becomes of a child that has ended.
    fn came_down(&mut self, at: usize, exit: Exit, never_ran: bool, now: Instant) {
        let was_told = self.slots[at].state == SlotState::Stopping;
        let (fate, restart) = self.change(at, |slot| {
            slot.last_exit = Some(exit.clone());
            slot.state = SlotState::Ended;
            (std::mem::replace(&mut slot.fate, Fate::Stay), slot.restart)
        });
        match (&self.phase, fate) {
            (_, Fate::Leave) => self.drop_slot(at),
            (Phase::Running, Fate::Again { not_before }) => match restart {
                Restart::Permanent | Restart::Transient => {
                    self.change(at, |slot| slot.state = SlotState::Waiting { not_before });
                }
                Restart::Temporary => {}
            },
            (Phase::Running, Fate::Stay) => {
                let again = match restart {
                    Restart::Permanent => true,
                    Restart::Transient => never_ran || exit != Exit::Normal,
                    Restart::Temporary => false,
                };
                if again && !was_told {
                    self.restart(at, &exit, now);
                }
            }
            (
                Phase::Created | Phase::Stopping { .. } | Phase::Over | Phase::Stopped,
                Fate::Stay | Fate::Again { .. },
            ) => {}
        }
    }

    /// Restarts a child that has failed, and those that its strategy restarts with it; or gives up.
    fn restart(&mut self, at: usize, exit: &Exit, now: Instant) {
        let window = Duration::from_millis(self.options.window_ms);
        let own = self.slots[at].alone.as_mut();
        let is_alone = own.is_some();
        let restarts = own.unwrap_or(&mut self.restarts);
        while restarts.front().is_some_and(|then| now.saturating_duration_since(*then) >= window) {
            restarts.pop_front();
        }
        if restarts.len() >= self.options.restarts_max as usize {
            if is_alone {
                self.slots[at].gave_up = true;
                return;
            }
            let SupervisorOptions { restarts_max, window_ms, .. } = self.options;
            let name = &self.slots[at].name;
            let reason =
                format!("gave up: `{name}` {exit}, and {restarts_max} restarts within {window_ms} ms are allowed");
            self.stop_all(Exit::Failed { reason });
            return;
        }
        restarts.push_back(now);

        let not_before = now + self.options.backoff(self.slots[at].failures);
        self.change(at, |failed| {
            failed.failures = failed.failures.saturating_add(1);
            failed.state = SlotState::Waiting { not_before };
        });
        let first = match self.options.strategy {
            Strategy::OneForOne => return,
            Strategy::OneForAll => 0,
            Strategy::RestForOne => at,
        };
        for at in first..self.slots.len() {
            self.change(at, |slot| slot.again(not_before));
        }
    }

    fn stop_all(&mut self, exit: Exit) {
        self.phase = Phase::Stopping { exit };
        for at in 0..self.slots.len() {
            if matches!(self.slots[at].state, SlotState::Waiting { .. }) {
                self.change(at, |slot| slot.state = SlotState::Ended);
            }
        }
    }
}

impl<C> Slot<C> {
    /// Takes part in a restart for the sake of a neighbour.
    fn again(&mut self, not_before: Instant) {
        match (self.state, self.fate) {
            (_, Fate::Leave) | (SlotState::Created, Fate::Stay | Fate::Again { .. }) => {}
            (SlotState::Starting { .. } | SlotState::Running { .. } | SlotState::Stopping, Fate::Stay) => {
                self.fate = Fate::Again { not_before };
            }
            (
                SlotState::Starting { .. } | SlotState::Running { .. } | SlotState::Stopping,
                Fate::Again { not_before: known },
            ) => self.fate = Fate::Again { not_before: known.max(not_before) },
            (SlotState::Waiting { not_before: known }, Fate::Stay | Fate::Again { .. }) => {
                self.state = SlotState::Waiting { not_before: known.max(not_before) };
            }
            (SlotState::Ended, Fate::Stay | Fate::Again { .. }) => match self.restart {
                Restart::Permanent | Restart::Transient => self.state = SlotState::Waiting { not_before },
                Restart::Temporary => {}
            },
        }
    }
}

#[cfg(test)]
impl<C> Machine<C> {
    /// The census, taken anew.
    fn recount(&self) -> Census {
        let mut census = Census::default();
        for slot in &self.slots {
            census.enter(slot.key, slot.state, slot.fate != Fate::Stay);
        }
        census
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "machine_sequences.rs"]
mod sequences;
