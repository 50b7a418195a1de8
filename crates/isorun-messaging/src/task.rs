//! The task that runs a component, from its start to its end.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use isorun_core::{MessagePayload, MessagingError, RequestOutcome, WasmError};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Exit;
use crate::cell::{Cell, Leash, NUDGE_HEALTH, NUDGE_TIMER, unknown_health};
use crate::dead_letters::DeadLetterReason;
use crate::envelope::{Item, answered, cut};

/// Messages that a component handles before others of its thread have their turn.
pub(crate) const TURN_MESSAGES: u32 = 64;

type Started = oneshot::Sender<Result<(), Exit>>;

/// Starts a component, runs it, and stops it.
pub(crate) async fn live(cell: Arc<Cell>, started: Started) {
    let mut ending = Ending { cell: &cell, started: Some(started), exit: None };
    poll_fn(|cx| {
        cell.enlist(cx.waker());
        Poll::Ready(())
    })
    .await;
    let exit = {
        let mut run = pin!(run(&cell, &mut ending.started));
        leashed(&cell, run.as_mut()).await
    };
    // An error is that the engine has let it go already.
    drop(cell.shared.engine.stop_component(&cell.handle).await);
    if cell.is_removed() {
        drop(cell.shared.engine.unload_component(&cell.handle).await);
    }
    ending.exit = Some(exit);
}

/// Says that the component does not run any more, whatever ended its task.
struct Ending<'a> {
    cell: &'a Cell,
    started: Option<Started>,
    exit: Option<Exit>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let exit = self.exit.take().unwrap_or_else(|| Exit::Failed { reason: "its task was taken away".into() });
        match &exit {
            Exit::Normal => tracing::debug!(component = %self.cell.id(), "component stopped"),
            Exit::Failed { reason } => tracing::info!(component = %self.cell.id(), %reason, "component failed"),
            Exit::Killed => tracing::info!(component = %self.cell.id(), "component did not stop in time"),
        }
        self.cell.ended(exit.clone());
        if let Some(started) = self.started.take() {
            // Whoever started it may have gone.
            drop(started.send(Err(exit)));
        }
    }
}

/// Runs what a component does until it ends, is killed, or its time to stop is over: then it is dropped where it stands.
async fn leashed(cell: &Cell, mut run: Pin<&mut impl Future<Output = Exit>>) -> Exit {
    let mut grace: Option<(Instant, Pin<Box<Sleep>>)> = None;
    poll_fn(move |cx| {
        let leash = cell.leash();
        if leash == Leash::Kill {
            return Poll::Ready(Exit::Killed);
        }
        if let Poll::Ready(exit) = run.as_mut().poll(cx) {
            return Poll::Ready(exit);
        }
        if leash == Leash::Stop
            && let Some(until) = cell.stop_by()
        {
            if grace.as_ref().is_none_or(|(set, _)| *set != until) {
                grace = Some((until, Box::pin(sleep_until(until))));
            }
            if let Some((_, sleep)) = &mut grace {
                return sleep.as_mut().poll(cx).map(|()| Exit::Killed);
            }
        }
        Poll::Pending
    })
    .await
}

/// All calls into a component, one after the other.
async fn run(cell: &Arc<Cell>, started: &mut Option<Started>) -> Exit {
    if let Err(exit) = start(cell).await {
        return exit;
    }
    cell.runs();
    if let Some(started) = started.take() {
        // Whoever started it may have gone.
        drop(started.send(Ok(())));
    }
    // Requests of the run before are open still.
    let mut timer = Timer::default();
    timer.set(cell.requests.lock().set_timer());
    let mut health = Health::default();
    let mut turn = 0;
    // One place for what is in hand: each that a future has makes an idle component larger.
    let mut hand = Hand { cell, item: None };
    loop {
        let next = poll_fn(|cx| {
            let next = poll_next(cell, &mut timer, &mut health, &mut hand.item, cx);
            if next.is_pending() {
                // Others have their turn now.
                turn = 0;
            }
            next
        });
        let ended = match next.await {
            Next::Item => handle(&mut hand).await,
            Next::Health => tell_health(cell).await,
            Next::Stop => return shut_down(cell).await,
        };
        if let Err(error) = ended {
            return failed(error);
        }
        turn += 1;
        if turn >= TURN_MESSAGES {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// How a life ends with that error. Whoever is told knows of which component, and that it ran.
fn failed(error: WasmError) -> Exit {
    let reason = if let WasmError::RuntimeError { reason, .. } = error { reason } else { error.to_string() };
    Exit::Failed { reason: cut(reason) }
}

async fn start(cell: &Cell) -> Result<(), Exit> {
    let engine = &cell.shared.engine;
    engine.start_component(&cell.handle, &cell.config()).await.map_err(failed)?;
    if cell.metadata.get().is_none() {
        match engine.call_metadata(&cell.handle).await {
            Ok(metadata) => drop(cell.metadata.set(metadata)),
            Err(error) if error.ends_the_component() => return Err(failed(error)),
            // It goes on, and nobody knows what it is.
            Err(_) => {}
        }
    }
    Ok(())
}

enum Next {
    Item,
    Health,
    Stop,
}

/// Whose turn it is: between two questions for its health a component handles an item, if one is there.
#[derive(Default)]
struct Health {
    is_asked: bool,
    was_last: bool,
}

impl Health {
    fn told(&mut self) -> Poll<Next> {
        *self = Self { is_asked: false, was_last: true };
        Poll::Ready(Next::Health)
    }
}

/// When the first request ends by itself. There is none while no request is open.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// By the clock: whoever is busy does not come to poll it.
    fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|sleep| sleep.deadline() <= Instant::now())
    }

    fn set(&mut self, deadline: Option<Instant>) {
        match (&mut self.0, deadline) {
            (Some(sleep), Some(deadline)) => sleep.as_mut().reset(deadline),
            (none, Some(deadline)) => *none = Some(Box::pin(sleep_until(deadline))),
            (some, None) => *some = None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}

/// What is next; an item is put into the hand.
fn poll_next(
    cell: &Cell,
    timer: &mut Timer,
    health: &mut Health,
    hand: &mut Option<Item>,
    cx: &mut Context<'_>,
) -> Poll<Next> {
    if cell.leash() != Leash::Run {
        return Poll::Ready(Next::Stop);
    }
    let nudges = cell.nudges();
    if nudges != 0 {
        if nudges & NUDGE_TIMER != 0 {
            timer.set(cell.requests.lock().set_timer());
        }
        health.is_asked |= nudges & NUDGE_HEALTH != 0;
    }
    if timer.is_over() {
        time_out(cell, timer);
    }
    if health.is_asked && !health.was_last {
        return health.told();
    }
    loop {
        if let Poll::Ready(Some(item)) = cell.mailbox.poll_pop(cx) {
            health.was_last = false;
            *hand = Some(item);
            return Poll::Ready(Next::Item);
        }
        if health.is_asked {
            return health.told();
        }
        if timer.poll(cx).is_pending() {
            return Poll::Pending;
        }
        time_out(cell, timer);
    }
}

/// Ends the requests whose time is over.
fn time_out(cell: &Cell, timer: &mut Timer) {
    let now = Instant::now();
    loop {
        let over = cell.requests.lock().expire(now);
        let Some((id, target)) = over else { break };
        cell.call_back(id, target, RequestOutcome::Failed(MessagingError::CorrelationTimeout));
    }
    timer.set(cell.requests.lock().set_timer());
}

/// What a component handles. Dropped with a message in it, the component was taken away.
struct Hand<'a> {
    cell: &'a Cell,
    item: Option<Item>,
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        if let Some(Item::Message(envelope)) = self.item.take() {
            let why = format!("`{}` was taken away while it handled this", self.cell.id());
            self.cell.bury(envelope, DeadLetterReason::Killed, &why);
        }
    }
}

impl Hand<'_> {
    /// Lets go what is not to be handled any more; whether something is.
    fn begin(&mut self) -> bool {
        let cell = self.cell;
        match &mut self.item {
            Some(Item::Message(envelope)) => {
                envelope.reply.begin();
                let is_late = envelope.deadline.is_some_and(|deadline| deadline <= cell.shared.clock.now().0);
                if is_late && let Some(Item::Message(envelope)) = self.item.take() {
                    cell.bury(envelope, DeadLetterReason::Expired, "its time was over");
                }
            }
            Some(Item::Callback(message)) => {
                let is_wanted = cell.requests.lock().forget(message.correlation_id);
                if !is_wanted {
                    // Its request was given up after it had ended.
                    self.item = None;
                }
            }
            None => {}
        }
        self.item.is_some()
    }

    /// A message was handled.
    fn end_message(&mut self, outcome: Result<Option<MessagePayload>, WasmError>) -> Result<(), WasmError> {
        let cell = self.cell;
        let Some(Item::Message(envelope)) = self.item.take() else { return Ok(()) };
        let outcome = match outcome {
            Ok(answer) => Ok(answer),
            Err(WasmError::Rejected { reason }) => {
                cell.rejected.fetch_add(1, Relaxed);
                Err(cut(reason))
            }
            Err(error) => {
                let why = format!("`{}` failed while it handled this: {error}", cell.id());
                cell.bury(envelope, DeadLetterReason::Crashed, &why);
                return Err(error);
            }
        };
        cell.handled.fetch_add(1, Relaxed);
        if envelope.reply.is_wanted() {
            envelope.reply.answer(match outcome {
                Ok(answer) => answered(answer),
                Err(reason) => RequestOutcome::Refused { reason },
            });
        }
        Ok(())
    }
}

async fn handle(hand: &mut Hand<'_>) -> Result<(), WasmError> {
    if !hand.begin() {
        return Ok(());
    }
    let cell = hand.cell;
    let engine = &cell.shared.engine;
    match &hand.item {
        Some(Item::Message(envelope)) => {
            let outcome = engine.call_handle_message(&cell.handle, &envelope.message).await;
            hand.end_message(outcome)
        }
        Some(Item::Callback(message)) => {
            let ended = engine.call_handle_callback(&cell.handle, message).await;
            hand.item = None;
            match ended {
                Ok(()) => Ok(()),
                Err(error) if error.ends_the_component() => Err(error),
                Err(error) => {
                    tracing::debug!(component = %cell.id(), %error, "component rejected a callback");
                    Ok(())
                }
            }
        }
        None => Ok(()),
    }
}

async fn tell_health(cell: &Cell) -> Result<(), WasmError> {
    let askers = cell.take_health_questions();
    if askers.iter().all(oneshot::Sender::is_closed) {
        return Ok(());
    }
    let (health, ended) = match cell.shared.engine.call_health(&cell.handle).await {
        Ok(health) => (health, Ok(())),
        Err(error) => {
            let health = unknown_health(&cut(error.to_string()));
            (health, if error.ends_the_component() { Err(error) } else { Ok(()) })
        }
    };
    for asker in askers {
        // Whoever asked may have gone.
        drop(asker.send(health.clone()));
    }
    ended
}

async fn shut_down(cell: &Cell) -> Exit {
    match cell.shared.engine.call_shutdown(&cell.handle).await {
        Err(error) if error.ends_the_component() => failed(error),
        Err(_) | Ok(()) => Exit::Normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most bytes that an idle component may take: its cell, and its task.
    const IDLE_BYTES_MAX: usize = 1_280;

    #[test]
    fn an_idle_component_takes_little() {
        fn size<T>(_made_by: impl Fn(Arc<Cell>, Started) -> T) -> usize {
            size_of::<T>()
        }
        let (cell, task) = (size_of::<Cell>(), size(live));
        assert!(cell + task <= IDLE_BYTES_MAX, "a cell of {cell} bytes and a task of {task}");
    }
}
