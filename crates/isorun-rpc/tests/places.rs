//! One instance at several places: where calls go, where they go next, and what is said in the end. The clock is stopped.

mod common;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use common::{ECHO, GATED, House, Switch, everything, served, served_with, settle, within};
use isorun_core::{
    Bound, BoxFuture, CallFailed, Callee, Channel, Failure, FunctionIndex, PeerIdentity, Refusal, Reply, Transport,
    TransportError,
};
use isorun_rpc::{Balance, CONNECT_MS_MAX, Link, OTHERS_MS, PeerOptions, RemoteGroup, ServeOptions};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Two houses, each served at a place of its own.
struct Town {
    houses: [Arc<House>; 2],
    switches: [Arc<Switch>; 2],
    servers: [JoinHandle<()>; 2],
    links: [Link; 2],
}

impl Town {
    fn new(keeps_state: Option<bool>, options: &ServeOptions) -> Self {
        let houses = [House::new(), House::new()];
        let served = houses.each_ref().map(|house| {
            *house.keeps_state.lock() = keeps_state;
            let (transport, server) = served_with(house, options.clone());
            (Arc::new(Switch(Mutex::new(transport))), server)
        });
        let [(first, one), (second, two)] = served;
        let switches = [first, second];
        let link = |switch: &Arc<Switch>| Link::new(Arc::clone(switch) as Arc<dyn Transport>, PeerOptions::default());
        let links = switches.each_ref().map(link);
        Self { houses, switches, servers: [one, two], links }
    }

    fn group(&self, balance: Balance) -> RemoteGroup {
        RemoteGroup::new(self.links.iter().map(|link| link.instance("house")), balance)
    }

    fn started(&self) -> [usize; 2] {
        self.houses.each_ref().map(|house| house.started.load(Ordering::SeqCst))
    }

    fn go_on(&self, calls: usize) {
        self.houses.iter().for_each(|house| house.gate.add_permits(calls));
    }

    /// Ends a server, and the connection to it.
    async fn stop(&self, at: usize) {
        self.servers[at].abort();
        if let Some(peer) = self.links[at].open_peer() {
            peer.closed().await;
        }
    }
}

fn spawn(bound: &Arc<dyn Bound>, function: FunctionIndex) -> JoinHandle<Result<Reply, CallFailed>> {
    let bound = Arc::clone(bound);
    tokio::spawn(async move { bound.call(function, &within(60_000), Bytes::from_static(b"x")).await })
}

fn in_flight(group: &RemoteGroup) -> u32 {
    group.places().iter().map(|place| place.in_flight).sum()
}

#[tokio::test(start_paused = true)]
async fn calls_to_what_keeps_no_state_are_shared_and_calls_to_what_keeps_some_are_not() {
    for keeps_state in [Some(false), Some(true), None] {
        let town = Town::new(keeps_state, &ServeOptions::default());
        let group = town.group(Balance::AsServed);
        let bound = group.bind(&everything()).await.unwrap();
        let calls: Vec<_> = (0..20).map(|_| spawn(&bound, GATED)).collect();
        settle().await;
        let mut started = town.started();
        started.sort_unstable();
        assert_eq!(started, if keeps_state == Some(false) { [10, 10] } else { [0, 20] }, "{keeps_state:?}");
        assert_eq!(in_flight(&group), 20);
        town.go_on(20);
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert_eq!(in_flight(&group), 0);
        let homes = group.places().iter().filter(|place| place.is_home).count();
        assert_eq!((homes, group.moves()), (usize::from(keeps_state != Some(false)), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_operator_goes_before_what_the_instance_says() {
    for (balance, keeps_state, shared) in [(Balance::Spread, true, true), (Balance::Sticky, false, false)] {
        let town = Town::new(Some(keeps_state), &ServeOptions::default());
        let bound = town.group(balance).bind(&everything()).await.unwrap();
        let _calls: Vec<_> = (0..20).map(|_| spawn(&bound, GATED)).collect();
        settle().await;
        assert_eq!(town.started().contains(&0), !shared, "{balance:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_calls_of_a_lazy_link_all_go_to_one_place_where_that_keeps_state() {
    let town = Town::new(Some(true), &ServeOptions::default());
    let group = town.group(Balance::AsServed);
    let bound = group.bind_lazy(everything());
    let calls: Vec<_> = (0..20).map(|_| spawn(&bound, GATED)).collect();
    settle().await;
    town.go_on(20);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let mut started = town.started();
    started.sort_unstable();
    assert_eq!((started, group.moves()), ([0, 20], 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_counts_no_more() {
    let town = Town::new(Some(false), &ServeOptions::default());
    let group = town.group(Balance::AsServed);
    let bound = group.bind(&everything()).await.unwrap();
    let calls: Vec<_> = (0..4).map(|_| spawn(&bound, GATED)).collect();
    settle().await;
    assert_eq!(in_flight(&group), 4);
    calls.iter().for_each(JoinHandle::abort);
    settle().await;
    assert_eq!(in_flight(&group), 0);
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_place_is_followed_by_the_other_but_for_what_keeps_state() {
    let mut options = ServeOptions::default();
    options.peer.limits.calls_max = 1;
    for keeps_state in [false, true] {
        let town = Town::new(Some(keeps_state), &options);
        let group = town.group(Balance::AsServed);
        let bound = group.bind(&everything()).await.unwrap();
        let calls: Vec<_> = (0..3).map(|_| spawn(&bound, GATED)).collect();
        settle().await;
        town.go_on(3);
        let (mut returned, mut refused) = (0, 0);
        for call in calls {
            match call.await.unwrap() {
                Ok(_) => returned += 1,
                Err(CallFailed { failure: Failure::Refused(Refusal::Overloaded { what, .. }), .. }) => {
                    refused += 1;
                    assert_eq!(what.contains("tried 2 times"), !keeps_state, "{what}");
                }
                Err(failed) => panic!("{failed}"),
            }
        }
        assert_eq!((returned, refused), if keeps_state { (1, 2) } else { (2, 1) });
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_run_runs_again_at_the_other_place_only_where_it_may() {
    for idempotent in [false, true] {
        let town = Town::new(Some(false), &ServeOptions::default());
        let group = town.group(Balance::AsServed);
        let group = if idempotent { group.idempotent() } else { group };
        let bound = group.bind(&everything()).await.unwrap();
        let calls: Vec<_> = (0..10).map(|_| spawn(&bound, GATED)).collect();
        settle().await;
        assert_eq!(town.started(), [5, 5]);
        town.stop(0).await;
        town.houses[1].gate.add_permits(10);
        let mut unknown = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(_) => {}
                Err(CallFailed { failure: Failure::Unknown { .. }, .. }) => unknown += 1,
                Err(failed) => panic!("{failed}"),
            }
        }
        assert_eq!((unknown, town.started()), if idempotent { (0, [5, 10]) } else { (5, [5, 5]) });
        assert!(!group.places()[0].is_up && group.places()[1].is_up, "{group:?}");
        // Nothing more is lost with the one that is gone.
        for _ in 0..20 {
            bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_back_gets_calls_again() {
    let town = Town::new(Some(false), &ServeOptions::default());
    let group = town.group(Balance::AsServed);
    let bound = group.bind(&everything()).await.unwrap();
    town.stop(0).await;
    for _ in 0..50 {
        bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let place = &group.places()[0];
    assert!(!place.is_up && matches!(place.failure, Some(Failure::NotSent { .. })), "{place:?}");
    let (transport, _server) = served(&town.houses[0]);
    *town.switches[0].0.lock() = transport;
    let before = town.started()[0];
    let started = Instant::now();
    while town.started()[0] == before {
        assert!(started.elapsed() < Duration::from_secs(16), "{group:?}");
        bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(group.places()[0].is_up);
}

#[tokio::test(start_paused = true)]
async fn a_link_to_what_keeps_state_looks_for_its_place_before_it_moves() {
    let town = Town::new(Some(true), &ServeOptions::default());
    let group = town.group(Balance::AsServed);
    let bound = group.bind(&everything()).await.unwrap();
    bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
    let home = group.places().iter().position(|place| place.is_home).unwrap();
    // The connection went, and the house is there.
    let (transport, server) = served(&town.houses[home]);
    town.stop(home).await;
    *town.switches[home].0.lock() = transport;
    for _ in 0..5 {
        bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
    }
    assert_eq!((town.started()[home], group.moves()), (6, 0));
    // Now the house is gone too.
    server.abort();
    town.links[home].open_peer().unwrap().closed().await;
    for _ in 0..5 {
        bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
    }
    assert_eq!((town.started()[1 - home], group.moves()), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn what_fails_here_is_not_made_again() {
    let town = Town::new(Some(false), &ServeOptions::default());
    let bound = town.group(Balance::AsServed).attempts(9).bind(&everything()).await.unwrap();
    let failed = bound.call(ECHO, &within(1_000), Bytes::from(vec![0; 21 << 20])).await.unwrap_err();
    assert!(matches!(&failed.failure, Failure::NotSent { cause } if !cause.contains("tried")), "{failed}");
    assert_eq!(town.started(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn attempts_end_before_the_deadline_and_the_failure_says_how_many_there_were() {
    let town = Town::new(Some(false), &ServeOptions::default());
    let group = town.group(Balance::AsServed).attempts(100);
    let bound = group.bind(&everything()).await.unwrap();
    town.stop(0).await;
    town.stop(1).await;
    let started = Instant::now();
    let failed = bound.call(ECHO, &within(10_000), Bytes::new()).await.unwrap_err();
    let Failure::NotSent { cause } = &failed.failure else { panic!("{failed}") };
    assert!(cause.starts_with("tried ") && cause.contains("at house at"), "{cause}");
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(10), "{took:?}");
}

/// A place that never answers, one that refuses, or somebody.
enum Other {
    Silent,
    Somebody { transport: Arc<dyn Transport>, name: Mutex<Option<&'static str>> },
}

struct Known(Box<dyn Channel>, PeerIdentity);

impl Channel for Known {
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut std::collections::VecDeque<Bytes>,
    ) -> Poll<Result<(), TransportError>> {
        self.0.poll_send(cx, queue)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        self.0.poll_recv(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_close(cx)
    }

    fn peer(&self) -> &PeerIdentity {
        &self.1
    }
}

impl Transport for Other {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        Box::pin(async {
            let Self::Somebody { transport, name } = self else { return pending().await };
            let channel = transport.open().await?;
            let identity = match *name.lock() {
                Some(name) => PeerIdentity::Authenticated { name: name.to_owned() },
                None => channel.peer().clone(),
            };
            Ok(Box::new(Known(channel, identity)) as Box<dyn Channel>)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_does_not_answer_holds_up_neither_link_nor_calls() {
    let house = House::new();
    *house.keeps_state.lock() = Some(false);
    let (transport, _server) = served(&house);
    let links = [Arc::new(Other::Silent) as Arc<dyn Transport>, transport];
    let places = links.map(|transport| Link::new(transport, PeerOptions::default()).instance("house"));
    let group = RemoteGroup::new(places, Balance::AsServed);
    let started = Instant::now();
    let bound = group.bind(&everything()).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_millis(OTHERS_MS));
    let calling = Instant::now();
    for _ in 0..50 {
        bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
    }
    assert_eq!(calling.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(CONNECT_MS_MAX)).await;
    settle().await;
    let place = &group.places()[0];
    assert!(matches!(&place.failure, Some(Failure::NotSent { cause }) if cause.contains("5000 ms")), "{place:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_comes_back_as_another_is_refused_unless_that_is_allowed() {
    for (first, second, allowed, welcome) in [
        (Some("a"), Some("a"), false, true),
        (Some("a"), Some("b"), false, false),
        (Some("a"), None, false, false),
        (Some("a"), Some("b"), true, true),
        (None, Some("b"), false, true),
        (None, None, false, true),
    ] {
        let (transport, _server) = served(&House::new());
        let somebody = Arc::new(Other::Somebody { transport, name: Mutex::new(first) });
        let options = PeerOptions { may_be_another: allowed, ..PeerOptions::default() };
        let link = Link::new(Arc::clone(&somebody) as Arc<dyn Transport>, options);
        let bound = link.instance("house").bind(&everything()).await.unwrap();
        bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
        let Other::Somebody { name, .. } = &*somebody else { unreachable!() };
        *name.lock() = second;
        link.open_peer().unwrap().go_away();
        link.open_peer().unwrap().closed().await;
        match bound.call(ECHO, &within(1_000), Bytes::new()).await {
            Ok(_) => assert!(welcome, "{first:?} {second:?} {allowed}"),
            Err(failed) => {
                assert!(!welcome && failed.to_string().contains("another peer"), "{failed}");
                // And again, until it is who it was.
                bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap_err();
                *name.lock() = first;
                bound.call(ECHO, &within(1_000), Bytes::new()).await.unwrap();
            }
        }
    }
}
