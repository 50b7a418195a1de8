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

/// Most problems that are told of; whoever has more is told how many.
const TOLD_MAX: usize = 50;

impl Problems {
    /// What is no manifest at all.
    pub fn syntax(text: &str, error: &toml::de::Error) -> Self {
        let mut problems = Self::default();
        // A key that is missing has the place of its table.
        problems.add(text, error.span().unwrap_or(0..0), error.message());
        problems
    }

    pub fn add(&mut self, text: &str, span: Range<usize>, what: impl fmt::Display) {
        let before = &text[..text.floor_char_boundary(span.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        self.0.push(Problem { line, column, text: what.to_string() });
    }

    /// The problems as the failure of a command, with the file that they are in.
    pub fn of_file(mut self, file: &Path) -> Failed {
        self.0.sort_by_key(|problem| (problem.line, problem.column));
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
