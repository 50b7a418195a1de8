//! Calls of a host: the way from an application to a connection, and what is made again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{BindRequest, CallContext, CallFailed, Failure, FunctionIndex, InstanceUid, Reply, Trace};
use neorpc::places::{Others, PlaceIndex};
use neorpc::retry::{Next, Retry, RetryPolicy, Stage as Tried};
use neorpc::{Connection, FEATURE_CHUNKS, FEATURE_GOING_AWAY, RequestId};

#[cfg(planted)]
use neorpc::planted::{Fault, has};

use crate::application::{CallId, FUNCTIONS, Outgoing, ServeId};
use crate::channel::{Binding, Channel, End, Pipe, Wait};
use crate::plan::{BIND_US, CALL_US_MAX};
use crate::world::{Due, EndAt, Mail, World};

/// Two connections in so many are to an end of an earlier release.
const EARLIER: u32 = 16;

/// How often a call is made, at most.
const TRIES_MAX: u32 = 4;

/// The first pause before a call is made again, in milliseconds: calls here have little time.
const PAUSE_MS: u64 = 3;

/// A call or a describe of a host.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) host: usize,
    pub(crate) to: usize,
    instance: String,
    what: What,
    /// In microseconds since the start.
    pub(crate) deadline: u64,
    started: u64,
    fuel: Option<u64>,
    chain: Arc<[InstanceUid]>,
    trace: Trace,
    idempotent: bool,
    within: Option<ServeId>,
    stage: Stage,
    /// What became of the times that it was made and failed.
    retry: Option<Retry>,
}

#[derive(Debug)]
enum What {
    Call { function: FunctionIndex, args: Bytes },
    Describe,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// For a connection or a binding.
    Waiting,
    Asked(EndAt, RequestId),
    /// Before it is made again.
    Resting,
    Over,
}

impl Call {
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// What travels with it, where the simulation began at `base`.
    pub(crate) fn context(&self, base: Instant) -> CallContext {
        CallContext {
            deadline: base + Duration::from_micros(self.deadline),
            fuel: self.fuel,
            chain: Arc::clone(&self.chain),
            trace: self.trace,
        }
    }
}

impl World {
    pub(crate) fn call(&mut self, host: usize, call: Outgoing) -> Option<CallId> {
        let Outgoing { to, instance, function, time_us, args, idempotent, within } = call;
        let what = What::Call { function, args };
        self.begin_call(host, to.0, instance, what, time_us, idempotent, within)
    }

    pub(crate) fn describe(&mut self, host: usize, to: usize, instance: &str, time_us: u64) -> Option<CallId> {
        self.begin_call(host, to, instance.to_owned(), What::Describe, time_us, false, None)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a call, each of its own type")]
    fn begin_call(
        &mut self,
        host: usize,
        to: usize,
        instance: String,
        what: What,
        time_us: u64,
        idempotent: bool,
        within: Option<ServeId>,
    ) -> Option<CallId> {
        let id = CallId(self.calls.len() as u64);
        let parent = within.and_then(|serve| self.serves.get(&serve)).filter(|serve| serve.host == host);
        let over = self.now >= self.plan.work_us && within.is_none();
        if over || to == host || to >= self.hosts.len() || (within.is_some() && parent.is_none()) {
            return None;
        }
        let mut deadline = self.now + time_us.min(CALL_US_MAX);
        let mut chain = vec![self.uid(host)];
        let mut trace = Trace::default();
        trace.id[..8].copy_from_slice(&(id.0 + 1).to_le_bytes());
        let mut fuel = Some(1 << 20);
        if let Some(parent) = parent {
            #[cfg(planted)]
            let asked = deadline;
            deadline = deadline.min(parent.deadline);
            #[cfg(planted)]
            if has(Fault::HopExtends) {
                deadline = asked;
            }
            chain.splice(0..0, parent.cx.chain.iter().copied());
            (trace, fuel) = (parent.cx.trace, parent.cx.fuel.map(|fuel| fuel / 2));
        }
        if let Some(serve) = within.and_then(|serve| self.serves.get_mut(&serve)) {
            serve.children.push(id);
        }
        if matches!(what, What::Call { .. }) {
            self.counts.calls += 1;
        }
        self.trace.note(self.now, || {
            let within = within.map_or_else(String::new, |serve| format!(", within s{}", serve.0));
            format!("h{host}: call {} of `{instance}` at h{to}, until {} us{within}", id.0, deadline)
        });
        self.calls.push(Call {
            host,
            to,
            instance,
            what,
            deadline,
            started: self.now,
            fuel,
            chain: chain.into(),
            trace,
            idempotent,
            within,
            stage: Stage::Waiting,
            retry: None,
        });
        let within = within.and_then(|serve| self.serves.get(&serve)).map(|serve| serve.deadline);
        self.promises.called(id, deadline, within, idempotent);
        self.after(deadline - self.now, Due::Deadline(id));
        self.proceed(id);
        Some(id)
    }

    fn get(&mut self, id: CallId) -> &mut Call {
        &mut self.calls[id.0 as usize]
    }

    /// Brings a call that waits one step further.
    pub(crate) fn proceed(&mut self, id: CallId) {
        let call = self.get(id);
        if call.stage != Stage::Waiting {
            return;
        }
        let (host, to) = (call.host, call.to);
        match self.way(host, to) {
            Some(end) => self.ask(id, end),
            None => {
                self.hosts[host].links.entry(to).or_default().waiting.push(id);
                self.dial(host, to);
            }
        }
    }

    /// The connection that calls from one host to another take, if there is one.
    fn way(&mut self, host: usize, to: usize) -> Option<EndAt> {
        let link = self.hosts[host].links.entry(to).or_default();
        let (end, dialing) = (link.end, link.dialing);
        if dialing {
            return None;
        }
        match end.filter(|end| self.end(*end).is_usable()) {
            Some(end) => return Some(end),
            None if self.rng.bool() => return None,
            None => {}
        }
        // The other host may have opened one.
        let theirs = (0..self.channels.len()).rev().map(|channel| (channel, 1));
        let found = theirs.into_iter().find(|&(channel, side)| {
            let ends = &self.channels[channel].ends;
            ends[side].host == host && ends[1 - side].host == to && ends[side].is_usable()
        });
        self.hosts[host].links.entry(to).or_default().end = found;
        found
    }

    fn dial(&mut self, host: usize, to: usize) {
        let incarnation = self.hosts[host].incarnation;
        let link = self.hosts[host].links.entry(to).or_default();
        if link.dialing {
            return;
        }
        (link.dialing, link.end) = (true, None);
        let us = self.rng.u64(20..=2 * self.plan.delay_us.1);
        self.after(us, Due::Dialed { host, incarnation, to });
    }

    /// A dial arrives, or does not.
    pub(crate) fn dialed(&mut self, host: usize, to: usize) {
        let cut = self.partitioned(host, to).is_some();
        if cut || !self.hosts[to].up || self.hosts[to].draining {
            self.trace.note(self.now, || format!("h{host}: h{to} does not answer"));
            return self.undialed(host, to, "nobody answers");
        }
        let channel = self.channels.len();
        let limits = self.plan.limits;
        let near = End::new(host, Connection::connect(self.instant(), limits));
        let far = End::new(to, Connection::accept(self.instant(), limits));
        let delay_us = self.rng.u64(self.plan.delay_us.0..=self.plan.delay_us.1);
        let pipes = [Pipe::default(), Pipe::default()];
        let lacks = match self.rng.u32(..EARLIER) {
            0 => vec![FEATURE_CHUNKS],
            1 => vec![FEATURE_CHUNKS, FEATURE_GOING_AWAY],
            _ => Vec::new(),
        };
        self.channels.push(Channel { ends: [near, far], pipes, delay_us, faulted: false, lacks });
        self.counts.channels += 1;
        self.hosts[host].links.entry(to).or_default().end = Some((channel, 0));
        self.trace.note(self.now, || format!("h{host}: opened #{channel} to h{to}, {delay_us} us away"));
        for side in 0..2 {
            self.arm((channel, side));
            self.drive_soon((channel, side));
        }
    }

    /// No connection came of it: those who waited get that.
    pub(crate) fn undialed(&mut self, host: usize, to: usize, cause: &str) {
        let link = self.hosts[host].links.entry(to).or_default();
        link.dialing = false;
        link.end = None;
        for call in std::mem::take(&mut link.waiting) {
            self.failed(call, Tried::Bind, Failure::NotSent { cause: cause.to_owned() });
        }
    }

    /// A connection opened.
    pub(crate) fn opened(&mut self, at: EndAt) {
        let (host, to) = (self.end(at).host, self.end((at.0, 1 - at.1)).host);
        let Some(link) = self.hosts[host].links.get_mut(&to) else { return };
        if link.end != Some(at) {
            return;
        }
        link.dialing = false;
        for call in std::mem::take(&mut link.waiting) {
            self.proceed(call);
        }
    }

    /// Makes a call over a connection, or binds for it first.
    fn ask(&mut self, id: CallId, at: EndAt) {
        let (channel, side) = at;
        let now = self.instant();
        let bind_until = self.instant_at(self.now + BIND_US);
        let call = &self.calls[id.0 as usize];
        let cx = call.context(self.instant_at(0));
        let end = &mut self.channels[channel].ends[side];
        let (function, args) = match &call.what {
            What::Describe => {
                let asked = end.connection.describe(now, &call.instance, cx.deadline);
                return self.asked(id, at, asked, &Bytes::new());
            }
            What::Call { function, args } => (*function, args.clone()),
        };
        match end.bound.get_mut(&call.instance) {
            Some(Binding::Asked { waiting, .. }) => waiting.push(id),
            Some(Binding::Bound(binding)) => {
                let asked = end.connection.call(now, *binding, function, &cx, args.clone());
                self.asked(id, at, asked, &args);
            }
            None => {
                let instance = call.instance.clone();
                match end.connection.bind(now, &instance, &want(), bind_until) {
                    Err(failure) => self.failed(id, Tried::Bind, failure),
                    Ok(bind) => {
                        end.waits.insert(bind, Wait::Bind { instance: instance.clone() });
                        end.bound.insert(instance, Binding::Asked { id: bind, waiting: vec![id] });
                    }
                }
                self.after_use(at);
            }
        }
    }

    fn asked(&mut self, id: CallId, at: EndAt, asked: Result<RequestId, Failure>, args: &Bytes) {
        match asked {
            Err(failure) => self.failed(id, Tried::Call, failure),
            Ok(request) => {
                let end = self.end_mut(at);
                end.waits.insert(request, Wait::Call(id));
                let call = self.get(id);
                call.stage = Stage::Asked(at, request);
                let (deadline, is_call) = (call.deadline, matches!(call.what, What::Call { .. }));
                if is_call {
                    self.promises.asked((at, request), id, deadline, args);
                }
                self.note_at(at, || format!("call {} is request {request}", id.0));
            }
        }
        self.after_use(at);
    }

    /// A bind came to its end.
    pub(crate) fn bound(&mut self, at: EndAt, instance: &str, result: Result<neorpc::FunctionTable, Failure>) {
        let waiting = match self.end_mut(at).bound.remove(instance) {
            Some(Binding::Asked { waiting, .. }) => waiting,
            Some(Binding::Bound(_)) | None => {
                return self.promises.broken(format!("a bind of `{instance}` ended that nobody waits for"));
            }
        };
        match result {
            Ok(table) => {
                self.end_mut(at).bound.insert(instance.to_owned(), Binding::Bound(table.binding));
                for call in waiting {
                    self.proceed(call);
                }
            }
            Err(failure) => {
                // Whatever became of the bind, the calls did not leave.
                let failure = match failure {
                    refused @ Failure::Refused(_) => refused,
                    other => Failure::NotSent { cause: format!("no binding: {other}") },
                };
                for call in waiting {
                    self.failed(call, Tried::Bind, failure.clone());
                }
            }
        }
    }

    /// A connection says how a call or a describe ended.
    pub(crate) fn returned(&mut self, at: EndAt, request: RequestId, id: CallId, result: Result<Reply, CallFailed>) {
        let faulted = self.channels[at.0].faulted;
        if let Err(CallFailed { failure: Failure::Unknown { cause }, .. }) = &result
            && !faulted
        {
            let name = self.name(at);
            self.promises.broken(format!("{name}: call {} became unknown on a sound network: {cause}", id.0));
        }
        if matches!(self.get(id).what, What::Call { .. }) {
            self.promises.attempt_ended((at, request), &result);
        }
        if self.get(id).stage == Stage::Asked(at, request) {
            self.ended(id, Tried::Call, result);
        } else {
            self.promises.broken(format!("request {request} ended for call {}, which does not wait for it", id.0));
        }
    }

    fn failed(&mut self, id: CallId, tried: Tried, failure: Failure) {
        self.ended(id, tried, Err(failure.into()));
    }

    /// One time that a call was made has ended: that was it, or it is made again.
    fn ended(&mut self, id: CallId, tried: Tried, result: Result<Reply, CallFailed>) {
        let failed = match result {
            Err(failed) if !self.get(id).is_over() => failed,
            Ok(reply) => return self.over(id, Ok(reply)),
            Err(_) => return,
        };
        let (now, seed) = (self.instant(), self.seed);
        let base = self.instant_at(0);
        let call = self.get(id);
        let until = call.context(base).deadline;
        let policy =
            RetryPolicy { idempotent: call.idempotent, pause_ms_min: PAUSE_MS, ..RetryPolicy::tries(TRIES_MAX) };
        #[cfg(planted)]
        let policy = RetryPolicy { idempotent: policy.idempotent || has(Fault::UnknownMadeAgain), ..policy };
        let retry = call.retry.get_or_insert_with(|| Retry::new(policy, seed ^ id.0));
        let failure = match retry.failed(now, until, PlaceIndex(0), tried, &failed.failure, Others::None) {
            Next::After(pause) => {
                let us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
                call.stage = Stage::Resting;
                self.counts.again += 1;
                self.trace.note(self.now, || format!("call {} is made again in {us} us: {failed}", id.0));
                return self.after(us, Due::Again(id));
            }
            #[cfg(planted)]
            Next::Elsewhere | Next::GiveUp if has(Fault::MaybeForgotten) => failed.failure,
            Next::Elsewhere | Next::GiveUp => retry.conclude(failed.failure, |_| "its only place"),
        };
        let result = Err(CallFailed { failure, fuel_used: failed.fuel_used });
        self.over(id, result);
    }

    pub(crate) fn again(&mut self, id: CallId) {
        if self.get(id).stage == Stage::Resting {
            self.get(id).stage = Stage::Waiting;
            self.proceed(id);
        }
    }

    /// A call's time is over: one that a connection has in flight is that one's to end.
    pub(crate) fn deadline(&mut self, id: CallId) {
        let waited_ms = (self.now - self.get(id).started) / 1000;
        if matches!(self.get(id).stage, Stage::Waiting | Stage::Resting) {
            self.leave_line(id);
            self.over(id, Err(Failure::Deadline { waited_ms }.into()));
        }
    }

    fn over(&mut self, id: CallId, result: Result<Reply, CallFailed>) {
        let now = self.now;
        let call = self.get(id);
        call.stage = Stage::Over;
        let (host, deadline, within, is_call) =
            (call.host, call.deadline, call.within, matches!(call.what, What::Call { .. }));
        self.trace.note(now, || format!("h{host}: call {} ended: {}", id.0, told(&result)));
        if is_call {
            self.promises.outcome(id, deadline, now, &result);
            self.counts.note(&result);
        } else {
            self.promises.given_up(id, deadline);
        }
        if let Some(serve) = within.and_then(|serve| self.serves.get_mut(&serve)) {
            serve.children.retain(|child| *child != id);
        }
        self.mail.push_back((host, Mail::Returned(id, result)));
    }

    /// Takes a call that waits out of the line that it stands in.
    fn leave_line(&mut self, id: CallId) {
        let (host, to) = (self.get(id).host, self.get(id).to);
        let Some(link) = self.hosts[host].links.get_mut(&to) else { return };
        link.waiting.retain(|waiting| *waiting != id);
        let Some(at) = link.end else { return };
        let end = &mut self.channels[at.0].ends[at.1];
        let mut given_up = None;
        for (instance, binding) in &mut end.bound {
            if let Binding::Asked { id: bind, waiting } = binding
                && let Some(place) = waiting.iter().position(|waiting| *waiting == id)
            {
                waiting.remove(place);
                if waiting.is_empty() {
                    given_up = Some((*bind, instance.clone()));
                }
            }
        }
        // A bind that nobody waits for is given up, or kept for the next one.
        if let Some((bind, instance)) = given_up
            && self.rng.bool()
        {
            let end = self.end_mut(at);
            end.bound.remove(&instance);
            end.waits.remove(&bind);
            end.connection.cancel(bind);
            self.after_use(at);
        }
    }

    pub(crate) fn cancel(&mut self, host: usize, id: CallId) {
        if self.calls.get(id.0 as usize).is_none_or(|call| call.host != host) {
            return;
        }
        // Its outcome may be on the way to the application already.
        self.mail.retain(|(_, mail)| !matches!(mail, Mail::Returned(call, _) if *call == id));
        if self.get(id).is_over() {
            return;
        }
        let call = self.get(id);
        let (stage, deadline) = (std::mem::replace(&mut call.stage, Stage::Over), call.deadline);
        self.counts.cancelled += 1;
        self.promises.given_up(id, deadline);
        self.trace.note(self.now, || format!("h{host}: call {} is cancelled", id.0));
        match stage {
            Stage::Waiting => self.leave_line(id),
            Stage::Asked(at, request) => {
                self.promises.attempt_given_up((at, request));
                let end = self.end_mut(at);
                end.waits.remove(&request);
                if !end.connection.cancel(request) && !end.connection.is_closed() {
                    self.promises.broken(format!("request {request} was not under way when it was cancelled"));
                }
                self.after_use(at);
            }
            Stage::Resting | Stage::Over => {}
        }
    }

    /// The host went, and with it whoever waited.
    pub(crate) fn abandon_calls(&mut self, host: usize) {
        for index in 0..self.calls.len() {
            let call = &mut self.calls[index];
            if call.host != host || call.is_over() {
                continue;
            }
            call.stage = Stage::Over;
            let deadline = call.deadline;
            self.promises.given_up(CallId(index as u64), deadline);
        }
    }

    pub(crate) fn release(&mut self, host: usize, to: usize, instance: &str) {
        let Some(at) = self.hosts[host].links.get(&to).and_then(|link| link.end) else { return };
        let end = self.end_mut(at);
        if let Some(Binding::Bound(binding)) = end.bound.get(instance) {
            let binding = *binding;
            end.bound.remove(instance);
            end.connection.unbind(binding);
            self.after_use(at);
        }
    }

    pub(crate) fn release_all(&mut self, at: EndAt) {
        let end = self.end_mut(at);
        for (_, binding) in std::mem::take(&mut end.bound) {
            if let Binding::Bound(binding) = binding {
                end.connection.unbind(binding);
            }
        }
        self.after_use(at);
    }
}

/// What every bind asks for.
fn want() -> BindRequest {
    let functions = (0..FUNCTIONS).map(|number| (format!("f{number}"), [0; 32])).collect();
    BindRequest { interface: Some("isorun:simulator/application".to_owned()), functions }
}

fn told(result: &Result<Reply, CallFailed>) -> String {
    match result {
        Ok(reply) => format!("{} bytes", reply.results.len()),
        Err(failed) => failed.to_string(),
    }
}
