//! The sections that are appended.

use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, Component, ComponentAliasSection, ComponentExportKind,
    ComponentExportSection, ComponentSectionId, ComponentTypeSection, ComponentValType, ExportKind, InstanceSection,
    ModuleArg, PrimitiveValType, RawSection,
};

use super::accessor::{
    AT, CORE, CORE_AT, CORE_PUT, CORE_PUT_REALLOC, CORE_READ, CORE_READ_POST, CORE_SIZE, MEMORY, PUT, READ, SIZE,
    module,
};
use super::follow::Place;
use super::outline::{Counts, Outline};

/// The component with accessors to the memory that these functions work on, which are its own, in that interface or at
/// the root.
///
/// Its own bytes are the first of the result, unchanged.
///
/// # Errors
/// Why its memory is out of reach, in words.
pub(crate) fn append(component: &[u8], interface: Option<&str>, functions: &[&str]) -> Result<Vec<u8>, String> {
    let outline = Outline::read(component)?;
    let taken = outline.space.exports.iter().find(|(name, ..)| [AT, PUT, READ, SIZE].contains(&&**name));
    if let Some((name, ..)) = taken {
        return Err(format!("it has an export `{name}` already"));
    }
    let memory = outline.memory_of(interface, functions)?;
    let sections = sections(&outline.counts, &memory);
    let mut whole = Vec::with_capacity(component.len() + sections.len());
    whole.extend_from_slice(component);
    // Without the header, which the component has.
    whole.extend_from_slice(sections.get(COMPONENT_HEADER_BYTES..).unwrap_or_default());
    Ok(whole)
}

fn sections(counts: &Counts, memory: &Place) -> Vec<u8> {
    let mut out = Component::new();
    let module = module();
    out.section(&RawSection { id: ComponentSectionId::CoreModule as u8, data: &module });

    // The memory, under a name of this component's.
    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::CoreInstanceExport {
        instance: memory.instance,
        kind: ExportKind::Memory,
        name: &memory.name,
    });
    out.section(&aliases);

    // What the module imports, and the module.
    let (bag, accessor) = (counts.core_instances, counts.core_instances + 1);
    let mut instances = InstanceSection::new();
    instances.export_items([(MEMORY.1, ExportKind::Memory, counts.core_memories)]);
    instances.instantiate(counts.modules, [(MEMORY.0, ModuleArg::Instance(bag))]);
    out.section(&instances);

    let mut aliases = ComponentAliasSection::new();
    for name in CORE {
        aliases.alias(Alias::CoreInstanceExport { instance: accessor, kind: ExportKind::Func, name });
    }
    out.section(&aliases);
    let core = |at: usize| counts.core_funcs + at as u32;

    let (u32_, bytes) = (ComponentValType::Primitive(PrimitiveValType::U32), ComponentValType::Type(counts.types));
    let mut types = ComponentTypeSection::new();
    types.defined_type().list(ComponentValType::Primitive(PrimitiveValType::U8));
    types.function().params([("address", u32_)]).result(None);
    types.function().params([("data", bytes)]).result(None);
    types.function().params([("address", u32_), ("length", u32_)]).result(Some(bytes));
    types.function().params(NO_PARAMS).result(Some(u32_));
    out.section(&types);
    let ty = |at: u32| counts.types + 1 + at;

    let memory = CanonicalOption::Memory(counts.core_memories);
    let mut canon = CanonicalFunctionSection::new();
    canon.lift(core(CORE_AT), ty(0), []);
    canon.lift(core(CORE_PUT), ty(1), [memory, CanonicalOption::Realloc(core(CORE_PUT_REALLOC))]);
    canon.lift(core(CORE_READ), ty(2), [memory, CanonicalOption::PostReturn(core(CORE_READ_POST))]);
    canon.lift(core(CORE_SIZE), ty(3), []);
    out.section(&canon);

    // Each export takes an index too, but behind all that were lifted, since exports of one section see what is before it.
    let mut exports = ComponentExportSection::new();
    for (at, name) in [AT, PUT, READ, SIZE].into_iter().enumerate() {
        exports.export(name, ComponentExportKind::Func, counts.funcs + at as u32, None);
    }
    out.section(&exports);
    out.finish()
}

const NO_PARAMS: [(&str, ComponentValType); 0] = [];

/// Magic number, version and layer.
const COMPONENT_HEADER_BYTES: usize = 8;
