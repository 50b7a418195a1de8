//! A NATS server over TLS: it has to prove its name, and nothing is said in the clear.

mod server;

use std::time::Duration;

use isorun_conformance::drive::{accept, frame, recv, send};
use isorun_core::{Transport, TransportError};
use isorun_transport_nats::{Announcement, NatsAddress, NatsOptions, NatsTransport, NatsTransportListener};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use server::NatsServer;
use tempfile::TempDir;

/// Authorities, and a server that one of them vouches for as `localhost`.
struct Secured {
    server: NatsServer,
    folder: TempDir,
}

impl Secured {
    fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().unwrap()).unwrap();
        let other = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let file = |name: &str, text: String| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        file("ca.pem", authority.pem());
        file("other.pem", other.pem());
        let (cert, key) = (file("cert.pem", cert.pem()), file("key.pem", key.serialize_pem()));
        let server = NatsServer::configured(&format!("tls {{ cert_file: {cert:?}, key_file: {key:?} }}\n{more}"));
        Self { server, folder }
    }

    fn trusting(&self, authority: &str) -> NatsOptions {
        NatsOptions::default().authority(self.folder.path().join(authority))
    }

    fn named(&self, scheme: &str, host: &str) -> NatsAddress {
        let port = self.server.url().rsplit(':').next().unwrap().to_owned();
        format!("{scheme}://{host}:{port}/kv").parse().unwrap()
    }
}

async fn refused(address: NatsAddress, options: NatsOptions) -> String {
    let opened = NatsTransport::with_options(address, options);
    match tokio::time::timeout(Duration::from_secs(60), opened.open()).await.expect("it hangs") {
        Err(TransportError::Unreachable { cause, .. }) => cause,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was reached"),
    }
}

#[tokio::test]
async fn frames_pass_a_server_that_proves_its_name() {
    let secured = Secured::start("authorization { token: s3cret }");
    let (address, options) = (secured.named("nats+tls", "localhost"), secured.trusting("ca.pem").token("s3cret"));
    let listener = NatsTransportListener::announce(&address, Announcement::default(), &options).await;
    let mut listener = listener.unwrap();
    let transport = NatsTransport::with_options(address, options);
    let (near, far) = tokio::join!(transport.open(), accept(&mut listener));
    let (mut near, mut far) = (near.ok().unwrap(), far.ok().unwrap());
    assert_eq!(send(near.as_mut(), &mut [frame(1, 300_000)].into()).await, Ok(()));
    assert_eq!(recv(far.as_mut()).await, Ok(Some(frame(1, 300_000))));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_spoken_to() {
    let secured = Secured::start("");
    // Another authority, those of the system, and another name.
    refused(secured.named("nats+tls", "localhost"), secured.trusting("other.pem")).await;
    refused(secured.named("nats+tls", "localhost"), NatsOptions::default()).await;
    refused(secured.named("nats+tls", "127.0.0.1"), secured.trusting("ca.pem")).await;
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_in_the_clear() {
    let secured = Secured::start("");
    let plain = NatsServer::start();
    let address = plain.url().replace("nats://127.0.0.1", "nats+tls://localhost");
    refused(format!("{address}/kv").parse().unwrap(), secured.trusting("ca.pem")).await;
}
