//! Spans of links and calls, and the trace that goes on below them.
//!
//! With nobody subscribed to them a span is a look at one number, and calls of neighbours that are made in place have none
//! at all.

use std::time::Instant;

use isorun_core::{CallContext, Failure, Trace, tracer};
use tracing::Span;
use tracing::field::Empty;

/// What a call goes to, as its span names it.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) instance: &'a str,
    pub(crate) interface: Option<&'a str>,
    pub(crate) function: &'a str,
    /// Where the instance is: `in this process`, `at tcp://127.0.0.1:7000`.
    pub(crate) peer: &'a str,
}

/// Whether anybody wants to know of calls.
pub(crate) fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

/// The target of calls' spans.
const TARGET: &str = "isorun::call";

/// The span of a call, which says how it ended: cancelled, if nothing else was said.
pub(crate) struct CallSpan(Span);

impl CallSpan {
    /// The span of a call that belongs to the trace in `cx`; the calls below it belong to the span.
    pub(crate) fn new(to: Target<'_>, cx: &mut CallContext) -> Self {
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

    pub(crate) fn span(&self) -> Span {
        self.0.clone()
    }

    /// Notes how the call ended, and what it cost.
    pub(crate) fn tell(mut self, failure: Option<&Failure>, fuel_used: u64) {
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
