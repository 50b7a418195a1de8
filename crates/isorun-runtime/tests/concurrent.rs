//! Values of `async` functions, in every number of core values, by both codecs and however an instance serves.

use std::sync::Arc;

use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{
    CallOptions, CalleeLink, Codec, EngineOptions, Instance, InstanceOptions, Link, LinkTarget, LoadedComponent,
    OnFailure, Selector, Serving, WasmtimeEngine, link,
};

fn engine(codec: Codec) -> WasmtimeEngine {
    WasmtimeEngine::with_options(EngineOptions::default().codec(codec)).unwrap()
}

async fn started(engine: &WasmtimeEngine, guest: &str, serving: Serving, links: &[Link]) -> Instance {
    let path = format!("{}/../../guests/wat/{guest}.wat", env!("CARGO_MANIFEST_DIR"));
    let component = LoadedComponent::parse(engine, wat::parse_file(path).unwrap()).unwrap();
    let linked = link(&component, links, &[]).await.unwrap();
    let options = InstanceOptions { name: guest.into(), serving, budget: isorun_core::Budget::default() };
    Instance::start(linked, options).await.unwrap()
}

fn to(callee: &Instance) -> Link {
    let link = CalleeLink {
        callee: Arc::new(callee.clone()),
        instance: "values".into(),
        place: "in this process".into(),
        deadline_ms: 20_000,
        lazy: false,
        on_failure: OnFailure::Trap,
    };
    Link { selector: Selector::Rest, target: LinkTarget::Callee(link) }
}

fn counted(n: u32, count: u32) -> Val {
    Val::Tuple((n..n + count).map(Val::U32).collect())
}

/// Calls every function, and expects what it was made to say.
async fn check(instance: &Instance, names: &[&str]) {
    let text = "ein Text: über 16 Zeichen, 日本語".to_owned();
    let mix = [Val::U8(200), Val::U64(u64::MAX), Val::Float32(-0.5), Val::String(text)];
    let many: Vec<Val> = (0..17).map(|n| Val::U32(u32::MAX - n)).collect();
    let sum = (0..17).map(|n| u64::from(u32::MAX - n)).sum();
    for name in names {
        let (args, expected) = match name.trim_end_matches("-now") {
            "f16" | "s16" => (vec![Val::U32(100)], vec![counted(100, 16)]),
            "f17" => (vec![Val::U32(100)], vec![counted(100, 17)]),
            "five" => (mix.to_vec(), vec![Val::Tuple(mix.to_vec())]),
            "many" => (many.clone(), vec![Val::U64(sum)]),
            "nothing" => (vec![], vec![]),
            other => panic!("{other}"),
        };
        let called = instance.exec(name, &args, CallOptions { deadline_ms: 20_000 }).await;
        assert_eq!(called.unwrap(), expected, "{name} of {}", instance.name());
    }
}

const NAMES: [&str; 6] = ["f16", "f17", "s16", "five", "many", "nothing"];

#[tokio::test]
async fn values_of_async_functions_arrive_whatever_the_number_of_core_values() {
    for codec in [Codec::Direct, Codec::Interpreted] {
        let engine = engine(codec);
        for serving in [Serving::SINGLETON, Serving::PER_CALL, Serving::pool(1)] {
            let values = started(&engine, "flow-values", serving, &[]).await;
            let app = started(&engine, "flow-values-app", serving, &[to(&values)]).await;
            // More than once, for stores that are kept.
            for _ in 0..2 {
                check(&values, &NAMES).await;
                check(&app, &NAMES).await;
                check(&app, &["five-now", "many-now"]).await;
            }
        }
    }
}

#[tokio::test]
async fn a_component_of_either_engine_calls_one_of_the_other() {
    let engine = engine(Codec::Direct);
    let plain = r#"(component
        (core module $M (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))
        (core instance $m (instantiate $M))
        (func (export "f") (param "n" u32) (result u32) (canon lift (core func $m "f"))))"#;
    let between = |word: &str| {
        format!(
            r#"(component
            (import "f" (func $f (param "n" u32) (result u32)))
            (core func $f' (canon lower (func $f)))
            (core module $M (import "" "f" (func $f (param i32) (result i32)))
                (func (export "f") (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.const 10)))
                (func (export "g")))
            (core instance $m (instantiate $M (with "" (instance (export "f" (func $f'))))))
            (func (export "f") (param "n" u32) (result u32) (canon lift (core func $m "f")))
            (func (export "g") {word} (canon lift (core func $m "g"))))"#
        )
    };
    let start = async |text: &str, serving, links: &[Link]| {
        let component = LoadedComponent::parse(&engine, wat::parse_str(text).unwrap()).unwrap();
        let linked = link(&component, links, &[]).await.unwrap();
        let options = InstanceOptions { name: "it".into(), serving, budget: isorun_core::Budget::default() };
        Instance::start(linked, options).await.unwrap()
    };
    for serving in [Serving::SINGLETON, Serving::PER_CALL] {
        let mut last = start(plain, serving, &[]).await;
        for word in ["async", "", "async", "async", ""] {
            last = start(&between(word), serving, &[to(&last)]).await;
        }
        let options = CallOptions { deadline_ms: 20_000 };
        assert_eq!(last.exec("f", &[Val::U32(0)], options).await.unwrap(), [Val::U32(51)]);
    }
}
