//! Components that live, by core's names: loaded, started, called with messages, stopped.

#[path = "support/actor.rs"]
mod support;

use std::sync::Arc;

use isorun_core::{
    Budget, CallbackMessage, ComponentConfig, ComponentMessage, CorrelationId, HealthStatus, MessagePayload,
    MessagingError, RequestOutcome, RuntimeEngine, WasmError,
};
use isorun_runtime::WasmtimeEngine;

use support::{actor, count, id, message, started, tell};

fn not_running(name: &str) -> WasmError {
    WasmError::NotRunning { id: format!("test/actor/{name}") }
}

#[tokio::test]
async fn a_component_is_started_called_and_stopped() {
    let engine = WasmtimeEngine::new().unwrap();
    let handle = engine.load_component(&id(0), actor()).await.unwrap();
    assert_eq!(tell(&engine, &handle, "e").await, Err(not_running("0")));
    engine.start_component(&handle, &ComponentConfig::default()).await.unwrap();

    let typed = message(&id(0), MessagePayload::from("echo this").content_type("text/plain"));
    let answer = engine.call_handle_message(&handle, &typed).await.unwrap().unwrap();
    assert_eq!(answer, typed.payload);
    assert_eq!(tell(&engine, &handle, "echo").await.unwrap().unwrap(), "echo");
    assert_eq!(tell(&engine, &handle, "n").await, Ok(None));
    assert_eq!(tell(&engine, &handle, "").await, Ok(None));
    assert_eq!(count(&engine, &handle).await, 5);

    let usage = engine.usage(&handle).unwrap();
    assert_eq!((usage.memory_bytes, usage.calls), (1 << 16, 6));
    assert!(usage.fuel > 0);
    engine.call_shutdown(&handle).await.unwrap();
    engine.stop_component(&handle).await.unwrap();
    assert_eq!(tell(&engine, &handle, "e").await, Err(not_running("0")));
    assert_eq!(engine.usage(&handle).unwrap().memory_bytes, 0);
    engine.unload_component(&handle).await.unwrap();
    assert_eq!(engine.usage(&handle), None);
    let gone = WasmError::ComponentNotFound { id: "test/actor/0".into() };
    assert_eq!(tell(&engine, &handle, "e").await, Err(gone.clone()));
    assert_eq!(engine.start_component(&handle, &ComponentConfig::default()).await, Err(gone));
}

#[tokio::test]
async fn a_component_is_told_who_asks_and_how_its_requests_ended() {
    let engine = WasmtimeEngine::new().unwrap();
    let handle = started(&engine, id(0), actor()).await;
    let request = CorrelationId::from_random([7; 16]);
    let asked = ComponentMessage { correlation_id: Some(request), reply_to: Some(id("other")), ..message(&id(0), "i") };
    let told = engine.call_handle_message(&handle, &asked).await.unwrap().unwrap();
    assert_eq!(told.data, format!("test/actor/sender{request}test/actor/other"));
    assert_eq!(tell(&engine, &handle, "i").await.unwrap().unwrap(), "test/actor/sender");

    let failed = |error| RequestOutcome::Failed(error);
    for (outcome, case) in [
        (RequestOutcome::Replied(MessagePayload::from("yes").content_type("text/plain")), 0),
        (RequestOutcome::NoReply, 1),
        (RequestOutcome::Refused { reason: "no".into() }, 2),
        (failed(MessagingError::CorrelationTimeout), 3),
        (failed(MessagingError::DeliveryFailed { may_have_arrived: true, reason: "gone".into() }), 3),
        (failed(MessagingError::TargetNotFound { id: "a/b/c".into() }), 3),
    ] {
        let callback = CallbackMessage { correlation_id: request, target: id("other"), outcome, timestamp_ms: 1 };
        engine.call_handle_callback(&handle, &callback).await.unwrap();
        assert_eq!(tell(&engine, &handle, "k").await.unwrap().unwrap(), format!("{case}{request}"));
    }
}

#[tokio::test]
async fn a_component_says_what_and_how_it_is() {
    let engine = WasmtimeEngine::new().unwrap();
    let handle = started(&engine, id(0), actor()).await;
    let metadata = engine.call_metadata(&handle).await.unwrap();
    assert_eq!((&*metadata.name, &*metadata.version), ("actor", "0.1.0"));
    assert_eq!(metadata.description, "does as it is told");
    let health = engine.call_health(&handle).await.unwrap();
    assert_eq!((health.status, health.reason), (HealthStatus::Healthy, None));
    for (byte, status) in [(1, HealthStatus::Degraded), (2, HealthStatus::Unhealthy), (3, HealthStatus::Unknown)] {
        tell(&engine, &handle, vec![b'h', byte, b't', b'i', b'r', b'e', b'd']).await.unwrap();
        let health = engine.call_health(&handle).await.unwrap();
        assert_eq!((health.status, health.reason.as_deref()), (status, Some("tired")));
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_component_and_giving_up_does_not() {
    let engine = WasmtimeEngine::new().unwrap();
    let handle = started(&engine, id(0), actor()).await;
    assert_eq!(tell(&engine, &handle, "rnot now").await, Err(WasmError::Rejected { reason: "not now".into() }));
    assert_eq!(count(&engine, &handle).await, 2);
    assert_eq!(tell(&engine, &handle, "fbroken").await, Err(WasmError::GaveUp { reason: "broken".into() }));
    assert_eq!(tell(&engine, &handle, "e").await, Err(not_running("0")));
    assert_eq!(engine.usage(&handle).unwrap().memory_bytes, 0);

    // Started again it has nothing of what it had, but for what it is told of its past.
    let config = ComponentConfig { restarts: 2, ..ComponentConfig::default() };
    engine.start_component(&handle, &config).await.unwrap();
    assert_eq!(count(&engine, &handle).await, 2_001);
    engine.start_component(&handle, &ComponentConfig::default()).await.unwrap();
    assert_eq!(count(&engine, &handle).await, 1);
}

#[tokio::test]
async fn a_component_that_does_not_start_has_no_store() {
    let engine = WasmtimeEngine::new().unwrap();
    support::set_up(&engine, Budget { fuel: 1_000_000, ..Budget::default() }, Arc::from([]));
    let handle = engine.load_component(&id(0), actor()).await.unwrap();
    for (mode, part) in [("r", "gave up: test/actor/0"), ("f", "gave up: test/actor/0"), ("t", "trap"), ("s", "fuel")] {
        let config = ComponentConfig { settings: vec![(mode.into(), String::new())], restarts: 0 };
        let error = engine.start_component(&handle, &config).await.unwrap_err();
        assert!(error.ends_the_component() && error.to_string().contains(part), "{mode}: {error}");
        assert_eq!(tell(&engine, &handle, "e").await, Err(not_running("0")), "{mode}");
    }
}
