//! A small network with an authority of its own.
#![allow(dead_code)]

use std::future::poll_fn;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{Channel, Listener, Transport, TransportError};
use isorun_tls::issue::{Authority, NodeRequest};
use isorun_tls::{CredentialFiles, Credentials};
use isorun_transport_tcp::{TlsTransport, TlsTransportListener};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

/// An authority, and the folder its nodes' files are in.
pub struct Lab {
    pub authority: Authority,
    pub folder: TempDir,
}

impl Lab {
    pub fn new() -> Self {
        Self { authority: Authority::new("lab", 2).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    /// What a node of that name is reached by on this machine.
    pub fn request(name: &str) -> NodeRequest {
        NodeRequest::new(name.parse().unwrap())
            .dns("localhost")
            .ip("127.0.0.1".parse().unwrap())
            .ip("::1".parse().unwrap())
    }

    pub fn files(&self, name: &str) -> CredentialFiles {
        self.authority.issue(&Self::request(name)).unwrap().write(&self.folder_of(name), true).unwrap()
    }

    pub fn node(&self, name: &str) -> Credentials {
        Credentials::open(self.files(name)).unwrap()
    }

    fn folder_of(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Awaits something that is bound to come, in a time that no machine is too slow for.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("nothing comes")
}

pub async fn opened(transport: &TlsTransport) -> Result<Box<dyn Channel>, TransportError> {
    soon(transport.open()).await
}

/// What is said to whoever is not let in; the listener must not give a channel meanwhile.
pub async fn refused(transport: &TlsTransport, listener: &mut TlsTransportListener) -> String {
    tokio::select! {
        opened = opened(transport) => match opened {
            Ok(_) => panic!("it was let in"),
            Err(error) => error.to_string(),
        },
        accepted = poll_fn(|cx| listener.poll_accept(cx)) => panic!("accepted {:?}", accepted.map(|of| of.peer().clone())),
    }
}

/// Both ends of a channel.
pub async fn pair(
    transport: &TlsTransport,
    listener: &mut TlsTransportListener,
) -> (Box<dyn Channel>, Box<dyn Channel>) {
    let (near, far) = tokio::join!(opened(transport), soon(poll_fn(|cx| listener.poll_accept(cx))));
    (near.unwrap(), far.unwrap())
}

/// Checks that a frame goes through both ways.
pub async fn talks(near: &mut dyn Channel, far: &mut dyn Channel) {
    for _ in 0..2 {
        let frame = Bytes::from_static(b"hello");
        let mut queue = [frame.clone()].into();
        soon(poll_fn(|cx| near.poll_send(cx, &mut queue))).await.unwrap();
        assert_eq!(soon(poll_fn(|cx| far.poll_recv(cx))).await, Ok(Some(frame.clone())));
        let mut queue = [frame.clone()].into();
        soon(poll_fn(|cx| far.poll_send(cx, &mut queue))).await.unwrap();
        assert_eq!(soon(poll_fn(|cx| near.poll_recv(cx))).await, Ok(Some(frame)));
    }
}

/// What a channel receives when somebody between the ends closes the connection.
pub async fn through_a_cut(listener: &mut TlsTransportListener, lab: &Lab) -> Result<Option<Bytes>, TransportError> {
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tls://{}", between.local_addr().unwrap());
    let port = listener.local_address().port();
    let relay = tokio::spawn(async move {
        let (mut near, _) = between.accept().await.unwrap();
        let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    let transport = TlsTransport::new(&address, lab.node("client")).unwrap();
    let (_near, mut far) = pair(&transport, listener).await;
    relay.abort();
    let _ = relay.await;
    soon(poll_fn(|cx| far.poll_recv(cx))).await
}
