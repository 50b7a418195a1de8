//! Signals that end the command.

use std::future::Future;

use crate::exit::{self, FAILED, Failed};

/// A signal that asks a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Interrupt,
    Terminate,
}

/// Catches the signals that would end the process otherwise, from its making on.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// `None` where whoever started the process wants it to outlive its terminal, as `nohup` does.
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    /// Needs a tokio runtime.
    pub fn catch() -> Result<Self, Failed> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let caught =
                |kind| signal(kind).map_err(|error| Failed::new(FAILED, format!("cannot catch signals: {error}")));
            let hangup = if ignores_hangup() { None } else { Some(caught(SignalKind::hangup())?) };
            Ok(Self {
                interrupt: caught(SignalKind::interrupt())?,
                terminate: caught(SignalKind::terminate())?,
                hangup,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// The next signal.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Signal {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            // The terminal is gone, or a supervisor says so: what runs is to end as it does otherwise.
            _ = hangup => Signal::Terminate,
        }
    }

    /// The next signal.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            // Without a handler the system's own ways to end a process remain.
            Err(_) => std::future::pending().await,
        }
    }

    /// Runs `work` until its end or a signal, whichever comes first; what it holds is dropped either way.
    pub async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        tokio::select! {
            biased;
            signal = self.next() => Err(match signal {
                Signal::Interrupt => Failed::new(exit::INTERRUPTED, "interrupted"),
                Signal::Terminate => Failed::new(exit::TERMINATED, "terminated"),
            }),
            outcome = work => outcome,
        }
    }
}

/// Whether the process was started with SIGHUP ignored, which catching it would undo.
///
/// The system says so on Linux; elsewhere a signal that can't be asked about is caught.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    const HANGUP: u64 = 1;
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}
