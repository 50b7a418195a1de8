//! Frames for random contents, and at their limits.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{
    BindRequest, CHAIN_MAX, CallFailed, Failure, Fault, FunctionIndex, InstanceUid, Refusal, Reply, Trace,
};
use neorpc::{
    BindFrame, BindingId, BoundFrame, CHUNK_BYTES_MAX, CallFrame, CallInChunksFrame, ChunkFrame, Companions,
    CreditFrame, DescribeFrame, DescribedFrame, Description, FEATURE_CHUNKS, FRAME_BYTES_MAX, FUNCTIONS_MAX,
    FailureFrame, Frame, FrameError, FunctionTable, Hello, NAME_BYTES_MAX, Payload, PeerLimits, ReplyFrame,
    ReplyInChunksFrame, RequestId, SelfContainedCall, TEXT_BYTES_MAX, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN,
    WINDOW_FRAMES,
};
use proptest::prelude::*;

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn text() -> impl Strategy<Value = String> {
    ".{0,40}"
}

fn companions() -> impl Strategy<Value = Companions> {
    let chain = prop::collection::vec(any::<[u8; 16]>().prop_map(InstanceUid), 0..5).prop_map(Arc::from);
    let trace =
        prop_oneof![Just(Trace::default()), any::<([u8; 16], [u8; 8])>().prop_map(|(id, span)| Trace { id, span })];
    (any::<u64>(), any::<Option<u64>>(), chain, trace).prop_map(|(deadline_ms, fuel, chain, trace)| Companions {
        deadline_ms,
        fuel,
        chain,
        trace,
    })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        (text(), any::<u64>()).prop_map(|(what, limit)| Refusal::Overloaded { what, limit }),
        (text(), any::<u64>()).prop_map(|(instance, waited_ms)| Refusal::Busy { instance, waited_ms }),
        text().prop_map(|instance| Refusal::Reentrant { instance }),
        text().prop_map(|reason| Refusal::Unauthorised { reason }),
        (text(), bytes()).prop_map(|(detail, ledger)| Refusal::Incompatible { detail, ledger }),
        text().prop_map(|instance| Refusal::NoSuchInstance { instance }),
        (text(), text()).prop_map(|(instance, function)| Refusal::NoSuchFunction { instance, function }),
        text().prop_map(|detail| Refusal::BadArguments { detail }),
        (text(), any::<u64>(), any::<u64>()).prop_map(|(instance, held, needed)| Refusal::ShortOfFuel {
            instance,
            held,
            needed
        }),
        any::<u64>().prop_map(|limit| Refusal::ChainTooLong { limit }),
        text().prop_map(|text| Refusal::Other { kind: "quarantined".to_owned(), text }),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        text().prop_map(|message| Fault::Trapped { message }),
        any::<u64>().prop_map(|limit| Fault::OutOfFuel { limit }),
        any::<(u64, u64)>().prop_map(|(wanted, limit)| Fault::OutOfMemory { wanted, limit }),
        (text(), any::<u64>(), any::<u64>()).prop_map(|(what, wanted, limit)| Fault::OverBudget {
            what,
            wanted,
            limit
        }),
        any::<u64>().prop_map(|limit_ms| Fault::OutOfTime { limit_ms }),
        any::<i32>().prop_map(|code| Fault::Exited { code }),
        text().prop_map(|detail| Fault::BadResults { detail }),
        text().prop_map(|detail| Fault::Bug { detail }),
        text().prop_map(|text| Fault::Other { kind: "melted".to_owned(), text }),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        text().prop_map(|cause| Failure::NotSent { cause }),
        text().prop_map(|cause| Failure::Unknown { cause }),
        refusal().prop_map(Failure::Refused),
        fault().prop_map(Failure::Failed),
        any::<u64>().prop_map(|waited_ms| Failure::Deadline { waited_ms }),
        Just(Failure::Cancelled),
    ]
}

fn id() -> impl Strategy<Value = RequestId> {
    any::<u64>().prop_map(RequestId)
}

fn frame() -> impl Strategy<Value = Frame> {
    let limits = (8192..=FRAME_BYTES_MAX, 1..2000_u32, 1..2000_u32, WINDOW_BYTES_MIN..1 << 30).prop_map(
        |(frame_bytes_max, calls_max, bindings_max, window_bytes)| PeerLimits {
            frame_bytes_max,
            calls_max,
            bindings_max,
            window_bytes,
        },
    );
    let hello = (limits, prop::collection::vec(text(), 0..3)).prop_map(|(limits, mut features)| {
        // Only who takes chunks says how much of them.
        features.push(FEATURE_CHUNKS.to_owned());
        Frame::Hello(Hello { version: 1, limits, features })
    });
    let in_chunks = (id(), any::<(u32, u32)>(), companions(), any::<u64>()).prop_map(
        |(id, (binding, function), with, args_bytes)| {
            let (binding, function) = (BindingId(binding), FunctionIndex(function));
            Frame::CallInChunks(CallInChunksFrame { id, binding, function, with, args_bytes })
        },
    );
    let reply_in_chunks = (id(), any::<(u64, u64)>()).prop_map(|(id, (fuel_used, results_bytes))| {
        Frame::ReplyInChunks(ReplyInChunksFrame { id, fuel_used, results_bytes })
    });
    let of = || prop_oneof![Just(Payload::Arguments), Just(Payload::Results)];
    let chunk = (id(), of(), prop::collection::vec(any::<u8>(), 1..200))
        .prop_map(|(id, of, data)| Frame::Chunk(ChunkFrame { id, of, data: data.into() }));
    let to = (1_u64.., of()).prop_map(|(id, of)| (RequestId(id), of));
    let credit = (prop::option::of(to), 0..=WINDOW_BYTES_MAX as u64, 0..=WINDOW_FRAMES)
        .prop_map(|(to, bytes, frames)| Frame::Credit(CreditFrame { to, bytes, frames }));
    let functions = prop::collection::vec((text(), any::<[u8; 32]>()), 0..4);
    let bind = (id(), text(), prop::option::of(text()), functions).prop_map(|(id, instance, interface, functions)| {
        Frame::Bind(BindFrame { id, instance, want: BindRequest { interface, functions } })
    });
    let table =
        any::<(u32, u32)>().prop_map(|(binding, functions)| FunctionTable { binding: BindingId(binding), functions });
    let bound = (id(), prop_oneof![table.prop_map(Ok), failure().prop_map(Err)])
        .prop_map(|(id, result)| Frame::Bound(BoundFrame { id, result }));
    let call = (id(), any::<(u32, u32)>(), companions(), bytes()).prop_map(|(id, (binding, function), with, args)| {
        let (binding, function) = (BindingId(binding), FunctionIndex(function));
        Frame::Call(CallFrame { id, binding, function, with, args })
    });
    let reply = (id(), any::<u64>(), bytes())
        .prop_map(|(id, fuel_used, results)| Frame::Reply(ReplyFrame { id, reply: Reply { results, fuel_used } }));
    let failed = (id(), any::<u64>(), failure()).prop_map(|(id, fuel_used, failure)| {
        Frame::Failure(FailureFrame { id, failed: CallFailed { failure, fuel_used } })
    });
    let describe = (id(), text()).prop_map(|(id, instance)| Frame::Describe(DescribeFrame { id, instance }));
    let description =
        (bytes(), any::<Option<bool>>()).prop_map(|(ledger, keeps_state)| Ok(Description { ledger, keeps_state }));
    let described = (id(), prop_oneof![description, failure().prop_map(Err)])
        .prop_map(|(id, result)| Frame::Described(DescribedFrame { id, result }));
    let once = (text(), prop::option::of(text()), text(), any::<[u8; 32]>(), companions(), bytes()).prop_map(
        |(instance, interface, function, hash, with, args)| {
            Frame::SelfContained(SelfContainedCall { instance, interface, function, hash, with, args })
        },
    );
    prop_oneof![
        hello,
        bind,
        bound,
        any::<u32>().prop_map(|binding| Frame::Unbind(BindingId(binding))),
        call,
        reply,
        failed,
        id().prop_map(Frame::Cancel),
        any::<u64>().prop_map(Frame::Ping),
        any::<u64>().prop_map(Frame::Pong),
        id().prop_map(Frame::GoingAway),
        describe,
        described,
        once,
        in_chunks,
        reply_in_chunks,
        chunk,
        credit
    ]
}

proptest! {
    #[test]
    fn every_frame_survives_a_round_trip(frame in frame()) {
        let bytes = frame.encode().unwrap();
        prop_assert_eq!(&Frame::decode(&bytes).unwrap(), &frame);
        match &frame {
            Frame::Call(call) => prop_assert_eq!(call.encoded_len(), bytes.len()),
            Frame::Reply(reply) => prop_assert_eq!(reply.encoded_len(), bytes.len()),
            _ => {}
        }
    }

    #[test]
    fn whatever_is_decoded_can_be_encoded(frame in frame(), changes in prop::collection::vec(any::<(usize, u8)>(), 1..5)) {
        let mut bytes = frame.encode().unwrap().to_vec();
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        if let Ok(frame) = Frame::decode(&Bytes::from(bytes)) {
            prop_assert_eq!(Frame::decode(&frame.encode().unwrap()).unwrap(), frame);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Frame::decode(&Bytes::from(bytes));
    }
}

fn call(args: usize, chain: usize) -> CallFrame {
    let chain = vec![InstanceUid([7; 16]); chain].into();
    CallFrame {
        id: RequestId(1),
        binding: BindingId(0),
        function: FunctionIndex(0),
        with: Companions { deadline_ms: 1, fuel: None, chain, trace: Trace::default() },
        args: Bytes::from(vec![0; args]),
    }
}

#[test]
fn arguments_and_results_share_the_frames_memory() {
    let frame = call(100, 0).encode().unwrap();
    let args = CallFrame::decode(&frame).unwrap().args;
    assert!(frame.as_ptr_range().contains(&args.as_ptr()));
}

#[test]
fn a_frame_at_its_limit_travels_and_one_byte_more_does_not() {
    let room = FRAME_BYTES_MAX - call(0, 0).encoded_len();
    let frame = call(room, 0).encode().unwrap();
    assert_eq!(frame.len(), FRAME_BYTES_MAX);
    assert_eq!(CallFrame::decode(&frame).unwrap(), call(room, 0));
    assert!(matches!(call(room + 1, 0).encode(), Err(FrameError::Pack(_))));
}

#[test]
fn a_chain_at_its_limit_travels_and_one_instance_more_does_not() {
    assert!(CallFrame::decode(&call(0, CHAIN_MAX).encode().unwrap()).is_ok());
    let error = FrameError::TooMany { what: "instances in the chain", size: CHAIN_MAX + 1, max: CHAIN_MAX };
    assert_eq!(call(0, CHAIN_MAX + 1).encode(), Err(error));
}

#[test]
fn a_bind_at_its_limits_travels_and_one_more_does_not() {
    let bind = |functions: usize, name: usize| {
        let functions = vec![("f".repeat(name), [0; 32]); functions];
        let want = BindRequest { interface: None, functions };
        Frame::Bind(BindFrame { id: RequestId(1), instance: "i".to_owned(), want })
    };
    let most = bind(FUNCTIONS_MAX, NAME_BYTES_MAX);
    assert_eq!(Frame::decode(&most.encode().unwrap()).unwrap(), most);
    let error = FrameError::TooMany { what: "functions", size: FUNCTIONS_MAX + 1, max: FUNCTIONS_MAX };
    assert_eq!(bind(FUNCTIONS_MAX + 1, 1).encode(), Err(error));
    let error = FrameError::TooMany { what: "function", size: NAME_BYTES_MAX + 1, max: NAME_BYTES_MAX };
    assert_eq!(bind(1, NAME_BYTES_MAX + 1).encode(), Err(error));
}

#[test]
fn a_long_text_is_clipped_at_a_characters_end() {
    let sent = |detail: String| {
        let failure = Failure::from(Refusal::BadArguments { detail });
        let frame = Frame::Failure(FailureFrame { id: RequestId(1), failed: failure.into() }).encode().unwrap();
        match Frame::decode(&frame).unwrap() {
            Frame::Failure(FailureFrame { failed, .. }) => match failed.failure {
                Failure::Refused(Refusal::BadArguments { detail }) => detail,
                other => panic!("{other}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let most = "x".repeat(TEXT_BYTES_MAX);
    assert_eq!(sent(most.clone()), most);
    assert_eq!(sent(format!("{most}x")), most);
    // Two bytes each, and an odd number of them before the limit.
    let accents = format!("x{}", "é".repeat(TEXT_BYTES_MAX));
    assert_eq!(sent(accents).len(), TEXT_BYTES_MAX - 1);
}

#[test]
fn a_chunk_at_its_limits_travels_and_a_byte_more_or_less_does_not() {
    let chunk = |size: usize| {
        let data = Bytes::from(vec![7; size]);
        let frame = Frame::Chunk(ChunkFrame { id: RequestId(1), of: Payload::Results, data });
        Frame::decode(&frame.encode().unwrap()).map(|read| assert_eq!(read, frame))
    };
    assert_eq!(chunk(1), Ok(()));
    assert_eq!(chunk(CHUNK_BYTES_MAX), Ok(()));
    assert_eq!(chunk(0), Err(FrameError::ChunkSize { size: 0 }));
    assert_eq!(chunk(CHUNK_BYTES_MAX + 1), Err(FrameError::ChunkSize { size: CHUNK_BYTES_MAX + 1 }));
}

#[test]
fn credit_at_its_limits_travels_and_one_more_does_not() {
    let credit = |to, bytes: u64, frames| {
        let frame = Frame::Credit(CreditFrame { to, bytes, frames });
        Frame::decode(&frame.encode().unwrap()).map(|read| assert_eq!(read, frame))
    };
    let (bytes, frames) = (WINDOW_BYTES_MAX as u64, WINDOW_FRAMES);
    assert_eq!(credit(None, bytes, frames), Ok(()));
    let more = |bytes, frames| Err(FrameError::CreditTooLarge { bytes, frames });
    assert_eq!(credit(None, bytes + 1, frames), more(bytes + 1, frames));
    assert_eq!(credit(None, bytes, frames + 1), more(bytes, frames + 1));
    assert_eq!(credit(Some((RequestId::NONE, Payload::Results)), 1, 1), Err(FrameError::CreditForNothing));
}
