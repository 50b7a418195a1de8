//! From exported functions to the memory that they work on.

use wasmparser::{ComponentExternalKind, ExternalKind, MemoryType};

use super::outline::{CoreInstance, Func, Inst, Outline, Space};

/// A memory: the core instance that has it, and the name under which it exports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) instance: u32,
    pub(super) name: String,
}

/// Where a function ended that was followed.
struct Lifted {
    core: u32,
    memory: Option<u32>,
}

/// Where a function is while it is followed.
enum At<'s> {
    Func(u32),
    In { instance: u32, name: &'s str },
}

/// Why a function or a memory could not be followed, in words.
type Lost = String;

impl Outline {
    /// The one memory that these functions of an interface, or of the root, work on.
    ///
    /// # Errors
    /// What is in the way.
    pub(super) fn memory_of(&self, interface: Option<&str>, functions: &[&str]) -> Result<Place, Lost> {
        let lifted: Result<Vec<Lifted>, Lost> =
            functions.iter().map(|function| self.lifted(interface, function)).collect();
        let lifted = lifted?;
        let mut places: Vec<Place> = Vec::new();
        // Where values of its own lie in memory, a function says in which. Only without does one have to look around.
        for memory in lifted.iter().filter_map(|lifted| lifted.memory) {
            let aliased = self.space.core_memories.get(memory as usize).cloned();
            let place = aliased.and_then(|(instance, name)| self.origin(instance, name, ExternalKind::Memory));
            add(&mut places, place.ok_or("its memory's instance can't be followed")?);
        }
        if places.is_empty() {
            for lifted in &lifted {
                for place in self.around(lifted.core)? {
                    add(&mut places, place);
                }
            }
        }
        match places.as_slice() {
            [] => Err("the core module does not export its memory".into()),
            [place] => self.usable(place).map(|()| place.clone()),
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|Place { instance, name }| format!("`{name}` of core instance {instance}"))
                    .collect();
                Err(format!("its functions may work on several memories: {}", names.join(", ")))
            }
        }
    }

    /// Follows an export to the core function behind it.
    fn lifted(&self, interface: Option<&str>, function: &str) -> Result<Lifted, Lost> {
        let kind = if interface.is_some() { ComponentExternalKind::Instance } else { ComponentExternalKind::Func };
        let export = interface.unwrap_or(function);
        let export = find(&self.space.exports, export, kind).ok_or_else(|| format!("no export `{export}`"))?;
        let mut at = match interface {
            None => At::Func(export),
            Some(_) => At::In { instance: export, name: function },
        };
        for _ in 0..HOPS_MAX {
            at = match at {
                At::Func(func) => match self.space.funcs.get(func as usize) {
                    Some(Func::Lift { core, memory }) => return Ok(Lifted { core: *core, memory: *memory }),
                    Some(Func::Same(other)) => At::Func(*other),
                    Some(Func::Of { instance, name }) => At::In { instance: *instance, name },
                    Some(Func::Import(import)) => {
                        return Err(format!("`{function}` is no function of its own, but its import `{import}`"));
                    }
                    None => break,
                },
                At::In { instance, name } => match self.space.instances.get(instance as usize) {
                    Some(Inst::Same(instance)) => At::In { instance: *instance, name },
                    Some(Inst::Bag(items)) => {
                        let func = find(items, name, ComponentExternalKind::Func);
                        At::Func(func.ok_or_else(|| inside(function))?)
                    }
                    Some(Inst::New { component, args }) => {
                        // A component that only gives on what it was given is how an exported interface is mostly made.
                        let inner = self.space.components.get(*component as usize).and_then(Option::as_ref);
                        let given = inner.and_then(|inner| inner.given_on(name));
                        let func = given.and_then(|import| find(args, import, ComponentExternalKind::Func));
                        At::Func(func.ok_or_else(|| inside(function))?)
                    }
                    Some(Inst::Other) => return Err(inside(function)),
                    None => break,
                },
            };
        }
        Err(format!("`{function}` can't be followed"))
    }

    /// The core instance that has an item, past all bags that only name it.
    fn origin(&self, mut instance: u32, mut name: String, kind: ExternalKind) -> Option<Place> {
        for _ in 0..HOPS_MAX {
            match self.space.core_instances.get(instance as usize)? {
                CoreInstance::New(_) => return Some(Place { instance, name }),
                CoreInstance::Bag(items) => {
                    let (.., at) = items.iter().find(|(item, ..)| *item == name)?;
                    (instance, name) = match kind {
                        ExternalKind::Memory => self.space.core_memories.get(*at as usize)?.clone(),
                        _ => self.space.core_funcs.get(*at as usize)?.clone()?,
                    };
                }
            }
        }
        None
    }

    /// The memories that a core function's instance exports, or else those that it was given.
    fn around(&self, core_func: u32) -> Result<Vec<Place>, Lost> {
        let aliased = self.space.core_funcs.get(core_func as usize).cloned().flatten();
        let origin = aliased.and_then(|(instance, name)| self.origin(instance, name, ExternalKind::Func));
        let Place { instance, .. } = origin.ok_or("its core function can't be followed to an instance")?;
        let own = self.exported_by(instance)?;
        let Some(CoreInstance::New(args)) = self.space.core_instances.get(instance as usize) else { return Ok(own) };
        if !own.is_empty() {
            return Ok(own);
        }
        let mut given = Vec::new();
        for place in args.iter().map(|arg| self.exported_by(*arg)) {
            for place in place? {
                add(&mut given, place);
            }
        }
        Ok(given)
    }

    fn exported_by(&self, instance: u32) -> Result<Vec<Place>, Lost> {
        let memories = self.memories.get(instance as usize).map(Vec::as_slice).unwrap_or_default();
        let origin = |(name, _): &(String, MemoryType)| self.origin(instance, name.clone(), ExternalKind::Memory);
        memories
            .iter()
            .map(origin)
            .collect::<Option<_>>()
            .ok_or_else(|| "its memory's instance can't be followed".into())
    }

    /// Whether functions with 32-bit addresses can be given that memory.
    fn usable(&self, place: &Place) -> Result<(), Lost> {
        let memories = self.memories.get(place.instance as usize).map(Vec::as_slice).unwrap_or_default();
        let Some((_, ty)) = memories.iter().find(|(name, _)| *name == place.name) else {
            return Err("its memory's instance can't be followed".into());
        };
        match ty {
            MemoryType { memory64: true, .. } => Err("its memory has 64-bit addresses".into()),
            MemoryType { shared: true, .. } => Err("its memory is shared".into()),
            MemoryType { page_size_log2: Some(_), .. } => Err("its memory has pages of its own size".into()),
            MemoryType { .. } => Ok(()),
        }
    }
}

impl Space {
    /// The import that is exported again as function `name`.
    fn given_on(&self, name: &str) -> Option<&str> {
        let mut at = find(&self.exports, name, ComponentExternalKind::Func)?;
        for _ in 0..HOPS_MAX {
            match self.funcs.get(at as usize)? {
                Func::Import(import) => return Some(import),
                Func::Same(other) => at = *other,
                Func::Lift { .. } | Func::Of { .. } => return None,
            }
        }
        None
    }
}

fn find(items: &[(String, ComponentExternalKind, u32)], name: &str, kind: ComponentExternalKind) -> Option<u32> {
    items.iter().find(|(item, of, _)| item == name && *of == kind).map(|(.., at)| *at)
}

fn add(places: &mut Vec<Place>, place: Place) {
    if !places.contains(&place) {
        places.push(place);
    }
}

fn inside(name: &str) -> Lost {
    format!("`{name}` comes from a component inside it (it is nested or composed), whose memory stays there")
}

/// Most names of one item that are followed, one to the next. Two or three are what compilers make.
const HOPS_MAX: usize = 64;
