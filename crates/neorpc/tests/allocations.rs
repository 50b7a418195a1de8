//! No memory is taken by a length that was only claimed: whatever a frame says, what is allocated for it is bounded by
//! the bytes that came.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use bytes::Bytes;
use isorun_core::Reply;
use neorpc::{Connection, Frame, Hello, PeerLimits, ReplyFrame, RequestId};

struct Counting;

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory came from `alloc` above, so from the system's allocator.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// All bytes allocated meanwhile, those given back included, and what grew counted anew at every size.
fn allocated(run: impl FnOnce()) -> usize {
    let before = BYTES.with(Cell::get);
    run();
    BYTES.with(Cell::get) - before
}

/// Bytes that reading a frame may allocate for each of its own: a function of a bind takes 56 bytes and 47 of the frame,
/// and a list that grows has been allocated twice by the time it is as large as it gets.
const PER_BYTE_MAX: usize = 4;
/// Bytes that reading any frame may allocate besides.
const READING_MAX: usize = 512;
/// Bytes that a connection may allocate besides for any one frame: queues and maps, and what it answers.
const HANDLING_MAX: usize = 8 << 10;

/// Lengths and counts that claim more than there is.
const CLAIMS: [u32; 9] =
    [40, 200, 1_024, 1_025, 65_536, 1 << 20, neorpc::FRAME_BYTES_MAX as u32, i32::MAX as u32, u32::MAX];

/// Every example of the specification with every four bytes of it replaced by a claim, whole and cut after it.
fn hostile(mut each: impl FnMut(&Bytes)) -> usize {
    let mut frames = 0;
    for vector in support::vectors() {
        for at in 0..vector.bytes.len().saturating_sub(3) {
            for claim in CLAIMS {
                let mut bytes = vector.bytes.to_vec();
                bytes[at..at + 4].copy_from_slice(&claim.to_le_bytes());
                let bytes = Bytes::from(bytes);
                each(&bytes);
                each(&bytes.slice(..at + 4));
                frames += 2;
            }
        }
    }
    frames
}

#[test]
fn a_claim_allocates_nothing_that_did_not_come() {
    let frames = hostile(|frame| {
        let found = allocated(|| drop(Frame::decode(frame)));
        assert!(found <= PER_BYTE_MAX * frame.len() + READING_MAX, "{found} bytes for {}", support::hex(frame));
    });
    assert!(frames > 10_000, "{frames}");
}

#[test]
fn a_connection_allocates_nothing_by_a_claim_in_any_state() {
    let now = Instant::now();
    let hello = Frame::Hello(Hello::new(PeerLimits::default())).encode().unwrap();
    let opened = || {
        let mut connection = Connection::accept(now, PeerLimits::default());
        connection.handle_frame(now, hello.clone()).unwrap();
        connection
    };
    let states: [&dyn Fn() -> Connection; 3] = [
        &|| Connection::connect(now, PeerLimits::default()),
        &|| Connection::accept(now, PeerLimits::default()),
        &opened,
    ];
    for state in states {
        hostile(|frame| {
            let mut connection = state();
            let found = allocated(|| drop(connection.handle_frame(now, frame.clone())));
            assert!(found <= PER_BYTE_MAX * frame.len() + HANDLING_MAX, "{found} bytes for {}", support::hex(frame));
        });
    }
}

#[test]
fn the_arguments_and_results_of_a_large_frame_are_not_copied() {
    let results = Bytes::from(vec![7; 1 << 20]);
    let reply = Reply { results, fuel_used: 0 };
    let frame = Frame::Reply(ReplyFrame { id: RequestId(1), reply }).encode().unwrap();
    let found = allocated(|| drop(Frame::decode(&frame).unwrap()));
    assert!(found <= READING_MAX, "{found}");
    // Without its last byte it is refused, and has cost no more.
    let found = allocated(|| drop(Frame::decode(&frame.slice(..frame.len() - 1))));
    assert!(found <= READING_MAX, "{found}");
}

#[test]
fn the_count_counts() {
    assert_eq!(allocated(|| drop(std::hint::black_box(vec![0_u8; 10]))), 10);
}
