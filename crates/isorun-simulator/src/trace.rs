//! What happened, for people.

use std::collections::VecDeque;

/// The last lines of a run; kept only where somebody will read them.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    /// Lines that are kept; 0 where none is written.
    max: usize,
    /// Lines that were written and have gone.
    pub(crate) dropped: usize,
}

impl Trace {
    pub(crate) fn keeping(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.max > 0
    }

    pub(crate) fn note(&mut self, now: u64, line: impl FnOnce() -> String) {
        if self.max == 0 {
            return;
        }
        if self.lines.len() == self.max {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(format!("{:>6}.{:03} ms  {}", now / 1000, now % 1000, line()));
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
