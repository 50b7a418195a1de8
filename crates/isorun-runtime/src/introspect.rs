//! What a component imports and exports, read from its bytes before anything is compiled.
//!
//! The types are taken from the validated component itself and not by way of a
//! WIT package: WIT has one interface of a name, so a component that imports
//! `demo:kv/store` and exports it too, with more or other functions, would show
//! the same functions on both sides.

mod engine;

use std::collections::HashMap;
use std::sync::Arc;

use isorun_ledger::{
    Case, FUNCTIONS_MAX, Field, Function, Interface, Ledger, LedgerError, NamedType, Param, RegistryBuilder, TYPES_MAX,
    TypeDef, TypeId, TypeName,
};
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType, ComponentFuncTypeId,
    ComponentInstanceTypeId, ComponentValType, ResourceId,
};
use wasmparser::types::{Types, TypesRef};
use wasmparser::{Encoding, Parser, Payload, PrimitiveValType, ValidPayload, Validator, WasmFeatures};

pub use engine::{CheckError, check, introspect_types};

/// Most functions, types and resources that all interfaces of a component declare together.
///
/// As many as a ledger takes at most; it is counted while reading, so that no more is ever held.
const DECLARATIONS_MAX: usize = FUNCTIONS_MAX + TYPES_MAX;

/// Why a component's types can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntrospectError {
    /// The bytes are no valid component.
    #[error("not a valid component: {detail} (at byte {offset:#x})")]
    Invalid {
        /// What the validator says.
        detail: String,
        /// Where, from the first byte of the file.
        offset: usize,
    },
    /// A core module.
    #[error("a core module, which has no typed imports and exports")]
    CoreModule,
    /// A WIT package in binary form: types, and nothing that could run.
    #[error("a WIT package in binary form: it declares `{name}` and has nothing to run")]
    WitPackage {
        /// Its first export.
        name: String,
    },
    /// An import or export of a kind that WIT does not have, so that no link carries it.
    #[error("`{name}` is a {what}, and only functions, interfaces and types can be linked")]
    Unsupported {
        /// The import's or export's name; `interface.name` for one inside an interface.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// More than a ledger takes.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Reads everything a component imports and exports, with every type in it.
///
/// Functions at the root stand in the interface without a name, resources'
/// functions under names like `[method]cursor.next`, and interfaces that only
/// declare types have no functions. Nothing is compiled, and core code is not
/// looked at.
///
/// # Errors
/// [`IntrospectError`], for any bytes whatever.
///
/// ```
/// let component = wat::parse_str(
///     r#"(component (import "demo:log/sink@0.1.0" (instance
///         (export "write" (func (param "line" string))))))"#,
/// )?;
/// let ledger = isorun_runtime::introspect::introspect(&component)?;
/// let sink = ledger.import(Some("demo:log/sink@0.1.0")).ok_or("no such import")?;
/// assert_eq!(sink.functions[0].params[0].name, "line");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn introspect(component: &[u8]) -> Result<Ledger, IntrospectError> {
    let names = validate(component)?;
    let types = names.types.as_ref();
    let mut reader = Reader {
        types,
        builder: RegistryBuilder::new(),
        names: HashMap::new(),
        resources: HashMap::new(),
        ids: HashMap::new(),
        declarations: 0,
    };
    let mut imports = Side::default();
    for name in &names.imports {
        if let Some(item) = types.component_item_for_import(name) {
            reader.item(&mut imports, name, item.ty)?;
        }
    }
    let mut exports = Side::default();
    for name in &names.exports {
        if let Some(item) = types.component_item_for_export(name) {
            reader.item(&mut exports, name, item.ty)?;
        }
    }
    let registry = Arc::new(reader.builder.finish());
    Ok(Ledger::new(registry, imports.interfaces(), exports.interfaces())?)
}

/// A valid component: its types, and the names of what it imports and exports, in order.
struct Validated {
    types: Types,
    imports: Vec<String>,
    exports: Vec<String>,
}

fn validate(component: &[u8]) -> Result<Validated, IntrospectError> {
    let invalid = |e: wasmparser::BinaryReaderError| IntrospectError::Invalid {
        detail: e.message().to_owned(),
        offset: e.offset(),
    };
    // Which features run is the engine's to say; here every type must be readable.
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0usize;
    let mut end = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(IntrospectError::CoreModule);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section.clone() {
                    imports.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section.clone() {
                    exports.push(export.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::End(offset) => end = *offset,
            _ => {}
        }
        if let ValidPayload::End(types) = validator.payload(&payload).map_err(invalid)? {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return Ok(Validated { types, imports, exports }),
            }
        }
    }
    Err(IntrospectError::Invalid { detail: "the component does not end".to_owned(), offset: end })
}

/// One side of the ledger as it grows: what stands at the root, and the interfaces.
#[derive(Default)]
struct Side {
    root: Interface,
    named: Vec<Interface>,
}

impl Side {
    fn interfaces(self) -> Vec<Interface> {
        let Self { root, mut named } = self;
        if root != Interface::default() {
            named.push(root);
        }
        named
    }
}

/// Turns the validator's types into a ledger's.
struct Reader<'a> {
    types: TypesRef<'a>,
    builder: RegistryBuilder,
    /// The name under which each type was first declared.
    names: HashMap<ComponentAnyTypeId, TypeName>,
    resources: HashMap<ResourceId, TypeName>,
    ids: HashMap<ComponentDefinedTypeId, TypeId>,
    declarations: usize,
}

impl Reader<'_> {
    /// Adds one import or export of the component.
    fn item(&mut self, side: &mut Side, name: &str, ty: ComponentEntityType) -> Result<(), IntrospectError> {
        match ty {
            ComponentEntityType::Instance(id) => {
                let mut interface = Interface::new(Some(name.to_owned()));
                self.instance(&mut interface, name, id)?;
                side.named.push(interface);
                Ok(())
            }
            ty => self.member(&mut side.root, name, ty),
        }
    }

    fn instance(
        &mut self,
        interface: &mut Interface,
        path: &str,
        id: ComponentInstanceTypeId,
    ) -> Result<(), IntrospectError> {
        let types = self.types;
        for (name, item) in &types[id].exports {
            match item.ty {
                ComponentEntityType::Instance(_) => {
                    return Err(unsupported(&format!("{path}.{name}"), "nested interface"));
                }
                ty => self.member(interface, name, ty)?,
            }
        }
        Ok(())
    }

    /// Adds a function or a type to an interface.
    fn member(
        &mut self,
        interface: &mut Interface,
        name: &str,
        ty: ComponentEntityType,
    ) -> Result<(), IntrospectError> {
        let path = || match &interface.name {
            Some(interface) => format!("{interface}.{name}"),
            None => name.to_owned(),
        };
        self.declarations += 1;
        if self.declarations > DECLARATIONS_MAX {
            let (count, max) = (self.declarations, DECLARATIONS_MAX);
            return Err(LedgerError::TooMany { what: "declarations", count, max }.into());
        }
        match ty {
            ComponentEntityType::Func(id) => {
                let function = self.function(name, id)?;
                interface.functions.push(function);
            }
            ComponentEntityType::Type { referenced, created } => match referenced {
                ComponentAnyTypeId::Resource(id) => self.declare_resource(interface, name, id.resource()),
                ComponentAnyTypeId::Defined(id) => self.declare_type(interface, name, id, created)?,
                ComponentAnyTypeId::Component(_) | ComponentAnyTypeId::Instance(_) => {
                    return Err(IntrospectError::WitPackage { name: path() });
                }
                ComponentAnyTypeId::Func(_) => return Err(unsupported(&path(), "function type")),
            },
            ComponentEntityType::Module(_) => return Err(unsupported(&path(), "core module")),
            ComponentEntityType::Value(_) => return Err(unsupported(&path(), "value")),
            ComponentEntityType::Component(_) => return Err(unsupported(&path(), "component")),
            ComponentEntityType::Instance(_) => return Err(unsupported(&path(), "nested interface")),
        }
        Ok(())
    }

    fn declare_resource(&mut self, interface: &mut Interface, name: &str, id: ResourceId) {
        // One that is known already is another interface's, and this one's `use` of it.
        self.resources.entry(id).or_insert_with(|| {
            interface.resources.push(name.to_owned());
            TypeName { interface: interface.name.clone(), name: name.to_owned() }
        });
    }

    fn declare_type(
        &mut self,
        interface: &mut Interface,
        name: &str,
        referenced: ComponentDefinedTypeId,
        created: ComponentAnyTypeId,
    ) -> Result<(), IntrospectError> {
        let known = self.declared_name(ComponentAnyTypeId::Defined(referenced)).cloned();
        let declared = known.unwrap_or_else(|| TypeName { interface: interface.name.clone(), name: name.to_owned() });
        self.names.insert(created, declared);
        let ComponentAnyTypeId::Defined(created) = created else { return Ok(()) };
        let ty = self.value(ComponentValType::Type(created))?;
        interface.types.push(NamedType { name: name.to_owned(), ty });
        Ok(())
    }

    /// The name that a type, or the one it is another name for, was declared with.
    fn declared_name(&self, id: ComponentAnyTypeId) -> Option<&TypeName> {
        let mut at = Some(id);
        while let Some(id) = at {
            if let Some(name) = self.names.get(&id) {
                return Some(name);
            }
            at = self.types.peel_alias(id);
        }
        None
    }

    fn function(&mut self, name: &str, id: ComponentFuncTypeId) -> Result<Function, IntrospectError> {
        let types = self.types;
        let ty = &types[id];
        let mut params = Vec::new();
        for (name, ty) in &ty.params {
            params.push(Param { name: name.to_string(), ty: self.value(*ty)? });
        }
        let result = ty.result.map(|ty| self.value(ty)).transpose()?;
        Ok(Function::new(self.builder.types(), name, params, result, ty.async_)?)
    }

    /// The ledger's type for one of the validator's, with all that it is made of.
    fn value(&mut self, ty: ComponentValType) -> Result<TypeId, IntrospectError> {
        let root = match ty {
            ComponentValType::Primitive(ty) => return Ok(self.builder.intern(primitive(ty), None)?),
            ComponentValType::Type(id) => id,
        };
        let types = self.types;
        let mut todo = vec![root];
        while let Some(&id) = todo.last() {
            let missing = children(&types[id]).into_iter().filter(|child| !self.ids.contains_key(child));
            let before = todo.len();
            todo.extend(missing);
            if todo.len() == before {
                todo.pop();
                if !self.ids.contains_key(&id) {
                    let ty = self.defined(id)?;
                    self.ids.insert(id, ty);
                }
            }
        }
        Ok(self.ids[&root])
    }

    /// One type whose parts are known.
    fn defined(&mut self, id: ComponentDefinedTypeId) -> Result<TypeId, IntrospectError> {
        let types = self.types;
        let mut name = self.declared_name(ComponentAnyTypeId::Defined(id)).cloned();
        let def = match &types[id] {
            ComponentDefinedType::Primitive(ty) => primitive(*ty),
            ComponentDefinedType::Record(record) => {
                let mut fields = Vec::new();
                for (name, ty) in &record.fields {
                    fields.push(Field { name: name.to_string(), ty: self.known(*ty)? });
                }
                TypeDef::Record(fields)
            }
            ComponentDefinedType::Variant(variant) => {
                let mut cases = Vec::new();
                for (name, case) in &variant.cases {
                    cases.push(Case { name: name.to_string(), ty: self.known_option(case.ty)? });
                }
                TypeDef::Variant(cases)
            }
            ComponentDefinedType::List { element, .. } => TypeDef::List(self.known(*element)?),
            ComponentDefinedType::Map { key, value, .. } => TypeDef::Map(self.known(*key)?, self.known(*value)?),
            ComponentDefinedType::FixedLengthList { element, length, .. } => {
                TypeDef::FixedList(self.known(*element)?, *length)
            }
            ComponentDefinedType::Tuple(tuple) => {
                let items: Result<_, _> = tuple.types.iter().map(|ty| self.known(*ty)).collect();
                TypeDef::Tuple(items?)
            }
            ComponentDefinedType::Flags(names) => TypeDef::Flags(names.iter().map(ToString::to_string).collect()),
            ComponentDefinedType::Enum(names) => TypeDef::Enum(names.iter().map(ToString::to_string).collect()),
            ComponentDefinedType::Option { ty, .. } => TypeDef::Option(self.known(*ty)?),
            ComponentDefinedType::Result { ok, err, .. } => {
                TypeDef::Result { ok: self.known_option(*ok)?, err: self.known_option(*err)? }
            }
            ComponentDefinedType::Own(resource) => {
                let resource = self.resource(resource.resource());
                name = Some(resource.clone());
                TypeDef::Own(resource.name)
            }
            ComponentDefinedType::Borrow(resource) => {
                let resource = self.resource(resource.resource());
                name = Some(resource.clone());
                TypeDef::Borrow(resource.name)
            }
            ComponentDefinedType::Future { ty, .. } => TypeDef::Future(self.known_option(*ty)?),
            ComponentDefinedType::Stream { ty, .. } => TypeDef::Stream(self.known_option(*ty)?),
        };
        Ok(self.builder.intern(def, name)?)
    }

    /// The type of a part, which [`value`](Self::value) has turned already unless it is primitive.
    fn known(&mut self, ty: ComponentValType) -> Result<TypeId, IntrospectError> {
        match ty {
            ComponentValType::Primitive(ty) => Ok(self.builder.intern(primitive(ty), None)?),
            ComponentValType::Type(id) => Ok(self.ids[&id]),
        }
    }

    fn known_option(&mut self, ty: Option<ComponentValType>) -> Result<Option<TypeId>, IntrospectError> {
        ty.map(|ty| self.known(ty)).transpose()
    }

    /// A resource's name; one that no interface declares gets one.
    fn resource(&mut self, id: ResourceId) -> TypeName {
        let next = self.resources.len();
        let generated = || TypeName { interface: None, name: format!("resource-{next}") };
        self.resources.entry(id).or_insert_with(generated).clone()
    }
}

fn unsupported(name: &str, what: &'static str) -> IntrospectError {
    IntrospectError::Unsupported { name: name.to_owned(), what }
}

/// The types that have to be turned before this one.
fn children(ty: &ComponentDefinedType) -> Vec<ComponentDefinedTypeId> {
    let parts: Vec<ComponentValType> = match ty {
        ComponentDefinedType::Primitive(_)
        | ComponentDefinedType::Flags(_)
        | ComponentDefinedType::Enum(_)
        | ComponentDefinedType::Own(_)
        | ComponentDefinedType::Borrow(_) => Vec::new(),
        ComponentDefinedType::Record(record) => record.fields.values().copied().collect(),
        ComponentDefinedType::Variant(variant) => variant.cases.values().filter_map(|case| case.ty).collect(),
        ComponentDefinedType::List { element, .. } | ComponentDefinedType::FixedLengthList { element, .. } => {
            vec![*element]
        }
        ComponentDefinedType::Map { key, value, .. } => vec![*key, *value],
        ComponentDefinedType::Tuple(tuple) => tuple.types.to_vec(),
        ComponentDefinedType::Option { ty, .. } => vec![*ty],
        ComponentDefinedType::Result { ok, err, .. } => ok.iter().chain(err).copied().collect(),
        ComponentDefinedType::Future { ty, .. } | ComponentDefinedType::Stream { ty, .. } => {
            ty.iter().copied().collect()
        }
    };
    let defined = parts.into_iter().filter_map(|part| match part {
        ComponentValType::Type(id) => Some(id),
        ComponentValType::Primitive(_) => None,
    });
    defined.collect()
}

fn primitive(ty: PrimitiveValType) -> TypeDef {
    match ty {
        PrimitiveValType::Bool => TypeDef::Bool,
        PrimitiveValType::S8 => TypeDef::S8,
        PrimitiveValType::U8 => TypeDef::U8,
        PrimitiveValType::S16 => TypeDef::S16,
        PrimitiveValType::U16 => TypeDef::U16,
        PrimitiveValType::S32 => TypeDef::S32,
        PrimitiveValType::U32 => TypeDef::U32,
        PrimitiveValType::S64 => TypeDef::S64,
        PrimitiveValType::U64 => TypeDef::U64,
        PrimitiveValType::F32 => TypeDef::F32,
        PrimitiveValType::F64 => TypeDef::F64,
        PrimitiveValType::Char => TypeDef::Char,
        PrimitiveValType::String => TypeDef::String,
        PrimitiveValType::ErrorContext => TypeDef::ErrorContext,
    }
}
