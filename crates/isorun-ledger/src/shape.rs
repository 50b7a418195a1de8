//! Which types are rows of packed lists, and what their rows look like.

use neopack::{Leaf, SHAPE_NODES_MAX, ShapeBuf, Width};

use crate::registry::TypeRegistry;
use crate::types::{TypeDef, TypeId};

/// How many nodes the shape of such a type has; `None` if it is not fixed-width or has over [`SHAPE_NODES_MAX`].
pub(crate) fn nodes(def: &TypeDef, of_child: impl Fn(TypeId) -> Option<usize>) -> Option<usize> {
    let is_group = matches!(def, TypeDef::Record(_) | TypeDef::Tuple(_));
    if leaf(def).is_none() && !is_group {
        return None;
    }
    let mut nodes = 1;
    for child in def.children() {
        nodes += of_child(child)?;
        if nodes > SHAPE_NODES_MAX {
            return None;
        }
    }
    Some(nodes)
}

/// The shape of a type that [`nodes`] has counted; `None` if neopack takes no such shape.
pub(crate) fn build(types: &TypeRegistry, id: TypeId) -> Option<ShapeBuf> {
    let mut shape = ShapeBuf::builder();
    let mut todo = vec![id];
    while let Some(id) = todo.pop() {
        let def = types.def(id);
        shape = match leaf(def) {
            Some(leaf) => shape.leaf(leaf),
            None => {
                let children = def.children();
                let shape = shape.group(u16::try_from(children.len()).ok()?);
                todo.extend(children.into_iter().rev());
                shape
            }
        };
    }
    shape.finish().ok()
}

fn leaf(def: &TypeDef) -> Option<Leaf> {
    let count = |names: &[String]| u32::try_from(names.len()).unwrap_or(u32::MAX);
    Some(match def {
        TypeDef::Bool => Leaf::Bool,
        TypeDef::U8 => Leaf::U8,
        TypeDef::U16 => Leaf::U16,
        TypeDef::U32 => Leaf::U32,
        TypeDef::U64 => Leaf::U64,
        TypeDef::S8 => Leaf::S8,
        TypeDef::S16 => Leaf::S16,
        TypeDef::S32 => Leaf::S32,
        TypeDef::S64 => Leaf::S64,
        TypeDef::F32 => Leaf::F32,
        TypeDef::F64 => Leaf::F64,
        TypeDef::Char => Leaf::Char,
        TypeDef::Enum(names) => Leaf::Enum(Width::for_cases(count(names))),
        TypeDef::Flags(names) => Leaf::Flags(Width::for_flags(count(names))),
        TypeDef::String
        | TypeDef::List(_)
        | TypeDef::FixedList(..)
        | TypeDef::Map(..)
        | TypeDef::Record(_)
        | TypeDef::Tuple(_)
        | TypeDef::Variant(_)
        | TypeDef::Option(_)
        | TypeDef::Result { .. }
        | TypeDef::Own(_)
        | TypeDef::Borrow(_)
        | TypeDef::Stream(_)
        | TypeDef::Future(_)
        | TypeDef::ErrorContext => return None,
    })
}
