//! What does a message cost the component that takes it, what does a component cost that waits for one, and how long does
//! it take to start ten thousand?
//!
//! Unit: time for one message into a guest that answers with its payload (`Throughput::Elements`: messages a second), one
//! after the other. Anchors of the same run, in the same engine with fuel, epochs and limits on: `floor-async`, the
//! engine's own typed call of the same guest with nothing around it, and `floor-sync`, the same on the caller's stack.
//!
//! Memory is what the process has resident more, by `/proc/self/statm`; it is printed once, and so is the time to start.

// What is measured once stands beside what is measured often.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::{Error, guest};
use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use isorun_core::{
    ComponentConfig, ComponentHandle, ComponentId, ComponentMessage, CorrelationId, MessagePayload, RuntimeEngine,
};
use isorun_runtime::wasmtime::component::{Component, ComponentType, Lift, Linker, Lower, TypedFunc};
use isorun_runtime::wasmtime::{self, Store};
use isorun_runtime::{EngineOptions, LIFECYCLE, WasmtimeEngine};
use tokio::runtime::{Builder, Handle};

const WORKERS: usize = 2;
/// Live components, all of one kind.
const MANY: u32 = 10_000;

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
#[component(wasmtime_crate = wasmtime)]
struct Payload<'a> {
    data: &'a [u8],
    #[component(name = "content-type")]
    content_type: Option<&'a str>,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
#[component(wasmtime_crate = wasmtime)]
struct Message<'a> {
    sender: &'a str,
    payload: Payload<'a>,
    #[component(name = "correlation-id")]
    correlation_id: Option<&'a str>,
    #[component(name = "reply-to")]
    reply_to: Option<&'a str>,
    #[component(name = "timestamp-ms")]
    timestamp_ms: u64,
}

#[derive(ComponentType, Lift)]
#[component(record)]
#[component(wasmtime_crate = wasmtime)]
struct Answer {
    data: Vec<u8>,
    #[component(name = "content-type")]
    content_type: Option<String>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
#[component(wasmtime_crate = wasmtime)]
enum Refusal {
    #[component(name = "rejected")]
    Rejected(String),
    #[component(name = "failed")]
    Failed(String),
}

type HandleMessage = TypedFunc<(Message<'static>,), (Result<Option<Answer>, Refusal>,)>;

fn main() -> Result<(), Error> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .without_plots()
        .configure_from_args();
    let tokio = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let bytes = Bytes::from(guest("actor")?);
    for (name, options) in
        [("on-demand", EngineOptions::default()), ("pooled", EngineOptions::default().pooled_stores(64))]
    {
        let engine = WasmtimeEngine::with_options(options)?;
        let handle = tokio.block_on(started(&engine, 0, bytes.clone()))?;
        let mut group = criterion.benchmark_group(format!("actor-engine/{name}"));
        group.throughput(Throughput::Elements(1));
        for (what, message) in messages() {
            floors(&mut group, tokio.handle(), &engine, &handle, (what, &message));
            live(&mut group, tokio.handle(), &engine, &handle, (what, &message));
        }
        group.finish();
    }
    tokio.block_on(many(&bytes))?;
    criterion.final_summary();
    Ok(())
}

fn messages() -> [(&'static str, ComponentMessage); 3] {
    let of = |payload: Vec<u8>| ComponentMessage::new(id(1), id(0), MessagePayload::new(payload));
    let mut echo = vec![b'e'; 64];
    let request = ComponentMessage {
        correlation_id: Some(CorrelationId::from_random([7; 16])),
        reply_to: Some(id(1)),
        ..of(echo.clone())
    };
    echo[0] = b'n';
    [("one-way-64", of(echo)), ("request-64", request), ("request-64k", of(vec![b'e'; 64 << 10]))]
}

fn id(number: u32) -> ComponentId {
    ComponentId::new("bench", "actor", number.to_string())
}

async fn started(engine: &WasmtimeEngine, number: u32, bytes: Bytes) -> Result<ComponentHandle, Error> {
    let handle = engine.load_component(&id(number), bytes).await?;
    engine.start_component(&handle, &ComponentConfig::default()).await?;
    Ok(handle)
}

/// Messages by way of core's trait.
fn live(
    group: &mut BenchmarkGroup<'_, WallTime>,
    tokio: &Handle,
    engine: &WasmtimeEngine,
    handle: &ComponentHandle,
    (what, message): (&str, &ComponentMessage),
) {
    let engine: Arc<dyn RuntimeEngine> = Arc::new(engine.clone());
    group.bench_function(format!("{what}/isorun"), |b| {
        b.iter_custom(|iters| {
            let (engine, handle, message) = (engine.clone(), handle.clone(), message.clone());
            timed(tokio, async move {
                for _ in 0..iters {
                    engine.call_handle_message(&handle, &message).await?;
                }
                Ok(())
            })
        });
    });
}

/// The engine's typed call, by itself.
fn floors(
    group: &mut BenchmarkGroup<'_, WallTime>,
    tokio: &Handle,
    engine: &WasmtimeEngine,
    handle: &ComponentHandle,
    (what, message): (&str, &ComponentMessage),
) {
    let component = engine.component(handle).expect("it is loaded");
    for is_async in [true, false] {
        let name = format!("{what}/floor-{}", if is_async { "async" } else { "sync" });
        group.bench_function(name, |b| {
            b.iter_custom(|iters| {
                let (component, message) = (component.clone(), message.clone());
                timed(tokio, async move {
                    let (mut store, func) = bare(&component).await?;
                    let correlation_id = message.correlation_id.map(|id| id.to_string());
                    for _ in 0..iters {
                        store.set_fuel(1 << 40)?;
                        store.set_epoch_deadline(1 << 40);
                        let params = Message {
                            sender: message.sender.as_str(),
                            payload: Payload { data: &message.payload.data, content_type: None },
                            correlation_id: correlation_id.as_deref(),
                            reply_to: message.reply_to.as_ref().map(|id| id.as_str()),
                            timestamp_ms: message.timestamp_ms,
                        };
                        let func: TypedFunc<(Message<'_>,), _> = func;
                        let (answered,) = if is_async {
                            func.call_async(&mut store, (params,)).await?
                        } else {
                            func.call(&mut store, (params,))?
                        };
                        let answered = answered.map(|answer| answer.map(|answer| (answer.data, answer.content_type)));
                        std::hint::black_box(answered.map_err(|refusal| match refusal {
                            Refusal::Rejected(reason) | Refusal::Failed(reason) => reason,
                        })?);
                    }
                    Ok(())
                })
            });
        });
    }
}

async fn bare(component: &Component) -> Result<(Store<()>, HandleMessage), Error> {
    let mut store = Store::new(component.engine(), ());
    store.set_fuel(1 << 40)?;
    store.set_epoch_deadline(1 << 40);
    let instance = Linker::new(component.engine()).instantiate_async(&mut store, component).await?;
    let lifecycle = component.get_export_index(None, LIFECYCLE).ok_or("no lifecycle")?;
    let index = component.get_export_index(Some(&lifecycle), "handle-message").ok_or("no handle-message")?;
    let func = instance.get_typed_func(&mut store, index)?;
    Ok((store, func))
}

/// Ten thousand components: how long they take to start, and what they hold.
async fn many(bytes: &Bytes) -> Result<(), Error> {
    let engine = WasmtimeEngine::new()?;
    let first = started(&engine, MANY, bytes.clone()).await?;
    let before = resident();
    let begun = Instant::now();
    let mut handles = Vec::new();
    for number in 0..MANY {
        handles.push(engine.load_component(&id(number), bytes.clone()).await?);
    }
    let (loaded, loading) = (resident(), begun.elapsed());
    let begun = Instant::now();
    for handle in &handles {
        engine.start_component(handle, &ComponentConfig::default()).await?;
    }
    let (running, starting) = (resident(), begun.elapsed());
    let each = |from: u64, to: u64| to.saturating_sub(from) / u64::from(MANY);
    println!(
        "{MANY} components: loaded in {} ms, {} bytes each; started in {} ms, {} bytes more each; {} maps",
        loading.as_millis(),
        each(before, loaded),
        starting.as_millis(),
        each(loaded, running),
        maps()
    );
    for (what, message) in messages() {
        for handle in &handles {
            engine.call_handle_message(handle, &message).await?;
        }
        println!("after a message {what} each: {} bytes more each than loaded", each(loaded, resident()));
    }
    engine.call_health(&first).await?;
    Ok(())
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// Mappings of this process, of which Linux has 65,530 unless it is told otherwise.
fn maps() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap_or_default().lines().count()
}

/// Runs a batch on a worker, where calls of an embedder run too, and times it there.
fn timed(tokio: &Handle, batch: impl Future<Output = Result<(), Error>> + Send + 'static) -> Duration {
    let task = tokio.spawn(async {
        let started = Instant::now();
        let outcome = batch.await;
        (outcome, started.elapsed())
    });
    let (outcome, elapsed) = tokio.block_on(task).expect("a batch does not panic");
    outcome.unwrap_or_else(|error| panic!("a call failed: {error}"));
    elapsed
}
