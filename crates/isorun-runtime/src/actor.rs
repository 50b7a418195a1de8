//! Components that live: loaded by id, started with a store of their own, called with messages.
//!
//! The table of what is loaded is locked to look something up and never while a guest runs; each component has its own lock,
//! which a call holds until it ends. See `docs/adr/0034-stores-of-live-components.md`.

mod expected;
mod lifecycle;
mod live;
mod shared;
mod types;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use isorun_core::{
    BoxFuture, Budget, CallbackMessage, ComponentConfig, ComponentHandle, ComponentHealth, ComponentId,
    ComponentMessage, ComponentMetadata, ComponentUsage, MessagePayload, RuntimeEngine, WasmError,
};
use parking_lot::{Mutex, RwLock};
use wasmtime::component::Component;

pub use self::lifecycle::{NoLifecycle, lives};
use self::live::LiveComponent;
use self::shared::SharedComponents;
use self::types::{CallbackIn, ErrorOut, HealthReportOut, IdText, MessageIn, MetadataOut, PayloadOut};
use crate::cause::plain;
use crate::{Link, WasmtimeEngine};

/// Longest text of a component that an engine passes on, in bytes: a reason, a name, a value of its metadata.
///
/// What is longer is cut and ends in `…`; control characters are escaped, since such texts come to logs and terminals.
pub const COMPONENT_TEXT_BYTES_MAX: usize = crate::cause::SAID_BYTES_MAX;
/// Most properties of a component's metadata that an engine passes on; the others are left out.
pub const PROPERTIES_MAX: usize = 64;

/// The interface that a component which lives exports, in the version that this engine was made for.
pub const LIFECYCLE: &str = "isorun:actor/component-lifecycle@0.1.0";

/// What a component is linked with and what it may use, each time that it is loaded.
///
/// Components of the same bytes and the very same `links` are compiled and linked once.
#[derive(Clone)]
pub struct ComponentSetup {
    /// Where its imports go.
    pub links: Arc<[Link]>,
    /// What its store may hold, and what each call may spend.
    pub budget: Budget,
}

impl Default for ComponentSetup {
    /// Nothing linked, and the default budget.
    fn default() -> Self {
        Self { links: Arc::from([]), budget: Budget::default() }
    }
}

impl std::fmt::Debug for ComponentSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { links, budget } = self;
        f.debug_struct("ComponentSetup").field("links", &links.len()).field("budget", budget).finish()
    }
}

type SetUp = dyn Fn(&ComponentId) -> ComponentSetup + Send + Sync;

/// What an engine has loaded.
pub(crate) struct Held {
    next: AtomicU64,
    components: RwLock<HashMap<u64, Arc<LiveComponent>, BuildHasherDefault<Numbered>>>,
    set_up: Mutex<Arc<SetUp>>,
    shared: SharedComponents,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(0),
            components: RwLock::default(),
            set_up: Mutex::new(Arc::new(|_| ComponentSetup::default())),
            shared: SharedComponents::default(),
        }
    }
}

/// Spreads the engine's own numbers, which nobody else chooses.
#[derive(Default)]
struct Numbered(u64);

impl Hasher for Numbered {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio in 64 bits: neighbours come far from each other, in the high bits as in the low ones.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl WasmtimeEngine {
    /// Says what each component that is loaded from now on is linked with and may use.
    ///
    /// A link for an interface that the component does not import is an error, as everywhere; one for a whole package, or
    /// for the rest, may find nothing. The links' host components find in [`HostState::instance`](crate::HostState::instance)
    /// whose store they are in: the component's id.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use isorun_core::Budget;
    /// use isorun_runtime::{ComponentSetup, Link, WasmtimeEngine};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = WasmtimeEngine::new()?;
    /// // One slice for all, so that they share one linker.
    /// let links: Arc<[Link]> = Arc::from([]);
    /// engine.set_up_components(move |id| ComponentSetup {
    ///     links: links.clone(),
    ///     budget: Budget { max_memory_bytes: if id.namespace() == "big" { 1 << 30 } else { 16 << 20 }, ..Budget::default() },
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_up_components(&self, setup: impl Fn(&ComponentId) -> ComponentSetup + Send + Sync + 'static) {
        *self.held().set_up.lock() = Arc::new(setup);
    }

    /// The compiled component behind a handle.
    ///
    /// # Errors
    /// [`WasmError::ComponentNotFound`] once it is unloaded, and for a handle whose number is another component's.
    pub fn component(&self, handle: &ComponentHandle) -> Result<Component, WasmError> {
        Ok(self.live(handle)?.compiled().clone())
    }

    fn live(&self, handle: &ComponentHandle) -> Result<Arc<LiveComponent>, WasmError> {
        let found = self.held().components.read().get(&handle.handle_id()).cloned();
        found.filter(|live| live.id() == handle.id()).ok_or_else(|| not_found(handle.id()))
    }
}

fn not_found(id: &ComponentId) -> WasmError {
    WasmError::ComponentNotFound { id: id.to_string_id() }
}

/// A component's own words, as they may come to a log.
fn said(text: &str) -> String {
    plain(text)
}

/// The result of a function that returns nothing.
fn done((ended,): (Result<(), ErrorOut>,)) -> Result<(), WasmError> {
    Ok(ended?)
}

/// Components that live, one store each.
///
/// Beside what the trait says: a component that exports no [`LIFECYCLE`] is loaded, and not started; one whose `initialize`
/// refuses is not started either, and has [given up](WasmError::GaveUp); a message past the limits of messages is
/// [rejected](WasmError::Rejected) without being seen by the component, and an answer past them ends it.
impl RuntimeEngine for WasmtimeEngine {
    fn load_component<'a>(
        &'a self,
        id: &'a ComponentId,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<ComponentHandle, WasmError>> {
        Box::pin(async move {
            let held = self.held();
            let set_up = held.set_up.lock().clone();
            let ComponentSetup { links, budget } = set_up(id);
            let shared = held.shared.linked(self, bytes, links).await?;
            let live = Arc::new(LiveComponent::new(id.clone(), shared, budget)?);
            let number = held.next.fetch_add(1, Ordering::Relaxed);
            held.components.write().insert(number, live);
            Ok(ComponentHandle::new(id.clone(), number))
        })
    }

    fn unload_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        let mut components = self.held().components.write();
        let is_held = components.get(&handle.handle_id()).is_some_and(|live| live.id() == handle.id());
        let removed = if is_held { components.remove(&handle.handle_id()) } else { None };
        // A store is large, and others need not wait for its end.
        drop(components);
        let removed = removed.map(|live| live.unload()).ok_or_else(|| not_found(handle.id()));
        Box::pin(std::future::ready(removed))
    }

    fn start_component<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        config: &'a ComponentConfig,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(async move { self.live(handle)?.start(config).await })
    }

    fn call_handle_message<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a ComponentMessage,
    ) -> BoxFuture<'a, Result<Option<MessagePayload>, WasmError>> {
        Box::pin(async move {
            if let Err(error) = message.payload.check() {
                return Err(WasmError::Rejected { reason: error.to_string() });
            }
            let id_text = message.correlation_id.map(IdText::new);
            let message = MessageIn::new(message, id_text.as_ref());
            let read = |(answered,): (Result<Option<PayloadOut>, ErrorOut>,)| {
                answered?.map(|payload| live::checked(payload.into())).transpose()
            };
            self.live(handle)?.call("handle-message", |exports| exports.handle_message, (&message,), read).await
        })
    }

    fn call_handle_callback<'a>(
        &'a self,
        handle: &'a ComponentHandle,
        message: &'a CallbackMessage,
    ) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(async move {
            let id_text = IdText::new(message.correlation_id);
            let message = CallbackIn::new(message, &id_text);
            self.live(handle)?.call("handle-callback", |exports| exports.handle_callback, (&message,), done).await
        })
    }

    fn call_metadata<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentMetadata, WasmError>> {
        Box::pin(async move {
            let read = |(metadata,): (MetadataOut,)| Ok(metadata.into());
            self.live(handle)?.call("metadata", |exports| exports.metadata, (), read).await
        })
    }

    fn call_health<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<ComponentHealth, WasmError>> {
        Box::pin(async move {
            let read = |(report,): (HealthReportOut,)| Ok(report.into());
            self.live(handle)?.call("health", |exports| exports.health, (), read).await
        })
    }

    fn call_shutdown<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(async move { self.live(handle)?.call("shutdown", |exports| exports.shutdown, (), done).await })
    }

    fn stop_component<'a>(&'a self, handle: &'a ComponentHandle) -> BoxFuture<'a, Result<(), WasmError>> {
        Box::pin(async move { self.live(handle)?.stop().await })
    }

    fn usage(&self, handle: &ComponentHandle) -> Option<ComponentUsage> {
        self.live(handle).ok().map(|live| live.usage())
    }
}
