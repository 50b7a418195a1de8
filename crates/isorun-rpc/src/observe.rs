//! What an operator sees of calls and connections: numbers, and spans.
//!
//! Numbers go to the process's `metrics` recorder, by handles that are taken once for each link, instance and connection:
//! a call adds to them, and looks nothing up. A recorder that is installed later hears of what is made later. No label is
//! ever made of what a peer says, but for the names of instances that a directory knows, and of those only the first
//! [`NAMES_MAX`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use isorun_core::{BindRequest, CallContext, CallFailed, Failure, FunctionIndex, PeerIdentity, Reply, Trace, tracer};
use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use parking_lot::Mutex;
use tracing::Span;
use tracing::field::Empty;

/// Names of served instances that have numbers of their own; what is served under others is counted together, as `other`.
const NAMES_MAX: usize = 1024;

/// Functions of a binding whose names are kept for spans; others show their number.
const FUNCTIONS_NAMED_MAX: usize = 64;

/// How a call can end, as numbers and spans name it: with results, or a group of failures.
const OUTCOMES: [&str; 7] = ["results", "not-sent", "unknown", "refused", "failed", "deadline", "cancelled"];
const CANCELLED: &str = "cancelled";

/// How a call ended.
fn outcome(result: &Result<Reply, CallFailed>) -> &'static str {
    result.as_ref().map_or_else(|failed| failed.failure.group(), |_| "results")
}

/// The numbers of all calls one way, to or of one instance.
pub(crate) struct CallMeter {
    /// What tells them from those of others.
    labels: Vec<Label>,
    ended: [Counter; OUTCOMES.len()],
    seconds: Histogram,
    in_flight: Gauge,
    args: Counter,
    results: Counter,
    fuel: Counter,
}

impl CallMeter {
    /// Calls of this process to an instance at the other end.
    pub(crate) fn out(place: Option<&str>, instance: &str) -> Arc<Self> {
        // Connections that came in are as many as peers like, under addresses of their choice.
        let place = place.unwrap_or("accepted").to_owned();
        let labels = [("direction", "out".to_owned()), ("link", place), ("instance", instance.to_owned())];
        Arc::new(Self::new(labels.iter().map(Label::from).collect()))
    }

    /// Calls of peers to an instance here.
    fn served(instance: &str) -> Arc<Self> {
        static KNOWN: LazyLock<Mutex<HashMap<String, Arc<CallMeter>>>> = LazyLock::new(Mutex::default);
        let mut known = KNOWN.lock();
        let name = if known.len() < NAMES_MAX || known.contains_key(instance) { instance } else { OTHER };
        if let Some(meter) = known.get(name) {
            return Arc::clone(meter);
        }
        let labels = [("direction", "in".to_owned()), ("instance", name.to_owned())];
        let meter = Arc::new(Self::new(labels.iter().map(Label::from).collect()));
        known.insert(name.to_owned(), Arc::clone(&meter));
        meter
    }

    fn new(labels: Vec<Label>) -> Self {
        let with = |key: &'static str, value: &'static str| {
            labels.iter().cloned().chain([Label::from_static_parts(key, value)]).collect::<Vec<_>>()
        };
        Self {
            ended: OUTCOMES.map(|outcome| counter!("isorun_calls_total", with("outcome", outcome))),
            seconds: histogram!("isorun_call_seconds", labels.clone()),
            in_flight: gauge!("isorun_calls_in_flight", labels.clone()),
            args: counter!("isorun_call_argument_bytes_total", labels.clone()),
            results: counter!("isorun_call_result_bytes_total", labels.clone()),
            fuel: counter!("isorun_call_fuel_total", labels.clone()),
            labels,
        }
    }

    /// Notes that a call begins.
    pub(crate) fn begin(self: &Arc<Self>, args_bytes: usize) -> Underway {
        self.in_flight.increment(1);
        self.args.increment(args_bytes as u64);
        Underway { meter: Arc::clone(self), started: Instant::now(), outcome: CANCELLED }
    }

    fn fail(&self, failure: &Failure) {
        let kind = Label::from_static_parts("kind", failure.kind());
        let labels: Vec<_> = self.labels.iter().cloned().chain([kind]).collect();
        counter!("isorun_call_failures_total", labels).increment(1);
    }
}

/// Stands for all instances that have no numbers of their own.
const OTHER: &str = "other";

/// A call that is being counted; dropped before its end, it was cancelled.
pub(crate) struct Underway {
    meter: Arc<CallMeter>,
    pub(crate) started: Instant,
    outcome: &'static str,
}

impl Underway {
    /// Notes how the call ended.
    pub(crate) fn end(mut self, result: &Result<Reply, CallFailed>) {
        self.outcome = outcome(result);
        match result {
            Ok(Reply { results, fuel_used }) => {
                self.meter.results.increment(results.len() as u64);
                self.meter.fuel.increment(*fuel_used);
            }
            Err(CallFailed { failure, fuel_used }) => {
                self.meter.fail(failure);
                self.meter.fuel.increment(*fuel_used);
            }
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.meter.in_flight.decrement(1);
        self.meter.seconds.record(self.started.elapsed());
        if let Some(at) = OUTCOMES.iter().position(|outcome| *outcome == self.outcome) {
            self.meter.ended[at].increment(1);
        }
    }
}

/// What a peer has bound here, as an operator sees it.
pub(crate) struct Offered {
    meter: Arc<CallMeter>,
    instance: String,
    interface: Option<String>,
    functions: Vec<String>,
}

impl Offered {
    /// For an instance that was found, and functions that it has.
    pub(crate) fn new(instance: String, want: BindRequest) -> Arc<Self> {
        let meter = CallMeter::served(&instance);
        let functions = want.functions.into_iter().take(FUNCTIONS_NAMED_MAX).map(|(name, _)| name).collect();
        Arc::new(Self { meter, instance, interface: want.interface, functions })
    }

    fn function(&self, function: FunctionIndex) -> &str {
        self.functions.get(function.0 as usize).map_or("", String::as_str)
    }
}

/// A call of a peer that is being served.
pub(crate) struct Served {
    pub(crate) underway: Underway,
    span: CallSpan,
}

impl Served {
    /// Notes that a call begins; the calls below it belong to its span.
    pub(crate) fn begin(
        offered: &Offered,
        peer: &PeerIdentity,
        function: FunctionIndex,
        cx: &mut CallContext,
        args_bytes: usize,
    ) -> Self {
        let span = tracing::info_span!(
            target: "isorun::serve",
            parent: None,
            "serve",
            otel.kind = "server",
            otel.status_code = Empty,
            instance = offered.instance,
            interface = offered.interface.as_deref(),
            function = offered.function(function),
            number = function.0,
            %peer,
            deadline_ms = ms_left(cx),
            outcome = Empty,
            fuel_used = Empty,
        );
        cx.trace = continued(&span, cx.trace);
        Self { underway: offered.meter.begin(args_bytes), span: CallSpan(span) }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span.0
    }

    /// Notes how the call ended.
    pub(crate) fn end(mut self, result: &Result<Reply, CallFailed>) {
        self.span.tell(outcome(result), result.as_ref().map_or_else(|e| e.fuel_used, |reply| reply.fuel_used));
        self.underway.end(result);
    }
}

/// A span that says how its call ended: cancelled, unless something else was said.
struct CallSpan(Span);

impl CallSpan {
    fn tell(&mut self, outcome: &'static str, fuel_used: u64) {
        let span = std::mem::replace(&mut self.0, Span::none());
        span.record("fuel_used", fuel_used);
        ended(&span, outcome);
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        ended(&self.0, CANCELLED);
    }
}

fn ended(span: &Span, outcome: &'static str) {
    if !span.is_disabled() {
        span.record("outcome", outcome);
        span.record("otel.status_code", if outcome == "results" { "OK" } else { "ERROR" });
    }
}

/// The span of a bind at the other end.
pub(crate) fn bind_span(instance: &str, want: &BindRequest, peer: &str) -> Span {
    tracing::info_span!(
        target: "isorun::bind",
        "bind",
        otel.kind = "client",
        otel.status_code = Empty,
        instance,
        interface = want.interface.as_deref(),
        peer,
        outcome = Empty,
    )
}

/// Notes how a bind ended, in its span if there is one, and among all that go this way.
pub(crate) fn bound<T>(span: &Span, direction: &'static str, result: &Result<T, Failure>) {
    let outcome = result.as_ref().map_or_else(Failure::group, |_| "results");
    ended(span, outcome);
    counter!("isorun_binds_total", "direction" => direction, "outcome" => outcome).increment(1);
}

/// Puts a span below the trace that came with its call; the trace of the calls below it.
fn continued(span: &Span, parent: Trace) -> Trace {
    if span.is_disabled() {
        return parent;
    }
    tracer().map_or(parent, |tracer| tracer.continue_trace(span, parent))
}

fn ms_left(cx: &CallContext) -> u64 {
    let left = cx.deadline.saturating_duration_since(crate::peer::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// The numbers of one connection, which is counted by its state as long as this lives.
pub(crate) struct ConnectionMeter {
    side: &'static str,
    state: AtomicU8,
    received: Counter,
    sent: Counter,
}

const OPENING: u8 = 0;
const OPEN: u8 = 1;
const LEAVING: u8 = 2;
const CLOSED: u8 = 3;
const STATES: [&str; 3] = ["opening", "open", "leaving"];

impl ConnectionMeter {
    /// For a connection that this end opens.
    pub(crate) fn dialled(address: &str) -> Self {
        Self::new("dialled", address)
    }

    /// For a connection that came in.
    pub(crate) fn accepted() -> Self {
        Self::new("accepted", "accepted")
    }

    fn new(side: &'static str, link: &str) -> Self {
        let meter = Self {
            side,
            state: AtomicU8::new(OPENING),
            received: counter!("isorun_connection_received_bytes_total", "link" => link.to_owned()),
            sent: counter!("isorun_connection_sent_bytes_total", "link" => link.to_owned()),
        };
        meter.gauge(OPENING).increment(1);
        meter
    }

    /// Both ends have said hello.
    pub(crate) fn opened(&self) {
        if self.turn(OPEN) {
            counter!("isorun_connections_opened_total", "side" => self.side).increment(1);
        }
    }

    /// One end takes no new requests.
    pub(crate) fn leaves(&self) {
        self.turn(LEAVING);
    }

    /// The connection went; one that never opened is counted as refused.
    pub(crate) fn closed(&self) {
        let opening = self.state.load(Ordering::Relaxed) == OPENING;
        if self.turn(CLOSED) && opening {
            refused(self.side, "no-hello");
        }
    }

    /// A frame came.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.increment(bytes as u64);
    }

    /// A frame was handed to the channel.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.increment(bytes as u64);
    }

    /// Goes on to a later state; whether it was an earlier one.
    fn turn(&self, to: u8) -> bool {
        let from = self.state.fetch_max(to, Ordering::Relaxed);
        if from >= to {
            return false;
        }
        self.gauge(from).decrement(1);
        if to != CLOSED {
            self.gauge(to).increment(1);
        }
        true
    }

    fn gauge(&self, state: u8) -> Gauge {
        let state = STATES.get(usize::from(state)).copied().unwrap_or("open");
        gauge!("isorun_connections", "side" => self.side, "state" => state)
    }
}

impl Drop for ConnectionMeter {
    fn drop(&mut self) {
        self.closed();
    }
}

/// Counts a connection that did not come about.
pub(crate) fn refused(side: &'static str, reason: &'static str) {
    counter!("isorun_connections_refused_total", "side" => side, "reason" => reason).increment(1);
}
