//! Links between instances of one process, through the runtime's own API.

use std::sync::Arc;

use isorun_core::{Budget, Failure, Fault};
use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{
    CallOptions, CalleeLink, Instance, InstanceOptions, Link, LinkError, LinkTarget, LoadedComponent, OnFailure,
    Selector, Serving, WasmtimeEngine, link,
};

const KV_APP: &[u8] = include_bytes!("../../../guests/prebuilt/kv-app.wasm");
const KV_PROVIDER: &[u8] = include_bytes!("../../../guests/prebuilt/kv-provider.wasm");

fn options(name: &str, serving: Serving) -> InstanceOptions {
    InstanceOptions { name: name.into(), serving, budget: Budget::default() }
}

async fn start(engine: &WasmtimeEngine, bytes: &[u8], links: &[Link], options: InstanceOptions) -> Instance {
    let component = LoadedComponent::parse(engine, bytes.to_vec()).unwrap();
    let linked = link(&component, links, &[]).await.unwrap();
    Instance::start(linked, options).await.unwrap()
}

fn to(callee: &Instance, selector: &str) -> Link {
    let target = CalleeLink {
        callee: Arc::new(callee.clone()),
        instance: callee.name().into(),
        place: "in this process".into(),
        deadline_ms: 30_000,
        lazy: false,
        on_failure: OnFailure::default(),
    };
    Link { selector: Selector::parse(selector), target: LinkTarget::Callee(target) }
}

#[tokio::test]
async fn an_app_calls_a_provider_with_a_store_of_its_own() {
    let engine = WasmtimeEngine::new().unwrap();
    let kv = start(&engine, KV_PROVIDER, &[], options("kv", Serving::SINGLETON)).await;
    let app = start(&engine, KV_APP, &[to(&kv, "demo:kv/store")], options("app", Serving::SINGLETON)).await;
    for _ in 0..2 {
        let results = app.exec("run", &[Val::U32(40)], CallOptions::default()).await.unwrap();
        assert_eq!(results, [Val::Result(Ok(Some(Box::new(Val::U64(820)))))]);
    }
}

#[tokio::test]
async fn an_import_nobody_linked_is_named_with_its_functions() {
    let engine = WasmtimeEngine::new().unwrap();
    let component = LoadedComponent::parse(&engine, KV_APP.to_vec()).unwrap();
    let error = link(&component, &[], &[]).await.map(drop).unwrap_err();
    let LinkError::Missing { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing[0].interface.as_deref(), Some("demo:kv/store@0.1.0"));
    assert!(error.to_string().contains("get"), "{error}");
}

#[tokio::test]
async fn a_guest_out_of_fuel_gets_a_fresh_store_and_the_next_generation() {
    let engine = WasmtimeEngine::new().unwrap();
    let mut spin = options("spin", Serving::SINGLETON);
    spin.budget.fuel = 1_000_000;
    let bytes = wat::parse_str(include_str!("../../../guests/wat/spin.wat")).unwrap();
    let spin = start(&engine, &bytes, &[], spin).await;
    let function = spin.functions()[0].clone();
    let error = spin.exec(&function, &[], CallOptions::default()).await.unwrap_err();
    assert_eq!(*error.failure, Failure::Failed(Fault::OutOfFuel { limit: 1_000_000 }));
    assert_eq!(spin.generation(), 1);
    spin.exec(&function, &[], CallOptions::default()).await.unwrap_err();
    assert_eq!(spin.generation(), 2);
}
