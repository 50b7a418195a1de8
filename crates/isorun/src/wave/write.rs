//! From values to text.

use std::borrow::Cow;

use isorun_runtime::wasmtime::component::Val;
use wasm_wave::wasm::{WasmType, WasmTypeKind, WasmValue};

use super::{DEPTH_MAX, WaveError};

pub(super) fn render(value: &Val) -> Result<String, WaveError> {
    writable(value)?;
    wasm_wave::to_string(&Shown(value)).map_err(|_| WaveError::NotPlain { kind: "handle" })
}

/// Whether the writer, which recurses, may be given the value.
fn writable(value: &Val) -> Result<(), WaveError> {
    let mut todo = vec![(value, 1)];
    while let Some((value, depth)) = todo.pop() {
        if depth > DEPTH_MAX {
            return Err(WaveError::TooDeep);
        }
        let mut part = |part| todo.push((part, depth + 1));
        match value {
            Val::Bool(_)
            | Val::S8(_)
            | Val::U8(_)
            | Val::S16(_)
            | Val::U16(_)
            | Val::S32(_)
            | Val::U32(_)
            | Val::S64(_)
            | Val::U64(_)
            | Val::Float32(_)
            | Val::Float64(_)
            | Val::Char(_)
            | Val::String(_)
            | Val::Enum(_)
            | Val::Flags(_) => {}
            Val::List(items) | Val::FixedLengthList(items) | Val::Tuple(items) => items.iter().for_each(part),
            Val::Map(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).for_each(part),
            Val::Record(fields) => fields.iter().for_each(|(_, field)| part(field)),
            Val::Variant(_, payload) | Val::Option(payload) | Val::Result(Ok(payload)) | Val::Result(Err(payload)) => {
                payload.iter().for_each(|payload| part(payload))
            }
            Val::Resource(_) => return Err(WaveError::NotPlain { kind: "handle" }),
            Val::Future(_) => return Err(WaveError::NotPlain { kind: "future" }),
            Val::Stream(_) => return Err(WaveError::NotPlain { kind: "stream" }),
            Val::ErrorContext(_) => return Err(WaveError::NotPlain { kind: "error-context" }),
        }
    }
    Ok(())
}

/// A value as the writer wants it. It asks for the kind first, and then only for what that kind has.
#[derive(Clone, Copy)]
struct Shown<'a>(&'a Val);

/// The writer has no use for types.
#[derive(Clone)]
enum NoType {}

impl WasmType for NoType {
    fn kind(&self) -> WasmTypeKind {
        match *self {}
    }
}

type Items<'a, T> = Box<dyn Iterator<Item = T> + 'a>;

fn shown<'c, 'a: 'c>(value: &'a Val) -> Cow<'c, Shown<'a>> {
    Cow::Owned(Shown(value))
}

macro_rules! scalars {
    ($($unwrap:ident -> $ty:ty = $variant:ident;)*) => {$(
        fn $unwrap(&self) -> $ty {
            match self.0 {
                Val::$variant(value) => *value,
                _ => <$ty>::default(),
            }
        }
    )*};
}

impl WasmValue for Shown<'_> {
    type Type = NoType;

    fn kind(&self) -> WasmTypeKind {
        match self.0 {
            Val::Bool(_) => WasmTypeKind::Bool,
            Val::S8(_) => WasmTypeKind::S8,
            Val::U8(_) => WasmTypeKind::U8,
            Val::S16(_) => WasmTypeKind::S16,
            Val::U16(_) => WasmTypeKind::U16,
            Val::S32(_) => WasmTypeKind::S32,
            Val::U32(_) => WasmTypeKind::U32,
            Val::S64(_) => WasmTypeKind::S64,
            Val::U64(_) => WasmTypeKind::U64,
            Val::Float32(_) => WasmTypeKind::F32,
            Val::Float64(_) => WasmTypeKind::F64,
            Val::Char(_) => WasmTypeKind::Char,
            Val::String(_) => WasmTypeKind::String,
            Val::List(_) => WasmTypeKind::List,
            Val::FixedLengthList(_) => WasmTypeKind::FixedLengthList,
            Val::Map(_) => WasmTypeKind::Map,
            Val::Record(_) => WasmTypeKind::Record,
            Val::Tuple(_) => WasmTypeKind::Tuple,
            Val::Variant(..) => WasmTypeKind::Variant,
            Val::Enum(_) => WasmTypeKind::Enum,
            Val::Option(_) => WasmTypeKind::Option,
            Val::Result(_) => WasmTypeKind::Result,
            Val::Flags(_) => WasmTypeKind::Flags,
            Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => WasmTypeKind::Unsupported,
        }
    }

    scalars! {
        unwrap_bool -> bool = Bool;
        unwrap_s8 -> i8 = S8;
        unwrap_s16 -> i16 = S16;
        unwrap_s32 -> i32 = S32;
        unwrap_s64 -> i64 = S64;
        unwrap_u8 -> u8 = U8;
        unwrap_u16 -> u16 = U16;
        unwrap_u32 -> u32 = U32;
        unwrap_u64 -> u64 = U64;
        unwrap_f32 -> f32 = Float32;
        unwrap_f64 -> f64 = Float64;
        unwrap_char -> char = Char;
    }

    fn unwrap_string(&self) -> Cow<'_, str> {
        match self.0 {
            Val::String(text) => Cow::Borrowed(text),
            _ => Cow::Borrowed(""),
        }
    }

    fn unwrap_list(&self) -> Items<'_, Cow<'_, Self>> {
        match self.0 {
            Val::List(items) | Val::FixedLengthList(items) => Box::new(items.iter().map(shown)),
            _ => Box::new(std::iter::empty()),
        }
    }

    fn unwrap_map(&self) -> Items<'_, (Cow<'_, Self>, Cow<'_, Self>)> {
        match self.0 {
            Val::Map(pairs) => Box::new(pairs.iter().map(|(key, value)| (shown(key), shown(value)))),
            _ => Box::new(std::iter::empty()),
        }
    }

    fn unwrap_record(&self) -> Items<'_, (Cow<'_, str>, Cow<'_, Self>)> {
        match self.0 {
            Val::Record(fields) => {
                Box::new(fields.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), shown(value))))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    fn unwrap_tuple(&self) -> Items<'_, Cow<'_, Self>> {
        match self.0 {
            Val::Tuple(items) => Box::new(items.iter().map(shown)),
            _ => Box::new(std::iter::empty()),
        }
    }

    fn unwrap_variant(&self) -> (Cow<'_, str>, Option<Cow<'_, Self>>) {
        match self.0 {
            Val::Variant(case, payload) => (Cow::Borrowed(case), payload.as_deref().map(shown)),
            _ => (Cow::Borrowed(""), None),
        }
    }

    fn unwrap_enum(&self) -> Cow<'_, str> {
        match self.0 {
            Val::Enum(case) => Cow::Borrowed(case),
            _ => Cow::Borrowed(""),
        }
    }

    fn unwrap_option(&self) -> Option<Cow<'_, Self>> {
        match self.0 {
            Val::Option(payload) => payload.as_deref().map(shown),
            _ => None,
        }
    }

    fn unwrap_result(&self) -> Result<Option<Cow<'_, Self>>, Option<Cow<'_, Self>>> {
        match self.0 {
            Val::Result(Ok(payload)) => Ok(payload.as_deref().map(shown)),
            Val::Result(Err(payload)) => Err(payload.as_deref().map(shown)),
            _ => Err(None),
        }
    }

    fn unwrap_flags(&self) -> Items<'_, Cow<'_, str>> {
        match self.0 {
            Val::Flags(names) => Box::new(names.iter().map(|name| Cow::Borrowed(name.as_str()))),
            _ => Box::new(std::iter::empty()),
        }
    }
}
