//! `isorun:log/log`: a guest's lines, bounded and made safe to show.

mod measures;
mod text;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use isorun_runtime::{HostState, SystemComponent};
use parking_lot::Mutex;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, WasmList, WasmStr};

use self::measures::Measures;
use self::text::Room;

/// Longest line that a sink is given, in bytes: message and fields together, with what was escaped; the rest is cut.
pub const LOG_LINE_BYTES_MAX: usize = 4096;

/// Most fields that a line has; the others are left out.
pub const LOG_FIELDS_MAX: usize = 32;

/// Most lines that one instance may log in a second, in all its stores together.
pub const LOG_INSTANCE_LINES_PER_SECOND_MAX: u32 = 100;

/// How many lines of each second are an instance's own, whatever the others log: of the first [`LOG_SEATS_MAX`] of them.
pub const LOG_INSTANCE_LINES_PER_SECOND_OWN: u32 = 10;

/// Most lines in a second that one [`Logger`] takes beyond those that are an instance's own.
pub const LOG_LINES_PER_SECOND_MAX: u32 = 1_000;

/// Bytes of text that a [`Logger`] reads for one instance in a second.
///
/// The engine gives no part of a message, and tells how long one is only by reading all of it, which `hostcall_fuel`
/// bounds. So a message that is longer than this is read, cut and kept, and pays for itself with the seconds that follow,
/// in which nothing is read for its instance.
pub const LOG_INSTANCE_BYTES_PER_SECOND_MAX: u32 = 1 << 20;

/// Instances that have [`LOG_INSTANCE_LINES_PER_SECOND_OWN`] in a second: those that log first in it.
pub const LOG_SEATS_MAX: usize = 256;

/// How many others have one line of their own in that second, so that those that log first never silence the rest.
pub const LOG_LATECOMERS_MAX: u32 = 512;

/// Most instances that a [`Logger`] measures, and counts the dropped lines of, at a time.
///
/// Of those that logged in this second, owe for what was read, or were not told yet what was dropped. The lines of yet
/// another one are dropped and counted together, which is told to `tracing` in the next second in which anything is logged.
/// A measure takes less than 128 bytes beside the name.
pub const LOG_INSTANCES_MAX: usize = 16_384;

/// What one second can bring to whoever keeps the lines, from all instances together.
const LINES_PER_SECOND: usize = LOG_LINES_PER_SECOND_MAX as usize
    + LOG_SEATS_MAX * LOG_INSTANCE_LINES_PER_SECOND_OWN as usize
    + LOG_LATECOMERS_MAX as usize;
// It can cost them 16 MiB.
const _: () = assert!(LOG_LINE_BYTES_MAX * LINES_PER_SECOND <= 16 << 20);
// Ordinary lines are never short of bytes before they are short of lines.
const _: () = assert!(
    LOG_LINE_BYTES_MAX * LOG_INSTANCE_LINES_PER_SECOND_MAX as usize <= LOG_INSTANCE_BYTES_PER_SECOND_MAX as usize
);

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

/// A name and a value of a line; nothing in either moves a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogField {
    /// What it is called, in the guest's words.
    pub name: String,
    /// What it is.
    pub value: String,
}

/// One line of a guest's, as a sink is given it. It is shown as its message, and `name=value` for each of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// The name of the instance that wrote it.
    pub instance: &'a str,
    /// How much it matters, in the guest's own view.
    pub level: LogLevel,
    /// The text: one line of at most [`LOG_LINE_BYTES_MAX`] bytes, in which nothing moves a cursor.
    pub message: &'a str,
    /// Names and values that came with it, in the guest's order: at most [`LOG_FIELDS_MAX`], and as many as have room on
    /// the line beside the message.
    pub fields: &'a [LogField],
    /// How many lines of this instance were dropped since the sink was last given one of it.
    pub dropped_before: u64,
}

type Sink = dyn Fn(&LogLine<'_>) + Send + Sync;

/// A log for guests, which serves `isorun:log/log@0.1.0`.
///
/// Lines go to `tracing`, under the target `guest`, or to a sink of one's own.
/// A guest can write whatever it likes and as fast as it can: lines are cut at
/// [`LOG_LINE_BYTES_MAX`], control characters are escaped, so that no line forges
/// another or speaks to the terminal, and lines beyond
/// [`LOG_INSTANCE_LINES_PER_SECOND_MAX`] are dropped and counted, by the name of
/// their instance. All instances share [`LOG_LINES_PER_SECOND_MAX`], but for the
/// few lines that are each one's own, so that none can silence another: ten for the
/// first [`LOG_SEATS_MAX`] of a second, one for [`LOG_LATECOMERS_MAX`] more. Cloning
/// is cheap and gives the same log.
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
    measures: Mutex<Measures>,
    dropped: AtomicU64,
}

impl Logger {
    /// A log whose lines go to `tracing`.
    #[must_use]
    pub fn new() -> Self {
        Self::to(trace)
    }

    /// A log whose lines go to `sink`, which is called while the guest waits: one that takes long belongs behind a queue.
    pub fn to(sink: impl Fn(&LogLine<'_>) + Send + Sync + 'static) -> Self {
        let measures = Mutex::new(Measures::default());
        Self { shared: Arc::new(Shared { sink: Box::new(sink), measures, dropped: AtomicU64::new(0) }) }
    }

    /// How many lines of all instances were dropped so far, because too much came in a second.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Takes a line as it lies in the guest's memory, with its fields where the interface has such.
    pub(crate) fn log(
        &self,
        mut cx: StoreContextMut<'_, HostState>,
        level: LogLevel,
        message: &WasmStr,
        fields: Option<&WasmList<(WasmStr, WasmStr)>>,
    ) -> wasmtime::Result<()> {
        let now = Instant::now();
        let (admitted, untold) = {
            let mut measures = self.shared.measures.lock();
            let untold = measures.turn(now);
            (measures.admits(cx.data().instance(), now), untold)
        };
        if untold > 0 {
            tracing::warn!(target: "guest", dropped = untold, "lines of more instances than are counted apart were dropped");
        }
        if !admitted {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let mut bytes = 0;
        let line = read(&mut cx, message, fields, &mut bytes);
        let instance = cx.data().instance();
        let dropped_before = self.shared.measures.lock().read(instance, now, bytes);
        let (message, fields) = line?;
        (self.shared.sink)(&LogLine { instance, level, message: &message, fields: &fields, dropped_before });
        Ok(())
    }
}

/// Reads a line, and counts what was read of the guest's memory, whatever came of it.
fn read(
    cx: &mut StoreContextMut<'_, HostState>,
    message: &WasmStr,
    fields: Option<&WasmList<(WasmStr, WasmStr)>>,
    bytes: &mut u64,
) -> wasmtime::Result<(String, Vec<LogField>)> {
    let mut room = Room::new();
    let message = read_text(cx, message, &mut room, bytes)?;
    let mut read = Vec::new();
    let fields = match fields {
        Some(fields) => fields.iter(&mut *cx)?.take(LOG_FIELDS_MAX).collect::<wasmtime::Result<Vec<_>>>()?,
        None => Vec::new(),
    };
    for (name, value) in fields {
        if !room.begins_field() {
            break;
        }
        let name = read_text(cx, &name, &mut room, bytes)?;
        read.push(LogField { name, value: read_text(cx, &value, &mut room, bytes)? });
    }
    Ok((message, read))
}

fn read_text(
    cx: &StoreContextMut<'_, HostState>,
    text: &WasmStr,
    room: &mut Room,
    bytes: &mut u64,
) -> wasmtime::Result<String> {
    let text = text.to_str(cx);
    // What is no text has been read too, and can't say how far: as far as a message can be long.
    let budget = cx.data().limiter().budget();
    *bytes += text.as_ref().map_or(budget.hostcall_fuel.min(budget.max_memory_bytes), |text| text.len() as u64);
    Ok(room.take(&text?))
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
        // The engine lifts a string by its place, and reads nothing before it is asked to.
        linker.instance(INTERFACE)?.func_wrap(
            "log",
            move |cx: StoreContextMut<'_, HostState>, (level, message): (LogLevel, WasmStr)| {
                logger.log(cx, level, &message, None)
            },
        )
    }

    /// Does nothing: what an instance logged is kept by its name, since its stores come and go.
    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}

fn trace(line: &LogLine<'_>) {
    let LogLine { instance, level, dropped_before, .. } = line;
    if *dropped_before > 0 {
        tracing::warn!(target: "guest", instance, dropped = dropped_before, "lines of this instance were dropped");
    }
    match level {
        LogLevel::Trace => tracing::trace!(target: "guest", instance, "{line}"),
        LogLevel::Debug => tracing::debug!(target: "guest", instance, "{line}"),
        LogLevel::Info => tracing::info!(target: "guest", instance, "{line}"),
        LogLevel::Warn => tracing::warn!(target: "guest", instance, "{line}"),
        LogLevel::Error => tracing::error!(target: "guest", instance, "{line}"),
    }
}
