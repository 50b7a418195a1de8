//! All cases, with the rule that each is about.

use std::time::Duration;

use crate::{Broken, Endpoint, Rule, Verdict};

/// How long a case may take before it counts as hanging, in milliseconds.
pub const CASE_MS_MAX: u64 = 60_000;

/// Makes a test of every case.
///
/// Takes what makes a fresh [`Endpoint`]: an `async fn() -> Endpoint`, or a
/// closure that is one. The tests stand where the macro does; a `mod` around it
/// keeps the names of two transports apart.
#[macro_export]
macro_rules! conformance_suite {
    ($listen:expr) => {
        $crate::__each_case! { __tests ($listen) }
    };
}

/// Calls the macro `$with` with `$args` and all cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_case {
    ($with:ident $args:tt) => {
        $crate::$with! { $args
            Order channels::frames_arrive_in_order_both_ways,
            WholeFrames channels::frames_of_many_sizes_arrive_whole_both_ways,
            FrameSize channels::the_smallest_and_the_largest_frame_pass,
            FrameSize channels::frames_of_a_wrong_size_are_refused_and_nothing_is_sent,
            FrameSize channels::frames_before_a_refused_one_arrive,
            Close channels::sending_nothing_is_ready_at_once,
            Close channels::closing_at_once_is_seen_as_the_end,
            Close channels::closing_gives_the_frames_sent_and_then_the_end,
            Close channels::closing_twice_is_harmless,
            Close channels::a_frame_given_after_closing_is_refused_and_not_taken,
            Close channels::both_ends_may_close_at_once,
            Close channels::closing_while_frames_wait_delivers_exactly_what_was_taken,
            HalfClose channels::one_way_closed_leaves_the_other_open,
            HalfClose channels::the_end_that_was_reached_may_close_first,
            Dropped channels::dropping_an_end_ends_the_other,
            Dropped channels::sending_to_a_dropped_end_fails_in_the_end,
            Dropped channels::dropping_while_frames_wait_never_delivers_part_of_one,
            BackPressure channels::a_sender_waits_for_a_receiver_that_does_not_read_and_nothing_is_lost,
            BackPressure channels::a_receiver_that_does_not_read_may_still_send,
            Wakers channels::a_receiver_that_waits_is_woken,
            Wakers channels::one_task_drives_both_ways_at_full_load,
            PeerIdentity channels::the_peer_stays_who_it_is,
            ManyAtOnce endpoints::many_channels_at_once_keep_their_frames_apart,
            ManyAtOnce endpoints::one_channel_that_is_not_read_holds_up_no_other,
            Wakers endpoints::a_listener_that_waits_is_woken,
            Reach endpoints::a_channel_given_up_before_it_is_accepted_harms_no_other,
            Call endpoints::a_call_sends_one_frame_and_gets_one_back,
            Call endpoints::a_call_that_is_not_answered_is_closed,
            Call endpoints::a_call_of_a_wrong_size_is_refused,
            Reach endpoints::opening_fails_once_the_listener_is_gone,
            Reach endpoints::a_listener_says_where_it_listens,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    (($listen:expr) $($rule:ident $module:ident::$case:ident,)+) => {
        $(
            #[test]
            fn $case() {
                $crate::run($crate::Rule::$rule, stringify!($case), $crate::$module::$case($listen));
            }
        )+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __verdicts {
    (($broken:ident, $listen:ident) $($rule:ident $module:ident::$case:ident,)+) => {
        $($broken.extend(judge(Rule::$rule, stringify!($case), $crate::$module::$case(&$listen)).await.err());)+
    };
}

/// Tries one case after the other; the failures, none where the transport keeps every rule.
///
/// Runs within tokio. A case ends with its first failure, and the next goes on
/// with an endpoint of its own.
pub async fn broken_rules(listen: impl AsyncFn() -> Endpoint) -> Vec<Broken> {
    let mut broken = Vec::new();
    crate::__each_case! { __verdicts (broken, listen) }
    broken
}

/// Runs one case to its end in a tokio runtime of its own, as the tests that [`conformance_suite!`] makes do.
///
/// # Panics
/// Where the case fails, with the [`Broken`] rule; where there is no runtime to be had.
pub fn run(rule: Rule, name: &'static str, case: impl Future<Output = Verdict>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime to try a transport in: {error}"));
    if let Err(broken) = runtime.block_on(judge(rule, name, case)) {
        panic!("{broken}");
    }
}

/// Runs a case, and fails it where it hangs.
async fn judge(rule: Rule, case: &'static str, verdict: impl Future<Output = Verdict>) -> Result<(), Broken> {
    let verdict = tokio::time::timeout(Duration::from_millis(CASE_MS_MAX), verdict).await;
    let found = match verdict {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(found)) => found,
        Err(_) => format!("it hangs: not done after {CASE_MS_MAX} ms"),
    };
    Err(Broken { rule, case, found })
}
