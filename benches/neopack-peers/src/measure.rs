//! Time and allocations of one operation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rustix::time::{ClockId, clock_gettime};

/// The system's allocator, counting.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the memory came from the system's allocator, and the contract is the same.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory came from `alloc` above, so from the system's allocator.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Into a buffer that is used again.
    Encode,
    /// Into a value that owns all of itself.
    Decode,
    /// Into a value that borrows text and bytes.
    Borrow,
}

impl Way {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Borrow => "borrow",
        }
    }
}

/// One operation, and what has been measured of it.
pub struct Case {
    /// The value.
    pub payload: &'static str,
    /// The library.
    pub codec: &'static str,
    /// The direction.
    pub way: Way,
    /// Bytes of the encoded value.
    pub bytes: usize,
    /// Allocations of one operation.
    pub allocations: u64,
    /// Nanoseconds of CPU per operation, one number a round.
    pub rounds: Vec<f64>,
    batch: u32,
    run: Box<dyn FnMut(u32)>,
}

impl Case {
    /// Runs `operation` a few times, to know how often it fits in a round.
    pub fn new(
        payload: &'static str,
        codec: &'static str,
        way: Way,
        bytes: usize,
        mut operation: impl FnMut() + 'static,
    ) -> Self {
        operation();
        let before = COUNT.with(Cell::get);
        operation();
        let allocations = COUNT.with(Cell::get) - before;
        let run = Box::new(move |times| (0..times).for_each(|_| operation()));
        let mut case = Self { payload, codec, way, bytes, allocations, rounds: Vec::new(), batch: 1, run };
        while case.nanoseconds() * f64::from(case.batch) < BATCH_NANOSECONDS {
            case.batch *= 2;
        }
        case
    }

    /// Measures one round.
    pub fn round(&mut self) {
        let nanoseconds = self.nanoseconds();
        self.rounds.push(nanoseconds);
    }

    fn nanoseconds(&mut self) -> f64 {
        let before = now();
        (self.run)(self.batch);
        (now() - before) / f64::from(self.batch)
    }

    /// The middle round, and the quarters around it.
    pub fn quartiles(&self) -> [f64; 3] {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| sorted[(sorted.len() - 1) * quarter / 4])
    }
}

/// CPU nanoseconds of this thread: what others do on the machine is not counted.
fn now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// What one round of one operation takes at least: thousands of times the clock's own cost.
const BATCH_NANOSECONDS: f64 = 1e6;
