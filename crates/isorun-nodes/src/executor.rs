//! Bytes in, bytes out: a node that runs.

use std::sync::Arc;

use isorun_core::{BoxFuture, Budget, Failure, Fault};
use isorun_runtime::{Link, LinkedComponent, link};
use tokio::sync::Mutex;

use crate::error::OUTPUT_BYTES;
use crate::live::Live;
use crate::shape::{PROCESS, Plan};
use crate::signature::{Arg, PACKED_BESIDE_BYTES};
use crate::{Choice, ComponentExecutionError, LoadedModule, NodeShape, helpers, pointers};

/// Largest input of a node, in bytes: what travels in one call, 20 MiB, less what it travels in.
pub const INPUT_BYTES_MAX: usize = neopack::VALUE_BYTES_MAX as usize - PACKED_BESIDE_BYTES;
/// Largest output of a node, in bytes.
pub const OUTPUT_BYTES_MAX: usize = INPUT_BYTES_MAX;

/// Something that turns bytes into bytes.
pub trait ProcessingNodeExecutor: Send + Sync {
    /// Processes one input, of any number of bytes up to the node's limit.
    ///
    /// # Errors
    /// [`ComponentExecutionError`], which keeps apart what the component said, what it did wrong and what it met.
    fn execute<'a>(&'a self, input: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, ComponentExecutionError>>;
}

/// Whether what one input leaves behind the next one finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum NodeState {
    /// One store for all inputs: the fast way, and the component may remember.
    #[default]
    Kept,
    /// A fresh store for each input: nothing is remembered, and each input pays for a start.
    Fresh,
}

/// How a node is run.
#[derive(Clone)]
#[non_exhaustive]
pub struct NodeOptions {
    /// What the component's imports are linked to. Nothing by default.
    pub links: Vec<Link>,
    /// What each call of the component may use. [`BUDGET`](Self::BUDGET) by default.
    pub budget: Budget,
    /// Whether what one input leaves behind the next one finds. [`NodeState::Kept`] by default.
    pub state: NodeState,
}

impl NodeOptions {
    /// What each call of a node may use by default: more than an instance, since its values are as large as values may be.
    ///
    /// 256 MiB of memory, in which 8 MiB of input and 16 MiB of output have room thrice over in languages that
    /// copy; a minute; a million million units of fuel, so that it is time that ends an interpreter's work.
    pub const BUDGET: Budget = Budget {
        max_memory_bytes: 256 << 20,
        max_table_elements: 100_000,
        max_instances: 100,
        max_tables: 100,
        max_memories: 16,
        max_handles: 256,
        fuel: 1_000_000_000_000,
        fuel_tree: 10_000_000_000_000,
        wall_ms: 60_000,
        // Whatever may travel, and the words of an error.
        hostcall_fuel: 2 * neopack::VALUE_BYTES_MAX as u64,
    };
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { links: Vec::new(), budget: Self::BUDGET, state: NodeState::default() }
    }
}

/// A component that runs as a node, in any of the shapes.
///
/// Inputs are processed one at a time, in the order in which they came; for several at once build several of the same
/// [`LoadedModule`], which share its code. A store that trapped or met a limit is thrown away, and the next input gets
/// a fresh one. So is the store of an `execute` that was dropped before its end: what of it runs still runs on for at
/// most the budget's time, and nobody sees it.
///
/// Cloning is cheap and gives the same node.
#[derive(Clone)]
pub struct WitNodeExecutor {
    shared: Arc<Shared>,
}

struct Shared {
    origin: String,
    choice: Choice,
    plan: Arc<Plan>,
    accessors: Option<Arc<Plan>>,
    linked: LinkedComponent,
    options: NodeOptions,
    /// The store, while no input is in it; empty before the first input after it was lost.
    live: Mutex<Option<Live>>,
}

impl WitNodeExecutor {
    /// Links, compiles and starts a component in the shape that was chosen for it.
    ///
    /// # Errors
    /// [`NotLinked`](ComponentExecutionError::NotLinked), [`Load`](ComponentExecutionError::Load) from the compiler,
    /// [`Start`](ComponentExecutionError::Start).
    pub async fn start(
        module: &LoadedModule,
        choice: Choice,
        options: NodeOptions,
    ) -> Result<Self, ComponentExecutionError> {
        let origin = module.origin().to_owned();
        let plan = Arc::new(choice.plan.clone());
        let (component, accessors) = match choice.shape {
            NodeShape::Typed | NodeShape::Helpers => (module.component().clone(), None),
            NodeShape::Pointers => {
                let (component, accessors) = module.with_accessors(&plan)?;
                (component, Some(Arc::new(accessors)))
            }
        };
        let linked = link(&component, &options.links, &[]).await;
        let linked = linked.map_err(|cause| ComponentExecutionError::of_link(&origin, cause))?;
        let live = Live::start(&origin, &linked, &plan, accessors.as_ref(), &options).await?;
        let live = Mutex::new(Some(live));
        Ok(Self { shared: Arc::new(Shared { origin, choice, plan, accessors, linked, options, live }) })
    }

    /// The shape it runs in, and why.
    #[must_use]
    pub fn choice(&self) -> &Choice {
        &self.shared.choice
    }

    /// Where its component is from.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared.origin
    }

    /// Processes one input.
    ///
    /// # Errors
    /// As [`ProcessingNodeExecutor::execute`].
    pub async fn execute(&self, input: &[u8]) -> Result<Vec<u8>, ComponentExecutionError> {
        let Shared { origin, plan, accessors, linked, options, live, .. } = &*self.shared;
        if input.len() > INPUT_BYTES_MAX {
            let (bytes, limit) = (input.len() as u64, INPUT_BYTES_MAX as u64);
            return Err(ComponentExecutionError::InputTooLarge { bytes, limit });
        }
        let mut slot = live.lock().await;
        // Taken out while it is used: an execution that is dropped takes its store with it.
        let store = match slot.take() {
            Some(store) => store,
            None => Live::start(origin, linked, plan, accessors.as_ref(), options).await?,
        };
        let (output, is_good) = match self.shared.choice.shape {
            NodeShape::Typed => judged(typed(&store, input).await),
            NodeShape::Helpers => judged(helpers::run(&store, input).await),
            NodeShape::Pointers => pointers::run(&store, input).await,
        };
        if is_good && options.state == NodeState::Kept {
            *slot = Some(store);
        }
        output
    }
}

/// The first shape: the canonical ABI moves the bytes.
async fn typed(store: &Live, input: &[u8]) -> Result<Vec<u8>, ComponentExecutionError> {
    let too_long = |function| {
        let (which, limit) = (OUTPUT_BYTES.into(), OUTPUT_BYTES_MAX as u64);
        ComponentExecutionError::Limit { function, which, limit, wanted: 0 }
    };
    match store.call(PROCESS, &[Arg::Bytes(input)]).await {
        Ok(results) => match results.bytes()? {
            output if output.len() > OUTPUT_BYTES_MAX => Err(too_long(store.path(PROCESS).to_owned())),
            output => Ok(output.to_vec()),
        },
        // Of what has no other parts than bytes and a text, nothing but its length can keep it from being carried.
        Err(ComponentExecutionError::Failed { function, failure })
            if matches!(*failure, Failure::Failed(Fault::BadResults { .. })) =>
        {
            Err(too_long(function))
        }
        Err(error) => Err(error),
    }
}

/// An output, and whether the store is as good as before.
fn judged(output: Result<Vec<u8>, ComponentExecutionError>) -> (Result<Vec<u8>, ComponentExecutionError>, bool) {
    let is_good = output.as_ref().err().is_none_or(ComponentExecutionError::keeps_store);
    (output, is_good)
}

impl ProcessingNodeExecutor for WitNodeExecutor {
    fn execute<'a>(&'a self, input: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, ComponentExecutionError>> {
        Box::pin(self.execute(input))
    }
}

impl std::fmt::Debug for WitNodeExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitNodeExecutor")
            .field("origin", &self.origin())
            .field("shape", &self.shared.choice.shape)
            .finish_non_exhaustive()
    }
}
