//! A reader that takes sound bytes for something else is told what stands there, and may try again.

mod support;

use neopack::{DecodeError, Decoder, Encoder, Leaf, Place, ShapeBuf, Tag};

/// A list of a U8, a Some of Str, and a struct of a Bool.
fn sample() -> Vec<u8> {
    let mut enc = Encoder::new();
    enc.list_begin(3).unwrap();
    enc.u8(7).unwrap();
    enc.some().unwrap();
    enc.str("x").unwrap();
    enc.struct_begin().unwrap();
    enc.bool(true).unwrap();
    enc.struct_end().unwrap();
    enc.list_end().unwrap();
    enc.finish().unwrap()
}

#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T, DecodeError>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[test]
fn a_wrong_tag_names_both_and_moves_nothing() {
    let bytes = sample();
    let mut dec = Decoder::new(&bytes);
    check(dec.struct_begin(), "expected Struct at byte 0, found List");
    check(dec.map_begin(), "expected Map at byte 0, found List");
    check(dec.rows(), "expected Rows at byte 0, found List");
    check(dec.unit(), "expected Unit at byte 0, found List");
    check(dec.option(), "expected None or Some at byte 0, found List");
    check(dec.result(), "expected ResultOk or ResultErr at byte 0, found List");
    assert_eq!(dec.list_begin(), Ok(3));
    check(dec.u16(), "expected U16 at byte 9, found U8");
    check(dec.enum_(), "expected Enum at byte 9, found U8");
    assert_eq!(dec.u8(), Ok(7));
    check(dec.str(), "expected Str at byte 11, found Some");
    assert_eq!(dec.peek(), Ok(Tag::Some));
    assert_eq!(dec.option(), Ok(true));
    check(dec.bytes(), "expected Bytes at byte 12, found Str");
    assert_eq!(dec.str(), Ok("x"));
    dec.struct_begin().unwrap();
    assert_eq!(dec.bool(), Ok(true));
    dec.struct_end().unwrap();
    dec.list_end().unwrap();
    dec.finish().unwrap();
}

#[test]
fn every_method_refuses_every_other_tag() {
    let vectors = support::vectors();
    let accepted = |tag: Tag| {
        let found =
            vectors.iter().find(|v| v.bytes.first() == Some(&(tag as u8)) && neopack::validate(&v.bytes).is_ok());
        found.unwrap().bytes.clone()
    };
    type Read = fn(&mut Decoder<'_>) -> Result<(), DecodeError>;
    let methods: &[(&[Tag], Read)] = &[
        (&[Tag::Unit], |d| d.unit()),
        (&[Tag::Bool], |d| d.bool().map(drop)),
        (&[Tag::U8], |d| d.u8().map(drop)),
        (&[Tag::U16], |d| d.u16().map(drop)),
        (&[Tag::U32], |d| d.u32().map(drop)),
        (&[Tag::U64], |d| d.u64().map(drop)),
        (&[Tag::S8], |d| d.s8().map(drop)),
        (&[Tag::S16], |d| d.s16().map(drop)),
        (&[Tag::S32], |d| d.s32().map(drop)),
        (&[Tag::S64], |d| d.s64().map(drop)),
        (&[Tag::F32], |d| d.f32().map(drop)),
        (&[Tag::F64], |d| d.f64().map(drop)),
        (&[Tag::Char], |d| d.char().map(drop)),
        (&[Tag::Str], |d| d.str().map(drop)),
        (&[Tag::Bytes], |d| d.bytes().map(drop)),
        (&[Tag::List], |d| d.list_begin().map(drop)),
        (&[Tag::Rows], |d| d.rows().map(drop)),
        (&[Tag::Struct], |d| d.struct_begin()),
        (&[Tag::Map], |d| d.map_begin().map(drop)),
        (&[Tag::Variant], |d| d.variant().map(drop)),
        (&[Tag::Enum], |d| d.enum_().map(drop)),
        (&[Tag::None, Tag::Some], |d| d.option().map(drop)),
        (&[Tag::ResultOk, Tag::ResultErr], |d| d.result().map(drop)),
        (&[Tag::Flags], |d| d.flags().map(drop)),
        (&[Tag::Handle], |d| d.handle().map(drop)),
        (&[Tag::Channel], |d| d.channel().map(drop)),
    ];
    assert_eq!(methods.iter().map(|(tags, _)| tags.len()).sum::<usize>(), Tag::ALL.len());
    for (tags, read) in methods {
        for &tag in Tag::ALL {
            let bytes = accepted(tag);
            let mut dec = Decoder::new(&bytes);
            match read(&mut dec) {
                Ok(()) => assert!(tags.contains(&tag), "{tag} read as {tags:?}"),
                Err(DecodeError::WrongTag { offset: 0, found, .. }) => {
                    assert_eq!(found, tag);
                    assert!(!tags.contains(&tag), "{tag} not read as {tags:?}");
                    assert_eq!(dec.offset(), 0);
                }
                Err(other) => panic!("{tag} read as {tags:?}: {other}"),
            }
        }
    }
}

#[test]
fn a_container_ends_only_after_its_last_item_and_by_its_own_name() {
    let bytes = sample();
    let mut dec = Decoder::new(&bytes);
    check(dec.list_end(), "expected an open list to end at byte 0, found an open value");
    check(dec.clone().finish(), "expected the value to be read to its end at byte 0, found it unfinished");
    dec.list_begin().unwrap();
    check(dec.list_end(), "expected the end of the list at byte 9, found 16 bytes more");
    check(dec.struct_end(), "expected an open struct to end at byte 9, found an open list");
    dec.u8().unwrap();
    dec.option().unwrap();
    check(dec.list_end(), "expected the list to be read to its end at byte 12, found it unfinished");
    dec.skip().unwrap();
    assert!(!dec.at_end());
    dec.struct_begin().unwrap();
    dec.bool().unwrap();
    assert!(dec.at_end());
    check(dec.bool(), "expected Bool at byte 25, found the end of the struct");
    check(dec.list_end(), "expected an open list to end at byte 25, found an open struct");
    check(dec.map_end(), "expected an open map to end at byte 25, found an open struct");
    dec.struct_end().unwrap();
    assert!(dec.at_end());
    check(dec.peek(), "expected an item at byte 25, found the end of the list");
    check(dec.clone().finish(), "expected the list to be read to its end at byte 25, found it unfinished");
    dec.list_end().unwrap();
    assert!(dec.at_end());
    check(dec.u8(), "expected U8 at byte 25, found the end of the value");
    check(dec.skip(), "expected an item at byte 25, found the end of the value");
    dec.finish().unwrap();
}

#[test]
fn a_container_at_its_end_ends_by_no_other_name() {
    for bytes in [&[0x12, 4, 0, 0, 0, 0, 0, 0, 0][..], &[0x15, 4, 0, 0, 0, 0, 0, 0, 0], &[0x14, 0, 0, 0, 0]] {
        let mut dec = Decoder::new(bytes);
        let (list, structure) = (dec.list_begin().is_ok(), dec.struct_begin().is_ok());
        let map = !list && !structure && dec.map_begin().is_ok();
        // Those that are not open first, so that they meet it open.
        for _ in 0..2 {
            assert!(list || matches!(dec.list_end(), Err(DecodeError::WrongEnd { expected: Place::List, .. })));
            assert!(
                structure || matches!(dec.struct_end(), Err(DecodeError::WrongEnd { expected: Place::Struct, .. }))
            );
            assert!(map || matches!(dec.map_end(), Err(DecodeError::WrongEnd { expected: Place::Map, .. })));
        }
        match (list, structure, map) {
            (true, false, false) => dec.list_end().unwrap(),
            (false, true, false) => dec.struct_end().unwrap(),
            (false, false, true) => dec.map_end().unwrap(),
            other => panic!("{other:?}"),
        }
        dec.finish().unwrap();
    }
}

#[test]
fn a_wrapper_without_its_item_keeps_its_container_open() {
    for wrapper in [0x19, 0x1a] {
        let bytes = [0x14, 1, 0, 0, 0, wrapper];
        let mut dec = Decoder::new(&bytes);
        dec.struct_begin().unwrap();
        let _ = dec.option().or_else(|_| dec.result()).unwrap();
        assert!(!dec.at_end());
        assert_eq!(dec.struct_end(), Err(DecodeError::Unfinished { offset: 6, inside: Place::Struct }));
        assert!(matches!(dec.u8(), Err(DecodeError::Truncated { offset: 6, .. })));
    }
    let mut dec = Decoder::new(&[0x19]);
    dec.option().unwrap();
    assert_eq!(dec.finish(), Err(DecodeError::Unfinished { offset: 1, inside: Place::Root }));
}

#[test]
fn a_failed_skip_leaves_the_decoder_where_it_was() {
    // A list of a U8 and of a list of a struct, closed soundly, and of a Some of a bad Bool.
    let mut enc = Encoder::new();
    enc.list_begin(2).unwrap();
    enc.u8(7).unwrap();
    enc.list_begin(2).unwrap();
    enc.struct_begin().unwrap();
    enc.struct_end().unwrap();
    enc.some().unwrap();
    enc.bool(true).unwrap();
    enc.list_end().unwrap();
    enc.list_end().unwrap();
    let mut bytes = enc.finish().unwrap();
    let last = bytes.len() - 1;
    bytes[last] = 9;

    let mut dec = Decoder::new(&bytes);
    dec.list_begin().unwrap();
    dec.u8().unwrap();
    let before = format!("{dec:?}");
    for _ in 0..3 {
        assert_eq!(dec.skip(), Err(DecodeError::BadBool { offset: last, found: 9 }));
        assert_eq!(format!("{dec:?}"), before);
    }
    assert_eq!(dec.list_begin(), Ok(2));
    dec.skip().unwrap();
    assert_eq!(dec.option(), Ok(true));
    assert_eq!(dec.bool(), Err(DecodeError::BadBool { offset: last, found: 9 }));
}

#[test]
fn rows_give_their_rows_one_by_one() {
    let shape = ShapeBuf::builder().group(2).leaf(Leaf::U16).leaf(Leaf::Bool).finish().unwrap();
    let mut enc = Encoder::new();
    enc.rows(&shape.as_shape(), 3, &[1, 0, 1, 2, 0, 0, 3, 0, 1]).unwrap();
    let bytes = enc.finish().unwrap();
    let rows = Decoder::new(&bytes).rows().unwrap();
    assert_eq!((rows.count(), rows.width(), rows.offset()), (3, 3, 5 + 5 + 4));
    assert_eq!(&bytes[rows.offset()..], rows.bytes());
    assert_eq!(rows.row(1), Some(&[2, 0, 0][..]));
    assert_eq!(rows.row(3), None);
    assert_eq!(rows.row(u32::MAX), None);
    assert_eq!(rows.into_iter().map(|row| row[0]).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(ShapeBuf::from(rows.shape()), shape);
}

#[test]
fn every_refusal_in_rows_names_the_field() {
    let shape = ShapeBuf::builder().group(4).leaf(Leaf::U8).leaf(Leaf::Char).leaf(Leaf::F32).leaf(Leaf::F64).finish();
    let shape = shape.unwrap();
    let row = [&[0xff][..], &97_u32.to_le_bytes(), &1.0_f32.to_le_bytes(), &1.0_f64.to_le_bytes()].concat();
    let mut enc = Encoder::new();
    enc.rows(&shape.as_shape(), 3, &row.repeat(3)).unwrap();
    let bytes = enc.finish().unwrap();
    let start = Decoder::new(&bytes).rows().unwrap().offset() + 2 * row.len();
    let changed = |at: usize, field: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[start + at..][..field.len()].copy_from_slice(field);
        Decoder::new(&bytes).rows().unwrap_err()
    };
    assert_eq!(changed(1, &0xdfff_u32.to_le_bytes()), DecodeError::BadChar { offset: start + 1, found: 0xdfff });
    let nan = 0xffc0_0000_u32;
    assert_eq!(changed(5, &nan.to_le_bytes()), DecodeError::BadNan { offset: start + 5, found: nan.into() });
    let nan = 0x7ff8_0000_0000_0001_u64;
    assert_eq!(changed(9, &nan.to_le_bytes()), DecodeError::BadNan { offset: start + 9, found: nan });
}

#[test]
fn chars_in_rows_have_the_bounds_that_chars_have() {
    let mut alone = [0x0c, 0, 0, 0, 0];
    let mut in_rows = [0x13, 9, 0, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0];
    let mut in_group = [0x13, 14, 0, 0, 0, 0x14, 2, 0, 0x0c, 0x02, 1, 0, 0, 0, 0, 0, 0, 0, 7];
    for code in (0..=0x12_0000).chain([0x8000_0061, u32::MAX]) {
        alone[1..].copy_from_slice(&code.to_le_bytes());
        in_rows[10..].copy_from_slice(&code.to_le_bytes());
        in_group[14..18].copy_from_slice(&code.to_le_bytes());
        let char = char::from_u32(code);
        assert_eq!(Decoder::new(&alone).char().ok(), char, "{code:x}");
        assert_eq!(Decoder::new(&in_rows).rows().is_ok(), char.is_some(), "{code:x} in rows");
        assert_eq!(Decoder::new(&in_group).rows().is_ok(), char.is_some(), "{code:x} in a group");
    }
}

#[test]
fn a_map_of_no_pairs_and_a_value_of_nothing_are_values() {
    let bytes = [0x15, 4, 0, 0, 0, 0, 0, 0, 0];
    let mut dec = Decoder::new(&bytes);
    assert_eq!(dec.map_begin(), Ok(0));
    assert!(dec.at_end());
    let refusal = dec.str().unwrap_err();
    assert!(matches!(refusal, DecodeError::NoItem { offset: 9, inside: Place::Map, .. }));
    dec.map_end().unwrap();
    dec.finish().unwrap();
    let mut dec = Decoder::new(&[0]);
    dec.unit().unwrap();
    dec.finish().unwrap();
}
