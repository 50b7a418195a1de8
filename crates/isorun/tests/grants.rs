//! Links, mounts and serving ask the grants.

mod common;

use std::sync::Arc;

use common::{FS_APP, KV_PROVIDER, bounded, kv_app, kv_fixture, kv_provider, run_40, serve_channel};
use isorun::{
    Audience, BindRequest, Capability, Decision, Grants, InMemoryKv, InstanceBuilder, InstantiateError, PeerIdentity,
    Runtime, Wasi, WasiDir, WasiFeature,
};

/// Why it is not granted.
async fn reasons(builder: InstanceBuilder) -> Vec<String> {
    match builder.check().await {
        Err(InstantiateError::NotGranted { reasons }) => reasons,
        Ok(()) => Vec::new(),
        Err(other) => panic!("{other}"),
    }
}

fn store() -> Capability {
    Capability::of("demo:kv/store@0.1.0")
}

#[tokio::test]
async fn what_a_description_names_is_granted_and_each_decision_says_by_what() {
    let runtime = Runtime::new().unwrap();
    let app = kv_app(&runtime).link_system("demo:kv/store", kv_fixture()).wasi(Wasi::inert().clocks());
    let decisions: Vec<_> = app.decisions().iter().map(Decision::to_string).collect();
    assert_eq!(decisions, ["allowed: `--link demo:kv/store=the host`", "allowed: `--wasi clocks`"]);
    run_40(&app.instantiate().await.unwrap()).await;
}

#[tokio::test]
async fn a_link_that_the_embedder_does_not_grant_is_refused_before_anything_runs() {
    let runtime = Runtime::new().unwrap();
    let kv = InMemoryKv::new();
    let app = kv_app(&runtime).link_system("*", kv.clone());
    let [reason] = &reasons(app.clone().grants(Grants::new())).await[..] else { panic!() };
    assert!(reason.contains("is not linked; `--link demo:kv/store@0.1.0=PLACE` grants it"), "{reason}");
    assert!(app.clone().grants(Grants::new()).instantiate().await.is_err());

    let granted = Grants::new().link("demo:kv/store", "anywhere");
    assert_eq!(reasons(app.grants(granted)).await, [""; 0]);
}

#[tokio::test]
async fn a_grant_of_some_functions_is_not_a_grant_of_all() {
    let runtime = Runtime::new().unwrap();
    let app = kv_app(&runtime).link_system("demo:kv/store", kv_fixture());
    let some = Grants::new().link(store().functions(["get", "scan"]), "the host");
    assert_eq!(reasons(app.clone().grants(some.clone())).await.len(), 1);
    let all = some.link(store().functions(["put", "clear"]), "the host");
    assert_eq!(reasons(app.grants(all)).await, [""; 0]);
}

#[tokio::test]
async fn a_folder_and_a_part_of_wasi_must_be_granted_as_they_are() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = WasiDir::read_write(folder.path(), "/data").unwrap();
    let read_only = WasiDir::read_only(folder.path(), "/data").unwrap();
    let app = runtime.builder(&runtime.load(FS_APP).unwrap()).link_system("wasi:filesystem", dir.clone());

    let refused = reasons(app.clone().grants(Grants::new().mount(read_only.mount().clone()))).await;
    let [reason] = &refused[..] else { panic!("{refused:?}") };
    assert!(reason.contains("read-write") && reason.contains("--dir"), "{reason}");
    let granted = Grants::new().mount(dir.mount().clone());
    assert_eq!(reasons(app.clone().grants(granted.clone())).await, [""; 0]);

    let app = app.wasi(Wasi::inert().random());
    assert!(reasons(app.clone().grants(granted.clone())).await[0].contains("`--wasi random` grants it"));
    assert_eq!(reasons(app.grants(granted.wasi(WasiFeature::Random))).await, [""; 0]);
}

#[tokio::test]
async fn only_the_functions_that_are_served_bind_here_and_on_a_peer() {
    let host = Runtime::new().unwrap();
    let kv = kv_provider(&host, "kv").await;
    let readers = store().functions(["get", "scan"]);
    host.register_instance_with("readable", &kv, &readers, Audience::Anyone).unwrap();
    let (transport, _) = serve_channel(&host);

    let far = kv_app(&Runtime::new().unwrap()).link_remote("demo:kv/store", transport.clone(), "readable");
    let near = kv_app(&host).link_local("demo:kv/store", "readable");
    for refused in [far, near] {
        let error = bounded(refused.instantiate()).await.err().unwrap().to_string();
        assert!(error.contains("unauthorised"), "{error}");
        assert!(error.contains("of instance `readable` is not served to"), "{error}");
        assert!(error.contains("its operator grants it by serving that function"), "{error}");
    }

    let all = store().functions(["get", "put", "scan", "clear"]);
    host.register_instance_with("whole", &kv, &all, Audience::Anyone).unwrap();
    let app = kv_app(&Runtime::new().unwrap()).link_remote("demo:kv/store", transport, "whole");
    run_40(&bounded(app.instantiate()).await.unwrap()).await;
}

#[tokio::test]
async fn an_instance_is_served_to_its_audience_by_what_the_caller_proved() {
    let host = Runtime::new().unwrap();
    let kv = kv_provider(&host, "kv").await;
    host.register_instance_with("for-ada", &kv, &Capability::everything(), Audience::Named("ada".into())).unwrap();
    host.register_instance_for("for-us", &kv, Audience::SameProcess).unwrap();
    let (transport, _) = serve_channel(&host);
    let app = kv_app(&host);
    let link = |id: &str| app.clone().link_remote("demo:kv/store", Arc::clone(&transport), id);
    let error = bounded(link("for-ada").instantiate()).await.err().unwrap().to_string();
    assert!(error.contains("unauthorised: instance `for-ada` is not served to"), "{error}");
    run_40(&bounded(link("for-us").instantiate()).await.unwrap()).await;
}

#[tokio::test]
async fn each_of_several_callers_is_served_what_it_was_allowed_and_told_what_would_allow_more() {
    let host = Runtime::new().unwrap();
    let named = |name: &str| Audience::Named(name.into());
    let builder = host.builder(&host.load(KV_PROVIDER).unwrap()).register_as("kv");
    let builder = builder.allow(store().functions(["get"]), named("reader")).allow(store(), named("writer"));
    let kv = builder.allow(store().functions(["scan"]), named("reader")).instantiate().await.unwrap();

    let bind = async |name: &str, function: &str| {
        let caller = PeerIdentity::Authenticated { name: name.into() };
        let hash = kv.ledger().exported(&format!("demo:kv/store#{function}")).unwrap().1.hash;
        let interface = Some("demo:kv/store@0.1.0".into());
        let want = BindRequest { interface, functions: vec![(function.into(), hash)] };
        let found = host.directory().find("kv", &caller);
        match found {
            Ok(found) => found.bind(&want).await.map(drop).map_err(|failure| failure.to_string()),
            Err(failure) => Err(failure.to_string()),
        }
    };
    for (name, function) in [("reader", "get"), ("reader", "scan"), ("writer", "get"), ("writer", "clear")] {
        assert_eq!(bind(name, function).await, Ok(()), "{name} {function}");
    }
    let error = bind("reader", "clear").await.unwrap_err();
    assert!(error.contains("`demo:kv/store@0.1.0#clear` of instance `kv` is not served to reader"), "{error}");
    assert!(error.contains("`--allow reader=demo:kv/store@0.1.0#clear`"), "{error}");
    let error = bind("stranger", "get").await.unwrap_err();
    assert!(error.contains("unauthorised") && error.contains("`--allow stranger`"), "{error}");
    let anonymous = PeerIdentity::Anonymous { address: "tcp://127.0.0.1:1".into() };
    assert!(host.directory().find("kv", &anonymous).is_err());
}
