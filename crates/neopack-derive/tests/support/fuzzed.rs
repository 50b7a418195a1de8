//! What the fuzz target of derived types does with its bytes; `corpus.rs` does the same with the corpus.

use std::collections::BTreeMap;

use neopack::{Pack, Unpack, pack, unpack, validate};

#[derive(Pack, Unpack)]
pub enum Kind {
    Small,
    Large,
}

/// Fixed widths only: a list of it is rows.
#[derive(Pack, Unpack)]
pub struct Sample {
    pub id: u32,
    pub sound: bool,
    pub kind: Kind,
    pub grade: char,
    pub pair: (f32, i8),
}

#[derive(Pack, Unpack)]
pub enum Figure {
    Dot(Sample),
    Path { name: String, points: Vec<(f64, u16)> },
    Nothing,
}

#[derive(Pack, Unpack)]
#[neopack(transparent)]
pub struct Byte(u8);

#[derive(Pack, Unpack)]
pub struct Borrowed<'a> {
    pub text: &'a str,
    pub bytes: &'a [u8],
}

#[derive(Pack, Unpack)]
pub struct All {
    pub samples: Vec<Sample>,
    pub figures: Vec<Figure>,
    pub maybe: Option<Option<String>>,
    pub done: Result<(), Kind>,
    pub bytes: Vec<Byte>,
    pub fixed: [u16; 3],
    pub pairs: Vec<(String, u8)>,
}

/// Contains itself, and so ends where nesting does.
#[derive(Pack, Unpack)]
pub struct Tree {
    pub leaves: Vec<u8>,
    pub branches: Vec<Tree>,
}

/// The first byte says which type the others are read as: they are refused, or they are its one form.
pub fn typed(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 8 {
        0 => check::<All>(bytes),
        1 => check::<Figure>(bytes),
        2 => check::<Vec<Sample>>(bytes),
        3 => check::<Borrowed<'_>>(bytes),
        4 => check::<Tree>(bytes),
        5 => check_map::<BTreeMap<String, Vec<u64>>>(bytes),
        6 => check::<Result<Option<Vec<Kind>>, (char, bool)>>(bytes),
        _ => check::<(Vec<Byte>, [Sample; 2], f64)>(bytes),
    }
}

/// A map keeps the order that its bytes have; a `BTreeMap` has its own, in which it must stay.
fn check_map<T: Pack + for<'a> Unpack<'a>>(bytes: &[u8]) {
    if let Ok(value) = unpack::<T>(bytes) {
        let sorted = pack(&value).unwrap();
        assert_eq!(sorted.len(), bytes.len(), "pairs were lost");
        check::<T>(&sorted);
    }
}

fn check<'a, T: Pack + Unpack<'a>>(bytes: &'a [u8]) {
    if let Ok(value) = unpack::<T>(bytes) {
        assert_eq!(validate(bytes), Ok(()), "what was read is no value");
        assert_eq!(pack(&value).as_deref(), Ok(bytes), "what was read has another form");
    }
}
