//! A component: checked, read, and compiled once it is needed.

use std::sync::Arc;

use bytes::Bytes;
use isorun_ledger::Ledger;
use tokio::sync::OnceCell;
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

struct Shared {
    engine: WasmtimeEngine,
    bytes: Bytes,
    ledger: Arc<Ledger>,
    compiled: OnceCell<Component>,
}

impl LoadedComponent {
    /// Checks the bytes and reads the types; compiles nothing yet.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn parse(engine: &WasmtimeEngine, bytes: impl Into<Bytes>) -> Result<Self, LoadError> {
        let bytes = bytes.into();
        prescan(&bytes)?;
        let ledger = Arc::new(introspect(&bytes)?);
        Ok(Self { shared: Arc::new(Shared { engine: engine.clone(), bytes, ledger, compiled: OnceCell::new() }) })
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

    /// The compiled code; the first caller waits for the compiler, all others for the first.
    ///
    /// # Errors
    /// [`LoadError::Compile`].
    pub async fn compiled(&self) -> Result<&Component, LoadError> {
        let Shared { engine, bytes, compiled, .. } = &*self.shared;
        compiled.get_or_try_init(|| engine.compile(bytes.clone())).await
    }
}

impl std::fmt::Debug for LoadedComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedComponent").field("bytes", &self.shared.bytes.len()).finish_non_exhaustive()
    }
}
