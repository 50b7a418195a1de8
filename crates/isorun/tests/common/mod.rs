//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod flow;

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use isorun::{
    Budget, InMemoryKv, InstanceBuilder, InstanceHandle, LoadedComponent, LocalChannelTransport, QuicTransport,
    QuicTransportListener, Runtime, Transport, Val,
};
use isorun_tls::Credentials;
use isorun_tls::issue::{Authority, NodeRequest};

pub const KV_APP: &[u8] = include_bytes!("../../../../guests/prebuilt/kv-app.wasm");
pub const KV_PROVIDER: &[u8] = include_bytes!("../../../../guests/prebuilt/kv-provider.wasm");
pub const FS_APP: &[u8] = include_bytes!("../../../../guests/prebuilt/fs-app.wasm");

/// The bytes of a guest that is written as text.
pub fn wat_guest(name: &str) -> Vec<u8> {
    let path = format!("{}/../../guests/wat/{name}.wat", env!("CARGO_MANIFEST_DIR"));
    wat::parse_file(path).unwrap()
}

pub fn load(runtime: &Runtime, name: &str) -> LoadedComponent {
    runtime.load(wat_guest(name)).unwrap()
}

/// An instance without links.
pub async fn leaf(runtime: &Runtime, name: &str) -> InstanceHandle {
    runtime.builder(&load(runtime, name)).name(name).instantiate().await.unwrap()
}

/// The key-value store with the rules that the app expects.
pub fn kv_fixture() -> InMemoryKv {
    InMemoryKv::new().deny("denied").absent_is_error("missing")
}

pub fn ok(val: Val) -> Val {
    Val::Result(Ok(Some(Box::new(val))))
}

pub fn err(val: Val) -> Val {
    Val::Result(Err(Some(Box::new(val))))
}

pub fn text(text: &str) -> Val {
    Val::String(text.into())
}

/// Runs the app's whole scenario and expects its answer.
pub async fn run_40(app: &InstanceHandle) {
    assert_eq!(app.exec("run", &[Val::U32(40)]).await.unwrap(), [ok(Val::U64(820))]);
}

pub fn small(budget: impl FnOnce(&mut Budget)) -> Budget {
    let mut made = Budget::default();
    budget(&mut made);
    made
}

/// Serves `runtime`'s registered instances on one end of a channel; the other end, and its count of frames.
pub fn serve_channel(runtime: &Runtime) -> (Arc<dyn Transport>, isorun::FrameCounter) {
    let (near, far) = LocalChannelTransport::pair();
    let counter = near.counter();
    let runtime = runtime.clone();
    tokio::spawn(async move { runtime.serve(Box::new(far)).await });
    (Arc::new(near), counter)
}

/// Serves `runtime`'s registered instances over QUIC; a transport that reaches them.
pub async fn serve_quic(runtime: &Runtime) -> Arc<dyn Transport> {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test", 1).unwrap();
    let issue = |name: &str| {
        let node = NodeRequest::new(name.parse().unwrap()).ip(Ipv4Addr::LOCALHOST.into());
        Credentials::open(authority.issue(&node).unwrap().write(folder.path(), false).unwrap()).unwrap()
    };
    let listener = QuicTransportListener::bind("quic://127.0.0.1:0", issue("far")).await.unwrap();
    let transport = QuicTransport::to(listener.local_address().clone(), issue("near"));
    let runtime = runtime.clone();
    tokio::spawn(async move {
        runtime.serve(Box::new(listener)).await;
        drop(folder);
    });
    Arc::new(transport)
}

/// Nothing here may hang: a test that does fails instead.
pub async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("the test hangs")
}

pub fn kv_app(runtime: &Runtime) -> InstanceBuilder {
    runtime.builder(&runtime.load(KV_APP).unwrap()).name("app")
}

pub async fn kv_provider(runtime: &Runtime, id: &str) -> InstanceHandle {
    runtime.builder(&runtime.load(KV_PROVIDER).unwrap()).register_as(id).instantiate().await.unwrap()
}
