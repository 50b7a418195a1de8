//! Which request's time is over next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

use super::outgoing::Pending;
use crate::id::RequestId;

/// Entries beyond twice those that count, before the others are thrown out.
const SPARE: usize = 64;

/// A heap that keeps its memory. What ended before its time stays in it until it comes to the top or is too many.
#[derive(Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(Instant, RequestId)>>);

impl Deadlines {
    /// The earliest one; always of a request that is under way.
    pub(super) fn first(&self) -> Option<(Instant, RequestId)> {
        self.0.peek().map(|Reverse(first)| *first)
    }

    /// How many it keeps, those of requests that ended included.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn insert(&mut self, deadline: Instant, id: RequestId) {
        self.0.push(Reverse((deadline, id)));
    }

    /// Notes that requests ended: `pending` are those that are left.
    pub(super) fn settle(&mut self, pending: &HashMap<RequestId, Pending>) {
        while let Some((_, id)) = self.first()
            && !pending.contains_key(&id)
        {
            self.0.pop();
        }
        if self.0.len() > 2 * pending.len() + SPARE {
            self.0.retain(|Reverse((_, id))| pending.contains_key(id));
        }
    }
}
