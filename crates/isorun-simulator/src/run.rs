//! Runs, and what they come to.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use isorun_core::{CallFailed, Failure, Reply};

use crate::application::{Application, Setup};
use crate::plan::Plan;
use crate::trace::Trace;
use crate::workload::Workload;
use crate::world::World;

/// Lines of a failing run's trace that are shown.
pub const TRACE_LINES: usize = 60;

/// What is simulated; the default is what a seed says.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many hosts, 2 at least; 3 to 8 by the seed where it is not said.
    pub hosts: Option<usize>,
    /// How long the hosts work and things go wrong, in milliseconds; half a second to four by the seed where it is not
    /// said. After it everything must come to rest.
    pub work_ms: Option<u64>,
    /// Whether anything goes wrong but that frames take their time.
    pub faults: bool,
    /// Lines of trace that a failing run shows.
    pub trace_lines: usize,
    /// Whether each line goes to stderr as it happens, of a run that keeps every promise too.
    pub trace_all: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { hosts: None, work_ms: None, faults: true, trace_lines: TRACE_LINES, trace_all: false }
    }
}

/// What happened in a run that kept every promise, or in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Things that happened.
    pub steps: u64,
    /// Calls that were made.
    pub calls: u64,
    /// Calls that had results.
    pub returned: u64,
    /// Calls that were not sent.
    pub not_sent: u64,
    /// Calls of which nobody knows whether they ran.
    pub unknown: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that failed where they ran.
    pub failed: u64,
    /// Calls whose time was over.
    pub deadline: u64,
    /// Calls that were given up.
    pub cancelled: u64,
    /// Times that a call was made again.
    pub again: u64,
    /// Connections that were opened.
    pub channels: u64,
    /// Frames that arrived.
    pub frames: u64,
    /// Things that went wrong.
    pub faults: u64,
    /// Simulated time, in microseconds.
    pub simulated_us: u64,
}

impl Counts {
    pub(crate) fn note(&mut self, result: &Result<Reply, CallFailed>) {
        let count = match result {
            Ok(_) => &mut self.returned,
            Err(failed) => match &failed.failure {
                Failure::NotSent { .. } => &mut self.not_sent,
                Failure::Unknown { .. } => &mut self.unknown,
                Failure::Refused(_) => &mut self.refused,
                Failure::Deadline { .. } => &mut self.deadline,
                Failure::Cancelled => &mut self.cancelled,
                _ => &mut self.failed,
            },
        };
        *count += 1;
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (to, from) in self.all().into_iter().zip({ *other }.all()) {
            *to += *from;
        }
    }

    fn all(&mut self) -> [&mut u64; 14] {
        let Self {
            steps,
            calls,
            returned,
            not_sent,
            unknown,
            refused,
            failed,
            deadline,
            cancelled,
            again,
            channels,
            frames,
            faults,
            simulated_us,
        } = self;
        [
            steps,
            calls,
            returned,
            not_sent,
            unknown,
            refused,
            failed,
            deadline,
            cancelled,
            again,
            channels,
            frames,
            faults,
            simulated_us,
        ]
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls ({} returned, {} not sent, {} unknown, {} refused, {} failed, {} out of time, {} cancelled; {} made \
             again), {} frames on {} connections, {} faults, {:?} simulated",
            self.calls,
            self.returned,
            self.not_sent,
            self.unknown,
            self.refused,
            self.failed,
            self.deadline,
            self.cancelled,
            self.again,
            self.frames,
            self.channels,
            self.faults,
            Duration::from_micros(self.simulated_us),
        )
    }
}

/// A seed under which a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// The seed: the same one breaks it again.
    pub seed: u64,
    /// Which promise, and how.
    pub promise: String,
    /// The last that happened before, the oldest first.
    pub trace: Vec<String>,
    /// How many lines came before those.
    pub before: usize,
    /// How to see it again.
    pub again: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, promise, trace, before, again } = self;
        if *before > 0 {
            writeln!(f, "({before} lines before)")?;
        }
        for line in trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {seed}: {promise}")?;
        write!(f, "once more, with all that happens: {again}")
    }
}

impl std::error::Error for Broken {}

/// Runs the application that `make` makes for each host, under one seed.
///
/// # Errors
/// [`Broken`]: a promise was broken, or something panicked.
pub fn simulate(
    seed: u64,
    options: &Options,
    make: &dyn Fn(&Setup) -> Box<dyn Application>,
) -> Result<Counts, Box<Broken>> {
    let quiet = if options.trace_all { Trace::told() } else { Trace::default() };
    once(seed, options, make, quiet).map_err(|_| {
        // The same again, this time for people.
        once(seed, options, make, Trace::keeping(options.trace_lines)).err().unwrap_or_else(|| {
            let twice = "broken once and kept the next time: the application is not the same for the same seed";
            Box::new(broken(seed, twice.to_owned()))
        })
    })
}

/// Runs the simulator's own application under one seed: every kind of call, both ways between all hosts.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_workload(seed: u64, options: &Options) -> Result<Counts, Box<Broken>> {
    simulate(seed, options, &|setup| Box::new(Workload::new(*setup))).map_err(|mut broken| {
        let faults = if options.faults { "" } else { " --no-faults" };
        broken.again = format!("cargo xtask simulate --seed {seed} --trace{faults}");
        broken
    })
}

/// Runs `count` seeds from `first` on, on all processors, up to the first that breaks; `each` hears how many are done.
///
/// # Errors
/// The [`Broken`] of the lowest seed among those that broke before all had stopped.
pub fn search(
    first: u64,
    count: u64,
    run: &(dyn Fn(u64) -> Result<Counts, Box<Broken>> + Sync),
    each: &(dyn Fn(u64) + Sync),
) -> Result<Counts, Box<Broken>> {
    let (next, done, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut counts = Counts::default();
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            match run(first.wrapping_add(number)) {
                Ok(more) => counts.add(&more),
                Err(broken) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(broken);
                }
            }
            each(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
        Ok(counts)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut all = Counts::default();
    let mut found: Option<Box<Broken>> = None;
    for result in results {
        match result {
            Ok(Ok(counts)) => all.add(&counts),
            Ok(Err(broken)) => found = Some(found.filter(|other| other.seed < broken.seed).unwrap_or(broken)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    found.map_or(Ok(all), Err)
}

fn once(
    seed: u64,
    options: &Options,
    make: &dyn Fn(&Setup) -> Box<dyn Application>,
    trace: Trace,
) -> Result<Counts, Box<Broken>> {
    let mut rng = Rng::with_seed(seed);
    let plan = Plan::draw(&mut rng, options);
    let mut world = World::new(seed, rng, plan, trace);
    world.trace.note(0, || format!("{:?}", world.plan));
    let ran = catch_unwind(AssertUnwindSafe(|| world.run(make)));
    let promise = match ran {
        Ok(Ok(())) => {
            world.counts.simulated_us = world.now;
            return Ok(world.counts);
        }
        Ok(Err(violation)) => violation.0,
        Err(panic) => format!("a panic: {}", said(&*panic)),
    };
    Err(Box::new(Broken { before: world.trace.dropped, trace: world.trace.into_lines(), ..broken(seed, promise) }))
}

fn broken(seed: u64, promise: String) -> Broken {
    Broken { seed, promise, trace: Vec::new(), before: 0, again: format!("seed {seed} with `Options::trace_all`") }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}
