//! Every component committed under `guests/` is one: it validates, and its types can be read.

use std::fs;
use std::path::{Path, PathBuf};

use wasmparser::{Validator, WasmFeatures};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("guests").join(name)
}

fn components(dir: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(dir)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no .{ending} in guests/{dir}");
    paths
}

/// Validates and decodes the component; the error says which step refused it.
fn check(bytes: &[u8]) -> Result<(), String> {
    let features =
        WasmFeatures::default() | WasmFeatures::CM_MAP | WasmFeatures::CM_FIXED_LENGTH_LISTS | WasmFeatures::CM_ASYNC;
    Validator::new_with_features(features).validate_all(bytes).map_err(|e| format!("not valid: {e}"))?;
    wit_component::decode(bytes).map_err(|e| format!("its types can't be read: {e:#}"))?;
    Ok(())
}

fn check_all(paths: &[PathBuf]) {
    let refused: Vec<String> = paths
        .iter()
        .filter_map(|path| {
            let bytes = match path.extension() {
                Some(e) if e == "wat" => wat::parse_file(path).map_err(|e| e.to_string()),
                _ => fs::read(path).map_err(|e| e.to_string()),
            };
            bytes.and_then(|bytes| check(&bytes)).err().map(|e| format!("{}: {e}", path.display()))
        })
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn every_wat_guest_is_a_component_whose_types_can_be_read() {
    check_all(&components("wat", "wat"));
}

#[test]
fn every_prebuilt_guest_is_a_component_whose_types_can_be_read() {
    check_all(&components("prebuilt", "wasm"));
}
