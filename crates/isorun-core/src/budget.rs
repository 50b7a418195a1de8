//! What an instance may use.

/// What one instance may use, and what one call into it may spend.
///
/// Every limit is on by default. Going over one fails that call, with the
/// limit's name and value; the host and all other instances go on.
///
/// ```
/// use isorun_core::Budget;
/// let budget = Budget { max_memory_bytes: 16 << 20, ..Budget::default() };
/// assert_eq!(budget.wall_ms, 10_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of linear memory, all memories of the instance together. Default 64 MiB.
    pub max_memory_bytes: u64,
    /// Elements of all tables together. Default 100,000.
    pub max_table_elements: u64,
    /// Core instances. Default 100: a component has a handful.
    pub max_instances: u32,
    /// Tables. Default 100.
    pub max_tables: u32,
    /// Linear memories. Default 16.
    pub max_memories: u32,
    /// Resource handles that the guest holds at once. Default 256: a handle may be an open file, and a process mostly
    /// has 1,024 of those. A component with `async` functions has room beside for its calls under way.
    pub max_handles: u32,
    /// Fuel for each call into this instance, about one unit an instruction. Default 10 thousand million, some seconds of work.
    ///
    /// Calls that one store serves at once burn of what they have brought together: their sum is bounded, and none is by itself.
    pub fuel: u64,
    /// Fuel for the whole tree of calls that starts with a call into this instance. Default ten times `fuel`.
    ///
    /// A singleton further down takes a call only from a tree that can still pay
    /// for a whole one, so this must exceed the largest `fuel` on the way.
    pub fuel_tree: u64,
    /// Wall-clock time for each call, waits in the host included, in milliseconds. Default 10,000:
    /// well under the default deadline, so that a callee's own verdict arrives before its caller stops waiting.
    pub wall_ms: u64,
    /// Bytes that one host call may copy out of the guest, as the engine charges them. Default 8 MiB: twice the
    /// largest value that travels. An engine with the interpreted codec is charged over 32 bytes an element.
    pub hostcall_fuel: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            max_memory_bytes: 64 << 20,
            max_table_elements: 100_000,
            max_instances: 100,
            max_tables: 100,
            max_memories: 16,
            max_handles: 256,
            fuel: 10_000_000_000,
            fuel_tree: 100_000_000_000,
            wall_ms: 10_000,
            hostcall_fuel: 8 << 20,
        }
    }
}

/// The three limits that a component's own description may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Bytes of linear memory.
    pub max_memory_bytes: u64,
    /// Fuel for each call.
    pub max_fuel: u64,
    /// Wall-clock time for each call, in milliseconds.
    pub max_execution_time_ms: u64,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        let Budget { max_memory_bytes, fuel, wall_ms, .. } = Budget::default();
        Self { max_memory_bytes, max_fuel: fuel, max_execution_time_ms: wall_ms }
    }
}

impl From<ResourceLimits> for Budget {
    fn from(limits: ResourceLimits) -> Self {
        Self {
            max_memory_bytes: limits.max_memory_bytes,
            fuel: limits.max_fuel,
            fuel_tree: limits.max_fuel.saturating_mul(10),
            wall_ms: limits.max_execution_time_ms,
            ..Self::default()
        }
    }
}
