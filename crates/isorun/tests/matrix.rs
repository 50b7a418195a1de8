//! Apps and providers of four languages, each against each, in every place.
//!
//! The C guests are committed. The others are built by `cargo xtask test`, which
//! names their folder in `ISORUN_GUESTS`; those that are not built are left out,
//! visibly. Each component is compiled once, which for one that brings an
//! interpreter takes 15 to 20 seconds: hence few tests that do much.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{KV_APP, KV_PROVIDER, bounded, kv_fixture, ok, run_40, serve_channel, serve_quic, text, wat_guest};
use isorun::{
    InstanceBuilder, InstanceHandle, InstantiateError, LinkError, Listener, LoadedComponent, Runtime, StartError,
    TcpTransport, TcpTransportListener, Transport, Val, Wasi,
};

const RLE: &[u8] = include_bytes!("../../../guests/prebuilt/rle.wasm");

/// The languages whose guests are built when they are wanted. AssemblyScript's encodes, and no more.
const BUILT: [&str; 4] = ["rust", "js", "py", "as"];

/// A built guest, or `None` where those of its language are left out.
fn built(name: &str) -> Option<Vec<u8>> {
    let language = match name.split('-').next().unwrap() {
        "as" => "js",
        language => language,
    };
    let without = std::env::var("ISORUN_WITHOUT").unwrap_or_default();
    if without.split(',').any(|left_out| left_out == format!("{language}-guests")) {
        eprintln!("skipped: {name}.wasm (`--without {language}-guests`)");
        return None;
    }
    let Some(folder) = std::env::var_os("ISORUN_GUESTS") else {
        eprintln!("skipped: {name}.wasm (ISORUN_GUESTS is not set; `cargo xtask test` builds it)");
        return None;
    };
    let path = Path::new(&folder).join(format!("{name}.wasm"));
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// One component in each language that there is.
fn guests(runtime: &Runtime, kind: &str, c: &[u8]) -> Vec<(&'static str, LoadedComponent)> {
    let languages = BUILT.into_iter().filter(|language| *language != "as" || kind == "rle");
    let others = languages.filter_map(|language| Some((language, built(&format!("{language}-{kind}"))?)));
    let all = [("c", c.to_vec())].into_iter().chain(others);
    all.map(|(language, bytes)| (language, runtime.load(bytes).unwrap())).collect()
}

/// Compiles and starts, which takes its time.
async fn started(builder: InstanceBuilder) -> InstanceHandle {
    let started = Instant::now();
    let instance = tokio::time::timeout(Duration::from_secs(300), builder.instantiate());
    let instance = instance.await.expect("the compiler hangs").unwrap();
    if started.elapsed() > Duration::from_secs(1) {
        eprintln!("compiled and started in {:.1?}", started.elapsed());
    }
    instance
}

/// `far`'s registered instances, through each transport there is.
async fn places(far: &Runtime) -> Vec<(&'static str, Arc<dyn Transport>)> {
    let (channel, _) = serve_channel(far);
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpTransport::new(&listener.address()).unwrap();
    serve(far, listener);
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there is another place where there are Unix sockets"))]
    let mut places: Vec<(&'static str, Arc<dyn Transport>)> =
        vec![("channel", channel), ("tcp", Arc::new(tcp)), ("quic", serve_quic(far).await)];
    #[cfg(unix)]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("far");
        let listener = isorun::UnixTransportListener::bind(&path).await.unwrap();
        // The file goes when the server ends, and the folder with it.
        let server = far.clone();
        tokio::spawn(async move {
            server.serve(Box::new(listener)).await;
            drop(folder);
        });
        places.push(("unix", Arc::new(isorun::UnixTransport::new(&path).unwrap())));
    }
    places
}

fn serve(far: &Runtime, listener: impl Listener + 'static) {
    let far = far.clone();
    tokio::spawn(async move { far.serve(Box::new(listener)).await });
}

#[tokio::test]
async fn every_app_works_with_every_provider_in_every_place() {
    // One engine compiles for both, so that no component is compiled twice; they share nothing else.
    let (near, far) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let places = places(&far).await;
    let apps = guests(&near, "kv-app", KV_APP);
    for (provider, component) in guests(&near, "kv-provider", KV_PROVIDER) {
        started(near.builder(&component).register_as(provider)).await;
        started(far.builder(&component).register_as(provider)).await;
        for (app, component) in &apps {
            let app_of = |place: &str| near.builder(component).name(format!("{app} to {provider}, {place}"));
            let local = app_of("local").link_local("demo:kv/store", provider);
            let others = places
                .iter()
                .map(|(place, transport)| app_of(place).link_remote("demo:kv/store", transport.clone(), provider));
            for linked in [local].into_iter().chain(others) {
                let app = started(linked).await;
                bounded(run_40(&app)).await;
            }
        }
    }
}

/// Each pair is compiled anew, which for two interpreters takes most of a minute: so these two languages are enough.
#[tokio::test]
async fn every_app_is_fused_with_every_provider() {
    let runtime = Runtime::new().unwrap();
    let quick = |kind: &str, c: &[u8]| {
        let rust = built(&format!("rust-{kind}")).map(|bytes| ("rust", bytes));
        let all = [("c", c.to_vec())].into_iter().chain(rust);
        all.map(|(language, bytes)| (language, runtime.load(bytes).unwrap())).collect::<Vec<_>>()
    };
    let providers = quick("kv-provider", KV_PROVIDER);
    for (app, component) in quick("kv-app", KV_APP) {
        for (provider, store) in &providers {
            let builder = runtime.builder(&component).name(format!("{app} with {provider}"));
            let app = started(builder.link_fused("demo:kv/store", store)).await;
            bounded(run_40(&app)).await;
        }
    }
}

#[tokio::test]
async fn bytes_are_encoded_alike_in_every_language_and_place() {
    let (near, far) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let places = places(&far).await;
    let caller = near.load(wat_guest("rle-app")).unwrap();
    let wat = [("wat", near.load(wat_guest("rle")).unwrap())];
    for (language, component) in wat.into_iter().chain(guests(&near, "rle", RLE)) {
        let alone = started(near.builder(&component).register_as(language)).await;
        started(far.builder(&component).register_as(language)).await;
        check_rle(&alone, "process").await;
        check_rle(&started(near.builder(&caller).link_local("process", language)).await, "run").await;
        for (_, transport) in &places {
            let linked = near.builder(&caller).link_remote("process", transport.clone(), language);
            check_rle(&started(linked).await, "run").await;
        }
    }
}

/// Encodes what is easy to get wrong, twice, and compares with what it should be.
async fn check_rle(instance: &InstanceHandle, function: &str) {
    let bytes = |bytes: &[u8]| Val::List(bytes.iter().copied().map(Val::U8).collect());
    let mixed: Vec<u8> = (0..20_000u32).map(|i| (i / (1 + i % 7) % 251) as u8).collect();
    for input in [&[][..], &[0], &[7, 7, 7, 9], &[1; 255], &[1; 256], &[3, 0xff, 0xff], &mixed, &mixed] {
        let result = bounded(instance.exec(function, &[bytes(input)])).await.unwrap();
        assert_eq!(result, [ok(bytes(&encoded(input)))], "{function} of {} bytes", input.len());
    }
    let refused = bounded(instance.exec(function, &[bytes(&[0xff, 1])])).await.unwrap();
    assert_eq!(refused, [common::err(text("cannot encode 0xff"))]);
}

fn encoded(input: &[u8]) -> Vec<u8> {
    let same = input.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255));
    same.flat_map(|run| [run.len() as u8, run[0]]).collect()
}

#[tokio::test]
async fn a_guest_with_all_of_its_standard_library_runs_with_two_grants() {
    let Some(bytes) = built("py-kv-app-wasi") else { return };
    let runtime = Runtime::new().unwrap();
    let component = runtime.load(bytes).unwrap();
    let app = |wasi| runtime.builder(&component).link_system("demo:kv/store", kv_fixture()).wasi(wasi);

    // Arguments, variables, standard streams, folders and sockets are imported too, and are empty.
    let (clocks, random) = ("wasi:clocks: grant it with `--wasi clocks`", "wasi:random: grant it with `--wasi random`");
    assert_eq!(missing(app(Wasi::inert())).await, [clocks, random]);
    assert_eq!(missing(app(Wasi::inert().clocks())).await, [random]);
    assert_eq!(missing(app(Wasi::inert().random())).await, [clocks]);
    assert_eq!(missing(app(Wasi::inert().stdio().arguments(["app"]))).await, [clocks, random]);

    let app = started(app(Wasi::inert().clocks().random())).await;
    bounded(run_40(&app)).await;
}

/// The packages that keep it from being linked, and what to do about each.
async fn missing(builder: InstanceBuilder) -> Vec<String> {
    let error = bounded(builder.instantiate()).await.map(drop).unwrap_err();
    let InstantiateError::Start(StartError::Link(LinkError::Missing { missing, .. })) = error else {
        panic!("{error}");
    };
    let mut told = Vec::new();
    for missing in missing {
        let (interface, hint) = (missing.interface.unwrap(), missing.hint.unwrap());
        told.push(format!("{}: {hint}", interface.split('/').next().unwrap()));
    }
    told.dedup();
    told
}
