//! The engine: one compiler and one clock for many components.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use isorun_core::Budget;

use crate::LoadError;
use crate::actor::Held;
use crate::compiled::{CompiledCache, EntryId};

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
    /// Room made in advance for this many stores at once, so that starting one takes microseconds. By default none is
    /// made, and there may be as many stores as memory holds.
    ///
    /// It costs address space (some 4 GiB a store), not memory. A store past the number is refused as overloaded; memories
    /// may not start with more than [`POOLED_MEMORY_BYTES_MAX`]. Components with `async` functions have none of it.
    pub pooled_stores: Option<u32>,
    /// The folder in which compiled code is kept, if it is kept.
    pub cache: Option<PathBuf>,
}

impl EngineOptions {
    /// The options with that codec.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// The options with room made in advance for that many stores.
    #[must_use]
    pub fn pooled_stores(mut self, stores: u32) -> Self {
        self.pooled_stores = Some(stores);
        self
    }

    /// The options with that folder for compiled code, so that a component is compiled once and not by each process.
    ///
    /// It is made when something is first compiled. A folder that others could write
    /// ([`CompiledCache::open`]), or that can't be used for another reason, is left
    /// alone, which a warning in the log says once; then everything is compiled.
    /// Code that was changed is compiled again. The folder holds
    /// [`CACHE_BYTES_MAX`](crate::CACHE_BYTES_MAX) bytes at most.
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }
}

/// Where an engine's code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompileCounts {
    /// Components that were compiled, or that the compiler refused.
    pub compiled: u64,
    /// Components whose code had been kept.
    pub loaded: u64,
    /// Components whose code is kept since.
    pub kept: u64,
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
    /// For components without `async` functions: their calls are spared what concurrency costs.
    engine: Engine,
    /// For those with `async` functions; made for the first of them. No room is made in it in advance: how many stacks a
    /// store needs there is its guests' choice.
    concurrent: Mutex<Option<Engine>>,
    options: EngineOptions,
    compiles: Arc<Semaphore>,
    cache: OnceLock<Option<CompiledCache>>,
    compiled: AtomicU64,
    loaded: AtomicU64,
    kept: AtomicU64,
    held: Held,
}

impl Shared {
    /// The code that was kept, or the compiler's.
    fn code(&self, engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
        let started = Instant::now();
        let kept = self.cache().map(|cache| (cache, EntryId::of(engine, bytes)));
        if let Some((cache, id)) = &kept
            && let Some(code) = cache.load(engine, id)
        {
            self.loaded.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(bytes = bytes.len(), ms = started.elapsed().as_millis(), "loaded compiled code");
            return Ok(code);
        }
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let code = Component::new(engine, bytes);
        tracing::debug!(bytes = bytes.len(), ms = started.elapsed().as_millis(), "compiled");
        let code = code.map_err(|error| LoadError::Compile { cause: format!("{error:#}") })?;
        if let Some((cache, id)) = &kept
            && cache.keep(id, &code)
        {
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
        Ok(code)
    }

    fn cache(&self) -> Option<&CompiledCache> {
        let open = |folder: &PathBuf| {
            let opened = CompiledCache::open(folder);
            opened.inspect_err(|error| tracing::warn!(%error, "compiled code is not kept")).ok()
        };
        self.cache.get_or_init(|| self.options.cache.as_ref().and_then(open)).as_ref()
    }
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
        let pool = options.pooled_stores.map(pool);
        let engine = make(false, pool)?;
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                concurrent: Mutex::new(None),
                options,
                compiles: Arc::new(Semaphore::new(COMPILES_MAX)),
                cache: OnceLock::new(),
                compiled: AtomicU64::new(0),
                loaded: AtomicU64::new(0),
                kept: AtomicU64::new(0),
                held: Held::default(),
            }),
        })
    }

    /// The engine beneath, for components without `async` functions.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.shared.options
    }

    /// The engine beneath that runs components with `async` functions, or without any.
    pub(crate) fn beneath(&self, is_concurrent: bool) -> Result<Engine, LoadError> {
        if !is_concurrent {
            return Ok(self.shared.engine.clone());
        }
        let mut concurrent = self.shared.concurrent.lock();
        match &*concurrent {
            Some(engine) => Ok(engine.clone()),
            None => Ok(concurrent.insert(make(true, None)?).clone()),
        }
    }

    pub(crate) fn held(&self) -> &Held {
        &self.shared.held
    }

    /// How often it compiled, and how often it did not have to.
    #[must_use]
    pub fn compile_counts(&self) -> CompileCounts {
        let Shared { compiled, loaded, kept, .. } = &*self.shared;
        CompileCounts {
            compiled: compiled.load(Ordering::Relaxed),
            loaded: loaded.load(Ordering::Relaxed),
            kept: kept.load(Ordering::Relaxed),
        }
    }

    /// Compiles, or loads what was kept, on a thread that may block; at most [`COMPILES_MAX`] at once.
    pub(crate) async fn compile(&self, engine: Engine, bytes: bytes::Bytes) -> Result<Component, LoadError> {
        let permit = self.shared.compiles.clone().acquire_owned().await;
        let shared = self.shared.clone();
        let compiled = tokio::task::spawn_blocking(move || {
            let code = shared.code(&engine, &bytes);
            drop(permit);
            code
        });
        compiled.await.unwrap_or_else(|join| Err(LoadError::Compile { cause: format!("the compiler gave up: {join}") }))
    }
}

/// Room for that many stores, each with what a default budget allows.
fn pool(stores: u32) -> PoolingAllocationConfig {
    let budget = Budget::default();
    let mut pool = PoolingAllocationConfig::new();
    // A component mostly has one memory and one table; those with more take the room of several. Core instances take
    // none in advance, so each store may have as many as its budget.
    pool.total_component_instances(stores)
        .total_core_instances(stores.saturating_mul(budget.max_instances))
        .total_memories(stores)
        .total_tables(stores.saturating_mul(2))
        .total_stacks(stores.saturating_mul(2))
        .max_core_instances_per_component(budget.max_instances)
        .max_memories_per_component(budget.max_memories)
        .max_tables_per_component(budget.max_tables)
        .max_memories_per_module(budget.max_memories)
        .max_tables_per_module(budget.max_tables)
        .table_elements(budget.max_table_elements as usize)
        .max_memory_size(POOLED_MEMORY_BYTES_MAX)
        // What a small guest has written to is zeroed rather than given back and faulted in again.
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto)
        .decommit_batch_size(DECOMMIT_BATCH);
    pool
}

/// Largest memory of a store that has its room made in advance, in bytes.
pub const POOLED_MEMORY_BYTES_MAX: usize = 1 << 30;
/// What a store leaves of its memory for the next one that takes its place, in bytes.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;
/// Memories that are given back to the system at a time.
const DECOMMIT_BATCH: usize = 16;

/// An engine, and the clock of its stores; for `async` functions or without them.
///
/// Support for concurrency is a setting of a whole engine, and costs each call between stores about a microsecond.
fn make(is_concurrent: bool, pool: Option<PoolingAllocationConfig>) -> Result<Engine, LoadError> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_map(true)
        .wasm_component_model_fixed_length_lists(true)
        .wasm_memory64(false)
        .concurrency_support(is_concurrent)
        .wasm_component_model_async(is_concurrent)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    let engine = Engine::new(&config).map_err(|e| LoadError::Engine { cause: format!("{e:#}") })?;
    tick(&engine)?;
    Ok(engine)
}

/// Ticks of all engines' clocks.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// A number that has changed by the time that the epoch of any store has.
pub(crate) fn ticks() -> u64 {
    TICKS.load(Ordering::Relaxed)
}

/// Advances the epoch for as long as somebody holds the engine.
fn tick(engine: &Engine) -> Result<(), LoadError> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("isorun-epoch".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                TICKS.fetch_add(1, Ordering::Relaxed);
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(Duration::from_millis(EPOCH_MS));
            }
        })
        .map(drop)
        .map_err(|e| LoadError::Engine { cause: format!("cannot start the epoch thread: {e}") })
}
