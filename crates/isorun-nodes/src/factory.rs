//! From a component to a node.

use isorun_core::Budget;
use isorun_runtime::Link;

use crate::{Choice, ComponentExecutionError, LoadedModule, NodeOptions, NodeState, WitNodeExecutor, shape};

/// Looks at what a component exports, picks the shape it is to be run as, and builds the node.
///
/// A component that could be run in several shapes is run in the first of [typed](crate::NodeShape::Typed),
/// [helpers](crate::NodeShape::Helpers) and [pointers](crate::NodeShape::Pointers); one that has a shape twice, in
/// two interfaces, is refused until a [`function`](Self::function) is chosen.
#[derive(Clone, Default)]
pub struct WasmProcessorFactory {
    function: Option<String>,
    options: NodeOptions,
}

impl WasmProcessorFactory {
    /// A factory that links nothing, with the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The function to take as `process`, whatever its name: `name` at the root, `ns:pkg/iface#name` in an interface,
    /// whose version may be left out.
    #[must_use]
    pub fn function(mut self, path: impl Into<String>) -> Self {
        self.function = Some(path.into());
        self
    }

    /// What the component's imports are linked to; nothing, unless set.
    #[must_use]
    pub fn links(mut self, links: Vec<Link>) -> Self {
        self.options.links = links;
        self
    }

    /// What each call of the component may use; [`NodeOptions::BUDGET`] unless set.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.options.budget = budget;
        self
    }

    /// Whether what one input leaves behind the next one finds.
    #[must_use]
    pub fn state(mut self, state: NodeState) -> Self {
        self.options.state = state;
        self
    }

    /// Picks a shape by the component's types alone; nothing is compiled.
    ///
    /// # Errors
    /// [`NoKnownShape`](ComponentExecutionError::NoKnownShape), [`Ambiguous`](ComponentExecutionError::Ambiguous),
    /// [`NoSuchFunction`](ComponentExecutionError::NoSuchFunction), [`Streams`](ComponentExecutionError::Streams).
    pub fn choose(&self, module: &LoadedModule) -> Result<Choice, ComponentExecutionError> {
        shape::choose(module.origin(), module.ledger(), self.function.as_deref())
    }

    /// Picks a shape, links, compiles and starts the component.
    ///
    /// # Errors
    /// As [`choose`](Self::choose) and [`WitNodeExecutor::start`].
    pub async fn build(&self, module: &LoadedModule) -> Result<WitNodeExecutor, ComponentExecutionError> {
        let choice = self.choose(module)?;
        tracing::debug!(origin = module.origin(), %choice, "a node");
        WitNodeExecutor::start(module, choice, self.options.clone()).await
    }
}
