//! One store for many callers at once: how a singleton with `async` exports serves.
//!
//! The engine runs several calls in one store only from within one future, which has the store at hand and can't be
//! entered from inside. So a task of its own drives the store; callers hand it their calls through a bounded queue and
//! wait for answers. While calls are under way the task stays in that future, taking up more as they come.
//!
//! The engine can't stop one call of several. A trap, a budget that runs out or a call that is out of time loses the
//! store with all calls in it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{CallContext, CallFailed, Failure, Fault, Refusal};
use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout_at;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, AccessorTask, GuestTaskId};

use super::{Callable, Failed, Live, Outcome, Shared};
use crate::interpreted::{self, Ended};
use crate::store::flights::{Flight, begin_shared, enter, leave, spent};
use crate::stub::{CALLS_OUT_MAX, deadline};
use crate::{HostState, LinkFailure};

/// Calls at once into a singleton with `async` exports, those that wait for its task among them.
pub const CONCURRENT_MAX: usize = 128;

/// Handles that a component with `async` functions may have beside those of its budget.
///
/// The engine counts a guest's calls under way with its resources, four of them at most for each: the call, its thread,
/// a set of what it waits for, and what it waits for.
pub(crate) const CONCURRENT_HANDLES: usize = 4 * (CONCURRENT_MAX + CALLS_OUT_MAX);

/// The way to the task that drives a store.
pub(super) struct Driver {
    jobs: mpsc::Sender<Job>,
    places: Arc<Semaphore>,
}

/// The other end of that way.
pub(super) struct Jobs(mpsc::Receiver<Job>);

/// One call on its way into the store, and then in it.
struct Job {
    at: usize,
    cx: CallContext,
    args: Bytes,
    waiting: Arc<Waiting>,
    reply: oneshot::Sender<Outcome>,
    /// Held by functions that are not `async`: they have the instance one at a time.
    turn: Option<OwnedMutexGuard<Option<Live>>>,
    place: OwnedSemaphorePermit,
}

/// Whether a call has begun, or its caller has gone before that.
struct Waiting(AtomicU8);

impl Waiting {
    const YES: u8 = 0;
    const BEGUN: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn ends_as(&self, state: u8) -> bool {
        self.0.compare_exchange(Self::YES, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Gives up a call that has not begun when its caller goes.
struct Caller(Arc<Waiting>);

impl Caller {
    /// Whether the call had not begun, and will not.
    fn gives_up(&self) -> bool {
        self.0.ends_as(Waiting::GIVEN_UP)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.gives_up();
    }
}

impl Driver {
    pub(super) fn new() -> (Self, Jobs) {
        let (jobs, queue) = mpsc::channel(CONCURRENT_MAX);
        (Self { jobs, places: Arc::new(Semaphore::new(CONCURRENT_MAX)) }, Jobs(queue))
    }
}

impl Jobs {
    /// Serves until the instance is gone.
    pub(super) async fn serve(mut self, shared: Weak<Shared>, live: Live) {
        let mut live = Some(live);
        while let Some(job) = self.0.recv().await {
            let Some(shared) = shared.upgrade() else { return };
            if job.waiting.ends_as(Waiting::BEGUN) {
                live = shared.session(live.take(), job, &mut self.0).await;
            }
        }
    }
}

impl Shared {
    /// Hands a call to the store's task, and waits for the answer.
    pub(super) async fn drive(
        &self,
        driver: &Driver,
        at: usize,
        cx: &CallContext,
        args: Bytes,
        queue: (usize, u64),
    ) -> Outcome {
        let started = Instant::now();
        let Ok(place) = driver.places.clone().try_acquire_owned() else {
            let what = format!("calls at once into instance `{}`", self.name);
            return Err(Failure::from(Refusal::Overloaded { what, limit: CONCURRENT_MAX as u64 }).into());
        };
        let (queue_max, queue_ms) = queue;
        let turn = if self.exports[at].function.is_async {
            None
        } else {
            Some(self.acquire(cx.deadline, queue_max, queue_ms).await?)
        };
        let caller = Caller(Arc::new(Waiting(AtomicU8::new(Waiting::YES))));
        let (reply, mut answer) = oneshot::channel();
        let job = Job { at, cx: cx.clone(), args, waiting: caller.0.clone(), reply, turn, place };
        // There are as many places in the queue as calls at once.
        if driver.jobs.try_send(job).is_err() {
            return Err(Failure::NotSent { cause: "the task of the instance has ended".into() }.into());
        }
        let answered = |answer: Result<Outcome, _>| {
            let gone = || Failure::from(Fault::Bug { detail: "the task of the instance ended within a call".into() });
            answer.unwrap_or_else(|_: oneshot::error::RecvError| Err(gone().into()))
        };
        // A store that a call holds for itself takes nothing up: that wait is as long as any in a queue.
        let until = started + Duration::from_millis(queue_ms);
        match timeout_at(until.min(cx.deadline).into(), &mut answer).await {
            Ok(answer) => return answered(answer),
            Err(_) if caller.gives_up() && until < cx.deadline => {
                let instance = self.name.to_string();
                return Err(Failure::from(Refusal::Busy { instance, waited_ms: queue_ms }).into());
            }
            Err(_) => {}
        }
        match timeout_at(cx.deadline.into(), answer).await {
            Ok(answer) => answered(answer),
            Err(_) => Err(deadline(started).into()),
        }
    }

    /// Serves a call, and all that come while one is under way; the store, if it is still good.
    async fn session(self: &Arc<Self>, live: Option<Live>, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Option<Live> {
        let wall_until = Instant::now() + self.wall;
        let (mut live, start) = match live {
            Some(live) => (live, 0),
            None => match self.fresh(&first.cx, self.allowance(&first.cx, wall_until)).await {
                Ok(fresh) => fresh,
                Err(failed) => {
                    let _ = first.reply.send(Err(failed.into()));
                    return None;
                }
            },
        };
        let callables = self.callables(&mut live);
        let bug = |error: wasmtime::Error| Fault::Bug { detail: format!("{error:#}") };
        let open = Arc::new(Open::default());
        let ended = match begin_shared(&mut live.store, self.uid, &self.budget, wall_until) {
            Ok(()) => {
                let session = Session { shared: self.clone(), open: open.clone(), callables };
                let first = session.open.begin(first, self, start);
                let run = live.store.run_concurrent(async |accessor| session.serve(accessor, first, jobs).await);
                match timed(run, &open).await {
                    Some(Ok(Ok(()))) => Ok(()),
                    Some(Ok(Err(error)) | Err(error)) => Err(Ended::inside(&error, &mut live.store)),
                    None => Err(Ended::Inside(live.store.data().call.out_of_time(), None)),
                }
            }
            Err(error) => {
                let _ = first.reply.send(Err(Failure::from(bug(error)).into()));
                return None;
            }
        };
        match ended {
            Ok(()) => Some(live),
            Err(Ended::Inside(fault, link)) => {
                self.told_lost(&fault.clone().into());
                open.lost(&mut live, &fault, link.as_deref());
                None
            }
            Err(Ended::Before(_) | Ended::After(_)) => None,
        }
    }

    /// Every export, as its codec calls it; `None` where the codec can't.
    fn callables(&self, live: &mut Live) -> Arc<[Option<Callable>]> {
        for at in 0..self.exports.len() {
            let _ = self.callable(live, at);
        }
        live.funcs.clone().into()
    }
}

/// Calls under way in one store, as long as there are any.
struct Session {
    shared: Arc<Shared>,
    open: Arc<Open>,
    callables: Arc<[Option<Callable>]>,
}

impl Session {
    /// Takes up calls until none is under way.
    async fn serve(
        &self,
        accessor: &Accessor<HostState>,
        first: Run,
        jobs: &mut mpsc::Receiver<Job>,
    ) -> wasmtime::Result<()> {
        self.start(accessor, first)?;
        poll_fn(|cx| {
            while let Poll::Ready(Some(job)) = jobs.poll_recv(cx) {
                if job.waiting.ends_as(Waiting::BEGUN) {
                    self.start(accessor, self.open.begin(job, &self.shared, 0))?;
                }
            }
            self.open.poll_none(cx).map(Ok)
        })
        .await
    }

    fn start(&self, accessor: &Accessor<HostState>, run: Run) -> wasmtime::Result<()> {
        let (shared, open) = (self.shared.clone(), self.open.clone());
        let callable = self.callables[run.at].clone();
        accessor.spawn(Task { run, callable, shared, open }).map(drop)
    }
}

/// What is known of calls under way, also when their store is lost.
#[derive(Default)]
struct Open(Mutex<OpenCalls>);

#[derive(Default)]
struct OpenCalls {
    next: u64,
    calls: BTreeMap<u64, Pending>,
    /// Who waits until there is none.
    waker: Option<Waker>,
}

/// A call that somebody waits for.
struct Pending {
    reply: oneshot::Sender<Outcome>,
    wall_until: Instant,
    /// The engine's name for it, once it has begun.
    task: Option<GuestTaskId>,
    /// What the start of its store spent.
    start: u64,
    held: Held,
}

impl Pending {
    /// Whoever gave up the call does not want to know; whoever waits may call again at once.
    fn ends(self, outcome: Outcome) {
        let Self { reply, held, .. } = self;
        drop(held);
        let _ = reply.send(outcome);
    }
}

/// What a call has for as long as it runs.
struct Held {
    _turn: Option<OwnedMutexGuard<Option<Live>>>,
    _place: OwnedSemaphorePermit,
    _running: Running,
}

/// Counts a call that runs.
struct Running(Arc<Shared>);

impl Running {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(shared.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a call needs in order to run.
struct Run {
    key: u64,
    at: usize,
    cx: CallContext,
    args: Bytes,
    wall_until: Instant,
    start: u64,
}

impl Open {
    fn begin(&self, job: Job, shared: &Arc<Shared>, start: u64) -> Run {
        let Job { at, cx, args, reply, turn, place, .. } = job;
        let wall_until = Instant::now() + shared.wall;
        let held = Held { _turn: turn, _place: place, _running: Running::new(shared) };
        let pending = Pending { reply, wall_until, task: None, start, held };
        let mut open = self.0.lock();
        let key = open.next;
        open.next += 1;
        open.calls.insert(key, pending);
        Run { key, at, cx, args, wall_until, start }
    }

    fn named(&self, key: u64, task: GuestTaskId) {
        if let Some(pending) = self.0.lock().calls.get_mut(&key) {
            pending.task = Some(task);
        }
    }

    fn answer(&self, key: u64, outcome: Outcome) {
        let mut open = self.0.lock();
        let pending = open.calls.remove(&key);
        let waker = if open.calls.is_empty() { open.waker.take() } else { None };
        drop(open);
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some(pending) = pending {
            pending.ends(outcome);
        }
    }

    /// Ready once no call is under way.
    fn poll_none(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut open = self.0.lock();
        if open.calls.is_empty() {
            return Poll::Ready(());
        }
        open.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// When the first of the calls is out of time: they all have the same, so it is the one that began first.
    fn wall_until(&self) -> Option<Instant> {
        self.0.lock().calls.values().next().map(|pending| pending.wall_until)
    }

    /// Ends all calls, whose store is no more.
    fn lost(&self, live: &mut Live, fault: &Fault, link: Option<&LinkFailure>) {
        let calls = std::mem::take(&mut self.0.lock().calls);
        let now = Instant::now();
        let out_of_time = matches!(fault, Fault::OutOfTime { .. });
        for pending in calls.into_values() {
            let own = pending.task.map_or(0, |task| spent(&mut live.store, task));
            let fuel_used = own.saturating_add(pending.start);
            // Who trapped is not known, but who was out of time is.
            let fault = match fault {
                fault if !out_of_time || pending.wall_until <= now => fault.clone(),
                fault => Fault::Trapped { message: format!("the store was lost to another call in it: {fault}") },
            };
            let call = CallFailed { failure: fault.into(), fuel_used };
            pending.ends(Err(Failed { call, link: link.cloned().map(Box::new) }));
        }
    }
}

/// One call in the store.
struct Task {
    run: Run,
    callable: Option<Callable>,
    shared: Arc<Shared>,
    open: Arc<Open>,
}

impl AccessorTask<HostState> for Task {
    async fn run(self, accessor: &Accessor<HostState>) -> wasmtime::Result<()> {
        let Self { run: Run { key, at, cx, args, wall_until, start }, callable, shared, open } = self;
        let tree_limit = cx.fuel.unwrap_or(shared.budget.fuel_tree).saturating_sub(start);
        let flight = Flight::new(shared.uid, &cx, wall_until, tree_limit);
        let mut began = None;
        let begun = Box::new(|store: &mut wasmtime::StoreContextMut<'_, HostState>, task| {
            began = Some(task);
            open.named(key, task);
            enter(store, task, flight)
        });
        let function = &shared.exports[at].function;
        let types = &shared.ledger.types;
        let ended = match callable {
            Some(Callable::Concurrent(func)) if func.takes(&args) => {
                func.call_concurrent(accessor, args, begun).await?
            }
            Some(Callable::Direct(_) | Callable::Concurrent(_)) => {
                Err(Ended::Before(interpreted::refused(types, function, &args)))
            }
            Some(Callable::Interpreted(func)) => {
                interpreted::call_concurrent(accessor, func, types, function, &args, begun).await?
            }
            None => {
                let detail = format!("`{}` can't be called", function.name);
                Err(Ended::Before(Fault::Bug { detail }.into()))
            }
        };
        let spent = match began {
            Some(task) => accessor.with(|mut access| leave(&mut access.as_context_mut(), task))?,
            None => 0,
        };
        let fuel_used = spent.saturating_add(start);
        let failed = |failure: Failure| Failed::from(CallFailed { failure, fuel_used });
        open.answer(
            key,
            match ended {
                Ok(results) => Ok((results, fuel_used)),
                Err(Ended::Before(failure)) => Err(failed(failure)),
                Err(Ended::After(fault)) => Err(failed(fault.into())),
                Err(Ended::Inside(fault, link)) => Err(Failed { link, ..failed(fault.into()) }),
            },
        );
        Ok(())
    }
}

/// Polls `run` until it ends or the first of the calls is out of time, which is `None`.
///
/// A timer inside would not do: nothing inside is polled while a guest waits for a host function that has the store.
async fn timed<F: Future>(run: F, open: &Open) -> Option<F::Output> {
    let mut run = pin!(run);
    let mut until = Instant::now();
    let mut sleep = pin!(tokio::time::sleep_until(until.into()));
    poll_fn(move |cx| {
        if let Poll::Ready(output) = run.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if let Some(first) = open.wall_until()
            && first != until
        {
            until = first;
            sleep.as_mut().reset(until.into());
        }
        sleep.as_mut().poll(cx).map(|()| None)
    })
    .await
}
