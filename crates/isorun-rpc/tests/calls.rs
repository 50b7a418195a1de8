//! Calls over a connection: their answers, their ends, and what is refused.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use common::{ECHO, GATED, House, LARGE, NEVER, PANIC, Rooms, TRAP, everything, served, settle, want, within};
use isorun_core::{
    Bound, CallFailed, Callee, Directory, Failure, Fault, FunctionIndex, InstanceUid, PeerIdentity, Refusal, Trace,
};
use isorun_rpc::{CallTarget, Link, Peer, PeerOptions, PeerPool, accept, call_once, handle_incoming_rpc};
use isorun_transport_local::LocalChannelTransport;
use tokio::task::JoinSet;
use tokio::time::Instant;

async fn bound(house: &Arc<House>) -> (Peer, Arc<dyn Bound>) {
    let (transport, _server) = served(house);
    let peer = Peer::connect(transport, PeerOptions::default()).await.unwrap();
    let bound = peer.instance("house").bind(&everything()).await.unwrap();
    (peer, bound)
}

#[tokio::test(start_paused = true)]
async fn a_call_comes_back_with_its_results_and_its_fuel() {
    let (_peer, bound) = bound(&House::new()).await;
    let reply = bound.call(ECHO, &within(1_000), Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!((&reply.results[..], reply.fuel_used), (&b"hello"[..], 7));
}

#[tokio::test(start_paused = true)]
async fn the_context_travels_and_the_callee_never_gets_more_time() {
    let house = House::new();
    let (_peer, bound) = bound(&house).await;
    let mut cx = within(1_000);
    cx.fuel = Some(99);
    cx.chain = Arc::from([InstanceUid([1; 16]), InstanceUid([2; 16])]);
    cx.trace = Trace { id: [3; 16], span: [4; 8] };
    bound.call(ECHO, &cx, Bytes::new()).await.unwrap();
    let there = house.last.lock().clone().unwrap();
    assert!(there.deadline <= cx.deadline);
    cx.deadline = there.deadline;
    assert_eq!(there, cx);
}

#[tokio::test(start_paused = true)]
async fn replies_come_in_any_order() {
    let house = House::new();
    let (peer, bound) = bound(&house).await;
    let mut gated = JoinSet::new();
    for i in 0..500_u32 {
        let bound = Arc::clone(&bound);
        let args = Bytes::copy_from_slice(&i.to_le_bytes());
        gated.spawn(async move { bound.call(GATED, &within(10_000), args.clone()).await.unwrap().results == args });
    }
    settle().await;
    assert_eq!(peer.in_flight(), 500);
    // Later calls overtake those that wait.
    for _ in 0..10 {
        bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
    }
    house.gate.add_permits(500);
    while let Some(same) = gated.join_next().await {
        assert!(same.unwrap());
    }
    assert_eq!(peer.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_the_caller_with_its_cause_and_its_fuel() {
    let (_peer, bound) = bound(&House::new()).await;
    let failed = bound.call(TRAP, &within(1_000), Bytes::new()).await.unwrap_err();
    let failure = Fault::Trapped { message: "unreachable".to_owned() }.into();
    assert_eq!(failed, CallFailed { failure, fuel_used: 3 });
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_panics_is_a_bug_there_and_the_connection_lives() {
    let (_peer, bound) = bound(&House::new()).await;
    let failed = bound.call(PANIC, &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Failed(Fault::Bug { .. })), "{failed}");
    bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_call_here_and_there() {
    let house = House::new();
    let (peer, bound) = bound(&house).await;
    let started = Instant::now();
    let failed = bound.call(NEVER, &within(250), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Deadline { waited_ms: 250 }), "{failed}");
    assert_eq!(started.elapsed().as_millis(), 250);
    settle().await;
    assert_eq!(house.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(peer.in_flight(), 0);
    // Nothing is sent for a call that has no time left.
    let failed = bound.call(ECHO, &within(0), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Deadline { .. }));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_call_cancels_it_there() {
    let house = House::new();
    let (peer, bound) = bound(&house).await;
    let call = {
        let bound = Arc::clone(&bound);
        tokio::spawn(async move { bound.call(NEVER, &within(60_000), Bytes::new()).await })
    };
    settle().await;
    assert_eq!((house.started.load(Ordering::SeqCst), house.dropped.load(Ordering::SeqCst)), (1, 0));
    call.abort();
    settle().await;
    assert_eq!(house.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(peer.in_flight(), 0);
    bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn results_no_value_holds_are_bad_results_that_name_limit_and_size() {
    let (_peer, bound) = bound(&House::new()).await;
    let failed = bound.call(LARGE, &within(1_000), Bytes::new()).await.unwrap_err();
    let text = failed.to_string();
    assert!(matches!(failed.failure, Failure::Failed(Fault::BadResults { .. })), "{text}");
    assert!(text.contains("22020096") && text.contains("20971520"), "{text}");
    assert_eq!(failed.fuel_used, 9);
}

#[tokio::test(start_paused = true)]
async fn arguments_no_value_holds_are_not_sent_and_name_limit_and_size() {
    let (_peer, bound) = bound(&House::new()).await;
    let failed = bound.call(ECHO, &within(1_000), Bytes::from(vec![0; 21 << 20])).await.unwrap_err();
    let text = failed.to_string();
    assert!(matches!(failed.failure, Failure::NotSent { .. }), "{text}");
    assert!(text.contains("22020096") && text.contains("20971520"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn one_call_more_than_may_be_in_flight_is_refused() {
    let house = House::new();
    let (peer, bound) = bound(&house).await;
    let mut calls = JoinSet::new();
    for _ in 0..neorpc::CALLS_MAX {
        let bound = Arc::clone(&bound);
        calls.spawn(async move { bound.call(GATED, &within(10_000), Bytes::new()).await.map(drop) });
    }
    settle().await;
    assert_eq!(peer.in_flight(), 1024);
    let failed = bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Refused(Refusal::Overloaded { limit: 1024, .. })), "{failed}");
    house.gate.add_permits(1024);
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_refused_by_name() {
    let (transport, _server) = served(&House::new());
    let peer = Peer::connect(transport, PeerOptions::default()).await.unwrap();
    let missing = peer.instance("shed").bind(&everything()).await.err().unwrap();
    assert_eq!(missing, Refusal::NoSuchInstance { instance: "shed".to_owned() }.into());
    let secret = peer.instance("secret").bind(&everything()).await.err().unwrap();
    assert_eq!(secret, Refusal::Unauthorised { reason: "not for you".to_owned() }.into());
    let function = peer.instance("house").bind(&want(&["fly"])).await.err().unwrap();
    let expected = Refusal::NoSuchFunction { instance: "house".to_owned(), function: "fly".to_owned() };
    assert_eq!(function, expected.into());
    // A function outside the table that was bound.
    let bound = peer.instance("house").bind(&want(&["echo"])).await.unwrap();
    let failed = bound.call(FunctionIndex(1), &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Refused(Refusal::BadArguments { .. })), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_mismatch_carries_the_ledger_and_describe_returns_it() {
    let house = House::new();
    house.changed.store(true, Ordering::SeqCst);
    let (transport, _server) = served(&house);
    let instance = Link::new(transport, PeerOptions::default()).instance("house");
    match instance.bind(&everything()).await.err().unwrap() {
        Failure::Refused(Refusal::Incompatible { detail, ledger }) => {
            assert_eq!((&detail[..], &ledger[..]), ("house.echo: u64 here, u32 there", &b"ledger"[..]));
        }
        other => panic!("{other}"),
    }
    assert_eq!(instance.describe().await.unwrap(), Bytes::from_static(b"ledger"));
}

#[tokio::test(start_paused = true)]
async fn a_binding_is_given_back_when_it_is_dropped() {
    let house = House::new();
    let (_peer, bound) = bound(&house).await;
    assert_eq!(house.bounds_alive.load(Ordering::SeqCst), 1);
    drop(bound);
    settle().await;
    assert_eq!(house.bounds_alive.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn both_ends_serve_and_call_on_one_connection() {
    let (near, mut far) = LocalChannelTransport::pair();
    let (here, there) = (House::new(), House::new());
    let directory: Arc<dyn Directory> = Arc::new(Rooms(Arc::clone(&there)));
    let accepted =
        tokio::spawn(async move { accept(&mut far, PeerOptions::serving(directory)).await.map(|peer| (peer, far)) });
    let directory: Arc<dyn Directory> = Arc::new(Rooms(Arc::clone(&here)));
    let connected = Peer::connect(Arc::new(near), PeerOptions::serving(directory)).await.unwrap();
    let (accepted, _far) = accepted.await.unwrap().unwrap();
    let to_there = connected.instance("house").bind(&everything()).await.unwrap();
    let to_here = accepted.instance("house").bind(&everything()).await.unwrap();
    let cx = within(1_000);
    let (a, b) = tokio::join!(
        to_there.call(ECHO, &cx, Bytes::from_static(b"there")),
        to_here.call(ECHO, &cx, Bytes::from_static(b"here")),
    );
    assert_eq!((&a.unwrap().results[..], &b.unwrap().results[..]), (&b"there"[..], &b"here"[..]));
    assert_eq!((here.started.load(Ordering::SeqCst), there.started.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_directory_serves_nothing() {
    let (near, mut far) = LocalChannelTransport::pair();
    let accepted = tokio::spawn(async move { accept(&mut far, PeerOptions::default()).await });
    let peer = Peer::connect(Arc::new(near), PeerOptions::default()).await.unwrap();
    let refused = peer.instance("house").bind(&everything()).await.err().unwrap();
    assert_eq!(refused, Refusal::NoSuchInstance { instance: "house".to_owned() }.into());
    drop(accepted);
}

#[tokio::test(start_paused = true)]
async fn a_pool_has_one_connection_for_each_transport() {
    let house = House::new();
    let (transport, _server) = served(&house);
    let pool = PeerPool::new(PeerOptions::default());
    let (one, two) = (pool.link(&transport).instance("house"), pool.link(&transport).instance("house"));
    let _one = one.bind(&everything()).await.unwrap();
    let _two = two.bind(&everything()).await.unwrap();
    let (one, two) = (one.link().open_peer().unwrap(), two.link().open_peer().unwrap());
    assert_eq!(one.in_flight(), 0);
    drop(one);
    assert!(!two.is_closed());
    assert_eq!(house.binds.load(Ordering::SeqCst), 2);
}

fn echo_target() -> CallTarget {
    CallTarget {
        instance: "house".to_owned(),
        interface: Some("demo:house/rooms@0.1.0".to_owned()),
        function: "echo".to_owned(),
        hash: [1; 32],
    }
}

#[tokio::test(start_paused = true)]
async fn a_self_contained_call_needs_no_hello() {
    let (transport, _server) = served(&House::new());
    let reply = call_once(&*transport, echo_target(), &within(1_000), Bytes::from_static(b"once")).await.unwrap();
    assert_eq!(&reply.results[..], b"once");
    let target = CallTarget { function: "trap".to_owned(), ..echo_target() };
    let failed = call_once(&*transport, target, &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Failed(Fault::Trapped { .. })), "{failed}");
    let target = CallTarget { function: "never".to_owned(), ..echo_target() };
    let failed = call_once(&*transport, target, &within(100), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Deadline { .. }), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn incoming_rpc_is_answered_with_a_frame_whatever_it_is() {
    let rooms = Rooms(House::new());
    let frames = [
        Bytes::new(),
        Bytes::from_static(b"GET / HTTP/1.1"),
        neorpc::Frame::Cancel(neorpc::RequestId(1)).encode().unwrap(),
    ];
    for frame in frames {
        let answer = handle_incoming_rpc(&rooms, frame, &PeerIdentity::SameProcess).await;
        match neorpc::Frame::decode(&answer).unwrap() {
            neorpc::Frame::Failure(failure) => {
                assert_eq!(failure.id, neorpc::RequestId::NONE);
                let failure = failure.failed.failure;
                assert!(matches!(failure, Failure::Refused(Refusal::BadArguments { .. })), "{failure}");
            }
            other => panic!("{other:?}"),
        }
    }
}
