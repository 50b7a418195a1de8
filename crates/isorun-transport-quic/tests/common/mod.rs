//! Certificates, and what is made of them.
#![allow(dead_code, reason = "each test uses some")]

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use isorun_conformance::Endpoint;
use isorun_tls::issue::{Authority, NodeRequest};
use isorun_tls::{ALPN, Credentials};
use isorun_transport_quic::{QuicTransport, QuicTransportListener};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, RecvStream, SendStream};
use tempfile::TempDir;

/// An authority and the files of the nodes that it knows.
pub struct Network {
    pub authority: Authority,
    folder: TempDir,
}

impl Network {
    pub fn new() -> Self {
        Self::of("test")
    }

    pub fn of(authority: &str) -> Self {
        Self { authority: Authority::new(authority, 30).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Credentials of a node that is reached at 127.0.0.1.
    pub fn node(&self, name: &str) -> Credentials {
        self.issue(&NodeRequest::new(name.parse().unwrap()).ip(Ipv4Addr::LOCALHOST.into()))
    }

    pub fn issue(&self, node: &NodeRequest) -> Credentials {
        Credentials::open(self.authority.issue(node).unwrap().write(self.folder(), true).unwrap()).unwrap()
    }

    pub async fn listener(&self) -> QuicTransportListener {
        QuicTransportListener::bind("quic://127.0.0.1:0", self.node("server")).await.unwrap()
    }

    pub fn client_of(&self, listener: &QuicTransportListener) -> QuicTransport {
        QuicTransport::to(listener.local_address().clone(), self.node("client"))
    }

    pub fn client_config(&self) -> Arc<rustls::ClientConfig> {
        self.node("raw").client_config(ALPN)
    }
}

/// A transport and the listener that it reaches.
pub async fn listen() -> Endpoint {
    let network = Network::new();
    let listener = network.listener().await;
    Endpoint::new(network.client_of(&listener), listener).keeping(network)
}

pub fn socket_of(listener: &QuicTransportListener) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, listener.local_address().port()).into()
}

/// An end that is quinn's alone, and connects.
pub fn raw_endpoint() -> quinn::Endpoint {
    quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

pub fn quic(config: Arc<rustls::ClientConfig>) -> quinn::ClientConfig {
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

/// An end that is quinn's alone, and accepts.
pub fn raw_server(credentials: &Credentials) -> quinn::Endpoint {
    let crypto = QuicServerConfig::try_from(credentials.server_config(ALPN)).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

/// A peer that speaks QUIC by itself, once it is connected.
pub struct Raw {
    pub endpoint: quinn::Endpoint,
    pub connection: Connection,
}

impl Raw {
    pub async fn connect(network: &Network, to: SocketAddr) -> Self {
        let endpoint = raw_endpoint();
        let connecting = endpoint.connect_with(quic(network.client_config()), to, "127.0.0.1").unwrap();
        let connection = bounded(connecting).await.unwrap();
        Self { endpoint, connection }
    }

    /// The stream, once the byte of welcome is read off it and `bytes` are sent on it.
    pub async fn stream(&self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut send, mut recv) = bounded(self.connection.accept_bi()).await.unwrap();
        let mut welcome = [0];
        bounded(recv.read_exact(&mut welcome)).await.unwrap();
        assert_eq!(welcome, [1]);
        bounded(send.write_all(bytes)).await.unwrap();
        (send, recv)
    }
}

/// Nothing here may hang: a test that does fails instead.
pub async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("the test hangs")
}
