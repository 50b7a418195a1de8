//! A component around a core module, by the names of the functions that it exports.

use std::collections::BTreeMap;
use std::fmt;

use isorun_runtime::prescan::COMPONENT_BYTES_MAX;
use wasmparser::{ExternalKind, FuncType, MemoryType, Parser, Payload, TypeRef, ValType, Validator, WasmFeatures};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The worlds that a core module can be of.
const WIT: &str = include_str!("../../../wit/processing-node.wit");

/// What of a core module decides on its world.
#[derive(Debug, Default)]
struct Outside {
    /// The functions it exports, with their types.
    exports: BTreeMap<String, Option<FuncType>>,
    memory: Option<MemoryType>,
    /// What it imports: from which module, under which name, and what it is.
    imports: Vec<(String, String, &'static str)>,
    /// Whether it says itself which world it is of, as bindings generators have it do.
    names_its_world: bool,
}

/// Wraps a core module as a component.
///
/// # Errors
/// What is in the way, in words; what the toolchain has to say of it is at the end, in a line of its own.
pub(crate) fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    if module.len() > COMPONENT_BYTES_MAX {
        return Err(format!("it has {} bytes, at most {COMPONENT_BYTES_MAX}", module.len()));
    }
    let outside = outside(module)?;
    if let Some((wasi, _, _)) = outside.imports.iter().find(|(from, _, _)| PREVIEW_1.contains(&from.as_str())) {
        return Err(format!(
            "it imports `{wasi}`, WASI as core modules have it: build it for wasm32-wasip2, or make it one with \
             `wasm-tools component new --adapt`"
        ));
    }
    let mut module = module.to_vec();
    if !outside.names_its_world {
        let world = world(&outside.exports)?;
        fits(world, &outside)?;
        embed(&mut module, world.name).map_err(|error| told(UNFIT, &*error))?;
    }
    let encoder = ComponentEncoder::default().module(&module);
    let component = encoder.and_then(|encoder| encoder.validate(true).encode());
    let what = if outside.names_its_world { OTHER_WORLD } else { UNFIT };
    component.map_err(|error| told(what, error.as_ref()))
}

const UNFIT: &str = "it can't be wrapped as it is";
const OTHER_WORLD: &str = "it names the world that it is of itself, in a section `component-type`, and what it imports \
    and exports is not that world's";

/// What is wrong, and the innermost of what the toolchain says, which is what it is about.
fn told(what: &str, error: &(dyn std::error::Error + 'static)) -> String {
    let cause = std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string);
    let cause = cause.unwrap_or_default();
    let mut said: String = cause.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = said.char_indices().nth(SAID_CHARS_MAX) {
        said.truncate(end);
        said.push('…');
    }
    format!("{what}\nthe toolchain says: {said}")
}

/// Most that is passed on of what the toolchain says, in characters.
const SAID_CHARS_MAX: usize = 300;

/// What core modules import of WASI, under its names of today and before.
const PREVIEW_1: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

fn embed(module: &mut Vec<u8>, world: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("processing-node.wit", WIT)?;
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)?;
    Ok(())
}

/// A world, and the core functions that stand for its exports.
#[derive(Debug, PartialEq, Eq)]
struct World {
    name: &'static str,
    functions: &'static [Core],
    /// Whether something in it is allocated by the canonical ABI.
    allocates: bool,
}

/// A function of a core module.
#[derive(Debug, PartialEq, Eq)]
struct Core {
    name: &'static str,
    params: &'static [ValType],
    results: &'static [ValType],
}

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

const fn core(name: &'static str, params: &'static [ValType], results: &'static [ValType]) -> Core {
    Core { name, params, results }
}

const PROCESS_AT: Core = core("process", &[I32, I64, I32], &[I32]);
const REALLOC: Core = core("cabi_realloc", &[I32, I32, I32, I32], &[I32]);

/// What `wit/processing-node.wit` is to a core module, by the canonical ABI.
const WORLDS: [World; 4] = [
    World {
        name: "typed-interface",
        functions: &[core("isorun:processing/node@0.1.0#process", &[I32, I32], &[I32])],
        allocates: true,
    },
    World {
        name: "helpers",
        functions: &[PROCESS_AT, core("write-input", &[I32, I32, I32], &[]), core("read-output", &[I32, I64], &[I32])],
        allocates: true,
    },
    World {
        name: "pointers",
        functions: &[PROCESS_AT, core("allocate", &[I64], &[I32]), core("deallocate", &[I32, I64], &[I32])],
        allocates: false,
    },
    World { name: "typed", functions: &[core("process", &[I32, I32], &[I32])], allocates: true },
];

/// The world whose functions are all there.
fn world(exports: &BTreeMap<String, Option<FuncType>>) -> Result<&'static World, String> {
    let found = WORLDS.iter().find(|world| world.functions.iter().all(|core| exports.contains_key(core.name)));
    found.ok_or_else(|| {
        let mut listed: Vec<&str> = exports.keys().take(LISTED_MAX).map(String::as_str).collect();
        if exports.len() > LISTED_MAX {
            listed.push("..");
        }
        let listed = if listed.is_empty() { "no function".into() } else { listed.join(", ") };
        format!(
            "it exports no `process`, alone or with `write-input` and `read-output` or `allocate` and `deallocate`; it \
             exports {listed}"
        )
    })
}

/// Most exports, and imports, that an error lists.
const LISTED_MAX: usize = 24;

/// Holds all that a world wants of a core module against what there is.
fn fits(world: &World, outside: &Outside) -> Result<(), String> {
    if !outside.imports.is_empty() {
        let mut listed: Vec<String> = outside.imports.iter().take(LISTED_MAX).map(import).collect();
        if outside.imports.len() > LISTED_MAX {
            listed.push("..".into());
        }
        return Err(format!(
            "it imports {}, and what is wrapped can import nothing: link that into it, or build a component",
            listed.join(", ")
        ));
    }
    match outside.memory {
        None => return Err("it exports no `memory`, which lists and the words of errors go through".into()),
        Some(MemoryType { memory64: true, .. }) => {
            return Err("its memory has 64-bit addresses, wanted 32-bit ones: build it for wasm32".into());
        }
        Some(MemoryType { shared: true, .. }) => {
            return Err("its memory is shared, wanted one of its own: build it without threads".into());
        }
        Some(MemoryType { page_size_log2: Some(_), .. }) => {
            return Err("its memory has pages of its own size, wanted 64 KiB".into());
        }
        Some(_) => {}
    }
    world.functions.iter().try_for_each(|core| core.is_in(&outside.exports))?;
    if !world.allocates {
        return Ok(());
    }
    if !outside.exports.contains_key(REALLOC.name) {
        return Err(format!("it exports no `{}: {REALLOC}`, which the input is allocated with", REALLOC.name));
    }
    REALLOC.is_in(&outside.exports)
}

fn import((from, name, what): &(String, String, &'static str)) -> String {
    format!("`{}` of `{}` ({what})", name.escape_debug(), from.escape_debug())
}

impl Core {
    /// Whether a function of that name has that type.
    fn is_in(&self, exports: &BTreeMap<String, Option<FuncType>>) -> Result<(), String> {
        let Some(Some(found)) = exports.get(self.name) else { return Ok(()) };
        if found.params() == self.params && found.results() == self.results {
            return Ok(());
        }
        let found = signature(found.params(), found.results());
        let mut why = format!("its `{}` is {found}, wanted {self}", self.name);
        if *self == WORLDS[3].functions[0] && found == PROCESS_AT.to_string() {
            why += "; with offsets or pointers it stands beside `write-input` and `read-output`, or `allocate` and \
                    `deallocate`";
        }
        Err(why)
    }
}

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&signature(self.params, self.results))
    }
}

/// A core function's type: `(i32, i32) -> i32`.
fn signature(params: &[ValType], results: &[ValType]) -> String {
    let listed = |types: &[ValType]| {
        let mut listed: Vec<String> = types.iter().take(LISTED_MAX).map(ToString::to_string).collect();
        if types.len() > LISTED_MAX {
            listed.push("..".into());
        }
        listed.join(", ")
    };
    match results {
        [] => format!("({}) -> nothing", listed(params)),
        [one] => format!("({}) -> {one}", listed(params)),
        several => format!("({}) -> ({})", listed(params), listed(several)),
    }
}

fn outside(module: &[u8]) -> Result<Outside, String> {
    let damaged = |error: wasmparser::BinaryReaderError| {
        format!("it is damaged: {} (at byte {:#x})", error.message(), error.offset())
    };
    let types = Validator::new_with_features(WasmFeatures::default()).validate_all(module).map_err(damaged)?;
    let types = types.as_ref();
    let function = |index| types.get(types.core_function_at(index)).map(|ty| ty.unwrap_func().clone());
    let mut outside = Outside::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(damaged)? {
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(damaged)?;
                    match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => {
                            outside.exports.insert(export.name.to_owned(), function(export.index));
                        }
                        ExternalKind::Memory if export.name == "memory" => {
                            outside.memory = Some(types.memory_at(export.index));
                        }
                        _ => {}
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(damaged)?;
                    let what = match import.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => "a function",
                        TypeRef::Memory(_) => "a memory",
                        TypeRef::Table(_) => "a table",
                        TypeRef::Global(_) => "a global",
                        TypeRef::Tag(_) => "a tag",
                    };
                    outside.imports.push((import.module.to_owned(), import.name.to_owned(), what));
                }
            }
            Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                outside.names_its_world = true;
            }
            _ => {}
        }
    }
    Ok(outside)
}
