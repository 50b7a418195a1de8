//! What becomes of the events of a connection: answers go to their waiters, requests to the directory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Failure, Fault, FunctionIndex, Refusal, Reply,
};
use neorpc::{Event, RequestId, SelfContainedCall};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::once;
use crate::peer::{Binding, Core, Shared, Waiting, not_sent};

/// Acts on every event that the connection has.
pub(crate) fn act(shared: &Arc<Shared>) {
    let mut after = After::default();
    let mut core = shared.core.lock();
    if core.connection.is_closed() {
        // Before its waiters wake: they may want another connection at once.
        shared.set_closed();
    }
    if core.connection.peer_leaves() {
        shared.set_leaving();
    }
    while let Some(event) = core.connection.poll_event() {
        act_on(shared, &mut core, event, &mut after);
    }
    drop(core);
    after.run(shared);
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
    after.bounds.extend(core.bindings.drain().map(|(_, bound)| bound));
    let waiting = std::mem::take(&mut core.waiting);
    drop(core);
    drop(waiting);
    after.run(shared);
}

/// What runs somebody else's code, and so waits until the lock is free.
#[derive(Default)]
struct After {
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

    fn run(self, shared: &Shared) {
        for stop in &self.stops {
            stop.abort();
        }
        for (id, work) in self.starts {
            let task = tokio::spawn(work).abort_handle();
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
    }
}

fn act_on(shared: &Arc<Shared>, core: &mut Core, event: Event, after: &mut After) {
    match event {
        Event::Open(_) => {
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
                Some(Waiting::Describe(_) | Waiting::Call(_)) | None => after.bindings.extend(result),
            }
        }
        Event::Described { id, result } => {
            if let Some(Waiting::Describe(waiting)) = core.waiting.remove(&id) {
                let _ = waiting.send(result);
            }
        }
        Event::Returned { id, result } => {
            if let Some(Waiting::Call(waiting)) = core.waiting.remove(&id) {
                let _ = waiting.send(result);
            }
        }
        Event::IncomingBind { id, instance, want } => {
            let serving = Serving::new(shared, id, Asked::Bind);
            after.start(core, id, async move {
                let bound = bind(&serving.shared, &instance, &want).await;
                serving.answer_bind(bound);
            });
        }
        Event::IncomingDescribe { id, instance } => {
            let serving = Serving::new(shared, id, Asked::Describe);
            after.start(core, id, async move {
                let ledger = describe(&serving.shared, &instance).await;
                serving.answer_describe(ledger);
            });
        }
        Event::IncomingCall { id, binding, function, cx, args } => {
            let serving = Serving::new(shared, id, Asked::Call);
            let bound = core.bindings.get(&binding).cloned();
            after.start(core, id, async move {
                tracing::debug!(peer = %serving.shared.identity, %id, function = function.0, "serving a call");
                let result = match bound {
                    Some(bound) => call(&*bound, function, &cx, args).await,
                    // The state machine and this table are changed together, under one lock.
                    None => Err(Failure::from(Fault::Bug { detail: "a binding without functions".to_owned() }).into()),
                };
                serving.answer_call(result);
            });
        }
        Event::IncomingSelfContained(call) => {
            let serving = Serving::new(shared, RequestId::NONE, Asked::Call);
            after.start(core, RequestId::NONE, async move {
                let result = serve_once(&serving.shared, call).await;
                serving.answer_call(result);
            });
        }
        Event::IncomingCancelled { id } => after.stops.extend(core.tasks.remove(&id).flatten()),
        Event::Unbound { binding } => after.bounds.extend(core.bindings.remove(&binding)),
        // An event that this version does not know asks nothing of it.
        _ => {}
    }
}

async fn bind(shared: &Shared, instance: &str, want: &BindRequest) -> Result<Arc<dyn Bound>, Failure> {
    let callee = find(shared, instance)?;
    in_time(shared, callee.bind(want)).await
}

async fn describe(shared: &Shared, instance: &str) -> Result<Bytes, Failure> {
    let callee = find(shared, instance)?;
    in_time(shared, callee.describe()).await
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

    fn answer_bind(self, result: Result<Arc<dyn Bound>, Failure>) {
        let id = self.id;
        self.answer(|core| match result {
            Ok(bound) => match core.connection.answer_bind(id, Ok(())) {
                Some(binding) => {
                    core.bindings.insert(binding, bound);
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

    fn answer_describe(self, result: Result<Bytes, Failure>) {
        let id = self.id;
        self.answer(|core| core.connection.answer_describe(id, result));
    }

    fn answer_call(self, result: Result<Reply, CallFailed>) {
        let id = self.id;
        self.answer(|core| core.connection.answer_call(id, result));
    }

    /// Answers; what is left over is dropped without the lock.
    fn answer<T>(mut self, answer: impl FnOnce(&mut Core) -> T) {
        self.answered = true;
        let mut core = self.shared.core.lock();
        let left = answer(&mut core);
        core.tasks.remove(&self.id);
        core.wake();
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
        let failure = Failure::from(Fault::Bug { detail: "the callee stopped without an answer".to_owned() });
        let mut core = self.shared.core.lock();
        core.tasks.remove(&self.id);
        match self.asked {
            Asked::Bind => drop(core.connection.answer_bind(self.id, Err(failure))),
            Asked::Describe => drop(core.connection.answer_describe(self.id, Err(failure))),
            Asked::Call => drop(core.connection.answer_call(self.id, Err(failure.into()))),
        }
        core.wake();
    }
}
