//! Guests that use up their stacks, one calling the next: each has its own, and the process outlives them all.

mod common;

use common::bounded;
use isorun::{Failure, Fault, InstanceHandle, Runtime, Val};
use isorun_core::CHAIN_MAX;

/// Recurses as deep as it is told, and calls its import from there.
const NODE: &str = r#"(component
    (import "next" (func $next (param "depth" u32) (result u32)))
    (core func $next' (canon lower (func $next)))
    (core module $M
        (import "" "next" (func $next (param i32) (result i32)))
        (func $down (param $left i32) (param $depth i32) (result i32)
            (if (result i32) (local.get $left)
                (then (i32.add (i32.const 1) (call $down (i32.sub (local.get $left) (i32.const 1)) (local.get $depth))))
                (else (call $next (local.get $depth)))))
        (func (export "next") (param i32) (result i32) (call $down (local.get 0) (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "next" (func $next'))))))
    (func (export "next") (param "depth" u32) (result u32) (canon lift (core func $m "next"))))"#;

/// Recurses as deep as it is told.
const LEAF: &str = r#"(component
    (core module $M
        (func $down (export "next") (param $left i32) (result i32)
            (if (result i32) (local.get $left)
                (then (i32.add (i32.const 1) (call $down (i32.sub (local.get $left) (i32.const 1)))))
                (else (i32.const 0)))))
    (core instance $m (instantiate $M))
    (func (export "next") (param "depth" u32) (result u32) (canon lift (core func $m "next"))))"#;

async fn node(runtime: &Runtime, next: &InstanceHandle) -> InstanceHandle {
    let component = runtime.load(wat::parse_str(NODE).unwrap()).unwrap();
    runtime.builder(&component).link_local("next", next).instantiate().await.unwrap()
}

async fn leaf(runtime: &Runtime, wat: &str) -> InstanceHandle {
    let component = runtime.load(wat::parse_str(wat).unwrap()).unwrap();
    runtime.builder(&component).instantiate().await.unwrap()
}

async fn goes(instance: &InstanceHandle, depth: u32) -> Result<Val, Failure> {
    let mut results = bounded(instance.exec("next", &[Val::U32(depth)])).await.map_err(|error| *error.failure)?;
    Ok(results.remove(0))
}

/// How deep a chain may go, each of its guests as deep as the others.
async fn deepest(instance: &InstanceHandle) -> u32 {
    let (mut fits, mut too_deep) = (0_u32, 1 << 20);
    while too_deep - fits > 16 {
        let depth = fits.midpoint(too_deep);
        match goes(instance, depth).await {
            Ok(_) => fits = depth,
            Err(_) => too_deep = depth,
        }
    }
    assert!(fits > 1_000, "{fits}");
    fits
}

#[tokio::test]
async fn a_leaf_called_from_the_bottom_of_a_full_stack_has_a_stack_of_its_own() {
    let runtime = Runtime::new().unwrap();
    let leaf = leaf(&runtime, LEAF).await;
    let app = node(&runtime, &leaf).await;
    let depth = deepest(&app).await;
    // Over and over: both stacks are in use to the end.
    for _ in 0..20 {
        assert_eq!(goes(&app, depth).await, Ok(Val::U32(2 * depth)));
    }
}

#[tokio::test]
async fn a_leaf_that_recurses_without_end_loses_its_store_and_nothing_else() {
    let endless = LEAF.replace("(local.get $left)\n                (then", "(i32.const 1)\n                (then");
    assert_ne!(endless, LEAF);
    let runtime = Runtime::new().unwrap();
    let (good, bad) = (leaf(&runtime, LEAF).await, leaf(&runtime, &endless).await);
    let depth = deepest(&node(&runtime, &good).await).await;
    let app = node(&runtime, &bad).await;
    for round in 1..=20 {
        let failure = goes(&app, depth).await.unwrap_err();
        let Failure::Failed(Fault::Trapped { message }) = &failure else { panic!("{failure}") };
        assert!(message.contains("call stack exhausted"), "{message}");
        assert_eq!(bad.generation(), round);
    }
    assert_eq!(goes(&good, 7).await, Ok(Val::U32(7)));
}

#[tokio::test]
async fn a_leaf_is_the_last_of_the_longest_chain_and_not_one_more() {
    let runtime = Runtime::new().unwrap();
    let mut last = leaf(&runtime, LEAF).await;
    let component = runtime.load(wat::parse_str(NODE).unwrap()).unwrap();
    for _ in 1..CHAIN_MAX {
        last = runtime.builder(&component).link_local("next", &last).instantiate().await.unwrap();
    }
    assert_eq!(goes(&last, 0).await, Ok(Val::U32(0)));
    let one_more = runtime.builder(&component).link_local("next", &last).instantiate().await.unwrap();
    let failure = goes(&one_more, 0).await.unwrap_err();
    // None of the 64 has room for an error, so each traps with the cause of the next.
    assert!(matches!(failure, Failure::Failed(Fault::Trapped { .. })), "{failure}");
}

#[tokio::test]
async fn a_chain_of_full_stacks_ends_well() {
    let runtime = Runtime::new().unwrap();
    let mut last = leaf(&runtime, LEAF).await;
    let depth = deepest(&node(&runtime, &last).await).await;
    for _ in 0..12 {
        last = node(&runtime, &last).await;
    }
    // A stack of the process's own would have ended at the fifth.
    assert_eq!(goes(&last, depth).await, Ok(Val::U32(13 * depth)));
}
