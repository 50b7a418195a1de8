//! A component around a core module, by the names of the functions that it exports.

use std::collections::BTreeSet;

use isorun_runtime::prescan::COMPONENT_BYTES_MAX;
use wasmparser::{ExternalKind, Parser, Payload, Validator, WasmFeatures};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The worlds that a core module can be of.
const WIT: &str = include_str!("../../../wit/processing-node.wit");

/// What of a core module decides on its world.
#[derive(Debug, Default)]
struct Outside {
    exports: BTreeSet<String>,
    has_memory: bool,
    /// Modules of which it imports something.
    imports: BTreeSet<String>,
    /// Whether it says itself which world it is of, as bindings generators have it do.
    names_its_world: bool,
}

/// Wraps a core module as a component.
///
/// # Errors
/// What is in the way, in words.
pub(crate) fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    if module.len() > COMPONENT_BYTES_MAX {
        return Err(format!("it has {} bytes, at most {COMPONENT_BYTES_MAX}", module.len()));
    }
    let outside = outside(module)?;
    if let Some(wasi) = outside.imports.iter().find(|import| PREVIEW_1.contains(&import.as_str())) {
        return Err(format!(
            "it imports `{wasi}`, WASI as core modules have it: build it for wasm32-wasip2, or make it one with \
             `wasm-tools component new --adapt`"
        ));
    }
    let mut module = module.to_vec();
    if !outside.names_its_world {
        let world = world(&outside.exports)?;
        if !outside.has_memory {
            return Err("it exports no `memory`, which lists and the words of errors go through".into());
        }
        embed(&mut module, world).map_err(|error| format!("{error:#}"))?;
    }
    let encoder = ComponentEncoder::default().module(&module);
    let component = encoder.and_then(|encoder| encoder.validate(true).encode());
    component.map_err(|error| format!("{error:#}"))
}

/// What core modules import of WASI, under its names of today and before.
const PREVIEW_1: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

fn embed(module: &mut Vec<u8>, world: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("processing-node.wit", WIT)?;
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)?;
    Ok(())
}

/// The world whose functions are all there.
fn world(exports: &BTreeSet<String>) -> Result<&'static str, String> {
    let has = |names: &[&str]| names.iter().all(|name| exports.contains(*name));
    let worlds: [(&str, &[&str]); 4] = [
        ("typed-interface", &["isorun:processing/node@0.1.0#process"]),
        ("helpers", &["process", "write-input", "read-output"]),
        ("pointers", &["process", "allocate", "deallocate"]),
        ("typed", &["process"]),
    ];
    let found = worlds.into_iter().find(|(_, names)| has(names)).map(|(world, _)| world);
    found.ok_or_else(|| {
        let listed: Vec<&str> = exports.iter().take(LISTED_MAX).map(String::as_str).collect();
        let listed = if listed.is_empty() { "nothing".into() } else { listed.join(", ") };
        format!("it exports no `process`, alone or with `write-input` and `read-output` or `allocate` and `deallocate`; it exports {listed}")
    })
}

/// Most exports that an error lists.
const LISTED_MAX: usize = 24;

fn outside(module: &[u8]) -> Result<Outside, String> {
    let damaged = |error: wasmparser::BinaryReaderError| {
        format!("it is damaged: {} (at byte {:#x})", error.message(), error.offset())
    };
    Validator::new_with_features(WasmFeatures::default()).validate_all(module).map_err(damaged)?;
    let mut outside = Outside::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(damaged)? {
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(damaged)?;
                    match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => {
                            outside.exports.insert(export.name.to_owned());
                        }
                        ExternalKind::Memory if export.name == "memory" => outside.has_memory = true,
                        _ => {}
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    outside.imports.insert(import.map_err(damaged)?.module.to_owned());
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
