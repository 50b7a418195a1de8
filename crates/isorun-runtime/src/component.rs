//! A component: checked, read, and compiled once it is needed.

use std::sync::Arc;

use bytes::Bytes;
use isorun_ledger::{Interface, Ledger};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::WasmtimeEngine;
use crate::introspect::{IntrospectError, introspect};
use crate::prescan::{PrescanError, prescan};

/// Why a component can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are no component, or too large a one.
    #[error(transparent)]
    Prescan(#[from] PrescanError),
    /// The component's types can't be read.
    #[error("cannot read the component's types: {0}")]
    Introspect(#[from] IntrospectError),
    /// The compiler refused it.
    #[error("cannot compile the component: {cause}")]
    Compile {
        /// What the compiler says.
        cause: String,
    },
    /// The engine itself does not start.
    #[error("cannot start the engine: {cause}")]
    Engine {
        /// What the engine says.
        cause: String,
    },
}

/// A component whose types are known and whose code is compiled at most once.
///
/// Cloning is cheap and gives the same component.
#[derive(Clone)]
pub struct LoadedComponent {
    shared: Arc<Shared>,
}

/// What a component was composed of, beside itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fused {
    /// The names of the others.
    pub(crate) names: Arc<[String]>,
    /// Interfaces that it exports for their types' sake alone.
    pub(crate) hidden: Arc<[String]>,
    /// Whether any of the parts has `async` functions, which may be hidden in the whole.
    pub(crate) has_async: bool,
}

struct Shared {
    engine: WasmtimeEngine,
    /// The engine beneath that compiles and runs it.
    beneath: Engine,
    is_concurrent: bool,
    bytes: Bytes,
    ledger: Arc<Ledger>,
    /// The ledger, and the exports that are there for nobody to call.
    whole: Arc<Ledger>,
    fused: Fused,
    compiled: OnceCell<Component>,
}

impl LoadedComponent {
    /// Checks the bytes and reads the types; compiles nothing yet.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn parse(engine: &WasmtimeEngine, bytes: impl Into<Bytes>) -> Result<Self, LoadError> {
        Self::of_parts(engine, bytes.into(), Fused::default())
    }

    /// As [`parse`](Self::parse), for one that was composed.
    pub(crate) fn of_parts(engine: &WasmtimeEngine, bytes: Bytes, fused: Fused) -> Result<Self, LoadError> {
        prescan(&bytes)?;
        let whole = Arc::new(introspect(&bytes)?);
        let mut ledger = whole.clone();
        if !fused.hidden.is_empty() {
            let is_hidden = |export: &Interface| export.name.as_ref().is_some_and(|name| fused.hidden.contains(name));
            Arc::make_mut(&mut ledger).exports.retain(|export| !is_hidden(export));
        }
        let is_concurrent = fused.has_async || whole.has_async();
        let (engine, beneath) = (engine.clone(), engine.beneath(is_concurrent)?);
        let compiled = OnceCell::new();
        let shared = Shared { engine, beneath, is_concurrent, bytes, ledger, whole, fused, compiled };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The types of all that the compiled code imports and exports.
    pub(crate) fn whole_ledger(&self) -> &Ledger {
        &self.shared.whole
    }

    /// Exports that only name types.
    pub(crate) fn hidden(&self) -> &Arc<[String]> {
        &self.shared.fused.hidden
    }

    /// The bytes that it was made of; of a composed one, those of the whole.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.shared.bytes
    }

    /// Whether both are the same component, and not only alike.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The SHA-256 digest of its bytes, computed at each call.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.shared.bytes).into()
    }

    /// The names of the components that were fused to it, which share its store, its budget and its fate; mostly none.
    #[must_use]
    pub fn fused(&self) -> &Arc<[String]> {
        &self.shared.fused.names
    }

    /// The types of its imports and exports.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// The engine it belongs to.
    #[must_use]
    pub fn engine(&self) -> &WasmtimeEngine {
        &self.shared.engine
    }

    /// The engine beneath that runs it: which one depends on whether it has `async` functions.
    pub(crate) fn beneath(&self) -> &Engine {
        &self.shared.beneath
    }

    /// Whether it, or what is fused to it, has `async` functions.
    pub(crate) fn is_concurrent(&self) -> bool {
        self.shared.is_concurrent
    }

    /// The compiled code; the first caller waits for the compiler, all others for the first.
    ///
    /// # Errors
    /// [`LoadError::Compile`].
    pub async fn compiled(&self) -> Result<&Component, LoadError> {
        let Shared { engine, beneath, bytes, compiled, .. } = &*self.shared;
        compiled.get_or_try_init(|| engine.compile(beneath.clone(), bytes.clone())).await
    }

    /// What the largest of its memories starts with, in bytes, where that is known before it starts.
    ///
    /// # Errors
    /// [`LoadError::Compile`]: it is compiled for this.
    pub async fn memory_bytes_min(&self) -> Result<Option<u64>, LoadError> {
        let pages = self.compiled().await?.resources_required().and_then(|needs| needs.max_initial_memory_size);
        Ok(pages.map(|pages| pages.saturating_mul(PAGE_BYTES)))
    }
}

/// A page of memory, in bytes; engines here take no other size.
const PAGE_BYTES: u64 = 1 << 16;

impl std::fmt::Debug for LoadedComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedComponent").field("bytes", &self.shared.bytes.len()).finish_non_exhaustive()
    }
}
