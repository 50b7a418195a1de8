//! What does a call cost the processor, over all threads and both ends?
//!
//! Processor time is what a busy machine still tells truthfully; a round is a batch of calls in each place in turn, so
//! that whatever disturbs one disturbs all. Prints median and least of the rounds in ns of CPU a call, the ratio of the
//! medians to the floor of the same shape (a bare ping-pong of the same bytes), and the most calls a second.
//!
//! `cpu [PLACE[,PLACE...]|all] [FUNCTION|all] [ROUNDS]`; a place ending in `64` has 64 callers at once: on one
//! connection, or, for the floor, on one each. Linux only: it reads `/proc/self/task`.

#![allow(clippy::print_stdout, reason = "what this program has to say is said on stdout")]

use std::time::Instant;

use benches::{AT_ONCE, Error, Floor, Function, Places, Relay, Signature, guest, run};
use isorun::InstanceHandle;
use isorun::introspect::introspect;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Near and far end both have a thread to run on, as two hosts would.
const WORKERS: usize = 2;
const ROUNDS: usize = 9;
/// Frames have about so many bytes beside the packed values, a call a few more than a reply.
const FRAME_BYTES: (usize, usize) = (90, 33);

/// One place's callers, and what it took.
struct Row {
    name: &'static str,
    calls: u32,
    callers: Callers,
    /// CPU time and time a call, of each round.
    rounds: Vec<(f64, f64)>,
}

enum Callers {
    Guests(Vec<InstanceHandle>),
    Relay(Relay, usize),
    Floor(Vec<Floor>),
}

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let places = args.next().filter(|places| places != "all");
    let only = args.next().filter(|function| function != "all");
    let rounds = args.next().map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let wanted = |name: &str| places.as_deref().is_none_or(|places| places.split(',').any(|place| place == name));
    let tokio = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let guests = tokio.block_on(Places::start())?;
    let crowd = if wanted("tcp64") { tokio.block_on(guests.crowd())? } else { Vec::new() };
    let ledger = introspect(&guest("bench-callee")?)?;
    for function in
        Function::ALL.into_iter().filter(|function| only.as_ref().is_none_or(|only| function.name() == only))
    {
        let signature = Signature::of(function, &ledger)?;
        let (args, results) = (signature.pack_args(&function.args())?, signature.pack_results(&function.results())?);
        let (request, reply) = (FRAME_BYTES.0 + args.len(), FRAME_BYTES.1 + results.len());
        let calls = match function {
            Function::Sum => 200,
            Function::EchoBytes => 500,
            Function::Add | Function::EchoString | Function::Get => 4_000,
        };
        let mut rows = Vec::new();
        let mut row = |name, calls, callers| rows.push(Row { name, calls, callers, rounds: Vec::new() });
        for (name, handle) in guests.callers.iter().filter(|(name, _)| wanted(name)) {
            // The way into the guest is paid once a batch, and these calls are hardly longer than it.
            let calls = if matches!(*name, "host" | "local" | "fused") { calls * 20 } else { calls };
            row(*name, calls, Callers::Guests(vec![handle.clone()]));
        }
        if wanted("rpc") {
            row("rpc", calls, Callers::Relay(tokio.block_on(Relay::start(args.clone(), results.clone()))?, 1));
        }
        row("floor", calls, Callers::Floor(tokio.block_on(floors(1, request, reply))?));
        let each = (calls / 8).max(8);
        if wanted("tcp64") {
            row("tcp64", each, Callers::Guests(crowd.clone()));
        }
        if wanted("rpc64") {
            row("rpc64", each, Callers::Relay(tokio.block_on(Relay::start(args, results))?, AT_ONCE));
        }
        if wanted("tcp64") || wanted("rpc64") {
            row("floor64", each, Callers::Floor(tokio.block_on(floors(AT_ONCE, request, reply))?));
        }
        for round in 0..=rounds {
            for row in &mut rows {
                let took = row.measure(&tokio, function)?;
                // The first one warms up.
                row.rounds.extend((round > 0).then_some(took));
            }
        }
        print(function, &rows);
    }
    Ok(())
}

impl Row {
    /// One batch: CPU time and time for one call, in nanoseconds.
    fn measure(&mut self, tokio: &Runtime, function: Function) -> Result<(f64, f64), Error> {
        let (calls, mut tasks) = (self.calls, JoinSet::<Result<Option<Floor>, Error>>::new());
        let _entered = tokio.enter();
        let (cpu, started) = (cpu_ns()?, Instant::now());
        let callers = match &mut self.callers {
            Callers::Guests(callers) => {
                for caller in callers.clone() {
                    tasks.spawn(async move { run(&caller, function, calls).await.map(|()| None) });
                }
                callers.len()
            }
            Callers::Relay(relay, callers) => {
                for _ in 0..*callers {
                    let relay = relay.clone();
                    tasks.spawn(async move { relay.run(calls).await.map(|()| None) });
                }
                *callers
            }
            Callers::Floor(floors) => {
                let callers = floors.len();
                for floor in floors.drain(..) {
                    tasks.spawn(async move { Ok(Some(floor.run(u64::from(calls)).await?)) });
                }
                callers
            }
        };
        while let Some(ended) = tokio.block_on(tasks.join_next()) {
            if let (Callers::Floor(floors), Some(floor)) = (&mut self.callers, ended??) {
                floors.push(floor);
            }
        }
        let all = f64::from(calls) * callers as f64;
        Ok(((cpu_ns()? - cpu) as f64 / all, started.elapsed().as_nanos() as f64 / all))
    }

    /// Median and least CPU time, and the least time, for one call, in nanoseconds.
    fn summary(&self) -> (f64, f64, f64) {
        let mut cpu: Vec<f64> = self.rounds.iter().map(|(cpu, _)| *cpu).collect();
        cpu.sort_by(f64::total_cmp);
        let least = |times: &mut dyn Iterator<Item = f64>| times.fold(f64::INFINITY, f64::min);
        (cpu[cpu.len() / 2], cpu[0], least(&mut self.rounds.iter().map(|(_, time)| *time)))
    }
}

fn print(function: Function, rows: &[Row]) {
    for row in rows {
        let floor = if row.name.ends_with("64") { "floor64" } else { "floor" };
        let floor = rows.iter().find(|row| row.name == floor).map_or((f64::NAN, f64::NAN, 0.0), Row::summary);
        let (median, least, time) = row.summary();
        println!(
            "{:<12} {:<8} {median:>9.0} ns cpu (least {least:>9.0})  {:>5.2}x floor (least {:.2}x) {:>9.0}/s",
            function.name(),
            row.name,
            median / floor.0,
            least / floor.1,
            1e9 / time
        );
    }
}

async fn floors(count: usize, request: usize, reply: usize) -> std::io::Result<Vec<Floor>> {
    let mut floors = Vec::with_capacity(count);
    for _ in 0..count {
        floors.push(Floor::connect(request, reply).await?);
    }
    Ok(floors)
}

/// CPU time of all threads so far, in nanoseconds.
fn cpu_ns() -> Result<u64, Error> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += stat.split_whitespace().next().unwrap_or("0").parse::<u64>()?;
    }
    Ok(total)
}
