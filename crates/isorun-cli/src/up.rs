//! `isorun up`.

use std::collections::HashMap;
use std::sync::Arc;

use isorun::actors::{
    Actor, ActorKind, Actors, ActorsOptions, MailboxLimits, NatsStorage, NatsStorageOptions, OpenError,
    SupervisorOptions,
};
use isorun::{Grants, InstanceBuilder, Listener, Runtime, Transport, Wasi};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::args::UpArgs;
use crate::compiling::Compiling;
use crate::exit::{self, FAILED, Failed, LINK};
use crate::keys::Keys;
use crate::manifest::{Component, Manifest, Storage};
use crate::monitor::Monitor;
use crate::place::Places;
use crate::signals::Signals;
use crate::terminal::{self, Terminal};
use crate::{load, nats};

/// What several problems are called together.
const WRONG: &str = "things are wrong";

/// How long calls of others may take to finish once the components have stopped, in milliseconds.
const DRAIN_MS: u64 = 1_000;

/// Runs what a manifest says, until a signal.
pub async fn up(args: UpArgs, terminal: &Terminal, compiling: &Compiling, signals: &mut Signals) -> Result<u8, Failed> {
    let manifest = Manifest::open(&args.manifest)?;
    for warning in &manifest.warnings {
        terminal::note(&format!("warning: {warning}"));
    }
    let keys = Keys::new(args.keys.clone());
    if args.check {
        return signals.or(check(&manifest, terminal, compiling, &keys)).await;
    }
    // Before anything is linked, so that everything is counted.
    let monitor = match args.metrics {
        Some(address) => Some(Monitor::start(address, &Grants::new()).await?),
        None => None,
    };
    #[cfg(unix)]
    if !args.no_control {
        // Before a file is made for it.
        crate::control::free(&manifest.node.name)?;
    }
    let mut node = signals.or(Node::prepared(&manifest, compiling, &keys)).await?;
    node.listen(&manifest, &keys, args.no_control).await?;
    let outcome = tokio::select! {
        biased;
        // While components are still being started as well.
        signal = signals.next() => {
            tracing::info!(?signal, "stopping");
            if let Some(monitor) = &monitor {
                monitor.drain();
            }
            Ok(exit::OK)
        }
        outcome = node.run(&manifest, monitor.as_ref(), terminal) => outcome,
    };
    // What failed is told; that what still runs is stopped is for both ends.
    let stopping = async {
        node.stop().await;
        Ok(())
    };
    let stopped = signals.or(stopping).await;
    outcome.and_then(|code| stopped.map(|()| code))
}

fn gave_up(exit: &isorun::actors::Exit) -> Failed {
    Failed::new(FAILED, format!("the node's supervisor ended: {exit}"))
        .hint("`max-restarts` and `within` of its [[supervisor]], or of one below, give a component more tries")
}

/// A node that runs, or is about to.
struct Node {
    runtime: Runtime,
    actors: Actors,
    /// What is listened at, and what those find who connect.
    addresses: Vec<String>,
    serving: JoinSet<usize>,
    ends: watch::Sender<bool>,
}

impl Node {
    /// All components loaded and linked, none started.
    async fn prepared(manifest: &Manifest, compiling: &Compiling, keys: &Keys) -> Result<Self, Failed> {
        let runtime = compiling.runtime()?;
        let options = options(manifest, true).await?;
        let actors = runtime.actors(options).map_err(|error| Failed::new(FAILED, error.to_string()))?;
        for at in in_order(manifest) {
            let supervisor = &manifest.supervisors[at];
            let parent = manifest.supervisor_name(supervisor.parent);
            let options = SupervisorOptions { graceful_ms: manifest.node.stop_ms, ..supervisor.options };
            let added = actors.supervisor(&supervisor.name, options, parent, supervisor.restart);
            added.map_err(|error| Failed::new(FAILED, error.to_string()))?;
        }
        let mut kinds = Kinds::new(&runtime, keys);
        let mut problems = Vec::new();
        for component in &manifest.components {
            let kind = match kinds.of(&actors, component).await {
                Ok(kind) => kind,
                Err(found) => {
                    problems.extend(found.into_iter().map(|failed| of_component(failed, component)));
                    continue;
                }
            };
            let actor = actor(manifest, component, &kind);
            let what = format!("compiling {}", component.file.display());
            if let Err(error) = terminal::while_slow(&what, actors.add(actor)).await {
                problems.push(of_component(Failed::new(FAILED, error.to_string()), component));
            }
        }
        if let Some(failed) = Failed::all(WRONG, problems) {
            return Err(failed);
        }
        for route in &manifest.routes {
            let ends = route.at.iter().map(|place| place.transport(keys));
            let ends: Vec<Arc<dyn Transport>> = ends.collect::<Result<_, _>>()?;
            let routed = actors.route(route.to.clone(), ends);
            routed.map_err(|error| Failed::new(FAILED, error.to_string()))?;
        }
        Ok(Self { runtime, actors, addresses: Vec::new(), serving: JoinSet::new(), ends: watch::Sender::new(false) })
    }

    /// Listens everywhere, so that what can't be is found before anything runs.
    async fn listen(&mut self, manifest: &Manifest, keys: &Keys, no_control: bool) -> Result<(), Failed> {
        let name = &manifest.node.name;
        for address in &manifest.node.listen {
            let (listener, address) = address.listen(keys, name, nats::of_node()).await?;
            self.addresses.push(address.to_string());
            self.serve(listener, self.runtime.directory());
        }
        #[cfg(unix)]
        if !no_control {
            let listener = crate::control::listen(name).await?;
            self.serve(Box::new(listener), self.actors.operators_directory());
        }
        #[cfg(not(unix))]
        let _ = no_control;
        Ok(())
    }

    fn serve(&mut self, listener: Box<dyn Listener>, directory: Arc<dyn isorun::Directory>) {
        let (runtime, mut ends) = (self.runtime.clone(), self.ends.subscribe());
        self.serving.spawn(async move {
            // The sender is gone only with the node.
            let shutdown = async move { drop(ends.wait_for(|ends| *ends).await) };
            runtime.serve_directory_until(listener, directory, shutdown, DRAIN_MS).await
        });
    }

    fn announce(&self, manifest: &Manifest, metrics: Option<String>, terminal: &Terminal) -> Result<(), Failed> {
        let (name, count) = (&manifest.node.name, manifest.components.len());
        let text = || {
            let listening: String = self.addresses.iter().map(|address| format!("listening {address}\n")).collect();
            let metrics = metrics.as_ref().map(|url| format!("metrics {url}\n")).unwrap_or_default();
            format!("{listening}{metrics}running {name} {count}")
        };
        let mut told = json!({ "listening": self.addresses, "running": name, "components": count });
        if let Some(url) = &metrics {
            told["metrics"] = json!(url);
        }
        terminal.result(text, || told)
    }

    /// Starts all components, says so, and waits until their supervisor gives up.
    async fn run(&self, manifest: &Manifest, monitor: Option<&Monitor>, terminal: &Terminal) -> Result<u8, Failed> {
        self.actors.start().await.map_err(|exit| gave_up(&exit))?;
        if let Some(monitor) = monitor {
            monitor.ready(&self.runtime);
        }
        self.announce(manifest, monitor.map(Monitor::url), terminal)?;
        Err(gave_up(&self.actors.ended().await))
    }

    /// Stops all components in reverse order, and then lets go those who are connected.
    async fn stop(mut self) {
        self.actors.stop().await;
        self.ends.send_replace(true);
        while self.serving.join_next().await.is_some() {}
    }
}

/// The node's options, as the manifest has them; with `opens`, its storage is opened.
async fn options(manifest: &Manifest, opens: bool) -> Result<ActorsOptions, Failed> {
    let node = &manifest.node;
    let root = SupervisorOptions { graceful_ms: node.stop_ms, ..SupervisorOptions::default() };
    let options = ActorsOptions::new().grants(grants(manifest)).log(node.log).supervisor(root);
    let failed = |error: String| Failed::new(FAILED, format!("storage: {error}"));
    match &node.storage {
        Storage::File(file) if opens && manifest.components.iter().any(|component| component.storage.is_some()) => {
            options.storage_file(file).map_err(|error| match error {
                OpenError::InUse { .. } => failed(error.to_string()).hint("`storage` of [node] names another file"),
                error => failed(error.to_string()),
            })
        }
        Storage::Nats(server, bucket) if opens => {
            let bucket = NatsStorageOptions { bucket: bucket.clone(), nats: server.options(), ..Default::default() };
            let storage = NatsStorage::connect(server.server(), bucket).await;
            Ok(options.storage(storage.map_err(|error| failed(error.to_string()))?))
        }
        Storage::File(_) | Storage::Nats(..) | Storage::Memory => Ok(options),
    }
}

/// Who may send to whom, and what is taken from others. What operates the node may always.
fn grants(manifest: &Manifest) -> Grants {
    let sends = manifest.components.iter().fold(Grants::new(), |grants, component| {
        component.may_send.iter().fold(grants, |grants, to| grants.send(&component.id, to.clone()))
    });
    manifest.node.accept.iter().fold(sends, |grants, (who, to)| grants.deliver(who.clone(), to.clone()))
}

/// The places of the supervisors, each after its own.
fn in_order(manifest: &Manifest) -> Vec<usize> {
    let depth = |at: usize| {
        let parent = |at: &usize| manifest.supervisors[*at].parent;
        std::iter::successors(Some(at), parent).count()
    };
    let mut order: Vec<usize> = (0..manifest.supervisors.len()).collect();
    // Stable: those of one depth stay in the order of the file.
    order.sort_by_key(|at| depth(*at));
    order
}

fn actor(manifest: &Manifest, component: &Component, kind: &ActorKind) -> Actor {
    let mut mailbox = MailboxLimits::default();
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    if let Some(messages) = component.mailbox_messages {
        mailbox.messages = whole(messages);
    }
    if let Some(bytes) = component.mailbox_bytes {
        mailbox.bytes = whole(bytes);
    }
    let actor = Actor::new(component.id.clone(), kind).mailbox(mailbox).restart(component.restart);
    let told = component.settings.iter().fold(actor, |actor, (name, value)| actor.setting(name, value));
    match manifest.supervisor_name(component.supervisor) {
        Some(supervisor) => told.under(supervisor),
        None => told,
    }
}

/// What components are made of; those that are alike are linked once.
struct Kinds<'a> {
    runtime: &'a Runtime,
    keys: &'a Keys,
    known: HashMap<String, ActorKind>,
}

impl<'a> Kinds<'a> {
    fn new(runtime: &'a Runtime, keys: &'a Keys) -> Self {
        Self { runtime, keys, known: HashMap::new() }
    }

    /// What a component is made of, or all that is wrong with it.
    async fn of(&mut self, actors: &Actors, component: &Component) -> Result<ActorKind, Vec<Failed>> {
        let Component { file, links, grants, budget, storage, .. } = component;
        let alike = format!("{file:?} {links:?} {grants:?} {budget:?} {storage:?}");
        if let Some(kind) = self.known.get(&alike) {
            return Ok(kind.clone());
        }
        let places = Places::new(self.runtime, budget, self.keys.clone());
        let described = described(self.runtime, component, places).await.map_err(|failed| vec![failed])?;
        let what = format!("linking {}", file.display());
        let kind = match storage {
            Some(quota) => terminal::while_slow(&what, actors.kind_with_storage(described.clone(), *quota)).await,
            None => terminal::while_slow(&what, actors.kind(described.clone())).await,
        };
        let kind = match kind {
            Ok(kind) => kind,
            Err(error) => {
                let all = actors.problems(described, storage.is_some()).await;
                // What is not about links is no problem of these.
                return Err(if all.is_empty() {
                    vec![Failed::start(&error)]
                } else {
                    all.iter().map(Failed::link).collect()
                });
            }
        };
        self.known.insert(alike, kind.clone());
        Ok(kind)
    }
}

async fn described(runtime: &Runtime, of: &Component, places: Places<'_>) -> Result<InstanceBuilder, Failed> {
    let component = load::component(runtime, &of.file)?;
    let described =
        load::described_with(runtime, &component, &of.links, &of.grants, Wasi::inert(), &of.budget, places).await?;
    Ok(described.name(of.id.as_str()))
}

/// A failure of a component's, with where the manifest names its file.
fn of_component(failed: Failed, component: &Component) -> Failed {
    explained(failed, component).at(format!("{}: component {}", component.place, component.id))
}

/// Speaks of the manifest's keys where a failure speaks of options.
fn explained(failed: Failed, component: &Component) -> Failed {
    let text = failed.text.split("\nlink it with").next().unwrap_or_default();
    let text = text.replace("--dir: ", "`dirs`: ").replace("--link ", "link ");
    let failed = Failed { text, ..failed };
    if failed.text.contains("isorun:actor/storage") && component.storage.is_none() {
        return failed.hint("`storage = true`, or a size, in its [[component]] gives it storage");
    }
    if failed.text.contains(LIFECYCLE) {
        return failed.hint(
            "a component that lives is made for the world `isorun:actor/component` (docs/actors.md); this one is for \
             `isorun run` or `isorun serve`, or for `links` of another",
        );
    }
    if failed.text.contains(MEMORY) {
        return failed.hint("`budget = { memory = SIZE }` in its [[component]] gives it more");
    }
    if failed.code == LINK {
        return failed.hint("`links = { \"IFACE\" = \"PLACE\" }` in its [[component]] says where an import goes, `wasi` and `dirs` what it may have of WASI");
    }
    failed
}

/// What a component that lives exports.
const LIFECYCLE: &str = "isorun:actor/component-lifecycle";
/// As a component is told of that needs more than it may have.
const MEMORY: &str = "its memory starts with";

/// Says all that is wrong, and runs nothing.
async fn check(manifest: &Manifest, terminal: &Terminal, compiling: &Compiling, keys: &Keys) -> Result<u8, Failed> {
    let runtime = compiling.runtime()?;
    let actors = runtime.actors(options(manifest, false).await?);
    let actors = actors.map_err(|error| Failed::new(FAILED, error.to_string()))?;
    let mut problems = Vec::new();
    for component in &manifest.components {
        let places = Places::unstarted(&runtime, &component.budget, keys.clone());
        match described(&runtime, component, places).await {
            Err(failed) => problems.push(of_component(failed, component)),
            Ok(described) => {
                let what = format!("checking {}", component.file.display());
                let has_storage = component.storage.is_some();
                let found = terminal::while_slow(&what, actors.problems(described, has_storage)).await;
                problems.extend(found.iter().map(|error| of_component(Failed::link(error), component)));
            }
        }
    }
    for route in &manifest.routes {
        problems.extend(route.at.iter().filter_map(|place| place.transport(keys).err()));
    }
    for address in manifest.node.listen.iter().filter(|address| address.authenticates()) {
        problems.extend(keys.credentials(address).err());
    }
    if let Some(failed) = Failed::all(WRONG, problems) {
        return Err(failed);
    }
    let (name, count) = (&manifest.node.name, manifest.components.len());
    terminal.result(
        || format!("{name}: all is well with {count} component{}", if count == 1 { "" } else { "s" }),
        || json!({ "node": name, "components": count, "supervisors": manifest.supervisors.len(), "warnings": manifest.warnings }),
    )?;
    Ok(exit::OK)
}
