//! The guest components that the tests run. `guests/README.md` lists them.

pub mod assembly;
pub mod c;
mod cache;
pub mod js;
pub mod py;
pub mod rust;
mod types;

pub use cache::gather;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{Outcome, process};

/// `cargo xtask guests ...`
pub fn main(words: &[&str]) -> Outcome {
    match words {
        ["rust"] => print(rust::folder),
        ["js"] => print(js::folder),
        ["as"] => print(assembly::folder),
        ["py"] => print(py::folder),
        ["c"] => c::build(),
        ["bindings"] => c::bindings(),
        ["wat"] => types::build(),
        ["check"] => check(),
        _ => Err(format!("guests: {words:?} is not a command; see `cargo xtask help`")),
    }
}

fn print(folder: fn() -> Outcome<PathBuf>) -> Outcome {
    println!("{}", folder()?.display());
    Ok(())
}

/// Compares what is committed with its sources.
pub fn check() -> Outcome {
    types::check()?;
    c::check()
}

/// Makes a component of a core module: embeds the world and encodes.
///
/// `wit` are files and folders in the workspace, each after those it needs; the world is in the last of them.
fn component(mut module: Vec<u8>, wit: &[&str], world: &str) -> Outcome<Vec<u8>> {
    let said = |e: &dyn std::fmt::Display| format!("{}, world {world}: {e:#}", wit.join(", "));
    let mut resolve = Resolve::default();
    let mut package = None;
    for path in wit {
        package = Some(resolve.push_path(process::root().join(path)).map_err(|e| said(&e))?.0);
    }
    let world = resolve.select_world(package.as_slice(), Some(world)).map_err(|e| said(&e))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(|e| said(&e))?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).map_err(|e| said(&e))?;
    encoder.encode().map_err(|e| said(&e))
}

/// Installs Debian packages, if we may.
pub fn install(packages: &[&str]) -> Outcome {
    let root = process::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root || !Path::new("/etc/debian_version").is_file() || process::find("apt-get").is_none() {
        return Err("packages are installed only as root on Debian".to_owned());
    }
    let install = || {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "-q", "--no-install-recommends"]).args(packages);
        process::run(apt.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // The lists may be missing or old.
    install().or_else(|_| {
        process::run(Command::new("apt-get").args(["update", "-q"]))?;
        install()
    })
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))
}

/// Says that a component was built, and its size.
fn tell(path: &Path) -> Outcome {
    let bytes = fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?.len();
    println!("{}: {bytes} bytes", path.file_name().unwrap_or_default().display());
    Ok(())
}
