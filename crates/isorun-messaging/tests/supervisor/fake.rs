//! Children that do what a test wants them to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use isorun_core::BoxFuture;
use isorun_messaging::{Child, Exit};
use tokio::sync::watch;

/// One life of a child, from its start to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    /// Runs until it is told to stop, and then stops.
    Good,
    /// Can't be started.
    FailsToStart,
    /// Never gets through its start.
    HangsAtStart,
    /// Breaks at its start.
    PanicsAtStart,
    /// Breaks while it runs.
    PanicsLater,
    /// Ends by itself after so many milliseconds.
    EndsAfter(u64, Exit),
    /// Has to be taken away.
    Stubborn,
    /// Can't even be taken away.
    HangsAtStop,
}

/// What was done to children, in order: `+a` is a start of a, `-a 5000` that it was told to stop within 5 s.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    /// What was noted since this was called last.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

pub struct Fake {
    name: &'static str,
    log: Log,
    /// Its next lives; after them they are all good.
    lives: Mutex<VecDeque<Life>>,
    now: Mutex<Life>,
    ended: watch::Sender<Option<Exit>>,
    abandoned: AtomicU32,
}

pub fn failed() -> Exit {
    Exit::Failed { reason: "it broke".into() }
}

impl Fake {
    pub fn new(name: &'static str, log: &Log, lives: impl IntoIterator<Item = Life>) -> Arc<Self> {
        Arc::new(Self {
            name,
            log: log.clone(),
            lives: Mutex::new(lives.into_iter().collect()),
            now: Mutex::new(Life::Good),
            ended: watch::Sender::new(Some(Exit::Normal)),
            abandoned: AtomicU32::new(0),
        })
    }

    /// Ends it from outside.
    pub fn end(&self, exit: Exit) {
        self.ended.send_replace(Some(exit));
    }

    /// How often it was said that nobody will start it again, while it did not run.
    pub fn abandoned(&self) -> u32 {
        self.abandoned.load(Ordering::Relaxed)
    }

    pub fn runs(&self) -> bool {
        self.ended.borrow().is_none()
    }
}

impl Child for Fake {
    fn start(&self) -> BoxFuture<'_, Result<(), Exit>> {
        Box::pin(async {
            self.log.note(format!("{}{}", if self.runs() { "started while it runs: " } else { "+" }, self.name));
            let life = self.lives.lock().unwrap().pop_front().unwrap_or(Life::Good);
            *self.now.lock().unwrap() = life.clone();
            match life {
                Life::FailsToStart => return Err(failed()),
                Life::HangsAtStart => std::future::pending().await,
                Life::PanicsAtStart => panic!("broken at the start"),
                Life::EndsAfter(ms, exit) => {
                    let ended = self.ended.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        ended.send_replace(Some(exit));
                    });
                }
                Life::Good | Life::PanicsLater | Life::Stubborn | Life::HangsAtStop => {}
            }
            self.ended.send_replace(None);
            Ok(())
        })
    }

    fn stop(&self, graceful_ms: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.log.note(format!("-{} {graceful_ms}", self.name));
            let life = self.now.lock().unwrap().clone();
            if !self.runs() {
                return;
            }
            match life {
                Life::Stubborn => {
                    tokio::time::sleep(Duration::from_millis(graceful_ms)).await;
                    self.end(Exit::Killed);
                }
                Life::HangsAtStop => std::future::pending().await,
                _ => self.end(Exit::Normal),
            }
        })
    }

    fn exited(&self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            assert!(*self.now.lock().unwrap() != Life::PanicsLater, "broken later");
            let mut ended = self.ended.subscribe();
            let exit = ended.wait_for(Option::is_some).await.unwrap().clone();
            exit.unwrap()
        })
    }

    fn abandon(&self) {
        assert!(!self.name.is_empty(), "broken when abandoned");
        self.abandoned.fetch_add(u32::from(!self.runs()), Ordering::Relaxed);
    }
}
