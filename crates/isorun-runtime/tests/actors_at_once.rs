//! Components that live, many at once: none waits for another, and what is given up leaves nothing behind.

#[path = "support/actor.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use isorun_core::{Budget, ComponentConfig, ComponentHandle, Fault, RuntimeEngine, WasmError};
use isorun_runtime::wasmtime::component::Linker;
use isorun_runtime::wasmtime::{self, StoreContextMut};
use isorun_runtime::{HostState, Link, LinkTarget, Selector, SystemComponent, WasmtimeEngine};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use support::{LONG, count, id, message, set_up, started, tell, waiting_actor};

/// What `wait` waits at: a test opens it.
#[derive(Clone)]
struct Door {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
    seen: Arc<AtomicUsize>,
}

impl Door {
    fn new() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)), seen: Arc::default() }
    }

    fn links(&self) -> Arc<[Link]> {
        Arc::from([Link { selector: Selector::Rest, target: LinkTarget::System(Arc::new(self.clone())) }])
    }

    /// Waits until one more stands at it.
    async fn reached(&self) {
        timeout(LONG, self.arrived.acquire()).await.unwrap().unwrap().forget();
    }
}

impl SystemComponent for Door {
    fn interfaces(&self) -> Vec<String> {
        vec!["test:host/door@0.1.0".into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let door = self.clone();
        linker.instance("test:host/door@0.1.0")?.func_wrap_async(
            "wait",
            move |_: StoreContextMut<'_, HostState>, (): ()| {
                let door = door.clone();
                Box::new(async move {
                    door.arrived.add_permits(1);
                    door.open.acquire().await?.forget();
                    Ok(())
                })
            },
        )
    }

    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        assert!(state.instance().starts_with("test/actor/"), "{}", state.instance());
        self.seen.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A budget that nothing here uses up.
fn ample() -> Budget {
    Budget { fuel: u64::MAX / 2, fuel_tree: u64::MAX / 2, wall_ms: 600_000, ..Budget::default() }
}

/// A message that somebody else waits for.
fn spawned(
    engine: &WasmtimeEngine,
    handle: &ComponentHandle,
    payload: &'static str,
) -> JoinHandle<Result<Option<Bytes>, WasmError>> {
    let (engine, handle) = (engine.clone(), handle.clone());
    tokio::spawn(async move { tell(&engine, &handle, payload).await })
}

async fn joined<T>(task: JoinHandle<T>) -> T {
    timeout(LONG, task).await.expect("it ends in time").unwrap()
}

fn not_running(name: &str) -> WasmError {
    WasmError::NotRunning { id: format!("test/actor/{name}") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_components_take_messages_while_one_spins_and_one_waits() {
    let (engine, door) = (WasmtimeEngine::new().unwrap(), Door::new());
    set_up(&engine, ample(), door.links());
    let bytes = waiting_actor();
    let mut handles = Vec::new();
    for number in 0..1_000 {
        // In places of their own, so that they are known by what they are.
        handles.push(started(&engine, id(number), Bytes::copy_from_slice(&bytes)).await);
    }
    assert_eq!(engine.compile_counts().compiled, 1);
    assert_eq!(door.seen.load(Ordering::Relaxed), 1_000);

    let spinner = spawned(&engine, &handles[0], "s");
    let waiter = spawned(&engine, &handles[1], "w");
    door.reached().await;
    let others: Vec<_> =
        handles[2..].iter().flat_map(|handle| [(); 3].map(|()| spawned(&engine, handle, "e"))).collect();
    for other in others {
        assert_eq!(joined(other).await.unwrap().unwrap(), "e");
    }
    assert!(!spinner.is_finished() && !waiter.is_finished());
    // What a component holds is known while it is called.
    assert_eq!(engine.usage(&handles[0]).unwrap().calls, 2);

    door.open.add_permits(1);
    assert_eq!(joined(waiter).await.unwrap().unwrap(), "w");
    spinner.abort();
    assert!(timeout(LONG, spinner).await.unwrap().unwrap_err().is_cancelled());
    assert_eq!(tell(&engine, &handles[0], "e").await, Err(not_running("0")));
    let spent = engine.usage(&handles[0]).unwrap();
    assert!(spent.fuel > 0 && spent.memory_bytes == 0, "{spent:?}");
    engine.start_component(&handles[0], &ComponentConfig::default()).await.unwrap();
    assert_eq!(count(&engine, &handles[0]).await, 1);
}

#[tokio::test]
async fn a_call_that_is_dropped_takes_the_store_with_it() {
    let (engine, door) = (WasmtimeEngine::new().unwrap(), Door::new());
    set_up(&engine, ample(), door.links());
    let handle = started(&engine, id(0), waiting_actor()).await;
    let to_wait = message(&id(0), "w");
    tokio::select! {
        _ = engine.call_handle_message(&handle, &to_wait) => panic!("nobody opened the door"),
        () = door.reached() => {}
    }
    assert_eq!(tell(&engine, &handle, "e").await, Err(not_running("0")));
    engine.start_component(&handle, &ComponentConfig::default()).await.unwrap();
    assert_eq!(count(&engine, &handle).await, 1);
}

#[tokio::test]
async fn starting_again_and_stopping_wait_for_the_call_that_is_under_way() {
    let (engine, door) = (WasmtimeEngine::new().unwrap(), Door::new());
    set_up(&engine, ample(), door.links());
    let handle = started(&engine, id(0), waiting_actor()).await;
    for is_start in [true, false] {
        let call = spawned(&engine, &handle, "w");
        door.reached().await;
        let (owned, same) = (engine.clone(), handle.clone());
        let next = tokio::spawn(async move {
            match is_start {
                true => owned.start_component(&same, &ComponentConfig::default()).await,
                false => owned.stop_component(&same).await,
            }
        });
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        door.open.add_permits(1);
        assert_eq!(joined(call).await.unwrap().unwrap(), "w");
        joined(next).await.unwrap();
        match is_start {
            true => assert_eq!(count(&engine, &handle).await, 1),
            false => assert_eq!(tell(&engine, &handle, "e").await, Err(not_running("0"))),
        }
    }
}

#[tokio::test]
async fn unloading_lets_a_call_end_and_refuses_those_that_wait() {
    let (engine, door) = (WasmtimeEngine::new().unwrap(), Door::new());
    set_up(&engine, ample(), door.links());
    let handle = started(&engine, id(0), waiting_actor()).await;
    let call = spawned(&engine, &handle, "w");
    door.reached().await;
    let next = spawned(&engine, &handle, "e");
    tokio::task::yield_now().await;
    engine.unload_component(&handle).await.unwrap();
    assert_eq!(engine.usage(&handle), None);
    door.open.add_permits(1);
    assert_eq!(joined(call).await.unwrap().unwrap(), "w");
    assert_eq!(joined(next).await, Err(WasmError::ComponentNotFound { id: "test/actor/0".into() }));
}

#[tokio::test]
async fn time_in_the_host_counts_against_the_wall_clock() {
    let (engine, door) = (WasmtimeEngine::new().unwrap(), Door::new());
    set_up(&engine, Budget { wall_ms: 1_000, ..Budget::default() }, door.links());
    let handle = started(&engine, id(0), waiting_actor()).await;
    let error = tell(&engine, &handle, "w").await.unwrap_err();
    let text = "runtime error: `handle-message`: out of time: limit 1000 ms";
    assert_eq!(error.to_string(), text);
    assert_eq!(support::fault(&error), Some(&Fault::OutOfTime { limit_ms: 1_000 }));
    assert_eq!(tell(&engine, &handle, "e").await, Err(not_running("0")));
}

#[tokio::test]
async fn components_with_async_functions_take_messages_too() {
    let text = support::ACTOR.replace(
        "(; exports ;)",
        r#"(core module $L (func (export "later") (result i32) (i32.const 7)))
           (core instance $l (instantiate $L))
           (func (export "later") async (result u32) (canon lift (core func $l "later")))"#,
    );
    let bytes: Bytes = wat::parse_str(text).unwrap().into();
    let engine = WasmtimeEngine::new().unwrap();
    set_up(&engine, Budget { wall_ms: 1_000, ..Budget::default() }, Arc::from([]));
    let handle = started(&engine, id(0), bytes.clone()).await;
    for (mode, part) in [("s", "out of time: limit 1000 ms"), ("t", "trap"), ("f", "gave up"), ("p", "trap")] {
        for number in 1..=10 {
            assert_eq!(count(&engine, &handle).await, number);
        }
        let error = tell(&engine, &handle, mode).await.unwrap_err();
        assert!(error.to_string().contains(part), "{mode}: {error}");
        assert_eq!(tell(&engine, &handle, "e").await, Err(not_running("0")));
        engine.start_component(&handle, &ComponentConfig::default()).await.unwrap();
    }

    // One that is given up takes its store, too.
    set_up(&engine, ample(), Arc::from([]));
    let handle = started(&engine, id(1), bytes).await;
    let spinner = spawned(&engine, &handle, "s");
    while engine.usage(&handle).unwrap().calls < 2 {
        tokio::task::yield_now().await;
    }
    spinner.abort();
    assert!(timeout(LONG, spinner).await.unwrap().unwrap_err().is_cancelled());
    assert_eq!(tell(&engine, &handle, "e").await, Err(not_running("1")));
    engine.start_component(&handle, &ComponentConfig::default()).await.unwrap();
    assert_eq!(count(&engine, &handle).await, 1);
}
