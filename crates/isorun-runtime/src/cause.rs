//! Why a guest ended early: from the engine's errors to a typed [`Fault`].

use isorun_core::{Failure, Fault, moves_cursor};
use wasmtime::Trap;

use crate::HostState;
use crate::fuse::Together;

/// A call through a link that failed where the WIT signature has no room to say so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("call of `{function}` on instance `{instance}` {place} failed: {failure}")]
pub struct LinkFailure {
    /// `interface#function`, or the bare name of a root function.
    pub function: String,
    /// The instance that was called.
    pub instance: String,
    /// Where it is: `in this process`, `at tcp://127.0.0.1:7000`.
    pub place: String,
    /// What went wrong.
    pub failure: Failure,
}

/// The guest asked to end, with this code.
///
/// A host component that serves `wasi:cli/exit` returns it as its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest exited with code {code}")]
pub struct GuestExit {
    /// The exit code.
    pub code: i32,
}

/// What the engine's `error` says of the guest in `state`.
pub(crate) fn fault(error: &wasmtime::Error, state: &mut HostState) -> Fault {
    let refused = state.limiter_mut().take_refused();
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    if let Some(exit) = error.downcast_ref::<GuestExit>() {
        return Fault::Exited { code: exit.code };
    }
    if let Some(link) = error.downcast_ref::<LinkFailure>() {
        return Fault::Trapped { message: plain(&link.to_string()) };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Fault::OutOfFuel { limit: state.call.fuel_limit() },
        Some(Trap::Interrupt) => state.call.out_of_time(),
        // A guest that is refused memory mostly gives up as `unreachable`.
        Some(Trap::UnreachableCodeReached) => refused.unwrap_or_else(|| trapped(Trap::UnreachableCodeReached, state)),
        Some(trap) => trapped(*trap, state),
        None => refused
            .or_else(|| worded(&error.root_cause().to_string(), state))
            // The host function's own words; the guest's backtrace above them is of no use to a caller.
            .unwrap_or_else(|| Fault::Trapped { message: said(error) }),
    }
}

/// What a host function's error says.
pub(crate) fn said(error: &wasmtime::Error) -> String {
    plain(&error.root_cause().to_string())
}

/// A text fit for a line of a log or a terminal: guests and peers are strangers, and errors quote them.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if plain.len() >= SAID_BYTES_MAX {
            plain.push('…');
            break;
        }
        if moves_cursor(c) { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

/// Longest text of a stranger that is passed on, in bytes.
pub(crate) const SAID_BYTES_MAX: usize = 1024;

fn trapped(trap: Trap, state: &HostState) -> Fault {
    let mut message = trap.to_string().trim_start_matches("wasm trap: ").to_owned();
    if let Some(Together(others)) = state.extension() {
        message += &format!(" (in it or in what is fused to it: {})", plain(&others.join(", ")));
    }
    Fault::Trapped { message }
}

/// Limits for which the engine has only words.
fn worded(text: &str, state: &HostState) -> Option<Fault> {
    let budget = state.limiter().budget();
    let over = |what: &str, limit: u64| {
        let wanted = text.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Some(Fault::OverBudget { what: what.into(), wanted, limit })
    };
    if text.starts_with("resource limit exceeded: instance count") {
        return over("max_instances", budget.max_instances.into());
    }
    if text.starts_with("resource limit exceeded: table count") {
        return over("max_tables", budget.max_tables.into());
    }
    if text.starts_with("resource limit exceeded: memory count") {
        return over("max_memories", budget.max_memories.into());
    }
    if text.starts_with("too much data is being copied between the host and the guest") {
        return over("hostcall_fuel", budget.hostcall_fuel);
    }
    if text.ends_with("store handle limit exceeded") {
        return over("max_handles", budget.max_handles.into());
    }
    None
}

/// What the engine's `error` says of a start: a refused growth is always its cause.
pub(crate) fn start_fault(error: &wasmtime::Error, state: &mut HostState) -> Fault {
    state.limiter_mut().take_refused().unwrap_or_else(|| fault(error, state))
}
