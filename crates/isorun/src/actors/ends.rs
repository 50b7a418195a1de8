//! How components end, as lines of their node's log: where whoever looks for a failure looks first.

use isorun_core::BoxFuture;
use isorun_messaging::{Child, ComponentRef, Exit};
use isorun_system::LogLevel;
use parking_lot::Mutex;

use super::logs::{LogBuffer, LogEntry};
use super::now_ms;

/// Signs of a reason that a line holds; the rest is cut.
const REASON_CHARS_MAX: usize = 1_000;

/// A component as its supervisor has it.
pub(super) struct Told {
    component: ComponentRef,
    logs: LogBuffer,
    life: Mutex<Life>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Never started, or stopped as it should.
    None,
    /// It was started, and its end has not been told.
    Begun,
    /// It failed, and nobody has started it since.
    Failed,
}

impl Told {
    pub(super) fn new(component: ComponentRef, logs: LogBuffer) -> Self {
        Self { component, logs, life: Mutex::new(Life::None) }
    }

    fn ended(&self, exit: &Exit) {
        let (level, message) = match exit {
            Exit::Normal => (None, String::new()),
            Exit::Failed { reason } => (Some(LogLevel::Error), format!("failed: {}", one_line(reason))),
            Exit::Killed => (Some(LogLevel::Warn), "killed: it did not stop in time".into()),
            // What has no case here yet ends it all the same.
            exit => (Some(LogLevel::Error), one_line(&exit.to_string())),
        };
        {
            let mut life = self.life.lock();
            if *life != Life::Begun {
                return;
            }
            *life = if level.is_some() { Life::Failed } else { Life::None };
        }
        if let Some(level) = level {
            self.say(level, message);
        }
    }

    fn say(&self, level: LogLevel, message: String) {
        self.logs.push(LogEntry {
            seq: 0,
            timestamp_ms: now_ms(),
            component: self.component.id().as_str().into(),
            level,
            message,
            fields: Vec::new(),
            dropped_before: 0,
        });
    }
}

impl Child for Told {
    fn start(&self) -> BoxFuture<'_, Result<(), Exit>> {
        Box::pin(async move {
            let before = std::mem::replace(&mut *self.life.lock(), Life::Begun);
            let started = Child::start(&self.component).await;
            match &started {
                Ok(()) if before == Life::Failed => {
                    self.say(LogLevel::Warn, format!("started again, restart {}", self.component.restarts()));
                }
                Ok(()) => {}
                Err(exit) => self.ended(exit),
            }
            started
        })
    }

    fn stop(&self, graceful_ms: u64) -> BoxFuture<'_, ()> {
        Child::stop(&self.component, graceful_ms)
    }

    fn exited(&self) -> BoxFuture<'_, Exit> {
        Box::pin(async move {
            let exit = Child::exited(&self.component).await;
            self.ended(&exit);
            exit
        })
    }

    fn abandon(&self) {
        if std::mem::replace(&mut *self.life.lock(), Life::None) == Life::Failed {
            self.say(LogLevel::Error, "is not started again: what waits for it is given up".into());
        }
        self.component.abandon();
    }
}

/// What a component may have said, on one line in which nothing moves a cursor.
fn one_line(text: &str) -> String {
    let shown = text.chars().take(REASON_CHARS_MAX);
    let mut line = String::new();
    for sign in shown {
        match sign {
            '\n' => line.push_str("; "),
            sign if isorun_core::moves_cursor(sign) => line.extend(sign.escape_default()),
            sign => line.push(sign),
        }
    }
    if text.chars().nth(REASON_CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}
