//! A component that was checked, and may be built into as many nodes as one likes.

use std::sync::{Arc, Mutex, PoisonError};

use isorun_ledger::Ledger;
use isorun_runtime::{LoadedComponent, WasmtimeEngine};

use crate::shape::{self, Plan};
use crate::{ArtifactKind, ComponentExecutionError, WasmArtifact, memory};

/// A component that was checked and whose types are known.
///
/// It is compiled with the first node that is built of it. Cloning is cheap and gives the same module.
#[derive(Clone)]
pub struct LoadedModule {
    shared: Arc<Shared>,
}

struct Shared {
    origin: String,
    artifact: WasmArtifact,
    component: LoadedComponent,
    /// The component with accessors to its memory, and for which functions they were made.
    with_accessors: Mutex<Option<(Plan, LoadedComponent)>>,
}

impl LoadedModule {
    /// Checks the bytes and reads their types; compiles nothing yet.
    ///
    /// # Errors
    /// [`NotAComponent`](ComponentExecutionError::NotAComponent) with what makes it one,
    /// [`Load`](ComponentExecutionError::Load) for one that is damaged or too large.
    pub fn load(engine: &WasmtimeEngine, artifact: &WasmArtifact) -> Result<Self, ComponentExecutionError> {
        let kind = artifact.kind();
        if kind != ArtifactKind::Component {
            return Err(ComponentExecutionError::NotAComponent { origin: artifact.origin().into(), kind });
        }
        let component = LoadedComponent::parse(engine, artifact.bytes().clone()).map_err(|cause| {
            ComponentExecutionError::Load { origin: artifact.origin().into(), cause: Box::new(cause) }
        })?;
        let (origin, artifact, with_accessors) = (artifact.origin().into(), artifact.clone(), Mutex::default());
        let shared = Shared { origin, artifact, component, with_accessors };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Where it is from.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared.origin
    }

    /// The bytes it was loaded from.
    #[must_use]
    pub fn artifact(&self) -> &WasmArtifact {
        &self.shared.artifact
    }

    /// The types of all that it imports and exports.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.shared.component.ledger()
    }

    /// The component with accessors to the memory that the plan's functions work on, and the accessors.
    ///
    /// Made once for the same functions, so that all nodes of the module share the code.
    pub(crate) fn with_accessors(&self, plan: &Plan) -> Result<(LoadedComponent, Plan), ComponentExecutionError> {
        let mut made = self.shared.with_accessors.lock().unwrap_or_else(PoisonError::into_inner);
        let component = match &*made {
            Some((known, component)) if known == plan => component.clone(),
            Some(_) | None => {
                let component = self.append_accessors(plan)?;
                made.insert((plan.clone(), component)).1.clone()
            }
        };
        let accessors = shape::accessors(component.ledger());
        Ok((component, accessors.ok_or_else(|| self.out_of_reach("its accessors are not what they should be".into()))?))
    }

    fn append_accessors(&self, plan: &Plan) -> Result<LoadedComponent, ComponentExecutionError> {
        let functions: Vec<&str> = plan.functions.iter().map(|function| function.name.as_str()).collect();
        let bytes = memory::append(self.shared.artifact.bytes(), plan.interface.as_deref(), &functions);
        let bytes = bytes.map_err(|why| self.out_of_reach(why))?;
        let component = LoadedComponent::parse(self.shared.component.engine(), bytes);
        component.map_err(|cause| self.out_of_reach(format!("with accessors it is no component any more: {cause}")))
    }

    fn out_of_reach(&self, why: String) -> ComponentExecutionError {
        ComponentExecutionError::MemoryOutOfReach { origin: self.shared.origin.clone(), why }
    }

    /// The component, as the runtime knows it.
    #[must_use]
    pub fn component(&self) -> &LoadedComponent {
        &self.shared.component
    }
}

impl std::fmt::Debug for LoadedModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedModule").field("origin", &self.origin()).finish_non_exhaustive()
    }
}
