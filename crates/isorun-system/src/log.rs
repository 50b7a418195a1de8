//! `isorun:log/log`: a guest's lines, bounded and made safe to show.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use isorun_runtime::{HostState, SystemComponent};
use parking_lot::Mutex;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, WasmStr};

/// Longest line that a sink is given, in bytes, with what was escaped; the rest is cut.
pub const LOG_LINE_BYTES_MAX: usize = 4096;

/// Most lines that one store may log in a second.
pub const LOG_STORE_LINES_PER_SECOND_MAX: u32 = 100;

/// Most lines in a second that one [`Logger`] takes from all stores together.
///
/// An instance that serves each call in a store of its own would else have a
/// full measure for each call.
pub const LOG_LINES_PER_SECOND_MAX: u32 = 1_000;

// What one second can cost whoever keeps the lines: 4 MiB.
const _: () = assert!(LOG_LINE_BYTES_MAX * LOG_LINES_PER_SECOND_MAX as usize <= 4 << 20);

const INTERFACE: &str = "isorun:log/log@0.1.0";

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum LogLevel {
    /// Every step.
    #[component(name = "trace")]
    Trace,
    /// What helps to find a mistake.
    #[component(name = "debug")]
    Debug,
    /// What happened.
    #[component(name = "info")]
    Info,
    /// What somebody should look at.
    #[component(name = "warn")]
    Warn,
    /// What went wrong.
    #[component(name = "error")]
    Error,
}

/// One line of a guest's, as a sink is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// The name of the instance that wrote it.
    pub instance: &'a str,
    /// How much it matters, in the guest's own view.
    pub level: LogLevel,
    /// The text: one line of at most [`LOG_LINE_BYTES_MAX`] bytes, in which nothing moves a cursor.
    pub message: &'a str,
    /// How many lines were dropped since the sink was last given one.
    pub dropped_before: u64,
}

type Sink = dyn Fn(&LogLine<'_>) + Send + Sync;

/// A log for guests, which serves `isorun:log/log@0.1.0`.
///
/// Lines go to `tracing`, under the target `guest`, or to a sink of one's own.
/// A guest can write whatever it likes and as fast as it can: lines are cut at
/// [`LOG_LINE_BYTES_MAX`], control characters are escaped, so that no line forges
/// another or speaks to the terminal, and beyond
/// [`LOG_STORE_LINES_PER_SECOND_MAX`] and [`LOG_LINES_PER_SECOND_MAX`] lines are
/// dropped and counted. Cloning is cheap and gives the same log.
///
/// ```
/// use isorun_system::{LogLine, Logger};
///
/// let logger = Logger::to(|line: &LogLine<'_>| eprintln!("{}: {}", line.instance, line.message));
/// assert_eq!(logger.dropped(), 0);
/// ```
#[derive(Clone)]
pub struct Logger {
    shared: Arc<Shared>,
}

struct Shared {
    sink: Box<Sink>,
    rate: Mutex<Rate>,
    dropped: AtomicU64,
    /// Those dropped lines that the sink was not told of yet.
    untold: AtomicU64,
}

impl Logger {
    /// A log whose lines go to `tracing`.
    #[must_use]
    pub fn new() -> Self {
        Self::to(trace)
    }

    /// A log whose lines go to `sink`, which is called while the guest waits: one that takes long belongs behind a queue.
    pub fn to(sink: impl Fn(&LogLine<'_>) + Send + Sync + 'static) -> Self {
        let rate = Mutex::new(Rate::default());
        let (dropped, untold) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { shared: Arc::new(Shared { sink: Box::new(sink), rate, dropped, untold }) }
    }

    /// How many lines were dropped so far, because too many came in a second.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    fn log(&self, mut cx: StoreContextMut<'_, HostState>, level: LogLevel, message: &WasmStr) -> wasmtime::Result<()> {
        if !self.admits(cx.data_mut(), Instant::now()) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            self.shared.untold.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let message = one_line(&message.to_str(&cx)?);
        let dropped_before = self.shared.untold.swap(0, Ordering::Relaxed);
        let line = LogLine { instance: cx.data().instance(), level, message: &message, dropped_before };
        (self.shared.sink)(&line);
        Ok(())
    }

    fn admits(&self, state: &mut HostState, now: Instant) -> bool {
        let StoreRate(own) = state.extension_or_insert_with(StoreRate::default);
        own.admits(now, LOG_STORE_LINES_PER_SECOND_MAX) && self.shared.rate.lock().admits(now, LOG_LINES_PER_SECOND_MAX)
    }
}

impl Default for Logger {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

impl SystemComponent for Logger {
    fn interfaces(&self) -> Vec<String> {
        vec![INTERFACE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let logger = self.clone();
        // UTF-8 is looked at in the guest's memory; text of another encoding is decoded whole before it is cut.
        linker.instance(INTERFACE)?.func_wrap(
            "log",
            move |cx: StoreContextMut<'_, HostState>, (level, message): (LogLevel, WasmStr)| {
                logger.log(cx, level, &message)
            },
        )
    }

    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        state.insert_extension(StoreRate::default());
        Ok(())
    }
}

/// What one store logged lately.
#[derive(Default)]
struct StoreRate(Rate);

/// Lines in the second that began with the first of them.
#[derive(Default)]
struct Rate {
    since: Option<Instant>,
    lines: u32,
}

impl Rate {
    fn admits(&mut self, now: Instant, lines_max: u32) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            *self = Self { since: Some(now), lines: 0 };
        }
        let admitted = self.lines < lines_max;
        self.lines += u32::from(admitted);
        admitted
    }
}

/// The text as one line, cut to [`LOG_LINE_BYTES_MAX`].
fn one_line(text: &str) -> String {
    let room = LOG_LINE_BYTES_MAX - CUT.len();
    let mut line = String::with_capacity(text.len().min(LOG_LINE_BYTES_MAX));
    let mut end = 0;
    for c in text.chars() {
        if moves(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        if line.len() > LOG_LINE_BYTES_MAX {
            line.truncate(end);
            line.push_str(CUT);
            return line;
        }
        if line.len() <= room {
            end = line.len();
        }
    }
    line
}

/// What stands for the rest of a line that was cut.
const CUT: &str = "…";

/// Whether showing it does something else than to put a sign after the others:
/// controls, line separators, and what turns the direction of writing.
fn moves(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

fn trace(line: &LogLine<'_>) {
    let LogLine { instance, level, message, dropped_before } = line;
    if *dropped_before > 0 {
        tracing::warn!(target: "guest", instance, dropped = dropped_before, "lines of guests were dropped");
    }
    match level {
        LogLevel::Trace => tracing::trace!(target: "guest", instance, "{message}"),
        LogLevel::Debug => tracing::debug!(target: "guest", instance, "{message}"),
        LogLevel::Info => tracing::info!(target: "guest", instance, "{message}"),
        LogLevel::Warn => tracing::warn!(target: "guest", instance, "{message}"),
        LogLevel::Error => tracing::error!(target: "guest", instance, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_has_room_for_its_lines_and_the_next_one_again() {
        let (start, mut rate) = (Instant::now(), Rate::default());
        for _ in 0..3 {
            assert!(rate.admits(start, 3));
        }
        assert!(!rate.admits(start, 3));
        assert!(!rate.admits(start + Duration::from_millis(999), 3));
        assert!(rate.admits(start + Duration::from_secs(1), 3));
        assert!(rate.admits(start, 3), "a clock that goes back opens no second");
    }

    #[test]
    fn a_line_is_whole_up_to_its_limit_and_cut_beyond() {
        let longest = "a".repeat(LOG_LINE_BYTES_MAX);
        assert_eq!(one_line(&longest), longest);
        let cut = one_line(&format!("{longest}a"));
        assert_eq!(cut, format!("{}…", "a".repeat(LOG_LINE_BYTES_MAX - CUT.len())));
    }

    #[test]
    fn what_moves_a_cursor_is_escaped() {
        assert_eq!(one_line("a\nb\u{1b}[2Jc\u{202e}d\u{9b}"), "a\\nb\\u{1b}[2Jc\\u{202e}d\\u{9b}");
        assert_eq!(one_line("grüße, 你好, 'quoted'"), "grüße, 你好, 'quoted'");
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_within_the_limit(text in "(?s).{0,2000}") {
            for text in [text.clone(), text.repeat(3)] {
                let line = one_line(&text);
                prop_assert!(line.len() <= LOG_LINE_BYTES_MAX);
                prop_assert!(!line.chars().any(moves));
            }
        }
    }
}
