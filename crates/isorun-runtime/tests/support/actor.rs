//! `guests/wat/actor.wat`, and an engine for it; not every test uses all of it.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{
    Budget, ComponentConfig, ComponentHandle, ComponentId, ComponentMessage, Fault, MessagePayload, RuntimeEngine,
    WasmError,
};
use isorun_runtime::{ComponentSetup, Link, WasmtimeEngine};

/// Longest that anything here may take: an error, and not a wait for ever.
pub const LONG: Duration = Duration::from_secs(120);

pub const ACTOR: &str = include_str!("../../../../guests/wat/actor.wat");

/// The guest, as it is.
pub fn actor() -> Bytes {
    wat::parse_str(ACTOR).unwrap().into()
}

/// The guest, whose `wait` is `test:host/door@0.1.0#wait`.
pub fn waiting_actor() -> Bytes {
    let text = ACTOR
        .replace(
            "(; imports ;)",
            r#"(import "test:host/door@0.1.0" (instance $door (export "wait" (func))))
               (core func $wait (canon lower (func $door "wait")))"#,
        )
        .replace("(; core imports ;)", r#"(import "door" "wait" (func $wait))"#)
        .replace("(; wait ;) (func $wait)", "")
        .replace("(; with ;)", r#"(with "door" (instance (export "wait" (func $wait))))"#);
    wat::parse_str(text).unwrap().into()
}

pub fn id(instance: impl std::fmt::Display) -> ComponentId {
    ComponentId::new("test", "actor", instance.to_string())
}

/// An engine whose components have that budget and those links.
pub fn engine(budget: Budget, links: Arc<[Link]>) -> WasmtimeEngine {
    let engine = WasmtimeEngine::new().unwrap();
    set_up(&engine, budget, links);
    engine
}

pub fn set_up(engine: &WasmtimeEngine, budget: Budget, links: Arc<[Link]>) {
    engine.set_up_components(move |_| ComponentSetup { links: links.clone(), budget: budget.clone() });
}

/// Loads a component and starts it.
pub async fn started(engine: &WasmtimeEngine, id: ComponentId, bytes: Bytes) -> ComponentHandle {
    let handle = engine.load_component(&id, bytes).await.unwrap();
    engine.start_component(&handle, &ComponentConfig::default()).await.unwrap();
    handle
}

pub fn message(to: &ComponentId, payload: impl Into<MessagePayload>) -> ComponentMessage {
    ComponentMessage::new(id("sender"), to.clone(), payload)
}

/// Sends a message and waits for the answer's bytes.
pub async fn tell(
    engine: &WasmtimeEngine,
    handle: &ComponentHandle,
    payload: impl Into<MessagePayload>,
) -> Result<Option<Bytes>, WasmError> {
    let message = message(handle.id(), payload);
    let answered = tokio::time::timeout(LONG, engine.call_handle_message(handle, &message)).await;
    Ok(answered.expect("an answer comes in time")?.map(|payload| payload.data))
}

/// What lies beneath a failure.
pub fn fault(error: &WasmError) -> Option<&Fault> {
    match error {
        WasmError::RuntimeError { cause, .. } | WasmError::InstantiationFailed { cause, .. } => {
            cause.as_deref()?.downcast_ref()
        }
        _ => None,
    }
}

/// A payload of a letter and a number.
pub fn with_number(mode: u8, number: u32) -> Vec<u8> {
    let mut payload = vec![mode];
    payload.extend(number.to_le_bytes());
    payload
}

/// How many messages it has taken since it was started.
pub async fn count(engine: &WasmtimeEngine, handle: &ComponentHandle) -> u32 {
    let answer = tell(engine, handle, "c").await.unwrap().unwrap();
    u32::from_le_bytes(answer[..].try_into().unwrap())
}
