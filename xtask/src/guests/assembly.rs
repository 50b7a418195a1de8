//! The AssemblyScript guests: core modules of 1 KB that are made components here, built when a test run wants them.

use std::path::Path;
use std::process::Command;

use super::{cache, js};
use crate::{Outcome, process};

struct Guest {
    component: &'static str,
    /// Under `guests/as`.
    source: &'static str,
    wit: &'static str,
    world: &'static str,
}

const GUESTS: &[Guest] =
    &[Guest { component: "as-rle.wasm", source: "rle.ts", wit: "guests/wit/rle.wit", world: "rle" }];

/// The folder with the built components, one for each state of the sources and of the compiler's version.
///
/// # Errors
/// If node or npm is missing: the message says what to do.
pub fn folder() -> Outcome<std::path::PathBuf> {
    js::needs_node("AssemblyScript")?;
    cache::folder("as", &cache::fingerprint(&[], &[SOURCES, "guests/wit/rle.wit"])?, build)
}

fn build(folder: &Path) -> Outcome {
    println!("building the AssemblyScript guests; the first time their compiler is fetched");
    let tools = js::packages("tools-as", SOURCES, &["package.json", ".npmrc"])?;
    for guest in GUESTS {
        let module = folder.join("module");
        let mut asc = Command::new("node");
        // From their own folder by their own names, so that no path of this machine can reach the output.
        asc.current_dir(process::root().join(SOURCES)).arg(tools.join("node_modules/assemblyscript/bin/asc.js"));
        process::read(asc.arg(guest.source).args(FLAGS).arg("-o").arg(&module))?;
        let component = super::component(super::read(&module)?, &[guest.wit], guest.world)?;
        std::fs::remove_file(&module).map_err(|e| format!("{}: {e}", module.display()))?;
        super::write(&folder.join(guest.component), &component)?;
        super::tell(&folder.join(guest.component))?;
    }
    Ok(())
}

const SOURCES: &str = "guests/as";

/// Without a collector and without the import that a failed assertion calls: it traps.
const FLAGS: &[&str] = &["--runtime", "stub", "--use", "abort=", "-O3", "--enable", "bulk-memory"];
