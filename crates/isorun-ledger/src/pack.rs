//! A ledger as bytes.
//!
//! A neopack map with string keys: `types`, the table, and `imports` and
//! `exports`, lists of interfaces. A reader skips keys it does not know, so more
//! can be said later. In the table a type refers to earlier ones by their place.
//! `docs/spec/neorpc.md` carries these bytes and does not look into them.

use std::sync::Arc;

use neopack::{DecodeError, Decoder, EncodeError, Encoder};

use crate::ledger::{Function, Interface, Ledger, NamedType, Param};
use crate::registry::{LedgerError, RegistryBuilder, TypeRegistry};
use crate::types::{Case, Field, TypeDef, TypeId, TypeName};

/// Why bytes are no ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// They are no neopack value, or another than a ledger.
    #[error("not a packed ledger: {0}")]
    Decode(#[from] DecodeError),
    /// They describe something that can't stand in a ledger.
    #[error("not a ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// A type of a kind that this version does not know.
    #[error("type {at} is of unknown kind {kind}")]
    UnknownKind {
        /// The type's place in the table.
        at: usize,
        /// Its kind.
        kind: u32,
    },
    /// A part of the document is missing, or there twice.
    #[error("a packed ledger has each of `types`, `imports` and `exports` once, this one has `{key}` {times} times")]
    Part {
        /// The part.
        key: &'static str,
        /// How often it is there.
        times: u32,
    },
}

const TYPES: &str = "types";
const IMPORTS: &str = "imports";
const EXPORTS: &str = "exports";

impl Ledger {
    /// The ledger as bytes, for a peer to [unpack](Self::unpack); types that nothing refers to are left out.
    ///
    /// At most [`neopack::VALUE_BYTES_MAX`] bytes.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let packed = self.pack_value();
        // The encoder takes whatever is nested right and within its size. The
        // nesting below is constant, and TYPES_BYTES_MAX and INTERFACES_BYTES_MAX
        // bound the size; a test packs a ledger at both limits.
        debug_assert!(packed.is_ok(), "{packed:?}");
        packed.unwrap_or_default()
    }

    fn pack_value(&self) -> Result<Vec<u8>, EncodeError> {
        let (order, places) = self.used_types();
        let mut enc = Encoder::new();
        enc.map_begin(3)?;
        enc.str(TYPES)?;
        enc.list_begin(order.len() as u32)?;
        for id in order {
            pack_type(&mut enc, &self.types, id, &places)?;
        }
        enc.list_end()?;
        for (key, interfaces) in [(IMPORTS, &self.imports), (EXPORTS, &self.exports)] {
            enc.str(key)?;
            enc.list_begin(interfaces.len() as u32)?;
            for interface in interfaces {
                pack_interface(&mut enc, interface, &places)?;
            }
            enc.list_end()?;
        }
        enc.map_end()?;
        enc.finish()
    }

    /// The types that anything refers to, in the registry's order, and the place of each in that order.
    fn used_types(&self) -> (Vec<TypeId>, Places) {
        let mut used = vec![false; self.types.len()];
        for interface in self.imports.iter().chain(&self.exports) {
            let functions = interface.functions.iter();
            let of_functions = functions.flat_map(|f| f.params.iter().map(|param| param.ty).chain(f.result));
            for ty in of_functions.chain(interface.types.iter().map(|named| named.ty)) {
                used[ty.index()] = true;
            }
        }
        let ids: Vec<TypeId> = self.types.iter().map(|(id, _)| id).collect();
        // What a type is made of stands before it, so one pass from the end finds all.
        for id in ids.iter().rev() {
            if used[id.index()] {
                self.types.def(*id).children().into_iter().for_each(|child| used[child.index()] = true);
            }
        }
        let order: Vec<TypeId> = ids.into_iter().filter(|id| used[id.index()]).collect();
        let mut places = vec![0; used.len()];
        for (place, id) in (0..).zip(&order) {
            places[id.index()] = place;
        }
        (order, Places(places))
    }

    /// Reads a ledger that somebody packed; the bytes may be anybody's.
    ///
    /// # Errors
    /// [`UnpackError`]: the bytes are no ledger, refer to types that are not
    /// before them, or are beyond a limit.
    pub fn unpack(bytes: &[u8]) -> Result<Self, UnpackError> {
        let mut dec = Decoder::new(bytes);
        let mut reader = Reader::default();
        let (mut imports, mut exports) = (None, None);
        let mut tables = 0;
        for _ in 0..dec.map_begin()? {
            match dec.str()? {
                TYPES => {
                    tables += 1;
                    once(TYPES, tables)?;
                    reader.types(&mut dec)?;
                }
                IMPORTS => {
                    once(IMPORTS, if imports.is_some() { 2 } else { 1 })?;
                    imports = Some(reader.interfaces(&mut dec)?);
                }
                EXPORTS => {
                    once(EXPORTS, if exports.is_some() { 2 } else { 1 })?;
                    exports = Some(reader.interfaces(&mut dec)?);
                }
                _ => dec.skip()?,
            }
        }
        dec.map_end()?;
        dec.finish()?;
        once(TYPES, tables)?;
        let imports = imports.ok_or(UnpackError::Part { key: IMPORTS, times: 0 })?;
        let exports = exports.ok_or(UnpackError::Part { key: EXPORTS, times: 0 })?;
        Ok(Self::new(Arc::new(reader.builder.finish()), imports, exports)?)
    }
}

fn once(key: &'static str, times: u32) -> Result<(), UnpackError> {
    if times == 1 { Ok(()) } else { Err(UnpackError::Part { key, times }) }
}

/// Where each type of a registry stands in the packed table.
struct Places(Vec<u32>);

impl Places {
    fn pack(&self, enc: &mut Encoder, id: TypeId) -> Result<(), EncodeError> {
        enc.u32(self.0[id.index()])
    }

    fn pack_option(&self, enc: &mut Encoder, id: Option<TypeId>) -> Result<(), EncodeError> {
        match id {
            None => enc.none(),
            Some(id) => {
                enc.some()?;
                self.pack(enc, id)
            }
        }
    }

    fn pack_named(&self, enc: &mut Encoder, name: &str, id: TypeId) -> Result<(), EncodeError> {
        enc.struct_begin()?;
        enc.str(name)?;
        self.pack(enc, id)?;
        enc.struct_end()
    }
}

// The kinds of types in the packed table. A number once given stays given.
const BOOL: u32 = 0;
const U8: u32 = 1;
const U16: u32 = 2;
const U32: u32 = 3;
const U64: u32 = 4;
const S8: u32 = 5;
const S16: u32 = 6;
const S32: u32 = 7;
const S64: u32 = 8;
const F32: u32 = 9;
const F64: u32 = 10;
const CHAR: u32 = 11;
const STRING: u32 = 12;
const LIST: u32 = 13;
const FIXED_LIST: u32 = 14;
const MAP: u32 = 15;
const RECORD: u32 = 16;
const TUPLE: u32 = 17;
const VARIANT: u32 = 18;
const ENUM: u32 = 19;
const OPTION: u32 = 20;
const RESULT: u32 = 21;
const FLAGS: u32 = 22;
const OWN: u32 = 23;
const BORROW: u32 = 24;
const STREAM: u32 = 25;
const FUTURE: u32 = 26;
const ERROR_CONTEXT: u32 = 27;

/// One entry of the table: the type's name, if it has one, and its kind with what belongs to it.
fn pack_type(enc: &mut Encoder, types: &TypeRegistry, id: TypeId, places: &Places) -> Result<(), EncodeError> {
    enc.struct_begin()?;
    match types.name(id) {
        None => enc.none()?,
        Some(TypeName { interface, name }) => {
            enc.some()?;
            enc.struct_begin()?;
            pack_option_str(enc, interface.as_deref())?;
            enc.str(name)?;
            enc.struct_end()?;
        }
    }
    pack_def(enc, types.def(id), places)?;
    enc.struct_end()
}

fn pack_def(enc: &mut Encoder, def: &TypeDef, places: &Places) -> Result<(), EncodeError> {
    let mut scalar = |kind| {
        enc.variant(kind)?;
        enc.unit()
    };
    match def {
        TypeDef::Bool => scalar(BOOL),
        TypeDef::U8 => scalar(U8),
        TypeDef::U16 => scalar(U16),
        TypeDef::U32 => scalar(U32),
        TypeDef::U64 => scalar(U64),
        TypeDef::S8 => scalar(S8),
        TypeDef::S16 => scalar(S16),
        TypeDef::S32 => scalar(S32),
        TypeDef::S64 => scalar(S64),
        TypeDef::F32 => scalar(F32),
        TypeDef::F64 => scalar(F64),
        TypeDef::Char => scalar(CHAR),
        TypeDef::String => scalar(STRING),
        TypeDef::ErrorContext => scalar(ERROR_CONTEXT),
        TypeDef::List(item) => {
            enc.variant(LIST)?;
            places.pack(enc, *item)
        }
        TypeDef::FixedList(item, length) => {
            enc.variant(FIXED_LIST)?;
            enc.struct_begin()?;
            places.pack(enc, *item)?;
            enc.u32(*length)?;
            enc.struct_end()
        }
        TypeDef::Map(key, value) => {
            enc.variant(MAP)?;
            enc.struct_begin()?;
            places.pack(enc, *key)?;
            places.pack(enc, *value)?;
            enc.struct_end()
        }
        TypeDef::Record(fields) => {
            enc.variant(RECORD)?;
            enc.list_begin(fields.len() as u32)?;
            for field in fields {
                places.pack_named(enc, &field.name, field.ty)?;
            }
            enc.list_end()
        }
        TypeDef::Tuple(items) => {
            enc.variant(TUPLE)?;
            enc.list_begin(items.len() as u32)?;
            for item in items {
                places.pack(enc, *item)?;
            }
            enc.list_end()
        }
        TypeDef::Variant(cases) => {
            enc.variant(VARIANT)?;
            enc.list_begin(cases.len() as u32)?;
            for case in cases {
                enc.struct_begin()?;
                enc.str(&case.name)?;
                places.pack_option(enc, case.ty)?;
                enc.struct_end()?;
            }
            enc.list_end()
        }
        TypeDef::Enum(names) => {
            enc.variant(ENUM)?;
            pack_names(enc, names)
        }
        TypeDef::Option(item) => {
            enc.variant(OPTION)?;
            places.pack(enc, *item)
        }
        TypeDef::Result { ok, err } => {
            enc.variant(RESULT)?;
            enc.struct_begin()?;
            places.pack_option(enc, *ok)?;
            places.pack_option(enc, *err)?;
            enc.struct_end()
        }
        TypeDef::Flags(names) => {
            enc.variant(FLAGS)?;
            pack_names(enc, names)
        }
        TypeDef::Own(resource) => {
            enc.variant(OWN)?;
            enc.str(resource)
        }
        TypeDef::Borrow(resource) => {
            enc.variant(BORROW)?;
            enc.str(resource)
        }
        TypeDef::Stream(item) => {
            enc.variant(STREAM)?;
            places.pack_option(enc, *item)
        }
        TypeDef::Future(item) => {
            enc.variant(FUTURE)?;
            places.pack_option(enc, *item)
        }
    }
}

fn pack_names(enc: &mut Encoder, names: &[String]) -> Result<(), EncodeError> {
    enc.list_begin(names.len() as u32)?;
    for name in names {
        enc.str(name)?;
    }
    enc.list_end()
}

fn pack_option_str(enc: &mut Encoder, text: Option<&str>) -> Result<(), EncodeError> {
    match text {
        None => enc.none(),
        Some(text) => {
            enc.some()?;
            enc.str(text)
        }
    }
}

/// One interface: name, functions, resources, types.
fn pack_interface(enc: &mut Encoder, interface: &Interface, places: &Places) -> Result<(), EncodeError> {
    enc.struct_begin()?;
    pack_option_str(enc, interface.name.as_deref())?;
    enc.list_begin(interface.functions.len() as u32)?;
    for function in &interface.functions {
        enc.struct_begin()?;
        enc.str(&function.name)?;
        enc.bool(function.is_async)?;
        enc.list_begin(function.params.len() as u32)?;
        for param in &function.params {
            places.pack_named(enc, &param.name, param.ty)?;
        }
        enc.list_end()?;
        places.pack_option(enc, function.result)?;
        enc.struct_end()?;
    }
    enc.list_end()?;
    pack_names(enc, &interface.resources)?;
    enc.list_begin(interface.types.len() as u32)?;
    for named in &interface.types {
        places.pack_named(enc, &named.name, named.ty)?;
    }
    enc.list_end()?;
    enc.struct_end()
}

/// Reads what was packed, checking as it goes.
#[derive(Default)]
struct Reader {
    builder: RegistryBuilder,
    /// The types of the table so far.
    ids: Vec<TypeId>,
}

impl Reader {
    fn types(&mut self, dec: &mut Decoder<'_>) -> Result<(), UnpackError> {
        for _ in 0..dec.list_begin()? {
            dec.struct_begin()?;
            let mut name = None;
            if dec.option()? {
                dec.struct_begin()?;
                name = Some(TypeName { interface: option_str(dec)?, name: dec.str()?.to_owned() });
                dec.struct_end()?;
            }
            let def = self.def(dec)?;
            dec.struct_end()?;
            let id = self.builder.intern(def, name)?;
            // A type that is there twice would be a second encoding of the same ledger.
            if id.index() != self.ids.len() {
                return Err(LedgerError::Duplicate { what: "types", name: format!("#{}", id.index()) }.into());
            }
            self.ids.push(id);
        }
        Ok(dec.list_end()?)
    }

    fn def(&self, dec: &mut Decoder<'_>) -> Result<TypeDef, UnpackError> {
        let kind = dec.variant()?;
        let mut scalar = |def| {
            dec.unit()?;
            Ok(def)
        };
        match kind {
            BOOL => scalar(TypeDef::Bool),
            U8 => scalar(TypeDef::U8),
            U16 => scalar(TypeDef::U16),
            U32 => scalar(TypeDef::U32),
            U64 => scalar(TypeDef::U64),
            S8 => scalar(TypeDef::S8),
            S16 => scalar(TypeDef::S16),
            S32 => scalar(TypeDef::S32),
            S64 => scalar(TypeDef::S64),
            F32 => scalar(TypeDef::F32),
            F64 => scalar(TypeDef::F64),
            CHAR => scalar(TypeDef::Char),
            STRING => scalar(TypeDef::String),
            ERROR_CONTEXT => scalar(TypeDef::ErrorContext),
            LIST => Ok(TypeDef::List(self.id(dec)?)),
            FIXED_LIST => {
                dec.struct_begin()?;
                let def = TypeDef::FixedList(self.id(dec)?, dec.u32()?);
                dec.struct_end()?;
                Ok(def)
            }
            MAP => {
                dec.struct_begin()?;
                let def = TypeDef::Map(self.id(dec)?, self.id(dec)?);
                dec.struct_end()?;
                Ok(def)
            }
            RECORD => Ok(TypeDef::Record(list(dec, |dec| {
                let (name, ty) = self.named(dec)?;
                Ok(Field { name, ty })
            })?)),
            TUPLE => Ok(TypeDef::Tuple(list(dec, |dec| self.id(dec))?)),
            VARIANT => Ok(TypeDef::Variant(list(dec, |dec| {
                dec.struct_begin()?;
                let case = Case { name: dec.str()?.to_owned(), ty: self.option_id(dec)? };
                dec.struct_end()?;
                Ok(case)
            })?)),
            ENUM => Ok(TypeDef::Enum(list(dec, name)?)),
            OPTION => Ok(TypeDef::Option(self.id(dec)?)),
            RESULT => {
                dec.struct_begin()?;
                let def = TypeDef::Result { ok: self.option_id(dec)?, err: self.option_id(dec)? };
                dec.struct_end()?;
                Ok(def)
            }
            FLAGS => Ok(TypeDef::Flags(list(dec, name)?)),
            OWN => Ok(TypeDef::Own(name(dec)?)),
            BORROW => Ok(TypeDef::Borrow(name(dec)?)),
            STREAM => Ok(TypeDef::Stream(self.option_id(dec)?)),
            FUTURE => Ok(TypeDef::Future(self.option_id(dec)?)),
            kind => Err(UnpackError::UnknownKind { at: self.ids.len(), kind }),
        }
    }

    fn interfaces(&self, dec: &mut Decoder<'_>) -> Result<Vec<Interface>, UnpackError> {
        list(dec, |dec| {
            dec.struct_begin()?;
            let mut interface = Interface::new(option_str(dec)?);
            interface.functions = list(dec, |dec| self.function(dec))?;
            interface.resources = list(dec, name)?;
            interface.types = list(dec, |dec| {
                let (name, ty) = self.named(dec)?;
                Ok(NamedType { name, ty })
            })?;
            dec.struct_end()?;
            Ok(interface)
        })
    }

    fn function(&self, dec: &mut Decoder<'_>) -> Result<Function, UnpackError> {
        dec.struct_begin()?;
        let (function, is_async) = (name(dec)?, dec.bool()?);
        let params = list(dec, |dec| {
            let (name, ty) = self.named(dec)?;
            Ok(Param { name, ty })
        })?;
        let result = self.option_id(dec)?;
        dec.struct_end()?;
        Ok(Function::new(self.builder.types(), function, params, result, is_async)?)
    }

    /// A type, by its place in the table; one that is not there yet is refused.
    fn id(&self, dec: &mut Decoder<'_>) -> Result<TypeId, UnpackError> {
        let place = dec.u32()? as usize;
        let id = self.ids.get(place).copied();
        id.ok_or_else(|| LedgerError::NoSuchType { of: self.ids.len(), to: place }.into())
    }

    fn option_id(&self, dec: &mut Decoder<'_>) -> Result<Option<TypeId>, UnpackError> {
        if dec.option()? { Ok(Some(self.id(dec)?)) } else { Ok(None) }
    }

    fn named(&self, dec: &mut Decoder<'_>) -> Result<(String, TypeId), UnpackError> {
        dec.struct_begin()?;
        let named = (name(dec)?, self.id(dec)?);
        dec.struct_end()?;
        Ok(named)
    }
}

/// Reads a list; it grows by what is there, not by the count it claims.
fn list<'a, T>(
    dec: &mut Decoder<'a>,
    mut item: impl FnMut(&mut Decoder<'a>) -> Result<T, UnpackError>,
) -> Result<Vec<T>, UnpackError> {
    let mut items = Vec::new();
    for _ in 0..dec.list_begin()? {
        items.push(item(dec)?);
    }
    dec.list_end()?;
    Ok(items)
}

fn name(dec: &mut Decoder<'_>) -> Result<String, UnpackError> {
    Ok(dec.str()?.to_owned())
}

fn option_str(dec: &mut Decoder<'_>) -> Result<Option<String>, UnpackError> {
    if dec.option()? { Ok(Some(dec.str()?.to_owned())) } else { Ok(None) }
}
