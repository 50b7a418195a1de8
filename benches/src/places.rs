//! One calling guest in four places: what it imports is the host's, a neighbour's, or behind a transport.

use std::sync::Arc;

use isorun::wasmtime::StoreContextMut;
use isorun::wasmtime::component::Linker;
use isorun::{
    Budget, CallOptions, EngineOptions, HostState, InstanceBuilder, InstanceHandle, Listener, LocalChannelTransport,
    Runtime, Serving, SystemComponent, TcpTransport, TcpTransportListener, Val, wasmtime,
};

use crate::{Error, Function, Point, VALUE, guest};

/// The guest that serves the five functions; also the name of its instance.
pub const CALLEE: &str = "bench-callee";
/// The guest that calls them.
pub const CALLER: &str = "bench-caller";

/// Stores that the engine makes room for where each call has one of its own.
const STORES: u32 = 64;

/// How many callers make a [`crowd`](Places::crowd).
pub const AT_ONCE: usize = 64;

/// How long one batch of calls may take, in milliseconds; the default budgets are made for single calls.
pub const BATCH_MS_MAX: u64 = 600_000;

/// The calling guest, once for each place.
#[derive(Debug)]
pub struct Places {
    /// Each place's name and the instance that calls there.
    pub callers: Vec<(&'static str, InstanceHandle)>,
    // Connections and names live as long as their runtimes.
    runtimes: [Runtime; 3],
    tcp: Arc<TcpTransport>,
}

impl Places {
    /// Starts one provider near and one far, with a channel and a socket to the far one, and a caller for each place.
    ///
    /// # Errors
    /// Whatever keeps an instance from starting.
    pub async fn start() -> Result<Self, Error> {
        let pooled = Runtime::with_options(EngineOptions::default().pooled_stores(STORES))?;
        let (near, far) = (Runtime::new()?, Runtime::new()?);
        let neighbour = near.builder(&near.load(guest(CALLEE)?)?).instantiate().await?;
        far.builder(&far.load(guest(CALLEE)?)?).register_as(CALLEE).instantiate().await?;

        let (channel, far_end) = LocalChannelTransport::pair();
        let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await?;
        let tcp = Arc::new(TcpTransport::new(&listener.address())?);
        serve(&far, far_end);
        serve(&far, listener);

        let component = near.load(guest(CALLER)?)?;
        let caller = || near.builder(&component).budget(batch());
        let fresh = pooled.builder(&pooled.load(guest(CALLEE)?)?).serving(Serving::PER_CALL).instantiate().await?;
        let provider = near.load(guest(CALLEE)?)?;
        let places: [(&str, InstanceBuilder); 6] = [
            ("host", caller().link_system("*", Host)),
            ("local", caller().link_local("*", &neighbour)),
            ("fused", caller().link_fused("*", &provider)),
            ("per-call", caller().link_local("*", &fresh)),
            ("channel", caller().link_remote("*", Arc::new(channel), CALLEE)),
            ("tcp", caller().link_remote("*", tcp.clone(), CALLEE)),
        ];
        let mut callers = Vec::with_capacity(places.len());
        for (place, builder) in places {
            callers.push((place, builder.instantiate().await?));
        }
        Ok(Self { callers, runtimes: [near, far, pooled], tcp })
    }

    /// [`AT_ONCE`] callers of the provider over TCP, on the connection that the one among [`callers`](Self::callers) has.
    ///
    /// # Errors
    /// Whatever keeps an instance from starting.
    pub async fn crowd(&self) -> Result<Vec<InstanceHandle>, Error> {
        let [near, ..] = &self.runtimes;
        let component = near.load(guest(CALLER)?)?;
        let mut callers = Vec::with_capacity(AT_ONCE);
        for _ in 0..AT_ONCE {
            let caller = near.builder(&component).budget(batch()).link_remote("*", self.tcp.clone(), CALLEE);
            callers.push(caller.instantiate().await?);
        }
        Ok(callers)
    }
}

/// Lets the calling guest call `function` `iters` times; it traps on a wrong answer.
///
/// The way into the guest is gone through once, so that it vanishes in a long batch.
///
/// # Errors
/// A call that fails.
pub async fn run(caller: &InstanceHandle, function: Function, iters: u32) -> Result<(), Error> {
    let options = CallOptions { deadline_ms: BATCH_MS_MAX };
    caller.exec_with(&format!("run-{}", function.name()), &[Val::U32(iters)], options).await?;
    Ok(())
}

/// Serves all who connect, in a task of its own.
pub fn serve(runtime: &Runtime, listener: impl Listener + 'static) {
    let runtime = runtime.clone();
    tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
}

/// A budget that lasts for a batch of calls.
#[must_use]
pub fn batch() -> Budget {
    Budget { fuel: u64::MAX / 2, fuel_tree: u64::MAX / 2, wall_ms: BATCH_MS_MAX, ..Budget::default() }
}

/// The five functions in the host, typed: what the engine alone takes for a call out of a guest.
#[derive(Debug)]
pub struct Host;

impl SystemComponent for Host {
    fn interfaces(&self) -> Vec<String> {
        Function::ALL.map(|function| function.name().to_owned()).into()
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        type Cx<'a> = StoreContextMut<'a, HostState>;
        type Found = Result<Option<String>, String>;
        let mut root = linker.root();
        root.func_wrap("add", |_: Cx<'_>, (a, b): (u32, u32)| Ok((a.wrapping_add(b),)))?;
        root.func_wrap("echo-string", |_: Cx<'_>, (text,): (String,)| Ok((text,)))?;
        root.func_wrap("echo-bytes", |_: Cx<'_>, (bytes,): (Vec<u8>,)| Ok((bytes,)))?;
        root.func_wrap("sum", |_: Cx<'_>, (points,): (Vec<Point>,)| {
            Ok((points.iter().map(Point::weight).sum::<f64>(),))
        })?;
        root.func_wrap("get", |_: Cx<'_>, (_key,): (String,)| Ok((Found::Ok(Some(VALUE.to_owned())),)))
    }

    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}
