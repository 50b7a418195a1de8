//! `isorun:actor/host-services`: the log, the clock, and who else is there.

use std::fmt;
use std::sync::Weak;
use std::time::{Duration, SystemTime};

use isorun_core::{ComponentId, Fault, Messenger};
use isorun_runtime::{HostState, SystemComponent};
use wasmtime::component::{ComponentType, Linker, Lower, WasmList, WasmStr};

use super::configure;
use super::wire::{Cx, Metadata};
use crate::log::{LogLevel, Logger};

const INTERFACE: &str = "isorun:actor/host-services@0.1.0";

/// Most components that `list-components` gives: those whose ids come first.
pub const COMPONENTS_LISTED_MAX: usize = 10_000;

/// Gives components a log, a clock and the names of their neighbours: serves `isorun:actor/host-services@0.1.0` to all
/// components of a node.
///
/// Lines go to the [`Logger`], under its limits, by the id of the component that
/// writes them; `sleep-millis` suspends the component and no thread, for as long
/// as its wall-clock budget lasts. Cloning is cheap.
///
/// ```
/// use std::sync::{Arc, Weak};
///
/// use isorun_core::Messenger;
/// use isorun_runtime::SystemComponent;
/// use isorun_system::{ActorServices, Logger};
///
/// # fn services(messenger: &Arc<dyn Messenger>) {
/// let host = ActorServices::new(Arc::downgrade(messenger), Logger::new());
/// assert_eq!(host.interfaces(), ["isorun:actor/host-services@0.1.0"]);
/// # }
/// ```
#[derive(Clone)]
pub struct ActorServices {
    messenger: Weak<dyn Messenger>,
    logger: Logger,
}

/// `datetime`
#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl ActorServices {
    /// The interface, with that messenger's components, and that log.
    #[must_use]
    pub fn new(messenger: Weak<dyn Messenger>, logger: Logger) -> Self {
        Self { messenger, logger }
    }

    fn list_components(&self) -> Vec<String> {
        let Some(messenger) = self.messenger.upgrade() else { return Vec::new() };
        let ids = messenger.components().into_iter().take(COMPONENTS_LISTED_MAX);
        ids.map(|id| id.to_string_id()).collect()
    }

    fn metadata(&self, cx: &Cx<'_>, id: &WasmStr) -> wasmtime::Result<Option<Metadata>> {
        let id = ComponentId::parse(&id.to_str(cx)?).ok();
        let (Some(id), Some(messenger)) = (id, self.messenger.upgrade()) else { return Ok(None) };
        Ok(messenger.metadata(&id).map(Metadata::from))
    }
}

/// Since 1970; a clock that stands before that says zero.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Waits, and no longer than a call of this store may take.
async fn sleep(limit_ms: u64, ms: u64) -> wasmtime::Result<()> {
    tokio::time::sleep(Duration::from_millis(ms.min(limit_ms))).await;
    // Whoever runs the call ends it at its own limit, which comes before this one.
    if ms > limit_ms { Err(Fault::OutOfTime { limit_ms }.into()) } else { Ok(()) }
}

impl fmt::Debug for ActorServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorServices").field("logger", &self.logger).finish_non_exhaustive()
    }
}

impl SystemComponent for ActorServices {
    fn interfaces(&self) -> Vec<String> {
        vec![INTERFACE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        type Fields = WasmList<(WasmStr, WasmStr)>;
        let mut interface = linker.instance(INTERFACE)?;
        let logger = self.logger.clone();
        interface.func_wrap("log", move |cx: Cx<'_>, (level, message, fields): (LogLevel, WasmStr, Fields)| {
            logger.log(cx, level, &message, Some(&fields))
        })?;
        interface.func_wrap("current-time", |_: Cx<'_>, (): ()| {
            let now = now();
            Ok((Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() },))
        })?;
        interface.func_wrap("current-time-millis", |_: Cx<'_>, (): ()| {
            Ok((u64::try_from(now().as_millis()).unwrap_or(u64::MAX),))
        })?;
        interface.func_wrap_async("sleep-millis", |cx: Cx<'_>, (ms,): (u64,)| {
            let limit_ms = cx.data().limiter().budget().wall_ms;
            Box::new(sleep(limit_ms, ms))
        })?;
        let host = self.clone();
        interface.func_wrap("list-components", move |_: Cx<'_>, (): ()| Ok((host.list_components(),)))?;
        let host = self.clone();
        interface
            .func_wrap("get-component-metadata", move |cx: Cx<'_>, (id,): (WasmStr,)| Ok((host.metadata(&cx, &id)?,)))
    }

    /// Notes whose store it is.
    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        configure(state)
    }
}
