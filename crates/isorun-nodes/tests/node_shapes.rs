//! One encoder in three shapes: the same bytes come out of each, at every size.

mod support;

use isorun_nodes::{
    ComponentExecutionError, INPUT_BYTES_MAX, NodeShape, NodeState, ProcessingNodeExecutor, WasmProcessorFactory,
    WitNodeExecutor,
};
use proptest::prelude::*;
use support::{TYPED_RLE, helpers, module, node, pointers, rle};

async fn nodes() -> [(NodeShape, WitNodeExecutor); 3] {
    [
        (NodeShape::Typed, node(TYPED_RLE).await),
        (NodeShape::Helpers, node(&helpers("")).await),
        (NodeShape::Pointers, node(&pointers("")).await),
    ]
}

async fn check(node: &WitNodeExecutor, input: &[u8]) {
    match (node.execute(input).await, rle(input)) {
        (Ok(output), Ok(expected)) => assert!(output == expected, "{node:?}: {} bytes in", input.len()),
        (Err(ComponentExecutionError::Guest { message, function }), Err(expected)) => {
            assert_eq!((message.as_str(), function.as_str()), (expected, "process"));
        }
        (output, expected) => panic!("{node:?}: {:?} where {:?}", output.map(|o| o.len()), expected.map(|o| o.len())),
    }
}

#[tokio::test]
async fn every_shape_encodes_inputs_of_every_size() {
    const KIB_64: usize = 64 << 10;
    for (shape, node) in nodes().await {
        assert_eq!(node.choice().shape, shape);
        for size in [0, 1, 2, 7, 8, 9, KIB_64 - 1, KIB_64, KIB_64 + 1, 8 << 20, 1] {
            let changing: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            check(&node, &changing).await;
            check(&node, &vec![7; size]).await;
        }
    }
}

#[tokio::test]
async fn the_guests_own_error_is_told_and_the_next_input_is_processed() {
    for (_, node) in nodes().await {
        for input in [&b"\xff"[..], b"aaab", b"\xff\xff", b""] {
            check(&node, input).await;
        }
    }
}

#[tokio::test]
async fn an_input_is_refused_past_the_limit_and_taken_at_it() {
    let same = vec![9; INPUT_BYTES_MAX + 1];
    for (_, node) in nodes().await {
        check(&node, &same[1..]).await;
        let refused = node.execute(&same).await;
        let (bytes, limit) = (INPUT_BYTES_MAX as u64 + 1, INPUT_BYTES_MAX as u64);
        assert_eq!(refused, Err(ComponentExecutionError::InputTooLarge { bytes, limit }));
        check(&node, b"on").await;
    }
}

#[tokio::test]
async fn an_output_past_the_limit_is_told_as_such() {
    // Twice as much comes out as goes in.
    let changing: Vec<u8> = (0..INPUT_BYTES_MAX / 2 + 1).map(|at| (at % 251) as u8).collect();
    for (shape, node) in nodes().await {
        check(&node, &changing[1..]).await;
        match (shape, node.execute(&changing).await) {
            (NodeShape::Typed, Err(ComponentExecutionError::Limit { which, .. })) => assert_eq!(which, "output bytes"),
            (_, Err(error @ ComponentExecutionError::MemoryAccessFailed { .. })) => {
                assert!(error.to_string().contains("an output has 20 MiB less 64 bytes at most"), "{error}");
            }
            (shape, other) => panic!("{shape}: {:?}", other.map(|output| output.len())),
        }
        check(&node, b"on").await;
    }
}

#[tokio::test]
async fn a_node_is_used_by_several_at_once_and_as_a_trait_object() {
    for (_, node) in nodes().await {
        let node: std::sync::Arc<dyn ProcessingNodeExecutor> = std::sync::Arc::new(node);
        let tasks = (0..16u8).map(|n| {
            let node = node.clone();
            tokio::spawn(async move { (node.execute(&vec![n; 1000]).await, rle(&vec![n; 1000])) })
        });
        for task in tasks.collect::<Vec<_>>() {
            let (output, expected) = task.await.unwrap();
            assert_eq!(output.unwrap(), expected.unwrap());
        }
    }
}

/// Gives the number of calls so far.
const COUNTER: &str = r#"(component
    (core module $M
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "process") (param i32 i32) (result i32)
            (i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))
            (i32.store (i32.const 0) (i32.const 16))
            (i32.store (i32.const 4) (i32.const 1))
            (if (i32.ne (local.get 1) (i32.const 0)) (then (loop $ever (br $ever))))
            (i32.const 0)))
    (core instance $m (instantiate $M))
    (func (export "process") (param "input" (list u8)) (result (list u8))
        (canon lift (core func $m "process") (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))"#;

#[tokio::test]
async fn state_is_kept_or_not_as_it_was_chosen() {
    let module = module(COUNTER);
    let kept = WasmProcessorFactory::new().build(&module).await.unwrap();
    let fresh = WasmProcessorFactory::new().state(NodeState::Fresh).build(&module).await.unwrap();
    for n in 1..4 {
        assert_eq!(kept.execute(b"").await.unwrap(), [n]);
        assert_eq!(fresh.execute(b"").await.unwrap(), [1]);
    }
}

#[tokio::test]
async fn an_execution_that_is_dropped_takes_its_store_with_it() {
    let node = WasmProcessorFactory::new().build(&module(COUNTER)).await.unwrap();
    assert_eq!(node.execute(b"").await.unwrap(), [1]);
    let mut spinning = Box::pin(node.execute(b"for ever"));
    // The guest lets others run at every tick of its engine's clock.
    assert!(futures_poll(&mut spinning).await.is_none());
    drop(spinning);
    assert_eq!(node.execute(b"").await.unwrap(), [1]);
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn a_guest_without_end_is_ended_by_its_budget_and_the_next_input_gets_a_fresh_store() {
    let mut budget = isorun_nodes::NodeOptions::BUDGET;
    budget.fuel = 1_000_000;
    let node = WasmProcessorFactory::new().budget(budget).build(&module(COUNTER)).await.unwrap();
    assert_eq!(node.execute(b"").await.unwrap(), [1]);
    let ended = node.execute(b"for ever").await.unwrap_err();
    assert_eq!(ended.to_string(), "`process` has used up its fuel, 1000000 units");
    assert_eq!(node.execute(b"").await.unwrap(), [1]);
}

#[test]
fn random_inputs_come_out_of_every_shape_as_the_reference_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let nodes = runtime.block_on(nodes());
    let runs = prop::collection::vec((any::<u8>(), 1..600usize), 0..40);
    let inputs = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..5000),
        runs.prop_map(|runs| runs.into_iter().flat_map(|(byte, count)| vec![byte; count]).collect::<Vec<u8>>()),
    ];
    proptest!(ProptestConfig::with_cases(64), |(input in inputs)| {
        for (_, node) in &nodes {
            runtime.block_on(check(node, &input));
        }
    });
}
