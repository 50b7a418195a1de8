//! The requests of one component: what is open, what has ended, and whose time is over.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};

use isorun_core::{ComponentId, CorrelationId};
use tokio::time::Instant;

use crate::ids::OwnIds;

/// Most requests that a component may have open, those included whose callback it has not taken yet.
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
    /// Its outcome is not known; if it is, its callback waits in the mailbox.
    is_open: bool,
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
        entry.insert(Request { target, is_open: true });
        self.tidy();
        self.deadlines.push(Reverse((deadline, id)));
        self.counts.opened += 1;
        Ok(self.timer.is_none_or(|timer| deadline < timer))
    }

    /// Takes back one that was opened and could not be sent.
    pub(crate) fn take_back(&mut self, id: CorrelationId) {
        if self.table.remove(&id).is_some() {
            self.counts.opened -= 1;
        }
    }

    /// Ends an open request: whom it was sent to. `None` where it has ended before: that answer is late.
    pub(crate) fn end(&mut self, id: CorrelationId) -> Option<ComponentId> {
        match self.table.get_mut(&id) {
            Some(request) if request.is_open => {
                request.is_open = false;
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
        self.table.remove(&id).is_some()
    }

    /// Gives up a request; whether its callback had not been handed over yet.
    pub(crate) fn cancel(&mut self, id: CorrelationId) -> bool {
        let was_there = self.table.remove(&id).is_some();
        self.counts.cancelled += u64::from(was_there);
        was_there
    }

    /// Ends one request whose time is over by `now`, if there is one.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(CorrelationId, ComponentId)> {
        while let Some(&Reverse((deadline, id))) = self.deadlines.peek() {
            if deadline > now {
                return None;
            }
            self.deadlines.pop();
            if let Some(request) = self.table.get_mut(&id).filter(|request| request.is_open) {
                request.is_open = false;
                self.counts.timed_out += 1;
                return Some((id, request.target.clone()));
            }
        }
        None
    }

    /// Sets the timer for the request that ends first: when it must go off.
    pub(crate) fn set_timer(&mut self) -> Option<Instant> {
        while let Some(Reverse((_, id))) = self.deadlines.peek()
            && !self.table.get(id).is_some_and(|request| request.is_open)
        {
            self.deadlines.pop();
        }
        self.timer = self.deadlines.peek().map(|Reverse((deadline, _))| *deadline);
        self.timer
    }

    /// How many are in it.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Gives all of them up, and takes no more.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
        self.counts.cancelled += self.table.len() as u64;
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
            self.deadlines.retain(|Reverse((_, id))| table.get(id).is_some_and(|request| request.is_open));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
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
        /// The model is a map from each id to its deadline, while it is open, or to none.
        #[test]
        fn a_table_of_requests_does_as_its_model(ops in ops()) {
            let target = ComponentId::new("a", "b", "c");
            let start = Instant::now();
            let at = |ms: u64| start + Duration::from_millis(ms);
            let mut requests = Requests::new();
            let (mut model, mut is_closed, mut now) = (BTreeMap::<u8, Option<u64>>::new(), false, 0);
            let mut timer: Option<u64> = None;
            let (mut counts, mut serials) = (RequestCounts::default(), [0_u8; 24]);
            for op in ops {
                if let Op::Open(n, _) = op
                    && !model.contains_key(&n)
                {
                    serials[usize::from(n)] += 1;
                }
                let id = |n: u8| id_of(n, serials[usize::from(n)]);
                match op {
                    Op::Open(n, ms) => {
                        let deadline = now + ms;
                        let wanted = if is_closed {
                            Err(NotOpened::Closed)
                        } else if !matches!(model.entry(n), std::collections::btree_map::Entry::Vacant(_)) {
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
                        counts.opened -= u64::from(model.remove(&n).is_some());
                    }
                    Op::End(n) => {
                        let was_open = model.get_mut(&n).and_then(Option::take).is_some();
                        counts.late_replies += u64::from(!was_open);
                        prop_assert_eq!(requests.end(id(n)).is_some(), was_open);
                    }
                    Op::Forget(n) => prop_assert_eq!(requests.forget(id(n)), model.remove(&n).is_some()),
                    Op::Cancel(n) => {
                        let was_there = model.remove(&n).is_some();
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
                    }
                    Op::Reopen => {
                        requests.reopen();
                        is_closed = false;
                    }
                }
                prop_assert_eq!(requests.len(), model.len());
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
