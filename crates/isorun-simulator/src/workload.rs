//! The simulator's own application: every kind of call and of service.

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use isorun_core::{BindRequest, CallFailed, Failure, Fault, FunctionIndex, Refusal, Reply};

use crate::application::{Application, CallId, HostId, Incoming, Outgoing, ServeId, Setup};
use crate::host::Host;

/// Largest payload, in bytes.
const PAYLOAD_BYTES_MAX: usize = 300_000;

/// The longest that the singleton has a call wait, in microseconds.
const LINE_US: u64 = 100_000;

/// Calls that wait for the singleton, at most.
const LINE_MAX: usize = 4;

/// Answers at once.
const ECHO: u32 = 0;
/// Answers after a while.
const WORK: u32 = 1;
/// One at a time; others wait in line, or are refused.
const SINGLE: u32 = 2;
/// Calls another host, which may call another.
const RELAY: u32 = 3;
/// Fails.
const TRAP: u32 = 4;
/// Declines.
const REFUSE: u32 = 5;

/// Instances that every host has, and one that none has.
const INSTANCES: [&str; 4] = ["kv", "app", "log", "nobody"];

/// What a call's arguments say.
struct Order {
    hops: u8,
    wait_us: u64,
    reply_bytes: usize,
}

const ORDER_BYTES: usize = 1 + 8 + 8;

impl Order {
    fn pack(&self, filler: Bytes) -> Bytes {
        let mut out = BytesMut::with_capacity(ORDER_BYTES + filler.len());
        out.put_u8(self.hops);
        out.put_u64(self.wait_us);
        out.put_u64(self.reply_bytes as u64);
        out.put(filler);
        out.freeze()
    }

    fn unpack(args: &Bytes) -> Self {
        let number = |from: usize| {
            let bytes = args.get(from..from + 8).and_then(|part| part.try_into().ok());
            u64::from_be_bytes(bytes.unwrap_or_default())
        };
        let hops = args.first().copied().unwrap_or_default();
        Self { hops, wait_us: number(1), reply_bytes: usize::try_from(number(9)).unwrap_or(0).min(PAYLOAD_BYTES_MAX) }
    }
}

/// What a timer is for.
enum Timer {
    Make,
    Finish(ServeId, usize),
    Cancel(CallId),
    SingleDone(ServeId, usize),
    LineOver(ServeId),
}

/// Makes calls of all kinds, and serves them.
pub(crate) struct Workload {
    setup: Setup,
    /// Mean time between two calls, in microseconds.
    pace_us: u64,
    timers: BTreeMap<u64, Timer>,
    next_timer: u64,
    /// The singleton serves somebody.
    busy: bool,
    line: VecDeque<(ServeId, Order)>,
    /// Calls that were made for calls that are served.
    relayed: BTreeMap<CallId, ServeId>,
}

impl Workload {
    pub(crate) fn new(setup: Setup) -> Self {
        let (timers, line, relayed) = (BTreeMap::new(), VecDeque::new(), BTreeMap::new());
        Self { setup, pace_us: 0, timers, next_timer: 0, busy: false, line, relayed }
    }

    fn wake(&mut self, host: &mut Host<'_>, us: u64, timer: Timer) {
        self.next_timer += 1;
        self.timers.insert(self.next_timer, timer);
        host.wake_after(us, self.next_timer);
    }

    fn make_some(&mut self, host: &mut Host<'_>) {
        if host.is_over() {
            return;
        }
        // Now and then many at once.
        let many = if host.random(8) == 0 { 1 + host.random(12) } else { 1 };
        for _ in 0..many {
            self.make(host);
        }
        let us = 1 + host.random(2 * self.pace_us * many);
        self.wake(host, us, Timer::Make);
    }

    fn make(&mut self, host: &mut Host<'_>) {
        let to = self.another(host);
        let instance = INSTANCES[if host.random(30) == 0 { 3 } else { host.random(3) as usize }];
        match host.random(40) {
            0 => {
                host.describe(to, instance, 500_000);
                return;
            }
            1 => return host.release(to, instance),
            _ => {}
        }
        let function = match host.random(20) {
            0..=5 => ECHO,
            6..=10 => WORK,
            11..=13 => SINGLE,
            14..=17 => RELAY,
            18 => TRAP,
            _ => REFUSE,
        };
        let hops = host.random(4) as u8;
        let wait_us = 1 << host.random(18);
        let order = Order { hops, wait_us, reply_bytes: some_bytes(host) };
        let time_us = (1 << (11 + host.random(11))) + host.random(1_000);
        let some = some_bytes(host);
        let call = Outgoing {
            to,
            instance: instance.to_owned(),
            function: FunctionIndex(function),
            time_us,
            args: order.pack(filler(host, some)),
            idempotent: host.random(3) == 0,
            within: None,
        };
        if let Some(id) = host.call(call)
            && host.random(8) == 0
        {
            let us = 1 << host.random(18);
            self.wake(host, us, Timer::Cancel(id));
        }
    }

    fn another(&self, host: &mut Host<'_>) -> HostId {
        let step = 1 + host.random(self.setup.hosts as u64 - 1) as usize;
        HostId((self.setup.host.0 + step) % self.setup.hosts)
    }

    fn relay(&mut self, host: &mut Host<'_>, call: &Incoming, order: &Order) {
        let function = if order.hops == 0 { WORK } else { RELAY };
        let next = Order { hops: order.hops.saturating_sub(1), ..*order };
        let to = self.another(host);
        let outgoing = Outgoing {
            to,
            instance: call.instance.clone(),
            function: FunctionIndex(function),
            time_us: if host.random(2) == 0 { u64::MAX } else { 1 + host.random(200_000) },
            args: next.pack(call.args.slice(ORDER_BYTES.min(call.args.len())..)),
            idempotent: host.random(3) == 0,
            within: Some(call.id),
        };
        match host.call(outgoing) {
            Some(made) => {
                self.relayed.insert(made, call.id);
            }
            None => host.answer(call.id, Err(trap("nobody to ask"))),
        }
    }

    /// The singleton takes the next one in line.
    fn next_in_line(&mut self, host: &mut Host<'_>) {
        self.busy = false;
        while let Some((call, order)) = self.line.pop_front() {
            if host.begin(call) {
                self.busy = true;
                return self.wake(host, order.wait_us, Timer::SingleDone(call, order.reply_bytes));
            }
        }
    }

    fn queue(&mut self, host: &mut Host<'_>, call: &Incoming, order: Order) {
        if self.line.len() >= LINE_MAX {
            return host.answer(call.id, Err(busy(call, 0)));
        }
        self.line.push_back((call.id, order));
        if self.busy {
            self.wake(host, LINE_US, Timer::LineOver(call.id));
        } else {
            self.next_in_line(host);
        }
    }
}

impl Application for Workload {
    fn start(&mut self, host: &mut Host<'_>) {
        self.pace_us = 50_000 << host.random(3);
        let us = host.random(20_000);
        self.wake(host, us, Timer::Make);
    }

    fn bind(&mut self, instance: &str, _: &BindRequest) -> Result<(), Failure> {
        if instance == INSTANCES[3] {
            return Err(Refusal::NoSuchInstance { instance: instance.to_owned() }.into());
        }
        Ok(())
    }

    fn describe(&mut self, instance: &str) -> Result<Bytes, Failure> {
        Ok(Bytes::copy_from_slice(instance.as_bytes()))
    }

    fn serve(&mut self, host: &mut Host<'_>, call: Incoming) {
        let order = Order::unpack(&call.args);
        match call.function.0 {
            ECHO => {
                let results = filler(host, order.reply_bytes);
                host.answer(call.id, Ok(Reply { results, fuel_used: 1 }));
            }
            WORK => {
                host.begin(call.id);
                self.wake(host, order.wait_us, Timer::Finish(call.id, order.reply_bytes));
            }
            SINGLE => self.queue(host, &call, order),
            RELAY => {
                host.begin(call.id);
                self.relay(host, &call, &order);
            }
            TRAP => host.answer(call.id, Err(trap("it was told to"))),
            _ => host.answer(call.id, Err(busy(&call, 1))),
        }
    }

    fn returned(&mut self, host: &mut Host<'_>, call: CallId, result: Result<Reply, CallFailed>) {
        if let Some(serve) = self.relayed.remove(&call) {
            host.answer(serve, result.map_err(|failed| trap(&failed.to_string())));
        }
    }

    fn stopped(&mut self, _: &mut Host<'_>, call: ServeId) {
        // What the singleton runs, it runs to its end; what waits in line does not.
        self.line.retain(|(waiting, _)| *waiting != call);
        self.relayed.retain(|_, serve| *serve != call);
    }

    fn woken(&mut self, host: &mut Host<'_>, token: u64) {
        match self.timers.remove(&token) {
            Some(Timer::Make) => self.make_some(host),
            Some(Timer::Cancel(call)) => host.cancel(call),
            Some(Timer::Finish(call, size)) => {
                let results = filler(host, size);
                host.answer(call, Ok(Reply { results, fuel_used: 2 }));
            }
            Some(Timer::SingleDone(call, size)) => {
                let results = filler(host, size);
                host.answer(call, Ok(Reply { results, fuel_used: 3 }));
                self.next_in_line(host);
            }
            Some(Timer::LineOver(call)) if self.line.iter().any(|(waiting, _)| *waiting == call) => {
                self.line.retain(|(waiting, _)| *waiting != call);
                let instance = INSTANCES[0].to_owned();
                let waited_ms = LINE_US / 1000;
                host.answer(call, Err(Failure::from(Refusal::Busy { instance, waited_ms }).into()));
            }
            Some(Timer::LineOver(_)) | None => {}
        }
    }
}

fn busy(call: &Incoming, waited_ms: u64) -> CallFailed {
    Failure::from(Refusal::Busy { instance: call.instance.clone(), waited_ms }).into()
}

fn trap(message: &str) -> CallFailed {
    Failure::from(Fault::Trapped { message: message.to_owned() }).into()
}

/// A size: mostly small, now and then large.
fn some_bytes(host: &mut Host<'_>) -> usize {
    let max = match host.random(40) {
        0..=27 => 64,
        28..=35 => 4 << 10,
        36..=38 => 64 << 10,
        _ => PAYLOAD_BYTES_MAX as u64,
    };
    host.random(max + 1) as usize
}

/// Bytes that hardly any other payload has.
fn filler(host: &mut Host<'_>, size: usize) -> Bytes {
    static BYTES: OnceLock<Bytes> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let mut rng = fastrand::Rng::with_seed(1);
        (0..2 * PAYLOAD_BYTES_MAX).map(|_| rng.u8(..)).collect::<Vec<u8>>().into()
    });
    let from = host.random(PAYLOAD_BYTES_MAX as u64) as usize;
    bytes.slice(from..from + size.min(PAYLOAD_BYTES_MAX))
}
