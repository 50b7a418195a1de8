//! Every input of up to three bytes.

mod support;

use std::thread;

use neopack::validate;
use support::{encode, events, hex};

/// What is accepted must be the one encoding of its value.
fn accepts_canonically(bytes: &[u8]) -> bool {
    if validate(bytes).is_err() {
        return false;
    }
    let again = encode(&events(bytes).unwrap()).unwrap();
    assert_eq!(hex(&again), hex(bytes));
    true
}

#[test]
fn every_input_of_up_to_three_bytes_is_refused_or_canonical() {
    let halves = [0..=0x7f_u8, 0x80..=0xff].map(|firsts| {
        thread::spawn(move || {
            let mut accepted = 0_u32;
            for first in firsts {
                accepted += u32::from(accepts_canonically(&[first]));
                for second in 0..=u8::MAX {
                    accepted += u32::from(accepts_canonically(&[first, second]));
                    for third in 0..=u8::MAX {
                        accepted += u32::from(accepts_canonically(&[first, second, third]));
                    }
                }
            }
            accepted
        })
    });
    let accepted: u32 = halves.map(|half| half.join().unwrap()).iter().sum();

    // Of one byte: Unit and None. Of two: Bool (2), U8 and S8 (256 each), and None in one of Some, ResultOk, ResultErr or
    // Unit in one of the latter two (5). Of three: U16 and S16 (65,536 each); what has two bytes (519), and is not a
    // value of its own, in Some, ResultOk, ResultErr.
    let of_one = 2;
    let of_two = 2 + 256 + 256 + 5;
    let of_three = 2 * 65_536 + 3 * of_two;
    assert_eq!(accepted, of_one + of_two + of_three);
    assert!(!accepts_canonically(&[]));
}

#[test]
fn every_byte_after_every_tag_with_a_length_is_refused_or_canonical() {
    for tag in [0x10, 0x11, 0x12, 0x13, 0x14, 0x15] {
        // Four bytes that a length of four speaks of: each one is tried with every value, the others with a few.
        for at in 0..4 {
            for byte in 0..=u8::MAX {
                for others in [0, 1, 2, 3, 0x14, 0x18, 0x19, 0x1a] {
                    let mut bytes = [tag, 4, 0, 0, 0, others, others, others, others];
                    bytes[5 + at] = byte;
                    accepts_canonically(&bytes);
                }
            }
        }
    }
}
