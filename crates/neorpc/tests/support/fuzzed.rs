//! What the fuzz targets do with their bytes; `corpus.rs` does the same with the corpora.
#![allow(dead_code, reason = "each fuzz target uses its own part")]

use bytes::Bytes;
use neorpc::Frame;

use crate::world::{Op, World, rarely_welcome};

/// Most operations of one input: what they find is found by then.
const OPERATIONS_MAX: usize = 400;

/// Any bytes are refused, or a frame that survives a round trip.
pub fn frames(data: &[u8]) {
    let Ok(frame) = Frame::decode(&Bytes::copy_from_slice(data)) else { return };
    let bytes = frame.encode().unwrap_or_else(|error| panic!("{error}: {frame:?}"));
    let again = Frame::decode(&bytes).unwrap_or_else(|error| panic!("{error}: {frame:?}"));
    assert_eq!(again, frame);
    // What is skipped is gone the first time round, and nothing more the second.
    assert_eq!(again.encode().unwrap(), bytes);
}

/// Whatever is done and whatever comes in, every request ends once.
pub fn connections(data: &[u8]) {
    let Some((first, mut input)) = data.split_first() else { return };
    let mut world = if first % 4 == 0 { World::silent() } else { World::new() };
    for _ in 0..OPERATIONS_MAX {
        let Some(op) = operation(&mut input) else { break };
        world.apply(&op);
    }
    world.finish();
    world.check_ended();
}

/// The operation in front of `input`: a byte that says which and at which end, a byte for how, and a frame's bytes.
fn operation(input: &mut &[u8]) -> Option<Op> {
    let [first, how, rest @ ..] = *input else { return None };
    *input = rest;
    let (end, which) = (usize::from(first >> 7), usize::from(*how));
    Some(match first % 16 {
        0 => Op::Bind { end },
        1 => Op::Unbind { end, which },
        2 => Op::Describe { end },
        3 => Op::Call { end, which: which % 8, ms: 1 + u64::from(how >> 3) },
        4 => Op::Cancel { end, which },
        5 => Op::Answer { end, which: which / 2, ok: how % 2 == 0 },
        6 => Op::HandOut { end, frames: 1 + which % 5 },
        7 => Op::Take { end, frames: 1 + which % 5 },
        8 | 9 => Op::Deliver { end },
        10 => Op::Advance { ms: u64::from(*how) },
        11 => Op::Advance { ms: 100 * u64::from(*how) },
        12 => Op::GoAway { end },
        13 => Op::Garbage { end, bytes: rarely_welcome(how >> 4, how & 15) },
        14 => {
            let (bytes, rest) = input.split_at(which.min(input.len()));
            *input = rest;
            Op::Garbage { end, bytes: bytes.to_vec() }
        }
        _ if *how == 0 => Op::Lose { end },
        _ => {
            let (at, rest) = input.split_first().unwrap_or((&0, &[]));
            *input = rest;
            Op::Damage { end, at: usize::from(*at), flip: *how }
        }
    })
}
