//! Large payloads over real sockets, and the small calls beside them.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{ECHO, GATED, House, MEBIBYTE, Rooms, everything, within};
use isorun_core::{Bound, CallFailed, Callee, Directory, Failure};
use isorun_rpc::{Peer, PeerOptions, accept};
use isorun_transport_tcp::{TcpTransport, TcpTransportListener};
use tokio::task::JoinSet;

const MIB: usize = 1 << 20;

/// A connection over loopback; what its first end calls, and what serves it.
async fn ends() -> (Peer, Peer, Arc<House>, Arc<dyn Bound>) {
    let mut listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = TcpTransport::new(&listener.local_address().to_string()).unwrap();
    let house = House::new();
    let directory: Arc<dyn Directory> = Arc::new(Rooms(Arc::clone(&house)));
    let serving = PeerOptions::serving(directory);
    let (there, here) =
        tokio::join!(accept(&mut listener, serving), Peer::connect(Arc::new(transport), PeerOptions::default()));
    let (here, there) = (here.unwrap(), there.unwrap());
    let bound = here.instance("house").bind(&everything()).await.unwrap();
    (here, there, house, bound)
}

fn large(size: usize, seed: usize) -> Bytes {
    (0..size).map(|at| ((at >> 9) * 7 + at + seed) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_mebibytes_go_there_and_back() {
    let (_here, _there, _house, bound) = ends().await;
    let args = large(16 * MIB, 1);
    let reply = bound.call(ECHO, &within(60_000), args.clone()).await.unwrap();
    assert!(reply.results == args);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_call_waits_for_no_large_one() {
    let (here, _there, _house, bound) = ends().await;
    let args = large(16 * MIB, 2);
    let big = {
        let (bound, args) = (Arc::clone(&bound), args.clone());
        tokio::spawn(async move { bound.call(ECHO, &within(60_000), args).await })
    };
    while here.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    // The large one is announced by now, and waits for credit of which it gets half a mebibyte at a time.
    let mut passed = 0;
    while !big.is_finished() && passed < 20 {
        let mark = Bytes::copy_from_slice(&[passed]);
        assert_eq!(bound.call(ECHO, &within(60_000), mark.clone()).await.unwrap().results, mark);
        passed += u8::from(!big.is_finished());
    }
    assert!(passed > 1, "small calls came back while the large one was under way: {passed}");
    assert!(big.await.unwrap().unwrap().results == args);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_small_payloads_both_ways_all_come_back() {
    let (here, there, _house, bound) = ends().await;
    let mut calls = JoinSet::new();
    for i in 0..120_usize {
        let bound = Arc::clone(&bound);
        let size = if i % 12 == 0 { 2 * MIB } else { i * 100 };
        let args = large(size, i);
        calls.spawn(async move {
            match bound.call(ECHO, &within(60_000), args.clone()).await {
                Ok(reply) => reply.results == args,
                // Only what one connection may hold of arguments is taken.
                Err(CallFailed { failure: Failure::Refused(_), .. }) => size == 2 * MIB,
                Err(failed) => panic!("{failed}"),
            }
        });
    }
    while let Some(same) = calls.join_next().await {
        assert!(same.unwrap());
    }
    assert_eq!((here.in_flight(), there.in_service()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_call_that_is_given_up_leaves_the_connection_sound() {
    let (here, there, house, bound) = ends().await;
    for round in 0..20 {
        let cx = within(60_000);
        let mut call = bound.call(GATED, &cx, large(4 * MIB, round));
        // Anywhere between the announcement and the wait at the gate.
        for _ in 0..round * 20 {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
            tokio::task::yield_now().await;
        }
        drop(call);
    }
    while there.in_service() > 0 || here.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    house.gate.add_permits(1);
    let args = large(4 * MIB, 99);
    assert!(bound.call(GATED, &within(60_000), args.clone()).await.unwrap().results == args);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_many_callers_wait_for_each_other_and_none_is_lost() {
    let (_here, _there, _house, bound) = ends().await;
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let bound = Arc::clone(&bound);
        calls.spawn(async move {
            match bound.call(MEBIBYTE, &within(60_000), Bytes::new()).await {
                Ok(reply) => usize::from(reply.results.len() == MIB),
                // It did not run: too many answers waited by then.
                Err(CallFailed { failure: Failure::Refused(_), .. }) => 0,
                Err(failed) => panic!("{failed}"),
            }
        });
    }
    let mut came = 0;
    while let Some(call) = calls.join_next().await {
        came += call.unwrap();
    }
    assert!(came >= neorpc::ANSWER_BYTES_SOFT / MIB, "{came}");
}
