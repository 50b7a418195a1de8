//! What each store has, as wRPC wants it, and the engine, set up as its own command does.

use std::path::Path;
use std::time::Duration;

use wasmtime::component::{Component, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wrpc_runtime_wasmtime::{SharedResourceTable, WrpcCtx, WrpcCtxView, WrpcView};
use wrpc_transport::Invoke;

use crate::child::Error;

/// How long a call may take: far more than the 10 s of wRPC's command, so that no caller among many is given up.
const CALL_MAX: Duration = Duration::from_secs(600);

pub struct Rpc<C> {
    client: C,
    shared: SharedResourceTable,
}

impl<C: Invoke<Context = ()>> WrpcCtx<C> for Rpc<C> {
    fn context(&self) {}

    fn client(&self) -> &C {
        &self.client
    }

    fn shared_resources(&mut self) -> &mut SharedResourceTable {
        &mut self.shared
    }

    fn timeout(&self) -> Option<Duration> {
        Some(CALL_MAX)
    }
}

pub struct Host<C> {
    table: ResourceTable,
    wasi: WasiCtx,
    rpc: Rpc<C>,
}

impl<C> Host<C> {
    pub fn new(client: C) -> Self {
        let rpc = Rpc { client, shared: SharedResourceTable::default() };
        Self { table: ResourceTable::new(), wasi: WasiCtxBuilder::new().build(), rpc }
    }
}

impl<C: Invoke<Context = ()>> WrpcView for Host<C> {
    type Invoke = C;

    fn wrpc(&mut self) -> WrpcCtxView<'_, C> {
        WrpcCtxView { ctx: &mut self.rpc, table: &mut self.table }
    }
}

impl<C: Send> WasiView for Host<C> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

pub fn engine() -> Result<Engine, Error> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(400).total_core_instances(1_000).total_memories(500).total_tables(500);
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

/// A guest of the benches, which is written as text.
pub fn guest(engine: &Engine, name: &str) -> Result<Component, Error> {
    let guests = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/wat"));
    Ok(Component::from_file(engine, guests.join(name).with_extension("wat"))?)
}
