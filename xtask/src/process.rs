//! Running other programs, visibly, and where things lie.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

/// The folder of the workspace.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Cargo's folder for what it builds.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(&dir).unwrap_or_else(|_| PathBuf::from(dir)),
        None => root().join("target"),
    }
}

/// What outlives a checkout: `ISORUN_CACHE`, else `isorun` in the user's cache folder.
pub fn cache() -> Outcome<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    folder("ISORUN_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("isorun")))
        .or_else(|| Some(folder("HOME")?.join(".cache/isorun")))
        .ok_or_else(|| "neither ISORUN_CACHE nor HOME is set, so there is no place for built guests".to_owned())
}

/// The cargo that runs this program, in the workspace's folder.
pub fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root()).args(words);
    command
}

/// `crate`'s program `name`, installed under the target folder unless it is there already.
pub fn tool(name: &str, package: &str, version: &str, flags: &[&str]) -> Outcome<PathBuf> {
    let tools = target().join("tools");
    let program = tools.join("bin").join(name);
    let marker = tools.join(format!("{package}-{version}"));
    if program.is_file() && marker.is_file() {
        return Ok(program);
    }
    println!("{package} {version} is installed once, which takes minutes");
    let mut install = cargo(&["install", "--locked", "--force", package, "--version", version, "--root"]);
    run(install.arg(&tools).args(flags).env_remove("CARGO_TARGET_DIR"))?;
    std::fs::write(&marker, "").map_err(|e| format!("{}: {e}", marker.display()))?;
    Ok(program)
}

/// Prints the command and runs it to its end.
pub fn run(command: &mut Command) -> Outcome {
    println!("$ {}", printed(command));
    let status = command.status().map_err(|e| format!("{}: {e}", printed(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", printed(command))) }
}

/// Runs the command quietly and returns what it wrote to stdout.
pub fn read(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|e| format!("{}: {e}", printed(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}\n{stderr}", printed(command), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where `program` lies on the `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn printed(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = program.file_name().into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
