//! What runs on the simulated hosts.

use bytes::Bytes;
use isorun_core::{BindRequest, CallContext, CallFailed, Failure, FunctionIndex, Reply};

use crate::host::Host;

/// A host of the simulation, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub usize);

/// A call or a describe that a host made, one among all of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// A call that a host serves, one among all of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServeId(pub u64);

/// What a host is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// The host.
    pub host: HostId,
    /// How many hosts there are: `HostId(0)` to `HostId(hosts - 1)`.
    pub hosts: usize,
    /// How often the host was started before: 0 the first time.
    pub restarts: u64,
    /// The seed of the whole simulation.
    pub seed: u64,
}

/// A call that came in.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// To be named in the answer.
    pub id: ServeId,
    /// Who calls.
    pub from: HostId,
    /// The instance that is called.
    pub instance: String,
    /// The function, below [`FUNCTIONS`].
    pub function: FunctionIndex,
    /// Deadline, fuel, chain and trace.
    pub cx: CallContext,
    /// The arguments.
    pub args: Bytes,
}

/// A call to be made.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to: never the host itself.
    pub to: HostId,
    /// The instance there.
    pub instance: String,
    /// The function, below [`FUNCTIONS`].
    pub function: FunctionIndex,
    /// How long it may take, in microseconds. A call that is made while another is served gets no more than that has left.
    pub time_us: u64,
    /// The arguments.
    pub args: Bytes,
    /// It may run more than once, so that it may be made again where it is unknown whether it ran.
    pub idempotent: bool,
    /// The call that is served by making this one; when that stops, so does this.
    pub within: Option<ServeId>,
}

/// Functions of every simulated instance; each bind asks for all.
pub const FUNCTIONS: u32 = 8;

/// What one host does: a state machine, called when something happened, that acts through its [`Host`].
///
/// It must draw all that is random from [`Host::random`], and keep what it iterates over in order, or a seed means a
/// different run each time.
pub trait Application {
    /// The host has started; also after a restart, with an application made anew.
    fn start(&mut self, host: &mut Host<'_>);

    /// Somebody calls: [`Host::answer`] must follow, at once or later.
    fn serve(&mut self, host: &mut Host<'_>, call: Incoming);

    /// A call or a describe of this host came to its end; with a describe, the results are the ledger.
    fn returned(&mut self, host: &mut Host<'_>, call: CallId, result: Result<Reply, CallFailed>);

    /// Nobody waits for that call's answer any more: it was given up, its time is over, or its connection went.
    fn stopped(&mut self, host: &mut Host<'_>, call: ServeId) {
        let _ = (host, call);
    }

    /// A timer of [`Host::wake_after`] went off.
    fn woken(&mut self, host: &mut Host<'_>, token: u64) {
        let _ = (host, token);
    }

    /// Whether somebody may bind that instance. By default every instance is there.
    ///
    /// # Errors
    /// A [`Failure`], which the asker gets.
    fn bind(&mut self, instance: &str, want: &BindRequest) -> Result<(), Failure> {
        let _ = (instance, want);
        Ok(())
    }

    /// The ledger of that instance. By default it is empty.
    ///
    /// # Errors
    /// A [`Failure`], which the asker gets.
    fn describe(&mut self, instance: &str) -> Result<Bytes, Failure> {
        let _ = instance;
        Ok(Bytes::new())
    }
}
