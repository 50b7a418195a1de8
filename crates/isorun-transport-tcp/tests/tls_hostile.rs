//! Peers that are not let in, beside an honest one that is served; and credentials that change meanwhile.
#![cfg(feature = "tls")]

mod tls_common;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use isorun_core::{FRAME_BYTES_MAX, Listener, Transport, TransportError};
use isorun_tls::issue::Authority;
use isorun_tls::{ALPN, Credentials, CredentialsError};
use isorun_transport_tcp::{HANDSHAKES_MAX, TcpTransport, TlsTransport, TlsTransportListener};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tls_common::{Lab, opened, pair, refused, soon, talks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn serving(lab: &Lab) -> TlsTransportListener {
    TlsTransportListener::bind("tls://127.0.0.1:0", lab.node("server")).await.unwrap()
}

fn client(listener: &TlsTransportListener, credentials: Credentials) -> TlsTransport {
    TlsTransport::new(&listener.address(), credentials).unwrap()
}

/// Drives the listener until `peer` is done; nobody must be let in meanwhile.
async fn nobody<T>(listener: &mut TlsTransportListener, peer: impl Future<Output = T>) -> T {
    tokio::select! {
        done = soon(peer) => done,
        accepted = poll_fn(|cx| listener.poll_accept(cx)) => {
            panic!("accepted {:?}", accepted.map(|channel| channel.peer().clone()))
        }
    }
}

/// Whoever has been refused is no obstacle to who comes next.
async fn honest(listener: &mut TlsTransportListener, lab: &Lab) {
    let (mut near, mut far) = pair(&client(listener, lab.node("honest")), listener).await;
    talks(near.as_mut(), far.as_mut()).await;
}

/// What rustls does that shows no certificate; `alpn` as it is given.
async fn bare(listener: &mut TlsTransportListener, lab: &Lab, alpn: &[u8]) -> std::io::Result<usize> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(lab.authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    handshake(listener, Arc::new(config)).await
}

/// What the server answers to whoever shakes hands so.
async fn handshake(listener: &mut TlsTransportListener, config: Arc<ClientConfig>) -> std::io::Result<usize> {
    let port = listener.local_address().port();
    nobody(listener, async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await?;
        stream.read(&mut [0; 16]).await
    })
    .await
}

#[tokio::test]
async fn who_shows_no_certificate_is_refused() {
    let lab = Lab::new();
    let mut listener = serving(&lab).await;
    let error = bare(&mut listener, &lab, ALPN).await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    honest(&mut listener, &lab).await;
}

#[tokio::test]
async fn who_speaks_another_protocol_or_none_is_refused() {
    let lab = Lab::new();
    let mut listener = serving(&lab).await;
    let error = bare(&mut listener, &lab, b"h2").await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    let mut config = ClientConfig::clone(&lab.node("other").client_config(ALPN));
    config.alpn_protocols.clear();
    let answer = handshake(&mut listener, Arc::new(config)).await;
    assert!(!matches!(answer, Ok(1..)), "it was welcomed: {answer:?}");
    honest(&mut listener, &lab).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_by_either_end_and_both_say_so() {
    let (lab, other) = (Lab::new(), Lab::new());
    let mut listener = serving(&lab).await;
    let said = refused(&client(&listener, other.node("client")), &mut listener).await;
    assert!(said.contains("its certificate was not issued by the authority"), "{said}");

    // One that knows both authorities, and has its certificate from the wrong one.
    let files = other.files("client");
    let both = format!("{}{}", lab.authority.certificate_pem(), other.authority.certificate_pem());
    std::fs::write(&files.ca, both).unwrap();
    let said = refused(&client(&listener, Credentials::open(files).unwrap()), &mut listener).await;
    assert!(said.contains("it refuses this end's certificate: another authority issued it"), "{said}");
    honest(&mut listener, &lab).await;
}

#[tokio::test]
async fn an_authority_of_the_same_name_is_another_one() {
    let lab = Lab::new();
    let mut forged = Lab::new();
    forged.authority = Authority::new("lab", 2).unwrap();
    let mut listener = serving(&lab).await;
    let said = refused(&client(&listener, forged.node("server")), &mut listener).await;
    assert!(said.contains("authority"), "{said}");
    honest(&mut listener, &lab).await;
}

/// A certificate that held until a minute ago, its key, and those it is verified by.
fn expired(lab: &Lab) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, RootCertStore) {
    let now = SystemTime::now();
    let request = Lab::request("late").between(now - Duration::from_secs(3_600), now - Duration::from_secs(60));
    let files = lab.authority.issue(&request).unwrap().write(&lab.folder.path().join("late"), true).unwrap();
    let error = Credentials::open(files.clone()).unwrap_err();
    assert!(matches!(error, CredentialsError::Expired { .. }), "{error}");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.ca).unwrap()).unwrap();
    let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
    (vec![certificate], PrivateKeyDer::from_pem_file(&files.key).unwrap(), roots)
}

#[tokio::test]
async fn a_client_whose_certificate_has_expired_is_refused() {
    let lab = Lab::new();
    let mut listener = serving(&lab).await;
    let (chain, key, roots) = expired(&lab);
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap().with_root_certificates(roots);
    let mut config = config.with_client_auth_cert(chain, key).unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let error = handshake(&mut listener, Arc::new(config)).await.unwrap_err();
    assert!(error.to_string().contains("CertificateExpired"), "{error}");
    honest(&mut listener, &lab).await;
}

#[tokio::test]
async fn a_server_whose_certificate_has_expired_is_refused() {
    let lab = Lab::new();
    let (chain, key, _) = expired(&lab);
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tls://{}", listener.local_addr().unwrap());
    let transport = TlsTransport::new(&address, lab.node("client")).unwrap();
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.map(drop)
    };
    let (opened, _) = tokio::join!(opened(&transport), soon(serve));
    let Err(error) = opened else { panic!("it was accepted") };
    assert!(error.to_string().contains("its certificate has expired, "), "{error}");
}

#[tokio::test]
async fn what_is_no_tls_is_refused_before_a_byte_of_it_is_a_frame() {
    let lab = Lab::new();
    let mut listener = serving(&lab).await;
    let port = listener.local_address().port();
    let claim = (FRAME_BYTES_MAX as u32).to_le_bytes();
    let frame = [&[5, 0, 0, 0][..], b"hello"].concat();
    // The first bytes of a TLS record, and then none of one.
    let record = [&[22, 3, 1, 255, 255][..], &[7; 70_000]].concat();
    for bytes in [&frame[..], &claim, b"GET / HTTP/1.1\r\n\r\n", &[0; 1_000], &[255; 1_000], &record] {
        let read = nobody(&mut listener, async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // It may be closed while this writes.
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            answer
        })
        .await;
        // An alert at most: 7 bytes.
        assert!(read.len() <= 7, "{read:?}");
    }
    honest(&mut listener, &lab).await;
}

#[tokio::test]
async fn a_plain_tcp_transport_gets_nothing_through() {
    let lab = Lab::new();
    let mut listener = serving(&lab).await;
    let address = format!("tcp://127.0.0.1:{}", listener.local_address().port());
    let ended = nobody(&mut listener, async {
        let mut channel = TcpTransport::new(&address).unwrap().open().await.unwrap();
        let mut queue = [Bytes::from_static(b"hello")].into();
        let _ = poll_fn(|cx| channel.poll_send(cx, &mut queue)).await;
        poll_fn(|cx| channel.poll_recv(cx)).await
    })
    .await;
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    honest(&mut listener, &lab).await;
}

/// A hello of TLS 1.2, as it stands on the wire: version 3.3 and no extension that says otherwise.
fn tls12_hello() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    let extensions: [&[u8]; 3] = [
        // Groups: P-256. Points: uncompressed. Signatures: ECDSA with SHA-256.
        &[0, 10, 0, 4, 0, 2, 0, 23],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 4, 0, 2, 4, 3],
    ];
    let extensions = extensions.concat();
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut message = vec![1, 0];
    message.extend((hello.len() as u16).to_be_bytes());
    message.extend(hello);
    let mut record = vec![22, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

#[tokio::test]
async fn tls_1_2_is_refused_by_an_alert_that_says_so() {
    let lab = Lab::new();
    let mut listener = serving(&lab).await;
    let port = listener.local_address().port();
    let answer = nobody(&mut listener, async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(&tls12_hello()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    })
    .await;
    // A fatal alert, protocol_version.
    assert_eq!((answer.first(), answer.get(5..)), (Some(&21), Some(&[2, 70][..])));
    honest(&mut listener, &lab).await;
}

#[tokio::test]
async fn half_a_handshake_held_open_by_a_hundred_delays_nobody() {
    let lab = Lab::new();
    let mut listener = serving(&lab).await;
    let port = listener.local_address().port();
    let mut held = Vec::new();
    for at in 0..100 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // Nothing, the beginning of a record, or a whole hello without what follows.
        let bytes: &[u8] = [&[][..], &[22, 3, 1, 2, 0, 1]][at % 2];
        stream.write_all(bytes).await.unwrap();
        held.push(stream);
    }
    for _ in 0..3 {
        honest(&mut listener, &lab).await;
    }
    drop(held);
}

#[tokio::test]
async fn past_the_limit_of_handshakes_the_newest_is_closed_and_the_others_go_on() {
    let lab = Lab::new();
    let mut listener = serving(&lab).await;
    let port = listener.local_address().port();
    let mut held = Vec::new();
    for _ in 0..HANDSHAKES_MAX - 1 {
        held.push(nobody(&mut listener, TcpStream::connect(("127.0.0.1", port))).await.unwrap());
    }
    // The last one that there is room for.
    let (mut near, mut far) = pair(&client(&listener, lab.node("last")), &mut listener).await;
    talks(near.as_mut(), far.as_mut()).await;
    held.push(nobody(&mut listener, TcpStream::connect(("127.0.0.1", port))).await.unwrap());
    let said = refused(&client(&listener, lab.node("late")), &mut listener).await;
    assert!(said.contains("cannot reach"), "{said}");
    talks(near.as_mut(), far.as_mut()).await;
    // Once those who hold it up are gone there is room again.
    drop(held);
    loop {
        let transport = client(&listener, lab.node("again"));
        tokio::select! {
            again = opened(&transport) => match again {
                Ok(_) => break,
                Err(TransportError::Unreachable { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            accepted = poll_fn(|cx| listener.poll_accept(cx)) => {
                assert!(accepted.is_ok());
                break;
            }
        }
    }
}

/// The clock is paused, and jumps ahead as soon as all there is to do is wait.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_never_finished_is_ended() {
    let lab = Lab::new();
    let mut listener = serving(&lab).await;
    let mut stream = TcpStream::connect(("127.0.0.1", listener.local_address().port())).await.unwrap();
    let read = nobody(&mut listener, async {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map(|_| answer)
    })
    .await;
    assert!(read.is_ok_and(|answer| answer.is_empty()));
}

#[tokio::test]
async fn a_node_that_gets_another_certificate_shows_it_to_who_comes_next() {
    let lab = Lab::new();
    let files = lab.files("server");
    let credentials = Credentials::open(files.clone()).unwrap();
    let mut listener = TlsTransportListener::bind("tls://127.0.0.1:0", credentials.clone()).await.unwrap();
    let transport = client(&listener, lab.node("client"));
    let (mut near, mut far) = pair(&transport, &mut listener).await;

    // The files stay, and another node's are in them.
    let renamed = lab.files("renamed");
    std::fs::copy(&renamed.key, &files.key).unwrap();
    std::fs::copy(&renamed.certificate, &files.certificate).unwrap();
    credentials.reload().unwrap();
    let (mut near_new, mut far_new) = pair(&transport, &mut listener).await;
    assert_eq!((near.peer().to_string(), near_new.peer().to_string()), ("server".into(), "renamed".into()));
    talks(near.as_mut(), far.as_mut()).await;
    talks(near_new.as_mut(), far_new.as_mut()).await;
}

#[tokio::test]
async fn an_authority_takes_over_from_another_while_there_are_connections() {
    let (old, new) = (Lab::new(), Lab::new());
    let files = old.files("server");
    let credentials = Credentials::open(files.clone()).unwrap();
    let mut listener = TlsTransportListener::bind("tls://127.0.0.1:0", credentials.clone()).await.unwrap();
    let of_old = client(&listener, old.node("client"));
    let (mut near, mut far) = pair(&of_old, &mut listener).await;

    // First both are known, so that nodes can change over one by one.
    let both = format!("{}{}", old.authority.certificate_pem(), new.authority.certificate_pem());
    std::fs::write(&files.ca, &both).unwrap();
    credentials.reload().unwrap();
    let changing = new.files("client");
    std::fs::write(&changing.ca, &both).unwrap();
    let of_new = client(&listener, Credentials::open(changing).unwrap());
    for transport in [&of_old, &of_new] {
        let (mut near, mut far) = pair(transport, &mut listener).await;
        talks(near.as_mut(), far.as_mut()).await;
    }

    // Then the server has a certificate of the new one, which alone it knows.
    let next = new.files("server");
    for (from, to) in [(&next.ca, &files.ca), (&next.key, &files.key), (&next.certificate, &files.certificate)] {
        std::fs::copy(from, to).unwrap();
    }
    credentials.reload().unwrap();
    let (mut near_new, mut far_new) = pair(&of_new, &mut listener).await;
    talks(near_new.as_mut(), far_new.as_mut()).await;
    refused(&of_old, &mut listener).await;
    // No session is taken up again, and no connection ended.
    talks(near.as_mut(), far.as_mut()).await;
}

#[tokio::test]
async fn files_that_are_broken_leave_the_old_credentials_in_use() {
    let lab = Lab::new();
    let files = lab.files("server");
    let credentials = Credentials::open(files.clone()).unwrap();
    let mut listener = TlsTransportListener::bind("tls://127.0.0.1:0", credentials.clone()).await.unwrap();
    std::fs::write(&files.certificate, "half a certificate").unwrap();
    assert!(credentials.reload().is_err());
    honest(&mut listener, &lab).await;
}
