//! The components of one node: who they are, who starts them again, and how they are reached.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use isorun_core::{
    BoxFuture, Callee, ComponentId, ComponentPattern, Delivery, Directory, Failure, MessagePayload, PeerIdentity,
    Refusal, RequestOutcome, Storage, StorageQuota,
};
use isorun_messaging::{
    ActorSystem, ActorSystemOptions, AddChildError, AddError, Child, ChildStatus, ComponentRef, ComponentSpec, Exit,
    LifecycleState, Restart, Supervisor, SupervisorOptions, TooManyRoutes,
};
use isorun_rpc::Balance;
use isorun_runtime::{ComponentSetup, LinkError, StartError};
use isorun_security::{Audience, Grants};
use isorun_system::{ActorMessaging, ActorServices, ActorStorage, LogLine, Logger};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::dead::DeadLetterPage;
use super::delivery::RemoteDelivery;
use super::ends::Told;
use super::kind::{Actor, ActorKind};
use super::logs::{LOOKS_MAX, LogBuffer, LogEntry, LogPage, LogQuery};
use super::now_ms;
use super::options::ActorsOptions;
use super::status::{ComponentStatus, Living, LivingNumbers};
use crate::{InstanceBuilder, InstantiateError, REFLECT_INSTANCE, RemoteEnd, Runtime};

/// How long a component may take to say how it is, in milliseconds, where somebody looks.
const HEALTH_MS_MAX: u64 = 1_000;

/// How many components can be added or taken away at once. Those that share a turn wait for each other.
const TURNS: usize = 64;

/// The name of the supervisor above all others, for messages.
const ROOT: &str = "node";

/// What a component may import of its host.
const MESSAGING: &str = "isorun:actor/host-messaging";
const SERVICES: &str = "isorun:actor/host-services";
const STORAGE: &str = "isorun:actor/storage";

/// Why something could not be added to a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActorsError {
    /// Components live in this runtime already.
    #[error("components live in this runtime already: it has one set of them")]
    AlreadyThere,
    /// The component could not be loaded, or its id is taken.
    #[error(transparent)]
    Add(#[from] AddError),
    /// There are as many routes as there may be.
    #[error(transparent)]
    TooManyRoutes(#[from] TooManyRoutes),
    /// A supervisor has that child already, or too many.
    #[error("supervisor `{supervisor}`: {error}")]
    Child {
        /// Its name.
        supervisor: String,
        /// What it says.
        #[source]
        error: AddChildError,
    },
    /// No supervisor has that name.
    #[error("there is no supervisor `{name}`")]
    NoSuchSupervisor {
        /// The name.
        name: String,
    },
    /// Another supervisor has that name.
    #[error("there is a supervisor `{name}` already")]
    SupervisorTaken {
        /// The name.
        name: String,
    },
}

/// The components that live in one runtime; clones are the same.
///
/// They live until they are stopped, or the last clone is dropped; as long as there is one, callers of the runtime's own
/// instance `isorun` may send them messages and look at them, as the options' grants allow.
#[derive(Clone)]
pub struct Actors {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    system: ActorSystem,
    root: Supervisor,
    known: Mutex<Known>,
    setups: Arc<Setups>,
    hosts: Hosts,
    logs: LogBuffer,
    grants: Option<Grants>,
    looks: Arc<Semaphore>,
    /// By ids, whose components are added and taken away one after the other.
    turns: [AsyncMutex<()>; TURNS],
}

/// Who supervises whom.
#[derive(Default)]
struct Known {
    supervisors: BTreeMap<String, Supervisor>,
    /// The supervisor of each component; the node's own has none.
    of: HashMap<ComponentId, Option<String>>,
}

/// What each component is linked with, for the engine.
#[derive(Default)]
struct Setups {
    by_id: RwLock<HashMap<ComponentId, (ComponentSetup, Option<StorageQuota>)>>,
}

/// The host components of the whole node.
struct Hosts {
    messaging: ActorMessaging,
    services: ActorServices,
    storage: ActorStorage,
}

impl Runtime {
    /// Lets components live in this runtime.
    ///
    /// # Errors
    /// [`ActorsError::AlreadyThere`] where others do.
    pub fn actors(&self, options: ActorsOptions) -> Result<Actors, ActorsError> {
        let ActorsOptions { storage, grants, log, root } = options;
        if self.shared.registry.living().is_some() {
            return Err(ActorsError::AlreadyThere);
        }
        // This process's own callers may do all, whatever others may.
        let grants = grants.map(|grants| grants.deliver(Audience::SameProcess, ComponentPattern::everything()));
        let engine = self.engine().clone();
        let setups: Arc<Setups> = Arc::default();
        let known = setups.clone();
        engine.set_up_components(move |id| known.setup(id));
        let system_options = ActorSystemOptions::default();
        let system_options = match &grants {
            Some(grants) => system_options.grants(grants.clone()),
            None => system_options,
        };
        let system = ActorSystem::new(Arc::new(engine), system_options);
        let logs = LogBuffer::new(log);
        let hosts = Hosts::new(&system, &logs, storage, setups.clone());
        let shared = Shared {
            runtime: self.clone(),
            system,
            root: Supervisor::new(root),
            known: Mutex::default(),
            setups,
            hosts,
            logs,
            grants,
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
            turns: std::array::from_fn(|_| AsyncMutex::default()),
        };
        let shared = Arc::new(shared);
        let living: Arc<dyn Living> = shared.clone();
        if self.shared.registry.set_living(Arc::downgrade(&living)) {
            Ok(Actors { shared })
        } else {
            Err(ActorsError::AlreadyThere)
        }
    }
}

impl Hosts {
    fn new(system: &ActorSystem, logs: &LogBuffer, storage: Arc<dyn Storage>, setups: Arc<Setups>) -> Self {
        let logs = logs.clone();
        let logger = Logger::to(move |line: &LogLine<'_>| logs.push(entry(line)));
        let messenger = system.weak_messenger();
        Self {
            messaging: ActorMessaging::new(messenger.clone()),
            services: ActorServices::new(messenger, logger),
            storage: ActorStorage::new(storage).quotas(move |id: &ComponentId| setups.quota(id)),
        }
    }
}

/// A line of a guest's, as it is kept.
fn entry(line: &LogLine<'_>) -> LogEntry {
    LogEntry {
        seq: 0,
        timestamp_ms: now_ms(),
        component: line.instance.into(),
        level: line.level,
        message: line.message.into(),
        fields: line.fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect(),
        dropped_before: line.dropped_before,
    }
}

fn not_added(supervisor: Option<&str>, error: AddChildError) -> ActorsError {
    ActorsError::Child { supervisor: supervisor.unwrap_or(ROOT).into(), error }
}

impl Setups {
    /// Keeps what a component is linked with, in the place of what one of its id that is gone left behind.
    fn add(&self, id: &ComponentId, setup: ComponentSetup, quota: Option<StorageQuota>) {
        self.by_id.write().insert(id.clone(), (setup, quota));
    }

    fn setup(&self, id: &ComponentId) -> ComponentSetup {
        self.by_id.read().get(id).map(|(setup, _)| setup.clone()).unwrap_or_default()
    }

    fn quota(&self, id: &ComponentId) -> StorageQuota {
        let nothing = StorageQuota { bytes: 0, keys: 0 };
        self.by_id.read().get(id).and_then(|(_, quota)| *quota).unwrap_or(nothing)
    }
}

impl Actors {
    /// Resolves, binds and checks the links of a component, as [`InstanceBuilder::check`] does, for any number of components
    /// that are alike. Beside what the description links they have `isorun:actor/host-messaging` and `host-services`.
    ///
    /// # Errors
    /// [`InstantiateError`] where its links don't hold, or it can't live: it exports no `isorun:actor/component-lifecycle`, or
    /// its memory starts with more than its budget.
    pub async fn kind(&self, described: InstanceBuilder) -> Result<ActorKind, InstantiateError> {
        self.linked(described, None).await
    }

    /// As [`kind`](Self::kind), with `isorun:actor/storage`: each of the components may keep as much as `quota` says.
    ///
    /// # Errors
    /// As [`kind`](Self::kind).
    pub async fn kind_with_storage(
        &self,
        described: InstanceBuilder,
        quota: StorageQuota,
    ) -> Result<ActorKind, InstantiateError> {
        self.linked(described, Some(quota)).await
    }

    /// All that is wrong with a component that is to live here: that it can't, and what its links lack; empty where they
    /// hold. Nothing is started.
    pub async fn problems(&self, described: InstanceBuilder, has_storage: bool) -> Vec<LinkError> {
        let described = self.with_hosts(described, has_storage);
        let mut problems: Vec<LinkError> = described.lives().err().into_iter().collect();
        problems.extend(described.problems().await);
        if problems.is_empty() {
            problems.extend(described.fits().await.err());
        }
        problems
    }

    async fn linked(
        &self,
        described: InstanceBuilder,
        storage: Option<StorageQuota>,
    ) -> Result<ActorKind, InstantiateError> {
        let described = self.with_hosts(described, storage.is_some());
        described.lives().map_err(StartError::from)?;
        described.check().await?;
        described.fits().await.map_err(StartError::from)?;
        let (bytes, links, budget) = described.into_parts();
        Ok(ActorKind { bytes, links: links.into(), budget, storage })
    }

    /// The description, with those of the host's interfaces that its component imports.
    fn with_hosts(&self, described: InstanceBuilder, has_storage: bool) -> InstanceBuilder {
        let Hosts { messaging, services, storage } = &self.shared.hosts;
        let mut described = described;
        if described.does_import(MESSAGING) {
            described = described.link_host(MESSAGING, messaging.clone());
        }
        if described.does_import(SERVICES) {
            described = described.link_host(SERVICES, services.clone());
        }
        if has_storage && described.does_import(STORAGE) {
            described = described.link_host(STORAGE, storage.clone());
        }
        described
    }

    /// Adds a supervisor, below another one or the node's own, after what that has already.
    ///
    /// # Errors
    /// [`ActorsError::SupervisorTaken`], [`ActorsError::NoSuchSupervisor`].
    pub fn supervisor(
        &self,
        name: &str,
        options: SupervisorOptions,
        parent: Option<&str>,
        restart: Restart,
    ) -> Result<(), ActorsError> {
        let mut known = self.shared.known.lock();
        if name == ROOT || known.supervisors.contains_key(name) {
            return Err(ActorsError::SupervisorTaken { name: name.into() });
        }
        let above = self.shared.supervisor(&known, parent)?;
        let supervisor = Supervisor::new(options);
        let child = format!("supervisor {name}");
        above.add(child, Arc::new(supervisor.clone()), restart).map_err(|error| not_added(parent, error))?;
        known.supervisors.insert(name.into(), supervisor);
        Ok(())
    }

    /// Loads a component and gives it to its supervisor, which starts it after those that it has already: at once where it
    /// runs, and else with [`start`](Self::start).
    ///
    /// # Errors
    /// [`ActorsError`]: it can't be loaded, its id is taken, or there is no such supervisor.
    pub async fn add(&self, actor: Actor) -> Result<ComponentRef, ActorsError> {
        let Actor { id, kind, config, mailbox, restart, supervisor } = actor;
        let shared = &self.shared;
        let parent = supervisor.as_deref();
        shared.supervisor(&shared.known.lock(), parent)?;
        let setup = ComponentSetup { links: kind.links.clone(), budget: kind.budget.clone() };
        let _turn = shared.turn(&id).await;
        // Another one of that id keeps what it has.
        let is_new = shared.system.component(&id).is_none();
        if is_new {
            shared.setups.add(&id, setup, kind.storage);
        }
        let added = shared.system.add(ComponentSpec { id: id.clone(), bytes: kind.bytes, config, mailbox }).await;
        let component = match added {
            Ok(component) => component,
            Err(error) => {
                if is_new {
                    shared.setups.by_id.write().remove(&id);
                }
                return Err(error.into());
            }
        };
        let given = {
            let mut known = shared.known.lock();
            let above = shared.supervisor(&known, parent)?;
            let child = Arc::new(Told::new(component.clone(), shared.logs.clone()));
            let given = match parent {
                Some(_) => above.add(id.as_str(), child, restart),
                // Whoever may send to one component, and can make it fail, is not to end the node by it.
                None => above.add_alone(id.as_str(), child, restart),
            };
            if given.is_ok() {
                known.of.insert(id.clone(), supervisor.clone());
            }
            given
        };
        if let Err(error) = given {
            shared.system.remove(&id).await;
            shared.setups.by_id.write().remove(&id);
            return Err(not_added(parent, error));
        }
        Ok(component)
    }

    /// Takes a component away: it stops, what waits for it becomes dead letters, and its id is free. Whether there was one.
    ///
    /// What it stored stays.
    pub async fn remove(&self, id: &ComponentId) -> bool {
        let shared = &self.shared;
        let _turn = shared.turn(id).await;
        let supervisor = {
            let mut known = shared.known.lock();
            let of = known.of.remove(id);
            of.and_then(|name| shared.supervisor(&known, name.as_deref()).ok())
        };
        // Its name is free too once this returns. First of both, so that nobody starts it again.
        let forgotten = async {
            if let Some(supervisor) = supervisor {
                supervisor.remove(id.as_str()).await;
            }
        };
        let ((), was_there) = tokio::join!(forgotten, shared.system.remove(id));
        if was_there {
            shared.setups.by_id.write().remove(id);
        }
        was_there
    }

    /// Sends messages for components that are not here to other nodes: those that `pattern` is for, to the first of the
    /// places that is there.
    ///
    /// Each place is how a node is reached. Nothing is opened before the first message.
    ///
    /// # Errors
    /// [`ActorsError::TooManyRoutes`].
    pub fn route<E: Into<RemoteEnd>>(
        &self,
        pattern: ComponentPattern,
        places: impl IntoIterator<Item = E>,
    ) -> Result<(), ActorsError> {
        let places: Vec<_> =
            places.into_iter().map(|end| self.shared.runtime.remote(&end.into(), REFLECT_INSTANCE)).collect();
        let callee: Arc<dyn Callee> = match <[_; 1]>::try_from(places) {
            Ok([one]) => Arc::new(one),
            // Outcomes are asked for where the messages went.
            Err(places) => Arc::new(isorun_rpc::RemoteGroup::new(places, Balance::Sticky)),
        };
        Ok(self.shared.system.route(pattern, Arc::new(RemoteDelivery::new(callee)))?)
    }

    /// Starts all supervisors and components in the order in which they were added.
    ///
    /// Ready once each of them runs, or has ended as it may.
    ///
    /// # Errors
    /// How the node's supervisor ended before that: it gave up, because a supervisor below it did too often.
    pub async fn start(&self) -> Result<(), Exit> {
        self.shared.root.start().await
    }

    /// Stops all in reverse order, each with the time that its supervisor gives it.
    pub async fn stop(&self) -> Exit {
        self.shared.root.stop().await
    }

    /// Waits until the node's supervisor ends: it gave up, because a supervisor below it did too often, or was told to stop.
    ///
    /// A component that has no supervisor but the node's own, and fails too often, stays stopped and ends nothing.
    pub async fn ended(&self) -> Exit {
        Child::exited(&self.shared.root).await
    }

    /// The mailboxes, requests and routes.
    #[must_use]
    pub fn system(&self) -> &ActorSystem {
        &self.shared.system
    }

    /// Sends a request as `from`, and waits for how it ends.
    pub async fn ask(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: impl Into<MessagePayload>,
        timeout_ms: u64,
    ) -> RequestOutcome {
        self.shared.system.ask(from, to, payload.into(), timeout_ms).await
    }

    /// All components, in the order of their ids; with `ask_health` each that runs is asked how it is.
    pub async fn components(&self, ask_health: bool) -> Vec<ComponentStatus> {
        let (components, _) =
            Living::components(&*self.shared, &PeerIdentity::SameProcess, None, usize::MAX, ask_health).await;
        components
    }

    /// Messages that did not come to their end, [`DEAD_LETTERS_PAGE_MAX`](super::DEAD_LETTERS_PAGE_MAX) at most: the first
    /// after `after`, or the last ones there are. A `limit` of 0 is one of 1.
    ///
    /// What a component sends over a route to another node is taken before anybody knows whether it arrives there: where it
    /// does not, it is here, and a line of the process's log says so.
    #[must_use]
    pub fn dead_letters(&self, after: Option<u64>, limit: u32) -> DeadLetterPage {
        Living::dead_letters(&*self.shared, &PeerIdentity::SameProcess, after, limit)
    }

    /// Lines that components logged, and those in which the node says how they ended.
    pub async fn logs(&self, query: &LogQuery) -> LogPage {
        Living::logs(&*self.shared, &PeerIdentity::SameProcess, query).await
    }

    /// What whoever operates this node may do: all that this process may. For a listener that nobody else reaches.
    #[must_use]
    pub fn operators_directory(&self) -> Arc<dyn Directory> {
        Arc::new(AsThisProcess(self.shared.runtime.weak_directory()))
    }
}

impl Drop for Shared {
    /// The engine outlives them, and is not to hold them, their links and their storage.
    fn drop(&mut self) {
        self.setups.by_id.write().clear();
        // Without a runtime nothing runs, and the process is at its end.
        let Ok(tokio) = tokio::runtime::Handle::try_current() else { return };
        let (system, root) = (self.system.clone(), self.root.clone());
        tokio.spawn(async move {
            // First, or it would start again what goes.
            root.stop().await;
            let ids: Vec<ComponentId> = system.list().iter().map(|component| component.id().clone()).collect();
            join_all(ids.iter().map(|id| system.remove(id))).await;
        });
    }
}

impl std::fmt::Debug for Actors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Actors").field("root", &self.shared.root.state()).finish_non_exhaustive()
    }
}

impl Shared {
    /// The turn of an id: until it is dropped nobody else adds or takes away what has it.
    async fn turn(&self, id: &ComponentId) -> AsyncMutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.turns[(hasher.finish() % TURNS as u64) as usize].lock().await
    }

    fn supervisor(&self, known: &Known, name: Option<&str>) -> Result<Supervisor, ActorsError> {
        match name {
            None => Ok(self.root.clone()),
            Some(name) => {
                let found = known.supervisors.get(name).cloned();
                found.ok_or_else(|| ActorsError::NoSuchSupervisor { name: name.into() })
            }
        }
    }

    /// Each of these components as its supervisor sees it, by its id.
    fn supervised(&self, shown: &[ComponentRef]) -> HashMap<Arc<str>, ChildStatus> {
        if shown.is_empty() {
            return HashMap::new();
        }
        let shown: HashSet<&str> = shown.iter().map(|component| component.id().as_str()).collect();
        let supervisors: Vec<Supervisor> = {
            let known = self.known.lock();
            known.supervisors.values().chain([&self.root]).cloned().collect()
        };
        let children = supervisors.iter().flat_map(Supervisor::children);
        children.filter(|child| shown.contains(&*child.name)).map(|child| (child.name.clone(), child)).collect()
    }

    /// Whether a caller may know of a component: it may send messages to it.
    fn may_see(&self, caller: &PeerIdentity, id: &ComponentId) -> bool {
        match (caller, &self.grants) {
            (PeerIdentity::SameProcess, _) | (_, None) => true,
            (_, Some(grants)) => grants.lets_deliver(caller, id),
        }
    }

    /// Whether a caller may know of all components.
    fn may_see_all(&self, caller: &PeerIdentity) -> bool {
        matches!(caller, PeerIdentity::SameProcess) || self.grants.is_none()
    }

    async fn status(
        &self,
        component: &ComponentRef,
        supervised: &HashMap<Arc<str>, ChildStatus>,
        ask_health: bool,
    ) -> ComponentStatus {
        let child = supervised.get(component.id().as_str());
        // One that waits to be started again has no task, and is not at its end.
        let state = match (component.state(), child.map(|child| child.state)) {
            (LifecycleState::Stopped, Some(LifecycleState::Starting)) => LifecycleState::Starting,
            (state, _) => state,
        };
        let health = if ask_health && state == LifecycleState::Running {
            tokio::time::timeout(Duration::from_millis(HEALTH_MS_MAX), component.health()).await.ok()
        } else {
            None
        };
        let queued = component.queued();
        let usage = component.usage().unwrap_or_default();
        let id = component.id().clone();
        let supervisor = self.known.lock().of.get(&id).cloned().flatten();
        ComponentStatus {
            id,
            state,
            restarts: component.restarts(),
            queued_messages: queued.messages as u64,
            queued_bytes: queued.bytes as u64,
            memory_bytes: usage.memory_bytes,
            calls: usage.calls,
            health,
            supervisor,
            last_exit: child.and_then(|child| child.last_exit.as_ref()).map(ToString::to_string),
        }
    }
}

impl Living for Shared {
    fn delivery(&self, caller: &PeerIdentity) -> Result<Arc<dyn Delivery>, Failure> {
        Ok(self.system.delivery(caller))
    }

    fn look(&self, caller: &PeerIdentity) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        if *caller == PeerIdentity::SameProcess {
            return Ok(None);
        }
        if self.grants.as_ref().is_some_and(|grants| !grants.lets_deliver_somewhere(caller)) {
            let reason = "no messages are accepted from here, and so nothing is shown".into();
            return Err(Refusal::Unauthorised { reason }.into());
        }
        let look = self.looks.clone().try_acquire_owned();
        let limit = LOOKS_MAX as u64;
        look.map(Some).map_err(|_| Refusal::Overloaded { what: "looks at the components".into(), limit }.into())
    }

    fn components<'a>(
        &'a self,
        caller: &'a PeerIdentity,
        after: Option<&'a str>,
        limit: usize,
        ask_health: bool,
    ) -> BoxFuture<'a, (Vec<ComponentStatus>, bool)> {
        Box::pin(async move {
            let mut known = self.system.list();
            known.retain(|component| {
                after.is_none_or(|after| component.id().as_str() > after) && self.may_see(caller, component.id())
            });
            let more = known.len() > limit;
            known.truncate(limit);
            let supervised = self.supervised(&known);
            // At once, so that one that is slow to answer keeps no other from it.
            (join_all(known.iter().map(|component| self.status(component, &supervised, ask_health))).await, more)
        })
    }

    fn logs<'a>(&'a self, caller: &'a PeerIdentity, query: &'a LogQuery) -> BoxFuture<'a, LogPage> {
        let may_see = move |component: &str| ComponentId::parse(component).is_ok_and(|id| self.may_see(caller, &id));
        Box::pin(self.logs.page(query, may_see))
    }

    fn knows(&self, caller: &PeerIdentity, id: &ComponentId) -> bool {
        self.may_see(caller, id) && (self.system.component(id).is_some() || self.logs.has(id.as_str()))
    }

    fn numbers(&self) -> LivingNumbers {
        let states = [
            LifecycleState::Created,
            LifecycleState::Starting,
            LifecycleState::Running,
            LifecycleState::Stopping,
            LifecycleState::Stopped,
        ];
        let components = self.system.list();
        let of = |state| components.iter().filter(|component| component.state() == state).count() as u64;
        LivingNumbers {
            messages: self.system.stats(),
            dead_letters: self.system.dead_letters(),
            restarts: components.iter().map(|component| u64::from(component.restarts())).sum(),
            states: states.map(|state| (state, of(state))).into(),
        }
    }

    fn dead_letters(&self, caller: &PeerIdentity, after: Option<u64>, limit: u32) -> DeadLetterPage {
        let all = self.system.dead_letters();
        DeadLetterPage::of(&all, after, limit, self.may_see_all(caller), |id| self.may_see(caller, id))
    }
}

/// Runs all of them at once; what they gave, in their order.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.map(|future| (Some(Box::pin(future)), None)).collect();
    std::future::poll_fn(|cx| {
        let mut waits = false;
        for (future, done) in &mut running {
            if let Some(running) = future {
                match running.as_mut().poll(cx) {
                    Poll::Ready(value) => (*future, *done) = (None, Some(value)),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}

/// The host's own instance alone, for callers that may do what this process may.
struct AsThisProcess(Arc<dyn Directory>);

impl Directory for AsThisProcess {
    fn find(&self, instance: &str, _: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        if instance != REFLECT_INSTANCE {
            return Err(Refusal::NoSuchInstance { instance: instance.into() }.into());
        }
        self.0.find(instance, &PeerIdentity::SameProcess)
    }
}
