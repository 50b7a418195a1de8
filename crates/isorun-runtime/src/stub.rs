//! What stands in for an imported function whose code lives elsewhere.

mod concurrent;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{BindRequest, Bound, CallContext, CallFailed, Callee, Failure, FunctionIndex, Refusal, Reply};
use isorun_ledger::{Case, Function, TypeDef, TypeId, TypeRegistry};
use tokio::sync::OnceCell;
use tokio::time::timeout_at;
use tracing::Instrument;
use wasmtime::StoreContextMut;

pub(crate) use self::concurrent::Out;
pub use self::concurrent::{CALLS_OUT_BYTES_MAX, CALLS_OUT_MAX};
use crate::direct::Brought;
use crate::instance::{ShortWay, short_way};
use crate::observe::{self, CallSpan, Called};
use crate::store::{charge, settle};
use crate::{HostState, LinkFailure, interpreted};

/// Where calls through a link go.
#[derive(Clone)]
pub struct CalleeLink {
    /// What is called.
    pub callee: Arc<dyn Callee>,
    /// Its instance's name, for messages.
    pub instance: String,
    /// Where it is, for messages: `in this process`, `at tcp://127.0.0.1:7000`.
    pub place: String,
    /// How long one call may take, in milliseconds; the caller's own remaining time may be less.
    pub deadline_ms: u64,
    /// Binds and checks at the first call rather than when the link is made.
    pub lazy: bool,
    /// What the guest gets for a call that fails.
    pub on_failure: OnFailure,
}

/// What a guest gets for a call through a link that fails.
///
/// Whatever is chosen, a function whose type has no room for it traps, with the cause in the message.
///
/// ```
/// use isorun_runtime::OnFailure;
/// assert_eq!("case:io".parse(), Ok(OnFailure::Case("io".into())));
/// assert_eq!(OnFailure::Text.to_string(), "text");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// An error value where the function's error type is `isorun:link`'s own `rpc-error`; otherwise a trap.
    #[default]
    RpcError,
    /// A trap, always.
    Trap,
    /// This case of the function's own error type; with the cause, if the case carries a string.
    Case(String),
    /// The cause as text, where the function's error type is `string`.
    Text,
}

impl std::fmt::Display for OnFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RpcError => f.write_str("rpc-error"),
            Self::Trap => f.write_str("trap"),
            Self::Case(name) => write!(f, "case:{name}"),
            Self::Text => f.write_str("text"),
        }
    }
}

/// A text that is no failure policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no failure policy: rpc-error, trap, text, or case:NAME")]
pub struct UnknownPolicy {
    /// The text.
    pub text: String,
}

impl std::str::FromStr for OnFailure {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        match (text, text.strip_prefix("case:")) {
            ("rpc-error", _) => Ok(Self::RpcError),
            ("trap", _) => Ok(Self::Trap),
            ("text", _) => Ok(Self::Text),
            (_, Some(name)) if !name.is_empty() => Ok(Self::Case(name.into())),
            _ => Err(UnknownPolicy { text: text.into() }),
        }
    }
}

/// The functions of one import that go to one callee.
pub(crate) struct BoundLink {
    link: CalleeLink,
    request: BindRequest,
    bound: OnceCell<Arc<dyn Bound>>,
    /// A shorter way to what is bound, if there is one.
    short: OnceLock<Option<ShortWay>>,
}

impl BoundLink {
    pub(crate) fn new(link: CalleeLink, request: BindRequest) -> Self {
        Self { link, request, bound: OnceCell::new(), short: OnceLock::new() }
    }

    pub(crate) fn link(&self) -> &CalleeLink {
        &self.link
    }

    /// Binds, if that has not been done, before `deadline`.
    pub(crate) async fn bind(&self, deadline: Instant) -> Result<&Arc<dyn Bound>, Failure> {
        if let Some(bound) = self.bound.get() {
            return Ok(bound);
        }
        let bind = self.bound.get_or_try_init(async || {
            let CalleeLink { instance, place, .. } = &self.link;
            let span = observe::link_span(instance, self.request.interface.as_deref(), place);
            let bound = self.link.callee.bind(&self.request).instrument(span.clone()).await;
            observe::linked(&span, &bound);
            bound
        });
        let late = |_| Failure::NotSent { cause: format!("nobody {} answered in time", self.link.place) };
        let bound = timeout_at(deadline.into(), bind).await.map_err(late)??;
        self.short.get_or_init(|| short_way(&**bound));
        Ok(bound)
    }

    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        now + Duration::from_millis(self.link.deadline_ms)
    }

    /// Makes one call, in a span of its own where somebody asks for spans.
    async fn send(
        &self,
        index: FunctionIndex,
        cx: &CallContext,
        args: Bytes,
        started: Instant,
    ) -> Result<Reply, CallFailed> {
        if !observe::is_on() {
            return self.send_on(index, cx, args, started).await;
        }
        let mut cx = cx.clone();
        let span = CallSpan::new(self.called(index), &mut cx);
        // On the heap, so that calls without spans don't carry its size.
        let result = Box::pin(self.send_on(index, &cx, args, started).instrument(span.span())).await;
        match &result {
            Ok(reply) => span.tell(None, reply.fuel_used),
            Err(failed) => span.tell(Some(&failed.failure), failed.fuel_used),
        }
        result
    }

    fn called(&self, index: FunctionIndex) -> Called<'_> {
        let function = self.request.functions.get(index.0 as usize).map_or("", |(name, _)| name);
        let interface = self.request.interface.as_deref();
        Called { instance: &self.link.instance, interface, function, peer: &self.link.place }
    }

    async fn send_on(
        &self,
        index: FunctionIndex,
        cx: &CallContext,
        args: Bytes,
        started: Instant,
    ) -> Result<Reply, CallFailed> {
        let limit = isorun_core::CHAIN_MAX;
        if cx.chain.len() > limit {
            return Err(Failure::from(Refusal::ChainTooLong { limit: limit as u64 }).into());
        }
        let bound = self.bind(cx.deadline).await?;
        if bound.keeps_deadline() {
            return bound.call(index, cx, args).await;
        }
        // Callees keep the deadline themselves; this holds for one that doesn't.
        match timeout_at(cx.deadline.into(), bound.call(index, cx, args)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(deadline(started).into()),
        }
    }
}

/// One imported function, and where its calls go.
pub(crate) struct Stub {
    pub(crate) types: Arc<TypeRegistry>,
    pub(crate) function: Function,
    pub(crate) to: Arc<BoundLink>,
    pub(crate) index: FunctionIndex,
    room: Room,
}

/// What a function's result type has room for when a call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Room {
    /// Nothing, or nothing wanted: the guest traps.
    None,
    RpcError,
    Text,
    /// A case of a variant; whether it carries a string.
    Case {
        index: u32,
        text: bool,
    },
    /// A case of an enum.
    Enum {
        index: u32,
    },
}

impl Room {
    /// The room that `policy` finds in a function's result type.
    pub(crate) fn of(types: &TypeRegistry, result: Option<TypeId>, policy: &OnFailure) -> Self {
        let Some(TypeDef::Result { err: Some(err), .. }) = result.map(|result| types.def(result)) else {
            return Self::None;
        };
        let is_string = |ty: TypeId| matches!(types.def(ty), TypeDef::String);
        match (policy, types.def(*err)) {
            (OnFailure::RpcError, TypeDef::Variant(cases)) if is_rpc_error(types, cases) => Self::RpcError,
            (OnFailure::Text, TypeDef::String) => Self::Text,
            (OnFailure::Case(name), TypeDef::Variant(cases)) => {
                let fits = |case: &Case| case.name == *name && case.ty.is_none_or(is_string);
                let case = (0..).zip(cases).find(|(_, case)| fits(case));
                case.map_or(Self::None, |(index, case)| Self::Case { index, text: case.ty.is_some() })
            }
            (OnFailure::Case(name), TypeDef::Enum(names)) => {
                let case = (0..).zip(names).find(|(_, known)| *known == name);
                case.map_or(Self::None, |(index, _)| Self::Enum { index })
            }
            _ => Self::None,
        }
    }
}

impl Stub {
    pub(crate) fn new(types: Arc<TypeRegistry>, function: Function, to: Arc<BoundLink>, index: FunctionIndex) -> Self {
        let room = Room::of(&types, function.result, &to.link.on_failure);
        Self { types, function, to, index, room }
    }

    /// Makes one call that can be made at once, in this process; `None` where it can't, and nothing has happened.
    ///
    /// The errors are as those of [`call`](Self::call).
    pub(crate) fn call_now(
        &self,
        store: &mut StoreContextMut<'_, HostState>,
        args: &[u8],
    ) -> Option<wasmtime::Result<Brought>> {
        let short = self.to.short.get()?.as_ref()?;
        // A chain that is too long is told so on the long way, and spans are made there.
        if observe::is_on() || store.data().flights.is_some() || store.data().call.chain.len() >= isorun_core::CHAIN_MAX
        {
            return None;
        }
        if let Err(error) = settle(store) {
            return Some(Err(error));
        }
        let call = &mut store.data_mut().call;
        let now = call.lately();
        let deadline = call.deadline.min(self.to.deadline(now));
        let fuel = call.tree_left();
        Some(match short.call(self.index, now, deadline, fuel, args)? {
            Ok((results, fuel_used)) => charge(store, fuel_used).map(|()| Brought::Ours(results)),
            Err(CallFailed { failure, fuel_used }) => {
                // As in `call`.
                let _ = charge(store, fuel_used);
                Ok(Brought::Told(Err(failure)))
            }
        })
    }

    /// Makes one call on behalf of the guest in `store`.
    ///
    /// The outer error ends the guest; the inner one is the call's own.
    pub(crate) async fn call(
        &self,
        store: &mut StoreContextMut<'_, HostState>,
        args: Bytes,
    ) -> wasmtime::Result<Result<Bytes, Failure>> {
        if store.data().flights.is_some() {
            return self.call_shared(store, args).await;
        }
        settle(store)?;
        let call = &store.data().call;
        let started = Instant::now();
        let cx = CallContext {
            deadline: call.deadline.min(self.to.deadline(started)),
            fuel: Some(call.tree_left()),
            chain: call.chain.clone(),
            trace: call.trace,
        };
        // No callee can have spent more than it was given, whatever it says.
        let spent = |fuel_used: u64| fuel_used.min(cx.fuel.unwrap_or(u64::MAX));
        match self.to.send(self.index, &cx, args, started).await {
            Ok(reply) => {
                charge(store, spent(reply.fuel_used))?;
                Ok(Ok(reply.results))
            }
            Err(CallFailed { failure, fuel_used }) => {
                // The call's own failure is what the guest is told; without fuel it ends soon after.
                let _ = charge(store, spent(fuel_used));
                Ok(Err(failure))
            }
        }
    }

    /// What the guest gets for a failed call, packed: an error value where its type has room for one.
    pub(crate) fn failed(&self, failure: &Failure) -> wasmtime::Result<Vec<u8>> {
        let packed = self.room.pack(failure).ok().flatten();
        packed.ok_or_else(|| self.link_failure(failure.clone()).into())
    }

    /// What the guest gets for results that are not of its types.
    pub(crate) fn bad_results(&self, packed: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.failed(&interpreted::refused_results(&self.types, &self.function, packed))
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

fn is_rpc_error(types: &TypeRegistry, cases: &[Case]) -> bool {
    let is_string = |ty: Option<TypeId>| ty.map(|ty| matches!(types.def(ty), TypeDef::String));
    cases.len() == RPC_ERROR.len()
        && cases
            .iter()
            .zip(RPC_ERROR)
            .all(|(case, (name, text))| case.name == name && is_string(case.ty) == text.then_some(true))
}

impl Room {
    /// The error value for a failure, packed as a function's results, if there is room for one.
    fn pack(&self, failure: &Failure) -> Result<Option<Vec<u8>>, neopack::EncodeError> {
        let mut enc = neopack::Encoder::new();
        enc.struct_begin()?;
        enc.result_err()?;
        let text = |enc: &mut neopack::Encoder, carries: bool, text: &dyn std::fmt::Display| {
            if carries { enc.str(&text.to_string()) } else { enc.unit() }
        };
        match self {
            Self::None => return Ok(None),
            Self::RpcError => {
                let (index, carried) = rpc_error(failure);
                enc.variant(index)?;
                text(&mut enc, carried.is_some(), &carried.unwrap_or_default())?;
            }
            Self::Text => enc.str(&failure.to_string())?,
            Self::Case { index, text: carries } => {
                enc.variant(*index)?;
                text(&mut enc, *carries, failure)?;
            }
            Self::Enum { index } => enc.enum_(*index)?,
        }
        enc.struct_end()?;
        enc.finish().map(Some)
    }
}

/// The number of the case of `rpc-error` for a failure, and what it carries.
fn rpc_error(failure: &Failure) -> (u32, Option<String>) {
    match failure {
        Failure::NotSent { cause } => (0, Some(cause.clone())),
        Failure::Unknown { cause } => (1, Some(cause.clone())),
        Failure::Refused(refusal) => (2, Some(refusal.to_string())),
        Failure::Failed(fault) => (3, Some(fault.to_string())),
        Failure::Deadline { .. } => (4, None),
        Failure::Cancelled => (5, None),
        // A group of a later version: whether it ran can't be told.
        other => (1, Some(other.to_string())),
    }
}
