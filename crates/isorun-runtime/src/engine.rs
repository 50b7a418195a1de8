//! The engine: one compiler and one clock for many components.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

use crate::LoadError;
use crate::manager::Held;

/// How often guests that compute without end let others run, in milliseconds.
pub const EPOCH_MS: u64 = 5;

/// Compilations at once. Each is parallel in itself and holds tens of times its component's size.
pub const COMPILES_MAX: usize = 2;

/// How values get from one guest to another.
///
/// Both make the same bytes of the same values, and refuse the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Codec {
    /// From a guest's memory to the wire and back by a plan that is made with the link.
    #[default]
    Direct,
    /// Through the engine's own `Val`: slow, and what the direct codec is held against.
    Interpreted,
}

/// What an engine is made with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// How values get from one guest to another.
    pub codec: Codec,
}

impl EngineOptions {
    /// The options with that codec.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }
}

/// Stack for guest code, in bytes; the engine's own default.
const WASM_STACK_BYTES: usize = 512 << 10;
/// Stack of a fiber: guest code, and the host functions that it calls.
const ASYNC_STACK_BYTES: usize = 2 << 20;
const _: () = assert!(ASYNC_STACK_BYTES > WASM_STACK_BYTES);

/// Compiles components and keeps time for their stores.
///
/// Cloning is cheap and gives the same engine.
#[derive(Clone)]
pub struct WasmtimeEngine {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    options: EngineOptions,
    compiles: Arc<Semaphore>,
    held: Held,
}

impl WasmtimeEngine {
    /// An engine with isorun's settings.
    ///
    /// # Errors
    /// [`LoadError::Engine`] on a machine that the compiler does not support.
    pub fn new() -> Result<Self, LoadError> {
        Self::with_options(EngineOptions::default())
    }

    /// An engine with isorun's settings and these options.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(options: EngineOptions) -> Result<Self, LoadError> {
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .wasm_component_model_map(true)
            .wasm_component_model_fixed_length_lists(true)
            .wasm_memory64(false)
            .concurrency_support(false)
            .consume_fuel(true)
            .epoch_interruption(true)
            .max_wasm_stack(WASM_STACK_BYTES)
            .async_stack_size(ASYNC_STACK_BYTES)
            .wasm_backtrace_details(WasmBacktraceDetails::Disable);
        let engine = Engine::new(&config).map_err(|e| LoadError::Engine { cause: format!("{e:#}") })?;
        tick(&engine)?;
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                options,
                compiles: Arc::new(Semaphore::new(COMPILES_MAX)),
                held: Held::default(),
            }),
        })
    }

    /// The engine beneath.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.shared.options
    }

    pub(crate) fn held(&self) -> &Held {
        &self.shared.held
    }

    /// Compiles on a thread that may block, at most [`COMPILES_MAX`] at once.
    pub(crate) async fn compile(&self, bytes: bytes::Bytes) -> Result<wasmtime::component::Component, LoadError> {
        let permit = self.shared.compiles.clone().acquire_owned().await;
        let engine = self.shared.engine.clone();
        let compiled = tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let compiled = wasmtime::component::Component::new(&engine, &bytes);
            drop(permit);
            tracing::debug!(bytes = bytes.len(), ms = started.elapsed().as_millis(), "compiled");
            compiled
        })
        .await;
        match compiled {
            Ok(Ok(component)) => Ok(component),
            Ok(Err(error)) => Err(LoadError::Compile { cause: format!("{error:#}") }),
            Err(join) => Err(LoadError::Compile { cause: format!("the compiler gave up: {join}") }),
        }
    }
}

/// Advances the epoch for as long as somebody holds the engine.
fn tick(engine: &Engine) -> Result<(), LoadError> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("isorun-epoch".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(Duration::from_millis(EPOCH_MS));
            }
        })
        .map(drop)
        .map_err(|e| LoadError::Engine { cause: format!("cannot start the epoch thread: {e}") })
}
