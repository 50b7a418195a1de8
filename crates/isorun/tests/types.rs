//! Every plain WIT type, nested three deep, through every place.
//!
//! The app hands each value to its import and back as it came; what the test
//! gets back must be what it gave, wherever the import's code lives.

mod common;

use std::sync::Arc;

use common::{bounded, serve_channel, wat_guest};
use isorun::wasmtime::component::Linker;
use isorun::{
    Budget, HostState, InstanceHandle, LocalInstance, Runtime, Serving, SystemComponent, TcpTransport,
    TcpTransportListener, Val, wasmtime,
};
use isorun_ledger::testing::Noise;
use isorun_runtime::testing::random_val;

const INTERFACE: &str = "test:types/all@0.1.0";
/// Values for each function in each place.
const ROUNDS: u64 = 12;

/// Sends values of every function's type through the app and back.
async fn every_type(app: &InstanceHandle, seed: u64) {
    let functions = app.functions();
    assert!(functions.len() >= 50, "{functions:?}");
    for name in functions {
        let (function, types) = app.function(&name).unwrap();
        for round in 0..ROUNDS {
            let mut noise = Noise::of_seed(seed ^ round << 8 ^ (name.len() as u64) << 32);
            let args: Vec<Val> = function.params.iter().map(|param| random_val(types, param.ty, &mut noise)).collect();
            let back = bounded(app.exec(&name, &args)).await.unwrap_or_else(|e| panic!("{e}\n{name}{args:?}"));
            let expected = match args.len() {
                0 | 1 => args,
                _ => vec![Val::Tuple(args)],
            };
            assert_eq!(back, expected, "{name}");
        }
    }
    assert_eq!(app.generation(), 1, "a call cost the app its store");
}

async fn provider(runtime: &Runtime, id: &str, serving: Serving) -> InstanceHandle {
    let component = runtime.load(wat_guest("types-provider")).unwrap();
    runtime.builder(&component).serving(serving).register_as(id).instantiate().await.unwrap()
}

#[tokio::test]
async fn every_type_through_a_local_singleton() {
    let runtime = Runtime::new().unwrap();
    let types = provider(&runtime, "types", Serving::SINGLETON).await;
    let app = runtime.load(wat_guest("types-app")).unwrap();
    every_type(&runtime.builder(&app).link_local(INTERFACE, &types).instantiate().await.unwrap(), 1).await;
}

#[tokio::test]
async fn every_type_through_a_fused_link() {
    let runtime = Runtime::new().unwrap();
    let [app, types] = ["types-app", "types-provider"].map(|name| runtime.load(wat_guest(name)).unwrap());
    every_type(&runtime.builder(&app).link_fused(INTERFACE, &types).instantiate().await.unwrap(), 7).await;
}

#[tokio::test]
async fn every_type_through_a_store_for_each_call() {
    let runtime = Runtime::new().unwrap();
    provider(&runtime, "types", Serving::PER_CALL).await;
    let app = runtime.load(wat_guest("types-app")).unwrap();
    let to = LocalInstance::from("types");
    every_type(&runtime.builder(&app).link_local(INTERFACE, to).instantiate().await.unwrap(), 2).await;
}

#[tokio::test]
async fn every_type_through_a_channel() {
    let (far, near) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    provider(&far, "types", Serving::SINGLETON).await;
    let (transport, _) = serve_channel(&far);
    let app = near.load(wat_guest("types-app")).unwrap();
    every_type(&near.builder(&app).link_remote(INTERFACE, transport, "types").instantiate().await.unwrap(), 3).await;
}

#[tokio::test]
async fn every_type_through_tcp() {
    let (far, near) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    provider(&far, "types", Serving::SINGLETON).await;
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::new(&isorun::Listener::address(&listener)).unwrap());
    tokio::spawn(async move { far.serve(Box::new(listener)).await });
    let app = near.load(wat_guest("types-app")).unwrap();
    every_type(&near.builder(&app).link_remote("*", transport, "types").instantiate().await.unwrap(), 4).await;
}

/// Both other encodings that a guest may give its strings.
#[tokio::test]
async fn every_type_between_guests_of_other_string_encodings() {
    let text = |name: &str| {
        std::fs::read_to_string(format!("{}/../../guests/wat/{name}.wat", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    for (app, provider) in [("utf16", "latin1+utf16"), ("latin1+utf16", "utf16")] {
        let encoded = |name: &str, encoding: &str| {
            let text = text(name);
            assert!(text.contains("string-encoding=utf8"), "{name}");
            wat::parse_str(text.replace("string-encoding=utf8", &format!("string-encoding={encoding}"))).unwrap()
        };
        let runtime = Runtime::new().unwrap();
        let types = runtime.load(encoded("types-provider", provider)).unwrap();
        let types = runtime.builder(&types).name("types").instantiate().await.unwrap();
        let app = runtime.load(encoded("types-app", app)).unwrap();
        every_type(&runtime.builder(&app).link_local(INTERFACE, &types).instantiate().await.unwrap(), 5).await;
    }
}

/// A host component that gives back what it gets.
struct Echo(Vec<String>);

impl SystemComponent for Echo {
    fn interfaces(&self) -> Vec<String> {
        vec![INTERFACE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let mut instance = linker.instance(INTERFACE)?;
        for name in &self.0 {
            instance.func_new(name, |_, _, params, results| {
                if let [slot] = results {
                    *slot = match params {
                        [one] => one.clone(),
                        several => Val::Tuple(several.to_vec()),
                    };
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_type_through_the_host() {
    let runtime = Runtime::new().unwrap();
    let app = runtime.load(wat_guest("types-app")).unwrap();
    let names = app.ledger().import(Some(INTERFACE)).unwrap().functions.iter().map(|f| f.name.clone()).collect();
    every_type(&runtime.builder(&app).link_system(INTERFACE, Echo(names)).instantiate().await.unwrap(), 6).await;
}

#[tokio::test]
async fn sixteen_mebibytes_of_text_go_through_tcp_where_the_budgets_allow_it() {
    let budget = Budget { hostcall_fuel: 64 << 20, max_memory_bytes: 256 << 20, ..Budget::default() };
    let (far, near) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let component = far.load(wat_guest("types-provider")).unwrap();
    far.builder(&component).budget(budget.clone()).register_as("types").instantiate().await.unwrap();
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::new(&isorun::Listener::address(&listener)).unwrap());
    tokio::spawn(async move { far.serve(Box::new(listener)).await });
    let app = near.load(wat_guest("types-app")).unwrap();
    let app = near.builder(&app).budget(budget).link_remote("*", transport, "types").instantiate().await.unwrap();
    let text = |bytes: usize| vec![Val::String("abcdefg\n".repeat(bytes / 8))];
    let most = text(16 << 20);
    assert!(bounded(app.exec("echo-string", &most)).await.unwrap() == most);
    let failed = bounded(app.exec("echo-string", &text(21 << 20))).await.unwrap_err().to_string();
    assert!(failed.contains("20971520"), "{failed}");
}
