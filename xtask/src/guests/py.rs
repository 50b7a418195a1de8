//! The Python guests: the source with an interpreter around it, 18 MB each, built when a test run wants them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache;
use crate::{Outcome, process};

struct Guest {
    component: &'static str,
    /// The folder of its `app.py` under `guests/py`.
    dir: &'static str,
    wit: &'static str,
    world: &'static str,
    /// Whether it imports what its interpreter and the standard library use of WASI; else that is cut off inside.
    wasi: bool,
}

const GUESTS: &[Guest] = &[
    Guest { component: "py-kv-app.wasm", dir: "kv_app", wit: "wit/kv.wit", world: "app", wasi: false },
    Guest { component: "py-kv-app-wasi.wasm", dir: "kv_app", wit: "wit/kv.wit", world: "app", wasi: true },
    Guest { component: "py-kv-provider.wasm", dir: "kv_provider", wit: "wit/kv.wit", world: "provider", wasi: false },
    Guest { component: "py-rle.wasm", dir: "rle", wit: "guests/wit/rle.wit", world: "rle", wasi: false },
    Guest { component: "py-tally.wasm", dir: "tally", wit: "wit/actor.wit", world: "component", wasi: false },
];

/// The folder with the built components, one for each state of the sources and of the tools' version.
///
/// # Errors
/// If there is no Python, or none with virtual environments: the message says what to do.
pub fn folder() -> Outcome<PathBuf> {
    let python = Command::new("python3").args(["-c", "import ensurepip, sys, venv; print(sys.version)"]).output();
    let Some(python) = python.ok().filter(|output| output.status.success()) else {
        return Err(
            "the Python guests need python3 with its modules `venv` and `ensurepip` (on Debian: python3-venv), \
             and there is none.\nTo go without them: `cargo xtask test --without py-guests`"
                .to_owned(),
        );
    };
    let python = String::from_utf8_lossy(&python.stdout).into_owned();
    let fingerprint = cache::fingerprint(&[], &[SOURCES, "wit/kv.wit", "wit/actor.wit", "guests/wit/rle.wit"])?;
    cache::folder("py", &fingerprint, |folder| build(folder, &python))
}

fn build(folder: &Path, python: &str) -> Outcome {
    println!("building the Python guests; it takes a minute, and the first time its tools are fetched");
    let tools = tools(python)?;
    for guest in GUESTS {
        // As a module of the environment's Python, because its scripts name the folder where they were installed.
        let mut componentize = Command::new(tools.join("bin/python"));
        componentize.current_dir(process::root().join(SOURCES).join(guest.dir));
        componentize.args(["-c", "from componentize_py import script; script()"]);
        componentize.arg("-d").arg(process::root().join(guest.wit)).args(["-w", guest.world, "componentize"]);
        componentize.args((!guest.wasi).then_some("--stub-wasi")).arg("app");
        process::read(componentize.arg("-o").arg(folder.join(guest.component)))?;
        super::tell(&folder.join(guest.component))?;
    }
    Ok(())
}

/// A virtual environment with what `requirements.txt` names.
fn tools(python: &str) -> Outcome<PathBuf> {
    let requirements = format!("{SOURCES}/requirements.txt");
    cache::folder("tools-py", &cache::fingerprint(&[python], &[&requirements])?, |folder| {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:", "-r"]);
        process::run(pip.arg(process::root().join(requirements)))
    })
}

const SOURCES: &str = "guests/py";
