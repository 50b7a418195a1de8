//! What a connection does with each frame, and at each limit.

#[path = "support/pair.rs"]
mod pair;

use std::time::Duration;

use bytes::Bytes;
use isorun_core::{CHAIN_MAX, CallContext, CallFailed, Failure, Fault, FunctionIndex, InstanceUid, Refusal, Reply};
use neorpc::{
    ARGS_BYTES_MAX, BoundFrame, CALLS_MAX, CallFrame, Companions, Connection, DEADLINE_MS_MAX, Event, FRAME_BYTES_MAX,
    FailureFrame, Frame, FunctionTable, HELLO_MS_MAX, Hello, Kind, PeerLimits, ProtocolError, QUEUE_FRAMES_MAX,
    ReplyFrame, RequestId, SelfContainedCall,
};
use pair::{Pair, want};

const HERE: usize = 0;
const THERE: usize = 1;

fn reply(id: u64) -> Frame {
    Frame::Reply(ReplyFrame { id: RequestId(id), reply: Reply { results: Bytes::new(), fuel_used: 0 } })
}

fn done() -> Result<Reply, CallFailed> {
    Ok(Reply { results: Bytes::from_static(b"done"), fuel_used: 5 })
}

#[test]
fn a_call_goes_there_and_its_reply_comes_back() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::from_static(b"args")).unwrap();
    pair.flow();
    match pair.event(THERE) {
        Some(Event::IncomingCall { id: there, function, cx, args, .. }) => {
            assert_eq!((there, function, &args[..]), (id, FunctionIndex(0), &b"args"[..]));
            assert_eq!(cx.deadline, pair.now + Duration::from_secs(1));
        }
        other => panic!("{other:?}"),
    }
    assert!(pair.ends[THERE].connection.answer_call(id, done()));
    pair.flow();
    assert_eq!(pair.event(HERE), Some(Event::Returned { id, result: done() }));
    assert_eq!((pair.event(HERE), pair.ends[HERE].connection.in_flight()), (None, 0));
    assert!(!pair.ends[THERE].connection.answer_call(id, done()));
}

#[test]
fn the_remaining_time_is_that_of_the_moment_the_frame_leaves_rounded_down() {
    let (mut pair, binding) = Pair::bound();
    let cx = CallContext::until(pair.now + Duration::from_micros(9_999));
    pair.ends[HERE].connection.call(pair.now, binding, FunctionIndex(0), &cx, Bytes::new()).unwrap();
    pair.now += Duration::from_millis(4);
    pair.hand_out(HERE, 1);
    let frame = CallFrame::decode(&pair.ends[HERE].handed[0]).unwrap();
    assert_eq!(frame.with.deadline_ms, 5);
}

#[test]
fn a_deadline_is_cut_to_a_day() {
    let (mut pair, binding) = Pair::bound();
    pair.call(HERE, binding, 2 * DEADLINE_MS_MAX, Bytes::new()).unwrap();
    pair.hand_out(HERE, 1);
    assert_eq!(CallFrame::decode(&pair.ends[HERE].handed[0]).unwrap().with.deadline_ms, DEADLINE_MS_MAX);
    pair.advance(DEADLINE_MS_MAX);
    let over = Failure::Deadline { waited_ms: DEADLINE_MS_MAX };
    assert!(matches!(pair.event(HERE), Some(Event::Returned { result: Err(failed), .. }) if failed.failure == over));
}

#[test]
fn a_call_without_time_is_over_before_it_starts() {
    let (mut pair, binding) = Pair::bound();
    assert_eq!(pair.call(HERE, binding, 0, Bytes::new()), Err(Failure::Deadline { waited_ms: 0 }));
    // One that runs out while it waits to be handed out never leaves.
    let id = pair.call(HERE, binding, 10, Bytes::new()).unwrap();
    pair.now += Duration::from_millis(10);
    pair.hand_out(HERE, 10);
    assert!(pair.ends[HERE].handed.is_empty());
    let result = Err(Failure::Deadline { waited_ms: 10 }.into());
    assert_eq!(pair.event(HERE), Some(Event::Returned { id, result }));
}

#[test]
fn a_deadline_that_passes_sends_a_cancel_and_drops_the_late_reply() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 10, Bytes::new()).unwrap();
    pair.flow();
    assert!(matches!(pair.event(THERE), Some(Event::IncomingCall { .. })));
    pair.advance(9);
    assert_eq!(pair.event(HERE), None);
    pair.advance(1);
    let result = Err(Failure::Deadline { waited_ms: 10 }.into());
    assert_eq!(pair.event(HERE), Some(Event::Returned { id, result }));
    // The reply crosses the cancel.
    assert!(pair.ends[THERE].connection.answer_call(id, done()));
    pair.flow();
    assert_eq!((pair.event(HERE), pair.event(THERE)), (None, None));
    assert!(!pair.ends[HERE].connection.is_closed());
}

#[test]
fn a_cancel_stops_the_call_there_and_its_answer_is_not_sent() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    pair.event(THERE).unwrap();
    assert!(pair.ends[HERE].connection.cancel(id));
    assert!(!pair.ends[HERE].connection.cancel(id));
    pair.flow();
    assert_eq!(pair.event(THERE), Some(Event::IncomingCancelled { id }));
    assert!(!pair.ends[THERE].connection.answer_call(id, done()));
    assert_eq!(pair.ends[THERE].connection.in_service(), 0);
}

#[test]
fn a_call_cancelled_before_it_is_handed_out_never_leaves() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    assert!(pair.ends[HERE].connection.cancel(id));
    pair.hand_out(HERE, 10);
    assert!(pair.ends[HERE].handed.is_empty());
    assert_eq!(pair.event(HERE), None);
}

#[test]
fn a_reply_to_an_unknown_call_closes_the_connection() {
    for id in [0, 2, 99, u64::MAX] {
        let (mut pair, binding) = Pair::bound();
        // Number 1 was the bind, so that 2 is the next.
        let error = pair.inject(HERE, reply(id)).unwrap_err();
        assert_eq!(error, ProtocolError::NeverIssued { found: Kind::Reply, id: RequestId(id) });
        assert!(pair.ends[HERE].connection.is_closed());
        assert!(matches!(pair.call(HERE, binding, 1_000, Bytes::new()), Err(Failure::NotSent { .. })));
    }
    // One that was issued and has not left is as unknown there.
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    assert!(matches!(pair.inject(HERE, reply(id.0)), Err(ProtocolError::NeverIssued { .. })));
    assert!(matches!(pair.event(HERE), Some(Event::Returned { result: Err(_), .. })));
}

#[test]
fn an_answer_of_another_kind_than_its_request_closes_the_connection() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    let bound = Frame::Bound(BoundFrame { id, result: Ok(FunctionTable { binding, functions: 2 }) });
    assert_eq!(pair.inject(HERE, bound), Err(ProtocolError::WrongAnswer { found: Kind::Bound, id }));
    match pair.event(HERE) {
        Some(Event::Returned { id: lost, result: Err(CallFailed { failure: Failure::Unknown { .. }, .. }) }) => {
            assert_eq!(lost, id);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_of_another_size_closes_the_connection() {
    let mut pair = Pair::open();
    let deadline = pair.now + Duration::from_secs(1);
    let id = pair.ends[HERE].connection.bind(pair.now, "kv", &want(2), deadline).unwrap();
    pair.flow();
    let table = FunctionTable { binding: neorpc::BindingId(0), functions: 3 };
    let error = pair.inject(HERE, Frame::Bound(BoundFrame { id, result: Ok(table) })).unwrap_err();
    assert_eq!(error, ProtocolError::WrongTable { id, wanted: 2, found: 3 });
    assert!(matches!(pair.event(HERE), Some(Event::Bound { result: Err(Failure::NotSent { .. }), .. })));
}

#[test]
fn an_id_that_does_not_grow_closes_the_connection_and_says_why() {
    let (mut pair, binding) = Pair::bound();
    pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.hand_out(HERE, 1);
    let frame = pair.ends[HERE].handed[0].clone();
    pair.ends[THERE].connection.handle_frame(pair.now, frame.clone()).unwrap();
    let error = pair.ends[THERE].connection.handle_frame(pair.now, frame).unwrap_err();
    assert_eq!(error, ProtocolError::IdNotGrowing { id: RequestId(2), last: RequestId(2) });
    let farewell = pair.ends[THERE].connection.poll_transmit(pair.now).unwrap();
    assert_eq!(pair.ends[THERE].connection.poll_transmit(pair.now), None);
    pair.take(HERE, 1);
    let error = pair.ends[HERE].connection.handle_frame(pair.now, farewell).unwrap_err();
    assert_eq!(error.to_string(), "the other end closed: refused: request 2 after request 2");
    // Nobody answers a farewell.
    assert_eq!(pair.ends[HERE].connection.poll_transmit(pair.now), None);
}

#[test]
fn gaps_between_ids_are_fine() {
    let (mut pair, binding) = Pair::bound();
    let first = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.ends[HERE].connection.cancel(first);
    let second = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    assert!(matches!(pair.event(THERE), Some(Event::IncomingCall { id, .. }) if id == second));
}

#[test]
fn a_lost_connection_tells_unknown_from_not_sent() {
    let (mut pair, binding) = Pair::bound();
    let ids: Vec<_> = (0..4).map(|_| pair.call(HERE, binding, 1_000, Bytes::new()).unwrap()).collect();
    let deadline = pair.now + Duration::from_secs(1);
    // Two taken, one handed out, one still inside; then a bind that is taken.
    pair.hand_out(HERE, 3);
    pair.take(HERE, 2);
    let bind = pair.ends[HERE].connection.bind(pair.now, "kv", &want(1), deadline).unwrap();
    pair.ends[HERE].connection.connection_lost("cable cut");
    let mut ends = Vec::new();
    while let Some(event) = pair.event(HERE) {
        ends.push(event);
    }
    let unknown = || Err(Failure::Unknown { cause: "cable cut".to_owned() }.into());
    let not_sent = || Failure::NotSent { cause: "cable cut".to_owned() };
    let expected = vec![
        Event::Returned { id: ids[0], result: unknown() },
        Event::Returned { id: ids[1], result: unknown() },
        Event::Returned { id: ids[2], result: Err(not_sent().into()) },
        Event::Returned { id: ids[3], result: Err(not_sent().into()) },
        Event::Bound { id: bind, result: Err(not_sent()) },
    ];
    assert_eq!(ends, expected);
    assert_eq!(pair.call(HERE, binding, 1_000, Bytes::new()), Err(not_sent()));
    assert_eq!(pair.ends[HERE].connection.poll_transmit(pair.now), None);
    assert_eq!(pair.ends[HERE].connection.closed_cause(), Some("cable cut"));
    // A second end changes nothing.
    pair.ends[HERE].connection.connection_lost("again");
    assert_eq!(pair.ends[HERE].connection.closed_cause(), Some("cable cut"));
}

#[test]
fn one_request_more_than_may_be_in_flight_is_refused_here() {
    let (mut pair, binding) = Pair::bound();
    for _ in 0..CALLS_MAX {
        pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    }
    let refused = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap_err();
    assert!(matches!(refused, Failure::Refused(Refusal::Overloaded { limit: 1024, .. })));
}

#[test]
fn one_request_more_than_may_be_in_flight_is_refused_there() {
    let limits = PeerLimits { calls_max: 2, ..PeerLimits::default() };
    let mut pair = Pair::open_with([PeerLimits::default(), limits]);
    let binding = pair.bind(HERE);
    let with = Companions::of(&CallContext::until(pair.now + Duration::from_secs(1)), pair.now);
    for id in 2..5 {
        let (id, with) = (RequestId(id), with.clone());
        let call = CallFrame { id, binding, function: FunctionIndex(0), with, args: Bytes::new() };
        pair.inject(THERE, Frame::Call(call)).unwrap();
    }
    assert_eq!(pair.ends[THERE].connection.in_service(), 2);
    let answer = pair.ends[THERE].connection.poll_transmit(pair.now).unwrap();
    match Frame::decode(&answer).unwrap() {
        Frame::Failure(FailureFrame { id, failed }) => {
            assert_eq!(id, RequestId(4));
            assert!(matches!(failed.failure, Failure::Refused(Refusal::Overloaded { limit: 2, .. })));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn arguments_in_flight_are_bounded_in_bytes() {
    let (mut pair, binding) = Pair::bound();
    let with = Companions::of(&CallContext::until(pair.now + Duration::from_secs(1)), pair.now);
    let size = 4 << 20 >> 1;
    let most = ARGS_BYTES_MAX / size;
    for id in 0..=most as u64 {
        let (id, with, args) = (RequestId(id + 2), with.clone(), Bytes::from(vec![0; size]));
        let call = CallFrame { id, binding, function: FunctionIndex(0), with, args };
        pair.inject(THERE, Frame::Call(call)).unwrap();
    }
    assert_eq!(pair.ends[THERE].connection.in_service(), most);
    // An answer makes room.
    assert!(pair.ends[THERE].connection.answer_call(RequestId(2), done()));
    let args = Bytes::from(vec![0; size]);
    let call = CallFrame { id: RequestId(1_000), binding, function: FunctionIndex(0), with, args };
    pair.inject(THERE, Frame::Call(call)).unwrap();
    assert_eq!(pair.ends[THERE].connection.in_service(), most);
}

#[test]
fn one_binding_more_than_may_be_held_is_refused_and_giving_one_back_makes_room() {
    let limits = PeerLimits { bindings_max: 2, ..PeerLimits::default() };
    let mut pair = Pair::open_with([PeerLimits::default(), limits]);
    let first = pair.bind(HERE);
    pair.bind(HERE);
    let deadline = pair.now + Duration::from_secs(1);
    pair.ends[HERE].connection.bind(pair.now, "kv", &want(2), deadline).unwrap();
    pair.flow();
    assert!(matches!(pair.event(THERE), Some(Event::Refused { .. })), "it is there to be logged");
    assert_eq!(pair.event(THERE), None);
    match pair.event(HERE) {
        Some(Event::Bound { result: Err(Failure::Refused(Refusal::Overloaded { limit: 2, .. })), .. }) => {}
        other => panic!("{other:?}"),
    }
    pair.ends[HERE].connection.unbind(first);
    pair.flow();
    assert_eq!(pair.event(THERE), Some(Event::Unbound { binding: first }));
    assert_ne!(pair.bind(HERE), first);
}

#[test]
fn what_is_bound_after_its_asker_gave_up_is_given_back() {
    let mut pair = Pair::open();
    let deadline = pair.now + Duration::from_secs(1);
    let id = pair.ends[HERE].connection.bind(pair.now, "kv", &want(1), deadline).unwrap();
    pair.flow();
    pair.event(THERE).unwrap();
    let binding = pair.ends[THERE].connection.answer_bind(id, Ok(())).unwrap();
    assert!(pair.ends[HERE].connection.cancel(id));
    pair.flow();
    assert_eq!(pair.event(THERE), Some(Event::Unbound { binding }));
    assert_eq!((pair.event(HERE), pair.event(THERE)), (None, None));
}

#[test]
fn a_call_outside_its_binding_is_refused_and_the_connection_lives() {
    let (mut pair, binding) = Pair::bound();
    let cx = CallContext::until(pair.now + Duration::from_secs(1));
    let other = neorpc::BindingId(binding.0 + 1);
    for (binding, function) in [(binding, FunctionIndex(2)), (other, FunctionIndex(0))] {
        let id = pair.ends[HERE].connection.call(pair.now, binding, function, &cx, Bytes::new()).unwrap();
        pair.flow();
        assert!(matches!(pair.event(THERE), Some(Event::Refused { id: refused, .. }) if refused == id));
        assert_eq!(pair.event(THERE), None);
        match pair.event(HERE) {
            Some(Event::Returned { id: refused, result: Err(failed) }) => {
                assert_eq!(refused, id);
                assert!(matches!(failed.failure, Failure::Refused(Refusal::BadArguments { .. })));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_given_back_or_cancelled_must_have_been_there() {
    let (mut pair, binding) = Pair::bound();
    let next = neorpc::BindingId(binding.0 + 1);
    assert_eq!(pair.inject(THERE, Frame::Unbind(next)), Err(ProtocolError::NeverBound { binding: next }));
    for id in [0, 2] {
        let (mut pair, _) = Pair::bound();
        let id = RequestId(id);
        let error = ProtocolError::NeverIssued { found: Kind::Cancel, id };
        assert_eq!(pair.inject(THERE, Frame::Cancel(id)), Err(error));
    }
}

#[test]
fn a_chain_at_its_limit_leaves_and_one_instance_more_is_refused() {
    let (mut pair, binding) = Pair::bound();
    let mut cx = CallContext::until(pair.now + Duration::from_secs(1));
    cx.chain = vec![InstanceUid([1; 16]); CHAIN_MAX].into();
    let connection = &mut pair.ends[HERE].connection;
    connection.call(pair.now, binding, FunctionIndex(0), &cx, Bytes::new()).unwrap();
    cx.chain = vec![InstanceUid([1; 16]); CHAIN_MAX + 1].into();
    let refused = connection.call(pair.now, binding, FunctionIndex(0), &cx, Bytes::new()).unwrap_err();
    assert_eq!(refused, Refusal::ChainTooLong { limit: 64 }.into());
}

#[test]
fn arguments_fill_the_peers_frame_to_the_last_byte() {
    let limits = PeerLimits { frame_bytes_max: 10_000, ..PeerLimits::default() };
    let mut pair = Pair::open_whole([PeerLimits::default(), limits]);
    let binding = pair.bind(HERE);
    let cx = CallContext::until(pair.now + Duration::from_secs(1));
    let with = Companions::of(&cx, pair.now);
    let empty = CallFrame { id: RequestId(2), binding, function: FunctionIndex(0), with, args: Bytes::new() };
    let room = 10_000 - empty.encoded_len();
    let id = pair.call(HERE, binding, 1_000, Bytes::from(vec![0; room])).unwrap();
    pair.hand_out(HERE, 1);
    assert_eq!(pair.ends[HERE].handed[0].len(), 10_000);
    let failure = pair.call(HERE, binding, 1_000, Bytes::from(vec![0; room + 1])).unwrap_err();
    assert_eq!(failure, Failure::NotSent { cause: "a call frame of 10001 bytes, the limit is 10000".to_owned() });
    pair.flow();
    assert!(matches!(pair.event(THERE), Some(Event::IncomingCall { id: there, .. }) if there == id));
}

#[test]
fn results_fill_a_frame_to_the_last_byte_and_one_more_is_bad_results() {
    let mut pair = Pair::open_whole([PeerLimits::default(); 2]);
    let binding = pair.bind(HERE);
    let header = ReplyFrame { id: RequestId(1), reply: Reply { results: Bytes::new(), fuel_used: 0 } }.encoded_len();
    for (size, fits) in [(FRAME_BYTES_MAX - header, true), (FRAME_BYTES_MAX - header + 1, false)] {
        let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
        pair.flow();
        pair.event(THERE).unwrap();
        let result = Ok(Reply { results: Bytes::from(vec![0; size]), fuel_used: 5 });
        pair.ends[THERE].connection.answer_call(id, result);
        pair.flow();
        match pair.event(HERE) {
            Some(Event::Returned { result: Ok(reply), .. }) => assert!(fits && reply.results.len() == size),
            Some(Event::Returned { result: Err(failed), .. }) => {
                let detail = "a reply frame of 4128769 bytes, the limit is 4128768".to_owned();
                assert!(!fits);
                assert_eq!(failed, CallFailed { failure: Fault::BadResults { detail }.into(), fuel_used: 5 });
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_ledger_that_no_frame_holds_is_left_out_of_the_difference() {
    let limits = PeerLimits { frame_bytes_max: 10_000, ..PeerLimits::default() };
    let mut pair = Pair::open_with([limits, PeerLimits::default()]);
    for (size, kept) in [(100, 100), (10_000, 0)] {
        let deadline = pair.now + Duration::from_secs(1);
        let id = pair.ends[HERE].connection.bind(pair.now, "kv", &want(1), deadline).unwrap();
        pair.flow();
        pair.event(THERE).unwrap();
        let ledger = Bytes::from(vec![1; size]);
        let failure = Refusal::Incompatible { detail: "u64 here".to_owned(), ledger }.into();
        pair.ends[THERE].connection.answer_bind(id, Err(failure));
        pair.flow();
        match pair.event(HERE) {
            Some(Event::Bound { result: Err(Failure::Refused(Refusal::Incompatible { ledger, .. })), .. }) => {
                assert_eq!(ledger.len(), kept);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_frame_over_what_was_announced_closes_the_connection() {
    let limits = PeerLimits { frame_bytes_max: 10_000, ..PeerLimits::default() };
    let mut pair = Pair::open_with([limits, PeerLimits::default()]);
    let frame = Bytes::from(vec![0; 10_001]);
    let error = pair.ends[HERE].connection.handle_frame(pair.now, frame).unwrap_err();
    assert_eq!(error, ProtocolError::FrameTooLarge { size: 10_001, max: 10_000 });
}

#[test]
fn a_peer_that_asks_and_never_reads_is_cut_off() {
    let (mut pair, _) = Pair::bound();
    let with = Companions::of(&CallContext::until(pair.now + Duration::from_secs(1)), pair.now);
    let nowhere = neorpc::BindingId(9);
    let mut asked = 0;
    let error = loop {
        let (id, with) = (RequestId(asked + 2), with.clone());
        let call = CallFrame { id, binding: nowhere, function: FunctionIndex(0), with, args: Bytes::new() };
        match pair.inject(THERE, Frame::Call(call)) {
            Ok(()) => asked += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, ProtocolError::NotReading { frames: QUEUE_FRAMES_MAX + 1 });
    assert_eq!(asked, QUEUE_FRAMES_MAX as u64 + 1);
    assert_eq!(pair.ends[THERE].connection.poll_transmit(pair.now), None);
}

#[test]
fn nothing_is_asked_before_both_said_hello() {
    let mut pair = Pair::silent([PeerLimits::default(); 2]);
    for end in [HERE, THERE] {
        let deadline = pair.now + Duration::from_secs(1);
        let failure = pair.ends[end].connection.bind(pair.now, "kv", &want(1), deadline).unwrap_err();
        assert_eq!(failure, Failure::NotSent { cause: "the peer has not said hello".to_owned() });
    }
    // The accepting end says nothing until it knows who speaks.
    assert_eq!(pair.ends[THERE].connection.poll_transmit(pair.now), None);
}

#[test]
fn a_hello_must_come_first_once_and_in_time() {
    for end in [HERE, THERE] {
        let mut pair = Pair::silent([PeerLimits::default(); 2]);
        assert_eq!(pair.inject(end, reply(1)), Err(ProtocolError::HelloExpected { found: Kind::Reply }));
        let mut pair = Pair::silent([PeerLimits::default(); 2]);
        let until = pair.now + Duration::from_millis(HELLO_MS_MAX);
        assert_eq!(pair.ends[end].connection.poll_timeout(), Some(until));
        assert_eq!(pair.ends[end].connection.handle_timeout(until - Duration::from_millis(1)), Ok(()));
        let error = ProtocolError::NoHello { waited_ms: HELLO_MS_MAX };
        assert_eq!(pair.ends[end].connection.handle_timeout(until), Err(error));
        assert!(pair.ends[end].connection.is_closed());
        let mut pair = Pair::open();
        let hello = Frame::Hello(Hello::new(PeerLimits::default()));
        assert_eq!(pair.inject(end, hello), Err(ProtocolError::OutOfPlace { found: Kind::Hello }));
    }
}

#[test]
fn two_versions_name_each_other() {
    let now = std::time::Instant::now();
    let hello = Hello { version: 2, ..Hello::new(PeerLimits::default()) };
    let hello = Frame::Hello(hello).encode().unwrap();
    let error = ProtocolError::Version { ours: 1, theirs: 2 };
    let mut accepting = Connection::accept(now, PeerLimits::default());
    assert_eq!(accepting.handle_frame(now, hello.clone()), Err(error.clone()));
    let answer = accepting.poll_transmit(now).unwrap();
    assert!(matches!(Frame::decode(&answer).unwrap(), Frame::Hello(Hello { version: 1, .. })));
    assert_eq!(accepting.poll_transmit(now), None);
    let mut connecting = Connection::connect(now, PeerLimits::default());
    assert_eq!(connecting.handle_frame(now, hello), Err(error));
}

#[test]
fn a_self_contained_call_is_answered_and_ends_the_connection() {
    let now = std::time::Instant::now();
    let mut connection = Connection::accept(now, PeerLimits::default());
    let call = SelfContainedCall {
        instance: "kv".to_owned(),
        interface: None,
        function: "get".to_owned(),
        hash: [0; 32],
        with: Companions::of(&CallContext::until(now + Duration::from_secs(1)), now),
        args: Bytes::new(),
    };
    let frame = call.encode().unwrap();
    connection.handle_frame(now, frame.clone()).unwrap();
    assert_eq!(connection.poll_event(), Some(Event::IncomingSelfContained(call)));
    assert!(connection.answer_call(RequestId::NONE, done()));
    assert!(connection.is_closed());
    let answer = connection.poll_transmit(now).unwrap();
    assert_eq!(connection.untaken(), 1);
    assert_eq!(ReplyFrame::decode(&answer).unwrap(), ReplyFrame { id: RequestId::NONE, reply: done().unwrap() });
    // It is no request of an open connection.
    let mut pair = Pair::open();
    let error = pair.ends[THERE].connection.handle_frame(now, frame).unwrap_err();
    assert_eq!(error, ProtocolError::OutOfPlace { found: Kind::CallSelfContained });
}
