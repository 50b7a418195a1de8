//! What a transport and the listener that it reaches must do.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use isorun_core::{Channel, FRAME_BYTES_MAX, Transport, TransportError};

use crate::drive::{
    CHANCES, accept, close, connect, frame, frames, recv, recv_all, send, send_and_close, send_until_full,
};
use crate::verdict::{done, holds, same, short};
use crate::woken::only_when_woken;
use crate::{Endpoint, Verdict};

/// Channels that are open at the same time.
const CHANNELS: usize = 50;

/// Rule: many at once.
pub async fn many_channels_at_once_keep_their_frames_apart(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let mut endpoint = listen().await;
    let mut ends = Vec::new();
    for index in 0..CHANNELS {
        let what = format!("channel {index} is opened and accepted while the others are open");
        let (near, far) = done(&what, connect(&mut endpoint).await)?;
        ends.push((near, VecDeque::from([frame(index, 1_000)]), far, VecDeque::from([frame(CHANNELS + index, 2_000)])));
    }
    // All are sent, or on their way, before the first is received.
    for (near, to_far, far, to_near) in &mut ends {
        let begin = poll_fn(|cx| {
            let _ = (near.poll_send(cx, to_far), far.poll_send(cx, to_near));
            Poll::Ready(())
        });
        begin.await;
    }
    for (index, (near, to_far, far, to_near)) in ends.iter_mut().enumerate().rev() {
        let (sent, found) = tokio::join!(send(near.as_mut(), to_far), recv(far.as_mut()));
        same("sending", &sent, &Ok(()))?;
        same(&format!("at the accepted end of channel {index}"), &found, &Ok(Some(frame(index, 1_000))))?;
        let (sent, found) = tokio::join!(send(far.as_mut(), to_near), recv(near.as_mut()));
        same("sending", &sent, &Ok(()))?;
        same(&format!("at the opening end of channel {index}"), &found, &Ok(Some(frame(CHANNELS + index, 2_000))))?;
    }
    Ok(())
}

/// Rule: many at once, one of them full.
pub async fn one_channel_that_is_not_read_holds_up_no_other(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let mut endpoint = listen().await;
    let mut full = done("a channel is opened and accepted", connect(&mut endpoint).await)?;
    send_until_full(full.0.as_mut(), &mut frames(1_000, |_| 64 << 10)).await?;
    let (mut near, mut far) = done("another is opened and accepted", connect(&mut endpoint).await)?;
    let mut queue = VecDeque::from([frame(1, 10)]);
    let (sent, found) = tokio::join!(send(near.as_mut(), &mut queue), recv(far.as_mut()));
    same("sending on another channel", &sent, &Ok(()))?;
    same("receiving on another channel", &found, &Ok(Some(frame(1, 10))))
}

/// Rule: wakers, of a listener.
pub async fn a_listener_that_waits_is_woken(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Endpoint { transport, mut listener, kept: _kept } = listen().await;
    let waits = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx).is_pending())).await;
    holds(waits, "a listener gave a channel, or an error, before one was opened")?;
    let (accepted, opened) = tokio::join!(only_when_woken(accept(listener.as_mut())), async {
        tokio::task::yield_now().await;
        transport.open().await
    });
    done("accepting", accepted)?;
    done("opening", opened).map(drop)
}

/// Rule: reach, after a channel that was opened and dropped.
pub async fn a_channel_given_up_before_it_is_accepted_harms_no_other(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Endpoint { transport, mut listener, kept: _kept } = listen().await;
    open_and_give_up(transport.as_ref()).await;
    let open = async {
        let mut opened = done("opening the next", transport.open().await)?;
        same("sending on it", &send_and_close(opened.as_mut(), [frame(1, 10)].into()).await, &Ok(()))?;
        Ok(opened)
    };
    let accept_two = async {
        // Whether the one given up is still accepted is up to the system; the next one is.
        for _ in 0..2 {
            let Ok(mut accepted) = accept(listener.as_mut()).await else { continue };
            if recv(accepted.as_mut()).await == Ok(Some(frame(1, 10))) {
                return Ok(accepted);
            }
        }
        Err("the channel opened after one that was given up was not accepted".to_owned())
    };
    tokio::try_join!(open, accept_two).map(drop)
}

/// Opens a channel and drops it, or gives up opening it where that waits for somebody to accept.
async fn open_and_give_up(transport: &dyn Transport) {
    let mut open = transport.open();
    for _ in 0..CHANCES {
        if poll_fn(|cx| Poll::Ready(open.as_mut().poll(cx).is_ready())).await {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Rule: call, at 1 byte, at 1,000, and at `FRAME_BYTES_MAX`.
pub async fn a_call_sends_one_frame_and_gets_one_back(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Endpoint { transport, mut listener, kept: _kept } = listen().await;
    for size in [1, 1_000, FRAME_BYTES_MAX] {
        let answer = async {
            let mut channel = done("accepting a call", accept(listener.as_mut()).await)?;
            let request = recv(channel.as_mut()).await;
            same(&format!("a request of {size} bytes"), &request, &Ok(Some(frame(1, size))))?;
            let sent = send_and_close(channel.as_mut(), [frame(2, size)].into()).await;
            same("answering", &sent, &Ok(()))?;
            until_it_goes(channel.as_mut()).await;
            Ok(())
        };
        let call = async {
            let reply = transport.call(frame(1, size)).await;
            same(&format!("the reply to {size} bytes"), &reply, &Ok(frame(2, size)))
        };
        tokio::try_join!(call, answer)?;
    }
    Ok(())
}

/// Rule: call, closed without an answer.
pub async fn a_call_that_is_not_answered_is_closed(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Endpoint { transport, mut listener, kept: _kept } = listen().await;
    let close_it = async {
        let mut channel = done("accepting a call", accept(listener.as_mut()).await)?;
        same("the request", &recv(channel.as_mut()).await, &Ok(Some(frame(1, 10))))?;
        same("closing", &close(channel.as_mut()).await, &Ok(()))?;
        until_it_goes(channel.as_mut()).await;
        Ok(())
    };
    let call = async {
        let reply = transport.call(frame(1, 10)).await;
        same("the reply where there is none", &reply, &Err(TransportError::Closed))
    };
    tokio::try_join!(call, close_it).map(drop)
}

/// Keeps a channel until the other end has what it wants and goes: it may drop the channel, or close it.
async fn until_it_goes(channel: &mut dyn Channel) {
    let _ = recv_all(channel).await;
}

/// Rule: call, at 0 bytes and at `FRAME_BYTES_MAX + 1`.
pub async fn a_call_of_a_wrong_size_is_refused(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Endpoint { transport, mut listener, kept: _kept } = listen().await;
    for size in [0, FRAME_BYTES_MAX + 1] {
        let payload = Bytes::from(vec![7; size]);
        let refused = Err(TransportError::FrameSize { size, max: FRAME_BYTES_MAX });
        let mut call = transport.call(payload);
        // Whatever comes of it is accepted, and must be empty.
        let mut accepted: Option<Box<dyn Channel>> = None;
        let reply = poll_fn(|cx| {
            if let (None, Poll::Ready(Ok(channel))) = (&accepted, listener.poll_accept(cx)) {
                accepted = Some(channel);
            }
            call.as_mut().poll(cx)
        })
        .await;
        same(&format!("a call of {size} bytes"), &reply, &refused)?;
        if let Some(mut channel) = accepted {
            let (found, _) = recv_all(channel.as_mut()).await;
            holds(found.is_empty(), format!("of a call of {size} bytes came {}", short(&found)))?;
        }
    }
    Ok(())
}

/// Rule: reach, with nobody there.
pub async fn opening_fails_once_the_listener_is_gone(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let Endpoint { transport, listener, kept: _kept } = listen().await;
    drop(listener);
    let opened = transport.open().await.map(|_| "a channel");
    let unreachable = matches!(opened, Err(TransportError::Unreachable { .. }));
    holds(unreachable, format!("opening where nobody listens any more: {}", short(&opened)))
}

/// Rule: reach, by an address that is a URL.
pub async fn a_listener_says_where_it_listens(listen: impl AsyncFn() -> Endpoint) -> Verdict {
    let mut endpoint = listen().await;
    let address = endpoint.listener.address();
    holds(address.contains(':'), format!("a listener at `{address}`, which is no URL"))?;
    let _ends = done("a channel is opened and accepted", connect(&mut endpoint).await)?;
    same("its address after accepting", &endpoint.listener.address(), &address)
}
