//! One connection, as its users hold it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, CallContext, CallFailed, Channel, Failure, FunctionIndex, PeerIdentity, Reply, Transport,
};
use neorpc::{BindingId, Connection, Description, RequestId};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, timeout};

use crate::bell::Bell;
use crate::driver::Driver;
use crate::io::{Io, Turn};
use crate::observe::{self, ConnectionMeter, Offered};
use crate::options::PeerOptions;
use crate::refusals::Refusals;
use crate::remote::RemoteInstance;
use crate::router::Place;

/// One connection to another host; clones share it.
///
/// Both ends call, and serve what their directory knows. The connection closes when the last clone is dropped, and
/// whatever is bound through it counts as one.
#[derive(Clone)]
pub struct Peer {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

/// What the connection's users, its driver and the calls that it serves have in common.
pub(crate) struct Shared {
    pub(crate) core: Mutex<Core>,
    /// The channel. Held while it is polled, and by the driver while calls of the other end are served in place: nobody
    /// else waits for it, and nobody who holds `core` takes it.
    pub(crate) io: Mutex<Io>,
    pub(crate) bell: Arc<Bell>,
    /// Where the driver runs: a caller who leads may be anywhere.
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) identity: PeerIdentity,
    pub(crate) options: PeerOptions,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) meter: ConnectionMeter,
    closed: AtomicBool,
    leaving: AtomicBool,
    gone: watch::Sender<bool>,
}

/// The part behind the lock, which is never held while something is awaited or somebody else's code runs.
pub(crate) struct Core {
    pub(crate) connection: Connection,
    pub(crate) waiting: HashMap<RequestId, Waiting>,
    pub(crate) calls: HashMap<RequestId, Answer>,
    /// The call whose caller moves the frames.
    pub(crate) leader: Option<RequestId>,
    /// Somebody led since the driver last asked.
    pub(crate) led: bool,
    /// The driver looks after the one who leads.
    pub(crate) watched: bool,
    /// When the driver wakes by itself.
    pub(crate) armed: Option<std::time::Instant>,
    /// What the other end has bound here.
    pub(crate) bindings: HashMap<BindingId, Served>,
    /// What the other end has under way here; `None` until its task is started.
    pub(crate) tasks: HashMap<RequestId, Option<AbortHandle>>,
    pub(crate) opened: Option<oneshot::Sender<Result<(), Failure>>>,
    /// `None` while it runs.
    pub(crate) driver: Option<Waker>,
    /// Somebody wanted it while it ran.
    pub(crate) called: bool,
    /// The request that the driver serves at this moment: its answer needs no waking.
    pub(crate) in_place: Option<RequestId>,
    /// All users are gone.
    pub(crate) released: bool,
}

/// Who waits for a request's answer.
pub(crate) enum Waiting {
    Bind(oneshot::Sender<Result<Binding, Failure>>),
    Describe(oneshot::Sender<Result<Description, Failure>>),
}

/// A call's answer, and before that whoever waits for it.
pub(crate) enum Answer {
    Awaited(Option<Waker>),
    Here(Result<Reply, CallFailed>),
}

/// What the other end has bound here.
pub(crate) struct Served {
    pub(crate) bound: Arc<dyn Bound>,
    pub(crate) offered: Arc<Offered>,
    /// Calls in a row that kept the driver for a moment only.
    pub(crate) quick: u32,
    /// What its slow calls weigh beyond its quick ones.
    pub(crate) weight: u32,
    /// How many of its next calls get a task of their own at once, since one kept the driver for long.
    pub(crate) apart: u32,
}

impl Peer {
    /// Opens a channel and says hello over it.
    ///
    /// # Errors
    /// [`Failure::NotSent`]: nobody answers, or nobody that speaks this protocol.
    pub async fn connect(transport: Arc<dyn Transport>, options: PeerOptions) -> Result<Self, Failure> {
        let connect_ms = options.connect_ms;
        let opened = timeout(Duration::from_millis(connect_ms), transport.open()).await;
        let opened = opened.map_err(|_| not_sent(format!("no connection within {connect_ms} ms")));
        let channel = opened.and_then(|opened| opened.map_err(|error| not_sent(error.to_string())));
        let channel = channel.inspect_err(|_| observe::refused("dialled", "unreachable"))?;
        let connection = Connection::connect(now(), options.limits);
        let meter = ConnectionMeter::dialled(&transport.place());
        Self::start(channel, connection, options, Refusals::dialled(), meter).await
    }

    /// Waits for the hello over a channel that came in.
    ///
    /// A channel that brings a self-contained call instead is served, and is no peer.
    ///
    /// # Errors
    /// [`Failure::NotSent`]: the other end did not say hello in time, or something else.
    pub async fn accept(channel: Box<dyn Channel>, options: PeerOptions) -> Result<Self, Failure> {
        let connection = Connection::accept(now(), options.limits);
        Self::start(channel, connection, options, Refusals::default(), ConnectionMeter::accepted()).await
    }

    async fn start(
        channel: Box<dyn Channel>,
        connection: Connection,
        options: PeerOptions,
        refusals: Refusals,
        meter: ConnectionMeter,
    ) -> Result<Self, Failure> {
        let Starting { peer, opened, driver: _ } = Self::begin(channel, connection, options, Arc::new(refusals), meter);
        opened.await.unwrap_or_else(|_| Err(not_sent("the connection ended".to_owned())))?;
        Ok(peer)
    }

    /// As [`accept`](Self::accept), waiting for nothing.
    pub(crate) fn accepting(channel: Box<dyn Channel>, options: PeerOptions, refusals: Arc<Refusals>) -> Starting {
        let connection = Connection::accept(now(), options.limits);
        Self::begin(channel, connection, options, refusals, ConnectionMeter::accepted())
    }

    fn begin(
        channel: Box<dyn Channel>,
        connection: Connection,
        options: PeerOptions,
        refusals: Arc<Refusals>,
        meter: ConnectionMeter,
    ) -> Starting {
        let (open, opened) = oneshot::channel();
        let core = Core {
            connection,
            waiting: HashMap::new(),
            calls: HashMap::new(),
            leader: None,
            led: false,
            watched: false,
            armed: None,
            bindings: HashMap::new(),
            tasks: HashMap::new(),
            opened: Some(open),
            driver: None,
            called: false,
            in_place: None,
            released: false,
        };
        let bell = Arc::new(Bell::default());
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            identity: channel.peer().clone(),
            io: Mutex::new(Io::new(channel, Waker::from(Arc::clone(&bell)))),
            bell,
            runtime: tokio::runtime::Handle::current(),
            options,
            refusals,
            meter,
            closed: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            gone: watch::Sender::new(false),
        });
        // Made before anything is awaited: should the waiting be given up, the connection closes.
        let peer = Self { handle: Arc::new(Handle { shared: Arc::clone(&shared) }) };
        let driver = tokio::spawn(Driver::new(shared));
        Starting { peer, opened, driver }
    }

    /// An instance at the other end; nothing is sent before it is used.
    #[must_use]
    pub fn instance(&self, name: impl Into<String>) -> RemoteInstance {
        RemoteInstance::at_peer(self.clone(), name.into())
    }

    /// Who is at the other end, as far as the transport can tell.
    #[must_use]
    pub fn identity(&self) -> &PeerIdentity {
        &self.shared().identity
    }

    /// Whether the connection went; it does not come back.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared().closed.load(Ordering::Acquire)
    }

    /// Waits until the connection went.
    pub async fn closed(&self) {
        let mut gone = self.shared().gone.subscribe();
        // The sender lives as long as `self` does.
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// Takes no request of the other end any more, and lets it know: it turns to another connection for what is new.
    ///
    /// What is under way goes on, and the connection closes once nothing is, either way: [`closed`](Self::closed) waits
    /// for that. Dropping the last clone meanwhile still closes it at once.
    pub fn go_away(&self) {
        self.shared().meter.leaves();
        let mut core = self.shared().core.lock();
        core.connection.go_away();
        core.wake();
    }

    /// Whether the other end goes away: it answers what it took, and new requests need another connection.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.shared().leaving.load(Ordering::Acquire)
    }

    /// Whether it is there and takes requests.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_closed() && !self.is_leaving()
    }

    /// Requests of this end that have no answer yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared().core.lock().connection.in_flight()
    }

    /// Requests of the other end that are under way here.
    #[must_use]
    pub fn in_service(&self) -> usize {
        self.shared().core.lock().connection.in_service()
    }

    pub(crate) async fn bind(&self, instance: &str, want: &BindRequest) -> Result<Binding, Failure> {
        let deadline = self.bind_deadline();
        let (answer, request) =
            self.ask(|connection, now| connection.bind(now, instance, want, deadline), Waiting::Bind)?;
        wait_for(answer, request).await.unwrap_or_else(|| Err(connection_ended()))
    }

    pub(crate) async fn describe(&self, instance: &str) -> Result<Description, Failure> {
        let deadline = self.bind_deadline();
        let (answer, request) =
            self.ask(|connection, now| connection.describe(now, instance, deadline), Waiting::Describe)?;
        wait_for(answer, request).await.unwrap_or_else(|| Err(connection_ended()))
    }

    pub(crate) async fn call(
        &self,
        binding: &Binding,
        function: FunctionIndex,
        cx: &CallContext,
        args: Bytes,
    ) -> Result<Reply, CallFailed> {
        let mut call = self.begin_call(binding, function, cx, args)?;
        poll_fn(|cx| call.poll(cx)).await
    }

    fn begin_call(
        &self,
        binding: &Binding,
        function: FunctionIndex,
        cx: &CallContext,
        args: Bytes,
    ) -> Result<Call<'_>, Failure> {
        let shared = self.shared();
        let mut core = shared.core.lock();
        let id = core.connection.call(now(), binding.id, function, cx, args)?;
        core.calls.insert(id, Answer::Awaited(None));
        let alone = core.connection.in_flight() == 1 && core.connection.in_service() == 0;
        let leads = alone && core.leader.is_none();
        if leads {
            core.leader = Some(id);
            core.led = true;
        }
        let in_time = core.armed.is_some_and(|armed| core.connection.poll_timeout().is_none_or(|due| armed <= due));
        if !leads || !core.watched || !in_time {
            core.wake();
        }
        drop(core);
        Ok(Call { shared, id, leads, answered: false })
    }

    fn ask<T>(
        &self,
        request: impl FnOnce(&mut Connection, std::time::Instant) -> Result<RequestId, Failure>,
        waiting: impl FnOnce(oneshot::Sender<T>) -> Waiting,
    ) -> Result<(oneshot::Receiver<T>, Request<'_>), Failure> {
        let (answer, answered) = oneshot::channel();
        let mut core = self.shared().core.lock();
        let id = request(&mut core.connection, now())?;
        core.waiting.insert(id, waiting(answer));
        core.wake();
        drop(core);
        Ok((answered, Request { shared: self.shared(), id, answered: false }))
    }

    fn bind_deadline(&self) -> std::time::Instant {
        (Instant::now() + Duration::from_millis(self.shared().options.bind_ms)).into_std()
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

/// A connection whose hello is still to come.
pub(crate) struct Starting {
    pub(crate) peer: Peer,
    /// Comes with the hello, or the reason that none did.
    pub(crate) opened: oneshot::Receiver<Result<(), Failure>>,
    /// Ends once the channel is closed, after the connection did.
    pub(crate) driver: JoinHandle<()>,
}

impl Shared {
    /// Notes that the other end takes no request any more.
    pub(crate) fn set_leaving(&self) {
        self.leaving.store(true, Ordering::Release);
        self.meter.leaves();
    }

    /// Notes that the connection went, once everything that waited for it knows.
    pub(crate) fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
        self.meter.closed();
        self.gone.send_replace(true);
    }
}

impl Core {
    /// Has the driver look at the connection again.
    pub(crate) fn wake(&mut self) {
        match self.driver.take() {
            Some(driver) => driver.wake(),
            None => self.called = true,
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut core = self.shared.core.lock();
        core.released = true;
        core.wake();
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("identity", self.identity()).field("closed", &self.is_closed()).finish()
    }
}

/// A binding at the other end, given back when it is dropped.
pub(crate) struct Binding {
    shared: Arc<Shared>,
    id: BindingId,
}

impl Binding {
    pub(crate) fn new(shared: Arc<Shared>, id: BindingId) -> Self {
        Self { shared, id }
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        let mut core = self.shared.core.lock();
        core.connection.unbind(self.id);
        core.wake();
    }
}

/// A call under way; dropping it before its answer gives it up.
///
/// Where it is the only one, its caller leads: it moves the frames itself, and no task has to be woken on the way there
/// and back.
struct Call<'a> {
    shared: &'a Arc<Shared>,
    id: RequestId,
    leads: bool,
    answered: bool,
}

impl Call<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, CallFailed>> {
        let goes_on = self.leads && self.lead(cx);
        let mut core = self.shared.core.lock();
        let answer = match core.calls.get_mut(&self.id) {
            Some(Answer::Awaited(waiting)) => {
                if !waiting.as_ref().is_some_and(|waiting| waiting.will_wake(cx.waker())) {
                    *waiting = Some(cx.waker().clone());
                }
                if self.leads && !goes_on {
                    self.resign(&mut core);
                    core.wake();
                }
                return Poll::Pending;
            }
            Some(Answer::Here(_)) => core.calls.remove(&self.id),
            None => None,
        };
        self.answered = true;
        if self.leads && (self.resign(&mut core) || !goes_on) {
            core.wake();
        }
        drop(core);
        Poll::Ready(match answer {
            Some(Answer::Here(answer)) => answer,
            Some(Answer::Awaited(_)) | None => {
                Err(Failure::Unknown { cause: "the connection ended".to_owned() }.into())
            }
        })
    }

    /// Moves the frames; whether that may go on so.
    fn lead(&self, cx: &mut Context<'_>) -> bool {
        let Some(mut io) = self.shared.io.try_lock() else { return false };
        self.shared.bell.lead(cx.waker());
        let place = &mut Place::Caller(Some(self.id));
        io.receive(self.shared, place) == Turn::Idle && io.transmit(self.shared, place) == Turn::Idle
    }

    /// Leads no more; whether somebody has to look at the channel.
    fn resign(&mut self, core: &mut Core) -> bool {
        self.leads = false;
        core.leader = None;
        self.shared.bell.resign()
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let mut core = self.shared.core.lock();
        let answer = core.calls.remove(&self.id);
        let resigned = self.leads && self.resign(&mut core);
        if core.connection.cancel(self.id) || resigned {
            core.wake();
        }
        drop(core);
        drop(answer);
    }
}

/// A request under way; dropping it before its answer gives it up.
struct Request<'a> {
    shared: &'a Shared,
    id: RequestId,
    answered: bool,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let mut core = self.shared.core.lock();
        core.waiting.remove(&self.id);
        if core.connection.cancel(self.id) {
            core.wake();
        }
    }
}

async fn wait_for<T>(answer: oneshot::Receiver<T>, mut request: Request<'_>) -> Option<T> {
    let answer = answer.await.ok();
    request.answered = answer.is_some();
    answer
}

/// Now, on the clock that tests can stop.
pub(crate) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

pub(crate) fn not_sent(cause: String) -> Failure {
    Failure::NotSent { cause }
}

fn connection_ended() -> Failure {
    not_sent("the connection ended".to_owned())
}
