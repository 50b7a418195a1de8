//! The transport over TCP: what every transport must do, and what only this one does.

#[macro_use]
#[path = "../../isorun-transport-local/tests/conformance/mod.rs"]
mod conformance;

use conformance::{Endpoint, Ends};
use isorun_core::Listener;
use isorun_transport_tcp::{TcpTransport, TcpTransportListener};

async fn listen() -> Endpoint {
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    (Box::new(TcpTransport::new(&listener.address()).unwrap()), Box::new(listener))
}

async fn connect() -> Ends {
    conformance::connect(&mut listen().await).await
}

conformance_suite!(connect, listen);
