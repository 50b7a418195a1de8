//! An instance, as an embedder holds it.

use std::sync::Arc;

use isorun_core::Budget;
use isorun_ledger::{Function, Ledger, TypeRegistry};
use isorun_rpc::RemoteGroup;
use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{CallError, CallOptions, Instance, InstanceCounts, Serving};

/// An instance that runs in this process.
///
/// Cloning is cheap and gives the same instance, which lives as long as
/// somebody holds it: a handle, a name in the registry, a link.
#[derive(Debug, Clone)]
pub struct InstanceHandle {
    instance: Instance,
    fused: Arc<[String]>,
    groups: Arc<[(String, RemoteGroup)]>,
}

impl InstanceHandle {
    pub(crate) fn new(instance: Instance, fused: Arc<[String]>, groups: Arc<[(String, RemoteGroup)]>) -> Self {
        Self { instance, fused, groups }
    }

    /// Calls an exported function and waits for its results, 30 seconds at most.
    ///
    /// `function` is a name at the root (`run`) or of an interface (`demo:kv/store#get`).
    ///
    /// # Errors
    /// [`CallError`], which says what failed where, and whether it ran.
    pub async fn exec(&self, function: &str, args: &[Val]) -> Result<Vec<Val>, CallError> {
        self.exec_with(function, args, CallOptions::default()).await
    }

    /// As [`exec`](Self::exec), with limits of one's own.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn exec_with(&self, function: &str, args: &[Val], options: CallOptions) -> Result<Vec<Val>, CallError> {
        self.instance.exec(function, args, options).await
    }

    /// The name it was given when it was made, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        self.instance.name()
    }

    /// The types of its imports and exports.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.instance.ledger()
    }

    /// The exported function of that name, and the table its types stand in.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<(&Function, &TypeRegistry)> {
        self.instance.function(name)
    }

    /// Names of all exported functions, as [`exec`](Self::exec) takes them.
    #[must_use]
    pub fn functions(&self) -> Vec<String> {
        self.instance.functions()
    }

    /// The names of the components that are fused to its own, which share its stores, its budget and its fate.
    #[must_use]
    pub fn fused(&self) -> &[String] {
        &self.fused
    }

    /// Its links to instances at several places: what each is for, and what is known of the places.
    #[must_use]
    pub fn remote_groups(&self) -> &[(String, RemoteGroup)] {
        &self.groups
    }

    /// How it serves its callers.
    #[must_use]
    pub fn serving(&self) -> Serving {
        self.instance.serving()
    }

    /// What it may use.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        self.instance.budget()
    }

    /// How many stores it has had: a singleton whose state was lost gets its next one with the next call.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.instance.generation()
    }

    /// Calls that run in it now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.instance.in_flight()
    }

    /// Its calls so far: how they ended, what they cost, and what there is of them now.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use isorun::{Runtime, Val};
    /// # let bytes = wat::parse_str(r#"(component
    /// #   (core module $m (func (export "half") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0))))
    /// #   (core instance $i (instantiate $m))
    /// #   (func (export "divide") (param "by" u32) (result u32) (canon lift (core func $i "half"))))"#)?;
    /// # let runtime = Runtime::new()?;
    /// let instance = runtime.builder(&runtime.load(bytes)?).instantiate().await?;
    /// instance.exec("divide", &[Val::U32(1)]).await?;
    /// instance.exec("divide", &[Val::U32(0)]).await.unwrap_err();
    ///
    /// let counts = instance.counts();
    /// assert_eq!((counts.results, counts.failures["failed"], counts.kinds["trapped"]), (1, 1, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn counts(&self) -> InstanceCounts {
        self.instance.counts()
    }

    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }
}
