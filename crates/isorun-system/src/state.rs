//! What WASI's functions find in a store.

use std::path::Path;

use isorun_runtime::HostState;
use parking_lot::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::WasiCliCtxView;
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::random::WasiRandomCtx;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

/// Most random bytes that a guest gets in one call; to ask for more is a trap.
///
/// The engine would make up to 64 MiB at once.
pub const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// WASI's part of a store.
///
/// wasmtime-wasi's types can move between threads and can't be shared by them;
/// the mutex makes them fit into a store's extensions, and is never locked.
struct WasiState(Mutex<Inner>);

struct Inner {
    /// Host components add to it until the guest first needs what it builds.
    builder: WasiCtxBuilder,
    ctx: Option<WasiCtx>,
    table: ResourceTable,
    /// Guest paths of all directories so far.
    mounted: Vec<String>,
}

impl WasiState {
    fn new(handles_max: u32) -> Self {
        let mut builder = WasiCtx::builder();
        builder.max_random_size(RANDOM_BYTES_MAX);
        let mut table = ResourceTable::new();
        // A handle stands for at most two entries (a timer and what polls it), so that the store's own limit on
        // handles, which fails with its name, is met first.
        table.set_max_capacity((handles_max as usize).saturating_mul(2));
        Self(Mutex::new(Inner { builder, ctx: None, table, mounted: Vec::new() }))
    }
}

fn inner(state: &mut HostState) -> &mut Inner {
    let handles_max = state.limiter().budget().max_handles;
    state.extension_or_insert_with(|| WasiState::new(handles_max)).0.get_mut()
}

fn parts(state: &mut HostState) -> (&mut WasiCtx, &mut ResourceTable) {
    let Inner { builder, ctx, table, .. } = inner(state);
    (ctx.get_or_insert_with(|| builder.build()), table)
}

/// Adds to a store that no guest has run in yet.
pub(crate) fn configure(
    state: &mut HostState,
    add: impl FnOnce(&mut WasiCtxBuilder) -> wasmtime::Result<()>,
) -> wasmtime::Result<()> {
    let Inner { builder, ctx, .. } = inner(state);
    if ctx.is_some() {
        return Err(wasmtime::format_err!("WASI was configured after a guest had run"));
    }
    add(builder)
}

/// Adds a directory.
pub(crate) fn mount(state: &mut HostState, host: &Path, guest: &str, perms: FsPerms) -> wasmtime::Result<()> {
    // As paths, to which `/data` and `/data/` are the same.
    if inner(state).mounted.iter().any(|known| Path::new(known) == Path::new(guest)) {
        return Err(wasmtime::format_err!("two folders are mounted as `{guest}`: give each a path of its own"));
    }
    configure(state, |builder| builder.preopened_dir(host, guest, perms).map(drop))
        .map_err(|e| wasmtime::format_err!("cannot mount folder `{}` as `{guest}`: {e}", host.display()))?;
    inner(state).mounted.push(guest.to_owned());
    Ok(())
}

pub(crate) fn table(state: &mut HostState) -> &mut ResourceTable {
    &mut inner(state).table
}

pub(crate) fn cli(state: &mut HostState) -> WasiCliCtxView<'_> {
    let (ctx, table) = parts(state);
    WasiCliCtxView { ctx: ctx.cli(), table }
}

pub(crate) fn clocks(state: &mut HostState) -> WasiClocksCtxView<'_> {
    let (ctx, table) = parts(state);
    WasiClocksCtxView { ctx: ctx.clocks(), table }
}

pub(crate) fn filesystem(state: &mut HostState) -> WasiFilesystemCtxView<'_> {
    let (ctx, table) = parts(state);
    WasiFilesystemCtxView { ctx: ctx.filesystem(), table }
}

pub(crate) fn random(state: &mut HostState) -> &mut WasiRandomCtx {
    parts(state).0.random()
}
