//! What a component imports and exports.

use std::collections::HashMap;
use std::sync::Arc;

use crate::name::{names_match, track_version};
use crate::obstacle::{Obstacle, Reason};
use crate::registry::{
    Hasher, LedgerError, PART_BYTES, TYPES_BYTES_MAX, TypeRegistry, check_count, check_distinct, check_name,
};
use crate::types::TypeId;

/// Most interfaces that a ledger has on each side, imports and exports.
pub const INTERFACES_MAX: usize = 1_000;

/// Most functions in all interfaces of a ledger together.
pub const FUNCTIONS_MAX: usize = 10_000;

/// Most parameters of one function: what the component model takes.
pub const PARAMS_MAX: usize = 1_000;

/// Most bytes that a ledger's interfaces take when they are packed, beside their types.
pub const INTERFACES_BYTES_MAX: usize = 896 << 10;

/// Bytes that a packed interface or function takes at most beside its names and parts.
const ITEM_BYTES: usize = 64;

// Types and interfaces and the few bytes around them fit in one value.
const _: () = assert!(TYPES_BYTES_MAX + INTERFACES_BYTES_MAX + 1_024 <= neopack::VALUE_BYTES_MAX as usize);

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name, in kebab case.
    pub name: String,
    /// Its type.
    pub ty: TypeId,
}

/// A function of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function {
    /// Its name; `[method]cursor.next` and the like for those of resources.
    pub name: String,
    /// Its parameters, in order; a method's `self` among them.
    pub params: Vec<Param>,
    /// The type of its result, if it has one.
    pub result: Option<TypeId>,
    /// Whether WIT declares it `async`.
    pub is_async: bool,
    /// SHA-256 of all that two sides must agree on: names, order and structural
    /// types of the parameters, the result, and whether it is async. Not its own name.
    pub hash: [u8; 32],
}

impl Function {
    /// A function whose types are in `types`.
    ///
    /// # Errors
    /// [`LedgerError`] where a limit is met, a type is not there, or two parameters have one name.
    pub fn new(
        types: &TypeRegistry,
        name: impl Into<String>,
        params: Vec<Param>,
        result: Option<TypeId>,
        is_async: bool,
    ) -> Result<Self, LedgerError> {
        let name = name.into();
        check_name(&name)?;
        check_count("parameters", params.len(), PARAMS_MAX)?;
        check_distinct("parameters", params.iter().map(|param| param.name.as_str()))?;
        for ty in params.iter().map(|param| param.ty).chain(result) {
            check_type(types, ty)?;
        }
        let mut hasher = Hasher::new("isorun function 1");
        hasher.count(usize::from(is_async));
        hasher.count(params.len());
        for param in &params {
            hasher.name(&param.name);
            hasher.hash(Some(types.hash(param.ty)));
        }
        hasher.hash(result.map(|ty| types.hash(ty)));
        Ok(Self { name, params, result, is_async, hash: hasher.finish() })
    }

    /// How many containers of neopack lie inside one another in the packed arguments, or in the packed results if that is more.
    ///
    /// Both are one struct around the values.
    #[must_use]
    pub fn depth(&self, types: &TypeRegistry) -> usize {
        let values = self.params.iter().map(|param| param.ty).chain(self.result);
        1 + values.map(|ty| types.depth(ty)).max().unwrap_or(0)
    }

    /// What keeps this function from being called through a link; empty where nothing does.
    ///
    /// At most one obstacle for each parameter and the result.
    #[must_use]
    pub fn obstacles(&self, types: &TypeRegistry) -> Vec<Obstacle> {
        let here = |path: String, reason| Obstacle { function: Some(self.name.clone()), path, reason };
        let mut found = Vec::new();
        let params = self.params.iter().map(|param| (format!(".{}", param.name), param.ty));
        for (path, ty) in params.chain(self.result.map(|ty| ("()".to_owned(), ty))) {
            if let Err(obstacle) = types.travels(ty) {
                found.push(here(path + &obstacle.path, obstacle.reason));
                continue;
            }
            // One more for the struct around all arguments, or around the result.
            let depth = types.depth(ty) + 1;
            if depth > neopack::DEPTH_MAX {
                found.push(here(path, Reason::TooDeep { depth, max: neopack::DEPTH_MAX }));
            }
        }
        found
    }
}

/// A type under the name that an interface gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedType {
    /// The name, in kebab case.
    pub name: String,
    /// The type; another interface's if the name stands for a `use`.
    pub ty: TypeId,
}

/// Functions and types under one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Interface {
    /// `ns:pkg/iface@version`, a plain name, or `None` for what stands at the root of the world.
    pub name: Option<String>,
    /// The functions, in the component's order; names are unique.
    pub functions: Vec<Function>,
    /// The names of the resources declared here.
    pub resources: Vec<String>,
    /// The types declared here, resources aside; an interface may have nothing else.
    pub types: Vec<NamedType>,
}

impl Interface {
    /// An interface of that name with nothing in it.
    #[must_use]
    pub fn new(name: Option<String>) -> Self {
        Self { name, ..Self::default() }
    }

    /// What keeps functions from being called through a link, in the functions' order; empty where nothing does.
    #[must_use]
    pub fn obstacles(&self, types: &TypeRegistry) -> Vec<Obstacle> {
        self.functions.iter().flat_map(|function| function.obstacles(types)).collect()
    }

    /// The function of that name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }
}

/// What a component imports and exports, with every type in it.
///
/// A value: it prints as WIT, compares, and packs into bytes that a peer unpacks.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Ledger {
    /// The types that both sides refer to.
    pub types: Arc<TypeRegistry>,
    /// What the component wants.
    pub imports: Vec<Interface>,
    /// What the component offers.
    pub exports: Vec<Interface>,
}

impl Ledger {
    /// Whether any function, imported or exported, is `async` in WIT.
    #[must_use]
    pub fn has_async(&self) -> bool {
        let mut functions = self.imports.iter().chain(&self.exports).flat_map(|interface| &interface.functions);
        functions.any(|function| function.is_async)
    }

    /// A ledger of interfaces whose types are in `types`.
    ///
    /// # Errors
    /// [`LedgerError`] where a limit is met, a type is not there, or two
    /// interfaces of one side or two functions of one interface have one name.
    pub fn new(
        types: Arc<TypeRegistry>,
        imports: Vec<Interface>,
        exports: Vec<Interface>,
    ) -> Result<Self, LedgerError> {
        let (mut functions, mut bytes) = (0, 0);
        for side in [&imports, &exports] {
            check_count("interfaces", side.len(), INTERFACES_MAX)?;
            if side.iter().filter(|interface| interface.name.is_none()).count() > 1 {
                return Err(LedgerError::Duplicate { what: "interfaces", name: String::new() });
            }
            bytes += check_distinct("interfaces", side.iter().filter_map(|i| i.name.as_deref()))?;
            for interface in side {
                functions += interface.functions.len();
                check_count("functions", functions, FUNCTIONS_MAX)?;
                bytes += check_interface(&types, interface)?;
                check_count("bytes of packed interfaces", bytes, INTERFACES_BYTES_MAX)?;
            }
        }
        Ok(Self { types, imports, exports })
    }

    /// The import of that name, or of the newest version that [serves it](names_match).
    #[must_use]
    pub fn import(&self, name: Option<&str>) -> Option<&Interface> {
        find(&self.imports, name)
    }

    /// The export of that name, or of the newest version that [serves it](names_match).
    #[must_use]
    pub fn export(&self, name: Option<&str>) -> Option<&Interface> {
        find(&self.exports, name)
    }

    /// The exported function that a call names: `run` at the root, `ns:pkg/iface#run` with or without a version.
    ///
    /// Without a version any will do, the first that has the function.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use isorun_ledger::{Function, Interface, Ledger, RegistryBuilder};
    ///
    /// let types = Arc::new(RegistryBuilder::new().finish());
    /// let mut store = Interface::new(Some("demo:kv/store@0.1.0".into()));
    /// store.functions.push(Function::new(&types, "clear", Vec::new(), None, false)?);
    /// let ledger = Ledger::new(types, Vec::new(), vec![store])?;
    ///
    /// for name in ["demo:kv/store#clear", "demo:kv/store@0.1.0#clear", "demo:kv/store@0.1.7#clear"] {
    ///     assert_eq!(ledger.exported(name).unwrap().1.name, "clear");
    /// }
    /// assert!(ledger.exported("clear").is_none() && ledger.exported("demo:kv/store@0.2.0#clear").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn exported(&self, name: &str) -> Option<(&Interface, &Function)> {
        let Some((wanted, name)) = name.split_once('#') else {
            let root = self.export(None)?;
            return Some((root, root.function(name)?));
        };
        let named =
            |export: &Interface| export.name.as_deref().is_some_and(|known| known.split('@').next() == Some(wanted));
        let unversioned = self.exports.iter().filter(|export| named(export));
        let candidates = self.export(Some(wanted)).into_iter().chain(unversioned);
        candidates.filter_map(|export| Some((export, export.function(name)?))).next()
    }

    /// The same without the imports: what a provider shows of itself.
    ///
    /// The types are shared with the whole, not copied.
    #[must_use]
    pub fn exports_only(&self) -> Self {
        Self { types: Arc::clone(&self.types), imports: Vec::new(), exports: self.exports.clone() }
    }
}

impl PartialEq for Ledger {
    /// Two ledgers are equal if they hold the same under the same names in the same order, wherever in their registries
    /// the types stand.
    fn eq(&self, other: &Self) -> bool {
        let sides = [(&self.imports, &other.imports), (&self.exports, &other.exports)];
        if sides.iter().any(|(a, b)| a.len() != b.len()) {
            return false;
        }
        let mut types = Vec::new();
        for (a, b) in sides.into_iter().flat_map(|(a, b)| a.iter().zip(b)) {
            if !same_items(a, b, &mut types) {
                return false;
            }
        }
        same_types(&self.types, &other.types, types)
    }
}

impl Eq for Ledger {}

/// Whether two interfaces are the same but for their types, which are added to `types` in pairs.
fn same_items(a: &Interface, b: &Interface, types: &mut Vec<(TypeId, TypeId)>) -> bool {
    if (&a.name, &a.resources, a.functions.len(), a.types.len())
        != (&b.name, &b.resources, b.functions.len(), b.types.len())
    {
        return false;
    }
    for (a, b) in a.types.iter().zip(&b.types) {
        if a.name != b.name {
            return false;
        }
        types.push((a.ty, b.ty));
    }
    for (a, b) in a.functions.iter().zip(&b.functions) {
        // Equal hashes mean as many parameters and a result on both sides or on none.
        if a.name != b.name || a.hash != b.hash {
            return false;
        }
        types.extend(a.params.iter().zip(&b.params).map(|(a, b)| (a.ty, b.ty)));
        types.extend(a.result.zip(b.result));
    }
    true
}

/// Whether each pair of types is the same, names of types included.
fn same_types(here: &TypeRegistry, there: &TypeRegistry, mut todo: Vec<(TypeId, TypeId)>) -> bool {
    // Each registry holds a type once, so one that is the same as two different ones can't be.
    let mut twins: HashMap<TypeId, TypeId> = HashMap::new();
    while let Some((a, b)) = todo.pop() {
        match twins.insert(a, b) {
            Some(twin) if twin == b => continue,
            Some(_) => return false,
            None => {}
        }
        if here.hash(a) != there.hash(b) || here.name(a) != there.name(b) {
            return false;
        }
        todo.extend(here.def(a).children().into_iter().zip(there.def(b).children()));
    }
    true
}

fn find<'a>(interfaces: &'a [Interface], name: Option<&str>) -> Option<&'a Interface> {
    let exact = interfaces.iter().find(|interface| interface.name.as_deref() == name);
    exact.or_else(|| {
        let wanted = name?;
        let serving = interfaces.iter().filter_map(|i| Some((i.name.as_deref()?, i)));
        let serving = serving.filter(|(offered, _)| names_match(wanted, offered));
        serving.max_by_key(|(offered, _)| track_version(offered)).map(|(_, interface)| interface)
    })
}

/// Checks one interface; the bytes it takes at most when packed, its name aside.
fn check_interface(types: &TypeRegistry, interface: &Interface) -> Result<usize, LedgerError> {
    let mut bytes = ITEM_BYTES;
    bytes += check_distinct("functions", interface.functions.iter().map(|function| function.name.as_str()))?;
    for function in &interface.functions {
        bytes += ITEM_BYTES;
        for param in &function.params {
            bytes += PART_BYTES + param.name.len();
            check_type(types, param.ty)?;
        }
        function.result.map_or(Ok(()), |ty| check_type(types, ty))?;
    }
    let named = interface.types.iter().map(|named| named.name.as_str());
    bytes += check_distinct("types", named.chain(interface.resources.iter().map(String::as_str)))?;
    bytes += (interface.types.len() + interface.resources.len()) * PART_BYTES;
    for named in &interface.types {
        check_type(types, named.ty)?;
    }
    Ok(bytes)
}

fn check_type(types: &TypeRegistry, ty: TypeId) -> Result<(), LedgerError> {
    if types.contains(ty) { Ok(()) } else { Err(LedgerError::NoSuchType { of: types.len(), to: ty.index() }) }
}
