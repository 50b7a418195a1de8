//! Links the counter to a guest: `cargo run -p host-component`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks")]

use host_component::{Counter, INTERFACE};
use isorun::{Runtime, Val};

/// Offers every function of the counter it imports at its own root; `guests/wat/counter-app.wat`, compiled.
const APP: &[u8] = include_bytes!("../counter-app.wasm");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let counter = Counter::new(50);
    let runtime = Runtime::new()?;
    let app = runtime.load(APP)?;
    let guest = runtime.builder(&app).link_system(INTERFACE, counter.clone()).instantiate().await?;
    for n in [20, 25, 10] {
        match guest.exec("add", &[Val::U32(n)]).await {
            Ok(total) => println!("the guest added {n}: {total:?}"),
            Err(error) => println!("{error}"),
        }
    }
    println!("the host counted {}", counter.total());
    Ok(())
}
