//! What does a message between two components cost, without what the components do?
//!
//! Unit: time for one message, or one request and its answer (`Throughput::Elements`: of these a second). Anchor of the
//! same run: `mpsc`, the same between two tasks with a bounded tokio channel each, of the same 64 bytes. The components of
//! `isorun` are puppets, whose calls take next to nothing, those of `guests` are two of `guests/wat/volley.wat` in the engine.
//!
//! * `one-way`: two components play ping-pong, one message under way at a time.
//! * `round-trip`: one component asks another, again when the answer has come. Beside it, two messages over channels.
//! * `flood`: four components send to four others as fast as they take it, over two cores.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use benches::{Puppet, Puppets};
use bytes::Bytes;
use criterion::{Criterion, Throughput};
use isorun_core::{
    BoxFuture, Budget, CallbackMessage, ComponentConfig, ComponentHandle, ComponentHealth, ComponentId,
    ComponentMessage, ComponentMetadata, ComponentUsage, MessagePayload, MessagingError, Messenger, RuntimeEngine,
    WasmError,
};
use isorun_messaging::{ActorSystem, ActorSystemOptions, Child, ComponentSpec};
use isorun_runtime::{ComponentSetup, Link, LinkTarget, Selector, WasmtimeEngine};
use isorun_system::ActorMessaging;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

const WORKERS: usize = 2;
const PAYLOAD: [u8; 64] = [7; 64];
/// Of a mailbox, and so of a channel.
const QUEUED: usize = 1_024;
const PAIRS: u64 = 4;

/// How many messages are left, and who waits for the last.
#[derive(Default)]
struct Left {
    messages: AtomicU64,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

impl Left {
    fn begin(&self, messages: u64) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        self.messages.store(messages, Relaxed);
        *self.done.lock().expect("nobody panics with it") = Some(done);
        is_done
    }

    /// One less; whether there are more.
    fn count(&self) -> bool {
        let is_last = self.messages.fetch_sub(1, Relaxed) == 1;
        if is_last && let Some(done) = self.done.lock().expect("nobody panics with it").take() {
            let _ = done.send(());
        }
        !is_last
    }
}

/// Sends each message back.
struct Bouncer(Arc<Left>);

impl Puppet for Bouncer {
    fn message(&self, messenger: &dyn Messenger, message: &ComponentMessage) -> Option<MessagePayload> {
        if self.0.count() {
            messenger.send(&message.recipient, &message.sender, message.payload.clone()).expect("it is taken");
        }
        None
    }
}

/// Asks, and asks again when it is answered.
struct Asker(Arc<Left>, ComponentId, ComponentId);

impl Asker {
    fn ask(&self, messenger: &dyn Messenger) {
        let payload = MessagePayload::new(Bytes::from_static(&PAYLOAD));
        messenger.request(&self.1, &self.2, payload, 60_000).expect("it is taken");
    }
}

impl Puppet for Asker {
    fn message(&self, messenger: &dyn Messenger, _message: &ComponentMessage) -> Option<MessagePayload> {
        self.ask(messenger);
        None
    }

    fn callback(&self, messenger: &dyn Messenger, _message: &CallbackMessage) {
        if self.0.count() {
            self.ask(messenger);
        }
    }
}

/// Answers with what it was told.
struct Echo;

impl Puppet for Echo {
    fn message(&self, _messenger: &dyn Messenger, message: &ComponentMessage) -> Option<MessagePayload> {
        Some(message.payload.clone())
    }
}

/// Takes messages, and counts them.
struct Sink(Arc<Left>);

impl Puppet for Sink {
    fn message(&self, _messenger: &dyn Messenger, _message: &ComponentMessage) -> Option<MessagePayload> {
        self.0.count();
        None
    }
}

fn id(name: impl std::fmt::Display) -> ComponentId {
    ComponentId::new("bench", "puppet", name.to_string())
}

fn payload() -> MessagePayload {
    MessagePayload::new(Bytes::from_static(&PAYLOAD))
}

/// A system in which those run.
fn system(tokio: &Runtime, puppets: Vec<(ComponentId, Arc<dyn Puppet>)>) -> ActorSystem {
    let ids: Vec<_> = puppets.iter().map(|(id, _)| id.clone()).collect();
    let engine = Puppets::new(puppets);
    let system = ActorSystem::new(engine.clone(), ActorSystemOptions::default());
    engine.set_messenger(system.weak_messenger());
    tokio.block_on(async {
        for id in ids {
            let component = system.add(ComponentSpec::new(id, Bytes::new())).await.expect("it is known");
            component.start().await.expect("it starts");
        }
    });
    system
}

/// The engine, of which it is counted what one kind of call is made.
struct Counting {
    engine: WasmtimeEngine,
    left: Arc<Left>,
    counts: Counts,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    Messages,
    Callbacks,
}

impl RuntimeEngine for Counting {
    fn load_component<'a>(
        &'a self,
        id: &'a ComponentId,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<ComponentHandle, WasmError>> {
        self.engine.load_component(id, bytes)
    }

    fn unload_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        self.engine.unload_component(handle)
    }

    fn start_component<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        config: &'a ComponentConfig,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        self.engine.start_component(handle, config)
    }

    fn call_handle_message<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a ComponentMessage,
    ) -> BoxFuture<'a, Result<Option<MessagePayload>, WasmError>> {
        if self.counts == Counts::Messages {
            self.left.count();
        }
        self.engine.call_handle_message(handle, message)
    }

    fn call_handle_callback<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a CallbackMessage,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        if self.counts == Counts::Callbacks {
            self.left.count();
        }
        self.engine.call_handle_callback(handle, message)
    }

    fn call_metadata<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentMetadata, WasmError>> {
        self.engine.call_metadata(handle)
    }

    fn call_health<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentHealth, WasmError>> {
        self.engine.call_health(handle)
    }

    fn call_shutdown<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        self.engine.call_shutdown(handle)
    }

    fn stop_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        self.engine.stop_component(handle)
    }

    fn usage(&self, handle: &ComponentHandle) -> Option<ComponentUsage> {
        self.engine.usage(handle)
    }
}

const VOLLEY: &str = include_str!("../../guests/wat/volley.wat");

/// Two guests, `a` and `b`, of whose calls those are counted.
fn guests(tokio: &Runtime, left: &Arc<Left>, counts: Counts) -> ActorSystem {
    let engine = WasmtimeEngine::new().expect("it runs here");
    let counting = Arc::new(Counting { engine: engine.clone(), left: left.clone(), counts });
    let system = ActorSystem::new(counting, ActorSystemOptions::default());
    let messaging = LinkTarget::System(Arc::new(ActorMessaging::new(system.weak_messenger())));
    let links: Arc<[Link]> =
        Arc::from([Link { selector: Selector::parse("isorun:actor/host-messaging"), target: messaging }]);
    engine.set_up_components(move |_| ComponentSetup { links: links.clone(), budget: Budget::default() });
    let wasm: Bytes = wat::parse_str(VOLLEY).expect("it is WAT").into();
    tokio.block_on(async {
        for name in ["a", "b"] {
            let component = system.add(ComponentSpec::new(id(name), wasm.clone())).await.expect("it is linked");
            component.start().await.expect("it starts");
        }
    });
    system
}

/// What `volley.wat` is told: 64 bytes, so often, in that way.
fn volley(times: u64, mode: u8) -> MessagePayload {
    let mut payload = PAYLOAD;
    payload[..4].copy_from_slice(&u32::try_from(times).expect("fewer iterations").to_le_bytes());
    payload[4] = mode;
    MessagePayload::new(payload.to_vec())
}

/// Sends the first message from `from` to `to`, and waits until all that follow are done.
fn play(
    tokio: &Runtime,
    system: &ActorSystem,
    left: &Left,
    calls: u64,
    ends: [&str; 2],
    first: MessagePayload,
) -> Duration {
    let done = left.begin(calls);
    let (system, from, to) = (system.clone(), id(ends[0]), id(ends[1]));
    timed(tokio, async move {
        system.send(&from, &to, first).expect("it is taken");
        done.await.expect("it comes to its end");
    })
}

fn one_way(criterion: &mut Criterion, tokio: &Runtime) {
    let left = Arc::new(Left::default());
    let bouncer = || Arc::new(Bouncer(left.clone())) as Arc<dyn Puppet>;
    let system = system(tokio, vec![(id("a"), bouncer()), (id("b"), bouncer())]);
    let mut group = criterion.benchmark_group("messaging/one-way");
    group.throughput(Throughput::Elements(1));
    group.bench_function("isorun", |b| {
        b.iter_custom(|iters| play(tokio, &system, &left, iters, ["a", "b"], payload()));
    });
    let system = guests(tokio, &left, Counts::Messages);
    group.bench_function("guests", |b| {
        b.iter_custom(|iters| play(tokio, &system, &left, iters, ["a", "b"], volley(iters - 1, 0)));
    });
    group.bench_function("mpsc", |b| b.iter_custom(|iters| timed(tokio, bounce(iters))));
    group.finish();
}

/// So many messages between two tasks, one under way at a time.
async fn bounce(messages: u64) {
    let (to, mut there) = mpsc::channel::<Bytes>(QUEUED);
    let (back, mut here) = mpsc::channel::<Bytes>(QUEUED);
    let other = tokio::spawn(async move {
        while let Some(message) = there.recv().await {
            if back.send(message).await.is_err() {
                return;
            }
        }
    });
    for _ in 0..messages.div_ceil(2) {
        to.send(Bytes::from_static(&PAYLOAD)).await.expect("it is taken");
        here.recv().await.expect("it comes back");
    }
    drop(to);
    other.await.expect("it does not panic");
}

fn round_trip(criterion: &mut Criterion, tokio: &Runtime) {
    let left = Arc::new(Left::default());
    let asker = Arc::new(Asker(left.clone(), id("a"), id("b")));
    let system = system(tokio, vec![(id("a"), asker as Arc<dyn Puppet>), (id("b"), Arc::new(Echo))]);
    let mut group = criterion.benchmark_group("messaging/round-trip");
    group.throughput(Throughput::Elements(1));
    group.bench_function("isorun", |b| {
        b.iter_custom(|iters| play(tokio, &system, &left, iters, ["b", "a"], payload()));
    });
    let system = guests(tokio, &left, Counts::Callbacks);
    group.bench_function("guests", |b| {
        b.iter_custom(|iters| play(tokio, &system, &left, iters, ["b", "a"], volley(iters, 1)));
    });
    group.bench_function("mpsc", |b| b.iter_custom(|iters| timed(tokio, bounce(2 * iters))));
    group.finish();
}

fn flood(criterion: &mut Criterion, tokio: &Runtime) {
    let left = Arc::new(Left::default());
    let sinks = (0..PAIRS).map(|n| (id(n), Arc::new(Sink(left.clone())) as Arc<dyn Puppet>)).collect();
    let system = system(tokio, sinks);
    let mut group = criterion.benchmark_group("messaging/flood");
    group.throughput(Throughput::Elements(1));
    group.bench_function("isorun", |b| {
        b.iter_custom(|iters| {
            let each = iters.div_ceil(PAIRS);
            let done = left.begin(PAIRS * each);
            let system = system.clone();
            timed(tokio, async move {
                for n in 0..PAIRS {
                    let system = system.clone();
                    tokio::spawn(async move { pour(&system, n, each).await });
                }
                done.await.expect("it comes to its end");
            })
        });
    });
    group.bench_function("mpsc", |b| {
        b.iter_custom(|iters| {
            let each = iters.div_ceil(PAIRS);
            let done = left.begin(PAIRS * each);
            let left = left.clone();
            timed(tokio, async move {
                for _ in 0..PAIRS {
                    let (to, mut there) = mpsc::channel::<Bytes>(QUEUED);
                    let left = left.clone();
                    tokio::spawn(async move {
                        while there.recv().await.is_some() {
                            left.count();
                        }
                    });
                    tokio::spawn(async move {
                        for _ in 0..each {
                            to.send(Bytes::from_static(&PAYLOAD)).await.expect("it is taken");
                        }
                    });
                }
                done.await.expect("it comes to its end");
            })
        });
    });
    group.finish();
}

/// Sends as fast as they are taken; where the mailbox is full, others have their turn first.
async fn pour(system: &ActorSystem, to: u64, messages: u64) {
    let (from, to) = (id("source"), id(to));
    for _ in 0..messages {
        while let Err(error) = system.send(&from, &to, payload()) {
            assert_eq!(error, MessagingError::QueueFull);
            tokio::task::yield_now().await;
        }
    }
}

/// Runs on a worker, and is timed there.
fn timed(tokio: &Runtime, run: impl Future<Output = ()> + Send + 'static) -> Duration {
    let task = tokio.spawn(async {
        let started = Instant::now();
        run.await;
        started.elapsed()
    });
    tokio.block_on(task).expect("it does not panic")
}

fn main() -> std::io::Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
        .configure_from_args();
    let tokio = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    one_way(&mut criterion, &tokio);
    round_trip(&mut criterion, &tokio);
    flood(&mut criterion, &tokio);
    criterion.final_summary();
    Ok(())
}
