//! What a connected pair of channels must do.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use isorun_core::{Channel, FRAME_BYTES_MAX, TransportError};

use super::{Ends, close, frame, frames, recv, recv_all, send, send_until_full};

/// A load that no transport swallows without a reader: 64 MB.
const LOAD_FRAMES: usize = 1_000;
const LOAD_FRAME_BYTES: usize = 64 << 10;

fn load() -> VecDeque<Bytes> {
    frames(LOAD_FRAMES, |_| LOAD_FRAME_BYTES)
}

/// Sizes around the powers of two, where buffers have their edges, and odd ones between.
fn size_of(index: usize) -> usize {
    match index % 4 {
        0 => 1 + index % 50,
        1 => (1 << (index % 17)) + index % 11,
        2 => (1_usize << (index % 17)).saturating_sub(index % 11).max(1),
        _ => 1 + (index * 7_919) % 9_000,
    }
}

pub async fn frames_arrive_whole_and_in_order_both_ways(connect: impl AsyncFn() -> Ends) {
    let (near, far) = connect().await;
    let sent = frames(1_000, size_of);
    let pass = async |mut from: Box<dyn Channel>, mut to: Box<dyn Channel>| {
        let (done, found) = tokio::join!(
            async {
                send(from.as_mut(), &mut sent.clone()).await?;
                close(from.as_mut()).await
            },
            recv_all(to.as_mut()),
        );
        assert_eq!(done, Ok(()));
        assert_eq!(found.1, None);
        assert!(found.0 == sent, "frames were changed, lost or added");
    };
    pass(near, far).await;
    let (near, far) = connect().await;
    pass(far, near).await;
}

pub async fn the_smallest_and_the_largest_frame_pass(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    for size in [1, FRAME_BYTES_MAX, 1] {
        let mut queue = VecDeque::from([frame(size, size)]);
        let (sent, found) = tokio::join!(send(near.as_mut(), &mut queue), recv(far.as_mut()));
        assert_eq!(sent, Ok(()));
        assert!(found == Ok(Some(frame(size, size))), "a frame of {size} bytes was changed");
    }
}

pub async fn frames_of_a_wrong_size_are_refused_and_nothing_is_sent(connect: impl AsyncFn() -> Ends) {
    for size in [0, FRAME_BYTES_MAX + 1] {
        let (mut near, mut far) = connect().await;
        let mut queue = VecDeque::from([Bytes::from(vec![7; size])]);
        let expected = Err(TransportError::FrameSize { size, max: FRAME_BYTES_MAX });
        assert_eq!(send(near.as_mut(), &mut queue).await, expected);
        assert_eq!(queue.len(), 1, "the frame was taken");
        let mut good = VecDeque::from([frame(1, 10)]);
        assert_eq!(send(near.as_mut(), &mut good).await, expected, "an error is given again");
        assert_eq!(good.len(), 1, "a frame was taken after an error");
        assert_eq!(close(near.as_mut()).await, Ok(()));
        assert_eq!(recv(far.as_mut()).await, Ok(None));
    }
}

pub async fn frames_before_a_refused_one_arrive(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    let mut queue = VecDeque::from([frame(1, 10), frame(2, 20), Bytes::new(), frame(3, 30)]);
    let refused = send(near.as_mut(), &mut queue).await;
    assert_eq!(refused, Err(TransportError::FrameSize { size: 0, max: FRAME_BYTES_MAX }));
    assert_eq!(queue, [Bytes::new(), frame(3, 30)]);
    assert_eq!(close(near.as_mut()).await, Ok(()));
    assert_eq!(recv_all(far.as_mut()).await, ([frame(1, 10), frame(2, 20)].into(), None));
}

pub async fn sending_nothing_is_ready_at_once(connect: impl AsyncFn() -> Ends) {
    let (mut near, _far) = connect().await;
    let sent = poll_fn(|cx| Poll::Ready(near.poll_send(cx, &mut VecDeque::new()))).await;
    assert_eq!(sent, Poll::Ready(Ok(())));
}

pub async fn closing_at_once_is_seen_as_the_end(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    assert_eq!(close(near.as_mut()).await, Ok(()));
    for _ in 0..3 {
        assert_eq!(recv(far.as_mut()).await, Ok(None));
    }
}

pub async fn closing_gives_the_frames_sent_and_then_the_end(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    assert_eq!(send(near.as_mut(), &mut frames(20, size_of)).await, Ok(()));
    assert_eq!(close(near.as_mut()).await, Ok(()));
    let (found, error) = recv_all(far.as_mut()).await;
    assert_eq!(error, None);
    assert!(found == frames(20, size_of));
}

pub async fn closing_twice_is_harmless(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    for _ in 0..3 {
        assert_eq!(close(near.as_mut()).await, Ok(()));
    }
    assert_eq!(recv(far.as_mut()).await, Ok(None));
    for _ in 0..3 {
        assert_eq!(close(far.as_mut()).await, Ok(()));
    }
    assert_eq!(close(near.as_mut()).await, Ok(()));
    assert_eq!(recv(near.as_mut()).await, Ok(None));
}

pub async fn a_frame_given_after_closing_is_refused_and_not_taken(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    assert_eq!(close(near.as_mut()).await, Ok(()));
    let mut queue = VecDeque::from([frame(1, 10)]);
    assert_eq!(send(near.as_mut(), &mut queue).await, Err(TransportError::Closed));
    assert_eq!(queue.len(), 1);
    assert_eq!(recv(far.as_mut()).await, Ok(None));
}

pub async fn one_way_closed_leaves_the_other_open(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    assert_eq!(send(near.as_mut(), &mut frames(3, size_of)).await, Ok(()));
    assert_eq!(close(near.as_mut()).await, Ok(()));
    assert_eq!(recv_all(far.as_mut()).await, (frames(3, size_of), None));
    for index in 0..50 {
        let sent = VecDeque::from([frame(index, size_of(index))]);
        assert_eq!(send(far.as_mut(), &mut sent.clone()).await, Ok(()));
        assert_eq!(recv(near.as_mut()).await, Ok(sent.front().cloned()));
    }
    assert_eq!(close(far.as_mut()).await, Ok(()));
    assert_eq!(recv(near.as_mut()).await, Ok(None));
}

pub async fn both_ends_may_close_at_once(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    let closed = tokio::join!(close(near.as_mut()), close(far.as_mut()));
    assert_eq!(closed, (Ok(()), Ok(())));
    assert_eq!(recv(near.as_mut()).await, Ok(None));
    assert_eq!(recv(far.as_mut()).await, Ok(None));
}

pub async fn dropping_an_end_ends_the_other(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    assert_eq!(send(near.as_mut(), &mut frames(3, size_of)).await, Ok(()));
    drop(near);
    let (found, error) = recv_all(far.as_mut()).await;
    assert!(found == frames(3, size_of), "nothing was unread at the end that was dropped, so nothing is lost");
    assert_eq!(error, None);
}

pub async fn sending_to_a_dropped_end_fails_in_the_end(connect: impl AsyncFn() -> Ends) {
    let (near, mut far) = connect().await;
    drop(near);
    // The system may take a while to learn of it, and takes frames until then.
    let mut queue = load();
    let error = send(far.as_mut(), &mut queue).await.unwrap_err();
    assert!(matches!(error, TransportError::Closed | TransportError::Lost { .. }), "{error:?}");
    assert_eq!(send(far.as_mut(), &mut queue).await, Err(error), "an error is given again");
}

pub async fn a_sender_waits_for_a_receiver_that_does_not_read_and_nothing_is_lost(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    let mut queue = load();
    send_until_full(near.as_mut(), &mut queue).await;
    assert!(!queue.is_empty(), "all was taken, and nobody read it");
    let (sent, (found, error)) = tokio::join!(
        async {
            send(near.as_mut(), &mut queue).await?;
            close(near.as_mut()).await
        },
        recv_all(far.as_mut()),
    );
    assert_eq!((sent, error), (Ok(()), None));
    assert!(found == load(), "frames were changed, lost or added");
}

pub async fn closing_while_frames_wait_delivers_exactly_what_was_taken(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    let taken = send_until_full(near.as_mut(), &mut load()).await;
    let (closed, (found, error)) = tokio::join!(close(near.as_mut()), recv_all(far.as_mut()));
    assert_eq!((closed, error), (Ok(()), None));
    assert_eq!(found.len(), taken);
    assert!(found.iter().eq(load().iter().take(taken)), "frames were changed");
}

pub async fn dropping_while_frames_wait_never_delivers_part_of_one(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    let taken = send_until_full(near.as_mut(), &mut load()).await;
    drop(near);
    let (found, error) = recv_all(far.as_mut()).await;
    assert!(found.len() <= taken, "{} frames came of {taken} taken", found.len());
    assert!(found.iter().eq(load().iter().take(found.len())), "frames were changed");
    assert!(matches!(error, None | Some(TransportError::Lost { .. })), "{error:?}");
}

pub async fn a_receiver_that_waits_is_woken(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    let waits = poll_fn(|cx| Poll::Ready(far.poll_recv(cx))).await;
    assert_eq!(waits, Poll::Pending);
    let (found, sent) = tokio::join!(recv(far.as_mut()), async {
        tokio::task::yield_now().await;
        send(near.as_mut(), &mut frames(1, size_of)).await
    });
    assert_eq!((found, sent), (Ok(Some(frame(0, size_of(0)))), Ok(())));
    let (found, closed) = tokio::join!(recv(far.as_mut()), async {
        tokio::task::yield_now().await;
        close(near.as_mut()).await
    });
    assert_eq!((found, closed), (Ok(None), Ok(())));
}

pub async fn one_task_drives_both_ways_at_full_load(connect: impl AsyncFn() -> Ends) {
    // Each end sends and receives from one task, as a peer does: it deadlocks where
    // waiting to send forgets the waker that waits to receive.
    let drive = async |mut channel: Box<dyn Channel>| {
        let mut queue = load();
        let mut found = 0;
        poll_fn(|cx| {
            let sent = channel.poll_send(cx, &mut queue);
            assert!(matches!(sent, Poll::Pending | Poll::Ready(Ok(()))), "{sent:?}");
            while let Poll::Ready(frame) = channel.poll_recv(cx) {
                assert!(frame == Ok(Some(super::frame(found, LOAD_FRAME_BYTES))), "frame {found} was changed or lost");
                found += 1;
                if found == LOAD_FRAMES {
                    break;
                }
            }
            if sent.is_ready() && found == LOAD_FRAMES { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        // Kept, so that the other end can finish too.
        channel
    };
    let (near, far) = connect().await;
    tokio::join!(drive(near), drive(far));
}

pub async fn the_peer_stays_who_it_is(connect: impl AsyncFn() -> Ends) {
    let (mut near, mut far) = connect().await;
    let before = (near.peer().clone(), far.peer().clone());
    assert!(!before.0.to_string().is_empty() && !before.1.to_string().is_empty());
    assert_eq!(send(near.as_mut(), &mut frames(1, size_of)).await, Ok(()));
    assert_eq!(recv(far.as_mut()).await, Ok(Some(frame(0, size_of(0)))));
    assert_eq!(close(near.as_mut()).await, Ok(()));
    assert_eq!(recv(far.as_mut()).await, Ok(None));
    assert_eq!((near.peer(), far.peer()), (&before.0, &before.1));
}
