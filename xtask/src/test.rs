//! `cargo xtask test`: the guests, then every test and every doctest.
//!
//! The tests find the folder of the built guests in `ISORUN_GUESTS`, and the names after `--without` in
//! `ISORUN_WITHOUT`, separated by commas.

use std::path::PathBuf;
use std::process::Command;

use crate::process::{cargo, find, run};
use crate::{Outcome, guests};

/// Runs all tests; `words` is `--without NAME` any number of times, then `--` and words for the test runner.
pub fn main(words: &[&str]) -> Outcome {
    let (without, rest) = parse(words)?;
    let mut environment = vec![("ISORUN_WITHOUT", without.join(","))];
    for name in &without {
        println!("WITHOUT {name}: what wants them is skipped, and says so");
    }
    let wanted = BUILT.iter().filter(|(name, _)| !without.contains(name));
    let built = wanted.map(|(_, folder)| folder()).collect::<Outcome<Vec<_>>>()?;
    if !built.is_empty() {
        let folder = guests::gather(&built)?;
        println!("built guests: {}", folder.display());
        environment.push(("ISORUN_GUESTS", folder.display().to_string()));
    }
    if !without.contains(&"c-guests") {
        guests::c::find_or_install();
        guests::check()?;
    }

    if !without.contains(&NATS) {
        find_or_install_nats()?;
    }

    let runner: &[&str] = if find("cargo-nextest").is_some() { &["nextest", "run"] } else { &["test", "--tests"] };
    let mut tests = cargo(runner);
    if !rest.iter().any(|word| ["-p", "--package"].contains(word)) {
        tests.arg("--workspace");
        if without.contains(&NATS) {
            tests.args(["--exclude", "isorun-transport-nats"]);
        }
    }
    let tests = run(tests.arg("--no-fail-fast").args(rest).envs(environment.iter().cloned()));
    let mut doctests = cargo(&["test", "--doc", "--workspace"]);
    // The same sources under other names: `--doc` asks for their examples, whatever their manifests say.
    doctests.args(["--exclude", "neorpc-planted", "--exclude", "isorun-simulator-planted"]);
    // What narrows the tests down names no doctest.
    let doctests = if rest.is_empty() { run(doctests.envs(environment)) } else { Ok(()) };
    tests.and(doctests)
}

/// Sees to it that there is a NATS server to test with; each test starts one of its own.
fn find_or_install_nats() -> Outcome {
    if find(NATS).is_some() {
        return Ok(());
    }
    let how =
        format!("install it, with `apt-get install {NATS}` on Debian, or leave its tests out, `--without {NATS}`");
    guests::install(&[NATS]).map_err(|error| format!("{NATS} is not on the PATH: {error}; {how}"))?;
    // The package starts one for the whole system, which nobody asked for.
    if find("systemctl").is_some()
        && let Err(error) = run(Command::new("systemctl").args(["disable", "--now", NATS]))
    {
        println!("{error}");
    }
    Ok(())
}

fn parse<'a>(words: &'a [&'a str]) -> Outcome<(Vec<&'a str>, &'a [&'a str])> {
    let mut without = Vec::new();
    let mut rest = words;
    loop {
        rest = match rest {
            [] => return Ok((without, rest)),
            ["--", tail @ ..] => return Ok((without, tail)),
            ["--without", name, tail @ ..] if OPTIONAL.contains(name) => {
                without.push(*name);
                tail
            }
            [word, ..] => {
                let names = OPTIONAL.join(", ");
                return Err(format!("test: `{word}` is no option here; there is `--without NAME`, with {names}"));
            }
        };
    }
}

/// Builds guests, or finds them built, and says where they are.
type Build = fn() -> Outcome<PathBuf>;

/// What `--without` may name.
const OPTIONAL: &[&str] = &["rust-guests", "c-guests", "js-guests", "py-guests", NATS];

/// The program, and the Debian package that has it.
const NATS: &str = "nats-server";

/// The guests that a test run builds and that are not committed.
const BUILT: &[(&str, Build)] = &[
    ("rust-guests", guests::rust::folder),
    ("js-guests", guests::js::folder),
    // What they need is what JavaScript's need.
    ("js-guests", guests::assembly::folder),
    ("py-guests", guests::py::folder),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_after_two_dashes_go_to_the_runner() {
        let words = ["--without", "rust-guests", "--", "-p", "neopack"];
        assert_eq!(parse(&words), Ok((vec!["rust-guests"], ["-p", "neopack"].as_slice())));
    }

    #[test]
    fn only_what_is_optional_can_be_left_out() {
        for words in [["--without", "tests"].as_slice(), &["--without"], &["--fast"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
