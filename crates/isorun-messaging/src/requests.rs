//! The requests of one component: what is open, what has ended, and whose time is over.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};

use isorun_core::{ComponentId, CorrelationId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ids::OwnIds;

/// Most requests that a component may have open, those included whose callback it has not taken yet, given up or not: that is
/// what bounds callbacks.
pub const REQUESTS_MAX: usize = 1_024;

/// A correlation table. Each request in it ends once, whoever comes first.
#[derive(Debug)]
pub(crate) struct Requests {
    table: HashMap<CorrelationId, Request, OwnIds>,
    /// Also of some that have ended; [`Requests::tidy`] keeps them few.
    deadlines: BinaryHeap<Reverse<(Instant, CorrelationId)>>,
    /// When the requester's timer goes off.
    timer: Option<Instant>,
    is_open: bool,
    /// How many in it are [`Stage::Unwanted`].
    unwanted: usize,
    pub(crate) counts: RequestCounts,
}

/// What became of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RequestCounts {
    pub(crate) opened: u64,
    pub(crate) cancelled: u64,
    pub(crate) timed_out: u64,
    pub(crate) late_replies: u64,
}

#[derive(Debug)]
struct Request {
    target: ComponentId,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Its outcome is not known. Whoever waits for it elsewhere hears that it is over as this sender is dropped.
    Open { over: Option<oneshot::Sender<()>> },
    /// Its callback waits in the mailbox.
    Ended,
    /// The same, and it has been given up since. It keeps its place, as open requests are what bounds callbacks.
    Unwanted,
}

impl Request {
    fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open { .. })
    }
}

/// Why a request can't be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// As many are open as may be.
    TooMany,
    /// The component is at its end.
    Closed,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            table: HashMap::default(),
            deadlines: BinaryHeap::new(),
            timer: None,
            is_open: true,
            unwanted: 0,
            counts: RequestCounts::default(),
        }
    }

    /// Opens a request; whether the timer must go off earlier now.
    pub(crate) fn open(
        &mut self,
        id: CorrelationId,
        target: ComponentId,
        deadline: Instant,
    ) -> Result<bool, NotOpened> {
        if !self.is_open {
            return Err(NotOpened::Closed);
        }
        if self.table.len() >= REQUESTS_MAX {
            return Err(NotOpened::TooMany);
        }
        let Entry::Vacant(entry) = self.table.entry(id) else { return Err(NotOpened::TooMany) };
        entry.insert(Request { target, stage: Stage::Open { over: None } });
        self.tidy();
        self.deadlines.push(Reverse((deadline, id)));
        self.counts.opened += 1;
        Ok(self.timer.is_none_or(|timer| deadline < timer))
    }

    /// Takes back one that was opened and could not be sent.
    pub(crate) fn take_back(&mut self, id: CorrelationId) {
        if self.give_up(id) {
            self.counts.opened -= 1;
        }
    }

    /// Ends an open request: whom it was sent to. `None` where it has ended before: that answer is late.
    pub(crate) fn end(&mut self, id: CorrelationId) -> Option<ComponentId> {
        match self.table.get_mut(&id) {
            Some(request) if request.is_open() => {
                request.stage = Stage::Ended;
                Some(request.target.clone())
            }
            Some(_) | None => {
                self.counts.late_replies += 1;
                None
            }
        }
    }

    /// Forgets a request whose callback is about to be handed over; whether it was wanted still.
    pub(crate) fn forget(&mut self, id: CorrelationId) -> bool {
        match self.table.remove(&id).map(|request| request.stage) {
            Some(Stage::Open { .. } | Stage::Ended) => true,
            Some(Stage::Unwanted) => {
                self.unwanted -= 1;
                false
            }
            None => false,
        }
    }

    /// Gives up a request; whether its callback had not been handed over yet. One whose callback waits keeps its place until
    /// that is taken.
    pub(crate) fn cancel(&mut self, id: CorrelationId) -> bool {
        let was_wanted = self.give_up(id);
        self.counts.cancelled += u64::from(was_wanted);
        was_wanted
    }

    /// Gives one up, without counting it; whether it was wanted.
    fn give_up(&mut self, id: CorrelationId) -> bool {
        let Entry::Occupied(mut entry) = self.table.entry(id) else { return false };
        match entry.get().stage {
            Stage::Open { .. } => drop(entry.remove()),
            Stage::Ended => {
                entry.get_mut().stage = Stage::Unwanted;
                self.unwanted += 1;
            }
            Stage::Unwanted => return false,
        }
        true
    }

    /// What is dropped once an open request is over: it ends, its time does, or it is given up. `None` where it is over.
    pub(crate) fn watch(&mut self, id: CorrelationId) -> Option<oneshot::Receiver<()>> {
        match self.table.get_mut(&id).map(|request| &mut request.stage) {
            Some(Stage::Open { over }) => {
                let (sender, receiver) = oneshot::channel();
                *over = Some(sender);
                Some(receiver)
            }
            Some(Stage::Ended | Stage::Unwanted) | None => None,
        }
    }

    /// Ends one request whose time is over by `now`, if there is one.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(CorrelationId, ComponentId)> {
        while let Some(&Reverse((deadline, id))) = self.deadlines.peek() {
            if deadline > now {
                return None;
            }
            self.deadlines.pop();
            if let Some(request) = self.table.get_mut(&id).filter(|request| request.is_open()) {
                request.stage = Stage::Ended;
                self.counts.timed_out += 1;
                return Some((id, request.target.clone()));
            }
        }
        None
    }

    /// Sets the timer for the request that ends first: when it must go off.
    pub(crate) fn set_timer(&mut self) -> Option<Instant> {
        while let Some(Reverse((_, id))) = self.deadlines.peek()
            && !self.table.get(id).is_some_and(Request::is_open)
        {
            self.deadlines.pop();
        }
        self.timer = self.deadlines.peek().map(|Reverse((deadline, _))| *deadline);
        self.timer
    }

    /// How many are in it that are wanted still.
    pub(crate) fn len(&self) -> usize {
        self.table.len() - self.unwanted
    }

    /// Gives all of them up, and takes no more.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
        self.counts.cancelled += self.len() as u64;
        self.unwanted = 0;
        (self.table, self.deadlines, self.timer) = (HashMap::default(), BinaryHeap::new(), None);
    }

    /// Takes requests again.
    pub(crate) fn reopen(&mut self) {
        self.is_open = true;
    }

    /// Lets go the deadlines of requests that have ended, once they are the greater part.
    fn tidy(&mut self) {
        if self.deadlines.len() >= 2 * self.table.len() + 16 {
            let table = &self.table;
            self.deadlines.retain(|Reverse((_, id))| table.get(id).is_some_and(Request::is_open));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Open(u8, u64),
        TakeBack(u8),
        End(u8),
        Forget(u8),
        Cancel(u8),
        Pass(u64),
        SetTimer,
        Close,
        Reopen,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let id = || 0..24_u8;
        let op = prop_oneof![
            8 => (id(), 0..50_u64).prop_map(|(id, ms)| Op::Open(id, ms)),
            1 => id().prop_map(Op::TakeBack),
            4 => id().prop_map(Op::End),
            3 => id().prop_map(Op::Forget),
            2 => id().prop_map(Op::Cancel),
            3 => (0..20_u64).prop_map(Op::Pass),
            2 => Just(Op::SetTimer),
            1 => Just(Op::Close),
            2 => Just(Op::Reopen),
        ];
        proptest::collection::vec(op, 0..300)
    }

    /// No id comes twice: each that ended in slot `n` is followed by another.
    fn id_of(n: u8, serial: u8) -> CorrelationId {
        CorrelationId::from_random([n, serial].repeat(8).try_into().unwrap())
    }

    proptest! {
        /// The model is a map from each id to its deadline, while it is open, or to none; and a set of those that were given up
        /// after they had ended, which keep their places.
        #[test]
        fn a_table_of_requests_does_as_its_model(ops in ops()) {
            let target = ComponentId::new("a", "b", "c");
            let start = Instant::now();
            let at = |ms: u64| start + Duration::from_millis(ms);
            let mut requests = Requests::new();
            let (mut model, mut is_closed, mut now) = (BTreeMap::<u8, Option<u64>>::new(), false, 0);
            let mut unwanted = BTreeSet::<u8>::new();
            let mut timer: Option<u64> = None;
            let (mut counts, mut serials) = (RequestCounts::default(), [0_u8; 24]);
            for op in ops {
                if let Op::Open(n, _) = op
                    && !model.contains_key(&n)
                    && !unwanted.contains(&n)
                {
                    serials[usize::from(n)] += 1;
                }
                let id = |n: u8| id_of(n, serials[usize::from(n)]);
                match op {
                    Op::Open(n, ms) => {
                        let deadline = now + ms;
                        let wanted = if is_closed {
                            Err(NotOpened::Closed)
                        } else if model.contains_key(&n) || unwanted.contains(&n) {
                            Err(NotOpened::TooMany)
                        } else {
                            model.insert(n, Some(deadline));
                            counts.opened += 1;
                            Ok(timer.is_none_or(|timer| deadline < timer))
                        };
                        prop_assert_eq!(requests.open(id(n), target.clone(), at(deadline)), wanted);
                    }
                    Op::TakeBack(n) => {
                        requests.take_back(id(n));
                        if let Some(deadline) = model.remove(&n) {
                            counts.opened -= 1;
                            if deadline.is_none() {
                                unwanted.insert(n);
                            }
                        }
                    }
                    Op::End(n) => {
                        let was_open = model.get_mut(&n).and_then(Option::take).is_some();
                        counts.late_replies += u64::from(!was_open);
                        prop_assert_eq!(requests.end(id(n)).is_some(), was_open);
                    }
                    Op::Forget(n) => {
                        unwanted.remove(&n);
                        prop_assert_eq!(requests.forget(id(n)), model.remove(&n).is_some());
                    }
                    Op::Cancel(n) => {
                        let was_there = model.remove(&n);
                        if was_there == Some(None) {
                            unwanted.insert(n);
                        }
                        let was_there = was_there.is_some();
                        counts.cancelled += u64::from(was_there);
                        prop_assert_eq!(requests.cancel(id(n)), was_there);
                    }
                    Op::Pass(ms) => {
                        now += ms;
                        let mut over = 0;
                        while requests.expire(at(now)).is_some() {
                            over += 1;
                        }
                        for deadline in model.values_mut() {
                            if deadline.is_some_and(|deadline| deadline <= now) {
                                *deadline = None;
                                counts.timed_out += 1;
                                over -= 1;
                            }
                        }
                        prop_assert_eq!(over, 0);
                    }
                    Op::SetTimer => {
                        timer = model.values().flatten().min().copied();
                        prop_assert_eq!(requests.set_timer(), timer.map(at));
                    }
                    Op::Close => {
                        requests.close();
                        counts.cancelled += model.len() as u64;
                        (is_closed, timer) = (true, None);
                        model.clear();
                        unwanted.clear();
                    }
                    Op::Reopen => {
                        requests.reopen();
                        is_closed = false;
                    }
                }
                prop_assert_eq!(requests.len(), model.len());
                prop_assert_eq!(requests.table.len(), model.len() + unwanted.len());
                prop_assert_eq!(requests.counts, counts);
                prop_assert!(requests.deadlines.len() <= 2 * requests.table.len() + 24 + 17, "deadlines are let go");
            }
        }
    }

    #[test]
    fn deadlines_of_requests_that_ended_do_not_add_up() {
        let mut requests = Requests::new();
        let target = ComponentId::new("a", "b", "c");
        for _ in 0..10_000 {
            let id = crate::ids::new_id().unwrap();
            requests.open(id, target.clone(), Instant::now() + Duration::from_secs(3_600)).unwrap();
            requests.end(id).unwrap();
            assert!(requests.forget(id));
        }
        assert!(requests.deadlines.len() <= 20, "{}", requests.deadlines.len());
    }
}
