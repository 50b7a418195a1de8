//! Correlation ids that nobody can guess, and tables of those that are our own.

use std::cell::RefCell;
use std::hash::{BuildHasherDefault, Hasher};

use isorun_core::CorrelationId;

/// Random bytes that are fetched at once: a system call for each id takes longer than a message.
const STOCK_BYTES: usize = 2_048;

thread_local! {
    static STOCK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An id that nobody can guess; `None` where the system has no randomness to give.
pub(crate) fn new_id() -> Option<CorrelationId> {
    STOCK.with_borrow_mut(|stock| {
        if stock.len() < 16 {
            stock.resize(STOCK_BYTES, 0);
            if getrandom::fill(stock).is_err() {
                stock.clear();
                return None;
            }
        }
        let id: [u8; 16] = *stock.last_chunk()?;
        stock.truncate(stock.len() - id.len());
        Some(CorrelationId::from_random(id))
    })
}

/// A hasher for ids that were made here: they are random, and others can only ask for them.
pub(crate) type OwnIds = BuildHasherDefault<IdHasher>;

#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    /// Of the length, which is always the same.
    fn write_usize(&mut self, _n: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_are_of_version_4() {
        let ids: HashSet<CorrelationId, OwnIds> = (0..1_000).map(|_| new_id().unwrap()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.0[6] >> 4 == 4 && id.0[8] >> 6 == 2));
    }
}
