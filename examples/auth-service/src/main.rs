//! Links the service to a guest: `cargo run -p auth-service`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks")]

use auth_service::{Auth, INTERFACE};
use isorun::{Runtime, Val};

/// Tries keys; `auth-app.wat`, compiled.
const APP: &[u8] = include_bytes!("../auth-app.wasm");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let auth = Auth::new();
    auth.add_user("ada", "a key of ada's, 26 bytes..")?;
    let runtime = Runtime::new()?;
    let app = runtime.load(APP)?;
    let guest = runtime.builder(&app).link_system(INTERFACE, auth.clone()).instantiate().await?;
    for key in ["a guess", "a key of ada's, 26 bytes.."] {
        let args = [Val::String("ada".into()), Val::String(key.into())];
        let answer = guest.exec("try-login", &args).await?;
        println!("login: {answer:?}, and now the guest acts for {:?}", guest.exec("who", &[]).await?);
    }
    println!("{auth:?}");
    Ok(())
}
