//! The same from the engine's own types: where there are no bytes, and as a second opinion where there are.

use std::collections::HashMap;
use std::sync::Arc;

use isorun_ledger::{
    Case, Field, Function, Interface, Ledger, LedgerError, NamedType, Param, RegistryBuilder, TypeDef, TypeId,
    TypeName, TypeRegistry,
};
use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, ResourceType};

use super::IntrospectError;

/// Most types that are looked at in one component, each counted as often as it is used.
///
/// The engine's types have no identity, so shared ones are walked again. The
/// validator bounds the same count by the same number.
const VISITS_MAX: usize = 1_000_000;

/// How a ledger and the engine's types of the same component disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The component has something that the ledger has not.
    #[error("the component has `{name}`, its ledger does not")]
    NotInLedger {
        /// `interface#function`, or the bare name of a root function.
        name: String,
    },
    /// The ledger has something that the component has not.
    #[error("the ledger has `{name}`, the component does not")]
    NotInComponent {
        /// `interface#function`, or the bare name of a root function.
        name: String,
    },
    /// Both have it, with other types.
    #[error("`{name}` has other types in the component than in its ledger")]
    Differs {
        /// `interface#function`, or the bare name of a root function.
        name: String,
    },
    /// Too many types to look at.
    #[error("the component's types are over {VISITS_MAX}, counting shared ones each time")]
    TooManyTypes,
}

/// Checks that a ledger says of a component's functions what the engine says.
///
/// # Errors
/// [`CheckError`] with the first function that differs.
pub fn check(ledger: &Ledger, component: &Component) -> Result<(), CheckError> {
    let (imports, exports) = functions_of(component);
    let mut visits = 0;
    for (functions, interfaces) in [(&imports, &ledger.imports), (&exports, &ledger.exports)] {
        check_side(&ledger.types, functions, interfaces, &mut visits)?;
    }
    Ok(())
}

/// What [`introspect`](super::introspect) reads, from the engine's types alone.
///
/// For components that were loaded compiled, so that there are no bytes to read.
/// The engine forgets which interface a type was declared in: one is named as
/// the interface it is used in names it, or `type-0`, `type-1` and so on where
/// WIT wants a name and there is none.
///
/// # Errors
/// [`IntrospectError::Unsupported`] and [`IntrospectError::Ledger`].
pub fn introspect_types(component: &Component) -> Result<Ledger, IntrospectError> {
    let ty = component.component_type();
    let engine = component.engine();
    let mut reader = Reader::default();
    let imports = ty.imports(engine).map(|(name, item)| (name, item.ty));
    let imports = reader.side(engine, imports)?;
    let exports = ty.exports(engine).map(|(name, item)| (name, item.ty));
    let exports = reader.side(engine, exports)?;
    Ok(Ledger::new(Arc::new(reader.builder.finish()), imports, exports)?)
}

/// The functions of one side: interface, name, type.
type Functions = Vec<(Option<String>, String, ComponentFunc)>;

fn functions_of(component: &Component) -> (Functions, Functions) {
    let (ty, engine) = (component.component_type(), component.engine());
    let imports = ty.imports(engine).flat_map(|(name, item)| functions_in(engine, name, item.ty)).collect();
    let exports = ty.exports(engine).flat_map(|(name, item)| functions_in(engine, name, item.ty)).collect();
    (imports, exports)
}

fn functions_in(engine: &Engine, name: &str, item: ComponentItem) -> Functions {
    match item {
        ComponentItem::ComponentFunc(function) => vec![(None, name.to_owned(), function)],
        ComponentItem::ComponentInstance(instance) => {
            let functions = instance.exports(engine).filter_map(|(function, item)| match item.ty {
                ComponentItem::ComponentFunc(ty) => Some((Some(name.to_owned()), function.to_owned(), ty)),
                _ => None,
            });
            functions.collect()
        }
        _ => Vec::new(),
    }
}

fn check_side(
    types: &TypeRegistry,
    functions: &Functions,
    interfaces: &[Interface],
    visits: &mut usize,
) -> Result<(), CheckError> {
    let mut known: HashMap<(Option<&str>, &str), &Function> = HashMap::new();
    for interface in interfaces {
        for function in &interface.functions {
            known.insert((interface.name.as_deref(), &function.name), function);
        }
    }
    for (interface, name, ty) in functions {
        let key = (interface.as_deref(), name.as_str());
        let Some(function) = known.remove(&key) else { return Err(CheckError::NotInLedger { name: path(key) }) };
        if !same_function(types, function, ty, visits)? {
            return Err(CheckError::Differs { name: path(key) });
        }
    }
    match known.into_keys().min() {
        None => Ok(()),
        Some(key) => Err(CheckError::NotInComponent { name: path(key) }),
    }
}

fn path((interface, function): (Option<&str>, &str)) -> String {
    interface.map_or_else(|| function.to_owned(), |interface| format!("{interface}#{function}"))
}

fn same_function(
    types: &TypeRegistry,
    function: &Function,
    ty: &ComponentFunc,
    visits: &mut usize,
) -> Result<bool, CheckError> {
    let (params, results) = (ty.params(), ty.results());
    if (ty.async_(), params.len(), results.len())
        != (function.is_async, function.params.len(), usize::from(function.result.is_some()))
    {
        return Ok(false);
    }
    let mut pairs = Vec::new();
    for (param, (name, ty)) in function.params.iter().zip(params) {
        if param.name != name {
            return Ok(false);
        }
        pairs.push((param.ty, ty));
    }
    pairs.extend(function.result.into_iter().zip(results));
    while let Some((id, ty)) = pairs.pop() {
        *visits += 1;
        if *visits > VISITS_MAX {
            return Err(CheckError::TooManyTypes);
        }
        let def = types.def(id);
        let (ids, parts) = (def.children(), parts(&ty));
        let resource = match def {
            TypeDef::Own(name) | TypeDef::Borrow(name) => name.as_str(),
            _ => "",
        };
        // Put together from the engine's kind and names and the ledger's parts, it must be the ledger's type.
        if ids.len() != parts.len() || assemble(&ty, &ids, resource) != *def {
            return Ok(false);
        }
        pairs.extend(ids.into_iter().zip(parts));
    }
    Ok(true)
}

/// The types that a type of the engine is made of, in order.
fn parts(ty: &Type) -> Vec<Type> {
    match ty {
        Type::Bool
        | Type::S8
        | Type::U8
        | Type::S16
        | Type::U16
        | Type::S32
        | Type::U32
        | Type::S64
        | Type::U64
        | Type::Float32
        | Type::Float64
        | Type::Char
        | Type::String
        | Type::Enum(_)
        | Type::Flags(_)
        | Type::Own(_)
        | Type::Borrow(_)
        | Type::ErrorContext => Vec::new(),
        Type::List(list) => vec![list.ty()],
        Type::FixedLengthList(list) => vec![list.ty()],
        Type::Map(map) => vec![map.key(), map.value()],
        Type::Record(record) => record.fields().map(|field| field.ty).collect(),
        Type::Tuple(tuple) => tuple.types().collect(),
        Type::Variant(variant) => variant.cases().filter_map(|case| case.ty).collect(),
        Type::Option(option) => vec![option.ty()],
        Type::Result(result) => result.ok().into_iter().chain(result.err()).collect(),
        Type::Future(future) => future.ty().into_iter().collect(),
        Type::Stream(stream) => stream.ty().into_iter().collect(),
    }
}

/// The ledger's form of one of the engine's types, its [`parts`] being `ids`, which must be as many.
fn assemble(ty: &Type, ids: &[TypeId], resource: &str) -> TypeDef {
    let mut next = ids.iter().copied();
    match ty {
        Type::Bool => TypeDef::Bool,
        Type::S8 => TypeDef::S8,
        Type::U8 => TypeDef::U8,
        Type::S16 => TypeDef::S16,
        Type::U16 => TypeDef::U16,
        Type::S32 => TypeDef::S32,
        Type::U32 => TypeDef::U32,
        Type::S64 => TypeDef::S64,
        Type::U64 => TypeDef::U64,
        Type::Float32 => TypeDef::F32,
        Type::Float64 => TypeDef::F64,
        Type::Char => TypeDef::Char,
        Type::String => TypeDef::String,
        Type::ErrorContext => TypeDef::ErrorContext,
        Type::Enum(names) => TypeDef::Enum(names.names().map(str::to_owned).collect()),
        Type::Flags(names) => TypeDef::Flags(names.names().map(str::to_owned).collect()),
        Type::Own(_) => TypeDef::Own(resource.to_owned()),
        Type::Borrow(_) => TypeDef::Borrow(resource.to_owned()),
        Type::List(_) => TypeDef::List(ids[0]),
        Type::FixedLengthList(list) => TypeDef::FixedList(ids[0], list.len()),
        Type::Map(_) => TypeDef::Map(ids[0], ids[1]),
        Type::Option(_) => TypeDef::Option(ids[0]),
        Type::Tuple(_) => TypeDef::Tuple(ids.to_vec()),
        Type::Record(record) => TypeDef::Record(
            record.fields().zip(ids).map(|(field, ty)| Field { name: field.name.to_owned(), ty: *ty }).collect(),
        ),
        Type::Variant(variant) => TypeDef::Variant(
            variant
                .cases()
                .map(|case| Case { name: case.name.to_owned(), ty: case.ty.and_then(|_| next.next()) })
                .collect(),
        ),
        Type::Result(result) => {
            TypeDef::Result { ok: result.ok().and_then(|_| next.next()), err: result.err().and_then(|_| next.next()) }
        }
        Type::Future(future) => TypeDef::Future(future.ty().and_then(|_| next.next())),
        Type::Stream(stream) => TypeDef::Stream(stream.ty().and_then(|_| next.next())),
    }
}

/// Turns the engine's types into a ledger's.
#[derive(Default)]
struct Reader {
    builder: RegistryBuilder,
    resources: Vec<(ResourceType, TypeName)>,
    visits: usize,
}

/// A type whose parts are being turned.
struct Open {
    ty: Type,
    /// Those still to be turned, the next one last.
    parts: Vec<Type>,
    ids: Vec<TypeId>,
}

impl Open {
    fn new(ty: Type) -> Self {
        let mut parts = parts(&ty);
        parts.reverse();
        Self { ty, parts, ids: Vec::new() }
    }
}

/// What the types of one interface are called, by what they are.
#[derive(Default)]
struct Scope {
    interface: Option<String>,
    names: HashMap<[u8; 32], String>,
    generated: usize,
}

impl Reader {
    fn side<'a>(
        &mut self,
        engine: &Engine,
        items: impl Iterator<Item = (&'a str, ComponentItem)>,
    ) -> Result<Vec<Interface>, IntrospectError> {
        let mut interfaces = Vec::new();
        let mut root = Vec::new();
        for (name, item) in items {
            match item {
                ComponentItem::ComponentInstance(instance) => {
                    let members = instance.exports(engine).map(|(name, item)| (name.to_owned(), item.ty)).collect();
                    interfaces.push(self.interface(Some(name.to_owned()), members)?);
                }
                item => root.push((name.to_owned(), item)),
            }
        }
        if !root.is_empty() {
            interfaces.push(self.interface(None, root)?);
        }
        Ok(interfaces)
    }

    fn interface(
        &mut self,
        name: Option<String>,
        members: Vec<(String, ComponentItem)>,
    ) -> Result<Interface, IntrospectError> {
        let mut interface = Interface::new(name.clone());
        let mut scope = Scope { interface: name.clone(), ..Scope::default() };
        for (member, item) in &members {
            match item {
                ComponentItem::Resource(ty) if !self.resources.iter().any(|(known, _)| known == ty) => {
                    self.resources.push((*ty, TypeName { interface: name.clone(), name: member.clone() }));
                    interface.resources.push(member.clone());
                }
                ComponentItem::Type(ty) => {
                    // Interned without a name to learn its hash; with its name it is another entry.
                    let hash = self.structure(ty)?;
                    scope.names.entry(hash).or_insert_with(|| member.clone());
                }
                _ => {}
            }
        }
        for (member, item) in members {
            match item {
                ComponentItem::ComponentFunc(ty) => {
                    let function = self.function(&mut scope, &member, &ty)?;
                    interface.functions.push(function);
                }
                ComponentItem::Type(ty) => {
                    let ty = self.value(Some(&mut scope), ty)?;
                    interface.types.push(NamedType { name: member, ty });
                }
                ComponentItem::Resource(_) => {}
                ComponentItem::CoreFunc(_) => return Err(super::unsupported(&member, "core function")),
                ComponentItem::Module(_) => return Err(super::unsupported(&member, "core module")),
                ComponentItem::Component(_) => return Err(super::unsupported(&member, "component")),
                ComponentItem::ComponentInstance(_) => return Err(super::unsupported(&member, "nested interface")),
            }
        }
        Ok(interface)
    }

    fn function(&mut self, scope: &mut Scope, name: &str, ty: &ComponentFunc) -> Result<Function, IntrospectError> {
        let mut params = Vec::new();
        for (name, ty) in ty.params() {
            params.push(Param { name: name.to_owned(), ty: self.value(Some(scope), ty)? });
        }
        let result = ty.results().next().map(|ty| self.value(Some(scope), ty)).transpose()?;
        Ok(Function::new(self.builder.types(), name, params, result, ty.async_())?)
    }

    fn structure(&mut self, ty: &Type) -> Result<[u8; 32], IntrospectError> {
        let id = self.value(None, ty.clone())?;
        Ok(self.builder.types().hash(id))
    }

    /// The ledger's type for one of the engine's; without a scope no part of it gets a name.
    fn value(&mut self, mut scope: Option<&mut Scope>, ty: Type) -> Result<TypeId, IntrospectError> {
        let mut stack = vec![Open::new(ty)];
        loop {
            self.visits += 1;
            if self.visits > 4 * VISITS_MAX {
                let (what, max) = ("types, counting shared ones each time", 4 * VISITS_MAX);
                return Err(LedgerError::TooMany { what, count: self.visits, max }.into());
            }
            // The loop ends when the last one is taken off, so there is one.
            let Some(mut open) = stack.pop() else { break };
            if let Some(part) = open.parts.pop() {
                stack.push(open);
                stack.push(Open::new(part));
                continue;
            }
            let id = self.intern(scope.as_deref_mut(), &open)?;
            match stack.last_mut() {
                Some(parent) => parent.ids.push(id),
                None => return Ok(id),
            }
        }
        Err(LedgerError::Empty { what: "type" }.into())
    }

    fn intern(&mut self, scope: Option<&mut Scope>, Open { ty, ids, .. }: &Open) -> Result<TypeId, IntrospectError> {
        let handle = match ty {
            Type::Own(resource) | Type::Borrow(resource) => Some(self.resource(resource)),
            _ => None,
        };
        let def = assemble(ty, ids, handle.as_ref().map_or("", |name| &name.name));
        let Some(scope) = scope.filter(|_| handle.is_none()) else { return Ok(self.builder.intern(def, handle)?) };
        let plain = self.builder.intern(def.clone(), None)?;
        let hash = self.builder.types().hash(plain);
        let needs_name = matches!(def, TypeDef::Record(_) | TypeDef::Variant(_) | TypeDef::Enum(_) | TypeDef::Flags(_));
        if needs_name && !scope.names.contains_key(&hash) {
            scope.names.insert(hash, format!("type-{}", scope.generated));
            scope.generated += 1;
        }
        let name = scope.names.get(&hash).filter(|_| needs_name);
        let name = name.map(|name| TypeName { interface: scope.interface.clone(), name: name.clone() });
        Ok(self.builder.intern(def, name)?)
    }

    fn resource(&mut self, ty: &ResourceType) -> TypeName {
        if let Some((_, name)) = self.resources.iter().find(|(known, _)| known == ty) {
            return name.clone();
        }
        let name = TypeName { interface: None, name: format!("resource-{}", self.resources.len()) };
        self.resources.push((*ty, name.clone()));
        name
    }
}
