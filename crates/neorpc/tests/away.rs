//! Signs of life, and going away.

#[path = "support/pair.rs"]
mod pair;

use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{CallFailed, Failure, Refusal, Reply};
use neorpc::{
    Connection, Event, FEATURE_GOING_AWAY, FEATURE_PING, Frame, Hello, Kind, PING_IDLE_MS, PONG_MS, PeerLimits,
    ProtocolError, RequestId,
};
use pair::{Pair, want};

const HERE: usize = 0;
const THERE: usize = 1;

fn done() -> Result<Reply, CallFailed> {
    Ok(Reply { results: Bytes::from_static(b"done"), fuel_used: 5 })
}

fn away() -> Failure {
    Failure::NotSent { cause: "the other end is going away".to_owned() }
}

/// An accepting end whose peer's hello lists these features.
fn beside(features: &[&str]) -> (Connection, Instant) {
    let now = Instant::now();
    let mut connection = Connection::accept(now, PeerLimits::default());
    let features = features.iter().map(|feature| (*feature).to_owned()).collect();
    let hello = Frame::Hello(Hello { features, ..Hello::new(PeerLimits::default()) });
    connection.handle_frame(now, hello.encode().unwrap()).unwrap();
    connection.poll_transmit(now).unwrap();
    connection.taken(1);
    assert!(matches!(connection.poll_event(), Some(Event::Open(_))));
    (connection, now)
}

fn next(connection: &mut Connection, now: Instant) -> Option<Frame> {
    let frame = connection.poll_transmit(now)?;
    connection.taken(1);
    Some(Frame::decode(&frame).unwrap())
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_silent_end_is_pinged_and_its_pong_keeps_the_connection() {
    let mut pair = Pair::open();
    for round in 1..=3 {
        assert_eq!(pair.ends[HERE].connection.poll_timeout(), Some(pair.now + ms(PING_IDLE_MS)));
        pair.advance(PING_IDLE_MS - 1);
        pair.hand_out(HERE, 10);
        assert!(pair.ends[HERE].handed.is_empty());
        pair.advance(1);
        pair.hand_out(HERE, 10);
        assert_eq!(Frame::decode(&pair.ends[HERE].handed[0]), Ok(Frame::Ping(round)));
        assert_eq!(pair.ends[HERE].handed.len(), 1);
        pair.flow();
        assert!(pair.ends.iter().all(|end| !end.connection.is_closed()));
    }
}

#[test]
fn an_end_that_stays_silent_ends_the_connection_and_its_calls_are_unknown() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 60_000, Bytes::new()).unwrap();
    pair.hand_out(HERE, 1);
    pair.take(HERE, 1);
    pair.advance(PING_IDLE_MS);
    pair.advance(PONG_MS - 1);
    assert_eq!(pair.event(HERE), None);
    let end = &mut pair.ends[HERE].connection;
    assert_eq!(end.handle_timeout(pair.now + ms(1)), Err(ProtocolError::Silent { waited_ms: PONG_MS }));
    let cause = format!("no sign of life within {PONG_MS} ms");
    assert_eq!(end.poll_event(), Some(Event::Returned { id, result: Err(Failure::Unknown { cause }.into()) }));
    assert!(end.is_closed());
    assert_eq!(end.poll_transmit(pair.now), None);
}

#[test]
fn any_frame_is_a_sign_of_life() {
    let (mut connection, now) = beside(&[FEATURE_PING]);
    let later = now + ms(PING_IDLE_MS);
    connection.handle_timeout(later).unwrap();
    assert_eq!(next(&mut connection, later), Some(Frame::Ping(1)));
    let describe = neorpc::DescribeFrame { id: RequestId(1), instance: "kv".to_owned() };
    connection.handle_frame(later, Frame::Describe(describe).encode().unwrap()).unwrap();
    connection.handle_timeout(later + ms(PONG_MS)).unwrap();
    assert_eq!(next(&mut connection, later + ms(PONG_MS)), Some(Frame::Ping(2)));
    // One that came before its ping was handed out saves the ping.
    let (mut connection, now) = beside(&[FEATURE_PING]);
    connection.handle_timeout(now + ms(PING_IDLE_MS)).unwrap();
    connection.handle_frame(now + ms(PING_IDLE_MS), Frame::Ping(1).encode().unwrap()).unwrap();
    assert_eq!(next(&mut connection, now), Some(Frame::Pong(1)));
    assert_eq!(next(&mut connection, now), None);
}

#[test]
fn a_flood_of_pings_is_answered_by_one_pong() {
    let (mut connection, now) = beside(&[FEATURE_PING]);
    for number in 1..=100_000 {
        connection.handle_frame(now, Frame::Ping(number).encode().unwrap()).unwrap();
    }
    assert_eq!(next(&mut connection, now), Some(Frame::Pong(100_000)));
    assert_eq!(next(&mut connection, now), None);
}

#[test]
fn signs_of_life_go_before_what_waits() {
    let (mut pair, binding) = Pair::bound();
    for _ in 0..3 {
        pair.call(HERE, binding, 60_000, Bytes::new()).unwrap();
    }
    pair.advance(PING_IDLE_MS);
    pair.inject(HERE, Frame::Ping(1)).unwrap();
    pair.hand_out(HERE, 1);
    assert_eq!(Frame::decode(&pair.ends[HERE].handed[0]), Ok(Frame::Pong(1)));
}

#[test]
fn a_pong_to_no_ping_closes_the_connection() {
    for number in [0, 1, u64::MAX] {
        let mut pair = Pair::open();
        let error = ProtocolError::NeverPinged { found: Kind::Pong, number };
        assert_eq!(pair.inject(HERE, Frame::Pong(number)), Err(error));
    }
    let mut pair = Pair::open();
    pair.advance(PING_IDLE_MS);
    pair.flow();
    pair.inject(HERE, Frame::Pong(1)).unwrap();
    assert!(pair.inject(HERE, Frame::Pong(2)).is_err());
}

#[test]
fn an_end_that_lists_no_feature_is_never_pinged_and_may_use_none() {
    let (mut connection, now) = beside(&["unheard-of"]);
    assert_eq!(connection.poll_timeout(), None);
    connection.handle_timeout(now + ms(10 * PING_IDLE_MS)).unwrap();
    assert_eq!(next(&mut connection, now), None);
    for (frame, found) in
        [(Frame::Ping(1), Kind::Ping), (Frame::Pong(1), Kind::Pong), (Frame::GoingAway(RequestId(0)), Kind::GoingAway)]
    {
        let (mut connection, now) = beside(&[]);
        let error = connection.handle_frame(now, frame.encode().unwrap()).unwrap_err();
        assert_eq!(error, ProtocolError::NotAnnounced { found });
    }
}

#[test]
fn an_end_that_goes_away_answers_what_it_took_and_nothing_more_is_sent_to_it() {
    let (mut pair, binding) = Pair::bound();
    let taken = pair.call(HERE, binding, 60_000, Bytes::new()).unwrap();
    pair.flow();
    assert!(matches!(pair.event(THERE), Some(Event::IncomingCall { .. })));
    // One on its way, and one that was not handed out, when the other end goes.
    let crossing = pair.call(HERE, binding, 60_000, Bytes::new()).unwrap();
    pair.hand_out(HERE, 1);
    pair.take(HERE, 1);
    let queued = pair.call(HERE, binding, 60_000, Bytes::new()).unwrap();
    pair.ends[THERE].connection.go_away();
    pair.ends[THERE].connection.go_away();
    pair.hand_out(THERE, 10);
    assert_eq!(pair.ends[THERE].handed.len(), 1);
    pair.take(THERE, 10);
    pair.deliver(HERE).unwrap();
    for id in [crossing, queued] {
        assert_eq!(pair.event(HERE), Some(Event::Returned { id, result: Err(away().into()) }));
    }
    assert_eq!(pair.event(HERE), Some(Event::GoingAway));
    assert!(pair.ends[HERE].connection.peer_leaves() && !pair.ends[HERE].connection.is_closed());
    let deadline = pair.now + ms(1_000);
    assert_eq!(pair.call(HERE, binding, 1_000, Bytes::new()), Err(away()));
    assert_eq!(pair.ends[HERE].connection.bind(pair.now, "kv", &want(1), deadline), Err(away()));
    assert_eq!(pair.ends[HERE].connection.describe(pair.now, "kv", deadline), Err(away()));

    pair.flow();
    assert_eq!(pair.event(THERE), None);
    assert_eq!(pair.ends[THERE].connection.in_service(), 1);
    assert!(!pair.ends[THERE].connection.is_drained());
    assert!(pair.ends[THERE].connection.answer_call(taken, done()));
    assert!(!pair.ends[THERE].connection.is_drained());
    pair.flow();
    assert_eq!(pair.event(HERE), Some(Event::Returned { id: taken, result: done() }));
    assert!(pair.ends[THERE].connection.is_drained());
    assert!(!pair.ends[HERE].connection.is_drained());
}

#[test]
fn an_end_that_goes_away_may_still_ask_for_what_it_serves() {
    let mut pair = Pair::open();
    let binding = pair.bind(THERE);
    pair.ends[THERE].connection.go_away();
    let id = pair.call(THERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    assert_eq!(pair.event(HERE), Some(Event::GoingAway));
    assert!(matches!(pair.event(HERE), Some(Event::IncomingCall { .. })));
    assert!(!pair.ends[THERE].connection.is_drained());
    assert!(pair.ends[HERE].connection.answer_call(id, done()));
    pair.flow();
    assert_eq!(pair.event(THERE), Some(Event::Returned { id, result: done() }));
    assert!(pair.ends[THERE].connection.is_drained());
}

#[test]
fn both_ends_may_go_away_at_once() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    pair.ends[HERE].connection.go_away();
    pair.ends[THERE].connection.go_away();
    pair.flow();
    assert!(pair.ends[THERE].connection.answer_call(id, done()));
    pair.flow();
    assert!(pair.ends.iter().all(|end| end.connection.is_drained()));
}

#[test]
fn an_answer_to_what_was_left_out_is_dropped_and_an_id_never_sent_closes() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    pair.inject(HERE, Frame::GoingAway(RequestId(id.0 - 1))).unwrap();
    assert_eq!(pair.event(HERE), Some(Event::Returned { id, result: Err(away().into()) }));
    assert!(pair.ends[THERE].connection.answer_call(id, done()));
    pair.flow();
    assert_eq!(pair.event(HERE), Some(Event::GoingAway));
    assert_eq!(pair.event(HERE), None);
    let error = ProtocolError::Twice { found: Kind::GoingAway };
    assert_eq!(pair.inject(HERE, Frame::GoingAway(RequestId(0))), Err(error));

    for above in [1, u64::MAX - 5] {
        let (mut pair, binding) = Pair::bound();
        let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
        // Queued: nobody can have taken it; or above all there is.
        let named = RequestId(id.0 + above - 1);
        let error = ProtocolError::NeverIssued { found: Kind::GoingAway, id: named };
        assert_eq!(pair.inject(HERE, Frame::GoingAway(named)), Err(error));
    }
}

#[test]
fn an_end_that_does_not_know_going_away_is_refused_what_is_new() {
    let (mut connection, now) = beside(&[]);
    connection.go_away();
    assert_eq!(next(&mut connection, now), None);
    let describe = neorpc::DescribeFrame { id: RequestId(1), instance: "kv".to_owned() };
    connection.handle_frame(now, Frame::Describe(describe).encode().unwrap()).unwrap();
    match next(&mut connection, now) {
        Some(Frame::Described(described)) => {
            let failure = described.result.unwrap_err();
            assert!(matches!(failure, Failure::Refused(Refusal::Overloaded { limit: 0, .. })), "{failure}");
        }
        other => panic!("{other:?}"),
    }
    assert!(connection.is_drained());
    let (mut connection, now) = beside(&[FEATURE_GOING_AWAY]);
    connection.go_away();
    assert_eq!(next(&mut connection, now), Some(Frame::GoingAway(RequestId::NONE)));
}

#[test]
fn going_away_before_both_said_hello_ends_at_once() {
    for end in [HERE, THERE] {
        let mut pair = Pair::silent([PeerLimits::default(); 2]);
        pair.ends[end].connection.go_away();
        assert_eq!(pair.ends[end].connection.closed_cause(), Some("this end is going away"));
    }
}
