//! A peer that means harm, or is no isorun: quinn's own ends, and bare sockets, against a listener that serves an honest client too.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use isorun_conformance::drive::{accept, frames, recv, recv_all, send};
use isorun_core::{Channel, FRAME_BYTES_MAX, PeerIdentity, Transport, TransportError};
use isorun_tls::ALPN;
use isorun_tls::issue::NodeRequest;
use isorun_transport_quic::{QuicTransport, QuicTransportListener};
use quinn::{Connection, ConnectionError, ReadError, VarInt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::common::{Network, Raw, bounded, quic, raw_endpoint, raw_server, socket_of};

/// A frame of one byte, on the wire.
const A_FRAME: [u8; 5] = [1, 0, 0, 0, 7];

/// Opens a channel, which must be the next that is accepted, and passes frames both ways.
async fn honest(transport: &QuicTransport, listener: &mut QuicTransportListener) {
    let (near, far) = bounded(async { tokio::join!(transport.open(), accept(listener)) }).await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    assert_eq!(far.peer(), &PeerIdentity::Authenticated { name: "client".into() }, "somebody else was accepted");
    pass(near.as_mut(), far.as_mut()).await;
    pass(far.as_mut(), near.as_mut()).await;
}

async fn pass(from: &mut dyn Channel, to: &mut dyn Channel) {
    for frame in frames(3, |index| 1 + index * 1_000) {
        bounded(send(from, &mut [frame.clone()].into())).await.unwrap();
        assert_eq!(bounded(recv(to)).await, Ok(Some(frame)));
    }
}

/// What becomes of somebody who shakes hands by `config`, and would then send something.
async fn tries(network: &Network, config: Arc<rustls::ClientConfig>) -> ConnectionError {
    let mut listener = network.listener().await;
    let endpoint = raw_endpoint();
    let connecting = endpoint.connect_with(quic(config), socket_of(&listener), "127.0.0.1").unwrap();
    let error = match bounded(connecting).await {
        Err(error) => error,
        Ok(connection) => {
            // Of TLS 1.3 the client is done before the server has looked at its certificate.
            assert!(is_pending(connection.open_bi()).await, "it may send already");
            bounded(connection.closed()).await
        }
    };
    honest(&network.client_of(&listener), &mut listener).await;
    error
}

/// rustls's own configuration, which trusts the network.
fn trusting(network: &Network) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(network.authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap().with_root_certificates(roots)
}

/// The number of a TLS alert that the other end closed with.
fn alert(error: &ConnectionError) -> Option<u64> {
    match error {
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code).checked_sub(0x100),
        _ => None,
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_and_nothing_of_it_is_read() {
    let network = Network::new();
    let mut config = trusting(&network).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let error = tries(&network, Arc::new(config)).await;
    // certificate_required
    assert_eq!(alert(&error), Some(116), "{error}");
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused_and_nothing_of_it_is_read() {
    let (network, other) = (Network::new(), Network::of("other"));
    let files = other.node("client").files().clone();
    let chain = CertificateDer::pem_file_iter(files.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(files.key).unwrap();
    let mut config = trusting(&network).with_client_auth_cert(chain, key).unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let error = tries(&network, Arc::new(config)).await;
    // unknown_ca
    assert_eq!(alert(&error), Some(48), "{error}");
}

#[tokio::test]
async fn who_speaks_another_protocol_or_none_is_refused() {
    for protocols in [vec![b"h3".to_vec()], vec![b"isorun/0".to_vec(), b"isorun".to_vec()], vec![]] {
        let network = Network::new();
        let mut config = (*network.client_config()).clone();
        config.alpn_protocols = protocols.clone();
        let error = tries(&network, Arc::new(config)).await;
        // no_application_protocol
        assert_eq!(alert(&error), Some(120), "{protocols:?}: {error}");
    }
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted() {
    let network = Network::new();
    let error = tries(&Network::of("other"), network.client_config()).await;
    // It is the client that says so.
    assert!(matches!(error, ConnectionError::TransportError(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_of_another_name_is_refused_by_who_opens_and_may_be_expected() {
    let network = Network::new();
    let elsewhere = network.issue(&NodeRequest::new("server".parse().unwrap()).dns("kv.example.org"));
    let mut listener = QuicTransportListener::bind("quic://127.0.0.1:0", elsewhere).await.unwrap();
    let transport = network.client_of(&listener);
    let Err(TransportError::Unreachable { cause, .. }) = bounded(transport.open()).await else {
        panic!("it is not 127.0.0.1");
    };
    assert!(cause.contains("its certificate is for server or kv.example.org, not for 127.0.0.1"), "{cause}");
    let named = |name: &str| {
        let address = listener.local_address().clone().named(name).unwrap();
        QuicTransport::to(address, network.node("client"))
    };
    let (node, dns, neither) = (named("server"), named("kv.example.org"), named("another"));
    honest(&node, &mut listener).await;
    honest(&dns, &mut listener).await;
    assert!(bounded(neither.open()).await.is_err());
}

#[tokio::test]
async fn who_refuses_whom_is_told_in_words() {
    let (network, other) = (Network::new(), Network::of("other"));
    let mut listener = network.listener().await;
    let transport = QuicTransport::to(listener.local_address().clone(), other.node("client"));
    let Err(error) = bounded(transport.open()).await else { panic!("they share no authority") };
    assert!(error.to_string().contains("was not issued by the authority"), "{error}");
    honest(&network.client_of(&listener), &mut listener).await;
}

#[tokio::test]
async fn garbage_harms_nobody() {
    let network = Network::new();
    let mut listener = network.listener().await;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(socket_of(&listener)).unwrap();
    let transport = network.client_of(&listener);
    let (near, far) = bounded(async { tokio::join!(transport.open(), accept(&mut listener)) }).await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    for round in 0..200_u32 {
        // A long header of version 1, one of no version, a short header, and bytes of no kind; of all lengths.
        let length = 1 + (round as usize * 37) % 1_400;
        for first in [0xc3, 0x80, 0x40, round as u8] {
            let mut garbage: Vec<u8> = (0..length).map(|at| (at as u32 * 31 + round) as u8).collect();
            garbage[0] = first;
            if first == 0xc3 && length > 4 {
                garbage[1..5].copy_from_slice(&[0, 0, 0, 1]);
            }
            // The system may have no room for it.
            let _ = socket.send(&garbage);
        }
        if round % 20 == 0 {
            pass(near.as_mut(), far.as_mut()).await;
        }
    }
    honest(&transport, &mut listener).await;
    pass(far.as_mut(), near.as_mut()).await;
}

/// The clock is paused and jumps ahead as soon as all there is to do is wait.
#[tokio::test]
async fn who_allows_no_stream_holds_up_nobody_and_is_closed() {
    let network = Network::new();
    let mut listener = network.listener().await;
    let mut config = quic(network.client_config());
    let mut transport = quinn::TransportConfig::default();
    config.transport_config(Arc::new(std::mem::take(transport.max_concurrent_bidi_streams(VarInt::from_u32(0)))));
    let endpoint = raw_endpoint();
    let connecting = endpoint.connect_with(config, socket_of(&listener), "127.0.0.1").unwrap();
    let silent = bounded(connecting).await.unwrap();
    honest(&network.client_of(&listener), &mut listener).await;
    assert_eq!(silent.close_reason(), None);
    tokio::time::pause();
    let reason = bounded(silent.closed()).await;
    assert!(matches!(reason, ConnectionError::ApplicationClosed(_)), "{reason:?}");
}

#[tokio::test]
async fn who_is_welcome_and_says_nothing_holds_up_nobody() {
    let (network, raw, _stream, _channel) = connected(&[]).await;
    let mut listener = network.listener().await;
    honest(&network.client_of(&listener), &mut listener).await;
    assert_eq!(raw.connection.close_reason(), None);
}

/// A raw peer with a stream, and the channel that was accepted from it.
async fn connected(bytes: &[u8]) -> (Network, Raw, (quinn::SendStream, quinn::RecvStream), Box<dyn Channel>) {
    let network = Network::new();
    let mut listener = network.listener().await;
    let raw = Raw::connect(&network, socket_of(&listener)).await;
    let stream = raw.stream(bytes).await;
    let channel = bounded(accept(&mut listener)).await.unwrap();
    (network, raw, stream, channel)
}

#[tokio::test]
async fn a_server_that_begins_otherwise_is_unreachable() {
    let network = Network::new();
    let server = raw_server(&network.node("server"));
    let address = format!("quic://{}", server.local_addr().unwrap());
    let transport = QuicTransport::new(&address, network.node("client")).unwrap();
    for begins in [Some([0].as_slice()), Some(b"HTTP"), None] {
        let serve = async {
            let connection = server.accept().await.unwrap().await.unwrap();
            match begins {
                Some(bytes) => {
                    let (mut send, recv) = connection.open_bi().await.unwrap();
                    send.write_all(bytes).await.unwrap();
                    connection.closed().await;
                    drop(recv);
                }
                None => connection.close(VarInt::from_u32(7), b"not today"),
            }
        };
        let (opened, ()) = bounded(async { tokio::join!(transport.open(), serve) }).await;
        let Err(TransportError::Unreachable { cause, .. }) = opened else { panic!("{begins:?}") };
        let expected = if begins.is_some() { "does not let this end in" } else { "not today" };
        assert!(cause.contains(expected), "{cause}");
    }
}

#[tokio::test]
async fn there_is_one_stream_and_no_other_way_to_send() {
    let (_network, raw, mut stream, mut channel) = connected(&A_FRAME).await;
    assert_eq!(bounded(recv(channel.as_mut())).await, Ok(Some(Bytes::from_static(&[7]))));
    // The other end has seen all that this one sent, and has allowed nothing more.
    bounded(send(channel.as_mut(), &mut [Bytes::from_static(b"hello")].into())).await.unwrap();
    let mut found = [0; 9];
    bounded(stream.1.read_exact(&mut found)).await.unwrap();
    assert_eq!(&found, b"\x05\0\0\0hello");
    assert!(is_pending(raw.connection.open_bi()).await, "another stream");
    assert!(is_pending(raw.connection.open_uni()).await, "a stream in one direction");
    assert_eq!(raw.connection.max_datagram_size(), None, "a datagram");
}

async fn is_pending<T>(future: impl Future<Output = T>) -> bool {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// What becomes of a channel whose peer sends `bytes` and then does as it is told.
async fn check(
    bytes: &[u8],
    then: impl FnOnce(&Connection, &mut quinn::SendStream),
    expected: &[Result<Option<&[u8]>, &str>],
) {
    let (_network, raw, mut stream, mut channel) = connected(bytes).await;
    // Bytes that are under way when a stream is reset may be lost with it: they are to have come.
    if bytes.len() > 5 {
        let (first, rest) = expected.split_first().unwrap();
        assert_eq!(bounded(recv(channel.as_mut())).await.as_ref().map(Option::as_deref).map_err(|_| ""), *first);
        then(&raw.connection, &mut stream.0);
        return ends(channel.as_mut(), rest).await;
    }
    then(&raw.connection, &mut stream.0);
    ends(channel.as_mut(), expected).await;
}

async fn ends(channel: &mut dyn Channel, expected: &[Result<Option<&[u8]>, &str>]) {
    for expected in expected {
        let found = bounded(recv(channel)).await;
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), *expected),
            (Err(TransportError::Lost { cause }), Err(words)) => assert!(cause.contains(words), "{cause}"),
            _ => panic!("{found:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_or_a_connection_that_is_closed_within_a_frame_is_a_loss() {
    let lost = |words| [Ok(Some([7].as_slice())), Err(words), Err(words)];
    let bytes = [1, 0, 0, 0, 7, 3, 0, 0, 0, 8];
    check(&bytes, |_, stream| stream.reset(VarInt::from_u32(9)).unwrap(), &lost("broke the stream off")).await;
    check(&bytes, |connection, _| connection.close(VarInt::from_u32(0), b""), &lost("the other end closed it")).await;
    check(&bytes, |connection, _| connection.close(VarInt::from_u32(9), b"enough"), &lost("enough")).await;
    check(&bytes, |_, stream| stream.finish().unwrap(), &lost("in the middle of a frame")).await;
}

#[tokio::test]
async fn an_end_between_frames_is_an_end() {
    check(&[], |_, stream| stream.finish().unwrap(), &[Ok(None), Ok(None)]).await;
    check(&[1, 0, 0, 0, 7], |_, stream| stream.finish().unwrap(), &[Ok(Some(&[7])), Ok(None), Ok(None)]).await;
}

#[tokio::test]
async fn a_claim_over_the_limit_is_refused_before_a_byte_of_the_frame_comes() {
    for size in [0, FRAME_BYTES_MAX + 1, u32::MAX as usize] {
        let bytes = (size as u32).to_le_bytes();
        let (_network, _raw, _stream, mut channel) = connected(&bytes).await;
        for _ in 0..2 {
            let expected = Err(TransportError::FrameSize { size, max: FRAME_BYTES_MAX });
            assert_eq!(bounded(recv(channel.as_mut())).await, expected);
        }
    }
}

#[tokio::test]
async fn a_peer_that_has_ended_its_side_is_still_sent_to() {
    let (_network, _raw, (mut to, mut from), mut channel) = connected(&[]).await;
    to.finish().unwrap();
    assert_eq!(bounded(recv(channel.as_mut())).await, Ok(None));
    let reads = tokio::spawn(async move { from.read_to_end(1_000).await });
    bounded(send(channel.as_mut(), &mut [Bytes::from_static(b"hello")].into())).await.unwrap();
    bounded(isorun_conformance::drive::close(channel.as_mut())).await.unwrap();
    assert_eq!(bounded(reads).await.unwrap().unwrap(), b"\x05\0\0\0hello");
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_lost_to_who_sends_and_may_send_on() {
    let (_network, _raw, (mut to, mut from), mut channel) = connected(&[]).await;
    from.stop(VarInt::from_u32(9)).unwrap();
    let mut queue = frames(1_000, |_| 64 << 10);
    let error = bounded(send(channel.as_mut(), &mut queue)).await.unwrap_err();
    assert!(matches!(&error, TransportError::Lost { cause } if cause.contains("no longer reads")), "{error}");
    assert_eq!(bounded(send(channel.as_mut(), &mut queue)).await, Err(error));
    bounded(to.write_all(&[1, 0, 0, 0, 7])).await.unwrap();
    assert_eq!(bounded(recv(channel.as_mut())).await, Ok(Some(Bytes::from_static(&[7]))));
}

#[tokio::test]
async fn a_dropped_channel_closes_its_connection() {
    let (_network, raw, (_to, mut from), channel) = connected(&[]).await;
    drop(channel);
    let reason = bounded(raw.connection.closed()).await;
    assert!(matches!(&reason, ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(0)));
    assert_eq!(bounded(from.read_to_end(1)).await, Err(quinn::ReadToEndError::Read(ReadError::ConnectionLost(reason))));
}

#[tokio::test]
async fn frames_that_arrived_are_received_though_the_connection_is_gone() {
    let (_network, raw, (mut to, _from), mut channel) = connected(&A_FRAME).await;
    bounded(to.write_all(&[1, 0, 0, 0, 8])).await.unwrap();
    to.finish().unwrap();
    assert_eq!(bounded(to.stopped()).await, Ok(None), "all of it is acknowledged");
    raw.connection.close(VarInt::from_u32(0), b"");
    let (found, error) = bounded(recv_all(channel.as_mut())).await;
    assert_eq!((found, error), ([Bytes::from_static(&[7]), Bytes::from_static(&[8])].into(), None));
}
