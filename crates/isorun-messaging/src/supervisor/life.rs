//! One life of a child: the futures that start it, wait for its end, and take it away.

use std::sync::Arc;
use std::time::Duration;

use isorun_core::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::machine::{ChildEvent, ChildKey};
use crate::{Child, Exit};

/// By when a child that is being stopped is to be taken away; `None` while it may run.
pub(super) type StopBy = watch::Receiver<Option<Instant>>;

/// How long a child is waited for that was to be taken away, in milliseconds; then it is left to itself.
///
/// [`Child::stop`] promises not to take longer than it is given: this is for one that breaks its word.
pub(super) const HARD_MS: u64 = 1_000;

/// Starts a child; or takes away what is there of it, where it takes too long or is told to stop.
pub(super) async fn start(
    child: Arc<dyn Child>,
    key: ChildKey,
    start_ms: u64,
    mut stop_by: StopBy,
) -> (ChildKey, ChildEvent) {
    // Dropped before the child is taken away.
    let started = {
        let mut starting = child.start();
        tokio::select! {
            biased;
            result = &mut starting => Some(result),
            _ = told(&mut stop_by) => end_start(&*child, starting, &mut stop_by).await,
            () = sleep(Duration::from_millis(start_ms)) => None,
        }
    };
    let was_told = stop_by.borrow().is_some();
    let event = match started {
        Some(Ok(())) if was_told => ChildEvent::Exited(take_down(&*child, &mut child.exited(), &mut stop_by).await),
        Some(Ok(())) => ChildEvent::Started,
        Some(Err(exit)) => ChildEvent::StartFailed(exit),
        None => {
            take_away(&*child).await;
            ChildEvent::StartFailed(match was_told {
                true => Exit::Killed,
                false => Exit::Failed { reason: format!("it did not start within {start_ms} ms") },
            })
        }
    };
    (key, event)
}

/// Tells a child to stop that is being started, and waits for what comes of its start; nothing by the deadline, `None`.
async fn end_start(
    child: &dyn Child,
    mut starting: BoxFuture<'_, Result<(), Exit>>,
    stop_by: &mut StopBy,
) -> Option<Result<(), Exit>> {
    loop {
        let deadline = stop_by.borrow_and_update().unwrap_or_else(Instant::now);
        // It may hear that while it starts, as a supervisor does; if not, it is told once more when it runs.
        let telling = async {
            child.stop(ms_until(deadline)).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            result = &mut starting => return Some(result),
            () = sleep_until(deadline) => return None,
            Ok(()) = stop_by.changed() => {}
            () = telling => {}
        }
    }
}

fn ms_until(deadline: Instant) -> u64 {
    u64::try_from(deadline.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX)
}

/// Waits until a child that runs ends, by itself or because it is told to.
pub(super) async fn end(child: Arc<dyn Child>, key: ChildKey, mut stop_by: StopBy) -> (ChildKey, ChildEvent) {
    let mut exited = child.exited();
    let exit = tokio::select! {
        biased;
        exit = &mut exited => exit,
        _ = told(&mut stop_by) => take_down(&*child, &mut exited, &mut stop_by).await,
    };
    (key, ChildEvent::Exited(exit))
}

/// Takes away what is left of a child whose task broke.
pub(super) async fn clear(child: Arc<dyn Child>, key: ChildKey, event: ChildEvent) -> (ChildKey, ChildEvent) {
    take_away(&*child).await;
    (key, event)
}

/// Nothing more than an effort: what broke, or did not even start, has nothing to put in order.
async fn take_away(child: &dyn Child) {
    let _ = timeout(Duration::from_millis(HARD_MS), child.stop(0)).await;
}

/// Waits until a child is told to stop.
async fn told(stop_by: &mut StopBy) {
    if stop_by.wait_for(Option::is_some).await.is_err() {
        // The supervisor's task is gone, and this one goes with it.
        std::future::pending().await
    }
}

/// Stops a child by the deadline that it is given, or by an earlier one that comes meanwhile.
async fn take_down(child: &dyn Child, exited: &mut BoxFuture<'_, Exit>, stop_by: &mut StopBy) -> Exit {
    loop {
        let deadline = stop_by.borrow_and_update().unwrap_or_else(Instant::now);
        let down = async {
            child.stop(ms_until(deadline)).await;
            exited.as_mut().await
        };
        tokio::select! {
            biased;
            exit = timeout_at(deadline.max(Instant::now()) + Duration::from_millis(HARD_MS), down) => return exit.unwrap_or(Exit::Killed),
            Ok(()) = stop_by.changed() => {}
        }
    }
}
