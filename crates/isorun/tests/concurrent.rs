//! `async` functions: many calls out of one instance and into one, here and far away.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{bounded, load, serve_channel, small};
use isorun::wasmtime::component::Linker;
use isorun::{
    Budget, HostState, InstanceBuilder, InstanceHandle, Runtime, SystemComponent, TcpTransport, TcpTransportListener,
    Transport, Val, wasmtime,
};
use tokio::sync::Notify;

const GATE: &str = "test:flow/gate@0.1.0";
const LATER: &str = "test:flow/later@0.1.0";

/// Lets calls wait until so many are there at once.
#[derive(Clone)]
struct Gate(Arc<GateState>);

struct GateState {
    wanted: usize,
    now: AtomicUsize,
    peak: AtomicUsize,
    full: Notify,
}

impl Gate {
    fn of(wanted: usize) -> Self {
        let count = || AtomicUsize::new(0);
        Self(Arc::new(GateState { wanted, now: count(), peak: count(), full: Notify::new() }))
    }

    fn peak(&self) -> usize {
        self.0.peak.load(Ordering::SeqCst)
    }

    async fn pass(&self) {
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
    async fn holds(&self, calls: usize) {
        bounded(async {
            while self.0.now.load(Ordering::SeqCst) < calls {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn open(&self) {
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

fn provider(runtime: &Runtime, gate: &Gate) -> InstanceBuilder {
    runtime.builder(&load(runtime, "flow-provider")).link_system(GATE, gate.clone())
}

/// An app and its provider, which is in each place there is.
async fn placed(gate: impl Fn() -> Gate, budget: Budget) -> Vec<(&'static str, InstanceHandle, InstanceHandle, Gate)> {
    let mut all = Vec::new();
    for place in ["local", "channel", "tcp"] {
        let (here, there, gate) = (Runtime::new().unwrap(), Runtime::new().unwrap(), gate());
        let app = here.builder(&load(&here, "flow-app")).name("app");
        let (app, provider) = if place == "local" {
            let provider = provider(&here, &gate).budget(budget.clone()).name("later").instantiate().await.unwrap();
            (app.link_local(LATER, &provider), provider)
        } else {
            let provider = provider(&there, &gate).budget(budget.clone());
            let provider = provider.register_as("later").instantiate().await.unwrap();
            let transport: Arc<dyn Transport> = if place == "channel" { serve_channel(&there).0 } else { tcp(&there).await };
            (app.link_remote(LATER, transport, "later"), provider)
        };
        all.push((place, bounded(app.instantiate()).await.unwrap(), provider, gate));
    }
    all
}

async fn tcp(runtime: &Runtime) -> Arc<dyn Transport> {
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = TcpTransport::from(listener.local_address().clone());
    let runtime = runtime.clone();
    tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
    Arc::new(transport)
}

/// What fetching 0 to n - 1 comes to.
fn sum(n: u64) -> Val {
    Val::U64((0..n).map(|n| 2 * n + 1).sum())
}

#[tokio::test]
async fn sixty_four_calls_are_in_flight_from_one_instance_and_into_one() {
    for (place, app, provider, gate) in placed(|| Gate::of(64), Budget::default()).await {
        assert_eq!(bounded(app.exec("fan", &[Val::U32(64)])).await.unwrap(), [sum(64)], "{place}");
        assert_eq!(gate.peak(), 64, "{place}");
        assert_eq!((app.generation(), provider.generation()), (1, 1));
        assert_eq!(provider.exec("test:flow/later#count", &[]).await.unwrap(), [Val::U32(64)]);
        assert_eq!((app.in_flight(), provider.in_flight()), (0, 0));
    }
}
