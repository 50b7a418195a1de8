//! Correlation ids that nobody can guess, and tables of ids that are our own.

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

/// A hasher for ids of components: whoever runs this node chose those that are in the table, and others can only ask for
/// them, so that none of them can make it slow.
pub(crate) type ComponentIds = BuildHasherDefault<TextHasher>;

#[derive(Default)]
pub(crate) struct TextHasher(u64);

impl TextHasher {
    fn add(&mut self, word: u64) {
        // As of FNV, a word at a time, with the high bits brought down.
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, n: u8) {
        self.add(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.add(n.into());
    }

    fn finish(&self) -> u64 {
        // A table looks at the highest bits and at the lowest.
        self.0 ^ self.0.rotate_left(32)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use std::collections::HashSet;

    use isorun_core::ComponentId;

    use super::*;

    #[test]
    fn ids_of_components_that_are_alike_are_spread() {
        let hasher = ComponentIds::default();
        let hashes = || (0..10_000).map(|n| hasher.hash_one(ComponentId::new("demo", "counter", n.to_string())));
        assert_eq!(hashes().collect::<HashSet<_>>().len(), 10_000);
        // Of 1,024 places, by the lowest bits and by the highest, none has much more than its tenth of a thousandth.
        for shift in [0, 54] {
            let mut places = [0_u32; 1_024];
            hashes().for_each(|hash| places[(hash >> shift) as usize & 1_023] += 1);
            assert!(places.iter().all(|&count| count < 40), "{:?}", places.iter().max());
        }
    }

    #[test]
    fn ids_differ_and_are_of_version_4() {
        let ids: HashSet<CorrelationId, OwnIds> = (0..1_000).map(|_| new_id().unwrap()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.0[6] >> 4 == 4 && id.0[8] >> 6 == 2));
    }
}
