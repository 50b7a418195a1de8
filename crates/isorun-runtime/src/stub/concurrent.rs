//! Calls that a guest makes many of at once, and calls out of a store that serves several.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use isorun_core::{CallContext, CallFailed, Failure, Fault, Refusal, Reply};
use tokio::task::JoinHandle;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut, StoreContextMut};

use super::Stub;
use crate::HostState;
use crate::store::flights::{arrive, depart};

/// Calls of `async` imports that one store may have under way.
pub const CALLS_OUT_MAX: usize = 128;
/// What their arguments may come to, in bytes; a guest can make calls faster than anybody answers them.
pub const CALLS_OUT_BYTES_MAX: usize = 64 << 20;
// The largest value must fit.
const _: () = assert!(CALLS_OUT_BYTES_MAX > neopack::VALUE_BYTES_MAX as usize);

/// The calls out of one store that are under way.
#[derive(Debug, Default)]
pub(crate) struct Out {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// A place among the calls out of a store.
struct Place {
    out: Arc<Out>,
    bytes: usize,
}

impl Place {
    fn take(out: &Arc<Out>, bytes: usize) -> Result<Self, Refusal> {
        let over = |what: &str, limit: usize| Refusal::Overloaded { what: what.into(), limit: limit as u64 };
        // Counted before they are looked at: whoever leaves gives back what it took.
        let place = Self { out: out.clone(), bytes };
        let calls = out.calls.fetch_add(1, Ordering::Relaxed);
        let held = out.bytes.fetch_add(bytes, Ordering::Relaxed);
        if calls >= CALLS_OUT_MAX {
            return Err(over("calls under way from one instance", CALLS_OUT_MAX));
        }
        if held.saturating_add(bytes) > CALLS_OUT_BYTES_MAX {
            return Err(over("bytes of arguments under way from one instance", CALLS_OUT_BYTES_MAX));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.out.calls.fetch_sub(1, Ordering::Relaxed);
        self.out.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Stub {
    /// Makes one of many calls on behalf of the guest whose store `accessor` reaches; dropping the future cancels it.
    ///
    /// The errors are as those of [`call`](Self::call).
    pub(crate) async fn call_concurrent(
        &self,
        accessor: &Accessor<HostState>,
        args: Bytes,
    ) -> wasmtime::Result<Result<Bytes, Failure>> {
        let started = Instant::now();
        let deadline = self.to.deadline(started);
        let (payer, cx, out) = accessor.with(|mut access| -> wasmtime::Result<_> {
            let store = &mut access.as_context_mut();
            let (payer, cx) = depart(store, deadline)?;
            Ok((payer, cx, store.data().out.clone()))
        })?;
        let place = match Place::take(&out, args.len()) {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let fuel = cx.fuel;
        let outcome = self.sent(cx, args, started).await;
        drop(place);
        let (outcome, used) = told(outcome, fuel);
        let paid = accessor.with(|mut access| arrive(&mut access.as_context_mut(), payer, used));
        after(outcome, paid)
    }

    /// Makes one call for a guest that waits for it, in a store that serves others too.
    pub(super) async fn call_shared(
        &self,
        store: &mut StoreContextMut<'_, HostState>,
        args: Bytes,
    ) -> wasmtime::Result<Result<Bytes, Failure>> {
        let started = Instant::now();
        let (payer, cx) = depart(store, self.to.deadline(started))?;
        let (outcome, used) = told(self.to.send(self.index, &cx, args, started).await, cx.fuel);
        let paid = arrive(store, payer, used);
        after(outcome, paid)
    }

    /// Sends a call in a task of its own.
    ///
    /// The engine polls what guests wait for with the guest's store at hand, and takes another one then for a mistake: a
    /// callee here must not run inside that.
    async fn sent(&self, cx: CallContext, args: Bytes, started: Instant) -> Result<Reply, CallFailed> {
        let (to, index) = (self.to.clone(), self.index);
        let task = tokio::spawn(async move { to.send(index, &cx, args, started).await });
        Sent(task).await
    }
}

/// A call in a task of its own, which ends with whoever waits for it.
struct Sent(JoinHandle<Result<Reply, CallFailed>>);

impl Future for Sent {
    type Output = Result<Reply, CallFailed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|joined| match joined {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => {
                Err(Failure::from(Fault::Bug { detail: "the callee's code panicked".into() }).into())
            }
            Err(_) => Err(Failure::Unknown { cause: "the host is going down".into() }.into()),
        })
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The outcome, and what it cost; no callee can have spent more than it was given, whatever it says.
fn told(outcome: Result<Reply, CallFailed>, fuel: Option<u64>) -> (Result<Bytes, Failure>, u64) {
    let (outcome, used) = match outcome {
        Ok(Reply { results, fuel_used }) => (Ok(results), fuel_used),
        Err(CallFailed { failure, fuel_used }) => (Err(failure), fuel_used),
    };
    (outcome, used.min(fuel.unwrap_or(u64::MAX)))
}

/// The call's own failure is what the guest is told; without fuel it ends soon after.
fn after(outcome: Result<Bytes, Failure>, paid: wasmtime::Result<()>) -> wasmtime::Result<Result<Bytes, Failure>> {
    if outcome.is_ok() {
        paid?;
    }
    Ok(outcome)
}
