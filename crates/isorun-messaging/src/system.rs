//! The components of one node, and what they send each other.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

use isorun_core::{
    BROADCAST_TARGETS_MAX, ComponentId, ComponentMessage, ComponentMetadata, ComponentPattern, CorrelationId, Delivery,
    MessagePayload, MessagingError, Messenger, PeerIdentity, REQUEST_TIMEOUT_MS_MAX, RequestOutcome, RuntimeEngine,
    WasmError,
};
use isorun_security::Decision;
use parking_lot::RwLock;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::cell::Cell;
use crate::clock::Clock;
use crate::dead_letters::{DeadLetterOffice, DeadLetters, payload_bytes};
use crate::envelope::{Address, Envelope, ReplyTo, not_delivered};
use crate::held::Held;
use crate::ids::{ComponentIds, new_id};
use crate::incoming::Incoming;
use crate::route::Route;
use crate::shared::{Refused, Shared};
use crate::stats::{MessagingStats, Retired};
use crate::sync::Mutex;
use crate::{ActorSystemOptions, ComponentRef, ComponentSpec, LifecycleState};

/// Most routes to other nodes.
pub const ROUTES_MAX: usize = 1_024;

/// The components of one node: loaded, started, and passing messages. Cloning gives another handle to the same.
///
/// Once the last handle is dropped its components are taken away. Everything here runs on the tokio runtime of whoever
/// calls it.
///
/// ```
/// # use std::{future::ready, sync::Arc};
/// # use bytes::Bytes;
/// # use isorun_core::*;
/// use isorun_messaging::{ActorSystem, ActorSystemOptions, Child, ComponentSpec};
///
/// # /// Answers with what it is told.
/// # struct Echo;
/// # type Done<'a, T> = BoxFuture<'a, Result<T, WasmError>>;
/// # impl RuntimeEngine for Echo {
/// #     fn load_component<'a>(&'a self, id: &'a ComponentId, _: Bytes) -> Done<'a, ComponentHandle> {
/// #         Box::pin(ready(Ok(ComponentHandle::new(id.clone(), 0))))
/// #     }
/// #     fn unload_component<'a>(&'a self, _: &'a ComponentHandle) -> Done<'a, ()> { Box::pin(ready(Ok(()))) }
/// #     fn start_component<'a>(&'a self, _: &'a ComponentHandle, _: &'a ComponentConfig) -> Done<'a, ()> {
/// #         Box::pin(ready(Ok(())))
/// #     }
/// #     fn call_handle_message<'a>(
/// #         &'a self, _: &'a ComponentHandle, message: &'a ComponentMessage,
/// #     ) -> Done<'a, Option<MessagePayload>> {
/// #         Box::pin(ready(Ok(Some(message.payload.clone()))))
/// #     }
/// #     fn call_handle_callback<'a>(&'a self, _: &'a ComponentHandle, _: &'a CallbackMessage) -> Done<'a, ()> {
/// #         Box::pin(ready(Ok(())))
/// #     }
/// #     fn call_metadata<'a>(&'a self, _: &'a ComponentHandle) -> Done<'a, ComponentMetadata> {
/// #         Box::pin(ready(Ok(ComponentMetadata::default())))
/// #     }
/// #     fn call_health<'a>(&'a self, _: &'a ComponentHandle) -> Done<'a, ComponentHealth> {
/// #         Box::pin(ready(Ok(ComponentHealth { status: HealthStatus::Healthy, reason: None })))
/// #     }
/// #     fn call_shutdown<'a>(&'a self, _: &'a ComponentHandle) -> Done<'a, ()> { Box::pin(ready(Ok(()))) }
/// #     fn stop_component<'a>(&'a self, _: &'a ComponentHandle) -> Done<'a, ()> { Box::pin(ready(Ok(()))) }
/// #     fn usage(&self, _: &ComponentHandle) -> Option<ComponentUsage> { None }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (engine, bytes) = (Arc::new(Echo), Bytes::new());
/// let system = ActorSystem::new(engine, ActorSystemOptions::default());
/// let echo = ComponentId::parse("demo/echo/0")?;
/// let component = system.add(ComponentSpec::new(echo.clone(), bytes)).await?;
///
/// let me = ComponentId::parse("demo/me/0")?;
/// system.send(&me, &echo, "it waits until the component runs".into())?;
/// assert_eq!(component.queued().messages, 1);
///
/// component.start().await.map_err(|exit| exit.to_string())?;
/// let outcome = system.ask(&me, &echo, "hello", 1_000).await;
/// assert_eq!(outcome, RequestOutcome::Replied("hello".into()));
/// component.stop(5_000).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ActorSystem {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) held: Arc<Held>,
    cells: RwLock<Cells>,
    routes: RwLock<Vec<Arc<Route>>>,
}

type Cells = HashMap<ComponentId, Arc<Cell>, ComponentIds>;

/// Why a component was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// There is one of that id.
    #[error("there is a component `{id}` already")]
    AlreadyThere {
        /// The id.
        id: ComponentId,
    },
    /// There are as many as may be.
    #[error("there are {max} components already, and no more may be added")]
    TooMany {
        /// How many that is.
        max: usize,
    },
    /// Its id is none that a message could name.
    #[error("`{id}` is not the id of a component")]
    InvalidId {
        /// The id.
        id: String,
    },
    /// The engine does not take it.
    #[error(transparent)]
    Engine(#[from] WasmError),
}

/// Why a route was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there are {ROUTES_MAX} routes already, and no more may be added")]
pub struct TooManyRoutes;

impl ActorSystem {
    /// A system without components, which run in that engine.
    #[must_use]
    pub fn new(engine: Arc<dyn RuntimeEngine>, options: ActorSystemOptions) -> Self {
        let held = Arc::new(Held::new(options.held_max, options.held_bytes_max));
        let shared = Arc::new(Shared {
            engine,
            options,
            clock: Clock::new(),
            dead_letters: DeadLetterOffice::default(),
            retired: Mutex::new(Retired::default()),
            refused: Refused::default(),
        });
        let inner = Inner { shared, held, cells: RwLock::default(), routes: RwLock::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Loads a component. It takes messages from now on, and handles them once it is started.
    ///
    /// # Errors
    /// [`AddError`]; there is nothing of it then.
    pub async fn add(&self, spec: ComponentSpec) -> Result<ComponentRef, AddError> {
        let ComponentSpec { id, bytes, config, mailbox } = spec;
        if !id.is_plain() {
            return Err(AddError::InvalidId { id: id.as_str().escape_debug().to_string() });
        }
        self.inner.room_for(&self.inner.cells.read(), &id)?;
        let engine = &self.inner.shared.engine;
        let handle = engine.load_component(&id, bytes).await?;
        let cell = Arc::new(Cell::new(handle, Arc::clone(&self.inner.shared), config, mailbox));
        let added = {
            let mut cells = self.inner.cells.write();
            let room = self.inner.room_for(&cells, &id);
            if room.is_ok() {
                cells.insert(cell.id().clone(), Arc::clone(&cell));
            }
            room
        };
        if let Err(error) = added {
            // Somebody else was faster, and this one was never seen: an error is that the engine has let it go already.
            drop(engine.unload_component(&cell.handle).await);
            return Err(error);
        }
        Ok(ComponentRef { cell })
    }

    /// Takes a component away: it is stopped, gracefully if it can be, what waits for it becomes dead letters, and the
    /// engine lets it go. Whether there was one.
    pub async fn remove(&self, id: &ComponentId) -> bool {
        let cell = {
            let mut retired = self.inner.shared.retired.lock();
            let Some(cell) = self.inner.cells.write().remove(id) else { return false };
            retired.leaving.push(Arc::clone(&cell));
            cell
        };
        // Its own task ends it, whatever becomes of this future.
        cell.mark_removed();
        let end = Removal { shared: Arc::clone(&self.inner.shared), cell };
        let graceful_ms = self.inner.shared.options.graceful_ms;
        let removed = tokio::spawn(async move {
            end.cell.stop(graceful_ms).await;
            // Also where its task has done so: then the engine knows nothing of it any more.
            drop(end.shared.engine.unload_component(&end.cell.handle).await);
        });
        // It does not panic, and nobody stops it.
        drop(removed.await);
        true
    }

    /// The component of that id.
    #[must_use]
    pub fn component(&self, id: &ComponentId) -> Option<ComponentRef> {
        self.inner.cell(id).map(|cell| ComponentRef { cell })
    }

    /// All components, in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<ComponentRef> {
        let mut all: Vec<_> =
            self.inner.cells.read().values().map(|cell| ComponentRef { cell: Arc::clone(cell) }).collect();
        all.sort_unstable_by(|one, other| one.id().cmp(other.id()));
        all
    }

    /// What sends messages, without keeping the system: for host components, which the engine keeps.
    #[must_use]
    pub fn weak_messenger(&self) -> Weak<dyn Messenger> {
        let inner: Weak<Inner> = Arc::downgrade(&self.inner);
        inner
    }

    /// Sends a request for somebody who is not a component, and waits for its outcome.
    ///
    /// Dropping the future gives the request up; it may be handled all the same.
    pub async fn ask(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: impl Into<MessagePayload>,
        timeout_ms: u64,
    ) -> RequestOutcome {
        let (asker, outcome) = oneshot::channel();
        let sent = self.inner.counted(self.inner.ask(from, to, payload.into(), timeout_ms, asker));
        match sent {
            Err(error) => RequestOutcome::Failed(error),
            Ok(deadline) => match timeout_at(deadline, outcome).await {
                Ok(Ok(outcome)) => outcome,
                // It was let go since its time was over.
                Ok(Err(_)) | Err(_) => RequestOutcome::Failed(MessagingError::CorrelationTimeout),
            },
        }
    }

    /// Sends messages for components that match `pattern` and are not here to another node.
    ///
    /// The route that names the most parts is taken, and of equals the first. Another one of the same pattern is replaced,
    /// and what waits for that one becomes dead letters. Each route has a task of its own, on the current runtime.
    ///
    /// # Errors
    /// [`TooManyRoutes`].
    pub fn route(&self, pattern: ComponentPattern, to: Arc<dyn Delivery>) -> Result<(), TooManyRoutes> {
        let route = Arc::new(Route::new(pattern, to, Arc::clone(&self.inner.shared)));
        let replaced = {
            let mut routes = self.inner.routes.write();
            let replaced = routes.iter().position(|known| known.pattern == route.pattern);
            if replaced.is_none() && routes.len() >= ROUTES_MAX {
                return Err(TooManyRoutes);
            }
            tokio::spawn(Arc::clone(&route).work());
            match replaced {
                Some(at) => Some(std::mem::replace(&mut routes[at], route)),
                None => {
                    let at = routes.partition_point(|known| known.pattern.named_parts() >= route.pattern.named_parts());
                    routes.insert(at, route);
                    None
                }
            }
        };
        if let Some(replaced) = replaced {
            self.inner.retire_route(&replaced);
        }
        Ok(())
    }

    /// Takes a route away: what waits to leave becomes dead letters. Whether there was one.
    pub fn unroute(&self, pattern: &ComponentPattern) -> bool {
        let route = {
            let mut routes = self.inner.routes.write();
            let at = routes.iter().position(|known| known.pattern == *pattern);
            at.map(|at| routes.remove(at))
        };
        route.is_some_and(|route| {
            self.inner.retire_route(&route);
            true
        })
    }

    /// The mailboxes of this node, as that peer reaches them.
    ///
    /// All that one peer is given count as the same: requests that come through one can be asked for through another.
    #[must_use]
    pub fn delivery(&self, from: &PeerIdentity) -> Arc<dyn Delivery> {
        Arc::new(Incoming { system: Arc::downgrade(&self.inner), peer: from.clone() })
    }

    /// Messages that were taken and did not come to their end.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters {
        self.inner.shared.dead_letters.letters()
    }

    /// What became of messages and requests so far.
    #[must_use]
    pub fn stats(&self) -> MessagingStats {
        self.inner.stats()
    }
}

impl std::fmt::Debug for ActorSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActorSystem").field("components", &self.inner.cells.read().len()).finish_non_exhaustive()
    }
}

/// Lets what waits for a component go, whatever ends the task that takes it away.
struct Removal {
    shared: Arc<Shared>,
    cell: Arc<Cell>,
}

impl Drop for Removal {
    fn drop(&mut self) {
        self.cell.tell_to_stop(0);
        self.cell.let_go();
        let mut retired = self.shared.retired.lock();
        retired.leaving.retain(|cell| !Arc::ptr_eq(cell, &self.cell));
        retired.counts.add_counts(&stats_of(&self.cell));
    }
}

/// What a message takes from its sender to its mailbox.
struct Outline<'a> {
    from: &'a ComponentId,
    to: &'a ComponentId,
    payload: MessagePayload,
    request: Option<(CorrelationId, u64)>,
}

/// Where a message goes.
enum Way {
    Here(Arc<Cell>),
    Route(Arc<Route>),
}

impl Inner {
    pub(crate) fn cell(&self, id: &ComponentId) -> Option<Arc<Cell>> {
        self.cells.read().get(id).cloned()
    }

    fn room_for(&self, cells: &Cells, id: &ComponentId) -> Result<(), AddError> {
        let max = self.shared.options.components_max;
        if cells.contains_key(id) {
            Err(AddError::AlreadyThere { id: id.clone() })
        } else if cells.len() >= max {
            Err(AddError::TooMany { max })
        } else {
            Ok(())
        }
    }

    fn way(&self, to: &ComponentId) -> Result<Way, MessagingError> {
        if let Some(cell) = self.cell(to) {
            return Ok(Way::Here(cell));
        }
        let routes = self.routes.read();
        match routes.iter().find(|route| route.pattern.matches(to)) {
            Some(_) if !to.is_plain() => Err(MessagingError::InvalidMessage {
                reason: format!("`{}` is not the id of a component", to.as_str().escape_debug()),
            }),
            Some(route) => Ok(Way::Route(Arc::clone(route))),
            None => Err(MessagingError::TargetNotFound { id: to.to_string() }),
        }
    }

    /// Puts a message on its way; `reply` says who hears of it, and is called only where there is room.
    fn dispatch(
        &self,
        way: &Way,
        Outline { from, to, payload, request }: Outline<'_>,
        (deadline, timestamp_ms): (Option<Instant>, u64),
        reply: impl FnOnce() -> ReplyTo,
    ) -> Result<(), MessagingError> {
        let bytes = payload_bytes(&payload);
        let envelope = |to: &ComponentId| Envelope {
            message: ComponentMessage {
                sender: from.clone(),
                recipient: to.clone(),
                payload,
                correlation_id: request.map(|(id, _)| id),
                reply_to: request.map(|_| from.clone()),
                timestamp_ms,
                timeout_ms: request.map(|(_, timeout_ms)| timeout_ms),
            },
            reply: reply(),
            deadline,
        };
        match way {
            Way::Here(cell) => cell.push(bytes, || envelope(cell.id())),
            Way::Route(route) => route.push(bytes, request.is_some(), || envelope(to)),
        }
    }

    fn check(&self, from: &ComponentId, to: &ComponentId, payload: &MessagePayload) -> Result<(), MessagingError> {
        payload.check()?;
        match &self.shared.options.grants {
            Some(grants) if !grants.lets_send(from, to) => self.denied(&grants.may_send(from, to)),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn denied(&self, decision: &Decision) -> Result<(), MessagingError> {
        self.shared.refused.denied.fetch_add(1, Relaxed);
        Err(MessagingError::InvalidMessage { reason: decision.to_string() })
    }

    fn try_send(&self, from: &ComponentId, to: &ComponentId, payload: MessagePayload) -> Result<(), MessagingError> {
        self.check(from, to, &payload)?;
        let way = self.way(to)?;
        let (_, now_ms) = self.shared.clock.now();
        self.dispatch(&way, Outline { from, to, payload, request: None }, (None, now_ms), ReplyTo::nobody)
    }

    fn try_request(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: MessagePayload,
        timeout_ms: u64,
    ) -> Result<CorrelationId, MessagingError> {
        self.check(from, to, &payload)?;
        let timeout = request_timeout(timeout_ms)?;
        let way = self.way(to)?;
        let Some(requester) = self.cell(from) else {
            let reason = format!("`{from}` is not a component here, and could not be called back");
            return Err(MessagingError::InvalidMessage { reason });
        };
        let id = new_id().ok_or_else(no_randomness)?;
        let (now, now_ms) = self.shared.clock.now();
        let deadline = now + timeout;
        let target = if let Way::Here(cell) = &way { cell.id() } else { to };
        requester.open_request(id, target.clone(), deadline)?;
        let outline = Outline { from: requester.id(), to, payload, request: Some((id, timeout_ms)) };
        let reply = || ReplyTo::to(Address::Cell(Arc::clone(&requester), id));
        let sent = self.dispatch(&way, outline, (Some(deadline), now_ms), reply);
        if sent.is_err() {
            requester.requests.lock().take_back(id);
        }
        sent.map(|()| id)
    }

    fn ask(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: MessagePayload,
        timeout_ms: u64,
        asker: oneshot::Sender<RequestOutcome>,
    ) -> Result<Instant, MessagingError> {
        self.check(from, to, &payload)?;
        let timeout = request_timeout(timeout_ms)?;
        let way = self.way(to)?;
        let id = new_id().ok_or_else(no_randomness)?;
        let (now, now_ms) = self.shared.clock.now();
        let deadline = now + timeout;
        let outline = Outline { from, to, payload, request: Some((id, timeout_ms)) };
        self.dispatch(&way, outline, (Some(deadline), now_ms), || ReplyTo::to(Address::Ask(asker)))?;
        Ok(deadline)
    }

    /// The same, counted if it is a refusal that no mailbox counts.
    pub(crate) fn counted<T>(&self, result: Result<T, MessagingError>) -> Result<T, MessagingError> {
        let refused = &self.shared.refused;
        match &result {
            Err(MessagingError::TargetNotFound { .. }) => refused.not_found.fetch_add(1, Relaxed),
            Err(MessagingError::InvalidMessage { .. }) => refused.invalid.fetch_add(1, Relaxed),
            Err(_) | Ok(_) => 0,
        };
        result
    }

    fn retire_route(&self, route: &Route) {
        route.close();
        self.shared.retired.lock().counts.add_counts(&route_stats(route));
    }

    fn stats(&self) -> MessagingStats {
        let retired = self.shared.retired.lock();
        let mut stats = retired.counts;
        for route in self.routes.read().iter() {
            stats.add_counts(&route_stats(route));
        }
        let cells: Vec<_> = self.cells.read().values().cloned().collect();
        for cell in cells.iter().chain(&retired.leaving) {
            stats.add_counts(&stats_of(cell));
            let queued = cell.mailbox.queued();
            stats.queued_messages += queued.messages;
            stats.queued_bytes += queued.bytes;
            stats.requests_open += cell.requests.lock().len();
            stats.running += usize::from(cell.state() == LifecycleState::Running);
        }
        let refused = &self.shared.refused;
        stats.components = cells.len();
        stats.refused_not_found = refused.not_found.load(Relaxed);
        stats.refused_denied = refused.denied.load(Relaxed);
        stats.refused_invalid = refused.invalid.load(Relaxed).saturating_sub(stats.refused_denied);
        stats.dead_letters = self.shared.dead_letters.total();
        stats.held = self.held.len();
        stats
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for route in self.routes.get_mut().drain(..) {
            route.close();
        }
        for (_, cell) in self.cells.get_mut().drain() {
            cell.mark_removed();
            cell.tell_to_stop(0);
            cell.let_go();
        }
    }
}

fn stats_of(cell: &Cell) -> MessagingStats {
    let (accepted, refused_full) = cell.mailbox.accepted_and_refused();
    let counts = cell.requests.lock().counts;
    MessagingStats {
        accepted,
        refused_full,
        handled: cell.handled.load(Relaxed),
        rejected: cell.rejected.load(Relaxed),
        requests: counts.opened,
        timed_out: counts.timed_out,
        cancelled: counts.cancelled,
        late_replies: counts.late_replies,
        ..MessagingStats::default()
    }
}

fn route_stats(route: &Route) -> MessagingStats {
    let (forwarded, refused_full) = route.outbox.accepted_and_refused();
    MessagingStats { forwarded, refused_full, ..MessagingStats::default() }
}

fn request_timeout(timeout_ms: u64) -> Result<Duration, MessagingError> {
    if (1..=REQUEST_TIMEOUT_MS_MAX).contains(&timeout_ms) {
        return Ok(Duration::from_millis(timeout_ms));
    }
    let reason = format!("a request waits for 1 to {REQUEST_TIMEOUT_MS_MAX} ms, not for {timeout_ms}");
    Err(MessagingError::InvalidMessage { reason })
}

fn no_randomness() -> MessagingError {
    not_delivered(false, "the system gives no random bytes")
}

impl Messenger for Inner {
    fn send(&self, from: &ComponentId, to: &ComponentId, payload: MessagePayload) -> Result<(), MessagingError> {
        self.counted(self.try_send(from, to, payload))
    }

    fn request(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: MessagePayload,
        timeout_ms: u64,
    ) -> Result<CorrelationId, MessagingError> {
        self.counted(self.try_request(from, to, payload, timeout_ms))
    }

    fn cancel_request(&self, from: &ComponentId, id: CorrelationId) -> bool {
        self.cell(from).is_some_and(|cell| cell.requests.lock().cancel(id))
    }

    fn broadcast(
        &self,
        from: &ComponentId,
        to: &[ComponentId],
        payload: MessagePayload,
    ) -> Vec<Result<(), MessagingError>> {
        if to.len() > BROADCAST_TARGETS_MAX {
            let reason = format!("a broadcast to {} targets, {BROADCAST_TARGETS_MAX} are allowed", to.len());
            return vec![self.counted(Err(MessagingError::InvalidMessage { reason })); to.len()];
        }
        to.iter().map(|to| self.send(from, to, payload.clone())).collect()
    }

    fn components(&self) -> Vec<ComponentId> {
        let mut ids: Vec<_> = self.cells.read().keys().cloned().collect();
        ids.sort_unstable();
        ids
    }

    fn metadata(&self, id: &ComponentId) -> Option<ComponentMetadata> {
        self.cell(id)?.metadata.get().cloned()
    }
}

impl Messenger for ActorSystem {
    fn send(&self, from: &ComponentId, to: &ComponentId, payload: MessagePayload) -> Result<(), MessagingError> {
        self.inner.send(from, to, payload)
    }

    fn request(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: MessagePayload,
        timeout_ms: u64,
    ) -> Result<CorrelationId, MessagingError> {
        self.inner.request(from, to, payload, timeout_ms)
    }

    fn cancel_request(&self, from: &ComponentId, id: CorrelationId) -> bool {
        self.inner.cancel_request(from, id)
    }

    fn broadcast(
        &self,
        from: &ComponentId,
        to: &[ComponentId],
        payload: MessagePayload,
    ) -> Vec<Result<(), MessagingError>> {
        self.inner.broadcast(from, to, payload)
    }

    fn components(&self) -> Vec<ComponentId> {
        self.inner.components()
    }

    fn metadata(&self, id: &ComponentId) -> Option<ComponentMetadata> {
        self.inner.metadata(id)
    }
}
