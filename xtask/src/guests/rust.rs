//! The Rust guests: built when a test run wants them, and kept in the user's cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache;
use crate::{Outcome, process};

/// The guests: the package's name in `guests/rust`, its WIT and its world.
const GUESTS: &[(&str, &str, &str)] = &[
    ("rust-doubler", "wit/actor.wit", "component"),
    ("rust-kv-app", "wit/kv.wit", "app"),
    ("rust-kv-provider", "wit/kv.wit", "provider"),
    ("rust-rle", "guests/wit/rle.wit", "rle"),
    ("rust-tally", "wit/actor.wit", "component"),
];
const TARGET: &str = "wasm32-unknown-unknown";

/// The folder with the built components, one for each state of the sources and the compiler.
///
/// # Errors
/// If there is no compiler for the target and none can be installed: the message names what is missing.
pub fn folder() -> Outcome<PathBuf> {
    let compiler = Compiler::find_or_install()?;
    let fingerprint = cache::fingerprint(
        &[&process::read(compiler.rustc().arg("-vV"))?],
        &["guests/rust", "wit/kv.wit", "wit/actor.wit", "guests/wit/rle.wit"],
    )?;
    cache::folder("rust", &fingerprint, |folder| build(folder, &compiler))
}

fn build(folder: &Path, compiler: &Compiler) -> Outcome {
    println!("building the Rust guests; the first time takes a minute or two");
    let built = cache::guests()?.join("target");
    process::run(&mut compiler.build(&built))?;
    for (package, wit, world) in GUESTS {
        let module = built.join(TARGET).join("release").join(format!("{}.wasm", package.replace('-', "_")));
        let component = super::component(super::read(&module)?, &[wit], world)?;
        let there = folder.join(format!("{package}.wasm"));
        super::write(&there, &component)?;
        super::tell(&there)?;
    }
    Ok(())
}

/// A compiler that can build for the target.
enum Compiler {
    /// The one that cargo uses, with the target's standard library.
    Rustup,
    /// Debian's, which brings the source of its standard library instead.
    Debian,
}

impl Compiler {
    fn find_or_install() -> Outcome<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        let packages = DEBIAN_PACKAGES.join(" ");
        super::install(DEBIAN_PACKAGES).map_err(|e| {
            format!(
                "the Rust guests need a compiler for {TARGET}: `rustup target add {TARGET}`, or on Debian the packages \
                 {packages}; {e}.\nTo go without them: `cargo xtask test --without rust-guests`"
            )
        })?;
        Self::find().ok_or_else(|| format!("{packages} are installed, and yet there is no {DEBIAN_RUSTC}"))
    }

    fn find() -> Option<Self> {
        let libraries = process::read(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
        if libraries.is_ok_and(|dir| Path::new(dir.trim()).is_dir()) {
            return Some(Self::Rustup);
        }
        let debian = Path::new(DEBIAN_RUSTC).is_file() && Path::new(DEBIAN_SOURCE).is_dir();
        debian.then_some(Self::Debian)
    }

    fn rustc(&self) -> Command {
        Command::new(match self {
            Self::Rustup => "rustc",
            Self::Debian => DEBIAN_RUSTC,
        })
    }

    fn build(&self, target: &Path) -> Command {
        let mut build = process::cargo(&["build", "--release", "--locked", "--target", TARGET]);
        build.current_dir(process::root().join("guests/rust")).env("CARGO_TARGET_DIR", target);
        if let Self::Debian = self {
            build.arg("-Zbuild-std=core,alloc,std,panic_abort").env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            if let Some(linker) = linker() {
                build.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            }
        }
        build
    }
}

/// A linker for the target: the one that comes with rustup's compiler, else Debian's.
fn linker() -> Option<PathBuf> {
    let sysroot = process::read(Command::new("rustc").args(["--print", "sysroot"])).ok()?;
    let host = process::read(Command::new("rustc").args(["--print", "host-tuple"])).ok()?;
    let bundled = Path::new(sysroot.trim()).join("lib/rustlib").join(host.trim()).join("bin/rust-lld");
    if bundled.is_file() { Some(bundled) } else { process::find("wasm-ld-19").or_else(|| process::find("wasm-ld")) }
}

const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "rust-web-src"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library";
