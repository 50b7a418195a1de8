//! Servers that end without losing a call, and peers that give no sign of life.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{ECHO, GATED, House, NEVER, Rooms, Switch, everything, receive, send, served, settle, within};
use isorun_core::{Bound, CallFailed, Callee, Failure, FunctionIndex, Reply, Transport};
use isorun_rpc::{CallTarget, Link, Peer, PeerOptions, ServeOptions, accept, call_once, serve_until};
use isorun_transport_local::LocalChannelTransport;
use isorun_transport_tcp::{TcpTransport, TcpTransportListener};
use neorpc::{Frame, Hello, PING_IDLE_MS, PONG_MS, PeerLimits, RequestId};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

type Answer = JoinHandle<Result<Reply, CallFailed>>;

/// A house that is served until the sender says so.
fn stoppable(house: &Arc<House>, drain_ms: u64) -> (Arc<dyn Transport>, oneshot::Sender<()>, JoinHandle<usize>) {
    let (near, far) = LocalChannelTransport::pair();
    let (stop, stopped) = oneshot::channel();
    let options = ServeOptions { drain_ms, ..ServeOptions::default() };
    let shutdown = async { drop(stopped.await) };
    let directory = Arc::new(Rooms(Arc::clone(house)));
    (Arc::new(near), stop, tokio::spawn(serve_until(Box::new(far), directory, options, shutdown)))
}

fn calling(bound: &Arc<dyn Bound>, function: FunctionIndex) -> Answer {
    let bound = Arc::clone(bound);
    tokio::spawn(async move { bound.call(function, &within(600_000), Bytes::from_static(b"args")).await })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_finishes_what_runs_and_takes_nothing_new() {
    let house = House::new();
    let (transport, stop, server) = stoppable(&house, 10_000);
    let link = Link::new(Arc::clone(&transport), PeerOptions::default());
    let idle = Peer::connect(Arc::clone(&transport), PeerOptions::default()).await.unwrap();
    let bound = link.instance("house").bind(&everything()).await.unwrap();
    let running = calling(&bound, GATED);
    settle().await;
    let peer = link.open_peer().unwrap();
    stop.send(()).unwrap();
    settle().await;
    // The one without calls is gone, the other waits.
    assert!(idle.is_closed() && !peer.is_closed() && peer.is_leaving());
    assert!(link.open_peer().is_none());
    let started = house.started.load(Ordering::SeqCst);
    for _ in 0..3 {
        let failed = bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap_err();
        assert!(matches!(failed.failure, Failure::NotSent { .. }), "{failed}");
    }
    assert_eq!(house.started.load(Ordering::SeqCst), started);
    let failure = Peer::connect(transport, PeerOptions::default()).await.unwrap_err();
    assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");
    assert!(!server.is_finished());

    let before = Instant::now();
    house.gate.add_permits(1);
    assert_eq!(running.await.unwrap().unwrap().results, &b"args"[..]);
    assert_eq!(server.await.unwrap(), 0);
    peer.closed().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(house.dropped.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_runs_longer_than_the_limit_is_cut_and_counted() {
    let house = House::new();
    let (transport, stop, server) = stoppable(&house, 3_000);
    let bound = Link::new(transport, PeerOptions::default()).instance("house").bind(&everything()).await.unwrap();
    let running = calling(&bound, NEVER);
    settle().await;
    let started = Instant::now();
    stop.send(()).unwrap();
    assert_eq!(server.await.unwrap(), 1);
    assert_eq!(started.elapsed().as_millis(), 3_000);
    let failed = running.await.unwrap().unwrap_err();
    assert!(matches!(failed.failure, Failure::Unknown { .. }), "{failed}");
    settle().await;
    assert_eq!(house.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_turn_to_the_next_server_while_the_first_one_drains() {
    let (old, new) = (House::new(), House::new());
    let (transport, stop, server) = stoppable(&old, 10_000);
    let switch = Arc::new(Switch(Mutex::new(transport)));
    let link = Link::new(Arc::clone(&switch) as Arc<dyn Transport>, PeerOptions::default());
    let bound = link.instance("house").bind(&everything()).await.unwrap();
    let running = calling(&bound, GATED);
    settle().await;
    let (transport, _server) = served(&new);
    *switch.0.lock() = transport;
    stop.send(()).unwrap();
    // Some of these cross the going-away, and are made again where they were not taken.
    let calls: Vec<_> = (0..20).map(|_| calling(&bound, ECHO)).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
    let (there, here) = (new.started.load(Ordering::SeqCst), old.started.load(Ordering::SeqCst));
    assert_eq!(there + here, 22);
    assert!(there > 0);
    old.gate.add_permits(1);
    running.await.unwrap().unwrap();
    assert_eq!(server.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_has_not_said_hello_does_not_hold_a_server_up() {
    let (transport, stop, server) = stoppable(&House::new(), 10_000);
    let mut silent = transport.open().await.unwrap();
    settle().await;
    let started = Instant::now();
    stop.send(()).unwrap();
    assert_eq!(receive(&mut *silent).await, None);
    drop(silent);
    assert_eq!(server.await.unwrap(), 0);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_connection_is_finished_too() {
    let house = House::new();
    let (transport, stop, server) = stoppable(&house, 10_000);
    let interface = Some("demo:house/rooms@0.1.0".to_owned());
    let target = CallTarget { instance: "house".into(), interface, function: "gated".into(), hash: [1; 32] };
    let call = tokio::spawn(async move { call_once(&*transport, target, &within(60_000), Bytes::new()).await });
    settle().await;
    stop.send(()).unwrap();
    settle().await;
    house.gate.add_permits(1);
    call.await.unwrap().unwrap();
    assert_eq!(server.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_on_and_never_closes_holds_a_server_up_for_a_second() {
    let (transport, stop, server) = stoppable(&House::new(), 10_000);
    let mut channel = transport.open().await.unwrap();
    send(&mut *channel, Frame::Hello(Hello::new(PeerLimits::default())).encode().unwrap()).await;
    receive(&mut *channel).await.unwrap();
    let started = Instant::now();
    stop.send(()).unwrap();
    let away = receive(&mut *channel).await.unwrap();
    assert_eq!(Frame::decode(&away), Ok(Frame::GoingAway(RequestId::NONE)));
    assert_eq!(receive(&mut *channel).await, None);
    send(&mut *channel, Frame::Ping(1).encode().unwrap()).await;
    assert_eq!(server.await.unwrap(), 0);
    assert_eq!(started.elapsed().as_millis(), u128::from(isorun_rpc::CLOSE_MS_MAX));
}

#[tokio::test]
async fn over_tcp_every_call_taken_is_answered_and_every_other_is_not_sent() {
    let house = House::new();
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = TcpTransport::new(&listener.local_address().to_string()).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let directory = Arc::new(Rooms(Arc::clone(&house)));
    let server = tokio::spawn(serve_until(Box::new(listener), directory, ServeOptions::default(), shutdown));
    let link = Link::new(Arc::new(transport), PeerOptions::default());
    let bound = link.instance("house").bind(&everything()).await.unwrap();
    let calls: Vec<_> = (0..500).map(|_| calling(&bound, ECHO)).collect();
    settle().await;
    stop.send(()).unwrap();
    let mut answered = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => answered += 1,
            Err(failed) => assert!(matches!(failed.failure, Failure::NotSent { .. }), "{failed}"),
        }
    }
    assert_eq!(server.await.unwrap(), 0);
    assert_eq!(house.started.load(Ordering::SeqCst), answered);
    let failure = link.peer().await.unwrap_err();
    assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_lives_on_and_its_ends_look_after_each_other() {
    let (near, mut far) = LocalChannelTransport::pair();
    let accepted = tokio::spawn(async move { accept(&mut far, PeerOptions::default()).await });
    let here = Peer::connect(Arc::new(near), PeerOptions::default()).await.unwrap();
    let there = accepted.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(20 * PING_IDLE_MS)).await;
    assert!(!here.is_closed() && !there.is_closed());

    // By hand, to see the ping.
    let (transport, _server) = served(&House::new());
    let mut channel = transport.open().await.unwrap();
    send(&mut *channel, Frame::Hello(Hello::new(PeerLimits::default())).encode().unwrap()).await;
    receive(&mut *channel).await.unwrap();
    for round in 1..4 {
        let started = Instant::now();
        assert_eq!(Frame::decode(&receive(&mut *channel).await.unwrap()), Ok(Frame::Ping(round)));
        assert_eq!(started.elapsed().as_millis(), u128::from(PING_IDLE_MS));
        send(&mut *channel, Frame::Pong(round).encode().unwrap()).await;
        settle().await;
    }
    let started = Instant::now();
    assert!(receive(&mut *channel).await.is_some());
    assert_eq!(receive(&mut *channel).await, None);
    assert_eq!(started.elapsed().as_millis(), u128::from(PING_IDLE_MS + PONG_MS));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_died_without_a_word_is_noticed_while_a_call_waits() {
    let (near, mut far) = LocalChannelTransport::pair();
    let opening = tokio::spawn(async move {
        let mut channel = std::future::poll_fn(|cx| isorun_core::Listener::poll_accept(&mut far, cx)).await.unwrap();
        receive(&mut *channel).await.unwrap();
        send(&mut *channel, Frame::Hello(Hello::new(PeerLimits::default())).encode().unwrap()).await;
        (channel, far)
    });
    let peer = Peer::connect(Arc::new(near), PeerOptions::default()).await.unwrap();
    // Kept open, and never looked at again.
    let _dead = opening.await.unwrap();
    let started = Instant::now();
    let instance = peer.instance("house");
    let described = tokio::spawn(async move { instance.describe().await });
    peer.closed().await;
    assert!(matches!(described.await.unwrap(), Err(Failure::NotSent { .. } | Failure::Deadline { .. })));
    assert_eq!(started.elapsed().as_millis(), u128::from(PING_IDLE_MS + PONG_MS));
}
