//! Runs WebAssembly components and decides, outside the guest, where the code
//! behind each import lives: in the host, in another component of this process,
//! or in a component on another machine.
//!
//! The guest is the same `.wasm` in all three; one line of the description changes:
//!
//! ```
//! use std::sync::Arc;
//!
//! use isorun::{InMemoryKv, Listener, Runtime, TcpTransport, TcpTransportListener, Val};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
//! let runtime = Runtime::new()?;
//! let app = runtime.load(std::fs::read("guests/prebuilt/kv-app.wasm")?)?;
//! let provider = runtime.load(std::fs::read("guests/prebuilt/kv-provider.wasm")?)?;
//!
//! // A provider in this process, under a name, and served to whoever connects.
//! let kv = runtime.builder(&provider).register_as("kv").instantiate().await?;
//! let listener = TcpTransportListener::bind("127.0.0.1:0").await?;
//! let far = Arc::new(TcpTransport::new(&listener.address())?);
//! let server = runtime.clone();
//! tokio::spawn(async move { server.serve(Box::new(listener)).await });
//!
//! let store = InMemoryKv::new().deny("denied").absent_is_error("missing");
//! let here = runtime.builder(&app).link_system("demo:kv/store", store);
//! let near = runtime.builder(&app).link_local("demo:kv/store", &kv);
//! let away = runtime.builder(&app).link_remote("demo:kv/store", far, "kv");
//! for place in [here, near, away] {
//!     let instance = place.instantiate().await?;
//!     let results = instance.exec("run", &[Val::U32(40)]).await?;
//!     assert_eq!(results, [Val::Result(Ok(Some(Box::new(Val::U64(820)))))]);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod actors;
mod builder;
mod handle;
mod linkable;
mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
mod reflect;
mod registry;
mod remote;
mod runtime;
mod trace;
mod unstarted;
pub mod wave;

pub use builder::{InstanceBuilder, InstantiateError};
pub use bytes::Bytes;
pub use handle::InstanceHandle;
pub use isorun_core::{
    BindRequest, Bound, BoxFuture, Budget, CallContext, CallFailed, Callee, Channel, ComponentHealth, ComponentId,
    ComponentPattern, DEADLINE_MS_DEFAULT, Directory, Failure, Fault, FunctionIndex, HealthStatus, InstanceUid,
    Listener, MessagePayload, PeerIdentity, Refusal, Reply, ResourceLimits, Storage, StorageQuota, Trace, Tracer,
    Transport, TransportError, moves_cursor, set_tracer, tracer,
};
pub use isorun_ledger::{Function, Interface, Ledger, TypeRegistry, names_match, nearest};
/// Components that turn bytes into bytes.
pub use isorun_nodes as nodes;
pub use isorun_rpc::{ATTEMPTS_MAX, Balance, CallTarget, PLACES_MAX, Peer, PlaceStatus, RemoteGroup, call_once};
pub use isorun_runtime::prescan::COMPONENT_BYTES_MAX;
pub use isorun_runtime::wasmtime::component::Val;
pub use isorun_runtime::{
    CACHE_BYTES_MAX, CACHE_ENTRY_BYTES_MAX, CacheError, CallError, CallOptions, Codec, CodecPlan, CompileCounts,
    CompiledCache, EngineOptions, GuestExit, HostState, InstanceCounts, IsorunCtx, Link, LinkError, LinkFailure,
    LoadError, LoadedComponent, NoLifecycle, OnFailure, POOLED_MEMORY_BYTES_MAX, PlanSide, ReadError, Selector,
    Serving, StartError, SystemComponent, UnknownPolicy, introspect, read_component, wasmtime,
};
pub use isorun_security::{Access, Audience, Capability, Decision, Grants, Mount, Request, WasiFeature};
pub use isorun_system::{
    Entry, InMemoryKv, KvError, LogField, LogLevel, LogLine, Logger, Wasi, WasiDir, WasiDirError, how_to_grant,
};
pub use isorun_tls::{CredentialFiles, Credentials, CredentialsError, NameError, NodeName, issue};
pub use isorun_transport_local::{FrameCounter, LocalChannelTransport};
pub use isorun_transport_nats::{
    Announcement, NatsAddress, NatsAddressError, NatsListenError, NatsOptions, NatsServer, NatsTransport,
    NatsTransportListener, Provider, discover,
};
pub use isorun_transport_quic::{QuicAddress, QuicAddressError, QuicListenError, QuicTransport, QuicTransportListener};
pub use isorun_transport_tcp::{
    AddressError, ListenError, TcpAddress, TcpTransport, TcpTransportListener, TlsAddress, TlsAddressError,
    TlsListenError, TlsTransport, TlsTransportListener,
};
#[cfg(unix)]
pub use isorun_transport_tcp::{UnixAddress, UnixAddressError, UnixListenError, UnixTransport, UnixTransportListener};
pub use linkable::{Linkable, LocalInstance, RemoteEnd};
pub use metrics::{Metrics, MetricsError};
pub use neopack::{Decoder, Encoder};
#[cfg(feature = "otlp")]
pub use otlp::{Otlp, OtlpError};
pub use reflect::{REFLECT_INSTANCE, REFLECT_INTERFACE, REFLECT_PAGE_MAX};
pub use registry::{INSTANCES_MAX, RegisterError};
pub use remote::RemoteHandle;
pub use runtime::Runtime;
pub use trace::trace_layer;
