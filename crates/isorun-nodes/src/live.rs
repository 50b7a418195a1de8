//! A component that is started, and calls into it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{BindRequest, Bound, CallContext, Callee, Failure, Fault, FunctionIndex};
use isorun_runtime::{Instance, InstanceOptions, LinkedComponent, Serving};

use crate::shape::{ACCESS_AT, ACCESS_PUT, ACCESS_READ, ACCESS_SIZE, PROCESS, Plan, Planned};
use crate::signature::{Arg, Got};
use crate::{ComponentExecutionError, NodeOptions};

/// One store of a node.
pub(crate) struct Live {
    bound: Arc<dyn Bound>,
    plan: Arc<Plan>,
    /// The way into its memory, where the shape needs one.
    memory: Option<(Arc<dyn Bound>, Arc<Plan>)>,
    call_ms: u64,
}

/// The packed results of one call.
pub(crate) struct Results<'p> {
    packed: Bytes,
    function: &'p Planned,
}

impl Live {
    /// Starts a store for the functions of `plan`.
    pub(crate) async fn start(
        origin: &str,
        linked: &LinkedComponent,
        plan: &Arc<Plan>,
        accessors: Option<&Arc<Plan>>,
        options: &NodeOptions,
    ) -> Result<Self, ComponentExecutionError> {
        let budget = options.budget.clone();
        let instance = InstanceOptions { name: origin.to_owned(), serving: Serving::SINGLETON, budget };
        let instance = Instance::start(linked.clone(), instance);
        let instance = instance.await.map_err(|error| ComponentExecutionError::of_start(origin, error))?;
        let bound = bind(&instance, plan).await?;
        let memory = match accessors {
            Some(accessors) => Some((bind(&instance, accessors).await?, accessors.clone())),
            None => None,
        };
        // Past the component's own time, so that it is the component's verdict that arrives.
        let call_ms = options.budget.wall_ms.saturating_add(CALL_MARGIN_MS);
        Ok(Self { bound, plan: plan.clone(), memory, call_ms })
    }

    /// How messages name the plan's function of that number.
    pub(crate) fn path(&self, at: usize) -> &str {
        &self.plan.functions[at].path
    }

    /// Whether the types of the function have room for the arguments.
    pub(crate) fn takes(&self, at: usize, args: &[Arg<'_>]) -> bool {
        self.plan.functions[at].signature.pack(args).is_ok()
    }

    /// Calls the plan's function of that number.
    pub(crate) async fn call(&self, at: usize, args: &[Arg<'_>]) -> Result<Results<'_>, ComponentExecutionError> {
        self.call_of(&*self.bound, &self.plan, at, args).await
    }

    /// How large the component's memory is, in bytes.
    pub(crate) async fn memory_bytes(&self) -> Result<u64, ComponentExecutionError> {
        Ok(self.accessor(ACCESS_SIZE, &[]).await?.int()?.saturating_mul(PAGE_BYTES))
    }

    /// Writes to the component's memory, within its bounds.
    pub(crate) async fn write(&self, address: u64, bytes: &[u8]) -> Result<(), ComponentExecutionError> {
        self.accessor(ACCESS_AT, &[Arg::Int(address)]).await?.nothing()?;
        self.accessor(ACCESS_PUT, &[Arg::Bytes(bytes)]).await?.nothing()
    }

    /// Reads from the component's memory, within its bounds, where the accessor can.
    pub(crate) async fn read(&self, address: u64, bytes: u64) -> Result<Vec<u8>, ComponentExecutionError> {
        let read = self.accessor(ACCESS_READ, &[Arg::Int(address), Arg::Int(bytes)]).await?;
        Ok(read.bytes()?.to_vec())
    }

    async fn accessor(&self, at: usize, args: &[Arg<'_>]) -> Result<Results<'_>, ComponentExecutionError> {
        match &self.memory {
            Some((bound, plan)) => self.call_of(&**bound, plan, at, args).await,
            None => {
                let failure = Failure::from(Fault::Bug { detail: "a shape without a way into memory".into() });
                Err(ComponentExecutionError::of_call(self.path(PROCESS), failure))
            }
        }
    }

    async fn call_of<'p>(
        &self,
        bound: &dyn Bound,
        plan: &'p Plan,
        at: usize,
        args: &[Arg<'_>],
    ) -> Result<Results<'p>, ComponentExecutionError> {
        let function = &plan.functions[at];
        let failed = |failure| ComponentExecutionError::of_call(&function.path, failure);
        let bug = |detail: &str| failed(Fault::Bug { detail: detail.into() }.into());
        let packed = function.signature.pack(args).map_err(|_| bug("an argument that its type has no room for"))?;
        let (now, index) = (Instant::now(), u32::try_from(at).map_err(|_| bug("more functions than a table has"))?);
        let deadline = now.checked_add(Duration::from_millis(self.call_ms)).unwrap_or(now + FAR);
        let cx = CallContext::until(deadline);
        let called = bound.call(FunctionIndex(index), &cx, packed).await;
        let reply = called.map_err(|error| failed(error.failure))?;
        Ok(Results { packed: reply.results, function })
    }
}

async fn bind(instance: &Instance, plan: &Plan) -> Result<Arc<dyn Bound>, ComponentExecutionError> {
    let functions = plan.functions.iter().map(|function| (function.name.clone(), function.hash)).collect();
    let want = BindRequest { interface: plan.interface.clone(), functions };
    let bound = instance.bind(&want).await;
    bound.map_err(|failure| ComponentExecutionError::of_call(&plan.functions[PROCESS].path, failure))
}

impl Results<'_> {
    fn got(&self) -> Result<Got<'_>, ComponentExecutionError> {
        self.function.signature.unpack(&self.packed).map_err(|error| {
            let failure = Failure::from(Fault::BadResults { detail: error.to_string() });
            ComponentExecutionError::of_call(&self.function.path, failure)
        })
    }

    fn refused(&self, message: &str) -> ComponentExecutionError {
        ComponentExecutionError::Guest { function: self.function.path.clone(), message: message.into() }
    }

    /// Nothing, or its own error.
    pub(crate) fn nothing(&self) -> Result<(), ComponentExecutionError> {
        match self.got()? {
            Got::Nothing => Ok(()),
            Got::Refused(message) => Err(self.refused(message)),
            Got::Bytes(_) | Got::Int(_) => Err(self.otherwise()),
        }
    }

    /// The integer it gave, or its own error.
    pub(crate) fn int(&self) -> Result<u64, ComponentExecutionError> {
        match self.got()? {
            Got::Int(int) => Ok(int),
            Got::Refused(message) => Err(self.refused(message)),
            Got::Bytes(_) | Got::Nothing => Err(self.otherwise()),
        }
    }

    fn otherwise(&self) -> ComponentExecutionError {
        let failure = Failure::from(Fault::Bug { detail: "a result of another kind than its type".into() });
        ComponentExecutionError::of_call(&self.function.path, failure)
    }

    /// The bytes it gave, or its own error.
    pub(crate) fn bytes(&self) -> Result<&[u8], ComponentExecutionError> {
        match self.got()? {
            Got::Bytes(bytes) => Ok(bytes),
            Got::Refused(message) => Err(self.refused(message)),
            Got::Nothing | Got::Int(_) => Err(self.otherwise()),
        }
    }
}

/// What a call may take beyond the component's own time, in milliseconds: for the queue, which is empty, and the host.
const CALL_MARGIN_MS: u64 = 10_000;
/// A deadline for budgets without one.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Bytes of a page of memory.
const PAGE_BYTES: u64 = 64 << 10;
