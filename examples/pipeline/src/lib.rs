//! A pipeline: text is run-length encoded, upper-cased while it is encoded, and decoded again, by three components that
//! know nothing of each other.
//!
//! | node | written in | shape |
//! |---|---|---|
//! | `rle.wasm` | WebAssembly text | typed: `process` takes and gives bytes |
//! | `rle-upper.wasm` | C | pointers: the host allocates, writes and frees in its memory |
//! | `unrle.wasm` | C | typed |
//!
//! `cargo run -p pipeline` runs it. [`Pipeline`] has nothing in it that is about these three: a
//! [`WasmProcessorFactory`] looks at each component and finds out how it is to be called.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use isorun::Runtime;
use isorun::nodes::{ComponentExecutionError, WasmArtifact, WasmProcessorFactory, WitNodeExecutor};
use tokio::sync::mpsc;

/// The nodes of the example, in their order: their names and their components.
pub const NODES: [(&str, &[u8]); 3] = [
    ("rle.wasm", include_bytes!("../rle.wasm")),
    ("rle-upper.wasm", include_bytes!("../../../guests/prebuilt/rle-upper.wasm")),
    ("unrle.wasm", include_bytes!("../../../guests/prebuilt/unrle.wasm")),
];

/// Nodes, each of which takes what the one before it gave.
pub struct Pipeline {
    nodes: Vec<Arc<WitNodeExecutor>>,
}

/// Why an input did not come through, and which node it was.
#[derive(Debug)]
pub struct Failed {
    /// The node's component.
    pub node: String,
    /// What went wrong there.
    pub cause: ComponentExecutionError,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.node, self.cause)
    }
}

impl std::error::Error for Failed {}

impl Pipeline {
    /// Loads, compiles and starts the nodes.
    ///
    /// # Errors
    /// [`Failed`], for the first that is no component, or no node.
    pub async fn start(runtime: &Runtime, components: &[(&str, &[u8])]) -> Result<Self, Failed> {
        let mut nodes = Vec::new();
        for (name, bytes) in components {
            let failed = |cause| Failed { node: (*name).to_owned(), cause };
            let module = runtime.load_module(&WasmArtifact::new(bytes.to_vec(), *name)).map_err(failed)?;
            nodes.push(Arc::new(WasmProcessorFactory::new().build(&module).await.map_err(failed)?));
        }
        Ok(Self { nodes })
    }

    /// For each node: its component, how it is called, and why so.
    pub fn explain(&self) -> impl Iterator<Item = String> {
        self.nodes.iter().map(|node| format!("{}: {}", node.origin(), node.choice()))
    }

    /// What each node makes of one input; the last is the output.
    ///
    /// # Errors
    /// [`Failed`], for the node that did not take it.
    pub async fn steps(&self, input: &[u8]) -> Result<Vec<Vec<u8>>, Failed> {
        let mut steps: Vec<Vec<u8>> = Vec::new();
        for node in &self.nodes {
            let output = process(node, steps.last().map_or(input, Vec::as_slice)).await?;
            steps.push(output);
        }
        Ok(steps)
    }

    /// Puts inputs through as they come: every node works at its own, all of them at once, and outputs come in the order
    /// of their inputs. Two of them may wait between two nodes; whoever sends more waits.
    ///
    /// After a failure nothing comes any more. Needs a tokio runtime.
    #[must_use]
    pub fn stream(&self, inputs: mpsc::Receiver<Vec<u8>>) -> mpsc::Receiver<Result<Vec<u8>, Failed>> {
        let (first, mut receiver) = mpsc::channel(BETWEEN_NODES);
        tokio::spawn(async move {
            let mut inputs = inputs;
            while let Some(input) = inputs.recv().await {
                if first.send(Ok(input)).await.is_err() {
                    break;
                }
            }
        });
        for node in &self.nodes {
            let (sender, next) = mpsc::channel(BETWEEN_NODES);
            tokio::spawn(work(node.clone(), std::mem::replace(&mut receiver, next), sender));
        }
        receiver
    }
}

/// One node's part of a stream.
async fn work(
    node: Arc<WitNodeExecutor>,
    mut from: mpsc::Receiver<Result<Vec<u8>, Failed>>,
    to: mpsc::Sender<Result<Vec<u8>, Failed>>,
) {
    while let Some(input) = from.recv().await {
        let output = match input {
            Ok(input) => process(&node, &input).await,
            Err(failed) => Err(failed),
        };
        let is_last = output.is_err();
        if to.send(output).await.is_err() || is_last {
            break;
        }
    }
}

async fn process(node: &WitNodeExecutor, input: &[u8]) -> Result<Vec<u8>, Failed> {
    node.execute(input).await.map_err(|cause| Failed { node: node.origin().to_owned(), cause })
}

/// Inputs that wait between two nodes.
const BETWEEN_NODES: usize = 2;
