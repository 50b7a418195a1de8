//! What a host says of the components that live there, and of what they logged: as values, and on the wire.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{
    Bound, BoxFuture, CallContext, CallFailed, ComponentHealth, ComponentId, Delivery, Failure, FunctionIndex,
    HealthStatus, PeerIdentity, Reply,
};
use isorun_messaging::{DeadLetters, LifecycleState, MessagingStats};
use isorun_system::LogLevel;
use neopack::{Pack, Unpack};
use tokio::sync::OwnedSemaphorePermit;

use super::dead::DeadLetterPage;
use super::delivery::{bad_arguments, bad_results, pack, unpack};
use super::logs::{LogEntry, LogPage, LogQuery};
use super::types::{COMPONENTS, DEAD_LETTERS, LOGS};
use crate::reflect;

/// Most components that one answer lists, however many were asked for.
pub const COMPONENTS_PAGE_MAX: u32 = 256;

/// What a host says of a component that lives there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentStatus {
    /// Which one.
    pub id: ComponentId,
    /// Where in its life it is.
    pub state: LifecycleState,
    /// How often it was started again.
    pub restarts: u32,
    /// Messages in its mailbox.
    pub queued_messages: u64,
    /// Bytes in its mailbox.
    pub queued_bytes: u64,
    /// Bytes of its linear memories, as of the end of its last call.
    pub memory_bytes: u64,
    /// Calls into it since it was loaded.
    pub calls: u64,
    /// What it says of itself, if it was asked and answered in time.
    pub health: Option<ComponentHealth>,
    /// Who starts it again.
    pub supervisor: Option<String>,
    /// How it last ended.
    pub last_exit: Option<String>,
}

/// What all components of a host have done together, for those who count.
#[derive(Debug, Default)]
pub(crate) struct LivingNumbers {
    pub(crate) messages: MessagingStats,
    pub(crate) dead_letters: DeadLetters,
    /// How often any of those that are there was started again.
    pub(crate) restarts: u64,
    /// How many there are in each state.
    pub(crate) states: Vec<(LifecycleState, u64)>,
}

/// What lives on a host, for those that look at it or send it messages.
pub(crate) trait Living: Send + Sync {
    /// The mailboxes, as `caller` reaches them.
    fn delivery(&self, caller: &PeerIdentity) -> Result<Arc<dyn Delivery>, Failure>;

    /// Begins a look of that caller's, which lasts as long as what it gives.
    ///
    /// # Errors
    /// [`Refusal`](isorun_core::Refusal) for one that may see nothing here, or where too many look already.
    fn look(&self, caller: &PeerIdentity) -> Result<Option<OwnedSemaphorePermit>, Failure>;

    /// The components after a name that `caller` may know of, `limit` of them at most; whether there are more.
    fn components<'a>(
        &'a self,
        caller: &'a PeerIdentity,
        after: Option<&'a str>,
        limit: usize,
        ask_health: bool,
    ) -> BoxFuture<'a, (Vec<ComponentStatus>, bool)>;

    /// Lines of the log, of components that `caller` may know of.
    fn logs<'a>(&'a self, caller: &'a PeerIdentity, query: &'a LogQuery) -> BoxFuture<'a, LogPage>;

    /// Whether there is such a component, or lines of one, that `caller` may know of.
    fn knows(&self, caller: &PeerIdentity, id: &ComponentId) -> bool;

    /// The numbers of all components together.
    fn numbers(&self) -> LivingNumbers;

    /// Messages to components that `caller` may know of, which did not come to their end.
    fn dead_letters(&self, caller: &PeerIdentity, after: Option<u64>, limit: u32) -> DeadLetterPage;
}

/// What lives here, as one caller bound it.
pub(crate) struct ServedStatus {
    living: Arc<dyn Living>,
    caller: PeerIdentity,
    functions: Vec<&'static str>,
}

impl ServedStatus {
    /// These functions of the interface, in their order.
    pub(crate) fn new(living: Arc<dyn Living>, caller: PeerIdentity, functions: Vec<&'static str>) -> Self {
        Self { living, caller, functions }
    }

    async fn components(&self, args: &[u8]) -> Result<Bytes, Failure> {
        let (after, limit, ask_health): (Option<&str>, u32, bool) = unpack(args).map_err(bad_arguments)?;
        let limit = limit.clamp(1, COMPONENTS_PAGE_MAX) as usize;
        let _look = self.living.look(&self.caller)?;
        let (components, more) = self.living.components(&self.caller, after, limit, ask_health).await;
        let components = components.iter().map(Component::from).collect();
        pack(&(Page { components, more },)).map_err(bad_results)
    }

    async fn logs(&self, args: &[u8]) -> Result<Bytes, Failure> {
        let (component, after, limit, wait_ms): (Option<&str>, Option<u64>, u32, u32) =
            unpack(args).map_err(bad_arguments)?;
        let component = component.map(ComponentId::parse).transpose();
        let component = component.map_err(|error| bad_arguments(error.to_string()))?;
        let _look = self.living.look(&self.caller)?;
        if let Some(id) = component.as_ref().filter(|id| !self.living.knows(&self.caller, id)) {
            return Err(bad_arguments(format!("there is no component `{id}` here that this caller may see")));
        }
        let page = self.living.logs(&self.caller, &LogQuery { component, after, limit, wait_ms }).await;
        let LogPage { lines, next, forgotten } = &page;
        let lines = lines.iter().map(Line::from).collect();
        pack(&(Lines { lines, next: *next, forgotten: *forgotten },)).map_err(bad_results)
    }

    fn dead_letters(&self, args: &[u8]) -> Result<Bytes, Failure> {
        let (after, limit): (Option<u64>, u32) = unpack(args).map_err(bad_arguments)?;
        self.living.dead_letters(&self.caller, after, limit).pack().map_err(bad_results)
    }
}

impl Bound for ServedStatus {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        _: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            let results = match self.functions.get(function.0 as usize) {
                Some(&COMPONENTS) => self.components(&args).await?,
                Some(&LOGS) => self.logs(&args).await?,
                Some(&DEAD_LETTERS) => self.dead_letters(&args)?,
                _ => return Err(reflect::no_such_function(function).into()),
            };
            Ok(Reply { results, fuel_used: 0 })
        })
    }
}

/// The arguments of `components`.
pub(super) fn pack_components(after: Option<&str>, limit: u32, ask_health: bool) -> Result<Bytes, String> {
    pack(&(after, limit, ask_health))
}

/// What `components` gave; `None` in the place of one whose id is none.
pub(super) fn unpack_components(bytes: &[u8]) -> Result<(Vec<ComponentStatus>, bool), String> {
    let (Page { components, more },): (Page<'_>,) = unpack(bytes)?;
    let components = components.into_iter().map(Component::checked).collect::<Result<_, _>>()?;
    Ok((components, more))
}

/// The arguments of `logs`.
pub(super) fn pack_logs(query: &LogQuery) -> Result<Bytes, String> {
    pack(&(query.component.as_ref().map(ComponentId::as_str), query.after, query.limit, query.wait_ms))
}

/// The arguments of `dead-letters`.
pub(super) fn pack_dead_letters(after: Option<u64>, limit: u32) -> Result<Bytes, String> {
    pack(&(after, limit))
}

/// What `logs` gave.
pub(super) fn unpack_logs(bytes: &[u8]) -> Result<LogPage, String> {
    let (Lines { lines, next, forgotten },): (Lines<'_>,) = unpack(bytes)?;
    Ok(LogPage { lines: lines.into_iter().map(Into::into).collect(), next, forgotten })
}

#[derive(Pack, Unpack, Clone, Copy)]
enum State {
    Created,
    Starting,
    Running,
    Stopping,
    Stopped,
}

#[derive(Pack, Unpack, Clone, Copy)]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
    Unknown,
}

#[derive(Pack, Unpack)]
struct Health<'a> {
    status: Status,
    reason: Option<Cow<'a, str>>,
}

#[derive(Pack, Unpack)]
struct Component<'a> {
    id: &'a str,
    state: State,
    restarts: u32,
    queued_messages: u64,
    queued_bytes: u64,
    memory_bytes: u64,
    calls: u64,
    health: Option<Health<'a>>,
    supervisor: Option<Cow<'a, str>>,
    last_exit: Option<Cow<'a, str>>,
}

#[derive(Pack, Unpack)]
struct Page<'a> {
    components: Vec<Component<'a>>,
    more: bool,
}

#[derive(Pack, Unpack, Clone, Copy)]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Pack, Unpack)]
struct Line<'a> {
    seq: u64,
    timestamp_ms: u64,
    component: &'a str,
    level: Level,
    message: &'a str,
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    dropped_before: u64,
}

#[derive(Pack, Unpack)]
struct Lines<'a> {
    lines: Vec<Line<'a>>,
    next: u64,
    forgotten: u64,
}

/// Bytes of a reason or an exit that an answer holds; the rest is cut, so that a page of them fits into one.
const TEXT_BYTES_MAX: usize = 1 << 10;

fn short(text: &str) -> Cow<'_, str> {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].into()
}

impl<'a> From<&'a ComponentStatus> for Component<'a> {
    fn from(status: &'a ComponentStatus) -> Self {
        let health = status.health.as_ref().map(|health| Health {
            status: match health.status {
                HealthStatus::Healthy => Status::Healthy,
                HealthStatus::Degraded => Status::Degraded,
                HealthStatus::Unhealthy => Status::Unhealthy,
                _ => Status::Unknown,
            },
            reason: health.reason.as_deref().map(short),
        });
        Self {
            id: status.id.as_str(),
            state: match status.state {
                LifecycleState::Created => State::Created,
                LifecycleState::Starting => State::Starting,
                LifecycleState::Running => State::Running,
                LifecycleState::Stopping => State::Stopping,
                _ => State::Stopped,
            },
            restarts: status.restarts,
            queued_messages: status.queued_messages,
            queued_bytes: status.queued_bytes,
            memory_bytes: status.memory_bytes,
            calls: status.calls,
            health,
            supervisor: status.supervisor.as_deref().map(short),
            last_exit: status.last_exit.as_deref().map(short),
        }
    }
}

impl Component<'_> {
    fn checked(self) -> Result<ComponentStatus, String> {
        let health = self.health.map(|health| ComponentHealth {
            status: match health.status {
                Status::Healthy => HealthStatus::Healthy,
                Status::Degraded => HealthStatus::Degraded,
                Status::Unhealthy => HealthStatus::Unhealthy,
                Status::Unknown => HealthStatus::Unknown,
            },
            reason: health.reason.map(Cow::into_owned),
        });
        Ok(ComponentStatus {
            id: ComponentId::parse(self.id).map_err(|error| error.to_string())?,
            state: match self.state {
                State::Created => LifecycleState::Created,
                State::Starting => LifecycleState::Starting,
                State::Running => LifecycleState::Running,
                State::Stopping => LifecycleState::Stopping,
                State::Stopped => LifecycleState::Stopped,
            },
            restarts: self.restarts,
            queued_messages: self.queued_messages,
            queued_bytes: self.queued_bytes,
            memory_bytes: self.memory_bytes,
            calls: self.calls,
            health,
            supervisor: self.supervisor.map(Cow::into_owned),
            last_exit: self.last_exit.map(Cow::into_owned),
        })
    }
}

impl<'a> From<&'a LogEntry> for Line<'a> {
    fn from(entry: &'a LogEntry) -> Self {
        Self {
            seq: entry.seq,
            timestamp_ms: entry.timestamp_ms,
            component: &entry.component,
            level: match entry.level {
                LogLevel::Trace => Level::Trace,
                LogLevel::Debug => Level::Debug,
                LogLevel::Info => Level::Info,
                LogLevel::Warn => Level::Warn,
                LogLevel::Error => Level::Error,
            },
            message: &entry.message,
            fields: entry.fields.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            dropped_before: entry.dropped_before,
        }
    }
}

impl From<Line<'_>> for LogEntry {
    fn from(line: Line<'_>) -> Self {
        Self {
            seq: line.seq,
            timestamp_ms: line.timestamp_ms,
            component: line.component.into(),
            level: match line.level {
                Level::Trace => LogLevel::Trace,
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            },
            message: line.message.into(),
            fields: line.fields.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            dropped_before: line.dropped_before,
        }
    }
}
