//! What stands in for an imported function whose code lives elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{BindRequest, Bound, CallContext, CallFailed, Callee, Failure, FunctionIndex, Refusal};
use isorun_ledger::{Function, TypeDef, TypeId, TypeRegistry};
use tokio::sync::OnceCell;
use tokio::time::timeout_at;
use wasmtime::StoreContextMut;
use wasmtime::component::Val;

use crate::store::{charge, settle};
use crate::{HostState, LinkFailure};

/// Where calls through a link go.
#[derive(Clone)]
pub struct CalleeLink {
    /// What is called.
    pub callee: Arc<dyn Callee>,
    /// Its instance's name, for messages.
    pub instance: String,
    /// Where it is, for messages: `this process`, `tcp://127.0.0.1:7000`.
    pub place: String,
    /// How long one call may take, in milliseconds; the caller's own remaining time may be less.
    pub deadline_ms: u64,
    /// Binds and checks at the first call rather than when the link is made.
    pub lazy: bool,
}

/// The functions of one import that go to one callee.
pub(crate) struct BoundLink {
    link: CalleeLink,
    request: BindRequest,
    bound: OnceCell<Arc<dyn Bound>>,
}

impl BoundLink {
    pub(crate) fn new(link: CalleeLink, request: BindRequest) -> Self {
        Self { link, request, bound: OnceCell::new() }
    }

    pub(crate) fn link(&self) -> &CalleeLink {
        &self.link
    }

    /// Binds, if that has not been done, before `deadline`.
    pub(crate) async fn bind(&self, deadline: Instant) -> Result<&Arc<dyn Bound>, Failure> {
        if let Some(bound) = self.bound.get() {
            return Ok(bound);
        }
        let bind = self.bound.get_or_try_init(|| self.link.callee.bind(&self.request));
        let late = |_| Failure::NotSent { cause: format!("{} did not answer a bind in time", self.link.place) };
        timeout_at(deadline.into(), bind).await.map_err(late)?
    }

    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        now + Duration::from_millis(self.link.deadline_ms)
    }
}

/// One imported function, and where its calls go.
pub(crate) struct Stub {
    pub(crate) types: Arc<TypeRegistry>,
    pub(crate) function: Function,
    pub(crate) to: Arc<BoundLink>,
    pub(crate) index: FunctionIndex,
    /// The function's error type is isorun's own `rpc-error`.
    rpc_error: bool,
}

impl Stub {
    pub(crate) fn new(types: Arc<TypeRegistry>, function: Function, to: Arc<BoundLink>, index: FunctionIndex) -> Self {
        let rpc_error = function.result.is_some_and(|result| fails_with_rpc_error(&types, result));
        Self { types, function, to, index, rpc_error }
    }

    /// Makes one call on behalf of the guest in `store`.
    ///
    /// The outer error ends the guest; the inner one is the call's own.
    pub(crate) async fn call(
        &self,
        store: &mut StoreContextMut<'_, HostState>,
        args: Bytes,
    ) -> wasmtime::Result<Result<Bytes, Failure>> {
        settle(store)?;
        let call = &store.data().call;
        let started = Instant::now();
        let cx = CallContext {
            deadline: call.deadline.min(self.to.deadline(started)),
            fuel: Some(call.tree_left()),
            chain: call.chain.clone(),
            trace: call.trace,
        };
        let outcome = self.send(&cx, args, started).await;
        let spent = match &outcome {
            Ok(reply) => reply.fuel_used,
            Err(failed) => failed.fuel_used,
        };
        charge(store, spent)?;
        Ok(outcome.map(|reply| reply.results).map_err(|failed| failed.failure))
    }

    async fn send(&self, cx: &CallContext, args: Bytes, started: Instant) -> Result<isorun_core::Reply, CallFailed> {
        let limit = isorun_core::CHAIN_MAX;
        if cx.chain.len() > limit {
            return Err(Failure::from(Refusal::ChainTooLong { limit: limit as u64 }).into());
        }
        let bound = self.to.bind(cx.deadline).await?;
        // Callees keep the deadline themselves; this holds for one that doesn't.
        match timeout_at(cx.deadline.into(), bound.call(self.index, cx, args)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(deadline(started).into()),
        }
    }

    /// What the guest gets for a failed call: an error value where its type has room for one.
    pub(crate) fn failed(&self, failure: Failure) -> wasmtime::Result<Val> {
        if self.rpc_error {
            return Ok(Val::Result(Err(Some(Box::new(rpc_error(&failure))))));
        }
        Err(self.link_failure(failure).into())
    }

    pub(crate) fn link_failure(&self, failure: Failure) -> LinkFailure {
        let CalleeLink { instance, place, .. } = self.to.link().clone();
        let name = &self.function.name;
        let function =
            self.to.request.interface.as_ref().map_or(name.clone(), |interface| format!("{interface}#{name}"));
        LinkFailure { function, instance, place, failure }
    }
}

/// A deadline that passed for somebody who began to wait at `started`.
pub(crate) fn deadline(started: Instant) -> Failure {
    Failure::Deadline { waited_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX) }
}

/// The cases of `isorun:link/types.rpc-error`, in order, and whether each carries a string.
const RPC_ERROR: [(&str, bool); 6] = [
    ("not-sent", true),
    ("unknown", true),
    ("refused", true),
    ("failed", true),
    ("deadline", false),
    ("cancelled", false),
];

fn fails_with_rpc_error(types: &TypeRegistry, result: TypeId) -> bool {
    let TypeDef::Result { err: Some(err), .. } = types.def(result) else { return false };
    let TypeDef::Variant(cases) = types.def(*err) else { return false };
    let is_string = |ty: Option<TypeId>| ty.map(|ty| matches!(types.def(ty), TypeDef::String));
    cases.len() == RPC_ERROR.len()
        && cases
            .iter()
            .zip(RPC_ERROR)
            .all(|(case, (name, text))| case.name == name && is_string(case.ty) == text.then_some(true))
}

fn rpc_error(failure: &Failure) -> Val {
    let case =
        |name: &str, text: Option<String>| Val::Variant(name.into(), text.map(|text| Box::new(Val::String(text))));
    match failure {
        Failure::NotSent { cause } => case("not-sent", Some(cause.clone())),
        Failure::Unknown { cause } => case("unknown", Some(cause.clone())),
        Failure::Refused(refusal) => case("refused", Some(refusal.to_string())),
        Failure::Failed(fault) => case("failed", Some(fault.to_string())),
        Failure::Deadline { .. } => case("deadline", None),
        Failure::Cancelled => case("cancelled", None),
        // A group of a later version: whether it ran can't be told.
        other => case("unknown", Some(other.to_string())),
    }
}
