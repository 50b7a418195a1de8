//! The table of types.

use std::fmt;

/// A type's place in a [`TypeRegistry`].
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
