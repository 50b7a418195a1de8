//! One component, three places: whole paths through the facade, on real guests.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{
    FS_APP, KV_PROVIDER, bounded, err, kv_app, kv_provider, leaf, load, ok, run_40, serve_channel, small, text,
};
use isorun::wasmtime::StoreContextMut;
use isorun::wasmtime::component::Linker;
use isorun::{
    CallOptions, CallTarget, Failure, Fault, HostState, InstanceHandle, InstantiateError, LocalChannelTransport,
    Refusal, RegisterError, Runtime, Serving, SystemComponent, Transport, TransportError, Val, WasiDir, call_once,
    wasmtime,
};
use tokio::sync::Barrier;

#[tokio::test]
async fn test_app_wasi_fs() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("in.txt"), "hello").unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();

    let runtime = Runtime::new().unwrap();
    let component = runtime.load(FS_APP).unwrap();
    let app = |dir: WasiDir| runtime.builder(&component).link_system("wasi:filesystem", dir).instantiate();
    let run = async |app: &InstanceHandle, op: &str, path: &str, data: &str| {
        app.exec("run", &[text(op), text(path), text(data)]).await.unwrap().remove(0)
    };

    let writer = app(WasiDir::read_write(&inside, "/d").unwrap()).await.unwrap();
    assert_eq!(run(&writer, "read", "/d/in.txt", "").await, ok(text("hello")));
    assert_eq!(run(&writer, "write", "/d/out.txt", "written by a guest").await, ok(text("18")));
    assert_eq!(std::fs::read_to_string(inside.join("out.txt")).unwrap(), "written by a guest");

    for outside in ["../secret", "/d/../secret", "/d/../../secret", "/etc/hostname"] {
        let Val::Result(Err(_)) = run(&writer, "read", outside, "").await else { panic!("read {outside}") };
    }
    run(&writer, "symlink", "/d/way-out", "../secret").await;
    let Val::Result(Err(_)) = run(&writer, "read", "/d/way-out", "").await else { panic!("read through a link") };
    std::os::unix::fs::symlink(dir.path().join("secret"), inside.join("planted")).unwrap();
    let Val::Result(Err(_)) = run(&writer, "read", "/d/planted", "").await else {
        panic!("read through a planted link")
    };

    let reader = app(WasiDir::read_only(&inside, "/d").unwrap()).await.unwrap();
    assert_eq!(run(&reader, "read", "/d/out.txt", "").await, ok(text("written by a guest")));
    let Val::Result(Err(_)) = run(&reader, "write", "/d/out.txt", "no").await else { panic!("wrote read-only") };
    assert_eq!(std::fs::read_to_string(inside.join("out.txt")).unwrap(), "written by a guest");
}

#[tokio::test]
async fn test_local_linking() {
    let runtime = Runtime::new().unwrap();
    let kv = kv_provider(&runtime, "kv").await;
    let (transport, frames) = serve_channel(&runtime);

    let local = kv_app(&runtime).link_local("demo:kv/store", &kv).instantiate().await.unwrap();
    run_40(&local).await;
    run_40(&local).await;
    assert_eq!(frames.frames_sent(), 0, "a local call went through a transport");

    let remote = kv_app(&runtime).link_remote("demo:kv/store", transport, "kv").instantiate().await.unwrap();
    run_40(&remote).await;
    // clear, 40 put, 40 get, three failing gets, scan
    assert!(frames.frames_sent() >= 85, "{} frames", frames.frames_sent());
}

#[tokio::test]
async fn test_remote_linking() {
    let far = Runtime::new().unwrap();
    let _kv = kv_provider(&far, "kv").await;
    let (transport, _) = serve_channel(&far);

    let near = Runtime::new().unwrap();
    let app = kv_app(&near).link_remote("*", transport.clone(), "kv").instantiate().await.unwrap();
    run_40(&app).await;

    let nobody = kv_app(&near).link_remote("*", transport, "nobody").instantiate().await.unwrap_err();
    assert!(nobody.to_string().contains("no such instance: `nobody`"), "{nobody}");
}

#[tokio::test]
async fn test_instance_registry() {
    let runtime = Runtime::new().unwrap();
    let kv = kv_provider(&runtime, "kv").await;
    assert!(runtime.register_instance("kv", &kv).unwrap_err().to_string().contains("`kv` is taken"));
    assert!(runtime.register_instance("a/b", &kv).is_err());
    runtime.register_instance("store", &kv).unwrap();

    let app = kv_app(&runtime).link_local("demo:kv/store", "store").instantiate().await.unwrap();
    run_40(&app).await;

    assert!(runtime.unregister_instance("store").is_some());
    assert!(runtime.unregister_instance("store").is_none());
    assert!(runtime.instance("store").is_none());
    let gone = kv_app(&runtime).link_local("demo:kv/store", "store").instantiate().await.unwrap_err();
    assert!(gone.to_string().contains("no such instance: `store`"), "{gone}");
    // Who is bound keeps calling.
    run_40(&app).await;
}

/// Carries self-contained calls straight into a runtime.
struct Direct(Runtime);

impl Transport for Direct {
    fn open(&self) -> isorun::BoxFuture<'_, Result<Box<dyn isorun::Channel>, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Closed)))
    }

    fn call(&self, payload: isorun::Bytes) -> isorun::BoxFuture<'_, Result<isorun::Bytes, TransportError>> {
        Box::pin(async move { Ok(self.0.handle_incoming_rpc(payload).await) })
    }
}

fn target(counter: &InstanceHandle, instance: &str, function: &str) -> CallTarget {
    let hash = counter.function(&format!("test:counter/counter#{function}")).unwrap().0.hash;
    let interface = Some("test:counter/counter@0.1.0".into());
    CallTarget { instance: instance.into(), interface, function: function.into(), hash }
}

fn packed(args: impl FnOnce(&mut isorun::Encoder)) -> isorun::Bytes {
    let mut enc = isorun::Encoder::new();
    enc.struct_begin().unwrap();
    args(&mut enc);
    enc.struct_end().unwrap();
    enc.finish().unwrap().into()
}

fn soon() -> isorun::CallContext {
    isorun::CallContext::until(std::time::Instant::now() + std::time::Duration::from_secs(20))
}

#[tokio::test]
async fn test_incoming_rpc() {
    let runtime = Runtime::new().unwrap();
    let counter = leaf(&runtime, "counter").await;
    runtime.register_instance("counter", &counter).unwrap();
    let direct = Direct(runtime.clone());
    let call = async |target: CallTarget, args| call_once(&direct, target, &soon(), args).await;

    let args = packed(|enc| enc.u32(7).map(drop).unwrap());
    let reply = call(target(&counter, "counter", "add"), args.clone()).await.unwrap();
    assert_eq!(reply.results, packed(|enc| enc.u64(7).map(drop).unwrap()));
    assert!(reply.fuel_used > 0);

    let refused = async |target, args| match call(target, args).await.unwrap_err().failure {
        Failure::Refused(refusal) => refusal,
        other => panic!("{other}"),
    };
    let nobody = refused(target(&counter, "nobody", "add"), args.clone()).await;
    assert_eq!(nobody, Refusal::NoSuchInstance { instance: "nobody".into() });
    let unknown = CallTarget { function: "sub".into(), ..target(&counter, "counter", "add") };
    assert!(matches!(refused(unknown, args.clone()).await, Refusal::NoSuchFunction { .. }));
    let other_types = CallTarget { hash: [1; 32], ..target(&counter, "counter", "add") };
    assert!(matches!(refused(other_types, args.clone()).await, Refusal::Incompatible { .. }));
    let wrong = packed(|enc| enc.str("seven").map(drop).unwrap());
    let Refusal::BadArguments { detail } = refused(target(&counter, "counter", "add"), wrong).await else { panic!() };
    assert!(detail.contains('n') && detail.to_lowercase().contains("u32"), "{detail}");
    assert!(matches!(refused(target(&counter, "counter", "add"), packed(|_| ())).await, Refusal::BadArguments { .. }));

    for garbage in [&b""[..], b"hello", &[0xff; 100]] {
        assert!(!runtime.handle_incoming_rpc(garbage.to_vec()).await.is_empty());
    }
    // None of it ran.
    let reply = call(target(&counter, "counter", "get"), packed(|_| ())).await.unwrap();
    assert_eq!(reply.results, packed(|enc| enc.u64(7).map(drop).unwrap()));
}

#[tokio::test]
async fn test_budget_memory_limit() {
    let runtime = Runtime::new().unwrap();
    let limit = 10 << 16;
    let component = load(&runtime, "grow");
    let budget = small(|budget| budget.max_memory_bytes = limit);
    let guest = runtime.builder(&component).budget(budget.clone()).instantiate().await.unwrap();

    // A guest that is refused memory and copes goes on, at the limit to the page.
    assert_eq!(guest.exec("pages", &[]).await.unwrap(), [Val::U32(10)]);
    // One that gives up is reported as what it is.
    let error = guest.exec("run", &[]).await.unwrap_err();
    let out = Fault::OutOfMemory { wanted: limit + (1 << 16), limit };
    assert_eq!(*error.failure, Failure::Failed(out), "{error}");

    let hog = runtime.builder(&load(&runtime, "hog")).budget(budget).instantiate().await.unwrap_err();
    assert!(hog.to_string().contains(&format!("1073741824 bytes wanted, limit {limit}")), "{hog}");

    // The host and its neighbours go on.
    let counter = leaf(&runtime, "counter").await;
    assert_eq!(counter.exec("test:counter/counter#add", &[Val::U32(2)]).await.unwrap(), [Val::U64(2)]);
}

#[tokio::test]
async fn test_budget_execution_limit() {
    let runtime = Runtime::new().unwrap();
    let component = load(&runtime, "spin");
    let spin = async |budget| {
        let guest = runtime.builder(&component).budget(budget).instantiate().await.unwrap();
        *bounded(guest.exec("run", &[])).await.unwrap_err().failure
    };
    let fuel = spin(small(|budget| budget.fuel = 1_000_000)).await;
    assert_eq!(fuel, Failure::Failed(Fault::OutOfFuel { limit: 1_000_000 }));

    let time = spin(small(|budget| budget.wall_ms = 30)).await;
    assert_eq!(time, Failure::Failed(Fault::OutOfTime { limit_ms: 30 }));

    // A caller's own deadline is another thing, and the guest is stopped all the same.
    let guest = runtime.builder(&component).serving(Serving::PER_CALL).instantiate().await.unwrap();
    let error = bounded(guest.exec_with("run", &[], CallOptions { deadline_ms: 20 })).await.unwrap_err();
    assert!(matches!(*error.failure, Failure::Deadline { waited_ms } if waited_ms >= 20), "{error}");

    // A wait in the host counts too, though no guest code runs meanwhile.
    let waiter = runtime
        .builder(&load(&runtime, "waiter"))
        .link_system("test:host/door", Gate::closed())
        .budget(small(|budget| budget.wall_ms = 30))
        .instantiate()
        .await
        .unwrap();
    let error = bounded(waiter.exec("run", &[])).await.unwrap_err();
    assert_eq!(*error.failure, Failure::Failed(Fault::OutOfTime { limit_ms: 30 }));

    let start = runtime.builder(&load(&runtime, "spin-at-start")).budget(small(|budget| budget.fuel = 1_000_000));
    let error = bounded(start.instantiate()).await.unwrap_err();
    assert!(error.to_string().contains("out of fuel: limit 1000000"), "{error}");
}

#[tokio::test]
async fn test_full_rpc_roundtrip() {
    let far = Runtime::new().unwrap();
    let _kv = kv_provider(&far, "kv").await;
    let svc = far.builder(&load(&far, "fail-provider")).register_as("svc").instantiate().await.unwrap();
    let (transport, _) = serve_channel(&far);

    let near = Runtime::new().unwrap();
    let app = kv_app(&near).link_remote("demo:kv/store", transport.clone(), "kv").instantiate().await.unwrap();
    run_40(&app).await;

    let fail_app = load(&near, "fail-app");
    let app = near.builder(&fail_app).link_remote("test:fail/svc", transport, "svc").instantiate().await.unwrap();
    let run = async |n| app.exec("run", &[Val::U32(n)]).await.unwrap().remove(0);
    assert_eq!(run(7).await, ok(Val::U32(7)));
    assert_eq!(run(5).await, err(text("refused: asked to")));
    let Val::Result(Err(Some(trapped))) = run(0).await else { panic!() };
    let Val::String(trapped) = *trapped else { panic!() };
    assert!(trapped.starts_with("failed: trap"), "{trapped}");
    // The provider lost its store and has another; the app lives on.
    assert_eq!(run(8).await, ok(Val::U32(8)));
    assert_eq!(svc.generation(), 2);
}

#[tokio::test]
async fn a_name_that_cannot_be_had_is_refused_before_anything_is_compiled_or_runs() {
    let runtime = Runtime::new().unwrap();
    let spin = load(&runtime, "spin-at-start");
    // Its types can be read, and its code is none.
    let broken =
        wat::parse_str("(component (core module $m (func i32.add)) (core instance (instantiate $m)))").unwrap();
    let broken = runtime.load(broken).unwrap();
    assert!(runtime.builder(&broken).instantiate().await.unwrap_err().to_string().contains("cannot compile"));
    let _kv = kv_provider(&runtime, "kv").await;
    for component in [&spin, &broken] {
        for (id, told) in [("no name", "no instance name"), ("", "no instance name"), ("kv", "is taken")] {
            let refused = bounded(runtime.builder(component).register_as(id).instantiate()).await.unwrap_err();
            assert!(matches!(&refused, InstantiateError::Register(_)), "{refused}");
            assert!(refused.to_string().contains(told), "{refused}");
        }
    }
}

#[tokio::test]
async fn of_two_that_start_under_one_name_at_once_one_gets_it() {
    let runtime = Runtime::new().unwrap();
    let component = load(&runtime, "counter");
    let start = || runtime.builder(&component).register_as("counter").instantiate();
    let (one, other) = tokio::join!(start(), start());
    let lost = one.err().into_iter().chain(other.err()).collect::<Vec<_>>();
    let taken = RegisterError::Taken { id: "counter".into() };
    assert_eq!(lost, [InstantiateError::Register(taken)]);
    assert!(runtime.instance("counter").is_some());
}

#[tokio::test]
async fn test_multi_system_integration() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("poem"), "one\ntwo\nthree\n").unwrap();

    let far = Runtime::new().unwrap();
    let counter = leaf(&far, "counter").await;
    far.register_instance("counter", &counter).unwrap();
    let (transport, frames) = serve_channel(&far);

    let near = Runtime::new().unwrap();
    let kv = near.builder(&near.load(KV_PROVIDER).unwrap()).name("kv").instantiate().await.unwrap();
    let app = near
        .builder(
            &near
                .load(
                    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/prebuilt/multi-app.wasm"))
                        .unwrap(),
                )
                .unwrap(),
        )
        .link_system("wasi:filesystem", WasiDir::read_write(dir.path(), "/d").unwrap())
        .link_local("demo:kv/store", &kv)
        .link_remote("test:counter/counter", transport, "counter")
        .instantiate()
        .await
        .unwrap();
    assert_eq!(app.exec("run", &[text("poem")]).await.unwrap(), [ok(text("lines=3 bytes=11"))]);
    assert_eq!(std::fs::read_to_string(dir.path().join("poem.out")).unwrap(), "lines=3 bytes=11\n");
    assert_eq!(counter.exec("test:counter/counter#get", &[]).await.unwrap(), [Val::U64(11)]);
    assert!(frames.frames_sent() > 0);
    let Val::List(entries) = kv.exec("demo:kv/store#scan", &[text("line/")]).await.unwrap().remove(0) else { panic!() };
    assert_eq!(entries.len(), 3);
}

/// Serves `test:ring/gate` and `test:host/door`: lets callers through two at a time, or never.
struct Gate(Option<Arc<Barrier>>);

impl Gate {
    fn closed() -> Self {
        Self(None)
    }

    fn pairs() -> Self {
        Self(Some(Arc::new(Barrier::new(2))))
    }
}

async fn pass(gate: Option<Arc<Barrier>>) {
    match gate {
        Some(barrier) => {
            barrier.wait().await;
        }
        None => std::future::pending().await,
    }
}

impl SystemComponent for Gate {
    fn interfaces(&self) -> Vec<String> {
        vec!["test:ring/gate@0.1.0".into(), "test:host/door@0.1.0".into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let gate = self.0.clone();
        linker.instance("test:ring/gate@0.1.0")?.func_wrap_async(
            "pass",
            move |_: StoreContextMut<'_, HostState>, (_depth,): (u32,)| {
                let gate = gate.clone();
                Box::new(async move {
                    pass(gate).await;
                    Ok(())
                })
            },
        )?;
        let door = self.0.clone();
        linker.instance("test:host/door@0.1.0")?.func_wrap_async(
            "wait",
            move |_: StoreContextMut<'_, HostState>, (): ()| {
                let door = door.clone();
                Box::new(async move {
                    pass(door).await;
                    Ok(())
                })
            },
        )
    }

    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}

const RING: &str = "test:ring/node#call";

/// What a ring's `call` returned: ok, or the case and text of its error.
fn ring_error(result: &Val) -> Option<(&str, &str)> {
    let Val::Result(Err(Some(error))) = result else { return None };
    let Val::Variant(case, payload) = &**error else { panic!("{error:?}") };
    match payload.as_deref() {
        Some(Val::String(text)) => Some((case, text)),
        _ => Some((case, "")),
    }
}

#[tokio::test]
async fn test_bidirectional_rpc() {
    // Two hosts, one connection, each end serves and calls.
    let (near, far) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (dialler, mut listener) = LocalChannelTransport::pair();
    let (dialled, accepted) = tokio::join!(near.connect(Arc::new(dialler)), far.accept(&mut listener));
    let (to_far, to_near) = (dialled.unwrap(), accepted.unwrap());

    // Re-entrant: a calls b calls a, which waits for that very call.
    let node = |runtime: &Runtime| runtime.builder(&load(runtime, "ring-node"));
    let a =
        node(&near).register_as("a").link_remote("test:ring/node", &to_far, "b").lazy().instantiate().await.unwrap();
    let b = node(&far).register_as("b").link_remote("test:ring/node", &to_near, "a").instantiate().await.unwrap();
    let once = bounded(a.exec(RING, &[Val::U32(1)])).await.unwrap();
    assert_eq!(once, [ok(Val::U32(1))]);
    let back = bounded(a.exec(RING, &[Val::U32(2)])).await.unwrap();
    let (case, why) = ring_error(&back[0]).unwrap();
    assert_eq!(case, "refused");
    assert!(why.contains("reentrant") && why.contains("`a`"), "{why}");
    // Neither lost its store over it.
    assert_eq!((a.generation(), b.generation()), (1, 1));
    assert_eq!(bounded(b.exec(RING, &[Val::U32(1)])).await.unwrap(), [ok(Val::U32(1))]);

    // Crossed: both are inside a call, and each calls the other; no chain shows it.
    let gate = Gate::pairs();
    let both = Gate(gate.0.clone());
    let gated = |runtime: &Runtime| {
        let serving = Serving::Singleton { queue_max: 8, queue_ms: 50 };
        runtime.builder(&load(runtime, "ring-gated")).serving(serving)
    };
    let c = gated(&near)
        .register_as("c")
        .link_system("test:ring/gate", gate)
        .link_remote("test:ring/node", &to_far, "d")
        .lazy()
        .instantiate()
        .await
        .unwrap();
    let d = gated(&far)
        .register_as("d")
        .link_system("test:ring/gate", both)
        .link_remote("test:ring/node", &to_near, "c")
        .instantiate()
        .await
        .unwrap();
    let depth = [Val::U32(1)];
    let (from_c, from_d) = bounded(async { tokio::join!(c.exec(RING, &depth), d.exec(RING, &depth)) }).await;
    let (from_c, from_d) = (from_c.unwrap(), from_d.unwrap());
    let errors: Vec<_> = [&from_c[0], &from_d[0]].into_iter().filter_map(ring_error).collect();
    assert!(!errors.is_empty(), "one of two crossed calls must give way");
    assert!(errors.iter().all(|(case, why)| *case == "refused" && why.contains("busy")), "{errors:?}");
    assert_eq!((c.generation(), d.generation()), (1, 1));

    // A caller whose deadline passes leaves; the call of the singleton goes on to its end.
    let counter = far
        .builder(&load(&far, "counter"))
        .serving(Serving::Singleton { queue_max: 8, queue_ms: 20_000 })
        .register_as("counter")
        .instantiate()
        .await
        .unwrap();
    let app = near
        .builder(&load(&near, "counter-app"))
        .name("hasty")
        .link_remote("test:counter/counter", &to_far, "counter")
        .deadline_ms(40)
        .instantiate()
        .await
        .unwrap();
    let error = bounded(app.exec("slow-add", &[Val::U32(5), Val::U64(200_000_000)])).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("deadline") && told.contains("`counter`") && told.contains("slow-add"), "{told}");
    let next = bounded(counter.exec("test:counter/counter#get", &[])).await.unwrap();
    assert_eq!(next, [Val::U64(5)], "the call was cut short with the caller's wait");
    assert_eq!(counter.generation(), 1);
}

/// A user's own host component: every store counts its calls, and the host sees the sum.
struct Hits {
    total: Arc<AtomicU64>,
}

struct StoreHits(u32);

impl SystemComponent for Hits {
    fn interfaces(&self) -> Vec<String> {
        vec!["test:counter/counter@0.1.0".into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let mut instance = linker.instance("test:counter/counter@0.1.0")?;
        let total = self.total.clone();
        instance.func_wrap("add", move |mut cx: StoreContextMut<'_, HostState>, (n,): (u32,)| {
            let hits = cx.data_mut().extension_or_insert_with(|| StoreHits(0));
            hits.0 += n;
            total.fetch_add(u64::from(n), Ordering::Relaxed);
            Ok((u64::from(hits.0),))
        })?;
        instance.func_wrap("get", |cx: StoreContextMut<'_, HostState>, (): ()| {
            Ok((cx.data().extension::<StoreHits>().map_or(0, |hits| u64::from(hits.0)),))
        })?;
        instance.func_wrap("slow-add", |_: StoreContextMut<'_, HostState>, (_, _): (u32, u64)| {
            Err::<(u64,), _>(wasmtime::Error::msg("not in a hurry"))
        })
    }

    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        state.insert_extension(StoreHits(100));
        Ok(())
    }
}

#[tokio::test]
async fn test_custom_system_component() {
    let runtime = Runtime::new().unwrap();
    let component = load(&runtime, "counter-app");
    let total = Arc::new(AtomicU64::new(0));
    let app = || runtime.builder(&component).link_system("test:counter/counter", Hits { total: total.clone() });
    let (one, two) = (app().instantiate().await.unwrap(), app().instantiate().await.unwrap());
    assert_eq!(one.exec("add", &[Val::U32(5)]).await.unwrap(), [Val::U64(105)]);
    assert_eq!(one.exec("add", &[Val::U32(5)]).await.unwrap(), [Val::U64(110)]);
    assert_eq!(two.exec("get", &[]).await.unwrap(), [Val::U64(100)]);
    assert_eq!(total.load(Ordering::Relaxed), 10);
    let error = one.exec("slow-add", &[Val::U32(1), Val::U64(1)]).await.unwrap_err();
    assert!(error.to_string().contains("not in a hurry"), "{error}");
}
