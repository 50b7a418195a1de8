//! The task of a supervisor: carries out what its machine decides, and tells it what came of that.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use isorun_core::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use super::life;
use super::machine::{ChildEvent, ChildKey, Decision, Machine, Slot, SlotState};
use super::options::{CHILDREN_MAX, Restart, SupervisorOptions, WAIT_MS_MAX};
use super::status::{ChildStatus, SupervisorEvent};
use crate::{Child, Exit, LifecycleState};

/// Events that are kept for a subscriber that does not come to read them; then it misses the oldest.
pub const EVENTS_KEPT: usize = 256;

/// Why a supervisor does not take a child.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddChildError {
    /// Another child has that name.
    #[error("there is a child `{name}` already")]
    NameTaken {
        /// The name.
        name: Arc<str>,
    },
    /// It has [`CHILDREN_MAX`] of them.
    #[error("a supervisor has {CHILDREN_MAX} children at most: more belong into a tree")]
    TooMany,
}

/// Starts its children in their order, starts those again that fail, and stops all in reverse.
///
/// Where restarts don't help, more than [`SupervisorOptions::restarts_max`] of them within the window, it gives up: it
/// stops all children and ends with an [`Exit::Failed`] that says why. As it is a [`Child`] itself, a supervisor above
/// decides what comes then.
///
/// Clones are the same supervisor. Dropping them stops nothing: a supervisor that was started works on in its task, and
/// ends when it is told to, when it gives up, or with the runtime, which takes everything away at once.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::sync::Arc;
///
/// use isorun_core::BoxFuture;
/// use isorun_messaging::{Child, Exit, LifecycleState, Restart, Supervisor, SupervisorOptions};
/// use tokio::sync::Notify;
///
/// /// Runs until it is told to stop.
/// #[derive(Default)]
/// struct Patient(Notify);
///
/// impl Child for Patient {
///     fn start(&self) -> BoxFuture<'_, Result<(), Exit>> {
///         Box::pin(async { Ok(()) })
///     }
///     fn stop(&self, _graceful_ms: u64) -> BoxFuture<'_, ()> {
///         Box::pin(async { self.0.notify_one() })
///     }
///     fn exited(&self) -> BoxFuture<'_, Exit> {
///         Box::pin(async {
///             self.0.notified().await;
///             Exit::Normal
///         })
///     }
/// }
///
/// let supervisor = Supervisor::new(SupervisorOptions::default())
///     .child("store", Arc::new(Patient::default()), Restart::Permanent)?
///     .child("counter", Arc::new(Patient::default()), Restart::Transient)?;
/// supervisor.start().await.expect("both start");
/// assert_eq!(supervisor.state(), LifecycleState::Running);
///
/// // First the counter, then the store.
/// assert_eq!(supervisor.stop().await, Exit::Normal);
/// assert!(supervisor.children().iter().all(|child| child.state == LifecycleState::Stopped));
/// # Ok::<(), isorun_messaging::AddChildError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    /// Wakes the task: something was asked for.
    asked: Notify,
    status: watch::Sender<Status>,
    /// Wakes who waits for the end of a child that is to be forgotten.
    forgotten: watch::Sender<()>,
    events: broadcast::Sender<SupervisorEvent>,
}

struct Inner {
    machine: Machine<Arc<dyn Child>>,
    /// The children's keys by their names.
    names: HashMap<Arc<str>, ChildKey>,
    /// By when all must be down, where it was told to stop.
    stop_by: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Status {
    state: LifecycleState,
    /// How often it was started. Whoever waits for the end of one run may sleep through it and find the next.
    run: u64,
    /// How the last run ended that has; as it should, if none has.
    exit: Exit,
}

impl Supervisor {
    /// A supervisor without children.
    #[must_use]
    pub fn new(options: SupervisorOptions) -> Self {
        let inner = Inner { machine: Machine::new(options), names: HashMap::new(), stop_by: None };
        Self {
            shared: Arc::new(Shared {
                inner: Mutex::new(inner),
                asked: Notify::new(),
                forgotten: watch::Sender::new(()),
                status: watch::Sender::new(Status { state: LifecycleState::Created, run: 0, exit: Exit::Normal }),
                events: broadcast::Sender::new(EVENTS_KEPT),
            }),
        }
    }

    /// The supervisor with one more child, which starts after those before it.
    ///
    /// # Errors
    /// As those of [`add`](Self::add).
    pub fn child(
        self,
        name: impl Into<Arc<str>>,
        child: Arc<dyn Child>,
        restart: Restart,
    ) -> Result<Self, AddChildError> {
        self.add(name, child, restart)?;
        Ok(self)
    }

    /// Adds a child after all others; where the supervisor runs, it is started once those before it were.
    ///
    /// # Errors
    /// [`AddChildError`]: the name is taken, or there are too many.
    pub fn add(&self, name: impl Into<Arc<str>>, child: Arc<dyn Child>, restart: Restart) -> Result<(), AddChildError> {
        self.add_with(name.into(), |name, machine| machine.add(name, child, restart))
    }

    /// As [`add`](Self::add), of a child whose restarts are counted apart, as if it had a supervisor of its own.
    ///
    /// When it fails more often than the options allow, it stays down alone: this supervisor and the others go on. Only with
    /// [`Strategy::OneForOne`](crate::Strategy::OneForOne): children that are restarted together are counted together.
    ///
    /// # Errors
    /// As those of [`add`](Self::add).
    pub fn add_alone(
        &self,
        name: impl Into<Arc<str>>,
        child: Arc<dyn Child>,
        restart: Restart,
    ) -> Result<(), AddChildError> {
        self.add_with(name.into(), |name, machine| machine.add_alone(name, child, restart))
    }

    fn add_with(
        &self,
        name: Arc<str>,
        add: impl FnOnce(Arc<str>, &mut Machine<Arc<dyn Child>>) -> ChildKey,
    ) -> Result<(), AddChildError> {
        let inner = &mut *self.shared.inner.lock();
        if inner.names.contains_key(&name) {
            return Err(AddChildError::NameTaken { name });
        }
        if inner.machine.slots().len() >= CHILDREN_MAX {
            return Err(AddChildError::TooMany);
        }
        let key = add(Arc::clone(&name), &mut inner.machine);
        inner.names.insert(name, key);
        self.shared.asked.notify_one();
        Ok(())
    }

    /// Stops a child as its options say, and waits until it is down and forgotten. Whether there was one of that name.
    ///
    /// Until then it is among [`children`](Self::children), and its name is taken; afterwards another one may have it.
    /// Dropping the future stops the waiting alone, once it has been polled.
    pub async fn remove(&self, name: &str) -> bool {
        // Before it is looked, so that no end is missed.
        let mut forgotten = self.shared.forgotten.subscribe();
        let (key, gone) = {
            let inner = &mut *self.shared.inner.lock();
            let Some(key) = inner.names.get(name).copied() else { return false };
            let child = inner.machine.slot(key).map(|slot| Arc::clone(&slot.child));
            inner.machine.remove(key);
            (key, child.filter(|_| inner.forget(key, name)))
        };
        if let Some(child) = gone {
            child.abandon();
        }
        self.shared.asked.notify_one();
        // An error is that the sender is gone, which `self` holds.
        while self.is_leaving(key) && forgotten.changed().await.is_ok() {}
        true
    }

    /// Starts the children, one after the other. Ready once each of them runs or has ended as it may.
    ///
    /// A child that fails meanwhile is started again as ever. Dropping the future stops nothing: the supervisor works on.
    /// One that has ended can be started anew.
    ///
    /// # Errors
    /// How it ended before that: it gave up, or was told to stop; [`Exit::Failed`] too where it runs already.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn start(&self) -> Result<(), Exit> {
        let this_run = {
            let inner = &mut *self.shared.inner.lock();
            inner.machine.start().map_err(|_| Exit::Failed { reason: "the supervisor runs already".into() })?;
            inner.stop_by = None;
            self.shared.status.send_modify(|status| {
                status.run += 1;
                status.state = LifecycleState::Starting;
            });
            tokio::spawn(run(Arc::clone(&self.shared)));
            self.shared.status.borrow().run
        };
        let over = |status: &Status| match status.state {
            LifecycleState::Created | LifecycleState::Starting | LifecycleState::Stopping => status.run != this_run,
            LifecycleState::Running | LifecycleState::Stopped => true,
        };
        let status = self.wait_until(over).await;
        let runs = status.run == this_run && status.state == LifecycleState::Running;
        if runs { Ok(()) } else { Err(status.exit) }
    }

    /// Stops all children in reverse order, each with the time that the options give it, and waits for the last.
    ///
    /// How the supervisor ended; at once where it does not run.
    pub async fn stop(&self) -> Exit {
        let told = self.tell_to_stop(None);
        self.end(told).await
    }

    /// Where in its life it is. While it runs, children may come and go.
    #[must_use]
    pub fn state(&self) -> LifecycleState {
        self.shared.status.borrow().state
    }

    /// Its children, in the order in which they start.
    #[must_use]
    pub fn children(&self) -> Vec<ChildStatus> {
        let (inner, now) = (self.shared.inner.lock(), now());
        let status = |slot: &Slot<Arc<dyn Child>>| ChildStatus {
            name: Arc::clone(&slot.name),
            restart: slot.restart,
            state: slot.state.lifecycle(),
            restarts: slot.restarts,
            last_exit: slot.last_exit.clone(),
            starts_in: starts_in(slot.state, now),
        };
        inner.machine.slots().iter().map(status).collect()
    }

    /// What happens from now on. Who reads slower than things happen misses the oldest, and is told how many.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<SupervisorEvent> {
        self.shared.events.subscribe()
    }

    /// By when all have to be down, or `None` for as long as the options allow each of them; which run is told.
    fn tell_to_stop(&self, stop_by: Option<Instant>) -> u64 {
        let inner = &mut *self.shared.inner.lock();
        // An earlier end stays, a later one does not undo it.
        inner.stop_by = [inner.stop_by, stop_by].into_iter().flatten().min();
        inner.machine.stop();
        self.shared.asked.notify_one();
        self.shared.status.borrow().run
    }

    /// Whether that child is there still, and a task that takes it down.
    fn is_leaving(&self, key: ChildKey) -> bool {
        let inner = self.shared.inner.lock();
        inner.machine.slot(key).is_some() && !matches!(self.state(), LifecycleState::Created | LifecycleState::Stopped)
    }

    /// Waits until that run is over, if it is not.
    async fn end(&self, run: u64) -> Exit {
        let is_down = |state| matches!(state, LifecycleState::Created | LifecycleState::Stopped);
        let over = |status: &Status| status.run != run || is_down(status.state);
        self.wait_until(over).await.exit
    }

    async fn wait_until(&self, is_so: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.shared.status.subscribe();
        let found = status.wait_for(is_so).await.map(|status| status.clone());
        // The sender is in `shared`, which `self` holds.
        found.unwrap_or_else(|_| self.shared.status.borrow().clone())
    }
}

impl Child for Supervisor {
    fn start(&self) -> BoxFuture<'_, Result<(), Exit>> {
        Box::pin(self.start())
    }

    /// All children together have that time, and each of them its own at most; those whose turn comes later are taken away
    /// at once.
    fn stop(&self, graceful_ms: u64) -> BoxFuture<'_, ()> {
        let graceful = Duration::from_millis(graceful_ms.min(WAIT_MS_MAX));
        Box::pin(async move {
            let told = self.tell_to_stop(Some(Instant::now() + graceful));
            self.end(told).await;
        })
    }

    fn exited(&self) -> BoxFuture<'_, Exit> {
        let run = self.shared.status.borrow().run;
        Box::pin(self.end(run))
    }

    fn is_supervisor(&self) -> bool {
        true
    }

    /// Abandons its children, where it does not run.
    fn abandon(&self) {
        if matches!(self.state(), LifecycleState::Created | LifecycleState::Stopped) {
            self.shared.abandon_children();
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("state", &self.state()).field("children", &self.children()).finish()
    }
}

impl Inner {
    /// Gives a name free if the machine has forgotten its child; whether it has.
    fn forget(&mut self, key: ChildKey, name: &str) -> bool {
        let is_forgotten = self.machine.slot(key).is_none();
        if is_forgotten {
            self.names.remove(name);
        }
        is_forgotten
    }
}

/// The children that something was begun with. Lives in the supervisor's task, and ends with it.
#[derive(Default)]
struct Lives {
    tasks: JoinSet<(ChildKey, ChildEvent)>,
    /// What each task does and for whom, should it panic.
    steps: HashMap<Id, (ChildKey, Step, Arc<dyn Child>)>,
    /// Where each of them hears that it is to stop.
    stops: HashMap<ChildKey, watch::Sender<Option<Instant>>>,
    /// By when all are to be down, as they were told.
    hurried: Option<Instant>,
}

/// What a task does with a child.
#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Wait,
    /// Takes away what is left of one whose task broke while it started, or later.
    Clear {
        at_start: bool,
    },
}

/// Says that the supervisor is over, whatever ended its task.
struct Ending<'a> {
    shared: &'a Shared,
    exit: Exit,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let exit = std::mem::replace(&mut self.exit, Exit::Normal);
        match &exit {
            Exit::Normal => info!("supervisor stopped"),
            Exit::Failed { .. } | Exit::Killed => error!(%exit, "supervisor ended"),
        }
        self.shared.tell(SupervisorEvent::Over { exit: exit.clone() });
        // Whoever starts it anew finds both, or neither.
        let inner = &mut *self.shared.inner.lock();
        inner.machine.finish();
        self.shared.status.send_modify(|status| {
            status.state = LifecycleState::Stopped;
            status.exit = exit;
        });
        // Nobody takes a child down any more.
        self.shared.forgotten.send_replace(());
    }
}

async fn run(shared: Arc<Shared>) {
    let exit = Exit::Failed { reason: "the supervisor's task was taken away".into() };
    let mut ending = Ending { shared: &shared, exit };
    let mut lives = Lives::default();
    loop {
        if let Some(exit) = shared.carry_out(&mut lives) {
            shared.abandon_children();
            ending.exit = exit;
            return;
        }
        let wakes_at = shared.inner.lock().machine.wakes_at();
        tokio::select! {
            Some(result) = lives.tasks.join_next_with_id() => {
                if let Some((key, event)) = lives.came_back(result) {
                    shared.heard(&mut lives, key, event);
                }
            }
            () = shared.asked.notified() => {}
            () = sleep_until(wakes_at.map_or_else(Instant::now, Instant::from_std)), if wakes_at.is_some() => {}
        }
    }
}

impl Shared {
    /// Does all that is to be done now; how the supervisor ended, if it did.
    fn carry_out(&self, lives: &mut Lives) -> Option<Exit> {
        let inner = &mut *self.inner.lock();
        if inner.machine.is_stopping() {
            self.change(LifecycleState::Stopping);
            lives.hurry(inner.stop_by);
        }
        while let Some(decision) = inner.machine.poll(now()) {
            match decision {
                Decision::Start(key) => {
                    // The machine decides of none but its own.
                    let Some(slot) = inner.machine.slot(key) else { continue };
                    self.tell(SupervisorEvent::Starting { child: Arc::clone(&slot.name), restarts: slot.restarts });
                    let options = inner.machine.options();
                    let start_ms = if slot.child.is_supervisor() { WAIT_MS_MAX } else { options.start_ms };
                    lives.start(key, Arc::clone(&slot.child), start_ms);
                }
                Decision::Stop(key) => {
                    let Some(slot) = inner.machine.slot(key) else { continue };
                    self.tell(SupervisorEvent::Stopping { child: Arc::clone(&slot.name) });
                    let options = inner.machine.options();
                    let graceful_ms = if slot.child.is_supervisor() { WAIT_MS_MAX } else { options.graceful_ms };
                    let own = Instant::now() + Duration::from_millis(graceful_ms);
                    lives.stop(key, inner.stop_by.map_or(own, |all| all.min(own)));
                }
                Decision::End(exit) => return Some(exit),
            }
        }
        if inner.machine.is_settled() && !inner.machine.is_stopping() {
            self.change(LifecycleState::Running);
        }
        None
    }

    /// Takes what came of a child's task.
    fn heard(&self, lives: &mut Lives, key: ChildKey, event: ChildEvent) {
        let gone = {
            let inner = &mut *self.inner.lock();
            let Some(slot) = inner.machine.slot(key) else { return };
            let (name, child) = (Arc::clone(&slot.name), Arc::clone(&slot.child));
            let exit = match &event {
                ChildEvent::Started => None,
                ChildEvent::StartFailed(exit) | ChildEvent::Exited(exit) => Some(exit.clone()),
            };
            if let Err(out_of_order) = inner.machine.handle(key, event, now()) {
                error!(child = %name, %out_of_order, "a bug in isorun: the event is left out");
                return;
            }
            let Some(exit) = exit else {
                lives.wait(key, child);
                self.tell(SupervisorEvent::Started { child: name });
                return;
            };
            lives.stops.remove(&key);
            if inner.forget(key, &name) {
                self.forgotten.send_replace(());
            }
            if inner.machine.slot(key).is_some_and(|slot| slot.gave_up) {
                let SupervisorOptions { restarts_max, window_ms, .. } = *inner.machine.options();
                error!(child = %name, %exit, restarts_max, window_ms, "gave up: it failed more often, and stays stopped");
            }
            self.tell_end(name, exit, inner.machine.slot(key));
            let is_over = inner.machine.slot(key).is_none_or(|slot| slot.state == SlotState::Ended);
            is_over.then_some(child)
        };
        if let Some(child) = gone {
            child.abandon();
        }
    }

    fn tell_end(&self, child: Arc<str>, exit: Exit, slot: Option<&Slot<Arc<dyn Child>>>) {
        let again_in = slot.and_then(|slot| starts_in(slot.state, now()));
        let again_in_ms = again_in.map(|pause| pause.as_millis() as u64);
        match &exit {
            Exit::Normal if again_in.is_none() => info!(%child, "stopped"),
            Exit::Normal | Exit::Failed { .. } | Exit::Killed => warn!(%child, %exit, again_in_ms, "ended"),
        }
        self.tell(SupervisorEvent::Ended { child, exit, again_in });
    }

    /// Says to all children that nobody will start them, unless all is started anew.
    fn abandon_children(&self) {
        let children: Vec<_> = self.inner.lock().machine.slots().iter().map(|slot| Arc::clone(&slot.child)).collect();
        for child in children {
            child.abandon();
        }
    }

    fn tell(&self, event: SupervisorEvent) {
        // Fails where nobody listens, which is no concern of the supervisor's.
        let _ = self.events.send(event);
    }

    fn change(&self, state: LifecycleState) {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.state, state) != state);
    }
}

impl Lives {
    fn start(&mut self, key: ChildKey, child: Arc<dyn Child>, start_ms: u64) {
        let (sender, stop_by) = watch::channel(None);
        self.stops.insert(key, sender);
        let id = self.tasks.spawn(life::start(Arc::clone(&child), key, start_ms, stop_by)).id();
        self.steps.insert(id, (key, Step::Start, child));
    }

    fn wait(&mut self, key: ChildKey, child: Arc<dyn Child>) {
        let Some(stop) = self.stops.get(&key) else { return };
        let id = self.tasks.spawn(life::end(Arc::clone(&child), key, stop.subscribe())).id();
        self.steps.insert(id, (key, Step::Wait, child));
    }

    fn stop(&mut self, key: ChildKey, by: Instant) {
        if let Some(stop) = self.stops.get(&key) {
            stop.send_replace(Some(by));
        }
    }

    /// Gives those that are being stopped no longer than that.
    fn hurry(&mut self, by: Option<Instant>) {
        let Some(by) = by.filter(|_| self.hurried != by) else { return };
        self.hurried = Some(by);
        for stop in self.stops.values() {
            stop.send_if_modified(|known| match known {
                Some(known) if by < *known => {
                    *known = by;
                    true
                }
                Some(_) | None => false,
            });
        }
    }

    /// What a task says; nothing yet for one that has panicked, whose child is taken away first.
    fn came_back(&mut self, result: Result<(Id, (ChildKey, ChildEvent)), JoinError>) -> Option<(ChildKey, ChildEvent)> {
        let broken = match result {
            Ok((id, said)) => {
                self.steps.remove(&id);
                return Some(said);
            }
            Err(broken) => broken,
        };
        let (key, step, child) = self.steps.remove(&broken.id())?;
        let exit = Exit::Failed { reason: format!("its task broke: {broken}") };
        let (at_start, is_cleared) = match step {
            Step::Start => (true, false),
            Step::Wait => (false, false),
            Step::Clear { at_start } => (at_start, true),
        };
        let event = if at_start { ChildEvent::StartFailed(exit) } else { ChildEvent::Exited(exit) };
        if is_cleared {
            return Some((key, event));
        }
        let id = self.tasks.spawn(life::clear(Arc::clone(&child), key, event)).id();
        self.steps.insert(id, (key, Step::Clear { at_start }, child));
        None
    }
}

/// The machine's times are of the clock that its timer has, which tests may stop.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn starts_in(state: SlotState, now: std::time::Instant) -> Option<Duration> {
    match state {
        SlotState::Waiting { not_before } => Some(not_before.saturating_duration_since(now)),
        SlotState::Created
        | SlotState::Starting { .. }
        | SlotState::Running { .. }
        | SlotState::Stopping
        | SlotState::Ended => None,
    }
}
