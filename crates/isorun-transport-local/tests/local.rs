//! The transport within one process: what every transport must do, and what only this one does.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use isorun_conformance::drive::{self, accept, close, frame, frames, recv, recv_all, send, send_until_full};
use isorun_conformance::{Endpoint, conformance_suite};
use isorun_core::{Channel, Listener, PeerIdentity, Transport, TransportError};
use isorun_transport_local::{BACKLOG_MAX, FRAMES_MAX, LocalChannelTransport};

async fn listen() -> Endpoint {
    let (a, b) = LocalChannelTransport::pair();
    Endpoint::new(a, b)
}

async fn connect() -> (Box<dyn Channel>, Box<dyn Channel>) {
    drive::connect(&mut listen().await).await.unwrap()
}

conformance_suite!(listen);

#[tokio::test]
async fn what_was_sent_arrives_though_its_sender_was_dropped() {
    let (mut near, mut far) = connect().await;
    assert_eq!(send(near.as_mut(), &mut frames(3, |_| 10)).await, Ok(()));
    drop(near);
    assert_eq!(recv_all(far.as_mut()).await, (frames(3, |_| 10), None));
}

#[tokio::test]
async fn a_direction_holds_its_limit_of_frames_and_not_one_more() {
    let (mut near, _far) = connect().await;
    assert_eq!(send(near.as_mut(), &mut frames(FRAMES_MAX, |_| 1)).await, Ok(()));
    assert_eq!(send_until_full(near.as_mut(), &mut frames(1, |_| 1)).await, Ok(0));
}

#[tokio::test]
async fn a_full_backlog_makes_opening_wait_until_one_is_accepted() {
    let (a, mut b) = LocalChannelTransport::pair();
    let mut opened = Vec::new();
    for _ in 0..BACKLOG_MAX {
        opened.push(a.open().await.unwrap());
    }
    let mut one_more = a.open();
    assert!(poll_fn(|cx| Poll::Ready(one_more.as_mut().poll(cx).is_pending())).await);
    let _accepted = accept(&mut b).await.unwrap();
    assert!(one_more.await.is_ok());
}

#[tokio::test]
async fn frames_are_counted_at_the_end_that_sends_them_over_all_its_channels() {
    let (a, mut b) = LocalChannelTransport::pair();
    let (from_a, from_b) = (a.counter(), b.counter());
    let a: Arc<dyn Transport> = Arc::new(a);
    for _ in 0..2 {
        let mut near = a.open().await.unwrap();
        let mut far = accept(&mut b).await.unwrap();
        assert_eq!(send(near.as_mut(), &mut frames(3, |_| 5)).await, Ok(()));
        assert_eq!(send(far.as_mut(), &mut frames(1, |_| 5)).await, Ok(()));
    }
    assert_eq!((from_a.frames_sent(), from_b.frames_sent(), b.frames_sent()), (6, 2, 2));
}

#[tokio::test]
async fn a_frame_that_was_not_sent_is_not_counted() {
    let (a, mut b) = LocalChannelTransport::pair();
    let mut near = a.open().await.unwrap();
    let far = accept(&mut b).await.unwrap();
    assert!(send(near.as_mut(), &mut VecDeque::from([Bytes::new()])).await.is_err());
    drop(near);
    let mut near = a.open().await.unwrap();
    drop((far, accept(&mut b).await.unwrap()));
    let mut queue = VecDeque::from([frame(1, 1)]);
    assert_eq!(send(near.as_mut(), &mut queue).await, Err(TransportError::Closed));
    assert_eq!((queue.len(), a.frames_sent()), (1, 0));
}

#[tokio::test]
async fn each_end_opens_channels_to_the_other_at_once() {
    let (a, b) = LocalChannelTransport::pair();
    let ((open_a, mut listen_a), (open_b, mut listen_b)) = (a.split(), b.split());
    let open_b = open_b.clone();
    let opened = tokio::join!(open_a.open(), open_b.open());
    let accepted = tokio::join!(accept(&mut listen_b), accept(&mut listen_a));
    for (opened, accepted, index) in [(opened.0, accepted.0, 1), (opened.1, accepted.1, 2)] {
        let (mut opened, mut accepted) = (opened.unwrap(), accepted.unwrap());
        assert_eq!(send(opened.as_mut(), &mut VecDeque::from([frame(index, 9)])).await, Ok(()));
        assert_eq!(recv(accepted.as_mut()).await, Ok(Some(frame(index, 9))));
        assert_eq!(opened.peer(), &PeerIdentity::SameProcess);
        assert_eq!(accepted.peer(), &PeerIdentity::SameProcess);
    }
}

#[tokio::test]
async fn a_listener_is_closed_once_nobody_can_open_and_all_were_accepted() {
    let (a, mut b) = LocalChannelTransport::pair();
    let mut near = a.open().await.unwrap();
    drop(a);
    let mut far = accept(&mut b).await.unwrap();
    assert_eq!(accept(&mut b).await.err(), Some(TransportError::Closed));
    assert_eq!(send(near.as_mut(), &mut frames(2, |_| 1)).await, Ok(()));
    assert_eq!(close(near.as_mut()).await, Ok(()));
    assert_eq!(recv_all(far.as_mut()).await, (frames(2, |_| 1), None));
}

#[tokio::test]
async fn channels_not_accepted_are_closed_with_their_listener() {
    let (a, b) = LocalChannelTransport::pair();
    let mut near = a.open().await.unwrap();
    assert_eq!(b.address(), "local:");
    drop(b);
    assert_eq!(recv(near.as_mut()).await, Ok(None));
    assert_eq!(send(near.as_mut(), &mut frames(1, |_| 1)).await, Err(TransportError::Closed));
}

#[tokio::test]
async fn frames_are_handed_over_and_not_copied() {
    let (mut near, mut far) = connect().await;
    let sent = frame(1, 1_000);
    assert_eq!(send(near.as_mut(), &mut VecDeque::from([sent.clone()])).await, Ok(()));
    let found = recv(far.as_mut()).await.unwrap().unwrap();
    assert_eq!(found.as_ptr(), sent.as_ptr());
}
