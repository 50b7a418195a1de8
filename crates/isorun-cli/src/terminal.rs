//! What is written where: results on standard output, all else on standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use isorun::moves_cursor;
use serde_json::{Value, json};

use crate::args::Output;
use crate::exit::{FAILED, Failed};
use crate::secret::masked;

/// How results and errors are written.
pub struct Terminal {
    pub output: Output,
}

impl Terminal {
    /// Writes a result in the form that was asked for; an empty text is no line.
    pub fn result(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> Result<(), Failed> {
        match self.output {
            Output::Text => match text() {
                text if text.is_empty() => Ok(()),
                text => print(&text),
            },
            Output::Json => print(&json_line(&json!({ "ok": json() }))),
        }
    }

    /// Says why the command fails.
    pub fn complain(&self, failed: &Failed) {
        match self.output {
            Output::Text => complain(&masked(&failed.text)),
            // Where standard error is gone there is nobody to tell.
            Output::Json => {
                let error = json!({ "error": { "kind": failed.kind, "text": masked(&failed.text) } });
                let _ = writeln!(io::stderr().lock(), "{}", json_line(&error));
            }
        }
    }
}

/// Says what is wrong with a command line, without passwords in it, or the help that it asks for.
pub fn print_misread(error: &clap::Error) {
    if !error.use_stderr() {
        // Where nobody reads it there is nothing to do about it.
        let _ = error.print();
        return;
    }
    let text = error.render();
    let text = if coloured() { text.ansi().to_string() } else { text.to_string() };
    let _ = write!(io::stderr().lock(), "{}", masked(&text));
}

/// Awaits `work`; whoever sits in front of it sees that it goes on, once it takes longer than a second.
pub async fn while_slow<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if !io::stderr().is_terminal() {
        return work.await;
    }
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(SLOW) => {}
    }
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(SLOW);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
        spinner.set_style(style);
    }
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(120));
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// How long something may take before it is shown that it goes on.
const SLOW: Duration = Duration::from_secs(1);

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

/// Says in a sentence why the command fails.
fn complain(text: &str) {
    let style = if coloured() { Style::new().bold().fg_color(Some(AnsiColor::Red.into())) } else { Style::new() };
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{style}error:{style:#} {}", plain(text));
}

/// The text without what a terminal obeys: components and peers are quoted in it, and they are strangers.
fn plain(text: &str) -> String {
    let obeyed = |c: char| moves_cursor(c) && c != '\n';
    text.chars().flat_map(|c| if obeyed(c) { c.escape_unicode().collect() } else { vec![c] }).collect()
}

/// A value as JSON on one line, in which nothing moves a cursor: outside of texts JSON has no such signs.
pub fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for c in value.to_string().chars() {
        // All of them have four digits.
        if moves_cursor(c) { line += &format!("\\u{:04x}", u32::from(c)) } else { line.push(c) }
    }
    line
}

/// A stranger's text on one line.
pub fn one_line(text: &str) -> String {
    plain(text).replace('\n', "\\n")
}

/// Rows in columns as wide as they must be.
pub fn columns(rows: &[impl AsRef<[String]>]) -> String {
    let count = rows.first().map_or(0, |row| row.as_ref().len());
    let width = |at: usize| rows.iter().map(|row| row.as_ref()[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(|row| line(row.as_ref())).collect::<Vec<_>>().join("\n")
}

/// The text, with a mark for what has no room.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Columns of the terminal that standard output is; `None` where it is none, and lines may be as long as they are.
pub fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let asked = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    let told = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Some(asked.or_else(told).filter(|width| *width > 0).unwrap_or(WIDTH_DEFAULT))
}

/// Columns of a terminal that does not say how many it has.
const WIDTH_DEFAULT: usize = 80;

/// A line about a result, whoever reads it.
pub fn note(line: &str) {
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_instead() {
        assert_eq!(plain("a\nb\u{1b}[2Jc\u{202e}d\r"), "a\nb\\u{1b}[2Jc\\u{202e}d\\u{d}");
        assert_eq!(plain("schön\u{61c} – ok"), "schön\\u{61c} – ok");
    }

    #[test]
    fn json_escapes_what_a_terminal_obeys_and_is_the_same_value() {
        let value = json!({ "a\u{9b}": "\u{1b}[2J\u{7f}\u{202e}\u{61c}\u{2028}\n\\ schön" });
        let line = json_line(&value);
        assert_eq!(line, r#"{"a\u009b":"\u001b[2J\u007f\u202e\u061c\u2028\n\\ schön"}"#);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }
}
