//! What is wrong with a manifest: where, what, and what would be right.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use crate::exit::Failed;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1 on.
    pub line: usize,
    /// From 1 on, in characters.
    pub column: usize,
    pub text: String,
}

/// All that is wrong, in the order of their places.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// The line and the column of a byte, from 1 on, in characters.
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Most problems that are told of; whoever has more is told how many.
const TOLD_MAX: usize = 50;

impl Problems {
    /// What TOML says of it.
    pub fn syntax(&mut self, text: &str, error: &toml::de::Error) {
        self.add(text, error.span().unwrap_or(0..0), error.message());
    }

    pub fn add(&mut self, text: &str, span: Range<usize>, what: impl fmt::Display) {
        let (line, column) = place(text, span.start);
        self.0.push(Problem { line, column, text: what.to_string() });
    }

    /// The problems as the failure of a command, with the file that they are in.
    pub fn of_file(mut self, file: &Path) -> Failed {
        self.0.sort_by_key(|problem| (problem.line, problem.column));
        self.0.dedup();
        let file = file.display();
        let shown = |Problem { line, column, text }: &Problem| format!("{file}:{line}:{column}: {text}");
        let failed = match self.0.as_slice() {
            [one] => shown(one),
            many => {
                let lines: String = many.iter().take(TOLD_MAX).map(|it| format!("\n- {}", shown(it))).collect();
                let more = many.len().saturating_sub(TOLD_MAX);
                let more = if more == 0 { String::new() } else { format!("\nand {more} more") };
                format!("{} things are wrong:{lines}{more}", many.len())
            }
        };
        Failed::usage(failed)
    }
}
