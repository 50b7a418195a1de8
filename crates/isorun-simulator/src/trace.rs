//! What happened, for people.

use std::collections::VecDeque;

/// The last lines of a run; kept only where somebody will read them.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    /// Lines that are kept.
    max: usize,
    /// Each line goes to stderr at once.
    told: bool,
    /// Lines that were written and have gone.
    pub(crate) dropped: usize,
}

impl Trace {
    pub(crate) fn keeping(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// Keeps nothing, and says all of it at once.
    pub(crate) fn told() -> Self {
        Self { told: true, ..Self::default() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.max > 0 || self.told
    }

    pub(crate) fn note(&mut self, now: u64, line: impl FnOnce() -> String) {
        if !self.is_on() {
            return;
        }
        let line = format!("{:>6}.{:03} ms  {}", now / 1000, now % 1000, line());
        if self.told {
            eprintln!("{line}");
        }
        self.lines.push_back(line);
        if self.lines.len() > self.max {
            self.lines.pop_front();
            self.dropped += 1;
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
