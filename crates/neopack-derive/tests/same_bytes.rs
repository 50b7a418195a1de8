//! Derived code against the same value written call by call.

use std::collections::BTreeMap;

use neopack::{
    DecodeError, Decoder, EncodeError, Encoder, Leaf, Pack, ShapeBuf, Unpack, Width, pack, unpack, validate,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

#[derive(Pack, Unpack, Debug, Clone, Copy, PartialEq)]
enum Kind {
    Small,
    Middle,
    Large,
}

const KINDS: [Kind; 3] = [Kind::Small, Kind::Middle, Kind::Large];

/// Fixed widths only: a row.
#[derive(Pack, Unpack, Debug, Clone, Copy, PartialEq)]
struct Sample {
    id: u32,
    at: u64,
    sound: bool,
    kind: Kind,
    grade: char,
    pair: (f32, i8),
}

#[derive(Pack, Unpack, Debug, Clone, PartialEq)]
struct Point {
    x: f64,
    y: f64,
    id: u32,
    name: String,
}

#[derive(Pack, Unpack, Debug, Clone, PartialEq)]
enum Figure {
    Dot(Sample),
    Path { name: String, points: Vec<Point> },
    Pair(u8, i16),
    Nothing,
}

#[derive(Pack, Unpack, Debug, Clone, PartialEq)]
struct Empty;

#[derive(Pack, Unpack, Debug, Clone, Copy, PartialEq)]
#[neopack(transparent)]
struct Byte {
    byte: u8,
}

#[derive(Pack, Unpack, Debug, Clone, PartialEq)]
struct Generic<T, const N: usize>(T, [u16; N]);

#[derive(Pack, Unpack, Debug, Clone, PartialEq)]
struct All {
    samples: Vec<Sample>,
    figure: Figure,
    maybe: Option<Option<String>>,
    done: Result<(), Kind>,
    bytes: Vec<u8>,
    more_bytes: Vec<Byte>,
    signs: Vec<bool>,
    kinds: Vec<Kind>,
    words: Vec<String>,
    empty: Empty,
    generic: Generic<Option<Box<Point>>, 3>,
    floats: Vec<f32>,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(&KINDS[..])
}

fn sample() -> impl Strategy<Value = Sample> {
    // NaN is not equal to itself; the canonical one has a test of its own.
    let float = any::<f32>().prop_map(|float| if float.is_nan() { 0.5 } else { float });
    (any::<u32>(), any::<u64>(), any::<bool>(), kind(), any::<char>(), (float, any::<i8>()))
        .prop_map(|(id, at, sound, kind, grade, pair)| Sample { id, at, sound, kind, grade, pair })
}

fn point() -> impl Strategy<Value = Point> {
    (-1e9..1e9, -1e9..1e9, any::<u32>(), ".{0,12}").prop_map(|(x, y, id, name)| Point { x, y, id, name })
}

fn figure() -> impl Strategy<Value = Figure> {
    prop_oneof![
        sample().prop_map(Figure::Dot),
        (".{0,8}", vec(point(), 0..4)).prop_map(|(name, points)| Figure::Path { name, points }),
        any::<(u8, i16)>().prop_map(|(a, b)| Figure::Pair(a, b)),
        Just(Figure::Nothing),
    ]
}

fn all() -> impl Strategy<Value = All> {
    let first = (
        vec(sample(), 0..5),
        figure(),
        prop::option::of(prop::option::of(".{0,8}")),
        prop::result::maybe_ok(Just(()), kind()),
        vec(any::<u8>(), 0..20),
        vec(any::<u8>().prop_map(|byte| Byte { byte }), 0..5),
    );
    let second = (
        vec(any::<bool>(), 0..5),
        vec(kind(), 0..5),
        vec(".{0,8}", 0..5),
        (prop::option::of(point().prop_map(Box::new)), any::<[u16; 3]>()),
        vec(-1e9_f32..1e9, 0..5),
    );
    (first, second).prop_map(|((samples, figure, maybe, done, bytes, more_bytes), second)| {
        let (signs, kinds, words, (boxed, array), floats) = second;
        let generic = Generic(boxed, array);
        let empty = Empty;
        All { samples, figure, maybe, done, bytes, more_bytes, signs, kinds, words, empty, generic, floats }
    })
}

fn sample_shape() -> ShapeBuf {
    let shape = ShapeBuf::builder().group(6).leaf(Leaf::U32).leaf(Leaf::U64).leaf(Leaf::Bool);
    let shape = shape.leaf(Leaf::Enum(Width::One)).leaf(Leaf::Char).group(2).leaf(Leaf::F32).leaf(Leaf::S8);
    shape.finish().unwrap()
}

fn write_sample_fields(enc: &mut Encoder, sample: &Sample, outside: bool) -> Result<(), EncodeError> {
    enc.u32(sample.id)?;
    enc.u64(sample.at)?;
    enc.bool(sample.sound)?;
    enc.enum_(sample.kind as u32)?;
    enc.char(sample.grade)?;
    if outside {
        enc.struct_begin()?;
    }
    enc.f32(sample.pair.0)?;
    enc.s8(sample.pair.1)?;
    if outside { enc.struct_end() } else { Ok(()) }
}

fn write_point(enc: &mut Encoder, point: &Point) -> Result<(), EncodeError> {
    enc.struct_begin()?;
    enc.f64(point.x)?;
    enc.f64(point.y)?;
    enc.u32(point.id)?;
    enc.str(&point.name)?;
    enc.struct_end()
}

fn write_figure(enc: &mut Encoder, figure: &Figure) -> Result<(), EncodeError> {
    match figure {
        Figure::Dot(sample) => {
            enc.variant(0)?;
            enc.struct_begin()?;
            write_sample_fields(enc, sample, true)?;
            enc.struct_end()
        }
        Figure::Path { name, points } => {
            enc.variant(1)?;
            enc.struct_begin()?;
            enc.str(name)?;
            enc.list_begin(points.len() as u32)?;
            points.iter().try_for_each(|point| write_point(enc, point))?;
            enc.list_end()?;
            enc.struct_end()
        }
        Figure::Pair(a, b) => {
            enc.variant(2)?;
            enc.struct_begin()?;
            enc.u8(*a)?;
            enc.s16(*b)?;
            enc.struct_end()
        }
        Figure::Nothing => {
            enc.variant(3)?;
            enc.unit()
        }
    }
}

/// Rows of one leaf.
fn write_rows<T>(
    enc: &mut Encoder,
    leaf: Leaf,
    items: &[T],
    write: impl Fn(&mut Encoder, &T) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let shape = ShapeBuf::builder().leaf(leaf).finish().unwrap();
    enc.rows_begin(&shape.as_shape(), items.len() as u32)?;
    items.iter().try_for_each(|item| write(enc, item))?;
    enc.rows_end()
}

fn write_all(all: &All) -> Result<Vec<u8>, EncodeError> {
    let mut enc = Encoder::new();
    enc.struct_begin()?;
    enc.rows_begin(&sample_shape().as_shape(), all.samples.len() as u32)?;
    all.samples.iter().try_for_each(|sample| write_sample_fields(&mut enc, sample, false))?;
    enc.rows_end()?;
    write_figure(&mut enc, &all.figure)?;
    match &all.maybe {
        None => enc.none()?,
        Some(None) => {
            enc.some()?;
            enc.none()?;
        }
        Some(Some(text)) => {
            enc.some()?;
            enc.some()?;
            enc.str(text)?;
        }
    }
    match all.done {
        Ok(()) => {
            enc.result_ok()?;
            enc.unit()?;
        }
        Err(kind) => {
            enc.result_err()?;
            enc.enum_(kind as u32)?;
        }
    }
    enc.bytes(&all.bytes)?;
    enc.bytes(&all.more_bytes.iter().map(|byte| byte.byte).collect::<Vec<_>>())?;
    write_rows(&mut enc, Leaf::Bool, &all.signs, |enc, sign| enc.bool(*sign))?;
    write_rows(&mut enc, Leaf::Enum(Width::One), &all.kinds, |enc, kind| enc.enum_(*kind as u32))?;
    enc.list_begin(all.words.len() as u32)?;
    all.words.iter().try_for_each(|word| enc.str(word))?;
    enc.list_end()?;
    enc.struct_begin()?;
    enc.struct_end()?;
    enc.struct_begin()?;
    match &all.generic.0 {
        None => enc.none()?,
        Some(point) => {
            enc.some()?;
            write_point(&mut enc, point)?;
        }
    }
    write_rows(&mut enc, Leaf::U16, &all.generic.1, |enc, number| enc.u16(*number))?;
    enc.struct_end()?;
    write_rows(&mut enc, Leaf::F32, &all.floats, |enc, float| enc.f32(*float))?;
    enc.struct_end()?;
    enc.finish()
}

fn read_points(bytes: &[u8]) -> Result<Vec<Point>, DecodeError> {
    let mut dec = Decoder::new(bytes);
    let mut points = Vec::new();
    for _ in 0..dec.list_begin()? {
        dec.struct_begin()?;
        points.push(Point { x: dec.f64()?, y: dec.f64()?, id: dec.u32()?, name: dec.str()?.to_owned() });
        dec.struct_end()?;
    }
    dec.list_end()?;
    dec.finish()?;
    Ok(points)
}

fn read_samples(bytes: &[u8]) -> Result<u32, DecodeError> {
    let mut dec = Decoder::new(bytes);
    let count = dec.rows()?.count();
    dec.finish()?;
    Ok(count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn derived_bytes_are_those_written_by_hand_and_come_back(value in all()) {
        let bytes = pack(&value).unwrap();
        prop_assert_eq!(&bytes, &write_all(&value).unwrap());
        prop_assert_eq!(validate(&bytes), Ok(()));
        prop_assert_eq!(unpack::<All>(&bytes), Ok(value));
    }

    #[test]
    fn changed_bytes_are_refused_or_those_of_the_value_they_give(
        value in all(), at in any::<prop::sample::Index>(), flip in 1..=u8::MAX,
    ) {
        let mut bytes = pack(&value).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = unpack::<All>(&bytes) {
            prop_assert_eq!(validate(&bytes), Ok(()));
            prop_assert_eq!(pack(&other).unwrap(), bytes);
        }
    }

    #[test]
    fn a_front_of_a_value_is_refused(value in all(), at in any::<prop::sample::Index>()) {
        let bytes = pack(&value).unwrap();
        prop_assert!(unpack::<All>(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_refusal_is_the_decoders_own(
        points in vec(point(), 0..4), at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = pack(&points).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = to }
        prop_assert_eq!(unpack::<Vec<Point>>(&bytes), read_points(&bytes));
    }

    #[test]
    fn a_refusal_of_rows_is_the_decoders_own_or_of_the_type(
        samples in vec(sample(), 0..4), at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = pack(&samples).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = to }
        match (unpack::<Vec<Sample>>(&bytes), read_samples(&bytes)) {
            (Ok(samples), read) => prop_assert_eq!(read, Ok(samples.len() as u32)),
            (Err(DecodeError::WrongShape { .. } | DecodeError::BadRow { .. }), read) => prop_assert!(read.is_ok()),
            (Err(error), read) => prop_assert_eq!(read, Err(error)),
        }
    }

    #[test]
    fn a_map_keeps_each_key_once(map in btree_map(".{0,4}", any::<u8>(), 0..5)) {
        let bytes = pack(&map).unwrap();
        let mut enc = Encoder::new();
        enc.map_begin(map.len() as u32).unwrap();
        for (key, value) in &map {
            enc.str(key).unwrap();
            enc.u8(*value).unwrap();
        }
        enc.map_end().unwrap();
        prop_assert_eq!(&bytes, &enc.finish().unwrap());
        prop_assert_eq!(unpack::<BTreeMap<String, u8>>(&bytes), Ok(map));
    }
}

#[test]
fn fields_borrow_from_the_input() {
    #[derive(Pack, Unpack, Debug, PartialEq)]
    struct Borrowed<'a, 'b> {
        text: &'a str,
        bytes: std::borrow::Cow<'b, [u8]>,
    }
    let bytes = pack(&Borrowed { text: "text", bytes: (&[1, 2][..]).into() }).unwrap();
    let range = bytes.as_ptr_range();
    let borrowed: Borrowed<'_, '_> = unpack(&bytes).unwrap();
    assert_eq!((borrowed.text, borrowed.bytes.as_ref()), ("text", &[1, 2][..]));
    assert!(range.contains(&borrowed.text.as_ptr()) && range.contains(&borrowed.bytes.as_ptr()));
}

#[test]
fn a_case_that_the_type_does_not_have_is_refused() {
    let refused = |bytes: &[u8]| unpack::<Figure>(bytes).unwrap_err();
    assert_eq!(refused(&[0x16, 4, 0, 0, 0, 0]), DecodeError::BadCase { offset: 1, cases: 4, found: 4 });
    assert_eq!(unpack::<Kind>(&[0x17, 3, 0, 0, 0]), Err(DecodeError::BadCase { offset: 1, cases: 3, found: 3 }));
    let rows = [0x13, 8, 0, 0, 0, 0x17, 1, 2, 0, 0, 0, 2, 3];
    assert_eq!(unpack::<Vec<Kind>>(&rows), Err(DecodeError::BadRow { offset: 12 }));
    assert_eq!(
        unpack::<Vec<Kind>>(&rows).unwrap_err().to_string(),
        "expected a row of the type's own cases at byte 12, found another index"
    );
}

#[test]
fn a_type_may_contain_itself_down_to_the_depth_limit() {
    #[derive(Pack, Unpack, Debug, Clone, PartialEq)]
    struct Chain(u8, Option<Box<Chain>>);

    // A struct and a Some are two levels, so 32 links and no Some in the last are 63, and the next link is one too many.
    let chain = |links: u8| (1..links).fold(Chain(0, None), |next, number| Chain(number, Some(Box::new(next))));
    let bytes = pack(&chain(32)).unwrap();
    assert_eq!(unpack::<Chain>(&bytes), Ok(chain(32)));
    assert_eq!(pack(&chain(33)), Err(EncodeError::TooDeep { limit: 64 }));

    let mut deeper = bytes.clone();
    // The same by hand: the innermost None becomes Some of what has no room.
    let mut enc = Encoder::new();
    for number in 0..32 {
        enc.struct_begin().unwrap();
        enc.u8(number).unwrap();
        enc.some().unwrap();
    }
    assert!(enc.struct_begin().is_err());
    *deeper.last_mut().unwrap() = 0x19;
    assert!(unpack::<Chain>(&deeper).is_err());
}

#[test]
fn every_nan_becomes_the_one_that_travels() {
    #[derive(Pack, Unpack, Debug)]
    struct Floats(f32, f64);
    let odd = Floats(f32::from_bits(0xffc0_0001), f64::from_bits(0x7ff8_0000_0000_0001));
    let bytes = pack(&vec![odd]).unwrap();
    assert_eq!(validate(&bytes), Ok(()));
    let back = unpack::<Vec<Floats>>(&bytes).unwrap();
    assert_eq!((back[0].0.to_bits(), back[0].1.to_bits()), (0x7fc0_0000, 0x7ff8_0000_0000_0000));
}

#[test]
fn names_of_the_code_around_a_derive_are_not_used() {
    #![allow(dead_code, reason = "they only stand in the way")]
    mod neopack {}
    mod core {}
    struct Option;
    struct Result;
    trait Pack {}
    trait Unpack {}

    #[derive(::neopack::Pack, ::neopack::Unpack, Debug, PartialEq)]
    struct Plain {
        field_1: u8,
        field_0: u8,
        fields: u8,
        item: u8,
        row: u8,
    }
    let plain = Plain { field_1: 1, field_0: 2, fields: 3, item: 4, row: 5 };
    let bytes = pack(&vec![&plain]).unwrap();
    assert_eq!(unpack::<Vec<Plain>>(&bytes), Ok(vec![plain]));
}

#[test]
fn neopack_may_stand_elsewhere() {
    mod elsewhere {
        pub use neopack as packed;
    }
    #[derive(Pack, Unpack, Debug, PartialEq)]
    #[neopack(crate = elsewhere::packed)]
    enum Moved {
        A(u8),
        B,
    }
    assert_eq!(unpack::<Moved>(&pack(&Moved::A(7)).unwrap()), Ok(Moved::A(7)));
    assert_eq!(unpack::<Moved>(&pack(&Moved::B).unwrap()), Ok(Moved::B));
}

#[test]
fn types_may_come_out_of_a_macro() {
    macro_rules! record {
        ($name:ident { $($field:ident: $type:ty),* }) => {
            #[derive(Pack, Unpack, Debug, PartialEq)]
            struct $name<'a> {
                $($field: $type,)*
                list: Vec<&'a str>,
            }
        };
    }
    record!(Made { a: u8, b: Option<(u16, String)> });
    let made = Made { a: 1, b: Some((2, "b".to_owned())), list: vec!["c"] };
    assert_eq!(unpack::<Made<'_>>(&pack(&made).unwrap()), Ok(made));
}
