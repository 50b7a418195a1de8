//! Outcomes of requests at another host, waited for together: those that don't come keep no room from those that do.
//!
//! Each call asks for some of them and comes back with what there is, or with nothing after a second, so that none is held
//! by a component that does not answer. An outcome that comes is in exactly one call.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use isorun_core::{CorrelationId, Failure, RequestOutcome};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Most calls by which outcomes are waited for at one place at once; beyond, the next one is for all that wait for it.
///
/// Half of the calls that a connection has, so that deliveries always have room beside them.
pub const OUTCOME_CALLS_MAX: usize = 512;

/// Most outcomes that are asked for by one call.
pub const OUTCOMES_MAX: usize = 1_024;

/// Longest time that a call waits for the first of its outcomes, in milliseconds.
///
/// Its caller waits longer for its end, so that what it brings is not lost.
pub(super) const OUTCOMES_WAIT_MS_MAX: u32 = 1_000;

/// For how long those that are to be asked for again are gathered, in milliseconds.
pub(super) const GATHER_MS: u64 = 20;

const _: () = assert!(OUTCOME_CALLS_MAX < 1_024);

type Taker = oneshot::Sender<Result<RequestOutcome, Failure>>;

/// The outcomes that are waited for at one place.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who waits for each; each is in a call, in `next` or in `again`.
    takers: HashMap<CorrelationId, Taker>,
    /// What the next call asks for.
    next: VecDeque<CorrelationId>,
    /// What a call came back without.
    again: Vec<CorrelationId>,
    is_gathering: bool,
    calls: usize,
}

impl Waiting {
    /// Waits for one; where somebody does so already, in its place.
    pub(super) fn join(&self, id: CorrelationId) -> oneshot::Receiver<Result<RequestOutcome, Failure>> {
        let (taker, outcome) = oneshot::channel();
        let state = &mut *self.state.lock();
        match state.takers.entry(id) {
            Entry::Occupied(mut entry) => drop(entry.insert(taker)),
            Entry::Vacant(entry) => {
                entry.insert(taker);
                state.next.push_back(id);
            }
        }
        outcome
    }

    /// What the next call is to ask for, if there is to be one; [`over`](Self::over) ends it.
    pub(super) fn begin(&self) -> Option<Vec<CorrelationId>> {
        let state = &mut *self.state.lock();
        if state.calls >= OUTCOME_CALLS_MAX {
            return None;
        }
        let mut ids = Vec::new();
        while ids.len() < OUTCOMES_MAX {
            let Some(id) = state.next.pop_front() else { break };
            if state.is_wanted(id) {
                ids.push(id);
            }
        }
        state.calls += usize::from(!ids.is_empty());
        (!ids.is_empty()).then_some(ids)
    }

    /// What became of a call; whether what it came back without is to be gathered now.
    pub(super) fn over(
        &self,
        ids: Vec<CorrelationId>,
        came: Result<Vec<(CorrelationId, RequestOutcome)>, Failure>,
    ) -> bool {
        let state = &mut *self.state.lock();
        state.calls -= 1;
        match came {
            Ok(came) => {
                for (id, outcome) in came {
                    // Whoever waited may have gone meanwhile.
                    drop(state.takers.remove(&id).map(|taker| taker.send(Ok(outcome))));
                }
                for id in ids {
                    if state.is_wanted(id) {
                        state.again.push(id);
                    }
                }
            }
            Err(failure) => {
                for id in ids {
                    drop(state.takers.remove(&id).map(|taker| taker.send(Err(failure.clone()))));
                }
            }
        }
        !state.again.is_empty() && !std::mem::replace(&mut state.is_gathering, true)
    }

    /// Lets the next calls ask for what was gathered.
    pub(super) fn gathered(&self) {
        let state = &mut *self.state.lock();
        state.is_gathering = false;
        state.next.extend(state.again.drain(..));
    }
}

impl State {
    /// Whether somebody still waits for it; forgets it where not.
    fn is_wanted(&mut self, id: CorrelationId) -> bool {
        match self.takers.get(&id) {
            Some(taker) if taker.is_closed() => {
                self.takers.remove(&id);
                false
            }
            Some(_) => true,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> CorrelationId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        CorrelationId(bytes)
    }

    #[test]
    fn those_that_do_not_come_are_asked_for_together_and_keep_no_call_from_others() {
        let waiting = Waiting::default();
        let (mut stuck, mut calls) = (Vec::new(), Vec::new());
        for number in 0..OUTCOME_CALLS_MAX + 2 {
            stuck.push(waiting.join(id(number)));
            calls.extend(waiting.begin());
        }
        assert_eq!(calls.len(), OUTCOME_CALLS_MAX, "one for each, as long as there are calls");
        for (at, call) in calls.into_iter().enumerate() {
            assert_eq!(waiting.over(call, Ok(Vec::new())), at == 0, "they are gathered once");
        }
        waiting.gathered();
        let together = waiting.begin().unwrap();
        assert_eq!(together.len(), OUTCOME_CALLS_MAX + 2);
        assert_eq!(waiting.begin(), None);

        let mut fast = waiting.join(id(9_999));
        let call = waiting.begin().unwrap();
        assert_eq!(call, [id(9_999)]);
        assert!(!waiting.over(call, Ok(vec![(id(9_999), RequestOutcome::NoReply)])));
        assert_eq!(fast.try_recv().unwrap(), Ok(RequestOutcome::NoReply));
    }

    #[test]
    fn a_call_asks_for_no_more_than_it_may_and_for_nothing_that_nobody_waits_for() {
        let waiting = Waiting::default();
        let mut waits: Vec<_> = (0..OUTCOMES_MAX + 2).map(|number| waiting.join(id(number))).collect();
        drop(waits.remove(0));
        assert_eq!(waiting.begin().map(|ids| ids.len()), Some(OUTCOMES_MAX));
        assert_eq!(waiting.begin(), Some(vec![id(OUTCOMES_MAX + 1)]));
        drop(waits);
        assert!(!waiting.over(vec![id(OUTCOMES_MAX + 1)], Ok(Vec::new())));
        assert_eq!(waiting.state.lock().takers.len(), OUTCOMES_MAX);
    }

    #[test]
    fn a_call_that_fails_fails_what_it_asked_for_alone_and_the_last_who_waits_is_told() {
        let waiting = Waiting::default();
        let mut first = waiting.join(id(1));
        let call = waiting.begin().unwrap();
        let (mut again, mut other) = (waiting.join(id(1)), waiting.join(id(2)));
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        let lost = Failure::Unknown { cause: "lost".into() };
        assert!(!waiting.over(call, Err(lost.clone())));
        assert_eq!(again.try_recv().unwrap(), Err(lost));
        assert_eq!(other.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        assert_eq!(waiting.begin(), Some(vec![id(2)]));
    }
}
