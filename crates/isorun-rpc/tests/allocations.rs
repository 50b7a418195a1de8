//! How many allocations a call over TCP makes, both ends together, once everything has its memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Directory, Failure, FunctionIndex, InstanceUid,
    Listener, PeerIdentity, Reply,
};
use isorun_rpc::{Link, PeerOptions, ServeOptions, serve};
use isorun_transport_tcp::{TcpTransport, TcpTransportListener};

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

const CALLS: usize = 1_000;
const WARM_UP: usize = 2_000;

/// Gives back what it is given; whether it answers at once, or by a future.
#[derive(Clone, Copy)]
struct Echo {
    at_once: bool,
}

impl Directory for Echo {
    fn find(&self, _: &str, _: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        Ok(Arc::new(*self))
    }
}

impl Callee for Echo {
    fn bind<'a>(&'a self, _: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async { Ok(Arc::new(*self) as Arc<dyn Bound>) })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async { Ok(Bytes::new()) })
    }
}

impl Bound for Echo {
    fn call<'a>(
        &'a self,
        _: FunctionIndex,
        _: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async { Ok(Reply { results: args, fuel_used: 0 }) })
    }

    fn call_now(&self, _: FunctionIndex, _: &CallContext, args: &Bytes) -> Option<Result<Reply, CallFailed>> {
        self.at_once.then(|| Ok(Reply { results: args.clone(), fuel_used: 0 }))
    }
}

/// Allocations that `callers` make for each of their calls, on one connection; both ends are on this thread.
async fn allocations_a_call(echo: Echo, callers: usize) -> f64 {
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = TcpTransport::new(&listener.address()).unwrap();
    tokio::spawn(serve(Box::new(listener), Arc::new(echo), ServeOptions::default()));
    let remote = Link::new(Arc::new(transport), PeerOptions::default()).instance("echo");
    let want = BindRequest { interface: None, functions: vec![("echo".to_owned(), [0; 32])] };
    let bound = remote.bind(&want).await.unwrap();
    let round = async |calls: usize| {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let bound = Arc::clone(&bound);
            tasks.spawn(async move {
                let mut cx = CallContext::until(Instant::now() + Duration::from_secs(60));
                cx.chain = Arc::new([InstanceUid([7; 16])]);
                for _ in 0..calls {
                    let args = Bytes::from_static(&[7; 64]);
                    assert_eq!(bound.call(FunctionIndex(0), &cx, args).await.unwrap().results[..], [7; 64]);
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    };
    round(WARM_UP / callers).await;
    // Tasks and whatever else a round takes once go out of the difference of a long and a short one.
    let mut counts = [0; 2];
    for (count, calls) in counts.iter_mut().zip([CALLS, 2 * CALLS]) {
        let before = COUNT.with(Cell::get);
        round(calls / callers).await;
        *count = COUNT.with(Cell::get) - before;
    }
    (counts[1] as f64 - counts[0] as f64) / CALLS as f64
}

#[tokio::test]
async fn a_call_that_is_answered_at_once_takes_the_future_of_its_caller() {
    let found = allocations_a_call(Echo { at_once: true }, 1).await;
    assert!(found < 1.1, "{found} allocations a call");
}

#[tokio::test]
async fn a_call_that_is_answered_by_a_future_takes_two_more() {
    let found = allocations_a_call(Echo { at_once: false }, 1).await;
    assert!(found < 3.1, "{found} allocations a call");
}

#[tokio::test]
async fn many_callers_on_one_connection_take_no_more() {
    let found = allocations_a_call(Echo { at_once: true }, 50).await;
    assert!(found < 1.5, "{found} allocations a call");
}
