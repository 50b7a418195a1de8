//! Run-length encoding in every language and every shape: the same bytes in give the same bytes out.
//!
//! The C guests are committed, and so is the WAT one's text. The others are built by `cargo xtask test`, which names
//! their folder in `ISORUN_GUESTS`; those that are not built are left out, visibly. One that brings an interpreter takes
//! 15 to 30 seconds to compile, once: compiled code is kept for all tests of this target folder.

use std::path::Path;
use std::sync::Arc;

use isorun_nodes::{
    ComponentExecutionError, LoadedModule, NodeShape, ProcessingNodeExecutor, WasmArtifact, WasmProcessorFactory,
    WitNodeExecutor,
};
use isorun_runtime::{EngineOptions, WasmtimeEngine};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The guests that encode, and the shape that each has.
const ENCODERS: [(&str, NodeShape); 8] = [
    ("c", NodeShape::Typed),
    ("c-helpers", NodeShape::Helpers),
    ("c-pointers", NodeShape::Pointers),
    ("wat", NodeShape::Typed),
    ("rust", NodeShape::Typed),
    ("as", NodeShape::Typed),
    ("js", NodeShape::Typed),
    ("py", NodeShape::Typed),
];

/// Most that is put through them, in bytes: what comes of it, 16 MiB, is within what a node may give.
const INPUT_BYTES: usize = 8 << 20;

/// A guest's component, or `None` where those of its language are left out.
fn component(name: &str) -> Option<Vec<u8>> {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests");
    let prebuilt = |name: &str| Some(std::fs::read(guests.join("prebuilt").join(name)).unwrap());
    // AssemblyScript's compiler is one of JavaScript's packages.
    let family = match name {
        "c" => return prebuilt("rle.wasm"),
        "c-helpers" => return prebuilt("rle-helpers.wasm"),
        "c-pointers" => return prebuilt("rle-pointers.wasm"),
        "c-back" => return prebuilt("unrle.wasm"),
        "wat" => return Some(wat::parse_file(guests.join("wat/rle.wat")).unwrap()),
        "as" => "js-guests".to_owned(),
        language => format!("{language}-guests"),
    };
    let without = std::env::var("ISORUN_WITHOUT").unwrap_or_default();
    if without.split(',').any(|left_out| left_out == family) {
        eprintln!("skipped: {name}-rle.wasm (`--without {family}`)");
        return None;
    }
    let Some(folder) = std::env::var_os("ISORUN_GUESTS") else {
        eprintln!("skipped: {name}-rle.wasm (ISORUN_GUESTS is not set; `cargo xtask test` builds it)");
        return None;
    };
    let path = Path::new(&folder).join(format!("{name}-rle.wasm"));
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

fn engine() -> WasmtimeEngine {
    let kept = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/isorun/compiled");
    WasmtimeEngine::with_options(EngineOptions::default().cache(kept)).unwrap()
}

async fn node(engine: &WasmtimeEngine, name: &str) -> Option<WitNodeExecutor> {
    let artifact = WasmArtifact::new(component(name)?, name);
    let module = LoadedModule::load(engine, &artifact).unwrap();
    Some(WasmProcessorFactory::new().build(&module).await.unwrap())
}

/// What run-length encoding is.
fn encoded(input: &[u8]) -> Vec<u8> {
    let runs = input.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255));
    runs.flat_map(|run| [run.len() as u8, run[0]]).collect()
}

/// So many bytes in runs of at most so many, without 0xff in front; the same for the same seed.
fn bytes(length: usize, seed: u64, run_max: u64) -> Vec<u8> {
    let mut state = seed;
    // SplitMix64.
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let run = usize::try_from(1 + random() % run_max).unwrap().min(length - bytes.len());
        let byte = random() as u8;
        bytes.resize(bytes.len() + run, byte);
    }
    if bytes.first() == Some(&0xff) {
        bytes[0] = 0;
    }
    bytes
}

/// Has the node encode what is easy to get wrong, and refuse what it has to, and then encode again.
async fn check(node: &dyn ProcessingNodeExecutor, name: &str) {
    let mixed = bytes(20_000, 1, 600);
    for input in [&[][..], &[0], &[7, 7, 7, 9], &[1; 255], &[1; 256], &[3, 0xff, 0xff], &mixed, &mixed] {
        let output = node.execute(input).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(output == encoded(input), "{name} of {} bytes", input.len());
    }
    for input in [&[0xff][..], &[0xff, 1]] {
        let refused = node.execute(input).await.unwrap_err();
        let expected = "cannot encode 0xff".to_owned();
        assert_eq!(refused, ComponentExecutionError::Guest { function: "process".into(), message: expected }, "{name}");
    }
    assert_eq!(node.execute(b"aab").await.unwrap(), b"\x02a\x01b", "{name}");
}

#[tokio::test]
async fn test_wit_executor_with_rle_js() {
    let Some(node) = node(&engine(), "js").await else { return };
    assert_eq!(node.choice().shape, NodeShape::Typed);
    check(&node, "js").await;
    let input = bytes(1 << 20, 2, 20);
    assert!(node.execute(&input).await.unwrap() == encoded(&input));
}

#[tokio::test]
async fn every_language_and_every_shape_encodes_alike() {
    let engine = engine();
    // With nothing to be made shorter: twice as much comes out as goes in.
    let large = bytes(INPUT_BYTES, 3, 1);
    let expected = encoded(&large);
    for (name, shape) in ENCODERS {
        let Some(node) = node(&engine, name).await else { continue };
        assert_eq!(node.choice().shape, shape, "{name}");
        check(&node, name).await;
        let output = node.execute(&large).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(output == expected, "{name} of {INPUT_BYTES} bytes");
    }
}

/// Inputs of any length, most of them short: half as many for each doubling, up to 8 MiB.
fn any_input(bytes_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let length = (0..=bytes_max.ilog2()).prop_flat_map(move |log| 0..=(1_usize << log).min(bytes_max));
    (length, any::<u64>(), prop_oneof![Just(1), 2..20_u64, Just(1_000)])
        .prop_map(|(length, seed, run_max)| bytes(length, seed, run_max))
}

/// Has all these nodes encode `cases` inputs, and the way back lead to the input.
fn encode_alike(names: &[&str], cases: u32, bytes_max: usize) {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let engine = engine();
    let (nodes, back) = tokio.block_on(async {
        let mut nodes = Vec::new();
        for name in names {
            nodes.extend(node(&engine, name).await.map(|node| (*name, node)));
        }
        (nodes, node(&engine, "c-back").await.unwrap())
    });
    let nodes = Arc::new(nodes);
    let check = |input: Vec<u8>| {
        let expected = encoded(&input);
        for (name, node) in nodes.iter() {
            let output =
                tokio.block_on(node.execute(&input)).map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
            prop_assert!(output == expected, "{} of {} bytes", name, input.len());
        }
        let there = tokio.block_on(back.execute(&expected)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(there == input, "back to {} bytes", input.len());
        Ok(())
    };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 32, ..Config::default() };
    // The largest, with nothing to be made shorter, is always among them.
    check(bytes(bytes_max, 4, 1)).unwrap();
    TestRunner::new(config).run(&any_input(bytes_max), check).unwrap();
}

#[test]
fn any_bytes_are_encoded_alike_by_what_is_compiled() {
    encode_alike(&["c", "c-helpers", "c-pointers", "wat", "rust", "as"], 48, INPUT_BYTES);
}

#[test]
fn any_bytes_are_encoded_alike_by_what_is_interpreted() {
    encode_alike(&["js", "py"], 12, 256 << 10);
}
