//! What goes wrong, and how it mends.

use crate::channel::Stage;
use crate::plan::pick;
use crate::world::{Due, EndAt, World};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A connection breaks, in the middle of what is under way; each end learns it by itself.
    Cut,
    /// A connection carries nothing any more, in one direction or both, and nobody is told.
    HalfOpen,
    /// An end reads nothing for a while.
    Slow,
    /// A connection carries nothing for a while.
    Stall,
    /// Two hosts hear nothing of each other for a while.
    Partition(usize, usize),
    /// A host stops, and starts with nothing.
    Restart(usize),
    /// A host goes away from all its connections, and accepts none until it has.
    Drain(usize),
}

/// How long an end is slow, or a connection stalls, at most, in microseconds: too short for it to be given up.
const PAUSE_US: u64 = 1_500_000;

/// How long a partition lasts, at most, in microseconds.
const PARTITION_US: u64 = 5_000_000;

/// How long a host is down, at most, in microseconds.
const DOWN_US: u64 = 1_500_000;

/// How long a host drains, at most, in microseconds.
const DRAIN_US: u64 = 2_000_000;

/// How long an end may take to learn that its channel broke, at most, in microseconds.
const NOTICE_US: u64 = 300_000;

impl World {
    pub(crate) fn next_fault(&mut self) {
        if let Some(mean) = self.plan.fault_us {
            let us = self.rng.u64(1..=2 * mean);
            if self.now + us < self.plan.work_us {
                self.after(us, Due::Fault);
            }
        }
    }

    /// Something goes wrong.
    pub(crate) fn fault(&mut self) {
        let host = self.rng.usize(..self.hosts.len());
        let other = (host + self.rng.usize(1..self.hosts.len())) % self.hosts.len();
        let pair = Fault::Partition(host.min(other), host.max(other));
        let kinds = [
            Fault::Cut,
            Fault::Cut,
            Fault::Cut,
            Fault::HalfOpen,
            Fault::Slow,
            Fault::Slow,
            Fault::Stall,
            Fault::Stall,
            pair,
            Fault::Restart(host),
            Fault::Drain(host),
            Fault::Drain(host),
        ];
        let kind = *pick(&mut self.rng, &kinds);
        match kind {
            Fault::Cut | Fault::HalfOpen | Fault::Slow | Fault::Stall => {
                let Some(at) = self.some_end() else { return };
                self.note_at(at, || format!("FAULT {kind:?}"));
                match kind {
                    Fault::Cut => self.cut(at.0),
                    Fault::HalfOpen => self.half_open(at),
                    Fault::Slow => self.slow(at),
                    _ => self.stall(at),
                }
            }
            Fault::Partition(one, two) => self.partition(one, two),
            Fault::Restart(host) => self.crash(host),
            Fault::Drain(host) => self.drain(host),
        }
        self.counts.faults += 1;
    }

    /// An end that runs, if there is one.
    fn some_end(&mut self) -> Option<EndAt> {
        let all = (0..self.channels.len()).flat_map(|channel| [(channel, 0), (channel, 1)]);
        let running: Vec<EndAt> = all.filter(|at| self.end(*at).stage == Stage::Running).collect();
        (!running.is_empty()).then(|| *pick(&mut self.rng, &running))
    }

    fn cut(&mut self, channel: usize) {
        self.channels[channel].faulted = true;
        for side in 0..2 {
            self.lose((channel, side));
            let us = self.rng.u64(0..NOTICE_US);
            self.after(us, Due::Broke((channel, side)));
        }
    }

    fn half_open(&mut self, (channel, side): EndAt) {
        self.channels[channel].faulted = true;
        self.lose((channel, side));
        if self.rng.bool() {
            self.lose((channel, 1 - side));
        }
    }

    /// Loses what that end sends, but for some of what is under way.
    fn lose(&mut self, (channel, side): EndAt) {
        let now = self.now;
        let kept = self.rng.usize(..4);
        self.channels[channel].pipes[side].lose(now, kept);
    }

    fn slow(&mut self, at: EndAt) {
        let us = self.rng.u64(1_000..PAUSE_US);
        let until = self.now + us;
        let end = self.end_mut(at);
        end.slow_until = end.slow_until.max(until);
        self.after(us, Due::Arrive(at));
    }

    fn stall(&mut self, (channel, _): EndAt) {
        let until = self.now + self.rng.u64(1_000..PAUSE_US);
        self.hold(channel, until);
    }

    /// Holds up what is under way on a channel.
    fn hold(&mut self, channel: usize, until: u64) {
        let now = self.now;
        for side in 0..2 {
            self.channels[channel].pipes[side].stall(now, until);
            // What arrives later than was said must be looked for later.
            for back in 0..self.channels[channel].pipes[side].frames.len() {
                let (arrives, _) = self.channels[channel].pipes[side].frames[back];
                if arrives != u64::MAX && arrives > now {
                    self.after(arrives - now, Due::Arrive((channel, 1 - side)));
                }
            }
            if let Some(closed) = self.channels[channel].pipes[side].closed.filter(|closed| *closed > now) {
                self.after(closed - now, Due::Arrive((channel, 1 - side)));
            }
        }
    }

    fn partition(&mut self, one: usize, two: usize) {
        let until = self.now + self.rng.u64(10_000..PARTITION_US);
        let last = self.partitions.entry((one, two)).or_default();
        *last = until.max(*last);
        self.trace.note(self.now, || format!("FAULT partition of h{one} and h{two} until {until} us"));
        for channel in 0..self.channels.len() {
            let ends = &self.channels[channel].ends;
            let hosts = (ends[0].host.min(ends[1].host), ends[0].host.max(ends[1].host));
            if hosts == (one, two) {
                self.channels[channel].faulted = true;
                self.hold(channel, until);
            }
        }
    }

    /// Until when two hosts hear nothing of each other.
    pub(crate) fn partitioned(&self, one: usize, two: usize) -> Option<u64> {
        let until = self.partitions.get(&(one.min(two), one.max(two))).copied();
        until.filter(|until| *until > self.now)
    }

    fn crash(&mut self, host: usize) {
        if !self.hosts[host].up {
            return;
        }
        self.trace.note(self.now, || format!("FAULT h{host} stops"));
        self.hosts[host].up = false;
        self.hosts[host].incarnation += 1;
        self.hosts[host].links.clear();
        self.stop_application(host);
        self.abandon_calls(host);
        self.abandon_serves(host);
        for channel in 0..self.channels.len() {
            for side in 0..2 {
                if self.end((channel, side)).host == host && self.end((channel, side)).stage != Stage::Gone {
                    self.crash_end((channel, side));
                }
            }
        }
        let us = self.rng.u64(1_000..DOWN_US);
        self.after(us, Due::Undo(Fault::Restart(host)));
    }

    fn crash_end(&mut self, (channel, side): EndAt) {
        self.channels[channel].faulted = true;
        let end = self.end_mut((channel, side));
        end.stage = Stage::Gone;
        // Nobody is there to hear what becomes of its requests.
        end.connection.connection_lost("its host stopped");
        while end.connection.poll_event().is_some() {}
        end.queue.clear();
        end.waits.clear();
        end.asked.clear();
        end.bound.clear();
        end.offered.clear();
        self.lose((channel, side));
        self.lose((channel, 1 - side));
        // A host that lost its power tells nobody.
        if self.rng.u32(..3) > 0 {
            let us = self.rng.u64(0..NOTICE_US);
            self.after(us, Due::Broke((channel, 1 - side)));
        }
    }

    /// Mends what can be; the host that is to start.
    pub(crate) fn undo(&mut self, fault: Fault) -> Option<usize> {
        match fault {
            Fault::Restart(host) => {
                self.trace.note(self.now, || format!("h{host} starts again"));
                self.hosts[host].up = true;
                Some(host)
            }
            Fault::Cut | Fault::HalfOpen | Fault::Slow | Fault::Stall | Fault::Partition(..) | Fault::Drain(_) => None,
        }
    }

    fn drain(&mut self, host: usize) {
        if self.hosts[host].draining || !self.hosts[host].up {
            return;
        }
        self.trace.note(self.now, || format!("FAULT h{host} drains"));
        self.hosts[host].draining = true;
        for channel in 0..self.channels.len() {
            for side in 0..2 {
                if self.end((channel, side)).host == host {
                    self.leave((channel, side));
                }
            }
        }
        let us = self.rng.u64(20_000..DRAIN_US);
        self.after(us, Due::Drained(host));
    }

    /// What has not drained in time is cut.
    pub(crate) fn drained(&mut self, host: usize) {
        self.hosts[host].draining = false;
        for channel in 0..self.channels.len() {
            for side in 0..2 {
                let end = self.end((channel, side));
                if end.host == host && end.leaving && end.stage == Stage::Running {
                    self.channels[channel].faulted = true;
                    self.lost((channel, side), "its time to drain was over");
                }
            }
        }
    }
}
