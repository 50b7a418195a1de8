//! The table of types.

use std::fmt;

/// A type's place in a [`TypeRegistry`](crate::TypeRegistry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(crate) u32);

impl TypeId {
    /// The place, counted from 0.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// The field's name, in kebab case.
    pub name: String,
    /// The field's type.
    pub ty: TypeId,
}

/// A case of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Case {
    /// The case's name, in kebab case.
    pub name: String,
    /// The type of what it carries, if it carries anything.
    pub ty: Option<TypeId>,
}

/// One type; what it is made of stands earlier in the same table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TypeDef {
    /// `bool`
    Bool,
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`
    U64,
    /// `s8`
    S8,
    /// `s16`
    S16,
    /// `s32`
    S32,
    /// `s64`
    S64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    String,
    /// `list<T>`
    List(TypeId),
    /// `list<T, N>`
    FixedList(TypeId, u32),
    /// `map<K, V>`
    Map(TypeId, TypeId),
    /// `record { .. }`
    Record(Vec<Field>),
    /// `tuple<..>`
    Tuple(Vec<TypeId>),
    /// `variant { .. }`
    Variant(Vec<Case>),
    /// `enum { .. }`
    Enum(Vec<String>),
    /// `option<T>`
    Option(TypeId),
    /// `result<O, E>`
    Result {
        /// The type of `ok`'s payload.
        ok: Option<TypeId>,
        /// The type of `err`'s payload.
        err: Option<TypeId>,
    },
    /// `flags { .. }`
    Flags(Vec<String>),
    /// `own<R>`; the resource's name
    Own(String),
    /// `borrow<R>`; the resource's name
    Borrow(String),
    /// `stream<T>`
    Stream(Option<TypeId>),
    /// `future<T>`
    Future(Option<TypeId>),
    /// `error-context`
    ErrorContext,
}

impl TypeDef {
    /// The kind's word in WIT: `record`, `list`, `u32`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::S8 => "s8",
            Self::S16 => "s16",
            Self::S32 => "s32",
            Self::S64 => "s64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Char => "char",
            Self::String => "string",
            Self::List(_) => "list",
            Self::FixedList(..) => "fixed-length list",
            Self::Map(..) => "map",
            Self::Record(_) => "record",
            Self::Tuple(_) => "tuple",
            Self::Variant(_) => "variant",
            Self::Enum(_) => "enum",
            Self::Option(_) => "option",
            Self::Result { .. } => "result",
            Self::Flags(_) => "flags",
            Self::Own(_) => "own",
            Self::Borrow(_) => "borrow",
            Self::Stream(_) => "stream",
            Self::Future(_) => "future",
            Self::ErrorContext => "error-context",
        }
    }

    /// The types this one is made of, in order; one that is used twice comes twice.
    #[must_use]
    pub fn children(&self) -> Vec<TypeId> {
        self.parts().into_iter().map(|(_, child)| child).collect()
    }

    /// The types this one is made of, each with where it stands.
    pub(crate) fn parts(&self) -> Vec<(Step<'_>, TypeId)> {
        match self {
            Self::Bool
            | Self::U8
            | Self::U16
            | Self::U32
            | Self::U64
            | Self::S8
            | Self::S16
            | Self::S32
            | Self::S64
            | Self::F32
            | Self::F64
            | Self::Char
            | Self::String
            | Self::Enum(_)
            | Self::Flags(_)
            | Self::Own(_)
            | Self::Borrow(_)
            | Self::ErrorContext => Vec::new(),
            Self::List(item) | Self::FixedList(item, _) => vec![(Step::Item, *item)],
            Self::Map(key, value) => vec![(Step::Key, *key), (Step::Value, *value)],
            Self::Record(fields) => fields.iter().map(|field| (Step::Name(&field.name), field.ty)).collect(),
            Self::Tuple(items) => items.iter().enumerate().map(|(at, item)| (Step::Place(at), *item)).collect(),
            Self::Variant(cases) => cases.iter().filter_map(|case| Some((Step::Name(&case.name), case.ty?))).collect(),
            Self::Option(item) => vec![(Step::Name("some"), *item)],
            Self::Result { ok, err } => {
                let parts = [(Step::Name("ok"), *ok), (Step::Name("err"), *err)];
                parts.into_iter().filter_map(|(step, ty)| Some((step, ty?))).collect()
            }
            Self::Stream(item) | Self::Future(item) => item.iter().map(|item| (Step::Item, *item)).collect(),
        }
    }
}

/// From a type to one that it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A field, a case with a payload, `some`, `ok`, `err`: `.name`
    Name(&'a str),
    /// An item of a tuple: `.0`
    Place(usize),
    /// An item of a list, stream or future: `[]`
    Item,
    /// A key of a map: `[key]`
    Key,
    /// A value of a map: `[value]`
    Value,
}

impl Step<'_> {
    /// Adds the step to a path.
    pub(crate) fn push_to(self, path: &mut String) {
        match self {
            Self::Name(name) => path.extend([".", name]),
            Self::Place(at) => path.extend([".", &at.to_string()]),
            Self::Item => path.push_str("[]"),
            Self::Key => path.push_str("[key]"),
            Self::Value => path.push_str("[value]"),
        }
    }
}

/// A type's name: the interface that declares it, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeName {
    /// `ns:pkg/iface@version`, or `None` for a type at the root of a world.
    pub interface: Option<String>,
    /// The name, in kebab case.
    pub name: String,
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{interface}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
