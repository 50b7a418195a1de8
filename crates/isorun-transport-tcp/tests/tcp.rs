//! The transport over TCP: what every transport must do, and what only this one does.

use isorun_conformance::drive::{accept, connect, frames, recv_all, send};
use isorun_conformance::{Endpoint, conformance_suite};
use isorun_core::{Listener, PeerIdentity, Transport, TransportError};
use isorun_transport_tcp::{CONNECT_MS_MAX, ListenError, TcpAddress, TcpTransport, TcpTransportListener};

async fn listen() -> Endpoint {
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    Endpoint::new(TcpTransport::new(&listener.address()).unwrap(), listener)
}

conformance_suite!(listen);

#[tokio::test]
async fn what_was_sent_arrives_though_its_sender_was_dropped() {
    let (mut near, mut far) = connect(&mut listen().await).await.unwrap();
    assert_eq!(send(near.as_mut(), &mut frames(3, |_| 10)).await, Ok(()));
    drop(near);
    assert_eq!(recv_all(far.as_mut()).await, (frames(3, |_| 10), None));
}

#[tokio::test]
async fn both_ends_are_anonymous_by_their_addresses() {
    let mut endpoint = listen().await;
    let (near, far) = connect(&mut endpoint).await.unwrap();
    assert_eq!(near.peer(), &PeerIdentity::Anonymous { address: endpoint.listener.address() });
    let PeerIdentity::Anonymous { address } = far.peer() else { panic!("{:?}", far.peer()) };
    let address: TcpAddress = address.parse().unwrap();
    assert!(address.is_loopback() && address.port() != 0);
}

#[tokio::test]
async fn names_and_both_kinds_of_addresses_are_listened_on_and_reached() {
    let mut hosts = vec!["localhost", "127.0.0.1"];
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        hosts.push("[::1]");
    } else {
        eprintln!("this machine has no IPv6: [::1] is left out");
    }
    for host in hosts {
        let mut listener = TcpTransportListener::bind(&format!("tcp://{host}:0")).await.unwrap();
        assert!(listener.local_address().is_loopback() && listener.local_address().port() != 0);
        let transport = TcpTransport::new(&format!("tcp://{host}:{}", listener.local_address().port())).unwrap();
        let (near, far) = tokio::join!(transport.open(), accept(&mut listener));
        assert!(near.is_ok() && far.is_ok(), "{host}");
    }
}

#[tokio::test]
async fn an_address_in_use_or_of_another_machine_is_an_error_that_names_it() {
    let taken = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    // 192.0.2.0/24 is kept for documents: no machine has it.
    for address in [taken.address(), "tcp://192.0.2.1:7000".to_owned()] {
        let error = TcpTransportListener::bind(&address).await.unwrap_err();
        assert!(matches!(error, ListenError::Bind { .. }));
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
    }
    assert!(matches!(TcpTransportListener::bind("unix://a").await, Err(ListenError::Address(_))));
}

#[tokio::test]
async fn what_nobody_listens_on_is_unreachable_by_name_and_cause() {
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.address();
    drop(listener);
    let Err(TransportError::Unreachable { address, cause }) = TcpTransport::new(&gone).unwrap().open().await else {
        panic!("reached {gone}");
    };
    assert_eq!(address, gone);
    assert!(cause.contains("refused"), "{cause}");
}

/// The clock is paused and jumps ahead as soon as all there is to do is wait.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_answer_is_unreachable_after_a_bounded_time() {
    // A backlog that is full: the system drops what comes, and nobody ever answers.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let full = listener.local_addr().unwrap();
    let mut backlog = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&full, std::time::Duration::from_millis(50)) {
        backlog.push(stream);
    }
    let before = tokio::time::Instant::now();
    let error = TcpTransport::from(TcpAddress::from(full)).open().await.err();
    let cause = format!("no answer within {CONNECT_MS_MAX} ms");
    assert_eq!(error, Some(TransportError::Unreachable { address: format!("tcp://{full}"), cause }));
    assert_eq!(before.elapsed().as_millis() as u64 / 100, CONNECT_MS_MAX / 100);
}
