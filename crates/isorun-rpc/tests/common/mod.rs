//! A directory with one instance whose functions do what a test needs, and the two ends of a channel.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Channel, Directory, Failure, Fault, FunctionIndex,
    PeerIdentity, Refusal, Reply, Transport, TransportError,
};
use isorun_rpc::ServeOptions;
use isorun_transport_local::LocalChannelTransport;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub const ECHO: FunctionIndex = FunctionIndex(0);
pub const GATED: FunctionIndex = FunctionIndex(1);
pub const NEVER: FunctionIndex = FunctionIndex(2);
pub const TRAP: FunctionIndex = FunctionIndex(3);
pub const PANIC: FunctionIndex = FunctionIndex(4);
pub const LARGE: FunctionIndex = FunctionIndex(5);
/// Gives a mebibyte.
pub const MEBIBYTE: FunctionIndex = FunctionIndex(6);
const NAMES: [&str; 7] = ["echo", "gated", "never", "trap", "panic", "large", "mebibyte"];

/// What a test sees of the serving side.
pub struct House {
    /// Calls of `gated` go on when they get a permit.
    pub gate: Semaphore,
    pub started: AtomicUsize,
    /// Calls that were dropped before their end.
    pub dropped: AtomicUsize,
    pub last: Mutex<Option<CallContext>>,
    pub binds: AtomicUsize,
    pub bounds_alive: AtomicUsize,
    /// Another hash than the caller's: bind is refused.
    pub changed: std::sync::atomic::AtomicBool,
    /// What it says of that.
    pub keeps_state: Mutex<Option<bool>>,
}

impl House {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(0),
            started: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            last: Mutex::new(None),
            binds: AtomicUsize::new(0),
            bounds_alive: AtomicUsize::new(0),
            changed: false.into(),
            keeps_state: Mutex::new(None),
        })
    }
}

pub struct Rooms(pub Arc<House>);

impl Directory for Rooms {
    fn find(&self, instance: &str, _caller: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        match instance {
            "house" => Ok(Arc::new(Rooms(Arc::clone(&self.0)))),
            "secret" => Err(Refusal::Unauthorised { reason: "not for you".to_owned() }.into()),
            _ => Err(Refusal::NoSuchInstance { instance: instance.to_owned() }.into()),
        }
    }
}

impl Callee for Rooms {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async move {
            self.0.binds.fetch_add(1, Ordering::SeqCst);
            if self.0.changed.load(Ordering::SeqCst) {
                let detail = "house.echo: u64 here, u32 there".to_owned();
                return Err(Refusal::Incompatible { detail, ledger: Bytes::from_static(b"ledger") }.into());
            }
            for (name, _) in &want.functions {
                if !NAMES.contains(&name.as_str()) {
                    let (instance, function) = ("house".to_owned(), name.clone());
                    return Err(Refusal::NoSuchFunction { instance, function }.into());
                }
            }
            self.0.bounds_alive.fetch_add(1, Ordering::SeqCst);
            let names = want.functions.iter().map(|(name, _)| name.clone()).collect();
            Ok(Arc::new(Room { house: Arc::clone(&self.0), names }) as Arc<dyn Bound>)
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async { Ok(Bytes::from_static(b"ledger")) })
    }

    fn keeps_state(&self) -> Option<bool> {
        *self.0.keeps_state.lock()
    }
}

struct Room {
    house: Arc<House>,
    names: Vec<String>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.house.bounds_alive.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Running<'a>(&'a House, bool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Bound for Room {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        cx: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            self.house.started.fetch_add(1, Ordering::SeqCst);
            let mut running = Running(&self.house, false);
            *self.house.last.lock() = Some(cx.clone());
            let result = match self.names[function.0 as usize].as_str() {
                "echo" => Ok(Reply { results: args, fuel_used: 7 }),
                "gated" => {
                    self.house.gate.acquire().await.unwrap().forget();
                    Ok(Reply { results: args, fuel_used: 7 })
                }
                "never" => pending().await,
                "trap" => {
                    let failure = Fault::Trapped { message: "unreachable".to_owned() }.into();
                    Err(CallFailed { failure, fuel_used: 3 })
                }
                "large" => Ok(Reply { results: Bytes::from(vec![0; 21 << 20]), fuel_used: 9 }),
                "mebibyte" => Ok(Reply { results: Bytes::from(vec![7; 1 << 20]), fuel_used: 9 }),
                _ => panic!("as the test wants"),
            };
            running.1 = true;
            result
        })
    }
}

pub fn want(names: &[&str]) -> BindRequest {
    BindRequest {
        interface: Some("demo:house/rooms@0.1.0".to_owned()),
        functions: names.iter().map(|name| ((*name).to_owned(), [1; 32])).collect(),
    }
}

pub fn everything() -> BindRequest {
    want(&NAMES)
}

pub fn within(ms: u64) -> CallContext {
    CallContext::until((Instant::now() + Duration::from_millis(ms)).into_std())
}

/// Serves a house at one end of a pair; the other end opens connections to it.
pub fn served(house: &Arc<House>) -> (Arc<dyn Transport>, JoinHandle<()>) {
    served_with(house, ServeOptions::default())
}

pub fn served_with(house: &Arc<House>, options: ServeOptions) -> (Arc<dyn Transport>, JoinHandle<()>) {
    let (near, far) = LocalChannelTransport::pair();
    let directory = Arc::new(Rooms(Arc::clone(house)));
    (Arc::new(near), tokio::spawn(isorun_rpc::serve(Box::new(far), directory, options)))
}

/// Whatever transport it holds now; a test puts another in when the peer comes back.
pub struct Switch(pub Mutex<Arc<dyn Transport>>);

impl Transport for Switch {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        let transport = Arc::clone(&*self.0.lock());
        Box::pin(async move { transport.open().await })
    }
}

pub async fn send(channel: &mut dyn Channel, frame: impl Into<Bytes>) {
    let mut queue = VecDeque::from([frame.into()]);
    // It may have closed already, which is what some tests are about.
    let _ = poll_fn(|cx| channel.poll_send(cx, &mut queue)).await;
}

pub async fn receive(channel: &mut dyn Channel) -> Option<Bytes> {
    poll_fn(|cx| channel.poll_recv(cx)).await.ok().flatten()
}

/// Lets everything that can run do so.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
