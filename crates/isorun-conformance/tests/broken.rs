//! The suite itself: a transport with one fault is caught, by the rule it breaks.

mod memory;

use std::collections::BTreeSet;

use isorun_conformance::{Broken, Rule, broken_rules, conformance_suite};
use memory::{Fault, endpoint};

mod no_fault {
    use super::*;

    conformance_suite!(async || endpoint(Fault::None));
}

/// All that is broken with `fault`. The clock is paused and jumps ahead as soon as a case hangs.
fn broken(fault: Fault) -> Vec<Broken> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(broken_rules(async || endpoint(fault)))
}

/// Checks that `fault` is told of as `rule`, with words that say what happened.
fn check(fault: Fault, rule: Rule, words: &str) {
    let broken = broken(fault);
    let told = broken.iter().any(|broken| broken.rule == rule && broken.found.contains(words));
    assert!(told, "{fault:?} is not told of as {rule:?} and `{words}`: {broken:#?}");
}

#[test]
fn frames_out_of_order_or_repeated_are_caught() {
    check(Fault::Reorders, Rule::Order, "frame 1 came in the place of frame 0");
    check(Fault::Repeats, Rule::Order, "frame 6 came in the place of frame 7");
}

#[test]
fn frames_that_are_not_whole_are_caught() {
    check(Fault::SplitsFrames, Rule::WholeFrames, "came with 4096 bytes and was sent with");
    check(Fault::JoinsFrames, Rule::WholeFrames, "bytes and was sent with");
    check(Fault::ChangesABit, Rule::WholeFrames, "came with its bytes changed");
}

#[test]
fn limits_that_are_not_kept_are_caught_on_both_sides() {
    check(Fault::IgnoresLimits, Rule::FrameSize, "sending a frame of 0 bytes: Ok(())");
    check(Fault::SmallerLimit, Rule::FrameSize, "a frame of 4194304 bytes: sending a frame: FrameSize");
    check(Fault::TakesWhatItRefuses, Rule::FrameSize, "frames left in the queue: 0, and not 1");
    check(Fault::ForgetsErrors, Rule::FrameSize, "sending after an error: Ok(())");
}

#[test]
fn closing_that_loses_fails_or_is_not_seen_is_caught() {
    check(Fault::DropsTheLastFrameOnClose, Rule::Close, "19 of 20 frames came, and then the end");
    check(Fault::ClosesOnlyOnce, Rule::Close, "closing again: Err(Closed)");
    check(Fault::NeverEnds, Rule::Close, "it hangs: not done after 60000 ms");
    check(Fault::TakesAfterClosing, Rule::Close, "sending after closing: Ok(())");
}

#[test]
fn half_close_that_is_not_half_is_caught() {
    check(Fault::ClosesBothWays, Rule::HalfClose, "towards the end that has closed");
    check(Fault::HalfClosesOneSideOnly, Rule::HalfClose, "it hangs");
}

#[test]
fn dropped_ends_that_are_not_told_of_or_cut_frames_are_caught() {
    check(Fault::NeverFails, Rule::Dropped, "sending 64 MB to an end that was dropped: Ok(())");
    check(Fault::CutsAFrameOnDrop, Rule::Dropped, "frames came of");
}

#[test]
fn senders_that_never_wait_or_lose_by_it_are_caught() {
    check(Fault::NoBackPressure, Rule::BackPressure, "1000 frames were sent to a receiver that does not read");
    check(Fault::LosesWhenFull, Rule::BackPressure, "came in the place of");
    check(Fault::OneWayAtATime, Rule::BackPressure, "it hangs");
}

#[test]
fn wakers_that_are_forgotten_are_caught() {
    check(Fault::NeverWakesReceivers, Rule::Wakers, "it hangs");
    check(Fault::NeverWakesListeners, Rule::Wakers, "it hangs");
}

#[test]
fn channels_that_are_mixed_up_are_caught() {
    check(Fault::MixesChannels, Rule::ManyAtOnce, "channel");
}

#[test]
fn peers_that_change_or_have_no_name_are_caught() {
    check(Fault::ChangesPeer, Rule::PeerIdentity, "the peers after closing");
    check(Fault::NamelessPeer, Rule::PeerIdentity, "a peer without a name");
}

#[test]
fn calls_with_a_wrong_end_are_caught() {
    check(Fault::EchoesCalls, Rule::Call, "the reply to 1 bytes");
    check(Fault::LosesCalls, Rule::Call, "the reply where there is none: Err(Lost");
}

#[test]
fn listeners_without_an_address_and_transports_to_nobody_are_caught() {
    check(Fault::OpensToNobody, Rule::Reach, "opening where nobody listens any more: Ok(");
    check(Fault::NoAddress, Rule::Reach, "a listener at `memory`, which is no URL");
}

#[test]
fn a_fault_in_one_place_is_told_of_in_that_place_alone() {
    for fault in [Fault::NamelessPeer, Fault::ClosesOnlyOnce, Fault::NoAddress, Fault::EchoesCalls] {
        let rules: BTreeSet<String> = broken(fault).iter().map(|broken| format!("{:?}", broken.rule)).collect();
        assert_eq!(rules.len(), 1, "{fault:?}: {rules:?}");
    }
}

#[test]
fn a_failing_test_says_rule_case_and_finding() {
    let broken = broken(Fault::NoAddress);
    let text: Vec<String> = broken.iter().map(ToString::to_string).collect();
    let expected = "broken rule: reach: a listener has an address, and one that is gone is not reached\n  \
                    case: a_listener_says_where_it_listens\n  \
                    found: a listener at `memory`, which is no URL";
    assert_eq!(text, [expected]);
}
