//! Connections that go, come back, or never were what they said.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{
    ECHO, GATED, House, NEVER, Rooms, Switch, everything, receive, send, served, served_with, settle, within,
};
use isorun_core::{Bound, CallFailed, Callee, Failure, Refusal, Reply, Transport};
use isorun_rpc::{Link, Peer, PeerOptions, ServeOptions, accept};
use isorun_transport_local::LocalChannelTransport;
use neorpc::{CallFrame, Companions, FailureFrame, Frame, Hello, PeerLimits, ReplyFrame, RequestId};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

fn later(bound: &Arc<dyn Bound>) -> JoinHandle<Result<Reply, CallFailed>> {
    let bound = Arc::clone(bound);
    tokio::spawn(async move { bound.call(NEVER, &within(60_000), Bytes::new()).await })
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_makes_calls_in_flight_unknown_at_once_and_later_ones_not_sent() {
    let (transport, server) = served(&House::new());
    let link = Link::new(transport, PeerOptions::default());
    let bound = link.instance("house").bind(&everything()).await.unwrap();
    let calls: Vec<_> = (0..10).map(|_| later(&bound)).collect();
    settle().await;
    let started = Instant::now();
    server.abort();
    for call in calls {
        let failed = call.await.unwrap().unwrap_err();
        assert!(matches!(failed.failure, Failure::Unknown { .. }), "{failed}");
    }
    let failed = bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::NotSent { .. }), "{failed}");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_next_call_opens_another_connection_and_binds_anew() {
    let house = House::new();
    let (transport, server) = served(&house);
    let switch = Arc::new(Switch(Mutex::new(transport)));
    let link = Link::new(Arc::clone(&switch) as Arc<dyn Transport>, PeerOptions::default());
    let bound = link.instance("house").bind(&everything()).await.unwrap();
    server.abort();
    link.open_peer().unwrap().closed().await;
    let failed = bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::NotSent { .. }), "{failed}");

    let (transport, server) = served(&house);
    *switch.0.lock() = transport;
    bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
    bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
    assert_eq!(house.binds.load(Ordering::SeqCst), 2);

    // What came back is no longer what was bound.
    server.abort();
    link.open_peer().unwrap().closed().await;
    let changed = House::new();
    changed.changed.store(true, Ordering::SeqCst);
    let (transport, _server) = served(&changed);
    *switch.0.lock() = transport;
    let failed = bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Refused(Refusal::Incompatible { .. })), "{failed}");
    assert_eq!(changed.started.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lazy_binding_reaches_its_peer_at_the_first_call() {
    let house = House::new();
    let (near, _) = LocalChannelTransport::pair();
    let switch = Arc::new(Switch(Mutex::new(Arc::new(near))));
    let link = Link::new(Arc::clone(&switch) as Arc<dyn Transport>, PeerOptions::default());
    let bound = link.instance("house").bind_lazy(everything());
    let failed = bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::NotSent { .. }), "{failed}");
    let (transport, _server) = served(&house);
    *switch.0.lock() = transport;
    bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_first_calls_share_one_connection_and_one_bind() {
    let house = House::new();
    let (transport, _server) = served(&house);
    let bound = Link::new(transport, PeerOptions::default()).instance("house").bind_lazy(everything());
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let bound = Arc::clone(&bound);
            tokio::spawn(async move { bound.call(ECHO, &within(1_000), Bytes::new()).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(house.binds.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_hello_costs_its_callers_one_wait() {
    // It accepts into its backlog and never looks.
    let (near, _far) = LocalChannelTransport::pair();
    let bound = Link::new(Arc::new(near), PeerOptions::default()).instance("house").bind_lazy(everything());
    let started = Instant::now();
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let bound = Arc::clone(&bound);
            tokio::spawn(async move { bound.call(ECHO, &within(30_000), Bytes::new()).await })
        })
        .collect();
    for call in calls {
        let failed = call.await.unwrap().unwrap_err();
        assert!(matches!(failed.failure, Failure::NotSent { .. }), "{failed}");
    }
    assert_eq!(started.elapsed().as_millis(), u128::from(neorpc::HELLO_MS_MAX));
    // A caller in a hurry waits no longer than it can.
    let failed = bound.call(ECHO, &within(100), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Deadline { waited_ms: 100 }), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_closes_the_connection_and_stops_what_it_had_under_way() {
    let (near, mut far) = LocalChannelTransport::pair();
    let house = House::new();
    let directory = Arc::new(Rooms(Arc::clone(&house)));
    let accepted = tokio::spawn(async move { accept(&mut far, PeerOptions::serving(directory)).await });
    let peer = Peer::connect(Arc::new(near), PeerOptions::default()).await.unwrap();
    let accepted = accepted.await.unwrap().unwrap();
    let bound = peer.instance("house").bind(&everything()).await.unwrap();
    let call = later(&bound);
    settle().await;
    call.abort();
    drop((peer, bound));
    accepted.closed().await;
    settle().await;
    assert_eq!(house.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(house.bounds_alive.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_stops_the_calls_it_runs() {
    let house = House::new();
    let (transport, server) = served(&house);
    let peer = Peer::connect(transport, PeerOptions::default()).await.unwrap();
    let bound = peer.instance("house").bind(&everything()).await.unwrap();
    let call = later(&bound);
    settle().await;
    server.abort();
    assert!(matches!(call.await.unwrap().unwrap_err().failure, Failure::Unknown { .. }));
    settle().await;
    assert_eq!(house.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_says_hello_is_dropped() {
    let (transport, _server) = served(&House::new());
    let mut channel = transport.open().await.unwrap();
    let started = Instant::now();
    assert_eq!(receive(&mut *channel).await, None);
    assert_eq!(started.elapsed().as_millis(), u128::from(neorpc::HELLO_MS_MAX));
}

#[tokio::test(start_paused = true)]
async fn garbage_before_a_hello_closes_without_an_answer() {
    for garbage in [&b"GET / HTTP/1.1"[..], &[0xff; 100], &[0x16, 0, 0, 0, 0]] {
        let (transport, _server) = served(&House::new());
        let mut channel = transport.open().await.unwrap();
        send(&mut *channel, Bytes::copy_from_slice(garbage)).await;
        assert_eq!(receive(&mut *channel).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn another_version_is_told_apart_from_garbage() {
    let (near, mut far) = LocalChannelTransport::pair();
    let accepted = tokio::spawn(async move { accept(&mut far, PeerOptions::default()).await.map(drop) });
    let mut channel = near.open().await.unwrap();
    let hello = Hello { version: 99, ..Hello::new(PeerLimits::default()) };
    send(&mut *channel, Frame::Hello(hello).encode().unwrap()).await;
    // Its hello comes back, so that both ends can say what is wrong.
    let answer = Frame::decode(&receive(&mut *channel).await.unwrap()).unwrap();
    assert!(matches!(answer, Frame::Hello(Hello { version: 1, .. })));
    assert_eq!(receive(&mut *channel).await, None);
    let failure = accepted.await.unwrap().unwrap_err().to_string();
    assert_eq!(failure, "not sent: protocol version 99 there, 1 here");
}

/// Says hello to the server by hand, sends frames, and expects a farewell.
async fn farewell_to(frames: Vec<Bytes>) -> String {
    let (transport, _server) = served(&House::new());
    let mut channel = transport.open().await.unwrap();
    send(&mut *channel, Frame::Hello(Hello::new(PeerLimits::default())).encode().unwrap()).await;
    receive(&mut *channel).await.unwrap();
    for frame in frames {
        send(&mut *channel, frame).await;
    }
    loop {
        let frame = receive(&mut *channel).await.expect("a farewell");
        match Frame::decode(&frame).unwrap() {
            Frame::Failure(FailureFrame { id: RequestId::NONE, failed }) => {
                assert_eq!(receive(&mut *channel).await, None);
                return failed.failure.to_string();
            }
            _ => continue,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hostile_frames_close_the_connection_with_the_reason() {
    let reply = ReplyFrame { id: RequestId(1), reply: Reply { results: Bytes::new(), fuel_used: 0 } };
    let farewell = farewell_to(vec![reply.encode().unwrap()]).await;
    assert_eq!(farewell, "refused: reply names request 1, which was never made");

    let hello = Frame::Hello(Hello::new(PeerLimits::default())).encode().unwrap();
    assert_eq!(farewell_to(vec![hello]).await, "refused: hello on an open connection");

    let farewell = farewell_to(vec![Bytes::from_static(b"garbage")]).await;
    assert!(farewell.starts_with("refused: malformed frame: "), "{farewell}");

    let farewell = farewell_to(vec![Bytes::from(vec![0; neorpc::FRAME_BYTES_MAX + 1])]).await;
    assert_eq!(farewell, "refused: frame of 4128769 bytes, limit 4128768");

    let call = |id| {
        let with = Companions::of(&within(1_000), Instant::now().into_std());
        let (binding, function) = (neorpc::BindingId(0), ECHO);
        CallFrame { id: RequestId(id), binding, function, with, args: Bytes::new() }.encode().unwrap()
    };
    assert_eq!(farewell_to(vec![call(2), call(2)]).await, "refused: request 2 after request 2");
}

#[tokio::test(start_paused = true)]
async fn one_connection_more_than_a_server_holds_is_closed_as_it_comes() {
    let options = ServeOptions { connections_max: 2, ..ServeOptions::default() };
    let (transport, _server) = served_with(&House::new(), options);
    let one = Peer::connect(Arc::clone(&transport), PeerOptions::default()).await.unwrap();
    let _two = Peer::connect(Arc::clone(&transport), PeerOptions::default()).await.unwrap();
    let started = Instant::now();
    let third = Peer::connect(Arc::clone(&transport), PeerOptions::default()).await.unwrap_err();
    assert!(matches!(third, Failure::NotSent { .. }), "{third}");
    assert_eq!(started.elapsed(), Duration::ZERO);
    drop(one);
    settle().await;
    Peer::connect(transport, PeerOptions::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_the_peer_announced_is_kept_here() {
    let mut options = ServeOptions::default();
    options.peer.limits =
        PeerLimits { calls_max: 3, frame_bytes_max: 10_000, bindings_max: 1, ..PeerLimits::default() };
    let house = House::new();
    let (transport, _server) = served_with(&house, options);
    let peer = Peer::connect(transport, PeerOptions::default()).await.unwrap();
    let bound = peer.instance("house").bind(&everything()).await.unwrap();
    let second = peer.instance("house").bind(&everything()).await.err().unwrap();
    assert!(matches!(second, Failure::Refused(Refusal::Overloaded { limit: 1, .. })), "{second}");
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let bound = Arc::clone(&bound);
            tokio::spawn(async move { bound.call(GATED, &within(5_000), Bytes::new()).await.map(drop) })
        })
        .collect();
    settle().await;
    let fourth = bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(fourth.failure, Failure::Refused(Refusal::Overloaded { limit: 3, .. })), "{fourth}");
    house.gate.add_permits(3);
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    bound.call(ECHO, &within(1_000), Bytes::from(vec![0; 9_900])).await.unwrap();
    // What no frame of the peer holds travels in chunks that its frames do.
    let large = Bytes::from(vec![7; 1_000_000]);
    assert!(bound.call(ECHO, &within(1_000), large.clone()).await.unwrap().results == large);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_stops_leaves_nobody_waiting() {
    let (transport, _server) = served(&House::new());
    let (peer, bound) = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = LocalChannelTransport::pair();
            let accepted = tokio::spawn(async move {
                let peer = accept(&mut far, PeerOptions::serving(Arc::new(Rooms(House::new())))).await.unwrap();
                peer.closed().await;
            });
            drop(transport);
            let peer = Peer::connect(Arc::new(near), PeerOptions::default()).await.unwrap();
            let bound = peer.instance("house").bind(&everything()).await.unwrap();
            let call = later(&bound);
            settle().await;
            drop((call, accepted));
            (peer, bound)
        })
    })
    .join()
    .unwrap();
    peer.closed().await;
    let failed = bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::NotSent { .. }), "{failed}");
}
