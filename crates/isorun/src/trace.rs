//! One trace through many hosts: the spans of this process, as OpenTelemetry has them.

use std::any::Any;

use isorun_core::{Trace, Tracer, set_tracer};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, trace};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

/// A layer that makes OpenTelemetry spans of those that calls have, with traces that go on in other hosts.
///
/// The spans are `call`, `serve`, `link` and `bind`, at level `INFO`, with targets below `isorun`. `tracer` decides
/// which traces are recorded and where they go: one of the SDK's providers made it. A trace that came with a call goes on
/// here, and with the calls that are made below it; that it is *not* recorded is told on too.
///
/// The layer is an ordinary one of `tracing-subscriber`; install it once, for the whole process.
///
/// ```
/// use opentelemetry::trace::TracerProvider;
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use tracing_subscriber::filter::LevelFilter;
/// use tracing_subscriber::layer::{Layer, SubscriberExt};
///
/// // A provider with an exporter of one's own; feature `otlp` has one that the `OTEL_*` variables describe.
/// let provider = SdkTracerProvider::builder().build();
/// let layer = isorun::trace_layer(provider.tracer("isorun")).with_filter(LevelFilter::INFO);
/// let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
/// // .. run, and at the end:
/// provider.shutdown().unwrap();
/// ```
pub fn trace_layer<S, T>(tracer: T) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    T: trace::Tracer + Send + Sync + 'static,
    T::Span: Send + Sync,
{
    set_tracer(&Bridge);
    tracing_opentelemetry::layer().with_tracer(tracer)
}

/// Ties spans to traces by way of [`trace_layer`]'s layer, wherever it is installed.
struct Bridge;

impl Tracer for Bridge {
    fn continue_trace(&self, span: &dyn Any, parent: Trace) -> Trace {
        let Some(span) = span.downcast_ref::<Span>() else { return parent };
        if !parent.is_none() {
            // Fails where no layer listens, and then the trace is handed on as it came.
            let _ = span.set_parent(Context::new().with_remote_span_context(remote(parent)));
        }
        let context = span.context();
        let span = context.span();
        let here = span.span_context();
        if here.is_valid() { told(here) } else { parent }
    }
}

/// Any span at all, for traces of which nobody records any: a context without one would not be valid.
const UNRECORDED: [u8; 8] = [1; 8];

fn remote(parent: Trace) -> SpanContext {
    let is_recorded = parent.span != [0; 8];
    let (span, flags) = match is_recorded {
        true => (parent.span, TraceFlags::SAMPLED),
        false => (UNRECORDED, TraceFlags::NOT_SAMPLED),
    };
    let (id, span) = (TraceId::from_bytes(parent.id), SpanId::from_bytes(span));
    SpanContext::new(id, span, flags, true, TraceState::NONE)
}

fn told(here: &SpanContext) -> Trace {
    let span = if here.is_sampled() { here.span_id().to_bytes() } else { [0; 8] };
    Trace { id: here.trace_id().to_bytes(), span }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_comes_back_as_it_went_and_so_does_that_nobody_records_it() {
        for span in [[7; 8], [0; 8]] {
            let trace = Trace { id: [5; 16], span };
            let remote = remote(trace);
            assert!(remote.is_valid() && remote.is_remote());
            assert_eq!(remote.is_sampled(), span == [7; 8]);
            assert_eq!(told(&remote), trace);
        }
    }

    #[test]
    fn what_is_no_span_of_a_subscriber_has_the_trace_that_came() {
        let parent = Trace { id: [5; 16], span: [7; 8] };
        assert_eq!(Bridge.continue_trace(&Span::none(), parent), parent);
        assert_eq!(Bridge.continue_trace(&"no span", parent), parent);
    }
}
