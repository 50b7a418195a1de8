//! The C guests: freestanding, built with clang alone, a few KB each, committed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, process};

/// One C guest: `guests/c/DIR/NAME_impl.c` over the bindings of a WIT world.
struct Guest {
    /// The component, in `guests/prebuilt`.
    component: &'static str,
    /// The folder of its sources under `guests/c`.
    dir: &'static str,
    /// Its own source file in there.
    source: &'static str,
    /// The generated bindings in there, without `.c` and `.h`.
    bindings: &'static str,
    /// The WIT files and folders, from the workspace's folder: each after those it needs.
    wit: &'static [&'static str],
    /// The world in the last of them.
    world: &'static str,
}

const GUESTS: &[Guest] = &[
    Guest {
        component: "kv-app.wasm",
        dir: "kv",
        source: "app_impl.c",
        bindings: "kv_app",
        wit: &["wit/kv.wit"],
        world: "app",
    },
    Guest {
        component: "kv-provider.wasm",
        dir: "kv",
        source: "provider_impl.c",
        bindings: "kv_provider",
        wit: &["wit/kv.wit"],
        world: "provider",
    },
    Guest {
        component: "fs-app.wasm",
        dir: "fs",
        source: "app_impl.c",
        bindings: "fs_app",
        wit: &["guests/wit/fs"],
        world: "app",
    },
    Guest {
        component: "multi-app.wasm",
        dir: "multi",
        source: "app_impl.c",
        bindings: "multi_app",
        wit: &["guests/wit/fs/deps/filesystem.wit", "wit/kv.wit", "guests/wit/counter.wit", "guests/wit/multi.wit"],
        world: "test:multi/app",
    },
    Guest {
        component: "rle.wasm",
        dir: "rle",
        source: "rle_impl.c",
        bindings: "rle",
        wit: &["guests/wit/rle.wit"],
        world: "rle",
    },
    Guest {
        component: "tally.wasm",
        dir: "tally",
        source: "tally_impl.c",
        bindings: "tally",
        wit: &["wit/actor.wit"],
        world: "component",
    },
    Guest {
        component: "rle-helpers.wasm",
        dir: "rle",
        source: "helpers_impl.c",
        bindings: "rle_helpers",
        wit: &["wit/processing-node.wit"],
        world: "helpers",
    },
    Guest {
        component: "rle-pointers.wasm",
        dir: "rle",
        source: "pointers_impl.c",
        bindings: "rle_pointers",
        wit: &["wit/processing-node.wit"],
        world: "pointers",
    },
    Guest {
        component: "rle-upper.wasm",
        dir: "upper",
        source: "upper_impl.c",
        bindings: "upper",
        wit: &["wit/processing-node.wit"],
        world: "pointers",
    },
    Guest {
        component: "unrle.wasm",
        dir: "rle",
        source: "unrle_impl.c",
        bindings: "unrle",
        wit: &["guests/wit/unrle.wit"],
        world: "unrle",
    },
];

const CLANG: &str = "clang-19";

/// Debian's packages of the compiler and the linker it calls.
const PACKAGES: &[&str] = &["clang-19", "lld-19"];

const BINDGEN_VERSION: &str = "0.61.1";
const BINDGEN_FLAGS: &[&str] = &["--no-default-features", "--features", "c"];

/// Builds every C guest and writes it to `guests/prebuilt`, with the compiler's name beside it.
pub fn build() -> Outcome {
    let prebuilt = prebuilt();
    for guest in GUESTS {
        let bytes = component(guest)?;
        super::write(&prebuilt.join(guest.component), &bytes)?;
        println!("{}: {} bytes", guest.component, bytes.len());
    }
    super::write(&prebuilt.join(BUILT_WITH), clang_version()?.as_bytes())
}

/// Installs the compiler if it is missing and we may. The guests are committed, so nothing fails without it.
pub fn find_or_install() {
    if process::find(CLANG).is_none()
        && let Err(e) = super::install(PACKAGES)
    {
        println!("{CLANG} is not installed: {e}");
    }
}

/// Builds every C guest again and compares it with what is committed.
///
/// Another compiler than the one that built them makes other bytes, and no compiler none: both are said, and pass.
pub fn check() -> Outcome {
    if process::find(CLANG).is_none() {
        println!("skipped: {CLANG} is not installed, so guests/prebuilt is not compared with its sources");
        return Ok(());
    }
    let (here, there) = (clang_version()?, super::read(&prebuilt().join(BUILT_WITH))?);
    if here.as_bytes() != there {
        let there = String::from_utf8_lossy(&there);
        println!("skipped: guests/prebuilt was built with {}, and here is {}", there.trim(), here.trim());
        return Ok(());
    }
    let mut differ = Vec::new();
    for guest in GUESTS {
        if component(guest)? != super::read(&prebuilt().join(guest.component))? {
            differ.push(guest.component);
        }
    }
    if differ.is_empty() {
        println!("guests/prebuilt: {} components match their sources", GUESTS.len());
        return Ok(());
    }
    Err(format!("guests/prebuilt: {} do not match their sources; run `cargo xtask guests c`", differ.join(", ")))
}

/// Writes the bindings of every C guest again, with the generator's pinned version.
pub fn bindings() -> Outcome {
    let wit_bindgen = process::tool("wit-bindgen", "wit-bindgen-cli", BINDGEN_VERSION, BINDGEN_FLAGS)?;
    for guest in GUESTS {
        let mut generate = Command::new(&wit_bindgen);
        generate.current_dir(process::root()).args(["c", "--no-object-file"]).args(guest.wit);
        generate
            .args(["--world", guest.world, "--rename-world", guest.bindings])
            .arg("--out-dir")
            .arg(Path::new("guests/c").join(guest.dir));
        process::run(&mut generate)?;
    }
    Ok(())
}

fn component(guest: &Guest) -> Outcome<Vec<u8>> {
    super::component(core_module(guest)?, guest.wit, guest.world)
}

/// Compiles and links the guest's core module.
fn core_module(guest: &Guest) -> Outcome<Vec<u8>> {
    let c = Path::new("guests/c");
    let dir = c.join(guest.dir);
    let scratch = std::env::temp_dir().join(format!("isorun-xtask-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    // The linker writes the file's name into the module.
    let out = scratch.join(guest.component);
    let mut clang = Command::new(CLANG);
    // Run from the workspace's folder with relative paths, so that no path of this machine can reach the output.
    clang.current_dir(process::root()).args(COMPILE_FLAGS);
    clang.arg("-I").arg(c.join("mini/include")).arg("-I").arg(&dir);
    clang.arg(dir.join(format!("{}.c", guest.bindings))).arg(dir.join(guest.source)).arg(c.join("mini/mini.c"));
    clang.args(LINK_FLAGS).arg("-o").arg(&out);
    process::read(&mut clang)?;
    let bytes = super::read(&out);
    // A folder left behind among the temporary ones harms nobody.
    let _ = std::fs::remove_dir_all(&scratch);
    bytes
}

fn prebuilt() -> PathBuf {
    process::root().join("guests/prebuilt")
}

fn clang_version() -> Outcome<String> {
    let text = process::read(Command::new(CLANG).arg("--version"))?;
    Ok(format!("{}\n", text.lines().next().unwrap_or_default()))
}

/// Names the compiler that built what lies beside it.
const BUILT_WITH: &str = "BUILT-WITH";

const COMPILE_FLAGS: &[&str] =
    &["--target=wasm32", "-O2", "-nostdlib", "-ffreestanding", "-fno-builtin", "-mbulk-memory", "-Wall", "-Wextra"];

const LINK_FLAGS: &[&str] = &["-Wl,--no-entry", "-Wl,--strip-debug", "-Wl,-z,stack-size=65536"];
