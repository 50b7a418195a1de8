//! One trace through several hosts, as an exporter of OpenTelemetry's gets it.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use isorun::{
    CallContext, CallOptions, CallTarget, InstanceHandle, Listener, Runtime, TcpTransport, TcpTransportListener, Trace,
    Val, call_once,
};
use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use parking_lot::Mutex;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// Calls `add` for whoever calls its `run`.
const MAIN: &str = r#"(component
    (import "add" (func $add (param "n" u32) (result u64)))
    (core func $add (canon lower (func $add)))
    (core module $M (import "" "add" (func $add (param i32) (result i64)))
      (func (export "run") (param i32) (result i64) (call $add (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "add" (func $add))))))
    (func (export "run") (param "n" u32) (result u64) (canon lift (core func $m "run"))))"#;

/// Keeps what it is given.
#[derive(Debug, Clone, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().extend(batch);
        Ok(())
    }
}

impl Exported {
    /// The spans that this test's thread ends from now on, if `sampler` wants them.
    fn here(sampler: Sampler) -> (Self, DefaultGuard) {
        let exported = Self::default();
        let provider = SdkTracerProvider::builder().with_sampler(sampler).with_simple_exporter(exported.clone());
        let layer = isorun::trace_layer(provider.build().tracer("isorun")).with_filter(LevelFilter::INFO);
        (exported, tracing::subscriber::set_default(tracing_subscriber::registry().with(layer)))
    }

    /// The spans of these names, once there are as many.
    async fn named(&self, names: &[&str], count: usize) -> Vec<SpanData> {
        bounded(async {
            loop {
                let spans =
                    self.0.lock().iter().filter(|span| names.contains(&&*span.name)).cloned().collect::<Vec<_>>();
                if spans.len() >= count {
                    return spans;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map_or_else(|| panic!("no {key} in {span:?}"), |attribute| attribute.value.to_string())
}

/// Serves what `runtime` has over TCP.
async fn served(runtime: &Runtime) -> Arc<TcpTransport> {
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::new(&listener.address()).unwrap());
    let runtime = runtime.clone();
    tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
    transport
}

/// Three hosts in a row: `main` calls `app`, which calls `counter`.
async fn three() -> (InstanceHandle, [Runtime; 3]) {
    let hosts = [(); 3].map(|()| Runtime::new().unwrap());
    let [a, b, c] = &hosts;
    c.builder(&load(c, "counter")).register_as("counter").instantiate().await.unwrap();
    let app = b.builder(&load(b, "counter-app")).link_remote("*", served(c).await, "counter");
    app.register_as("app").instantiate().await.unwrap();
    let main = a.load(wat::parse_str(MAIN).unwrap()).unwrap();
    let main = a.builder(&main).name("main").link_remote("add", served(b).await, "app").instantiate().await.unwrap();
    (main, hosts)
}

#[tokio::test]
async fn one_trace_goes_through_three_hosts() {
    let (exported, _here) = Exported::here(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    let (main, _hosts) = three().await;
    assert_eq!(bounded(main.exec("run", &[Val::U32(5)])).await.unwrap(), [Val::U64(5)]);

    let spans = exported.named(&["call", "serve"], 5).await;
    assert_eq!(spans.len(), 5);
    let trace = spans[0].span_context.trace_id();
    assert!(spans.iter().all(|span| span.span_context.trace_id() == trace));
    let below: HashMap<_, _> = spans.iter().map(|span| (span.parent_span_id, span)).collect();
    // From the root down, each the parent of the next.
    let mut span = spans.iter().find(|span| attribute(span, "instance") == "main").unwrap();
    let mut seen = Vec::new();
    loop {
        seen.push((span.name.to_string(), attribute(span, "instance"), attribute(span, "function")));
        assert_eq!(attribute(span, "outcome"), "results");
        assert_eq!(span.status, Status::Ok);
        assert!(attribute(span, "fuel_used").parse::<u64>().unwrap() > 0);
        assert!(attribute(span, "deadline_ms").parse::<u64>().unwrap() <= 30_000);
        match below.get(&span.span_context.span_id()) {
            Some(next) => span = next,
            None => break,
        }
    }
    let expected = [
        ("call", "main", "run"),
        ("call", "app", "add"),
        ("serve", "app", "add"),
        ("call", "counter", "add"),
        ("serve", "counter", "add"),
    ];
    assert_eq!(seen, expected.map(|(name, instance, function)| (name.into(), instance.into(), function.into())));
    assert_eq!(attribute(span, "interface"), "test:counter/counter@0.1.0");
    // Links were made before, each with a bind at the other end.
    assert_eq!(exported.named(&["link", "bind"], 4).await.len(), 4);
}

#[tokio::test]
async fn a_call_by_description_is_where_a_trace_begins() {
    let (exported, _here) = Exported::here(Sampler::AlwaysOn);
    let runtime = Runtime::new().unwrap();
    runtime.builder(&load(&runtime, "counter")).register_as("counter").instantiate().await.unwrap();
    let counter = Runtime::new().unwrap().remote_instance(served(&runtime).await, "counter");
    let get = counter.exec("test:counter/counter#get", &[], CallOptions::default());
    assert_eq!(bounded(get).await.unwrap(), [Val::U64(0)]);
    let spans = exported.named(&["call", "serve"], 2).await;
    let [call, serve] = ["call", "serve"].map(|name| spans.iter().find(|span| span.name == name).unwrap());
    assert_eq!(serve.parent_span_id, call.span_context.span_id());
    assert_eq!(attribute(call, "outcome"), "results");
    assert!(attribute(call, "peer").starts_with("tcp://127.0.0.1:"));
}

#[tokio::test]
async fn a_neighbours_call_is_a_span_below_its_callers() {
    let (exported, _here) = Exported::here(Sampler::AlwaysOn);
    let runtime = Runtime::new().unwrap();
    let counter = leaf(&runtime, "counter").await;
    let app = runtime.builder(&load(&runtime, "counter-app")).name("app").link_local("*", &counter);
    let app = app.instantiate().await.unwrap();
    for total in 1..=3 {
        assert_eq!(app.exec("add", &[Val::U32(1)]).await.unwrap(), [Val::U64(total)]);
    }
    let spans = exported.named(&["call"], 6).await;
    for pair in spans.chunks(2) {
        let [inner, outer] = pair else { panic!("{} spans", spans.len()) };
        assert_eq!([attribute(inner, "instance"), attribute(outer, "instance")], ["counter", "app"]);
        assert_eq!(inner.parent_span_id, outer.span_context.span_id());
    }
}

#[tokio::test]
async fn a_span_says_how_its_call_ended() {
    let (exported, _here) = Exported::here(Sampler::AlwaysOn);
    let runtime = Runtime::new().unwrap();
    let (trap, spin) = (leaf(&runtime, "trap").await, leaf(&runtime, "spin").await);
    let (trapping, spinning) = (trap.functions()[0].clone(), spin.functions()[0].clone());
    trap.exec(&trapping, &[]).await.unwrap_err();
    let spinning = spin.exec_with(&spinning, &[], CallOptions { deadline_ms: 20 });
    spinning.await.unwrap_err();
    let spans = exported.named(&["call"], 2).await;
    for (span, outcome) in spans.iter().zip(["failed", "deadline"]) {
        assert_eq!(attribute(span, "outcome"), outcome);
        assert!(matches!(span.status, Status::Error { .. }), "{:?}", span.status);
    }
}

#[tokio::test]
async fn a_trace_that_came_goes_on_and_one_that_nobody_records_is_recorded_nowhere() {
    let (exported, _here) = Exported::here(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    let runtime = Runtime::new().unwrap();
    let counter = runtime.builder(&load(&runtime, "counter")).register_as("counter").instantiate().await.unwrap();
    let transport = served(&runtime).await;
    let hash = counter.function("test:counter/counter@0.1.0#get").unwrap().0.hash;
    // The last one comes from a caller that has no trace: it begins one here.
    let traces = [([1; 16], [0; 8]), ([2; 16], [7; 8]), ([0; 16], [0; 8])];
    for (id, span) in traces {
        let interface = Some("test:counter/counter@0.1.0".to_owned());
        let target = CallTarget { instance: "counter".into(), interface, function: "get".into(), hash };
        let mut cx = CallContext::until(Instant::now() + Duration::from_secs(30));
        cx.trace = Trace { id, span };
        let mut args = isorun::Encoder::new();
        args.struct_begin().unwrap();
        args.struct_end().unwrap();
        let args = args.finish().unwrap();
        call_once(&*transport, target, &cx, args.into()).await.unwrap();
    }
    let spans = exported.named(&["serve"], 2).await;
    let [recorded, begun] = &spans[..] else { panic!("{} spans", spans.len()) };
    assert_eq!(recorded.span_context.trace_id().to_bytes(), [2; 16]);
    assert_eq!(recorded.parent_span_id.to_bytes(), [7; 8]);
    assert!(recorded.parent_span_is_remote);
    assert_eq!(begun.parent_span_id.to_bytes(), [0; 8]);
}
