//! The five functions that are measured everywhere, with the values that the guests send.

use std::sync::Arc;

use isorun::wasmtime::component::{ComponentType, Lift};
use isorun::{Ledger, TypeRegistry, Val};
use isorun_runtime::codec::{CodecError, decode_vals, encode_vals};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What `echo-string` carries: 64 bytes.
pub const STRING: &str = "the quick brown fox jumps over the lazy dog and runs far away ok";
/// What `get` is asked for: 16 bytes.
pub const KEY: &str = "key-000000000001";
/// What `get` answers: 64 bytes.
pub const VALUE: &str = "value-0123456789abcdef0123456789abcdef0123456789abcdef0123456789";
/// How many records `sum` takes.
pub const POINTS: u32 = 1_000;

/// What `echo-bytes` carries, in bytes.
pub const BYTES: usize = 64 << 10;
const _: () = assert!(STRING.len() == 64 && VALUE.len() == 64 && KEY.len() == 16);

/// Room for the values of one call in the host, in bytes: `echo-bytes` takes 40 a byte.
const VALS_BYTES_MAX: u64 = 128 << 20;

/// One of the five functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Two numbers in, one out: what a call costs by itself.
    Add,
    /// 64 bytes of text, there and back.
    EchoString,
    /// 64 KiB, there and back: what a byte costs.
    EchoBytes,
    /// 1,000 records in, one number out: what a field costs.
    Sum,
    /// A key in, `ok(some(text))` out: the usual small call.
    Get,
}

impl Function {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Add, Self::EchoString, Self::EchoBytes, Self::Sum, Self::Get];

    /// Its name in WIT; the calling guest's loop over it is `run-NAME`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::EchoString => "echo-string",
            Self::EchoBytes => "echo-bytes",
            Self::Sum => "sum",
            Self::Get => "get",
        }
    }

    /// The function of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    /// The arguments that the calling guest sends.
    #[must_use]
    pub fn args(self) -> Vec<Val> {
        match self {
            Self::Add => vec![Val::U32(7), Val::U32(70_000)],
            Self::EchoString => vec![text(STRING)],
            Self::EchoBytes => vec![Val::List(vec![Val::U8(90); BYTES])],
            Self::Sum => vec![Val::List(points().into_iter().map(Val::from).collect())],
            Self::Get => vec![text(KEY)],
        }
    }

    /// The results that it gets back.
    #[must_use]
    pub fn results(self) -> Vec<Val> {
        match self {
            Self::Add => vec![Val::U32(70_007)],
            Self::EchoString | Self::EchoBytes => self.args(),
            Self::Sum => vec![Val::Float64(points().iter().map(Point::weight).sum())],
            Self::Get => {
                let found = Val::Option(Some(Box::new(text(VALUE))));
                vec![Val::Result(Ok(Some(Box::new(found))))]
            }
        }
    }
}

fn text(text: &str) -> Val {
    Val::String(text.into())
}

/// The record that `sum` takes.
#[derive(Debug, Clone, PartialEq, ComponentType, Lift, Serialize, Deserialize)]
#[component(record)]
#[component(wasmtime_crate = isorun::wasmtime)]
pub struct Point {
    /// A coordinate.
    pub x: f64,
    /// The other.
    pub y: f64,
    /// Its place in the list.
    pub id: u32,
    /// 16 bytes of text.
    pub name: String,
}

impl Point {
    /// What it adds to the sum.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.x + self.y + f64::from(self.id) + self.name.len() as f64
    }
}

impl From<Point> for Val {
    fn from(point: Point) -> Self {
        Self::Record(vec![
            ("x".into(), Self::Float64(point.x)),
            ("y".into(), Self::Float64(point.y)),
            ("id".into(), Self::U32(point.id)),
            ("name".into(), Self::String(point.name)),
        ])
    }
}

/// The records that the calling guest sends.
#[must_use]
pub fn points() -> Vec<Point> {
    (0..POINTS).map(|id| Point { x: 1.5, y: 2.5, id, name: "n".repeat(16) }).collect()
}

/// The bytes of a guest that is written as text.
///
/// # Errors
/// A file that is not there, or not a component.
pub fn guest(name: &str) -> Result<Vec<u8>, Error> {
    Ok(wat::parse_file(format!("{}/../guests/wat/{name}.wat", env!("CARGO_MANIFEST_DIR")))?)
}

/// The types of one function, and its values as they travel.
#[derive(Debug, Clone)]
pub struct Signature {
    types: Arc<TypeRegistry>,
    function: isorun::Function,
}

impl Signature {
    /// The signature of that function at the root of a component.
    ///
    /// # Errors
    /// A component that has no such function.
    pub fn of(function: Function, ledger: &Ledger) -> Result<Self, Error> {
        let found = ledger.export(None).and_then(|root| root.function(function.name()));
        let function = found.ok_or_else(|| format!("no function `{}` at the root", function.name()))?.clone();
        Ok(Self { types: ledger.types.clone(), function })
    }

    /// Packs arguments, as a stub does.
    ///
    /// # Errors
    /// Values that are not the arguments' types.
    pub fn pack_args(&self, args: &[Val]) -> Result<Vec<u8>, CodecError> {
        encode_vals(&self.types, self.function.params.iter().map(|param| param.ty).zip(args))
    }

    /// Unpacks arguments, as the serving side does.
    ///
    /// # Errors
    /// Bytes that are not such arguments.
    pub fn unpack_args(&self, packed: &[u8]) -> Result<Vec<Val>, CodecError> {
        decode_vals(&self.types, self.function.params.iter().map(|param| param.ty), packed, VALS_BYTES_MAX)
    }

    /// Packs results, as the serving side does.
    ///
    /// # Errors
    /// Values that are not the results' types.
    pub fn pack_results(&self, results: &[Val]) -> Result<Vec<u8>, CodecError> {
        encode_vals(&self.types, self.function.result.into_iter().zip(results))
    }

    /// Unpacks results, as a stub does.
    ///
    /// # Errors
    /// Bytes that are not such results.
    pub fn unpack_results(&self, packed: &[u8]) -> Result<Vec<Val>, CodecError> {
        decode_vals(&self.types, self.function.result, packed, VALS_BYTES_MAX)
    }
}
