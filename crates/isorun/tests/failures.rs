//! Every way a call can fail, told apart, with its cause, at the caller.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{bounded, leaf, load, ok, serve_channel, small, wat_guest};
use isorun::wasmtime::StoreContextMut;
use isorun::wasmtime::component::Linker;
use isorun::{
    BindRequest, Budget, CallContext, Callee, Failure, Fault, FunctionIndex, HostState, InstanceHandle, OnFailure,
    Refusal, Runtime, Serving, SystemComponent, TcpTransport, TcpTransportListener, Transport, Val, wasmtime,
};
use tokio::sync::Semaphore;

const COUNTER: &str = "test:counter/counter@0.1.0";

async fn failing(runtime: &Runtime, budget: Budget) -> InstanceHandle {
    let component = load(runtime, "fail-provider");
    runtime.builder(&component).budget(budget).register_as("svc").instantiate().await.unwrap()
}

fn thin() -> Budget {
    small(|budget| {
        budget.fuel = 5_000_000;
        budget.max_memory_bytes = 4 << 16;
        budget.max_table_elements = 100;
    })
}

/// What the guest is told, and what a guest without room for it says as it traps.
async fn check_faults(app: &InstanceHandle) {
    let failed = async |n: u32| {
        let Val::Result(Err(Some(error))) = app.exec("run", &[Val::U32(n)]).await.unwrap().remove(0) else {
            panic!("{n} did not fail")
        };
        let Val::String(told) = *error else { panic!() };
        told
    };
    let cases = [
        (0, "failed: trap: wasm `unreachable` instruction executed"),
        (1, "failed: out of fuel: limit 5000000"),
        (2, "failed: out of memory: 327680 bytes wanted, limit 262144"),
        (3, "failed: trap: call stack exhausted"),
        (4, "failed: over budget: max_table_elements: 1025 wanted, limit 100"),
        (5, "refused: asked to"),
    ];
    for (n, told) in cases {
        assert_eq!(bounded(failed(n)).await, told);
    }
    // The caller never lost its own store, and the callee answers again.
    assert_eq!(app.exec("forward", &[Val::U32(9)]).await.unwrap(), [ok(Val::U32(9))]);
    assert_eq!(app.generation(), 1);

    let error = bounded(app.exec("plain", &[Val::U32(0)])).await.unwrap_err();
    let Failure::Failed(Fault::Trapped { message }) = &*error.failure else { panic!("{error}") };
    for part in ["test:fail/svc@0.1.0#plain", "`svc`", "failed there: trap"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(app.exec("forward", &[Val::U32(9)]).await.unwrap(), [ok(Val::U32(9))]);
    assert_eq!(app.generation(), 2);
}

#[tokio::test]
async fn faults_of_a_local_callee_reach_the_guest_with_their_cause() {
    let runtime = Runtime::new().unwrap();
    let svc = failing(&runtime, thin()).await;
    let app = load(&runtime, "fail-app");
    let app = runtime.builder(&app).link_local("test:fail/svc", &svc).instantiate().await.unwrap();
    check_faults(&app).await;
}

#[tokio::test]
async fn faults_of_a_remote_callee_reach_the_guest_with_their_cause() {
    let (far, near) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    failing(&far, thin()).await;
    let (transport, _) = serve_channel(&far);
    let app = load(&near, "fail-app");
    let app = near.builder(&app).link_remote("test:fail/svc", transport, "svc").instantiate().await.unwrap();
    check_faults(&app).await;
}

/// Calls through a door that a test opens; counts who has come to it.
#[derive(Clone)]
struct Door {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Door {
    fn new() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until `n` more calls stand at the door.
    async fn reached_by(&self, n: u32) {
        bounded(self.arrived.acquire_many(n)).await.unwrap().forget();
    }

    fn let_through(&self, n: usize) {
        self.open.add_permits(n);
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

    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}

async fn waiter(runtime: &Runtime, door: &Door, serving: Serving) -> InstanceHandle {
    let component = load(runtime, "waiter");
    let builder = runtime.builder(&component).link_system("test:host/door", door.clone());
    builder.serving(serving).name("waiter").instantiate().await.unwrap()
}

fn spawn_run(instance: &InstanceHandle) -> tokio::task::JoinHandle<Result<Vec<Val>, isorun::CallError>> {
    let instance = instance.clone();
    tokio::spawn(async move { instance.exec("run", &[]).await })
}

#[tokio::test]
async fn a_singleton_queues_callers_up_to_its_limit_and_in_their_order() {
    let (runtime, door) = (Runtime::new().unwrap(), Door::new());
    let waiter = waiter(&runtime, &door, Serving::Singleton { queue_max: 2, queue_ms: 20_000 }).await;
    let first = spawn_run(&waiter);
    door.reached_by(1).await;
    let queued = [spawn_run(&waiter), spawn_run(&waiter)];
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    let refused = bounded(waiter.exec("run", &[])).await.unwrap_err();
    let busy = Refusal::Busy { instance: "waiter".into(), waited_ms: 0 };
    assert_eq!(*refused.failure, Failure::Refused(busy));
    door.let_through(3);
    bounded(first).await.unwrap().unwrap();
    for call in queued {
        bounded(call).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn waiting_for_a_busy_singleton_is_bounded_in_time() {
    let (runtime, door) = (Runtime::new().unwrap(), Door::new());
    let waiter = waiter(&runtime, &door, Serving::Singleton { queue_max: 2, queue_ms: 30 }).await;
    let first = spawn_run(&waiter);
    door.reached_by(1).await;
    let refused = bounded(waiter.exec("run", &[])).await.unwrap_err();
    let busy = Refusal::Busy { instance: "waiter".into(), waited_ms: 30 };
    assert_eq!(*refused.failure, Failure::Refused(busy));
    door.let_through(1);
    bounded(first).await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_at_once_are_taken_at_the_limit_and_refused_past_it() {
    let (runtime, door) = (Runtime::new().unwrap(), Door::new());
    let waiter = waiter(&runtime, &door, Serving::PerCall { at_once_max: 3 }).await;
    let calls: Vec<_> = (0..3).map(|_| spawn_run(&waiter)).collect();
    door.reached_by(3).await;
    let refused = bounded(waiter.exec("run", &[])).await.unwrap_err();
    assert!(matches!(&*refused.failure, Failure::Refused(Refusal::Overloaded { limit: 3, .. })), "{refused}");
    door.let_through(3);
    for call in calls {
        bounded(call).await.unwrap().unwrap();
    }
    door.let_through(1);
    bounded(waiter.exec("run", &[])).await.unwrap();
}

#[tokio::test]
async fn a_queued_caller_that_leaves_is_removed_from_the_queue() {
    let (runtime, door) = (Runtime::new().unwrap(), Door::new());
    let waiter = waiter(&runtime, &door, Serving::Singleton { queue_max: 1, queue_ms: 20_000 }).await;
    let first = spawn_run(&waiter);
    door.reached_by(1).await;
    let hasty = isorun::CallOptions { deadline_ms: 20 };
    let left = bounded(waiter.exec_with("run", &[], hasty)).await.unwrap_err();
    assert!(matches!(*left.failure, Failure::Deadline { .. }), "{left}");
    let second = spawn_run(&waiter);
    door.let_through(2);
    bounded(first).await.unwrap().unwrap();
    bounded(second).await.unwrap().unwrap();
    // Only the two that stayed came to the door.
    assert_eq!(door.arrived.available_permits(), 1);
}

#[tokio::test]
async fn a_store_for_each_call_keeps_no_state() {
    let runtime = Runtime::new().unwrap();
    let counter = runtime.builder(&load(&runtime, "counter")).serving(Serving::PER_CALL).instantiate().await.unwrap();
    for _ in 0..3 {
        assert_eq!(counter.exec("test:counter/counter#add", &[Val::U32(5)]).await.unwrap(), [Val::U64(5)]);
    }
}

#[tokio::test]
async fn a_caller_that_cannot_pay_for_a_singletons_call_is_refused_and_others_are_charged() {
    let runtime = Runtime::new().unwrap();
    let counter = small(|budget| budget.fuel = 1_000_000);
    let counter =
        runtime.builder(&load(&runtime, "counter")).name("counter").budget(counter).instantiate().await.unwrap();
    let component = load(&runtime, "counter-app");
    let app = async |fuel_tree| {
        let budget = small(|budget| budget.fuel_tree = fuel_tree);
        runtime.builder(&component).link_local(COUNTER, &counter).budget(budget).instantiate().await.unwrap()
    };
    let poor = app(1_000_000).await;
    let error = poor.exec("add", &[Val::U32(1)]).await.unwrap_err().to_string();
    assert!(error.contains("short of fuel") && error.contains("may need 1000000"), "{error}");
    assert_eq!(counter.exec("test:counter/counter#get", &[]).await.unwrap(), [Val::U64(0)]);

    // Enough for the call, charged for what it took, and more than is left: the guest ends as out of fuel.
    let rich = app(1_100_000).await;
    assert_eq!(rich.exec("add", &[Val::U32(1)]).await.unwrap(), [Val::U64(1)]);
    let over = rich.exec("slow-add", &[Val::U32(1), Val::U64(1_000_000)]).await.unwrap_err().to_string();
    assert!(over.contains("out of fuel"), "{over}");
}

#[tokio::test]
async fn a_callee_gets_no_more_fuel_than_the_tree_has_left() {
    let runtime = Runtime::new().unwrap();
    let svc = runtime.builder(&load(&runtime, "fail-provider")).serving(Serving::PER_CALL).name("svc");
    let svc = svc.instantiate().await.unwrap();
    let budget = small(|budget| budget.fuel_tree = 3_000_000);
    let app = runtime.builder(&load(&runtime, "fail-app")).link_local("test:fail/svc", &svc).budget(budget);
    let app = app.instantiate().await.unwrap();
    // The endless callee burns what the tree has; then the caller has nothing left either.
    let error = bounded(app.exec("run", &[Val::U32(1)])).await.unwrap_err();
    assert_eq!(*error.failure, Failure::Failed(Fault::OutOfFuel { limit: 3_000_000 }));
}

#[tokio::test]
async fn a_chain_is_taken_at_its_limit_and_refused_past_it() {
    let runtime = Runtime::new().unwrap();
    let counter = leaf(&runtime, "counter").await;
    runtime.register_instance("counter", &counter).unwrap();
    let hash = counter.function("test:counter/counter#get").unwrap().0.hash;
    let want = BindRequest { interface: Some(COUNTER.into()), functions: vec![("get".into(), hash)] };
    let callee: Arc<dyn Callee> = runtime.directory().find("counter", &isorun::PeerIdentity::SameProcess).unwrap();
    let bound = callee.bind(&want).await.unwrap();
    let call = async |length: u8| {
        let mut cx = CallContext::until(Instant::now() + Duration::from_secs(20));
        cx.chain = (0..length).map(|n| isorun::InstanceUid([n; 16])).collect();
        let args = isorun::Bytes::from_static(&[0x14, 0, 0, 0, 0]);
        bound.call(FunctionIndex(0), &cx, args).await
    };
    assert!(call(63).await.is_ok());
    let failed = call(64).await.unwrap_err().failure;
    assert_eq!(failed, Failure::Refused(Refusal::ChainTooLong { limit: 64 }));
}

#[tokio::test]
async fn a_lost_connection_is_unknown_to_the_call_in_flight_and_later_ones_are_not_sent() {
    let far = Runtime::new().unwrap();
    // `fail-provider` never ends for 1: the call is in flight until the server goes.
    let budget = small(|budget| budget.fuel = u64::MAX / 2);
    failing(&far, Budget { fuel_tree: u64::MAX / 2, ..budget }).await;
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let address = isorun::Listener::address(&listener);
    let transport: Arc<dyn Transport> = Arc::new(TcpTransport::new(&address).unwrap());
    let server = tokio::spawn({
        let far = far.clone();
        async move { far.serve(Box::new(listener)).await }
    });

    let near = Runtime::new().unwrap();
    let rich = small(|budget| budget.fuel_tree = u64::MAX / 2 + 1_000_000_000);
    let app = load(&near, "fail-app");
    let app =
        near.builder(&app).link_remote("test:fail/svc", transport, "svc").budget(rich).instantiate().await.unwrap();
    assert_eq!(app.exec("run", &[Val::U32(7)]).await.unwrap(), [ok(Val::U32(7))]);

    let in_flight = tokio::spawn({
        let app = app.clone();
        async move { app.exec("run", &[Val::U32(1)]).await }
    });
    let svc = far.instance("svc").unwrap();
    bounded(async {
        while svc.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.abort();
    let told = |vals: Vec<Val>| match &vals[0] {
        Val::Result(Err(Some(told))) => match &**told {
            Val::String(told) => told.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let lost = told(bounded(in_flight).await.unwrap().unwrap());
    assert!(lost.starts_with("unknown: "), "{lost}");
    let later = told(bounded(app.exec("run", &[Val::U32(7)])).await.unwrap());
    assert!(later.starts_with("not-sent: ") || later.starts_with("not sent: "), "{later}");
    assert_eq!(app.generation(), 1);
}

#[tokio::test]
async fn a_lying_guest_gets_errors_and_loses_its_store() {
    let runtime = Runtime::new().unwrap();
    let liar = leaf(&runtime, "liar").await;
    for (lies, name) in (1..).zip(liar.functions()) {
        let error = bounded(liar.exec(&name, &[])).await.unwrap_err();
        assert!(matches!(*error.failure, Failure::Failed(Fault::Trapped { .. })), "{name}: {error}");
        assert_eq!(liar.generation(), lies);
    }
}

#[tokio::test]
async fn a_lying_caller_is_stopped_before_its_call_leaves() {
    struct Sink;
    let runtime = Runtime::new().unwrap();
    impl SystemComponent for Sink {
        fn interfaces(&self) -> Vec<String> {
            vec!["test:liar/sink@0.1.0".into()]
        }
        fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
            let mut sink = linker.instance("test:liar/sink@0.1.0")?;
            for name in ["take-string", "take-bytes", "take-char"] {
                sink.func_new(name, |_, _, _, _| Err(wasmtime::Error::msg("it left")))?;
            }
            Ok(())
        }
        fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
            Ok(())
        }
    }
    let app =
        runtime.builder(&load(&runtime, "liar-app")).link_system("test:liar/sink", Sink).instantiate().await.unwrap();
    for name in app.functions() {
        let error = bounded(app.exec(&name, &[])).await.unwrap_err();
        assert!(!error.to_string().contains("it left"), "{name}: {error}");
    }
}

#[tokio::test]
async fn counts_of_a_budget_are_named_with_their_limit() {
    let runtime = Runtime::new().unwrap();
    let component = load(&runtime, "instances");
    let start = async |budget| runtime.builder(&component).budget(budget).instantiate().await;
    let told = async |budget| start(budget).await.unwrap_err().to_string();
    // Forty of each: all at the limit, none past it.
    let at = |n: u32| Budget { max_memories: n, max_tables: n, ..Budget::default() };
    start(at(40)).await.unwrap();
    let memories = told(Budget { max_memories: 39, ..at(40) }).await;
    assert!(memories.contains("max_memories") && memories.contains("limit 39"), "{memories}");
    let tables = told(Budget { max_tables: 39, ..at(40) }).await;
    assert!(tables.contains("max_tables") && tables.contains("limit 39"), "{tables}");
    let instances = told(Budget { max_instances: 5, ..at(40) }).await;
    assert!(instances.contains("max_instances") && instances.contains("limit 5"), "{instances}");
}

#[tokio::test]
async fn wrong_values_from_the_host_are_refused_before_the_guest_is_entered() {
    let runtime = Runtime::new().unwrap();
    let counter = leaf(&runtime, "counter").await;
    let refused = async |function: &str, args: &[Val]| match *counter.exec(function, args).await.unwrap_err().failure {
        Failure::Refused(refusal) => refusal.to_string(),
        other => panic!("{other}"),
    };
    let add = "test:counter/counter#add";
    assert_eq!(refused(add, &[]).await, "bad arguments: `add` takes 1 arguments, 0 given");
    assert_eq!(refused(add, &[Val::String("5".into())]).await, "bad arguments: n: string where u32 belongs");
    assert!(refused("sub", &[]).await.contains("no such function: `sub`"));
    assert_eq!(counter.generation(), 1);
}

#[tokio::test]
async fn a_core_module_and_other_files_are_told_apart() {
    let runtime = Runtime::new().unwrap();
    let told = |bytes: Vec<u8>| runtime.load(bytes).unwrap_err().to_string();
    assert!(told(wat::parse_str("(module)").unwrap()).contains("wasm-tools component new"));
    assert!(told(b"#!/bin/sh\n".to_vec()).contains("a script"));
    assert!(told(wat_guest("counter")[..60].to_vec()).contains("damaged component"));
}

#[tokio::test]
async fn what_a_host_call_copies_is_bounded() {
    let runtime = Runtime::new().unwrap();
    let callee = leaf(&runtime, "bench-callee").await;
    let caller = load(&runtime, "bench-caller");
    let app = async |hostcall_fuel| {
        let budget = small(|budget| budget.hostcall_fuel = hostcall_fuel);
        runtime.builder(&caller).link_local("*", &callee).budget(budget).instantiate().await.unwrap()
    };
    // 64 KiB of bytes, and not one more.
    app(64 << 10).await.exec("run-echo-bytes", &[Val::U32(1)]).await.unwrap();
    let error = app((64 << 10) - 1).await.exec("run-echo-bytes", &[Val::U32(1)]).await.unwrap_err();
    let Failure::Failed(Fault::OverBudget { what, limit, .. }) = &*error.failure else { panic!("{error}") };
    assert_eq!((what.as_str(), *limit), ("hostcall_fuel", (64 << 10) - 1));
}

#[tokio::test]
async fn handles_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "here").unwrap();
    let runtime = Runtime::new().unwrap();
    let component = runtime.load(common::FS_APP).unwrap();
    let app = async |max_handles| {
        let folder = isorun::WasiDir::read_only(dir.path(), "/d").unwrap();
        let budget = small(|budget| budget.max_handles = max_handles);
        runtime.builder(&component).link_system("wasi:filesystem", folder).budget(budget).instantiate().await.unwrap()
    };
    let read = ["read", "/d/f", ""].map(|arg| Val::String(arg.into()));
    // The directory and the file; the engine also counts those that are lent out.
    assert_eq!(app(4).await.exec("run", &read).await.unwrap(), [ok(Val::String("here".into()))]);
    let error = app(1).await.exec("run", &read).await.unwrap_err();
    let Failure::Failed(Fault::OverBudget { what, limit, .. }) = &*error.failure else { panic!("{error}") };
    assert_eq!((what.as_str(), *limit), ("max_handles", 1));
}

/// Links a guest to a provider over TCP, calls once, stops the provider's host for good, and calls again.
async fn after_the_peer_was_killed(
    guest: Vec<u8>,
    provider: Vec<u8>,
    import: &str,
    policy: OnFailure,
    call: (&str, Val),
) -> (InstanceHandle, Result<Vec<Val>, isorun::CallError>) {
    let far = Runtime::new().unwrap();
    far.builder(&far.load(provider).unwrap()).register_as("far").instantiate().await.unwrap();
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::new(&isorun::Listener::address(&listener)).unwrap());
    let server = tokio::spawn(async move { far.serve(Box::new(listener)).await });

    let near = Runtime::new().unwrap();
    let app = near.builder(&near.load(guest).unwrap()).link_remote(import, transport, "far").on_failure(policy);
    let app = app.instantiate().await.unwrap();
    let (function, arg) = call;
    app.exec(function, std::slice::from_ref(&arg)).await.unwrap();
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let result = bounded(app.exec(function, &[arg])).await;
    (app, result)
}

const GET_APP: &[u8] = include_bytes!("../../../guests/prebuilt/get-app.wasm");

async fn get_after_the_peer_was_killed(policy: OnFailure) -> (InstanceHandle, Result<Vec<Val>, isorun::CallError>) {
    let call = ("get-once", Val::String("k".into()));
    after_the_peer_was_killed(GET_APP.to_vec(), common::KV_PROVIDER.to_vec(), "demo:kv/store", policy, call).await
}

#[tokio::test]
async fn a_guest_told_by_a_case_of_its_own_error_type_lives_on_after_its_peer_was_killed() {
    // One case carries a string, the other nothing.
    for case in ["io", "denied"] {
        let (app, result) = get_after_the_peer_was_killed(OnFailure::Case(case.into())).await;
        assert_eq!(result.unwrap(), [Val::Bool(false)]);
        assert_eq!(app.generation(), 1);
        assert_eq!(app.exec("no-get", &[Val::String("k".into())]).await.unwrap(), [Val::Bool(false)]);
    }
}

#[tokio::test]
async fn a_guest_told_in_text_lives_on_after_its_peer_was_killed() {
    let call = ("echo-result", ok(Val::U32(5)));
    let (guest, provider) = (wat_guest("types-app"), wat_guest("types-provider"));
    let (app, result) = after_the_peer_was_killed(guest, provider, "test:types/all", OnFailure::Text, call).await;
    let result = result.unwrap();
    let Val::Result(Err(Some(told))) = &result[0] else { panic!("{result:?}") };
    assert!(matches!(&**told, Val::String(told) if told.starts_with("not sent: ")), "{told:?}");
    assert_eq!(app.generation(), 1);
    // A function without room for text traps all the same.
    let error = app.exec("echo-u8", &[Val::U8(1)]).await.unwrap_err();
    assert!(error.to_string().contains("test:types/all@0.1.0#echo-u8"), "{error}");
}

#[tokio::test]
async fn a_guest_that_is_to_trap_does_so_with_the_cause_and_has_a_fresh_store_next() {
    let (app, result) = get_after_the_peer_was_killed(OnFailure::Trap).await;
    let error = result.unwrap_err().to_string();
    for part in ["demo:kv/store@0.1.0#get", "instance `far` at tcp://127.0.0.1:", "not sent: "] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(app.exec("no-get", &[Val::String("k".into())]).await.unwrap(), [Val::Bool(false)]);
    assert_eq!(app.generation(), 2);

    // Even where the guest's own type has room for isorun's error.
    let call = ("forward", Val::U32(7));
    let (guest, provider) = (wat_guest("fail-app"), wat_guest("fail-provider"));
    let (_, result) = after_the_peer_was_killed(guest, provider, "test:fail/svc", OnFailure::Trap, call).await;
    assert!(result.unwrap_err().to_string().contains("not sent: "));
}

#[tokio::test]
async fn a_policy_that_no_function_has_room_for_is_a_link_error() {
    let runtime = Runtime::new().unwrap();
    let component = runtime.load(GET_APP.to_vec()).unwrap();
    for policy in [OnFailure::Text, OnFailure::Case("nothing".into())] {
        let app = runtime.builder(&component).link_local("demo:kv/store", "kv").lazy().on_failure(policy.clone());
        let error = app.instantiate().await.unwrap_err().to_string();
        assert!(error.contains(&format!("has room for `{policy}`")) && error.contains("get: result<"), "{error}");
    }
}

#[tokio::test]
async fn a_pool_serves_as_many_at_once_as_it_has_stores_and_queues_the_rest() {
    let (runtime, door) = (Runtime::new().unwrap(), Door::new());
    let serving = Serving::Pool { size: 2, queue_max: 1, queue_ms: 20_000 };
    let waiter = waiter(&runtime, &door, serving).await;
    let running = [spawn_run(&waiter), spawn_run(&waiter)];
    door.reached_by(2).await;
    let queued = spawn_run(&waiter);
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    let refused = bounded(waiter.exec("run", &[])).await.unwrap_err();
    assert!(matches!(&*refused.failure, Failure::Refused(Refusal::Busy { waited_ms: 0, .. })), "{refused}");
    door.let_through(3);
    for call in running {
        bounded(call).await.unwrap().unwrap();
    }
    bounded(queued).await.unwrap().unwrap();
    assert_eq!(waiter.generation(), 2, "a pool of two needs two stores for three calls");
}

#[tokio::test]
async fn a_pool_gives_up_the_store_of_a_caller_that_left() {
    let (runtime, door) = (Runtime::new().unwrap(), Door::new());
    let waiter = waiter(&runtime, &door, Serving::pool(1)).await;
    let hasty = isorun::CallOptions { deadline_ms: 20 };
    let left = bounded(waiter.exec_with("run", &[], hasty)).await.unwrap_err();
    assert!(matches!(*left.failure, Failure::Deadline { .. }), "{left}");
    door.let_through(1);
    bounded(waiter.exec("run", &[])).await.unwrap();
    assert_eq!(waiter.generation(), 2);
}

#[tokio::test]
async fn an_embedder_can_tell_what_befell_the_call_that_a_guest_could_not_do_without() {
    let (_, result) = get_after_the_peer_was_killed(OnFailure::RpcError).await;
    let error = result.unwrap_err();
    let link = error.link.as_deref().unwrap();
    assert!(matches!(link.failure, Failure::NotSent { .. }), "{link}");
    assert_eq!((link.function.as_str(), link.instance.as_str()), ("demo:kv/store@0.1.0#get", "far"));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), link.to_string());
}

/// A provider whose start burns fuel, and which then answers at once.
const SLOW_START: &str = r#"(component
  (core module $m
    (func $start (local $n i32)
      (local.set $n (i32.const 1000000))
      (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (start $start)
    (func (export "add") (param i32) (result i64) (i64.const 1))
    (func (export "get") (result i64) (i64.const 1))
    (func (export "slow-add") (param i32 i64) (result i64) (i64.const 1)))
  (core instance $i (instantiate $m))
  (func $add (param "n" u32) (result u64) (canon lift (core func $i "add")))
  (func $get (result u64) (canon lift (core func $i "get")))
  (func $slow-add (param "n" u32) (param "spins" u64) (result u64) (canon lift (core func $i "slow-add")))
  (instance $c (export "add" (func $add)) (export "get" (func $get)) (export "slow-add" (func $slow-add)))
  (export "test:counter/counter@0.1.0" (instance $c)))"#;

#[tokio::test]
async fn the_start_of_a_store_is_paid_by_the_call_that_needs_it() {
    let runtime = Runtime::new().unwrap();
    let provider = runtime.load(wat::parse_str(SLOW_START).unwrap()).unwrap();
    let provider = runtime.builder(&provider).serving(Serving::PER_CALL).name("slow").instantiate().await.unwrap();
    let app = load(&runtime, "counter-app");
    let app = async |fuel_tree| {
        let budget = small(|budget| budget.fuel_tree = fuel_tree);
        runtime.builder(&app).link_local(COUNTER, &provider).budget(budget).instantiate().await.unwrap()
    };
    let rich = app(20_000_000).await;
    assert_eq!(rich.exec("get", &[]).await.unwrap(), [Val::U64(1)]);
    let poor = app(1_000_000).await;
    let error = poor.exec("get", &[]).await.unwrap_err().to_string();
    assert!(error.contains("out of fuel: limit "), "{error}");
}

#[tokio::test]
async fn names_of_a_million_cases_take_no_longer_than_their_values() {
    // As many cases as a type may have, and a list of them as long as a call may carry.
    let cases: String = (0..9_000).map(|n| format!(r#""c{n}" "#)).collect();
    let provider = format!(
        r#"(component
          (type $e' (enum {cases})) (import "e" (type $e (eq $e')))
          (core module $m (memory (export "memory") 16) (global $top (mut i32) (i32.const 1024))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
              (local $at i32) (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
              (global.set $top (i32.add (local.get $at) (local.get 3))) (local.get $at))
            (func (export "f") (param i32 i32) (result i32) (local.get 1)))
          (core instance $i (instantiate $m))
          (func (export "f") (param "v" (list $e)) (result u32)
            (canon lift (core func $i "f") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#
    );
    let runtime = Runtime::new().unwrap();
    let provider = runtime.load(wat::parse_str(provider).unwrap()).unwrap();
    let provider = runtime.builder(&provider).instantiate().await.unwrap();
    let last = Val::List(vec![Val::Enum("c8999".into()); 200_000]);
    // Looked through one by one these are 1,800 million comparisons of names, minutes of work.
    assert_eq!(bounded(provider.exec("f", &[last])).await.unwrap(), [Val::U32(200_000)]);
}
