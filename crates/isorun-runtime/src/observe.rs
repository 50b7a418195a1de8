//! Spans of links and calls, and the trace that goes on below them.
//!
//! With nobody subscribed to them a span is a look at one number, and calls of neighbours that are made in place have none
//! at all.

use std::time::Instant;

use isorun_core::{CallContext, Failure, Trace, tracer};
use tracing::Span;
use tracing::field::Empty;

/// What a call goes to, as its span names it.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// The instance's name.
    pub instance: &'a str,
    /// The interface, or `None` for a function at the root.
    pub interface: Option<&'a str>,
    /// The function's name.
    pub function: &'a str,
    /// Where the instance is: `in this process`, `at tcp://127.0.0.1:7000`.
    pub peer: &'a str,
}

/// Whether anybody wants to know of calls.
pub(crate) fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

/// The target of calls' spans.
const TARGET: &str = "isorun::call";

/// The span of a call, for whoever makes one beside the links and instances of this crate.
///
/// It says how the call ended: cancelled, if it is dropped before anything was [told](Self::tell). Where nobody asks for
/// spans it is none, and costs a look at one number.
#[derive(Debug)]
pub struct CallSpan(Span);

impl CallSpan {
    /// The span of a call that belongs to the trace in `cx`, or to the current span where there is none; in `cx` is then
    /// the trace of the calls below it.
    #[must_use]
    pub fn new(to: Called<'_>, cx: &mut CallContext) -> Self {
        let left = cx.deadline.saturating_duration_since(Instant::now());
        let span = tracing::info_span!(
            target: TARGET,
            "call",
            otel.kind = "client",
            otel.status_code = Empty,
            instance = to.instance,
            interface = to.interface,
            function = to.function,
            peer = to.peer,
            deadline_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            outcome = Empty,
            fuel_used = Empty,
        );
        cx.trace = continued(&span, cx.trace);
        Self(span)
    }

    /// The span itself, to run the call in.
    #[must_use]
    pub fn span(&self) -> Span {
        self.0.clone()
    }

    /// Notes how the call ended, with results or a failure, and what fuel it cost.
    pub fn tell(mut self, failure: Option<&Failure>, fuel_used: u64) {
        let span = std::mem::replace(&mut self.0, Span::none());
        span.record("fuel_used", fuel_used);
        ended(&span, failure.map_or(RESULTS, Failure::group));
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        ended(&self.0, Failure::Cancelled.group());
    }
}

/// The span of a link that is being made.
pub(crate) fn link_span(instance: &str, interface: Option<&str>, peer: &str) -> Span {
    tracing::info_span!(
        target: "isorun::link",
        "link",
        otel.status_code = Empty,
        instance,
        interface,
        peer,
        outcome = Empty,
    )
}

/// Notes how a link came out.
pub(crate) fn linked<T>(span: &Span, result: &Result<T, Failure>) {
    ended(span, result.as_ref().map_or_else(Failure::group, |_| RESULTS));
}

/// What spans call the outcome that is no failure.
const RESULTS: &str = "results";

fn ended(span: &Span, outcome: &'static str) {
    if !span.is_disabled() {
        span.record("outcome", outcome);
        span.record("otel.status_code", if outcome == RESULTS { "OK" } else { "ERROR" });
    }
}

/// Puts a span below the trace that came with its call; the trace of the calls below it.
fn continued(span: &Span, parent: Trace) -> Trace {
    if span.is_disabled() {
        return parent;
    }
    tracer().map_or(parent, |tracer| tracer.continue_trace(span, parent))
}
