//! A call's companions: who is called, on whose behalf, and with what left.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::{BoxFuture, Failure, Trace};

/// Most instances that one call may pass through, one calling the next.
///
/// 64 is deeper than any architecture anyone wants to debug, and bounds what a call carries: 64 × 16 bytes.
pub const CHAIN_MAX: usize = 64;

/// How long a call may take unless its caller says otherwise, in milliseconds.
pub const DEADLINE_MS_DEFAULT: u64 = 30_000;

/// One instance among all instances everywhere: 16 random bytes, drawn when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceUid(pub [u8; 16]);

impl std::fmt::Debug for InstanceUid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A function's place in the table that [`Callee::bind`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionIndex(pub u32);

/// What travels with a call beside its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// What the whole tree of calls below this one may still spend, in units of
    /// fuel; `None` where the caller sets no bound.
    pub fuel: Option<u64>,
    /// The instances that wait for this call, the first caller first; at most [`CHAIN_MAX`].
    pub chain: Arc<[InstanceUid]>,
    /// The trace this call belongs to.
    pub trace: Trace,
}

impl CallContext {
    /// A call of nobody's: no chain, no fuel bound, no trace.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self { deadline, fuel: None, chain: Arc::from([]), trace: Trace::default() }
    }
}

/// Which functions a caller wants to call, and what it believes of their types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindRequest {
    /// `ns:pkg/iface@version`, or `None` for functions at the root.
    pub interface: Option<String>,
    /// Name and structural hash of each function; a function's place here is its [`FunctionIndex`].
    pub functions: Vec<(String, [u8; 32])>,
}

/// What a call that came to its end brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The results, packed.
    pub results: Bytes,
    /// What the call spent below the caller, in units of fuel.
    pub fuel_used: u64,
}

/// What a call that did not come to its end brings back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct CallFailed {
    /// Why.
    pub failure: Failure,
    /// What the call spent below the caller, in units of fuel, as far as it is known.
    pub fuel_used: u64,
}

impl<F: Into<Failure>> From<F> for CallFailed {
    fn from(failure: F) -> Self {
        Self { failure: failure.into(), fuel_used: 0 }
    }
}

/// Something whose functions can be called: an instance here, or one on a peer.
pub trait Callee: Send + Sync {
    /// Checks that every wanted function is there with the wanted types.
    ///
    /// Answered from the callee's ledger alone: nothing of it need run yet.
    ///
    /// # Errors
    /// [`Refusal::Incompatible`](crate::Refusal::Incompatible) carries the callee's own packed ledger.
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>>;

    /// The callee's packed ledger.
    ///
    /// # Errors
    /// Whatever keeps a peer from answering.
    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>>;

    /// Whether what one call leaves behind a later one may find, so that a link should keep to one such callee. By default,
    /// and as long as it is not known, nothing is said.
    fn keeps_state(&self) -> Option<bool> {
        None
    }
}

/// The functions of one interface of a callee, ready to be called.
pub trait Bound: Send + Sync {
    /// Calls one function; dropping the future cancels the call.
    ///
    /// # Errors
    /// A [`Failure`], with the fuel that was spent before it.
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        cx: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>>;

    /// Whether [`call`](Self::call) itself ends at the deadline, so that whoever calls need not watch it. By default nobody
    /// relies on it.
    fn keeps_deadline(&self) -> bool {
        false
    }

    /// Makes a call that can be made at once, without waiting; `None` where it can't, and then nothing has happened.
    ///
    /// For whoever serves many callers in one place: no future is made, and nothing is handed on. By default every call
    /// takes the way of [`call`](Self::call).
    fn call_now(&self, function: FunctionIndex, cx: &CallContext, args: &Bytes) -> Option<Result<Reply, CallFailed>> {
        let _ = (function, cx, args);
        None
    }

    /// What this is, for an engine that knows a shorter way to callees of its own kind. By default nothing is said.
    fn as_any(&self) -> Option<&dyn std::any::Any> {
        None
    }
}

/// Where incoming calls find the instance they name; applies the security policy.
pub trait Directory: Send + Sync {
    /// The instance of that name, if this caller may see it.
    ///
    /// # Errors
    /// [`Refusal::NoSuchInstance`](crate::Refusal::NoSuchInstance) or [`Refusal::Unauthorised`](crate::Refusal::Unauthorised).
    fn find(&self, instance: &str, caller: &crate::PeerIdentity) -> Result<Arc<dyn Callee>, Failure>;
}
