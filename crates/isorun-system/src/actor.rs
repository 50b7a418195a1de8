//! What components that live are given: `isorun:actor/host-messaging`, `isorun:actor/host-services` and
//! `isorun:actor/storage`.
//!
//! One host component of each kind serves a whole node. Which component calls
//! is known from its store, whose name is the component's id.

mod messaging;
mod services;
mod storage;
mod wire;

use isorun_core::ComponentId;
use isorun_runtime::HostState;

pub use messaging::ActorMessaging;
pub use services::{ActorServices, COMPONENTS_LISTED_MAX};
pub use storage::ActorStorage;

/// The component whose store this is.
struct Myself(ComponentId);

/// Reads the store's name once, so that no call has to.
fn configure(state: &mut HostState) -> wasmtime::Result<()> {
    if state.extension::<Myself>().is_none() {
        let id = ComponentId::parse(state.instance()).map_err(|e| {
            wasmtime::format_err!(
                "isorun:actor is for components that have an id, and the name of this instance is none: {e}"
            )
        })?;
        state.insert_extension(Myself(id));
    }
    Ok(())
}

fn myself(state: &HostState) -> wasmtime::Result<&ComponentId> {
    match state.extension::<Myself>() {
        Some(Myself(id)) => Ok(id),
        None => Err(wasmtime::format_err!("this store was not configured for isorun:actor")),
    }
}
