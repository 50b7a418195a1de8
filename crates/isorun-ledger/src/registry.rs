//! The arena that types live in.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use neopack::ShapeBuf;
use sha2::{Digest, Sha256};

use crate::obstacle::{Obstacle, Reason};
use crate::shape;
use crate::types::{TypeDef, TypeId, TypeName};
use crate::wit::Inline;

/// Most types in one registry.
///
/// The largest WASI world has about 400. 16,384 keeps a hostile ledger's table
/// at a few megabytes.
pub const TYPES_MAX: usize = 16_384;

/// Most fields, cases, flags or tuple items of one type.
///
/// What `wasmparser` takes of each, so every component that compiles fits.
pub const FIELDS_MAX: usize = 10_000;

/// Most flags of one type: what the component model takes.
pub const FLAGS_MAX: usize = 32;

/// Longest name of anything, in bytes.
///
/// Names are written by people; the longest in WASI has 44 bytes.
pub const NAME_BYTES_MAX: usize = 1_024;

/// Most bytes that the types of one registry take when they are packed.
///
/// With [`INTERFACES_BYTES_MAX`](crate::INTERFACES_BYTES_MAX) it keeps every packed ledger within one neopack value, and
/// so within one frame.
pub const TYPES_BYTES_MAX: usize = 3 << 20;

/// Bytes that a packed type takes at most beside its names and parts.
const TYPE_BYTES: usize = 64;

/// Bytes that a part of a packed type takes at most beside its name.
pub(crate) const PART_BYTES: usize = 16;

/// Why something can't stand in a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// More of something than a ledger takes.
    #[error("{count} {what}, at most {max} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are, or would be.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A name over [`NAME_BYTES_MAX`], or an empty one.
    #[error("a name of {bytes} bytes, 1 to {NAME_BYTES_MAX} are taken")]
    NameSize {
        /// The name's length, in bytes.
        bytes: usize,
    },
    /// A name with something else in it than printable ASCII.
    #[error("a name with {what:?} at byte {offset}: names are printable ASCII")]
    NameText {
        /// What stands there.
        what: char,
        /// Where, counted in bytes from the name's start.
        offset: usize,
    },
    /// A type that refers to one that is not in the table before it.
    #[error("type {of} refers to type {to}, which does not stand before it")]
    NoSuchType {
        /// The type, or how many types there are if a function refers to it.
        of: usize,
        /// What it refers to.
        to: usize,
    },
    /// Two things of one name where names are to tell them apart.
    #[error("two {what} are named `{name}`")]
    Duplicate {
        /// Of what kind.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// A record, tuple, variant, enum or flags without anything in it, or a list of length 0.
    #[error("an empty {what}")]
    Empty {
        /// Of what kind.
        what: &'static str,
    },
}

/// What is known of a type beside its definition, computed once when it is interned.
#[derive(Debug, Clone)]
struct Entry {
    def: TypeDef,
    name: Option<TypeName>,
    hash: [u8; 32],
    depth: usize,
    /// The type itself, or something in it, does not travel.
    blocked: bool,
    /// Nodes of the shape, if the type is fixed-width.
    row_nodes: Option<usize>,
    /// The shape itself, built when it is first asked for.
    shape: OnceLock<Option<ShapeBuf>>,
}

/// Types, each standing after all that it is made of.
///
/// Structurally equal types of the same name stand here once, so shared parts
/// are shared and nothing that walks the table can explode. A [`TypeId`] means
/// something only to the registry that gave it out.
///
/// ```
/// use isorun_ledger::{RegistryBuilder, TypeDef};
/// let mut builder = RegistryBuilder::new();
/// let number = builder.intern(TypeDef::U32, None)?;
/// let numbers = builder.intern(TypeDef::List(number), None)?;
/// assert_eq!(builder.intern(TypeDef::List(number), None)?, numbers);
/// let types = builder.finish();
/// assert_eq!(types.wit(numbers).to_string(), "list<u32>");
/// # Ok::<(), isorun_ledger::LedgerError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct TypeRegistry {
    entries: Vec<Entry>,
}

impl TypeRegistry {
    /// What a type is.
    ///
    /// # Panics
    /// With an id from a registry that holds more types than this one: ids are
    /// made by builders alone, never from bytes, so that is a mistake in the
    /// calling program. [`contains`](Self::contains) tells beforehand.
    #[must_use]
    pub fn def(&self, id: TypeId) -> &TypeDef {
        &self.entry(id).def
    }

    /// Whether there is a type of that id.
    #[must_use]
    pub fn contains(&self, id: TypeId) -> bool {
        id.index() < self.entries.len()
    }

    /// The id of the type at that place.
    #[must_use]
    pub fn id(&self, index: usize) -> Option<TypeId> {
        (index < self.entries.len()).then(|| TypeId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// A type's name, if it has one.
    ///
    /// For a handle (`own`, `borrow`) it is the name of the resource.
    ///
    /// # Panics
    /// As [`def`](Self::def).
    #[must_use]
    pub fn name(&self, id: TypeId) -> Option<&TypeName> {
        self.entry(id).name.as_ref()
    }

    /// How many containers of neopack lie inside one another in a value of this type.
    ///
    /// 0 for numbers, strings, enums, flags, `list<u8>` and `list<u8, N>`; all
    /// else is one deeper than the deepest of its parts.
    ///
    /// # Panics
    /// As [`def`](Self::def).
    #[must_use]
    pub fn depth(&self, id: TypeId) -> usize {
        self.entry(id).depth
    }

    /// The SHA-256 digest of a type's structure.
    ///
    /// Kinds, order, and the names of fields, cases, flags and resources go in;
    /// the type's own name, versions and documentation don't.
    ///
    /// # Panics
    /// As [`def`](Self::def).
    #[must_use]
    pub fn hash(&self, id: TypeId) -> [u8; 32] {
        self.entry(id).hash
    }

    /// The shape of a row, if lists of this type travel as packed rows.
    ///
    /// That is so for numbers, `bool`, `char`, enums, flags, and records and
    /// tuples of nothing else, unless the shape has over
    /// [`neopack::SHAPE_NODES_MAX`] nodes. A lone `u8` has none: `list<u8>` is bytes.
    ///
    /// # Panics
    /// As [`def`](Self::def).
    #[must_use]
    pub fn row_shape(&self, id: TypeId) -> Option<&ShapeBuf> {
        let entry = self.entry(id);
        entry.row_nodes?;
        entry.shape.get_or_init(|| shape::build(self, id)).as_ref()
    }

    /// Whether values of this type can be sent anywhere.
    ///
    /// # Errors
    /// The first handle, stream, future or error context in it, and where it stands.
    ///
    /// # Panics
    /// As [`def`](Self::def).
    pub fn travels(&self, id: TypeId) -> Result<(), Obstacle> {
        if !self.entry(id).blocked {
            return Ok(());
        }
        // Children stand earlier in the table, so this ends.
        let (mut at, mut path) = (id, String::new());
        loop {
            let def = self.def(at);
            if let Some(reason) = Reason::of_kind(def) {
                return Err(Obstacle { function: None, path, reason });
            }
            match def.parts().into_iter().find(|(_, child)| self.entry(*child).blocked) {
                Some((step, child)) => {
                    step.push_to(&mut path);
                    at = child;
                }
                None => return Ok(()),
            }
        }
    }

    /// The type as WIT writes it where it is used: `list<option<entry>>`.
    ///
    /// A type without a name is spelled out, up to a bounded length.
    ///
    /// # Panics
    /// When printed, as [`def`](Self::def).
    #[must_use]
    pub fn wit(&self, id: TypeId) -> impl fmt::Display + '_ {
        Inline { types: self, id }
    }

    /// How many types there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All types, each after what it is made of.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TypeId, &TypeDef)> {
        // A builder holds at most TYPES_MAX entries, so every place fits.
        self.entries.iter().enumerate().map(|(at, entry)| (TypeId(at as u32), &entry.def))
    }

    fn entry(&self, id: TypeId) -> &Entry {
        &self.entries[id.index()]
    }
}

const _: () = assert!(TYPES_MAX < u32::MAX as usize);

/// Fills a [`TypeRegistry`].
#[derive(Debug, Default)]
pub struct RegistryBuilder {
    types: TypeRegistry,
    known: HashMap<(TypeDef, Option<TypeName>), TypeId>,
    bytes: usize,
}

impl RegistryBuilder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of that type, which is added unless it is here already.
    ///
    /// For a handle, `name` is the name of the resource.
    ///
    /// # Errors
    /// [`LedgerError`] where a limit is met, a child is not here, two fields
    /// have one name, or there is nothing in a type that must hold something.
    pub fn intern(&mut self, def: TypeDef, name: Option<TypeName>) -> Result<TypeId, LedgerError> {
        let key = (def, name);
        if let Some(id) = self.known.get(&key) {
            return Ok(*id);
        }
        let at = self.types.len();
        check_count("types", at + 1, TYPES_MAX)?;
        let bytes = self.bytes + packed_bytes(&key.0, key.1.as_ref())?;
        check_count("bytes of packed types", bytes, TYPES_BYTES_MAX)?;
        let children = key.0.children();
        if let Some(missing) = children.iter().find(|child| child.index() >= at) {
            return Err(LedgerError::NoSuchType { of: at, to: missing.index() });
        }
        self.bytes = bytes;
        let entry = Entry {
            hash: structural_hash(&key.0, &self.types),
            depth: packed_depth(&key.0, &children, &self.types),
            blocked: Reason::of_kind(&key.0).is_some() || children.iter().any(|child| self.types.entry(*child).blocked),
            row_nodes: shape::nodes(&key.0, |child| self.types.entry(child).row_nodes),
            shape: OnceLock::new(),
            def: key.0.clone(),
            name: key.1.clone(),
        };
        let id = TypeId(at as u32);
        self.types.entries.push(entry);
        self.known.insert(key, id);
        Ok(id)
    }

    /// The types so far.
    #[must_use]
    pub fn types(&self) -> &TypeRegistry {
        &self.types
    }

    /// The registry, done.
    #[must_use]
    pub fn finish(self) -> TypeRegistry {
        self.types
    }
}

pub(crate) fn check_count(what: &'static str, count: usize, max: usize) -> Result<(), LedgerError> {
    if count > max { Err(LedgerError::TooMany { what, count, max }) } else { Ok(()) }
}

pub(crate) fn check_name(name: &str) -> Result<usize, LedgerError> {
    // Ledgers come from peers and are printed to terminals.
    if let Some((offset, what)) = name.char_indices().find(|(_, c)| !matches!(c, ' '..='~')) {
        return Err(LedgerError::NameText { what, offset });
    }
    match name.len() {
        bytes @ 1..=NAME_BYTES_MAX => Ok(bytes),
        bytes => Err(LedgerError::NameSize { bytes }),
    }
}

/// Checks that names are there, short enough and distinct; their bytes.
pub(crate) fn check_distinct<'a>(
    what: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<usize, LedgerError> {
    let mut seen = std::collections::HashSet::new();
    let mut bytes = 0;
    for name in names {
        bytes += check_name(name)?;
        if !seen.insert(name) {
            return Err(LedgerError::Duplicate { what, name: name.to_owned() });
        }
    }
    Ok(bytes)
}

/// Checks the names and the number of parts of one type; the bytes it takes at most when packed.
fn packed_bytes(def: &TypeDef, name: Option<&TypeName>) -> Result<usize, LedgerError> {
    let mut bytes = TYPE_BYTES;
    if let Some(name) = name {
        bytes += check_name(&name.name)? + name.interface.as_deref().map_or(Ok(0), check_name)?;
    }
    let (kind, parts) = match def {
        TypeDef::Record(fields) => ("record", fields.len()),
        TypeDef::Tuple(items) => ("tuple", items.len()),
        TypeDef::Variant(cases) => ("variant", cases.len()),
        TypeDef::Enum(names) => ("enum", names.len()),
        TypeDef::Flags(names) => ("flags", names.len()),
        TypeDef::FixedList(_, length) => ("fixed-length list", usize::from(*length > 0)),
        _ => ("type", 1),
    };
    if parts == 0 {
        return Err(LedgerError::Empty { what: kind });
    }
    let what = match def {
        TypeDef::Record(_) => "fields",
        TypeDef::Tuple(_) => "tuple items",
        TypeDef::Flags(_) => "flags",
        _ => "cases",
    };
    check_count(what, parts, if matches!(def, TypeDef::Flags(_)) { FLAGS_MAX } else { FIELDS_MAX })?;
    bytes += parts * PART_BYTES;
    bytes += match def {
        TypeDef::Record(fields) => check_distinct(what, fields.iter().map(|field| field.name.as_str()))?,
        TypeDef::Variant(cases) => check_distinct(what, cases.iter().map(|case| case.name.as_str()))?,
        TypeDef::Enum(names) | TypeDef::Flags(names) => check_distinct(what, names.iter().map(String::as_str))?,
        TypeDef::Own(name) | TypeDef::Borrow(name) => check_name(name)?,
        _ => 0,
    };
    Ok(bytes)
}

/// How many of neopack's containers lie inside one another; a row's groups count as neopack counts them.
fn packed_depth(def: &TypeDef, children: &[TypeId], types: &TypeRegistry) -> usize {
    match def {
        // Lists of `u8` are Bytes.
        TypeDef::List(item) | TypeDef::FixedList(item, _) if *types.def(*item) == TypeDef::U8 => 0,
        TypeDef::Variant(_) | TypeDef::Result { .. } => 1 + deepest(children, types),
        _ if children.is_empty() => 0,
        _ => 1 + deepest(children, types),
    }
}

fn deepest(children: &[TypeId], types: &TypeRegistry) -> usize {
    children.iter().map(|child| types.depth(*child)).max().unwrap_or(0)
}

/// Feeds a digest unambiguously: every count and length stands before what it counts.
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn new(domain: &str) -> Self {
        let mut hasher = Self(Sha256::new());
        hasher.name(domain);
        hasher
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    pub(crate) fn name(&mut self, name: &str) {
        self.count(name.len());
        self.0.update(name);
    }

    pub(crate) fn hash(&mut self, hash: Option<[u8; 32]>) {
        match hash {
            None => self.0.update([0]),
            Some(hash) => {
                self.0.update([1]);
                self.0.update(hash);
            }
        }
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

fn structural_hash(def: &TypeDef, types: &TypeRegistry) -> [u8; 32] {
    let mut hasher = Hasher::new("isorun type 1");
    let of = |id: &TypeId| Some(types.entry(*id).hash);
    hasher.name(def.kind());
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
        | TypeDef::ErrorContext => {}
        TypeDef::List(item) | TypeDef::Option(item) => hasher.hash(of(item)),
        TypeDef::FixedList(item, length) => {
            hasher.hash(of(item));
            hasher.count(*length as usize);
        }
        TypeDef::Map(key, value) => {
            hasher.hash(of(key));
            hasher.hash(of(value));
        }
        TypeDef::Record(fields) => {
            hasher.count(fields.len());
            for field in fields {
                hasher.name(&field.name);
                hasher.hash(of(&field.ty));
            }
        }
        TypeDef::Tuple(items) => {
            hasher.count(items.len());
            for item in items {
                hasher.hash(of(item));
            }
        }
        TypeDef::Variant(cases) => {
            hasher.count(cases.len());
            for case in cases {
                hasher.name(&case.name);
                hasher.hash(case.ty.as_ref().and_then(of));
            }
        }
        TypeDef::Enum(names) | TypeDef::Flags(names) => {
            hasher.count(names.len());
            for name in names {
                hasher.name(name);
            }
        }
        TypeDef::Result { ok, err } => {
            hasher.hash(ok.as_ref().and_then(of));
            hasher.hash(err.as_ref().and_then(of));
        }
        TypeDef::Own(resource) | TypeDef::Borrow(resource) => hasher.name(resource),
        TypeDef::Stream(item) | TypeDef::Future(item) => hasher.hash(item.as_ref().and_then(of)),
    }
    hasher.finish()
}
