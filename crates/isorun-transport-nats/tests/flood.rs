//! A stranger who floods a name that is served, and the channel of an honest consumer beside it.
//!
//! Alone in its file, so that the memory that is looked at is its own.
#![cfg(target_os = "linux")]

mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use isorun_conformance::drive::{accept, frame, recv, send};
use isorun_core::Transport;
use isorun_transport_nats::{NatsTransport, NatsTransportListener};
use server::NatsServer;

const MESSAGES: usize = 20_000;
const MESSAGE_BYTES: usize = 10_000;

/// What may come of it, in KiB.
const GROWTH_KIB_MAX: u64 = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_megabytes_for_nobody_take_little_memory_and_hold_up_nobody() {
    let server = NatsServer::start();
    let mut listener = NatsTransportListener::bind(&format!("{}/kv", server.url())).await.unwrap();
    let transport = NatsTransport::new(&format!("{}/kv", server.url())).unwrap();
    let (near, far) = tokio::join!(transport.open(), accept(&mut listener));
    let (mut near, mut far) = (near.ok().unwrap(), far.ok().unwrap());
    let before = peak_kib();
    let address = server.url().strip_prefix("nats://").unwrap().to_owned();
    let flood = tokio::task::spawn_blocking(move || flood(&address));
    let mut passed = 0;
    while !flood.is_finished() || passed < 100 {
        let both = async {
            let mut queue = [frame(passed, 1_000)].into();
            tokio::join!(send(near.as_mut(), &mut queue), recv(far.as_mut()))
        };
        let both = tokio::time::timeout(Duration::from_secs(60), both).await.expect("it hangs");
        assert_eq!(both, (Ok(()), Ok(Some(frame(passed, 1_000)))));
        passed += 1;
    }
    flood.await.unwrap();
    let growth = peak_kib() - before;
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
}

/// Requests with a subject to answer to, each of bytes that are none of ours.
fn flood(address: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("PUB isorun.kv rogue.answers {MESSAGE_BYTES}\r\n");
    let message = [head.as_bytes(), &[1; MESSAGE_BYTES], b"\r\n"].concat();
    stream.write_all(b"CONNECT {\"verbose\":false}\r\n").unwrap();
    for _ in 0..MESSAGES {
        stream.write_all(&message).unwrap();
    }
    // What the server says to the last is said after it has taken all of them.
    stream.write_all(b"PING\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut said = Vec::new();
    let mut bytes = [0; 4_096];
    while !said.ends_with(b"PONG\r\n") {
        match stream.read(&mut bytes).unwrap() {
            0 => panic!("the server closed: {}", String::from_utf8_lossy(&said)),
            size => said.extend_from_slice(&bytes[..size]),
        }
    }
}

/// The most memory that this process has held so far.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
