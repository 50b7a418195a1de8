//! The server that the probes are aimed at: in a process of its own, so that its memory is nobody else's.

use std::fmt::Write as _;
use std::future::pending;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Directory, Failure, FunctionIndex, PeerIdentity,
    Refusal, Reply,
};
use isorun_rpc::{ServeOptions, serve_until};
use isorun_transport_tcp::TcpTransportListener;
use tracing::field::{Field, Visit};
use tracing::span;

/// Gives back its arguments.
pub const ECHO: FunctionIndex = FunctionIndex(0);
/// Never ends by itself.
pub const NEVER: FunctionIndex = FunctionIndex(1);
/// Takes five bytes, of which the first is a 4, and nothing else.
pub const STRICT: FunctionIndex = FunctionIndex(2);
/// Their names, in the order of their numbers.
pub const NAMES: [&str; 3] = ["echo", "never", "strict"];

/// Set where this program is the server.
const CHILD: &str = "ISORUN_HOSTILE_HOUSE";

/// Lines of the server's log that are kept; a probe that makes it write more has found something.
const LINES_MAX: usize = 20_000;

struct House;

impl Directory for House {
    fn find(&self, instance: &str, _caller: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        match instance {
            "house" => Ok(Arc::new(Self)),
            _ => Err(Refusal::NoSuchInstance { instance: instance.to_owned() }.into()),
        }
    }
}

impl Callee for House {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async move {
            let known = want.functions.iter().map(|(name, _)| name.as_str()).eq(NAMES);
            if !known {
                return Err(Refusal::no_such_function("house", want.interface.as_deref(), "other").into());
            }
            Ok(Arc::new(Self) as Arc<dyn Bound>)
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async { Ok(Bytes::from_static(b"ledger")) })
    }
}

impl Bound for House {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        _cx: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            match function {
                ECHO => Ok(Reply { results: args, fuel_used: 0 }),
                STRICT if args.len() == 5 && args[0] == 4 => Ok(Reply { results: args, fuel_used: 0 }),
                STRICT => {
                    let detail = format!("{} bytes are no u32", args.len());
                    Err(Failure::from(Refusal::BadArguments { detail }).into())
                }
                _ => pending().await,
            }
        })
    }
}

/// Serves until the input ends, if this process was started for that.
pub fn serve_if_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    tracing::subscriber::set_global_default(Log::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let left = runtime.block_on(async {
        let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("127.0.0.1:{}", listener.local_address().port());
        // Past the harness, which would keep it.
        writeln!(std::io::stdout().lock(), "\nserves {address}").unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            drop(stop);
        });
        let options = ServeOptions { drain_ms: 1, ..ServeOptions::default() };
        serve_until(Box::new(listener), Arc::new(House), options, async { drop(stopped.await) }).await
    });
    eprintln!("served, {left} connections left");
    std::process::exit(0);
}

/// Writes every event from `info` on as one line of standard error.
#[derive(Default)]
struct Log(AtomicU64);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1 + self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        eprintln!("{}", line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// A running server.
pub struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    log: Option<JoinHandle<Vec<String>>>,
    /// `HOST:PORT`.
    pub address: String,
}

impl Server {
    /// Starts this program once more, with these arguments, to be the server: it must call [`serve_if_child`].
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(args)
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let serves =
            stdout.by_ref().map_while(Result::ok).find_map(|line| line.strip_prefix("serves ").map(str::to_owned));
        let address = serves.expect("the server says where it is");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = std::thread::spawn(move || {
            let mut kept = Vec::new();
            for line in stderr.lines().map_while(Result::ok) {
                if kept.len() < LINES_MAX {
                    kept.push(line);
                }
            }
            kept
        });
        let stdin = child.stdin.take();
        Self { child, stdin, log: Some(log), address }
    }

    /// Memory that it holds now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that it held since it started, or since [`forget_peak`](Self::forget_peak), in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Starts to look for a peak anew.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line for each of them");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib << 10
    }

    /// Has it end, and gives what it wrote.
    pub fn stop(mut self) -> Vec<String> {
        drop(self.stdin.take());
        let status = self.child.wait().unwrap();
        let log = self.log.take().unwrap().join().unwrap();
        assert!(status.success(), "{status}: {log:#?}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
