//! Components that live, and what they may not: budgets, sizes, and guests that lie.

#[path = "support/actor.rs"]
mod support;

use std::error::Error;
use std::sync::Arc;

use isorun_core::{
    Budget, CONTENT_TYPE_BYTES_MAX, ComponentConfig, Fault, MESSAGE_BYTES_MAX, MessagePayload, RuntimeEngine, WasmError,
};
use isorun_runtime::{COMPONENT_TEXT_BYTES_MAX, EngineOptions, PROPERTIES_MAX, WasmtimeEngine};

use support::{ACTOR, actor, count, engine, id, started, tell, with_number};

fn wat(text: &str) -> bytes::Bytes {
    wat::parse_str(text).unwrap().into()
}

fn not_running() -> WasmError {
    WasmError::NotRunning { id: "test/actor/0".into() }
}

#[tokio::test]
async fn each_budget_ends_the_component_and_is_told_by_name() {
    let memory = Fault::OutOfMemory { wanted: 5 << 16, limit: 4 << 16 };
    let trap = Fault::Trapped { message: "wasm `unreachable` instruction executed".into() };
    for (mode, budget, fault) in [
        ("s", Budget { fuel: 100_000, ..Budget::default() }, Fault::OutOfFuel { limit: 100_000 }),
        ("s", Budget { wall_ms: 1_000, ..Budget::default() }, Fault::OutOfTime { limit_ms: 1_000 }),
        ("g", Budget { max_memory_bytes: 4 << 16, ..Budget::default() }, memory),
        ("t", Budget::default(), trap),
    ] {
        let engine = engine(budget, Arc::from([]));
        let handle = started(&engine, id(0), actor()).await;
        let error = tell(&engine, &handle, mode).await.unwrap_err();
        assert_eq!(error.to_string(), format!("runtime error: `handle-message`: {fault}"));
        assert_eq!(support::fault(&error), Some(&fault), "{error}");
        assert_eq!(tell(&engine, &handle, "e").await, Err(not_running()));
        engine.start_component(&handle, &ComponentConfig::default()).await.unwrap();
        assert_eq!(count(&engine, &handle).await, 1);
    }
}

#[tokio::test]
async fn what_a_component_may_not_start_with_is_told_by_name() {
    let engine = engine(Budget { max_memory_bytes: (1 << 16) - 1, ..Budget::default() }, Arc::from([]));
    let handle = engine.load_component(&id(0), actor()).await.unwrap();
    let error = engine.start_component(&handle, &ComponentConfig::default()).await.unwrap_err();
    assert!(matches!(error, WasmError::InstantiationFailed { .. }), "{error}");
    assert_eq!(support::fault(&error), Some(&Fault::OutOfMemory { wanted: 1 << 16, limit: (1 << 16) - 1 }));
    assert_eq!(tell(&engine, &handle, "e").await, Err(not_running()));
}

#[tokio::test]
async fn room_made_in_advance_is_taken_by_as_many_as_it_is_for() {
    let engine = WasmtimeEngine::with_options(EngineOptions::default().pooled_stores(2)).unwrap();
    let first = started(&engine, id(0), actor()).await;
    let second = started(&engine, id(1), actor()).await;
    let third = engine.load_component(&id(2), actor()).await.unwrap();
    let config = ComponentConfig::default();
    let error = engine.start_component(&third, &config).await.unwrap_err();
    assert!(
        matches!(error, WasmError::InstantiationFailed { .. }) && error.to_string().contains("limited to 2"),
        "{error}"
    );
    engine.stop_component(&first).await.unwrap();
    engine.start_component(&third, &config).await.unwrap();
    // A component's own fresh start takes the place that it had.
    engine.start_component(&second, &config).await.unwrap();
    assert_eq!((count(&engine, &second).await, count(&engine, &third).await), (1, 1));
}

#[tokio::test]
async fn fuel_is_for_each_call_anew() {
    let engine = engine(Budget { fuel: 10_000, ..Budget::default() }, Arc::from([]));
    let handle = started(&engine, id(0), actor()).await;
    for number in 1..=1_000 {
        assert_eq!(count(&engine, &handle).await, number);
    }
    assert!(engine.usage(&handle).unwrap().fuel > 10_000);
}

#[tokio::test]
async fn answers_are_taken_at_their_limits_and_not_past_them() {
    let engine = WasmtimeEngine::new().unwrap();
    let handle = started(&engine, id(0), actor()).await;
    for (mode, max) in [(b'o', MESSAGE_BYTES_MAX), (b'l', CONTENT_TYPE_BYTES_MAX)] {
        let max = max as u32;
        tell(&engine, &handle, with_number(mode, max)).await.unwrap().unwrap();
        let error = tell(&engine, &handle, with_number(mode, max + 1)).await.unwrap_err();
        assert!(matches!(error, WasmError::RuntimeError { .. }), "{error}");
        let text = error.to_string();
        let parts = ["`handle-message`", &format!("{}", max + 1), &format!("{max} are allowed")];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(tell(&engine, &handle, "e").await, Err(not_running()));
        engine.start_component(&handle, &ComponentConfig::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_past_its_limits_does_not_reach_the_component() {
    let engine = WasmtimeEngine::new().unwrap();
    let handle = started(&engine, id(0), actor()).await;
    let typed = |bytes: usize| MessagePayload::from("n").content_type("t".repeat(bytes));
    tell(&engine, &handle, vec![b'n'; MESSAGE_BYTES_MAX]).await.unwrap();
    tell(&engine, &handle, typed(CONTENT_TYPE_BYTES_MAX)).await.unwrap();
    for payload in [MessagePayload::new(vec![b'n'; MESSAGE_BYTES_MAX + 1]), typed(CONTENT_TYPE_BYTES_MAX + 1)] {
        let error = tell(&engine, &handle, payload).await.unwrap_err();
        assert!(matches!(error, WasmError::Rejected { .. }), "{error}");
    }
    assert_eq!(count(&engine, &handle).await, 3);
}

#[tokio::test]
async fn what_a_component_says_is_cut_and_escaped() {
    let engine = WasmtimeEngine::new().unwrap();
    let handle = started(&engine, id(0), actor()).await;
    let loud = format!("r{}", "\u{1b}[2J\n".repeat(10_000));
    let WasmError::Rejected { reason } = tell(&engine, &handle, loud.into_bytes()).await.unwrap_err() else {
        panic!("it goes on")
    };
    assert!(reason.len() <= COMPONENT_TEXT_BYTES_MAX + 16 && reason.ends_with('…'), "{reason}");
    assert!(!reason.contains(char::is_control), "{reason}");

    tell(&engine, &handle, format!("h\u{1}{}", "a".repeat(3_000)).into_bytes()).await.unwrap();
    let reason = engine.call_health(&handle).await.unwrap().reason.unwrap();
    assert!(reason.len() <= COMPONENT_TEXT_BYTES_MAX + 16 && reason.ends_with('…'), "{reason}");

    for properties in [PROPERTIES_MAX, PROPERTIES_MAX + 1] {
        tell(&engine, &handle, with_number(b'm', properties as u32)).await.unwrap();
        assert_eq!(engine.call_metadata(&handle).await.unwrap().properties.len(), PROPERTIES_MAX);
    }
    // 32 MiB of them: more than one call may copy out.
    tell(&engine, &handle, with_number(b'm', 2 << 20)).await.unwrap();
    let error = engine.call_metadata(&handle).await.unwrap_err();
    assert!(error.to_string().contains("hostcall_fuel"), "{error}");
    assert_eq!(tell(&engine, &handle, "e").await, Err(not_running()));
}

#[tokio::test]
async fn a_guest_that_breaks_the_rules_loses_its_store_and_nothing_else() {
    let engine = WasmtimeEngine::new().unwrap();
    let neighbour = started(&engine, id("neighbour"), actor()).await;
    let handle = started(&engine, id(0), actor()).await;
    for mode in ["p", "u", "d"] {
        let error = tell(&engine, &handle, mode).await.unwrap_err();
        assert!(matches!(error, WasmError::RuntimeError { .. }) && error.source().is_some(), "{mode}: {error}");
        assert_eq!(tell(&engine, &handle, "e").await, Err(not_running()));
        engine.start_component(&handle, &ComponentConfig::default()).await.unwrap();
    }
    // Room that is none, for what it is handed.
    for place in ["-16", "1", "65535"] {
        let realloc = format!(
            r#"(func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const {place})) (func $realloc"#
        );
        let liar = wat(&ACTOR.replace(r#"(func $realloc (export "realloc")"#, &realloc));
        let handle = engine.load_component(&id("liar"), liar).await.unwrap();
        let config = ComponentConfig { settings: vec![("n".repeat(64), String::new())], restarts: 0 };
        let error = engine.start_component(&handle, &config).await.unwrap_err();
        assert!(error.to_string().contains("`initialize`"), "{place}: {error}");
    }
    assert_eq!(count(&engine, &neighbour).await, 1);
}

#[tokio::test]
async fn a_component_that_takes_no_messages_says_what_it_has_instead() {
    let engine = WasmtimeEngine::new().unwrap();
    let spin = wat(include_str!("../../../guests/wat/spin.wat"));
    let later = wat(&ACTOR.replace("component-lifecycle@0.1.0", "component-lifecycle@0.2.0"));
    for (bytes, has) in [(spin, "`run`"), (later, "`isorun:actor/component-lifecycle@0.2.0`")] {
        let handle = engine.load_component(&id(0), bytes).await.unwrap();
        let error = engine.start_component(&handle, &ComponentConfig::default()).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, WasmError::InvalidComponent { .. }), "{text}");
        assert!(text.contains("`isorun:actor/component-lifecycle@0.1.0`") && text.contains(has), "{text}");
        assert_eq!(tell(&engine, &handle, "e").await, Err(not_running()));
    }
    // A later version on the same track serves.
    let patched = wat(&ACTOR.replace("component-lifecycle@0.1.0", "component-lifecycle@0.1.7"));
    let handle = started(&engine, id(0), patched).await;
    assert_eq!(count(&engine, &handle).await, 1);
}

#[tokio::test]
async fn other_types_are_told_by_where_they_are() {
    let engine = WasmtimeEngine::new().unwrap();
    let other = ACTOR
        .replace(r#"(case "failed" string)))"#, r#"(case "broken" string)))"#)
        .replace(r#"(field "description" string)"#, r#"(field "about" string)"#);
    let handle = engine.load_component(&id(0), wat(&other)).await.unwrap();
    let error = engine.start_component(&handle, &ComponentConfig::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, WasmError::InvalidComponent { .. }), "{text}");
    for path in
        ["component-lifecycle.component-metadata.description", "about", "component-lifecycle.error.failed", "broken"]
    {
        assert!(text.contains(path), "{text}");
    }
}

#[tokio::test]
async fn an_import_that_is_not_linked_keeps_a_component_from_being_loaded() {
    let engine = WasmtimeEngine::new().unwrap();
    let error = engine.load_component(&id(0), support::waiting_actor()).await.unwrap_err();
    assert!(matches!(error, WasmError::InstantiationFailed { .. }), "{error}");
    assert!(error.to_string().contains("test:host/door@0.1.0"), "{error}");
}

#[tokio::test]
async fn components_are_shared_while_somebody_holds_them() {
    let engine = WasmtimeEngine::new().unwrap();
    let bytes = actor();
    let first = engine.load_component(&id(0), bytes.clone()).await.unwrap();
    let second = engine.load_component(&id(1), bytes.clone()).await.unwrap();
    engine.load_component(&id(2), bytes::Bytes::copy_from_slice(&bytes)).await.unwrap();
    assert_eq!(engine.compile_counts().compiled, 1);
    engine.unload_component(&first).await.unwrap();
    engine.start_component(&second, &ComponentConfig::default()).await.unwrap();
    assert_eq!(count(&engine, &second).await, 1);
    assert_eq!(engine.compile_counts().compiled, 1);
}
