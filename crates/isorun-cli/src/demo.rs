//! `isorun demo`: one component, its key-value store in three places.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isorun::{InMemoryKv, InstanceHandle, Linkable, LoadedComponent, Runtime, TcpAddress, TcpTransport, Val, wave};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::compiling::Compiling;
use crate::exit::{self, FAILED, Failed};
use crate::terminal::{self, Terminal};
use crate::units;

/// Runs `run(n)`: puts and gets `n` entries, and adds up what it finds.
const APP: &[u8] = include_bytes!("../../../guests/prebuilt/kv-app.wasm");
/// The store, as a component.
const PROVIDER: &[u8] = include_bytes!("../../../guests/prebuilt/kv-provider.wasm");
/// Gets one entry.
const GETTER: &[u8] = include_bytes!("../../../guests/prebuilt/get-app.wasm");

const STORE: &str = "demo:kv/store";
/// How many entries the app puts.
const ENTRIES: u32 = 40;
/// An entry that the app has put: 20 bytes under it.
const KEY: &str = "k/0020";
/// Calls whose time is measured.
const CALLS: usize = 1_000;
/// Calls before them.
const WARM_UP_CALLS: usize = 100;
/// How long the second process may take to compile the provider and listen; minutes on no machine.
const START_MS_MAX: u64 = 60_000;
/// Longest line that is read from the second process, in bytes.
const LINE_BYTES_MAX: u64 = 1_024;

/// Prints the table; fails where the places don't answer the same.
pub async fn demo(terminal: &Terminal, compiling: &Compiling) -> Result<u8, Failed> {
    let demo = Demo::new(compiling)?;
    let kv = InMemoryKv::new().deny("denied").absent_is_error("missing");
    let system = demo.place("system", "this process's own code", Linkable::system(kv)).await?;

    let provider = demo.runtime.builder(&demo.provider).name("kv").instantiate().await;
    let provider = provider.map_err(|error| Failed::start(&error))?;
    let local = Linkable::LocalInstance(provider.into());
    let local = demo.place("local", "another component in this process", local).await?;

    terminal::remark("remote: starting a second process, `isorun serve`");
    let mut second = Second::start(compiling).await?;
    let transport = Arc::new(TcpTransport::from(second.address.clone()));
    let remote = Linkable::remote(transport, Second::NAME);
    let remote = demo.place("remote", &format!("a component served at {}", second.address), remote).await?;
    second.end().await;

    let rows = [system, local, remote];
    let same = rows.iter().all(|row| row.answer == rows[0].answer);
    let enter = rows.iter().map(|row| row.enter).min().unwrap_or_default();
    terminal.result(|| table(&rows, enter), || json!({ "places": rows.each_ref().map(Row::json) }))?;
    if same { Ok(exit::OK) } else { Err(Failed::new(FAILED, "the places do not answer the same")) }
}

/// What all places have in common.
struct Demo {
    runtime: Runtime,
    app: LoadedComponent,
    provider: LoadedComponent,
    getter: LoadedComponent,
}

/// What one place came to.
struct Row {
    place: &'static str,
    lives: String,
    answer: String,
    /// Median time of a call of a guest that gets one entry.
    get: Duration,
    /// Median time of a call of the same guest that gets nothing.
    enter: Duration,
}

impl Row {
    fn json(&self) -> serde_json::Value {
        let (get_ns, enter_ns) = (self.get.as_nanos() as u64, self.enter.as_nanos() as u64);
        json!({ "place": self.place, "store": self.lives, "run": self.answer, "get_ns": get_ns, "enter_ns": enter_ns })
    }
}

impl Demo {
    fn new(compiling: &Compiling) -> Result<Self, Failed> {
        let runtime = compiling.runtime()?;
        let load = |bytes: &'static [u8]| {
            runtime.load(bytes).map_err(|error| Failed::new(FAILED, format!("a guest of the demo: {error}")))
        };
        let (app, provider, getter) = (load(APP)?, load(PROVIDER)?, load(GETTER)?);
        Ok(Self { runtime, app, provider, getter })
    }

    /// Runs the app, and then the guest that gets, with the store in one place.
    async fn place(&self, place: &'static str, lives: &str, store: Linkable) -> Result<Row, Failed> {
        terminal::remark(&format!("{place}: run({ENTRIES}), and {CALLS} times get"));
        let app = self.linked("kv-app", &self.app, store.clone()).await?;
        let answer = app.exec("run", &[Val::U32(ENTRIES)]).await.map_err(|error| Failed::call(&error))?;
        let answer = answer.first().map(wave::render).transpose();
        let answer =
            answer.map_err(|error| Failed::new(FAILED, format!("cannot print what `run` answers: {error}")))?;
        let answer = answer.unwrap_or_else(|| "nothing".into());
        let getter = self.linked("get-app", &self.getter, store).await?;
        let enter = median(&getter, "no-get", false).await?;
        let get = median(&getter, "get-once", true).await?;
        Ok(Row { place, lives: lives.to_owned(), answer, get, enter })
    }

    async fn linked(&self, name: &str, component: &LoadedComponent, store: Linkable) -> Result<InstanceHandle, Failed> {
        let builder = self.runtime.builder(component).name(name).link(STORE, store);
        builder.instantiate().await.map_err(|error| Failed::start(&error))
    }
}

/// The median time of a call that answers `expected`.
async fn median(instance: &InstanceHandle, function: &str, expected: bool) -> Result<Duration, Failed> {
    let args = [Val::String(KEY.into())];
    let mut times = Vec::with_capacity(CALLS);
    for call in 0..WARM_UP_CALLS + CALLS {
        let started = Instant::now();
        let results = instance.exec(function, &args).await;
        let time = started.elapsed();
        let results = results.map_err(|error| Failed::call(&error))?;
        if results != [Val::Bool(expected)] {
            return Err(Failed::new(FAILED, format!("`{function}` of `{KEY}` answered {results:?}")));
        }
        if call >= WARM_UP_CALLS {
            times.push(time);
        }
    }
    times.sort_unstable();
    Ok(times[CALLS / 2])
}

fn table(rows: &[Row], enter: Duration) -> String {
    let head = ["place".to_owned(), format!("{STORE} is"), format!("run({ENTRIES})"), "get".to_owned()];
    let cells = |row: &Row| [row.place.to_owned(), row.lives.clone(), row.answer.clone(), units::shown(row.get)];
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let [a, b, c, d] = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for [place, lives, answer, get] in &lines {
        text += &format!("{place:a$}  {lives:b$}  {answer:c$}  {get:>d$}\n");
    }
    let enter = units::shown(enter);
    text += &format!(
        "\nThe same app component each time; only its link differs.\n\
         get: the median of {CALLS} calls of a guest that gets one entry, of which {enter} is for entering that guest."
    );
    if cfg!(debug_assertions) {
        text += "\nThis build is not optimised: compare times of a release build.";
    }
    text
}

/// The second process; killed when this is dropped.
struct Second {
    child: Child,
    address: TcpAddress,
    /// Where its component lies, for as long as it runs.
    _folder: TempDir,
}

impl Second {
    const NAME: &str = "kv";

    /// Serves the provider, as anybody would.
    async fn start(compiling: &Compiling) -> Result<Self, Failed> {
        let failed = |what: &str, why: String| Failed::new(FAILED, format!("the second process: {what}: {why}"));
        let unwritten = |error: std::io::Error| failed("cannot write its component", error.to_string());
        let folder = tempfile::Builder::new().prefix("isorun-demo-").tempdir().map_err(unwritten)?;
        let file = folder.path().join("kv-provider.wasm");
        std::fs::write(&file, PROVIDER).map_err(unwritten)?;

        let program = std::env::current_exe().map_err(|error| failed("cannot find isorun", error.to_string()))?;
        let mut command = Command::new(program);
        command.arg("serve").arg(file).args(["--listen", "tcp://127.0.0.1:0", "--as", Self::NAME]);
        command.args(compiling.args());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed("cannot start isorun", error.to_string()))?;

        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout).take(LINE_BYTES_MAX);
            let read = tokio::time::timeout(Duration::from_millis(START_MS_MAX), stdout.read_line(&mut line)).await;
            let read = read.map_err(|_| failed("it does not listen", format!("{START_MS_MAX} ms have passed")))?;
            read.map_err(|error| failed("cannot read what it says", error.to_string()))?;
        }
        let address = line.trim_end().strip_prefix("listening ").and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| failed("it does not listen", format!("it said `{}`", line.trim_end())))?;
        Ok(Self { child, address, _folder: folder })
    }

    /// Ends it and waits for its end, so that its folder is free.
    async fn end(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "the second process can't be killed");
        }
    }
}
