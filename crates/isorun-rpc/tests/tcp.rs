//! Many calls at once over real sockets: small ones and large ones, both ways, on threads.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{ECHO, House, NEVER, Rooms, everything, within};
use isorun_core::{Bound, Callee, Directory, Failure};
use isorun_rpc::{Peer, PeerOptions, accept};
use isorun_transport_tcp::{TcpTransport, TcpTransportListener};
use tokio::task::JoinSet;

async fn ends() -> (Peer, Peer) {
    let mut listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = TcpTransport::new(&listener.local_address().to_string()).unwrap();
    let options = || {
        let directory: Arc<dyn Directory> = Arc::new(Rooms(House::new()));
        PeerOptions::serving(directory)
    };
    let (there, here) = tokio::join!(accept(&mut listener, options()), Peer::connect(Arc::new(transport), options()));
    (here.unwrap(), there.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_of_all_sizes_both_ways_at_once_all_come_back() {
    let (here, there) = ends().await;
    let mut calls = JoinSet::new();
    for peer in [&here, &there] {
        let bound: Arc<dyn Bound> = peer.instance("house").bind(&everything()).await.unwrap();
        for i in 0..500_usize {
            let bound = Arc::clone(&bound);
            // Up to 60 KiB, and now and then a megabyte: together more than any socket buffers.
            let size = if i % 50 == 0 { 1 << 20 } else { (i * 7919) % 61_440 };
            let args = Bytes::from(vec![i as u8; size]);
            calls.spawn(async move { bound.call(ECHO, &within(60_000), args.clone()).await.unwrap().results == args });
        }
    }
    while let Some(same) = calls.join_next().await {
        assert!(same.unwrap());
    }
    assert_eq!((here.in_flight(), there.in_flight()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_goes_away_resolves_what_is_in_flight() {
    let (here, there) = ends().await;
    let bound = here.instance("house").bind(&everything()).await.unwrap();
    let call = tokio::spawn(async move { bound.call(NEVER, &within(60_000), Bytes::new()).await });
    while there.in_service() == 0 {
        tokio::task::yield_now().await;
    }
    drop(there);
    let failed = call.await.unwrap().unwrap_err();
    assert!(matches!(failed.failure, Failure::Unknown { .. }), "{failed}");
    here.closed().await;
}
