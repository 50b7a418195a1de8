//! Plans: how a function's parameters, or its results, lie in a guest and on the wire.
//!
//! A plan is made once, when a link is made, from the types alone. It is a table of nodes, each made of earlier ones,
//! with every size and offset of the canonical ABI worked out and every run of plain bytes merged, so that no type is
//! looked at while a call runs.

use std::collections::HashMap;

use isorun_ledger::{TypeDef, TypeId, TypeRegistry};
use neopack::{Leaf, Width};

/// A list of values, as a function's parameters are and its results.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(super) nodes: Box<[Node]>,
    pub(super) fields: Box<[Field]>,
    /// Bytes of all values in memory, laid out as a tuple.
    pub(super) size: u32,
    pub(super) align: u32,
    /// Core values that they are when they are passed flat.
    pub(super) flat: u32,
}

/// One type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) size: u32,
    pub(super) align: u32,
    /// Core values that it takes when passed flat; saturates.
    pub(super) flat: u32,
    pub(super) kind: Kind,
}

impl Node {
    /// Bytes on the wire of a value that is one number in memory, and a tag and that number there.
    pub(super) fn wire(&self) -> Option<u32> {
        match self.kind {
            Kind::Scalar(scalar) => Some(1 + scalar.width()),
            // Whatever its width in memory.
            Kind::Enum { .. } | Kind::Flags { .. } => Some(5),
            _ => None,
        }
    }
}

/// A value's place in what holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) at: u32,
    pub(super) node: u32,
    /// Fields from this one on, itself included, that are single scalars, so that their memory is looked up once.
    pub(super) scalars: u32,
    /// Bytes of all of those on the wire, tags included.
    pub(super) wire: u32,
}

/// What kind of type a node is, with what its translation needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar(Scalar),
    Enum {
        cases: u32,
    },
    Flags {
        mask: u32,
    },
    Text,
    /// A list of `u8`.
    Bytes,
    /// A list of `u8` of that length.
    FixedBytes {
        count: u32,
    },
    /// A list whose items all have the same width on the wire.
    Rows(Rows),
    FixedRows {
        rows: Rows,
        item: u32,
        count: u32,
    },
    List {
        item: u32,
    },
    FixedList {
        item: u32,
        count: u32,
    },
    /// A list of pairs.
    Map {
        key: u32,
        value: u32,
        value_at: u32,
        size: u32,
        align: u32,
    },
    /// A record or a tuple.
    Struct(Box<[Field]>),
    /// A variant, an option or a result.
    Choice {
        form: Form,
        payload_at: u32,
        cases: Box<[Option<u32>]>,
    },
}

/// A number, a bool or a char.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F32,
    F64,
    Char,
}

impl Scalar {
    /// The same scalar, as neopack knows it.
    const fn leaf(self) -> Leaf {
        match self {
            Self::Bool => Leaf::Bool,
            Self::U8 => Leaf::U8,
            Self::U16 => Leaf::U16,
            Self::U32 => Leaf::U32,
            Self::U64 => Leaf::U64,
            Self::S8 => Leaf::S8,
            Self::S16 => Leaf::S16,
            Self::S32 => Leaf::S32,
            Self::S64 => Leaf::S64,
            Self::F32 => Leaf::F32,
            Self::F64 => Leaf::F64,
            Self::Char => Leaf::Char,
        }
    }

    pub(super) const fn width(self) -> u32 {
        self.leaf().width()
    }

    pub(super) const fn tag(self) -> u8 {
        self.leaf().tag() as u8
    }
}

/// How a choice between cases stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Variant,
    Option,
    Result,
}

/// A list's items as rows: their shape, and how a row lies in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rows {
    /// The shape, as it stands on the wire before the count.
    pub(super) shape: Box<[u8]>,
    /// Bytes of an item on the wire.
    pub(super) width: u32,
    /// Bytes of an item in memory, the distance to the next.
    pub(super) size: u32,
    pub(super) align: u32,
    /// Runs of bytes that are the same in both.
    pub(super) runs: Box<[Run]>,
    /// Scalars not all of whose bit patterns are values.
    pub(super) checks: Box<[Check]>,
}

impl Rows {
    /// Whether many items are one copy.
    pub(super) fn is_plain(&self) -> bool {
        self.width == self.size
    }
}

/// Bytes that lie side by side in memory and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) memory_at: u32,
    pub(super) row_at: u32,
    pub(super) len: u32,
}

/// A scalar of a row that has to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) row_at: u32,
    pub(super) want: Want,
}

/// What a scalar of a row must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Bool,
    Char,
    F32,
    F64,
    /// A number below this, of that many bytes.
    Below {
        cases: u32,
        width: u32,
    },
    /// A subset of these bits, in that many bytes.
    Within {
        mask: u32,
        width: u32,
    },
}

/// A type that no plan has a place for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("{wit} is not carried by links")]
    NotCarried { wit: String },
    #[error("a value of {wit} is larger than a guest's memory")]
    TooLarge { wit: String },
}

impl Plan {
    /// The plan of values of these types.
    pub(crate) fn new(types: &TypeRegistry, items: impl IntoIterator<Item = TypeId>) -> Result<Self, PlanError> {
        let mut maker = Maker { types, nodes: Vec::new(), known: HashMap::new() };
        let items = items.into_iter().map(|ty| maker.node(ty)).collect::<Result<Vec<_>, _>>()?;
        let too_large = || PlanError::TooLarge { wit: "the whole list".into() };
        let (fields, size, align, flat) = maker.tuple(&items).ok_or_else(too_large)?;
        Ok(Self { nodes: maker.nodes.into(), fields, size, align, flat })
    }

    pub(super) fn node(&self, at: u32) -> &Node {
        // Every index in a plan was made by `Maker::push`, for a node of the same plan.
        &self.nodes[at as usize]
    }

    /// Bytes of all values in memory, their alignment, and the core values that they are when passed flat.
    pub(crate) fn layout(&self) -> (u32, u32, u32) {
        (self.size, self.align, self.flat)
    }
}

struct Maker<'t> {
    types: &'t TypeRegistry,
    nodes: Vec<Node>,
    known: HashMap<TypeId, u32>,
}

impl Maker<'_> {
    /// The node of a type; it recurses as deep as types are nested, which linking bounds.
    fn node(&mut self, ty: TypeId) -> Result<u32, PlanError> {
        if let Some(known) = self.known.get(&ty) {
            return Ok(*known);
        }
        let types = self.types;
        let too_large = || PlanError::TooLarge { wit: types.wit(ty).to_string() };
        let node = match types.def(ty) {
            TypeDef::Bool => scalar(Scalar::Bool),
            TypeDef::U8 => scalar(Scalar::U8),
            TypeDef::U16 => scalar(Scalar::U16),
            TypeDef::U32 => scalar(Scalar::U32),
            TypeDef::U64 => scalar(Scalar::U64),
            TypeDef::S8 => scalar(Scalar::S8),
            TypeDef::S16 => scalar(Scalar::S16),
            TypeDef::S32 => scalar(Scalar::S32),
            TypeDef::S64 => scalar(Scalar::S64),
            TypeDef::F32 => scalar(Scalar::F32),
            TypeDef::F64 => scalar(Scalar::F64),
            TypeDef::Char => scalar(Scalar::Char),
            TypeDef::String => pointer(Kind::Text),
            TypeDef::Enum(names) => {
                let cases = names.len() as u32;
                let width = Width::for_cases(cases).bytes();
                Node { size: width, align: width, flat: 1, kind: Kind::Enum { cases } }
            }
            TypeDef::Flags(names) => {
                let width = Width::for_flags(names.len() as u32).bytes();
                Node { size: width, align: width, flat: 1, kind: Kind::Flags { mask: mask(names.len()) } }
            }
            TypeDef::List(item) => match self.list_kind(*item)? {
                ListKind::Bytes => pointer(Kind::Bytes),
                ListKind::Rows(rows) => pointer(Kind::Rows(rows)),
                ListKind::Items(item) => pointer(Kind::List { item }),
            },
            TypeDef::FixedList(item, count) => {
                let count = *count;
                let inner = self.node(*item)?;
                let Node { size, align, flat, .. } = self.nodes[inner as usize];
                let kind = match self.list_kind(*item)? {
                    ListKind::Bytes => Kind::FixedBytes { count },
                    ListKind::Rows(rows) => Kind::FixedRows { rows, item: inner, count },
                    ListKind::Items(item) => Kind::FixedList { item, count },
                };
                let size = size.checked_mul(count).ok_or_else(too_large)?;
                Node { size, align, flat: flat.saturating_mul(count), kind }
            }
            TypeDef::Map(key, value) => {
                let (key, value) = (self.node(*key)?, self.node(*value)?);
                let (fields, size, align, _) = self.tuple(&[key, value]).ok_or_else(too_large)?;
                pointer(Kind::Map { key, value, value_at: fields[1].at, size, align })
            }
            TypeDef::Record(_) | TypeDef::Tuple(_) => {
                let parts = types.def(ty).children().into_iter().map(|part| self.node(part));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                let (fields, size, align, flat) = self.tuple(&parts).ok_or_else(too_large)?;
                Node { size, align, flat, kind: Kind::Struct(fields) }
            }
            TypeDef::Variant(cases) => {
                let cases: Vec<Option<TypeId>> = cases.iter().map(|case| case.ty).collect();
                self.choice(Form::Variant, &cases)?.ok_or_else(too_large)?
            }
            TypeDef::Option(item) => self.choice(Form::Option, &[None, Some(*item)])?.ok_or_else(too_large)?,
            TypeDef::Result { ok, err } => self.choice(Form::Result, &[*ok, *err])?.ok_or_else(too_large)?,
            _ => return Err(PlanError::NotCarried { wit: types.wit(ty).to_string() }),
        };
        self.nodes.push(node);
        let at = self.nodes.len() as u32 - 1;
        self.known.insert(ty, at);
        Ok(at)
    }

    /// Where values side by side lie: their places, the size and alignment of all, and how many core values they are.
    fn tuple(&self, parts: &[u32]) -> Option<(Box<[Field]>, u32, u32, u32)> {
        let (mut size, mut align, mut flat) = (0_u32, 1, 0_u32);
        let mut fields = Vec::with_capacity(parts.len());
        for node in parts {
            let part = &self.nodes[*node as usize];
            let at = size.checked_next_multiple_of(part.align)?;
            fields.push(Field { at, node: *node, scalars: 0, wire: 0 });
            size = at.checked_add(part.size)?;
            align = align.max(part.align);
            flat = flat.saturating_add(part.flat);
        }
        let (mut scalars, mut wire) = (0, 0_u32);
        for field in fields.iter_mut().rev() {
            (scalars, wire) = match self.nodes[field.node as usize].wire() {
                Some(bytes) => (scalars + 1, wire.checked_add(bytes)?),
                None => (0, 0),
            };
            (field.scalars, field.wire) = (scalars, wire);
        }
        Some((fields.into(), size.checked_next_multiple_of(align)?, align, flat))
    }

    fn choice(&mut self, form: Form, cases: &[Option<TypeId>]) -> Result<Option<Node>, PlanError> {
        let cases = cases.iter().map(|case| case.map(|ty| self.node(ty)).transpose());
        let cases = cases.collect::<Result<Vec<_>, _>>()?;
        let payloads = || cases.iter().flatten().map(|node| &self.nodes[*node as usize]);
        let width = Width::for_cases(cases.len() as u32).bytes();
        let payload_align = payloads().map(|node| node.align).max().unwrap_or(1);
        let payload_size = payloads().map(|node| node.size).max().unwrap_or(0);
        let flat = payloads().map(|node| node.flat).max().unwrap_or(0).saturating_add(1);
        let align = width.max(payload_align);
        let payload_at = width.next_multiple_of(payload_align);
        let size = payload_at.checked_add(payload_size).and_then(|size| size.checked_next_multiple_of(align));
        let kind = Kind::Choice { form, payload_at, cases: cases.into() };
        Ok(size.map(|size| Node { size, align, flat, kind }))
    }

    fn list_kind(&mut self, item: TypeId) -> Result<ListKind, PlanError> {
        let node = self.node(item)?;
        if matches!(self.types.def(item), TypeDef::U8) {
            return Ok(ListKind::Bytes);
        }
        let Some(shape) = self.types.row_shape(item) else { return Ok(ListKind::Items(node)) };
        let shape = shape.as_shape();
        let mut places = Vec::new();
        self.leaves(node, 0, &mut places);
        let (mut runs, mut checks): (Vec<Run>, Vec<Check>) = (Vec::new(), Vec::new());
        for ((leaf, row_at), (memory_at, node)) in shape.leaves().zip(places) {
            let len = leaf.width();
            match runs.last_mut() {
                Some(run) if run.memory_at + run.len == memory_at => run.len += len,
                Some(_) | None => runs.push(Run { memory_at, row_at, len }),
            }
            checks.extend(self.want(leaf, node).map(|want| Check { row_at, want }));
        }
        let Node { size, align, .. } = self.nodes[node as usize];
        let (shape, width) = (shape.bytes().into(), shape.width());
        Ok(ListKind::Rows(Rows { shape, width, size, align, runs: runs.into(), checks: checks.into() }))
    }

    /// The scalars of a row and where they lie in memory; it recurses as the shape nests.
    fn leaves(&self, node: u32, at: u32, places: &mut Vec<(u32, u32)>) {
        match &self.nodes[node as usize].kind {
            Kind::Struct(fields) => fields.iter().for_each(|field| self.leaves(field.node, at + field.at, places)),
            _ => places.push((at, node)),
        }
    }

    /// What has to be checked of a scalar.
    fn want(&self, leaf: Leaf, node: u32) -> Option<Want> {
        let width = leaf.width();
        let all = u64::from(u32::MAX) >> (32 - 8 * width.min(4));
        match (leaf, &self.nodes[node as usize].kind) {
            (Leaf::Bool, _) => Some(Want::Bool),
            (Leaf::Char, _) => Some(Want::Char),
            (Leaf::F32, _) => Some(Want::F32),
            (Leaf::F64, _) => Some(Want::F64),
            (_, Kind::Enum { cases }) if u64::from(*cases) <= all => Some(Want::Below { cases: *cases, width }),
            (_, Kind::Flags { mask }) if u64::from(*mask) < all => Some(Want::Within { mask: *mask, width }),
            _ => None,
        }
    }
}

enum ListKind {
    Bytes,
    Rows(Rows),
    Items(u32),
}

fn scalar(scalar: Scalar) -> Node {
    let width = scalar.width();
    Node { size: width, align: width, flat: 1, kind: Kind::Scalar(scalar) }
}

/// A pointer and a length.
fn pointer(kind: Kind) -> Node {
    Node { size: 8, align: 4, flat: 2, kind }
}

fn mask(flags: usize) -> u32 {
    if flags >= 32 { u32::MAX } else { (1 << flags) - 1 }
}
