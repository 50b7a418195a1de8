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

/// Most components, and most lines, that are looked at while nobody can log.
const STEP: usize = 512;

/// Most lines that are counted while nobody can log.
const COUNTED: usize = 4_096;

/// For how long lines are gathered before whoever waits for one looks, in milliseconds.
const GATHER_MS: u64 = 20;

/// Most looks at the log and at the components that other hosts take at once.
pub const LOOKS_MAX: usize = 256;

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
    lines: BTreeMap<u64, Arc<LogEntry>>,
    by_component: BTreeMap<Arc<str>, Share>,
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

/// What a look has decided of components: once for each.
struct Seen<F> {
    may_see: F,
    decided: HashMap<Arc<str>, bool>,
}

impl<F: Fn(&str) -> bool> Seen<F> {
    fn may_see(&mut self, component: &Arc<str>) -> bool {
        if let Some(decided) = self.decided.get(component) {
            return *decided;
        }
        let decided = (self.may_see)(component);
        self.decided.insert(component.clone(), decided);
        decided
    }
}

/// The lines that a look gives: the first ones of a range, or its last ones.
struct Found {
    lines: BTreeMap<u64, Arc<LogEntry>>,
    limit: usize,
    is_last: bool,
}

impl Found {
    /// Whether a line with that number would be among them.
    fn has_room_for(&self, seq: u64) -> bool {
        let edge = if self.is_last { self.lines.first_key_value() } else { self.lines.last_key_value() };
        self.lines.len() < self.limit
            || edge.is_some_and(|(edge, _)| if self.is_last { seq > *edge } else { seq < *edge })
    }

    fn add(&mut self, line: Arc<LogEntry>) {
        self.lines.insert(line.seq, line);
        if self.lines.len() > self.limit {
            if self.is_last {
                self.lines.pop_first()
            } else {
                self.lines.pop_last()
            };
        }
    }
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
    ///
    /// It is asked once for each component, and not while anybody is kept from logging.
    pub(crate) async fn page(&self, query: &LogQuery, may_see: impl Fn(&str) -> bool) -> LogPage {
        let wait_ms = u64::from(query.wait_ms).min(LOG_WAIT_MS_MAX);
        let until = Instant::now() + Duration::from_millis(wait_ms);
        let mut query = query.clone();
        let mut seen = Seen { may_see, decided: HashMap::new() };
        let mut is_over = false;
        loop {
            // Before the look, so that what comes after it is not missed.
            let mut came = std::pin::pin!(self.shared.came.notified());
            came.as_mut().enable();
            let page = self.look(&query, &mut seen).await;
            if !page.lines.is_empty() || is_over || Instant::now() >= until {
                return page;
            }
            // What was looked at and is not the caller's need not be looked at again.
            query.after = Some(page.next);
            is_over = tokio::time::timeout_at(until.into(), came).await.is_err();
            // However many lines come meanwhile, they are one reason to look.
            let gathered = (Instant::now() + Duration::from_millis(GATHER_MS)).min(until);
            tokio::time::sleep_until(gathered.into()).await;
        }
    }

    /// What there is now.
    async fn look<F: Fn(&str) -> bool>(&self, query: &LogQuery, seen: &mut Seen<F>) -> LogPage {
        let limit = (query.limit.max(1) as usize).min(LOG_LINES_MAX);
        let mut found = Found { lines: BTreeMap::new(), limit, is_last: query.after.is_none() };
        let (last, was_forgotten) = {
            let kept = self.shared.kept.lock();
            (kept.last, kept.forgotten)
        };
        let after = query.after.unwrap_or(0);
        match &query.component {
            Some(id) => {
                let component: Arc<str> = id.as_str().into();
                if seen.may_see(&component) {
                    self.shared.kept.lock().find(&component, after, last, &mut found);
                }
            }
            // Few lines: their components are fewer than all.
            None if last.saturating_sub(after) <= STEP as u64 => {
                let newer: Vec<_> = self.shared.kept.lock().between(after, last).take(STEP).collect();
                for line in newer {
                    if found.has_room_for(line.seq) && seen.may_see(&line.component) {
                        found.add(line);
                    }
                }
            }
            None => self.find_all(after, last, seen, &mut found).await,
        }
        let forgotten = match query.after {
            Some(after) if was_forgotten > after => {
                last.saturating_sub(after).saturating_sub(self.count(after, last).await)
            }
            _ => 0,
        };
        answer(query.after, last, forgotten, found)
    }

    /// Finds lines of all components that may be seen, some components at a time: nobody waits long to log.
    async fn find_all<F: Fn(&str) -> bool>(&self, after: u64, last: u64, seen: &mut Seen<F>, found: &mut Found) {
        let mut names: Vec<Arc<str>> = Vec::new();
        loop {
            let from = names.last().map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
            names = {
                let kept = self.shared.kept.lock();
                let some = kept.by_component.range::<Arc<str>, _>((from, Bound::Unbounded)).take(STEP);
                some.map(|(name, _)| name.clone()).collect()
            };
            if names.is_empty() {
                return;
            }
            let visible: Vec<_> = names.iter().filter(|name| seen.may_see(name)).collect();
            for component in visible {
                self.shared.kept.lock().find(component, after, last, found);
            }
            tokio::task::yield_now().await;
        }
    }

    /// How many lines of a range are kept.
    async fn count(&self, after: u64, last: u64) -> u64 {
        let (mut count, mut after) = (0, after);
        loop {
            let (some, end) = {
                let kept = self.shared.kept.lock();
                let numbers =
                    kept.lines.range((Bound::Excluded(after), Bound::Included(last.max(after)))).take(COUNTED);
                numbers.fold((0, None), |(some, _), (seq, _)| (some + 1, Some(*seq)))
            };
            count += some as u64;
            match end {
                Some(end) if some == COUNTED => after = end,
                _ => return count,
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A page of what was found.
fn answer(after: Option<u64>, last: u64, forgotten: u64, found: Found) -> LogPage {
    let Found { lines: found, limit, is_last } = found;
    let mut bytes = 0;
    let fits = |line: &&Arc<LogEntry>| {
        let fits = bytes < ANSWER_BYTES_MAX;
        bytes += line.bytes();
        fits
    };
    let of = |line: &Arc<LogEntry>| LogEntry::clone(line);
    let Some(after) = after.filter(|_| !is_last) else {
        let mut lines: Vec<LogEntry> = found.values().rev().take_while(fits).map(of).collect();
        lines.reverse();
        return LogPage { lines, next: last, forgotten: 0 };
    };
    let lines: Vec<LogEntry> = found.values().take_while(fits).map(of).collect();
    let is_full = lines.len() == limit || lines.len() < found.len();
    let next = if is_full { lines.last().map_or(last, |line| line.seq) } else { last };
    // A number from before the node was started again is none that it has given.
    let next = next.max(if after > last { 0 } else { after });
    LogPage { lines, next, forgotten }
}

impl Kept {
    fn push(&mut self, entry: LogEntry, limits: &LogLimits) {
        let (bytes, component) = (entry.bytes(), entry.component.clone());
        let share = self.by_component.entry(component.clone()).or_default();
        share.lines.push_back(entry.seq);
        share.bytes += bytes;
        let too_many = share.lines.len() > limits.lines_per_component.max(1);
        self.bytes += bytes;
        self.lines.insert(entry.seq, Arc::new(entry));
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

    /// The lines of a range of numbers, in their order.
    fn between(&self, after: u64, last: u64) -> impl Iterator<Item = Arc<LogEntry>> {
        self.lines.range((Bound::Excluded(after), Bound::Included(last.max(after)))).map(|(_, line)| line.clone())
    }

    /// Adds those lines of a component that are among what is looked for.
    fn find(&self, component: &str, after: u64, last: u64, found: &mut Found) {
        let Some(share) = self.by_component.get(component) else { return };
        let (start, end) =
            (share.lines.partition_point(|seq| *seq <= after), share.lines.partition_point(|seq| *seq <= last));
        let range = start..end.max(start);
        let is_last = found.is_last;
        let add = |seq: &u64| {
            let has_room = found.has_room_for(*seq);
            if let Some(line) = self.lines.get(seq).filter(|_| has_room) {
                found.add(line.clone());
            }
            has_room
        };
        // The rest of them is no nearer.
        if is_last {
            share.lines.range(range).rev().map(add).take_while(|has_room| *has_room).for_each(drop);
        } else {
            share.lines.range(range).map(add).take_while(|has_room| *has_room).for_each(drop);
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

    #[tokio::test]
    async fn a_look_decides_once_for_each_component_and_keeps_nobody_from_logging() {
        let log = LogBuffer::new(LogLimits { lines_per_component: 3, bytes: 16 << 20 });
        let components = 2 * STEP + 1;
        for round in 0..3 {
            for n in 0..components {
                log.push(entry(&format!("a/b/{n}"), &format!("{n} {round}")));
            }
        }
        let asked = std::cell::RefCell::new(HashMap::<String, usize>::new());
        let may_see = |component: &str| {
            *asked.borrow_mut().entry(component.into()).or_default() += 1;
            // Whoever decides may take its time: the log is free.
            log.push(entry("a/other/0", "meanwhile"));
            component.ends_with("/7") || component.ends_with("/9")
        };
        let query = LogQuery { limit: 4, ..LogQuery::default() };
        assert_eq!(shown(&log.page(&query, may_see).await), ["7 1", "9 1", "7 2", "9 2"]);
        assert!(asked.borrow().len() >= components && asked.borrow().values().all(|times| *times == 1));
        let page = log.page(&LogQuery { after: Some(0), ..query.clone() }, may_see).await;
        assert_eq!((shown(&page), page.next), (vec!["7 0", "9 0", "7 1", "9 1"], components as u64 + 10));
        let page = log.page(&LogQuery { after: Some(page.next), ..query.clone() }, may_see).await;
        assert_eq!(shown(&page), ["7 2", "9 2"]);
        let one = LogQuery { component: ComponentId::parse("a/b/9").ok(), ..query };
        asked.borrow_mut().clear();
        assert_eq!(shown(&log.page(&one, may_see).await), ["9 0", "9 1", "9 2"]);
        assert_eq!(asked.borrow().len(), 1);
    }
}
