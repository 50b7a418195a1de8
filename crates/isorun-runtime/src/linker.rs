//! Binds links and makes a component ready to be instantiated.

use std::sync::Arc;
use std::time::Instant;

use isorun_core::{BindRequest, Failure, FunctionIndex, Refusal};
use isorun_ledger::{Interface, Ledger, Side, compatible, names_match};
use wasmtime::component::{InstancePre, Linker};

use crate::link::{Link, LinkError, LinkTarget, Offer, Resolved, resolve, resolve_all};
use crate::stub::{BoundLink, Stub};
use crate::{Codec, HostState, LoadedComponent, SystemComponent, direct, fuse, interpreted, introspect};

/// A component whose every import goes somewhere.
#[derive(Clone)]
pub struct LinkedComponent {
    pub(crate) component: LoadedComponent,
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) systems: Vec<Arc<dyn SystemComponent>>,
}

impl LinkedComponent {
    /// The component: the one that was linked, or what it and those fused to it came to.
    #[must_use]
    pub fn component(&self) -> &LoadedComponent {
        &self.component
    }
}

/// Links a component: composes what is fused, resolves, binds and checks every import, then compiles.
///
/// # Errors
/// A [`LinkError`]; nothing of the component has run.
pub async fn link(component: &LoadedComponent, links: &[Link], offers: &[Offer]) -> Result<LinkedComponent, LinkError> {
    match fuse::rest(component, links).await {
        Ok((component, links)) => link_rest(&component, &links, offers).await,
        Err(problems) => Err(fuse::first(problems)),
    }
}

/// Links what has nothing to be fused.
async fn link_rest(
    component: &LoadedComponent,
    links: &[Link],
    offers: &[Offer],
) -> Result<LinkedComponent, LinkError> {
    let ledger = component.ledger();
    let resolved = resolve(ledger, links, offers)?;
    let (bound, problems) = bind_all(ledger, &resolved, links, 1).await;
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem);
    }

    let compiled = component.compiled().await?;
    introspect::check(component.whole_ledger(), compiled).map_err(|e| LinkError::Engine { cause: e.to_string() })?;

    let mut linker = Linker::<HostState>::new(component.beneath());
    // Two host components may bring the same functions, and a stub goes before a host component's.
    linker.allow_shadowing(true);
    let engine_refuses = |e: wasmtime::Error| LinkError::Engine { cause: format!("{e:#}") };
    let mut systems = systems(links);
    for system in &systems {
        system.install(&mut linker).map_err(engine_refuses)?;
    }
    for (resolved, bound) in resolved.iter().zip(&bound) {
        let Some(bound) = bound else { continue };
        define(&mut linker, component.engine().options().codec, ledger, resolved, bound).map_err(engine_refuses)?;
    }
    let pre = linker.instantiate_pre(compiled).map_err(engine_refuses)?;
    systems.extend(fuse::mark(component));
    Ok(LinkedComponent { component: component.clone(), pre, systems })
}

/// All that is wrong with a component's links: what [`link()`] would say, and what it would say after that was mended.
///
/// Empty where the links hold. Nothing runs; the component is compiled only if nothing else is wrong, and what a fused
/// component leaves to other links is looked at only where all that is fused fits.
pub async fn problems(component: &LoadedComponent, links: &[Link], offers: &[Offer]) -> Vec<LinkError> {
    let (component, links) = match fuse::rest(component, links).await {
        Ok(rest) => rest,
        Err(problems) => return problems,
    };
    let ledger = component.ledger();
    let (resolved, mut problems) = resolve_all(ledger, &links, offers);
    problems.extend(bind_all(ledger, &resolved, &links, usize::MAX).await.1);
    if problems.is_empty() {
        problems.extend(link_rest(&component, &links, offers).await.err());
    }
    problems
}

/// Each host component once, however many links name it.
fn systems(links: &[Link]) -> Vec<Arc<dyn SystemComponent>> {
    let mut systems: Vec<Arc<dyn SystemComponent>> = Vec::new();
    for link in links {
        if let LinkTarget::System(system) = &link.target
            && !systems.iter().any(|known| Arc::ptr_eq(known, system))
        {
            systems.push(system.clone());
        }
    }
    systems
}

/// Binds what is resolved, until `problems_max` of it can't be.
async fn bind_all(
    ledger: &Ledger,
    resolved: &[Resolved],
    links: &[Link],
    problems_max: usize,
) -> (Vec<Option<Arc<BoundLink>>>, Vec<LinkError>) {
    let mut all = Vec::with_capacity(resolved.len());
    let mut problems = Vec::new();
    for resolved in resolved {
        let LinkTarget::Callee(link) = &links[resolved.link].target else {
            all.push(None);
            continue;
        };
        let Some(import) = ledger.import(resolved.interface.as_deref()) else {
            all.push(None);
            continue;
        };
        let wanted = import.functions.iter().filter(|function| resolved.functions.contains(&function.name));
        let functions = wanted.map(|function| (function.name.clone(), function.hash)).collect();
        let bound = BoundLink::new(link.clone(), BindRequest { interface: import.name.clone(), functions });
        if !link.lazy
            && let Err(failure) = bound.bind(bound.deadline(Instant::now())).await
        {
            problems.push(refused(ledger, import, resolved, &bound, failure).await);
            if problems.len() == problems_max {
                break;
            }
        }
        all.push(Some(Arc::new(bound)));
    }
    (all, problems)
}

/// Says why a callee refused, with every difference where it sent its ledger.
async fn refused(
    ledger: &Ledger,
    import: &Interface,
    resolved: &Resolved,
    bound: &BoundLink,
    failure: Failure,
) -> LinkError {
    let link = bound.link();
    let place = format!("instance `{}` {}", link.instance, link.place);
    let label = import.name.clone().unwrap_or_else(|| resolved.functions.join(", "));
    let packed = match &failure {
        Failure::Refused(Refusal::Incompatible { ledger, .. }) => Some(ledger.clone()),
        Failure::Refused(Refusal::NoSuchFunction { .. }) => link.callee.describe().await.ok(),
        _ => None,
    };
    let Some(theirs) = packed.and_then(|packed| Ledger::unpack(&packed).ok()) else {
        return LinkError::Bind { import: label, place, failure: Box::new(failure), offers: Vec::new() };
    };
    let Some(export) = matching(&theirs, import.name.as_deref()) else {
        let offers = theirs.exports.iter().flat_map(|export| match &export.name {
            Some(name) => vec![name.clone()],
            None => export.functions.iter().map(|function| function.name.clone()).collect(),
        });
        return LinkError::Bind { import: label, place, failure: Box::new(failure), offers: offers.collect() };
    };
    let mut wanted = import.clone();
    wanted.functions.retain(|function| resolved.functions.contains(&function.name));
    let consumer = Side { types: &ledger.types, interface: &wanted };
    match compatible(consumer, Side { types: &theirs.types, interface: export }) {
        Err(difference) => LinkError::Incompatible { import: label, place, difference },
        Ok(()) => LinkError::Bind { import: label, place, failure: Box::new(failure), offers: Vec::new() },
    }
}

fn define(
    linker: &mut Linker<HostState>,
    codec: Codec,
    ledger: &Ledger,
    resolved: &Resolved,
    bound: &Arc<BoundLink>,
) -> wasmtime::Result<()> {
    let Some(import) = ledger.import(resolved.interface.as_deref()) else { return Ok(()) };
    let mut instance = match &import.name {
        Some(name) => linker.instance(name)?,
        None => linker.root(),
    };
    let wanted = import.functions.iter().filter(|function| resolved.functions.contains(&function.name));
    for (index, function) in (0..).map(FunctionIndex).zip(wanted) {
        let stub = Stub::new(ledger.types.clone(), function.clone(), bound.clone(), index);
        match codec {
            Codec::Direct => direct::define(&mut instance, stub)?,
            Codec::Interpreted => interpreted::define(&mut instance, Arc::new(stub))?,
        }
    }
    Ok(())
}

/// The export that serves an import of that name.
pub(crate) fn matching<'l>(ledger: &'l Ledger, wanted: Option<&str>) -> Option<&'l Interface> {
    ledger.export(wanted).or_else(|| {
        let serves = |export: &&Interface| export.name.as_deref().zip(wanted).is_some_and(|(o, w)| names_match(w, o));
        ledger.exports.iter().find(serves)
    })
}
