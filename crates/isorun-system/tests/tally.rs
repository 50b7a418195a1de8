//! The same component in four languages: the same messages get the same answers.
//!
//! The one in C is committed. `cargo xtask test` builds the others and names their folder in `ISORUN_GUESTS`; those that are
//! not built are left out, visibly. A component that brings an interpreter is compiled for 10 to 20 seconds.

mod common;

use std::path::Path;
use std::sync::{Arc, Weak};

use common::messenger::Kept;
use common::storage::Small;
use common::{prebuilt, system};
use isorun_core::{Budget, ComponentId, Failure, Fault, MessagingError, Messenger};
use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{
    CallOptions, Instance, InstanceOptions, LinkedComponent, LoadedComponent, Serving, WasmtimeEngine, link,
};
use isorun_system::{ActorMessaging, ActorServices, LogLine, Logger};
use parking_lot::Mutex;

/// A built guest, or `None` where those of its language are left out.
fn built(language: &str) -> Option<Vec<u8>> {
    let without = std::env::var("ISORUN_WITHOUT").unwrap_or_default();
    if without.split(',').any(|left_out| left_out == format!("{language}-guests")) {
        eprintln!("skipped: {language}-tally.wasm (`--without {language}-guests`)");
        return None;
    }
    let Some(folder) = std::env::var_os("ISORUN_GUESTS") else {
        eprintln!("skipped: {language}-tally.wasm (ISORUN_GUESTS is not set; `cargo xtask test` builds it)");
        return None;
    };
    let path = Path::new(&folder).join(format!("{language}-tally.wasm"));
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// One language's component, and all that it can reach.
struct Bench {
    linked: LinkedComponent,
    kept: Arc<Kept>,
    stored: Small,
    lines: Arc<Mutex<Vec<String>>>,
    fuel: u64,
}

/// Enough for each call, and soon burned by one that spins; an interpreter takes more to begin.
const FUEL: u64 = 100_000_000;
const INTERPRETER_FUEL: u64 = 2_000_000_000;

impl Bench {
    async fn new(bytes: Vec<u8>, fuel: u64) -> Self {
        let (kept, stored, lines) = (Kept::new(), Small::default(), Arc::new(Mutex::new(Vec::new())));
        *kept.components.lock() = vec![ComponentId::new("demo", "other", "0"), ComponentId::new("demo", "tally", "0")];
        let messenger: Arc<dyn Messenger> = kept.clone();
        let messenger: Weak<dyn Messenger> = Arc::downgrade(&messenger);
        let seen = lines.clone();
        let logger = Logger::to(move |line: &LogLine<'_>| seen.lock().push(format!("{}: {line}", line.instance)));
        let links = [
            system("isorun:actor/host-messaging", ActorMessaging::new(messenger.clone())),
            system("isorun:actor/host-services", ActorServices::new(messenger, logger)),
            system("isorun:actor/storage", stored.clone()),
        ];
        let engine = WasmtimeEngine::new().unwrap();
        let component = LoadedComponent::parse(&engine, bytes).unwrap();
        let linked = link(&component, &links, &[]).await.unwrap();
        Self { linked, kept, stored, lines, fuel }
    }

    /// Starts it with those settings, and says what `initialize` came to.
    async fn start(&self, settings: &[(&str, &str)], restarts: u32) -> (Tally, Answer) {
        let budget = Budget { wall_ms: 60_000, fuel: self.fuel, ..Budget::default() };
        let options = InstanceOptions { name: "demo/tally/0".into(), serving: Serving::SINGLETON, budget };
        let tally = Tally(Instance::start(self.linked.clone(), options).await.unwrap());
        let settings = settings.iter().map(|(name, value)| Val::Tuple(vec![string(name), string(value)])).collect();
        let config = record([
            ("id", string("demo/tally/0")),
            ("settings", Val::List(settings)),
            ("restarts", Val::U32(restarts)),
        ]);
        let said = tally.call("initialize", &[config]).await;
        (tally, said)
    }
}

struct Tally(Instance);

/// What a call comes to.
#[derive(Debug, PartialEq)]
enum Answer {
    Said(String),
    Typed(Vec<u8>, String),
    Nothing,
    Rejected(String),
    Failed(String),
    Fault(&'static str),
}

fn said(text: &str) -> Answer {
    Answer::Said(text.into())
}

fn string(text: &str) -> Val {
    Val::String(text.into())
}

fn record<const N: usize>(fields: [(&str, Val); N]) -> Val {
    Val::Record(fields.map(|(name, value)| (name.into(), value)).into())
}

fn bytes(bytes: &[u8]) -> Val {
    Val::List(bytes.iter().map(|byte| Val::U8(*byte)).collect())
}

fn some(text: Option<&str>) -> Val {
    Val::Option(text.map(|text| Box::new(string(text))))
}

fn payload(data: &[u8], content_type: Option<&str>) -> Val {
    record([("data", bytes(data)), ("content-type", some(content_type))])
}

fn case(name: &str, value: Option<Val>) -> Val {
    Val::Variant(name.into(), value.map(Box::new))
}

impl Tally {
    async fn call(&self, function: &str, args: &[Val]) -> Answer {
        let function = format!("isorun:actor/component-lifecycle#{function}");
        let options = CallOptions { deadline_ms: 120_000 };
        match self.0.exec(&function, args, options).await {
            Ok(mut results) => answer(results.remove(0)),
            Err(error) => match *error.failure {
                Failure::Failed(Fault::OutOfFuel { .. } | Fault::OutOfTime { .. }) => Answer::Fault("spins"),
                Failure::Failed(Fault::Trapped { .. }) => Answer::Fault("traps"),
                other => panic!("{function}: {other}"),
            },
        }
    }

    async fn message(&self, payload: Val, asked: bool) -> Answer {
        let (correlation, reply_to) = if asked { (Some(ID), Some("demo/other/0")) } else { (None, None) };
        let message = record([
            ("sender", string("demo/other/0")),
            ("payload", payload),
            ("correlation-id", some(correlation)),
            ("reply-to", some(reply_to)),
            ("timestamp-ms", Val::U64(0)),
        ]);
        self.call("handle-message", &[message]).await
    }

    async fn tell(&self, text: &str) -> Answer {
        self.message(payload(text.as_bytes(), None), false).await
    }

    async fn callback(&self, outcome: Val) {
        let message = record([
            ("correlation-id", string(ID)),
            ("target", string("demo/other/0")),
            ("outcome", outcome),
            ("timestamp-ms", Val::U64(0)),
        ]);
        assert_eq!(self.call("handle-callback", &[message]).await, Answer::Nothing);
    }
}

const ID: &str = "00000000-0000-4000-8000-00000000abcd";

fn answer(value: Val) -> Answer {
    let text = |value: Option<Box<Val>>| match value.map(|value| *value) {
        Some(Val::String(text)) => text,
        other => panic!("{other:?}"),
    };
    match value {
        Val::Result(Ok(None)) => Answer::Nothing,
        Val::Result(Ok(Some(answer))) => match *answer {
            Val::Option(None) => Answer::Nothing,
            Val::Option(Some(payload)) => payload_of(*payload),
            other => panic!("{other:?}"),
        },
        Val::Result(Err(Some(error))) => match *error {
            Val::Variant(case, reason) if case == "rejected" => Answer::Rejected(text(reason)),
            Val::Variant(case, reason) if case == "failed" => Answer::Failed(text(reason)),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn payload_of(payload: Val) -> Answer {
    let Val::Record(fields) = payload else { panic!("{payload:?}") };
    let byte = |value: &Val| match value {
        Val::U8(byte) => *byte,
        other => panic!("{other:?}"),
    };
    match (&fields[0].1, &fields[1].1) {
        (Val::List(data), Val::Option(None)) => {
            Answer::Said(String::from_utf8(data.iter().map(byte).collect()).unwrap())
        }
        (Val::List(data), Val::Option(Some(content_type))) => match &**content_type {
            Val::String(text) => Answer::Typed(data.iter().map(byte).collect(), text.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

async fn check(tally: &Tally, messages: &[(&str, &str)]) {
    for (message, expected) in messages {
        assert_eq!(tally.tell(message).await, said(expected), "{message}");
    }
}

/// All that can be asked of a component, one after the other.
async fn check_all(language: &str, wasm: Vec<u8>, fuel: u64) {
    let bench = Bench::new(wasm, fuel).await;
    counts(&bench).await;
    sends(&bench).await;
    hears(&bench).await;
    stores(&bench).await;
    looks_around(&bench, language).await;
    ends(&bench).await;
}

async fn counts(bench: &Bench) {
    let settings = [("name", "a b"), ("empty", ""), ("name", "second")];
    let (tally, started) = bench.start(&settings, 3).await;
    assert_eq!(started, Answer::Nothing);
    check(
        &tally,
        &[
            ("get", "0"),
            ("add 5", "5"),
            ("add -7", "-2"),
            ("add 999999999", "999999997"),
            ("get", "999999997"),
            ("restarts", "3"),
            ("setting name", "a b"),
            ("setting empty", ""),
            ("setting other", "absent"),
            ("last", "none"),
            ("heard", "0"),
        ],
    )
    .await;
    for no_number in ["add", "add ", "add x", "add 1 2", "add +1", "add -", "add 1234567890", "sleep -1", "sleep"] {
        assert_eq!(tally.tell(no_number).await, Answer::Rejected("no number".into()), "{no_number}");
    }
    for other in ["", " ", "GET", "gets", "constructor", "toString"] {
        assert_eq!(tally.tell(other).await, Answer::Rejected("not understood".into()), "{other}");
    }
    assert_eq!(tally.tell("quiet").await, Answer::Nothing);
    assert_eq!(tally.tell("reject").await, Answer::Rejected("told to reject".into()));
    assert_eq!(tally.tell("fail").await, Answer::Failed("told to fail".into()));
    let raw: Vec<u8> = (0..=255).collect();
    let echo = [b"echo ", &raw[..]].concat();
    assert_eq!(tally.message(payload(&echo, Some("a/b")), false).await, Answer::Typed(raw, "a/b".into()));
    check(&tally, &[("echo", ""), ("echo  two  spaces ", " two  spaces ")]).await;
    assert_eq!(tally.message(payload(b"envelope", None), false).await, said("demo/other/0 - -"));
    let asked = format!("demo/other/0 demo/other/0 {ID}");
    assert_eq!(tally.message(payload(b"envelope", Some("x/y")), true).await, said(&asked));
}

async fn sends(bench: &Bench) {
    let (tally, _) = bench.start(&[("timeout-ms", "250")], 0).await;
    check(
        &tally,
        &[
            ("forward demo/other/0 to you", "ok"),
            ("forward demo/other/0", "ok"),
            ("ask demo/other/0 get", "00000000-0000-4000-8000-000000000000"),
            ("cancel", "true"),
            ("cancel", "false"),
            ("broadcast demo/other/0,demo/tally/0 all", "ok\nok"),
        ],
    )
    .await;
    let to = "demo/tally/0";
    let other = "demo/other/0";
    let id = "00000000-0000-4000-8000-000000000000";
    let expected = [
        format!("{to} sends {other} 6 bytes, no type"),
        format!("{to} sends {other} 0 bytes, no type"),
        format!("{to} asks {other} 3 bytes, no type, 250 ms"),
        format!("{to} cancels {id}"),
        format!("{to} cancels {id}"),
        format!("{to} tells 2 3 bytes, no type"),
    ];
    assert_eq!(bench.kept.lines(), expected);

    let failed = |may_have_arrived| MessagingError::DeliveryFailed { may_have_arrived, reason: "gone".into() };
    let errors = [
        (failed(false), "delivery-failed: gone"),
        (failed(true), "delivery-failed, may have arrived: gone"),
        (MessagingError::CorrelationTimeout, "correlation-timeout"),
        (MessagingError::InvalidMessage { reason: "no".into() }, "invalid-message: no"),
        (MessagingError::QueueFull, "queue-full"),
        (MessagingError::TargetNotFound { id: other.into() }, "target-not-found: demo/other/0"),
    ];
    for (error, expected) in errors {
        for message in ["forward demo/other/0 x", "ask demo/other/0 x", "broadcast demo/other/0 x"] {
            bench.kept.refusals.lock().push(error.clone());
            assert_eq!(tally.tell(message).await, said(expected), "{message}");
        }
    }
    bench.kept.lines();
}

async fn hears(bench: &Bench) {
    let (tally, _) = bench.start(&[], 0).await;
    let failure = record([("may-have-arrived", Val::Bool(true)), ("reason", string("gone"))]);
    let outcomes = [
        (case("replied", Some(payload(b"42", None))), "replied: 42"),
        (case("no-reply", None), "no-reply"),
        (case("refused", Some(string("not I"))), "refused: not I"),
        (case("failed", Some(case("correlation-timeout", None))), "failed: correlation-timeout"),
        (
            case("failed", Some(case("delivery-failed", Some(failure)))),
            "failed: delivery-failed, may have arrived: gone",
        ),
    ];
    for (n, (outcome, expected)) in outcomes.into_iter().enumerate() {
        tally.callback(outcome).await;
        let last = format!("{ID} demo/other/0 {expected}");
        check(&tally, &[("last", &last), ("heard", &(n + 1).to_string())]).await;
    }
}

async fn stores(bench: &Bench) {
    let (tally, _) = bench.start(&[], 0).await;
    check(
        &tally,
        &[
            ("load a", "absent"),
            ("store a one word more", "ok"),
            ("load a", "one word more"),
            ("store ab ", "ok"),
            ("load ab", ""),
            ("has a", "true"),
            ("has b", "false"),
            ("keys a", "a\nab"),
            ("keys b", ""),
            ("usage", "16 2 1000 4"),
            ("store c 0123456789abcdefg", "value-too-large: 16"),
            ("store c x", "ok"),
            ("store d x", "ok"),
            ("store e x", "quota-exceeded"),
            ("store", "invalid-key: empty"),
            ("load down", "unavailable: not now"),
            ("has lost", "unknown: who knows"),
            ("forget lost", "unknown: who knows"),
            ("forget c", "true"),
            ("forget c", "false"),
            ("forget d", "true"),
            ("keys", "a\nab"),
        ],
    )
    .await;

    let durable = [("durable", "true")];
    let (tally, _) = bench.start(&durable, 0).await;
    check(&tally, &[("get", "0"), ("add 4", "4"), ("load sum", "4")]).await;
    let (tally, _) = bench.start(&durable, 1).await;
    check(&tally, &[("get", "4"), ("add -9", "-5")]).await;
    // What can't be stored is not counted.
    bench.stored.entries.lock().remove("sum");
    check(&tally, &[("store c x", "ok"), ("store d x", "ok")]).await;
    assert_eq!(tally.tell("add 1").await, Answer::Rejected("quota-exceeded".into()));
    check(&tally, &[("get", "-5")]).await;
    bench.stored.entries.lock().insert("sum".into(), b"a lot".to_vec());
    assert_eq!(bench.start(&durable, 2).await.1, Answer::Failed("no sum".into()));
}

async fn looks_around(bench: &Bench, language: &str) {
    let (tally, _) = bench.start(&[], 0).await;
    check(
        &tally,
        &[
            ("who", "demo/tally/0\ndemo/other/0\ndemo/tally/0"),
            ("about demo/other/0", "other 1.2.3"),
            ("about demo/nobody/0", "unknown"),
            ("sleep 1", "slept"),
            ("add 2", "2"),
            ("log a line", "logged"),
        ],
    )
    .await;
    assert_eq!(*bench.lines.lock(), ["demo/tally/0: a line sum=2 sender=demo/other/0"]);
    let Answer::Said(time) = tally.tell("time").await else { panic!("no time") };
    let (ms, seconds) = time.split_once(' ').unwrap();
    let (ms, seconds): (u64, u64) = (ms.parse().unwrap(), seconds.parse().unwrap());
    assert!(ms / 1_000 <= seconds && ms > 1_700_000_000_000, "{time}");

    let Val::Record(fields) = val(&tally, "metadata").await else { panic!("no metadata") };
    let fields: Vec<Val> = fields.into_iter().map(|(_, value)| value).collect();
    let about = [string("tally"), string("0.1.0"), string("keeps a count, and does as messages tell it")];
    assert_eq!(fields[..3], about);
    assert_eq!(fields[3], Val::List(vec![Val::Tuple(vec![string("language"), string(language)])]));
    let health = |status: &str, reason| record([("status", Val::Enum(status.into())), ("reason", some(reason))]);
    assert_eq!(val(&tally, "health").await, health("healthy", None));
    check(&tally, &[("add -3", "-1")]).await;
    assert_eq!(val(&tally, "health").await, health("degraded", Some("the count is negative")));
}

async fn val(tally: &Tally, function: &str) -> Val {
    let function = format!("isorun:actor/component-lifecycle#{function}");
    tally.0.exec(&function, &[], CallOptions::default()).await.unwrap().remove(0)
}

async fn ends(bench: &Bench) {
    let ends = [
        ("fail", Answer::Failed("told to fail".into())),
        ("reject", Answer::Rejected("told to reject".into())),
        ("trap", Answer::Fault("traps")),
        ("spin", Answer::Fault("spins")),
    ];
    for (how, expected) in ends {
        assert_eq!(bench.start(&[("at-start", how)], 0).await.1, expected, "at-start {how}");
        let (tally, _) = bench.start(&[("at-shutdown", how)], 0).await;
        assert_eq!(tally.call("shutdown", &[]).await, expected, "at-shutdown {how}");
        let (tally, _) = bench.start(&[], 0).await;
        assert_eq!(tally.tell(how).await, expected, "{how}");
    }
    let (tally, _) = bench.start(&[], 0).await;
    assert_eq!(tally.call("shutdown", &[]).await, Answer::Nothing);
}

#[tokio::test]
async fn the_tally_in_c_answers_every_message() {
    check_all("c", prebuilt("tally"), FUEL).await;
}

#[tokio::test]
async fn the_tally_in_rust_answers_every_message() {
    if let Some(wasm) = built("rust") {
        check_all("rust", wasm, FUEL).await;
    }
}

#[tokio::test]
async fn the_tally_in_javascript_answers_every_message() {
    if let Some(wasm) = built("js") {
        check_all("javascript", wasm, INTERPRETER_FUEL).await;
    }
}

#[tokio::test]
async fn the_tally_in_python_answers_every_message() {
    if let Some(wasm) = built("py") {
        check_all("python", wasm, INTERPRETER_FUEL).await;
    }
}
