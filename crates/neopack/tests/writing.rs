//! The encoder's state machine: what it refuses, and that a refusal changes nothing.

mod support;

use neopack::{DecodeError, EncodeError, Encoder, Leaf, Limits, Place, ShapeBuf, Tag, Width, validate};
use proptest::collection::vec;
use proptest::prelude::*;

#[track_caller]
fn check(result: Result<(), EncodeError>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

fn pair() -> ShapeBuf {
    ShapeBuf::builder().group(2).leaf(Leaf::U8).leaf(Leaf::Bool).finish().unwrap()
}

#[test]
fn a_value_is_exactly_one_item() {
    let mut enc = Encoder::new();
    let refusal = enc.clone().finish().unwrap_err();
    assert_eq!(refusal, EncodeError::Unfinished { inside: Place::Root });
    enc.u8(1).unwrap();
    check(enc.u8(2), "expected the end of the value, found U8");
    check(enc.struct_begin(), "expected the end of the value, found Struct");
    check(enc.rows_begin(&pair().as_shape(), 0), "expected the end of the value, found Rows");
    check(enc.raw(&[0x02, 7]), "expected the end of the value, found U8");
    check(enc.list_end(), "expected an open list to end, found an open value");
    assert!(enc.is_complete());
    assert_eq!(enc.finish().unwrap(), [2, 1]);
}

#[test]
fn a_wrapper_holds_exactly_one_item() {
    let mut enc = Encoder::new();
    enc.struct_begin().unwrap();
    enc.some().unwrap();
    check(enc.struct_end(), "expected what the last wrapper in the struct holds, found the end of the struct");
    check(enc.unit(), "expected an item other than Unit, found Unit");
    enc.variant(4).unwrap();
    enc.unit().unwrap();
    check(enc.unit(), "expected an item other than Unit, found Unit");
    enc.struct_end().unwrap();
    assert_eq!(enc.finish().unwrap(), [0x14, 7, 0, 0, 0, 0x19, 0x16, 4, 0, 0, 0, 0]);

    let mut enc = Encoder::new();
    enc.result_err().unwrap();
    assert!(!enc.is_complete());
    assert_eq!(enc.finish(), Err(EncodeError::Unfinished { inside: Place::Root }));
}

#[test]
fn a_count_is_kept() {
    let mut enc = Encoder::new();
    enc.map_begin(1).unwrap();
    check(enc.map_end(), "expected 2 items more in the map, found its end");
    enc.str("k").unwrap();
    check(enc.map_end(), "expected 1 items more in the map, found its end");
    check(enc.list_end(), "expected an open list to end, found an open map");
    enc.list_begin(0).unwrap();
    check(enc.none(), "expected the end of the list, found None");
    check(enc.map_end(), "expected an open map to end, found an open list");
    enc.list_end().unwrap();
    check(enc.some(), "expected the end of the map, found Some");
    enc.map_end().unwrap();
    validate(&enc.finish().unwrap()).unwrap();
}

#[test]
fn unit_stands_only_where_it_means_something() {
    for open in [|enc: &mut Encoder| enc.list_begin(1), Encoder::struct_begin, |enc: &mut Encoder| enc.map_begin(1)] {
        let mut enc = Encoder::new();
        open(&mut enc).unwrap();
        assert_eq!(enc.unit(), Err(EncodeError::MisplacedUnit));
        assert_eq!(enc.raw(&[0]), Err(EncodeError::MisplacedUnit));
        enc.result_ok().unwrap();
        enc.raw(&[0]).unwrap();
    }
    let mut enc = Encoder::new();
    enc.unit().unwrap();
    assert_eq!(enc.finish().unwrap(), [0]);
}

#[test]
fn a_spliced_item_must_be_exactly_one() {
    let mut enc = Encoder::new();
    for bad in [&[][..], &[0x02], &[0x02, 7, 7], &[0x01, 2], &[0xff], &[0x19, 0x00]] {
        let refusal = enc.raw(bad).unwrap_err();
        assert!(matches!(refusal, EncodeError::BadItem(_)), "{refusal}");
        assert_eq!(enc.written(), 0);
    }
    check(enc.raw(&[0x01, 2]), "in the item given: expected a bool of 0 or 1 at byte 1, found 2");
    enc.raw(&[0x01, 1]).unwrap();
    assert_eq!(enc.finish().unwrap(), [1, 1]);
}

#[test]
fn rows_take_only_what_their_shape_has_next() {
    let mut enc = Encoder::new();
    check(enc.rows_end(), "expected an open rows to end, found an open value");
    check(enc.row_bytes(&[]), "expected an open rows to end, found an open value");
    enc.rows_begin(&pair().as_shape(), 3).unwrap();
    check(enc.bool(true), "expected U8 in the row, found Bool");
    check(enc.str("a"), "expected U8 in the row, found Str");
    check(enc.some(), "expected U8 in the row, found Some");
    check(enc.none(), "expected U8 in the row, found None");
    check(enc.unit(), "expected U8 in the row, found Unit");
    check(enc.struct_begin(), "expected U8 in the row, found Struct");
    check(enc.raw(&[2, 7]), "expected U8 in the row, found U8");
    enc.u8(7).unwrap();
    check(enc.u8(7), "expected Bool in the row, found U8");
    check(enc.row_bytes(&[7, 1]), "expected Bool in the row, found Rows");
    check(enc.rows_end(), "expected 3 items more in the rows, found its end");
    enc.bool(true).unwrap();
    check(enc.row_bytes(&[7]), "expected 4 bytes of rows, found 1");
    check(enc.row_bytes(&[0; 6]), "expected 4 bytes of rows, found 6");
    check(enc.row_bytes(&[7, 1, 8, 2]), "in the rows given: expected a bool of 0 or 1 at byte 3, found 2");
    enc.row_bytes(&[]).unwrap();
    enc.row_bytes(&[8, 0, 9, 1]).unwrap();
    check(enc.u8(7), "expected the end of the rows, found U8");
    check(enc.struct_end(), "expected an open struct to end, found an open rows");
    let unfinished = enc.clone().finish();
    assert_eq!(unfinished, Err(EncodeError::Unfinished { inside: Place::Rows }));
    enc.rows_end().unwrap();
    let bytes = enc.finish().unwrap();
    assert!(bytes.ends_with(&[7, 1, 8, 0, 9, 1]));
    validate(&bytes).unwrap();
}

#[test]
fn rows_as_a_whole_are_as_many_as_announced_and_sound() {
    let shape = pair();
    let mut enc = Encoder::new();
    check(enc.rows(&shape.as_shape(), 2, &[7, 1]), "expected 4 bytes of rows, found 2");
    let refusal = enc.rows(&shape.as_shape(), 2, &[7, 1, 8, 3]).unwrap_err();
    assert_eq!(refusal, EncodeError::BadRows(DecodeError::BadBool { offset: 3, found: 3 }));
    assert_eq!(enc.written(), 0);
    enc.rows(&shape.as_shape(), 2, &[7, 1, 8, 0]).unwrap();
    validate(&enc.finish().unwrap()).unwrap();
}

#[test]
fn a_case_index_or_bit_set_must_fit_its_width() {
    for (width, max) in [(Width::One, 0xff), (Width::Two, 0xffff), (Width::Four, u32::MAX)] {
        let shape = ShapeBuf::builder().group(2).leaf(Leaf::Enum(width)).leaf(Leaf::Flags(width)).finish().unwrap();
        let mut enc = Encoder::new();
        enc.rows_begin(&shape.as_shape(), 1).unwrap();
        if let Some(found) = max.checked_add(1) {
            assert_eq!(enc.enum_(found), Err(EncodeError::TooWide { expected: Leaf::Enum(width), found }));
        }
        enc.enum_(max).unwrap();
        if let Some(found) = max.checked_add(1) {
            assert_eq!(enc.flags(found), Err(EncodeError::TooWide { expected: Leaf::Flags(width), found }));
        }
        enc.flags(max).unwrap();
        enc.rows_end().unwrap();
        let bytes = enc.finish().unwrap();
        assert!(bytes.ends_with(&vec![0xff; 2 * width.bytes() as usize]));
    }
}

#[test]
fn every_nan_becomes_the_one() {
    let nans = [0x7f80_0001_u32, 0xffc0_0000, 0x7fff_ffff];
    let wide = [0x7ff0_0000_0000_0001_u64, 0xfff8_0000_0000_0000, 0x7fff_ffff_ffff_ffff];
    for (&nan, &wide) in nans.iter().zip(&wide) {
        let mut enc = Encoder::new();
        enc.f32(f32::from_bits(nan)).unwrap();
        assert_eq!(enc.finish().unwrap(), [0x0a, 0, 0, 0xc0, 0x7f]);
        let mut enc = Encoder::new();
        enc.f64(f64::from_bits(wide)).unwrap();
        assert_eq!(enc.finish().unwrap(), [0x0b, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]);
    }
    // In rows too: whole ones of one float and of several fields, and scalar by scalar.
    let lone = ShapeBuf::builder().leaf(Leaf::F32).finish().unwrap();
    let lone_wide = ShapeBuf::builder().leaf(Leaf::F64).finish().unwrap();
    let mixed = ShapeBuf::builder().group(3).leaf(Leaf::U8).leaf(Leaf::F32).leaf(Leaf::F64).finish().unwrap();
    let one = [&[1_u8][..], &nans[1].to_le_bytes(), &wide[2].to_le_bytes()].concat();
    let mut enc = Encoder::new();
    enc.struct_begin().unwrap();
    enc.rows(&lone.as_shape(), 3, &nans.map(u32::to_le_bytes).concat()).unwrap();
    enc.rows(&lone_wide.as_shape(), 3, &wide.map(u64::to_le_bytes).concat()).unwrap();
    enc.rows(&mixed.as_shape(), 2, &one.repeat(2)).unwrap();
    enc.rows_begin(&mixed.as_shape(), 2).unwrap();
    enc.row_bytes(&one).unwrap();
    enc.u8(1).unwrap();
    enc.f32(f32::from_bits(nans[0])).unwrap();
    enc.f64(f64::from_bits(wide[0])).unwrap();
    enc.rows_end().unwrap();
    enc.struct_end().unwrap();
    let bytes = enc.finish().unwrap();
    validate(&bytes).unwrap();
    let mixed_rows = [&[1][..], &[0, 0, 0xc0, 0x7f], &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f]].concat().repeat(2);
    assert!(bytes.ends_with(&mixed_rows));
}

#[test]
fn a_buffer_is_given_back_as_it_was() {
    let mut enc = Encoder::from_vec(b"head".to_vec());
    enc.list_begin(2).unwrap();
    enc.u64(1).unwrap();
    assert_eq!(enc.written(), 18);
    assert_eq!(enc.abandon(), b"head");

    // Lengths are patched where they stand, whatever stands before them.
    let mut enc = Encoder::from_vec_with_limits(vec![0xee; 100], Limits::new().bytes_max(7));
    enc.struct_begin().unwrap();
    enc.u8(1).unwrap();
    assert!(enc.none().is_err());
    enc.struct_end().unwrap();
    let bytes = enc.finish().unwrap();
    assert_eq!(bytes[..100], [0xee; 100]);
    assert_eq!(bytes[100..], [0x14, 2, 0, 0, 0, 2, 1]);
}

/// One of the encoder's methods, with what it is given.
#[derive(Debug, Clone)]
enum Write {
    Scalar(u8),
    Wrapper(u8),
    List(u32),
    Map(u32),
    Struct,
    End(u8),
    Rows(usize, u32, usize),
    RowsBegin(usize, u32),
    RowBytes(Vec<u8>),
    Raw(Vec<u8>),
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        6 => (0_u8..19).prop_map(Write::Scalar),
        3 => (0_u8..4).prop_map(Write::Wrapper),
        2 => prop_oneof![9 => 0_u32..4, 1 => any::<u32>()].prop_map(Write::List),
        1 => prop_oneof![9 => 0_u32..3, 1 => any::<u32>()].prop_map(Write::Map),
        2 => Just(Write::Struct),
        5 => (0_u8..4).prop_map(Write::End),
        1 => (0_usize..4, 0_u32..4, 0_usize..12).prop_map(|(shape, count, len)| Write::Rows(shape, count, len)),
        2 => (0_usize..4, prop_oneof![9 => 0_u32..3, 1 => any::<u32>()]).prop_map(|(s, c)| Write::RowsBegin(s, c)),
        2 => vec(0_u8..3, 0..7).prop_map(Write::RowBytes),
        1 => vec(prop_oneof![0_u8..4, 0x14_u8..0x1c], 0..4).prop_map(Write::Raw),
    ]
}

fn shapes() -> [ShapeBuf; 4] {
    let builder = ShapeBuf::builder;
    [
        pair(),
        builder().leaf(Leaf::Char).finish().unwrap(),
        builder().group(1).group(2).leaf(Leaf::Enum(Width::One)).leaf(Leaf::F32).finish().unwrap(),
        builder().leaf(Leaf::Flags(Width::Two)).finish().unwrap(),
    ]
}

fn perform(enc: &mut Encoder, write: &Write) -> Result<(), EncodeError> {
    match write {
        Write::Scalar(0) => enc.unit(),
        Write::Scalar(1) => enc.bool(true),
        Write::Scalar(2) => enc.u8(1),
        Write::Scalar(3) => enc.u16(1),
        Write::Scalar(4) => enc.u32(1),
        Write::Scalar(5) => enc.u64(1),
        Write::Scalar(6) => enc.s8(-1),
        Write::Scalar(7) => enc.s16(-1),
        Write::Scalar(8) => enc.s32(-1),
        Write::Scalar(9) => enc.s64(-1),
        Write::Scalar(10) => enc.f32(f32::from_bits(u32::MAX)),
        Write::Scalar(11) => enc.f64(f64::from_bits(u64::MAX)),
        Write::Scalar(12) => enc.char('c'),
        Write::Scalar(13) => enc.str("text"),
        Write::Scalar(14) => enc.bytes(&[1, 2]),
        Write::Scalar(15) => enc.enum_(0x100),
        Write::Scalar(16) => enc.flags(0xffff),
        Write::Scalar(17) => enc.enum_(1),
        Write::Scalar(_) => enc.none(),
        Write::Wrapper(0) => enc.some(),
        Write::Wrapper(1) => enc.result_ok(),
        Write::Wrapper(2) => enc.result_err(),
        Write::Wrapper(_) => enc.variant(1),
        Write::List(count) => enc.list_begin(*count),
        Write::Map(count) => enc.map_begin(*count),
        Write::Struct => enc.struct_begin(),
        Write::End(0) => enc.list_end(),
        Write::End(1) => enc.map_end(),
        Write::End(2) => enc.struct_end(),
        Write::End(_) => enc.rows_end(),
        Write::Rows(shape, count, len) => enc.rows(&shapes()[*shape].as_shape(), *count, &vec![1; *len]),
        Write::RowsBegin(shape, count) => enc.rows_begin(&shapes()[*shape].as_shape(), *count),
        Write::RowBytes(bytes) => enc.row_bytes(bytes),
        Write::Raw(bytes) => enc.raw(bytes),
    }
}

/// Ends whatever is open, in the only way that it can be ended.
fn complete(enc: &mut Encoder) {
    let endings = [Write::End(0), Write::End(1), Write::End(2), Write::End(3)];
    let fillers = [Write::Scalar(18), Write::Scalar(1), Write::Scalar(2), Write::Scalar(17), Write::Scalar(12)];
    let floats = [Write::Scalar(10), Write::Scalar(16)];
    for _ in 0..10_000 {
        if enc.is_complete() {
            return;
        }
        let done = endings.iter().chain(&fillers).chain(&floats).any(|write| perform(enc, write).is_ok());
        assert!(done, "an encoder that takes nothing: {enc:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_writes_ends_in_a_value_and_a_refused_one_changes_nothing(
        writes in vec(write(), 0..80),
        depth in prop_oneof![Just(64_usize), 0_usize..6],
        head in vec(any::<u8>(), 0..3),
    ) {
        let limits = Limits::new().depth_max(depth).bytes_max(4_000);
        let mut enc = Encoder::from_vec_with_limits(head.clone(), limits);
        for write in &writes {
            let before = format!("{enc:?}");
            if perform(&mut enc, write).is_err() {
                prop_assert_eq!(format!("{enc:?}"), before, "after {:?}", write);
            }
            prop_assert!(enc.written() <= 4_000);
        }
        // Eighty short writes stay well below the size limit, so what is open can always be completed.
        let open = enc.clone();
        complete(&mut enc);
        prop_assert!(enc.is_complete(), "{:?}", open);
        let bytes = enc.finish().unwrap();
        prop_assert_eq!(&bytes[..head.len()], &head[..]);
        prop_assert_eq!(validate(&bytes[head.len()..]), Ok(()));
    }
}

#[test]
fn tags_are_found_by_their_bytes() {
    for byte in 0..=u8::MAX {
        match Tag::from_byte(byte) {
            Some(tag) => assert_eq!(tag as u8, byte),
            None => assert!(Tag::ALL.iter().all(|tag| *tag as u8 != byte)),
        }
    }
}
