//! What a transport and the listener that it reaches must do.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use isorun_core::{FRAME_BYTES_MAX, TransportError};

use super::{Endpoint, accept, close, connect, frame, recv, send};

/// Channels that are open at the same time.
const CHANNELS: usize = 50;

pub async fn many_channels_at_once_keep_their_frames_apart(listen: impl AsyncFn() -> Endpoint) {
    let mut endpoint = listen().await;
    let mut ends = Vec::new();
    for _ in 0..CHANNELS {
        ends.push(connect(&mut endpoint).await);
    }
    for round in 0..3 {
        for (index, (near, far)) in ends.iter_mut().enumerate() {
            let to_far = frame(index, 1_000 + round);
            let to_near = frame(CHANNELS + index, 2_000 + round);
            assert_eq!(send(near.as_mut(), &mut VecDeque::from([to_far])).await, Ok(()));
            assert_eq!(send(far.as_mut(), &mut VecDeque::from([to_near])).await, Ok(()));
        }
        for (index, (near, far)) in ends.iter_mut().enumerate().rev() {
            assert_eq!(recv(far.as_mut()).await, Ok(Some(frame(index, 1_000 + round))));
            assert_eq!(recv(near.as_mut()).await, Ok(Some(frame(CHANNELS + index, 2_000 + round))));
        }
    }
}

pub async fn a_listener_that_waits_is_woken(listen: impl AsyncFn() -> Endpoint) {
    let (transport, mut listener) = listen().await;
    let waits = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx).is_pending())).await;
    assert!(waits);
    let (accepted, opened) = tokio::join!(accept(listener.as_mut()), async {
        tokio::task::yield_now().await;
        transport.open().await
    });
    assert!(accepted.is_ok() && opened.is_ok());
}

pub async fn a_channel_given_up_before_it_is_accepted_harms_no_other(listen: impl AsyncFn() -> Endpoint) {
    let mut endpoint = listen().await;
    drop(endpoint.0.open().await);
    // Whether the one given up is still accepted is up to the system; the next one is.
    let mut opened = endpoint.0.open().await.unwrap();
    assert_eq!(send(opened.as_mut(), &mut VecDeque::from([frame(1, 10)])).await, Ok(()));
    for _ in 0..2 {
        let Ok(mut accepted) = accept(endpoint.1.as_mut()).await else { continue };
        if recv(accepted.as_mut()).await == Ok(Some(frame(1, 10))) {
            return;
        }
    }
    panic!("the second channel was not accepted");
}

pub async fn a_call_sends_one_frame_and_gets_one_back(listen: impl AsyncFn() -> Endpoint) {
    let (transport, mut listener) = listen().await;
    for size in [1, 1_000, FRAME_BYTES_MAX] {
        let (reply, ()) = tokio::join!(transport.call(frame(1, size)), async {
            let mut channel = accept(listener.as_mut()).await.unwrap();
            assert!(recv(channel.as_mut()).await == Ok(Some(frame(1, size))));
            assert_eq!(send(channel.as_mut(), &mut VecDeque::from([frame(2, size)])).await, Ok(()));
            assert_eq!(close(channel.as_mut()).await, Ok(()));
            // Kept until the caller has its reply and goes.
            assert!(matches!(recv(channel.as_mut()).await, Ok(None) | Err(TransportError::Lost { .. })));
        });
        assert!(reply == Ok(frame(2, size)), "the reply to {size} bytes was changed or lost");
    }
}

pub async fn a_call_that_is_not_answered_is_closed(listen: impl AsyncFn() -> Endpoint) {
    let (transport, mut listener) = listen().await;
    let (reply, ()) = tokio::join!(transport.call(frame(1, 10)), async {
        let mut channel = accept(listener.as_mut()).await.unwrap();
        assert_eq!(recv(channel.as_mut()).await, Ok(Some(frame(1, 10))));
    });
    assert_eq!(reply, Err(TransportError::Closed));
}

pub async fn a_call_of_a_wrong_size_is_refused(listen: impl AsyncFn() -> Endpoint) {
    let (transport, _listener) = listen().await;
    for size in [0, FRAME_BYTES_MAX + 1] {
        let reply = transport.call(vec![7; size].into()).await;
        assert_eq!(reply, Err(TransportError::FrameSize { size, max: FRAME_BYTES_MAX }));
    }
}

pub async fn opening_fails_once_the_listener_is_gone(listen: impl AsyncFn() -> Endpoint) {
    let (transport, listener) = listen().await;
    drop(listener);
    let error = transport.open().await.err();
    assert!(matches!(error, Some(TransportError::Unreachable { .. })), "{error:?}");
}

pub async fn a_listener_says_where_it_listens(listen: impl AsyncFn() -> Endpoint) {
    let mut endpoint = listen().await;
    let address = endpoint.1.address();
    assert!(address.contains(':'), "`{address}` is no URL");
    let _ends = connect(&mut endpoint).await;
    assert_eq!(endpoint.1.address(), address);
}
