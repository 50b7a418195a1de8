//! The guest components that the tests run. `guests/README.md` lists them.

mod c;
mod types;

use std::fs;
use std::path::Path;

use crate::Outcome;

/// `cargo xtask guests ...`
pub fn main(words: &[&str]) -> Outcome {
    match words {
        ["c"] => c::build(),
        ["wat"] => types::build(),
        ["check"] => types::check().and_then(|()| c::check()),
        _ => Err(format!("guests: {words:?} is not a command; see `cargo xtask help`")),
    }
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))
}
