//! A runtime: one engine, one registry, the connections of one host.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{Directory, Failure, Listener, PeerIdentity};
use isorun_nodes::{ComponentExecutionError, LoadedModule, WasmArtifact};
use isorun_rpc::{Balance, Peer, PeerOptions, PeerPool, RemoteGroup, ServeOptions};
use isorun_runtime::{CompileCounts, EngineOptions, LoadError, LoadedComponent, Offer, WasmtimeEngine};
use isorun_security::{Audience, Capability};

use crate::registry::{RegisterError, Registry, WeakDirectory};
use crate::{InstanceBuilder, InstanceHandle, RemoteEnd};

/// Loads components, links and starts instances, and serves those that have a name.
///
/// Cloning is cheap and gives the same runtime. Instances are started and called
/// inside a tokio runtime with its timer enabled (and its I/O, for TCP): without
/// one, tokio panics.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use isorun::{Runtime, Val};
/// # let bytes = wat::parse_str(r#"(component
/// #   (core module $m (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))
/// #   (core instance $i (instantiate $m))
/// #   (func (export "double") (param "n" u32) (result u32) (canon lift (core func $i "double"))))"#)?;
///
/// let runtime = Runtime::new()?;
/// let component = runtime.load(bytes)?;
/// let instance = runtime.builder(&component).instantiate().await?;
/// assert_eq!(instance.exec("double", &[Val::U32(21)]).await?, [Val::U32(42)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Runtime {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    engine: WasmtimeEngine,
    pub(crate) registry: Arc<Registry>,
    peers: PeerPool,
}

impl Runtime {
    /// A runtime with an engine of its own, serving nothing yet.
    ///
    /// # Errors
    /// [`LoadError::Engine`] on a machine that the compiler does not support.
    pub fn new() -> Result<Self, LoadError> {
        Self::with_options(EngineOptions::default())
    }

    /// A runtime with an engine of its own, made with these options.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use isorun::{EngineOptions, Runtime};
    /// # let home = tempfile::tempdir()?;
    /// # let (wasm, folder) = (wat::parse_str("(component)")?, home.path().join("compiled"));
    ///
    /// // The second runtime, which may be another process's, compiles nothing.
    /// for compiled in [1, 0] {
    ///     let runtime = Runtime::with_options(EngineOptions::default().cache(&folder))?;
    ///     runtime.builder(&runtime.load(wasm.clone())?).instantiate().await?;
    ///     assert_eq!(runtime.compile_counts().compiled, compiled);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(options: EngineOptions) -> Result<Self, LoadError> {
        let engine = WasmtimeEngine::with_options(options)?;
        let registry = Registry::new();
        let peers = PeerPool::new(PeerOptions::serving(Arc::new(WeakDirectory(Arc::downgrade(&registry)))));
        Ok(Self { shared: Arc::new(Shared { engine, registry, peers }) })
    }

    /// Checks a component's bytes and reads its types; it is compiled when the first instance of it is made.
    ///
    /// # Errors
    /// [`LoadError`], which says what the bytes are instead, or which limit they exceed.
    pub fn load(&self, bytes: impl Into<Bytes>) -> Result<LoadedComponent, LoadError> {
        LoadedComponent::parse(&self.shared.engine, bytes)
    }

    /// As [`load`](Self::load), for a component that is to be run as a processing node: bytes in, bytes out.
    ///
    /// A [`WasmProcessorFactory`](isorun_nodes::WasmProcessorFactory) makes nodes of it, as many as one likes. What they
    /// import is linked as [`InstanceBuilder::links`] says.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use isorun::Runtime;
    /// use isorun::nodes::{WasmArtifact, WasmProcessorFactory};
    ///
    /// let runtime = Runtime::new()?;
    /// let module = runtime.load_module(&WasmArtifact::read("guests/prebuilt/rle.wasm")?)?;
    /// let node = WasmProcessorFactory::new().build(&module).await?;
    /// assert_eq!(node.execute(b"aaab").await?, b"\x03a\x01b");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ComponentExecutionError::NotAComponent`] and [`ComponentExecutionError::Load`].
    pub fn load_module(&self, artifact: &WasmArtifact) -> Result<LoadedModule, ComponentExecutionError> {
        LoadedModule::load(&self.shared.engine, artifact)
    }

    /// How often its engine compiled, and how often it did not have to.
    #[must_use]
    pub fn compile_counts(&self) -> CompileCounts {
        self.shared.engine.compile_counts()
    }

    /// Starts the description of an instance of that component.
    #[must_use]
    pub fn builder(&self, component: &LoadedComponent) -> InstanceBuilder {
        InstanceBuilder::new(self.clone(), component.clone())
    }

    /// Gives an instance a name under which other instances and peers find it.
    ///
    /// # Errors
    /// [`RegisterError`]: a name is given once, and is plain.
    pub fn register_instance(&self, id: &str, handle: &InstanceHandle) -> Result<(), RegisterError> {
        self.register_instance_with(id, handle, &Capability::everything(), Audience::Anyone)
    }

    /// As [`register_instance`](Self::register_instance), for these callers alone.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn register_instance_for(
        &self,
        id: &str,
        handle: &InstanceHandle,
        audience: Audience,
    ) -> Result<(), RegisterError> {
        self.register_instance_with(id, handle, &Capability::everything(), audience)
    }

    /// As [`register_instance`](Self::register_instance), for these callers and these functions alone.
    ///
    /// To bind any other function is *refused: unauthorised*.
    ///
    /// ```no_run
    /// # fn f(runtime: &isorun::Runtime, kv: &isorun::InstanceHandle) -> Result<(), isorun::RegisterError> {
    /// use isorun::{Audience, Capability};
    ///
    /// let readers = Capability::of("demo:kv/store").functions(["get", "scan"]);
    /// runtime.register_instance_with("kv-to-read", kv, &readers, Audience::Anyone)
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn register_instance_with(
        &self,
        id: &str,
        handle: &InstanceHandle,
        capability: &Capability,
        audience: Audience,
    ) -> Result<(), RegisterError> {
        self.register_instance_to(id, handle, [(capability.clone(), audience)])
    }

    /// As [`register_instance_with`](Self::register_instance_with), for several callers, each with functions of its own.
    ///
    /// They add up: who is in two audiences may call what either of them may. Where there is none, nobody may call anything.
    ///
    /// ```no_run
    /// # fn f(runtime: &isorun::Runtime, kv: &isorun::InstanceHandle) -> Result<(), isorun::RegisterError> {
    /// use isorun::{Audience, Capability};
    ///
    /// let store = Capability::of("demo:kv/store");
    /// let reader = (store.functions(["get", "scan"]), Audience::Named("reader".into()));
    /// let writer = (store, Audience::Named("writer".into()));
    /// runtime.register_instance_to("kv", kv, [reader, writer])
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn register_instance_to(
        &self,
        id: &str,
        handle: &InstanceHandle,
        served: impl IntoIterator<Item = (Capability, Audience)>,
    ) -> Result<(), RegisterError> {
        self.shared.registry.register(id, handle, served)
    }

    /// Takes a name away; who is bound already keeps calling, who comes now finds nothing.
    ///
    /// Gives back the instance that had it.
    pub fn unregister_instance(&self, id: &str) -> Option<InstanceHandle> {
        self.shared.registry.unregister(id)
    }

    /// The instance of that name.
    #[must_use]
    pub fn instance(&self, id: &str) -> Option<InstanceHandle> {
        self.shared.registry.get(id)
    }

    /// Answers one self-contained call: the bytes of a request in, the bytes of its reply or failure out.
    ///
    /// For transports that keep no connection. Whatever the bytes, the answer is a frame.
    pub async fn handle_incoming_rpc(&self, request: impl Into<Bytes>) -> Bytes {
        let caller = PeerIdentity::Anonymous { address: "unknown".into() };
        self.handle_incoming_rpc_from(request, &caller).await
    }

    /// As [`handle_incoming_rpc`](Self::handle_incoming_rpc), for a caller that is known.
    pub async fn handle_incoming_rpc_from(&self, request: impl Into<Bytes>, caller: &PeerIdentity) -> Bytes {
        isorun_rpc::handle_incoming_rpc(&*self.shared.registry, request.into(), caller).await
    }

    /// The instances that have a name, for whoever routes calls to them.
    #[must_use]
    pub fn directory(&self) -> Arc<dyn Directory> {
        self.shared.registry.clone()
    }

    /// Serves all who connect, until the listener ends. Dropping the future stops accepting and closes all connections.
    ///
    /// ```no_run
    /// # async fn f(wasm: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    /// use isorun::{Listener, Runtime, TcpTransportListener};
    ///
    /// let runtime = Runtime::new()?;
    /// let kv = runtime.load(wasm)?;
    /// runtime.builder(&kv).register_as("kv").instantiate().await?;
    /// let listener = TcpTransportListener::bind("127.0.0.1:0").await?;
    /// println!("listening {}", listener.address());
    /// tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve(&self, listener: Box<dyn Listener>) {
        isorun_rpc::serve(listener, self.directory(), ServeOptions::default()).await;
    }

    /// As [`serve`](Self::serve), until `shutdown`: then it ends without losing a call.
    ///
    /// The listener closes and callers are told to turn elsewhere with what is new; what is under way is finished, for
    /// `drain_ms` milliseconds at most. Returns how many connections were cut after that with something still under way:
    /// 0 where all went well. Calls that were cut are *unknown* to their callers.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use isorun::{Runtime, TcpTransportListener};
    ///
    /// let runtime = Runtime::new()?;
    /// let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await?;
    /// let (stop, stopped) = tokio::sync::oneshot::channel();
    /// let shutdown = async { stopped.await.unwrap_or(()) };
    /// let server = tokio::spawn(async move { runtime.serve_until(Box::new(listener), shutdown, 10_000).await });
    /// // Later: a signal came.
    /// stop.send(()).unwrap();
    /// assert_eq!(server.await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve_until(
        &self,
        listener: Box<dyn Listener>,
        shutdown: impl Future<Output = ()>,
        drain_ms: u64,
    ) -> usize {
        let options = ServeOptions { drain_ms, ..ServeOptions::default() };
        isorun_rpc::serve_until(listener, self.directory(), options, shutdown).await
    }

    /// As [`serve_until`](Self::serve_until), with a directory of one's own: what those find who connect there.
    pub async fn serve_directory_until(
        &self,
        listener: Box<dyn Listener>,
        directory: Arc<dyn Directory>,
        shutdown: impl Future<Output = ()>,
        drain_ms: u64,
    ) -> usize {
        let options = ServeOptions { drain_ms, ..ServeOptions::default() };
        isorun_rpc::serve_until(listener, directory, options, shutdown).await
    }

    /// Accepts one connection; both ends may serve and call on it.
    ///
    /// # Errors
    /// A [`Failure`] where the listener has ended or the other end speaks another protocol.
    pub async fn accept(&self, listener: &mut dyn Listener) -> Result<Peer, Failure> {
        isorun_rpc::accept(listener, PeerOptions::serving(self.weak_directory())).await
    }

    /// Opens a connection; both ends may serve and call on it.
    ///
    /// # Errors
    /// [`Failure::NotSent`] where nobody answers.
    pub async fn connect(&self, transport: Arc<dyn isorun_core::Transport>) -> Result<Peer, Failure> {
        Peer::connect(transport, PeerOptions::serving(self.weak_directory())).await
    }

    /// An instance that is at several places, for [`link_remote_group`](InstanceBuilder::link_remote_group): for each, how
    /// it is reached and the instance's name there.
    ///
    /// Nothing is opened or sent before it is used. There may be 64 places; more are left out.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use std::sync::Arc;
    /// use isorun::{Balance, LocalChannelTransport, Runtime, Serving, Val};
    ///
    /// let here = Runtime::new()?;
    /// let provider = here.load(std::fs::read("guests/prebuilt/kv-provider.wasm")?)?;
    /// let mut places = Vec::new();
    /// for _ in 0..2 {
    ///     let there = Runtime::new()?;
    ///     there.builder(&there.load(std::fs::read("guests/prebuilt/kv-provider.wasm")?)?).register_as("kv").instantiate().await?;
    ///     let (near, far) = LocalChannelTransport::pair();
    ///     tokio::spawn(async move { there.serve(Box::new(far)).await });
    ///     places.push((Arc::new(near), "kv"));
    /// }
    ///
    /// let kv = here.remote_group(places, Balance::AsServed);
    /// let app = here.load(std::fs::read("guests/prebuilt/kv-app.wasm")?)?;
    /// let app = here.builder(&app).link_remote_group("demo:kv/store", &kv).instantiate().await?;
    /// assert_eq!(app.exec("run", &[Val::U32(40)]).await?, [Val::Result(Ok(Some(Box::new(Val::U64(820)))))]);
    /// // A singleton keeps state: all calls went to one of them.
    /// assert_eq!(kv.places().iter().filter(|place| place.is_home).count(), 1);
    /// # let _ = provider;
    /// # Ok(())
    /// # }
    /// ```
    pub fn remote_group<E: Into<RemoteEnd>, N: AsRef<str>>(
        &self,
        places: impl IntoIterator<Item = (E, N)>,
        balance: Balance,
    ) -> RemoteGroup {
        let places = places.into_iter().map(|(end, name)| self.remote(&end.into(), name.as_ref()));
        RemoteGroup::new(places, balance)
    }

    pub(crate) fn engine(&self) -> &WasmtimeEngine {
        &self.shared.engine
    }

    pub(crate) fn weak_directory(&self) -> Arc<dyn Directory> {
        Arc::new(WeakDirectory(Arc::downgrade(&self.shared.registry)))
    }

    /// An instance at the other end of `end`.
    pub(crate) fn remote(&self, end: &RemoteEnd, instance: &str) -> isorun_rpc::RemoteInstance {
        match end {
            RemoteEnd::Transport(transport) => self.shared.peers.link(transport).instance(instance),
            RemoteEnd::Peer(peer) => peer.instance(instance),
        }
    }

    /// What registered instances offer, for the message of an import that nobody linked.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        let mut offers = Vec::new();
        for (id, handle) in self.shared.registry.handles() {
            for export in &handle.ledger().exports {
                let place = format!("instance `{id}`");
                match &export.name {
                    Some(name) => offers.push(Offer { name: name.clone(), place }),
                    None => {
                        let names = export.functions.iter().map(|function| function.name.clone());
                        offers.extend(names.map(|name| Offer { name, place: place.clone() }));
                    }
                }
            }
        }
        offers
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.shared.registry.handles().into_iter().map(|(id, _)| id);
        f.debug_struct("Runtime").field("instances", &ids.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}
