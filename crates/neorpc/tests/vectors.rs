//! The specification's examples, each way, whole and broken.

mod support;

use std::collections::HashSet;

use bytes::Bytes;
use neorpc::{Frame, Kind};
use support::{SPEC, hex, say, vectors};

#[test]
fn every_example_means_what_the_specification_says() {
    for vector in vectors() {
        assert_eq!(say(&Frame::decode(&vector.bytes)), vector.means, "{}", hex(&vector.bytes));
    }
}

#[test]
fn every_accepted_example_encodes_to_its_own_bytes() {
    for vector in vectors().into_iter().filter(|vector| !vector.lenient) {
        if let Ok(frame) = Frame::decode(&vector.bytes) {
            assert_eq!(hex(&frame.encode().unwrap()), hex(&vector.bytes), "{}", vector.means);
        }
    }
}

#[test]
fn every_kind_has_an_example_and_a_row_in_the_specification() {
    let kinds: HashSet<Kind> =
        vectors().iter().filter_map(|vector| Frame::decode(&vector.bytes).ok()).map(|frame| frame.kind()).collect();
    for kind in Kind::ALL {
        let row = format!("| {} | {} |", kind.number(), kind.name());
        assert!(SPEC.contains(&row), "{row}");
        assert_eq!(kinds.contains(kind), *kind != Kind::Drop, "{kind}");
    }
}

#[test]
fn every_truncation_of_every_example_is_refused() {
    for vector in vectors() {
        for len in 0..vector.bytes.len() {
            assert!(Frame::decode(&vector.bytes.slice(..len)).is_err(), "{} cut to {len}", vector.means);
        }
    }
}

#[test]
fn every_single_byte_change_of_every_example_is_refused_or_a_frame_that_survives_a_round_trip() {
    for vector in vectors() {
        for place in 0..vector.bytes.len() {
            for change in 1..=255_u8 {
                let mut bytes = vector.bytes.to_vec();
                bytes[place] ^= change;
                if let Ok(frame) = Frame::decode(&Bytes::from(bytes)) {
                    let again = Frame::decode(&frame.encode().unwrap()).unwrap();
                    assert_eq!(again, frame, "{} changed at {place}", vector.means);
                }
            }
        }
    }
}

#[test]
fn all_short_inputs_are_refused_without_harm() {
    for len in 0..=2_u32 {
        for number in 0..256_u32.pow(len) {
            let bytes = Bytes::copy_from_slice(&number.to_le_bytes()[..len as usize]);
            assert!(Frame::decode(&bytes).is_err());
        }
    }
}

#[test]
fn the_limits_in_the_specification_are_those_of_the_code() {
    let limits = [
        ("FRAME_BYTES_MAX", neorpc::FRAME_BYTES_MAX as u64),
        ("FRAME_BYTES_MIN", neorpc::FRAME_BYTES_MIN as u64),
        ("CALLS_MAX", u64::from(neorpc::CALLS_MAX)),
        ("BINDINGS_MAX", u64::from(neorpc::BINDINGS_MAX)),
        ("FUNCTIONS_MAX", neorpc::FUNCTIONS_MAX as u64),
        ("FEATURES_MAX", neorpc::FEATURES_MAX as u64),
        ("NAME_BYTES_MAX", neorpc::NAME_BYTES_MAX as u64),
        ("TEXT_BYTES_MAX", neorpc::TEXT_BYTES_MAX as u64),
        ("CHAIN_MAX", isorun_core::CHAIN_MAX as u64),
        ("HELLO_MS_MAX", neorpc::HELLO_MS_MAX),
        ("PING_IDLE_MS", neorpc::PING_IDLE_MS),
        ("PONG_MS", neorpc::PONG_MS),
        ("CHUNK_BYTES_MAX", neorpc::CHUNK_BYTES_MAX as u64),
        ("WINDOW_BYTES", neorpc::WINDOW_BYTES as u64),
        ("WINDOW_BYTES_MIN", neorpc::WINDOW_BYTES_MIN as u64),
        ("WINDOW_BYTES_MAX", neorpc::WINDOW_BYTES_MAX as u64),
        ("WINDOW_FRAMES", u64::from(neorpc::WINDOW_FRAMES)),
        ("VALUE_BYTES_MAX", u64::from(neopack::VALUE_BYTES_MAX)),
        ("DEADLINE_MS_MAX", neorpc::DEADLINE_MS_MAX),
    ];
    for (name, value) in limits {
        let row = format!("| {name} | {value} |");
        assert!(SPEC.contains(&row), "{row}");
    }
}
