//! What whoever sits in front of a pipe sees of it.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// How far a pipe has come.
pub struct Progress {
    started: Instant,
    read: AtomicU64,
    written: AtomicU64,
    /// The nodes' names, and how many calls are in each now.
    nodes: Vec<(String, AtomicU32)>,
}

impl Progress {
    pub fn new(nodes: impl Iterator<Item = String>) -> Self {
        let nodes = nodes.map(|name| (name, AtomicU32::new(0))).collect();
        Self { started: Instant::now(), read: AtomicU64::new(0), written: AtomicU64::new(0), nodes }
    }

    pub fn read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Says that a node works, until that is dropped.
    pub fn working(&self, at: usize) -> Working<'_> {
        let calls = &self.nodes[at].1;
        calls.fetch_add(1, Ordering::Relaxed);
        Working { calls }
    }

    /// Awaits `work`; whoever sits in front of it sees how far it is, once it takes longer than a second.
    ///
    /// Not where the output is on the same terminal.
    pub async fn shown_while<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if !io::stderr().is_terminal() || io::stdout().is_terminal() {
            return work.await;
        }
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(SLOW) => {}
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(SLOW);
        // A signal drops all of this.
        let bar = bar.with_finish(ProgressFinish::AndClear);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        loop {
            bar.set_message(self.line());
            bar.tick();
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    fn line(&self) -> String {
        let (read, written) = (self.read.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed));
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        // A rate for the eye.
        let rate = BinaryBytes((read as f64 / seconds) as u64);
        let at_work = self.nodes.iter().filter(|(_, calls)| calls.load(Ordering::Relaxed) > 0);
        let at_work: Vec<_> = at_work.map(|(name, _)| name.as_str()).collect();
        let what = if at_work.is_empty() { "waiting for input".into() } else { format!("in {}", at_work.join("; ")) };
        format!("{} read, {rate}/s, {} written, {what}", BinaryBytes(read), BinaryBytes(written))
    }
}

/// A call of a node.
pub struct Working<'a> {
    calls: &'a AtomicU32,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long something may take before it is shown that it goes on.
const SLOW: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_came_what_went_and_who_works() {
        let progress = Progress::new(["`a.wasm`".to_owned(), "`b.wasm`".to_owned()].into_iter());
        progress.read(3 << 20);
        progress.written(2048);
        let line = progress.line();
        assert!(
            line.starts_with("3.00 MiB read, ") && line.ends_with("/s, 2.00 KiB written, waiting for input"),
            "{line}"
        );
        let _working = (progress.working(0), progress.working(1));
        assert!(progress.line().ends_with("in `a.wasm`; `b.wasm`"), "{}", progress.line());
    }
}
