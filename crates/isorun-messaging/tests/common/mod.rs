//! An engine without an engine: components are closures.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::future::{Future, ready};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use isorun_core::*;
use isorun_messaging::*;

pub type Answer = Result<Option<MessagePayload>, WasmError>;
type OnMessage = dyn Fn(ComponentMessage) -> BoxFuture<'static, Answer> + Send + Sync;
type OnCallback = dyn Fn(CallbackMessage) -> Result<(), WasmError> + Send + Sync;
type OnStart = dyn Fn(u32) -> Result<(), WasmError> + Send + Sync;

/// What one component does.
#[derive(Clone)]
pub struct Script {
    message: Arc<OnMessage>,
    callback: Arc<OnCallback>,
    start: Arc<OnStart>,
    shutdown: Arc<dyn Fn() -> BoxFuture<'static, Result<(), WasmError>> + Send + Sync>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            message: Arc::new(|_| Box::pin(ready(Ok(None)))),
            callback: Arc::new(|_| Ok(())),
            start: Arc::new(|_| Ok(())),
            shutdown: Arc::new(|| Box::pin(ready(Ok(())))),
        }
    }
}

impl Script {
    pub fn message<F: Future<Output = Answer> + Send + 'static>(
        mut self,
        f: impl Fn(ComponentMessage) -> F + Send + Sync + 'static,
    ) -> Self {
        self.message = Arc::new(move |message| Box::pin(f(message)));
        self
    }

    pub fn callback(mut self, f: impl Fn(CallbackMessage) -> Result<(), WasmError> + Send + Sync + 'static) -> Self {
        self.callback = Arc::new(f);
        self
    }

    pub fn start(mut self, f: impl Fn(u32) -> Result<(), WasmError> + Send + Sync + 'static) -> Self {
        self.start = Arc::new(f);
        self
    }

    pub fn shutdown<F: Future<Output = Result<(), WasmError>> + Send + 'static>(
        mut self,
        f: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.shutdown = Arc::new(move || Box::pin(f()));
        self
    }
}

/// Runs scripts, and sees to it that it is called as an engine may be. One called `slow` takes 5 ms to tell its health.
#[derive(Default)]
pub struct Fake {
    scripts: Mutex<HashMap<ComponentId, Script>>,
    stores: Mutex<HashMap<u64, Store>>,
    next: AtomicU64,
    pub events: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Store {
    is_started: bool,
    is_called: bool,
    calls: u64,
}

/// One call into a store; two at once are a fault of the system's.
struct Call<'a>(&'a Fake, u64);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(store) = self.0.stores.lock().unwrap().get_mut(&self.1) {
            store.is_called = false;
        }
    }
}

impl Fake {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn script(&self, id: &ComponentId, script: Script) {
        self.scripts.lock().unwrap().insert(id.clone(), script);
    }

    pub fn loaded(&self) -> usize {
        self.stores.lock().unwrap().len()
    }

    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }

    fn note(&self, what: &str, handle: &ComponentHandle) {
        self.events.lock().unwrap().push(format!("{what} {}", handle.id().instance()));
    }

    fn of(&self, handle: &ComponentHandle) -> Script {
        self.scripts.lock().unwrap().get(handle.id()).cloned().unwrap_or_default()
    }

    fn call(&self, handle: &ComponentHandle) -> Result<Call<'_>, WasmError> {
        let mut stores = self.stores.lock().unwrap();
        let store = stores.get_mut(&handle.handle_id()).expect("it is loaded");
        if !store.is_started {
            return Err(WasmError::NotRunning { id: handle.id().to_string() });
        }
        assert!(!std::mem::replace(&mut store.is_called, true), "two calls at once into {}", handle.id());
        store.calls += 1;
        Ok(Call(self, handle.handle_id()))
    }

    fn ends<T>(&self, handle: &ComponentHandle, result: Result<T, WasmError>) -> Result<T, WasmError> {
        if let Err(error) = &result
            && error.ends_the_component()
        {
            self.stores.lock().unwrap().get_mut(&handle.handle_id()).unwrap().is_started = false;
        }
        result
    }
}

impl RuntimeEngine for Fake {
    fn load_component<'a>(
        &'a self,
        id: &'a ComponentId,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<ComponentHandle, WasmError>> {
        Box::pin(async move {
            if bytes == "bad" {
                return Err(WasmError::invalid("bad"));
            }
            tokio::task::yield_now().await;
            let handle = ComponentHandle::new(id.clone(), self.next.fetch_add(1, SeqCst));
            self.stores.lock().unwrap().insert(handle.handle_id(), Store::default());
            Ok(handle)
        })
    }

    fn unload_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(async move {
            match self.stores.lock().unwrap().remove(&handle.handle_id()) {
                Some(_) => Ok(()),
                None => Err(WasmError::ComponentNotFound { id: handle.id().to_string() }),
            }
        })
    }

    fn start_component<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        config: &'a ComponentConfig,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(async move {
            self.note("start", handle);
            tokio::task::yield_now().await;
            (self.of(handle).start)(config.restarts)?;
            self.stores.lock().unwrap().get_mut(&handle.handle_id()).unwrap().is_started = true;
            Ok(())
        })
    }

    fn call_handle_message<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a ComponentMessage,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let _call = self.call(handle)?;
            let result = (self.of(handle).message)(message.clone()).await;
            self.ends(handle, result)
        })
    }

    fn call_handle_callback<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a CallbackMessage,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(async move {
            let _call = self.call(handle)?;
            let result = (self.of(handle).callback)(message.clone());
            self.ends(handle, result)
        })
    }

    fn call_metadata<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentMetadata, WasmError>> {
        Box::pin(async move {
            let _call = self.call(handle)?;
            self.note("metadata", handle);
            Ok(ComponentMetadata { name: handle.id().name().into(), ..ComponentMetadata::default() })
        })
    }

    fn call_health<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentHealth, WasmError>> {
        Box::pin(async move {
            let _call = self.call(handle)?;
            if handle.id().instance() == "slow" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(ComponentHealth { status: HealthStatus::Healthy, reason: None })
        })
    }

    fn call_shutdown<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(async move {
            let _call = self.call(handle)?;
            self.note("shutdown", handle);
            (self.of(handle).shutdown)().await
        })
    }

    fn stop_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(async move {
            self.note("stop", handle);
            let mut stores = self.stores.lock().unwrap();
            let not_found = || WasmError::ComponentNotFound { id: handle.id().to_string() };
            stores.get_mut(&handle.handle_id()).ok_or_else(not_found)?.is_started = false;
            Ok(())
        })
    }

    fn usage(&self, handle: &ComponentHandle) -> Option<ComponentUsage> {
        let stores = self.stores.lock().unwrap();
        let mut usage = ComponentUsage::default();
        usage.calls = stores.get(&handle.handle_id())?.calls;
        Some(usage)
    }
}

/// A system with scripted components.
pub struct Stage {
    pub engine: Arc<Fake>,
    pub system: ActorSystem,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(ActorSystemOptions::default())
    }

    pub fn with(options: ActorSystemOptions) -> Self {
        let engine = Fake::new();
        let system = ActorSystem::new(engine.clone(), options);
        Self { engine, system }
    }

    pub async fn add(&self, name: &str, script: Script) -> ComponentRef {
        self.add_with(name, script, MailboxLimits::default()).await
    }

    pub async fn add_with(&self, name: &str, script: Script, mailbox: MailboxLimits) -> ComponentRef {
        self.engine.script(&id(name), script);
        let mut spec = ComponentSpec::new(id(name), "component");
        spec.mailbox = mailbox;
        self.system.add(spec).await.unwrap()
    }

    pub async fn run(&self, name: &str, script: Script) -> ComponentRef {
        let component = self.add(name, script).await;
        component.start().await.unwrap();
        component
    }

    pub fn messenger(&self) -> Weak<dyn Messenger> {
        self.system.weak_messenger()
    }

    pub fn send(&self, from: &str, to: &str, payload: &'static str) -> Result<(), MessagingError> {
        self.system.send(&id(from), &id(to), payload.into())
    }

    pub fn request(
        &self,
        from: &str,
        to: &str,
        payload: &'static str,
        ms: u64,
    ) -> Result<CorrelationId, MessagingError> {
        self.system.request(&id(from), &id(to), payload.into(), ms)
    }

    pub async fn ask(&self, to: &str, payload: &'static str, ms: u64) -> RequestOutcome {
        self.system.ask(&id("asker"), &id(to), payload, ms).await
    }
}

/// `demo/it/NAME`.
pub fn id(name: &str) -> ComponentId {
    ComponentId::new("demo", "it", name)
}

/// What a message says, as text.
pub fn text(payload: &MessagePayload) -> String {
    String::from_utf8(payload.data.to_vec()).unwrap()
}

/// A list that closures write to.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub fn push(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A component that keeps what it is told, and what its requests come to.
pub fn listener(seen: &Seen) -> Script {
    let (one, other) = (seen.clone(), seen.clone());
    Script::default()
        .message(move |message| {
            one.push(text(&message.payload));
            ready(Ok(None))
        })
        .callback(move |message| {
            other.push(outcome_text(&message.outcome));
            Ok(())
        })
}

pub fn outcome_text(outcome: &RequestOutcome) -> String {
    match outcome {
        RequestOutcome::Replied(payload) => format!("replied {}", text(payload)),
        RequestOutcome::NoReply => "no reply".into(),
        RequestOutcome::Refused { reason } => format!("refused {reason}"),
        RequestOutcome::Failed(MessagingError::DeliveryFailed { may_have_arrived, .. }) => {
            format!("failed, may have arrived: {may_have_arrived}")
        }
        RequestOutcome::Failed(error) => format!("failed: {error}"),
        other => format!("{other:?}"),
    }
}

/// Answers with what it was told.
pub fn echo() -> Script {
    Script::default().message(|message| ready(Ok(Some(message.payload))))
}

/// Never comes to an end.
pub fn stuck() -> Script {
    Script::default().message(|_| std::future::pending())
}

/// Fails at what says `crash`, rejects what says `reject`, and echoes the rest.
pub fn fragile() -> Script {
    Script::default().message(|message| {
        ready(match &message.payload.data[..] {
            b"crash" => Err(WasmError::runtime("a trap")),
            b"reject" => Err(WasmError::Rejected { reason: "not that".into() }),
            _ => Ok(Some(message.payload)),
        })
    })
}

/// Lets everything that can happen now happen. The clock is paused, so that this takes no time.
pub async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// So many milliseconds of the paused clock.
pub async fn pass(ms: u64) {
    settle().await;
    tokio::time::advance(Duration::from_millis(ms)).await;
    settle().await;
}
