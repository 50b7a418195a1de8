//! The specification's examples, and what becomes of them when a byte is lost or changed.

mod support;

use neopack::{Decoder, Tag, validate};
use support::{Event, encode, events, hex, print, vectors};

#[test]
fn every_vector_is_what_it_says() {
    let mut wrong = Vec::new();
    for vector in vectors() {
        let found = match events(&vector.bytes) {
            Ok(events) => print(&events),
            Err(refusal) => format!("refused: {refusal}"),
        };
        if found != vector.expected {
            wrong.push(format!("{}\n  expected {}\n  found    {found}", hex(&vector.bytes), vector.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn validate_and_skip_agree_with_reading_item_by_item() {
    for vector in vectors() {
        let read = events(&vector.bytes).map(drop);
        assert_eq!(validate(&vector.bytes), read, "{}", hex(&vector.bytes));
    }
}

#[test]
fn every_accepted_vector_encodes_to_the_same_bytes() {
    for vector in vectors() {
        if let Ok(events) = events(&vector.bytes) {
            assert_eq!(hex(&encode(&events).unwrap()), hex(&vector.bytes));
        }
    }
}

#[test]
fn every_tag_has_a_vector() {
    let vectors = vectors();
    for tag in Tag::ALL {
        let has_one = vectors.iter().any(|v| v.bytes.first() == Some(&(*tag as u8)) && events(&v.bytes).is_ok());
        assert!(has_one, "no accepted vector starts with {tag}");
    }
}

#[test]
fn every_truncation_of_a_vector_is_refused() {
    for vector in vectors() {
        if events(&vector.bytes).is_err() {
            continue;
        }
        for len in 0..vector.bytes.len() {
            let short = &vector.bytes[..len];
            let refusal = events(short).expect_err("a front of a value is no value");
            assert_eq!(validate(short), Err(refusal), "{}", hex(short));
        }
    }
}

#[test]
fn every_single_byte_change_of_a_vector_is_refused_or_another_value() {
    for vector in vectors() {
        let original = events(&vector.bytes);
        for at in 0..vector.bytes.len() {
            let mut bytes = vector.bytes.clone();
            for byte in (0..=u8::MAX).filter(|byte| *byte != vector.bytes[at]) {
                bytes[at] = byte;
                let changed = events(&bytes);
                assert_eq!(validate(&bytes), changed.clone().map(drop), "{}", hex(&bytes));
                if let Ok(events) = changed {
                    assert_ne!(Ok(&events), original.as_ref(), "{}", hex(&bytes));
                    assert_eq!(hex(&encode(&events).unwrap()), hex(&bytes));
                }
            }
        }
    }
}

#[test]
fn a_byte_more_after_a_vector_is_refused() {
    for vector in vectors() {
        for byte in 0..=u8::MAX {
            let mut bytes = vector.bytes.clone();
            bytes.push(byte);
            if events(&vector.bytes).is_ok() {
                assert!(validate(&bytes).is_err(), "{}", hex(&bytes));
            }
        }
    }
}

#[test]
fn skipping_an_item_ends_where_reading_it_ends() {
    for vector in vectors() {
        let Ok(found) = events(&vector.bytes) else { continue };
        if found == [Event::Unit] {
            continue;
        }
        // Inside a list, so that skipping has somewhere to go on from.
        let mut enc = neopack::Encoder::new();
        enc.list_begin(3).unwrap();
        enc.u32(7).unwrap();
        enc.raw(&vector.bytes).unwrap();
        enc.u8(9).unwrap();
        enc.list_end().unwrap();
        let bytes = enc.finish().unwrap();
        let mut dec = Decoder::new(&bytes);
        dec.list_begin().unwrap();
        dec.u32().unwrap();
        let start = dec.offset();
        dec.skip().unwrap();
        assert_eq!(dec.offset() - start, vector.bytes.len());
        assert_eq!(dec.u8(), Ok(9));
        dec.list_end().unwrap();
        dec.finish().unwrap();
    }
}
