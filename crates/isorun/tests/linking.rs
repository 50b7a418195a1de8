//! Links that don't hold are found before anything runs, and say what to do.

mod common;

use std::sync::Arc;

use common::{KV_APP, KV_PROVIDER, bounded, kv_app, kv_fixture, kv_provider, leaf, load, run_40, wat_guest};
use isorun::{
    InMemoryKv, InstanceBuilder, InstantiateError, LinkError, Runtime, StartError, TcpTransport, Val, Wasi, WasiDir,
};

async fn refused(builder: InstanceBuilder) -> (LinkError, String) {
    match bounded(builder.instantiate()).await.map(drop).unwrap_err() {
        InstantiateError::Start(StartError::Link(error)) => {
            let told = error.to_string();
            (error, told)
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn one_flag_moves_the_import() {
    let runtime = Runtime::new().unwrap();
    let kv = kv_provider(&runtime, "kv").await;
    run_40(&kv_app(&runtime).link_system("demo:kv/store", kv_fixture()).instantiate().await.unwrap()).await;
    run_40(&kv_app(&runtime).link_local("demo:kv/store", &kv).instantiate().await.unwrap()).await;
    run_40(&kv_app(&runtime).link_local("demo:kv/store@0.1.0", "kv").instantiate().await.unwrap()).await;
    run_40(&kv_app(&runtime).link_local("demo:kv", "kv").instantiate().await.unwrap()).await;
    run_40(&kv_app(&runtime).link_local("*", "kv").instantiate().await.unwrap()).await;
    run_40(&kv_app(&runtime).link_local("demo:kv/store@0.1.7", "kv").instantiate().await.unwrap()).await;
}

#[tokio::test]
async fn what_is_missing_is_listed_with_what_is_on_offer() {
    let runtime = Runtime::new().unwrap();
    let _kv = kv_provider(&runtime, "kv").await;
    let (error, told) = refused(kv_app(&runtime)).await;
    assert!(matches!(error, LinkError::Missing { .. }), "{told}");
    for part in ["not linked:", "demo:kv/store@0.1.0 (", "scan", "on offer:", "demo:kv/store@0.1.0 from instance `kv`"]
    {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[tokio::test]
async fn a_link_for_nothing_names_the_near_import() {
    let runtime = Runtime::new().unwrap();
    let kv = kv_provider(&runtime, "kv").await;
    let builder = kv_app(&runtime).link_local("demo:kv/store", &kv).link_local("demo:kv/stroe", &kv);
    let (error, told) = refused(builder).await;
    assert!(matches!(error, LinkError::NotImported { .. }), "{told}");
    assert!(told.contains("did you mean `demo:kv/store@0.1.0`?"), "{told}");
    let (error, _) = refused(kv_app(&runtime).link_local("*", &kv).link_local("add", &kv)).await;
    assert!(matches!(error, LinkError::NotImported { .. }));
}

#[tokio::test]
async fn the_closest_link_takes_an_import_and_two_as_close_are_refused() {
    let runtime = Runtime::new().unwrap();
    let kv = kv_provider(&runtime, "kv").await;
    let counter = leaf(&runtime, "counter").await;
    let app = kv_app(&runtime).link_local("*", &counter).link_local("demo:kv/store", &kv).instantiate().await.unwrap();
    run_40(&app).await;
    let twice = kv_app(&runtime).link_local("demo:kv/store", &kv).link_system("demo:kv/store", InMemoryKv::new());
    let (error, told) = refused(twice).await;
    assert!(matches!(error, LinkError::LinkedTwice { .. }), "{told}");
    assert!(told.contains("instance `kv` in this process") && told.contains("the host"), "{told}");
}

#[tokio::test]
async fn two_stores_for_one_import_are_refused_and_two_directories_add_up() {
    let runtime = Runtime::new().unwrap();
    let twice = kv_app(&runtime).link_system("demo:kv/store", kv_fixture()).link_system("demo:kv/store", kv_fixture());
    let (error, told) = refused(twice).await;
    assert!(matches!(error, LinkError::LinkedTwice { .. }), "{told}");

    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, two] = folders.each_ref().map(|folder| folder.path());
    std::fs::write(two.join("f"), "second").unwrap();
    let app = runtime.builder(&runtime.load(common::FS_APP).unwrap());
    let app = app.link_system("wasi:filesystem", WasiDir::read_only(one, "/one").unwrap());
    let app = app.link_system("wasi:filesystem", WasiDir::read_only(two, "/two").unwrap()).instantiate().await.unwrap();
    let read = ["read", "/two/f", ""].map(common::text);
    assert_eq!(app.exec("run", &read).await.unwrap(), [common::ok(common::text("second"))]);
}

#[tokio::test]
async fn a_provider_without_the_interface_says_what_it_offers() {
    let runtime = Runtime::new().unwrap();
    let counter = leaf(&runtime, "counter").await;
    let (error, told) = refused(kv_app(&runtime).link_local("demo:kv/store", &counter)).await;
    assert!(matches!(error, LinkError::Bind { .. }), "{told}");
    assert!(told.contains("it offers: test:counter/counter@0.1.0"), "{told}");
    let (error, told) =
        refused(runtime.builder(&load(&runtime, "counter-app")).link_system("*", InMemoryKv::new())).await;
    assert!(matches!(error, LinkError::NotOffered { .. }), "{told}");
    assert!(told.contains("it offers: demo:kv/store@0.1.0"), "{told}");
}

#[tokio::test]
async fn every_difference_of_types_is_printed_with_its_path() {
    let runtime = Runtime::new().unwrap();
    let provider = wat::parse_str(
        r#"(component
          (core module $m
            (func (export "add") (param i32) (result i32) (local.get 0))
            (func (export "slow-add") (param i64 i32) (result i64) (local.get 0)))
          (core instance $i (instantiate $m))
          (func $add (param "m" u32) (result u32) (canon lift (core func $i "add")))
          (func $slow-add (param "spins" u64) (param "n" u32) (result u64) (canon lift (core func $i "slow-add")))
          (instance $c (export "add" (func $add)) (export "slow-add" (func $slow-add)))
          (export "test:counter/counter@0.1.0" (instance $c)))"#,
    )
    .unwrap();
    let provider = runtime.load(provider).unwrap();
    let provider = runtime.builder(&provider).name("other").instantiate().await.unwrap();
    let app = load(&runtime, "counter-app");
    let (_, told) = refused(runtime.builder(&app).link_local("test:counter/counter", &provider)).await;
    for part in ["counter.add", "counter.slow-add", "counter.get", "u64 here, u32 there", "`other`"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[tokio::test]
async fn what_no_link_carries_is_refused_with_the_reason() {
    let runtime = Runtime::new().unwrap();
    let kv = kv_provider(&runtime, "kv").await;
    for (guest, reason) in [("resource-app", "handle"), ("stream-app", "stream")] {
        let component = load(&runtime, guest);
        let (error, told) = refused(runtime.builder(&component).link_local("*", &kv)).await;
        assert!(matches!(error, LinkError::NotCarried { .. }), "{guest}: {told}");
        assert!(told.contains(reason), "{guest}: {told}");
    }
}

#[tokio::test]
async fn functions_at_the_root_are_linked_by_name() {
    let runtime = Runtime::new().unwrap();
    let callee = leaf(&runtime, "bench-callee").await;
    let caller = load(&runtime, "bench-caller");
    let each = ["add", "echo-string", "echo-bytes", "sum", "get"];
    let builder = each.iter().fold(runtime.builder(&caller), |builder, name| builder.link_local(name, &callee));
    let app = builder.instantiate().await.unwrap();
    for name in each {
        app.exec(&format!("run-{name}"), &[Val::U32(3)]).await.unwrap();
    }
    let (_, told) = refused(runtime.builder(&caller).link_local("add", &callee).link_local("sum", &callee)).await;
    assert!(told.contains("echo-string, echo-bytes, get"), "{told}");
}

#[tokio::test]
async fn wasi_is_granted_by_name_and_the_harmless_rest_is_empty() {
    let runtime = Runtime::new().unwrap();
    for (guest, grant) in [("wasi-clocks", "--wasi clocks"), ("wasi-random", "--wasi random")] {
        let component = load(&runtime, guest);
        let (error, told) = refused(runtime.builder(&component)).await;
        assert!(matches!(error, LinkError::Missing { .. }), "{told}");
        assert!(told.contains(grant), "{told}");
        let (_, told) = refused(runtime.builder(&component).link_system("*", InMemoryKv::new())).await;
        assert!(told.contains(grant), "`*` must not take WASI: {told}");
        let granted = runtime.builder(&component).wasi(Wasi::inert().clocks().random());
        granted.instantiate().await.unwrap();
    }
    leaf(&runtime, "wasi-types").await;
    leaf(&runtime, "cli-ok").await;
}

#[tokio::test]
async fn a_lazy_link_binds_at_its_first_call() {
    let runtime = Runtime::new().unwrap();
    let app = kv_app(&runtime).link_local("demo:kv/store", "kv").lazy().instantiate().await.unwrap();
    let error = app.exec("run", &[Val::U32(1)]).await.unwrap_err().to_string();
    assert!(error.contains("no such instance: `kv`"), "{error}");
    kv_provider(&runtime, "kv").await;
    run_40(&app).await;

    // A port that nobody listens on: bound by a socket that never listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nowhere = Arc::new(TcpTransport::new(&format!("tcp://{}", socket.local_addr().unwrap())).unwrap());
    let (_, told) = refused(kv_app(&runtime).link_remote("demo:kv/store", nowhere.clone(), "kv")).await;
    assert!(told.contains("cannot reach tcp://127.0.0.1:"), "{told}");
    let app = kv_app(&runtime).link_remote("demo:kv/store", nowhere, "kv").lazy().instantiate().await.unwrap();
    let error = app.exec("run", &[Val::U32(1)]).await.unwrap_err().to_string();
    assert!(error.contains("not sent: "), "{error}");
}

#[tokio::test]
async fn an_older_consumer_is_served_by_a_newer_patch_and_not_by_another_track() {
    let runtime = Runtime::new().unwrap();
    let renamed = |version: &str| {
        let text = std::str::from_utf8(include_bytes!("../../../guests/wat/counter.wat")).unwrap();
        wat::parse_str(text.replace("counter@0.1.0", &format!("counter@{version}"))).unwrap()
    };
    let app = load(&runtime, "counter-app");
    for (version, serves) in [("0.1.9", true), ("0.2.0", false), ("1.1.0", false)] {
        let provider = runtime.load(renamed(version)).unwrap();
        let provider = runtime.builder(&provider).instantiate().await.unwrap();
        let linked = runtime.builder(&app).link_local("test:counter/counter", &provider).instantiate().await;
        assert_eq!(linked.is_ok(), serves, "{version}");
    }
}

#[tokio::test]
async fn checking_links_starts_nothing() {
    let runtime = Runtime::new().unwrap();
    let spin = runtime.builder(&load(&runtime, "spin-at-start"));
    bounded(spin.check()).await.unwrap();
    let app = runtime.builder(&runtime.load(KV_APP).unwrap());
    assert!(app.check().await.is_err());
    assert!(runtime.load(KV_PROVIDER).is_ok() && runtime.load(wat_guest("counter")).is_ok());
}

#[tokio::test]
async fn a_package_that_nothing_is_imported_of_is_a_mistake_unless_it_is_a_grant() {
    let runtime = Runtime::new().unwrap();
    let kv = kv_provider(&runtime, "kv").await;
    let (error, told) = refused(kv_app(&runtime).link_local("*", &kv).link_local("demo:vk", &kv)).await;
    assert!(matches!(error, LinkError::NotImported { .. }), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let granted = kv_app(&runtime).link_local("*", &kv);
    let granted = granted.link_system("wasi:filesystem", WasiDir::read_only(folder.path(), "/d").unwrap());
    run_40(&granted.instantiate().await.unwrap()).await;
}
