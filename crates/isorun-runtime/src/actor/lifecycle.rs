//! Where a component's exports are that the host calls, or what it has instead.

use isorun_core::{ComponentConfig, WasmError};
use isorun_ledger::{Difference, Interface, Ledger};
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc};

use super::types::{CallbackIn, ConfigIn, ErrorOut, HealthReportOut, MessageIn, MetadataOut, PayloadOut};
use super::{LIFECYCLE, expected};
use crate::linker::{LinkedComponent, matching};
use crate::{HostState, LoadedComponent};

/// What a component has for an interface: the functions' places, or why it is none that lives.
pub(super) type Lifecycle = Result<ExportIndices, NoLifecycle>;

/// The places of the functions that the host calls.
pub(super) struct ExportIndices {
    initialize: ComponentExportIndex,
    handle_message: ComponentExportIndex,
    handle_callback: ComponentExportIndex,
    metadata: ComponentExportIndex,
    health: ComponentExportIndex,
    shutdown: ComponentExportIndex,
}

/// Why a component can't live: it does not export what the host calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoLifecycle {
    /// It has no such interface.
    #[error("it does not export `{LIFECYCLE}`, and so takes no messages; it exports {}", listed(exports))]
    NotExported {
        /// What it exports.
        exports: Vec<String>,
    },
    /// It has the interface, and in it are not the functions that the host calls.
    #[error(
        "its `{interface}` is not what the host calls; in the host (here) and in the component (there):\n{difference}"
    )]
    Differs {
        /// As it exports it.
        interface: String,
        /// Every mismatch, with its path.
        difference: Difference,
    },
    /// The compiled code has no such function.
    #[error("bug in isorun: no `{function}` in the compiled code")]
    NoFunction {
        /// Which one.
        function: &'static str,
    },
}

fn listed(exports: &[String]) -> String {
    match exports {
        [] => "nothing".into(),
        exports => exports.iter().map(|export| format!("`{export}`")).collect::<Vec<_>>().join(", "),
    }
}

/// The interface among a component's exports, in any version that serves ours, and its name there.
fn exported(ledger: &Ledger) -> Result<(&str, &Interface), NoLifecycle> {
    let exported =
        matching(ledger, Some(LIFECYCLE)).and_then(|interface| interface.name.as_deref().zip(Some(interface)));
    let Some((name, interface)) = exported else {
        let exports = ledger.exports.iter().flat_map(|export| match &export.name {
            Some(name) => vec![name.clone()],
            None => export.functions.iter().map(|function| function.name.clone()).collect(),
        });
        return Err(NoLifecycle::NotExported { exports: exports.collect() });
    };
    if let Some(difference) = expected::difference(&ledger.types, interface) {
        return Err(NoLifecycle::Differs { interface: name.into(), difference });
    }
    Ok((name, interface))
}

/// Says of a component whether it can live: whether it exports what the host calls. Nothing is compiled.
///
/// # Errors
/// [`NoLifecycle`]: what it has instead.
pub fn lives(component: &LoadedComponent) -> Result<(), NoLifecycle> {
    exported(component.ledger()).map(drop)
}

/// Finds the interface in compiled code.
pub(super) fn find(linked: &LinkedComponent) -> Lifecycle {
    let (name, _) = exported(linked.component().ledger())?;
    let compiled = linked.pre.component();
    let parent = compiled.get_export_index(None, name);
    let place = |function: &'static str| {
        let index = parent.as_ref().and_then(|parent| compiled.get_export_index(Some(parent), function));
        index.ok_or(NoLifecycle::NoFunction { function })
    };
    Ok(ExportIndices {
        initialize: place("initialize")?,
        handle_message: place("handle-message")?,
        handle_callback: place("handle-callback")?,
        metadata: place("metadata")?,
        health: place("health")?,
        shutdown: place("shutdown")?,
    })
}

/// The functions of one instance.
pub(super) struct Exports {
    pub(super) initialize: TypedFunc<(&'static ConfigIn<'static>,), (Result<(), ErrorOut>,)>,
    pub(super) handle_message: TypedFunc<(&'static MessageIn<'static>,), (Result<Option<PayloadOut>, ErrorOut>,)>,
    pub(super) handle_callback: TypedFunc<(&'static CallbackIn<'static>,), (Result<(), ErrorOut>,)>,
    pub(super) metadata: TypedFunc<(), (MetadataOut,)>,
    pub(super) health: TypedFunc<(), (HealthReportOut,)>,
    pub(super) shutdown: TypedFunc<(), (Result<(), ErrorOut>,)>,
}

impl Exports {
    /// Looks all of them up, and holds their types against the host's.
    pub(super) fn new(
        store: &mut Store<HostState>,
        instance: &Instance,
        places: &ExportIndices,
    ) -> Result<Self, WasmError> {
        Ok(Self {
            initialize: typed(store, instance, "initialize", &places.initialize)?,
            handle_message: typed(store, instance, "handle-message", &places.handle_message)?,
            handle_callback: typed(store, instance, "handle-callback", &places.handle_callback)?,
            metadata: typed(store, instance, "metadata", &places.metadata)?,
            health: typed(store, instance, "health", &places.health)?,
            shutdown: typed(store, instance, "shutdown", &places.shutdown)?,
        })
    }
}

fn typed<P, R>(
    store: &mut Store<HostState>,
    instance: &Instance,
    name: &str,
    place: &ComponentExportIndex,
) -> Result<TypedFunc<P, R>, WasmError>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let func = instance.get_func(&mut *store, place);
    let func = func.ok_or_else(|| WasmError::invalid(format!("its `{name}` is no function")))?;
    func.typed(&*store)
        .map_err(|error| WasmError::invalid(format!("its `{name}` has other types than `{LIFECYCLE}` has: {error:#}")))
}

impl<'a> ConfigIn<'a> {
    pub(super) fn new(id: &'a str, config: &'a ComponentConfig) -> Self {
        Self { id, settings: &config.settings, restarts: config.restarts }
    }
}
