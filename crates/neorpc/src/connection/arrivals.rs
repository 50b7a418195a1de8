//! Large payloads on their way in.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use isorun_core::{CallContext, FunctionIndex};

use super::credit::{Credit, Window};
use super::streams::Key;
use crate::chunk::{ChunkFrame, CreditFrame, Payload};
use crate::id::{BindingId, RequestId};
use crate::limits::RESULTS_BYTES_MAX;

/// What a payload belongs to, once it is whole.
pub(super) enum Begun {
    Call { binding: BindingId, function: FunctionIndex, cx: CallContext },
    Reply { fuel_used: u64 },
}

struct Arrival {
    begun: Begun,
    size: usize,
    data: Vec<u8>,
    window: Window,
    /// Whether it has its share of what all may hold; one that has none gets no credit.
    admitted: bool,
}

/// Why a chunk can't be taken.
pub(super) enum Trouble {
    OverCredit,
    Overrun { size: usize },
}

/// What one end receives in chunks.
#[derive(Default)]
pub(super) struct Arrivals {
    arrivals: HashMap<Key, Arrival>,
    /// When calls are given up that have not arrived.
    due: BTreeSet<(Instant, RequestId)>,
    window: Option<Window>,
    window_bytes: usize,
    /// What the results under way come to.
    results_bytes: usize,
    /// Results that wait for others to be through.
    waiting: VecDeque<RequestId>,
}

impl Arrivals {
    /// This end takes chunks, with such a window.
    pub(super) fn open(&mut self, window_bytes: usize) {
        self.window = Some(Window::new(Credit::connection(window_bytes)));
        self.window_bytes = window_bytes;
    }

    /// Begins to receive `size` bytes, which are not none; `false` for what has begun already.
    pub(super) fn begin(&mut self, key: Key, begun: Begun, size: usize) -> bool {
        if self.arrivals.contains_key(&key) {
            return false;
        }
        let admitted = match &begun {
            Begun::Call { cx, .. } => {
                self.due.insert((cx.deadline, key.0));
                true
            }
            Begun::Reply { .. } if self.results_bytes == 0 || self.results_bytes + size <= RESULTS_BYTES_MAX => {
                self.results_bytes += size;
                true
            }
            Begun::Reply { .. } => {
                self.waiting.push_back(key.0);
                false
            }
        };
        let window = Window::new(Credit::payload(self.window_bytes));
        self.arrivals.insert(key, Arrival { begun, size, data: Vec::new(), window, admitted });
        true
    }

    /// Takes a chunk; what it makes whole, and the credit to give for it.
    ///
    /// A chunk of what ended before it came is nothing, but credit is due for it too.
    pub(super) fn take(
        &mut self,
        chunk: &ChunkFrame,
        give: &mut Vec<CreditFrame>,
    ) -> Result<Option<(Begun, Bytes)>, Trouble> {
        let window = self.window.as_mut().ok_or(Trouble::OverCredit)?;
        if !window.came(chunk.data.len()) {
            return Err(Trouble::OverCredit);
        }
        let back = window.give_back();
        #[cfg(planted)]
        let back = back.filter(|_| {
            !crate::planted::has(crate::planted::Fault::CreditLost) || self.arrivals.contains_key(&(chunk.id, chunk.of))
        });
        give.extend(back.map(|credit| credit_frame(None, credit)));
        let key = (chunk.id, chunk.of);
        let Some(arrival) = self.arrivals.get_mut(&key) else { return Ok(None) };
        if !arrival.window.came(chunk.data.len()) {
            return Err(Trouble::OverCredit);
        }
        if chunk.data.len() > arrival.size - arrival.data.len() {
            return Err(Trouble::Overrun { size: arrival.size });
        }
        arrival.reserve(chunk.data.len());
        arrival.data.extend_from_slice(&chunk.data);
        if arrival.data.len() < arrival.size {
            if arrival.admitted {
                give.extend(arrival.window.give_back().map(|credit| credit_frame(Some(key), credit)));
            }
            return Ok(None);
        }
        Ok(self.remove(key, give).map(|arrival| (arrival.begun, arrival.data.into())))
    }

    /// Gives a payload up that has not arrived; whether it was under way.
    pub(super) fn give_up(&mut self, key: Key, give: &mut Vec<CreditFrame>) -> bool {
        !self.arrivals.is_empty() && self.remove(key, give).is_some()
    }

    fn remove(&mut self, key: Key, give: &mut Vec<CreditFrame>) -> Option<Arrival> {
        #[cfg(planted)]
        if crate::planted::has(crate::planted::Fault::ArrivalStays)
            && key.1 == Payload::Results
            && self.arrivals.get(&key).is_some_and(|arrival| arrival.data.len() < arrival.size)
        {
            return None;
        }
        let arrival = self.arrivals.remove(&key)?;
        match &arrival.begun {
            Begun::Call { cx, .. } => {
                self.due.remove(&(cx.deadline, key.0));
            }
            Begun::Reply { .. } if arrival.admitted => {
                self.results_bytes -= arrival.size;
                self.admit(give);
            }
            Begun::Reply { .. } => self.waiting.retain(|id| *id != key.0),
        }
        Some(arrival)
    }

    /// Lets results come that waited for room, in their order.
    fn admit(&mut self, give: &mut Vec<CreditFrame>) {
        while let Some(id) = self.waiting.front() {
            let key = (*id, Payload::Results);
            if let Some(arrival) = self.arrivals.get_mut(&key) {
                if self.results_bytes != 0 && self.results_bytes + arrival.size > RESULTS_BYTES_MAX {
                    return;
                }
                self.results_bytes += arrival.size;
                arrival.admitted = true;
                give.extend(arrival.window.give_back().map(|credit| credit_frame(Some(key), credit)));
            }
            self.waiting.pop_front();
        }
    }

    /// Payloads that are under way.
    pub(super) fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Calls whose arguments are under way.
    pub(super) fn calls(&self) -> usize {
        self.due.len()
    }

    /// Whether arguments of a call through `binding` are under way.
    pub(super) fn come_for(&self, binding: BindingId) -> bool {
        self.arrivals.values().any(|arrival| match &arrival.begun {
            Begun::Call { binding: through, .. } => *through == binding,
            Begun::Reply { .. } => false,
        })
    }

    /// When the first call is to be given up.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// A call whose time is over at `now`.
    pub(super) fn overdue(&self, now: Instant) -> Option<RequestId> {
        self.due.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }

    /// What may still come, in bytes.
    pub(super) fn window_bytes(&self) -> usize {
        self.window.map_or(0, |window| window.left_bytes())
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Arrival {
    /// Makes room, by what came and not by what was announced: at most twice as much.
    fn reserve(&mut self, more: usize) {
        let len = self.data.len();
        if self.data.capacity() - len < more {
            let whole = (2 * len).max(len + more).min(self.size);
            self.data.reserve_exact(whole - len);
        }
    }
}

fn credit_frame(to: Option<Key>, credit: Credit) -> CreditFrame {
    CreditFrame { to, bytes: credit.bytes as u64, frames: credit.frames }
}
