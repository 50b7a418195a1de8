//! Large payloads: in parts, on credit, and beside small ones.

#[path = "support/pair.rs"]
mod pair;

use bytes::Bytes;
use isorun_core::{CallFailed, Failure, FunctionIndex, Refusal, Reply};
use neorpc::{
    ARGS_BYTES_MAX, BindingId, CHUNK_BYTES_MAX, CallInChunksFrame, ChunkFrame, Companions, CreditFrame, Event, Frame,
    Kind, Payload, PeerLimits, ProtocolError, ReplyInChunksFrame, RequestId, WHOLE_BYTES_MAX, WINDOW_BYTES,
    WINDOW_BYTES_MIN, WINDOW_FRAMES,
};
use pair::Pair;

const HERE: usize = 0;
const THERE: usize = 1;
const MIB: usize = 1 << 20;

fn large(size: usize) -> Bytes {
    (0..size).map(|at| (at / 7) as u8).collect()
}

fn kinds(frames: &[Bytes]) -> Vec<Kind> {
    frames.iter().map(|frame| Frame::decode(frame).unwrap().kind()).collect()
}

/// All that leaves one end before the other gives credit.
fn burst(pair: &mut Pair, end: usize) -> Vec<Bytes> {
    pair.hand_out(end, usize::MAX);
    let frames = pair.ends[end].handed.iter().cloned().collect();
    pair.take(end, usize::MAX);
    frames
}

fn arrived(pair: &mut Pair, end: usize) -> (RequestId, Bytes) {
    match pair.event(end) {
        Some(Event::IncomingCall { id, args, .. }) => (id, args),
        other => panic!("{other:?}"),
    }
}

fn reply(results: Bytes) -> Result<Reply, CallFailed> {
    Ok(Reply { results, fuel_used: 5 })
}

#[test]
fn the_largest_arguments_and_results_travel_and_a_byte_more_does_not() {
    let (mut pair, binding) = Pair::bound();
    let max = neopack::VALUE_BYTES_MAX as usize;
    let most = large(max);
    let id = pair.call(HERE, binding, 1_000, most.clone()).unwrap();
    pair.flow();
    let (there, args) = arrived(&mut pair, THERE);
    assert!(there == id && args == most);
    assert!(pair.ends[THERE].connection.answer_call(id, reply(most.clone())));
    pair.flow();
    assert!(matches!(pair.event(HERE), Some(Event::Returned { result: Ok(reply), .. }) if reply.results == most));

    let failure = pair.call(HERE, binding, 1_000, large(max + 1)).unwrap_err();
    let cause = format!("a value of {} bytes, the limit is {max}", max + 1);
    assert_eq!(failure, Failure::NotSent { cause });
    pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    let (id, _) = arrived(&mut pair, THERE);
    pair.ends[THERE].connection.answer_call(id, reply(large(max + 1)));
    pair.flow();
    match pair.event(HERE) {
        Some(Event::Returned { result: Err(CallFailed { failure: Failure::Failed(fault), fuel_used: 5 }), .. }) => {
            assert!(fault.to_string().contains("20971521 bytes of results, the limit is 20971520"), "{fault}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_small_stays_whole() {
    let (mut pair, binding) = Pair::bound();
    for (size, kind) in [(WHOLE_BYTES_MAX, Kind::Call), (WHOLE_BYTES_MAX + 1, Kind::CallInChunks)] {
        pair.call(HERE, binding, 1_000, large(size)).unwrap();
        let frames = burst(&mut pair, HERE);
        assert_eq!(kinds(&frames)[0], kind);
        pair.flow();
        let (id, args) = arrived(&mut pair, THERE);
        assert_eq!(args.len(), size);
        pair.ends[THERE].connection.answer_call(id, reply(args));
        pair.flow();
        assert!(matches!(pair.event(HERE), Some(Event::Returned { result: Ok(_), .. })));
    }
}

#[test]
fn chunks_fit_the_frames_of_the_other_end() {
    let limits = PeerLimits { frame_bytes_max: 10_000, ..PeerLimits::default() };
    let mut pair = Pair::open_with([PeerLimits::default(), limits]);
    let binding = pair.bind(HERE);
    pair.call(HERE, binding, 1_000, large(MIB / 2)).unwrap();
    let frames = burst(&mut pair, HERE);
    assert!(frames.iter().all(|frame| frame.len() <= 10_000));
    assert_eq!(frames[1].len(), 10_000, "and fill them");
    pair.flow();
    assert_eq!(arrived(&mut pair, THERE).1, large(MIB / 2));
}

#[test]
fn a_small_call_passes_what_waits_of_a_large_one() {
    let (mut pair, binding) = Pair::bound();
    let big = pair.call(HERE, binding, 1_000, large(16 * MIB)).unwrap();
    pair.hand_out(HERE, 3);
    let small = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.hand_out(HERE, 1);
    let last = pair.ends[HERE].handed.back().cloned().unwrap();
    assert_eq!(Frame::decode(&last).unwrap().kind(), Kind::Call);
    pair.flow();
    assert_eq!(arrived(&mut pair, THERE).0, small);
    assert_eq!(arrived(&mut pair, THERE).0, big);
}

#[test]
fn small_calls_do_not_keep_a_large_one_from_moving() {
    let (mut pair, binding) = Pair::bound();
    pair.call(HERE, binding, 1_000, large(MIB)).unwrap();
    for _ in 0..100 {
        pair.call(HERE, binding, 1_000, large(CHUNK_BYTES_MAX / 4)).unwrap();
    }
    pair.hand_out(HERE, 60);
    let frames: Vec<Bytes> = pair.ends[HERE].handed.iter().cloned().collect();
    let chunks = kinds(&frames).iter().filter(|kind| **kind == Kind::Chunk).count();
    assert_eq!(chunks, 8, "all that it has credit for");
}

#[test]
fn large_payloads_take_turns() {
    let (mut pair, binding) = Pair::bound();
    let ids = [(); 3].map(|()| pair.call(HERE, binding, 1_000, large(256 << 10)).unwrap());
    let frames = burst(&mut pair, HERE);
    let chunks = frames.iter().filter_map(|frame| match Frame::decode(frame).unwrap() {
        Frame::Chunk(chunk) => Some(chunk.id),
        _ => None,
    });
    let turns: Vec<RequestId> = chunks.collect();
    let expected: Vec<RequestId> = ids.iter().copied().cycle().take(12).collect();
    assert_eq!(turns, expected);
}

#[test]
fn no_more_is_under_way_than_the_other_end_gave_credit_for() {
    let (mut pair, binding) = Pair::bound();
    let sent = |frames: &[Bytes]| {
        let bytes = frames.iter().filter_map(|frame| match Frame::decode(frame).unwrap() {
            Frame::Chunk(chunk) => Some(chunk.data.len()),
            _ => None,
        });
        bytes.sum::<usize>()
    };
    pair.call(HERE, binding, 1_000, large(4 * MIB)).unwrap();
    let frames = burst(&mut pair, HERE);
    assert_eq!(sent(&frames), WINDOW_BYTES / 2, "one payload takes half of the window");
    pair.call(HERE, binding, 1_000, large(4 * MIB)).unwrap();
    pair.call(HERE, binding, 1_000, large(4 * MIB)).unwrap();
    let frames = burst(&mut pair, HERE);
    assert_eq!(sent(&frames), WINDOW_BYTES / 2, "and all together the whole");
    pair.hand_out(HERE, usize::MAX);
    assert!(pair.ends[HERE].handed.is_empty());
    pair.flow();
    for _ in 0..3 {
        assert_eq!(arrived(&mut pair, THERE).1.len(), 4 * MIB);
    }
}

#[test]
fn a_call_in_chunks_is_not_sent_until_its_last_chunk_is() {
    for (taken, unknown) in [(0, false), (1, false), (3, false), (4, true)] {
        let (mut pair, binding) = Pair::bound();
        let id = pair.call(HERE, binding, 1_000, large(3 * CHUNK_BYTES_MAX)).unwrap();
        pair.hand_out(HERE, usize::MAX);
        pair.take(HERE, taken);
        pair.ends[HERE].connection.connection_lost("cut");
        match pair.event(HERE) {
            Some(Event::Returned { id: ended, result: Err(CallFailed { failure, .. }) }) => {
                assert_eq!(ended, id);
                assert_eq!(matches!(failure, Failure::Unknown { .. }), unknown, "{taken} taken: {failure}");
                assert_eq!(matches!(failure, Failure::NotSent { .. }), !unknown, "{taken} taken: {failure}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_cancelled_call_sends_no_more_and_leaves_nothing() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, large(8 * MIB)).unwrap();
    burst(&mut pair, HERE);
    assert!(pair.ends[HERE].connection.cancel(id));
    let frames = burst(&mut pair, HERE);
    assert_eq!(kinds(&frames), [Kind::Cancel]);
    pair.flow();
    assert_eq!(pair.event(THERE), None, "it was never made");
    assert_eq!(pair.ends[THERE].connection.in_service(), 0);
    // What was under way has been made good.
    pair.call(HERE, binding, 1_000, large(8 * MIB)).unwrap();
    pair.flow();
    arrived(&mut pair, THERE);
}

#[test]
fn results_that_nobody_waits_for_stop_coming() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    arrived(&mut pair, THERE);
    pair.ends[THERE].connection.answer_call(id, reply(large(8 * MIB)));
    burst(&mut pair, THERE);
    pair.ends[HERE].connection.cancel(id);
    pair.flow();
    assert_eq!(pair.event(HERE), None);
    pair.ends[THERE].connection.go_away();
    pair.flow();
    assert!(pair.ends[THERE].connection.is_drained(), "nothing is left to send");
}

#[test]
fn results_that_were_not_announced_yet_are_withdrawn_with_their_call() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    arrived(&mut pair, THERE);
    pair.ends[THERE].connection.answer_call(id, reply(large(8 * MIB)));
    pair.inject(THERE, Frame::Cancel(id)).unwrap();
    pair.hand_out(THERE, usize::MAX);
    assert!(pair.ends[THERE].handed.is_empty());
}

#[test]
fn a_call_that_does_not_arrive_in_time_is_given_up_at_both_ends() {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 50, large(8 * MIB)).unwrap();
    burst(&mut pair, HERE);
    while !pair.ends[THERE].arriving.is_empty() {
        pair.deliver(THERE).unwrap();
    }
    assert_eq!(pair.ends[THERE].connection.in_service(), 1);
    assert_eq!(pair.ends[THERE].connection.poll_timeout(), Some(pair.now + std::time::Duration::from_millis(50)));
    pair.advance(50);
    assert_eq!(pair.ends[THERE].connection.in_service(), 0);
    match pair.event(HERE) {
        Some(Event::Returned { id: ended, result: Err(failed) }) => {
            assert_eq!((ended, failed.failure), (id, Failure::Deadline { waited_ms: 50 }));
        }
        other => panic!("{other:?}"),
    }
    pair.flow();
    assert_eq!(pair.event(THERE), None);
    assert_eq!((pair.event(HERE), pair.ends[HERE].connection.closed_cause()), (None, None));
}

#[test]
fn a_refused_call_is_answered_at_its_announcement() {
    let (mut pair, _) = Pair::bound();
    let id = pair.call(HERE, BindingId(77), 1_000, large(8 * MIB)).unwrap();
    pair.hand_out(HERE, 2);
    pair.take(HERE, 2);
    pair.flow();
    match pair.event(HERE) {
        Some(Event::Returned { id: ended, result: Err(failed) }) => {
            assert_eq!(ended, id);
            assert!(matches!(failed.failure, Failure::Refused(Refusal::BadArguments { .. })), "{failed}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pair.ends[THERE].connection.closed_cause(), None);
}

#[test]
fn a_server_takes_no_more_arguments_than_it_may_hold() {
    let (mut pair, binding) = Pair::bound();
    let max = neopack::VALUE_BYTES_MAX as usize;
    // They are announced, and that is what counts: none has come yet.
    pair.inject(THERE, announced(2, binding, max as u64)).unwrap();
    pair.inject(THERE, announced(3, binding, (ARGS_BYTES_MAX - max) as u64)).unwrap();
    assert_eq!(pair.ends[THERE].connection.in_service(), 2);
    pair.inject(THERE, announced(4, binding, 1)).unwrap();
    assert_eq!(pair.ends[THERE].connection.in_service(), 2);
    let frames = burst(&mut pair, THERE);
    match Frame::decode(&frames[0]).unwrap() {
        Frame::Failure(failure) => {
            assert!(matches!(failure.failed.failure, Failure::Refused(Refusal::Overloaded { .. })));
        }
        other => panic!("{other:?}"),
    }
    pair.inject(THERE, Frame::Cancel(RequestId(2))).unwrap();
    pair.inject(THERE, announced(5, binding, 1)).unwrap();
    assert_eq!(pair.ends[THERE].connection.in_service(), 2, "a place that is given up is free");
}

fn announced(id: u64, binding: BindingId, args_bytes: u64) -> Frame {
    let with = Companions { deadline_ms: 1_000, fuel: None, chain: [].into(), trace: isorun_core::Trace::default() };
    Frame::CallInChunks(CallInChunksFrame { id: RequestId(id), binding, function: FunctionIndex(0), with, args_bytes })
}

fn chunk(id: u64, of: Payload, size: usize) -> Frame {
    Frame::Chunk(ChunkFrame { id: RequestId(id), of, data: large(size) })
}

#[test]
fn arguments_over_what_a_value_may_be_are_refused_and_none_at_all_close_the_connection() {
    let (mut pair, binding) = Pair::bound();
    let max = u64::from(neopack::VALUE_BYTES_MAX);
    pair.inject(THERE, announced(2, binding, max + 1)).unwrap();
    pair.inject(THERE, announced(3, binding, u64::MAX)).unwrap();
    assert_eq!(pair.ends[THERE].connection.in_service(), 0);
    assert_eq!(burst(&mut pair, THERE).len(), 2);
    let error = ProtocolError::PayloadSize { id: RequestId(4), size: 0, max };
    assert_eq!(pair.inject(THERE, announced(4, binding, 0)), Err(error));
}

#[test]
fn what_came_is_made_good_in_large_pieces() {
    let (mut pair, binding) = Pair::bound();
    let window = PeerLimits::default().window_bytes;
    pair.inject(THERE, announced(2, binding, 8 * MIB as u64)).unwrap();
    // Half of the window is one payload's, and credit for it has gone out by then; it is not taken twice.
    for _ in 0..window / 2 / CHUNK_BYTES_MAX {
        pair.inject(THERE, chunk(2, Payload::Arguments, CHUNK_BYTES_MAX)).unwrap();
    }
    let credits: Vec<Frame> = burst(&mut pair, THERE).iter().map(|frame| Frame::decode(frame).unwrap()).collect();
    let to = |wanted: Option<(RequestId, Payload)>| {
        let of = credits.iter().map(|frame| match frame {
            Frame::Credit(CreditFrame { to, bytes, .. }) if *to == wanted => *bytes as usize,
            Frame::Credit(_) => 0,
            other => panic!("{other:?}"),
        });
        of.sum::<usize>()
    };
    assert_eq!(to(None), window / 2);
    assert_eq!(to(Some((RequestId(2), Payload::Arguments))), window / 2);

    // Chunks of one byte use up the frames.
    let (mut pair, binding) =
        Pair::open_bound([PeerLimits { window_bytes: WINDOW_BYTES_MIN, ..PeerLimits::default() }; 2]);
    pair.inject(THERE, announced(2, binding, 8 * MIB as u64)).unwrap();
    for _ in 0..10 * WINDOW_FRAMES {
        pair.inject(THERE, chunk(2, Payload::Arguments, 1)).unwrap();
    }
    let credits = burst(&mut pair, THERE);
    assert!(credits.len() <= 70, "credit comes in large pieces: {}", credits.len());
}

#[test]
fn whoever_sends_without_credit_is_cut_off() {
    let (mut pair, binding) = Pair::bound();
    let ids = [(); 2].map(|()| pair.call(HERE, binding, 1_000, Bytes::new()).unwrap());
    burst(&mut pair, HERE);
    for id in ids {
        let results_bytes = u64::from(neopack::VALUE_BYTES_MAX);
        pair.inject(HERE, Frame::ReplyInChunks(ReplyInChunksFrame { id, fuel_used: 0, results_bytes })).unwrap();
    }
    // There is room for the first alone: the second gets no credit beyond what each may begin with.
    let second = ids[1].0;
    for _ in 0..WINDOW_BYTES / 2 / CHUNK_BYTES_MAX {
        pair.inject(HERE, chunk(second, Payload::Results, CHUNK_BYTES_MAX)).unwrap();
    }
    let to = Some((ids[1], Payload::Results));
    for frame in burst(&mut pair, HERE) {
        let frame = Frame::decode(&frame).unwrap();
        assert!(!matches!(&frame, Frame::Credit(credit) if credit.to == to), "{frame:?}");
    }
    let error = ProtocolError::OverCredit { id: ids[1] };
    assert_eq!(pair.inject(HERE, chunk(second, Payload::Results, 1)), Err(error));
    assert!(pair.ends[HERE].connection.is_closed());
}

#[test]
fn chunks_of_nothing_that_was_asked_close_the_connection() {
    let check = |frame: Frame, error: ProtocolError| {
        let (mut pair, binding) = Pair::bound();
        pair.inject(THERE, announced(2, binding, 10)).unwrap();
        assert_eq!(pair.inject(THERE, frame), Err(error));
        assert!(pair.ends[THERE].connection.is_closed());
    };
    let found = Kind::Chunk;
    check(chunk(3, Payload::Arguments, 1), ProtocolError::NeverIssued { found, id: RequestId(3) });
    check(chunk(0, Payload::Arguments, 1), ProtocolError::NeverIssued { found, id: RequestId(0) });
    check(chunk(1, Payload::Results, 1), ProtocolError::NeverIssued { found, id: RequestId(1) });
    check(chunk(2, Payload::Arguments, 11), ProtocolError::Overrun { id: RequestId(2), size: 10 });
    let credit = |bytes, frames| Frame::Credit(CreditFrame { to: None, bytes, frames });
    check(credit(WINDOW_BYTES_MIN as u64, WINDOW_FRAMES), ProtocolError::CreditOverflow);
    check(credit(0, 1), ProtocolError::CreditOverflow);
}

#[test]
fn results_are_announced_once_and_within_the_limit() {
    let announce =
        |id: RequestId, results_bytes| Frame::ReplyInChunks(ReplyInChunksFrame { id, fuel_used: 0, results_bytes });
    let max = u64::from(neopack::VALUE_BYTES_MAX);
    for size in [0, max + 1, u64::MAX] {
        let (mut pair, binding) = Pair::bound();
        let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
        burst(&mut pair, HERE);
        let error = ProtocolError::PayloadSize { id, size, max };
        assert_eq!(pair.inject(HERE, announce(id, size)), Err(error));
        assert!(matches!(pair.event(HERE), Some(Event::Returned { result: Err(_), .. })));
    }
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    burst(&mut pair, HERE);
    pair.inject(HERE, announce(id, 9)).unwrap();
    let error = ProtocolError::Twice { found: Kind::ReplyInChunks };
    assert_eq!(pair.inject(HERE, announce(id, 9)), Err(error));
}

#[test]
fn results_over_what_may_be_held_wait_for_their_turn() {
    let (mut pair, binding) = Pair::bound();
    let size = 15 * MIB;
    let ids = [(); 2].map(|()| pair.call(HERE, binding, 1_000, Bytes::new()).unwrap());
    pair.flow();
    // Each is announced before the next, and none is let through before all are.
    for id in ids {
        arrived(&mut pair, THERE);
        assert!(pair.ends[THERE].connection.answer_call(id, reply(large(size))));
        pair.hand_out(THERE, 1);
        pair.take(THERE, 1);
        pair.deliver(HERE).unwrap();
    }
    pair.flow();
    let mut came = Vec::new();
    while let Some(event) = pair.event(HERE) {
        match event {
            Event::Returned { id, result: Ok(reply) } if reply.results.len() == size => came.push(id),
            other => panic!("{other:?}"),
        }
    }
    came.sort_unstable();
    assert_eq!(came, ids);
}

#[test]
fn a_peer_of_the_first_release_gets_and_sends_whole_frames_only() {
    let mut pair = Pair::open_whole([PeerLimits::default(); 2]);
    let binding = pair.bind(HERE);
    pair.call(HERE, binding, 1_000, large(3 * MIB)).unwrap();
    let frames = burst(&mut pair, HERE);
    assert_eq!(kinds(&frames), [Kind::Call]);
    let failure = pair.call(HERE, binding, 1_000, large(5 * MIB)).unwrap_err();
    assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");
    let error = ProtocolError::NotAnnounced { found: Kind::CallInChunks };
    assert_eq!(pair.inject(THERE, announced(9, binding, 1)), Err(error));
}

/// A call whose arguments have not all left when its binding is given back.
fn unbound_early() -> (Pair, BindingId, RequestId) {
    let (mut pair, binding) = Pair::bound();
    let id = pair.call(HERE, binding, 1_000, large(MIB)).unwrap();
    pair.hand_out(HERE, 2);
    pair.ends[HERE].connection.unbind(binding);
    pair.hand_out(HERE, 1);
    pair.take(HERE, 3);
    for _ in 0..3 {
        pair.deliver(THERE).unwrap();
    }
    assert_eq!(pair.event(THERE), None, "neither the call nor the unbind yet");
    assert_eq!(pair.ends[THERE].connection.held().bindings, 1);
    (pair, binding, id)
}

#[test]
fn a_call_that_is_arriving_when_its_binding_is_given_back_is_made() {
    let (mut pair, binding, id) = unbound_early();
    pair.flow();
    assert_eq!(arrived(&mut pair, THERE), (id, large(MIB)));
    assert_eq!(pair.event(THERE), Some(Event::Unbound { binding }));
    assert!(pair.ends[THERE].connection.answer_call(id, reply(Bytes::new())));
    pair.flow();
    assert!(matches!(pair.event(HERE), Some(Event::Returned { result: Ok(_), .. })));
    assert_eq!(pair.ends[THERE].connection.held().bindings, 0);
}

#[test]
fn a_binding_that_was_given_back_goes_with_the_call_that_never_arrives() {
    let (mut pair, binding, id) = unbound_early();
    pair.ends[HERE].connection.cancel(id);
    pair.flow();
    assert_eq!(pair.event(THERE), Some(Event::Unbound { binding }));
    assert_eq!(pair.event(THERE), None);

    let (mut pair, binding, _) = unbound_early();
    pair.advance(2_000);
    assert_eq!(pair.event(THERE), Some(Event::Unbound { binding }), "the time of the call is over");
    assert_eq!(pair.ends[THERE].connection.held().bindings, 0);
}

#[test]
fn nothing_new_is_called_through_a_binding_that_was_given_back() {
    let (mut pair, binding, _) = unbound_early();
    let late = pair.call(HERE, binding, 1_000, Bytes::new()).unwrap();
    pair.flow();
    let events: Vec<Event> = std::iter::from_fn(|| pair.event(HERE)).collect();
    let refused = |event: &Event| matches!(event, Event::Returned { id, result: Err(_) } if *id == late);
    assert!(events.iter().any(refused), "{events:?}");
}
