//! The Rust guests: built when a test run wants them, and kept in the user's cache folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::{Outcome, process};

/// The guests: the package's name in `guests/rust`, its world in [`WIT`].
const GUESTS: &[(&str, &str)] = &[("rust-kv-app", "app"), ("rust-kv-provider", "provider")];
const WIT: &str = "wit/kv.wit";
const TARGET: &str = "wasm32-unknown-unknown";

/// The folder with the built components, one for each state of the sources and the compiler.
///
/// # Errors
/// If there is no compiler for the target and none can be installed: the message names what is missing.
pub fn folder() -> Outcome<PathBuf> {
    let compiler = Compiler::find_or_install()?;
    let guests = process::cache()?.join("guests");
    let folder = guests.join(fingerprint(&compiler)?);
    if folder.is_dir() {
        return Ok(folder);
    }
    println!("building the Rust guests; the first time takes a minute or two");
    let built = guests.join("target");
    process::run(&mut compiler.build(&built))?;

    // Filled under another name first, so that the folder is complete whenever it is there.
    let scratch = guests.join(format!("scratch-{}", std::process::id()));
    fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    for (package, world) in GUESTS {
        let module = built.join(TARGET).join("release").join(format!("{}.wasm", package.replace('-', "_")));
        let component = super::component(super::read(&module)?, &[WIT], world)?;
        super::write(&scratch.join(format!("{package}.wasm")), &component)?;
        println!("{package}.wasm: {} bytes", component.len());
    }
    match fs::rename(&scratch, &folder) {
        Ok(()) => Ok(folder),
        // Somebody else was quicker, with the same sources.
        Err(_) if folder.is_dir() => fs::remove_dir_all(&scratch).map(|()| folder).map_err(|e| e.to_string()),
        Err(e) => Err(format!("{}: {e}", folder.display())),
    }
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

/// Names a state of the sources and the compiler.
fn fingerprint(compiler: &Compiler) -> Outcome<String> {
    let mut hash = Sha256::new();
    hash.update(process::read(compiler.rustc().arg("-vV"))?);
    for (path, bytes) in sources()? {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    Ok(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// Every file that makes a difference to the components, by its path in the workspace.
fn sources() -> Outcome<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::from([(WIT.to_owned(), super::read(&process::root().join(WIT))?)]);
    let mut folders = vec![PathBuf::from("guests/rust")];
    while let Some(folder) = folders.pop() {
        let path = process::root().join(&folder);
        let entries = fs::read_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        for entry in entries {
            let entry = entry.map_err(|e| format!("{}: {e}", path.display()))?;
            let inside = folder.join(entry.file_name());
            if entry.path().is_file() {
                found.insert(inside.display().to_string(), super::read(&entry.path())?);
            } else if entry.file_name() != "target" {
                folders.push(inside);
            }
        }
    }
    Ok(found)
}

const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "rust-web-src"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library";
