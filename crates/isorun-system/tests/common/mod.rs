//! Starting guests with host components, through the runtime's public API.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod messenger;
pub mod storage;

use std::sync::Arc;

use isorun_core::{Budget, Failure, Fault};
use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{
    CallOptions, Instance, InstanceOptions, Link, LinkError, LinkTarget, LoadedComponent, Selector, Serving,
    StartError, SystemComponent, WasmtimeEngine, link,
};

/// A committed guest.
pub fn prebuilt(name: &str) -> Vec<u8> {
    let path = format!("{}/../../guests/prebuilt/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A guest of `guests/wat`, as text.
pub fn text(name: &str) -> String {
    let path = format!("{}/../../guests/wat/{name}.wat", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub fn system(selector: &str, component: impl SystemComponent) -> Link {
    Link { selector: Selector::parse(selector), target: LinkTarget::System(Arc::new(component)) }
}

/// Links and starts; `wasm` is text or binary.
pub async fn try_start(wasm: impl AsRef<[u8]>, links: &[Link], budget: Budget) -> Result<Instance, StartError> {
    try_start_as("app", wasm, links, budget).await
}

pub async fn try_start_as(
    name: &str,
    wasm: impl AsRef<[u8]>,
    links: &[Link],
    budget: Budget,
) -> Result<Instance, StartError> {
    let engine = WasmtimeEngine::new().unwrap();
    let bytes = wat::parse_bytes(wasm.as_ref()).unwrap().into_owned();
    let component = LoadedComponent::parse(&engine, bytes).unwrap();
    let linked = link(&component, links, &[]).await?;
    Instance::start(linked, InstanceOptions { name: name.into(), serving: Serving::SINGLETON, budget }).await
}

pub async fn start(wasm: impl AsRef<[u8]>, links: &[Link]) -> Instance {
    try_start(wasm, links, Budget::default()).await.unwrap()
}

pub async fn start_as(name: &str, wasm: impl AsRef<[u8]>, links: &[Link]) -> Instance {
    try_start_as(name, wasm, links, Budget::default()).await.unwrap()
}

/// What keeps it from being linked.
pub async fn link_error(wasm: impl AsRef<[u8]>, links: &[Link]) -> LinkError {
    match try_start(wasm, links, Budget::default()).await {
        Err(StartError::Link(error)) => error,
        other => panic!("{other:?}"),
    }
}

pub async fn call(app: &Instance, function: &str, args: &[Val]) -> Vec<Val> {
    app.exec(function, args, CallOptions::default()).await.unwrap()
}

/// The fault that the call ends in.
pub async fn fault(app: &Instance, function: &str, args: &[Val]) -> Fault {
    match *app.exec(function, args, CallOptions::default()).await.unwrap_err().failure {
        Failure::Failed(fault) => fault,
        other => panic!("{other}"),
    }
}
