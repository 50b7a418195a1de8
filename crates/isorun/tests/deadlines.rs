//! A deadline travels: when it passes, everything that was done for it stops, however many hosts away.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use isorun::wasmtime::StoreContextMut;
use isorun::wasmtime::component::Linker;
use isorun::{
    CallOptions, Failure, HostState, InstanceHandle, Runtime, Serving, SystemComponent, TcpTransport,
    TcpTransportListener, Val, wasmtime,
};
use tokio::sync::Semaphore;

const RING: &str = "test:ring/node#call-plain";

/// What the first caller gives the whole chain, in milliseconds.
const DEADLINE_MS: u64 = 100;

/// A gate that nobody opens; it tells who came to it.
#[derive(Clone)]
struct Shut(Arc<Semaphore>);

impl SystemComponent for Shut {
    fn interfaces(&self) -> Vec<String> {
        vec!["test:ring/gate@0.1.0".into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let arrived = Arc::clone(&self.0);
        linker.instance("test:ring/gate@0.1.0")?.func_wrap_async(
            "pass",
            move |_: StoreContextMut<'_, HostState>, (_,): (u32,)| {
                arrived.add_permits(1);
                Box::new(std::future::pending::<wasmtime::Result<()>>())
            },
        )
    }

    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// A host that serves what is registered with it over TCP.
async fn host() -> (Runtime, Arc<TcpTransport>) {
    let runtime = Runtime::new().unwrap();
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let transport = TcpTransport::from(listener.local_address().clone());
    let served = runtime.clone();
    tokio::spawn(async move { served.serve(Box::new(listener)).await });
    (runtime, Arc::new(transport))
}

/// Three hops over TCP: the first and the second hand on, the third waits at the gate.
async fn chain() -> ([InstanceHandle; 3], Arc<Semaphore>) {
    let [(first, _), (second, to_second), (third, to_third)] = [host().await, host().await, host().await];
    let arrived = Arc::new(Semaphore::new(0));
    let node = |runtime: &Runtime, guest| runtime.builder(&load(runtime, guest)).serving(Serving::PER_CALL);
    let c = node(&third, "ring-gated").register_as("c").link_system("test:ring/gate", Shut(Arc::clone(&arrived)));
    let c = c.link_remote("test:ring/node", to_second.clone(), "b").lazy().instantiate().await.unwrap();
    let b = node(&second, "ring-node").register_as("b").link_remote("test:ring/node", to_third, "c");
    let b = b.instantiate().await.unwrap();
    let a = node(&first, "ring-node").register_as("a").link_remote("test:ring/node", to_second, "b");
    ([a.instantiate().await.unwrap(), b, c], arrived)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hops_of_instances_for_one_call_are_all_idle_once_its_deadline_passed() {
    let (instances, arrived) = chain().await;
    let options = CallOptions { deadline_ms: DEADLINE_MS };
    let (mut ended, mut idle) = (Vec::new(), Vec::new());
    let mut whole = 0;
    for _ in 0..10 {
        let started = Instant::now();
        let failed = bounded(instances[0].exec_with(RING, &[Val::U32(3)], options)).await.unwrap_err();
        ended.push(started.elapsed());
        assert!(matches!(*failed.failure, Failure::Deadline { .. } | Failure::Failed(_)), "{failed}");
        // A busy machine may not bring a call that far in its time.
        whole += u32::from(arrived.try_acquire().is_ok_and(|permit| {
            permit.forget();
            true
        }));
        let busy = || instances.iter().any(|instance| instance.in_flight() > 0);
        bounded(async {
            while busy() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        idle.push(started.elapsed());
    }
    ended.sort_unstable();
    idle.sort_unstable();
    #[allow(clippy::print_stdout, reason = "the figure that `docs/reliability.md` reports")]
    {
        println!(
            "{whole} of 10 reached the third hop; deadline {DEADLINE_MS} ms: outcome {ended:?}, all idle {idle:?}"
        );
    }
    assert!(whole > 0, "no call came to the third hop");
    assert!(*idle.last().unwrap() < Duration::from_secs(20), "what nobody waits for goes on: {idle:?}");
}
