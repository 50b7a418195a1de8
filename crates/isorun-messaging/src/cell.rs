//! One component: its mailbox, its requests, and where in its life it is.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use isorun_core::{
    CallbackMessage, ComponentConfig, ComponentHandle, ComponentHealth, ComponentId, ComponentMetadata, CorrelationId,
    HealthStatus, MessagingError, RequestOutcome,
};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::dead_letters::DeadLetterReason;
use crate::envelope::{Envelope, Item, not_delivered, outcome_bytes, without_room};
use crate::mailbox::{Full, Mailbox, MailboxLimits};
use crate::requests::Requests;
use crate::shared::Shared;
use crate::sync::Mutex;
use crate::{Exit, LifecycleState, task};

/// Most questions for its health that wait for a component.
pub(crate) const HEALTH_QUESTIONS_MAX: usize = 16;

/// What those who refer to a component and the task that runs it have in common.
pub(crate) struct Cell {
    pub(crate) handle: ComponentHandle,
    pub(crate) shared: Arc<Shared>,
    pub(crate) mailbox: Mailbox<Item>,
    pub(crate) requests: Mutex<Requests>,
    pub(crate) metadata: OnceLock<ComponentMetadata>,
    /// Messages that were handled, whatever came of it.
    pub(crate) handled: AtomicU64,
    /// Those of them that the component rejected.
    pub(crate) rejected: AtomicU64,
    settings: Vec<(String, String)>,
    life: Mutex<Life>,
    state: watch::Sender<LifecycleState>,
    leash: AtomicU8,
    nudges: AtomicU8,
}

struct Life {
    /// Which run this is or was; 0 before the first.
    run: u32,
    exit: Exit,
    stop_by: Option<Instant>,
    /// That of the task, which is the same for all that it waits for.
    waker: Option<Waker>,
    health: Vec<oneshot::Sender<ComponentHealth>>,
    is_removed: bool,
}

/// What the task of a component is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leash {
    /// Go on.
    Run,
    /// End after what it has in hand.
    Stop,
    /// End at once.
    Kill,
}

/// A request ends earlier than the task's timer goes off.
pub(crate) const NUDGE_TIMER: u8 = 1;
/// Somebody asks for the component's health.
pub(crate) const NUDGE_HEALTH: u8 = 2;

impl Cell {
    pub(crate) fn new(
        handle: ComponentHandle,
        shared: Arc<Shared>,
        config: ComponentConfig,
        limits: MailboxLimits,
    ) -> Self {
        let life =
            Life { run: 0, exit: Exit::Normal, stop_by: None, waker: None, health: Vec::new(), is_removed: false };
        Self {
            handle,
            shared,
            mailbox: Mailbox::new(limits),
            requests: Mutex::new(Requests::new()),
            metadata: OnceLock::new(),
            handled: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            settings: config.settings,
            life: Mutex::new(life),
            state: watch::Sender::new(LifecycleState::Created),
            leash: AtomicU8::new(0),
            nudges: AtomicU8::new(0),
        }
    }

    pub(crate) fn id(&self) -> &ComponentId {
        self.handle.id()
    }

    pub(crate) fn state(&self) -> LifecycleState {
        *self.state.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LifecycleState> {
        self.state.subscribe()
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.life.lock().run.saturating_sub(1)
    }

    /// What it is started with this time.
    pub(crate) fn config(&self) -> ComponentConfig {
        ComponentConfig { settings: self.settings.clone(), restarts: self.restarts() }
    }

    /// Puts a message into the mailbox; `make` is called only where there is room.
    pub(crate) fn push(&self, bytes: usize, make: impl FnOnce() -> Envelope) -> Result<(), MessagingError> {
        self.mailbox.push(bytes, || Item::Message(make())).map_err(|full| match full {
            Full::NoRoom => MessagingError::QueueFull,
            Full::Closed => not_delivered(false, format!("`{}` has stopped", self.id())),
        })
    }

    /// A request of this component has ended. Whoever comes first is heard, and others are late.
    pub(crate) fn complete(&self, correlation_id: CorrelationId, outcome: RequestOutcome) {
        let ended = self.requests.lock().end(correlation_id);
        if let Some(target) = ended {
            self.call_back(correlation_id, target, outcome);
        }
    }

    /// Puts a callback into the mailbox. Requests of this component bound them: each keeps its place until then.
    pub(crate) fn call_back(&self, correlation_id: CorrelationId, target: ComponentId, outcome: RequestOutcome) {
        let (_, timestamp_ms) = self.shared.clock.now();
        self.mailbox.push_beyond(outcome_bytes(&outcome), |fits| {
            let outcome = if fits { outcome } else { without_room(outcome) };
            Item::Callback(CallbackMessage { correlation_id, target, outcome, timestamp_ms })
        });
    }

    /// Opens a request of this component to `target`.
    pub(crate) fn open_request(
        &self,
        id: CorrelationId,
        target: ComponentId,
        deadline: Instant,
    ) -> Result<(), MessagingError> {
        use crate::requests::NotOpened;
        if !matches!(self.state(), LifecycleState::Starting | LifecycleState::Running) {
            return Err(not_delivered(false, format!("`{}` does not run", self.id())));
        }
        let opened = self.requests.lock().open(id, target, deadline);
        match opened {
            Ok(false) => {}
            Ok(true) => self.nudge(NUDGE_TIMER),
            Err(NotOpened::TooMany) => return Err(MessagingError::QueueFull),
            Err(NotOpened::Closed) => return Err(not_delivered(false, format!("`{}` has stopped", self.id()))),
        }
        Ok(())
    }

    /// Makes the task look at something other than its mailbox.
    fn nudge(&self, what: u8) {
        self.nudges.fetch_or(what, Ordering::Release);
        let waker = self.life.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What the task was nudged for since it last looked.
    pub(crate) fn nudges(&self) -> u8 {
        if self.nudges.load(Ordering::Acquire) == 0 { 0 } else { self.nudges.swap(0, Ordering::AcqRel) }
    }

    pub(crate) fn leash(&self) -> Leash {
        match self.leash.load(Ordering::Acquire) {
            0 => Leash::Run,
            1 => Leash::Stop,
            _ => Leash::Kill,
        }
    }

    pub(crate) fn stop_by(&self) -> Option<Instant> {
        self.life.lock().stop_by
    }

    /// The task says how it is woken.
    pub(crate) fn enlist(&self, waker: &Waker) {
        self.life.lock().waker = Some(waker.clone());
    }

    /// Starts it, afresh, and waits until it runs.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), Exit> {
        loop {
            let begun = self.begin();
            match begun {
                Begun::Yes => break,
                Begun::No(reason) => return Err(Exit::Failed { reason }),
                Begun::NotYet => self.wait_until(|_, state| state != LifecycleState::Stopping).await,
            }
        }
        let (started, has_started) = oneshot::channel();
        tokio::spawn(task::live(Arc::clone(self), started));
        has_started.await.unwrap_or_else(|_| Err(Exit::Failed { reason: "its task was taken away".into() }))
    }

    fn begin(&self) -> Begun {
        let mut life = self.life.lock();
        if life.is_removed {
            return Begun::No(format!("`{}` has been removed", self.id()));
        }
        match self.state() {
            LifecycleState::Created | LifecycleState::Stopped => {}
            LifecycleState::Starting | LifecycleState::Running => {
                return Begun::No(format!("`{}` runs already", self.id()));
            }
            LifecycleState::Stopping => return Begun::NotYet,
        }
        life.run = life.run.saturating_add(1);
        life.stop_by = None;
        self.leash.store(0, Ordering::Release);
        self.mailbox.open();
        self.requests.lock().reopen();
        self.state.send_replace(LifecycleState::Starting);
        Begun::Yes
    }

    /// It has been started, and runs unless it has been told to stop meanwhile.
    pub(crate) fn runs(&self) {
        let _life = self.life.lock();
        self.state.send_if_modified(|state| {
            let is_starting = *state == LifecycleState::Starting;
            if is_starting {
                *state = LifecycleState::Running;
            }
            is_starting
        });
    }

    /// Its task is at its end.
    pub(crate) fn ended(&self, exit: Exit) {
        let mut life = self.life.lock();
        life.exit = exit;
        life.waker = None;
        life.health.clear();
        self.state.send_replace(LifecycleState::Stopped);
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(&self, graceful_ms: u64) {
        if let Some(stopped) = self.tell_to_stop(graceful_ms) {
            self.wait_until(|run, state| run != stopped || state == LifecycleState::Stopped).await;
        }
    }

    /// Waits until that is so of the number of the run, and the state.
    async fn wait_until(&self, is_so: impl Fn(u32, LifecycleState) -> bool) {
        let mut states = self.watch();
        loop {
            states.mark_unchanged();
            let run = self.life.lock().run;
            // An error is that the cell is gone, and this holds it.
            if is_so(run, self.state()) || states.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tells it to stop, in so many milliseconds; which run that is, if it runs.
    pub(crate) fn tell_to_stop(&self, graceful_ms: u64) -> Option<u32> {
        let mut life = self.life.lock();
        match self.state() {
            LifecycleState::Created | LifecycleState::Stopped => return None,
            LifecycleState::Starting | LifecycleState::Running => {
                self.state.send_replace(LifecycleState::Stopping);
            }
            LifecycleState::Stopping => {}
        }
        let by = deadline_in(graceful_ms);
        life.stop_by = Some(life.stop_by.map_or(by, |sooner| sooner.min(by)));
        self.leash.fetch_max(if graceful_ms == 0 { 2 } else { 1 }, Ordering::AcqRel);
        if let Some(waker) = &life.waker {
            waker.wake_by_ref();
        }
        Some(life.run)
    }

    /// Waits until it does not run: how it ended.
    pub(crate) async fn exited(&self) -> Exit {
        let first = self.life.lock().run;
        self.wait_until(|run, state| {
            run != first || matches!(state, LifecycleState::Created | LifecycleState::Stopped)
        })
        .await;
        self.life.lock().exit.clone()
    }

    /// Nobody will start it again: what waits for it becomes dead letters. Does nothing to one that runs.
    pub(crate) fn abandon(&self) {
        let life = self.life.lock();
        if matches!(self.state(), LifecycleState::Created | LifecycleState::Stopped) {
            let items = self.close();
            drop(life);
            self.bury_all(items);
        }
    }

    /// Nobody can start it again, and if it runs, it takes nothing more: what waits for it becomes dead letters.
    pub(crate) fn let_go(&self) {
        let items = self.close();
        self.bury_all(items);
    }

    fn close(&self) -> impl Iterator<Item = Item> + use<> {
        self.requests.lock().close();
        self.mailbox.close()
    }

    fn bury_all(&self, items: impl Iterator<Item = Item>) {
        let (_, now_ms) = self.shared.clock.now();
        let mut messages = 0u64;
        for item in items {
            match item {
                Item::Message(Envelope { message, reply, .. }) => {
                    let why = format!("`{}` has stopped", self.id());
                    self.shared.dead_letters.bury(&message, DeadLetterReason::Stopped, &why, now_ms);
                    reply.fail(why);
                    messages += 1;
                }
                // The component is not there any more to be told.
                Item::Callback(_) => {}
            }
        }
        if messages > 0 {
            tracing::debug!(component = %self.id(), messages, reason = %DeadLetterReason::Stopped, "dead letters");
        }
    }

    /// Nobody can start it any more.
    pub(crate) fn mark_removed(&self) {
        self.life.lock().is_removed = true;
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.life.lock().is_removed
    }

    /// Asks for its health; `None` where it does not run, or too many ask.
    pub(crate) fn ask_health(&self) -> Option<oneshot::Receiver<ComponentHealth>> {
        let answer = {
            let mut life = self.life.lock();
            if self.state() != LifecycleState::Running {
                return None;
            }
            life.health.retain(|asker| !asker.is_closed());
            if life.health.len() >= HEALTH_QUESTIONS_MAX {
                return None;
            }
            let (asker, answer) = oneshot::channel();
            life.health.push(asker);
            answer
        };
        self.nudge(NUDGE_HEALTH);
        Some(answer)
    }

    pub(crate) fn take_health_questions(&self) -> Vec<oneshot::Sender<ComponentHealth>> {
        std::mem::take(&mut self.life.lock().health)
    }

    /// A message is not handled, or not to its end.
    pub(crate) fn bury(&self, envelope: Envelope, reason: DeadLetterReason, why: &str) {
        let Envelope { message, reply, .. } = envelope;
        let (_, now_ms) = self.shared.clock.now();
        tracing::debug!(component = %self.id(), sender = %message.sender, %reason, "a dead letter");
        self.shared.dead_letters.bury(&message, reason, why, now_ms);
        match reason {
            // Its requester's own timer tells it.
            DeadLetterReason::Expired => reply.expire(),
            _ => reply.fail(why),
        }
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell").field("id", self.id()).field("state", &self.state()).finish_non_exhaustive()
    }
}

enum Begun {
    Yes,
    NotYet,
    No(String),
}

/// The instant in so many milliseconds; a far one where there is none so far.
pub(crate) fn deadline_in(ms: u64) -> Instant {
    const FAR_MS: u64 = 86_400_000 * 365;
    Instant::now() + Duration::from_millis(ms.min(FAR_MS))
}

/// Nobody knows how well a component is.
pub(crate) fn unknown_health(why: &str) -> ComponentHealth {
    ComponentHealth { status: HealthStatus::Unknown, reason: Some(why.to_owned()) }
}
