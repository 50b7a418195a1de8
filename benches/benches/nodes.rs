//! What does it cost to have a processing node handle an input, by the node's shape and the input's size?
//!
//! Unit: time for one input in and one output of the same size out (`Throughput::Bytes`: of input). The guests give back
//! what they get, so that nothing but the way is measured. Anchor of the same run: `floor`, a typed call of the
//! engine's own into the component of the typed shape, in a store with fuel and epochs on, its output copied out.

use std::time::Duration;

use benches::{Error, guest};
use criterion::{BenchmarkId, Criterion, Throughput};
use isorun_nodes::{LoadedModule, WasmArtifact, WasmProcessorFactory};
use isorun_runtime::WasmtimeEngine;
use isorun_runtime::wasmtime::Store;
use isorun_runtime::wasmtime::component::{Component, Linker, TypedFunc, WasmList, WasmStr};
use tokio::runtime::Builder;

const SIZES: [usize; 5] = [0, 64, 64 << 10, 1 << 20, 8 << 20];

fn main() -> Result<(), Error> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_000))
        .without_plots()
        .configure_from_args();
    let tokio = Builder::new_current_thread().enable_all().build()?;
    let engine = WasmtimeEngine::new()?;
    let mut nodes = Vec::new();
    for shape in ["typed", "helpers", "pointers"] {
        let module = LoadedModule::load(&engine, &WasmArtifact::new(guest(&format!("node-{shape}"))?, shape))?;
        let node = tokio.block_on(WasmProcessorFactory::new().build(&module))?;
        assert_eq!(node.choice().shape.to_string(), shape);
        nodes.push(node);
    }
    let mut floor = Floor::new(&engine)?;
    for size in SIZES {
        let input: Vec<u8> = (0..size).map(|at| at as u8).collect();
        let mut group = criterion.benchmark_group("nodes");
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("floor", size), |b| {
            b.iter(|| assert_eq!(floor.call(&input).expect("the guest gives it back").len(), size));
        });
        for node in &nodes {
            let execute = async || node.execute(&input).await.expect("the guest gives it back");
            assert!(tokio.block_on(execute()) == input);
            group.bench_function(BenchmarkId::new(node.origin(), size), |b| {
                b.iter_custom(|iters| {
                    tokio.block_on(async {
                        let started = std::time::Instant::now();
                        for _ in 0..iters {
                            assert_eq!(execute().await.len(), size);
                        }
                        started.elapsed()
                    })
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

type Process<'a> = TypedFunc<(&'a [u8],), (Result<WasmList<u8>, WasmStr>,)>;

/// A typed call, as an embedder of the bare engine makes it.
struct Floor {
    store: Store<()>,
    process: Process<'static>,
}

impl Floor {
    fn new(engine: &WasmtimeEngine) -> Result<Self, Error> {
        let engine = engine.engine();
        let component = Component::new(engine, guest("node-typed")?)?;
        let mut store = Store::new(engine, ());
        store.set_fuel(u64::MAX)?;
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = Linker::new(engine).instantiate(&mut store, &component)?;
        let process = instance.get_typed_func(&mut store, "process")?;
        Ok(Self { store, process })
    }

    fn call(&mut self, input: &[u8]) -> Result<Vec<u8>, Error> {
        // Fuel is given anew for each call, as a node's is.
        self.store.set_fuel(u64::MAX)?;
        // It takes inputs that don't live for ever too.
        let process: Process<'_> = self.process;
        let (output,) = process.call(&mut self.store, (input,))?;
        let output = output.map_err(|_| "the guest fails")?;
        Ok(output.as_le_slice(&self.store).to_vec())
    }
}
