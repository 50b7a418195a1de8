//! The transport over TLS: what every transport must do, and what only this one does.
#![cfg(feature = "tls")]

mod tls_common;

use isorun_conformance::drive::{accept, connect, frames, recv_all, send};
use isorun_conformance::{Endpoint, conformance_suite};
use isorun_core::{Listener, PeerIdentity, Transport, TransportError};
use isorun_transport_tcp::{TlsAddress, TlsListenError, TlsTransport, TlsTransportListener};
use tls_common::{Lab, opened, refused};

async fn listen() -> Endpoint {
    let lab = Lab::new();
    let listener = TlsTransportListener::bind("tls://127.0.0.1:0", lab.node("server")).await.unwrap();
    let transport = TlsTransport::new(&listener.address(), lab.node("client")).unwrap();
    Endpoint::new(transport, listener).keeping(lab)
}

conformance_suite!(listen);

fn named(name: &str) -> PeerIdentity {
    PeerIdentity::Authenticated { name: name.into() }
}

#[tokio::test]
async fn both_ends_are_known_by_the_names_in_their_certificates() {
    let (near, far) = connect(&mut listen().await).await.unwrap();
    assert_eq!((near.peer(), far.peer()), (&named("server"), &named("client")));
}

#[tokio::test]
async fn what_was_sent_arrives_though_its_sender_was_dropped() {
    let (mut near, mut far) = connect(&mut listen().await).await.unwrap();
    assert_eq!(send(near.as_mut(), &mut frames(3, |_| 10)).await, Ok(()));
    drop(near);
    assert_eq!(recv_all(far.as_mut()).await, (frames(3, |_| 10), None));
}

#[tokio::test]
async fn a_server_is_known_by_its_address_its_dns_name_or_the_name_of_its_node() {
    let lab = Lab::new();
    let mut listener = TlsTransportListener::bind("tls://127.0.0.1:0", lab.node("server")).await.unwrap();
    let port = listener.local_address().port();
    for address in ["127.0.0.1:P", "localhost:P", "127.0.0.1:P?name=localhost", "127.0.0.1:P?name=server"] {
        let address = format!("tls://{}", address.replace('P', &port.to_string()));
        let transport = TlsTransport::new(&address, lab.node("client")).unwrap();
        let (near, far) = tokio::join!(opened(&transport), accept(&mut listener));
        assert!(near.is_ok() && far.is_ok(), "{address}: {:?}", near.err());
    }
}

#[tokio::test]
async fn a_server_with_another_name_is_refused_and_the_name_is_in_the_error() {
    let lab = Lab::new();
    let mut listener = TlsTransportListener::bind("tls://127.0.0.1:0", lab.node("server")).await.unwrap();
    let address = format!("{}?name=other", listener.address());
    let transport = TlsTransport::new(&address, lab.node("client")).unwrap();
    let said = refused(&transport, &mut listener).await;
    assert!(said.contains(&address) && said.contains("other") && said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn what_nobody_listens_on_is_unreachable_and_a_name_is_nothing_to_listen_on() {
    let lab = Lab::new();
    let listener = TlsTransportListener::bind("tls://127.0.0.1:0", lab.node("server")).await.unwrap();
    let gone = listener.address();
    assert!(listener.local_address().is_loopback());
    drop(listener);
    let transport = TlsTransport::new(&gone, lab.node("client")).unwrap();
    assert_eq!(transport.place(), gone);
    assert!(matches!(opened(&transport).await, Err(TransportError::Unreachable { address, .. }) if address == gone));
    let named: TlsAddress = "tls://127.0.0.1:0?name=server".parse().unwrap();
    let error = TlsTransportListener::bind_address(&named, lab.node("server")).await.unwrap_err();
    assert!(matches!(error, TlsListenError::Named { .. }), "{error}");
    let error = TlsTransportListener::bind("tcp://127.0.0.1:0", lab.node("server")).await.unwrap_err();
    assert!(matches!(error, TlsListenError::Address(_)), "{error}");
}

#[tokio::test]
async fn what_is_dropped_is_told_from_what_is_cut() {
    let lab = Lab::new();
    let mut listener = TlsTransportListener::bind("tls://127.0.0.1:0", lab.node("server")).await.unwrap();
    let cut = tls_common::through_a_cut(&mut listener, &lab).await;
    assert!(matches!(&cut, Err(TransportError::Lost { .. })), "{cut:?}");
}
