//! An instance of a peer, as an embedder calls it: no component is needed, the peer describes itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isorun_core::{BindRequest, Bound, CallContext, Callee, DEADLINE_MS_DEFAULT, Failure, FunctionIndex, Refusal};
use isorun_ledger::{Function, Interface, Ledger};
use isorun_rpc::RemoteInstance;
use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{CallError, CallOptions, CallSpan, Called, codec};
use parking_lot::Mutex;
use tracing::Instrument;

use crate::{RemoteEnd, Runtime};

impl Runtime {
    /// An instance at the other end of a transport or connection, to be called by its own description.
    ///
    /// Nothing is opened or sent before it is used; links through the same transport share its connection.
    #[must_use]
    pub fn remote_instance(&self, end: impl Into<RemoteEnd>, name: &str) -> RemoteHandle {
        let callee = self.remote(&end.into(), name);
        RemoteHandle { shared: Arc::new(Shared { callee, known: Mutex::new(None) }) }
    }
}

/// An instance at the other end of a connection.
///
/// The first use asks the peer what the instance exports; calls are encoded by that, and bound with the hashes of the
/// types. Cloning is cheap and gives the same instance.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use isorun::{CallOptions, LocalChannelTransport, Runtime, Val};
/// # let bytes = wat::parse_str(r#"(component
/// #   (core module $m (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))
/// #   (core instance $i (instantiate $m))
/// #   (func (export "double") (param "n" u32) (result u32) (canon lift (core func $i "double"))))"#)?;
///
/// let there = Runtime::new()?;
/// let component = there.load(bytes)?;
/// let _served = there.builder(&component).register_as("doubler").instantiate().await?;
/// let (near, far) = LocalChannelTransport::pair();
/// tokio::spawn(async move { there.serve(Box::new(far)).await });
///
/// let doubler = Runtime::new()?.remote_instance(Arc::new(near), "doubler");
/// assert!(doubler.ledger().await?.to_string().contains("double: func(n: u32) -> u32;"));
/// assert_eq!(doubler.exec("double", &[Val::U32(21)], CallOptions::default()).await?, [Val::U32(42)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteHandle {
    shared: Arc<Shared>,
}

struct Shared {
    callee: RemoteInstance,
    known: Mutex<Option<Arc<Known>>>,
}

/// An interface, or none for the root, and a function of it.
type FunctionName = (Option<String>, String);

/// What the peer said of the instance, and what was bound by that.
struct Known {
    ledger: Arc<Ledger>,
    /// By the names of interface and function; at most one for each of the ledger's.
    bound: Mutex<HashMap<FunctionName, Arc<dyn Bound>>>,
}

impl RemoteHandle {
    /// The instance's name where it runs.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.callee.name()
    }

    /// What the instance exports; asked for once, and again after the peer refused a call by it.
    ///
    /// # Errors
    /// A [`Failure`]: the peer is not reached, has no such instance, or describes it with bytes that are no ledger.
    /// Waits for 30 seconds at most.
    pub async fn ledger(&self) -> Result<Arc<Ledger>, Failure> {
        Ok(self.known(after(DEADLINE_MS_DEFAULT)).await?.ledger.clone())
    }

    /// Calls an exported function and waits for its results.
    ///
    /// `function` is a name at the root (`run`) or of an interface (`demo:kv/store#get`), whose version may be left out.
    ///
    /// # Errors
    /// [`CallError`], which says what failed, and whether it ran.
    pub async fn exec(&self, function: &str, args: &[Val], options: CallOptions) -> Result<Vec<Val>, CallError> {
        self.call(function, args, after(options.deadline_ms)).await.map_err(|failure| {
            if matches!(failure, Failure::Refused(Refusal::Incompatible { .. } | Refusal::NoSuchFunction { .. })) {
                // Another component may be served under the name by now.
                *self.shared.known.lock() = None;
            }
            let (instance, function) = (self.name().to_owned(), function.to_owned());
            CallError { instance, function, failure: Box::new(failure), link: None }
        })
    }

    async fn call(&self, name: &str, args: &[Val], deadline: Instant) -> Result<Vec<Val>, Failure> {
        let known = self.known(deadline).await?;
        let types = &known.ledger.types;
        let Some((interface, function)) = known.ledger.exported(name) else {
            return Err(Refusal::no_such_function(self.name(), None, name).into());
        };
        if let Some(obstacle) = function.obstacles(types).first() {
            return Err(bad_arguments(obstacle.to_string()));
        }
        let packed = codec::pack_args(types, function, args)?;

        let bound = within(deadline, self.bound(&known, interface, function)).await?;
        let mut cx = CallContext::until(deadline);
        let peer = self.shared.callee.link().place();
        let (instance, interface) = (self.name(), interface.name.as_deref());
        let span = CallSpan::new(Called { instance, interface, function: &function.name, peer: &peer }, &mut cx);
        let reply = bound.call(FunctionIndex(0), &cx, packed).instrument(span.span()).await;
        match &reply {
            Ok(reply) => span.tell(None, reply.fuel_used),
            Err(failed) => span.tell(Some(&failed.failure), failed.fuel_used),
        }
        let reply = reply.map_err(|failed| failed.failure)?;
        codec::unpack_results(types, function, &reply.results)
    }

    async fn known(&self, deadline: Instant) -> Result<Arc<Known>, Failure> {
        if let Some(known) = self.shared.known.lock().clone() {
            return Ok(known);
        }
        let packed = within(deadline, self.shared.callee.describe()).await?;
        let ledger = Ledger::unpack(&packed).map_err(|error| Failure::NotSent {
            cause: format!("what the peer says of instance `{}` is no ledger: {error}", self.name()),
        })?;
        let known = Arc::new(Known { ledger: Arc::new(ledger), bound: Mutex::default() });
        *self.shared.known.lock() = Some(known.clone());
        Ok(known)
    }

    /// A function of its own binding: this caller may not have the others of its interface.
    ///
    /// Bound once: a connection that comes back binds by itself.
    async fn bound(
        &self,
        known: &Known,
        interface: &Interface,
        function: &Function,
    ) -> Result<Arc<dyn Bound>, Failure> {
        let key = (interface.name.clone(), function.name.clone());
        if let Some(bound) = known.bound.lock().get(&key) {
            return Ok(bound.clone());
        }
        let functions = vec![(function.name.clone(), function.hash)];
        let bound = self.shared.callee.bind(&BindRequest { interface: interface.name.clone(), functions }).await?;
        known.bound.lock().insert(key, bound.clone());
        Ok(bound)
    }
}

impl std::fmt::Debug for RemoteHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteHandle").field("name", &self.name()).finish_non_exhaustive()
    }
}

fn after(deadline_ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(deadline_ms)
}

/// What comes before a call, ended by the call's deadline.
async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Failure::NotSent { cause: "the peer did not answer in time".into() };
    tokio::time::timeout_at(deadline.into(), work).await.map_err(late)?
}

fn bad_arguments(detail: String) -> Failure {
    Refusal::BadArguments { detail }.into()
}
