//! Apps and providers of two languages, each against each, in every place.
//!
//! The C guests are committed. The Rust ones are built by `cargo xtask test`,
//! which names their folder in `ISORUN_GUESTS`; without it they are left out,
//! visibly.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{KV_APP, KV_PROVIDER, bounded, run_40, serve_channel};
use isorun::{Listener, LoadedComponent, Runtime, TcpTransport, TcpTransportListener};

/// The guests there are, by language.
fn guests(runtime: &Runtime, kind: &str, c: &[u8]) -> Vec<(&'static str, LoadedComponent)> {
    let mut guests = vec![("c", runtime.load(c.to_vec()).unwrap())];
    match std::env::var_os("ISORUN_GUESTS") {
        Some(folder) => {
            let path = Path::new(&folder).join(format!("rust-kv-{kind}.wasm"));
            let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            guests.push(("rust", runtime.load(bytes).unwrap()));
        }
        None => eprintln!("skipped: Rust guests (ISORUN_GUESTS is not set; `cargo xtask test` builds them)"),
    }
    guests
}

#[tokio::test]
async fn every_app_works_with_every_provider_in_every_place() {
    let (near, far) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = Arc::new(TcpTransport::new(&listener.address()).unwrap());
    let (channel, _) = serve_channel(&far);
    tokio::spawn({
        let far = far.clone();
        async move { far.serve(Box::new(listener)).await }
    });
    for (language, provider) in guests(&far, "provider", KV_PROVIDER) {
        far.builder(&provider).register_as(language).instantiate().await.unwrap();
    }
    for (language, provider) in guests(&near, "provider", KV_PROVIDER) {
        near.builder(&provider).register_as(language).instantiate().await.unwrap();
        for (of, app) in guests(&near, "app", KV_APP) {
            let app = near.builder(&app).name(of);
            let places = [
                app.clone().link_local("demo:kv/store", language),
                app.clone().link_remote("demo:kv/store", channel.clone(), language),
                app.link_remote("demo:kv/store", tcp.clone(), language),
            ];
            for place in places {
                bounded(async { run_40(&place.instantiate().await.unwrap()).await }).await;
            }
        }
    }
}
