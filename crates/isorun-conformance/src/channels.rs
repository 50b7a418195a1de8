//! What a connected pair of channels must do.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use isorun_core::{Channel, FRAME_BYTES_MAX, TransportError};

use crate::drive::{close, connect, frame, frames, recv, recv_all, send, send_and_close, send_until_full};
use crate::verdict::{all_frames, done, first_frames, holds, same, short};
use crate::woken::only_when_woken;
use crate::{Endpoint, Verdict};

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

fn frame_size(size: usize) -> Result<(), TransportError> {
    Err(TransportError::FrameSize { size, max: FRAME_BYTES_MAX })
}

/// Two channels, connected with each other, and what they came from.
struct Ends {
    near: Box<dyn Channel>,
    far: Box<dyn Channel>,
    _endpoint: Endpoint,
}

async fn ends(listen: impl AsyncFn() -> Endpoint) -> Result<Ends, String> {
    let mut endpoint = listen().await;
    let (near, far) = done("a channel is opened and accepted", connect(&mut endpoint).await)?;
    Ok(Ends { near, far, _endpoint: endpoint })
}

/// Does both at once; ends where `sending` fails, whatever the other one still waits for.
async fn both<T>(
    what: &str,
    sending: impl Future<Output = Result<(), TransportError>>,
    receiving: impl Future<Output = T>,
) -> Result<T, String> {
    let sending = async { done(what, only_when_woken(sending).await) };
    let receiving = async { Ok(only_when_woken(receiving).await) };
    tokio::try_join!(sending, receiving).map(|(_, received)| received)
}

/// Sends `sent` and closes; all of it must arrive, and then the end.
async fn pass(from: &mut dyn Channel, to: &mut dyn Channel, sent: VecDeque<Bytes>) -> Verdict {
    let (found, error) = both("sending and closing", send_and_close(from, sent.clone()), recv_all(to)).await?;
    all_frames(&found, &sent)?;
    same("what ends the frames", &error, &None)
}

/// Sends one frame, which must arrive while both ends stay open.
async fn pass_one(from: &mut dyn Channel, to: &mut dyn Channel, sent: Bytes) -> Verdict {
    let mut queue = VecDeque::from([sent.clone()]);
    let found = both("sending a frame", send(from, &mut queue), recv(to)).await?;
    same("the frame that came", &found, &Ok(Some(sent)))
}

/// Closes one end, which the other must see as the end.
async fn end(from: &mut dyn Channel, to: &mut dyn Channel) -> Verdict {
    let found = both("closing", close(from), recv(to)).await?;
    same("what comes after closing", &found, &Ok(None))
}

/// Rule: order.
pub async fn frames_arrive_in_order_both_ways(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    for from_near in [true, false] {
        let Ends { mut near, mut far, _endpoint } = ends(&listen).await?;
        let (from, to) = if from_near { (&mut near, &mut far) } else { (&mut far, &mut near) };
        pass(from.as_mut(), to.as_mut(), frames(1_000, |_| 8)).await?;
    }
    Ok(())
}

/// Rule: whole frames.
pub async fn frames_of_many_sizes_arrive_whole_both_ways(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    for from_near in [true, false] {
        let Ends { mut near, mut far, _endpoint } = ends(&listen).await?;
        let (from, to) = if from_near { (&mut near, &mut far) } else { (&mut far, &mut near) };
        pass(from.as_mut(), to.as_mut(), frames(1_000, size_of)).await?;
    }
    Ok(())
}

/// Rule: frame size, at 1 byte and at `FRAME_BYTES_MAX`.
pub async fn the_smallest_and_the_largest_frame_pass(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    for size in [1, FRAME_BYTES_MAX, 1] {
        let what = |broken| format!("a frame of {size} bytes: {broken}");
        pass_one(near.as_mut(), far.as_mut(), frame(size, size)).await.map_err(what)?;
        pass_one(far.as_mut(), near.as_mut(), frame(size + 1, size)).await.map_err(what)?;
    }
    Ok(())
}

/// Rule: frame size, at 0 bytes and at `FRAME_BYTES_MAX + 1`.
pub async fn frames_of_a_wrong_size_are_refused_and_nothing_is_sent(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    for size in [0, FRAME_BYTES_MAX + 1] {
        let Ends { mut near, mut far, _endpoint } = ends(&listen).await?;
        let mut queue = VecDeque::from([Bytes::from(vec![7; size])]);
        let refused = send(near.as_mut(), &mut queue).await;
        same(&format!("sending a frame of {size} bytes"), &refused, &frame_size(size))?;
        same("frames left in the queue", &queue.len(), &1)?;
        let mut good = VecDeque::from([frame(1, 10)]);
        same("sending after an error", &send(near.as_mut(), &mut good).await, &frame_size(size))?;
        same("frames left in the queue after an error", &good.len(), &1)?;
        end(near.as_mut(), far.as_mut()).await?;
    }
    Ok(())
}

/// Rule: frame size, in a queue with others.
pub async fn frames_before_a_refused_one_arrive(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    let mut queue = VecDeque::from([frame(1, 10), frame(2, 20), Bytes::new(), frame(3, 30)]);
    let mut refused = Ok(());
    let near = async {
        refused = send(near.as_mut(), &mut queue).await;
        close(near.as_mut()).await
    };
    let (found, error) = both("closing after an error", near, recv_all(far.as_mut())).await?;
    same("sending an empty frame after two others", &refused, &frame_size(0))?;
    same("what is left in the queue", &queue, &[Bytes::new(), frame(3, 30)].into())?;
    all_frames(&found, &[frame(1, 10), frame(2, 20)].into())?;
    same("what ends the frames", &error, &None)
}

/// Rule: close, with an empty queue.
pub async fn sending_nothing_is_ready_at_once(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, far: _far, _endpoint } = ends(listen).await?;
    let sent = poll_fn(|cx| Poll::Ready(near.poll_send(cx, &mut VecDeque::new()))).await;
    same("sending an empty queue", &sent, &Poll::Ready(Ok(())))
}

/// Rule: close, with nothing sent.
pub async fn closing_at_once_is_seen_as_the_end(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    end(near.as_mut(), far.as_mut()).await?;
    for _ in 0..3 {
        same("receiving after the end", &recv(far.as_mut()).await, &Ok(None))?;
    }
    Ok(())
}

/// Rule: close, with frames before it.
pub async fn closing_gives_the_frames_sent_and_then_the_end(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    pass(near.as_mut(), far.as_mut(), frames(20, size_of)).await?;
    for _ in 0..3 {
        same("receiving after the end", &recv(far.as_mut()).await, &Ok(None))?;
    }
    Ok(())
}

/// Rule: close, repeated at both ends.
pub async fn closing_twice_is_harmless(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    end(near.as_mut(), far.as_mut()).await?;
    for _ in 0..3 {
        same("closing again", &close(near.as_mut()).await, &Ok(()))?;
    }
    end(far.as_mut(), near.as_mut()).await?;
    for _ in 0..3 {
        same("closing again, the other end closed too", &close(near.as_mut()).await, &Ok(()))?;
        same("closing again, the other end closed too", &close(far.as_mut()).await, &Ok(()))?;
    }
    same("receiving at the end that closed first", &recv(near.as_mut()).await, &Ok(None))
}

/// Rule: close, and a frame after it.
pub async fn a_frame_given_after_closing_is_refused_and_not_taken(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    end(near.as_mut(), far.as_mut()).await?;
    let mut queue = VecDeque::from([frame(1, 10)]);
    for _ in 0..2 {
        let refused = send(near.as_mut(), &mut queue).await;
        same("sending after closing", &refused, &Err(TransportError::Closed))?;
        same("frames left in the queue", &queue.len(), &1)?;
    }
    same("receiving after the end", &recv(far.as_mut()).await, &Ok(None))
}

/// Rule: close, at both ends.
pub async fn both_ends_may_close_at_once(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    let closed = tokio::join!(close(near.as_mut()), close(far.as_mut()));
    same("closing both ends", &closed, &(Ok(()), Ok(())))?;
    let ended = tokio::join!(recv(near.as_mut()), recv(far.as_mut()));
    same("receiving at both ends", &ended, &(Ok(None), Ok(None)))
}

/// Rule: close, with a frame half on its way.
pub async fn closing_while_frames_wait_delivers_exactly_what_was_taken(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    let taken = send_until_full(near.as_mut(), &mut load()).await?;
    let closing = close(near.as_mut());
    let (found, error) = both("closing while frames wait", closing, recv_all(far.as_mut())).await?;
    all_frames(&found, &load().into_iter().take(taken).collect())?;
    same("what ends the frames", &error, &None)
}

/// Rule: half-close, by the end that opened.
pub async fn one_way_closed_leaves_the_other_open(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    half_close(near.as_mut(), far.as_mut()).await
}

/// Rule: half-close, by the end that was accepted.
pub async fn the_end_that_was_reached_may_close_first(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    half_close(far.as_mut(), near.as_mut()).await
}

async fn half_close(closes: &mut dyn Channel, goes_on: &mut dyn Channel) -> Verdict {
    pass(closes, goes_on, frames(3, size_of)).await?;
    for index in 0..50 {
        let what = |broken| format!("frame {index} towards the end that has closed: {broken}");
        pass_one(goes_on, closes, frame(index, size_of(index))).await.map_err(what)?;
    }
    end(goes_on, closes).await
}

/// Rule: dropped, with nothing on its way.
///
/// What was sent may get lost with the channel; what comes of it is its beginning.
pub async fn dropping_an_end_ends_the_other(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    let sent = frames(3, size_of);
    pass_one(near.as_mut(), far.as_mut(), frame(9, 9)).await?;
    let mut queue = sent.clone();
    let near = async move {
        let done = send(near.as_mut(), &mut queue).await;
        drop(near);
        done
    };
    let (found, error) = both("sending", near, recv_all(far.as_mut())).await?;
    first_frames(&found, &sent)?;
    ended_or_lost(error)
}

/// Rule: dropped, seen by the one who sends.
pub async fn sending_to_a_dropped_end_fails_in_the_end(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { near, mut far, _endpoint } = ends(listen).await?;
    drop(near);
    // The system may take a while to learn of it, and takes frames until then.
    let mut queue = load();
    let sent = send(far.as_mut(), &mut queue).await;
    let failed = matches!(sent, Err(TransportError::Closed | TransportError::Lost { .. }));
    holds(failed, format!("sending 64 MB to an end that was dropped: {}", short(&sent)))?;
    same("sending after an error", &send(far.as_mut(), &mut queue).await, &sent)
}

/// Rule: dropped, with a frame half on its way.
pub async fn dropping_while_frames_wait_never_delivers_part_of_one(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    let taken = send_until_full(near.as_mut(), &mut load()).await?;
    drop(near);
    let (found, error) = recv_all(far.as_mut()).await;
    first_frames(&found, &load().into_iter().take(taken).collect())?;
    ended_or_lost(error)
}

fn ended_or_lost(error: Option<TransportError>) -> Verdict {
    let good = matches!(error, None | Some(TransportError::Lost { .. }));
    holds(good, format!("what ends the frames of an end that was dropped: {}", short(&error)))
}

/// Rule: back-pressure.
pub async fn a_sender_waits_for_a_receiver_that_does_not_read_and_nothing_is_lost(
    listen: impl AsyncFn() -> Endpoint,
) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    let mut queue = load();
    send_until_full(near.as_mut(), &mut queue).await?;
    holds(!queue.is_empty(), "64 MB were taken, and nobody read them")?;
    let near = async {
        send(near.as_mut(), &mut queue).await?;
        close(near.as_mut()).await
    };
    let (found, error) = both("sending the rest", near, recv_all(far.as_mut())).await?;
    all_frames(&found, &load())?;
    same("what ends the frames", &error, &None)
}

/// Rule: back-pressure, one way alone.
pub async fn a_receiver_that_does_not_read_may_still_send(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    send_until_full(near.as_mut(), &mut load()).await?;
    for index in 0..20 {
        pass_one(far.as_mut(), near.as_mut(), frame(index, size_of(index))).await?;
    }
    Ok(())
}

/// Rule: wakers, of a receiver.
pub async fn a_receiver_that_waits_is_woken(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    let waits = poll_fn(|cx| Poll::Ready(far.poll_recv(cx))).await;
    same("receiving where nothing was sent", &waits, &Poll::Pending)?;
    let sending = async {
        tokio::task::yield_now().await;
        send(near.as_mut(), &mut [frame(1, 10)].into()).await
    };
    let found = both("sending to one who waits", sending, recv(far.as_mut())).await?;
    same("the frame that came", &found, &Ok(Some(frame(1, 10))))?;
    let closing = async {
        tokio::task::yield_now().await;
        close(near.as_mut()).await
    };
    let found = both("closing to one who waits", closing, recv(far.as_mut())).await?;
    same("what comes after closing", &found, &Ok(None))
}

/// Rule: wakers, of an end that sends and receives in one task.
///
/// It hangs where waiting to send forgets the waker that waits to receive.
pub async fn one_task_drives_both_ways_at_full_load(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { near, far, _endpoint } = ends(listen).await?;
    // Both are kept to the end, so that the slower one can finish too.
    tokio::try_join!(only_when_woken(both_ways(near)), only_when_woken(both_ways(far))).map(drop)
}

async fn both_ways(mut channel: Box<dyn Channel>) -> Result<Box<dyn Channel>, String> {
    let mut queue = load();
    let mut found = 0;
    let done = poll_fn(|cx| {
        let sent = channel.poll_send(cx, &mut queue);
        if let Poll::Ready(Err(error)) = &sent {
            return Poll::Ready(Err(format!("sending: {error}")));
        }
        while found < LOAD_FRAMES {
            let Poll::Ready(next) = channel.poll_recv(cx) else { break };
            same(&format!("frame {found}"), &next, &Ok(Some(frame(found, LOAD_FRAME_BYTES))))?;
            found += 1;
        }
        if sent.is_ready() && found == LOAD_FRAMES { Poll::Ready(Ok(())) } else { Poll::Pending }
    });
    done.await.map(|()| channel)
}

/// Rule: peer identity.
pub async fn the_peer_stays_who_it_is(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Ends { mut near, mut far, _endpoint } = ends(listen).await?;
    let before = (near.peer().clone(), far.peer().clone());
    let named = !before.0.to_string().is_empty() && !before.1.to_string().is_empty();
    holds(named, format!("a peer without a name: {}", short(&before)))?;
    pass_one(near.as_mut(), far.as_mut(), frame(1, 10)).await?;
    end(near.as_mut(), far.as_mut()).await?;
    same("the peers after closing", &(near.peer().clone(), far.peer().clone()), &before)
}
