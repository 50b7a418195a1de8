//! The values that every codec carries.
//!
//! Structs are tuple structs, because neopack sends fields by position: so serde's codecs send no names either. Each type
//! that holds text or bytes has a second form that borrows them from the input.

use neopack::{Pack, Unpack};
use serde::{Deserialize, Serialize};

/// Two numbers: what a value costs by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Add(#[n(0)] pub u32, #[n(1)] pub u32);

/// One string.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Text(#[n(0)] pub String);

/// [`Text`], borrowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct TextRef<'a>(
    #[serde(borrow)]
    #[b(0)]
    pub &'a str,
);

/// One list of bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Blob(
    #[serde(with = "serde_bytes")]
    #[cbor(n(0), with = "minicbor::bytes")]
    pub Vec<u8>,
);

/// [`Blob`], borrowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct BlobRef<'a>(
    #[serde(borrow, with = "serde_bytes")]
    #[cbor(b(0), with = "minicbor::bytes")]
    pub &'a [u8],
);

/// One record of `sum`: two coordinates, a place, 16 bytes of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Point(#[n(0)] pub f64, #[n(1)] pub f64, #[n(2)] pub u32, #[n(3)] pub String);

/// [`Point`], borrowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct PointRef<'a>(
    #[n(0)] pub f64,
    #[n(1)] pub f64,
    #[n(2)] pub u32,
    #[serde(borrow)]
    #[b(3)]
    pub &'a str,
);

/// What `sum` takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Points(#[n(0)] pub Vec<Point>);

/// [`Points`], borrowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct PointsRef<'a>(
    #[serde(borrow)]
    #[b(0)]
    pub Vec<PointRef<'a>>,
);

/// A record of nothing but fixed widths, which neopack sends as a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Sample(#[n(0)] pub u32, #[n(1)] pub u64, #[n(2)] pub f64);

/// Many of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Samples(#[n(0)] pub Vec<Sample>);

/// What `get` answers, as WIT's `result<option<string>, string>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Found(#[n(0)] pub Result<Option<String>, String>);

/// [`Found`], borrowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct FoundRef<'a>(
    #[serde(borrow)]
    #[b(0)]
    pub Result<Option<&'a str>, &'a str>,
);

/// A record that holds the next in an option and in a list by turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Level(#[n(0)] pub u32, #[n(1)] pub Option<Box<Level>>, #[n(2)] pub Vec<Level>);

/// Many short strings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct Strings(#[n(0)] pub Vec<String>);

/// [`Strings`], borrowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode, Pack, Unpack)]
pub struct StringsRef<'a>(
    #[serde(borrow)]
    #[b(0)]
    pub Vec<&'a str>,
);

/// Records in a list, strings in a list.
pub const ITEMS: u32 = 1_000;
/// Records inside one another; with options and lists between them that is 63 containers of neopack's 64.
pub const LEVELS: u32 = 32;

/// 7 and 70,000.
pub fn add() -> Add {
    Add(7, 70_000)
}

/// 64 bytes of text.
pub fn text() -> Text {
    Text("the quick brown fox jumps over the lazy dog and runs far away ok".to_owned())
}

/// 64 KiB.
pub fn blob() -> Blob {
    Blob(vec![90; 64 << 10])
}

/// The records that `sum` takes.
pub fn points() -> Points {
    Points((0..ITEMS).map(|id| Point(1.5, 2.5, id, "n".repeat(16))).collect())
}

/// As many records of fixed width.
pub fn samples() -> Samples {
    Samples((0..ITEMS).map(|id| Sample(id, u64::from(id) << 20, f64::from(id) / 3.0)).collect())
}

/// Ok, some, 64 bytes of text.
pub fn found() -> Found {
    Found(Ok(Some("value-0123456789abcdef0123456789abcdef0123456789abcdef0123456789".to_owned())))
}

/// The deep one.
pub fn nested() -> Level {
    let innermost = Level(LEVELS, None, Vec::new());
    (1..LEVELS).rev().fold(innermost, |next, number| match number % 2 {
        0 => Level(number, Some(Box::new(next)), Vec::new()),
        _ => Level(number, None, vec![next]),
    })
}

/// Strings of 8 to 16 bytes.
pub fn strings() -> Strings {
    Strings((0..ITEMS as usize).map(|place| "abcdefgh-ijklmno"[..8 + place % 9].to_owned()).collect())
}
