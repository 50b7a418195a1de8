//! What hostile peers do. Each probe gives back the connections that it leaves open.

use std::thread::JoinHandle;

use bytes::Bytes;
use isorun_core::{CallFailed, Failure, FunctionIndex, Refusal, Reply};
use neorpc::{
    BindingId, BoundFrame, CallFrame, CallInChunksFrame, ChunkFrame, DescribeFrame, DescribedFrame, FailureFrame,
    Frame, FunctionTable, Payload, ReplyFrame, RequestId,
};

use super::house::{ECHO, NEVER, STRICT};
use super::wire::{Raw, bind, call, framed, greeting, hello, prefixed};

/// One way to do harm.
pub struct Probe {
    /// What the peer does.
    pub name: &'static str,
    /// What the server does about it.
    pub promise: &'static str,
    /// Words that stand in the server's log afterwards; empty where there is nothing to refuse.
    pub logged: &'static str,
    /// Does it, so and so much of it where it is done many times.
    pub attack: fn(&str, usize) -> Vec<Raw>,
}

/// Largest frame that a peer takes, in bytes.
const FRAME_BYTES_MAX: usize = neorpc::FRAME_BYTES_MAX;

/// No probe, but what any of them is to be held against: the processor's other users are honest.
pub const HONEST: Probe =
    Probe { name: "none: an honest client at full speed", promise: "answered", logged: "", attack: honest };

/// All of them.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "lengths up to 2^64 - 1",
        promise: "the connection closes before a byte of it is waited for",
        logged: "are carried",
        attack: lengths,
    },
    Probe {
        name: "lengths inside a frame",
        promise: "refused as malformed; nothing is set aside for it",
        logged: "malformed frame",
        attack: inner_lengths,
    },
    Probe { name: "truncated frames", promise: "a lost connection", logged: "", attack: truncated },
    Probe {
        name: "endless frames",
        promise: "the first that is no frame ends the connection",
        logged: "malformed frame",
        attack: endless,
    },
    Probe {
        name: "unknown tags and frame kinds",
        promise: "the connection closes, with the reason",
        logged: "is not supported",
        attack: unknown,
    },
    Probe {
        name: "replies to ids never issued",
        promise: "the connection closes, with the reason",
        logged: "never made",
        attack: never_issued,
    },
    Probe {
        name: "reused ids",
        promise: "the connection closes, with the reason",
        logged: "after request",
        attack: reused,
    },
    Probe {
        name: "10^6 empty frames",
        promise: "the first closes the connection",
        logged: "frame of 0 bytes",
        attack: empty,
    },
    Probe {
        name: "10^6 call + cancel pairs",
        promise: "each is started, stopped and forgotten",
        logged: "",
        attack: cancelled,
    },
    Probe {
        name: "1,000 slow writers",
        promise: "each costs itself alone, and is given up after 20 s of silence",
        logged: "",
        attack: slow_writers,
    },
    Probe {
        name: "half an argument held open",
        promise: "holds what arrived, and is given up after 20 s of silence",
        logged: "",
        attack: half_arguments,
    },
    Probe {
        name: "chunks that break their word",
        promise: "closed, with the reason; what is too large or too much is refused, and its chunks are dropped",
        logged: "come to more than",
        attack: chunks,
    },
    Probe {
        name: "replies never read",
        promise: "calls are refused once too much waits, then the connection closes",
        logged: "overloaded",
        attack: unread,
    },
    Probe {
        name: "16 MiB of bytes",
        promise: "taken, answered and given back where they are calls; refused where they are none",
        logged: "malformed frame",
        attack: sixteen_mib,
    },
    Probe {
        name: "arguments of other types",
        promise: "each call is refused; the connection stays",
        logged: "bad arguments",
        attack: other_types,
    },
    Probe {
        name: "hello floods",
        promise: "the second closes the connection",
        logged: "hello on an open",
        attack: hellos,
    },
    Probe {
        name: "1,000 connections without a word",
        promise: "each costs itself alone, and is closed after 5 s",
        logged: "",
        attack: mute,
    },
    Probe {
        name: "bind floods",
        promise: "refused past 1,024 bindings; the connection stays",
        logged: "overloaded",
        attack: binds,
    },
    Probe {
        name: "binds of what is not there",
        promise: "each is refused",
        logged: "no such instance",
        attack: unknown_instances,
    },
    Probe { name: "ping floods", promise: "answered, one at a time", logged: "", attack: pings },
    Probe {
        name: "going-away floods",
        promise: "the second closes the connection",
        logged: "came twice",
        attack: away,
    },
];

fn honest(address: &str, times: usize) -> Vec<Raw> {
    let mut raw = Raw::greeted(address);
    let answers = raw.drain();
    many(&mut raw, times / 10, |id| framed(&call(id, ECHO, vec![7; 64])));
    ended(raw, answers);
    Vec::new()
}

fn lengths(address: &str, _: usize) -> Vec<Raw> {
    let boundaries = (0..=64).map(|bit| 1_u128 << bit);
    let claims = boundaries.flat_map(|boundary| [boundary - 1, boundary, boundary + 1]);
    for claim in claims.filter(|claim| *claim <= u128::from(u64::MAX)) {
        for header in [claim.to_le_bytes(), claim.to_be_bytes()] {
            for bytes in [&header[..8], &header[8..]] {
                // One that is within the limit waits for its frame, and finds the end instead.
                let mut raw = Raw::connect(address);
                raw.say(bytes);
                raw.finish();
                assert!(raw.is_closed_by_the_other_end(), "{bytes:?}");
            }
        }
    }
    Vec::new()
}

fn inner_lengths(address: &str, _: usize) -> Vec<Raw> {
    let frames = [call(2, ECHO, vec![7; 32]), bind(2, "house")];
    for bytes in frames.iter().map(|frame| frame.encode().unwrap()) {
        for at in 0..bytes.len().saturating_sub(4).min(96) {
            let claims = [u32::MAX, 1 << 31, 1 << 24, 1 << 16];
            let mut raw = Raw::connect(address);
            let mut said = greeting();
            for claim in claims {
                let mut damaged = bytes.to_vec();
                damaged[at..at + 4].copy_from_slice(&claim.to_le_bytes());
                said.extend(prefixed(&damaged));
            }
            raw.say(&said);
            raw.finish();
            assert!(raw.is_closed_by_the_other_end());
        }
    }
    Vec::new()
}

fn truncated(address: &str, _: usize) -> Vec<Raw> {
    let whole = [greeting(), framed(&call(2, ECHO, vec![7; 32]))].concat();
    for end in 0..whole.len() {
        let mut raw = Raw::connect(address);
        raw.say(&whole[..end]);
        raw.finish();
        assert!(raw.is_closed_by_the_other_end(), "{end} bytes");
    }
    Vec::new()
}

fn endless(address: &str, _: usize) -> Vec<Raw> {
    // Lists of lists, strings without end, zeros: whatever a frame may begin with.
    for byte in [0, 1, 0x55, 0x80, 0xff] {
        let mut raw = Raw::greeted(address);
        let frame = prefixed(&vec![byte; FRAME_BYTES_MAX]);
        let taken = (0..64).take_while(|_| raw.say(&frame)).count();
        assert!(taken < 64, "256 MiB of no frame were taken");
    }
    Vec::new()
}

fn unknown(address: &str, _: usize) -> Vec<Raw> {
    for tag in 0..=255 {
        let mut raw = Raw::greeted(address);
        raw.say(&prefixed(&[tag, 0, 0, 0, 0]));
        raw.finish();
        assert!(raw.is_closed_by_the_other_end(), "tag {tag}");
    }
    // The kind is the first number of a frame: a cancel's, made another.
    let cancel = Frame::Cancel(RequestId(1)).encode().unwrap();
    let kind = cancel.iter().position(|byte| *byte == 7).expect("the kind of a cancel");
    for number in (14..=255).chain([256, 1 << 16, u32::MAX]) {
        let mut raw = Raw::greeted(address);
        let mut frame = cancel.to_vec();
        frame[kind..kind + 4].copy_from_slice(&number.to_le_bytes());
        raw.say(&prefixed(&frame));
        raw.finish();
        assert!(raw.is_closed_by_the_other_end(), "kind {number}");
    }
    Vec::new()
}

fn never_issued(address: &str, _: usize) -> Vec<Raw> {
    let failure = || Failure::from(Refusal::Other { kind: "none".to_owned(), text: String::new() });
    for id in [1, 2, u64::MAX].map(RequestId) {
        let reply = Reply { results: Bytes::from_static(b"nobody asked"), fuel_used: 0 };
        let table = FunctionTable { binding: BindingId(0), functions: 1 };
        let answers = [
            Frame::Reply(ReplyFrame { id, reply }),
            Frame::Failure(FailureFrame { id, failed: CallFailed { failure: failure(), fuel_used: 0 } }),
            Frame::Bound(BoundFrame { id, result: Ok(table) }),
            Frame::Described(DescribedFrame { id, result: Err(failure()) }),
            Frame::Pong(id.0),
            Frame::Cancel(RequestId(id.0.max(2))),
            Frame::Unbind(BindingId(7)),
        ];
        for answer in answers {
            let mut raw = Raw::greeted(address);
            raw.say(&framed(&answer));
            assert!(raw.is_closed_by_the_other_end(), "{answer:?}");
        }
    }
    Vec::new()
}

fn reused(address: &str, _: usize) -> Vec<Raw> {
    for id in [0, 1, 2] {
        let mut raw = Raw::greeted(address);
        raw.say(&[framed(&call(2, NEVER, vec![])), framed(&call(id, ECHO, vec![]))].concat());
        assert!(raw.is_closed_by_the_other_end(), "id {id}");
    }
    Vec::new()
}

fn empty(address: &str, times: usize) -> Vec<Raw> {
    let mut raw = Raw::greeted(address);
    raw.say(&vec![0; 4 * times]);
    raw.finish();
    assert!(raw.is_closed_by_the_other_end());
    // And each on a connection of its own.
    for _ in 0..times / 1_000 {
        let mut raw = Raw::connect(address);
        raw.say(&[0; 4]);
        assert!(raw.is_closed_by_the_other_end());
    }
    Vec::new()
}

fn cancelled(address: &str, times: usize) -> Vec<Raw> {
    let mut raw = Raw::greeted(address);
    let answers = raw.drain();
    many(&mut raw, times, |id| [framed(&call(id, NEVER, vec![7; 64])), framed(&Frame::Cancel(RequestId(id)))].concat());
    ended(raw, answers);
    Vec::new()
}

fn slow_writers(address: &str, _: usize) -> Vec<Raw> {
    let mut raws: Vec<Raw> = (0..1_000).map(|_| Raw::connect(address)).collect();
    let whole = [greeting(), framed(&call(2, ECHO, vec![7; 512]))].concat();
    let (quick, slow) = whole.split_at(greeting().len());
    for raw in &mut raws {
        assert!(raw.say(quick));
    }
    for byte in &slow[..slow.len() / 2] {
        for raw in &mut raws {
            raw.say(&[*byte]);
        }
    }
    raws
}

fn half_arguments(address: &str, _: usize) -> Vec<Raw> {
    let whole = framed(&call(2, ECHO, vec![7; FRAME_BYTES_MAX - 1024]));
    let mut raws: Vec<Raw> = (0..8).map(|_| Raw::greeted(address)).collect();
    for raw in &mut raws {
        assert!(raw.say(&whole[..whole.len() / 2]));
    }
    raws
}

fn chunks(address: &str, _: usize) -> Vec<Raw> {
    // More than may be under way, of one argument and of many.
    for claim in [16 << 20, 1 << 20] {
        let mut raw = Raw::greeted(address);
        let answers = raw.drain();
        let chunks = |id| [in_chunks(id, claim), chunk(id, 64 << 10).repeat(16)].concat();
        // Whether it is cut off depends on how soon credit is given; that nothing is kept does not.
        let _ = (2..200).find(|id| !raw.say(&chunks(*id)));
        ended(raw, answers);
    }
    // More than was announced, nothing at all, and chunks of what nobody announced.
    for said in [[in_chunks(2, 1), chunk(2, 2)].concat(), in_chunks(2, 0), chunk(7, 1), chunk(0, 1)] {
        let mut raw = Raw::greeted(address);
        raw.say(&said);
        assert!(raw.is_closed_by_the_other_end());
    }
    // Each is refused; the connection stays.
    let mut raw = Raw::greeted(address);
    for id in 2..64 {
        assert!(raw.say(&in_chunks(id, u64::MAX >> (id - 2).min(38))));
        let answer = raw.hear().expect("a refusal");
        assert!(matches!(Frame::decode(&answer), Ok(Frame::Failure(_))));
    }
    // Half of a large argument, within its credit, and then nothing.
    assert!(raw.say(&[in_chunks(64, 16 << 20), chunk(64, 64 << 10).repeat(8)].concat()));
    vec![raw]
}

/// Announces a call of `echo` with so many bytes of arguments.
fn in_chunks(id: u64, args_bytes: u64) -> Vec<u8> {
    let Frame::Call(call) = call(id, ECHO, vec![]) else { return Vec::new() };
    let CallFrame { id, binding, function, with, args: _ } = call;
    framed(&Frame::CallInChunks(CallInChunksFrame { id, binding, function, with, args_bytes }))
}

fn chunk(id: u64, size: usize) -> Vec<u8> {
    framed(&Frame::Chunk(ChunkFrame { id: RequestId(id), of: Payload::Arguments, data: vec![7; size].into() }))
}

fn unread(address: &str, times: usize) -> Vec<Raw> {
    let mut last = None;
    for size in [64, 64 << 10, FRAME_BYTES_MAX - 1024] {
        drop(last.take());
        let mut raw = Raw::greeted(address);
        for id in 2..=times as u64 {
            if !raw.say(&framed(&call(id, ECHO, vec![7; size]))) || id * size as u64 > 512 << 20 {
                break;
            }
        }
        last = Some(raw);
    }
    last.into_iter().collect()
}

fn sixteen_mib(address: &str, _: usize) -> Vec<Raw> {
    let mut raw = Raw::greeted(address);
    for id in 2..6 {
        assert!(raw.say(&framed(&call(id, ECHO, vec![7; FRAME_BYTES_MAX - 1024]))));
    }
    for _ in 2..6 {
        let reply = raw.hear().expect("an answer");
        assert!(matches!(Frame::decode(&reply), Ok(Frame::ReplyInChunks(_) | Frame::Chunk(_))));
    }
    for byte in [0, 1, 7, 255] {
        let mut raw = Raw::greeted(address);
        raw.say(&vec![byte; 16 << 20]);
        assert!(raw.is_closed_by_the_other_end());
        let mut raw = Raw::greeted(address);
        for _ in 0..4 {
            raw.say(&prefixed(&vec![byte; FRAME_BYTES_MAX]));
        }
        assert!(raw.is_closed_by_the_other_end());
    }
    vec![raw]
}

fn other_types(address: &str, times: usize) -> Vec<Raw> {
    let mut raw = Raw::greeted(address);
    let answers = raw.drain();
    many(&mut raw, times / 10, |id| framed(&call(id, STRICT, vec![id as u8; id as usize % 9])));
    assert!(raw.say(&framed(&call(1 << 40, FunctionIndex(77), vec![]))));
    ended(raw, answers);
    Vec::new()
}

fn hellos(address: &str, times: usize) -> Vec<Raw> {
    let hellos = framed(&hello()).repeat(times / 100);
    for _ in 0..10 {
        let mut raw = Raw::connect(address);
        raw.say(&hellos);
        assert!(raw.is_closed_by_the_other_end());
    }
    Vec::new()
}

fn mute(address: &str, _: usize) -> Vec<Raw> {
    (0..1_000).map(|_| Raw::connect(address)).collect()
}

fn binds(address: &str, times: usize) -> Vec<Raw> {
    let mut raw = Raw::greeted(address);
    let answers = raw.drain();
    many(&mut raw, times / 10, |id| framed(&bind(id, "house")));
    many_from(&mut raw, times as u64, times / 10, |id| {
        let unbind = framed(&Frame::Unbind(BindingId((id % 1_000) as u32)));
        [unbind, framed(&bind(id, "house"))].concat()
    });
    ended(raw, answers);
    Vec::new()
}

fn unknown_instances(address: &str, times: usize) -> Vec<Raw> {
    let mut raw = Raw::greeted(address);
    let answers = raw.drain();
    many(&mut raw, times / 10, |id| {
        let instance = format!("{id:0>500}");
        let describe = Frame::Describe(DescribeFrame { id: RequestId(2 * id + 1), instance: instance.clone() });
        [framed(&bind(2 * id, &instance)), framed(&describe)].concat()
    });
    ended(raw, answers);
    Vec::new()
}

fn pings(address: &str, times: usize) -> Vec<Raw> {
    let mut raw = Raw::greeted(address);
    let answers = raw.drain();
    many(&mut raw, times, |id| framed(&Frame::Ping(id)));
    ended(raw, answers);
    Vec::new()
}

fn away(address: &str, times: usize) -> Vec<Raw> {
    let mut raw = Raw::greeted(address);
    raw.say(&framed(&Frame::GoingAway(RequestId::NONE)).repeat(times / 10));
    assert!(raw.is_closed_by_the_other_end());
    Vec::new()
}

/// Says what `frames` makes of so many numbers, which grow; the other end must take it all.
fn many(raw: &mut Raw, times: usize, frames: impl Fn(u64) -> Vec<u8>) {
    many_from(raw, 2, times, frames);
}

fn many_from(raw: &mut Raw, first: u64, times: usize, frames: impl Fn(u64) -> Vec<u8>) {
    let numbers: Vec<u64> = (first..first + times as u64).collect();
    for some in numbers.chunks(100) {
        let said: Vec<u8> = some.iter().flat_map(|id| frames(*id)).collect();
        assert!(raw.say(&said), "the other end closed a connection that does what it may");
    }
}

/// Waits until all was answered that was said.
fn ended(raw: Raw, answers: JoinHandle<u64>) {
    raw.finish();
    answers.join().unwrap();
}
