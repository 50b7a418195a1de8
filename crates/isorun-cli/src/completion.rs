//! `isorun completion`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionArgs};
use crate::exit::{self, Failed};
use crate::terminal;

/// Prints the script.
pub fn completion(args: &CompletionArgs) -> Result<u8, Failed> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "isorun", &mut script);
    terminal::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(exit::OK)
}
