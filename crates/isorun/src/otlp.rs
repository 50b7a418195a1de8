//! Traces to a collector, as the standard `OTEL_*` variables say.

use std::env;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::registry::LookupSpan;

use crate::trace_layer;

/// How long the last spans may take to leave, in milliseconds.
const FLUSH_MS_MAX: u64 = 5_000;

/// What goes by itself where nobody gave it a name.
const SERVICE_NAME: &str = "isorun";

/// Sends the spans of this process to an OpenTelemetry collector, over gRPC.
///
/// ```no_run
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use isorun::Otlp;
/// use tracing_subscriber::layer::SubscriberExt;
/// use tracing_subscriber::util::SubscriberInitExt;
///
/// // OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_SERVICE_NAME=kv
/// let otlp = Otlp::from_env()?;
/// tracing_subscriber::registry().with(otlp.as_ref().map(Otlp::layer)).init();
/// // .. run, and at the end:
/// if let Some(otlp) = otlp {
///     otlp.shutdown()?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Otlp {
    provider: SdkTracerProvider,
}

/// Why spans can't be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// `OTEL_TRACES_EXPORTER` names something that this is not.
    #[error("OTEL_TRACES_EXPORTER is `{name}`: there are `otlp` and `none`")]
    UnknownExporter {
        /// Its value.
        name: String,
    },
    /// One of the other variables has a value that means nothing.
    #[error("the OTEL_EXPORTER_OTLP_* variables")]
    Exporter(#[from] ExporterBuildError),
    /// The last spans did not leave.
    #[error("the last spans did not leave")]
    Shutdown(#[from] OTelSdkError),
}

impl Otlp {
    /// Reads the variables; `None` where they ask for nothing to be sent.
    ///
    /// They do where `OTEL_TRACES_EXPORTER` is `otlp`, or one of `OTEL_EXPORTER_OTLP_ENDPOINT` and
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set; unless `OTEL_SDK_DISABLED` is `true`. Nothing is sent yet, and a
    /// collector that is not there is no error. Needs a tokio runtime, with its I/O and timer enabled and a thread of its own.
    ///
    /// # Errors
    /// [`OtlpError::UnknownExporter`] and [`OtlpError::Exporter`].
    pub fn from_env() -> Result<Option<Self>, OtlpError> {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let is_disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let has_place = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
            .into_iter()
            .any(|name| set(name).is_some());
        let wanted = match set("OTEL_TRACES_EXPORTER").as_deref() {
            None => has_place,
            Some("otlp") => true,
            Some("none") => false,
            Some(name) => return Err(OtlpError::UnknownExporter { name: name.into() }),
        };
        if is_disabled || !wanted {
            return Ok(None);
        }
        let attributes = set("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let is_named = set("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=");
        let resource = Resource::builder();
        let resource = if is_named { resource } else { resource.with_service_name(SERVICE_NAME) };
        let exporter = SpanExporter::builder().with_tonic().build()?;
        let provider = SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter);
        Ok(Some(Self { provider: provider.build() }))
    }

    /// The layer that makes the spans; see [`trace_layer`].
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        trace_layer(self.provider.tracer(SERVICE_NAME)).with_filter(LevelFilter::INFO)
    }

    /// Sends what is left, and blocks the thread until it has gone, for five seconds at most.
    ///
    /// Not on a thread that the tokio runtime needs for it.
    ///
    /// # Errors
    /// [`OtlpError::Shutdown`]: the collector was not there, say.
    pub fn shutdown(self) -> Result<(), OtlpError> {
        Ok(self.provider.shutdown_with_timeout(Duration::from_millis(FLUSH_MS_MAX))?)
    }
}
