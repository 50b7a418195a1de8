//! One connection, as its users hold it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, CallContext, CallFailed, Channel, Failure, FunctionIndex, PeerIdentity, Reply, Transport,
};
use neorpc::{BindingId, Connection, RequestId};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, timeout};

use crate::driver::Driver;
use crate::options::PeerOptions;
use crate::remote::RemoteInstance;

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
    pub(crate) identity: PeerIdentity,
    pub(crate) options: PeerOptions,
    closed: AtomicBool,
    leaving: AtomicBool,
    gone: watch::Sender<bool>,
}

/// The part behind the lock, which is never held while something is awaited or somebody else's code runs.
pub(crate) struct Core {
    pub(crate) connection: Connection,
    pub(crate) waiting: HashMap<RequestId, Waiting>,
    /// What the other end has bound here.
    pub(crate) bindings: HashMap<BindingId, Arc<dyn Bound>>,
    /// What the other end has under way here; `None` until its task is started.
    pub(crate) tasks: HashMap<RequestId, Option<AbortHandle>>,
    pub(crate) opened: Option<oneshot::Sender<Result<(), Failure>>>,
    pub(crate) driver: Option<Waker>,
    /// All users are gone.
    pub(crate) released: bool,
}

/// Who waits for a request's answer.
pub(crate) enum Waiting {
    Bind(oneshot::Sender<Result<Binding, Failure>>),
    Describe(oneshot::Sender<Result<Bytes, Failure>>),
    Call(oneshot::Sender<Result<Reply, CallFailed>>),
}

impl Peer {
    /// Opens a channel and says hello over it.
    ///
    /// # Errors
    /// [`Failure::NotSent`]: nobody answers, or nobody that speaks this protocol.
    pub async fn connect(transport: Arc<dyn Transport>, options: PeerOptions) -> Result<Self, Failure> {
        let connect_ms = options.connect_ms;
        let channel = timeout(Duration::from_millis(connect_ms), transport.open())
            .await
            .map_err(|_| not_sent(format!("no connection within {connect_ms} ms")))?
            .map_err(|error| not_sent(error.to_string()))?;
        let connection = Connection::connect(now(), options.limits);
        Self::start(channel, connection, options).await
    }

    /// Waits for the hello over a channel that came in.
    ///
    /// A channel that brings a self-contained call instead is served, and is no peer.
    ///
    /// # Errors
    /// [`Failure::NotSent`]: the other end did not say hello in time, or something else.
    pub async fn accept(channel: Box<dyn Channel>, options: PeerOptions) -> Result<Self, Failure> {
        let connection = Connection::accept(now(), options.limits);
        Self::start(channel, connection, options).await
    }

    async fn start(channel: Box<dyn Channel>, connection: Connection, options: PeerOptions) -> Result<Self, Failure> {
        let Starting { peer, opened, driver: _ } = Self::begin(channel, connection, options);
        opened.await.unwrap_or_else(|_| Err(not_sent("the connection ended".to_owned())))?;
        Ok(peer)
    }

    /// As [`accept`](Self::accept), waiting for nothing.
    pub(crate) fn accepting(channel: Box<dyn Channel>, options: PeerOptions) -> Starting {
        let connection = Connection::accept(now(), options.limits);
        Self::begin(channel, connection, options)
    }

    fn begin(channel: Box<dyn Channel>, connection: Connection, options: PeerOptions) -> Starting {
        let (open, opened) = oneshot::channel();
        let core = Core {
            connection,
            waiting: HashMap::new(),
            bindings: HashMap::new(),
            tasks: HashMap::new(),
            opened: Some(open),
            driver: None,
            released: false,
        };
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            identity: channel.peer().clone(),
            options,
            closed: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            gone: watch::Sender::new(false),
        });
        // Made before anything is awaited: should the waiting be given up, the connection closes.
        let peer = Self { handle: Arc::new(Handle { shared: Arc::clone(&shared) }) };
        let driver = tokio::spawn(Driver::new(channel, shared));
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

    pub(crate) async fn describe(&self, instance: &str) -> Result<Bytes, Failure> {
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
        let (answer, request) =
            self.ask(|connection, now| connection.call(now, binding.id, function, cx, args), Waiting::Call)?;
        wait_for(answer, request)
            .await
            .unwrap_or_else(|| Err(Failure::Unknown { cause: "the connection ended".to_owned() }.into()))
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
    }

    /// Notes that the connection went, once everything that waited for it knows.
    pub(crate) fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
        self.gone.send_replace(true);
    }
}

impl Core {
    /// Has the driver look at the connection again.
    pub(crate) fn wake(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
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
