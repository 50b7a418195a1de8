//! The honest client: calls one after the other, checks each answer, and notes how long it took.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{BindRequest, CallContext, Callee};
use isorun_rpc::{Link, PeerOptions};
use isorun_transport_tcp::TcpTransport;

use super::house::{ECHO, NAMES};

/// Time that each of its calls has, in milliseconds: far more than any should need.
const DEADLINE_MS: u64 = 60_000;

/// What the client still does at the least after a probe ended.
const AFTERWARDS: u64 = 100;

/// Calls that were answered.
#[derive(Default)]
struct Count {
    calls: Mutex<u64>,
    grew: Condvar,
}

impl Count {
    fn now(&self) -> u64 {
        *self.calls.lock().unwrap()
    }

    fn grow(&self) {
        *self.calls.lock().unwrap() += 1;
        self.grew.notify_all();
    }

    /// Waits for `target`; whether it came.
    fn reaches(&self, target: u64, patience: Duration) -> bool {
        let waits = self.grew.wait_timeout_while(self.calls.lock().unwrap(), patience, |calls| *calls < target);
        !waits.unwrap().1.timed_out()
    }
}

/// One call of the honest client.
pub struct Call {
    pub started: Instant,
    pub took: Duration,
}

/// A client that does what it may, beside one that does not.
pub struct Honest {
    stop: Arc<AtomicBool>,
    done: Arc<Count>,
    thread: JoinHandle<Vec<Call>>,
    /// When a test has taken too long.
    patience: Instant,
}

impl Honest {
    /// Starts to call, with this much time between two calls.
    pub fn start(address: &str, pause: Duration) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(Count::default()));
        let transport = TcpTransport::new(address).unwrap();
        let thread = {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(calls(transport, pause, &stop, &done))
            })
        };
        let honest = Self { stop, done, thread, patience: Instant::now() + Duration::from_secs(110) };
        honest.goes_on(AFTERWARDS);
        honest
    }

    /// Waits until it has made so many more calls.
    pub fn goes_on(&self, calls: u64) {
        let target = self.done.now() + calls;
        while !self.done.reaches(target, Duration::from_secs(1)) {
            // Its own words about what went wrong come with the join.
            if self.thread.is_finished() {
                return;
            }
            assert!(self.patience > Instant::now(), "the honest client is not served");
        }
    }

    /// Ends, after some more calls; each of its calls, in the order they were made.
    pub fn stop(self) -> Vec<Call> {
        self.goes_on(AFTERWARDS);
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("every call of the honest client is answered, and rightly")
    }
}

async fn calls(transport: TcpTransport, pause: Duration, stop: &AtomicBool, done: &Count) -> Vec<Call> {
    let house = Link::new(Arc::new(transport), PeerOptions::default()).instance("house");
    let functions = NAMES.iter().map(|name| ((*name).to_owned(), [1; 32])).collect();
    let want = BindRequest { interface: Some("demo:house/rooms@0.1.0".to_owned()), functions };
    let bound = house.bind(&want).await.unwrap();
    let mut took = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let args = Bytes::from(format!("call {}", done.now()));
        let started = Instant::now();
        let cx = CallContext::until(started + Duration::from_millis(DEADLINE_MS));
        let reply = bound.call(ECHO, &cx, args.clone()).await.unwrap();
        took.push(Call { started, took: started.elapsed() });
        assert_eq!(reply.results, args);
        done.grow();
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    took
}
