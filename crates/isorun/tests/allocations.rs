//! How many allocations a guest's call makes, both ends together, once everything has its memory.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use common::*;
use isorun::{Budget, InstanceHandle, Listener, Runtime, TcpTransport, TcpTransportListener, Val};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
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

const CALLS: u32 = 1_000;

/// Allocations of each call that the guest makes; both ends are on this thread.
async fn allocations_a_call(caller: &InstanceHandle, function: &str) -> f64 {
    let mut counts = [0; 3];
    // What a run takes once goes out of the difference of a long and a short one; the first warms up.
    for (count, calls) in counts.iter_mut().zip([2 * CALLS, CALLS, 2 * CALLS]) {
        let before = COUNT.with(Cell::get);
        caller.exec(function, &[Val::U32(calls)]).await.unwrap();
        *count = COUNT.with(Cell::get) - before;
    }
    (counts[2] as f64 - counts[1] as f64) / f64::from(CALLS)
}

fn budget() -> Budget {
    Budget { wall_ms: 60_000, fuel: u64::MAX / 4, fuel_tree: u64::MAX / 2, ..Budget::default() }
}

#[tokio::test]
async fn a_call_of_a_neighbour_takes_at_most_one_allocation() {
    let runtime = Runtime::new().unwrap();
    let callee = runtime.builder(&load(&runtime, "bench-callee")).instantiate().await.unwrap();
    let caller = load(&runtime, "bench-caller");
    let caller = runtime.builder(&caller).budget(budget()).link_local("*", &callee).instantiate().await.unwrap();
    for function in ["run-add", "run-echo-string", "run-get"] {
        let found = allocations_a_call(&caller, function).await;
        assert!(found < 1.1, "{function}: {found} allocations a call");
    }
}

#[tokio::test]
async fn a_call_over_tcp_takes_at_most_four_allocations() {
    let (near, far) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    far.builder(&load(&far, "bench-callee")).register_as("callee").instantiate().await.unwrap();
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::new(&listener.address()).unwrap());
    let _far = far.clone();
    tokio::spawn(async move { far.serve(Box::new(listener)).await });
    let caller = load(&near, "bench-caller");
    let caller = near.builder(&caller).budget(budget()).link_remote("*", transport, "callee");
    let caller = caller.instantiate().await.unwrap();
    for function in ["run-add", "run-echo-string", "run-get"] {
        let found = allocations_a_call(&caller, function).await;
        assert!(found < 4.1, "{function}: {found} allocations a call");
    }
}
