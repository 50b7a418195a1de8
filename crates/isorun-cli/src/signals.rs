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
}

impl Signals {
    /// Needs a tokio runtime.
    pub fn catch() -> Result<Self, Failed> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let caught =
                |kind| signal(kind).map_err(|error| Failed::new(FAILED, format!("cannot catch signals: {error}")));
            Ok(Self { interrupt: caught(SignalKind::interrupt())?, terminate: caught(SignalKind::terminate())? })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// The next signal.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
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
