//! Handshakes that nobody means to finish: their first packets alone, sent again from one socket.

mod common;

use std::collections::HashSet;
use std::net::UdpSocket;
use std::time::Duration;

use isorun_conformance::drive::accept;
use isorun_core::{PeerIdentity, Transport};
use isorun_transport_quic::{HANDSHAKES_OF_ONE_MAX, HANDSHAKES_UNPROVEN_MAX};

use crate::common::{Network, bounded, quic, raw_endpoint, socket_of};

/// First packets of handshakes, by the connection ids that answers to them name.
///
/// They were meant for a socket that answers nothing.
async fn first_packets(network: &Network, count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    while found.len() < count {
        // A few at a time, so that the system drops none.
        let endpoint = raw_endpoint();
        let config = quic(network.client_config());
        let connect = || endpoint.connect_with(config.clone(), socket.local_addr().unwrap(), "127.0.0.1").unwrap();
        let target = count.min(found.len() + 8);
        let connecting: Vec<_> = (found.len()..target).map(|_| connect()).collect();
        while found.len() < target {
            let mut packet = vec![0; 2_000];
            let (length, _) = bounded(socket.recv_from(&mut packet)).await.unwrap();
            packet.truncate(length);
            let id = source_id(&packet).to_vec();
            // What comes of one later says that it comes again, or that it is given up.
            if seen.insert(id.clone()) {
                found.push((id, packet));
            }
        }
        drop(connecting);
    }
    found
}

/// The id of the sender's end, in a packet with a long header: flags, version, and two ids with their lengths.
fn source_id(packet: &[u8]) -> &[u8] {
    let rest = &packet[6 + usize::from(packet[5])..];
    &rest[1..1 + usize::from(rest[0])]
}

fn destination_id(packet: &[u8]) -> &[u8] {
    &packet[6..6 + usize::from(packet[5])]
}

/// Whether a packet says: come again, with this token.
fn is_retry(packet: &[u8]) -> bool {
    packet[0] & 0xf0 == 0xf0
}

#[tokio::test]
async fn handshakes_that_nobody_finishes_keep_nobody_out() {
    let network = Network::new();
    let mut listener = network.listener().await;
    let count = HANDSHAKES_OF_ONE_MAX + 36;
    let packets = first_packets(&network, count).await;
    let server = socket_of(&listener);

    let flood = tokio::task::spawn_blocking(move || {
        let (mut retried, mut begun) = (0, 0);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        for (id, packet) in &packets {
            socket.send(packet).unwrap();
            // One after the other, so that the system drops none; answers to earlier ones may come again.
            loop {
                let mut answer = [0; 2_000];
                let length = socket.recv(&mut answer).expect("each is answered");
                let answer = &answer[..length];
                if length > 6 && answer[0] & 0x80 != 0 && destination_id(answer) == id {
                    if is_retry(answer) {
                        retried += 1
                    } else {
                        begun += 1
                    }
                    break;
                }
            }
        }
        (retried, begun)
    });
    let (retried, begun) = bounded(flood).await.unwrap();
    assert_eq!((begun, retried), (HANDSHAKES_UNPROVEN_MAX, count - HANDSHAKES_UNPROVEN_MAX));

    // They still hold their places, and who proves its address gets in.
    let transport = network.client_of(&listener);
    let (near, far) = bounded(async { tokio::join!(transport.open(), accept(&mut listener)) }).await;
    assert_eq!(near.unwrap().peer(), &PeerIdentity::Authenticated { name: "server".into() });
    assert_eq!(far.unwrap().peer(), &PeerIdentity::Authenticated { name: "client".into() });
}
