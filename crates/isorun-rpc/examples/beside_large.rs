//! How long does a small call take beside a large one, over one connection on loopback?
//!
//! `cargo run --release -p isorun-rpc --example beside_large` makes small calls alone, then while 16 MiB of arguments are on
//! their way all the time, and prints what they took in microseconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Directory, Failure, FunctionIndex, PeerIdentity,
    Reply,
};
use isorun_rpc::{Peer, PeerOptions, accept};
use isorun_transport_tcp::{TcpTransport, TcpTransportListener};

const LARGE: usize = 16 << 20;
const CALLS: usize = 2_000;

/// Answers with how many bytes came.
#[derive(Clone)]
struct Counts;

impl Directory for Counts {
    fn find(&self, _instance: &str, _caller: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        Ok(Arc::new(Self))
    }
}

impl Callee for Counts {
    fn bind<'a>(&'a self, _want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async { Ok(Arc::new(Self) as Arc<dyn Bound>) })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async { Ok(Bytes::new()) })
    }
}

impl Bound for Counts {
    fn call<'a>(
        &'a self,
        _function: FunctionIndex,
        _cx: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        let results = Bytes::copy_from_slice(&args.len().to_le_bytes());
        Box::pin(async { Ok(Reply { results, fuel_used: 0 }) })
    }
}

async fn call(bound: &dyn Bound, args: Bytes) {
    let cx = CallContext::until(Instant::now() + Duration::from_secs(60));
    bound.call(FunctionIndex(0), &cx, args).await.expect("the other end serves");
}

/// What each of many small calls took, in microseconds, in order.
async fn small_calls(bound: Arc<dyn Bound>) -> Vec<u128> {
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        call(&*bound, Bytes::from_static(&[7; 16])).await;
        took.push(started.elapsed().as_micros());
    }
    took.sort_unstable();
    took
}

#[allow(clippy::print_stdout, reason = "what it is for")]
fn tell(what: &str, took: &[u128]) {
    let at = |part: usize| took[(took.len() - 1) * part / 1000];
    println!("{what:<28} p50 {:>6}  p90 {:>6}  p99 {:>6}  max {:>6} us", at(500), at(900), at(990), at(1000));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.expect("a free port");
    let transport = TcpTransport::new(&listener.local_address().to_string()).expect("an address");
    let (there, here) = tokio::join!(
        accept(&mut listener, PeerOptions::serving(Arc::new(Counts))),
        Peer::connect(Arc::new(transport), PeerOptions::default())
    );
    let (_there, here) = (there.expect("a peer"), here.expect("a peer"));
    let want = BindRequest { interface: None, functions: vec![("count".to_owned(), [0; 32])] };
    let bound = here.instance("counts").bind(&want).await.expect("bound");
    // On the threads that move the frames: the one that waits in `main` would be one more than there are cores.
    let small = || tokio::spawn(small_calls(Arc::clone(&bound)));
    small().await.expect("calls come back");
    tell("alone", &small().await.expect("calls come back"));

    let args = Bytes::from(vec![7; LARGE]);
    let moving = {
        let bound = Arc::clone(&bound);
        tokio::spawn(async move {
            loop {
                call(&*bound, args.clone()).await;
            }
        })
    };
    tell("beside 16 MiB of arguments", &small().await.expect("calls come back"));
    moving.abort();
}
