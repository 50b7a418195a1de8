//! `wrpc-tcp` and `wrpc-quic`: their side is `benches/wrpc`, a package outside the workspace, built when it is wanted.

use std::path::PathBuf;
use std::process::Command;

use crate::child::Error;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/wrpc/Cargo.toml");
const PROGRAM: &str = "bench-wrpc";

/// Builds it, if it isn't: in minutes, since it brings another engine.
pub fn build() -> Result<(), Error> {
    eprintln!("building wRPC's side, which takes minutes the first time; `--without wrpc` spares it");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--manifest-path", MANIFEST, "--target-dir"]).arg(target()?);
    let status = build.status().map_err(|error| format!("cargo doesn't start: {error}"))?;
    if status.success() { Ok(()) } else { Err("wRPC's side doesn't build; `--without wrpc` leaves it out".into()) }
}

/// The program that [`build`] makes.
pub fn program() -> Result<PathBuf, Error> {
    Ok(target()?.join("release").join(PROGRAM).with_extension(std::env::consts::EXE_EXTENSION))
}

/// A folder of its own in the folder that this program was built into.
fn target() -> Result<PathBuf, Error> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("this program is in no folder that cargo builds into")?;
    Ok(target.join("wrpc"))
}
