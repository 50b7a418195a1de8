//! What the fuzz targets do with their bytes; `corpus.rs` does the same with the corpora.
#![allow(dead_code, reason = "each fuzz target uses its own part")]

use neopack::{Decoder, Encoder, Leaf, Limits, ShapeBuf, Width, validate};

use crate::support::{encode, events, events_within, hex};

/// Any bytes are refused, or a value whose items encode to the same bytes.
pub fn values(data: &[u8]) {
    let read = events(data);
    assert_eq!(validate(data), read.clone().map(drop), "validating and reading differ");
    if let Ok(read) = &read {
        assert_eq!(hex(&encode(read).unwrap()), hex(data), "{read:?}");
    }
    // Lower limits refuse more, never something else.
    let small = Limits::new().depth_max(4).bytes_max(100);
    match (read, events_within(data, small)) {
        (read, Ok(within)) => assert_eq!(read, Ok(within)),
        (_, Err(_)) => {}
    }
    reads(data);
}

/// Reads that the type does not fit are refused and move nothing: here the bytes say which are tried.
fn reads(data: &[u8]) {
    let mut dec = Decoder::new(data);
    for read in data.iter().rev().take(200) {
        let before = dec.clone();
        if read_one(&mut dec, *read).is_err() {
            assert_eq!(dec.offset(), before.offset());
            assert_eq!(dec.at_end(), before.at_end());
            assert_eq!(dec.peek(), before.peek());
        }
        assert!(dec.offset() <= data.len());
    }
    if dec.finish().is_ok() {
        assert_eq!(validate(data), Ok(()));
    }
}

fn read_one(dec: &mut Decoder<'_>, read: u8) -> Result<(), neopack::DecodeError> {
    match read % 32 {
        0 => dec.unit(),
        1 => dec.bool().map(drop),
        2 => dec.u8().map(drop),
        3 => dec.u16().map(drop),
        4 => dec.u32().map(drop),
        5 => dec.u64().map(drop),
        6 => dec.s8().map(drop),
        7 => dec.s16().map(drop),
        8 => dec.s32().map(drop),
        9 => dec.s64().map(drop),
        10 => dec.f32().map(drop),
        11 => dec.f64().map(drop),
        12 => dec.char().map(drop),
        13 => dec.list_end(),
        14 => dec.struct_end(),
        15 => dec.map_end(),
        16 => dec.str().map(drop),
        17 => dec.bytes().map(drop),
        18 => dec.list_begin().map(drop),
        19 => dec.rows().map(drop),
        20 => dec.struct_begin(),
        21 => dec.map_begin().map(drop),
        22 => dec.variant().map(drop),
        23 => dec.enum_().map(drop),
        24 | 25 => dec.option().map(drop),
        26 | 27 => dec.result().map(drop),
        28 => dec.flags().map(drop),
        29 => dec.handle().map(drop),
        30 => dec.channel().map(drop),
        _ => dec.skip(),
    }
}

/// Any sequence of writes ends well: what was refused leaves no trace, and what is finished is one whole value.
pub fn operations(data: &[u8]) {
    let limits = if data.len().is_multiple_of(2) { Limits::new() } else { Limits::new().depth_max(5).bytes_max(300) };
    let mut enc = Encoder::with_limits(limits);
    let mut accepted = Vec::new();
    let mut input = data;
    while !input.is_empty() {
        let start = input;
        let before = (enc.written(), enc.is_complete());
        match write_one(&mut enc, &mut input) {
            Ok(()) => accepted.push(&start[..start.len() - input.len()]),
            Err(_) => assert_eq!((enc.written(), enc.is_complete()), before, "a refused write left something"),
        }
    }
    let mut again = Encoder::with_limits(limits);
    for mut operation in accepted {
        write_one(&mut again, &mut operation).unwrap();
    }
    let complete = enc.is_complete();
    let written = enc.finish();
    assert_eq!(written.is_ok(), complete);
    assert_eq!(again.finish(), written);
    if let Ok(bytes) = written {
        let read = events_within(&bytes, limits).unwrap();
        assert_eq!(hex(&encode(&read).unwrap()), hex(&bytes));
    }
}

/// Performs the operation in front of `input`, and takes it off: a byte that says which, and what it needs.
fn write_one(enc: &mut Encoder, input: &mut &[u8]) -> Result<(), neopack::EncodeError> {
    let operation = number::<1>(input);
    match operation % 36 {
        0 => enc.unit(),
        1 => enc.bool(number::<1>(input) & 1 == 1),
        2 => enc.u8(number::<1>(input) as u8),
        3 => enc.u16(number::<2>(input) as u16),
        4 => enc.u32(number::<4>(input) as u32),
        5 => enc.u64(number::<8>(input)),
        6 => enc.s8(number::<1>(input) as i8),
        7 => enc.s16(number::<2>(input) as i16),
        8 => enc.s32(number::<4>(input) as i32),
        9 => enc.s64(number::<8>(input) as i64),
        10 => enc.f32(f32::from_bits(number::<4>(input) as u32)),
        11 => enc.f64(f64::from_bits(number::<8>(input))),
        12 => enc.char(char::from_u32(number::<4>(input) as u32).unwrap_or('x')),
        13 => enc.list_end(),
        14 => enc.struct_end(),
        15 => enc.map_end(),
        16 => enc.str(&String::from_utf8_lossy(some(input))),
        17 => enc.bytes(some(input)),
        18 => enc.list_begin(number::<1>(input) as u32 % 5),
        19 => {
            let shape = shape(input);
            let rows = some(input);
            // Mostly as many as the bytes make.
            let count = (rows.len() as u32 / shape.as_shape().width()) + u32::from(operation > 200);
            enc.rows(&shape.as_shape(), count, rows)
        }
        20 => enc.struct_begin(),
        21 => enc.map_begin(number::<1>(input) as u32 % 3),
        22 => enc.variant(number::<4>(input) as u32),
        23 => enc.enum_(number::<4>(input) as u32),
        24 => enc.none(),
        25 => enc.some(),
        26 => enc.result_ok(),
        27 => enc.result_err(),
        28 => enc.flags(number::<4>(input) as u32),
        29 => enc.handle(number::<8>(input)),
        30 => enc.channel(number::<8>(input)),
        31 => {
            let shape = shape(input);
            enc.rows_begin(&shape.as_shape(), number::<1>(input) as u32 % 4)
        }
        32 => enc.row_bytes(some(input)),
        33 => enc.rows_end(),
        34 => enc.raw(some(input)),
        _ => enc.list_begin(number::<4>(input) as u32),
    }
}

/// Up to 31 bytes.
fn some<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::try_from(number::<1>(input) % 32).unwrap();
    let (head, tail) = input.split_at(length.min(input.len()));
    *input = tail;
    head
}

/// A number of so many bytes; those that are missing are 0.
fn number<const N: usize>(input: &mut &[u8]) -> u64 {
    let (head, tail) = input.split_at(N.min(input.len()));
    *input = tail;
    let mut wide = [0; 8];
    wide[..head.len()].copy_from_slice(head);
    u64::from_le_bytes(wide)
}

/// A shape of up to seven leaves, in a group or in a group of groups if there are several.
fn shape(input: &mut &[u8]) -> ShapeBuf {
    let count = 1 + number::<1>(input) % 7;
    let mut builder = ShapeBuf::builder();
    if count > 1 {
        builder = builder.group(count as u16);
    }
    for _ in 0..count {
        let wanted = number::<1>(input);
        if wanted > 127 && count > 1 {
            builder = builder.group(1);
        }
        builder = builder.leaf(leaf(wanted, count == 1));
    }
    builder.finish().unwrap()
}

fn leaf(wanted: u64, alone: bool) -> Leaf {
    let width = [Width::One, Width::Two, Width::Four][(wanted / 14 % 3) as usize];
    match wanted % 14 {
        0 => Leaf::Bool,
        // A lone U8 is no shape.
        1 if alone => Leaf::Bool,
        1 => Leaf::U8,
        2 => Leaf::U16,
        3 => Leaf::U32,
        4 => Leaf::U64,
        5 => Leaf::S8,
        6 => Leaf::S16,
        7 => Leaf::S32,
        8 => Leaf::S64,
        9 => Leaf::F32,
        10 => Leaf::F64,
        11 => Leaf::Char,
        12 => Leaf::Enum(width),
        _ => Leaf::Flags(width),
    }
}
