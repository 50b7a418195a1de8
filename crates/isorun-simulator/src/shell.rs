//! The shell around one connection, as a host without tasks would write it.

use isorun_core::{Failure, Refusal, Reply};
use neorpc::{Event, RequestId};

use crate::channel::{Asked, Stage, Wait};
use crate::world::{Due, EndAt, World};

/// Frames that are taken in before others get their turn.
const FRAMES_AT_ONCE: usize = 64;

/// How long a host thinks about a bind or a describe, at most, in microseconds.
const THINK_US: u64 = 3_000;

/// How long an end that drained waits for the other to close, in microseconds.
const LINGER_US: u64 = 3_000_000;

/// One time in so many, a channel takes fewer frames than it could.
const SHORT: u32 = 16;

impl World {
    /// Looks at an end: reads, sends, and closes it if it is at its end.
    pub(crate) fn drive(&mut self, at: EndAt) {
        match self.end(at).stage {
            Stage::Gone => {}
            Stage::Lingering => self.linger(at),
            Stage::Running => {
                self.receive(at);
                self.transmit(at);
                let end = self.end_mut(at);
                if end.stage == Stage::Running && end.queue.is_empty() && end.connection.is_drained() {
                    end.connection.connection_lost("this end went away");
                    self.pump(at);
                    self.finish(at, Stage::Lingering);
                }
                self.settle(at);
            }
        }
    }

    pub(crate) fn drive_soon(&mut self, at: EndAt) {
        let end = self.end_mut(at);
        if end.stage == Stage::Gone || std::mem::replace(&mut end.driving, true) {
            return;
        }
        let us = self.rng.u64(0..=self.plan.lag_us);
        self.after(us, Due::Drive(at));
    }

    /// Something was done to an end's connection by its host.
    pub(crate) fn after_use(&mut self, at: EndAt) {
        self.touched.insert(at);
        self.arm(at);
        self.drive_soon(at);
    }

    /// Sets the connection's timer.
    pub(crate) fn arm(&mut self, at: EndAt) {
        let due = self.end(at).connection.poll_timeout().map(|due| self.micros(due));
        let now = self.now;
        let end = self.end_mut(at);
        if let Some(due) = due
            && end.armed.is_none_or(|armed| due < armed || armed < now)
        {
            end.armed = Some(due);
            self.after(due.saturating_sub(now), Due::Timer(at));
        }
    }

    pub(crate) fn timer(&mut self, at: EndAt) {
        let now = self.instant();
        let end = self.end_mut(at);
        end.armed = None;
        if end.stage != Stage::Running {
            return;
        }
        if let Err(error) = end.connection.handle_timeout(now) {
            let name = self.name(at);
            self.trace.note(self.now, || format!("{name}: {error}"));
            if !self.channels[at.0].faulted {
                self.promises.broken(format!("{name}: {error}, on a sound network"));
            }
        }
        self.pump(at);
        self.settle(at);
        self.after_use(at);
    }

    /// The other end, or the network, ended the channel.
    pub(crate) fn lost(&mut self, at: EndAt, cause: &str) {
        match self.end(at).stage {
            Stage::Gone => {}
            Stage::Lingering => self.end_mut(at).stage = Stage::Gone,
            Stage::Running => {
                self.note_at(at, || cause.to_owned());
                self.end_mut(at).connection.connection_lost(cause);
                self.pump(at);
                self.finish(at, Stage::Gone);
            }
        }
    }

    /// Ends an end whose connection has ended by itself, and sets the timer of any other.
    fn settle(&mut self, at: EndAt) {
        self.touched.insert(at);
        if self.end(at).stage == Stage::Running && self.end(at).connection.is_closed() {
            self.finish(at, Stage::Gone);
        }
        self.arm(at);
    }

    fn receive(&mut self, at: EndAt) {
        let (channel, side) = at;
        let now = self.instant();
        for _ in 0..FRAMES_AT_ONCE {
            if self.now < self.end(at).slow_until || self.end(at).stage != Stage::Running {
                return;
            }
            let pipe = &mut self.channels[channel].pipes[1 - side];
            let Some(frame) = pipe.take(self.now) else {
                if pipe.is_over(self.now) {
                    self.lost(at, "the other end closed the connection");
                }
                return;
            };
            self.counts.frames += 1;
            self.room_for((channel, 1 - side));
            let handled = self.end_mut(at).connection.handle_frame(now, frame);
            self.pump(at);
            if let Err(error) = handled {
                let name = self.name(at);
                self.promises.broken(format!("{name}: between two honest ends: {error}"));
            }
        }
        self.drive_soon(at);
    }

    fn transmit(&mut self, at: EndAt) {
        let (channel, side) = at;
        loop {
            self.fill(at);
            self.pump(at);
            let end = self.end(at);
            if end.stage != Stage::Running || end.connection.is_closed() || end.queue.is_empty() {
                return;
            }
            let mut taken = 0;
            let mut short = false;
            while let Some(frame) = self.channels[channel].ends[side].queue.front()
                && self.channels[channel].pipes[side].has_room(frame.len(), self.plan.room_bytes)
            {
                short = self.rng.u32(..SHORT) == 0;
                if short {
                    break;
                }
                if let Some(frame) = self.end_mut(at).queue.pop_front() {
                    self.put(at, frame);
                    taken += 1;
                }
            }
            self.end_mut(at).connection.taken(taken);
            if short {
                self.drive_soon(at);
            }
            if taken == 0 {
                return;
            }
        }
    }

    /// Gives frames to the channel's queue.
    fn fill(&mut self, at: EndAt) {
        let now = self.instant();
        let mut bytes: usize = self.end(at).queue.iter().map(bytes::Bytes::len).sum();
        while bytes < self.plan.hand_bytes
            && self.end(at).queue.len() < self.plan.hand_frames
            && let Some(frame) = self.end_mut(at).connection.poll_transmit(now)
        {
            bytes += frame.len();
            if let Some(read) = self.promises.handed(at, self.now, &frame) {
                let size = frame.len();
                self.note_at(at, || format!("{} ({size} bytes)", said(&read)));
            }
            self.end_mut(at).queue.push_back(frame);
        }
    }

    /// The channel takes a frame.
    fn put(&mut self, (channel, side): EndAt, frame: bytes::Bytes) {
        let jitter = self.rng.u64(0..=self.plan.jitter_us);
        let said_hello = std::mem::replace(&mut self.channels[channel].pipes[side].begun, true);
        let frame = if said_hello { frame } else { self.channels[channel].without_what_it_lacks(frame) };
        let ends = &self.channels[channel].ends;
        let healed = self.partitioned(ends[0].host, ends[1].host).unwrap_or(0);
        let carried = frame.len() as u64 / self.plan.bytes_per_us;
        let Self { channels, now, .. } = self;
        let on_its_way = (*now).max(healed) + channels[channel].delay_us + jitter;
        let pipe = &mut channels[channel].pipes[side];
        let arrives = on_its_way.max(pipe.last) + carried;
        pipe.put(arrives, frame);
        if !pipe.lost {
            let us = arrives - *now;
            self.after(us, Due::Arrive((channel, 1 - side)));
        }
    }

    /// An end's channel may have room again.
    fn room_for(&mut self, at: EndAt) {
        if self.end(at).stage == Stage::Running && !self.end(at).queue.is_empty() {
            self.drive_soon(at);
        }
    }

    fn linger(&mut self, at: EndAt) {
        let now = self.now;
        let pipe = &mut self.channels[at.0].pipes[1 - at.1];
        while pipe.take(now).is_some() {}
        if pipe.is_over(now) {
            self.end_mut(at).stage = Stage::Gone;
        }
        self.room_for((at.0, 1 - at.1));
    }

    /// The connection has ended, and all that it had to tell is told.
    fn finish(&mut self, at: EndAt, stage: Stage) {
        let (channel, side) = at;
        let asked = std::mem::take(&mut self.end_mut(at).asked);
        for (_, asked) in asked {
            if let Asked::Call(serve) = asked {
                self.stop(serve);
            }
        }
        let end = self.end_mut(at);
        end.offered.clear();
        end.bound.clear();
        end.stage = stage;
        if end.connection.untaken() == 0 {
            end.queue.clear();
        }
        let host = end.host;
        let to = self.end((channel, 1 - side)).host;
        let delay_us = self.channels[channel].delay_us;
        let pipe = &mut self.channels[channel].pipes[side];
        let closed = pipe.last.max(self.now + delay_us);
        pipe.closed = Some(closed);
        if !pipe.lost {
            self.after(closed - self.now, Due::Arrive((channel, 1 - side)));
        }
        if stage == Stage::Lingering {
            self.after(LINGER_US, Due::Broke(at));
            self.drive_soon(at);
        }
        self.touched.insert(at);
        let Some(link) = self.hosts[host].links.get_mut(&to) else { return };
        if link.end == Some(at) {
            link.end = None;
            if link.dialing {
                self.undialed(host, to, "no hello came");
            }
        }
    }

    /// Acts on every event that the connection has.
    fn pump(&mut self, at: EndAt) {
        while let Some(event) = self.end_mut(at).connection.poll_event() {
            self.touched.insert(at);
            self.event(at, event);
        }
    }

    fn event(&mut self, at: EndAt, event: Event) {
        match event {
            Event::Open(_) => {
                self.end_mut(at).open = true;
                self.opened(at);
            }
            Event::Bound { id, result } => match self.end_mut(at).waits.remove(&id) {
                Some(Wait::Bind { instance }) => self.bound(at, &instance, result),
                other => self.unasked(at, id, other),
            },
            Event::Described { id, result } => match self.end_mut(at).waits.remove(&id) {
                Some(Wait::Call(call)) => {
                    let reply =
                        result.map(|described| Reply { results: described.ledger, fuel_used: 0 }).map_err(Into::into);
                    self.returned(at, id, call, reply);
                }
                other => self.unasked(at, id, other),
            },
            Event::Returned { id, result } => match self.end_mut(at).waits.remove(&id) {
                Some(Wait::Call(call)) => self.returned(at, id, call, result),
                other => self.unasked(at, id, other),
            },
            Event::IncomingBind { id, instance, want } => {
                let host = self.end(at).host;
                let result = self.act(host, |application, _| application.bind(&instance, &want));
                let result = result.unwrap_or_else(|| nobody(&instance));
                self.think(at, id, Asked::Bind { instance, result });
            }
            Event::IncomingDescribe { id, instance } => {
                let host = self.end(at).host;
                let result = self.act(host, |application, _| application.describe(&instance));
                let result = result.unwrap_or_else(|| nobody(&instance));
                self.think(at, id, Asked::Describe { result });
            }
            Event::IncomingCall { id, binding, function, cx, args } => {
                match self.end(at).offered.get(&binding).cloned() {
                    Some(instance) => self.serve(at, id, instance, function, cx, args),
                    None => self.promises.broken(format!("a call came through binding {binding}, which is not there")),
                }
            }
            Event::IncomingCancelled { id } => match self.end_mut(at).asked.remove(&id) {
                Some(Asked::Call(serve)) => self.stop(serve),
                Some(Asked::Bind { .. } | Asked::Describe { .. }) => {}
                None => self.promises.broken(format!("request {id} was cancelled, which did not come or was answered")),
            },
            Event::Unbound { binding } => {
                if self.end_mut(at).offered.remove(&binding).is_none() {
                    self.promises.broken(format!("binding {binding} was given back, which is not there"));
                }
            }
            Event::GoingAway => {
                self.note_at(at, || "the other end goes away".to_owned());
                let (host, to) = (self.end(at).host, self.end((at.0, 1 - at.1)).host);
                if let Some(link) = self.hosts[host].links.get_mut(&to)
                    && link.end == Some(at)
                    && !link.dialing
                {
                    link.end = None;
                }
            }
            Event::Refused { id, failure } => self.note_at(at, || format!("request {id} is declined: {failure}")),
            other => self.promises.broken(format!("nothing here leads to {other:?}")),
        }
    }

    fn unasked(&mut self, at: EndAt, id: RequestId, other: Option<Wait>) {
        let name = self.name(at);
        self.promises.broken(match other {
            None => {
                format!("{name}: request {id} ended, for which nobody waits: a second outcome, or one after a cancel")
            }
            Some(wait) => format!("{name}: request {id} ended as another kind than {wait:?}"),
        });
    }

    /// Answers after a while.
    fn think(&mut self, at: EndAt, id: RequestId, asked: Asked) {
        self.end_mut(at).asked.insert(id, asked);
        let us = self.rng.u64(0..THINK_US);
        self.after(us, Due::Answer(at, id));
    }

    pub(crate) fn answer_asked(&mut self, at: EndAt, id: RequestId) {
        let end = self.end_mut(at);
        if end.stage != Stage::Running {
            return;
        }
        let wanted = match end.asked.remove(&id) {
            None => return,
            Some(Asked::Describe { result }) => end.connection.answer_describe(id, result),
            Some(Asked::Bind { instance, result }) => {
                let fine = result.is_ok();
                let binding = end.connection.answer_bind(id, result);
                end.offered.extend(binding.map(|binding| (binding, instance)));
                binding.is_some() == fine
            }
            Some(call @ Asked::Call(_)) => {
                end.asked.insert(id, call);
                return;
            }
        };
        if !wanted {
            self.promises.broken(format!("request {id} could not be answered, and nobody gave it up"));
        }
        self.after_use(at);
    }

    /// Has an end go away.
    pub(crate) fn leave(&mut self, at: EndAt) {
        if self.channels[at.0].lacks.contains(&neorpc::FEATURE_GOING_AWAY) {
            // The other end can't be told: a call of its may cross the end of the connection.
            self.channels[at.0].faulted = true;
        }
        let end = self.end_mut(at);
        if end.stage == Stage::Running && !end.leaving {
            end.leaving = true;
            end.connection.go_away();
            self.after_use(at);
        }
    }
}

fn nobody<T>(instance: &str) -> Result<T, Failure> {
    Err(Refusal::NoSuchInstance { instance: instance.to_owned() }.into())
}

/// A frame in a few words.
fn said(frame: &neorpc::Frame) -> String {
    use neorpc::Frame;
    let kind = frame.kind();
    match frame {
        Frame::Call(call) => format!("{kind} {} with {} ms", call.id, call.with.deadline_ms),
        Frame::CallInChunks(call) => {
            format!("{kind} {} with {} ms, {} bytes to come", call.id, call.with.deadline_ms, call.args_bytes)
        }
        Frame::ReplyInChunks(reply) => format!("{kind} {}, {} bytes to come", reply.id, reply.results_bytes),
        Frame::Chunk(chunk) => format!("{kind} of the {:?} of {}", chunk.of, chunk.id),
        Frame::Credit(credit) => format!("{kind} of {} bytes for {:?}", credit.bytes, credit.to),
        Frame::Bind(bind) => format!("{kind} {} of `{}`", bind.id, bind.instance),
        Frame::Bound(bound) => format!("{kind} {}", bound.id),
        Frame::Reply(reply) => format!("{kind} {}", reply.id),
        Frame::Failure(failure) => format!("{kind} {}: {}", failure.id, failure.failed),
        Frame::Describe(describe) => format!("{kind} {}", describe.id),
        Frame::Described(described) => format!("{kind} {}", described.id),
        Frame::Cancel(id) | Frame::GoingAway(id) => format!("{kind} {id}"),
        Frame::Ping(number) | Frame::Pong(number) => format!("{kind} {number}"),
        _ => kind.to_string(),
    }
}
