//! The log, written by guests that mean no good.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{call, fault, start, start_as, system, text, try_start};
use isorun_core::{Budget, Fault};
use isorun_runtime::Instance;
use isorun_runtime::wasmtime::component::Val;
use isorun_system::{
    LOG_INSTANCE_BYTES_PER_SECOND_MAX, LOG_INSTANCE_LINES_PER_SECOND_MAX, LOG_INSTANCE_LINES_PER_SECOND_OWN,
    LOG_LINE_BYTES_MAX, LOG_LINES_PER_SECOND_MAX, LOG_SEATS_MAX, LogLevel, LogLine, Logger,
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
async fn an_instance_that_logs_without_end_is_cut_off_and_its_lines_are_counted() {
    let (logger, lines) = logger();
    let many = 100_000;
    say(&app(&logger).await, 1, "again", many).await;
    let kept = u32::try_from(lines.lock().len()).unwrap();
    // One second may end and the next begin while the guest runs, and on a slow machine a few.
    assert!((LOG_INSTANCE_LINES_PER_SECOND_MAX..many / 2).contains(&kept), "{kept}");
    assert_eq!(logger.dropped(), u64::from(many - kept));
    let told: u64 = lines.lock().iter().map(|line| line.3).sum();
    assert!(told <= logger.dropped());
}

#[tokio::test]
async fn all_stores_of_one_instance_share_its_measure() {
    let (logger, lines) = logger();
    let (each, stores) = (LOG_INSTANCE_LINES_PER_SECOND_MAX, 3);
    let mut apps = Vec::new();
    for _ in 0..stores {
        apps.push(app(&logger).await);
    }
    for app in &apps {
        say(app, 3, "me too", each).await;
    }
    let kept = lines.lock().len() as u64;
    assert_eq!(kept + logger.dropped(), u64::from(each * stores), "each line is kept or counted");
    assert!(kept >= u64::from(LOG_INSTANCE_LINES_PER_SECOND_MAX), "{kept}");
}

#[tokio::test]
async fn no_instance_is_silenced_by_others_and_each_is_told_of_its_own_lines_alone() {
    let (logger, lines) = logger();
    let log = [system("isorun:log/log", logger.clone())];
    let loud = LOG_LINES_PER_SECOND_MAX / LOG_INSTANCE_LINES_PER_SECOND_MAX + 5;
    let mut apps = Vec::new();
    for n in 0..loud {
        apps.push(start_as(&format!("loud-{n}"), text("log-app"), &log).await);
    }
    let quiet = start_as("quiet", text("log-app"), &log).await;
    for app in &apps {
        say(app, 3, "me too", 10 * LOG_INSTANCE_LINES_PER_SECOND_MAX).await;
    }
    say(&quiet, 2, "may I", LOG_INSTANCE_LINES_PER_SECOND_OWN).await;
    let heard: Vec<_> = lines.lock().iter().filter(|line| line.0 == "quiet").map(|line| line.3).collect();
    assert_eq!(heard, vec![0; LOG_INSTANCE_LINES_PER_SECOND_OWN as usize]);
    let all = u64::from(loud * 10 * LOG_INSTANCE_LINES_PER_SECOND_MAX + LOG_INSTANCE_LINES_PER_SECOND_OWN);
    assert_eq!(lines.lock().len() as u64 + logger.dropped(), all, "each line is kept or counted");
}

#[tokio::test]
async fn a_message_of_megabytes_is_read_once_and_paid_for_in_either_encoding() {
    for encoding in ["utf8", "utf16"] {
        let (logger, lines) = logger();
        let log = [system("isorun:log/log", logger.clone())];
        let app = try_start(flood(encoding), &log, wide()).await.unwrap();
        call(&app, "flood", &[Val::U32(10)]).await;
        let first = lines.lock().remove(0);
        assert!(first.2.len() <= LOG_LINE_BYTES_MAX && first.2.starts_with("\\u{0}"), "{encoding}");
        assert!(first.2.ends_with('…'), "{encoding}");
        assert_eq!(logger.dropped(), 9, "{encoding}: what was read is paid for before more is");
        say(&start_as("other", text("log-app"), &log).await, 2, "and I?", 1).await;
        assert_eq!(lines.lock()[0].0, "other", "{encoding}");
    }
}

#[tokio::test]
async fn a_message_that_is_no_text_is_charged_too() {
    let (logger, lines) = logger();
    let log = [system("isorun:log/log", logger.clone())];
    let app = try_start(flood("utf8"), &log, wide()).await.unwrap();
    let fault = fault(&app, "garble", &[Val::U32(1)]).await;
    assert!(matches!(fault, Fault::Trapped { .. }), "{fault}");
    // A fresh store, after the trap, and the same instance: nothing is read, so nothing ends it.
    call(&app, "garble", &[Val::U32(1)]).await;
    assert_eq!((lines.lock().len(), logger.dropped()), (0, 1));
}

/// What lets a guest log more at once than by default.
fn wide() -> Budget {
    Budget { hostcall_fuel: 64 << 20, ..Budget::default() }
}

/// Logs a whole memory, in which there are more bytes than are read for it in ten seconds.
fn flood(encoding: &str) -> String {
    let bytes = 16 * LOG_INSTANCE_BYTES_PER_SECOND_MAX;
    let (pages, length) = (bytes / 65_536 + 1, if encoding == "utf16" { bytes / 2 } else { bytes });
    format!(
        r#"(component
  (type $Log (instance
    (type $l (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $l)))
    (export "log" (func (param "level" $level) (param "message" string)))))
  (import "isorun:log/log@0.1.0" (instance $log (type $Log)))
  (core module $Memory (memory (export "memory") {pages}))
  (core instance $memory (instantiate $Memory))
  (core func $log (canon lower (func $log "log") (memory (core memory $memory "memory")) string-encoding={encoding}))
  (core module $M
    (import "log" "log" (func $log (param i32 i32 i32)))
    (import "memory" "memory" (memory 1))
    (func $flood (export "flood") (param $times i32)
      (loop $more
        (call $log (i32.const 2) (i32.const 0) (i32.const {length}))
        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
        (br_if $more (local.get $times))))
    (func (export "garble") (param $times i32)
      (i32.store8 (i32.const {last}) (i32.const 255))
      (call $flood (local.get $times))))
  (core instance $m (instantiate $M
    (with "log" (instance (export "log" (func $log)))) (with "memory" (instance $memory))))
  (func (export "flood") (param "times" u32) (canon lift (core func $m "flood")))
  (func (export "garble") (param "times" u32) (canon lift (core func $m "garble"))))"#,
        last = bytes - 1
    )
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

#[tokio::test]
async fn of_more_than_have_seats_in_one_second_each_is_heard_and_told_of_its_own_lines() {
    let (logger, lines) = logger();
    let log = [system("isorun:log/log", logger.clone())];
    let count = LOG_SEATS_MAX + 14;
    let mut apps = Vec::new();
    for n in 0..count {
        apps.push(start_as(&format!("app-{n}"), text("log-app"), &log).await);
    }
    let each = 2 * LOG_INSTANCE_LINES_PER_SECOND_OWN;
    for app in &apps {
        say(app, 3, "me too", each).await;
    }
    let heard: BTreeSet<String> = lines.lock().iter().map(|line| line.0.clone()).collect();
    assert_eq!(heard.len(), count);
    assert_eq!(lines.lock().len() as u64 + logger.dropped(), count as u64 * u64::from(each), "kept or counted");
    let told = || lines.lock().iter().map(|line| line.3).sum::<u64>();
    let until = Instant::now() + Duration::from_secs(60);
    for (n, app) in apps.iter().enumerate() {
        // Until a second has room for it, which says what was dropped.
        let name = format!("app-{n}");
        let said = |lines: &Lines| lines.lock().iter().filter(|line| line.0 == name && line.2 == "once more").count();
        while said(&lines) == 0 {
            assert!(Instant::now() < until, "{name} is not heard");
            say(app, 3, "once more", 1).await;
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(told(), logger.dropped());
}
