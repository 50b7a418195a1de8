//! The hosts, the network, the clock, and what is to happen when.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use fastrand::Rng;
use isorun_core::{CallFailed, InstanceUid, Reply};
use neorpc::RequestId;

use crate::application::{Application, CallId, HostId, Incoming, ServeId, Setup};
use crate::calls::Call;
use crate::channel::{Channel, Stage};
use crate::faults::Fault;
use crate::host::Host;
use crate::plan::{LEAVE_US, Plan, SETTLE_US};
use crate::promises::{Promises, Violation};
use crate::run::Counts;
use crate::serve::Serve;
use crate::trace::Trace;

/// Steps of one run, at most: what needs more will never be quiet.
const STEPS_MAX: u64 = 3_000_000;

/// What waits to be sent where all is quiet, at most, in bytes: a ping and a pong.
const SIGNS_BYTES: usize = 2 * 19;

/// One end of a channel.
pub(crate) type EndAt = (usize, usize);

/// Something that is to happen.
#[derive(Debug)]
pub(crate) enum Due {
    /// The shell looks at an end.
    Drive(EndAt),
    /// A frame may have arrived, or an end reads again.
    Arrive(EndAt),
    /// A connection's timer.
    Timer(EndAt),
    /// An end learns that its channel broke.
    Broke(EndAt),
    /// An answer that was thought over.
    Answer(EndAt, RequestId),
    /// A dial came to its end.
    Dialed {
        host: usize,
        incarnation: u64,
        to: usize,
    },
    Wake {
        host: usize,
        incarnation: u64,
        token: u64,
    },
    /// A call's time is over.
    Deadline(CallId),
    /// A call is made again.
    Again(CallId),
    /// The caller of a call that is served waits no longer.
    ServeDeadline(ServeId),
    Fault,
    Undo(Fault),
    /// A drain has lasted long enough.
    Drained(usize),
    /// All must be quiet.
    Quiet,
    /// Nothing may be bound any more.
    Released,
    /// Nothing may be there any more.
    Gone,
}

/// What an application is told.
#[derive(Debug)]
pub(crate) enum Mail {
    Serve(Incoming),
    Stopped(ServeId),
    Returned(CallId, Result<Reply, CallFailed>),
}

/// Makes the application of a host.
pub(crate) type Make<'m> = dyn Fn(&Setup) -> Box<dyn Application> + 'm;

pub(crate) struct HostState {
    pub(crate) incarnation: u64,
    pub(crate) up: bool,
    /// It accepts no connection: it drains.
    pub(crate) draining: bool,
    pub(crate) links: BTreeMap<usize, Link>,
}

/// How a host reaches another.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) end: Option<EndAt>,
    /// A dial is under way, or a hello.
    pub(crate) dialing: bool,
    pub(crate) waiting: Vec<CallId>,
}

pub(crate) struct World {
    pub(crate) now: u64,
    base: Instant,
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    queue: BinaryHeap<Reverse<Entry>>,
    next_entry: u64,
    pub(crate) plan: Plan,
    pub(crate) hosts: Vec<HostState>,
    pub(crate) channels: Vec<Channel>,
    /// Until when two hosts hear nothing of each other, the lower one first.
    pub(crate) partitions: BTreeMap<(usize, usize), u64>,
    pub(crate) calls: Vec<Call>,
    pub(crate) serves: BTreeMap<ServeId, Serve>,
    pub(crate) next_serve: u64,
    pub(crate) mail: VecDeque<(usize, Mail)>,
    /// Ends that something was done to in this step.
    pub(crate) touched: BTreeSet<EndAt>,
    pub(crate) promises: Promises,
    pub(crate) trace: Trace,
    pub(crate) counts: Counts,
    applications: Vec<Option<Box<dyn Application>>>,
}

struct Entry {
    at: u64,
    number: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl World {
    pub(crate) fn new(seed: u64, rng: Rng, plan: Plan, trace: Trace) -> Self {
        let hosts: Vec<HostState> = (0..plan.hosts)
            .map(|_| HostState { incarnation: 0, up: true, draining: false, links: BTreeMap::new() })
            .collect();
        let mut world = Self {
            now: 0,
            base: Instant::now(),
            seed,
            rng,
            queue: BinaryHeap::new(),
            next_entry: 0,
            applications: hosts.iter().map(|_| None).collect(),
            hosts,
            channels: Vec::new(),
            partitions: BTreeMap::new(),
            calls: Vec::new(),
            serves: BTreeMap::new(),
            next_serve: 0,
            mail: VecDeque::new(),
            touched: BTreeSet::new(),
            promises: Promises::default(),
            trace,
            counts: Counts::default(),
            plan,
        };
        let quiet = world.plan.work_us + SETTLE_US;
        world.after(quiet, Due::Quiet);
        world.next_fault();
        world
    }

    /// Runs to the end, or to the first promise that is broken.
    pub(crate) fn run(&mut self, make: &Make<'_>) -> Result<(), Violation> {
        for host in 0..self.hosts.len() {
            self.start(host, make);
        }
        self.deliver();
        while let Some(Reverse(Entry { at, due, .. })) = self.queue.pop() {
            self.promises.time_passes(at);
            self.promises.kept()?;
            self.now = at;
            self.counts.steps += 1;
            if self.counts.steps > STEPS_MAX {
                return Err(Violation::new(format!("not quiet after {STEPS_MAX} steps")));
            }
            let over = matches!(due, Due::Gone);
            self.step(due, make);
            self.deliver();
            self.look_at_touched();
            self.promises.kept()?;
            if over {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, due: Due, make: &Make<'_>) {
        match due {
            Due::Drive(end) => {
                self.end_mut(end).driving = false;
                self.drive(end);
            }
            Due::Arrive(end) => self.drive(end),
            Due::Timer(end) => self.timer(end),
            Due::Broke(end) => self.lost(end, "the connection broke"),
            Due::Answer(end, id) => self.answer_asked(end, id),
            Due::Dialed { host, incarnation, to } => {
                if self.is_same(host, incarnation) {
                    self.dialed(host, to);
                }
            }
            Due::Wake { host, incarnation, token } => {
                if self.is_same(host, incarnation) {
                    self.act(host, |application, host| application.woken(host, token));
                }
            }
            Due::Deadline(call) => self.deadline(call),
            Due::Again(call) => self.again(call),
            Due::ServeDeadline(call) => self.serve_deadline(call),
            Due::Fault => {
                self.fault();
                self.next_fault();
            }
            Due::Undo(fault) => {
                if let Some(host) = self.undo(fault) {
                    self.start(host, make);
                }
            }
            Due::Drained(host) => self.drained(host),
            Due::Quiet => self.quiet(),
            Due::Released => self.released(),
            Due::Gone => self.gone(),
        }
    }

    fn is_same(&self, host: usize, incarnation: u64) -> bool {
        self.hosts[host].up && self.hosts[host].incarnation == incarnation
    }

    fn start(&mut self, host: usize, make: &Make<'_>) {
        let restarts = self.hosts[host].incarnation;
        let setup = Setup { host: HostId(host), hosts: self.hosts.len(), restarts, seed: self.seed };
        self.applications[host] = Some(make(&setup));
        self.act(host, |application, host| application.start(host));
    }

    /// Lets a host's application act.
    pub(crate) fn act<T>(
        &mut self,
        host: usize,
        what: impl FnOnce(&mut dyn Application, &mut Host<'_>) -> T,
    ) -> Option<T> {
        let mut application = self.applications[host].take()?;
        let done = what(&mut *application, &mut Host { world: self, at: host });
        self.applications[host] = Some(application);
        Some(done)
    }

    pub(crate) fn stop_application(&mut self, host: usize) {
        self.applications[host] = None;
        self.mail.retain(|(to, _)| *to != host);
    }

    fn deliver(&mut self) {
        while let Some((host, mail)) = self.mail.pop_front() {
            self.act(host, |application, at| match mail {
                Mail::Serve(call) => application.serve(at, call),
                Mail::Stopped(call) => application.stopped(at, call),
                Mail::Returned(call, result) => application.returned(at, call, result),
            });
        }
    }

    pub(crate) fn after(&mut self, us: u64, due: Due) {
        let number = self.next_entry;
        self.next_entry += 1;
        self.queue.push(Reverse(Entry { at: self.now.saturating_add(us), number, due }));
    }

    pub(crate) fn instant(&self) -> Instant {
        self.instant_at(self.now)
    }

    pub(crate) fn instant_at(&self, us: u64) -> Instant {
        self.base + Duration::from_micros(us)
    }

    /// The microsecond of `instant`, rounded up as a timer would be.
    pub(crate) fn micros(&self, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos.div_ceil(1000)).unwrap_or(u64::MAX)
    }

    pub(crate) fn uid(&self, host: usize) -> InstanceUid {
        let mut uid = [0; 16];
        uid[..8].copy_from_slice(&(host as u64).to_le_bytes());
        uid[8..].copy_from_slice(&self.hosts[host].incarnation.to_le_bytes());
        InstanceUid(uid)
    }

    pub(crate) fn end_mut(&mut self, (channel, side): EndAt) -> &mut crate::channel::End {
        &mut self.channels[channel].ends[side]
    }

    pub(crate) fn end(&self, (channel, side): EndAt) -> &crate::channel::End {
        &self.channels[channel].ends[side]
    }

    /// How messages name an end: its host, the other one, and the channel.
    pub(crate) fn name(&self, (channel, side): EndAt) -> String {
        let ends = &self.channels[channel].ends;
        format!("h{}~h{} #{channel}", ends[side].host, ends[1 - side].host)
    }

    /// Adds a line about an end to the trace, if there is one.
    pub(crate) fn note_at(&mut self, at: EndAt, line: impl FnOnce() -> String) {
        if self.trace.is_on() {
            let name = self.name(at);
            self.trace.note(self.now, || format!("{name}: {}", line()));
        }
    }

    /// Compares each end that something was done to with what its shell knows.
    fn look_at_touched(&mut self) {
        for end in std::mem::take(&mut self.touched) {
            self.look_at(end);
        }
    }

    fn look_at(&mut self, at: EndAt) {
        let end = self.end(at);
        let held = end.connection.held();
        let (waits, asked, offered) = (end.waits.len(), end.asked.len(), end.offered.len());
        let calls = end.asked.values().filter(|asked| matches!(asked, crate::channel::Asked::Call(_))).count();
        let closed = end.connection.is_closed();
        let wrong = if held.in_flight != waits {
            Some(format!("{} requests are in flight, {waits} are waited for", held.in_flight))
        } else if held.in_service - held.arriving != asked && !closed {
            let in_service = held.in_service - held.arriving;
            Some(format!("{in_service} requests are in service, {asked} came and have no answer"))
        } else if held.bindings != offered && !closed {
            Some(format!("{} bindings are held, {offered} were made and not given back", held.bindings))
        } else if calls + held.arriving == 0 && held.args_bytes != 0 {
            Some(format!("{} bytes of arguments are held for no call", held.args_bytes))
        } else if held.in_flight + held.arriving == 0 && held.timers != 0 {
            Some(format!("{} deadlines are watched for no request", held.timers))
        } else if held.in_flight + held.arriving == 0 && held.payloads != 0 {
            Some(format!("{} payloads come for no request", held.payloads))
        } else if held.queue_frames == 0 && held.queue_bytes != 0 {
            Some(format!("{} bytes wait in no frame", held.queue_bytes))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let name = self.name(at);
            self.promises.broken(format!("{name}: {wrong}"));
        }
    }

    /// All must be at rest: the network was sound for long, and nobody asked for anything.
    fn quiet(&mut self) {
        self.trace.note(self.now, || "all must be quiet".to_owned());
        for index in 0..self.calls.len() {
            if !self.calls[index].is_over() {
                self.promises.broken(format!("call {index} has no outcome"));
            }
        }
        if let Some(serve) = self.serves.keys().next() {
            self.promises.broken(format!("the call that is served as s{} has no end", serve.0));
        }
        for channel in 0..self.channels.len() {
            for side in 0..2 {
                self.look_at((channel, side));
                let end = self.end((channel, side));
                let held = end.connection.held();
                let busy = held.in_flight + held.in_service + held.payloads != 0 || held.queue_bytes > SIGNS_BYTES;
                let lingers = end.stage == Stage::Lingering;
                if end.stage != Stage::Gone && (busy || lingers || self.channels[channel].pipes[side].lost) {
                    let name = self.name((channel, side));
                    self.promises.broken(format!("{name} is not at rest: {held:?}"));
                }
                self.release_all((channel, side));
            }
            self.compare_credit(channel);
        }
        self.after(LEAVE_US, Due::Released);
    }

    /// What the one end may send is what the other takes.
    fn compare_credit(&mut self, channel: usize) {
        let Channel { ends, pipes, .. } = &self.channels[channel];
        let sound = |side: usize| ends[side].is_usable() && !pipes[side].lost;
        if !sound(0) || !sound(1) {
            return;
        }
        for side in 0..2 {
            let (credit, window) =
                (ends[side].connection.held().credit_bytes, ends[1 - side].connection.held().window_bytes);
            if credit != window {
                let name = self.name((channel, side));
                return self.promises.broken(format!("{name} may send {credit} bytes, of which {window} are taken"));
            }
        }
    }

    fn released(&mut self) {
        for channel in 0..self.channels.len() {
            for side in 0..2 {
                let bindings = self.end((channel, side)).connection.held().bindings;
                if bindings != 0 {
                    let name = self.name((channel, side));
                    self.promises.broken(format!("{name} holds {bindings} bindings that were given back"));
                }
                self.leave((channel, side));
            }
        }
        self.after(LEAVE_US, Due::Gone);
    }

    fn gone(&mut self) {
        for channel in 0..self.channels.len() {
            for side in 0..2 {
                let end = self.end((channel, side));
                let held = end.connection.held();
                if end.stage != Stage::Gone
                    || held != neorpc::Held::default()
                    || end.connection.poll_timeout().is_some()
                {
                    let (name, stage) = (self.name((channel, side)), end.stage);
                    self.promises.broken(format!("{name} was to go and is {stage:?}: {held:?}"));
                }
            }
        }
    }
}
