//! Each rule of the machine, by example.

use super::*;

fn failed() -> Exit {
    Exit::Failed { reason: "it broke".into() }
}

/// A machine, and the children as whoever carries out its decisions sees them.
struct Bench {
    machine: Machine<()>,
    now: Instant,
    /// Every decision since it was last looked at: `+a` starts a, `-a` stops it, and `end`.
    log: Vec<String>,
    end: Option<Exit>,
}

impl Bench {
    fn new(strategy: Strategy, children: &[(&str, Restart)]) -> Self {
        Self::with(SupervisorOptions { strategy, ..SupervisorOptions::default() }, children)
    }

    fn with(options: SupervisorOptions, children: &[(&str, Restart)]) -> Self {
        let mut machine = Machine::new(options);
        for (name, restart) in children {
            machine.add(Arc::from(*name), (), *restart);
        }
        let mut bench = Self { machine, now: Instant::now(), log: Vec::new(), end: None };
        bench.machine.start().unwrap();
        bench.drain();
        bench
    }

    /// A bench whose children all run.
    fn running(strategy: Strategy, children: &[(&str, Restart)]) -> Self {
        let mut bench = Self::new(strategy, children);
        for (name, _) in children {
            bench.hears(name, ChildEvent::Started);
        }
        bench.log.clear();
        bench
    }

    fn drain(&mut self) {
        while let Some(decision) = self.machine.poll(self.now) {
            let name = |key| self.machine.slot(key).unwrap().name.to_string();
            self.log.push(match decision {
                Decision::Start(key) => format!("+{}", name(key)),
                Decision::Stop(key) => format!("-{}", name(key)),
                Decision::End(exit) => {
                    self.end = Some(exit);
                    "end".into()
                }
            });
        }
    }

    fn key(&self, name: &str) -> ChildKey {
        self.machine.slots().iter().find(|slot| &*slot.name == name).unwrap().key
    }

    fn hears(&mut self, name: &str, event: ChildEvent) {
        self.machine.handle(self.key(name), event, self.now).unwrap();
        self.drain();
    }

    fn fails(&mut self, name: &str) {
        self.hears(name, ChildEvent::Exited(failed()));
    }

    fn stops(&mut self, name: &str) {
        self.hears(name, ChildEvent::Exited(Exit::Normal));
    }

    fn starts(&mut self, name: &str) {
        self.hears(name, ChildEvent::Started);
    }

    fn after_ms(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.drain();
    }

    fn is_told_to_stop(&mut self) {
        self.machine.stop();
        self.drain();
    }

    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.log), expected, "{:#?}", self.machine);
    }
}

const THREE: [(&str, Restart); 3] = [("a", Restart::Permanent), ("b", Restart::Permanent), ("c", Restart::Permanent)];

#[test]
fn children_start_in_order_each_after_the_one_before_and_stop_in_reverse() {
    for strategy in Strategy::ALL {
        let mut bench = Bench::new(strategy, &THREE);
        bench.check(&["+a"]);
        bench.starts("a");
        bench.starts("b");
        assert!(!bench.machine.is_settled());
        bench.starts("c");
        bench.check(&["+b", "+c"]);
        assert!(bench.machine.is_settled());
        bench.is_told_to_stop();
        bench.check(&["-c"]);
        bench.stops("c");
        bench.stops("b");
        bench.stops("a");
        bench.check(&["-b", "-a", "end"]);
        assert_eq!(bench.end, Some(Exit::Normal));
    }
}

#[test]
fn one_for_one_restarts_that_child_alone() {
    let mut bench = Bench::running(Strategy::OneForOne, &THREE);
    bench.fails("a");
    bench.after_ms(99);
    bench.check(&[]);
    assert_eq!(bench.machine.wakes_at(), Some(bench.now + Duration::from_millis(1)));
    bench.after_ms(1);
    bench.check(&["+a"]);
    assert_eq!(bench.machine.wakes_at(), None);
}

#[test]
fn one_for_one_restarts_wait_for_nobody() {
    let mut bench = Bench::running(Strategy::OneForOne, &THREE);
    bench.fails("a");
    bench.fails("c");
    bench.after_ms(100);
    bench.check(&["+a", "+c"]);
}

#[test]
fn one_for_all_stops_the_others_in_reverse_and_starts_all_in_order() {
    let mut bench = Bench::running(Strategy::OneForAll, &THREE);
    bench.fails("b");
    bench.check(&["-c"]);
    bench.after_ms(100);
    bench.check(&[]);
    bench.stops("c");
    bench.stops("a");
    bench.check(&["-a", "+a"]);
    bench.starts("a");
    bench.starts("b");
    bench.starts("c");
    bench.check(&["+b", "+c"]);
}

#[test]
fn rest_for_one_restarts_it_and_those_after_it() {
    let mut bench = Bench::running(Strategy::RestForOne, &THREE);
    bench.fails("b");
    bench.stops("c");
    bench.after_ms(100);
    bench.starts("b");
    bench.starts("c");
    bench.check(&["-c", "+b", "+c"]);
    bench.fails("c");
    bench.after_ms(100);
    bench.check(&["+c"]);
}

#[test]
fn whether_a_child_is_started_again_depends_on_its_kind_and_its_end() {
    let cases = [
        (Restart::Permanent, Exit::Normal, true),
        (Restart::Permanent, failed(), true),
        (Restart::Permanent, Exit::Killed, true),
        (Restart::Transient, Exit::Normal, false),
        (Restart::Transient, failed(), true),
        (Restart::Transient, Exit::Killed, true),
        (Restart::Temporary, Exit::Normal, false),
        (Restart::Temporary, failed(), false),
        (Restart::Temporary, Exit::Killed, false),
    ];
    for (restart, exit, again) in cases {
        for strategy in Strategy::ALL {
            let mut bench = Bench::running(strategy, &[("a", restart)]);
            bench.hears("a", ChildEvent::Exited(exit.clone()));
            bench.after_ms(100);
            bench.check(if again { &["+a"] } else { &[] });
        }
    }
}

#[test]
fn a_child_that_can_not_be_started_has_failed_whatever_it_says() {
    for (restart, again) in [(Restart::Permanent, true), (Restart::Transient, true), (Restart::Temporary, false)] {
        let mut bench = Bench::new(Strategy::OneForOne, &[("a", restart), ("b", Restart::Permanent)]);
        bench.hears("a", ChildEvent::StartFailed(Exit::Normal));
        bench.check(&["+a", "+b"]);
        bench.after_ms(100);
        bench.check(if again { &["+a"] } else { &[] });
    }
}

#[test]
fn in_order_a_child_is_not_passed_by_those_after_it_while_it_fails_to_start() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let mut bench = Bench::new(strategy, &THREE);
        bench.starts("a");
        bench.hears("b", ChildEvent::StartFailed(failed()));
        if strategy == Strategy::OneForAll {
            bench.stops("a");
            bench.after_ms(100);
            bench.starts("a");
            bench.check(&["+a", "+b", "-a", "+a", "+b"]);
        } else {
            bench.after_ms(100);
            bench.check(&["+a", "+b", "+b"]);
        }
    }
}

#[test]
fn a_neighbour_that_has_ended_comes_back_with_the_others_unless_it_is_temporary() {
    let children = [("a", Restart::Transient), ("b", Restart::Temporary), ("c", Restart::Permanent)];
    let mut bench = Bench::running(Strategy::OneForAll, &children);
    bench.stops("a");
    bench.fails("b");
    bench.check(&[]);
    bench.fails("c");
    bench.after_ms(100);
    bench.starts("a");
    bench.check(&["+a", "+c"]);
}

#[test]
fn a_temporary_child_that_is_stopped_for_a_neighbour_stays_down() {
    let mut bench = Bench::running(Strategy::OneForAll, &[("a", Restart::Permanent), ("b", Restart::Temporary)]);
    bench.fails("a");
    bench.stops("b");
    bench.after_ms(100);
    bench.starts("a");
    bench.check(&["-b", "+a"]);
    assert!(bench.machine.is_settled());
}

#[test]
fn a_child_that_dies_before_its_turn_to_be_stopped_counts_as_no_further_failure() {
    let mut bench = Bench::running(Strategy::OneForAll, &THREE);
    bench.fails("c");
    bench.check(&["-b"]);
    bench.fails("a");
    bench.fails("b");
    assert_eq!(bench.machine.restarts.len(), 1);
    bench.after_ms(100);
    bench.check(&["+a"]);
}

#[test]
fn a_child_before_that_fails_during_a_restart_widens_it() {
    let mut bench = Bench::running(Strategy::RestForOne, &THREE);
    bench.fails("b");
    bench.after_ms(50);
    bench.fails("a");
    bench.stops("c");
    assert_eq!(bench.machine.restarts.len(), 2);
    bench.after_ms(99);
    bench.check(&["-c"]);
    bench.after_ms(1);
    bench.starts("a");
    bench.starts("b");
    bench.check(&["+a", "+b", "+c"]);
}

#[test]
fn a_child_that_fails_while_the_next_is_started_again_begins_it_anew() {
    let mut bench = Bench::running(Strategy::OneForAll, &THREE[..2]);
    bench.fails("a");
    bench.stops("b");
    bench.after_ms(100);
    bench.starts("a");
    bench.check(&["-b", "+a", "+b"]);
    bench.fails("a");
    bench.check(&["-b"]);
    // It had started before it heard of that.
    bench.starts("b");
    bench.check(&[]);
    bench.stops("b");
    bench.after_ms(199);
    bench.check(&[]);
    bench.after_ms(1);
    bench.check(&["+a"]);
}

#[test]
fn told_to_stop_while_restarting_it_stops_what_is_up_and_starts_nothing() {
    let mut bench = Bench::running(Strategy::OneForAll, &THREE);
    bench.fails("c");
    bench.check(&["-b"]);
    bench.is_told_to_stop();
    bench.stops("b");
    bench.stops("a");
    bench.check(&["-a", "end"]);
    bench.after_ms(60_000);
    bench.check(&[]);

    let mut bench = Bench::running(Strategy::OneForOne, &THREE[..2]);
    bench.fails("a");
    bench.after_ms(100);
    bench.check(&["+a"]);
    bench.is_told_to_stop();
    bench.stops("b");
    bench.hears("a", ChildEvent::StartFailed(failed()));
    bench.check(&["-b", "-a", "end"]);
    assert_eq!(bench.end, Some(Exit::Normal));
}

#[test]
fn a_child_that_fails_while_it_is_stopped_is_not_started_again() {
    for (exit, strategy) in [(failed(), Strategy::OneForOne), (Exit::Killed, Strategy::OneForAll)] {
        let mut bench = Bench::running(strategy, &THREE);
        bench.is_told_to_stop();
        bench.hears("c", ChildEvent::Exited(exit.clone()));
        // This one did not wait for its turn.
        bench.fails("a");
        bench.stops("b");
        bench.check(&["-c", "-b", "end"]);
        assert_eq!(bench.machine.slots()[2].last_exit, Some(exit));
    }
}

#[test]
fn it_gives_up_at_one_failure_more_than_is_allowed_and_says_why() {
    let mut bench = Bench::running(Strategy::OneForOne, &THREE);
    for wait_ms in [100, 200, 400] {
        bench.fails("b");
        bench.after_ms(wait_ms);
        bench.starts("b");
    }
    bench.check(&["+b", "+b", "+b"]);
    bench.fails("b");
    bench.check(&["-c"]);
    bench.is_told_to_stop();
    bench.stops("c");
    bench.stops("a");
    bench.check(&["-a", "end"]);
    let reason = "gave up: `b` failed: it broke, and 3 restarts within 60000 ms are allowed".into();
    assert_eq!(bench.end, Some(Exit::Failed { reason }));
}

#[test]
fn restarts_are_forgotten_when_they_are_older_than_the_window() {
    for (ms, gives_up) in [(59_999, true), (60_000, false)] {
        let mut bench = Bench::running(Strategy::OneForOne, &THREE[..1]);
        let first = bench.now;
        for _ in 0..3 {
            bench.fails("a");
            bench.after_ms(1_000);
            bench.starts("a");
        }
        bench.now = first + Duration::from_millis(ms);
        bench.fails("a");
        assert_eq!(bench.end.is_some(), gives_up, "after {ms} ms");
    }
}

#[test]
fn what_comes_due_after_it_was_polled_is_not_overslept() {
    for strategy in Strategy::ALL {
        let mut bench = Bench::running(strategy, &THREE[..1]);
        bench.fails("a");
        let due = bench.now + Duration::from_millis(100);
        // The clock goes on between the last poll and the question when to wake.
        bench.now = due + Duration::from_millis(1);
        assert_eq!(bench.machine.wakes_at(), Some(due));
        bench.drain();
        bench.check(&["+a"]);
        assert_eq!(bench.machine.wakes_at(), None);
    }
}

#[test]
fn with_no_restarts_allowed_the_first_failure_ends_it() {
    let options = SupervisorOptions { restarts_max: 0, ..SupervisorOptions::default() };
    let mut bench = Bench::with(options, &[("a", Restart::Permanent)]);
    bench.hears("a", ChildEvent::StartFailed(failed()));
    bench.check(&["+a", "end"]);
    assert!(matches!(bench.end, Some(Exit::Failed { .. })));
}

#[test]
fn the_wait_grows_with_each_failure_and_is_short_again_after_a_steady_time() {
    let options = SupervisorOptions { restarts_max: u32::MAX, ..SupervisorOptions::default() };
    for (runs_ms, expected) in [(9_999, [100, 200, 400, 800]), (10_000, [100, 100, 100, 100])] {
        let mut bench = Bench::with(options, &[("a", Restart::Permanent)]);
        bench.starts("a");
        for wait_ms in expected {
            bench.after_ms(runs_ms);
            bench.fails("a");
            assert_eq!(bench.machine.wakes_at(), Some(bench.now + Duration::from_millis(wait_ms)));
            bench.after_ms(wait_ms);
            bench.starts("a");
        }
    }
}

#[test]
fn a_child_that_is_added_comes_last_and_one_that_is_removed_is_stopped_first() {
    for strategy in Strategy::ALL {
        let mut bench = Bench::running(strategy, &THREE[..2]);
        bench.machine.add("late".into(), (), Restart::Permanent);
        bench.drain();
        bench.check(&["+late"]);
        bench.starts("late");
        bench.machine.remove(bench.key("a"));
        bench.drain();
        bench.check(&["-a"]);
        bench.fails("a");
        bench.check(&[]);
        let names: Vec<_> = bench.machine.slots().iter().map(|slot| &*slot.name).collect();
        assert_eq!(names, ["b", "late"]);
    }
}

#[test]
fn a_child_that_waits_is_forgotten_at_once_when_it_is_removed() {
    let mut bench = Bench::running(Strategy::OneForOne, &THREE[..1]);
    bench.fails("a");
    bench.machine.remove(bench.key("a"));
    bench.after_ms(100);
    bench.check(&[]);
    assert!(bench.machine.slots().is_empty() && bench.machine.is_settled());
}

#[test]
fn it_starts_anew_once_it_has_ended_and_not_before() {
    let mut bench = Bench::running(Strategy::OneForOne, &[("a", Restart::Permanent), ("b", Restart::Temporary)]);
    assert!(bench.machine.start().is_err());
    bench.stops("b");
    bench.is_told_to_stop();
    assert!(bench.machine.start().is_err());
    bench.stops("a");
    bench.check(&["-a", "end"]);
    assert!(bench.machine.start().is_err(), "its end was not told yet");
    bench.machine.finish();
    bench.machine.start().unwrap();
    bench.drain();
    bench.starts("a");
    bench.check(&["+a", "+b"]);
}

#[test]
fn what_can_not_be_is_refused_and_changes_nothing() {
    let mut bench = Bench::new(Strategy::OneForOne, &THREE[..2]);
    let refused = |bench: &mut Bench, name: &str, event: ChildEvent| {
        let before = format!("{:?}", bench.machine);
        assert!(bench.machine.handle(bench.key(name), event, bench.now).is_err());
        assert_eq!(format!("{:?}", bench.machine), before);
    };
    refused(&mut bench, "a", ChildEvent::Exited(Exit::Normal));
    for event in [ChildEvent::Started, ChildEvent::StartFailed(failed()), ChildEvent::Exited(failed())] {
        refused(&mut bench, "b", event);
    }
    bench.starts("a");
    refused(&mut bench, "a", ChildEvent::Started);
    refused(&mut bench, "a", ChildEvent::StartFailed(failed()));
    let gone = ChildKey(7);
    assert!(bench.machine.handle(gone, ChildEvent::Started, bench.now).is_err());
}

#[test]
fn one_that_is_counted_alone_stays_down_when_it_fails_too_often_and_the_others_go_on() {
    let mut bench = Bench::running(Strategy::OneForOne, &[("a", Restart::Permanent)]);
    bench.machine.add_alone("bad".into(), (), Restart::Permanent);
    bench.machine.add_alone("good".into(), (), Restart::Permanent);
    bench.drain();
    bench.starts("bad");
    bench.starts("good");
    for pause in [100, 200, 400] {
        bench.fails("bad");
        bench.after_ms(pause);
        bench.starts("bad");
    }
    bench.check(&["+bad", "+good", "+bad", "+bad", "+bad"]);
    bench.fails("bad");
    bench.after_ms(60_000);
    bench.check(&[]);
    let bad = bench.machine.slot(bench.key("bad")).unwrap();
    assert_eq!((bad.state, bad.gave_up, bad.last_exit.clone()), (SlotState::Ended, true, Some(failed())));
    assert!(bench.machine.is_settled());
    // What it was allowed is not taken from the others.
    for _ in 0..3 {
        bench.fails("a");
        bench.after_ms(30_000);
        bench.starts("a");
    }
    bench.fails("good");
    bench.after_ms(100);
    bench.starts("good");
    assert_eq!((bench.end.clone(), bench.machine.slot(bench.key("good")).unwrap().restarts), (None, 1));
    bench.is_told_to_stop();
    bench.stops("good");
    bench.stops("a");
    assert_eq!(bench.end, Some(Exit::Normal));
    // Begun anew, it is as if it had never failed.
    bench.machine.finish();
    bench.machine.start().unwrap();
    bench.drain();
    bench.starts("a");
    bench.starts("bad");
    bench.fails("bad");
    bench.after_ms(100);
    let bad = bench.machine.slot(bench.key("bad")).unwrap();
    assert_eq!((bad.state, bad.gave_up), (SlotState::Starting { again: true }, false));
}

#[test]
fn where_children_are_restarted_together_they_are_counted_together() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let options = SupervisorOptions { strategy, restarts_max: 0, ..SupervisorOptions::default() };
        let mut bench = Bench::with(options, &[]);
        bench.machine.add_alone("a".into(), (), Restart::Permanent);
        bench.drain();
        bench.starts("a");
        bench.fails("a");
        bench.check(&["+a", "end"]);
    }
}
