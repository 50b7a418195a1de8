//! What the instances logged lately, and so what they may log now. No clock: each line comes with its time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{
    LOG_INSTANCE_BYTES_PER_SECOND_MAX, LOG_INSTANCE_LINES_PER_SECOND_MAX, LOG_INSTANCE_LINES_PER_SECOND_OWN,
    LOG_INSTANCES_MAX, LOG_LATECOMERS_MAX, LOG_LINES_PER_SECOND_MAX, LOG_SEATS_MAX,
};

/// What the instances logged in this second, which is the same for all and begins with its first line, and what they owe.
#[derive(Debug, Default)]
pub(super) struct Measures {
    since: Option<Instant>,
    /// Which second it is.
    round: u64,
    shared: Quota,
    latecomers: Quota,
    seats: usize,
    instances: HashMap<Box<str>, Measure>,
    /// Whether those that can be forgotten were, in this second: looking for them takes a while.
    is_swept: bool,
    /// Dropped lines of those that found no room here, and that nobody was told of yet.
    untold: u64,
}

/// What one instance logged.
#[derive(Debug, Default)]
struct Measure {
    /// The second in which it logged last, but for lines that were dropped for what it owes.
    round: u64,
    /// Whether it was among the first of them.
    is_seated: bool,
    lines: Quota,
    /// When what was read for it is paid for.
    paid: Option<Instant>,
    /// Its dropped lines that the sink was not told of yet.
    untold: u64,
}

// What LOG_INSTANCES_MAX promises.
const _: () = assert!(size_of::<(Box<str>, Measure)>() < 128);

/// Lines that were taken.
#[derive(Debug, Default, Clone, Copy)]
struct Quota(u32);

impl Quota {
    fn takes(&mut self, max: u32) -> bool {
        let taken = self.0 < max;
        self.0 += u32::from(taken);
        taken
    }
}

impl Measures {
    /// Begins a second, if the last one is over; how many lines were dropped and counted under no name, to be told of now.
    pub(super) fn turn(&mut self, now: Instant) -> u64 {
        let lasts = |since: Instant| now.saturating_duration_since(since) < SECOND;
        if self.since.is_some_and(lasts) {
            return 0;
        }
        self.since = Some(now);
        self.round += 1;
        (self.shared, self.latecomers, self.seats, self.is_swept) = (Quota::default(), Quota::default(), 0, false);
        std::mem::take(&mut self.untold)
    }

    /// Whether a line of the instance may be read; counts it as one or the other.
    pub(super) fn admits(&mut self, instance: &str, now: Instant) -> bool {
        if !self.instances.contains_key(instance) && !self.has_room(now) {
            self.untold += 1;
            return false;
        }
        let Self { round, shared, latecomers, seats, instances, .. } = self;
        let measure = match instances.get_mut(instance) {
            Some(measure) => measure,
            None => instances.entry(instance.into()).or_default(),
        };
        let admitted = !measure.owes(now) && measure.takes(*round, seats, latecomers, shared);
        measure.untold += u64::from(!admitted);
        admitted
    }

    /// Whether one more can be measured, once those that need not be are forgotten.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.instances.len() >= LOG_INSTANCES_MAX && !self.is_swept {
            self.is_swept = true;
            let Self { round, instances, untold, .. } = self;
            instances.retain(|_, measure| {
                let is_idle = measure.is_idle(*round, now);
                *untold += if is_idle { measure.untold } else { 0 };
                !is_idle
            });
        }
        self.instances.len() < LOG_INSTANCES_MAX
    }

    /// Charges the instance for a line that was read; how many of its lines were dropped before, to be told of now.
    pub(super) fn read(&mut self, instance: &str, now: Instant, bytes: u64) -> u64 {
        let Some(measure) = self.instances.get_mut(instance) else { return 0 };
        // Below 4 GiB, as a guest's memory is, the product has room.
        let nanos = bytes.min(u32::MAX.into()) * 1_000_000_000 / u64::from(LOG_INSTANCE_BYTES_PER_SECOND_MAX);
        measure.paid = measure.paid.unwrap_or(now).max(now).checked_add(Duration::from_nanos(nanos)).or(measure.paid);
        std::mem::take(&mut measure.untold)
    }
}

impl Measure {
    /// Whether there is a line for it in this second: of its own, or else of those that all share.
    fn takes(&mut self, round: u64, seats: &mut usize, latecomers: &mut Quota, shared: &mut Quota) -> bool {
        if self.round != round {
            self.round = round;
            self.lines = Quota::default();
            self.is_seated = *seats < LOG_SEATS_MAX;
            *seats += usize::from(self.is_seated);
        }
        let Quota(before) = self.lines;
        let is_own = match self.is_seated {
            true => before < LOG_INSTANCE_LINES_PER_SECOND_OWN,
            false => before == 0 && latecomers.takes(LOG_LATECOMERS_MAX),
        };
        before < LOG_INSTANCE_LINES_PER_SECOND_MAX
            && (is_own || shared.takes(LOG_LINES_PER_SECOND_MAX))
            && self.lines.takes(LOG_INSTANCE_LINES_PER_SECOND_MAX)
    }

    /// Whether it has read ahead by more than a second.
    fn owes(&self, now: Instant) -> bool {
        self.paid.is_some_and(|paid| paid.saturating_duration_since(now) > SECOND)
    }

    /// Whether it may be forgotten: a new one would admit the same. What it has to tell is kept for it for a while, and then
    /// told with that of others.
    fn is_idle(&self, round: u64, now: Instant) -> bool {
        let untold_rounds = if self.untold == 0 { 0 } else { UNTOLD_ROUNDS };
        self.paid.is_none_or(|paid| paid <= now) && self.round + untold_rounds < round
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Seconds in which others logged and an instance did not, after which its dropped lines are told with those of others, where
/// its place is wanted: so that those that are gone don't keep it.
const UNTOLD_ROUNDS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// A log whose time a test sets.
    #[derive(Default)]
    struct Log {
        measures: Measures,
        told: u64,
    }

    impl Log {
        /// Logs a line of a byte; what was dropped before it, if it came through.
        fn line(&mut self, instance: &str, now: Instant) -> Option<u64> {
            self.told += self.measures.turn(now);
            self.measures.admits(instance, now).then(|| self.measures.read(instance, now, 1))
        }

        /// How many of these lines came through.
        fn lines(&mut self, instance: &str, now: Instant, count: u32) -> u32 {
            (0..count).map(|_| u32::from(self.line(instance, now).is_some())).sum()
        }
    }

    #[test]
    fn a_second_has_room_for_its_lines_and_the_next_one_again() {
        let (start, mut log) = (Instant::now(), Log::default());
        let max = LOG_INSTANCE_LINES_PER_SECOND_MAX;
        assert_eq!(log.lines("a", start, max + 1), max);
        assert_eq!(log.line("a", start + Duration::from_millis(999)), None);
        assert_eq!(log.line("a", start + SECOND), Some(2));
        assert_eq!(log.line("a", start + SECOND / 2), Some(0), "a clock that goes back opens no second");
        assert_eq!(log.lines("a", start + SECOND, max), max - 2);
    }

    #[test]
    fn what_was_read_is_paid_for_before_more_is_read() {
        let (start, mut measures) = (Instant::now(), Measures::default());
        let second = u64::from(LOG_INSTANCE_BYTES_PER_SECOND_MAX);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(measures.admits("a", start));
        assert_eq!(measures.read("a", start, second), 0);
        assert!(measures.admits("a", start), "a second ahead is allowed");
        assert_eq!(measures.read("a", start, 63 * second), 0);
        assert!(!measures.admits("a", at(62)));
        assert!(measures.admits("b", at(62)), "another one owes nothing");
        assert!(measures.admits("a", at(63)));
        assert_eq!(measures.read("a", at(63), 1), 1);
    }

    #[test]
    fn four_hundred_that_log_without_end_silence_nobody_and_each_line_is_told_or_kept() {
        let (start, mut log) = (Instant::now(), Log::default());
        let (loud, each) = (400, 2 * LOG_INSTANCE_LINES_PER_SECOND_MAX);
        let (mut kept, mut told) = (0, 0);
        for second in 0..5 {
            let now = start + second * SECOND;
            for name in (0..loud).map(|name| format!("loud-{name}")) {
                let lines: Vec<u64> = (0..each).filter_map(|_| log.line(&name, now)).collect();
                assert!(!lines.is_empty(), "{name} in second {second}");
                kept += lines.len() as u64;
                told += lines.iter().sum::<u64>();
            }
            // What comes after all of them, and seldom, is heard in its second.
            if second % 2 == 1 {
                assert_eq!(log.line("seldom", now), Some(0));
            }
        }
        let end = start + 5 * SECOND;
        for name in (0..loud).map(|name| format!("loud-{name}")) {
            told += log.line(&name, end).unwrap();
        }
        assert_eq!(kept + told, 5 * loud * u64::from(each));
        assert_eq!(log.told, 0);
    }

    #[test]
    fn a_second_never_brings_more_lines_than_it_may() {
        let (now, mut log) = (Instant::now(), Log::default());
        let all: u32 = (0..2_000).map(|name: u32| log.lines(&name.to_string(), now, 101)).sum();
        assert_eq!(all as usize, super::super::LINES_PER_SECOND);
    }

    #[test]
    fn as_many_are_measured_as_may_be_and_those_beyond_are_told_together() {
        let (start, mut log) = (Instant::now(), Log::default());
        for name in 0..LOG_INSTANCES_MAX {
            log.lines(&name.to_string(), start, 101);
        }
        assert_eq!(log.lines("one more", start, 3), 0);
        assert_eq!(log.measures.instances.len(), LOG_INSTANCES_MAX);
        assert_eq!(log.told, 0);
        assert!(log.line("0", start + SECOND).is_some_and(|dropped| dropped > 0), "those that are known go on");
        assert_eq!(log.told, 3);
        assert_eq!(log.line("one more", start + SECOND), None, "the others have yet to be told");
        // That one has been told, and is forgotten.
        assert_eq!(log.line("one more", start + 2 * SECOND), Some(0));
        assert_eq!(log.told, 4);
        assert_eq!(log.measures.instances.len(), LOG_INSTANCES_MAX);
    }

    #[test]
    fn those_that_are_gone_make_room_and_what_was_dropped_of_them_is_told() {
        let (start, mut log) = (Instant::now(), Log::default());
        let kept: u32 = (0..LOG_INSTANCES_MAX).map(|name| log.lines(&name.to_string(), start, 101)).sum();
        let dropped = 101 * LOG_INSTANCES_MAX as u64 - u64::from(kept);
        let mut seconds = 0;
        while log.line("one more", start + seconds * SECOND).is_none() {
            seconds += 1;
            assert!(u64::from(seconds) <= UNTOLD_ROUNDS + 1);
        }
        assert_eq!(log.measures.instances.len(), 1);
        log.line("one more", start + (seconds + 1) * SECOND);
        assert_eq!(log.told, dropped + u64::from(seconds));
    }
}
