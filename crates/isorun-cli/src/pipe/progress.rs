//! What whoever sits in front of a pipe sees of it.

use std::io::{self, IsTerminal, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far a pipe has come.
pub struct Progress {
    started: Instant,
    /// When the first byte came.
    first: OnceLock<Instant>,
    read: AtomicU64,
    written: AtomicU64,
    /// What there is to read, in bytes, where that is known.
    total: Option<u64>,
    /// What reads, the nodes, and what writes.
    parts: Vec<Part>,
}

/// A part of the pipe, which does one thing at a time.
struct Part {
    /// What is said where it is this one that takes the time.
    doing: String,
    /// What it has worked so far, in nanoseconds.
    worked: AtomicU64,
    /// Since when it works, in nanoseconds from the start; [`IDLE`] where it waits for another part.
    since: AtomicU64,
}

/// No time.
const IDLE: u64 = u64::MAX;

impl Progress {
    /// Of the nodes of these names; `total` is what there is to read, in bytes, where that is known.
    pub fn new(nodes: impl Iterator<Item = String>, total: Option<u64>) -> Self {
        let reading = if total.is_some() { "reading" } else { "waiting for input" };
        let nodes = nodes.map(|name| format!("processing in {name}"));
        let doing = [reading.to_owned()].into_iter().chain(nodes).chain(["waiting for the output's reader".to_owned()]);
        let part = |doing| Part { doing, worked: AtomicU64::new(0), since: AtomicU64::new(IDLE) };
        Self {
            started: Instant::now(),
            first: OnceLock::new(),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            total,
            parts: doing.map(part).collect(),
        }
    }

    /// Counts what is read.
    pub fn counted<R: Read>(&self, from: R) -> Counted<'_, R> {
        Counted { from, progress: self }
    }

    pub fn written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Says that the input is read, or waited for, until that is dropped.
    pub fn reading(&self) -> Working<'_> {
        self.at_work(0)
    }

    /// Says that a node works, until that is dropped.
    pub fn working(&self, node: usize) -> Working<'_> {
        self.at_work(node + 1)
    }

    /// Says that the output is written, until that is dropped.
    pub fn writing(&self) -> Working<'_> {
        self.at_work(self.parts.len() - 1)
    }

    fn at_work(&self, part: usize) -> Working<'_> {
        let part = &self.parts[part];
        part.since.store(self.now(), Ordering::Relaxed);
        Working { progress: self, part }
    }

    /// Nanoseconds from the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(IDLE - 1)
    }

    /// What each part has worked so far, in nanoseconds.
    fn worked(&self) -> Vec<u64> {
        let now = self.now();
        let worked = |part: &Part| {
            // What it has just ended may be missing for a moment.
            let worked = part.worked.load(Ordering::Relaxed);
            worked + now.saturating_sub(part.since.load(Ordering::Relaxed))
        };
        self.parts.iter().map(worked).collect()
    }

    /// Awaits `work`; whoever sits in front of it sees how far it is, once it takes longer than a second.
    ///
    /// Not where the output is on the same terminal.
    pub async fn shown_while<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        let is_seen = io::stderr().is_terminal() && !io::stdout().is_terminal();
        let _shown = is_seen.then(|| Shown::start(self));
        work.await
    }

    /// Shows how far it is until `end` is dropped.
    fn show(&self, end: &Receiver<()>) {
        if end.recv_timeout(SLOW) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(SLOW);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        let (mut before, mut part, mut next) = (vec![0; self.parts.len()], 0, Instant::now());
        loop {
            if next <= Instant::now() {
                let worked = self.worked();
                part = slowest(&before, &worked);
                (before, next) = (worked, Instant::now() + LOOK);
            }
            bar.set_message(self.line(part));
            bar.tick();
            if end.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        bar.finish_and_clear();
    }

    /// What takes the time now, and how far it is: what matters most comes first, as narrow terminals cut the rest.
    fn line(&self, part: usize) -> String {
        let (read, written) = (self.read.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed));
        let doing = &self.parts[part].doing;
        let of = match self.total {
            // A file may grow while it is read.
            Some(total) if read <= total => format!(" of {}", BinaryBytes(total)),
            Some(_) | None => String::new(),
        };
        let rate = self.first.get().map(|first| {
            let seconds = first.elapsed().as_secs_f64().max(0.001);
            // For the eye.
            format!(", {}/s", BinaryBytes((read as f64 / seconds) as u64))
        });
        let rate = rate.unwrap_or_default();
        format!("{doing}: {}{of} read{rate}, {} written", BinaryBytes(read), BinaryBytes(written))
    }
}

/// The part that has worked most between two looks: the others wait for it.
fn slowest(before: &[u64], now: &[u64]) -> usize {
    let worked = now.iter().zip(before).map(|(now, before)| now.saturating_sub(*before));
    worked.enumerate().max_by_key(|(_, worked)| *worked).map_or(0, |(part, _)| part)
}

/// A thread that shows how far it is, so that it is seen while nodes keep all others busy; it ends with this.
struct Shown {
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Shown {
    fn start(progress: Arc<Progress>) -> Self {
        let (sender, end) = sync_channel(0);
        let thread = thread::Builder::new().name("progress".into()).spawn(move || progress.show(&end));
        // Without it, nothing is seen, and all goes on.
        Self { thread: thread.ok().map(|thread| (sender, thread)) }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // What is said next must not be cleared with it.
            let _ = thread.join();
        }
    }
}

/// Work of a part.
pub struct Working<'a> {
    progress: &'a Progress,
    part: &'a Part,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let since = self.part.since.swap(IDLE, Ordering::Relaxed);
        self.part.worked.fetch_add(self.progress.now().saturating_sub(since), Ordering::Relaxed);
    }
}

/// What is read through this is counted.
pub struct Counted<'a, R> {
    from: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.from.read(into)?;
        if bytes > 0 {
            self.progress.first.get_or_init(Instant::now);
            self.progress.read.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        Ok(bytes)
    }
}

/// How long something may take before it is shown that it goes on.
const SLOW: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(120);
/// Over how long it is seen which part works most: what changes faster can't be read.
const LOOK: Duration = Duration::from_millis(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(total: Option<u64>) -> Progress {
        Progress::new(["`a.wasm`".to_owned(), "`b.wasm`".to_owned()].into_iter(), total)
    }

    fn check(progress: &Progress, part: usize, starts: &str, ends: &str) {
        let line = progress.line(part);
        assert!(line.starts_with(starts) && line.ends_with(ends), "{line}");
    }

    #[test]
    fn a_line_says_who_works_what_came_and_what_went() {
        let pipe = progress(None);
        // There is no rate before the first byte.
        assert_eq!(pipe.line(0), "waiting for input: 0 B read, 0 B written");
        pipe.counted(&vec![7; 3 << 20][..]).read_to_end(&mut Vec::new()).unwrap();
        pipe.written(2048);
        check(&pipe, 1, "processing in `a.wasm`: 3.00 MiB read, ", "/s, 2.00 KiB written");
        check(&pipe, 3, "waiting for the output's reader: 3.00 MiB read, ", "/s, 2.00 KiB written");
    }

    #[test]
    fn of_a_file_is_said_how_much_there_is() {
        let file = progress(Some(2048));
        let mut input = file.counted(&[7; 2049][..]);
        input.read_exact(&mut [0; 1024]).unwrap();
        check(&file, 0, "reading: 1.00 KiB of 2.00 KiB read, ", "/s, 0 B written");
        // It has grown meanwhile.
        input.read_to_end(&mut Vec::new()).unwrap();
        check(&file, 2, "processing in `b.wasm`: 2.00 KiB read, ", "/s, 0 B written");
    }

    #[test]
    fn who_works_longest_is_who_the_others_wait_for() {
        assert_eq!(slowest(&[0, 0, 0, 0], &[5, 90, 80, 1]), 1);
        assert_eq!(slowest(&[0, 90, 80, 1], &[5, 91, 89, 2]), 2);
        // What is under way counts, and what has ended.
        let pipe = progress(None);
        let now = || pipe.worked();
        let working = pipe.working(1);
        let before = now();
        while now()[2] == before[2] {}
        assert_eq!(slowest(&before, &now()), 2);
        let under_way = now()[2];
        drop(working);
        assert!(now()[2] >= under_way);
        assert_eq!([now()[0], now()[1], now()[3]], [0; 3]);
        let (_reading, _writing) = (pipe.reading(), pipe.writing());
        while now()[0] == 0 || now()[3] == 0 {}
    }
}
