//! What becomes of the events of a connection: answers go to their waiters, requests to the directory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Failure, Fault, FunctionIndex, Refusal, Reply,
};
use neorpc::{BindingId, Description, Event, RequestId, SelfContainedCall};
use parking_lot::MutexGuard;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, Span};

use crate::observe::{self, Offered};
use crate::once;
use crate::peer::{Answer, Binding, Core, Served, Shared, Waiting, not_sent};

/// How long a call of the other end may keep the driver, in microseconds, before it counts as slow.
///
/// A switch of tasks costs a few; what takes longer than many of them would hold the connection's other calls up.
const IN_PLACE_US_MAX: u64 = 200;

/// How many calls of a binding get tasks of their own once too many took long.
const APART: u32 = 256;

/// How many quick calls outweigh one that took long.
///
/// One alone says little: on a busy machine it may be the driver that was made to wait.
const SLOW_WEIGHT: u32 = 4;

/// The weight that is too much: three slow calls in a row, or more than one in five for long.
const WEIGHT_MAX: u32 = 3 * SLOW_WEIGHT;

/// Calls of a binding that were quick, before one is made that nothing can interrupt.
const PROVEN: u32 = 8;

/// Who acts.
pub(crate) enum Place<'a, 'b> {
    /// The connection's driver, which serves calls in place.
    Driver(&'a mut Context<'b>),
    /// A caller, who is not woken for its own answer, and has other things to do than to serve.
    Caller(Option<RequestId>),
}

/// Acts on every event that the connection has.
pub(crate) fn act(shared: &Arc<Shared>, place: &mut Place<'_, '_>) {
    act_locked(shared, shared.core.lock(), place, &mut After::default());
}

/// As [`act`], by somebody who has the lock.
pub(crate) fn act_locked(
    shared: &Arc<Shared>,
    mut core: MutexGuard<'_, Core>,
    place: &mut Place<'_, '_>,
    after: &mut After,
) {
    if core.connection.is_closed() {
        // Before its waiters wake: they may want another connection at once.
        shared.set_closed();
    }
    if core.connection.peer_leaves() {
        shared.set_leaving();
    }
    while let Some(event) = core.connection.poll_event() {
        act_on(shared, &mut core, event, place, after);
    }
    drop(core);
    after.run(shared, place);
}

/// Stops everything that the connection had under way.
pub(crate) fn end(shared: &Arc<Shared>) {
    let mut after = After::default();
    let mut core = shared.core.lock();
    shared.set_closed();
    if let Some(opened) = core.opened.take() {
        let cause = core.connection.closed_cause().unwrap_or("the connection ended").to_owned();
        // Whoever opened it may have given up.
        let _ = opened.send(Err(not_sent(cause)));
    }
    after.stops.extend(core.tasks.drain().filter_map(|(_, task)| task));
    after.bounds.extend(core.bindings.drain().map(|(_, served)| served.bound));
    let waiting = std::mem::take(&mut core.waiting);
    for answer in core.calls.values_mut() {
        // All have their answers by now; a call without one must not wait for ever.
        if let Answer::Awaited(waiting) = answer {
            after.wakes.extend(waiting.take());
            *answer = Answer::Here(Err(Failure::Unknown { cause: "the connection ended".to_owned() }.into()));
        }
    }
    drop(core);
    drop(waiting);
    after.run(shared, &mut Place::Caller(None));
}

/// What runs somebody else's code, and so waits until the lock is free.
#[derive(Default)]
pub(crate) struct After {
    wakes: Vec<Waker>,
    calls: Vec<Incoming>,
    starts: Vec<(RequestId, BoxFuture<'static, ()>)>,
    stops: Vec<AbortHandle>,
    bounds: Vec<Arc<dyn Bound>>,
    bindings: Vec<Binding>,
}

impl After {
    /// Has a request's work start once the lock is free: a runtime that stops drops it on the spot.
    fn start(&mut self, core: &mut Core, id: RequestId, work: impl Future<Output = ()> + Send + 'static) {
        core.tasks.insert(id, None);
        self.starts.push((id, Box::pin(work)));
    }

    /// Leaves nothing in here but memory for the next time.
    fn run(&mut self, shared: &Arc<Shared>, place: &mut Place<'_, '_>) {
        for waker in self.wakes.drain(..) {
            waker.wake();
        }
        for stop in self.stops.drain(..) {
            stop.abort();
        }
        for (id, work) in self.starts.drain(..) {
            start(shared, id, work);
        }
        for call in self.calls.drain(..) {
            match place {
                Place::Driver(cx) if !call.apart => call.serve_in_place(shared, cx),
                Place::Driver(_) | Place::Caller(_) => {
                    let id = call.id;
                    shared.core.lock().tasks.insert(id, None);
                    start(shared, id, Box::pin(call.serve(shared)));
                }
            }
        }
        self.bounds.clear();
        self.bindings.clear();
    }
}

/// Gives work a task, for which a place was made.
fn start(shared: &Shared, id: RequestId, work: BoxFuture<'static, ()>) {
    let task = shared.runtime.spawn(work).abort_handle();
    let mut core = shared.core.lock();
    match core.tasks.get_mut(&id) {
        Some(place) => *place = Some(task),
        // Answered already, or given up.
        None => {
            drop(core);
            task.abort();
        }
    }
}

/// A call of the other end.
struct Incoming {
    id: RequestId,
    binding: BindingId,
    /// What was bound, and what an operator sees of it.
    bound: Option<(Arc<dyn Bound>, Arc<Offered>)>,
    function: FunctionIndex,
    cx: CallContext,
    args: Bytes,
    /// It gets a task of its own at once.
    apart: bool,
    /// Those before it were quick.
    proven: bool,
}

impl Incoming {
    /// Notes that it begins.
    fn begin(&mut self, shared: &Shared) -> Option<observe::Served> {
        let Self { bound, function, cx, args, .. } = self;
        let (_, offered) = bound.as_ref()?;
        Some(observe::Served::begin(offered, &shared.identity, *function, cx, args.len()))
    }

    fn serve(mut self, shared: &Arc<Shared>) -> impl Future<Output = ()> + Send + 'static {
        let served = self.begin(shared);
        self.serve_on(shared, served)
    }

    fn serve_on(
        self,
        shared: &Arc<Shared>,
        served: Option<observe::Served>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let Self { id, bound, function, cx, args, .. } = self;
        let serving = Serving::new(shared, id, Asked::Call);
        async move {
            tracing::debug!(peer = %serving.shared.identity, %id, function = function.0, "serving a call");
            let span = served.as_ref().map_or_else(Span::none, |served| served.span().clone());
            let result = match bound {
                Some((bound, _)) => call(&*bound, function, &cx, args).instrument(span).await,
                // The state machine and this table are changed together, under one lock.
                None => Err(Failure::from(Fault::Bug { detail: "a binding without functions".to_owned() }).into()),
            };
            if let Some(served) = served {
                served.end(&result);
            }
            serving.answer_call(result);
        }
    }

    /// Serves a call without a task, unless it has to wait.
    fn serve_in_place(mut self, shared: &Arc<Shared>, cx: &mut Context<'_>) {
        let (id, binding) = (self.id, self.binding);
        let mut served = self.begin(shared);
        let started = served.as_ref().map_or_else(std::time::Instant::now, |served| served.underway.started);
        // As with a task of its own, a callee that panics fails its call and nothing else.
        let now = self.bound.as_ref().filter(|_| self.proven).zip(served.as_ref()).map(|((bound, _), served)| {
            let call = || served.span().in_scope(|| bound.call_now(self.function, &self.cx, &self.args));
            catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Some(Err(stopped().into())))
        });
        if let Some(Some(answer)) = now {
            if let Some(served) = served.take() {
                served.end(&answer);
            }
            if let Err(failed) = &answer {
                shared.refusals.call(&shared.identity, &failed.failure);
            }
            let mut core = shared.core.lock();
            core.connection.answer_call(id, answer);
            note(&mut core, binding, started);
            return;
        }
        let mut work: BoxFuture<'static, ()> = Box::pin(self.serve_on(shared, served));
        shared.core.lock().in_place = Some(id);
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        let mut core = shared.core.lock();
        core.in_place = None;
        note(&mut core, binding, started);
        if let Ok(Poll::Pending) = polled {
            core.tasks.insert(id, None);
            drop(core);
            start(shared, id, work);
        }
    }
}

fn stopped() -> Failure {
    Fault::Bug { detail: "the callee stopped without an answer".to_owned() }.into()
}

/// Notes how long the driver was kept by a call that began at `started`.
fn note(core: &mut Core, binding: BindingId, started: std::time::Instant) {
    let Some(served) = core.bindings.get_mut(&binding) else { return };
    if started.elapsed() <= Duration::from_micros(IN_PLACE_US_MAX) {
        served.quick = served.quick.saturating_add(1);
        served.weight = served.weight.saturating_sub(1);
        return;
    }
    served.quick = 0;
    served.weight += SLOW_WEIGHT;
    if served.weight >= WEIGHT_MAX {
        (served.weight, served.apart) = (0, APART);
    }
}

fn act_on(shared: &Arc<Shared>, core: &mut Core, event: Event, place: &Place<'_, '_>, after: &mut After) {
    match event {
        Event::Open(_) => {
            shared.meter.opened();
            if let Some(opened) = core.opened.take() {
                let _ = opened.send(Ok(()));
            }
        }
        Event::Bound { id, result } => {
            let result = result.map(|table| Binding::new(Arc::clone(shared), table.binding));
            match core.waiting.remove(&id) {
                Some(Waiting::Bind(waiting)) => {
                    if let Err(Ok(binding)) = waiting.send(result) {
                        after.bindings.push(binding);
                    }
                }
                Some(Waiting::Describe(_)) | None => after.bindings.extend(result),
            }
        }
        Event::Described { id, result } => {
            if let Some(Waiting::Describe(waiting)) = core.waiting.remove(&id) {
                let _ = waiting.send(result);
            }
        }
        Event::Returned { id, result } => {
            if let Some(answer) = core.calls.get_mut(&id)
                && let Answer::Awaited(waiting) = std::mem::replace(answer, Answer::Here(result))
            {
                let own = matches!(place, Place::Caller(Some(caller)) if *caller == id);
                after.wakes.extend(waiting.filter(|_| !own));
            }
        }
        Event::IncomingBind { id, instance, want } => {
            let serving = Serving::new(shared, id, Asked::Bind);
            after.start(core, id, async move {
                let bound = bind(&serving.shared, &instance, &want).await;
                observe::bound(&Span::none(), "in", &bound);
                serving.answer_bind(bound.map(|bound| (bound, Offered::new(instance, want))));
            });
        }
        Event::IncomingDescribe { id, instance } => {
            let serving = Serving::new(shared, id, Asked::Describe);
            after.start(core, id, async move {
                let description = describe(&serving.shared, &instance).await;
                serving.answer_describe(description);
            });
        }
        Event::IncomingCall { id, binding, function, cx, args } => {
            let (mut bound, mut apart, mut proven) = (None, false, false);
            if let Some(served) = core.bindings.get_mut(&binding) {
                bound = Some((Arc::clone(&served.bound), Arc::clone(&served.offered)));
                apart = served.apart > 0;
                served.apart = served.apart.saturating_sub(1);
                proven = served.quick >= PROVEN;
            }
            after.calls.push(Incoming { id, binding, bound, function, cx, args, apart, proven });
        }
        Event::IncomingSelfContained(call) => {
            let serving = Serving::new(shared, RequestId::NONE, Asked::Call);
            after.start(core, RequestId::NONE, async move {
                let result = serve_once(&serving.shared, call).await;
                serving.answer_call(result);
            });
        }
        Event::IncomingCancelled { id } => after.stops.extend(core.tasks.remove(&id).flatten()),
        Event::Refused { failure, .. } => shared.refusals.call(&shared.identity, &failure),
        Event::Unbound { binding } => after.bounds.extend(core.bindings.remove(&binding).map(|served| served.bound)),
        // An event that this version does not know asks nothing of it.
        _ => {}
    }
}

async fn bind(shared: &Shared, instance: &str, want: &BindRequest) -> Result<Arc<dyn Bound>, Failure> {
    let callee = find(shared, instance)?;
    in_time(shared, callee.bind(want)).await
}

async fn describe(shared: &Shared, instance: &str) -> Result<Description, Failure> {
    let callee = find(shared, instance)?;
    let ledger = in_time(shared, callee.describe()).await?;
    Ok(Description { ledger, keeps_state: callee.keeps_state() })
}

fn find(shared: &Shared, instance: &str) -> Result<Arc<dyn Callee>, Failure> {
    match &shared.options.directory {
        Some(directory) => directory.find(instance, &shared.identity),
        None => Err(Refusal::NoSuchInstance { instance: instance.to_owned() }.into()),
    }
}

async fn in_time<T>(shared: &Shared, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let waited_ms = shared.options.bind_ms;
    timeout(Duration::from_millis(waited_ms), work).await.unwrap_or(Err(Failure::Deadline { waited_ms }))
}

/// Calls, and waits no longer than the caller does.
pub(crate) async fn call(
    bound: &dyn Bound,
    function: FunctionIndex,
    cx: &CallContext,
    args: Bytes,
) -> Result<Reply, CallFailed> {
    let started = Instant::now();
    let call = bound.call(function, cx, args);
    timeout_at(Instant::from_std(cx.deadline), call).await.unwrap_or_else(|_| Err(deadline(started).into()))
}

pub(crate) fn deadline(started: Instant) -> Failure {
    Failure::Deadline { waited_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX) }
}

async fn serve_once(shared: &Shared, call: SelfContainedCall) -> Result<Reply, CallFailed> {
    match &shared.options.directory {
        Some(directory) => once::serve(&**directory, call, &shared.identity).await,
        None => Err(Failure::from(Refusal::NoSuchInstance { instance: call.instance }).into()),
    }
}

/// A request of the other end; dropped without an answer, it answers that something broke here.
struct Serving {
    shared: Arc<Shared>,
    id: RequestId,
    asked: Asked,
    answered: bool,
}

#[derive(Clone, Copy)]
enum Asked {
    Bind,
    Describe,
    Call,
}

impl Serving {
    fn new(shared: &Arc<Shared>, id: RequestId, asked: Asked) -> Self {
        Self { shared: Arc::clone(shared), id, asked, answered: false }
    }

    fn answer_bind(self, result: Result<(Arc<dyn Bound>, Arc<Offered>), Failure>) {
        let id = self.id;
        self.refused(result.as_ref().err());
        self.answer(|core| match result {
            Ok((bound, offered)) => match core.connection.answer_bind(id, Ok(())) {
                Some(binding) => {
                    core.bindings.insert(binding, Served { bound, offered, quick: 0, weight: 0, apart: 0 });
                    None
                }
                None => Some(bound),
            },
            Err(failure) => {
                core.connection.answer_bind(id, Err(failure));
                None
            }
        });
    }

    fn answer_describe(self, result: Result<Description, Failure>) {
        let id = self.id;
        self.refused(result.as_ref().err());
        self.answer(|core| core.connection.answer_describe(id, result));
    }

    fn answer_call(self, result: Result<Reply, CallFailed>) {
        let id = self.id;
        self.refused(result.as_ref().err().map(|failed| &failed.failure));
        self.answer(|core| core.connection.answer_call(id, result));
    }

    fn refused(&self, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            self.shared.refusals.call(&self.shared.identity, failure);
        }
    }

    /// Answers; what is left over is dropped without the lock.
    fn answer<T>(mut self, answer: impl FnOnce(&mut Core) -> T) {
        self.answered = true;
        let mut core = self.shared.core.lock();
        let left = answer(&mut core);
        core.tasks.remove(&self.id);
        if core.in_place != Some(self.id) {
            core.wake();
        }
        drop(core);
        drop(left);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        // The work panicked; or it was stopped, and the connection knows that nobody waits.
        let failure = stopped();
        let mut core = self.shared.core.lock();
        core.tasks.remove(&self.id);
        match self.asked {
            Asked::Bind => drop(core.connection.answer_bind(self.id, Err(failure))),
            Asked::Describe => drop(core.connection.answer_describe(self.id, Err::<Description, _>(failure))),
            Asked::Call => drop(core.connection.answer_call(self.id, Err(failure.into()))),
        }
        core.wake();
    }
}
