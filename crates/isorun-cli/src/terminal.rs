//! What is written where: results on standard output, all else on standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};

use crate::exit::{FAILED, Failed};

/// Writes one line of results.
///
/// A reader that has gone wants no more: that is no failure.
pub fn print(line: &str) -> Result<(), Failed> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failed::new(FAILED, format!("cannot write to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Says why the command fails.
pub fn complain(text: &str) {
    let style = if coloured() { Style::new().bold().fg_color(Some(AnsiColor::Red.into())) } else { Style::new() };
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{style}error:{style:#} {text}");
}

/// A line for whoever sits in front of it; files and pipes don't get it.
pub fn remark(line: &str) {
    if io::stderr().is_terminal() {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }
}

/// Whether somebody sees standard output as it comes.
pub fn is_watched() -> bool {
    io::stdout().is_terminal()
}

/// Whether standard error may be coloured.
pub fn coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
