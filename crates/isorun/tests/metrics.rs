//! What is counted of calls and connections, and what peers can't make of it.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use isorun::{
    BindRequest, Bound, BoxFuture, Bytes, CallContext, CallFailed, CallTarget, Callee, Directory, Failure, Fault,
    FunctionIndex, LocalChannelTransport, Metrics, PeerIdentity, Refusal, Reply, Runtime, Transport, call_once,
};
use isorun_rpc::{Link, PeerOptions, ServeOptions, serve};
use tokio::task::JoinHandle;

/// The recorder is one for the process, and its tests are in one process with some runners: each has names of its own.
static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics::install().unwrap());

/// Any instance of a name that begins with `any`; what its functions do, by their numbers.
struct Any;

const ANSWERS: u32 = 0;
const REFUSES: u32 = 1;
const TRAPS: u32 = 2;
const HANGS: u32 = 3;

impl Directory for Any {
    fn find(&self, instance: &str, _: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        if instance.starts_with("any") {
            return Ok(Arc::new(Self));
        }
        Err(Refusal::NoSuchInstance { instance: instance.into() }.into())
    }
}

impl Callee for Any {
    fn bind<'a>(&'a self, _: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async { Ok(Arc::new(Self) as Arc<dyn Bound>) })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async { Ok(Bytes::new()) })
    }
}

impl Bound for Any {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        _: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            match function.0 {
                ANSWERS => Ok(Reply { results: args, fuel_used: 10 }),
                REFUSES => Err(Failure::from(Refusal::Busy { instance: "any".into(), waited_ms: 0 }).into()),
                TRAPS => Err(CallFailed {
                    failure: Fault::Trapped { message: "told by a stranger".into() }.into(),
                    fuel_used: 5,
                }),
                _ => pending().await,
            }
        })
    }
}

/// Serves anything over a channel of its own.
fn served() -> (Arc<dyn Transport>, JoinHandle<()>) {
    LazyLock::force(&METRICS);
    let (near, far) = LocalChannelTransport::pair();
    (Arc::new(near), tokio::spawn(serve(Box::new(far), Arc::new(Any), ServeOptions::default())))
}

fn want() -> BindRequest {
    BindRequest { interface: None, functions: (0..4).map(|n| (format!("f{n}"), [0; 32])).collect() }
}

fn within(ms: u64) -> CallContext {
    CallContext::until(Instant::now() + Duration::from_millis(ms))
}

/// All numbers whose series has these words, by the series.
fn numbers(words: &[&str]) -> BTreeMap<String, f64> {
    let text = METRICS.render(&Runtime::new().unwrap());
    let lines = text.lines().filter(|line| !line.starts_with('#') && words.iter().all(|words| line.contains(words)));
    let split = |line: &str| line.rsplit_once(' ').map(|(series, value)| (series.to_owned(), value.parse().unwrap()));
    lines.filter_map(split).collect()
}

fn number(words: &[&str]) -> f64 {
    numbers(words).values().sum()
}

async fn bounded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("the test hangs")
}

#[tokio::test]
async fn each_outcome_is_counted_once_at_both_ends() {
    let (transport, server) = served();
    let bound = Link::new(transport, PeerOptions::default()).instance("any-outcome").bind_lazy(want());
    let call = async |function, ms| {
        let result = bounded(bound.call(FunctionIndex(function), &within(ms), Bytes::from_static(&[7; 100]))).await;
        result.map_or_else(|failed| failed.failure.group(), |_| "results")
    };
    for _ in 0..5 {
        assert_eq!(call(ANSWERS, 30_000).await, "results");
    }
    assert_eq!(call(REFUSES, 30_000).await, "refused");
    assert_eq!(call(TRAPS, 30_000).await, "failed");
    assert_eq!(call(HANGS, 20).await, "deadline");
    // Given up by its caller.
    let given_up = tokio::time::timeout(Duration::from_millis(20), call(HANGS, 30_000));
    assert!(given_up.await.is_err());
    // The other end goes in the middle of one, and is not there for the next.
    let cut = async {
        while number(&["isorun_calls_in_flight", "\"in\"", "any-outcome"]) != 1.0 {
            tokio::task::yield_now().await;
        }
        server.abort();
    };
    let (unknown, ()) = tokio::join!(call(HANGS, 30_000), bounded(cut));
    assert_eq!(unknown, "unknown");
    assert_eq!(call(ANSWERS, 30_000).await, "not-sent");

    let of = |direction: &str, outcome: &str| {
        number(&["isorun_calls_total", "any-outcome", &format!("\"{direction}\""), &format!("\"{outcome}\"")])
    };
    let expected = [
        ("results", 5.0),
        ("refused", 1.0),
        ("failed", 1.0),
        ("deadline", 1.0),
        ("cancelled", 1.0),
        ("unknown", 1.0),
        ("not-sent", 1.0),
    ];
    for (outcome, count) in expected {
        assert_eq!(of("out", outcome), count, "{outcome}");
    }
    // There all but the last one came, and whoever was given up or cut off got no answer.
    for (outcome, count) in [("results", 5.0), ("refused", 1.0), ("failed", 1.0), ("not-sent", 0.0), ("unknown", 0.0)] {
        assert_eq!(of("in", outcome), count, "{outcome}");
    }
    assert_eq!(of("in", "deadline") + of("in", "cancelled"), 3.0);
    for (direction, count) in [("\"out\"", 11.0), ("\"in\"", 10.0)] {
        let all = |name| number(&[name, direction, "any-outcome"]);
        assert_eq!(all("isorun_call_seconds_count"), count);
        assert_eq!(number(&["isorun_call_seconds_bucket", "+Inf", direction, "any-outcome"]), count);
        assert_eq!(all("isorun_calls_in_flight"), 0.0);
        assert_eq!(all("isorun_call_argument_bytes_total"), count * 100.0);
        assert_eq!(all("isorun_call_result_bytes_total"), 500.0);
        assert_eq!(all("isorun_call_fuel_total"), 55.0);
        assert_eq!(number(&["isorun_call_failures_total", direction, "any-outcome", "trapped"]), 1.0);
        assert_eq!(number(&["isorun_call_failures_total", direction, "any-outcome", "busy"]), 1.0);
    }
    // What a peer says of a failure is no label.
    assert_eq!(number(&["stranger"]), 0.0);
}

#[tokio::test]
async fn a_connection_is_counted_in_one_state_at_a_time() {
    let (transport, server) = served();
    let link = Link::new(transport, PeerOptions::default());
    let peer = link.peer().await.unwrap();
    assert!(number(&["isorun_connections{", "dialled", "\"open\""]) >= 1.0);
    let refused = number(&["isorun_connections_refused_total", "unreachable"]);
    server.abort();
    bounded(peer.closed()).await;
    link.peer().await.unwrap_err();
    assert_eq!(number(&["isorun_connections_refused_total", "unreachable"]), refused + 1.0);
}

#[tokio::test]
async fn names_that_peers_make_up_make_no_series() {
    let (transport, _server) = served();
    let instance = |n: usize| format!("made-up-{n}");
    let series = |words: &[&str]| numbers(words).len();
    let peer = Link::new(Arc::clone(&transport), PeerOptions::default());
    for n in 0..10_000 {
        bounded(peer.instance(instance(n)).describe()).await.unwrap_err();
    }
    for n in 0..1_000 {
        let function = format!("made-up-{n}");
        let target = CallTarget { instance: instance(n), interface: None, function, hash: [0; 32] };
        bounded(call_once(&*transport, target, &within(30_000), Bytes::new())).await.unwrap_err();
    }
    assert_eq!(series(&["made-up"]), 0);
}

/// A directory that knows whatever it is asked for: its peers choose the names.
#[tokio::test]
async fn of_names_without_number_a_thousand_are_counted_apart() {
    let (transport, _server) = served();
    for n in 0..1_500 {
        let function = format!("any-function-{n}");
        let target = CallTarget { instance: format!("any-name-{n}"), interface: None, function, hash: [0; 32] };
        bounded(call_once(&*transport, target, &within(30_000), Bytes::new())).await.unwrap();
    }
    let apart = numbers(&["isorun_calls_total", "any-name-", "results"]);
    assert!((1_000..=1_024).contains(&apart.len()), "{}", apart.len());
    let others = number(&["isorun_calls_total", "instance=\"other\"", "results"]);
    assert_eq!(apart.values().sum::<f64>() + others, 1_500.0);
    assert_eq!(number(&["any-function"]), 0.0);
}
