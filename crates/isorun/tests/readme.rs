//! The README's program does what the README says.

use std::sync::Arc;

use isorun::{InMemoryKv, Listener, Runtime, TcpTransport, TcpTransportListener, Val};

#[tokio::test]
async fn the_readmes_program_answers_the_same_in_three_places() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let app = runtime.load(std::fs::read("../../guests/prebuilt/kv-app.wasm")?)?;
    let provider = runtime.load(std::fs::read("../../guests/prebuilt/kv-provider.wasm")?)?;

    // A provider in this process, under a name, and served to whoever connects.
    let kv = runtime.builder(&provider).register_as("kv").instantiate().await?;
    let listener = TcpTransportListener::bind("127.0.0.1:0").await?;
    let far = Arc::new(TcpTransport::new(&listener.address())?);
    let server = runtime.clone();
    tokio::spawn(async move { server.serve(Box::new(listener)).await });

    // The same app in three places.
    let store = InMemoryKv::new().deny("denied").absent_is_error("missing");
    let here = runtime.builder(&app).link_system("demo:kv/store", store);
    let near = runtime.builder(&app).link_local("demo:kv/store", &kv);
    let away = runtime.builder(&app).link_remote("demo:kv/store", far, "kv");
    for place in [here, near, away] {
        let instance = place.instantiate().await?;
        let results = instance.exec("run", &[Val::U32(40)]).await?;
        assert_eq!(results, [Val::Result(Ok(Some(Box::new(Val::U64(820)))))]);
    }
    Ok(())
}

/// All but the paths and the last line stand in the README as they stand here.
#[test]
fn the_readme_shows_this_program() {
    let readme = include_str!("../../../README.md");
    let this = include_str!("readme.rs");
    let shown = readme.split("```rust").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let lines = shown.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("println!"));
    for line in lines {
        let line = line.replace("\"guests/", "\"../../guests/");
        assert!(this.contains(&line), "not in readme.rs: {line}");
    }
}
