//! The log, written by guests that mean no good.

mod common;

use std::sync::Arc;

use common::{call, fault, start, system, text};
use isorun_core::Fault;
use isorun_runtime::Instance;
use isorun_runtime::wasmtime::component::Val;
use isorun_system::{
    LOG_LINE_BYTES_MAX, LOG_LINES_PER_SECOND_MAX, LOG_STORE_LINES_PER_SECOND_MAX, LogLevel, LogLine, Logger,
};
use parking_lot::Mutex;

/// Lines as a sink was given them: instance, level, text, dropped before.
type Lines = Arc<Mutex<Vec<(String, LogLevel, String, u64)>>>;

fn logger() -> (Logger, Lines) {
    let lines = Lines::default();
    let kept = lines.clone();
    let sink = move |line: &LogLine<'_>| {
        kept.lock().push((line.instance.into(), line.level, line.message.into(), line.dropped_before));
    };
    (Logger::to(sink), lines)
}

async fn app(logger: &Logger) -> Instance {
    start(text("log-app"), &[system("isorun:log/log", logger.clone())]).await
}

async fn say(app: &Instance, level: u32, message: &str, times: u32) {
    call(app, "say", &[Val::U32(level), Val::String(message.into()), Val::U32(times)]).await;
}

#[tokio::test]
async fn lines_come_with_their_level_and_the_name_of_their_instance() {
    let (logger, lines) = logger();
    let app = app(&logger).await;
    say(&app, 2, "up", 1).await;
    say(&app, 4, "a\nb\u{1b}[31m", 1).await;
    let expected = [
        ("app".to_owned(), LogLevel::Info, "up".to_owned(), 0),
        ("app".to_owned(), LogLevel::Error, "a\\nb\\u{1b}[31m".to_owned(), 0),
    ];
    assert_eq!(*lines.lock(), expected);
}

#[tokio::test]
async fn a_long_line_is_cut() {
    let (logger, lines) = logger();
    say(&app(&logger).await, 0, &"x".repeat(100_000), 1).await;
    assert_eq!(lines.lock()[0].2.len(), LOG_LINE_BYTES_MAX);
}

#[tokio::test]
async fn a_store_that_logs_without_end_is_cut_off_and_its_lines_are_counted() {
    let (logger, lines) = logger();
    let many = 100_000;
    say(&app(&logger).await, 1, "again", many).await;
    let kept = u32::try_from(lines.lock().len()).unwrap();
    // One second may end and the next begin while the guest runs, and on a slow machine a few.
    assert!((LOG_STORE_LINES_PER_SECOND_MAX..many / 2).contains(&kept), "{kept}");
    assert_eq!(logger.dropped(), u64::from(many - kept));
    let told: u64 = lines.lock().iter().map(|line| line.3).sum();
    assert!(told <= logger.dropped());
}

#[tokio::test]
async fn many_stores_share_one_measure() {
    let (logger, lines) = logger();
    let (each, stores) =
        (LOG_STORE_LINES_PER_SECOND_MAX, 3 * LOG_LINES_PER_SECOND_MAX / LOG_STORE_LINES_PER_SECOND_MAX);
    let mut apps = Vec::new();
    for _ in 0..stores {
        apps.push(app(&logger).await);
    }
    for app in &apps {
        say(app, 3, "me too", each).await;
    }
    let kept = lines.lock().len() as u64;
    assert_eq!(kept + logger.dropped(), u64::from(each * stores), "each line is kept or counted");
    assert!(kept >= u64::from(LOG_LINES_PER_SECOND_MAX), "{kept}");
}

#[tokio::test]
async fn a_level_that_there_is_not_ends_the_call_and_is_no_line() {
    let (logger, lines) = logger();
    let app = app(&logger).await;
    let fault = fault(&app, "say", &[Val::U32(5), Val::String("x".into()), Val::U32(1)]).await;
    assert!(matches!(fault, Fault::Trapped { .. }), "{fault}");
    assert!(lines.lock().is_empty());
    say(&app, 0, "still here", 1).await;
    assert_eq!(lines.lock().len(), 1);
}

#[tokio::test]
async fn a_log_of_tracing_takes_lines_too() {
    let logger = Logger::new();
    let app = app(&logger).await;
    for level in 0..5 {
        say(&app, level, "to tracing", 1).await;
    }
    assert_eq!(logger.dropped(), 0);
}
