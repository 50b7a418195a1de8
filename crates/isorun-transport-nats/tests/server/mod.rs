//! A real NATS server on a free port, with a folder of its own; it ends with the value.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Whether the tests that need a server are left out, which is then said.
pub fn is_left_out() -> bool {
    let without = std::env::var("ISORUN_WITHOUT").unwrap_or_default();
    let left_out = without.split(',').any(|name| name == "nats-server");
    if left_out {
        eprintln!("skipped: it wants a NATS server, and --without nats-server was said");
    }
    left_out
}

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(60);

pub struct NatsServer {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl NatsServer {
    /// A server as it comes.
    pub fn start() -> Self {
        Self::configured("")
    }

    /// A server with JetStream, which takes the largest values.
    pub fn start_with_jetstream() -> Self {
        Self::configured("max_payload: 2MB\njetstream { store_dir: \"FOLDER/js\" }")
    }

    /// A server with more lines in its configuration, where FOLDER stands for its own folder.
    pub fn configured(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = lines.replace("FOLDER", &folder.path().display().to_string());
        let config = format!("listen: 127.0.0.1:-1\n{lines}\n");
        std::fs::write(folder.path().join("nats.conf"), config).unwrap();
        let (process, port) = run(&folder);
        Self { process, folder, port }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again where it was; it knows nothing of before but what it keeps.
    pub fn start_again(&mut self) {
        let file = self.folder.path().join("nats.conf");
        let config = std::fs::read_to_string(&file).unwrap();
        let config = config.replace("listen: 127.0.0.1:-1", &format!("listen: 127.0.0.1:{}", self.port));
        std::fs::write(&file, config).unwrap();
        let (process, port) = run(&self.folder);
        assert_eq!(port, self.port);
        self.process = process;
    }

    /// `nats://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs it, and reads from its own words where it listens.
fn run(folder: &TempDir) -> (Child, u16) {
    let mut process = Command::new("nats-server")
        .arg("-c")
        .arg(folder.path().join("nats.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("nats-server: {error}; install it with `apt-get install nats-server`"));
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let (mut port, started) = (None, Instant::now());
    let mut said = Vec::new();
    while started.elapsed() < START {
        let Some(Ok(line)) = lines.next() else { break };
        if let Some((_, address)) = line.split_once("Listening for client connections on ") {
            port = address.rsplit(':').next().and_then(|port| port.trim().parse().ok());
        }
        let ready = line.contains("Server is ready");
        said.push(line);
        if ready && let Some(port) = port {
            // It may say more, and must not wait for a reader.
            std::thread::spawn(move || lines.for_each(drop));
            return (process, port);
        }
    }
    let _ = process.kill();
    let _ = process.wait();
    panic!("nats-server did not start: {said:#?}");
}
