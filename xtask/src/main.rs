//! The project's own commands: `cargo xtask help` lists them.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "what this program has to say is said on stdout")]

mod check;
mod faults;
mod guests;
#[cfg(test)]
mod layers;
mod process;
mod simulate;
mod test;

use std::process::ExitCode;

/// What a command comes to; the text is for the person who ran it.
type Outcome<T = ()> = Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", rest @ ..] => test::main(rest),
        ["check"] => check::main(),
        ["simulate", rest @ ..] => simulate::main(rest),
        ["faults", rest @ ..] => faults::main(rest),
        ["guests", rest @ ..] => guests::main(rest),
        [] | ["help" | "--help" | "-h", ..] => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("no such command: {}\n\n{HELP}", other.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

const HELP: &str = "\
usage: cargo xtask COMMAND

  test [--without NAME] [-- ARGS]
                        build the Rust, JavaScript, AssemblyScript and Python guests, compare the C ones with their sources, run
                        all tests (with cargo-nextest if it is installed) and doctests; ARGS go to the test runner.
                        NAME is rust-guests, c-guests, js-guests (with those in AssemblyScript), py-guests or
                        nats-server; more than one may be left out
  check                 formatting, clippy, docs, cargo deny
  simulate [--seeds N] [--from S] | --seed S [--trace]
                        many hosts on a seeded network with faults; `simulate --help` says more
  faults [WORDS]        faults of networks and disks, on real sockets in network namespaces (root, iproute2); those
                        whose names have the words. What the system forbids is skipped, with the reason

  guests rust           build the Rust guests, or find them in the cache, and print their folder
  guests js             the same for the JavaScript guests (node 20 or later, npm)
  guests as             the same for the AssemblyScript guests (node and npm too)
  guests py             the same for the Python guests (python3 with venv)
  guests c              build the C guests again, into guests/prebuilt (clang-19, lld-19)
  guests bindings       write the C guests' bindings again, after a change of their WIT
  guests wat            write the type guests again, after a change of guests/wit/types.wit
  guests check          compare what is committed under guests/ with its sources

Tools are installed under the target folder, in `tools`; built guests are kept under
${ISORUN_CACHE:-~/.cache/isorun}. As root on Debian, `test` installs the compilers and the
NATS server it lacks with apt-get; elsewhere it says which they are.
";
