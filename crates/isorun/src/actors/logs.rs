//! The last lines of components, kept for whoever asks.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isorun_core::ComponentId;
use isorun_system::LogLevel;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Longest time that a look at the log waits for a line, in milliseconds.
pub const LOG_WAIT_MS_MAX: u64 = 30_000;

/// Most lines that one look at the log gives.
pub const LOG_LINES_MAX: usize = 256;

/// About what a line takes beside its texts, in bytes.
const LINE_BYTES: usize = 128;

/// Bytes of lines that one answer holds; the last one may pass it.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A line that a component logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number among all lines of its node; they only grow.
    pub seq: u64,
    /// When it came, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// Who wrote it.
    pub component: Arc<str>,
    /// How much it matters, in the component's own view.
    pub level: LogLevel,
    /// What it says, on one line.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
    /// How many lines of the component were dropped before this one, because too many came.
    pub dropped_before: u64,
}

impl LogEntry {
    fn bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len() + LINE_BYTES / 2).sum();
        LINE_BYTES + self.component.len() + self.message.len() + fields
    }
}

/// How much of the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Lines of one component; beyond, its oldest goes. Default 1,000.
    pub lines_per_component: usize,
    /// Bytes of all lines, with what keeps them; beyond, the oldest of the component that has most goes. Default 16 MiB.
    pub bytes: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { lines_per_component: 1_000, bytes: 16 << 20 }
    }
}

/// What is asked of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Of this component; of all where it is `None`.
    pub component: Option<ComponentId>,
    /// The first lines after this number; the last ones where it is `None`.
    pub after: Option<u64>,
    /// How many lines, [`LOG_LINES_MAX`] at most; 0 is 1.
    pub limit: u32,
    /// How long to wait where there is none, in milliseconds; [`LOG_WAIT_MS_MAX`] at most.
    pub wait_ms: u32,
}

/// What the log has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPage {
    /// In the order in which they came.
    pub lines: Vec<LogEntry>,
    /// What to ask for next, as [`LogQuery::after`].
    pub next: u64,
    /// How many lines after [`LogQuery::after`] are not kept any more, of whatever component.
    pub forgotten: u64,
}

/// The last lines of components; clones are the same.
#[derive(Clone)]
pub(crate) struct LogBuffer {
    shared: Arc<Shared>,
}

struct Shared {
    limits: LogLimits,
    kept: Mutex<Kept>,
    came: Notify,
}

#[derive(Default)]
struct Kept {
    /// By their numbers.
    lines: BTreeMap<u64, LogEntry>,
    by_component: HashMap<Arc<str>, Share>,
    bytes: usize,
    /// The number of the last line, the first one's being 1.
    last: u64,
    /// The highest number that was forgotten.
    forgotten: u64,
}

/// What one component has of it.
#[derive(Default)]
struct Share {
    /// The numbers of its lines, in their order.
    lines: VecDeque<u64>,
    bytes: usize,
}

impl LogBuffer {
    pub(crate) fn new(limits: LogLimits) -> Self {
        Self { shared: Arc::new(Shared { limits, kept: Mutex::default(), came: Notify::new() }) }
    }

    /// Keeps a line, whose number is given to it here.
    pub(crate) fn push(&self, mut entry: LogEntry) {
        {
            let mut kept = self.shared.kept.lock();
            kept.last += 1;
            entry.seq = kept.last;
            kept.push(entry, &self.shared.limits);
        }
        self.shared.came.notify_waiters();
    }

    /// Whether lines of that component are kept.
    pub(crate) fn has(&self, component: &str) -> bool {
        self.shared.kept.lock().by_component.contains_key(component)
    }

    /// The lines that are asked for and that `may_see` lets the caller see.
    pub(crate) async fn page(&self, query: &LogQuery, may_see: impl Fn(&str) -> bool) -> LogPage {
        let wait_ms = u64::from(query.wait_ms).min(LOG_WAIT_MS_MAX);
        let until = Instant::now() + Duration::from_millis(wait_ms);
        let mut query = query.clone();
        loop {
            // Before the look, so that what comes after it is not missed.
            let mut came = std::pin::pin!(self.shared.came.notified());
            came.as_mut().enable();
            let page = self.shared.kept.lock().page(&query, &may_see);
            if !page.lines.is_empty() || Instant::now() >= until {
                return page;
            }
            // What was looked at and is not the caller's need not be looked at again.
            query.after = Some(page.next);
            if tokio::time::timeout_at(until.into(), came).await.is_err() {
                return page;
            }
        }
    }
}

impl Kept {
    fn push(&mut self, entry: LogEntry, limits: &LogLimits) {
        let (bytes, component) = (entry.bytes(), entry.component.clone());
        let share = self.by_component.entry(component.clone()).or_default();
        share.lines.push_back(entry.seq);
        share.bytes += bytes;
        let too_many = share.lines.len() > limits.lines_per_component.max(1);
        self.bytes += bytes;
        self.lines.insert(entry.seq, entry);
        if too_many {
            self.forget_oldest(&component);
        }
        while self.bytes > limits.bytes && self.lines.len() > 1 {
            let largest = self.by_component.iter().max_by_key(|(_, share)| share.bytes).map(|(name, _)| name.clone());
            match largest {
                Some(largest) => self.forget_oldest(&largest),
                None => break,
            }
        }
    }

    fn forget_oldest(&mut self, component: &str) {
        let Some(share) = self.by_component.get_mut(component) else { return };
        let Some(line) = share.lines.pop_front().and_then(|seq| self.lines.remove(&seq)) else { return };
        share.bytes -= line.bytes();
        if share.lines.is_empty() {
            self.by_component.remove(component);
        }
        self.bytes -= line.bytes();
        self.forgotten = self.forgotten.max(line.seq);
    }

    fn page(&self, query: &LogQuery, may_see: &impl Fn(&str) -> bool) -> LogPage {
        let limit = (query.limit.max(1) as usize).min(LOG_LINES_MAX);
        let wanted = |line: &&LogEntry| {
            query.component.as_ref().is_none_or(|id| id.as_str() == &*line.component) && may_see(&line.component)
        };
        let mut bytes = 0;
        let fits = |line: &&LogEntry| {
            let fits = bytes < ANSWER_BYTES_MAX;
            bytes += line.bytes();
            fits
        };
        match query.after {
            None => {
                let last = self.lines.values().rev().filter(wanted).take(limit).take_while(fits);
                let mut lines: Vec<_> = last.cloned().collect();
                lines.reverse();
                LogPage { lines, next: self.last, forgotten: 0 }
            }
            Some(after) => {
                let newer = || self.lines.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, line)| line);
                let rest = newer().filter(wanted);
                let lines: Vec<_> = rest.take(limit).take_while(fits).cloned().collect();
                let is_full = lines.len() == limit || bytes >= ANSWER_BYTES_MAX;
                let next = if is_full { lines.last().map_or(self.last, |line| line.seq) } else { self.last };
                // A number from before the node was started again is none that it has given.
                let next = next.max(if after > self.last { 0 } else { after });
                let forgotten = match self.forgotten > after {
                    true => self.last.saturating_sub(after).saturating_sub(newer().count() as u64),
                    false => 0,
                };
                LogPage { lines, next, forgotten }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(component: &str, message: &str) -> LogEntry {
        LogEntry {
            seq: 0,
            timestamp_ms: 0,
            component: component.into(),
            level: LogLevel::Info,
            message: message.into(),
            fields: Vec::new(),
            dropped_before: 0,
        }
    }

    fn shown(page: &LogPage) -> Vec<&str> {
        page.lines.iter().map(|line| line.message.as_str()).collect()
    }

    async fn after(log: &LogBuffer, after: Option<u64>, limit: u32) -> LogPage {
        log.page(&LogQuery { after, limit, ..LogQuery::default() }, |_| true).await
    }

    #[tokio::test]
    async fn lines_come_in_pages_that_follow_each_other() {
        let log = LogBuffer::new(LogLimits::default());
        for n in 0..5 {
            log.push(entry("a/b/0", &n.to_string()));
        }
        let page = after(&log, None, 2).await;
        assert_eq!((shown(&page), page.next), (vec!["3", "4"], 5));
        let page = after(&log, Some(0), 3).await;
        assert_eq!((shown(&page), page.next, page.forgotten), (vec!["0", "1", "2"], 3, 0));
        let page = after(&log, Some(page.next), 3).await;
        assert_eq!((shown(&page), page.next), (vec!["3", "4"], 5));
        assert_eq!(shown(&after(&log, Some(5), 0).await), Vec::<&str>::new());
        assert_eq!(shown(&after(&log, Some(0), 0).await), ["0"]);
    }

    #[tokio::test]
    async fn no_component_has_more_lines_than_may_be_kept_and_the_largest_gives_room() {
        let log = LogBuffer::new(LogLimits { lines_per_component: 2, bytes: 1 << 20 });
        for n in 0..3 {
            log.push(entry("a/b/0", &n.to_string()));
        }
        log.push(entry("a/b/1", "other"));
        let page = after(&log, Some(0), 10).await;
        assert_eq!((shown(&page), page.forgotten), (vec!["1", "2", "other"], 1));

        let log = LogBuffer::new(LogLimits { lines_per_component: 10, bytes: 4 * LINE_BYTES });
        log.push(entry("a/b/1", "quiet"));
        for n in 0..10 {
            log.push(entry("a/b/0", &n.to_string()));
        }
        let page = after(&log, Some(0), 10).await;
        assert_eq!(page.lines[0].message, "quiet");
        assert!(page.lines.len() <= 4 && log.shared.kept.lock().bytes <= 4 * LINE_BYTES);
        assert_eq!(page.forgotten, 11 - page.lines.len() as u64);
    }

    #[tokio::test]
    async fn whoever_waits_gets_the_next_line_and_none_that_is_not_for_it() {
        let log = LogBuffer::new(LogLimits::default());
        let query = LogQuery { after: Some(0), limit: 10, wait_ms: 30_000, ..LogQuery::default() };
        let (looking, other) = (log.clone(), log.clone());
        let look = tokio::spawn(async move { looking.page(&query, |component| component == "a/b/1").await });
        other.push(entry("a/b/0", "secret"));
        other.push(entry("a/b/1", "mine"));
        assert_eq!(shown(&look.await.unwrap()), ["mine"]);
    }
}
