//! A gate that calls of the flow guests meet at, and an app and its provider in each place there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use isorun::wasmtime::component::Linker;
use isorun::{
    Budget, HostState, InstanceBuilder, InstanceHandle, Runtime, Serving, SystemComponent, TcpTransport,
    TcpTransportListener, Transport, wasmtime,
};
use tokio::sync::Notify;

use super::{bounded, load, serve_channel, serve_quic};

pub const GATE: &str = "test:flow/gate@0.1.0";
pub const LATER: &str = "test:flow/later@0.1.0";

/// Lets calls wait until so many are there at once.
#[derive(Clone)]
pub struct Gate(Arc<GateState>);

struct GateState {
    wanted: usize,
    now: AtomicUsize,
    peak: AtomicUsize,
    full: Notify,
}

impl Gate {
    pub fn of(wanted: usize) -> Self {
        let count = || AtomicUsize::new(0);
        Self(Arc::new(GateState { wanted, now: count(), peak: count(), full: Notify::new() }))
    }

    /// Whether anybody else has it.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::SeqCst)
    }

    pub async fn pass(&self) {
        let state = &self.0;
        let full = state.full.notified();
        tokio::pin!(full);
        full.as_mut().enable();
        let now = state.now.fetch_add(1, Ordering::SeqCst) + 1;
        let peak = state.peak.fetch_max(now, Ordering::SeqCst).max(now);
        // Once it was full it stays open.
        if peak >= state.wanted {
            state.full.notify_waiters();
        } else {
            full.await;
        }
        state.now.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits until so many wait here.
    pub async fn holds(&self, calls: usize) {
        bounded(async {
            while self.0.now.load(Ordering::SeqCst) < calls {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub fn open(&self) {
        self.0.peak.fetch_max(self.0.wanted, Ordering::SeqCst);
        self.0.full.notify_waiters();
    }
}

impl SystemComponent for Gate {
    fn interfaces(&self) -> Vec<String> {
        vec![GATE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let gate = self.clone();
        linker.instance(GATE)?.func_wrap_concurrent("pass", move |_, (n,): (u32,)| {
            let gate = gate.clone();
            Box::pin(async move {
                gate.pass().await;
                Ok((n * 2,))
            })
        })
    }

    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}

pub fn provider(runtime: &Runtime, gate: &Gate) -> InstanceBuilder {
    runtime.builder(&load(runtime, "flow-provider")).link_system(GATE, gate.clone())
}

/// An app, its provider, and the gate that the provider's calls meet at.
pub struct Placed {
    pub place: &'static str,
    pub app: InstanceHandle,
    pub provider: InstanceHandle,
    pub gate: Gate,
    // The provider's registry lives as long as this does.
    _there: Runtime,
}

/// An app and its provider, which is in each place there is.
pub async fn placed(wanted: usize, budget: Budget, serving: Serving) -> Vec<Placed> {
    let mut all = Vec::new();
    for place in ["local", "channel", "tcp", "quic"] {
        let (here, there, gate) = (Runtime::new().unwrap(), Runtime::new().unwrap(), Gate::of(wanted));
        let app = here.builder(&load(&here, "flow-app")).name("app").serving(serving);
        let near = provider(if place == "local" { &here } else { &there }, &gate).budget(budget.clone());
        let provider = near.register_as("later").instantiate().await.unwrap();
        let app = match place {
            "local" => app.link_local(LATER, &provider),
            "channel" => app.link_remote(LATER, serve_channel(&there).0, "later"),
            "quic" => app.link_remote(LATER, serve_quic(&there).await, "later"),
            _ => app.link_remote(LATER, tcp(&there).await, "later"),
        };
        let app = bounded(app.instantiate()).await.unwrap();
        all.push(Placed { place, app, provider, gate, _there: there });
    }
    all
}

pub async fn tcp(runtime: &Runtime) -> Arc<dyn Transport> {
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = TcpTransport::from(listener.local_address().clone());
    let runtime = runtime.clone();
    tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
    Arc::new(transport)
}
