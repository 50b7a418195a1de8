//! Ledgers for tests.
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::sync::Arc;

use isorun_ledger::{
    Case, Field, Function, Interface, Ledger, NamedType, Param, RegistryBuilder, TypeDef, TypeId, TypeName,
};

/// What the key-value interface of the tests looks like, so that tests can change one thing.
#[derive(Clone)]
pub struct Store {
    pub name: &'static str,
    pub entry: Vec<(&'static str, TypeDef)>,
    pub failures: Vec<&'static str>,
    pub rights: Vec<&'static str>,
    pub get: Vec<(&'static str, TypeDef)>,
    pub get_result: bool,
    pub is_async: bool,
    pub functions: Vec<&'static str>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            name: "demo:kv/store@0.1.0",
            entry: vec![("key", TypeDef::String), ("version", TypeDef::U64)],
            failures: vec!["denied", "missing"],
            rights: vec!["read", "write"],
            get: vec![("key", TypeDef::String), ("limit", TypeDef::U32)],
            get_result: true,
            is_async: false,
            functions: vec!["get", "put", "grant", "all"],
        }
    }
}

impl Store {
    /// A ledger that imports the interface.
    pub fn ledger(&self) -> Ledger {
        let mut builder = RegistryBuilder::new();
        let named = |name: &str| Some(TypeName { interface: Some(self.name.to_owned()), name: name.to_owned() });
        let fields: Vec<Field> = self
            .entry
            .iter()
            .map(|(name, def)| Field { name: (*name).to_owned(), ty: builder.intern(def.clone(), None).unwrap() })
            .collect();
        let entry = builder.intern(TypeDef::Record(fields), named("entry")).unwrap();
        let cases = self.failures.iter().map(|name| Case { name: (*name).to_owned(), ty: None }).collect();
        let failure = builder.intern(TypeDef::Variant(cases), named("failure")).unwrap();
        let rights = self.rights.iter().map(|name| (*name).to_owned()).collect();
        let rights = builder.intern(TypeDef::Flags(rights), named("rights")).unwrap();
        let reply = builder.intern(TypeDef::Result { ok: Some(entry), err: Some(failure) }, None).unwrap();
        let list = builder.intern(TypeDef::List(entry), None).unwrap();
        let list = builder.intern(TypeDef::Option(list), None).unwrap();
        let get: Vec<Param> = self
            .get
            .iter()
            .map(|(name, def)| Param { name: (*name).to_owned(), ty: builder.intern(def.clone(), None).unwrap() })
            .collect();
        let types = Arc::new(builder.finish());
        let mut interface = Interface::new(Some(self.name.to_owned()));
        for name in &self.functions {
            let (params, result) = match *name {
                "get" => (get.clone(), self.get_result.then_some(reply)),
                "put" => (vec![param("entry", entry)], None),
                "grant" => (vec![param("rights", rights)], None),
                _ => (Vec::new(), Some(list)),
            };
            interface.functions.push(Function::new(&types, *name, params, result, self.is_async).unwrap());
        }
        for (name, ty) in [("entry", entry), ("failure", failure), ("rights", rights)] {
            interface.types.push(NamedType { name: name.to_owned(), ty });
        }
        Ledger::new(types, vec![interface], Vec::new()).unwrap()
    }
}

pub fn param(name: &str, ty: TypeId) -> Param {
    Param { name: name.to_owned(), ty }
}

pub fn field(name: &str, ty: TypeId) -> Field {
    Field { name: name.to_owned(), ty }
}

/// A random type of a random ledger: a kind, the parts it takes from those before it, and names.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub kind: u8,
    pub parts: Vec<u16>,
    pub name: Option<u8>,
}

/// Builds a ledger from recipes; any recipes make one.
pub fn cook(recipes: &[Recipe], functions: &[(Vec<u16>, Option<u16>, bool)]) -> Ledger {
    let mut builder = RegistryBuilder::new();
    let mut ids = vec![builder.intern(TypeDef::U8, None).unwrap()];
    for recipe in recipes {
        let part = |at: usize| ids[usize::from(recipe.parts.get(at).copied().unwrap_or(0)) % ids.len()];
        let option = |at: usize| recipe.parts.get(at).filter(|part| **part % 3 > 0).map(|_| part(at));
        let count = recipe.parts.len().max(1);
        let names = || (0..count.min(32)).map(|at| format!("n{at}")).collect::<Vec<_>>();
        let def = match recipe.kind % 28 {
            0 => TypeDef::Bool,
            1 => TypeDef::U16,
            2 => TypeDef::U32,
            3 => TypeDef::U64,
            4 => TypeDef::S8,
            5 => TypeDef::S16,
            6 => TypeDef::S32,
            7 => TypeDef::S64,
            8 => TypeDef::F32,
            9 => TypeDef::F64,
            10 => TypeDef::Char,
            11 => TypeDef::String,
            12 => TypeDef::List(part(0)),
            13 => TypeDef::FixedList(part(0), count as u32),
            14 => TypeDef::Map(part(0), part(1)),
            15 => TypeDef::Record((0..count).map(|at| field(&format!("f{at}"), part(at))).collect()),
            16 => TypeDef::Tuple((0..count).map(part).collect()),
            17 => {
                let case = |at| Case { name: format!("c{at}"), ty: option(at) };
                TypeDef::Variant((0..count).map(case).collect())
            }
            18 => TypeDef::Enum(names()),
            19 => TypeDef::Option(part(0)),
            20 => TypeDef::Result { ok: option(0), err: option(1) },
            21 => TypeDef::Flags(names()),
            22 => TypeDef::Own("cursor".to_owned()),
            23 => TypeDef::Borrow("cursor".to_owned()),
            24 => TypeDef::Stream(option(0)),
            25 => TypeDef::Future(option(0)),
            26 => TypeDef::ErrorContext,
            _ => TypeDef::U8,
        };
        let name = recipe.name.map(|name| TypeName {
            interface: (name % 2 > 0).then(|| format!("a:b/i{}@0.1.0", name % 3)),
            name: format!("t{name}"),
        });
        ids.push(builder.intern(def, name).unwrap());
    }
    let types = Arc::new(builder.finish());
    let at = |place: u16| ids[usize::from(place) % ids.len()];
    let mut interface = Interface::new(Some("a:b/i1@0.1.0".to_owned()));
    for (n, (params, result, is_async)) in functions.iter().enumerate() {
        let params = params.iter().enumerate().map(|(at_param, place)| param(&format!("p{at_param}"), at(*place)));
        let function = Function::new(&types, format!("f{n}"), params.collect(), result.map(at), *is_async);
        interface.functions.push(function.unwrap());
    }
    let mut root = Interface::new(None);
    root.types.extend(ids.iter().enumerate().map(|(n, ty)| NamedType { name: format!("x{n}"), ty: *ty }));
    root.resources.push("cursor".to_owned());
    Ledger::new(types, vec![interface.clone(), root], vec![interface]).unwrap()
}
