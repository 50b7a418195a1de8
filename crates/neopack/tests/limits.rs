//! Depth, size and shape at their limits and one past them.

mod support;

use neopack::{
    DEPTH_MAX, DecodeError, Decoder, EncodeError, Encoder, Leaf, Limits, Place, SHAPE_NESTING_MAX, SHAPE_NODES_MAX,
    Shape, ShapeBuf, ShapeFault, VALUE_BYTES_MAX, Want, Width, validate,
};
use support::{events, events_within};

/// What can be opened around an item: how to open it in an encoder, and how it is read.
type Open = fn(&mut Encoder) -> Result<(), EncodeError>;
const OPENERS: &[(Open, Open)] = &[
    (Encoder::some, |_| Ok(())),
    (Encoder::result_ok, |_| Ok(())),
    (Encoder::result_err, |_| Ok(())),
    (|enc| enc.variant(1), |_| Ok(())),
    (Encoder::struct_begin, Encoder::struct_end),
    (|enc| enc.list_begin(1), Encoder::list_end),
    (
        |enc| {
            enc.map_begin(1)?;
            enc.none()
        },
        Encoder::map_end,
    ),
];

/// `depth` containers around None, of all kinds in turn from `first` on; bytes, not checked by an encoder's limits.
fn nested(first: usize, depth: usize) -> Vec<u8> {
    let mut item = vec![0x18];
    for level in (0..depth).rev() {
        let len = |more: usize| u32::try_from(item.len() + more).unwrap().to_le_bytes();
        let mut outer = match (first + level) % OPENERS.len() {
            0 => vec![0x19],
            1 => vec![0x1a],
            2 => vec![0x1b],
            3 => vec![0x16, 1, 0, 0, 0],
            4 => [&[0x14], &len(0)[..]].concat(),
            5 => [&[0x12], &len(4)[..], &[1, 0, 0, 0]].concat(),
            _ => [&[0x15], &len(5)[..], &[1, 0, 0, 0, 0x18]].concat(),
        };
        outer.append(&mut item);
        item = outer;
    }
    item
}

#[test]
fn every_kind_of_container_nests_to_the_limit_and_no_deeper_in_the_decoder() {
    for first in 0..OPENERS.len() {
        let deepest = nested(first, DEPTH_MAX);
        assert_eq!(validate(&deepest), Ok(()));
        assert!(events(&deepest).is_ok());
        let too_deep = nested(first, DEPTH_MAX + 1);
        let refusal = validate(&too_deep).unwrap_err();
        assert!(matches!(refusal, DecodeError::TooDeep { limit: DEPTH_MAX, .. }), "{refusal}");
        assert_eq!(events(&too_deep), Err(refusal));
        assert!(validate(&nested(first, 10_000)).is_err());
    }
}

#[test]
fn every_kind_of_container_nests_to_the_limit_and_no_deeper_in_the_encoder() {
    for first in 0..OPENERS.len() {
        for limit in [0, 1, 7, DEPTH_MAX] {
            let mut enc = Encoder::with_limits(Limits::new().depth_max(limit));
            let opener = |level: usize| OPENERS[(first + level) % OPENERS.len()];
            for level in 0..limit {
                opener(level).0(&mut enc).unwrap();
            }
            assert_eq!(opener(limit).0(&mut enc), Err(EncodeError::TooDeep { limit }));
            let shape = ShapeBuf::builder().leaf(Leaf::U16).finish().unwrap();
            assert_eq!(enc.rows(&shape.as_shape(), 0, &[]), Err(EncodeError::TooDeep { limit }));
            enc.none().unwrap();
            for level in (0..limit).rev() {
                opener(level).1(&mut enc).unwrap();
            }
            assert_eq!(enc.finish().unwrap(), nested(first, limit));
        }
    }
}

#[test]
fn a_lower_depth_is_kept_by_the_decoder() {
    for limit in [0, 1, 5, DEPTH_MAX - 1] {
        let limits = Limits::new().depth_max(limit);
        assert!(events_within(&nested(4, limit), limits).is_ok());
        let refusal = events_within(&nested(4, limit + 1), limits).unwrap_err();
        assert!(matches!(refusal, DecodeError::TooDeep { limit: found, .. } if found == limit), "{refusal}");
    }
}

#[test]
fn limits_are_lowered_and_never_raised() {
    assert_eq!(Limits::new().depth_max(DEPTH_MAX + 1).bytes_max(u32::MAX), Limits::default());
    let low = Limits::new().depth_max(3).bytes_max(100);
    assert_eq!((low.depth(), low.bytes()), (3, 100));
    assert_eq!(low.depth_max(4).bytes_max(101), low);
}

#[test]
fn siblings_do_not_add_to_depth() {
    let mut enc = Encoder::with_limits(Limits::new().depth_max(2));
    enc.struct_begin().unwrap();
    for _ in 0..1_000 {
        enc.some().unwrap();
        enc.none().unwrap();
        enc.struct_begin().unwrap();
        enc.struct_end().unwrap();
    }
    enc.struct_end().unwrap();
    let bytes = enc.finish().unwrap();
    assert!(events_within(&bytes, Limits::new().depth_max(2)).is_ok());
    assert_eq!(validate(&bytes), Ok(()));
}

#[test]
fn depth_of_rows_counts_them_and_their_groups() {
    let grouped = |groups: usize| {
        let mut builder = ShapeBuf::builder();
        for _ in 0..groups {
            builder = builder.group(1);
        }
        builder.leaf(Leaf::U16).finish()
    };
    let deepest = grouped(SHAPE_NESTING_MAX).unwrap();
    assert_eq!(deepest.as_shape().nesting(), SHAPE_NESTING_MAX);
    let refusal = grouped(SHAPE_NESTING_MAX + 1).unwrap_err();
    assert_eq!(refusal.fault, ShapeFault::TooDeep { limit: SHAPE_NESTING_MAX });

    let mut enc = Encoder::new();
    enc.rows(&deepest.as_shape(), 1, &[1, 2]).unwrap();
    let mut bytes = enc.finish().unwrap();
    assert_eq!(validate(&bytes), Ok(()));

    // One wrapper around it is one too many, for the encoder and for the decoder.
    let mut enc = Encoder::new();
    enc.some().unwrap();
    assert_eq!(enc.rows(&deepest.as_shape(), 1, &[1, 2]), Err(EncodeError::TooDeep { limit: DEPTH_MAX }));
    assert_eq!(enc.rows_begin(&deepest.as_shape(), 1), Err(EncodeError::TooDeep { limit: DEPTH_MAX }));
    let refusal = enc.raw(&bytes).unwrap_err();
    assert!(matches!(refusal, EncodeError::BadItem(DecodeError::BadShape { .. })), "{refusal}");
    enc.rows(&grouped(SHAPE_NESTING_MAX - 1).unwrap().as_shape(), 1, &[1, 2]).unwrap();
    bytes.insert(0, 0x19);
    let refusal = validate(&bytes).unwrap_err();
    assert!(matches!(refusal, DecodeError::BadShape { offset: 6, .. }), "{refusal}");
}

#[test]
fn a_spliced_item_counts_with_what_is_around_it() {
    for around in 0..=DEPTH_MAX {
        let mut enc = Encoder::new();
        for _ in 0..around {
            enc.some().unwrap();
        }
        let refusal = enc.clone().raw(&nested(0, DEPTH_MAX - around + 1)).unwrap_err();
        assert!(matches!(refusal, EncodeError::BadItem(DecodeError::TooDeep { .. })), "{refusal}");
        enc.raw(&nested(0, DEPTH_MAX - around)).unwrap();
        assert_eq!(validate(&enc.finish().unwrap()), Ok(()));
    }
}

#[test]
fn a_value_of_the_largest_size_passes_and_a_byte_more_does_not() {
    let largest = vec![7; VALUE_BYTES_MAX as usize - 5];
    let mut enc = Encoder::from_vec(b"what stands before does not count".to_vec());
    let refusal = enc.bytes(&[&largest[..], &[7]].concat()).unwrap_err();
    let found = u64::from(VALUE_BYTES_MAX) + 1;
    assert_eq!(refusal, EncodeError::TooLarge { limit: VALUE_BYTES_MAX, found });
    enc.bytes(&largest).unwrap();
    let mut bytes = enc.finish().unwrap().split_off(33);
    assert_eq!(bytes.len(), VALUE_BYTES_MAX as usize);
    assert_eq!(validate(&bytes), Ok(()));

    bytes.push(0);
    let refusal = DecodeError::TooLarge { limit: VALUE_BYTES_MAX, found: bytes.len() };
    assert_eq!(validate(&bytes), Err(refusal));
    let mut dec = Decoder::new(&bytes);
    assert_eq!(dec.bytes(), Err(refusal));
    assert_eq!(dec.peek(), Err(refusal));
    assert_eq!(dec.list_begin(), Err(refusal));
    assert_eq!(dec.finish(), Err(refusal));
}

#[test]
fn every_way_to_write_keeps_a_lower_size() {
    let shape = ShapeBuf::builder().leaf(Leaf::U16).finish().unwrap();
    let shape = shape.as_shape();
    type Write<'a> = &'a dyn Fn(&mut Encoder) -> Result<(), EncodeError>;
    let ways: &[(u32, Write<'_>)] = &[
        (1, &|enc| enc.unit()),
        (1, &|enc| enc.none()),
        (2, &|enc| enc.bool(true)),
        (5, &|enc| enc.u32(1)),
        (9, &|enc| enc.f64(1.0)),
        (8, &|enc| enc.str("abc")),
        (8, &|enc| enc.bytes(b"abc")),
        (2, &|enc| enc.raw(&[2, 7])),
        (14, &|enc| enc.rows(&shape, 2, &[0; 4])),
        (14, &|enc| enc.rows_begin(&shape, 2)),
        (1, &|enc| enc.some()),
        (1, &|enc| enc.result_ok()),
        (5, &|enc| enc.variant(0)),
        (5, &|enc| enc.struct_begin()),
        (9, &|enc| enc.list_begin(0)),
        // A count's items take a byte each at least, keys and values of a map alike.
        (12, &|enc| enc.list_begin(3)),
        (15, &|enc| enc.map_begin(3)),
    ];
    for (index, (size, write)) in ways.iter().enumerate() {
        let mut enc = Encoder::with_limits(Limits::new().bytes_max(size - 1));
        let found = u64::from(*size);
        assert_eq!(write(&mut enc), Err(EncodeError::TooLarge { limit: size - 1, found }), "way {index}");
        assert_eq!(enc.written(), 0);
        let mut enc = Encoder::with_limits(Limits::new().bytes_max(*size));
        assert_eq!(write(&mut enc), Ok(()), "way {index}");
    }
}

#[test]
fn claims_past_every_size_are_refused_without_memory() {
    let shape = ShapeBuf::builder().leaf(Leaf::U64).finish().unwrap();
    let mut enc = Encoder::new();
    assert!(matches!(enc.list_begin(u32::MAX), Err(EncodeError::TooLarge { .. })));
    assert!(matches!(enc.map_begin(u32::MAX), Err(EncodeError::TooLarge { .. })));
    assert!(matches!(enc.map_begin(1 << 31), Err(EncodeError::TooLarge { .. })));
    assert!(matches!(enc.rows_begin(&shape.as_shape(), u32::MAX), Err(EncodeError::TooLarge { .. })));
    assert!(matches!(enc.rows(&shape.as_shape(), u32::MAX, &[]), Err(EncodeError::TooLarge { .. })));
    enc.unit().unwrap();
    assert_eq!(enc.finish().unwrap().capacity(), 8, "a buffer no larger than the standard library's smallest");
}

#[test]
fn an_empty_limit_admits_no_value() {
    let limits = Limits::new().bytes_max(0);
    let refusal = Decoder::with_limits(&[0], limits).unit().unwrap_err();
    assert_eq!(refusal, DecodeError::TooLarge { limit: 0, found: 1 });
    let refusal = Decoder::with_limits(&[], limits).unit().unwrap_err();
    assert!(matches!(refusal, DecodeError::Truncated { expected: Want::One(_), .. }));
    let finish = Decoder::with_limits(&[], limits).finish();
    assert_eq!(finish, Err(DecodeError::Unfinished { offset: 0, inside: Place::Root }));
}

#[test]
fn a_shape_has_at_most_256_nodes() {
    let fields = |fields: usize| {
        let mut builder = ShapeBuf::builder().group(u16::try_from(fields).unwrap());
        for _ in 0..fields {
            builder = builder.leaf(Leaf::Enum(Width::Two));
        }
        builder.finish()
    };
    let most = fields(SHAPE_NODES_MAX - 1).unwrap();
    assert_eq!(most.as_shape().width(), 2 * 255);
    assert_eq!(most.as_shape().leaves().count(), 255);
    assert_eq!(fields(SHAPE_NODES_MAX).unwrap_err().fault, ShapeFault::TooManyNodes);
    assert_eq!(fields(60_000).unwrap_err().fault, ShapeFault::TooManyNodes);

    let mut bytes = vec![0x14, 0x00, 0x01];
    bytes.resize(3 + 256, 0x02);
    assert_eq!(Shape::new(&bytes).unwrap_err().fault, ShapeFault::TooManyNodes);
    bytes[1..3].copy_from_slice(&[0xff, 0x00]);
    bytes.pop();
    assert_eq!(Shape::new(&bytes).unwrap().width(), 255);
    bytes.push(0x02);
    assert_eq!(Shape::new(&bytes).unwrap_err().fault, ShapeFault::Trailing);
}

#[test]
fn widths_follow_the_number_of_cases_and_flags() {
    let cases = [(1, Width::One), (256, Width::One), (257, Width::Two), (65_536, Width::Two), (65_537, Width::Four)];
    for (count, width) in cases {
        assert_eq!(Width::for_cases(count), width, "{count} cases");
    }
    for (count, width) in [(8, Width::One), (9, Width::Two), (16, Width::Two), (17, Width::Four), (32, Width::Four)] {
        assert_eq!(Width::for_flags(count), width, "{count} flags");
    }
}
