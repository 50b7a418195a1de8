//! What a guest may hold of memory and tables, refused with a typed cause.

use isorun_core::{Budget, Fault};
use wasmtime::ResourceLimiter;

/// Counts a store's memory and table elements against its [`Budget`].
///
/// The engine's own limiter counts each memory by itself and speaks text; this
/// one sums them and remembers what it refused, so that the trap that usually
/// follows a refused growth is reported as what it is.
#[derive(Debug)]
pub struct WasmResourceLimiter {
    budget: Budget,
    memory_bytes: u64,
    table_elements: u64,
    refused: Option<Fault>,
}

impl WasmResourceLimiter {
    /// A limiter that has handed out nothing yet.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self { budget, memory_bytes: 0, table_elements: 0, refused: None }
    }

    /// The limits.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// Bytes that all memories hold now.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Elements that all tables hold now.
    #[must_use]
    pub fn table_elements(&self) -> u64 {
        self.table_elements
    }

    /// The last growth that was refused, once.
    pub fn take_refused(&mut self) -> Option<Fault> {
        self.refused.take()
    }
}

impl ResourceLimiter for WasmResourceLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = grown(self.memory_bytes, current, desired);
        let limit = self.budget.max_memory_bytes;
        if wanted > limit {
            self.refused = Some(Fault::OutOfMemory { wanted, limit });
            return Ok(false);
        }
        self.memory_bytes = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = grown(self.table_elements, current, desired);
        let limit = self.budget.max_table_elements;
        if wanted > limit {
            self.refused = Some(Fault::OverBudget { what: "max_table_elements".into(), wanted, limit });
            return Ok(false);
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.budget.max_instances as usize
    }

    fn tables(&self) -> usize {
        self.budget.max_tables as usize
    }

    fn memories(&self) -> usize {
        self.budget.max_memories as usize
    }
}

/// The sum once one part has gone from `current` to `desired`.
fn grown(sum: u64, current: usize, desired: usize) -> u64 {
    sum.saturating_sub(current as u64).saturating_add(desired as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(max_memory_bytes: u64, max_table_elements: u64) -> WasmResourceLimiter {
        WasmResourceLimiter::new(Budget { max_memory_bytes, max_table_elements, ..Budget::default() })
    }

    #[test]
    fn memories_are_summed_and_taken_up_to_the_limit() {
        let mut limiter = limiter(3 << 16, 0);
        assert!(limiter.memory_growing(0, 1 << 16, None).unwrap());
        assert!(limiter.memory_growing(0, 1 << 16, None).unwrap());
        assert!(limiter.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert_eq!(limiter.memory_bytes(), 3 << 16);
        assert_eq!(limiter.take_refused(), None);
        assert!(!limiter.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert_eq!(limiter.take_refused(), Some(Fault::OutOfMemory { wanted: 4 << 16, limit: 3 << 16 }));
        assert_eq!(limiter.memory_bytes(), 3 << 16);
    }

    #[test]
    fn tables_are_taken_at_the_limit_and_refused_past_it() {
        let mut limiter = limiter(0, 10);
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.table_growing(10, 11, None).unwrap());
        assert!(matches!(limiter.take_refused(), Some(Fault::OverBudget { wanted: 11, limit: 10, .. })));
    }
}
