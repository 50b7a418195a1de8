//! Stores whose room is made in advance: as many as were asked for, and not one more.

mod common;

use common::bounded;
use isorun::{EngineOptions, InstanceHandle, InstantiateError, LoadedComponent, Runtime, Serving, Val};

/// Of 40 core instances, which is more than most components have and less than a budget allows.
fn many_parts(runtime: &Runtime) -> LoadedComponent {
    let parts: String = (0..40).map(|n| format!("(core instance $m{n} (instantiate $M))")).collect();
    let wat = format!(
        r#"(component
            (core module $M (func (export "one") (result i32) (i32.const 1)))
            {parts}
            (func (export "one") (result u32) (canon lift (core func $m0 "one"))))"#
    );
    runtime.load(wat::parse_str(wat).unwrap()).unwrap()
}

async fn start(runtime: &Runtime, component: &LoadedComponent) -> Result<InstanceHandle, InstantiateError> {
    runtime.builder(component).instantiate().await
}

#[tokio::test]
async fn as_many_stores_start_as_there_is_room_for_and_one_more_is_refused() {
    let runtime = Runtime::with_options(EngineOptions::default().pooled_stores(3)).unwrap();
    let component = many_parts(&runtime);
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(start(&runtime, &component).await.unwrap());
    }
    let refused = start(&runtime, &component).await.unwrap_err().to_string();
    assert!(refused.contains("overloaded") && refused.contains("stores at once in this engine"), "{refused}");
    assert!(refused.contains('3'), "{refused}");
    for instance in &all {
        assert_eq!(bounded(instance.exec("one", &[])).await.unwrap(), [Val::U32(1)]);
    }
    // Room that is given back is there for the next.
    drop(all.pop());
    start(&runtime, &component).await.unwrap();
}

#[tokio::test]
async fn a_store_for_each_call_gives_its_room_back() {
    let runtime = Runtime::with_options(EngineOptions::default().pooled_stores(1)).unwrap();
    let component = many_parts(&runtime);
    let instance = runtime.builder(&component).serving(Serving::PER_CALL).instantiate().await.unwrap();
    for _ in 0..200 {
        assert_eq!(bounded(instance.exec("one", &[])).await.unwrap(), [Val::U32(1)]);
    }
    assert_eq!(instance.generation(), 201);
}
