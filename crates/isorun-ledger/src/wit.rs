//! Types as WIT writes them where they are used.

use std::fmt;

use crate::ledger::{Function, Param};
use crate::registry::TypeRegistry;
use crate::types::{TypeDef, TypeId};

/// Most types that one inline printing spells out; what is beyond prints as `…`.
///
/// Shared parts print each time they are used, so without it a small table could print for ever.
const INLINE_TYPES_MAX: usize = 1_000;

/// One type, printed where it is used.
pub(crate) struct Inline<'a> {
    pub(crate) types: &'a TypeRegistry,
    pub(crate) id: TypeId,
}

impl fmt::Display for Inline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_inline(f, self.types, self.id, Spell::Names, &|id| self.types.name(id).map(|name| name.name.clone()))
    }
}

/// Whether the outermost type is written by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spell {
    /// By its name, if it has one.
    Names,
    /// Spelled out: this is its definition.
    Out,
}

/// What is still to be written.
enum Piece<'a> {
    Text(&'static str),
    Name(&'a str),
    Number(u32),
    Type(TypeId),
}

/// Writes a type; `name_of` says what a named type is called where this is written.
pub(crate) fn write_inline(
    out: &mut dyn fmt::Write,
    types: &TypeRegistry,
    id: TypeId,
    mut spell: Spell,
    name_of: &dyn Fn(TypeId) -> Option<String>,
) -> fmt::Result {
    let mut todo = vec![Piece::Type(id)];
    let mut written = 0;
    while let Some(piece) = todo.pop() {
        let id = match piece {
            Piece::Text(text) => {
                out.write_str(text)?;
                continue;
            }
            Piece::Name(name) => {
                write_name(out, name)?;
                continue;
            }
            Piece::Number(number) => {
                write!(out, "{number}")?;
                continue;
            }
            Piece::Type(id) => id,
        };
        written += 1;
        if written > INLINE_TYPES_MAX {
            out.write_str("…")?;
            continue;
        }
        let by_name = std::mem::replace(&mut spell, Spell::Names) == Spell::Names;
        match (types.def(id), name_of(id)) {
            (TypeDef::Own(resource), name) => write!(out, "own<{}>", Escaped(name.as_deref().unwrap_or(resource)))?,
            (TypeDef::Borrow(resource), name) => {
                write!(out, "borrow<{}>", Escaped(name.as_deref().unwrap_or(resource)))?;
            }
            (_, Some(name)) if by_name => write_name(out, &name)?,
            (def, _) => todo.extend(pieces(def).into_iter().rev()),
        }
    }
    Ok(())
}

/// A function's type: `func(key: string) -> u32`.
pub(crate) fn signature(types: &TypeRegistry, function: &Function) -> String {
    let mut text = String::new();
    let name_of = |id| types.name(id).map(|name| name.name.clone());
    // Writing to a string never fails.
    let _ = write_signature(&mut text, types, function.is_async, &function.params, function.result, &name_of);
    text
}

/// Writes a function's type.
pub(crate) fn write_signature(
    out: &mut dyn fmt::Write,
    types: &TypeRegistry,
    is_async: bool,
    params: &[Param],
    result: Option<TypeId>,
    name_of: &dyn Fn(TypeId) -> Option<String>,
) -> fmt::Result {
    out.write_str(if is_async { "async func(" } else { "func(" })?;
    for (at, param) in params.iter().enumerate() {
        write!(out, "{}{}: ", if at > 0 { ", " } else { "" }, Escaped(&param.name))?;
        write_inline(out, types, param.ty, Spell::Names, name_of)?;
    }
    out.write_str(")")?;
    if let Some(result) = result {
        out.write_str(" -> ")?;
        write_inline(out, types, result, Spell::Names, name_of)?;
    }
    Ok(())
}

/// A type spelled out, its parts still to be written.
fn pieces(def: &TypeDef) -> Vec<Piece<'_>> {
    use Piece::{Name, Number, Text, Type};
    let mut pieces = Vec::new();
    match def {
        TypeDef::Bool
        | TypeDef::U8
        | TypeDef::U16
        | TypeDef::U32
        | TypeDef::U64
        | TypeDef::S8
        | TypeDef::S16
        | TypeDef::S32
        | TypeDef::S64
        | TypeDef::F32
        | TypeDef::F64
        | TypeDef::Char
        | TypeDef::String
        | TypeDef::ErrorContext => pieces.push(Text(def.kind())),
        TypeDef::List(item) => pieces.extend([Text("list<"), Type(*item), Text(">")]),
        TypeDef::FixedList(item, length) => {
            pieces.extend([Text("list<"), Type(*item), Text(", "), Number(*length), Text(">")]);
        }
        TypeDef::Map(key, value) => {
            pieces.extend([Text("map<"), Type(*key), Text(", "), Type(*value), Text(">")]);
        }
        TypeDef::Option(item) => pieces.extend([Text("option<"), Type(*item), Text(">")]),
        TypeDef::Tuple(items) => {
            pieces.push(Text("tuple<"));
            for (at, item) in items.iter().enumerate() {
                pieces.extend([Text(if at > 0 { ", " } else { "" }), Type(*item)]);
            }
            pieces.push(Text(">"));
        }
        TypeDef::Result { ok, err } => match (ok, err) {
            (None, None) => pieces.push(Text("result")),
            (Some(ok), None) => pieces.extend([Text("result<"), Type(*ok), Text(">")]),
            (None, Some(err)) => pieces.extend([Text("result<_, "), Type(*err), Text(">")]),
            (Some(ok), Some(err)) => {
                pieces.extend([Text("result<"), Type(*ok), Text(", "), Type(*err), Text(">")]);
            }
        },
        TypeDef::Stream(item) | TypeDef::Future(item) => {
            pieces.push(Text(def.kind()));
            if let Some(item) = item {
                pieces.extend([Text("<"), Type(*item), Text(">")]);
            }
        }
        TypeDef::Own(resource) => pieces.extend([Text("own<"), Name(resource), Text(">")]),
        TypeDef::Borrow(resource) => pieces.extend([Text("borrow<"), Name(resource), Text(">")]),
        TypeDef::Record(fields) => {
            pieces.push(Text("record { "));
            for (at, field) in fields.iter().enumerate() {
                let comma = Text(if at > 0 { ", " } else { "" });
                pieces.extend([comma, Name(&field.name), Text(": "), Type(field.ty)]);
            }
            pieces.push(Text(" }"));
        }
        TypeDef::Variant(cases) => {
            pieces.push(Text("variant { "));
            for (at, case) in cases.iter().enumerate() {
                pieces.extend([Text(if at > 0 { ", " } else { "" }), Name(&case.name)]);
                if let Some(ty) = case.ty {
                    pieces.extend([Text("("), Type(ty), Text(")")]);
                }
            }
            pieces.push(Text(" }"));
        }
        TypeDef::Enum(names) | TypeDef::Flags(names) => {
            pieces.push(Text(if matches!(def, TypeDef::Enum(_)) { "enum { " } else { "flags { " }));
            for (at, name) in names.iter().enumerate() {
                pieces.extend([Text(if at > 0 { ", " } else { "" }), Name(name)]);
            }
            pieces.push(Text(" }"));
        }
    }
    pieces
}

/// A name as WIT writes it: with `%` before it where it is a word of the language.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.0)
    }
}

fn write_name(out: &mut dyn fmt::Write, name: &str) -> fmt::Result {
    if WORDS.contains(&name) {
        out.write_char('%')?;
    }
    out.write_str(name)
}

/// The words of WIT that are no names.
const WORDS: &[&str] = &[
    "as",
    "async",
    "bool",
    "borrow",
    "char",
    "constructor",
    "enum",
    "error-context",
    "export",
    "f32",
    "f64",
    "flags",
    "from",
    "func",
    "future",
    "import",
    "include",
    "interface",
    "list",
    "map",
    "option",
    "own",
    "package",
    "record",
    "resource",
    "result",
    "s16",
    "s32",
    "s64",
    "s8",
    "static",
    "stream",
    "string",
    "tuple",
    "type",
    "u16",
    "u32",
    "u64",
    "u8",
    "use",
    "variant",
    "with",
    "world",
];
