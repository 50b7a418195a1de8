//! The transport over a real NATS server: what every transport must do, and what only this one does.

mod server;

use isorun_conformance::{Endpoint, conformance_suite};
use isorun_core::Listener;
use isorun_transport_nats::{NatsTransport, NatsTransportListener};
use server::NatsServer;

async fn listen() -> Endpoint {
    let server = NatsServer::start();
    let listener = NatsTransportListener::bind(&format!("{}/kv", server.url())).await.unwrap();
    Endpoint::new(NatsTransport::new(&listener.address()).unwrap(), listener).keeping(server)
}

mod conformance {
    use super::*;
    conformance_suite!(listen);
}

/// The same where a message holds little, so that frames travel in parts.
mod conformance_in_parts {
    use super::*;

    async fn listen() -> Endpoint {
        let server = NatsServer::configured("max_payload: 65536");
        let listener = NatsTransportListener::bind(&format!("{}/kv", server.url())).await.unwrap();
        Endpoint::new(NatsTransport::new(&listener.address()).unwrap(), listener).keeping(server)
    }

    conformance_suite!(listen);
}
