//! What any isorun transport must do: run against a user's own as well as ours.
//!
//! A case takes what makes the ends to try it on. [`channels`] wants a connected
//! pair of channels, [`endpoints`] a transport and the listener that it reaches;
//! [`conformance_suite!`] makes a test of every case. Nothing here sleeps, and a
//! case that hangs fails after [`CASE_MS_MAX`].

pub mod channels;
pub mod endpoints;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use isorun_core::{Channel, Listener, Transport, TransportError};

/// How long a case may take before it counts as hanging, in milliseconds.
pub const CASE_MS_MAX: u64 = 60_000;

/// Two channels, connected with each other.
pub type Ends = (Box<dyn Channel>, Box<dyn Channel>);

/// What opens channels, and what accepts them.
pub type Endpoint = (Box<dyn Transport>, Box<dyn Listener>);

/// Makes a test of every case, from `async fn() -> Ends` and `async fn() -> Endpoint`.
macro_rules! conformance_suite {
    ($connect:path, $listen:path) => {
        conformance_suite!(@cases channels, $connect,
            frames_arrive_whole_and_in_order_both_ways,
            the_smallest_and_the_largest_frame_pass,
            frames_of_a_wrong_size_are_refused_and_nothing_is_sent,
            frames_before_a_refused_one_arrive,
            sending_nothing_is_ready_at_once,
            closing_at_once_is_seen_as_the_end,
            closing_gives_the_frames_sent_and_then_the_end,
            closing_twice_is_harmless,
            a_frame_given_after_closing_is_refused_and_not_taken,
            one_way_closed_leaves_the_other_open,
            both_ends_may_close_at_once,
            dropping_an_end_ends_the_other,
            sending_to_a_dropped_end_fails_in_the_end,
            a_sender_waits_for_a_receiver_that_does_not_read_and_nothing_is_lost,
            closing_while_frames_wait_delivers_exactly_what_was_taken,
            dropping_while_frames_wait_never_delivers_part_of_one,
            a_receiver_that_waits_is_woken,
            one_task_drives_both_ways_at_full_load,
            the_peer_stays_who_it_is,
        );
        conformance_suite!(@cases endpoints, $listen,
            many_channels_at_once_keep_their_frames_apart,
            a_listener_that_waits_is_woken,
            a_channel_given_up_before_it_is_accepted_harms_no_other,
            a_call_sends_one_frame_and_gets_one_back,
            a_call_that_is_not_answered_is_closed,
            a_call_of_a_wrong_size_is_refused,
            opening_fails_once_the_listener_is_gone,
            a_listener_says_where_it_listens,
        );
    };
    (@cases $module:ident, $make:path, $($case:ident,)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                conformance::in_time(conformance::$module::$case($make)).await;
            }
        )+
    };
}

/// Runs a case, and fails it where it hangs.
pub async fn in_time(case: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_millis(CASE_MS_MAX), case).await.expect("the case hangs");
}

/// Opens a channel and accepts it.
pub async fn connect((transport, listener): &mut Endpoint) -> Ends {
    let (near, far) = tokio::join!(transport.open(), accept(listener.as_mut()));
    (near.unwrap(), far.unwrap())
}

/// The next channel.
pub async fn accept(listener: &mut dyn Listener) -> Result<Box<dyn Channel>, TransportError> {
    poll_fn(|cx| listener.poll_accept(cx)).await
}

/// Sends all of `queue`.
pub async fn send(channel: &mut dyn Channel, queue: &mut VecDeque<Bytes>) -> Result<(), TransportError> {
    poll_fn(|cx| channel.poll_send(cx, queue)).await
}

/// The next frame.
pub async fn recv(channel: &mut dyn Channel) -> Result<Option<Bytes>, TransportError> {
    poll_fn(|cx| channel.poll_recv(cx)).await
}

/// Frames up to the end, and the error that ended them, if any.
pub async fn recv_all(channel: &mut dyn Channel) -> (VecDeque<Bytes>, Option<TransportError>) {
    let mut frames = VecDeque::new();
    loop {
        match recv(channel).await {
            Ok(Some(frame)) => frames.push_back(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// Closes the sending side.
pub async fn close(channel: &mut dyn Channel) -> Result<(), TransportError> {
    poll_fn(|cx| channel.poll_close(cx)).await
}

/// A frame that differs from its neighbours, from its first byte to its last.
pub fn frame(index: usize, size: usize) -> Bytes {
    let mut frame = BytesMut::with_capacity(size);
    frame.extend_from_slice(&(index as u64).to_be_bytes()[8 - size.min(8)..]);
    frame.put_bytes(index as u8, size - frame.len());
    frame.freeze()
}

/// Frames one after the other, `count` of them, each of `size(index)` bytes.
pub fn frames(count: usize, size: impl Fn(usize) -> usize) -> VecDeque<Bytes> {
    (0..count).map(|index| frame(index, size(index))).collect()
}

/// Sends until the channel takes no more, though it is given every chance to; the number of frames it took.
pub async fn send_until_full(channel: &mut dyn Channel, queue: &mut VecDeque<Bytes>) -> usize {
    let before = queue.len();
    for _ in 0..CHANCES {
        let done = poll_fn(|cx| std::task::Poll::Ready(channel.poll_send(cx, queue))).await;
        assert!(done.is_pending(), "sent {before} frames to a receiver that does not read: {done:?}");
        tokio::task::yield_now().await;
    }
    before - queue.len()
}

/// How often a sender that waits is polled again.
const CHANCES: usize = 200;
