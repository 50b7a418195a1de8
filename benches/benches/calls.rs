//! What does a call cost its guest, by the place that the import is linked to?
//!
//! Unit: time for one call out of a guest and back into it, one after the other (`Throughput::Elements`: calls a
//! second). Anchors of the same run: `host`, a typed function of the host, which is what the engine takes for leaving
//! the guest; and `floor`, a bare loopback ping-pong of the same packed bytes, which is what the network takes. Between
//! them stand `local` (another instance, a store of its own), `channel` (a connection without a socket) and `tcp`.
//!
//! One sample is one `run-NAME(n)` of the calling guest, so that the way into it is paid once for n calls.

use std::time::{Duration, Instant};

use benches::{Error, Floor, Function, Places, Signature, guest, run};
use criterion::{Criterion, Throughput};
use tokio::runtime::{Builder, Handle};

/// Near and far end both have a thread to run on, as two hosts would.
const WORKERS: usize = 2;

fn main() -> Result<(), Error> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(400))
        .measurement_time(Duration::from_millis(1_500))
        .without_plots()
        .configure_from_args();
    let tokio = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let places = tokio.block_on(Places::start())?;
    let callee = isorun::Runtime::new()?.load(guest("bench-callee")?)?;
    for function in Function::ALL {
        let signature = Signature::of(function, callee.ledger())?;
        let request = signature.pack_args(&function.args())?.len();
        let reply = signature.pack_results(&function.results())?.len();
        bench(&mut criterion, tokio.handle(), &places, function, (request, reply))?;
    }
    criterion.final_summary();
    Ok(())
}

fn bench(
    criterion: &mut Criterion,
    tokio: &Handle,
    places: &Places,
    function: Function,
    (request_bytes, reply_bytes): (usize, usize),
) -> Result<(), Error> {
    let mut group = criterion.benchmark_group(format!("calls/{}", function.name()));
    group.throughput(Throughput::Elements(1));
    for (place, caller) in &places.callers {
        group.bench_function(*place, |b| {
            b.iter_custom(|iters| {
                let caller = caller.clone();
                let batch = async move { run(&caller, function, u32::try_from(iters)?).await };
                timed(tokio, batch).1
            });
        });
    }
    let mut floor = Some(tokio.block_on(Floor::connect(request_bytes, reply_bytes))?);
    group.bench_function("floor", |b| {
        b.iter_custom(|iters| {
            let connected = floor.take().expect("every batch gives the connection back");
            let (back, elapsed) = timed(tokio, async move { Ok(connected.run(iters).await?) });
            floor = Some(back);
            elapsed
        });
    });
    group.finish();
    Ok(())
}

/// Runs a batch on a worker, where calls of an embedder run too, and times it there.
fn timed<T: Send + 'static>(
    tokio: &Handle,
    batch: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> (T, Duration) {
    let task = tokio.spawn(async {
        let started = Instant::now();
        let outcome = batch.await;
        (outcome, started.elapsed())
    });
    let (outcome, elapsed) = tokio.block_on(task).expect("a batch does not panic");
    (outcome.unwrap_or_else(|error| panic!("a call failed: {error}")), elapsed)
}
