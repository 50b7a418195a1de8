//! Random values and random bytes.

mod support;

use neopack::{DecodeError, Decoder, Leaf, Shape, ShapeBuf, ShapeBuilder, Width, validate};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Event, encode, events, hex, is_wrapper};

/// Any item as its events, but Unit.
fn item() -> impl Strategy<Value = Vec<Event>> {
    let leaf = prop_oneof![scalar().prop_map(|event| vec![event]), rows().prop_map(|event| vec![event])];
    leaf.prop_recursive(6, 60, 5, |item| {
        let payload = prop_oneof![1 => Just(vec![Event::Unit]), 3 => item.clone()];
        prop_oneof![
            vec(item.clone(), 0..5).prop_map(|items| held(Event::List(items.len() as u32), items)),
            vec(item.clone(), 0..5).prop_map(|items| held(Event::Struct, items)),
            vec((item.clone(), item.clone()), 0..3).prop_map(|pairs| {
                let count = pairs.len() as u32;
                held(Event::Map(count), pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
            }),
            item.prop_map(|item| held(Event::Some, vec![item])),
            payload.clone().prop_map(|item| held(Event::ResultOk, vec![item])),
            payload.clone().prop_map(|item| held(Event::ResultErr, vec![item])),
            (any::<u32>(), payload).prop_map(|(index, item)| held(Event::Variant(index), vec![item])),
        ]
    })
}

fn held(opener: Event, items: Vec<Vec<Event>>) -> Vec<Event> {
    let end = if is_wrapper(&opener) { Event::Unwrapped } else { Event::End };
    let mut out = vec![opener];
    out.extend(items.into_iter().flatten());
    out.push(end);
    out
}

fn scalar() -> impl Strategy<Value = Event> {
    // Not every NaN: events hold what comes back.
    let f32 = any::<f32>().prop_map(|v| Event::F32(if v.is_nan() { 0x7fc0_0000 } else { v.to_bits() }));
    let f64 = any::<f64>().prop_map(|v| Event::F64(if v.is_nan() { 0x7ff8_0000_0000_0000 } else { v.to_bits() }));
    prop_oneof![
        any::<bool>().prop_map(Event::Bool),
        any::<u8>().prop_map(Event::U8),
        any::<u16>().prop_map(Event::U16),
        any::<u32>().prop_map(Event::U32),
        any::<u64>().prop_map(Event::U64),
        any::<i8>().prop_map(Event::S8),
        any::<i16>().prop_map(Event::S16),
        any::<i32>().prop_map(Event::S32),
        any::<i64>().prop_map(Event::S64),
        f32,
        f64,
        any::<char>().prop_map(Event::Char),
        any::<String>().prop_map(Event::Str),
        vec(any::<u8>(), 0..40).prop_map(Event::Bytes),
        any::<u32>().prop_map(Event::Enum),
        any::<u32>().prop_map(Event::Flags),
        any::<u64>().prop_map(Event::Handle),
        any::<u64>().prop_map(Event::Channel),
        Just(Event::None),
    ]
}

/// A shape as a function that adds it to a builder.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(Leaf),
    Group(Vec<Tree>),
}

fn build(tree: &Tree, builder: ShapeBuilder) -> ShapeBuilder {
    match tree {
        Tree::Leaf(leaf) => builder.leaf(*leaf),
        Tree::Group(fields) => {
            let builder = builder.group(fields.len() as u16);
            fields.iter().fold(builder, |builder, field| build(field, builder))
        }
    }
}

fn shape() -> impl Strategy<Value = ShapeBuf> {
    let width = prop_oneof![Just(Width::One), Just(Width::Two), Just(Width::Four)];
    let plain = vec![
        Leaf::Bool,
        Leaf::U8,
        Leaf::U16,
        Leaf::U32,
        Leaf::U64,
        Leaf::S8,
        Leaf::S16,
        Leaf::S32,
        Leaf::S64,
        Leaf::F32,
        Leaf::F64,
        Leaf::Char,
    ];
    let leaf = prop_oneof![
        6 => prop::sample::select(plain),
        1 => width.clone().prop_map(Leaf::Enum),
        1 => width.prop_map(Leaf::Flags),
    ];
    let tree = leaf.prop_map(Tree::Leaf).prop_recursive(4, 20, 4, |field| vec(field, 1..4).prop_map(Tree::Group));
    tree.prop_filter("a lone U8 is no shape", |tree| !matches!(tree, Tree::Leaf(Leaf::U8)))
        .prop_map(|tree| build(&tree, ShapeBuf::builder()).finish().unwrap())
}

/// Rows of any shape, made of random bytes where every byte will do.
fn rows() -> impl Strategy<Value = Event> {
    (shape(), 0_u32..6, vec(any::<u8>(), 64)).prop_map(|(shape, count, noise)| {
        let mut noise = noise.into_iter().cycle();
        let mut bytes = Vec::new();
        for _ in 0..count {
            for (leaf, _) in shape.as_shape().leaves() {
                let start = bytes.len();
                bytes.extend(noise.by_ref().take(leaf.width() as usize));
                let field = &mut bytes[start..];
                match leaf {
                    Leaf::Bool => field[0] &= 1,
                    Leaf::Char => field[1..].fill(0),
                    // With its lowest exponent bit clear, a float is finite.
                    Leaf::F32 => field[2] &= 0x7f,
                    Leaf::F64 => field[6] &= 0xef,
                    _ => {}
                }
            }
        }
        Event::Rows { shape: shape.as_shape().bytes().to_vec(), count, bytes }
    })
}

/// Bytes that look like items more often than random ones do.
fn almost_item() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (0_u8..0x20).prop_map(|tag| vec![tag]),
        (0_u32..24).prop_map(|len| len.to_le_bytes().to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
        scalar().prop_map(|event| encode(&[event]).unwrap()),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn accepted_is_canonical(bytes: &[u8]) -> Result<(), TestCaseError> {
    let read = events(bytes);
    prop_assert_eq!(validate(bytes), read.clone().map(drop));
    if let Ok(read) = read {
        prop_assert_eq!(hex(&encode(&read).unwrap()), hex(bytes));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_comes_back_as_it_went_and_encodes_to_the_same_bytes(value in item()) {
        let bytes = encode(&value).unwrap();
        prop_assert_eq!(validate(&bytes), Ok(()));
        let back = events(&bytes).unwrap();
        prop_assert_eq!(&back, &value);
        prop_assert_eq!(encode(&back).unwrap(), bytes);
    }

    #[test]
    fn two_values_share_no_encoding(left in item(), right in item()) {
        prop_assert_eq!(left == right, encode(&left).unwrap() == encode(&right).unwrap());
    }

    #[test]
    fn a_front_of_a_value_is_no_value(value in item(), at in any::<prop::sample::Index>()) {
        let bytes = encode(&value).unwrap();
        prop_assert!(validate(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_changed_value_is_refused_or_another(value in item(), at in any::<prop::sample::Index>(), flip in 1..=u8::MAX) {
        let mut bytes = encode(&value).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        accepted_is_canonical(&bytes)?;
        prop_assert_ne!(events(&bytes), Ok(value));
    }

    #[test]
    fn a_splice_of_two_values_is_refused_or_canonical(
        front in item(), back in item(), cut in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(),
    ) {
        let (mut bytes, back) = (encode(&front).unwrap(), encode(&back).unwrap());
        bytes.truncate(cut.index(bytes.len()));
        bytes.extend(&back[from.index(back.len())..]);
        accepted_is_canonical(&bytes)?;
    }

    #[test]
    fn random_bytes_are_refused_or_canonical(bytes in vec(any::<u8>(), 0..200)) {
        accepted_is_canonical(&bytes)?;
    }

    #[test]
    fn bytes_that_look_like_items_are_refused_or_canonical(bytes in almost_item()) {
        accepted_is_canonical(&bytes)?;
    }

    #[test]
    fn an_item_spliced_in_is_the_item_written(value in item()) {
        let bytes = encode(&value).unwrap();
        let mut spliced = neopack::Encoder::new();
        spliced.struct_begin().unwrap();
        spliced.raw(&bytes).unwrap();
        spliced.struct_end().unwrap();
        let mut written = neopack::Encoder::new();
        written.struct_begin().unwrap();
        support::write(&mut written, &value).unwrap();
        written.struct_end().unwrap();
        prop_assert_eq!(spliced.finish().unwrap(), written.finish().unwrap());
    }

    #[test]
    fn any_sequence_of_reads_ends_well_and_a_refused_one_moves_nothing(
        bytes in prop_oneof![item().prop_map(|value| encode(&value).unwrap()), almost_item()],
        reads in vec(0_u8..31, 0..60),
    ) {
        let mut dec = Decoder::new(&bytes);
        for read in reads {
            let before = format!("{dec:?}");
            let offset = dec.offset();
            match perform(&mut dec, read) {
                Ok(()) => prop_assert!(dec.offset() >= offset),
                Err(_) => prop_assert_eq!(format!("{dec:?}"), before),
            }
            prop_assert!(dec.offset() <= bytes.len());
        }
        if dec.clone().finish().is_ok() {
            prop_assert_eq!(validate(&bytes), Ok(()));
        }
    }

    #[test]
    fn shapes_read_back_as_built_and_rows_scalar_by_scalar_are_rows_as_a_whole(event in rows()) {
        let Event::Rows { shape, count, bytes } = event else { unreachable!() };
        let shape = Shape::new(&shape).unwrap();
        let width: u32 = shape.leaves().map(|(leaf, _)| leaf.width()).sum();
        prop_assert_eq!(width, shape.width());

        let mut whole = neopack::Encoder::new();
        whole.rows(&shape, count, &bytes).unwrap();
        let mut single = neopack::Encoder::new();
        single.rows_begin(&shape, count).unwrap();
        for row in bytes.chunks_exact(width as usize) {
            for (leaf, offset) in shape.leaves() {
                push(&mut single, leaf, &row[offset as usize..][..leaf.width() as usize]);
            }
        }
        single.rows_end().unwrap();
        prop_assert_eq!(single.finish().unwrap(), whole.finish().unwrap());
    }
}

/// One of the decoder's methods.
fn perform(dec: &mut Decoder<'_>, read: u8) -> Result<(), DecodeError> {
    match read {
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
        13 => dec.str().map(drop),
        14 => dec.bytes().map(drop),
        15 => dec.list_begin().map(drop),
        16 => dec.list_end(),
        17 => dec.struct_begin(),
        18 => dec.struct_end(),
        19 => dec.map_begin().map(drop),
        20 => dec.map_end(),
        21 => dec.rows().map(drop),
        22 => dec.variant().map(drop),
        23 => dec.option().map(drop),
        24 => dec.result().map(drop),
        25 => dec.enum_().map(drop),
        26 => dec.handle().map(drop),
        27 => dec.channel().map(drop),
        28 => dec.peek().map(drop),
        29 => dec.flags().map(drop),
        _ => dec.skip(),
    }
}

/// Writes one scalar of a row by the method of its kind.
fn push(enc: &mut neopack::Encoder, leaf: Leaf, field: &[u8]) {
    let mut wide = [0; 8];
    wide[..field.len()].copy_from_slice(field);
    let bits = u64::from_le_bytes(wide);
    match leaf {
        Leaf::Bool => enc.bool(bits == 1),
        Leaf::U8 => enc.u8(bits as u8),
        Leaf::U16 => enc.u16(bits as u16),
        Leaf::U32 => enc.u32(bits as u32),
        Leaf::U64 => enc.u64(bits),
        Leaf::S8 => enc.s8(bits as i8),
        Leaf::S16 => enc.s16(bits as i16),
        Leaf::S32 => enc.s32(bits as i32),
        Leaf::S64 => enc.s64(bits as i64),
        Leaf::F32 => enc.f32(f32::from_bits(bits as u32)),
        Leaf::F64 => enc.f64(f64::from_bits(bits)),
        Leaf::Char => enc.char(char::from_u32(bits as u32).unwrap()),
        Leaf::Enum(_) => enc.enum_(bits as u32),
        Leaf::Flags(_) => enc.flags(bits as u32),
    }
    .unwrap();
}
