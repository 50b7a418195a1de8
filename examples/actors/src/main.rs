//! Three components in two languages on two nodes, one of which is killed and started again while messages flow.
//!
//! This process is one node: `demo/feed/0`, in WebAssembly text, and `demo/report/0`, in C. The other is a process that it
//! starts: `demo/tally/0`, in C, which stores what it counts. For each message that the feed gets it sends one to either.

#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use isorun::actors::{Actor, Actors, ActorsOptions, LifecycleState, RemoteNode, RequestOutcome};
use isorun::{ComponentId, ComponentPattern, Listener, Runtime, StorageQuota, TcpTransport, TcpTransportListener};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// The counter, in C: `guests/c/tally`.
const TALLY: &[u8] = include_bytes!("../../../guests/prebuilt/tally.wasm");
/// The feed: `feed.wat` beside this folder.
const FEED: &[u8] = include_bytes!("../feed.wasm");

/// How many messages the feed is given.
const FED: u64 = 200;
/// How long an answer may take, in milliseconds.
const PATIENCE_MS: u64 = 60_000;

type Failed = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    match std::env::args().nth(1).as_deref() {
        Some("far") => far().await,
        _ => near().await,
    }
}

/// The other node, for as long as this one holds its standard input.
async fn far() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::new()?;
    let actors = runtime.actors(ActorsOptions::new().storage_file(folder.path().join("far.redb"))?)?;
    add_tally(&runtime, &actors, "demo/tally/0", "true").await?;
    actors.start().await.map_err(|exit| exit.to_string())?;
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await?;
    println!("{}", listener.address());
    let server = tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    server.abort();
    actors.stop().await;
    Ok(())
}

async fn near() -> Result<(), Failed> {
    let (_process, address) = started().await?;
    let far = Arc::new(TcpTransport::new(&address)?);

    let runtime = Runtime::new()?;
    let actors = runtime.actors(ActorsOptions::new())?;
    let feed = actors.kind(runtime.builder(&runtime.load(FEED)?)).await?;
    actors.add(Actor::new(ComponentId::parse("demo/feed/0")?, &feed)).await?;
    add_tally(&runtime, &actors, "demo/report/0", "false").await?;
    actors.route(ComponentPattern::parse("demo/tally/*")?, [far.clone()])?;
    actors.start().await.map_err(|exit| exit.to_string())?;
    println!("here:  demo/feed/0 (WebAssembly text), demo/report/0 (C)");
    println!("there: demo/tally/0 (C), at {address}");

    let mut refused = 0;
    let mut killed = String::new();
    for fed in 0..FED {
        if fed == FED / 2 {
            // Ends the counter, in the midst of what it has to do.
            killed = told(ask(&actors, "demo/tally/0", "trap").await?);
        }
        if !matches!(ask(&actors, "demo/feed/0", "one more").await?, RequestOutcome::NoReply) {
            refused += 1;
        }
    }
    println!("fed {FED} messages, of which {refused} were refused");
    println!("killed demo/tally/0: {killed}");

    let reported = told(ask(&actors, "demo/report/0", "get").await?);
    let counted = told(ask(&actors, "demo/tally/0", "get").await?);
    let there = RemoteNode::new(&runtime, far).components(false).await.map_err(|failure| failure.to_string())?;
    let tally = there.first().ok_or("nothing lives there")?;
    println!("demo/report/0 counted {reported}");
    println!("demo/tally/0 counted {counted}, is {} and was started again {} time", tally.state, tally.restarts);
    let lost = FED - refused - counted.parse::<u64>()?;
    println!("lost: {lost}");
    actors.stop().await;
    if lost == 0 && tally.state == LifecycleState::Running { Ok(()) } else { Err("messages were lost".into()) }
}

/// A counter of that id, whose count is stored or is not.
async fn add_tally(runtime: &Runtime, actors: &Actors, id: &str, durable: &str) -> Result<(), Failed> {
    let described = runtime.builder(&runtime.load(TALLY)?);
    let kind = actors.kind_with_storage(described, StorageQuota::default()).await?;
    actors.add(Actor::new(ComponentId::parse(id)?, &kind).setting("durable", durable)).await?;
    Ok(())
}

async fn ask(actors: &Actors, to: &str, text: &'static str) -> Result<RequestOutcome, Failed> {
    let (from, to) = (ComponentId::parse("demo/main/0")?, ComponentId::parse(to)?);
    Ok(actors.ask(&from, &to, text, PATIENCE_MS).await)
}

/// What became of a request, in words.
fn told(outcome: RequestOutcome) -> String {
    match outcome {
        RequestOutcome::Replied(payload) => String::from_utf8_lossy(&payload.data).into_owned(),
        RequestOutcome::Failed(error) => error.to_string(),
        RequestOutcome::Refused { reason } => format!("refused: {reason}"),
        _ => "no answer".into(),
    }
}

/// The other node's process, which ends with this one, and where it listens.
async fn started() -> Result<(Child, String), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("far").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn()?;
    let out = process.stdout.take().ok_or("the other node has no standard output")?;
    let mut address = String::new();
    let mut out = BufReader::new(out);
    let line = out.read_line(&mut address);
    tokio::time::timeout(Duration::from_millis(PATIENCE_MS), line)
        .await
        .map_err(|_| "the other node does not start")??;
    Ok((process, address.trim().to_owned()))
}
