//! Instances: how an exported component serves its callers.

mod driver;
mod short;
mod tally;
mod usual;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, Budget, CHAIN_MAX, CallContext, CallFailed, Callee, DEADLINE_MS_DEFAULT, Failure,
    Fault, FunctionIndex, InstanceUid, Refusal, Reply,
};
use isorun_ledger::{Function, Ledger, TypeRegistry, names_match};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio::time::timeout_at;
use tracing::Instrument;
use wasmtime::component::{ComponentExportIndex, Func, Val};
use wasmtime::{AsContextMut, PoolConcurrencyLimitError, Store};

pub(crate) use self::driver::CONCURRENT_HANDLES;
pub use self::driver::CONCURRENT_MAX;
use self::driver::Driver;
use self::short::Quick;
pub(crate) use self::short::ShortWay;
pub use self::tally::InstanceCounts;
use self::tally::Tally;
use self::usual::Usual;
use crate::direct::{ConcurrentFunc, DirectFunc};
use crate::interpreted::{self, Ended};
use crate::linker::LinkedComponent;
use crate::observe::{self, CallSpan, Called};
use crate::store::{Allowance, begin, new_store, settle};
use crate::stub::deadline;
use crate::{Codec, HostState, LinkError, LinkFailure, cause, codec};

/// Callers that may wait for a busy singleton.
pub const QUEUE_MAX: usize = 64;
/// How long a caller waits for a busy singleton, in milliseconds.
///
/// Two singletons that call each other at once wait for each other: no call
/// chain shows it, and this bound ends it.
pub const QUEUE_MS: u64 = 1_000;
/// Calls at once into a component that serves each with an instance of its own.
pub const AT_ONCE_MAX: usize = 64;

/// How an instance serves its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Serving {
    /// One store whose state is kept, one call at a time, the others in a queue.
    ///
    /// Calls of `async` functions it serves at once, up to [`CONCURRENT_MAX`], re-entrant ones among them: what ends
    /// one of them badly (a trap, a budget) loses the store and ends all.
    Singleton {
        /// Callers that may wait; one more is refused as busy.
        queue_max: usize,
        /// How long each may wait, in milliseconds.
        queue_ms: u64,
    },
    /// A number of stores that are kept, each for one call at a time; which one a call gets is not said.
    Pool {
        /// Stores at most.
        size: usize,
        /// Callers that may wait; one more is refused as busy.
        queue_max: usize,
        /// How long each may wait, in milliseconds.
        queue_ms: u64,
    },
    /// A fresh store for each call: no state, full isolation.
    PerCall {
        /// Calls at once; one more is refused as overloaded.
        at_once_max: usize,
    },
}

impl Serving {
    /// A singleton with the default queue.
    pub const SINGLETON: Self = Self::Singleton { queue_max: QUEUE_MAX, queue_ms: QUEUE_MS };
    /// A pool of that many stores, with the default queue.
    #[must_use]
    pub const fn pool(size: usize) -> Self {
        Self::Pool { size, queue_max: QUEUE_MAX, queue_ms: QUEUE_MS }
    }

    /// A store for each call, within the default bound.
    pub const PER_CALL: Self = Self::PerCall { at_once_max: AT_ONCE_MAX };
}

/// How a call from the host is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallOptions {
    /// How long the caller waits, in milliseconds. Default [`DEADLINE_MS_DEFAULT`].
    pub deadline_ms: u64,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self { deadline_ms: DEADLINE_MS_DEFAULT }
    }
}

/// A component that can be called: by the host, by instances linked to it, by peers.
///
/// A singleton with `async` exports has a task in the tokio runtime that started it.
///
/// Cloning is cheap and gives the same instance.
#[derive(Clone)]
pub struct Instance {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    uid: InstanceUid,
    serving: Serving,
    budget: Budget,
    linked: LinkedComponent,
    ledger: Arc<Ledger>,
    packed: OnceLock<Bytes>,
    exports: Vec<Export>,
    /// A singleton's store; empty before the first call after it was lost.
    live: Arc<Mutex<Option<Live>>>,
    waiting: AtomicUsize,
    /// Calls at once: of a pool, or of a store for each call.
    at_once: Semaphore,
    /// A pool's stores that serve nobody.
    idle: parking_lot::Mutex<Vec<Live>>,
    generation: AtomicU64,
    in_flight: AtomicUsize,
    tally: Tally,
    quick: Quick,
    usual: Usual,
    /// Whether the component has `async` functions.
    is_concurrent: bool,
    /// Where a singleton has `async` exports: the way to the task that has its store.
    driver: Option<Driver>,
    /// What one call may take of the clock.
    wall: Duration,
}

struct Export {
    interface: Option<String>,
    function: Function,
    index: ComponentExportIndex,
}

impl Export {
    fn label(&self) -> String {
        let name = &self.function.name;
        self.interface.as_ref().map_or_else(|| name.clone(), |interface| format!("{interface}#{name}"))
    }
}

struct Live {
    store: Store<HostState>,
    instance: wasmtime::component::Instance,
    funcs: Vec<Option<Callable>>,
}

/// An export, as its codec calls it.
#[derive(Clone)]
enum Callable {
    Direct(DirectFunc),
    /// Of a component that uses `async`.
    Concurrent(ConcurrentFunc),
    Interpreted(Func),
}

/// A place in a pool; leaving gives it back.
type Place<'a> = tokio::sync::SemaphorePermit<'a>;

/// Packed results and the fuel they cost, or why there are none.
type Outcome = Result<(Bytes, u64), Failed>;

/// A call without results, as the host sees it.
struct Failed {
    call: CallFailed,
    /// The call through a link that the guest could not do without, if that was the cause.
    link: Option<Box<LinkFailure>>,
}

impl<F: Into<CallFailed>> From<F> for Failed {
    fn from(call: F) -> Self {
        Self { call: call.into(), link: None }
    }
}

impl Instance {
    /// Makes an instance; a singleton's store is started at once.
    ///
    /// # Errors
    /// [`StartError::Start`] where the component's own start traps or is over its budget.
    pub async fn start(linked: LinkedComponent, options: InstanceOptions) -> Result<Self, StartError> {
        let InstanceOptions { name, serving, budget } = options;
        let name: Arc<str> = name.into();
        let ledger = linked.component.ledger().clone();
        let exports = exports(&linked, &ledger).await?;
        let at_once = match serving {
            Serving::Pool { size, .. } => size.max(1),
            Serving::PerCall { at_once_max } => at_once_max,
            Serving::Singleton { .. } => 0,
        };
        let is_concurrent = linked.component.is_concurrent();
        let has_async = exports.iter().any(|export| export.function.is_async);
        let driver = (has_async && matches!(serving, Serving::Singleton { .. })).then(Driver::new);
        let (driver, jobs) = driver.unzip();
        // The short way is the direct codec's alone.
        let is_direct = linked.component.engine().options().codec == Codec::Direct && !is_concurrent;
        let is_leaf = is_direct && ledger.imports.iter().all(|interface| interface.functions.is_empty());
        let shared = Arc::new(Shared {
            uid: InstanceUid(random_uid()),
            serving,
            linked,
            ledger,
            packed: OnceLock::new(),
            exports,
            live: Arc::new(Mutex::new(None)),
            waiting: AtomicUsize::new(0),
            at_once: Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)),
            idle: parking_lot::Mutex::new(Vec::new()),
            generation: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            tally: Tally::default(),
            quick: Quick::new(is_leaf),
            usual: Usual::default(),
            is_concurrent,
            driver,
            wall: Duration::from_millis(budget.wall_ms),
            budget,
            name,
        });
        let wall_until = Instant::now() + shared.wall;
        let cx = CallContext::until(wall_until);
        let (live, _) = shared.fresh(&cx, shared.allowance(&cx, wall_until)).await.map_err(|failed| {
            let fault = match failed.failure {
                Failure::Failed(fault) => fault,
                other => Fault::Trapped { message: other.to_string() },
            };
            StartError::Start { instance: shared.name.to_string(), fault }
        })?;
        match serving {
            Serving::Singleton { .. } => match jobs {
                Some(jobs) => drop(tokio::spawn(jobs.serve(Arc::downgrade(&shared), live))),
                None => *shared.live.lock().await = Some(live),
            },
            Serving::Pool { .. } => shared.idle.lock().push(live),
            Serving::PerCall { .. } => drop(live),
        }
        Ok(Self { shared })
    }

    /// The instance's name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The types of its imports and exports.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// How it serves.
    #[must_use]
    pub fn serving(&self) -> Serving {
        self.shared.serving
    }

    /// What it may use.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// How many stores it has had. A singleton that lost its store (a trap, a
    /// budget) gets a fresh one, without its state, with its next call.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Relaxed)
    }

    /// Calls that run now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// What it has done so far, and what it does now.
    #[must_use]
    pub fn counts(&self) -> InstanceCounts {
        InstanceCounts {
            generation: self.generation(),
            in_flight: self.in_flight(),
            waiting: self.shared.waiting.load(Ordering::Relaxed),
            ..self.shared.tally.counts()
        }
    }

    /// The exported function of that name and its types' table.
    ///
    /// `run` is a function at the root, `ns:pkg/iface#run` one of an interface,
    /// whose version may be left out.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<(&Function, &TypeRegistry)> {
        let at = self.shared.find(name)?;
        Some((&self.shared.exports[at].function, &self.shared.ledger.types))
    }

    /// Names of all exported functions, as [`exec`](Self::exec) takes them.
    #[must_use]
    pub fn functions(&self) -> Vec<String> {
        self.shared.exports.iter().map(Export::label).collect()
    }

    /// Calls an exported function with values, and waits for its results.
    ///
    /// # Errors
    /// [`CallError`], which says which function of which instance failed, and why.
    pub async fn exec(&self, function: &str, args: &[Val], options: CallOptions) -> Result<Vec<Val>, CallError> {
        let shared = &self.shared;
        let error = |failure: Failure| CallError {
            instance: shared.name.to_string(),
            function: function.to_owned(),
            failure: Box::new(failure),
            link: None,
        };
        let Some(at) = shared.find(function) else {
            return Err(error(Refusal::no_such_function(&*shared.name, None, function).into()));
        };
        let export = &shared.exports[at];
        let packed = codec::pack_args(&shared.ledger.types, &export.function, args).map_err(error)?;
        let mut cx = CallContext::until(Instant::now() + Duration::from_millis(options.deadline_ms));
        let called = if observe::is_on() {
            let to = Called {
                instance: &shared.name,
                interface: export.interface.as_deref(),
                function: &export.function.name,
                peer: "in this process",
            };
            let span = CallSpan::new(to, &mut cx);
            let called = shared.call(at, &cx, packed).instrument(span.span()).await;
            match &called {
                Ok((_, fuel_used)) => span.tell(None, *fuel_used),
                Err(Failed { call, .. }) => span.tell(Some(&call.failure), call.fuel_used),
            }
            called
        } else {
            shared.call(at, &cx, packed).await
        };
        match called {
            Ok((results, _)) => codec::unpack_results(&shared.ledger.types, &export.function, &results).map_err(error),
            Err(failed) => Err(CallError { link: failed.link, ..error(failed.call.failure) }),
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("name", &self.name())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

/// How an instance is made.
#[derive(Debug, Clone)]
pub struct InstanceOptions {
    /// Its name, for messages.
    pub name: String,
    /// How it serves.
    pub serving: Serving,
    /// What it may use.
    pub budget: Budget,
}

/// Why an instance could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its links don't hold.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Its own start failed.
    #[error("instance `{instance}` does not start: {fault}")]
    Start {
        /// The instance's name.
        instance: String,
        /// What happened.
        fault: Fault,
    },
}

/// A call from the host that brought no results.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("call of `{function}` on instance `{instance}` failed: {failure}")]
pub struct CallError {
    /// The instance's name.
    pub instance: String,
    /// The function's name, as it was asked for.
    pub function: String,
    /// Why.
    pub failure: Box<Failure>,
    /// The guest's own call that failed, where it trapped because that call's
    /// type has no room for an error: whether it may have run is in there.
    #[source]
    pub link: Option<Box<LinkFailure>>,
}

/// Places of all exported functions that a call can name.
async fn exports(linked: &LinkedComponent, ledger: &Ledger) -> Result<Vec<Export>, LinkError> {
    let compiled = linked.component.compiled().await?;
    let mut exports = Vec::new();
    for interface in &ledger.exports {
        let parent = match &interface.name {
            Some(name) => match compiled.get_export_index(None, name.as_str()) {
                Some(index) => Some(index),
                None => return Err(LinkError::Engine { cause: format!("no export `{name}` in the compiled code") }),
            },
            None => None,
        };
        for function in &interface.functions {
            let Some(index) = compiled.get_export_index(parent.as_ref(), function.name.as_str()) else {
                return Err(LinkError::Engine { cause: format!("no export `{}` in the compiled code", function.name) });
            };
            exports.push(Export { interface: interface.name.clone(), function: function.clone(), index });
        }
    }
    Ok(exports)
}

/// 16 bytes that no other instance anywhere draws.
pub(crate) fn random_uid() -> [u8; 16] {
    let mut uid = [0; 16];
    if getrandom::fill(&mut uid).is_err() {
        // Without randomness a count and the time still tell apart the instances of one process.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_nanos() as u64);
        uid[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        uid[8..].copy_from_slice(&nanos.to_le_bytes());
    }
    uid
}

impl Shared {
    /// The export that `name` means.
    fn find(&self, name: &str) -> Option<usize> {
        let exact = self.exports.iter().position(|export| export.label() == name);
        exact.or_else(|| {
            let (interface, function) = name.split_once('#')?;
            self.exports.iter().position(|export| {
                let known = export.interface.as_deref().unwrap_or_default();
                let unversioned = known.split('@').next() == Some(interface);
                export.function.name == function && (unversioned || names_match(interface, known))
            })
        })
    }

    /// A store with a started component in it, and what its start spent of the caller's fuel.
    ///
    /// A start is guest code like any other: it runs on behalf of the call that
    /// needs it, with that call's chain and within what that call has left.
    async fn fresh(&self, cx: &CallContext, allowance: Allowance) -> Result<(Live, u64), CallFailed> {
        let LinkedComponent { component, pre, systems } = &self.linked;
        let start = |e: wasmtime::Error| Failure::from(Fault::Trapped { message: cause::said(&e) });
        let mut store = new_store(component.beneath(), self.name.clone(), &self.budget, systems).map_err(start)?;
        if self.is_concurrent {
            store.set_max_component_handles((self.budget.max_handles as usize).saturating_add(CONCURRENT_HANDLES));
        }
        begin(&mut store, self.uid, cx, allowance).map_err(start)?;
        let wall_until = store.data().call.wall_until();
        let started = timeout_at(wall_until.into(), pre.instantiate_async(&mut store)).await;
        let fuel_used = match settle(&mut store.as_context_mut()) {
            Ok(()) => store.data().call.spent(),
            Err(_) => 0,
        };
        let failed = |fault: Fault| CallFailed { failure: fault.into(), fuel_used };
        match started {
            Ok(Ok(instance)) => {
                self.generation.fetch_add(1, Ordering::Relaxed);
                Ok((Live { store, instance, funcs: vec![None; self.exports.len()] }, fuel_used))
            }
            Ok(Err(error)) if error.is::<PoolConcurrencyLimitError>() => {
                let limit = component.engine().options().pooled_stores.unwrap_or_default();
                let what = "stores at once in this engine".into();
                Err(Failure::from(Refusal::Overloaded { what, limit: limit.into() }).into())
            }
            Ok(Err(error)) => Err(failed(cause::start_fault(&error, store.data_mut()))),
            Err(_) => Err(failed(Fault::OutOfTime { limit_ms: self.budget.wall_ms })),
        }
    }

    /// What a caller must hold for a call into a singleton.
    fn fuel_needed(&self) -> u64 {
        self.budget.fuel.min(self.budget.fuel_tree)
    }

    fn told_lost(&self, failure: &Failure) {
        tracing::warn!(instance = %self.name, generation = self.generation.load(Ordering::Relaxed), %failure,
            "a singleton lost its store and its state; the next call gets a fresh one");
    }

    /// What a call may spend here on its own account.
    fn allowance(&self, cx: &CallContext, deadline: Instant) -> Allowance {
        Allowance { own: self.budget.fuel, tree: cx.fuel.unwrap_or(self.budget.fuel_tree), deadline }
    }

    /// Runs one call in a store that is there, or in a fresh one, whose start is a part of the call.
    async fn run_in(
        &self,
        live: Option<Live>,
        at: usize,
        cx: &CallContext,
        args: Bytes,
        allowance: Allowance,
    ) -> (Outcome, Option<Live>) {
        let (mut live, start) = match live {
            Some(live) => (live, 0),
            None => match self.fresh(cx, allowance).await {
                Ok(fresh) => fresh,
                Err(failed) => return (Err(failed.into()), None),
            },
        };
        let left = Allowance { tree: allowance.tree.saturating_sub(start), ..allowance };
        let (mut outcome, keep) = self.run(&mut live, at, cx, args, left).await;
        match &mut outcome {
            Ok((_, fuel_used)) => *fuel_used = fuel_used.saturating_add(start),
            Err(Failed { call, .. }) => call.fuel_used = call.fuel_used.saturating_add(start),
        }
        (outcome, keep.then_some(live))
    }

    /// Calls an export with packed arguments, and counts the call.
    async fn call(self: &Arc<Self>, at: usize, cx: &CallContext, args: Bytes) -> Outcome {
        let counting = self.tally.begin();
        let outcome = self.call_on(at, cx, args).await;
        counting.told(outcome.as_ref().map(|(_, fuel_used)| *fuel_used).map_err(|failed| &failed.call));
        outcome
    }

    async fn call_on(self: &Arc<Self>, at: usize, cx: &CallContext, args: Bytes) -> Outcome {
        if cx.chain.len() >= CHAIN_MAX {
            return Err(Failure::from(Refusal::ChainTooLong { limit: CHAIN_MAX as u64 }).into());
        }
        let started = Instant::now();
        if started >= cx.deadline {
            return Err(Failure::Deadline { waited_ms: 0 }.into());
        }
        match self.serving {
            Serving::Singleton { queue_max, queue_ms } => {
                // Before any lock: a call that came back would wait for itself, but for functions that several may be in.
                if cx.chain.contains(&self.uid) && !self.exports[at].function.is_async {
                    return Err(Failure::from(Refusal::Reentrant { instance: self.name.to_string() }).into());
                }
                let (held, needed) = (cx.fuel.unwrap_or(u64::MAX), self.fuel_needed());
                if held < needed {
                    let instance = self.name.to_string();
                    return Err(Failure::from(Refusal::ShortOfFuel { instance, held, needed }).into());
                }
                if let Some(driver) = &self.driver {
                    return self.drive(driver, at, cx, args, (queue_max, queue_ms)).await;
                }
                let slot = self.acquire(cx.deadline, queue_max, queue_ms).await?;
                // The caller's deadline ends its wait; the call runs on, and so the state stays whole.
                let run = RunOn::new(Box::pin(self.clone().singleton(slot, at, cx.clone(), args)));
                match timeout_at(cx.deadline.into(), run).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(deadline(started).into()),
                }
            }
            Serving::Pool { queue_max, queue_ms, .. } => {
                let _permit = self.place(cx.deadline, queue_max, queue_ms).await?;
                match timeout_at(cx.deadline.into(), self.pooled(at, cx, args)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(deadline(started).into()),
                }
            }
            Serving::PerCall { at_once_max } => {
                let Ok(_permit) = self.at_once.try_acquire() else {
                    let what = format!("calls at once into instance `{}`", self.name);
                    return Err(Failure::from(Refusal::Overloaded { what, limit: at_once_max as u64 }).into());
                };
                match timeout_at(cx.deadline.into(), self.once(at, cx, args)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(deadline(started).into()),
                }
            }
        }
    }

    /// The singleton's store, at once or after a bounded wait.
    async fn acquire(
        &self,
        deadline_at: Instant,
        queue_max: usize,
        queue_ms: u64,
    ) -> Result<OwnedMutexGuard<Option<Live>>, Failure> {
        match self.live.clone().try_lock_owned() {
            Ok(slot) => Ok(slot),
            Err(_) => self.wait(deadline_at, queue_max, queue_ms, self.live.clone().lock_owned()).await,
        }
    }

    /// A place in the pool, at once or after a bounded wait.
    async fn place(&self, deadline_at: Instant, queue_max: usize, queue_ms: u64) -> Result<Place<'_>, Failure> {
        let permit = match self.at_once.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(_) => self.wait(deadline_at, queue_max, queue_ms, self.at_once.acquire()).await?,
        };
        permit.map_err(|_| Fault::Bug { detail: "a pool without places".into() }.into())
    }

    /// Calls that it serves at once.
    fn places(&self) -> usize {
        match self.serving {
            Serving::Singleton { .. } => 1,
            Serving::Pool { size: places, .. } | Serving::PerCall { at_once_max: places } => places,
        }
    }

    /// Waits in the queue, for as long as its bounds allow.
    ///
    /// A call that would not come to its end in time, by what calls here usually take, is refused at once, and so is one
    /// whose turn comes too late.
    async fn wait<T>(
        &self,
        deadline_at: Instant,
        queue_max: usize,
        queue_ms: u64,
        free: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let busy = |waited_ms| Failure::from(Refusal::Busy { instance: self.name.to_string(), waited_ms });
        let _place = Counted::up_to(&self.waiting, queue_max).ok_or_else(|| busy(0))?;
        let until = started + Duration::from_millis(queue_ms);
        // Where waiting would be for nothing, that is said at once: work that comes too late is taken from those whose
        // time is not over.
        let ahead = self.waiting.load(Ordering::Relaxed).saturating_sub(1);
        if let (Some(wait), Some(call)) = (self.usual.wait(ahead, self.places()), self.usual.call())
            && (past(started, wait, until) || past(started, usual::with_margin(wait.saturating_add(call)), deadline_at))
        {
            return Err(busy(0));
        }
        match timeout_at(until.min(deadline_at).into(), free).await {
            Ok(free) => {
                let now = Instant::now();
                if now >= deadline_at {
                    return Err(deadline(started));
                }
                if self.usual.call().is_some_and(|call| past(now, call, deadline_at)) {
                    return Err(busy(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)));
                }
                Ok(free)
            }
            Err(_) if deadline_at < until => Err(deadline(started)),
            Err(_) => Err(busy(queue_ms)),
        }
    }

    /// A whole call of a singleton, owning all that it needs.
    async fn singleton(
        self: Arc<Self>,
        mut slot: OwnedMutexGuard<Option<Live>>,
        at: usize,
        cx: CallContext,
        args: Bytes,
    ) -> Outcome {
        // Its own deadline, not the caller's: what it calls must not fail because somebody stopped waiting.
        let wall_until = Instant::now() + self.wall;
        let allowance = self.allowance(&cx, wall_until);
        // Taken out while the guest runs: a call that is dropped takes the store, which can't be entered again, with it.
        let (outcome, live) = self.run_in(slot.take(), at, &cx, args, allowance).await;
        if let (Err(Failed { call: CallFailed { failure, .. }, .. }), None) = (&outcome, &live) {
            self.told_lost(failure);
        }
        *slot = live;
        outcome
    }

    /// A whole call in one of the pool's stores, which is lost if the call is given up.
    async fn pooled(&self, at: usize, cx: &CallContext, args: Bytes) -> Outcome {
        let idle = self.idle.lock().pop();
        let (outcome, live) = self.run_in(idle, at, cx, args, self.allowance(cx, cx.deadline)).await;
        self.idle.lock().extend(live);
        outcome
    }

    /// A whole call in a store of its own.
    async fn once(&self, at: usize, cx: &CallContext, args: Bytes) -> Outcome {
        self.run_in(None, at, cx, args, self.allowance(cx, cx.deadline)).await.0
    }

    /// Runs one call in a store; whether the store is still good.
    async fn run(
        &self,
        live: &mut Live,
        at: usize,
        cx: &CallContext,
        args: Bytes,
        allowance: Allowance,
    ) -> (Outcome, bool) {
        let _running = Counted::up_to(&self.in_flight, usize::MAX);
        if let Err(error) = begin(&mut live.store, self.uid, cx, allowance) {
            return (Err(Failure::from(Fault::Bug { detail: format!("{error:#}") }).into()), false);
        }
        let started = Instant::now();
        let wall_until = live.store.data().call.wall_until();
        let ended = match timeout_at(wall_until.into(), self.enter(live, at, args)).await {
            Ok(ended) => ended,
            Err(_) => Err(Ended::Inside(live.store.data().call.out_of_time(), None)),
        };
        self.usual.note(started.elapsed());
        // Only a store that was never made ready has no account.
        let fuel_used = match settle(&mut live.store.as_context_mut()) {
            Ok(()) => live.store.data().call.spent(),
            Err(_) => 0,
        };
        match ended {
            Ok(values) => (Ok((values, fuel_used)), true),
            Err(Ended::Before(failure)) => (Err(CallFailed { failure, fuel_used }.into()), true),
            Err(Ended::After(fault)) => (Err(CallFailed { failure: fault.into(), fuel_used }.into()), true),
            Err(Ended::Inside(fault, link)) => {
                (Err(Failed { call: CallFailed { failure: fault.into(), fuel_used }, link }), false)
            }
        }
    }

    /// Enters the guest.
    async fn enter(&self, live: &mut Live, at: usize, args: Bytes) -> Result<Bytes, Ended> {
        if live.funcs[at].is_none() {
            self.callable(live, at).map_err(|detail| Ended::Before(Fault::Bug { detail }.into()))?;
        }
        let function = &self.exports[at].function;
        let types = &self.ledger.types;
        let Live { store, funcs, .. } = live;
        match &funcs[at] {
            Some(Callable::Direct(func)) if func.takes(&args) => func.call(store, &args).await,
            Some(Callable::Concurrent(func)) if func.takes(&args) => func.call(store, args).await,
            Some(Callable::Interpreted(func)) => interpreted::call(store, *func, types, function, &args).await,
            Some(Callable::Direct(_) | Callable::Concurrent(_)) | None => {
                Err(Ended::Before(interpreted::refused(types, function, &args)))
            }
        }
    }

    /// Looks an export up, as its codec calls it.
    fn callable(&self, live: &mut Live, at: usize) -> Result<(), String> {
        let Export { function, index, .. } = &self.exports[at];
        let Live { store, instance, funcs } = live;
        let func = instance.get_func(&mut *store, index);
        let func = func.ok_or_else(|| format!("`{}` is no function", function.name))?;
        let bug = |error: wasmtime::Error| format!("{error:#}");
        let callable = match self.linked.component.engine().options().codec {
            Codec::Direct if self.is_concurrent => {
                Callable::Concurrent(ConcurrentFunc::new(&*store, func).map_err(bug)?)
            }
            Codec::Direct => Callable::Direct(DirectFunc::new(&*store, func).map_err(bug)?),
            Codec::Interpreted => Callable::Interpreted(func),
        };
        funcs[at] = Some(callable);
        Ok(())
    }

    fn packed(&self) -> &Bytes {
        self.packed.get_or_init(|| self.ledger.exports_only().pack().into())
    }
}

/// Whether it is later than `limit`, so long after `start`.
fn past(start: Instant, after: Duration, limit: Instant) -> bool {
    start.checked_add(after).is_none_or(|then| then > limit)
}

impl Callee for Instance {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(std::future::ready(bind(&self.shared, want)))
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(std::future::ready(Ok(self.shared.packed().clone())))
    }

    /// A pool's stores keep what they hold, but no caller can tell which it gets: nothing that could be relied on.
    fn keeps_state(&self) -> Option<bool> {
        Some(matches!(self.shared.serving, Serving::Singleton { .. }))
    }
}

fn bind(shared: &Arc<Shared>, want: &BindRequest) -> Result<Arc<dyn Bound>, Failure> {
    let mut table = Vec::with_capacity(want.functions.len());
    let mut differs = None;
    for (name, hash) in &want.functions {
        let offered = |export: &Export| match (&want.interface, &export.interface) {
            (None, None) => true,
            (Some(wanted), Some(offered)) => names_match(wanted, offered),
            (None, Some(_)) | (Some(_), None) => false,
        };
        let found = shared.exports.iter().position(|export| export.function.name == *name && offered(export));
        let Some(at) = found else {
            return Err(Refusal::no_such_function(&*shared.name, want.interface.as_deref(), name).into());
        };
        if shared.exports[at].function.hash != *hash {
            differs.get_or_insert_with(|| format!("`{name}` has other types here"));
        }
        table.push(at);
    }
    match differs {
        Some(detail) => Err(Refusal::Incompatible { detail, ledger: shared.packed().clone() }.into()),
        None => Ok(Arc::new(BoundInstance { shared: shared.clone(), table })),
    }
}

struct BoundInstance {
    shared: Arc<Shared>,
    table: Vec<usize>,
}

impl Bound for BoundInstance {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        cx: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            let Some(&at) = self.table.get(function.0 as usize) else {
                let instance = self.shared.name.to_string();
                let function = format!("number {}", function.0);
                return Err(Failure::from(Refusal::NoSuchFunction { instance, function }).into());
            };
            let (results, fuel_used) = self.shared.call(at, cx, args).await.map_err(|failed| failed.call)?;
            Ok(Reply { results, fuel_used })
        })
    }

    fn call_now(&self, function: FunctionIndex, cx: &CallContext, args: &Bytes) -> Option<Result<Reply, CallFailed>> {
        self.shared.serve_now(*self.table.get(function.0 as usize)?, cx, args)
    }

    fn as_any(&self) -> Option<&dyn std::any::Any> {
        Some(self)
    }
}

/// The short way to what was bound, if it is an instance of this process and may be called so.
pub(crate) fn short_way(bound: &dyn Bound) -> Option<ShortWay> {
    ShortWay::to(bound.as_any()?.downcast_ref::<BoundInstance>()?)
}

/// One of a bounded number; leaving gives the place back.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn up_to(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then(|| n + 1));
        // Made only where a place was taken: it gives one back when it goes.
        taken.is_ok().then(|| Self(count))
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A future that is polled in place, and goes on by itself when whoever polls it stops.
struct RunOn<T: Send + 'static> {
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
}

impl<T: Send + 'static> RunOn<T> {
    fn new(future: Pin<Box<dyn Future<Output = T> + Send>>) -> Self {
        Self { future: Some(future) }
    }
}

impl<T: Send + 'static> Future for RunOn<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.future else { return Poll::Pending };
        let ready = std::task::ready!(future.as_mut().poll(cx));
        self.future = None;
        Poll::Ready(ready)
    }
}

impl<T: Send + 'static> Drop for RunOn<T> {
    fn drop(&mut self) {
        // Outside a runtime nobody could poll it: it ends here, and the next call gets a fresh store.
        if let Some(future) = self.future.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(future);
        }
    }
}
