//! What a host component is.

use isorun_security::Request;
use wasmtime::component::Linker;

use crate::HostState;

/// Code in the host that satisfies a component's imports.
///
/// `install` puts typed functions into the linker, once for each component that
/// is linked; `configure` puts the state that they need into each new store,
/// where they find it by its type.
pub trait SystemComponent: Send + Sync + 'static {
    /// The interfaces that [`install`](Self::install) defines, as `ns:pkg/iface@version`.
    fn interfaces(&self) -> Vec<String>;

    /// Whether several of this kind may be linked for one import, each adding its part; two directories do, say.
    fn adds_up(&self) -> bool {
        false
    }

    /// What it gives guests that must be granted beside the link itself: a directory, a part of WASI.
    ///
    /// Whoever links asks for each; see `docs/adr/0013-capabilities.md`.
    fn needs(&self) -> Vec<Request<'_>> {
        Vec::new()
    }

    /// Defines the functions.
    ///
    /// # Errors
    /// Whatever the linker refuses.
    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()>;

    /// Puts this component's state into a new store.
    ///
    /// # Errors
    /// Whatever keeps the state from being made: a folder that has gone, say.
    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()>;
}
