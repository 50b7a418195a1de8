//! `isorun pipe`: a chain of nodes between standard input and standard output.
//!
//! One thread reads, one writes, and each node has a task. Between two of them are a few records, bounded in bytes, so
//! that a stream of any length takes the memory of its pieces. Who ends, drops its end of what is between: those before
//! it stop, and those after it finish what they have.

mod ends;
mod progress;
mod records;

use std::io::{self, BufReader, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use isorun::nodes::{
    Choice, INPUT_BYTES_MAX, LoadedModule, NodeState, WasmArtifact, WasmProcessorFactory, WitNodeExecutor,
};
use isorun::{ReadError, Runtime, WasiFeature};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use crate::args::{Cut, Output, PipeArgs};
use crate::compiling::Compiling;
use crate::exit::{self, FAILED, Failed};
use crate::load;
use crate::terminal::{Terminal, note, one_line, remark, while_slow};

use progress::Progress;
use records::{Record, Records};

/// Streams standard input through the nodes.
pub async fn pipe(args: PipeArgs, terminal: &Terminal, compiling: &Compiling) -> Result<u8, Failed> {
    let cut = args.cut.cut();
    let output = ends::Output::look(cut, args.force)?;
    let runtime = compiling.runtime()?;
    let stages = stages(&runtime, &args, terminal).await?;
    let progress = Arc::new(Progress::new(stages.iter().map(|stage| stage.place.clone()), ends::input_bytes()));
    if io::stdin().is_terminal() {
        remark("reading what is typed here; Ctrl-D ends it");
    }
    let (sender, mut receiver) = link();
    let input = progress.clone();
    let reader = spawn_blocking(move || read(cut, &sender, &input));
    let mut tasks = JoinSet::new();
    for (at, stage) in stages.into_iter().enumerate() {
        let (sender, next) = link();
        let from = std::mem::replace(&mut receiver, next);
        let progress = progress.clone();
        tasks.spawn(async move { (at, stage.run(at, cut, from, &sender, &progress).await) });
    }
    let written = progress.clone();
    let writer = spawn_blocking(move || write(cut, receiver, output, &written));
    progress.shown_while(end(reader, tasks, writer)).await
}

/// Waits for the end of all of it. Of several failures it is the last node's that counts: it had the earliest record.
async fn end(
    reader: JoinHandle<Result<(), Failed>>,
    mut tasks: JoinSet<(usize, Result<(), Failed>)>,
    writer: JoinHandle<Result<Written, Failed>>,
) -> Result<u8, Failed> {
    let gone = |error| Failed::new(FAILED, format!("a part of the pipe has ended: {error}"));
    match writer.await.map_err(gone)?? {
        // Nobody wants what the nodes are still at.
        Written::Unwanted => return Ok(exit::OK),
        Written::All => {}
    }
    let mut failures = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let (at, outcome) = ended.map_err(gone)?;
        failures.extend(outcome.err().map(|failed| (at, failed)));
    }
    if let Some((_, failed)) = failures.into_iter().max_by_key(|(at, _)| *at) {
        return Err(failed);
    }
    // Without a failure after it, it was read to its end.
    reader.await.map_err(gone)??;
    Ok(exit::OK)
}

/// A node in its place.
struct Stage {
    /// For messages: its file, and its place where there are several.
    name: String,
    /// The same in a few letters.
    place: String,
    node: WitNodeExecutor,
}

/// Loads, links and starts all nodes, before anything is read.
async fn stages(runtime: &Runtime, args: &PipeArgs, terminal: &Terminal) -> Result<Vec<Stage>, Failed> {
    let count = args.nodes.len();
    if args.function.len() > 1 && args.function.len() != count {
        return Err(Failed::usage(format!(
            "--function: {} are named for {count} nodes; name one for all of them, or one for each",
            args.function.len()
        )));
    }
    if args.grants.wasi.contains(&WasiFeature::Stdio) {
        return Err(Failed::usage("--wasi stdio: standard input and output are what goes through the nodes")
            .hint("`isorun run NODE.wasm --wasi stdio --invoke CALL` shows what a guest prints"));
    }
    let mut loaded: Vec<(&PathBuf, LoadedModule)> = Vec::new();
    let mut stages = Vec::new();
    for (at, file) in args.nodes.iter().enumerate() {
        let name = match count {
            1 => format!("`{}`", file.display()),
            _ => format!("node {} of {count}, `{}`", at + 1, file.display()),
        };
        let short = one_line(&file.file_name().unwrap_or(file.as_os_str()).display().to_string());
        let place = if count == 1 { format!("`{short}`") } else { format!("{}/{count} `{short}`", at + 1) };
        let module = match loaded.iter().find(|(other, _)| *other == file) {
            Some((_, module)) => module.clone(),
            None => module(runtime, args, file)?,
        };
        let function = args.function.get(at).or(args.function.first());
        let factory = factory(runtime, args, &module, function)?;
        let choice = factory.choose(&module).map_err(|error| Failed::node(&name, &error))?;
        if args.explain {
            explain(terminal, at + 1, file, &choice);
        }
        let building = while_slow(&format!("compiling {}", file.display()), factory.build(&module)).await;
        let node = building.map_err(|error| Failed::node(&name, &error))?;
        stages.push(Stage { name, place, node });
        loaded.push((file, module));
    }
    Ok(stages)
}

fn module(runtime: &Runtime, args: &PipeArgs, file: &Path) -> Result<LoadedModule, Failed> {
    let unread = |error: ReadError| {
        let failed = Failed::unread(format!("cannot read `{}`: {error}", file.display()));
        match error {
            ReadError::NotAFile { what } if what != "a folder" => failed.hint(
                "a node is a regular file: write it to one first, like `COMMAND > node.wasm`; standard input is what \
                 goes through the nodes",
            ),
            _ => failed,
        }
    };
    let name = || format!("`{}`", file.display());
    let mut artifact = WasmArtifact::read(file).map_err(unread)?;
    if args.componentize {
        artifact = artifact.componentize().map_err(|error| Failed::node(&name(), &error))?;
    }
    runtime.load_module(&artifact).map_err(|error| Failed::node(&name(), &error))
}

fn factory(
    runtime: &Runtime,
    args: &PipeArgs,
    module: &LoadedModule,
    function: Option<&String>,
) -> Result<WasmProcessorFactory, Failed> {
    let granted = load::granted_alone(runtime, module.component(), &args.grants)?;
    let links = granted.links().map_err(|error| Failed::start(&error))?;
    let state = if args.fresh { NodeState::Fresh } else { NodeState::Kept };
    let factory = WasmProcessorFactory::new().links(links).budget(args.budget.budget()).state(state);
    Ok(match function {
        Some(function) => factory.function(function),
        None => factory,
    })
}

fn explain(terminal: &Terminal, number: usize, file: &Path, choice: &Choice) {
    match terminal.output {
        Output::Text => note(&format!("{}: {choice}", file.display())),
        Output::Json => {
            let line = json!({ "node": {
                "number": number,
                "file": file.display().to_string(),
                "shape": choice.shape.to_string(),
                "functions": choice.functions,
                "because": choice.because,
            } });
            note(&line.to_string());
        }
    }
}

impl Stage {
    /// Has the node process each record, until there is no other, or nobody to take it.
    async fn run(
        &self,
        at: usize,
        cut: Cut,
        mut from: mpsc::Receiver<Item>,
        to: &Sender,
        progress: &Progress,
    ) -> Result<(), Failed> {
        while let Some(Item { mut record, room }) = from.recv().await {
            drop(room);
            let working = progress.working(at);
            let output = self.node.execute(&record.bytes).await;
            drop(working);
            record.bytes = output.map_err(|error| Failed::node(&piece(&self.name, cut, &record), &error))?;
            if to.send(record).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// A node and the piece that it has.
fn piece(name: &str, cut: Cut, record: &Record) -> String {
    let Record { number, at, .. } = record;
    match cut {
        Cut::Whole => name.to_owned(),
        Cut::Chunks(_) => format!("{name}, chunk {number} (from byte {at} of standard input)"),
        Cut::Lines => format!("{name}, line {number} (from byte {at} of standard input)"),
        Cut::Frames => format!("{name}, frame {number} (from byte {at} of standard input)"),
    }
}

/// Reads standard input to its end, or until nobody takes it.
fn read(cut: Cut, to: &Sender, progress: &Progress) -> Result<(), Failed> {
    let input = progress.counted(io::stdin().lock());
    let mut records = Records::new(BufReader::with_capacity(BUFFER_BYTES, input), cut);
    let tokio = Handle::current();
    loop {
        let reading = progress.reading();
        let Some(record) = records.next()? else { return Ok(()) };
        drop(reading);
        if tokio.block_on(to.send(record)).is_err() {
            return Ok(());
        }
    }
}

/// What became of the output.
enum Written {
    All,
    /// Whoever read it has gone.
    Unwanted,
}

/// Writes to standard output what comes.
fn write(
    cut: Cut,
    mut from: mpsc::Receiver<Item>,
    mut output: ends::Output,
    progress: &Progress,
) -> Result<Written, Failed> {
    let mut stdout = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    let mut next = from.blocking_recv();
    while let Some(Item { record, room }) = next {
        drop(room);
        output.takes(&record.bytes)?;
        let writing = progress.writing();
        let mut written = records::write(&mut stdout, cut, &record);
        progress.written(record.bytes.len());
        next = from.try_recv().ok();
        if next.is_none() {
            // Somebody may wait for what is there.
            written = written.and_then(|()| stdout.flush());
        }
        drop(writing);
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Written::Unwanted),
            Err(error) => return Err(Failed::new(FAILED, format!("cannot write to standard output: {error}"))),
        }
        if next.is_none() {
            next = from.blocking_recv();
        }
    }
    Ok(Written::All)
}

/// A record on its way, and the room it takes there.
struct Item {
    record: Record,
    room: OwnedSemaphorePermit,
}

/// Where records go on.
struct Sender {
    to: mpsc::Sender<Item>,
    room: Arc<Semaphore>,
}

/// Nobody takes what is sent.
struct Unwanted;

/// What is between two parts of the pipe: so many bytes at most, or one record that is larger.
fn link() -> (Sender, mpsc::Receiver<Item>) {
    let (to, from) = mpsc::channel(BETWEEN_RECORDS);
    (Sender { to, room: Arc::new(Semaphore::new(BETWEEN_BYTES as usize)) }, from)
}

impl Sender {
    async fn send(&self, record: Record) -> Result<(), Unwanted> {
        let bytes = u32::try_from(record.bytes.len()).unwrap_or(u32::MAX).min(BETWEEN_BYTES);
        let room = self.room.clone().acquire_many_owned(bytes).await.map_err(|_| Unwanted)?;
        self.to.send(Item { record, room }).await.map_err(|_| Unwanted)
    }
}

/// What waits between two parts of the pipe, in bytes: that both have something to do.
const BETWEEN_BYTES: u32 = 4 << 20;
/// The same, in records: that many small ones don't cost a switch each.
const BETWEEN_RECORDS: usize = 64;
/// What is read and written at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

// A record that takes all the room there is must be let through.
const _: () = assert!((BETWEEN_BYTES as usize) < INPUT_BYTES_MAX);
