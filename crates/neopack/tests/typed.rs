//! `pack` and `unpack` of the types that neopack knows itself, and forms written by hand.

mod support;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use neopack::form::{Case, Channel, Either, Enum, Flags, Handle, Record};
use neopack::{
    DecodeError, Decoder, EncodeError, Encoder, Item, Limits, Pack, Place, Unpack, VALUE_BYTES_MAX, Want, form, pack,
    pack_into, unpack, validate,
};
use support::{hex, vectors};

/// The value packs to those bytes and comes back from them.
fn check<T: Pack + for<'a> Unpack<'a> + PartialEq + Debug>(value: T, expected: &str) {
    let expected = expected.replace(' ', "");
    let bytes = pack(&value).unwrap();
    assert_eq!(hex(&bytes), expected, "{value:?}");
    assert_eq!(validate(&bytes), Ok(()));
    assert_eq!(unpack::<T>(&bytes), Ok(value));
}

#[test]
fn every_type_has_the_bytes_of_the_specification() {
    check((), "00");
    check(true, "01 01");
    check(7_u8, "02 07");
    check(513_u16, "03 01 02");
    check(-2_i16, "07 fe ff");
    check(1.5_f32, "0a 00 00 c0 3f");
    check('a', "0c 61 00 00 00");
    check("aé".to_owned(), "10 03 00 00 00 61 c3 a9");
    check(vec![0_u8, 255, 16], "11 03 00 00 00 00 ff 10");
    check((7_u8, true), "14 04 00 00 00 02 07 01 01");
    check(vec!["a".to_owned()], "12 0a 00 00 00 01 00 00 00 10 01 00 00 00 61");
    check(vec![1_u16, 2], "13 09 00 00 00 03 02 00 00 00 01 00 02 00");
    check(Vec::<u16>::new(), "13 05 00 00 00 03 00 00 00 00");
    check([1_u16, 2], "13 09 00 00 00 03 02 00 00 00 01 00 02 00");
    check(vec![(7_u8,), (8,), (9,)], "13 0b 00 00 00 14 01 00 02 03 00 00 00 07 08 09");
    check(vec![(1_u64, (-1_i8,))], "13 15 00 00 00 14 02 00 05 14 01 00 06 01 00 00 00 01 00 00 00 00 00 00 00 ff");
    check(Some(7_u8), "19 02 07");
    check(Some(None::<u8>), "19 18");
    check(Ok::<u8, ()>(7), "1a 02 07");
    check(Err::<u8, ()>(()), "1b 00");
    check(Err::<(), (u32, u32)>((1, 2)), "1b 14 0a 00 00 00 04 01 00 00 00 04 02 00 00 00");
    check(BTreeMap::from([("a".to_owned(), 5_u8)]), "15 0c 00 00 00 01 00 00 00 10 01 00 00 00 61 02 05");
    check(Box::new([Box::new(7_u8)]), "11 01 00 00 00 07");
    let text = pack(&Cow::Borrowed("a")).unwrap();
    assert_eq!(hex(&text), "100100000061");
    assert!(matches!(unpack::<Cow<'_, str>>(&text), Ok(Cow::Borrowed("a"))));
}

/// Anything that can be said by hand of an item whose form is `F`.
struct By<F>(F);

macro_rules! by_hand {
    ($($form:ty)+) => {
        $(impl Pack for By<$form> {
            type Form<'s> = $form;
            fn form(&self) -> $form {
                self.0
            }
        })+
    };
}

by_hand!(Enum<256> Enum<257> Enum<65_537> Flags<9> Flags<17> Handle Channel Record<form::End> Either<Case<u8>, Case<()>>);

#[test]
fn forms_by_hand_have_the_bytes_of_the_specification() {
    let packed = |value: &dyn Fn() -> Vec<u8>| hex(&value());
    assert_eq!(packed(&|| pack(&By(Enum::<256>(2))).unwrap()), "1702000000");
    assert_eq!(packed(&|| pack(&[By(Enum::<256>(255))]).unwrap()), "1307000000170101000000ff");
    assert_eq!(packed(&|| pack(&[By(Enum::<257>(256))]).unwrap()), "13080000001702010000000001");
    assert_eq!(packed(&|| pack(&[By(Enum::<65_537>(1))]).unwrap()), "130a00000017040100000001000000");
    assert_eq!(packed(&|| pack(&[By(Flags::<9>(257))]).unwrap()), "13080000001c02010000000101");
    assert_eq!(packed(&|| pack(&[By(Flags::<17>(5))]).unwrap()), "130a0000001c040100000005000000");
    assert_eq!(packed(&|| pack(&By(Handle(42))).unwrap()), "1d2a00000000000000");
    // A handle is no leaf, so a list of them is a List.
    assert_eq!(packed(&|| pack(&[By(Channel(7))]).unwrap()), "120d000000010000001e0700000000000000");
    // An empty struct is no row.
    assert_eq!(packed(&|| pack(&[By(Record(form::End))]).unwrap()), "1209000000010000001400000000");
    assert_eq!(packed(&|| pack(&By(Either::<_, Case<()>>::Left(Case(1, 7_u8)))).unwrap()), "16010000000207");
    assert_eq!(packed(&|| pack(&By(Either::<Case<u8>, _>::Right(Case(0, ())))).unwrap()), "160000000000");
}

/// Over every vector of the specification, `unpack` and a decoder driven by hand say the same.
fn agree<'a, T: Unpack<'a> + PartialEq + Debug>(
    bytes: &'a [u8],
    by_hand: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
) {
    let mut dec = Decoder::new(bytes);
    let read = by_hand(&mut dec).and_then(|value| dec.finish().map(|()| value));
    // Floats are compared as text, as a NaN is not equal to itself.
    assert_eq!(format!("{:?}", unpack::<T>(bytes)), format!("{read:?}"), "{}", hex(bytes));
}

fn list<'a, T>(
    dec: &mut Decoder<'a>,
    read: impl Fn(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = dec.list_begin()?;
    let items = (0..count).map(|_| read(dec)).collect::<Result<_, _>>()?;
    dec.list_end()?;
    Ok(items)
}

#[test]
fn unpack_refuses_what_a_decoder_refuses_in_its_words() {
    let vectors = vectors();
    let with_fronts = vectors.iter().flat_map(|vector| (0..=vector.bytes.len()).map(|len| &vector.bytes[..len]));
    for bytes in with_fronts {
        agree(bytes, |dec| dec.unit());
        agree(bytes, |dec| dec.bool());
        agree(bytes, |dec| dec.u8());
        agree(bytes, |dec| dec.u16());
        agree(bytes, |dec| dec.u32());
        agree(bytes, |dec| dec.u64());
        agree(bytes, |dec| dec.s8());
        agree(bytes, |dec| dec.s16());
        agree(bytes, |dec| dec.s32());
        agree(bytes, |dec| dec.s64());
        agree(bytes, |dec| dec.f32());
        agree(bytes, |dec| dec.f64());
        agree(bytes, |dec| dec.char());
        agree(bytes, |dec| dec.str());
        agree(bytes, |dec| dec.bytes());
        agree(bytes, |dec| if dec.option()? { dec.u8().map(Some) } else { Ok(None) });
        agree::<Option<()>>(bytes, |dec| if dec.option()? { dec.unit().map(Some) } else { Ok(None) });
        agree(bytes, |dec| if dec.result()? { dec.unit().map(Ok) } else { dec.str().map(Err) });
        agree(bytes, |dec| list(dec, Decoder::str));
        agree(bytes, |dec| list(dec, |dec| if dec.option()? { dec.str().map(Some) } else { Ok(None) }));
        agree::<Vec<()>>(bytes, |dec| list(dec, Decoder::unit));
        agree(bytes, |dec| {
            dec.struct_begin()?;
            let value = (dec.u8()?, dec.bool()?);
            dec.struct_end()?;
            Ok(value)
        });
        agree(bytes, |dec| {
            let count = dec.map_begin()?;
            let mut map = BTreeMap::new();
            for _ in 0..count {
                map.insert(dec.str()?, dec.u8()?);
            }
            dec.map_end()?;
            Ok(map)
        });
    }
}

#[test]
fn rows_of_another_shape_and_lists_in_another_form_are_refused() {
    let numbers = pack(&[1_u16, 2]).unwrap();
    assert_eq!(unpack::<Vec<i16>>(&numbers), Err(DecodeError::WrongShape { offset: 5 }));
    assert_eq!(unpack::<Vec<(u16,)>>(&numbers), Err(DecodeError::WrongShape { offset: 5 }));
    assert!(matches!(unpack::<Vec<u8>>(&numbers), Err(DecodeError::WrongTag { .. })));
    let list = [0x12, 8, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 2];
    assert_eq!(validate(&list), Ok(()));
    assert!(matches!(unpack::<Vec<u8>>(&list), Err(DecodeError::WrongTag { .. })));
}

#[test]
fn a_list_of_another_length_than_the_arrays_is_refused() {
    let expected = |expected, found| Err(DecodeError::WrongItems { offset: 0, expected, found });
    assert_eq!(unpack::<[u16; 3]>(&pack(&[1_u16, 2]).unwrap()), expected(3, 2).map(|()| [0; 3]));
    assert_eq!(unpack::<[u8; 1]>(&pack(&[1_u8, 2]).unwrap()), expected(1, 2).map(|()| [0; 1]));
    assert_eq!(unpack::<[&str; 0]>(&pack(&["a"]).unwrap()), expected(0, 1).map(|()| [""; 0]));
    assert_eq!(unpack::<[&str; 2]>(&pack(&["a", "b"]).unwrap()), Ok(["a", "b"]));
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    let bytes = [0x15, 12, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 5, 2, 1, 2, 6];
    assert_eq!(validate(&bytes), Ok(()));
    assert_eq!(unpack::<BTreeMap<u8, u8>>(&bytes), Err(DecodeError::DoubleKey { offset: 13 }));
}

#[test]
fn the_size_limit_holds_at_its_last_byte_and_a_refusal_leaves_the_buffer() {
    let most = vec![7_u8; VALUE_BYTES_MAX as usize - 5];
    let bytes = pack(&most).unwrap();
    assert_eq!(bytes.len(), VALUE_BYTES_MAX as usize);
    assert_eq!(unpack::<&[u8]>(&bytes), Ok(&most[..]));

    let over = vec![7_u8; most.len() + 1];
    let limit = VALUE_BYTES_MAX;
    let refusal = EncodeError::TooLarge { limit, found: u64::from(limit) + 1 };
    let mut out = b"head".to_vec();
    assert_eq!(pack_into(&over, &mut out), Err(refusal));
    // Room that is there already is no way around the limit.
    out.reserve(2 * limit as usize);
    assert_eq!(pack_into(&over, &mut out), Err(refusal));
    assert_eq!(out, b"head");
    pack_into(&most, &mut out).unwrap();
    assert_eq!(out.len(), 4 + limit as usize);

    let mut larger = bytes;
    larger.push(0);
    let found = larger.len();
    assert_eq!(unpack::<&[u8]>(&larger), Err(DecodeError::TooLarge { limit, found }));
}

#[test]
fn a_list_of_more_items_than_the_limit_has_bytes_is_refused_at_the_limit() {
    let many = vec![None::<String>; VALUE_BYTES_MAX as usize];
    assert!(matches!(pack(&many), Err(EncodeError::TooLarge { .. })));
    let rows = vec![0_u64; VALUE_BYTES_MAX as usize / 8];
    assert!(matches!(pack(&rows), Err(EncodeError::TooLarge { .. })));
}

#[test]
fn a_count_that_is_only_a_claim_reserves_nothing() {
    // 4 million empty options would fit the count, not the memory of a hundred such calls.
    let bytes = [0x12, 6, 0, 0, 0, 0xff, 0xff, 0x3f, 0, 0x18, 0x18];
    let found = unpack::<Vec<Option<[u64; 3]>>>(&bytes);
    assert_eq!(found, Err(DecodeError::WrongCount { offset: 5, inside: Place::List, expected: 0x3f_ffff, found: 2 }));
}

#[test]
fn values_stand_between_items_written_one_by_one() {
    let mut enc = Encoder::new();
    enc.list_begin(2).unwrap();
    enc.pack("a").unwrap();
    enc.some().unwrap();
    enc.pack(&(1_u32, [2_u8])).unwrap();
    let full = EncodeError::NoRoom { inside: Place::List, found: neopack::Tag::Str };
    assert_eq!(enc.pack("b"), Err(full));
    enc.list_end().unwrap();
    let bytes = enc.finish().unwrap();
    assert_eq!(validate(&bytes), Ok(()));

    let mut dec = Decoder::new(&bytes);
    assert_eq!(dec.list_begin(), Ok(2));
    let offset = dec.offset();
    assert!(matches!(dec.unpack::<u8>(), Err(DecodeError::WrongTag { .. })));
    assert_eq!(dec.offset(), offset);
    assert_eq!(dec.unpack(), Ok("a"));
    assert_eq!(dec.unpack(), Ok(Some((1_u32, [2_u8]))));
    let none = DecodeError::NoItem { offset: bytes.len(), expected: Want::Item, inside: Place::List };
    assert_eq!(dec.unpack::<u8>(), Err(none));
    dec.list_end().unwrap();
    dec.finish().unwrap();
}

#[test]
fn a_value_within_another_keeps_to_what_is_left_of_the_limits() {
    let limits = Limits::new().depth_max(2).bytes_max(20);
    let mut enc = Encoder::with_limits(limits);
    enc.struct_begin().unwrap();
    let before = enc.written();
    assert_eq!(enc.pack(&Some(Some(1_u8))), Err(EncodeError::TooDeep { limit: 2 }));
    assert_eq!(enc.pack(&[(1_u16,)]), Err(EncodeError::TooDeep { limit: 2 }));
    assert_eq!(enc.pack("sixteen bytes it"), Err(EncodeError::TooLarge { limit: 20, found: 26 }));
    assert_eq!(enc.pack(&()), Err(EncodeError::MisplacedUnit));
    assert_eq!(enc.written(), before);
    enc.pack(&Some(1_u8)).unwrap();
    enc.pack("123456").unwrap();
    assert!(enc.pack(&true).is_err());
    enc.struct_end().unwrap();
    let bytes = enc.finish().unwrap();

    let mut dec = Decoder::with_limits(&bytes, limits.depth_max(1));
    dec.struct_begin().unwrap();
    assert_eq!(dec.unpack::<Option<u8>>(), Err(DecodeError::TooDeep { offset: 5, limit: 1 }));
    assert_eq!(dec.unpack::<(Option<u8>,)>().unwrap_err().to_string(), "expected Struct at byte 5, found Some");
}

#[test]
fn rows_that_are_open_take_no_value_in_between() {
    let shape = neopack::ShapeBuf::builder().leaf(neopack::Leaf::U16).finish().unwrap();
    let mut enc = Encoder::new();
    enc.rows_begin(&shape.as_shape(), 1).unwrap();
    assert!(matches!(enc.pack(&1_u16), Err(EncodeError::NotInRow { .. })));
    enc.u16(1).unwrap();
    enc.rows_end().unwrap();
    assert_eq!(enc.finish().unwrap(), pack(&[1_u16]).unwrap());
}

/// Types that don't read what they are given: the bytes are refused, not skipped.
#[derive(Debug, PartialEq)]
struct Lazy;

impl Unpack<'_> for Lazy {
    type Row = form::NoRow;

    fn unpack(_: Item<'_, '_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }

    fn from_row(_: form::NoRow) -> Option<Self> {
        None
    }
}

#[test]
fn a_type_that_reads_nothing_makes_no_value_of_anything() {
    let unfinished = |offset, inside| DecodeError::Unfinished { offset, inside };
    assert_eq!(unpack::<Lazy>(&[2, 7]), Err(unfinished(0, Place::Root)));
    assert_eq!(unpack::<Option<Lazy>>(&[0x19]), Err(unfinished(1, Place::Root)));
    assert_eq!(unpack::<(Lazy,)>(&[0x14, 2, 0, 0, 0, 2, 7]), Err(unfinished(5, Place::Struct)));
    assert_eq!(unpack::<Vec<Lazy>>(&[0x12, 4, 0, 0, 0, 0, 0, 0, 0]), Ok(Vec::new()));
}
