//! `async` functions: many calls out of one instance and into one, here and far away.

mod common;

use common::flow::{GATE, Gate, LATER, Placed, placed, provider};
use common::{bounded, load, serve_channel};
use isorun::{Budget, CallOptions, Failure, InstantiateError, LinkError, Runtime, Serving, StartError, Val};

const FETCH: &str = "test:flow/later#fetch";
const COUNT: &str = "test:flow/later#count";

/// What fetching 0 to n - 1 comes to.
fn sum(n: u64) -> Val {
    Val::U64((0..n).map(|n| 2 * n + 1).sum())
}

#[tokio::test]
async fn sixty_four_calls_are_in_flight_from_one_instance_and_into_one() {
    for Placed { place, app, provider, gate, .. } in placed(64, Budget::default(), Serving::SINGLETON).await {
        assert_eq!(bounded(app.exec("fan", &[Val::U32(64)])).await.unwrap(), [sum(64)], "{place}");
        assert_eq!(gate.peak(), 64, "{place}");
        assert_eq!((app.generation(), provider.generation()), (1, 1));
        assert_eq!(provider.exec(COUNT, &[]).await.unwrap(), [Val::U32(64)]);
        assert_eq!((app.in_flight(), provider.in_flight()), (0, 0));
    }
}

#[tokio::test]
async fn several_callers_are_in_one_instance_with_many_calls_each() {
    for Placed { place, app, gate, .. } in placed(100, Budget::default(), Serving::SINGLETON).await {
        let fans = (0..10).map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.exec("fan", &[Val::U32(10)]).await })
        });
        for fan in fans.collect::<Vec<_>>() {
            assert_eq!(bounded(fan).await.unwrap().unwrap(), [sum(10)], "{place}");
        }
        assert_eq!((gate.peak(), app.generation()), (100, 1), "{place}");
    }
}

#[tokio::test]
async fn thousands_of_calls_leave_nothing_behind_and_neither_does_the_instance() {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::of(1);
    let provider = provider(&runtime, &gate).instantiate().await.unwrap();
    // More than the handles that the engine lets a guest have.
    for n in 0..3_000 {
        assert_eq!(bounded(provider.exec(FETCH, &[Val::U32(n)])).await.unwrap(), [Val::U32(2 * n + 1)]);
    }
    assert_eq!(provider.generation(), 1);
    drop((provider, runtime));
    // The task that had its store ends, and with it the store and all that its links held.
    bounded(async {
        while gate.is_shared() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn each_policy_serves_async_functions() {
    for serving in [Serving::PER_CALL, Serving::pool(2)] {
        for Placed { place, app, gate, .. } in placed(32, Budget::default(), serving).await {
            assert_eq!(bounded(app.exec("fan", &[Val::U32(32)])).await.unwrap(), [sum(32)], "{place}");
            assert_eq!(bounded(app.exec("one", &[Val::U32(20)])).await.unwrap(), [Val::U32(41)], "{place}");
            assert_eq!(gate.peak(), 32, "{place}");
        }
    }
}

#[tokio::test]
async fn a_function_that_is_not_async_is_called_beside_calls_that_wait() {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::of(2);
    let provider = provider(&runtime, &gate).instantiate().await.unwrap();
    let fetch = |n| {
        let provider = provider.clone();
        tokio::spawn(async move { provider.exec(FETCH, &[Val::U32(n)]).await.unwrap() })
    };
    let first = fetch(1);
    gate.holds(1).await;
    assert_eq!(bounded(provider.exec(COUNT, &[])).await.unwrap(), [Val::U32(1)]);
    assert_eq!(provider.in_flight(), 1);
    let second = fetch(2);
    assert_eq!(bounded(first).await.unwrap(), [Val::U32(3)]);
    assert_eq!(bounded(second).await.unwrap(), [Val::U32(5)]);
}

#[tokio::test]
async fn many_calls_go_down_a_chain_of_async_functions() {
    let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let gate = Gate::of(16);
    let last = provider(&there, &gate).register_as("last").instantiate().await.unwrap();
    let (transport, _) = serve_channel(&there);
    let middle = here.builder(&load(&here, "flow-app")).link_remote(LATER, transport, "last").name("middle");
    let middle = middle.instantiate().await.unwrap();
    let first = here.builder(&load(&here, "flow-provider")).link_local(GATE, &middle).name("first");
    let first = first.instantiate().await.unwrap();
    let app = here.builder(&load(&here, "flow-app")).link_local(LATER, &first).name("app");
    let app = app.instantiate().await.unwrap();
    // Each of two providers adds one.
    let expected = Val::U64((0..16).map(|n| 2 * n + 2).sum());
    assert_eq!(bounded(app.exec("fan", &[Val::U32(16)])).await.unwrap(), [expected]);
    assert_eq!((gate.peak(), last.generation()), (16, 1));
}

#[tokio::test]
async fn an_async_function_may_be_called_back_into_the_instance_that_waits() {
    let runtime = Runtime::new().unwrap();
    let (transport, _) = serve_channel(&runtime);
    // The app is linked when it is there.
    let provider = runtime.builder(&load(&runtime, "flow-provider")).link_remote(GATE, transport, "app").lazy();
    let provider = provider.name("later").instantiate().await.unwrap();
    let app = runtime.builder(&load(&runtime, "flow-app")).link_local(LATER, &provider);
    let app = app.register_as("app").instantiate().await.unwrap();
    app.exec("echo", &[]).await.unwrap();
    assert_eq!(bounded(app.exec("fan", &[Val::U32(8)])).await.unwrap(), [sum(8)]);
    // Without an end, the chain ends it.
    let app = runtime.builder(&load(&runtime, "flow-app")).link_local(LATER, &provider);
    let app = app.name("another").instantiate().await.unwrap();
    assert_eq!(bounded(app.exec("fan", &[Val::U32(1)])).await.unwrap(), [sum(1)]);
}

#[tokio::test]
async fn a_function_that_is_async_on_one_side_alone_is_another_type() {
    let runtime = Runtime::new().unwrap();
    let sides = |word: &str| {
        let import = format!(
            r#"(component (import "demo:x/y@0.1.0" (instance (export "f" (func {word} (param "n" u32) (result u32))))))"#
        );
        let export = format!(
            r#"(component (core module $M (func (export "f") (param i32) (result i32) (local.get 0)))
            (core instance $m (instantiate $M))
            (func $f {word} (param "n" u32) (result u32) (canon lift (core func $m "f")))
            (instance $i (export "f" (func $f))) (export "demo:x/y@0.1.0" (instance $i)))"#
        );
        (wat::parse_str(import).unwrap(), wat::parse_str(export).unwrap())
    };
    let words = [("", "func"), ("async", "async func")];
    for (word, here) in words {
        for (other, there) in words {
            let ((import, _), (_, export)) = (sides(word), sides(other));
            let callee = runtime.builder(&runtime.load(export).unwrap()).name("callee").instantiate().await.unwrap();
            let component = runtime.load(import).unwrap();
            let linked = runtime.builder(&component).link_local("*", &callee).instantiate().await;
            if word == other {
                linked.unwrap();
                continue;
            }
            let InstantiateError::Start(StartError::Link(error)) = linked.unwrap_err() else { panic!("not a link") };
            assert!(matches!(error, LinkError::Incompatible { .. }), "{error}");
            assert!(error.to_string().contains(&format!("y.f: {here} here, {there} there")), "{error}");
        }
    }
}

#[tokio::test]
async fn a_function_that_is_not_async_cannot_wait_for_one_that_is() {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::of(1);
    let provider = provider(&runtime, &gate).instantiate().await.unwrap();
    let app = runtime.builder(&load(&runtime, "async-app")).link_local("*", &provider).instantiate().await.unwrap();
    let error = bounded(app.exec_with("run", &[], CallOptions::default())).await.unwrap_err();
    let Failure::Failed(fault) = &*error.failure else { panic!("{error}") };
    assert!(fault.to_string().contains("block"), "{fault}");
}

#[tokio::test]
async fn a_fused_provider_serves_many_calls_at_once_in_its_consumers_store() {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::of(64);
    let provider = load(&runtime, "flow-provider");
    let app = runtime.builder(&load(&runtime, "flow-app")).link_fused(LATER, &provider);
    let app = app.link_system(GATE, gate.clone()).instantiate().await.unwrap();
    assert_eq!(bounded(app.exec("fan", &[Val::U32(64)])).await.unwrap(), [sum(64)]);
    assert_eq!((gate.peak(), app.generation()), (64, 1));
}
