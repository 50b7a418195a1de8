//! Random sequences of what can happen to a supervisor, with its rules checked at each step.

use proptest::arbitrary::any;
use proptest::strategy::{Just, Strategy as Generator};
use proptest::test_runner::Config;
use proptest::{prop_oneof, proptest};

use super::*;

fn failed() -> Exit {
    Exit::Failed { reason: "it broke".into() }
}

/// What comes from outside: a child that is busy answers, time passes, somebody asks.
#[derive(Debug, Clone)]
enum Step {
    /// One of the busy children, counted round, comes to its next event: well, or not.
    Child(usize, Ending),
    After(u64),
    Add(Restart, bool),
    Remove(usize),
    Stop,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Well,
    Badly,
    Killed,
}

fn a_step() -> impl Generator<Value = Step> {
    let ending = prop_oneof![3 => Just(Ending::Well), 2 => Just(Ending::Badly), 1 => Just(Ending::Killed)];
    prop_oneof![
        24 => (any::<usize>(), ending).prop_map(|(which, ending)| Step::Child(which, ending)),
        8 => prop_oneof![0_u64..300, 0_u64..40_000].prop_map(Step::After),
        2 => a_child().prop_map(|(restart, is_alone)| Step::Add(restart, is_alone)),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => Just(Step::Stop),
    ]
}

/// When it is started again, and whether it is counted alone.
fn a_child() -> impl Generator<Value = (Restart, bool)> {
    (proptest::sample::select(Restart::ALL.to_vec()), any::<bool>())
}

/// What the outside knows of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Down,
    Starting,
    Up,
    /// Told to stop; whether it had come up before.
    Stopping(bool),
}

#[derive(Debug)]
struct Known {
    key: ChildKey,
    restart: Restart,
    /// Failures for which it was started again, if it is counted alone.
    alone: Option<Vec<Instant>>,
    seen: Seen,
    starts: u32,
    /// It ended by itself, as it may: nothing but a neighbour's failure starts it again.
    is_done: bool,
    /// When it last failed by itself.
    failed_at: Option<Instant>,
}

/// Carries out what the machine decides, and holds each decision against what it knows.
struct Outside {
    machine: Machine<()>,
    options: SupervisorOptions,
    known: Vec<Known>,
    now: Instant,
    /// Failures for which a child was started again, of a strategy that counts each of them.
    counted: Vec<Instant>,
    is_told_to_stop: bool,
    end: Option<Exit>,
}

impl Outside {
    fn new(options: SupervisorOptions, children: &[(Restart, bool)]) -> Self {
        let mut outside = Self {
            machine: Machine::new(options),
            options,
            known: Vec::new(),
            now: Instant::now(),
            counted: Vec::new(),
            is_told_to_stop: false,
            end: None,
        };
        for (restart, is_alone) in children {
            outside.add(*restart, *is_alone);
        }
        outside.machine.start().unwrap();
        outside.drain();
        outside
    }

    fn add(&mut self, restart: Restart, is_alone: bool) {
        let name = format!("child-{}", self.known.len()).into();
        let key = match is_alone {
            true => self.machine.add_alone(name, (), restart),
            false => self.machine.add(name, (), restart),
        };
        let alone = (is_alone && self.options.strategy == Strategy::OneForOne).then(Vec::new);
        let (starts, is_done, failed_at) = (0, false, None);
        self.known.push(Known { key, restart, alone, seen: Seen::Down, starts, is_done, failed_at });
    }

    fn drain(&mut self) {
        while let Some(decision) = self.machine.poll(self.now) {
            assert_eq!(self.end, None, "{decision:?} after the end");
            match decision {
                Decision::Start(key) => self.start(key),
                Decision::Stop(key) => self.stop(key),
                Decision::End(exit) => {
                    assert!(self.known.iter().all(|child| child.seen == Seen::Down), "an end while children are up");
                    assert!(self.is_told_to_stop || exit != Exit::Normal, "an end for nothing");
                    self.end = Some(exit);
                }
            }
        }
        self.check_progress();
    }

    fn start(&mut self, key: ChildKey) {
        let at = self.known.iter().position(|child| child.key == key).unwrap();
        let group = self.options.strategy != Strategy::OneForOne;
        assert!(!self.is_told_to_stop, "a start after it was told to stop");
        assert_eq!(self.known[at].seen, Seen::Down, "two starts at once");
        if group {
            // In order: nobody is on its way, and nobody is up that depends on this one.
            let on_its_way = |child: &Known| matches!(child.seen, Seen::Starting | Seen::Stopping(_));
            assert!(!self.known.iter().any(on_its_way), "a start beside another");
            assert!(self.known[at + 1..].iter().all(|child| child.seen == Seen::Down), "a start out of order");
        }
        let window = Duration::from_millis(self.options.window_ms);
        let child = &mut self.known[at];
        assert!(child.restart != Restart::Temporary || child.starts == 0, "a temporary child started again");
        assert!(group || !child.is_done, "a child started again that has ended well");
        let failed_at = child.failed_at.take();
        let waits_from = if group { self.machine.restarts.back().copied() } else { failed_at };
        if let Some(from) = waits_from.filter(|_| child.starts > 0) {
            assert!(self.now >= from + Duration::from_millis(self.options.backoff_ms), "no wait");
        }
        if let Some(failed_at) = failed_at.filter(|_| !group) {
            let counted = child.alone.as_mut().unwrap_or(&mut self.counted);
            counted.push(failed_at);
            let within = |then: &&Instant| **then <= failed_at && failed_at - **then < window;
            let recent = counted.iter().filter(within).count();
            assert!(
                recent <= self.options.restarts_max as usize || window.is_zero(),
                "{recent} restarts in the window"
            );
        }
        (child.seen, child.is_done) = (Seen::Starting, false);
        child.starts += 1;
    }

    fn stop(&mut self, key: ChildKey) {
        let at = self.known.iter().position(|child| child.key == key).unwrap();
        assert!(!self.known.iter().any(|child| matches!(child.seen, Seen::Stopping(_))), "two stops at once");
        if self.is_told_to_stop {
            assert!(self.known[at + 1..].iter().all(|child| child.seen == Seen::Down), "a stop out of order");
        }
        self.known[at].seen = match self.known[at].seen {
            Seen::Starting => Seen::Stopping(false),
            Seen::Up => Seen::Stopping(true),
            seen @ (Seen::Down | Seen::Stopping(_)) => panic!("a stop while {seen:?}"),
        };
    }

    /// Something always comes next, unless all is as it should be.
    fn check_progress(&self) {
        let busy = self.known.iter().any(|child| matches!(child.seen, Seen::Starting | Seen::Stopping(_)));
        let wakes = self.machine.wakes_at();
        assert!(wakes.is_none_or(|at| at > self.now), "a wake-up that is due already");
        assert!(
            busy || wakes.is_some() || self.end.is_some() || self.machine.is_settled(),
            "stuck: {:#?}",
            self.machine
        );
        assert_eq!(self.machine.census, self.machine.recount());
        let lists = self.machine.slots.iter().filter_map(|slot| slot.alone.as_ref()).chain([&self.machine.restarts]);
        lists.for_each(|restarts| assert!(restarts.len() <= self.options.restarts_max as usize));
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Child(which, ending) => {
                let busy: Vec<_> = (0..self.known.len()).filter(|at| self.known[*at].seen != Seen::Down).collect();
                if !busy.is_empty() {
                    self.child(busy[which % busy.len()], *ending);
                }
            }
            Step::After(ms) => self.now += Duration::from_millis(*ms),
            Step::Add(restart, is_alone) if self.known.len() < 12 => self.add(*restart, *is_alone),
            Step::Add(..) => {}
            Step::Remove(which) if !self.known.is_empty() => {
                let at = which % self.known.len();
                self.machine.remove(self.known[at].key);
                self.forget(at);
            }
            Step::Remove(_) => {}
            Step::Stop => {
                self.machine.stop();
                self.is_told_to_stop = true;
            }
        }
        self.drain();
    }

    /// Leaves out what the machine has forgotten.
    fn forget(&mut self, at: usize) {
        if self.machine.slot(self.known[at].key).is_none() {
            assert_eq!(self.known[at].seen, Seen::Down, "forgotten while it is up");
            self.known.remove(at);
        }
    }

    fn child(&mut self, at: usize, ending: Ending) {
        let exit = match ending {
            Ending::Well => Exit::Normal,
            Ending::Badly => failed(),
            Ending::Killed => Exit::Killed,
        };
        let child = &mut self.known[at];
        let (event, seen) = match (child.seen, ending) {
            (Seen::Starting, Ending::Well) => (ChildEvent::Started, Seen::Up),
            (Seen::Starting, _) => (ChildEvent::StartFailed(exit.clone()), Seen::Down),
            (Seen::Up, _) => (ChildEvent::Exited(exit.clone()), Seen::Down),
            // It came up in spite of being told to stop.
            (Seen::Stopping(false), Ending::Well) => (ChildEvent::Started, Seen::Stopping(true)),
            (Seen::Stopping(false), _) => (ChildEvent::StartFailed(exit.clone()), Seen::Down),
            (Seen::Stopping(true), _) => (ChildEvent::Exited(exit.clone()), Seen::Down),
            (Seen::Down, _) => unreachable!(),
        };
        if seen == Seen::Down && !matches!(child.seen, Seen::Stopping(_)) {
            child.is_done = child.restart == Restart::Temporary
                || (child.seen == Seen::Up && child.restart == Restart::Transient && exit == Exit::Normal);
            child.failed_at = (!child.is_done).then_some(self.now);
        }
        child.seen = seen;
        let (key, alone) = (child.key, child.alone.clone());
        let went_on = !self.machine.is_stopping();
        self.machine.handle(key, event, self.now).unwrap();
        if let Some(restarted) = alone {
            assert_eq!(!self.machine.is_stopping(), went_on, "one that is alone took others with it");
            let window = Duration::from_millis(self.options.window_ms);
            let recent = restarted.iter().filter(|then| self.now - **then < window).count();
            let gave_up = self.machine.slot(key).is_some_and(|slot| slot.gave_up);
            assert!(!gave_up || recent >= self.options.restarts_max as usize, "it gave up after {recent} restarts");
        }
        if seen == Seen::Down && self.machine.slot(key).is_some_and(|slot| slot.state.is_busy()) {
            panic!("busy though it is down");
        }
        self.forget(at);
        // Giving up is as good as being told to.
        self.is_told_to_stop |= self.machine.is_stopping();
    }

    /// Stops everything, answers everything, and sees that it ends, once.
    fn finish(mut self) {
        self.take(&Step::Stop);
        let steps = 3 * self.known.len() + 3;
        for _ in 0..steps {
            self.take(&Step::Child(0, Ending::Well));
        }
        assert!(self.end.is_some(), "it did not end: {:#?}", self.machine);
        let is_down = |slot: &Slot<()>| matches!(slot.state, SlotState::Ended | SlotState::Created);
        assert!(self.machine.slots().iter().all(is_down), "{:#?}", self.machine);
        assert_eq!(self.machine.poll(self.now + Duration::from_secs(3_600)), None);
    }
}

proptest! {
    #![proptest_config(Config::with_cases(1_000))]

    #[test]
    fn whatever_happens_no_rule_is_broken(
        strategy in proptest::sample::select(Strategy::ALL.to_vec()),
        restarts_max in 0_u32..6,
        window_ms in proptest::sample::select(vec![0_u64, 1_000, 60_000]),
        children in proptest::collection::vec(a_child(), 0..6),
        steps in proptest::collection::vec(a_step(), 0..120),
    ) {
        let options = SupervisorOptions { strategy, restarts_max, window_ms, ..SupervisorOptions::default() };
        let mut outside = Outside::new(options, &children);
        for step in &steps {
            outside.take(step);
        }
        outside.finish();
    }
}
