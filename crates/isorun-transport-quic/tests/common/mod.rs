//! Certificates, and what is made of them.
#![allow(dead_code, reason = "each test uses some")]

use std::net::Ipv4Addr;

use isorun_conformance::Endpoint;
use isorun_tls::Credentials;
use isorun_tls::issue::{Authority, NodeRequest};
use isorun_transport_quic::{QuicTransport, QuicTransportListener};
use tempfile::TempDir;

/// An authority and the files of the nodes that it knows.
pub struct Network {
    authority: Authority,
    folder: TempDir,
}

impl Network {
    pub fn new() -> Self {
        Self { authority: Authority::new("test", 30).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    /// Credentials of a node that is reached at 127.0.0.1.
    pub fn node(&self, name: &str) -> Credentials {
        self.issue(NodeRequest::new(name.parse().unwrap()).ip(Ipv4Addr::LOCALHOST.into()))
    }

    pub fn issue(&self, node: NodeRequest) -> Credentials {
        let files = self.authority.issue(&node).unwrap().write(self.folder.path(), true).unwrap();
        Credentials::open(files).unwrap()
    }

    pub async fn listener(&self) -> QuicTransportListener {
        QuicTransportListener::bind("quic://127.0.0.1:0", self.node("server")).await.unwrap()
    }

    pub fn client_of(&self, listener: &QuicTransportListener) -> QuicTransport {
        QuicTransport::to(listener.local_address().clone(), self.node("client"))
    }
}

/// A transport and the listener that it reaches.
pub async fn listen() -> Endpoint {
    let network = Network::new();
    let listener = network.listener().await;
    Endpoint::new(network.client_of(&listener), listener).keeping(network)
}
