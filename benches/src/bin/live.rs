//! What do many components that live hold, how fast do they start, and what does a message to one cost?
//!
//! `live [COMPONENTS [CALLS]]`, 10,000 and 100,000 unless said otherwise. Prints, for puppets (components without an engine, so that what is
//! left is messaging) and for `guests/wat/actor.wat` in the engine: memory of the process for each idle component, before it
//! has had a message and after one, and the time to add and to start all. Then, for the guest: what a call into it costs by
//! itself, what the same call costs as a question through the mailbox, and one-way messages as fast as it takes them.
//! Linux only: it reads `/proc/self/status`.

#![allow(clippy::print_stdout, reason = "what this program has to say is said on stdout")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::{Error, Puppet, Puppets};
use bytes::Bytes;
use isorun_core::{
    Budget, ComponentConfig, ComponentId, ComponentMessage, MessagePayload, MessagingError, Messenger, RequestOutcome,
    RuntimeEngine,
};
use isorun_messaging::{ActorSystem, ActorSystemOptions, Child, ComponentRef, ComponentSpec};
use isorun_runtime::{ComponentSetup, WasmtimeEngine};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

const COMPONENTS: usize = 10_000;
const WORKERS: usize = 2;
/// Components that are started at once.
const AT_ONCE: usize = 64;
const CALLS: u32 = 100_000;
const ROUNDS: usize = 5;
const ACTOR: &str = include_str!("../../../guests/wat/actor.wat");
/// The guest answers with it.
const ECHO: &[u8] = &[b'e'; 64];
/// The guest gives no answer.
const NO_ANSWER: &[u8] = &[b'n'; 64];

struct Echo;

impl Puppet for Echo {
    fn message(&self, _messenger: &dyn Messenger, message: &ComponentMessage) -> Option<MessagePayload> {
        Some(message.payload.clone())
    }
}

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let components = args.next().map_or(Ok(COMPONENTS), |text| text.parse())?;
    let count = args.next().map_or(Ok(CALLS), |text| text.parse())?;
    let tokio = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    println!("{components} components      | KiB each, idle | after a message | add all, ms | start all, ms");
    let all = (0..components).map(|n| (id(n), Arc::new(Echo) as Arc<dyn Puppet>)).collect();
    let puppets = Puppets::new(all);
    tokio.block_on(live("puppets", puppets.clone(), Bytes::new(), components, |system| {
        puppets.set_messenger(system.weak_messenger());
    }))?;
    let guest: Bytes = wat::parse_str(ACTOR)?.into();
    let engine = Arc::new(engine()?);
    tokio.block_on(live("guests", engine.clone(), guest.clone(), components, |_| {}))?;
    tokio.block_on(async { tokio::spawn(calls(engine, guest, count)).await })?
}

fn engine() -> Result<WasmtimeEngine, Error> {
    let engine = WasmtimeEngine::new()?;
    let links = Arc::from([]);
    engine.set_up_components(move |_| ComponentSetup { links: Arc::clone(&links), budget: Budget::default() });
    Ok(engine)
}

fn id(n: usize) -> ComponentId {
    ComponentId::new("bench", "live", n.to_string())
}

/// Memory that the process has resident, in KiB.
fn resident_kib() -> Result<f64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no line for it")?;
    Ok(resident.trim().trim_end_matches(" kB").parse()?)
}

async fn live(
    name: &str,
    engine: Arc<dyn RuntimeEngine>,
    bytes: Bytes,
    components: usize,
    set_up: impl FnOnce(&ActorSystem),
) -> Result<(), Error> {
    // The first one compiles, and grows what all have in common.
    let system = ActorSystem::new(engine, ActorSystemOptions::default());
    set_up(&system);
    system.add(ComponentSpec::new(id(0), bytes.clone())).await?.start().await.map_err(|exit| exit.to_string())?;
    let before = resident_kib()?;
    let started = Instant::now();
    let mut all: Vec<ComponentRef> = Vec::with_capacity(components);
    for n in 1..components {
        all.push(system.add(ComponentSpec::new(id(n), bytes.clone())).await?);
    }
    let added = started.elapsed();
    let started = Instant::now();
    let mut starting = JoinSet::new();
    for component in all.clone() {
        starting.spawn(async move { component.start().await });
        if starting.len() >= AT_ONCE
            && let Some(one) = starting.join_next().await
        {
            one?.map_err(|exit| exit.to_string())?;
        }
    }
    while let Some(one) = starting.join_next().await {
        one?.map_err(|exit| exit.to_string())?;
    }
    let ran = started.elapsed();
    let each = |now: f64| (now - before) / (components - 1) as f64;
    let idle = each(resident_kib()?);
    for component in &all {
        let outcome = system.ask(&id(0), component.id(), Bytes::from_static(ECHO), 60_000).await;
        expect_echo(&outcome)?;
    }
    let used = each(resident_kib()?);
    println!("{name:<21} | {idle:>14.2} | {used:>15.2} | {:>11} | {:>13}", added.as_millis(), ran.as_millis());
    Ok(())
}

fn expect_echo(outcome: &RequestOutcome) -> Result<(), Error> {
    match outcome {
        RequestOutcome::Replied(payload) if payload.data == ECHO => Ok(()),
        other => Err(format!("a wrong answer: {other:?}").into()),
    }
}

/// What a call costs by itself, and what it costs as a message.
async fn calls(engine: Arc<WasmtimeEngine>, guest: Bytes, count: u32) -> Result<(), Error> {
    let by_itself = engine.load_component(&id(0), guest.clone()).await?;
    engine.start_component(&by_itself, &ComponentConfig::default()).await?;
    let system = ActorSystem::new(engine.clone(), ActorSystemOptions::default());
    let component = system.add(ComponentSpec::new(id(1), guest)).await?;
    component.start().await.map_err(|exit| exit.to_string())?;
    let (mut alone, mut asked, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let message = ComponentMessage::new(id(2), id(0), Bytes::from_static(ECHO));
        let started = Instant::now();
        for _ in 0..count {
            let answer = engine.call_handle_message(&by_itself, &message).await?;
            expect_echo(&answer.map_or(RequestOutcome::NoReply, RequestOutcome::Replied))?;
        }
        alone.push(started.elapsed());
        let started = Instant::now();
        for _ in 0..count {
            expect_echo(&system.ask(&id(2), &id(1), Bytes::from_static(ECHO), 60_000).await)?;
        }
        asked.push(started.elapsed());
        let started = Instant::now();
        for _ in 0..count {
            while let Err(error) = system.send(&id(2), &id(1), Bytes::from_static(NO_ANSWER).into()) {
                if error != MessagingError::QueueFull {
                    return Err(error.into());
                }
                tokio::task::yield_now().await;
            }
        }
        // It is answered after all of them.
        expect_echo(&system.ask(&id(2), &id(1), Bytes::from_static(ECHO), 60_000).await)?;
        sent.push(started.elapsed());
    }
    println!();
    for (name, times) in
        [("a call by itself", &mut alone), ("asked through its mailbox", &mut asked), ("sent one way", &mut sent)]
    {
        println!("{name:<25} {:>7.0} ns", median(times).as_nanos() as f64 / f64::from(count));
    }
    Ok(())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
