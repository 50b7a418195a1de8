//! The example does what it says.

use std::process::Command;

use isorun::Runtime;
use isorun::nodes::{ComponentExecutionError, NodeShape};
use pipeline::{NODES, Pipeline};
use tokio::sync::mpsc;

async fn started() -> Pipeline {
    Pipeline::start(&Runtime::new().unwrap(), &NODES).await.unwrap()
}

#[test]
fn the_committed_guest_is_its_source_compiled() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/wat/rle.wat");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/rle.wasm");
    let compiled = wat::parse_file(source).unwrap();
    if std::env::var_os("ISORUN_BLESS").is_some() {
        std::fs::write(file, &compiled).unwrap();
    }
    assert!(compiled == std::fs::read(file).unwrap(), "ISORUN_BLESS=1 with this test writes {file} again");
}

#[tokio::test]
async fn text_comes_out_in_upper_case_by_way_of_two_languages_and_two_shapes() {
    let pipeline = started().await;
    let shapes: Vec<_> = pipeline.explain().collect();
    for (how, shape) in shapes.iter().zip([NodeShape::Typed, NodeShape::Pointers, NodeShape::Typed]) {
        assert!(how.contains(&format!(": {shape} (process")), "{how}");
    }
    let steps = pipeline.steps(b"aaab!").await.unwrap();
    assert_eq!(steps, [&b"\x03a\x01b\x01!"[..], b"\x03A\x01B\x01!", b"AAAB!"]);
}

#[tokio::test]
async fn a_stream_keeps_its_order_and_ends_with_its_inputs() {
    let (sender, inputs) = mpsc::channel(1);
    let mut outputs = started().await.stream(inputs);
    let texts: Vec<String> = (0..200).map(|n| "ab".repeat(n)).collect();
    let sent = texts.clone();
    tokio::spawn(async move {
        for text in sent {
            sender.send(text.into_bytes()).await.unwrap();
        }
    });
    for text in &texts {
        assert_eq!(outputs.recv().await.unwrap().unwrap(), text.to_uppercase().into_bytes());
    }
    assert!(outputs.recv().await.is_none());
}

#[tokio::test]
async fn a_failure_names_its_node_and_is_the_last_of_a_stream() {
    let pipeline = started().await;
    let refused = pipeline.steps(b"\xff").await.unwrap_err();
    assert_eq!(refused.to_string(), "rle.wasm: cannot encode 0xff");
    assert!(matches!(refused.cause, ComponentExecutionError::Guest { .. }));

    let (sender, inputs) = mpsc::channel(3);
    let mut outputs = pipeline.stream(inputs);
    for input in [&b"a"[..], b"\xff", b"b"] {
        sender.send(input.to_vec()).await.unwrap();
    }
    assert_eq!(outputs.recv().await.unwrap().unwrap(), b"A");
    assert_eq!(outputs.recv().await.unwrap().unwrap_err().node, "rle.wasm");
    assert!(outputs.recv().await.is_none());
}

#[test]
fn the_program_shows_each_step() {
    let done = Command::new(env!("CARGO_BIN_EXE_pipeline")).arg("aaab").output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{text}");
    for words in ["input: \"aaab\"", "rle-upper.wasm: pointers (process, allocate, deallocate)", "4 bytes: \"AAAB\""] {
        assert!(text.contains(words), "`{words}` is missing in:\n{text}");
    }
}
