//! What an application may do.

use std::time::{Duration, Instant};

use isorun_core::{CallFailed, InstanceUid, Reply};

use crate::application::{CallId, HostId, Outgoing, ServeId};
use crate::world::{Due, World};

/// The host that an application runs on, for as long as it acts.
pub struct Host<'w> {
    pub(crate) world: &'w mut World,
    pub(crate) at: usize,
}

impl Host<'_> {
    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> HostId {
        HostId(self.at)
    }

    /// The time since the simulation began.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.world.now)
    }

    /// The same as an [`Instant`], to be compared with a deadline.
    #[must_use]
    pub fn instant(&self) -> Instant {
        self.world.instant()
    }

    /// A random number below `below`, or 0 where that is 0; the same for the same seed.
    pub fn random(&mut self, below: u64) -> u64 {
        if below == 0 { 0 } else { self.world.rng.u64(..below) }
    }

    /// Whether the time of work is over: no call is made any more but within those that are served.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.world.now >= self.world.plan.work_us
    }

    /// Has [`woken`](crate::Application::woken) called with `token` after so many microseconds.
    pub fn wake_after(&mut self, us: u64, token: u64) {
        let incarnation = self.world.hosts[self.at].incarnation;
        self.world.after(us, Due::Wake { host: self.at, incarnation, token });
    }

    /// Calls: [`returned`](crate::Application::returned) follows, by its deadline at the latest, unless it is cancelled.
    ///
    /// Connecting, binding and making again what was not sent are seen to. `None` once the time of work is over, for the
    /// host itself, and within a call that has stopped.
    pub fn call(&mut self, call: Outgoing) -> Option<CallId> {
        self.world.call(self.at, call)
    }

    /// Asks for an instance's ledger: [`returned`](crate::Application::returned) follows as for a call.
    pub fn describe(&mut self, to: HostId, instance: &str, time_us: u64) -> Option<CallId> {
        self.world.describe(self.at, to.0, instance, time_us)
    }

    /// Gives a call up: nothing is heard of it any more.
    pub fn cancel(&mut self, call: CallId) {
        self.world.cancel(self.at, call);
    }

    /// Notes that the function of this call runs from now on: it must do so once, and may not be refused any more.
    ///
    /// An answer that is no refusal notes it too. `false` where nobody waits for the call any more: it need not run.
    pub fn begin(&mut self, call: ServeId) -> bool {
        self.world.begin(self.at, call)
    }

    /// Answers a call; one for which nobody waits any more is dropped.
    pub fn answer(&mut self, call: ServeId, result: Result<Reply, CallFailed>) {
        self.world.answer(self.at, call, result);
    }

    /// Gives back what is bound of an instance elsewhere: the next call binds anew.
    pub fn release(&mut self, to: HostId, instance: &str) {
        self.world.release(self.at, to.0, instance);
    }

    /// This host's own number in a chain of calls.
    #[must_use]
    pub fn uid(&self) -> InstanceUid {
        self.world.uid(self.at)
    }

    /// Adds a line to the trace, if there is one.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let at = self.at;
        self.world.trace.note(self.world.now, || format!("h{at}: {}", line()));
    }
}
