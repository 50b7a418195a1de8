//! Faults of real networks and disks, on real sockets: network namespaces, `tc netem`, and a disk of a few pages.
//!
//! Two hosts with a router between them: `isorun serve` on one, `isorun serve --link` and `isorun call` on the other.
//! What the system forbids is skipped, with the reason. Nothing outside the namespaces is touched, and they are taken
//! away at the end, whatever it was.

mod net;
mod probes;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::process::{cargo, root, run, target};

/// How a probe ended, in one line.
pub enum Verdict {
    /// As promised; what was seen.
    Held(String),
    /// The system won't have it.
    Skipped(String),
}

/// One fault and what is promised for it.
struct Probe {
    name: &'static str,
    promise: &'static str,
    run: fn(&Tools) -> Outcome<Verdict>,
}

const PROBES: &[Probe] = &[
    Probe {
        name: "partition and heal mid-call",
        promise: "the call ends as unknown or at its deadline, ran at most once, and the link works once the net heals",
        run: probes::partition,
    },
    Probe { name: "5% of all packets lost", promise: "every call is answered, and ran once", run: probes::loss },
    Probe {
        name: "200 ms delay each way",
        promise: "every call is answered in two round trips and a half at most",
        run: probes::delay,
    },
    Probe {
        name: "a peer killed under load",
        promise: "each call has an outcome at once; the link works again when the peer is back",
        run: probes::killed,
    },
    Probe {
        name: "a full disk",
        promise: "compiled code that can't be kept is no failure of `serve`; `compile` says so; nothing half stays",
        run: probes::full_disk,
    },
];

/// What the probes work with.
pub struct Tools {
    isorun: std::path::PathBuf,
    folder: std::path::PathBuf,
    counter: String,
    app: String,
}

/// `cargo xtask faults [WORDS]`.
pub fn main(words: &[&str]) -> Outcome {
    let tools = Tools::make()?;
    let mut failed = Vec::new();
    println!("| fault | promise | result |");
    println!("|---|---|---|");
    for probe in PROBES.iter().filter(|probe| words.iter().all(|word| probe.name.contains(word))) {
        let result = match (probe.run)(&tools) {
            Ok(Verdict::Held(seen)) => format!("held: {seen}"),
            Ok(Verdict::Skipped(why)) => format!("skipped: {why}"),
            Err(error) => {
                failed.push(probe.name);
                format!("FAILED: {error}")
            }
        };
        println!("| {} | {} | {result} |", probe.name, probe.promise);
    }
    let _ = std::fs::remove_dir_all(&tools.folder);
    if failed.is_empty() { Ok(()) } else { Err(format!("not as promised: {}", failed.join(", "))) }
}

impl Tools {
    fn make() -> Outcome<Self> {
        // With the features of the whole workspace, so that the engine is not built twice.
        run(&mut cargo(&["build", "--workspace", "--bin", "isorun"]))?;
        let folder = std::env::temp_dir().join(format!("isorun-faults-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let guest = |name: &str| -> Outcome<String> {
            let text = root().join(format!("guests/wat/{name}.wat"));
            let bytes = wat::parse_file(&text).map_err(|e| format!("{}: {e}", text.display()))?;
            let file = folder.join(format!("{name}.wasm"));
            std::fs::write(&file, bytes).map_err(|e| format!("{}: {e}", file.display()))?;
            Ok(file.display().to_string())
        };
        let (counter, app) = (guest("counter")?, guest("counter-app")?);
        Ok(Self { isorun: target().join("debug/isorun"), folder, counter, app })
    }

    /// The command, in a namespace if there is one.
    fn isorun(&self, namespace: Option<&str>, args: &[&str]) -> Command {
        let mut command = match namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&self.isorun);
                command
            }
            None => Command::new(&self.isorun),
        };
        command.args(args).env("XDG_CACHE_HOME", self.folder.join("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// A process that ends with this.
pub struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Outcome<Self> {
        command.spawn().map(Self).map_err(|e| format!("{command:?}: {e}"))
    }

    /// Starts a server, and waits until it says that it listens.
    fn serving(command: &mut Command) -> Outcome<Self> {
        use std::io::{BufRead, BufReader};
        let mut running = Self::start(command)?;
        let mut line = String::new();
        let stdout = running.0.stdout.take().ok_or("no pipe")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string())?;
        if line.starts_with("listening") { Ok(running) } else { Err(format!("{command:?} does not listen: {line}")) }
    }

    /// Waits for its end; its code, and what it wrote.
    fn end(mut self) -> Outcome<Done> {
        use std::io::Read;
        let (mut out, mut err) = (String::new(), String::new());
        let read = |pipe: Option<&mut dyn Read>, text: &mut String| pipe.map(|pipe| pipe.read_to_string(text));
        read(self.0.stdout.as_mut().map(|pipe| pipe as &mut dyn Read), &mut out);
        read(self.0.stderr.as_mut().map(|pipe| pipe as &mut dyn Read), &mut err);
        let code = self.0.wait().map_err(|e| e.to_string())?.code();
        Ok(Done { code, out: out.trim().to_owned(), err: err.trim().to_owned() })
    }

    /// Ends it as nothing could do it more rudely.
    fn kill(&mut self) -> Outcome {
        self.0.kill().and_then(|()| self.0.wait()).map(drop).map_err(|e| e.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A time for people.
fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
