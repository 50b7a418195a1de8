//! Fused links: a component and those that serve its imports, composed into one before anything is checked or compiled.
//!
//! What comes of it is a component like any other: it is bounded, read, compiled, budgeted and run as one. See
//! `docs/adr/0016-fused-links.md`.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use isorun_core::Refusal;
use isorun_ledger::{Function, Interface, Ledger, Side, TypeRegistry, compatible};
use wac_graph::types::{ItemKind, Package};
use wac_graph::{CompositionGraph, EncodeOptions};
use wasmtime::component::Linker;

use crate::component::Fused;
use crate::link::{Link, LinkError, LinkTarget, Selector, closest, needs_link, not_imported};
use crate::linker::matching;
use crate::prescan::{COMPONENT_BYTES_MAX, PrescanError};
use crate::{HostState, LoadError, LoadedComponent, SystemComponent};

/// Deepest nesting of a type in what is fused; the composer recurses over types. The compiler takes no deeper ones either.
const TYPE_DEPTH_MAX: usize = 100;

/// A component that becomes one with whatever is linked to it.
#[derive(Debug, Clone)]
pub struct FusedLink {
    /// Its name, for messages.
    pub name: String,
    /// The component. However many links go to clones of it, one instance of it is made.
    pub component: LoadedComponent,
}

/// Composes a component and what its links fuse to it into one component.
///
/// Each link is for the imports of the component and of all that is fused to it, so that chains and diamonds are
/// written as links too. What no fused link takes is imported by the result, once for each name, and the result
/// exports what `component` does. Without a fused link it is the component itself. Nothing runs.
///
/// # Errors
/// [`LinkError::Incompatible`] with each difference of types, [`LinkError::FusedCycle`], a link that takes nothing, or
/// another [`LinkError`].
pub async fn fuse(component: &LoadedComponent, links: &[Link]) -> Result<LoadedComponent, LinkError> {
    rest(component, links).await.map(|(component, _)| component).map_err(first)
}

/// The first of some problems.
pub(crate) fn first(problems: Vec<LinkError>) -> LinkError {
    let none = || LinkError::Fuse { cause: "for no reason".into() };
    problems.into_iter().next().unwrap_or_else(none)
}

/// The composed component, and the links that are left for its imports; or all that keeps it from being composed.
pub(crate) async fn rest(
    component: &LoadedComponent,
    links: &[Link],
) -> Result<(LoadedComponent, Vec<Link>), Vec<LinkError>> {
    if !links.iter().any(|link| matches!(link.target, LinkTarget::Fused(_))) {
        return Ok((component.clone(), links.to_vec()));
    }
    let (plan, problems) = Plan::new(component, links);
    if !problems.is_empty() {
        return Err(problems);
    }
    let used = plan.used.clone();
    let composed = if plan.wires.is_empty() { component.clone() } else { plan.compose().await.map_err(|e| vec![e])? };

    let left = links.iter().zip(used).filter(|(link, used)| match link.target {
        LinkTarget::Fused(_) => false,
        // One that had only imports which a closer link took has done its part.
        LinkTarget::System(_) | LinkTarget::Callee(_) => !used || is_for(link, composed.ledger()),
    });
    let left = left.map(|(link, _)| link.clone()).collect();
    Ok((composed, left))
}

/// Whether the component imports anything that the link could take.
fn is_for(link: &Link, ledger: &Ledger) -> bool {
    let takes =
        |import: &Interface, function: &str| link.selector.closeness(import.name.as_deref(), function).is_some();
    ledger.imports.iter().any(|import| {
        let mut functions = import.functions.iter().map(|function| function.name.as_str());
        functions.any(|function| takes(import, function)) || takes(import, "")
    })
}

/// What goes where, before anything is composed.
struct Plan<'a> {
    links: &'a [Link],
    /// The component itself, and then each that is fused to it.
    parts: Vec<Part<'a>>,
    wires: Vec<Wire>,
    /// Which links are for anything.
    used: Vec<bool>,
    /// The parts that are fused to the component, each after those that it needs.
    order: Vec<usize>,
}

struct Part<'a> {
    name: &'a str,
    component: &'a LoadedComponent,
}

/// One import of a part that another part's export satisfies.
#[derive(Debug)]
struct Wire {
    consumer: usize,
    import: String,
    provider: usize,
    export: String,
}

impl<'a> Plan<'a> {
    /// Follows the links from the component's imports to those of what they go to, and so on.
    fn new(component: &'a LoadedComponent, links: &'a [Link]) -> (Self, Vec<LinkError>) {
        let parts = vec![Part { name: "the component", component }];
        let mut plan = Self { links, parts, wires: Vec::new(), used: vec![false; links.len()], order: Vec::new() };
        let mut problems = Vec::new();
        let mut at = 0;
        // No more parts than links come to it.
        while let Some(part) = plan.parts.get(at) {
            let ledger = part.component.ledger().clone();
            for import in &ledger.imports {
                for import in wholes(import) {
                    if let Err(problem) = plan.wire(at, &ledger, &import)
                        && problems.last() != Some(&problem)
                    {
                        problems.push(problem);
                    }
                }
            }
            at += 1;
        }
        problems.extend(plan.unused());
        problems.extend(plan.too_deep());
        let (order, left) = plan.ordered();
        problems.extend(plan.cycle(&left));
        plan.order = order;
        (plan, problems)
    }

    /// Looks for the link that takes an import, and at what it goes to if that is fused.
    fn wire(&mut self, consumer: usize, ledger: &Ledger, import: &Interface) -> Result<(), LinkError> {
        let function = import.functions.first().map_or("", |function| &function.name);
        let Some(at) = closest(import, function, self.links, &mut self.used)? else { return Ok(()) };
        let Link { selector, target } = &self.links[at];
        let LinkTarget::Fused(FusedLink { name, component }) = target else { return Ok(()) };
        // `*` is for whatever else there is to be had, and not for what the provider itself has to get elsewhere.
        if *selector == Selector::Rest && self.parts[consumer].component.is(component) {
            return Ok(());
        }
        let place = target.place();
        let label = import.name.as_deref().unwrap_or(function).to_owned();
        let theirs = component.ledger();
        let Some(export) = matching(theirs, import.name.as_deref()).filter(|export| has_any(export, import)) else {
            if !needs_link(import) {
                return Ok(());
            }
            let refusal = Refusal::no_such_function(name, import.name.as_deref(), function);
            let offers = theirs.exports.iter().flat_map(names).collect();
            return Err(LinkError::Bind { import: label, place, failure: Box::new(refusal.into()), offers });
        };
        let consumer_side = Side { types: &ledger.types, interface: import };
        compatible(consumer_side, Side { types: &theirs.types, interface: export })
            .map_err(|difference| LinkError::Incompatible { import: label.clone(), place, difference })?;

        let export = export.name.clone().unwrap_or_else(|| function.to_owned());
        let provider = self.part(name, component);
        self.wires.push(Wire { consumer, import: label, provider, export });
        Ok(())
    }

    /// The part that a component is; one that is named twice is there once.
    fn part(&mut self, name: &'a str, component: &'a LoadedComponent) -> usize {
        self.parts.iter().position(|part| part.component.is(component)).unwrap_or_else(|| {
            self.parts.push(Part { name, component });
            self.parts.len() - 1
        })
    }

    /// Fused links for what nobody imports. Other links are looked at once all is composed.
    fn unused(&self) -> Vec<LinkError> {
        let imports = || self.parts.iter().flat_map(|part| &part.component.ledger().imports);
        let unused = self.links.iter().zip(&self.used).filter(|(link, used)| {
            matches!(link.target, LinkTarget::Fused(_)) && !**used && link.selector.must_match()
        });
        unused.map(|(link, _)| not_imported(imports(), &link.selector)).collect()
    }

    fn too_deep(&self) -> Option<LinkError> {
        let deep = self.parts.iter().find(|part| depth(&part.component.ledger().types) > TYPE_DEPTH_MAX)?;
        let cause = format!("`{}` has types nested deeper than {TYPE_DEPTH_MAX}", deep.name);
        Some(LinkError::Fuse { cause })
    }

    /// The parts without the component itself, each after those that it needs; and those that can't be put in such an order.
    fn ordered(&self) -> (Vec<usize>, Vec<usize>) {
        let (mut order, mut left) = (Vec::new(), (0..self.parts.len()).collect::<Vec<usize>>());
        loop {
            let (still, free): (Vec<usize>, Vec<usize>) =
                left.iter().partition(|&&part| self.needed(part, &left).is_some());
            if free.is_empty() {
                return (order, left);
            }
            order.extend(free.into_iter().filter(|part| *part != 0));
            left = still;
        }
    }

    /// One of `left` that a part needs.
    fn needed(&self, part: usize, left: &[usize]) -> Option<usize> {
        let wire = self.wires.iter().find(|wire| wire.consumer == part && left.contains(&wire.provider));
        wire.map(|wire| wire.provider)
    }

    /// Parts that need each other, of those that can't be ordered.
    fn cycle(&self, left: &[usize]) -> Option<LinkError> {
        let mut path = vec![*left.first()?];
        // Each that is left needs one that is left, so this comes back to one that was met, in as many steps at most.
        while let Some(next) = self.needed(*path.last()?, left) {
            if let Some(met) = path.iter().position(|part| *part == next) {
                path.drain(..met);
                path.push(next);
                break;
            }
            path.push(next);
        }
        Some(LinkError::FusedCycle { path: path.iter().map(|part| format!("`{}`", self.parts[*part].name)).collect() })
    }

    /// Composes on a thread that may block.
    async fn compose(self) -> Result<LoadedComponent, LinkError> {
        let parts: Vec<Bytes> = self.parts.iter().map(|part| part.component.bytes().clone()).collect();
        let found = parts.iter().fold(0usize, |sum, part| sum.saturating_add(part.len()));
        if found > COMPONENT_BYTES_MAX {
            let what = "the size of all fused components in bytes";
            let too_large = PrescanError::TooLarge { what, found, limit: COMPONENT_BYTES_MAX };
            return Err(LoadError::Prescan(too_large).into());
        }
        let fused = self.parts.iter().skip(1).flat_map(|part| {
            // One that is composed itself brings those that it was composed of.
            [part.name.to_owned()].into_iter().chain(part.component.fused().iter().cloned())
        });
        let first = self.parts[0].component;
        let (engine, hidden) = (first.engine().clone(), first.hidden().clone());
        let names: Arc<[String]> = first.fused().iter().cloned().chain(fused).collect();
        let has_async = self.parts.iter().any(|part| part.component.is_concurrent());
        let (wires, order) = (self.wires, self.order);
        let composed = tokio::task::spawn_blocking(move || {
            let load = |shown: &[usize]| {
                let (bytes, named) = composed(&parts, &wires, shown).map_err(|cause| LinkError::Fuse { cause })?;
                tracing::debug!(parts = parts.len(), bytes = bytes.len(), named = named.len(), "composed");
                let hidden = hidden.iter().cloned().chain(named).collect();
                let fused = Fused { names: names.clone(), hidden, has_async };
                LoadedComponent::of_parts(&engine, bytes.into(), fused).map_err(|error| match error {
                    // Each part is valid by itself, so it is their types that don't fit.
                    LoadError::Introspect(error) => LinkError::Fuse { cause: error.to_string() },
                    other => other.into(),
                })
            };
            match load(&[]) {
                // What the component exports may speak of types that were imported and are not any more.
                Err(LinkError::Fuse { .. }) => load(&order),
                loaded => loaded,
            }
        });
        // The composer has its own ways to give up.
        composed.await.unwrap_or_else(|join| Err(LinkError::Fuse { cause: format!("the composer gave up: {join}") }))
    }
}

/// An import in parts that can go different ways: whole interfaces, and single functions of the root.
fn wholes(import: &Interface) -> Vec<Interface> {
    if import.name.is_some() {
        return vec![import.clone()];
    }
    let only = |function: &Function| {
        let mut only = Interface::new(None);
        only.functions.push(function.clone());
        only
    };
    import.functions.iter().map(only).collect()
}

/// Whether an export is there at all; at the root that is one function.
fn has_any(export: &Interface, import: &Interface) -> bool {
    export.name.is_some() || import.functions.iter().any(|wanted| export.function(&wanted.name).is_some())
}

fn names(export: &Interface) -> Vec<String> {
    match &export.name {
        Some(name) => vec![name.clone()],
        None => export.functions.iter().map(|function| function.name.clone()).collect(),
    }
}

/// How deep the deepest type nests.
fn depth(types: &TypeRegistry) -> usize {
    types.iter().map(|(ty, _)| types.depth(ty)).max().unwrap_or(0)
}

/// One component of all parts, each instantiated once; it exports what the first does.
///
/// And before that, under names of their own, whatever the parts `shown` export: a type that an export speaks of must have
/// been imported or exported before. These names come back too.
fn composed(parts: &[Bytes], wires: &[Wire], shown: &[usize]) -> Result<(Vec<u8>, Vec<String>), String> {
    let mut graph = CompositionGraph::new();
    let mut instances = Vec::with_capacity(parts.len());
    let mut exports: Vec<Vec<String>> = Vec::with_capacity(parts.len());
    for (at, bytes) in parts.iter().enumerate() {
        let package = Package::from_bytes(&format!("isorun:part{at}"), None, bytes.to_vec(), graph.types_mut());
        let package = package.map_err(|error| told(error.as_ref()))?;
        exports.push(graph.types()[package.ty()].exports.keys().cloned().collect());
        let package = graph.register_package(package).map_err(|error| told(&error))?;
        instances.push(graph.instantiate(package));
    }
    for Wire { consumer, import, provider, export } in wires {
        let export = graph.alias_instance_export(instances[*provider], export).map_err(|error| told(&error))?;
        let argument = graph.set_instantiation_argument(instances[*consumer], import, export);
        argument.map_err(|error| told(&error))?;
    }
    let is_taken = |name: &String| exports[0].contains(name);
    let mut free = (0u32..).map(|at| format!("fused-types-{at}")).filter(|name| !is_taken(name));
    let mut named = Vec::new();
    for (part, name) in shown.iter().flat_map(|&part| exports[part].iter().map(move |name| (part, name))) {
        let export = graph.alias_instance_export(instances[part], name).map_err(|error| told(&error))?;
        // Functions at the root show no types.
        if let (ItemKind::Instance(_), Some(label)) = (graph[export].item_kind(), free.next()) {
            graph.export(export, &label).map_err(|error| told(&error))?;
            named.push(label);
        }
    }
    for name in &exports[0] {
        let export = graph.alias_instance_export(instances[0], name).map_err(|error| told(&error))?;
        graph.export(export, name).map_err(|error| told(&error))?;
    }
    // Whether it is valid is asked when its types are read.
    let options = EncodeOptions { validate: false, ..EncodeOptions::default() };
    graph.encode(options).map(|bytes| (bytes, named)).map_err(|error| told(&error))
}

/// An error and what is behind it, in a line.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(source) = at {
        text += &format!(": {source}");
        at = source.source();
    }
    text
}

/// What a store of a composed component knows of it: what is fused to the component.
pub(crate) struct Together(pub(crate) Arc<[String]>);

/// Puts [`Together`] into stores.
struct Mark(Arc<[String]>);

/// What tells the stores of a composed component what it is.
pub(crate) fn mark(component: &LoadedComponent) -> Option<Arc<dyn SystemComponent>> {
    let fused = component.fused();
    (!fused.is_empty()).then(|| Arc::new(Mark(fused.clone())) as Arc<dyn SystemComponent>)
}

impl SystemComponent for Mark {
    fn interfaces(&self) -> Vec<String> {
        Vec::new()
    }

    fn install(&self, _: &mut Linker<HostState>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        state.insert_extension(Together(self.0.clone()));
        Ok(())
    }
}
