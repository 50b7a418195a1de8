//! All that is wrong with a component's links, at once.

mod common;

use common::*;
use isorun::{InMemoryKv, LinkError, Linkable, LocalInstance, OnFailure, Runtime, Val};

fn unstarted(runtime: &Runtime, guest: &str) -> Linkable {
    Linkable::LocalInstance(LocalInstance::Unstarted { name: guest.into(), component: load(runtime, guest) })
}

/// Imports an interface that nothing here offers, and the counter's with another type.
const APP: &str = r#"(component
    (import "test:other/thing" (instance (export "do" (func))))
    (import "test:counter/counter@0.1.0" (instance
        (export "add" (func (param "n" u64) (result u64)))
        (export "gone" (func)))))"#;

#[tokio::test]
async fn every_problem_is_told_and_nothing_starts() {
    let runtime = Runtime::new().unwrap();
    let app = runtime.load(wat::parse_str(APP).unwrap()).unwrap();
    let builder = runtime
        .builder(&app)
        .link("test:counter/counter", unstarted(&runtime, "counter"))
        .link_system("demo:kv/store", InMemoryKv::new());
    let problems = bounded(builder.problems()).await;
    let [not_imported, missing, incompatible] = &problems[..] else { panic!("{problems:?}") };
    assert!(matches!(not_imported, LinkError::NotImported { .. }), "{not_imported}");
    assert!(matches!(missing, LinkError::Missing { .. }) && missing.to_string().contains("test:other/thing"));
    let text = incompatible.to_string();
    assert!(text.contains("counter.add.n: u64 here, u32 there") && text.contains("counter.gone"), "{text}");
    // The first of them is what a start would meet.
    assert!(bounded(builder.check()).await.unwrap_err().to_string().contains("demo:kv/store"));
}

#[tokio::test]
async fn links_that_hold_have_no_problems_and_what_is_not_started_gets_no_calls() {
    let runtime = Runtime::new().unwrap();
    let app = load(&runtime, "counter-app");
    let builder = runtime.builder(&app).link("*", unstarted(&runtime, "counter")).on_failure(OnFailure::Trap);
    assert_eq!(bounded(builder.problems()).await, []);
    let app = bounded(builder.instantiate()).await.unwrap();
    let error = bounded(app.exec("add", &[Val::U32(1)])).await.unwrap_err();
    assert!(error.to_string().contains("`counter` is not started"), "{error}");
}

#[tokio::test]
async fn a_component_whose_start_never_ends_is_checked_all_the_same() {
    let runtime = Runtime::new().unwrap();
    let app = load(&runtime, "counter-app");
    let builder = runtime.builder(&app).link("*", unstarted(&runtime, "spin-at-start"));
    let problems = bounded(builder.problems()).await;
    assert!(matches!(&problems[..], [LinkError::Bind { .. }]), "{problems:?}");
}
