//! The project's own commands: `cargo xtask help` lists them.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "what this program has to say is said on stdout")]

mod guests;
mod process;

use std::process::ExitCode;

/// What a command comes to; the text is for the person who ran it.
type Outcome<T = ()> = Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["guests", rest @ ..] => guests::main(rest),
        [] | ["help" | "--help" | "-h", ..] => {
            print!("{HELP}");
            Ok(())
        }
        [other, ..] => Err(format!("no such command: {other}\n\n{HELP}")),
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

  guests c                       build the C guests again, into guests/prebuilt
  guests check                   compare what is committed under guests/ with its sources
";
