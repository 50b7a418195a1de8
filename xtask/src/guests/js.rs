//! The JavaScript guests: the source with an interpreter around it, 12 MB each, built when a test run wants them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache;
use crate::{Outcome, process};

struct Guest {
    component: &'static str,
    /// Under `guests/js`.
    source: &'static str,
    wit: &'static str,
    world: &'static str,
}

const GUESTS: &[Guest] = &[
    Guest { component: "js-kv-app.wasm", source: "kv/app.js", wit: "wit/kv.wit", world: "app" },
    Guest { component: "js-kv-provider.wasm", source: "kv/provider.js", wit: "wit/kv.wit", world: "provider" },
    Guest { component: "js-rle.wasm", source: "rle/rle.js", wit: "guests/wit/rle.wit", world: "rle" },
    Guest { component: "js-tally.wasm", source: "tally/tally.js", wit: "wit/actor.wit", world: "component" },
];

/// The folder with the built components, one for each state of the sources and of the tools' versions.
///
/// # Errors
/// If node or npm is missing: the message says what to do.
pub fn folder() -> Outcome<PathBuf> {
    needs_node("JavaScript")?;
    cache::folder(
        "js",
        &cache::fingerprint(&[], &[SOURCES, "wit/kv.wit", "wit/actor.wit", "guests/wit/rle.wit"])?,
        build,
    )
}

fn build(folder: &Path) -> Outcome {
    println!("building the JavaScript guests; it takes a minute, and the first time its tools are fetched");
    let tools = packages("tools-js", SOURCES, &["package.json", ".npmrc", "build.mjs"])?;
    for guest in GUESTS {
        let mut node = Command::new("node");
        node.current_dir(&tools).arg("build.mjs").arg(process::root().join(SOURCES).join(guest.source));
        node.arg(process::root().join(guest.wit)).arg(guest.world).arg(folder.join(guest.component));
        process::read(&mut node)?;
        super::tell(&folder.join(guest.component))?;
    }
    Ok(())
}

/// Says what to do where node or npm is missing.
pub fn needs_node(language: &str) -> Outcome {
    let missing: Vec<_> = ["node", "npm"].into_iter().filter(|program| process::find(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the {language} guests need node 20 or later with npm, and there is no {}.\n\
         To go without them: `cargo xtask test --without js-guests`",
        missing.join(" and no ")
    ))
}

/// The folder with the packages that the `package.json` in `sources` names, beside these files from there.
pub fn packages(kind: &str, sources: &str, files: &[&str]) -> Outcome<PathBuf> {
    let paths: Vec<_> = files.iter().map(|name| format!("{sources}/{name}")).collect();
    let words: Vec<_> = paths.iter().map(String::as_str).collect();
    cache::folder(kind, &cache::fingerprint(&[], &words)?, |folder| {
        for name in files {
            let from = process::root().join(sources).join(name);
            fs::copy(&from, folder.join(name)).map_err(|e| format!("{}: {e}", from.display()))?;
        }
        let mut npm = Command::new("npm");
        process::run(npm.current_dir(folder).args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]))
    })
}

const SOURCES: &str = "guests/js";
