//! The typed encoding a second time, naively, from the byte tables of `docs/spec/neopack.md`: bytes pushed by hand,
//! nothing of neopack or of the codec used, and nothing checked. What it writes of a value is what the codec must write.

use isorun_ledger::{TypeDef, TypeId, TypeRegistry};
use isorun_runtime::wasmtime::component::Val;

/// Several values as one Struct: a call's arguments, or its results.
pub fn plain_vals<'a>(types: &TypeRegistry, items: impl IntoIterator<Item = (TypeId, &'a Val)>) -> Vec<u8> {
    let mut body = Vec::new();
    for (ty, val) in items {
        item(types, ty, val, &mut body);
    }
    let mut out = Vec::new();
    framed(0x14, &body, &mut out);
    out
}

fn item(types: &TypeRegistry, ty: TypeId, val: &Val, out: &mut Vec<u8>) {
    match (types.def(ty), val) {
        (_, Val::String(text)) => framed(0x10, text.as_bytes(), out),
        (TypeDef::List(of) | TypeDef::FixedList(of, _), Val::List(vals) | Val::FixedLengthList(vals)) => {
            list(types, *of, vals, out);
        }
        (TypeDef::Map(key, value), Val::Map(pairs)) => {
            let mut body = four(pairs.len()).to_vec();
            for (k, v) in pairs {
                item(types, *key, k, &mut body);
                item(types, *value, v, &mut body);
            }
            framed(0x15, &body, out);
        }
        (TypeDef::Record(fields), Val::Record(vals)) => {
            let mut body = Vec::new();
            for (field, (_, val)) in fields.iter().zip(vals) {
                item(types, field.ty, val, &mut body);
            }
            framed(0x14, &body, out);
        }
        (TypeDef::Tuple(items), Val::Tuple(vals)) => {
            let mut body = Vec::new();
            for (ty, val) in items.iter().zip(vals) {
                item(types, *ty, val, &mut body);
            }
            framed(0x14, &body, out);
        }
        (TypeDef::Variant(cases), Val::Variant(name, payload)) => {
            let index = cases.iter().position(|case| case.name == *name).unwrap();
            out.push(0x16);
            out.extend(four(index));
            item_or_unit(types, cases[index].ty, payload.as_deref(), out);
        }
        (TypeDef::Option(of), Val::Option(val)) => match val {
            None => out.push(0x18),
            Some(val) => {
                out.push(0x19);
                item(types, *of, val, out);
            }
        },
        (TypeDef::Result { ok, .. }, Val::Result(Ok(val))) => {
            out.push(0x1a);
            item_or_unit(types, *ok, val.as_deref(), out);
        }
        (TypeDef::Result { err, .. }, Val::Result(Err(val))) => {
            out.push(0x1b);
            item_or_unit(types, *err, val.as_deref(), out);
        }
        (TypeDef::Enum(names), Val::Enum(name)) => {
            out.push(0x17);
            out.extend(four(names.iter().position(|known| known == name).unwrap()));
        }
        (TypeDef::Flags(names), Val::Flags(set)) => {
            out.push(0x1c);
            out.extend(bit_set(names, set).to_le_bytes());
        }
        (def, val) => {
            out.push(tag(def).unwrap());
            scalar(val, out);
        }
    }
}

fn item_or_unit(types: &TypeRegistry, ty: Option<TypeId>, val: Option<&Val>, out: &mut Vec<u8>) {
    match (ty, val) {
        (Some(ty), Some(val)) => item(types, ty, val, out),
        _ => out.push(0x00),
    }
}

fn list(types: &TypeRegistry, of: TypeId, vals: &[Val], out: &mut Vec<u8>) {
    let mut body = Vec::new();
    if *types.def(of) == TypeDef::U8 {
        vals.iter().for_each(|val| scalar(val, &mut body));
        return framed(0x11, &body, out);
    }
    let mut nodes = 0;
    if shape(types, of, &mut body, &mut nodes) && nodes <= 256 {
        body.extend(four(vals.len()));
        vals.iter().for_each(|val| row(types, of, val, &mut body));
        return framed(0x13, &body, out);
    }
    body = four(vals.len()).to_vec();
    vals.iter().for_each(|val| item(types, of, val, &mut body));
    framed(0x12, &body, out);
}

/// Pushes a shape; whether the type has one.
fn shape(types: &TypeRegistry, ty: TypeId, out: &mut Vec<u8>, nodes: &mut usize) -> bool {
    *nodes += 1;
    match types.def(ty) {
        TypeDef::Enum(names) => out.extend([0x17, case_width(names.len()) as u8]),
        TypeDef::Flags(names) => out.extend([0x1c, flag_width(names.len()) as u8]),
        TypeDef::Record(_) | TypeDef::Tuple(_) => {
            let parts = types.def(ty).children();
            out.push(0x14);
            out.extend((parts.len() as u16).to_le_bytes());
            return parts.iter().all(|part| shape(types, *part, out, nodes));
        }
        def => match tag(def) {
            Some(tag) => out.push(tag),
            None => return false,
        },
    }
    true
}

fn row(types: &TypeRegistry, ty: TypeId, val: &Val, out: &mut Vec<u8>) {
    match (types.def(ty), val) {
        (TypeDef::Enum(names), Val::Enum(name)) => {
            let index = names.iter().position(|known| known == name).unwrap();
            out.extend(&four(index)[..case_width(names.len())]);
        }
        (TypeDef::Flags(names), Val::Flags(set)) => {
            out.extend(&bit_set(names, set).to_le_bytes()[..flag_width(names.len())]);
        }
        (TypeDef::Record(fields), Val::Record(vals)) => {
            fields.iter().zip(vals).for_each(|(field, (_, val))| row(types, field.ty, val, out));
        }
        (TypeDef::Tuple(items), Val::Tuple(vals)) => {
            items.iter().zip(vals).for_each(|(ty, val)| row(types, *ty, val, out));
        }
        (_, val) => scalar(val, out),
    }
}

/// The tags of what is little-endian bytes after a tag, and bytes alone in a row.
fn tag(def: &TypeDef) -> Option<u8> {
    Some(match def {
        TypeDef::Bool => 0x01,
        TypeDef::U8 => 0x02,
        TypeDef::U16 => 0x03,
        TypeDef::U32 => 0x04,
        TypeDef::U64 => 0x05,
        TypeDef::S8 => 0x06,
        TypeDef::S16 => 0x07,
        TypeDef::S32 => 0x08,
        TypeDef::S64 => 0x09,
        TypeDef::F32 => 0x0a,
        TypeDef::F64 => 0x0b,
        TypeDef::Char => 0x0c,
        _ => return None,
    })
}

fn scalar(val: &Val, out: &mut Vec<u8>) {
    match val {
        Val::Bool(v) => out.push(if *v { 1 } else { 0 }),
        Val::U8(v) => out.push(*v),
        Val::S8(v) => out.push(*v as u8),
        Val::U16(v) => out.extend(v.to_le_bytes()),
        Val::S16(v) => out.extend(v.to_le_bytes()),
        Val::U32(v) => out.extend(v.to_le_bytes()),
        Val::S32(v) => out.extend(v.to_le_bytes()),
        Val::U64(v) => out.extend(v.to_le_bytes()),
        Val::S64(v) => out.extend(v.to_le_bytes()),
        Val::Float32(v) if v.is_nan() => out.extend([0x00, 0x00, 0xc0, 0x7f]),
        Val::Float32(v) => out.extend(v.to_bits().to_le_bytes()),
        Val::Float64(v) if v.is_nan() => out.extend([0, 0, 0, 0, 0, 0, 0xf8, 0x7f]),
        Val::Float64(v) => out.extend(v.to_bits().to_le_bytes()),
        Val::Char(v) => out.extend((*v as u32).to_le_bytes()),
        other => panic!("{other:?} is no scalar"),
    }
}

/// The width of an enum in a row, in bytes.
fn case_width(cases: usize) -> usize {
    match cases {
        0..=256 => 1,
        257..=65_536 => 2,
        _ => 4,
    }
}

/// The width of flags in a row, in bytes.
fn flag_width(flags: usize) -> usize {
    match flags {
        0..=8 => 1,
        9..=16 => 2,
        _ => 4,
    }
}

fn bit_set(names: &[String], set: &[String]) -> u32 {
    set.iter().map(|name| 1 << names.iter().position(|known| known == name).unwrap()).sum()
}

fn framed(tag: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(four(body.len()));
    out.extend(body);
}

fn four(number: usize) -> [u8; 4] {
    (number as u32).to_le_bytes()
}
