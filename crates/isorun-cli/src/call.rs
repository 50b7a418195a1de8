//! `isorun call` and what else asks a peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use isorun::{CallOptions, DEADLINE_MS_DEFAULT, Failure, Ledger, RemoteHandle};

use crate::address::PeerPlace;
use crate::args::CallArgs;
use crate::exit::{DEADLINE, Failed};
use crate::invoke::Call;
use crate::keys::Keys;
use crate::load;
use crate::terminal::Terminal;

/// Calls one function of a served instance.
pub async fn call(args: CallArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let runtime = load::runtime()?;
    let time = Time::new(args.timeout);
    let instance = runtime.remote_instance(args.place.transport(&Keys::new(args.keys))?, &args.place.instance);
    let ledger = describe(&instance, &args.place, &time).await?;
    let call = Call::parse(&ledger, "the call", &args.call)?;
    tracing::info!(place = %args.place, function = call.name, "calling");
    let results = instance.exec(&call.name, &call.args, time.options()).await;
    let results = results.map_err(|error| match &*error.failure {
        // Before the call itself was sent, it is the peer's silence that is told of.
        Failure::NotSent { .. } if time.is_over() => Failed::late(&error),
        _ => Failed::call(&error),
    })?;
    call.print(terminal, &results)
}

/// What a served instance exports.
pub async fn describe(instance: &RemoteHandle, place: &PeerPlace, time: &Time) -> Result<Arc<Ledger>, Failed> {
    let described = tokio::time::timeout(Duration::from_millis(time.left_ms()), instance.ledger()).await;
    let late = |_| Failed::new(DEADLINE, format!("{place} does not say within {} ms what it offers", time.all_ms));
    described.map_err(late)?.map_err(|failure| Failed::describe(place, &failure))
}

/// The time of a whole command.
pub struct Time {
    started: Instant,
    all_ms: u64,
}

impl Time {
    pub fn new(timeout: Option<u64>) -> Self {
        Self { started: Instant::now(), all_ms: timeout.unwrap_or(DEADLINE_MS_DEFAULT) }
    }

    /// What is left, as a call takes it.
    pub fn options(&self) -> CallOptions {
        CallOptions { deadline_ms: self.left_ms() }
    }

    /// What comes in time.
    pub async fn of<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let late = |_| Err(Failure::Deadline { waited_ms: self.all_ms });
        tokio::time::timeout(Duration::from_millis(self.left_ms()), work).await.unwrap_or_else(late)
    }

    fn left_ms(&self) -> u64 {
        let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.all_ms.saturating_sub(passed)
    }

    fn is_over(&self) -> bool {
        self.left_ms() == 0
    }
}
