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
