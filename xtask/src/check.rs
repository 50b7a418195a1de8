//! `cargo xtask check`: what can be said of the code without running it.

use std::process::Command;

use crate::Outcome;
use crate::process::{cargo, root, run, tool};

/// Runs every check, and fails after the last one if any failed, so that one run shows all there is to mend.
pub fn main() -> Outcome {
    let mut failed = Vec::new();
    for &(name, step) in STEPS {
        if let Err(message) = step() {
            eprintln!("{name}: {message}");
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("check failed: {}", failed.join(", "))) }
}

fn formatting() -> Outcome {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["fmt", "--all", "--check", "--manifest-path", "guests/rust/Cargo.toml"]))?;
    // Without `--all`, which would fetch all that it depends on.
    run(&mut cargo(&["fmt", "--check", "--manifest-path", "benches/wrpc/Cargo.toml"]))
}

fn clippy() -> Outcome {
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn docs() -> Outcome {
    run(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// Licences, sources and who may depend on what; `deny.toml` has the rules. Advisories need a network, so not here.
fn deny() -> Outcome {
    let mut deny = Command::new(tool("cargo-deny", "cargo-deny", DENY_VERSION, &[])?);
    run(deny.current_dir(root()).args(DENY_FLAGS).arg("check").args(["bans", "licenses", "sources"]))
}

type Step = (&'static str, fn() -> Outcome);
const STEPS: &[Step] = &[("formatting", formatting), ("clippy", clippy), ("docs", docs), ("deny", deny)];

const DENY_FLAGS: &[&str] = &["--all-features", "--log-level", "error"];
const DENY_VERSION: &str = "0.20.2";
