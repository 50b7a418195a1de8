//! The transport over QUIC: what every transport must do, and what only this one does.

mod common;

use bytes::Bytes;
use isorun_conformance::conformance_suite;
use isorun_conformance::drive::{accept, close, frames, recv, recv_all, send};
use isorun_core::{Channel, Listener, PeerIdentity, Transport, TransportError};
use isorun_tls::issue::NodeRequest;
use isorun_transport_quic::{QUIC_CONNECT_MS_MAX, QuicAddress, QuicListenError, QuicTransport, QuicTransportListener};

use crate::common::{Network, Raw, bounded, listen, raw_server, socket_of};

conformance_suite!(listen);

type Ends = (Box<dyn Channel>, Box<dyn Channel>);

async fn connect(transport: &QuicTransport, listener: &mut QuicTransportListener) -> Ends {
    let (near, far) = bounded(async { tokio::join!(transport.open(), accept(listener)) }).await;
    (near.unwrap(), far.unwrap())
}

/// A frame each way.
async fn pass((near, far): &mut Ends) {
    pass_one(near.as_mut(), far.as_mut()).await;
    pass_one(far.as_mut(), near.as_mut()).await;
}

async fn pass_one(from: &mut dyn Channel, to: &mut dyn Channel) {
    bounded(send(from, &mut [Bytes::from_static(b"hello")].into())).await.unwrap();
    assert_eq!(bounded(recv(to)).await, Ok(Some(Bytes::from_static(b"hello"))));
}

fn unreachable(opened: Result<Box<dyn Channel>, TransportError>) -> (String, String) {
    match opened {
        Err(TransportError::Unreachable { address, cause }) => (address, cause),
        other => panic!("{:?}", other.map(|channel| channel.peer().clone())),
    }
}

#[tokio::test]
async fn both_ends_are_told_by_the_names_in_their_certificates() {
    let network = Network::new();
    let mut listener = network.listener().await;
    let (near, far) = connect(&network.client_of(&listener), &mut listener).await;
    assert_eq!(near.peer(), &PeerIdentity::Authenticated { name: "server".into() });
    assert_eq!(far.peer(), &PeerIdentity::Authenticated { name: "client".into() });
}

#[tokio::test]
async fn what_was_sent_has_arrived_when_closing_is_done() {
    let network = Network::new();
    let mut listener = network.listener().await;
    let (mut near, mut far) = connect(&network.client_of(&listener), &mut listener).await;
    assert_eq!(bounded(send(near.as_mut(), &mut frames(3, |_| 10))).await, Ok(()));
    assert_eq!(bounded(close(near.as_mut())).await, Ok(()));
    drop(near);
    assert_eq!(bounded(recv_all(far.as_mut())).await, (frames(3, |_| 10), None));
}

#[tokio::test]
async fn names_and_both_kinds_of_addresses_are_listened_on_and_reached() {
    let network = Network::new();
    let node = |name: &str| NodeRequest::new(name.parse().unwrap()).dns("localhost");
    let everywhere = |name| node(name).ip("127.0.0.1".parse().unwrap()).ip("::1".parse().unwrap());
    let mut hosts = vec!["localhost", "127.0.0.1"];
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        hosts.push("[::1]");
    } else {
        eprintln!("this machine has no IPv6: [::1] is left out");
    }
    let (server, client) = (network.issue(&everywhere("server")), network.issue(&everywhere("client")));
    for host in hosts {
        let mut listener = QuicTransportListener::bind(&format!("quic://{host}:0"), server.clone()).await.unwrap();
        assert!(listener.local_address().is_loopback() && listener.local_address().port() != 0);
        let address = format!("quic://{host}:{}", listener.local_address().port());
        let transport = QuicTransport::new(&address, client.clone()).unwrap();
        pass(&mut connect(&transport, &mut listener).await).await;
    }
}

#[tokio::test]
async fn an_address_in_use_or_of_another_machine_is_an_error_that_names_it() {
    let network = Network::new();
    let taken = network.listener().await;
    // 192.0.2.0/24 is kept for documents: no machine has it.
    for address in [taken.address(), "quic://192.0.2.1:7000".to_owned()] {
        let error = QuicTransportListener::bind(&address, network.node("other")).await.unwrap_err();
        assert!(matches!(error, QuicListenError::Bind { .. }));
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
    }
    let error = QuicTransportListener::bind("tcp://127.0.0.1:0", network.node("other")).await.unwrap_err();
    assert!(matches!(error, QuicListenError::Address(_)));
    let error = QuicTransportListener::bind("quic://127.0.0.1:0?name=kv", network.node("other")).await.unwrap_err();
    assert!(matches!(error, QuicListenError::Named { .. }));
}

#[tokio::test]
async fn what_nobody_listens_on_is_unreachable_at_once() {
    let network = Network::new();
    // The port of a socket that is gone.
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let transport = QuicTransport::to(gone.into(), network.node("client"));
    let (address, cause) = unreachable(bounded(transport.open()).await);
    assert_eq!(address, format!("quic://{gone}"));
    assert!(cause.contains("nobody listens there"), "{cause}");
}

/// The clock is paused and jumps ahead as soon as all there is to do is wait.
#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_answer_is_unreachable_after_a_bounded_time() {
    let network = Network::new();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let transport = QuicTransport::to(silent.local_addr().unwrap().into(), network.node("client"));
    let before = tokio::time::Instant::now();
    let (_, cause) = unreachable(transport.open().await);
    assert_eq!(cause, format!("no answer within {QUIC_CONNECT_MS_MAX} ms"));
    assert_eq!(before.elapsed().as_millis() as u64 / 100, QUIC_CONNECT_MS_MAX / 100);
}

#[tokio::test]
async fn all_channels_of_a_transport_use_one_socket_those_after_a_loss_too() {
    let network = Network::new();
    let server = raw_server(&network.node("server"));
    let address: QuicAddress = server.local_addr().unwrap().into();
    let transport = QuicTransport::to(address, network.node("client"));
    let (mut from, mut kept) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let serve = async {
            let connection = server.accept().await.unwrap().await.unwrap();
            let (mut to, _) = connection.open_bi().await.unwrap();
            to.write_all(&[1]).await.unwrap();
            (connection, to)
        };
        let clone = transport.clone();
        let (opened, (connection, to)) = bounded(async { tokio::join!(clone.open(), serve) }).await;
        let mut opened = opened.unwrap();
        from.push(connection.remote_address());
        if round == 0 {
            connection.close(9_u32.into(), b"");
            assert!(matches!(bounded(recv(opened.as_mut())).await, Err(TransportError::Lost { .. })));
        }
        kept.push((opened, connection, to));
    }
    assert!(from.iter().all(|address| *address == from[0]), "{from:?}");
}

/// A runtime that ends takes its sockets along.
#[test]
fn a_transport_outlives_a_runtime() {
    let network = Network::new();
    let (mut transport, mut address) = (None, None);
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let at = address.take().unwrap_or_else(|| "quic://127.0.0.1:0".parse::<QuicAddress>().unwrap());
            let mut listener = QuicTransportListener::bind_address(&at, network.node("server")).await.unwrap();
            address = Some(listener.local_address().clone());
            let transport = transport.get_or_insert_with(|| network.client_of(&listener));
            pass(&mut connect(transport, &mut listener).await).await;
        });
    }
}

#[tokio::test]
async fn a_client_whose_address_changes_keeps_its_channel() {
    let network = Network::new();
    let mut listener = network.listener().await;
    let raw = Raw::connect(&network, socket_of(&listener)).await;
    let mut stream = raw.stream(&[1, 0, 0, 0, 7]).await;
    let mut channel = bounded(accept(&mut listener)).await.unwrap();
    assert_eq!(bounded(recv(channel.as_mut())).await, Ok(Some(Bytes::from_static(&[7]))));

    raw.endpoint.rebind(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    bounded(stream.0.write_all(&[1, 0, 0, 0, 8])).await.unwrap();
    assert_eq!(bounded(recv(channel.as_mut())).await, Ok(Some(Bytes::from_static(&[8]))));
    bounded(send(channel.as_mut(), &mut [Bytes::from_static(&[9])].into())).await.unwrap();
    let mut found = [0; 5];
    bounded(stream.1.read_exact(&mut found)).await.unwrap();
    assert_eq!(found, [1, 0, 0, 0, 9]);
}

#[tokio::test]
async fn a_listener_that_is_dropped_turns_others_away_and_lets_its_channels_go_on() {
    let network = Network::new();
    let mut listener = network.listener().await;
    let (transport, address) = (network.client_of(&listener), socket_of(&listener));
    let mut ends = connect(&transport, &mut listener).await;
    drop(listener);
    let (_, cause) = unreachable(bounded(transport.open()).await);
    assert!(cause.contains("or is ending"), "{cause}");
    pass(&mut ends).await;

    drop(ends);
    // The port is free once the last packets of the last channel are gone.
    let free = async {
        while std::net::UdpSocket::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    };
    bounded(free).await;
}

#[tokio::test]
async fn new_certificates_count_from_the_next_channel_on() {
    let network = Network::new();
    let (old, new) = (network.node("server"), network.node("server-2"));
    let mut listener = QuicTransportListener::bind("quic://127.0.0.1:0", old.clone()).await.unwrap();
    let transport = network.client_of(&listener);
    let mut before = connect(&transport, &mut listener).await;
    std::fs::copy(&new.files().key, &old.files().key).unwrap();
    std::fs::copy(&new.files().certificate, &old.files().certificate).unwrap();
    old.reload().unwrap();
    let mut after = connect(&transport, &mut listener).await;
    assert_eq!(after.0.peer(), &PeerIdentity::Authenticated { name: "server-2".into() });
    assert_eq!(before.0.peer(), &PeerIdentity::Authenticated { name: "server".into() });
    pass(&mut before).await;
    pass(&mut after).await;
}
