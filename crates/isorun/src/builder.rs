//! Describes an instance: what its imports are linked to, and what it may use.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{Budget, DEADLINE_MS_DEFAULT, Failure};
use isorun_ledger::Interface;
use isorun_rpc::{Balance, RemoteGroup, RemoteInstance};
use isorun_runtime::{
    CalleeLink, FusedLink, Instance, InstanceOptions, Link, LinkError, LinkTarget, LoadedComponent, OnFailure,
    Selector, Serving, StartError, SystemComponent, fuse, link, problems,
};
use isorun_security::{Audience, Capability, Decision, Grants, Request};
use isorun_system::{Wasi, how_to_grant};

use crate::registry::{Named, RegisterError, WeakDirectory};
use crate::unstarted::Unstarted;
use crate::{InstanceHandle, Linkable, LocalInstance, RemoteEnd, Runtime};

/// Why there is no instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstantiateError {
    /// Its links don't hold, or it does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its links go to what the embedder's [`grants`](InstanceBuilder::grants) don't cover.
    #[error("not granted: {}", reasons.join("; "))]
    NotGranted {
        /// For each: what is missing, and what would grant it.
        reasons: Vec<String>,
    },
    /// It could not be given its name.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// Describes an instance; made by [`Runtime::builder`].
///
/// Every import must be linked by somebody; nothing is guessed. A link is for
/// one interface (`demo:kv/store`, with or without its version), one package
/// (`wasi:filesystem`), one root function (`add`), or `*`: all that is left
/// over, but `wasi:*`. The closest link takes the import.
#[derive(Clone)]
pub struct InstanceBuilder {
    runtime: Runtime,
    component: LoadedComponent,
    links: Vec<Pending>,
    wasi: Wasi,
    grants: Option<Grants>,
    options: InstanceOptions,
    register: Option<String>,
    served: Vec<(Capability, Audience)>,
}

#[derive(Clone)]
struct Pending {
    selector: Selector,
    to: Linkable,
    lazy: bool,
    deadline_ms: u64,
    on_failure: OnFailure,
    idempotent: bool,
    attempts: Option<u32>,
}

impl Pending {
    fn system(&self) -> Option<&dyn SystemComponent> {
        match &self.to {
            Linkable::System(component) => Some(&**component),
            Linkable::LocalInstance(_)
            | Linkable::Fused { .. }
            | Linkable::Remote { .. }
            | Linkable::RemoteGroup(_) => None,
        }
    }

    fn names_its_needs(&self) -> bool {
        self.system().is_some_and(|system| !system.needs().is_empty())
    }

    /// Where the link goes, for the explanation of a decision.
    fn place(&self) -> String {
        match &self.to {
            Linkable::System(_) => "the host".into(),
            Linkable::LocalInstance(LocalInstance::Handle(handle)) => format!("instance {}", handle.name()),
            Linkable::LocalInstance(LocalInstance::Named(name) | LocalInstance::Unstarted { name, .. }) => {
                format!("instance {name}")
            }
            Linkable::Fused { name, .. } => format!("fused component {name}"),
            Linkable::Remote { transport: RemoteEnd::Transport(transport), remote_instance } => {
                format!("instance {remote_instance} at {}", transport.place())
            }
            Linkable::Remote { transport: RemoteEnd::Peer(peer), remote_instance } => {
                format!("instance {remote_instance} at {}", peer.identity())
            }
            Linkable::RemoteGroup(group) => format!("instance {}", places(group)),
        }
    }

    /// A group, for calls that are made again as this link says.
    fn with_options(&self, group: &RemoteGroup) -> RemoteGroup {
        let group = if self.idempotent { group.clone().idempotent() } else { group.clone() };
        match self.attempts {
            Some(attempts) => group.attempts(attempts),
            None => group,
        }
    }
}

/// The places of a group in words.
fn places(group: &RemoteGroup) -> String {
    group.places().into_iter().map(|status| status.place).collect::<Vec<_>>().join(", ")
}

impl InstanceBuilder {
    pub(crate) fn new(runtime: Runtime, component: LoadedComponent) -> Self {
        let options = InstanceOptions { name: "main".into(), serving: Serving::SINGLETON, budget: Budget::default() };
        Self {
            runtime,
            component,
            links: Vec::new(),
            wasi: Wasi::inert(),
            grants: None,
            options,
            register: None,
            served: Vec::new(),
        }
    }

    /// Links imports to a host component.
    #[must_use]
    pub fn link_system(self, import: &str, component: impl SystemComponent) -> Self {
        self.link(import, Linkable::system(component))
    }

    /// Links imports to what every component of a node has, whatever its grants.
    pub(crate) fn link_host(mut self, import: &str, component: impl SystemComponent) -> Self {
        self.grants = self.grants.map(|grants| grants.link(import, "the host"));
        self.link_system(import, component)
    }

    /// Whether the component, or one that is to be fused to it, imports an interface of that name, whatever its version.
    pub(crate) fn does_import(&self, interface: &str) -> bool {
        let is_it = |import: &Interface| import.name.as_deref().is_some_and(|name| unversioned(name) == interface);
        self.imports().any(is_it)
    }

    /// Whether its component can live.
    pub(crate) fn lives(&self) -> Result<(), LinkError> {
        Ok(isorun_runtime::lives(&self.component)?)
    }

    /// Whether what its component's memory starts with is within its budget; it is compiled for this.
    pub(crate) async fn fits(&self) -> Result<(), LinkError> {
        let fused = fuse(&self.component, &self.resolved()).await?;
        let bytes_max = self.options.budget.max_memory_bytes;
        match fused.memory_bytes_min().await? {
            Some(bytes) if bytes > bytes_max => Err(LinkError::Memory { bytes, bytes_max }),
            Some(_) | None => Ok(()),
        }
    }

    /// The component's bytes, its links, and what it may use.
    pub(crate) fn into_parts(self) -> (Bytes, Vec<Link>, Budget) {
        let links = self.resolved();
        (self.component.bytes().clone(), links, self.options.budget)
    }

    /// Links imports to another instance of this process, itself or by its name.
    #[must_use]
    pub fn link_local(self, import: &str, instance: impl Into<LocalInstance>) -> Self {
        self.link(import, Linkable::LocalInstance(instance.into()))
    }

    /// Links imports to another component by making one component of both.
    ///
    /// They share a store, a budget and their fate: the provider's memory and fuel are this instance's, a trap in it ends
    /// both, and no other instance reaches it. A call between them costs nanoseconds. Resources and streams may go
    /// through it, which no other link carries; large `list<u8>` are better off with [`link_local`](Self::link_local),
    /// because here lists are copied item by item.
    ///
    /// All links of this description are for what the provider imports too, so that it may itself be fused to others;
    /// whatever goes to clones of one [`LoadedComponent`] goes to one instance of it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use isorun::{Runtime, Val};
    ///
    /// let runtime = Runtime::new()?;
    /// let app = runtime.load(std::fs::read("guests/prebuilt/kv-app.wasm")?)?;
    /// let store = runtime.load(std::fs::read("guests/prebuilt/kv-provider.wasm")?)?;
    /// let app = runtime.builder(&app).link_fused("demo:kv/store", &store).instantiate().await?;
    /// assert_eq!(app.exec("run", &[Val::U32(40)]).await?, [Val::Result(Ok(Some(Box::new(Val::U64(820)))))]);
    /// assert_eq!(app.fused(), ["demo:kv/store"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn link_fused(self, import: &str, provider: &LoadedComponent) -> Self {
        self.link(import, Linkable::fused(import, provider))
    }

    /// Links imports to an instance at the other end of a transport or connection.
    #[must_use]
    pub fn link_remote(self, import: &str, transport: impl Into<RemoteEnd>, remote_instance: &str) -> Self {
        self.link(import, Linkable::remote(transport, remote_instance))
    }

    /// Links imports to an instance that is at several places, made by [`Runtime::remote_group`].
    #[must_use]
    pub fn link_remote_group(self, import: &str, group: &RemoteGroup) -> Self {
        self.link(import, Linkable::remote_group(group))
    }

    /// Links imports to whatever was chosen.
    #[must_use]
    pub fn link(mut self, import: &str, to: Linkable) -> Self {
        let selector = Selector::parse(import);
        let on_failure = OnFailure::default();
        self.links.push(Pending {
            selector,
            to,
            lazy: false,
            deadline_ms: DEADLINE_MS_DEFAULT,
            on_failure,
            idempotent: false,
            attempts: None,
        });
        self
    }

    /// Makes the last link bind and check at its first call: so may two instances import each other.
    #[must_use]
    pub fn lazy(mut self) -> Self {
        if let Some(last) = self.links.last_mut() {
            last.lazy = true;
        }
        self
    }

    /// How long one call through the last link may take, in milliseconds; 30,000 unless set.
    #[must_use]
    pub fn deadline_ms(mut self, deadline_ms: u64) -> Self {
        if let Some(last) = self.links.last_mut() {
            last.deadline_ms = deadline_ms;
        }
        self
    }

    /// Says that calls through the last link may run twice: one of which it is not known whether it ran is made again, within
    /// its deadline. For links to other hosts; elsewhere it means nothing.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        if let Some(last) = self.links.last_mut() {
            last.idempotent = true;
        }
        self
    }

    /// How often a call through the last link is made at most, within its deadline and with pauses between, as long as it is
    /// certain that it did not run, or where it is [`idempotent`](Self::idempotent); 1 to 100. For links to other hosts. Unless
    /// set: once, or 3 times where it is idempotent; at several places, once at each and once more.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        if let Some(last) = self.links.last_mut() {
            last.attempts = Some(attempts);
        }
        self
    }

    /// What the guest gets for a call through the last link that fails; [`OnFailure::RpcError`] unless set.
    #[must_use]
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        if let Some(last) = self.links.last_mut() {
            last.on_failure = policy;
        }
        self
    }

    /// What it may have of WASI beside directories, which are linked as `wasi:filesystem`; nothing unless set.
    #[must_use]
    pub fn wasi(mut self, wasi: Wasi) -> Self {
        self.wasi = wasi;
        self
    }

    /// Restricts what the links may do to what `grants` cover; unless set, whatever this description names is granted.
    ///
    /// For an embedder whose links are written by somebody else. Asked for are
    /// the linked functions, the directories, and the parts of WASI.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use isorun::{Grants, InstantiateError, Runtime, Wasi};
    /// # let bytes = wat::parse_str("(component)")?;
    ///
    /// let runtime = Runtime::new()?;
    /// let component = runtime.load(bytes)?;
    /// let wanted = runtime.builder(&component).wasi(Wasi::inert().clocks());
    /// let refused = wanted.grants(Grants::new()).instantiate().await;
    /// assert_eq!(
    ///     refused.err().unwrap().to_string(),
    ///     "not granted: the guest is not granted WASI's clocks; `--wasi clocks` grants it"
    /// );
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = Some(grants);
        self
    }

    /// What the instance may use; [`Budget::default`] unless set.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<Budget>) -> Self {
        self.options.budget = budget.into();
        self
    }

    /// How it serves callers; [`Serving::SINGLETON`] unless set.
    #[must_use]
    pub fn serving(mut self, serving: Serving) -> Self {
        self.options.serving = serving;
        self
    }

    /// Its name in messages; the name it is registered as, or `main`, unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
    }

    /// Registers it under `id` once it has started.
    ///
    /// A name that can't be had is refused before anything is compiled or runs. Of two that start under one name at
    /// the same time, the one that has started first gets it.
    #[must_use]
    pub fn register_as(mut self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.options.name.clone_from(&id);
        self.register = Some(id);
        self
    }

    /// Lets an audience call what a capability names, once it is registered; anyone may call anything unless set.
    ///
    /// Once for each audience, and they add up. What nobody was allowed is *refused: unauthorised*, with a reason that
    /// names who asked and what would allow it.
    #[must_use]
    pub fn allow(mut self, capability: Capability, audience: Audience) -> Self {
        self.served.push((capability, audience));
        self
    }

    /// Resolves, binds and checks all links, compiles if need be, and starts the instance.
    ///
    /// # Errors
    /// [`InstantiateError`]; a link that does not hold is found before anything runs.
    pub async fn instantiate(self) -> Result<InstanceHandle, InstantiateError> {
        self.permitted()?;
        if let Some(id) = &self.register {
            self.runtime.shared.registry.is_free(id)?;
        }
        let linked = link(&self.component, &self.resolved(), &self.runtime.offers()).await;
        let linked = linked.map_err(|error| StartError::from(explained(error)))?;
        self.warn_of_places_left_out().await;
        let groups = self.links.iter().filter_map(|link| match &link.to {
            Linkable::RemoteGroup(group) => Some((link.selector.to_string(), group.clone())),
            Linkable::System(_) | Linkable::LocalInstance(_) | Linkable::Fused { .. } | Linkable::Remote { .. } => None,
        });
        let groups = groups.collect();
        let fused = linked.component().fused().clone();
        let handle = InstanceHandle::new(Instance::start(linked, self.options).await?, fused, groups);
        if let Some(id) = &self.register {
            if self.served.is_empty() {
                self.runtime.register_instance(id, &handle)?;
            } else {
                self.runtime.register_instance_to(id, &handle, self.served)?;
            }
        }
        Ok(handle)
    }

    /// The component that this one and those fused to it come to, with its own imports and exports; this one itself
    /// where nothing is fused.
    ///
    /// For whoever makes many instances of it: it is composed and compiled once. What it imports is what the other links
    /// are for.
    ///
    /// # Errors
    /// As [`instantiate`](Self::instantiate), where the fused links don't hold.
    pub async fn composed(&self) -> Result<LoadedComponent, InstantiateError> {
        self.permitted()?;
        let fused = fuse(&self.component, &self.resolved()).await;
        fused.map_err(|error| StartError::from(error).into())
    }

    /// Binds and checks all links without starting anything.
    ///
    /// # Errors
    /// As [`instantiate`](Self::instantiate).
    pub async fn check(&self) -> Result<(), InstantiateError> {
        self.permitted()?;
        let linked = link(&self.component, &self.resolved(), &self.runtime.offers()).await;
        linked.map(drop).map_err(|error| StartError::from(explained(error)).into())
    }

    /// All that is wrong with the links, not only what [`check`](Self::check) meets first; empty where they hold.
    ///
    /// Nothing is started. What is not granted is told by [`decisions`](Self::decisions).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let runtime = isorun::Runtime::new()?;
    /// # let app = runtime.load(wat::parse_str(r#"(component
    /// #   (import "demo:a/a" (instance (export "f" (func)))) (import "demo:b/b" (instance (export "f" (func)))))"#)?)?;
    /// use isorun::{InMemoryKv, LinkError};
    ///
    /// let builder = runtime.builder(&app).link_system("demo:a/a", InMemoryKv::new());
    /// let problems = builder.problems().await;
    /// assert!(matches!(problems[..], [LinkError::NotOffered { .. }, LinkError::Missing { .. }]), "{problems:?}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn problems(&self) -> Vec<LinkError> {
        // Each place of a group alone: together they hold where one of them does.
        let mut all: Vec<LinkError> = Vec::new();
        for at in 0..self.places_max().max(1) {
            for problem in self.problems_at(at).await {
                if !all.contains(&problem) {
                    all.push(problem);
                }
            }
        }
        all
    }

    /// What is wrong where each group of places has only its place number `at`, or its first where there are not so many.
    async fn problems_at(&self, at: usize) -> Vec<LinkError> {
        let links: Vec<Link> = self.links.iter().map(|pending| self.target_at(pending, Some(at))).collect();
        let links: Vec<Link> = links.into_iter().chain(self.rest_of_wasi()).collect();
        let problems = problems(&self.component, &links, &self.runtime.offers()).await;
        problems.into_iter().map(explained).collect()
    }

    fn groups(&self) -> impl Iterator<Item = &RemoteGroup> {
        self.links.iter().filter_map(|link| match &link.to {
            Linkable::RemoteGroup(group) => Some(group),
            Linkable::System(_) | Linkable::LocalInstance(_) | Linkable::Fused { .. } | Linkable::Remote { .. } => None,
        })
    }

    fn places_max(&self) -> usize {
        self.groups().map(|group| group.instances().count()).max().unwrap_or(0)
    }

    /// Says of each place that refused to bind, while another of its group did not, what is wrong there.
    async fn warn_of_places_left_out(&self) {
        let refused = |group: &RemoteGroup| -> Vec<usize> {
            let places = group.places();
            let refused = places.iter().enumerate();
            refused.filter(|(_, place)| matches!(place.failure, Some(Failure::Refused(_)))).map(|(at, _)| at).collect()
        };
        let mut left_out: Vec<usize> = self.groups().flat_map(refused).collect();
        left_out.sort_unstable();
        left_out.dedup();
        for at in left_out {
            for problem in self.problems_at(at).await {
                tracing::warn!("left out: {problem}");
            }
        }
    }

    /// What this description asks for, and for each the grant that allows it or the reason why none does.
    #[must_use]
    pub fn decisions(&self) -> Vec<Decision> {
        let named;
        let grants = match &self.grants {
            Some(grants) => grants,
            None => {
                named = self.named();
                &named
            }
        };
        let mut decisions: Vec<_> = self.linked().iter().map(|wanted| grants.may_link_only(wanted)).collect();
        decisions.extend(self.needs().iter().map(|request| grants.decide(request)));
        decisions
    }

    fn permitted(&self) -> Result<(), InstantiateError> {
        let denied = |decision| match decision {
            Decision::Allowed { .. } => None,
            Decision::Denied { reason } => Some(reason),
        };
        let reasons: Vec<String> = self.decisions().into_iter().filter_map(denied).collect();
        if reasons.is_empty() { Ok(()) } else { Err(InstantiateError::NotGranted { reasons }) }
    }

    /// What the component imports, and what each imports that is to be fused to it.
    fn imports(&self) -> impl Iterator<Item = &Interface> {
        let fused = self.links.iter().filter_map(|link| match &link.to {
            Linkable::Fused { component, .. } => Some(component),
            Linkable::System(_) | Linkable::LocalInstance(_) | Linkable::Remote { .. } | Linkable::RemoteGroup(_) => {
                None
            }
        });
        [&self.component].into_iter().chain(fused).flat_map(|component| &component.ledger().imports)
    }

    /// Each import that a link is for. The parts of WASI that a host component asks for by name are not among them.
    fn linked(&self) -> Vec<Capability> {
        let mut linked = Vec::new();
        for import in self.imports() {
            let interface = import.name.as_deref();
            let is_linked = |function: &str| {
                let takes = |link: &&Pending| {
                    let covers = Capability::of(link.selector.to_string()).covers("", interface, function);
                    covers && !(is_wasi(interface) && link.names_its_needs())
                };
                self.links.iter().any(|link| takes(&link))
            };
            let functions = import.functions.iter().map(|function| &function.name);
            let functions: Vec<&String> = functions.filter(|function| is_linked(function)).collect();
            if !functions.is_empty() {
                let wanted = Capability::interface(interface).functions(functions);
                if !linked.contains(&wanted) {
                    linked.push(wanted);
                }
            }
        }
        linked
    }

    fn needs(&self) -> Vec<Request<'_>> {
        let systems = self.links.iter().filter_map(Pending::system);
        systems.flat_map(|system| system.needs()).chain(self.wasi.needs()).collect()
    }

    /// The grants that this description amounts to.
    fn named(&self) -> Grants {
        let link = |grants: Grants, link: &Pending| grants.link(link.selector.to_string(), link.place());
        let grants = self.links.iter().fold(Grants::new(), link);
        self.needs().into_iter().fold(grants, |grants, need| match need {
            Request::Mount(mount) => grants.mount(mount.clone()),
            Request::UseWasi(feature) => grants.wasi(feature),
            Request::Link { wanted } => grants.link(wanted.clone(), "the host"),
            // Nothing that a host component could be granted by being linked.
            _ => grants,
        })
    }

    /// What each import of this description is linked to, for whoever runs the component otherwise than as an instance:
    /// as a processing node, with [`WasmProcessorFactory::links`](isorun_nodes::WasmProcessorFactory::links).
    ///
    /// Nothing is bound or checked by it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use isorun::nodes::{WasmArtifact, WasmProcessorFactory};
    /// use isorun::{Runtime, Wasi};
    ///
    /// let runtime = Runtime::new()?;
    /// let module = runtime.load_module(&WasmArtifact::read("guests/prebuilt/unrle.wasm")?)?;
    /// let granted = runtime.builder(module.component()).wasi(Wasi::inert().clocks());
    /// let node = WasmProcessorFactory::new().links(granted.links()?).build(&module).await?;
    /// assert_eq!(node.execute(b"\x03a\x01b").await?, b"aaab");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InstantiateError::NotGranted`].
    pub fn links(&self) -> Result<Vec<Link>, InstantiateError> {
        self.permitted()?;
        Ok(self.resolved())
    }

    fn resolved(&self) -> Vec<Link> {
        let mut links: Vec<Link> = self.links.iter().map(|pending| self.target(pending)).collect();
        links.extend(self.rest_of_wasi());
        links
    }

    fn target(&self, pending: &Pending) -> Link {
        self.target_at(pending, None)
    }

    /// Where a link goes; of a group of places, the one number `at` alone if one is given.
    fn target_at(&self, pending: &Pending, at: Option<usize>) -> Link {
        let callee = |callee, instance: &str, place: String| {
            LinkTarget::Callee(CalleeLink {
                callee,
                instance: instance.into(),
                place,
                deadline_ms: pending.deadline_ms,
                lazy: pending.lazy,
                on_failure: pending.on_failure.clone(),
            })
        };
        let here = || "in this process".to_owned();
        let target = match &pending.to {
            Linkable::System(component) => LinkTarget::System(component.clone()),
            Linkable::LocalInstance(LocalInstance::Handle(handle)) => {
                callee(Arc::new(handle.instance().clone()), handle.name(), here())
            }
            Linkable::LocalInstance(LocalInstance::Named(id)) => {
                let directory = WeakDirectory(Arc::downgrade(&self.runtime.shared.registry));
                callee(Arc::new(Named { directory, id: id.clone() }), id, here())
            }
            Linkable::LocalInstance(LocalInstance::Unstarted { name, component }) => {
                callee(Arc::new(Unstarted::new(name, component)), name, here())
            }
            Linkable::Fused { name, component } => {
                LinkTarget::Fused(FusedLink { name: name.clone(), component: component.clone() })
            }
            Linkable::Remote { transport, remote_instance } => {
                let remote = self.runtime.remote(transport, remote_instance);
                let place = match transport {
                    RemoteEnd::Transport(transport) => format!("at {}", transport.place()),
                    RemoteEnd::Peer(peer) => format!("at {}", peer.identity()),
                };
                if pending.idempotent || pending.attempts.is_some() {
                    let group = pending.with_options(&RemoteGroup::new([remote], Balance::Spread));
                    callee(Arc::new(group), remote_instance, place)
                } else {
                    callee(Arc::new(remote), remote_instance, place)
                }
            }
            Linkable::RemoteGroup(group) if let Some(one) = at.and_then(|at| group.instances().nth(at)) => {
                callee(Arc::new(one.clone()), one.name(), format!("at {}", one.link().place()))
            }
            Linkable::RemoteGroup(group) => {
                let mut names: Vec<&str> = group.instances().map(RemoteInstance::name).collect();
                names.dedup();
                let places: Vec<String> = group.instances().map(|instance| instance.link().place()).collect();
                callee(Arc::new(pending.with_options(group)), &names.join(", "), format!("at {}", places.join(", ")))
            }
        };
        Link { selector: pending.selector.clone(), target }
    }

    /// Links for what may be had of WASI, where nobody linked it.
    ///
    /// Every guest with a standard library imports parts of it that are harmless
    /// when empty. What can't be empty (clocks, random numbers) must be granted.
    fn rest_of_wasi(&self) -> Vec<Link> {
        let wasi: Arc<dyn SystemComponent> = Arc::new(self.wasi.clone());
        let offered = wasi.interfaces();
        let mut packages: Vec<&str> = offered.iter().map(|interface| package_of(interface)).collect();
        packages.dedup();
        packages.retain(|package| {
            let imported = |import: &Interface| import.name.as_deref().is_some_and(|name| package_of(name) == *package);
            let linked = |link: &Pending| matches!(&link.selector, Selector::Package(name) if name == package);
            self.imports().any(imported) && !self.links.iter().any(linked)
        });
        let to = |package: &str| Link {
            selector: Selector::Package(package.into()),
            target: LinkTarget::System(wasi.clone()),
        };
        packages.into_iter().map(to).collect()
    }
}

/// Adds to an error what an operator can do about each missing part of WASI.
fn explained(mut error: LinkError) -> LinkError {
    if let LinkError::Missing { missing, .. } = &mut error {
        for missing in missing {
            missing.hint = missing.interface.as_deref().and_then(how_to_grant);
        }
    }
    error
}

fn is_wasi(interface: Option<&str>) -> bool {
    interface.is_some_and(|name| name.starts_with("wasi:"))
}

fn unversioned(interface: &str) -> &str {
    interface.split('@').next().unwrap_or(interface)
}

fn package_of(interface: &str) -> &str {
    interface.split('/').next().unwrap_or(interface)
}
