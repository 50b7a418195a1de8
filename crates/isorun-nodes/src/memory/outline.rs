//! What stands where in a component: as much of its index spaces as leads from an export to a memory.

use wasmparser::types::EntityType;
use wasmparser::{
    BinaryReaderError, CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentTypeRef, Encoding, ExternalKind, Instance, MemoryType, Parser, Payload, Validator, WasmFeatures,
};

/// A core instance.
#[derive(Debug)]
pub(super) enum CoreInstance {
    /// Of a module, with the instances that it was given.
    New(Vec<u32>),
    /// A name for each of some items.
    Bag(Vec<(String, ExternalKind, u32)>),
}

/// A component function.
#[derive(Debug, Clone)]
pub(super) enum Func {
    /// A core function that was lifted, and the memory that its values lie in, if it needs one.
    Lift { core: u32, memory: Option<u32> },
    /// Another name for a function.
    Same(u32),
    /// One that was imported.
    Import(String),
    /// One of an instance.
    Of { instance: u32, name: String },
}

/// A component instance.
#[derive(Debug, Clone)]
pub(super) enum Inst {
    /// Of a component, with what it was given.
    New { component: u32, args: Vec<(String, ComponentExternalKind, u32)> },
    /// A name for each of some items.
    Bag(Vec<(String, ComponentExternalKind, u32)>),
    /// Another name for an instance.
    Same(u32),
    /// One that was imported, or is another instance's.
    Other,
}

/// One component.
#[derive(Debug, Default)]
pub(super) struct Space {
    pub(super) core_instances: Vec<CoreInstance>,
    /// The instance and the name of each core function that is one's export; nothing for built-in ones.
    pub(super) core_funcs: Vec<Option<(u32, String)>>,
    pub(super) core_memories: Vec<(u32, String)>,
    pub(super) funcs: Vec<Func>,
    pub(super) instances: Vec<Inst>,
    /// Components inside this one, as far as they are looked at.
    pub(super) components: Vec<Option<Space>>,
    pub(super) exports: Vec<(String, ComponentExternalKind, u32)>,
}

/// A component, the components right inside it, and how many there are of what is appended to.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) space: Space,
    /// The memories that each core instance exports.
    pub(super) memories: Vec<Vec<(String, MemoryType)>>,
    pub(super) counts: Counts,
}

/// How many items each index space has at the component's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) modules: u32,
    pub(super) core_instances: u32,
    pub(super) core_funcs: u32,
    pub(super) core_memories: u32,
    pub(super) types: u32,
    pub(super) funcs: u32,
}

/// Where the reader stands.
enum Frame {
    Module,
    Component(Space),
}

impl Outline {
    /// Reads a component that was found valid before.
    ///
    /// # Errors
    /// What can't be followed, in words.
    pub(super) fn read(component: &[u8]) -> Result<Self, String> {
        let unreadable = |error: BinaryReaderError| format!("it can't be read: {}", error.message());
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let mut frames: Vec<Frame> = Vec::new();
        let mut ends = None;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(unreadable)?;
            match &payload {
                Payload::Version { encoding: Encoding::Component, .. } => {
                    frames.push(Frame::Component(Space::default()));
                }
                Payload::Version { encoding: Encoding::Module, .. } => frames.push(Frame::Module),
                Payload::End(_) if frames.len() == 1 => {
                    // The index spaces are whole now, and gone after this payload.
                    ends = validator.types(0).map(|types| (counts(&types), memories(&types)));
                }
                Payload::End(_) => {
                    let depth = frames.len();
                    let inner = frames.pop();
                    if let (Some(Frame::Component(inner)), Some(Frame::Component(outer))) = (inner, frames.last_mut()) {
                        outer.components.push((depth == 2).then_some(inner));
                    }
                }
                // Two deep is as far as anything is followed.
                payload if frames.len() <= 2 => {
                    if let Some(Frame::Component(space)) = frames.last_mut() {
                        space.add(payload).map_err(unreadable)?;
                    }
                }
                _ => {}
            }
            validator.payload(&payload).map_err(unreadable)?;
            if ends.is_some() {
                break;
            }
        }
        let (Some(Frame::Component(space)), Some((counts, memories))) = (frames.pop(), ends) else {
            return Err("it has no end".into());
        };
        let read = [
            space.core_instances.len(),
            space.core_funcs.len(),
            space.core_memories.len(),
            space.funcs.len(),
            memories.len(),
        ];
        let there =
            [counts.core_instances, counts.core_funcs, counts.core_memories, counts.funcs, counts.core_instances];
        if read.into_iter().zip(there).any(|(read, there)| read != there as usize) {
            return Err("it has items of a kind that is not known here".into());
        }
        Ok(Self { space, memories, counts })
    }
}

fn counts(types: &wasmparser::types::TypesRef<'_>) -> Counts {
    Counts {
        modules: types.module_count(),
        core_instances: types.core_instance_count(),
        core_funcs: types.function_count(),
        core_memories: types.memory_count(),
        types: types.component_type_count(),
        funcs: types.component_function_count(),
    }
}

fn memories(types: &wasmparser::types::TypesRef<'_>) -> Vec<Vec<(String, MemoryType)>> {
    let of = |instance| {
        let exports = types[types.core_instance_at(instance)].exports(*types);
        let memories = exports.iter().filter_map(|(name, ty)| match ty {
            EntityType::Memory(memory) => Some((name.clone(), *memory)),
            _ => None,
        });
        memories.collect()
    };
    (0..types.core_instance_count()).map(of).collect()
}

type Reading = Result<(), BinaryReaderError>;

impl Space {
    /// Takes in one section.
    fn add(&mut self, payload: &Payload<'_>) -> Reading {
        match payload {
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    self.core_instances.push(match instance? {
                        Instance::Instantiate { args, .. } => {
                            CoreInstance::New(args.iter().map(|arg| arg.index).collect())
                        }
                        Instance::FromExports(items) => CoreInstance::Bag(
                            items.iter().map(|item| (item.name.to_owned(), item.kind, item.index)).collect(),
                        ),
                    });
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    self.alias(&alias?);
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for canon in section.clone() {
                    match canon? {
                        CanonicalFunction::Lift { core_func_index: core, options, .. } => {
                            let memory = options.iter().find_map(|option| match option {
                                CanonicalOption::Memory(memory) => Some(*memory),
                                _ => None,
                            });
                            self.funcs.push(Func::Lift { core, memory });
                        }
                        // Whatever is not lifted makes a core function.
                        _ => self.core_funcs.push(None),
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    let import = import?;
                    match import.ty {
                        ComponentTypeRef::Func(_) => self.funcs.push(Func::Import(import.name.name.to_owned())),
                        ComponentTypeRef::Instance(_) => self.instances.push(Inst::Other),
                        ComponentTypeRef::Component(_) => self.components.push(None),
                        ComponentTypeRef::Module(_) | ComponentTypeRef::Value(_) | ComponentTypeRef::Type(_) => {}
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    self.instances.push(match instance? {
                        ComponentInstance::Instantiate { component_index: component, args } => Inst::New {
                            component,
                            args: args.iter().map(|arg| (arg.name.to_owned(), arg.kind, arg.index)).collect(),
                        },
                        ComponentInstance::FromExports(items) => Inst::Bag(
                            items.iter().map(|item| (item.name.name.to_owned(), item.kind, item.index)).collect(),
                        ),
                    });
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    let export = export?;
                    // What is exported has another index from here on.
                    match export.kind {
                        ComponentExternalKind::Func => self.funcs.push(Func::Same(export.index)),
                        ComponentExternalKind::Instance => self.instances.push(Inst::Same(export.index)),
                        ComponentExternalKind::Component => self.components.push(None),
                        ComponentExternalKind::Module | ComponentExternalKind::Value | ComponentExternalKind::Type => {}
                    }
                    self.exports.push((export.name.name.to_owned(), export.kind, export.index));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match *alias {
            ComponentAlias::CoreInstanceExport { kind, instance_index, name } => match kind {
                ExternalKind::Func | ExternalKind::FuncExact => {
                    self.core_funcs.push(Some((instance_index, name.to_owned())));
                }
                ExternalKind::Memory => self.core_memories.push((instance_index, name.to_owned())),
                ExternalKind::Table | ExternalKind::Global | ExternalKind::Tag => {}
            },
            ComponentAlias::InstanceExport { kind, instance_index: instance, name } => match kind {
                ComponentExternalKind::Func => self.funcs.push(Func::Of { instance, name: name.to_owned() }),
                ComponentExternalKind::Instance => self.instances.push(Inst::Other),
                ComponentExternalKind::Component => self.components.push(None),
                ComponentExternalKind::Module | ComponentExternalKind::Value | ComponentExternalKind::Type => {}
            },
            ComponentAlias::Outer { kind, .. } => {
                if kind == wasmparser::ComponentOuterAliasKind::Component {
                    self.components.push(None);
                }
            }
        }
    }
}
