//! Running other programs, visibly.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace's folder")
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
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
