//! What components that live import, called with what fits and what doesn't.

mod common;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use common::messenger::Kept;
use common::{call, fault, start_as, system, text, try_start, try_start_as};
use isorun_core::{
    BROADCAST_TARGETS_MAX, Budget, CONTENT_TYPE_BYTES_MAX, ComponentId, Fault, MESSAGE_BYTES_MAX, MessagingError,
    Messenger, REQUEST_TIMEOUT_MS_MAX,
};
use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{CallOptions, Instance, Link};
use isorun_system::{
    ActorMessaging, ActorServices, COMPONENTS_LISTED_MAX, LOG_FIELDS_MAX, LOG_LINE_BYTES_MAX, LogLine, Logger,
};
use parking_lot::Mutex;

/// The cases of `messaging-error`, as the guest tells of them.
const TAKEN: u32 = 0;
const DELIVERY_FAILED: u32 = 1;
const CORRELATION_TIMEOUT: u32 = 2;
const INVALID_MESSAGE: u32 = 3;
const QUEUE_FULL: u32 = 4;
const TARGET_NOT_FOUND: u32 = 5;

/// Where the guest keeps a target, and where a payload.
const TARGET: u32 = 1024;
const DATA: u32 = 65_536;

fn links(messenger: Weak<dyn Messenger>, logger: Logger) -> [Link; 2] {
    [
        system("isorun:actor/host-messaging", ActorMessaging::new(messenger.clone())),
        system("isorun:actor/host-services", ActorServices::new(messenger, logger)),
    ]
}

fn weak(kept: &Arc<Kept>) -> Weak<dyn Messenger> {
    let kept: Arc<dyn Messenger> = kept.clone();
    Arc::downgrade(&kept)
}

async fn app(kept: &Arc<Kept>) -> Instance {
    start_as("demo/app/0", text("actor-app"), &links(weak(kept), Logger::new())).await
}

fn numbers(args: &[u32]) -> Vec<Val> {
    args.iter().map(|n| Val::U32(*n)).collect()
}

async fn number(app: &Instance, function: &str, args: &[u32]) -> u32 {
    let [Val::U32(n)] = call(app, function, &numbers(args)).await[..] else { panic!("{function}") };
    n
}

async fn words(app: &Instance, function: &str) -> String {
    match call(app, function, &[]).await.remove(0) {
        Val::String(text) => text,
        other => panic!("{other:?}"),
    }
}

async fn put(app: &Instance, at: u32, bytes: &[u8]) -> [u32; 2] {
    let items = bytes.iter().map(|byte| Val::U8(*byte)).collect();
    call(app, "put", &[Val::U32(at), Val::List(items)]).await;
    [at, u32::try_from(bytes.len()).unwrap()]
}

/// Sends so many bytes, of a type so long if it is told one.
async fn send(app: &Instance, target: &str, bytes: usize, type_bytes: Option<usize>) -> u32 {
    let [at, n] = put(app, TARGET, target.as_bytes()).await;
    call(app, "fill", &numbers(&[DATA, u32::from(b't'), 4 << 20])).await;
    let typed = u32::from(type_bytes.is_some());
    number(app, "send", &[at, n, DATA, bytes as u32, typed, DATA, type_bytes.unwrap_or(0) as u32]).await
}

#[tokio::test]
async fn a_message_goes_from_whose_store_it_is_to_its_target() {
    let kept = Kept::new();
    let app = app(&kept).await;
    assert_eq!(words(&app, "self").await, "demo/app/0");
    assert_eq!(send(&app, "demo/other/1", 5, Some(4)).await, TAKEN);
    assert_eq!(send(&app, "demo/other/1", 0, None).await, TAKEN);
    let expected = ["demo/app/0 sends demo/other/1 5 bytes, tttt", "demo/app/0 sends demo/other/1 0 bytes, no type"];
    assert_eq!(kept.lines(), expected);
}

#[tokio::test]
async fn payloads_pass_at_their_limits_and_are_refused_beyond() {
    let kept = Kept::new();
    let app = app(&kept).await;
    let target = "demo/other/1";
    assert_eq!(send(&app, target, MESSAGE_BYTES_MAX, Some(CONTENT_TYPE_BYTES_MAX)).await, TAKEN);
    assert_eq!(kept.lines().len(), 1);
    assert_eq!(send(&app, target, MESSAGE_BYTES_MAX + 1, None).await, INVALID_MESSAGE);
    assert_eq!(words(&app, "reason").await, "a payload of 1048577 bytes, 1048576 are allowed");
    assert_eq!(send(&app, target, 0, Some(CONTENT_TYPE_BYTES_MAX + 1)).await, INVALID_MESSAGE);
    assert_eq!(words(&app, "reason").await, "a content type of 257 bytes, 256 are allowed");
    assert_eq!(kept.lines(), [""; 0]);
}

#[tokio::test]
async fn a_target_that_is_no_id_is_an_invalid_message() {
    let kept = Kept::new();
    let app = app(&kept).await;
    let long = "x".repeat(1 << 20);
    for target in ["", "other", "demo/../0", "demo/other/1/2", "demo/other/\u{1b}[2J", &long] {
        assert_eq!(send(&app, target, 1, None).await, INVALID_MESSAGE, "{}", target.len());
        let reason = words(&app, "reason").await;
        assert!(reason.contains("names no component") && reason.len() < 500, "{reason}");
        assert!(!reason.contains('\u{1b}'));
    }
    assert_eq!(kept.lines(), [""; 0]);
}

#[tokio::test]
async fn every_error_of_a_messenger_comes_to_the_guest_as_its_case() {
    let kept = Kept::new();
    let app = app(&kept).await;
    let failed = |may_have_arrived| MessagingError::DeliveryFailed { may_have_arrived, reason: "gone".into() };
    let cases = [
        (failed(false), DELIVERY_FAILED, Some("gone")),
        (failed(true), DELIVERY_FAILED, Some("gone")),
        (MessagingError::CorrelationTimeout, CORRELATION_TIMEOUT, None),
        (MessagingError::InvalidMessage { reason: "no".into() }, INVALID_MESSAGE, Some("no")),
        (MessagingError::QueueFull, QUEUE_FULL, None),
        (MessagingError::TargetNotFound { id: "demo/b/0".into() }, TARGET_NOT_FOUND, Some("demo/b/0")),
    ];
    for (error, case, reason) in cases {
        kept.refusals.lock().push(error.clone());
        assert_eq!(send(&app, "demo/b/0", 1, None).await, case, "{error}");
        if let Some(reason) = reason {
            assert_eq!(words(&app, "reason").await, reason);
        }
        kept.refusals.lock().push(error.clone());
        let request = [Val::U32(TARGET), Val::U32(8), Val::U64(10)];
        assert_eq!(call(&app, "request", &request).await, [Val::U32(case)], "{error}");
    }
}

#[tokio::test]
async fn a_request_has_an_id_by_which_it_is_given_up_once() {
    let kept = Kept::new();
    let app = app(&kept).await;
    let [at, n] = put(&app, TARGET, b"demo/b/0").await;
    let request = |ms| [Val::U32(at), Val::U32(n), Val::U64(ms)];
    assert_eq!(call(&app, "request", &request(REQUEST_TIMEOUT_MS_MAX)).await, [Val::U32(TAKEN)]);
    let id = words(&app, "answer").await;
    assert_eq!(kept.open.lock().first().unwrap().to_string(), id);
    assert_eq!(kept.lines(), ["demo/app/0 asks demo/b/0 0 bytes, no type, 3600000 ms"]);
    for too_long in [REQUEST_TIMEOUT_MS_MAX + 1, u64::MAX] {
        assert_eq!(call(&app, "request", &request(too_long)).await, [Val::U32(INVALID_MESSAGE)]);
    }
    let [at, n] = put(&app, TARGET, id.as_bytes()).await;
    for open in [true, false] {
        assert_eq!(call(&app, "cancel", &numbers(&[at, n])).await, [Val::Bool(open)]);
    }
    assert_eq!(kept.lines().len(), 2, "who asks twice is told twice");
    for no_id in [&b""[..], b"x", &[b'-'; 36], &[b'0'; 100_000]] {
        let [at, n] = put(&app, DATA, no_id).await;
        assert_eq!(call(&app, "cancel", &numbers(&[at, n])).await, [Val::Bool(false)]);
    }
    assert_eq!(kept.lines(), [""; 0], "what is no id is no request's");
}

/// How many outcomes a broadcast to so many has, and how many of them are errors.
async fn broadcast(app: &Instance, targets: u32, n: usize) -> (u64, u64) {
    let [Val::U64(both)] = call(app, "broadcast", &numbers(&[targets, n as u32])).await[..] else { panic!() };
    (both >> 32, both & 0xffff_ffff)
}

#[tokio::test]
async fn a_broadcast_goes_to_as_many_as_may_be_and_to_none_if_there_are_more() {
    let kept = Kept::new();
    let app = app(&kept).await;
    let [at, n] = put(&app, TARGET, b"demo/b/0").await;
    call(&app, "pairs", &numbers(&[DATA, at, n, 70_000])).await;
    assert_eq!(broadcast(&app, DATA, 0).await, (0, 0));
    assert_eq!(broadcast(&app, DATA, BROADCAST_TARGETS_MAX).await, (1_024, 0));
    assert_eq!(kept.lines(), ["demo/app/0 tells 0 0 bytes, no type", "demo/app/0 tells 1024 0 bytes, no type"]);
    assert_eq!(broadcast(&app, DATA, BROADCAST_TARGETS_MAX + 1).await, (1_025, 1_025));
    let fault = fault(&app, "broadcast", &numbers(&[DATA, 70_000])).await;
    assert!(matches!(&fault, Fault::Trapped { .. }), "{fault}");
    assert_eq!(kept.lines(), [""; 0]);
}

#[tokio::test]
async fn a_broadcast_says_of_each_target_how_it_went() {
    let kept = Kept::new();
    let app = app(&kept).await;
    let [at, n] = put(&app, TARGET, b"demo/b/0nonsense").await;
    call(&app, "pairs", &numbers(&[DATA, at, n - 8, 2])).await;
    call(&app, "pairs", &numbers(&[DATA + 16, at, n, 1])).await;
    call(&app, "pairs", &numbers(&[DATA + 24, at + 8, n - 8, 1])).await;
    *kept.refusals.lock() = vec![MessagingError::QueueFull];
    // Two good ones, of which one is refused by the messenger; another good one; and one that is no id.
    assert_eq!(broadcast(&app, DATA, 4).await, (4, 2));
    assert_eq!(kept.lines(), ["demo/app/0 tells 3 0 bytes, no type"]);
}

#[tokio::test]
async fn targets_that_are_megabytes_each_end_the_call_and_not_the_host() {
    let kept = Kept::new();
    let app = app(&kept).await;
    call(&app, "fill", &numbers(&[DATA, u32::from(b't'), 8 << 20])).await;
    // The list lies where the texts begin; each still claims its 8 MiB.
    call(&app, "pairs", &numbers(&[DATA, DATA, 4 << 20, 1_024])).await;
    let before = Instant::now();
    let fault = fault(&app, "broadcast", &numbers(&[DATA, 1_024])).await;
    assert!(matches!(&fault, Fault::Trapped { .. } | Fault::OverBudget { .. } | Fault::Other { .. }), "{fault}");
    assert!(before.elapsed() < Duration::from_secs(60));
    assert_eq!(kept.lines(), [""; 0]);
}

#[tokio::test]
async fn a_messenger_that_has_gone_delivers_nothing_and_knows_nobody() {
    let kept = Kept::new();
    let app = app(&kept).await;
    kept.components.lock().push(ComponentId::new("demo", "app", "0"));
    assert_eq!(number(&app, "list", &[]).await, 1);
    drop(kept);
    assert_eq!(send(&app, "demo/b/0", 1, None).await, DELIVERY_FAILED);
    assert_eq!(words(&app, "reason").await, "messages are no longer delivered here");
    let request = [Val::U32(TARGET), Val::U32(8), Val::U64(10)];
    assert_eq!(call(&app, "request", &request).await, [Val::U32(DELIVERY_FAILED)]);
    call(&app, "pairs", &numbers(&[DATA, TARGET, 8, 3])).await;
    assert_eq!(broadcast(&app, DATA, 3).await, (3, 3));
    let [at, n] = put(&app, TARGET, b"00000000-0000-4000-8000-000000000000").await;
    assert_eq!(call(&app, "cancel", &numbers(&[at, n])).await, [Val::Bool(false)]);
    assert_eq!(number(&app, "list", &[]).await, 0);
    assert_eq!(number(&app, "about", &[TARGET, 8]).await, 0);
    assert_eq!(words(&app, "self").await, "demo/app/0");
}

#[tokio::test]
async fn pointers_out_of_memory_and_texts_that_are_none_end_the_call() {
    let kept = Kept::new();
    let app = app(&kept).await;
    put(&app, TARGET, b"demo/b/\xff").await;
    let out = 192 * 65_536;
    let calls: [(&str, &[u32]); 8] = [
        ("send", &[TARGET, 8, 0, 0, 0, 0, 0]),
        ("send", &[out - 1, 8, 0, 0, 0, 0, 0]),
        ("send", &[0, 0, out, u32::MAX, 0, 0, 0]),
        ("send", &[0, 0, 0, 0, 2, 0, 0]),
        ("cancel", &[TARGET, 8]),
        ("broadcast", &[out, 1]),
        ("broadcast", &[TARGET + 1, 1]),
        ("about", &[TARGET, 8]),
    ];
    for (function, args) in calls {
        let fault = fault(&app, function, &numbers(args)).await;
        assert!(matches!(fault, Fault::Trapped { .. }), "{function} {args:?}: {fault}");
        // A fresh store has another memory.
        put(&app, TARGET, b"demo/b/\xff").await;
    }
    assert_eq!(kept.lines(), [""; 0]);
}

#[tokio::test]
async fn an_instance_whose_name_is_no_id_is_not_started() {
    let kept = Kept::new();
    let error = try_start(text("actor-app"), &links(weak(&kept), Logger::new()), Budget::default()).await.unwrap_err();
    let said = format!("{error}{error:?}");
    assert!(said.contains("`app` names no component"), "{said}");
}

#[tokio::test]
async fn neighbours_are_listed_up_to_a_limit_and_say_what_they_are() {
    let kept = Kept::new();
    let app = app(&kept).await;
    *kept.components.lock() =
        (0..=COMPONENTS_LISTED_MAX).map(|n| ComponentId::new("demo", "b", n.to_string())).collect();
    assert_eq!(number(&app, "list", &[]).await, COMPONENTS_LISTED_MAX as u32);
    for (id, expected) in [("demo/b/0", 3), ("demo/c/0", 0), ("demo/b", 0), ("", 0)] {
        let [at, n] = put(&app, TARGET, id.as_bytes()).await;
        assert_eq!(number(&app, "about", &[at, n]).await, expected, "{id}");
    }
}

#[tokio::test]
async fn both_clocks_tell_the_same_time() {
    let app = app(&Kept::new()).await;
    let [Val::U64(before)] = call(&app, "millis", &[]).await[..] else { panic!() };
    let [Val::U64(time)] = call(&app, "time", &[]).await[..] else { panic!() };
    let [Val::U64(after)] = call(&app, "millis", &[]).await[..] else { panic!() };
    assert!(before <= time && time <= after, "{before} {time} {after}");
    assert!(before > 1_700_000_000_000);
}

#[tokio::test]
async fn who_sleeps_holds_up_nobody_else() {
    let kept = Kept::new();
    let budget = Budget { wall_ms: 3_600_000, ..Budget::default() };
    let links = links(weak(&kept), Logger::new());
    let sleeper = try_start_as("demo/app/0", text("actor-app"), &links, budget).await.unwrap();
    let other = app(&kept).await;
    // One thread runs this test: it is free while the one sleeps.
    let works = async {
        for _ in 0..10 {
            number(&other, "list", &[]).await;
        }
    };
    let options = CallOptions { deadline_ms: 3_600_000 };
    tokio::select! {
        woken = sleeper.exec("sleep", &[Val::U64(3_000_000)], options) => panic!("{woken:?}"),
        () = works => {}
    }
}

#[tokio::test]
async fn sleep_ends_with_the_budget_of_time() {
    let budget = Budget { wall_ms: 100, ..Budget::default() };
    let kept = Kept::new();
    let app = try_start_as("demo/app/0", text("actor-app"), &links(weak(&kept), Logger::new()), budget).await.unwrap();
    for ms in [101, 3_600_000, u64::MAX] {
        let error = app.exec("sleep", &[Val::U64(ms)], CallOptions::default()).await.unwrap_err();
        assert!(error.to_string().contains("out of time: limit 100 ms"), "{error}");
    }
    call(&app, "sleep", &[Val::U64(0)]).await;
}

/// Lines as they are shown.
fn logger() -> (Logger, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = lines.clone();
    let sink = move |line: &LogLine<'_>| kept.lock().push(format!("{:?} {}: {line}", line.level, line.instance));
    (Logger::to(sink), lines)
}

#[tokio::test]
async fn a_line_has_its_fields_and_the_id_of_who_wrote_it() {
    let (logger, lines) = logger();
    let kept = Kept::new();
    let app = start_as("demo/app/0", text("actor-app"), &links(weak(&kept), logger)).await;
    let [at, _] = put(&app, TARGET, b"putkeya b\nc").await;
    call(&app, "pairs", &numbers(&[DATA, at + 3, 3, 1])).await;
    call(&app, "pairs", &numbers(&[DATA + 8, at + 6, 5, 1])).await;
    call(&app, "log", &numbers(&[2, at, 3, DATA, 1])).await;
    call(&app, "log", &numbers(&[4, at, 3, DATA, 0])).await;
    assert_eq!(*lines.lock(), [r#"Info demo/app/0: put key="a b\\nc""#, "Error demo/app/0: put"]);
}

#[tokio::test]
async fn a_line_is_bounded_whatever_its_fields_are() {
    let (logger, lines) = logger();
    let kept = Kept::new();
    let app = start_as("demo/app/0", text("actor-app"), &links(weak(&kept), logger.clone())).await;
    call(&app, "fill", &numbers(&[DATA, u32::from(b'x'), 1 << 20])).await;
    let fields = 4 << 20;
    // Names and values of `bytes` each; how many there are on the line, and how long it is.
    for (bytes, count, expected) in [
        (1, LOG_FIELDS_MAX, LOG_FIELDS_MAX),
        (1, LOG_FIELDS_MAX + 1, LOG_FIELDS_MAX),
        (0, 100_000, LOG_FIELDS_MAX),
        (1_000, 3, 3),
        (10_000, 30, 1),
    ] {
        call(&app, "pairs", &numbers(&[fields, DATA, bytes, 2 * 100_000])).await;
        call(&app, "log", &numbers(&[0, DATA, 1, fields, count as u32])).await;
        let line = lines.lock().pop().unwrap();
        assert_eq!(line.matches('=').count(), expected, "{bytes} {count}");
        // Quotes around what is empty come on top.
        assert!(line.len() <= LOG_LINE_BYTES_MAX + 64 + 4 * LOG_FIELDS_MAX, "{bytes} {count}: {}", line.len());
    }
    call(&app, "log", &numbers(&[0, DATA, 1 << 20, fields, 30])).await;
    assert_eq!(lines.lock().pop().unwrap().matches('=').count(), 0, "the message takes its room first");
    assert_eq!(logger.dropped(), 0);
}

#[tokio::test]
async fn a_field_that_is_no_text_ends_the_call_and_is_no_line() {
    let (logger, lines) = logger();
    let kept = Kept::new();
    let app = start_as("demo/app/0", text("actor-app"), &links(weak(&kept), logger)).await;
    let [at, n] = put(&app, TARGET, b"\xff").await;
    call(&app, "pairs", &numbers(&[DATA, at, n, 2])).await;
    let fault = fault(&app, "log", &numbers(&[0, at, 0, DATA, 1])).await;
    assert!(matches!(fault, Fault::Trapped { .. }), "{fault}");
    assert!(lines.lock().is_empty());
}
