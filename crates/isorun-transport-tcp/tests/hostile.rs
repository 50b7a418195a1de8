//! A peer that is no isorun, or means harm: raw sockets against a channel.

use std::collections::VecDeque;
use std::future::poll_fn;

use bytes::Bytes;
use isorun_core::{Channel, FRAME_BYTES_MAX, Listener, TransportError};
use isorun_transport_tcp::TcpTransportListener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A raw socket and the channel that was accepted from it.
async fn connect() -> (TcpStream, Box<dyn Channel>) {
    let mut listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let raw = TcpStream::connect(("127.0.0.1", listener.local_address().port())).await.unwrap();
    (raw, poll_fn(|cx| listener.poll_accept(cx)).await.unwrap())
}

async fn recv(channel: &mut dyn Channel) -> Result<Option<Bytes>, TransportError> {
    let next = poll_fn(|cx| channel.poll_recv(cx));
    tokio::time::timeout(std::time::Duration::from_secs(60), next).await.expect("nothing is received")
}

/// Checks what becomes of `bytes` that a peer sends, and then ends the stream or, `wait`ing, does not.
async fn check(bytes: &[u8], wait: bool, expected: &[Result<Option<&[u8]>, TransportError>]) {
    let (mut raw, mut channel) = connect().await;
    raw.write_all(bytes).await.unwrap();
    if !wait {
        raw.shutdown().await.unwrap();
    }
    for expected in expected {
        assert_eq!(
            recv(channel.as_mut()).await.as_ref().map(Option::as_deref),
            expected.as_ref().copied(),
            "{bytes:?}"
        );
    }
}

fn frame_size(size: usize) -> TransportError {
    TransportError::FrameSize { size, max: FRAME_BYTES_MAX }
}

fn cut_short() -> TransportError {
    TransportError::Lost { cause: "it ended in the middle of a frame".into() }
}

#[tokio::test]
async fn a_claim_over_the_limit_is_refused_before_a_byte_of_the_frame_comes() {
    for size in [FRAME_BYTES_MAX + 1, u32::MAX as usize] {
        check(&(size as u32).to_le_bytes(), true, &[Err(frame_size(size)), Err(frame_size(size))]).await;
    }
}

#[tokio::test]
async fn an_empty_frame_is_refused() {
    check(&[0, 0, 0, 0, 1, 0, 0, 0, 7], true, &[Err(frame_size(0)), Err(frame_size(0))]).await;
}

#[tokio::test]
async fn text_for_another_protocol_is_refused_as_a_frame_too_large() {
    check(b"GET / HTTP/1.1\r\n\r\n", true, &[Err(frame_size(0x2054_4547))]).await;
}

#[tokio::test]
async fn the_frames_before_a_bad_one_are_received() {
    let bytes = [&[2, 0, 0, 0, 7, 8, 1, 0, 0, 0, 9][..], &[255; 4]].concat();
    check(&bytes, true, &[Ok(Some(&[7, 8])), Ok(Some(&[9])), Err(frame_size(u32::MAX as usize))]).await;
}

#[tokio::test]
async fn an_end_between_frames_is_an_end_and_one_within_is_a_loss() {
    check(&[], false, &[Ok(None), Ok(None)]).await;
    check(&[1, 0, 0, 0, 7], false, &[Ok(Some(&[7])), Ok(None), Ok(None)]).await;
    for bytes in [&[1][..], &[1, 0, 0], &[1, 0, 0, 0], &[3, 0, 0, 0, 7, 8], &[0, 0, 64, 0, 1, 2]] {
        check(bytes, false, &[Err(cut_short()), Err(cut_short())]).await;
    }
    check(&[1, 0, 0, 0, 7, 2, 0, 0, 0, 8], false, &[Ok(Some(&[7])), Err(cut_short())]).await;
}

#[tokio::test]
async fn frames_that_come_byte_by_byte_are_received_whole() {
    let (mut raw, mut channel) = connect().await;
    raw.set_nodelay(true).unwrap();
    for byte in [3, 0, 0, 0, 7, 8] {
        raw.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
        let polled = poll_fn(|cx| std::task::Poll::Ready(channel.poll_recv(cx))).await;
        assert!(polled.is_pending());
    }
    raw.write_all(&[9]).await.unwrap();
    assert_eq!(recv(channel.as_mut()).await, Ok(Some(Bytes::from_static(&[7, 8, 9]))));
}

#[tokio::test]
async fn many_channels_that_claim_the_largest_frame_harm_nobody() {
    // That none of them takes memory for it is asserted beside the reader.
    let mut hostile = Vec::new();
    for _ in 0..100 {
        let (mut raw, mut channel) = connect().await;
        raw.write_all(&(FRAME_BYTES_MAX as u32).to_le_bytes()).await.unwrap();
        raw.write_all(&[1; 10]).await.unwrap();
        assert!(poll_fn(|cx| std::task::Poll::Ready(channel.poll_recv(cx).is_pending())).await);
        hostile.push((raw, channel));
    }
    let (mut raw, mut channel) = connect().await;
    raw.write_all(&[1, 0, 0, 0, 7]).await.unwrap();
    assert_eq!(recv(channel.as_mut()).await, Ok(Some(Bytes::from_static(&[7]))));
}

#[tokio::test]
async fn a_connection_that_is_reset_is_lost() {
    let (raw, mut channel) = connect().await;
    raw.set_zero_linger().unwrap();
    drop(raw);
    let error = recv(channel.as_mut()).await.unwrap_err();
    assert!(matches!(error, TransportError::Lost { .. }), "{error:?}");
    assert_eq!(recv(channel.as_mut()).await, Err(error), "an error is given again");
}

#[tokio::test]
async fn frames_travel_as_a_little_endian_length_and_their_bytes() {
    let (mut raw, mut channel) = connect().await;
    let mut queue = VecDeque::from([Bytes::from_static(b"hello"), Bytes::from(vec![7; 258])]);
    poll_fn(|cx| channel.poll_send(cx, &mut queue)).await.unwrap();
    poll_fn(|cx| channel.poll_close(cx)).await.unwrap();
    let mut found = Vec::new();
    raw.read_to_end(&mut found).await.unwrap();
    assert_eq!(found, [&[5, 0, 0, 0][..], b"hello", &[2, 1, 0, 0], &[7; 258]].concat());
}
