//! `isorun:actor/host-messaging`: messages to other components.

use std::fmt;
use std::sync::{Arc, Weak};

use isorun_core::{BROADCAST_TARGETS_MAX, CorrelationId, MessagingError, Messenger, REQUEST_TIMEOUT_MS_MAX};
use isorun_runtime::{HostState, SystemComponent};
use wasmtime::component::{Linker, WasmList, WasmStr};

use super::wire::{Cx, Payload, Refusal, Stop, answer, invalid, read_id};
use super::{configure, myself};

const INTERFACE: &str = "isorun:actor/host-messaging@0.1.0";

/// Targets of one broadcast beyond which the guest is not even told: it traps.
///
/// The answer has an entry for each target, so that some guest's mistake can be said in it; this many are none.
const TARGETS_TOLD_MAX: usize = 64 * BROADCAST_TARGETS_MAX;

/// Lets components send messages: serves `isorun:actor/host-messaging@0.1.0` to all components of a node.
///
/// The sender is whoever's store the call comes from: its instance must have a
/// component id for a name, or it is not started. Limits are checked before
/// anything is copied out of the guest, and what is over one, or names no
/// component, is an error value and not a trap. Nothing here waits.
///
/// It holds no more than a weak reference to the messenger, which may hold the
/// engine that holds this; once that is gone, every message is *delivery-failed*.
/// Cloning is cheap.
///
/// ```
/// use std::sync::{Arc, Weak};
///
/// use isorun_core::{ComponentId, ComponentMetadata, CorrelationId, MessagePayload, Messenger, MessagingError};
/// use isorun_runtime::SystemComponent;
/// use isorun_system::ActorMessaging;
///
/// /// Takes every message and delivers none.
/// struct Void;
/// impl Messenger for Void {
///     fn send(&self, _: &ComponentId, _: &ComponentId, _: MessagePayload) -> Result<(), MessagingError> {
///         Ok(())
///     }
///     fn request(&self, _: &ComponentId, _: &ComponentId, _: MessagePayload, _: u64) -> Result<CorrelationId, MessagingError> {
///         Err(MessagingError::QueueFull)
///     }
///     fn cancel_request(&self, _: &ComponentId, _: CorrelationId) -> bool {
///         false
///     }
///     fn broadcast(&self, _: &ComponentId, to: &[ComponentId], _: MessagePayload) -> Vec<Result<(), MessagingError>> {
///         vec![Ok(()); to.len()]
///     }
///     fn components(&self) -> Vec<ComponentId> {
///         Vec::new()
///     }
///     fn metadata(&self, _: &ComponentId) -> Option<ComponentMetadata> {
///         None
///     }
/// }
///
/// let messenger: Arc<dyn Messenger> = Arc::new(Void);
/// let host = ActorMessaging::new(Arc::downgrade(&messenger));
/// assert_eq!(host.interfaces(), ["isorun:actor/host-messaging@0.1.0"]);
/// ```
#[derive(Clone)]
pub struct ActorMessaging {
    messenger: Weak<dyn Messenger>,
}

impl ActorMessaging {
    /// The interface, with that messenger behind it.
    #[must_use]
    pub fn new(messenger: Weak<dyn Messenger>) -> Self {
        Self { messenger }
    }

    fn messenger(&self) -> Result<Arc<dyn Messenger>, MessagingError> {
        self.messenger.upgrade().ok_or_else(|| MessagingError::DeliveryFailed {
            may_have_arrived: false,
            reason: "messages are no longer delivered here".into(),
        })
    }

    fn send(&self, cx: &Cx<'_>, target: &WasmStr, payload: &Payload) -> Result<(), Stop> {
        let (target, payload) = (read_id(cx, target)?, payload.read(cx)?);
        Ok(self.messenger()?.send(myself(cx.data())?, &target, payload)?)
    }

    fn request(&self, cx: &Cx<'_>, target: &WasmStr, payload: &Payload, timeout_ms: u64) -> Result<String, Stop> {
        if timeout_ms > REQUEST_TIMEOUT_MS_MAX {
            let reason = format!("a timeout of {timeout_ms} ms, {REQUEST_TIMEOUT_MS_MAX} are allowed");
            return Err(invalid(reason).into());
        }
        let (target, payload) = (read_id(cx, target)?, payload.read(cx)?);
        Ok(self.messenger()?.request(myself(cx.data())?, &target, payload, timeout_ms)?.to_string())
    }

    fn cancel_request(&self, cx: &Cx<'_>, id: &WasmStr) -> wasmtime::Result<bool> {
        let id = CorrelationId::parse(&id.to_str(cx)?);
        let (Some(id), Some(messenger)) = (id, self.messenger.upgrade()) else { return Ok(false) };
        Ok(messenger.cancel_request(myself(cx.data())?, id))
    }

    /// How it went with each target, in their order.
    fn broadcast(
        &self,
        cx: Cx<'_>,
        targets: &WasmList<WasmStr>,
        payload: &Payload,
    ) -> wasmtime::Result<Vec<Result<(), Refusal>>> {
        let wanted = targets.len();
        if wanted > TARGETS_TOLD_MAX {
            return Err(wasmtime::format_err!("a broadcast to {wanted} targets, {BROADCAST_TARGETS_MAX} are allowed"));
        }
        match self.send_to_all(cx, targets, payload) {
            Ok(went) => Ok(went.into_iter().map(|went| went.map_err(Refusal::from)).collect()),
            Err(Stop::Refused(error)) => Ok(vec![Err(error.into()); wanted]),
            Err(Stop::Trap(error)) => Err(error),
        }
    }

    fn send_to_all(
        &self,
        mut cx: Cx<'_>,
        targets: &WasmList<WasmStr>,
        payload: &Payload,
    ) -> Result<Vec<Result<(), MessagingError>>, Stop> {
        let wanted = targets.len();
        if wanted > BROADCAST_TARGETS_MAX {
            return Err(invalid(format!("{wanted} targets, {BROADCAST_TARGETS_MAX} are allowed")).into());
        }
        // One look at all of them, so that they share the engine's limit for a host call.
        let targets = targets.iter(&mut cx)?.collect::<wasmtime::Result<Vec<_>>>()?;
        let (messenger, payload) = (self.messenger()?, payload.read(&cx)?);
        let mut ids = Vec::with_capacity(wanted);
        let mut refused = Vec::with_capacity(wanted);
        for target in &targets {
            match read_id(&cx, target) {
                Ok(id) => {
                    ids.push(id);
                    refused.push(None);
                }
                Err(Stop::Refused(error)) => refused.push(Some(error)),
                Err(trap) => return Err(trap),
            }
        }
        let mut went = messenger.broadcast(myself(cx.data())?, &ids, payload).into_iter();
        let mut next = || went.next().unwrap_or_else(|| Err(unsaid()));
        Ok(refused.into_iter().map(|refused| refused.map_or_else(&mut next, Err)).collect())
    }
}

/// Of a target that the messenger gave no outcome for.
fn unsaid() -> MessagingError {
    MessagingError::DeliveryFailed { may_have_arrived: true, reason: "nothing was said of this target".into() }
}

impl fmt::Debug for ActorMessaging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorMessaging").field("delivers", &(self.messenger.strong_count() > 0)).finish()
    }
}

impl SystemComponent for ActorMessaging {
    fn interfaces(&self) -> Vec<String> {
        vec![INTERFACE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let mut interface = linker.instance(INTERFACE)?;
        let host = self.clone();
        interface.func_wrap("send", move |cx: Cx<'_>, (target, payload): (WasmStr, Payload)| {
            Ok((answer(host.send(&cx, &target, &payload))?,))
        })?;
        let host = self.clone();
        interface.func_wrap("request", move |cx: Cx<'_>, (target, payload, ms): (WasmStr, Payload, u64)| {
            Ok((answer(host.request(&cx, &target, &payload, ms))?,))
        })?;
        let host = self.clone();
        interface
            .func_wrap("cancel-request", move |cx: Cx<'_>, (id,): (WasmStr,)| Ok((host.cancel_request(&cx, &id)?,)))?;
        let host = self.clone();
        interface.func_wrap("broadcast", move |cx: Cx<'_>, (targets, payload): (WasmList<WasmStr>, Payload)| {
            Ok((host.broadcast(cx, &targets, &payload)?,))
        })?;
        interface.func_wrap("self-id", |cx: Cx<'_>, (): ()| Ok((myself(cx.data())?.to_string_id(),)))
    }

    /// Notes whose store it is.
    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        configure(state)
    }
}
